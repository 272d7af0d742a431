/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <attune/tune.h>

static const int32_t sizes[] = {1, 2, 4, 8}, flags[] = {0, 1};
static const attune_search_param params[] = {{"SIZE", sizes, 4, NULL, 0}, {"FLAG", flags, 2, NULL, 0}};

static int not_four(void *priv, int32_t workload, const int32_t *values)
{
    (void)workload;
    ++*(int *)priv;
    return values[0] != 4;
}

static void a_search_from_create_to_best(void **state)
{
    (void)state;
    int calls = 0;
    const int32_t initial[] = {8, 1};
    attune_search_options options = ATTUNE_SEARCH_OPTIONS_INIT;
    options.feasible = not_four;
    options.feasible_priv = &calls;
    options.initial = initial;
    options.num_initial = 1;
    attune_search *search = NULL;
    assert_int_equal(attune_search_create(&search, params, 2, &options), ATTUNE_OK);

    int32_t values[2] = {0}, again[2], done = 1;
    double time = 0;
    assert_int_equal(attune_search_best(search, 0, 0, values, &time), ATTUNE_ERROR_NOT_TUNED);
    int tests = 0;
    for (; attune_search_ask(search, NULL, values, &done) == ATTUNE_OK && !done; tests++) {
        if (tests == 0)
            assert_memory_equal(values, initial, sizeof initial);
        assert_int_equal(attune_search_ask(search, NULL, again, &done), ATTUNE_OK);
        assert_memory_equal(values, again, sizeof values);
        attune_outcome outcome = values[0] == 1 ? ATTUNE_OUTCOME_CRASHED : ATTUNE_OUTCOME_OK;
        assert_int_equal(attune_search_tell(search, outcome, outcome ? NAN : 10.0 * values[0] - values[1]), ATTUNE_OK);
    }
    assert_int_equal(tests, 6);
    assert_true(calls > 0);
    again[0] = again[1] = 77;
    assert_int_equal(attune_search_ask(search, NULL, again, &done), ATTUNE_OK);
    assert_true(done == 1 && again[0] == 77);
    assert_int_equal(attune_search_tell(search, ATTUNE_OUTCOME_OK, 1), ATTUNE_ERROR_MISMATCH);
    assert_int_equal(attune_search_best(search, 0, 0, values, &time), ATTUNE_OK);
    assert_true(values[0] == 2 && values[1] == 1 && time == 19);
    attune_search_destroy(&search);
    assert_null(search);
    attune_search_destroy(&search);
    attune_search_destroy(NULL);
}

static void parameters_are_copied(void **state)
{
    (void)state;
    int32_t *values = malloc(2 * sizeof *values);
    values[0] = 5;
    values[1] = 6;
    attune_search_param param = {"X", values, 2};
    attune_search_options options = ATTUNE_SEARCH_OPTIONS_INIT;
    attune_search *search;
    assert_int_equal(attune_search_create(&search, &param, 1, &options), ATTUNE_OK);
    values[0] = values[1] = -1;
    free(values);
    int32_t x, done;
    assert_int_equal(attune_search_ask(search, NULL, &x, &done), ATTUNE_OK);
    assert_true(x == 5 || x == 6);
    attune_search_destroy(&search);
}

static void expect_error(const attune_search_param *p, size_t n, const attune_search_options *o, attune_status status,
                         const char *text)
{
    attune_search *search = (attune_search *)(void *)&search;
    assert_int_equal(attune_search_create(&search, p, n, o), status);
    assert_null(search);
    if (!strstr(attune_last_error(), text))
        fail_msg("\"%s\" lacks \"%s\"", attune_last_error(), text);
}

static void bad_arguments_of_create_are_named(void **state)
{
    (void)state;
    attune_search_options ok = ATTUNE_SEARCH_OPTIONS_INIT, bad = ok;
    assert_int_equal(attune_search_create(NULL, params, 2, &ok), ATTUNE_ERROR_NULL_ARGUMENT);
    expect_error(NULL, 2, &ok, ATTUNE_ERROR_NULL_ARGUMENT, "params");
    expect_error(params, 2, NULL, ATTUNE_ERROR_NULL_ARGUMENT, "attune_search_options");
    expect_error(params, 0, &ok, ATTUNE_ERROR_INVALID_SIZE, "num_params is 0");
    expect_error(params, 129, &ok, ATTUNE_ERROR_INVALID_SIZE, "num_params is 129");
    bad.size = 0;
    expect_error(params, 2, &bad, ATTUNE_ERROR_STRUCT_SIZE, "size");
    bad = ok;
    bad.strategy = "annealing of dreams";
    expect_error(params, 2, &bad, ATTUNE_ERROR_ENUM, "annealing of dreams");
    bad = ok;
    bad.budget_tests = -1;
    expect_error(params, 2, &bad, ATTUNE_ERROR_INVALID_SIZE, "budget_tests is -1");
    const int32_t unknown[] = {2, 3}, twice[] = {3, 1, 3};
    bad = ok;
    bad.initial = unknown;
    bad.num_initial = 1;
    expect_error(params, 2, &bad, ATTUNE_ERROR_INVALID_SIZE, "initial[1] is 3");
    expect_error((attune_search_param[]){{"A", sizes, 4}, {NULL, flags, 2}}, 2, &ok, ATTUNE_ERROR_NULL_ARGUMENT,
                 "params[1].name");
    expect_error((attune_search_param[]){{"A", NULL, 4}}, 1, &ok, ATTUNE_ERROR_NULL_ARGUMENT, "params[0].values");
    expect_error((attune_search_param[]){{"A", sizes, 0}}, 1, &ok, ATTUNE_ERROR_INVALID_SIZE, "num_values is 0");
    expect_error((attune_search_param[]){{"A", sizes, 65536}}, 1, &ok, ATTUNE_ERROR_INVALID_SIZE,
                 "num_values is 65536");
    expect_error((attune_search_param[]){{"A", twice, 3}}, 1, &ok, ATTUNE_ERROR_INVALID_SIZE, "has 3 twice");
}

static void bad_options_of_joint_searches_are_named(void **state)
{
    (void)state;
    const attune_search_options ok = ATTUNE_SEARCH_OPTIONS_INIT;
    attune_search_options bad = ok;
    for (int32_t w = 0; w <= 65; w += 65) {
        bad.num_workloads = w;
        expect_error(params, 2, &bad, ATTUNE_ERROR_INVALID_SIZE, "options.num_workloads is");
    }
    bad = ok;
    for (int32_t f = -1; f <= 17; f += 18) {
        bad.num_features = f;
        expect_error(params, 2, &bad, ATTUNE_ERROR_INVALID_SIZE, "must be 0 to 16");
    }
    bad = ok;
    for (int32_t k = -1; k <= 17; k += 18) {
        bad.portfolio = k;
        expect_error(params, 2, &bad, ATTUNE_ERROR_INVALID_SIZE, "options.portfolio is");
    }
    bad = ok;
    bad.num_features = 1;
    expect_error(params, 2, &bad, ATTUNE_ERROR_NULL_ARGUMENT, "options.features is NULL");
    const double features[] = {1, NAN};
    bad.features = features;
    bad.num_workloads = 2;
    expect_error(params, 2, &bad, ATTUNE_ERROR_INVALID_SIZE, "options.features[1] is nan");
    bad = ok;
    bad.num_initial = 1;
    expect_error(params, 2, &bad, ATTUNE_ERROR_NULL_ARGUMENT, "options.initial is NULL");
    bad.num_initial = 4097;
    expect_error(params, 2, &bad, ATTUNE_ERROR_INVALID_SIZE, "options.num_initial is 4097");
    bad = ok;
    bad.num_settings = 1;
    expect_error(params, 2, &bad, ATTUNE_ERROR_NULL_ARGUMENT, "options.settings is NULL");
    attune_search_setting_value setting = {NULL, 1};
    bad.settings = &setting;
    expect_error(params, 2, &bad, ATTUNE_ERROR_NULL_ARGUMENT, "options.settings[0].name");
    setting.name = "luck";
    expect_error(params, 2, &bad, ATTUNE_ERROR_ENUM, "\"luck\", which is no setting of \"default\"");
}

/* Of every strategy: a default within the bounds, and an error on either side of them. */
static void settings_have_bounds(void **state)
{
    (void)state;
    attune_search_setting setting;
    for (size_t s = 0; attune_search_strategy(s); s++)
        for (size_t i = 0; attune_search_strategy_setting(attune_search_strategy(s), i, &setting); i++) {
            attune_search_setting_value value[] = {{setting.name, setting.initial}, {setting.name, setting.initial}};
            attune_search_options options = ATTUNE_SEARCH_OPTIONS_INIT;
            options.strategy = attune_search_strategy(s);
            options.settings = value;
            options.num_settings = 1;
            assert_true(setting.low <= setting.initial && setting.initial <= setting.high && setting.doc[0]);
            attune_search *search;
            assert_int_equal(attune_search_create(&search, params, 2, &options), ATTUNE_OK);
            attune_search_destroy(&search);
            const double bad[] = {setting.low - 1, setting.high + 1, NAN};
            for (int b = 0; b < 3; b++) {
                value[0].value = bad[b];
                expect_error(params, 2, &options, ATTUNE_ERROR_INVALID_SIZE, setting.name);
            }
            value[0].value = setting.initial;
            options.num_settings = 2;
            expect_error(params, 2, &options, ATTUNE_ERROR_MISMATCH, "twice");
        }
    assert_int_equal(attune_search_strategy_setting("no such", 0, &setting), 0);
    assert_int_equal(attune_search_strategy_setting("random", 0, NULL), 0);
    assert_int_equal(attune_search_strategy_setting(NULL, SIZE_MAX, &setting), 0);
}

/* B means something with A = 2, C with B = 8: 1 + 1 + (1 + 2) configurations. */
static void conditions_are_kept(void **state)
{
    (void)state;
    const int32_t a[] = {1, 2, 3}, b[] = {7, 8}, c[] = {5, 6};
    attune_search_param tree[] = {{"A", a, 3, NULL, 0}, {"B", b, 2, "A", 2}, {"C", c, 2, "B", 8}};
    const int32_t initial[] = {3, 1000, 1000, 2, 8, 6}; /* what means nothing may be anything */
    attune_search_options options = ATTUNE_SEARCH_OPTIONS_INIT;
    options.initial = initial;
    options.num_initial = 2;
    attune_search *search;
    assert_int_equal(attune_search_create(&search, tree, 3, &options), ATTUNE_OK);
    int32_t values[3], done, tests = 0;
    for (; attune_search_ask(search, NULL, values, &done) == ATTUNE_OK && !done; tests++) {
        if (tests == 0)
            assert_memory_equal(values, ((int32_t[]){3, 7, 5}), sizeof values);
        if (tests == 1)
            assert_memory_equal(values, initial + 3, sizeof values);
        assert_true(values[0] == 2 || values[1] == 7);
        assert_true(values[1] == 8 || values[2] == 5);
        assert_int_equal(attune_search_tell(search, ATTUNE_OUTCOME_OK, 1), ATTUNE_OK);
    }
    assert_int_equal(tests, 5);
    attune_search_destroy(&search);

    const int32_t unknown[] = {2, 8, 1000};
    options.initial = unknown;
    options.num_initial = 1;
    expect_error(tree, 3, &options, ATTUNE_ERROR_INVALID_SIZE, "initial[2] is 1000");
    options.num_initial = 0;
    tree[1].parent_value = 4;
    expect_error(tree, 3, &options, ATTUNE_ERROR_MISMATCH, "params[1].parent_value is 4");
    tree[1].parent = "C";
    expect_error(tree, 3, &options, ATTUNE_ERROR_MISMATCH, "params[1].parent is \"C\"");
    tree[1].parent = NULL;
    tree[1].name = "A";
    expect_error(tree, 3, &options, ATTUNE_ERROR_MISMATCH, "params[1].name is \"A\"");
}

static void a_proposal_is_explained(void **state)
{
    (void)state;
    const int32_t initial[] = {8, 1, 8, 0, 4, 1};
    attune_search_options options = ATTUNE_SEARCH_OPTIONS_INIT;
    options.strategy = "random";
    options.initial = initial;
    options.num_initial = 3;
    attune_search *search;
    attune_search_reason why;
    int32_t values[2], neighbour[2] = {77, 77}, done;
    assert_int_equal(attune_search_create(&search, params, 2, &options), ATTUNE_OK);
    assert_int_equal(attune_search_why(search, &why, neighbour), ATTUNE_ERROR_MISMATCH);
    assert_int_equal(attune_search_ask(search, NULL, values, &done), ATTUNE_OK);
    assert_int_equal(attune_search_why(search, NULL, neighbour), ATTUNE_ERROR_NULL_ARGUMENT);
    assert_int_equal(attune_search_why(NULL, &why, neighbour), ATTUNE_ERROR_NULL_ARGUMENT);
    assert_int_equal(attune_search_why(search, &why, neighbour), ATTUNE_OK);
    assert_string_equal(why.strategy, "random");
    assert_string_equal(why.reason, "seed");
    assert_true(why.predicted == 0 && why.factor == 0);
    assert_true(why.changed_params == -1 && !why.neighbour_ok && why.neighbour_time == 0 && neighbour[0] == 77);
    assert_int_equal(attune_search_tell(search, ATTUNE_OUTCOME_TIMEOUT, 0), ATTUNE_OK);
    assert_int_equal(attune_search_why(search, &why, neighbour), ATTUNE_ERROR_MISMATCH);

    assert_int_equal(attune_search_ask(search, NULL, values, &done), ATTUNE_OK);
    assert_int_equal(attune_search_why(search, &why, neighbour), ATTUNE_OK);
    assert_true(why.changed_params == 1 && !why.neighbour_ok && why.neighbour_time == 0);
    assert_memory_equal(neighbour, initial, sizeof neighbour);
    assert_int_equal(attune_search_tell(search, ATTUNE_OUTCOME_OK, 3), ATTUNE_OK);

    assert_int_equal(attune_search_ask(search, NULL, values, &done),
                     ATTUNE_OK); /* 4, 1: one step from the failed one */
    assert_int_equal(attune_search_why(search, &why, NULL), ATTUNE_OK);
    assert_true(why.changed_params == 1 && !why.neighbour_ok);
    assert_int_equal(attune_search_tell(search, ATTUNE_OUTCOME_OK, 2), ATTUNE_OK);
    for (; attune_search_ask(search, NULL, values, &done) == ATTUNE_OK && !done;) {
        assert_int_equal(attune_search_why(search, &why, neighbour), ATTUNE_OK);
        assert_string_equal(why.reason, "random");
        assert_int_equal(why.changed_params, (values[0] != neighbour[0]) + (values[1] != neighbour[1]));
        if (values[0] == 4 && values[1] == 0) /* 8, 0 and 4, 1 are as near: the faster, if nothing faster was told */
            assert_true(why.neighbour_ok && why.neighbour_time <= 2);
        assert_int_equal(attune_search_tell(search, ATTUNE_OUTCOME_OK, values[0]), ATTUNE_OK);
    }
    attune_search_destroy(&search);
}

static double model_time(const int32_t *values)
{
    return 10 + 3.0 * values[0] + values[1];
}

/* A model's expectation comes with its uncertainty, and is about right on a plain objective. */
static void a_model_says_how_sure_it_is(void **state)
{
    (void)state;
    int32_t many[32];
    for (int i = 0; i < 32; i++)
        many[i] = i;
    const attune_search_param grid[] = {{"X", many, 32, NULL, 0}, {"Y", many, 32, NULL, 0}};
    attune_search_options options = ATTUNE_SEARCH_OPTIONS_INIT;
    options.strategy = "forest";
    options.budget_tests = 60;
    attune_search *search;
    int32_t values[2], done, predictions = 0, uncertain = 0, within = 0;
    assert_int_equal(attune_search_create(&search, grid, 2, &options), ATTUNE_OK);
    for (int i = 0; i < 60; i++) {
        attune_search_reason why;
        assert_int_equal(attune_search_ask(search, NULL, values, &done), ATTUNE_OK);
        assert_int_equal(attune_search_why(search, &why, NULL), ATTUNE_OK);
        double time = model_time(values);
        if (why.predicted > 0) {
            predictions++;
            uncertain += why.factor > 1;
            within += time >= why.predicted / 2 && time <= why.predicted * 2;
        }
        assert_int_equal(attune_search_tell(search, ATTUNE_OUTCOME_OK, time), ATTUNE_OK);
    }
    if (predictions < 30 || uncertain < predictions / 2 || within < predictions * 9 / 10)
        fail_msg("%d predictions, %d with an uncertainty, %d within a factor of 2 (seed 1)", predictions, uncertain,
                 within);
    attune_search_destroy(&search);
}

/* Three workloads on SIZE x FLAG, with every pair told but those of workload 2 and SIZE 8, which are not feasible. */
static int not_eight_of_two(void *priv, int32_t workload, const int32_t *values)
{
    (void)priv;
    return workload != 2 || values[0] != 8;
}

static double joint_time(int32_t workload, const int32_t *values)
{
    /* Best: 1, 8 and 4, with flag 1 everywhere. */
    static const double by_size[3][4] = {{10, 11, 12, 15}, {20, 16, 12, 10}, {30, 20, 10, 0}};
    int v = values[0] == 8 ? 3 : values[0] / 2;
    return by_size[workload][v] + (values[1] ? 0 : 5);
}

static void a_portfolio_serves_all_workloads(void **state)
{
    (void)state;
    attune_search_options options = ATTUNE_SEARCH_OPTIONS_INIT;
    options.num_workloads = 3;
    options.feasible = not_eight_of_two;
    attune_search *search;
    int32_t workload, values[16 * 2], done, count = -7, assigned[3];
    double regret[3], time;
    assert_int_equal(attune_search_create(&search, params, 2, &options), ATTUNE_OK);
    assert_int_equal(attune_search_ask(search, NULL, values, &done), ATTUNE_ERROR_NULL_ARGUMENT);
    assert_int_equal(attune_search_portfolio(search, 2, values, &count, assigned, regret), ATTUNE_ERROR_NOT_TUNED);
    while (attune_search_ask(search, &workload, values, &done) == ATTUNE_OK && !done)
        assert_int_equal(attune_search_tell(search, ATTUNE_OUTCOME_OK, joint_time(workload, values)), ATTUNE_OK);

    assert_int_equal(attune_search_portfolio(search, 1, values, &count, assigned, regret), ATTUNE_OK);
    assert_int_equal(count, 1); /* SIZE 4: 12/10, 12/10, 10/10 */
    assert_true(values[0] == 4 && values[1] == 1);
    for (int w = 0; w < 3; w++)
        assert_true(assigned[w] == 0 && fabs(regret[w] - (w < 2 ? 0.2 : 0)) < 1e-12);
    assert_int_equal(attune_search_portfolio(search, 2, values, &count, assigned, regret), ATTUNE_OK);
    assert_int_equal(count, 2); /* 4 and either 1 or 8: the largest regret is 0.2 with both, the sums tell nothing */
    assert_true(regret[0] + regret[1] < 0.2 + 1e-12 && regret[2] == 0);
    assert_int_equal(attune_search_portfolio(search, 16, values, &count, assigned, regret), ATTUNE_OK);
    assert_int_equal(count, 3);
    for (int w = 0; w < 3; w++) {
        assert_true(regret[w] == 0);
        assert_int_equal(attune_search_best(search, w, 0, values + 6, &time), ATTUNE_OK);
        assert_memory_equal(values + 2 * assigned[w], values + 6, 2 * sizeof *values);
        assert_true(time == joint_time(w, values + 6));
    }
    assert_int_equal(attune_search_best(search, 2, 6, values, &time), ATTUNE_ERROR_NOT_TUNED);
    assert_int_equal(attune_search_best(search, 2, 5, values, &time), ATTUNE_OK);
    assert_int_equal(attune_search_best(search, 2, -1, values, &time), ATTUNE_ERROR_NOT_TUNED);
    assert_int_equal(attune_search_best(search, 3, 0, values, &time), ATTUNE_ERROR_INVALID_SIZE);
    assert_int_equal(attune_search_best(search, -1, 0, values, &time), ATTUNE_ERROR_INVALID_SIZE);
    assert_int_equal(attune_search_portfolio(search, 0, values, &count, assigned, regret), ATTUNE_ERROR_INVALID_SIZE);
    assert_int_equal(attune_search_portfolio(search, 17, values, &count, assigned, regret), ATTUNE_ERROR_INVALID_SIZE);
    assert_int_equal(attune_search_portfolio(search, 2, NULL, &count, assigned, regret), ATTUNE_ERROR_NULL_ARGUMENT);
    attune_search_destroy(&search);
}

/* Each workload was OK on one configuration alone, a failed one tells nothing, the third had no luck. */
static void a_portfolio_assumes_nothing_unmeasured(void **state)
{
    (void)state;
    const int32_t initial[] = {1, 0, 2, 0, 4, 0};
    attune_search_options options = ATTUNE_SEARCH_OPTIONS_INIT;
    options.num_workloads = 3;
    options.initial = initial;
    options.num_initial = 3;
    attune_search *search;
    int32_t workload, values[32], done, count, assigned[3];
    double regret[3];
    assert_int_equal(attune_search_create(&search, params, 2, &options), ATTUNE_OK);
    for (int i = 0; i < 9; i++) {
        assert_int_equal(attune_search_ask(search, &workload, values, &done), ATTUNE_OK);
        bool ok = (workload == 0 && values[0] == 1) || (workload == 1 && values[0] > 1);
        assert_int_equal(attune_search_tell(search, ok ? ATTUNE_OUTCOME_OK : ATTUNE_OUTCOME_WRONG, values[0]),
                         ATTUNE_OK);
    }
    assert_int_equal(attune_search_portfolio(search, 1, values, &count, assigned, regret), ATTUNE_OK);
    assert_true(count == 1 && assigned[0] + assigned[1] == -1 && assigned[2] == -1);
    assert_true(regret[0] + regret[1] == -1 && regret[2] == -1);
    assert_int_equal(attune_search_portfolio(search, 2, values, &count, assigned, regret), ATTUNE_OK);
    assert_true(count == 2 && assigned[0] != assigned[1] && assigned[2] == -1);
    assert_true(regret[0] == 0 && regret[1] == 0 && regret[2] == -1);
    assert_int_equal(values[2 * assigned[0]], 1);
    assert_int_equal(values[2 * assigned[1]], 2);
    attune_search_destroy(&search);
}

static void misuse_of_ask_and_tell_is_refused(void **state)
{
    (void)state;
    attune_search_options options = ATTUNE_SEARCH_OPTIONS_INIT;
    attune_search *search;
    int32_t values[2], done;
    double time;
    assert_int_equal(attune_search_create(&search, params, 2, &options), ATTUNE_OK);
    assert_int_equal(attune_search_tell(search, ATTUNE_OUTCOME_OK, 1), ATTUNE_ERROR_MISMATCH);
    assert_int_equal(attune_search_ask(NULL, NULL, values, &done), ATTUNE_ERROR_NULL_ARGUMENT);
    assert_int_equal(attune_search_ask(search, NULL, NULL, &done), ATTUNE_ERROR_NULL_ARGUMENT);
    assert_int_equal(attune_search_ask(search, NULL, values, NULL), ATTUNE_ERROR_NULL_ARGUMENT);
    assert_int_equal(attune_search_ask(search, NULL, values, &done), ATTUNE_OK);
    assert_int_equal(attune_search_tell(NULL, ATTUNE_OUTCOME_OK, 1), ATTUNE_ERROR_NULL_ARGUMENT);
    const double bad_times[] = {0, -1, NAN, INFINITY};
    for (size_t i = 0; i < sizeof bad_times / sizeof *bad_times; i++)
        assert_int_equal(attune_search_tell(search, ATTUNE_OUTCOME_OK, bad_times[i]), ATTUNE_ERROR_INVALID_SIZE);
    assert_int_equal(attune_search_tell(search, (attune_outcome)(ATTUNE_OUTCOME_ENVIRONMENT + 1), 1),
                     ATTUNE_ERROR_ENUM);
    assert_int_equal(attune_search_tell(search, ATTUNE_OUTCOME_OK, 1), ATTUNE_OK); /* the refused ones did not count */
    assert_int_equal(attune_search_tell(search, ATTUNE_OUTCOME_OK, 1), ATTUNE_ERROR_MISMATCH);
    assert_int_equal(attune_search_best(NULL, 0, 0, values, &time), ATTUNE_ERROR_NULL_ARGUMENT);
    assert_int_equal(attune_search_best(search, 0, 0, NULL, &time), ATTUNE_ERROR_NULL_ARGUMENT);
    assert_int_equal(attune_search_best(search, 0, 0, values, NULL), ATTUNE_ERROR_NULL_ARGUMENT);
    attune_search_destroy(&search);
}

/* Every combination of 128 parameters with two values: no table of the space fits any memory. */
static void a_huge_space_is_searched(void **state)
{
    (void)state;
    attune_search_param many[128];
    char names[128][8];
    for (int i = 0; i < 128; i++) {
        snprintf(names[i], sizeof names[i], "BIT%d", i);
        many[i] = (attune_search_param){names[i], flags, 2, NULL, 0};
    }
    attune_search_options options = ATTUNE_SEARCH_OPTIONS_INIT;
    options.budget_tests = 60;
    attune_search *search;
    assert_int_equal(attune_search_create(&search, many, 128, &options), ATTUNE_OK);
    for (int i = 0; i < 70; i++) {
        int32_t values[128], done, ones = 0;
        assert_int_equal(attune_search_ask(search, NULL, values, &done), ATTUNE_OK);
        assert_false(done);
        for (int p = 0; p < 128; p++)
            ones += values[p];
        assert_int_equal(attune_search_tell(search, ATTUNE_OUTCOME_OK, 1 + ones), ATTUNE_OK);
    }
    attune_search_destroy(&search);
}

static void strategies_are_listed(void **state)
{
    (void)state;
    assert_string_equal(attune_search_strategy(0), "default");
    size_t n = 0;
    while (attune_search_strategy(n)) {
        attune_search_options options = ATTUNE_SEARCH_OPTIONS_INIT;
        assert_true(attune_search_strategy_doc(n)[0] != '\0');
        options.strategy = attune_search_strategy(n++);
        attune_search *search;
        assert_int_equal(attune_search_create(&search, params, 2, &options), ATTUNE_OK);
        attune_search_destroy(&search);
    }
    assert_true(n >= 3);
    assert_null(attune_search_strategy(SIZE_MAX));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_search_from_create_to_best),
        cmocka_unit_test(parameters_are_copied),
        cmocka_unit_test(bad_arguments_of_create_are_named),
        cmocka_unit_test(misuse_of_ask_and_tell_is_refused),
        cmocka_unit_test(a_huge_space_is_searched),
        cmocka_unit_test(strategies_are_listed),
        cmocka_unit_test(bad_options_of_joint_searches_are_named),
        cmocka_unit_test(settings_have_bounds),
        cmocka_unit_test(conditions_are_kept),
        cmocka_unit_test(a_proposal_is_explained),
        cmocka_unit_test(a_model_says_how_sure_it_is),
        cmocka_unit_test(a_portfolio_serves_all_workloads),
        cmocka_unit_test(a_portfolio_assumes_nothing_unmeasured),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
