/* SPDX-License-Identifier: Apache-2.0
 *
 * How good a search was on a recorded space, from 0 (random) to 1 (the optimum at once).
 *
 * P(t) = (random(t) - F(t)) / (random(t) - optimum) after t tests: F(t) is the best so far of the run, and random(t)
 * the expected best of t different configurations drawn from all that are recorded. A failed configuration counts as
 * the slowest valid time in both, and so does a run before its first success. The score is the mean of P(t) over t = 1
 * .. cutoff, where the cutoff is the first t with random(t) <= optimum + 5% of (median - optimum), at most
 * SCORE_MAX_TESTS and the budget. The median is that of the valid times, the upper one of two. A t where random(t) is
 * the optimum already is left out. */
#ifndef ATTUNE_TUNE_SCORE_H
#define ATTUNE_TUNE_SCORE_H

#include <stdbool.h>

#include <attune/tune.h>

#define SCORE_MAX_TESTS 220
#define SCORE_NEAR 1.05 /* "within 5%" of the optimum */

struct yardstick {
    double optimum, slowest;            /* ms */
    int32_t cutoff;                     /* in tests */
    double random[SCORE_MAX_TESTS + 1]; /* [t], from 1 to cutoff */
};

/* The space must have a valid time. False when out of memory. */
bool yardstick_init(struct yardstick *yardstick, const attune_space *space, int32_t budget);

/* best[num_tests]: best so far in ms after each test, 0 before the first success; at least cutoff of them, and the last
 * one stands for those that are missing. NaN where no t counts. */
double score_of(const struct yardstick *yardstick, const double *best, int32_t num_tests);

/* First test (from 1) from which on the best so far is within 5% of the optimum; 0 = never. What a search without noise
 * has found it keeps, so there it is the first one that was. */
int32_t score_within5(const double *best, int32_t num_tests, double optimum);

#endif
