/* SPDX-License-Identifier: Apache-2.0 */
#include "cache/entry.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MEMORY_MAX 1024 /* entries; then the oldest are overwritten */
#define LOGGED_MAX 256  /* texts; later bad files are misses without a word */

/* Under the mutex. */
static struct cache_entry *search(struct cache *cache, const struct cache_key *key)
{
    for (size_t i = 0; i < cache->memory_count; i++)
        if (cache_key_equal(&cache->memory[i].key, key))
            return &cache->memory[i];
    return NULL;
}

bool memory_find(struct cache *cache, const struct cache_key *key, struct cache_entry *out)
{
    pthread_mutex_lock(&cache->mutex);
    const struct cache_entry *found = search(cache, key);
    if (found)
        *out = *found;
    pthread_mutex_unlock(&cache->mutex);
    return found != NULL;
}

bool memory_at(struct cache *cache, size_t index, struct cache_entry *out)
{
    pthread_mutex_lock(&cache->mutex);
    bool there = index < cache->memory_count;
    if (there)
        *out = cache->memory[index];
    pthread_mutex_unlock(&cache->mutex);
    return there;
}

/* A place for a new entry, or NULL when out of memory. Under the mutex. */
static struct cache_entry *new_place(struct cache *cache)
{
    if (cache->memory_count == MEMORY_MAX)
        return &cache->memory[cache->memory_next++ % MEMORY_MAX];
    if (cache->memory_count == cache->memory_capacity) {
        size_t capacity = cache->memory_capacity ? 2 * cache->memory_capacity : 8;
        struct cache_entry *memory = realloc(cache->memory, capacity * sizeof *memory);
        if (!memory)
            return NULL;
        cache->memory = memory;
        cache->memory_capacity = capacity;
    }
    return &cache->memory[cache->memory_count++];
}

attune_status memory_put(struct cache *cache, const struct cache_entry *entry)
{
    pthread_mutex_lock(&cache->mutex);
    struct cache_entry *place = search(cache, &entry->key);
    if (!place)
        place = new_place(cache);
    if (place)
        *place = *entry;
    pthread_mutex_unlock(&cache->mutex);
    return place ? ATTUNE_OK : set_error(ATTUNE_ERROR_OUT_OF_MEMORY, "entries in memory");
}

void memory_remove(struct cache *cache, const char *hash)
{
    pthread_mutex_lock(&cache->mutex);
    for (size_t i = 0; i < cache->memory_count; i++) {
        char own[HASH_HEX_SIZE];
        cache_key_hash(&cache->memory[i].key, own);
        if (!strcmp(own, hash))
            cache->memory[i--] = cache->memory[--cache->memory_count];
    }
    pthread_mutex_unlock(&cache->mutex);
}

/* Whether this is the first call for the text. */
static bool first_time(struct cache *cache, const char *text)
{
    char hash[HASH_HEX_SIZE];
    hash_hex(text, strlen(text), hash);
    pthread_mutex_lock(&cache->mutex);
    bool first = cache->logged_count < LOGGED_MAX;
    for (size_t i = 0; i < cache->logged_count && first; i++)
        first = strcmp(cache->logged[i], hash) != 0;
    if (first && !cache->logged)
        cache->logged = malloc(LOGGED_MAX * sizeof *cache->logged);
    if (first && !cache->logged_count)
        copy_string(cache->first_refused, sizeof cache->first_refused, text);
    if (first && cache->logged)
        memcpy(cache->logged[cache->logged_count++], hash, sizeof hash);
    pthread_mutex_unlock(&cache->mutex);
    return first;
}

void log_once(struct cache *cache, attune_log_level level)
{
    if (first_time(cache, attune_last_error()))
        log_message(&cache->logger, level, "cache: %s", attune_last_error());
}

void cache_log_unwritten(struct cache *cache, const char *what)
{
    pthread_mutex_lock(&cache->mutex);
    bool first = !cache->write_failed;
    cache->write_failed = true;
    pthread_mutex_unlock(&cache->mutex);
    log_message(&cache->logger, first ? ATTUNE_LOG_WARNING : ATTUNE_LOG_INFO, "cache: %s is not kept: %s", what,
                attune_last_error());
}

void cache_refused(struct cache *cache, char *text, size_t size)
{
    pthread_mutex_lock(&cache->mutex);
    size_t count = cache->logged_count;
    text[0] = '\0';
    if (count)
        snprintf(text, size, count == 1 ? "%zu file was refused: %s" : "%zu files were refused: %s", count,
                 cache->first_refused);
    pthread_mutex_unlock(&cache->mutex);
}
