/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ATTUNE_BENCH_SEARCH_H
#define ATTUNE_BENCH_SEARCH_H

#include "cli.h"

struct search_bench_options {
    const char *strategy; /* NULL: all */
    int64_t tests, seed;
    bool json;
};

/* Prints what the search engine itself costs: CPU time per proposal and memory, on made-up spaces of several sizes. */
enum exit_code bench_search(const struct search_bench_options *options);

#endif
