/* SPDX-License-Identifier: Apache-2.0
 * attune_merge_states: two halves of the keys against the whole, in place and not, sides without keys, bad input. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/base.h"
#include "check.h"
#include "context.h"

#define FIRST 40 /* keys of side a */
#define KEYS 100
#define TOKENS 5
#define HEADS 4
#define DIM 64
#define O_COUNT (TOKENS * HEADS * DIM)
#define LSE_COUNT (TOKENS * HEADS)
#define PAD 16 /* elements before and behind an output that must not change */

static attune_context *context;

#define OK(call)                                                                             \
    do {                                                                                     \
        attune_status status_ = (call);                                                      \
        if (status_ != ATTUNE_OK)                                                            \
            fail_msg("%s: %s: %s", #call, attune_status_name(status_), attune_last_error()); \
    } while (0)

struct fixture {
    struct check_run run; /* of the whole */
    attune_merge_states_args args;
    cl_mem buffers[6]; /* o_a, lse_a, o_b, lse_b, o, lse: packed */
};

static attune_tensor buffer(struct fixture *f, int index, size_t elements, size_t element)
{
    cl_int code;
    attune_tensor t = ATTUNE_TENSOR_INIT;
    size_t bytes = (elements + 2 * PAD) * element;
    unsigned char *canary = malloc(bytes);
    assert_non_null(canary);
    memset(canary, 0x7b, bytes);
    t.type = ATTUNE_MEMORY_CL;
    t.byte_offset = PAD * element;
    t.cl = f->buffers[index] =
        clCreateBuffer(attune_context_cl(context), CL_MEM_READ_WRITE | CL_MEM_COPY_HOST_PTR, bytes, canary, &code);
    assert_int_equal(code, CL_SUCCESS);
    free(canary);
    return t;
}

/* Attention over keys [first, first + count) into o and lse. */
static void run_part(struct fixture *f, int32_t first, int32_t count, const attune_tensor *o, const attune_tensor *lse)
{
    attune_attention_args args = f->run.device.args;
    size_t element = dtype_size(f->run.problem->desc.kv_dtype);
    const int32_t q_len = TOKENS;
    args.k.byte_offset += (size_t)(first * args.k.stride_token) * element;
    args.v.byte_offset += (size_t)(first * args.v.stride_token) * element;
    args.o = *o;
    args.lse = *lse;
    OK(attune_schedule_update(f->run.schedule, f->run.queue, 1, &q_len, &count, 0, NULL, NULL));
    OK(attune_attention_run(f->run.launcher, f->run.schedule, &args, f->run.queue, 0, NULL, NULL));
    clFinish(f->run.queue);
}

static void create(struct fixture *f)
{
    memset(f, 0, sizeof *f);
    struct workload_options options = WORKLOAD_OPTIONS_INIT;
    OK(check_run_create(context, "prefill:hq=4,hkv=2,d=64,q=fp32,kv=fp32,prec=strict,causal=0,new=5,kvlen=100", NULL,
                        &options, &f->run));
    OK(check_run_enqueue(&f->run, 3));
    OK(check_run_compare(&f->run, 3));
    f->args = (attune_merge_states_args)ATTUNE_MERGE_STATES_ARGS_INIT;
    f->args.num_tokens = TOKENS;
    f->args.o_a = buffer(f, 0, O_COUNT, sizeof(float));
    f->args.lse_a = buffer(f, 1, LSE_COUNT, sizeof(float));
    f->args.o_b = buffer(f, 2, O_COUNT, sizeof(float));
    f->args.lse_b = buffer(f, 3, LSE_COUNT, sizeof(float));
    f->args.o = buffer(f, 4, O_COUNT, sizeof(float));
    f->args.lse = buffer(f, 5, LSE_COUNT, sizeof(float));
    run_part(f, 0, FIRST, &f->args.o_a, &f->args.lse_a);
    run_part(f, FIRST, KEYS - FIRST, &f->args.o_b, &f->args.lse_b);
}

static void destroy(struct fixture *f)
{
    for (int i = 0; i < 6; i++)
        if (f->buffers[i])
            clReleaseMemObject(f->buffers[i]);
    check_run_destroy(&f->run);
}

/* Largest difference from the run over all keys, relative to the largest value; padding must be as it was. */
static double difference(struct fixture *f, const attune_tensor *tensor, const float *whole, size_t count)
{
    float *data = malloc((count + 2 * PAD) * sizeof *data);
    double worst = 0, norm = 0;
    assert_non_null(data);
    assert_int_equal(clEnqueueReadBuffer(f->run.queue, tensor->cl, CL_TRUE, 0, (count + 2 * PAD) * sizeof *data, data,
                                         0, NULL, NULL),
                     CL_SUCCESS);
    for (size_t i = 0; i < count; i++) {
        assert_false(isnan(data[PAD + i]));
        worst = fmax(worst, fabs((double)data[PAD + i] - (double)whole[i]));
        norm = fmax(norm, fabs((double)whole[i]));
    }
    for (size_t i = 0; i < PAD; i++) {
        uint32_t before, behind;
        memcpy(&before, &data[i], sizeof before);
        memcpy(&behind, &data[PAD + count + i], sizeof behind);
        assert_true(before == 0x7b7b7b7b && behind == 0x7b7b7b7b);
    }
    free(data);
    return worst / norm;
}

static void must_equal_whole(struct fixture *f)
{
    double o = difference(f, &f->args.o, f->run.o, O_COUNT);
    double lse = f->args.lse.cl ? difference(f, &f->args.lse, f->run.lse, LSE_COUNT) : 0;
    print_message("differs from the whole by %.2g, lse by %.2g\n", o, lse);
    assert_true(o <= 1e-6 && lse <= 1e-6);
}

static attune_status merge(struct fixture *f)
{
    return attune_merge_states(f->run.launcher, &f->args, f->run.queue, 0, NULL, NULL);
}

static void two_parts_make_the_whole(void **state)
{
    (void)state;
    struct fixture f;
    create(&f);
    OK(merge(&f));
    must_equal_whole(&f);
    /* The other way round, without lse. */
    attune_tensor swapped = f.args.o_a;
    f.args.o_a = f.args.o_b, f.args.o_b = swapped;
    swapped = f.args.lse_a, f.args.lse_a = f.args.lse_b, f.args.lse_b = swapped;
    f.args.lse = (attune_tensor)ATTUNE_TENSOR_INIT;
    OK(merge(&f));
    must_equal_whole(&f);
    destroy(&f);
}

static void out_may_be_a_side(void **state)
{
    (void)state;
    for (int side = 0; side < 2; side++) {
        struct fixture f;
        create(&f);
        f.args.o = side ? f.args.o_b : f.args.o_a;
        f.args.lse = side ? f.args.lse_b : f.args.lse_a;
        OK(merge(&f));
        must_equal_whole(&f);
        destroy(&f);
    }
}

static void fill(struct fixture *f, const attune_tensor *tensor, size_t count, float value)
{
    assert_int_equal(clEnqueueFillBuffer(f->run.queue, tensor->cl, &value, sizeof value, PAD * sizeof value,
                                         count * sizeof value, 0, NULL, NULL),
                     CL_SUCCESS);
}

static void a_side_without_keys_does_not_count(void **state)
{
    (void)state;
    struct fixture f;
    float zeros[O_COUNT] = {0}, o[PAD + O_COUNT], lse[PAD + LSE_COUNT];
    create(&f);
    run_part(&f, 0, KEYS, &f.args.o_a, &f.args.lse_a);
    fill(&f, &f.args.o_b, O_COUNT, NAN);
    fill(&f, &f.args.lse_b, LSE_COUNT, -INFINITY);
    OK(merge(&f));
    must_equal_whole(&f);
    fill(&f, &f.args.o_a, O_COUNT, NAN);
    fill(&f, &f.args.lse_a, LSE_COUNT, -INFINITY);
    OK(merge(&f));
    clEnqueueReadBuffer(f.run.queue, f.args.o.cl, CL_TRUE, 0, sizeof o, o, 0, NULL, NULL);
    clEnqueueReadBuffer(f.run.queue, f.args.lse.cl, CL_TRUE, 0, sizeof lse, lse, 0, NULL, NULL);
    assert_memory_equal(o + PAD, zeros, sizeof zeros);
    for (int i = 0; i < LSE_COUNT; i++)
        assert_true(isinf(lse[PAD + i]) && lse[PAD + i] < 0);
    destroy(&f);
}

static void read_result(struct fixture *f, const attune_tensor *tensor, size_t count, float *out)
{
    assert_int_equal(clEnqueueReadBuffer(f->run.queue, tensor->cl, CL_TRUE, PAD * sizeof *out, count * sizeof *out, out,
                                         0, NULL, NULL),
                     CL_SUCCESS);
}

/* Of all rows and dims that should be NaN. */
static void must_be_nan(struct fixture *f, float lse_a, float lse_b, bool also_lse)
{
    float o[O_COUNT], lse[LSE_COUNT];
    fill(f, &f->args.lse_a, LSE_COUNT, lse_a);
    fill(f, &f->args.lse_b, LSE_COUNT, lse_b);
    OK(merge(f));
    read_result(f, &f->args.o, O_COUNT, o);
    read_result(f, &f->args.lse, LSE_COUNT, lse);
    for (int i = 0; i < O_COUNT; i++)
        if (!isnan(o[i]))
            fail_msg("lse %g and %g: o is %g", (double)lse_a, (double)lse_b, (double)o[i]);
    for (int i = 0; i < LSE_COUNT; i++)
        if (also_lse != !!isnan(lse[i]))
            fail_msg("lse %g and %g: lse is %g", (double)lse_a, (double)lse_b, (double)lse[i]);
}

static void nan_is_not_hidden(void **state)
{
    (void)state;
    struct fixture f;
    create(&f);
    must_be_nan(&f, NAN, 1, true);
    must_be_nan(&f, 1, NAN, true);
    must_be_nan(&f, NAN, -INFINITY, true);
    must_be_nan(&f, -INFINITY, NAN, true);
    must_be_nan(&f, NAN, NAN, true);
    /* The caller's error, as the header says. */
    must_be_nan(&f, INFINITY, 1, true);
    must_be_nan(&f, -INFINITY, INFINITY, true);
    must_be_nan(&f, INFINITY, INFINITY, true);
    /* In the output of a side that counts, however little. */
    fill(&f, &f.args.o_a, O_COUNT, NAN);
    must_be_nan(&f, -300, 1, false);
    fill(&f, &f.args.o_b, O_COUNT, NAN);
    must_be_nan(&f, -INFINITY, -2e38f, false);
    destroy(&f);
}

#define REFUSED(status)                                     \
    do {                                                    \
        assert_int_equal(merge(&f), ATTUNE_ERROR_##status); \
        f.args = good;                                      \
    } while (0)

static void bad_input_is_refused(void **state)
{
    (void)state;
    struct fixture f;
    create(&f);
    const attune_merge_states_args good = f.args;
    f.args.size = 0;
    REFUSED(STRUCT_SIZE);
    f.args.num_tokens = -1;
    REFUSED(INVALID_SIZE);
    f.args.num_tokens = TOKENS + 1;
    REFUSED(BUFFER_TOO_SMALL);
    f.args.lse_b.type = ATTUNE_MEMORY_NONE;
    REFUSED(MISSING_TENSOR);
    f.args.o.type = ATTUNE_MEMORY_NONE;
    REFUSED(MISSING_TENSOR);
    f.args.o.stride_head = DIM - 1;
    REFUSED(STRIDE);
    f.args.o_a.byte_offset = 2;
    REFUSED(OFFSET);
    f.args.o_a.type = (attune_memory_type)7;
    REFUSED(UNSUPPORTED);
    f.args.o = f.args.o_a;
    f.args.o.byte_offset += 4; /* not in place: one element off */
    REFUSED(OVERLAP);
    f.args.lse = f.args.o;
    REFUSED(OVERLAP);
    f.args.lse = f.args.o_b;
    REFUSED(OVERLAP);
    f.args.o.cl = f.args.lse_a.cl;
    REFUSED(BUFFER_TOO_SMALL);
    assert_int_equal(attune_merge_states(NULL, &f.args, f.run.queue, 0, NULL, NULL), ATTUNE_ERROR_NULL_ARGUMENT);
    assert_int_equal(attune_merge_states(f.run.launcher, NULL, f.run.queue, 0, NULL, NULL), ATTUNE_ERROR_NULL_ARGUMENT);
    assert_int_equal(attune_merge_states(f.run.launcher, &f.args, NULL, 0, NULL, NULL), ATTUNE_ERROR_NULL_ARGUMENT);
    f.args = (attune_merge_states_args)ATTUNE_MERGE_STATES_ARGS_INIT; /* no tokens, no tensors */
    OK(merge(&f));
    clFinish(f.run.queue);
    destroy(&f);
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
        cmocka_unit_test(two_parts_make_the_whole),
        cmocka_unit_test(out_may_be_a_side),
        cmocka_unit_test(a_side_without_keys_does_not_count),
        cmocka_unit_test(nan_is_not_hidden),
        cmocka_unit_test(bad_input_is_refused),
    };
    return cmocka_run_group_tests(tests, open_context, close_context);
}
