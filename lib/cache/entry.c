/* SPDX-License-Identifier: Apache-2.0
 *
 * An entry as JSON: sorted members, one form per entry, a checksum over all of it. The members are the fields of the
 * tables below; none may be missing, and no others may be there.
 */
#include "cache/entry.h"
#include "cache/fields.h"
#include "cache/record.h"
#include "cache/sealed.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Members of a struct field. */
#define STRING(type, name) #name, FIELD_STRING, offsetof(struct type, name), sizeof((struct type *)0)->name, 0, 0
#define INT32(type, name, low, high) #name, FIELD_INT32, offsetof(struct type, name), 0, low, high
#define DOUBLE(name) #name, FIELD_DOUBLE, offsetof(struct cache_entry, name), 0, 0, 0
#define COUNT(x) (sizeof(x) / sizeof *(x))

static const struct field key_fields[] = {
    {STRING(cache_key, device_name)},
    {STRING(cache_key, device_vendor)},
    {INT32(cache_key, compute_units, 0, INT32_MAX)},
    {"local_mem_bytes", FIELD_INT64, offsetof(struct cache_key, local_mem_bytes), 0, 0, INT64_MAX},
    {STRING(cache_key, cpu_model)},
    {STRING(cache_key, driver)},
    {STRING(cache_key, backend)},
    {STRING(cache_key, simulated)},
    {INT32(cache_key, operation, ATTUNE_PREFILL, ATTUNE_DECODE)},
    {INT32(cache_key, q_dtype, ATTUNE_FP32, ATTUNE_BF16)},
    {INT32(cache_key, kv_dtype, ATTUNE_FP32, ATTUNE_BF16)},
    {INT32(cache_key, o_dtype, ATTUNE_FP32, ATTUNE_BF16)},
    {INT32(cache_key, precision, ATTUNE_STRICT, ATTUNE_FAST)},
    {INT32(cache_key, head_dim_qk, 1, 576)},
    {INT32(cache_key, head_dim_vo, 1, 576)},
    {INT32(cache_key, group_size, 1, 1024)},
    {INT32(cache_key, mask, ATTUNE_MASK_NONE, 255)},
    {STRING(cache_key, layout)},
    {INT32(cache_key, q_class, 0, 3)},
    {INT32(cache_key, log2_kv, -1, 62)},
    {INT32(cache_key, log2_heads, -1, 62)},
};

/* The tables' parts: device, problem, shape. */
#define DEVICE_FIELDS 8
#define SHAPE_FIELDS 3

static const struct field receipt_fields[] = {
    {INT32(cache_receipt, valid, 0, 1)},  {STRING(cache_receipt, device_name)}, {STRING(cache_receipt, driver)},
    {STRING(cache_receipt, family_hash)}, {STRING(cache_receipt, checks)},
};

static const struct field entry_fields[] = {
    {STRING(cache_entry, family_hash)},
    {STRING(cache_entry, space_hash)},
    {STRING(cache_entry, workload)},
    {DOUBLE(q_len)},
    {DOUBLE(kv_len)},
    {DOUBLE(batch)},
    {DOUBLE(time_ms)},
    {DOUBLE(mad_ms)},
    {INT32(cache_entry, samples, 0, INT32_MAX)},
    {DOUBLE(default_ms)},
    {DOUBLE(gain)},
    {DOUBLE(gain_low)},
    {DOUBLE(gain_high)},
    {STRING(cache_entry, tool_version)},
    {"seed", FIELD_UINT64, offsetof(struct cache_entry, seed), 0, 0, 0},
    {STRING(cache_entry, journal)},
};

/* In entries of CACHE_SCHEMA_DEPTH; those before have none of them. */
static const struct field depth_fields[] = {
    {"tests", FIELD_INT32, offsetof(struct cache_depth, tests), 0, 0, INT32_MAX},
    {"exhausted", FIELD_INT32, offsetof(struct cache_depth, exhausted), 0, 0, 1},
    {"budget_tests", FIELD_INT32, offsetof(struct cache_depth, budget_tests), 0, 0, INT32_MAX},
    {"budget_seconds", FIELD_DOUBLE, offsetof(struct cache_depth, budget_seconds), 0, 0, 0},
};

static const char *const entry_others[] = {"schema", "checksum", "key", "config", "receipt", "depth", NULL};
static const char *const no_others[] = {NULL};

/* ---- keys */

void cache_key_hash(const struct cache_key *key, char hex[HASH_HEX_SIZE])
{
    /* Names and values, each ended by a NUL: the same on every machine. */
    char text[sizeof *key + COUNT(key_fields) * 48] = {0};
    size_t length = 1 + (size_t)snprintf(text, sizeof text, "schema=%d", CACHE_SCHEMA);
    for (size_t i = 0; i < COUNT(key_fields); i++) {
        const struct field *field = &key_fields[i];
        char *at = text + length;
        size_t room = sizeof text - length;
        if (field->type == FIELD_STRING)
            length += 1 + (size_t)snprintf(at, room, "%s=%.*s", field->name, (int)field->size - 1,
                                           (const char *)key + field->offset);
        else
            length += 1 + (size_t)snprintf(at, room, "%s=%" PRId64, field->name, field_integer(field, key));
    }
    hash_hex(text, length, hex);
}

bool cache_key_equal(const struct cache_key *a, const struct cache_key *b)
{
    for (size_t i = 0; i < COUNT(key_fields); i++) {
        const struct field *field = &key_fields[i];
        if (field->type == FIELD_STRING
                ? strncmp((const char *)a + field->offset, (const char *)b + field->offset, field->size) != 0
                : field_integer(field, a) != field_integer(field, b))
            return false;
    }
    return true;
}

attune_status cache_key_part_to_json(const struct cache_key *key, enum cache_key_part part, json_t *object)
{
    size_t first = part == KEY_DEVICE ? 0 : DEVICE_FIELDS;
    size_t end = part == KEY_DEVICE ? DEVICE_FIELDS : COUNT(key_fields) - SHAPE_FIELDS;
    return fields_to_json(key_fields + first, end - first, "key.", key, object);
}

/* ---- configuration: {"family": NAME, parameters by name} */

static attune_status check_value(const struct family_param *param, int64_t value)
{
    for (int32_t i = 0; i < param->num_values; i++)
        if (param->values[i] == value)
            return ATTUNE_OK;
    return set_error(ATTUNE_ERROR_SYNTAX, "config.%s is %" PRId64 ", which is not in the space", param->name, value);
}

attune_status cache_config_to_json(const struct kernel_config *config, json_t *object)
{
    if (config->family < 0 || config->family >= family_count())
        return set_error(ATTUNE_ERROR_SYNTAX, "config.family is number %d of %d", config->family, family_count());
    const struct family *family = family_at(config->family);
    bool set = !json_object_set_new(object, "family", json_string(family->name));
    for (int32_t i = 0; i < family->num_params && set; i++) {
        attune_status status = check_value(&family->params[i], config->values[i]);
        if (status)
            return status;
        set = !json_object_set_new(object, family->params[i].name, json_integer(config->values[i]));
    }
    return set ? ATTUNE_OK : set_error(ATTUNE_ERROR_OUT_OF_MEMORY, "config");
}

static attune_status param_from_json(const struct family_param *param, const json_t *object, int32_t *out)
{
    const json_t *value = json_object_get(object, param->name);
    if (!value)
        return field_error("config.", param->name, "is missing");
    if (!json_is_integer(value))
        return field_error("config.", param->name, "is not an integer");
    attune_status status = check_value(param, json_integer_value(value));
    if (!status)
        *out = (int32_t)json_integer_value(value);
    return status;
}

attune_status cache_config_from_json(const json_t *object, struct kernel_config *out)
{
    const char *name = json_string_value(json_object_get(object, "family"));
    if (!name)
        return field_error("config.", "family", "is not a string");
    out->family = family_find(name);
    if (out->family < 0)
        return field_error("config.family: ", name, "is not a family of this version");
    const struct family *family = family_at(out->family);
    attune_status status = ATTUNE_OK;
    for (int32_t i = 0; i < family->num_params && !status; i++)
        status = param_from_json(&family->params[i], object, &out->values[i]);
    if (!status && json_object_size(object) != (size_t)family->num_params + 1)
        status = field_error("config", "", "has members that are not parameters");
    return status;
}

bool cache_entry_stale(const struct cache_entry *entry)
{
    const struct family *family = family_at(entry->config.family);
    return strcmp(family->source_hash, entry->family_hash) || strcmp(family->space_hash, entry->space_hash);
}

bool cache_entry_is_tuned(const struct cache_entry *entry)
{
    return entry->gain_low > 1 || entry->depth.exhausted || entry->depth.tests >= CACHE_TUNED_TESTS;
}

/* ---- entries */

static attune_status fill_depth(const struct cache_depth *depth, json_t *root)
{
    json_t *object = json_object();
    if (json_object_set_new(root, "depth", object))
        return set_error(ATTUNE_ERROR_OUT_OF_MEMORY, "cache entry");
    return fields_to_json(depth_fields, COUNT(depth_fields), "depth.", depth, object);
}

static attune_status depth_from_json(const json_t *root, struct cache_depth *out)
{
    const json_t *depth = json_object_get(root, "depth");
    out->known = json_integer_value(json_object_get(root, "schema")) == CACHE_SCHEMA_DEPTH;
    if (!out->known)
        return depth ? field_error("", "depth", "is not known in this schema") : ATTUNE_OK;
    if (!json_is_object(depth))
        return field_error("", "depth", "is not an object");
    return fields_from_json(depth_fields, COUNT(depth_fields), "depth.", no_others, depth, out);
}

static attune_status fill(const struct cache_entry *entry, json_t *root)
{
    json_t *key = json_object(), *config = json_object(), *receipt = json_object();
    /* Sets steal the references, even when they fail. */
    bool set =
        !json_object_set_new(root, "schema", json_integer(entry->depth.known ? CACHE_SCHEMA_DEPTH : CACHE_SCHEMA));
    set = !json_object_set_new(root, "key", key) && set;
    set = !json_object_set_new(root, "config", config) && set;
    set = !json_object_set_new(root, "receipt", receipt) && set;
    if (!set)
        return set_error(ATTUNE_ERROR_OUT_OF_MEMORY, "cache entry");
    attune_status status = fields_to_json(key_fields, COUNT(key_fields), "key.", &entry->key, key);
    if (!status)
        status = cache_config_to_json(&entry->config, config);
    if (!status)
        status = fields_to_json(receipt_fields, COUNT(receipt_fields), "receipt.", &entry->receipt, receipt);
    if (!status)
        status = fields_to_json(entry_fields, COUNT(entry_fields), "", entry, root);
    return status || !entry->depth.known ? status : fill_depth(&entry->depth, root);
}

attune_status cache_entry_format(const struct cache_entry *entry, char **text)
{
    *text = NULL;
    json_t *root = json_object();
    if (!root)
        return set_error(ATTUNE_ERROR_OUT_OF_MEMORY, "cache entry");
    attune_status status = fill(entry, root);
    if (!status)
        status = sealed_format(root, CACHE_ENTRY_MAX, text);
    json_decref(root);
    return status;
}

char *cache_entry_to_json(const struct cache_entry *entry)
{
    char *text;
    cache_entry_format(entry, &text);
    return text;
}

/* The configuration last: what is wrong there may be the version's doing. */
static attune_status members_from_json(const json_t *root, struct cache_entry *out)
{
    const json_t *key = json_object_get(root, "key"), *config = json_object_get(root, "config"),
                 *receipt = json_object_get(root, "receipt");
    if (!json_is_object(key) || !json_is_object(config) || !json_is_object(receipt))
        return field_error("", "key, config or receipt", "is not an object");
    attune_status status = fields_from_json(key_fields, COUNT(key_fields), "key.", no_others, key, &out->key);
    if (!status)
        status = fields_from_json(receipt_fields, COUNT(receipt_fields), "receipt.", no_others, receipt, &out->receipt);
    if (!status)
        status = fields_from_json(entry_fields, COUNT(entry_fields), "", entry_others, root, out);
    if (!status)
        status = depth_from_json(root, &out->depth);
    if (status)
        return status;
    status = cache_config_from_json(config, &out->config);
    if (status && (out->config.family < 0 || cache_entry_stale(out)))
        return set_error(ATTUNE_ERROR_UNSUPPORTED, "of another version: %s", attune_last_error());
    return status;
}

/* The text must be the one that is written for the entry: nothing in it is without a meaning that was checked. */
static attune_status check_canonical(const struct cache_entry *entry, const char *text, size_t size)
{
    char *expected;
    attune_status status = cache_entry_format(entry, &expected);
    if (status)
        return status;
    bool same = strlen(expected) == size && !memcmp(expected, text, size);
    free(expected);
    return same ? ATTUNE_OK : set_error(ATTUNE_ERROR_SYNTAX, "not in the form in which entries are written");
}

attune_status cache_entry_from_json(const char *text, size_t size, struct cache_entry *out)
{
    json_t *root;
    struct cache_entry entry = {0};
    attune_status status = sealed_parse(text, size, CACHE_ENTRY_MAX, CACHE_SCHEMA, CACHE_SCHEMA_DEPTH, &root);
    if (status)
        return status;
    status = members_from_json(root, &entry);
    json_decref(root);
    if (!status)
        status = check_canonical(&entry, text, size);
    if (status)
        return sealed_quote_safely(status);
    entry.stale = cache_entry_stale(&entry);
    *out = entry;
    return ATTUNE_OK;
}
