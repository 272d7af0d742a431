/* SPDX-License-Identifier: Apache-2.0
 * Rates of the session's worker, each the best of so many repeats; 0 where a trial fails, with the session's reason. */
#ifndef ATTUNE_TUNER_PROBE_H
#define ATTUNE_TUNER_PROBE_H

#include "target.h"

/* Bytes of all reads together. */
#define SMALLEST_FOOTPRINT ((int64_t)32 << 10)
#define LARGEST_FOOTPRINT ((int64_t)256 << 20) /* well past any cache */

/* fp32 multiply-adds with so many lanes, in GFLOP/s. */
double fma_rate(struct attune_target *target, int32_t vec, int repeats);
/* Reads of a footprint, in GB/s. */
double read_rate(struct attune_target *target, int64_t footprint, int repeats);
/* Operations per second of an instruction of lib/tuner/instruction.c. */
double instruction_rate(struct attune_target *target, const char *name, int repeats);

/* "read.32KiB" ... */
void footprint_name(int64_t footprint, char *text, size_t size);

/* attune_probe, also where the user's cache cannot be written: IO then, with all that was measured. NOT_VERIFIED: the
 * device could not be measured. */
attune_status target_probe(struct attune_target *target, attune_probe_result *out);

/* ---- parts of attune_probe */

struct probing {
    struct attune_target *target;
    attune_probe_result *out;
    int32_t half_load;
};

/* Appends a reading. A value of 0 gets the given reason as its note. */
void add_reading(struct probing *probing, const char *name, double value, const char *unit, const char *note);
/* Appends a reading that every device should have: a value of 0 is also one of the failures. */
void add_expected(struct probing *probing, const char *name, double value, const char *unit);

/* Which optional instructions run and are right, how fast they are, and the fastest right way to widen fp16. */
void probe_instructions(struct probing *probing);
/* The largest work-group that runs and is right, and how much private memory is fast. */
void probe_limits(struct probing *probing);

#endif
