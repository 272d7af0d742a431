/* SPDX-License-Identifier: Apache-2.0
 * What attune_attention_run and attune_merge_states share: the launcher, and the checks of tensors. */
#ifndef ATTUNE_RUN_H
#define ATTUNE_RUN_H

#include "plan.h"

struct attune_launcher {
    const struct attune_plan *plan;
    cl_kernel kernels[PLAN_MAX_CONFIGS];
    cl_kernel merge, merge_states;
};

/* What one tensor of a run must be. */
struct expected {
    const char *name;
    attune_dtype dtype;
    int64_t tokens, heads, dim;
    int64_t packed_token, packed_head; /* strides that 0 stands for */
    bool required, output;
};

/* Where a tensor starts and how it is strided, for attention_args. */
struct placed {
    abi_i64 offset, stride_token, stride_head;
};

/* Type, strides, offset and extent against the buffer. *at is left alone for a tensor that is not given. */
attune_status check_tensor(const struct attune_context *context, const attune_tensor *t, const struct expected *e,
                           struct placed *at);

#endif
