/* SPDX-License-Identifier: Apache-2.0
 * Where this code was loaded from, and what was installed with it: an installation may be moved as a whole. */
#ifndef ATTUNE_PLACE_H
#define ATTUNE_PLACE_H

#include <stdbool.h>
#include <stddef.h>

/* Where what was installed as place stands: "libexec/attune/attune-worker", relative to the prefix, or absolute. Looked
 * for in the installation that this code (libattune.so, or the program that it is linked into) was loaded from,
 * wherever that was moved to; where it is not there, below the prefix that was compiled in. A program must belong to
 * root, to the effective user or to the library's owner, and nobody may write to it who may not write to the library.
 * Never depends on the current folder, and in setuid programs on what was compiled in only. Empty where the path does
 * not fit. */
void place_find(const char *place, bool program, char *path, size_t size);

/* The same of a program of the build folder that this code was loaded from, such as "tune/attune-worker"; false where
 * it was loaded from no build folder or the program is not there. */
bool place_find_built(const char *place, char *path, size_t size);

/* The folder that stands where an installation's prefix does, seen from code, a file in the folder inside of it:
 * "/opt/x/lib/libattune.so" in "lib" gives "/opt/x". False where code is not in such a folder. */
bool place_prefix(const char *code, const char *inside, char *prefix, size_t size);

#endif
