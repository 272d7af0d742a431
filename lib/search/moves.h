/* SPDX-License-Identifier: Apache-2.0
 * Moves from known configurations to others, for the strategies that walk. Results are feasible for the workload as far
 * as the space tells, and may have been told already. */
#ifndef ATTUNE_SEARCH_MOVES_H
#define ATTUNE_SEARCH_MOVES_H

#include "strategy.h"

enum move_step {
    STEP_ANY,     /* to any other value */
    STEP_ADJACENT /* to the next value up or down */
};

/* Of the workloads with open pairs, the one with the fewest tests. */
int32_t move_workload(const struct search *search);

/* The pair's sample; -1 = not told. */
int32_t move_sample(const struct search *search, int32_t config, int32_t workload);

/* A random configuration whose active parameters differ from config's in at most num_changes, and what follows from
 * them: a parameter that becomes active takes a random value. -1 when no draw hits one. */
int32_t move_from(struct search *search, int32_t config, int32_t workload, int32_t num_changes, enum move_step step);

/* Each parameter from one of two configurations, by lot, then each changed with a probability of 1 / mutation (0:
 * none). A child that is not feasible is corrected: it takes one parameter after another, in random order, from the
 * first until it is. -1 where that ends at one of the two. */
int32_t move_cross(struct search *search, int32_t first, int32_t second, int32_t workload, int32_t mutation);

/* Whether a walk goes on from a time of `current` to one of `next` (0 = failed): always if that is less, else with
 * probability exp(-(next - current) / current / temperature). */
bool move_accepted(struct search *search, double current, double next, double temperature);

#endif
