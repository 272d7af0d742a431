/* SPDX-License-Identifier: Apache-2.0
 *
 * Small checked JSON files beside the entries: one object of some kind ("portfolio", say) under a key, in the folder
 * "records" of a cache's levels. As careful as the entries: a file is hostile until its owner, mode, size, schema,
 * checksum, kind, key and canonical form were checked here and its content by the kind's reader. Whatever is wrong is
 * one warning and a miss at that level. Thread-safe.
 *
 * A kind is a struct, its reader and its writer over json objects (cache/fields.h has tables for them).
 */
#ifndef ATTUNE_CACHE_RECORD_H
#define ATTUNE_CACHE_RECORD_H

#include <jansson.h>

#include "cache/cache.h"

#define RECORD_SCHEMA 1
#define RECORD_MAX 65536 /* bytes of a file */
#define RECORD_KIND_MAX 32

/* Parts of a cache_key, for the keys of records. */
enum cache_key_part {
    KEY_DEVICE, /* device_name to simulated */
    KEY_PROBLEM /* operation to layout: without the shape bucket */
};
/* Adds the part's members to object. SYNTAX: one is out of range; OUT_OF_MEMORY. */
attune_status cache_key_part_to_json(const struct cache_key *key, enum cache_key_part part, json_t *object);

/* A configuration as {"family": NAME, parameters by name}: integers only, each a value of the compiled-in space. After a
 * failure of from, out->family is the family's or -1. */
attune_status cache_config_to_json(const struct kernel_config *config, json_t *object);
attune_status cache_config_from_json(const json_t *object, struct kernel_config *out);

/* A configuration with the hashes of its family's source and parameters, as the members config, family_hash and space_hash
 * of an object. from: *current is false, and out not set, where those have changed; others as for fields_from_json, "config"
 * among them. */
attune_status cache_current_config_to_json(const struct kernel_config *config, json_t *object);
attune_status cache_current_config_from_json(const json_t *object, const char *const *others, struct kernel_config *out,
                                             bool *current);

/* The key of records about a descriptor on a device: both parts. NULL with an error; json_decref it. */
json_t *cache_class_key_json(const struct cache_key *key);

/* Takes the content of a record into priv, checking names, types and ranges of everything in it. priv's state after a
 * failure does not matter. */
typedef attune_status (*record_reader)(void *priv, const json_t *content);

/* The record of kind under key: memory, user, site, shipped; the first that the checks and the reader let pass. False
 * on a miss. level may be NULL. */
bool record_find(struct cache *cache, const char *kind, const json_t *key, record_reader reader, void *priv,
                 enum cache_level *level);

/* Keeps the record in memory and writes it as cache_store does. kind: lower-case letters and digits. key and content
 * are objects and stay the caller's. path (may be NULL, [path_size]) gets the file's name or "". */
attune_status record_store(struct cache *cache, const char *kind, const json_t *key, const json_t *content, char *path,
                           size_t path_size);

/* Forgets the record in memory and at the user's level. OK where there is none; IO. */
attune_status record_remove(struct cache *cache, const char *kind, const json_t *key);

#endif
