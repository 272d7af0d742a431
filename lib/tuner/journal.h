/* SPDX-License-Identifier: Apache-2.0
 *
 * The record of a tuning: append-only, one writer, one JSON object per record, framed so that a cut or changed file is noticed.
 * On disk each record is one line:  LENGTH CRC32C SEQUENCE PREVIOUS JSON\n  - LENGTH decimal bytes of JSON, CRC32C 8 hex digits
 * over "SEQUENCE PREVIOUS JSON", SEQUENCE from 0, PREVIOUS the first 16 hex digits of the XXH3-128 of the record before (of its
 * "SEQUENCE PREVIOUS JSON"; zeros in the first). The first record is the header: {"type":"header","version":1,...}.
 */
#ifndef ATTUNE_JOURNAL_H
#define ATTUNE_JOURNAL_H

#include <jansson.h>

#include "base/base.h"

#define JOURNAL_VERSION 1
#define JOURNAL_RECORD_MAX (1 << 20) /* bytes of a record's JSON */

struct journal;

/* Creates path (must not exist; folders are made), with a lock on path + ".lock", which goes when it is closed. Empty until the first append.
 * Errors: IO (it exists, another writes it, cannot be written), OUT_OF_MEMORY. */
attune_status journal_create(struct journal **out, const char *path);
/* Appends a record; "type" names it, and is the first member. Steals the reference to record; NULL is OUT_OF_MEMORY. The first
 * record's type must be "header" (MISMATCH); "version" is added to it. One write, not flushed: it outlives the process, but
 * not a power cut. After an IO error the journal ends with the last whole record and takes no more. */
attune_status journal_append(struct journal *journal, const char *type, json_t *record);
/* fdatasync: at the end of each test. After an IO error the journal takes no more. */
attune_status journal_flush(struct journal *journal);
void journal_close(struct journal **journal);
/* Short id of this journal: the file's name without folder and ending. */
const char *journal_id(const struct journal *journal);
const char *journal_path(const struct journal *journal);

/* Reads records until the end or the first bad one; *bad_tail (may be NULL) is set when bytes were left. Return false to stop.
 * A cut or damaged last record is OK with *bad_tail. Errors: IO (cannot be read), MISMATCH (a bad record that whole ones
 * follow: the file was changed or damaged; those before it were visited), SYNTAX (no header first), UNSUPPORTED (version). */
typedef bool (*journal_visitor)(void *priv, uint64_t sequence, const json_t *record);
attune_status journal_read(const char *path, journal_visitor visitor, void *priv, bool *bad_tail);

#endif
