/* SPDX-License-Identifier: Apache-2.0
 * The kernels that join partial results: kernels/merge.cl. */
#ifndef ATTUNE_MERGE_H
#define ATTUNE_MERGE_H

#include "abi.clh"
#include "context.h"

struct merge_program {
    cl_program program;
    int32_t wg_size, num_groups; /* of both kernels */
};

/* What the kernels are compiled for. */
struct merge_facts {
    int32_t head_dim_vo, o_type, causal, half_load;
    int32_t sub_group_size; /* work-groups are so large */
};

/* Builds the program, or takes it from the context, and runs both kernels once on nothing. The caller releases
 * out->program. */
attune_status merge_program_create(attune_context *context, const struct merge_facts *facts, struct merge_program *out);

/* Memory arguments of the kernels, in their order. */
enum { MERGE_NUM_MEMORY = 4, MERGE_STATES_NUM_MEMORY = 6, MERGE_MAX_MEMORY = 6 };

struct merge_memory {
    struct {
        cl_mem cl; /* NULL with svm NULL: the kernel gets a NULL pointer */
        void *svm;
    } arg[MERGE_MAX_MEMORY];
};

/* Sets count memory arguments and the struct behind them, and enqueues. No allocation, no blocking. */
attune_status merge_launch(cl_kernel kernel, const struct merge_program *program, const struct merge_memory *memory,
                           cl_uint count, const void *args, size_t args_size, cl_command_queue queue, cl_uint num_wait,
                           const cl_event *wait, cl_event *event);

#endif
