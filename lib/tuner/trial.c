/* SPDX-License-Identifier: Apache-2.0 */
#include "trial.h"

/* A trial lasts so long that the request's own time does not matter, and not so long that other processes' turns must
 * fall into it. */
#define TRIAL_MS 5.0
#define MAX_SIZINGS 8
#define FIRST_ITERATIONS 20
#define MAX_ITERATIONS 100000000

double trial_run(struct attune_target *target, const struct trial *trial, double *elapsed_ms, json_t **out)
{
    json_t *reply;
    json_t *request =
        json_pack("{s:s,s:s,s:i,s:i,s:i,s:I}", "op", trial->op, "trial", trial->name, "vec", trial->vec, "iterations",
                  trial->iterations, "launches", trial->launches, "size", (json_int_t)trial->size);
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

/* Iterations that would have lasted TRIAL_MS. */
static int sized(int iterations, double elapsed_ms)
{
    double wanted = iterations * TRIAL_MS / elapsed_ms;
    return wanted > MAX_ITERATIONS ? MAX_ITERATIONS : wanted < 1 ? 1 : (int)wanted;
}

/* Begins with few iterations, since a slow device must not run for minutes. A run that was disturbed has too few sized
 * after it, which shows in the next one; so runs that are too short do not count, as long as there is hope. */
double trial_rate(struct attune_target *target, const struct trial *trial, int repeats)
{
    struct trial now = *trial;
    double elapsed_ms, best = 0;
    if (!now.iterations)
        now.iterations = FIRST_ITERATIONS;
    trial_run(target, &now, &elapsed_ms, NULL); /* compiles */
    for (int counted = 0, attempts = 0; counted < repeats; attempts++) {
        double rate = trial_run(target, &now, &elapsed_ms, NULL);
        if (rate <= 0)
            return best;
        bool lasts = elapsed_ms >= TRIAL_MS / 2 || now.iterations == MAX_ITERATIONS;
        if (attempts == 0 || (!lasts && attempts < repeats + MAX_SIZINGS)) {
            now.iterations = sized(now.iterations, elapsed_ms);
            continue;
        }
        best = rate > best ? rate : best;
        counted++;
    }
    return best;
}
