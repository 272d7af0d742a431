/* SPDX-License-Identifier: Apache-2.0
 * A check_run whose lengths lie on the device, with a schedule that is exactly large enough for the problem. */
#ifndef ATTUNE_TESTS_DEVICE_RUN_H
#define ATTUNE_TESTS_DEVICE_RUN_H

#include "check.h"

/* Lengths in a buffer of their own, not at its start. Blocks. */
attune_tensor upload_lengths(attune_context *context, const int32_t *values, int32_t count);

struct device_run {
    struct check_run run;
    attune_schedule_options limits; /* of run.schedule */
    attune_tensor q_len, kv_len;
};

attune_status device_run_create(attune_context *context, struct device_run *out, const char *problem,
                                const char *config, int validate);
void device_run_destroy(struct device_run *d);

/* Changes the length of one sequence in lengths. Blocks. */
void device_run_write(struct device_run *d, const attune_tensor *lengths, int32_t seq, int32_t value);

#endif
