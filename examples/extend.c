/* SPDX-License-Identifier: Apache-2.0
 * A prompt in chunks, as an engine would: each step's new tokens attend to the prefix in a paged cache and to
 * themselves, and are appended for the steps after. Plan, schedule, launcher and buffers are made once; a step is an
 * update, a run and an append. The result is compared with attention on the host.
 *
 *     cc -std=c11 extend.c -o extend $(pkg-config --cflags --libs attune) -lm */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <attune/attune.h>

enum { Q_HEADS = 4, KV_HEADS = 2, DIM = 64, PAGE = 16 };
enum { BATCH = 2, STEPS = 2, MOST_NEW = 40, MOST_KEYS = 80, PAGES = MOST_KEYS / PAGE };

/* Of each step: new tokens of each sequence. The first step has no prefix. */
static const int32_t new_tokens[STEPS][BATCH] = {{40, 7}, {19, 33}};

static void check(int failed)
{
    if (failed) {
        fprintf(stderr, "%s\n", attune_last_error());
        exit(1);
    }
}

static attune_context *context;
static cl_command_queue queue;
static cl_mem buffers[16];
static size_t num_buffers;

static attune_tensor tensor(size_t bytes)
{
    attune_tensor t = ATTUNE_TENSOR_INIT;
    t.type = ATTUNE_MEMORY_CL;
    t.cl = clCreateBuffer(attune_context_cl(context), CL_MEM_READ_WRITE, bytes ? bytes : 1, NULL, NULL);
    buffers[num_buffers++] = t.cl;
    return t;
}

static void write_tensor(const attune_tensor *t, const void *data, size_t bytes)
{
    check(clEnqueueWriteBuffer(queue, t->cl, CL_TRUE, 0, bytes, data, 0, NULL, NULL));
}

/* All rows of a sequence, as the model's projections would give them: [token, head, dim]. */
static float q[BATCH][MOST_KEYS][Q_HEADS][DIM], k[BATCH][MOST_KEYS][KV_HEADS][DIM], v[BATCH][MOST_KEYS][KV_HEADS][DIM];

static void fill(float *values, size_t count)
{
    for (size_t i = 0; i < count; i++)
        values[i] = 2.0f * (float)rand() / (float)RAND_MAX - 1.0f;
}

/* One row on the host: query `position` of sequence b sees the keys up to itself. */
static double reference(int b, int position, int head, int dim)
{
    double sum = 0, out = 0;
    for (int j = 0; j <= position; j++) {
        double s = 0;
        for (int d = 0; d < DIM; d++)
            s += (double)q[b][position][head][d] * (double)k[b][j][head * KV_HEADS / Q_HEADS][d];
        double weight = exp(s / sqrt(DIM));
        sum += weight;
        out += weight * (double)v[b][j][head * KV_HEADS / Q_HEADS][dim];
    }
    return out / sum;
}

int main(void)
{
    check(attune_context_create(&context, NULL));
    queue = clCreateCommandQueueWithProperties(attune_context_cl(context), attune_context_device(context), NULL, NULL);
    fill(&q[0][0][0][0], sizeof q / sizeof(float));
    fill(&k[0][0][0][0], sizeof k / sizeof(float));
    fill(&v[0][0][0][0], sizeof v / sizeof(float));

    /* Once: layout, kernels, memory for the largest step. */
    attune_kv_layout_options cache = ATTUNE_KV_LAYOUT_OPTIONS_INIT;
    cache.num_kv_heads = KV_HEADS, cache.head_dim_qk = DIM, cache.page_size = PAGE, cache.num_slots = BATCH * MOST_KEYS;
    attune_kv_layout *layout;
    check(attune_kv_layout_create(context, &cache, &layout));
    attune_kv_launcher *kv;
    check(attune_kv_launcher_create(layout, ATTUNE_FP32, &kv));
    attune_attention_desc desc = ATTUNE_ATTENTION_DESC_INIT; /* causal, fp32 */
    desc.operation = ATTUNE_EXTEND;
    desc.num_q_heads = Q_HEADS, desc.num_kv_heads = KV_HEADS, desc.head_dim_qk = DIM;
    attune_shape shape = {BATCH, MOST_NEW, MOST_KEYS};
    attune_plan_options options = ATTUNE_PLAN_OPTIONS_INIT;
    options.shapes = &shape, options.num_shapes = 1;
    attune_plan *plan;
    attune_schedule *schedule;
    attune_launcher *launcher;
    check(attune_plan_create(context, &desc, layout, &options, &plan));
    attune_schedule_options most = ATTUNE_SCHEDULE_OPTIONS_INIT;
    most.max_batch = BATCH, most.max_q_tokens = BATCH * MOST_NEW, most.max_kv_len = MOST_KEYS;
    check(attune_schedule_create(plan, &most, &schedule));
    check(attune_launcher_create(plan, &launcher));
    size_t k_bytes, v_bytes, workspace, rows = BATCH * MOST_NEW * sizeof(float) * DIM;
    check(attune_kv_layout_bytes(layout, &k_bytes, &v_bytes));
    check(attune_plan_workspace_size(plan, schedule, &workspace));
    attune_attention_args args = ATTUNE_ATTENTION_ARGS_INIT;
    args.q = tensor(rows * Q_HEADS), args.o = tensor(rows * Q_HEADS);
    args.k = tensor(rows * KV_HEADS), args.v = tensor(rows * KV_HEADS);
    args.k_cache = tensor(k_bytes), args.v_cache = tensor(v_bytes);
    args.block_table = tensor(BATCH * PAGES * sizeof(int32_t)), args.block_table.stride_token = PAGES;
    if (workspace)
        args.workspace = tensor(workspace);
    attune_kv_append_args append = ATTUNE_KV_APPEND_ARGS_INIT;
    append.k = args.k, append.v = args.v, append.k_cache = args.k_cache, append.v_cache = args.v_cache;
    append.slot_mapping = tensor(BATCH * MOST_NEW * sizeof(int32_t));
    int32_t table[BATCH][PAGES]; /* here the sequences' pages by turns */
    for (int b = 0; b < BATCH; b++)
        for (int p = 0; p < PAGES; p++)
            table[b][p] = p * BATCH + b;
    write_tensor(&args.block_table, table, sizeof table);

    static float out[BATCH * MOST_NEW][Q_HEADS][DIM];
    int32_t prefix[BATCH] = {0}, kv_len[BATCH], slots[BATCH * MOST_NEW];
    double worst = 0;
    for (int step = 0; step < STEPS; step++) {
        /* The step's rows, one sequence behind the other, and where they go. */
        size_t token = 0;
        for (int b = 0; b < BATCH; b++) {
            kv_len[b] = prefix[b] + new_tokens[step][b];
            for (int position = prefix[b]; position < kv_len[b]; position++, token++) {
                size_t q_row = sizeof q[0][0], kv_row = sizeof k[0][0];
                check(clEnqueueWriteBuffer(queue, args.q.cl, CL_TRUE, token * q_row, q_row, q[b][position], 0, NULL,
                                           NULL));
                check(clEnqueueWriteBuffer(queue, args.k.cl, CL_TRUE, token * kv_row, kv_row, k[b][position], 0, NULL,
                                           NULL));
                check(clEnqueueWriteBuffer(queue, args.v.cl, CL_TRUE, token * kv_row, kv_row, v[b][position], 0, NULL,
                                           NULL));
                slots[token] = table[b][position / PAGE] * PAGE + position % PAGE;
            }
        }
        write_tensor(&append.slot_mapping, slots, token * sizeof *slots);
        append.num_tokens = (int64_t)token;
        check(attune_schedule_update(schedule, queue, BATCH, new_tokens[step], kv_len, 0, NULL, NULL));
        check(attune_attention_run(launcher, schedule, &args, queue, 0, NULL, NULL)); /* once a layer ... */
        check(attune_kv_append(kv, &append, queue, 0, NULL, NULL));                   /* ... and this */
        check(clEnqueueReadBuffer(queue, args.o.cl, CL_TRUE, 0, token * sizeof out[0], out, 0, NULL, NULL));
        token = 0;
        for (int b = 0; b < BATCH; b++)
            for (int position = prefix[b]; position < kv_len[b]; position++, token++)
                for (int h = 0; h < Q_HEADS; h++)
                    worst = fmax(worst, fabs((double)out[token][h][5] - reference(b, position, h, 5)));
        for (int b = 0; b < BATCH; b++)
            prefix[b] = kv_len[b];
    }
    printf("%s: %d steps, largest error %.1e\n", attune_plan_config(plan, 0), STEPS, worst);

    clReleaseCommandQueue(queue);
    while (num_buffers)
        clReleaseMemObject(buffers[--num_buffers]);
    attune_launcher_destroy(&launcher);
    attune_schedule_destroy(&schedule);
    attune_plan_destroy(&plan);
    attune_kv_launcher_destroy(&kv);
    attune_kv_layout_destroy(&layout);
    attune_context_destroy(&context);
    return !(worst < 1e-5);
}
