/* SPDX-License-Identifier: Apache-2.0 */
#include "aside.h"

#include <string.h>

#include "cache/fields.h"
#include "cache/record.h"

#define KIND "aside"

static const struct field fields[] = {
    {"why", FIELD_STRING, offsetof(struct aside_config, why), sizeof((struct aside_config *)0)->why, 0, 0},
};

const char *aside_why(const struct aside *aside, const struct kernel_config *config)
{
    for (int32_t i = 0; aside && i < aside->count; i++)
        if (kernel_config_equal(&aside->of[i].config, config))
            return aside->of[i].why;
    return NULL;
}

static void drop(struct aside *aside, int32_t i)
{
    aside->count--;
    memmove(&aside->of[i], &aside->of[i + 1], (size_t)(aside->count - i) * sizeof aside->of[0]);
}

void aside_add(struct aside *aside, const struct kernel_config *config, const char *why)
{
    if (aside_why(aside, config))
        return;
    if (aside->count == ASIDE_MAX)
        drop(aside, 0);
    struct aside_config *added = &aside->of[aside->count++];
    memset(added, 0, sizeof *added);
    added->config = *config;
    copy_string(added->why, sizeof added->why, why);
    for (char *c = added->why; *c; c++)
        if (*c < ' ' || *c > '~') /* compilers write in any encoding, JSON takes UTF-8 */
            *c = '?';
}

/* ---- as a record: {"configs": [{"family_hash", "space_hash", "config": {...}, "why"}, ...]}, oldest first */

static attune_status to_json(const struct aside *aside, json_t *content)
{
    json_t *configs = json_array();
    attune_status status = json_object_set_new(content, "configs", configs)
                               ? set_error(ATTUNE_ERROR_OUT_OF_MEMORY, "configurations set aside")
                               : ATTUNE_OK;
    for (int32_t i = 0; !status && i < aside->count; i++) {
        json_t *object = json_object();
        if (json_array_append_new(configs, object))
            return set_error(ATTUNE_ERROR_OUT_OF_MEMORY, "configurations set aside");
        status = cache_current_config_to_json(&aside->of[i].config, object);
        if (!status)
            status = fields_to_json(fields, 1, "configs.", &aside->of[i], object);
    }
    return status;
}

static attune_status from_json(void *priv, const json_t *content)
{
    static const char *const beside_hashes[] = {"config", "why", NULL};
    static const char *const beside_why[] = {"config", "family_hash", "space_hash", NULL};
    struct aside *out = priv;
    const json_t *configs = json_object_get(content, "configs");
    memset(out, 0, sizeof *out);
    if (!json_is_array(configs) || json_object_size(content) != 1 || json_array_size(configs) > ASIDE_MAX)
        return field_error("content", "", "is not a list of configurations");
    attune_status status = ATTUNE_OK;
    for (size_t i = 0; !status && i < json_array_size(configs); i++) {
        const json_t *object = json_array_get(configs, i);
        struct aside_config read;
        bool current;
        memset(&read, 0, sizeof read);
        status = cache_current_config_from_json(object, beside_hashes, &read.config, &current);
        if (!status)
            status = fields_from_json(fields, 1, "configs.", beside_why, object, &read);
        if (!status && current)
            aside_add(out, &read.config, read.why);
    }
    return status;
}

void aside_find(struct cache *cache, const struct cache_key *key, struct aside *out)
{
    json_t *object = cache ? cache_class_key_json(key) : NULL;
    if (!object || !record_find(cache, KIND, object, from_json, out, NULL))
        out->count = 0;
    json_decref(object);
}

attune_status aside_store(struct cache *cache, const struct cache_key *key, const struct aside *aside)
{
    json_t *object = cache_class_key_json(key), *content = json_object();
    attune_status status =
        object && content ? to_json(aside, content) : set_error(ATTUNE_ERROR_OUT_OF_MEMORY, "configurations set aside");
    if (!status)
        status = record_store(cache, KIND, object, content, NULL, 0);
    json_decref(object);
    json_decref(content);
    return status;
}

attune_status aside_forget(struct cache *cache, const struct cache_key *key, const struct kernel_config *config)
{
    struct aside aside;
    aside_find(cache, key, &aside);
    for (int32_t i = 0; i < aside.count; i++)
        if (kernel_config_equal(&aside.of[i].config, config)) {
            drop(&aside, i);
            return aside_store(cache, key, &aside);
        }
    return ATTUNE_OK;
}
