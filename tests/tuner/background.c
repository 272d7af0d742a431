/* SPDX-License-Identifier: Apache-2.0
 * Tuning in the background, on the scripted driver: start, poll, wait, cancel, destroy. */
#include "fixture.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define DEVICE(time) "{\"devices\": [{\"name\": \"Fake GPU\", \"time\": {\"default_ns\": 20000000" time "}}]}"
#define PLANTED DEVICE(", \"by_option\": [{\"match\": \"BLOCK_Q=16\", \"factor\": 0.5}]")

struct engine {
    struct fixture f;
    attune_context *context;
    attune_kv_layout *layout;
    const attune_attention_desc *desc;
    attune_shape shapes[2];
    attune_plan_options plan_options;
};

static void engine_init(struct engine *e, const char *script)
{
    memset(e, 0, sizeof *e);
    fixture_init(&e->f);
    set_script(script);
    attune_context_options where = ATTUNE_CONTEXT_OPTIONS_INIT;
    where.backend = "gpu";
    where.cache_dir = e->f.cache;
    check_ok(attune_context_create(&e->context, &where));
    e->desc = attune_problem_desc(e->f.problem);
    attune_kv_layout_options cache = ATTUNE_KV_LAYOUT_OPTIONS_INIT;
    cache.dtype = e->desc->kv_dtype;
    cache.num_kv_heads = e->desc->num_kv_heads;
    cache.head_dim_qk = e->desc->head_dim_qk;
    cache.num_slots = 1024;
    check_ok(attune_kv_layout_create(e->context, &cache, &e->layout));
    e->shapes[0] = (attune_shape){1, 4, 12};
    e->shapes[1] = (attune_shape){1, 4, 100};
    e->plan_options = (attune_plan_options)ATTUNE_PLAN_OPTIONS_INIT;
    e->plan_options.shapes = e->shapes;
    e->plan_options.num_shapes = 1;
}

static void engine_end(struct engine *e)
{
    attune_kv_layout_destroy(&e->layout);
    attune_context_destroy(&e->context);
    fixture_end(&e->f); /* fails if a worker or a thread's folder is left */
}

static attune_tune_job *start(struct engine *e, const attune_tune_options *options)
{
    attune_tune_job *job;
    check_ok(attune_tune_start(e->context, e->desc, e->layout, &e->plan_options, options, &job));
    return job;
}

static attune_plan *create_plan(struct engine *e, attune_policy policy)
{
    attune_plan_options options = e->plan_options;
    options.policy = policy;
    attune_plan *plan;
    check_ok(attune_plan_create(e->context, e->desc, e->layout, &options, &plan));
    return plan;
}

/* The first test of a search has been passed on. */
static void wait_for_tests(attune_tune_job *job, int32_t tests)
{
    attune_tune_state state = {0};
    const struct timespec pause = {0, 1000000};
    for (int i = 0; i < 20000 && state.tests < tests && !state.finished; i++) {
        nanosleep(&pause, NULL);
        check_ok(attune_tune_poll(job, &state));
    }
    assert_true(state.tests >= tests);
}

static void a_job_ends_with_a_better_plan(void **state)
{
    (void)state;
    struct engine e;
    engine_init(&e, PLANTED);
    attune_plan *old = create_plan(&e, ATTUNE_ESTIMATE);
    assert_string_equal(attune_plan_source(old, 0), "default");
    char strategy[] = "default";
    attune_tune_options options = budget(24);
    options.strategy = strategy;
    e.plan_options.num_shapes = 2;
    attune_tune_job *job = start(&e, &options);
    memset(e.shapes, 0x7f, sizeof e.shapes); /* all was copied */
    memset(strategy, 'x', sizeof strategy - 1);
    wait_for_tests(job, 1);
    assert_string_equal(attune_plan_source(old, 0), "default"); /* serving goes on with it */
    attune_plan *plan;
    attune_tune_summary summary;
    check_ok(attune_tune_wait(job, -1, NULL, NULL));
    attune_tune_state last;
    check_ok(attune_tune_poll(job, &last));
    assert_int_equal(last.finished, 1);
    assert_int_equal(last.tests, 24);
    assert_int_equal(last.budget_tests, 24);
    assert_string_equal(last.phase, "done");
    check_ok(attune_tune_wait(job, 0, &plan, &summary));
    assert_int_equal(summary.tests, 24);
    assert_string_equal(attune_plan_source(plan, 0), "tuned");
    assert_non_null(strstr(attune_plan_config(plan, 0), "BLOCK_Q=16,"));
    attune_plan *again = (attune_plan *)&again;
    assert_int_equal(attune_tune_wait(job, 0, &again, NULL), ATTUNE_ERROR_MISMATCH);
    assert_null(again);
    attune_tune_cancel(job); /* too late: nothing changes */
    check_ok(attune_tune_wait(job, 0, NULL, NULL));
    attune_tune_job_destroy(&job);
    assert_null(job);
    assert_non_null(attune_plan_config(plan, 0)); /* ours since it was given */
    attune_plan_destroy(&plan);
    attune_plan_destroy(&old);
    engine_end(&e);
}

static void cancel_keeps_the_winners(void **state)
{
    (void)state;
    struct engine e;
    engine_init(&e, PLANTED);
    attune_tune_options options = budget(0);
    attune_tune_job *job = start(&e, &options);
    attune_plan *plan;
    assert_int_equal(attune_tune_wait(job, 0, &plan, NULL), ATTUNE_ERROR_BUSY);
    assert_int_equal(attune_tune_wait(job, 0.001, &plan, NULL), ATTUNE_ERROR_BUSY);
    wait_for_tests(job, 12);
    attune_tune_cancel(job);
    attune_tune_summary summary;
    assert_int_equal(attune_tune_wait(job, -1, &plan, &summary), ATTUNE_ERROR_CANCELLED);
    assert_null(plan);
    assert_int_equal(summary.end, ATTUNE_TUNE_INTERRUPTED);
    attune_tune_job_destroy(&job);
    plan = create_plan(&e, ATTUNE_CACHED_ONLY);
    assert_string_equal(attune_plan_source(plan, 0), "tuned");
    attune_plan_destroy(&plan);
    engine_end(&e);
}

static void an_abandoned_job_is_joined(void **state)
{
    (void)state;
    struct engine e;
    engine_init(&e, PLANTED);
    attune_tune_options options = budget(0);
    attune_tune_job *job = start(&e, &options);
    attune_tune_job_destroy(&job); /* at once */
    job = start(&e, &options);
    wait_for_tests(job, 2);
    attune_tune_job_destroy(&job); /* at work */
    options = budget(2);
    job = start(&e, &options);
    check_ok(attune_tune_wait(job, -1, NULL, NULL));
    attune_tune_job_destroy(&job); /* with a plan that nobody took */
    attune_tune_job_destroy(&job);
    attune_tune_job_destroy(NULL);
    attune_tune_cancel(NULL);
    engine_end(&e);
}

static void two_jobs_at_once(void **state)
{
    (void)state;
    struct engine e;
    engine_init(&e, PLANTED);
    attune_tune_options options = budget(8);
    attune_tune_job *jobs[2];
    attune_plan *plans[2];
    for (int i = 0; i < 2; i++) {
        e.shapes[0].kv_len = i ? 200 : 12;
        options.seed = (uint64_t)i + 1;
        jobs[i] = start(&e, &options);
    }
    for (int i = 1; i >= 0; i--)
        check_ok(attune_tune_wait(jobs[i], -1, &plans[i], NULL));
    for (int i = 0; i < 2; i++) {
        assert_string_equal(attune_plan_source(plans[i], 0), "tuned");
        attune_tune_job_destroy(&jobs[i]);
        attune_plan_destroy(&plans[i]);
    }
    engine_end(&e);
}

struct stopping {
    int calls, stop_at;
};

static int stop_at(void *priv, const attune_tune_progress *progress)
{
    struct stopping *stopping = priv;
    stopping->calls++;
    return progress->tests >= stopping->stop_at;
}

static void the_callback_stops_a_job(void **state)
{
    (void)state;
    struct engine e;
    engine_init(&e, PLANTED);
    struct stopping stopping = {0, 3};
    attune_tune_options options = budget(0);
    options.progress = stop_at;
    options.progress_priv = &stopping;
    attune_tune_job *job = start(&e, &options);
    attune_tune_summary summary;
    assert_int_equal(attune_tune_wait(job, -1, NULL, &summary), ATTUNE_ERROR_CANCELLED);
    assert_int_equal(summary.tests, 3);
    assert_true(stopping.calls >= 3);
    attune_tune_job_destroy(&job);
    engine_end(&e);
}

static void a_failed_job_says_why(void **state)
{
    (void)state;
    struct engine e;
    engine_init(&e, PLANTED);
    const char *worker = getenv("ATTUNE_WORKER");
    char *path = strdup(worker);
    setenv("ATTUNE_WORKER", "/nonexistent/attune-worker", 1);
    attune_tune_job *job = start(&e, NULL);
    attune_plan *plan;
    assert_int_equal(attune_tune_wait(job, -1, &plan, NULL), ATTUNE_ERROR_WORKER);
    assert_null(plan);
    assert_non_null(strstr(attune_last_error(), "/nonexistent/attune-worker"));
    attune_tune_job_destroy(&job);
    setenv("ATTUNE_WORKER", path, 1);
    free(path);
    engine_end(&e);
}

static void bad_arguments_start_nothing(void **state)
{
    (void)state;
    struct engine e;
    engine_init(&e, PLANTED);
    attune_tune_job *job = (attune_tune_job *)&job;
    assert_int_equal(attune_tune_start(NULL, e.desc, e.layout, NULL, NULL, &job), ATTUNE_ERROR_NULL_ARGUMENT);
    assert_null(job);
    assert_int_equal(attune_tune_start(e.context, NULL, e.layout, NULL, NULL, &job), ATTUNE_ERROR_NULL_ARGUMENT);
    assert_int_equal(attune_tune_start(e.context, e.desc, e.layout, NULL, NULL, NULL), ATTUNE_ERROR_NULL_ARGUMENT);
    attune_plan_options plan = e.plan_options;
    plan.force_config = "plain_row";
    assert_int_equal(attune_tune_start(e.context, e.desc, e.layout, &plan, NULL, &job), ATTUNE_ERROR_MISMATCH);
    plan = e.plan_options;
    plan.max_configs = 99;
    assert_int_equal(attune_tune_start(e.context, e.desc, e.layout, &plan, NULL, &job), ATTUNE_ERROR_INVALID_SIZE);
    attune_tune_options options = budget(1);
    options.size = 0;
    assert_int_equal(attune_tune_start(e.context, e.desc, e.layout, NULL, &options, &job), ATTUNE_ERROR_STRUCT_SIZE);
    options = budget(1);
    options.strategy = "no such strategy";
    assert_int_equal(attune_tune_start(e.context, e.desc, e.layout, NULL, &options, &job), ATTUNE_ERROR_ENUM);
    options = budget(1);
    options.policy = ATTUNE_ESTIMATE;
    assert_int_equal(attune_tune_start(e.context, e.desc, e.layout, NULL, &options, &job), ATTUNE_ERROR_ENUM);
    attune_kv_layout_options strided = ATTUNE_KV_LAYOUT_OPTIONS_INIT;
    strided.order = ATTUNE_KV_STRIDED;
    strided.dtype = e.desc->kv_dtype;
    strided.num_kv_heads = e.desc->num_kv_heads;
    strided.head_dim_qk = e.desc->head_dim_qk;
    strided.num_slots = 1024;
    strided.k_stride_head = strided.v_stride_head = e.desc->head_dim_qk + 1;
    strided.k_stride_page = strided.v_stride_page = e.desc->num_kv_heads * strided.k_stride_head;
    attune_kv_layout *layout;
    check_ok(attune_kv_layout_create(e.context, &strided, &layout));
    assert_int_equal(attune_tune_start(e.context, e.desc, layout, NULL, NULL, &job), ATTUNE_ERROR_UNSUPPORTED);
    attune_kv_layout_destroy(&layout);
    attune_tune_state poll;
    assert_int_equal(attune_tune_poll(NULL, &poll), ATTUNE_ERROR_NULL_ARGUMENT);
    assert_int_equal(attune_tune_wait(NULL, 0, NULL, NULL), ATTUNE_ERROR_NULL_ARGUMENT);
    options = budget(1);
    job = start(&e, &options);
    assert_int_equal(attune_tune_poll(job, NULL), ATTUNE_ERROR_NULL_ARGUMENT);
    assert_int_equal(attune_tune_wait(job, NAN, NULL, NULL), ATTUNE_ERROR_INVALID_SIZE);
    attune_tune_job_destroy(&job);
    engine_end(&e);
}

int main(void)
{
    use_virtual_clock();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_job_ends_with_a_better_plan), cmocka_unit_test(cancel_keeps_the_winners),
        cmocka_unit_test(an_abandoned_job_is_joined),    cmocka_unit_test(two_jobs_at_once),
        cmocka_unit_test(the_callback_stops_a_job),      cmocka_unit_test(a_failed_job_says_why),
        cmocka_unit_test(bad_arguments_start_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
