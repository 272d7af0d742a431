/* SPDX-License-Identifier: Apache-2.0
 * Launches of kernels. */
#include "icd.h"

#include <stdlib.h>
#include <string.h>

static struct subject subject_of(const struct launch *launch)
{
    cl_kernel kernel = launch->kernel;
    return (struct subject){launch->command.queue->device, kernel->options, kernel->program->source, kernel->name};
}

static cl_int run_launch(struct command *command, uint64_t *ns)
{
    struct launch *launch = (struct launch *)command;
    for (size_t i = 0; i < launch->num_strikes; i++) {
        if (launch->strikes[i]->what == FAULT_HANG) {
            if (clock_virtual())
                fault_sleep(launch->strikes[i]);
            return COMMAND_HANGS;
        }
        cl_int code = fault_strike(launch->strikes[i], command->queue->device);
        if (code)
            return code;
    }
    struct work work = {0};
    cl_int code = launch->kernel->known ? launch->kernel->known->compute(launch, &work) : probe_compute(launch);
    if (!launch->kernel->known)
        probe_work(launch, &work);
    struct subject subject = subject_of(launch);
    *ns = launch_time(&subject, !atomic_exchange(&launch->kernel->launched, true), &work);
    return code;
}

static void release_launch(struct command *command)
{
    struct launch *launch = (struct launch *)command;
    for (size_t i = 0; i < MAX_ARGS; i++)
        if (launch->args[i].kind == ARG_MEM && launch->args[i].mem)
            object_drop(launch->args[i].mem);
    if (launch->kernel)
        object_drop(launch->kernel);
}

static cl_int check_args(cl_kernel kernel, cl_context context)
{
    for (cl_uint i = 0; i < kernel->num_args; i++) {
        const struct kernel_arg *arg = &kernel->args[i];
        if (arg->kind == ARG_UNSET || (arg->kind == ARG_MEM && arg->mem && !object_is(arg->mem, KIND_MEM)))
            return CL_INVALID_KERNEL_ARGS;
        if (arg->kind == ARG_MEM && arg->mem && arg->mem->context != context)
            return CL_INVALID_CONTEXT;
    }
    return CL_SUCCESS;
}

static cl_int check_grid(cl_command_queue queue, cl_kernel kernel, cl_uint dims, const size_t *global,
                         const size_t *local, size_t *groups)
{
    if (dims < 1 || dims > 3)
        return CL_INVALID_WORK_DIMENSION;
    if (!global)
        return CL_INVALID_GLOBAL_WORK_SIZE;
    size_t required = (size_t)option_value(kernel->options, "WG_SIZE", 0), items = 1;
    if (required && (!local || local[0] != required))
        return CL_INVALID_WORK_GROUP_SIZE;
    *groups = 1;
    for (cl_uint i = 0; i < dims; i++) {
        if (global[i] == 0 || (local && local[i] == 0))
            return global[i] == 0 ? CL_INVALID_GLOBAL_WORK_SIZE : CL_INVALID_WORK_GROUP_SIZE;
        if (local && global[i] % local[i])
            return CL_INVALID_WORK_GROUP_SIZE;
        items *= local ? local[i] : 1;
        *groups *= global[i] / (local ? local[i] : 1);
    }
    return items > queue->device->max_work_group_size ? CL_INVALID_WORK_GROUP_SIZE : CL_SUCCESS;
}

/* Takes the faults that this launch meets. Those that the enqueue itself reports come back as a code. */
static cl_int take_strikes(struct launch *launch)
{
    struct subject subject = subject_of(launch);
    const struct fault *fault = NULL;
    while ((fault = fault_next(fault, &subject, false))) {
        bool reports = fault->what == FAULT_ERROR || fault->what == FAULT_DEVICE_LOST;
        if (reports && !fault->async)
            return fault_strike(fault, subject.device);
        if (launch->num_strikes < MAX_STRIKES)
            launch->strikes[launch->num_strikes++] = fault;
    }
    return CL_SUCCESS;
}

static cl_int enqueue(cl_command_queue queue, cl_kernel kernel, cl_command_type type, size_t groups, cl_uint num_waits,
                      const cl_event *waits, cl_event *event)
{
    cl_int code;
    struct launch *launch = command_create(sizeof *launch, queue, type, num_waits, waits, &code);
    if (!launch)
        return code;
    object_use(kernel);
    launch->command.run = run_launch;
    launch->command.release = release_launch;
    launch->kernel = kernel;
    launch->groups = groups;
    memcpy(launch->args, kernel->args, sizeof launch->args);
    for (size_t i = 0; i < MAX_ARGS; i++)
        if (launch->args[i].kind == ARG_MEM && launch->args[i].mem)
            object_use(launch->args[i].mem);
    code = take_strikes(launch);
    if (!code)
        return command_submit(&launch->command, false, event);
    command_free(&launch->command);
    return code;
}

cl_int clEnqueueNDRangeKernel(cl_command_queue queue, cl_kernel kernel, cl_uint dims, const size_t *offset,
                              const size_t *global, const size_t *local, cl_uint num_waits, const cl_event *waits,
                              cl_event *event)
{
    ENTER(clEnqueueNDRangeKernel);
    if (!object_is(queue, KIND_QUEUE))
        return CL_INVALID_COMMAND_QUEUE;
    if (!object_is(kernel, KIND_KERNEL))
        return CL_INVALID_KERNEL;
    if (kernel->program->context != queue->context)
        return CL_INVALID_CONTEXT;
    size_t groups;
    cl_int code = check_grid(queue, kernel, dims, global, local, &groups);
    if (!code)
        code = check_args(kernel, queue->context);
    for (cl_uint i = 0; offset && i < dims && !code && kernel->known; i++)
        code = offset[i] ? CL_INVALID_GLOBAL_OFFSET : CL_SUCCESS;
    return code ? code : enqueue(queue, kernel, CL_COMMAND_NDRANGE_KERNEL, groups, num_waits, waits, event);
}

cl_int clEnqueueTask(cl_command_queue queue, cl_kernel kernel, cl_uint num_waits, const cl_event *waits,
                     cl_event *event)
{
    ENTER(clEnqueueTask);
    static const size_t one = 1;
    return clEnqueueNDRangeKernel(queue, kernel, 1, NULL, &one, &one, num_waits, waits, event);
}
