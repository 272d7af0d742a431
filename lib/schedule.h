/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ATTUNE_SCHEDULE_H
#define ATTUNE_SCHEDULE_H

#include "plan.h"
#include "work_list.h"

/* Configurations of the buckets of one number of heads: those of plan_config_for(), as they are asked for. */
struct bucket_memo {
    int32_t log2_heads;    /* -1: empty */
    uint8_t config[4][32]; /* [q_class][log2_kv]; PLAN_MAX_CONFIGS = not asked yet */
};

/* One of the two buffers that updates fill in turn. */
struct schedule_buffer {
    cl_mem device;
    int32_t *host;    /* staging; lives until `written` is complete */
    cl_event written; /* of the upload; NULL before the first */
};

struct attune_schedule {
    attune_context *context;
    char signature[HASH_HEX_SIZE]; /* of the plans that it serves */
    int32_t page_size;             /* of the KV cache; 0 without one */
    struct work_list_rules rules;
    struct work_list_bounds bounds;
    /* The plan's decision table: plan_config_for() on a copy of the plan's points. */
    struct attune_plan table;
    struct bucket_memo memo;
    uint8_t *segment_of; /* [max_batch] */
    struct schedule_buffer buffers[2];
    int current; /* buffer of the last update; -1 before the first */
    /* Of the last update: */
    int32_t batch;
    struct work_list list;
    int64_t q_tokens, new_tokens, cached_tokens, cached_pages;
    int64_t widest_pages; /* of one sequence */
};

#endif
