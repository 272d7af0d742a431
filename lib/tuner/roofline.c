/* SPDX-License-Identifier: Apache-2.0 */
#include "roofline.h"

#include <stdio.h>
#include <string.h>

#include "probe.h"

#define REPEATS 2 /* the better of two; there are peaks around every round */
#define MAX_LOOKS 5

static bool uses_dot(const struct attune_target *target, const attune_problem *problem)
{
    const attune_attention_desc *desc = attune_problem_desc(problem);
    return desc->precision == ATTUNE_FAST && desc->kv_dtype == ATTUNE_BF16 &&
           target->choice.limits.features & FEATURE_BF16_DOT;
}

static double larger(double a, double b)
{
    return a > b ? a : b;
}

double peaks_contract_gflops(const struct peaks *peaks, const char **reading)
{
    bool dot = peaks->dot_gflops > peaks->fma_gflops;
    if (reading)
        *reading = dot ? "dot.bf16" : "fma.fp32";
    return dot ? peaks->dot_gflops : peaks->fma_gflops;
}

/* Lanes with the highest rate, from the probe or found now. */
static int32_t best_width(struct attune_target *target)
{
    double best = 0;
    for (int32_t vec = 1, known = target->fma_vec; vec <= 16 && !known; vec *= 2) {
        char name[16];
        snprintf(name, sizeof name, "fma.fp32x%d", (int)vec);
        double rate = probe_reading(&target->probe, name);
        if (!target->probe.num_readings)
            rate = vec == 2 || vec == 8 ? 0 : fma_rate(target, vec, 2);
        if (rate > best || !target->fma_vec) {
            best = rate;
            target->fma_vec = vec;
        }
    }
    return target->fma_vec;
}

/* The largest footprint of a reading that a problem of so many bytes fills. */
static int64_t footprint_of(double bytes)
{
    int64_t footprint = SMALLEST_FOOTPRINT;
    while (footprint < LARGEST_FOOTPRINT && 2 * (double)footprint <= bytes)
        footprint *= 2;
    return footprint;
}

/* A probe's reading may be of a busy moment. */
static void raise_reading(struct attune_target *target, int64_t footprint, double rate)
{
    char name[32];
    footprint_name(footprint, name, sizeof name);
    for (int32_t i = 0; i < target->probe.num_readings; i++)
        if (!strcmp(target->probe.readings[i].name, name))
            target->probe.readings[i].value = larger(target->probe.readings[i].value, rate);
}

bool peaks_measure(struct attune_target *target, const attune_problem *problem, struct peaks *out)
{
    out->fma_gflops = fma_rate(target, best_width(target), REPEATS);
    bool dot = uses_dot(target, problem);
    int64_t footprint = footprint_of(attune_problem_bytes(problem));
    out->dot_gflops = dot ? instruction_rate(target, "dot.bf16", REPEATS) * 1e-9 : 0;
    out->read_gbps = read_rate(target, footprint, REPEATS);
    target->best.fma_gflops = larger(target->best.fma_gflops, out->fma_gflops);
    raise_reading(target, footprint, out->read_gbps);
    target->best.dot_gflops = larger(target->best.dot_gflops, out->dot_gflops);
    return out->fma_gflops > 0 && (!dot || out->dot_gflops > 0) && out->read_gbps > 0;
}

double roofline_ms(const attune_problem *problem, const struct peaks *peaks)
{
    double gflops = peaks_contract_gflops(peaks, NULL);
    if (gflops <= 0 || peaks->read_gbps <= 0)
        return 0;
    double compute = attune_problem_flops(problem) / gflops * 1e-6;
    double memory = attune_problem_bytes(problem) / peaks->read_gbps * 1e-6;
    return larger(compute, memory);
}

/* Runs in a row find in the caches what fits there. Without a probe's readings by footprint, reads take no time. */
static double read_ms(const struct attune_target *target, const attune_problem *problem)
{
    double bytes = attune_problem_bytes(problem), rate = 0;
    for (int64_t footprint = footprint_of(bytes); footprint <= LARGEST_FOOTPRINT; footprint *= 2) {
        char name[32];
        footprint_name(footprint, name, sizeof name);
        rate = larger(rate, probe_reading(&target->probe, name));
    }
    return rate > 0 ? bytes / rate * 1e-6 : 0;
}

static double floor_ms(const struct attune_target *target, const attune_problem *problem)
{
    double gflops = target->best.fma_gflops;
    if (uses_dot(target, problem))
        gflops = larger(gflops, target->best.dot_gflops);
    double compute = gflops > 0 ? attune_problem_flops(problem) / gflops * 1e-6 : 0;
    return larger(compute, read_ms(target, problem));
}

bool roofline_impossible(struct attune_target *target, const attune_problem *problem, double time_ms, char *text,
                         size_t size)
{
    double floor = floor_ms(target, problem);
    for (int i = 0; i < MAX_LOOKS && time_ms < ROOFLINE_MARGIN * floor; i++) {
        struct peaks now; /* raises what the floor rests on */
        peaks_measure(target, problem, &now);
        floor = floor_ms(target, problem);
    }
    if (time_ms >= ROOFLINE_MARGIN * floor)
        return false;
    text_printf(text, size, "%.4g ms is faster than the device can be: %.4g operations and %.4g bytes take %.4g ms",
             time_ms, attune_problem_flops(problem), attune_problem_bytes(problem), floor);
    return true;
}
