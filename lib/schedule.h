/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ATTUNE_SCHEDULE_H
#define ATTUNE_SCHEDULE_H

#include "plan.h"
#include "schedule.clh"
#include "tensor.h"
#include "work_list.h"

/* Configurations of the buckets of one number of heads: those of plan_config_for(), as they are asked for. */
struct bucket_memo {
    int32_t log2_heads;                                  /* -1: empty */
    uint8_t config[BUCKET_Q_CLASSES][BUCKET_KV_CLASSES]; /* [q_class][log2_kv]; PLAN_MAX_CONFIGS = not asked yet */
};

/* One of the two lists on the device, and of the two staging buffers, that updates fill in turn. */
struct schedule_buffer {
    cl_mem device;
    int32_t *host;    /* staging; lives until `written` is complete */
    cl_event written; /* of its upload; NULL before the first */
};

/* options.device_lengths: the kernel that writes a list. */
struct schedule_device {
    cl_program program; /* NULL without the option */
    cl_kernel kernel;
    cl_mem scratch[2]; /* of each list */
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
    struct schedule_device device;
    int64_t max_kv_tokens; /* of a step */
    bool has_max_kv_len;
    bool recorded;        /* updates stay in one list, which recordings read */
    bool update_recorded; /* replays write it too: the host's knowledge of it is always maxima */
    int next_staging;     /* of the next update from the host */
    int current;          /* list of the last update; -1 before the first */
    /* Of the last update; maxima where it came from lengths on the device: */
    bool from_device;
    int32_t batch;
    struct work_list list;
    int64_t q_tokens, new_tokens, cached_tokens, cached_pages;
    int64_t widest_pages; /* of one sequence */
};

/* Configuration for a sequence of a step of batch sequences. Where results must not depend on the batch, each is a
 * batch of its own. */
uint8_t schedule_segment(struct attune_schedule *schedule, int32_t batch, int32_t q_len, int32_t kv_len);

/* INVALID_SIZE for lengths that no step may have, with what is wrong with them. */
attune_status schedule_refuse_lengths(const struct attune_schedule *schedule, int32_t i, int32_t q_len, int32_t kv_len);

/* The list that the next update writes. */
int schedule_next_list(const struct attune_schedule *schedule);

/* ---- schedule_device.c */

attune_status schedule_device_create(struct attune_schedule *schedule);
void schedule_device_destroy(struct attune_schedule *schedule);

/* Lengths of a step in device memory. */
struct device_lengths {
    int32_t batch;
    const attune_tensor *q_len, *kv_len; /* int32 [batch] */
};

/* A kernel object that writes lists, and its work-group's size: the grid is that one group. */
attune_status schedule_device_kernel(const struct attune_schedule *schedule, cl_kernel *out);
int32_t schedule_device_group_size(const struct attune_schedule *schedule);

/* Checks lengths, which join the set, and sets the kernel's arguments, to write list 0 or 1. */
attune_status schedule_device_bind(struct tensor_set *set, struct attune_schedule *schedule, cl_kernel kernel, int list,
                                   const struct device_lengths *lengths);

/* Makes the last update one of batch sequences of which the host knows maxima only. */
void schedule_assume_maxima(struct attune_schedule *schedule, int32_t batch);

/* INVALID_SIZE where the header of a list from the device reports lengths that no step may have. */
attune_status schedule_device_error(const struct attune_schedule *schedule, const int32_t *header);

#endif
