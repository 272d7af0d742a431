/* SPDX-License-Identifier: Apache-2.0 */
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
#include "desc.h"
#include "workload.h"

static attune_problem *parse(const char *text)
{
    attune_problem *problem = NULL;
    if (attune_problem_parse(text, &problem))
        fail_msg("\"%s\": %s", text, attune_last_error());
    return problem;
}

static struct workload create(const attune_problem *problem, const struct workload_options *options)
{
    struct workload workload;
    if (workload_create(problem, options, &workload))
        fail_msg("%s: %s", problem->text, attune_last_error());
    return workload;
}

/* Every element is a finite value of [token, head, dim] where used[token], NaN elsewhere; the stored bytes say the
 * same. */
static void assert_filled(const struct workload_tensor *tensor, int64_t heads, const char *used)
{
    size_t elements = tensor->bytes / dtype_size(tensor->dtype);
    char *is_value = calloc(elements, 1);
    for (int64_t t = 0; t < tensor->tokens; t++)
        for (int64_t i = 0; i < heads * tensor->dim && (!used || used[t]); i++)
            is_value[tensor->offset + t * tensor->stride_token + i / tensor->dim * tensor->stride_head +
                     i % tensor->dim] = 1;
    for (size_t i = 0; i < elements; i++) {
        float value = tensor->widened[i], stored = value;
        if (tensor->dtype == ATTUNE_FP16)
            stored = half_to_float(((uint16_t *)tensor->data)[i]);
        if (tensor->dtype == ATTUNE_BF16)
            stored = bf16_to_float(((uint16_t *)tensor->data)[i]);
        if ((isfinite(value) != 0) != is_value[i] || (isfinite(stored) != 0) != is_value[i] ||
            (is_value[i] && value != stored))
            fail_msg("element %zu is %g, stored as %g", i, (double)value, (double)stored);
    }
    free(is_value);
}

static void tensors_have_their_geometry(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "extend:hq=4,hkv=2,d=8,dv=6,prefix=3/0/5,new=2/4/0", "prefill:hq=4,hkv=2,d=8,q=fp16,kv=bf16,new=3/0,kvlen=5/2",
        "decode:hq=2,hkv=1,d=4,kv=fp16,kvlen=5/9",           "extend:hq=1,hkv=1,d=1,prefix=0,new=0",
        "extend:hq=1,hkv=1,d=5,page=0,prefix=4/5,new=1",
    };
    static const struct workload_options options[] = {WORKLOAD_OPTIONS_INIT, {9, PATTERN_NORMAL, 4, 0, 3, 2, 5}};
    for (size_t i = 0; i < 2 * sizeof texts / sizeof texts[0]; i++) {
        attune_problem *problem = parse(texts[i / 2]);
        const attune_attention_desc *desc = &problem->desc;
        struct workload w = create(problem, &options[i % 2]);
        assert_int_equal(w.q.stride_token, desc->num_q_heads * w.q.stride_head + options[i % 2].pad);
        assert_int_equal(w.o.stride_head, desc_head_dim_vo(desc) + options[i % 2].pad);
        assert_int_equal(w.lse_stride_token, desc->num_q_heads + options[i % 2].pad);
        assert_true(w.q.bytes >= dtype_size(desc->q_dtype));
        assert_filled(&w.q, desc->num_q_heads, NULL);
        assert_null(w.o.data);
        if (desc->operation != ATTUNE_DECODE) {
            assert_filled(&w.k, desc->num_kv_heads, NULL);
            assert_filled(&w.v, desc->num_kv_heads, NULL);
        } else {
            assert_null(w.k.data);
        }
        if (desc->operation == ATTUNE_PREFILL) {
            assert_null(w.k_cache.data);
            assert_null(w.kv_indptr);
        } else {
            char *used = calloc((size_t)w.num_slots, 1);
            assert_int_equal(w.kv_indptr[problem->batch], w.num_indices);
            for (int64_t k = 0; k < w.num_indices; k++) {
                assert_in_range(w.kv_indices[k], 0, w.num_slots - 1);
                assert_false(used[w.kv_indices[k]]);
                used[w.kv_indices[k]] = 1;
            }
            assert_filled(&w.k_cache, desc->num_kv_heads, used);
            assert_filled(&w.v_cache, desc->num_kv_heads, used);
            free(used);
        }
        workload_destroy(&w);
        assert_null(w.q.data);
        attune_problem_destroy(&problem);
    }
}

/* Marks the elements of a cache that keys lie in, counting pages and tokens in the order that the text names. */
static char *used_elements(const attune_problem *problem, const struct workload *w, const struct workload_tensor *cache)
{
    char *used = calloc(cache->bytes / dtype_size(cache->dtype), 1);
    int64_t heads = problem->desc.num_kv_heads, page_size = problem->page_size;
    bool hnd = problem->kv_order == ATTUNE_KV_HND;
    for (int32_t b = 0; b < problem->batch; b++)
        for (int32_t j = 0; j < problem_cached_keys(problem, b); j++) {
            const int32_t *pages =
                w->block_table ? w->block_table + b * w->table_stride : w->kv_indices + w->kv_indptr[b];
            int64_t page = pages[j / page_size], token = j % page_size;
            for (int64_t h = 0; h < heads; h++) {
                int64_t dim = cache->dim, pad = problem->kv_pad;
                int64_t at = hnd ? (page * heads + h) * (page_size * dim + pad) + token * dim
                                 : (page * page_size + token) * (heads * dim + pad) + h * dim;
                if (hnd && page_size == 1)
                    at = (h * w->num_slots + page) * dim;
                memset(used + cache->offset + at, 1, (size_t)dim);
            }
        }
    return used;
}

static void pages_lie_in_their_order(void **state)
{
    (void)state;
    static const char *const fields[] = {"page=1",
                                         "page=16",
                                         "page=48",
                                         "page=3,table=1",
                                         "page=1,table=1",
                                         "page=1,order=hnd",
                                         "page=16,order=hnd",
                                         "page=5,order=hnd,table=1",
                                         "page=1,kvpad=7",
                                         "page=16,kvpad=7",
                                         "page=5,order=hnd,kvpad=3"};
    struct workload_options options = WORKLOAD_OPTIONS_INIT;
    options.offset = 2;
    for (size_t i = 0; i < sizeof fields / sizeof fields[0]; i++) {
        char text[160];
        snprintf(text, sizeof text, "extend:hq=4,hkv=2,d=8,dv=6,kv=fp16,prefix=33/0/48/1,new=1,%s", fields[i]);
        attune_problem *problem = parse(text);
        struct workload w = create(problem, &options);
        int32_t page_size = problem->page_size, widest = (48 + page_size - 1) / page_size;
        assert_int_equal(w.num_slots % page_size, 0);
        assert_int_equal(w.num_indices, (33 + page_size - 1) / page_size + widest + 1);
        assert_int_equal(w.num_slots / page_size, w.num_indices + options.slack_pages);
        assert_int_equal(w.last_page_len[0], 32 % page_size + 1);
        assert_int_equal(w.last_page_len[1], 0);
        assert_int_equal(w.last_page_len[3], 1);
        assert_int_equal(w.block_table != NULL, problem->block_table);
        for (int32_t b = 0; w.block_table && b < 4; b++)
            for (int64_t k = 0; k < w.table_stride; k++)
                assert_int_equal(w.block_table[b * w.table_stride + k] == INT32_MAX,
                                 k >= w.kv_indptr[b + 1] - w.kv_indptr[b]);
        assert_true(!w.block_table || w.table_stride > widest);
        const struct workload_tensor *const caches[] = {&w.k_cache, &w.v_cache};
        for (int c = 0; c < 2; c++) {
            char *used = used_elements(problem, &w, caches[c]);
            for (size_t e = 0; e < caches[c]->bytes / 2; e++)
                if ((isfinite(caches[c]->widened[e]) != 0) != used[e])
                    fail_msg("%s: element %zu of %s is %g", text, e, c ? "v_cache" : "k_cache",
                             (double)caches[c]->widened[e]);
            free(used);
        }
        workload_destroy(&w);
        attune_problem_destroy(&problem);
    }
}

/* Another order, table or padding moves keys about; the values are the same. */
static void order_does_not_change_values(void **state)
{
    (void)state;
    attune_problem *nhd = parse("decode:hq=4,hkv=2,d=8,page=16,kvlen=33/20"),
                   *hnd = parse("decode:hq=4,hkv=2,d=8,page=16,order=hnd,table=1,kvlen=33/20");
    struct workload_options options = WORKLOAD_OPTIONS_INIT;
    struct workload a = create(nhd, &options);
    options.page_pad = 3;
    struct workload b = create(hnd, &options);
    assert_false(a.page_padded);
    assert_true(b.page_padded);
    assert_int_equal(b.k_cache.stride_token, 8 + 3);
    assert_int_equal(b.k_cache.stride_head, 16 * (8 + 3) + 3);
    assert_int_equal(b.k_cache.stride_page, 2 * (16 * (8 + 3) + 3) + 3);
    for (int32_t s = 0; s < 2; s++)
        for (int64_t j = 0; j < nhd->kv_len[s]; j++)
            for (int64_t h = 0; h < 2; h++)
                assert_memory_equal(
                    a.k_cache.widened + workload_cache_element(&a, &a.k_cache, s, j) + h * a.k_cache.stride_head,
                    b.k_cache.widened + workload_cache_element(&b, &b.k_cache, s, j) + h * b.k_cache.stride_head,
                    8 * sizeof(float));
    workload_destroy(&a);
    workload_destroy(&b);
    attune_problem_destroy(&nhd);
    attune_problem_destroy(&hnd);
}

static void seeds_decide(void **state)
{
    (void)state;
    attune_problem *problem = parse("extend:hq=2,hkv=1,d=16,prefix=40,new=3");
    struct workload_options options = WORKLOAD_OPTIONS_INIT;
    struct workload a = create(problem, &options), b = create(problem, &options);
    options.seed = 2;
    struct workload c = create(problem, &options);
    assert_memory_equal(a.k.data, b.k.data, a.k.bytes);
    assert_memory_equal(a.kv_indices, b.kv_indices, 40 * sizeof(int32_t));
    assert_memory_not_equal(a.k.data, c.k.data, a.k.bytes);
    assert_memory_not_equal(a.q.data, c.q.data, a.q.bytes);
    assert_memory_not_equal(a.v.data, c.v.data, a.v.bytes);
    assert_memory_not_equal(a.kv_indices, c.kv_indices, 40 * sizeof(int32_t));
    assert_memory_not_equal(a.k.data, a.v.data, a.k.bytes);
    int in_order = 0;
    for (int i = 1; i < 40; i++)
        in_order += a.kv_indices[i] == a.kv_indices[i - 1] + 1;
    assert_in_range(in_order, 0, 8);
    workload_destroy(&a);
    workload_destroy(&b);
    workload_destroy(&c);
    attune_problem_destroy(&problem);
}

/* Largest and second largest logit of query i of a single sequence, over the keys that it sees. */
static void top_logits(const attune_problem *problem, const struct workload *w, int64_t i, int64_t h, double *top,
                       double *next)
{
    const attune_attention_desc *desc = &problem->desc;
    int64_t begin, end, cached = w->kv_indptr ? w->kv_indptr[1] : 0,
                        head = h / (desc->num_q_heads / desc->num_kv_heads);
    desc_visible_keys(desc, problem->q_len[0], problem->kv_len[0], i, &begin, &end);
    *top = *next = -INFINITY;
    for (int64_t j = begin; j < end; j++) {
        const struct workload_tensor *k = j < cached ? &w->k_cache : &w->k;
        int64_t token = j < cached ? w->kv_indices[j] : j - cached;
        double sum = 0;
        for (int64_t d = 0; d < desc->head_dim_qk; d++)
            sum += (double)w->q.widened[w->q.offset + i * w->q.stride_token + h * w->q.stride_head + d] *
                   (double)k->widened[k->offset + token * k->stride_token + head * k->stride_head + d];
        sum *= (double)desc_scale(desc);
        *next = sum > *top ? *top : fmax(*next, sum);
        *top = fmax(*top, sum);
    }
}

static void patterns_do_what_they_say(void **state)
{
    (void)state;
    attune_problem *problem = parse("extend:hq=4,hkv=2,d=64,prefix=50,new=14");
    struct workload_options options = WORKLOAD_OPTIONS_INIT;
    struct workload w = create(problem, &options);
    double top, next, highest = 0;
    for (int64_t i = 0; i < 14; i++) {
        top_logits(problem, &w, i, i % 4, &top, &next);
        highest = fmax(highest, top);
    }
    assert_true(highest > 1 && highest < 6); /* unit variance: a few units */
    workload_destroy(&w);

    options.pattern = PATTERN_DOMINANT_KEY;
    w = create(problem, &options);
    for (int64_t i = 0; i < 14; i++) {
        top_logits(problem, &w, i, i % 4, &top, &next);
        if (!(top > 15 && top < 25 && next < top - 5))
            fail_msg("query %d: logits %g and %g", (int)i, top, next);
    }
    workload_destroy(&w);

    options.pattern = PATTERN_CONSTANT;
    w = create(problem, &options);
    const float *key = w.k_cache.widened + w.kv_indices[17] * w.k_cache.stride_token;
    for (int64_t t = 0; t < 14; t++)
        assert_memory_equal(w.k.widened + t * w.k.stride_token, key, 2 * 64 * sizeof(float));
    assert_memory_not_equal(key, key + 64, 64 * sizeof(float)); /* heads differ */
    assert_memory_equal(w.q.widened, w.q.widened + 5 * w.q.stride_token, 4 * 64 * sizeof(float));
    workload_destroy(&w);

    options.pattern = PATTERN_CANCELLATION;
    w = create(problem, &options);
    double sum = 0;
    for (int64_t j = 0; j < 64; j++)
        sum += (double)(j < 50 ? w.v_cache.widened[w.kv_indices[j] * w.v_cache.stride_token]
                               : w.v.widened[(j - 50) * w.v.stride_token]);
    assert_true(fabs(sum) < 1 && fabsf(w.v.widened[0]) > 99);
    workload_destroy(&w);
    attune_problem_destroy(&problem);
}

static void the_oracle_sees_the_same(void **state)
{
    (void)state;
    attune_problem *problem = parse("extend:hq=2,hkv=2,d=4,prefix=3,new=2");
    struct workload_options options = WORKLOAD_OPTIONS_INIT;
    options.offset = 6;
    options.pad = 1;
    struct workload w = create(problem, &options);
    struct oracle_input input;
    workload_oracle_input(problem, &w, &input);
    assert_ptr_equal(input.v_cache, w.v_cache.widened + 6);
    assert_int_equal(input.v_cache_stride_token, 9);
    assert_int_equal(input.q_stride_head, 5);
    assert_ptr_equal(input.kv_len, problem->kv_len);
    workload_destroy(&w);
    attune_problem_destroy(&problem);
}

static void what_cannot_be_made_is_refused(void **state)
{
    (void)state;
    struct workload_options options = WORKLOAD_OPTIONS_INIT;
    struct workload w;
    static const char *const extras[] = {"D6", "E6", "E7", "E8", "P5"};
    for (size_t i = 0; i < 5; i++) {
        attune_problem *problem = parse(extras[i]);
        assert_int_equal(workload_create(problem, &options, &w), ATTUNE_ERROR_UNSUPPORTED);
        attune_problem_destroy(&problem);
    }
    attune_problem *huge = parse("prefill:hq=1024,hkv=1024,d=576,new=2147483647");
    assert_int_equal(workload_create(huge, &options, &w), ATTUNE_ERROR_OUT_OF_MEMORY);
    assert_null(w.q.data);
    attune_problem_destroy(&huge);
    attune_problem *full = parse("extend:hq=1,hkv=1,d=1,prefix=2147483647,new=0");
    assert_int_equal(workload_create(full, &options, &w), ATTUNE_ERROR_OVERFLOW);
    attune_problem_destroy(&full);
    attune_problem *problem = parse("E1:new=1");
    options.pad = -1;
    assert_int_equal(workload_create(problem, &options, &w), ATTUNE_ERROR_INVALID_SIZE);
    options.pad = 0;
    options.magnitude = NAN;
    assert_int_equal(workload_create(problem, &options, &w), ATTUNE_ERROR_INVALID_SIZE);
    options.magnitude = 1;
    options.pattern = PATTERN_COUNT;
    assert_int_equal(workload_create(problem, &options, &w), ATTUNE_ERROR_ENUM);
    attune_problem_destroy(&problem);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tensors_have_their_geometry),    cmocka_unit_test(seeds_decide),
        cmocka_unit_test(pages_lie_in_their_order),       cmocka_unit_test(order_does_not_change_values),
        cmocka_unit_test(patterns_do_what_they_say),      cmocka_unit_test(the_oracle_sees_the_same),
        cmocka_unit_test(what_cannot_be_made_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
