/* SPDX-License-Identifier: Apache-2.0
 * Trials of what a device can do and what things cost there: kernels/probe.cl. The supervisor times and judges them. */
#include <stdio.h>
#include <string.h>

#include "cl/program.h"
#include "context.h"
#include "worker.h"

extern const char probe_source[];

#define LARGEST_FOOTPRINT ((size_t)256 << 20) /* well past any cache */
#define MAX_GROUPS 65536
#define BARRIER_WG_SIZE 64 /* a usual size of groups that share local memory */

/* Operations of an iteration, as the kernels define them. */
#define FMA_CHAINS 12
#define LOCAL_BYTES 16384
#define BARRIERS 2
#define LOOP_FMAS (8 * 64)

enum trial {
    TRIAL_FMA,
    TRIAL_READ,
    TRIAL_EMPTY,
    TRIAL_LOCAL,
    TRIAL_BARRIER,
    TRIAL_UNIFORM,
    TRIAL_OPAQUE,
    TRIAL_GROUP,
    TRIAL_PRIVATE,
    NUM_TRIALS
};

static const struct {
    const char *name, *kernel;
} trials[NUM_TRIALS] = {
    [TRIAL_FMA] = {"fma", "probe_fma"},
    [TRIAL_READ] = {"read", "probe_read"},
    [TRIAL_EMPTY] = {"empty", "probe_empty"},
    [TRIAL_LOCAL] = {"local", "probe_local"},
    [TRIAL_BARRIER] = {"barrier", "probe_barrier"},
    [TRIAL_UNIFORM] = {"loop_uniform", "probe_loop_uniform"},
    [TRIAL_OPAQUE] = {"loop_opaque", "probe_loop_opaque"},
    [TRIAL_GROUP] = {"group", "probe_group"},
    [TRIAL_PRIVATE] = {"private", "probe_private"},
};

/* A trial as the supervisor asks for it. */
struct asked {
    enum trial trial;
    int vec, iterations;
    int64_t launches;
    size_t size; /* read: bytes of the footprint; group: work-items; private: bytes a work-item */
};

static bool is_host(const struct worker *worker)
{
    return worker->context->choice.device.type & CL_DEVICE_TYPE_CPU;
}

struct probe_grid probe_grid_of(const struct worker *worker)
{
    size_t groups = (size_t)worker->context->choice.device.compute_units * (is_host(worker) ? 4 : 32);
    return (struct probe_grid){is_host(worker) ? 1 : 64, groups < MAX_GROUPS ? groups : MAX_GROUPS};
}

static struct probe_grid grid_of(const struct worker *worker, const struct asked *asked)
{
    struct probe_grid grid = probe_grid_of(worker);
    size_t units = (size_t)worker->context->choice.device.compute_units;
    size_t most = (size_t)worker->context->choice.device.max_work_group_size;
    switch (asked->trial) {
    case TRIAL_READ: /* a group a processor, so that its share stays in the processor's caches */
        grid.groups = is_host(worker) ? units : grid.groups;
        return grid;
    case TRIAL_BARRIER:
        grid.groups = units; /* fall through */
    case TRIAL_UNIFORM:
    case TRIAL_OPAQUE:
        grid.wg_size = most < BARRIER_WG_SIZE ? most : BARRIER_WG_SIZE;
        return grid;
    case TRIAL_GROUP:
        return (struct probe_grid){asked->size, 2};
    default:
        return grid;
    }
}

/* The largest footprint that the device takes, at most as large as asked for. */
static size_t footprint_of(const struct worker *worker, size_t bytes)
{
    size_t limit = (size_t)worker->context->choice.device.max_alloc_bytes / 2;
    return limit && limit < bytes ? limit : bytes;
}

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

/* The output, and behind it what is read; written once, so that the pages exist and differ. */
static attune_status make_buffer(struct worker *worker, struct probe *probe, const struct probe_grid *grid,
                                 enum trial trial)
{
    cl_int code;
    size_t bytes = grid->groups * grid->wg_size * sizeof(float);
    if (trial == TRIAL_READ)
        bytes += footprint_of(worker, LARGEST_FOOTPRINT);
    probe->buffer = clCreateBuffer(worker->context->cl, CL_MEM_READ_WRITE, bytes, NULL, &code);
    const float one = 1.0f;
    if (code == CL_SUCCESS)
        code = clEnqueueFillBuffer(worker->queue, probe->buffer, &one, sizeof one, 0, bytes, 0, NULL, NULL);
    if (code != CL_SUCCESS)
        return cl_error(code, "buffer for a probe");
    clFinish(worker->queue);
    return ATTUNE_OK;
}

static attune_status prepare(struct worker *worker, const struct asked *asked, const struct probe_grid *grid)
{
    struct probe *probe = &worker->probes[asked->trial];
    char options[96];
    int length = snprintf(options, sizeof options, "-D VEC=%d -D WG_SIZE=%zu", asked->vec, grid->wg_size);
    if (asked->trial == TRIAL_PRIVATE)
        snprintf(options + length, sizeof options - (size_t)length, " -D PRIVATE_BYTES=%zu", asked->size);
    if (probe->kernel && !strcmp(probe->options, options))
        return ATTUNE_OK;
    probe_clear(probe);
    attune_status status = cl_program_from_source(worker->context->cl, context_device(worker->context), probe_source,
                                                  options, &probe->program);
    if (status != ATTUNE_OK)
        return status;
    cl_int code;
    probe->kernel = clCreateKernel(probe->program, trials[asked->trial].kernel, &code);
    if (code != CL_SUCCESS)
        return cl_error(code, "clCreateKernel for a probe");
    if ((status = make_buffer(worker, probe, grid, asked->trial)) == ATTUNE_OK)
        copy_string(probe->options, sizeof probe->options, options);
    return status;
}

/* Chunks of the footprint, each a multiple of what a group reads at a step. */
static cl_int set_read_arguments(struct worker *worker, const struct asked *asked, const struct probe_grid *grid,
                                 double *work)
{
    struct probe *probe = &worker->probes[TRIAL_READ];
    size_t vector = (size_t)asked->vec * sizeof(float), step = 8 * grid->wg_size;
    size_t vectors = footprint_of(worker, asked->size) / vector, chunk = vectors / grid->groups / step * step;
    int32_t length = (int32_t)(chunk ? chunk : step);
    int32_t chunks = (int32_t)(vectors / (size_t)length ? vectors / (size_t)length : 1);
    *work = (double)length * (double)vector * (double)grid->groups;
    return clSetKernelArg(probe->kernel, 2, sizeof probe->buffer, &probe->buffer) |
           clSetKernelArg(probe->kernel, 3, sizeof length, &length) |
           clSetKernelArg(probe->kernel, 4, sizeof chunks, &chunks);
}

static cl_int set_fma_arguments(cl_kernel kernel)
{
    const float factor = 0.999f, addend = 0.5f;
    return clSetKernelArg(kernel, 2, sizeof factor, &factor) | clSetKernelArg(kernel, 3, sizeof addend, &addend);
}

/* Sets the trial's arguments; *work is what one iteration of one launch does, in operations or bytes. */
static attune_status set_arguments(struct worker *worker, const struct asked *asked, const struct probe_grid *grid,
                                   double *work)
{
    struct probe *probe = &worker->probes[asked->trial];
    double items = (double)(grid->wg_size * grid->groups);
    int32_t opaque_max = (int32_t)grid->wg_size;
    cl_int code = clSetKernelArg(probe->kernel, 0, sizeof probe->buffer, &probe->buffer);
    if (asked->trial != TRIAL_EMPTY && asked->trial != TRIAL_GROUP)
        code |= clSetKernelArg(probe->kernel, 1, sizeof asked->iterations, &asked->iterations);
    *work = 0;
    switch (asked->trial) {
    case TRIAL_FMA:
        code |= set_fma_arguments(probe->kernel);
        *work = 2.0 * FMA_CHAINS * asked->vec * items;
        break;
    case TRIAL_PRIVATE:
        code |= set_fma_arguments(probe->kernel);
        *work = 2.0 * (double)(asked->size / sizeof(float)) * items;
        break;
    case TRIAL_READ:
        code |= set_read_arguments(worker, asked, grid, work);
        break;
    case TRIAL_LOCAL:
        *work = (double)LOCAL_BYTES * (double)grid->groups;
        break;
    case TRIAL_BARRIER:
        *work = BARRIERS;
        break;
    case TRIAL_UNIFORM:
    case TRIAL_OPAQUE:
        code |= clSetKernelArg(probe->kernel, 2, sizeof opaque_max, &opaque_max);
        *work = 2.0 * LOOP_FMAS * asked->vec * items;
        break;
    default:
        break;
    }
    return code == CL_SUCCESS ? ATTUNE_OK : set_error(ATTUNE_ERROR_OPENCL, "clSetKernelArg for a probe failed");
}

/* trial "timer": nothing runs. */
static attune_status timer_step(struct worker *worker, json_t **reply)
{
    size_t resolution = 0;
    cl_int code = clGetDeviceInfo(context_device(worker->context), CL_DEVICE_PROFILING_TIMER_RESOLUTION,
                                  sizeof resolution, &resolution, NULL);
    if (code != CL_SUCCESS)
        return cl_error(code, "clGetDeviceInfo");
    *reply = json_pack("{s:I}", "timer_ns", (json_int_t)resolution);
    return ATTUNE_OK;
}

static attune_status read_request(const json_t *request, struct asked *out)
{
    const char *name = request_text(request, "trial");
    *out = (struct asked){0, (int)request_integer(request, "vec"), (int)request_integer(request, "iterations"),
                          request_integer(request, "launches"), (size_t)request_integer(request, "size")};
    while (out->trial < NUM_TRIALS && strcmp(trials[out->trial].name, name))
        out->trial++;
    return out->trial < NUM_TRIALS ? ATTUNE_OK : set_error(ATTUNE_ERROR_MISMATCH, "there is no trial \"%s\"", name);
}

/* `launches` back to back; of an empty kernel, each enqueued and waited for. *enqueue_ns is what enqueueing took. */
static attune_status launch(struct worker *worker, const struct asked *asked, const struct probe_grid *grid,
                            uint64_t *enqueue_ns)
{
    size_t global = grid->wg_size * grid->groups;
    cl_int code = CL_SUCCESS;
    *enqueue_ns = 0;
    for (int64_t i = 0; code == CL_SUCCESS && i < asked->launches; i++) {
        uint64_t start = clock_now_ns();
        code = clEnqueueNDRangeKernel(worker->queue, worker->probes[asked->trial].kernel, 1, NULL, &global,
                                      &grid->wg_size, 0, NULL, NULL);
        *enqueue_ns += clock_now_ns() - start;
        if (asked->trial == TRIAL_EMPTY && code == CL_SUCCESS)
            code = clFinish(worker->queue);
    }
    cl_int finished = clFinish(worker->queue);
    if (code == CL_SUCCESS)
        code = finished;
    return code == CL_SUCCESS ? ATTUNE_OK : cl_error(code, "a probe");
}

attune_status worker_probe(struct worker *worker, const json_t *request, json_t **reply)
{
    struct asked asked;
    double work;
    uint64_t enqueue_ns;
    if (!strcmp(request_text(request, "trial"), "timer"))
        return timer_step(worker, reply);
    attune_status status = read_request(request, &asked);
    if (status != ATTUNE_OK)
        return status;
    struct probe_grid grid = grid_of(worker, &asked);
    if ((status = prepare(worker, &asked, &grid)) != ATTUNE_OK ||
        (status = set_arguments(worker, &asked, &grid, &work)) != ATTUNE_OK ||
        (status = launch(worker, &asked, &grid, &enqueue_ns)) != ATTUNE_OK)
        return status;
    if (asked.trial == TRIAL_GROUP)
        status = share_buffer(worker, worker->probes[TRIAL_GROUP].buffer, 2 * asked.size * sizeof(uint32_t),
                              (size_t)request_integer(request, "shared"));
    if (status == ATTUNE_OK)
        *reply = json_pack("{s:f,s:I}", "work", work * asked.iterations * (double)asked.launches, "enqueue_ns",
                           (json_int_t)enqueue_ns);
    return status;
}
