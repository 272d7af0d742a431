/* SPDX-License-Identifier: Apache-2.0
 * From a configuration to a program that has run once. */
#include <stdio.h>
#include <string.h>

#include "build.h"
#include "cl/program.h"
#include "launch.h"
#include "plan.h"

#define OPTIONS_MAX 4096

struct warming {
    const struct attune_plan *plan;
    const struct plan_config *config;
};

/* One run on an empty list. It makes pocl compile the variant for this very grid, and shows that the kernel can be
 * launched. */
static attune_status run_empty(void *priv, cl_program program)
{
    const struct warming *w = priv;
    attune_context *context = w->plan->context;
    cl_int code;
    attune_status status = ATTUNE_OK;
    int32_t empty[SCHEDULE_HEADER] = {SCHEDULE_VERSION, 0, SCHEDULE_HEADER, SCHEDULE_HEADER};
    cl_mem schedule = clCreateBuffer(context->cl, CL_MEM_READ_ONLY | CL_MEM_COPY_HOST_PTR, sizeof empty, empty, &code);
    if (code != CL_SUCCESS)
        return cl_error(code, "clCreateBuffer for an empty work list");
    cl_command_queue queue = clCreateCommandQueue(context->cl, context_device(context), 0, &code);
    cl_kernel kernel = NULL;
    if (code != CL_SUCCESS)
        status = cl_error(code, "clCreateCommandQueue");
    else if ((kernel = clCreateKernel(program, "attention", &code), code) != CL_SUCCESS)
        status = cl_error(code, "clCreateKernel(attention)");
    struct attention_args args = {.num_groups = w->config->num_groups};
    struct launch_memory memory = {0};
    memory.arg[LAUNCH_SCHEDULE].cl = schedule;
    if (status == ATTUNE_OK)
        status = launch_kernel(kernel, w->config, &memory, &args, queue, 0, NULL, NULL);
    if (status == ATTUNE_OK && (code = clFinish(queue)) != CL_SUCCESS)
        status = cl_error(code, "clFinish after a run on an empty work list");
    if (kernel)
        clReleaseKernel(kernel);
    if (queue)
        clReleaseCommandQueue(queue);
    clReleaseMemObject(schedule);
    return status;
}

attune_status plan_compile(const struct attune_plan *plan, struct plan_config *config)
{
    const struct family *family = family_at(config->config.family);
    struct warming warming = {plan, config};
    char options[OPTIONS_MAX];
    config->num_groups = plan->context->choice.device.compute_units * config->resources.groups_per_unit;
    if (!kernel_options_format(&plan->facts, &config->config, options, sizeof options))
        return set_error(ATTUNE_ERROR_INVALID_SIZE, "the compiler's options exceed %d bytes", OPTIONS_MAX - 1);
    /* Forced configurations are candidates, which are not kept. */
    const bool keep = plan->context->keep_forced || strcmp(config->source, "forced") != 0;
    const struct program_source source = {family->name, family->source, options, keep};
    return program_build(plan->context, &source, run_empty, &warming, &config->program);
}
