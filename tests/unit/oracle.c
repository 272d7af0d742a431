/* SPDX-License-Identifier: Apache-2.0
 * The oracle against cases worked by hand, and against the formula written out once more on random problems. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/base.h"
#include "oracle/oracle.h"

#define LN3 1.0986122886681098
#define MAX_VALUES 64

/* One head, dim 1, scale 1, no mask: a case changes what it is about. */
static attune_attention_desc scalar_desc(void)
{
    attune_attention_desc desc = ATTUNE_ATTENTION_DESC_INIT;
    desc.num_q_heads = desc.num_kv_heads = desc.head_dim_qk = 1;
    desc.mask = ATTUNE_MASK_NONE;
    desc.scale = 1.0f;
    return desc;
}

static struct oracle_input packed_input(const attune_attention_desc *desc, int32_t batch, const int32_t *q_len,
                                        const int32_t *kv_len, const float *q, const float *k, const float *v)
{
    int64_t dim_qk = desc->head_dim_qk, dim_vo = desc->head_dim_vo ? desc->head_dim_vo : dim_qk;
    return (struct oracle_input){.desc = desc,
                                 .batch = batch,
                                 .q_len = q_len,
                                 .kv_len = kv_len,
                                 .q = q,
                                 .q_stride_token = desc->num_q_heads * dim_qk,
                                 .q_stride_head = dim_qk,
                                 .k = k,
                                 .v = v,
                                 .k_stride_token = desc->num_kv_heads * dim_qk,
                                 .k_stride_head = dim_qk,
                                 .v_stride_token = desc->num_kv_heads * dim_vo,
                                 .v_stride_head = dim_vo};
}

static bool near(double value, double expected, double tolerance)
{
    return value == expected || fabs(value - expected) <= tolerance * fmax(1.0, fabs(expected));
}

/* Both implementations must give o[count] and lse[rows]. Inputs are fp32, so 1e-7 is what ln 3 as an input allows. */
static void expect_both(const struct oracle_input *input, int count, const double *o, int rows, const double *lse)
{
    double o64[MAX_VALUES], lse64[MAX_VALUES];
    float o32[MAX_VALUES], lse32[MAX_VALUES];
    assert_int_equal(oracle_attention_fp64(input, o64, lse64), ATTUNE_OK);
    assert_int_equal(oracle_attention_plain(input, o32, lse32), ATTUNE_OK);
    for (int i = 0; i < count; i++)
        if (!near(o64[i], o[i], 1e-7) || !near((double)o32[i], o[i], 1e-6))
            fail_msg("o[%d] is %.9g in fp64, %.9g plain; expected %.9g", i, o64[i], (double)o32[i], o[i]);
    for (int i = 0; i < rows; i++)
        if (!near(lse64[i], lse[i], 1e-7) || !near((double)lse32[i], lse[i], 1e-6))
            fail_msg("lse[%d] is %.9g in fp64, %.9g plain; expected %.9g", i, lse64[i], (double)lse32[i], lse[i]);
}

/* Query 0 makes all weights equal and the values 2^j make the mean of a range name it: row i must see the keys
 * ranges[i][0] .. ranges[i][1] - 1 of kv_len, and no others. Keys that no row sees are NaN, and the others' K huge. */
static void expect_ranges(const attune_attention_desc *desc, int32_t q_len, int32_t kv_len, const int (*ranges)[2])
{
    float q[MAX_VALUES] = {0}, k[MAX_VALUES], v[MAX_VALUES];
    double o[MAX_VALUES], lse[MAX_VALUES];
    for (int j = 0; j < kv_len; j++)
        k[j] = v[j] = NAN;
    for (int i = 0; i < q_len; i++) {
        int first = ranges[i][0], end = ranges[i][1];
        for (int j = first; j < end; j++) {
            v[j] = ldexpf(1.0f, j);
            k[j] = 3e38f;
        }
        o[i] = end > first ? (ldexp(1.0, end) - ldexp(1.0, first)) / (end - first) : 0.0;
        lse[i] = end > first ? log(end - first) : -INFINITY;
    }
    struct oracle_input input = packed_input(desc, 1, &q_len, &kv_len, q, k, v);
    expect_both(&input, q_len, o, q_len, lse);
}

static void two_keys(void **state)
{
    (void)state;
    /* exp(0) = 1 and exp(ln 3) = 3: weights 1/4 and 3/4; (1 + 3 * 5) / 4 = 4. */
    attune_attention_desc desc = scalar_desc();
    int32_t q_len = 1, kv_len = 2;
    float q[] = {1}, k[] = {0, (float)LN3}, v[] = {1, 5};
    struct oracle_input input = packed_input(&desc, 1, &q_len, &kv_len, q, k, v);
    expect_both(&input, 1, (double[]){4}, 1, (double[]){2 * log(2)});
    /* Logits 1000 and -1000: exp overflows unless the maximum is subtracted. */
    float far[] = {1000, -1000};
    input.k = far;
    expect_both(&input, 1, (double[]){1}, 1, (double[]){1000});
    float low[] = {-5000, -5000};
    input.k = low;
    expect_both(&input, 1, (double[]){3}, 1, (double[]){-5000 + log(2)});
}

/* In a query, in one of two keys, as an infinite score, as the only score; the last sequence's value alone is NaN. */
static void nan_is_not_hidden(void **state)
{
    (void)state;
    const attune_attention_desc desc = scalar_desc();
    const int32_t q_len[] = {1, 1, 1, 1, 1}, kv_len[] = {2, 2, 2, 1, 2};
    const float q[] = {NAN, 1, 1, -1, 1};
    const float k[] = {1, 2, 1, NAN, INFINITY, 1, INFINITY, 0, 0}, v[] = {1, 2, 1, 2, 1, 2, 1, NAN, 2};
    const struct oracle_input input = packed_input(&desc, 5, q_len, kv_len, q, k, v);
    double o64[5], lse64[5];
    float o32[5], lse32[5];
    assert_int_equal(oracle_attention_fp64(&input, o64, lse64), ATTUNE_OK);
    assert_int_equal(oracle_attention_plain(&input, o32, lse32), ATTUNE_OK);
    for (int i = 0; i < 5; i++) {
        assert_true(isnan(o64[i]) && isnan(o32[i]));
        assert_true(!!isnan(lse64[i]) == (i < 4) && !!isnan(lse32[i]) == (i < 4));
    }
    struct oracle_reference reference;
    assert_int_equal(oracle_reference_create(&input, &reference), ATTUNE_OK);
    assert_int_equal(oracle_judge(&reference, o32, lse32, NULL), ATTUNE_OK);
    for (int i = 0; i < 5; i++) {
        float kept = o32[i], kept_lse = lse32[i];
        o32[i] = 0;
        assert_int_equal(oracle_judge(&reference, o32, lse32, NULL), ATTUNE_ERROR_NOT_VERIFIED);
        o32[i] = kept;
        lse32[i] = i < 4 ? -INFINITY : NAN;
        assert_int_equal(oracle_judge(&reference, o32, lse32, NULL), ATTUNE_ERROR_NOT_VERIFIED);
        lse32[i] = kept_lse;
    }
    oracle_reference_free(&reference);
}

static void scale_is_given_or_follows_the_dim(void **state)
{
    (void)state;
    /* dot = 2 ln 3. Default scale 1/sqrt(4): logit ln 3, as in two_keys. Scale 1: logit ln 9: (1 + 9 * 5) / 10. */
    attune_attention_desc desc = scalar_desc();
    desc.head_dim_qk = 4;
    desc.head_dim_vo = 1;
    desc.scale = 0.0f;
    int32_t q_len = 1, kv_len = 2;
    float q[] = {1, 1, 1, 2}, v[] = {1, 5};
    float k[] = {0, 0, 0, 0, 0, 0, (float)(2 * LN3), 0};
    struct oracle_input input = packed_input(&desc, 1, &q_len, &kv_len, q, k, v);
    expect_both(&input, 1, (double[]){4}, 1, (double[]){log(4)});
    desc.scale = 1.0f;
    expect_both(&input, 1, (double[]){4.6}, 1, (double[]){log(10)});
}

static void softcap_comes_before_the_mask(void **state)
{
    (void)state;
    /* cap 2: 2 tanh(ln 3 / 2) = 2 * (3 - 1) / (3 + 1) = 1. Row 1: logits 0 and 1. Row 0 sees key 0 only. */
    attune_attention_desc desc = scalar_desc();
    desc.softcap = 2.0f;
    desc.mask = ATTUNE_MASK_CAUSAL;
    int32_t len = 2;
    float q[] = {1, 1}, k[] = {0, (float)LN3}, v[] = {1, 5};
    struct oracle_input input = packed_input(&desc, 1, &len, &len, q, k, v);
    double e = exp(1);
    expect_both(&input, 2, (double[]){1, (1 + 5 * e) / (1 + e)}, 2, (double[]){0, log(1 + e)});
}

static void groups_of_heads_share_keys_and_values(void **state)
{
    (void)state;
    /* 6 query heads on 2 KV heads: 0 to 2 read KV head 0, 3 to 5 KV head 1. One key, so o = v whatever the logit
     * q * k. head_dim_vo = 2 beside head_dim_qk = 1. */
    attune_attention_desc desc = scalar_desc();
    desc.num_q_heads = 6;
    desc.num_kv_heads = 2;
    desc.head_dim_vo = 2;
    int32_t len = 1;
    float q[] = {1, 2, 3, 4, 5, 6}, k[] = {10, 100}, v[] = {1, 2, 3, 4};
    struct oracle_input input = packed_input(&desc, 1, &len, &len, q, k, v);
    expect_both(&input, 12, (double[]){1, 2, 1, 2, 1, 2, 3, 4, 3, 4, 3, 4}, 6, (double[]){10, 20, 30, 400, 500, 600});
}

static void causal_alignments(void **state)
{
    (void)state;
    attune_attention_desc desc = scalar_desc();
    expect_ranges(&desc, 2, 4, (int[][2]){{0, 4}, {0, 4}});
    desc.mask = ATTUNE_MASK_CAUSAL;
    desc.causal_alignment = ATTUNE_BOTTOM_RIGHT; /* j <= kv_len - q_len + i */
    expect_ranges(&desc, 2, 4, (int[][2]){{0, 3}, {0, 4}});
    expect_ranges(&desc, 3, 3, (int[][2]){{0, 1}, {0, 2}, {0, 3}});
    expect_ranges(&desc, 4, 2, (int[][2]){{0, 0}, {0, 0}, {0, 1}, {0, 2}});
    desc.causal_alignment = ATTUNE_TOP_LEFT; /* j <= i */
    expect_ranges(&desc, 2, 4, (int[][2]){{0, 1}, {0, 2}});
    expect_ranges(&desc, 4, 2, (int[][2]){{0, 1}, {0, 2}, {0, 2}, {0, 2}});
}

static void windows(void **state)
{
    (void)state;
    attune_attention_desc desc = scalar_desc();
    desc.window_left = 1; /* one key before self, and self */
    desc.mask = ATTUNE_MASK_CAUSAL;
    expect_ranges(&desc, 3, 5, (int[][2]){{1, 3}, {2, 4}, {3, 5}});
    desc.window_left = 0;
    expect_ranges(&desc, 3, 3, (int[][2]){{0, 1}, {1, 2}, {2, 3}});
    desc.window_right = 2; /* the causal mask is the narrower one */
    expect_ranges(&desc, 3, 3, (int[][2]){{0, 1}, {1, 2}, {2, 3}});
    desc.mask = ATTUNE_MASK_NONE;
    expect_ranges(&desc, 3, 5, (int[][2]){{2, 5}, {3, 5}, {4, 5}});
    desc.window_left = -1;
    desc.window_right = 1;
    expect_ranges(&desc, 2, 4, (int[][2]){{0, 4}, {0, 4}});
    expect_ranges(&desc, 4, 2, (int[][2]){{0, 0}, {0, 1}, {0, 2}, {0, 2}});
    desc.causal_alignment = ATTUNE_TOP_LEFT;
    expect_ranges(&desc, 2, 4, (int[][2]){{0, 2}, {0, 3}});
    desc.window_left = 1; /* rows past the end see nothing */
    expect_ranges(&desc, 5, 2, (int[][2]){{0, 2}, {0, 2}, {1, 2}, {0, 0}, {0, 0}});
    desc.window_left = desc.window_right = INT32_MAX;
    expect_ranges(&desc, 2, 4, (int[][2]){{0, 4}, {0, 4}});
}

static void masked_keys_never_leak(void **state)
{
    (void)state;
    /* Row 0 sees key 0, row 1 both. Key 1's K is NaN: row 0 is untouched by it. Its V is huge, and finite. */
    attune_attention_desc desc = scalar_desc();
    desc.mask = ATTUNE_MASK_CAUSAL;
    int32_t len = 2;
    float q[] = {1, 1}, k[] = {1, NAN}, v[] = {7, 3e38f};
    struct oracle_input input = packed_input(&desc, 1, &len, &len, q, k, v);
    expect_both(&input, 1, (double[]){7}, 1, (double[]){1});
    k[1] = INFINITY;
    expect_both(&input, 1, (double[]){7}, 1, (double[]){1});
    /* Each row sees itself alone. Were key 0's logit row 1's maximum, exp(1 - 2000) would leave a sum of 0. */
    desc.window_left = 0;
    k[0] = 2000;
    k[1] = 1;
    expect_both(&input, 2, (double[]){7, (double)v[1]}, 2, (double[]){2000, 1});
    k[0] = 1;
    k[1] = 2000;
    expect_both(&input, 2, (double[]){7, (double)v[1]}, 2, (double[]){1, 2000});
}

static void sequences_follow_each_other(void **state)
{
    (void)state;
    /* Lengths 0 on either side. o = mean of a sequence's own values; no keys: 0 and -inf. */
    attune_attention_desc desc = scalar_desc();
    int32_t q_len[] = {0, 2, 0, 1, 1}, kv_len[] = {2, 0, 0, 1, 3};
    float q[] = {0, 0, 0, 0}, k[] = {9, 9, 9, 9, 9, 9}, v[] = {100, 200, 5, 1, 2, 6};
    struct oracle_input input = packed_input(&desc, 5, q_len, kv_len, q, k, v);
    expect_both(&input, 4, (double[]){0, 0, 5, 3}, 4, (double[]){-INFINITY, -INFINITY, 0, log(3)});
    input.batch = 0;
    expect_both(&input, 0, NULL, 0, NULL);
}

static void extend_reads_its_prefix_from_the_cache(void **state)
{
    (void)state;
    /* Sequence 0: prefix in slots 4, 1 (values 1, 2), new token 4. Sequence 1: prefix in slot 3 (value 8), new tokens
     * 16, 32. Window 1: row = mean of self and the key before it, so order of position matters. */
    attune_attention_desc desc = scalar_desc();
    desc.operation = ATTUNE_EXTEND;
    desc.mask = ATTUNE_MASK_CAUSAL;
    desc.window_left = 1;
    int32_t q_len[] = {1, 2}, kv_len[] = {3, 3}, indptr[] = {2, 4, 5}, indices[] = {99, 99, 4, 1, 3};
    float q[] = {0, 0, 0}, k[] = {0, 0, 0}, v[] = {4, 16, 32};
    float k_cache[] = {NAN, 0, NAN, 0, 0}, v_cache[] = {NAN, 2, NAN, 8, NAN}; /* slot 4 is outside the window */
    struct oracle_input input = packed_input(&desc, 2, q_len, kv_len, q, k, v);
    input.k_cache = k_cache;
    input.v_cache = v_cache;
    input.page_size = 1;
    input.k_cache_stride_page = input.v_cache_stride_page = 1;
    input.kv_indptr = indptr;
    input.kv_indices = indices;
    expect_both(&input, 3, (double[]){3, 12, 24}, 3, (double[]){log(2), log(2), log(2)});
    v_cache[4] = 1;
    desc.window_left = -1; /* (1+2+4)/3, (8+16)/2, (8+16+32)/3 */
    expect_both(&input, 3, (double[]){7.0 / 3, 12, 56.0 / 3}, 3, (double[]){log(3), log(2), log(3)});
}

static void pages_hold_tokens_in_order(void **state)
{
    (void)state;
    /* Pages of 3 tokens, 5 elements apart; two elements a token. Sequence 0: pages 2, 0 (4 keys), sequence 1: page 1 (2 keys).
     * Each query sees its last two keys. */
    attune_attention_desc desc = scalar_desc();
    desc.operation = ATTUNE_DECODE;
    desc.mask = ATTUNE_MASK_CAUSAL;
    desc.window_left = 1;
    int32_t q_len[] = {2, 1}, kv_len[] = {4, 2}, indptr[] = {1, 3, 4}, indices[] = {99, 2, 0, 1};
    float q[] = {0, 0, 0}, k_cache[18] = {0}, v_cache[18];
    for (int i = 0; i < 18; i++)
        v_cache[i] = NAN;
    v_cache[12] = 1, v_cache[14] = 3; /* page 2, tokens 1 and 2 */
    v_cache[0] = 9;                   /* page 0, token 0 */
    v_cache[5] = 20, v_cache[7] = 30; /* page 1, tokens 0 and 1 */
    struct oracle_input input = packed_input(&desc, 2, q_len, kv_len, q, NULL, NULL);
    input.k_cache = k_cache;
    input.v_cache = v_cache;
    input.page_size = 3;
    input.k_cache_stride_page = input.v_cache_stride_page = 5;
    input.k_cache_stride_token = input.v_cache_stride_token = 2;
    input.kv_indptr = indptr;
    input.kv_indices = indices;
    expect_both(&input, 3, (double[]){2, 6, 25}, 3, (double[]){log(2), log(2), log(2)});
}

static void decode_reads_every_key_from_the_cache(void **state)
{
    (void)state;
    /* Two queries at positions 1 and 2 of slots 2, 0, 3; k and v are not there. */
    attune_attention_desc desc = scalar_desc();
    desc.operation = ATTUNE_DECODE;
    desc.mask = ATTUNE_MASK_CAUSAL;
    int32_t q_len = 2, kv_len = 3, indptr[] = {0, 3}, indices[] = {2, 0, 3};
    float q[] = {0, 0}, k_cache[] = {0, NAN, 0, 0}, v_cache[] = {2, NAN, 1, 9};
    struct oracle_input input = packed_input(&desc, 1, &q_len, &kv_len, q, NULL, NULL);
    input.k_cache = k_cache;
    input.v_cache = v_cache;
    input.page_size = 1;
    input.k_cache_stride_page = input.v_cache_stride_page = 1;
    input.kv_indptr = indptr;
    input.kv_indices = indices;
    expect_both(&input, 2, (double[]){1.5, 4}, 2, (double[]){log(2), log(3)});
    /* Two queries behind a single key; what follows it in kv_indices is another's, and here no slot at all. */
    desc.causal_alignment = ATTUNE_TOP_LEFT;
    desc.window_left = 0;
    kv_len = 1;
    indices[1] = indices[2] = INT32_MAX;
    expect_both(&input, 2, (double[]){1, 0}, 2, (double[]){0, -INFINITY});
    q_len = 3;
    float q_three[] = {0, 0, 0};
    input.q = q_three;
    expect_both(&input, 3, (double[]){1, 0, 0}, 3, (double[]){0, -INFINITY, -INFINITY});
}

/* One row of plain results. */
static void plain_row(const attune_attention_desc *desc, int32_t kv_len, const float *q, const float *k, const float *v,
                      float *o, float *lse)
{
    int32_t q_len = 1;
    struct oracle_input input = packed_input(desc, 1, &q_len, &kv_len, q, k, v);
    assert_int_equal(oracle_attention_plain(&input, o, lse), ATTUNE_OK);
}

static void fast_rounds_what_enters_the_products(void **state)
{
    (void)state;
    attune_attention_desc desc = scalar_desc();
    /* Logits 0 and -ln 3: p = 1 and 1/3, denominator 4/3, v = 0 and 1: strict 1/4.
     * fp16(1/3) = 1365/4096: 4095/16384. bf16(1/3) = 171/512: 513/2048. The denominator and lse keep the unrounded p.
     */
    float q[] = {1}, k[] = {0, (float)-LN3}, v[] = {0, 1}, o, lse;
    static const struct {
        attune_precision precision;
        attune_dtype kv_dtype;
        double o;
    } cases[] = {{ATTUNE_STRICT, ATTUNE_FP16, 0.25},
                 {ATTUNE_FAST, ATTUNE_FP16, 4095.0 / 16384},
                 {ATTUNE_FAST, ATTUNE_BF16, 513.0 / 2048},
                 {ATTUNE_FAST, ATTUNE_FP32, 0.25}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        desc.precision = cases[i].precision;
        desc.kv_dtype = cases[i].kv_dtype;
        plain_row(&desc, 2, q, k, v, &o, &lse);
        assert_true(near((double)o, cases[i].o, 1e-7) && near((double)lse, log(4.0 / 3), 1e-7));
    }
    /* q = 1 + 2^-9 is 1 in bf16, and stays in fp16; k = 512: logit 512 or 513. */
    float q_fine[] = {1 + 0x1p-9f}, k_large[] = {512};
    desc.precision = ATTUNE_FAST;
    desc.kv_dtype = ATTUNE_BF16;
    plain_row(&desc, 1, q_fine, k_large, v, &o, &lse);
    assert_true(lse == 512.0f);
    desc.kv_dtype = ATTUNE_FP16;
    plain_row(&desc, 1, q_fine, k_large, v, &o, &lse);
    assert_true(lse == 513.0f);
}

static void plain_stores_the_output_type(void **state)
{
    (void)state;
    attune_attention_desc desc = scalar_desc();
    float q[] = {0}, k[] = {0}, v[] = {1.0f / 3}, o, lse;
    desc.o_dtype = ATTUNE_FP16;
    plain_row(&desc, 1, q, k, v, &o, &lse);
    assert_true(o == 1365.0f / 4096);
    desc.o_dtype = ATTUNE_BF16;
    plain_row(&desc, 1, q, k, v, &o, &lse);
    assert_true(o == 171.0f / 512);
}

static void plain_sums_in_natural_order_without_fusing(void **state)
{
    (void)state;
    attune_attention_desc desc = scalar_desc();
    float o, lse;
    /* Over keys, equal weights: 2^24 + 1 + 1 - 2^24 is 0 in fp32 from left to right. */
    float zeros[] = {0, 0, 0, 0}, v[] = {0x1p24f, 1, 1, -0x1p24f};
    plain_row(&desc, 4, zeros, zeros, v, &o, &lse);
    assert_true(o == 0.0f);
    /* Over the dim: the same. */
    desc.head_dim_qk = 4;
    desc.head_dim_vo = 1;
    float ones[] = {1, 1, 1, 1};
    plain_row(&desc, 1, v, ones, ones, &o, &lse);
    assert_true(lse == 0.0f);
    /* (1 + 2^-23)^2 rounds to 1 + 2^-22; a fused multiply-add would leave 2^-46. */
    float q[] = {-1, 1 + 0x1p-23f, 0, 0}, k[] = {1 + 0x1p-22f, 1 + 0x1p-23f, 0, 0};
    plain_row(&desc, 1, q, k, ones, &o, &lse);
    assert_true(lse == 0.0f);
    int32_t len = 1;
    struct oracle_input input = packed_input(&desc, 1, &len, &len, q, k, ones);
    double o64, lse64;
    assert_int_equal(oracle_attention_fp64(&input, &o64, &lse64), ATTUNE_OK);
    assert_true(lse64 == 0x1p-46);
}

/* Two sequences of one row each, one head, two dims: right o (3, 4) and (0, 1), lse 10 and 0.5, of which the second counts by
 * the unit 2. */
struct judged {
    int64_t first_row[3];
    double ref[4], lse_ref[2], lse_unit[2];
    struct oracle_error plain[3];
    struct oracle_reference reference;
};

static void judged_init(struct judged *j)
{
    *j = (struct judged){{0, 1, 2}, {3, 4, 0, 1}, {10, 0.5}, {10, 2}, {{0, 0, 0}}, {0}};
    for (int i = 0; i < 3; i++)
        j->plain[i] = (struct oracle_error){1e-3, 1e-4, 1e-3};
    j->reference = (struct oracle_reference){2, 2, j->first_row, j->ref, j->lse_ref, j->lse_unit, j->plain};
}

/* Judges the right results with an error added to values of row 0 or 1. figure NULL: they pass. */
static void expect_judged(struct judged *j, int row, double o, double lse, const char *figure)
{
    float values[4], lses[2];
    for (int i = 0; i < 4; i++)
        values[i] = (float)(j->ref[i] + (i == 2 * row ? o : 0));
    for (int i = 0; i < 2; i++)
        lses[i] = (float)(j->lse_ref[i] + (i == row ? lse : 0));
    struct oracle_judgement judgement;
    attune_status status = oracle_judge(&j->reference, values, lses, &judgement);
    if (!figure) {
        if (status != ATTUNE_OK)
            fail_msg("%s", attune_last_error());
        return;
    }
    assert_int_equal(status, ATTUNE_ERROR_NOT_VERIFIED);
    assert_string_equal(judgement.figure, figure);
    assert_true(!(isfinite(judgement.value) && judgement.value <= judgement.bound));
    if (!strstr(attune_last_error(), figure))
        fail_msg("\"%s\" lacks \"%s\"", attune_last_error(), figure);
}

static void judgement_measures(void **state)
{
    (void)state;
    struct judged j;
    judged_init(&j);
    float o[] = {3, 4.5f, 0, 1}, lse[] = {11, 0.75f};
    struct oracle_judgement judgement;
    oracle_judge(&j.reference, o, lse, &judgement);
    /* Error 0.5 of a norm of sqrt(26); lse 1 of 10. */
    assert_true(judgement.error.max_abs == 0.5 && near(judgement.error.relative, 0.5 / sqrt(26), 1e-15));
    assert_true(near(judgement.error.lse, 0.125, 1e-15));
    /* The figure that is furthest over its bound: relative 0.1 of sequence 0 over 2e-4. */
    assert_true(judgement.sequence == 0 && !strcmp(judgement.figure, "relative"));
    assert_true(near(judgement.value, 0.1, 1e-15) && near(judgement.bound, 2.01e-4, 1e-15));
    assert_non_null(strstr(attune_last_error(), "relative error 0.1 of sequence 0 is over its bound 0.000201"));
    /* Right, and 0 where 0 is right. */
    o[1] = 4, lse[0] = 10, lse[1] = 0.5f, o[2] = -0.0f;
    assert_int_equal(oracle_judge(&j.reference, o, lse, &judgement), ATTUNE_OK);
    assert_true(judgement.error.max_abs == 0 && judgement.error.relative == 0 && judgement.error.lse == 0);
}

static void judgement_finds_what_is_not_finite(void **state)
{
    (void)state;
    const float bad[] = {NAN, INFINITY, -INFINITY};
    for (int i = 0; i < 3; i++) {
        struct judged j;
        judged_init(&j);
        for (int row = 0; row < 2; row++) {
            expect_judged(&j, row, (double)bad[i], 0, "max_abs");
            expect_judged(&j, row, 0, (double)bad[i], "lse");
        }
        /* Nor where the plain ones are as bad. */
        for (int p = 0; p < 3; p++)
            j.plain[p] = (struct oracle_error){INFINITY, INFINITY, INFINITY};
        expect_judged(&j, 1, (double)bad[i], 0, "max_abs");
        expect_judged(&j, 1, 0, (double)bad[i], "lse");
    }
    /* NaN where NaN is right, no keys where there are none. */
    struct judged j;
    judged_init(&j);
    j.ref[2] = NAN;
    j.lse_ref[1] = NAN;
    j.lse_unit[1] = 1;
    expect_judged(&j, 0, 0, 0, NULL);
    float o[] = {3, 4, NAN, 1}, lse[] = {10, -1e30f};
    j.lse_ref[1] = -INFINITY;
    assert_int_equal(oracle_judge(&j.reference, o, lse, NULL), ATTUNE_ERROR_NOT_VERIFIED);
    lse[1] = -INFINITY;
    assert_int_equal(oracle_judge(&j.reference, o, lse, NULL), ATTUNE_OK);
}

static void judgement_applies_each_bound(void **state)
{
    (void)state;
    struct judged j;
    judged_init(&j);
    double slack = 2e-6; /* of fp32 values of some units */
    for (int i = 0; i < 3; i++)
        j.plain[i].relative = 1; /* each figure by itself */
    expect_judged(&j, 0, 2e-3 + 1e-6 - slack, 0, NULL);
    expect_judged(&j, 0, 2e-3 + 1e-6 + slack, 0, "max_abs");
    expect_judged(&j, 1, 0, 2 * 2e-3 - slack, NULL);
    expect_judged(&j, 1, 0, 2 * 2e-3 + slack, "lse");
    for (int i = 0; i < 3; i++)
        j.plain[i] = (struct oracle_error){1, 1e-4, 0};
    expect_judged(&j, 1, 2e-4, 0, NULL); /* of a norm of 1 */
    expect_judged(&j, 1, 2.1e-4, 0, "relative");
    expect_judged(&j, 1, 0, 2 * 0.9e-5, NULL);
    expect_judged(&j, 1, 0, 2 * 1.1e-5, "lse");
    /* Without any error of the plain ones: the absolute terms alone. */
    for (int i = 0; i < 3; i++)
        j.plain[i] = (struct oracle_error){0, 0, 0};
    expect_judged(&j, 1, 0.9e-6, 0, NULL);
    expect_judged(&j, 1, 1.1e-6, 0, "max_abs");
}

/* A sequence is judged by its own plain errors, and the batch by its norm. */
static void judgement_is_of_each_sequence(void **state)
{
    (void)state;
    struct judged j;
    judged_init(&j);
    j.plain[1] = (struct oracle_error){0, 0, 0};
    expect_judged(&j, 0, 1e-3, 0, NULL);
    expect_judged(&j, 1, 1e-5, 0, "max_abs");
    expect_judged(&j, 1, 0, 1e-4, "lse");
    j.plain[1] = j.plain[0] = (struct oracle_error){1, 1, 1};
    expect_judged(&j, 0, 1e-3, 0, NULL);
    expect_judged(&j, 0, 1.5e-3, 0, "relative");
}

/* ---- references */

/* Sequences of one row, one head: query 1 against kv_len keys of head_dim 1. */
static void reference_of(const attune_attention_desc *desc, int32_t batch, const int32_t *kv_len, const float *q,
                         const float *k, const float *v, struct oracle_reference *out)
{
    int32_t q_len[8] = {1, 1, 1, 1, 1, 1, 1, 1};
    struct oracle_input input = packed_input(desc, batch, q_len, kv_len, q, k, v);
    assert_int_equal(oracle_reference_create(&input, out), ATTUNE_OK);
}

/* Logits 1000 and 999: half a unit in the last place of a logit is 3e-5, and that of a result between 0 and 1 much less; beside
 * it a row of one key, and one where the other key's weight is exp(-1000). A largest error of the batch as the bound would let errors
 * of 1e-5 through in those. */
static void rows_without_plain_errors_get_none(void **state)
{
    (void)state;
    attune_attention_desc desc = scalar_desc();
    desc.scale = 0.1f;
    int32_t kv_len[] = {2, 1, 2};
    float q[] = {100.1f, 100.1f, 100.1f}, k[] = {100.1f, 99.99f, 33.33f, 100, -100}, v[] = {1, -1, 0.5f, 1, 5};
    struct oracle_reference reference;
    reference_of(&desc, 3, kv_len, q, k, v, &reference);
    assert_true(reference.plain[0].max_abs > 5e-6);
    for (int b = 1; b < 3; b++)
        assert_true(reference.plain[b].max_abs == 0 && reference.plain[b].relative == 0);
    float o[3], lse[3];
    for (int b = 0; b < 3; b++) {
        o[b] = (float)reference.o[b];
        lse[b] = (float)reference.lse[b];
    }
    assert_int_equal(oracle_judge(&reference, o, lse, NULL), ATTUNE_OK);
    o[2] *= 1 - 6e-6f; /* as if the largest key's weight were not 1 */
    assert_int_equal(oracle_judge(&reference, o, lse, NULL), ATTUNE_ERROR_NOT_VERIFIED);
    assert_non_null(strstr(attune_last_error(), "of sequence 2"));
    oracle_reference_free(&reference);
}

/* max(1, |lse|, largest |logit| / 100), whichever key that is of. */
static void lse_counts_by_the_largest_logit(void **state)
{
    (void)state;
    attune_attention_desc desc = scalar_desc();
    int32_t kv_len[] = {1, 2, 2, 2};
    float q[] = {1, 1, 1, 1}, k[] = {0.5f, 4, -300, -5000, -5000, 20, 0}, v[] = {1, 1, 1, 1, 1, 1, 1};
    struct oracle_reference reference;
    reference_of(&desc, 4, kv_len, q, k, v, &reference);
    const double expected[] = {1, 4, 5000 - log(2), 20};
    for (int i = 0; i < 4; i++)
        if (!near(reference.lse_unit[i], expected[i], 1e-7))
            fail_msg("row %d: %g, not %g", i, reference.lse_unit[i], expected[i]);
    oracle_reference_free(&reference);
    k[1] = 1;
    reference_of(&desc, 4, kv_len, q, k, v, &reference);
    assert_true(near(reference.lse_unit[1], 3, 1e-7));
    oracle_reference_free(&reference);
}

/* The bound of a row is no draw: the largest of many orders. One row, dim 64, two keys whose logits of some hundreds compete: its
 * plain error in the natural order is anything from nothing to the usual. */
static void few_rows_are_evaluated_in_many_orders(void **state)
{
    (void)state;
    attune_attention_desc desc = scalar_desc();
    desc.head_dim_qk = 64;
    desc.head_dim_vo = 1;
    double least = INFINITY, least_natural = INFINITY;
    for (uint64_t seed = 1; seed <= 200; seed++) {
        struct rng rng;
        rng_seed(&rng, seed);
        float q[64], k[128], v[] = {1, -1}, o, lse;
        double ahead = 0;
        for (int i = 0; i < 64; i++) {
            q[i] = (float)(20 * rng_double(&rng) - 10);
            k[i] = (float)(20 * rng_double(&rng) - 10);
            k[64 + i] = (float)(20 * rng_double(&rng) - 10);
            ahead += i ? (double)q[i] * (double)(k[i] - k[64 + i]) : 0;
        }
        q[0] = 10;
        k[64] = k[0] + (float)(ahead / 10);
        int32_t kv_len = 2;
        struct oracle_reference reference;
        reference_of(&desc, 1, &kv_len, q, k, v, &reference);
        least = fmin(least, reference.plain[0].max_abs);
        plain_row(&desc, 2, q, k, v, &o, &lse);
        least_natural = fmin(least_natural, fabs((double)o - reference.o[0]));
        assert_true(reference.plain[0].max_abs >= fabs((double)o - reference.o[0]) * 0.999);
        oracle_reference_free(&reference);
    }
    if (!(least > 5e-6 && least_natural < least / 10))
        fail_msg("least error over 200 rows %g, of the natural order alone %g", least, least_natural);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(two_keys),
        cmocka_unit_test(nan_is_not_hidden),
        cmocka_unit_test(scale_is_given_or_follows_the_dim),
        cmocka_unit_test(softcap_comes_before_the_mask),
        cmocka_unit_test(groups_of_heads_share_keys_and_values),
        cmocka_unit_test(causal_alignments),
        cmocka_unit_test(windows),
        cmocka_unit_test(masked_keys_never_leak),
        cmocka_unit_test(sequences_follow_each_other),
        cmocka_unit_test(extend_reads_its_prefix_from_the_cache),
        cmocka_unit_test(pages_hold_tokens_in_order),
        cmocka_unit_test(decode_reads_every_key_from_the_cache),
        cmocka_unit_test(fast_rounds_what_enters_the_products),
        cmocka_unit_test(plain_stores_the_output_type),
        cmocka_unit_test(plain_sums_in_natural_order_without_fusing),
        cmocka_unit_test(judgement_measures),
        cmocka_unit_test(judgement_finds_what_is_not_finite),
        cmocka_unit_test(judgement_applies_each_bound),
        cmocka_unit_test(judgement_is_of_each_sequence),
        cmocka_unit_test(rows_without_plain_errors_get_none),
        cmocka_unit_test(lse_counts_by_the_largest_logit),
        cmocka_unit_test(few_rows_are_evaluated_in_many_orders),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
