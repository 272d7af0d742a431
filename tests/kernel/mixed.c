/* SPDX-License-Identifier: Apache-2.0
 * A batch of 64 unlike sequences (single tokens, chunks, none at all) in one call, against each sequence alone: both
 * within the contract, and with batch_invariant equal bit for bit.
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

#define BATCH 64
#define SPLIT_KEYS 64 /* of batch_invariant */

static attune_context *context;
static uint64_t seed = 20267;

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

static void expect_ok(attune_status status, const char *problem)
{
    if (status != ATTUNE_OK)
        fail_msg("%s: %s\n  problem %s\n  seed %llu", attune_status_name(status), attune_last_error(), problem,
                 (unsigned long long)seed);
}

/* New tokens: mostly one, some chunks of 16 to 512, some none. Cached keys: none, a few, some hundreds. */
static void draw_lengths(struct rng *rng, int32_t *fresh, int32_t *cached)
{
    static const int32_t chunks[] = {16, 17, 64, 100, 512};
    for (int b = 0; b < BATCH; b++) {
        uint64_t kind = rng_below(rng, 8);
        fresh[b] = kind == 0 ? 0 : kind == 1 ? chunks[rng_below(rng, 4)] : 1;
        cached[b] = (int32_t)rng_below(rng, rng_below(rng, 2) ? 4 : 600);
    }
    fresh[BATCH / 2] = chunks[4];
    fresh[0] = cached[0] = 0; /* nothing at all, at both ends */
    fresh[BATCH - 1] = 0;
}

static void problem_text(const char *fields, const int32_t *fresh, const int32_t *cached, char *text, size_t size)
{
    bool decode = !strncmp(fields, "decode", 6);
    int length = snprintf(text, size, "%s", fields);
    for (int list = 0; list < 2; list++)
        for (int b = 0; b < BATCH; b++)
            length += snprintf(text + length, size - (size_t)length, "%s%d",
                               b        ? "/"
                               : list   ? ",new="
                               : decode ? ",kvlen="
                                        : ",prefix=",
                               list ? fresh[b] : cached[b] + (decode ? fresh[b] : 0));
}

/* Moves a tensor's start by rows of its token stride. */
static void skip_rows(attune_tensor *tensor, int64_t rows, attune_dtype dtype)
{
    tensor->byte_offset += (size_t)(rows * tensor->stride_token) * dtype_size(dtype);
}

/* The tensors of sequence b alone: views into those of the batch. */
static attune_attention_args view_of(const struct check_run *run, int32_t b)
{
    const attune_problem *p = run->problem;
    attune_attention_args args = run->device.args;
    int64_t q_start = 0, new_start = 0;
    for (int32_t i = 0; i < b; i++) {
        q_start += p->q_len[i];
        new_start += p->kv_len[i] - problem_cached_keys(p, i);
    }
    skip_rows(&args.q, q_start, p->desc.q_dtype);
    skip_rows(&args.o, q_start, p->desc.o_dtype);
    args.lse.byte_offset += (size_t)(q_start * p->desc.num_q_heads) * sizeof(float);
    if (args.k.type != ATTUNE_MEMORY_NONE) {
        skip_rows(&args.k, new_start, p->desc.kv_dtype);
        skip_rows(&args.v, new_start, p->desc.kv_dtype);
    }
    if (args.block_table.type != ATTUNE_MEMORY_NONE)
        args.block_table.byte_offset += (size_t)(b * args.block_table.stride_token) * sizeof(int32_t);
    if (args.kv_indptr.type != ATTUNE_MEMORY_NONE) {
        args.kv_indptr.byte_offset += (size_t)b * sizeof(int32_t);
        args.last_page_len.byte_offset += (size_t)b * sizeof(int32_t);
    }
    return args;
}

/* Splits that do not depend on the batch. */
static void make_invariant(struct check_run *run)
{
    attune_schedule_options options = check_limits(run->problem);
    for (int32_t b = 0; b < run->problem->batch; b++)
        if (run->problem->kv_len[b] > options.max_kv_len)
            options.max_kv_len = run->problem->kv_len[b];
    options.batch_invariant = SPLIT_KEYS;
    expect_ok(check_run_reschedule(run, &options), run->problem->text);
}

/* Every sequence by itself, into its rows of the batch's outputs. */
static void run_one_by_one(struct check_run *run, uint64_t poison)
{
    const attune_problem *p = run->problem;
    expect_ok(workload_device_poison(&run->device, run->queue, poison), p->text);
    for (int32_t b = 0; b < p->batch; b++) {
        if (!p->q_len[b])
            continue;
        attune_attention_args args = view_of(run, b);
        expect_ok(attune_schedule_update(run->schedule, run->queue, 1, &p->q_len[b], &p->kv_len[b], 0, NULL, NULL),
                  p->text);
        expect_ok(attune_attention_run(run->launcher, run->schedule, &args, run->queue, 0, NULL, NULL), p->text);
        clFinish(run->queue); /* the schedule has two buffers */
    }
}

static void whole_against_alone(const char *fields, const attune_plan_options *plan_options, bool invariant)
{
    static char text[PROBLEM_TEXT_MAX];
    int32_t fresh[BATCH], cached[BATCH];
    struct rng rng;
    struct check_run run;
    struct workload_options options = WORKLOAD_OPTIONS_INIT;
    options.seed = seed;
    rng_seed(&rng, seed);
    draw_lengths(&rng, fresh, cached);
    problem_text(fields, fresh, cached, text, sizeof text);
    expect_ok(check_run_create(context, text, plan_options, &options, &run), text);
    if (invariant)
        make_invariant(&run);
    size_t rows = (size_t)run.workload.q_tokens * (size_t)run.problem->desc.num_q_heads;
    size_t o_bytes = rows * (size_t)run.problem->desc.head_dim_vo * sizeof(float), lse_bytes = rows * sizeof(float);
    float *o = malloc(o_bytes), *lse = malloc(lse_bytes);
    assert_true(o && lse);
    expect_ok(check_run_enqueue(&run, 1), text);
    expect_ok(check_run_compare(&run, 1), text);
    memcpy(o, run.o, o_bytes);
    memcpy(lse, run.lse, lse_bytes);
    run_one_by_one(&run, 2);
    expect_ok(check_run_compare(&run, 2), text);
    if (invariant && (memcmp(o, run.o, o_bytes) || memcmp(lse, run.lse, lse_bytes)))
        fail_msg("the batch and its sequences alone differ\n  problem %s\n  config %s, seed %llu", text,
                 attune_plan_config(run.plan, 0), (unsigned long long)seed);
    free(o);
    free(lse);
    check_run_destroy(&run);
}

static const char extend[] = "extend:hq=4,hkv=2,d=64,page=16";
static const char decode[] = "decode:hq=4,hkv=2,d=64,page=16,table=1";

static void extend_in_one_call(void **state)
{
    (void)state;
    whole_against_alone(extend, NULL, false);
    whole_against_alone(extend, NULL, true);
}

static void decode_in_one_call(void **state)
{
    (void)state;
    whole_against_alone(decode, NULL, false);
    whole_against_alone(decode, NULL, true);
}

/* The family that takes every problem. */
static void plain_rows_in_one_call(void **state)
{
    (void)state;
    attune_plan_options options = ATTUNE_PLAN_OPTIONS_INIT;
    options.force_config = "plain_row:WG_SIZE=32";
    whole_against_alone(decode, &options, false);
    whole_against_alone(decode, &options, true);
    whole_against_alone("decode:hq=2,hkv=2,d=64,page=0", &options, true);
}

/* A plan with one configuration for single tokens and one for chunks. */
static void two_configurations_in_one_call(void **state)
{
    (void)state;
    static const char *const configs[] = {"plain_row:WG_SIZE=32", "plain_row:WG_SIZE=64,DIM_BLOCK=32"};
    static const attune_shape shapes[] = {{BATCH, 1, 300}, {BATCH, 100, 400}};
    attune_plan_options options = ATTUNE_PLAN_OPTIONS_INIT;
    attune_problem *problem;
    expect_ok(attune_problem_parse("extend:hq=4,hkv=2,d=64,page=16,new=1", &problem), extend);
    for (int i = 0; i < 2; i++)
        expect_ok(
            check_store_entry(context, problem,
                              shape_bucket_uniform(&problem->desc, shapes[i].batch, shapes[i].q_len, shapes[i].kv_len),
                              "pages16,nhd,fp32", configs[i]),
            extend);
    attune_problem_destroy(&problem);
    options.policy = ATTUNE_CACHED_ONLY;
    options.shapes = shapes;
    options.num_shapes = 2;
    whole_against_alone(extend, &options, false);
    whole_against_alone(extend, &options, true);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(extend_in_one_call),
        cmocka_unit_test(decode_in_one_call),
        cmocka_unit_test(plain_rows_in_one_call),
        cmocka_unit_test(two_configurations_in_one_call),
    };
    return cmocka_run_group_tests(tests, open_context, close_context);
}
