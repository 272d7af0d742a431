/* SPDX-License-Identifier: Apache-2.0
 * Kernels that a driver does not compile, on the scripted driver: simt_tile fails to build, decode_simt to launch. Plans take the next
 * that works, say so, and remember it; with TEST_NOTHING_COMPILES set nothing does, and the failure is the compiler's. */
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
#include "portfolio.h"
#include "select.h"

#define SIMT "simt_tile:WG_SIZE=64"
#define OK(call)                                                                             \
    do {                                                                                     \
        attune_status status_ = (call);                                                      \
        if (status_ != ATTUNE_OK)                                                            \
            fail_msg("%s: %s: %s", #call, attune_status_name(status_), attune_last_error()); \
    } while (0)

static char folder[64], warnings[4096];
static attune_context *context;

static void keep_warning(void *priv, attune_log_level level, const char *message)
{
    (void)priv;
    if (level == ATTUNE_LOG_WARNING)
        snprintf(warnings + strlen(warnings), sizeof warnings - strlen(warnings), "%s\n", message);
}

static void open_context(void)
{
    attune_context_options options = ATTUNE_CONTEXT_OPTIONS_INIT;
    options.backend = "gpu";
    options.cache_dir = folder;
    options.log = keep_warning;
    warnings[0] = '\0';
    OK(attune_context_create(&context, &options));
}

static int start(void **state)
{
    (void)state;
    strcpy(folder, "/tmp/attune-test-compile-XXXXXX");
    if (!mkdtemp(folder))
        return -1;
    open_context();
    return 0;
}

static int end(void **state)
{
    (void)state;
    char command[96];
    attune_context_destroy(&context);
    snprintf(command, sizeof command, "rm -rf %s", folder);
    return system(command);
}

static void reopen(void)
{
    attune_context_destroy(&context);
    open_context();
}

/* Some other program, or the same one on its next day. */
static const attune_shape shape = {1, 64, 64};

static attune_attention_desc prefill(void)
{
    attune_attention_desc desc = ATTUNE_ATTENTION_DESC_INIT;
    desc.num_q_heads = desc.num_kv_heads = 2;
    desc.head_dim_qk = 64;
    return desc;
}

static attune_status make(attune_policy policy, const char *config, attune_plan **plan)
{
    const attune_attention_desc desc = prefill();
    attune_plan_options options = ATTUNE_PLAN_OPTIONS_INIT;
    options.policy = policy;
    options.shapes = &shape;
    options.num_shapes = 1;
    options.force_config = config;
    return attune_plan_create(context, &desc, NULL, &options, plan);
}

static void expect(const char *family, const char *source)
{
    attune_plan *plan;
    OK(make(ATTUNE_ESTIMATE, NULL, &plan));
    assert_int_equal(attune_plan_num_configs(plan), 1);
    const char *config = attune_plan_config(plan, 0);
    if (strncmp(config, family, strlen(family)) != 0 || strcmp(attune_plan_source(plan, 0), source) != 0)
        fail_msg("%s from \"%s\" answers, not %s from \"%s\"", config, attune_plan_source(plan, 0), family, source);
    attune_plan_destroy(&plan);
}

static struct shape_bucket bucket(void)
{
    const attune_attention_desc desc = prefill();
    return shape_bucket_uniform(&desc, shape.batch, shape.q_len, shape.kv_len);
}

static void store(const char *config)
{
    attune_problem *problem;
    OK(attune_problem_parse("prefill:hq=2,hkv=2,d=64,causal=1,new=64", &problem));
    OK(check_store_entry(context, problem, bucket(), "", config));
    attune_problem_destroy(&problem);
}

static void the_next_default_that_compiles(void **state)
{
    (void)state;
    expect("vector_tile", "default"); /* decode_simt is for decodes */
    assert_non_null(strstr(warnings, "simt_tile"));
    assert_non_null(strstr(warnings, "error: planted")); /* the compiler's words */
    assert_non_null(strstr(warnings, "vector_tile"));
    reopen();
    expect("vector_tile", "default");
    assert_string_equal(warnings, ""); /* remembered: it was not tried again */
}

/* A work-group that the driver does not launch is as bad. */
static void what_does_not_launch(void **state)
{
    (void)state;
    attune_kv_layout_options cache = ATTUNE_KV_LAYOUT_OPTIONS_INIT;
    cache.num_kv_heads = 2;
    cache.head_dim_qk = 64;
    cache.num_slots = 64;
    attune_kv_layout *layout;
    attune_plan *plan;
    OK(attune_kv_layout_create(context, &cache, &layout));
    attune_attention_desc desc = prefill();
    desc.operation = ATTUNE_DECODE;
    OK(attune_plan_create(context, &desc, layout, NULL, &plan));
    assert_null(strstr(attune_plan_config(plan, 0), "simt"));
    assert_non_null(strstr(warnings, "decode_simt"));
    assert_non_null(strstr(warnings, "CL_INVALID_WORK_GROUP_SIZE"));
    attune_plan_destroy(&plan);
    attune_kv_layout_destroy(&layout);
}

static int entries;

static int look(void *priv, const attune_cache_entry_info *entry)
{
    (void)priv;
    entries++;
    assert_non_null(strstr(entry->config, "simt_tile"));
    assert_non_null(strstr(entry->set_aside, "error: planted"));
    return 0;
}

static void a_stored_winner_is_set_aside(void **state)
{
    (void)state;
    attune_plan *plan;
    store(SIMT);
    reopen();
    assert_int_equal(make(ATTUNE_CACHED_ONLY, NULL, &plan), ATTUNE_ERROR_NOT_TUNED);
    if (!strstr(attune_last_error(), "error: planted") || !strstr(attune_last_error(), "set aside"))
        fail_msg("%s", attune_last_error());
    expect("vector_tile", "default");
    reopen();
    expect("vector_tile", "default");
    assert_string_equal(warnings, "");
    attune_target_options where = ATTUNE_TARGET_OPTIONS_INIT;
    where.cache_dir = folder;
    entries = 0;
    OK(attune_cache_list(&where, look, NULL, NULL));
    assert_int_equal(entries, 1); /* it is not deleted */
    /* A winner that compiles answers again. */
    store("plain_row:WG_SIZE=32");
    expect("plain_row:WG_SIZE=32", "tuned");
}

/* Of several configurations that were measured on the shape, the best that compiles. */
static void a_row_of_the_portfolio(void **state)
{
    (void)state;
    struct cache_key key = {0};
    struct portfolio portfolio = {0};
    const attune_attention_desc desc = prefill();
    struct kernel_config configs[3];
    const double times[3] = {1, 3, 2};
    OK(kernel_config_parse(SIMT, &configs[0]));
    OK(kernel_config_parse("plain_row:WG_SIZE=32", &configs[1]));
    OK(kernel_config_parse("plain_row:WG_SIZE=64", &configs[2]));
    select_device_key(&context->choice, &key);
    select_problem_key(&desc, "", bucket(), &key);
    assert_true(portfolio_put(&portfolio, bucket(), configs, times, 3));
    OK(portfolio_store(context->cache, &key, &portfolio));
    expect("plain_row:WG_SIZE=64", "tuned");
    assert_non_null(strstr(warnings, "simt_tile"));
    struct aside aside;
    aside_find(context->cache, &key, &aside);
    assert_int_equal(aside.count, 1);
    OK(aside_forget(context->cache, &key, &configs[1]));
    aside_find(context->cache, &key, &aside);
    assert_int_equal(aside.count, 1);
    OK(aside_forget(context->cache, &key, &configs[0]));
    aside_find(context->cache, &key, &aside);
    assert_int_equal(aside.count, 0);
}

static void a_forced_configuration_fails(void **state)
{
    (void)state;
    attune_plan *plan;
    assert_int_equal(make(ATTUNE_ESTIMATE, SIMT, &plan), ATTUNE_ERROR_BUILD);
    assert_non_null(strstr(attune_last_build_log(), "error: planted"));
    assert_null(plan);
}

/* More than are kept: the oldest go. */
static void the_list_is_bounded(void **state)
{
    (void)state;
    struct aside aside = {0};
    struct kernel_config config = {0};
    for (int i = 0; i < ASIDE_MAX + 3; i++) {
        config.values[0] = i;
        aside_add(&aside, &config, "caf\xc3\xa9\tbroken");
    }
    assert_int_equal(aside.count, ASIDE_MAX);
    config.values[0] = 2;
    assert_null(aside_why(&aside, &config));
    config.values[0] = 3;
    assert_string_equal(aside_why(&aside, &config), "caf???broken");
}

/* Then the machine is to blame, not its kernels: nothing is remembered against them. */
static void nothing_compiles(void **state)
{
    (void)state;
    attune_plan *plan;
    struct cache_key key = {0};
    struct aside aside;
    const attune_attention_desc desc = prefill();
    assert_int_equal(make(ATTUNE_ESTIMATE, NULL, &plan), ATTUNE_ERROR_BUILD);
    assert_null(plan);
    assert_non_null(strstr(attune_last_error(), "no configuration compiles here"));
    assert_non_null(strstr(attune_last_build_log(), "error: planted"));
    assert_non_null(strstr(warnings, "plain_row"));
    select_device_key(&context->choice, &key);
    select_problem_key(&desc, "", bucket(), &key);
    aside_find(context->cache, &key, &aside);
    assert_int_equal(aside.count, 0);
}

int main(void)
{
    const struct CMUnitTest some[] = {
        cmocka_unit_test_setup_teardown(the_next_default_that_compiles, start, end),
        cmocka_unit_test_setup_teardown(what_does_not_launch, start, end),
        cmocka_unit_test_setup_teardown(a_stored_winner_is_set_aside, start, end),
        cmocka_unit_test_setup_teardown(a_row_of_the_portfolio, start, end),
        cmocka_unit_test_setup_teardown(a_forced_configuration_fails, start, end),
        cmocka_unit_test(the_list_is_bounded),
    };
    const struct CMUnitTest none[] = {cmocka_unit_test_setup_teardown(nothing_compiles, start, end)};
    if (getenv("TEST_NOTHING_COMPILES"))
        return cmocka_run_group_tests(none, NULL, NULL);
    return cmocka_run_group_tests(some, NULL, NULL);
}
