/* SPDX-License-Identifier: Apache-2.0
 *
 * What a model sees of a (configuration, workload) pair: small integers of which a tree compares one with a threshold.
 * Times of tiled kernels follow sizes (log values), work-group and tile sizes (products and ratios of two parameters),
 * and whether a size divides a power of two (odd parts), none of which a value's index shows. */
#ifndef ATTUNE_SEARCH_TREE_INPUTS_H
#define ATTUNE_SEARCH_TREE_INPUTS_H

#include "strategy.h"

/* Products and ratios that would go beyond are left out. */
#define TREE_INPUTS_MAX 512

enum tree_input_kind {
    INPUT_LOG,     /* log2 of a parameter's value; its index where a value is not positive */
    INPUT_ODD,     /* log2 of the largest odd divisor of the value */
    INPUT_PRODUCT, /* of two parameters' values, log2 */
    INPUT_RATIO,
    INPUT_FEATURE /* rank of a workload's feature */
};

struct tree_input {
    enum tree_input_kind kind;
    int32_t first, second; /* parameters; INPUT_FEATURE: the feature */
};

struct tree_inputs {
    int32_t count;
    struct tree_input list[TREE_INPUTS_MAX];
    uint16_t *logs, *odds; /* of each value of each parameter */
    int32_t offset[SEARCH_MAX_PARAMS];
};

/* derived: false = values' indices alone. False when out of memory; tree_inputs_destroy is due in any case. */
bool tree_inputs_create(struct tree_inputs *inputs, const struct search *search, bool derived);
void tree_inputs_destroy(struct tree_inputs *inputs);
/* out[inputs->count] */
void tree_inputs_fill(const struct tree_inputs *inputs, const struct search *search, int32_t config, int32_t workload,
                      uint16_t *out);

#endif
