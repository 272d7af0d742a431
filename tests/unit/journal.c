/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tuner/journal.h"

#define RECORDS 5
#define CONTENT_MAX 4096

static char folder[64], path[160];

static int make_folder(void **state)
{
    (void)state;
    snprintf(folder, sizeof folder, "/tmp/attune-journal-XXXXXX");
    if (!mkdtemp(folder))
        return -1;
    snprintf(path, sizeof path, "%s/made/here/run-1.journal", folder);
    return 0;
}

static int remove_folder(void **state)
{
    (void)state;
    char command[96];
    snprintf(command, sizeof command, "rm -rf %s", folder);
    return system(command);
}

static struct journal *open_journal(void)
{
    struct journal *journal;
    assert_int_equal(journal_create(&journal, path), ATTUNE_OK);
    return journal;
}

/* A header and RECORDS - 1 tests. */
static void write_journal(void)
{
    struct journal *journal = open_journal();
    assert_int_equal(journal_append(journal, "header", json_pack("{s:s}", "tool", "test")), ATTUNE_OK);
    for (int i = 1; i < RECORDS; i++)
        assert_int_equal(journal_append(journal, "test", json_pack("{s:i,s:s}", "number", i, "text", "a\nb \xc3\xa9")),
                         ATTUNE_OK);
    assert_int_equal(journal_flush(journal), ATTUNE_OK);
    journal_close(&journal);
    assert_null(journal);
}

static size_t load(char content[CONTENT_MAX])
{
    FILE *file = fopen(path, "rb");
    assert_non_null(file);
    size_t size = fread(content, 1, CONTENT_MAX, file);
    fclose(file);
    assert_true(size < CONTENT_MAX);
    return size;
}

static void save(const char *content, size_t size)
{
    FILE *file = fopen(path, "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(content, 1, size, file), size);
    fclose(file);
}

/* Counts records that are those of write_journal, in order; -1 once one is not. */
static bool count_records(void *priv, uint64_t sequence, const json_t *record)
{
    int *count = priv;
    const char *type = json_string_value(json_object_get(record, "type"));
    bool right = sequence == (uint64_t)*count && type;
    if (right && sequence == 0)
        right = !strcmp(type, "header") && !strcmp(json_string_value(json_object_get(record, "tool")), "test");
    else if (right)
        right = !strcmp(type, "test") && json_integer_value(json_object_get(record, "number")) == *count &&
                !strcmp(json_string_value(json_object_get(record, "text")), "a\nb \xc3\xa9");
    *count = right ? *count + 1 : -1;
    return right;
}

static attune_status read_back(int *count, bool *bad_tail)
{
    *count = 0;
    *bad_tail = true;
    return journal_read(path, count_records, count, bad_tail);
}

static void round_trip(void **state)
{
    (void)state;
    write_journal();
    struct stat info;
    assert_int_equal(stat(path, &info), 0);
    assert_int_equal(info.st_mode & 0777, 0600);
    char made[160];
    snprintf(made, sizeof made, "%s/made", folder);
    assert_int_equal(stat(made, &info), 0);
    assert_int_equal(info.st_mode & 0777, 0700);
    int count;
    bool bad_tail;
    assert_int_equal(read_back(&count, &bad_tail), ATTUNE_OK);
    assert_int_equal(count, RECORDS);
    assert_false(bad_tail);
}

static bool stop_at_two(void *priv, uint64_t sequence, const json_t *record)
{
    (void)record;
    ++*(int *)priv;
    return sequence < 1;
}

static void visitor_stops(void **state)
{
    (void)state;
    write_journal();
    int count = 0;
    assert_int_equal(journal_read(path, stop_at_two, &count, NULL), ATTUNE_OK);
    assert_int_equal(count, 2);
}

static void names(void **state)
{
    (void)state;
    struct journal *journal = open_journal();
    assert_string_equal(journal_id(journal), "run-1");
    assert_string_equal(journal_path(journal), path);
    journal_close(&journal);
    journal_close(&journal);
}

static void one_writer_and_no_overwriting(void **state)
{
    (void)state;
    struct journal *journal = open_journal(), *second;
    assert_int_equal(unlink(path), 0);
    assert_int_equal(journal_create(&second, path), ATTUNE_ERROR_IO);
    assert_null(second);
    assert_non_null(strstr(attune_last_error(), "lock"));
    journal_close(&journal);
    write_journal();
    assert_int_equal(journal_create(&second, path), ATTUNE_ERROR_IO);
    assert_null(second);
    int count;
    bool bad_tail;
    assert_int_equal(read_back(&count, &bad_tail), ATTUNE_OK);
    assert_int_equal(count, RECORDS);
}

static void header_comes_first(void **state)
{
    (void)state;
    struct journal *journal = open_journal();
    assert_int_equal(journal_append(journal, "test", json_object()), ATTUNE_ERROR_MISMATCH);
    assert_int_equal(journal_append(journal, "header", NULL), ATTUNE_ERROR_OUT_OF_MEMORY);
    assert_int_equal(journal_append(journal, "header", json_object()), ATTUNE_OK);
    assert_int_equal(journal_append(journal, "header", json_object()), ATTUNE_ERROR_MISMATCH);
    journal_close(&journal);
    char content[CONTENT_MAX + 1];
    content[load(content)] = '\0';
    assert_string_equal(strchr(content, '{'), "{\"type\":\"header\",\"version\":1}\n");
}

static size_t start_of_last(const char *content, size_t size)
{
    size_t at = size - 1;
    while (at > 0 && content[at - 1] != '\n')
        at--;
    return at;
}

/* Every cut: the whole records before it are read, and a rest is noticed. */
static void cut_at_every_byte(void **state)
{
    (void)state;
    write_journal();
    char content[CONTENT_MAX];
    size_t size = load(content);
    int whole = 0;
    for (size_t cut = 0; cut <= size; cut++) {
        bool boundary = cut == 0 || content[cut - 1] == '\n';
        whole += cut > 0 && boundary;
        save(content, cut);
        int count;
        bool bad_tail;
        assert_int_equal(read_back(&count, &bad_tail), ATTUNE_OK);
        if (count != whole || bad_tail == boundary)
            fail_msg("cut at %zu: %d records of %d, bad tail %d", cut, count, whole, bad_tail);
    }
    assert_int_equal(whole, RECORDS);
}

/* Every bit: in the last record a bad tail, before it an error; never a wrong record. */
static void flip_every_bit(void **state)
{
    (void)state;
    write_journal();
    char content[CONTENT_MAX];
    size_t size = load(content), last = start_of_last(content, size);
    for (size_t bit = 0; bit < 8 * size; bit++) {
        content[bit / 8] ^= (char)(1 << bit % 8);
        save(content, size);
        content[bit / 8] ^= (char)(1 << bit % 8);
        int count;
        bool bad_tail;
        attune_status status = read_back(&count, &bad_tail);
        /* Without the newline before it the last record is part of the damaged line. */
        bool tail = bit / 8 >= last - 1;
        if (count < 0 || count >= RECORDS || !bad_tail || status != (tail ? ATTUNE_OK : ATTUNE_ERROR_MISMATCH))
            fail_msg("bit %zu: status %d, %d records, bad tail %d", bit, status, count, bad_tail);
    }
}

/* Lines that are whole by themselves but not in their places. */
static void chain_is_checked(void **state)
{
    (void)state;
    write_journal();
    char content[CONTENT_MAX], changed[CONTENT_MAX];
    size_t size = load(content), starts[RECORDS + 1] = {0};
    for (size_t i = 0, record = 0; i < size; i++)
        if (content[i] == '\n')
            starts[++record] = i + 1;
    for (int out = 0; out < RECORDS - 1; out++) {
        size_t length = starts[out + 1] - starts[out];
        memcpy(changed, content, starts[out]);
        memcpy(changed + starts[out], content + starts[out + 1], size - starts[out + 1]);
        save(changed, size - length);
        int count;
        bool bad_tail;
        assert_int_equal(read_back(&count, &bad_tail), ATTUNE_ERROR_MISMATCH);
        assert_int_equal(count, out);
        assert_true(bad_tail);
    }
    memcpy(changed, content, size);
    memcpy(changed + size, content + starts[RECORDS - 1], size - starts[RECORDS - 1]);
    save(changed, 2 * size - starts[RECORDS - 1]);
    int count;
    bool bad_tail;
    assert_int_equal(read_back(&count, &bad_tail), ATTUNE_ERROR_MISMATCH);
    assert_int_equal(count, RECORDS);
}

static void save_record(const char *json)
{
    char body[256], line[320];
    snprintf(body, sizeof body, "0 0000000000000000 %s", json);
    snprintf(line, sizeof line, "%zu %08x %s\n", strlen(json), (unsigned)crc32c(0, body, strlen(body)), body);
    save(line, strlen(line));
}

static void wrong_headers(void **state)
{
    (void)state;
    write_journal();
    int count = 0;
    save_record("{\"type\":\"header\",\"version\":2}");
    assert_int_equal(journal_read(path, stop_at_two, &count, NULL), ATTUNE_ERROR_UNSUPPORTED);
    save_record("{\"type\":\"test\",\"version\":1}");
    assert_int_equal(journal_read(path, stop_at_two, &count, NULL), ATTUNE_ERROR_SYNTAX);
    save_record("{\"type\":\"header\",\"version\":\"1\"}");
    assert_int_equal(journal_read(path, stop_at_two, &count, NULL), ATTUNE_ERROR_SYNTAX);
    save_record("[1]");
    assert_int_equal(journal_read(path, stop_at_two, &count, NULL), ATTUNE_ERROR_MISMATCH);
    save_record("{\"type\":\"header\",\"version\":1,\"version\":1}");
    assert_int_equal(journal_read(path, stop_at_two, &count, NULL), ATTUNE_ERROR_MISMATCH);
    assert_int_equal(count, 0);
    save_record("{\"type\":\"header\",\"version\":1}");
    assert_int_equal(journal_read(path, stop_at_two, &count, NULL), ATTUNE_OK);
    assert_int_equal(count, 1);
}

static void unreadable_paths(void **state)
{
    (void)state;
    int count = 0;
    assert_int_equal(journal_read(path, count_records, &count, NULL), ATTUNE_ERROR_IO);
    assert_int_equal(journal_read(folder, count_records, &count, NULL), ATTUNE_ERROR_IO);
    struct journal *journal = open_journal();
    journal_close(&journal);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(mkfifo(path, 0600), 0);
    assert_int_equal(journal_read(path, count_records, &count, NULL), ATTUNE_ERROR_IO);
    assert_int_equal(journal_create(&journal, "/proc/attune/no.journal"), ATTUNE_ERROR_IO);
    assert_int_equal(count, 0);
}

/* A full disk, played by the limit of a file's size: an error each time, and a journal that ends with a whole record.
 */
static void full_disk(void **state)
{
    (void)state;
    pid_t child = fork();
    if (child == 0) {
        signal(SIGXFSZ, SIG_IGN);
        struct journal *journal;
        if (journal_create(&journal, path) || journal_append(journal, "header", json_pack("{s:s}", "tool", "test")))
            _exit(1);
        setrlimit(RLIMIT_FSIZE, &(struct rlimit){120, 120});
        json_t *record = json_pack("{s:i,s:s}", "number", 1, "text", "a\nb \xc3\xa9");
        if (journal_append(journal, "test", json_incref(record)) != ATTUNE_ERROR_IO ||
            journal_append(journal, "test", record) != ATTUNE_ERROR_IO || journal_flush(journal) != ATTUNE_ERROR_IO)
            _exit(2);
        journal_close(&journal);
        _exit(0);
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    int count;
    bool bad_tail;
    assert_int_equal(read_back(&count, &bad_tail), ATTUNE_OK);
    assert_int_equal(count, 1);
    assert_false(bad_tail);
}

static void long_record_is_refused(void **state)
{
    (void)state;
    struct journal *journal = open_journal();
    char *text = malloc(JOURNAL_RECORD_MAX + 1);
    assert_non_null(text);
    memset(text, 'x', JOURNAL_RECORD_MAX);
    text[JOURNAL_RECORD_MAX] = '\0';
    assert_int_equal(journal_append(journal, "header", json_pack("{s:s}", "text", text)), ATTUNE_ERROR_INVALID_SIZE);
    assert_int_equal(journal_append(journal, "header", json_object()), ATTUNE_OK);
    free(text);
    journal_close(&journal);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, make_folder, remove_folder)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(round_trip),         TEST(visitor_stops),     TEST(names),          TEST(one_writer_and_no_overwriting),
        TEST(header_comes_first), TEST(cut_at_every_byte), TEST(flip_every_bit), TEST(chain_is_checked),
        TEST(wrong_headers),      TEST(unreadable_paths),  TEST(full_disk),      TEST(long_record_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
