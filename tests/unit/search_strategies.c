/* SPDX-License-Identifier: Apache-2.0
 * What holds for every strategy of the table. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "search/moves.h"
#include "search/search.h"
#include "search/strategy.h"

#define NUM_SEEDS 20

/* Two families, of which one has parameters of its own, one of these below another: 4 * 8 * (1 + 6 * (1 + 5) + 1) ...
 */
static const int32_t families[] = {1, 2, 3}, tiles[] = {8, 16, 24, 32, 48, 64, 96, 128}, widths[] = {1, 2, 4, 8},
                     stages[] = {0, 1, 2, 3, 4, 5}, flags[] = {0, 1};
enum { FAMILY, TILE_X, TILE_Y, WIDTH, STAGED, STAGES, PARAMS };
static const struct search_param params[PARAMS] = {
    [FAMILY] = {"FAMILY", families, 3, -1, 0},  [TILE_X] = {"TILE_X", tiles, 8, -1, 0},
    [TILE_Y] = {"TILE_Y", tiles, 8, -1, 0},     [WIDTH] = {"WIDTH", widths, 4, -1, 0},
    [STAGED] = {"STAGED", flags, 2, FAMILY, 2}, [STAGES] = {"STAGES", stages, 6, STAGED, 1},
};

static bool feasible(void *priv, int32_t workload, const int32_t *v)
{
    (void)priv;
    (void)workload;
    return v[TILE_X] * v[TILE_Y] <= 4096;
}

static const struct search_space space = {PARAMS, params, feasible, NULL};

/* The planted optimum: family 2, staged, 4 stages, tiles of 64 x 32 (their product matters most), width 4. Tiles that
 * are not powers of two cost more. */
static double planted(int32_t workload, const int32_t *v)
{
    double area = fabs(log2(v[TILE_X]) + log2(v[TILE_Y]) - 11), shape = fabs(log2(v[TILE_X]) - log2(v[TILE_Y]) - 1);
    double time = 1 + 0.4 * area + 0.2 * shape + 0.15 * fabs(log2(v[WIDTH]) - 2);
    time *= v[TILE_X] % 3 == 0 || v[TILE_Y] % 3 == 0 ? 1.5 : 1;
    time *= v[FAMILY] == 2 ? (v[STAGED] ? 1 + 0.1 * abs(v[STAGES] - 4) : 1.6) : 1.4;
    return time * (workload + 1);
}

static struct search *create(const char *strategy, int32_t budget, uint64_t seed, int32_t num_workloads)
{
    struct search_options options = {
        .strategy = strategy, .budget_tests = budget, .seed = seed, .num_workloads = num_workloads};
    struct search *search = search_create(&space, &options);
    assert_non_null(search);
    return search;
}

static void inactive_parameters_stay(void **state)
{
    (void)state;
    for (int i = 0; search_strategy_name(i); i++) {
        struct search *search = create(search_strategy_name(i), 200, 7, 2);
        struct search_proposal p;
        int staged = 0;
        for (int t = 0; t < 200; t++) {
            assert_true(search_ask(search, &p));
            assert_true(feasible(NULL, p.workload, p.values));
            assert_true(p.values[FAMILY] == 2 || p.values[STAGED] == 0);
            assert_true(p.values[STAGED] == 1 || p.values[STAGES] == 0);
            staged += p.values[STAGED];
            search_tell(search, SEARCH_OK, planted(p.workload, p.values));
        }
        /* The systematic one does not come to family 2 so soon. */
        if (strcmp(search_strategy_name(i), "exhaustive") != 0 && staged < 10)
            fail_msg("%s: %d of 200 tests with the deepest parameter active (seed 7)", search_strategy_name(i), staged);
        search_destroy(search);
    }
}

static double mean_log_best(const char *strategy, int32_t tests)
{
    double sum = 0;
    for (uint64_t seed = 1; seed <= NUM_SEEDS; seed++) {
        struct search *search = create(strategy, tests, seed, 1);
        struct search_proposal p;
        for (int32_t t = 0; t < tests && search_ask(search, &p); t++)
            search_tell(search, SEARCH_OK, planted(0, p.values));
        int32_t values[SEARCH_MAX_PARAMS];
        double time;
        assert_true(search_best(search, 0, 0, values, &time));
        sum += log(time);
        search_destroy(search);
    }
    return sum / NUM_SEEDS;
}

static void guided_walks_beat_random(void **state)
{
    (void)state;
    double random = mean_log_best("random", 80);
    for (int i = 0; search_strategy_name(i); i++) {
        const char *name = search_strategy_name(i);
        if (strcmp(name, "random") == 0 || strcmp(name, "exhaustive") == 0)
            continue;
        double own = mean_log_best(name, 80);
        if (own > 0.75 * random)
            fail_msg("%s: mean log time %g after 80 tests, random %g (seeds 1 to %d)", name, own, random, NUM_SEEDS);
    }
}

static void default_beats_the_others(void **state)
{
    (void)state;
    double own = mean_log_best("default", 80);
    for (int i = 1; search_strategy_name(i); i++) {
        double other = mean_log_best(search_strategy_name(i), 80);
        if (own > other)
            fail_msg("%s: mean log time %g after 80 tests, default %g (seeds 1 to %d)", search_strategy_name(i), other,
                     own, NUM_SEEDS);
    }
}

static void settings_have_bounds(void **state)
{
    (void)state;
    for (int i = 0; search_strategy_name(i); i++) {
        const char *name = search_strategy_name(i);
        assert_true(strlen(search_strategy_doc(i)) > 0);
        const struct search_setting *setting;
        for (int k = 0; (setting = search_strategy_setting(name, k)); k++) {
            assert_true(strlen(setting->doc) > 0 && setting->low < setting->high);
            assert_true(search_setting_valid(setting, setting->initial));
            const double values[] = {setting->low, setting->high, setting->low - 1, setting->high + 1, NAN};
            for (int v = 0; v < 5; v++) {
                struct search_setting_value value = {setting->name, values[v]};
                struct search_options options = {
                    .strategy = name, .num_settings = 1, .settings = &value, .budget_tests = 60, .num_workloads = 1};
                struct search *search = search_create(&space, &options);
                assert_true((search != NULL) == (v < 2));
                struct search_proposal p;
                for (int t = 0; search && t < 60; t++) {
                    assert_true(search_ask(search, &p));
                    search_tell(search, t % 7 ? SEARCH_OK : SEARCH_FAILED, planted(0, p.values));
                }
                search_destroy(search);
            }
        }
        struct search_setting_value unknown = {"no such setting", 1};
        struct search_options options = {.strategy = name, .num_settings = 1, .settings = &unknown, .num_workloads = 1};
        assert_null(search_create(&space, &options));
    }
}

static void workloads_take_turns(void **state)
{
    (void)state;
    for (int i = 0; search_strategy_name(i); i++) {
        struct search *search = create(search_strategy_name(i), 120, 3, 3);
        struct search_proposal p;
        int tests[3] = {0};
        for (int t = 0; t < 120 && search_ask(search, &p); t++) {
            tests[p.workload]++;
            search_tell(search, SEARCH_OK, planted(p.workload, p.values));
        }
        for (int w = 0; w < 3; w++)
            if (tests[w] < 20)
                fail_msg("%s: %d of 120 tests for workload %d (seed 3)", search_strategy_name(i), tests[w], w);
        search_destroy(search);
    }
}

static void moves_stay_close(void **state)
{
    (void)state;
    struct search *search = create("random", 100, 5, 1);
    for (int t = 0; t < 500; t++) {
        int32_t from = (int32_t)rng_below(&search->rng, (uint64_t)search->pool.count);
        int32_t to = move_from(search, from, 0, 1, STEP_ADJACENT);
        if (to < 0)
            continue;
        const uint16_t *a = pool_row(&search->pool, from), *b = pool_row(&search->pool, to);
        int changed = 0;
        for (int k = 0; k < PARAMS; k++)
            if (a[k] != b[k] && pool_active(&search->pool, a, k) && pool_active(&search->pool, b, k)) {
                assert_int_equal(abs(a[k] - b[k]), 1);
                changed++;
            }
        assert_int_equal(changed, 1);
    }
    for (int t = 0; t < 500; t++) {
        int32_t a = (int32_t)rng_below(&search->rng, (uint64_t)search->pool.count);
        int32_t b = (int32_t)rng_below(&search->rng, (uint64_t)search->pool.count);
        int32_t child = move_cross(search, a, b, 0, 0);
        assert_true(child < search->pool.count && child != a && child != b);
    }
    search_destroy(search);
}

static void walks_accept_by_the_temperature(void **state)
{
    (void)state;
    struct search *search = create("random", 100, 11, 1);
    int accepted = 0;
    for (int t = 0; t < 10000; t++)
        accepted += move_accepted(search, 2, 3, 0.5);
    /* exp(-1), within five deviations */
    if (abs(accepted - 3679) > 240)
        fail_msg("%d of 10000 accepted, not about 3679 (seed 11)", accepted);
    assert_true(move_accepted(search, 2, 2, 1e-6));
    assert_true(move_accepted(search, 0, 0, 1e-6));
    assert_false(move_accepted(search, 2, 0, 100));
    search_destroy(search);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(inactive_parameters_stay),
        cmocka_unit_test(guided_walks_beat_random),
        cmocka_unit_test(default_beats_the_others),
        cmocka_unit_test(settings_have_bounds),
        cmocka_unit_test(workloads_take_turns),
        cmocka_unit_test(moves_stay_close),
        cmocka_unit_test(walks_accept_by_the_temperature),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
