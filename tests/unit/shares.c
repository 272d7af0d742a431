/* SPDX-License-Identifier: Apache-2.0
 * The share of the roofline over several samples, and when it is no figure. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <math.h>

#include "tuner/rounds.h"

#define ROUNDS 5

/* Of ROUNDS samples of 1 ms, whose peaks permit shares[r] of that. */
static double share_of(const double *shares, int32_t count, bool *disturbed)
{
    attune_problem *problem;
    assert_int_equal(attune_problem_parse("prefill:hq=1,hkv=1,d=64,new=64", &problem), ATTUNE_OK);
    double times[ROUNDS] = {1, 1, 1, 1, 1}, mean = 0;
    struct peaks around[ROUNDS + 1];
    for (int32_t r = 0; r <= count; r++) { /* the rate of reads is what limits */
        mean = r ? 2 * shares[r - 1] - mean : shares[0];
        around[r] = (struct peaks){.fma_gflops = 1e9, .read_gbps = attune_problem_bytes(problem) * 1e-6 / mean};
    }
    struct rounds rounds = {.count = count, .capacity = ROUNDS, .num_candidates = 1, .times = times, .around = around};
    double share = rounds_share(&rounds, problem, 0, disturbed);
    attune_problem_destroy(&problem);
    return share;
}

static void shares_within_reason_are_figures(void **state)
{
    (void)state;
    bool disturbed;
    assert_true(fabs(share_of((double[]){0.8, 0.8, 0.8, 0.8, 0.8}, 5, &disturbed) - 0.8) < 1e-9 && !disturbed);
    assert_true(fabs(share_of((double[]){1.1, 1.1, 1.1}, 3, &disturbed) - 1.1) < 1e-9 && !disturbed);
    assert_true(fabs(share_of((double[]){0.5, 0.6, 0.5, 0.4, 0.5}, 5, &disturbed) - 0.5) < 1e-9 && !disturbed);
    assert_true(share_of((double[]){0.5}, 0, &disturbed) == 0 && !disturbed);
}

static void impossible_and_contradicting_shares_are_not(void **state)
{
    (void)state;
    bool disturbed;
    assert_true(fabs(share_of((double[]){7.78, 7.78, 7.78}, 3, &disturbed) - 7.78) < 1e-9 && disturbed);
    share_of((double[]){1.12}, 1, &disturbed);
    assert_true(disturbed);
    share_of((double[]){0.5, 0.9, 0.95, 0.35, 0.2}, 5, &disturbed);
    assert_true(disturbed);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(shares_within_reason_are_figures),
        cmocka_unit_test(impossible_and_contradicting_shares_are_not),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
