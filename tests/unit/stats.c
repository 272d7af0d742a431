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

/* Values of Python: statistics.median, numpy.median, scipy.stats.median_abs_deviation, scipy.stats.spearmanr
 * (scipy 1.17, numpy 2.4); both samples have ties. */
static const double sample_t[] = {1.294,  1.2171, 1.3909, 0.9437, 1.4289, 1.3909,
                                  1.1674, 1.3767, 0.9137, 1.3078, 1.1662, 1.4651};
static const double sample_u[] = {1.383, 1.059, 1.209, 0.757, 1.27, 1.459, 1.328, 1.059, 0.918, 1.148, 1.201, 1.296};

static void agrees_with_scipy(void **state)
{
    (void)state;
    double x[12];
    memcpy(x, sample_t, sizeof x);
    NEAR(stats_median(x, 12), 1.3009);
    memcpy(x, sample_u, sizeof x);
    NEAR(stats_median(x, 12), 1.205);
    memcpy(x, sample_t, sizeof x);
    NEAR(stats_mad(x, 12), 0.1090000000000001);
    memcpy(x, sample_u, sizeof x);
    NEAR(stats_mad(x, 12), 0.13450000000000006);
    NEAR(stats_rank_correlation(sample_t, sample_u, 12), 0.5473684210526316);
}

/* scipy.stats.bootstrap(r, numpy.median, n_resamples=200000, method='percentile'); for the first 14 of them
 * numpy.quantile of the medians of 2,000,000 resamples. */
static void bootstrap_agrees_with_scipy(void **state)
{
    (void)state;
    const double r[] = {1.0276, 1.014,  1.0467, 1.0264, 1.063, 1.0078, 1.0436, 1.0271,
                        1.0735, 0.9619, 1.0473, 0.9893, 0.994, 1.0196, 0.975};
    struct stats_interval i = stats_bootstrap_median(r, 15, 0.97, 20000, 3);
    NEAR(i.low, 0.994);
    NEAR(i.mid, 1.0264);
    NEAR(i.high, 1.0467);
    i = stats_bootstrap_median(r, 15, 0.80, 20000, 3);
    NEAR(i.low, 1.014);
    NEAR(i.high, 1.0276);
    i = stats_bootstrap_median(r, 14, 0.95, 20000, 3);
    NEAR(i.low, 1.0078);
    NEAR(i.high, 1.04545);
}

/* Python, itertools.product over the five ratios and their inverses: of three, the median is within 1.00908.. of 1
 * in 56.8%, within 1.012 in 79.2% and within 1.0225 in 94.4% of all cases; of four, 49.8% are below 1.0075 and 53.1%
 * are not above. */
static void noise_floor_agrees_with_its_exact_distribution(void **state)
{
    (void)state;
    const double aa[] = {1.012, 0.991, 1.034, 0.978, 1.003};
    NEAR(stats_noise_floor(aa, 5, 3, 0.68, 20000, 1), 1.012);
    NEAR(stats_noise_floor(aa, 5, 3, 0.50, 20000, 1), 1 / 0.991);
    NEAR(stats_noise_floor(aa, 5, 3, 0.90, 20000, 1), 1 / 0.978);
    NEAR(stats_noise_floor(aa, 5, 3, 1.00, 20000, 1), 1.034);
    NEAR(stats_noise_floor(aa, 5, 4, 0.515, 20000, 1), 1.0075);
    const double quiet[] = {1};
    NEAR(stats_noise_floor(quiet, 1, 15, 0.95, 100, 1), 1);
    double more = stats_noise_floor(aa, 5, 15, 0.95, 2000, 1), less = stats_noise_floor(aa, 5, 5, 0.95, 2000, 1);
    assert_true(more < less); /* more rounds tell smaller gains apart */
}

/* Of two ratios, both must be above: 16 of 100 cases of the same enumeration. Of fifteen, with numpy.quantile over 500
 * resamples, 3.7% of 4,000 comparisons were above 1 and 0.88% above 1.004 (standard errors 0.30% and 0.15%). */
static void false_promotions_agree_with_numpy(void **state)
{
    (void)state;
    const double aa[] = {1.012, 0.991, 1.034, 0.978, 1.003};
    const double noisy[] = {0.9841, 0.9739, 0.995,  1.0084, 1.023,  1.0022, 0.989,  0.9844, 1.0151, 1.0332,
                            1.0055, 0.9756, 0.981,  1.0325, 1.0041, 0.966,  0.9983, 0.977,  0.9875, 0.9903,
                            0.9858, 1.0111, 0.9987, 0.9883, 1.0082, 1.0167, 0.9677, 0.9949, 0.9806, 0.9965,
                            0.9745, 1.0004, 0.9992, 0.9939, 0.9793, 0.9921, 0.9784, 0.9733, 1.0045, 0.9781};
    const struct stats_rule of_two = {2, 0.95, 1.005, 100}, of_fifteen = {15, 0.95, 1, 500},
                            clear = {15, 0.95, 1.004, 500};
    const struct {
        double found, expected, error; /* about 4 standard errors of both together */
    } shares[] = {
        {stats_false_promotions(aa, 5, &of_two, 20000, 5), 0.16, 0.0104},
        {stats_false_promotions(noisy, 40, &of_fifteen, 2000, 5), 0.037, 0.021},
        {stats_false_promotions(noisy, 40, &clear, 2000, 5), 0.00875, 0.0102},
    };
    for (int i = 0; i < 3; i++)
        if (!(fabs(shares[i].found - shares[i].expected) < shares[i].error))
            fail_msg("rule %d: %g, expected %g (seed 5)", i, shares[i].found, shares[i].expected);
    assert_true(stats_false_promotions(noisy, 40, &clear, 500, 9) == stats_false_promotions(noisy, 40, &clear, 500, 9));
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
        cmocka_unit_test(agrees_with_scipy),
        cmocka_unit_test(bootstrap_agrees_with_scipy),
        cmocka_unit_test(noise_floor_agrees_with_its_exact_distribution),
        cmocka_unit_test(false_promotions_agree_with_numpy),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
