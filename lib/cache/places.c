/* SPDX-License-Identifier: Apache-2.0
 * The folders of a cache's levels. */
#include "cache/cache.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/place.h"
#include "cache/files.h"

static void copy_whole(char *path, size_t size, const char *given)
{
    /* A cut path would be another folder. */
    copy_string(path, size, strlen(given) < size ? given : "");
}

void cache_user_dir(const char *dir, char *path, size_t size)
{
    const char *base = dir, *below = "";
    if (env_get("ATTUNE_KERNEL_DIR"))
        base = ""; /* entries speak of the embedded sources, not of those on disk */
    if (!base)
        base = env_get("ATTUNE_CACHE_DIR");
    if (!base) {
        /* The XDG base directory specification ignores relative paths. */
        base = env_get("XDG_CACHE_HOME");
        below = "/attune";
        if (base && *base != '/')
            base = NULL;
    }
    if (!base) {
        base = env_get("HOME");
        below = "/.cache/attune";
    }
    int length = base && *base ? snprintf(path, size, "%s%s", base, below) : 0;
    if (length <= 0 || (size_t)length >= size)
        path[0] = '\0';
}

attune_status cache_check_user(const char *dir, const char *path, bool write)
{
    if ((dir && !*dir) || env_get("ATTUNE_KERNEL_DIR"))
        return ATTUNE_OK;
    if (*path) {
        struct strbuf entries = {0};
        strbuf_printf(&entries, "%s/entries", path);
        attune_status status = entries.text ? cache_folder_check(entries.text, write)
                                            : set_error(ATTUNE_ERROR_OUT_OF_MEMORY, "the cache's folder");
        strbuf_free(&entries);
        return status == ATTUNE_OK ? status
                                   : set_error(status, "the cache %s cannot be used: %s", path, attune_last_error());
    }
    if (dir || env_get("ATTUNE_CACHE_DIR") || env_get("XDG_CACHE_HOME") || env_get("HOME"))
        return set_error(ATTUNE_ERROR_IO,
                         "the cache has no folder: its name is too long, or XDG_CACHE_HOME is not absolute");
    return set_error(ATTUNE_ERROR_IO,
                     "the cache has no folder: none of ATTUNE_CACHE_DIR, XDG_CACHE_HOME and HOME is set");
}

/* given, else the variable's, else place beside the library where there is such a folder, else place below the prefix.
 */
static void find_folder(const char *given, const char *variable, const char *place, char *path, size_t size)
{
    if (env_get("ATTUNE_KERNEL_DIR"))
        given = ""; /* as above */
    if (!given)
        given = env_get(variable);
    if (given)
        copy_whole(path, size, given);
    else
        place_find(place, false, path, size);
}

void cache_find_places(const char *user, const char *site, const char *shipped, struct cache_places *out)
{
    cache_user_dir(user, out->user, sizeof out->user);
    find_folder(site, "ATTUNE_SITE_CACHE_DIR", CACHE_SITE_PLACE, out->site, sizeof out->site);
    find_folder(shipped, "ATTUNE_SHIPPED_CACHE_DIR", CACHE_SHIPPED_PLACE, out->shipped, sizeof out->shipped);
}
