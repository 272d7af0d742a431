/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <math.h>
#include <string.h>

#include "base/rng.h"
#include "search/stats.h"

#define NEAR(a, b) assert_true(fabs((a) - (b)) < 1e-12)

static void median_of_odd_and_even(void **state)
{
    (void)state;
    double one[] = {3}, odd[] = {9, 1, 5}, even[] = {4, 1, 3, 2}, ties[] = {2, 2, 1, 2};
    NEAR(stats_median(one, 1), 3);
    NEAR(stats_median(odd, 3), 5);
    NEAR(stats_median(even, 4), 2.5);
    NEAR(stats_median(ties, 4), 2);
}

static void mad_ignores_an_outlier(void **state)
{
    (void)state;
    double x[] = {1, 1, 2, 2, 4, 6, 9}; /* median 2, deviations 1 1 0 0 2 4 7 */
    NEAR(stats_mad(x, 7), 1);
    double far[] = {10, 11, 12, 13, 1e9}; /* median 12, deviations 2 1 0 1 1e9 */
    NEAR(stats_mad(far, 5), 1);
    double even[] = {1, 2, 4, 8}; /* median 3, deviations 2 1 1 5 */
    NEAR(stats_mad(even, 4), 1.5);
    double one[] = {7};
    NEAR(stats_mad(one, 1), 0);
}

/* Coefficients computed by hand: rho = 1 - 6 sum d^2 / (n (n^2 - 1)) without ties. */
static void rank_correlation(void **state)
{
    (void)state;
    double x[] = {1, 2, 3, 4, 5}, up[] = {1, 10, 100, 1000, 1e4}, down[] = {5, 4, 3, 2, 1}, some[] = {2, 1, 4, 3, 5};
    NEAR(stats_rank_correlation(x, up, 5), 1);
    NEAR(stats_rank_correlation(x, down, 5), -1);
    NEAR(stats_rank_correlation(x, some, 5), 0.8); /* d^2 = 1 1 1 1 0 */
    double iq[] = {106, 100, 86, 101, 99, 103, 97, 113, 112, 110}, hours[] = {7, 27, 2, 50, 28, 29, 20, 12, 6, 17};
    NEAR(stats_rank_correlation(iq, hours, 10), -29.0 / 165); /* sum d^2 = 194 */
    /* Ranks 1.5 1.5 3 4 and 1 2.5 2.5 4: sums of products 3.75, of squares 4.5 and 4.5. */
    double tied_x[] = {1, 1, 2, 3}, tied_y[] = {1, 2, 2, 3};
    NEAR(stats_rank_correlation(tied_x, tied_y, 4), 3.75 / 4.5);
    double constant[] = {4, 4, 4, 4, 4};
    NEAR(stats_rank_correlation(x, constant, 5), 0);
    NEAR(stats_rank_correlation(x, up, 1), 0);
    NEAR(stats_rank_correlation(x, up, 0), 0);
}

static void bootstrap_of_few_is_their_range(void **state)
{
    (void)state;
    double two[] = {3, 1}, one[] = {5};
    struct stats_interval i = stats_bootstrap_median(two, 2, 0.95, 1000, 1);
    NEAR(i.low, 1);
    NEAR(i.mid, 2);
    NEAR(i.high, 3);
    assert_true(two[0] == 3); /* the input is left alone */
    i = stats_bootstrap_median(one, 1, 0.95, 1000, 1);
    NEAR(i.low, 5);
    NEAR(i.high, 5);
}

/* The bootstrap distribution of the median of 3 distinct values is known: P(lowest) = P(highest) = 7/27, P(middle) =
 * 13/27. Of 15, the median is at most the k-th with probability P(Binomial(15, k/15) >= 8): 0.026 and 0.088 for k = 4
 * and 5, so the 5% and 95% points are 5 and 11. */
static void bootstrap_agrees_with_its_exact_distribution(void **state)
{
    (void)state;
    double three[] = {1, 2, 3}, fifteen[15];
    struct stats_interval i = stats_bootstrap_median(three, 3, 0.95, 2000, 7);
    NEAR(i.low, 1);
    NEAR(i.mid, 2);
    NEAR(i.high, 3);
    i = stats_bootstrap_median(three, 3, 0.40, 2000, 7); /* 30% to 70%: both within the middle's 26% .. 74% */
    NEAR(i.low, 2);
    NEAR(i.high, 2);
    for (int k = 0; k < 15; k++)
        fifteen[k] = k + 1;
    i = stats_bootstrap_median(fifteen, 15, 0.90, 2000, 7);
    NEAR(i.low, 5);
    NEAR(i.mid, 8);
    NEAR(i.high, 11);
}

static void bootstrap_is_deterministic_for_a_seed(void **state)
{
    (void)state;
    double x[] = {1.01, 0.99, 1.04, 1.07, 0.93, 1.2, 1.11};
    struct stats_interval a = stats_bootstrap_median(x, 7, 0.9, 101, 3), b = stats_bootstrap_median(x, 7, 0.9, 101, 3);
    assert_memory_equal(&a, &b, sizeof a);
    assert_true(a.low <= a.mid && a.mid <= a.high && a.low < a.high);
}

/* 95% intervals cover the true median in about 95% of samples of 15 (percentile intervals run a little short). */
static void bootstrap_covers_the_truth(void **state)
{
    (void)state;
    struct rng rng;
    rng_seed(&rng, 2024);
    int covered = 0;
    for (int trial = 0; trial < 400; trial++) {
        double x[15];
        for (int i = 0; i < 15; i++)
            x[i] = rng_double(&rng) * rng_double(&rng); /* skewed; its median is where t - t ln t = 1/2: 0.18668... */
        struct stats_interval i = stats_bootstrap_median(x, 15, 0.95, 500, (uint64_t)trial);
        covered += i.low <= 0.186682 && 0.186682 <= i.high;
    }
    if (covered < 368 || covered > 396)
        fail_msg("%d of 400 intervals cover the median (seed 2024)", covered);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(median_of_odd_and_even),
        cmocka_unit_test(mad_ignores_an_outlier),
        cmocka_unit_test(rank_correlation),
        cmocka_unit_test(bootstrap_of_few_is_their_range),
        cmocka_unit_test(bootstrap_agrees_with_its_exact_distribution),
        cmocka_unit_test(bootstrap_is_deterministic_for_a_seed),
        cmocka_unit_test(bootstrap_covers_the_truth),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
