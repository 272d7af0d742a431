/* SPDX-License-Identifier: Apache-2.0
 * Private folders of workers. */
#ifndef ATTUNE_TUNER_FOLDER_H
#define ATTUNE_TUNER_FOLDER_H

#include <stddef.h>

#include "base/base.h"

/* Makes a new folder, mode 0700, with "kernels" and a locked file in it; *lock is the file's descriptor, to be closed
 * when the folder is removed. It lies in the first of these that can be written to and executed from and has 32 MiB
 * free: $TMPDIR (or /tmp where that is not set), $XDG_RUNTIME_DIR, /tmp, /var/tmp, spare (may be NULL). note[note_size]
 * says why the first was not taken; "" where it was. ENVIRONMENT, with the reason of each: path is "" and *lock -1
 * then. */
attune_status folder_make_temporary(const char *spare, char *path, size_t size, int *lock, char *note,
                                    size_t note_size);
/* Whether compilers can still work in the folder; else why[size]. */
bool folder_usable(const char *path, char *why, size_t size);
/* Removes folders of folder_make_temporary that a process which was killed left behind: those whose file is not locked.
 */
void folder_sweep(void);
/* Removes path and everything below it, following no links. */
void folder_remove(const char *path);

#endif
