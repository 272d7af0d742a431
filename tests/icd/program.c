/* SPDX-License-Identifier: Apache-2.0
 * Programs. Nothing is compiled: a build looks for the names of known kernels and keeps the options. */
#include "icd.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- kernels in a source */

static bool is_identifier(char c)
{
    return isalnum((unsigned char)c) || c == '_';
}

/* The next "void NAME(" from *at with a name that the driver knows. Returns the name's length, 0 at the end. */
static size_t next_kernel(const char **at)
{
    const char *found = *at;
    while ((found = strstr(found, "void"))) {
        const char *name = found + 4;
        name += strspn(name, " \t\n");
        size_t length = 0;
        while (is_identifier(name[length]))
            length++;
        bool known = known_kernel(name, length) || (length > 6 && strncmp(name, "probe_", 6) == 0) ||
                     (length > 3 && strncmp(name, "kv_", 3) == 0);
        if (known && name > found + 4 && name[length + strspn(name + length, " \t\n")] == '(') {
            *at = name;
            return length;
        }
        found += 4;
    }
    return 0;
}

bool source_has_kernel(const char *source, const char *name)
{
    size_t length;
    for (const char *at = source; (length = next_kernel(&at)); at += length)
        if (strlen(name) == length && strncmp(name, at, length) == 0)
            return true;
    return false;
}

/* "a;b"; returns how many. names may be NULL. */
static size_t kernel_names(const char *source, char *names)
{
    size_t length, count = 0;
    for (const char *at = source; (length = next_kernel(&at)); at += length, count++) {
        if (names && count)
            *names++ = ';';
        if (names) {
            memcpy(names, at, length);
            names += length;
        }
    }
    if (names)
        *names = 0;
    return count;
}

/* ---- objects */

static void program_destroy(struct object *object)
{
    cl_program program = (cl_program)object;
    free(program->source);
    free(program->options);
    free(program->log);
    pthread_mutex_destroy(&program->lock);
    object_drop(program->context);
}

/* Takes source. */
static cl_program create_program(cl_context context, char *source, const char *options, cl_int *error_out)
{
    cl_program program = source ? object_create(sizeof *program, KIND_PROGRAM, program_destroy) : NULL;
    if (!program) {
        free(source);
        return create_failed(error_out, CL_OUT_OF_HOST_MEMORY);
    }
    object_use(context);
    pthread_mutex_init(&program->lock, NULL);
    program->context = context;
    program->source = source;
    program->options = strdup(options);
    program->log = strdup("");
    program->status = CL_BUILD_NONE;
    return create_done(error_out, program);
}

cl_program clCreateProgramWithSource(cl_context context, cl_uint count, const char **strings, const size_t *lengths,
                                     cl_int *error_out)
{
    ENTER_CREATE(clCreateProgramWithSource, error_out);
    if (!object_is(context, KIND_CONTEXT))
        return create_failed(error_out, CL_INVALID_CONTEXT);
    if (count == 0 || !strings)
        return create_failed(error_out, CL_INVALID_VALUE);
    size_t total = 0;
    for (cl_uint i = 0; i < count; i++) {
        if (!strings[i])
            return create_failed(error_out, CL_INVALID_VALUE);
        total += lengths && lengths[i] ? lengths[i] : strlen(strings[i]);
    }
    char *source = malloc(total + 1), *end = source;
    for (cl_uint i = 0; source && i < count; i++) {
        size_t length = lengths && lengths[i] ? lengths[i] : strlen(strings[i]);
        memcpy(end, strings[i], length);
        end += length;
    }
    if (source)
        *end = 0;
    return create_program(context, source, "", error_out);
}

/* ---- binaries: magic, hash of the rest, then four strings: device, driver version, options, source */

#define MAGIC "FAKECL1"

struct blob_header {
    char magic[8];
    uint64_t hash;
};

/* FNV-1a. */
static uint64_t hash_bytes(const unsigned char *data, size_t size)
{
    uint64_t hash = 0xcbf29ce484222325u;
    for (size_t i = 0; i < size; i++)
        hash = (hash ^ data[i]) * 0x100000001b3u;
    return hash;
}

static size_t blob_size(cl_program program, cl_device_id device)
{
    return sizeof(struct blob_header) + strlen(device->name) + strlen(device->driver) + strlen(program->options) +
           strlen(program->source) + 4;
}

static void blob_write(cl_program program, cl_device_id device, unsigned char *out)
{
    const char *texts[] = {device->name, device->driver, program->options, program->source};
    unsigned char *end = out + sizeof(struct blob_header);
    for (int i = 0; i < 4; i++) {
        memcpy(end, texts[i], strlen(texts[i]) + 1);
        end += strlen(texts[i]) + 1;
    }
    struct blob_header header = {MAGIC, hash_bytes(out + sizeof header, blob_size(program, device) - sizeof header)};
    memcpy(out, &header, sizeof header);
}

/* True with pointers into the blob if it is sound and for this device. */
static bool blob_read(const unsigned char *blob, size_t size, cl_device_id device, const char *texts[4])
{
    struct blob_header header;
    if (!blob || size < sizeof header + 4)
        return false;
    memcpy(&header, blob, sizeof header);
    if (memcmp(header.magic, MAGIC, sizeof header.magic) != 0 || blob[size - 1] != 0 ||
        header.hash != hash_bytes(blob + sizeof header, size - sizeof header))
        return false;
    const char *at = (const char *)blob + sizeof header, *end = (const char *)blob + size;
    for (int i = 0; i < 4; i++) {
        if (at >= end)
            return false;
        texts[i] = at;
        at += strlen(at) + 1;
    }
    return strcmp(texts[0], device->name) == 0 && strcmp(texts[1], device->driver) == 0;
}

cl_program clCreateProgramWithBinary(cl_context context, cl_uint num_devices, const cl_device_id *devices,
                                     const size_t *lengths, const unsigned char **binaries, cl_int *status,
                                     cl_int *error_out)
{
    ENTER_CREATE(clCreateProgramWithBinary, error_out);
    if (!object_is(context, KIND_CONTEXT))
        return create_failed(error_out, CL_INVALID_CONTEXT);
    if (!devices || num_devices == 0 || !lengths || !binaries)
        return create_failed(error_out, CL_INVALID_VALUE);
    if (!object_is(devices[0], KIND_DEVICE))
        return create_failed(error_out, CL_INVALID_DEVICE);
    const char *texts[4];
    bool sound = blob_read(binaries[0], lengths[0], devices[0], texts);
    for (cl_uint i = 0; status && i < num_devices; i++)
        status[i] = sound ? CL_SUCCESS : CL_INVALID_BINARY;
    if (!sound)
        return create_failed(error_out, CL_INVALID_BINARY);
    cl_program program = create_program(context, strdup(texts[3]), texts[2], error_out);
    if (program)
        program->from_binary = true;
    return program;
}

cl_int clRetainProgram(cl_program program)
{
    ENTER(clRetainProgram);
    return object_retain(program, KIND_PROGRAM, CL_INVALID_PROGRAM);
}

cl_int clReleaseProgram(cl_program program)
{
    ENTER(clReleaseProgram);
    return object_release(program, KIND_PROGRAM, CL_INVALID_PROGRAM);
}

/* ---- building */

static cl_int build(cl_program program, cl_device_id device, const char **log)
{
    struct subject subject = {device, program->options, program->source, NULL};
    const struct fault *fault = NULL;
    clock_advance((uint64_t)device->timing.build_ns);
    if (atomic_load(&device->lost))
        return atomic_load(&device->lost);
    while ((fault = fault_next(fault, &subject, true))) {
        cl_int code = fault_strike(fault, device);
        if (code) {
            *log = fault->log;
            return code;
        }
    }
    long instruction = option_value(program->options, "INSTRUCTION", 0);
    if (instruction && !(device->instructions >> (instruction & 31) & 1)) {
        *log = "error: fake driver: the compiler knows no such instruction";
        return CL_BUILD_PROGRAM_FAILURE;
    }
    if (kernel_names(program->source, NULL))
        return CL_SUCCESS;
    *log = "fake driver: the source declares no kernel that the driver knows";
    return CL_BUILD_PROGRAM_FAILURE;
}

cl_int clBuildProgram(cl_program program, cl_uint num_devices, const cl_device_id *devices, const char *options,
                      void(CL_CALLBACK *notify)(cl_program, void *), void *data)
{
    ENTER(clBuildProgram);
    if (!object_is(program, KIND_PROGRAM))
        return CL_INVALID_PROGRAM;
    if (!devices != (num_devices == 0) || (!notify && data))
        return CL_INVALID_VALUE;
    cl_device_id device = devices ? devices[0] : program->context->devices[0];
    if (!object_is(device, KIND_DEVICE))
        return CL_INVALID_DEVICE;
    if (atomic_load(&program->kernels))
        return CL_INVALID_OPERATION;
    pthread_mutex_lock(&program->lock);
    if (!program->from_binary) {
        free(program->options);
        program->options = strdup(options ? options : "");
    }
    const char *log = "";
    cl_int code = build(program, device, &log);
    program->status = code ? CL_BUILD_ERROR : CL_BUILD_SUCCESS;
    free(program->log);
    program->log = strdup(log);
    pthread_mutex_unlock(&program->lock);
    if (notify)
        notify(program, data);
    return code;
}

static cl_int locked_build_info(cl_program program, cl_program_build_info name, size_t size, void *value,
                                size_t *size_ret)
{
    switch (name) {
    case CL_PROGRAM_BUILD_STATUS:
        INFO_VALUE(cl_build_status, program->status);
    case CL_PROGRAM_BUILD_OPTIONS:
        return info_text(size, value, size_ret, program->options);
    case CL_PROGRAM_BUILD_LOG:
        return info_text(size, value, size_ret, program->log);
    case CL_PROGRAM_BINARY_TYPE:
        INFO_VALUE(cl_program_binary_type,
                   program->status ? CL_PROGRAM_BINARY_TYPE_NONE : CL_PROGRAM_BINARY_TYPE_EXECUTABLE);
    case CL_PROGRAM_BUILD_GLOBAL_VARIABLE_TOTAL_SIZE:
        INFO_VALUE(size_t, 0);
    default:
        return CL_INVALID_VALUE;
    }
}

cl_int clGetProgramBuildInfo(cl_program program, cl_device_id device, cl_program_build_info name, size_t size,
                             void *value, size_t *size_ret)
{
    ENTER(clGetProgramBuildInfo);
    if (!object_is(program, KIND_PROGRAM))
        return CL_INVALID_PROGRAM;
    if (!object_is(device, KIND_DEVICE))
        return CL_INVALID_DEVICE;
    pthread_mutex_lock(&program->lock);
    cl_int code = locked_build_info(program, name, size, value, size_ret);
    pthread_mutex_unlock(&program->lock);
    return code;
}

/* One blob, for the context's first device; the others have none. */
static cl_int give_binaries(cl_program program, size_t size, void *value, size_t *size_ret)
{
    cl_uint count = program->context->num_devices;
    unsigned char **out = value;
    if (value && size < count * sizeof *out)
        return CL_INVALID_VALUE;
    if (value && out[0] && program->status == CL_BUILD_SUCCESS)
        blob_write(program, program->context->devices[0], out[0]);
    if (size_ret)
        *size_ret = count * sizeof *out;
    return CL_SUCCESS;
}

static cl_int give_binary_sizes(cl_program program, size_t size, void *value, size_t *size_ret)
{
    cl_uint count = program->context->num_devices;
    if (value && size < count * sizeof(size_t))
        return CL_INVALID_VALUE;
    for (cl_uint i = 0; value && i < count; i++)
        ((size_t *)value)[i] =
            i == 0 && program->status == CL_BUILD_SUCCESS ? blob_size(program, program->context->devices[0]) : 0;
    if (size_ret)
        *size_ret = count * sizeof(size_t);
    return CL_SUCCESS;
}

static cl_int locked_program_info(cl_program program, cl_program_info name, size_t size, void *value, size_t *size_ret)
{
    switch (name) {
    case CL_PROGRAM_SOURCE:
        return info_text(size, value, size_ret, program->from_binary ? "" : program->source);
    case CL_PROGRAM_BINARY_SIZES:
        return give_binary_sizes(program, size, value, size_ret);
    case CL_PROGRAM_BINARIES:
        return give_binaries(program, size, value, size_ret);
    case CL_PROGRAM_NUM_KERNELS:
        if (program->status != CL_BUILD_SUCCESS)
            return CL_INVALID_PROGRAM_EXECUTABLE;
        INFO_VALUE(size_t, kernel_names(program->source, NULL));
    case CL_PROGRAM_KERNEL_NAMES: {
        if (program->status != CL_BUILD_SUCCESS)
            return CL_INVALID_PROGRAM_EXECUTABLE;
        char *names = malloc(strlen(program->source) + 1);
        if (!names)
            return CL_OUT_OF_HOST_MEMORY;
        kernel_names(program->source, names);
        cl_int code = info_text(size, value, size_ret, names);
        free(names);
        return code;
    }
    default:
        return CL_INVALID_VALUE;
    }
}

cl_int clGetProgramInfo(cl_program program, cl_program_info name, size_t size, void *value, size_t *size_ret)
{
    ENTER(clGetProgramInfo);
    if (!object_is(program, KIND_PROGRAM))
        return CL_INVALID_PROGRAM;
    switch (name) {
    case CL_PROGRAM_REFERENCE_COUNT:
        INFO_VALUE(cl_uint, atomic_load(&program->object.refs));
    case CL_PROGRAM_CONTEXT:
        INFO_VALUE(cl_context, program->context);
    case CL_PROGRAM_NUM_DEVICES:
        INFO_VALUE(cl_uint, program->context->num_devices);
    case CL_PROGRAM_DEVICES:
        return info_give(size, value, size_ret, program->context->devices,
                         program->context->num_devices * sizeof(cl_device_id));
    default:
        break;
    }
    pthread_mutex_lock(&program->lock);
    cl_int code = locked_program_info(program, name, size, value, size_ret);
    pthread_mutex_unlock(&program->lock);
    return code;
}
