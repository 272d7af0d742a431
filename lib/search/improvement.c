/* SPDX-License-Identifier: Apache-2.0
 * The derivative of the expected improvement is the normal distribution, whose derivative is the density. */
#include "improvement.h"

#include "strategy.h"

#include <stdint.h>

#define LOG2_E 1.4426950408889634
#define ROOT_2_PI 2.5066282746310002

void improvement_create(struct improvement *improvement)
{
    const int32_t half = IMPROVEMENT_FARTHEST * IMPROVEMENT_STEPS;
    const double width = 1.0 / IMPROVEMENT_STEPS;
    double mass_below = 0, sum = 0;
    for (int32_t i = -2 * half; i <= half; i++) {
        if (i >= -half)
            improvement->table[i + half] = sum;
        double middle = (i + 0.5) * width;
        double mass = width / ROOT_2_PI * exp2_fixed((int32_t)(-0.5 * LOG2_E * LOG_ONE * middle * middle));
        sum += (mass_below + 0.5 * mass) * width;
        mass_below += mass;
    }
}

double improvement_expected(const struct improvement *improvement, double u)
{
    if (u >= IMPROVEMENT_FARTHEST)
        return u;
    if (!(u > -IMPROVEMENT_FARTHEST))
        return improvement->table[0] * IMPROVEMENT_FARTHEST / -u;
    double place = (u + IMPROVEMENT_FARTHEST) * IMPROVEMENT_STEPS;
    int32_t i = (int32_t)place;
    return improvement->table[i] + (place - i) * (improvement->table[i + 1] - improvement->table[i]);
}
