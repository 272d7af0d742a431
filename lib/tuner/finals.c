/* SPDX-License-Identifier: Apache-2.0
 * Confirmation: a workload's best few against the default and the incumbent, with fresh samples in interleaved rounds.
 * What is published comes from here, never from the search; and nothing is without its comparison. */
#include "finals.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ROUNDS FINALS_ROUNDS
#define MIN_SAMPLE_MS 20.0
#define SLOW_RATIO 2.0
#define SLOW_ROUNDS 5
/* The interval's lower end must clear this to replace what was there, over so many rounds at least. */
#define MIN_GAIN 1.01
#define LEAST_ROUNDS 5
/* Fresh workers that a finalist gets in all when it fails for a cause that may not be its own. */
#define RETRIES 2

static int32_t add_finalist(struct finals *finals, const struct kernel_config *config)
{
    for (int32_t i = 0; i < finals->count; i++)
        if (kernel_config_equal(&finals->finalists[i].config, config))
            return i;
    candidate_init(&finals->finalists[finals->count], finals->count, config);
    return finals->count++;
}

static void choose_finalists(struct tuning *tuning, const struct tuned_workload *workload, double seconds,
                             struct finals *finals)
{
    finals->untuned = add_finalist(finals, &workload->untuned);
    finals->incumbent = workload->has_incumbent ? add_finalist(finals, &workload->answer.config) : -1;
    int32_t top = finals_affordable(tuning, workload, seconds);
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

static attune_status verify_finalist(struct tuning *tuning, struct tuned_workload *workload, struct candidate *c)
{
    struct attune_target *target = tuning->target;
    for (int32_t tried = 0;; tried++) {
        attune_status status = candidate_prepare(target, &workload->reference);
        if (status != ATTUNE_OK)
            return status;
        const struct kernel_config config = c->config;
        candidate_init(c, c->slot, &config);
        c->tried_again = tried;
        if (candidate_verify(target, &workload->reference, c, 0, &tuning->rng) == ATTUNE_OUTCOME_OK)
            candidate_calibrate(target, &workload->reference, c, MIN_SAMPLE_MS);
        tuning_progress(tuning, workload, c, c->outcome == ATTUNE_OUTCOME_OK ? c->first_ms : 0);
        if (!candidate_may_be_innocent(c) || tried == RETRIES || budget_over(tuning))
            return ATTUNE_OK;
        record_retry(tuning, workload, c);
        session_stop(&target->session);
    }
}

/* What was found at fault here, or does not compile. */
struct unfit {
    const struct finals *finals;
    const struct aside *aside;
};

static bool is_unfit(const void *priv, const struct kernel_config *config)
{
    const struct unfit *unfit = priv;
    for (int32_t i = 0; i < unfit->finals->count; i++)
        if (candidate_is_at_fault(&unfit->finals->finalists[i]) &&
            kernel_config_equal(&unfit->finals->finalists[i].config, config))
            return true;
    return aside_why(unfit->aside, config) != NULL;
}

/* The next default takes the place of one that is at fault: it is what is left to fall back on. */
static attune_status replace_default(struct tuning *tuning, struct tuned_workload *workload, struct finals *finals)
{
    const struct attune_target *target = tuning->target;
    struct kernel_facts facts = target_facts(target, workload->problem);
    const struct unfit unfit = {finals, &workload->aside};
    const struct config_filter filter = {is_unfit, &unfit};
    struct kernel_config config;
    while (candidate_is_at_fault(&finals->finalists[finals->untuned]) && finals->count < FINALS_MAX &&
           backend_default_config(target->choice.backend, &target->choice.limits, &facts, &filter, &config)) {
        const struct candidate *failed = &finals->finalists[finals->untuned];
        snprintf(finals->stand_in, sizeof finals->stand_in, "%.40s is %s here (%.60s)",
                 family_at(failed->config.family)->name, attune_outcome_name(failed->outcome), failed->reason);
        int32_t known = finals->count, next = add_finalist(finals, &config);
        attune_status status = next == known ? verify_finalist(tuning, workload, &finals->finalists[next]) : ATTUNE_OK;
        if (status != ATTUNE_OK)
            return status;
        finals->untuned = next;
    }
    return ATTUNE_OK;
}

/* In a fresh worker. */
static attune_status verify_finalists(struct tuning *tuning, struct tuned_workload *workload, struct finals *finals)
{
    attune_status status = ATTUNE_OK;
    session_stop(&tuning->target->session);
    for (int32_t i = 0; status == ATTUNE_OK && i < finals->count; i++)
        status = verify_finalist(tuning, workload, &finals->finalists[i]);
    return status == ATTUNE_OK ? replace_default(tuning, workload, finals) : status;
}

static bool usable(const struct finals *finals, int32_t i, double *median)
{
    double mad;
    return i >= 0 && finals->finalists[i].outcome == ATTUNE_OUTCOME_OK &&
           rounds_median(&finals->rounds, i, median, &mad) > 0;
}

/* Smallest median, and whom it must beat: the incumbent, unless it is at fault; else the untuned default, which must be
 * there in any case. False: there is no such comparison, and why. */
static bool rank(const struct finals *finals, int32_t *best, int32_t *base, char *why, size_t size)
{
    double best_ms = 0, median;
    int32_t missing = -1;
    *best = -1;
    *base = finals->untuned;
    if (!usable(finals, finals->untuned, &median))
        missing = finals->untuned;
    if (usable(finals, finals->incumbent, &median))
        *base = finals->incumbent;
    else if (finals->incumbent >= 0 && !candidate_is_at_fault(&finals->finalists[finals->incumbent]))
        missing = finals->incumbent;
    if (missing >= 0) {
        const struct candidate *c = &finals->finalists[missing];
        snprintf(why, size, "the %s could not be compared with: %s: %.160s",
                 missing == finals->untuned ? "untuned default" : "incumbent", attune_outcome_name(c->outcome),
                 c->outcome == ATTUNE_OUTCOME_OK ? "no sample of it" : c->reason);
        return false;
    }
    for (int32_t i = 0; i < finals->count; i++)
        if (usable(finals, i, &median) && (*best < 0 || median < best_ms)) {
            *best = i;
            best_ms = median;
        }
    return true;
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
    copy_string(kept.stand_in, sizeof kept.stand_in, finals->stand_in);
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

/* seconds: 0 = no limit. */
static attune_status run_rounds(struct tuning *tuning, struct tuned_workload *workload, struct finals *finals,
                                double seconds)
{
    struct rounds_options options = {ROUNDS, SLOW_RATIO, SLOW_ROUNDS, seconds, LEAST_ROUNDS, RETRIES};
    attune_status status = rounds_run(tuning->target, &workload->reference, finals->finalists, finals->count, &options,
                                      &tuning->rng, &finals->rounds);
    if (status != ATTUNE_OK)
        return status;
    record_rounds(tuning, "confirmation", workload, finals->finalists, &finals->rounds);
    quarantine(tuning, workload, finals);
    return finals->rounds.status;
}

static bool clears(const struct tuning *tuning, const struct finals *finals, int32_t best, int32_t base,
                   struct stats_interval *over_base)
{
    *over_base = rounds_ratio(&finals->rounds, base, best, tuning->options->seed);
    return over_base->low > MIN_GAIN && rounds_pairs(&finals->rounds, base, best) >= LEAST_ROUNDS;
}

/* The best of several was chosen by the very samples that show its gain, and luck was part of that: so it has to win
 * again, with fresh samples, which are the ones that count. */
static attune_status conclude(struct tuning *tuning, struct tuned_workload *workload, struct finals *finals,
                              uint64_t end_ns)
{
    int32_t best, base;
    char why[240];
    struct stats_interval over_base = {0, 0, 0};
    if (!rank(finals, &best, &base, why, sizeof why)) {
        publish_nothing(tuning, workload, why);
        return ATTUNE_OK;
    }
    if (best == base || !clears(tuning, finals, best, base, &over_base))
        return publish(tuning, workload, finals, base, &over_base, false);
    keep(finals, (const int32_t[]){best, base, finals->untuned}, 3);
    attune_status status = run_rounds(tuning, workload, finals, seconds_until(end_ns));
    if (status != ATTUNE_OK)
        return status;
    if (!rank(finals, &best, &base, why, sizeof why)) {
        publish_nothing(tuning, workload, why);
        return ATTUNE_OK;
    }
    bool promoted = best != base && clears(tuning, finals, best, base, &over_base);
    return publish(tuning, workload, finals, promoted ? best : base, &over_base, promoted);
}

/* Again, where the default was at fault only now. */
static attune_status run_first_rounds(struct tuning *tuning, struct tuned_workload *workload, struct finals *finals,
                                      double seconds)
{
    for (;;) {
        int32_t untuned = finals->untuned;
        attune_status status = run_rounds(tuning, workload, finals, seconds);
        if (status == ATTUNE_OK)
            status = replace_default(tuning, workload, finals);
        if (status != ATTUNE_OK || finals->untuned == untuned)
            return status;
        rounds_free(&finals->rounds);
    }
}

attune_status confirm_workload(struct tuning *tuning, struct tuned_workload *workload, double seconds)
{
    struct finals *finals = calloc(1, sizeof *finals);
    if (!finals)
        return set_error(ATTUNE_ERROR_OUT_OF_MEMORY, "out of memory for a confirmation");
    uint64_t end_ns = seconds > 0 ? clock_now_ns() + (uint64_t)(seconds * 1e9) : 0;
    choose_finalists(tuning, workload, seconds, finals);
    attune_status status = verify_finalists(tuning, workload, finals);
    if (status == ATTUNE_OK) /* the second run of rounds needs as much */
        status = run_first_rounds(tuning, workload, finals, seconds_until(end_ns) / 2);
    if (status == ATTUNE_OK)
        status = conclude(tuning, workload, finals, end_ns);
    rounds_free(&finals->rounds);
    free(finals);
    return status;
}
