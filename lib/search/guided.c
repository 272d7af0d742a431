/* SPDX-License-Identifier: Apache-2.0
 *
 * The model-guided strategies. After some space-filling samples, a forest over (configuration, workload) pairs predicts
 * log time, and the open pair with the lowest confidence bound is next (Hutter, Hoos and Leyton-Brown 2011; the bound
 * is the trees' mean less their deviation). Failures count as the slowest time seen, which teaches the forest where not
 * to go. "default" spends the last part of the budget around the best of each workload; "forest" does not. */
#include "forest.h"
#include "strategy.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define NUM_TREES 32
#define NUM_REFIT 8    /* trees that each test grows again */
#define SCREEN_TREES 4 /* so many trees narrow the candidates down to MAX_BOUNDED before all look */
#define MAX_BOUNDED 1024
#define MAX_SCORED 20000 /* larger pools are sampled */
#define SPACE_FILLING 12 /* tests before the first model, over all workloads ... */
#define MIN_FILLING 3    /* ... and for each at least, a quarter of the budget at most */
#define FILLING_DRAWS 32 /* the farthest of so many is a space-filling sample */
#define RANDOM_ONE_IN 20
#define NEIGHBOURHOOD_FROM_PERCENT 60 /* of the budget */
#define NUM_ELITE 3                   /* whose neighbours are looked at */
#define MAX_NEIGHBOURS 512
#define GAIN_WEIGHT 8.0 /* tests for a workload with a predicted gain of 2x beyond those for one without any */

struct guided {
    struct forest forest;
    int32_t fitted_samples;
    int32_t
        reference[SEARCH_MAX_WORKLOADS]; /* fixed-point log2 of the time that targets of a workload are relative to */
    double gain[SEARCH_MAX_WORKLOADS];   /* predicted when last looked at: log2, 0 to 1 */
    double credit[SEARCH_MAX_WORKLOADS];
    int32_t candidates[MAX_SCORED + MAX_NEIGHBOURS];
    int32_t kept[MAX_BOUNDED];
    int64_t screened[MAX_SCORED + MAX_NEIGHBOURS], sorted[MAX_SCORED + MAX_NEIGHBOURS];
};

static void *create(const struct search *search)
{
    (void)search;
    struct guided *guided = calloc(1, sizeof *guided);
    if (guided && !forest_create(&guided->forest, NUM_TREES)) {
        free(guided);
        return NULL;
    }
    return guided;
}

static void destroy(void *state)
{
    struct guided *guided = state;
    forest_destroy(&guided->forest);
    free(guided);
}

/* Weighted round robin over the workloads that have open pairs. */
static int32_t choose_workload(const struct search *search, struct guided *guided)
{
    double total = 0;
    for (int32_t w = 0; w < search->num_workloads; w++)
        if (search->pool.remaining[w])
            total += 1 + GAIN_WEIGHT * guided->gain[w];
    int32_t chosen = -1;
    for (int32_t w = 0; w < search->num_workloads; w++) {
        if (!search->pool.remaining[w])
            continue;
        guided->credit[w] += (1 + GAIN_WEIGHT * guided->gain[w]) / total;
        if (chosen < 0 || guided->credit[w] > guided->credit[chosen])
            chosen = w;
    }
    guided->credit[chosen] -= 1;
    return chosen;
}

static bool filling_is_due(const struct search *search, int32_t workload)
{
    int32_t most = search->budget / 4 / search->num_workloads, each = SPACE_FILLING / search->num_workloads;
    each = each < MIN_FILLING ? MIN_FILLING : each;
    each = each > most ? most : each;
    return search->num_tests[workload] - search->num_seed_tests[workload] < each;
}

/* Distance in value indices, each parameter's range scaled to 65536. */
static int64_t distance(const struct pool *pool, const uint16_t *a, const uint16_t *b)
{
    int64_t sum = 0;
    for (int32_t p = 0; p < pool->num_params; p++)
        if (a[p] != b[p])
            sum += LOG_ONE * (int64_t)(a[p] < b[p] ? b[p] - a[p] : a[p] - b[p]) / (pool->params[p].num_values - 1);
    return sum;
}

/* The random open pair that is farthest from every sample. Without seeds each workload starts with the same
 * configuration, so that the references compare. */
static void propose_filling(struct search *search, int32_t workload, struct pick *pick)
{
    if (search->num_tests[workload] == 0 && search->num_samples > 0 &&
        pool_open(&search->pool, search->samples[0].config, workload)) {
        *pick = (struct pick){search->samples[0].config, workload, "space-filling", 0, 0};
        return;
    }
    int64_t farthest = -1;
    for (int32_t i = 0; i < FILLING_DRAWS; i++) {
        struct pick draw;
        propose_random(search, workload, &draw);
        const uint16_t *row = pool_row(&search->pool, draw.config);
        int64_t nearest = INT64_MAX;
        for (int32_t s = 0; s < search->num_samples; s++) {
            int64_t d = distance(&search->pool, row, pool_row(&search->pool, search->samples[s].config));
            nearest = d < nearest ? d : nearest;
        }
        if (nearest > farthest) {
            farthest = nearest;
            *pick = draw;
        }
    }
    pick->why = "space-filling";
}

static int compare_ints(const void *a, const void *b)
{
    int32_t x = *(const int32_t *)a, y = *(const int32_t *)b;
    return (x > y) - (x < y);
}

/* Median over each workload's seeds, or its first test where it has none: the same configurations for all, if feasible.
 */
static void find_references(const struct search *search, struct guided *guided)
{
    int32_t times[64];
    for (int32_t w = 0; w < search->num_workloads; w++) {
        int32_t count = 0;
        for (int32_t s = 0; s < search->num_samples && count < 64; s++)
            if (search->samples[s].workload == w && !search->samples[s].failed &&
                (count == 0 || count < search->num_seed_tests[w]))
                times[count++] = search->samples[s].log_time;
        qsort(times, (size_t)count, sizeof *times, compare_ints);
        guided->reference[w] = count ? times[count / 2] : 0;
    }
}

static void fill_targets(const struct search *search, const struct guided *guided, int32_t *target)
{
    int32_t slowest = INT32_MIN;
    for (int32_t i = 0; i < search->num_samples; i++) {
        const struct sample *s = &search->samples[i];
        target[i] = s->log_time - guided->reference[s->workload];
        if (!s->failed && target[i] > slowest)
            slowest = target[i];
    }
    for (int32_t i = 0; i < search->num_samples; i++)
        if (search->samples[i].failed)
            target[i] = slowest;
}

/* False when there is nothing to fit, or no memory for it. */
static bool fit(struct search *search, struct guided *guided)
{
    bool any = false;
    for (int32_t w = 0; w < search->num_workloads; w++)
        any |= search->best[w] >= 0;
    if (!any)
        return false;
    int32_t n = search->num_samples, num_params = search->pool.num_params;
    int32_t num_inputs = num_params + search->num_features;
    uint16_t *inputs = malloc((size_t)n * (size_t)num_inputs * sizeof *inputs);
    int32_t *target = malloc((size_t)n * sizeof *target);
    bool ok = inputs && target;
    if (ok) {
        for (int32_t i = 0; i < n; i++) {
            const uint16_t *row = pool_row(&search->pool, search->samples[i].config);
            for (int32_t p = 0; p < num_params; p++)
                inputs[(size_t)p * (size_t)n + (size_t)i] = row[p];
            for (int32_t f = 0; f < search->num_features; f++)
                inputs[(size_t)(num_params + f) * (size_t)n + (size_t)i] =
                    search->features[search->samples[i].workload][f];
        }
        find_references(search, guided);
        fill_targets(search, guided, target);
        struct forest_samples samples = {n, num_inputs, inputs, target};
        ok = forest_fit(&guided->forest, &samples, NUM_REFIT, &search->rng);
    }
    free(inputs);
    free(target);
    return ok;
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

static int32_t neighbour_candidates(struct search *search, struct guided *guided, int32_t workload)
{
    int32_t count = 0;
    for (int32_t k = 0; k < NUM_ELITE && count == 0; k++) {
        int32_t sample = ranked_sample(search, workload, k);
        if (sample >= 0)
            count = pool_neighbours(&search->pool, search->samples[sample].config, workload, guided->candidates,
                                    MAX_NEIGHBOURS);
    }
    return count;
}

static void set_input(const struct search *search, int32_t config, int32_t workload, uint16_t *input)
{
    int32_t num_params = search->pool.num_params;
    memcpy(input, pool_row(&search->pool, config), (size_t)num_params * sizeof *input);
    memcpy(input + num_params, search->features[workload], (size_t)search->num_features * sizeof *input);
}

/* The k-th smallest of x[n] (Hoare's selection); reorders x. */
static int64_t select_nth(int64_t *x, int32_t n, int32_t k)
{
    int32_t low = 0, high = n - 1;
    while (low < high) {
        int64_t pivot = x[low + (high - low) / 2];
        int32_t i = low, j = high;
        while (i <= j) {
            while (x[i] < pivot)
                i++;
            while (x[j] > pivot)
                j--;
            if (i <= j) {
                int64_t swap = x[i];
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
    uint16_t input[SEARCH_MAX_PARAMS + SEARCH_MAX_FEATURES];
    int32_t first = search->num_samples * SCREEN_TREES % NUM_TREES, kept = 0;
    for (int32_t i = 0; i < count; i++) {
        int64_t squares;
        set_input(search, guided->candidates[i], workload, input);
        forest_sums(&guided->forest, input, first, first + SCREEN_TREES, &guided->screened[i], &squares);
    }
    memcpy(guided->sorted, guided->screened, (size_t)count * sizeof *guided->sorted);
    int64_t limit = select_nth(guided->sorted, count, MAX_BOUNDED - 1);
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
    uint16_t input[SEARCH_MAX_PARAMS + SEARCH_MAX_FEATURES];
    count = screen(search, guided, workload, count);
    double lowest = INFINITY, lowest_mean = 0, deviation_there = 0;
    uint64_t ties = 0;
    for (int32_t i = 0; i < count; i++) {
        int64_t sum, squares;
        set_input(search, guided->candidates[i], workload, input);
        forest_sums(&guided->forest, input, 0, NUM_TREES, &sum, &squares);
        double mean = (double)sum / NUM_TREES, variance = (double)squares / NUM_TREES - mean * mean;
        double deviation = sqrt(variance > 0 ? variance : 0), bound = mean - deviation;
        if (bound > lowest)
            continue;
        ties = bound < lowest ? 1 : ties + 1;
        if (rng_below(&search->rng, ties) == 0) {
            *pick = (struct pick){guided->candidates[i], workload, "model", 0, 0};
            lowest_mean = mean;
            deviation_there = deviation;
        }
        lowest = bound;
    }
    pick->predicted = exp2_fixed((int32_t)lowest_mean + guided->reference[workload]);
    pick->deviation = deviation_there / LOG_ONE;
    int32_t best = search->best[workload];
    double gain = best < 0 ? 1 : (search->samples[best].log_time - guided->reference[workload] - lowest) / LOG_ONE;
    guided->gain[workload] = gain < 0 ? 0 : gain > 1 ? 1 : gain;
}

static void propose(struct search *search, struct pick *pick, bool neighbourhood)
{
    struct guided *guided = search->state;
    if (search->num_samples >= search->budget) { /* the plan is over: whoever goes on wants everything */
        propose_random(search, -1, pick);
        return;
    }
    int32_t workload = choose_workload(search, guided);
    if (filling_is_due(search, workload)) {
        propose_filling(search, workload, pick);
        return;
    }
    if (rng_below(&search->rng, RANDOM_ONE_IN) == 0 || !fit(search, guided)) {
        propose_random(search, workload, pick);
        return;
    }
    int32_t count = 0;
    if (neighbourhood && search->num_samples >= (int64_t)search->budget * NEIGHBOURHOOD_FROM_PERCENT / 100)
        count = neighbour_candidates(search, guided, workload);
    const char *why = count ? "neighbour" : "model";
    if (!count)
        count = global_candidates(search, guided, workload);
    if (!count) { /* a large space whose known part is used up for this workload */
        propose_random(search, workload, pick);
        return;
    }
    pick_lowest_bound(search, guided, workload, count, pick);
    pick->why = why;
}

static void propose_default(struct search *search, struct pick *pick)
{
    propose(search, pick, true);
}

static void propose_forest(struct search *search, struct pick *pick)
{
    propose(search, pick, false);
}

const struct strategy strategy_default = {
    .name = "default",
    .doc = "seeds, space-filling samples, then a forest's lower confidence bound; last, around the best",
    .create = create,
    .destroy = destroy,
    .propose = propose_default,
};

const struct strategy strategy_forest = {
    .name = "forest",
    .doc = "extremely randomised trees and a lower confidence bound",
    .create = create,
    .destroy = destroy,
    .propose = propose_forest,
};
