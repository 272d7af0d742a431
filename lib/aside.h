/* SPDX-License-Identifier: Apache-2.0
 * Configurations that are set aside: they did not compile for a descriptor on a device, by its driver and with their family's
 * source of now. They answer no more, from whatever cache or table they come, and nothing of them is deleted. */
#ifndef ATTUNE_ASIDE_H
#define ATTUNE_ASIDE_H

#include "cache/cache.h"

#define ASIDE_MAX 32

struct aside {
    int32_t count;
    struct aside_config {
        struct kernel_config config;
        char why[160]; /* the compiler's words */
    } of[ASIDE_MAX];
};

/* Those of a cache. The shape in key is not read. Empty where the cache (or cache NULL) has none. */
void aside_find(struct cache *cache, const struct cache_key *key, struct aside *out);
attune_status aside_store(struct cache *cache, const struct cache_key *key, const struct aside *aside);

/* Why the configuration does not answer, or NULL. aside may be NULL. */
const char *aside_why(const struct aside *aside, const struct kernel_config *config);
/* The oldest makes room. */
void aside_add(struct aside *aside, const struct kernel_config *config, const char *why);
/* It has compiled: it may answer again. */
attune_status aside_forget(struct cache *cache, const struct cache_key *key, const struct kernel_config *config);

#endif
