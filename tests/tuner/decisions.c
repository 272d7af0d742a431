/* SPDX-License-Identifier: Apache-2.0
 * What a tuning decides, on scripted timings whose truth is known. */
#include "fixture.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "portfolio.h"
#include "tuner/reference.h"
#include "tuner/target.h"

#define DEVICE(time) "{\"devices\": [{\"name\": \"Fake GPU\", \"time\": {\"default_ns\": 20000000" time "}}]}"

/* One value of one parameter is faster; noise of 2% a launch. */
static void planted_gain_is_promoted(void **state)
{
    (void)state;
    struct fixture f;
    fixture_init(&f);
    set_script(DEVICE(", \"noise\": 0.02, \"by_option\": [{\"match\": \"BLOCK_Q=16\", \"factor\": 0.7}]"));
    open_target(&f, "gpu");
    attune_tune_options options = budget(24);
    attune_tune_result result;
    attune_tune_summary summary;
    tune(&f, &options, &result, &summary);
    assert_int_equal(summary.end, ATTUNE_TUNE_BUDGET);
    assert_int_equal(result.promoted, 1);
    assert_int_equal(result.hit, 0);
    assert_non_null(strstr(result.config, "BLOCK_Q=16,"));
    assert_true(fabs(result.gain - 1 / 0.7) < 0.1);
    assert_true(result.gain_low > 1.01 && result.gain_low <= result.gain && result.gain <= result.gain_high);
    assert_true(fabs(result.time_ms - 14) < 1.5);
    assert_true(fabs(result.default_ms - 20) < 1.5);
    assert_int_equal(count_records(summary.journal, "header", NULL, NULL), 1);
    assert_int_equal(count_records(summary.journal, "proposal", NULL, NULL), 24);
    assert_int_equal(count_records(summary.journal, "promotion", NULL, NULL), 1);
    fixture_end(&f);
}

/* Everything takes the same time: nothing may replace the default, which is written so that the next call is a hit. */
static void equal_times_are_not_promoted(void **state)
{
    (void)state;
    struct fixture f;
    fixture_init(&f);
    set_script(DEVICE(", \"noise\": 0.02"));
    open_target(&f, "gpu");
    attune_tune_options options = budget(12);
    attune_tune_result result, again;
    attune_tune_summary summary;
    for (uint64_t seed = 1; seed <= 4; seed++) {
        options.seed = seed;
        options.retune = 1;
        tune(&f, &options, &result, &summary);
        if (result.promoted)
            fail_msg("seed %llu: %s was promoted with gain %g (%g)", (unsigned long long)seed, result.config,
                     result.gain, result.gain_low);
    }
    options.retune = 0;
    tune(&f, &options, &again, &summary);
    assert_int_equal(again.hit, 1);
    assert_string_equal(again.config, result.config);
    fixture_end(&f);
}

static void second_call_is_a_hit(void **state)
{
    (void)state;
    struct fixture f;
    fixture_init(&f);
    set_script(DEVICE(""));
    open_target(&f, "gpu");
    attune_tune_options options = budget(3);
    attune_tune_result first, second;
    attune_tune_summary summary;
    tune(&f, &options, &first, &summary);
    close_target(&f);
    open_target(&f, "gpu"); /* a new process would see the same */
    tune(&f, &options, &second, &summary);
    assert_int_equal(summary.end, ATTUNE_TUNE_HIT);
    assert_int_equal(summary.tests, 0);
    assert_int_equal(second.hit, 1);
    assert_string_equal(second.config, first.config);
    assert_string_equal(second.entry_path, first.entry_path);
    assert_true(second.time_ms == first.time_ms && second.gain == first.gain);
    char *text;
    check_ok(attune_cache_explain(f.target, f.problem, &text));
    assert_non_null(strstr(text, "shallow: ")); /* 3 tests are few */
    free(text);
    /* Another driver version: the entry is there, but its receipt is not for this driver. */
    close_target(&f);
    set_script(
        "{\"devices\": [{\"name\": \"Fake GPU\", \"driver_version\": \"2.0\", \"time\": {\"default_ns\": 20000000}}]}");
    open_target(&f, "gpu");
    tune(&f, &options, &second, &summary);
    assert_int_equal(second.hit, 0);
    fixture_end(&f);
}

/* The default's worker is lost while it is confirmed, once or always: the script changes with each worker. */
struct flaky {
    const char *during,
        *after; /* scripts of the workers that start for the confirmation, and of those after a first failure */
    int failures;
};

static int make_flaky(void *priv, const attune_tune_progress *progress)
{
    struct flaky *flaky = priv;
    if (!strcmp(progress->phase, "search") && progress->tests == progress->budget_tests)
        set_script(flaky->during);
    if (!strcmp(progress->phase, "confirm") && progress->outcome != ATTUNE_OUTCOME_OK) {
        flaky->failures++;
        set_script(flaky->after);
    }
    return 0;
}

#define PLANTED ", \"noise\": 0.02, \"by_option\": [{\"match\": \"BLOCK_Q=16\", \"factor\": 0.7}]"
#define PLANTED_BUT(fault)                                                                                           \
    "{\"devices\": [{\"name\": \"Fake GPU\", \"time\": {\"default_ns\": 20000000" PLANTED "}}], \"faults\": [" fault \
    "]}"

static void tune_flaky(struct fixture *f, struct flaky *flaky, attune_tune_result *result, attune_tune_summary *summary)
{
    set_script(DEVICE(PLANTED));
    open_target(f, "gpu");
    be_impatient(f);
    attune_tune_options options = budget(24);
    options.progress = make_flaky;
    options.progress_priv = flaky;
    tune(f, &options, result, summary);
}

/* It fails once: the winner is compared with it all the same. */
static void default_that_fails_once_is_compared(void **state)
{
    (void)state;
    struct fixture f;
    fixture_init(&f);
    attune_tune_result result;
    attune_tune_summary summary;
    struct flaky flaky = {PLANTED_BUT("{\"match\": \"BLOCK_Q=32\", \"what\": \"crash\"}"), DEVICE(PLANTED), 0};
    tune_flaky(&f, &flaky, &result, &summary);
    assert_int_equal(flaky.failures, 1);
    assert_int_equal(count_records(summary.journal, "retry", "label", "crashed"), 1);
    assert_string_equal(result.reason, "");
    assert_int_equal(result.promoted, 1);
    assert_true(fabs(result.gain - 1 / 0.7) < 0.1 && result.gain_low > 1.01);
    fixture_end(&f);
}

/* It never answers in time: whose fault that is nobody knows, so nothing is published. Nor is a later call a hit. */
static void without_the_default_nothing_is_published(void **state)
{
    (void)state;
    struct fixture f;
    fixture_init(&f);
    attune_tune_result result;
    attune_tune_summary summary;
    const char *hanging = PLANTED_BUT("{\"match\": \"BLOCK_Q=32\", \"what\": \"hang\"}");
    struct flaky flaky = {hanging, hanging, 0};
    tune_flaky(&f, &flaky, &result, &summary);
    assert_true(flaky.failures >= 3);
    if (!strstr(result.reason, "the untuned default could not be compared with: timeout: no answer to"))
        fail_msg("%s", result.reason);
    assert_true(!result.promoted && !result.entry_path[0] && result.gain == 0 && result.time_ms == 0);
    assert_int_equal(count_records(summary.journal, "promotion", "config", ""), 1);
    set_script(DEVICE(PLANTED));
    attune_tune_options options = budget(24);
    tune(&f, &options, &result, &summary);
    assert_true(!result.hit && result.promoted && result.gain > 1.3);
    fixture_end(&f);
}

/* It is wrong each time: the next default takes its place. */
static void default_at_fault_is_replaced(void **state)
{
    (void)state;
    struct fixture f;
    fixture_init(&f);
    set_script(PLANTED_BUT("{\"match\": \"BLOCK_Q=32\", \"what\": \"wrong\", \"amount\": 1}"));
    open_target(&f, "gpu");
    attune_tune_options options = budget(24);
    attune_tune_result result;
    attune_tune_summary summary;
    tune(&f, &options, &result, &summary);
    assert_int_equal(result.promoted, 1);
    assert_true(fabs(result.gain - 1 / 0.7) < 0.1);
    assert_non_null(strstr(result.reason, ", the next default: simt_tile is wrong"));
    fixture_end(&f);
}

static int note_entry(void *priv, const attune_cache_entry_info *entry)
{
    *(attune_cache_entry_info *)priv = *entry; /* its texts are gone then */
    return 0;
}

static attune_status plan_cached_only(const struct fixture *f)
{
    attune_context_options where = ATTUNE_CONTEXT_OPTIONS_INIT;
    where.backend = "gpu";
    where.cache_dir = f->cache;
    attune_context *context;
    check_ok(attune_context_create(&context, &where));
    attune_kv_layout_options cache = ATTUNE_KV_LAYOUT_OPTIONS_INIT;
    const attune_attention_desc *desc = attune_problem_desc(f->problem);
    cache.dtype = desc->kv_dtype;
    cache.num_kv_heads = desc->num_kv_heads;
    cache.head_dim_qk = desc->head_dim_qk;
    cache.num_slots = 1024;
    attune_kv_layout *layout;
    check_ok(attune_kv_layout_create(context, &cache, &layout));
    const attune_shape shape = {1, 4, 12};
    attune_plan_options options = ATTUNE_PLAN_OPTIONS_INIT;
    options.policy = ATTUNE_CACHED_ONLY;
    options.shapes = &shape;
    options.num_shapes = 1;
    attune_plan *plan = NULL;
    attune_status status = attune_plan_create(context, desc, layout, &options, &plan);
    attune_plan_destroy(&plan);
    attune_kv_layout_destroy(&layout);
    attune_context_destroy(&context);
    return status;
}

/* One test is no tuning: a larger budget goes on, an equal or smaller one is a hit. */
static void larger_budget_goes_on(void **state)
{
    (void)state;
    struct fixture f;
    fixture_init(&f);
    set_script(DEVICE(PLANTED));
    open_target(&f, "gpu");
    static const struct {
        int32_t budget, hit, entry_tests, tuned;
    } steps[] = {{1, 0, 1, 0}, {1, 1, 1, 0}, {24, 0, 24, 1}, {24, 1, 24, 1}, {10, 1, 24, 1}, {30, 0, 30, 1}};
    for (size_t i = 0; i < sizeof steps / sizeof *steps; i++) {
        attune_tune_options options = budget(steps[i].budget);
        attune_tune_result result;
        attune_tune_summary summary;
        attune_cache_entry_info entry;
        attune_target_options where = ATTUNE_TARGET_OPTIONS_INIT;
        where.cache_dir = f.cache;
        tune(&f, &options, &result, &summary);
        assert_int_equal(result.hit, steps[i].hit);
        assert_int_equal(result.tests, steps[i].hit ? 0 : steps[i].budget);
        assert_int_equal(result.entry_tests, steps[i].entry_tests);
        check_ok(attune_cache_list(&where, note_entry, &entry, NULL));
        assert_int_equal(entry.tests, steps[i].entry_tests);
        assert_int_equal(entry.tuned, steps[i].tuned);
        assert_int_equal(entry.exhausted, 0);
        assert_int_equal(plan_cached_only(&f), steps[i].tuned ? ATTUNE_OK : ATTUNE_ERROR_NOT_TUNED);
        if (!steps[i].tuned && !strstr(attune_last_error(), "it is the default, kept after 1 of the 8 tests"))
            fail_msg("%s", attune_last_error());
    }
    fixture_end(&f);
}

/* Nothing passes, and of the second workload nothing runs: the results say so, and claim no error. */
static void results_say_why(void **state)
{
    (void)state;
    struct fixture f;
    fixture_init(&f);
    set_script("{\"devices\": [{\"name\": \"Fake GPU\"}], \"faults\": [{\"match\": \"attention\", \"what\": \"wrong\", "
               "\"amount\": 1}]}");
    open_target(&f, "gpu");
    attune_problem *other;
    check_ok(attune_problem_parse("extend:hq=2,hkv=1,d=32,prefix=8,new=4", &other));
    const attune_problem *problems[] = {f.problem, other};
    attune_tune_options options = budget(1);
    attune_tune_result results[2];
    attune_tune_summary summary;
    check_ok(attune_tune(f.target, problems, 2, &options, results, &summary));
    assert_int_equal(results[0].tests, 1);
    assert_int_equal(results[1].tests, 0);
    for (int i = 0; i < 2; i++) {
        const char *wanted = i ? "not tried" : "the untuned default: wrong: ";
        if (!strstr(results[i].reason, wanted))
            fail_msg("\"%s\" lacks \"%s\"", results[i].reason, wanted);
        assert_true(isnan(results[i].max_abs_err) && isnan(results[i].rel_err));
        assert_true(!results[i].exhausted && !results[i].entry_path[0]);
    }
    attune_problem_destroy(&other);
    fixture_end(&f);
}

static void time_budget_ends_the_run(void **state)
{
    (void)state;
    struct fixture f;
    fixture_init(&f);
    set_script(DEVICE(", \"build_ns\": 500000000"));
    open_target(&f, "gpu");
    attune_tune_options options = budget(0);
    options.budget_seconds = 60;
    attune_tune_result result;
    attune_tune_summary summary;
    tune(&f, &options, &result, &summary);
    assert_int_equal(summary.end, ATTUNE_TUNE_BUDGET);
    assert_true(summary.tests > 3);
    if (summary.seconds > 66)
        fail_msg("%g s of 60", summary.seconds);
    assert_true(result.time_ms > 0);
    fixture_end(&f);
}

static int stop_after(void *priv, const attune_tune_progress *progress)
{
    return progress->tests >= *(const int *)priv;
}

static void callback_stops_in_order(void **state)
{
    (void)state;
    struct fixture f;
    fixture_init(&f);
    set_script(DEVICE(""));
    open_target(&f, "gpu");
    int limit = 5;
    attune_tune_options options = budget(100);
    options.progress = stop_after;
    options.progress_priv = &limit;
    attune_tune_result result;
    attune_tune_summary summary;
    tune(&f, &options, &result, &summary);
    assert_int_equal(summary.end, ATTUNE_TUNE_INTERRUPTED);
    assert_int_equal(summary.tests, 5);
    assert_true(result.entry_path[0]);
    fixture_end(&f);
}

/* Two workloads share one search; each gets its own winner. */
static void workloads_are_tuned_together(void **state)
{
    (void)state;
    struct fixture f;
    fixture_init(&f);
    set_script(DEVICE(", \"noise\": 0.01, \"by_option\": [{\"match\": \"HEAD_DIM_QK=64 BLOCK_Q=16\", \"factor\": 0.6},"
                      " {\"match\": \"HEAD_DIM_QK=32 BLOCK_Q=64\", \"factor\": 0.6}]"));
    open_target(&f, "gpu");
    attune_problem *other;
    check_ok(attune_problem_parse("extend:hq=2,hkv=1,d=32,prefix=8,new=4", &other));
    const attune_problem *problems[] = {f.problem, other};
    attune_tune_options options = budget(160);
    attune_tune_result results[2];
    attune_tune_summary summary;
    check_ok(attune_tune(f.target, problems, 2, &options, results, &summary));
    assert_non_null(strstr(results[0].config, "BLOCK_Q=16,"));
    assert_non_null(strstr(results[1].config, "BLOCK_Q=64,"));
    assert_int_equal(results[0].promoted, 1);
    assert_int_equal(results[1].promoted, 1);
    attune_problem_destroy(&other);
    fixture_end(&f);
}

static void tune_alone(struct fixture *f, const char *problem, const char *script, attune_tune_result *result)
{
    attune_problem_destroy(&f->problem);
    check_ok(attune_problem_parse(problem, &f->problem));
    set_script(script);
    open_target(f, "gpu");
    attune_tune_options options = budget(60);
    options.family = "simt_tile:BLOCK_Q=16/64"; /* what the test is about is what becomes of winners, not how they are found */
    attune_tune_summary summary;
    tune(f, &options, result, &summary);
    close_target(f);
}

static attune_plan *plan_two_shapes(attune_context *context, const attune_attention_desc *desc, int32_t max_configs)
{
    attune_kv_layout_options cache = ATTUNE_KV_LAYOUT_OPTIONS_INIT;
    cache.dtype = desc->kv_dtype;
    cache.num_kv_heads = desc->num_kv_heads;
    cache.head_dim_qk = desc->head_dim_qk;
    cache.num_slots = 1024;
    attune_kv_layout *layout;
    check_ok(attune_kv_layout_create(context, &cache, &layout));
    const attune_shape shapes[] = {{1, 4, 12}, {1, 4, 504}};
    attune_plan_options options = ATTUNE_PLAN_OPTIONS_INIT;
    options.policy = ATTUNE_CACHED_ONLY;
    options.shapes = shapes;
    options.num_shapes = 2;
    options.max_configs = max_configs;
    attune_plan *plan;
    check_ok(attune_plan_create(context, desc, layout, &options, &plan));
    attune_kv_layout_destroy(&layout);
    return plan;
}

/* The first shape's winner is measured on the second shape too, so that a plan of one configuration knows what it loses.
 */
static void winners_are_measured_on_other_shapes(void **state)
{
    (void)state;
    struct fixture f;
    fixture_init(&f);
    attune_tune_result near, far;
    tune_alone(&f, "extend:hq=2,hkv=1,d=64,prefix=8,new=4",
               DEVICE(", \"noise\": 0.01, \"by_option\": [{\"match\": \"BLOCK_Q=16\", \"factor\": 0.5}]"), &near);
    tune_alone(&f, "extend:hq=2,hkv=1,d=64,prefix=500,new=4",
               DEVICE(", \"noise\": 0.01, \"by_option\": [{\"match\": \"BLOCK_Q=64\", \"factor\": 0.5},"
                      " {\"match\": \"BLOCK_Q=16\", \"factor\": 0.75}]"),
               &far);
    assert_non_null(strstr(near.config, "BLOCK_Q=16,"));
    if (!strstr(far.config, "BLOCK_Q=64,"))
        fail_msg("%s: %s", far.config, far.reason);
    attune_context_options where = ATTUNE_CONTEXT_OPTIONS_INIT;
    where.backend = "gpu";
    where.cache_dir = f.cache;
    attune_context *context;
    check_ok(attune_context_create(&context, &where));
    const attune_attention_desc *desc = attune_problem_desc(f.problem);
    attune_plan_bucket_info info;
    attune_plan *plan = plan_two_shapes(context, desc, 6);
    assert_int_equal(attune_plan_num_configs(plan), 2);
    assert_int_equal(attune_plan_num_buckets(plan), 2);
    check_ok(attune_plan_bucket(plan, 1, &info));
    assert_string_equal(attune_plan_config(plan, info.config), far.config);
    assert_true(info.regret == 0 && info.kv_len_min == 256 && info.kv_len_max == 511 && info.q_len_max == 16);
    attune_plan_destroy(&plan);
    plan = plan_two_shapes(context, desc, 1);
    assert_int_equal(attune_plan_num_configs(plan), 1);
    assert_string_equal(attune_plan_config(plan, 0), near.config);
    check_ok(attune_plan_bucket(plan, 1, &info));
    assert_string_equal(info.regret_source, "measured");
    if (fabs(info.regret - 0.5) > 0.1)
        fail_msg("regret %g of %s; the truth is 0.5", info.regret, near.config);
    assert_true(fabs(info.time_ms - 15) < 1.5);
    attune_plan_destroy(&plan);
    attune_context_destroy(&context);
    char *text;
    open_target(&f, "gpu");
    check_ok(attune_cache_explain(f.target, f.problem, &text));
    if (!strstr(text, "2 configurations on 2 shapes") || !strstr(text, " * q_len 2-16, kv_len 256-511") ||
        !strstr(text, "[0] +"))
        fail_msg("%s", text);
    free(text);
    fixture_end(&f);
}

/* An engine's plan says what to tune: its problem's text, tuned from the command line's side, answers the plan. The
 * layout is NHD in the words of strides. */
static void a_plans_problem_is_what_the_tuner_takes(void **state)
{
    (void)state;
    struct fixture f;
    fixture_init(&f);
    set_script(DEVICE(""));
    attune_context_options where = ATTUNE_CONTEXT_OPTIONS_INIT;
    where.backend = "gpu";
    where.cache_dir = f.cache;
    attune_context *context;
    check_ok(attune_context_create(&context, &where));
    attune_attention_desc desc = ATTUNE_ATTENTION_DESC_INIT;
    desc.operation = ATTUNE_EXTEND;
    desc.num_q_heads = 4, desc.num_kv_heads = 2, desc.head_dim_qk = 64;
    attune_kv_layout_options strides = {
        sizeof strides, ATTUNE_KV_STRIDED, ATTUNE_FP32, 2, 64, 64, 16, 160, 2048, 128, 64, 2048, 128, 64};
    attune_kv_layout *layout;
    check_ok(attune_kv_layout_create(context, &strides, &layout));
    const attune_shape shapes[] = {{3, 7, 40}, {3, 2, 50}, {1, 1, 9}};
    attune_plan_options options = ATTUNE_PLAN_OPTIONS_INIT;
    options.shapes = shapes, options.num_shapes = 3;
    attune_plan *plan;
    check_ok(attune_plan_create(context, &desc, layout, &options, &plan));
    assert_int_equal(attune_plan_num_buckets(plan), 2); /* the second shape is in the first one's */
    attune_problem *of_plan;
    check_ok(attune_plan_problem(plan, 0, &of_plan));
    assert_string_equal(attune_problem_text(of_plan),
                        "extend:hq=4,hkv=2,d=64,q=fp32,kv=fp32,prec=strict,causal=1,page=16,batch=3,prefix=33,new=7");
    attune_problem_destroy(&f.problem);
    check_ok(attune_problem_parse(attune_problem_text(of_plan), &f.problem));
    attune_problem_destroy(&of_plan);
    assert_int_equal(attune_plan_problem(plan, 2, &of_plan), ATTUNE_ERROR_INVALID_SIZE);
    assert_null(of_plan);
    assert_int_equal(attune_plan_problem(NULL, 0, &of_plan), ATTUNE_ERROR_NULL_ARGUMENT);
    attune_plan_destroy(&plan);
    options.policy = ATTUNE_CACHED_ONLY;
    options.num_shapes = 2;
    assert_int_equal(attune_plan_create(context, &desc, layout, &options, &plan), ATTUNE_ERROR_NOT_TUNED);
    open_target(&f, "gpu");
    attune_tune_options tuning = budget(8);
    attune_tune_result result;
    attune_tune_summary summary;
    tune(&f, &tuning, &result, &summary);
    attune_context_destroy(&context);
    check_ok(attune_context_create(&context, &where)); /* sees the probe and the entry */
    attune_kv_layout_destroy(&layout);
    check_ok(attune_kv_layout_create(context, &strides, &layout));
    check_ok(attune_plan_create(context, &desc, layout, &options, &plan));
    assert_string_equal(attune_plan_source(plan, 0), "tuned");
    assert_string_equal(attune_plan_config(plan, 0), result.config);
    attune_plan_destroy(&plan);
    attune_kv_layout_destroy(&layout);
    attune_context_destroy(&context);
    fixture_end(&f);
}

static void measures_interleaved(void **state)
{
    (void)state;
    struct fixture f;
    fixture_init(&f);
    set_script(DEVICE(", \"noise\": 0.01, \"by_option\": [{\"match\": \"DIM_BLOCK=64\", \"factor\": 2}]"));
    open_target(&f, "gpu");
    const char *const configs[] = {"default", "plain_row:DIM_BLOCK=64", "plain_row", "plain_row:WG_SIZE=64"};
    attune_measurement out[4];
    double low[4], ratio[4], high[4];
    check_ok(attune_measure(f.target, f.problem, configs, 4, NULL, out, low, ratio, high));
    for (int i = 0; i < 4; i++) {
        if (out[i].outcome != ATTUNE_OUTCOME_OK)
            fail_msg("%s: %s: %s", configs[i], attune_outcome_name(out[i].outcome), out[i].reason);
        assert_int_equal(out[i].num_samples, 7);
        assert_true(low[i] <= ratio[i] && ratio[i] <= high[i]);
        assert_true(out[i].rel_err < 1e-5);
    }
    assert_string_equal(out[0].source, "default");
    assert_true(ratio[0] == 1);
    assert_true(fabs(ratio[1] - 2) < 0.1);
    /* A call's limit is not its caller's error, and the next call has none. */
    attune_measure_options options = ATTUNE_MEASURE_OPTIONS_INIT;
    options.limit_seconds = 1e-6;
    check_ok(attune_measure(f.target, f.problem, configs, 4, &options, out, NULL, NULL, NULL));
    for (int i = 0; i < 4; i++) {
        assert_int_equal(out[i].outcome, ATTUNE_OUTCOME_TIMEOUT);
        assert_int_equal(out[i].num_samples, 0);
        assert_true(out[i].reason[0] != '\0');
    }
    options.limit_seconds = -1;
    assert_int_equal(attune_measure(f.target, f.problem, configs, 4, &options, out, NULL, NULL, NULL),
                     ATTUNE_ERROR_INVALID_SIZE);
    check_ok(attune_measure(f.target, f.problem, configs, 1, NULL, out, NULL, NULL, NULL));
    assert_int_equal(out[0].outcome, ATTUNE_OUTCOME_OK);
    const char *const nonsense[] = {"no_such_family"};
    assert_int_equal(attune_measure(f.target, f.problem, nonsense, 1, NULL, out, NULL, NULL, NULL),
                     ATTUNE_ERROR_SYNTAX);
    fixture_end(&f);
}

/* A configuration that is valid on the workload is valid on the short lengths that it is verified on. */
static void edges_keep_what_divides_the_kv_heads(void **state)
{
    (void)state;
    for (int32_t heads = 1; heads <= 48; heads++) {
        char text[96];
        attune_problem *problem;
        struct reference reference;
        snprintf(text, sizeof text, "decode:hq=%d,hkv=%d,d=64,kvlen=40", heads, heads);
        check_ok(attune_problem_parse(text, &problem));
        check_ok(reference_create(problem, 0, 1, &reference));
        int32_t edge_heads = reference.edge_problem->desc.num_kv_heads;
        assert_true(edge_heads >= 1 && edge_heads <= 8);
        for (int32_t groups = 2; groups <= 8; groups *= 2)
            assert_int_equal(edge_heads % groups == 0, heads % groups == 0);
        reference_destroy(&reference);
        attune_problem_destroy(&problem);
    }
}

int main(int argc, char **argv)
{
    cmocka_set_test_filter(argc > 1 ? argv[1] : NULL);
    use_virtual_clock();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(edges_keep_what_divides_the_kv_heads),
        cmocka_unit_test(planted_gain_is_promoted), cmocka_unit_test(equal_times_are_not_promoted),
        cmocka_unit_test(results_say_why),
        cmocka_unit_test(a_plans_problem_is_what_the_tuner_takes),
        cmocka_unit_test(default_that_fails_once_is_compared),
        cmocka_unit_test(without_the_default_nothing_is_published),
        cmocka_unit_test(default_at_fault_is_replaced),
        cmocka_unit_test(larger_budget_goes_on),
        cmocka_unit_test(second_call_is_a_hit),
        cmocka_unit_test(time_budget_ends_the_run),
        cmocka_unit_test(callback_stops_in_order),
        cmocka_unit_test(workloads_are_tuned_together),
        cmocka_unit_test(winners_are_measured_on_other_shapes),
        cmocka_unit_test(measures_interleaved),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
