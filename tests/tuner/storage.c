/* SPDX-License-Identifier: Apache-2.0
 * A cache that has no folder, or cannot be written: said at the start, before hours of work. On the scripted driver. */
#include "fixture.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../unit/comma_locale.h"

#define DEVICE "{\"devices\": [{\"name\": \"Fake GPU\", \"time\": {\"default_ns\": 20225500}}]}"

struct log {
    int warnings;
    char last[512];
};

static void count_warning(void *priv, attune_log_level level, const char *message)
{
    struct log *log = priv;
    if (level > ATTUNE_LOG_WARNING)
        return;
    log->warnings++;
    snprintf(log->last, sizeof log->last, "%s", message);
}

static void open_with(struct fixture *f, const char *cache_dir, struct log *log)
{
    attune_target_options options = ATTUNE_TARGET_OPTIONS_INIT;
    options.backend = "gpu";
    options.cache_dir = cache_dir;
    options.log = count_warning;
    options.log_priv = log;
    check_ok(attune_target_create(&f->target, &options));
}

/* An ordinary file where the cache's folder should be: nobody can write there, not even root. */
static void block_cache(struct fixture *f)
{
    FILE *file = fopen(f->cache, "w");
    assert_non_null(file);
    fclose(file);
}

static int count_steps(void *priv, const attune_tune_progress *progress)
{
    (void)progress;
    ++*(int *)priv;
    return 0;
}

/* tune, probe and layout refuse before they measure anything; text names the cause. */
static void refuses_at_the_start(struct fixture *f, const char *cache_dir, const char *text)
{
    struct log log = {0};
    int steps = 0;
    open_with(f, cache_dir, &log);
    assert_int_equal(log.warnings, 1);
    assert_non_null(strstr(log.last, text));
    attune_tune_options options = budget(3);
    options.progress = count_steps;
    options.progress_priv = &steps;
    const attune_problem *problems[] = {f->problem};
    attune_tune_result result;
    static attune_probe_result probe;
    assert_int_equal(attune_tune(f->target, problems, 1, &options, &result, NULL), ATTUNE_ERROR_IO);
    assert_non_null(strstr(attune_last_error(), text));
    assert_int_equal(attune_probe(f->target, &probe), ATTUNE_ERROR_IO);
    attune_kv_choice_options choice_options = ATTUNE_KV_CHOICE_OPTIONS_INIT;
    choice_options.num_slots = 1024;
    static attune_kv_choice choice;
    assert_int_equal(attune_kv_layout_choose(f->target, problems, 1, &choice_options, &choice), ATTUNE_ERROR_IO);
    assert_int_equal(steps, 0);
    attune_target_options where = ATTUNE_TARGET_OPTIONS_INIT;
    where.backend = "gpu";
    where.cache_dir = cache_dir;
    assert_int_equal(attune_tune_check(&where, problems, 1, &options), ATTUNE_ERROR_IO);
    char *unused;
    assert_int_equal(attune_cache_show(&where, "abcdef", &unused), ATTUNE_ERROR_IO);
    close_target(f);
    f->target = NULL;
}

static void no_folder_is_an_error_unless_asked_for(void **state)
{
    (void)state;
    struct fixture f;
    fixture_init(&f);
    set_script(DEVICE);
    char *home = getenv("HOME"), kept[512] = "";
    snprintf(kept, sizeof kept, "%s", home ? home : "");
    unsetenv("HOME");
    unsetenv("XDG_CACHE_HOME");
    unsetenv("ATTUNE_CACHE_DIR");
    refuses_at_the_start(&f, NULL, "none of ATTUNE_CACHE_DIR, XDG_CACHE_HOME and HOME is set");
    struct log log = {0};
    open_with(&f, "", &log);
    attune_tune_options options = budget(2);
    attune_tune_result result;
    attune_tune_summary summary;
    tune(&f, &options, &result, &summary);
    assert_true(result.time_ms > 0);
    assert_string_equal(summary.journal, "");
    assert_int_equal(log.warnings, 0);
    setenv("HOME", kept, 1);
    fixture_end(&f);
}

static void blocked_folder_is_an_error(void **state)
{
    (void)state;
    struct fixture f;
    fixture_init(&f);
    set_script(DEVICE);
    block_cache(&f);
    refuses_at_the_start(&f, f.cache, "Not a directory");
    fixture_end(&f);
}

/* What would be written there would be refused by readers. */
static void shared_folder_is_an_error(void **state)
{
    (void)state;
    struct fixture f;
    char entries[320];
    fixture_init(&f);
    set_script(DEVICE);
    snprintf(entries, sizeof entries, "%s/entries", f.cache);
    assert_true(!mkdir(f.cache, 0700) && !mkdir(entries, 0700) && !chmod(entries, 0777));
    refuses_at_the_start(&f, f.cache, "lets others write");
    fixture_end(&f);
}

/* A context serves without a cache, and says so once. */
static void contexts_say_it_once(void **state)
{
    (void)state;
    struct fixture f;
    char binaries[320];
    fixture_init(&f);
    set_script(DEVICE);
    for (int blocked = 0; blocked < 2; blocked++) {
        struct log log = {0};
        attune_context_options where = ATTUNE_CONTEXT_OPTIONS_INIT;
        where.backend = "gpu";
        where.cache_dir = f.cache;
        where.log = count_warning;
        where.log_priv = &log;
        if (blocked) {
            block_cache(&f);
        } else { /* it can be read, but no compiled kernel can be written */
            snprintf(binaries, sizeof binaries, "%s/binaries", f.cache);
            assert_int_equal(mkdir(f.cache, 0700), 0);
            FILE *file = fopen(binaries, "w");
            assert_non_null(file);
            fclose(file);
        }
        attune_context *context;
        check_ok(attune_context_create(&context, &where));
        assert_int_equal(log.warnings, blocked);
        for (int i = 0; i < 2; i++) {
            attune_attention_desc desc = *attune_problem_desc(f.problem);
            desc.operation = ATTUNE_PREFILL;
            desc.head_dim_qk = 32 << i;
            attune_plan *plan;
            check_ok(attune_plan_create(context, &desc, NULL, NULL, &plan));
            attune_plan_destroy(&plan);
        }
        attune_context_destroy(&context);
        assert_true(log.warnings == 1 || log.warnings == 1 + blocked);
        if (!blocked)
            assert_true(!unlink(binaries) && !rmdir(f.cache));
    }
    fixture_end(&f);
}

/* Storage that fails under way is the end's name, not a budget. */
static void failing_journal_is_the_end(void **state)
{
    (void)state;
    struct fixture f;
    fixture_init(&f);
    set_script(DEVICE);
    open_target(&f, "gpu");
    attune_tune_options options = budget(3);
    const attune_problem *problems[] = {f.problem};
    attune_tune_result result;
    attune_tune_summary summary;
    char path[320];
    snprintf(path, sizeof path, "%s/none/j.jsonl", f.cache);
    block_cache(&f);
    options.journal = path;
    assert_int_equal(attune_tune(f.target, problems, 1, &options, &result, &summary), ATTUNE_ERROR_IO);
    assert_non_null(strstr(attune_last_error(), "options.journal is"));
    assert_int_equal(unlink(f.cache), 0);
    options.journal = f.temp; /* is there already */
    assert_int_equal(attune_tune(f.target, problems, 1, &options, &result, &summary), ATTUNE_ERROR_IO);
    assert_non_null(strstr(attune_last_error(), "is there already"));
    /* The lock beside it is a folder: known only when it is opened. */
    snprintf(path, sizeof path, "%s/j.jsonl.lock", f.root);
    assert_int_equal(mkdir(path, 0700), 0);
    *strrchr(path, '.') = '\0';
    options.journal = path;
    assert_int_equal(attune_tune(f.target, problems, 1, &options, &result, &summary), ATTUNE_ERROR_IO);
    assert_int_equal(summary.end, ATTUNE_TUNE_STORAGE);
    assert_non_null(strstr(summary.reason, "j.jsonl.lock"));
    fixture_end(&f);
}

/* Last: the locale stays. */
static void explanations_have_points(void **state)
{
    (void)state;
    struct fixture f;
    fixture_init(&f);
    set_script(DEVICE);
    open_target(&f, "gpu");
    attune_tune_options options = budget(8); /* fewer make no portfolio */
    attune_tune_result result;
    attune_tune_summary summary;
    tune(&f, &options, &result, &summary);
    char *text;
    if (!set_comma_locale(f.root, "de_DE", "ISO-8859-1", ",")) {
        fixture_end(&f);
        skip();
    }
    check_ok(attune_cache_explain(f.target, f.problem, &text));
    if (!strstr(text, "20.23 ms"))
        fail_msg("%s", text);
    free(text);
    fixture_end(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(no_folder_is_an_error_unless_asked_for),
        cmocka_unit_test(blocked_folder_is_an_error),
        cmocka_unit_test(shared_folder_is_an_error),
        cmocka_unit_test(contexts_say_it_once),
        cmocka_unit_test(failing_journal_is_the_end),
        cmocka_unit_test(explanations_have_points),
    };
    use_virtual_clock();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
