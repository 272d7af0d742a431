/* SPDX-License-Identifier: Apache-2.0
 * One row in fp64 and in plain fp32. */
#ifndef ATTUNE_ORACLE_EVALUATE_H
#define ATTUNE_ORACLE_EVALUATE_H

#include "order.h"
#include "rows.h"

struct row_result {
    double lse;
    double largest_logit; /* in magnitude; 0 without keys */
};

/* logits: [longest kv_len], o: [head_dim_vo]. */
struct row_result row_fp64(const struct oracle_row *row, double *logits, double *o);

/* Room for plain evaluations; one thread's. */
struct plain_room {
    float *logits; /* [longest kv_len] */
    float *query;  /* [head_dim_qk] */
    float *dots;   /* [ORDER_MAX_DIM_LANES, KEY_BLOCK] */
    float *sums;   /* [ORDER_MAX_KEY_LANES, head_dim_vo] */
};

/* Errors: OUT_OF_MEMORY; *out is empty then. */
attune_status plain_room_create(const struct oracle_input *input, struct plain_room *out);
void plain_room_free(struct plain_room *room);

/* o: [head_dim_vo], rounded to o_dtype. Returns lse. */
float row_plain(const struct oracle_row *row, const struct order *order, const struct plain_room *room, float *o);

#endif
