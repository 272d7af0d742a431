/* SPDX-License-Identifier: Apache-2.0
 *
 * The model-guided strategies. After some space-filling samples a forest predicts the open pairs (Hutter, Hoos and
 * Leyton-Brown 2011). "forest" sees indices of values and log times, and takes the lowest confidence bound: the trees'
 * mean less a multiple of their deviation. "default" sees derived inputs and ranks, takes the largest expected
 * improvement, and in between descends from what was found, as iterated local search does: one-parameter neighbours
 * that a model has written off are often the way to another valley. */
#include "descent.h"
#include "joint.h"
#include "model.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define SCREEN_TREES 4 /* so many trees narrow the candidates down to MAX_BOUNDED before all look */
#define MAX_BOUNDED 1024
#define MAX_SCORED 4000  /* larger pools are sampled */
#define NUM_ELITE 3      /* whose neighbours are looked at beside a sample of the pool */
#define MAX_NEIGHBOURS 512

enum { FILLING, RANDOM_SHARE, REFIT, KAPPA };
enum { LOCAL_SHARE = KAPPA, KICK };

#define SETTING_FILLING(tests)                                                                            \
    {                                                                                                     \
        "filling", "space-filling tests before the first model, over all workloads", tests, 1, 1000, true \
    }
#define SETTING_RANDOM                                             \
    {                                                              \
        "random_share", "share of random tests", 0.05, 0, 1, false \
    }
#define SETTING_REFIT(trees)                                                                                   \
    {                                                                                                          \
        "refit", "trees of the 32 that are grown again before the model is asked", trees, 1, MODEL_TREES, true \
    }

static const struct search_setting settings_forest[] = {
    [FILLING] = SETTING_FILLING(12),
    [RANDOM_SHARE] = SETTING_RANDOM,
    [REFIT] = SETTING_REFIT(8),
    [KAPPA] = {"kappa", "deviations between the mean and the bound", 1, 0, 100, false},
};

static const struct search_setting settings_default[] = {
    [FILLING] = SETTING_FILLING(6),
    [RANDOM_SHARE] = SETTING_RANDOM,
    [REFIT] = SETTING_REFIT(8),
    [LOCAL_SHARE] = {"local_share", "share of tests that descend from what was found", 0.25, 0, 1, false},
    [KICK] = {"kick", "parameters that are changed to leave a local optimum", 3, 1, SEARCH_MAX_PARAMS, true},
};

struct guided {
    struct model *model;
    bool improvement;                  /* expected improvement rather than a bound */
    struct joint_turns turns;
    struct descent descents[SEARCH_MAX_WORKLOADS];
    int32_t candidates[MAX_SCORED + MAX_NEIGHBOURS];
    int32_t kept[MAX_BOUNDED];
    double screened[MAX_SCORED + MAX_NEIGHBOURS], sorted[MAX_SCORED + MAX_NEIGHBOURS];
};

static void *create(const struct search *search, bool is_default)
{
    struct guided *guided = calloc(1, sizeof *guided);
    if (!guided)
        return NULL;
    guided->model = model_create(search, is_default, is_default);
    if (!guided->model) {
        free(guided);
        return NULL;
    }
    guided->improvement = is_default;
    for (int32_t w = 0; w < SEARCH_MAX_WORKLOADS; w++)
        guided->descents[w].current = -1;
    return guided;
}

static void *create_default(const struct search *search)
{
    return create(search, true);
}

static void *create_forest(const struct search *search)
{
    return create(search, false);
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

/* log2 of the expected improvement on `best` by a normal with this mean and deviation: the deviation's plus that of
 * z Phi(z) + phi(z), interpolated between its values at z = -8, -7.5, ..., 4; above, that is z. */
static double log_improvement(double best, struct model_estimate estimate)
{
    static const double table[] = {-53.5562, -47.7879, -42.3692, -37.2985, -32.5742, -28.1942, -24.1569,
                                   -20.4581, -17.0946, -14.0617, -11.3536, -8.9628,  -6.8799,  -5.0926,
                                   -3.5853,  -2.3379,  -1.3257,  -0.5191,  0.1155,   0.6129,   1.0061,
                                   1.3231,   1.5851,   1.8074,   2.0000};
    const int32_t last = sizeof table / sizeof *table - 1;
    double deviation = estimate.deviation + 1; /* of the fixed point: never 0 */
    double z = (best - estimate.mean) / deviation, at = 2 * (z + 8), log_tau;
    if (at >= last) {
        log_tau = (double)log2_fixed(z) / LOG_ONE;
    } else {
        int32_t below = at < 0 ? 0 : (int32_t)at;
        log_tau = table[below] + (table[below + 1] - table[below]) * (at - below);
    }
    return (double)log2_fixed(deviation) / LOG_ONE + log_tau;
}

/* How much the pair is worth a test. */
static double value_of(const struct search *search, const struct guided *guided, double best,
                       struct model_estimate estimate)
{
    return guided->improvement ? log_improvement(best, estimate)
                               : search->settings[KAPPA] * estimate.deviation - estimate.mean;
}

/* The candidate of the largest value, ties broken by lot. */
static void pick_best(struct search *search, struct guided *guided, int32_t workload, int32_t count, struct pick *pick)
{
    int32_t best = search->best[workload];
    double best_target = model_target(guided->model, best), largest = -INFINITY;
    struct model_estimate chosen = {0, 0};
    uint64_t ties = 0;
    count = screen(search, guided, workload, count);
    for (int32_t i = 0; i < count; i++) {
        struct model_estimate estimate =
            model_predict(guided->model, search, guided->candidates[i], workload, 0, MODEL_TREES);
        double value = value_of(search, guided, best_target, estimate);
        if (value < largest)
            continue;
        ties = value > largest ? 1 : ties + 1;
        if (rng_below(&search->rng, ties) == 0) {
            *pick = (struct pick){guided->candidates[i], workload, "model", 0, 0};
            chosen = estimate;
        }
        largest = value;
    }
    pick->predicted = exp2_fixed((int32_t)model_log_time(guided->model, workload, chosen.mean));
    double bound = model_log_time(guided->model, workload, chosen.mean - chosen.deviation);
    pick->deviation = (model_log_time(guided->model, workload, chosen.mean) - bound) / LOG_ONE;
    double gain = best < 0 ? 1 : (search->samples[best].log_time - bound) / LOG_ONE;
    guided->turns.gain[workload] = gain < 0 ? 0 : gain > 1 ? 1 : gain;
}

static void propose(struct search *search, struct pick *pick, double local_share)
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
    double lot = rng_double(&search->rng) - search->settings[RANDOM_SHARE];
    if (lot >= 0 && lot < local_share &&
        descent_propose(&guided->descents[workload], search, workload, (int32_t)search->settings[KICK], pick))
        return;
    int32_t count = 0;
    if (lot >= 0 && model_fit(guided->model, search, (int32_t)search->settings[REFIT]))
        count = global_candidates(search, guided, workload);
    if (count)
        pick_best(search, guided, workload, count, pick);
    else /* also in a large space whose known part is used up for this workload */
        propose_random(search, workload, pick);
}

static void propose_default(struct search *search, struct pick *pick)
{
    propose(search, pick, search->settings[LOCAL_SHARE]);
}

static void propose_forest(struct search *search, struct pick *pick)
{
    propose(search, pick, 0);
}

static void told(struct search *search)
{
    struct guided *guided = search->state;
    descent_told(&guided->descents[search->samples[search->num_samples - 1].workload], search);
}

const struct strategy strategy_default = {
    .name = "default",
    .doc = "seeds, space-filling samples, then a forest's expected improvement and descents in turn",
    .settings = settings_default,
    .num_settings = sizeof settings_default / sizeof *settings_default,
    .create = create_default,
    .destroy = destroy,
    .propose = propose_default,
    .told = told,
};

const struct strategy strategy_forest = {
    .name = "forest",
    .doc = "extremely randomised trees and a lower confidence bound",
    .settings = settings_forest,
    .num_settings = sizeof settings_forest / sizeof *settings_forest,
    .create = create_forest,
    .destroy = destroy,
    .propose = propose_forest,
};
