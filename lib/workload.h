/* SPDX-License-Identifier: Apache-2.0
 * Host tensors for a problem, drawn from a seed. The supervisor, the worker and the tests make the same ones. */
#ifndef ATTUNE_WORKLOAD_H
#define ATTUNE_WORKLOAD_H

#include "oracle/oracle.h"
#include "problem.h"

enum workload_pattern {
    PATTERN_NORMAL,       /* Q and K uniform with variance magnitude^2, V uniform in +-1 */
    PATTERN_CONSTANT,     /* all rows of a head equal */
    PATTERN_DOMINANT_KEY, /* one key per row dominates: its logit is about 20 * magnitude */
    PATTERN_CANCELLATION, /* values of +-100 by turns under nearly equal weights: their weighted sum nearly cancels */
    PATTERN_COUNT
};

struct workload_options {
    uint64_t seed;
    enum workload_pattern pattern;
    float magnitude;     /* of Q and K; 1 = logits of a few units */
    int32_t slack_pages; /* unused cache pages (slots) beside the used ones, poisoned with NaN */
    int32_t pad;         /* extra elements in every stride of tokens and, outside caches, of heads, but for page_pad's;
                            0 = packed */
    int32_t page_pad; /* extra elements in each stride of a cache with pages of several tokens, whose layout then is
                         STRIDED */
    int32_t offset;   /* elements before the first of every tensor, and on a device of page tables; 0 = none */
};

#define WORKLOAD_OPTIONS_INIT               \
    {                                       \
        1, PATTERN_NORMAL, 1.0f, 7, 0, 0, 0 \
    }

/* One tensor: values as stored, in bytes of its dtype, NaN where no value lies, and widened to float. At least one
 * element is allocated, so that device buffers can be made of tensors without tokens. */
struct workload_tensor {
    attune_dtype dtype;
    attune_dtype attended; /* the type that values are rounded to before they count; 0 = dtype */
    int64_t tokens, dim;
    int64_t stride_page, stride_token, stride_head,
        offset; /* elements; stride_page: caches only. That of slots is stride_token */
    size_t bytes;
    void *data;     /* bytes, as stored */
    float *widened; /* the same elements as they count, as float; for fp32 that counts as it is it is data itself */
};

struct workload {
    struct workload_tensor q, k, v, k_cache, v_cache; /* data is NULL for those that the operation has not */
    /* The page table, NULL without a cache: CSR always, and the same as a 2-D block table where the problem says so.
     * Rows of that are longer than needed; entries that no key lies in are INT32_MAX. */
    int32_t *kv_indptr, *kv_indices, *block_table;
    int32_t *last_page_len; /* keys in each sequence's last page; 0 where it has none */
    int32_t page_size;      /* 1 for slots; 0 without a cache */
    bool page_padded;       /* pages whose strides are those of no order */
    int64_t num_indices, num_slots, table_stride;
    /* The outputs' geometry; no data. */
    struct workload_tensor o;
    int64_t lse_stride_token;
    int64_t q_tokens;
};

/* Cached keys lie in pages drawn at random among the used and the slack ones, or, where problem->page_size is 0, in
 * slots in order. Whatever the kernels support of the descriptor is made; UNSUPPORTED for problem->extras. Errors:
 * INVALID_SIZE (options), OVERFLOW, OUT_OF_MEMORY (also where the host's memory is too small to try). On failure *out
 * is zeroed. */
attune_status workload_create(const attune_problem *problem, const struct workload_options *options,
                              struct workload *out);
/* Element of a cache tensor where head 0 of the key at a position of sequence b begins. */
int64_t workload_cache_element(const struct workload *workload, const struct workload_tensor *cache, int32_t b,
                               int64_t position);
void workload_destroy(struct workload *workload);

/* The oracle's view of it. Points into workload and problem. */
void workload_oracle_input(const attune_problem *problem, const struct workload *workload, struct oracle_input *out);

#endif
