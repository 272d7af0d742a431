/* SPDX-License-Identifier: Apache-2.0
 * A search over a recorded space: the file answers in place of a device. */
#ifndef ATTUNE_TUNE_REPLAY_H
#define ATTUNE_TUNE_REPLAY_H

#include <stdbool.h>

#include <attune/tune.h>

struct replay {
    const attune_space *space;
    const char *strategy;
    const attune_search_setting_value *settings;
    size_t num_settings;
    int32_t budget_tests;
    uint64_t seed;
    bool noise;           /* tells a sample in place of the mean */
    const int32_t *seeds; /* [num_seeds][num_params] to try first */
    size_t num_seeds;
};

/* best[budget_tests]: ms after each test, 0 before the first success. With noise it is the mean of the configuration
 * that the search believes best. A space that is exhausted early keeps its last value. */
attune_status replay_run(const struct replay *replay, double *best);

#endif
