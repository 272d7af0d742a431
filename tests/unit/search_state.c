/* SPDX-License-Identifier: Apache-2.0
 * Searches that are saved, dropped and restored; and states that somebody else wrote. */
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

#include "base/base.h"

#define NUM_PARAMS 5
#define NUM_WORKLOADS 2
#define BUDGET 40
#define TESTS 48 /* some of them beyond the budget */
#define POINTS 100
#define SEED 7

static const int32_t kinds[] = {0, 1, 2}, blocks[] = {8, 16, 32, 64}, sizes[] = {32, 64, 128}, flags[] = {0, 1};
static const attune_search_param params[NUM_PARAMS] = {{"KIND", kinds, 3, NULL, 0},
                                                       {"BLOCK", blocks, 4, NULL, 0},
                                                       {"SIZE", sizes, 3, NULL, 0},
                                                       {"STAGES", kinds, 3, "KIND", 2},
                                                       {"UNROLL", flags, 2, "STAGES", 1}};
static const double features[NUM_WORKLOADS] = {3.5, 7};
static const int32_t initial[2 * NUM_PARAMS] = {0, 32, 64, 0, 0, 2, 8, 32, 1, 1};

static int feasible(void *priv, int32_t workload, const int32_t *values)
{
    (void)priv;
    return values[1] * values[2] <= (workload ? 4096 : 2048);
}

static attune_search_options options_for(const char *strategy)
{
    attune_search_options options = ATTUNE_SEARCH_OPTIONS_INIT;
    options.strategy = strategy;
    options.budget_tests = BUDGET;
    options.seed = SEED;
    options.feasible = feasible;
    options.num_workloads = NUM_WORKLOADS;
    options.num_features = 1;
    options.features = features;
    options.initial = initial;
    options.num_initial = 2;
    options.portfolio = 1;
    return options;
}

/* A pair's time, with many digits; 0 = it fails. */
static double time_of(int32_t workload, const int32_t *v)
{
    if (v[0] == 1 && v[1] == 64)
        return 0;
    double size = v[2] / 32.0 - 1 - workload, block = v[1] / 24.0 - 1;
    return (1 + size * size + block * block / 3 + 0.1 * v[0] + 0.07 * v[3] - 0.05 * v[4]) / 7;
}

struct decision {
    int32_t workload, values[NUM_PARAMS];
};

static bool ask(attune_search *search, struct decision *decision)
{
    int32_t done;
    memset(decision, 0, sizeof *decision);
    assert_int_equal(attune_search_ask(search, &decision->workload, decision->values, &done), ATTUNE_OK);
    return !done;
}

static void tell(attune_search *search, const struct decision *d)
{
    double time = time_of(d->workload, d->values);
    assert_int_equal(attune_search_tell(search, time > 0 ? ATTUNE_OUTCOME_OK : ATTUNE_OUTCOME_CRASHED, time),
                     ATTUNE_OK);
}

static attune_search *new_search(const char *strategy)
{
    attune_search_options options = options_for(strategy);
    attune_search *search;
    assert_int_equal(attune_search_create(&search, params, NUM_PARAMS, &options), ATTUNE_OK);
    return search;
}

static char *save(const attune_search *search)
{
    char *text;
    assert_int_equal(attune_search_save(search, &text), ATTUNE_OK);
    return text;
}

static void restored_searches_decide_as_uninterrupted_ones(void **state)
{
    (void)state;
    struct rng rng;
    rng_seed(&rng, SEED);
    for (size_t s = 0; attune_search_strategy(s); s++) {
        const char *strategy = attune_search_strategy(s);
        attune_search_options options = options_for(strategy);
        struct decision decisions[TESTS], again;
        char *saved[TESTS];
        attune_search *search = new_search(strategy);
        for (int t = 0; t < TESTS; t++) {
            saved[t] = save(search);
            assert_true(ask(search, &decisions[t]));
            if (t % 2) { /* a proposal that is pending is not part of the state, and is made again */
                free(saved[t]);
                saved[t] = save(search);
            }
            tell(search, &decisions[t]);
        }
        char *end = save(search);
        attune_search_destroy(&search);
        for (int point = 0; point < POINTS; point++) {
            int from = (int)rng_below(&rng, TESTS);
            assert_int_equal(
                attune_search_restore(&search, params, NUM_PARAMS, &options, saved[from], strlen(saved[from])),
                ATTUNE_OK);
            for (int t = from; t < TESTS; t++) {
                assert_true(ask(search, &again));
                if (memcmp(&again, &decisions[t], sizeof again) != 0)
                    fail_msg("%s: restored after test %d, decision %d is another (seed %d)", strategy, from, t, SEED);
                tell(search, &again);
            }
            char *text = save(search);
            assert_string_equal(text, end); /* times to the last bit */
            free(text);
            attune_search_destroy(&search);
        }
        free(end);
        for (int t = 0; t < TESTS; t++)
            free(saved[t]);
    }
}

static char *state_after(int tests)
{
    attune_search *search = new_search("random");
    struct decision decision;
    for (int t = 0; t < tests && ask(search, &decision); t++)
        tell(search, &decision);
    char *text = save(search);
    attune_search_destroy(&search);
    return text;
}

static void expect_refused(const attune_search_options *options, const char *text, size_t size, attune_status status,
                           const char *message)
{
    attune_search *search = (attune_search *)(void *)&search;
    assert_int_equal(attune_search_restore(&search, params, NUM_PARAMS, options, text, size), status);
    assert_null(search);
    if (!strstr(attune_last_error(), message))
        fail_msg("\"%s\" lacks \"%s\"", attune_last_error(), message);
}

static void other_arguments_are_named(void **state)
{
    (void)state;
    char *text = state_after(10);
    size_t size = strlen(text);
    attune_search_options options = options_for("default");
    expect_refused(&options, text, size, ATTUNE_ERROR_MISMATCH, "saved with \"strategy random\"");
    options = options_for("random");
    options.seed = 8;
    expect_refused(&options, text, size, ATTUNE_ERROR_MISMATCH, "\"seed 7\"; the arguments are \"seed 8\"");
    options = options_for("random");
    options.budget_tests = 41;
    expect_refused(&options, text, size, ATTUNE_ERROR_MISMATCH, "\"budget 40\"");
    options = options_for("random");
    options.num_workloads = 1;
    expect_refused(&options, text, size, ATTUNE_ERROR_MISMATCH, "\"workloads 2\"");
    options = options_for("random");
    options.portfolio = 0;
    expect_refused(&options, text, size, ATTUNE_ERROR_MISMATCH, "\"portfolio 1\"");
    options = options_for("random");
    const double others[] = {3.5, 7.5};
    options.features = others;
    expect_refused(&options, text, size, ATTUNE_ERROR_MISMATCH, "saved with \"features ");
    options = options_for("random");
    options.num_initial = 1;
    expect_refused(&options, text, size, ATTUNE_ERROR_MISMATCH, "saved with \"initial ");
    options = options_for("random");
    attune_search *search;
    assert_int_equal(attune_search_restore(&search, params, NUM_PARAMS - 1, &options, text, size),
                     ATTUNE_ERROR_INVALID_SIZE);
    options.num_initial = 0;
    assert_int_equal(attune_search_restore(&search, params, NUM_PARAMS - 1, &options, text, size),
                     ATTUNE_ERROR_MISMATCH);
    options = options_for("random");
    options.feasible = NULL; /* nobody can see that in advance: the decisions show it */
    expect_refused(&options, text, size, ATTUNE_ERROR_MISMATCH, "this one proposes");
    options.size = 0;
    expect_refused(&options, text, size, ATTUNE_ERROR_STRUCT_SIZE, "size");
    options = options_for("random");
    expect_refused(&options, NULL, size, ATTUNE_ERROR_NULL_ARGUMENT, "text");
    assert_int_equal(attune_search_restore(NULL, params, NUM_PARAMS, &options, text, size), ATTUNE_ERROR_NULL_ARGUMENT);
    free(text);
}

static void damage_is_found(void **state)
{
    (void)state;
    char *text = state_after(12);
    size_t size = strlen(text);
    attune_search_options options = options_for("random");
    for (size_t cut = 0; cut < size; cut++)
        expect_refused(&options, text, cut, ATTUNE_ERROR_SYNTAX, "text is");
    for (size_t i = 0; i < size; i++) {
        text[i] ^= 4;
        expect_refused(&options, text, size, ATTUNE_ERROR_SYNTAX, "text is");
        text[i] ^= 4;
    }
    expect_refused(&options, text, ((size_t)64 << 20) + 1, ATTUNE_ERROR_INVALID_SIZE, "at most 67108864");
    free(text);
}

static char *seal(struct strbuf *state)
{
    strbuf_printf(state, "crc32c %08x\n", (unsigned)crc32c(0, state->text, state->length));
    return strbuf_take(state);
}

/* The state with its first `from` replaced by `to`, or `to` appended, under a right checksum. */
static char *forge(const char *text, const char *from, const char *to)
{
    struct strbuf out = {0};
    size_t size = strlen(text) - 16;
    const char *at = from ? strstr(text, from) : text + size;
    assert_non_null(at);
    size_t before = (size_t)(at - text), after = before + (from ? strlen(from) : 0);
    strbuf_append(&out, text, before);
    strbuf_append(&out, to, strlen(to));
    strbuf_append(&out, text + after, size - after);
    return seal(&out);
}

static void forged_states_are_refused(void **state)
{
    (void)state;
    char *text = state_after(12);
    attune_search_options options = options_for("random");
    char first[16], time[17], line[40];
    const char *at = strstr(text, "\n0 0 32 64 0 0 "); /* the first seed on the first workload */
    assert_non_null(at);
    snprintf(first, sizeof first, "%.*s", 15, at);
    snprintf(time, sizeof time, "%.16s", at + 15);
    snprintf(line, sizeof line, "%s%s\n", first, time);
    const struct {
        const char *from, *to;
        attune_status status;
        const char *message;
    } forgeries[] = {
        {time, "7ff8000000000000", ATTUNE_ERROR_SYNTAX, "test 1 has no outcome"}, /* NaN */
        {time, "7ff0000000000000", ATTUNE_ERROR_SYNTAX, "test 1 has no outcome"}, /* infinity */
        {time, "bff0000000000000", ATTUNE_ERROR_SYNTAX, "test 1 has no outcome"}, /* -1 */
        {time, "0000000000000000", ATTUNE_ERROR_SYNTAX, "test 1 has no outcome"},
        {time, "3FF0000000000000", ATTUNE_ERROR_SYNTAX, "test 1 has no outcome"},
        {time, "3ff000000000000", ATTUNE_ERROR_SYNTAX, "test 1 has no outcome"},
        {time, "3ff00000000000000", ATTUNE_ERROR_SYNTAX, "test 1 has no outcome"},
        {time, "fail", ATTUNE_ERROR_SYNTAX, "test 1 has no outcome"},
        {time, "", ATTUNE_ERROR_SYNTAX, "test 1 has no outcome"},
        {"\n0 0 32", "\n0  0 32", ATTUNE_ERROR_MISMATCH, "test 1 of the saved search"},
        {"\n0 0 32", "\n00 0 32", ATTUNE_ERROR_MISMATCH, "test 1 of the saved search"},
        {"\n0 0 32", "\n0 0 99999999999999999999", ATTUNE_ERROR_MISMATCH, "test 1 of the saved search"},
        {"\n0 0 32", "\n\n0 0 32", ATTUNE_ERROR_MISMATCH, "test 1 of the saved search is \"\""},
        {"\n0 0 32", "\n\x01\n0 0 32", ATTUNE_ERROR_MISMATCH, "is \"?\""},
        {line, "\n", ATTUNE_ERROR_MISMATCH, "test 1 of the saved search"},
        {"\nspace ", "\n", ATTUNE_ERROR_MISMATCH, "the arguments are \"space "},
        {"attune-search 1", "attune-search 2", ATTUNE_ERROR_MISMATCH, "the arguments are \"attune-search 1\""},
    };
    for (size_t i = 0; i < sizeof forgeries / sizeof *forgeries; i++) {
        char *forged = forge(text, forgeries[i].from, forgeries[i].to);
        expect_refused(&options, forged, strlen(forged), forgeries[i].status, forgeries[i].message);
        free(forged);
    }
    char twice[160];
    snprintf(twice, sizeof twice, "%s%s", line, line + 1);
    char *forged = forge(text, line, twice);
    expect_refused(&options, forged, strlen(forged), ATTUNE_ERROR_MISMATCH, "test 2 of the saved search");
    free(forged);
    free(text);

    text = state_after(1000); /* the whole space */
    forged = forge(text, NULL, "0 0 8 32 0 0 failed\n");
    expect_refused(&options, forged, strlen(forged), ATTUNE_ERROR_MISMATCH, "this one is done before it");
    free(forged);
    free(text);
}

/* Random changes under a right checksum: an error, or a state that is saved as it was read. */
static void random_forgeries_do_no_harm(void **state)
{
    (void)state;
    struct rng rng;
    rng_seed(&rng, SEED);
    char *text = state_after(12);
    size_t size = strlen(text);
    attune_search_options options = options_for("random");
    int accepted = 0;
    for (int i = 0; i < 2000; i++) {
        char *forged = malloc(size + 1);
        memcpy(forged, text, size + 1);
        for (uint64_t n = 1 + rng_below(&rng, 3); n > 0; n--) {
            size_t place = (size_t)rng_below(&rng, size - 16);
            uint64_t any = rng_below(&rng, 256);
            forged[place] = (char)(rng_below(&rng, 2) ? any : (uint64_t) "0123456789abcdef "[any % 17]);
        }
        snprintf(forged + size - 16, 17, "crc32c %08x\n", (unsigned)crc32c(0, forged, size - 16));
        attune_search *search;
        if (attune_search_restore(&search, params, NUM_PARAMS, &options, forged, size) == ATTUNE_OK) {
            accepted++;
            char *again = save(search);
            if (strlen(again) != size || memcmp(again, forged, size) != 0)
                fail_msg("forgery %d is read, and written otherwise (seed %d)", i, SEED);
            free(again);
            attune_search_destroy(&search);
        }
        free(forged);
    }
    assert_true(accepted > 0 && accepted < 1000); /* other times are possible ones */
    free(text);
}

static void save_checks_its_arguments(void **state)
{
    (void)state;
    char *text;
    attune_search *search = new_search(NULL);
    assert_int_equal(attune_search_save(NULL, &text), ATTUNE_ERROR_NULL_ARGUMENT);
    assert_int_equal(attune_search_save(search, NULL), ATTUNE_ERROR_NULL_ARGUMENT);
    attune_search_destroy(&search);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(restored_searches_decide_as_uninterrupted_ones),
        cmocka_unit_test(other_arguments_are_named),
        cmocka_unit_test(damage_is_found),
        cmocka_unit_test(forged_states_are_refused),
        cmocka_unit_test(random_forgeries_do_no_harm),
        cmocka_unit_test(save_checks_its_arguments),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
