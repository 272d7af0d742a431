/* SPDX-License-Identifier: Apache-2.0
 * Several workloads in one search, against one search for each. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <math.h>
#include <stdio.h>
#include <string.h>

#include <attune/tune.h>

#define NUM_PARAMS 6
#define NUM_WORKLOADS 6
#define BUDGET 180 /* over all workloads */
#define PORTFOLIO_BUDGET 90 /* within 180 the best portfolio is found without a plan, too */
#define SEEDS 5
#define REGRET 0.10 /* mean over the workloads, against their optima */

/* A tile-like space: 2,880 combinations, of which about half obey the constraints. */
static const int32_t blocks[] = {8, 16, 32, 64, 128, 256}, sizes[] = {32, 64, 128, 256, 512}, vectors[] = {1, 2, 4, 8},
                     flags[] = {0, 1};
static const attune_search_param params[NUM_PARAMS] = {
    {"BLOCK_Q", blocks, 6, NULL, 0}, {"BLOCK_KV", blocks, 6, NULL, 0}, {"WG_SIZE", sizes, 5, NULL, 0},
    {"VEC", vectors, 4, NULL, 0},    {"LOCAL", flags, 2, NULL, 0},     {"UNROLL", flags, 2, NULL, 0}};
/* log2 of a length: what the best tile follows; and a feature that tells nothing. */
static const double features[NUM_WORKLOADS][2] = {{4, 1}, {5, 0}, {6, 1}, {7, 0}, {8, 1}, {9, 0}};

static int feasible(void *priv, int32_t workload, const int32_t *v)
{
    (void)priv;
    (void)workload;
    return v[0] * v[1] <= 8192 && v[0] * v[3] <= 4 * v[2] && (!v[4] || v[1] <= 128);
}

static double time_of(int32_t workload, const int32_t *v)
{
    double length = features[workload][0];
    double q = log2(v[0]) - 3 - (length - 4) / 2, kv = log2(v[1]) - 6, wg = log2(v[2]) - 7, vec = log2(v[3]) - 2;
    double time = 1 + 0.30 * q * q + 0.15 * (q - kv) * (q - kv) + 0.2 * fabs(wg - q) + 0.12 * vec * vec;
    time *= v[4] ? 1 : 1.3;
    time *= v[5] == (v[3] > 2) ? 1 : 1.1;
    return time * exp2(length);
}

static void optima(double *best)
{
    for (int32_t w = 0; w < NUM_WORKLOADS; w++) {
        best[w] = INFINITY;
        for (int c = 0; c < 2880; c++) {
            int32_t v[] = {blocks[c % 6],        blocks[c / 6 % 6],  sizes[c / 36 % 5],
                           vectors[c / 180 % 4], flags[c / 720 % 2], flags[c / 1440]};
            if (feasible(NULL, w, v))
                best[w] = fmin(best[w], time_of(w, v));
        }
    }
}

static attune_search *create(int32_t num_workloads, int32_t budget, uint64_t seed, int32_t portfolio)
{
    attune_search_options options = ATTUNE_SEARCH_OPTIONS_INIT;
    options.budget_tests = budget;
    options.seed = seed;
    options.portfolio = portfolio;
    options.feasible = feasible;
    options.num_workloads = num_workloads;
    options.num_features = num_workloads > 1 ? 2 : 0;
    options.features = features[0];
    attune_search *search;
    assert_int_equal(attune_search_create(&search, params, NUM_PARAMS, &options), ATTUNE_OK);
    return search;
}

/* One test of a search; first: which workload is its number 0. Keeps the best times. */
static void test_once(attune_search *search, int32_t first, double *best)
{
    int32_t workload, values[NUM_PARAMS], done;
    assert_int_equal(attune_search_ask(search, &workload, values, &done), ATTUNE_OK);
    assert_false(done);
    workload += first;
    double time = time_of(workload, values);
    best[workload] = fmin(best[workload], time);
    assert_int_equal(attune_search_tell(search, ATTUNE_OUTCOME_OK, time), ATTUNE_OK);
}

static double mean_regret(const double *best, const double *optimum)
{
    double sum = 0;
    for (int32_t w = 0; w < NUM_WORKLOADS; w++)
        sum += best[w] / optimum[w] - 1;
    return sum / NUM_WORKLOADS;
}

/* Tests until the regret is reached, by one search (joint) or by a search for each workload, in turn. At most twice the
 * budget. */
static int tests_needed(const double *optimum, uint64_t seed, int joint)
{
    int num_searches = joint ? 1 : NUM_WORKLOADS, tests = 0;
    attune_search *searches[NUM_WORKLOADS];
    double best[NUM_WORKLOADS];
    for (int32_t w = 0; w < NUM_WORKLOADS; w++)
        best[w] = INFINITY;
    for (int s = 0; s < num_searches; s++)
        searches[s] = create(joint ? NUM_WORKLOADS : 1, BUDGET / num_searches, seed * NUM_WORKLOADS + (uint64_t)s, 0);
    while (!(mean_regret(best, optimum) <= REGRET) && tests < 2 * BUDGET) {
        test_once(searches[tests % num_searches], tests % num_searches, best);
        tests++;
    }
    for (int s = 0; s < num_searches; s++)
        attune_search_destroy(&searches[s]);
    return tests;
}

static void one_search_needs_fewer_tests_than_one_for_each(void **state)
{
    (void)state;
    double optimum[NUM_WORKLOADS];
    int joint = 0, alone = 0;
    optima(optimum);
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        joint += tests_needed(optimum, seed, 1);
        alone += tests_needed(optimum, seed, 0);
    }
    if (joint * 5 > alone * 4)
        fail_msg("until a mean regret of %g: %d tests jointly, %d apart (seeds 1 to %d)", REGRET, joint, alone, SEEDS);
}

/* Sum of the logarithms of what each workload takes with the portfolio of a search, over its optimum. A workload that
 * the portfolio does not serve counts as 100 times as slow. */
static double portfolio_loss(const double *optimum, uint64_t seed, int32_t planned, int32_t max_configs)
{
    double best[NUM_WORKLOADS], regret[NUM_WORKLOADS], sum = 0;
    int32_t values[NUM_WORKLOADS * NUM_PARAMS], count, assigned[NUM_WORKLOADS];
    attune_search *search = create(NUM_WORKLOADS, PORTFOLIO_BUDGET, seed, planned);
    for (int32_t w = 0; w < NUM_WORKLOADS; w++)
        best[w] = INFINITY;
    for (int t = 0; t < PORTFOLIO_BUDGET; t++)
        test_once(search, 0, best);
    assert_int_equal(attune_search_portfolio(search, max_configs, values, &count, assigned, regret), ATTUNE_OK);
    assert_true(count >= 1 && count <= max_configs);
    for (int32_t w = 0; w < NUM_WORKLOADS; w++) {
        double time = assigned[w] < 0 ? 100 * optimum[w] : time_of(w, values + assigned[w] * NUM_PARAMS);
        if (assigned[w] >= 0)
            assert_true(fabs(time / best[w] - 1 - regret[w]) < 1e-12);
        sum += log(time / optimum[w]);
    }
    attune_search_destroy(&search);
    return sum;
}

/* Within the same budget, one of few configurations is better where the search was told that it is wanted. */
static void a_portfolio_that_is_planned_for_is_better(void **state)
{
    (void)state;
    double optimum[NUM_WORKLOADS];
    optima(optimum);
    for (int32_t k = 1; k <= 2; k++) {
        double planned = 0, unplanned = 0;
        for (uint64_t seed = 1; seed <= SEEDS; seed++) {
            planned += portfolio_loss(optimum, seed, k, k);
            unplanned += portfolio_loss(optimum, seed, 0, k);
        }
        if (planned > 0.8 * unplanned)
            fail_msg("%d configurations: sum of log losses %g planned, %g not (seeds 1 to %d)", (int)k, planned,
                     unplanned, SEEDS);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_search_needs_fewer_tests_than_one_for_each),
        cmocka_unit_test(a_portfolio_that_is_planned_for_is_better),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
