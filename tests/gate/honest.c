/* SPDX-License-Identifier: Apache-2.0 */
#include "honest.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "desc.h"

#define MAX_LANES 64

static const float log2_e = 1.44269504f, ln_2 = 0.693147181f;

void honest_draw(struct rng *rng, const attune_attention_desc *desc, struct honest *out)
{
    bool fast = desc->precision == ATTUNE_FAST && desc->kv_dtype != ATTUNE_FP32;
    *out = (struct honest){
        .dot_lanes = 1 << rng_below(rng, 7),
        .dot_width = 1 << rng_below(rng, 3),
        .dot_tree = rng_below(rng, 2),
        .fma = rng_below(rng, 4) > 0,
        .scale_at = (int)rng_below(rng, 4),
        .exp = (int)rng_below(rng, 3),
        .block = rng_below(rng, 8) ? 1 << rng_below(rng, 9) : 1 << 30,
        .lanes = 1 << rng_below(rng, 5),
        .split = rng_below(rng, 2) ? (int)(1 + rng_below(rng, 300)) : 0,
        .strided = rng_below(rng, 2),
        .reciprocal = rng_below(rng, 2),
        .round_q = fast && rng_below(rng, 2),
        .round_p = fast && rng_below(rng, 4) > 0,
        .ties_away = rng_below(rng, 2),
        .seed = rng_next(rng),
    };
}

void honest_text(const struct honest *k, char text[256])
{
    snprintf(text, 256, "dot %d lanes of %d%s%s, scale at %d, exp %d, block %d, %d %slanes, split %d%s%s%s%s",
             k->dot_lanes, k->dot_width, k->dot_tree ? ", tree" : "", k->fma ? ", fma" : "", k->scale_at, k->exp,
             k->block, k->lanes, k->strided ? "strided " : "", k->split, k->reciprocal ? ", reciprocal" : "",
             k->round_q ? ", rounds Q" : "", k->round_p ? ", rounds P" : "", k->ties_away ? ", ties away" : "");
}

static float narrow(attune_dtype dtype, float value, bool ties_away)
{
    if (dtype == ATTUNE_FP16)
        return half_to_float(float_to_half(value));
    if (dtype != ATTUNE_BF16)
        return value;
    if (!ties_away || !isfinite(value))
        return bf16_to_float(float_to_bf16(value));
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    return bf16_to_float((uint16_t)((bits + 0x8000u) >> 16));
}

static float multiply_add(const struct honest *k, float a, float b, float c)
{
    return k->fma ? fmaf(a, b, c) : a * b + c;
}

static float add_up(float *lanes, int count, bool tree)
{
    for (int half = count / 2; tree && half > 0; half /= 2)
        for (int i = 0; i < half; i++)
            lanes[i] += lanes[i + half];
    for (int i = 1; !tree && i < count; i++)
        lanes[0] += lanes[i];
    return lanes[0];
}

static float dot(const struct honest *k, const float *a, const float *b, int dim)
{
    float lanes[MAX_LANES] = {0};
    for (int d = 0; d < dim; d++) {
        float *lane = &lanes[d / k->dot_width % k->dot_lanes];
        *lane = multiply_add(k, a[d], b[d], *lane);
    }
    return add_up(lanes, k->dot_lanes, k->dot_tree);
}

/* 2^x for x <= 0: a minimax polynomial on the fraction about the nearest integer, within 1.2e-7. */
static float exp2_minimax(float x)
{
    x = fmaxf(x, -127.0f);
    float n = rintf(x), f = x - n;
    float p = fmaf(f, 1.5453163e-4f, 1.3390863e-3f);
    p = fmaf(p, f, 9.6180830e-3f);
    p = fmaf(p, f, 5.5503570e-2f);
    p = fmaf(p, f, 2.4022651e-1f);
    p = fmaf(p, f, 6.9314718e-1f);
    p = fmaf(p, f, 1.0f);
    return ldexpf(p, (int)n);
}

/* e^x, or 2^x; x <= 0, and 1 at 0. */
static float power(const struct honest *k, float x, bool base_2)
{
    if (k->exp == 1)
        return exp2_minimax(base_2 ? x : x * log2_e);
    float value = base_2 ? exp2f(x) : expf(x);
    if (k->exp == 0 || x == 0.0f)
        return value;
    uint32_t bits;
    memcpy(&bits, &x, sizeof bits);
    uint64_t hash = (bits ^ k->seed) * UINT64_C(0x9e3779b97f4a7c15);
    int off = (int)(hash >> 40) % 5 - 2;
    for (; off > 0; off--)
        value = nextafterf(value, INFINITY);
    for (; off < 0; off++)
        value = nextafterf(value, 0.0f);
    return value;
}

/* Where a row's keys lie, and what scores become weights by. */
struct row {
    const struct oracle_input *input;
    const float *k, *v; /* of position 0 */
    const float *q;
    float scale;
    int dim_qk, dim_vo;
};

struct state {
    float top, sum, *o;
};

static float score_of(const struct honest *k, const struct row *row, int64_t j)
{
    float s = dot(k, row->q, row->k + j * row->input->k_stride_token, row->dim_qk);
    if (k->scale_at == 1)
        s *= row->scale;
    else if (k->scale_at == 3)
        s *= row->scale * log2_e;
    return s;
}

static float weight(const struct honest *k, const struct row *row, float difference)
{
    switch (k->scale_at) {
    case 2:
        return k->exp == 1 ? power(k, difference * (row->scale * log2_e), true)
                           : power(k, difference * row->scale, false);
    case 3:
        return power(k, difference, true);
    default:
        return power(k, difference, false);
    }
}

/* Adds keys begin, begin + step, .. below end. */
static void add_keys(const struct honest *k, const struct row *row, int64_t begin, int64_t end, int64_t step,
                     struct state *state)
{
    attune_dtype dtype = row->input->desc->kv_dtype;
    float scores[1024];
    int64_t block = k->block < 1024 ? k->block : 1024;
    while (begin < end) {
        float top = state->top;
        int64_t count = 0;
        for (int64_t j = begin; j < end && count < block; j += step) {
            scores[count] = score_of(k, row, j);
            top = fmaxf(top, scores[count++]);
        }
        float correction = state->top == -INFINITY ? 1.0f : weight(k, row, state->top - top);
        state->top = top;
        state->sum *= correction;
        for (int d = 0; d < row->dim_vo; d++)
            state->o[d] *= correction;
        for (int64_t i = 0; i < count; i++) {
            float c = row->scale * log2_e;
            float p =
                k->fault == FAULT_SHIFTED ? exp2f(fmaf(scores[i], c, -(top * c))) : weight(k, row, scores[i] - top);
            state->sum += p;
            p = k->fault == FAULT_NARROW ? narrow(ATTUNE_BF16, p, false) : p;
            p = k->round_p ? narrow(dtype, p, k->ties_away) : p;
            const float *v = row->v + (begin + i * step) * row->input->v_stride_token;
            for (int d = 0; d < row->dim_vo; d++)
                state->o[d] = multiply_add(k, p, v[d], state->o[d]);
        }
        begin += count * step;
    }
}

static void join(const struct honest *k, const struct row *row, struct state *into, const struct state *from)
{
    float top = fmaxf(into->top, from->top);
    float a = into->top == -INFINITY ? 0.0f : weight(k, row, into->top - top);
    float b = from->top == -INFINITY ? 0.0f : weight(k, row, from->top - top);
    into->top = top;
    into->sum = into->sum * a + from->sum * b;
    for (int d = 0; d < row->dim_vo; d++)
        into->o[d] = into->o[d] * a + from->o[d] * b;
}

/* One part of the keys, normalised, with its log-sum-exp. */
static float part(const struct honest *k, const struct row *row, int64_t begin, int64_t end, float *o)
{
    float lane_o[1024];
    struct state all = {-INFINITY, 0.0f, o};
    memset(o, 0, (size_t)row->dim_vo * sizeof *o);
    int lanes = k->strided ? k->lanes : 1;
    for (int lane = 0; lane < lanes && begin + lane < end; lane++) {
        struct state one = {-INFINITY, 0.0f, lane_o};
        memset(lane_o, 0, (size_t)row->dim_vo * sizeof *lane_o);
        add_keys(k, row, begin + lane, end, lanes, &one);
        if (lanes == 1)
            memcpy(o, lane_o, (size_t)row->dim_vo * sizeof *o), all.top = one.top, all.sum = one.sum;
        else
            join(k, row, &all, &one);
    }
    float inverse = 1.0f / all.sum;
    for (int d = 0; d < row->dim_vo; d++)
        o[d] = k->reciprocal ? o[d] * inverse : o[d] / all.sum;
    if (k->scale_at == 3)
        return (all.top + log2f(all.sum)) * ln_2;
    return (k->scale_at == 2 ? all.top * row->scale : all.top) + logf(all.sum);
}

/* Parts merged by their log-sum-exps. */
static float whole(const struct honest *k, const struct row *row, int64_t begin, int64_t end, float *o)
{
    if (begin >= end)
        return -INFINITY;
    if (!k->split || end - begin <= k->split)
        return part(k, row, begin, end, o);
    float piece[1024], lse = -INFINITY, sum = 0.0f;
    memset(o, 0, (size_t)row->dim_vo * sizeof *o);
    for (; begin < end; begin += k->split) {
        float own = part(k, row, begin, begin + k->split < end ? begin + k->split : end, piece);
        float top = fmaxf(lse, own), down = lse == -INFINITY ? 0.0f : expf(lse - top), w = expf(own - top);
        for (int d = 0; d < row->dim_vo; d++)
            o[d] = multiply_add(k, piece[d], w, o[d] * down);
        sum = sum * down + w;
        lse = top;
    }
    for (int d = 0; d < row->dim_vo; d++)
        o[d] /= sum;
    return lse + logf(sum);
}

void honest_run(const struct honest *k, const struct oracle_input *input, float *o, float *lse)
{
    const attune_attention_desc *desc = input->desc;
    float scale = desc_scale(desc) * (k->fault == FAULT_SCALE ? 1.00001f : 1.0f);
    struct row row = {.input = input, .scale = scale, .dim_qk = desc->head_dim_qk, .dim_vo = desc_head_dim_vo(desc)};
    int64_t token = 0, key = 0;
    for (int32_t b = 0; b < input->batch; b++) {
        for (int64_t i = 0; i < input->q_len[b]; i++, token++) {
            int64_t begin, end;
            desc_visible_keys(desc, input->q_len[b], input->kv_len[b], i, &begin, &end);
            if (k->fault == FAULT_LAST && input->q_len[b] == 1 && end - begin > 2)
                end--;
            for (int32_t h = 0; h < desc->num_q_heads; h++) {
                int32_t kv_head = h / (desc->num_q_heads / desc->num_kv_heads);
                float q[1024], *out = o + (token * desc->num_q_heads + h) * row.dim_vo;
                const float *in = input->q + token * input->q_stride_token + h * input->q_stride_head;
                for (int d = 0; d < row.dim_qk; d++) {
                    q[d] = k->round_q ? narrow(desc->kv_dtype, in[d], false) : in[d];
                    q[d] *= k->scale_at == 0 ? row.scale : 1.0f;
                }
                row.q = q;
                row.k = input->k + key * input->k_stride_token + kv_head * input->k_stride_head;
                row.v = input->v + key * input->v_stride_token + kv_head * input->v_stride_head;
                memset(out, 0, (size_t)row.dim_vo * sizeof *out);
                lse[token * desc->num_q_heads + h] = whole(k, &row, begin, end, out);
                for (int d = 0; d < row.dim_vo; d++)
                    out[d] = narrow(desc->o_dtype, out[d], false);
            }
        }
        key += input->kv_len[b];
    }
}
