/* SPDX-License-Identifier: Apache-2.0 */
#include "inputs.h"

#include <stdlib.h>

#define LEAST_RATIO 4     /* of the largest to the smallest value, for logarithms */
#define SHARE_OF_RANK 0.3 /* in a coordinate */

static void fill_coordinates(const struct search_param *param, uint16_t *out)
{
    int32_t low = param->values[0], high = low;
    for (int32_t i = 1; i < param->num_values; i++) {
        low = param->values[i] < low ? param->values[i] : low;
        high = param->values[i] > high ? param->values[i] : high;
    }
    bool by_ratio = low > 0 && high / LEAST_RATIO >= low;
    double from = by_ratio ? log2_fixed(low) : low, span = (by_ratio ? log2_fixed(high) : high) - from;
    for (int32_t i = 0; i < param->num_values; i++) {
        int32_t value = param->values[i], rank = 0;
        for (int32_t j = 0; j < param->num_values; j++)
            rank += param->values[j] < value;
        double by_size = ((by_ratio ? log2_fixed(value) : value) - from) / span;
        double by_rank = (double)rank / (param->num_values - 1);
        out[i] = (uint16_t)(GP_SPAN * (by_size + SHARE_OF_RANK * (by_rank - by_size)) + 0.5);
    }
}

/* False where the odd parts tell nothing. */
static bool fill_odd_parts(const struct search_param *param, uint16_t *out)
{
    int32_t most = 0;
    for (int32_t i = 0; i < param->num_values; i++) {
        if (param->values[i] < 1 || param->num_values < 3)
            return false;
        out[i] = (uint16_t)(log2_fixed(odd_part(param->values[i])) >> 8);
        most = out[i] > most ? out[i] : most;
    }
    for (int32_t i = 0; i < param->num_values && most > 0; i++)
        out[i] = (uint16_t)(GP_SPAN * out[i] / most);
    return most > 0;
}

static void add_coordinate(struct inputs *inputs, int32_t param, uint16_t *coordinate)
{
    inputs->coordinate[inputs->num_coordinates] = coordinate;
    inputs->param[inputs->num_coordinates++] = param;
}

static void add_features(struct inputs *inputs, const struct search *search)
{
    for (int32_t f = 0; f < search->num_features; f++) {
        uint16_t most = 0;
        for (int32_t w = 0; w < search->num_workloads; w++)
            most = search->features[w][f] > most ? search->features[w][f] : most;
        if (!most)
            continue;
        inputs->most[inputs->num_features] = most;
        inputs->feature[inputs->num_features++] = f;
    }
}

bool inputs_create(struct inputs *inputs, const struct search *search)
{
    const struct pool *pool = &search->pool;
    size_t total = 1;
    for (int32_t p = 0; p < pool->num_params; p++)
        total += 2 * (size_t)pool->params[p].num_values;
    *inputs = (struct inputs){.coordinates = malloc(total * sizeof *inputs->coordinates)};
    uint16_t *next = inputs->coordinates;
    if (!next)
        return false;
    for (int32_t p = 0; p < pool->num_params; p++) {
        if (pool->params[p].num_values < 2)
            continue;
        fill_coordinates(&pool->params[p], next);
        add_coordinate(inputs, p, next);
        next += pool->params[p].num_values;
        if (fill_odd_parts(&pool->params[p], next)) {
            add_coordinate(inputs, p, next);
            next += pool->params[p].num_values;
        }
    }
    add_features(inputs, search);
    inputs->num_inputs = inputs->num_coordinates + inputs->num_features;
    if (inputs->num_inputs == 0)
        inputs->num_inputs = 1; /* stays 0 */
    return true;
}

void inputs_destroy(struct inputs *inputs)
{
    free(inputs->coordinates);
}

void inputs_fill(const struct inputs *inputs, const struct search *search, int32_t config, int32_t workload,
                 uint16_t *out)
{
    const uint16_t *row = pool_row(&search->pool, config);
    out[0] = 0;
    for (int32_t i = 0; i < inputs->num_coordinates; i++)
        out[i] = inputs->coordinate[i][row[inputs->param[i]]];
    for (int32_t i = 0; i < inputs->num_features; i++) {
        int32_t rank = search->features[workload][inputs->feature[i]];
        out[inputs->num_coordinates + i] = (uint16_t)(GP_SPAN * rank / inputs->most[i]);
    }
}
