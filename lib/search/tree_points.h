/* SPDX-License-Identifier: Apache-2.0
 *
 * What a model's trees say of many points, kept while the trees stay: a fit grows few of them again. */
#ifndef ATTUNE_SEARCH_TREE_POINTS_H
#define ATTUNE_SEARCH_TREE_POINTS_H

#include "model.h"

#define TREE_GROUPS (MODEL_TREES / FOREST_LANES)

struct tree_points {
    int32_t count, capacity;
    bool known[TREE_GROUPS]; /* whether sum and squares are those of the group's trees */
    uint16_t *inputs;        /* [capacity][model->inputs.count] */
    int64_t *sum, *squares;  /* [TREE_GROUPS][capacity] */
};

/* False when out of memory; tree_points_destroy is due in any case. */
bool tree_points_create(struct tree_points *points, const struct model *model, int32_t capacity);
void tree_points_destroy(struct tree_points *points);
/* Starts again without points. */
void tree_points_clear(struct tree_points *points);
/* There must be room. */
void tree_points_add(struct tree_points *points, const struct model *model, const struct search *search, int32_t config,
                     int32_t workload);
/* Fits the model with the samples told, one group of trees grown again, and brings the points up to it. False when
 * there is nothing to fit, or no memory for it. */
bool tree_points_fit(struct tree_points *points, struct model *model, struct search *search);
/* Estimate at point i by all trees. */
struct model_estimate tree_points_estimate(const struct tree_points *points, int32_t i);

#endif
