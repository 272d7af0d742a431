/* SPDX-License-Identifier: Apache-2.0
 * Convergence of runs as an SVG file: a panel for each space, a line for each strategy. */
#ifndef ATTUNE_TUNE_PLOT_H
#define ATTUNE_TUNE_PLOT_H

#include "runs.h"

/* EXIT_DONE, or EXIT_STORAGE or EXIT_OTHER with the error printed. */
enum exit_code plot_write(const struct runs *runs, const char *path);

#endif
