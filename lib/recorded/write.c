/* SPDX-License-Identifier: Apache-2.0
 * Kernel Tuner's cache file, one record a line, closed as it closes its own. */
#include "recorded.h"

#include "base/json.h"

#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include "cache/files.h"

#define GZIP_HEADER (16 + MAX_WBITS)
#define GZIP_MEMORY 8
#define CHUNK 65536

static const char *outcome_text(attune_outcome outcome)
{
    return outcome == ATTUNE_OUTCOME_INVALID        ? "InvalidConfig"
           : outcome == ATTUNE_OUTCOME_BUILD_FAILED ? "CompilationFailedConfig"
                                                    : "RuntimeFailedConfig";
}

static void put_json(struct strbuf *text, const json_t *value)
{
    char *dump = json_write(value, JSON_ENCODE_ANY | JSON_SORT_KEYS);
    text->failed = text->failed || !dump;
    if (dump)
        strbuf_append(text, dump, strlen(dump));
    free(dump);
}

static void put_string(struct strbuf *text, const char *string)
{
    json_t *value = json_string(string);
    if (!value)
        text->failed = true;
    else
        put_json(text, value);
    json_decref(value);
}

static void put_member(struct strbuf *text, const char *name, const char *string)
{
    put_string(text, name);
    strbuf_printf(text, ": ");
    put_string(text, string);
    strbuf_printf(text, ",\n");
}

static void put_conditions(struct strbuf *text, const attune_space *space)
{
    const char *comma = "";
    for (int32_t p = 0; p < space->num_params; p++) {
        const struct recorded_param *param = &space->params[p];
        if (param->parent < 0)
            continue;
        const struct recorded_param *parent = &space->params[param->parent];
        strbuf_printf(text, "%s", comma);
        put_string(text, param->name);
        strbuf_printf(text, ": [");
        put_string(text, parent->name);
        strbuf_printf(text, ", ");
        put_json(text, json_array_get(parent->values, (size_t)recorded_param_find_int(parent, param->parent_value)));
        strbuf_printf(text, "]");
        comma = ", ";
    }
}

/* What Kernel Tuner has no member for. */
static void put_own_header(struct strbuf *text, const attune_space *space)
{
    strbuf_printf(text, "\"attune\": {");
    if (space->simulated) {
        strbuf_printf(text, "\"simulated\": ");
        put_string(text, space->simulated);
        strbuf_printf(text, ", ");
    }
    strbuf_printf(text, "\"partial\": %s, \"conditions\": {", space->partial ? "true" : "false");
    put_conditions(text, space);
    strbuf_printf(text, "}},\n");
}

static void put_header(struct strbuf *text, const attune_space *space)
{
    strbuf_printf(text, "{\n");
    put_member(text, "device_name", space->device);
    put_member(text, "kernel_name", space->kernel);
    strbuf_printf(text, "\"problem_size\": ");
    if (space->problem_size)
        put_json(text, space->problem_size);
    else
        strbuf_printf(text, "null");
    strbuf_printf(text, ",\n\"tune_params_keys\": [");
    for (int32_t p = 0; p < space->num_params; p++) {
        strbuf_printf(text, "%s", p ? ", " : "");
        put_string(text, space->params[p].name);
    }
    strbuf_printf(text, "],\n\"tune_params\": {");
    for (int32_t p = 0; p < space->num_params; p++) {
        strbuf_printf(text, "%s", p ? ",\n" : "\n");
        put_string(text, space->params[p].name);
        strbuf_printf(text, ": ");
        put_json(text, space->params[p].values);
    }
    strbuf_printf(text, "\n},\n\"objective\": \"time\",\n");
    put_own_header(text, space);
}

static void put_number(struct strbuf *text, double value)
{
    char number[32];
    format_double(value, number);
    strbuf_printf(text, "%s", number);
}

static void put_key(struct strbuf *text, const attune_space *space, const int32_t *numbers)
{
    struct strbuf key = {0};
    for (int32_t p = 0; p < space->num_params; p++)
        strbuf_printf(&key, "%s%s", p ? "," : "", space->params[p].texts[numbers[p]]);
    if (key.failed)
        text->failed = true;
    else
        put_string(text, key.text);
    strbuf_free(&key);
}

static void put_record(struct strbuf *text, const attune_space *space, int32_t i)
{
    static const char *const costs[RECORDED_NUM_COSTS] = {"compile_time", "verification_time", "benchmark_time"};
    int32_t numbers[RECORDED_MAX_PARAMS];
    for (int32_t p = 0; p < space->num_params; p++)
        numbers[p] = recorded_param_find_int(&space->params[p],
                                             space->values[(size_t)i * (size_t)space->num_params + (size_t)p]);
    put_key(text, space, numbers);
    strbuf_printf(text, ": {");
    for (int32_t p = 0; p < space->num_params; p++) {
        put_string(text, space->params[p].name);
        strbuf_printf(text, ": ");
        put_json(text, json_array_get(space->params[p].values, (size_t)numbers[p]));
        strbuf_printf(text, ", ");
    }
    strbuf_printf(text, "\"time\": ");
    attune_outcome outcome = (attune_outcome)space->outcome[i];
    if (outcome == ATTUNE_OUTCOME_OK)
        put_number(text, space->time_ms[i]);
    else
        put_string(text, outcome_text(outcome));
    size_t first = space->first_sample[i], end = space->first_sample[i + 1];
    for (size_t s = first; s < end; s++) {
        strbuf_printf(text, s == first ? ", \"times\": [" : ", ");
        put_number(text, space->samples[s]);
    }
    strbuf_printf(text, end > first ? "]" : "");
    for (int c = 0; c < RECORDED_NUM_COSTS; c++)
        if (space->costs[i][c] >= 0) {
            strbuf_printf(text, ", \"%s\": ", costs[c]);
            put_number(text, space->costs[i][c]);
        }
    strbuf_printf(text, "}");
}

static void put_space(struct strbuf *text, const attune_space *space)
{
    put_header(text, space);
    strbuf_printf(text, "\"cache\": {");
    for (int32_t i = 0; i < space->count; i++) {
        strbuf_printf(text, "%s", i ? ",\n" : "\n");
        put_record(text, space, i);
    }
    strbuf_printf(text, "}\n}");
}

static void pack_gzip(struct strbuf *packed, const struct strbuf *text)
{
    z_stream stream = {.next_in = (Bytef *)text->text, .avail_in = (uInt)text->length};
    if (deflateInit2(&stream, Z_BEST_COMPRESSION, Z_DEFLATED, GZIP_HEADER, GZIP_MEMORY, Z_DEFAULT_STRATEGY) != Z_OK) {
        packed->failed = true;
        return;
    }
    char chunk[CHUNK];
    int code;
    do {
        stream.next_out = (Bytef *)chunk;
        stream.avail_out = CHUNK;
        code = deflate(&stream, Z_FINISH);
        strbuf_append(packed, chunk, CHUNK - stream.avail_out);
    } while (code == Z_OK);
    packed->failed = packed->failed || code != Z_STREAM_END;
    deflateEnd(&stream);
}

static attune_status put_file(const char *path, const struct strbuf *data)
{
    const char *slash = strrchr(path, '/');
    char *folder = slash ? strndup(path, slash == path ? 1 : (size_t)(slash - path)) : strdup(".");
    if (!folder)
        return set_error(ATTUNE_ERROR_OUT_OF_MEMORY, "out of memory to write %s", path);
    attune_status status = file_put(folder, slash ? slash + 1 : path, data->text, data->length);
    free(folder);
    return status;
}

attune_status recorded_format(const attune_space *space, bool gzip, struct strbuf *out)
{
    struct strbuf text = {0};
    put_space(&text, space);
    if (!text.failed && text.length > RECORDED_MAX_BYTES) {
        size_t length = text.length;
        strbuf_free(&text);
        return set_error(ATTUNE_ERROR_INVALID_SIZE, "the text has %zu bytes; the limit is %u", length,
                         RECORDED_MAX_BYTES);
    }
    if (gzip && !text.failed) {
        pack_gzip(out, &text);
        strbuf_free(&text);
    } else
        *out = text;
    if (!out->failed)
        return ATTUNE_OK;
    strbuf_free(out);
    return set_error(ATTUNE_ERROR_OUT_OF_MEMORY, "out of memory for the text");
}

attune_status attune_space_save(const attune_space *space, const char *path)
{
    if (!space || !path)
        return set_error(ATTUNE_ERROR_NULL_ARGUMENT, "%s is NULL", !space ? "space" : "path");
    struct strbuf data = {0};
    size_t length = strlen(path);
    attune_status status = recorded_format(space, length >= 3 && !strcmp(path + length - 3, ".gz"), &data);
    if (status != ATTUNE_OK)
        return set_error(status, "%s: %s", path, attune_last_error());
    status = put_file(path, &data);
    strbuf_free(&data);
    return status;
}
