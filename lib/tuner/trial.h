/* SPDX-License-Identifier: Apache-2.0
 * One trial of a probe: a kernel in the worker, timed by the supervisor. */
#ifndef ATTUNE_TUNER_TRIAL_H
#define ATTUNE_TUNER_TRIAL_H

#include "target.h"

struct trial {
    const char *op; /* "probe" or "instruction" */
    const char *name;
    int vec;
    int iterations; /* to begin with; 0 = 20 */
    int launches;
    int64_t size; /* read: bytes of the footprint; private: bytes of a work-item */
};

/* Work per second of one request, or 0 with the session's reason. out (may be NULL) gets the reply, or NULL. */
double trial_run(struct attune_target *target, const struct trial *trial, double *elapsed_ms, json_t **out);

/* Builds, finds the iterations that last long enough, and takes the best of `repeats`; or 0 with the session's reason.
 */
double trial_rate(struct attune_target *target, const struct trial *trial, int repeats);

#endif
