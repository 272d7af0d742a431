/* SPDX-License-Identifier: Apache-2.0
 * Confirmation: a workload's best few against the default and the incumbent, with fresh samples in interleaved rounds.
 * What is published comes from here, never from the search. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tuning.h"

#define TOP 5
#define MAX_FINALISTS (TOP + 2)
#define ROUNDS 15
#define MIN_SAMPLE_MS 20.0
#define SLOW_RATIO 2.0
#define SLOW_ROUNDS 5
/* The interval's lower end must clear this to replace what was there. */
#define MIN_GAIN 1.01

struct finals {
    struct candidate finalists[MAX_FINALISTS];
    int32_t count, untuned, incumbent; /* indices; -1 = none */
    struct rounds rounds;
};

static int32_t add_finalist(struct finals *finals, const struct kernel_config *config)
{
    for (int32_t i = 0; i < finals->count; i++)
        if (kernel_config_equal(&finals->finalists[i].config, config))
            return i;
    candidate_init(&finals->finalists[finals->count], finals->count, config);
    return finals->count++;
}

/* As many as the time allows, the best of the search at least. */
static int32_t affordable(const struct tuning *tuning, double seconds)
{
    double each = tuning->tests ? tuning->test_seconds / tuning->tests : 0;
    if (tuning->interrupted)
        return 1;
    if (seconds <= 0 || each <= 0)
        return TOP;
    double count = 0.6 * seconds / each - 1; /* the default is one more */
    return count < 1 ? 1 : count > TOP ? TOP : (int32_t)count;
}

static void choose_finalists(struct tuning *tuning, const struct tuned_workload *workload, double seconds,
                             struct finals *finals)
{
    finals->untuned = add_finalist(finals, &workload->untuned);
    finals->incumbent = workload->has_incumbent ? add_finalist(finals, &workload->answer.config) : -1;
    int32_t top = affordable(tuning, seconds);
    for (int32_t k = 0; k < top; k++) {
        int32_t values[SEARCH_MAX_PARAMS];
        struct kernel_config config;
        double time;
        if (!search_best(tuning->search, workload->search_index, k, values, &time))
            break;
        tuning_space_config(&tuning->space, values, &config);
        add_finalist(finals, &config);
    }
}

/* In a fresh worker. */
static attune_status verify_finalists(struct tuning *tuning, struct tuned_workload *workload, struct finals *finals)
{
    session_stop(&tuning->target->session);
    for (int32_t i = 0; i < finals->count; i++) {
        struct candidate *c = &finals->finalists[i];
        attune_status status = candidate_prepare(tuning->target, &workload->reference);
        if (status != ATTUNE_OK)
            return status;
        if (candidate_verify(tuning->target, &workload->reference, c, 0, &tuning->rng) == ATTUNE_OUTCOME_OK)
            candidate_calibrate(tuning->target, &workload->reference, c, MIN_SAMPLE_MS);
        tuning_progress(tuning, workload, c, c->outcome == ATTUNE_OUTCOME_OK ? c->first_ms : 0);
    }
    return ATTUNE_OK;
}

static bool usable(const struct finals *finals, int32_t i, double *median)
{
    double mad;
    return i >= 0 && finals->finalists[i].outcome == ATTUNE_OUTCOME_OK &&
           rounds_median(&finals->rounds, i, median, &mad) > 0;
}

/* Smallest median, and whom it must beat: the incumbent, else the default. -1 where there is none. */
static void rank(const struct finals *finals, int32_t *best, int32_t *base)
{
    double best_ms = 0, median;
    *best = *base = -1;
    for (int32_t i = 0; i < finals->count; i++)
        if (usable(finals, i, &median) && (*best < 0 || median < best_ms)) {
            *best = i;
            best_ms = median;
        }
    if (usable(finals, finals->incumbent, &median))
        *base = finals->incumbent;
    else if (usable(finals, finals->untuned, &median))
        *base = finals->untuned;
}

/* What is faster than the device can be did not do the work, whatever its output looks like. */
static void quarantine(struct tuning *tuning, const struct tuned_workload *workload, struct finals *finals)
{
    for (int32_t i = 0; i < finals->count; i++) {
        struct candidate *c = &finals->finalists[i];
        double median;
        if (!usable(finals, i, &median) ||
            !roofline_impossible(tuning->target, workload->problem, median, c->reason, sizeof c->reason))
            continue;
        c->outcome = ATTUNE_OUTCOME_IMPOSSIBLE;
        record_quarantine(tuning, workload, c, median);
    }
}

/* Keeps the given finalists only, in this order; equal indices once. */
static void keep(struct finals *finals, const int32_t *order, int32_t count)
{
    struct finals kept = {.untuned = -1, .incumbent = -1};
    for (int32_t k = 0; k < count; k++) {
        bool there = order[k] < 0;
        for (int32_t j = 0; j < k; j++)
            there |= order[j] == order[k];
        if (there)
            continue;
        if (order[k] == finals->untuned)
            kept.untuned = kept.count;
        if (order[k] == finals->incumbent)
            kept.incumbent = kept.count;
        kept.finalists[kept.count++] = finals->finalists[order[k]];
    }
    rounds_free(&finals->rounds);
    *finals = kept;
}

/* The best of several was chosen by the very samples that show its gain, and luck was part of that: so it has to win
 * again, with fresh samples, which are the ones that count. */
static attune_status duel(struct tuning *tuning, struct tuned_workload *workload, struct finals *finals, int32_t best,
                          int32_t base)
{
    const int32_t order[] = {best, base, finals->untuned};
    keep(finals, order, 3);
    struct rounds_options options = {ROUNDS, SLOW_RATIO, SLOW_ROUNDS, 0};
    attune_status status = rounds_run(tuning->target, &workload->reference, finals->finalists, finals->count, &options,
                                      &tuning->rng, &finals->rounds);
    if (status != ATTUNE_OK)
        return status;
    record_rounds(tuning, "confirmation", workload, finals->finalists, &finals->rounds);
    quarantine(tuning, workload, finals);
    return finals->rounds.status;
}

static void fill_result(const struct tuning *tuning, struct tuned_workload *workload, const struct finals *finals,
                        int32_t winner)
{
    attune_tune_result *r = workload->result;
    const struct candidate *c = &finals->finalists[winner];
    double mad;
    copy_string(r->config, sizeof r->config, c->text);
    rounds_median(&finals->rounds, winner, &r->time_ms, &mad);
    rounds_median(&finals->rounds, finals->untuned, &r->default_ms, &mad);
    struct stats_interval gain = rounds_ratio(&finals->rounds, finals->untuned, winner, tuning->options->seed);
    r->gain = gain.mid;
    r->gain_low = gain.low;
    r->gain_high = gain.high;
    r->fma_gflops = finals->rounds.peaks.fma_gflops;
    r->read_gbps = finals->rounds.peaks.read_gbps;
    const char *reading;
    r->peak_gflops = peaks_contract_gflops(&finals->rounds.peaks, &reading);
    copy_string(r->peak_reading, sizeof r->peak_reading, reading);
    r->roofline_ms = roofline_ms(workload->problem, &finals->rounds.peaks);
    bool disturbed;
    r->roofline_share = rounds_share(&finals->rounds, workload->problem, winner, &disturbed);
    r->disturbed = disturbed;
    r->max_abs_err = c->error.max_abs;
    r->rel_err = c->error.relative;
}

static double mean(const int32_t *x, int32_t count)
{
    double sum = 0;
    for (int32_t i = 0; i < count; i++)
        sum += x[i];
    return count ? sum / count : 0;
}

static attune_status store(struct tuning *tuning, struct tuned_workload *workload, const struct finals *finals,
                           int32_t winner)
{
    const attune_problem *problem = workload->problem;
    attune_tune_result *r = workload->result;
    const struct candidate *c = &finals->finalists[winner];
    const struct family *family = family_at(c->config.family);
    struct cache_entry entry;
    memset(&entry, 0, sizeof entry);
    entry.key = workload->key;
    entry.config = c->config;
    copy_string(entry.family_hash, sizeof entry.family_hash, family->source_hash);
    copy_string(entry.space_hash, sizeof entry.space_hash, family->space_hash);
    copy_string(entry.workload, sizeof entry.workload, attune_problem_text(problem));
    entry.q_len = mean(problem->q_len, problem->batch);
    entry.kv_len = mean(problem->kv_len, problem->batch);
    entry.batch = problem->batch;
    entry.samples = rounds_median(&finals->rounds, winner, &entry.time_ms, &entry.mad_ms);
    entry.default_ms = r->default_ms;
    entry.gain = r->gain;
    entry.gain_low = r->gain_low;
    entry.gain_high = r->gain_high;
    copy_string(entry.tool_version, sizeof entry.tool_version, ATTUNE_VERSION_STRING);
    entry.seed = tuning->options->seed;
    copy_string(entry.journal, sizeof entry.journal, tuning->journal ? journal_id(tuning->journal) : "");
    entry.receipt.valid = 1;
    copy_string(entry.receipt.device_name, sizeof entry.receipt.device_name, entry.key.device_name);
    copy_string(entry.receipt.driver, sizeof entry.receipt.driver, entry.key.driver);
    copy_string(entry.receipt.family_hash, sizeof entry.receipt.family_hash, family->source_hash);
    const attune_problem *far = workload->reference.far_problem;
    text_printf(entry.receipt.checks, sizeof entry.receipt.checks, "contract,edges,class_end:%dx%d,guards,timed",
                (int)far->q_len[0], (int)far->kv_len[0]);
    attune_status status = cache_store(tuning->target->cache, &entry, r->entry_path, sizeof r->entry_path);
    if (status == ATTUNE_OK && workload->aside_grew)
        status = aside_store(tuning->target->cache, &entry.key, &workload->aside);
    return status == ATTUNE_OK ? aside_forget(tuning->target->cache, &entry.key, &entry.config) : status;
}

static void record_promotion(struct tuning *tuning, const struct tuned_workload *workload, const struct finals *finals,
                             int32_t winner, const struct stats_interval *over_base, bool promoted)
{
    const attune_tune_result *r = workload->result;
    record(tuning, "promotion",
           json_pack("{s:s,s:s,s:b,s:f,s:f,s:f,s:f,s:f,s:f}", "problem", attune_problem_text(workload->problem),
                     "config", winner >= 0 ? finals->finalists[winner].text : "", "promoted", promoted, "time_ms",
                     r->time_ms, "default_ms", r->default_ms, "gain", r->gain, "over_incumbent", over_base->mid,
                     "over_low", over_base->low, "over_high", over_base->high));
}

static bool clears(const struct tuning *tuning, const struct finals *finals, int32_t best, int32_t base,
                   struct stats_interval *over_base)
{
    *over_base = rounds_ratio(&finals->rounds, base, best, tuning->options->seed);
    return over_base->low > MIN_GAIN;
}

static attune_status publish(struct tuning *tuning, struct tuned_workload *workload, const struct finals *finals,
                             int32_t winner, const struct stats_interval *over_base, bool promoted)
{
    attune_status status = ATTUNE_OK;
    fill_result(tuning, workload, finals, winner);
    workload->winner = finals->finalists[winner].config;
    workload->has_winner = true;
    /* Without an incumbent the default is written too: the next call need not search again. */
    if (promoted || !workload->has_incumbent) {
        status = store(tuning, workload, finals, winner);
        cross_put_winner(tuning, workload);
    }
    workload->result->promoted = promoted;
    record_promotion(tuning, workload, finals, winner, over_base, promoted);
    return status;
}

static attune_status conclude(struct tuning *tuning, struct tuned_workload *workload, struct finals *finals)
{
    int32_t best, base;
    struct stats_interval over_base = {0, 0, 0};
    rank(finals, &best, &base);
    if (best < 0) {
        record_promotion(tuning, workload, finals, -1, &over_base, false);
        snprintf(workload->result->reason, sizeof workload->result->reason, "nothing could be confirmed: %.200s",
                 finals->finalists[0].reason);
        log_message(&tuning->target->logger, ATTUNE_LOG_WARNING, "%s: %s", attune_problem_text(workload->problem),
                    workload->result->reason);
        return ATTUNE_OK;
    }
    if (base < 0)
        return publish(tuning, workload, finals, best, &over_base, true);
    if (best == base || !clears(tuning, finals, best, base, &over_base))
        return publish(tuning, workload, finals, base, &over_base, false);
    attune_status status = duel(tuning, workload, finals, best, base);
    if (status != ATTUNE_OK)
        return status;
    rank(finals, &best, &base);
    bool promoted = best != base && (base < 0 || clears(tuning, finals, best, base, &over_base));
    return best < 0 ? ATTUNE_OK : publish(tuning, workload, finals, promoted ? best : base, &over_base, promoted);
}

attune_status confirm_workload(struct tuning *tuning, struct tuned_workload *workload, double seconds)
{
    struct finals *finals = calloc(1, sizeof *finals);
    if (!finals)
        return set_error(ATTUNE_ERROR_OUT_OF_MEMORY, "out of memory for a confirmation");
    uint64_t start = clock_now_ns();
    choose_finalists(tuning, workload, seconds, finals);
    attune_status status = verify_finalists(tuning, workload, finals);
    if (status == ATTUNE_OK) {
        double left = seconds > 0 ? seconds - (double)(clock_now_ns() - start) * 1e-9 : 0;
        struct rounds_options options = {ROUNDS, SLOW_RATIO, SLOW_ROUNDS, seconds > 0 && left < 0.001 ? 0.001 : left};
        status = rounds_run(tuning->target, &workload->reference, finals->finalists, finals->count, &options,
                            &tuning->rng, &finals->rounds);
    }
    if (status == ATTUNE_OK) {
        record_rounds(tuning, "confirmation", workload, finals->finalists, &finals->rounds);
        quarantine(tuning, workload, finals);
        status = finals->rounds.status;
    }
    if (status == ATTUNE_OK)
        status = conclude(tuning, workload, finals);
    rounds_free(&finals->rounds);
    free(finals);
    return status;
}
