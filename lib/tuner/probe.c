/* SPDX-License-Identifier: Apache-2.0
 * attune_probe: what a device can do and what things cost there. */
#include "probe.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "roofline.h"
#include "select.h"
#include "trial.h"

#define NUM_WIDTHS 5
#define REPEATS 8
#define LAUNCHES 200
/* Bytes that a read trial begins with, whatever its footprint. */
#define FIRST_BYTES ((int64_t)4 << 20)

static const int32_t widths[NUM_WIDTHS] = {1, 2, 4, 8, 16};

/* Wide loads everywhere on host processors; 16 bytes a work-item elsewhere. */
static int32_t load_width(const struct attune_target *target)
{
    return target->choice.device.type & CL_DEVICE_TYPE_CPU ? 16 : 4;
}

double fma_rate(struct attune_target *target, int32_t vec, int repeats)
{
    struct trial trial = {.op = "probe", .name = "fma", .vec = vec, .launches = 1};
    return trial_rate(target, &trial, repeats) * 1e-9;
}

double read_rate(struct attune_target *target, int64_t footprint, int repeats)
{
    struct trial trial = {.op = "probe",
                          .name = "read",
                          .vec = load_width(target),
                          .launches = 1,
                          .size = footprint,
                          .iterations = footprint < FIRST_BYTES ? (int)(FIRST_BYTES / footprint) : 1};
    return trial_rate(target, &trial, repeats) * 1e-9;
}

double instruction_rate(struct attune_target *target, const char *name, int repeats)
{
    struct trial trial = {.op = "instruction", .name = name, .launches = 1};
    return trial_rate(target, &trial, repeats);
}

void footprint_name(int64_t footprint, char *text, size_t size)
{
    bool small = footprint < 1 << 20;
    snprintf(text, size, "read.%lld%s", (long long)(footprint >> (small ? 10 : 20)), small ? "KiB" : "MiB");
}

/* ---- readings */

/* Compilers' words end up in files and on terminals. */
static void copy_plain(char *out, size_t size, const char *text)
{
    copy_string(out, size, text);
    for (; *out; out++)
        *out = (unsigned char)*out < 0x20 || (unsigned char)*out > 0x7e ? '?' : *out;
}

void add_reading(struct probing *probing, const char *name, double value, const char *unit, const char *note)
{
    attune_probe_result *out = probing->out;
    if (out->num_readings == ATTUNE_PROBE_MAX_READINGS)
        return;
    attune_probe_reading *reading = &out->readings[out->num_readings++];
    copy_string(reading->name, sizeof reading->name, name);
    copy_string(reading->unit, sizeof reading->unit, unit);
    copy_plain(reading->note, sizeof reading->note, note);
    reading->value = value > 0 ? value : 0;
}

void add_expected(struct probing *probing, const char *name, double value, const char *unit)
{
    const char *reason = probing->target->session.reason;
    if (value > 0) {
        add_reading(probing, name, value, unit, "");
        return;
    }
    if (!reason[0])
        reason = "took no time";
    add_reading(probing, name, 0, unit, reason);
    char *failures = probing->out->failures;
    size_t used = strlen(failures);
    snprintf(failures + used, sizeof probing->out->failures - used, "%s%s: %s", used ? "; " : "", name, reason);
}

/* ---- trials that every device should pass */

static void probe_fma(struct probing *probing)
{
    attune_probe_result *out = probing->out;
    for (int i = 0; i < NUM_WIDTHS; i++) {
        char name[16];
        snprintf(name, sizeof name, "fma.fp32x%d", (int)widths[i]);
        out->fma_gflops[i] = fma_rate(probing->target, widths[i], REPEATS);
        add_expected(probing, name, out->fma_gflops[i], "GFLOP/s");
        if (out->fma_gflops[i] <= out->fma_peak_gflops)
            continue;
        out->fma_peak_gflops = out->fma_gflops[i];
        probing->target->fma_vec = widths[i];
    }
}

static void probe_reads(struct probing *probing)
{
    int64_t limit = probing->target->choice.device.max_alloc_bytes / 2; /* of a worker's buffer, too */
    if (!limit || limit > LARGEST_FOOTPRINT)
        limit = LARGEST_FOOTPRINT;
    for (int64_t footprint = SMALLEST_FOOTPRINT; footprint <= limit; footprint *= 2) {
        char name[32];
        footprint_name(footprint, name, sizeof name);
        probing->out->read_gbps = read_rate(probing->target, footprint, REPEATS);
        add_expected(probing, name, probing->out->read_gbps, "GB/s");
    }
}

static double rate_of(struct probing *probing, const char *name)
{
    struct trial trial = {.op = "probe", .name = name, .vec = load_width(probing->target), .launches = 1};
    return trial_rate(probing->target, &trial, REPEATS);
}

/* What groups do within: local memory, barriers, and loops between them. */
static void probe_groups(struct probing *probing)
{
    attune_probe_result *out = probing->out;
    out->local_gbps = rate_of(probing, "local") * 1e-9;
    add_expected(probing, "local.read", out->local_gbps, "GB/s");
    double barriers = rate_of(probing, "barrier");
    out->barrier_ns = barriers > 0 ? 1e9 / barriers : 0;
    add_expected(probing, "barrier", out->barrier_ns, "ns");
    double uniform = rate_of(probing, "loop_uniform"), opaque = uniform > 0 ? rate_of(probing, "loop_opaque") : 0;
    out->opaque_loop_gain = opaque > 0 ? opaque / uniform : 0;
    add_expected(probing, "loop.opaque_gain", out->opaque_loop_gain, "ratio");
    if (out->opaque_loop_gain >= 2)
        out->features |= FEATURE_OPAQUE_LOOPS;
}

static void probe_launch(struct probing *probing)
{
    attune_probe_result *out = probing->out;
    struct trial trial = {.op = "probe", .name = "empty", .vec = 1, .launches = 1};
    double elapsed_ms;
    json_t *reply = NULL;
    trial_run(probing->target, &trial, &elapsed_ms, NULL);
    trial.launches = LAUNCHES;
    trial_run(probing->target, &trial, &elapsed_ms, &reply);
    out->launch_us = elapsed_ms * 1e3 / trial.launches;
    out->enqueue_us = (double)json_integer_value(json_object_get(reply, "enqueue_ns")) * 1e-3 / trial.launches;
    add_expected(probing, "launch", out->launch_us, "us");
    add_expected(probing, "enqueue", out->enqueue_us, "us");
    json_decref(reply);
}

static void probe_timer(struct probing *probing)
{
    struct trial trial = {.op = "probe", .name = "timer", .vec = 1};
    double elapsed_ms;
    json_t *reply;
    trial_run(probing->target, &trial, &elapsed_ms, &reply);
    probing->out->timer_ns = (double)json_integer_value(json_object_get(reply, "timer_ns"));
    add_expected(probing, "timer", probing->out->timer_ns, "ns");
    json_decref(reply);
}

/* ---- */

/* For this target, and for contexts and targets that come after. */
static attune_status keep(struct probing *probing)
{
    struct attune_target *target = probing->target;
    const attune_probe_result *out = probing->out;
    struct probe_record *record = calloc(1, sizeof *record);
    if (!record)
        return set_error(ATTUNE_ERROR_OUT_OF_MEMORY, "out of memory for a probe");
    record->facts = (struct probe_facts){(int32_t)out->features, probing->half_load, out->max_work_group_size};
    record->num_readings = out->num_readings;
    memcpy(record->readings, out->readings, sizeof record->readings);
    struct cache_key key = {0};
    select_device_key(&target->choice, &key);
    attune_status status = target_apply_probe(target, record);
    attune_status stored = cache_probe_store(target->cache, &key, record);
    if (status == ATTUNE_OK)
        status = stored;
    free(record);
    return status;
}

attune_status target_probe(struct attune_target *target, attune_probe_result *out)
{
    memset(out, 0, sizeof *out);
    attune_status status = target_ensure(target);
    if (status != ATTUNE_OK)
        return status;
    struct probing probing = {target, out, HALF_LOAD_INTEGER};
    probe_fma(&probing);
    probe_instructions(&probing);
    if (out->bf16_dot_gflops > out->fma_peak_gflops)
        out->features |= FEATURE_BF16_DOT_FAST;
    probe_reads(&probing);
    probe_groups(&probing);
    probe_launch(&probing);
    probe_timer(&probing);
    probe_limits(&probing);
    /* A device that does not even multiply is in no state to be remembered. */
    status = out->fma_peak_gflops > 0 && out->read_gbps > 0
                 ? keep(&probing)
                 : set_error(ATTUNE_ERROR_NOT_VERIFIED, "the device could not be measured, and nothing is kept: %s",
                             out->failures);
    out->device = target->info;
    return status;
}

attune_status attune_probe(attune_target *target, attune_probe_result *out)
{
    if (!target || !out)
        return set_error(ATTUNE_ERROR_NULL_ARGUMENT, "%s is NULL", target ? "out" : "target");
    attune_status status = target_check_storage(target);
    return status == ATTUNE_OK ? target_probe(target, out) : status;
}
