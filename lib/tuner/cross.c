/* SPDX-License-Identifier: Apache-2.0
 * Cross times: what the winners of other shapes of the same descriptor take on a workload. With them a plan that may
 * hold fewer configurations than there are winners knows what each choice loses. */
#include <stdlib.h>
#include <string.h>

#include "cache/entry.h"
#include "portfolio.h"
#include "tuning.h"

#define MIN_SAMPLE_MS 20.0
#define ROUNDS 5
/* What is this much slower than the fastest is not chosen: its time need not be exact. */
#define SLOW_RATIO 1.5
#define SLOW_ROUNDS 2
/* Share of the time that may go into building and verifying. */
#define VERIFY_SHARE 0.6

struct crossing {
    struct candidate candidates[PORTFOLIO_MAX_CONFIGS];
    int32_t count;
    struct portfolio portfolio; /* as it is stored */
    struct rounds rounds;
};

static bool same_descriptor(const struct cache_key *a, const struct cache_key *b)
{
    struct cache_key other = *b;
    other.q_class = a->q_class;
    other.log2_kv = a->log2_kv;
    other.log2_heads = a->log2_heads;
    return cache_key_equal(a, &other);
}

static void add(struct crossing *crossing, const struct tuning *tuning, const struct kernel_facts *facts,
                const struct kernel_config *config, int32_t limit)
{
    char why[128];
    for (int32_t i = 0; i < crossing->count; i++)
        if (kernel_config_equal(&crossing->candidates[i].config, config))
            return;
    if (crossing->count < limit &&
        backend_config_valid(&tuning->target->choice.limits, facts, config, why, sizeof why)) {
        candidate_init(&crossing->candidates[crossing->count], crossing->count, config);
        crossing->count++;
    }
}

/* Its own winner first, then this run's others, then earlier ones. */
static void gather(const struct tuning *tuning, const struct tuned_workload *workload, double seconds,
                   struct crossing *crossing)
{
    double each = tuning->tests ? tuning->test_seconds / tuning->tests : 0;
    int32_t limit = PORTFOLIO_MAX_CONFIGS;
    if (seconds > 0 && each > 0 && VERIFY_SHARE * seconds < limit * each)
        limit = (int32_t)(VERIFY_SHARE * seconds / each);
    const struct kernel_facts facts = target_facts(tuning->target, workload->problem);
    portfolio_find(tuning->target->cache, &workload->key, &crossing->portfolio);
    add(crossing, tuning, &facts, &workload->winner, PORTFOLIO_MAX_CONFIGS);
    for (int32_t i = 0; i < tuning->num_workloads; i++) {
        const struct tuned_workload *other = &tuning->workloads[i];
        if (other->has_winner && same_descriptor(&workload->key, &other->key))
            add(crossing, tuning, &facts, &other->winner, limit);
    }
    for (int32_t i = 0; i < crossing->portfolio.num_configs; i++)
        add(crossing, tuning, &facts, &crossing->portfolio.configs[i], limit);
}

/* In a fresh worker, each verified on this workload. */
static attune_status measure(struct tuning *tuning, struct tuned_workload *workload, double seconds,
                             struct crossing *crossing)
{
    uint64_t start = clock_now_ns();
    session_stop(&tuning->target->session);
    for (int32_t i = 0; i < crossing->count; i++) {
        struct candidate *c = &crossing->candidates[i];
        attune_status status = candidate_prepare(tuning->target, &workload->reference);
        if (status != ATTUNE_OK)
            return status;
        if (candidate_verify(tuning->target, &workload->reference, c, workload->best_ms, &tuning->rng) ==
            ATTUNE_OUTCOME_OK)
            candidate_calibrate(tuning->target, &workload->reference, c, MIN_SAMPLE_MS);
        tuning_progress(tuning, workload, c, c->outcome == ATTUNE_OUTCOME_OK ? c->first_ms : 0);
    }
    double left = seconds > 0 ? seconds - (double)(clock_now_ns() - start) * 1e-9 : 0;
    struct rounds_options options = {.rounds = ROUNDS,
                                     .slow_ratio = SLOW_RATIO,
                                     .slow_rounds = SLOW_ROUNDS,
                                     .max_seconds = seconds > 0 && left < 0.001 ? 0.001 : left};
    attune_status status = rounds_run(tuning->target, &workload->reference, crossing->candidates, crossing->count,
                                      &options, &tuning->rng, &crossing->rounds);
    return status ? status : crossing->rounds.status;
}

static void put(struct tuning *tuning, const struct tuned_workload *workload, struct portfolio *portfolio,
                const struct kernel_config *configs, const double *time_ms, int32_t count)
{
    const struct shape_bucket bucket = {workload->key.q_class, workload->key.log2_kv, workload->key.log2_heads};
    if (workload->is_tuned && portfolio_put(portfolio, bucket, configs, time_ms, count) &&
        portfolio_store(tuning->target->cache, &workload->key, portfolio))
        cache_log_unwritten(tuning->target->cache, "the portfolio");
}

void cross_put_winner(struct tuning *tuning, const struct tuned_workload *workload)
{
    struct portfolio portfolio;
    portfolio_find(tuning->target->cache, &workload->key, &portfolio);
    put(tuning, workload, &portfolio, &workload->winner, &workload->result->time_ms, 1);
}

attune_status cross_workload(struct tuning *tuning, struct tuned_workload *workload, double seconds)
{
    struct crossing *crossing = calloc(1, sizeof *crossing);
    if (!crossing)
        return set_error(ATTUNE_ERROR_OUT_OF_MEMORY, "out of memory for cross times");
    attune_status status = ATTUNE_OK;
    gather(tuning, workload, seconds, crossing);
    if (crossing->count > 1 && (status = measure(tuning, workload, seconds, crossing)) == ATTUNE_OK) {
        struct kernel_config configs[PORTFOLIO_MAX_CONFIGS];
        double times[PORTFOLIO_MAX_CONFIGS], mad;
        record_rounds(tuning, "cross", workload, crossing->candidates, &crossing->rounds);
        for (int32_t i = 0; i < crossing->count; i++) {
            configs[i] = crossing->candidates[i].config;
            rounds_median(&crossing->rounds, i, &times[i], &mad);
            if (crossing->candidates[i].outcome != ATTUNE_OUTCOME_OK)
                times[i] = 0;
        }
        put(tuning, workload, &crossing->portfolio, configs, times, crossing->count);
    }
    rounds_free(&crossing->rounds);
    free(crossing);
    return status;
}
