/* SPDX-License-Identifier: Apache-2.0
 * Recorded spaces: what is read from Kernel Tuner's variants, what is refused, and what is written. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

#include "recorded/recorded.h"

#define HEADER                                                                                                       \
    "{\"device_name\": \"d\", \"kernel_name\": \"k\", \"problem_size\": [8], \"tune_params_keys\": [\"x\", \"y\"], " \
    "\"tune_params\": {\"x\": [1, 2, 4], \"y\": [0, 1]}, "
#define RECORD "\"1,0\": {\"x\": 1, \"y\": 0, \"time\": 2.5, \"times\": [2, 3]}"
#define SECOND "\"4,1\": {\"x\": 4, \"y\": 1, \"time\": \"RuntimeFailedConfig\"}"
#define FILE_OF(records) HEADER "\"cache\": {" records "}}"

static attune_space *parse(const char *text)
{
    attune_space *space = NULL;
    if (recorded_parse("file", text, strlen(text), &space) != ATTUNE_OK)
        fail_msg("%s: %s", text, attune_last_error());
    return space;
}

static void expect(const attune_space *space, const int32_t *values, attune_outcome outcome, double time)
{
    attune_space_config config;
    assert_int_equal(attune_space_find(space, values, &config), 1);
    assert_int_equal(config.outcome, outcome);
    assert_true(config.time_ms == time);
}

static void a_file_is_read(void **state)
{
    (void)state;
    attune_space *space = parse(HEADER "\"objective\": \"time\", \"more\": {\"a\": [1]}, \"cache\": {" RECORD
                                       ", " SECOND ", \"2,1\": {\"y\": 1, \"x\": 2, \"time\": 1.5, \"GFLOP/s\": 3}}}");
    attune_space_info info;
    attune_space_describe(space, &info);
    assert_string_equal(info.device, "d");
    assert_string_equal(info.kernel, "k");
    assert_null(info.simulated);
    assert_true(info.num_params == 2 && info.num_configs == 3 && info.num_failed == 1 && !info.partial);
    assert_true(info.optimum_ms == 1.5 && info.median_ms == 2.5 && info.slowest_ms == 2.5);
    assert_string_equal(info.params[0].name, "x");
    assert_int_equal(info.params[0].num_values, 3);
    assert_int_equal(info.params[0].values[2], 4);
    expect(space, (int32_t[]){1, 0}, ATTUNE_OUTCOME_OK, 2.5);
    expect(space, (int32_t[]){2, 1}, ATTUNE_OUTCOME_OK, 1.5);
    expect(space, (int32_t[]){4, 1}, ATTUNE_OUTCOME_FAILED, 0);
    assert_int_equal(attune_space_contains(space, 0, (int32_t[]){4, 0}), 0);
    attune_space_config config;
    assert_int_equal(attune_space_at(space, 0, &config), ATTUNE_OK);
    assert_true(config.num_samples == 2 && config.samples_ms[1] == 3);
    assert_int_equal(attune_space_at(space, 3, &config), ATTUNE_ERROR_INVALID_SIZE);
    assert_string_equal(attune_space_value_text(space, 0, 4), "4");
    assert_null(attune_space_value_text(space, 0, 3));
    attune_space_close(&space);
    assert_null(space);
    attune_space_close(&space);
}

/* What Kernel Tuner's versions wrote. */
static void variants_are_read(void **state)
{
    (void)state;
    static const struct {
        const char *record;
        attune_outcome outcome;
    } records[] = {
        {"\"time\": 7", ATTUNE_OUTCOME_OK},
        {"\"time\": 7, \"times\": null", ATTUNE_OUTCOME_OK},
        {"\"time\": 7, \"times\": []", ATTUNE_OUTCOME_OK},
        {"\"time\": \"CompilationFailedConfig\"", ATTUNE_OUTCOME_BUILD_FAILED},
        {"\"time\": \"RuntimeFailedConfig\", \"times\": []", ATTUNE_OUTCOME_FAILED},
        {"\"time\": \"InvalidConfig\"", ATTUNE_OUTCOME_INVALID},
        {"\"__error__\": \"CompilationFailedConfig\"", ATTUNE_OUTCOME_BUILD_FAILED},
        {"\"time\": \"InvalidConfig\", \"__error__\": \"InvalidConfig\"", ATTUNE_OUTCOME_INVALID},
        {"\"time\": \"ErrorConfig\"", ATTUNE_OUTCOME_FAILED},
        {"\"time\": 1e20", ATTUNE_OUTCOME_FAILED},
    };
    for (size_t i = 0; i < sizeof records / sizeof *records; i++) {
        char text[1024];
        snprintf(text, sizeof text, HEADER "\"cache\": {\"2,1\": {\"x\": 2, \"y\": 1, %s}}}", records[i].record);
        attune_space *space = parse(text);
        expect(space, (int32_t[]){2, 1}, records[i].outcome, records[i].outcome ? 0 : 7);
        attune_space_close(&space);
    }
}

static void an_unfinished_file_is_read(void **state)
{
    (void)state;
    static const char *const ends[] = {",", ",\n", ", \r\n\t"};
    for (size_t i = 0; i < 3; i++) {
        char text[1024];
        snprintf(text, sizeof text, "%s%s", HEADER "\"cache\": {" RECORD, ends[i]);
        attune_space *space = parse(text);
        assert_int_equal(space->count, 1);
        attune_space_close(&space);
    }
}

static void values_of_any_type(void **state)
{
    (void)state;
    attune_space *space = parse(
        "{\"device_name\": \"d\", \"kernel_name\": \"k\", \"tune_params_keys\": [\"s\", \"f\", \"b\", \"w\"], "
        "\"tune_params\": {\"s\": [\"a\", \"a,b\"], \"f\": [0.5, 1.0, 3], \"b\": [true, false], \"w\": [2.0, -7]}, "
        "\"cache\": {\"a,b,1.0,False,2.0\": {\"s\": \"a,b\", \"f\": 1, \"b\": false, \"w\": 2, \"time\": 1}, "
        "\"a,0.5,1,-7\": {\"s\": \"a\", \"f\": 0.5, \"b\": true, \"w\": -7, \"time\": 2}}}");
    expect(space, (int32_t[]){1, 1, 0, 2}, ATTUNE_OUTCOME_OK, 1);
    expect(space, (int32_t[]){0, 0, 1, -7}, ATTUNE_OUTCOME_OK, 2);
    assert_string_equal(attune_space_value_text(space, 0, 1), "a,b");
    assert_string_equal(attune_space_value_text(space, 1, 2), "3");
    assert_string_equal(attune_space_value_text(space, 2, 0), "False");
    attune_space_close(&space);
}

static const struct {
    const char *text, *names;
} hostile[] = {
    {"", "expected"},
    {"[]", "not a JSON object"},
    {"null", "expected"},
    {"{}", "device_name"},
    {FILE_OF(RECORD) "x", "end of file expected"},
    {HEADER "\"cache\": {" RECORD, "line 1"},
    {HEADER "\"cache\": {\"1,0\": {\"x\": 1, \"y\": 0, \"time\": 2.5, \"times\": [2,", "line 1"},
    {HEADER "\"cache\": {\"1,0\": {\"x\": 1, \"y\": {},", "line 1"},
    {HEADER "\"tune\": {},", "line 1"},
    {HEADER, "line 1"},
    {HEADER "\"cache\": {}}", "at least one"},
    {HEADER "\"cache\": []}", "\"cache\""},
    {HEADER "\"objective\": \"GFLOP/s\", \"cache\": {" RECORD "}}", "objective"},
    {HEADER "\"objective\": 1, \"cache\": {" RECORD "}}", "objective"},
    {HEADER "\"device_name\": \"e\", \"cache\": {" RECORD "}}", "duplicate"},
    {FILE_OF(RECORD ", " RECORD), "duplicate"},
    {FILE_OF("\"1,0\": {\"x\": 1, \"x\": 1, \"y\": 0, \"time\": 1}"), "duplicate"},
    {FILE_OF(RECORD ", \"1,0.0\": {\"x\": 1, \"y\": 0, \"time\": 1}"), "twice"},
    {FILE_OF("\"1,0\": {\"x\": 1, \"y\": 0, \"time\": NaN}"), "NaN"},
    {FILE_OF("\"1,0\": {\"x\": 1, \"y\": 0, \"time\": Infinity}"), "Infinity"},
    {FILE_OF("\"1,0\": {\"x\": 1, \"y\": 0, \"time\": 1e999}"), "overflow"},
    {FILE_OF("\"1,0\": {\"x\": 1, \"y\": 0, \"time\": 0}"), "time"},
    {FILE_OF("\"1,0\": {\"x\": 1, \"y\": 0, \"time\": -1.5}"), "time"},
    {FILE_OF("\"1,0\": {\"x\": 1, \"y\": 0, \"time\": \"fast\"}"), "time"},
    {FILE_OF("\"1,0\": {\"x\": 1, \"y\": 0, \"time\": [1]}"), "time"},
    {FILE_OF("\"1,0\": {\"x\": 1, \"y\": 0, \"time\": null}"), "time"},
    {FILE_OF("\"1,0\": {\"x\": 1, \"y\": 0}"), "time"},
    {FILE_OF("\"1,0\": {\"x\": 1, \"y\": 0, \"time\": 1, \"__error__\": \"Tired\"}"), "__error__"},
    {FILE_OF("\"1,0\": {\"x\": 1, \"y\": 0, \"time\": 1, \"times\": 1}"), "times"},
    {FILE_OF("\"1,0\": {\"x\": 1, \"y\": 0, \"time\": 1, \"times\": [1, -1]}"), "times[1]"},
    {FILE_OF("\"1,0\": {\"x\": 1, \"y\": 0, \"time\": 1, \"times\": [\"1\"]}"), "times[0]"},
    {FILE_OF("\"1,0\": {\"x\": 1, \"time\": 1}"), "\"y\" is missing"},
    {FILE_OF("\"3,0\": {\"x\": 3, \"y\": 0, \"time\": 1}"), "\"x\" has a value"},
    {FILE_OF("\"1,0\": {\"x\": \"1\", \"y\": 0, \"time\": 1}"), "\"x\" has a value"},
    {FILE_OF("\"1,0\": {\"x\": 1.5, \"y\": 0, \"time\": 1}"), "\"x\" has a value"},
    {FILE_OF("\"1,0\": {\"x\": {}, \"y\": 0, \"time\": 1}"), "\"x\" has a value"},
    {FILE_OF("\"2,0\": {\"x\": 1, \"y\": 0, \"time\": 1}"), "key"},
    {FILE_OF("\"1,0,\": {\"x\": 1, \"y\": 0, \"time\": 1}"), "key"},
    {FILE_OF("\"1\": {\"x\": 1, \"y\": 0, \"time\": 1}"), "key"},
    {FILE_OF("\"\": {\"x\": 1, \"y\": 0, \"time\": 1}"), "key"},
    {FILE_OF("\"1,0\": 5"), "not an object"},
    {FILE_OF("\"1\\u0000,0\": {\"x\": 1, \"y\": 0, \"time\": 1}"), "line 1"},
    {FILE_OF("\"1,\xff\": {\"x\": 1, \"y\": 0, \"time\": 1}"), "0xff"},
    {HEADER "\"attune\": 1, \"cache\": {" RECORD "}}", "attune"},
    {HEADER "\"attune\": {\"partial\": 1}, \"cache\": {" RECORD "}}", "partial"},
    {HEADER "\"attune\": {\"simulated\": 1}, \"cache\": {" RECORD "}}", "simulated"},
    {HEADER "\"attune\": {\"conditions\": {\"z\": [\"x\", 1]}}, \"cache\": {" RECORD "}}", "\"z\""},
    {HEADER "\"attune\": {\"conditions\": {\"x\": [\"y\", 1]}}, \"cache\": {" RECORD "}}", "\"x\""},
    {HEADER "\"attune\": {\"conditions\": {\"y\": [\"x\", 3]}}, \"cache\": {" RECORD "}}", "\"y\""},
    {HEADER "\"attune\": {\"conditions\": {\"y\": \"x\"}}, \"cache\": {" RECORD "}}", "\"y\""},
    {HEADER "\"attune\": {\"conditions\": {\"y\": [\"x\", 2]}}, \"cache\": {" SECOND "}}", "\"y\" means nothing"},
};

/* Headers of their own. */
#define WITH(keys, params)                                                                                      \
    "{\"device_name\": \"d\", \"kernel_name\": \"k\", \"tune_params_keys\": " keys ", \"tune_params\": " params \
    ", \"cache\": {" RECORD "}}"

static const struct {
    const char *text, *names;
} hostile_headers[] = {
    {"{\"device_name\": 1, \"kernel_name\": \"k\"}", "device_name"},
    {"{\"device_name\": \"d\", \"kernel_name\": null}", "kernel_name"},
    {WITH("[]", "{}"), "tune_params_keys"},
    {WITH("\"xy\"", "{\"x\": [1], \"y\": [0]}"), "tune_params_keys"},
    {WITH("[\"x\", 1]", "{\"x\": [1], \"y\": [0]}"), "tune_params_keys[1]"},
    {WITH("[\"x\", \"x\"]", "{\"x\": [1], \"y\": [0]}"), "twice"},
    {WITH("[\"x\", \"y\"]", "{\"x\": [1]}"), "tune_params"},
    {WITH("[\"x\", \"y\"]", "{\"x\": [1], \"z\": [0]}"), "\"y\""},
    {WITH("[\"x\", \"y\"]", "[[1], [0]]"), "tune_params"},
    {WITH("[\"x\", \"y\"]", "{\"x\": 1, \"y\": [0]}"), "\"x\" must be an array"},
    {WITH("[\"x\", \"y\"]", "{\"x\": [], \"y\": [0]}"), "\"x\" must be an array of 1 to 65535"},
    {WITH("[\"x\", \"y\"]", "{\"x\": [1, null], \"y\": [0]}"), "\"x\" has a value that is no"},
    {WITH("[\"x\", \"y\"]", "{\"x\": [1, [2]], \"y\": [0]}"), "\"x\" has a value that is no"},
    {WITH("[\"x\", \"y\"]", "{\"x\": [1, 2, 1.0], \"y\": [0]}"), "twice"},
    {WITH("[\"x\", \"y\"]", "{\"x\": [\"a\", \"a\"], \"y\": [0]}"), "twice"},
};

static void expect_refused(const void *data, size_t size, const char *names)
{
    attune_space *space = (attune_space *)&space;
    attune_status status = recorded_parse("file", data, size, &space);
    if (status == ATTUNE_OK)
        fail_msg("accepted, though %s is wrong: %.300s", names, (const char *)data);
    if (!strstr(attune_last_error(), names) || strncmp(attune_last_error(), "file: ", 6) != 0)
        fail_msg("\"%s\" does not name the file and %s: %.300s", attune_last_error(), names, (const char *)data);
}

static void nonsense_is_refused(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof hostile / sizeof *hostile; i++)
        expect_refused(hostile[i].text, strlen(hostile[i].text), hostile[i].names);
    for (size_t i = 0; i < sizeof hostile_headers / sizeof *hostile_headers; i++)
        expect_refused(hostile_headers[i].text, strlen(hostile_headers[i].text), hostile_headers[i].names);
}

/* Every prefix of a file is refused, or is the file of its first records. */
static void cut_files(void **state)
{
    (void)state;
    const char *text = FILE_OF(RECORD ", " SECOND);
    int32_t read = 0;
    for (size_t size = 0; size < strlen(text); size++) {
        attune_space *space = NULL;
        if (recorded_parse("file", text, size, &space) == ATTUNE_OK) {
            assert_int_equal(space->count, 1);
            expect(space, (int32_t[]){1, 0}, ATTUNE_OUTCOME_OK, 2.5);
            read++;
        }
        attune_space_close(&space);
    }
    assert_int_equal(read, 2); /* behind the first record's comma, and the space after it */
}

/* ---- sizes */

static void too_many_of_something(void **state)
{
    (void)state;
    struct strbuf keys = {0}, values = {0}, text = {0};
    for (int i = 0; i < RECORDED_MAX_PARAMS + 1; i++)
        strbuf_printf(&keys, "%s\"p%d\"", i ? "," : "", i);
    strbuf_printf(&text, "{\"device_name\": \"d\", \"kernel_name\": \"k\", \"tune_params_keys\": [%s]}", keys.text);
    expect_refused(text.text, text.length, "1 to 128");
    strbuf_free(&text);
    for (int i = 0; i < RECORDED_MAX_VALUES + 1; i++)
        strbuf_printf(&values, "%s%d", i ? "," : "", i);
    strbuf_printf(&text,
                  "{\"device_name\": \"d\", \"kernel_name\": \"k\", \"tune_params_keys\": [\"x\"], \"tune_params\": "
                  "{\"x\": [%s]}}",
                  values.text);
    expect_refused(text.text, text.length, "1 to 65535");
    strbuf_free(&keys);
    strbuf_free(&values);
    strbuf_free(&text);
}

static void nesting_is_bounded(void **state)
{
    (void)state;
    size_t size = 4 << 20;
    char *text = malloc(size);
    memset(text, '[', size);
    expect_refused(text, size, "nested deeper than 2048 levels");
    free(text);
}

/* So many MiB of c in gzip: a member a MiB. */
static void pack_repeated(char c, int count, struct strbuf *out)
{
    static char block[1 << 20];
    char packed[8192];
    memset(block, c, sizeof block);
    z_stream stream = {
        .next_in = (Bytef *)block, .avail_in = sizeof block, .next_out = (Bytef *)packed, .avail_out = sizeof packed};
    assert_int_equal(deflateInit2(&stream, 9, Z_DEFLATED, 16 + MAX_WBITS, 8, Z_DEFAULT_STRATEGY), Z_OK);
    assert_int_equal(deflate(&stream, Z_FINISH), Z_STREAM_END);
    for (int i = 0; i < count; i++)
        strbuf_append(out, packed, sizeof packed - stream.avail_out);
    deflateEnd(&stream);
}

/* Two gigabytes of nesting end after their first 16 MiB, one of spaces at the limit of the text. */
static void bombs_are_bounded(void **state)
{
    (void)state;
    struct strbuf bomb = {0};
    pack_repeated('[', 2048, &bomb);
    assert_true(bomb.length < 4 << 20);
    expect_refused(bomb.text, bomb.length, "more than 16777216 values");
    strbuf_free(&bomb);
    pack_repeated(' ', (RECORDED_MAX_BYTES >> 20) + 1, &bomb);
    expect_refused(bomb.text, bomb.length, "longer than 536870912 bytes");
    strbuf_free(&bomb);
}

static void damaged_gzip(void **state)
{
    (void)state;
    attune_space *space = parse(FILE_OF(RECORD ", " SECOND)), *again = NULL;
    struct strbuf packed = {0};
    assert_int_equal(recorded_format(space, true, &packed), ATTUNE_OK);
    assert_int_equal(recorded_parse("file", packed.text, packed.length, &again), ATTUNE_OK);
    attune_space_close(&again);
    expect_refused(packed.text, packed.length - 1, "gzip: ends too early");
    expect_refused(packed.text, 20, "gzip: ends too early");
    expect_refused(packed.text, 2, "gzip: ends too early");
    packed.text[packed.length - 6] ^= 1; /* of the checksum */
    expect_refused(packed.text, packed.length, "gzip: damaged");
    packed.text[packed.length - 6] ^= 1;
    strbuf_append(&packed, "rest", 4);
    expect_refused(packed.text, packed.length, "gzip: damaged");
    strbuf_free(&packed);
    attune_space_close(&space);
}

/* ---- files */

static char folder[] = "/tmp/attune-recorded-XXXXXX";

static int make_folder(void **state)
{
    (void)state;
    return mkdtemp(folder) ? 0 : -1;
}

static int remove_folder(void **state)
{
    (void)state;
    return rmdir(folder);
}

static const char *in_folder(const char *name)
{
    static char path[200];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    return path;
}

static void check_equal(const attune_space *a, const attune_space *b)
{
    attune_space_info x, y;
    attune_space_describe(a, &x);
    attune_space_describe(b, &y);
    assert_string_equal(x.device, y.device);
    assert_string_equal(x.kernel, y.kernel);
    assert_int_equal(x.partial, y.partial);
    assert_true((!x.simulated && !y.simulated) || !strcmp(x.simulated, y.simulated));
    assert_true(x.num_configs == y.num_configs && x.num_params == y.num_params);
    for (size_t p = 0; p < x.num_params; p++) {
        assert_string_equal(x.params[p].name, y.params[p].name);
        assert_int_equal(x.params[p].num_values, y.params[p].num_values);
        assert_true(!x.params[p].parent == !y.params[p].parent);
        assert_int_equal(x.params[p].parent_value, y.params[p].parent_value);
        for (int32_t v = 0; v < x.params[p].num_values; v++)
            assert_string_equal(attune_space_value_text(a, p, x.params[p].values[v]),
                                attune_space_value_text(b, p, y.params[p].values[v]));
    }
    for (size_t i = 0; i < x.num_configs; i++) {
        attune_space_config p, q;
        attune_space_at(a, i, &p);
        attune_space_at(b, i, &q);
        assert_memory_equal(p.values, q.values, x.num_params * sizeof *p.values);
        assert_true(p.outcome == q.outcome && p.time_ms == q.time_ms && p.num_samples == q.num_samples);
        for (size_t s = 0; s < p.num_samples; s++)
            assert_true(p.samples_ms[s] == q.samples_ms[s]);
        assert_memory_equal(a->costs[i], b->costs[i], sizeof a->costs[i]);
    }
}

#define CONDITIONAL                                                                                                    \
    "{\"device_name\": \"d \\\" \xc3\xa9\", \"kernel_name\": \"k\", \"problem_size\": [3, null], "                     \
    "\"tune_params_keys\": [\"s\", \"x\", \"f\"], \"tune_params\": {\"s\": [\"a\", \"b,c\"], \"x\": [3, 1], "          \
    "\"f\": [0.1, true]}, \"attune\": {\"simulated\": \"pocl\", \"partial\": true, \"conditions\": {\"x\": [\"s\", "   \
    "\"b,c\"]}}, \"cache\": {\"a,3,0.1\": {\"s\": \"a\", \"x\": 3, \"f\": 0.1, \"time\": 0.1, \"times\": [0.1, 0.3], " \
    "\"compile_time\": 1.25, \"benchmark_time\": 3}, \"b,c,1,True\": {\"s\": \"b,c\", \"x\": 1, \"f\": true, "         \
    "\"time\": \"CompilationFailedConfig\"}}}"

static void what_is_written_is_read_again(void **state)
{
    (void)state;
    static const char *const texts[] = {FILE_OF(RECORD ", " SECOND), CONDITIONAL};
    static const char *const names[] = {"plain.json", "packed.json.gz"};
    for (size_t i = 0; i < 4; i++) {
        attune_space *space = parse(texts[i / 2]), *again = NULL;
        const char *path = in_folder(names[i % 2]);
        assert_int_equal(attune_space_save(space, path), ATTUNE_OK);
        if (attune_space_open(path, &again) != ATTUNE_OK)
            fail_msg("%s", attune_last_error());
        check_equal(space, again);
        FILE *file = fopen(path, "rb");
        assert_int_equal(fgetc(file), i % 2 ? 0x1f : '{');
        fclose(file);
        attune_space_close(&space);
        attune_space_close(&again);
    }
    unlink(in_folder("plain.json"));
    unlink(in_folder("packed.json.gz"));
}

static void a_conditional_space(void **state)
{
    (void)state;
    attune_space *space = parse(CONDITIONAL);
    attune_space_info info;
    attune_space_describe(space, &info);
    assert_int_equal(info.partial, 1);
    assert_string_equal(info.simulated, "pocl");
    assert_null(info.params[0].parent);
    assert_string_equal(info.params[1].parent, "s");
    assert_int_equal(info.params[1].parent_value, 1);
    attune_space_close(&space);
}

static void files_that_cannot_be(void **state)
{
    (void)state;
    attune_space *space = NULL;
    assert_int_equal(attune_space_open(in_folder("none"), &space), ATTUNE_ERROR_IO);
    assert_non_null(strstr(attune_last_error(), strerror(ENOENT)));
    assert_int_equal(attune_space_open(folder, &space), ATTUNE_ERROR_IO);
    assert_non_null(strstr(attune_last_error(), "not a regular file"));
    assert_int_equal(mkfifo(in_folder("fifo"), 0600), 0);
    assert_int_equal(attune_space_open(in_folder("fifo"), &space), ATTUNE_ERROR_IO); /* and does not wait */
    assert_non_null(strstr(attune_last_error(), "not a regular file"));
    unlink(in_folder("fifo"));
    FILE *file = fopen(in_folder("sparse"), "w");
    assert_int_equal(ftruncate(fileno(file), (off_t)2 << 30), 0);
    fclose(file);
    assert_int_equal(attune_space_open(in_folder("sparse"), &space), ATTUNE_ERROR_INVALID_SIZE);
    assert_non_null(strstr(attune_last_error(), "limit is 536870912"));
    unlink(in_folder("sparse"));
    file = fopen(in_folder("control"), "w");
    fputs(FILE_OF("\"\\u001b[31m\": {\"x\": 1, \"y\": 0, \"time\": 1}"), file);
    fclose(file);
    assert_int_equal(attune_space_open(in_folder("control"), &space), ATTUNE_ERROR_SYNTAX);
    for (const char *at = attune_last_error(); *at; at++)
        assert_in_range((unsigned char)*at, 0x20, 0x7e);
    unlink(in_folder("control"));
    assert_int_equal(attune_space_open(NULL, &space), ATTUNE_ERROR_NULL_ARGUMENT);
    assert_int_equal(attune_space_open("x", NULL), ATTUNE_ERROR_NULL_ARGUMENT);
    assert_null(space);
    space = parse(FILE_OF(RECORD));
    assert_int_equal(attune_space_save(space, "/nowhere/at/all"), ATTUNE_ERROR_IO);
    assert_int_equal(attune_space_save(space, NULL), ATTUNE_ERROR_NULL_ARGUMENT);
    attune_space_close(&space);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_file_is_read),
        cmocka_unit_test(variants_are_read),
        cmocka_unit_test(an_unfinished_file_is_read),
        cmocka_unit_test(values_of_any_type),
        cmocka_unit_test(nonsense_is_refused),
        cmocka_unit_test(cut_files),
        cmocka_unit_test(too_many_of_something),
        cmocka_unit_test(nesting_is_bounded),
        cmocka_unit_test(bombs_are_bounded),
        cmocka_unit_test(damaged_gzip),
        cmocka_unit_test(what_is_written_is_read_again),
        cmocka_unit_test(a_conditional_space),
        cmocka_unit_test(files_that_cannot_be),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
