/* SPDX-License-Identifier: Apache-2.0
 * What a search found, and why it proposed what it did. */
#include "choose.h"
#include "strategy.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

_Static_assert(SEARCH_MAX_PORTFOLIO <= CHOOSE_MAX, "choose_portfolio takes as many");

int32_t ranked_sample(const struct search *search, int32_t workload, int32_t k)
{
    int32_t at = -1;
    for (; k >= 0; k--) { /* the next in order of (time, number) */
        int32_t next = -1;
        for (int32_t i = 0; i < search->num_samples; i++) {
            const struct sample *s = &search->samples[i];
            if (s->failed || s->workload != workload)
                continue;
            bool after =
                at < 0 || s->time > search->samples[at].time || (s->time == search->samples[at].time && i > at);
            if (after && (next < 0 || s->time < search->samples[next].time))
                next = i;
        }
        if (next < 0)
            return -1;
        at = next;
    }
    return at;
}

bool search_best(const struct search *search, int32_t workload, int32_t k, int32_t *values, double *time)
{
    int32_t sample = k >= 0 ? ranked_sample(search, workload, k) : -1;
    if (sample < 0)
        return false;
    pool_values(&search->pool, search->samples[sample].config, values);
    *time = search->samples[sample].time;
    return true;
}

bool search_told(const struct search *search, int32_t i, struct search_test *out)
{
    if (i < 0 || i >= search->num_samples)
        return false;
    out->workload = search->samples[i].workload;
    out->time = search->samples[i].time;
    pool_values(&search->pool, search->samples[i].config, out->values);
    return true;
}

bool is_faster_sample(const struct sample *a, const struct sample *b)
{
    return a->failed != b->failed ? b->failed : a->time < b->time;
}

bool search_explain(const struct search *search, struct search_explanation *out)
{
    if (!search->pending)
        return false;
    *out = (struct search_explanation){.strategy = search->strategy->name, .changed_params = -1};
    fill_proposal(search, &out->proposal);
    if (search->pick.deviation > 0 && search->pick.deviation < MAX_DEVIATION)
        out->factor = exp2_fixed((int32_t)(search->pick.deviation * LOG_ONE));
    int32_t nearest = -1;
    for (int32_t i = 0; i < search->num_samples; i++) {
        if (search->samples[i].workload != search->pick.workload)
            continue;
        int32_t changed = pool_differing(&search->pool, search->pick.config, search->samples[i].config);
        if (nearest < 0 || changed < out->changed_params ||
            (changed == out->changed_params && is_faster_sample(&search->samples[i], &search->samples[nearest]))) {
            nearest = i;
            out->changed_params = changed;
        }
    }
    search_told(search, nearest, &out->neighbour);
    return true;
}

static int compare_ints(const void *a, const void *b)
{
    int32_t x = *(const int32_t *)a, y = *(const int32_t *)b;
    return (x > y) - (x < y);
}

void sort_ints(int32_t *x, int32_t count)
{
    qsort(x, (size_t)count, sizeof *x, compare_ints);
}

/* The configurations with an OK time, ascending; configs[num_samples]. Returns how many. */
static int32_t list_candidates(const struct search *search, int32_t *configs)
{
    int32_t count = 0, distinct = 0;
    for (int32_t i = 0; i < search->num_samples; i++)
        if (!search->samples[i].failed)
            configs[count++] = search->samples[i].config;
    sort_ints(configs, count);
    for (int32_t i = 0; i < count; i++)
        if (distinct == 0 || configs[distinct - 1] != configs[i])
            configs[distinct++] = configs[i];
    return distinct;
}

/* cost[num_workloads][count]: regrets, of what was measured. */
static void fill_costs(const struct search *search, const int32_t *configs, int32_t count, double *cost)
{
    for (int64_t i = 0; i < (int64_t)search->num_workloads * count; i++)
        cost[i] = INFINITY;
    for (int32_t i = 0; i < search->num_samples; i++) {
        const struct sample *s = &search->samples[i];
        if (s->failed)
            continue;
        const int32_t *found = bsearch(&s->config, configs, (size_t)count, sizeof *configs, compare_ints);
        cost[(int64_t)s->workload * count + (found - configs)] =
            s->time / search->samples[search->best[s->workload]].time - 1;
    }
}

int32_t search_portfolio(const struct search *search, int32_t max_configs, int32_t *values, int32_t *assigned,
                         double *regret)
{
    int32_t chosen[SEARCH_MAX_PORTFOLIO], num_chosen = -1;
    int32_t *configs = malloc(((size_t)search->num_samples + 1) * sizeof *configs);
    int32_t count = configs ? list_candidates(search, configs) : 0;
    double *cost = malloc(((size_t)search->num_workloads * (size_t)count + 1) * sizeof *cost);
    if (configs && cost) {
        fill_costs(search, configs, count, cost);
        num_chosen = count ? choose_portfolio(cost, search->num_workloads, count, max_configs, chosen, assigned) : 0;
    }
    for (int32_t i = 0; i < num_chosen; i++)
        pool_values(&search->pool, configs[chosen[i]], values + (int64_t)i * search->pool.num_params);
    for (int32_t w = 0; num_chosen > 0 && w < search->num_workloads; w++) {
        regret[w] = assigned[w] < 0 ? -1 : cost[(int64_t)w * count + assigned[w]];
        for (int32_t i = 0; i < num_chosen && assigned[w] >= 0; i++)
            if (chosen[i] == assigned[w]) {
                assigned[w] = i;
                break;
            }
    }
    free(configs);
    free(cost);
    return num_chosen;
}
