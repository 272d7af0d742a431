/* SPDX-License-Identifier: Apache-2.0
 * The KV cache of a workload: its geometry and its page table. For workload.c. */
#ifndef ATTUNE_WORKLOAD_PAGES_H
#define ATTUNE_WORKLOAD_PAGES_H

#include "base/base.h"
#include "workload.h"

/* Every tensor draws from its own stream, so that one does not change with another's size. */
enum workload_stream { STREAM_Q = 1, STREAM_K, STREAM_V, STREAM_K_CACHE, STREAM_V_CACHE, STREAM_PAGES, STREAM_KEYS };

void workload_seed_stream(struct rng *rng, const struct workload_options *options, enum workload_stream stream);

/* Counts pages and sets the geometry of both caches. Errors: OVERFLOW. */
attune_status workload_shape_cache(const attune_problem *problem, const struct workload_options *options,
                                   struct workload *out);
/* Makes the page table. Errors: OUT_OF_MEMORY, with what was made so far left in out. */
attune_status workload_make_pages(const attune_problem *problem, const struct workload_options *options,
                                  struct workload *out);

#endif
