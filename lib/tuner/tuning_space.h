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
};

/* Baselines (plain_row, extend_fixed_tile) are left out unless a workload has nothing else. */
void tuning_space_init(struct tuning_space *out, const struct device_limits *limits, const struct kernel_facts *facts,
                       int32_t num_workloads);

void tuning_space_config(const struct tuning_space *space, const int32_t *values, struct kernel_config *out);
/* values[space.num_params]; false where the configuration's family is not in the space. */
bool tuning_space_values(const struct tuning_space *space, const struct kernel_config *config, int32_t *values);

#endif
