/* SPDX-License-Identifier: Apache-2.0 */
#include "base.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TEXT_MAX 1024
#define BUILD_LOG_MAX 16384

/* Fixed storage: recording an error must not fail. */
static _Thread_local struct {
    char text[TEXT_MAX];
    char build_log[BUILD_LOG_MAX];
    int code;
} last;

static void record(int code, const char *format, va_list args)
{
    /* The arguments may point into the text that is being replaced. */
    char text[TEXT_MAX];
    text_vprintf(text, sizeof text, format, args);
    copy_string(last.text, sizeof last.text, text);
    last.build_log[0] = '\0';
    last.code = code;
}

attune_status set_error(attune_status status, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    record(0, format, args);
    va_end(args);
    return status;
}

attune_status set_opencl_error(attune_status status, int code, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    record(code, format, args);
    va_end(args);
    size_t used = strlen(last.text);
    snprintf(last.text + used, sizeof last.text - used, ": %s (%d)", opencl_error_name(code), code);
    return status;
}

void attach_build_log(const char *log)
{
    const size_t note = 40;
    copy_string(last.build_log, sizeof last.build_log, log);
    size_t kept = strlen(last.build_log), length = strlen(log);
    if (kept < length)
        snprintf(last.build_log + kept - note, note, "\n... and %zu bytes more", length - kept + note);
}

static bool speaks_of_error(const char *line, size_t length)
{
    static const char word[] = "error";
    for (size_t i = 0; i + 5 <= length; i++) {
        size_t k = 0;
        while (k < 5 && (line[i + k] | 0x20) == word[k])
            k++;
        if (k == 5)
            return true;
    }
    return false;
}

void first_build_errors(const char *log, char *text, size_t size)
{
    char first[256] = "";
    text[0] = '\0';
    for (int found = 0; *log && found < 2; log += *log == '\n') {
        log += strspn(log, " \t\r");
        size_t length = strcspn(log, "\r\n"), used = strlen(text);
        if (length && !first[0])
            snprintf(first, sizeof first, "%.*s", (int)(length < sizeof first ? length : sizeof first - 1), log);
        if (speaks_of_error(log, length)) {
            snprintf(text + used, size - used, "%s%.*s", used ? " | " : "", (int)(length < size ? length : size), log);
            found++;
        }
        log += strcspn(log, "\n");
    }
    if (!text[0])
        copy_string(text, size, first);
}

const char *attune_last_error(void)
{
    return last.text;
}

int attune_last_error_opencl(void)
{
    return last.code;
}

const char *attune_last_build_log(void)
{
    return last.build_log;
}

void attune_version(int *major, int *minor, int *patch)
{
    if (major)
        *major = ATTUNE_VERSION_MAJOR;
    if (minor)
        *minor = ATTUNE_VERSION_MINOR;
    if (patch)
        *patch = ATTUNE_VERSION_PATCH;
}

#define STATUSES(X)                                                                                                    \
    X(OK) X(ERROR_NULL_ARGUMENT) X(ERROR_STRUCT_SIZE) X(ERROR_INVALID_SIZE) X(ERROR_OVERFLOW) X(ERROR_HEAD_COUNT)      \
    X(ERROR_DTYPE) X(ERROR_MISSING_TENSOR) X(ERROR_BUFFER_TOO_SMALL) X(ERROR_OFFSET) X(ERROR_WRONG_CONTEXT)            \
    X(ERROR_SOFTCAP) X(ERROR_SCALE) X(ERROR_WINDOW) X(ERROR_ENUM) X(ERROR_STRIDE) X(ERROR_MISMATCH) X(ERROR_SYNTAX)    \
    X(ERROR_UNSUPPORTED) X(ERROR_BUSY) X(ERROR_PAGE_TABLE) X(ERROR_OVERLAP) X(ERROR_OUT_OF_MEMORY) X(ERROR_DEVICE_MEMORY) X(ERROR_NO_PLATFORM)              \
    X(ERROR_NO_DEVICE) X(ERROR_OPENCL) X(ERROR_BUILD) X(ERROR_DEVICE_LOST) X(ERROR_IO) X(ERROR_WORKER)                 \
    X(ERROR_ENVIRONMENT)                                                                                               \
    X(ERROR_NOT_TUNED) X(ERROR_NOT_VERIFIED) X(ERROR_CANCELLED) X(ERROR_BUDGET) X(ERROR_INTERNAL)

const char *attune_status_name(attune_status status)
{
    switch (status) {
#define STATUS_CASE(name) \
    case ATTUNE_##name:   \
        return "ATTUNE_" #name;
        STATUSES(STATUS_CASE)
    }
    return "ATTUNE_ERROR_UNKNOWN";
}

#define OPENCL_ERRORS(X)                                                                                               \
    X(CL_SUCCESS) X(CL_DEVICE_NOT_FOUND) X(CL_DEVICE_NOT_AVAILABLE) X(CL_COMPILER_NOT_AVAILABLE)                       \
    X(CL_MEM_OBJECT_ALLOCATION_FAILURE) X(CL_OUT_OF_RESOURCES) X(CL_OUT_OF_HOST_MEMORY)                                \
    X(CL_PROFILING_INFO_NOT_AVAILABLE) X(CL_MEM_COPY_OVERLAP) X(CL_BUILD_PROGRAM_FAILURE) X(CL_MAP_FAILURE)            \
    X(CL_MISALIGNED_SUB_BUFFER_OFFSET) X(CL_EXEC_STATUS_ERROR_FOR_EVENTS_IN_WAIT_LIST) X(CL_INVALID_VALUE)             \
    X(CL_INVALID_DEVICE_TYPE) X(CL_INVALID_PLATFORM) X(CL_INVALID_DEVICE) X(CL_INVALID_CONTEXT)                        \
    X(CL_INVALID_QUEUE_PROPERTIES) X(CL_INVALID_COMMAND_QUEUE) X(CL_INVALID_HOST_PTR) X(CL_INVALID_MEM_OBJECT)         \
    X(CL_INVALID_BINARY) X(CL_INVALID_BUILD_OPTIONS) X(CL_INVALID_PROGRAM) X(CL_INVALID_PROGRAM_EXECUTABLE)            \
    X(CL_INVALID_KERNEL_NAME) X(CL_INVALID_KERNEL_DEFINITION) X(CL_INVALID_KERNEL) X(CL_INVALID_ARG_INDEX)             \
    X(CL_INVALID_ARG_VALUE) X(CL_INVALID_ARG_SIZE) X(CL_INVALID_KERNEL_ARGS) X(CL_INVALID_WORK_DIMENSION)              \
    X(CL_INVALID_WORK_GROUP_SIZE) X(CL_INVALID_WORK_ITEM_SIZE) X(CL_INVALID_GLOBAL_OFFSET)                             \
    X(CL_INVALID_EVENT_WAIT_LIST) X(CL_INVALID_EVENT) X(CL_INVALID_OPERATION) X(CL_INVALID_BUFFER_SIZE)                \
    X(CL_INVALID_GLOBAL_WORK_SIZE) X(CL_INVALID_PROPERTY)

const char *opencl_error_name(int code)
{
    switch (code) {
#define OPENCL_CASE(name) \
    case name:            \
        return #name;
        OPENCL_ERRORS(OPENCL_CASE)
    case -1001: /* CL_PLATFORM_NOT_FOUND_KHR, of the ICD loader */
        return "CL_PLATFORM_NOT_FOUND_KHR";
    }
    return "unknown";
}

void log_message(const struct logger *logger, attune_log_level level, const char *format, ...)
{
    if (!logger->callback || level > logger->level)
        return;
    char text[TEXT_MAX];
    va_list args;
    va_start(args, format);
    text_vprintf(text, sizeof text, format, args);
    va_end(args);
    logger->callback(logger->priv, level, text);
}
