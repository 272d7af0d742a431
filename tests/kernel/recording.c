/* SPDX-License-Identifier: Apache-2.0
 * Recordings: replays equal fresh runs, bit for bit, whatever changed in the buffers; with the device's command buffers
 * and without. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/base.h"
#include "context.h"
#include "device_run.h"
#include "recording.h"

static attune_context *context;

#define OK(call)                                                                             \
    do {                                                                                     \
        attune_status status_ = (call);                                                      \
        if (status_ != ATTUNE_OK)                                                            \
            fail_msg("%s: %s: %s", #call, attune_status_name(status_), attune_last_error()); \
    } while (0)

static const struct {
    const char *problem, *config;
} cases[] = {
    {"extend:hq=4,hkv=2,d=64,q=fp32,kv=fp32,prec=strict,page=1,causal=1,prefix=0/100/0/31/257/64,new=1/16/0/70/1/128",
     NULL},
    {"extend:hq=4,hkv=2,d=64,q=fp32,kv=fp32,prec=strict,page=1,causal=1,prefix=2000/100,new=1/3",
     "plain_row:WG_SIZE=32"},
    {"prefill:hq=2,hkv=1,d=64,q=fp32,kv=fp32,prec=strict,causal=1,new=1/40/1,kvlen=3000/40/600",
     "plain_row:WG_SIZE=32"},
    {"decode:hq=4,hkv=2,d=64,kv=fp16,page=16,kvlen=40/3/77,new=1/1/2", NULL},
};
#define DECODE_CASE 3
#define NUM_CASES (sizeof cases / sizeof cases[0])

/* A device_run beside which the same plan runs the same tensors afresh. */
struct bench {
    struct device_run d;
    attune_schedule *fresh;
    unsigned char *expected, *got;
    int32_t *q_len, *kv_len; /* of the step to come */
};

static void bench_create(struct bench *b, size_t which)
{
    OK(device_run_create(context, &b->d, cases[which].problem, cases[which].config, 0));
    OK(attune_schedule_create(b->d.run.plan, &b->d.limits, &b->fresh));
    size_t bytes = b->d.run.device.o_bytes + b->d.run.device.lse_bytes, batch = (size_t)b->d.run.problem->batch;
    b->expected = malloc(bytes);
    b->got = malloc(bytes);
    b->q_len = malloc(batch * sizeof *b->q_len);
    b->kv_len = malloc(batch * sizeof *b->kv_len);
}

static void bench_destroy(struct bench *b)
{
    attune_schedule_destroy(&b->fresh);
    device_run_destroy(&b->d);
    free(b->expected);
    free(b->got);
    free(b->q_len);
    free(b->kv_len);
}

static void read_outputs(struct bench *b, unsigned char *to)
{
    const struct workload_device *device = &b->d.run.device;
    clEnqueueReadBuffer(b->d.run.queue, device->args.o.cl, CL_TRUE, 0, device->o_bytes, to, 0, NULL, NULL);
    clEnqueueReadBuffer(b->d.run.queue, device->args.lse.cl, CL_TRUE, 0, device->lse_bytes, to + device->o_bytes, 0,
                        NULL, NULL);
}

/* Another step: queries and lengths within the problem's, also on the device. step 0 is the problem itself. */
static void change(struct bench *b, uint64_t step)
{
    const struct check_run *run = &b->d.run;
    struct rng rng;
    rng_seed(&rng, step);
    for (int32_t i = 0; i < run->problem->batch; i++) {
        int32_t q = run->problem->q_len[i], cached = run->problem->kv_len[i] - q;
        b->q_len[i] = step ? (int32_t)rng_below(&rng, (uint64_t)q + 1) : q;
        b->kv_len[i] = b->q_len[i] + (step ? (int32_t)rng_below(&rng, (uint64_t)cached + 1) : cached);
        device_run_write(&b->d, &b->d.q_len, i, b->q_len[i]);
        device_run_write(&b->d, &b->d.kv_len, i, b->kv_len[i]);
    }
    size_t values = run->workload.q.bytes / sizeof(float);
    float *q = malloc(values * sizeof *q);
    for (size_t i = 0; i < values; i++)
        q[i] = (float)(rng_double(&rng) * 4 - 2);
    clEnqueueWriteBuffer(run->queue, run->device.args.q.cl, CL_TRUE, 0, values * sizeof *q, q, 0, NULL, NULL);
    free(q);
}

static void run_fresh(struct bench *b, uint64_t poison)
{
    struct check_run *run = &b->d.run;
    OK(workload_device_poison(&run->device, run->queue, poison));
    OK(attune_schedule_update(b->fresh, run->queue, run->problem->batch, b->q_len, b->kv_len, 0, NULL, NULL));
    OK(attune_attention_run(run->launcher, b->fresh, &run->device.args, run->queue, 0, NULL, NULL));
    read_outputs(b, b->expected);
}

static void compare(struct bench *b, const char *what, uint64_t step)
{
    read_outputs(b, b->got);
    if (memcmp(b->expected, b->got, b->d.run.device.o_bytes + b->d.run.device.lse_bytes) != 0)
        fail_msg("%s: step %d (its seed): %s", what, (int)step, b->d.run.problem->text);
}

static attune_status record(struct bench *b, cl_command_queue queue, bool update, bool command_buffers,
                            attune_recording **out)
{
    struct check_run *run = &b->d.run;
    attune_recording_options options = ATTUNE_RECORDING_OPTIONS_INIT;
    if (update) {
        options.q_len = &b->d.q_len;
        options.kv_len = &b->d.kv_len;
        options.batch = run->problem->batch;
    }
    return recording_create(run->plan, run->schedule, &run->device.args, queue, &options, command_buffers, out);
}

/* Rows of new tokens, and where they go. */
struct new_rows {
    attune_kv_launcher *launcher;
    attune_kv_append_args args;
    size_t cache_bytes; /* of K */
    unsigned char *before, *expected, *got;
};

#define NEW_TOKENS 5 /* one more than the step has */

static attune_tensor device_memory(size_t bytes)
{
    attune_tensor t = ATTUNE_TENSOR_INIT;
    cl_int code;
    t.type = ATTUNE_MEMORY_CL;
    t.cl = clCreateBuffer(attune_context_cl(context), CL_MEM_READ_WRITE, bytes, NULL, &code);
    return t;
}

static void new_rows_create(struct bench *b, struct new_rows *n)
{
    const struct check_run *run = &b->d.run;
    OK(attune_kv_launcher_create(run->device.layout, ATTUNE_FP32, &n->launcher));
    n->args = (attune_kv_append_args)ATTUNE_KV_APPEND_ARGS_INIT;
    n->args.num_tokens = NEW_TOKENS;
    n->args.k = device_memory(NEW_TOKENS * 2 * 64 * sizeof(float));
    n->args.v = device_memory(NEW_TOKENS * 2 * 64 * sizeof(float));
    n->args.slot_mapping = device_memory(NEW_TOKENS * sizeof(int32_t));
    n->args.k_cache = run->device.args.k_cache;
    n->args.v_cache = run->device.args.v_cache;
    n->cache_bytes = run->workload.k_cache.bytes;
    n->before = malloc(n->cache_bytes);
    n->expected = malloc(n->cache_bytes);
    n->got = malloc(n->cache_bytes);
    clEnqueueReadBuffer(run->queue, n->args.k_cache.cl, CL_TRUE, 0, n->cache_bytes, n->before, 0, NULL, NULL);
}

static void new_rows_destroy(struct new_rows *n)
{
    clReleaseMemObject(n->args.k.cl);
    clReleaseMemObject(n->args.v.cl);
    clReleaseMemObject(n->args.slot_mapping.cl);
    free(n->before);
    free(n->expected);
    free(n->got);
}

/* Each sequence's last key gets a new row; one token is of no sequence. */
static void draw_rows(struct bench *b, struct new_rows *n, uint64_t step)
{
    const struct check_run *run = &b->d.run;
    int32_t slots[NEW_TOKENS] = {-1, -1, -1, -1, -1};
    float rows[2][NEW_TOKENS * 2 * 64];
    struct rng rng;
    rng_seed(&rng, 100 + step);
    for (int32_t i = 0; i < run->problem->batch; i++) {
        int32_t position = b->kv_len[i] - 1, page = position / 16;
        if (position >= 0)
            slots[i + 1] = run->workload.kv_indices[run->workload.kv_indptr[i] + page] * 16 + position % 16;
    }
    for (size_t i = 0; i < sizeof rows / sizeof(float); i++)
        (&rows[0][0])[i] = (float)(rng_double(&rng) * 4 - 2);
    clEnqueueWriteBuffer(run->queue, n->args.slot_mapping.cl, CL_TRUE, 0, sizeof slots, slots, 0, NULL, NULL);
    clEnqueueWriteBuffer(run->queue, n->args.k.cl, CL_TRUE, 0, sizeof rows[0], rows[0], 0, NULL, NULL);
    clEnqueueWriteBuffer(run->queue, n->args.v.cl, CL_TRUE, 0, sizeof rows[1], rows[1], 0, NULL, NULL);
}

static bool has_command_buffers(void)
{
    return cl_device_has_extension(&context->choice.device, "cl_khr_command_buffer");
}

static void replays_equal_fresh_runs(void **state)
{
    (void)state;
    for (size_t i = 0; i < NUM_CASES; i++)
        for (int mode = 0; mode < 4; mode++) {
            static struct bench b;
            bool update = mode & 1, command_buffers = mode & 2;
            attune_recording *recording;
            bench_create(&b, i);
            struct check_run *run = &b.d.run;
            change(&b, 0);
            if (!update)
                OK(attune_schedule_update(run->schedule, run->queue, run->problem->batch, b.q_len, b.kv_len, 0, NULL,
                                          NULL));
            OK(record(&b, run->queue, update, command_buffers, &recording));
            assert_int_equal(recording->buffer != NULL, command_buffers && has_command_buffers());
            for (uint64_t step = 0; step < 6; step++) {
                change(&b, step);
                run_fresh(&b, step);
                OK(workload_device_poison(&run->device, run->queue, step));
                /* By turns from the host and from the device, where the recording does not do it. */
                if (!update && step % 2)
                    OK(attune_schedule_update_device(run->schedule, run->queue, run->problem->batch, &b.d.q_len,
                                                     &b.d.kv_len, 0, NULL, NULL));
                else if (!update)
                    OK(attune_schedule_update(run->schedule, run->queue, run->problem->batch, b.q_len, b.kv_len, 0,
                                              NULL, NULL));
                OK(attune_recording_run(recording, run->queue, 0, NULL, NULL));
                compare(&b, update ? "recorded update" : "update between replays", step);
                /* A plain run of the schedule sees the same list. */
                OK(workload_device_poison(&run->device, run->queue, step));
                OK(attune_attention_run(run->launcher, run->schedule, &run->device.args, run->queue, 0, NULL, NULL));
                compare(&b, "plain run of the recorded schedule", step);
            }
            attune_recording_destroy(&recording);
            assert_null(recording);
            bench_destroy(&b);
        }
}

/* A replay's append is done before its attention reads, with the rows and slots of the moment; on any queue. */
static void replays_append(void **state)
{
    (void)state;
    for (int mode = 0; mode < 8; mode++) {
        static struct bench b;
        struct new_rows n;
        attune_recording *recording;
        bench_create(&b, DECODE_CASE);
        struct check_run *run = &b.d.run;
        new_rows_create(&b, &n);
        cl_int code;
        cl_command_queue queue =
            clCreateCommandQueue(attune_context_cl(context), attune_context_device(context),
                                 mode & 4 ? CL_QUEUE_OUT_OF_ORDER_EXEC_MODE_ENABLE : 0, &code);
        attune_recording_options options = ATTUNE_RECORDING_OPTIONS_INIT;
        options.kv_launcher = n.launcher;
        options.append = &n.args;
        if (mode & 1)
            options.q_len = &b.d.q_len, options.kv_len = &b.d.kv_len, options.batch = run->problem->batch;
        change(&b, 0);
        OK(attune_schedule_update(run->schedule, run->queue, run->problem->batch, b.q_len, b.kv_len, 0, NULL, NULL));
        OK(recording_create(run->plan, run->schedule, &run->device.args, queue, &options, mode & 2, &recording));
        for (uint64_t step = 0; step < 4; step++) {
            change(&b, step);
            draw_rows(&b, &n, step);
            OK(attune_kv_append(n.launcher, &n.args, run->queue, 0, NULL, NULL));
            run_fresh(&b, step);
            clEnqueueReadBuffer(run->queue, n.args.k_cache.cl, CL_TRUE, 0, n.cache_bytes, n.expected, 0, NULL, NULL);
            clEnqueueWriteBuffer(run->queue, n.args.k_cache.cl, CL_TRUE, 0, n.cache_bytes, n.before, 0, NULL, NULL);
            OK(workload_device_poison(&run->device, run->queue, step));
            OK(attune_schedule_update(run->schedule, run->queue, run->problem->batch, b.q_len, b.kv_len, 0, NULL,
                                      NULL));
            clFinish(run->queue);
            if (step == 1) /* the recording has what it needs */
                attune_kv_launcher_destroy(&n.launcher);
            OK(attune_recording_run(recording, queue, 0, NULL, NULL));
            clFinish(queue);
            compare(&b, "replay with an append", step);
            clEnqueueReadBuffer(run->queue, n.args.k_cache.cl, CL_TRUE, 0, n.cache_bytes, n.got, 0, NULL, NULL);
            assert_memory_equal(n.got, n.expected, n.cache_bytes);
            if (cl_device_is_pocl(&context->choice.device)) /* the scripted driver appends nothing */
                assert_true(memcmp(n.got, n.before, n.cache_bytes) != 0);
            memcpy(n.before, n.got, n.cache_bytes);
            if (!n.launcher)
                OK(attune_kv_launcher_create(run->device.layout, ATTUNE_FP32, &n.launcher));
        }
        attune_recording_destroy(&recording);
        clReleaseCommandQueue(queue);
        attune_kv_launcher_destroy(&n.launcher);
        new_rows_destroy(&n);
        bench_destroy(&b);
    }
}

/* What a recorded append is refused for, before anything is recorded. */
static void bad_appends(void **state)
{
    (void)state;
    static struct bench b;
    struct new_rows n;
    attune_recording *recording = NULL;
    bench_create(&b, DECODE_CASE);
    struct check_run *run = &b.d.run;
    new_rows_create(&b, &n);
    change(&b, 0);
    OK(attune_schedule_update(run->schedule, run->queue, run->problem->batch, b.q_len, b.kv_len, 0, NULL, NULL));
    attune_recording_options options = ATTUNE_RECORDING_OPTIONS_INIT;
#define RECORD() \
    attune_recording_create(run->plan, run->schedule, &run->device.args, run->queue, &options, &recording)
    options.append = &n.args;
    assert_int_equal(RECORD(), ATTUNE_ERROR_NULL_ARGUMENT);
    assert_non_null(strstr(attune_last_error(), "kv_launcher is NULL"));
    options.append = NULL;
    options.kv_launcher = n.launcher;
    assert_int_equal(RECORD(), ATTUNE_ERROR_NULL_ARGUMENT);
    assert_non_null(strstr(attune_last_error(), "append is NULL"));
    options.append = &n.args;
    n.args.num_tokens = NEW_TOKENS + 1;
    assert_int_equal(RECORD(), ATTUNE_ERROR_BUFFER_TOO_SMALL);
    n.args.num_tokens = -1;
    assert_int_equal(RECORD(), ATTUNE_ERROR_INVALID_SIZE);
    n.args.num_tokens = NEW_TOKENS;
    n.args.size = 0;
    assert_int_equal(RECORD(), ATTUNE_ERROR_STRUCT_SIZE);
    n.args.size = sizeof n.args;
    attune_context *other = check_context(getenv("TEST_BACKEND") ? getenv("TEST_BACKEND") : "cpu");
    attune_kv_layout_options foreign = problem_layout(run->problem, run->workload.num_slots);
    attune_kv_layout *layout;
    OK(attune_kv_layout_create(other, &foreign, &layout));
    OK(attune_kv_launcher_create(layout, ATTUNE_FP32, &options.kv_launcher));
    assert_int_equal(RECORD(), ATTUNE_ERROR_WRONG_CONTEXT);
    assert_null(recording);
    attune_kv_launcher_destroy(&options.kv_launcher);
    attune_kv_layout_destroy(&layout);
    attune_context_destroy(&other);
    options.kv_launcher = n.launcher;
    n.args.num_tokens = 0; /* nothing to append is not wrong */
    OK(RECORD());
    OK(attune_recording_run(recording, run->queue, 0, NULL, NULL));
    clFinish(run->queue);
#undef RECORD
    attune_recording_destroy(&recording);
    attune_kv_launcher_destroy(&n.launcher);
    new_rows_destroy(&n);
    bench_destroy(&b);
}

/* Layers share one schedule: the first recording updates it, the others follow; nobody waits in between. */
static void recordings_follow_each_other(void **state)
{
    (void)state;
    static struct bench b;
    for (int command_buffers = 0; command_buffers < 2; command_buffers++) {
        attune_recording *first, *second;
        bench_create(&b, 1);
        struct check_run *run = &b.d.run;
        OK(record(&b, run->queue, true, command_buffers, &first));
        OK(record(&b, run->queue, false, command_buffers, &second));
        change(&b, 5);
        run_fresh(&b, 5);
        OK(workload_device_poison(&run->device, run->queue, 5));
        for (int i = 0; i < 20; i++)
            OK(attune_recording_run(i % 4 ? second : first, run->queue, 0, NULL, NULL));
        compare(&b, "the 20th replay", 5);
        attune_recording_destroy(&first);
        attune_recording_destroy(&second);
        bench_destroy(&b);
    }
}

/* Nothing runs before the wait list, and the event is that of all commands; the plan and the schedule may be gone. */
static void replays_wait_and_signal(void **state)
{
    (void)state;
    for (int mode = 0; mode < 8; mode++) {
        static struct bench b;
        bool command_buffers = mode & 1, in_order = mode & 2, other_queue = mode & 4;
        attune_recording *recording;
        cl_int code;
        cl_command_queue_properties properties = in_order ? 0 : CL_QUEUE_OUT_OF_ORDER_EXEC_MODE_ENABLE;
        cl_command_queue queue =
            clCreateCommandQueue(attune_context_cl(context), attune_context_device(context), properties, &code);
        assert_int_equal(code, CL_SUCCESS);
        bench_create(&b, 1);
        struct check_run *run = &b.d.run;
        change(&b, 3);
        run_fresh(&b, 3);
        OK(record(&b, other_queue ? run->queue : queue, true, command_buffers, &recording));
        attune_launcher_destroy(&run->launcher);
        attune_schedule_destroy(&run->schedule);
        OK(workload_device_poison(&run->device, run->queue, 3));
        cl_event gate = clCreateUserEvent(attune_context_cl(context), &code), done;
        OK(attune_recording_run(recording, queue, 1, &gate, &done));
        clFlush(queue);
        cl_int at = CL_COMPLETE;
        clGetEventInfo(done, CL_EVENT_COMMAND_EXECUTION_STATUS, sizeof at, &at, NULL);
        assert_true(at > CL_COMPLETE);
        clSetUserEventStatus(gate, CL_COMPLETE);
        assert_int_equal(clWaitForEvents(1, &done), CL_SUCCESS);
        compare(&b, command_buffers ? "behind a gate, command buffer" : "behind a gate", 3);
        clReleaseEvent(gate);
        clReleaseEvent(done);
        attune_recording_destroy(&recording);
        bench_destroy(&b);
        clReleaseCommandQueue(queue);
    }
}

/* ---- bad input */

static void refused(attune_status got, attune_status expected, const char *word)
{
    if (got != expected || !strstr(attune_last_error(), word))
        fail_msg("%s: \"%s\", not %s with \"%s\"", attune_status_name(got), attune_last_error(),
                 attune_status_name(expected), word);
}

static void bad_input(void **state)
{
    (void)state;
    static struct bench b, small;
    static struct device_run checked;
    attune_recording *out;
    attune_recording_options options = ATTUNE_RECORDING_OPTIONS_INIT;
    bench_create(&b, 1);
    bench_create(&small, 2);
    struct check_run *run = &b.d.run;
    attune_attention_args args = run->device.args;
#define CREATE(plan, schedule, args, queue) attune_recording_create((plan), (schedule), (args), (queue), &options, &out)
    refused(CREATE(NULL, run->schedule, &args, run->queue), ATTUNE_ERROR_NULL_ARGUMENT, "plan");
    refused(CREATE(run->plan, NULL, &args, run->queue), ATTUNE_ERROR_NULL_ARGUMENT, "schedule");
    refused(CREATE(run->plan, run->schedule, NULL, run->queue), ATTUNE_ERROR_NULL_ARGUMENT, "args");
    refused(CREATE(run->plan, run->schedule, &args, NULL), ATTUNE_ERROR_NULL_ARGUMENT, "queue");
    refused(attune_recording_create(run->plan, run->schedule, &args, run->queue, NULL, NULL),
            ATTUNE_ERROR_NULL_ARGUMENT, "out");
    refused(CREATE(run->plan, run->schedule, &args, run->queue), ATTUNE_ERROR_MISMATCH, "no work list");
    refused(CREATE(run->plan, small.d.run.schedule, &args, run->queue), ATTUNE_ERROR_MISMATCH, "schedule");
    options.q_len = &b.d.q_len;
    refused(CREATE(run->plan, run->schedule, &args, run->queue), ATTUNE_ERROR_NULL_ARGUMENT, "kv_len");
    options.kv_len = &b.d.kv_len;
    options.batch = 3;
    refused(CREATE(run->plan, run->schedule, &args, run->queue), ATTUNE_ERROR_INVALID_SIZE, "batch");
    options.batch = 2;
    options.size = 0;
    refused(CREATE(run->plan, run->schedule, &args, run->queue), ATTUNE_ERROR_STRUCT_SIZE, "options");
    options.size = sizeof options;
    args.o.type = ATTUNE_MEMORY_NONE;
    refused(CREATE(run->plan, run->schedule, &args, run->queue), ATTUNE_ERROR_MISSING_TENSOR, "o ");
    args = run->device.args;
    args.kv_indices.byte_offset += 4; /* large enough for this step, not for every one */
    refused(CREATE(run->plan, run->schedule, &args, run->queue), ATTUNE_ERROR_BUFFER_TOO_SMALL, "kv_indices");
    args = run->device.args;
    options.q_len = &args.o; /* the next replay would read what this one wrote */
    refused(CREATE(run->plan, run->schedule, &args, run->queue), ATTUNE_ERROR_OVERLAP, "o overlaps q_len");
    options.q_len = &b.d.q_len;
    args.o = run->device.args.workspace;
    refused(CREATE(run->plan, run->schedule, &args, run->queue), ATTUNE_ERROR_OVERLAP, "workspace overlaps");
    args = run->device.args;
    /* Schedules without what a recording needs. */
    attune_schedule_options limits = b.d.limits;
    attune_schedule *poor;
    limits.device_lengths = 0;
    OK(attune_schedule_create(run->plan, &limits, &poor));
    refused(CREATE(run->plan, poor, &args, run->queue), ATTUNE_ERROR_MISMATCH, "device_lengths");
    attune_schedule_destroy(&poor);
    limits.max_kv_len = 0;
    OK(attune_schedule_create(run->plan, &limits, &poor));
    refused(CREATE(run->plan, poor, &args, run->queue), ATTUNE_ERROR_INVALID_SIZE, "max_kv_len");
    attune_schedule_destroy(&poor);
    /* Debug mode waits, which a recording cannot. */
    OK(device_run_create(context, &checked, cases[1].problem, cases[1].config, 1));
    refused(CREATE(checked.run.plan, checked.run.schedule, &checked.run.device.args, checked.run.queue),
            ATTUNE_ERROR_UNSUPPORTED, "validate");
    device_run_destroy(&checked);
    /* Queues of another context, then and later. */
    attune_context *other = check_context(getenv("TEST_BACKEND") ? getenv("TEST_BACKEND") : "cpu");
    cl_int code;
    cl_command_queue foreign = clCreateCommandQueue(attune_context_cl(other), attune_context_device(other), 0, &code);
    refused(CREATE(run->plan, run->schedule, &args, foreign), ATTUNE_ERROR_WRONG_CONTEXT, "queue");
    assert_null(out);
    OK(CREATE(run->plan, run->schedule, &args, run->queue));
    refused(attune_recording_run(out, foreign, 0, NULL, NULL), ATTUNE_ERROR_WRONG_CONTEXT, "queue");
    refused(attune_recording_run(out, NULL, 0, NULL, NULL), ATTUNE_ERROR_NULL_ARGUMENT, "queue");
    refused(attune_recording_run(NULL, run->queue, 0, NULL, NULL), ATTUNE_ERROR_NULL_ARGUMENT, "recording");
    refused(attune_recording_run(out, run->queue, 1, NULL, NULL), ATTUNE_ERROR_NULL_ARGUMENT, "wait");
    attune_recording_destroy(&out);
    attune_recording_destroy(&out);
    attune_recording_destroy(NULL);
    clReleaseCommandQueue(foreign);
    attune_context_destroy(&other);
    bench_destroy(&small);
    bench_destroy(&b);
}

static int open_context(void **state)
{
    (void)state;
    context = check_context(getenv("TEST_BACKEND") ? getenv("TEST_BACKEND") : "cpu");
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
        cmocka_unit_test(replays_equal_fresh_runs),
        cmocka_unit_test(replays_append),
        cmocka_unit_test(bad_appends),
        cmocka_unit_test(recordings_follow_each_other),
        cmocka_unit_test(replays_wait_and_signal),
        cmocka_unit_test(bad_input),
    };
    return cmocka_run_group_tests(tests, open_context, close_context);
}
