/* SPDX-License-Identifier: Apache-2.0
 * Taking out what the user's level holds. */
#include "cache/entry.h"
#include "cache/files.h"

#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define HASH_DIGITS (HASH_HEX_SIZE - 1)
#define NAME_SIZE 128

static bool append_name(char (**names)[NAME_SIZE], size_t *count, const char *name)
{
    char(*grown)[NAME_SIZE] = realloc(*names, (*count + 1) * sizeof **names);
    if (!grown)
        return false;
    *names = grown;
    copy_string(grown[(*count)++], NAME_SIZE, name);
    return true;
}

/* Names in a folder that wanted() takes; none where there is no folder. free(*names) */
static attune_status list_names(const char *folder, bool (*wanted)(const char *name), char (**names)[NAME_SIZE],
                                size_t *count)
{
    *names = NULL;
    *count = 0;
    DIR *open = opendir(folder);
    if (!open)
        return errno == ENOENT || errno == ENOTDIR
                   ? ATTUNE_OK
                   : set_error(ATTUNE_ERROR_IO, "cannot open %s: %s", folder, strerror(errno));
    attune_status status = ATTUNE_OK;
    for (struct dirent *file; status == ATTUNE_OK && (file = readdir(open));)
        if (strlen(file->d_name) < NAME_SIZE && wanted(file->d_name) && !append_name(names, count, file->d_name))
            status = set_error(ATTUNE_ERROR_OUT_OF_MEMORY, "names of %s", folder);
    closedir(open);
    return status;
}

attune_status cache_own_hashes(struct cache *cache, const char *prefix, char (**hashes)[HASH_HEX_SIZE], size_t *count)
{
    char(*names)[NAME_SIZE] = NULL;
    size_t num_names = 0;
    *hashes = NULL;
    *count = 0;
    if (!cache->user)
        return ATTUNE_OK;
    attune_status status = list_names(cache->entries[CACHE_USER], is_entry_name, &names, &num_names);
    if (status == ATTUNE_OK && num_names && !(*hashes = calloc(num_names, sizeof **hashes)))
        status = set_error(ATTUNE_ERROR_OUT_OF_MEMORY, "names of entries");
    for (size_t i = 0; status == ATTUNE_OK && i < num_names; i++)
        if (!strncmp(names[i], prefix, strlen(prefix))) {
            names[i][HASH_DIGITS] = '\0';
            copy_string((*hashes)[(*count)++], HASH_HEX_SIZE, names[i]);
        }
    free(names);
    return status;
}

attune_status cache_remove(struct cache *cache, const char *hash)
{
    char name[HASH_HEX_SIZE + 5];
    memory_remove(cache, hash);
    if (!cache->user)
        return ATTUNE_OK;
    copy_string(name, sizeof name, hash);
    strcat(name, ".json");
    return file_remove(cache->entries[CACHE_USER], name);
}

static bool ends_with(const char *name, const char *ending)
{
    size_t length = strlen(name), tail = strlen(ending);
    return length > tail && !strcmp(name + length - tail, ending);
}

/* A probe is no winner: it says what the device can do, and took its own time. */
static bool is_learnt_record(const char *name)
{
    return ends_with(name, ".json") && strncmp(name, "probe-", 6) != 0;
}

static bool is_binary(const char *name)
{
    return ends_with(name, ".bin");
}

static attune_status remove_names(const char *folder, bool (*wanted)(const char *name), size_t *count)
{
    char(*names)[NAME_SIZE];
    attune_status status = list_names(folder, wanted, &names, count);
    for (size_t i = 0; status == ATTUNE_OK && i < *count; i++)
        status = file_remove(folder, names[i]);
    free(names);
    return status;
}

attune_status cache_remove_all(struct cache *cache, size_t *count)
{
    size_t others;
    *count = 0;
    pthread_mutex_lock(&cache->mutex);
    cache->memory_count = cache->memory_next = 0;
    records_free(&cache->records_memory);
    pthread_mutex_unlock(&cache->mutex);
    if (!cache->user)
        return ATTUNE_OK;
    attune_status status = remove_names(cache->entries[CACHE_USER], is_entry_name, count);
    if (status == ATTUNE_OK)
        status = remove_names(cache->records[CACHE_USER], is_learnt_record, &others);
    return status == ATTUNE_OK ? remove_names(cache->binaries[CACHE_USER], is_binary, &others) : status;
}
