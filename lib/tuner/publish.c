/* SPDX-License-Identifier: Apache-2.0
 * What becomes of a confirmation: the result, the entry, the journal's record. */
#include "finals.h"

#include <stdio.h>
#include <string.h>

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
    if (finals->stand_in[0])
        snprintf(r->reason, sizeof r->reason, "the gain is over %.40s, the next default: %.180s",
                 family_at(finals->finalists[finals->untuned].config.family)->name, finals->stand_in);
}

static double mean(const int32_t *x, int32_t count)
{
    double sum = 0;
    for (int32_t i = 0; i < count; i++)
        sum += x[i];
    return count ? sum / count : 0;
}

static void fill_entry(const struct tuning *tuning, const struct tuned_workload *workload, const struct finals *finals,
                       int32_t winner, struct cache_entry *out)
{
    const attune_problem *problem = workload->problem;
    const attune_tune_result *r = workload->result;
    const struct candidate *c = &finals->finalists[winner];
    const struct family *family = family_at(c->config.family);
    memset(out, 0, sizeof *out);
    out->key = workload->key;
    out->config = c->config;
    copy_string(out->family_hash, sizeof out->family_hash, family->source_hash);
    copy_string(out->space_hash, sizeof out->space_hash, family->space_hash);
    copy_string(out->workload, sizeof out->workload, attune_problem_text(problem));
    out->q_len = mean(problem->q_len, problem->batch);
    out->kv_len = mean(problem->kv_len, problem->batch);
    out->batch = problem->batch;
    out->samples = rounds_median(&finals->rounds, winner, &out->time_ms, &out->mad_ms);
    out->default_ms = r->default_ms;
    out->gain = r->gain;
    out->gain_low = r->gain_low;
    out->gain_high = r->gain_high;
    copy_string(out->tool_version, sizeof out->tool_version, ATTUNE_VERSION_STRING);
    out->seed = tuning->options->seed;
    out->depth = search_depth(tuning, workload);
    copy_string(out->journal, sizeof out->journal, tuning->journal ? journal_id(tuning->journal) : "");
    out->receipt.valid = 1;
    copy_string(out->receipt.device_name, sizeof out->receipt.device_name, out->key.device_name);
    copy_string(out->receipt.driver, sizeof out->receipt.driver, out->key.driver);
    copy_string(out->receipt.family_hash, sizeof out->receipt.family_hash, family->source_hash);
    const attune_problem *far = workload->reference.far_problem;
    text_printf(out->receipt.checks, sizeof out->receipt.checks, "contract,edges,class_end:%dx%d,guards,timed",
                (int)far->q_len[0], (int)far->kv_len[0]);
}

static void record_promotion(struct tuning *tuning, const struct tuned_workload *workload, const char *config,
                             const struct stats_interval *over_base, bool promoted)
{
    const attune_tune_result *r = workload->result;
    record(tuning, "promotion",
           json_pack("{s:s,s:s,s:b,s:f,s:f,s:f,s:f,s:f,s:f,s:s?}", "problem", attune_problem_text(workload->problem),
                     "config", config, "promoted", promoted, "time_ms", r->time_ms, "default_ms", r->default_ms, "gain",
                     r->gain, "over_incumbent", over_base->mid, "over_low", over_base->low, "over_high",
                     over_base->high, "reason", r->reason));
}

void publish_nothing(struct tuning *tuning, struct tuned_workload *workload, const char *why)
{
    snprintf(workload->result->reason, sizeof workload->result->reason, "%.250s", why);
    log_message(&tuning->target->logger, ATTUNE_LOG_WARNING, "%s: nothing is published: %s",
                attune_problem_text(workload->problem), why);
    record_promotion(tuning, workload, "", &(struct stats_interval){0, 0, 0}, false);
}

attune_status publish(struct tuning *tuning, struct tuned_workload *workload, const struct finals *finals,
                      int32_t winner, const struct stats_interval *over_base, bool promoted)
{
    fill_result(tuning, workload, finals, winner);
    workload->winner = finals->finalists[winner].config;
    workload->has_winner = true;
    /* What was there is written too, with the search that it has withstood: the next call need not search as much
     * again. */
    struct cache_entry entry;
    fill_entry(tuning, workload, finals, winner, &entry);
    attune_status status =
        cache_store(tuning->target->cache, &entry, workload->result->entry_path, sizeof workload->result->entry_path);
    if (status == ATTUNE_OK && workload->aside_grew)
        status = aside_store(tuning->target->cache, &entry.key, &workload->aside);
    if (status == ATTUNE_OK)
        status = aside_forget(tuning->target->cache, &entry.key, &entry.config);
    workload->result->entry_tests = entry.depth.tests;
    workload->is_tuned = cache_entry_is_tuned(&entry);
    if (workload->is_tuned) /* plans take a row of the portfolio for tuned */
        cross_put_winner(tuning, workload);
    workload->result->promoted = promoted;
    record_promotion(tuning, workload, finals->finalists[winner].text, over_base, promoted);
    return status;
}
