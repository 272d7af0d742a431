/* SPDX-License-Identifier: Apache-2.0 */
#include "cache/probes.h"

#include "cache/fields.h"
#include "cache/record.h"

#define ALL_FEATURES (FEATURE_FP16 | FEATURE_SUB_GROUPS | FEATURE_DOT8 | FEATURE_BF16_DOT | FEATURE_F16C)
#define COUNT(x) (sizeof(x) / sizeof *(x))

static const struct field facts_fields[] = {
    {"features", FIELD_INT32, offsetof(struct probe_facts, features), 0, 0, ALL_FEATURES},
    {"half_load", FIELD_INT32, offsetof(struct probe_facts, half_load), 0, HALF_LOAD_INTEGER, HALF_LOAD_F16C},
    {"max_work_group_size", FIELD_INT64, offsetof(struct probe_facts, max_work_group_size), 0, 0, INT32_MAX},
};

static attune_status read_facts(void *priv, const json_t *content)
{
    static const char *const no_others[] = {NULL};
    return fields_from_json(facts_fields, COUNT(facts_fields), "facts.", no_others, content, priv);
}

bool cache_probe_find(struct cache *cache, const struct cache_key *key, struct probe_facts *out)
{
    struct probe_facts facts = {0};
    json_t *device = json_object();
    bool found = device && cache_key_part_to_json(key, KEY_DEVICE, device) == ATTUNE_OK &&
                 record_find(cache, "probe", device, read_facts, &facts, NULL);
    json_decref(device);
    if (found)
        *out = facts;
    return found;
}

attune_status cache_probe_store(struct cache *cache, const struct cache_key *key, const struct probe_facts *facts)
{
    json_t *device = json_object(), *content = json_object();
    attune_status status =
        device && content ? ATTUNE_OK : set_error(ATTUNE_ERROR_OUT_OF_MEMORY, "out of memory for a probe's record");
    if (!status)
        status = cache_key_part_to_json(key, KEY_DEVICE, device);
    if (!status)
        status = fields_to_json(facts_fields, COUNT(facts_fields), "facts.", facts, content);
    if (!status)
        status = record_store(cache, "probe", device, content, NULL, 0);
    json_decref(device);
    json_decref(content);
    return status;
}
