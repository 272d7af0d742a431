/* SPDX-License-Identifier: Apache-2.0
 * What attune_attention_run and attune_merge_states share: the launcher; and what recordings share with them. */
#ifndef ATTUNE_RUN_H
#define ATTUNE_RUN_H

#include "kv_cache.h"
#include "launch.h"
#include "plan.h"
#include "tensor.h"
#include "validate.h"

struct attune_launcher {
    const struct attune_plan *plan;
    cl_kernel kernels[PLAN_MAX_CONFIGS];
    cl_kernel merge, merge_states;
    struct kv_command convert; /* where the plan converts new rows */
    struct validator validator;
};

/* MISMATCH unless schedule was made for plan or its equal. */
attune_status run_check_pair(const struct attune_plan *plan, const struct attune_schedule *schedule);

/* Checks every tensor of a run of the schedule's list, also against those of the set, and fills the kernels' arguments
 * but for segment and num_groups; convert: what must be done before. */
attune_status run_bind(struct tensor_set *set, const struct attune_plan *plan, const struct attune_schedule *schedule,
                       const attune_attention_args *in, struct launch_memory *memory, struct attention_args *out,
                       struct kv_convert *convert);

attune_status run_is_out_of_order(cl_command_queue queue, bool *out);

/* Memory arguments of the kernel merge. */
extern const enum launch_arg run_merge_order[MERGE_NUM_MEMORY];

#endif
