/* SPDX-License-Identifier: Apache-2.0
 * Small JSON files that are hostile until checked: sorted members, a schema's number, a checksum over all of it. */
#ifndef ATTUNE_CACHE_SEALED_H
#define ATTUNE_CACHE_SEALED_H

#include <jansson.h>

#include "base/base.h"

/* Adds "schema" and "checksum" to the object and writes it: free(*text), NULL on errors. INVALID_SIZE: longer than max.
 */
attune_status sealed_format(json_t *root, int schema, size_t max, char **text);

/* Reads and checks it, and takes the checksum's member out again: json_decref(*root), NULL on errors. Members other
 * than "schema" are the caller's to check. UNSUPPORTED: another schema. */
attune_status sealed_parse(const char *text, size_t size, int schema, size_t max, json_t **root);

/* Returns status, with the last error's text made fit for terminals: it may quote the file. */
attune_status quote_safely(attune_status status);

#endif
