/* SPDX-License-Identifier: Apache-2.0
 * Checks of the tensors that a caller hands in, before anything is enqueued. */
#ifndef ATTUNE_TENSOR_H
#define ATTUNE_TENSOR_H

#include "abi.clh"
#include "layout.h"

/* int32 has the size of fp32, which is all that the checks ask of a dtype. */
#define DTYPE_INT32 ATTUNE_FP32

/* What one tensor of a run must be. */
struct expected {
    const char *name;
    attune_dtype dtype;
    int64_t tokens, heads, dim;
    int64_t packed_token, packed_head; /* strides that 0 stands for */
    bool required, output;
};

/* Where a tensor starts and how it is strided, for a kernel's arguments. */
struct placed {
    abi_i64 offset, stride_token, stride_head; /* elements */
};

/* Checks t and fills at; leaves at alone where t is ATTUNE_MEMORY_NONE and not required. Errors: MISSING_TENSOR,
 * UNSUPPORTED, NULL_ARGUMENT, STRIDE, OVERFLOW, OFFSET, WRONG_CONTEXT, BUFFER_TOO_SMALL. */
attune_status check_tensor(const struct attune_context *context, const attune_tensor *t, const struct expected *e,
                           struct placed *at);

/* The same of K or V of a cache in layout; of e, name, dim, required and output count. strides are the layout's; with
 * pages of one token, strides of the tensor itself replace them. Errors: those above, and MISMATCH. */
attune_status check_cache_tensor(const struct attune_kv_layout *layout, const attune_tensor *t,
                                 const struct expected *e, struct kv_strides *strides, struct placed *at);

#endif
