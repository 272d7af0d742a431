/* SPDX-License-Identifier: Apache-2.0
 * attune_cache_forget: entries of the user's cache, with what they left in the portfolios. */
#include <stdlib.h>
#include <string.h>

#include "answer.h"
#include "desc.h"
#include "portfolio.h"

/* One that cannot be read has no row that is known. */
static attune_status forget_entry(struct cache *cache, const char *hash)
{
    struct cache_entry entry;
    attune_status status = cache_read_own(cache, hash, &entry) ? portfolio_forget(cache, &entry.key) : ATTUNE_OK;
    return status == ATTUNE_OK ? cache_remove(cache, hash) : status;
}

struct others {
    const char *prefix;
    bool found;
};

static bool look_for(void *priv, const struct cache_entry *entry, enum cache_level level, const char *hash,
                     const char *path)
{
    struct others *others = priv;
    (void)entry, (void)path;
    others->found |= level > CACHE_USER && !strncmp(hash, others->prefix, strlen(others->prefix));
    return true;
}

static attune_status none_of(struct cache *cache, const char *key)
{
    struct others others = {key, false};
    cache_visit(cache, look_for, &others, NULL);
    return set_error(ATTUNE_ERROR_NOT_TUNED, "no entry of the user's cache has the key %s%s", key,
                     others.found ? "; those of site and shipped caches are only read" : "");
}

static attune_status forget_key(struct cache *cache, const char *key)
{
    char(*hashes)[HASH_HEX_SIZE];
    size_t count;
    attune_status status = cache_own_hashes(cache, key, &hashes, &count);
    if (status == ATTUNE_OK && count > 1)
        status = set_error(ATTUNE_ERROR_NOT_TUNED, "%zu entries begin with %s", count, key);
    else if (status == ATTUNE_OK)
        status = count ? forget_entry(cache, hashes[0]) : none_of(cache, key);
    free(hashes);
    return status;
}

attune_status attune_cache_forget(const attune_target_options *options, const char *key, size_t *count)
{
    struct cache *cache;
    struct cache_places places;
    size_t removed = 1;
    attune_status status = options ? struct_check(options, sizeof *options, "options") : ATTUNE_OK;
    if (status != ATTUNE_OK)
        return status;
    if (key && (strlen(key) < 4 || strlen(key) >= HASH_HEX_SIZE || strspn(key, "0123456789abcdef") != strlen(key)))
        return set_error(ATTUNE_ERROR_SYNTAX, "key is \"%.40s\"; it must be 4 to 32 hex digits", key);
    if ((status = target_open_cache(options, &places, &cache)) != ATTUNE_OK)
        return status;
    status = key ? forget_key(cache, key) : cache_remove_all(cache, &removed);
    cache_sweep(cache);
    cache_close(&cache);
    if (status == ATTUNE_OK && count)
        *count = removed;
    return status;
}

attune_status attune_cache_forget_problem(attune_target *target, const attune_problem *problem)
{
    if (!target || !problem)
        return set_error(ATTUNE_ERROR_NULL_ARGUMENT, "%s is NULL", target ? "problem" : "target");
    struct cache_key key;
    char hash[HASH_HEX_SIZE];
    attune_status status = attune_problem_supported(problem);
    if (status == ATTUNE_OK)
        status = target_key(target, problem, &key);
    if (status != ATTUNE_OK)
        return status;
    cache_key_hash(&key, hash);
    return forget_key(target->cache, hash);
}
