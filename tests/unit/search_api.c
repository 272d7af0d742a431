/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include <attune/tune.h>

static const int32_t sizes[] = {1, 2, 4, 8}, flags[] = {0, 1};
static const attune_search_param params[] = {{"SIZE", sizes, 4}, {"FLAG", flags, 2}};

static int not_four(void *priv, const int32_t *values)
{
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
    attune_search *search = NULL;
    assert_int_equal(attune_search_create(&search, params, 2, &options), ATTUNE_OK);

    int32_t values[2] = {0}, again[2], done = 1;
    double time = 0;
    assert_int_equal(attune_search_best(search, values, &time), ATTUNE_ERROR_NOT_TUNED);
    int tests = 0;
    for (; attune_search_ask(search, values, &done) == ATTUNE_OK && !done; tests++) {
        if (tests == 0)
            assert_memory_equal(values, initial, sizeof initial);
        assert_int_equal(attune_search_ask(search, again, &done), ATTUNE_OK);
        assert_memory_equal(values, again, sizeof values);
        attune_outcome outcome = values[0] == 1 ? ATTUNE_OUTCOME_CRASHED : ATTUNE_OUTCOME_OK;
        assert_int_equal(attune_search_tell(search, outcome, outcome ? NAN : 10.0 * values[0] - values[1]), ATTUNE_OK);
    }
    assert_int_equal(tests, 6);
    assert_true(calls > 0);
    again[0] = again[1] = 77;
    assert_int_equal(attune_search_ask(search, again, &done), ATTUNE_OK);
    assert_true(done == 1 && again[0] == 77);
    assert_int_equal(attune_search_tell(search, ATTUNE_OUTCOME_OK, 1), ATTUNE_ERROR_MISMATCH);
    assert_int_equal(attune_search_best(search, values, &time), ATTUNE_OK);
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
    assert_int_equal(attune_search_ask(search, &x, &done), ATTUNE_OK);
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
    expect_error(params, 2, &bad, ATTUNE_ERROR_INVALID_SIZE, "initial[1] is 3");
    expect_error((attune_search_param[]){{"A", sizes, 4}, {NULL, flags, 2}}, 2, &ok, ATTUNE_ERROR_NULL_ARGUMENT,
                 "params[1].name");
    expect_error((attune_search_param[]){{"A", NULL, 4}}, 1, &ok, ATTUNE_ERROR_NULL_ARGUMENT, "params[0].values");
    expect_error((attune_search_param[]){{"A", sizes, 0}}, 1, &ok, ATTUNE_ERROR_INVALID_SIZE, "num_values is 0");
    expect_error((attune_search_param[]){{"A", sizes, 65536}}, 1, &ok, ATTUNE_ERROR_INVALID_SIZE,
                 "num_values is 65536");
    expect_error((attune_search_param[]){{"A", twice, 3}}, 1, &ok, ATTUNE_ERROR_INVALID_SIZE, "has 3 twice");
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
    assert_int_equal(attune_search_ask(NULL, values, &done), ATTUNE_ERROR_NULL_ARGUMENT);
    assert_int_equal(attune_search_ask(search, NULL, &done), ATTUNE_ERROR_NULL_ARGUMENT);
    assert_int_equal(attune_search_ask(search, values, NULL), ATTUNE_ERROR_NULL_ARGUMENT);
    assert_int_equal(attune_search_ask(search, values, &done), ATTUNE_OK);
    assert_int_equal(attune_search_tell(NULL, ATTUNE_OUTCOME_OK, 1), ATTUNE_ERROR_NULL_ARGUMENT);
    const double bad_times[] = {0, -1, NAN, INFINITY};
    for (size_t i = 0; i < sizeof bad_times / sizeof *bad_times; i++)
        assert_int_equal(attune_search_tell(search, ATTUNE_OUTCOME_OK, bad_times[i]), ATTUNE_ERROR_INVALID_SIZE);
    assert_int_equal(attune_search_tell(search, (attune_outcome)10, 1), ATTUNE_ERROR_ENUM);
    assert_int_equal(attune_search_tell(search, ATTUNE_OUTCOME_OK, 1), ATTUNE_OK); /* the refused ones did not count */
    assert_int_equal(attune_search_tell(search, ATTUNE_OUTCOME_OK, 1), ATTUNE_ERROR_MISMATCH);
    assert_int_equal(attune_search_best(NULL, values, &time), ATTUNE_ERROR_NULL_ARGUMENT);
    assert_int_equal(attune_search_best(search, NULL, &time), ATTUNE_ERROR_NULL_ARGUMENT);
    assert_int_equal(attune_search_best(search, values, NULL), ATTUNE_ERROR_NULL_ARGUMENT);
    attune_search_destroy(&search);
}

/* Every combination of 128 parameters with two values: no table of the space fits any memory. */
static void a_huge_space_is_searched(void **state)
{
    (void)state;
    attune_search_param many[128];
    for (int i = 0; i < 128; i++)
        many[i] = (attune_search_param){"BIT", flags, 2};
    attune_search_options options = ATTUNE_SEARCH_OPTIONS_INIT;
    options.budget_tests = 60;
    attune_search *search;
    assert_int_equal(attune_search_create(&search, many, 128, &options), ATTUNE_OK);
    for (int i = 0; i < 70; i++) {
        int32_t values[128], done, ones = 0;
        assert_int_equal(attune_search_ask(search, values, &done), ATTUNE_OK);
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
        cmocka_unit_test(a_search_from_create_to_best),      cmocka_unit_test(parameters_are_copied),
        cmocka_unit_test(bad_arguments_of_create_are_named), cmocka_unit_test(misuse_of_ask_and_tell_is_refused),
        cmocka_unit_test(a_huge_space_is_searched),          cmocka_unit_test(strategies_are_listed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
