/* SPDX-License-Identifier: Apache-2.0
 * Ground floor: errors, log, strings, hashes, clock, random numbers (rng.h). */
#ifndef ATTUNE_BASE_H
#define ATTUNE_BASE_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <attune/attune.h>

#include "rng.h"

#define PRINTF_LIKE(text, args) __attribute__((format(printf, text, args)))

/* ---- errors: the calling thread's last failure */

/* Records the text and returns status: `return set_error(ATTUNE_ERROR_OFFSET, "q.byte_offset is ...")`. */
attune_status set_error(attune_status status, const char *format, ...) PRINTF_LIKE(2, 3);
/* As set_error, with an OpenCL code; its name is appended to the text. */
attune_status set_opencl_error(attune_status status, int code, const char *format, ...) PRINTF_LIKE(3, 4);
/* Attaches a compiler's output to the failure just recorded: its first 16 KiB. */
void attach_build_log(const char *log);
/* The first lines of a compiler's output that speak of an error, at most two with " | " between them; the first line that is not
 * empty where none does. text[size] is "" for an empty log. */
void first_build_errors(const char *log, char *text, size_t size);
/* "CL_INVALID_VALUE", ...; "unknown" otherwise. */
const char *opencl_error_name(int code);

/* ---- log */

struct logger {
    attune_log_callback callback; /* NULL: silent */
    void *priv;
    attune_log_level level;
};

void log_message(const struct logger *logger, attune_log_level level, const char *format, ...) PRINTF_LIKE(3, 4);

/* ---- strings */

/* Growing text. Zero-initialise; after an allocation fails `failed` is set and the text stays as it was. */
struct strbuf {
    char *text; /* NUL-terminated, or NULL while empty */
    size_t length, capacity;
    bool failed;
};

void strbuf_printf(struct strbuf *buf, const char *format, ...) PRINTF_LIKE(2, 3);
void strbuf_append(struct strbuf *buf, const char *data, size_t length);
void strbuf_free(struct strbuf *buf);
/* Takes the text ("" rather than NULL; free() it), or returns NULL and frees when an append failed. */
char *strbuf_take(struct strbuf *buf);

/* Copies as much of src as fits and terminates. size >= 1. */
void copy_string(char *dst, size_t size, const char *src);

/* ---- numbers as text: in the C locale, whatever the program's. strbuf_printf, set_error and log_message too */

/* snprintf and vsnprintf: for formats with a floating-point number. */
int text_printf(char *text, size_t size, const char *format, ...) PRINTF_LIKE(3, 4);
int text_vprintf(char *text, size_t size, const char *format, va_list args) PRINTF_LIKE(3, 0);
/* strtod and strtof. */
double read_double(const char *text, char **end);
float read_float(const char *text, char **end);
/* Short decimal text that reads back as the same value. text[32]. */
void format_double(double value, char *text);
void format_float(float value, char *text);
/* The calling thread has the C locale from begin, which returns what to give to end. */
void *numbers_begin(void);
void numbers_end(void *before);

/* ---- environment */

/* getenv, but NULL in setuid or setgid programs and for empty values. */
const char *env_get(const char *name);

/* ---- checks */

#define HASH_HEX_SIZE 33
/* XXH3-128 of data as 32 hex digits. */
void hash_hex(const void *data, size_t size, char hex[HASH_HEX_SIZE]);
/* CRC-32C (Castagnoli), continuing from crc (0 to start). */
uint32_t crc32c(uint32_t crc, const void *data, size_t size);

/* ---- clock */

/* Monotonic nanoseconds. All of attune reads time here. Tests set ATTUNE_TEST_CLOCK to a file holding a uint64 of
 * nanoseconds, which is then mapped and read instead (the fake driver advances it). */
uint64_t clock_now_ns(void);
/* True while ATTUNE_TEST_CLOCK is in force. */
bool clock_is_virtual(void);

/* ---- types */

/* Bytes of a dtype; 0 if unknown. */
size_t dtype_size(attune_dtype dtype);
/* "fp32", ...; "?" if unknown. */
const char *dtype_name(attune_dtype dtype);
bool dtype_from_name(const char *name, attune_dtype *out);
/* Rounds to nearest even. */
uint16_t float_to_half(float value);
float half_to_float(uint16_t half);
uint16_t float_to_bf16(float value);
float bf16_to_float(uint16_t bf16);

#endif
