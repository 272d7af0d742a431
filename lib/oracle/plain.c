/* SPDX-License-Identifier: Apache-2.0
 *
 * What a competent plain kernel does, in fp32 throughout, in any of the orders of order.h. No compiler may fuse a
 * product and a sum here (this folder is compiled with -ffp-contract=off): an order's fused sums are taken in fp64,
 * where the product is exact, and rounded to fp32. The errors are the yardstick of the numerics contract. */
#include "evaluate.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/base.h"

#define LOG2_E 1.44269504f
#define LN_2 0.693147181f

static float round_to(attune_dtype dtype, float value)
{
    switch (dtype) {
    case ATTUNE_FP16:
        return half_to_float(float_to_half(value));
    case ATTUNE_BF16:
        return bf16_to_float(float_to_bf16(value));
    case ATTUNE_FP32:
        break;
    }
    return value;
}

/* Q, and P before P.V, are rounded to it; FP32: they are not. */
static attune_dtype product_dtype(const attune_attention_desc *desc)
{
    return desc->precision == ATTUNE_FAST ? desc->kv_dtype : ATTUNE_FP32;
}

/* ---- logits */

/* What stands between dot products and exponentials. */
struct units {
    float query;  /* factor of the query */
    float dot;    /* of a dot product: makes the stored logit */
    float logit;  /* of a stored logit: makes the natural one, unless logits_base_2 */
    float weight; /* of a difference of stored logits: the argument of the exponential */
    bool base_2;  /* which is of base 2 */
    bool logits_base_2;
    enum order_exp exp;
};

static struct units units_of(const struct oracle_row *row, const struct order *order)
{
    float scale = (float)row->scale;
    struct units units = {1.0f,  scale,     1.0f, 1.0f, order->exp == EXP_2 || order->exp == EXP_POLYNOMIAL,
                          false, order->exp};
    enum order_scale where = row->desc->softcap > 0.0f ? SCALE_DOT : order->scale;
    if (where == SCALE_QUERY) {
        units.query = scale;
        units.dot = 1.0f;
    } else if (where == SCALE_DIFFERENCE) {
        units.query = scale < 0.0f ? -1.0f : 1.0f;
        units.dot = 1.0f;
        units.logit = units.weight = fabsf(scale);
    } else if (where == SCALE_BASE_2) {
        units.dot = scale * LOG2_E;
        units.base_2 = units.logits_base_2 = true;
    }
    if (units.base_2 && !units.logits_base_2)
        units.weight *= LOG2_E;
    return units;
}

/* 2^x for x <= 0: Taylor's polynomial of e^(x ln 2) about the nearest integer. */
static float exp2_polynomial(float x)
{
    if (!(x >= -126.0f))
        return x != x ? x : 0.0f;
    float whole = (x + 12582912.0f) - 12582912.0f; /* 1.5 * 2^23: the sum has no fraction */
    float t = (x - whole) * LN_2;
    float p = 1.0f + t * (1.0f / 6);
    p = 1.0f + t * (1.0f / 5) * p;
    p = 1.0f + t * (1.0f / 4) * p;
    p = 1.0f + t * (1.0f / 3) * p;
    p = 1.0f + t * (1.0f / 2) * p;
    p = 1.0f + t * p;
    uint32_t power = (uint32_t)((int32_t)whole + 127) << 23;
    float factor;
    memcpy(&factor, &power, sizeof factor);
    return p * factor;
}

/* Moves a value up to 2 units in its last place, by how much depends on the argument alone. */
static float roughen(float value, float argument)
{
    uint32_t bits;
    memcpy(&bits, &argument, sizeof bits);
    float units = (float)((bits * UINT32_C(2654435761) >> 16) % 5) - 2.0f;
    return value + value * units * 0x1p-23f;
}

static float weight_of(const struct units *units, float difference)
{
    float x = difference * units->weight;
    if (units->exp == EXP_POLYNOMIAL)
        return exp2_polynomial(x);
    float value = units->base_2 ? exp2f(x) : expf(x);
    return units->exp == EXP_ROUGH && x < 0.0f ? roughen(value, x) : value;
}

static void add_products(float *restrict sums, float factor, const float *restrict values, int32_t count, bool fused)
{
    if (fused)
        for (int32_t i = 0; i < count; i++)
            sums[i] = (float)((double)factor * (double)values[i] + (double)sums[i]);
    else
        for (int32_t i = 0; i < count; i++)
            sums[i] += factor * values[i];
}

/* Adds the lanes of sums[lanes, count] into the first: the upper half to the lower, until one is left. */
static void add_lanes(float *sums, int32_t lanes, int32_t count)
{
    for (int32_t half = lanes / 2; half > 0; half /= 2)
        for (int32_t i = 0; i < half * count; i++)
            sums[i] += sums[half * count + i];
}

static void make_logits(const struct oracle_row *row, const struct order *order, const struct units *units,
                        const struct plain_room *room)
{
    for (int32_t d = 0; d < row->head_dim_qk; d++)
        room->query[d] = units->query * round_to(product_dtype(row->desc), row->q[d]);
    float *dots = room->dots, cap = row->desc->softcap;
    for (int64_t start = row->first_key / KEY_BLOCK * KEY_BLOCK; start < row->end_key; start += KEY_BLOCK) {
        const float *keys = row->keys + start * row->head_dim_qk;
        memset(dots, 0, (size_t)order->dim_lanes * KEY_BLOCK * sizeof *dots);
        for (int32_t i = 0; i < row->head_dim_qk; i++) {
            int32_t d = order->dims[i];
            add_products(dots + i / order->dim_width % order->dim_lanes * KEY_BLOCK, room->query[d],
                         keys + d * KEY_BLOCK, KEY_BLOCK, order->fused);
        }
        add_lanes(dots, order->dim_lanes, KEY_BLOCK);
        int64_t first = row->first_key > start ? row->first_key : start;
        for (int64_t j = first; j < row->end_key && j < start + KEY_BLOCK; j++) {
            float logit = units->dot * dots[j - start];
            room->logits[j] = cap > 0.0f ? cap * tanhf(logit / cap) : logit;
        }
    }
}

/* ---- sums over keys */

/* Keys first, first + step, ..: count of them. step may be negative. */
struct keys {
    int64_t first, step, count;
};

/* A part's maximum, denominator and sums of values, which lie in room->sums. */
struct part {
    float top, sum;
};

static struct keys keys_of_part(const struct oracle_row *row, const struct order *order, int32_t part, int32_t parts)
{
    int64_t count = row->end_key - row->first_key;
    int64_t begin = order->strided ? part : count * part / parts, step = order->strided ? parts : 1;
    int64_t end = order->strided ? count : count * (part + 1) / parts;
    struct keys keys = {row->first_key + begin, step, (end - begin + step - 1) / step};
    if (order->reversed) {
        keys.first += (keys.count - 1) * step;
        keys.step = -step;
    }
    return keys;
}

static float rise_to(struct part *part, float top, const struct units *units)
{
    float factor = part->top > -INFINITY ? weight_of(units, part->top - top) : 1.0f;
    part->top = top;
    return factor;
}

static struct part sum_keys(const struct oracle_row *row, const struct order *order, const struct units *units,
                            const struct plain_room *room, struct keys keys)
{
    int32_t lanes = order->key_lanes, dim = row->head_dim_vo;
    float lane_sum[ORDER_MAX_KEY_LANES] = {0.0f};
    struct part part = {-INFINITY, 0.0f};
    attune_dtype dtype = product_dtype(row->desc);
    int64_t block = order->key_block ? order->key_block : keys.count;
    memset(room->sums, 0, (size_t)(lanes * dim) * sizeof *room->sums);
    for (int64_t begin = 0; begin < keys.count; begin += block) {
        int64_t end = begin + block < keys.count ? begin + block : keys.count;
        float top = part.top;
        for (int64_t i = begin; i < end; i++) {
            float logit = room->logits[keys.first + i * keys.step];
            top = logit > top ? logit : top;
        }
        if (top > part.top) {
            float factor = rise_to(&part, top, units);
            for (int32_t i = 0; i < lanes * dim; i++)
                room->sums[i] *= factor;
            for (int32_t i = 0; i < lanes; i++)
                lane_sum[i] *= factor;
        }
        for (int64_t i = begin; i < end; i++) {
            int64_t j = keys.first + i * keys.step;
            float p = weight_of(units, room->logits[j] - top);
            lane_sum[i % lanes] += p; /* not the rounded one: the denominator is no input of a product */
            add_products(room->sums + i % lanes * dim, round_to(dtype, p), row->values[j], dim, order->fused);
        }
    }
    add_lanes(lane_sum, lanes, 1);
    add_lanes(room->sums, lanes, dim);
    part.sum = lane_sum[0];
    return part;
}

/* As the natural logarithm of a sum of exponentials. */
static float lse_of(const struct units *units, const struct part *part)
{
    if (units->logits_base_2)
        return (part->top + log2f(part->sum)) * LN_2;
    return part->top * units->logit + logf(part->sum);
}

static void divide(float *o, int32_t dim, float by, bool reciprocal)
{
    float inverse = 1.0f / by;
    for (int32_t d = 0; d < dim; d++)
        o[d] = reciprocal ? o[d] * inverse : o[d] / by;
}

/* Adds a part's sums to the row's, in o: both are brought to the higher of their maxima. */
static void merge(struct part *row, const struct part *part, const struct units *units, const float *sums, float *o,
                  int32_t dim)
{
    float own = 1.0f, other = 1.0f;
    if (part->top > row->top)
        own = rise_to(row, part->top, units);
    else
        other = weight_of(units, part->top - row->top);
    row->sum = row->sum * own + part->sum * other;
    for (int32_t d = 0; d < dim; d++)
        o[d] = o[d] * own + sums[d] * other;
}

float row_plain(const struct oracle_row *row, const struct order *order, const struct plain_room *room, float *o)
{
    for (int32_t d = 0; d < row->head_dim_vo; d++)
        o[d] = 0.0f;
    int64_t count = row->end_key - row->first_key;
    if (count == 0)
        return -INFINITY;
    struct units units = units_of(row, order);
    const struct units natural = {
        1.0f, 1.0f, 1.0f, 1.0f, false, false, order->exp == EXP_ROUGH ? EXP_ROUGH : EXP_LIBRARY};
    make_logits(row, order, &units, room);
    int32_t parts = count < order->splits ? (int32_t)count : order->splits;
    bool normalised = order->normalised && parts > 1;
    struct part whole = {-INFINITY, 0.0f};
    for (int32_t s = 0; s < parts; s++) {
        struct part part = sum_keys(row, order, &units, room, keys_of_part(row, order, s, parts));
        if (normalised) {
            divide(room->sums, row->head_dim_vo, part.sum, order->reciprocal);
            part = (struct part){lse_of(&units, &part), 1.0f};
        }
        merge(&whole, &part, normalised ? &natural : &units, room->sums, o, row->head_dim_vo);
    }
    divide(o, row->head_dim_vo, whole.sum, order->reciprocal);
    for (int32_t d = 0; d < row->head_dim_vo; d++)
        o[d] = round_to(row->desc->o_dtype, o[d]);
    return lse_of(normalised ? &natural : &units, &whole);
}

/* ---- all rows */

attune_status plain_room_create(const struct oracle_input *input, struct plain_room *out)
{
    size_t dim_qk = (size_t)input->desc->head_dim_qk, dim_vo = (size_t)oracle_head_dim_vo(input->desc);
    size_t longest = (size_t)oracle_max_kv_len(input);
    *out = (struct plain_room){calloc(longest + 1, sizeof(float)), calloc(dim_qk, sizeof(float)),
                               calloc(ORDER_MAX_DIM_LANES * KEY_BLOCK, sizeof(float)),
                               calloc(ORDER_MAX_KEY_LANES * dim_vo, sizeof(float))};
    if (out->logits && out->query && out->dots && out->sums)
        return ATTUNE_OK;
    plain_room_free(out);
    return set_error(ATTUNE_ERROR_OUT_OF_MEMORY, "oracle: no memory for %zu logits", longest);
}

void plain_room_free(struct plain_room *room)
{
    free(room->logits);
    free(room->query);
    free(room->dots);
    free(room->sums);
    *room = (struct plain_room){NULL, NULL, NULL, NULL};
}

struct plain_state {
    struct orders orders;
    struct plain_room room;
    float *o, *lse;
};

static void keep_row(const struct oracle_row *row, void *priv)
{
    struct plain_state *state = priv;
    float *o = state->o + row->index * row->head_dim_vo;
    state->lse[row->index] = row_plain(row, &state->orders.order[0], &state->room, o);
}

attune_status oracle_attention_plain(const struct oracle_input *input, float *o, float *lse)
{
    struct plain_state state = {.o = o, .lse = lse};
    attune_status status = orders_create(1, input->desc->head_dim_qk, &state.orders);
    if (status == ATTUNE_OK)
        status = plain_room_create(input, &state.room);
    if (status == ATTUNE_OK)
        status = oracle_for_each_row(input, NULL, keep_row, &state);
    plain_room_free(&state.room);
    orders_free(&state.orders);
    return status;
}
