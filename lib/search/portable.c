/* SPDX-License-Identifier: Apache-2.0
 * The least mean of log time over the devices, among those that differ enough from all that were chosen before: near
 * neighbours of a good configuration are good and bad together, so trying them all on another device is one bet. */
#include "portable.h"

#include <stdbool.h>

/* Parameters in which two of the chosen differ at least; fewer where the space has not so many. */
#define DISTANCE 3

static int64_t total_cost(const int32_t *cost, int32_t num_devices, int32_t num_configs, int32_t config)
{
    int64_t sum = 0;
    for (int32_t d = 0; d < num_devices; d++)
        sum += cost[(int64_t)d * num_configs + config];
    return sum;
}

static bool far_from_all(const uint16_t *rows, int32_t num_params, const int32_t *chosen, int32_t count, int32_t config,
                         int32_t distance)
{
    const uint16_t *row = rows + (int64_t)config * num_params;
    for (int32_t i = 0; i < count; i++) {
        const uint16_t *other = rows + (int64_t)chosen[i] * num_params;
        int32_t differ = 0;
        for (int32_t p = 0; p < num_params; p++)
            differ += row[p] != other[p];
        if (differ < distance)
            return false;
    }
    return true;
}

int32_t portable_choose(const int32_t *cost, int32_t num_devices, int32_t num_configs, const uint16_t *rows,
                        int32_t num_params, int32_t max, int32_t *chosen)
{
    int32_t count = 0, distance = DISTANCE;
    while (count < max && count < num_configs) {
        int32_t best = -1;
        int64_t least = 0;
        for (int32_t c = 0; c < num_configs; c++) {
            int64_t total = total_cost(cost, num_devices, num_configs, c);
            if ((best < 0 || total < least) && far_from_all(rows, num_params, chosen, count, c, distance)) {
                best = c;
                least = total;
            }
        }
        if (best < 0)
            distance--;
        else
            chosen[count++] = best;
    }
    return count;
}
