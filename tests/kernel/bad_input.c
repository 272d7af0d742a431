/* SPDX-License-Identifier: Apache-2.0
 * Bad input to the run path: its own status, a text that names the argument, nothing enqueued. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "check.h"

static attune_context *context;
static struct check_run run;

static const char problem[] = "extend:hq=4,hkv=2,d=64,q=fp32,kv=fp32,prec=strict,page=1,causal=1,prefix=3/5,new=4/2";

#define REFUSED(call, status, word) refused((call), (status), (word), #call)

static void refused(attune_status got, attune_status expected, const char *word, const char *call)
{
    if (got != expected)
        fail_msg("%s: %s, not %s (%s)", call, attune_status_name(got), attune_status_name(expected),
                 attune_last_error());
    if (!strstr(attune_last_error(), word))
        fail_msg("%s: \"%s\" does not name \"%s\"", call, attune_last_error(), word);
}

static attune_attention_desc good_desc(void)
{
    return run.problem->desc;
}

static attune_status plan_with(const attune_attention_desc *desc)
{
    attune_plan *plan = (attune_plan *)(uintptr_t)1;
    attune_status status = attune_plan_create(context, desc, run.device.layout, NULL, &plan);
    assert_null(plan);
    return status;
}

#define DESC_REFUSED(member, value, status, word) \
    do {                                          \
        attune_attention_desc desc = good_desc(); \
        desc.member = (value);                    \
        REFUSED(plan_with(&desc), status, word);  \
    } while (0)

static void descriptors(void **state)
{
    (void)state;
    attune_attention_desc zeroed;
    memset(&zeroed, 0, sizeof zeroed);
    REFUSED(plan_with(&zeroed), ATTUNE_ERROR_STRUCT_SIZE, "size");
    REFUSED(plan_with(NULL), ATTUNE_ERROR_NULL_ARGUMENT, "desc");
    DESC_REFUSED(num_q_heads, 0, ATTUNE_ERROR_INVALID_SIZE, "num_q_heads");
    DESC_REFUSED(num_kv_heads, -2, ATTUNE_ERROR_INVALID_SIZE, "num_kv_heads");
    DESC_REFUSED(num_q_heads, 5, ATTUNE_ERROR_HEAD_COUNT, "num_q_heads");
    DESC_REFUSED(head_dim_qk, 577, ATTUNE_ERROR_INVALID_SIZE, "head_dim_qk");
    DESC_REFUSED(head_dim_vo, -1, ATTUNE_ERROR_INVALID_SIZE, "head_dim_vo");
    DESC_REFUSED(kv_dtype, (attune_dtype)99, ATTUNE_ERROR_DTYPE, "kv_dtype");
    DESC_REFUSED(operation, (attune_operation)9, ATTUNE_ERROR_ENUM, "operation");
    DESC_REFUSED(mask, (attune_mask)9, ATTUNE_ERROR_ENUM, "mask");
    DESC_REFUSED(softcap, NAN, ATTUNE_ERROR_SOFTCAP, "softcap");
    DESC_REFUSED(softcap, -1.0f, ATTUNE_ERROR_SOFTCAP, "softcap");
    DESC_REFUSED(scale, INFINITY, ATTUNE_ERROR_SCALE, "scale");
    DESC_REFUSED(window_left, -2, ATTUNE_ERROR_WINDOW, "window_left");
    DESC_REFUSED(window_left, 100, ATTUNE_ERROR_UNSUPPORTED, "window");
    DESC_REFUSED(softcap, 50.0f, ATTUNE_ERROR_UNSUPPORTED, "cap");
    DESC_REFUSED(head_dim_qk, 32, ATTUNE_ERROR_MISMATCH, "layout");
}

static void plan_options(void **state)
{
    (void)state;
    attune_attention_desc desc = good_desc();
    attune_plan_options options = ATTUNE_PLAN_OPTIONS_INIT;
    attune_plan *plan;
    attune_shape shape = {1, 0, 1};
#define PLAN() attune_plan_create(context, &desc, run.device.layout, &options, &plan)
    options.size = 0;
    REFUSED(PLAN(), ATTUNE_ERROR_STRUCT_SIZE, "size");
    options = (attune_plan_options)ATTUNE_PLAN_OPTIONS_INIT;
    options.policy = (attune_policy)7;
    REFUSED(PLAN(), ATTUNE_ERROR_ENUM, "policy");
    options = (attune_plan_options)ATTUNE_PLAN_OPTIONS_INIT;
    options.max_configs = 9;
    REFUSED(PLAN(), ATTUNE_ERROR_INVALID_SIZE, "max_configs");
    options = (attune_plan_options)ATTUNE_PLAN_OPTIONS_INIT;
    options.num_shapes = 1;
    REFUSED(PLAN(), ATTUNE_ERROR_NULL_ARGUMENT, "shapes");
    options.shapes = &shape;
    REFUSED(PLAN(), ATTUNE_ERROR_INVALID_SIZE, "q_len");
    shape = (attune_shape){1, 8, 7}; /* the prefix alone, as who has not read the header would give it */
    REFUSED(PLAN(), ATTUNE_ERROR_INVALID_SIZE, "which it includes");
    options = (attune_plan_options)ATTUNE_PLAN_OPTIONS_INIT;
    options.validate = 2;
    REFUSED(PLAN(), ATTUNE_ERROR_INVALID_SIZE, "validate");
    options = (attune_plan_options)ATTUNE_PLAN_OPTIONS_INIT;
    options.force_config = "plain_row:WG_SIZE=31";
    REFUSED(PLAN(), ATTUNE_ERROR_SYNTAX, "WG_SIZE");
    options = (attune_plan_options)ATTUNE_PLAN_OPTIONS_INIT;
    options.policy = ATTUNE_CACHED_ONLY;
    REFUSED(PLAN(), ATTUNE_ERROR_NOT_TUNED, "no ");
#undef PLAN
    REFUSED(attune_plan_create(NULL, &desc, NULL, NULL, &plan), ATTUNE_ERROR_NULL_ARGUMENT, "context");
    REFUSED(attune_plan_create(context, &desc, NULL, NULL, &plan), ATTUNE_ERROR_NULL_ARGUMENT, "layout");
    REFUSED(attune_plan_create(context, &desc, NULL, NULL, NULL), ATTUNE_ERROR_NULL_ARGUMENT, "out");
    attune_context *other = check_context("cpu");
    REFUSED(attune_plan_create(other, &desc, run.device.layout, NULL, &plan), ATTUNE_ERROR_WRONG_CONTEXT, "layout");
    attune_context_destroy(&other);
}

static void layouts(void **state)
{
    (void)state;
    attune_kv_layout *layout;
    attune_kv_layout_options good = ATTUNE_KV_LAYOUT_OPTIONS_INIT, bad;
    good.num_kv_heads = 2;
    good.head_dim_qk = 64;
    good.num_slots = 10;
#define LAYOUT() attune_kv_layout_create(context, &bad, &layout)
#define LAYOUT_REFUSED(member, value, status, word) (bad = good, bad.member = (value), REFUSED(LAYOUT(), status, word))
    LAYOUT_REFUSED(size, 0, ATTUNE_ERROR_STRUCT_SIZE, "size");
    LAYOUT_REFUSED(num_slots, 0, ATTUNE_ERROR_INVALID_SIZE, "num_slots");
    LAYOUT_REFUSED(num_slots, (int64_t)1 << 40, ATTUNE_ERROR_INVALID_SIZE, "num_slots");
    LAYOUT_REFUSED(head_dim_qk, -1, ATTUNE_ERROR_INVALID_SIZE, "head_dim_qk");
    LAYOUT_REFUSED(dtype, (attune_dtype)0, ATTUNE_ERROR_DTYPE, "dtype");
    LAYOUT_REFUSED(order, (attune_kv_order)0, ATTUNE_ERROR_ENUM, "order");
    LAYOUT_REFUSED(page_size, 16, ATTUNE_ERROR_INVALID_SIZE, "page_size");
    LAYOUT_REFUSED(page_size, 0, ATTUNE_ERROR_INVALID_SIZE, "page_size");
    LAYOUT_REFUSED(order, ATTUNE_KV_STRIDED, ATTUNE_ERROR_STRIDE, "k strides"); /* zero strides overlap */
    bad = good;
    bad.order = ATTUNE_KV_STRIDED;
    bad.k_stride_page = INT64_MAX / 2;
    bad.k_stride_head = 64;
    bad.v_stride_page = 128;
    bad.v_stride_head = 64;
    REFUSED(LAYOUT(), ATTUNE_ERROR_STRIDE, "k strides");
#undef LAYOUT
}

static void schedules(void **state)
{
    (void)state;
    attune_schedule *schedule;
    attune_schedule_options options = {.size = sizeof options, .max_q_tokens = 1};
    REFUSED(attune_schedule_create(run.plan, &options, &schedule), ATTUNE_ERROR_INVALID_SIZE, "max_batch");
    options = (attune_schedule_options){.size = sizeof options, .max_batch = 1 << 20, .max_q_tokens = INT32_MAX};
    REFUSED(attune_schedule_create(run.plan, &options, &schedule), ATTUNE_ERROR_OVERFLOW, "max_q_tokens");
    REFUSED(attune_schedule_create(NULL, &options, &schedule), ATTUNE_ERROR_NULL_ARGUMENT, "plan");
    int32_t q[] = {1, 1, 1}, kv[] = {4, 4, 4};
#define UPDATE(n) attune_schedule_update(run.schedule, run.queue, (n), q, kv, 0, NULL, NULL)
    REFUSED(UPDATE(3), ATTUNE_ERROR_INVALID_SIZE, "max_batch");
    REFUSED(UPDATE(-1), ATTUNE_ERROR_INVALID_SIZE, "batch");
    q[1] = -1;
    REFUSED(UPDATE(2), ATTUNE_ERROR_INVALID_SIZE, "q_len[1]");
    q[1] = 5;
    REFUSED(UPDATE(2), ATTUNE_ERROR_INVALID_SIZE, "kv_len[1]"); /* fewer keys than new tokens */
    q[1] = 4;
    q[0] = 4;
    REFUSED(UPDATE(2), ATTUNE_ERROR_INVALID_SIZE, "max_q_tokens");
    q[0] = q[1] = 1;
    kv[0] = kv[1] = INT32_MAX;
    REFUSED(UPDATE(2), ATTUNE_ERROR_OVERFLOW, "kv_len");
    REFUSED(attune_schedule_update(run.schedule, NULL, 0, NULL, NULL, 0, NULL, NULL), ATTUNE_ERROR_NULL_ARGUMENT,
            "queue");
    REFUSED(attune_schedule_update(run.schedule, run.queue, 1, NULL, kv, 0, NULL, NULL), ATTUNE_ERROR_NULL_ARGUMENT,
            "q_len");
    REFUSED(attune_schedule_update(run.schedule, run.queue, 0, NULL, NULL, 1, NULL, NULL), ATTUNE_ERROR_NULL_ARGUMENT,
            "wait");
#undef UPDATE
}

static void schedules_from_device_lengths(void **state)
{
    (void)state;
    attune_schedule *schedule;
    attune_schedule_options options = ATTUNE_SCHEDULE_OPTIONS_INIT;
    options.max_batch = 2;
    options.max_q_tokens = 8;
    options.device_lengths = 1;
    REFUSED(attune_schedule_create(run.plan, &options, &schedule), ATTUNE_ERROR_INVALID_SIZE, "max_kv_len");
    options.max_kv_len = 16;
    options.device_lengths = 2;
    REFUSED(attune_schedule_create(run.plan, &options, &schedule), ATTUNE_ERROR_INVALID_SIZE, "device_lengths");
    options.device_lengths = 1;
    options.max_kv_tokens = -1;
    REFUSED(attune_schedule_create(run.plan, &options, &schedule), ATTUNE_ERROR_INVALID_SIZE, "max_kv_tokens");
    options.max_kv_tokens = 0;
    if (attune_schedule_create(run.plan, &options, &schedule) != ATTUNE_OK)
        fail_msg("%s", attune_last_error());
    attune_tensor good = ATTUNE_TENSOR_INIT, bad;
    cl_int code;
    good.type = ATTUNE_MEMORY_CL;
    good.cl = clCreateBuffer(attune_context_cl(context), CL_MEM_READ_WRITE, 8, NULL, &code);
#define UPDATE(q, kv) attune_schedule_update_device(schedule, run.queue, 2, (q), (kv), 0, NULL, NULL)
    REFUSED(attune_schedule_update_device(NULL, run.queue, 2, &good, &good, 0, NULL, NULL), ATTUNE_ERROR_NULL_ARGUMENT,
            "schedule");
    REFUSED(attune_schedule_update_device(schedule, NULL, 2, &good, &good, 0, NULL, NULL), ATTUNE_ERROR_NULL_ARGUMENT,
            "queue");
    REFUSED(attune_schedule_update_device(schedule, run.queue, 2, &good, &good, 1, NULL, NULL),
            ATTUNE_ERROR_NULL_ARGUMENT, "wait");
    REFUSED(attune_schedule_update_device(schedule, run.queue, 3, &good, &good, 0, NULL, NULL),
            ATTUNE_ERROR_INVALID_SIZE, "max_batch");
    REFUSED(attune_schedule_update_device(run.schedule, run.queue, 2, &good, &good, 0, NULL, NULL),
            ATTUNE_ERROR_MISMATCH, "device_lengths");
    REFUSED(UPDATE(NULL, &good), ATTUNE_ERROR_NULL_ARGUMENT, "q_len");
    REFUSED(UPDATE(&good, NULL), ATTUNE_ERROR_NULL_ARGUMENT, "kv_len");
    bad = (attune_tensor)ATTUNE_TENSOR_INIT;
    REFUSED(UPDATE(&bad, &good), ATTUNE_ERROR_MISSING_TENSOR, "q_len");
    bad = good;
    bad.byte_offset = 4;
    REFUSED(UPDATE(&good, &bad), ATTUNE_ERROR_BUFFER_TOO_SMALL, "kv_len");
    bad.byte_offset = 2;
    REFUSED(UPDATE(&bad, &good), ATTUNE_ERROR_OFFSET, "q_len");
    attune_context *other = check_context("cpu");
    bad = good;
    bad.cl = clCreateBuffer(attune_context_cl(other), CL_MEM_READ_WRITE, 8, NULL, &code);
    REFUSED(UPDATE(&bad, &good), ATTUNE_ERROR_WRONG_CONTEXT, "q_len");
    cl_command_queue queue = clCreateCommandQueue(attune_context_cl(other), attune_context_device(other), 0, &code);
    REFUSED(attune_schedule_update_device(schedule, queue, 2, &good, &good, 0, NULL, NULL), ATTUNE_ERROR_WRONG_CONTEXT,
            "queue");
#undef UPDATE
    /* The list is missing as before: nothing was enqueued. */
    REFUSED(attune_attention_run(run.launcher, schedule, &run.device.args, run.queue, 0, NULL, NULL),
            ATTUNE_ERROR_MISMATCH, "attune_schedule_update");
    clReleaseCommandQueue(queue);
    clReleaseMemObject(bad.cl);
    clReleaseMemObject(good.cl);
    attune_context_destroy(&other);
    attune_schedule_destroy(&schedule);
}

static attune_status run_with(const attune_attention_args *args)
{
    return attune_attention_run(run.launcher, run.schedule, args, run.queue, 0, NULL, NULL);
}

#define RUN_REFUSED(member, value, status, word)      \
    do {                                              \
        attune_attention_args args = run.device.args; \
        args.member = (value);                        \
        REFUSED(run_with(&args), status, word);       \
    } while (0)

static void tensors(void **state)
{
    (void)state;
    assert_int_equal(check_run_enqueue(&run, 1), ATTUNE_OK);
    clFinish(run.queue);
    assert_int_equal(workload_device_poison(&run.device, run.queue, 2), ATTUNE_OK);
    RUN_REFUSED(size, 0, ATTUNE_ERROR_STRUCT_SIZE, "size");
    RUN_REFUSED(q.type, ATTUNE_MEMORY_NONE, ATTUNE_ERROR_MISSING_TENSOR, "q ");
    RUN_REFUSED(o.type, ATTUNE_MEMORY_NONE, ATTUNE_ERROR_MISSING_TENSOR, "o ");
    RUN_REFUSED(k.type, ATTUNE_MEMORY_NONE, ATTUNE_ERROR_MISSING_TENSOR, "k ");
    RUN_REFUSED(v_cache.type, ATTUNE_MEMORY_NONE, ATTUNE_ERROR_MISSING_TENSOR, "v_cache");
    RUN_REFUSED(kv_indptr.type, ATTUNE_MEMORY_NONE, ATTUNE_ERROR_MISSING_TENSOR, "kv_indptr");
    RUN_REFUSED(kv_indices.type, ATTUNE_MEMORY_NONE, ATTUNE_ERROR_MISSING_TENSOR, "kv_indices");
    RUN_REFUSED(q.type, (attune_memory_type)5, ATTUNE_ERROR_UNSUPPORTED, "q.type");
    RUN_REFUSED(q.cl, NULL, ATTUNE_ERROR_NULL_ARGUMENT, "q.cl");
    RUN_REFUSED(q.byte_offset, 3, ATTUNE_ERROR_OFFSET, "q.byte_offset");
    RUN_REFUSED(v.byte_offset, (size_t)1 << 40, ATTUNE_ERROR_OFFSET, "v.byte_offset");
    RUN_REFUSED(k.byte_offset, 4, ATTUNE_ERROR_BUFFER_TOO_SMALL, "k ");
    RUN_REFUSED(k_cache.byte_offset, 256, ATTUNE_ERROR_BUFFER_TOO_SMALL, "k_cache");
    RUN_REFUSED(kv_indices.byte_offset, 4, ATTUNE_ERROR_BUFFER_TOO_SMALL, "kv_indices");
    RUN_REFUSED(q.stride_token, 1 << 20, ATTUNE_ERROR_BUFFER_TOO_SMALL, "q ");
    RUN_REFUSED(q.stride_head, -64, ATTUNE_ERROR_STRIDE, "q ");
    RUN_REFUSED(q.stride_token, INT64_MAX, ATTUNE_ERROR_OVERFLOW, "q ");
    RUN_REFUSED(o.stride_head, 32, ATTUNE_ERROR_STRIDE, "o ");
    RUN_REFUSED(lse.stride_token, 1, ATTUNE_ERROR_STRIDE, "lse");
    attune_context *other = check_context("cpu");
    cl_int code;
    cl_mem foreign = clCreateBuffer(attune_context_cl(other), CL_MEM_READ_WRITE, 1 << 20, NULL, &code);
    cl_command_queue queue = clCreateCommandQueue(attune_context_cl(other), attune_context_device(other), 0, &code);
    RUN_REFUSED(v.cl, foreign, ATTUNE_ERROR_WRONG_CONTEXT, "v ");
    REFUSED(attune_attention_run(run.launcher, run.schedule, &run.device.args, queue, 0, NULL, NULL),
            ATTUNE_ERROR_WRONG_CONTEXT, "queue");
    clReleaseCommandQueue(queue);
    clReleaseMemObject(foreign);
    attune_context_destroy(&other);
    REFUSED(run_with(NULL), ATTUNE_ERROR_NULL_ARGUMENT, "args");
    /* Nothing was enqueued: the outputs are as the poison left them. */
    clFinish(run.queue);
    assert_int_equal(check_run_compare(&run, 2), ATTUNE_ERROR_NOT_VERIFIED);
    assert_int_equal(check_run_enqueue(&run, 3), ATTUNE_OK);
    assert_int_equal(check_run_compare(&run, 3), ATTUNE_OK);
}

static cl_mem sub_buffer(cl_mem parent, size_t origin, size_t size)
{
    cl_int code;
    const cl_buffer_region region = {origin, size};
    cl_mem sub = clCreateSubBuffer(parent, CL_MEM_READ_WRITE, CL_BUFFER_CREATE_TYPE_REGION, &region, &code);
    assert_int_equal(code, CL_SUCCESS);
    return sub;
}

/* What is written over what is read, by every way in which memory can be named twice. */
static void outputs_over_other_tensors(void **state)
{
    (void)state;
    const attune_attention_args good = run.device.args;
    attune_tensor arena_at = ATTUNE_TENSOR_INIT, over;
    cl_int code;
    cl_mem arena = clCreateBuffer(attune_context_cl(context), CL_MEM_READ_WRITE, 1 << 20, NULL, &code);
    arena_at.type = ATTUNE_MEMORY_CL;
    arena_at.cl = arena;
    assert_int_equal(check_run_enqueue(&run, 1), ATTUNE_OK);
    assert_int_equal(workload_device_poison(&run.device, run.queue, 2), ATTUNE_OK);
    attune_attention_args args = good;
    args.o = arena_at;
    const struct {
        attune_tensor *input;
        const char *word;
    } inputs[] = {{&args.q, "o overlaps q"},
                  {&args.k, "o overlaps k"},
                  {&args.v, "o overlaps v"},
                  {&args.lse, "lse overlaps o"},
                  {&args.k_cache, "o overlaps k_cache"},
                  {&args.v_cache, "o overlaps v_cache"},
                  {&args.kv_indptr, "o overlaps kv_indptr"},
                  {&args.kv_indices, "o overlaps kv_indices"}};
    for (size_t i = 0; i < sizeof inputs / sizeof inputs[0]; i++) {
        attune_tensor as_it_was = *inputs[i].input;
        *inputs[i].input = arena_at;
        REFUSED(run_with(&args), ATTUNE_ERROR_OVERLAP, inputs[i].word);
        *inputs[i].input = as_it_was;
    }
    size_t bytes = 6 * 4 * 64 * sizeof(float); /* of q and of o */
    cl_mem front = sub_buffer(arena, 0, bytes), back = sub_buffer(arena, bytes / 2, bytes);
    args.q.cl = args.o.cl = arena;
    args.o.byte_offset = bytes - 4;
    REFUSED(run_with(&args), ATTUNE_ERROR_OVERLAP, "o overlaps q");
    args.o.cl = back, args.o.byte_offset = 0;
    REFUSED(run_with(&args), ATTUNE_ERROR_OVERLAP, "o overlaps q");
    args.q.cl = front;
    REFUSED(run_with(&args), ATTUNE_ERROR_OVERLAP, "o overlaps q");
    void *host = clSVMAlloc(attune_context_cl(context), CL_MEM_READ_WRITE, 4 * bytes, 0);
    assert_non_null(host);
    cl_mem low = clCreateBuffer(attune_context_cl(context), CL_MEM_USE_HOST_PTR, 2 * bytes, host, &code);
    cl_mem high =
        clCreateBuffer(attune_context_cl(context), CL_MEM_USE_HOST_PTR, bytes, (char *)host + bytes / 2, &code);
    args.q.cl = low, args.o.cl = high;
    REFUSED(run_with(&args), ATTUNE_ERROR_OVERLAP, "o overlaps q");
    over = (attune_tensor){.type = ATTUNE_MEMORY_SVM, .svm = host};
    args.q = over;
    args.o.cl = low;
    REFUSED(run_with(&args), ATTUNE_ERROR_OVERLAP, "o overlaps q");
    clFinish(run.queue);
    cl_mem all[] = {low, high, front, back, arena};
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++)
        clReleaseMemObject(all[i]);
    clSVMFree(attune_context_cl(context), host);
    assert_int_equal(check_run_enqueue(&run, 3), ATTUNE_OK);
    assert_int_equal(check_run_compare(&run, 3), ATTUNE_OK);
}

/* Q and O in one buffer, side by side in each token: the bytes between the first and the last of both are the same. */
static void outputs_may_interleave(void **state)
{
    (void)state;
    const attune_attention_args good = run.device.args;
    size_t row = 4 * 64 * sizeof(float), rows = 6;
    cl_int code;
    cl_mem arena = clCreateBuffer(attune_context_cl(context), CL_MEM_READ_WRITE, 2 * rows * row, NULL, &code);
    attune_attention_args args = good;
    args.q.cl = args.o.cl = arena;
    args.q.stride_token = args.o.stride_token = 2 * 4 * 64;
    args.o.byte_offset = row;
    assert_int_equal(check_run_enqueue(&run, 1), ATTUNE_OK);
    assert_int_equal(workload_device_poison(&run.device, run.queue, 2), ATTUNE_OK);
    for (size_t i = 0; i < rows; i++)
        clEnqueueCopyBuffer(run.queue, good.q.cl, arena, good.q.byte_offset + i * row, 2 * i * row, row, 0, NULL, NULL);
    if (run_with(&args) != ATTUNE_OK)
        fail_msg("%s", attune_last_error());
    for (size_t i = 0; i < rows; i++)
        clEnqueueCopyBuffer(run.queue, arena, good.o.cl, (2 * i + 1) * row, good.o.byte_offset + i * row, row, 0, NULL,
                            NULL);
    clFinish(run.queue);
    assert_int_equal(check_run_compare(&run, 2), ATTUNE_OK);
    args.o.byte_offset = row - 4;
    REFUSED(run_with(&args), ATTUNE_ERROR_OVERLAP, "o overlaps q");
    clReleaseMemObject(arena);
}

static void images(void **state)
{
    (void)state;
    const cl_image_format format = {CL_RGBA, CL_FLOAT};
    const cl_image_desc desc = {.image_type = CL_MEM_OBJECT_IMAGE2D, .image_width = 64, .image_height = 64};
    cl_int code;
    cl_mem image = clCreateImage(attune_context_cl(context), CL_MEM_READ_WRITE, &format, &desc, NULL, &code);
    if (code != CL_SUCCESS) {
        print_message("left out: this driver makes no image (%d)\n", (int)code);
        skip();
    }
    RUN_REFUSED(q.cl, image, ATTUNE_ERROR_UNSUPPORTED, "q.cl is an image");
    RUN_REFUSED(o.cl, image, ATTUNE_ERROR_UNSUPPORTED, "o.cl is an image");
    RUN_REFUSED(kv_indices.cl, image, ATTUNE_ERROR_UNSUPPORTED, "kv_indices.cl is an image");
    clReleaseMemObject(image);
}

static void plan_and_schedule_must_belong_together(void **state)
{
    (void)state;
    attune_plan_options options = ATTUNE_PLAN_OPTIONS_INIT;
    options.force_config = "plain_row:WG_SIZE=64";
    struct workload_options workload = WORKLOAD_OPTIONS_INIT;
    struct check_run other;
    assert_int_equal(check_run_create(context, problem, &options, &workload, &other), ATTUNE_OK);
    REFUSED(attune_attention_run(run.launcher, other.schedule, &run.device.args, run.queue, 0, NULL, NULL),
            ATTUNE_ERROR_MISMATCH, "schedule");
    REFUSED(attune_attention_run(other.launcher, other.schedule, &other.device.args, other.queue, 0, NULL, NULL),
            ATTUNE_ERROR_MISMATCH, "attune_schedule_update");
    size_t bytes;
    REFUSED(attune_plan_workspace_size(run.plan, other.schedule, &bytes), ATTUNE_ERROR_MISMATCH, "schedule");
    check_run_destroy(&other);
}

/* One name, but tiles of 64 queries at head dim 64 and of 32 at 192. */
static void equal_names_may_have_other_tiles(void **state)
{
    (void)state;
    attune_plan_options options = ATTUNE_PLAN_OPTIONS_INIT;
    options.force_config = "extend_fixed_tile";
    attune_attention_desc desc = ATTUNE_ATTENTION_DESC_INIT;
    desc.num_q_heads = desc.num_kv_heads = 2;
    attune_plan *plans[2];
    for (int i = 0; i < 2; i++) {
        desc.head_dim_qk = i ? 192 : 64;
        attune_status status = attune_plan_create(context, &desc, NULL, &options, &plans[i]);
        if (status == ATTUNE_ERROR_UNSUPPORTED) { /* as on the scripted driver: too little local memory */
            print_message("left out: %s\n", attune_last_error());
            if (i)
                attune_plan_destroy(&plans[0]);
            skip();
        }
        assert_int_equal(status, ATTUNE_OK);
    }
    attune_schedule_options limits = ATTUNE_SCHEDULE_OPTIONS_INIT;
    limits.max_batch = 1;
    limits.max_q_tokens = 64;
    attune_schedule *schedule;
    size_t bytes;
    assert_int_equal(attune_schedule_create(plans[0], &limits, &schedule), ATTUNE_OK);
    assert_int_equal(attune_plan_workspace_size(plans[0], schedule, &bytes), ATTUNE_OK);
    REFUSED(attune_plan_workspace_size(plans[1], schedule, &bytes), ATTUNE_ERROR_MISMATCH, "schedule");
    attune_schedule_destroy(&schedule);
    for (int i = 0; i < 2; i++)
        attune_plan_destroy(&plans[i]);
}

static void contexts(void **state)
{
    (void)state;
    attune_context *out;
    attune_context_options options = ATTUNE_CONTEXT_OPTIONS_INIT;
    options.backend = "tpu";
    REFUSED(attune_context_create(&out, &options), ATTUNE_ERROR_ENUM, "tpu");
    options = (attune_context_options)ATTUNE_CONTEXT_OPTIONS_INIT;
    options.backend = "cpu";
    options.device = "no such device";
    REFUSED(attune_context_create(&out, &options), ATTUNE_ERROR_NO_DEVICE, "no such device");
    options.size = 8;
    REFUSED(attune_context_create(&out, &options), ATTUNE_ERROR_STRUCT_SIZE, "options");
    REFUSED(attune_context_create(NULL, NULL), ATTUNE_ERROR_NULL_ARGUMENT, "out");
    REFUSED(attune_context_adopt(&out, NULL, NULL, NULL), ATTUNE_ERROR_NULL_ARGUMENT, "cl");
    cl_device_id sub[2];
    const cl_device_partition_property halves[] = {CL_DEVICE_PARTITION_EQUALLY, 1, 0};
    cl_uint count = 0;
    cl_int code = clCreateSubDevices(attune_context_device(context), halves, 2, sub, &count);
    if (code == CL_SUCCESS) {
        cl_context cl = clCreateContext(NULL, 1, sub, NULL, NULL, &code);
        REFUSED(attune_context_adopt(&out, cl, sub[0], NULL), ATTUNE_ERROR_UNSUPPORTED, "sub-device");
        clReleaseContext(cl);
        for (cl_uint i = 0; i < count; i++)
            clReleaseDevice(sub[i]);
    }
    struct { /* a newer program's larger struct: unknown zeros are fine, anything else is not */
        attune_context_options known;
        int unknown;
    } larger = {.known = ATTUNE_CONTEXT_OPTIONS_INIT};
    larger.known.size = sizeof larger;
    larger.known.backend = "cpu";
    larger.known.cache_dir = "";
    assert_int_equal(attune_context_create(&out, &larger.known), ATTUNE_OK);
    attune_context_destroy(&out);
    larger.unknown = 1;
    REFUSED(attune_context_create(&out, &larger.known), ATTUNE_ERROR_STRUCT_SIZE, "options");
    assert_null(out);
    attune_context_destroy(&out);
    attune_context_destroy(NULL);
}

static int set_up(void **state)
{
    (void)state;
    context = check_context("cpu");
    attune_plan_options plan_options = ATTUNE_PLAN_OPTIONS_INIT;
    plan_options.force_config = "plain_row:WG_SIZE=32"; /* small tiles: a work list can be made to overflow */
    struct workload_options options = WORKLOAD_OPTIONS_INIT;
    return check_run_create(context, problem, &plan_options, &options, &run) == ATTUNE_OK ? 0 : -1;
}

static int tear_down(void **state)
{
    (void)state;
    check_run_destroy(&run);
    attune_context_destroy(&context);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(descriptors),
        cmocka_unit_test(plan_options),
        cmocka_unit_test(layouts),
        cmocka_unit_test(schedules),
        cmocka_unit_test(schedules_from_device_lengths),
        cmocka_unit_test(tensors),
        cmocka_unit_test(outputs_over_other_tensors),
        cmocka_unit_test(outputs_may_interleave),
        cmocka_unit_test(images),
        cmocka_unit_test(plan_and_schedule_must_belong_together),
        cmocka_unit_test(equal_names_may_have_other_tiles),
        cmocka_unit_test(contexts),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
