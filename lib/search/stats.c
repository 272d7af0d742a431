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
