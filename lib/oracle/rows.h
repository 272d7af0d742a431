/* SPDX-License-Identifier: Apache-2.0
 * What the fp64 reference and the plain implementations share: which keys a row attends and where they lie. No
 * arithmetic on values. */
#ifndef ATTUNE_ORACLE_ROWS_H
#define ATTUNE_ORACLE_ROWS_H

#include "oracle.h"

/* Keys are gathered transposed in blocks, so that sums over the dim keep their natural order and the compiler
 * vectorises across keys. */
#define KEY_BLOCK 64

/* One query row of one head. */
struct oracle_row {
    const attune_attention_desc *desc;
    int32_t sequence;
    int64_t index;              /* of the row in [sum q_len, num_q_heads] */
    int64_t first_key, end_key; /* keys that the mask allows: first_key .. end_key - 1 */
    int32_t head_dim_qk, head_dim_vo;
    const float *q;             /* [head_dim_qk] */
    const float *keys;          /* [key / KEY_BLOCK, head_dim_qk, KEY_BLOCK]; defined for the row's keys only */
    const float *const *values; /* [key]: rows of head_dim_vo; set for the row's keys only */
    double scale;               /* of the logits; never 0 by default */
};

typedef void (*oracle_row_function)(const struct oracle_row *row, void *priv);

/* A part of the rows and heads: parts are about equal, and each row is in one of them. */
struct oracle_share {
    int32_t part, parts;   /* 0 <= part < parts */
    const uint8_t *wanted; /* [row]: rows of the part with 0 are left out; NULL: none is */
};

/* Calls function for every row and head of a share; NULL: for all. Threads may each take a part. Returns OUT_OF_MEMORY,
 * or OK. */
attune_status oracle_for_each_row(const struct oracle_input *input, const struct oracle_share *share,
                                  oracle_row_function function, void *priv);

/* Longest kv_len of the batch. */
int64_t oracle_max_kv_len(const struct oracle_input *input);

/* head_dim_vo with its default resolved. */
int32_t oracle_head_dim_vo(const attune_attention_desc *desc);

#endif
