/* SPDX-License-Identifier: Apache-2.0
 * Element offsets beyond 2^31: rows of the tensors and pages of the cache lie so far apart that the last ones begin
 * there. The memory between them is never touched, so it costs nothing.
 */
#define _GNU_SOURCE
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "check.h"
#include "context.h"

#define FAR ((int64_t)1 << 31) /* elements */
#define BEYOND 2               /* rows or pages that begin behind it */
#define HEADS 4
#define KV_HEADS 2
#define DIM 64

static attune_context *context;
static uint64_t seed = 20268;

/* Memory as large as the host will map, of which little is used. OpenCL's devices allocate less at once than the tests
 * need (here 2 GiB), but pocl's CPU devices read what the host reads, wherever it comes from. */
struct far_memory {
    char *bytes;
    size_t size;
};

static struct far_memory map(int64_t elements, size_t element_size)
{
    struct far_memory out = {NULL, (size_t)elements * element_size};
    out.bytes = mmap(NULL, out.size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (out.bytes == MAP_FAILED) {
        fprintf(stderr, "skipped: the host does not map %zu bytes\n", out.size);
        exit(77);
    }
    return out;
}

static void expect_ok(attune_status status, const char *problem, const char *config)
{
    if (status != ATTUNE_OK)
        fail_msg("%s: %s\n  problem %s\n  config %s\n  seed %llu", attune_status_name(status), attune_last_error(),
                 problem, config, (unsigned long long)seed);
}

/* A tensor whose first row begins at element `first` of the memory. */
static attune_tensor far_tensor(const struct far_memory *memory, int64_t first, int64_t stride_token,
                                size_t element_size)
{
    return (attune_tensor){.type = ATTUNE_MEMORY_SVM,
                           .svm = memory->bytes,
                           .byte_offset = (size_t)first * element_size,
                           .stride_token = stride_token,
                           .stride_head = DIM};
}

/* Copies a row of heads * DIM elements from a tensor to element `at` of far memory. */
static void copy_row(const struct far_memory *memory, int64_t at, const struct workload_tensor *tensor, int64_t element,
                     int64_t heads)
{
    size_t size = dtype_size(tensor->dtype);
    memcpy(memory->bytes + (size_t)at * size, (const char *)tensor->data + (size_t)element * size,
           (size_t)(heads * DIM) * size);
}

/* One problem with its tensors moved to far places. */
struct far_run {
    struct check_run run;
    struct far_memory rows, pages;   /* q, k, v and o; K and V of the cache */
    int64_t row_stride, page_stride; /* elements */
    attune_attention_args args;
    attune_kv_layout *layout;
};

enum {
    Q_AT = 0,
    K_AT = HEADS * DIM,
    V_AT = K_AT + KV_HEADS * DIM,
    O_AT = V_AT + KV_HEADS * DIM,
    ROW = O_AT + HEADS * DIM
};

static void move_rows(struct far_run *far)
{
    const struct workload *w = &far->run.workload;
    size_t size = dtype_size(w->q.dtype);
    int64_t rows = w->q_tokens > w->k.tokens ? w->q_tokens : w->k.tokens;
    far->row_stride = FAR / (rows - BEYOND) + 1;
    far->rows = map((rows - 1) * far->row_stride + ROW, size);
    for (int64_t t = 0; t < w->q_tokens; t++)
        copy_row(&far->rows, t * far->row_stride + Q_AT, &w->q, w->q.offset + t * w->q.stride_token, HEADS);
    for (int64_t t = 0; w->k.data && t < w->k.tokens; t++) {
        copy_row(&far->rows, t * far->row_stride + K_AT, &w->k, w->k.offset + t * w->k.stride_token, KV_HEADS);
        copy_row(&far->rows, t * far->row_stride + V_AT, &w->v, w->v.offset + t * w->v.stride_token, KV_HEADS);
    }
    far->args.q = far_tensor(&far->rows, Q_AT, far->row_stride, size);
    far->args.o = far_tensor(&far->rows, O_AT, far->row_stride, size);
    if (w->k.data) {
        far->args.k = far_tensor(&far->rows, K_AT, far->row_stride, size);
        far->args.v = far_tensor(&far->rows, V_AT, far->row_stride, size);
    }
}

/* A token of a page holds K and V of all heads. */
static void move_pages(struct far_run *far)
{
    const struct workload *w = &far->run.workload;
    const attune_problem *p = far->run.problem;
    size_t size = dtype_size(w->q.dtype);
    int64_t pages = w->num_slots / w->page_size, token = 2 * KV_HEADS * DIM, used_beyond = 0;
    far->page_stride = FAR / (pages - BEYOND) + 1;
    far->pages = map((pages - 1) * far->page_stride + w->page_size * token, size);
    for (int32_t b = 0; b < p->batch; b++)
        for (int32_t j = 0; j < problem_cached_keys(p, b); j++) {
            int32_t page = w->kv_indices[w->kv_indptr[b] + j / w->page_size];
            int64_t at = page * far->page_stride + j % w->page_size * token;
            used_beyond += at >= FAR;
            copy_row(&far->pages, at, &w->k_cache, workload_cache_element(w, &w->k_cache, b, j), KV_HEADS);
            copy_row(&far->pages, at + token / 2, &w->v_cache, workload_cache_element(w, &w->v_cache, b, j), KV_HEADS);
        }
    assert_true(used_beyond > 0);
    attune_kv_layout_options options = problem_layout(p, w->num_slots);
    options.order = ATTUNE_KV_STRIDED;
    options.k_stride_page = options.v_stride_page = far->page_stride;
    options.k_stride_token = options.v_stride_token = token;
    options.k_stride_head = options.v_stride_head = DIM;
    expect_ok(attune_kv_layout_create(context, &options, &far->layout), p->text, "");
    far->args.k_cache = far_tensor(&far->pages, 0, 0, size);
    far->args.v_cache = far_tensor(&far->pages, token / 2, 0, size);
}

static char *output_row(const struct far_run *far, int64_t t)
{
    return far->rows.bytes + (size_t)(t * far->row_stride + O_AT) * dtype_size(far->run.workload.o.dtype);
}

/* Bytes of ones are NaN in every type. */
static void poison_output(struct far_run *far)
{
    for (int64_t t = 0; t < far->run.workload.q_tokens; t++)
        memset(output_row(far, t), 0xff, HEADS * DIM * dtype_size(far->run.workload.o.dtype));
}

/* Back into the ordinary buffer, where the comparison looks for it. */
static void fetch_output(struct far_run *far)
{
    const struct workload *w = &far->run.workload;
    const attune_tensor *o = &far->run.device.args.o;
    size_t size = dtype_size(w->o.dtype);
    for (int64_t t = 0; t < w->q_tokens; t++)
        assert_int_equal(clEnqueueWriteBuffer(far->run.queue, o->cl, CL_TRUE,
                                              o->byte_offset + (size_t)(t * w->o.stride_token) * size,
                                              HEADS * DIM * size, output_row(far, t), 0, NULL, NULL),
                         CL_SUCCESS);
}

static void run_family(struct far_run *far, int family)
{
    const char *text = far->run.problem->text;
    struct kernel_config config;
    struct rng rng;
    char config_text[ATTUNE_CONFIG_TEXT_MAX];
    rng_seed(&rng, seed);
    if (!check_draw_config(context, &rng, family, text, &config))
        return;
    kernel_config_format(&config, config_text, sizeof config_text);
    attune_plan_options options = ATTUNE_PLAN_OPTIONS_INIT;
    options.force_config = config_text;
    attune_plan *plan;
    attune_launcher *launcher;
    attune_schedule *schedule;
    const attune_problem *p = far->run.problem;
    attune_schedule_options limits = {
        .size = sizeof limits, .max_batch = p->batch, .max_q_tokens = far->run.workload.q_tokens};
    expect_ok(attune_plan_create(context, &p->desc, far->layout, &options, &plan), text, config_text);
    expect_ok(attune_launcher_create(plan, &launcher), text, config_text);
    expect_ok(attune_schedule_create(plan, &limits, &schedule), text, config_text);
    expect_ok(attune_schedule_update(schedule, far->run.queue, p->batch, p->q_len, p->kv_len, 0, NULL, NULL), text,
              config_text);
    struct workload_device *device = &far->run.device;
    expect_ok(workload_device_workspace(context, plan, schedule, far->run.queue, device), text, config_text);
    expect_ok(workload_device_poison(device, far->run.queue, seed), text, config_text);
    poison_output(far);
    far->args.workspace = device->args.workspace;
    expect_ok(attune_attention_run(launcher, schedule, &far->args, far->run.queue, 0, NULL, NULL), text, config_text);
    clFinish(far->run.queue);
    fetch_output(far);
    expect_ok(check_run_compare(&far->run, seed), text, config_text);
    print_message("%s: %s\n", family_at(family)->name, text);
    attune_schedule_destroy(&schedule);
    attune_launcher_destroy(&launcher);
    attune_plan_destroy(&plan);
}

static void every_family(const char *problem)
{
    struct far_run far = {.args = ATTUNE_ATTENTION_ARGS_INIT};
    struct workload_options options = WORKLOAD_OPTIONS_INIT;
    attune_plan_options plan_options = ATTUNE_PLAN_OPTIONS_INIT;
    options.seed = seed;
    plan_options.force_config = "plain_row:WG_SIZE=32";
    expect_ok(check_run_create(context, problem, &plan_options, &options, &far.run), problem, "");
    far.args = far.run.device.args;
    move_rows(&far);
    if (far.run.workload.k_cache.data)
        move_pages(&far);
    for (int family = 0; family < family_count(); family++)
        run_family(&far, family);
    attune_kv_layout_destroy(&far.layout);
    munmap(far.rows.bytes, far.rows.size);
    if (far.pages.bytes)
        munmap(far.pages.bytes, far.pages.size);
    check_run_destroy(&far.run);
}

static void pages(void **state)
{
    (void)state;
    every_family("extend:hq=4,hkv=2,d=64,page=16,prefix=40/0/31,new=5/3/17");
    every_family("decode:hq=4,hkv=2,d=64,page=3,table=1,kvlen=40/7,new=2/1");
}

static void slots(void **state)
{
    (void)state;
    every_family("decode:hq=4,hkv=2,d=64,page=1,kvlen=40/7,new=2/1");
}

static void contiguous_rows(void **state)
{
    (void)state;
    every_family("prefill:hq=4,hkv=2,d=64,new=33,kvlen=70");
    every_family("decode:hq=4,hkv=2,d=64,page=0,kvlen=40/7,new=2/1");
}

static void half_types(void **state)
{
    (void)state;
    every_family("extend:hq=4,hkv=2,d=64,q=fp16,kv=fp16,page=16,prefix=40/0/31,new=5/3/17");
    every_family("decode:hq=4,hkv=2,d=64,q=bf16,kv=bf16,page=1,kvlen=40/7,new=2/1");
}

static int open_context(void **state)
{
    (void)state;
    const char *backend = getenv("TEST_BACKEND");
    context = check_context(backend ? backend : "cpu");
    if (!cl_device_is_pocl(&context->choice.device)) {
        fprintf(stderr, "skipped: the device is not pocl, whose kernels reach memory of the host's\n");
        exit(77);
    }
    return 0;
}

static int close_context(void **state)
{
    (void)state;
    attune_context_destroy(&context);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pages),
        cmocka_unit_test(slots),
        cmocka_unit_test(contiguous_rows),
        cmocka_unit_test(half_types),
    };
    return cmocka_run_group_tests(tests, open_context, close_context);
}
