/* SPDX-License-Identifier: Apache-2.0
 * Private folders of workers. */
#ifndef ATTUNE_TUNER_FOLDER_H
#define ATTUNE_TUNER_FOLDER_H

#include <stdbool.h>
#include <stddef.h>

/* Makes a new folder, mode 0700, under $TMPDIR or /tmp, with "kernels" and a locked file in it; *lock is the file's
 * descriptor, to be closed when the folder is removed. False with errno; path is "" and *lock -1 then. */
bool folder_make_temporary(char *path, size_t size, int *lock);
/* Removes folders of folder_make_temporary that a process which was killed left behind: those whose file is not locked.
 */
void folder_sweep(void);
/* Removes path and everything below it, following no links. */
void folder_remove(const char *path);

#endif
