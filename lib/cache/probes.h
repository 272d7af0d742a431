/* SPDX-License-Identifier: Apache-2.0
 *
 * What a probe showed of a device, on disk: one JSON file per device, driver and backend in the "probes" folder of the
 * user's and the site's level, read with the same care as entries. Shipped caches have none: a probe is of this
 * machine. */
#ifndef ATTUNE_CACHE_PROBES_H
#define ATTUNE_CACHE_PROBES_H

#include <attune/tune.h>

#include "cache/cache.h"

#define PROBE_SCHEMA 1
#define PROBE_FILE_MAX 32768

/* What of it decides which kernels may run, and how they are compiled. */
struct probe_facts {
    int32_t features;            /* enum device_feature bits that ran and were right */
    int32_t half_load;           /* enum half_load: the fastest right one */
    int64_t max_work_group_size; /* largest that ran and was right; 0 = not known */
};

struct probe_record {
    struct probe_facts facts;
    int32_t num_readings;
    attune_probe_reading readings[ATTUNE_PROBE_MAX_READINGS]; /* unused tails are zero */
};

/* The device half of key is what counts. Looks in the user's folder, then the site's; a bad file is one warning,
 * counted in *unreadable (may be NULL), and a miss. */
bool cache_probe_find(struct cache *cache, const struct cache_key *key, struct probe_record *out, size_t *unreadable);

/* Writes the user's file, atomically. OK without a user folder. Errors: IO, SYNTAX (a value out of range),
 * OUT_OF_MEMORY. */
attune_status cache_probe_store(struct cache *cache, const struct cache_key *key, const struct probe_record *record);

/* Value of the reading of that name; 0 if there is none. */
double probe_reading(const struct probe_record *record, const char *name);

#endif
