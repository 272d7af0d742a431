/* SPDX-License-Identifier: Apache-2.0 */
#include "rounds.h"

#include <stdlib.h>
#include <string.h>

#define RESAMPLES 2000
/* Peaks are measured in every so many rounds. */
#define PEAK_EVERY 3

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
        attune_status status = candidate_prepare(target, reference);
        if (status != ATTUNE_OK)
            return status;
        double time_ms = 0;
        candidates[i].outcome = rounds_sample(target, reference, &candidates[i], check, rng, &time_ms);
        times[i] = candidates[i].outcome == ATTUNE_OUTCOME_OK ? time_ms : 0;
    }
    rounds->count++;
    return ATTUNE_OK;
}

struct peak_samples {
    double fma[64], contract[64], read[64];
    size_t count;
};

static void sample_peaks(struct attune_target *target, const attune_problem *problem, struct peak_samples *samples)
{
    struct peaks now;
    if (samples->count == sizeof samples->fma / sizeof samples->fma[0] || !peaks_measure(target, problem, &now))
        return;
    samples->fma[samples->count] = now.fma_gflops;
    samples->contract[samples->count] = now.contract_gflops;
    samples->read[samples->count++] = now.read_gbps;
}

attune_status rounds_run(struct attune_target *target, struct reference *reference, struct candidate *candidates,
                         int32_t count, const struct rounds_options *options, struct rng *rng, struct rounds *out)
{
    memset(out, 0, sizeof *out);
    out->num_candidates = count;
    out->capacity = options->rounds;
    out->times = calloc((size_t)options->rounds * (size_t)count + 1, sizeof *out->times);
    if (!out->times)
        return set_error(ATTUNE_ERROR_OUT_OF_MEMORY, "out of memory for %d rounds", options->rounds);
    uint64_t start = clock_now_ns();
    struct peak_samples peaks = {.count = 0};
    int32_t checked = (int32_t)rng_below(rng, (uint64_t)options->rounds);
    for (int32_t r = 0; r < options->rounds && out->status == ATTUNE_OK; r++) {
        double seconds = (double)(clock_now_ns() - start) * 1e-9;
        if (r && options->max_seconds > 0 && seconds >= options->max_seconds)
            break;
        if (r % PEAK_EVERY == 0)
            sample_peaks(target, reference->problem, &peaks);
        bool check = r == 0 || r == checked || r == options->rounds - 1;
        out->status = run_round(target, reference, candidates, options, check, rng, out);
    }
    if (out->status == ATTUNE_OK)
        sample_peaks(target, reference->problem, &peaks);
    if (peaks.count) {
        out->peaks.fma_gflops = stats_median(peaks.fma, peaks.count);
        out->peaks.contract_gflops = stats_median(peaks.contract, peaks.count);
        out->peaks.read_gbps = stats_median(peaks.read, peaks.count);
    }
    return ATTUNE_OK;
}

void rounds_free(struct rounds *rounds)
{
    free(rounds->times);
    rounds->times = NULL;
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
