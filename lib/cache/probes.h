/* SPDX-License-Identifier: Apache-2.0
 *
 * What a probe showed of a device: a record of kind "probe" (cache/record.h), one per device, driver and backend. */
#ifndef ATTUNE_CACHE_PROBES_H
#define ATTUNE_CACHE_PROBES_H

#include <attune/tune.h>

#include "cache/cache.h"

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

/* The device half of key is what counts. Not from the shipped caches: a probe is of this machine. */
bool cache_probe_find(struct cache *cache, const struct cache_key *key, struct probe_record *out);

/* Errors: IO, SYNTAX (a value out of range), OUT_OF_MEMORY. */
attune_status cache_probe_store(struct cache *cache, const struct cache_key *key, const struct probe_record *record);

/* Value of the reading of that name; 0 if there is none. */
double probe_reading(const struct probe_record *record, const char *name);

#endif
