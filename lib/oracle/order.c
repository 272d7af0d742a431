/* SPDX-License-Identifier: Apache-2.0 */
#include "order.h"

#include <stdlib.h>

#include "base/base.h"

enum dims { NATURAL, BACKWARDS, SHUFFLED };

struct properties {
    enum dims dims;
    struct order order;
};

/* The orders that most rows are evaluated in: together they have each property's ends, and in combinations that kernels
 * have. The natural one is first. */
/* clang-format off */
static const struct properties table[] = {
    /*dims            lanes width fused scale         exp             splits strided norm.  rev.   block lanes reciprocal */
    {NATURAL,   {NULL, 1,  1,  false, SCALE_DOT,        EXP_LIBRARY,    1,  false, false, false, 0,   1,  false}},
    {NATURAL,   {NULL, 8,  1,  true,  SCALE_DIFFERENCE, EXP_ROUGH,      1,  false, false, false, 64,  2,  true}},
    {SHUFFLED,  {NULL, 1,  1,  false, SCALE_QUERY,      EXP_POLYNOMIAL, 4,  false, true,  false, 1,   1,  false}},
    {BACKWARDS, {NULL, 16, 4,  true,  SCALE_BASE_2,     EXP_LIBRARY,    2,  true,  false, false, 32,  1,  false}},
    {SHUFFLED,  {NULL, 4,  1,  false, SCALE_DOT,        EXP_ROUGH,      1,  false, false, true,  1,   1,  false}},
    {NATURAL,   {NULL, 32, 1,  false, SCALE_DIFFERENCE, EXP_POLYNOMIAL, 3,  false, true,  false, 0,   4,  true}},
    {SHUFFLED,  {NULL, 1,  1,  true,  SCALE_QUERY,      EXP_ROUGH,      2,  true,  false, true,  16,  1,  true}},
    {BACKWARDS, {NULL, 8,  1,  false, SCALE_BASE_2,     EXP_POLYNOMIAL, 1,  false, false, false, 0,   8,  false}},
    {SHUFFLED,  {NULL, 16, 1,  false, SCALE_DIFFERENCE, EXP_2,          8,  true,  false, false, 1,   1,  false}},
    {NATURAL,   {NULL, 4,  16, false, SCALE_DOT,        EXP_2,          1,  false, false, false, 0,   2,  false}},
    {SHUFFLED,  {NULL, 4,  2,  false, SCALE_QUERY,      EXP_ROUGH,      4,  true,  false, false, 0,   1,  true}},
    {SHUFFLED,  {NULL, 1,  1,  false, SCALE_BASE_2,     EXP_ROUGH,      2,  false, true,  true,  8,   1,  false}},
    {SHUFFLED,  {NULL, 2,  1,  false, SCALE_DIFFERENCE, EXP_ROUGH,      24, false, true,  false, 0,   1,  false}},
    {NATURAL,   {NULL, 1,  1,  true,  SCALE_DOT,        EXP_LIBRARY,    16, true,  false, false, 8,   1,  false}},
    {BACKWARDS, {NULL, 8,  8,  false, SCALE_QUERY,      EXP_POLYNOMIAL, 64, false, true,  true,  32,  4,  true}},
    {SHUFFLED,  {NULL, 16, 4,  false, SCALE_BASE_2,     EXP_LIBRARY,    1,  false, false, true,  16,  4,  false}},
};
/* clang-format on */
#define TABLE_ORDERS (int32_t)(sizeof table / sizeof table[0])

static void shuffle(int32_t *values, int32_t count, uint64_t seed)
{
    struct rng rng;
    rng_seed(&rng, seed);
    for (int32_t i = count - 1; i > 0; i--) {
        int32_t other = (int32_t)rng_below(&rng, (uint64_t)i + 1), value = values[i];
        values[i] = values[other];
        values[other] = value;
    }
}

#define DRAW(rng, list) (list)[rng_below(rng, sizeof(list) / sizeof(list)[0])]

/* Each property on its own. Dims in order, every second time: all arrangements of sums by turns. */
static struct properties draw_properties(int32_t n)
{
    static const int32_t dim_lanes[] = {1, 2, 4, 8, 16, 32, 64}, dim_width[] = {1, 2, 4, 8},
                         splits[] = {1, 1, 1, 2, 3, 4, 8, 20, 64}, key_block[] = {0, 0, 1, 2, 8, 16, 32, 64, 128},
                         key_lanes[] = {1, 1, 2, 4, 8};
    static const enum order_scale scale[] = {SCALE_DOT, SCALE_DIFFERENCE, SCALE_QUERY, SCALE_BASE_2};
    static const enum order_exp exp[] = {EXP_LIBRARY, EXP_POLYNOMIAL, EXP_2, EXP_ROUGH, EXP_ROUGH};
    struct rng rng;
    rng_seed(&rng, (uint64_t)n);
    int32_t turn = (n - TABLE_ORDERS) / 2;
    struct properties out = {.dims = n % 2 ? SHUFFLED : NATURAL};
    struct order *order = &out.order;
    order->dim_lanes = dim_lanes[turn % 7];
    order->dim_width = dim_width[turn / 7 % 4];
    order->fused = turn / 28 % 2 == 0;
    order->scale = DRAW(&rng, scale);
    order->exp = DRAW(&rng, exp);
    order->splits = DRAW(&rng, splits);
    order->strided = rng_below(&rng, 2);
    order->normalised = !order->strided;
    order->reversed = rng_below(&rng, 2);
    order->key_block = DRAW(&rng, key_block);
    order->key_lanes = DRAW(&rng, key_lanes);
    order->reciprocal = rng_below(&rng, 2);
    return out;
}

static void make_order(int32_t n, int32_t head_dim_qk, struct order *order)
{
    struct properties properties = n < TABLE_ORDERS ? table[n] : draw_properties(n);
    int32_t *dims = order->dims;
    *order = properties.order;
    order->dims = dims;
    for (int32_t i = 0; i < head_dim_qk; i++)
        dims[i] = properties.dims == BACKWARDS ? head_dim_qk - 1 - i : i;
    if (properties.dims == SHUFFLED)
        shuffle(dims, head_dim_qk, (uint64_t)n);
}

attune_status orders_create(int32_t count, int32_t head_dim_qk, struct orders *out)
{
    *out = (struct orders){calloc((size_t)count, sizeof *out->order), 0};
    for (; out->order && out->count < count; out->count++) {
        struct order *order = &out->order[out->count];
        order->dims = malloc((size_t)head_dim_qk * sizeof *order->dims);
        if (!order->dims)
            break;
        make_order(out->count, head_dim_qk, order);
    }
    if (out->count == count)
        return ATTUNE_OK;
    orders_free(out);
    return set_error(ATTUNE_ERROR_OUT_OF_MEMORY, "oracle: no memory for %d orders", (int)count);
}

void orders_free(struct orders *orders)
{
    for (int32_t i = 0; i < orders->count; i++)
        free(orders->order[i].dims);
    free(orders->order);
    *orders = (struct orders){NULL, 0};
}
