/* SPDX-License-Identifier: Apache-2.0
 * Split keys: partial results and their merge against the oracle, with fixed splits and by load. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/base.h"
#include "check.h"
#include "context.h"
#include "schedule.h"

static attune_context *context;

#define OK(call)                                                                             \
    do {                                                                                     \
        attune_status status_ = (call);                                                      \
        if (status_ != ATTUNE_OK)                                                            \
            fail_msg("%s: %s: %s", #call, attune_status_name(status_), attune_last_error()); \
    } while (0)

static void create(struct check_run *run, const char *problem, const char *config)
{
    struct workload_options options = WORKLOAD_OPTIONS_INIT;
    attune_plan_options plan_options = ATTUNE_PLAN_OPTIONS_INIT;
    plan_options.force_config = config;
    options.pad = options.offset = 4;
    print_message("%s\n  %s, seed %llu\n", problem, config, (unsigned long long)options.seed);
    OK(check_run_create(context, problem, &plan_options, &options, run));
}

/* Splits of a fixed number of keys, for lengths up to the problem's longest. */
static void split_by(struct check_run *run, int32_t keys)
{
    attune_schedule_options options = check_limits(run->problem);
    options.batch_invariant = keys;
    options.max_kv_len = 1;
    for (int32_t i = 0; i < run->problem->batch; i++)
        if (run->problem->kv_len[i] > options.max_kv_len)
            options.max_kv_len = run->problem->kv_len[i];
    OK(check_run_reschedule(run, &options));
}

/* Every family that can split, by its untuned values. */
static const char *const configs[] = {"plain_row:WG_SIZE=32", "plain_row:WG_SIZE=64,DIM_BLOCK=32"};

/* Lengths around a split of 32 keys; causal tiles over several splits; rows and whole tiles without keys. */
static const char *const biting[] = {
    "prefill:hq=3,hkv=1,d=64,q=fp32,kv=fp32,prec=strict,causal=0,new=1/1/1/1/1/1,kvlen=0/1/31/32/33/200",
    "prefill:hq=4,hkv=2,d=64,q=fp32,kv=fp32,prec=strict,causal=1,new=70/33/1/0/100,kvlen=100/33/64/40/65",
    "prefill:hq=2,hkv=2,d=80,q=fp32,kv=fp32,prec=strict,causal=1,align=tl,new=40/9,kvlen=170/90",
    "prefill:hq=2,hkv=2,d=7,dv=13,q=fp32,kv=fp32,prec=strict,causal=1,new=19/90,kvlen=123/8",
    "extend:hq=8,hkv=1,d=128,q=fp32,kv=fp32,prec=strict,page=1,causal=1,prefix=0/1/127/128/129,new=16/0/1/33/64",
};

static void fixed_splits_give_the_whole(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof biting / sizeof biting[0]; i++)
        for (size_t c = 0; c < sizeof configs / sizeof configs[0]; c++) {
            struct check_run run;
            create(&run, biting[i], configs[c]);
            for (int32_t keys = 16; keys <= 64; keys *= 2) {
                split_by(&run, keys);
                OK(check_run_enqueue(&run, (uint64_t)keys));
                assert_true(keys > 16 || run.schedule->list.merge_rows > 0);
                OK(check_run_compare(&run, (uint64_t)keys));
            }
            check_run_destroy(&run);
        }
}

static int open_context(void **state)
{
    (void)state;
    const char *backend = getenv("TEST_BACKEND");
    context = check_context(backend ? backend : "cpu");
    return 0;
}

static int close_context(void **state)
{
    (void)state;
    attune_context_destroy(&context);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(fixed_splits_give_the_whole),
    };
    return cmocka_run_group_tests(tests, open_context, close_context);
}
