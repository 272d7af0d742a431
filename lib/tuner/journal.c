/* SPDX-License-Identifier: Apache-2.0 */
#include "tuner/journal.h"
#include "base/json.h"
#include "cache/files.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define CHAIN_DIGITS 16
#define CHAIN_START "0000000000000000"
#define JOURNAL_MAX ((size_t)1 << 30) /* bytes of a file that is read */

struct journal {
    char *path, *id;
    int fd, lock_fd;
    uint64_t sequence;
    char previous[CHAIN_DIGITS + 1];
    off_t size;
    bool failed;
};

/* body: "SEQUENCE PREVIOUS JSON" */
static void chain(const char *body, size_t size, char digits[CHAIN_DIGITS + 1])
{
    char hex[HASH_HEX_SIZE];
    hash_hex(body, size, hex);
    copy_string(digits, CHAIN_DIGITS + 1, hex);
}

/* ---- writing */

static char *id_of(const char *path)
{
    const char *slash = strrchr(path, '/');
    char *id = strdup(slash ? slash + 1 : path);
    char *dot = id ? strrchr(id, '.') : NULL;
    if (dot && dot != id)
        *dot = '\0';
    return id;
}

static attune_status create_file(struct journal *journal)
{
    const char *path = journal->path;
    const char *slash = strrchr(path, '/');
    struct strbuf folder = {0}, lock = {0};
    strbuf_append(&folder, slash ? path : ".", slash ? (size_t)(slash - path) + 1 : 1);
    strbuf_printf(&lock, "%s.lock", path);
    attune_status status = folder.failed || lock.failed ? set_error(ATTUNE_ERROR_OUT_OF_MEMORY, "%s", path) : ATTUNE_OK;
    if (!status)
        status = folder_make(folder.text);
    if (!status)
        status = file_lock(lock.text, false, &journal->lock_fd);
    if (!status) {
        journal->fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_APPEND | O_NOFOLLOW | O_CLOEXEC, 0600);
        if (journal->fd < 0 || !folder_sync(folder.text))
            status = set_error(ATTUNE_ERROR_IO, "cannot create journal %s: %s", path, strerror(errno));
    }
    strbuf_free(&folder);
    strbuf_free(&lock);
    return status;
}

attune_status journal_create(struct journal **out, const char *path)
{
    *out = NULL;
    struct journal *journal = calloc(1, sizeof *journal);
    if (!journal)
        return set_error(ATTUNE_ERROR_OUT_OF_MEMORY, "journal");
    journal->fd = journal->lock_fd = -1;
    copy_string(journal->previous, sizeof journal->previous, CHAIN_START);
    journal->path = strdup(path);
    journal->id = id_of(path);
    attune_status status =
        journal->path && journal->id ? create_file(journal) : set_error(ATTUNE_ERROR_OUT_OF_MEMORY, "journal");
    if (status)
        journal_close(&journal);
    *out = journal;
    return status;
}

static void remove_lock(const char *path)
{
    struct strbuf lock = {0};
    strbuf_printf(&lock, "%s.lock", path);
    if (!lock.failed)
        unlink(lock.text);
    strbuf_free(&lock);
}

void journal_close(struct journal **journal)
{
    if (!journal || !*journal)
        return;
    if ((*journal)->fd >= 0)
        close((*journal)->fd);
    if ((*journal)->lock_fd >= 0) {
        /* A journal is never opened again, so nobody waits for it. */
        remove_lock((*journal)->path);
        close((*journal)->lock_fd);
    }
    free((*journal)->path);
    free((*journal)->id);
    free(*journal);
    *journal = NULL;
}

const char *journal_id(const struct journal *journal)
{
    return journal->id;
}

const char *journal_path(const struct journal *journal)
{
    return journal->path;
}

/* {"type": type, members of record}, or NULL when out of memory. */
static char *record_text(const struct journal *journal, const char *type, json_t *record)
{
    json_t *typed = json_object();
    bool set = typed && !json_object_set_new(typed, "type", json_string(type));
    if (set && journal->sequence == 0)
        set = !json_object_set_new(typed, "version", json_integer(JOURNAL_VERSION));
    set = set && !json_object_update_missing(typed, record);
    char *text = set ? json_write(typed, JSON_COMPACT) : NULL;
    json_decref(typed);
    return text;
}

static attune_status broken(struct journal *journal, const char *what)
{
    int code = errno;
    journal->failed = true;
    return set_error(ATTUNE_ERROR_IO, "%s journal %s: %s", what, journal->path, strerror(code));
}

static attune_status write_record(struct journal *journal, const char *json)
{
    size_t length = strlen(json);
    if (length > JOURNAL_RECORD_MAX)
        return set_error(ATTUNE_ERROR_INVALID_SIZE, "a journal record of %zu bytes; the limit is %d", length,
                         JOURNAL_RECORD_MAX);
    struct strbuf body = {0}, line = {0};
    strbuf_printf(&body, "%" PRIu64 " %s %s", journal->sequence, journal->previous, json);
    if (!body.failed)
        strbuf_printf(&line, "%zu %08" PRIx32 " %s\n", length, crc32c(0, body.text, body.length), body.text);
    attune_status status = ATTUNE_OK;
    if (body.failed || line.failed)
        status = set_error(ATTUNE_ERROR_OUT_OF_MEMORY, "a journal record of %zu bytes", length);
    else if (!file_write_all(journal->fd, line.text, line.length)) {
        status = broken(journal, "cannot write");
        /* What can be done for a whole last record; readers stop before half of one anyway. */
        (void)!ftruncate(journal->fd, journal->size);
    } else {
        chain(body.text, body.length, journal->previous);
        journal->size += (off_t)line.length;
        journal->sequence++;
    }
    strbuf_free(&body);
    strbuf_free(&line);
    return status;
}

attune_status journal_append(struct journal *journal, const char *type, json_t *record)
{
    attune_status status;
    char *text = NULL;
    if (!record)
        status = set_error(ATTUNE_ERROR_OUT_OF_MEMORY, "journal record \"%s\"", type);
    else if (journal->failed)
        status = set_error(ATTUNE_ERROR_IO, "journal %s: an earlier write failed", journal->path);
    else if ((journal->sequence == 0) != !strcmp(type, "header"))
        status = set_error(ATTUNE_ERROR_MISMATCH, "journal record \"%s\" is number %" PRIu64 "; the header is number 0",
                           type, journal->sequence);
    else if (!(text = record_text(journal, type, record)))
        status = set_error(ATTUNE_ERROR_OUT_OF_MEMORY, "journal record \"%s\"", type);
    else
        status = write_record(journal, text);
    free(text);
    json_decref(record);
    return status;
}

attune_status journal_flush(struct journal *journal)
{
    if (journal->failed)
        return set_error(ATTUNE_ERROR_IO, "journal %s: an earlier write failed", journal->path);
    return fdatasync(journal->fd) ? broken(journal, "cannot flush") : ATTUNE_OK;
}

/* ---- reading */

/* Parts of a line; the pointers point into the file's content. */
struct frame {
    const char *body, *json; /* body ends with json */
    size_t body_size, json_size;
};

/* A whole record by itself: length and checksum hold. line[size], without its newline, which follows. */
static bool parse_frame(const char *line, size_t size, struct frame *out)
{
    if (!size || line[0] < '0' || line[0] > '9')
        return false;
    char *end;
    unsigned long long length = strtoull(line, &end, 10);
    char checksum[16];
    size_t digits = (size_t)(end - line);
    /* " CRC32C " and a body that holds more than the JSON */
    if (length > JOURNAL_RECORD_MAX || digits + 10 + length >= size)
        return false;
    out->body = line + digits + 10;
    out->body_size = size - digits - 10;
    snprintf(checksum, sizeof checksum, " %08" PRIx32 " ", crc32c(0, out->body, out->body_size));
    if (memcmp(end, checksum, 10) != 0)
        return false;
    out->json_size = (size_t)length;
    out->json = line + size - length;
    /* LENGTH is not under the checksum: the JSON must begin right after "SEQUENCE PREVIOUS ". */
    const char *space = memchr(out->body, ' ', out->body_size);
    return space && out->json - space == CHAIN_DIGITS + 2 && out->json[-1] == ' ';
}

/* Whether the record stands at its place: sequence and the hash of the one before. */
static bool continues(const struct frame *frame, uint64_t sequence, const char *previous)
{
    char head[64];
    int length = snprintf(head, sizeof head, "%" PRIu64 " %s ", sequence, previous);
    return frame->body_size - frame->json_size == (size_t)length && !memcmp(frame->body, head, (size_t)length);
}

struct reader {
    const char *at, *end;
    uint64_t sequence;
    char previous[CHAIN_DIGITS + 1];
};

/* The next record, moving past it; NULL, without moving, if it is bad or at the end. */
static json_t *next_record(struct reader *reader)
{
    const char *newline = memchr(reader->at, '\n', (size_t)(reader->end - reader->at));
    struct frame frame;
    if (!newline || !parse_frame(reader->at, (size_t)(newline - reader->at), &frame) ||
        !continues(&frame, reader->sequence, reader->previous))
        return NULL;
    json_t *record = json_read(frame.json, frame.json_size, JSON_REJECT_DUPLICATES, NULL);
    if (!json_is_object(record)) {
        json_decref(record);
        return NULL;
    }
    chain(frame.body, frame.body_size, reader->previous);
    reader->sequence++;
    reader->at = newline + 1;
    return record;
}

/* Whether a whole record lies behind the bad line at reader->at, or is that line. */
static bool whole_record_follows(const struct reader *reader)
{
    const char *line = reader->at, *newline;
    struct frame frame;
    while (line < reader->end && (newline = memchr(line, '\n', (size_t)(reader->end - line)))) {
        if (parse_frame(line, (size_t)(newline - line), &frame))
            return true;
        line = newline + 1;
    }
    return false;
}

static attune_status check_header(const char *path, const json_t *record)
{
    const char *type = json_string_value(json_object_get(record, "type"));
    const json_t *version = json_object_get(record, "version");
    if (!type || strcmp(type, "header") || !json_is_integer(version))
        return set_error(ATTUNE_ERROR_SYNTAX, "journal %s: the first record is not a header", path);
    if (json_integer_value(version) != JOURNAL_VERSION)
        return set_error(ATTUNE_ERROR_UNSUPPORTED, "journal %s: version %" JSON_INTEGER_FORMAT "; this one reads %d",
                         path, json_integer_value(version), JOURNAL_VERSION);
    return ATTUNE_OK;
}

static attune_status visit_records(const char *path, const char *data, size_t size, journal_visitor visitor, void *priv,
                                   bool *bad_tail)
{
    struct reader reader = {.at = data, .end = data + size, .previous = CHAIN_START};
    attune_status status = ATTUNE_OK;
    bool go_on = true;
    while (go_on && reader.at < reader.end) {
        json_t *record = next_record(&reader);
        if (!record) {
            *bad_tail = true;
            if (whole_record_follows(&reader))
                status = set_error(ATTUNE_ERROR_MISMATCH,
                                   "journal %s: record %" PRIu64 " at byte %zu is damaged, and whole ones follow", path,
                                   reader.sequence, (size_t)(reader.at - data));
            break;
        }
        status = reader.sequence == 1 ? check_header(path, record) : ATTUNE_OK;
        go_on = !status && visitor(priv, reader.sequence - 1, record);
        json_decref(record);
    }
    return status;
}

/* *data is followed by a NUL. */
static attune_status read_content(int fd, char **data, size_t *size)
{
    struct stat info;
    if (fstat(fd, &info))
        return set_error(ATTUNE_ERROR_IO, "%s", strerror(errno));
    if (!S_ISREG(info.st_mode) || (uintmax_t)info.st_size > JOURNAL_MAX)
        return set_error(ATTUNE_ERROR_IO, "not a regular file of at most %zu bytes", JOURNAL_MAX);
    *size = (size_t)info.st_size;
    *data = malloc(*size + 1);
    if (!*data)
        return set_error(ATTUNE_ERROR_OUT_OF_MEMORY, "%zu bytes", *size);
    if (!file_read_all(fd, *data, size))
        return set_error(ATTUNE_ERROR_IO, "%s", strerror(errno));
    (*data)[*size] = '\0';
    return ATTUNE_OK;
}

attune_status journal_read(const char *path, journal_visitor visitor, void *priv, bool *bad_tail)
{
    bool bad = false;
    char *data = NULL;
    size_t size = 0;
    int fd = open(path, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
    attune_status status = fd < 0 ? set_error(ATTUNE_ERROR_IO, "%s", strerror(errno)) : read_content(fd, &data, &size);
    if (status)
        set_error(status, "cannot read journal %s: %s", path, attune_last_error());
    else
        status = visit_records(path, data, size, visitor, priv, &bad);
    free(data);
    if (fd >= 0)
        close(fd);
    if (bad_tail)
        *bad_tail = bad;
    return status;
}
