/* SPDX-License-Identifier: Apache-2.0
 * A plan's decision table: from shapes to at most max_configs configurations, such that the loss against the best that
 * is known for each shape is small. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "plan.h"
#include "portfolio.h"
#include "problem_from.h"
#include "search/choose.h"

/* What serving a shape by a configuration is taken to lose at least where it was not measured: more than any that was
 * measured and is any good. The distance to the nearest shape that it is the choice of is added, so that neighbours go
 * together. */
#define UNMEASURED_LOSS 1.0

_Static_assert(PLAN_MAX_CONFIGS <= CHOOSE_MAX, "choose_portfolio takes as many as a plan");

struct candidate {
    struct kernel_config config;
    const char *source;
};

struct own {
    int32_t candidate; /* the answer for this shape alone */
    bool tuned;        /* by an entry for this very shape */
    double time_ms;    /* of that entry */
};

struct table {
    struct attune_plan *plan;
    const struct aside *aside;
    struct cache_key key;
    struct portfolio portfolio;
    struct candidate *candidates; /* [num_shapes + PORTFOLIO_MAX_CONFIGS] */
    struct own *own;              /* of each point */
    int32_t num_candidates;
};

int32_t plan_config_for(const struct attune_plan *plan, int32_t batch, int32_t q_len, int32_t kv_len)
{
    if (plan->num_configs == 1)
        return 0;
    struct shape_bucket bucket = shape_bucket_uniform(&plan->desc, batch, q_len, kv_len);
    int32_t best = 0;
    double least = shape_bucket_distance(plan->points[0].bucket, bucket);
    for (int32_t i = 1; i < plan->num_points; i++) {
        double away = shape_bucket_distance(plan->points[i].bucket, bucket);
        if (away < least) {
            least = away;
            best = i;
        }
    }
    return plan->points[best].config;
}

static void add_config(struct attune_plan *plan, const struct kernel_config *config, const char *source)
{
    struct plan_config *added = &plan->configs[plan->num_configs++];
    added->config = *config;
    added->source = source;
    family_at(config->family)->resources(&plan->facts, config->values, &added->resources);
    kernel_config_format(config, added->text, sizeof added->text);
}

attune_status plan_force(struct attune_plan *plan, const struct shape_list *list, const char *text)
{
    struct kernel_config config;
    char why[160];
    attune_status status = kernel_config_parse(text, &config);
    if (status != ATTUNE_OK)
        return status;
    if (!backend_config_valid(&plan->context->choice.limits, &plan->facts, &config, why, sizeof why))
        return set_error(ATTUNE_ERROR_UNSUPPORTED, "options.force_config \"%s\" is not valid here: %s", text, why);
    plan->points = calloc(1, sizeof *plan->points);
    if (!plan->points)
        return set_error(ATTUNE_ERROR_OUT_OF_MEMORY, "out of memory for a plan");
    add_config(plan, &config, "forced");
    plan->points[0] = (struct plan_point){.shape = list->shapes[0], .regret = -1, .regret_source = "unknown"};
    plan->num_points = 1;
    return ATTUNE_OK;
}

/* ---- what each shape is answered by, and what else there is */

/* Index of a configuration among the candidates, which it joins. The best source counts. */
static int32_t add_candidate(struct table *table, const struct kernel_config *config, const char *source)
{
    for (int32_t i = 0; i < table->num_candidates; i++) {
        struct candidate *candidate = &table->candidates[i];
        if (!kernel_config_equal(&candidate->config, config))
            continue;
        if (!strcmp(source, "tuned") || !strcmp(candidate->source, "default"))
            candidate->source = source;
        return i;
    }
    table->candidates[table->num_candidates] = (struct candidate){*config, source};
    return table->num_candidates++;
}

static bool has_point(const struct attune_plan *plan, struct shape_bucket bucket)
{
    for (int32_t i = 0; i < plan->num_points; i++)
        if (shape_bucket_equal(plan->points[i].bucket, bucket))
            return true;
    return false;
}

/* The portfolio's row for this very shape. */
static const struct portfolio_row *exact_row(const struct table *table, struct shape_bucket bucket)
{
    const struct portfolio_row *row = portfolio_nearest(&table->portfolio, bucket);
    return row && shape_bucket_equal(row->bucket, bucket) ? row : NULL;
}

static void add_point(struct table *table, struct shape_bucket bucket, const attune_shape *shape, struct own own)
{
    struct attune_plan *plan = table->plan;
    table->own[plan->num_points] = own;
    plan->points[plan->num_points++] = (struct plan_point){.bucket = bucket, .shape = *shape};
}

/* The portfolio, then the entries. why[512] is set where no entry for this very shape answers that is tuned. */
static attune_status answer(struct table *table, struct shape_bucket bucket, struct own *own, char *why)
{
    struct attune_plan *plan = table->plan;
    const struct portfolio_row *row = exact_row(table, bucket);
    why[0] = '\0';
    if (row) {
        int32_t best = portfolio_best(&table->portfolio, row);
        *own = (struct own){add_candidate(table, &table->portfolio.configs[best], "tuned"), true, row->time_ms[best]};
        return ATTUNE_OK;
    }
    const struct backend_choice *choice = &plan->context->choice;
    select_problem_key(&plan->desc, plan->has_layout ? plan->layout.id : "", bucket, &table->key);
    struct selection selection;
    attune_status status = select_config(plan->context->cache, &table->key, &table->portfolio, table->aside,
                                         choice->backend, &choice->limits, &plan->facts, &selection);
    if (status != ATTUNE_OK)
        return status;
    bool deep = !strcmp(selection.source, "tuned"), tuned = deep || !strcmp(selection.source, "shallow");
    *own = (struct own){add_candidate(table, &selection.config, selection.source), tuned,
                        tuned ? selection.entry.time_ms : 0};
    if (!deep)
        copy_string(why, sizeof selection.why, selection.why);
    return ATTUNE_OK;
}

/* NOT_TUNED, with what the caches refused to read: an answer may be in it. */
static attune_status not_tuned(const struct table *table, const char *what)
{
    char refused[640];
    cache_refused(table->plan->context->cache, refused, sizeof refused);
    return set_error(ATTUNE_ERROR_NOT_TUNED, "%s%s%s", what, refused[0] ? "; " : "", refused);
}

static attune_status collect(struct table *table, const struct shape_list *list, attune_policy policy)
{
    struct attune_plan *plan = table->plan;
    char missing[512] = "";
    for (size_t i = 0; i < list->count; i++) {
        const attune_shape *shape = &list->shapes[i];
        struct shape_bucket bucket = shape_bucket_uniform(&plan->desc, shape->batch, shape->q_len, shape->kv_len);
        if (has_point(plan, bucket))
            continue;
        struct own own;
        char why[512];
        attune_status status = answer(table, bucket, &own, why);
        if (status != ATTUNE_OK)
            return status;
        const char *source = table->candidates[own.candidate].source;
        log_message(&plan->context->logger, ATTUNE_LOG_DEBUG, "plan: %d x %d queries, %d keys: %s", shape->batch,
                    shape->q_len, shape->kv_len, why[0] ? why : "tuned");
        if (policy == ATTUNE_CACHED_ONLY && why[0]) {
            if (list->named) {
                char what[640];
                snprintf(what, sizeof what, "options.shapes[%zu] (batch %d, q_len %d, kv_len %d): %s", i, shape->batch,
                         shape->q_len, shape->kv_len, why);
                return not_tuned(table, what);
            }
            copy_string(missing, sizeof missing, why);
            if (!strcmp(source, "default") || !strcmp(source, "shallow"))
                continue;
        }
        add_point(table, bucket, shape, own);
    }
    char what[640];
    snprintf(what, sizeof what, "no verified entry answers for this descriptor: %s", missing);
    return plan->num_points ? ATTUNE_OK : not_tuned(table, what);
}

/* Only what is valid here stays in the portfolio. */
static void load_portfolio(struct table *table)
{
    const struct attune_plan *plan = table->plan;
    const struct backend_choice *choice = &plan->context->choice;
    select_device_key(choice, &table->key);
    select_problem_key(&plan->desc, plan->has_layout ? plan->layout.id : "", (struct shape_bucket){0}, &table->key);
    if (!plan->context->cache)
        return;
    portfolio_find_valid(plan->context->cache, &table->key, &choice->limits, &plan->facts, table->aside,
                         &table->portfolio);
}

/* ---- the choice */

/* What serving point p by candidate c loses, as far as known: -1 = it was not measured. *measured: on this very shape.
 */
static double known_regret(const struct table *table, int32_t p, int32_t c, bool *measured)
{
    struct shape_bucket bucket = table->plan->points[p].bucket;
    const struct portfolio_row *row = portfolio_nearest(&table->portfolio, bucket);
    int32_t index = portfolio_config(&table->portfolio, &table->candidates[c].config);
    *measured = row && shape_bucket_equal(row->bucket, bucket);
    if (!*measured && table->own[p].candidate == c && table->own[p].tuned) {
        *measured = true;
        return 0;
    }
    return row ? portfolio_regret(&table->portfolio, row, index) : -1;
}

static double loss(const struct table *table, int32_t p, int32_t c)
{
    bool measured;
    double regret = known_regret(table, p, c, &measured);
    if (regret >= 0)
        return regret;
    if (table->own[p].candidate == c)
        return 0;
    double nearest = 16 * SHAPE_CLASS_DISTANCE;
    for (int32_t q = 0; q < table->plan->num_points; q++) {
        double away = shape_bucket_distance(table->plan->points[p].bucket, table->plan->points[q].bucket);
        if (table->own[q].candidate == c && away < nearest)
            nearest = away;
    }
    return UNMEASURED_LOSS + nearest;
}

/* Fewer configurations than shapes ask for: those that lose least. assigned[num_points] */
static attune_status reduce(struct table *table, int32_t max_configs, int32_t *assigned)
{
    int32_t points = table->plan->num_points, chosen[CHOOSE_MAX];
    for (int32_t i = 0; i < table->portfolio.num_configs; i++)
        add_candidate(table, &table->portfolio.configs[i], "tuned");
    double *cost = malloc((size_t)points * (size_t)table->num_candidates * sizeof *cost);
    if (!cost)
        return set_error(ATTUNE_ERROR_OUT_OF_MEMORY, "out of memory for a decision table");
    for (int32_t p = 0; p < points; p++)
        for (int32_t c = 0; c < table->num_candidates; c++)
            cost[p * table->num_candidates + c] = loss(table, p, c);
    choose_portfolio(cost, points, table->num_candidates, max_configs, chosen, assigned);
    free(cost);
    return ATTUNE_OK;
}

static void describe(struct table *table, int32_t p, int32_t c)
{
    struct plan_point *point = &table->plan->points[p];
    const struct portfolio_row *row = exact_row(table, point->bucket);
    int32_t index = portfolio_config(&table->portfolio, &table->candidates[c].config);
    bool measured;
    point->regret = known_regret(table, p, c, &measured);
    point->regret_source = point->regret < 0 ? "unknown" : measured ? "measured" : "nearest";
    if (row && index >= 0)
        point->time_ms = row->time_ms[index];
    else if (table->own[p].candidate == c)
        point->time_ms = table->own[p].time_ms;
}

/* Takes the assigned candidates over into the plan, in the order of the points. */
static void take_over(struct table *table, const int32_t *assigned)
{
    struct attune_plan *plan = table->plan;
    int32_t taken[PLAN_MAX_CONFIGS];
    for (int32_t p = 0; p < plan->num_points; p++) {
        int32_t i = 0;
        while (i < plan->num_configs && taken[i] != assigned[p])
            i++;
        if (i == plan->num_configs) {
            taken[i] = assigned[p];
            add_config(plan, &table->candidates[assigned[p]].config, table->candidates[assigned[p]].source);
        }
        plan->points[p].config = i;
        describe(table, p, assigned[p]);
    }
}

static attune_status choose(struct table *table, const attune_plan_options *options)
{
    int32_t *assigned = calloc((size_t)table->plan->num_points, sizeof *assigned);
    if (!assigned)
        return set_error(ATTUNE_ERROR_OUT_OF_MEMORY, "out of memory for a decision table");
    attune_status status = ATTUNE_OK;
    if (table->num_candidates > options->max_configs)
        status = reduce(table, options->max_configs, assigned);
    else
        for (int32_t p = 0; p < table->plan->num_points; p++)
            assigned[p] = table->own[p].candidate;
    if (status == ATTUNE_OK)
        take_over(table, assigned);
    free(assigned);
    return status;
}

attune_status plan_choose(struct attune_plan *plan, const struct shape_list *list, const attune_plan_options *options,
                          const struct aside *aside)
{
    struct table *table = calloc(1, sizeof *table);
    if (!table)
        return set_error(ATTUNE_ERROR_OUT_OF_MEMORY, "out of memory for a decision table");
    table->plan = plan;
    table->aside = aside;
    table->candidates = calloc(list->count + PORTFOLIO_MAX_CONFIGS, sizeof *table->candidates);
    table->own = calloc(list->count, sizeof *table->own);
    plan->points = calloc(list->count, sizeof *plan->points);
    attune_status status = ATTUNE_OK;
    if (!table->candidates || !table->own || !plan->points)
        status = set_error(ATTUNE_ERROR_OUT_OF_MEMORY, "out of memory for a decision table");
    if (status == ATTUNE_OK) {
        load_portfolio(table);
        status = collect(table, list, options->policy);
    }
    if (status == ATTUNE_OK)
        status = choose(table, options);
    free(table->candidates);
    free(table->own);
    free(table);
    return status;
}

/* ---- read-out */

size_t attune_plan_num_buckets(const attune_plan *plan)
{
    return plan ? (size_t)plan->num_points : 0;
}

attune_status attune_plan_bucket(const attune_plan *plan, size_t i, attune_plan_bucket_info *out)
{
    if (!plan || !out)
        return set_error(ATTUNE_ERROR_NULL_ARGUMENT, "%s is NULL", plan ? "out" : "plan");
    if (i >= (size_t)plan->num_points)
        return set_error(ATTUNE_ERROR_INVALID_SIZE, "i is %zu; the plan has %d buckets", i, plan->num_points);
    const struct plan_point *point = &plan->points[i];
    struct shape_ranges ranges = {{1, INT32_MAX}, {0, INT32_MAX}, {1, INT64_MAX}}; /* of a forced configuration */
    if (strcmp(plan->configs[point->config].source, "forced") != 0)
        ranges = shape_bucket_ranges(point->bucket);
    *out = (attune_plan_bucket_info){.q_len_min = ranges.q_len[0],
                                     .q_len_max = ranges.q_len[1],
                                     .kv_len_min = ranges.kv_len[0],
                                     .kv_len_max = ranges.kv_len[1],
                                     .heads_min = ranges.heads[0],
                                     .heads_max = ranges.heads[1],
                                     .config = (size_t)point->config,
                                     .time_ms = point->time_ms,
                                     .regret = point->regret,
                                     .regret_source = point->regret_source};
    return ATTUNE_OK;
}

attune_status attune_plan_problem(const attune_plan *plan, size_t i, attune_problem **out)
{
    if (!out)
        return set_error(ATTUNE_ERROR_NULL_ARGUMENT, "out is NULL");
    *out = NULL;
    attune_plan_bucket_info info;
    attune_status status = attune_plan_bucket(plan, i, &info);
    return status != ATTUNE_OK
               ? status
               : problem_from_shape(&plan->desc, plan->has_layout ? &plan->layout : NULL, &plan->points[i].shape, out);
}
