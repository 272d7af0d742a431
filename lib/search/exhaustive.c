/* SPDX-License-Identifier: Apache-2.0
 * Every pair once: configurations in the pool's order, which is that of the space as far as it is listed whole, and
 * each for all workloads before the next. */
#include "strategy.h"

#include <stdlib.h>

static void *create(const struct search *search)
{
    (void)search;
    return calloc(1, sizeof(int32_t)); /* no open pair lies before this configuration */
}

static void propose(struct search *search, struct pick *pick)
{
    int32_t *next = search->state;
    for (;; (*next)++)
        for (int32_t w = 0; w < search->num_workloads; w++)
            if (pool_open(&search->pool, *next, w)) {
                *pick = (struct pick){*next, w, "next", 0, 0};
                return;
            }
}

const struct strategy strategy_exhaustive = {
    .name = "exhaustive",
    .doc = "every pair, in order",
    .create = create,
    .destroy = free,
    .propose = propose,
};
