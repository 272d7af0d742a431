/* SPDX-License-Identifier: Apache-2.0 */
#include "folder.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/base.h"

bool folder_make_temporary(char *path, size_t size)
{
    const char *root = env_get("TMPDIR");
    int length = snprintf(path, size, "%s/attune-worker-XXXXXX", root ? root : "/tmp");
    if (length < 0 || (size_t)length + sizeof "/kernels" > size) {
        errno = ENAMETOOLONG;
        path[0] = '\0';
        return false;
    }
    if (!mkdtemp(path)) {
        path[0] = '\0';
        return false;
    }
    memcpy(path + length, "/kernels", sizeof "/kernels");
    bool made = !mkdir(path, 0700);
    path[length] = '\0';
    return made;
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
