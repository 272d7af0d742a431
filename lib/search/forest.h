/* SPDX-License-Identifier: Apache-2.0
 *
 * Regression by extremely randomised trees (Geurts, Ernst and Wehenkel 2006) on small integers: inputs are value
 * indices and ranks, targets are fixed-point logarithms. Sums are exact, so predictions do not depend on their order.
 */
#ifndef ATTUNE_SEARCH_FOREST_H
#define ATTUNE_SEARCH_FOREST_H

#include <stdbool.h>
#include <stdint.h>

#include "base/rng.h"

struct forest_node {
    int32_t child; /* left child, the right one follows it; a leaf's is itself */
    uint16_t input;
    uint16_t threshold; /* left: input <= threshold */
    int32_t value;      /* mean target of the samples that reach the node */
};

#define FOREST_LANES 4 /* num_trees is a multiple of it, and so are the bounds of forest_sums */

struct forest {
    int32_t num_trees, num_fitted, next_tree;
    int32_t max_nodes;         /* per tree */
    struct forest_node *nodes; /* [num_trees][max_nodes] */
    int32_t *depth;            /* [num_trees] */
};

struct forest_samples {
    int32_t num_samples, num_inputs;
    const uint16_t *inputs; /* [num_inputs][num_samples] */
    const int32_t *target;  /* [num_samples] */
};

bool forest_create(struct forest *forest, int32_t num_trees);
void forest_destroy(struct forest *forest);
/* Grows num_refit of the trees again, the oldest first; all of them the first time. num_samples >= 1. False when out of
 * memory; the forest is then as it was, or empty. */
bool forest_fit(struct forest *forest, const struct forest_samples *samples, int32_t num_refit, struct rng *rng);
/* Sum over the trees [first, last) of their predictions for input[num_inputs], and of the predictions' squares. */
void forest_sums(const struct forest *forest, const uint16_t *input, int32_t first, int32_t last, int64_t *sum,
                 int64_t *squares);

#endif
