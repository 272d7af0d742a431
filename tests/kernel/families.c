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
#include "host_features.h"

static attune_context *context;
static uint64_t seed = 20261;

static int open_context(void **state)
{
    (void)state;
    const char *backend = getenv("TEST_BACKEND"), *text = getenv("TEST_SEED");
    if (text)
        seed = strtoull(text, NULL, 10);
    context = check_context(backend ? backend : "cpu");
    context->choice.limits.features |= host_features(context);
    print_message("seed %llu (TEST_SEED)\n", (unsigned long long)seed);
    return 0;
}

static int close_context(void **state)
{
    (void)state;
    attune_context_destroy(&context);
    return 0;
}

/* Each way to widen fp16 that runs here, in turn. */
static void next_half_load(void)
{
    int32_t last = context->choice.limits.features & FEATURE_F16C ? HALF_LOAD_F16C : HALF_LOAD_VLOAD;
    int32_t *half_load = &context->choice.limits.half_load;
    *half_load = *half_load == last ? HALF_LOAD_INTEGER : *half_load + 1;
}

static void must_hold(const char *problem, const char *config, const struct workload_options *options)
{
    const char *fault = check_problem(context, problem, config, options);
    if (fault)
        fail_msg("%s", fault);
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
    "extend:hq=4,hkv=2,d=64,q=fp32,kv=fp32,prec=strict,page=16,prefix=0/15/16/17/64,new=1/33/0/2/17",
    "extend:hq=3,hkv=3,d=64,q=fp32,kv=fp32,prec=strict,page=3,order=hnd,table=1,prefix=100/1/2/3/4,new=5/1/1/0/64",
    "extend:hq=4,hkv=2,d=64,q=fp32,kv=fp32,prec=strict,page=16,order=hnd,kvpad=24,prefix=0/15/16/17/64,new=1/33/0/2/17",
    "prefill:hq=3,hkv=1,d=64,q=fp16,kv=fp16,o=fp16,prec=strict,causal=1,new=0/1/63/64/65,kvlen=7/1/64/63/65",
    "prefill:hq=2,hkv=2,d=7,dv=13,q=bf16,kv=fp16,o=fp16,prec=strict,causal=1,new=19,kvlen=23",
    "prefill:hq=2,hkv=1,d=64,dv=128,q=fp16,kv=bf16,o=fp32,prec=strict,causal=0,new=33,kvlen=70",
    "prefill:hq=2,hkv=2,d=80,q=bf16,kv=bf16,o=bf16,prec=fast,causal=1,align=tl,new=40/9,kvlen=17/90",
    "extend:hq=8,hkv=1,d=128,q=bf16,kv=bf16,o=bf16,prec=fast,page=1,causal=1,prefix=0/1/127/128/129,new=16/0/1/33/64",
    "extend:hq=14,hkv=2,d=64,q=fp32,kv=bf16,o=fp16,prec=fast,page=1,causal=1,prefix=300/5,new=3/65",
    "extend:hq=4,hkv=4,d=96,q=fp16,kv=fp32,o=bf16,prec=strict,page=1,causal=0,prefix=0/64/200,new=32/31/1",
    "extend:hq=2,hkv=1,d=576,dv=512,q=bf16,kv=bf16,o=bf16,prec=fast,page=1,causal=1,prefix=40,new=9",
    "decode:hq=1,hkv=1,d=64,q=fp32,kv=fp32,prec=strict,page=0,kvlen=0/1/15/16/17/31/32/33/63/64/65",
    "decode:hq=6,hkv=2,d=80,q=fp16,kv=fp16,prec=strict,page=1,kvlen=16/0/200/1",
    "decode:hq=14,hkv=2,d=64,q=bf16,kv=fp16,o=fp32,prec=strict,page=1,causal=1,new=1/2/3/5/9,kvlen=17/2/64/5/131",
    "decode:hq=8,hkv=1,d=128,q=fp16,kv=bf16,o=bf16,prec=strict,page=0,causal=1,new=4/3/0/1,kvlen=300/2/5/129",
    "decode:hq=8,hkv=2,d=96,q=fp32,kv=bf16,o=fp16,prec=strict,page=0,causal=0,new=2/7,kvlen=130/33",
    "decode:hq=32,hkv=1,d=256,q=bf16,kv=bf16,prec=strict,page=1,kvlen=70",
    "decode:hq=16,hkv=1,d=576,dv=512,q=fp16,kv=fp16,prec=strict,page=1,kvlen=49",
    "decode:hq=8,hkv=4,d=64,q=fp16,kv=fp16,prec=strict,page=1,kvlen=600/0/256/257",
    "decode:hq=4,hkv=1,d=64,dv=128,q=fp16,kv=fp16,prec=strict,page=0,kvlen=3000/40",
    "decode:hq=16,hkv=8,d=64,q=fp16,kv=fp16,prec=strict,page=16,kvlen=0/1/15/16/17/63/64/65/700",
    "decode:hq=8,hkv=4,d=64,q=bf16,kv=bf16,prec=strict,page=16,order=hnd,kvpad=24,causal=1,new=2/1,kvlen=33/300",
    "decode:hq=12,hkv=6,d=128,dv=64,q=fp16,kv=fp16,prec=strict,page=3,table=1,kvlen=100/2/400",
};

static void sizes_that_bite(void **state)
{
    (void)state;
    struct rng rng;
    rng_seed(&rng, seed);
    /* Compiling takes the time: usually each problem meets every other family, or every TEST_STEP-th. */
    const char *given = getenv("TEST_STEP");
    int step = getenv("TEST_LONG") ? 1 : given && atoi(given) > 0 ? atoi(given) : 2;
    for (int i = 0; i < (int)(sizeof biting / sizeof biting[0]); i++)
        for (int family = i % step; family < family_count(); family += step) {
            struct workload_options options = WORKLOAD_OPTIONS_INIT;
            options.seed = seed + (uint64_t)i;
            options.pad = i % 2 ? 4 : 0;
            options.offset = i % 3 ? 4 : 0;
            next_half_load();
            struct kernel_config config;
            char text[ATTUNE_CONFIG_TEXT_MAX];
            if (!check_draw_config(context, &rng, family, biting[i], &config))
                continue;
            kernel_config_format(&config, text, sizeof text);
            must_hold(biting[i], text, &options);
        }
}

/* Random configurations seldom take all heads of a key, and all eight want wrong heads to show. */
static void heads_by_turns(void **state)
{
    (void)state;
    static const char problem[] = "decode:hq=16,hkv=8,d=64,q=fp16,kv=fp16,prec=strict,page=16,kvlen=0/17/700";
    const struct workload_options options = WORKLOAD_OPTIONS_INIT;
    must_hold(problem, "decode_simt:WG_SIZE=32,HEAD_GROUPS=8", &options);
    if (!strcmp(context->choice.backend->name, "cpu"))
        must_hold(problem, "decode_vector:HEAD_GROUPS=8", &options);
}

/* Default values of each family that takes the usual shapes: four magnitudes, logits beyond +-1e3, and hard patterns.
 */
static void check_patterns(const char *problem)
{
    static const float magnitudes[] = {1e-3f, 1.0f, 4.0f, 30.0f};
    for (int family = 0; family < family_count(); family++) {
        struct kernel_config config;
        char text[ATTUNE_CONFIG_TEXT_MAX];
        struct rng rng;
        rng_seed(&rng, seed + 77);
        if (!check_draw_config(context, &rng, family, problem, &config))
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
    check_patterns("extend:hq=4,hkv=2,d=64,q=fp32,kv=fp32,prec=strict,page=1,causal=1,prefix=0/37/130,new=20/33/40");
    next_half_load();
    check_patterns("extend:hq=4,hkv=2,d=64,q=fp16,kv=fp16,o=fp16,prec=strict,page=1,prefix=0/37/130,new=20/33/40");
    check_patterns("extend:hq=4,hkv=2,d=64,q=bf16,kv=bf16,o=bf16,prec=fast,page=1,prefix=0/37/130,new=20/33/40");
    check_patterns("decode:hq=8,hkv=2,d=64,q=fp32,kv=fp32,prec=strict,page=0,new=2/1/2,kvlen=40/200/1");
}

static int draw(struct rng *rng, int low, int high)
{
    return low + (int)rng_below(rng, (uint64_t)(high - low + 1));
}

static void draw_problem(struct rng *rng, char *text, size_t size)
{
    static const int dims[] = {64, 128, 64, 128, 32, 96};
    static const char *const types[] = {"fp32", "fp16", "bf16"}, *const precisions[] = {"strict", "fast"};
    const char *q = types[rng_below(rng, 3)], *kv = types[rng_below(rng, 3)], *o = types[rng_below(rng, 3)];
    const char *precision = precisions[rng_below(rng, 2)];
    bool extend = rng_below(rng, 2);
    int batch = draw(rng, 1, 4), hkv = draw(rng, 1, 3), group = draw(rng, 1, 8);
    int length = snprintf(text, size, "%s:hq=%d,hkv=%d,d=%d,q=%s,kv=%s,o=%s,prec=%s,causal=%d%s,batch=%d",
                          extend ? "extend" : "prefill", hkv * group, hkv, dims[rng_below(rng, 6)], q, kv, o, precision,
                          draw(rng, 0, 1), extend ? ",page=1" : "", batch);
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
    for (int i = 0, n = count ? atoi(count) : getenv("TEST_LONG") ? 40 : 4; i < n; i++) {
        char problem[512], text[ATTUNE_CONFIG_TEXT_MAX];
        draw_problem(&rng, problem, sizeof problem);
        next_half_load();
        for (int family = 0; family < family_count(); family++) {
            struct kernel_config config;
            struct workload_options options = WORKLOAD_OPTIONS_INIT;
            options.seed = seed + (uint64_t)i;
            options.pad = draw(&rng, 0, 1) * 4;
            options.offset = draw(&rng, 0, 1) * 8;
            if (!check_draw_config(context, &rng, family, problem, &config))
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
        cmocka_unit_test(heads_by_turns),
        cmocka_unit_test(magnitudes_and_patterns),
        cmocka_unit_test(random_problems),
    };
    return cmocka_run_group_tests(tests, open_context, close_context);
}
