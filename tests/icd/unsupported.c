/* SPDX-License-Identifier: Apache-2.0
 * Entries of the dispatch table that the driver does not implement: they say so instead of being NULL, which the loader
 * would jump to. The calling convention lets a function without parameters stand in for one with any. */
#include "icd.h"

#include <string.h>

static cl_int unsupported(void)
{
    return CL_INVALID_OPERATION;
}

static void *unsupported_handle(void)
{
    return NULL;
}

static cl_sampler unsupported_sampler(cl_context context, cl_bool normalized, cl_addressing_mode addressing,
                                      cl_filter_mode filter, cl_int *error_out)
{
    (void)context, (void)normalized, (void)addressing, (void)filter;
    return create_failed(error_out, CL_INVALID_OPERATION);
}

static cl_program unsupported_il(cl_context context, const void *il, size_t length, cl_int *error_out)
{
    (void)context, (void)il, (void)length;
    return create_failed(error_out, CL_INVALID_OPERATION);
}

static cl_program unsupported_built_in(cl_context context, cl_uint num_devices, const cl_device_id *devices,
                                       const char *names, cl_int *error_out)
{
    (void)context, (void)num_devices, (void)devices, (void)names;
    return create_failed(error_out, CL_INVALID_VALUE);
}

static cl_program unsupported_link(cl_context context, cl_uint num_devices, const cl_device_id *devices,
                                   const char *options, cl_uint num_programs, const cl_program *programs,
                                   void(CL_CALLBACK *notify)(cl_program, void *), void *data, cl_int *error_out)
{
    (void)context, (void)num_devices, (void)devices, (void)options, (void)num_programs, (void)programs;
    (void)notify, (void)data;
    return create_failed(error_out, CL_LINKER_NOT_AVAILABLE);
}

void dispatch_fill_unsupported(cl_icd_dispatch *table)
{
    cl_int (*stub)(void) = unsupported;
    for (size_t at = 0; at + sizeof stub <= sizeof *table; at += sizeof stub)
        memcpy((char *)table + at, &stub, sizeof stub);
#define HANDLE(name) table->name = (cl_api_##name)(void (*)(void))unsupported_handle
    HANDLE(clCreateImage2D);
    HANDLE(clCreateImage3D);
    HANDLE(clEnqueueMapImage);
    HANDLE(clCreateFromGLBuffer);
    HANDLE(clCreateFromGLTexture2D);
    HANDLE(clCreateFromGLTexture3D);
    HANDLE(clCreateFromGLTexture);
    HANDLE(clCreateFromGLRenderbuffer);
    HANDLE(clCreateEventFromGLsyncKHR);
    HANDLE(clCreateFromEGLImageKHR);
    HANDLE(clCreateEventFromEGLSyncKHR);
    HANDLE(clCreatePipe);
    HANDLE(clCreateSamplerWithProperties);
    HANDLE(clCreateImageWithProperties);
#undef HANDLE
    table->clCreateSampler = unsupported_sampler;
    table->clCreateProgramWithIL = unsupported_il;
    table->clCreateProgramWithBuiltInKernels = unsupported_built_in;
    table->clLinkProgram = unsupported_link;
}
