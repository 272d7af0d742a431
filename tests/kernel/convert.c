/* SPDX-License-Identifier: Apache-2.0
 * EXTEND with new K and V of another type than the cache: converted as an append converts, before they are attended to.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "check.h"
#include "context.h"
#include "device_run.h"
#include "plan.h"
#include "recording.h"
#include "schedule.h"

static attune_context *context;

#define OK(call)                                                                             \
    do {                                                                                     \
        attune_status status_ = (call);                                                      \
        if (status_ != ATTUNE_OK)                                                            \
            fail_msg("%s: %s: %s", #call, attune_status_name(status_), attune_last_error()); \
    } while (0)

static const char mixed[] = "extend:hq=4,hkv=2,d=64,q=fp32,kv=fp16,newkv=fp32,page=16,prefix=0/100/0/31,new=1/16/0/70";

/* Against the oracle, which reads new rows as they are in the cache's type. */
static void every_pair_of_types(void **state)
{
    (void)state;
    static const struct {
        const char *fields, *config;
    } cases[] = {
        {"d=64,q=fp32,kv=fp16,newkv=fp32,page=16,prefix=0/100/0/31,new=1/16/0/70", NULL},
        {"d=64,q=fp32,kv=bf16,newkv=fp32,prec=fast,page=1,prefix=40/3,new=5/90", NULL},
        {"d=24,dv=40,q=bf16,kv=fp32,newkv=bf16,page=3,order=hnd,prefix=10/3,new=5/20", "plain_row"},
        {"d=36,dv=12,q=fp16,kv=bf16,newkv=fp16,page=4,table=1,prefix=0/3,new=1/20", "plain_row"},
        {"d=64,q=fp32,kv=fp16,newkv=bf16,page=16,prefix=3000/2,new=2/1", "plain_row:WG_SIZE=32"}, /* split keys */
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char text[200];
        struct workload_options options = WORKLOAD_OPTIONS_INIT;
        snprintf(text, sizeof text, "extend:hq=4,hkv=2,%s", cases[i].fields);
        options.seed = 1 + i;
        options.pad = i % 2 ? 6 : 0; /* by turns packed, and with strides and offsets */
        options.offset = i % 2 ? 10 : 0;
        const char *wrong = check_problem(context, text, cases[i].config, &options);
        if (wrong)
            fail_msg("%s", wrong);
    }
}

/* On a queue without an order the kernels wait for the rows, and these for the wait list. */
static void conversions_keep_their_place(void **state)
{
    (void)state;
    struct check_run run;
    struct workload_options options = WORKLOAD_OPTIONS_INIT;
    cl_int code;
    OK(check_run_create(context, mixed, NULL, &options, &run));
    cl_command_queue queue = clCreateCommandQueue(attune_context_cl(context), attune_context_device(context),
                                                  CL_QUEUE_OUT_OF_ORDER_EXEC_MODE_ENABLE, &code);
    cl_event gate = clCreateUserEvent(attune_context_cl(context), &code), uploaded, done;
    OK(workload_device_poison(&run.device, run.queue, 9));
    clFinish(run.queue);
    OK(attune_schedule_update(run.schedule, queue, run.problem->batch, run.problem->q_len, run.problem->kv_len, 0, NULL,
                              &uploaded));
    const cl_event wait[] = {gate, uploaded};
    OK(attune_attention_run(run.launcher, run.schedule, &run.device.args, queue, 2, wait, &done));
    clFlush(queue);
    cl_int at = CL_COMPLETE;
    clGetEventInfo(done, CL_EVENT_COMMAND_EXECUTION_STATUS, sizeof at, &at, NULL);
    assert_true(at > CL_COMPLETE);
    clSetUserEventStatus(gate, CL_COMPLETE);
    clWaitForEvents(1, &done);
    OK(check_run_compare(&run, 9));
    clReleaseEvent(gate);
    clReleaseEvent(uploaded);
    clReleaseEvent(done);
    clReleaseCommandQueue(queue);
    check_run_destroy(&run);
}

/* A recorded run converts what lies in K and V when it is replayed. */
static void recordings_convert(void **state)
{
    (void)state;
    for (int command_buffers = 0; command_buffers < 2; command_buffers++) {
        struct device_run d;
        attune_recording *recording;
        OK(device_run_create(context, &d, mixed, NULL, 0));
        struct check_run *run = &d.run;
        attune_recording_options options = ATTUNE_RECORDING_OPTIONS_INIT;
        options.q_len = &d.q_len, options.kv_len = &d.kv_len, options.batch = run->problem->batch;
        OK(recording_create(run->plan, run->schedule, &run->device.args, run->queue, &options, command_buffers,
                            &recording));
        for (uint64_t step = 1; step < 3; step++) {
            OK(workload_device_poison(&run->device, run->queue, step));
            OK(attune_recording_run(recording, run->queue, 0, NULL, NULL));
            OK(check_run_compare(run, step));
        }
        attune_recording_destroy(&recording);
        device_run_destroy(&d);
    }
}

static void refused(attune_status got, attune_status expected, const char *says)
{
    if (got != expected || !strstr(attune_last_error(), says))
        fail_msg("%s: \"%s\" instead of %s with \"%s\"", attune_status_name(got), attune_last_error(),
                 attune_status_name(expected), says);
}

static void bad_input(void **state)
{
    (void)state;
    struct check_run run;
    struct workload_options options = WORKLOAD_OPTIONS_INIT;
    OK(check_run_create(context, mixed, NULL, &options, &run));
    OK(check_run_enqueue(&run, 1));
    attune_attention_args args = run.device.args;
#define RUN() attune_attention_run(run.launcher, run.schedule, &args, run.queue, 0, NULL, NULL)
    args.workspace = (attune_tensor)ATTUNE_TENSOR_INIT;
    refused(RUN(), ATTUNE_ERROR_MISSING_TENSOR, "workspace");
    args = run.device.args;
    cl_int code;
    size_t bytes = 87 * 2 * 64 * sizeof(uint16_t); /* the new rows in the cache's type */
    args.k.cl = clCreateBuffer(attune_context_cl(context), CL_MEM_READ_WRITE, bytes, NULL, &code);
    refused(RUN(), ATTUNE_ERROR_BUFFER_TOO_SMALL, "k needs");
    args.k.stride_token = args.k.stride_head = args.k.byte_offset = 0;
    refused(RUN(), ATTUNE_ERROR_BUFFER_TOO_SMALL, "half of that");
    clReleaseMemObject(args.k.cl);
    args = run.device.args;
    args.k = args.workspace;
    args.k.stride_token = args.k.stride_head = 0;
    refused(RUN(), ATTUNE_ERROR_OVERLAP, "workspace");
#undef RUN
    attune_attention_desc desc = run.problem->desc;
    attune_plan *plan;
    desc.new_kv_dtype = (attune_dtype)9;
    refused(attune_plan_create(context, &desc, run.device.layout, NULL, &plan), ATTUNE_ERROR_DTYPE,
            "new_kv_dtype is 9");
    desc.new_kv_dtype = ATTUNE_FP32;
    desc.operation = ATTUNE_DECODE;
    refused(attune_plan_create(context, &desc, run.device.layout, NULL, &plan), ATTUNE_ERROR_DTYPE, "only extend");
    /* The cache's own type is no other. */
    desc.operation = ATTUNE_EXTEND;
    desc.new_kv_dtype = desc.kv_dtype;
    OK(attune_plan_create(context, &desc, run.device.layout, NULL, &plan));
    assert_null(plan->convert);
    assert_int_equal(plan->desc.new_kv_dtype, 0);
    attune_plan_destroy(&plan);
    clFinish(run.queue);
    check_run_destroy(&run);
}

static int open_context(void **state)
{
    (void)state;
    context = check_context(getenv("TEST_BACKEND") ? getenv("TEST_BACKEND") : "cpu");
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
        cmocka_unit_test(every_pair_of_types),
        cmocka_unit_test(conversions_keep_their_place),
        cmocka_unit_test(recordings_convert),
        cmocka_unit_test(bad_input),
    };
    return cmocka_run_group_tests(tests, open_context, close_context);
}
