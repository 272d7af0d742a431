/* SPDX-License-Identifier: Apache-2.0
 * Private folders of workers. */
#ifndef ATTUNE_TUNER_FOLDER_H
#define ATTUNE_TUNER_FOLDER_H

#include <stdbool.h>
#include <stddef.h>

/* Makes a new folder, mode 0700, under $TMPDIR or /tmp, with "kernels" in it. False with errno; path is "" then. */
bool folder_make_temporary(char *path, size_t size);
/* Removes path and everything below it, following no links. */
void folder_remove(const char *path);

#endif
