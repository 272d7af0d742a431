/* SPDX-License-Identifier: Apache-2.0 */
#define _DEFAULT_SOURCE /* scandir */
#include "cache/entry.h"
#include "cache/files.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define HASH_DIGITS (HASH_HEX_SIZE - 1)
#define NAME_SIZE (HASH_HEX_SIZE + 5) /* HASH.json */

const char *cache_level_name(enum cache_level level)
{
    static const char *const names[CACHE_LEVELS] = {"memory", "user", "site", "shipped"};
    return names[level];
}

/* ---- open and close */

static char *join(const char *folder, const char *name)
{
    struct strbuf path = {0};
    strbuf_printf(&path, "%s/%s", folder, name);
    return strbuf_take(&path);
}

static bool set_folders(struct cache *cache, const struct cache_paths *paths)
{
    const char *const folders[CACHE_LEVELS] = {NULL, paths->user, paths->site, paths->shipped};
    for (int level = CACHE_USER; level < CACHE_LEVELS; level++) {
        if (!folders[level] || !*folders[level])
            continue;
        cache->entries[level] = join(folders[level], "entries");
        cache->records[level] = join(folders[level], "records");
        cache->binaries[level] = join(folders[level], "binaries");
        if (!cache->entries[level] || !cache->records[level] || !cache->binaries[level])
            return false;
    }
    bool has_user = folders[CACHE_USER] && *folders[CACHE_USER];
    return !has_user || (cache->user = strdup(folders[CACHE_USER]));
}

attune_status cache_open(struct cache **out, const struct cache_paths *paths, const struct logger *logger)
{
    *out = NULL;
    struct cache *cache = calloc(1, sizeof *cache);
    if (!cache)
        return set_error(ATTUNE_ERROR_OUT_OF_MEMORY, "cache");
    if (pthread_mutex_init(&cache->mutex, NULL)) {
        free(cache);
        return set_error(ATTUNE_ERROR_OUT_OF_MEMORY, "cache's mutex");
    }
    if (logger)
        cache->logger = *logger;
    if (!set_folders(cache, paths)) {
        cache_close(&cache);
        return set_error(ATTUNE_ERROR_OUT_OF_MEMORY, "cache's paths");
    }
    *out = cache;
    return ATTUNE_OK;
}

void cache_close(struct cache **cache)
{
    if (!cache || !*cache)
        return;
    for (int level = 0; level < CACHE_LEVELS; level++) {
        free((*cache)->entries[level]);
        free((*cache)->records[level]);
        free((*cache)->binaries[level]);
    }
    records_free(&(*cache)->records_memory);
    free((*cache)->user);
    free((*cache)->memory);
    free((*cache)->logged);
    pthread_mutex_destroy(&(*cache)->mutex);
    free(*cache);
    *cache = NULL;
}

/* ---- reading */

enum answer { ANSWER_NONE, ANSWER_ENTRY, ANSWER_BAD };

static attune_status parse(const char *text, size_t size, const char *hash, struct cache_entry *out)
{
    attune_status status = cache_entry_from_json(text, size, out);
    if (status)
        return status;
    char own[HASH_HEX_SIZE];
    cache_key_hash(&out->key, own);
    return strcmp(own, hash) ? set_error(ATTUNE_ERROR_SYNTAX, "its key belongs in %s.json", own) : ATTUNE_OK;
}

/* Whether the text may be that of an entry whose key differs from like in the shape only, judged by a few of the
 * members that every entry writes in this form: parsing takes a hundred times as long. */
static bool may_be_like(const char *text, const struct cache_key *like)
{
    const struct {
        const char *name;
        int32_t value;
    } members[] = {{"q_class", like->q_class},
                   {"operation", like->operation},
                   {"kv_dtype", like->kv_dtype},
                   {"head_dim_qk", like->head_dim_qk},
                   {"group_size", like->group_size}};
    for (size_t i = 0; i < sizeof members / sizeof *members; i++) {
        char member[64];
        snprintf(member, sizeof member, "\"%s\": %d", members[i].name, members[i].value);
        if (!strstr(text, member))
            return false;
    }
    return true;
}

/* The entry in a level's file HASH.json; ANSWER_NONE also for one that is not like `like` (NULL: any). A bad file is
 * logged once. */
static enum answer read_entry(struct cache *cache, int level, const char *hash, const struct cache_key *like,
                              struct cache_entry *out)
{
    char name[NAME_SIZE];
    snprintf(name, sizeof name, "%s.json", hash);
    const char *folder = cache->entries[level];
    char *text;
    size_t size;
    attune_status status = file_read(folder, name, CACHE_ENTRY_MAX, &text, &size);
    if (!status && (!text || (like && !may_be_like(text, like)))) {
        free(text);
        return ANSWER_NONE;
    }
    if (!status) {
        status = parse(text, size, hash, out);
        if (status)
            set_error(status, "%s/%s: %s", folder, name, attune_last_error());
    }
    free(text);
    if (!status)
        return ANSWER_ENTRY;
    log_once(cache, status == ATTUNE_ERROR_UNSUPPORTED ? ATTUNE_LOG_INFO : ATTUNE_LOG_WARNING);
    return ANSWER_BAD;
}

bool cache_receipt_holds(const struct cache_entry *entry)
{
    const struct cache_receipt *receipt = &entry->receipt;
    return receipt->valid && !strcmp(receipt->device_name, entry->key.device_name) &&
           !strcmp(receipt->driver, entry->key.driver) &&
           !strcmp(receipt->family_hash, family_at(entry->config.family)->source_hash);
}

bool cache_read_own(struct cache *cache, const char *hash, struct cache_entry *out)
{
    return cache->user && read_entry(cache, CACHE_USER, hash, NULL, out) == ANSWER_ENTRY;
}

bool cache_find(struct cache *cache, const struct cache_key *key, struct cache_entry *out, enum cache_level *level)
{
    bool found = memory_find(cache, key, out);
    *level = CACHE_MEMORY;
    char hash[HASH_HEX_SIZE];
    cache_key_hash(key, hash);
    /* A stale entry answers only if no level has a current one. */
    for (int at = CACHE_USER; at < CACHE_LEVELS && (!found || out->stale); at++) {
        struct cache_entry entry;
        if (!cache->entries[at] || read_entry(cache, at, hash, NULL, &entry) != ANSWER_ENTRY ||
            !cache_key_equal(&entry.key, key) || (found && entry.stale))
            continue;
        *out = entry;
        *level = (enum cache_level)at;
        found = true;
        /* What another process may yet better, by tuning or by a receipt, is read again next time. */
        if (cache_receipt_holds(&entry) && !entry.stale)
            memory_put(cache, &entry);
    }
    return found;
}

bool is_entry_name(const char *name)
{
    return strspn(name, "0123456789abcdef") == HASH_DIGITS && !strcmp(name + HASH_DIGITS, ".json");
}

static int is_entry(const struct dirent *file)
{
    return is_entry_name(file->d_name);
}

/* alphasort goes by the locale. */
static int by_name(const struct dirent **a, const struct dirent **b)
{
    return strcmp((*a)->d_name, (*b)->d_name);
}

/* Entries of a level's folder in the order of their names, less those that are not like `like` (NULL: all). False when
 * the visitor stopped. */
static bool visit_level(struct cache *cache, int level, const struct cache_key *like, cache_visitor visitor, void *priv,
                        size_t *unreadable)
{
    const char *folder = cache->entries[level];
    struct dirent **files;
    int count = scandir(folder, &files, is_entry, by_name);
    if (count < 0) {
        if (errno != ENOENT && errno != ENOTDIR) {
            set_error(ATTUNE_ERROR_IO, "cannot open %s: %s", folder, strerror(errno));
            log_once(cache, ATTUNE_LOG_WARNING);
        }
        return true;
    }
    bool go_on = true;
    for (int i = 0; i < count; i++) {
        struct cache_entry entry;
        char hash[HASH_HEX_SIZE] = {0};
        memcpy(hash, files[i]->d_name, HASH_DIGITS);
        enum answer answer = go_on ? read_entry(cache, level, hash, like, &entry) : ANSWER_NONE;
        if (answer == ANSWER_ENTRY) {
            char *path = join(folder, files[i]->d_name);
            go_on = visitor(priv, &entry, (enum cache_level)level, hash, path ? path : "");
            free(path);
        } else if (answer == ANSWER_BAD)
            ++*unreadable;
        free(files[i]);
    }
    free(files);
    return go_on;
}

static void visit(struct cache *cache, const struct cache_key *like, cache_visitor visitor, void *priv,
                  size_t *unreadable)
{
    size_t bad = 0;
    bool go_on = true;
    for (int level = CACHE_USER; level < CACHE_LEVELS && go_on; level++)
        if (cache->entries[level])
            go_on = visit_level(cache, level, like, visitor, priv, &bad);
    if (unreadable)
        *unreadable = bad;
}

void cache_visit(struct cache *cache, cache_visitor visitor, void *priv, size_t *unreadable)
{
    visit(cache, NULL, visitor, priv, unreadable);
}

/* ---- nearest shape */

struct nearest {
    const struct cache_key *key;
    struct cache_entry *entry;
    enum cache_level level;
    bool found;
    double distance;
};

static double distance(const struct cache_key *a, const struct cache_key *b)
{
    double kv = (double)a->log2_kv - b->log2_kv, heads = (double)a->log2_heads - b->log2_heads;
    return kv * kv + heads * heads;
}

/* Ties: the shorter kv_len, then the smaller hash; of equal keys the first met. */
static bool is_nearer(const struct nearest *nearest, const struct cache_key *key, double away)
{
    if (!nearest->found || away != nearest->distance)
        return !nearest->found || away < nearest->distance;
    if (key->log2_kv != nearest->entry->key.log2_kv)
        return key->log2_kv < nearest->entry->key.log2_kv;
    char hash[HASH_HEX_SIZE], other[HASH_HEX_SIZE];
    cache_key_hash(key, hash);
    cache_key_hash(&nearest->entry->key, other);
    return strcmp(hash, other) < 0;
}

static bool consider(void *priv, const struct cache_entry *entry, enum cache_level level, const char *hash,
                     const char *path)
{
    (void)hash;
    (void)path;
    struct nearest *nearest = priv;
    struct cache_key same_shape = entry->key;
    same_shape.log2_kv = nearest->key->log2_kv;
    same_shape.log2_heads = nearest->key->log2_heads;
    if (entry->stale || !cache_receipt_holds(entry) || !cache_key_equal(&same_shape, nearest->key))
        return true;
    double away = distance(&entry->key, nearest->key);
    if (is_nearer(nearest, &entry->key, away)) {
        *nearest->entry = *entry;
        nearest->level = level;
        nearest->distance = away;
        nearest->found = true;
    }
    return true;
}

bool cache_find_nearest(struct cache *cache, const struct cache_key *key, struct cache_entry *out,
                        enum cache_level *level)
{
    struct nearest nearest = {.key = key, .entry = out};
    struct cache_entry entry;
    for (size_t i = 0; memory_at(cache, i, &entry); i++)
        consider(&nearest, &entry, CACHE_MEMORY, NULL, NULL);
    visit(cache, key, consider, &nearest, NULL);
    *level = nearest.level;
    return nearest.found;
}

/* ---- writing */

static attune_status write_entry(const char *folder, const struct cache_key *key, const char *text, char *path,
                                 size_t path_size)
{
    char hash[HASH_HEX_SIZE], name[NAME_SIZE];
    cache_key_hash(key, hash);
    snprintf(name, sizeof name, "%s.json", hash);
    attune_status status = file_replace(folder, name, text, strlen(text));
    if (status || !path)
        return status;
    int length = snprintf(path, path_size, "%s/%s", folder, name);
    if (length < 0 || (size_t)length >= path_size)
        path[0] = '\0';
    return ATTUNE_OK;
}

attune_status cache_store(struct cache *cache, const struct cache_entry *entry, char *path, size_t path_size)
{
    if (path)
        path[0] = '\0';
    char *text;
    attune_status status = cache_entry_format(entry, &text);
    if (status)
        return status;
    struct cache_entry kept = *entry;
    kept.stale = cache_entry_stale(entry);
    status = memory_put(cache, &kept);
    if (cache->entries[CACHE_USER]) {
        attune_status written = write_entry(cache->entries[CACHE_USER], &entry->key, text, path, path_size);
        status = written ? written : status;
    }
    free(text);
    return status;
}
