/* SPDX-License-Identifier: Apache-2.0
 * Values at the edge of the numerics contract, in every family, with and without split keys: NaN and infinity in what a
 * row reads, logits far below -1e30, dominated rows of large logits, rows of one key, and the least and largest scale.
 * One plan a family and type, whose inputs change. */
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

static attune_context *context;

#define SEED 11

/* What a problem of each type begins with; the families that take it differ. */
static const char *const shapes[] = {
    "prefill:hq=4,hkv=2,d=64,q=fp32,kv=fp32,o=fp32,prec=strict",
    "prefill:hq=4,hkv=2,d=64,q=fp32,kv=bf16,o=fp32,prec=fast",
    "decode:hq=4,hkv=2,d=64,q=fp32,kv=fp32,o=fp32,prec=strict,page=0",
    "decode:hq=4,hkv=2,d=64,q=fp16,kv=fp16,o=fp16,prec=strict,page=0",
};
enum { PREFILL_FP32, PREFILL_BF16, DECODE_FP32, DECODE_FP16 };

/* Queries without keys, and a query with one key, behind a sequence that is long enough to be split. */
static const char *const lengths[] = {"new=40/9/1,kvlen=70/5/1", "new=40/9/1,kvlen=70/5/1", "new=2/3/1,kvlen=70/2/1",
                                      "new=2/3/1,kvlen=70/2/1"};
#define LONG 70 /* keys of sequence 0 */

struct subject {
    char config[ATTUNE_CONFIG_TEXT_MAX];
    int shape;
};

static struct subject subjects[32];
static int num_subjects;

static void add_subject(int family, int shape)
{
    char problem[256];
    struct kernel_config config;
    struct rng rng;
    rng_seed(&rng, SEED);
    snprintf(problem, sizeof problem, "%s,causal=1,%s", shapes[shape], lengths[shape]);
    family_default_config(family, &config);
    if (!check_valid(context, problem, &config) && !check_draw_config(context, &rng, family, problem, &config))
        return;
    subjects[num_subjects].shape = shape;
    kernel_config_format(&config, subjects[num_subjects++].config, sizeof subjects[0].config);
}

/* Each family once with fp32, and once with a type of 16 bits where that is another path. */
static void list_subjects(void)
{
    for (int f = 0; f < family_count(); f++) {
        const char *name = family_at(f)->name;
        if (!strcmp(name, "vector_dot")) {
            add_subject(f, PREFILL_BF16);
        } else if (!strncmp(name, "decode", 6)) {
            add_subject(f, DECODE_FP32);
            add_subject(f, DECODE_FP16);
        } else {
            add_subject(f, PREFILL_FP32);
        }
    }
    assert_true(num_subjects >= 4);
}

static void fail_subject(const struct subject *subject, const char *problem, const char *what)
{
    fail_msg("%s: %s\n  problem %s\n  config  %s", what, attune_last_error(), problem, subject->config);
}

/* ---- inputs that change */

static void put(struct workload_tensor *tensor, int64_t token, int64_t head, int64_t dim, float value)
{
    int64_t at = tensor->offset + token * tensor->stride_token + head * tensor->stride_head + dim;
    uint16_t *narrow = tensor->data;
    if (tensor->dtype != ATTUNE_FP32)
        narrow[at] = tensor->dtype == ATTUNE_FP16 ? float_to_half(value) : float_to_bf16(value);
    if (isnan(value)) /* as memory that was never written often is: a NaN of ones */
        memset((char *)tensor->data + at * (int64_t)dtype_size(tensor->dtype), 0xff, dtype_size(tensor->dtype));
    else
        tensor->widened[at] = tensor->dtype == ATTUNE_FP32   ? value
                              : tensor->dtype == ATTUNE_FP16 ? half_to_float(narrow[at])
                                                             : bf16_to_float(narrow[at]);
    if (isnan(value) && tensor->dtype != ATTUNE_FP32)
        tensor->widened[at] = value;
}

static void fill(struct workload_tensor *tensor, int64_t heads, float first, float step)
{
    for (int64_t t = 0; t < tensor->tokens; t++)
        for (int64_t h = 0; h < heads; h++)
            for (int64_t d = 0; d < tensor->dim; d++)
                put(tensor, t, h, d, d == 0 ? first + step * (float)(t % 3) : 0);
}

static void nan_in_a_query(struct workload *w)
{
    put(&w->q, 1, 1, 5, NAN);
}

/* Seen by the last queries only; the others must not be touched. */
static void nan_in_a_late_key(struct workload *w)
{
    put(&w->k, LONG - 1, 1, 63, NAN);
}

static void nan_in_the_first_key(struct workload *w)
{
    put(&w->k, 0, 0, 0, NAN);
}

static void nan_in_an_only_key(struct workload *w)
{
    put(&w->k, w->k.tokens - 1, 0, 7, NAN);
}

static void nan_in_a_value(struct workload *w)
{
    put(&w->v, 3, 0, 9, NAN);
}

static void infinite_keys(struct workload *w)
{
    put(&w->k, 20, 0, 3, INFINITY);
    put(&w->k, w->k.tokens - 1, 0, 3, INFINITY);
    put(&w->k, w->k.tokens - 1, 1, 3, -INFINITY);
}

/* Logits of -1e34, all equal, and from there down. fp16 comes to them by the scale. */
static void low_logits(struct workload *w)
{
    float root = w->k.dtype == ATTUNE_FP16 ? 100.0f : 1e17f;
    fill(&w->q, 4, root, 0);
    fill(&w->k, 2, -root, 0);
}

static void lower_logits(struct workload *w)
{
    float root = w->k.dtype == ATTUNE_FP16 ? 100.0f : 1e17f;
    fill(&w->q, 4, root, 0);
    fill(&w->k, 2, -root, -root);
}

static void high_logits(struct workload *w)
{
    float root = w->k.dtype == ATTUNE_FP16 ? 100.0f : 1e17f;
    fill(&w->q, 4, root, 0);
    fill(&w->k, 2, root, root);
}

/* Of keys that some rows do not see: these must not notice. */
static void huge_late_keys(struct workload *w)
{
    float huge = w->k.dtype == ATTUNE_FP16 ? 6e4f : 3e38f;
    for (int64_t d = 0; d < 64; d++) {
        put(&w->k, LONG - 1, 0, d, d % 2 ? INFINITY : -INFINITY);
        put(&w->v, LONG - 1, 0, d, huge);
    }
}

/* ---- a run and what it must give */

/* A row that the reference takes for NaN is NaN; another is right, or, with an infinite score of weight 0 among its
 * own, NaN. */
static void infinity_is_not_hidden(const struct check_run *run, const struct subject *subject)
{
    const attune_attention_desc *desc = &run->problem->desc;
    int64_t rows = run->workload.q_tokens * desc->num_q_heads;
    for (int64_t row = 0; row < rows; row++) {
        bool all_nan = isnan(run->lse[row]), right = true;
        for (int64_t d = 0; d < desc->head_dim_qk; d++) {
            double ref = run->reference.o[row * desc->head_dim_qk + d];
            float o = run->o[row * desc->head_dim_qk + d];
            all_nan = all_nan && isnan(o);
            right = right && !isnan(ref) && fabs((double)o - ref) < 0.01;
        }
        if (!all_nan && !right)
            fail_subject(subject, run->problem->text, "an infinite key is hidden");
    }
}

static void check_case(struct check_run *run, const struct subject *subject, void (*change)(struct workload *))
{
    struct workload_tensor *const tensors[] = {&run->workload.q, &run->workload.k, &run->workload.v};
    void *kept[3], *kept_widened[3];
    for (int i = 0; i < 3; i++) {
        size_t elements = tensors[i]->bytes / dtype_size(tensors[i]->dtype);
        kept[i] = malloc(tensors[i]->bytes);
        kept_widened[i] = malloc(elements * sizeof(float));
        assert_true(kept[i] && kept_widened[i]);
        memcpy(kept[i], tensors[i]->data, tensors[i]->bytes);
        memcpy(kept_widened[i], tensors[i]->widened, elements * sizeof(float));
    }
    change(&run->workload);
    if (check_run_renew(run) != ATTUNE_OK || check_run_enqueue(run, SEED) != ATTUNE_OK)
        fail_subject(subject, run->problem->text, "a run");
    attune_status status = check_run_compare(run, SEED);
    if (change == infinite_keys)
        infinity_is_not_hidden(run, subject);
    else if (status != ATTUNE_OK)
        fail_subject(subject, run->problem->text, "wrong");
    for (int i = 0; i < 3; i++) {
        size_t elements = tensors[i]->bytes / dtype_size(tensors[i]->dtype);
        memcpy(tensors[i]->data, kept[i], tensors[i]->bytes);
        memcpy(tensors[i]->widened, kept_widened[i], elements * sizeof(float));
        free(kept[i]);
        free(kept_widened[i]);
    }
}

/* Every case with whole sequences, then with splits of 16 keys. */
static void check_cases(const struct subject *subject, const char *more, void (*const *changes)(struct workload *),
                        size_t count)
{
    struct check_run run;
    const struct workload_options options = WORKLOAD_OPTIONS_INIT;
    attune_plan_options plan_options = ATTUNE_PLAN_OPTIONS_INIT;
    char problem[256];
    plan_options.force_config = subject->config;
    snprintf(problem, sizeof problem, "%s,causal=1%s,%s", shapes[subject->shape], more, lengths[subject->shape]);
    if (check_run_create(context, problem, &plan_options, &options, &run) != ATTUNE_OK)
        fail_subject(subject, problem, "a plan");
    for (int splits = 0; splits < 2; splits++) {
        attune_schedule_options limits = check_limits(run.problem);
        limits.batch_invariant = splits * 16;
        limits.max_kv_len = splits * LONG;
        if (check_run_reschedule(&run, &limits) != ATTUNE_OK)
            fail_subject(subject, problem, "a schedule");
        for (size_t i = 0; i < count; i++)
            check_case(&run, subject, changes[i]);
    }
    check_run_destroy(&run);
}

static void nan_and_infinity_show(void **state)
{
    (void)state;
    static void (*const changes[])(struct workload *) = {
        nan_in_a_query, nan_in_a_late_key, nan_in_the_first_key, nan_in_an_only_key,
        nan_in_a_value, infinite_keys,     huge_late_keys,
    };
    for (int i = 0; i < num_subjects; i++)
        check_cases(&subjects[i], "", changes, sizeof changes / sizeof changes[0]);
}

static void logits_may_be_huge(void **state)
{
    (void)state;
    static void (*const changes[])(struct workload *) = {low_logits, lower_logits, high_logits};
    for (int i = 0; i < num_subjects; i++)
        check_cases(&subjects[i], subjects[i].shape == DECODE_FP16 ? ",scale=1e30" : ",scale=1", changes,
                    sizeof changes / sizeof changes[0]);
}

static void must_hold(const struct subject *subject, const char *rest, enum workload_pattern pattern, float magnitude)
{
    char problem[256];
    struct workload_options options = WORKLOAD_OPTIONS_INIT;
    options.seed = SEED;
    options.pattern = pattern;
    options.magnitude = magnitude;
    snprintf(problem, sizeof problem, "%s,%s", shapes[subject->shape], rest);
    const char *fault = check_problem(context, problem, subject->config, &options);
    if (fault)
        fail_msg("%s", fault);
}

/* Rows of which one key has nearly all the weight, or is the only one: their weight is 1 in fp32 and in 16 bits, and
 * what is wrong by more than rounding shows. */
static void one_key_has_the_weight(void **state)
{
    (void)state;
    static const char few[] = "causal=1,new=1,kvlen=16/17/40/100/200/400",
                      one[] = "causal=1,align=tl,new=1,kvlen=16/40/400";
    for (int i = 0; i < num_subjects; i++) {
        must_hold(&subjects[i], few, PATTERN_DOMINANT_KEY, 10); /* logits of 200 */
        must_hold(&subjects[i], few, PATTERN_DOMINANT_KEY, 500);
        must_hold(&subjects[i], one, PATTERN_NORMAL, 15);
    }
}

static void scales_have_limits(void **state)
{
    (void)state;
    for (int i = 0; i < num_subjects; i++) {
        char rest[128];
        snprintf(rest, sizeof rest, "causal=1,scale=1e-30,%s", lengths[subjects[i].shape]);
        must_hold(&subjects[i], rest, PATTERN_NORMAL, 1);
        snprintf(rest, sizeof rest, "causal=1,scale=1e30,%s", lengths[subjects[i].shape]);
        if (subjects[i].shape != DECODE_FP16)
            must_hold(&subjects[i], rest, PATTERN_NORMAL, 1e-15f);
    }
}

static int open_context(void **state)
{
    (void)state;
    const char *backend = getenv("TEST_BACKEND");
    context = check_context(backend ? backend : "cpu");
    context->choice.limits.features |= host_features(context);
    list_subjects();
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
        cmocka_unit_test(nan_and_infinity_show),
        cmocka_unit_test(logits_may_be_huge),
        cmocka_unit_test(one_key_has_the_weight),
        cmocka_unit_test(scales_have_limits),
    };
    return cmocka_run_group_tests(tests, open_context, close_context);
}
