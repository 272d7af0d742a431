/* SPDX-License-Identifier: Apache-2.0
 *
 * Iterated local search (Lourenço, Martin and Stützle 2003): from the best of some random samples, the first
 * improvement among the neighbours, in random order; from a local optimum a few parameters are changed and the descent
 * starts again. Each workload has its own walk. */
#include "descent.h"
#include "moves.h"

#include <stdlib.h>

enum { RANDOM_FIRST, KICK };

static const struct search_setting settings[] = {
    [RANDOM_FIRST] = {"random_first", "random samples of each workload before the first descent", 15, 1, 1000, true},
    [KICK] = {"kick", "parameters that are changed to leave a local optimum", 3, 1, SEARCH_MAX_PARAMS, true},
};

static void *create(const struct search *search)
{
    struct descent *descents = calloc(SEARCH_MAX_WORKLOADS, sizeof *descents);
    for (int32_t w = 0; descents && w < search->num_workloads; w++)
        descents[w].current = -1;
    return descents;
}

static void propose(struct search *search, struct pick *pick)
{
    int32_t workload = move_workload(search);
    struct descent *descent = (struct descent *)search->state + workload;
    bool descends = search->num_tests[workload] >= (int32_t)search->settings[RANDOM_FIRST];
    if (!descends || !descent_propose(descent, search, workload, (int32_t)search->settings[KICK], pick))
        propose_random(search, workload, pick);
}

static void told(struct search *search)
{
    descent_told((struct descent *)search->state + search->samples[search->num_samples - 1].workload, search);
}

const struct strategy strategy_local_search = {
    .name = "ils",
    .doc = "iterated local search after random samples",
    .settings = settings,
    .num_settings = sizeof settings / sizeof *settings,
    .create = create,
    .destroy = free,
    .propose = propose,
    .told = told,
};
