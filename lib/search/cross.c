/* SPDX-License-Identifier: Apache-2.0
 * Tests for the sake of a portfolio. A search measures on each workload what promises to be best there; which few
 * configurations serve all workloads shows only where the best of one is measured on the others. */
#include "strategy.h"

#include <math.h>
#include <stdlib.h>

static int32_t rank_distance(const struct search *search, int32_t a, int32_t b)
{
    int32_t sum = 0;
    for (int32_t f = 0; f < search->num_features; f++)
        sum += abs(search->features[a][f] - search->features[b][f]);
    return sum;
}

/* The best configuration of another workload, the most alike first, that was not measured on this one; -1 = none. */
static int32_t nearest_best(const struct search *search, int32_t workload)
{
    int32_t config = -1, least = INT32_MAX;
    for (int32_t w = 0; w < search->num_workloads; w++) {
        if (search->best[w] < 0 || rank_distance(search, w, workload) >= least)
            continue;
        int32_t best = search->samples[search->best[w]].config;
        if (pool_open(&search->pool, best, workload)) {
            config = best;
            least = rank_distance(search, w, workload);
        }
    }
    return config;
}

bool propose_cross(const struct search *search, struct pick *pick)
{
    int32_t assigned[SEARCH_MAX_WORKLOADS], count = 0;
    double regret[SEARCH_MAX_WORKLOADS], largest = -1;
    int32_t *values = malloc((size_t)search->portfolio * (size_t)search->pool.num_params * sizeof *values);
    if (values)
        count = search_portfolio(search, search->portfolio, values, assigned, regret);
    free(values);
    bool found = false;
    for (int32_t w = 0; w < search->num_workloads && count > 0; w++) {
        double loss = regret[w] < 0 ? INFINITY : regret[w];
        int32_t config = loss > 0 && loss > largest ? nearest_best(search, w) : -1;
        if (config < 0)
            continue;
        found = true;
        largest = loss;
        *pick = (struct pick){.config = config, .workload = w, .why = "cross"};
    }
    return found;
}
