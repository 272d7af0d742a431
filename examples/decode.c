/* SPDX-License-Identifier: Apache-2.0
 * One decode step on device buffers, as an engine would: a paged KV cache in fp16, every sequence appends its new token
 * and attends to all of its keys; one plan, schedule and workspace for all layers. `decode measure` tunes for this
 * shape first (half a minute, once).
 *
 *     cc -std=c11 decode.c -o decode $(pkg-config --cflags --libs attune) */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <attune/attune.h>

enum { LAYERS = 2, Q_HEADS = 8, KV_HEADS = 2, DIM = 64 }; /* of the model */
enum { BATCH = 4, PAGE = 16, PAGES_EACH = 8 }; /* sequences a step, tokens a page, pages of the longest sequence */

static void check(int failed)
{
    if (failed) {
        fprintf(stderr, "%s\n", attune_last_error());
        exit(1);
    }
}

static cl_mem buffers[32];
static size_t num_buffers;

/* A device buffer: a copy of data, zeros where it is NULL. */
static attune_tensor tensor(attune_context *context, size_t bytes, void *data)
{
    attune_tensor t = ATTUNE_TENSOR_INIT;
    t.type = ATTUNE_MEMORY_CL;
    void *zeros = calloc(1, bytes);
    t.cl = clCreateBuffer(attune_context_cl(context), CL_MEM_COPY_HOST_PTR, bytes, data ? data : zeros, NULL);
    free(zeros);
    buffers[num_buffers++] = t.cl;
    return t;
}

int main(int argc, char **argv)
{
    attune_context *context;
    check(attune_context_create(&context, NULL));
    cl_command_queue queue =
        clCreateCommandQueueWithProperties(attune_context_cl(context), attune_context_device(context), NULL, NULL);

    /* Once: the cache's layout, kernels for it, memory for the largest step. */
    attune_kv_layout_options cache = ATTUNE_KV_LAYOUT_OPTIONS_INIT;
    cache.dtype = ATTUNE_FP16, cache.page_size = PAGE, cache.num_slots = BATCH * PAGES_EACH * PAGE;
    cache.num_kv_heads = KV_HEADS, cache.head_dim_qk = DIM;
    attune_kv_layout *layout;
    check(attune_kv_layout_create(context, &cache, &layout));
    attune_kv_launcher *kv;
    check(attune_kv_launcher_create(layout, ATTUNE_FP16, &kv));

    attune_attention_desc desc = ATTUNE_ATTENTION_DESC_INIT;
    desc.operation = ATTUNE_DECODE;
    desc.q_dtype = desc.kv_dtype = desc.o_dtype = ATTUNE_FP16;
    desc.num_q_heads = Q_HEADS, desc.num_kv_heads = KV_HEADS, desc.head_dim_qk = DIM;
    attune_shape shape = {BATCH, 1, PAGES_EACH * PAGE};
    attune_plan_options options = ATTUNE_PLAN_OPTIONS_INIT;
    options.policy = argc > 1 && !strcmp(argv[1], "measure") ? ATTUNE_MEASURE : ATTUNE_ESTIMATE;
    options.shapes = &shape, options.num_shapes = 1;
    options.budget_tests = 40, options.budget_seconds = 30;
    attune_plan *plan;
    check(attune_plan_create(context, &desc, layout, &options, &plan));
    printf("%s, %s: %s\n", attune_kv_layout_id(layout), attune_plan_source(plan, 0), attune_plan_config(plan, 0));
    attune_schedule_options most = ATTUNE_SCHEDULE_OPTIONS_INIT;
    most.max_batch = BATCH, most.max_q_tokens = BATCH, most.max_kv_len = PAGES_EACH * PAGE;
    attune_schedule *schedule;
    check(attune_schedule_create(plan, &most, &schedule));
    attune_launcher *launcher;
    check(attune_launcher_create(plan, &launcher));

    /* A step: lengths with the new token, the block table (here each sequence's pages lie in a row), and the new
     * token's slot. */
    int32_t q_len[BATCH], kv_len[BATCH] = {128, 1, 100, 17}, table[BATCH][PAGES_EACH], slots[BATCH];
    for (int b = 0; b < BATCH; b++) {
        q_len[b] = 1;
        for (int p = 0; p < PAGES_EACH; p++)
            table[b][p] = b * PAGES_EACH + p;
        int32_t position = kv_len[b] - 1;
        slots[b] = table[b][position / PAGE] * PAGE + position % PAGE;
    }
    attune_kv_append_args append = ATTUNE_KV_APPEND_ARGS_INIT;
    append.num_tokens = BATCH;
    append.k = tensor(context, sizeof(uint16_t) * BATCH * KV_HEADS * DIM, NULL); /* of the model's projections */
    append.v = tensor(context, sizeof(uint16_t) * BATCH * KV_HEADS * DIM, NULL);
    append.slot_mapping = tensor(context, sizeof slots, slots);
    attune_attention_args args = ATTUNE_ATTENTION_ARGS_INIT;
    args.q = tensor(context, sizeof(uint16_t) * BATCH * Q_HEADS * DIM, NULL);
    args.o = tensor(context, sizeof(uint16_t) * BATCH * Q_HEADS * DIM, NULL);
    args.block_table = tensor(context, sizeof table, table), args.block_table.stride_token = PAGES_EACH;
    size_t workspace;
    check(attune_plan_workspace_size(plan, schedule, &workspace)); /* the same for every step */
    if (workspace)
        args.workspace = tensor(context, workspace, NULL);
    check(attune_schedule_update(schedule, queue, BATCH, q_len, kv_len, 0, NULL, NULL));

    size_t k_bytes, v_bytes;
    check(attune_kv_layout_bytes(layout, &k_bytes, &v_bytes));
    for (int i = 0; i < LAYERS; i++) { /* each layer has a cache of its own; the queue is in order, so no wait lists */
        args.k_cache = append.k_cache = tensor(context, k_bytes, NULL);
        args.v_cache = append.v_cache = tensor(context, v_bytes, NULL);
        check(attune_kv_append(kv, &append, queue, 0, NULL, NULL));
        check(attune_attention_run(launcher, schedule, &args, queue, 0, NULL, NULL));
    }
    check(clFinish(queue));

    clReleaseCommandQueue(queue);
    while (num_buffers)
        clReleaseMemObject(buffers[--num_buffers]);
    attune_launcher_destroy(&launcher);
    attune_schedule_destroy(&schedule);
    attune_plan_destroy(&plan);
    attune_kv_launcher_destroy(&kv);
    attune_kv_layout_destroy(&layout);
    attune_context_destroy(&context);
    return 0;
}
