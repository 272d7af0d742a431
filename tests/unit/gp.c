/* SPDX-License-Identifier: Apache-2.0
 * The Gaussian process against the textbook's formulas with libm and Gaussian elimination, and the strategy on it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/rng.h"
#include "search/gp.h"
#include "search/improvement.h"
#include "search/inputs.h"
#include "search/search.h"
#include "search/strategy.h"

#define SEED 20
#define NUM_INPUTS 3
#define NUM_SAMPLES 40
#define NUM_POINTS 300 /* more than one block */

static double noise_of(const struct gp *gp)
{
    return pow(4, -gp->noise);
}

/* Matern 3/2, a product over the inputs. */
static double reference_kernel(const struct gp *gp, const uint16_t *a, const uint16_t *b)
{
    double product = 1;
    for (int32_t i = 0; i < gp->num_inputs; i++) {
        double r = sqrt(3) * fabs((double)a[i] - b[i]) / (GP_SPAN * pow(2, (gp->length[i] - 4) / 2.0));
        product *= (1 + r) * exp(-r);
    }
    return product;
}

/* Solves a x = b in place by elimination with pivoting; a[n][n]. */
static void solve(double *a, double *b, int n)
{
    for (int k = 0; k < n; k++) {
        int pivot = k;
        for (int i = k + 1; i < n; i++)
            pivot = fabs(a[i * n + k]) > fabs(a[pivot * n + k]) ? i : pivot;
        for (int j = 0; j < n; j++) {
            double swap = a[k * n + j];
            a[k * n + j] = a[pivot * n + j];
            a[pivot * n + j] = swap;
        }
        double swap = b[k];
        b[k] = b[pivot];
        b[pivot] = swap;
        for (int i = k + 1; i < n; i++) {
            double f = a[i * n + k] / a[k * n + k];
            for (int j = k; j < n; j++)
                a[i * n + j] -= f * a[k * n + j];
            b[i] -= f * b[k];
        }
    }
    for (int k = n - 1; k >= 0; k--) {
        for (int j = k + 1; j < n; j++)
            b[k] -= a[k * n + j] * b[j];
        b[k] /= a[k * n + k];
    }
}

static void reference_posterior(const struct gp *gp, const uint16_t *point, double *mean, double *variance)
{
    int n = gp->num_samples;
    double *matrix = malloc(sizeof *matrix * (size_t)(n * n)), *weights = malloc(sizeof *weights * (size_t)n);
    for (int i = 0; i < n; i++) {
        weights[i] = reference_kernel(gp, gp->inputs + i * gp->num_inputs, point);
        for (int j = 0; j < n; j++)
            matrix[i * n + j] = reference_kernel(gp, gp->inputs + i * gp->num_inputs, gp->inputs + j * gp->num_inputs) +
                                (i == j ? noise_of(gp) : 0);
    }
    solve(matrix, weights, n);
    *mean = 0;
    *variance = 1;
    for (int i = 0; i < n; i++) {
        *mean += weights[i] * gp->target[i];
        *variance -= weights[i] * reference_kernel(gp, gp->inputs + i * gp->num_inputs, point);
    }
    free(matrix);
    free(weights);
}

struct fixture {
    struct gp gp;
    struct gp_points points;
};

/* Targets that depend much on the first input, a little on the second, and not on the third. */
static double shape(const uint16_t *x)
{
    return sin(x[0] / 25.0) + 0.5 * pow(x[1] / 256.0 - 0.4, 2);
}

static void make(struct fixture *f, double noise)
{
    struct rng rng;
    rng_seed(&rng, SEED);
    assert_true(gp_create(&f->gp, NUM_INPUTS, NUM_SAMPLES));
    assert_true(gp_points_create(&f->points, &f->gp, NUM_POINTS));
    for (int i = 0; i < NUM_SAMPLES * NUM_INPUTS; i++)
        f->gp.inputs[i] = (uint16_t)rng_below(&rng, GP_SPAN + 1);
    for (int i = 0; i < NUM_SAMPLES; i++)
        f->gp.target[i] = shape(f->gp.inputs + i * NUM_INPUTS) + noise * (rng_double(&rng) - 0.5);
    for (int i = 0; i < NUM_POINTS * NUM_INPUTS; i++)
        f->points.inputs[i] = (uint16_t)rng_below(&rng, GP_SPAN + 1);
    memcpy(f->points.inputs, f->gp.inputs, NUM_SAMPLES * NUM_INPUTS * sizeof *f->gp.inputs);
    f->points.count = NUM_POINTS;
    f->gp.num_samples = NUM_SAMPLES;
}

static void release(struct fixture *f)
{
    gp_points_destroy(&f->points);
    gp_destroy(&f->gp);
}

/* Tables and points are in single precision. */
#define TOLERANCE 1e-4

static void posterior_is_the_textbooks(void **state)
{
    (void)state;
    struct fixture f;
    make(&f, 0.1);
    f.gp.length[0] = 1;
    f.gp.length[1] = 5;
    f.gp.length[2] = 12;
    gp_condition(&f.gp, 0);
    gp_points_update(&f.points, &f.gp);
    for (int i = 0; i < NUM_POINTS; i++) {
        double mean, variance;
        reference_posterior(&f.gp, f.points.inputs + i * NUM_INPUTS, &mean, &variance);
        if (fabs(f.points.mean[i] - mean) > TOLERANCE || fabs(f.points.variance[i] - variance) > TOLERANCE)
            fail_msg("point %d, seed %d: mean %g for %g, variance %g for %g", i, SEED, (double)f.points.mean[i], mean,
                     (double)f.points.variance[i], variance);
    }
    release(&f);
}

static void samples_are_known(void **state)
{
    (void)state;
    struct fixture f;
    make(&f, 0);
    f.gp.noise = GP_NOISES - 1;
    gp_condition(&f.gp, 0);
    gp_points_update(&f.points, &f.gp);
    double away = 0;
    for (int i = 0; i < NUM_POINTS; i++) {
        if (i >= NUM_SAMPLES) {
            away += f.points.variance[i] / (NUM_POINTS - NUM_SAMPLES);
            continue;
        }
        assert_true(fabsf(f.points.variance[i]) < 1e-4F);
        assert_true(fabs(f.points.mean[i] - f.gp.target[i]) < 0.02);
        assert_true(fabs(f.points.mean[i] - gp_mean_at_sample(&f.gp, i)) < TOLERANCE);
    }
    assert_true(away > 0.005);
    release(&f);
}

static void samples_may_come_one_by_one(void **state)
{
    (void)state;
    struct fixture whole, grown;
    make(&whole, 0.1);
    make(&grown, 0.1);
    gp_condition(&whole.gp, 0);
    gp_points_update(&whole.points, &whole.gp);
    for (int n = 1; n <= NUM_SAMPLES; n++) {
        grown.gp.num_samples = n;
        gp_condition(&grown.gp, n - 1);
        gp_points_update(&grown.points, &grown.gp);
    }
    assert_memory_equal(whole.points.mean, grown.points.mean, NUM_POINTS * sizeof *whole.points.mean);
    assert_memory_equal(whole.points.variance, grown.points.variance, NUM_POINTS * sizeof *whole.points.variance);
    release(&whole);
    release(&grown);
}

/* As ill-conditioned as it gets: the longest lengths, the least noise, many samples twice. */
static void rounding_does_no_harm(void **state)
{
    (void)state;
    enum { CROWD = 300 };
    struct gp gp;
    struct gp_points points;
    assert_true(gp_create(&gp, NUM_INPUTS, CROWD) && gp_points_create(&points, &gp, CROWD));
    for (int i = 0; i < CROWD; i++) {
        for (int k = 0; k < NUM_INPUTS; k++)
            gp.inputs[i * NUM_INPUTS + k] = (uint16_t)(64 * (i / (k == 0 ? 1 : k == 1 ? 5 : 25) % 5));
        gp.target[i] = shape(gp.inputs + i * NUM_INPUTS) - shape(gp.inputs);
    }
    memcpy(points.inputs, gp.inputs, CROWD * NUM_INPUTS * sizeof *gp.inputs);
    for (int k = 0; k < NUM_INPUTS; k++)
        gp.length[k] = GP_LENGTHS - 1;
    gp.noise = GP_NOISES - 1;
    gp.num_samples = points.count = CROWD;
    gp_condition(&gp, 0);
    gp_points_update(&points, &gp);
    for (int i = 0; i < CROWD; i++) {
        assert_true(fabs(points.mean[i] - gp_mean_at_sample(&gp, i)) < 0.01);
        assert_true(points.variance[i] > -1e-4F && points.variance[i] < 1e-3F);
    }
    gp_points_destroy(&points);
    gp_destroy(&gp);
}

static void lengths_tell_what_matters(void **state)
{
    (void)state;
    struct fixture f;
    make(&f, 0);
    gp_optimise(&f.gp, 4);
    assert_true(f.gp.length[0] < f.gp.length[1]);
    assert_true(f.gp.length[1] <= f.gp.length[2]);
    int32_t quiet = f.gp.noise;
    release(&f);
    make(&f, 2);
    gp_optimise(&f.gp, 4);
    assert_true(f.gp.noise < quiet); /* the grid falls */
    release(&f);
}

static void improvement_is_the_integral(void **state)
{
    (void)state;
    struct improvement improvement;
    improvement_create(&improvement);
    double before = 0;
    for (double u = -12; u < 12; u += 0.01) {
        double now = improvement_expected(&improvement, u);
        assert_true(now > before);
        before = now;
        /* Below, the formula's difference of equal numbers says nothing. */
        if (u < -6)
            continue;
        double exact = u * 0.5 * erfc(-u / sqrt(2)) + exp(-0.5 * u * u) / sqrt(2 * acos(-1));
        if (fabs(now - exact) > 0.01 * exact)
            fail_msg("improvement %g for %g at %g", now, exact, u);
    }
}

static const int32_t tiles[] = {16, 256, 64, 32, 128}, counts[] = {1, 2, 3}, switches[] = {0, 1}, one[] = {7};
static const struct search_param params[] = {
    {"TILE", tiles, 5, -1, 0}, {"FIXED", one, 1, -1, 0}, {"COUNT", counts, 3, -1, 0}, {"SWITCH", switches, 2, -1, 0}};
static const struct search_space space = {4, params, NULL, NULL};

static void inputs_are_places_in_the_span(void **state)
{
    (void)state;
    const double features[] = {1, 5, 3, 5, 2, 5}; /* the second is the same for all */
    struct search_options options = {.strategy = "random",
                                     .budget_tests = 10,
                                     .seed = 1,
                                     .num_workloads = 3,
                                     .num_features = 2,
                                     .features = features};
    struct search *search = search_create(&space, &options);
    struct inputs inputs;
    assert_true(search && inputs_create(&inputs, search));
    assert_int_equal(inputs.num_inputs, 5);
    uint16_t out[5];
    const int32_t values[] = {64, 7, 2, 1};
    inputs_fill(&inputs, search, pool_find_values(&search->pool, values), 2, out);
    assert_int_equal(out[0], GP_SPAN / 2); /* the middle of 16 to 256 by ratio and by rank */
    assert_int_equal(out[1], GP_SPAN / 2);
    assert_int_equal(out[2], 0); /* the odd part of 2 is 1; 3 is at the other end */
    assert_int_equal(out[3], GP_SPAN);
    assert_int_equal(out[4], GP_SPAN / 2);
    inputs_destroy(&inputs);
    search_destroy(search);
}

static const int32_t steps[] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12};
static const struct search_param steep_params[] = {
    {"A", steps, 12, -1, 0}, {"B", steps, 12, -1, 0}, {"C", steps, 12, -1, 0}, {"D", steps, 12, -1, 0}};
static const struct search_space steep_space = {4, steep_params, NULL, NULL};

static double steep_time(const struct search_proposal *p)
{
    double a = p->values[0] - 9 + p->workload, b = p->values[1] - 4, c = p->values[2] - p->values[0],
           d = p->values[3] - 7;
    return 1 + 0.1 * a * a + 0.05 * b * b + 0.02 * c * c + 0.05 * fabs(d);
}

/* Both beyond the samples that the process holds and beyond the pairs that it compares: 2 * 20,736. */
static void long_searches_go_on(void **state)
{
    (void)state;
    struct search_options options = {.strategy = "default", .budget_tests = 420, .seed = SEED, .num_workloads = 2};
    struct search *search = search_create(&steep_space, &options);
    assert_non_null(search);
    struct search_proposal p;
    int32_t from_model = 0, failures = 0;
    for (int t = 0; t < 420; t++) {
        assert_true(search_ask(search, &p));
        from_model += strcmp(p.why, "model") == 0;
        bool fails = p.values[1] > 10;
        failures += fails;
        search_tell(search, fails ? SEARCH_FAILED : SEARCH_OK, steep_time(&p));
    }
    assert_true(from_model > 400);
    if (failures > 420 / 8) /* at random a sixth would fail */
        fail_msg("%d failures, seed %d", failures, SEED);
    for (int32_t w = 0; w < 2; w++) {
        int32_t values[SEARCH_MAX_PARAMS];
        double time;
        assert_true(search_best(search, w, 0, values, &time));
        assert_int_equal(values[0], 9 - w);
        assert_int_equal(values[1], 4);
        assert_int_equal(values[2], 9 - w);
        assert_int_equal(values[3], 7);
    }
    search_destroy(search);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(posterior_is_the_textbooks),    cmocka_unit_test(samples_are_known),
        cmocka_unit_test(samples_may_come_one_by_one),   cmocka_unit_test(rounding_does_no_harm),
        cmocka_unit_test(lengths_tell_what_matters),     cmocka_unit_test(improvement_is_the_integral),
        cmocka_unit_test(inputs_are_places_in_the_span), cmocka_unit_test(long_searches_go_on),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
