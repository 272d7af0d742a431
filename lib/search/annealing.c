/* SPDX-License-Identifier: Apache-2.0
 *
 * Simulated annealing (Kirkpatrick, Gelatt and Vecchi 1983) with times compared relative to the current one. A step
 * onto a configuration that was told costs no test. Each workload has its own walk. */
#include "moves.h"

#include <stdlib.h>

enum { START, END, ANY_VALUE };

static const struct search_setting settings[] = {
    [START] = {"start", "temperature at first, as a share of the current time", 0.1, 0.001, 100, false},
    [END] = {"end", "temperature at the end of the budget", 0.001, 0.000001, 1, false},
    [ANY_VALUE] = {"any_value", "share of steps to any value of a parameter; the rest go to an adjacent one", 0.5, 0, 1,
                   false},
};

#define MAX_FREE_STEPS 256

static void *create(const struct search *search)
{
    int32_t *current = calloc(SEARCH_MAX_WORKLOADS, sizeof *current); /* sample; -1 = start at a random one */
    for (int32_t w = 0; current && w < search->num_workloads; w++)
        current[w] = -1;
    return current;
}

static double temperature(const struct search *search)
{
    double start = search->settings[START], end = search->settings[END];
    double spent = search->num_samples < search->budget ? (double)search->num_samples / search->budget : 1;
    return start * exp2_fixed((int32_t)((log2_fixed(end) - log2_fixed(start)) * spent));
}

static void step_to(struct search *search, int32_t *current, int32_t sample)
{
    double now = *current < 0 ? 0 : search->samples[*current].time;
    if (move_accepted(search, now, search->samples[sample].time, temperature(search)))
        *current = sample;
}

static void propose(struct search *search, struct pick *pick)
{
    int32_t workload = move_workload(search), *current = (int32_t *)search->state + workload;
    for (int32_t i = 0; i < MAX_FREE_STEPS && *current >= 0; i++) {
        enum move_step step = rng_double(&search->rng) < search->settings[ANY_VALUE] ? STEP_ANY : STEP_ADJACENT;
        int32_t config = move_from(search, search->samples[*current].config, workload, 1, step);
        if (config < 0)
            continue;
        if (pool_open(&search->pool, config, workload)) {
            *pick = (struct pick){config, workload, "neighbour", 0, 0};
            return;
        }
        step_to(search, current, move_sample(search, config, workload));
    }
    *current = -1; /* everything around was told */
    propose_random(search, workload, pick);
}

static void told(struct search *search)
{
    int32_t sample = search->num_samples - 1;
    step_to(search, (int32_t *)search->state + search->samples[sample].workload, sample);
}

const struct strategy strategy_annealing = {
    .name = "annealing",
    .doc = "simulated annealing over single parameters",
    .settings = settings,
    .num_settings = sizeof settings / sizeof *settings,
    .create = create,
    .destroy = free,
    .propose = propose,
    .told = told,
};
