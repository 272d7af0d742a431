/* SPDX-License-Identifier: Apache-2.0 */
#include "cache/fields.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

int64_t field_integer(const struct field *field, const void *base)
{
    const void *at = (const char *)base + field->offset;
    return field->type == FIELD_INT32 ? *(const int32_t *)at : *(const int64_t *)at;
}

attune_status field_error(const char *prefix, const char *name, const char *what)
{
    return set_error(ATTUNE_ERROR_SYNTAX, "%s%s %s", prefix, name, what);
}

/* Control characters would reach the terminals on which entries are listed. */
static bool printable(const char *text)
{
    for (; *text; text++)
        if ((unsigned char)*text < 0x20 || *text == 0x7f)
            return false;
    return true;
}

static attune_status check_integer(const struct field *field, const char *prefix, int64_t value)
{
    if (value < field->low || value > field->high)
        return set_error(ATTUNE_ERROR_SYNTAX, "%s%s is %" PRId64 "; the limits are %" PRId64 " and %" PRId64, prefix,
                         field->name, value, field->low, field->high);
    return ATTUNE_OK;
}

static attune_status check_double(const struct field *field, const char *prefix, double value)
{
    if (!isfinite(value) || value < 0)
        return set_error(ATTUNE_ERROR_SYNTAX, "%s%s is %g; it must be finite and not negative", prefix, field->name,
                         value);
    return ATTUNE_OK;
}

static attune_status field_to_json(const struct field *field, const char *prefix, const void *base, json_t *object)
{
    const void *at = (const char *)base + field->offset;
    attune_status status = ATTUNE_OK;
    json_t *value = NULL;
    if (field->type == FIELD_STRING) {
        if (!memchr(at, '\0', field->size))
            return field_error(prefix, field->name, "is not terminated");
        if (!printable(at) || !(value = json_string(at)))
            return field_error(prefix, field->name, "is not UTF-8 without control characters");
    } else if (field->type == FIELD_DOUBLE) {
        status = check_double(field, prefix, *(const double *)at);
        value = status ? NULL : json_real(*(const double *)at);
    } else if (field->type == FIELD_UINT64) {
        value = json_sprintf("%" PRIu64, *(const uint64_t *)at);
    } else {
        status = check_integer(field, prefix, field_integer(field, base));
        value = status ? NULL : json_integer(field_integer(field, base));
    }
    if (!status && json_object_set_new(object, field->name, value))
        status = set_error(ATTUNE_ERROR_OUT_OF_MEMORY, "%s%s", prefix, field->name);
    return status;
}

static attune_status string_from_json(const struct field *field, const char *prefix, const json_t *value, char *at)
{
    if (!json_is_string(value))
        return field_error(prefix, field->name, "is not a string");
    if (json_string_length(value) >= field->size)
        return set_error(ATTUNE_ERROR_SYNTAX, "%s%s has %zu bytes; the limit is %zu", prefix, field->name,
                         json_string_length(value), field->size - 1);
    if (!printable(json_string_value(value)))
        return field_error(prefix, field->name, "holds a control character");
    copy_string(at, field->size, json_string_value(value));
    return ATTUNE_OK;
}

static attune_status uint64_from_json(const struct field *field, const char *prefix, const json_t *value, uint64_t *at)
{
    const char *text = json_is_string(value) ? json_string_value(value) : "";
    char *end;
    errno = 0;
    unsigned long long number = strtoull(text, &end, 10);
    if (*text < '0' || *text > '9' || *end || errno)
        return field_error(prefix, field->name, "is not a string of decimal digits below 2^64");
    *at = number;
    return ATTUNE_OK;
}

static attune_status field_from_json(const struct field *field, const char *prefix, const json_t *object, void *base)
{
    const json_t *value = json_object_get(object, field->name);
    void *at = (char *)base + field->offset;
    if (!value)
        return field_error(prefix, field->name, "is missing");
    if (field->type == FIELD_STRING)
        return string_from_json(field, prefix, value, at);
    if (field->type == FIELD_UINT64)
        return uint64_from_json(field, prefix, value, (uint64_t *)at);
    if (field->type == FIELD_DOUBLE) {
        if (!json_is_real(value))
            return field_error(prefix, field->name, "is not a real number");
        *(double *)at = json_real_value(value);
        return check_double(field, prefix, *(double *)at);
    }
    if (!json_is_integer(value))
        return field_error(prefix, field->name, "is not an integer");
    attune_status status = check_integer(field, prefix, json_integer_value(value));
    if (status)
        return status;
    if (field->type == FIELD_INT32)
        *(int32_t *)at = (int32_t)json_integer_value(value);
    else
        *(int64_t *)at = json_integer_value(value);
    return ATTUNE_OK;
}

attune_status fields_to_json(const struct field *fields, size_t count, const char *prefix, const void *base,
                             json_t *object)
{
    attune_status status = ATTUNE_OK;
    for (size_t i = 0; i < count && !status; i++)
        status = field_to_json(&fields[i], prefix, base, object);
    return status;
}

static bool is_member(const struct field *fields, size_t count, const char *const *others, const char *name)
{
    for (size_t i = 0; i < count; i++)
        if (!strcmp(fields[i].name, name))
            return true;
    for (; *others; others++)
        if (!strcmp(*others, name))
            return true;
    return false;
}

attune_status fields_from_json(const struct field *fields, size_t count, const char *prefix, const char *const *others,
                               const json_t *object, void *base)
{
    const char *name;
    json_t *value;
    json_object_foreach((json_t *)object, name, value)
    {
        if (!is_member(fields, count, others, name))
            return field_error(prefix, name, "is not known");
    }
    attune_status status = ATTUNE_OK;
    for (size_t i = 0; i < count && !status; i++)
        status = field_from_json(&fields[i], prefix, object, base);
    return status;
}
