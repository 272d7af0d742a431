/* SPDX-License-Identifier: Apache-2.0 */
#include "stats.h"

#include "base/rng.h"

#include <math.h>
#include <stdlib.h>

static int compare_doubles(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double sorted_median(const double *x, size_t n)
{
    return n % 2 ? x[n / 2] : x[n / 2 - 1] + (x[n / 2] - x[n / 2 - 1]) / 2;
}

double stats_median(double *x, size_t n)
{
    qsort(x, n, sizeof *x, compare_doubles);
    return sorted_median(x, n);
}

double stats_mad(double *x, size_t n)
{
    double median = stats_median(x, n);
    for (size_t i = 0; i < n; i++)
        x[i] = fabs(x[i] - median);
    return stats_median(x, n);
}

/* Quantile of sorted data, interpolated linearly between order statistics (type 7 of Hyndman and Fan 1996). */
static double sorted_quantile(const double *x, size_t n, double p)
{
    double position = p * (double)(n - 1);
    size_t below = (size_t)position;
    if (below + 1 >= n)
        return x[n - 1];
    return x[below] + (position - (double)below) * (x[below + 1] - x[below]);
}

struct stats_interval stats_bootstrap_median(const double *ratio, size_t n, double confidence, int resamples,
                                             uint64_t seed)
{
    struct stats_interval interval = {NAN, NAN, NAN};
    size_t num_medians = resamples > 1 ? (size_t)resamples : 1;
    double *draw = malloc(n * sizeof *draw), *medians = malloc(num_medians * sizeof *medians);
    if (draw && medians) {
        for (size_t i = 0; i < n; i++)
            draw[i] = ratio[i];
        interval.mid = stats_median(draw, n);
        interval.low = draw[0];
        interval.high = draw[n - 1];
    }
    if (draw && medians && n >= 3) {
        struct rng rng;
        rng_seed(&rng, seed);
        for (size_t r = 0; r < num_medians; r++) {
            for (size_t i = 0; i < n; i++)
                draw[i] = ratio[rng_below(&rng, n)];
            medians[r] = stats_median(draw, n);
        }
        qsort(medians, num_medians, sizeof *medians, compare_doubles);
        interval.low = sorted_quantile(medians, num_medians, (1 - confidence) / 2);
        interval.high = sorted_quantile(medians, num_medians, (1 + confidence) / 2);
    }
    free(draw);
    free(medians);
    return interval;
}

/* A comparison of equals. */
static void draw_comparison(const double *ratio, size_t n, struct rng *rng, double *out, size_t num_ratios)
{
    for (size_t i = 0; i < num_ratios; i++) {
        double drawn = ratio[rng_below(rng, n)];
        out[i] = rng_below(rng, 2) ? drawn : 1 / drawn;
    }
}

double stats_noise_floor(const double *ratio, size_t n, size_t num_ratios, double confidence, int comparisons,
                         uint64_t seed)
{
    size_t count = comparisons > 1 ? (size_t)comparisons : 1;
    double *draw = malloc(num_ratios * sizeof *draw), *gains = malloc(count * sizeof *gains), noise_floor = NAN;
    if (draw && gains) {
        struct rng rng;
        rng_seed(&rng, seed);
        for (size_t c = 0; c < count; c++) {
            draw_comparison(ratio, n, &rng, draw, num_ratios);
            double median = stats_median(draw, num_ratios);
            gains[c] = median < 1 ? 1 / median : median;
        }
        qsort(gains, count, sizeof *gains, compare_doubles);
        noise_floor = sorted_quantile(gains, count, confidence);
    }
    free(draw);
    free(gains);
    return noise_floor;
}

double stats_false_promotions(const double *ratio, size_t n, const struct stats_rule *rule, int comparisons,
                              uint64_t seed)
{
    int count = comparisons > 1 ? comparisons : 1, promoted = 0;
    double *draw = malloc(rule->num_ratios * sizeof *draw);
    struct stats_interval interval = {NAN, NAN, NAN};
    struct rng rng;
    rng_seed(&rng, seed);
    for (int c = 0; draw && c < count; c++) {
        draw_comparison(ratio, n, &rng, draw, rule->num_ratios);
        interval = stats_bootstrap_median(draw, rule->num_ratios, rule->confidence, rule->resamples, rng_next(&rng));
        promoted += interval.low > rule->min_gain;
    }
    free(draw);
    return isnan(interval.mid) ? NAN : (double)promoted / count;
}

/* Twice the average rank of x[i], counting from 1: below + equal are small enough to compare pairwise. */
static double doubled_rank(const double *x, size_t n, size_t i)
{
    size_t below = 0, equal = 0;
    for (size_t j = 0; j < n; j++) {
        below += x[j] < x[i];
        equal += x[j] == x[i];
    }
    return (double)(2 * below + equal + 1);
}

double stats_rank_correlation(const double *x, const double *y, size_t n)
{
    /* Pearson's correlation of ranks; their mean, doubled, is n + 1. */
    double xx = 0, yy = 0, xy = 0;
    for (size_t i = 0; i < n; i++) {
        double a = doubled_rank(x, n, i) - (double)(n + 1), b = doubled_rank(y, n, i) - (double)(n + 1);
        xx += a * a;
        yy += b * b;
        xy += a * b;
    }
    return xx > 0 && yy > 0 ? xy / sqrt(xx * yy) : 0;
}
