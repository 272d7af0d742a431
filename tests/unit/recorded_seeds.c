/* SPDX-License-Identifier: Apache-2.0
 * Seeds from other devices' records. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "recorded/recorded.h"

/* Twelve configurations of three parameters; times[i] of (a, b, c) = (i % 3, i / 3 % 2, i / 6); 0 = not there, below 0
 * = failed. */
static attune_space *space_of(const char *device, const char *kernel, const char *own, const double *times)
{
    struct strbuf text = {0};
    strbuf_printf(&text,
                  "{\"device_name\": \"%s\", \"kernel_name\": \"%s\", %s \"tune_params_keys\": [\"a\", \"b\", \"c\"], "
                  "\"tune_params\": {\"a\": [0, 1, 2], \"b\": [\"no\", \"yes\"], \"c\": [0, 1]}, \"cache\": {",
                  device, kernel, own);
    const char *comma = "";
    for (int i = 0; i < 12; i++) {
        const char *b = i / 3 % 2 ? "yes" : "no";
        if (times[i] == 0)
            continue;
        strbuf_printf(&text, "%s\"%d,%s,%d\": {\"a\": %d, \"b\": \"%s\", \"c\": %d, \"time\": ", comma, i % 3, b, i / 6,
                      i % 3, b, i / 6);
        if (times[i] > 0)
            strbuf_printf(&text, "%g}", times[i]);
        else
            strbuf_printf(&text, "\"RuntimeFailedConfig\"}");
        comma = ", ";
    }
    strbuf_printf(&text, "}}");
    attune_space *space = NULL;
    if (recorded_parse(device, text.text, text.length, &space) != ATTUNE_OK)
        fail_msg("%s", attune_last_error());
    strbuf_free(&text);
    return space;
}

static int32_t number_of(const int32_t *values)
{
    return values[0] + 3 * values[1] + 6 * values[2];
}

static const double flat[12] = {5, 5, 5, 5, 5, 5, 5, 5, 5, 5, 5, 5};

/* Configuration 0 is fast, but the target lacks it; 7 failed on both. One gives 1 = (1, no, 0). Of two, 4 = (1, yes, 0)
 * is too near, so it gives 11 = (2, yes, 1). Nothing differs from both in all three: of what differs in two, 3 and 6,
 * one has 6 first. */
static void devices_take_turns(void **state)
{
    (void)state;
    double target_times[12], one[12], two[12];
    for (int i = 0; i < 12; i++) {
        target_times[i] = 1000 - i; /* must not matter */
        one[i] = two[i] = 64;
    }
    target_times[0] = 0;
    one[0] = two[0] = 0.5;
    one[7] = two[7] = -1;
    one[1] = 1, one[4] = 2, one[6] = 20, one[3] = 30;
    two[4] = 2, two[11] = 4, two[9] = 5, two[3] = 1;
    attune_space *target = space_of("t", "k", "", target_times);
    attune_space *opened[] = {space_of("one", "k", "", one), space_of("two", "k", "", two)};
    const attune_space *sources[] = {opened[0], opened[1]};
    int32_t values[12 * 3];
    size_t count;
    assert_int_equal(attune_space_seeds(target, sources, 2, 12, values, &count), ATTUNE_OK);
    assert_int_equal(count, 10);
    assert_int_equal(number_of(values), 1);
    assert_int_equal(number_of(values + 3), 11);
    assert_int_equal(number_of(values + 6), 6);
    bool seen[12] = {false};
    for (size_t i = 0; i < count; i++) {
        int32_t number = number_of(values + 3 * i);
        assert_true(number != 0 && number != 7 && !seen[number]);
        assert_true(attune_space_contains(target, 0, values + 3 * i));
        seen[number] = true;
    }
    int32_t few[3 * 3];
    assert_int_equal(attune_space_seeds(target, sources, 2, 3, few, &count), ATTUNE_OK);
    assert_int_equal(count, 3);
    assert_memory_equal(few, values, sizeof few);
    attune_space_close(&target);
    attune_space_close(&opened[0]);
    attune_space_close(&opened[1]);
}

static void expect_mismatch(attune_space *source, const char *names)
{
    attune_space *target = space_of("t", "k", "", flat);
    const attune_space *sources[] = {source};
    int32_t values[3];
    size_t count = 7;
    assert_int_equal(attune_space_seeds(target, sources, 1, 1, values, &count), ATTUNE_ERROR_MISMATCH);
    assert_int_equal(count, 0);
    if (!strstr(attune_last_error(), names))
        fail_msg("\"%s\" lacks \"%s\"", attune_last_error(), names);
    attune_space_close(&target);
    attune_space_close(&source);
}

static void wrong_sources_are_refused(void **state)
{
    (void)state;
    static const double failed[12] = {-1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1};
    expect_mismatch(space_of("t", "k", "", flat), "other devices");
    expect_mismatch(space_of("s", "other", "", flat), "kernel");
    expect_mismatch(space_of("s", "k", "\"attune\": {\"simulated\": \"pocl\"},", flat), "simulated");
    expect_mismatch(space_of("s", "k", "", failed), "every configuration failed");
    const char *text = "{\"device_name\": \"s\", \"kernel_name\": \"k\", \"tune_params_keys\": [\"a\", \"b\", \"z\"], "
                       "\"tune_params\": {\"a\": [0], \"b\": [\"no\"], \"z\": [0]}, \"cache\": {\"0,no,0\": {\"a\": 0, "
                       "\"b\": \"no\", \"z\": 0, \"time\": 1}}}";
    attune_space *space = NULL;
    assert_int_equal(recorded_parse("s", text, strlen(text), &space), ATTUNE_OK);
    expect_mismatch(space, "\"c\"");
    attune_space *target = space_of("t", "k", "", flat);
    const attune_space *sources[] = {target};
    int32_t values[3];
    size_t count;
    assert_int_equal(attune_space_seeds(target, sources, 0, 1, values, &count), ATTUNE_ERROR_INVALID_SIZE);
    assert_int_equal(attune_space_seeds(target, sources, 1, 0, values, &count), ATTUNE_ERROR_INVALID_SIZE);
    assert_int_equal(attune_space_seeds(target, sources, 1, 4097, values, &count), ATTUNE_ERROR_INVALID_SIZE);
    assert_int_equal(attune_space_seeds(target, NULL, 1, 1, values, &count), ATTUNE_ERROR_NULL_ARGUMENT);
    attune_space_close(&target);
}

/* A source's order of parameters and values is its own. */
static void sources_are_translated(void **state)
{
    (void)state;
    const char *text = "{\"device_name\": \"s\", \"kernel_name\": \"k\", \"tune_params_keys\": [\"c\", \"b\", \"a\"], "
                       "\"tune_params\": {\"c\": [1], \"b\": [\"maybe\", \"yes\"], \"a\": [2, 1]}, \"cache\": "
                       "{\"1,yes,2\": {\"c\": 1, \"b\": \"yes\", \"a\": 2, \"time\": 1}, "
                       "\"1,maybe,1\": {\"c\": 1, \"b\": \"maybe\", \"a\": 1, \"time\": 0.5}}}";
    attune_space *source = NULL, *target = space_of("t", "k", "", flat);
    assert_int_equal(recorded_parse("s", text, strlen(text), &source), ATTUNE_OK);
    const attune_space *sources[] = {source};
    int32_t values[12 * 3];
    size_t count;
    assert_int_equal(attune_space_seeds(target, sources, 1, 12, values, &count), ATTUNE_OK);
    assert_int_equal(count, 1);
    assert_int_equal(number_of(values), 11);
    attune_space_close(&source);
    attune_space_close(&target);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(devices_take_turns),
        cmocka_unit_test(wrong_sources_are_refused),
        cmocka_unit_test(sources_are_translated),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
