/* SPDX-License-Identifier: Apache-2.0
 * Points are taken a block at a time, so that what is known of a block stays in the second-level cache. */
#include "gp.h"

#include <stdlib.h>
#include <string.h>

#define BLOCK 256

bool gp_points_create(struct gp_points *points, const struct gp *gp, int32_t capacity)
{
    size_t n = (size_t)capacity;
    *points = (struct gp_points){.capacity = capacity};
    points->inputs = malloc(n * (size_t)gp->num_inputs * sizeof *points->inputs);
    points->known = malloc(n * (size_t)gp->capacity * sizeof *points->known);
    points->variance = malloc(n * sizeof *points->variance);
    points->mean = malloc(n * sizeof *points->mean);
    return points->inputs && points->known && points->variance && points->mean;
}

void gp_points_destroy(struct gp_points *points)
{
    free(points->inputs);
    free(points->known);
    free(points->variance);
    free(points->mean);
}

/* y[count] += a * x[count] */
static void add_scaled(float *restrict y, float a, const float *restrict x, int32_t count)
{
    for (int32_t i = 0; i < count; i++)
        y[i] += a * x[i];
}

/* What sample s says of the points [from, from + count) beyond the samples before it. */
static void learn(struct gp_points *points, const struct gp *gp, int32_t s, int32_t from, int32_t count)
{
    size_t stride = (size_t)points->capacity, num_inputs = (size_t)gp->num_inputs;
    const double *factor = gp->factor + (size_t)s * (size_t)gp->capacity;
    float *known = points->known + (size_t)s * stride + from, *variance = points->variance + from;
    for (int32_t i = 0; i < count; i++)
        known[i] =
            gp_correlation(gp, gp->inputs + (size_t)s * num_inputs, points->inputs + (size_t)(from + i) * num_inputs);
    for (int32_t j = 0; j < s; j++)
        add_scaled(known, (float)-factor[j], points->known + (size_t)j * stride + from, count);
    float pivot = (float)(1 / factor[s]);
    for (int32_t i = 0; i < count; i++) {
        known[i] *= pivot;
        variance[i] -= known[i] * known[i];
    }
}

void gp_points_update(struct gp_points *points, const struct gp *gp)
{
    for (int32_t from = 0; from < points->count; from += BLOCK) {
        int32_t count = points->count - from < BLOCK ? points->count - from : BLOCK;
        if (points->num_samples == 0)
            for (int32_t i = 0; i < count; i++)
                points->variance[from + i] = 1;
        for (int32_t s = points->num_samples; s < gp->num_samples; s++)
            learn(points, gp, s, from, count);
        memset(points->mean + from, 0, (size_t)count * sizeof *points->mean);
        for (int32_t s = 0; s < gp->num_samples; s++)
            add_scaled(points->mean + from, (float)gp->whitened[s],
                       points->known + (size_t)s * (size_t)points->capacity + from, count);
    }
    points->num_samples = gp->num_samples;
}
