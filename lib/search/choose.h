/* SPDX-License-Identifier: Apache-2.0
 * Which few of many configurations serve all shapes with the least loss. */
#ifndef ATTUNE_SEARCH_CHOOSE_H
#define ATTUNE_SEARCH_CHOOSE_H

#include <stdint.h>

/* Most subsets that are tried one by one; above, they are grown greedily and improved by swaps. */
#define CHOOSE_MAX_SUBSETS 20000
#define CHOOSE_MAX 16

/* cost[num_points][num_candidates], not negative: what a point loses if it is served by a candidate; INFINITY = it cannot
 * be. Each point takes the cheapest of the chosen (the first of equals). Chooses at most k (1 to CHOOSE_MAX) candidates,
 * those that no point takes left out, such that the fewest points are not served, among those choices the largest loss
 * of any point is least and, among those, the sum. chosen[k] ascending; assigned[num_points]: a candidate, -1 = not
 * served. Returns how many were chosen. */
int32_t choose_portfolio(const double *cost, int32_t num_points, int32_t num_candidates, int32_t k, int32_t *chosen,
                         int32_t *assigned);

#endif
