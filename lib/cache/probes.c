/* SPDX-License-Identifier: Apache-2.0 */
#include "cache/probes.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cache/entry.h"
#include "cache/files.h"
#include "cache/sealed.h"

#define NAME_SIZE (HASH_HEX_SIZE + 5) /* HASH.json */
#define ALL_FEATURES (FEATURE_FP16 | FEATURE_SUB_GROUPS | FEATURE_DOT8 | FEATURE_BF16_DOT | FEATURE_F16C)
#define COUNT(x) (sizeof(x) / sizeof *(x))
#define TEXT(name) \
#name, FIELD_STRING, offsetof(attune_probe_reading, name), sizeof((attune_probe_reading *)0)->name, 0, 0

static const struct field facts_fields[] = {
    {"features", FIELD_INT32, offsetof(struct probe_facts, features), 0, 0, ALL_FEATURES},
    {"half_load", FIELD_INT32, offsetof(struct probe_facts, half_load), 0, HALF_LOAD_INTEGER, HALF_LOAD_F16C},
    {"max_work_group_size", FIELD_INT64, offsetof(struct probe_facts, max_work_group_size), 0, 0, INT32_MAX},
};

static const struct field reading_fields[] = {
    {TEXT(name)},
    {"value", FIELD_DOUBLE, offsetof(attune_probe_reading, value), 0, 0, 0},
    {TEXT(unit)},
    {TEXT(note)},
};

static const char *const no_others[] = {NULL};

double probe_reading(const struct probe_record *record, const char *name)
{
    for (int32_t i = 0; i < record->num_readings; i++)
        if (!strcmp(record->readings[i].name, name))
            return record->readings[i].value;
    return 0;
}

static void file_name(const struct cache_key *key, char name[NAME_SIZE])
{
    struct cache_key device;
    char hash[HASH_HEX_SIZE];
    cache_key_device(key, &device);
    cache_key_hash(&device, hash);
    snprintf(name, NAME_SIZE, "%s.json", hash);
}

/* ---- writing */

static attune_status readings_to_json(const struct probe_record *record, json_t *list)
{
    attune_status status = ATTUNE_OK;
    for (int32_t i = 0; i < record->num_readings && !status; i++) {
        json_t *object = json_object();
        if (json_array_append_new(list, object))
            return set_error(ATTUNE_ERROR_OUT_OF_MEMORY, "probe file");
        status = fields_to_json(reading_fields, COUNT(reading_fields), "readings.", &record->readings[i], object);
    }
    return status;
}

static attune_status format(const struct cache_key *key, const struct probe_record *record, char **text)
{
    json_t *root = json_object(), *device = json_object(), *facts = json_object(), *readings = json_array();
    size_t count;
    const struct field *fields = cache_key_device_fields(&count);
    *text = NULL;
    bool set = !json_object_set_new(root, "device", device);
    set = !json_object_set_new(root, "facts", facts) && set;
    set = !json_object_set_new(root, "readings", readings) && set;
    attune_status status = set ? ATTUNE_OK : set_error(ATTUNE_ERROR_OUT_OF_MEMORY, "probe file");
    if (!status)
        status = fields_to_json(fields, count, "device.", key, device);
    if (!status)
        status = fields_to_json(facts_fields, COUNT(facts_fields), "facts.", &record->facts, facts);
    if (!status)
        status = readings_to_json(record, readings);
    if (!status)
        status = sealed_format(root, PROBE_SCHEMA, PROBE_FILE_MAX, text);
    json_decref(root);
    return status;
}

attune_status cache_probe_store(struct cache *cache, const struct cache_key *key, const struct probe_record *record)
{
    char name[NAME_SIZE], *text;
    attune_status status = format(key, record, &text);
    if (status)
        return status;
    file_name(key, name);
    if (cache->probes[CACHE_USER])
        status = file_replace(cache->probes[CACHE_USER], name, text, strlen(text));
    free(text);
    return status;
}

/* ---- reading */

static attune_status readings_from_json(const json_t *list, struct probe_record *out)
{
    if (json_array_size(list) > ATTUNE_PROBE_MAX_READINGS)
        return field_error("", "readings", "has too many members");
    attune_status status = ATTUNE_OK;
    for (size_t i = 0; i < json_array_size(list) && !status; i++) {
        const json_t *object = json_array_get(list, i);
        status = json_is_object(object) ? fields_from_json(reading_fields, COUNT(reading_fields), "readings.",
                                                           no_others, object, &out->readings[out->num_readings++])
                                        : field_error("", "readings", "has a member that is not an object");
    }
    return status;
}

static attune_status members_from_json(const json_t *root, struct cache_key *key, struct probe_record *out)
{
    const json_t *device = json_object_get(root, "device"), *facts = json_object_get(root, "facts"),
                 *readings = json_object_get(root, "readings");
    if (!json_is_object(device) || !json_is_object(facts) || !json_is_array(readings) || json_object_size(root) != 4)
        return field_error("", "device, facts, readings and schema", "are not all there is");
    size_t count;
    const struct field *fields = cache_key_device_fields(&count);
    attune_status status = fields_from_json(fields, count, "device.", no_others, device, key);
    if (!status)
        status = fields_from_json(facts_fields, COUNT(facts_fields), "facts.", no_others, facts, &out->facts);
    return status ? status : readings_from_json(readings, out);
}

/* The file's text must be the one that is written for its content and this device. */
static attune_status parse(const char *text, size_t size, const struct cache_key *wanted, struct probe_record *out)
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

enum answer { ANSWER_NONE, ANSWER_RECORD, ANSWER_BAD };

static enum answer read_level(struct cache *cache, int level, const char *name, const struct cache_key *key,
                              struct probe_record *out)
{
    char *text;
    size_t size;
    const char *folder = cache->probes[level];
    memset(out, 0, sizeof *out);
    attune_status status =
        file_read(folder, name, level == CACHE_USER ? FILE_OF_USER : FILE_OF_SITE, PROBE_FILE_MAX, &text, &size);
    if (!status && !text)
        return ANSWER_NONE;
    if (!status && (status = parse(text, size, key, out)))
        set_error(status, "%s/%s: %s", folder, name, attune_last_error());
    free(text);
    if (!status)
        return ANSWER_RECORD;
    log_once(cache, status == ATTUNE_ERROR_UNSUPPORTED ? ATTUNE_LOG_INFO : ATTUNE_LOG_WARNING);
    return ANSWER_BAD;
}

bool cache_probe_find(struct cache *cache, const struct cache_key *key, struct probe_record *out, size_t *unreadable)
{
    char name[NAME_SIZE];
    enum answer answer = ANSWER_NONE;
    size_t bad = 0;
    file_name(key, name);
    for (int level = CACHE_USER; level < CACHE_LEVELS && answer != ANSWER_RECORD; level++) {
        answer = cache->probes[level] ? read_level(cache, level, name, key, out) : ANSWER_NONE;
        bad += answer == ANSWER_BAD;
    }
    if (unreadable)
        *unreadable = bad;
    return answer == ANSWER_RECORD;
}
