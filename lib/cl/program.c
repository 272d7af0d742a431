/* SPDX-License-Identifier: Apache-2.0 */
#include "program.h"

#include <stdlib.h>
#include <string.h>

#define BINARY_MAX ((size_t)64 << 20)

attune_status cl_error(int code, const char *what)
{
    switch (code) {
    case CL_MEM_OBJECT_ALLOCATION_FAILURE:
    case CL_OUT_OF_RESOURCES:
    case CL_INVALID_BUFFER_SIZE:
        return set_opencl_error(ATTUNE_ERROR_DEVICE_MEMORY, code, "%s", what);
    case CL_OUT_OF_HOST_MEMORY:
        return set_opencl_error(ATTUNE_ERROR_OUT_OF_MEMORY, code, "%s", what);
    case CL_DEVICE_NOT_AVAILABLE:
        return set_opencl_error(ATTUNE_ERROR_DEVICE_LOST, code, "%s", what);
    default:
        return set_opencl_error(ATTUNE_ERROR_OPENCL, code, "%s", what);
    }
}

/* What the compiler said; free() it. NULL where it said nothing. */
static char *build_log(cl_program program, cl_device_id device)
{
    size_t size = 0;
    if (clGetProgramBuildInfo(program, device, CL_PROGRAM_BUILD_LOG, 0, NULL, &size) != CL_SUCCESS || size == 0 ||
        size > BINARY_MAX)
        return NULL;
    char *log = calloc(1, size + 1);
    if (log && clGetProgramBuildInfo(program, device, CL_PROGRAM_BUILD_LOG, size, log, NULL) == CL_SUCCESS)
        return log;
    free(log);
    return NULL;
}

/* The compiler's words in short, and whole in the log, behind the options. */
static attune_status build_failed(cl_program program, cl_device_id device, int code, const char *options)
{
    char *log = build_log(program, device), words[400];
    first_build_errors(log ? log : "", words, sizeof words);
    attune_status status = set_opencl_error(ATTUNE_ERROR_BUILD, code, "a kernel does not compile: %s",
                                            words[0] ? words : "the compiler gave no reason");
    struct strbuf whole = {0};
    strbuf_printf(&whole, "built with %s\n%s", options, log ? log : "");
    if (whole.text)
        attach_build_log(whole.text);
    strbuf_free(&whole);
    free(log);
    return status;
}

attune_status cl_program_from_source(cl_context context, cl_device_id device, const char *source, const char *options,
                                     cl_program *out)
{
    cl_int code;
    *out = NULL;
    cl_program program = clCreateProgramWithSource(context, 1, &source, NULL, &code);
    if (code != CL_SUCCESS)
        return cl_error(code, "clCreateProgramWithSource");
    code = clBuildProgram(program, 1, &device, options, NULL, NULL);
    if (code == CL_SUCCESS) {
        *out = program;
        return ATTUNE_OK;
    }
    attune_status status = code == CL_OUT_OF_HOST_MEMORY || code == CL_DEVICE_NOT_AVAILABLE
                               ? cl_error(code, "clBuildProgram")
                               : build_failed(program, device, code, options);
    clReleaseProgram(program);
    return status;
}

bool cl_program_from_binary(cl_context context, cl_device_id device, const void *data, size_t size, const char *options,
                            cl_program *out)
{
    cl_int code, loaded = CL_SUCCESS;
    const unsigned char *bytes = data;
    *out = NULL;
    cl_program program = clCreateProgramWithBinary(context, 1, &device, &size, &bytes, &loaded, &code);
    if (code != CL_SUCCESS || loaded != CL_SUCCESS ||
        clBuildProgram(program, 1, &device, options, NULL, NULL) != CL_SUCCESS) {
        if (program)
            clReleaseProgram(program);
        return false;
    }
    *out = program;
    return true;
}

bool cl_program_binary(cl_program program, void **data, size_t *size)
{
    cl_uint devices = 0;
    *data = NULL;
    *size = 0;
    if (clGetProgramInfo(program, CL_PROGRAM_NUM_DEVICES, sizeof devices, &devices, NULL) != CL_SUCCESS ||
        devices != 1 || clGetProgramInfo(program, CL_PROGRAM_BINARY_SIZES, sizeof *size, size, NULL) != CL_SUCCESS ||
        *size == 0 || *size > BINARY_MAX)
        return false;
    unsigned char *bytes = malloc(*size);
    if (!bytes || clGetProgramInfo(program, CL_PROGRAM_BINARIES, sizeof bytes, &bytes, NULL) != CL_SUCCESS) {
        free(bytes);
        return false;
    }
    *data = bytes;
    return true;
}
