/* SPDX-License-Identifier: Apache-2.0 */
#include "merge.h"

#include <stdio.h>

#include "build.h"
#include "cl/program.h"

extern const char merge_source[];

/* Groups of the grid per compute unit: rows are short. */
#define GROUPS_PER_UNIT 4

attune_status merge_launch(cl_kernel kernel, const struct merge_program *program, const struct merge_memory *memory,
                           cl_uint count, const void *args, size_t args_size, cl_command_queue queue, cl_uint num_wait,
                           const cl_event *wait, cl_event *event)
{
    cl_int code = CL_SUCCESS;
    for (cl_uint i = 0; code == CL_SUCCESS && i < count; i++)
        code = memory->arg[i].svm
                   ? clSetKernelArgSVMPointer(kernel, i, memory->arg[i].svm)
                   : clSetKernelArg(kernel, i, sizeof(cl_mem), memory->arg[i].cl ? &memory->arg[i].cl : NULL);
    if (code == CL_SUCCESS)
        code = clSetKernelArg(kernel, count, args_size, args);
    if (code != CL_SUCCESS)
        return cl_error(code, "clSetKernelArg(merge)");
    size_t local = (size_t)program->wg_size, global = (size_t)program->num_groups * local;
    code = clEnqueueNDRangeKernel(queue, kernel, 1, NULL, &global, &local, num_wait, wait, event);
    return code == CL_SUCCESS ? ATTUNE_OK : cl_error(code, "clEnqueueNDRangeKernel(merge)");
}

struct warming {
    attune_context *context;
    const struct merge_program *program;
};

static attune_status run_empty(const struct warming *w, cl_program program, const char *name, cl_uint count,
                               cl_mem schedule, const void *args, size_t args_size)
{
    struct merge_memory memory = {0};
    memory.arg[0].cl = schedule;
    cl_int code;
    cl_kernel kernel = clCreateKernel(program, name, &code);
    if (code != CL_SUCCESS)
        return cl_error(code, "clCreateKernel(merge)");
    cl_command_queue queue = clCreateCommandQueue(w->context->cl, context_device(w->context), 0, &code);
    attune_status status = code == CL_SUCCESS ? ATTUNE_OK : cl_error(code, "clCreateCommandQueue");
    if (status == ATTUNE_OK)
        status = merge_launch(kernel, w->program, &memory, count, args, args_size, queue, 0, NULL, NULL);
    if (status == ATTUNE_OK && (code = clFinish(queue)) != CL_SUCCESS)
        status = cl_error(code, "clFinish after a merge of nothing");
    if (queue)
        clReleaseCommandQueue(queue);
    clReleaseKernel(kernel);
    return status;
}

static attune_status run_both(void *priv, cl_program program)
{
    const struct warming *w = priv;
    const int32_t empty[SCHEDULE_HEADER] = {SCHEDULE_VERSION, 0, SCHEDULE_HEADER, SCHEDULE_HEADER};
    cl_int code;
    cl_mem schedule =
        clCreateBuffer(w->context->cl, CL_MEM_READ_ONLY | CL_MEM_COPY_HOST_PTR, sizeof empty, (void *)empty, &code);
    if (code != CL_SUCCESS)
        return cl_error(code, "clCreateBuffer for an empty work list");
    const struct attention_args merge = {.num_groups = w->program->num_groups, .num_q_heads = 1};
    const struct merge_states_args states = {.num_groups = w->program->num_groups, .num_q_heads = 1};
    attune_status status = run_empty(w, program, "merge", MERGE_NUM_MEMORY, schedule, &merge, sizeof merge);
    if (status == ATTUNE_OK)
        status = run_empty(w, program, "merge_states", MERGE_STATES_NUM_MEMORY, NULL, &states, sizeof states);
    clReleaseMemObject(schedule);
    return status;
}

attune_status merge_program_create(attune_context *context, const struct merge_facts *facts, struct merge_program *out)
{
    const struct cl_device *device = &context->choice.device;
    char options[256];
    out->wg_size = facts->sub_group_size > 1 || device->type & CL_DEVICE_TYPE_CPU ? facts->sub_group_size : 32;
    out->num_groups = device->compute_units * GROUPS_PER_UNIT;
    snprintf(options, sizeof options,
             "-DHEAD_DIM_VO=%d -DCAUSAL=%d -DO_TYPE=%d -DQ_TYPE=%d -DKV_TYPE=%d -DHALF_LOAD=%d -DWG_SIZE=%d",
             facts->head_dim_vo, facts->causal, facts->o_type, facts->o_type, facts->o_type, facts->half_load,
             out->wg_size);
    const struct program_source source = {"merge", merge_source, options, true};
    struct warming warming = {context, out};
    return program_build_shared(context, &source, run_both, &warming, &out->program);
}
