/* SPDX-License-Identifier: Apache-2.0
 * The end of a tuning: compiled kernels for the cache, so that the first plan compiles nothing. */
#include "tuning.h"
#include "warm.h"

/* The first interrupt ends what has not begun. */
static int go_on(void *priv, size_t done, size_t total)
{
    struct tuning *tuning = priv;
    (void)done, (void)total;
    tuning_progress(tuning, NULL, NULL, 0);
    return tuning->interrupted;
}

void keep_kernels(struct tuning *tuning)
{
    const attune_problem *problems[SEARCH_MAX_WORKLOADS];
    size_t count = 0;
    for (int32_t i = 0; i < tuning->num_active; i++)
        if (tuning->workloads[tuning->active[i]].has_winner)
            problems[count++] = tuning->workloads[tuning->active[i]].problem;
    if (!count || tuning->interrupted || !tuning->target->places.user[0])
        return;
    tuning->phase = "compile";
    tuning_progress(tuning, NULL, NULL, 0);
    attune_warm_options options = ATTUNE_WARM_OPTIONS_INIT;
    options.max_seconds = keep_seconds(tuning);
    options.progress = go_on;
    options.progress_priv = tuning;
    attune_warm_result result;
    if (warm_problems(tuning->target, problems, count, &options, &result) != ATTUNE_OK)
        log_message(&tuning->target->logger, ATTUNE_LOG_WARNING,
                    "compiled kernels are not kept, so that plans compile when they are created: %s",
                    attune_last_error());
    else if (result.left_out)
        log_message(
            &tuning->target->logger, ATTUNE_LOG_WARNING,
            "%d of %d compiled kernels are not kept, for the budget is spent: plans compile them, or attune warm",
            (int)result.left_out, (int)result.tasks);
    record(tuning, "compiled",
           json_pack("{s:i,s:i,s:i,s:i,s:i,s:f}", "tasks", (int)result.tasks, "compiled", (int)result.compiled, "found",
                     (int)result.found, "failed", (int)result.failed, "left_out", (int)result.left_out, "seconds",
                     result.seconds));
}
