/* SPDX-License-Identifier: Apache-2.0
 * Trials of the device's peaks. The supervisor times them. */
#include <stdio.h>
#include <string.h>

#include "cl/program.h"
#include "context.h"
#include "worker.h"

extern const char probe_source[];

#define READ_BYTES ((size_t)256 << 20) /* well past any cache */
#define MAX_GROUPS 65536

void probe_clear(struct probe *probe)
{
    if (probe->kernel)
        clReleaseKernel(probe->kernel);
    if (probe->program)
        clReleaseProgram(probe->program);
    if (probe->buffer)
        clReleaseMemObject(probe->buffer);
    memset(probe, 0, sizeof *probe);
}

struct probe_grid probe_grid_of(const struct worker *worker)
{
    const struct cl_device *device = &worker->context->choice.device;
    bool host = device->type & CL_DEVICE_TYPE_CPU;
    size_t groups = (size_t)device->compute_units * (host ? 4 : 32);
    return (struct probe_grid){host ? 1 : 64, groups < MAX_GROUPS ? groups : MAX_GROUPS};
}

static size_t read_bytes(const struct worker *worker)
{
    size_t limit = (size_t)worker->context->choice.device.max_alloc_bytes / 2;
    return limit && limit < READ_BYTES ? limit : READ_BYTES;
}

enum trial { TRIAL_FMA, TRIAL_READ, TRIAL_EMPTY };

static attune_status prepare(struct worker *worker, enum trial trial, int vec)
{
    static const char *const names[NUM_PROBES] = {"probe_fma", "probe_read", "probe_empty"};
    struct probe *probe = &worker->probes[trial];
    if (probe->kernel && probe->vec == vec)
        return ATTUNE_OK;
    probe_clear(probe);
    struct probe_grid grid = probe_grid_of(worker);
    char options[64];
    snprintf(options, sizeof options, "-D VEC=%d -D WG_SIZE=%zu", vec, grid.wg_size);
    attune_status status = cl_program_from_source(worker->context->cl, worker->context->choice.device.id, probe_source,
                                                  options, &probe->program);
    if (status != ATTUNE_OK)
        return status;
    cl_int code;
    probe->kernel = clCreateKernel(probe->program, names[trial], &code);
    if (code != CL_SUCCESS)
        return cl_error(code, "clCreateKernel for a probe");
    size_t bytes = grid.groups * grid.wg_size * sizeof(float) + (trial == TRIAL_READ ? read_bytes(worker) : 0);
    probe->buffer = clCreateBuffer(worker->context->cl, CL_MEM_READ_WRITE, bytes, NULL, &code);
    /* Written once, so that the pages exist and differ. */
    const float one = 1.0f;
    if (code == CL_SUCCESS)
        code = clEnqueueFillBuffer(worker->queue, probe->buffer, &one, sizeof one, 0, bytes, 0, NULL, NULL);
    if (code != CL_SUCCESS)
        return cl_error(code, "buffer for a probe");
    clFinish(worker->queue);
    probe->vec = vec;
    return ATTUNE_OK;
}

/* Sets the trial's arguments; *work is what one launch does, in operations or bytes. */
static attune_status set_arguments(struct worker *worker, enum trial trial, int iterations, double *work)
{
    struct probe *probe = &worker->probes[trial];
    struct probe_grid grid = probe_grid_of(worker);
    cl_int code = clSetKernelArg(probe->kernel, 0, sizeof probe->buffer, &probe->buffer);
    *work = 0;
    if (trial == TRIAL_FMA) {
        const float factor = 0.999f, addend = 0.5f;
        code |= clSetKernelArg(probe->kernel, 1, sizeof iterations, &iterations);
        code |= clSetKernelArg(probe->kernel, 2, sizeof factor, &factor);
        code |= clSetKernelArg(probe->kernel, 3, sizeof addend, &addend);
        *work = 2.0 * 12 * probe->vec * iterations * (double)(grid.wg_size * grid.groups);
    } else if (trial == TRIAL_READ) {
        size_t vector = (size_t)probe->vec * sizeof(float), step = 4 * grid.wg_size;
        int32_t chunk = (int32_t)(read_bytes(worker) / vector / grid.groups / step * step);
        code |= clSetKernelArg(probe->kernel, 1, sizeof probe->buffer, &probe->buffer);
        code |= clSetKernelArg(probe->kernel, 2, sizeof chunk, &chunk);
        *work = (double)chunk * (double)vector * (double)grid.groups;
    }
    return code == CL_SUCCESS ? ATTUNE_OK : set_error(ATTUNE_ERROR_OPENCL, "clSetKernelArg for a probe failed");
}

/* trial "timer": nothing runs. */
static attune_status timer_step(struct worker *worker, json_t **reply)
{
    size_t resolution = 0;
    cl_int code = clGetDeviceInfo(worker->context->choice.device.id, CL_DEVICE_PROFILING_TIMER_RESOLUTION,
                                  sizeof resolution, &resolution, NULL);
    if (code != CL_SUCCESS)
        return cl_error(code, "clGetDeviceInfo");
    *reply = json_pack("{s:I}", "timer_ns", (json_int_t)resolution);
    return ATTUNE_OK;
}

/* "fma" and "read": `launches` back to back. "empty": `launches` times enqueue and finish; "enqueue_ns" is the part
 * spent in enqueueing. */
attune_status worker_probe(struct worker *worker, const json_t *request, json_t **reply)
{
    const char *name = request_text(request, "trial");
    if (!strcmp(name, "timer"))
        return timer_step(worker, reply);
    enum trial trial = !strcmp(name, "fma") ? TRIAL_FMA : !strcmp(name, "read") ? TRIAL_READ : TRIAL_EMPTY;
    int iterations = (int)request_integer(request, "iterations");
    int64_t launches = request_integer(request, "launches");
    double work;
    attune_status status = prepare(worker, trial, (int)request_integer(request, "vec"));
    if (status != ATTUNE_OK || (status = set_arguments(worker, trial, iterations, &work)) != ATTUNE_OK)
        return status;
    struct probe_grid grid = probe_grid_of(worker);
    size_t global = grid.wg_size * grid.groups;
    cl_int code = CL_SUCCESS;
    uint64_t enqueue_ns = 0;
    for (int64_t i = 0; code == CL_SUCCESS && i < launches; i++) {
        uint64_t start = clock_now_ns();
        code = clEnqueueNDRangeKernel(worker->queue, worker->probes[trial].kernel, 1, NULL, &global, &grid.wg_size, 0,
                                      NULL, NULL);
        enqueue_ns += clock_now_ns() - start;
        if (trial == TRIAL_EMPTY && code == CL_SUCCESS)
            code = clFinish(worker->queue);
    }
    cl_int finished = clFinish(worker->queue);
    if (code == CL_SUCCESS)
        code = finished;
    if (code != CL_SUCCESS)
        return cl_error(code, "a probe");
    *reply = json_pack("{s:f,s:I}", "work", work * (double)launches, "enqueue_ns", (json_int_t)enqueue_ns);
    return ATTUNE_OK;
}
