/* SPDX-License-Identifier: Apache-2.0
 * How much memory a worker may take: of the host's, what is free; of a control group's, what its limit leaves. */
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "session.h"

/* Share of it that is left to others. */
#define RESERVE 8
#define LEAST ((int64_t)256 << 20)

static bool read_file(const char *path, char *text, size_t size)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t got = fd < 0 ? -1 : read(fd, text, size - 1);
    if (fd >= 0)
        close(fd);
    text[got > 0 ? got : 0] = '\0';
    return got > 0;
}

/* -1: none. "max" of v2 is none; the huge number of v1 is no less than what is free. */
static int64_t read_bytes(const char *folder, const char *name)
{
    char path[1200], text[64];
    int length = snprintf(path, sizeof path, "%s/%s", folder, name);
    if (length <= 0 || (size_t)length >= sizeof path || !read_file(path, text, sizeof text) || text[0] < '0' ||
        text[0] > '9')
        return -1;
    return (int64_t)strtoll(text, NULL, 10);
}

static int64_t least(int64_t a, int64_t b)
{
    return b >= 0 && b < a ? b : a;
}

/* Of the group at folder/path and all that it is in. */
static int64_t group_free(const char *folder, const char *path, const char *limit, const char *usage)
{
    char at[1100];
    int64_t free = INT64_MAX;
    int length = snprintf(at, sizeof at, "%s%s", folder, path);
    if (length <= 0 || (size_t)length >= sizeof at)
        return free;
    for (size_t end = (size_t)length; end >= strlen(folder); end--) {
        if (end > strlen(folder) && at[end] && at[end] != '/')
            continue;
        at[end] = '\0';
        int64_t most = read_bytes(at, limit), used = read_bytes(at, usage);
        if (most >= 0)
            free = least(free, most > used && used >= 0 ? most - used : most);
    }
    return free;
}

static int64_t groups_free(void)
{
    char text[8192];
    int64_t free = INT64_MAX;
    if (!read_file("/proc/self/cgroup", text, sizeof text))
        return free;
    char *rest = NULL;
    for (char *line = strtok_r(text, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest)) {
        const char *path = strchr(line, '/');
        if (!path)
            continue;
        if (!strncmp(line, "0::", 3))
            free = least(free, group_free("/sys/fs/cgroup", path, "memory.max", "memory.current"));
        else if (strstr(line, ":memory:"))
            free = least(free, group_free("/sys/fs/cgroup/memory", path, "memory.limit_in_bytes", "memory.usage_in_bytes"));
    }
    return free;
}

static int64_t host_free(void)
{
    char text[4096];
    const char *line = read_file("/proc/meminfo", text, sizeof text) ? strstr(text, "MemAvailable:") : NULL;
    return line ? (int64_t)strtoll(line + strlen("MemAvailable:"), NULL, 10) << 10
                : (int64_t)sysconf(_SC_PHYS_PAGES) * sysconf(_SC_PAGESIZE) / 2;
}

int64_t memory_for_worker(void)
{
    int64_t free = least(host_free(), groups_free());
    free -= free / RESERVE;
    return free > LEAST ? free : LEAST;
}
