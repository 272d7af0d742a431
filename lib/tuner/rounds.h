/* SPDX-License-Identifier: Apache-2.0
 * Several verified configurations of one problem, timed in interleaved rounds with the device's peaks beside them. */
#ifndef ATTUNE_TUNER_ROUNDS_H
#define ATTUNE_TUNER_ROUNDS_H

#include "roofline.h"
#include "search/stats.h"
#include "verify.h"

#define MAX_CANDIDATES 32 /* two slots of the worker each */

struct rounds_options {
    int32_t rounds;
    /* A candidate this many times slower than the fastest takes part in so many rounds only. */
    double slow_ratio;
    int32_t slow_rounds;
    double max_seconds; /* no round is started after; 0 = no limit. The first always runs ... */
    int32_t least;      /* ... and so many in all */
    int32_t retries; /* fresh workers that a candidate gets in all when it fails for a cause that may not be its own */
};

struct rounds {
    int32_t count; /* of rounds that ran */
    int32_t capacity, num_candidates;
    double *times;        /* [capacity][num_candidates] ms; 0 = no sample */
    struct peaks *around; /* [capacity + 1]: before each round and after the last; 0 = not measured */
    struct peaks peaks;   /* their medians */
    attune_status status; /* not OK: the device was lost on the way */
};

/* Candidates whose outcome is not OK are left out; one that fails on the way drops out. Free with rounds_free. */
attune_status rounds_run(struct attune_target *target, struct reference *reference, struct candidate *candidates,
                         int32_t count, const struct rounds_options *options, struct rng *rng, struct rounds *out);
void rounds_free(struct rounds *rounds);

/* One sample of a candidate, rebuilt where its worker was replaced; check: the outputs are poisoned before and compared after. */
attune_outcome rounds_sample(struct attune_target *target, struct reference *reference, struct candidate *candidate,
                             bool check, struct rng *rng, double *time_ms);
/* order[count] = 0 .. count-1 in a random order. */
void rounds_shuffle(int32_t *order, int32_t count, struct rng *rng);

/* Median and MAD of candidate i; returns the number of samples. */
int32_t rounds_median(const struct rounds *rounds, int32_t i, double *median, double *mad);
/* Share of the roofline that candidate i reaches: the median over its samples, each against the peaks before and after its
 * round. 0 = not known. disturbed: it is no figure, for it is above what the device can do, or the samples disagree. */
double rounds_share(const struct rounds *rounds, const attune_problem *problem, int32_t i, bool *disturbed);
/* Rounds in which both have a sample. */
int32_t rounds_pairs(const struct rounds *rounds, int32_t a, int32_t b);
/* Paired ratios time[a] / time[b]: all 0 where there is no pair. */
struct stats_interval rounds_ratio(const struct rounds *rounds, int32_t a, int32_t b, uint64_t seed);

#endif
