/* SPDX-License-Identifier: Apache-2.0 */
#include "probe.h"

#include "select.h"
#include "trial.h"

#include <stdio.h>
#include <string.h>

#define NUM_WIDTHS 5

static const int widths[NUM_WIDTHS] = {1, 2, 4, 8, 16};

static double fma_rate(struct attune_target *target, int vec, int repeats)
{
    struct trial trial = {.op = "probe", .name = "fma", .vec = vec, .launches = 1};
    return trial_rate(target, &trial, repeats) * 1e-9;
}

/* Wide loads everywhere: bandwidth does not depend on more than that. */
static double read_rate(struct attune_target *target, int repeats)
{
    bool host = target->choice.device.type & CL_DEVICE_TYPE_CPU;
    struct trial trial = {.op = "probe", .name = "read", .vec = host ? 16 : 4, .launches = 1};
    double elapsed_ms, best = 0;
    trial_run(target, &trial, &elapsed_ms, NULL);
    for (int i = 0; i < repeats; i++) {
        double rate = trial_run(target, &trial, &elapsed_ms, NULL);
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
    struct trial trial = {.op = "probe", .name = "empty", .vec = 1, .launches = 1};
    double elapsed_ms;
    json_t *reply = NULL;
    trial_run(target, &trial, &elapsed_ms, NULL);
    trial.launches = 200;
    trial_run(target, &trial, &elapsed_ms, &reply);
    out->launch_us = elapsed_ms * 1e3 / trial.launches;
    out->enqueue_us = (double)json_integer_value(json_object_get(reply, "enqueue_ns")) * 1e-3 / trial.launches;
    if (!reply)
        note_failure(out, target, "launch");
    json_decref(reply);
}

/* For contexts and tuners that come after. */
static void keep(struct attune_target *target, const struct probe_facts *facts)
{
    struct cache_key key = {0};
    select_device_key(&target->choice, &key);
    if (cache_probe_store(target->cache, &key, facts) != ATTUNE_OK)
        log_message(&target->logger, ATTUNE_LOG_WARNING, "what the probe showed is not kept: %s", attune_last_error());
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
    struct trial timer = {.op = "probe", .name = "timer", .vec = 1};
    double elapsed_ms;
    json_t *reply;
    trial_run(target, &timer, &elapsed_ms, &reply);
    out->timer_ns = (double)json_integer_value(json_object_get(reply, "timer_ns"));
    if (!reply)
        note_failure(out, target, "timer");
    json_decref(reply);
    struct probe_facts facts = {0};
    probe_instructions(target, &facts);
    out->features = (uint32_t)facts.features;
    if (out->fma_peak_gflops > 0 && (status = target_apply_probe(target, &facts)) == ATTUNE_OK)
        keep(target, &facts);
    return status;
}
