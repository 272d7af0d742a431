/* SPDX-License-Identifier: Apache-2.0
 * Statistics of samples. Pure and deterministic; scratch memory is the caller's where n is not bounded. */
#ifndef ATTUNE_SEARCH_STATS_H
#define ATTUNE_SEARCH_STATS_H

#include <stddef.h>
#include <stdint.h>

/* Median of x[n], n >= 1: the mean of the middle two for even n. Reorders x. */
double stats_median(double *x, size_t n);
/* Median absolute deviation about the median (not scaled). Reorders and overwrites x. */
double stats_mad(double *x, size_t n);

struct stats_interval {
    double low, mid, high;
};

/* Bootstrap (percentile) interval of the median of ratio[n]; mid is the median of the ratios themselves. confidence is 0.95,
 * say. Deterministic for a seed. n >= 1; with n < 3 low and high are the minimum and maximum. NaN where memory ran out. */
struct stats_interval stats_bootstrap_median(const double *ratio, size_t n, double confidence, int resamples, uint64_t seed);

/* A/A calibration: ratio[n] are paired ratios of a configuration with itself, positive, n >= 1, measured as those of a
 * comparison are. Comparisons of equals are drawn from them, with replacement, each ratio upside down half of the time:
 * either of two equals may stand first. Both are deterministic for a seed, and NaN where memory ran out. */

/* The noise floor: a comparison's median of num_ratios ratios lies between 1 / floor and floor with this confidence when
 * nothing differs. A gain below it is not told apart from none. */
double stats_noise_floor(const double *ratio, size_t n, size_t num_ratios, double confidence, int comparisons,
                         uint64_t seed);

/* A decision rule: the low end of the interval of the median of num_ratios ratios is above min_gain. */
struct stats_rule {
    size_t num_ratios;
    double confidence, min_gain;
    int resamples; /* of the interval */
};

/* Share of the comparisons of equals that the rule takes for a gain. */
double stats_false_promotions(const double *ratio, size_t n, const struct stats_rule *rule, int comparisons,
                              uint64_t seed);

/* Spearman's rank correlation with average ranks for ties; 0 where it is not defined (n < 2, or a constant side). */
double stats_rank_correlation(const double *x, const double *y, size_t n);

#endif
