/* SPDX-License-Identifier: Apache-2.0 */
#include "gp.h"

#include "strategy.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define SQRT_3 1.7320508075688772
#define LOG2_E 1.4426950408889634
#define LN_2 0.6931471805599453
#define SHORTEST (-4)         /* half octaves of a span */
#define TINY 1e-15F           /* correlations below are 0: no subnormals */
#define PRIOR_NOISE 5         /* place in the grid: 2^-10 */
#define PRIOR_NOISE_WIDTH 2.5 /* places */
#define PRIOR_LENGTH_WIDTH 3.0
#define LANES 4 /* partial sums; fixed, so that sums do not depend on the compiler */

/* Rounding must not make the kernel matrix indefinite beyond what the least noise makes up for: fixed point is not fine
 * enough. */
static double exp_negative(double x)
{
    double y = x * LOG2_E * LOG_ONE;
    int32_t whole = (int32_t)y;
    double rest = (y - whole) * (LN_2 / LOG_ONE);
    return exp2_fixed(whole) * (1 + rest + 0.5 * rest * rest);
}

static void fill_kernels(struct gp *gp)
{
    for (int32_t l = 0; l < GP_LENGTHS; l++) {
        double length = GP_SPAN * exp2_fixed((l + SHORTEST) * (LOG_ONE / 2));
        for (int32_t d = 0; d <= GP_SPAN; d++) {
            double s = SQRT_3 * d / length;
            gp->kernel[l][d] = (float)((1 + s) * exp_negative(-s));
        }
    }
}

/* The more inputs, the longer, or all would be far from all (Hvarfner, Hellsten and Nardi 2024): half the root of their
 * number. */
static int32_t prior_length(int32_t num_inputs)
{
    int32_t half_octaves = (log2_fixed(num_inputs) + LOG_ONE / 2) / LOG_ONE - 2;
    int32_t place = half_octaves - SHORTEST;
    return place < GP_LENGTHS - 1 ? place : GP_LENGTHS - 1;
}

bool gp_create(struct gp *gp, int32_t num_inputs, int32_t capacity)
{
    size_t n = (size_t)capacity;
    *gp = (struct gp){.num_inputs = num_inputs, .capacity = capacity};
    gp->inputs = malloc(n * (size_t)num_inputs * sizeof *gp->inputs);
    gp->target = malloc(n * sizeof *gp->target);
    gp->factor = malloc(n * n * sizeof *gp->factor);
    gp->trial = malloc(n * n * sizeof *gp->trial);
    gp->whitened = malloc(n * sizeof *gp->whitened);
    gp->weights = malloc(n * sizeof *gp->weights);
    gp->noise = PRIOR_NOISE;
    gp->prior_length = prior_length(num_inputs);
    for (int32_t i = 0; i < num_inputs; i++)
        gp->length[i] = gp->prior_length;
    fill_kernels(gp);
    return gp->inputs && gp->target && gp->factor && gp->trial && gp->whitened && gp->weights;
}

void gp_destroy(struct gp *gp)
{
    free(gp->inputs);
    free(gp->target);
    free(gp->factor);
    free(gp->trial);
    free(gp->whitened);
    free(gp->weights);
}

float gp_correlation(const struct gp *gp, const uint16_t *a, const uint16_t *b)
{
    float product = 1;
    for (int32_t i = 0; i < gp->num_inputs; i++)
        product *= gp->kernel[gp->length[i]][a[i] < b[i] ? b[i] - a[i] : a[i] - b[i]];
    return product < TINY ? 0 : product;
}

static double dot(const double *a, const double *b, int32_t n)
{
    double sum[LANES] = {0};
    int32_t i = 0;
    for (; i + LANES <= n; i += LANES)
        for (int32_t lane = 0; lane < LANES; lane++)
            sum[lane] += a[i + lane] * b[i + lane];
    for (; i < n; i++)
        sum[0] += a[i] * b[i];
    return (sum[0] + sum[1]) + (sum[2] + sum[3]);
}

static double noise_variance(const struct gp *gp)
{
    return exp2_fixed(-2 * LOG_ONE * gp->noise);
}

/* Row i of the Cholesky factor. */
static void factor_row(const struct gp *gp, double *factor, int32_t i)
{
    size_t stride = (size_t)gp->capacity, num_inputs = (size_t)gp->num_inputs;
    double *row = factor + (size_t)i * stride;
    for (int32_t j = 0; j < i; j++) {
        const double *other = factor + (size_t)j * stride;
        double k = gp_correlation(gp, gp->inputs + (size_t)i * num_inputs, gp->inputs + (size_t)j * num_inputs);
        row[j] = (k - dot(row, other, j)) / other[j];
    }
    double noise = noise_variance(gp), pivot = 1 + noise - dot(row, row, i);
    row[i] = sqrt(pivot > noise ? pivot : noise); /* less by rounding only */
}

/* whitened = L^-1 target; returns the signal's variance that makes the targets most likely, drawn towards 1. */
static double whiten(struct gp *gp, const double *factor)
{
    for (int32_t i = 0; i < gp->num_samples; i++) {
        const double *row = factor + (size_t)i * (size_t)gp->capacity;
        gp->whitened[i] = (gp->target[i] - dot(row, gp->whitened, i)) / row[i];
    }
    return (1 + dot(gp->whitened, gp->whitened, gp->num_samples)) / (1 + gp->num_samples);
}

static double bits(double x)
{
    return (double)log2_fixed(x) / LOG_ONE;
}

/* Negative logarithm of the likelihood, the signal's variance profiled out, times the prior; in bits, less a constant.
 */
static double surprise(struct gp *gp)
{
    double sum = 0, prior = 0;
    for (int32_t i = 0; i < gp->num_samples; i++) {
        factor_row(gp, gp->trial, i);
        sum += bits(gp->trial[(size_t)i * (size_t)gp->capacity + (size_t)i]);
    }
    for (int32_t i = 0; i < gp->num_inputs; i++) {
        double off = (gp->length[i] - gp->prior_length) / PRIOR_LENGTH_WIDTH;
        prior += off * off;
    }
    double off = (gp->noise - PRIOR_NOISE) / PRIOR_NOISE_WIDTH;
    prior += off * off;
    return sum + 0.5 * gp->num_samples * bits(whiten(gp, gp->trial)) + 0.5 * LOG2_E * prior;
}

/* Moves *place by one while that is an improvement; true if it moved. */
static bool climb(struct gp *gp, int32_t *place, int32_t step, int32_t num_places, double *least)
{
    bool moved = false;
    while (*place + step >= 0 && *place + step < num_places) {
        *place += step;
        double now = surprise(gp);
        if (now >= *least) {
            *place -= step;
            break;
        }
        *least = now;
        moved = true;
    }
    return moved;
}

void gp_optimise(struct gp *gp, int32_t num_sweeps)
{
    double least = surprise(gp);
    bool moved = true;
    for (int32_t sweep = 0; sweep < num_sweeps && moved; sweep++) {
        moved = false;
        for (int32_t i = 0; i <= gp->num_inputs; i++) {
            int32_t *place = i < gp->num_inputs ? &gp->length[i] : &gp->noise;
            int32_t num_places = i < gp->num_inputs ? GP_LENGTHS : GP_NOISES;
            if (climb(gp, place, 1, num_places, &least) || climb(gp, place, -1, num_places, &least))
                moved = true;
        }
    }
}

void gp_condition(struct gp *gp, int32_t num_kept)
{
    size_t stride = (size_t)gp->capacity;
    for (int32_t i = num_kept; i < gp->num_samples; i++)
        factor_row(gp, gp->factor, i);
    gp->scale = whiten(gp, gp->factor);
    memcpy(gp->weights, gp->whitened, (size_t)gp->num_samples * sizeof *gp->weights);
    for (int32_t i = gp->num_samples - 1; i >= 0; i--) {
        const double *row = gp->factor + (size_t)i * stride;
        gp->weights[i] /= row[i];
        for (int32_t j = 0; j < i; j++)
            gp->weights[j] -= gp->weights[i] * row[j];
    }
}

double gp_mean_at_sample(const struct gp *gp, int32_t i)
{
    return gp->target[i] - noise_variance(gp) * gp->weights[i];
}
