/* SPDX-License-Identifier: Apache-2.0 */
#include "cache/probes.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cache/entry.h"
#include "cache/fields.h"
#include "cache/files.h"
#include "cache/sealed.h"

#define NAME_SIZE (HASH_HEX_SIZE + 5) /* HASH.json */
#define ALL_FEATURES (FEATURE_FP16 | FEATURE_SUB_GROUPS | FEATURE_DOT8 | FEATURE_BF16_DOT | FEATURE_F16C)
#define COUNT(x) (sizeof(x) / sizeof *(x))

static const struct field facts_fields[] = {
    {"features", FIELD_INT32, offsetof(struct probe_facts, features), 0, 0, ALL_FEATURES},
    {"half_load", FIELD_INT32, offsetof(struct probe_facts, half_load), 0, HALF_LOAD_INTEGER, HALF_LOAD_F16C},
    {"max_work_group_size", FIELD_INT64, offsetof(struct probe_facts, max_work_group_size), 0, 0, INT32_MAX},
};

static const char *const no_others[] = {NULL};

static void file_name(const struct cache_key *key, char name[NAME_SIZE])
{
    struct cache_key device;
    char hash[HASH_HEX_SIZE];
    cache_key_device(key, &device);
    cache_key_hash(&device, hash);
    snprintf(name, NAME_SIZE, "%s.json", hash);
}

static attune_status format(const struct cache_key *key, const struct probe_facts *facts, char **text)
{
    json_t *root = json_object(), *device = json_object(), *shown = json_object();
    size_t count;
    const struct field *fields = cache_key_device_fields(&count);
    *text = NULL;
    bool set = !json_object_set_new(root, "device", device);
    set = !json_object_set_new(root, "facts", shown) && set;
    attune_status status = set ? ATTUNE_OK : set_error(ATTUNE_ERROR_OUT_OF_MEMORY, "probe file");
    if (!status)
        status = fields_to_json(fields, count, "device.", key, device);
    if (!status)
        status = fields_to_json(facts_fields, COUNT(facts_fields), "facts.", facts, shown);
    if (!status)
        status = sealed_format(root, PROBE_SCHEMA, PROBE_FILE_MAX, text);
    json_decref(root);
    return status;
}

static attune_status members_from_json(const json_t *root, struct cache_key *key, struct probe_facts *out)
{
    const json_t *device = json_object_get(root, "device"), *shown = json_object_get(root, "facts");
    if (!json_is_object(device) || !json_is_object(shown) || json_object_size(root) != 3)
        return field_error("", "device, facts and schema", "are not all there is");
    size_t count;
    const struct field *fields = cache_key_device_fields(&count);
    attune_status status = fields_from_json(fields, count, "device.", no_others, device, key);
    return status ? status : fields_from_json(facts_fields, COUNT(facts_fields), "facts.", no_others, shown, out);
}

/* The file's text must be the one that is written for its content and this device. */
static attune_status parse(const char *text, size_t size, const struct cache_key *wanted, struct probe_facts *out)
{
    struct cache_key key = {{0}}, device;
    json_t *root;
    attune_status status = sealed_parse(text, size, PROBE_SCHEMA, PROBE_FILE_MAX, &root);
    if (!status)
        status = members_from_json(root, &key, out);
    json_decref(root);
    cache_key_device(wanted, &device);
    if (!status && !cache_key_equal(&key, &device))
        status = set_error(ATTUNE_ERROR_SYNTAX, "it is of another device");
    char *expected = NULL;
    if (!status)
        status = format(&key, out, &expected);
    if (!status && (strlen(expected) != size || memcmp(expected, text, size)))
        status = set_error(ATTUNE_ERROR_SYNTAX, "not in the form in which probe files are written");
    free(expected);
    return status ? quote_safely(status) : ATTUNE_OK;
}

static bool read_level(struct cache *cache, int level, const char *name, const struct cache_key *key,
                       struct probe_facts *out)
{
    char *text;
    size_t size;
    const char *folder = cache->probes[level];
    attune_status status =
        file_read(folder, name, level == CACHE_USER ? FILE_OF_USER : FILE_OF_SITE, PROBE_FILE_MAX, &text, &size);
    if (!status && !text)
        return false;
    if (!status && (status = parse(text, size, key, out)))
        set_error(status, "%s/%s: %s", folder, name, attune_last_error());
    free(text);
    if (!status)
        return true;
    log_once(cache, status == ATTUNE_ERROR_UNSUPPORTED ? ATTUNE_LOG_INFO : ATTUNE_LOG_WARNING);
    return false;
}

bool cache_probe_find(struct cache *cache, const struct cache_key *key, struct probe_facts *out)
{
    char name[NAME_SIZE];
    file_name(key, name);
    for (int level = CACHE_USER; level < CACHE_LEVELS; level++) {
        struct probe_facts facts = {0};
        if (!cache->probes[level] || !read_level(cache, level, name, key, &facts))
            continue;
        *out = facts;
        return true;
    }
    return false;
}

attune_status cache_probe_store(struct cache *cache, const struct cache_key *key, const struct probe_facts *facts)
{
    char name[NAME_SIZE], *text;
    attune_status status = format(key, facts, &text);
    if (status)
        return status;
    file_name(key, name);
    if (cache->probes[CACHE_USER])
        status = file_replace(cache->probes[CACHE_USER], name, text, strlen(text));
    free(text);
    return status;
}
