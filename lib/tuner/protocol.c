/* SPDX-License-Identifier: Apache-2.0 */
#include "protocol.h"

#include "base/json.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

static bool send_all(int socket, const void *data, size_t size)
{
    const char *at = data;
    while (size) {
        ssize_t sent = send(socket, at, size, MSG_NOSIGNAL);
        if (sent < 0 && errno == EINTR)
            continue;
        if (sent <= 0)
            return false;
        at += sent;
        size -= (size_t)sent;
    }
    return true;
}

bool frame_send(int socket, const json_t *message)
{
    char *text = json_write(message, JSON_COMPACT);
    if (!text)
        return false;
    size_t length = strlen(text);
    uint32_t header = (uint32_t)length;
    bool ok =
        length <= PROTOCOL_FRAME_MAX && send_all(socket, &header, sizeof header) && send_all(socket, text, length);
    free(text);
    return ok;
}

/* Takes the first frame out of the buffer, if it is whole. */
static enum frame_result take_frame(struct strbuf *buffer, json_t **message)
{
    uint32_t length;
    if (buffer->length < sizeof length)
        return FRAME_PARTIAL;
    memcpy(&length, buffer->text, sizeof length);
    if (length > PROTOCOL_FRAME_MAX)
        return FRAME_BROKEN;
    size_t size = sizeof length + length;
    if (buffer->length < size)
        return FRAME_PARTIAL;
    *message = json_read(buffer->text + sizeof length, length, JSON_REJECT_DUPLICATES, NULL);
    memmove(buffer->text, buffer->text + size, buffer->length - size);
    buffer->length -= size;
    return json_is_object(*message) ? FRAME_READY : FRAME_BROKEN;
}

enum frame_result frame_receive(struct frame_reader *reader, int socket, bool dont_wait, json_t **message)
{
    *message = NULL;
    for (;;) {
        enum frame_result result = take_frame(&reader->buffer, message);
        if (result == FRAME_BROKEN)
            json_decref(*message);
        if (result != FRAME_PARTIAL)
            return result;
        char chunk[4096];
        ssize_t got = recv(socket, chunk, sizeof chunk, dont_wait ? MSG_DONTWAIT : 0);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
            return FRAME_PARTIAL;
        if (got <= 0)
            return FRAME_END;
        strbuf_append(&reader->buffer, chunk, (size_t)got);
        if (reader->buffer.failed)
            return FRAME_BROKEN;
    }
}

void frame_reader_reset(struct frame_reader *reader)
{
    strbuf_free(&reader->buffer);
}

void poison_fill(uint64_t seed, void *data, size_t size)
{
    struct rng rng;
    rng_seed(&rng, seed);
    unsigned char *at = data;
    for (; size >= sizeof(uint64_t); size -= sizeof(uint64_t), at += sizeof(uint64_t)) {
        uint64_t word = rng_next(&rng);
        memcpy(at, &word, sizeof word);
    }
    uint64_t word = rng_next(&rng);
    memcpy(at, &word, size);
}
