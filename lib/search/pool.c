/* SPDX-License-Identifier: Apache-2.0 */
#include "pool.h"

#include <stdlib.h>
#include <string.h>

#define COMBINATIONS_MAX 1e300
#define SAMPLE_TRIES (1 << 18)

static bool copy_params(struct pool *pool, const struct search_space *space)
{
    size_t total = 0, n = (size_t)space->num_params;
    for (size_t p = 0; p < n; p++)
        total += (size_t)space->params[p].num_values;
    pool->params = malloc((n + 1) * sizeof *pool->params);
    pool->values = malloc((total + 1) * sizeof *pool->values);
    pool->combinations = malloc((n + 1) * sizeof *pool->combinations);
    pool->has_children = calloc(n + 1, sizeof *pool->has_children);
    if (!pool->params || !pool->values || !pool->combinations || !pool->has_children)
        return false;
    int32_t *values = pool->values;
    for (size_t p = 0; p < n; p++) {
        pool->params[p] = space->params[p];
        pool->params[p].name = NULL;
        pool->params[p].values = values;
        memcpy(values, space->params[p].values, (size_t)space->params[p].num_values * sizeof *values);
        values += space->params[p].num_values;
        if (space->params[p].parent >= 0)
            pool->has_children[space->params[p].parent] = true;
    }
    return true;
}

static double capped_product(double a, double b)
{
    return a * b < COMBINATIONS_MAX ? a * b : COMBINATIONS_MAX;
}

/* Combinations of what stands below params[p] while it has its value number v. */
static double combinations_below(const struct pool *pool, int32_t p, int32_t v)
{
    double product = 1;
    for (int32_t c = p + 1; c < pool->num_params; c++)
        if (pool->params[c].parent == p && pool->params[c].parent_value == pool->params[p].values[v])
            product = capped_product(product, pool->combinations[c]);
    return product;
}

static double count_combinations(struct pool *pool)
{
    double total = 1;
    for (int32_t p = pool->num_params - 1; p >= 0; p--) {
        pool->combinations[p] = pool->params[p].num_values;
        if (pool->has_children[p]) {
            pool->combinations[p] = 0;
            for (int32_t v = 0; v < pool->params[p].num_values; v++)
                pool->combinations[p] += combinations_below(pool, p, v);
        }
        if (pool->params[p].parent < 0)
            total = capped_product(total, pool->combinations[p]);
    }
    return total;
}

const uint16_t *pool_row(const struct pool *pool, int32_t config)
{
    return pool->rows + (size_t)config * (size_t)pool->num_params;
}

bool pool_active(const struct pool *pool, const uint16_t *row, int32_t param)
{
    for (int32_t parent; (parent = pool->params[param].parent) >= 0; param = parent)
        if (pool->params[parent].values[row[parent]] != pool->params[param].parent_value)
            return false;
    return true;
}

static void row_values(const struct pool *pool, const uint16_t *row, int32_t *values)
{
    for (int32_t p = 0; p < pool->num_params; p++)
        values[p] = pool->params[p].values[row[p]];
}

void pool_values(const struct pool *pool, int32_t config, int32_t *values)
{
    row_values(pool, pool_row(pool, config), values);
}

static uint64_t feasible_mask(const struct pool *pool, const uint16_t *row)
{
    int32_t values[SEARCH_MAX_PARAMS];
    row_values(pool, row, values);
    uint64_t mask = 0;
    for (int32_t w = 0; w < pool->num_workloads; w++)
        if (!pool->feasible_fn || pool->feasible_fn(pool->priv, w, values))
            mask |= UINT64_C(1) << w;
    return mask;
}

/* Slot that holds the row, or the free one where it belongs. */
static size_t table_slot(const struct pool *pool, const uint16_t *row)
{
    uint64_t hash = 0;
    for (int32_t p = 0; p < pool->num_params; p++)
        hash = (hash ^ row[p]) * UINT64_C(0x9e3779b97f4a7c15) + (hash >> 29);
    size_t slot = (size_t)(hash ^ (hash >> 32)) & (pool->table_size - 1);
    size_t bytes = (size_t)pool->num_params * sizeof *row;
    while (pool->table[slot] && memcmp(pool_row(pool, pool->table[slot] - 1), row, bytes) != 0)
        slot = (slot + 1) & (pool->table_size - 1);
    return slot;
}

static bool grow(void **array, size_t count, size_t size)
{
    void *bigger = realloc(*array, count * size);
    if (bigger)
        *array = bigger;
    return bigger != NULL;
}

/* At most 3/4 of the table is taken. */
static size_t table_size_for(size_t capacity)
{
    size_t size = POOL_BLOCK;
    while (size * 3 / 4 < capacity)
        size *= 2;
    return size;
}

/* Configurations that fit POOL_MAX_BYTES: rows, masks and at most 12 bytes of the table each. */
static int32_t limit_for(int32_t num_params)
{
    int32_t bytes = num_params * (int32_t)sizeof(uint16_t) + 2 * (int32_t)sizeof(uint64_t) + 12;
    return POOL_MAX_BYTES / bytes / POOL_BLOCK * POOL_BLOCK;
}

static bool reserve_one(struct pool *pool)
{
    if (pool->count < pool->capacity)
        return true;
    if (pool->capacity >= pool->limit)
        return false;
    size_t old = (size_t)pool->capacity, capacity = old ? old * 2 : POOL_BLOCK;
    capacity = capacity < (size_t)pool->limit ? capacity : (size_t)pool->limit;
    size_t table_size = table_size_for(capacity), num_workloads = (size_t)pool->num_workloads;
    size_t old_blocks = old / POOL_BLOCK * num_workloads, blocks = capacity / POOL_BLOCK * num_workloads;
    int32_t *table = calloc(table_size, sizeof *table);
    if (!table || !grow((void **)&pool->rows, capacity * (size_t)pool->num_params, sizeof *pool->rows) ||
        !grow((void **)&pool->feasible, capacity, sizeof *pool->feasible) ||
        !grow((void **)&pool->told, capacity, sizeof *pool->told) ||
        !grow((void **)&pool->open_in_block, blocks, sizeof *pool->open_in_block)) {
        free(table);
        return false;
    }
    memset(pool->open_in_block + old_blocks, 0, (blocks - old_blocks) * sizeof *pool->open_in_block);
    free(pool->table);
    pool->table = table;
    pool->table_size = table_size;
    pool->capacity = (int32_t)capacity;
    for (int32_t i = 0; i < pool->count; i++)
        table[table_slot(pool, pool_row(pool, i))] = i + 1;
    return true;
}

/* Counts of the configuration's block. */
static uint16_t *open_near(const struct pool *pool, int32_t config)
{
    return pool->open_in_block + (size_t)(config / POOL_BLOCK) * (size_t)pool->num_workloads;
}

/* Adds a row that is not in the pool. */
static int32_t add(struct pool *pool, const uint16_t *row)
{
    uint64_t mask = feasible_mask(pool, row);
    if (!mask || !reserve_one(pool))
        return -1;
    int32_t config = pool->count++;
    memcpy(pool->rows + (size_t)config * (size_t)pool->num_params, row, (size_t)pool->num_params * sizeof *row);
    pool->feasible[config] = mask;
    pool->told[config] = 0;
    uint16_t *open = open_near(pool, config);
    for (int32_t w = 0; w < pool->num_workloads; w++) {
        pool->remaining[w] += mask >> w & 1;
        open[w] += mask >> w & 1;
    }
    pool->table[table_slot(pool, row)] = config + 1;
    return config;
}

int32_t pool_find(struct pool *pool, const uint16_t *row)
{
    if (pool->table_size) {
        int32_t found = pool->table[table_slot(pool, row)];
        if (found)
            return found - 1;
    }
    return pool->complete ? -1 : add(pool, row);
}

int32_t pool_find_values(struct pool *pool, const int32_t *values)
{
    uint16_t row[SEARCH_MAX_PARAMS] = {0};
    for (int32_t p = 0; p < pool->num_params; p++) {
        const struct search_param *param = &pool->params[p];
        if (!pool_active(pool, row, p))
            continue;
        int32_t v = 0;
        while (v < param->num_values && param->values[v] != values[p])
            v++;
        if (v == param->num_values)
            return -1;
        row[p] = (uint16_t)v;
    }
    return pool_find(pool, row);
}

int32_t pool_differing(const struct pool *pool, int32_t a, int32_t b)
{
    const uint16_t *x = pool_row(pool, a), *y = pool_row(pool, b);
    int32_t differing = 0;
    for (int32_t p = 0; p < pool->num_params; p++)
        differing += x[p] != y[p];
    return differing;
}

bool pool_open(const struct pool *pool, int32_t config, int32_t workload)
{
    return (pool->feasible[config] & ~pool->told[config]) >> workload & 1;
}

void pool_mark_told(struct pool *pool, int32_t config, int32_t workload)
{
    if (pool_open(pool, config, workload)) {
        pool->told[config] |= UINT64_C(1) << workload;
        pool->remaining[workload]--;
        open_near(pool, config)[workload]--;
    }
}

void pool_set_aside(struct pool *pool, int32_t config, int32_t workload)
{
    pool_mark_told(pool, config, workload);
    pool->feasible[config] &= ~(UINT64_C(1) << workload);
}

/* Uniform over the canonical combinations. */
static void draw_row(const struct pool *pool, struct rng *rng, uint16_t *row)
{
    memset(row, 0, (size_t)pool->num_params * sizeof *row);
    for (int32_t p = 0; p < pool->num_params; p++) {
        int32_t num_values = pool->params[p].num_values, v = 0;
        if (!pool_active(pool, row, p))
            continue;
        if (!pool->has_children[p]) {
            row[p] = (uint16_t)rng_below(rng, (uint64_t)num_values);
            continue;
        }
        double left = rng_double(rng) * pool->combinations[p];
        while (v + 1 < num_values && (left -= combinations_below(pool, p, v)) >= 0)
            v++;
        row[p] = (uint16_t)v;
    }
}

static void draw_sample(struct pool *pool, struct rng *rng)
{
    int32_t target = pool->count + POOL_SAMPLE;
    uint16_t row[SEARCH_MAX_PARAMS];
    for (int32_t i = 0; i < SAMPLE_TRIES && pool->count < target; i++) {
        draw_row(pool, rng, row);
        pool_find(pool, row);
    }
}

/* The next canonical combination, the last parameter changing fastest; false after the last one. */
static bool next_row(const struct pool *pool, uint16_t *row)
{
    for (int32_t p = pool->num_params - 1; p >= 0; p--) {
        if (row[p] + 1 < pool->params[p].num_values && pool_active(pool, row, p)) {
            row[p]++;
            return true;
        }
        row[p] = 0;
    }
    return false;
}

/* Goes on with the systematic pass, until a configuration is found that was not in the pool or to the end. False when
 * there is no room. */
static bool scan(struct pool *pool, bool all)
{
    bool more = true;
    while (more && !pool->complete) {
        int32_t count = pool->count;
        if (!reserve_one(pool))
            return false;
        pool_find(pool, pool->cursor);
        pool->complete = !next_row(pool, pool->cursor);
        more = all || pool->count == count;
    }
    return true;
}

/* Empties a pool that turned out too large to be listed. */
static void clear(struct pool *pool)
{
    pool->count = 0;
    memset(pool->table, 0, pool->table_size * sizeof *pool->table);
    memset(pool->open_in_block, 0,
           (size_t)(pool->capacity / POOL_BLOCK * pool->num_workloads) * sizeof *pool->open_in_block);
    memset(pool->remaining, 0, sizeof pool->remaining);
    memset(pool->cursor, 0, sizeof pool->cursor);
}

bool pool_extend(struct pool *pool, struct rng *rng)
{
    int32_t count = pool->count;
    if (count == pool->limit && pool->limit <= INT32_MAX - POOL_SAMPLE)
        pool->limit += POOL_SAMPLE; /* all that it holds was told */
    if (!pool->complete)
        draw_sample(pool, rng);
    return pool->count > count || (scan(pool, false) && pool->count > count);
}

bool pool_create(struct pool *pool, const struct search_space *space, int32_t num_workloads, struct rng *rng)
{
    *pool = (struct pool){.num_params = space->num_params, .num_workloads = num_workloads};
    pool->feasible_fn = space->feasible;
    pool->priv = space->priv;
    pool->limit = limit_for(space->num_params);
    if (!copy_params(pool, space) || !reserve_one(pool))
        return false;
    if (count_combinations(pool) <= POOL_ENUMERATE_MAX) {
        if (scan(pool, true))
            return true;
        if (pool->count < pool->limit)
            return false; /* out of memory */
        clear(pool);
    }
    draw_sample(pool, rng);
    return true;
}

void pool_destroy(struct pool *pool)
{
    free(pool->params);
    free(pool->values);
    free(pool->combinations);
    free(pool->has_children);
    free(pool->rows);
    free(pool->feasible);
    free(pool->told);
    free(pool->open_in_block);
    free(pool->table);
}

static void make_canonical(const struct pool *pool, uint16_t *row)
{
    for (int32_t p = 0; p < pool->num_params; p++)
        if (!pool_active(pool, row, p))
            row[p] = 0;
}

int32_t pool_neighbours(struct pool *pool, int32_t config, int32_t workload, int32_t *out, int32_t max)
{
    uint16_t base[SEARCH_MAX_PARAMS], row[SEARCH_MAX_PARAMS];
    size_t bytes = (size_t)pool->num_params * sizeof *base;
    memcpy(base, pool_row(pool, config), bytes); /* the pool's array may move */
    int32_t count = 0;
    for (int32_t p = 0; p < pool->num_params; p++) {
        if (!pool_active(pool, base, p))
            continue;
        int32_t last = pool->params[p].num_values - 1;
        int32_t from = base[p] > POOL_NEIGHBOUR_STEPS ? base[p] - POOL_NEIGHBOUR_STEPS : 0;
        int32_t to = base[p] + POOL_NEIGHBOUR_STEPS < last ? base[p] + POOL_NEIGHBOUR_STEPS : last;
        for (int32_t v = from; v <= to && count < max; v++) {
            if (v == base[p])
                continue;
            memcpy(row, base, bytes);
            row[p] = (uint16_t)v;
            make_canonical(pool, row);
            int32_t neighbour = pool_find(pool, row);
            if (neighbour >= 0 && pool_open(pool, neighbour, workload))
                out[count++] = neighbour;
        }
    }
    return count;
}

int32_t pool_nth_open(const struct pool *pool, int32_t workload, int64_t k)
{
    int32_t first = 0;
    for (; first < pool->count && k >= open_near(pool, first)[workload]; first += POOL_BLOCK)
        k -= open_near(pool, first)[workload];
    for (int32_t i = first; i < pool->count; i++)
        if (pool_open(pool, i, workload) && k-- == 0)
            return i;
    return -1;
}

int32_t pool_find_row(struct pool *pool, uint16_t *row)
{
    make_canonical(pool, row);
    return pool_find(pool, row);
}
