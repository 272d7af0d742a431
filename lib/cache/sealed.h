/* SPDX-License-Identifier: Apache-2.0
 * JSON objects with a schema and a checksum over all of their members: sorted, in one form. */
#ifndef ATTUNE_CACHE_SEALED_H
#define ATTUNE_CACHE_SEALED_H

#include <jansson.h>

#include "base/base.h"

/* Adds "checksum" to root, which has "schema" already, and writes it as text (free() it) of at most max bytes.
 * INVALID_SIZE when longer; OUT_OF_MEMORY. */
attune_status sealed_format(json_t *root, size_t max, char **text);

/* Parses the text of a file that nobody vouches for: an object without duplicate members, of at most max bytes, whose
 * checksum fits. *root (json_decref it) has no "checksum" then. SYNTAX; UNSUPPORTED for a schema that is not among
 * those given. */
attune_status sealed_parse(const char *text, size_t size, size_t max, int32_t oldest, int32_t newest, json_t **root);

/* Returns status with the last error's text free of control characters: it may quote the file, and end on terminals. */
attune_status sealed_quote_safely(attune_status status);

#endif
