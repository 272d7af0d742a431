/* SPDX-License-Identifier: Apache-2.0 */
#include "selftest.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "abi.clh"

#define Q_HEADS 4
#define KV_HEADS 2
#define GROUP (Q_HEADS / KV_HEADS)
#define DIM_QK 8
#define DIM_VO 6
#define SLOTS 16
#define TILE 3
#define SEQUENCES 2
#define Q_ROWS 7      /* 4 + 3 */
#define STRIDE 40     /* of a token in every tensor: not packed */
#define POISON -77.0f /* of the output */
#define WG_SIZE 32
#define GROUPS 3

static const int q_len[SEQUENCES] = {4, 3}, cache_len[SEQUENCES] = {5, 2};

struct problem {
    float q[Q_ROWS * STRIDE], k[Q_ROWS * STRIDE], v[Q_ROWS * STRIDE];
    float k_cache[SLOTS * STRIDE], v_cache[SLOTS * STRIDE];
    int indptr[SEQUENCES + 1], indices[SLOTS];
    int schedule[512];
    float o[Q_ROWS * STRIDE], lse[Q_ROWS * Q_HEADS];
};

/* ---- machine */

void machine_open(struct machine *machine, cl_uint device, cl_command_queue_properties properties)
{
    cl_device_id devices[8];
    cl_uint count;
    cl_int code;
    assert_int_equal(clGetPlatformIDs(1, &machine->platform, NULL), CL_SUCCESS);
    assert_int_equal(clGetDeviceIDs(machine->platform, CL_DEVICE_TYPE_ALL, 8, devices, &count), CL_SUCCESS);
    assert_true(device < count);
    machine->device = devices[device];
    machine->context = clCreateContext(NULL, 1, &machine->device, NULL, NULL, &code);
    assert_int_equal(code, CL_SUCCESS);
    cl_queue_properties list[] = {CL_QUEUE_PROPERTIES, properties | CL_QUEUE_PROFILING_ENABLE, 0};
    machine->queue = clCreateCommandQueueWithProperties(machine->context, machine->device, list, &code);
    assert_int_equal(code, CL_SUCCESS);
}

void machine_close(struct machine *machine)
{
    assert_int_equal(clReleaseCommandQueue(machine->queue), CL_SUCCESS);
    assert_int_equal(clReleaseContext(machine->context), CL_SUCCESS);
}

size_t objects_alive(const struct machine *machine)
{
    size_t (*function)(void) =
        (size_t(*)(void))clGetExtensionFunctionAddressForPlatform(machine->platform, "clFakeObjectsAlive");
    assert_non_null(function);
    return function();
}

uint64_t calls_made(const struct machine *machine, const char *name)
{
    uint64_t (*function)(const char *) =
        (uint64_t(*)(const char *))clGetExtensionFunctionAddressForPlatform(machine->platform, "clFakeCallCount");
    assert_non_null(function);
    return function(name);
}

/* ---- problem */

static float draw(uint32_t *state)
{
    *state = *state * 1664525u + 1013904223u; /* Numerical Recipes' ranqd1 */
    return (float)(*state >> 8) * 0x1p-23f - 1.0f;
}

static void fill(float *data, size_t count, uint32_t seed)
{
    for (size_t i = 0; i < count; i++)
        data[i] = draw(&seed);
}

static void make_schedule(int *schedule, int tile_heads)
{
    memset(schedule, 0, 512 * sizeof *schedule);
    int items = 0, *item = schedule + SCHEDULE_HEADER + SEQUENCES * SEQUENCE_WORDS;
    schedule[0] = SCHEDULE_VERSION;
    schedule[1] = SEQUENCES;
    schedule[2] = SCHEDULE_HEADER;
    schedule[3] = (int)(item - schedule);
    for (int s = 0, row = 0; s < SEQUENCES; row += q_len[s++]) {
        int *sequence = schedule + SCHEDULE_HEADER + s * SEQUENCE_WORDS;
        sequence[SEQ_Q_START] = sequence[SEQ_NEW_START] = row;
        sequence[SEQ_Q_LEN] = sequence[SEQ_NEW_LEN] = q_len[s];
        sequence[SEQ_CACHE_LEN] = sequence[SEQ_Q_POS] = cache_len[s];
        sequence[SEQ_PARTIAL] = -1;
        for (int h = 0; h < Q_HEADS; h += tile_heads)
            for (int t = 0; t < q_len[s]; t += TILE, items++, item += ITEM_WORDS) {
                int count = q_len[s] - t < TILE ? q_len[s] - t : TILE;
                const int words[] = {s, h, t, count, 0, cache_len[s] + t + count, 0, 0};
                memcpy(item, words, sizeof words);
            }
    }
    schedule[5] = items;
}

static void make_problem(struct problem *problem, int tile_heads)
{
    fill(problem->q, Q_ROWS * STRIDE, 1);
    fill(problem->k, Q_ROWS * STRIDE, 2);
    fill(problem->v, Q_ROWS * STRIDE, 3);
    for (int i = 0; i < SLOTS * STRIDE; i++)
        problem->k_cache[i] = problem->v_cache[i] = NAN; /* slots that no sequence uses */
    for (int s = 0, n = 0; s < SEQUENCES; s++) {
        problem->indptr[s] = n;
        for (int j = 0; j < cache_len[s]; j++, n++) {
            problem->indices[n] = (7 * n + 3) % SLOTS;
            fill(problem->k_cache + problem->indices[n] * STRIDE, STRIDE, (uint32_t)(100 + n));
            fill(problem->v_cache + problem->indices[n] * STRIDE, STRIDE, (uint32_t)(200 + n));
        }
        problem->indptr[s + 1] = n;
    }
    make_schedule(problem->schedule, tile_heads);
    for (int i = 0; i < Q_ROWS * STRIDE; i++)
        problem->o[i] = POISON;
    for (int i = 0; i < Q_ROWS * Q_HEADS; i++)
        problem->lse[i] = POISON;
}

/* The definition, without a schedule: o[DIM_VO] and the return value lse of query t of sequence s, head h. */
static double naive(const struct problem *problem, int s, int row, int t, int h, double *o)
{
    double total = 0.0;
    memset(o, 0, DIM_VO * sizeof *o);
    for (int j = 0; j <= cache_len[s] + t; j++) {
        bool cached = j < cache_len[s];
        int token = cached ? problem->indices[problem->indptr[s] + j] : row - t + j - cache_len[s];
        const float *k = (cached ? problem->k_cache : problem->k) + token * STRIDE + h / GROUP * DIM_QK;
        const float *v = (cached ? problem->v_cache : problem->v) + token * STRIDE + h / GROUP * DIM_VO;
        double logit = 0.0;
        for (int d = 0; d < DIM_QK; d++)
            logit += (double)problem->q[row * STRIDE + h * DIM_QK + d] * (double)k[d];
        double weight = exp(0.5 * logit);
        total += weight;
        for (int d = 0; d < DIM_VO; d++)
            o[d] += weight * (double)v[d];
    }
    for (int d = 0; d < DIM_VO; d++)
        o[d] /= total;
    return log(total);
}

static double largest(double a, double b)
{
    return isnan(a) || isnan(b) ? NAN : fmax(a, b);
}

static double compare(const struct problem *problem)
{
    double error = 0.0, o[DIM_VO];
    for (int s = 0, row = 0; s < SEQUENCES; s++)
        for (int t = 0; t < q_len[s]; t++, row++)
            for (int h = 0; h < Q_HEADS; h++) {
                double lse = naive(problem, s, row, t, h, o);
                error = largest(error, fabs(lse - (double)problem->lse[row * Q_HEADS + h]));
                for (int d = 0; d < DIM_VO; d++)
                    error = largest(error, fabs(o[d] - (double)problem->o[row * STRIDE + h * DIM_VO + d]));
            }
    return error;
}

static bool canary_changed(const struct problem *problem)
{
    for (int row = 0; row < Q_ROWS; row++)
        for (int i = Q_HEADS * DIM_VO; i < STRIDE; i++)
            if (problem->o[row * STRIDE + i] != POISON)
                return true;
    return false;
}

/* ---- launch */

static cl_mem buffer(const struct machine *machine, void *data, size_t size)
{
    cl_int code;
    cl_mem mem = clCreateBuffer(machine->context, CL_MEM_COPY_HOST_PTR, size, data, &code);
    assert_int_equal(code, CL_SUCCESS);
    return mem;
}

static cl_program build(const struct machine *machine, bool pack, const char *extra, struct outcome *outcome)
{
    char options[512];
    snprintf(options, sizeof options,
             "-cl-mad-enable -DHEAD_DIM_QK=%d -DHEAD_DIM_VO=%d -DGROUP_SIZE=%d -DCAUSAL=1 -DHAS_CACHE=1 -DHAS_NEW=1"
             " -DQ_TYPE=1 -DKV_TYPE=1 -DO_TYPE=1 -D PACK_GQA=%d -DWG_SIZE=%d %s",
             DIM_QK, DIM_VO, GROUP, pack, WG_SIZE, extra);
    const char *source = SOURCE;
    cl_program program = clCreateProgramWithSource(machine->context, 1, &source, NULL, NULL);
    assert_non_null(program);
    outcome->build = clBuildProgram(program, 0, NULL, options, NULL, NULL);
    clGetProgramBuildInfo(program, machine->device, CL_PROGRAM_BUILD_LOG, sizeof outcome->log, outcome->log, NULL);
    return program;
}

static void launch(const struct machine *machine, cl_kernel kernel, struct problem *problem, struct outcome *outcome)
{
    struct {
        void *data;
        size_t size;
    } args[] = {{problem->q, sizeof problem->q},
                {problem->k, sizeof problem->k},
                {problem->v, sizeof problem->v},
                {problem->k_cache, sizeof problem->k_cache},
                {problem->v_cache, sizeof problem->v_cache},
                {problem->indptr, sizeof problem->indptr},
                {problem->indices, sizeof problem->indices},
                {problem->o, sizeof problem->o},
                {problem->lse, sizeof problem->lse},
                {NULL, 0},
                {problem->schedule, sizeof problem->schedule}};
    cl_mem mems[11];
    struct attention_args last = {
        .q_stride_token = STRIDE,
        .q_stride_head = DIM_QK,
        .k_stride_token = STRIDE,
        .k_stride_head = DIM_QK,
        .v_stride_token = STRIDE,
        .v_stride_head = DIM_VO,
        .k_cache_stride_page = STRIDE,
        .k_cache_stride_head = DIM_QK,
        .v_cache_stride_page = STRIDE,
        .v_cache_stride_head = DIM_VO,
        .o_stride_token = STRIDE,
        .o_stride_head = DIM_VO,
        .lse_stride_token = Q_HEADS,
        .lse_stride_head = 1,
        .scale = 0.5f,
        .num_groups = GROUPS,
    };
    for (cl_uint i = 0; i < 11; i++) {
        mems[i] = args[i].data ? buffer(machine, args[i].data, args[i].size) : NULL;
        assert_int_equal(clSetKernelArg(kernel, i, sizeof(cl_mem), &mems[i]), CL_SUCCESS);
    }
    assert_int_equal(clSetKernelArg(kernel, 11, sizeof last, &last), CL_SUCCESS);
    const size_t global = GROUPS * WG_SIZE, local = WG_SIZE;
    cl_event event;
    float q_before = problem->q[0];
    outcome->enqueue = clEnqueueNDRangeKernel(machine->queue, kernel, 1, NULL, &global, &local, 0, NULL, &event);
    if (!outcome->enqueue) {
        cl_ulong start = 0, end = 0;
        clWaitForEvents(1, &event);
        clGetEventInfo(event, CL_EVENT_COMMAND_EXECUTION_STATUS, sizeof outcome->event, &outcome->event, NULL);
        clGetEventProfilingInfo(event, CL_PROFILING_COMMAND_START, sizeof start, &start, NULL);
        clGetEventProfilingInfo(event, CL_PROFILING_COMMAND_END, sizeof end, &end, NULL);
        outcome->ns = end - start;
        clEnqueueReadBuffer(machine->queue, mems[0], CL_TRUE, 0, sizeof(float), problem->q, 0, NULL, NULL);
        clEnqueueReadBuffer(machine->queue, mems[7], CL_TRUE, 0, sizeof problem->o, problem->o, 0, NULL, NULL);
        clEnqueueReadBuffer(machine->queue, mems[8], CL_TRUE, 0, sizeof problem->lse, problem->lse, 0, NULL, NULL);
        clReleaseEvent(event);
    }
    outcome->q_changed = problem->q[0] != q_before;
    problem->q[0] = q_before;
    for (int i = 0; i < 11; i++)
        if (mems[i])
            clReleaseMemObject(mems[i]);
}

struct outcome attention_run(const struct machine *machine, bool pack, const char *extra)
{
    struct outcome outcome = {.build = 1, .enqueue = 1, .event = 1};
    struct problem *problem = calloc(1, sizeof *problem);
    assert_non_null(problem);
    make_problem(problem, pack ? GROUP : 1);
    cl_program program = build(machine, pack, extra, &outcome);
    if (!outcome.build) {
        cl_int code;
        cl_kernel kernel = clCreateKernel(program, "attention", &code);
        assert_int_equal(code, CL_SUCCESS);
        launch(machine, kernel, problem, &outcome);
        clReleaseKernel(kernel);
        outcome.error = compare(problem);
        outcome.no_values = problem->o[0] == POISON;
        outcome.canary_changed = canary_changed(problem);
    }
    clReleaseProgram(program);
    free(problem);
    return outcome;
}
