/* SPDX-License-Identifier: Apache-2.0
 * Plans, schedules and runs on a real device: what the header promises beside right numbers. */
#define _GNU_SOURCE
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <ftw.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "check.h"
#include "context.h"
#include "plan.h"
#include "schedule.h"

static attune_context *context;
static char compile_cache[] = "/tmp/attune-test-plan-XXXXXX";

#define OK(call)                                                                             \
    do {                                                                                     \
        attune_status status_ = (call);                                                      \
        if (status_ != ATTUNE_OK)                                                            \
            fail_msg("%s: %s: %s", #call, attune_status_name(status_), attune_last_error()); \
    } while (0)

static const char mixed[] = "extend:hq=4,hkv=2,d=64,q=fp32,kv=fp32,prec=strict,page=1,causal=1,"
                            "prefix=0/100/0/31/257/64,new=1/16/0/70/1/128";

/* ---- no compiler after plan creation */

static int objects_seen;

static int count_object(const char *path, const struct stat *info, int type, struct FTW *position)
{
    (void)info;
    (void)position;
    size_t length = strlen(path);
    if (type == FTW_F && length > 3 && !strcmp(path + length - 3, ".so"))
        objects_seen++;
    return 0;
}

static int count_objects(void)
{
    objects_seen = 0;
    nftw(compile_cache, count_object, 16, FTW_PHYS);
    return objects_seen;
}

static void nothing_is_compiled_after_plan_creation(void **state)
{
    (void)state;
    if (!cl_device_is_pocl(&context->choice.device))
        skip();
    struct check_run run;
    struct workload_options options = WORKLOAD_OPTIONS_INIT;
    OK(check_run_create(context, mixed, NULL, &options, &run));
    int before = count_objects();
    assert_true(before > 0);
    OK(check_run_enqueue(&run, 3));
    OK(check_run_compare(&run, 3));
    /* Other lengths, an empty batch, another launcher. */
    int32_t q_len[] = {5, 0}, kv_len[] = {9, 0};
    OK(attune_schedule_update(run.schedule, run.queue, 2, q_len, kv_len, 0, NULL, NULL));
    OK(attune_attention_run(run.launcher, run.schedule, &run.device.args, run.queue, 0, NULL, NULL));
    OK(attune_schedule_update(run.schedule, run.queue, 0, NULL, NULL, 0, NULL, NULL));
    attune_launcher *other;
    OK(attune_launcher_create(run.plan, &other));
    OK(attune_attention_run(other, run.schedule, &run.device.args, run.queue, 0, NULL, NULL));
    clFinish(run.queue);
    attune_launcher_destroy(&other);
    assert_int_equal(count_objects(), before);
    check_run_destroy(&run);
}

/* ---- events */

static void a_run_waits_for_its_events(void **state)
{
    (void)state;
    struct check_run run;
    struct workload_options options = WORKLOAD_OPTIONS_INIT;
    OK(check_run_create(context, mixed, NULL, &options, &run));
    cl_int code;
    cl_command_queue queue = clCreateCommandQueue(attune_context_cl(context), attune_context_device(context),
                                                  CL_QUEUE_OUT_OF_ORDER_EXEC_MODE_ENABLE, &code);
    assert_int_equal(code, CL_SUCCESS);
    cl_event gate = clCreateUserEvent(attune_context_cl(context), &code), uploaded, done;
    OK(workload_device_poison(&run.device, run.queue, 9));
    OK(attune_schedule_update(run.schedule, queue, run.problem->batch, run.problem->q_len, run.problem->kv_len, 0, NULL,
                              &uploaded));
    const cl_event wait[] = {gate, uploaded};
    OK(attune_attention_run(run.launcher, run.schedule, &run.device.args, queue, 2, wait, &done));
    clFlush(queue);
    clWaitForEvents(1, &uploaded);
    cl_int at = CL_COMPLETE;
    clGetEventInfo(done, CL_EVENT_COMMAND_EXECUTION_STATUS, sizeof at, &at, NULL);
    assert_true(at > CL_COMPLETE); /* still behind the gate */
    clSetUserEventStatus(gate, CL_COMPLETE);
    clWaitForEvents(1, &done);
    OK(check_run_compare(&run, 9));
    clReleaseEvent(gate);
    clReleaseEvent(uploaded);
    clReleaseEvent(done);
    clReleaseCommandQueue(queue);
    check_run_destroy(&run);
}

/* ---- threads */

struct thread_run {
    struct check_run run;
    const attune_plan *plan;
    attune_status status;
    char error[512];
};

static void *run_in_thread(void *argument)
{
    struct thread_run *mine = argument;
    for (uint64_t i = 0; i < 20 && mine->status == ATTUNE_OK; i++) {
        mine->status = check_run_enqueue(&mine->run, i);
        if (mine->status == ATTUNE_OK)
            mine->status = check_run_compare(&mine->run, i);
    }
    snprintf(mine->error, sizeof mine->error, "%s", attune_last_error());
    return NULL;
}

static void two_threads_share_a_plan(void **state)
{
    (void)state;
    struct thread_run threads[2] = {0};
    attune_plan *own[2];
    pthread_t ids[2];
    for (int i = 0; i < 2; i++) {
        struct workload_options options = WORKLOAD_OPTIONS_INIT;
        options.seed = 100 + (uint64_t)i;
        OK(check_run_create(context, mixed, NULL, &options, &threads[i].run));
        /* Both launch the first one's plan. */
        own[i] = threads[i].run.plan;
        attune_launcher_destroy(&threads[i].run.launcher);
        OK(attune_launcher_create(own[0], &threads[i].run.launcher));
    }
    for (int i = 0; i < 2; i++)
        assert_int_equal(pthread_create(&ids[i], NULL, run_in_thread, &threads[i]), 0);
    for (int i = 0; i < 2; i++)
        pthread_join(ids[i], NULL);
    for (int i = 0; i < 2; i++)
        if (threads[i].status != ATTUNE_OK)
            fail_msg("thread %d: %s", i, threads[i].error);
    check_run_destroy(&threads[1].run);
    check_run_destroy(&threads[0].run);
}

/* ---- several configurations in one plan */

/* With fixed splits, on a queue that keeps no order. Each sequence gets the configuration of a batch of its own. */
static void merge_waits_for_all_configurations(struct check_run *run)
{
    cl_int code;
    cl_event uploaded, done;
    attune_schedule_options options = check_limits(run->problem);
    options.batch_invariant = 16;
    options.max_kv_len = 327;
    OK(check_run_reschedule(run, &options));
    cl_command_queue queue = clCreateCommandQueue(attune_context_cl(run->context), attune_context_device(run->context),
                                                  CL_QUEUE_OUT_OF_ORDER_EXEC_MODE_ENABLE, &code);
    assert_int_equal(code, CL_SUCCESS);
    for (uint64_t i = 0; i < 5; i++) {
        OK(workload_device_poison(&run->device, run->queue, i));
        OK(attune_schedule_update(run->schedule, queue, run->problem->batch, run->problem->q_len, run->problem->kv_len,
                                  0, NULL, &uploaded));
        OK(attune_attention_run(run->launcher, run->schedule, &run->device.args, queue, 1, &uploaded, &done));
        clFlush(queue);
        clWaitForEvents(1, &done);
        OK(check_run_compare(run, i));
        clReleaseEvent(uploaded);
        clReleaseEvent(done);
    }
    assert_true(!run->schedule->list.items[0] && run->schedule->list.items[1] && run->schedule->list.items[2]);
    assert_true(run->schedule->list.merge_rows > 0);
    clReleaseCommandQueue(queue);
}

static void one_batch_is_split_over_configurations(void **state)
{
    (void)state;
    attune_context *own = check_context("cpu");
    attune_problem *problem;
    OK(attune_problem_parse(mixed, &problem));
    /* The third is for single tokens as the first, but for smaller batches. */
    attune_shape shapes[] = {{problem->batch, 1, 101}, {problem->batch, 128, 192}, {1, 1, 101}};
    static const char *const configs[] = {"plain_row:WG_SIZE=32", "plain_row:WG_SIZE=64", "plain_row:WG_SIZE=128"};
    for (int i = 0; i < 3; i++)
        OK(check_store_entry(own, problem,
                             shape_bucket_uniform(&problem->desc, shapes[i].batch, shapes[i].q_len, shapes[i].kv_len),
                             "slots,nhd,fp32", configs[i]));
    attune_plan_options plan_options = ATTUNE_PLAN_OPTIONS_INIT;
    plan_options.policy = ATTUNE_CACHED_ONLY;
    plan_options.shapes = shapes;
    plan_options.num_shapes = 3;
    struct check_run run;
    struct workload_options options = WORKLOAD_OPTIONS_INIT;
    OK(check_run_create(own, mixed, &plan_options, &options, &run));
    assert_int_equal(attune_plan_num_configs(run.plan), 3);
    assert_string_equal(attune_plan_source(run.plan, 0), "tuned");
    OK(check_run_enqueue(&run, 5));
    OK(check_run_compare(&run, 5));
    assert_true(run.schedule->list.items[0] && run.schedule->list.items[1] && !run.schedule->list.items[2]);
    cl_event event;
    OK(attune_attention_run(run.launcher, run.schedule, &run.device.args, run.queue, 0, NULL, &event));
    assert_int_equal(clWaitForEvents(1, &event), CL_SUCCESS);
    clReleaseEvent(event);
    merge_waits_for_all_configurations(&run);
    /* A shape without an entry is NOT_TUNED under CACHED_ONLY. */
    attune_shape unknown = {1, 3000, 3000};
    plan_options.shapes = &unknown;
    plan_options.num_shapes = 1;
    attune_plan *none;
    assert_int_equal(attune_plan_create(own, &problem->desc, run.device.layout, &plan_options, &none),
                     ATTUNE_ERROR_NOT_TUNED);
    assert_null(none);
    check_run_destroy(&run);
    attune_problem_destroy(&problem);
    attune_context_destroy(&own);
}

/* ---- adopted contexts and host memory */

static void an_adopted_context_runs(void **state)
{
    (void)state;
    attune_context *adopted;
    attune_context_options options = ATTUNE_CONTEXT_OPTIONS_INIT;
    options.cache_dir = "";
    OK(attune_context_adopt(&adopted, attune_context_cl(context), attune_context_device(context), &options));
    attune_attention_desc desc = ATTUNE_ATTENTION_DESC_INIT;
    desc.num_q_heads = desc.num_kv_heads = 1;
    desc.head_dim_qk = 64;
    desc.scale = 1;
    float q[64] = {1}, k[2 * 64] = {0}, v[2 * 64] = {0}, o[64], lse[1];
    k[64] = 1.0986122886681098f; /* ln 3: weights 1/4 and 3/4 */
    v[0] = 4;
    v[64] = 8;
    int32_t q_len = 1, kv_len = 2;
    OK(attune_attention_host(adopted, &desc, 1, &q_len, &kv_len, q, k, v, o, lse));
    assert_true(o[0] > 6.99999f && o[0] < 7.00001f && o[1] == 0);
    assert_true(lse[0] > 1.386293f && lse[0] < 1.386296f); /* ln 4 */
    attune_context_destroy(&adopted);
}

static int open_context(void **state)
{
    (void)state;
    if (!mkdtemp(compile_cache) || setenv("POCL_CACHE_DIR", compile_cache, 1))
        return -1;
    context = check_context("cpu");
    return 0;
}

static int remove_one(const char *path, const struct stat *info, int type, struct FTW *position)
{
    (void)info;
    (void)type;
    (void)position;
    return remove(path);
}

/* A folder's name is none of the compiler's business: spaces, quotes and the like. */
static void kernels_from_a_folder_with_a_space(void **state)
{
    (void)state;
    char folder[] = "/tmp/attune-test kernels' \"of mine\"-XXXXXX", command[512];
    assert_non_null(mkdtemp(folder));
    setenv("ATTUNE_TEST_FOLDER", folder, 1);
    snprintf(command, sizeof command, "cp %s/*.cl %s/*.clh \"$ATTUNE_TEST_FOLDER\"", KERNEL_FOLDER, KERNEL_FOLDER);
    assert_int_equal(system(command), 0);
    setenv("ATTUNE_KERNEL_DIR", folder, 1);
    struct workload_options options = WORKLOAD_OPTIONS_INIT;
    attune_plan_options plan_options = ATTUNE_PLAN_OPTIONS_INIT;
    plan_options.force_config = "plain_row:WG_SIZE=32";
    attune_context *own = check_context("cpu");
    struct check_run run;
    OK(check_run_create(own, mixed, &plan_options, &options, &run));
    OK(check_run_enqueue(&run, 3));
    OK(check_run_compare(&run, 3));
    check_run_destroy(&run);
    assert_int_equal(system("rm \"$ATTUNE_TEST_FOLDER/types.clh\""), 0);
    attune_plan *plan;
    attune_attention_desc desc = ATTUNE_ATTENTION_DESC_INIT;
    desc.num_q_heads = desc.num_kv_heads = 1;
    desc.head_dim_qk = 64;
    assert_int_equal(attune_plan_create(own, &desc, NULL, &plan_options, &plan), ATTUNE_ERROR_IO);
    assert_non_null(strstr(attune_last_error(), "types.clh"));
    attune_context_destroy(&own);
    unsetenv("ATTUNE_KERNEL_DIR");
    assert_int_equal(system("rm -rf \"$ATTUNE_TEST_FOLDER\""), 0);
    unsetenv("ATTUNE_TEST_FOLDER");
}

static int close_context(void **state)
{
    (void)state;
    attune_context_destroy(&context);
    nftw(compile_cache, remove_one, 16, FTW_PHYS | FTW_DEPTH);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(kernels_from_a_folder_with_a_space),
        cmocka_unit_test(nothing_is_compiled_after_plan_creation),
        cmocka_unit_test(a_run_waits_for_its_events),
        cmocka_unit_test(two_threads_share_a_plan),
        cmocka_unit_test(one_batch_is_split_over_configurations),
        cmocka_unit_test(an_adopted_context_runs),
    };
    return cmocka_run_group_tests(tests, open_context, close_context);
}
