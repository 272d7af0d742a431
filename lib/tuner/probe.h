/* SPDX-License-Identifier: Apache-2.0
 * The device's peaks, measured beside samples. */
#ifndef ATTUNE_TUNER_PROBE_H
#define ATTUNE_TUNER_PROBE_H

#include "target.h"

/* fp32 multiply-add rate with the best vector width, and read bandwidth, of the session's worker now: 0 where a trial
 * fails. The first call of a target tries several widths. */
void probe_peaks(struct attune_target *target, double *fma_gflops, double *read_gbps);

/* Adds the optional instructions that run and are right, and the best way to widen fp16. */
void probe_instructions(struct attune_target *target, struct probe_facts *facts);

/* Time that the roofline of the two rates permits; 0 = not known. */
double roofline_ms(const attune_problem *problem, double fma_gflops, double read_gbps);

#endif
