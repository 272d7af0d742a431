/* SPDX-License-Identifier: Apache-2.0
 *
 * Ways to evaluate attention in fp32 that are equally plain: the order in which dims and keys are summed, whether a
 * product is rounded before it is added, where the scale is applied, how an exponential is taken. Their errors span
 * what an honest kernel's error can be. */
#ifndef ATTUNE_ORACLE_ORDER_H
#define ATTUNE_ORACLE_ORDER_H

#include <stdbool.h>
#include <stdint.h>

#include <attune/attune.h>

#define ORDER_MAX_DIM_LANES 64
#define ORDER_MAX_KEY_LANES 8

enum order_scale {
    SCALE_DOT,       /* logit = scale * (q . k) */
    SCALE_QUERY,     /* (scale * q) . k */
    SCALE_BASE_2,    /* (scale * log2(e)) * (q . k), and 2^x for e^x */
    SCALE_DIFFERENCE /* of dot products to the largest */
};

enum order_exp {
    EXP_LIBRARY,    /* expf, or exp2f under SCALE_BASE_2 */
    EXP_2,          /* exp2f(x * log2(e)) */
    EXP_POLYNOMIAL, /* 2^x by a polynomial of degree 6 of x - round(x): right to 2 units in the last place */
    EXP_ROUGH       /* the library's, up to 2 units in the last place away, as OpenCL's exp may be; exact at 0 */
};

struct order {
    int32_t *dims;     /* [head_dim_qk]: which is added when */
    int32_t dim_lanes; /* running sums of a dot product, added pairwise at the end */
    int32_t dim_width; /* the n-th product goes to sum n / dim_width % dim_lanes */
    bool fused;        /* products are not rounded before they are added */
    enum order_scale scale;
    enum order_exp exp;
    int32_t splits;    /* parts of the keys, each with a maximum and sums of its own, merged at the end */
    bool strided;      /* part s has keys s, s + splits, ..; otherwise neighbours */
    bool normalised;   /* parts are divided by their denominators, and merged by their log-sum-exps */
    bool reversed;     /* last key first */
    int32_t key_block; /* keys between two looks at a part's maximum, a higher one scaling the sums down; 0: all */
    int32_t key_lanes; /* running sums over a part's keys */
    bool reciprocal;   /* o = sums * (1 / denominator) */
};

struct orders {
    struct order *order;
    int32_t count;
};

/* The first is the natural order: one chain of additions over dims and over keys, products rounded, SCALE_DOT, expf,
 * one maximum. Those of a table follow, which span the properties, and then random ones; every second one of those
 * takes its dims in order, in sums as a kernel's vectors or work-items have them, so that up to 128 orders have every
 * such arrangement. The same on every machine. Errors: OUT_OF_MEMORY; *out is empty then. */
attune_status orders_create(int32_t count, int32_t head_dim_qk, struct orders *out);
void orders_free(struct orders *orders);

#endif
