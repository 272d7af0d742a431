/* SPDX-License-Identifier: Apache-2.0
 *
 * The default: Bayesian optimisation by two models of log time over (configuration, workload) pairs that err in
 * different places. A Gaussian process over the parameters' values: smooth, and fit to jump far. A forest over products
 * and ratios of them, of ranks: steps and constraints between parameters. The pair with the largest expected
 * improvement by the process is next, and every other time the one with the largest product of both models'
 * improvements; not so when nothing better was found for a while, since the forest may have written the optimum off.
 * Both choose after a failure, too: limits are steps. The slow tail of the times is cut off for the process: only the
 * order of the fast matters, and it shall not bend to the slow. Failures count as slower still. */
#include "gp.h"
#include "improvement.h"
#include "inputs.h"
#include "joint.h"
#include "model.h"
#include "strategy.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define MAX_MODELLED 256                /* samples; of more, the fastest and the latest */
#define MAX_ROWS (MAX_MODELLED * 5 / 4) /* with those that are added before the next choice */
#define MAX_POINTS 4096 /* pairs that are compared; of more, the neighbours of the best and a random part */
#define FIRST_SWEEPS 2
#define SWEEPS 1
#define REFIT_ONE_IN 7 /* lengths are optimised again after so large a share of new samples */
#define NUM_ELITE 3    /* whose neighbours are always compared */
#define MAX_NEIGHBOURS 512
#define LEAST_VARIANCE 1e-6F
#define TREES_REFIT 4 /* trees of the forest that are grown again before it is asked */
#define PATIENCE 15   /* tests without a new best, from which on the process alone chooses */

enum { SPACE_FILLING };

static const struct search_setting settings[] = {
    [SPACE_FILLING] = {"filling", "tests before the first model, over all workloads", 8, 1, 1000, true},
};

struct bayes {
    struct gp gp;
    struct gp_points points;
    struct inputs inputs;
    struct model *forest;
    struct improvement improvement;
    struct joint_turns turns;
    int32_t modelled[MAX_ROWS];         /* sample of each row of gp */
    int32_t num_seen, next_fit;         /* samples */
    int32_t *config, *workload;         /* [MAX_POINTS] */
    bool all_points;                    /* every open pair is compared */
    int32_t best[SEARCH_MAX_WORKLOADS]; /* search->best when the points were chosen */
    /* A target is (log time - reference - level) / unit, in bits. */
    int32_t reference[SEARCH_MAX_WORKLOADS];
    double level, unit;
};

static void destroy(void *state)
{
    struct bayes *bayes = state;
    if (bayes->forest)
        model_destroy(bayes->forest);
    gp_points_destroy(&bayes->points);
    gp_destroy(&bayes->gp);
    inputs_destroy(&bayes->inputs);
    free(bayes->config);
    free(bayes->workload);
    free(bayes);
}

static void *create(const struct search *search)
{
    struct bayes *bayes = calloc(1, sizeof *bayes);
    if (!bayes)
        return NULL;
    bayes->config = malloc(MAX_POINTS * sizeof *bayes->config);
    bayes->workload = malloc(MAX_POINTS * sizeof *bayes->workload);
    bayes->forest = model_create(search, MODEL_DERIVED);
    improvement_create(&bayes->improvement);
    if (bayes->config && bayes->workload && bayes->forest && inputs_create(&bayes->inputs, search) &&
        gp_create(&bayes->gp, bayes->inputs.num_inputs, MAX_ROWS) &&
        gp_points_create(&bayes->points, &bayes->gp, MAX_POINTS))
        return bayes;
    destroy(bayes);
    return NULL;
}

/* Log times of all samples relative to the references, cut off as far above the median as the best is below it;
 * failures are so much above that again. sorted[num_samples] is scratch. False when none succeeded. */
static bool fill_relative(const struct search *search, const struct bayes *bayes, int32_t *relative, int32_t *sorted)
{
    int32_t count = 0;
    for (int32_t i = 0; i < search->num_samples; i++) {
        relative[i] = search->samples[i].log_time - bayes->reference[search->samples[i].workload];
        if (!search->samples[i].failed)
            sorted[count++] = relative[i];
    }
    if (!count)
        return false;
    sort_ints(sorted, count);
    int32_t median = sorted[count / 2], spread = median - sorted[0], most = median + spread;
    most = most < sorted[count - 1] ? most : sorted[count - 1];
    for (int32_t i = 0; i < search->num_samples; i++)
        if (search->samples[i].failed)
            relative[i] = most + spread;
        else if (relative[i] > most)
            relative[i] = most;
    return true;
}

/* All samples, or the fastest three quarters and the latest of the others, in the order told. */
static void choose_modelled(const struct search *search, struct bayes *bayes, const int32_t *relative, int32_t *sorted)
{
    int32_t n = search->num_samples, count = 0, slow = INT32_MAX, spare = 0;
    if (n > MAX_MODELLED) {
        memcpy(sorted, relative, (size_t)n * sizeof *sorted);
        sort_ints(sorted, n);
        slow = sorted[MAX_MODELLED * 3 / 4];
        spare = n - MAX_MODELLED;
    }
    for (int32_t i = 0; i < n; i++) {
        if (relative[i] >= slow && spare > 0)
            spare--;
        else
            bayes->modelled[count++] = i;
    }
    bayes->gp.num_samples = count;
}

static void fill_rows(const struct search *search, struct bayes *bayes, int32_t from)
{
    struct gp *gp = &bayes->gp;
    for (int32_t i = from; i < gp->num_samples; i++) {
        const struct sample *sample = &search->samples[bayes->modelled[i]];
        inputs_fill(&bayes->inputs, search, sample->config, sample->workload,
                    gp->inputs + (size_t)i * (size_t)gp->num_inputs);
    }
}

static void fill_targets(struct bayes *bayes, const int32_t *relative)
{
    struct gp *gp = &bayes->gp;
    double sum = 0, squares = 0;
    for (int32_t i = 0; i < gp->num_samples; i++)
        sum += (double)relative[bayes->modelled[i]] / LOG_ONE;
    bayes->level = sum / gp->num_samples;
    for (int32_t i = 0; i < gp->num_samples; i++) {
        gp->target[i] = (double)relative[bayes->modelled[i]] / LOG_ONE - bayes->level;
        squares += gp->target[i] * gp->target[i];
    }
    bayes->unit = squares > 0 ? sqrt(squares / gp->num_samples) : 1;
    for (int32_t i = 0; i < gp->num_samples; i++)
        gp->target[i] /= bayes->unit;
}

static void add_point(const struct search *search, struct bayes *bayes, int32_t config, int32_t workload)
{
    int32_t i = bayes->points.count++;
    bayes->config[i] = config;
    bayes->workload[i] = workload;
    inputs_fill(&bayes->inputs, search, config, workload,
                bayes->points.inputs + (size_t)i * (size_t)bayes->inputs.num_inputs);
}

/* Open neighbours of the best configurations, no more than max. */
static void add_neighbours(struct search *search, struct bayes *bayes, int32_t workload, int32_t max)
{
    int32_t neighbours[MAX_NEIGHBOURS];
    max = max < MAX_NEIGHBOURS ? max : MAX_NEIGHBOURS;
    for (int32_t k = 0; k < NUM_ELITE; k++) {
        int32_t sample = ranked_sample(search, workload, k);
        if (sample < 0)
            return;
        int32_t config = search->samples[sample].config;
        int32_t count = pool_neighbours(&search->pool, config, workload, neighbours, max / NUM_ELITE);
        for (int32_t i = 0; i < count; i++)
            add_point(search, bayes, neighbours[i], workload);
    }
}

/* So many open configurations, each as likely (Knuth's algorithm S); all where there are no more. */
static void add_sample(struct search *search, struct bayes *bayes, int32_t workload, int32_t count)
{
    const struct pool *pool = &search->pool;
    int64_t left = pool->remaining[workload];
    for (int32_t config = 0; config < pool->count && count > 0; config++) {
        if (!pool_open(pool, config, workload))
            continue;
        if (left <= count || (int64_t)rng_below(&search->rng, (uint64_t)left) < count) {
            add_point(search, bayes, config, workload);
            count--;
        }
        left--;
    }
}

static void choose_points(struct search *search, struct bayes *bayes)
{
    struct gp_points *points = &bayes->points;
    int32_t share = MAX_POINTS / search->num_workloads;
    points->count = points->num_samples = 0;
    bayes->all_points = search->pool.complete;
    for (int32_t w = 0; w < search->num_workloads; w++) {
        int32_t from = points->count;
        bayes->best[w] = search->best[w];
        if (!search->pool.complete || search->pool.remaining[w] > share) {
            bayes->all_points = false;
            add_neighbours(search, bayes, w, share / 2);
        }
        add_sample(search, bayes, w, share - (points->count - from));
    }
}

static bool neighbours_changed(const struct search *search, const struct bayes *bayes)
{
    bool changed = false;
    for (int32_t w = 0; w < search->num_workloads && !bayes->all_points; w++)
        changed |= bayes->best[w] != search->best[w];
    return changed;
}

/* Brings the model up to the samples told, and the posterior of the points up to the model. */
static void update(struct search *search, struct bayes *bayes, const int32_t *relative, int32_t *sorted)
{
    struct gp *gp = &bayes->gp;
    int32_t n = search->num_samples, kept = gp->num_samples;
    bool again = n >= bayes->next_fit;
    if (again) {
        choose_modelled(search, bayes, relative, sorted);
        kept = 0;
    } else {
        for (int32_t i = bayes->num_seen; i < n; i++)
            bayes->modelled[gp->num_samples++] = i;
    }
    bayes->num_seen = n;
    fill_rows(search, bayes, kept);
    fill_targets(bayes, relative);
    if (again) {
        gp_optimise(gp, bayes->next_fit ? SWEEPS : FIRST_SWEEPS);
        bayes->next_fit = n + 1 + gp->num_samples / REFIT_ONE_IN;
    }
    gp_condition(gp, kept);
    if (again || neighbours_changed(search, bayes))
        choose_points(search, bayes);
    gp_points_update(&bayes->points, gp);
}

/* False when there is nothing to fit, or no memory for it. */
static bool fit(struct search *search, struct bayes *bayes)
{
    size_t n = (size_t)search->num_samples;
    int32_t *relative = malloc((n + 1) * sizeof *relative), *sorted = malloc((n + 1) * sizeof *sorted);
    joint_references(search, bayes->reference);
    bool ok = relative && sorted && fill_relative(search, bayes, relative, sorted);
    if (ok)
        update(search, bayes, relative, sorted);
    free(relative);
    free(sorted);
    return ok;
}

/* The least mean at any success of the workload, which noise misleads less than the least time; of all workloads where
 * it has none. */
static double incumbent(const struct search *search, const struct bayes *bayes, int32_t workload)
{
    double least = INFINITY, least_of_all = INFINITY;
    for (int32_t i = 0; i < bayes->gp.num_samples; i++) {
        const struct sample *sample = &search->samples[bayes->modelled[i]];
        if (sample->failed)
            continue;
        double mean = gp_mean_at_sample(&bayes->gp, i);
        least_of_all = mean < least_of_all ? mean : least_of_all;
        if (sample->workload == workload)
            least = mean < least ? mean : least;
    }
    return least < INFINITY ? least : least_of_all;
}

/* Expected improvement on a target of `best` by the forest. */
static double improvement_by_trees(const struct search *search, const struct bayes *bayes, int32_t config,
                                   int32_t workload, double best)
{
    struct model_estimate estimate = model_predict(bayes->forest, search, config, workload, 0, MODEL_TREES);
    double deviation = estimate.deviation + 1; /* of the fixed point: never 0 */
    return deviation * improvement_expected(&bayes->improvement, (best - estimate.mean) / deviation);
}

static double deviation_at(const struct bayes *bayes, int32_t i)
{
    double variance = bayes->points.variance[i];
    return sqrt((variance > LEAST_VARIANCE ? variance : LEAST_VARIANCE) * bayes->gp.scale);
}

/* The open point of workload that the process, or both models, promise most of; false when there is none. */
static bool pick_most_promising(struct search *search, struct bayes *bayes, int32_t workload, bool by_both,
                                struct pick *pick)
{
    const struct gp_points *points = &bayes->points;
    double best = incumbent(search, bayes, workload), most = -1, best_by_trees = 0, bound = 0;
    int32_t at = -1;
    if (by_both) { /* targets lie in [0, that of a failure], so that no improvement by trees is above the bound */
        best_by_trees = model_target(bayes->forest, search->best[workload]);
        bound = best_by_trees + 0.5 * model_target(bayes->forest, -1) + 1;
    }
    for (int32_t i = 0; i < points->count; i++) {
        if (bayes->workload[i] != workload || !pool_open(&search->pool, bayes->config[i], workload))
            continue;
        double deviation = deviation_at(bayes, i);
        double value = deviation * improvement_expected(&bayes->improvement, (best - points->mean[i]) / deviation);
        if (by_both && value * bound <= most)
            continue;
        if (by_both)
            value *= improvement_by_trees(search, bayes, bayes->config[i], workload, best_by_trees);
        if (value > most) {
            most = value;
            at = i;
        }
    }
    if (at < 0)
        return false;
    double log_time = (points->mean[at] * bayes->unit + bayes->level) * LOG_ONE + bayes->reference[workload];
    double deviation = deviation_at(bayes, at) * bayes->unit;
    *pick = (struct pick){bayes->config[at], workload, "model", exp2_fixed((int32_t)log_time), deviation};
    double gain = (best - points->mean[at]) * bayes->unit + deviation;
    bayes->turns.gain[workload] = gain < 0 ? 0 : gain > 1 ? 1 : gain;
    return true;
}

static bool is_stuck(const struct search *search, int32_t workload)
{
    int32_t since = 0;
    for (int32_t i = search->best[workload] + 1; i < search->num_samples; i++)
        since += search->samples[i].workload == workload;
    return since > PATIENCE;
}

/* False when the models cannot tell. */
static bool propose_by_models(struct search *search, struct bayes *bayes, int32_t workload, struct pick *pick)
{
    if (!fit(search, bayes))
        return false;
    bool is_turn = search->num_tests[workload] % 2 == 0 && !is_stuck(search, workload);
    bool by_both =
        (is_turn || search->samples[search->num_samples - 1].failed) && model_fit(bayes->forest, search, TREES_REFIT);
    return pick_most_promising(search, bayes, workload, by_both, pick);
}

static void propose(struct search *search, struct pick *pick)
{
    struct bayes *bayes = search->state;
    if (search->num_samples >= search->budget) { /* the plan is over: whoever goes on wants everything */
        propose_random(search, -1, pick);
        return;
    }
    int32_t workload = joint_next_workload(search, &bayes->turns);
    if (joint_filling_is_due(search, workload, (int32_t)search->settings[SPACE_FILLING]))
        joint_propose_filling(search, workload, pick);
    else if (!propose_by_models(search, bayes, workload, pick))
        propose_random(search, workload, pick);
}

const struct strategy strategy_default = {
    .name = "default",
    .doc = "seeds, space-filling samples, then expected improvement by a Gaussian process, or by it and a forest",
    .settings = settings,
    .num_settings = sizeof settings / sizeof *settings,
    .create = create,
    .destroy = destroy,
    .propose = propose,
};
