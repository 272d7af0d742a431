/* SPDX-License-Identifier: Apache-2.0 */
#include "cache/entry.h"
#include "cache/files.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define BINARY_MAX ((size_t)64 << 20)
#define HEADER_SIZE 128
#define NAME_SIZE (HASH_HEX_SIZE + 4) /* HASH.bin */

/* One line padded with spaces. It names the key too: a file that was renamed is not another build's binary. */
static void format_header(const char *key_hash, const void *data, size_t size, char header[HEADER_SIZE + 1])
{
    char hash[HASH_HEX_SIZE], line[HEADER_SIZE];
    hash_hex(data, size, hash);
    snprintf(line, sizeof line, "attune binary 1 %s %zu %s", key_hash, size, hash);
    snprintf(header, HEADER_SIZE + 1, "%-*s\n", HEADER_SIZE - 1, line);
}

static attune_status name_file(const char *key_hash, char name[NAME_SIZE])
{
    if (strlen(key_hash) != HASH_HEX_SIZE - 1 || strspn(key_hash, "0123456789abcdef") != HASH_HEX_SIZE - 1)
        return set_error(ATTUNE_ERROR_SYNTAX, "key_hash \"%s\" is not 32 hex digits", key_hash);
    snprintf(name, NAME_SIZE, "%s.bin", key_hash);
    return ATTUNE_OK;
}

/* Takes the header off. */
static attune_status check_content(const char *key_hash, char *data, size_t *size)
{
    char header[HEADER_SIZE + 1];
    size_t length = *size > HEADER_SIZE ? *size - HEADER_SIZE : 0;
    format_header(key_hash, data + (*size - length), length, header);
    if (!length || memcmp(data, header, HEADER_SIZE) != 0)
        return set_error(ATTUNE_ERROR_SYNTAX, "its header does not fit its content");
    memmove(data, data + HEADER_SIZE, length);
    *size = length;
    return ATTUNE_OK;
}

static attune_status read_binary(const char *folder, const char *name, const char *key_hash, char **content,
                                 size_t *size)
{
    attune_status status = file_read(folder, name, BINARY_MAX + HEADER_SIZE, content, size);
    if (!status && *content && (status = check_content(key_hash, *content, size))) {
        set_error(status, "%s/%s: %s", folder, name, attune_last_error());
        free(*content);
        *content = NULL;
    }
    return status;
}

/* cache_sweep() keeps what was used last. A file that is only read stays as it is. */
static void mark_used(const char *folder, const char *name)
{
    char path[1200];
    if (snprintf(path, sizeof path, "%s/%s", folder, name) < (int)sizeof path)
        (void)!utimensat(AT_FDCWD, path, NULL, AT_SYMLINK_NOFOLLOW);
}

bool cache_binary_load(struct cache *cache, const char *key_hash, void **data, size_t *size)
{
    char name[NAME_SIZE], *content = NULL;
    bool named = !name_file(key_hash, name);
    for (int level = CACHE_USER; named && !content && level < CACHE_LEVELS; level++)
        if (cache->binaries[level] && read_binary(cache->binaries[level], name, key_hash, &content, size))
            log_once(cache, ATTUNE_LOG_WARNING);
        else if (content && level == CACHE_USER)
            mark_used(cache->binaries[level], name);
    *data = content;
    if (!content)
        *size = 0;
    return content != NULL;
}

attune_status cache_binary_store(struct cache *cache, const char *key_hash, const void *data, size_t size)
{
    char name[NAME_SIZE];
    attune_status status = name_file(key_hash, name);
    if (status || !cache->binaries[CACHE_USER])
        return status;
    if (!size || size > BINARY_MAX)
        return set_error(ATTUNE_ERROR_INVALID_SIZE, "a binary of %zu bytes; the limits are 1 and %zu", size,
                         BINARY_MAX);
    char *content = malloc(HEADER_SIZE + 1 + size);
    if (!content)
        return set_error(ATTUNE_ERROR_OUT_OF_MEMORY, "a binary of %zu bytes", size);
    format_header(key_hash, data, size, content);
    memcpy(content + HEADER_SIZE, data, size);
    status = file_replace(cache->binaries[CACHE_USER], name, content, HEADER_SIZE + size);
    free(content);
    return status;
}
