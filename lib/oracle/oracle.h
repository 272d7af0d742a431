/* SPDX-License-Identifier: Apache-2.0
 *
 * The reference: attention in fp64 on the host, written from the semantics alone. Also the plain implementations in
 * fp32 whose error the numerics contract is a multiple of.
 */
#ifndef ATTUNE_ORACLE_H
#define ATTUNE_ORACLE_H

#include <stddef.h>
#include <stdint.h>

#include <attune/attune.h>

/* Host tensors of one batch, as stored (already rounded to their types, here widened to float). All strides in
 * elements; the dim's stride is 1. Keys of sequence b have positions 0 .. kv_len[b]-1: the first kv_len - new_len are
 * gathered from the cache, position j from page kv_indices[kv_indptr[b] + j / page_size] at token j % page_size; the
 * rest are rows new_start(b) + ... of k and v, where new_start is the sum of new_len before b. PREFILL: new_len =
 * kv_len. EXTEND: new_len = q_len. DECODE: new_len = 0, or kv_len where kv_indptr is NULL: all keys are contiguous
 * then. Query rows of sequence b start at the sum of q_len before b. */
struct oracle_input {
    const attune_attention_desc *desc;
    int32_t batch;
    const int32_t *q_len, *kv_len; /* [batch] */
    const float *q;
    int64_t q_stride_token, q_stride_head;
    const float *k, *v;
    int64_t k_stride_token, k_stride_head, v_stride_token, v_stride_head;
    const float *k_cache, *v_cache;
    int32_t page_size; /* tokens a page of the cache; 1: pages are slots, whose stride is the page's */
    int64_t k_cache_stride_page, k_cache_stride_token, k_cache_stride_head;
    int64_t v_cache_stride_page, v_cache_stride_token, v_cache_stride_head;
    const int32_t *kv_indptr, *kv_indices;
};

/* Results are packed: o[sum q_len, num_q_heads, head_dim_vo], lse[sum q_len, num_q_heads].
 * Everything that desc can say is computed (windows, soft cap, alignment), whatever the kernels support; the alignment
 * gives the positions that windows count from, under a causal mask or without. desc and lengths are taken as valid.
 * Returns OUT_OF_MEMORY, or OK. Single-threaded. */
attune_status oracle_attention_fp64(const struct oracle_input *input, double *o, double *lse);

/* The plain implementation of the descriptor's contract: STRICT: fp32 products and fp32 accumulation; FAST: Q, and P
 * before P.V, rounded to the KV type first. Natural order of keys, one pass for the maximum, one for the sums. o is
 * rounded to o_dtype, as a kernel stores it. Single-threaded. */
attune_status oracle_attention_plain(const struct oracle_input *input, float *o, float *lse);

/* Error of a result against the fp64 oracle. NaN anywhere it should not be gives infinity. */
struct oracle_error {
    double max_abs;  /* max |o - ref| */
    double relative; /* ||o - ref|| / ||ref||; 0 where both are 0 */
    double lse;      /* max |lse - ref| / max(1, |ref|, largest |logit| of the row / 100); -inf must equal -inf */
};

/* What results of one batch are judged by: the right ones, and how far plain implementations are from them.
 *
 * The largest error of a batch is itself a draw: it changes with the order of the sums, and where two keys of one row
 * compete under large logits, one rounding error makes it. A bound of twice one draw would refuse honest kernels. So an
 * error of "the plain implementation" is here the largest over many plain evaluations of the same contract, which
 * differ in what an honest kernel may choose (order.h): running sums, order of dims and keys, blocks and parts of keys
 * with maxima of their own, rounded or fused products, where the scale is applied, how exponentials are taken.
 *   - The natural order evaluates every row.
 *   - Fifteen others evaluate every row, or, of large batches, a sample (of each sequence 8 rows or all, and at least
 *     one in fifteen).
 *   - The rows of a sequence that these found worst are evaluated in up to 128 orders, unless many rows are about as
 *     bad, or the bound does not depend on them: the fewer rows make the largest error, the more draws of each there
 *     are.
 * Each sequence has errors of its own, and the batch has, so that rows of few keys or of one dominant key are not
 * judged by the errors of others. */
struct oracle_reference {
    int32_t batch, head_dim_vo;
    int64_t *first_row;         /* [batch + 1]: of each sequence in [sum q_len, num_q_heads] */
    double *o, *lse;            /* packed, as of oracle_attention_fp64 */
    double *lse_unit;           /* [row]: max(1, |lse|, largest |logit| / 100) */
    struct oracle_error *plain; /* [batch + 1]: of each sequence; the last is the batch's */
};

/* Two threads. The same on every machine. Errors: OUT_OF_MEMORY; *out is zeroed then. */
attune_status oracle_reference_create(const struct oracle_input *input, struct oracle_reference *out);
attune_status oracle_reference_copy(const struct oracle_reference *from, struct oracle_reference *out);
void oracle_reference_free(struct oracle_reference *reference);

/* A result's error, and the sequence that is furthest over its bound, or nearest to it. */
struct oracle_judgement {
    struct oracle_error error; /* of the batch */
    int32_t sequence;          /* -1: the batch as a whole */
    const char *figure;        /* "max_abs", "relative" or "lse" */
    double value, bound;       /* of that sequence and figure */
};

/* The contract, for the batch and for each sequence by itself: each of max_abs and relative at most 2 x plain's + 1e-6,
 * lse at most 1e-5 or 2 x plain's, whichever is more: a row whose only key has a product that cancels has a small lse
 * with the error of large terms. An infinite error never passes. o, lse: packed. Returns OK, or NOT_VERIFIED with a
 * text that gives figure, bound and sequence. judgement may be NULL. */
attune_status oracle_judge(const struct oracle_reference *reference, const float *o, const float *lse,
                           struct oracle_judgement *judgement);

#endif
