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

/* What a test of a configuration found. */
struct trial_of_one {
    struct candidate candidate;
    struct samples samples;
    attune_outcome outcome;
    double build_ms, verify_ms, sample_ms;
};

static attune_status try_once(struct tuning *tuning, struct tuned_workload *workload,
                              const struct kernel_config *config, struct trial_of_one *out)
{
    struct attune_target *target = tuning->target;
    candidate_init(&out->candidate, 0, config);
    out->samples = (struct samples){.count = 0};
    attune_status status = candidate_prepare(target, &workload->reference);
    if (status != ATTUNE_OK)
        return status;
    uint64_t begin = clock_now_ns();
    out->outcome = candidate_verify(target, &workload->reference, &out->candidate, workload->best_ms, &tuning->rng);
    uint64_t verified = clock_now_ns();
    if (out->outcome == ATTUNE_OUTCOME_OK)
        out->outcome = take_samples(tuning, workload, &out->candidate, &out->samples);
    double verify_ms = (double)(verified - begin) * 1e-6 - out->candidate.build_ms;
    out->build_ms = out->candidate.build_ms;
    out->verify_ms = verify_ms > 0 ? verify_ms : 0;
    out->sample_ms = (double)(clock_now_ns() - verified) * 1e-6;
    return ATTUNE_OK;
}

/* A worker that was killed from outside, or could not write, says nothing about the kernel. */
static attune_status try_config(struct tuning *tuning, struct tuned_workload *workload,
                                const struct kernel_config *config, struct trial_of_one *out)
{
    attune_status status = try_once(tuning, workload, config, out);
    if (status != ATTUNE_OK || out->outcome != ATTUNE_OUTCOME_ENVIRONMENT)
        return status;
    record_retry(tuning, workload, &out->candidate);
    session_stop(&tuning->target->session);
    return try_once(tuning, workload, config, out);
}

/* To the search, and to what the workload knows of its default. */
static void tell(struct tuning *tuning, struct tuned_workload *workload, const struct trial_of_one *trial)
{
    const struct candidate *candidate = &trial->candidate;
    bool right = trial->outcome == ATTUNE_OUTCOME_OK || trial->outcome == ATTUNE_OUTCOME_SLOW;
    bool is_default = kernel_config_equal(&candidate->config, &workload->untuned);
    double time_ms = trial->samples.time_ms;
    if (trial->outcome == ATTUNE_OUTCOME_OK && (workload->best_ms == 0 || time_ms < workload->best_ms))
        workload->best_ms = time_ms;
    workload->right_tests += right;
    if (trial->outcome == ATTUNE_OUTCOME_OK) {
        tuning->right_tests++;
        tuning->right_seconds += (trial->build_ms + trial->verify_ms + trial->sample_ms) * 1e-3;
    }
    if (right && is_default)
        workload->default_ms = time_ms;
    if (!right && is_default)
        snprintf(workload->default_fault, sizeof workload->default_fault, "%s: %.160s",
                 attune_outcome_name(trial->outcome), candidate->reason);
    if (trial->outcome == ATTUNE_OUTCOME_BUILD_FAILED)
        default_failed(tuning, workload, candidate);
    if (trial->outcome == ATTUNE_OUTCOME_ENVIRONMENT) {
        tuning->environment_faults++;
        copy_string(tuning->environment, sizeof tuning->environment, candidate->reason);
        search_skip(tuning->search);
        return;
    }
    tuning->environment_faults = 0;
    search_tell(tuning->search, right ? SEARCH_OK : SEARCH_FAILED, time_ms);
}

attune_status test_proposal(struct tuning *tuning, struct tuned_workload *workload,
                            const struct search_proposal *proposal)
{
    uint64_t start = clock_now_ns();
    struct kernel_config config;
    struct trial_of_one trial;
    tuning_space_config(&tuning->space, proposal->values, &config);
    candidate_init(&trial.candidate, 0, &config);
    record_proposal(tuning, workload, proposal, &trial.candidate);
    session_recycle(&tuning->target->session);
    budget_limit_requests(tuning);
    attune_status status = try_config(tuning, workload, &config, &trial);
    if (status != ATTUNE_OK)
        return status;
    tell(tuning, workload, &trial);
    if (tuning->recorder && tuning->record_status == ATTUNE_OK && trial.outcome != ATTUNE_OUTCOME_ENVIRONMENT) {
        struct recorded_test test = {.values = proposal->values,
                                     .outcome = trial.outcome,
                                     .samples = trial.samples.ms,
                                     .num_samples = trial.samples.count,
                                     .build_ms = trial.build_ms,
                                     .verify_ms = trial.verify_ms,
                                     .sample_ms = trial.sample_ms};
        tuning->record_status = recorder_add(tuning->recorder, &test);
    }
    record_outcome(tuning, workload, &trial.candidate, trial.samples.ms, trial.samples.count, trial.samples.time_ms);
    tuning->tests++;
    workload->result->tests++;
    tuning->outcomes[trial.outcome]++;
    tuning->test_seconds += (double)(clock_now_ns() - start) * 1e-9;
    record_checkpoint(tuning);
    tuning_progress(tuning, workload, &trial.candidate, trial.samples.time_ms);
    return ATTUNE_OK;
}
