/* SPDX-License-Identifier: Apache-2.0
 * Structs as JSON objects by tables of their members: exact names and types, every value in its range. */
#ifndef ATTUNE_CACHE_FIELDS_H
#define ATTUNE_CACHE_FIELDS_H

#include <jansson.h>

#include "base/base.h"

/* JSON holds a UINT64 as decimal text: its integers end at 2^63 - 1. */
enum field_type { FIELD_INT32, FIELD_INT64, FIELD_UINT64, FIELD_DOUBLE, FIELD_STRING };

struct field {
    const char *name;
    enum field_type type;
    size_t offset;
    size_t size;       /* strings: of the array */
    int64_t low, high; /* integers */
};

/* Integer field of base, of either width. */
int64_t field_integer(const struct field *field, const void *base);

/* In both, prefix is put before the names in texts: "key." say. SYNTAX names the member that is wrong. */
attune_status fields_to_json(const struct field *fields, size_t count, const char *prefix, const void *base,
                             json_t *object);
/* others: the names of the members beside fields that object may have, NULL-terminated. */
attune_status fields_from_json(const struct field *fields, size_t count, const char *prefix, const char *const *others,
                               const json_t *object, void *base);
/* SYNTAX: "PREFIX" "NAME" what. */
attune_status field_error(const char *prefix, const char *name, const char *what);

#endif
