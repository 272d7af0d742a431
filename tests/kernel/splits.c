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
#include "host_features.h"
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

/* The plain family's ways. */
static const char *const configs[] = {"plain_row:WG_SIZE=32", "plain_row:WG_SIZE=64,DIM_BLOCK=32"};

/* Lengths around a split of 32 keys; causal tiles over several splits; rows and whole tiles without keys. */
static const char *const biting[] = {
    "prefill:hq=3,hkv=1,d=64,q=fp32,kv=fp32,prec=strict,causal=0,new=1/1/1/1/1/1,kvlen=0/1/31/32/33/200",
    "prefill:hq=4,hkv=2,d=64,q=fp32,kv=fp32,prec=strict,causal=1,new=70/33/1/0/100,kvlen=100/33/64/40/65",
    "prefill:hq=2,hkv=2,d=80,q=fp32,kv=fp32,prec=strict,causal=1,align=tl,new=40/9,kvlen=170/90",
    "prefill:hq=2,hkv=2,d=7,dv=13,q=fp32,kv=fp32,prec=strict,causal=1,new=15/90,kvlen=123/8",
    "extend:hq=8,hkv=1,d=128,q=fp32,kv=fp32,prec=strict,page=1,causal=1,prefix=0/1/127/128/129,new=16/0/1/33/64",
    "extend:hq=4,hkv=2,d=64,q=fp16,kv=fp16,prec=strict,page=1,causal=1,prefix=0/300,new=70/3",
    "prefill:hq=4,hkv=2,d=64,q=bf16,kv=bf16,prec=fast,causal=0,new=2/40,kvlen=300/70",
};

static void check_splits(const char *problem, const char *config)
{
    struct check_run run;
    create(&run, problem, config);
    for (int32_t keys = 16; keys <= 64; keys *= 2) {
        split_by(&run, keys);
        OK(check_run_enqueue(&run, (uint64_t)keys));
        /* A query that stands at its own index sees no more keys than a sequence that is split has queries. */
        assert_true(keys > 16 || strstr(problem, "align=tl") || run.schedule->list.merge_rows > 0);
        OK(check_run_compare(&run, (uint64_t)keys));
    }
    check_run_destroy(&run);
}

static void fixed_splits_give_the_whole(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof biting / sizeof biting[0]; i++)
        for (size_t c = 0; c < sizeof configs / sizeof configs[0]; c++)
            check_splits(biting[i], configs[c]);
}

static bool valid_here(const char *problem, const char *config)
{
    attune_problem *parsed;
    struct kernel_config values;
    char why[160];
    OK(attune_problem_parse(problem, &parsed));
    OK(kernel_config_parse(config, &values));
    const struct kernel_facts facts = problem_facts(&parsed->desc, parsed->page_size, &context->choice);
    bool valid = backend_config_valid(&context->choice.limits, &facts, &values, why, sizeof why);
    attune_problem_destroy(&parsed);
    return valid;
}

/* The other families that can split, with their untuned values, where they are valid. */
static void every_family_splits(void **state)
{
    (void)state;
    static const char *const families[] = {"vector_tile", "vector_dot", "simt_tile", "decode_vector", "decode_simt"};
    static const char *const problems[] = {
        "extend:hq=8,hkv=1,d=64,q=bf16,kv=bf16,prec=fast,page=16,causal=1,prefix=100/1/127/129,new=16/0/5/70",
        "decode:hq=8,hkv=2,d=64,q=fp16,kv=fp16,prec=strict,page=16,causal=1,kvlen=0/1/31/32/33/300",
    };
    int checked = 0;
    for (size_t i = 0; i < sizeof problems / sizeof problems[0]; i++)
        for (size_t f = 0; f < sizeof families / sizeof families[0]; f++)
            if (valid_here(problems[i], families[f])) {
                check_splits(problems[i], families[f]);
                checked++;
            }
    assert_true(checked > 0);
}

/* ---- by load */

static int32_t merge_rows_of(const char *problem)
{
    struct check_run run;
    create(&run, problem, configs[0]);
    OK(check_run_enqueue(&run, 21));
    int32_t rows = run.schedule->list.merge_rows;
    assert_true(run.schedule->list.partial_rows <= run.schedule->bounds.partial_rows);
    assert_true((int64_t)run.schedule->list.words <= run.schedule->bounds.words);
    OK(check_run_compare(&run, 21));
    check_run_destroy(&run);
    return rows;
}

/* What fills the grid is not split; what leaves it idle, or is much longer than the rest, is. */
static void load_decides(void **state)
{
    (void)state;
    char text[256];
    int32_t units = context->choice.device.compute_units;
    assert_true(units <= 64);
    assert_int_equal(merge_rows_of("prefill:hq=1,hkv=1,d=64,q=fp32,kv=fp32,prec=strict,causal=0,new=3,kvlen=20000"), 3);
    assert_int_equal(merge_rows_of("prefill:hq=1,hkv=1,d=64,q=fp32,kv=fp32,prec=strict,causal=0,new=1,kvlen=255"), 0);
    /* A tile a head for each of the grid's groups, of equal length. */
    snprintf(text, sizeof text, "prefill:hq=%d,hkv=%d,d=64,q=fp32,kv=fp32,prec=strict,causal=1,new=2,kvlen=1000",
             4 * units, 4 * units);
    assert_int_equal(merge_rows_of(text), 0);
    snprintf(text, sizeof text,
             "prefill:hq=%d,hkv=%d,d=64,q=fp32,kv=fp32,prec=strict,causal=1,new=40/2/2,kvlen=100/10000/120", units,
             units);
    assert_int_equal(merge_rows_of(text), 2);
}

/* ---- results that repeat */

static void read_output(const struct check_run *run, unsigned char **o)
{
    *o = malloc(run->device.o_bytes);
    assert_non_null(*o);
    assert_int_equal(
        clEnqueueReadBuffer(run->queue, run->device.args.o.cl, CL_TRUE, 0, run->device.o_bytes, *o, 0, NULL, NULL),
        CL_SUCCESS);
}

static void two_runs_are_equal_bit_for_bit(void **state)
{
    (void)state;
    struct check_run run;
    unsigned char *first, *again;
    create(&run, "prefill:hq=2,hkv=1,d=64,q=fp32,kv=fp32,prec=strict,causal=1,new=3,kvlen=9000", configs[0]);
    OK(check_run_enqueue(&run, 4));
    assert_true(run.schedule->list.merge_rows > 0);
    read_output(&run, &first);
    OK(check_run_enqueue(&run, 4));
    read_output(&run, &again);
    assert_memory_equal(first, again, run.device.o_bytes);
    free(first);
    free(again);
    check_run_destroy(&run);
}

static size_t bytes_of_rows(const attune_tensor *tensor, int64_t rows)
{
    return (size_t)(rows * tensor->stride_token) * sizeof(float);
}

/* Each sequence alone gives the bytes that it gives in the batch. */
static void a_fixed_split_hides_the_batch(void **state)
{
    (void)state;
    struct check_run run;
    unsigned char *together, *alone;
    create(&run, "prefill:hq=4,hkv=2,d=64,q=fp32,kv=fp32,prec=strict,causal=1,new=70/1/1/3,kvlen=1000/64/65/3000",
           configs[0]);
    const attune_problem *problem = run.problem;
    split_by(&run, 64);
    OK(check_run_enqueue(&run, 7));
    read_output(&run, &together);
    const attune_attention_args all = run.device.args;
    int64_t rows = 0, keys = 0;
    OK(workload_device_poison(&run.device, run.queue, 7));
    for (int32_t i = 0; i < problem->batch; i++) {
        attune_attention_args args = all;
        args.q.byte_offset += bytes_of_rows(&all.q, rows);
        args.o.byte_offset += bytes_of_rows(&all.o, rows);
        args.k.byte_offset += bytes_of_rows(&all.k, keys);
        args.v.byte_offset += bytes_of_rows(&all.v, keys);
        args.lse = (attune_tensor)ATTUNE_TENSOR_INIT;
        OK(attune_schedule_update(run.schedule, run.queue, 1, &problem->q_len[i], &problem->kv_len[i], 0, NULL, NULL));
        OK(attune_attention_run(run.launcher, run.schedule, &args, run.queue, 0, NULL, NULL));
        clFinish(run.queue);
        rows += problem->q_len[i];
        keys += problem->kv_len[i];
    }
    read_output(&run, &alone);
    assert_memory_equal(together, alone, run.device.o_bytes);
    free(together);
    free(alone);
    check_run_destroy(&run);
}

/* ---- the merge itself */

/* A row's partial results, joined in double precision, against what the merge stored: row `query` of the batch. */
static double merge_error(const struct check_run *run, const float *workspace, const int32_t *sequence, int32_t t,
                          int head)
{
    int64_t rows = run->schedule->bounds.partial_rows, heads = run->problem->desc.num_q_heads, dim = 64;
    int64_t stored = ((int64_t)sequence[SEQ_Q_START] + t) * heads + head;
    int splits = rule_num_splits(sequence[SEQ_NEW_LEN], sequence[SEQ_SPLIT_KEYS]);
    double most = -INFINITY, sum = 0, exact[64] = {0}, worst = 0, norm = 0;
    for (int pass = 0; pass < 2; pass++)
        for (int s = 0; s < splits; s++) {
            int64_t row = sequence[SEQ_PARTIAL] + ((int64_t)s * sequence[SEQ_Q_LEN] + t) * heads + head;
            const float *partial = workspace + rows * dim + 2 * row;
            double weight = exp((double)partial[0] - most) * (double)partial[1];
            most = pass ? most : fmax(most, (double)partial[0]);
            sum += pass ? weight : 0;
            for (int64_t d = 0; pass && d < dim; d++)
                exact[d] += weight * (double)workspace[row * dim + d];
        }
    for (int64_t d = 0; d < dim; d++) {
        worst = fmax(worst, fabs((double)run->o[stored * dim + d] - exact[d] / sum));
        norm = fmax(norm, fabs(exact[d] / sum));
    }
    double lse = most + log(sum);
    return fmax(worst / norm, fabs((double)run->lse[stored] - lse) / fmax(1, fabs(lse)));
}

static void a_merge_adds_less_than_a_millionth(void **state)
{
    (void)state;
    struct check_run run;
    create(&run, "prefill:hq=2,hkv=1,d=64,q=fp32,kv=fp32,prec=strict,causal=0,new=1/5/2,kvlen=40/30000/100", configs[0]);
    split_by(&run, 16);
    OK(check_run_enqueue(&run, 8));
    OK(check_run_compare(&run, 8));
    float *workspace = malloc(run.device.workspace_bytes);
    assert_non_null(workspace);
    assert_int_equal(clEnqueueReadBuffer(run.queue, run.device.args.workspace.cl, CL_TRUE, OUTPUT_GUARD,
                                         run.device.workspace_bytes, workspace, 0, NULL, NULL),
                     CL_SUCCESS);
    const int32_t *words = run.schedule->buffers[run.schedule->current].host;
    double worst = 0;
    for (int32_t i = 0; i < run.problem->batch; i++)
        for (int32_t t = 0; t < run.problem->q_len[i]; t++)
            for (int head = 0; head < 2; head++)
                worst =
                    fmax(worst, merge_error(&run, workspace, words + SCHEDULE_HEADER + i * SEQUENCE_WORDS, t, head));
    print_message("merge: relative error %.2g\n", worst);
    assert_true(worst <= 1e-6);
    free(workspace);
    check_run_destroy(&run);
}

/* ---- bad input */

static void bad_options_and_workspaces_are_refused(void **state)
{
    (void)state;
    struct check_run run;
    attune_schedule *schedule;
    create(&run, "prefill:hq=2,hkv=1,d=64,q=fp32,kv=fp32,prec=strict,causal=1,new=1,kvlen=100", configs[0]);
#define CREATE(keys, most, status)                                                                      \
    do {                                                                                                \
        attune_schedule_options options = check_limits(run.problem);                                    \
        options.batch_invariant = (keys);                                                               \
        options.max_kv_len = (most);                                                                    \
        assert_int_equal(attune_schedule_create(run.plan, &options, &schedule), ATTUNE_ERROR_##status); \
        assert_null(schedule);                                                                          \
    } while (0)
    CREATE(-16, 100, INVALID_SIZE);
    CREATE(24, 100, INVALID_SIZE);
    CREATE(16, 0, INVALID_SIZE);
    CREATE(0, -1, INVALID_SIZE);
    attune_schedule_options wide = ATTUNE_SCHEDULE_OPTIONS_INIT;
    wide.max_batch = 64;
    wide.max_q_tokens = 8192;
    wide.max_kv_len = 131072;
    wide.batch_invariant = 16;
    assert_int_equal(attune_schedule_create(run.plan, &wide, &schedule), ATTUNE_ERROR_INVALID_SIZE);
    if (!strstr(attune_last_error(), "options.max_kv_tokens (0)") || !strstr(attune_last_error(), "raise batch_invariant"))
        fail_msg("%s", attune_last_error());
    wide.max_kv_tokens = 131072;
    OK(attune_schedule_create(run.plan, &wide, &schedule));
    size_t bytes;
    OK(attune_plan_workspace_size(run.plan, schedule, &bytes));
    assert_true(bytes <= (size_t)(131072 + 1024) * 2 * 66 * sizeof(float));
    attune_schedule_destroy(&schedule);
    split_by(&run, 16);
    int32_t q_len = 1, kv_len = 101;
    assert_int_equal(attune_schedule_update(run.schedule, run.queue, 1, &q_len, &kv_len, 0, NULL, NULL),
                     ATTUNE_ERROR_INVALID_SIZE);
    assert_non_null(strstr(attune_last_error(), "max_kv_len"));
    OK(check_run_enqueue(&run, 2));
    clFinish(run.queue);
    const attune_tensor good = run.device.args.workspace;
#define RUN() attune_attention_run(run.launcher, run.schedule, &run.device.args, run.queue, 0, NULL, NULL)
    run.device.args.workspace.type = ATTUNE_MEMORY_NONE;
    assert_int_equal(RUN(), ATTUNE_ERROR_MISSING_TENSOR);
    run.device.args.workspace = good;
    run.device.args.workspace.byte_offset = run.device.workspace_room - run.device.workspace_bytes + 2 * OUTPUT_GUARD + 4;
    assert_int_equal(RUN(), ATTUNE_ERROR_BUFFER_TOO_SMALL);
    run.device.args.workspace.byte_offset = 2;
    assert_int_equal(RUN(), ATTUNE_ERROR_OFFSET);
    /* A step without splits needs none. */
    kv_len = 16;
    run.device.args.workspace.type = ATTUNE_MEMORY_NONE;
    OK(attune_schedule_update(run.schedule, run.queue, 1, &q_len, &kv_len, 0, NULL, NULL));
    OK(RUN());
    clFinish(run.queue);
    run.device.args.workspace = good;
    check_run_destroy(&run);
}

static int open_context(void **state)
{
    (void)state;
    const char *backend = getenv("TEST_BACKEND");
    context = check_context(backend ? backend : "cpu");
    context->choice.limits.features |= host_features(context);
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
        cmocka_unit_test(every_family_splits),
        cmocka_unit_test(fixed_splits_give_the_whole),        cmocka_unit_test(load_decides),
        cmocka_unit_test(two_runs_are_equal_bit_for_bit),     cmocka_unit_test(a_fixed_split_hides_the_batch),
        cmocka_unit_test(a_merge_adds_less_than_a_millionth), cmocka_unit_test(bad_options_and_workspaces_are_refused),
    };
    return cmocka_run_group_tests(tests, open_context, close_context);
}
