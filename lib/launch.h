/* SPDX-License-Identifier: Apache-2.0
 * Arguments of the `attention` kernel, in the order of abi.clh. */
#ifndef ATTUNE_LAUNCH_H
#define ATTUNE_LAUNCH_H

#include "plan.h"

enum launch_arg {
    LAUNCH_Q,
    LAUNCH_K,
    LAUNCH_V,
    LAUNCH_K_CACHE,
    LAUNCH_V_CACHE,
    LAUNCH_KV_INDPTR,
    LAUNCH_KV_INDICES,
    LAUNCH_O,
    LAUNCH_LSE,
    LAUNCH_WORKSPACE,
    LAUNCH_SCHEDULE,
    LAUNCH_NUM_MEMORY,
    LAUNCH_ARGS = LAUNCH_NUM_MEMORY
};

struct launch_pointer {
    cl_mem cl; /* NULL with svm NULL: the kernel gets a NULL pointer */
    void *svm;
};

struct launch_memory {
    struct launch_pointer arg[LAUNCH_NUM_MEMORY];
};

/* clSetKernelArg or clSetKernelArgSVMPointer. */
cl_int launch_set_pointer(cl_kernel kernel, cl_uint index, const struct launch_pointer *pointer);

/* Sets all arguments and enqueues one configuration. No allocation, no blocking. */
attune_status launch_kernel(cl_kernel kernel, const struct plan_config *config, const struct launch_memory *memory,
                            const struct attention_args *args, cl_command_queue queue, cl_uint num_wait,
                            const cl_event *wait, cl_event *event);

#endif
