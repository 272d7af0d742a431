/* SPDX-License-Identifier: Apache-2.0
 * Updates, runs and merges allocate nothing. This program is linked with malloc and its kin wrapped, so that calls from
 * attune and from here are counted, and those of the OpenCL driver are not. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>

#include "base/base.h"
#include "check.h"
#include "context.h"
#include "schedule.h"

static _Atomic int counted; /* the reference has two threads */

void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__real_realloc(void *old, size_t size);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_realloc(void *old, size_t size);

void *__wrap_malloc(size_t size)
{
    counted++;
    return __real_malloc(size);
}

void *__wrap_calloc(size_t count, size_t size)
{
    counted++;
    return __real_calloc(count, size);
}

void *__wrap_realloc(void *old, size_t size)
{
    counted++;
    return __real_realloc(old, size);
}

#define OK(call)                                                                             \
    do {                                                                                     \
        attune_status status_ = (call);                                                      \
        if (status_ != ATTUNE_OK)                                                            \
            fail_msg("%s: %s: %s", #call, attune_status_name(status_), attune_last_error()); \
    } while (0)

static void a_step_allocates_nothing(void **state)
{
    (void)state;
    attune_context *context = check_context("cpu");
    struct check_run run;
    struct workload_options options = WORKLOAD_OPTIONS_INIT;
    attune_plan_options plan_options = ATTUNE_PLAN_OPTIONS_INIT;
    plan_options.force_config = "plain_row";
    OK(check_run_create(context,
                        "extend:hq=4,hkv=2,d=64,q=fp32,kv=fp16,newkv=fp32,page=1,causal=1,prefix=100/3000,new=70/1",
                        &plan_options, &options, &run));
    const attune_problem *problem = run.problem;
    assert_true(counted > 0); /* the wrapping works */
    for (int32_t batch = 2; batch >= 0; batch--) {
        counted = 0;
        OK(attune_schedule_update(run.schedule, run.queue, batch, problem->q_len, problem->kv_len, 0, NULL, NULL));
        OK(attune_attention_run(run.launcher, run.schedule, &run.device.args, run.queue, 0, NULL, NULL));
        const attune_merge_states_args merge = {
            .size = sizeof merge,
            .num_tokens = 1,
            .o_a = run.device.args.o,
            .lse_a = run.device.args.lse,
            .o_b = run.device.args.o,
            .lse_b = run.device.args.lse,
            .o = run.device.args.o,
            .lse = run.device.args.lse,
        };
        OK(attune_merge_states(run.launcher, &merge, run.queue, 0, NULL, NULL));
        assert_int_equal(counted, 0);
        assert_true(batch != 2 || run.schedule->list.merge_rows > 0);
        clFinish(run.queue);
    }
    check_run_destroy(&run);
    attune_context_destroy(&context);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(a_step_allocates_nothing)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
