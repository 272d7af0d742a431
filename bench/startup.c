/* SPDX-License-Identifier: Apache-2.0
 * `attune-bench --startup`: from nothing to a first result, as an engine's process starts. The model is of Qwen3-8B's
 * shape. */
#include "startup.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#define NUM_Q_HEADS 32
#define NUM_KV_HEADS 8
#define HEAD_DIM 128
#define NEW_TOKENS 16
#define PREFIX_TOKENS 32
#define MAX_TOKENS 64
#define MAX_STEPS 20
#define NUM_TENSORS 7
#define ELEMENT_BYTES 2 /* bf16 */

struct step {
    const char *name, *what;
    double ms;
};

struct startup {
    const struct startup_options *options;
    struct timespec start, last;
    struct step steps[MAX_STEPS];
    size_t num_steps, programs;
    double first_result_ms; /* since the start */
    attune_context *context;
    cl_command_queue queue;
    cl_mem buffers[NUM_TENSORS + 2];
    size_t num_buffers;
};

static double ms_between(const struct timespec *from, const struct timespec *to)
{
    return 1e3 * (double)(to->tv_sec - from->tv_sec) + 1e-6 * (double)(to->tv_nsec - from->tv_nsec);
}

/* Ends a step: what passed since the one before is its time. */
static void end_step(struct startup *s, const char *name, const char *what)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    if (s->num_steps < MAX_STEPS)
        s->steps[s->num_steps++] = (struct step){name, what, ms_between(&s->last, &now)};
    s->last = now;
}

/* What is not attune's belongs to no step. */
static void skip_time(struct startup *s)
{
    clock_gettime(CLOCK_MONOTONIC, &s->last);
}

static attune_status opencl_failed(const char *what, cl_int code)
{
    cli_error("%s: OpenCL error %d", what, (int)code);
    return ATTUNE_ERROR_OPENCL;
}

static attune_attention_desc model_desc(attune_operation operation)
{
    attune_attention_desc desc = ATTUNE_ATTENTION_DESC_INIT;
    desc.operation = operation;
    desc.num_q_heads = NUM_Q_HEADS;
    desc.num_kv_heads = NUM_KV_HEADS;
    desc.head_dim_qk = HEAD_DIM;
    desc.q_dtype = desc.kv_dtype = desc.o_dtype = ATTUNE_BF16;
    desc.precision = ATTUNE_FAST;
    return desc;
}

static attune_status make_plan(struct startup *s, attune_operation operation, attune_plan **out)
{
    /* What a serving engine meets, by class of q_len, keys and batch. */
    static const attune_shape extend[] = {{1, 2048, 2048}, {1, 512, 4096}, {4, 64, 1024}, {4, 8, 1024}};
    static const attune_shape decode[] = {{1, 1, 512}, {1, 1, 4096}, {16, 1, 1024}, {64, 1, 1024}};
    attune_attention_desc desc = model_desc(operation);
    attune_kv_layout_options cache = ATTUNE_KV_LAYOUT_OPTIONS_INIT;
    cache.dtype = desc.kv_dtype;
    cache.num_kv_heads = NUM_KV_HEADS;
    cache.head_dim_qk = HEAD_DIM;
    cache.page_size = (int32_t)s->options->page_size;
    cache.num_slots = MAX_TOKENS;
    attune_kv_layout *layout;
    attune_status status = attune_kv_layout_create(s->context, &cache, &layout);
    if (status)
        return status;
    attune_plan_options options = ATTUNE_PLAN_OPTIONS_INIT;
    options.shapes = operation == ATTUNE_EXTEND ? extend : decode;
    options.num_shapes = 4;
    options.max_configs = (int32_t)s->options->max_configs;
    status = attune_plan_create(s->context, &desc, layout, &options, out);
    attune_kv_layout_destroy(&layout);
    if (!status)
        s->programs += attune_plan_num_configs(*out);
    return status;
}

static attune_status add_tensor(struct startup *s, size_t bytes, const void *content, attune_tensor *tensor)
{
    cl_int code;
    cl_mem_flags flags = CL_MEM_READ_WRITE | (content ? CL_MEM_COPY_HOST_PTR : 0);
    cl_mem buffer = clCreateBuffer(attune_context_cl(s->context), flags, bytes, (void *)content, &code);
    if (code != CL_SUCCESS)
        return opencl_failed("clCreateBuffer", code);
    s->buffers[s->num_buffers++] = buffer;
    tensor->type = ATTUNE_MEMORY_CL;
    tensor->cl = buffer;
    return ATTUNE_OK;
}

static void release_tensors(struct startup *s)
{
    while (s->num_buffers)
        clReleaseMemObject(s->buffers[--s->num_buffers]);
}

/* One sequence: a prefix in the cache and, for extend, new tokens beside it. All numbers are 0. */
static attune_status make_args(struct startup *s, attune_operation operation, const attune_plan *plan,
                               const attune_schedule *schedule, attune_attention_args *args)
{
    static const uint16_t zeros[MAX_TOKENS * NUM_Q_HEADS * HEAD_DIM];
    int32_t indptr[2] = {0, PREFIX_TOKENS}, indices[PREFIX_TOKENS];
    size_t row = HEAD_DIM * ELEMENT_BYTES, workspace = 0;
    for (int32_t i = 0; i < PREFIX_TOKENS; i++)
        indices[i] = i < MAX_TOKENS / (int32_t)s->options->page_size ? i : 0;
    indptr[1] = PREFIX_TOKENS / (int32_t)s->options->page_size;
    attune_status status = attune_plan_workspace_size(plan, schedule, &workspace);
    const struct {
        attune_tensor *tensor;
        size_t bytes;
        const void *content;
    } tensors[] = {
        {&args->q, MAX_TOKENS * NUM_Q_HEADS * row, zeros},
        {&args->o, MAX_TOKENS * NUM_Q_HEADS * row, NULL},
        {&args->k_cache, MAX_TOKENS * NUM_KV_HEADS * row, zeros},
        {&args->v_cache, MAX_TOKENS * NUM_KV_HEADS * row, zeros},
        {&args->kv_indptr, sizeof indptr, indptr},
        {&args->kv_indices, sizeof indices, indices},
        {&args->workspace, workspace, NULL},
        {&args->k, MAX_TOKENS * NUM_KV_HEADS * row, zeros},
        {&args->v, MAX_TOKENS * NUM_KV_HEADS * row, zeros},
    };
    size_t count = sizeof tensors / sizeof *tensors - (operation == ATTUNE_EXTEND ? 0 : 2);
    for (size_t i = 0; !status && i < count; i++)
        if (tensors[i].bytes)
            status = add_tensor(s, tensors[i].bytes, tensors[i].content, tensors[i].tensor);
    return status;
}

static attune_status run_and_read(struct startup *s, attune_launcher *launcher, attune_schedule *schedule,
                                  const attune_attention_args *args)
{
    uint16_t first[HEAD_DIM];
    attune_status status = attune_attention_run(launcher, schedule, args, s->queue, 0, NULL, NULL);
    if (status)
        return status;
    cl_int code = clEnqueueReadBuffer(s->queue, args->o.cl, CL_TRUE, 0, sizeof first, first, 0, NULL, NULL);
    return code ? opencl_failed("clEnqueueReadBuffer", code) : ATTUNE_OK;
}

static attune_status first_result(struct startup *s, attune_operation operation, const attune_plan *plan,
                                  const char *what)
{
    int32_t q_len = operation == ATTUNE_EXTEND ? NEW_TOKENS : 1;
    int32_t kv_len = operation == ATTUNE_EXTEND ? PREFIX_TOKENS + NEW_TOKENS : PREFIX_TOKENS;
    attune_schedule *schedule = NULL;
    attune_launcher *launcher = NULL;
    attune_schedule_options options = ATTUNE_SCHEDULE_OPTIONS_INIT;
    options.max_batch = 1;
    options.max_q_tokens = MAX_TOKENS;
    attune_attention_args args = ATTUNE_ATTENTION_ARGS_INIT;
    skip_time(s);
    attune_status status = attune_schedule_create(plan, &options, &schedule);
    if (!status)
        status = attune_schedule_update(schedule, s->queue, 1, &q_len, &kv_len, 0, NULL, NULL);
    end_step(s, "schedule", what);
    if (!status)
        status = attune_launcher_create(plan, &launcher);
    end_step(s, "launcher", what);
    if (!status)
        status = make_args(s, operation, plan, schedule, &args);
    end_step(s, "buffers", what);
    if (!status)
        status = run_and_read(s, launcher, schedule, &args);
    end_step(s, "run and read", what);
    attune_launcher_destroy(&launcher);
    attune_schedule_destroy(&schedule);
    release_tensors(s);
    return status;
}

static attune_status start_up(struct startup *s)
{
    static const struct {
        attune_operation operation;
        const char *name;
    } uses[] = {{ATTUNE_EXTEND, "extend"}, {ATTUNE_DECODE, "decode"}};
    attune_plan *plans[2] = {NULL, NULL};
    attune_status status = attune_context_create(&s->context, &s->options->context);
    end_step(s, "context", "");
    for (int i = 0; i < 2 && !status; i++) {
        status = make_plan(s, uses[i].operation, &plans[i]);
        end_step(s, "plan", uses[i].name);
    }
    cl_int code = CL_SUCCESS;
    if (!status)
        s->queue = clCreateCommandQueue(attune_context_cl(s->context), attune_context_device(s->context), 0, &code);
    if (code)
        status = opencl_failed("clCreateCommandQueue", code);
    for (int i = 0; i < 2 && !status; i++) {
        status = first_result(s, uses[i].operation, plans[i], uses[i].name);
        if (!i)
            s->first_result_ms = ms_between(&s->start, &s->last);
    }
    if (s->queue)
        clReleaseCommandQueue(s->queue);
    for (int i = 0; i < 2; i++)
        attune_plan_destroy(&plans[i]);
    return status;
}

static void print(const struct startup *s)
{
    attune_device_info info;
    attune_context_info(s->context, &info);
    if (s->options->json) {
        json_t *steps = json_array();
        for (size_t i = 0; i < s->num_steps; i++)
            json_array_append_new(steps, json_pack("{ss ss so}", "step", s->steps[i].name, "of", s->steps[i].what, "ms",
                                                   json_figure(s->steps[i].ms)));
        json_line(json_pack("{so so si so so}", "backend", json_text(info.backend), "simulated",
                            json_text(info.simulated), "programs", (int)s->programs, "first_result_ms",
                            json_figure(s->first_result_ms), "steps", steps));
        return;
    }
    print_device_line(stdout, &info);
    for (size_t i = 0; i < s->num_steps; i++)
        printf("%-14s %-8s %9.2f ms\n", s->steps[i].name, s->steps[i].what, s->steps[i].ms);
    printf("%zu programs; first result %.2f ms after the start\n", s->programs, s->first_result_ms);
}

enum exit_code startup_run(const struct startup_options *options)
{
    struct startup s = {.options = options};
    clock_gettime(CLOCK_MONOTONIC, &s.start);
    s.last = s.start;
    attune_status status = start_up(&s);
    if (!status)
        print(&s);
    attune_context_destroy(&s.context);
    return status ? cli_failed(status, "start-up") : EXIT_DONE;
}
