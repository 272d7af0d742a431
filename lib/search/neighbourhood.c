/* SPDX-License-Identifier: Apache-2.0
 *
 * A variable-neighbourhood search (Mladenović and Hansen 1997): some random samples, then candidates from one of
 * several neighbourhoods of the current configuration and a crossover of two of the fastest are screened by the mean
 * time of the nearest samples, and the most promising is tested. Acceptance as in annealing; a restart after a run of
 * failures. Neighbourhoods that improve are chosen more often. Each workload has its own walk. */
#include "moves.h"

#include <stdlib.h>

enum { RANDOM_FIRST, SCREENED, NEAREST, ELITE, START, COOLING, PATIENCE };

#define MAX_SCREENED 64
#define MAX_NEAREST 16
#define MAX_ELITE 16

static const struct search_setting settings[] = {
    [RANDOM_FIRST] = {"random_first", "random samples of each workload before the walk", 15, 1, 1000, true},
    [SCREENED] = {"screened", "candidates a test, of which the most promising is tested", 16, 1, MAX_SCREENED, true},
    [NEAREST] = {"nearest", "samples whose mean time predicts a candidate's", 5, 1, MAX_NEAREST, true},
    [ELITE] = {"elite", "fastest configurations that are crossed", 5, 2, MAX_ELITE, true},
    [START] = {"start", "temperature at first, as a share of the current time", 0.02, 0.0001, 100, false},
    [COOLING] = {"cooling", "factor of the temperature from test to test", 0.995, 0.5, 1, false},
    [PATIENCE] = {"patience", "tests without a new best after which the walk starts from a random sample", 25, 1, 10000,
                  true},
};

static const struct {
    int32_t num_changes;
    enum move_step step;
} neighbourhoods[] = {{1, STEP_ADJACENT}, {1, STEP_ANY}, {2, STEP_ANY}, {3, STEP_ANY}};
#define NUM_NEIGHBOURHOODS ((int32_t)(sizeof neighbourhoods / sizeof *neighbourhoods))
#define REWARD 1.1   /* factor of the weight of a neighbourhood that improved ... */
#define PENALTY 0.97 /* ... and of one that did not */
#define MIN_WEIGHT 0.1
#define MAX_WEIGHT 10

struct walk {
    int32_t current; /* sample; -1 = begin at a random one */
    int32_t since_best;
    int32_t neighbourhood; /* of the pending test; -1 = none */
    double temperature;
    double weight[NUM_NEIGHBOURHOODS];
};

static void *create(const struct search *search)
{
    struct walk *walks = calloc(SEARCH_MAX_WORKLOADS, sizeof *walks);
    for (int32_t w = 0; walks && w < search->num_workloads; w++) {
        walks[w] = (struct walk){-1, 0, -1, search->settings[START], {0}};
        for (int32_t i = 0; i < NUM_NEIGHBOURHOODS; i++)
            walks[w].weight[i] = 1;
    }
    return walks;
}

static int32_t draw_neighbourhood(struct search *search, const struct walk *walk)
{
    double total = 0;
    for (int32_t i = 0; i < NUM_NEIGHBOURHOODS; i++)
        total += walk->weight[i];
    double left = rng_double(&search->rng) * total;
    int32_t chosen = 0;
    while (chosen + 1 < NUM_NEIGHBOURHOODS && (left -= walk->weight[chosen]) >= 0)
        chosen++;
    return chosen;
}

/* Mean log time of the nearest samples of the workload; failed ones count as the slowest of all. */
static double predict(const struct search *search, int32_t config, int32_t workload, int32_t slowest)
{
    int32_t nearest[MAX_NEAREST], times[MAX_NEAREST], count = 0, k = (int32_t)search->settings[NEAREST];
    for (int32_t i = 0; i < search->num_samples; i++) {
        const struct sample *s = &search->samples[i];
        if (s->workload != workload)
            continue;
        int32_t d = pool_differing(&search->pool, config, s->config), at = count < k ? count++ : k;
        for (; at > 0 && d < nearest[at - 1]; at--)
            if (at < k) {
                nearest[at] = nearest[at - 1];
                times[at] = times[at - 1];
            }
        if (at < k) {
            nearest[at] = d;
            times[at] = s->failed ? slowest : s->log_time;
        }
    }
    double sum = 0;
    for (int32_t i = 0; i < count; i++)
        sum += times[i];
    return sum / count;
}

static int32_t slowest_time(const struct search *search, int32_t workload)
{
    int32_t slowest = INT32_MIN;
    for (int32_t i = 0; i < search->num_samples; i++) {
        const struct sample *s = &search->samples[i];
        if (s->workload == workload && !s->failed && s->log_time > slowest)
            slowest = s->log_time;
    }
    return slowest;
}

static int32_t draw_elite(struct search *search, int32_t workload)
{
    int32_t k = (int32_t)rng_below(&search->rng, (uint64_t)search->settings[ELITE]);
    int32_t sample = ranked_sample(search, workload, k);
    return sample < 0 ? search->best[workload] : sample;
}

/* A configuration from the neighbourhood, or (-1) by crossover; -1 when it is not open. */
static int32_t draw_candidate(struct search *search, const struct walk *walk, int32_t workload, int32_t neighbourhood)
{
    int32_t config;
    if (neighbourhood < 0) {
        int32_t first = draw_elite(search, workload), second = draw_elite(search, workload);
        config = move_cross(search, search->samples[first].config, search->samples[second].config, workload, 0);
    } else {
        config = move_from(search, search->samples[walk->current].config, workload,
                           neighbourhoods[neighbourhood].num_changes, neighbourhoods[neighbourhood].step);
    }
    return config >= 0 && pool_open(&search->pool, config, workload) ? config : -1;
}

static bool screen(struct search *search, struct walk *walk, int32_t workload, struct pick *pick)
{
    int32_t slowest = slowest_time(search, workload), neighbourhood = draw_neighbourhood(search, walk);
    int32_t num_screened = (int32_t)search->settings[SCREENED], found = 0;
    double least = 0;
    for (int32_t i = 0; found < num_screened && i < 4 * num_screened; i++) {
        int32_t from = i % num_screened == 0 ? -1 : neighbourhood;
        int32_t config = draw_candidate(search, walk, workload, from);
        if (config < 0)
            continue;
        double time = predict(search, config, workload, slowest);
        if (found++ == 0 || time < least) {
            least = time;
            *pick = (struct pick){config, workload, from < 0 ? "crossover" : "neighbour", exp2_fixed((int32_t)time), 0};
            walk->neighbourhood = from;
        }
    }
    return found > 0;
}

static void propose(struct search *search, struct pick *pick)
{
    int32_t workload = move_workload(search);
    struct walk *walk = &((struct walk *)search->state)[workload];
    walk->neighbourhood = -1;
    bool ready = search->num_tests[workload] >= (int32_t)search->settings[RANDOM_FIRST] && walk->current >= 0;
    if (!ready || !screen(search, walk, workload, pick))
        propose_random(search, workload, pick);
}

static void reward(struct walk *walk, bool improved)
{
    if (walk->neighbourhood < 0)
        return;
    double *weight = &walk->weight[walk->neighbourhood];
    *weight *= improved ? REWARD : PENALTY;
    *weight = *weight < MIN_WEIGHT ? MIN_WEIGHT : *weight > MAX_WEIGHT ? MAX_WEIGHT : *weight;
}

static void told(struct search *search)
{
    int32_t last = search->num_samples - 1, workload = search->samples[last].workload;
    struct walk *walk = &((struct walk *)search->state)[workload];
    double now = walk->current < 0 ? 0 : search->samples[walk->current].time, time = search->samples[last].time;
    bool walking = search->num_tests[workload] > (int32_t)search->settings[RANDOM_FIRST];
    walk->since_best = search->best[workload] == last ? 0 : walk->since_best + 1;
    if (!walking) {
        walk->current = search->best[workload];
        return;
    }
    reward(walk, time > 0 && time < now);
    if (time > 0 && move_accepted(search, now, time, walk->temperature))
        walk->current = last;
    walk->temperature *= search->settings[COOLING];
    if (walk->since_best >= (int32_t)search->settings[PATIENCE]) {
        walk->since_best = 0;
        walk->temperature = search->settings[START];
        walk->current = -1;
    }
}

const struct strategy strategy_neighbourhood = {
    .name = "vns",
    .doc = "variable neighbourhoods with a nearest-neighbour screen and elite crossover",
    .settings = settings,
    .num_settings = sizeof settings / sizeof *settings,
    .create = create,
    .destroy = free,
    .propose = propose,
    .told = told,
};
