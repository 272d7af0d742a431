/* SPDX-License-Identifier: Apache-2.0 */
#include "trial.h"

/* A trial lasts so long, that the request's own time does not matter. */
#define TRIAL_MS 10.0
#define FIRST_ITERATIONS 20
#define MAX_ITERATIONS 100000000

double trial_run(struct attune_target *target, const struct trial *trial, double *elapsed_ms, json_t **out)
{
    json_t *reply;
    json_t *request = json_pack("{s:s,s:s,s:i,s:i,s:i}", "op", trial->op, "trial", trial->name, "vec", trial->vec,
                                "iterations", trial->iterations, "launches", trial->launches);
    *elapsed_ms = 0;
    if (out)
        *out = NULL;
    if (target_ensure(target) != ATTUNE_OK) {
        json_decref(request);
        copy_string(target->session.reason, sizeof target->session.reason, attune_last_error());
        return 0;
    }
    if (session_request(&target->session, request, target->session.deadlines.build, &reply) != ATTUNE_OUTCOME_OK)
        return 0;
    *elapsed_ms = (double)target->session.elapsed_ns * 1e-6;
    double work = json_number_value(json_object_get(reply, "work"));
    if (out)
        *out = reply;
    else
        json_decref(reply);
    return *elapsed_ms > 0 ? work / (*elapsed_ms * 1e-3) : 0;
}

/* Iterations that last TRIAL_MS, found in steps from few: a slow device must not run for minutes. 0 on failure. */
static int size_trial(struct attune_target *target, struct trial *trial)
{
    double elapsed_ms;
    trial->iterations = FIRST_ITERATIONS;
    trial_run(target, trial, &elapsed_ms, NULL); /* compiles */
    for (int step = 0; step < 3; step++) {
        if (trial_run(target, trial, &elapsed_ms, NULL) <= 0)
            return 0;
        double wanted = trial->iterations * TRIAL_MS / elapsed_ms;
        trial->iterations = wanted > MAX_ITERATIONS ? MAX_ITERATIONS : wanted < 1 ? 1 : (int)wanted;
        if (elapsed_ms >= TRIAL_MS / 2)
            break;
    }
    return trial->iterations;
}

double trial_rate(struct attune_target *target, const struct trial *trial, int repeats)
{
    struct trial sized = *trial;
    double elapsed_ms, best = 0;
    if (!size_trial(target, &sized))
        return 0;
    for (int i = 0; i < repeats; i++) {
        double rate = trial_run(target, &sized, &elapsed_ms, NULL);
        best = rate > best ? rate : best;
    }
    return best;
}
