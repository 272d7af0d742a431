/* SPDX-License-Identifier: Apache-2.0
 * How fast a device can be: its peaks beside samples, and times that no kernel can reach. */
#ifndef ATTUNE_TUNER_ROOFLINE_H
#define ATTUNE_TUNER_ROOFLINE_H

#include "target.h"

/* What is faster than this times the least time that the peaks permit is no result: peaks are measured, and vary. */
#define ROOFLINE_MARGIN 0.9

struct peaks {
    double fma_gflops; /* fp32 multiply-adds */
    double dot_gflops; /* bf16 dot products; 0 where the precision contract does not permit them or no probe showed them */
    double read_gbps;  /* at a footprint of the problem's size: repeated runs find in the caches what fits there */
};

/* Of the fastest instruction that the contract permits; *reading (may be NULL) is its name, "fma.fp32" or "dot.bf16". */
double peaks_contract_gflops(const struct peaks *peaks, const char **reading);

/* The worker's peaks now; false where a trial fails. The first call of a target may try several vector widths. The
 * highest rates are kept in the target. */
bool peaks_measure(struct attune_target *target, const attune_problem *problem, struct peaks *out);

/* Time that the contract's peak and the read bandwidth permit; 0 = not known. */
double roofline_ms(const attune_problem *problem, const struct peaks *peaks);

/* Whether a kernel's time is less than 0.9 of what the device's best known rates permit: those of the probe and of
 * every peaks_measure since, reads counting at the rate of a footprint of the problem's size. A suspicion is first
 * checked with rates measured now, several times. Writes the reason to text[size]. */
bool roofline_impossible(struct attune_target *target, const attune_problem *problem, double time_ms, char *text,
                         size_t size);

#endif
