/* SPDX-License-Identifier: Apache-2.0 */
#define _GNU_SOURCE /* flock, O_DIRECTORY */
#include "folder.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/base.h"

#define PREFIX "attune-worker-"
#define LOCK_NAME "lock"

static const char *temporary_root(void)
{
    const char *root = env_get("TMPDIR");
    return root ? root : "/tmp";
}

/* Opens and locks path's lock file; -1 if another process holds it. */
static int take_lock(int folder, int flags)
{
    int fd = openat(folder, LOCK_NAME, flags | O_RDWR | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd >= 0 && flock(fd, LOCK_EX | LOCK_NB)) {
        close(fd);
        return -1;
    }
    return fd;
}

static bool fill_folder(const char *path, int *lock)
{
    int folder = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (folder < 0)
        return false;
    *lock = take_lock(folder, O_CREAT | O_EXCL);
    bool made = *lock >= 0 && !mkdirat(folder, "kernels", 0700);
    close(folder);
    return made;
}

bool folder_make_temporary(char *path, size_t size, int *lock)
{
    *lock = -1;
    /* A sweep may be quicker to the lock of a new folder than its maker: then the folder is lost. */
    for (int attempt = 0; attempt < 3; attempt++) {
        int length = snprintf(path, size, "%s/" PREFIX "XXXXXX", temporary_root());
        if (length < 0 || (size_t)length >= size) {
            errno = ENAMETOOLONG;
            break;
        }
        if (!mkdtemp(path))
            break;
        if (fill_folder(path, lock))
            return true;
        folder_remove(path);
    }
    path[0] = '\0';
    return false;
}

/* Empties the folder open at fd, which it takes over. */
static void empty_folder(int fd, int depth)
{
    DIR *folder = fdopendir(fd);
    if (!folder) {
        close(fd);
        return;
    }
    for (struct dirent *entry; (entry = readdir(folder));) {
        if (!strcmp(entry->d_name, ".") || !strcmp(entry->d_name, ".."))
            continue;
        if (!unlinkat(fd, entry->d_name, 0))
            continue;
        int below = openat(fd, entry->d_name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        if (below >= 0 && depth < 32)
            empty_folder(below, depth + 1);
        else if (below >= 0)
            close(below);
        unlinkat(fd, entry->d_name, AT_REMOVEDIR);
    }
    closedir(folder);
}

void folder_remove(const char *path)
{
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd >= 0)
        empty_folder(fd, 0);
    rmdir(path);
}

/* True if the folder is ours and no living process holds its lock. */
static bool is_stale(int root, const char *name)
{
    int folder = openat(root, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    struct stat status;
    bool stale = false;
    if (folder >= 0 && !fstat(folder, &status) && status.st_uid == geteuid()) {
        int lock = take_lock(folder, 0);
        stale = lock >= 0;
        if (stale)
            close(lock);
    }
    if (folder >= 0)
        close(folder);
    return stale;
}

void folder_sweep(void)
{
    DIR *root = opendir(temporary_root());
    for (struct dirent *entry; root && (entry = readdir(root));) {
        char path[512];
        if (strncmp(entry->d_name, PREFIX, strlen(PREFIX)) || !is_stale(dirfd(root), entry->d_name))
            continue;
        int length = snprintf(path, sizeof path, "%s/%s", temporary_root(), entry->d_name);
        if (length > 0 && (size_t)length < sizeof path)
            folder_remove(path);
    }
    if (root)
        closedir(root);
}
