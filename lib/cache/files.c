/* SPDX-License-Identifier: Apache-2.0 */
#define _GNU_SOURCE /* flock, AT_EACCESS */
#include "cache/files.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

/* Temporary files of one name that killed writers of one process id may leave behind. */
#define MAX_TEMPORARIES 100

static attune_status io_error(const char *what, const char *folder, const char *name)
{
    int code = errno;
    return set_error(code == ENOMEM ? ATTUNE_ERROR_OUT_OF_MEMORY : ATTUNE_ERROR_IO, "%s %s%s%s: %s", what, folder,
                     *name ? "/" : "", name, strerror(code));
}

/* what: of the file that is meant. others: the write bits that only those who are trusted may have. */
static attune_status check_trust(const struct stat *info, const char *what, mode_t others)
{
    uid_t user = geteuid();
    if (info->st_uid != user && info->st_uid != 0 && user == 0)
        return set_error(ATTUNE_ERROR_IO, "%sowned by uid %ld, not by root", what, (long)info->st_uid);
    if (info->st_uid != user && info->st_uid != 0)
        return set_error(ATTUNE_ERROR_IO, "%sowned by uid %ld, not by uid %ld or root", what, (long)info->st_uid,
                         (long)user);
    if (info->st_mode & others)
        return set_error(ATTUNE_ERROR_IO, "%sof mode %03o, which lets others write to it", what,
                         (unsigned)info->st_mode & 0777);
    return ATTUNE_OK;
}

/* The cache's own folder, above, is the user's to share with a group: what is put in place of a folder in it must
 * belong to one of those who are trusted all the same. In a sticky folder (/tmp) nobody can do even that. */
static attune_status check_folders(int folder_fd)
{
    struct stat folder, above;
    if (fstat(folder_fd, &folder) || fstatat(folder_fd, "..", &above, 0))
        return set_error(ATTUNE_ERROR_IO, "fstat: %s", strerror(errno));
    attune_status status = check_trust(&folder, "its folder is ", S_IWGRP | S_IWOTH);
    return status ? status : check_trust(&above, "the cache's folder is ", above.st_mode & S_ISVTX ? 0 : S_IWOTH);
}

static attune_status check_file(int folder_fd, int fd, size_t max, size_t *size)
{
    struct stat file;
    if (fstat(fd, &file))
        return set_error(ATTUNE_ERROR_IO, "fstat: %s", strerror(errno));
    if (!S_ISREG(file.st_mode))
        return set_error(ATTUNE_ERROR_IO, "not a regular file");
    attune_status status = check_trust(&file, "", S_IWGRP | S_IWOTH);
    if (!status)
        status = check_folders(folder_fd);
    if (!status && (file.st_size < 0 || (uintmax_t)file.st_size > max))
        return set_error(ATTUNE_ERROR_IO, "%jd bytes long; the limit is %zu", (intmax_t)file.st_size, max);
    *size = (size_t)file.st_size;
    return status;
}

bool file_read_all(int fd, void *data, size_t *size)
{
    size_t done = 0;
    while (done < *size) {
        ssize_t n = read(fd, (char *)data + done, *size - done);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return false;
        if (n == 0)
            break;
        done += (size_t)n;
    }
    *size = done;
    return true;
}

/* Reads size bytes, finds the end there and puts a NUL. data[size + 1]. */
static attune_status read_exactly(int fd, char *data, size_t size)
{
    size_t done = size + 1;
    if (!file_read_all(fd, data, &done))
        return set_error(ATTUNE_ERROR_IO, "read: %s", strerror(errno));
    if (done != size)
        return set_error(ATTUNE_ERROR_IO, "changed while it was read");
    data[size] = '\0';
    return ATTUNE_OK;
}

static attune_status read_checked(int folder_fd, int fd, size_t max, char **data, size_t *size)
{
    attune_status status = check_file(folder_fd, fd, max, size);
    if (status)
        return status;
    *data = malloc(*size + 1);
    if (!*data)
        return set_error(ATTUNE_ERROR_OUT_OF_MEMORY, "%zu bytes", *size + 1);
    status = read_exactly(fd, *data, *size);
    if (status) {
        free(*data);
        *data = NULL;
    }
    return status;
}

attune_status file_read(const char *folder, const char *name, size_t max, char **data, size_t *size)
{
    *data = NULL;
    *size = 0;
    int folder_fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (folder_fd < 0)
        return errno == ENOENT || errno == ENOTDIR ? ATTUNE_OK : io_error("cannot open", folder, "");
    /* O_NONBLOCK: opening a FIFO must not wait for its writer. */
    int fd = openat(folder_fd, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
    attune_status status = ATTUNE_OK;
    if (fd >= 0)
        status = read_checked(folder_fd, fd, max, data, size);
    else if (errno == ELOOP)
        status = set_error(ATTUNE_ERROR_IO, "is a symbolic link");
    else if (errno != ENOENT)
        status = set_error(ATTUNE_ERROR_IO, "open: %s", strerror(errno));
    if (status)
        set_error(status, "%s/%s: %s", folder, name, attune_last_error());
    if (fd >= 0)
        close(fd);
    close(folder_fd);
    return status;
}

bool file_write_all(int fd, const void *data, size_t size)
{
    const char *bytes = data;
    while (size) {
        ssize_t n = write(fd, bytes, size);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0) {
            if (n == 0)
                errno = EIO;
            return false;
        }
        bytes += n;
        size -= (size_t)n;
    }
    return true;
}

static bool folder_fd_sync(int fd)
{
    return !fsync(fd) || errno == EINVAL || errno == ENOTSUP;
}

bool folder_sync(const char *folder)
{
    int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return false;
    bool synced = folder_fd_sync(fd);
    int code = errno;
    close(fd);
    errno = code;
    return synced;
}

attune_status folder_make(const char *folder)
{
    char *path = strdup(folder);
    if (!path)
        return set_error(ATTUNE_ERROR_OUT_OF_MEMORY, "%s", folder);
    attune_status status = ATTUNE_OK;
    for (char *end = path; *end && !status;) {
        end += strspn(end, "/");
        end += strcspn(end, "/");
        char rest = *end;
        *end = '\0';
        struct stat info;
        /* EROFS and EACCES come before EEXIST on some file systems: what is there is fine all the same. */
        if (mkdir(path, 0700) && errno != EEXIST) {
            int code = errno;
            if (stat(path, &info) || !S_ISDIR(info.st_mode)) {
                errno = code;
                status = io_error("cannot make folder", path, "");
            }
        }
        *end = rest;
    }
    free(path);
    return status;
}

/* Cuts the path to the nearest folder that is there. */
static void cut_to_existing(char *path, struct stat *info)
{
    while (stat(path, info) && errno == ENOENT) {
        char *slash = strrchr(path, '/');
        if (slash && slash > path)
            *slash = '\0';
        else
            copy_string(path, 2, slash ? "/" : ".");
    }
}

/* What is written in the folder would be refused when it is read, if this is not OK. */
static attune_status check_folder_trust(const char *folder)
{
    int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return io_error("cannot read", folder, "");
    attune_status status = check_folders(fd);
    close(fd);
    return status;
}

attune_status folder_check(const char *folder, bool write)
{
    struct stat info = {0};
    char *path = strdup(*folder ? folder : ".");
    if (!path)
        return set_error(ATTUNE_ERROR_OUT_OF_MEMORY, "%s", folder);
    cut_to_existing(path, &info);
    bool missing = strcmp(path, folder) != 0;
    attune_status status = ATTUNE_OK;
    if (stat(path, &info))
        status = io_error("cannot read", path, "");
    else if (!S_ISDIR(info.st_mode))
        status = set_error(ATTUNE_ERROR_IO, "%s is not a folder", path);
    else if (faccessat(AT_FDCWD, path, X_OK | (missing ? 0 : R_OK) | (write || missing ? W_OK : 0), AT_EACCESS))
        status = io_error(write || missing ? "cannot write in" : "cannot read", path, "");
    free(path);
    return status;
}

attune_status cache_folder_check(const char *folder, bool write)
{
    attune_status status = folder_check(folder, write);
    return status || access(folder, F_OK) ? status : check_folder_trust(folder);
}

attune_status file_lock(const char *path, bool wait, int *fd)
{
    *fd = open(path, O_RDWR | O_CREAT | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC, 0600);
    if (*fd < 0)
        return io_error("cannot open lock", path, "");
    int result;
    do
        result = flock(*fd, LOCK_EX | (wait ? 0 : LOCK_NB));
    while (result && errno == EINTR);
    if (!result)
        return ATTUNE_OK;
    int code = errno;
    close(*fd);
    *fd = -1;
    if (code == EWOULDBLOCK)
        return set_error(ATTUNE_ERROR_IO, "%s: another process holds the lock", path);
    errno = code;
    return code == ENOLCK || code == EOPNOTSUPP || code == ENOSYS ? ATTUNE_OK : io_error("cannot lock", path, "");
}

/* A new file beside name; its own name in temporary[size]. */
static int create_temporary(int folder_fd, const char *name, char *temporary, size_t size)
{
    for (int i = 0; i < MAX_TEMPORARIES; i++) {
        snprintf(temporary, size, "%s.%ld-%d.tmp", name, (long)getpid(), i);
        int fd = openat(folder_fd, temporary, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
        if (fd >= 0 || errno != EEXIST)
            return fd;
    }
    return -1;
}

/* One fsync: a second one on the same descriptor may report success for data that was lost. */
static bool write_and_rename(int folder_fd, const char *name, const void *data, size_t size)
{
    char temporary[300];
    int fd = create_temporary(folder_fd, name, temporary, sizeof temporary);
    if (fd < 0)
        return false;
    bool written = file_write_all(fd, data, size) && !fsync(fd);
    int code = errno;
    if (close(fd) && written && errno != EINTR) {
        code = errno;
        written = false;
    }
    if (written && !renameat(folder_fd, temporary, folder_fd, name))
        return true;
    if (written)
        code = errno;
    unlinkat(folder_fd, temporary, 0);
    errno = code;
    return false;
}

attune_status file_put(const char *folder, const char *name, const void *data, size_t size)
{
    int folder_fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (folder_fd < 0)
        return io_error("cannot open", folder, "");
    attune_status status = ATTUNE_OK;
    if (!write_and_rename(folder_fd, name, data, size))
        status = io_error("cannot write", folder, name);
    else if (!folder_fd_sync(folder_fd))
        status = io_error("written, but it may not outlast a power cut:", folder, name);
    close(folder_fd);
    return status;
}

static attune_status lock_folder(const char *folder, bool wait, int *fd)
{
    struct strbuf lock = {0};
    strbuf_printf(&lock, "%s/.lock", folder);
    char *path = strbuf_take(&lock);
    attune_status status = path ? file_lock(path, wait, fd) : set_error(ATTUNE_ERROR_OUT_OF_MEMORY, "%s", folder);
    free(path);
    return status;
}

bool folder_lock(const char *folder, int *fd)
{
    *fd = -1;
    return !access(folder, W_OK) && lock_folder(folder, false, fd) == ATTUNE_OK && *fd >= 0;
}

attune_status file_replace(const char *folder, const char *name, const void *data, size_t size)
{
    int lock_fd;
    attune_status status = folder_make(folder);
    if (!status)
        status = lock_folder(folder, true, &lock_fd);
    if (status)
        return status;
    status = file_put(folder, name, data, size);
    if (lock_fd >= 0)
        close(lock_fd);
    return status;
}

attune_status file_remove(const char *folder, const char *name)
{
    int lock_fd = -1, folder_fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (folder_fd < 0)
        return errno == ENOENT ? ATTUNE_OK : io_error("cannot open", folder, "");
    attune_status status = lock_folder(folder, true, &lock_fd);
    if (!status && unlinkat(folder_fd, name, 0) && errno != ENOENT)
        status = io_error("cannot remove", folder, name);
    else if (!status && !folder_fd_sync(folder_fd))
        status = io_error("removed, but it may come back after a power cut:", folder, name);
    if (lock_fd >= 0)
        close(lock_fd);
    close(folder_fd);
    return status;
}
