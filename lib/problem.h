/* SPDX-License-Identifier: Apache-2.0
 * Problem strings and the workload suites. The public half is in attune/tune.h. */
#ifndef ATTUNE_PROBLEM_H
#define ATTUNE_PROBLEM_H

#include <stdbool.h>

#include <attune/tune.h>

#include "backend/backend.h"

/* Features that problem strings can name and descriptors cannot say yet. */
enum problem_extra {
    EXTRA_INT8_KV = 1, /* kv=int8, with fp32 scales [token, kv_head]; desc.kv_dtype is 0 */
    EXTRA_SINKS = 2,
    EXTRA_TREE = 4,
    EXTRA_BIAS = 8,
    EXTRA_MLA = 16 /* V is a view of K's first head_dim_vo */
};

#define PROBLEM_TEXT_MAX 4096
#define PROBLEM_BATCH_MAX 1048576
#define PROBLEM_PAGE_MAX 1048576 /* as a layout */
#define PROBLEM_PAD_MAX 65536

struct attune_problem {
    attune_attention_desc desc;
    uint32_t extras;   /* enum problem_extra bits; 0 for every problem that is supported */
    int32_t page_size; /* 0: contiguous, no page table (always in PREFILL); 1: slots */
    attune_kv_order kv_order; /* of the cache: NHD or HND; NHD where page_size is 0 */
    int32_t kv_pad; /* elements left free behind each token's heads (NHD) or each head's tokens of a page (HND) */
    bool block_table;  /* the page table is 2-D, not CSR; false where page_size is 0 */
    int32_t batch;
    int32_t *q_len, *kv_len; /* [batch]; EXTEND: kv_len = prefix + q_len */
    char name[64];           /* suite's name with the fields appended to it, or "" */
    char *text;              /* canonical, owned */
};

/* A problem of desc with given lengths; NULL-terminated text is generated. page_size as above, order NHD, CSR. Errors: those of
 * attune_problem_parse, INVALID_SIZE also for lengths whose text would pass PROBLEM_TEXT_MAX. */
attune_status problem_create(const attune_attention_desc *desc, int32_t page_size, int32_t batch, const int32_t *q_len,
                             const int32_t *kv_len, attune_problem **out);
/* A problem of desc with given lengths whose cache is that of `like` (page size, order, padding, kind of page table; nothing else of it
 * is looked at). */
attune_status problem_create_like(const struct attune_problem *like, const attune_attention_desc *desc, int32_t batch,
                                  const int32_t *q_len, const int32_t *kv_len, attune_problem **out);
/* Checks what was filled in and makes the canonical text. For the parser. */
attune_status problem_finish(struct attune_problem *problem);

/* The layout of the problem's KV cache of num_slots tokens; not where page_size is 0. */
attune_kv_layout_options problem_layout(const struct attune_problem *problem, int64_t num_slots);
/* Keys of sequence b that lie in the cache. */
int32_t problem_cached_keys(const struct attune_problem *problem, int32_t b);

/* Facts that kernels for desc are compiled with on the chosen device. page_size: of the KV cache; 0 without one (all keys are
 * contiguous). */
struct kernel_facts problem_facts(const attune_attention_desc *desc, int32_t page_size,
                                  const struct backend_choice *choice);

/* Bucket of a shape: q_len class (0: 1, 1: 2-16, 2: 17-128, 3: above), floor(log2(kv_len)) and floor(log2(batch * KV
 * heads)), from the mean lengths of the batch. */
struct shape_bucket {
    int32_t q_class, log2_kv, log2_heads;
};
struct shape_bucket shape_bucket_of(const attune_attention_desc *desc, int32_t batch, const int32_t *q_len,
                                    const int32_t *kv_len);
/* The same for a batch of equal lengths. */
struct shape_bucket shape_bucket_uniform(const attune_attention_desc *desc, int32_t batch, int32_t q_len, int32_t kv_len);
bool shape_bucket_equal(struct shape_bucket a, struct shape_bucket b);

#endif
