/* SPDX-License-Identifier: Apache-2.0
 *
 * After some space-filling samples a forest predicts log times of the open pairs from the indices of their values, and
 * the pair with the lowest confidence bound is next: the trees' mean less a multiple of their deviation (Hutter, Hoos
 * and Leyton-Brown 2011). */
#include "joint.h"
#include "model.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define SCREEN_TREES 4 /* so many trees narrow the candidates down to MAX_BOUNDED before all look */
#define MAX_BOUNDED 1024
#define MAX_SCORED 4000 /* larger pools are sampled */
#define NUM_ELITE 3     /* whose neighbours are looked at beside a sample of the pool */
#define MAX_NEIGHBOURS 512

enum { FILLING, RANDOM_SHARE, REFIT, KAPPA };

static const struct search_setting settings[] = {
    [FILLING] = {"filling", "tests before the first model, over all workloads", 12, 1, 1000, true},
    [RANDOM_SHARE] = {"random_share", "share of random tests", 0.05, 0, 1, false},
    [REFIT] = {"refit", "trees of the 32 that are grown again before the model is asked", 8, 1, MODEL_TREES, true},
    [KAPPA] = {"kappa", "deviations between the mean and the bound", 1, 0, 100, false},
};

struct guided {
    struct model *model;
    struct joint_turns turns;
    int32_t candidates[MAX_SCORED + MAX_NEIGHBOURS];
    int32_t kept[MAX_BOUNDED];
    double screened[MAX_SCORED + MAX_NEIGHBOURS], sorted[MAX_SCORED + MAX_NEIGHBOURS];
};

static void *create(const struct search *search)
{
    struct guided *guided = calloc(1, sizeof *guided);
    if (!guided)
        return NULL;
    guided->model = model_create(search, MODEL_PLAIN);
    if (!guided->model) {
        free(guided);
        return NULL;
    }
    return guided;
}

static void destroy(void *state)
{
    struct guided *guided = state;
    model_destroy(guided->model);
    free(guided);
}

static int32_t global_candidates(struct search *search, struct guided *guided, int32_t workload)
{
    struct pool *pool = &search->pool;
    int32_t count = 0;
    if (pool->count <= MAX_SCORED) {
        for (int32_t i = 0; i < pool->count; i++)
            if (pool_open(pool, i, workload))
                guided->candidates[count++] = i;
        if (pool->complete)
            return count;
    } else {
        for (int32_t i = 0; i < MAX_SCORED; i++) {
            int32_t config = (int32_t)rng_below(&search->rng, (uint64_t)pool->count);
            if (pool_open(pool, config, workload))
                guided->candidates[count++] = config;
        }
    }
    int32_t limit = count + MAX_NEIGHBOURS;
    for (int32_t w = 0; w < search->num_workloads && count < limit; w++) {
        int32_t config = search->best[w] >= 0 ? search->samples[search->best[w]].config : -1;
        if (config >= 0 && pool_open(pool, config, workload))
            guided->candidates[count++] = config;
    }
    for (int32_t k = 0; k < NUM_ELITE && count < limit; k++) {
        int32_t sample = ranked_sample(search, workload, k);
        if (sample >= 0)
            count += pool_neighbours(pool, search->samples[sample].config, workload, guided->candidates + count,
                                     limit - count);
    }
    return count;
}

/* The k-th smallest of x[n] (Hoare's selection); reorders x. */
static double select_nth(double *x, int32_t n, int32_t k)
{
    int32_t low = 0, high = n - 1;
    while (low < high) {
        double pivot = x[low + (high - low) / 2];
        int32_t i = low, j = high;
        while (i <= j) {
            while (x[i] < pivot)
                i++;
            while (x[j] > pivot)
                j--;
            if (i <= j) {
                double swap = x[i];
                x[i++] = x[j];
                x[j--] = swap;
            }
        }
        if (k <= j)
            high = j;
        else if (k >= i)
            low = i;
        else
            break;
    }
    return x[k];
}

/* Keeps the MAX_BOUNDED candidates that a few of the trees, each time others, predict to be fastest. */
static int32_t screen(struct search *search, struct guided *guided, int32_t workload, int32_t count)
{
    if (count <= MAX_BOUNDED)
        return count;
    int32_t first = search->num_samples * SCREEN_TREES % MODEL_TREES, kept = 0;
    for (int32_t i = 0; i < count; i++)
        guided->screened[i] =
            model_predict(guided->model, search, guided->candidates[i], workload, first, first + SCREEN_TREES).mean;
    memcpy(guided->sorted, guided->screened, (size_t)count * sizeof *guided->sorted);
    double limit = select_nth(guided->sorted, count, MAX_BOUNDED - 1);
    int32_t below = 0;
    for (int32_t i = 0; i < count; i++)
        below += guided->screened[i] < limit;
    /* Of those just at the limit, which may be many, the first from a random place on. */
    int32_t start = (int32_t)rng_below(&search->rng, (uint64_t)count), ties = MAX_BOUNDED - below;
    for (int32_t k = 0; k < count; k++) {
        int32_t i = (start + k) % count;
        if (guided->screened[i] < limit || (guided->screened[i] == limit && ties-- > 0))
            guided->kept[kept++] = guided->candidates[i];
    }
    memcpy(guided->candidates, guided->kept, (size_t)kept * sizeof *guided->kept);
    return kept;
}

/* The candidate with the lowest bound, ties broken by lot. */
static void pick_lowest_bound(struct search *search, struct guided *guided, int32_t workload, int32_t count,
                              struct pick *pick)
{
    double lowest = INFINITY, kappa = search->settings[KAPPA];
    struct model_estimate chosen = {0, 0};
    uint64_t ties = 0;
    count = screen(search, guided, workload, count);
    for (int32_t i = 0; i < count; i++) {
        struct model_estimate estimate =
            model_predict(guided->model, search, guided->candidates[i], workload, 0, MODEL_TREES);
        double bound = estimate.mean - kappa * estimate.deviation;
        if (bound > lowest)
            continue;
        ties = bound < lowest ? 1 : ties + 1;
        if (rng_below(&search->rng, ties) == 0) {
            *pick = (struct pick){guided->candidates[i], workload, "model", 0, 0};
            chosen = estimate;
        }
        lowest = bound;
    }
    pick->predicted = exp2_fixed((int32_t)model_log_time(guided->model, workload, chosen.mean));
    pick->deviation = chosen.deviation / LOG_ONE;
    int32_t best = search->best[workload];
    double likely = model_log_time(guided->model, workload, chosen.mean - chosen.deviation);
    double gain = best < 0 ? 1 : (search->samples[best].log_time - likely) / LOG_ONE;
    guided->turns.gain[workload] = gain < 0 ? 0 : gain > 1 ? 1 : gain;
}

static void propose(struct search *search, struct pick *pick)
{
    struct guided *guided = search->state;
    if (search->num_samples >= search->budget) { /* the plan is over: whoever goes on wants everything */
        propose_random(search, -1, pick);
        return;
    }
    int32_t workload = joint_next_workload(search, &guided->turns);
    if (joint_filling_is_due(search, workload, (int32_t)search->settings[FILLING])) {
        joint_propose_filling(search, workload, pick);
        return;
    }
    int32_t count = 0;
    if (rng_double(&search->rng) >= search->settings[RANDOM_SHARE] &&
        model_fit(guided->model, search, (int32_t)search->settings[REFIT]))
        count = global_candidates(search, guided, workload);
    if (count)
        pick_lowest_bound(search, guided, workload, count, pick);
    else /* also in a large space whose known part is used up for this workload */
        propose_random(search, workload, pick);
}

const struct strategy strategy_forest = {
    .name = "forest",
    .doc = "extremely randomised trees and a lower confidence bound",
    .settings = settings,
    .num_settings = sizeof settings / sizeof *settings,
    .create = create,
    .destroy = destroy,
    .propose = propose,
};
