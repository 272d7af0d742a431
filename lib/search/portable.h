/* SPDX-License-Identifier: Apache-2.0
 * Which configurations are worth trying first on a device that nobody measured. */
#ifndef ATTUNE_SEARCH_PORTABLE_H
#define ATTUNE_SEARCH_PORTABLE_H

#include <stdint.h>

/* cost[num_devices][num_configs]: log2_fixed of a configuration's time on a device that was measured, less that of the
 * device's best; rows[num_configs][num_params]: numbers of its values, no two alike. Writes min(max, num_configs) of 0
 * .. num_configs-1 to chosen, the most promising first. */
int32_t portable_choose(const int32_t *cost, int32_t num_devices, int32_t num_configs, const uint16_t *rows,
                        int32_t num_params, int32_t max, int32_t *chosen);

#endif
