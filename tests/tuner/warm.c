/* SPDX-License-Identifier: Apache-2.0
 * What a tuning leaves behind: compiled kernels, so that whoever has the cache compiles nothing, also by attune_warm;
 * and entries, until they are forgotten. */
#include "fixture.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "context.h"

#define DEVICE "\"devices\": [{\"name\": \"Fake GPU\", \"time\": {\"default_ns\": 20000000}}]"

static void run(const char *format, const char *a, const char *b)
{
    char command[1400];
    snprintf(command, sizeof command, format, a, b);
    assert_int_equal(system(command), 0);
}

/* All that an engine makes for extends of the fixture's model, with caches in these folders: programs built from
 * source, and taken from binaries. */
static void serve(const struct fixture *f, const char *user, const char *site, int *built, int *loaded)
{
    attune_context *context;
    attune_context_options where = ATTUNE_CONTEXT_OPTIONS_INIT;
    where.backend = "gpu";
    where.cache_dir = user;
    where.site_cache_dir = site;
    check_ok(attune_context_create(&context, &where));
    const attune_attention_desc *desc = attune_problem_desc(f->problem);
    attune_kv_layout_options cache = ATTUNE_KV_LAYOUT_OPTIONS_INIT;
    cache.dtype = desc->kv_dtype;
    cache.num_kv_heads = desc->num_kv_heads;
    cache.head_dim_qk = desc->head_dim_qk;
    cache.num_slots = 64;
    attune_kv_layout *layout;
    check_ok(attune_kv_layout_create(context, &cache, &layout));
    attune_kv_launcher *operations;
    check_ok(attune_kv_launcher_create(layout, desc->q_dtype, &operations));
    attune_kv_launcher_destroy(&operations);
    const attune_shape shapes[] = {{1, 4, 12}, {8, 300, 4000}};
    attune_plan_options options = ATTUNE_PLAN_OPTIONS_INIT;
    options.shapes = shapes;
    options.num_shapes = 2;
    options.validate = 1;
    attune_plan *plan;
    check_ok(attune_plan_create(context, desc, layout, &options, &plan));
    attune_schedule_options lengths = ATTUNE_SCHEDULE_OPTIONS_INIT;
    lengths.max_batch = lengths.max_kv_len = 64;
    lengths.max_q_tokens = 64;
    lengths.device_lengths = 1;
    attune_schedule *schedule;
    check_ok(attune_schedule_create(plan, &lengths, &schedule));
    attune_schedule_destroy(&schedule);
    *built = context->programs_built;
    *loaded = context->programs_loaded;
    attune_plan_destroy(&plan);
    attune_kv_layout_destroy(&layout);
    attune_context_destroy(&context);
}

static void after_a_tuning_plans_compile_nothing(void **state)
{
    (void)state;
    struct fixture f;
    attune_tune_result result;
    attune_tune_summary summary;
    int built, loaded;
    char copy[320];
    fixture_init(&f);
    set_script("{" DEVICE "}");
    open_target(&f, "gpu");
    serve(&f, "", "", &built, &loaded);
    assert_true(built >= 4 && loaded == 0);
    attune_tune_options options = budget(4);
    tune(&f, &options, &result, &summary);
    assert_int_equal(count_records(summary.journal, "compiled", NULL, NULL), 1);
    close_target(&f);
    /* A copy that nobody may write to, under another path, as the user's and as the site's cache. */
    snprintf(copy, sizeof copy, "%s/copy", f.root);
    run("cp -r %s %s", f.cache, copy);
    run("rm -rf %s && chmod -R a-w %s", f.cache, copy);
    serve(&f, copy, "", &built, &loaded);
    assert_int_equal(built, 0);
    assert_true(loaded >= 4);
    serve(&f, "", copy, &built, &loaded);
    assert_int_equal(built, 0);
    /* One that was damaged is compiled again, and the others are not. */
    run("chmod -R u+w %s; for f in %s/binaries/*.bin; do echo >>$f; break; done", copy, copy);
    serve(&f, copy, "", &built, &loaded);
    assert_int_equal(built, 1);
    serve(&f, copy, "", &built, &loaded);
    assert_int_equal(built, 0);
    fixture_end(&f);
}

static attune_status warm(struct fixture *f, const attune_warm_options *options, attune_warm_result *result)
{
    const attune_problem *problems[] = {f->problem, f->problem};
    return attune_warm(f->target, problems, 2, options, result);
}

static void warming_twice_finds_all(void **state)
{
    (void)state;
    struct fixture f;
    attune_warm_result first, second;
    attune_warm_options options = ATTUNE_WARM_OPTIONS_INIT;
    int built, loaded;
    fixture_init(&f);
    set_script("{" DEVICE "}");
    open_target(&f, "gpu");
    options.workers = 3;
    check_ok(warm(&f, &options, &first));
    assert_true(first.compiled >= 4 && first.failed == 0 && first.left_out == 0);
    assert_int_equal(first.tasks, 2); /* equal problems are one */
    assert_int_equal(first.workers, 2);
    check_ok(warm(&f, NULL, &second));
    assert_int_equal(second.compiled, 0);
    assert_true(second.found >= 4);
    serve(&f, f.cache, "", &built, &loaded);
    assert_int_equal(built, 0);
    fixture_end(&f);
}

static int stop_after_first(void *priv, size_t done, size_t total)
{
    *(size_t *)priv = total;
    return done == 1;
}

static void what_fails_is_counted(void **state)
{
    (void)state;
    struct fixture f;
    attune_warm_result result;
    attune_warm_options options = ATTUNE_WARM_OPTIONS_INIT;
    fixture_init(&f);
    set_script("{" DEVICE ", \"faults\": [{\"source\": \"check_pages\", \"what\": \"build_failure\", "
               "\"at\": \"build\", \"log\": \"error: no pages today\"}]}");
    open_target(&f, "gpu");
    options.workers = 1;
    check_ok(warm(&f, &options, &result));
    assert_int_equal(result.failed, 1);
    assert_non_null(strstr(result.reason, "no pages today"));
    assert_true(result.compiled >= 1);
    size_t total = 0;
    options.progress = stop_after_first;
    options.progress_priv = &total;
    check_ok(warm(&f, &options, &result));
    assert_int_equal(total, 2);
    assert_int_equal(result.left_out, 1);
    fixture_end(&f);
}

static void a_cache_that_cannot_be_written_is_an_error(void **state)
{
    (void)state;
    struct fixture f;
    attune_warm_result result;
    char path[320];
    fixture_init(&f);
    set_script("{" DEVICE "}");
    open_target(&f, "gpu");
    assert_int_equal(mkdir(f.cache, 0700), 0);
    snprintf(path, sizeof path, "%s/binaries", f.cache);
    run("echo >%s%s", path, "");
    assert_int_equal(warm(&f, NULL, &result), ATTUNE_ERROR_IO);
    assert_non_null(strstr(attune_last_error(), path));
    /* A tuning keeps its winners all the same. */
    attune_tune_options options = budget(2);
    attune_tune_result tuned;
    attune_tune_summary summary;
    tune(&f, &options, &tuned, &summary);
    assert_true(tuned.entry_path[0]);
    close_target(&f);
    attune_target_options where = ATTUNE_TARGET_OPTIONS_INIT;
    where.backend = "gpu";
    where.cache_dir = "";
    check_ok(attune_target_create(&f.target, &where));
    assert_int_equal(warm(&f, NULL, &result), ATTUNE_ERROR_IO);
    assert_non_null(strstr(attune_last_error(), "ATTUNE_CACHE_DIR"));
    fixture_end(&f);
}

static void expect_answer(const struct fixture *f, const attune_problem *problem, const char *source)
{
    char *text;
    check_ok(attune_cache_explain(f->target, problem, &text));
    if (strncmp(text, source, strlen(source)))
        fail_msg("%s, not %s", text, source);
    free(text);
}

static void what_is_forgotten_answers_no_more(void **state)
{
    (void)state;
    struct fixture f;
    attune_problem *longer;
    attune_tune_result results[2];
    fixture_init(&f);
    set_script("{" DEVICE "}");
    open_target(&f, "gpu");
    check_ok(attune_problem_parse("extend:hq=2,hkv=1,d=64,prefix=600,new=4", &longer));
    const attune_problem *problems[] = {f.problem, longer};
    attune_tune_options options = budget(24); /* fewer leave it shallow */
    check_ok(attune_tune(f.target, problems, 2, &options, results, NULL));
    expect_answer(&f, f.problem, "tuned");
    check_ok(attune_cache_forget_problem(f.target, f.problem));
    expect_answer(&f, f.problem, "nearest");
    expect_answer(&f, longer, "tuned");
    assert_int_equal(attune_cache_forget_problem(f.target, f.problem), ATTUNE_ERROR_NOT_TUNED);
    close_target(&f);
    open_target(&f, "gpu"); /* nor from disk */
    expect_answer(&f, f.problem, "nearest");
    check_ok(attune_cache_forget_problem(f.target, longer));
    expect_answer(&f, f.problem, "default");
    expect_answer(&f, longer, "default");
    attune_problem_destroy(&longer);
    fixture_end(&f);
}

int main(void)
{
    use_virtual_clock();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(after_a_tuning_plans_compile_nothing),
        cmocka_unit_test(warming_twice_finds_all),
        cmocka_unit_test(what_fails_is_counted),
        cmocka_unit_test(what_is_forgotten_answers_no_more),
        cmocka_unit_test(a_cache_that_cannot_be_written_is_an_error),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
