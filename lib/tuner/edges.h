/* SPDX-License-Identifier: Apache-2.0
 * The small problems that a configuration is verified on beside its workload: same descriptor and cache, fewer heads.
 */
#ifndef ATTUNE_TUNER_EDGES_H
#define ATTUNE_TUNER_EDGES_H

#include "workload.h"

/* Short, ragged lengths: of one to a few keys, around tiles and vectors, with and without cached prefixes. Owned by the
 * caller, as the next. */
attune_status edges_short(const attune_problem *problem, attune_problem **out);

/* Lengths of the short problem's values: pattern and magnitude. Logits are of a few units, about +-1e3 and beyond 1e4;
 * a dominant key's are 20, 200 and 1e4. */
#define NUM_EDGE_SETS 8
struct workload_options edge_options(int set);

/* One sequence at the upper end of the lengths that a cache entry for problem answers, or as far as is affordable, and
 * many short ones after it. */
attune_status edges_far(const attune_problem *problem, attune_problem **out);
struct workload_options far_options(void);

#endif
