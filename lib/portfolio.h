/* SPDX-License-Identifier: Apache-2.0
 *
 * What is known of several configurations on several shapes of one descriptor: the times of one shape's winner on the
 * other shapes. From it plans choose the few configurations that lose least. One record of the kind "portfolio" per
 * device, descriptor and layout. All that stands in it was verified on the shape, device and driver, and with the
 * source of the family, that it is filed under.
 */
#ifndef ATTUNE_PORTFOLIO_H
#define ATTUNE_PORTFOLIO_H

#include "aside.h"
#include "problem.h"

#define PORTFOLIO_MAX_CONFIGS 16
#define PORTFOLIO_MAX_BUCKETS 128 /* two whole searches, and half as many new shapes */

struct portfolio_row {
    struct shape_bucket bucket;
    double time_ms[PORTFOLIO_MAX_CONFIGS]; /* medians of the same interleaved rounds; 0 = not measured */
};

struct portfolio {
    int32_t num_configs, num_rows;
    struct kernel_config configs[PORTFOLIO_MAX_CONFIGS];
    struct portfolio_row rows[PORTFOLIO_MAX_BUCKETS];
};

/* The class of q_len decides first; in a class, the squared distance in log space. */
double shape_bucket_distance(struct shape_bucket a, struct shape_bucket b);
#define SHAPE_CLASS_DISTANCE 1e6 /* from here on: another class */

/* What lies in a bucket, both ends inclusive: q_len, kv_len (means of a batch), sequences x KV heads. */
struct shape_ranges {
    int64_t q_len[2], kv_len[2], heads[2];
};
struct shape_ranges shape_bucket_ranges(struct shape_bucket bucket);

/* The shape in key is not read. Empty, with false, on a miss. Configurations of another version of their family are
 * left out. */
bool portfolio_find(struct cache *cache, const struct cache_key *key, struct portfolio *out);
/* The same, less the configurations that are set aside (NULL: none) or not valid for the limits and facts. */
bool portfolio_find_valid(struct cache *cache, const struct cache_key *key, const struct device_limits *limits,
                          const struct kernel_facts *facts, const struct aside *aside, struct portfolio *out);
/* Takes the shape in key out of the user's portfolio, and the configurations that no other shape was measured with. OK
 * where it is in none. */
attune_status portfolio_forget(struct cache *cache, const struct cache_key *key);
attune_status portfolio_store(struct cache *cache, const struct cache_key *key, const struct portfolio *portfolio);

/* Sets the row of a bucket to the times of configs[count], which were measured together; what was known of it before
 * was measured at another time and is dropped. Configurations that are no row's best make room for new ones; false when
 * there is none even so, and nothing was changed. */
bool portfolio_put(struct portfolio *portfolio, struct shape_bucket bucket, const struct kernel_config *configs,
                   const double *time_ms, int32_t count);

/* Takes configuration i out of the portfolio. */
void portfolio_drop(struct portfolio *portfolio, int32_t i);

/* The row of a bucket or the nearest of its class; NULL without one. */
const struct portfolio_row *portfolio_nearest(const struct portfolio *portfolio, struct shape_bucket bucket);
/* Index of a configuration, or -1. */
int32_t portfolio_config(const struct portfolio *portfolio, const struct kernel_config *config);
/* Fastest in the row, or -1. */
int32_t portfolio_best(const struct portfolio *portfolio, const struct portfolio_row *row);
/* Time / the row's best time - 1; -1 = not measured. */
double portfolio_regret(const struct portfolio *portfolio, const struct portfolio_row *row, int32_t config);

#endif
