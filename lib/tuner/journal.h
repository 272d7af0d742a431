/* SPDX-License-Identifier: Apache-2.0
 *
 * The record of a tuning: append-only, one writer, one JSON object per record, framed so that a cut or changed file is noticed.
 * On disk each record is one line:  LENGTH CRC32C SEQUENCE PREVIOUS JSON\n  - LENGTH decimal bytes of JSON, CRC32C 8 hex digits
 * over "SEQUENCE PREVIOUS JSON", SEQUENCE from 0, PREVIOUS the CRC32C-chained hash (16 hex digits of XXH3-64) of the record
 * before. The first record is the header: {"type":"header","version":1,...}.
 */
#ifndef ATTUNE_JOURNAL_H
#define ATTUNE_JOURNAL_H

#include <jansson.h>

#include "base/base.h"

#define JOURNAL_VERSION 1

struct journal;

/* Creates path (must not exist; folders are made), with a lock on path + ".lock". */
attune_status journal_create(struct journal **out, const char *path);
/* Appends a record; "type" names it. Steals the reference to record. Not flushed. */
attune_status journal_append(struct journal *journal, const char *type, json_t *record);
/* fdatasync: at the end of each test. */
attune_status journal_flush(struct journal *journal);
void journal_close(struct journal **journal);
/* Short id of this journal: the file's name without folder and ending. */
const char *journal_id(const struct journal *journal);
const char *journal_path(const struct journal *journal);

/* Reads records until the end or the first bad one; *bad_tail (may be NULL) is set when bytes were left. Return false to stop. */
typedef bool (*journal_visitor)(void *priv, uint64_t sequence, const json_t *record);
attune_status journal_read(const char *path, journal_visitor visitor, void *priv, bool *bad_tail);

#endif
