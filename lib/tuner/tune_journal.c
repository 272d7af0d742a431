/* SPDX-License-Identifier: Apache-2.0
 * The record of a tuning: one JSON object per decision, with the raw samples that it rests on. */
#include <math.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

#include "tuning.h"

/* A name that sorts by time and is not taken by another process. */
static bool default_path(const struct tuning *tuning, char *path, size_t size)
{
    if (!tuning->target->places.user[0])
        return false;
    char stamp[32];
    struct timespec now;
    struct tm parts;
    clock_gettime(CLOCK_REALTIME, &now);
    gmtime_r(&now.tv_sec, &parts);
    strftime(stamp, sizeof stamp, "%Y%m%d-%H%M%S", &parts);
    int length = snprintf(path, size, "%s/journal/%s-%03ld-%ld.jsonl", tuning->target->places.user, stamp,
                          now.tv_nsec / 1000000, (long)getpid());
    return length > 0 && (size_t)length < size;
}

attune_status tuning_journal_open(struct tuning *tuning)
{
    char path[1024];
    const char *wanted = tuning->options->journal;
    if (!wanted && !default_path(tuning, path, sizeof path))
        return ATTUNE_OK;
    attune_status status = journal_create(&tuning->journal, wanted ? wanted : path);
    if (status == ATTUNE_OK || wanted)
        return status;
    /* Of a context whose cache cannot be written: kept in memory, and nothing is recorded. */
    log_message(&tuning->target->logger, ATTUNE_LOG_WARNING, "no journal: %s", attune_last_error());
    return ATTUNE_OK;
}

static void keep_reason(struct tuning *tuning)
{
    if (tuning->journal_status != ATTUNE_OK && !tuning->journal_reason[0])
        copy_string(tuning->journal_reason, sizeof tuning->journal_reason, attune_last_error());
}

void record(struct tuning *tuning, const char *type, json_t *fields)
{
    if (!tuning->journal || tuning->journal_status != ATTUNE_OK) {
        json_decref(fields);
        return;
    }
    tuning->journal_status = journal_append(tuning->journal, type, fields);
    keep_reason(tuning);
}

void record_header(struct tuning *tuning)
{
    const attune_tune_options *o = tuning->options;
    json_t *problems = json_array();
    for (int32_t i = 0; i < tuning->num_active; i++)
        json_array_append_new(problems, json_string(attune_problem_text(tuning->workloads[tuning->active[i]].problem)));
    const attune_device_info *d = &tuning->target->info;
    json_t *device = json_pack("{s:s,s:s?,s:s?,s:s?,s:s?}", "backend", d->backend, "name", d->name, "driver", d->driver,
                               "version", d->version, "simulated", d->simulated);
    record(tuning, "header",
           json_pack("{s:i,s:s,s:s,s:i,s:I,s:i,s:f,s:o,s:o}", "version", JOURNAL_VERSION, "tool", ATTUNE_VERSION_STRING,
                     "strategy", o->strategy ? o->strategy : "default", "policy", (int)o->policy, "seed",
                     (json_int_t)(o->seed & INT64_MAX), "budget_tests", (int)o->budget_tests, "budget_seconds",
                     o->budget_seconds, "device", device, "problems", problems));
}

void record_proposal(struct tuning *tuning, const struct tuned_workload *workload,
                     const struct search_proposal *proposal, const struct candidate *candidate)
{
    record(tuning, "proposal",
           json_pack("{s:i,s:s,s:s,s:s,s:f}", "test", (int)tuning->tests, "problem",
                     attune_problem_text(workload->problem), "config", candidate->text, "why",
                     proposal->why ? proposal->why : "", "predicted", proposal->predicted));
}

static json_t *numbers(const double *values, int32_t count)
{
    json_t *array = json_array();
    for (int32_t i = 0; i < count; i++)
        json_array_append_new(array, json_real(values[i]));
    return array;
}

/* JSON has no infinity, which is what a NaN in an output counts as. NaN: not known. */
static json_t *error_figure(double value)
{
    return isnan(value) ? json_null() : json_real(value < 1e300 ? value : 1e300);
}

void record_outcome(struct tuning *tuning, const struct tuned_workload *workload, const struct candidate *candidate,
                    const double *samples, int32_t num_samples, double time_ms)
{
    int test = tuning->tests;
    (void)workload;
    record(tuning, "build", json_pack("{s:i,s:f}", "test", test, "build_ms", candidate->build_ms));
    if (candidate->checks || candidate->outcome == ATTUNE_OUTCOME_WRONG)
        record(tuning, "verification",
               json_pack("{s:i,s:i,s:o,s:o,s:o}", "test", test, "checks", (int)candidate->checks, "max_abs",
                         error_figure(candidate->error.max_abs), "relative", error_figure(candidate->error.relative),
                         "lse", error_figure(candidate->error.lse)));
    if (num_samples)
        record(tuning, "samples",
               json_pack("{s:i,s:i,s:f,s:o}", "test", test, "launches", (int)candidate->launches, "last_span_ms",
                         candidate->span_ms, "ms", numbers(samples, num_samples)));
    const char *label = attune_outcome_name(candidate->outcome);
    if (candidate->outcome != ATTUNE_OUTCOME_OK && candidate->outcome != ATTUNE_OUTCOME_SLOW)
        record(tuning, "fault", json_pack("{s:i,s:s,s:s?}", "test", test, "label", label, "reason", candidate->reason));
    record(tuning, "verdict", json_pack("{s:i,s:s,s:f}", "test", test, "outcome", label, "time_ms", time_ms));
}

void record_retry(struct tuning *tuning, const struct tuned_workload *workload, const struct candidate *candidate)
{
    record(tuning, "retry",
           json_pack("{s:i,s:s,s:s,s:s,s:s?}", "test", (int)tuning->tests, "problem",
                     attune_problem_text(workload->problem), "config", candidate->text, "label",
                     attune_outcome_name(candidate->outcome), "reason", candidate->reason));
}

void record_quarantine(struct tuning *tuning, const struct tuned_workload *workload, const struct candidate *candidate,
                       double time_ms)
{
    record(tuning, "quarantine",
           json_pack("{s:s,s:s,s:f,s:s?}", "problem", attune_problem_text(workload->problem), "config", candidate->text,
                     "time_ms", time_ms, "reason", candidate->reason));
}

void record_checkpoint(struct tuning *tuning)
{
    json_t *best = json_array();
    for (int32_t i = 0; i < tuning->num_active; i++)
        json_array_append_new(best, json_real(tuning->workloads[tuning->active[i]].best_ms));
    record(tuning, "checkpoint",
           json_pack("{s:i,s:f,s:o}", "tests", (int)tuning->tests, "seconds", tuning_seconds(tuning), "best_ms", best));
    if (tuning->journal && tuning->journal_status == ATTUNE_OK)
        tuning->journal_status = journal_flush(tuning->journal);
    keep_reason(tuning);
}

void record_rounds(struct tuning *tuning, const char *type, const struct tuned_workload *workload,
                   const struct candidate *candidates, const struct rounds *rounds)
{
    json_t *configs = json_array(), *outcomes = json_array(), *times = json_array();
    for (int32_t i = 0; i < rounds->num_candidates; i++) {
        json_array_append_new(configs, json_string(candidates[i].text));
        json_array_append_new(outcomes, json_string(attune_outcome_name(candidates[i].outcome)));
    }
    for (int32_t r = 0; r < rounds->count; r++)
        json_array_append_new(
            times, numbers(rounds->times + (size_t)r * (size_t)rounds->num_candidates, rounds->num_candidates));
    record(tuning, type,
           json_pack("{s:s,s:o,s:o,s:o,s:f,s:f,s:f}", "problem", attune_problem_text(workload->problem), "configs",
                     configs, "outcomes", outcomes, "rounds_ms", times, "fma_gflops", rounds->peaks.fma_gflops,
                     "peak_gflops", peaks_contract_gflops(&rounds->peaks, NULL), "read_gbps", rounds->peaks.read_gbps));
}
