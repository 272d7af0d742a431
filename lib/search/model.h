/* SPDX-License-Identifier: Apache-2.0
 *
 * The surrogate of the guided strategies: a forest over (configuration, workload) pairs. Its targets are times relative
 * to each workload's reference, or the logarithms of those times' ranks, which resolve the fast end and squash the slow
 * one. Failures count as the slowest, which teaches the forest where not to go. */
#ifndef ATTUNE_SEARCH_MODEL_H
#define ATTUNE_SEARCH_MODEL_H

#include "forest.h"
#include "tree_inputs.h"

#define MODEL_TREES 32

enum model_kind {
    MODEL_PLAIN,   /* indices of values, relative times */
    MODEL_DERIVED, /* derived inputs (tree_inputs.h), logarithms of ranks */
};

struct model {
    struct forest forest;
    struct tree_inputs inputs;
    bool ranked;
    int32_t capacity, num_sorted;
    int32_t *relative; /* [capacity] log times relative to the references, in the order of samples */
    int32_t *sorted;   /* [num_sorted] the same, ascending */
    int32_t reference[SEARCH_MAX_WORKLOADS]; /* fixed-point log2 of a time */
};

struct model_estimate {
    double mean, deviation; /* of the trees, in targets */
};

/* NULL when out of memory. */
struct model *model_create(const struct search *search, enum model_kind kind);
void model_destroy(struct model *model);

/* Grows num_refit trees again with all samples. False when there is nothing to fit, or no memory for it. */
bool model_fit(struct model *model, struct search *search, int32_t num_refit);
/* Estimate by the trees [first, last), see forest.h. */
struct model_estimate model_predict(const struct model *model, const struct search *search, int32_t config,
                                    int32_t workload, int32_t first, int32_t last);
/* Target of a sample of the last fit; -1 = none: what a failure has. */
int32_t model_target(const struct model *model, int32_t sample);
/* Fixed-point log2 of the time that a target stands for. */
double model_log_time(const struct model *model, int32_t workload, double target);

#endif
