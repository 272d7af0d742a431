/* SPDX-License-Identifier: Apache-2.0 */
#include "rounds.h"

#include <stdlib.h>
#include <string.h>

#define RESAMPLES 2000
/* Of the roofline, which is measured: as much as a candidate may be faster than its floor. */
#define LARGEST_SHARE (1 / ROOFLINE_MARGIN)
/* So many shares disagree where half of them differ from their median by more than this part of it. */
#define LEAST_SHARES 3
#define LARGEST_SPREAD (1.0 / 3)

/* The worker that holds the candidates' plans may have been replaced since they were built. */
static attune_outcome make_ready(struct attune_target *target, struct reference *reference, struct candidate *candidate)
{
    struct session *session = &target->session;
    if (session->alive && candidate->generation == session->generation)
        return ATTUNE_OUTCOME_OK;
    attune_outcome outcome = candidate_build(target, reference, candidate);
    candidate->generation = session->generation;
    return outcome;
}

attune_outcome rounds_sample(struct attune_target *target, struct reference *reference, struct candidate *candidate,
                             bool check, struct rng *rng, double *time_ms)
{
    attune_outcome outcome = make_ready(target, reference, candidate);
    if (outcome == ATTUNE_OUTCOME_OK && check)
        outcome = candidate_poison(target, reference, candidate, rng);
    if (outcome == ATTUNE_OUTCOME_OK)
        outcome = candidate_sample(target, reference, candidate, time_ms);
    if (outcome == ATTUNE_OUTCOME_OK && check)
        outcome = candidate_check(target, reference, candidate);
    return outcome;
}

void rounds_shuffle(int32_t *order, int32_t count, struct rng *rng)
{
    for (int32_t i = 0; i < count; i++)
        order[i] = i;
    for (int32_t i = count - 1; i > 0; i--) {
        int32_t j = (int32_t)rng_below(rng, (uint64_t)i + 1), swap = order[i];
        order[i] = order[j];
        order[j] = swap;
    }
}

/* Fastest of the first round, to tell who is slow. */
static double fastest(const struct rounds *rounds)
{
    double best = 0;
    for (int32_t i = 0; rounds->count && i < rounds->num_candidates; i++)
        if (rounds->times[i] > 0 && (best == 0 || rounds->times[i] < best))
            best = rounds->times[i];
    return best;
}

/* The slow decide nothing, and their ratios need no fine interval. */
static bool takes_part(const struct rounds *rounds, const struct rounds_options *options,
                       const struct candidate *candidate, int32_t i)
{
    return candidate->outcome == ATTUNE_OUTCOME_OK &&
           (rounds->count < options->slow_rounds || rounds->times[i] <= options->slow_ratio * fastest(rounds));
}

/* A sample; where that fails for a cause that may not be the candidate's, again in a fresh worker. */
static attune_status sample_patiently(struct attune_target *target, struct reference *reference,
                                      struct candidate *candidate, int32_t retries, bool check, struct rng *rng,
                                      double *time_ms)
{
    for (;;) {
        attune_status status = candidate_prepare(target, reference);
        if (status != ATTUNE_OK)
            return status;
        candidate->outcome = rounds_sample(target, reference, candidate, check, rng, time_ms);
        if (!candidate_may_be_innocent(candidate) || candidate->tried_again >= retries ||
            session_over(&target->session))
            return ATTUNE_OK;
        candidate->tried_again++;
        session_stop(&target->session);
    }
}

static attune_status run_round(struct attune_target *target, struct reference *reference, struct candidate *candidates,
                               const struct rounds_options *options, bool check, struct rng *rng, struct rounds *rounds)
{
    int32_t order[MAX_CANDIDATES], count = rounds->num_candidates;
    double *times = rounds->times + (size_t)rounds->count * (size_t)count;
    rounds_shuffle(order, count, rng);
    for (int32_t k = 0; k < count; k++) {
        int32_t i = order[k];
        if (!takes_part(rounds, options, &candidates[i], i))
            continue;
        double time_ms = 0;
        attune_status status =
            sample_patiently(target, reference, &candidates[i], options->retries, check, rng, &time_ms);
        if (status != ATTUNE_OK)
            return status;
        times[i] = candidates[i].outcome == ATTUNE_OUTCOME_OK ? time_ms : 0;
    }
    rounds->count++;
    return ATTUNE_OK;
}

static struct peaks median_peaks(const struct peaks *around, int32_t count)
{
    struct peaks out = {0};
    double *samples = calloc(3 * (size_t)count + 1, sizeof *samples), *fma = samples, *dot = fma + count,
           *read = dot + count;
    int32_t n = 0;
    for (int32_t r = 0; samples && r < count; r++)
        if (around[r].read_gbps > 0) {
            fma[n] = around[r].fma_gflops;
            dot[n] = around[r].dot_gflops;
            read[n++] = around[r].read_gbps;
        }
    if (n)
        out = (struct peaks){stats_median(fma, (size_t)n), stats_median(dot, (size_t)n), stats_median(read, (size_t)n)};
    free(samples);
    return out;
}

attune_status rounds_run(struct attune_target *target, struct reference *reference, struct candidate *candidates,
                         int32_t count, const struct rounds_options *options, struct rng *rng, struct rounds *out)
{
    memset(out, 0, sizeof *out);
    out->num_candidates = count;
    out->capacity = options->rounds;
    out->times = calloc((size_t)options->rounds * (size_t)count + 1, sizeof *out->times);
    out->around = calloc((size_t)options->rounds + 1, sizeof *out->around);
    if (!out->times || !out->around)
        return set_error(ATTUNE_ERROR_OUT_OF_MEMORY, "out of memory for %d rounds", options->rounds);
    uint64_t start = clock_now_ns();
    const attune_problem *problem = reference->problem;
    int32_t checked = (int32_t)rng_below(rng, (uint64_t)options->rounds);
    for (int32_t r = 0; r < options->rounds && out->status == ATTUNE_OK; r++) {
        double seconds = (double)(clock_now_ns() - start) * 1e-9;
        bool due = r && r >= options->least;
        if (due && options->max_seconds > 0 && seconds >= options->max_seconds)
            break;
        if (!peaks_measure(target, problem, &out->around[r]))
            out->around[r] = (struct peaks){0};
        bool check = r == 0 || r == checked || r == options->rounds - 1;
        out->status = run_round(target, reference, candidates, options, check, rng, out);
    }
    if (out->status == ATTUNE_OK && !peaks_measure(target, problem, &out->around[out->count]))
        out->around[out->count] = (struct peaks){0};
    out->peaks = median_peaks(out->around, out->count + 1);
    return ATTUNE_OK;
}

void rounds_free(struct rounds *rounds)
{
    free(rounds->times);
    free(rounds->around);
    rounds->times = NULL;
    rounds->around = NULL;
}

int32_t rounds_median(const struct rounds *rounds, int32_t i, double *median, double *mad)
{
    int32_t n = 0;
    double *x = calloc((size_t)rounds->count + 1, sizeof *x);
    *median = *mad = 0;
    for (int32_t r = 0; x && r < rounds->count; r++) {
        double time = rounds->times[(size_t)r * (size_t)rounds->num_candidates + (size_t)i];
        if (time > 0)
            x[n++] = time;
    }
    if (n) {
        *median = stats_median(x, (size_t)n);
        *mad = stats_mad(x, (size_t)n);
    }
    free(x);
    return n;
}

double rounds_share(const struct rounds *rounds, const attune_problem *problem, int32_t i, bool *disturbed)
{
    size_t n = 0;
    double *share = calloc((size_t)rounds->count + 1, sizeof *share), median = 0;
    for (int32_t r = 0; share && r < rounds->count; r++) {
        double time = rounds->times[(size_t)r * (size_t)rounds->num_candidates + (size_t)i];
        double before = roofline_ms(problem, &rounds->around[r]), after = roofline_ms(problem, &rounds->around[r + 1]);
        if (time > 0 && before > 0 && after > 0)
            share[n++] = (before + after) / 2 / time;
    }
    *disturbed = false;
    if (n) {
        median = stats_median(share, n);
        *disturbed = median > LARGEST_SHARE || (n >= LEAST_SHARES && stats_mad(share, n) > LARGEST_SPREAD * median);
    }
    free(share);
    return median;
}

int32_t rounds_pairs(const struct rounds *rounds, int32_t a, int32_t b)
{
    int32_t n = 0;
    for (int32_t r = 0; r < rounds->count; r++) {
        const double *times = rounds->times + (size_t)r * (size_t)rounds->num_candidates;
        n += times[a] > 0 && times[b] > 0;
    }
    return n;
}

struct stats_interval rounds_ratio(const struct rounds *rounds, int32_t a, int32_t b, uint64_t seed)
{
    struct stats_interval none = {0, 0, 0};
    double *ratio = calloc((size_t)rounds->count + 1, sizeof *ratio);
    size_t n = 0;
    for (int32_t r = 0; ratio && r < rounds->count; r++) {
        const double *times = rounds->times + (size_t)r * (size_t)rounds->num_candidates;
        if (times[a] > 0 && times[b] > 0)
            ratio[n++] = times[a] / times[b];
    }
    if (n)
        none = stats_bootstrap_median(ratio, n, 0.95, RESAMPLES, seed);
    free(ratio);
    return none;
}
