/* SPDX-License-Identifier: Apache-2.0 */
#include "joint.h"

#define GAIN_WEIGHT 8.0  /* tests for a workload with a predicted gain of 2x beyond those for one without any */
#define MIN_FILLING 3    /* tests before the first model for each workload, a quarter of the budget at most */
#define FILLING_DRAWS 32 /* the farthest of so many is a space-filling sample */
#define MAX_REFERENCE 64 /* seeds that count */

int32_t joint_next_workload(const struct search *search, struct joint_turns *turns)
{
    double total = 0;
    for (int32_t w = 0; w < search->num_workloads; w++)
        if (search->pool.remaining[w])
            total += 1 + GAIN_WEIGHT * turns->gain[w];
    int32_t chosen = -1;
    for (int32_t w = 0; w < search->num_workloads; w++) {
        if (!search->pool.remaining[w])
            continue;
        turns->credit[w] += (1 + GAIN_WEIGHT * turns->gain[w]) / total;
        if (chosen < 0 || turns->credit[w] > turns->credit[chosen])
            chosen = w;
    }
    turns->credit[chosen] -= 1;
    return chosen;
}

bool joint_filling_is_due(const struct search *search, int32_t workload, int32_t num_filling)
{
    int32_t most = search->budget / 4 / search->num_workloads, each = num_filling / search->num_workloads;
    each = each < MIN_FILLING ? MIN_FILLING : each;
    each = each > most ? most : each;
    return search->num_tests[workload] < each;
}

/* Distance in value indices, each parameter's range scaled to LOG_ONE. */
static int64_t distance(const struct pool *pool, const uint16_t *a, const uint16_t *b)
{
    int64_t sum = 0;
    for (int32_t p = 0; p < pool->num_params; p++)
        if (a[p] != b[p])
            sum += LOG_ONE * (int64_t)(a[p] < b[p] ? b[p] - a[p] : a[p] - b[p]) / (pool->params[p].num_values - 1);
    return sum;
}

void joint_propose_filling(struct search *search, int32_t workload, struct pick *pick)
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

void joint_references(const struct search *search, int32_t *reference)
{
    int32_t times[MAX_REFERENCE];
    for (int32_t w = 0; w < search->num_workloads; w++) {
        int32_t count = 0;
        for (int32_t s = 0; s < search->num_samples && count < MAX_REFERENCE; s++)
            if (search->samples[s].workload == w && !search->samples[s].failed &&
                (count == 0 || count < search->num_seed_tests[w]))
                times[count++] = search->samples[s].log_time;
        sort_ints(times, count);
        reference[w] = count ? times[count / 2] : 0;
    }
}
