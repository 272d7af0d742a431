/* SPDX-License-Identifier: Apache-2.0 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "answer.h"
#include "desc.h"
#include "portfolio.h"

struct kernel_facts target_facts(const struct attune_target *target, const attune_problem *problem)
{
    return problem_facts(&problem->desc, problem->page_size, &target->choice);
}

attune_status target_key(struct attune_target *target, const attune_problem *problem, struct cache_key *key)
{
    char layout[sizeof key->layout];
    attune_status status = target_layout_id(target, problem, layout, sizeof layout);
    memset(key, 0, sizeof *key);
    select_device_key(&target->choice, key);
    struct shape_bucket bucket = shape_bucket_of(&problem->desc, problem->batch, problem->q_len, problem->kv_len);
    select_problem_key(&problem->desc, layout, bucket, key);
    return status;
}

attune_status target_answer(struct attune_target *target, const attune_problem *problem, struct cache_key *key,
                            struct selection *answer)
{
    struct kernel_facts facts = target_facts(target, problem);
    attune_status status = target_key(target, problem, key);
    if (status != ATTUNE_OK)
        return status;
    struct portfolio portfolio;
    struct aside aside;
    aside_find(target->cache, key, &aside);
    portfolio_find_valid(target->cache, key, &target->choice.limits, &facts, &aside, &portfolio);
    return select_config(target->cache, key, &portfolio, &aside, target->choice.backend, &target->choice.limits, &facts,
                         answer);
}

/* ---- attune_cache_* */

static attune_status open_for(const attune_target_options *options, struct cache **cache)
{
    struct cache_places places;
    attune_status status = options ? struct_check(options, sizeof *options, "options") : ATTUNE_OK;
    if (status == ATTUNE_OK)
        status = target_open_cache(options, &places, cache);
    if (status == ATTUNE_OK &&
        (status = cache_check_user(options ? options->cache_dir : NULL, places.user, false)) != ATTUNE_OK)
        cache_close(cache);
    return status;
}

struct listing {
    struct cache *cache;
    attune_cache_callback callback;
    void *priv;
};

static bool has_receipt(const struct cache_entry *entry)
{
    return !entry->stale && cache_receipt_holds(entry);
}

static bool list_entry(void *priv, const struct cache_entry *entry, enum cache_level level, const char *hash,
                       const char *path)
{
    const struct listing *listing = priv;
    char config[ATTUNE_CONFIG_TEXT_MAX];
    kernel_config_format(&entry->config, config, sizeof config);
    struct aside aside;
    aside_find(listing->cache, &entry->key, &aside);
    const char *failure = aside_why(&aside, &entry->config);
    attune_cache_entry_info info = {.key = hash,
                                    .level = cache_level_name(level),
                                    .device = entry->key.device_name,
                                    .backend = entry->key.backend,
                                    .simulated = entry->key.simulated,
                                    .workload = entry->workload,
                                    .config = config,
                                    .path = path,
                                    .time_ms = entry->time_ms,
                                    .default_ms = entry->default_ms,
                                    .gain = entry->gain,
                                    .verified = has_receipt(entry),
                                    .set_aside = failure ? failure : "",
                                    .tests = entry->depth.tests,
                                    .exhausted = entry->depth.exhausted,
                                    .tuned = cache_entry_is_tuned(entry)};
    return listing->callback(listing->priv, &info) == 0;
}

attune_status attune_cache_list(const attune_target_options *options, attune_cache_callback callback, void *priv,
                                size_t *unreadable)
{
    if (!callback)
        return set_error(ATTUNE_ERROR_NULL_ARGUMENT, "callback is NULL");
    struct cache *cache;
    attune_status status = open_for(options, &cache);
    if (status != ATTUNE_OK)
        return status;
    struct listing listing = {cache, callback, priv};
    size_t bad = 0;
    cache_visit(cache, list_entry, &listing, &bad);
    if (unreadable)
        *unreadable = bad;
    cache_close(&cache);
    return ATTUNE_OK;
}

struct lookup {
    const char *prefix;
    char hash[HASH_HEX_SIZE];
    struct cache_entry entry;
    int found;
};

static bool match_entry(void *priv, const struct cache_entry *entry, enum cache_level level, const char *hash,
                        const char *path)
{
    struct lookup *lookup = priv;
    (void)level, (void)path;
    if (strncmp(hash, lookup->prefix, strlen(lookup->prefix)))
        return true;
    /* The same key on a lower level is the same entry's shadow. */
    if (lookup->found && !strcmp(hash, lookup->hash))
        return true;
    if (!lookup->found++) {
        lookup->entry = *entry;
        copy_string(lookup->hash, sizeof lookup->hash, hash);
    }
    return true;
}

attune_status attune_cache_show(const attune_target_options *options, const char *key, char **text)
{
    if (!key || !text)
        return set_error(ATTUNE_ERROR_NULL_ARGUMENT, "%s is NULL", key ? "text" : "key");
    *text = NULL;
    if (strlen(key) < 4 || strlen(key) >= HASH_HEX_SIZE || strspn(key, "0123456789abcdef") != strlen(key))
        return set_error(ATTUNE_ERROR_SYNTAX, "key is \"%.40s\"; it must be 4 to 32 hex digits", key);
    struct cache *cache;
    attune_status status = open_for(options, &cache);
    if (status != ATTUNE_OK)
        return status;
    struct lookup lookup = {.prefix = key};
    char refused[640];
    cache_visit(cache, match_entry, &lookup, NULL);
    cache_refused(cache, refused, sizeof refused);
    cache_close(&cache);
    if (lookup.found > 1)
        return set_error(ATTUNE_ERROR_NOT_TUNED, "%d entries begin with %s", lookup.found, key);
    if (!lookup.found)
        return set_error(ATTUNE_ERROR_NOT_TUNED, "no entry has the key %s%s%s", key, refused[0] ? "; " : "", refused);
    *text = cache_entry_to_json(&lookup.entry);
    return *text ? ATTUNE_OK : set_error(ATTUNE_ERROR_OUT_OF_MEMORY, "out of memory for an entry's text");
}

static void explain_range(struct strbuf *out, const char *name, const int64_t range[2])
{
    strbuf_printf(out, "%s %" PRId64, name, range[0]);
    if (range[1] > range[0])
        strbuf_printf(out, "-%" PRId64, range[1]);
}

/* What is known of each configuration on the shape. */
static void explain_row(const struct portfolio *portfolio, const struct portfolio_row *row, bool own,
                        struct strbuf *out)
{
    struct shape_ranges ranges = shape_bucket_ranges(row->bucket);
    int32_t best = portfolio_best(portfolio, row);
    strbuf_printf(out, "\n%s ", own ? " *" : "  ");
    explain_range(out, "q_len", ranges.q_len);
    explain_range(out, ", kv_len", ranges.kv_len);
    explain_range(out, ", sequences x KV heads", ranges.heads);
    if (best < 0)
        return;
    strbuf_printf(out, ": [%d] %.4g ms", best, row->time_ms[best]);
    for (int32_t i = 0; i < portfolio->num_configs; i++)
        if (i != best && row->time_ms[i] > 0)
            strbuf_printf(out, ", [%d] +%.1f%%", i, 100 * portfolio_regret(portfolio, row, i));
}

/* The portfolio of the descriptor, from which plans choose: * is the problem's own shape. */
static void explain_portfolio(struct cache *cache, const struct cache_key *key, struct strbuf *out)
{
    struct portfolio portfolio;
    struct aside aside;
    const struct shape_bucket bucket = {key->q_class, key->log2_kv, key->log2_heads};
    if (!portfolio_find(cache, key, &portfolio))
        return;
    strbuf_printf(out, "\nportfolio of the descriptor: %d configuration%s on %d shape%s (* this one)",
                  portfolio.num_configs, portfolio.num_configs == 1 ? "" : "s", portfolio.num_rows,
                  portfolio.num_rows == 1 ? "" : "s");
    aside_find(cache, key, &aside);
    for (int32_t i = 0; i < portfolio.num_configs; i++) {
        char text[ATTUNE_CONFIG_TEXT_MAX];
        const char *failure = aside_why(&aside, &portfolio.configs[i]);
        kernel_config_format(&portfolio.configs[i], text, sizeof text);
        strbuf_printf(out, "\n  [%d] %s", i, text);
        if (failure)
            strbuf_printf(out, " (set aside, it did not compile here: %s)", failure);
    }
    for (int32_t i = 0; i < portfolio.num_rows; i++)
        explain_row(&portfolio, &portfolio.rows[i], shape_bucket_equal(portfolio.rows[i].bucket, bucket), out);
}

attune_status attune_cache_explain(attune_target *target, const attune_problem *problem, char **text)
{
    if (!target || !problem || !text)
        return set_error(ATTUNE_ERROR_NULL_ARGUMENT, "%s is NULL", !target ? "target" : !problem ? "problem" : "text");
    *text = NULL;
    attune_status status = attune_problem_supported(problem);
    struct cache_key key;
    struct selection answer;
    if (status == ATTUNE_OK)
        status = target_answer(target, problem, &key, &answer);
    if (status != ATTUNE_OK)
        return status;
    char hash[HASH_HEX_SIZE], config[ATTUNE_CONFIG_TEXT_MAX];
    cache_key_hash(&key, hash);
    kernel_config_format(&answer.config, config, sizeof config);
    struct strbuf out = {0};
    strbuf_printf(&out, "%s: %s\n%s\nkey %s", answer.source, config, answer.why, hash);
    char refused[640];
    cache_refused(target->cache, refused, sizeof refused);
    if (refused[0])
        strbuf_printf(&out, "\n%s", refused);
    explain_portfolio(target->cache, &key, &out);
    *text = strbuf_take(&out);
    return *text ? ATTUNE_OK : set_error(ATTUNE_ERROR_OUT_OF_MEMORY, "out of memory for an explanation");
}
