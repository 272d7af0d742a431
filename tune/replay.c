/* SPDX-License-Identifier: Apache-2.0 */
#include "replay.h"

#include <stdlib.h>

/* splitmix64: draws of samples, apart from the search's own. */
static uint64_t next_random(uint64_t *state)
{
    uint64_t z = *state += 0x9e3779b97f4a7c15u;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

static attune_status create_search(const struct replay *replay, const attune_space_info *info, attune_search **search)
{
    attune_search_options options = ATTUNE_SEARCH_OPTIONS_INIT;
    options.strategy = replay->strategy;
    options.settings = replay->settings;
    options.num_settings = replay->num_settings;
    options.budget_tests = replay->budget_tests;
    options.seed = replay->seed;
    options.feasible = attune_space_contains;
    options.feasible_priv = (void *)replay->space;
    options.initial = replay->seeds;
    options.num_initial = replay->num_seeds;
    return attune_search_create(search, info->params, info->num_params, &options);
}

/* A test of the configuration; *best_told is the least that was told. */
static attune_status tell(attune_search *search, const attune_space_config *config, bool noise, uint64_t *random,
                          double *best_told, double *best)
{
    if (config->outcome != ATTUNE_OUTCOME_OK)
        return attune_search_tell(search, config->outcome, 0);
    double told = config->time_ms;
    if (noise && config->num_samples)
        told = config->samples_ms[(next_random(random) >> 32) * config->num_samples >> 32];
    if (*best_told == 0 || told < *best_told) {
        *best_told = told;
        *best = config->time_ms;
    }
    return attune_search_tell(search, ATTUNE_OUTCOME_OK, told);
}

static attune_status run(const struct replay *replay, attune_search *search, int32_t *values, double *best)
{
    uint64_t random = replay->seed;
    double best_told = 0, best_now = 0;
    int32_t done = 0;
    for (int32_t t = 0; t < replay->budget_tests; t++) {
        attune_status status = done ? ATTUNE_OK : attune_search_ask(search, NULL, values, &done);
        attune_space_config config;
        /* A search asks for nothing that attune_space_contains denies. */
        if (status == ATTUNE_OK && !done && attune_space_find(replay->space, values, &config))
            status = tell(search, &config, replay->noise, &random, &best_told, &best_now);
        if (status != ATTUNE_OK)
            return status;
        best[t] = best_now;
    }
    return ATTUNE_OK;
}

attune_status replay_run(const struct replay *replay, double *best)
{
    attune_space_info info;
    attune_space_describe(replay->space, &info);
    int32_t *values = calloc(info.num_params, sizeof *values);
    if (!values)
        return ATTUNE_ERROR_OUT_OF_MEMORY;
    attune_search *search = NULL;
    attune_status status = create_search(replay, &info, &search);
    if (status == ATTUNE_OK)
        status = run(replay, search, values, best);
    attune_search_destroy(&search);
    free(values);
    return status;
}
