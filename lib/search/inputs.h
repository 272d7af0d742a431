/* SPDX-License-Identifier: Apache-2.0
 *
 * What a model sees of a (configuration, workload) pair: small integers of which a tree compares one with a threshold.
 * Times of tiled kernels follow sizes (log values), work-group and tile sizes (products and ratios of two parameters),
 * and whether a size divides a power of two (odd parts), none of which a value's index shows. */
#ifndef ATTUNE_SEARCH_INPUTS_H
#define ATTUNE_SEARCH_INPUTS_H

#include "strategy.h"

/* Products and ratios that would go beyond are left out. */
#define INPUTS_MAX 512

enum input_kind {
    INPUT_LOG,     /* log2 of a parameter's value; its index where a value is not positive */
    INPUT_ODD,     /* log2 of the largest odd divisor of the value */
    INPUT_PRODUCT, /* of two parameters' values, log2 */
    INPUT_RATIO,
    INPUT_FEATURE /* rank of a workload's feature */
};

struct input {
    enum input_kind kind;
    int32_t first, second; /* parameters; INPUT_FEATURE: the feature */
};

struct inputs {
    int32_t count;
    struct input list[INPUTS_MAX];
    uint16_t *logs, *odds; /* of each value of each parameter */
    int32_t offset[SEARCH_MAX_PARAMS];
};

/* derived: false = values' indices alone. False when out of memory; inputs_destroy is due in any case. */
bool inputs_create(struct inputs *inputs, const struct search *search, bool derived);
void inputs_destroy(struct inputs *inputs);
/* out[inputs->count] */
void inputs_fill(const struct inputs *inputs, const struct search *search, int32_t config, int32_t workload,
                 uint16_t *out);

#endif
