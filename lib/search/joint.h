/* SPDX-License-Identifier: Apache-2.0
 * What strategies with a model of (configuration, workload) pairs have in common: whose turn it is, the tests before
 * the first model, and what times of a workload are relative to. */
#ifndef ATTUNE_SEARCH_JOINT_H
#define ATTUNE_SEARCH_JOINT_H

#include "strategy.h"

/* Share of each workload in the tests to come. */
struct joint_turns {
    double gain[SEARCH_MAX_WORKLOADS]; /* predicted when last looked at: log2, 0 to 1 */
    double credit[SEARCH_MAX_WORKLOADS];
};

/* Weighted round robin over the workloads that have open pairs. */
int32_t joint_next_workload(const struct search *search, struct joint_turns *turns);

/* Whether workload has had fewer than its share of num_filling tests. Seeds count: the model learns from
 * them, and beside them few of the space's far corners are worth a test. */
bool joint_filling_is_due(const struct search *search, int32_t workload, int32_t num_filling);
/* The random open pair that is farthest from every sample. Without seeds each workload starts with the same
 * configuration, so that the references compare. */
void joint_propose_filling(struct search *search, int32_t workload, struct pick *pick);

/* reference[num_workloads], fixed-point log2: the median over each workload's seeds, or its first test where it has
 * none: the same configurations for all, if feasible. */
void joint_references(const struct search *search, int32_t *reference);

#endif
