/* SPDX-License-Identifier: Apache-2.0
 * What serving costs on the host: schedule updates and runs. */
#ifndef ATTUNE_BENCH_HOST_H
#define ATTUNE_BENCH_HOST_H

#include "cli.h"

struct host_options {
    const char *backend, *device, *cache_dir;
    const char *config; /* NULL: what a plan of ATTUNE_ESTIMATE chooses */
    bool json;
};

enum exit_code bench_host(const struct host_options *options);

/* Calls of malloc, calloc and realloc that came from libattune itself, since counting began. -1 where they cannot be
 * counted. */
void allocations_start(void);
int64_t allocations_stop(void);

#endif
