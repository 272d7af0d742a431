/* SPDX-License-Identifier: Apache-2.0
 *
 * Regression by a Gaussian process (Rasmussen and Williams 2006, algorithm 2.1) on integer coordinates. The kernel is
 * the product over the inputs of Matern kernels of order 3/2, each with a length of its own; a constant share of noise
 * is added to the diagonal. Lengths and noise lie on grids and maximise the marginal likelihood times a prior that
 * favours moderate ones. No libm transcendental: the same bits with every compiler. */
#ifndef ATTUNE_SEARCH_GP_H
#define ATTUNE_SEARCH_GP_H

#include <stdbool.h>
#include <stdint.h>

#include "search.h"

#define GP_SPAN 256 /* coordinates lie in [0, GP_SPAN] */
#define GP_MAX_COORDINATES (2 * SEARCH_MAX_PARAMS)
#define GP_MAX_INPUTS (GP_MAX_COORDINATES + SEARCH_MAX_FEATURES)
#define GP_LENGTHS 13 /* 2^-2 to 2^4 spans, half an octave apart */
#define GP_NOISES 8   /* variance of the noise over that of the signal: 1, 1/4, ..., 2^-14 */

struct gp {
    int32_t num_inputs, num_samples, capacity;
    uint16_t *inputs;                                   /* [capacity][num_inputs] */
    double *target;                                     /* [capacity], mean 0 */
    int32_t length[GP_MAX_INPUTS], prior_length, noise; /* places in the grids */
    float kernel[GP_LENGTHS][GP_SPAN + 1];              /* of one input, by length and distance */
    double *factor;   /* [capacity][capacity] L, lower: L L' = kernel matrix + noise */
    double *trial;    /* the same for lengths on trial */
    double *whitened; /* [capacity] L^-1 target */
    double *weights;  /* [capacity] L'^-1 L^-1 target */
    double scale;     /* variance of the signal */
};

/* num_inputs >= 1. False when out of memory; gp_destroy is due in any case. */
bool gp_create(struct gp *gp, int32_t num_inputs, int32_t capacity);
void gp_destroy(struct gp *gp);

/* The caller fills inputs and target of the samples [0, num_samples) and then calls one of these. */

/* Moves each length and the noise along its grid while that makes the samples more likely: at most num_sweeps times
 * through all. gp_condition is due next. */
void gp_optimise(struct gp *gp, int32_t num_sweeps);
/* Factors the kernel matrix from row num_kept on (0: the lengths or the earlier inputs are others than before), and
 * solves for the targets, all of which may have changed. */
void gp_condition(struct gp *gp, int32_t num_kept);

/* Correlation of two inputs [num_inputs] before noise, in [0, 1]. */
float gp_correlation(const struct gp *gp, const uint16_t *a, const uint16_t *b);
/* Mean of the posterior at sample i. */
double gp_mean_at_sample(const struct gp *gp, int32_t i);

/* The posterior at many points, kept while samples are added: a new sample costs one pass over what is known of the
 * earlier ones. */
struct gp_points {
    int32_t count, capacity;
    int32_t num_samples; /* that known and variance cover */
    uint16_t *inputs;    /* [capacity][num_inputs] */
    float *known;        /* [gp->capacity][capacity] L^-1 kernel(samples, points) */
    float *variance;     /* [capacity] before scale */
    float *mean;         /* [capacity] */
};

/* False when out of memory; gp_points_destroy is due in any case. */
bool gp_points_create(struct gp_points *points, const struct gp *gp, int32_t capacity);
void gp_points_destroy(struct gp_points *points);
/* Mean and variance at inputs[count], for the samples and targets that gp is conditioned on. Set num_samples to 0 first
 * where points or the earlier rows of gp->factor are others than before. */
void gp_points_update(struct gp_points *points, const struct gp *gp);

#endif
