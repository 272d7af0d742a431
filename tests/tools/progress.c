/* SPDX-License-Identifier: Apache-2.0
 * What a running search prints, where it prints, and how a signal asks it to stop. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "interrupt.h"
#include "progress.h"

static const attune_tune_progress steps[] = {
    {"search", 1, 10, 0.5, 0, 9, NULL, "a:X=1", ATTUNE_OUTCOME_OK, 4, 4, 8, ""},
    {"search", 2, 10, 1.0, 0, 8, NULL, "a:X=2", ATTUNE_OUTCOME_CRASHED, 0, 4, 8, "signal 11"},
    {"search", 3, 10, 1.5, 0, 7, NULL, "a:X=3", ATTUNE_OUTCOME_OK, 5, 4, 8, ""},
    {"search", 4, 10, 2.0, 0, 65, NULL, "a:X=4", ATTUNE_OUTCOME_OK, 2, 2, 8, NULL},
};

#define NUM_STEPS (sizeof steps / sizeof steps[0])

/* Plays the steps with stdout caught in text[size]; returns the number of steps that asked to stop. */
static int play(bool json, bool quiet, bool terminal, char *text, size_t size)
{
    attune_problem *problem;
    assert_int_equal(attune_problem_parse("E1", &problem), ATTUNE_OK);
    struct problem_set set = {&problem, 1};
    double best = 0;
    struct progress progress = {json, quiet, terminal, "pocl", &set, &best, false};
    FILE *file = tmpfile();
    assert_non_null(file);
    fflush(stdout);
    int saved = dup(STDOUT_FILENO), stops = 0;
    dup2(fileno(file), STDOUT_FILENO);
    for (size_t i = 0; i < NUM_STEPS; i++) {
        attune_tune_progress step = steps[i];
        step.workload = attune_problem_text(problem);
        stops += progress_step(&progress, &step) != 0;
    }
    progress_end(&progress);
    dup2(saved, STDOUT_FILENO);
    close(saved);
    rewind(file);
    text[fread(text, 1, size - 1, file)] = '\0';
    fclose(file);
    attune_problem_destroy(&problem);
    return stops;
}

static size_t count_of(const char *text, char c)
{
    size_t count = 0;
    for (; *text; text++)
        count += *text == c;
    return count;
}

static void pipes_get_a_line_per_new_best(void **state)
{
    (void)state;
    char text[4096];
    assert_int_equal(play(false, false, false, text, sizeof text), 0);
    assert_string_equal(text, "E1: test 1: best 4 ms, 2.00x the untuned default (simulated): a:X=1\n"
                              "E1: test 4: best 2 ms, 4.00x the untuned default (simulated): a:X=4\n");
}

static void terminals_get_one_line_with_an_eta(void **state)
{
    (void)state;
    char text[4096];
    play(false, false, true, text, sizeof text);
    assert_int_equal(count_of(text, '\n'), 0);
    assert_int_equal(count_of(text, '\r'), NUM_STEPS + 1);
    assert_non_null(strstr(text, "search 4/10  E1  best 2 ms, 4.00x the untuned default  eta 1:05  (simulated)"));
    assert_string_equal(text + strlen(text) - 4, "\r\033[K"); /* the line is cleared at the end */
}

static void quiet_is_quiet(void **state)
{
    (void)state;
    char text[4096];
    for (int terminal = 0; terminal < 2; terminal++) {
        play(false, true, terminal, text, sizeof text);
        assert_string_equal(text, "");
    }
}

static void json_has_every_test(void **state)
{
    (void)state;
    char text[4096];
    play(true, false, true, text, sizeof text);
    assert_int_equal(count_of(text, '\n'), NUM_STEPS);
    char *line = text;
    for (size_t i = 0; i < NUM_STEPS; i++) {
        char *end = strchr(line, '\n');
        *end = '\0';
        json_t *json = json_loads(line, 0, NULL);
        assert_non_null(json);
        assert_string_equal(json_string_value(json_object_get(json, "workload")), "E1");
        assert_string_equal(json_string_value(json_object_get(json, "simulated")), "pocl");
        assert_string_equal(json_string_value(json_object_get(json, "config")), steps[i].config);
        assert_int_equal(json_integer_value(json_object_get(json, "tests")), steps[i].tests);
        assert_true(json_is_null(json_object_get(json, "time_ms")) == (steps[i].time_ms == 0));
        const char *reason = json_string_value(json_object_get(json, "reason"));
        assert_true(steps[i].outcome == ATTUNE_OUTCOME_OK ? !reason : reason && !strcmp(reason, "signal 11"));
        json_decref(json);
        line = end + 1;
    }
}

/* Last: the request stays. */
static void a_signal_asks_to_stop(void **state)
{
    (void)state;
    char text[4096];
    interrupt_install();
    assert_false(interrupt_requested());
    raise(SIGTERM);
    assert_true(interrupt_requested());
    assert_int_equal(play(false, true, false, text, sizeof text), NUM_STEPS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pipes_get_a_line_per_new_best),
        cmocka_unit_test(terminals_get_one_line_with_an_eta),
        cmocka_unit_test(quiet_is_quiet),
        cmocka_unit_test(json_has_every_test),
        cmocka_unit_test(a_signal_asks_to_stop),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
