/* SPDX-License-Identifier: Apache-2.0
 * Expected improvement (Jones, Schonlau and Welch 1998) without libm. */
#ifndef ATTUNE_SEARCH_IMPROVEMENT_H
#define ATTUNE_SEARCH_IMPROVEMENT_H

#define IMPROVEMENT_STEPS 32 /* of the table in a deviation */
#define IMPROVEMENT_FARTHEST 8

struct improvement {
    double table[2 * IMPROVEMENT_FARTHEST * IMPROVEMENT_STEPS + 1];
};

void improvement_create(struct improvement *improvement);
/* Expectation of max(0, u - z) for a standard normal z, to about 1%; rises with u wherever it is looked at. */
double improvement_expected(const struct improvement *improvement, double u);

#endif
