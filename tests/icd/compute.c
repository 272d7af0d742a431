/* SPDX-License-Identifier: Apache-2.0
 * The kernel `attention` of kernels/abi.clh in plain C: one query row at a time over the keys of its item, logits and
 * sums in double precision, the running maximum subtracted. Every access is checked against its buffer. */
#include "elements.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum arg_index {
    ARG_Q,
    ARG_K,
    ARG_V,
    ARG_K_CACHE,
    ARG_V_CACHE,
    ARG_KV_INDPTR,
    ARG_KV_INDICES,
    ARG_O,
    ARG_LSE,
    ARG_WORKSPACE,
    ARG_SCHEDULE,
    ARG_STRUCT
};

static const char *const argument_names[] = {"q",          "k", "v",   "k_cache",   "v_cache", "kv_indptr",
                                             "kv_indices", "o", "lse", "workspace", "schedule"};

struct attention {
    struct attention_args args;
    struct memory m; /* by enum arg_index */
    int dim_qk, dim_vo, group_size, heads_per_item;
    bool decode; /* a family of decode: its items take several groups */
    bool causal, paged;
    double scale_output; /* 1, or what a fault wants */
    bool no_op, nan;
    int64_t last_output; /* highest element of O written */
    float *q, *row;
    double *weights, *sum;
};

struct item {
    const int32_t *sequence;
    int32_t seq, head, q_begin, q_count, kv_begin, kv_end, split;
};

/* ---- attention */

/* Page of a cached key from the page table, and its token there. Divides as kernels do. */
static int64_t page_of(struct attention *a, const struct item *item, int32_t position, int32_t *in_page)
{
    const struct attention_args *args = &a->args;
    int64_t start = args->block_table_stride ? item->seq * args->block_table_stride
                                             : load_int(&a->m, ARG_KV_INDPTR, args->kv_indptr_offset + item->seq);
    int64_t entry = position;
    if (a->paged)
        entry = (int64_t)(((uint64_t)(uint32_t)position * args->page_magic >> 32) >> args->page_shift);
    *in_page = a->paged ? (int32_t)(position - entry * args->page_size) : 0;
    return load_int(&a->m, ARG_KV_INDICES, args->kv_indices_offset + start + entry);
}

/* The row of K (or V) of the key at a position. */
static void load_key(struct attention *a, const struct item *item, bool value, int32_t position, int kv_head, int dim)
{
    const struct attention_args *args = &a->args;
    int32_t cache_len = item->sequence[SEQ_CACHE_LEN];
    int64_t first;
    if (position < cache_len) {
        int32_t in_page;
        int64_t page = page_of(a, item, position, &in_page);
        first = value ? args->v_cache_offset + page * args->v_cache_stride_page + in_page * args->v_cache_stride_token +
                            kv_head * args->v_cache_stride_head
                      : args->k_cache_offset + page * args->k_cache_stride_page + in_page * args->k_cache_stride_token +
                            kv_head * args->k_cache_stride_head;
        load_row(&a->m, value ? ARG_V_CACHE : ARG_K_CACHE, first, dim, a->row);
        return;
    }
    int64_t row = (int64_t)item->sequence[SEQ_NEW_START] + position - cache_len;
    first = value ? args->v_offset + row * args->v_stride_token + kv_head * args->v_stride_head
                  : args->k_offset + row * args->k_stride_token + kv_head * args->k_stride_head;
    load_row(&a->m, value ? ARG_V : ARG_K, first, dim, a->row);
}

/* A row over its sum; 0 for a row without keys. */
static float output(const struct attention *a, int d, bool has_keys, double denominator)
{
    return a->nan ? NAN : has_keys ? (float)(a->sum[d] / denominator * a->scale_output) : 0.0f;
}

/* Partial results of a split item: query t of the sequence. */
static void store_partial(struct attention *a, const struct item *item, int32_t t, int head, bool has_keys,
                          double maximum, double denominator)
{
    const struct attention_args *args = &a->args;
    int64_t row =
        item->sequence[SEQ_PARTIAL] + ((int64_t)item->split * item->sequence[SEQ_Q_LEN] + t) * args->num_q_heads + head;
    for (int d = 0; d < a->dim_vo; d++)
        store(&a->m, ARG_WORKSPACE, args->workspace_o_offset + row * a->dim_vo + d,
              output(a, d, has_keys, denominator));
    store(&a->m, ARG_WORKSPACE, args->workspace_sum_offset + 2 * row, (float)maximum);
    store(&a->m, ARG_WORKSPACE, args->workspace_sum_offset + 2 * row + 1, (float)denominator);
}

static void store_row(struct attention *a, int64_t row, int head, bool has_keys, double maximum, double denominator)
{
    const struct attention_args *args = &a->args;
    int64_t first = args->o_offset + row * args->o_stride_token + head * args->o_stride_head;
    for (int d = 0; d < a->dim_vo; d++)
        store(&a->m, ARG_O, first + d, output(a, d, has_keys, denominator));
    if (first + a->dim_vo - 1 > a->last_output)
        a->last_output = first + a->dim_vo - 1;
    if (a->m.views[ARG_LSE].data)
        store(&a->m, ARG_LSE, args->lse_offset + row * args->lse_stride_token + head * args->lse_stride_head,
              (float)(has_keys ? maximum + log(denominator) : -INFINITY));
}

/* Query t of the item's sequence, one head. Returns how many keys it sees. */
static uint64_t compute_row(struct attention *a, const struct item *item, int32_t t, int head)
{
    const struct attention_args *args = &a->args;
    int64_t row = (int64_t)item->sequence[SEQ_Q_START] + t, last = (int64_t)item->sequence[SEQ_Q_POS] + t;
    int kv_head = head / a->group_size;
    int32_t begin = item->kv_begin, end = item->kv_end;
    if (a->causal && last + 1 < end)
        end = last + 1 > begin ? (int32_t)(last + 1) : begin;
    if (a->no_op)
        return (uint64_t)(end - begin);
    load_row(&a->m, ARG_Q, args->q_offset + row * args->q_stride_token + head * args->q_stride_head, a->dim_qk, a->q);
    double maximum = -INFINITY, denominator = 0.0;
    for (int32_t j = begin; j < end && !a->m.out_of_bounds; j++) {
        load_key(a, item, false, j, kv_head, a->dim_qk);
        double dot = 0.0;
        for (int d = 0; d < a->dim_qk; d++)
            dot += (double)a->q[d] * (double)a->row[d];
        a->weights[j - begin] = dot * (double)args->scale;
        maximum = fmax(maximum, a->weights[j - begin]);
    }
    memset(a->sum, 0, (size_t)a->dim_vo * sizeof *a->sum);
    for (int32_t j = begin; j < end && !a->m.out_of_bounds; j++) {
        double weight = exp(a->weights[j - begin] - maximum);
        load_key(a, item, true, j, kv_head, a->dim_vo);
        denominator += weight;
        for (int d = 0; d < a->dim_vo; d++)
            a->sum[d] += weight * (double)a->row[d];
    }
    if (item->sequence[SEQ_PARTIAL] >= 0)
        store_partial(a, item, t, head, end > begin, maximum, denominator);
    else
        store_row(a, row, head, end > begin, maximum, denominator);
    return (uint64_t)(end - begin);
}

static uint64_t compute_item(struct attention *a, const struct item *item)
{
    uint64_t pairs = 0;
    for (int h = item->head; h < item->head + a->heads_per_item; h++)
        for (int32_t t = item->q_begin; t < item->q_begin + item->q_count && !a->m.out_of_bounds; t++)
            pairs += compute_row(a, item, t, h);
    return pairs;
}

/* ---- the schedule */

static bool read_item(struct attention *a, int32_t index, struct item *item)
{
    int64_t at = load_int(&a->m, ARG_SCHEDULE, 3) + (int64_t)index * ITEM_WORDS;
    const int32_t *words = (const int32_t *)(void *)locate(&a->m, ARG_SCHEDULE, at, ITEM_WORDS);
    if (!words)
        return false;
    *item = (struct item){.seq = words[ITEM_SEQ],
                          .head = words[ITEM_HEAD],
                          .q_begin = words[ITEM_Q_BEGIN],
                          .q_count = words[ITEM_Q_COUNT],
                          .kv_begin = words[ITEM_KV_BEGIN],
                          .kv_end = words[ITEM_KV_END],
                          .split = words[ITEM_SPLIT]};
    at = load_int(&a->m, ARG_SCHEDULE, 2) + (int64_t)item->seq * SEQUENCE_WORDS;
    item->sequence = (const int32_t *)(void *)locate(&a->m, ARG_SCHEDULE, at, SEQUENCE_WORDS);
    if (!item->sequence)
        return false;
    int64_t kv_len = (int64_t)item->sequence[SEQ_CACHE_LEN] + item->sequence[SEQ_NEW_LEN];
    bool sound = item->seq >= 0 && item->seq < load_int(&a->m, ARG_SCHEDULE, 1) && item->q_begin >= 0 &&
                 item->q_count >= 1 && item->q_begin + (int64_t)item->q_count <= item->sequence[SEQ_Q_LEN] &&
                 item->kv_begin >= 0 && item->kv_begin <= item->kv_end && item->kv_end <= kv_len &&
                 item->kv_begin == (int64_t)item->split * item->sequence[SEQ_SPLIT_KEYS];
    if (!sound)
        a->m.where = "schedule (an item that leaves its sequence)";
    a->m.out_of_bounds |= !sound;
    return sound;
}

/* Heads of an item: as many as there are before the second item of a tile, which a schedule never leaves out. */
static int heads_of_items(struct attention *a, int32_t first, int32_t count)
{
    int heads = a->args.num_q_heads;
    for (int32_t i = 0; i < count && !a->m.out_of_bounds; i++) {
        struct item item;
        if (read_item(a, first + i, &item) && item.head > 0 && item.head < heads)
            heads = item.head;
    }
    return heads;
}

/* Work-group g takes the items g, g + num_groups, ...: a grid of the wrong size shows as work done not at all or twice.
 */
static void compute_segment(struct attention *a, size_t groups, struct work *work)
{
    int32_t version = load_int(&a->m, ARG_SCHEDULE, 0), segment = a->args.segment;
    if (version != SCHEDULE_VERSION || segment < 0 || segment >= SCHEDULE_MAX_SEGMENTS || a->args.num_groups < 1) {
        a->m.out_of_bounds = true;
        a->m.where = "schedule (version, segment or num_groups)";
        return;
    }
    int32_t first = load_int(&a->m, ARG_SCHEDULE, 4 + 2 * segment),
            count = load_int(&a->m, ARG_SCHEDULE, 5 + 2 * segment);
    if (a->decode)
        a->heads_per_item = heads_of_items(a, first, count);
    for (size_t g = 0; g < groups; g++)
        for (int64_t i = (int64_t)g; i < count && !a->m.out_of_bounds; i += a->args.num_groups) {
            struct item item;
            if (!read_item(a, first + (int32_t)i, &item))
                return;
            size_t keys = (size_t)(item.kv_end - item.kv_begin) + 1;
            a->weights = malloc(keys * sizeof *a->weights);
            if (a->weights)
                work->pairs += compute_item(a, &item);
            free(a->weights);
            work->items++;
        }
}

/* ---- a launch */

static void bend(struct attention *a, const struct launch *launch)
{
    for (size_t i = 0; i < launch->num_strikes; i++) {
        const struct fault *fault = launch->strikes[i];
        if (fault->what == FAULT_WRONG)
            a->scale_output *= 1.0 + fault->amount;
        a->nan |= fault->what == FAULT_NAN;
        a->no_op |= fault->what == FAULT_NO_OP;
    }
}

static void damage(struct attention *a, const struct launch *launch)
{
    for (size_t i = 0; i < launch->num_strikes; i++) {
        if (launch->strikes[i]->what == FAULT_WRITE_INPUT)
            store(&a->m, ARG_Q, a->args.q_offset, 0.125f);
        int64_t room = (int64_t)(a->m.views[ARG_O].room / type_size(a->m.views[ARG_O].type));
        if (launch->strikes[i]->what == FAULT_OVERRUN && a->last_output >= 0 && a->last_output + 1 < room)
            store(&a->m, ARG_O, a->last_output + 1, 1.0f);
    }
}

static void prepare(struct attention *a, const struct launch *launch)
{
    const char *options = launch->kernel->options;
    memcpy(&a->args, launch->args[ARG_STRUCT].value, sizeof a->args);
    a->dim_qk = (int)option_value(options, "HEAD_DIM_QK", 0);
    a->dim_vo = (int)option_value(options, "HEAD_DIM_VO", a->dim_qk);
    a->group_size = (int)option_value(options, "GROUP_SIZE", 1);
    a->heads_per_item = option_value(options, "PACK_GQA", 0) ? a->group_size : 1;
    a->decode = option_value(options, "TILE_TOKENS", 0) > 0;
    a->causal = option_value(options, "CAUSAL", 0);
    a->paged = option_value(options, "PAGED", 0);
    a->scale_output = 1.0;
    a->last_output = -1;
    a->m.names = argument_names;
    long kv_type = option_value(options, "KV_TYPE", TYPE_FP32);
    for (int i = 0; i < ARG_STRUCT; i++) {
        long type = i == ARG_Q   ? option_value(options, "Q_TYPE", TYPE_FP32)
                    : i == ARG_O ? option_value(options, "O_TYPE", TYPE_FP32)
                    : i == ARG_K || i == ARG_V || i == ARG_K_CACHE || i == ARG_V_CACHE ? kv_type
                                                                                       : TYPE_FP32; /* or int */
        view_argument(&a->m, i, &launch->args[i], (enum element_type)type);
    }
    bend(a, launch);
}

cl_int attention_compute(const struct launch *launch, struct work *work)
{
    struct attention a = {0};
    prepare(&a, launch);
    if (a.dim_qk < 1 || a.dim_vo < 1 || a.group_size < 1) {
        fprintf(stderr, "fake OpenCL driver: the build options lack HEAD_DIM_QK or GROUP_SIZE\n");
        return CL_INVALID_PROGRAM_EXECUTABLE;
    }
    int widest = a.dim_qk > a.dim_vo ? a.dim_qk : a.dim_vo;
    a.q = malloc((size_t)a.dim_qk * sizeof *a.q);
    a.row = malloc((size_t)widest * sizeof *a.row);
    a.sum = malloc((size_t)a.dim_vo * sizeof *a.sum);
    bool ready = a.q && a.row && a.sum;
    if (ready) {
        compute_segment(&a, launch->groups, work);
        damage(&a, launch);
    }
    free(a.q);
    free(a.row);
    free(a.sum);
    if (a.m.out_of_bounds)
        fprintf(stderr, "fake OpenCL driver: attention leaves %s\n", a.m.where);
    return !ready ? CL_OUT_OF_HOST_MEMORY : a.m.out_of_bounds ? CL_OUT_OF_RESOURCES : CL_SUCCESS;
}
