/* SPDX-License-Identifier: Apache-2.0
 * The configurations of a space: counting, choosing, growing, and its bounds. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include "search/pool.h"

#define SEED 3
#define NUM_WORKLOADS 3

static const int32_t numbers[] = {0, 1, 2, 3, 4, 5, 6, 7};

static int32_t sum_of(const int32_t *values, int32_t count)
{
    int32_t sum = 0;
    for (int32_t i = 0; i < count; i++)
        sum += values[i];
    return sum;
}

/* Another third of the sums for each workload, and none of those above 24. */
static bool thirds(void *priv, int32_t workload, const int32_t *values)
{
    int32_t sum = sum_of(values, *(const int32_t *)priv);
    return sum % NUM_WORKLOADS == workload && sum <= 24;
}

static void create(struct pool *pool, struct search_param *params, int32_t num_params, int32_t num_values,
                   search_feasible feasible, int32_t num_workloads, struct rng *rng)
{
    static int32_t count;
    count = num_params;
    for (int32_t p = 0; p < num_params; p++)
        params[p] = (struct search_param){"P", numbers, num_values, -1, 0};
    const struct search_space space = {num_params, params, feasible, &count};
    rng_seed(rng, SEED);
    assert_true(pool_create(pool, &space, num_workloads, rng));
}

/* What a pass over all rows says, after some were told: counts and the k-th open one. */
static void open_pairs_are_counted(void **state)
{
    (void)state;
    struct search_param params[5];
    struct pool pool;
    struct rng rng;
    create(&pool, params, 5, 8, thirds, NUM_WORKLOADS, &rng);
    assert_true(pool.complete && pool.count > 8 * POOL_BLOCK && pool.count < 32768);
    for (int round = 0; round < 40; round++) {
        int32_t workload = (int32_t)rng_below(&rng, NUM_WORKLOADS), k = 0;
        for (int32_t i = 0; i < 300; i++) { /* also pairs that are not feasible, or told */
            int32_t config = (int32_t)rng_below(&rng, 2000) + round % 8 * POOL_BLOCK;
            pool_mark_told(&pool, config, workload);
            assert_false(pool_open(&pool, config, workload));
        }
        for (int32_t i = 0; i < pool.count; i++)
            if (pool_open(&pool, i, workload)) {
                if (k % 97 == 0)
                    assert_int_equal(pool_nth_open(&pool, workload, k), i);
                k++;
            }
        assert_int_equal(pool.remaining[workload], k);
        assert_int_equal(pool_nth_open(&pool, workload, k), -1);
    }
    pool_destroy(&pool);
}

static size_t bytes_of(const struct pool *pool)
{
    size_t row = (size_t)pool->num_params * sizeof *pool->rows + sizeof *pool->feasible + sizeof *pool->told;
    return (size_t)pool->capacity * row + pool->table_size * sizeof *pool->table;
}

/* 2^20 combinations are listed where they fit, and sampled where they do not. */
static void listing_keeps_within_its_memory(void **state)
{
    (void)state;
    struct search_param params[SEARCH_MAX_PARAMS];
    struct pool pool;
    struct rng rng;
    create(&pool, params, 5, 8, NULL, 1, &rng);
    assert_true(pool.complete && pool.count == 32768);
    pool_destroy(&pool);

    create(&pool, params, 20, 2, NULL, 1, &rng); /* 59 MB of rows and masks */
    assert_true(!pool.complete && pool.count == POOL_SAMPLE && pool.remaining[0] == POOL_SAMPLE);
    assert_true(bytes_of(&pool) <= POOL_MAX_BYTES);
    int64_t ones = 0;
    for (int32_t i = 0; i < pool.count; i++) {
        int32_t values[SEARCH_MAX_PARAMS];
        pool_values(&pool, i, values);
        ones += sum_of(values, 20);
        assert_int_equal(pool_find(&pool, pool_row(&pool, i)), i);
    }
    int64_t half = 10 * (int64_t)POOL_SAMPLE; /* a sample of all of it, not its beginning: 5 standard deviations */
    if (ones < half - 1500 || ones > half + 1500)
        fail_msg("%lld of the sample's %lld values are 1 (seed %d)", (long long)ones, 2 * (long long)half, SEED);
    pool_destroy(&pool);
}

static void neighbours_do_not_outgrow_the_limit(void **state)
{
    (void)state;
    struct search_param params[12];
    struct pool pool;
    struct rng rng;
    int32_t near[256];
    create(&pool, params, 12, 8, NULL, 1, &rng);
    assert_true(!pool.complete && pool.count == POOL_SAMPLE);
    int32_t before = pool.count, count = pool_neighbours(&pool, 0, 0, near, 256);
    assert_int_equal(count, 12 * 7);
    assert_true(pool.count > before && pool.count <= before + count);
    pool.limit = pool.capacity = pool.count / POOL_BLOCK * POOL_BLOCK + POOL_BLOCK;
    int32_t limit = pool.limit;
    for (int32_t i = 0; i < 1000; i++) {
        count = pool_neighbours(&pool, i, 0, near, 256);
        assert_true(count <= 12 * 7);
        for (int32_t n = 0; n < count; n++)
            assert_true(near[n] >= 0 && near[n] < pool.count);
    }
    assert_int_equal(pool.count, limit);
    assert_int_equal(pool_find(&pool, pool_row(&pool, 5)), 5);

    for (int32_t i = 0; i < pool.count; i++) /* whoever has told all that is there gets more */
        pool_mark_told(&pool, i, 0);
    assert_int_equal(pool.remaining[0], 0);
    assert_true(pool_extend(&pool, &rng));
    assert_true(pool.count > limit && pool.remaining[0] == pool.count - limit);
    pool_destroy(&pool);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(open_pairs_are_counted),
        cmocka_unit_test(listing_keeps_within_its_memory),
        cmocka_unit_test(neighbours_do_not_outgrow_the_limit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
