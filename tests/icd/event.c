/* SPDX-License-Identifier: Apache-2.0
 * Events, markers, barriers. */
#include "icd.h"

cl_int clWaitForEvents(cl_uint num_events, const cl_event *events)
{
    ENTER(clWaitForEvents);
    if (num_events == 0 || !events)
        return CL_INVALID_VALUE;
    for (cl_uint i = 0; i < num_events; i++) {
        if (!object_is(events[i], KIND_EVENT))
            return CL_INVALID_EVENT;
        if (events[i]->context != events[0]->context)
            return CL_INVALID_CONTEXT;
    }
    cl_int result = CL_SUCCESS;
    for (cl_uint i = 0; i < num_events; i++) {
        cl_int code = event_wait(events[i]);
        result = code ? code : result;
    }
    return result;
}

cl_int clGetEventInfo(cl_event event, cl_event_info name, size_t size, void *value, size_t *size_ret)
{
    ENTER(clGetEventInfo);
    if (!object_is(event, KIND_EVENT))
        return CL_INVALID_EVENT;
    switch (name) {
    case CL_EVENT_COMMAND_QUEUE:
        INFO_VALUE(cl_command_queue, event->queue);
    case CL_EVENT_CONTEXT:
        INFO_VALUE(cl_context, event->context);
    case CL_EVENT_COMMAND_TYPE:
        INFO_VALUE(cl_command_type, event->type);
    case CL_EVENT_COMMAND_EXECUTION_STATUS:
        INFO_VALUE(cl_int, atomic_load(&event->status));
    case CL_EVENT_REFERENCE_COUNT:
        INFO_VALUE(cl_uint, atomic_load(&event->object.refs));
    default:
        return CL_INVALID_VALUE;
    }
}

cl_int clGetEventProfilingInfo(cl_event event, cl_profiling_info name, size_t size, void *value, size_t *size_ret)
{
    ENTER(clGetEventProfilingInfo);
    if (!object_is(event, KIND_EVENT))
        return CL_INVALID_EVENT;
    if (!event->queue || !(event->queue->properties & CL_QUEUE_PROFILING_ENABLE) ||
        atomic_load(&event->status) != CL_COMPLETE)
        return CL_PROFILING_INFO_NOT_AVAILABLE;
    switch (name) {
    case CL_PROFILING_COMMAND_QUEUED:
        INFO_VALUE(cl_ulong, event->queued);
    case CL_PROFILING_COMMAND_SUBMIT:
        INFO_VALUE(cl_ulong, event->submitted);
    case CL_PROFILING_COMMAND_START:
        INFO_VALUE(cl_ulong, event->started);
    case CL_PROFILING_COMMAND_END:
    case CL_PROFILING_COMMAND_COMPLETE:
        INFO_VALUE(cl_ulong, event->ended);
    default:
        return CL_INVALID_VALUE;
    }
}

cl_int clRetainEvent(cl_event event)
{
    ENTER(clRetainEvent);
    return object_retain(event, KIND_EVENT, CL_INVALID_EVENT);
}

cl_int clReleaseEvent(cl_event event)
{
    ENTER(clReleaseEvent);
    return object_release(event, KIND_EVENT, CL_INVALID_EVENT);
}

cl_int clFlush(cl_command_queue queue)
{
    ENTER(clFlush);
    return object_is(queue, KIND_QUEUE) ? CL_SUCCESS : CL_INVALID_COMMAND_QUEUE;
}

cl_int clFinish(cl_command_queue queue)
{
    ENTER(clFinish);
    if (!object_is(queue, KIND_QUEUE))
        return CL_INVALID_COMMAND_QUEUE;
    queue_wait(queue);
    return atomic_load(&queue->device->lost);
}

static cl_int enqueue_point(cl_command_queue queue, cl_command_type type, bool barrier, cl_uint num_waits,
                            const cl_event *waits, cl_event *event)
{
    cl_int code;
    struct command *command = command_create(sizeof *command, queue, type, num_waits, waits, &code);
    if (!command)
        return code;
    command->barrier = barrier;
    return command_submit(command, false, event);
}

/* A marker without a wait list waits for all earlier commands. */
cl_int clEnqueueMarkerWithWaitList(cl_command_queue queue, cl_uint num_waits, const cl_event *waits, cl_event *event)
{
    ENTER(clEnqueueMarkerWithWaitList);
    return enqueue_point(queue, CL_COMMAND_MARKER, num_waits == 0, num_waits, waits, event);
}

cl_int clEnqueueBarrierWithWaitList(cl_command_queue queue, cl_uint num_waits, const cl_event *waits, cl_event *event)
{
    ENTER(clEnqueueBarrierWithWaitList);
    return enqueue_point(queue, CL_COMMAND_BARRIER, true, num_waits, waits, event);
}

cl_int clEnqueueMarker(cl_command_queue queue, cl_event *event)
{
    ENTER(clEnqueueMarker);
    return enqueue_point(queue, CL_COMMAND_MARKER, true, 0, NULL, event);
}

cl_int clEnqueueBarrier(cl_command_queue queue)
{
    ENTER(clEnqueueBarrier);
    return enqueue_point(queue, CL_COMMAND_BARRIER, true, 0, NULL, NULL);
}

cl_int clEnqueueWaitForEvents(cl_command_queue queue, cl_uint num_events, const cl_event *events)
{
    ENTER(clEnqueueWaitForEvents);
    return enqueue_point(queue, CL_COMMAND_BARRIER, true, num_events, events, NULL);
}
