/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ATTUNE_BENCH_STARTUP_H
#define ATTUNE_BENCH_STARTUP_H

#include "cli.h"

struct startup_options {
    attune_context_options context;
    int64_t page_size, max_configs;
    bool json;
};

/* Opens a device, plans a model's extend and decode attention, and computes a first result of each; prints how long
 * each step took. */
enum exit_code startup_run(const struct startup_options *options);

#endif
