/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>
#include <string.h>

#include "answer.h"
#include "desc.h"
#include "rounds.h"

#define MAX_ROUNDS 10000

static attune_status check_arguments(const attune_target *target, const attune_problem *problem,
                                     const char *const *configs, size_t num_configs,
                                     const attune_measure_options *options, const attune_measurement *out)
{
    if (!target || !problem || !configs || !out)
        return set_error(ATTUNE_ERROR_NULL_ARGUMENT, "%s is NULL",
                         !target    ? "target"
                         : !problem ? "problem"
                         : !configs ? "configs"
                                    : "out");
    if (num_configs < 1 || num_configs > MAX_CANDIDATES)
        return set_error(ATTUNE_ERROR_INVALID_SIZE, "num_configs is %zu; it must be 1 to %d", num_configs,
                         MAX_CANDIDATES);
    attune_status status = struct_check(options, sizeof *options, "options");
    if (status != ATTUNE_OK)
        return status;
    if (options->rounds < 1 || options->rounds > MAX_ROUNDS)
        return set_error(ATTUNE_ERROR_INVALID_SIZE, "options.rounds is %d; it must be 1 to %d", options->rounds,
                         MAX_ROUNDS);
    if (!(options->min_sample_ms >= 0) || !(options->max_seconds >= 0) || !(options->limit_seconds >= 0))
        return set_error(ATTUNE_ERROR_INVALID_SIZE,
                         "options.min_sample_ms, options.max_seconds and options.limit_seconds must not be negative");
    return attune_problem_supported(problem);
}

/* What a configuration's name means on this target. */
static attune_status resolve(struct attune_target *target, const attune_problem *problem,
                             const struct cache_key *key, const struct selection *answer, const char *name, struct kernel_config *config,
                             const char **source)
{
    struct kernel_facts facts = target_facts(target, problem);
    *source = "forced";
    if (!strcmp(name, "tuned")) {
        *config = answer->config;
        *source = answer->source;
        return ATTUNE_OK;
    }
    if (!strcmp(name, "default")) {
        struct aside aside;
        aside_find(target->cache, key, &aside);
        *source = "default";
        if (!select_default(&aside, target->choice.backend, &target->choice.limits, &facts, config))
            return set_error(ATTUNE_ERROR_UNSUPPORTED, "backend %s has no untuned default for this problem",
                             target->choice.backend->name);
        return ATTUNE_OK;
    }
    return kernel_config_parse(name, config);
}

struct job {
    struct attune_target *target;
    struct reference reference;
    struct candidate candidates[MAX_CANDIDATES];
    int32_t count;
    struct rng rng;
};

/* True where the call's time is over: what was still to be measured is not, and no error is the device's. */
static bool cut_off(struct job *job)
{
    if (!session_over(&job->target->session))
        return false;
    for (int32_t i = 0; i < job->count; i++) {
        struct candidate *c = &job->candidates[i];
        if (c->outcome != ATTUNE_OUTCOME_OK || c->first_ms > 0)
            continue;
        c->outcome = ATTUNE_OUTCOME_TIMEOUT;
        copy_string(c->reason, sizeof c->reason, "no time was left for it");
    }
    return true;
}

static attune_status verify_all(struct job *job, double min_sample_ms)
{
    struct attune_target *target = job->target;
    struct kernel_facts facts = target_facts(target, job->reference.problem);
    for (int32_t i = 0; i < job->count; i++) {
        struct candidate *c = &job->candidates[i];
        if (!backend_config_valid(&target->choice.limits, &facts, &c->config, c->reason, sizeof c->reason)) {
            c->outcome = ATTUNE_OUTCOME_INVALID;
            continue;
        }
        attune_status status = candidate_prepare(target, &job->reference);
        if (cut_off(job))
            return ATTUNE_OK;
        if (status != ATTUNE_OK)
            return status;
        if (candidate_verify(target, &job->reference, c, 0, &job->rng) == ATTUNE_OUTCOME_OK)
            candidate_calibrate(target, &job->reference, c, min_sample_ms);
    }
    return ATTUNE_OK;
}

static void report(struct job *job, const struct rounds *rounds, int32_t i, attune_measurement *out)
{
    struct candidate *c = &job->candidates[i];
    const attune_problem *problem = job->reference.problem;
    out->num_samples = rounds_median(rounds, i, &out->time_ms, &out->mad_ms);
    if (c->outcome == ATTUNE_OUTCOME_OK && out->num_samples &&
        roofline_impossible(job->target, problem, out->time_ms, c->reason, sizeof c->reason))
        c->outcome = ATTUNE_OUTCOME_IMPOSSIBLE;
    if (c->outcome == ATTUNE_OUTCOME_OK && !out->num_samples) {
        c->outcome = ATTUNE_OUTCOME_TIMEOUT;
        copy_string(c->reason, sizeof c->reason, "no time was left for a sample");
    }
    out->outcome = c->outcome;
    copy_string(out->reason, sizeof out->reason, c->outcome == ATTUNE_OUTCOME_OK ? "" : c->reason);
    out->build_ms = c->build_ms;
    out->max_abs_err = c->error.max_abs; /* NaN unless compared */
    out->rel_err = c->error.relative;
    out->lse_err = c->error.lse;
    out->fma_gflops = rounds->peaks.fma_gflops;
    out->read_gbps = rounds->peaks.read_gbps;
    const char *reading;
    out->peak_gflops = peaks_contract_gflops(&rounds->peaks, &reading);
    copy_string(out->peak_reading, sizeof out->peak_reading, reading);
    out->roofline_ms = roofline_ms(problem, &rounds->peaks);
    bool disturbed;
    out->roofline_share = rounds_share(rounds, problem, i, &disturbed);
    out->disturbed = disturbed;
}

static attune_status measure(struct job *job, const attune_measure_options *options, attune_measurement *out,
                             struct stats_interval *ratios)
{
    attune_status status = verify_all(job, options->min_sample_ms);
    struct rounds rounds = {0};
    struct rounds_options how = {
        .rounds = options->rounds, .slow_ratio = 8.0, .slow_rounds = 3, .max_seconds = options->max_seconds};
    if (status == ATTUNE_OK && !cut_off(job))
        status = rounds_run(job->target, &job->reference, job->candidates, job->count, &how, &job->rng, &rounds);
    if (status == ATTUNE_OK && rounds.status != ATTUNE_OK && !cut_off(job))
        status = rounds.status;
    for (int32_t i = 0; status == ATTUNE_OK && i < job->count; i++) {
        report(job, &rounds, i, &out[i]);
        ratios[i] = rounds_ratio(&rounds, i, 0, options->seed);
    }
    rounds_free(&rounds);
    return status;
}

attune_status attune_measure(attune_target *target, const attune_problem *problem, const char *const *configs,
                             size_t num_configs, const attune_measure_options *options, attune_measurement *out,
                             double *ratio_low, double *ratio, double *ratio_high)
{
    static const attune_measure_options defaults = ATTUNE_MEASURE_OPTIONS_INIT;
    if (!options)
        options = &defaults;
    attune_status status = check_arguments(target, problem, configs, num_configs, options, out);
    if (status != ATTUNE_OK)
        return status;
    memset(out, 0, num_configs * sizeof *out);
    uint64_t start_ns = clock_now_ns();
    struct job *job = calloc(1, sizeof *job);
    if (!job)
        return set_error(ATTUNE_ERROR_OUT_OF_MEMORY, "out of memory for a measurement");
    job->target = target;
    job->count = (int32_t)num_configs;
    rng_seed(&job->rng, options->seed);
    struct selection answer;
    struct cache_key key;
    status = target_answer(target, problem, &key, &answer);
    for (size_t i = 0; status == ATTUNE_OK && i < num_configs; i++) {
        struct kernel_config config;
        const char *source;
        status = resolve(target, problem, &key, &answer, configs[i], &config, &source);
        if (status != ATTUNE_OK)
            break;
        candidate_init(&job->candidates[i], (int)i, &config);
        copy_string(out[i].config, sizeof out[i].config, job->candidates[i].text);
        copy_string(out[i].source, sizeof out[i].source, source);
    }
    struct stats_interval ratios[MAX_CANDIDATES] = {{0}};
    if (status == ATTUNE_OK)
        status = reference_create(problem, 0, options->seed, &job->reference);
    if (options->limit_seconds > 0)
        target->session.end_ns = start_ns + (uint64_t)(options->limit_seconds * 1e9);
    if (status == ATTUNE_OK)
        status = measure(job, options, out, ratios);
    for (size_t i = 0; i < num_configs; i++) {
        if (ratio_low)
            ratio_low[i] = ratios[i].low;
        if (ratio)
            ratio[i] = ratios[i].mid;
        if (ratio_high)
            ratio_high[i] = ratios[i].high;
    }
    reference_destroy(&job->reference);
    free(job);
    /* Another call's inputs have the same numbers. */
    session_stop(&target->session);
    target->session.end_ns = 0;
    return status;
}
