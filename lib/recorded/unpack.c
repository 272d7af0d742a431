/* SPDX-License-Identifier: Apache-2.0 */
#include "recorded.h"

#include <string.h>
#include <zlib.h>

#define CHUNK 65536
#define GZIP_HEADER (16 + MAX_WBITS) /* zlib: gzip and nothing else */

struct unpacking {
    struct strbuf *text;
    size_t num_values;
};

/* Every JSON value but the first of its array or object follows a comma. Those within strings only count for more. */
static attune_status append(struct unpacking *unpacking, const char *data, size_t size)
{
    if (size > RECORDED_MAX_BYTES - unpacking->text->length)
        return set_error(ATTUNE_ERROR_INVALID_SIZE, "the text is longer than %u bytes, the limit", RECORDED_MAX_BYTES);
    for (size_t i = 0; i < size; i++)
        unpacking->num_values += data[i] == ',' || data[i] == '[' || data[i] == '{';
    if (unpacking->num_values > RECORDED_MAX_JSON_VALUES)
        return set_error(ATTUNE_ERROR_INVALID_SIZE, "more than %d values, the limit", RECORDED_MAX_JSON_VALUES);
    strbuf_append(unpacking->text, data, size);
    return unpacking->text->failed ? set_error(ATTUNE_ERROR_OUT_OF_MEMORY, "out of memory for the text") : ATTUNE_OK;
}

static attune_status inflate_all(z_stream *stream, struct unpacking *unpacking)
{
    char chunk[CHUNK];
    for (;;) {
        stream->next_out = (Bytef *)chunk;
        stream->avail_out = CHUNK;
        int code = inflate(stream, Z_NO_FLUSH);
        if (code != Z_OK && code != Z_STREAM_END)
            return code == Z_MEM_ERROR
                       ? set_error(ATTUNE_ERROR_OUT_OF_MEMORY, "out of memory to unpack it")
                       : set_error(ATTUNE_ERROR_SYNTAX, "gzip: %s after %zu bytes of text",
                                   code == Z_BUF_ERROR ? "ends too early" : "damaged", unpacking->text->length);
        attune_status status = append(unpacking, chunk, CHUNK - stream->avail_out);
        if (status != ATTUNE_OK)
            return status;
        if (code != Z_STREAM_END)
            continue;
        if (!stream->avail_in)
            return ATTUNE_OK;
        inflateReset(stream); /* a file may be several, one after the other */
    }
}

attune_status recorded_unpack(const void *data, size_t size, struct strbuf *text)
{
    struct unpacking unpacking = {text, 0};
    const unsigned char *bytes = data;
    if (size > RECORDED_MAX_BYTES)
        return set_error(ATTUNE_ERROR_INVALID_SIZE, "%zu bytes long; the limit is %u", size, RECORDED_MAX_BYTES);
    if (size < 2 || bytes[0] != 0x1f || bytes[1] != 0x8b)
        return append(&unpacking, data, size);
    z_stream stream = {.next_in = (Bytef *)data, .avail_in = (uInt)size};
    if (inflateInit2(&stream, GZIP_HEADER) != Z_OK)
        return set_error(ATTUNE_ERROR_OUT_OF_MEMORY, "out of memory to unpack it");
    attune_status status = inflate_all(&stream, &unpacking);
    inflateEnd(&stream);
    return status;
}
