/* SPDX-License-Identifier: Apache-2.0
 * What recordings need of the operations on a KV cache. */
#ifndef ATTUNE_KV_CACHE_H
#define ATTUNE_KV_CACHE_H

#include "context.h"

/* An append as a kernel object of its own, with all arguments set. The launcher may go before it. */
struct kv_command {
    cl_kernel kernel; /* NULL: no tokens, nothing to do */
    size_t global, local;
};

/* Errors: those of attune_kv_append; WRONG_CONTEXT for a launcher of another context. */
attune_status kv_append_command(const attune_context *context, attune_kv_launcher *launcher,
                                const attune_kv_append_args *args, struct kv_command *out);

#endif
