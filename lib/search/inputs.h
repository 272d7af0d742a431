/* SPDX-License-Identifier: Apache-2.0
 * (Configuration, workload) pairs as inputs of a Gaussian process. */
#ifndef ATTUNE_SEARCH_INPUTS_H
#define ATTUNE_SEARCH_INPUTS_H

#include "gp.h"
#include "strategy.h"

/* Parameters with one value and features that all workloads share are left out. The coordinate of a value lies between
 * its place by size (by logarithm where the values span a ratio, since tiles act by ratios) and its place by rank.
 * Beside it stands one for the value's odd part: powers of two, and sizes that divide what is one, may be alike however
 * far apart they are. */
struct inputs {
    int32_t num_inputs; /* at least 1 */
    int32_t num_coordinates, num_features;
    int32_t param[GP_MAX_COORDINATES], feature[SEARCH_MAX_FEATURES];
    uint16_t most[SEARCH_MAX_FEATURES];       /* largest rank of the feature */
    uint16_t *coordinates;                    /* of all values */
    uint16_t *coordinate[GP_MAX_COORDINATES]; /* of values of param[i] */
};

/* False when out of memory; inputs_destroy is due in any case. */
bool inputs_create(struct inputs *inputs, const struct search *search);
void inputs_destroy(struct inputs *inputs);
/* out[num_inputs] */
void inputs_fill(const struct inputs *inputs, const struct search *search, int32_t config, int32_t workload,
                 uint16_t *out);

#endif
