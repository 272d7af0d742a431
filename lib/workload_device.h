/* SPDX-License-Identifier: Apache-2.0
 * A workload in device memory, ready to be run by any plan for its problem. For the worker and the tests. */
#ifndef ATTUNE_WORKLOAD_DEVICE_H
#define ATTUNE_WORKLOAD_DEVICE_H

#include "workload.h"

/* Bytes before and behind o, lse and the workspace that nothing may write. */
#define OUTPUT_GUARD ((size_t)256)

struct workload_device {
    attune_kv_layout *layout;   /* NULL without a cache */
    attune_attention_args args; /* owns its buffers */
    size_t o_bytes, lse_bytes;  /* of the buffers, guards included */
    size_t workspace_bytes;     /* that the runs to come need, between guards; 0: none */
    size_t workspace_room;      /* that there are between the guards' places */
};

/* Uploads workload; o and lse have the geometry of workload->o, packed lse. */
attune_status workload_device_create(attune_context *context, const attune_problem *problem,
                                     const struct workload *workload, struct workload_device *out);
void workload_device_destroy(struct workload_device *device);

/* Sees to it that there is a workspace for runs of plan with schedule; a new one is filled with NaN. None is made where
 * 0 bytes are needed. May block. */
attune_status workload_device_workspace(attune_context *context, const attune_plan *plan,
                                        const attune_schedule *schedule, cl_command_queue queue,
                                        struct workload_device *device);

/* Fills o and lse, guards included, with bytes drawn from seed, and the workspace, guards included, with NaN. Blocks.
 */
attune_status workload_device_poison(struct workload_device *device, cl_command_queue queue, uint64_t seed);

/* Reads o and lse into packed arrays o[q_tokens, heads, head_dim_vo] (widened to float) and lse[q_tokens, heads].
 * *intact is false if anything outside the tensors' elements and the workspace is not the poison of seed any more.
 * Blocks. */
attune_status workload_device_read(const struct workload_device *device, const attune_problem *problem,
                                   const struct workload *workload, cl_command_queue queue, uint64_t seed, float *o,
                                   float *lse, bool *intact);

#endif
