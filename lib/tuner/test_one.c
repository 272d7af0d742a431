/* SPDX-License-Identifier: Apache-2.0
 * One test of the search: build, verify, one probe sample, and the rest of seven where that is promising. */
#include <stdio.h>

#include "tuning.h"

#define SAMPLES 7
#define MIN_SAMPLE_MS 20.0
#define SLOW_RATIO 1.5
/* Enough samples of a kernel that takes seconds. */
#define FEW_SAMPLES 3
#define FEW_SAMPLES_MS 2000.0

struct samples {
    double ms[SAMPLES];
    int32_t count;
    double time_ms; /* median, or the probe's; 0 = none */
};

/* The last sample's output is poisoned before and checked after. */
static attune_outcome take_samples(struct tuning *tuning, struct tuned_workload *workload, struct candidate *candidate,
                                   struct samples *samples)
{
    struct attune_target *target = tuning->target;
    struct reference *reference = &workload->reference;
    attune_outcome outcome = candidate_calibrate(target, reference, candidate, MIN_SAMPLE_MS);
    double spent_ms = 0;
    int32_t wanted = SAMPLES;
    for (bool last = false; outcome == ATTUNE_OUTCOME_OK && !last;) {
        last = samples->count >= wanted - 1 || (samples->count >= FEW_SAMPLES - 1 && spent_ms > FEW_SAMPLES_MS);
        if (last)
            outcome = candidate_poison(target, reference, candidate, &tuning->rng);
        if (outcome == ATTUNE_OUTCOME_OK)
            outcome = candidate_sample(target, reference, candidate, &samples->ms[samples->count]);
        if (outcome != ATTUNE_OUTCOME_OK)
            break;
        double probe = samples->ms[samples->count++];
        spent_ms += probe * candidate->launches;
        bool slow = workload->best_ms > 0 && samples->ms[0] > SLOW_RATIO * workload->best_ms;
        if (samples->count == 1 && slow && !tuning->recorder) {
            samples->time_ms = probe;
            return candidate->outcome = ATTUNE_OUTCOME_SLOW;
        }
        if (slow)
            wanted = FEW_SAMPLES;
        if (last)
            outcome = candidate_check(target, reference, candidate);
    }
    if (outcome == ATTUNE_OUTCOME_OK) {
        double sorted[SAMPLES];
        for (int32_t i = 0; i < samples->count; i++)
            sorted[i] = samples->ms[i];
        samples->time_ms = stats_median(sorted, (size_t)samples->count);
        if (roofline_impossible(target, workload->problem, samples->time_ms, candidate->reason,
                                sizeof candidate->reason))
            return candidate->outcome = ATTUNE_OUTCOME_IMPOSSIBLE;
    }
    return outcome;
}

attune_status test_proposal(struct tuning *tuning, struct tuned_workload *workload,
                            const struct search_proposal *proposal)
{
    uint64_t start = clock_now_ns();
    struct kernel_config config;
    tuning_space_config(&tuning->space, proposal->values, &config);
    struct candidate candidate;
    candidate_init(&candidate, 0, &config);
    record_proposal(tuning, workload, proposal, &candidate);
    session_recycle(&tuning->target->session);
    attune_status status = candidate_prepare(tuning->target, &workload->reference);
    if (status != ATTUNE_OK)
        return status;
    struct samples samples = {.count = 0};
    uint64_t begin = clock_now_ns();
    attune_outcome outcome =
        candidate_verify(tuning->target, &workload->reference, &candidate, workload->best_ms, &tuning->rng);
    uint64_t verified = clock_now_ns();
    if (outcome == ATTUNE_OUTCOME_OK)
        outcome = take_samples(tuning, workload, &candidate, &samples);
    bool right = outcome == ATTUNE_OUTCOME_OK || outcome == ATTUNE_OUTCOME_SLOW;
    if (outcome == ATTUNE_OUTCOME_OK && (workload->best_ms == 0 || samples.time_ms < workload->best_ms))
        workload->best_ms = samples.time_ms;
    if (right && kernel_config_equal(&config, &workload->untuned))
        workload->default_ms = samples.time_ms;
    if (!right && kernel_config_equal(&config, &workload->untuned))
        snprintf(workload->default_fault, sizeof workload->default_fault, "%s: %.160s",
                 attune_outcome_name(candidate.outcome), candidate.reason);
    if (outcome == ATTUNE_OUTCOME_BUILD_FAILED)
        default_failed(tuning, workload, &candidate);
    search_tell(tuning->search, right ? SEARCH_OK : SEARCH_FAILED, samples.time_ms);
    if (tuning->recorder && tuning->record_status == ATTUNE_OK) {
        double verify_ms = (double)(verified - begin) * 1e-6 - candidate.build_ms;
        struct recorded_test test = {.values = proposal->values,
                                     .outcome = outcome,
                                     .samples = samples.ms,
                                     .num_samples = samples.count,
                                     .build_ms = candidate.build_ms,
                                     .verify_ms = verify_ms > 0 ? verify_ms : 0,
                                     .sample_ms = (double)(clock_now_ns() - verified) * 1e-6};
        tuning->record_status = recorder_add(tuning->recorder, &test);
    }
    record_outcome(tuning, workload, &candidate, samples.ms, samples.count, samples.time_ms);
    tuning->tests++;
    workload->result->tests++;
    tuning->outcomes[outcome]++;
    tuning->test_seconds += (double)(clock_now_ns() - start) * 1e-9;
    record_checkpoint(tuning);
    tuning_progress(tuning, workload, &candidate, samples.time_ms);
    return ATTUNE_OK;
}
