/* SPDX-License-Identifier: Apache-2.0
 * Checks of the tensors that a caller hands in, before anything is enqueued. */
#ifndef ATTUNE_TENSOR_H
#define ATTUNE_TENSOR_H

#include "abi.clh"
#include "layout.h"
#include "overlap.h"

/* int32 has the size of fp32, which is all that the checks ask of a dtype. */
#define DTYPE_INT32 ATTUNE_FP32

/* What one tensor of a run must be. */
struct expected {
    const char *name;
    attune_dtype dtype;
    int64_t tokens, heads, dim;
    int64_t packed_token, packed_head; /* strides that 0 stands for */
    bool required, output;
    uint32_t shares; /* bits of earlier tensors of the set whose very rows it may have, though one is written */
};

/* Where a tensor starts and how it is strided, for a kernel's arguments. */
struct placed {
    abi_i64 offset, stride_token, stride_head; /* elements */
};

/* More than any call has: 13. */
#define TENSOR_SET_MAX 16

/* The tensors of one call, in the order in which they were checked; those that are not given count too. */
struct tensor_set {
    const struct attune_context *context;
    int count;
    struct set_member {
        const char *name;
        cl_mem cl;       /* NULL: no buffer */
        size_t size;     /* of the buffer */
        uint64_t origin; /* where the buffer begins in its space */
        struct footprint touched;
        uint32_t shares;
        bool output;
    } of[TENSOR_SET_MAX];
};

static inline void tensor_set_start(struct tensor_set *set, const struct attune_context *context)
{
    set->context = context;
    set->count = 0;
}

/* Checks t, fills at and joins t to the set; leaves at alone where t is ATTUNE_MEMORY_NONE and not required. Errors:
 * MISSING_TENSOR, UNSUPPORTED, NULL_ARGUMENT, STRIDE, OVERFLOW, OFFSET, WRONG_CONTEXT, BUFFER_TOO_SMALL. */
attune_status check_tensor(struct tensor_set *set, const attune_tensor *t, const struct expected *e, struct placed *at);

/* The same of K or V of a cache in layout; of e, name, dim, required, output and shares count. strides are the
 * layout's; with pages of one token, strides of the tensor itself replace them. Errors: those above, and MISMATCH. */
attune_status check_cache_tensor(struct tensor_set *set, const struct attune_kv_layout *layout, const attune_tensor *t,
                                 const struct expected *e, struct kv_strides *strides, struct placed *at);

/* Once all are in the set: OVERLAP where an output touches bytes of another tensor. */
attune_status check_apart(const struct tensor_set *set);

#endif
