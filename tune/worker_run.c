/* SPDX-License-Identifier: Apache-2.0
 * Building and running candidates, by the way that engines take: plan, schedule, launcher, run. */
#include "cl/program.h"
#include "context.h"
#include "schedule.h"
#include "worker.h"

void slot_clear(struct slot *slot)
{
    attune_launcher_destroy(&slot->launcher);
    attune_schedule_destroy(&slot->schedule);
    attune_plan_destroy(&slot->plan);
}

static attune_status make_schedule(struct worker *worker, struct slot *slot, const attune_problem *problem)
{
    attune_schedule_options options = ATTUNE_SCHEDULE_OPTIONS_INIT;
    options.max_batch = problem->batch;
    for (int32_t b = 0; b < problem->batch; b++)
        options.max_q_tokens += problem->q_len[b];
    if (options.max_q_tokens < 1)
        options.max_q_tokens = 1;
    attune_status status = attune_schedule_create(slot->plan, &options, &slot->schedule);
    if (status == ATTUNE_OK)
        status = attune_schedule_update(slot->schedule, worker->queue, problem->batch, problem->q_len, problem->kv_len,
                                        0, NULL, NULL);
    return status;
}

attune_status worker_build(struct worker *worker, const json_t *request, json_t **reply)
{
    (void)reply;
    int index;
    struct input *input;
    attune_status status = request_index(request, "slot", MAX_SLOTS, &index);
    if (status != ATTUNE_OK || (status = request_input(worker, request, &input)) != ATTUNE_OK)
        return status;
    struct slot *slot = &worker->slots[index];
    slot_clear(slot);
    attune_plan_options options = ATTUNE_PLAN_OPTIONS_INIT;
    options.policy = ATTUNE_ESTIMATE;
    options.force_config = request_text(request, "config");
    options.max_configs = 1;
    status = attune_plan_create(worker->context, &input->problem->desc, input->device.layout, &options, &slot->plan);
    if (status == ATTUNE_OK)
        status = make_schedule(worker, slot, input->problem);
    if (status == ATTUNE_OK)
        status = attune_launcher_create(slot->plan, &slot->launcher);
    if (status == ATTUNE_OK)
        clFinish(worker->queue);
    else
        slot_clear(slot);
    return status;
}

/* From the start of the first run, or from the end of the marker before it, to the end of the last. */
static int64_t span_of(cl_event marker, cl_event first, cl_event last)
{
    cl_ulong start, end;
    if (clGetEventProfilingInfo(marker ? marker : first, marker ? CL_PROFILING_COMMAND_END : CL_PROFILING_COMMAND_START,
                                sizeof start, &start, NULL) != CL_SUCCESS ||
        clGetEventProfilingInfo(last, CL_PROFILING_COMMAND_END, sizeof end, &end, NULL) != CL_SUCCESS)
        return 0;
    return (int64_t)(end - start);
}

/* A command that failed has a negative status, which clFinish need not tell. */
static cl_int event_error(cl_event event)
{
    cl_int execution = CL_COMPLETE;
    cl_int code = clGetEventInfo(event, CL_EVENT_COMMAND_EXECUTION_STATUS, sizeof execution, &execution, NULL);
    return code != CL_SUCCESS ? code : execution < 0 ? execution : CL_SUCCESS;
}

attune_status worker_time(struct worker *worker, const json_t *request, json_t **reply)
{
    int index;
    struct input *input;
    attune_status status = request_index(request, "slot", MAX_SLOTS, &index);
    if (status != ATTUNE_OK || (status = request_input(worker, request, &input)) != ATTUNE_OK)
        return status;
    struct slot *slot = &worker->slots[index];
    if (!slot->launcher)
        return set_error(ATTUNE_ERROR_MISMATCH, "slot %d holds nothing", index);
    int64_t launches = request_integer(request, "launches");
    status = workload_device_workspace(worker->context, slot->plan, slot->schedule, worker->queue, &input->device);
    if (status != ATTUNE_OK)
        return status;
    cl_event marker = NULL, first = NULL, last = NULL;
    /* The event of a run with split keys is that of its merge. */
    cl_int code =
        slot->schedule->list.merge_rows ? clEnqueueMarkerWithWaitList(worker->queue, 0, NULL, &marker) : CL_SUCCESS;
    if (code != CL_SUCCESS)
        return cl_error(code, "clEnqueueMarkerWithWaitList before runs");
    for (int64_t i = 0; status == ATTUNE_OK && i < launches; i++) {
        cl_event *event = i == 0 ? &first : i == launches - 1 ? &last : NULL;
        status =
            attune_attention_run(slot->launcher, slot->schedule, &input->device.args, worker->queue, 0, NULL, event);
    }
    code = clFinish(worker->queue);
    cl_event end = last ? last : first;
    if (status == ATTUNE_OK && code == CL_SUCCESS && end)
        code = event_error(end);
    if (status == ATTUNE_OK && code != CL_SUCCESS)
        status = cl_error(code, "a run that did not finish");
    if (status == ATTUNE_OK && first)
        *reply = json_pack("{s:I}", "span_ns", (json_int_t)span_of(marker, first, end));
    if (marker)
        clReleaseEvent(marker);
    if (first)
        clReleaseEvent(first);
    if (last)
        clReleaseEvent(last);
    return status;
}
