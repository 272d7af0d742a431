/* SPDX-License-Identifier: Apache-2.0
 * Programs: from source or from a cached binary. */
#ifndef ATTUNE_CL_PROGRAM_H
#define ATTUNE_CL_PROGRAM_H

#include "base/base.h"

/* Status for the code of an OpenCL call; what names the call and its purpose. */
attune_status cl_error(int code, const char *what);

/* Builds source for one device. BUILD keeps the compiler's output for attune_last_build_log(). */
attune_status cl_program_from_source(cl_context context, cl_device_id device, const char *source, const char *options,
                                     cl_program *out);

/* False where the driver does not take the binary (another version, a damaged file): build from source then. */
bool cl_program_from_binary(cl_context context, cl_device_id device, const void *data, size_t size, const char *options,
                            cl_program *out);

/* The program's binary for its only device: free(*data). False where the driver gives none. Take it after the first
 * run: pocl compiles the variant for a grid when it first executes, and a binary taken earlier lacks it. */
bool cl_program_binary(cl_program program, void **data, size_t *size);

#endif
