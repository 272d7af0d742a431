/* SPDX-License-Identifier: Apache-2.0
 * Debug mode: a step's page table is checked on the device before anything else of the run is enqueued. */
#ifndef ATTUNE_VALIDATE_H
#define ATTUNE_VALIDATE_H

#include "launch.h"
#include "schedule.h"

/* One thread's checker, part of its launcher. Zeroed: the plan does not validate. */
struct validator {
    cl_kernel kernel;
    cl_mem findings;
    int32_t *host; /* [num_groups, FINDING_WORDS] */
};

/* Leaves it zeroed for a plan without validate. destroy also after a failed create. */
attune_status validator_create(const struct attune_plan *plan, struct validator *out);
void validator_destroy(struct validator *validator);

/* The step's page table as the run will read it. */
struct validate_tables {
    const struct launch_memory *memory;  /* LAUNCH_KV_INDPTR, LAUNCH_KV_INDICES, LAUNCH_SCHEDULE */
    const struct attention_args *args;   /* their offsets */
    struct launch_pointer last_page_len; /* both NULL: not given */
    int64_t last_page_len_offset;        /* int32 elements */
    int64_t num_indices;                 /* entries behind kv_indices_offset, INT64_MAX where not known */
};

/* Waits for the wait list and reads what the kernel that wrote the schedule's list found wrong. INVALID_SIZE names it. */
attune_status validate_lengths(const struct attune_schedule *schedule, cl_command_queue queue, cl_uint num_wait,
                               const cl_event *wait);

/* Runs the check behind the wait list and waits for it. PAGE_TABLE names the first bad value. */
attune_status validate_step(struct validator *validator, const struct attune_plan *plan,
                            const struct validate_tables *tables, cl_command_queue queue, cl_uint num_wait,
                            const cl_event *wait);

#endif
