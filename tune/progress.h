/* SPDX-License-Identifier: Apache-2.0
 * How a running search is shown: a line with an ETA on a terminal, one line per new best elsewhere, or JSON lines. */
#ifndef ATTUNE_PROGRESS_H
#define ATTUNE_PROGRESS_H

#include "cli.h"

struct progress {
    bool json, quiet, terminal;
    const char *simulated; /* of the device */
    const struct problem_set *set;
    double *best_ms; /* [set->count]: shown so far; 0 = none */
    bool line_open;  /* the terminal's line has text */
};

/* An attune_tune_callback; priv is the struct. Asks to stop once a signal did. */
int progress_step(void *priv, const attune_tune_progress *step);
/* Ends the terminal's line. */
void progress_end(struct progress *progress);

#endif
