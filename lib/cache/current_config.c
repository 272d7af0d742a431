/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "cache/fields.h"
#include "cache/record.h"

struct hashes {
    char family[HASH_HEX_SIZE], space[HASH_HEX_SIZE];
};

static const struct field hash_fields[] = {
    {"family_hash", FIELD_STRING, offsetof(struct hashes, family), HASH_HEX_SIZE, 0, 0},
    {"space_hash", FIELD_STRING, offsetof(struct hashes, space), HASH_HEX_SIZE, 0, 0},
};

#define COUNT(x) (sizeof(x) / sizeof *(x))

attune_status cache_current_config_to_json(const struct kernel_config *config, json_t *object)
{
    const struct family *family = family_at(config->family);
    struct hashes hashes;
    copy_string(hashes.family, sizeof hashes.family, family->source_hash);
    copy_string(hashes.space, sizeof hashes.space, family->space_hash);
    json_t *values = json_object();
    if (json_object_set_new(object, "config", values))
        return set_error(ATTUNE_ERROR_OUT_OF_MEMORY, "a configuration");
    attune_status status = fields_to_json(hash_fields, COUNT(hash_fields), "", &hashes, object);
    return status ? status : cache_config_to_json(config, values);
}

attune_status cache_current_config_from_json(const json_t *object, const char *const *others, struct kernel_config *out,
                                             bool *current)
{
    struct hashes hashes = {"", ""};
    const json_t *values = json_object_get(object, "config");
    *current = false;
    if (!json_is_object(values))
        return field_error("configs.", "config", "is not an object");
    attune_status status = fields_from_json(hash_fields, COUNT(hash_fields), "configs.", others, object, &hashes);
    if (status)
        return status;
    memset(out, 0, sizeof *out);
    const char *name = json_string_value(json_object_get(values, "family"));
    int family = name ? family_find(name) : -1;
    if (family < 0 || strcmp(family_at(family)->source_hash, hashes.family) != 0 ||
        strcmp(family_at(family)->space_hash, hashes.space) != 0)
        return name ? ATTUNE_OK : field_error("configs.config.", "family", "is not a string");
    *current = true;
    return cache_config_from_json(values, out);
}

json_t *cache_class_key_json(const struct cache_key *key)
{
    json_t *object = json_object();
    if (object && !cache_key_part_to_json(key, KEY_DEVICE, object) && !cache_key_part_to_json(key, KEY_PROBLEM, object))
        return object;
    json_decref(object);
    return NULL;
}
