/* SPDX-License-Identifier: Apache-2.0
 * Uniform sampling without replacement: the baseline. */
#include "strategy.h"

#include <stddef.h>

void propose_random(struct search *search, int32_t workload, struct pick *pick)
{
    struct pool *pool = &search->pool;
    if (workload < 0) {
        int64_t total = 0;
        for (int32_t w = 0; w < search->num_workloads; w++)
            total += pool->remaining[w];
        int64_t k = (int64_t)rng_below(&search->rng, (uint64_t)total);
        for (workload = 0; k >= pool->remaining[workload]; workload++)
            k -= pool->remaining[workload];
    }
    int64_t k = (int64_t)rng_below(&search->rng, (uint64_t)pool->remaining[workload]);
    *pick = (struct pick){pool_nth_open(pool, workload, k), workload, "random", 0, 0};
}

static void propose(struct search *search, struct pick *pick)
{
    propose_random(search, -1, pick);
}

const struct strategy strategy_random = {
    .name = "random",
    .doc = "uniform, without replacement",
    .propose = propose,
};
