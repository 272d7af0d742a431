/* SPDX-License-Identifier: Apache-2.0
 * First-improvement descent through the one-parameter neighbours of a configuration, in random order, and kicks out of
 * local optima: the walk of iterated local search, for one workload. */
#ifndef ATTUNE_SEARCH_DESCENT_H
#define ATTUNE_SEARCH_DESCENT_H

#include "strategy.h"

struct descent {
    int32_t current; /* sample; -1 = none: the next that did not fail, as after a kick */
};

/* An open neighbour of the current configuration; without any, the best of the workload with num_changes parameters
 * changed. False where there is neither. */
bool descent_propose(struct descent *descent, struct search *search, int32_t workload, int32_t num_changes,
                     struct pick *pick);
/* Goes on from the last sample if it is better than the current one, or there is none. */
void descent_told(struct descent *descent, const struct search *search);

#endif
