/* SPDX-License-Identifier: Apache-2.0
 * Problem + device -> configuration: the look-up order. Needs no OpenCL, so the supervisor uses it too. */
#ifndef ATTUNE_SELECT_H
#define ATTUNE_SELECT_H

#include "backend/backend.h"
#include "cache/cache.h"
#include "problem.h"

/* The device half of a key. */
void select_device_key(const struct backend_choice *choice, struct cache_key *key);
/* The half that the descriptor, layout and shape determine; layout_id is "" without a cache. */
void select_problem_key(const attune_attention_desc *desc, const char *layout_id, struct shape_bucket bucket,
                        struct cache_key *key);

struct selection {
    struct kernel_config config;
    const char *source;       /* "tuned", "nearest" or "default" */
    struct cache_entry entry; /* that answered; not for "default" */
    enum cache_level level;   /* of entry */
    char why[512];            /* what answered, and why the levels before it did not */
};

/* True if the entry's receipt holds for this key's device and driver and the family's current source. */
bool select_receipt_valid(const struct cache_entry *entry, const struct cache_key *key);

/* Looks key up: exact entry with a valid receipt -> nearest shape of the same class -> the backend's untuned default.
 * cache may be NULL. UNSUPPORTED when not even a default is valid. Never measures. */
attune_status select_config(struct cache *cache, const struct cache_key *key, const struct backend *backend,
                            const struct device_limits *limits, const struct kernel_facts *facts,
                            struct selection *out);

#endif
