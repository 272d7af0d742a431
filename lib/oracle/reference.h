/* SPDX-License-Identifier: Apache-2.0
 * How a reference's plain errors are found: state of the computation, shared by reference.c (evaluates) and study.c
 * (chooses rows and concludes). */
#ifndef ATTUNE_ORACLE_REFERENCE_H
#define ATTUNE_ORACLE_REFERENCE_H

#include "oracle.h"
#include "order.h"

#define ORDERS 128       /* in all; a row's count of them fits uint8_t */
#define FIRST_ORDERS 16  /* of the first stage: those of order.c's table */
#define SAMPLE_ROWS 8    /* of each sequence, at least, or all */
#define SAMPLE_STRIDE 15 /* at most: the other orders then cost about as much as the natural one */
#define WORST_ROWS 4     /* of a sequence and figure, at most, that the second stage looks at */

/* Multiply-adds of one evaluation up to which every row is evaluated in every first order, and those that the second
 * stage may spend. */
#define FULL_COST 1e8
#define WORST_COST 5e8

/* Of one row in one evaluation, or the largest of several. */
struct row_error {
    float max_abs, norm, lse; /* norm: of o - ref */
};

struct study {
    const struct oracle_input *input;
    struct oracle_reference *reference;
    struct orders orders;
    int64_t rows;
    int64_t *stride;          /* [batch]: of the sampled rows */
    struct row_error *errors; /* [FIRST_ORDERS, rows]: the natural order's where the row was not evaluated in another */
    double *ref_norm;         /* [rows] */
    uint8_t *wanted;          /* [rows]: orders of the second stage's rows, the first ones included; 0: no such row */
    struct row_error *worst;  /* [rows]: over all orders of the row */
};

/* After the first stage: sets worst and wanted. Returns whether any row is wanted. */
bool study_choose_rows(struct study *study);
/* After both: sets the reference's plain errors. */
void study_conclude(struct study *study);

#endif
