/* SPDX-License-Identifier: Apache-2.0
 * Files that other processes and crashes can reach: checked reads, atomic replacement, locks. */
#ifndef ATTUNE_CACHE_FILES_H
#define ATTUNE_CACHE_FILES_H

#include "base/base.h"

/* Reads folder/name whole: a regular file (not through a symbolic link) of at most max bytes, as ssh trusts its own: it
 * belongs to the effective user or to root, and nobody else may write to it or to its folder; the folder above belongs
 * to one of the two as well, and not everybody may write to it. *data is NULL, with OK, when there is no such file;
 * else free() it. It is followed by a NUL that is not counted. IO when a check fails. */
attune_status file_read(const char *folder, const char *name, size_t max, char **data, size_t *size);

/* Makes folder/name hold data, durably and at once: readers see the old file or the new one. Makes the folder.
 * IO when anything fails; the old file is then intact, unless only the folder's fsync failed. */
attune_status file_replace(const char *folder, const char *name, const void *data, size_t size);

/* The same in a folder that is there, without a lock: of writers at the same time the last one wins. */
attune_status file_put(const char *folder, const char *name, const void *data, size_t size);

/* Removes folder/name, durably; OK where there is none. Under the folder's lock, as file_replace. */
attune_status file_remove(const char *folder, const char *name);

/* The lock of a folder's writers, without waiting: false where another holds it or it cannot be taken. While it is held, nothing
 * that file_replace writes is under way. Close *fd to release. */
bool folder_lock(const char *folder, int *fd);

/* Writes all of data, through EINTR and short writes. False with errno otherwise. */
bool file_write_all(int fd, const void *data, size_t size);

/* Reads *size bytes, or what there is until the end, through EINTR and short reads. False with errno otherwise. */
bool file_read_all(int fd, void *data, size_t *size);

/* fsync of a folder, where its file system has that. False with errno otherwise. */
bool folder_sync(const char *folder);

/* Makes folder and those above it that are missing, mode 0700. */
attune_status folder_make(const char *folder);
/* Whether files can be read from the folder and, with write, be made in it, which is made where it is missing: judged by the
 * permissions of what is there; nothing is made. IO: says what is in the way. */
attune_status folder_check(const char *folder, bool write);
/* The same, and whether file_read would take what is in it. */
attune_status cache_folder_check(const char *folder, bool write);

/* Locks path, a file of its own that is made and stays, for one writer. *fd is -1, with OK, where the file system has
 * no locks. wait: blocks; else IO when another holds it. Close *fd to release. */
attune_status file_lock(const char *path, bool wait, int *fd);

#endif
