/* SPDX-License-Identifier: Apache-2.0
 *
 * A genetic algorithm with generations (Holland 1975), each workload with its own: parents by rank, uniform crossover,
 * mutation, and the fastest of all generations among the parents. A child that was told joins at the cost of no test.
 */
#include "moves.h"

#include <stdlib.h>

#define MAX_POPULATION 64
#define MAX_FREE_CHILDREN 256

enum { POPULATION, MUTATION, ELITE };

static const struct search_setting settings[] = {
    [POPULATION] = {"population", "configurations in a generation", 20, 4, MAX_POPULATION, true},
    [MUTATION] = {"mutation", "one parameter in so many is drawn anew", 10, 1, 1000, true},
    [ELITE] = {"elite", "fastest configurations that stay", 1, 0, 3, true},
};

/* Samples; parents in the order of their times, failed ones last. */
struct population {
    int32_t num_parents, num_children;
    int32_t parents[MAX_POPULATION], children[MAX_POPULATION];
};

static void *create(const struct search *search)
{
    (void)search;
    return calloc(SEARCH_MAX_WORKLOADS, sizeof(struct population));
}

static void add_child(struct search *search, struct population *population, int32_t sample)
{
    const struct sample *samples = search->samples;
    int32_t at = population->num_children++;
    for (; at > 0 && is_faster_sample(&samples[sample], &samples[population->children[at - 1]]); at--)
        population->children[at] = population->children[at - 1];
    population->children[at] = sample;
    if (population->num_children < (int32_t)search->settings[POPULATION])
        return;
    population->num_parents = population->num_children;
    for (int32_t i = 0; i < population->num_parents; i++)
        population->parents[i] = population->children[i];
    population->num_children = 0;
    for (int32_t k = 0; k < (int32_t)search->settings[ELITE]; k++) {
        int32_t elite = ranked_sample(search, samples[sample].workload, k);
        if (elite >= 0)
            population->children[population->num_children++] = elite;
    }
}

static bool is_child(const struct population *population, int32_t sample)
{
    for (int32_t i = 0; i < population->num_children; i++)
        if (population->children[i] == sample)
            return true;
    return false;
}

/* Parent number i of n is n - i times as likely as the last. */
static int32_t draw_parent(struct search *search, const struct population *population)
{
    uint64_t n = (uint64_t)population->num_parents, ticket = rng_below(&search->rng, n * (n + 1) / 2);
    uint64_t i = 0;
    while (ticket >= n - i)
        ticket -= n - i++;
    return search->samples[population->parents[i]].config;
}

static void propose(struct search *search, struct pick *pick)
{
    int32_t workload = move_workload(search);
    struct population *population = &((struct population *)search->state)[workload];
    for (int32_t i = 0; i < MAX_FREE_CHILDREN && population->num_parents; i++) {
        int32_t first = draw_parent(search, population), second = draw_parent(search, population);
        int32_t child = move_cross(search, first, second, workload, (int32_t)search->settings[MUTATION]);
        if (child < 0)
            continue;
        if (pool_open(&search->pool, child, workload)) {
            *pick = (struct pick){child, workload, "crossover", 0, 0};
            return;
        }
        int32_t sample = move_sample(search, child, workload);
        if (!is_child(population, sample))
            add_child(search, population, sample);
    }
    propose_random(search, workload, pick);
}

static void told(struct search *search)
{
    int32_t sample = search->num_samples - 1;
    add_child(search, &((struct population *)search->state)[search->samples[sample].workload], sample);
}

const struct strategy strategy_genetic = {
    .name = "genetic",
    .doc = "generations by crossover and mutation",
    .settings = settings,
    .num_settings = sizeof settings / sizeof *settings,
    .create = create,
    .destroy = free,
    .propose = propose,
    .told = told,
};
