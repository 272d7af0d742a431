/* SPDX-License-Identifier: Apache-2.0 */
#include "moves.h"

#include <string.h>

#define MOVE_TRIES 64
#define LOG2_E 1.4426950408889634

int32_t move_workload(const struct search *search)
{
    int32_t fewest = -1;
    for (int32_t w = 0; w < search->num_workloads; w++)
        if (search->pool.remaining[w] && (fewest < 0 || search->num_tests[w] < search->num_tests[fewest]))
            fewest = w;
    return fewest;
}

int32_t move_sample(const struct search *search, int32_t config, int32_t workload)
{
    for (int32_t i = search->num_samples - 1; i >= 0; i--)
        if (search->samples[i].config == config && search->samples[i].workload == workload)
            return i;
    return -1;
}

static bool is_feasible(const struct pool *pool, int32_t config, int32_t workload)
{
    return config >= 0 && (pool->feasible[config] >> workload & 1);
}

/* Sets the parameter, and draws those below it that become active. */
static void set_value(struct search *search, uint16_t *row, int32_t param, uint16_t value)
{
    const struct pool *pool = &search->pool;
    bool was_active[SEARCH_MAX_PARAMS];
    for (int32_t p = param + 1; p < pool->num_params; p++)
        was_active[p] = pool_active(pool, row, p);
    row[param] = value;
    for (int32_t p = param + 1; p < pool->num_params; p++)
        if (!was_active[p] && pool_active(pool, row, p))
            row[p] = (uint16_t)rng_below(&search->rng, (uint64_t)pool->params[p].num_values);
}

static void change_one(struct search *search, uint16_t *row, enum move_step step)
{
    const struct pool *pool = &search->pool;
    for (int32_t i = 0; i < MOVE_TRIES; i++) {
        int32_t p = (int32_t)rng_below(&search->rng, (uint64_t)pool->num_params);
        int32_t num_values = pool->params[p].num_values, v = row[p];
        if (num_values < 2 || !pool_active(pool, row, p))
            continue;
        if (step == STEP_ANY)
            v = (v + 1 + (int32_t)rng_below(&search->rng, (uint64_t)num_values - 1)) % num_values;
        else
            v = v == 0 ? 1 : v == num_values - 1 ? v - 1 : v + 1 - 2 * (int32_t)rng_below(&search->rng, 2);
        set_value(search, row, p, (uint16_t)v);
        return;
    }
}

int32_t move_from(struct search *search, int32_t config, int32_t workload, int32_t num_changes, enum move_step step)
{
    uint16_t base[SEARCH_MAX_PARAMS], row[SEARCH_MAX_PARAMS];
    size_t bytes = (size_t)search->pool.num_params * sizeof *base;
    memcpy(base, pool_row(&search->pool, config), bytes); /* the pool's array may move */
    for (int32_t i = 0; i < MOVE_TRIES; i++) {
        memcpy(row, base, bytes);
        for (int32_t c = 0; c < num_changes; c++)
            change_one(search, row, step);
        int32_t found = pool_find_row(&search->pool, row);
        if (found != config && is_feasible(&search->pool, found, workload))
            return found;
    }
    return -1;
}

/* Gives child the parameters of a feasible row, one by one, until it is feasible itself. */
static int32_t correct(struct search *search, uint16_t *child, const uint16_t *parent, int32_t workload)
{
    int32_t order[SEARCH_MAX_PARAMS], num_params = search->pool.num_params;
    for (int32_t p = 0; p < num_params; p++) {
        int32_t other = (int32_t)rng_below(&search->rng, (uint64_t)p + 1);
        order[p] = order[other];
        order[other] = p;
    }
    for (int32_t i = 0; i <= num_params; i++) {
        uint16_t row[SEARCH_MAX_PARAMS];
        memcpy(row, child, (size_t)num_params * sizeof *row);
        int32_t found = pool_find_row(&search->pool, row);
        if (is_feasible(&search->pool, found, workload))
            return found;
        if (i < num_params)
            child[order[i]] = parent[order[i]];
    }
    return -1;
}

int32_t move_cross(struct search *search, int32_t first, int32_t second, int32_t workload, int32_t mutation)
{
    const struct pool *pool = &search->pool;
    uint16_t a[SEARCH_MAX_PARAMS], b[SEARCH_MAX_PARAMS], child[SEARCH_MAX_PARAMS];
    size_t bytes = (size_t)pool->num_params * sizeof *a;
    memcpy(a, pool_row(pool, first), bytes);
    memcpy(b, pool_row(pool, second), bytes);
    for (int32_t p = 0; p < pool->num_params; p++) {
        child[p] = rng_below(&search->rng, 2) ? a[p] : b[p];
        if (mutation > 0 && rng_below(&search->rng, (uint64_t)mutation) == 0)
            child[p] = (uint16_t)rng_below(&search->rng, (uint64_t)pool->params[p].num_values);
    }
    int32_t found = correct(search, child, a, workload);
    return found == first || found == second ? -1 : found;
}

bool move_accepted(struct search *search, double current, double next, double temperature)
{
    if (current == 0 || (next > 0 && next <= current))
        return true;
    double power = next > 0 ? (next - current) / current / temperature * LOG2_E : 64;
    return power < 64 && rng_double(&search->rng) < exp2_fixed(-(int32_t)(power * LOG_ONE));
}
