/* SPDX-License-Identifier: Apache-2.0
 * JSON as text. Jansson formats and reads numbers by the locale, and mends only points of one byte. */
#ifndef ATTUNE_BASE_JSON_H
#define ATTUNE_BASE_JSON_H

#include <stddef.h>

#include <jansson.h>

/* json_dumps and json_loadb, with '.' whatever the locale. */
char *json_write(const json_t *value, size_t flags);
json_t *json_read(const char *text, size_t size, size_t flags, json_error_t *error);

#endif
