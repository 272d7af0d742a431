/* SPDX-License-Identifier: Apache-2.0 */
#include "cache/entry.h"
#include "cache/files.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

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

bool cache_binary_load(struct cache *cache, const char *key_hash, void **data, size_t *size)
{
    *data = NULL;
    *size = 0;
    char name[NAME_SIZE];
    char *content;
    if (!cache->binaries || name_file(key_hash, name))
        return false;
    attune_status status = file_read(cache->binaries, name, BINARY_MAX + HEADER_SIZE, &content, size);
    if (!status && !content)
        return false;
    if (!status) {
        status = check_content(key_hash, content, size);
        if (status)
            set_error(status, "%s/%s: %s", cache->binaries, name, attune_last_error());
    }
    if (!status) {
        *data = content;
        return true;
    }
    log_once(cache, ATTUNE_LOG_WARNING);
    free(content);
    *size = 0;
    return false;
}

attune_status cache_binary_store(struct cache *cache, const char *key_hash, const void *data, size_t size)
{
    char name[NAME_SIZE];
    attune_status status = name_file(key_hash, name);
    if (status || !cache->binaries)
        return status;
    if (!size || size > BINARY_MAX)
        return set_error(ATTUNE_ERROR_INVALID_SIZE, "a binary of %zu bytes; the limits are 1 and %zu", size,
                         BINARY_MAX);
    char *content = malloc(HEADER_SIZE + 1 + size);
    if (!content)
        return set_error(ATTUNE_ERROR_OUT_OF_MEMORY, "a binary of %zu bytes", size);
    format_header(key_hash, data, size, content);
    memcpy(content + HEADER_SIZE, data, size);
    status = file_replace(cache->binaries, name, content, HEADER_SIZE + size);
    free(content);
    return status;
}
