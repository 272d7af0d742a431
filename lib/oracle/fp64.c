/* SPDX-License-Identifier: Apache-2.0 */
#include "evaluate.h"

#include <math.h>
#include <stdlib.h>

#include "base/base.h"

struct fp64_state {
    double *logits; /* [longest kv_len] */
    double *o, *lse;
};

static double logit_of(const struct oracle_row *row, double dot)
{
    double logit = row->scale * dot, cap = (double)row->desc->softcap;
    return cap > 0.0 ? cap * tanh(logit / cap) : logit;
}

/* Logits of the keys that the row attends; those of masked keys are not looked at. Returns the largest. */
static double row_logits(const struct oracle_row *row, double *logits)
{
    double largest = -INFINITY;
    for (int64_t start = row->first_key / KEY_BLOCK * KEY_BLOCK; start < row->end_key; start += KEY_BLOCK) {
        double dots[KEY_BLOCK] = {0};
        const float *keys = row->keys + start * row->head_dim_qk;
        for (int32_t d = 0; d < row->head_dim_qk; d++, keys += KEY_BLOCK) {
            double q = (double)row->q[d];
            for (int lane = 0; lane < KEY_BLOCK; lane++)
                dots[lane] += q * (double)keys[lane];
        }
        int64_t first = row->first_key > start ? row->first_key : start;
        for (int64_t j = first; j < row->end_key && j < start + KEY_BLOCK; j++) {
            logits[j] = logit_of(row, dots[j - start]);
            largest = logits[j] > largest ? logits[j] : largest;
        }
    }
    return largest;
}

static void add_scaled(double *restrict sum, double factor, const float *restrict values, int32_t count)
{
    for (int32_t d = 0; d < count; d++)
        sum[d] += factor * (double)values[d];
}

struct row_result row_fp64(const struct oracle_row *row, double *logits, double *o)
{
    for (int32_t d = 0; d < row->head_dim_vo; d++)
        o[d] = 0.0;
    struct row_result result = {-INFINITY, 0.0};
    if (row->first_key == row->end_key)
        return result;
    double largest = row_logits(row, logits), sum = 0.0;
    for (int64_t j = row->first_key; j < row->end_key; j++) {
        double p = exp(logits[j] - largest);
        sum += p;
        add_scaled(o, p, row->values[j], row->head_dim_vo);
        if (fabs(logits[j]) > result.largest_logit)
            result.largest_logit = fabs(logits[j]);
    }
    for (int32_t d = 0; d < row->head_dim_vo; d++)
        o[d] /= sum;
    result.lse = largest + log(sum);
    return result;
}

static void keep_row(const struct oracle_row *row, void *priv)
{
    struct fp64_state *state = priv;
    state->lse[row->index] = row_fp64(row, state->logits, state->o + row->index * row->head_dim_vo).lse;
}

attune_status oracle_attention_fp64(const struct oracle_input *input, double *o, double *lse)
{
    int64_t longest = oracle_max_kv_len(input);
    struct fp64_state state = {calloc((size_t)longest + 1, sizeof(double)), o, lse};
    if (!state.logits)
        return set_error(ATTUNE_ERROR_OUT_OF_MEMORY, "oracle: no memory for %lld logits", (long long)longest);
    attune_status status = oracle_for_each_row(input, NULL, keep_row, &state);
    free(state.logits);
    return status;
}
