/* SPDX-License-Identifier: Apache-2.0
 * Runs of strategies over recorded spaces, as JSON lines and in a table. */
#ifndef ATTUNE_TUNE_RUNS_H
#define ATTUNE_TUNE_RUNS_H

#include "cli.h"

#define RUN_MAX_TESTS 100000
#define RUN_NAME_MAX 200 /* bytes of a space's name or a label */

struct run {
    char *space, *label; /* label: the strategy with all that was asked of it */
    uint64_t seed;
    int32_t num_tests;
    double *best;       /* [num_tests] ms; 0 before the first success */
    double optimum;     /* ms */
    int32_t within5_at; /* 0 = never */
    double score;       /* NaN = not defined */
};

struct runs {
    struct run *items;
    size_t count, capacity;
};

/* Takes the run. False when out of memory; it is then freed. */
bool runs_add(struct runs *runs, struct run *run);
void run_free(struct run *run);
void runs_free(struct runs *runs);

/* Adds those that a file of JSON lines holds. Nothing in it is trusted. EXIT_DONE, or with the error printed EXIT_USAGE
 * or EXIT_STORAGE. */
enum exit_code runs_read(struct runs *runs, const char *path);

/* Names in the order in which they first occur; free items, not the texts. */
bool runs_names(const struct runs *runs, const char *(*name)(const struct run *), struct text_list *out);
const char *run_space(const struct run *run);
const char *run_label(const struct run *run);

/* Score and share of runs within 5% at 50, 100 and 200 tests: each space, then the mean over them. */
bool runs_print(const struct runs *runs);

#endif
