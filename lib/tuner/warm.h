/* SPDX-License-Identifier: Apache-2.0
 * Compiled kernels for the caches, made by workers side by side. */
#ifndef ATTUNE_TUNER_WARM_H
#define ATTUNE_TUNER_WARM_H

#include "target.h"

/* attune_warm without its checks. */
attune_status warm_problems(struct attune_target *target, const attune_problem *const *problems, size_t num_problems,
                            const attune_warm_options *options, attune_warm_result *out);

#endif
