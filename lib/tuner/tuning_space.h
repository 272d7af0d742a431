/* SPDX-License-Identifier: Apache-2.0
 * The kernel families as one search space: which family, and each family's parameters while it is chosen. */
#ifndef ATTUNE_TUNER_TUNING_SPACE_H
#define ATTUNE_TUNER_TUNING_SPACE_H

#include "backend/backend.h"
#include "search/space.h"

#define MAX_FAMILIES 32

struct tuning_space {
    struct search_space space; /* points into this struct: do not copy */
    struct search_param params[SEARCH_MAX_PARAMS];
    int32_t num_families;
    int32_t families[MAX_FAMILIES];    /* values of parameter 0, ascending */
    int32_t first_param[MAX_FAMILIES]; /* of families[i] */
    struct device_limits limits;
    int32_t num_workloads;
    const struct kernel_facts *facts; /* [num_workloads], the caller's */
    int32_t kept[FAMILY_MAX_PARAMS][FAMILY_MAX_VALUES]; /* values of a restriction's family */
};

/* One family, with some of its parameters' values. */
struct restriction {
    int32_t family; /* -1 = none: everything */
    int32_t num_kept[FAMILY_MAX_PARAMS]; /* 0 = all */
    int32_t kept[FAMILY_MAX_PARAMS][FAMILY_MAX_VALUES];
};

/* "simt_tile" or "simt_tile:BLOCK_Q=16/32,WG_SIZE=64"; NULL = none. SYNTAX says what is wrong. */
attune_status restriction_parse(const char *text, struct restriction *out);

/* Baselines (plain_row, extend_fixed_tile) are left out unless a workload has nothing else, or the restriction is to one. */
void tuning_space_init(struct tuning_space *out, const struct device_limits *limits, const struct kernel_facts *facts,
                       int32_t num_workloads, const struct restriction *restriction);

void tuning_space_config(const struct tuning_space *space, const int32_t *values, struct kernel_config *out);
/* values[space.num_params]; false where the configuration's family is not in the space. */
bool tuning_space_values(const struct tuning_space *space, const struct kernel_config *config, int32_t *values);

#endif
