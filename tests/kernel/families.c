/* SPDX-License-Identifier: Apache-2.0
 * Every family against the oracle: the sizes that bite, then random problems with random configurations of the space.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/base.h"
#include "check.h"
#include "context.h"

static attune_context *context;
static uint64_t seed = 20261;

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

static void must_hold(const char *problem, const char *config, const struct workload_options *options)
{
    const char *fault = check_problem(context, problem, config, options);
    if (fault)
        fail_msg("%s", fault);
}

/* True if config can run the problem here: constraints and limits. */
static bool valid_here(const char *problem_text, const struct kernel_config *config)
{
    attune_problem *problem;
    char why[160];
    assert_int_equal(attune_problem_parse(problem_text, &problem), ATTUNE_OK);
    struct kernel_facts facts = problem_facts(&problem->desc, problem->page_size, &context->choice);
    bool valid = backend_config_valid(&context->choice.limits, &facts, config, why, sizeof why);
    attune_problem_destroy(&problem);
    return valid;
}

/* A configuration drawn from the family's space that is valid for the problem; false if none was found. */
static bool draw_config(struct rng *rng, int family, const char *problem, struct kernel_config *out)
{
    const struct family *f = family_at(family);
    for (int attempt = 0; attempt < 2000; attempt++) {
        memset(out, 0, sizeof *out);
        out->family = family;
        for (int p = 0; p < f->num_params; p++)
            out->values[p] = f->params[p].values[rng_below(rng, (uint64_t)f->params[p].num_values)];
        if (valid_here(problem, out))
            return true;
    }
    return false;
}

/* Lengths around page, tile and vector boundaries; groups of 1, 3, 7 and 8; dims that are no multiple of a vector. */
static const char *const biting[] = {
    "prefill:hq=3,hkv=1,d=64,q=fp32,kv=fp32,prec=strict,causal=1,new=0/1/63/64/65,kvlen=7/1/64/63/65",
    "prefill:hq=7,hkv=1,d=128,q=fp32,kv=fp32,prec=strict,causal=0,new=31/33/2,kvlen=0/127/129",
    "prefill:hq=2,hkv=2,d=80,q=fp32,kv=fp32,prec=strict,causal=1,align=tl,new=40/9,kvlen=17/90",
    "prefill:hq=2,hkv=2,d=7,dv=13,q=fp32,kv=fp32,prec=strict,causal=1,new=19,kvlen=23",
    "prefill:hq=2,hkv=1,d=64,dv=128,q=fp32,kv=fp32,prec=strict,causal=0,new=33,kvlen=70",
    "prefill:hq=1,hkv=1,d=256,q=fp32,kv=fp32,prec=strict,causal=1,new=70",
    "extend:hq=8,hkv=1,d=128,q=fp32,kv=fp32,prec=strict,page=1,causal=1,prefix=0/1/127/128/129,new=16/0/1/33/64",
    "extend:hq=14,hkv=2,d=64,q=fp32,kv=fp32,prec=strict,page=1,causal=1,prefix=300/5,new=3/65",
    "extend:hq=4,hkv=4,d=64,q=fp32,kv=fp32,prec=strict,page=1,causal=0,prefix=0/64/200,new=32/31/1",
    "extend:hq=2,hkv=1,d=576,dv=512,q=fp32,kv=fp32,prec=strict,page=1,causal=1,prefix=40,new=9",
    "decode:hq=1,hkv=1,d=64,q=fp32,kv=fp32,prec=strict,page=0,kvlen=0/1/15/16/17/31/32/33/63/64/65",
    "decode:hq=6,hkv=2,d=80,q=fp16,kv=fp16,prec=strict,page=1,kvlen=16/0/200/1",
    "decode:hq=14,hkv=2,d=64,q=bf16,kv=fp16,o=fp32,prec=strict,page=1,causal=1,new=1/2/3/5/9,kvlen=17/2/64/5/131",
    "decode:hq=8,hkv=1,d=128,q=fp16,kv=bf16,o=bf16,prec=strict,page=0,causal=1,new=4/3/0/1,kvlen=300/2/5/129",
    "decode:hq=8,hkv=2,d=96,q=fp32,kv=bf16,o=fp16,prec=strict,page=0,causal=0,new=2/7,kvlen=130/33",
    "decode:hq=32,hkv=1,d=256,q=bf16,kv=bf16,prec=strict,page=1,kvlen=70",
    "decode:hq=16,hkv=1,d=576,dv=512,q=fp16,kv=fp16,prec=strict,page=1,kvlen=49",
    "decode:hq=8,hkv=4,d=64,q=fp16,kv=fp16,prec=strict,page=1,kvlen=600/0/256/257",
    "decode:hq=4,hkv=1,d=64,dv=128,q=fp16,kv=fp16,prec=strict,page=0,kvlen=3000/40",
};

static void sizes_that_bite(void **state)
{
    (void)state;
    struct rng rng;
    rng_seed(&rng, seed);
    for (size_t i = 0; i < sizeof biting / sizeof biting[0]; i++)
        for (int family = 0; family < family_count(); family++) {
            struct workload_options options = WORKLOAD_OPTIONS_INIT;
            options.seed = seed + i;
            options.pad = i % 2 ? 4 : 0;
            options.offset = i % 3 ? 4 : 0;
            struct kernel_config config;
            char text[ATTUNE_CONFIG_TEXT_MAX];
            if (!draw_config(&rng, family, biting[i], &config))
                continue;
            kernel_config_format(&config, text, sizeof text);
            must_hold(biting[i], text, &options);
        }
}

/* A configuration of each family that takes the problem: four magnitudes, logits beyond +-1e3, and hard patterns. */
static void all_patterns(const char *problem)
{
    static const float magnitudes[] = {1e-3f, 1.0f, 4.0f, 30.0f};
    for (int family = 0; family < family_count(); family++) {
        struct kernel_config config;
        char text[ATTUNE_CONFIG_TEXT_MAX];
        struct rng rng;
        rng_seed(&rng, seed + 77);
        if (!draw_config(&rng, family, problem, &config))
            continue;
        kernel_config_format(&config, text, sizeof text);
        for (int pattern = 0; pattern < PATTERN_COUNT; pattern++)
            for (size_t m = 0; m < sizeof magnitudes / sizeof magnitudes[0]; m++) {
                struct workload_options options = WORKLOAD_OPTIONS_INIT;
                options.seed = seed;
                options.pattern = (enum workload_pattern)pattern;
                options.magnitude = magnitudes[m];
                must_hold(problem, text, &options);
            }
    }
}

static void magnitudes_and_patterns(void **state)
{
    (void)state;
    all_patterns("extend:hq=4,hkv=2,d=64,q=fp32,kv=fp32,prec=strict,page=1,causal=1,prefix=0/37/130,new=20/33/40");
    all_patterns("decode:hq=8,hkv=2,d=64,q=fp32,kv=fp32,prec=strict,page=0,new=2/1/2,kvlen=40/200/1");
}

static int draw(struct rng *rng, int low, int high)
{
    return low + (int)rng_below(rng, (uint64_t)(high - low + 1));
}

static void draw_problem(struct rng *rng, char *text, size_t size)
{
    static const int dims[] = {64, 128, 64, 128, 32, 96};
    bool extend = rng_below(rng, 2);
    int batch = draw(rng, 1, 4), hkv = draw(rng, 1, 3), group = draw(rng, 1, 8);
    int length = snprintf(text, size, "%s:hq=%d,hkv=%d,d=%d,q=fp32,kv=fp32,prec=strict,causal=%d%s,batch=%d",
                          extend ? "extend" : "prefill", hkv * group, hkv, dims[rng_below(rng, 6)], draw(rng, 0, 1),
                          extend ? ",page=1" : "", batch);
    for (int list = 0; list < 2; list++)
        for (int i = 0; i < batch; i++)
            length += snprintf(text + length, size - (size_t)length, "%s%d",
                               i        ? "/"
                               : !list  ? ",new="
                               : extend ? ",prefix="
                                        : ",kvlen=",
                               draw(rng, 0, draw(rng, 1, 150)));
}

static void random_problems(void **state)
{
    (void)state;
    struct rng rng;
    rng_seed(&rng, seed + 1000);
    const char *count = getenv("TEST_COUNT");
    for (int i = 0, n = count ? atoi(count) : 12; i < n; i++) {
        char problem[512], text[ATTUNE_CONFIG_TEXT_MAX];
        draw_problem(&rng, problem, sizeof problem);
        for (int family = 0; family < family_count(); family++) {
            struct kernel_config config;
            struct workload_options options = WORKLOAD_OPTIONS_INIT;
            options.seed = seed + (uint64_t)i;
            options.pad = draw(&rng, 0, 1) * 4;
            options.offset = draw(&rng, 0, 1) * 8;
            if (!draw_config(&rng, family, problem, &config))
                continue;
            kernel_config_format(&config, text, sizeof text);
            must_hold(problem, text, &options);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sizes_that_bite),
        cmocka_unit_test(magnitudes_and_patterns),
        cmocka_unit_test(random_problems),
    };
    return cmocka_run_group_tests(tests, open_context, close_context);
}
