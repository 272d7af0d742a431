/* SPDX-License-Identifier: Apache-2.0
 * How a run takes KV caches and page tables: buffers and shared virtual memory, CSR and block tables; what does not fit
 * is refused by name with nothing enqueued.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "check.h"
#include "context.h"

static attune_context *context;
/* The same problem with CSR and with a block table. Sequences have 3, 0 and 2 pages. */
static struct check_run csr, table;

static const char csr_problem[] = "extend:hq=4,hkv=2,d=64,page=16,prefix=33/0/17,new=4/2/1";
static const char table_problem[] = "extend:hq=4,hkv=2,d=64,page=16,table=1,prefix=33/0/17,new=4/2/1";

static void refused(attune_status got, attune_status expected, const char *word, const char *what)
{
    if (got != expected)
        fail_msg("%s: %s, not %s (%s)", what, attune_status_name(got), attune_status_name(expected),
                 attune_last_error());
    if (!strstr(attune_last_error(), word))
        fail_msg("%s: \"%s\" does not name \"%s\"", what, attune_last_error(), word);
}

static attune_status run_with(struct check_run *run, const attune_attention_args *args)
{
    return attune_attention_run(run->launcher, run->schedule, args, run->queue, 0, NULL, NULL);
}

#define RUN_REFUSED(run, member, value, status, word)                                 \
    do {                                                                              \
        attune_attention_args args = (run).device.args;                               \
        args.member = (value);                                                        \
        refused(run_with(&(run), &args), status, word, #run ": " #member "=" #value); \
    } while (0)

static void expect_ok(attune_status status)
{
    if (status != ATTUNE_OK)
        fail_msg("%s: %s", attune_status_name(status), attune_last_error());
}

/* Whatever was refused since poison was written has left no trace; the good run passes. */
static void expect_untouched(struct check_run *run, uint64_t poison)
{
    clFinish(run->queue);
    assert_int_equal(check_run_compare(run, poison), ATTUNE_ERROR_NOT_VERIFIED);
    expect_ok(run_with(run, &run->device.args));
    expect_ok(check_run_compare(run, poison));
}

static void start(struct check_run *run, uint64_t poison)
{
    expect_ok(check_run_enqueue(run, poison));
    expect_ok(check_run_compare(run, poison));
    expect_ok(workload_device_poison(&run->device, run->queue, poison));
}

static void csr_tables(void **state)
{
    (void)state;
    start(&csr, 2);
    RUN_REFUSED(csr, kv_indptr.type, ATTUNE_MEMORY_NONE, ATTUNE_ERROR_MISSING_TENSOR, "kv_indptr");
    RUN_REFUSED(csr, kv_indices.type, ATTUNE_MEMORY_NONE, ATTUNE_ERROR_MISSING_TENSOR, "kv_indices");
    RUN_REFUSED(csr, kv_indptr.byte_offset, 2, ATTUNE_ERROR_OFFSET, "kv_indptr.byte_offset");
    RUN_REFUSED(csr, kv_indptr.byte_offset, 4, ATTUNE_ERROR_BUFFER_TOO_SMALL, "kv_indptr");
    RUN_REFUSED(csr, kv_indices.byte_offset, 4, ATTUNE_ERROR_BUFFER_TOO_SMALL, "kv_indices");
    RUN_REFUSED(csr, kv_indices.byte_offset, 1 << 20, ATTUNE_ERROR_OFFSET, "kv_indices");
    RUN_REFUSED(csr, kv_indptr.stride_token, 2, ATTUNE_ERROR_STRIDE, "kv_indptr.stride_token");
    RUN_REFUSED(csr, kv_indices.stride_token, -1, ATTUNE_ERROR_STRIDE, "kv_indices.stride_token");
    RUN_REFUSED(csr, kv_indices.type, (attune_memory_type)3, ATTUNE_ERROR_UNSUPPORTED, "kv_indices.type");
    RUN_REFUSED(csr, kv_indptr.cl, NULL, ATTUNE_ERROR_NULL_ARGUMENT, "kv_indptr.cl");
    RUN_REFUSED(csr, block_table, csr.device.args.kv_indices, ATTUNE_ERROR_MISMATCH, "block_table");
    expect_untouched(&csr, 2);
}

static void block_tables(void **state)
{
    (void)state;
    start(&table, 3);
    RUN_REFUSED(table, block_table.type, ATTUNE_MEMORY_NONE, ATTUNE_ERROR_MISSING_TENSOR, "kv_indptr");
    RUN_REFUSED(table, kv_indptr, csr.device.args.kv_indptr, ATTUNE_ERROR_MISMATCH, "block_table");
    RUN_REFUSED(table, kv_indices, csr.device.args.kv_indices, ATTUNE_ERROR_MISMATCH, "block_table");
    RUN_REFUSED(table, block_table.stride_token, 0, ATTUNE_ERROR_STRIDE, "block_table.stride_token");
    RUN_REFUSED(table, block_table.stride_token, 2, ATTUNE_ERROR_STRIDE, "block_table.stride_token");
    RUN_REFUSED(table, block_table.stride_token, -6, ATTUNE_ERROR_STRIDE, "block_table.stride_token");
    RUN_REFUSED(table, block_table.stride_token, INT64_MAX, ATTUNE_ERROR_OVERFLOW, "block_table");
    RUN_REFUSED(table, block_table.stride_token, (int64_t)1 << 32, ATTUNE_ERROR_BUFFER_TOO_SMALL, "block_table");
    RUN_REFUSED(table, block_table.byte_offset, 2, ATTUNE_ERROR_OFFSET, "block_table");
    RUN_REFUSED(table, block_table.byte_offset, 16, ATTUNE_ERROR_BUFFER_TOO_SMALL, "block_table");
    expect_untouched(&table, 3);
}

static void caches(void **state)
{
    (void)state;
    start(&csr, 4);
    RUN_REFUSED(csr, k_cache.type, ATTUNE_MEMORY_NONE, ATTUNE_ERROR_MISSING_TENSOR, "k_cache");
    RUN_REFUSED(csr, v_cache.byte_offset, 256, ATTUNE_ERROR_BUFFER_TOO_SMALL, "v_cache");
    RUN_REFUSED(csr, v_cache.byte_offset, 2, ATTUNE_ERROR_OFFSET, "v_cache");
    RUN_REFUSED(csr, k_cache.cl, csr.device.args.kv_indptr.cl, ATTUNE_ERROR_BUFFER_TOO_SMALL, "k_cache");
    RUN_REFUSED(csr, k_cache.stride_token, 127, ATTUNE_ERROR_MISMATCH, "k_cache");
    RUN_REFUSED(csr, v_cache.stride_head, 65, ATTUNE_ERROR_MISMATCH, "v_cache");
    RUN_REFUSED(csr, v_cache.stride_head, -64, ATTUNE_ERROR_MISMATCH, "v_cache");
    attune_context *other = check_context("cpu");
    cl_int code;
    cl_mem foreign = clCreateBuffer(attune_context_cl(other), CL_MEM_READ_WRITE, 1 << 20, NULL, &code);
    RUN_REFUSED(csr, k_cache.cl, foreign, ATTUNE_ERROR_WRONG_CONTEXT, "k_cache");
    RUN_REFUSED(csr, kv_indices.cl, foreign, ATTUNE_ERROR_WRONG_CONTEXT, "kv_indices");
    clReleaseMemObject(foreign);
    attune_context_destroy(&other);
    expect_untouched(&csr, 4);
    attune_attention_args same = csr.device.args; /* the layout's own strides may be said */
    same.k_cache.stride_token = 128;
    same.k_cache.stride_head = 64;
    expect_ok(run_with(&csr, &same));
}

/* Slots may be strided by the tensor itself. */
static void slots(void **state)
{
    (void)state;
    struct check_run run;
    attune_plan_options plan_options = ATTUNE_PLAN_OPTIONS_INIT;
    plan_options.force_config = "plain_row:WG_SIZE=32";
    struct workload_options options = WORKLOAD_OPTIONS_INIT;
    options.pad = 4;
    expect_ok(check_run_create(context, "decode:hq=2,hkv=2,d=64,page=1,kvlen=9/0/4", &plan_options, &options, &run));
    start(&run, 5);
    RUN_REFUSED(run, k_cache.stride_token, 1 << 20, ATTUNE_ERROR_BUFFER_TOO_SMALL, "k_cache");
    RUN_REFUSED(run, k_cache.stride_token, -132, ATTUNE_ERROR_STRIDE, "k_cache");
    RUN_REFUSED(run, v_cache.stride_head, INT64_MAX, ATTUNE_ERROR_OVERFLOW, "v_cache");
    expect_untouched(&run, 5);
    check_run_destroy(&run);
}

/* A plan whose layout holds fewer pages than the schedule's longest sequence has. */
static void more_keys_than_slots(void **state)
{
    (void)state;
    start(&csr, 6);
    attune_kv_layout_options options = problem_layout(csr.problem, 2 * 16); /* sequence 0 has 3 pages */
    attune_plan_options plan_options = ATTUNE_PLAN_OPTIONS_INIT;
    plan_options.force_config = "plain_row:WG_SIZE=32";
    attune_kv_layout *layout;
    attune_plan *plan;
    attune_launcher *launcher;
    expect_ok(attune_kv_layout_create(context, &options, &layout));
    expect_ok(attune_plan_create(context, &csr.problem->desc, layout, &plan_options, &plan));
    expect_ok(attune_launcher_create(plan, &launcher));
    refused(attune_attention_run(launcher, csr.schedule, &csr.device.args, csr.queue, 0, NULL, NULL),
            ATTUNE_ERROR_INVALID_SIZE, "num_slots", "a schedule with 3 pages on a layout of 2");
    attune_launcher_destroy(&launcher);
    attune_plan_destroy(&plan);
    attune_kv_layout_destroy(&layout);
    expect_untouched(&csr, 6);
}

/* Page tables of one page size, plan and layout of another. */
static void schedule_of_another_page_size(void **state)
{
    (void)state;
    struct check_run run;
    attune_plan_options plan_options = ATTUNE_PLAN_OPTIONS_INIT;
    plan_options.force_config = "plain_row:WG_SIZE=32";
    struct workload_options options = WORKLOAD_OPTIONS_INIT;
    expect_ok(check_run_create(context, "extend:hq=4,hkv=2,d=64,page=8,prefix=33/0/17,new=4/2/1", &plan_options,
                               &options, &run));
    start(&run, 7);
    refused(attune_attention_run(run.launcher, csr.schedule, &run.device.args, run.queue, 0, NULL, NULL),
            ATTUNE_ERROR_MISMATCH, "schedule", "a schedule for pages of 16 tokens on a plan for 8");
    expect_untouched(&run, 7);
    check_run_destroy(&run);
}

/* Copies a buffer's bytes into shared virtual memory and points the tensor there. */
static void move_to_svm(attune_tensor *tensor, cl_command_queue queue)
{
    size_t bytes;
    if (tensor->type == ATTUNE_MEMORY_NONE)
        return;
    assert_int_equal(clGetMemObjectInfo(tensor->cl, CL_MEM_SIZE, sizeof bytes, &bytes, NULL), CL_SUCCESS);
    tensor->svm = clSVMAlloc(attune_context_cl(context), CL_MEM_READ_WRITE, bytes, 0);
    assert_non_null(tensor->svm);
    assert_int_equal(clEnqueueSVMMap(queue, CL_TRUE, CL_MAP_WRITE, tensor->svm, bytes, 0, NULL, NULL), CL_SUCCESS);
    assert_int_equal(clEnqueueReadBuffer(queue, tensor->cl, CL_TRUE, 0, bytes, tensor->svm, 0, NULL, NULL), CL_SUCCESS);
    assert_int_equal(clEnqueueSVMUnmap(queue, tensor->svm, 0, NULL, NULL), CL_SUCCESS);
    tensor->type = ATTUNE_MEMORY_SVM;
    tensor->cl = NULL;
}

static void inputs_in_shared_virtual_memory(void **state)
{
    (void)state;
    if (!context->choice.device.coarse_svm && !context->choice.device.fine_svm)
        skip();
    struct check_run *const runs[] = {&csr, &table};
    for (int i = 0; i < 2; i++) {
        attune_attention_args args = runs[i]->device.args;
        attune_tensor *const tensors[] = {&args.q,       &args.k,         &args.v,          &args.k_cache,
                                          &args.v_cache, &args.kv_indptr, &args.kv_indices, &args.block_table};
        enum { COUNT = sizeof tensors / sizeof tensors[0] };
        start(runs[i], 8);
        for (int t = 0; t < COUNT; t++)
            move_to_svm(tensors[t], runs[i]->queue);
        expect_ok(run_with(runs[i], &args));
        expect_ok(check_run_compare(runs[i], 8));
        args.q.byte_offset = 2;
        refused(run_with(runs[i], &args), ATTUNE_ERROR_OFFSET, "q.byte_offset", "an SVM offset");
        args.q.byte_offset = 0;
        void *q = args.q.svm;
        args.q.svm = NULL;
        refused(run_with(runs[i], &args), ATTUNE_ERROR_NULL_ARGUMENT, "q.svm", "no SVM pointer");
        args.q.svm = q;
        clFinish(runs[i]->queue);
        for (int t = 0; t < COUNT; t++)
            if (tensors[t]->svm)
                clSVMFree(attune_context_cl(context), tensors[t]->svm);
    }
}

/* Updates while copies are in flight: one may be, the next is BUSY and changes nothing. */
static void a_busy_schedule_says_so(void **state)
{
    (void)state;
    cl_int code;
    cl_event gate = clCreateUserEvent(attune_context_cl(context), &code), done;
    const attune_problem *p = csr.problem;
    start(&csr, 9);
    cl_command_queue queue = clCreateCommandQueue(attune_context_cl(context), attune_context_device(context),
                                                  CL_QUEUE_OUT_OF_ORDER_EXEC_MODE_ENABLE, &code);
    assert_int_equal(code, CL_SUCCESS);
#define UPDATE(num_wait, wait, event) \
    attune_schedule_update(csr.schedule, queue, p->batch, p->q_len, p->kv_len, num_wait, wait, event)
    expect_ok(UPDATE(1, &gate, NULL));
    expect_ok(UPDATE(1, &gate, &done));
    refused(UPDATE(0, NULL, NULL), ATTUNE_ERROR_BUSY, "schedule", "a third update");
    clSetUserEventStatus(gate, CL_COMPLETE);
    clWaitForEvents(1, &done);
    clFinish(queue);
    expect_untouched(&csr, 9); /* by the second update */
    expect_ok(UPDATE(0, NULL, NULL));
#undef UPDATE
    clFinish(queue);
    clReleaseEvent(gate);
    clReleaseEvent(done);
    clReleaseCommandQueue(queue);
}

static int set_up(void **state)
{
    (void)state;
    context = check_context("cpu");
    attune_plan_options plan_options = ATTUNE_PLAN_OPTIONS_INIT;
    plan_options.force_config = "plain_row:WG_SIZE=32";
    struct workload_options options = WORKLOAD_OPTIONS_INIT;
    options.slack_pages = 0; /* a buffer that begins later is too short */
    return check_run_create(context, csr_problem, &plan_options, &options, &csr) != ATTUNE_OK ||
           check_run_create(context, table_problem, &plan_options, &options, &table) != ATTUNE_OK;
}

static int tear_down(void **state)
{
    (void)state;
    check_run_destroy(&csr);
    check_run_destroy(&table);
    attune_context_destroy(&context);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(csr_tables),
        cmocka_unit_test(block_tables),
        cmocka_unit_test(caches),
        cmocka_unit_test(slots),
        cmocka_unit_test(more_keys_than_slots),
        cmocka_unit_test(schedule_of_another_page_size),
        cmocka_unit_test(inputs_in_shared_virtual_memory),
        cmocka_unit_test(a_busy_schedule_says_so),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
