/* SPDX-License-Identifier: Apache-2.0
 * Which bytes tensors touch, and whether two of them touch the same. Needs no OpenCL. */
#ifndef ATTUNE_OVERLAP_H
#define ATTUNE_OVERLAP_H

#include "base/base.h"

/* Rows of `row` bytes, repeated along up to three axes. Axes of count 1 do not matter. */
struct footprint {
    const void *space; /* the buffer that begin counts in; NULL: begin is an address */
    uint64_t begin;
    int64_t bytes; /* from the first to one past the last; 0 = touches nothing */
    int64_t row;
    struct footprint_axis {
        int64_t count, stride; /* bytes */
    } axes[3];
};

/* True where no byte belongs to both. Rows that interleave are seen to be apart where their places repeat with a common
 * period, as those of tensors that share a stride do; false for what cannot be shown. */
bool footprints_apart(const struct footprint *a, const struct footprint *b);

/* True where each row of one begins where that of the other does. */
bool footprints_same_rows(const struct footprint *a, const struct footprint *b);

#endif
