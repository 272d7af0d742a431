/* SPDX-License-Identifier: Apache-2.0
 * Work lists from lengths in device memory: equal to the host's, word for word; wrong lengths; runs of such lists. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "device_run.h"
#include "schedule.h"

#define MAX_BATCH 4096

static attune_context *context;
static cl_command_queue queue;
static attune_plan *real; /* whose program and context the plans of this test borrow */

#define OK(call)                                                                             \
    do {                                                                                     \
        attune_status status_ = (call);                                                      \
        if (status_ != ATTUNE_OK)                                                            \
            fail_msg("%s: %s: %s", #call, attune_status_name(status_), attune_last_error()); \
    } while (0)

/* ---- lists at random */

/* A plan that is good for schedules only: any descriptor, configurations with any tiles, and a decision table. */
struct model {
    struct attune_plan plan;
    struct plan_point points[8];
    attune_schedule_options options;
    int32_t batch, q_len[MAX_BATCH], kv_len[MAX_BATCH];
};

static int32_t below(struct rng *rng, int32_t bound)
{
    return (int32_t)rng_below(rng, (uint64_t)bound);
}

static void make_plan(struct rng *rng, struct model *model)
{
    static const int32_t tiles[] = {1, 8, 32, 64, 100};
    static const int32_t least_splits[] = {0, 16, 128, 512};
    struct attune_plan *plan = &model->plan;
    *plan = *real;
    plan->desc.operation = (attune_operation)(ATTUNE_PREFILL + below(rng, 3));
    plan->desc.mask = (attune_mask)below(rng, 2);
    plan->desc.causal_alignment = (attune_causal_alignment)below(rng, 2);
    plan->desc.num_kv_heads = 1 << below(rng, 3);
    int32_t group = 1 + below(rng, 4);
    plan->desc.num_q_heads = plan->desc.num_kv_heads * group;
    plan->has_layout =
        plan->desc.operation == ATTUNE_EXTEND || (plan->desc.operation == ATTUNE_DECODE && below(rng, 2));
    plan->layout.page_size = 16;
    plan->num_configs = 1 + below(rng, 3);
    for (int32_t i = 0; i < plan->num_configs; i++) {
        plan->configs[i].resources = (struct kernel_resources){.tile_tokens = tiles[below(rng, 5)],
                                                               .tile_heads = below(rng, 2) ? group : 1,
                                                               .split_keys = least_splits[below(rng, 4)]};
        plan->configs[i].num_groups = 1 + below(rng, 64);
    }
    plan->num_points = 1 + below(rng, 8);
    plan->points = model->points;
    for (int32_t i = 0; i < plan->num_points; i++) {
        memset(&model->points[i], 0, sizeof model->points[i]);
        model->points[i].bucket = (struct shape_bucket){below(rng, 4), below(rng, 14), below(rng, 10)};
        model->points[i].config = below(rng, plan->num_configs);
    }
}

static void make_step(struct rng *rng, struct model *model)
{
    static const int32_t batches[] = {0, 1, 2, 7, 33, 300, MAX_BATCH};
    static const int32_t q_most[] = {1, 1, 5, 200, 3000};
    static const int32_t kv_most[] = {1, 60, 900, 40000};
    int32_t q_bound = q_most[below(rng, 5)], kv_bound = kv_most[below(rng, 4)];
    int64_t q_tokens = 1;
    model->batch = batches[below(rng, q_bound == 1 ? 7 : 6)];
    model->options = (attune_schedule_options)ATTUNE_SCHEDULE_OPTIONS_INIT;
    model->options.max_kv_len = 1;
    for (int32_t i = 0; i < model->batch; i++) {
        int32_t q = below(rng, 8) ? below(rng, q_bound + 1) : 0, kv = below(rng, kv_bound + 1);
        if (below(rng, 6) == 0)
            kv = below(rng, 20);
        if (model->plan.desc.operation == ATTUNE_EXTEND)
            kv += q;
        model->q_len[i] = q;
        model->kv_len[i] = kv;
        q_tokens += q;
        model->options.max_kv_len = kv > model->options.max_kv_len ? kv : model->options.max_kv_len;
    }
    model->options.max_batch = model->batch + 1 + below(rng, 3);
    model->options.max_q_tokens = q_tokens;
    model->options.device_lengths = 1;
    model->options.batch_invariant = below(rng, 4) ? 0 : 256;
}

static void read_list(const attune_schedule *schedule, size_t words, int32_t *out)
{
    assert_int_equal(clEnqueueReadBuffer(queue, schedule->buffers[schedule->current].device, CL_TRUE, 0,
                                         words * sizeof *out, out, 0, NULL, NULL),
                     CL_SUCCESS);
}

/* True if keys are split. */
static bool compare_lists(const struct model *model, uint64_t seed)
{
    attune_schedule *schedule;
    OK(attune_schedule_create(&model->plan, &model->options, &schedule));
    OK(attune_schedule_update(schedule, queue, model->batch, model->q_len, model->kv_len, 0, NULL, NULL));
    size_t words = schedule->list.words;
    bool split = schedule->list.merge_rows > 0;
    int32_t *host = malloc(words * sizeof *host), *device = malloc(words * sizeof *device);
    read_list(schedule, words, host);
    attune_tensor q_len = upload_lengths(context, model->q_len, model->batch),
                  kv_len = upload_lengths(context, model->kv_len, model->batch);
    OK(attune_schedule_update_device(schedule, queue, model->batch, &q_len, &kv_len, 0, NULL, NULL));
    assert_true((size_t)schedule->bounds.words >= words);
    read_list(schedule, words, device);
    for (size_t i = 0; i < words; i++)
        if (host[i] != device[i])
            fail_msg(
                "seed %llu: batch %d, operation %d, %d configurations, batch_invariant %d: word %zu of %zu is %d, not "
                "%d (items from %d, merges from %d)",
                (unsigned long long)seed, model->batch, (int)model->plan.desc.operation, model->plan.num_configs,
                model->options.batch_invariant, i, words, device[i], host[i], host[SCHEDULE_ITEMS_AT],
                host[SCHEDULE_MERGE_AT]);
    clReleaseMemObject(q_len.cl);
    clReleaseMemObject(kv_len.cl);
    free(host);
    free(device);
    attune_schedule_destroy(&schedule);
    return split;
}

static void lists_equal_the_hosts(void **state)
{
    (void)state;
    const char *text = getenv("TEST_SEED");
    uint64_t first = text ? strtoull(text, NULL, 10) : 1, last = text ? first : 300;
    static struct model model;
    int split = 0;
    for (uint64_t seed = first; seed <= last; seed++) {
        struct rng rng;
        rng_seed(&rng, seed);
        make_plan(&rng, &model);
        make_step(&rng, &model);
        split += compare_lists(&model, seed);
    }
    assert_true(text || split > 30);
}

/* ---- runs */

static attune_status device_run_enqueue(struct device_run *d, uint64_t poison)
{
    struct check_run *run = &d->run;
    OK(workload_device_poison(&run->device, run->queue, poison));
    OK(attune_schedule_update_device(run->schedule, run->queue, run->problem->batch, &d->q_len, &d->kv_len, 0, NULL,
                                     NULL));
    return attune_attention_run(run->launcher, run->schedule, &run->device.args, run->queue, 0, NULL, NULL);
}

static const char extend[] = "extend:hq=4,hkv=2,d=64,q=fp32,kv=fp32,prec=strict,page=1,causal=1,"
                             "prefix=0/100/0/31/257/64,new=1/16/0/70/1/128";

static void runs_equal_the_hosts(void **state)
{
    (void)state;
    static const struct {
        const char *problem, *config;
    } cases[] = {
        {extend, NULL},
        {extend, "plain_row:WG_SIZE=32"},
        {"prefill:hq=2,hkv=2,d=64,q=fp32,kv=fp32,prec=strict,causal=0,new=5/0/130,kvlen=300/7/64",
         "plain_row:WG_SIZE=32"},
        {"prefill:hq=2,hkv=1,d=64,q=fp32,kv=fp32,prec=strict,causal=1,new=1/1,kvlen=3000/20", "plain_row:WG_SIZE=32"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        static struct device_run d;
        OK(device_run_create(context, &d, cases[i].problem, cases[i].config, 0));
        struct check_run *run = &d.run;
        OK(check_run_enqueue(run, 3));
        OK(check_run_compare(run, 3));
        size_t bytes = (size_t)run->workload.q_tokens * (size_t)run->problem->desc.num_q_heads * 64 * sizeof(float);
        float *host = malloc(bytes);
        memcpy(host, run->o, bytes);
        for (uint64_t poison = 4; poison < 7; poison++) {
            OK(device_run_enqueue(&d, poison));
            OK(check_run_compare(run, poison));
            assert_memory_equal(host, run->o, bytes);
        }
        /* Nobody has queries: nothing is written. */
        for (int32_t s = 0; s < run->problem->batch; s++)
            device_run_write(&d, &d.q_len, s, 0);
        OK(device_run_enqueue(&d, 9));
        assert_int_equal(check_run_compare(run, 9), ATTUNE_ERROR_NOT_VERIFIED);
        for (int32_t s = 0; s < run->problem->batch; s++)
            device_run_write(&d, &d.q_len, s, run->problem->q_len[s]);
        OK(device_run_enqueue(&d, 10));
        OK(check_run_compare(run, 10));
        free(host);
        device_run_destroy(&d);
    }
}

/* ---- lengths that no step may have */

static void wrong_lengths_make_an_empty_list(void **state)
{
    (void)state;
    static struct device_run d, silent;
    static const struct {
        bool of_q;
        int32_t seq, value;
        const char *text;
    } cases[] = {
        {true, 1, -1, "q_len[1] is -1; it must not be negative"},
        {false, 5, -7, "kv_len[5] is -7; it must not be negative"},
        {false, 0, 100000, "kv_len[0] is 100000; the schedule's max_kv_len is 258"},
        {false, 3, 69, "kv_len[3] is 69; it counts the prefix and the 70 new tokens"},
        {true, 2, 4, "kv_len[2] is 0; it counts the prefix and the 4 new tokens"},
        {true, 0, 17, "kv_len[0] is 1; it counts the prefix and the 17 new tokens"},
        {true, 1, 17, "q_len on the device sums to more than the schedule's max_q_tokens, 216"},
        {false, 0, 2, "kv_len on the device sums to more than the schedule's max_kv_tokens, 668"},
    };
    OK(device_run_create(context, &d, extend, "plain_row:WG_SIZE=32", 1));
    OK(device_run_create(context, &silent, extend, "plain_row:WG_SIZE=32", 0));
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        int32_t good = cases[i].of_q ? d.run.problem->q_len[cases[i].seq] : d.run.problem->kv_len[cases[i].seq];
        device_run_write(&d, cases[i].of_q ? &d.q_len : &d.kv_len, cases[i].seq, cases[i].value);
        device_run_write(&silent, cases[i].of_q ? &silent.q_len : &silent.kv_len, cases[i].seq, cases[i].value);
        attune_status status = device_run_enqueue(&d, i);
        if (status != ATTUNE_ERROR_INVALID_SIZE || strcmp(attune_last_error(), cases[i].text) != 0)
            fail_msg("%s: \"%s\", not \"%s\"", attune_status_name(status), status ? attune_last_error() : "",
                     cases[i].text);
        /* Without validate the run goes through and writes nothing. */
        OK(device_run_enqueue(&silent, i));
        float first;
        clEnqueueReadBuffer(silent.run.queue, silent.run.device.args.o.cl, CL_TRUE,
                            silent.run.device.args.o.byte_offset, sizeof first, &first, 0, NULL, NULL);
        float poisoned;
        OK(workload_device_poison(&silent.run.device, silent.run.queue, i));
        clEnqueueReadBuffer(silent.run.queue, silent.run.device.args.o.cl, CL_TRUE,
                            silent.run.device.args.o.byte_offset, sizeof poisoned, &poisoned, 0, NULL, NULL);
        assert_memory_equal(&first, &poisoned, sizeof first);
        device_run_write(&d, cases[i].of_q ? &d.q_len : &d.kv_len, cases[i].seq, good);
        device_run_write(&silent, cases[i].of_q ? &silent.q_len : &silent.kv_len, cases[i].seq, good);
    }
    OK(check_run_enqueue(&d.run, 76)); /* poisons the workspace's guards */
    OK(device_run_enqueue(&d, 77));
    OK(check_run_compare(&d.run, 77));
    device_run_destroy(&silent);
    device_run_destroy(&d);
}

static int open_context(void **state)
{
    (void)state;
    cl_int code;
    context = check_context(getenv("TEST_BACKEND") ? getenv("TEST_BACKEND") : "cpu");
    queue = clCreateCommandQueue(attune_context_cl(context), attune_context_device(context), 0, &code);
    attune_attention_desc desc = ATTUNE_ATTENTION_DESC_INIT;
    desc.num_q_heads = desc.num_kv_heads = 1;
    desc.head_dim_qk = 64;
    attune_plan_options options = ATTUNE_PLAN_OPTIONS_INIT;
    options.force_config = "plain_row:WG_SIZE=32";
    return code != CL_SUCCESS || attune_plan_create(context, &desc, NULL, &options, &real) != ATTUNE_OK;
}

static int close_context(void **state)
{
    (void)state;
    attune_plan_destroy(&real);
    clReleaseCommandQueue(queue);
    attune_context_destroy(&context);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lists_equal_the_hosts),
        cmocka_unit_test(runs_equal_the_hosts),
        cmocka_unit_test(wrong_lengths_make_an_empty_list),
    };
    return cmocka_run_group_tests(tests, open_context, close_context);
}
