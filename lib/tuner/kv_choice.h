/* SPDX-License-Identifier: Apache-2.0
 * The joint choice of a KV layout: candidates and decision (kv_choice.c), measuring (kv_rounds.c), entry (kv_record.c).
 */
#ifndef ATTUNE_TUNER_KV_CHOICE_H
#define ATTUNE_TUNER_KV_CHOICE_H

#include "problem.h"
#include "target.h"

#define KV_ROUNDS_MAX 1000
#define KV_PROBLEMS_MAX 64

struct kv_choosing {
    struct attune_target *target;
    const attune_problem *const *problems;
    size_t num_problems;
    double weights[KV_PROBLEMS_MAX];
    int32_t page_sizes[4];
    size_t num_page_sizes;
    const attune_kv_choice_options *options;
    int32_t num_layouts;
    struct attune_problem
        layouts[ATTUNE_KV_CANDIDATES_MAX]; /* page size, order and padding of the candidates; nothing else is set */
};

/* Weighted times, [round][candidate] ms: of attention and appending together, and of appending alone. */
struct kv_times {
    int32_t rounds; /* that every problem has */
    double total[KV_ROUNDS_MAX][ATTUNE_KV_CANDIDATES_MAX], append[KV_ROUNDS_MAX][ATTUNE_KV_CANDIDATES_MAX];
};

/* Adds one problem's times to those of the problems before it; first: it is the first. What fails marks its candidate
 * in out. An error is the device's. */
attune_status kv_measure_problem(const struct kv_choosing *choosing, size_t index, struct kv_times *times,
                                 attune_kv_choice *out);

/* Whether the figures permit to choose the layout instead of candidate 0. */
bool kv_may_choose(const attune_kv_candidate *candidate);

/* Figures of the candidates whose outcome is OK, and the choice. The last two thirds of the rounds say which layouts are good
 * enough, all of that right at 95% (Bonferroni); the first third says which of those is taken: the best of many is not judged by
 * what made it the best. */
attune_status kv_decide(const struct kv_times *times, uint64_t seed, attune_kv_choice *out);

/* The entry of a choice, of the kind "layout". find: false on a miss; out's candidates have their layouts already. */
bool kv_record_find(const struct kv_choosing *choosing, attune_kv_choice *out);
attune_status kv_record_store(const struct kv_choosing *choosing, attune_kv_choice *choice);

#endif
