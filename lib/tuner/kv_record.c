/* SPDX-License-Identifier: Apache-2.0
 * The choice of a KV layout as a record of the cache. It names no layout but by its place among those that would be
 * measured, with figures that must permit the choice: a file can say nothing that measuring could not have. */
#include <stddef.h>
#include <string.h>

#include "cache/fields.h"
#include "cache/record.h"
#include "family/family.h"
#include "kv_choice.h"
#include "select.h"

extern const char kv_cache_source[];

#define KIND "layout"

static const struct field candidate_fields[] = {
    {"outcome", FIELD_INT32, offsetof(attune_kv_candidate, outcome), 0, ATTUNE_OUTCOME_OK, ATTUNE_OUTCOME_SLOW},
    {"layout", FIELD_STRING, offsetof(attune_kv_candidate, fields), sizeof((attune_kv_candidate *)0)->fields, 0, 0},
    {"reason", FIELD_STRING, offsetof(attune_kv_candidate, reason), sizeof((attune_kv_candidate *)0)->reason, 0, 0},
    {"time_ms", FIELD_DOUBLE, offsetof(attune_kv_candidate, time_ms), 0, 0, 0},
    {"append_ms", FIELD_DOUBLE, offsetof(attune_kv_candidate, append_ms), 0, 0, 0},
    {"ratio_low", FIELD_DOUBLE, offsetof(attune_kv_candidate, ratio_low), 0, 0, 0},
    {"ratio", FIELD_DOUBLE, offsetof(attune_kv_candidate, ratio), 0, 0, 0},
    {"ratio_high", FIELD_DOUBLE, offsetof(attune_kv_candidate, ratio_high), 0, 0, 0},
};
#define NUM_FIELDS (sizeof candidate_fields / sizeof candidate_fields[0])

static const struct field choice_fields[] = {
    {"rounds", FIELD_INT32, offsetof(attune_kv_choice, rounds), 0, 1, KV_ROUNDS_MAX},
    {"chosen", FIELD_INT32, offsetof(attune_kv_choice, chosen), 0, 0, ATTUNE_KV_CANDIDATES_MAX - 1},
};

/* Hash of everything that could be run: which kernels the figures are of. */
static void kernels_hash(char hex[HASH_HEX_SIZE])
{
    struct strbuf text = {0};
    for (int i = 0; i < family_count(); i++)
        strbuf_printf(&text, "%s %s %s|", family_at(i)->name, family_at(i)->source_hash, family_at(i)->space_hash);
    strbuf_printf(&text, "%s", kv_cache_source);
    hash_hex(text.text ? text.text : "", text.length, hex);
    strbuf_free(&text);
}

/* The problem without a layout of its own: on candidate 0. */
static bool append_problem(const struct kv_choosing *c, size_t i, json_t *problems)
{
    const attune_problem *p = c->problems[i];
    attune_problem *plain;
    if (problem_create_like(&c->layouts[0], &p->desc, p->batch, p->q_len, p->kv_len, &plain) != ATTUNE_OK)
        return false;
    bool done = !json_array_append_new(problems, json_string(plain->text));
    attune_problem_destroy(&plain);
    return done;
}

/* NULL where it cannot be made. */
static json_t *make_key(const struct kv_choosing *c)
{
    struct cache_key device = {0};
    select_device_key(&c->target->choice, &device);
    char kernels[HASH_HEX_SIZE];
    kernels_hash(kernels);
    json_t *problems = json_array(), *weights = json_array(), *pages = json_array();
    bool done = problems && weights && pages;
    for (size_t i = 0; done && i < c->num_problems; i++)
        done = append_problem(c, i, problems) && !json_array_append_new(weights, json_real(c->weights[i]));
    for (size_t i = 0; done && i < c->num_page_sizes; i++)
        done = !json_array_append_new(pages, json_integer(c->page_sizes[i]));
    json_t *key =
        json_pack("{s:o,s:o,s:o,s:s}", "problems", problems, "weights", weights, "pages", pages, "kernels", kernels);
    if (key && done && cache_key_part_to_json(&device, KEY_DEVICE, key) == ATTUNE_OK)
        return key;
    json_decref(key);
    return NULL;
}

/* The file must name the very candidates that this call would measure. */
static attune_status read_candidate(const json_t *json, attune_kv_candidate *out)
{
    static const char *const no_others[] = {NULL};
    char expected[sizeof out->fields];
    memcpy(expected, out->fields, sizeof expected);
    attune_status status = fields_from_json(candidate_fields, NUM_FIELDS, "candidates.", no_others, json, out);
    if (status != ATTUNE_OK)
        return status;
    if (strcmp(expected, out->fields) != 0)
        return field_error("candidates.", "layout", "is not one of those that are measured, or in another order");
    bool ok = out->outcome == ATTUNE_OUTCOME_OK;
    if (ok ? !(out->time_ms > 0 && out->append_ms >= 0 && out->append_ms <= out->time_ms && out->ratio_low > 0 &&
               out->ratio_low <= out->ratio && out->ratio <= out->ratio_high)
           : out->time_ms != 0 || out->append_ms != 0 || out->ratio_low != 0 || out->ratio != 0 || out->ratio_high != 0)
        return field_error("candidates.", "", "have figures that no measurement gives");
    return ATTUNE_OK;
}

static attune_status read_choice(void *priv, const json_t *content)
{
    static const char *const others[] = {"candidates", NULL};
    attune_kv_choice *out = priv, read = *out;
    attune_status status = fields_from_json(choice_fields, 2, "content.", others, content, &read);
    if (status != ATTUNE_OK)
        return status;
    const json_t *candidates = json_object_get(content, "candidates");
    if (json_array_size(candidates) != (size_t)out->num_candidates)
        return field_error("content.", "candidates", "is not the list of those that are measured");
    for (int32_t i = 0; status == ATTUNE_OK && i < out->num_candidates; i++)
        status = read_candidate(json_array_get(candidates, (size_t)i), &read.candidates[i]);
    if (status == ATTUNE_OK && read.candidates[0].outcome != ATTUNE_OUTCOME_OK)
        return field_error("candidates.", "outcome", "of the first is not OK");
    if (status == ATTUNE_OK &&
        (read.chosen >= out->num_candidates || (read.chosen && !kv_may_choose(&read.candidates[read.chosen]))))
        return field_error("content.", "chosen", "is not what the figures permit");
    if (status == ATTUNE_OK)
        *out = read;
    return status;
}

bool kv_record_find(const struct kv_choosing *choosing, attune_kv_choice *out)
{
    json_t *key = make_key(choosing);
    bool found = key && record_find(choosing->target->cache, KIND, key, read_choice, out, NULL);
    json_decref(key);
    return found;
}

attune_status kv_record_store(const struct kv_choosing *choosing, attune_kv_choice *choice)
{
    json_t *key = make_key(choosing), *candidates = json_array(), *content = json_object();
    attune_status status = key && candidates && content ? ATTUNE_OK : ATTUNE_ERROR_OUT_OF_MEMORY;
    for (int32_t i = 0; status == ATTUNE_OK && i < choice->num_candidates; i++) {
        json_t *one = json_object();
        status = fields_to_json(candidate_fields, NUM_FIELDS, "candidates.", &choice->candidates[i], one);
        if (json_array_append_new(candidates, one))
            status = ATTUNE_ERROR_OUT_OF_MEMORY;
    }
    if (status == ATTUNE_OK)
        status = fields_to_json(choice_fields, 2, "content.", choice, content);
    if (status == ATTUNE_OK && json_object_set(content, "candidates", candidates))
        status = ATTUNE_ERROR_OUT_OF_MEMORY;
    if (status == ATTUNE_OK)
        status =
            record_store(choosing->target->cache, KIND, key, content, choice->entry_path, sizeof choice->entry_path);
    else if (status == ATTUNE_ERROR_OUT_OF_MEMORY)
        set_error(status, "out of memory for the entry of a KV layout");
    json_decref(candidates);
    json_decref(content);
    json_decref(key);
    return status;
}
