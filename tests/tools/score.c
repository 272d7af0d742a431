/* SPDX-License-Identifier: Apache-2.0
 * The score against values computed by hand. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "score.h"

static attune_space *space_of(const char *records)
{
    char path[] = "/tmp/attune-score-XXXXXX";
    int fd = mkstemp(path);
    FILE *file = fd < 0 ? NULL : fdopen(fd, "w");
    assert_non_null(file);
    fprintf(file,
            "{\"device_name\": \"d\", \"kernel_name\": \"k\", \"tune_params_keys\": [\"x\"], \"tune_params\": {\"x\": "
            "[1, 2, 3, 4]}, \"cache\": {%s}}",
            records);
    fclose(file);
    attune_space *space = NULL;
    if (attune_space_open(path, &space) != ATTUNE_OK)
        fail_msg("%s", attune_last_error());
    unlink(path);
    return space;
}

#define FOUR                                                                                                           \
    "\"1\": {\"x\": 1, \"time\": 2}, \"2\": {\"x\": 2, \"time\": \"InvalidConfig\"}, \"3\": {\"x\": 3, \"time\": 1}, " \
    "\"4\": {\"x\": 4, \"time\": 3}"

static void near(double a, double b)
{
    if (!(fabs(a - b) < 1e-12))
        fail_msg("%.17g, expected %.17g", a, b);
}

/* Of 1, 2, 3 and the failed one, which counts as 3: the least of two is 1 in 3 of the 6 pairs, 2 in 2, 3 in 1. */
static void expected_best_of_random_draws(void **state)
{
    (void)state;
    struct yardstick yardstick;
    attune_space *space = space_of(FOUR);
    assert_true(yardstick_init(&yardstick, space, 100));
    assert_int_equal(yardstick.cutoff, 4);
    near(yardstick.random[1], 9.0 / 4);
    near(yardstick.random[2], 10.0 / 6);
    near(yardstick.random[3], 5.0 / 4);
    near(yardstick.random[4], 1);
    assert_true(yardstick_init(&yardstick, space, 2));
    assert_int_equal(yardstick.cutoff, 2);
    attune_space_close(&space);
}

static void scores(void **state)
{
    (void)state;
    struct yardstick yardstick;
    attune_space *space = space_of(FOUR);
    assert_true(yardstick_init(&yardstick, space, 4));
    /* A failure, 2, 1, 1. The fourth test, where random has the optimum, is left out. */
    near(score_of(&yardstick, (double[]){0, 2, 1, 1}, 4),
         ((2.25 - 3) / 1.25 + (10.0 / 6 - 2) / (10.0 / 6 - 1) + 1) / 3);
    near(score_of(&yardstick, (double[]){1, 1, 1, 1}, 4), 1);
    near(score_of(&yardstick, (double[]){1}, 1), 1); /* the last value stands for what is missing */
    near(score_of(&yardstick, (double[]){9.0 / 4, 10.0 / 6, 5.0 / 4, 1}, 4), 0);
    attune_space_close(&space);
}

static void the_cutoff_is_near_the_optimum(void **state)
{
    (void)state;
    struct yardstick yardstick;
    /* The median, 100, puts the end at 5.95; random(1) is 67, random(2) 34, random(3) 1. */
    attune_space *space =
        space_of("\"1\": {\"x\": 1, \"time\": 1}, \"2\": {\"x\": 2, \"time\": 100}, \"3\": {\"x\": 3, "
                 "\"time\": 100}");
    assert_true(yardstick_init(&yardstick, space, 100));
    near(yardstick.random[1], 67);
    near(yardstick.random[2], 34);
    assert_int_equal(yardstick.cutoff, 3);
    attune_space_close(&space);
    /* All equal: nothing is better than random. */
    space = space_of("\"1\": {\"x\": 1, \"time\": 1}, \"2\": {\"x\": 2, \"time\": 1}");
    assert_true(yardstick_init(&yardstick, space, 100));
    assert_int_equal(yardstick.cutoff, 1);
    assert_true(isnan(score_of(&yardstick, (double[]){1}, 1)));
    attune_space_close(&space);
}

static void within_5_percent(void **state)
{
    (void)state;
    assert_int_equal(score_within5((double[]){0, 2.2, 2.1, 2}, 4, 2), 3);
    assert_int_equal(score_within5((double[]){2.1}, 1, 2), 1);
    assert_int_equal(score_within5((double[]){0, 3, 2.11}, 3, 2), 0);
    assert_int_equal(score_within5((double[]){2, 3, 2}, 3, 2), 3); /* with noise it may leave again */
    assert_int_equal(score_within5((double[]){0, 0}, 2, 2), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(expected_best_of_random_draws),
        cmocka_unit_test(scores),
        cmocka_unit_test(the_cutoff_is_near_the_optimum),
        cmocka_unit_test(within_5_percent),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
