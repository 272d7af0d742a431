/* SPDX-License-Identifier: Apache-2.0
 * The tests of one workload as a recorded space. FAMILY and each family's parameters are one flat list, as Kernel
 * Tuner's files have it: FAMILY by name, the others as FAMILY_PARAM, those of other families at their first value. */
#ifndef ATTUNE_TUNER_RECORDER_H
#define ATTUNE_TUNER_RECORDER_H

#include "target.h"
#include "tuning_space.h"
#include "verify.h"

struct recorder;

/* path: the file, written anew. *out is NULL after an error. */
attune_status recorder_create(const char *path, const struct attune_target *target, const attune_problem *problem,
                              const struct tuning_space *space, struct recorder **out);
void recorder_destroy(struct recorder *recorder);

struct recorded_test {
    const int32_t *values; /* of the tuning space */
    attune_outcome outcome;
    const double *samples; /* ms */
    int32_t num_samples;
    double build_ms, verify_ms, sample_ms; /* what the test's parts took */
};

/* Adds a test; writes what there is now and then. */
attune_status recorder_add(struct recorder *recorder, const struct recorded_test *test);
/* Writes the file. partial: the space has more configurations. Nothing is written where there was no test. */
attune_status recorder_write(struct recorder *recorder, bool partial);

#endif
