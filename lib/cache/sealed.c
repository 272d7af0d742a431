/* SPDX-License-Identifier: Apache-2.0 */
#include "cache/sealed.h"

#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "cache/fields.h"

#define DUMP_FLAGS (JSON_SORT_KEYS | JSON_INDENT(1))

/* Over all members but the checksum. False when out of memory. */
static bool checksum(const json_t *root, char hex[HASH_HEX_SIZE])
{
    char *text = json_write(root, DUMP_FLAGS);
    if (text)
        hash_hex(text, strlen(text), hex);
    free(text);
    return text != NULL;
}

attune_status sealed_format(json_t *root, size_t max, char **text)
{
    char hex[HASH_HEX_SIZE];
    *text = NULL;
    if (checksum(root, hex) && !json_object_set_new(root, "checksum", json_string(hex)))
        *text = json_write(root, DUMP_FLAGS);
    if (!*text)
        return set_error(ATTUNE_ERROR_OUT_OF_MEMORY, "cache entry");
    size_t size = strlen(*text);
    if (size <= max)
        return ATTUNE_OK;
    free(*text);
    *text = NULL;
    return set_error(ATTUNE_ERROR_INVALID_SIZE, "cache entry has %zu bytes; the limit is %zu", size, max);
}

static attune_status check_checksum(json_t *root)
{
    const char *stored = json_string_value(json_object_get(root, "checksum"));
    char given[HASH_HEX_SIZE], hex[HASH_HEX_SIZE];
    if (!stored || strlen(stored) != HASH_HEX_SIZE - 1)
        return field_error("", "checksum", "is not a string of 32 digits");
    copy_string(given, sizeof given, stored);
    json_object_del(root, "checksum");
    if (!checksum(root, hex))
        return set_error(ATTUNE_ERROR_OUT_OF_MEMORY, "cache entry");
    if (strcmp(given, hex))
        return set_error(ATTUNE_ERROR_SYNTAX, "checksum is %s, but the content's is %s", given, hex);
    return ATTUNE_OK;
}

static attune_status check_root(json_t *root, int32_t oldest, int32_t newest)
{
    const json_t *schema = json_object_get(root, "schema");
    if (!json_is_integer(schema))
        return field_error("", "schema", "is not an integer");
    attune_status status = check_checksum(root);
    if (!status && (json_integer_value(schema) < oldest || json_integer_value(schema) > newest))
        status = set_error(ATTUNE_ERROR_UNSUPPORTED, "schema is %" JSON_INTEGER_FORMAT "; this version reads up to %d",
                           json_integer_value(schema), newest);
    return status;
}

attune_status sealed_quote_safely(attune_status status)
{
    struct strbuf text = {0};
    strbuf_printf(&text, "%s", attune_last_error());
    for (size_t i = 0; i < text.length; i++)
        if ((unsigned char)text.text[i] < 0x20 || (unsigned char)text.text[i] > 0x7e)
            text.text[i] = '?';
    if (text.text)
        set_error(status, "%s", text.text);
    strbuf_free(&text);
    return status;
}

attune_status sealed_parse(const char *text, size_t size, size_t max, int32_t oldest, int32_t newest, json_t **root)
{
    *root = NULL;
    if (size > max)
        return set_error(ATTUNE_ERROR_INVALID_SIZE, "cache entry has %zu bytes; the limit is %zu", size, max);
    json_error_t error;
    json_t *parsed = json_read(text, size, JSON_REJECT_DUPLICATES, &error);
    attune_status status;
    if (json_is_object(parsed))
        status = check_root(parsed, oldest, newest);
    else if (parsed)
        status = set_error(ATTUNE_ERROR_SYNTAX, "not an object");
    else
        status = set_error(ATTUNE_ERROR_SYNTAX, "line %d: %s", error.line, error.text);
    if (status) {
        json_decref(parsed);
        return sealed_quote_safely(status);
    }
    *root = parsed;
    return ATTUNE_OK;
}
