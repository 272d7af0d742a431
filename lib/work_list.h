/* SPDX-License-Identifier: Apache-2.0
 * The work list of a step (kernels/abi.clh) from lengths, by the rules of kernels/schedule_rules.clh. Needs no OpenCL.
 */
#ifndef ATTUNE_WORK_LIST_H
#define ATTUNE_WORK_LIST_H

#include <stdbool.h>
#include <stddef.h>

#include <attune/attune.h>

#include "schedule_rules.clh"

/* What an item of one segment covers, and how the segment's keys are split. */
struct segment_shape {
    int32_t tile_tokens, tile_heads;
    int32_t split_keys; /* least keys of a split; 0 = cannot split */
    int32_t num_groups; /* of the grid */
};

/* All that a list depends on beside a step's lengths. */
struct work_list_rules {
    attune_operation operation;
    struct mask_rules mask;
    bool cached; /* DECODE: keys lie in a KV cache */
    int32_t num_q_heads;
    int32_t num_segments;
    struct segment_shape segments[SCHEDULE_MAX_SEGMENTS];
    int32_t max_batch, max_kv_len;
    int64_t max_q_tokens;
    int64_t max_kv_tokens; /* of a step; 0 = max_batch * max_kv_len */
    int32_t fixed_split; /* keys of every split; 0 = by load */
};

/* Most that a step within the rules' maxima can need. */
struct work_list_bounds {
    int64_t words, partial_rows;
};

/* False where that exceeds 32 bits. */
bool work_list_bounds(const struct work_list_rules *rules, struct work_list_bounds *out);

/* A step: within the maxima, no length negative. */
struct step {
    int32_t batch;
    const int32_t *q_len, *kv_len; /* [batch] */
    const uint8_t *segment_of;     /* [batch] */
};

struct work_list {
    size_t words;
    int32_t items[SCHEDULE_MAX_SEGMENTS];
    int32_t merge_rows; /* queries of split sequences */
    int64_t partial_rows;
};

/* Of kv_len keys, those that are contiguous rows of k and v. */
int32_t work_list_new_keys(const struct work_list_rules *rules, int32_t q_len, int32_t kv_len);

/* Fills words[bounds.words]. */
void work_list_write(const struct work_list_rules *rules, const struct step *step, int32_t *words,
                     struct work_list *out);

#endif
