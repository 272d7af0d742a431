/* SPDX-License-Identifier: Apache-2.0
 * The workload suites, generated from bench/workloads/SUITE.txt. */
#ifndef ATTUNE_SUITE_ROWS_H
#define ATTUNE_SUITE_ROWS_H

#include <stddef.h>

struct suite_row {
    const char *suite;   /* "extend", ... */
    const char *name;    /* "E1", or another row's name with fields appended */
    const char *problem; /* problem string; NULL where name says it all */
};

extern const struct suite_row suite_rows[];
extern const size_t num_suite_rows;

#endif
