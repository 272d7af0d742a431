/* SPDX-License-Identifier: Apache-2.0 */
#include "compare.h"

#include <stdio.h>
#include <string.h>

#define SLOW_ROUNDS 3
#define SLOW_SECONDS 60

const char *baseline_name(enum baseline baseline)
{
    return baseline == BASELINE_PLAIN ? "plain_row" : "extend_fixed_tile";
}

/* Measures the baselines first .. last beside config, in one interleaved run. */
static attune_status compare_range(attune_target *target, const attune_problem *problem, const char *config,
                                   uint64_t seed, double seconds, int first, int last,
                                   struct comparison *out)
{
    const char *configs[1 + NUM_BASELINES] = {config};
    attune_measurement measured[1 + NUM_BASELINES];
    double ratios[1 + NUM_BASELINES];
    size_t count = 1;
    for (int b = first; b <= last; b++)
        configs[count++] = baseline_name(b);
    attune_measure_options options = ATTUNE_MEASURE_OPTIONS_INIT;
    options.rounds = SLOW_ROUNDS;
    options.max_seconds = SLOW_SECONDS;
    options.limit_seconds = seconds;
    options.seed = seed;
    attune_status status = attune_measure(target, problem, configs, count, &options, measured, NULL, ratios, NULL);
    for (int b = first; !status && b <= last; b++) {
        const attune_measurement *baseline = &measured[1 + b - first];
        bool good = measured[0].outcome == ATTUNE_OUTCOME_OK && baseline->outcome == ATTUNE_OUTCOME_OK;
        const attune_measurement *failed = measured[0].outcome == ATTUNE_OUTCOME_OK ? baseline : &measured[0];
        out->ratio[b] = good ? ratios[1 + b - first] : 0;
        out->outcome[b] = baseline->outcome;
        if (!good)
            snprintf(out->reason[b], sizeof out->reason[b], "%s: %.200s", attune_outcome_name(failed->outcome),
                     failed->reason);
    }
    return status;
}

attune_status compare_with_baselines(attune_target *target, const attune_problem *problem, const char *config,
                                     uint64_t seed, double seconds, struct comparison *out)
{
    memset(out, 0, sizeof *out);
    attune_status status = compare_range(target, problem, config, seed, seconds, 0, NUM_BASELINES - 1, out);
    /* A library without one of the families refuses the whole run. */
    for (int b = 0; status == ATTUNE_ERROR_SYNTAX && b < NUM_BASELINES; b++) {
        attune_status one = compare_range(target, problem, config, seed, seconds, b, b, out);
        if (one == ATTUNE_ERROR_SYNTAX) {
            out->outcome[b] = ATTUNE_OUTCOME_INVALID;
            snprintf(out->reason[b], sizeof out->reason[b], "%.250s", attune_last_error());
        } else if (one) {
            return one;
        }
    }
    return status == ATTUNE_ERROR_SYNTAX ? ATTUNE_OK : status;
}
