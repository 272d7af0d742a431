/* SPDX-License-Identifier: Apache-2.0 */
#include "descent.h"

#include "moves.h"

#define MAX_NEIGHBOURS 512
#define MAX_KICKS 64

static bool kick(struct descent *descent, struct search *search, int32_t workload, int32_t num_changes,
                 struct pick *pick)
{
    int32_t best = search->best[workload];
    for (int32_t i = 0; i < MAX_KICKS && best >= 0; i++) {
        int32_t config = move_from(search, search->samples[best].config, workload, num_changes, STEP_ANY);
        if (config >= 0 && pool_open(&search->pool, config, workload)) {
            *pick = (struct pick){config, workload, "perturbed", 0, 0};
            descent->current = -1;
            return true;
        }
    }
    return false;
}

bool descent_propose(struct descent *descent, struct search *search, int32_t workload, int32_t num_changes,
                     struct pick *pick)
{
    int32_t neighbours[MAX_NEIGHBOURS], count = 0;
    if (descent->current >= 0)
        count = pool_neighbours(&search->pool, search->samples[descent->current].config, workload, neighbours,
                                MAX_NEIGHBOURS);
    if (!count)
        return kick(descent, search, workload, num_changes, pick);
    int32_t config = neighbours[rng_below(&search->rng, (uint64_t)count)];
    *pick = (struct pick){config, workload, "neighbour", 0, 0};
    return true;
}

void descent_told(struct descent *descent, const struct search *search)
{
    const struct sample *sample = &search->samples[search->num_samples - 1];
    if (!sample->failed && (descent->current < 0 || sample->time < search->samples[descent->current].time))
        descent->current = search->num_samples - 1;
}
