/* SPDX-License-Identifier: Apache-2.0
 *
 * What a competent plain kernel does, in fp32 throughout: every dot product and every sum over keys is one chain of
 * fp32 additions in natural order, each product rounded to fp32 before it is added (this folder is compiled with
 * -ffp-contract=off, so that no compiler fuses them). Its error is the yardstick of the numerics contract. */
#include "rows.h"

#include <math.h>
#include <stdlib.h>

#include "base/base.h"

struct plain_state {
    float *logits;  /* [longest kv_len] */
    float *rounded; /* [head_dim_qk]: the query as the products take it */
    float *o, *lse;
    attune_dtype product_dtype; /* Q, and P before P.V, are rounded to it; FP32: they are not */
};

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

static float logit_of(const struct oracle_row *row, float dot)
{
    float logit = (float)row->scale * dot, cap = row->desc->softcap;
    return cap > 0.0f ? cap * tanhf(logit / cap) : logit;
}

static float row_logits(const struct oracle_row *row, const float *query, float *logits)
{
    float largest = -INFINITY;
    for (int64_t start = row->first_key / KEY_BLOCK * KEY_BLOCK; start < row->end_key; start += KEY_BLOCK) {
        float dots[KEY_BLOCK] = {0};
        const float *keys = row->keys + start * row->head_dim_qk;
        for (int32_t d = 0; d < row->head_dim_qk; d++, keys += KEY_BLOCK) {
            float q = query[d];
            for (int lane = 0; lane < KEY_BLOCK; lane++)
                dots[lane] += q * keys[lane];
        }
        int64_t first = row->first_key > start ? row->first_key : start;
        for (int64_t j = first; j < row->end_key && j < start + KEY_BLOCK; j++) {
            logits[j] = logit_of(row, dots[j - start]);
            largest = logits[j] > largest ? logits[j] : largest;
        }
    }
    return largest;
}

static void add_scaled(float *restrict sum, float factor, const float *restrict values, int32_t count)
{
    for (int32_t d = 0; d < count; d++)
        sum[d] += factor * values[d];
}

static void row_plain(const struct oracle_row *row, void *priv)
{
    struct plain_state *state = priv;
    float *o = state->o + row->index * row->head_dim_vo;
    for (int32_t d = 0; d < row->head_dim_vo; d++)
        o[d] = 0.0f;
    state->lse[row->index] = -INFINITY;
    if (row->first_key == row->end_key)
        return;
    for (int32_t d = 0; d < row->head_dim_qk; d++)
        state->rounded[d] = round_to(state->product_dtype, row->q[d]);
    float largest = row_logits(row, state->rounded, state->logits), sum = 0.0f;
    for (int64_t j = row->first_key; j < row->end_key; j++) {
        float p = expf(state->logits[j] - largest);
        sum += p; /* not the rounded one: the denominator is no input of a product */
        add_scaled(o, round_to(state->product_dtype, p), row->values[j], row->head_dim_vo);
    }
    for (int32_t d = 0; d < row->head_dim_vo; d++)
        o[d] = round_to(row->desc->o_dtype, o[d] / sum);
    state->lse[row->index] = largest + logf(sum);
}

attune_status oracle_attention_plain(const struct oracle_input *input, float *o, float *lse)
{
    const attune_attention_desc *desc = input->desc;
    int64_t longest = oracle_max_kv_len(input);
    struct plain_state state = {calloc((size_t)longest + 1, sizeof(float)),
                                calloc((size_t)desc->head_dim_qk, sizeof(float)), o, lse,
                                desc->precision == ATTUNE_FAST ? desc->kv_dtype : ATTUNE_FP32};
    attune_status status;
    if (state.logits && state.rounded)
        status = oracle_for_each_row(input, row_plain, &state);
    else
        status = set_error(ATTUNE_ERROR_OUT_OF_MEMORY, "oracle: no memory for %lld logits", (long long)longest);
    free(state.logits);
    free(state.rounded);
    return status;
}
