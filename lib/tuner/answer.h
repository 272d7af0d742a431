/* SPDX-License-Identifier: Apache-2.0
 * What the caches answer for a problem on a target. */
#ifndef ATTUNE_TUNER_ANSWER_H
#define ATTUNE_TUNER_ANSWER_H

#include "select.h"
#include "target.h"

struct kernel_facts target_facts(const struct attune_target *target, const attune_problem *problem);
/* The whole key of the problem. May ask the worker for the layout's id. */
attune_status target_key(struct attune_target *target, const attune_problem *problem, struct cache_key *key);
/* key and answer are set when OK. */
attune_status target_answer(struct attune_target *target, const attune_problem *problem, struct cache_key *key,
                            struct selection *answer);

#endif
