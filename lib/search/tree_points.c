/* SPDX-License-Identifier: Apache-2.0 */
#include "tree_points.h"

#include <stdlib.h>
#include <string.h>

bool tree_points_create(struct tree_points *points, const struct model *model, int32_t capacity)
{
    size_t n = (size_t)capacity;
    *points = (struct tree_points){.capacity = capacity};
    points->inputs = malloc(n * (size_t)model->inputs.count * sizeof *points->inputs);
    points->sum = malloc(n * TREE_GROUPS * sizeof *points->sum);
    points->squares = malloc(n * TREE_GROUPS * sizeof *points->squares);
    return points->inputs && points->sum && points->squares;
}

void tree_points_destroy(struct tree_points *points)
{
    free(points->inputs);
    free(points->sum);
    free(points->squares);
}

void tree_points_clear(struct tree_points *points)
{
    points->count = 0;
    memset(points->known, 0, sizeof points->known);
}

void tree_points_add(struct tree_points *points, const struct model *model, const struct search *search, int32_t config,
                     int32_t workload)
{
    size_t num_inputs = (size_t)model->inputs.count;
    tree_inputs_fill(&model->inputs, search, config, workload, points->inputs + (size_t)points->count++ * num_inputs);
}

bool tree_points_fit(struct tree_points *points, struct model *model, struct search *search)
{
    size_t num_inputs = (size_t)model->inputs.count, stride = (size_t)points->capacity;
    int32_t grown = model->forest.next_tree / FOREST_LANES;
    if (!model_fit(model, search, FOREST_LANES))
        return false;
    points->known[grown] = false;
    for (int32_t g = 0; g < TREE_GROUPS; g++) {
        for (int32_t i = 0; i < points->count && !points->known[g]; i++)
            forest_sums(&model->forest, points->inputs + (size_t)i * num_inputs, g * FOREST_LANES,
                        (g + 1) * FOREST_LANES, &points->sum[(size_t)g * stride + (size_t)i],
                        &points->squares[(size_t)g * stride + (size_t)i]);
        points->known[g] = true;
    }
    return true;
}

struct model_estimate tree_points_estimate(const struct tree_points *points, int32_t i)
{
    int64_t sum = 0, squares = 0;
    for (size_t g = 0; g < TREE_GROUPS; g++) {
        sum += points->sum[g * (size_t)points->capacity + (size_t)i];
        squares += points->squares[g * (size_t)points->capacity + (size_t)i];
    }
    return model_estimate(sum, squares, MODEL_TREES);
}
