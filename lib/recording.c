/* SPDX-License-Identifier: Apache-2.0 */
#include "recording.h"

#include <stdlib.h>
#include <string.h>

#include "cl/program.h"
#include "desc.h"
#include "kv_cache.h"

static const attune_recording_options default_options = ATTUNE_RECORDING_OPTIONS_INIT;

/* ---- commands */

static struct recorded_command *add_command(struct attune_recording *recording, enum recorded_phase phase,
                                            size_t groups, int32_t wg_size)
{
    struct recorded_command *command = &recording->commands[recording->num_commands++];
    command->phase = phase;
    command->local = (size_t)wg_size;
    command->global = groups * (size_t)wg_size;
    return command;
}

static attune_status add_update(struct attune_recording *recording, struct tensor_set *set,
                                struct attune_schedule *schedule, const struct device_lengths *lengths)
{
    struct recorded_command *command = add_command(recording, PHASE_BEFORE, 1, schedule_device_group_size(schedule));
    attune_status status = schedule_device_kernel(schedule, &command->kernel);
    return status != ATTUNE_OK ? status
                               : schedule_device_bind(set, schedule, command->kernel, schedule->current, lengths);
}

static attune_status add_append(struct attune_recording *recording, const attune_recording_options *options)
{
    struct kv_command append;
    attune_status status = kv_append_command(recording->context, options->kv_launcher, options->append, &append);
    if (!append.kernel)
        return status;
    struct recorded_command *command = &recording->commands[recording->num_commands++];
    *command = (struct recorded_command){append.kernel, append.global, append.local, PHASE_BEFORE};
    return status;
}

static attune_status add_kernel(struct recorded_command *command, cl_program program, const char *name,
                                const struct launch_memory *memory, const enum launch_arg *order, cl_uint count,
                                const struct attention_args *args)
{
    cl_int code;
    command->kernel = clCreateKernel(program, name, &code);
    for (cl_uint i = 0; code == CL_SUCCESS && i < count; i++)
        code = launch_set_pointer(command->kernel, i, &memory->arg[order ? order[i] : (enum launch_arg)i]);
    if (code == CL_SUCCESS)
        code = clSetKernelArg(command->kernel, count, sizeof *args, args);
    return code == CL_SUCCESS ? ATTUNE_OK : cl_error(code, "a kernel of a recording");
}

static attune_status add_convert(struct attune_recording *recording, const struct attune_plan *plan,
                                 const struct kv_convert *convert)
{
    struct kv_command c;
    attune_status status = kv_convert_kernel(plan->convert, &c);
    if (status != ATTUNE_OK)
        return status;
    recording->commands[recording->num_commands++] =
        (struct recorded_command){c.kernel, c.global, c.local, PHASE_BEFORE};
    return kv_convert_set(plan->convert, c.kernel, convert);
}

static attune_status add_run(struct attune_recording *recording, struct tensor_set *set, const struct attune_plan *plan,
                             const struct attune_schedule *schedule, const attune_attention_args *in)
{
    struct launch_memory memory = {0};
    struct attention_args args;
    struct kv_convert convert;
    attune_status status = run_bind(set, plan, schedule, in, &memory, &args, &convert);
    if (status == ATTUNE_OK && convert.tokens)
        status = add_convert(recording, plan, &convert);
    for (int32_t i = 0; status == ATTUNE_OK && i < plan->num_configs; i++) {
        const struct plan_config *config = &plan->configs[i];
        struct recorded_command *command =
            add_command(recording, PHASE_CONFIGS, (size_t)config->num_groups, config->resources.wg_size);
        args.segment = i;
        args.num_groups = config->num_groups;
        status = add_kernel(command, config->program, "attention", &memory, NULL, LAUNCH_NUM_MEMORY, &args);
    }
    if (status != ATTUNE_OK || !schedule->list.merge_rows)
        return status;
    args.num_groups = plan->merge.num_groups;
    return add_kernel(add_command(recording, PHASE_MERGE, (size_t)plan->merge.num_groups, plan->merge.wg_size),
                      plan->merge.program, "merge", &memory, run_merge_order, MERGE_NUM_MEMORY, &args);
}

/* ---- the device's command buffer */

static cl_int record_commands(const struct attune_recording *recording)
{
    cl_recorded_point points[2][RECORDING_MAX_COMMANDS]; /* of the phase before, and of this one */
    cl_uint before = 0, now = 0;
    cl_int code = CL_SUCCESS;
    for (int i = 0; code == CL_SUCCESS && i < recording->num_commands; i++) {
        const struct recorded_command *c = &recording->commands[i];
        if (i && c->phase != c[-1].phase) {
            memcpy(points[0], points[1], sizeof points[0]);
            before = now;
            now = 0;
        }
        code = recording->api.kernel(recording->buffer, NULL, NULL, c->kernel, 1, NULL, &c->global, &c->local, before,
                                     before ? points[0] : NULL, &points[1][now++], NULL);
    }
    return code == CL_SUCCESS ? recording->api.finalize(recording->buffer) : code;
}

/* A driver that lists the extension and then cannot do it is as good as one that does not. */
static void try_command_buffer(struct attune_recording *recording)
{
    cl_int code;
    if (!cl_command_buffer_load(&recording->context->choice.device, recording->queue, &recording->api))
        return;
    recording->buffer = cl_command_buffer_create(&recording->api, recording->queue, &code);
    if (recording->buffer)
        code = record_commands(recording);
    if (code == CL_SUCCESS)
        return;
    if (recording->buffer)
        recording->api.release(recording->buffer);
    recording->buffer = NULL;
    log_message(&recording->context->logger, ATTUNE_LOG_INFO, "recording: no command buffer: %s",
                opencl_error_name(code));
}

/* ---- creation */

static attune_status check_objects(const struct attune_plan *plan, const struct attune_schedule *schedule,
                                   cl_command_queue queue, const attune_recording_options *options)
{
    attune_status status = struct_check(options, sizeof *options, "options");
    if (status != ATTUNE_OK || (status = queue_check(plan->context, queue)) != ATTUNE_OK ||
        (status = run_check_pair(plan, schedule)) != ATTUNE_OK)
        return status;
    if (plan->check)
        return set_error(ATTUNE_ERROR_UNSUPPORTED, "plan has validate set; a recording cannot wait for a verdict");
    if (!schedule->has_max_kv_len)
        return set_error(ATTUNE_ERROR_INVALID_SIZE,
                         "schedule was created with options.max_kv_len 0; a recording must know the longest sequence");
    if (!options->q_len != !options->kv_len)
        return set_error(ATTUNE_ERROR_NULL_ARGUMENT, "options.%s is NULL beside the other",
                         options->q_len ? "kv_len" : "q_len");
    if (!options->append != !options->kv_launcher)
        return set_error(ATTUNE_ERROR_NULL_ARGUMENT, "options.%s is NULL beside options.%s",
                         options->append ? "kv_launcher" : "append", options->append ? "append" : "kv_launcher");
    if (!options->q_len && schedule->current < 0)
        return set_error(ATTUNE_ERROR_MISMATCH, "schedule has no work list; update it first, or record an update");
    return ATTUNE_OK;
}

/* The commands, bound for the largest step that may come. */
static attune_status add_commands(struct attune_recording *recording, const struct attune_plan *plan,
                                  struct attune_schedule *schedule, const attune_attention_args *args,
                                  const attune_recording_options *options, const struct device_lengths *lengths)
{
    struct attune_schedule largest = *schedule;
    struct tensor_set set; /* replays read lengths after runs have written */
    tensor_set_start(&set, plan->context);
    attune_status status = ATTUNE_OK;
    if (largest.current < 0)
        largest.current = 0;
    schedule_assume_maxima(&largest, lengths->q_len ? lengths->batch : largest.rules.max_batch);
    if (lengths->q_len)
        status = add_update(recording, &set, &largest, lengths);
    if (status == ATTUNE_OK && options->append)
        status = add_append(recording, options);
    return status == ATTUNE_OK ? add_run(recording, &set, plan, &largest, args) : status;
}

/* From now on the schedule stays in the list that the recording reads. */
static attune_status take_list(struct attune_recording *recording, struct attune_schedule *schedule,
                               const struct device_lengths *lengths)
{
    int list = schedule->current < 0 ? 0 : schedule->current;
    cl_int code = clRetainMemObject(schedule->buffers[list].device);
    if (code != CL_SUCCESS)
        return cl_error(code, "clRetainMemObject");
    recording->list = schedule->buffers[list].device;
    if (lengths->q_len && (code = clRetainMemObject(schedule->device.scratch[list])) != CL_SUCCESS)
        return cl_error(code, "clRetainMemObject");
    if (lengths->q_len)
        recording->scratch = schedule->device.scratch[list];
    schedule->current = list;
    schedule->recorded = true;
    if (lengths->q_len) {
        schedule->update_recorded = true;
        schedule_assume_maxima(schedule, schedule->rules.max_batch);
    }
    return ATTUNE_OK;
}

attune_status recording_create(const attune_plan *plan, attune_schedule *schedule, const attune_attention_args *args,
                               cl_command_queue queue, const attune_recording_options *options, bool command_buffers,
                               attune_recording **out)
{
    if (!out)
        return set_error(ATTUNE_ERROR_NULL_ARGUMENT, "out is NULL");
    *out = NULL;
    if (!plan || !schedule || !queue)
        return set_error(ATTUNE_ERROR_NULL_ARGUMENT, "%s is NULL", !plan ? "plan" : !schedule ? "schedule" : "queue");
    if (!options)
        options = &default_options;
    attune_status status = struct_check(args, sizeof *args, "args");
    if (status != ATTUNE_OK || (status = check_objects(plan, schedule, queue, options)) != ATTUNE_OK)
        return status;
    struct attune_recording *recording = calloc(1, sizeof *recording);
    if (!recording)
        return set_error(ATTUNE_ERROR_OUT_OF_MEMORY, "out of memory for a recording");
    const struct device_lengths lengths = {options->batch, options->q_len, options->kv_len};
    recording->context = plan->context;
    cl_int code = clRetainCommandQueue(queue);
    if (code != CL_SUCCESS)
        status = cl_error(code, "clRetainCommandQueue");
    else {
        recording->queue = queue;
        status = add_commands(recording, plan, schedule, args, options, &lengths);
    }
    if (status == ATTUNE_OK)
        status = take_list(recording, schedule, &lengths);
    if (status == ATTUNE_OK && command_buffers)
        try_command_buffer(recording);
    if (status != ATTUNE_OK)
        attune_recording_destroy(&recording);
    *out = recording;
    return status;
}

attune_status attune_recording_create(const attune_plan *plan, attune_schedule *schedule,
                                      const attune_attention_args *args, cl_command_queue queue,
                                      const attune_recording_options *options, attune_recording **out)
{
    return recording_create(plan, schedule, args, queue, options, true, out);
}

void attune_recording_destroy(attune_recording **address)
{
    if (!address || !*address)
        return;
    struct attune_recording *recording = *address;
    *address = NULL;
    if (recording->buffer)
        recording->api.release(recording->buffer);
    for (int i = 0; i < recording->num_commands; i++)
        if (recording->commands[i].kernel)
            clReleaseKernel(recording->commands[i].kernel);
    if (recording->list)
        clReleaseMemObject(recording->list);
    if (recording->scratch)
        clReleaseMemObject(recording->scratch);
    if (recording->queue)
        clReleaseCommandQueue(recording->queue);
    free(recording);
}

/* ---- replay */

static cl_int enqueue_in_order(const struct attune_recording *recording, cl_command_queue queue, cl_uint num_wait,
                               const cl_event *wait, cl_event *event)
{
    cl_int code = CL_SUCCESS;
    for (int i = 0, last = recording->num_commands - 1; code == CL_SUCCESS && i <= last; i++) {
        const struct recorded_command *c = &recording->commands[i];
        code = clEnqueueNDRangeKernel(queue, c->kernel, 1, NULL, &c->global, &c->local, i ? 0 : num_wait,
                                      i ? NULL : wait, i == last ? event : NULL);
    }
    return code;
}

/* Each phase waits for the one before it. */
static cl_int enqueue_phases(const struct attune_recording *recording, cl_command_queue queue, cl_uint num_wait,
                             const cl_event *wait, cl_event *event)
{
    cl_event events[RECORDING_MAX_COMMANDS];
    int made = 0, phase = 0, before = 0; /* first commands of this phase and of the one before it */
    cl_int code = CL_SUCCESS;
    while (code == CL_SUCCESS && made < recording->num_commands) {
        const struct recorded_command *c = &recording->commands[made];
        if (made && c->phase != c[-1].phase) {
            before = phase;
            phase = made;
        }
        code = clEnqueueNDRangeKernel(queue, c->kernel, 1, NULL, &c->global, &c->local,
                                      phase ? (cl_uint)(phase - before) : num_wait, phase ? &events[before] : wait,
                                      &events[made]);
        made += code == CL_SUCCESS;
    }
    if (code == CL_SUCCESS && event)
        code = clEnqueueMarkerWithWaitList(queue, (cl_uint)(made - phase), &events[phase], event);
    for (int i = 0; i < made; i++)
        clReleaseEvent(events[i]);
    return code;
}

attune_status attune_recording_run(attune_recording *recording, cl_command_queue queue, cl_uint num_wait,
                                   const cl_event *wait, cl_event *event)
{
    if (!recording || !queue)
        return set_error(ATTUNE_ERROR_NULL_ARGUMENT, "%s is NULL", recording ? "queue" : "recording");
    if (num_wait && !wait)
        return set_error(ATTUNE_ERROR_NULL_ARGUMENT, "wait is NULL with num_wait %u", num_wait);
    cl_int code;
    if (recording->buffer && queue == recording->queue) {
        code = recording->api.enqueue(0, NULL, recording->buffer, num_wait, wait, event);
        return code == CL_SUCCESS ? ATTUNE_OK : cl_error(code, "clEnqueueCommandBufferKHR");
    }
    bool out_of_order;
    attune_status status = queue_check(recording->context, queue);
    if (status != ATTUNE_OK || (status = run_is_out_of_order(queue, &out_of_order)) != ATTUNE_OK)
        return status;
    code = (out_of_order ? enqueue_phases : enqueue_in_order)(recording, queue, num_wait, wait, event);
    return code == CL_SUCCESS ? ATTUNE_OK : cl_error(code, "a recording's commands");
}
