/* SPDX-License-Identifier: Apache-2.0
 *
 * How often the contract refuses the families: each with configurations drawn at random, one plan each, on many draws
 * of values. More than one refusal in 10,000 checks is a failure; each is printed with what makes it again. tests/gate
 * plays kernels on the host instead, with more freedom.
 *
 *   kernel-gate [DRAWS [SEED]]   of values, for each problem and family */
#include <stdio.h>
#include <stdlib.h>

#include "check.h"
#include "context.h"
#include "host_features.h"

static const char *const problems[] = {
    "prefill:hq=4,hkv=2,d=64,q=fp32,kv=fp32,prec=strict,new=1/3/17/5/2,kvlen=1/8/81/2/40",
    "prefill:hq=2,hkv=2,d=72,q=fp16,kv=fp16,o=fp16,prec=strict,causal=0,new=1/1/9,kvlen=3/2/60",
    "prefill:hq=4,hkv=2,d=80,q=bf16,kv=bf16,o=fp32,prec=fast,new=1/3/17/5/2,kvlen=1/8/81/2/40",
    "extend:hq=7,hkv=1,d=128,q=bf16,kv=bf16,o=bf16,prec=fast,page=16,prefix=0/5/64/129,new=1/3/17/1",
    "extend:hq=2,hkv=1,d=16,q=fp32,kv=bf16,o=fp32,prec=fast,page=1,prefix=0/1/30/2,new=1/1/4/7",
    "decode:hq=8,hkv=4,d=64,q=fp16,kv=fp16,prec=strict,page=16,kvlen=1/2/3/0/31/300/600",
    "decode:hq=4,hkv=1,d=32,q=fp32,kv=fp32,prec=strict,page=0,new=2/1/3,kvlen=5/40/1000",
};

struct tally {
    long checks, refused;
};

static struct workload_options draw_values(struct rng *rng)
{
    static const float normal[] = {1e-3f, 0.0625f, 1, 2, 4, 8, 16, 50, 128}, dominant[] = {0.3f, 1, 3, 10, 100, 500};
    struct workload_options out = WORKLOAD_OPTIONS_INIT;
    out.seed = rng_next(rng) >> 1;
    out.pattern = (enum workload_pattern)rng_below(rng, PATTERN_COUNT);
    out.magnitude = normal[rng_below(rng, 9)];
    if (out.pattern == PATTERN_DOMINANT_KEY)
        out.magnitude = dominant[rng_below(rng, 6)];
    if (out.pattern == PATTERN_CANCELLATION && out.magnitude > 4)
        out.magnitude = 4;
    return out;
}

/* An error of the run's, not of a value's, ends the program. */
static void must(attune_status status, const char *problem, const char *config)
{
    if (status == ATTUNE_OK)
        return;
    fprintf(stderr, "%s\n  %s\n  %s\n%.1000s\n", attune_last_error(), problem, config, attune_last_build_log());
    exit(1);
}

static void check_config(attune_context *context, struct rng *rng, const char *problem, const char *config, int draws,
                         struct tally *tally)
{
    struct check_run run;
    attune_plan_options plan_options = ATTUNE_PLAN_OPTIONS_INIT;
    plan_options.force_config = config;
    struct workload_options options = draw_values(rng);
    must(check_run_create(context, problem, &plan_options, &options, &run), problem, config);
    for (int i = 0; i < draws; i++) {
        must(check_run_enqueue(&run, options.seed), problem, config);
        attune_status status = check_run_compare(&run, options.seed);
        if (status != ATTUNE_ERROR_NOT_VERIFIED)
            must(status, problem, config);
        tally->checks++;
        tally->refused += status != ATTUNE_OK;
        if (status != ATTUNE_OK)
            printf("%s\n  problem %s\n  config  %s\n  seed %llu, pattern %d, magnitude %g\n", attune_last_error(),
                   problem, config, (unsigned long long)options.seed, (int)options.pattern, (double)options.magnitude);
        fflush(stdout);
        options = draw_values(rng);
        must(check_run_redraw(&run, &options), problem, config);
    }
    check_run_destroy(&run);
}

int main(int argc, char **argv)
{
    int draws = argc > 1 ? atoi(argv[1]) : 300;
    uint64_t seed = argc > 2 ? strtoull(argv[2], NULL, 10) : 20265;
    attune_context *context = check_context("cpu");
    context->choice.limits.features |= host_features(context);
    struct tally tally = {0, 0};
    for (size_t p = 0; p < sizeof problems / sizeof problems[0]; p++)
        for (int family = 0; family < family_count(); family++) {
            struct kernel_config config;
            char text[ATTUNE_CONFIG_TEXT_MAX];
            struct rng rng;
            rng_seed(&rng, seed + p * 100 + (uint64_t)family);
            if (!check_draw_config(context, &rng, family, problems[p], &config))
                continue;
            kernel_config_format(&config, text, sizeof text);
            long refused = tally.refused;
            check_config(context, &rng, problems[p], text, draws, &tally);
            printf("%zu %s: %ld of %d\n", p, text, tally.refused - refused, draws);
        }
    attune_context_destroy(&context);
    printf("seed %llu: %ld of %ld checks refused\n", (unsigned long long)seed, tally.refused, tally.checks);
    return tally.refused * 10000 > tally.checks;
}
