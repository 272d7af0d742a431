/* SPDX-License-Identifier: Apache-2.0
 *
 * What a probe showed of a device, on disk: one JSON file per device, driver and backend in the "probes" folder of the
 * user's and the site's level, read with the same care as entries. Shipped caches have none: a probe is of this
 * machine. */
#ifndef ATTUNE_CACHE_PROBES_H
#define ATTUNE_CACHE_PROBES_H

#include "cache/cache.h"


/* What of it decides which kernels may run, and how they are compiled. */
struct probe_facts {
    int32_t features;            /* enum device_feature bits that ran and were right */
    int32_t half_load;           /* enum half_load: the fastest right one */
    int64_t max_work_group_size; /* largest that ran and was right; 0 = not known */
};

/* The device half of key is what counts. Looks in the user's folder, then the site's; a bad file is one warning and a
 * miss. */
bool cache_probe_find(struct cache *cache, const struct cache_key *key, struct probe_facts *out);

/* Writes the user's file, atomically. OK without a user folder. Errors: IO, SYNTAX (a value out of range),
 * OUT_OF_MEMORY. */
attune_status cache_probe_store(struct cache *cache, const struct cache_key *key, const struct probe_facts *facts);

#endif
