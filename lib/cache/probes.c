/* SPDX-License-Identifier: Apache-2.0 */
#include "cache/probes.h"

#include <string.h>

#include "cache/fields.h"
#include "cache/record.h"

#define KIND "probe"
#define ALL_FEATURES                                                                                              \
    (FEATURE_FP16 | FEATURE_SUB_GROUPS | FEATURE_DOT8 | FEATURE_BF16_DOT | FEATURE_F16C | FEATURE_BF16_DOT_FAST | \
     FEATURE_OPAQUE_LOOPS)
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

static json_t *key_of(const struct cache_key *key)
{
    json_t *object = json_object();
    if (object && cache_key_part_to_json(key, KEY_DEVICE, object) == ATTUNE_OK)
        return object;
    json_decref(object);
    return NULL;
}

/* ---- writing */

static attune_status readings_to_json(const struct probe_record *record, json_t *list)
{
    attune_status status = ATTUNE_OK;
    for (int32_t i = 0; i < record->num_readings && !status; i++) {
        json_t *object = json_object();
        if (json_array_append_new(list, object))
            return set_error(ATTUNE_ERROR_OUT_OF_MEMORY, "what a probe showed");
        status = fields_to_json(reading_fields, COUNT(reading_fields), "readings.", &record->readings[i], object);
    }
    return status;
}

attune_status cache_probe_store(struct cache *cache, const struct cache_key *key, const struct probe_record *record)
{
    json_t *device = key_of(key), *content = json_object(), *facts = json_object(), *readings = json_array();
    /* Sets steal the references, even when they fail. */
    bool set = !json_object_set_new(content, "facts", facts);
    set = !json_object_set_new(content, "readings", readings) && set;
    attune_status status = set && device ? ATTUNE_OK : set_error(ATTUNE_ERROR_OUT_OF_MEMORY, "what a probe showed");
    if (!status)
        status = fields_to_json(facts_fields, COUNT(facts_fields), "facts.", &record->facts, facts);
    if (!status)
        status = readings_to_json(record, readings);
    if (!status)
        status = record_store(cache, KIND, device, content, NULL, 0);
    json_decref(content);
    json_decref(device);
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

static attune_status read_content(void *priv, const json_t *content)
{
    struct probe_record *out = priv;
    const json_t *facts = json_object_get(content, "facts"), *readings = json_object_get(content, "readings");
    memset(out, 0, sizeof *out);
    if (!json_is_object(facts) || !json_is_array(readings) || json_object_size(content) != 2)
        return field_error("", "facts and readings", "are not all there is");
    attune_status status = fields_from_json(facts_fields, COUNT(facts_fields), "facts.", no_others, facts, &out->facts);
    return status ? status : readings_from_json(readings, out);
}

bool cache_probe_find(struct cache *cache, const struct cache_key *key, struct probe_record *out)
{
    enum cache_level level = CACHE_SHIPPED;
    json_t *device = key_of(key);
    bool found = device && record_find(cache, KIND, device, read_content, out, &level) && level != CACHE_SHIPPED;
    if (!found)
        memset(out, 0, sizeof *out);
    json_decref(device);
    return found;
}
