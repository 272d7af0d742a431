/* SPDX-License-Identifier: Apache-2.0
 * Contexts and command queues. */
#include "icd.h"

#include <stdlib.h>
#include <string.h>

static void context_destroy(struct object *object)
{
    cl_context context = (cl_context)object;
    for (struct destructor *next, *at = context->destructors; at; at = next) {
        next = at->next;
        at->context(context, at->data);
        free(at);
    }
    free(context->devices);
    free(context->properties);
}

static bool keep_properties(cl_context context, const cl_context_properties *properties)
{
    size_t count = 0;
    while (properties && properties[count])
        count += 2;
    context->num_properties = properties ? count + 1 : 0;
    context->properties = malloc((context->num_properties + 1) * sizeof *properties);
    if (context->properties && properties)
        memcpy(context->properties, properties, context->num_properties * sizeof *properties);
    return context->properties;
}

cl_context clCreateContext(const cl_context_properties *properties, cl_uint num_devices, const cl_device_id *devices,
                           void(CL_CALLBACK *notify)(const char *, const void *, size_t, void *), void *data,
                           cl_int *error_out)
{
    ENTER_CREATE(clCreateContext, error_out);
    if (!devices || num_devices == 0 || (!notify && data))
        return create_failed(error_out, CL_INVALID_VALUE);
    for (const cl_context_properties *at = properties; at && *at; at += 2) {
        if (*at == CL_CONTEXT_PLATFORM && !object_is((void *)at[1], KIND_PLATFORM))
            return create_failed(error_out, CL_INVALID_PLATFORM);
        if (*at != CL_CONTEXT_PLATFORM && *at != CL_CONTEXT_INTEROP_USER_SYNC)
            return create_failed(error_out, CL_INVALID_PROPERTY);
    }
    for (cl_uint i = 0; i < num_devices; i++) {
        if (!object_is(devices[i], KIND_DEVICE) || devices[i]->platform != devices[0]->platform)
            return create_failed(error_out, CL_INVALID_DEVICE);
        if (atomic_load(&devices[i]->lost))
            return create_failed(error_out, CL_DEVICE_NOT_AVAILABLE);
    }
    cl_context context = object_create(sizeof *context, KIND_CONTEXT, context_destroy);
    if (!context)
        return create_failed(error_out, CL_OUT_OF_HOST_MEMORY);
    context->num_devices = num_devices;
    context->devices = malloc(num_devices * sizeof *devices);
    if (!context->devices || !keep_properties(context, properties)) {
        object_release(context, KIND_CONTEXT, 0);
        return create_failed(error_out, CL_OUT_OF_HOST_MEMORY);
    }
    memcpy(context->devices, devices, num_devices * sizeof *devices);
    return create_done(error_out, context);
}

cl_context clCreateContextFromType(const cl_context_properties *properties, cl_device_type type,
                                   void(CL_CALLBACK *notify)(const char *, const void *, size_t, void *), void *data,
                                   cl_int *error_out)
{
    ENTER_CREATE(clCreateContextFromType, error_out);
    cl_platform_id platform = script_get()->platforms;
    for (const cl_context_properties *at = properties; at && *at; at += 2)
        if (*at == CL_CONTEXT_PLATFORM)
            platform = (cl_platform_id)at[1];
    cl_device_id devices[64];
    cl_uint count;
    cl_int code = clGetDeviceIDs(platform, type, 64, devices, &count);
    if (code)
        return create_failed(error_out, code);
    return clCreateContext(properties, count < 64 ? count : 64, devices, notify, data, error_out);
}

cl_int clRetainContext(cl_context context)
{
    ENTER(clRetainContext);
    return object_retain(context, KIND_CONTEXT, CL_INVALID_CONTEXT);
}

cl_int clReleaseContext(cl_context context)
{
    ENTER(clReleaseContext);
    return object_release(context, KIND_CONTEXT, CL_INVALID_CONTEXT);
}

cl_int clGetContextInfo(cl_context context, cl_context_info name, size_t size, void *value, size_t *size_ret)
{
    ENTER(clGetContextInfo);
    if (!object_is(context, KIND_CONTEXT))
        return CL_INVALID_CONTEXT;
    switch (name) {
    case CL_CONTEXT_REFERENCE_COUNT:
        INFO_VALUE(cl_uint, atomic_load(&context->object.refs));
    case CL_CONTEXT_NUM_DEVICES:
        INFO_VALUE(cl_uint, context->num_devices);
    case CL_CONTEXT_DEVICES:
        return info_give(size, value, size_ret, context->devices, context->num_devices * sizeof(cl_device_id));
    case CL_CONTEXT_PROPERTIES:
        return info_give(size, value, size_ret, context->properties,
                         context->num_properties * sizeof(cl_context_properties));
    default:
        return CL_INVALID_VALUE;
    }
}

cl_int clSetContextDestructorCallback(cl_context context, void(CL_CALLBACK *function)(cl_context, void *), void *data)
{
    ENTER(clSetContextDestructorCallback);
    if (!object_is(context, KIND_CONTEXT))
        return CL_INVALID_CONTEXT;
    struct destructor *destructor = calloc(1, sizeof *destructor);
    if (!function || !destructor) {
        free(destructor);
        return function ? CL_OUT_OF_HOST_MEMORY : CL_INVALID_VALUE;
    }
    *destructor = (struct destructor){.next = context->destructors, .context = function, .data = data};
    context->destructors = destructor;
    return CL_SUCCESS;
}

/* ---- queues */

static void queue_destroy(struct object *object)
{
    object_drop(((cl_command_queue)object)->context);
}

static cl_command_queue create_queue(cl_context context, cl_device_id device, cl_command_queue_properties properties,
                                     cl_int *error_out)
{
    if (!object_is(context, KIND_CONTEXT))
        return create_failed(error_out, CL_INVALID_CONTEXT);
    bool found = false;
    for (cl_uint i = 0; i < context->num_devices; i++)
        found |= context->devices[i] == device;
    if (!found)
        return create_failed(error_out, CL_INVALID_DEVICE);
    if (properties & ~(cl_command_queue_properties)(CL_QUEUE_OUT_OF_ORDER_EXEC_MODE_ENABLE | CL_QUEUE_PROFILING_ENABLE))
        return create_failed(error_out, CL_INVALID_QUEUE_PROPERTIES);
    cl_command_queue queue = object_create(sizeof *queue, KIND_QUEUE, queue_destroy);
    if (!queue)
        return create_failed(error_out, CL_OUT_OF_HOST_MEMORY);
    object_use(context);
    queue->context = context;
    queue->device = device;
    queue->properties = properties;
    return create_done(error_out, queue);
}

cl_command_queue clCreateCommandQueue(cl_context context, cl_device_id device, cl_command_queue_properties properties,
                                      cl_int *error_out)
{
    ENTER_CREATE(clCreateCommandQueue, error_out);
    return create_queue(context, device, properties, error_out);
}

cl_command_queue clCreateCommandQueueWithProperties(cl_context context, cl_device_id device,
                                                    const cl_queue_properties *properties, cl_int *error_out)
{
    ENTER_CREATE(clCreateCommandQueueWithProperties, error_out);
    cl_command_queue_properties bits = 0;
    size_t count = 0;
    for (const cl_queue_properties *at = properties; at && *at; at += 2, count += 2) {
        if (*at != CL_QUEUE_PROPERTIES || count >= 6)
            return create_failed(error_out, CL_INVALID_VALUE);
        bits = at[1];
    }
    cl_command_queue queue = create_queue(context, device, bits, error_out);
    if (queue && properties) {
        queue->num_list = count + 1;
        memcpy(queue->list, properties, queue->num_list * sizeof *properties);
    }
    return queue;
}

cl_int clRetainCommandQueue(cl_command_queue queue)
{
    ENTER(clRetainCommandQueue);
    return object_retain(queue, KIND_QUEUE, CL_INVALID_COMMAND_QUEUE);
}

cl_int clReleaseCommandQueue(cl_command_queue queue)
{
    ENTER(clReleaseCommandQueue);
    return object_release(queue, KIND_QUEUE, CL_INVALID_COMMAND_QUEUE);
}

cl_int clGetCommandQueueInfo(cl_command_queue queue, cl_command_queue_info name, size_t size, void *value,
                             size_t *size_ret)
{
    ENTER(clGetCommandQueueInfo);
    if (!object_is(queue, KIND_QUEUE))
        return CL_INVALID_COMMAND_QUEUE;
    switch (name) {
    case CL_QUEUE_CONTEXT:
        INFO_VALUE(cl_context, queue->context);
    case CL_QUEUE_DEVICE:
        INFO_VALUE(cl_device_id, queue->device);
    case CL_QUEUE_REFERENCE_COUNT:
        INFO_VALUE(cl_uint, atomic_load(&queue->object.refs));
    case CL_QUEUE_PROPERTIES:
        INFO_VALUE(cl_command_queue_properties, queue->properties);
    case CL_QUEUE_PROPERTIES_ARRAY:
        return info_give(size, value, size_ret, queue->list, queue->num_list * sizeof queue->list[0]);
    case CL_QUEUE_DEVICE_DEFAULT:
        INFO_VALUE(cl_command_queue, NULL);
    default:
        return CL_INVALID_VALUE;
    }
}
