/* SPDX-License-Identifier: Apache-2.0
 * A confirmation, shared by its parts: finals.c (who takes part, what it is compared with), publish.c (what becomes of
 * it). */
#ifndef ATTUNE_TUNER_FINALS_H
#define ATTUNE_TUNER_FINALS_H

#include "tuning.h"

#define FINALS_MAX (FINALS_TOP + 6) /* the incumbent, and the backend's defaults as far as they fail */

struct finals {
    struct candidate finalists[FINALS_MAX];
    int32_t count, untuned,
        incumbent;      /* indices; -1 = none. untuned: the first of the backend's defaults that is not at fault */
    char stand_in[160]; /* why it is not the backend's first; "" = it is */
    struct rounds rounds;
};

/* Fills the workload's result with the winner's figures, and stores its entry and its row of the portfolio. */
attune_status publish(struct tuning *tuning, struct tuned_workload *workload, const struct finals *finals,
                      int32_t winner, const struct stats_interval *over_base, bool promoted);
/* Nothing is published: says why, in the result and in the journal. */
void publish_nothing(struct tuning *tuning, struct tuned_workload *workload, const char *why);

#endif
