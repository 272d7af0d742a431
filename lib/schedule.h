/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ATTUNE_SCHEDULE_H
#define ATTUNE_SCHEDULE_H

#include "plan.h"

/* What an item of one segment covers. */
struct segment_shape {
    int32_t tile_tokens, tile_heads;
};

/* One of the two buffers that updates fill in turn. */
struct schedule_buffer {
    cl_mem device;
    int32_t *host;    /* staging; lives until `written` is complete */
    cl_event written; /* of the upload; NULL before the first */
};

struct attune_schedule {
    attune_context *context;
    attune_attention_desc desc;
    char signature[HASH_HEX_SIZE]; /* of the plans that it serves */
    int32_t page_size; /* of the KV cache; 0 without one */
    int32_t max_batch;
    int64_t max_q_tokens, capacity_words;
    int32_t num_segments;
    struct segment_shape segments[SCHEDULE_MAX_SEGMENTS];
    /* The plan's decision table: plan_config_for() on a copy of the plan's points. */
    struct attune_plan table;
    uint8_t *segment_of; /* [max_batch] */
    struct schedule_buffer buffers[2];
    int current; /* buffer of the last update; -1 before the first */
    /* Of the last update: */
    int32_t batch;
    int32_t items[SCHEDULE_MAX_SEGMENTS];
    int64_t q_tokens, new_tokens, cached_tokens, cached_pages;
    int64_t widest_pages; /* of one sequence */
};

#endif
