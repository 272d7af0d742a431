/* SPDX-License-Identifier: Apache-2.0
 * Trials of optional instructions: lib/tuner/instruction.h. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "cl/program.h"
#include "context.h"
#include "worker.h"

extern const char probe_instruction_source[];

#define CHECK_WG_SIZE ((size_t)64)

void instruction_clear(struct instruction_trial *trial)
{
    if (trial->kernel)
        clReleaseKernel(trial->kernel);
    if (trial->program)
        clReleaseProgram(trial->program);
    if (trial->in)
        clReleaseMemObject(trial->in);
    if (trial->out)
        clReleaseMemObject(trial->out);
    memset(trial, 0, sizeof *trial);
}

static attune_status make_buffers(struct worker *worker, struct instruction_trial *trial, size_t items)
{
    size_t in_bytes = instruction_in_bytes(trial->instruction);
    uint32_t *in = malloc(in_bytes);
    if (!in)
        return set_error(ATTUNE_ERROR_OUT_OF_MEMORY, "out of memory for a probe");
    trial->instruction->draw(trial->instruction, in);
    cl_int code;
    trial->in = clCreateBuffer(worker->context->cl, CL_MEM_READ_ONLY | CL_MEM_COPY_HOST_PTR, in_bytes, in, &code);
    free(in);
    if (code == CL_SUCCESS)
        trial->out = clCreateBuffer(worker->context->cl, CL_MEM_READ_WRITE,
                                    items * trial->instruction->out_words * sizeof(uint32_t), NULL, &code);
    return code == CL_SUCCESS ? ATTUNE_OK : cl_error(code, "buffer for a probe");
}

/* Builds one of the two kernels with so many work-items, unless that was the last one built. */
static attune_status prepare(struct worker *worker, const struct instruction *instruction, const char *kernel,
                             size_t wg_size, size_t items)
{
    struct instruction_trial *trial = &worker->instruction;
    if (trial->kernel && trial->instruction == instruction && !strcmp(trial->name, kernel) &&
        trial->wg_size == wg_size && trial->items == items)
        return ATTUNE_OK;
    instruction_clear(trial);
    trial->instruction = instruction;
    trial->name = kernel;
    trial->wg_size = wg_size;
    trial->items = items;
    char options[64];
    snprintf(options, sizeof options, "-D INSTRUCTION=%d -D WG_SIZE=%zu", instruction->number, wg_size);
    attune_status status = cl_program_from_source(worker->context->cl, context_device(worker->context),
                                                  probe_instruction_source, options, &trial->program);
    if (status != ATTUNE_OK)
        return status;
    cl_int code;
    trial->kernel = clCreateKernel(trial->program, kernel, &code);
    if (code != CL_SUCCESS)
        return cl_error(code, "clCreateKernel for a probe");
    status = make_buffers(worker, trial, items);
    code = clSetKernelArg(trial->kernel, 0, sizeof trial->in, &trial->in);
    code |= clSetKernelArg(trial->kernel, 1, sizeof trial->out, &trial->out);
    if (status == ATTUNE_OK && code != CL_SUCCESS)
        status = set_error(ATTUNE_ERROR_OPENCL, "clSetKernelArg for a probe failed");
    return status;
}

static attune_status launch(struct worker *worker, int64_t launches)
{
    struct instruction_trial *trial = &worker->instruction;
    cl_int code = CL_SUCCESS;
    for (int64_t i = 0; code == CL_SUCCESS && i < launches; i++)
        code = clEnqueueNDRangeKernel(worker->queue, trial->kernel, 1, NULL, &trial->items, &trial->wg_size, 0, NULL,
                                      NULL);
    cl_int finished = clFinish(worker->queue);
    if (code == CL_SUCCESS)
        code = finished;
    return code == CL_SUCCESS ? ATTUNE_OK : cl_error(code, "a probe");
}

attune_status share_buffer(struct worker *worker, cl_mem buffer, size_t bytes, size_t shared)
{
    if (bytes > shared)
        return set_error(ATTUNE_ERROR_MISMATCH, "results do not fit into %zu shared bytes", shared);
    uint8_t *mapping = mmap(NULL, shared, PROT_READ | PROT_WRITE, MAP_SHARED, WORKER_SHARED, 0);
    if (mapping == MAP_FAILED)
        return set_error(ATTUNE_ERROR_OUT_OF_MEMORY, "the shared memory cannot be mapped");
    cl_int code = clEnqueueReadBuffer(worker->queue, buffer, CL_TRUE, 0, bytes, mapping, 0, NULL, NULL);
    munmap(mapping, shared);
    return code == CL_SUCCESS ? ATTUNE_OK : cl_error(code, "clEnqueueReadBuffer of a probe");
}

attune_status worker_instruction(struct worker *worker, const json_t *request, json_t **reply)
{
    const struct instruction *instruction = instruction_find(request_text(request, "trial"));
    if (!instruction)
        return set_error(ATTUNE_ERROR_MISMATCH, "there is no such instruction");
    int64_t launches = request_integer(request, "launches");
    int32_t iterations = (int32_t)request_integer(request, "iterations");
    if (!launches) {
        attune_status status = prepare(worker, instruction, "probe_instruction", CHECK_WG_SIZE, instruction->items);
        if (status == ATTUNE_OK)
            status = launch(worker, 1);
        return status == ATTUNE_OK ? share_buffer(worker, worker->instruction.out, instruction_out_bytes(instruction),
                                                  (size_t)request_integer(request, "shared"))
                                   : status;
    }
    struct probe_grid grid = probe_grid_of(worker);
    attune_status status =
        prepare(worker, instruction, "probe_instruction_rate", grid.wg_size, grid.wg_size * grid.groups);
    if (status != ATTUNE_OK)
        return status;
    if (clSetKernelArg(worker->instruction.kernel, 2, sizeof iterations, &iterations) != CL_SUCCESS)
        return set_error(ATTUNE_ERROR_OPENCL, "clSetKernelArg for a probe failed");
    status = launch(worker, launches);
    double work =
        instruction->group_work * (double)grid.groups + instruction->item_work * (double)(grid.groups * grid.wg_size);
    if (status == ATTUNE_OK)
        *reply = json_pack("{s:f}", "work", work * iterations * (double)launches);
    return status;
}
