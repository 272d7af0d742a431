/* SPDX-License-Identifier: Apache-2.0
 * Differences between results and the reference. */
#ifndef ATTUNE_ORACLE_COMPARE_H
#define ATTUNE_ORACLE_COMPARE_H

#include <stddef.h>

/* 0 where both are the same infinity or both NaN; infinity where one of them is not finite and the other differs. */
double difference(double value, double ref);

/* Largest difference of count values, and the norm of all. */
struct distance {
    double max_abs, norm;
};
struct distance distance_of(const float *values, const double *ref, size_t count);

/* Euclidean; elements that are not finite are left out. */
double norm_of(const double *values, size_t count);

#endif
