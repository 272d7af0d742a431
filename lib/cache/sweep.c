/* SPDX-License-Identifier: Apache-2.0
 * What killed processes and old versions left in the user's folder. */
#define _DEFAULT_SOURCE /* scandir, flock */
#include "cache/entry.h"
#include "cache/files.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define JOURNALS_KEPT 64
#define BINARIES_KEPT 1024
#define BINARIES_BYTES ((int64_t)512 << 20)
/* A journal's lock is made before it is taken: a younger one may be about to be. */
#define LOCK_AGE_SECONDS 60

struct file {
    char name[256];
    struct timespec changed;
    int64_t bytes;
};

struct files {
    struct file *of;
    size_t count;
};

static int newest_first(const void *a, const void *b)
{
    const struct file *x = a, *y = b;
    if (x->changed.tv_sec != y->changed.tv_sec)
        return x->changed.tv_sec < y->changed.tv_sec ? 1 : -1;
    if (x->changed.tv_nsec != y->changed.tv_nsec)
        return x->changed.tv_nsec < y->changed.tv_nsec ? 1 : -1;
    return -strcmp(x->name, y->name);
}

static bool append_file(struct files *files, const char *name, const struct stat *info)
{
    struct file *grown = realloc(files->of, (files->count + 1) * sizeof *grown);
    if (!grown)
        return false;
    files->of = grown;
    struct file *file = &grown[files->count++];
    copy_string(file->name, sizeof file->name, name);
    file->changed = info->st_mtim;
    file->bytes = info->st_size;
    return true;
}

/* The effective user's regular files in the folder whose names have the ending, the newest first. free(.of) */
static struct files list_files(int folder_fd, const char *ending)
{
    struct files files = {NULL, 0};
    int fd = openat(folder_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *folder = fd >= 0 ? fdopendir(fd) : NULL;
    if (!folder && fd >= 0)
        close(fd);
    for (struct dirent *entry; folder && (entry = readdir(folder));) {
        size_t length = strlen(entry->d_name), tail = strlen(ending);
        struct stat info;
        if (length > tail && !strcmp(entry->d_name + length - tail, ending) &&
            !fstatat(folder_fd, entry->d_name, &info, AT_SYMLINK_NOFOLLOW) && S_ISREG(info.st_mode) &&
            info.st_uid == geteuid() && !append_file(&files, entry->d_name, &info))
            break;
    }
    if (folder)
        closedir(folder);
    if (files.count)
        qsort(files.of, files.count, sizeof *files.of, newest_first);
    return files;
}

static int open_folder(const char *folder)
{
    return folder ? open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
}

/* Temporary files: none is being written while the folder's lock is ours. Binaries: those used last are kept. */
static void sweep_folder(const char *folder, bool binaries)
{
    int lock, fd = open_folder(folder);
    if (fd >= 0 && folder_lock(folder, &lock)) {
        struct files files = list_files(fd, ".tmp");
        for (size_t i = 0; i < files.count; i++)
            unlinkat(fd, files.of[i].name, 0);
        free(files.of);
        files = binaries ? list_files(fd, ".bin") : (struct files){NULL, 0};
        int64_t bytes = 0;
        for (size_t i = 0; i < files.count; i++)
            if ((bytes += files.of[i].bytes) > BINARIES_BYTES || i >= BINARIES_KEPT)
                unlinkat(fd, files.of[i].name, 0);
        free(files.of);
        close(lock);
    }
    if (fd >= 0)
        close(fd);
}

/* ---- journals */

struct ids {
    char (*of)[sizeof((struct cache_entry *)0)->journal];
    size_t count;
    bool failed; /* then all count as named */
};

static bool collect_id(void *priv, const struct cache_entry *entry, enum cache_level level, const char *hash,
                       const char *path)
{
    struct ids *ids = priv;
    (void)level, (void)hash, (void)path;
    void *grown = realloc(ids->of, (ids->count + 1) * sizeof *ids->of);
    ids->failed = !grown;
    if (!grown)
        return false;
    ids->of = grown;
    copy_string(ids->of[ids->count++], sizeof *ids->of, entry->journal);
    return true;
}

static bool is_named(const struct ids *ids, const char *name)
{
    size_t length = strlen(name) - strlen(".jsonl");
    for (size_t i = 0; i < ids->count; i++)
        if (!strncmp(ids->of[i], name, length) && !ids->of[i][length])
            return true;
    return ids->failed;
}

/* Whether no living process writes the journal whose lock this is. */
static bool is_abandoned(int folder_fd, const struct file *lock)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    if (now.tv_sec - lock->changed.tv_sec < LOCK_AGE_SECONDS)
        return false;
    int fd = openat(folder_fd, lock->name, O_RDWR | O_NOFOLLOW | O_CLOEXEC);
    bool ours = fd >= 0 && !flock(fd, LOCK_EX | LOCK_NB);
    if (fd >= 0)
        close(fd);
    return ours;
}

static void sweep_journals(struct cache *cache, int fd)
{
    struct files files = list_files(fd, ".jsonl.lock");
    for (size_t i = 0; i < files.count; i++)
        if (is_abandoned(fd, &files.of[i]))
            unlinkat(fd, files.of[i].name, 0);
    free(files.of);
    files = list_files(fd, ".jsonl");
    struct ids ids = {NULL, 0, false};
    if (files.count > JOURNALS_KEPT)
        cache_visit(cache, collect_id, &ids, NULL);
    for (size_t i = JOURNALS_KEPT; i < files.count; i++) {
        char lock[300];
        snprintf(lock, sizeof lock, "%s.lock", files.of[i].name);
        if (faccessat(fd, lock, F_OK, AT_SYMLINK_NOFOLLOW) && !is_named(&ids, files.of[i].name))
            unlinkat(fd, files.of[i].name, 0);
    }
    free(files.of);
    free(ids.of);
}

void cache_sweep(struct cache *cache)
{
    char path[1100];
    if (!cache->user)
        return;
    sweep_folder(cache->entries[CACHE_USER], false);
    sweep_folder(cache->records[CACHE_USER], false);
    sweep_folder(cache->binaries[CACHE_USER], true);
    snprintf(path, sizeof path, "%s/journal", cache->user);
    int fd = open_folder(path);
    if (fd >= 0) {
        sweep_journals(cache, fd);
        close(fd);
    }
}
