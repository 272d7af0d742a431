/* SPDX-License-Identifier: Apache-2.0
 * A configuration against the baselines that no tuning touches. */
#ifndef ATTUNE_COMPARE_H
#define ATTUNE_COMPARE_H

#include <stdbool.h>

#include <attune/tune.h>

enum baseline { BASELINE_PLAIN, BASELINE_FIXED_TILE, NUM_BASELINES };

/* The baseline's family, "plain_row" or "extend_fixed_tile". */
const char *baseline_name(enum baseline baseline);

struct comparison {
    double ratio[NUM_BASELINES]; /* baseline's time / configuration's: median of pairs; 0 = not measured */
    attune_outcome outcome[NUM_BASELINES];
    char reason[NUM_BASELINES][256]; /* why it was not measured */
};

/* Three interleaved rounds: a baseline may take seconds a run. A baseline that this library lacks, that cannot take the
 * problem or that is not done within seconds (0 = no limit) is no error. */
attune_status compare_with_baselines(attune_target *target, const attune_problem *problem, const char *config,
                                     uint64_t seed, double seconds, struct comparison *out);

#endif
