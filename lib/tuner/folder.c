/* SPDX-License-Identifier: Apache-2.0 */
#define _GNU_SOURCE /* flock, O_DIRECTORY, mkdtemp */
#include "folder.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "base/base.h"

#define PREFIX "attune-worker-"
#define LOCK_NAME "lock"

/* Free bytes that a worker's compilers may need, and below which what they say is not about the kernel. */
#define WANTED_BYTES ((int64_t)32 << 20)
#define LEAST_BYTES ((int64_t)1 << 20)

#define MAX_ROOTS 5

/* Folders to try, the best first; returns how many. */
static int list_roots(const char *spare, const char *roots[MAX_ROOTS])
{
    const char *given = env_get("TMPDIR"), *runtime = env_get("XDG_RUNTIME_DIR");
    int count = 0;
    if (given)
        roots[count++] = given;
    else
        roots[count++] = "/tmp";
    if (runtime)
        roots[count++] = runtime;
    if (given)
        roots[count++] = "/tmp";
    roots[count++] = "/var/tmp";
    if (spare && *spare)
        roots[count++] = spare;
    return count;
}

/* Opens and locks path's lock file; -1 if another process holds it. */
static int take_lock(int folder, int flags)
{
    int fd = openat(folder, LOCK_NAME, flags | O_RDWR | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd >= 0 && flags & O_CREAT)
        fchmod(fd, 0600); /* whatever the umask */
    if (fd >= 0 && flock(fd, LOCK_EX | LOCK_NB)) {
        close(fd);
        return -1;
    }
    return fd;
}

static bool fill_folder(const char *path, int *lock)
{
    if (chmod(path, 0700)) /* whatever the umask */
        return false;
    int folder = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (folder < 0)
        return false;
    *lock = take_lock(folder, O_CREAT | O_EXCL);
    bool made = *lock >= 0 && !mkdirat(folder, "kernels", 0700) && !fchmodat(folder, "kernels", 0700, 0);
    close(folder);
    return made;
}

/* Whether a file in the folder can be written and its code be run, as compilers do. 0, or an error's number. */
static int try_code(const char *path)
{
    int folder = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    int fd = folder < 0 ? -1 : openat(folder, "code", O_CREAT | O_EXCL | O_RDWR | O_NOFOLLOW | O_CLOEXEC, 0700);
    int error = fd < 0 ? errno : 0;
    char page[4096] = {0};
    if (!error && write(fd, page, sizeof page) != (ssize_t)sizeof page)
        error = errno ? errno : ENOSPC;
    if (!error) {
        void *code = mmap(NULL, sizeof page, PROT_READ | PROT_EXEC, MAP_PRIVATE, fd, 0);
        if (code == MAP_FAILED)
            error = errno;
        else
            munmap(code, sizeof page);
    }
    if (fd >= 0) {
        close(fd);
        unlinkat(folder, "code", 0);
    }
    if (folder >= 0)
        close(folder);
    return error;
}

static bool folder_works(const char *path, int64_t wanted, char *why, size_t size)
{
    struct statvfs space;
    struct rlimit limit;
    if (!getrlimit(RLIMIT_FSIZE, &limit) && limit.rlim_cur != RLIM_INFINITY && (int64_t)limit.rlim_cur < wanted) {
        snprintf(why, size, "files may have %lld bytes here (ulimit -f)", (long long)limit.rlim_cur);
        return false; /* to try would raise a signal */
    }
    int error = try_code(path);
    if (error) {
        snprintf(why, size, "%s",
                 error == EPERM || error == EACCES ? "code in it may not be run (mounted noexec?)" : strerror(error));
        return false;
    }
    if (statvfs(path, &space) || !space.f_blocks || (int64_t)space.f_bavail * (int64_t)space.f_frsize >= wanted)
        return true;
    snprintf(why, size, "%lld KiB are free; %lld are needed", (long long)(space.f_bavail * space.f_frsize >> 10),
             (long long)(wanted >> 10));
    return false;
}

bool folder_usable(const char *path, char *why, size_t size)
{
    return folder_works(path, LEAST_BYTES, why, size);
}

/* A new folder in root; else why[size]. */
static bool make_in(const char *root, char *path, size_t path_size, int *lock, char *why, size_t size)
{
    *lock = -1;
    /* A sweep may be quicker to the lock of a new folder than its maker: then the folder is lost. */
    for (int attempt = 0; attempt < 3; attempt++) {
        int length = snprintf(path, path_size, "%s/" PREFIX "XXXXXX", root);
        bool fits = length > 0 && (size_t)length < path_size;
        if (!fits || !mkdtemp(path)) {
            snprintf(why, size, "%s", strerror(fits ? errno : ENAMETOOLONG));
            break;
        }
        bool filled = fill_folder(path, lock);
        if (!filled)
            snprintf(why, size, "%s", strerror(errno));
        else if (folder_works(path, WANTED_BYTES, why, size))
            return true;
        folder_remove(path);
        if (*lock >= 0)
            close(*lock);
        *lock = -1;
        if (filled)
            break;
    }
    path[0] = '\0';
    return false;
}

attune_status folder_make_temporary(const char *spare, char *path, size_t size, int *lock, char *note, size_t note_size)
{
    const char *roots[MAX_ROOTS];
    int count = list_roots(spare, roots);
    struct strbuf refused = {0};
    note[0] = '\0';
    for (int i = 0; i < count; i++) {
        char why[160];
        if (make_in(roots[i], path, size, lock, why, sizeof why)) {
            if (i)
                snprintf(note, note_size, "%.150s; workers use %.60s", refused.text ? refused.text : "", roots[i]);
            strbuf_free(&refused);
            return ATTUNE_OK;
        }
        strbuf_printf(&refused,
                      i                   ? ", nor %s (%s)"
                      : env_get("TMPDIR") ? "TMPDIR %s cannot be used (%s)"
                                          : "%s cannot be used (%s)",
                      roots[i], why);
    }
    attune_status status = set_error(ATTUNE_ERROR_ENVIRONMENT,
                                     "no folder for a worker: %s; set TMPDIR to one that can be "
                                     "written to and executed from",
                                     refused.text ? refused.text : "");
    strbuf_free(&refused);
    return status;
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

static void sweep(const char *root_path)
{
    DIR *root = opendir(root_path);
    for (struct dirent *entry; root && (entry = readdir(root));) {
        char path[512];
        if (strncmp(entry->d_name, PREFIX, strlen(PREFIX)) || !is_stale(dirfd(root), entry->d_name))
            continue;
        int length = snprintf(path, sizeof path, "%s/%s", root_path, entry->d_name);
        if (length > 0 && (size_t)length < sizeof path)
            folder_remove(path);
    }
    if (root)
        closedir(root);
}

void folder_sweep(void)
{
    const char *roots[MAX_ROOTS];
    int count = list_roots(NULL, roots);
    for (int i = 0; i < count; i++)
        sweep(roots[i]);
}
