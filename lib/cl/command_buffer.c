/* SPDX-License-Identifier: Apache-2.0 */
#include "command_buffer.h"

#include <string.h>

/* Numbers of the Khronos registry. */
enum {
    DEVICE_CAPABILITIES = 0x12A9,
    DEVICE_REQUIRED_QUEUE_PROPERTIES = 0x12AA,
    CAPABILITY_SIMULTANEOUS_USE = 1 << 2,
    CAPABILITY_OUT_OF_ORDER = 1 << 3,
    BUFFER_FLAGS = 0x1293,
    FLAG_SIMULTANEOUS_USE = 1 << 0
};

/* A data pointer to a function pointer, which C has no cast for. */
static bool load(cl_platform_id platform, const char *name, void *function, size_t size)
{
    void *address = clGetExtensionFunctionAddressForPlatform(platform, name);
    memcpy(function, &address, size);
    return address != NULL;
}

bool cl_command_buffer_load(const struct cl_device *device, cl_command_queue queue, struct cl_command_buffer_api *out)
{
    cl_ulong can = 0, needed = 0, has = 0;
    memset(out, 0, sizeof *out);
    if (!cl_device_has_extension(device, "cl_khr_command_buffer") ||
        clGetDeviceInfo(device->id, DEVICE_CAPABILITIES, sizeof can, &can, NULL) != CL_SUCCESS ||
        clGetDeviceInfo(device->id, DEVICE_REQUIRED_QUEUE_PROPERTIES, sizeof needed, &needed, NULL) != CL_SUCCESS ||
        clGetCommandQueueInfo(queue, CL_QUEUE_PROPERTIES, sizeof has, &has, NULL) != CL_SUCCESS)
        return false;
    if (!(can & CAPABILITY_SIMULTANEOUS_USE) || needed & ~has ||
        (has & CL_QUEUE_OUT_OF_ORDER_EXEC_MODE_ENABLE && !(can & CAPABILITY_OUT_OF_ORDER)))
        return false;
    cl_platform_id platform = device->platform;
    return load(platform, "clCreateCommandBufferKHR", &out->create, sizeof out->create) &&
           load(platform, "clFinalizeCommandBufferKHR", &out->finalize, sizeof out->finalize) &&
           load(platform, "clReleaseCommandBufferKHR", &out->release, sizeof out->release) &&
           load(platform, "clEnqueueCommandBufferKHR", &out->enqueue, sizeof out->enqueue) &&
           load(platform, "clCommandNDRangeKernelKHR", &out->kernel, sizeof out->kernel);
}

cl_recorded cl_command_buffer_create(const struct cl_command_buffer_api *api, cl_command_queue queue, cl_int *code)
{
    const cl_ulong properties[] = {BUFFER_FLAGS, FLAG_SIMULTANEOUS_USE, 0};
    return api->create(1, &queue, properties, code);
}
