/* SPDX-License-Identifier: Apache-2.0 */
#include "place.h"

#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base.h"

/* The mapping's file in a line of /proc/self/maps, if address lies in it; else NULL. */
static const char *file_of_mapping(char *line, uintptr_t address)
{
    unsigned long long first, end;
    int path = 0;
    if (sscanf(line, "%llx-%llx %*s %*s %*s %*s %n", &first, &end, &path) < 2 || address < first || address >= end)
        return NULL;
    line[strcspn(line, "\n")] = '\0';
    return path && line[path] == '/' ? line + path : NULL;
}

/* The file that holds this code, by the kernel's table of mappings, which has whole paths: the loader's may be relative
 * to a folder that was left. False where the system does not tell. */
static bool code_path(char *path, size_t size)
{
    bool found = false;
    char line[4352];
    FILE *maps = getauxval(AT_SECURE) ? NULL : fopen("/proc/self/maps", "re");
    while (maps && !found && fgets(line, sizeof line, maps)) {
        const char *file = file_of_mapping(line, (uintptr_t)code_path);
        found = file && strlen(file) < size;
        if (found)
            copy_string(path, size, file);
    }
    if (maps)
        fclose(maps);
    return found;
}

bool place_prefix(const char *code, const char *inside, char *prefix, size_t size)
{
    const char *slash = strrchr(code, '/');
    size_t folder = slash ? (size_t)(slash - code) : 0, length = strlen(inside);
    if (folder < length + 1 || strncmp(slash - length, inside, length) || slash[-(ptrdiff_t)length - 1] != '/')
        return false;
    size_t kept = folder - length - 1;
    if (!kept || kept >= size)
        return false;
    memcpy(prefix, code, kept);
    prefix[kept] = '\0';
    return true;
}

/* Whether path may be used because of where it stands beside code. */
static bool is_ours(const char *code, const char *path, bool program)
{
    struct stat file, own;
    if (stat(path, &file))
        return false;
    if (!program)
        return true; /* a folder, whose files are checked one by one */
    if (stat(code, &own) || !S_ISREG(file.st_mode) || (file.st_mode & ~own.st_mode & (S_IWGRP | S_IWOTH)))
        return false;
    return (file.st_uid == 0 || file.st_uid == geteuid() || file.st_uid == own.st_uid) && !access(path, X_OK);
}

static bool join(const char *folder, const char *place, char *path, size_t size)
{
    int length = snprintf(path, size, "%s/%s", folder, place);
    return length > 0 && (size_t)length < size;
}

void place_find(const char *place, bool program, char *path, size_t size)
{
    /* As installed, and as products bundle it. */
    static const char *const folders[] = {ATTUNE_LIBDIR, ATTUNE_BINDIR, "lib", "bin"};
    char code[1024], prefix[1024];
    bool relative = place[0] != '/' && code_path(code, sizeof code);
    for (size_t i = 0; relative && i < sizeof folders / sizeof *folders; i++)
        if (place_prefix(code, folders[i], prefix, sizeof prefix) && join(prefix, place, path, size) &&
            is_ours(code, path, program))
            return;
    if (place[0] == '/' && strlen(place) < size)
        copy_string(path, size, place);
    else if (place[0] == '/' || !join(ATTUNE_PREFIX, place, path, size))
        path[0] = '\0';
}

bool place_find_built(const char *place, char *path, size_t size)
{
    /* What meson puts there, with both kinds of libraries. */
    static const char *const folders[] = {"lib", "tune", "bench"};
    char code[1024], root[1024], mark[1100];
    if (!code_path(code, sizeof code))
        return false;
    for (size_t i = 0; i < sizeof folders / sizeof *folders; i++)
        if (place_prefix(code, folders[i], root, sizeof root) && join(root, "meson-info", mark, sizeof mark) &&
            is_ours(code, mark, false) && join(root, place, path, size) && is_ours(code, path, true))
            return true;
    return false;
}
