/* SPDX-License-Identifier: Apache-2.0
 * The devices take turns: each gives its fastest configuration that differs enough from all that were chosen before.
 * One of them may be like the new device, and a mean over all of them is nobody's best; near neighbours of a
 * configuration are good and bad together, so trying them all on another device is one bet. */
#include "portable.h"

#include <stdbool.h>

/* Parameters in which two of the chosen differ at least; fewer when nothing so different is left. */
#define DISTANCE 3

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
    while (count < max && distance > 0) {
        const int32_t *device = cost + (int64_t)(count % num_devices) * num_configs;
        int32_t best = -1;
        for (int32_t c = 0; c < num_configs; c++)
            if ((best < 0 || device[c] < device[best]) && far_from_all(rows, num_params, chosen, count, c, distance))
                best = c;
        if (best < 0)
            distance--;
        else
            chosen[count++] = best;
    }
    return count;
}
