/* SPDX-License-Identifier: Apache-2.0
 * Signals of the tools: the first SIGINT or SIGTERM asks to stop in order, the second ends the process at once. */
#ifndef ATTUNE_INTERRUPT_H
#define ATTUNE_INTERRUPT_H

#include <stdbool.h>

void interrupt_install(void);
bool interrupt_requested(void);

#endif
