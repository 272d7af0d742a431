/* SPDX-License-Identifier: Apache-2.0
 * Kernels and their arguments. */
#include "icd.h"

#include <stdlib.h>
#include <string.h>

#include "check_pages.clh"
#include "schedule.clh"

static const struct known_kernel known_kernels[] = {
    {"attention", ATTENTION_ARGS - 1, sizeof(struct attention_args), attention_compute},
    {"merge", 4, sizeof(struct attention_args), merge_compute},
    {"merge_states", 6, sizeof(struct merge_states_args), merge_states_compute},
    {"check_pages", 5, sizeof(struct check_args), check_pages_compute},
    {"write_schedule", 4, sizeof(struct schedule_args), write_schedule_compute},
};

const struct known_kernel *known_kernel(const char *name, size_t length)
{
    for (size_t i = 0; i < sizeof known_kernels / sizeof known_kernels[0]; i++)
        if (strlen(known_kernels[i].name) == length && !strncmp(name, known_kernels[i].name, length))
            return &known_kernels[i];
    return NULL;
}

static void kernel_destroy(struct object *object)
{
    cl_kernel kernel = (cl_kernel)object;
    atomic_fetch_sub(&kernel->program->kernels, 1);
    object_drop(kernel->program);
    free(kernel->name);
    free(kernel->options);
}

static cl_kernel create_kernel(cl_program program, const char *name, cl_int *error_out)
{
    pthread_mutex_lock(&program->lock);
    bool built = program->status == CL_BUILD_SUCCESS;
    char *options = strdup(program->options);
    pthread_mutex_unlock(&program->lock);
    cl_int code = !built                                      ? CL_INVALID_PROGRAM_EXECUTABLE
                  : !source_has_kernel(program->source, name) ? CL_INVALID_KERNEL_NAME
                                                              : CL_SUCCESS;
    cl_kernel kernel = code ? NULL : object_create(sizeof *kernel, KIND_KERNEL, kernel_destroy);
    if (!kernel) {
        free(options);
        return create_failed(error_out, code ? code : CL_OUT_OF_HOST_MEMORY);
    }
    object_use(program);
    atomic_fetch_add(&program->kernels, 1);
    kernel->program = program;
    kernel->name = strdup(name);
    kernel->options = options;
    kernel->known = known_kernel(name, strlen(name));
    kernel->num_args = kernel->known ? kernel->known->num_memory + 1 : 0;
    return create_done(error_out, kernel);
}

cl_kernel clCreateKernel(cl_program program, const char *name, cl_int *error_out)
{
    ENTER_CREATE(clCreateKernel, error_out);
    if (!object_is(program, KIND_PROGRAM))
        return create_failed(error_out, CL_INVALID_PROGRAM);
    return name ? create_kernel(program, name, error_out) : create_failed(error_out, CL_INVALID_VALUE);
}

cl_int clCreateKernelsInProgram(cl_program program, cl_uint num_kernels, cl_kernel *kernels, cl_uint *num_kernels_ret)
{
    ENTER(clCreateKernelsInProgram);
    size_t count, length;
    cl_int code = clGetProgramInfo(program, CL_PROGRAM_NUM_KERNELS, sizeof count, &count, NULL);
    if (code)
        return code;
    if (kernels && num_kernels < count)
        return CL_INVALID_VALUE;
    if (num_kernels_ret)
        *num_kernels_ret = (cl_uint)count;
    if (!kernels || clGetProgramInfo(program, CL_PROGRAM_KERNEL_NAMES, 0, NULL, &length))
        return CL_SUCCESS;
    char *names = malloc(length), *rest = NULL;
    if (!names)
        return CL_OUT_OF_HOST_MEMORY;
    clGetProgramInfo(program, CL_PROGRAM_KERNEL_NAMES, length, names, NULL);
    for (char *name = strtok_r(names, ";", &rest); name && !code; name = strtok_r(NULL, ";", &rest))
        *kernels++ = create_kernel(program, name, &code);
    free(names);
    return code;
}

cl_kernel clCloneKernel(cl_kernel source, cl_int *error_out)
{
    ENTER_CREATE(clCloneKernel, error_out);
    if (!object_is(source, KIND_KERNEL))
        return create_failed(error_out, CL_INVALID_KERNEL);
    cl_kernel kernel = create_kernel(source->program, source->name, error_out);
    if (kernel)
        memcpy(kernel->args, source->args, sizeof kernel->args);
    return kernel;
}

cl_int clRetainKernel(cl_kernel kernel)
{
    ENTER(clRetainKernel);
    return object_retain(kernel, KIND_KERNEL, CL_INVALID_KERNEL);
}

cl_int clReleaseKernel(cl_kernel kernel)
{
    ENTER(clReleaseKernel);
    return object_release(kernel, KIND_KERNEL, CL_INVALID_KERNEL);
}

/* ---- arguments */

static cl_int set_buffer(struct kernel_arg *arg, size_t size, const void *value)
{
    if (size != sizeof(cl_mem))
        return CL_INVALID_ARG_SIZE;
    cl_mem mem = value ? *(const cl_mem *)value : NULL;
    if (mem && !object_is(mem, KIND_MEM))
        return CL_INVALID_MEM_OBJECT;
    arg->kind = ARG_MEM;
    arg->mem = mem;
    return CL_SUCCESS;
}

static cl_int set_bytes(struct kernel_arg *arg, size_t size, const void *value)
{
    if (size == 0 || (value && size > MAX_ARG_SIZE))
        return CL_INVALID_ARG_SIZE;
    arg->kind = value ? ARG_VALUE : ARG_LOCAL;
    arg->size = size;
    if (value)
        memcpy(arg->value, value, size);
    return CL_SUCCESS;
}

cl_int clSetKernelArg(cl_kernel kernel, cl_uint index, size_t size, const void *value)
{
    ENTER(clSetKernelArg);
    if (!object_is(kernel, KIND_KERNEL))
        return CL_INVALID_KERNEL;
    if (index >= (kernel->num_args ? kernel->num_args : MAX_ARGS))
        return CL_INVALID_ARG_INDEX;
    struct kernel_arg *arg = &kernel->args[index];
    if (!kernel->known) /* a probe's signature is unknown, and its arguments are not looked at */
        return set_bytes(arg, size, value);
    if (index < kernel->known->num_memory)
        return set_buffer(arg, size, value);
    if (!value)
        return CL_INVALID_ARG_VALUE;
    return size == kernel->known->struct_size ? set_bytes(arg, size, value) : CL_INVALID_ARG_SIZE;
}

cl_int clSetKernelArgSVMPointer(cl_kernel kernel, cl_uint index, const void *value)
{
    ENTER(clSetKernelArgSVMPointer);
    if (!object_is(kernel, KIND_KERNEL))
        return CL_INVALID_KERNEL;
    if (!kernel->program->context->devices[0]->svm)
        return CL_INVALID_OPERATION;
    if (index >= (kernel->num_args ? kernel->num_args - 1 : MAX_ARGS))
        return CL_INVALID_ARG_INDEX;
    if (value && !svm_find(value, NULL))
        return CL_INVALID_ARG_VALUE;
    kernel->args[index].kind = ARG_SVM;
    kernel->args[index].svm = (void *)(uintptr_t)value;
    return CL_SUCCESS;
}

cl_int clSetKernelExecInfo(cl_kernel kernel, cl_kernel_exec_info name, size_t size, const void *value)
{
    ENTER(clSetKernelExecInfo);
    if (!object_is(kernel, KIND_KERNEL))
        return CL_INVALID_KERNEL;
    bool known = name == CL_KERNEL_EXEC_INFO_SVM_PTRS || name == CL_KERNEL_EXEC_INFO_SVM_FINE_GRAIN_SYSTEM;
    return known && size && value ? CL_SUCCESS : CL_INVALID_VALUE;
}

/* ---- queries */

cl_int clGetKernelInfo(cl_kernel kernel, cl_kernel_info name, size_t size, void *value, size_t *size_ret)
{
    ENTER(clGetKernelInfo);
    if (!object_is(kernel, KIND_KERNEL))
        return CL_INVALID_KERNEL;
    switch (name) {
    case CL_KERNEL_FUNCTION_NAME:
        return info_text(size, value, size_ret, kernel->name);
    case CL_KERNEL_NUM_ARGS:
        INFO_VALUE(cl_uint, kernel->num_args);
    case CL_KERNEL_REFERENCE_COUNT:
        INFO_VALUE(cl_uint, atomic_load(&kernel->object.refs));
    case CL_KERNEL_CONTEXT:
        INFO_VALUE(cl_context, kernel->program->context);
    case CL_KERNEL_PROGRAM:
        INFO_VALUE(cl_program, kernel->program);
    case CL_KERNEL_ATTRIBUTES:
        return info_text(size, value, size_ret, "");
    default:
        return CL_INVALID_VALUE;
    }
}

cl_int clGetKernelWorkGroupInfo(cl_kernel kernel, cl_device_id device, cl_kernel_work_group_info name, size_t size,
                                void *value, size_t *size_ret)
{
    ENTER(clGetKernelWorkGroupInfo);
    if (!object_is(kernel, KIND_KERNEL))
        return CL_INVALID_KERNEL;
    if (device && !object_is(device, KIND_DEVICE))
        return CL_INVALID_DEVICE;
    if (!device)
        device = kernel->program->context->devices[0];
    size_t required[3] = {(size_t)option_value(kernel->options, "WG_SIZE", 0), 1, 1};
    if (!required[0])
        required[1] = required[2] = 0;
    switch (name) {
    case CL_KERNEL_WORK_GROUP_SIZE:
        INFO_VALUE(size_t, device->max_work_group_size);
    case CL_KERNEL_COMPILE_WORK_GROUP_SIZE:
        return info_give(size, value, size_ret, required, sizeof required);
    case CL_KERNEL_LOCAL_MEM_SIZE:
    case CL_KERNEL_PRIVATE_MEM_SIZE:
        INFO_VALUE(cl_ulong, 0);
    case CL_KERNEL_PREFERRED_WORK_GROUP_SIZE_MULTIPLE:
        INFO_VALUE(size_t, device->sub_group_size);
    default:
        return CL_INVALID_VALUE;
    }
}

cl_int clGetKernelSubGroupInfo(cl_kernel kernel, cl_device_id device, cl_kernel_sub_group_info name, size_t input_size,
                               const void *input, size_t size, void *value, size_t *size_ret)
{
    ENTER(clGetKernelSubGroupInfo);
    if (!object_is(kernel, KIND_KERNEL))
        return CL_INVALID_KERNEL;
    if (device && !object_is(device, KIND_DEVICE))
        return CL_INVALID_DEVICE;
    if (!device)
        device = kernel->program->context->devices[0];
    const size_t *local = input;
    size_t items = 1;
    for (size_t i = 0; local && i < input_size / sizeof *local; i++)
        items *= local[i];
    switch (name) {
    case CL_KERNEL_MAX_SUB_GROUP_SIZE_FOR_NDRANGE:
        INFO_VALUE(size_t, device->sub_group_size);
    case CL_KERNEL_SUB_GROUP_COUNT_FOR_NDRANGE:
        INFO_VALUE(size_t, device->sub_group_size ? (items + device->sub_group_size - 1) / device->sub_group_size : 0);
    default:
        return CL_INVALID_VALUE;
    }
}
