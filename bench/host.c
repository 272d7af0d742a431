/* SPDX-License-Identifier: Apache-2.0
 * Times of the host paths, in this process: no kernel is measured. */
#define _GNU_SOURCE
#include "host.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#define MAX_SEQUENCES 4096
#define UPDATES 101
#define RUNS 101
#define RUNS_PER_SAMPLE 100
/* Memory arguments of the kernel `attention`, and the bytes of the struct behind them. */
#define MEMORY_ARGS 11
#define STRUCT_BYTES 272

struct bench {
    attune_context *context;
    attune_kv_layout *layout;
    attune_plan *plan;
    attune_schedule *schedule;
    attune_launcher *launcher;
    cl_command_queue queue;
    cl_mem buffer; /* stands for every tensor */
    cl_program raw_program;
    cl_kernel raw;
};

/* All in us, medians. */
struct figures {
    double update_256, update_4096, run, raw, above;
    int64_t allocations;
};

static double now_us(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec * 1e6 + (double)now.tv_nsec * 1e-3;
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double median(double *values, size_t count)
{
    qsort(values, count, sizeof *values, by_value);
    return values[count / 2];
}

static attune_status make_plan(struct bench *b, const struct host_options *options)
{
    attune_attention_desc desc = ATTUNE_ATTENTION_DESC_INIT;
    desc.operation = ATTUNE_DECODE;
    desc.num_q_heads = 32;
    desc.num_kv_heads = 8;
    desc.head_dim_qk = 128;
    attune_kv_layout_options layout = ATTUNE_KV_LAYOUT_OPTIONS_INIT;
    layout.num_kv_heads = desc.num_kv_heads;
    layout.head_dim_qk = desc.head_dim_qk;
    layout.page_size = layout.num_slots = 16;
    const attune_shape shape = {256, 1, 2048};
    attune_plan_options plan = ATTUNE_PLAN_OPTIONS_INIT;
    plan.shapes = &shape;
    plan.num_shapes = 1;
    plan.force_config = options->config;
    attune_schedule_options most = ATTUNE_SCHEDULE_OPTIONS_INIT;
    most.max_batch = MAX_SEQUENCES;
    most.max_q_tokens = MAX_SEQUENCES;
    attune_status status;
    if ((status = attune_kv_layout_create(b->context, &layout, &b->layout)) ||
        (status = attune_plan_create(b->context, &desc, b->layout, &plan, &b->plan)) ||
        (status = attune_schedule_create(b->plan, &most, &b->schedule)))
        return status;
    return attune_launcher_create(b->plan, &b->launcher);
}

/* A kernel that does nothing with as many arguments. */
static cl_int make_raw(struct bench *b)
{
    static const char source[] = "struct args { long words[34]; };\n"
                                 "kernel void raw(global int *a, global int *b, global int *c, global int *d,\n"
                                 "                global int *e, global int *f, global int *g, global int *h,\n"
                                 "                global int *i, global int *j, global int *k, struct args l) {}\n";
    const char *text = source;
    cl_context cl = attune_context_cl(b->context);
    cl_device_id device = attune_context_device(b->context);
    cl_int code;
    b->queue = clCreateCommandQueueWithProperties(cl, device, NULL, &code);
    if (code == CL_SUCCESS)
        b->buffer = clCreateBuffer(cl, CL_MEM_READ_WRITE, 1 << 20, NULL, &code);
    if (code == CL_SUCCESS)
        b->raw_program = clCreateProgramWithSource(cl, 1, &text, NULL, &code);
    if (code == CL_SUCCESS)
        code = clBuildProgram(b->raw_program, 1, &device, "", NULL, NULL);
    if (code == CL_SUCCESS)
        b->raw = clCreateKernel(b->raw_program, "raw", &code);
    return code;
}

/* Decode-like: a token each, 1 to 8,192 keys (a linear congruential sequence). */
static attune_status time_update(struct bench *b, int32_t sequences, double *us)
{
    static int32_t q_len[MAX_SEQUENCES], kv_len[MAX_SEQUENCES];
    double samples[UPDATES];
    uint32_t state = 1;
    for (int i = 0; i < UPDATES; i++) {
        for (int32_t s = 0; s < sequences; s++) {
            state = state * 1664525 + 1013904223;
            q_len[s] = 1;
            kv_len[s] = (int32_t)(state >> 19) + 1;
        }
        double start = now_us();
        attune_status status = attune_schedule_update(b->schedule, b->queue, sequences, q_len, kv_len, 0, NULL, NULL);
        samples[i] = now_us() - start;
        clFinish(b->queue);
        if (status)
            return status;
    }
    *us = median(samples, UPDATES);
    return ATTUNE_OK;
}

static cl_int enqueue_raw(struct bench *b, const attune_attention_args *args)
{
    static const char words[STRUCT_BYTES];
    const size_t global = 8, local = 1;
    for (cl_uint i = 0; i < MEMORY_ARGS; i++)
        clSetKernelArg(b->raw, i, sizeof(cl_mem), &args->q.cl);
    clSetKernelArg(b->raw, MEMORY_ARGS, sizeof words, words);
    return clEnqueueNDRangeKernel(b->queue, b->raw, 1, NULL, &global, &local, 0, NULL, NULL);
}

/* Runs of a step of one sequence with one key, or raw enqueues: us each. They wait at a gate, so that their work takes
 * no time from the thread that enqueues. */
static attune_status time_sample(struct bench *b, const attune_attention_args *args, bool raw, double *us)
{
    cl_int code;
    cl_event gate = clCreateUserEvent(attune_context_cl(b->context), &code);
    attune_status status = ATTUNE_OK;
    clEnqueueBarrierWithWaitList(b->queue, 1, &gate, NULL);
    double start = now_us();
    for (int r = 0; status == ATTUNE_OK && r < RUNS_PER_SAMPLE; r++)
        if (raw)
            enqueue_raw(b, args);
        else
            status = attune_attention_run(b->launcher, b->schedule, args, b->queue, 0, NULL, NULL);
    *us = (now_us() - start) / RUNS_PER_SAMPLE;
    clSetUserEventStatus(gate, CL_COMPLETE);
    clFinish(b->queue);
    clReleaseEvent(gate);
    return status;
}

static attune_status time_run(struct bench *b, struct figures *out)
{
    const int32_t one = 1, zero = 0;
    attune_tensor tensor = ATTUNE_TENSOR_INIT;
    tensor.type = ATTUNE_MEMORY_CL;
    tensor.cl = b->buffer;
    attune_attention_args args = ATTUNE_ATTENTION_ARGS_INIT;
    args.q = args.o = args.lse = args.k_cache = args.v_cache = args.kv_indptr = args.kv_indices = tensor;
    args.o.byte_offset = 1 << 18;
    args.lse.byte_offset = 1 << 19;
    double runs[RUNS], raws[RUNS], above[RUNS];
    clEnqueueFillBuffer(b->queue, b->buffer, &zero, sizeof zero, 0, 1 << 20, 0, NULL, NULL);
    attune_status status = attune_schedule_update(b->schedule, b->queue, 1, &one, &one, 0, NULL, NULL);
    for (int i = 0; status == ATTUNE_OK && i < RUNS; i++) {
        status = time_sample(b, &args, false, &runs[i]);
        if (status == ATTUNE_OK)
            status = time_sample(b, &args, true, &raws[i]);
        above[i] = runs[i] - raws[i];
    }
    double slowed; /* counting takes time */
    allocations_start();
    if (status == ATTUNE_OK)
        status = time_sample(b, &args, false, &slowed);
    out->allocations = allocations_stop();
    out->run = median(runs, RUNS);
    out->raw = median(raws, RUNS);
    out->above = median(above, RUNS);
    return status;
}

static void print_figures(const struct bench *b, const struct host_options *options, const attune_device_info *info,
                          const struct figures *f)
{
    const char *config = attune_plan_config(b->plan, 0);
    if (options->json) {
        json_line(json_pack("{so so so so so so so so so}", "backend", json_text(info->backend), "simulated",
                            json_text(info->simulated), "config", json_text(config), "schedule_update_256_us",
                            json_figure(f->update_256), "schedule_update_4096_us", json_figure(f->update_4096),
                            "run_us", json_figure(f->run), "raw_enqueue_us", json_figure(f->raw), "run_minus_raw_us",
                            json_number(f->above), "run_allocations",
                            f->allocations < 0 ? json_null() : json_integer(f->allocations)));
        return;
    }
    print_device_line(stdout, info);
    printf("decode, 32 query and 8 KV heads of 128: %s\n", config);
    printf("%-44s %8.1f us\n", "schedule update, 256 sequences", f->update_256);
    printf("%-44s %8.1f us\n", "schedule update, 4,096 sequences", f->update_4096);
    printf("%-44s %8.2f us\n", "run", f->run);
    printf("%-44s %8.2f us\n", "raw enqueue with as many kernel arguments", f->raw);
    printf("%-44s %8.2f us\n", "run above the raw enqueue", f->above);
    if (f->allocations >= 0)
        printf("%-44s %8lld\n", "allocations of a run", (long long)f->allocations);
}

static void release(struct bench *b)
{
    if (b->raw)
        clReleaseKernel(b->raw);
    if (b->raw_program)
        clReleaseProgram(b->raw_program);
    if (b->buffer)
        clReleaseMemObject(b->buffer);
    if (b->queue)
        clReleaseCommandQueue(b->queue);
    attune_launcher_destroy(&b->launcher);
    attune_schedule_destroy(&b->schedule);
    attune_plan_destroy(&b->plan);
    attune_kv_layout_destroy(&b->layout);
    attune_context_destroy(&b->context);
}

enum exit_code bench_host(const struct host_options *options)
{
    struct bench bench = {0};
    struct figures figures = {0};
    attune_device_info info;
    attune_context_options context = ATTUNE_CONTEXT_OPTIONS_INIT;
    context.backend = options->backend;
    context.device = options->device;
    context.cache_dir = options->cache_dir;
    context.log = cli_log;
    enum exit_code exit = EXIT_DONE;
    attune_status status;
    if ((status = attune_context_create(&bench.context, &context)) ||
        (status = attune_context_info(bench.context, &info)) || (status = make_plan(&bench, options))) {
        exit = cli_failed(status, NULL);
    } else if (make_raw(&bench) != CL_SUCCESS) {
        cli_error("the kernel to compare with could not be made");
        exit = EXIT_OTHER;
    } else if ((status = time_update(&bench, 256, &figures.update_256)) ||
               (status = time_update(&bench, MAX_SEQUENCES, &figures.update_4096)) ||
               (status = time_run(&bench, &figures))) {
        exit = cli_failed(status, NULL);
    } else {
        print_figures(&bench, options, &info, &figures);
    }
    release(&bench);
    return exit;
}
