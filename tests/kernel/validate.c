/* SPDX-License-Identifier: Apache-2.0
 * Debug mode: page tables that cannot be followed are refused, and the first bad value is named. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/base.h"
#include "check.h"

#define DIM 64
#define NUM_SLOTS 10240
#define MAX_BATCH 64
#define MAX_ENTRIES 20000
#define OFFSET 12 /* bytes before each table */

static attune_context *context;
static cl_command_queue queue;

#define OK(call)                                                                             \
    do {                                                                                     \
        attune_status status_ = (call);                                                      \
        if (status_ != ATTUNE_OK)                                                            \
            fail_msg("%s: %s: %s", #call, attune_status_name(status_), attune_last_error()); \
    } while (0)

enum table_kind { CSR, BLOCK_TABLE, CSR_SVM };

/* Page tables of a step on the host. */
struct tables {
    int32_t batch, kv_len[MAX_BATCH];
    int32_t indptr[MAX_BATCH + 1], indices[MAX_ENTRIES], last[MAX_BATCH];
    int32_t num_indices;
};

/* Plan, cache and tables for one page size. */
struct bench {
    int32_t page_size;
    attune_kv_layout *layout;
    attune_plan *plan;
    attune_schedule *schedule;
    attune_launcher *launcher;
    cl_mem q, o, k_cache, v_cache, workspace;
    struct tables tables;
};

static cl_mem buffer(size_t bytes)
{
    cl_int code;
    cl_mem memory = clCreateBuffer(attune_context_cl(context), CL_MEM_READ_WRITE, bytes, NULL, &code);
    assert_int_equal(code, CL_SUCCESS);
    return memory;
}

static int32_t pages_of(const struct bench *b, int32_t seq)
{
    return (b->tables.kv_len[seq] + b->page_size - 1) / b->page_size;
}

/* Tables that are right: entries ascending from 7 on. */
static void good_tables(struct bench *b, int32_t batch, const int32_t *kv_len)
{
    struct tables *t = &b->tables;
    memset(t, 0, sizeof *t);
    t->batch = batch;
    for (int32_t i = 0; i < batch; i++) {
        t->kv_len[i] = kv_len[i];
        t->indptr[i + 1] = t->indptr[i] + pages_of(b, i);
        t->last[i] = kv_len[i] - (pages_of(b, i) - 1) * b->page_size;
    }
    t->num_indices = t->indptr[batch];
    assert_true(t->num_indices <= MAX_ENTRIES);
    for (int32_t i = 0; i < t->num_indices; i++)
        t->indices[i] = (7 + i) % (NUM_SLOTS / b->page_size);
}

static void bench_create(struct bench *b, int32_t page_size)
{
    attune_attention_desc desc = ATTUNE_ATTENTION_DESC_INIT;
    desc.operation = ATTUNE_DECODE;
    desc.num_q_heads = desc.num_kv_heads = 1;
    desc.head_dim_qk = DIM;
    attune_kv_layout_options layout = ATTUNE_KV_LAYOUT_OPTIONS_INIT;
    layout.num_kv_heads = 1;
    layout.head_dim_qk = DIM;
    layout.page_size = page_size;
    layout.num_slots = NUM_SLOTS;
    attune_plan_options options = ATTUNE_PLAN_OPTIONS_INIT;
    options.force_config = "plain_row:WG_SIZE=32";
    options.validate = 1;
    attune_schedule_options limits = ATTUNE_SCHEDULE_OPTIONS_INIT;
    limits.max_batch = limits.max_q_tokens = MAX_BATCH;
    memset(b, 0, sizeof *b);
    b->page_size = page_size;
    OK(attune_kv_layout_create(context, &layout, &b->layout));
    OK(attune_plan_create(context, &desc, b->layout, &options, &b->plan));
    OK(attune_schedule_create(b->plan, &limits, &b->schedule));
    OK(attune_launcher_create(b->plan, &b->launcher));
    b->q = buffer(MAX_BATCH * DIM * sizeof(float));
    b->o = buffer(MAX_BATCH * DIM * sizeof(float));
    size_t workspace_bytes;
    OK(attune_plan_workspace_size(b->plan, b->schedule, &workspace_bytes));
    b->workspace = buffer(workspace_bytes + 1);
    b->k_cache = buffer(NUM_SLOTS * DIM * sizeof(float));
    b->v_cache = buffer(NUM_SLOTS * DIM * sizeof(float));
    const float zero = 0;
    const cl_mem all[] = {b->q, b->o, b->k_cache, b->v_cache};
    for (int i = 0; i < 4; i++)
        clEnqueueFillBuffer(queue, all[i], &zero, sizeof zero, 0, (i < 2 ? MAX_BATCH : NUM_SLOTS) * DIM * sizeof zero,
                            0, NULL, NULL);
}

static void bench_destroy(struct bench *b)
{
    attune_launcher_destroy(&b->launcher);
    attune_schedule_destroy(&b->schedule);
    attune_plan_destroy(&b->plan);
    attune_kv_layout_destroy(&b->layout);
    clReleaseMemObject(b->q);
    clReleaseMemObject(b->o);
    clReleaseMemObject(b->k_cache);
    clReleaseMemObject(b->v_cache);
    clReleaseMemObject(b->workspace);
}

static attune_tensor upload(const int32_t *values, int32_t count, bool svm)
{
    attune_tensor out = ATTUNE_TENSOR_INIT;
    size_t bytes = (size_t)count * sizeof *values;
    out.byte_offset = OFFSET;
    if (svm) {
        out.type = ATTUNE_MEMORY_SVM;
        out.svm = clSVMAlloc(attune_context_cl(context), CL_MEM_READ_WRITE, OFFSET + bytes, 0);
        assert_non_null(out.svm);
        assert_int_equal(clEnqueueSVMMemcpy(queue, CL_TRUE, (char *)out.svm + OFFSET, values, bytes, 0, NULL, NULL), 0);
    } else {
        out.type = ATTUNE_MEMORY_CL;
        out.cl = buffer(OFFSET + bytes);
        assert_int_equal(clEnqueueWriteBuffer(queue, out.cl, CL_TRUE, OFFSET, bytes, values, 0, NULL, NULL), 0);
    }
    return out;
}

static void release(attune_tensor *tensor)
{
    if (tensor->cl)
        clReleaseMemObject(tensor->cl);
    if (tensor->svm)
        clSVMFree(attune_context_cl(context), tensor->svm);
}

static attune_tensor upload_block_table(const struct bench *b)
{
    const struct tables *t = &b->tables;
    int32_t stride = 1;
    for (int32_t i = 0; i < t->batch; i++)
        stride = pages_of(b, i) + 3 > stride ? pages_of(b, i) + 3 : stride;
    int32_t *rows = malloc((size_t)t->batch * (size_t)stride * sizeof *rows);
    memset(rows, 0xff, (size_t)t->batch * (size_t)stride * sizeof *rows); /* unused entries hold -1 */
    for (int32_t i = 0; i < t->batch; i++)
        memcpy(rows + (size_t)i * (size_t)stride, t->indices + t->indptr[i], (size_t)pages_of(b, i) * sizeof *rows);
    attune_tensor out = upload(rows, t->batch * stride, false);
    out.stride_token = stride;
    free(rows);
    return out;
}

static attune_tensor packed(cl_mem memory)
{
    return (attune_tensor){ATTUNE_MEMORY_CL, memory, NULL, 0, 0, 0};
}

/* Runs the step with the tables as they are. */
static attune_status run_tables(struct bench *b, enum table_kind kind, bool with_last)
{
    const struct tables *t = &b->tables;
    attune_attention_args args = ATTUNE_ATTENTION_ARGS_INIT;
    int32_t ones[MAX_BATCH];
    for (int32_t i = 0; i < t->batch; i++)
        ones[i] = 1;
    args.q = packed(b->q);
    args.o = packed(b->o);
    args.k_cache = packed(b->k_cache);
    args.v_cache = packed(b->v_cache);
    args.workspace = packed(b->workspace);
    if (kind == BLOCK_TABLE)
        args.block_table = upload_block_table(b);
    else {
        args.kv_indptr = upload(t->indptr, t->batch + 1, kind == CSR_SVM);
        args.kv_indices = upload(t->indices, t->num_indices, kind == CSR_SVM);
    }
    if (with_last)
        args.last_page_len = upload(t->last, t->batch, kind == CSR_SVM);
    OK(attune_schedule_update(b->schedule, queue, t->batch, ones, t->kv_len, 0, NULL, NULL));
    attune_status status = attune_attention_run(b->launcher, b->schedule, &args, queue, 0, NULL, NULL);
    clFinish(queue);
    release(&args.kv_indptr);
    release(&args.kv_indices);
    release(&args.block_table);
    release(&args.last_page_len);
    return status;
}

static void refused(struct bench *b, enum table_kind kind, bool with_last, const char *text)
{
    attune_status status = run_tables(b, kind, with_last);
    if (status != ATTUNE_ERROR_PAGE_TABLE || strcmp(attune_last_error(), text) != 0)
        fail_msg("kind %d: %s: \"%s\", not \"%s\"", kind, attune_status_name(status), status ? attune_last_error() : "",
                 text);
}

static const int32_t lengths[] = {20, 0, 16, 90, 1, 33}; /* pages of 16: 2 0 1 6 1 3 */

static void names_the_first_bad_value(void **state)
{
    (void)state;
    static struct bench b;
    bench_create(&b, 16);
    struct tables *t = &b.tables;
    good_tables(&b, 6, lengths);
    for (int kind = CSR; kind <= CSR_SVM; kind++)
        for (int last = 0; last < 2; last++)
            OK(run_tables(&b, (enum table_kind)kind, last));
    for (int kind = CSR; kind <= CSR_SVM; kind += 2) {
        good_tables(&b, 6, lengths);
        t->indices[12] = -5; /* behind the first bad one */
        t->indices[8] = 912;
        refused(&b, (enum table_kind)kind, false, "kv_indices[8] is 912 (sequence 3, page 5); the cache has 640 pages");
        t->last[2] = 0;
        t->last[3] = 17;
        refused(&b, (enum table_kind)kind, true, "last_page_len[2] is 0; it must be 1 to 16");
        t->last[2] = 15;
        refused(&b, (enum table_kind)kind, true,
                "last_page_len[2] is 15; the schedule's length leaves 16 keys in the last page");
        t->indptr[2] = 1;
        refused(&b, (enum table_kind)kind, true, "kv_indptr[2] is 1, less than kv_indptr[1] (2)");
        t->indptr[1] = 1;
        refused(&b, (enum table_kind)kind, true, "kv_indptr[1] is 1, 1 more than kv_indptr[0]; sequence 0 has 2 pages");
        t->indptr[0] = -1;
        refused(&b, (enum table_kind)kind, true, "kv_indptr[0] is -1; it must not be negative");
    }
    good_tables(&b, 6, lengths);
    t->indices[8] = 640;
    t->indices[9] = -1;
    refused(&b, BLOCK_TABLE, false, "block_table[3][5] is 640; the cache has 640 pages");
    /* The row is long enough, but starts where kv_indices has no room for it. */
    good_tables(&b, 6, lengths);
    t->indptr[5]++;
    t->indptr[6]++;
    refused(&b, CSR, false, "kv_indptr[5] is 11; kv_indices has 13 entries, too few for the 3 pages of sequence 5");
    bench_destroy(&b);
}

/* What is not followed is not looked at. */
static void accepts_what_is_not_used(void **state)
{
    (void)state;
    static struct bench b;
    bench_create(&b, 16);
    struct tables *t = &b.tables;
    good_tables(&b, 6, lengths);
    t->last[1] = -7; /* a sequence without cached keys */
    OK(run_tables(&b, CSR, true));
    /* Rows may be longer than the sequence: pages that were taken ahead. */
    good_tables(&b, 6, lengths);
    for (int i = 4; i <= 6; i++)
        t->indptr[i]++;
    memmove(t->indices + 10, t->indices + 9, 4 * sizeof t->indices[0]);
    t->indices[9] = -1;
    t->num_indices++;
    OK(run_tables(&b, CSR, false));
    const int32_t none[] = {0, 0};
    good_tables(&b, 2, none);
    t->num_indices = 1; /* no buffer of 0 bytes */
    t->indptr[1] = -3;
    OK(run_tables(&b, CSR, false));
    bench_destroy(&b);
}

/* ---- at random */

/* What the run must say, from the tables alone: a sequence's row first, then its entries; "" for tables that are right.
 */
static void expect(const struct bench *b, char *text, size_t size)
{
    const struct tables *t = &b->tables;
    const char *unit = b->page_size > 1 ? "page" : "slot";
    int32_t limit = NUM_SLOTS / b->page_size;
    text[0] = '\0';
    for (int32_t s = 0; s < t->batch; s++) {
        int32_t start = t->indptr[s], end = t->indptr[s + 1], pages = pages_of(b, s);
        int32_t left = pages ? t->kv_len[s] - (pages - 1) * b->page_size : 0;
        if (end < start)
            snprintf(text, size, "kv_indptr[%d] is %d, less than kv_indptr[%d] (%d)", s + 1, end, s, start);
        else if (end - start < pages)
            snprintf(text, size, "kv_indptr[%d] is %d, %d more than kv_indptr[%d]; sequence %d has %d %ss", s + 1, end,
                     end - start, s, s, pages, unit);
        else if (pages && start + pages > t->num_indices)
            snprintf(text, size,
                     "kv_indptr[%d] is %d; kv_indices has %d entries, too few for the %d %ss of sequence %d", s, start,
                     t->num_indices, pages, unit, s);
        else if (pages && (t->last[s] < 1 || t->last[s] > b->page_size))
            snprintf(text, size, "last_page_len[%d] is %d; it must be 1 to %d", s, t->last[s], b->page_size);
        else if (pages && t->last[s] != left)
            snprintf(text, size, "last_page_len[%d] is %d; the schedule's length leaves %d keys in the last page", s,
                     t->last[s], left);
        else
            for (int32_t p = 0; p < pages && !text[0]; p++)
                if (t->indices[start + p] < 0 || t->indices[start + p] >= limit)
                    snprintf(text, size, "kv_indices[%d] is %d (sequence %d, %s %d); the cache has %d %ss", start + p,
                             t->indices[start + p], s, unit, p, limit, unit);
        if (text[0])
            return;
    }
}

static void spoil(struct bench *b, struct rng *rng)
{
    struct tables *t = &b->tables;
    for (uint32_t n = rng_below(rng, 4); n; n--)
        t->indices[rng_below(rng, (uint32_t)t->num_indices)] = (int32_t)rng_next(rng);
    if (rng_below(rng, 3) == 0)
        t->last[rng_below(rng, (uint32_t)t->batch)] = (int32_t)rng_below(rng, 20) - 2;
    if (rng_below(rng, 4) == 0)
        t->indptr[1 + rng_below(rng, (uint32_t)t->batch)] += (int32_t)rng_below(rng, 9) - 4;
}

static void random_tables(void **state)
{
    (void)state;
    static const int32_t page_sizes[] = {1, 20};
    for (int size = 0; size < 2; size++) {
        static struct bench b;
        bench_create(&b, page_sizes[size]);
        for (uint64_t seed = 1; seed <= 60; seed++) {
            struct rng rng;
            int32_t kv_len[MAX_BATCH], batch = 1 + (int32_t)(seed % MAX_BATCH);
            char text[256];
            rng_seed(&rng, seed);
            for (int32_t i = 0; i < batch; i++)
                kv_len[i] = 1 + (int32_t)rng_below(&rng, i == batch / 2 ? 3000 : 200);
            good_tables(&b, batch, kv_len);
            spoil(&b, &rng);
            expect(&b, text, sizeof text);
            attune_status status = run_tables(&b, CSR, true);
            if (status != (text[0] ? ATTUNE_ERROR_PAGE_TABLE : ATTUNE_OK) ||
                (text[0] && strcmp(text, attune_last_error()) != 0))
                fail_msg("seed %d, pages of %d: %s: \"%s\", not \"%s\"", (int)seed, b.page_size,
                         attune_status_name(status), status ? attune_last_error() : "", text);
        }
        bench_destroy(&b);
    }
}

/* Nothing else is enqueued by a run that is refused. */
static void outputs_stay(void **state)
{
    (void)state;
    static struct bench b;
    bench_create(&b, 16);
    float canary = 42, seen[DIM];
    clEnqueueFillBuffer(queue, b.o, &canary, sizeof canary, 0, sizeof seen, 0, NULL, NULL);
    good_tables(&b, 6, lengths);
    b.tables.indices[0] = -1;
    assert_int_equal(run_tables(&b, CSR, false), ATTUNE_ERROR_PAGE_TABLE);
    clEnqueueReadBuffer(queue, b.o, CL_TRUE, 0, sizeof seen, seen, 0, NULL, NULL);
    assert_true(seen[0] == canary && seen[DIM - 1] == canary);
    b.tables.indices[0] = 3;
    OK(run_tables(&b, CSR, false));
    clEnqueueReadBuffer(queue, b.o, CL_TRUE, 0, sizeof seen, seen, 0, NULL, NULL);
    assert_true(seen[0] == 0 && seen[DIM - 1] == 0);
    bench_destroy(&b);
}

static int open_context(void **state)
{
    (void)state;
    cl_int code;
    context = check_context(getenv("TEST_BACKEND") ? getenv("TEST_BACKEND") : "cpu");
    queue = clCreateCommandQueue(attune_context_cl(context), attune_context_device(context), 0, &code);
    return code;
}

static int close_context(void **state)
{
    (void)state;
    clReleaseCommandQueue(queue);
    attune_context_destroy(&context);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_the_first_bad_value),
        cmocka_unit_test(accepts_what_is_not_used),
        cmocka_unit_test(random_tables),
        cmocka_unit_test(outputs_stay),
    };
    return cmocka_run_group_tests(tests, open_context, close_context);
}
