/* SPDX-License-Identifier: Apache-2.0
 * The engine around the strategies: seeds, samples, exhaustion, the best so far. */
#include "search.h"

#include "strategy.h"

#include <stdlib.h>
#include <string.h>

#define DEFAULT_BUDGET 432

/* The first is what "no name" means. */
static const struct strategy *const strategies[] = {
    &strategy_default,   &strategy_exhaustive,   &strategy_random, &strategy_genetic,
    &strategy_annealing, &strategy_local_search, &strategy_forest, &strategy_neighbourhood,
};
#define NUM_STRATEGIES ((int)(sizeof strategies / sizeof *strategies))

const char *search_strategy_name(int i)
{
    return i >= 0 && i < NUM_STRATEGIES ? strategies[i]->name : NULL;
}

const char *search_strategy_doc(int i)
{
    return i >= 0 && i < NUM_STRATEGIES ? strategies[i]->doc : NULL;
}

static const struct strategy *find_strategy(const char *name)
{
    if (!name)
        return strategies[0];
    for (int i = 0; i < NUM_STRATEGIES; i++)
        if (strcmp(strategies[i]->name, name) == 0)
            return strategies[i];
    return NULL;
}

bool search_strategy_find(const char *name)
{
    return name && find_strategy(name);
}

const struct search_setting *search_strategy_setting(const char *strategy, int k)
{
    const struct strategy *found = find_strategy(strategy);
    return found && k >= 0 && k < found->num_settings ? &found->settings[k] : NULL;
}

bool search_setting_valid(const struct search_setting *setting, double value)
{
    /* False for NaN; the range holds the conversion. */
    return value >= setting->low && value <= setting->high && (!setting->whole || value == (double)(int64_t)value);
}

static bool apply_settings(struct search *search, const struct search_options *options)
{
    const struct strategy *strategy = search->strategy;
    for (int32_t k = 0; k < strategy->num_settings; k++)
        search->settings[k] = strategy->settings[k].initial;
    for (int32_t i = 0; i < options->num_settings; i++) {
        int32_t k = 0;
        while (k < strategy->num_settings && strcmp(strategy->settings[k].name, options->settings[i].name) != 0)
            k++;
        if (k == strategy->num_settings || !search_setting_valid(&strategy->settings[k], options->settings[i].value))
            return false;
        search->settings[k] = options->settings[i].value;
    }
    return true;
}

/* Rank of each workload's feature among the workloads'. Without features, workloads differ by their number. */
static void rank_features(struct search *search, const struct search_options *options)
{
    int32_t num_features = options->num_features;
    search->num_features = num_features ? num_features : 1;
    for (int32_t w = 0; w < options->num_workloads; w++) {
        search->features[w][0] = (uint16_t)w;
        for (int32_t f = 0; f < num_features; f++) {
            uint16_t rank = 0;
            for (int32_t other = 0; other < options->num_workloads; other++)
                rank += options->features[other * num_features + f] < options->features[w * num_features + f];
            search->features[w][f] = rank;
        }
    }
}

static bool find_seeds(struct search *search, const struct search_options *options)
{
    search->seeds = malloc(((size_t)options->num_seeds + 1) * sizeof *search->seeds);
    if (!search->seeds)
        return false;
    for (int32_t i = 0; i < options->num_seeds; i++) {
        const int32_t *values = options->seeds + (size_t)i * (size_t)search->pool.num_params;
        int32_t config = pool_find_values(&search->pool, values);
        if (config >= 0)
            search->seeds[search->num_seeds++] = config;
    }
    return true;
}

struct search *search_create(const struct search_space *space, const struct search_options *options)
{
    struct search *search = calloc(1, sizeof *search);
    if (!search)
        return NULL;
    search->budget = options->budget_tests > 0 ? options->budget_tests : DEFAULT_BUDGET;
    search->num_workloads = options->num_workloads;
    if (options->portfolio && search->num_workloads > 1) {
        int32_t pairs = search->num_workloads * (search->num_workloads - 1);
        search->portfolio = options->portfolio;
        search->num_cross = pairs < search->budget / 4 ? pairs : search->budget / 4;
        search->budget -= search->num_cross;
    }
    search->strategy = find_strategy(options->strategy);
    rng_seed(&search->rng, options->seed);
    rank_features(search, options);
    for (int32_t w = 0; w < SEARCH_MAX_WORKLOADS; w++)
        search->best[w] = -1;
    bool ok = search->strategy && apply_settings(search, options) &&
              pool_create(&search->pool, space, options->num_workloads, &search->rng) && find_seeds(search, options);
    if (ok && search->strategy->create) {
        search->state = search->strategy->create(search);
        ok = search->state != NULL;
    }
    if (!ok) {
        search_destroy(search);
        return NULL;
    }
    return search;
}

void search_destroy(struct search *search)
{
    if (!search)
        return;
    if (search->state)
        search->strategy->destroy(search->state);
    pool_destroy(&search->pool);
    free(search->seeds);
    free(search->samples);
    free(search);
}

static bool anything_open(struct search *search)
{
    do
        for (int32_t w = 0; w < search->num_workloads; w++)
            if (search->pool.remaining[w])
                return true;
    while (pool_extend(&search->pool, &search->rng));
    return false;
}

static bool next_seed(struct search *search)
{
    for (; search->next_seed < (int64_t)search->num_seeds * search->num_workloads; search->next_seed++) {
        int32_t config = search->seeds[search->next_seed / search->num_workloads];
        int32_t workload = (int32_t)(search->next_seed % search->num_workloads);
        if (pool_open(&search->pool, config, workload)) {
            search->pick = (struct pick){config, workload, "seed", 0, 0};
            search->num_seed_tests[workload]++;
            return true;
        }
    }
    return false;
}

/* No pair is measured twice, whatever a strategy says. */
static void propose(struct search *search)
{
    search->strategy->propose(search, &search->pick);
    if (search->pick.config < 0 || !pool_open(&search->pool, search->pick.config, search->pick.workload)) {
        search->num_refused++;
        propose_random(search, -1, &search->pick);
    }
}

static bool reserve_sample(struct search *search)
{
    if (search->num_samples < search->capacity)
        return true;
    int32_t capacity = search->capacity ? search->capacity * 2 : 512;
    struct sample *samples = realloc(search->samples, (size_t)capacity * sizeof *samples);
    if (!samples)
        return false;
    search->samples = samples;
    search->capacity = capacity;
    return true;
}

/* A test for the sake of the portfolio, after the strategy's. Where none can help, the strategy has one more. */
static bool next_cross(struct search *search)
{
    if (search->num_samples < search->budget || search->num_samples >= search->budget + search->num_cross)
        return false;
    if (propose_cross(search, &search->pick))
        return true;
    search->budget++;
    search->num_cross--;
    return false;
}

void fill_proposal(const struct search *search, struct search_proposal *out)
{
    *out = (struct search_proposal){.workload = search->pick.workload,
                                    .why = search->pick.why,
                                    .predicted = search->pick.predicted,
                                    .deviation = search->pick.deviation};
    pool_values(&search->pool, search->pick.config, out->values);
}

bool search_ask(struct search *search, struct search_proposal *out)
{
    if (!search->pending) {
        if (!anything_open(search) || !reserve_sample(search))
            return false;
        if (!next_seed(search) && !next_cross(search))
            propose(search);
        search->pending = true;
    }
    fill_proposal(search, out);
    return true;
}

bool search_exhausted(const struct search *search, int32_t workload)
{
    return search->pool.complete && search->pool.remaining[workload] == 0 && !search->skipped[workload];
}

void search_skip(struct search *search)
{
    if (!search->pending)
        return;
    search->pending = false;
    search->skipped[search->pick.workload] = true;
    pool_set_aside(&search->pool, search->pick.config, search->pick.workload);
}

void search_tell(struct search *search, enum search_outcome outcome, double time)
{
    if (!search->pending)
        return;
    search->pending = false;
    int32_t w = search->pick.workload;
    /* Comparisons that are false for NaN. */
    bool ok = outcome == SEARCH_OK && time > 0 && time <= 0x1.fffffffffffffp+1023;
    struct sample sample = {search->pick.config, w, !ok, ok ? time : 0, ok ? log2_fixed(time) : 0};
    search->samples[search->num_samples] = sample;
    if (ok && (search->best[w] < 0 || time < search->samples[search->best[w]].time))
        search->best[w] = search->num_samples;
    search->num_samples++;
    search->num_tests[w]++;
    pool_mark_told(&search->pool, search->pick.config, w);
    if (search->strategy->told)
        search->strategy->told(search);
}
