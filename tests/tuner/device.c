/* SPDX-License-Identifier: Apache-2.0
 * The tuner on a real driver, small and short: a search with real compilers, and a kernel that never ends. */
#define _GNU_SOURCE
#include "fixture.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "tuner/target.h"

static void open_real(struct fixture *f)
{
    attune_target_options options = ATTUNE_TARGET_OPTIONS_INIT;
    options.backend = "cpu";
    options.cache_dir = f->cache;
    check_ok(attune_target_create(&f->target, &options));
}

static void short_search(void **state)
{
    (void)state;
    struct fixture f;
    fixture_init(&f);
    open_real(&f);
    attune_tune_options options = budget(4);
    attune_tune_result result, again;
    attune_tune_summary summary;
    tune(&f, &options, &result, &summary);
    assert_int_equal(summary.tests, 4);
    assert_true(result.time_ms > 0 && result.default_ms > 0);
    assert_true(result.fma_gflops > 0 && result.read_gbps > 0 && result.roofline_ms > 0);
    assert_true(result.rel_err < 1e-5);
    tune(&f, &options, &again, &summary);
    assert_int_equal(again.hit, 1);
    assert_string_equal(again.config, result.config);
    fixture_end(&f);
}

/* What a plan measures on a cache of its own order is what the next plan on it finds. */
static void plans_measure_on_their_layout(void **state)
{
    (void)state;
    struct fixture f;
    fixture_init(&f);
    attune_context_options where = ATTUNE_CONTEXT_OPTIONS_INIT;
    where.backend = "cpu";
    where.cache_dir = f.cache;
    attune_context *context;
    check_ok(attune_context_create(&context, &where));
    attune_attention_desc desc = ATTUNE_ATTENTION_DESC_INIT;
    desc.operation = ATTUNE_DECODE;
    desc.num_q_heads = 2;
    desc.num_kv_heads = 1;
    desc.head_dim_qk = 64;
    attune_kv_layout_options layout_options = ATTUNE_KV_LAYOUT_OPTIONS_INIT;
    layout_options.order = ATTUNE_KV_HND;
    layout_options.num_kv_heads = 1;
    layout_options.head_dim_qk = 64;
    layout_options.page_size = 16;
    layout_options.num_slots = 16;
    attune_kv_layout *layout;
    check_ok(attune_kv_layout_create(context, &layout_options, &layout));
    const attune_shape shape = {2, 1, 20};
    attune_plan_options options = ATTUNE_PLAN_OPTIONS_INIT;
    options.policy = ATTUNE_MEASURE;
    options.shapes = &shape;
    options.num_shapes = 1;
    options.budget_tests = 2;
    attune_plan *plan;
    check_ok(attune_plan_create(context, &desc, layout, &options, &plan));
    assert_string_not_equal(attune_plan_source(plan, 0), "default"); /* "shallow", unless the default was beaten */
    attune_plan_destroy(&plan);
    attune_kv_layout_destroy(&layout);
    layout_options.order = ATTUNE_KV_STRIDED;
    layout_options.k_stride_page = layout_options.v_stride_page = 2048;
    layout_options.k_stride_token = layout_options.v_stride_token = 128;
    check_ok(attune_kv_layout_create(context, &layout_options, &layout));
    assert_int_equal(attune_plan_create(context, &desc, layout, &options, &plan), ATTUNE_ERROR_UNSUPPORTED);
    assert_non_null(strstr(attune_last_error(), "strides"));
    options.policy = ATTUNE_CACHED_ONLY; /* entries of other layouts do not answer */
    assert_int_equal(attune_plan_create(context, &desc, layout, &options, &plan), ATTUNE_ERROR_NOT_TUNED);
    attune_kv_layout_destroy(&layout);
    attune_context_destroy(&context);
    fixture_end(&f);
}

/* On pocl, what the processor has is what runs and is right: a probe that lets a missing instruction pass would take
 * the process with it, one that finds nothing would go unnoticed. */
static void check_features(const attune_probe_result *probe)
{
#if defined(__x86_64__)
    if (!strstr(probe->device.version, "PoCL"))
        return;
    assert_int_equal(!!(probe->features & ATTUNE_FEATURE_F16C), !!__builtin_cpu_supports("avx512f"));
    assert_int_equal(!!(probe->features & ATTUNE_FEATURE_BF16_DOT), !!__builtin_cpu_supports("avx512bf16"));
#endif
}

/* A layout is chosen with real kernels, appending included; the second call is a hit that says the same. */
static void layout_choice(void **state)
{
    (void)state;
    struct fixture f;
    fixture_init(&f);
    open_real(&f);
    attune_problem *decode;
    check_ok(attune_problem_parse("decode:hq=2,hkv=1,d=64,kvlen=40/7", &decode));
    const attune_problem *problems[] = {f.problem, decode};
    const int32_t pages[] = {16};
    attune_kv_choice_options options = ATTUNE_KV_CHOICE_OPTIONS_INIT;
    options.page_sizes = pages;
    options.num_page_sizes = 1;
    options.num_slots = 1 << 16;
    options.rounds = 3;
    options.min_sample_ms = 1;
    attune_kv_choice choice, again;
    check_ok(attune_kv_layout_choose(f.target, problems, 2, &options, &choice));
    assert_int_equal(choice.num_candidates, 4);
    assert_int_equal(choice.rounds, 2); /* one of three picks */
    for (int32_t i = 0; i < 4; i++) {
        const attune_kv_candidate *c = &choice.candidates[i];
        if (c->outcome != ATTUNE_OUTCOME_OK)
            fail_msg("%s: %s: %s", c->id, attune_outcome_name(c->outcome), c->reason);
        assert_true(c->time_ms > c->append_ms && c->append_ms > 0);
    }
    check_ok(attune_kv_layout_choose(f.target, problems, 2, &options, &again));
    assert_int_equal(again.hit, 1);
    assert_int_equal(again.chosen, choice.chosen);
    assert_string_equal(again.candidates[again.chosen].id, choice.candidates[choice.chosen].id);
    attune_problem_destroy(&decode);
    fixture_end(&f);
}

static void probes(void **state)
{
    (void)state;
    struct fixture f;
    fixture_init(&f);
    open_real(&f);
    attune_probe_result probe;
    check_ok(attune_probe(f.target, &probe));
    assert_string_equal(probe.failures, "");
    check_features(&probe);
    for (int32_t i = 0; i < probe.num_readings; i++) {
        const attune_probe_reading *reading = &probe.readings[i];
        assert_true(reading->value > 0 || reading->note[0]);
        if (!strcmp(reading->name, "half.integer") &&
            !(reading->value > 0)) /* needs nothing that a device could lack */
            fail_msg("%s: %s", reading->name, reading->note);
    }
    assert_true(probe.local_gbps > 0 && probe.barrier_ns > 0 && probe.opaque_loop_gain > 0);
    assert_true(probe.max_work_group_size > 0);
    assert_true(!(probe.features & ATTUNE_FEATURE_BF16_DOT) == !(probe.bf16_dot_gflops > 0));
    assert_true(f.target->probed && f.target->choice.limits.features == probe.features);
    for (int i = 0; i < 5; i++)
        assert_true(probe.fma_gflops[i] > 0 && probe.fma_gflops[i] <= probe.fma_peak_gflops);
    assert_true(probe.read_gbps > 0 && probe.launch_us > 0 && probe.enqueue_us > 0);
    fixture_end(&f);
}

/* Kernels from disk, of which one parameter's value loops for ever; the loop's end depends on memory, so that it stays.
 */
static void write_hanging_kernel(const struct fixture *f, char *folder, size_t size)
{
    char path[600];
    snprintf(folder, size, "%s/kernels", f->root);
    assert_int_equal(mkdir(folder, 0700), 0);
    snprintf(path, sizeof path, "%s/merge.cl", folder);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    fprintf(file, "#include \"%s/merge.cl\"\n", getenv("ATTUNE_TEST_KERNELS"));
    fclose(file);
    snprintf(path, sizeof path, "%s/plain_row.cl", folder);
    file = fopen(path, "w");
    assert_non_null(file);
    fprintf(
        file,
        "#if DIM_BLOCK == 64\n"
        "#define attention healthy\n"
        "#endif\n"
        "#include \"%s/plain_row.cl\"\n"
        "#if DIM_BLOCK == 64\n"
        "#undef attention\n"
        "kernel __attribute__((reqd_work_group_size(WG_SIZE, 1, 1)))\n"
        "void attention(global const Q_T *q, global const KV_T *k, global const KV_T *v, global const KV_T *k_cache,\n"
        "               global const KV_T *v_cache, global const int *kv_indptr, global const int *kv_indices,\n"
        "               global O_T *o, global float *lse, global float *workspace, global const int *schedule,\n"
        "               struct attention_args args)\n"
        "{\n"
        "    volatile global const int *version = schedule;\n"
        "    while (version[0] == SCHEDULE_VERSION && version[5] >= 0)\n"
        "        ;\n"
        "}\n"
        "#endif\n",
        getenv("ATTUNE_TEST_KERNELS"));
    fclose(file);
}

static void endless_kernel_is_stopped(void **state)
{
    (void)state;
    struct fixture f;
    char folder[400];
    fixture_init(&f);
    write_hanging_kernel(&f, folder, sizeof folder);
    setenv("ATTUNE_KERNEL_DIR", folder, 1);
    open_real(&f);
    f.target->session.deadlines.build = 10;
    f.target->session.deadlines.first_run = 10;
    const char *const configs[] = {"plain_row:DIM_BLOCK=128", "plain_row:DIM_BLOCK=64", "plain_row:DIM_BLOCK=128"};
    attune_measurement out[3];
    attune_measure_options options = ATTUNE_MEASURE_OPTIONS_INIT;
    options.rounds = 2;
    check_ok(attune_measure(f.target, f.problem, configs, 3, &options, out, NULL, NULL, NULL));
    for (int i = 0; i < 3; i++)
        if (out[i].outcome != (i == 1 ? ATTUNE_OUTCOME_TIMEOUT : ATTUNE_OUTCOME_OK))
            fail_msg("%s: %s: %s", out[i].config, attune_outcome_name(out[i].outcome), out[i].reason);
    assert_int_equal(out[0].num_samples, 2);
    assert_int_equal(out[2].num_samples, 2);
    unsetenv("ATTUNE_KERNEL_DIR");
    fixture_end(&f);
}

/* A job on the context that serves: its plan is tuned, and computes. */
static void background_job(void **state)
{
    (void)state;
    struct fixture f;
    fixture_init(&f);
    attune_context_options where = ATTUNE_CONTEXT_OPTIONS_INIT;
    where.backend = "cpu";
    where.cache_dir = f.cache;
    attune_context *context;
    check_ok(attune_context_create(&context, &where));
    attune_attention_desc desc = ATTUNE_ATTENTION_DESC_INIT;
    desc.num_q_heads = desc.num_kv_heads = 1;
    desc.head_dim_qk = 64;
    const attune_shape shapes[] = {{1, 16, 16}, {1, 40, 40}};
    attune_plan_options plan_options = ATTUNE_PLAN_OPTIONS_INIT;
    plan_options.shapes = shapes;
    plan_options.num_shapes = 2;
    attune_tune_options options = budget(4);
    attune_tune_job *job;
    attune_plan *plan;
    check_ok(attune_tune_start(context, &desc, NULL, &plan_options, &options, &job));
    float q[40 * 64] = {0}, o[40 * 64];
    const int32_t length = 40;
    check_ok(attune_attention_host(context, &desc, 1, &length, &length, q, q, q, o, NULL)); /* meanwhile */
    check_ok(attune_tune_wait(job, -1, &plan, NULL));
    attune_tune_job_destroy(&job);
    assert_int_equal(attune_plan_num_buckets(plan), 2);
    for (size_t i = 0; i < 2; i++) {
        attune_plan_bucket_info info;
        check_ok(attune_plan_bucket(plan, i, &info));
        assert_string_not_equal(attune_plan_source(plan, info.config), "default");
        assert_string_equal(info.regret_source, "measured");
        assert_true(info.regret >= 0 && info.time_ms > 0);
    }
    attune_plan_destroy(&plan);
    attune_context_destroy(&context);
    fixture_end(&f);
}

int main(void)
{
    attune_device_info info;
    size_t count;
    if (attune_devices(NULL, &info, 1, &count) != ATTUNE_OK)
        return 77; /* no OpenCL device on this machine */
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(short_search),
        cmocka_unit_test(plans_measure_on_their_layout),
        cmocka_unit_test(background_job),
        cmocka_unit_test(layout_choice),
        cmocka_unit_test(probes),
        cmocka_unit_test(endless_kernel_is_stopped),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
