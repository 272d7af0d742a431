/* SPDX-License-Identifier: Apache-2.0 */
#include "cache/record.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "cache/entry.h"
#include "cache/fields.h"
#include "cache/files.h"
#include "cache/sealed.h"

#define NAME_SIZE (RECORD_KIND_MAX + HASH_HEX_SIZE + 6) /* KIND-HASH.json */
#define NUM_MEMBERS 4                                   /* schema, kind, key, content */

struct record {
    struct record *next;
    char name[NAME_SIZE];
    char *text;
};

void records_free(struct record **records)
{
    while (*records) {
        struct record *record = *records;
        *records = record->next;
        free(record->text);
        free(record);
    }
}

static attune_status name_file(const char *kind, const json_t *key, char name[NAME_SIZE])
{
    size_t length = strlen(kind);
    if (!length || length > RECORD_KIND_MAX || strspn(kind, "abcdefghijklmnopqrstuvwxyz0123456789") != length)
        return set_error(ATTUNE_ERROR_SYNTAX, "\"%s\" is not a kind of records", kind);
    char *text = json_is_object(key) ? json_write(key, JSON_SORT_KEYS | JSON_COMPACT) : NULL;
    if (!text)
        return set_error(ATTUNE_ERROR_OUT_OF_MEMORY, "key of a %s", kind);
    char hash[HASH_HEX_SIZE];
    hash_hex(text, strlen(text), hash);
    free(text);
    snprintf(name, NAME_SIZE, "%s-%s.json", kind, hash);
    return ATTUNE_OK;
}

/* ---- memory: texts by file name */

/* Under the mutex. */
static struct record *memory_search(struct cache *cache, const char *name)
{
    struct record *record = cache->records_memory;
    while (record && strcmp(record->name, name) != 0)
        record = record->next;
    return record;
}

/* A copy of the text, or NULL. */
static char *memory_text(struct cache *cache, const char *name)
{
    pthread_mutex_lock(&cache->mutex);
    const struct record *record = memory_search(cache, name);
    char *text = record ? strdup(record->text) : NULL;
    pthread_mutex_unlock(&cache->mutex);
    return text;
}

/* Takes text. */
static attune_status memory_keep(struct cache *cache, const char *name, char *text)
{
    pthread_mutex_lock(&cache->mutex);
    struct record *record = memory_search(cache, name);
    if (!record && (record = calloc(1, sizeof *record))) {
        copy_string(record->name, sizeof record->name, name);
        record->next = cache->records_memory;
        cache->records_memory = record;
    }
    if (record) {
        free(record->text);
        record->text = text;
    }
    pthread_mutex_unlock(&cache->mutex);
    if (record)
        return ATTUNE_OK;
    free(text);
    return set_error(ATTUNE_ERROR_OUT_OF_MEMORY, "%s in memory", name);
}

/* ---- writing */

static attune_status format_record(const char *kind, const json_t *key, const json_t *content, char **text)
{
    *text = NULL;
    json_t *root = json_object();
    /* Sets steal the references, even when they fail. */
    bool set = !json_object_set_new(root, "schema", json_integer(RECORD_SCHEMA));
    set = !json_object_set_new(root, "kind", json_string(kind)) && set;
    set = !json_object_set_new(root, "key", json_deep_copy(key)) && set;
    set = !json_object_set_new(root, "content", json_deep_copy(content)) && set;
    attune_status status =
        set ? sealed_format(root, RECORD_MAX, text) : set_error(ATTUNE_ERROR_OUT_OF_MEMORY, "%s", kind);
    json_decref(root);
    return status;
}

attune_status record_store(struct cache *cache, const char *kind, const json_t *key, const json_t *content, char *path,
                           size_t path_size)
{
    if (path)
        path[0] = '\0';
    char name[NAME_SIZE], *text = NULL;
    attune_status status = name_file(kind, key, name);
    if (!status)
        status = format_record(kind, key, content, &text);
    if (status)
        return status;
    const char *folder = cache->records[CACHE_USER];
    attune_status written = folder ? file_replace(folder, name, text, strlen(text)) : ATTUNE_OK;
    if (folder && !written && path) {
        int length = snprintf(path, path_size, "%s/%s", folder, name);
        if (length < 0 || (size_t)length >= path_size)
            path[0] = '\0';
    }
    status = memory_keep(cache, name, text);
    return written ? written : status;
}

static void memory_drop(struct cache *cache, const char *name)
{
    pthread_mutex_lock(&cache->mutex);
    struct record **at = &cache->records_memory;
    while (*at && strcmp((*at)->name, name) != 0)
        at = &(*at)->next;
    struct record *record = *at;
    if (record)
        *at = record->next;
    pthread_mutex_unlock(&cache->mutex);
    if (record)
        free(record->text);
    free(record);
}

attune_status record_remove(struct cache *cache, const char *kind, const json_t *key)
{
    char name[NAME_SIZE];
    attune_status status = name_file(kind, key, name);
    if (status)
        return status;
    memory_drop(cache, name);
    return cache->records[CACHE_USER] ? file_remove(cache->records[CACHE_USER], name) : ATTUNE_OK;
}

/* ---- reading */

/* Nothing in the text is without a meaning: it is what would be written for the same members. */
static attune_status check_members(json_t *root, const char *kind, const json_t *key, const char *text, size_t size)
{
    const char *own = json_string_value(json_object_get(root, "kind"));
    if (!own || strcmp(own, kind) != 0)
        return field_error("", "kind", "is another");
    if (!json_equal(json_object_get(root, "key"), key))
        return field_error("", "key", "is not the one that the file is named by");
    const json_t *content = json_object_get(root, "content");
    if (!json_is_object(content))
        return field_error("", "content", "is not an object");
    if (json_object_size(root) != NUM_MEMBERS)
        return field_error("", "", "has members that are not known");
    char *expected;
    attune_status status = format_record(kind, key, content, &expected);
    if (status)
        return status;
    bool same = strlen(expected) == size && !memcmp(expected, text, size);
    free(expected);
    return same ? ATTUNE_OK : set_error(ATTUNE_ERROR_SYNTAX, "not in the form in which records are written");
}

static attune_status read_text(const char *text, size_t size, const char *kind, const json_t *key, record_reader reader,
                               void *priv)
{
    json_t *root;
    attune_status status = sealed_parse(text, size, RECORD_MAX, RECORD_SCHEMA, RECORD_SCHEMA, &root);
    if (status)
        return status;
    status = check_members(root, kind, key, text, size);
    if (!status)
        status = reader(priv, json_object_get(root, "content"));
    json_decref(root);
    return status ? sealed_quote_safely(status) : ATTUNE_OK;
}

/* Whether the level has a record that holds. A bad one is logged once. */
static bool read_level(struct cache *cache, int level, const char *name, const char *kind, const json_t *key,
                       record_reader reader, void *priv)
{
    const char *folder = cache->records[level];
    char *text;
    size_t size = 0;
    attune_status status = ATTUNE_OK;
    if (level == CACHE_MEMORY) {
        text = memory_text(cache, name);
        size = text ? strlen(text) : 0;
    } else if (folder)
        status = file_read(folder, name, RECORD_MAX, &text, &size);
    else
        return false;
    if (!status && !text)
        return false;
    if (!status) {
        status = read_text(text, size, kind, key, reader, priv);
        if (status)
            set_error(status, "%s/%s: %s", folder ? folder : "memory", name, attune_last_error());
    }
    free(text);
    if (status)
        log_once(cache, status == ATTUNE_ERROR_UNSUPPORTED ? ATTUNE_LOG_INFO : ATTUNE_LOG_WARNING);
    return !status;
}

bool record_find(struct cache *cache, const char *kind, const json_t *key, record_reader reader, void *priv,
                 enum cache_level *level)
{
    char name[NAME_SIZE];
    if (name_file(kind, key, name))
        return false;
    for (int at = CACHE_MEMORY; at < CACHE_LEVELS; at++)
        if (read_level(cache, at, name, kind, key, reader, priv)) {
            if (level)
                *level = (enum cache_level)at;
            return true;
        }
    return false;
}
