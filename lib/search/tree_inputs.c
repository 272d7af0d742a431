/* SPDX-License-Identifier: Apache-2.0 */
#include "tree_inputs.h"

#include <stdlib.h>

#define SCALE_SHIFT 6 /* logs have 10 bits after the point: sums of two fit 16 bits */
#define RATIO_ZERO ((uint16_t)(32 * LOG_ONE >> SCALE_SHIFT)) /* of equal values */
#define MIN_PAIRED 3                                         /* values of a parameter that is paired with others */

static bool is_positive(const struct search_param *param)
{
    for (int32_t v = 0; v < param->num_values; v++)
        if (param->values[v] < 1)
            return false;
    return true;
}

static bool has_odd_parts(const struct search_param *param)
{
    for (int32_t v = 0; v < param->num_values; v++)
        if (odd_part(param->values[v]) > 1)
            return true;
    return false;
}

static void fill_values(struct tree_inputs *inputs, const struct search_param *param, int32_t offset, bool as_index)
{
    for (int32_t v = 0; v < param->num_values; v++) {
        int32_t value = param->values[v];
        inputs->logs[offset + v] = as_index ? (uint16_t)v : (uint16_t)(log2_fixed(value) >> SCALE_SHIFT);
        inputs->odds[offset + v] = as_index ? 0 : (uint16_t)(log2_fixed(odd_part(value)) >> SCALE_SHIFT);
    }
}

static void add(struct tree_inputs *inputs, enum tree_input_kind kind, int32_t first, int32_t second)
{
    if (inputs->count < TREE_INPUTS_MAX)
        inputs->list[inputs->count++] = (struct tree_input){kind, first, second};
}

static void add_pairs(struct tree_inputs *inputs, const struct pool *pool)
{
    for (int32_t p = 0; p < pool->num_params; p++) {
        if (pool->params[p].num_values < MIN_PAIRED || !is_positive(&pool->params[p]))
            continue;
        for (int32_t q = p + 1; q < pool->num_params; q++)
            if (pool->params[q].num_values >= MIN_PAIRED && is_positive(&pool->params[q])) {
                add(inputs, INPUT_PRODUCT, p, q);
                add(inputs, INPUT_RATIO, p, q);
            }
    }
}

bool tree_inputs_create(struct tree_inputs *inputs, const struct search *search, bool derived)
{
    const struct pool *pool = &search->pool;
    int32_t total = 0;
    for (int32_t p = 0; p < pool->num_params; total += pool->params[p++].num_values)
        inputs->offset[p] = total;
    inputs->count = 0;
    inputs->logs = malloc(((size_t)total + 1) * sizeof *inputs->logs);
    inputs->odds = malloc(((size_t)total + 1) * sizeof *inputs->odds);
    if (!inputs->logs || !inputs->odds)
        return false;
    for (int32_t f = 0; f < search->num_features; f++)
        add(inputs, INPUT_FEATURE, f, 0);
    for (int32_t p = 0; p < pool->num_params; p++) {
        bool numeric = derived && is_positive(&pool->params[p]);
        fill_values(inputs, &pool->params[p], inputs->offset[p], !numeric);
        if (pool->params[p].num_values > 1)
            add(inputs, INPUT_LOG, p, 0);
        if (numeric && has_odd_parts(&pool->params[p]))
            add(inputs, INPUT_ODD, p, 0);
    }
    if (derived)
        add_pairs(inputs, pool);
    return true;
}

void tree_inputs_destroy(struct tree_inputs *inputs)
{
    free(inputs->logs);
    free(inputs->odds);
}

void tree_inputs_fill(const struct tree_inputs *inputs, const struct search *search, int32_t config, int32_t workload,
                      uint16_t *out)
{
    const uint16_t *row = pool_row(&search->pool, config);
    uint16_t logs[SEARCH_MAX_PARAMS];
    for (int32_t p = 0; p < search->pool.num_params; p++)
        logs[p] = inputs->logs[inputs->offset[p] + row[p]];
    for (int32_t i = 0; i < inputs->count; i++) {
        const struct tree_input *input = &inputs->list[i];
        switch (input->kind) {
        case INPUT_LOG:
            out[i] = logs[input->first];
            break;
        case INPUT_ODD:
            out[i] = inputs->odds[inputs->offset[input->first] + row[input->first]];
            break;
        case INPUT_PRODUCT:
            out[i] = (uint16_t)(logs[input->first] + logs[input->second]);
            break;
        case INPUT_RATIO:
            out[i] = (uint16_t)(RATIO_ZERO + logs[input->first] - logs[input->second]);
            break;
        case INPUT_FEATURE:
            out[i] = search->features[workload][input->first];
            break;
        }
    }
}
