/* SPDX-License-Identifier: Apache-2.0
 * What recordings need of the operations on a KV cache. */
#ifndef ATTUNE_KV_CACHE_H
#define ATTUNE_KV_CACHE_H

#include "tensor.h"

/* An append as a kernel object of its own, with all arguments set. The launcher may go before it. */
struct kv_command {
    cl_kernel kernel; /* NULL: no tokens, nothing to do */
    size_t global, local;
};

/* Errors: those of attune_kv_append; WRONG_CONTEXT for a launcher of another context. */
attune_status kv_append_command(const attune_context *context, attune_kv_launcher *launcher,
                                const attune_kv_append_args *args, struct kv_command *out);

/* New rows of K and V for a run of EXTEND, from desc->new_kv_dtype to desc->kv_dtype: compiled once a plan. */
attune_status kv_convert_create(attune_context *context, const attune_attention_desc *desc, attune_kv_launcher **out);

/* Where rows come from and go to. */
struct kv_convert {
    int64_t tokens;                    /* 0: nothing to do */
    const attune_tensor *k, *v;        /* as they are given */
    struct placed k_at, v_at;          /* in their type */
    const attune_tensor *workspace;    /* for both, packed */
    int64_t k_to, v_to;                /* first element there, in the cache's type */
};

/* A kernel object for one thread, without its arguments; and its arguments. */
attune_status kv_convert_kernel(const attune_kv_launcher *launcher, struct kv_command *out);
attune_status kv_convert_set(const attune_kv_launcher *launcher, cl_kernel kernel, const struct kv_convert *convert);

#endif
