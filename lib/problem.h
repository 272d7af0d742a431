/* SPDX-License-Identifier: Apache-2.0
 * Problem strings and the workload suites. The public half is in attune/tune.h. */
#ifndef ATTUNE_PROBLEM_H
#define ATTUNE_PROBLEM_H

#include <attune/tune.h>

#include "family/family.h"

struct attune_problem {
    attune_attention_desc desc;
    int32_t page_size; /* 0: no cache (PREFILL) */
    int32_t batch;
    int32_t *q_len, *kv_len; /* [batch]; EXTEND: kv_len = prefix + q_len */
    char name[64];           /* suite's name, or "" */
    char *text;              /* canonical, owned */
};

/* A problem of desc with given lengths; NULL-terminated text is generated. page_size as above. */
attune_status problem_create(const attune_attention_desc *desc, int32_t page_size, int32_t batch, const int32_t *q_len,
                             const int32_t *kv_len, attune_problem **out);

/* Facts that kernels for desc are compiled with. */
struct kernel_facts problem_facts(const attune_attention_desc *desc, int32_t sub_group_size);

/* Bucket of a shape: q_len class (0: 1, 1: 2-16, 2: 17-128, 3: above), floor(log2(kv_len)) and floor(log2(batch * KV heads)),
 * from the mean lengths of the batch. */
struct shape_bucket {
    int32_t q_class, log2_kv, log2_heads;
};
struct shape_bucket shape_bucket_of(const attune_attention_desc *desc, int32_t batch, const int32_t *q_len,
                                    const int32_t *kv_len);

#endif
