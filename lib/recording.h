/* SPDX-License-Identifier: Apache-2.0
 * One step's commands with their arguments, enqueued again and again. */
#ifndef ATTUNE_RECORDING_H
#define ATTUNE_RECORDING_H

#include "cl/command_buffer.h"
#include "run.h"
#include "schedule.h"

/* The update of the schedule, the append, the conversion of new rows, the configurations, the merge. */
#define RECORDING_MAX_COMMANDS (3 + PLAN_MAX_CONFIGS + 1)

/* A command waits for those of the phase before it. */
enum recorded_phase { PHASE_BEFORE, PHASE_CONFIGS, PHASE_MERGE };

struct recorded_command {
    cl_kernel kernel; /* its own, with all arguments set */
    size_t global, local;
    enum recorded_phase phase;
};

struct attune_recording {
    const struct attune_context *context;
    int num_commands;
    struct recorded_command commands[RECORDING_MAX_COMMANDS];
    cl_mem list, scratch;   /* of the schedule, retained; scratch: NULL unless the update is recorded */
    cl_command_queue queue; /* that the buffer is for; retained */
    struct cl_command_buffer_api api;
    cl_recorded buffer; /* NULL: commands are enqueued one by one */
};

/* attune_recording_create, without the device's command buffers where they are not wanted. */
attune_status recording_create(const attune_plan *plan, attune_schedule *schedule, const attune_attention_args *args,
                               cl_command_queue queue, const attune_recording_options *options, bool command_buffers,
                               attune_recording **out);

#endif
