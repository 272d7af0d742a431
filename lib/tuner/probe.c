/* SPDX-License-Identifier: Apache-2.0 */
#include "probe.h"

#include <stdio.h>
#include <string.h>

/* A trial lasts so long, that the request's own time does not matter. */
#define TRIAL_MS 10.0
#define FIRST_ITERATIONS 20000
#define MAX_ITERATIONS 100000000
#define NUM_WIDTHS 5

static const int widths[NUM_WIDTHS] = {1, 2, 4, 8, 16};

struct trial {
    const char *name;
    int vec, iterations, launches;
};

/* Work per second of one trial, or 0 with the session's reason. */
static double run_trial(struct attune_target *target, const struct trial *trial, double *elapsed_ms, json_t **out)
{
    json_t *reply;
    json_t *request = json_pack("{s:s,s:s,s:i,s:i,s:i}", "op", "probe", "trial", trial->name, "vec", trial->vec,
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

/* Rate in GFLOP/s: builds, sizes the trial, takes the best of `repeats`. */
static double fma_rate(struct attune_target *target, int vec, int repeats)
{
    struct trial trial = {"fma", vec, FIRST_ITERATIONS, 1};
    double elapsed_ms, best = 0;
    run_trial(target, &trial, &elapsed_ms, NULL); /* compiles */
    double rate = run_trial(target, &trial, &elapsed_ms, NULL);
    if (rate <= 0)
        return 0;
    double wanted = trial.iterations * TRIAL_MS / elapsed_ms;
    trial.iterations = wanted > MAX_ITERATIONS ? MAX_ITERATIONS : wanted < 1 ? 1 : (int)wanted;
    for (int i = 0; i < repeats; i++) {
        rate = run_trial(target, &trial, &elapsed_ms, NULL);
        best = rate > best ? rate : best;
    }
    return best * 1e-9;
}

/* Wide loads everywhere: bandwidth does not depend on more than that. */
static double read_rate(struct attune_target *target, int repeats)
{
    bool host = target->choice.device.type & CL_DEVICE_TYPE_CPU;
    struct trial trial = {"read", host ? 16 : 4, 0, 1};
    double elapsed_ms, best = 0;
    run_trial(target, &trial, &elapsed_ms, NULL);
    for (int i = 0; i < repeats; i++) {
        double rate = run_trial(target, &trial, &elapsed_ms, NULL);
        best = rate > best ? rate : best;
    }
    return best * 1e-9;
}

void probe_peaks(struct attune_target *target, double *fma_gflops, double *read_gbps)
{
    if (!target->fma_vec) {
        double best = 0;
        for (int i = 0; i < NUM_WIDTHS; i += 2) {
            double rate = fma_rate(target, widths[i], 2);
            if (rate > best || !target->fma_vec) {
                best = rate;
                target->fma_vec = widths[i];
            }
        }
    }
    *fma_gflops = fma_rate(target, target->fma_vec, 3);
    *read_gbps = read_rate(target, 3);
}

double roofline_ms(const attune_problem *problem, double fma_gflops, double read_gbps)
{
    if (fma_gflops <= 0 || read_gbps <= 0)
        return 0;
    double compute = attune_problem_flops(problem) / fma_gflops * 1e-6;
    double memory = attune_problem_bytes(problem) / read_gbps * 1e-6;
    return compute > memory ? compute : memory;
}

/* ---- attune_probe */

static void note_failure(attune_probe_result *out, struct attune_target *target, const char *trial)
{
    size_t used = strlen(out->failures);
    snprintf(out->failures + used, sizeof out->failures - used, "%s%s: %s", used ? "; " : "", trial,
             target->session.reason[0] ? target->session.reason : "took no time");
}

static void probe_launch(struct attune_target *target, attune_probe_result *out)
{
    struct trial trial = {"empty", 1, 0, 1};
    double elapsed_ms;
    json_t *reply = NULL;
    run_trial(target, &trial, &elapsed_ms, NULL);
    trial.launches = 200;
    run_trial(target, &trial, &elapsed_ms, &reply);
    out->launch_us = elapsed_ms * 1e3 / trial.launches;
    out->enqueue_us = (double)json_integer_value(json_object_get(reply, "enqueue_ns")) * 1e-3 / trial.launches;
    if (!reply)
        note_failure(out, target, "launch");
    json_decref(reply);
}

attune_status attune_probe(attune_target *target, attune_probe_result *out)
{
    if (!target || !out)
        return set_error(ATTUNE_ERROR_NULL_ARGUMENT, "%s is NULL", target ? "out" : "target");
    memset(out, 0, sizeof *out);
    attune_status status = target_ensure(target);
    if (status != ATTUNE_OK)
        return status;
    out->device = target->info;
    for (int i = 0; i < NUM_WIDTHS; i++) {
        char name[16];
        snprintf(name, sizeof name, "fma%d", widths[i]);
        out->fma_gflops[i] = fma_rate(target, widths[i], 5);
        if (out->fma_gflops[i] <= 0)
            note_failure(out, target, name);
        if (out->fma_gflops[i] > out->fma_peak_gflops) {
            out->fma_peak_gflops = out->fma_gflops[i];
            target->fma_vec = widths[i];
        }
    }
    out->read_gbps = read_rate(target, 5);
    if (out->read_gbps <= 0)
        note_failure(out, target, "read");
    probe_launch(target, out);
    struct trial timer = {"timer", 1, 0, 0};
    double elapsed_ms;
    json_t *reply;
    run_trial(target, &timer, &elapsed_ms, &reply);
    out->timer_ns = (double)json_integer_value(json_object_get(reply, "timer_ns"));
    if (!reply)
        note_failure(out, target, "timer");
    json_decref(reply);
    return ATTUNE_OK;
}
