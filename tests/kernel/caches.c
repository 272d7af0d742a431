/* SPDX-License-Identifier: Apache-2.0
 * Every family on every kind of KV cache: pages of any size, CSR and block tables, both orders, strides that are packed
 * or not; decode with pages, slots and contiguous keys.
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

static attune_context *context;
static uint64_t seed = 20263;

static int open_context(void **state)
{
    (void)state;
    const char *backend = getenv("TEST_BACKEND"), *text = getenv("TEST_SEED");
    if (text)
        seed = strtoull(text, NULL, 10);
    context = check_context(backend ? backend : "cpu");
    print_message("seed %llu (TEST_SEED)\n", (unsigned long long)seed);
    return 0;
}

static int close_context(void **state)
{
    (void)state;
    attune_context_destroy(&context);
    return 0;
}

/* What a run-time argument decides: one program per family serves them all, but for slots and pages. */
static const struct {
    const char *fields;
    int32_t page_pad;
} caches[] = {
    {"page=1", 0},         {"page=1,order=hnd,table=1", 0},
    {"page=16", 0},        {"page=16,order=hnd", 3},
    {"page=3,table=1", 0}, {"page=64,order=hnd,table=1", 0},
    {"page=48", 8},        {"page=1024,table=1", 0}, /* a padded batch */
};

/* Lengths around the pages' boundaries, none at all, and more than a tile. */
static const char *const lengths[] = {
    "extend:prefix=0/1/16/47/129,new=5/0/33/1/2",
    "decode:kvlen=0/1/64/65/130,new=1/1/1/3/0",
};

/* Runs each family that takes it with one configuration on each cache of one operation. */
static void on_every_cache(const char *operation, const char *fields, bool plain_only)
{
    struct rng rng;
    rng_seed(&rng, seed);
    const char *colon = strchr(operation, ':');
    for (int family = 0; family < family_count(); family++) {
        struct kernel_config config = {0};
        int previous = -1, runs = 0;
        if (plain_only && strcmp(family_at(family)->name, "plain_row"))
            continue;
        for (size_t i = 0; i < sizeof caches / sizeof caches[0]; i++) {
            char problem[256], text[ATTUNE_CONFIG_TEXT_MAX];
            struct workload_options options = WORKLOAD_OPTIONS_INIT;
            options.seed = seed + i;
            options.page_pad = caches[i].page_pad;
            options.pad = i % 2 ? 4 : 0;
            options.offset = i % 3 ? 4 : 0;
            snprintf(problem, sizeof problem, "%.*s:%s,%s,%s", (int)(colon - operation), operation, fields,
                     caches[i].fields, colon + 1);
            int paged = i >= 2;
            if (paged != previous && !check_draw_config(context, &rng, family, problem, &config))
                continue;
            previous = paged;
            kernel_config_format(&config, text, sizeof text);
            const char *fault = check_problem(context, problem, text, &options);
            if (fault)
                fail_msg("%s", fault);
            runs++;
        }
        print_message("%s %s: %d caches\n", family_at(family)->name, fields, runs);
    }
}

static void extend_on_every_cache(void **state)
{
    (void)state;
    on_every_cache(lengths[0], "hq=4,hkv=2,d=64,q=fp32,kv=fp32", false);
}

static void decode_on_every_cache(void **state)
{
    (void)state;
    on_every_cache(lengths[1], "hq=4,hkv=2,d=64,q=fp32,kv=fp32", false);
}

static void half_types_on_every_cache(void **state)
{
    (void)state;
    on_every_cache(lengths[1], "hq=8,hkv=2,d=80,q=fp16,kv=fp16", true);
    on_every_cache(lengths[1], "hq=3,hkv=1,d=64,dv=40,q=bf16,kv=bf16,prec=fast", true);
    on_every_cache(lengths[0], "hq=2,hkv=2,d=64,q=fp16,kv=bf16,o=fp32", true);
}

/* All keys in rows that follow each other: no layout, no page table. */
static void decode_takes_contiguous_keys(void **state)
{
    (void)state;
    static const char *const problems[] = {
        "decode:hq=4,hkv=2,d=64,q=fp32,kv=fp32,page=0,kvlen=0/1/64/65/130,new=1/1/1/3/0",
        "decode:hq=8,hkv=1,d=128,q=fp16,kv=fp16,page=0,kvlen=200/7,new=1",
        "decode:hq=8,hkv=1,d=128,q=bf16,kv=bf16,o=fp32,page=0,kvlen=200/7,new=1,causal=0",
    };
    struct rng rng;
    rng_seed(&rng, seed + 1);
    for (size_t i = 0; i < sizeof problems / sizeof problems[0]; i++)
        for (int family = 0; family < family_count(); family++) {
            struct kernel_config config;
            char text[ATTUNE_CONFIG_TEXT_MAX];
            struct workload_options options = WORKLOAD_OPTIONS_INIT;
            options.seed = seed + i;
            options.pad = i ? 8 : 0;
            if (!check_draw_config(context, &rng, family, problems[i], &config))
                continue;
            kernel_config_format(&config, text, sizeof text);
            const char *fault = check_problem(context, problems[i], text, &options);
            if (fault)
                fail_msg("%s", fault);
        }
}

/* Debug mode finds nothing wrong with good tables. */
static void good_tables_are_valid(void **state)
{
    (void)state;
    static const char *const fields[] = {"page=1", "page=16", "page=3,table=1", "page=48,order=hnd"};
    if (!cl_device_is_pocl(&context->choice.device)) /* the scripted driver knows the attention kernels only */
        skip();
    for (size_t i = 0; i < sizeof fields / sizeof fields[0]; i++) {
        char problem[160];
        struct check_run run;
        struct workload_options options = WORKLOAD_OPTIONS_INIT;
        attune_plan_options plan_options = ATTUNE_PLAN_OPTIONS_INIT;
        plan_options.force_config = "plain_row:WG_SIZE=64";
        plan_options.validate = 1;
        snprintf(problem, sizeof problem, "extend:hq=4,hkv=2,d=64,%s,prefix=0/1/16/47/129,new=5/0/33/1/2", fields[i]);
        attune_status status = check_run_create(context, problem, &plan_options, &options, &run);
        if (status == ATTUNE_OK && (status = check_run_enqueue(&run, seed)) == ATTUNE_OK)
            status = check_run_compare(&run, seed);
        if (status != ATTUNE_OK)
            fail_msg("%s: %s", problem, attune_last_error());
        check_run_destroy(&run);
    }
}

static void random_caches(void **state)
{
    (void)state;
    struct rng rng;
    rng_seed(&rng, seed + 2);
    const char *count = getenv("TEST_COUNT");
    for (int i = 0, n = count ? atoi(count) : getenv("TEST_LONG") ? 24 : 3; i < n; i++) {
        char problem[256], text[ATTUNE_CONFIG_TEXT_MAX];
        int page_size = 1 + (int)rng_below(&rng, rng_below(&rng, 2) ? 8 : 100);
        snprintf(problem, sizeof problem,
                 "%s:hq=6,hkv=%d,d=64,page=%d,order=%s,table=%d,causal=%d,%s=%d/%d/%d,new=%d/1/%d",
                 i % 2 ? "decode" : "extend", 1 + (int)rng_below(&rng, 3), page_size,
                 rng_below(&rng, 2) ? "hnd" : "nhd", (int)rng_below(&rng, 2), (int)rng_below(&rng, 2),
                 i % 2 ? "kvlen" : "prefix", (int)rng_below(&rng, 300), (int)rng_below(&rng, 100),
                 page_size * (int)rng_below(&rng, 4), (int)rng_below(&rng, 40), (int)rng_below(&rng, 5));
        for (int family = 0; family < family_count(); family++) {
            struct kernel_config config;
            struct workload_options options = WORKLOAD_OPTIONS_INIT;
            options.seed = seed + (uint64_t)i;
            options.page_pad = (int32_t)rng_below(&rng, 2) * 5;
            options.slack_pages = (int32_t)rng_below(&rng, 3);
            if (!check_draw_config(context, &rng, family, problem, &config))
                continue;
            kernel_config_format(&config, text, sizeof text);
            const char *fault = check_problem(context, problem, text, &options);
            if (fault)
                fail_msg("%s", fault);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(extend_on_every_cache),     cmocka_unit_test(decode_on_every_cache),
        cmocka_unit_test(half_types_on_every_cache), cmocka_unit_test(decode_takes_contiguous_keys),
        cmocka_unit_test(good_tables_are_valid),     cmocka_unit_test(random_caches),
    };
    return cmocka_run_group_tests(tests, open_context, close_context);
}
