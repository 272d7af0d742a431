/* SPDX-License-Identifier: Apache-2.0
 * Honest kernels played on the host: fp32 attention as kernels compute it, with everything that they may choose drawn
 * at random. Nothing is shared with lib/oracle, whose bound they are to test. Contiguous keys only. */
#ifndef ATTUNE_TESTS_HONEST_H
#define ATTUNE_TESTS_HONEST_H

#include "base/base.h"
#include "oracle/oracle.h"

/* What a kernel that is not honest does. */
enum fault {
    FAULT_NONE,
    FAULT_SHIFTED, /* 2^(s * c - round(max * c)): the largest key's weight is not 1. With scale_at 2 */
    FAULT_NARROW,  /* weights of bf16 under the strict contract */
    FAULT_SCALE,   /* a scale that is 1e-5 off */
    FAULT_LAST,    /* the last key left out of sequences of one query and many keys */
    NUM_FAULTS
};

struct honest {
    int dot_lanes, dot_width; /* running sums; neighbouring dims of a lane */
    bool dot_tree, fma;       /* lanes added as a tree; products not rounded */
    int scale_at;             /* 0 the query, 1 the dot product, 2 differences to the maximum, 3 as 1 for base 2 */
    int exp;                  /* 0 the host's, 1 a polynomial, 2 the host's off by up to 2 units in the last place */
    int block, lanes;         /* keys between looks at the maximum; running sums over keys */
    int split;                /* keys of a part that is merged by its log-sum-exp; 0: one part */
    bool strided;             /* lanes take keys by turns, each with a maximum of its own */
    bool reciprocal, round_q, round_p, ties_away;
    enum fault fault;
    uint64_t seed; /* of the exponential's last bits */
};

void honest_draw(struct rng *rng, const attune_attention_desc *desc, struct honest *out);
/* o and lse packed. */
void honest_run(const struct honest *kernel, const struct oracle_input *input, float *o, float *lse);
void honest_text(const struct honest *kernel, char text[256]);

#endif
