/* SPDX-License-Identifier: Apache-2.0
 * What attune_attention_run and attune_merge_states share: the launcher. */
#ifndef ATTUNE_RUN_H
#define ATTUNE_RUN_H

#include "plan.h"
#include "validate.h"

struct attune_launcher {
    const struct attune_plan *plan;
    cl_kernel kernels[PLAN_MAX_CONFIGS];
    cl_kernel merge, merge_states;
    struct validator validator;
};

#endif
