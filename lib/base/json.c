/* SPDX-License-Identifier: Apache-2.0 */
#include "json.h"

#include "base.h"

char *json_write(const json_t *value, size_t flags)
{
    void *before = numbers_begin();
    char *text = json_dumps(value, flags);
    numbers_end(before);
    return text;
}

json_t *json_read(const char *text, size_t size, size_t flags, json_error_t *error)
{
    void *before = numbers_begin();
    json_t *value = json_loadb(text, size, flags, error);
    numbers_end(before);
    return value;
}
