/* SPDX-License-Identifier: Apache-2.0
 * A step with chunks of prompts and with decodes: the sequences with chunks come first in the batch, and one EXTEND run
 * serves them; a DECODE run serves the others, behind it in the same Q, O and block table, on the same cache. The
 * decodes' new rows are appended before the runs, with those of the chunks, which EXTEND reads beside Q. The result is
 * compared with attention on the host.
 *
 *     cc -std=c11 mixed.c -o mixed $(pkg-config --cflags --libs attune) -lm */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <attune/attune.h>

enum { Q_HEADS = 4, KV_HEADS = 2, DIM = 64, PAGE = 16, PAGES = 8, BATCH = 5, CHUNKS = 2 };

static const int32_t q_len[BATCH] = {30, 9, 1, 1, 1},
                     kv_len[BATCH] = {94, 9, 120, 1, 33}; /* the first two are chunks */
enum { CHUNK_TOKENS = 30 + 9, TOKENS = CHUNK_TOKENS + 3 };

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

static attune_tensor tensor(size_t bytes, void *data)
{
    attune_tensor t = ATTUNE_TENSOR_INIT;
    t.type = ATTUNE_MEMORY_CL;
    t.cl = clCreateBuffer(attune_context_cl(context), data ? CL_MEM_COPY_HOST_PTR : 0, bytes, data, NULL);
    buffers[num_buffers++] = t.cl;
    return t;
}

/* Keys of every sequence by position, and the step's queries and new keys one sequence behind the other. */
static float k[BATCH][PAGES * PAGE][KV_HEADS][DIM], v[BATCH][PAGES * PAGE][KV_HEADS][DIM];
static float q[TOKENS][Q_HEADS][DIM], new_k[TOKENS][KV_HEADS][DIM], new_v[TOKENS][KV_HEADS][DIM],
    o[TOKENS][Q_HEADS][DIM];

static void fill(float *values, size_t count)
{
    for (size_t i = 0; i < count; i++)
        values[i] = 2.0f * (float)rand() / (float)RAND_MAX - 1.0f;
}

static double reference(int b, int token, int position, int head, int dim)
{
    double sum = 0, out = 0;
    for (int j = 0; j <= position; j++) {
        double s = 0;
        for (int d = 0; d < DIM; d++)
            s += (double)q[token][head][d] * (double)k[b][j][head * KV_HEADS / Q_HEADS][d];
        double weight = exp(s / sqrt(DIM));
        sum += weight;
        out += weight * (double)v[b][j][head * KV_HEADS / Q_HEADS][dim];
    }
    return out / sum;
}

/* What one kind of sequences needs. */
struct part {
    attune_plan *plan;
    attune_schedule *schedule;
    attune_launcher *launcher;
};

static void make_part(struct part *part, attune_operation operation, const attune_kv_layout *layout, attune_shape shape,
                      attune_attention_args *args)
{
    attune_attention_desc desc = ATTUNE_ATTENTION_DESC_INIT;
    desc.operation = operation;
    desc.num_q_heads = Q_HEADS, desc.num_kv_heads = KV_HEADS, desc.head_dim_qk = DIM;
    attune_plan_options options = ATTUNE_PLAN_OPTIONS_INIT;
    options.shapes = &shape, options.num_shapes = 1;
    check(attune_plan_create(context, &desc, layout, &options, &part->plan));
    attune_schedule_options most = ATTUNE_SCHEDULE_OPTIONS_INIT;
    most.max_batch = BATCH, most.max_q_tokens = TOKENS, most.max_kv_len = PAGES * PAGE;
    check(attune_schedule_create(part->plan, &most, &part->schedule));
    check(attune_launcher_create(part->plan, &part->launcher));
    size_t workspace;
    check(attune_plan_workspace_size(part->plan, part->schedule, &workspace));
    if (workspace)
        args->workspace = tensor(workspace, NULL);
}

static void free_part(struct part *part)
{
    attune_launcher_destroy(&part->launcher);
    attune_schedule_destroy(&part->schedule);
    attune_plan_destroy(&part->plan);
}

int main(void)
{
    check(attune_context_create(&context, NULL));
    queue = clCreateCommandQueueWithProperties(attune_context_cl(context), attune_context_device(context), NULL, NULL);
    fill(&q[0][0][0], sizeof q / sizeof(float));
    fill(&k[0][0][0][0], sizeof k / sizeof(float));
    fill(&v[0][0][0][0], sizeof v / sizeof(float));
    attune_kv_layout_options cache = ATTUNE_KV_LAYOUT_OPTIONS_INIT;
    cache.num_kv_heads = KV_HEADS, cache.head_dim_qk = DIM, cache.page_size = PAGE,
    cache.num_slots = BATCH * PAGES * PAGE;
    attune_kv_layout *layout;
    check(attune_kv_layout_create(context, &cache, &layout));
    attune_kv_launcher *kv;
    check(attune_kv_launcher_create(layout, ATTUNE_FP32, &kv));

    /* The cache holds what earlier steps appended: here sequence b's position p lies in slot b * PAGES * PAGE + p. */
    int32_t table[BATCH][PAGES], slots[TOKENS];
    int token = 0;
    for (int b = 0; b < BATCH; b++) {
        for (int p = 0; p < PAGES; p++)
            table[b][p] = b * PAGES + p;
        for (int position = kv_len[b] - q_len[b]; position < kv_len[b]; position++, token++) {
            slots[token] = table[b][position / PAGE] * PAGE + position % PAGE;
            for (int i = 0; i < KV_HEADS * DIM; i++) { /* the new rows are not in the cache yet */
                (&new_k[token][0][0])[i] = (&k[b][position][0][0])[i],
                (&new_v[token][0][0])[i] = (&v[b][position][0][0])[i];
            }
        }
    }
    static float cached_k[BATCH][PAGES * PAGE][KV_HEADS][DIM], cached_v[BATCH][PAGES * PAGE][KV_HEADS][DIM];
    for (int b = 0; b < BATCH; b++)
        for (int i = 0; i < (kv_len[b] - q_len[b]) * KV_HEADS * DIM; i++)
            (&cached_k[b][0][0][0])[i] = (&k[b][0][0][0])[i], (&cached_v[b][0][0][0])[i] = (&v[b][0][0][0])[i];

    attune_attention_args chunks = ATTUNE_ATTENTION_ARGS_INIT, decodes = ATTUNE_ATTENTION_ARGS_INIT;
    chunks.q = tensor(sizeof q, q), chunks.o = tensor(sizeof o, NULL);
    chunks.k = tensor(sizeof new_k, new_k), chunks.v = tensor(sizeof new_v, new_v);
    chunks.k_cache = tensor(sizeof cached_k, cached_k), chunks.v_cache = tensor(sizeof cached_v, cached_v);
    chunks.block_table = tensor(sizeof table, table), chunks.block_table.stride_token = PAGES;
    decodes.k_cache = chunks.k_cache, decodes.v_cache = chunks.v_cache;
    decodes.q = chunks.q, decodes.o = chunks.o, decodes.block_table = chunks.block_table;
    decodes.q.byte_offset = CHUNK_TOKENS * sizeof q[0]; /* behind the chunks' rows */
    decodes.o.byte_offset = CHUNK_TOKENS * sizeof o[0];
    decodes.block_table.byte_offset = CHUNKS * sizeof table[0];
    struct part extend, decode;
    make_part(&extend, ATTUNE_EXTEND, layout, (attune_shape){CHUNKS, 32, 96}, &chunks);
    make_part(&decode, ATTUNE_DECODE, layout, (attune_shape){BATCH - CHUNKS, 1, 64}, &decodes);
    attune_kv_append_args append = ATTUNE_KV_APPEND_ARGS_INIT;
    append.num_tokens = TOKENS, append.k = chunks.k, append.v = chunks.v;
    append.k_cache = chunks.k_cache, append.v_cache = chunks.v_cache;
    append.slot_mapping = tensor(sizeof slots, slots);

    /* The step: once the updates, then for each layer an append and two runs. */
    check(attune_schedule_update(extend.schedule, queue, CHUNKS, q_len, kv_len, 0, NULL, NULL));
    check(
        attune_schedule_update(decode.schedule, queue, BATCH - CHUNKS, q_len + CHUNKS, kv_len + CHUNKS, 0, NULL, NULL));
    check(attune_kv_append(kv, &append, queue, 0, NULL, NULL));
    check(attune_attention_run(extend.launcher, extend.schedule, &chunks, queue, 0, NULL, NULL));
    check(attune_attention_run(decode.launcher, decode.schedule, &decodes, queue, 0, NULL, NULL));
    check(clEnqueueReadBuffer(queue, chunks.o.cl, CL_TRUE, 0, sizeof o, o, 0, NULL, NULL));

    double worst = 0;
    token = 0;
    for (int b = 0; b < BATCH; b++)
        for (int position = kv_len[b] - q_len[b]; position < kv_len[b]; position++, token++)
            for (int h = 0; h < Q_HEADS; h++)
                worst = fmax(worst, fabs((double)o[token][h][5] - reference(b, token, position, h, 5)));
    printf("chunks %s, decodes %s: largest error %.1e\n", attune_plan_config(extend.plan, 0),
           attune_plan_config(decode.plan, 0), worst);

    clReleaseCommandQueue(queue);
    while (num_buffers)
        clReleaseMemObject(buffers[--num_buffers]);
    free_part(&extend);
    free_part(&decode);
    attune_kv_launcher_destroy(&kv);
    attune_kv_layout_destroy(&layout);
    attune_context_destroy(&context);
    return !(worst < 1e-5);
}
