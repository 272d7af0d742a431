/* SPDX-License-Identifier: Apache-2.0
 * attune_tune: which workloads need work, the search over them, budgets, and how it ends. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "cache/files.h"
#include "desc.h"
#include "probe.h"
#include "tuning.h"

#define NUM_FEATURES 5
#define MAX_SEEDS 24
#define UNLIMITED_TESTS (1 << 20)
/* Times in a row that the device may refuse to open ... */
#define MAX_DEVICE_FAILURES 3
/* ... and that tests may fail for the environment's sake. */
#define MAX_ENVIRONMENT_FAULTS 3

void tuning_progress(struct tuning *tuning, const struct tuned_workload *workload, const struct candidate *candidate,
                     double time_ms)
{
    const attune_tune_options *o = tuning->options;
    if (!o->progress)
        return;
    attune_tune_progress progress = {.phase = tuning->phase,
                                     .tests = tuning->tests,
                                     .budget_tests = o->budget_tests,
                                     .seconds = tuning_seconds(tuning),
                                     .budget_seconds = o->budget_seconds,
                                     .eta_seconds = eta_seconds(tuning),
                                     .workload = workload ? attune_problem_name(workload->problem) : "",
                                     .config = candidate ? candidate->text : "",
                                     .outcome = candidate ? candidate->outcome : ATTUNE_OUTCOME_OK,
                                     .time_ms = time_ms,
                                     .best_ms = workload ? workload->best_ms : 0,
                                     .default_ms = workload ? workload->default_ms : 0,
                                     .reason =
                                         candidate && candidate->outcome != ATTUNE_OUTCOME_OK ? candidate->reason : ""};
    if (o->progress(o->progress_priv, &progress))
        tuning->interrupted = true;
}

/* ---- before */

attune_status tune_check_options(const attune_tune_options *options)
{
    attune_status status = struct_check(options, sizeof *options, "options");
    if (status != ATTUNE_OK)
        return status;
    if (options->policy != ATTUNE_MEASURE && options->policy != ATTUNE_EXHAUSTIVE)
        return set_error(ATTUNE_ERROR_ENUM, "options.policy is %d; it must be MEASURE (3) or EXHAUSTIVE (4)",
                         (int)options->policy);
    if (options->budget_tests < 0 || !(options->budget_seconds >= 0))
        return set_error(ATTUNE_ERROR_INVALID_SIZE,
                         "options.budget_tests and options.budget_seconds must not be negative");
    if (options->strategy && !search_strategy_find(options->strategy))
        return set_error(ATTUNE_ERROR_ENUM, "options.strategy is \"%s\"; attune_search_strategy lists those there are",
                         options->strategy);
    struct restriction restriction;
    if (options->record && options->policy != ATTUNE_EXHAUSTIVE)
        return set_error(ATTUNE_ERROR_MISMATCH, "options.record needs policy EXHAUSTIVE (4); it is %d",
                         (int)options->policy);
    return restriction_parse(options->family, &restriction);
}

static attune_status check_problems(const attune_problem *const *problems, size_t num_problems,
                                    const attune_tune_options *options)
{
    if (num_problems < 1 || num_problems > SEARCH_MAX_WORKLOADS)
        return set_error(ATTUNE_ERROR_INVALID_SIZE, "num_problems is %zu; it must be 1 to %d", num_problems,
                         SEARCH_MAX_WORKLOADS);
    attune_status status = tune_check_options(options);
    if (status != ATTUNE_OK)
        return status;
    if (options->record && num_problems > 1)
        return set_error(ATTUNE_ERROR_MISMATCH, "options.record takes one problem; there are %zu", num_problems);
    for (size_t i = 0; i < num_problems; i++) {
        if (!problems[i])
            return set_error(ATTUNE_ERROR_NULL_ARGUMENT, "problems[%zu] is NULL", i);
        if ((status = attune_problem_supported(problems[i])) != ATTUNE_OK)
            return status;
    }
    return ATTUNE_OK;
}

/* The folder of a file that is to be written. */
static attune_status check_folder_of(const char *member, const char *path)
{
    const char *slash = strrchr(path, '/');
    struct strbuf folder = {0};
    strbuf_append(&folder, slash ? path : ".", slash ? (size_t)(slash - path) + 1 : 1);
    attune_status status =
        folder.text ? folder_check(folder.text, true) : set_error(ATTUNE_ERROR_OUT_OF_MEMORY, "a folder's name");
    strbuf_free(&folder);
    return status == ATTUNE_OK ? status
                               : set_error(status, "options.%s is \"%s\": %s", member, path, attune_last_error());
}

/* Files that could not be written at the end had better be known at the start. */
static attune_status check_files(const attune_tune_options *options)
{
    attune_status status = ATTUNE_OK;
    struct stat info;
    if (options->journal && !lstat(options->journal, &info))
        status = set_error(ATTUNE_ERROR_IO, "options.journal is \"%s\", which is there already", options->journal);
    else if (options->journal)
        status = check_folder_of("journal", options->journal);
    if (status == ATTUNE_OK && options->record)
        status = check_folder_of("record", options->record);
    return status;
}

attune_status attune_tune_check(const attune_target_options *target, const attune_problem *const *problems,
                                size_t num_problems, const attune_tune_options *options)
{
    static const attune_target_options any_target = ATTUNE_TARGET_OPTIONS_INIT;
    static const attune_tune_options defaults = ATTUNE_TUNE_OPTIONS_INIT;
    if (!problems)
        return set_error(ATTUNE_ERROR_NULL_ARGUMENT, "problems is NULL");
    if (!target)
        target = &any_target;
    if (!options)
        options = &defaults;
    attune_status status = check_problems(problems, num_problems, options);
    if (status != ATTUNE_OK || (status = target_check_options(target)) != ATTUNE_OK)
        return status;
    if ((status = target_check_worker(target)) != ATTUNE_OK)
        return status;
    char folder[1024];
    cache_user_dir(target->cache_dir, folder, sizeof folder);
    status = cache_check_user(target->cache_dir, folder, true);
    return status == ATTUNE_OK ? check_files(options) : status;
}

static void fill_hit(struct tuned_workload *workload, const char *cache_dir)
{
    const struct cache_entry *entry = &workload->answer.entry;
    attune_tune_result *r = workload->result;
    char hash[HASH_HEX_SIZE];
    cache_key_hash(&entry->key, hash);
    if (workload->answer.level <= CACHE_USER && cache_dir[0] &&
        snprintf(r->entry_path, sizeof r->entry_path, "%s/entries/%s.json", cache_dir, hash) >=
            (int)sizeof r->entry_path)
        r->entry_path[0] = '\0'; /* a cut path would be another file */
    workload->hit = true;
    workload->is_tuned = cache_entry_is_tuned(entry);
    workload->winner = workload->answer.config;
    workload->has_winner = true;
    r->hit = 1;
    r->exhausted = entry->depth.exhausted;
    r->time_ms = entry->time_ms;
    r->default_ms = entry->default_ms;
    r->gain = entry->gain;
    r->gain_low = entry->gain_low;
    r->gain_high = entry->gain_high;
}

static attune_status look_up(struct tuning *tuning, struct tuned_workload *workload)
{
    struct attune_target *target = tuning->target;
    const attune_tune_options *o = tuning->options;
    attune_status status = target_answer(target, workload->problem, &workload->key, &workload->answer);
    if (status != ATTUNE_OK)
        return status;
    struct kernel_facts facts = target_facts(target, workload->problem);
    aside_find(target->cache, &workload->key, &workload->aside);
    if (!select_default(&workload->aside, target->choice.backend, &target->choice.limits, &facts, &workload->untuned))
        return set_error(ATTUNE_ERROR_UNSUPPORTED, "backend %s has no untuned default for %s",
                         target->choice.backend->name, attune_problem_text(workload->problem));
    workload->search_index = -1;
    workload->has_incumbent = !strcmp(workload->answer.source, "tuned") || !strcmp(workload->answer.source, "shallow");
    kernel_config_format(&workload->answer.config, workload->result->config, sizeof workload->result->config);
    if (workload->has_incumbent)
        workload->result->entry_tests = workload->answer.entry.depth.tests;
    if (workload->has_incumbent && o->policy == ATTUNE_MEASURE && !o->retune &&
        depth_fulfils(tuning, &workload->answer.entry.depth)) {
        fill_hit(workload, target->places.user);
        return ATTUNE_OK;
    }
    workload->search_index = tuning->num_active;
    tuning->facts[tuning->num_active] = facts;
    tuning->active[tuning->num_active++] = (int32_t)(workload - tuning->workloads);
    return ATTUNE_OK;
}

void default_failed(struct tuning *tuning, struct tuned_workload *workload, const struct candidate *candidate)
{
    const struct backend_choice *choice = &tuning->target->choice;
    struct kernel_facts facts = target_facts(tuning->target, workload->problem);
    struct kernel_config next;
    if (!select_is_default(choice->backend, &candidate->config))
        return;
    aside_add(&workload->aside, &candidate->config, candidate->reason);
    workload->aside_grew = true;
    if (!kernel_config_equal(&candidate->config, &workload->untuned) ||
        !select_default(&workload->aside, choice->backend, &choice->limits, &facts, &next))
        return;
    workload->untuned = next;
    char text[ATTUNE_CONFIG_TEXT_MAX];
    kernel_config_format(&next, text, sizeof text);
    log_message(&tuning->target->logger, ATTUNE_LOG_WARNING, "%s: the untuned default %s does not compile here: %s; %s "
                "takes its place", attune_problem_text(workload->problem), candidate->text, candidate->reason, text);
}

static double log2_mean(const int32_t *x, int32_t count)
{
    double sum = 0;
    for (int32_t i = 0; i < count; i++)
        sum += x[i];
    return log2(1 + sum / count);
}

static void features_of(const attune_problem *problem, double *out)
{
    const attune_attention_desc *d = &problem->desc;
    out[0] = log2_mean(problem->q_len, problem->batch);
    out[1] = log2_mean(problem->kv_len, problem->batch);
    out[2] = log2((double)problem->batch * d->num_kv_heads);
    out[3] = log2(d->head_dim_qk);
    out[4] = log2((double)d->num_q_heads / d->num_kv_heads);
}

/* Adds a configuration to the seeds, unless it is not in the space. */
static void add_seed(struct tuning *tuning, const struct kernel_config *config, int32_t *seeds, int32_t *count)
{
    if (*count < MAX_SEEDS &&
        tuning_space_values(&tuning->space, config, seeds + *count * tuning->space.space.num_params))
        ++*count;
}

static attune_status make_search(struct tuning *tuning)
{
    const attune_tune_options *o = tuning->options;
    double features[SEARCH_MAX_WORKLOADS * NUM_FEATURES];
    int32_t num_seeds = 0;
    tuning_space_init(&tuning->space, &tuning->target->choice.limits, tuning->facts, tuning->num_active,
                      &tuning->restriction);
    int32_t *seeds = calloc((size_t)MAX_SEEDS * (size_t)tuning->space.space.num_params, sizeof *seeds);
    if (!seeds)
        return set_error(ATTUNE_ERROR_OUT_OF_MEMORY, "out of memory for the search");
    for (int32_t i = 0; i < tuning->num_active; i++) {
        const struct tuned_workload *w = &tuning->workloads[tuning->active[i]];
        features_of(w->problem, features + i * NUM_FEATURES);
        add_seed(tuning, &w->untuned, seeds, &num_seeds);
    }
    for (int32_t i = 0; i < tuning->num_active; i++)
        add_seed(tuning, &tuning->workloads[tuning->active[i]].answer.config, seeds, &num_seeds);
    for (int32_t i = 0; i < tuning->space.num_families; i++) {
        struct kernel_config config;
        family_default_config(tuning->space.families[i], &config);
        add_seed(tuning, &config, seeds, &num_seeds);
    }
    /* The whole space is what a search measures whose budget is no smaller. */
    bool whole = o->policy == ATTUNE_EXHAUSTIVE || !o->budget_tests;
    struct search_options options = {.strategy = o->strategy,
                                     .budget_tests = whole ? UNLIMITED_TESTS : o->budget_tests,
                                     .seed = o->seed,
                                     .num_workloads = tuning->num_active,
                                     .num_features = NUM_FEATURES,
                                     .features = features,
                                     .num_seeds = num_seeds,
                                     .seeds = seeds};
    tuning->search = search_create(&tuning->space.space, &options);
    free(seeds);
    if (!tuning->search)
        return set_error(ATTUNE_ERROR_OUT_OF_MEMORY, "out of memory for the search");
    struct search_proposal first;
    if (o->family && !search_ask(tuning->search, &first))
        return set_error(ATTUNE_ERROR_UNSUPPORTED, "options.family is \"%s\": no such configuration is valid",
                         o->family);
    return o->record ? recorder_create(o->record, tuning->target, tuning->workloads[tuning->active[0]].problem,
                                       &tuning->space, &tuning->recorder)
                     : ATTUNE_OK;
}

/* ---- the search */

/* All that was open was told; what the environment kept from being measured may still be. */
static bool all_exhausted(const struct tuning *tuning)
{
    bool all = true;
    for (int32_t i = 0; i < tuning->num_active; i++)
        all &= search_exhausted(tuning->search, i);
    return all;
}

/* The device was not there for a test. Three times in a row it is given up. */
static attune_status note_device_failure(struct tuning *tuning, attune_status status, int *failures)
{
    bool environment = status == ATTUNE_ERROR_ENVIRONMENT;
    char cause[256];
    copy_string(cause, sizeof cause, attune_last_error());
    record(tuning, "fault",
           json_pack("{s:i,s:s,s:s?}", "test", (int)tuning->tests, "label", environment ? "environment" : "device_lost",
                     "reason", cause));
    log_message(&tuning->target->logger, ATTUNE_LOG_WARNING, "%s: %s", environment ? "environment" : "device", cause);
    if (status == ATTUNE_ERROR_OUT_OF_MEMORY)
        return status;
    if (++*failures < MAX_DEVICE_FAILURES)
        return ATTUNE_OK;
    if (environment)
        return set_error(status, "no worker could work %d times in a row: %.220s", *failures, cause);
    return set_error(ATTUNE_ERROR_DEVICE_LOST, "device %s could not be opened %d times in a row",
                     tuning->target->info.name, *failures);
}

/* True in *exhausted when every feasible pair was measured. */
static attune_status run_search(struct tuning *tuning, bool *exhausted)
{
    struct search_proposal proposal;
    int failures = 0;
    *exhausted = false;
    while (!tuning->interrupted && tuning->journal_status == ATTUNE_OK && tuning->record_status == ATTUNE_OK &&
           !budget_spent(tuning)) {
        if (!search_ask(tuning->search, &proposal)) {
            *exhausted = all_exhausted(tuning);
            break;
        }
        struct tuned_workload *workload = &tuning->workloads[tuning->active[proposal.workload]];
        attune_status status = test_proposal(tuning, workload, &proposal);
        if (status == ATTUNE_OK)
            failures = 0;
        else if ((status = note_device_failure(tuning, status, &failures)) != ATTUNE_OK)
            return status;
        if (tuning->environment_faults == MAX_ENVIRONMENT_FAULTS)
            return set_error(ATTUNE_ERROR_ENVIRONMENT,
                             "%d tests in a row failed for causes outside of their kernels: %.200s",
                             tuning->environment_faults, tuning->environment);
    }
    return ATTUNE_OK;
}

static attune_status confirm_all(struct tuning *tuning)
{
    attune_status result = ATTUNE_OK;
    tuning->phase = "confirm";
    for (int32_t i = 0; i < tuning->num_active; i++) {
        struct tuned_workload *workload = &tuning->workloads[tuning->active[i]];
        attune_status status = ATTUNE_OK;
        budget_limit_requests(tuning);
        if (workload->best_ms > 0) /* else nothing of it was measured */
            status = confirm_workload(tuning, workload, confirm_seconds(tuning));
        tuning->confirmed = i + 1;
        record_checkpoint(tuning);
        if (status == ATTUNE_OK)
            continue;
        result = status;
        if (status != ATTUNE_ERROR_IO)
            break;
    }
    return result;
}

/* When all winners are known. What cannot be measured any more is not known; nothing else is lost. */
static void cross_all(struct tuning *tuning)
{
    attune_status status = ATTUNE_OK;
    for (int32_t i = 0; i < tuning->num_active && status == ATTUNE_OK && !tuning->interrupted; i++) {
        struct tuned_workload *workload = &tuning->workloads[tuning->active[i]];
        budget_limit_requests(tuning);
        if (workload->has_winner && !budget_over(tuning))
            status = cross_workload(tuning, workload, cross_seconds(tuning));
        tuning->crossed = i + 1;
    }
    if (status != ATTUNE_OK)
        log_message(&tuning->target->logger, ATTUNE_LOG_WARNING, "cross times are not known: %s", attune_last_error());
}

/* What a result without a winner of this call has to say. */
static void explain_result(const struct tuning *tuning, const struct tuned_workload *workload)
{
    attune_tune_result *r = workload->result;
    r->exhausted = search_exhausted(tuning->search, workload->search_index);
    if (r->reason[0] || r->time_ms > 0)
        return;
    if (!r->tests)
        snprintf(r->reason, sizeof r->reason, "not tried: %s",
                 tuning->interrupted ? "the tuning was stopped before" : "the budget ended before its first test");
    else if (workload->default_fault[0])
        snprintf(r->reason, sizeof r->reason, "nothing passed in %d test%s; the untuned default: %s", r->tests,
                 r->tests == 1 ? "" : "s", workload->default_fault);
    else
        snprintf(r->reason, sizeof r->reason, "nothing passed in %d test%s", r->tests, r->tests == 1 ? "" : "s");
}

static attune_tune_end end_of(const struct tuning *tuning, bool exhausted)
{
    bool promoted = false;
    for (int32_t i = 0; i < tuning->num_workloads; i++)
        promoted |= tuning->workloads[i].result->promoted;
    if (tuning->interrupted)
        return ATTUNE_TUNE_INTERRUPTED;
    if (!exhausted)
        return ATTUNE_TUNE_BUDGET;
    return promoted ? ATTUNE_TUNE_DONE : ATTUNE_TUNE_NO_IMPROVEMENT;
}

/* Searches and confirms the workloads that need it. */
static attune_status tune_active(struct tuning *tuning, attune_tune_summary *summary)
{
    attune_status status = tuning_journal_open(tuning);
    tuning->phase = "start";
    tuning_progress(tuning, NULL, NULL, 0);
    /* The oracle takes its time with long ones: it may be stopped between two. */
    for (int32_t i = 0; status == ATTUNE_OK && !tuning->interrupted && i < tuning->num_active; i++) {
        struct tuned_workload *w = &tuning->workloads[tuning->active[i]];
        status = reference_create(w->problem, i, tuning->options->seed, &w->reference);
        tuning_progress(tuning, w, NULL, 0);
    }
    if (status == ATTUNE_OK)
        status = make_search(tuning);
    if (status != ATTUNE_OK)
        return status;
    record_header(tuning);
    tuning->phase = "search";
    bool exhausted;
    char cause[sizeof summary->reason];
    status = run_search(tuning, &exhausted);
    tuning->search_seconds = tuning_seconds(tuning);
    tuning->out_of_time = !exhausted && !tuning->interrupted && status == ATTUNE_OK &&
                          (!tuning->options->budget_tests || tuning->tests < tuning->options->budget_tests);
    copy_string(cause, sizeof cause, status == ATTUNE_OK ? "" : attune_last_error());
    if (tuning->recorder && tuning->record_status == ATTUNE_OK)
        tuning->record_status = recorder_write(tuning->recorder, !exhausted);
    attune_status confirmed = status == ATTUNE_ERROR_OUT_OF_MEMORY ? status : confirm_all(tuning);
    if (status == ATTUNE_OK && confirmed != ATTUNE_OK) {
        status = confirmed;
        copy_string(cause, sizeof cause, attune_last_error());
    }
    if (status == ATTUNE_OK) {
        cross_all(tuning);
        keep_kernels(tuning);
    }
    for (int32_t i = 0; i < tuning->num_active; i++)
        explain_result(tuning, &tuning->workloads[tuning->active[i]]);
    summary->end = status == ATTUNE_ERROR_ENVIRONMENT ? ATTUNE_TUNE_ENVIRONMENT : end_of(tuning, exhausted);
    if (status == ATTUNE_ERROR_ENVIRONMENT)
        copy_string(summary->reason, sizeof summary->reason, cause);
    record(tuning, "end",
           json_pack("{s:i,s:i,s:i,s:f}", "end", (int)summary->end, "status", (int)status, "tests", (int)tuning->tests,
                     "seconds", tuning_seconds(tuning)));
    record_checkpoint(tuning);
    if (tuning->journal)
        copy_string(summary->journal, sizeof summary->journal, journal_path(tuning->journal));
    if (status == ATTUNE_OK && tuning->journal_status != ATTUNE_OK)
        status = set_error(tuning->journal_status, "%s; winners so far are kept", tuning->journal_reason);
    if (status == ATTUNE_OK && tuning->record_status != ATTUNE_OK)
        status = set_error(tuning->record_status, "the record %s cannot be written; winners so far are kept",
                           tuning->options->record);
    tuning->phase = "done";
    tuning_progress(tuning, NULL, NULL, 0);
    return cause[0] ? set_error(status, "%s", cause) : status; /* other failures may have come after it */
}

/* Features decide what the space holds, so they come first. A device that a probe cannot measure is tuned without. */
static attune_status probe_first(struct tuning *tuning)
{
    if (tuning->target->probed)
        return ATTUNE_OK;
    tuning->phase = "probe";
    tuning_progress(tuning, NULL, NULL, 0);
    attune_probe_result *probe = malloc(sizeof *probe);
    if (!probe)
        return set_error(ATTUNE_ERROR_OUT_OF_MEMORY, "out of memory for a probe");
    attune_status status = target_probe(tuning->target, probe);
    free(probe);
    if (status == ATTUNE_ERROR_IO)
        cache_log_unwritten(tuning->target->cache, "what the probe showed");
    else if (status == ATTUNE_ERROR_NOT_VERIFIED)
        log_message(&tuning->target->logger, ATTUNE_LOG_WARNING, "probe: %s", attune_last_error());
    return status == ATTUNE_ERROR_IO || status == ATTUNE_ERROR_NOT_VERIFIED ? ATTUNE_OK : status;
}

static attune_status tune(struct tuning *tuning, attune_tune_summary *summary)
{
    cache_sweep(tuning->target->cache);
    attune_status status = probe_first(tuning);
    for (int32_t i = 0; status == ATTUNE_OK && i < tuning->num_workloads; i++)
        status = look_up(tuning, &tuning->workloads[i]);
    if (status != ATTUNE_OK)
        return status;
    summary->end = ATTUNE_TUNE_HIT;
    return tuning->num_active ? tune_active(tuning, summary) : ATTUNE_OK;
}

static void tuning_free(struct tuning *tuning)
{
    search_destroy(tuning->search);
    recorder_destroy(tuning->recorder);
    journal_close(&tuning->journal);
    for (int32_t i = 0; i < tuning->num_workloads; i++)
        if (tuning->workloads[i].reference.problem)
            reference_destroy(&tuning->workloads[i].reference);
    free(tuning->workloads);
    free(tuning);
}

static attune_status tune_problems(attune_target *target, const attune_problem *const *problems, size_t num_problems,
                                   const attune_tune_options *options, bool keep, attune_tune_result *results,
                                   attune_tune_summary *summary)
{
    static const attune_tune_options defaults = ATTUNE_TUNE_OPTIONS_INIT;
    attune_tune_summary ignored;
    if (!options)
        options = &defaults;
    if (!summary)
        summary = &ignored;
    if (!target || !problems || !results)
        return set_error(ATTUNE_ERROR_NULL_ARGUMENT, "%s is NULL",
                         !target     ? "target"
                         : !problems ? "problems"
                                     : "results");
    attune_status status = check_problems(problems, num_problems, options);
    if (status == ATTUNE_OK)
        status = check_files(options);
    if (status == ATTUNE_OK && keep)
        status = target_check_storage(target);
    if (status != ATTUNE_OK)
        return status;
    memset(results, 0, num_problems * sizeof *results);
    memset(summary, 0, sizeof *summary);
    struct tuning *tuning = calloc(1, sizeof *tuning);
    if (!tuning || !(tuning->workloads = calloc(num_problems, sizeof *tuning->workloads))) {
        free(tuning);
        return set_error(ATTUNE_ERROR_OUT_OF_MEMORY, "out of memory for a tuning");
    }
    restriction_parse(options->family, &tuning->restriction); /* was checked */
    tuning->target = target;
    tuning->options = options;
    tuning->num_workloads = (int32_t)num_problems;
    tuning->start_ns = clock_now_ns();
    tuning->phase = "start";
    rng_seed(&tuning->rng, options->seed);
    for (size_t i = 0; i < num_problems; i++) {
        tuning->workloads[i].problem = problems[i];
        tuning->workloads[i].result = &results[i];
        results[i].max_abs_err = results[i].rel_err = NAN; /* until compared */
    }
    struct session_deadlines deadlines = target->session.deadlines;
    budget_deadlines(tuning, &target->session.deadlines);
    budget_limit_requests(tuning);
    status = tune(tuning, summary);
    target->session.deadlines = deadlines;
    target->session.end_ns = 0;
    summary->tests = tuning->tests;
    memcpy(summary->outcomes, tuning->outcomes, sizeof summary->outcomes);
    summary->seconds = tuning_seconds(tuning);
    if (status == ATTUNE_ERROR_IO) {
        summary->end = ATTUNE_TUNE_STORAGE;
        copy_string(summary->reason, sizeof summary->reason, attune_last_error());
    }
    if (tuning->num_active)
        session_stop(&target->session); /* another call's inputs have the same numbers */
    tuning_free(tuning);
    return status;
}

attune_status attune_tune(attune_target *target, const attune_problem *const *problems, size_t num_problems,
                          const attune_tune_options *options, attune_tune_result *results, attune_tune_summary *summary)
{
    return tune_problems(target, problems, num_problems, options, true, results, summary);
}

attune_status target_tune_into(attune_target *target, struct cache *cache, const attune_problem *const *problems,
                               size_t num_problems, const attune_tune_options *options, attune_tune_result *results,
                               attune_tune_summary *summary)
{
    struct cache *own = target->cache;
    target->cache = cache;
    attune_status status = tune_problems(target, problems, num_problems, options, false, results, summary);
    target->cache = own;
    return status;
}
