/* SPDX-License-Identifier: Apache-2.0
 * What the parts of the cache share. */
#ifndef ATTUNE_CACHE_ENTRY_H
#define ATTUNE_CACHE_ENTRY_H

#include <pthread.h>

#include "cache/cache.h"

struct cache {
    char *user; /* folder of the user's level, or NULL */
    char *entries[CACHE_LEVELS];  /* folders; NULL for memory and for levels that are not there */
    char *records[CACHE_LEVELS];  /* folders; likewise */
    char *binaries[CACHE_LEVELS]; /* folders; likewise */
    struct logger logger;
    pthread_mutex_t mutex; /* of what follows */
    struct cache_entry *memory;
    size_t memory_count, memory_capacity;
    size_t memory_next;            /* overwritten next, once there are as many as there may be */
    struct record *records_memory; /* lib/cache/record.c */
    char (*logged)[HASH_HEX_SIZE]; /* hashes of texts */
    size_t logged_count;
    bool write_failed; /* and was logged */
    char first_refused[512]; /* the first of them */
};

bool cache_key_equal(const struct cache_key *a, const struct cache_key *b);
/* Whether the entry was tuned on another version of its family's source or space than the compiled-in one. */
bool cache_entry_stale(const struct cache_entry *entry);
/* cache_entry_to_json with its status. SYNTAX: a member out of range; INVALID_SIZE: too long; OUT_OF_MEMORY. */
attune_status cache_entry_format(const struct cache_entry *entry, char **text);

/* lib/cache/record.c */
void records_free(struct record **records);

/* lib/cache/memory.c */
bool memory_find(struct cache *cache, const struct cache_key *key, struct cache_entry *out);
attune_status memory_put(struct cache *cache, const struct cache_entry *entry);
/* Copy of the entry at index; false past the end. */
bool memory_at(struct cache *cache, size_t index, struct cache_entry *out);

/* By the hash of its key. */
void memory_remove(struct cache *cache, const char *hash);

/* "HASH.json" */
bool is_entry_name(const char *name);

/* Logs the last error, once per text. */
void log_once(struct cache *cache, attune_log_level level);

#endif
