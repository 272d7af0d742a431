/* SPDX-License-Identifier: Apache-2.0
 * Platforms and devices as the script has them. */
#include "icd.h"

#include <string.h>

cl_int clGetPlatformInfo(cl_platform_id platform, cl_platform_info name, size_t size, void *value, size_t *size_ret)
{
    ENTER(clGetPlatformInfo);
    if (!object_is(platform, KIND_PLATFORM))
        return CL_INVALID_PLATFORM;
    switch (name) {
    case CL_PLATFORM_PROFILE:
        return info_text(size, value, size_ret, "FULL_PROFILE");
    case CL_PLATFORM_VERSION:
        return info_text(size, value, size_ret, platform->version);
    case CL_PLATFORM_NAME:
        return info_text(size, value, size_ret, platform->name);
    case CL_PLATFORM_VENDOR:
        return info_text(size, value, size_ret, platform->vendor);
    case CL_PLATFORM_EXTENSIONS:
        return info_text(size, value, size_ret, platform->extensions);
    case CL_PLATFORM_ICD_SUFFIX_KHR:
        return info_text(size, value, size_ret, "FAKE");
    case CL_PLATFORM_HOST_TIMER_RESOLUTION:
        INFO_VALUE(cl_ulong, 1);
    default:
        return CL_INVALID_VALUE;
    }
}

cl_int clGetDeviceIDs(cl_platform_id platform, cl_device_type type, cl_uint num_entries, cl_device_id *devices,
                      cl_uint *num_devices)
{
    ENTER(clGetDeviceIDs);
    if (!object_is(platform, KIND_PLATFORM))
        return CL_INVALID_PLATFORM;
    if ((num_entries == 0 && devices) || (!devices && !num_devices))
        return CL_INVALID_VALUE;
    cl_device_type known = CL_DEVICE_TYPE_CPU | CL_DEVICE_TYPE_GPU | CL_DEVICE_TYPE_ACCELERATOR |
                           CL_DEVICE_TYPE_DEFAULT | CL_DEVICE_TYPE_CUSTOM;
    if (type == 0 || (type != CL_DEVICE_TYPE_ALL && (type & ~known)))
        return CL_INVALID_DEVICE_TYPE;
    cl_uint found = 0;
    for (cl_uint i = 0; i < platform->num_devices; i++) {
        cl_device_id device = &platform->devices[i];
        bool is_default = (type & CL_DEVICE_TYPE_DEFAULT) && i == 0;
        if (!(device->type & type) && !is_default)
            continue;
        if (devices && found < num_entries)
            devices[found] = device;
        found++;
    }
    if (num_devices)
        *num_devices = found;
    return found ? CL_SUCCESS : CL_DEVICE_NOT_FOUND;
}

static cl_int limits_info(cl_device_id device, cl_device_info name, size_t size, void *value, size_t *size_ret)
{
    const size_t sizes[3] = {device->max_work_group_size, device->max_work_group_size, device->max_work_group_size};
    switch (name) {
    case CL_DEVICE_MAX_COMPUTE_UNITS:
        INFO_VALUE(cl_uint, device->compute_units);
    case CL_DEVICE_MAX_WORK_ITEM_DIMENSIONS:
        INFO_VALUE(cl_uint, 3);
    case CL_DEVICE_MAX_WORK_ITEM_SIZES:
        return info_give(size, value, size_ret, sizes, sizeof sizes);
    case CL_DEVICE_MAX_WORK_GROUP_SIZE:
        INFO_VALUE(size_t, device->max_work_group_size);
    case CL_DEVICE_PREFERRED_WORK_GROUP_SIZE_MULTIPLE:
        INFO_VALUE(size_t, device->sub_group_size);
    case CL_DEVICE_MAX_NUM_SUB_GROUPS:
        INFO_VALUE(cl_uint,
                   (cl_uint)(device->max_work_group_size / (device->sub_group_size ? device->sub_group_size : 1)));
    case CL_DEVICE_LOCAL_MEM_SIZE:
        INFO_VALUE(cl_ulong, device->local_mem);
    case CL_DEVICE_GLOBAL_MEM_SIZE:
        INFO_VALUE(cl_ulong, device->global_mem);
    case CL_DEVICE_MAX_MEM_ALLOC_SIZE:
        INFO_VALUE(cl_ulong, device->max_alloc);
    case CL_DEVICE_GLOBAL_MEM_CACHE_SIZE:
        INFO_VALUE(cl_ulong, 4u << 20);
    case CL_DEVICE_MAX_CONSTANT_BUFFER_SIZE:
        INFO_VALUE(cl_ulong, 65536);
    case CL_DEVICE_GLOBAL_MEM_CACHELINE_SIZE:
        INFO_VALUE(cl_uint, 128);
    case CL_DEVICE_MEM_BASE_ADDR_ALIGN: /* bits */
        INFO_VALUE(cl_uint, 1024);
    case CL_DEVICE_MIN_DATA_TYPE_ALIGN_SIZE:
        INFO_VALUE(cl_uint, 128);
    case CL_DEVICE_MAX_PARAMETER_SIZE:
        INFO_VALUE(size_t, 1024);
    case CL_DEVICE_MAX_CLOCK_FREQUENCY:
        INFO_VALUE(cl_uint, device->clock_mhz);
    case CL_DEVICE_ADDRESS_BITS:
        INFO_VALUE(cl_uint, 64);
    case CL_DEVICE_PROFILING_TIMER_RESOLUTION:
        INFO_VALUE(size_t, 1);
    case CL_DEVICE_PARTITION_MAX_SUB_DEVICES:
        INFO_VALUE(cl_uint, 0);
    case CL_DEVICE_MAX_CONSTANT_ARGS:
        INFO_VALUE(cl_uint, 8);
    case CL_DEVICE_PRINTF_BUFFER_SIZE:
        INFO_VALUE(size_t, 1u << 20);
    default:
        return CL_INVALID_VALUE;
    }
}

static cl_int vector_width_info(cl_device_id device, cl_device_info name, size_t size, void *value, size_t *size_ret)
{
    switch (name) {
    case CL_DEVICE_PREFERRED_VECTOR_WIDTH_DOUBLE:
    case CL_DEVICE_NATIVE_VECTOR_WIDTH_DOUBLE:
        INFO_VALUE(cl_uint, strstr(device->extensions, "cl_khr_fp64") ? 1 : 0);
    case CL_DEVICE_PREFERRED_VECTOR_WIDTH_HALF:
    case CL_DEVICE_NATIVE_VECTOR_WIDTH_HALF:
        INFO_VALUE(cl_uint, strstr(device->extensions, "cl_khr_fp16") ? 1 : 0);
    case CL_DEVICE_PREFERRED_VECTOR_WIDTH_CHAR:
    case CL_DEVICE_PREFERRED_VECTOR_WIDTH_SHORT:
    case CL_DEVICE_PREFERRED_VECTOR_WIDTH_INT:
    case CL_DEVICE_PREFERRED_VECTOR_WIDTH_LONG:
    case CL_DEVICE_PREFERRED_VECTOR_WIDTH_FLOAT:
    case CL_DEVICE_NATIVE_VECTOR_WIDTH_CHAR:
    case CL_DEVICE_NATIVE_VECTOR_WIDTH_SHORT:
    case CL_DEVICE_NATIVE_VECTOR_WIDTH_INT:
    case CL_DEVICE_NATIVE_VECTOR_WIDTH_LONG:
    case CL_DEVICE_NATIVE_VECTOR_WIDTH_FLOAT:
        INFO_VALUE(cl_uint, 1);
    default:
        return limits_info(device, name, size, value, size_ret);
    }
}

static cl_int features_info(cl_device_id device, cl_device_info name, size_t size, void *value, size_t *size_ret)
{
    switch (name) {
    case CL_DEVICE_AVAILABLE:
        INFO_VALUE(cl_bool, atomic_load(&device->lost) == 0);
    case CL_DEVICE_COMPILER_AVAILABLE:
    case CL_DEVICE_ENDIAN_LITTLE:
        INFO_VALUE(cl_bool, CL_TRUE);
    case CL_DEVICE_LINKER_AVAILABLE:
    case CL_DEVICE_IMAGE_SUPPORT:
    case CL_DEVICE_ERROR_CORRECTION_SUPPORT:
    case CL_DEVICE_SUB_GROUP_INDEPENDENT_FORWARD_PROGRESS:
    case CL_DEVICE_NON_UNIFORM_WORK_GROUP_SUPPORT:
        INFO_VALUE(cl_bool, CL_FALSE);
    case CL_DEVICE_HOST_UNIFIED_MEMORY:
        INFO_VALUE(cl_bool, device->type == CL_DEVICE_TYPE_CPU);
    case CL_DEVICE_SVM_CAPABILITIES:
        if (device->major < 2)
            return CL_INVALID_VALUE;
        INFO_VALUE(cl_device_svm_capabilities, device->svm);
    case CL_DEVICE_SINGLE_FP_CONFIG:
        INFO_VALUE(cl_device_fp_config, CL_FP_INF_NAN | CL_FP_ROUND_TO_NEAREST | CL_FP_FMA | CL_FP_DENORM);
    case CL_DEVICE_DOUBLE_FP_CONFIG:
        INFO_VALUE(cl_device_fp_config, 0);
    case CL_DEVICE_QUEUE_PROPERTIES:
        INFO_VALUE(cl_command_queue_properties, CL_QUEUE_OUT_OF_ORDER_EXEC_MODE_ENABLE | CL_QUEUE_PROFILING_ENABLE);
    case CL_DEVICE_EXECUTION_CAPABILITIES:
        INFO_VALUE(cl_device_exec_capabilities, CL_EXEC_KERNEL);
    case CL_DEVICE_GLOBAL_MEM_CACHE_TYPE:
        INFO_VALUE(cl_device_mem_cache_type, CL_READ_WRITE_CACHE);
    case CL_DEVICE_LOCAL_MEM_TYPE:
        INFO_VALUE(cl_device_local_mem_type, device->type == CL_DEVICE_TYPE_CPU ? CL_GLOBAL : CL_LOCAL);
    case CL_DEVICE_PARTITION_PROPERTIES:
        INFO_VALUE(cl_device_partition_property, 0);
    case CL_DEVICE_PARTITION_AFFINITY_DOMAIN:
        INFO_VALUE(cl_device_affinity_domain, 0);
    case CL_DEVICE_PARTITION_TYPE:
        return info_give(size, value, size_ret, NULL, 0);
    default:
        return vector_width_info(device, name, size, value, size_ret);
    }
}

cl_int clGetDeviceInfo(cl_device_id device, cl_device_info name, size_t size, void *value, size_t *size_ret)
{
    ENTER(clGetDeviceInfo);
    if (!object_is(device, KIND_DEVICE))
        return CL_INVALID_DEVICE;
    switch (name) {
    case CL_DEVICE_TYPE:
        INFO_VALUE(cl_device_type, device->type);
    case CL_DEVICE_VENDOR_ID:
        INFO_VALUE(cl_uint, device->vendor_id);
    case CL_DEVICE_NAME:
        return info_text(size, value, size_ret, device->name);
    case CL_DEVICE_VENDOR:
        return info_text(size, value, size_ret, device->vendor);
    case CL_DRIVER_VERSION:
        return info_text(size, value, size_ret, device->driver);
    case CL_DEVICE_VERSION:
        return info_text(size, value, size_ret, device->version);
    case CL_DEVICE_PROFILE:
        return info_text(size, value, size_ret, "FULL_PROFILE");
    case CL_DEVICE_OPENCL_C_VERSION:
        return info_text(size, value, size_ret, device->c_version);
    case CL_DEVICE_EXTENSIONS:
        return info_text(size, value, size_ret, device->extensions);
    case CL_DEVICE_BUILT_IN_KERNELS:
        return info_text(size, value, size_ret, "");
    case CL_DEVICE_NUMERIC_VERSION:
        if (device->major < 3)
            return CL_INVALID_VALUE;
        INFO_VALUE(cl_version, CL_MAKE_VERSION((cl_uint)device->major, (cl_uint)device->minor, 0));
    case CL_DEVICE_PLATFORM:
        INFO_VALUE(cl_platform_id, device->platform);
    case CL_DEVICE_PARENT_DEVICE:
        INFO_VALUE(cl_device_id, NULL);
    case CL_DEVICE_REFERENCE_COUNT:
        INFO_VALUE(cl_uint, 1);
    case CL_DEVICE_UUID_KHR:
        return device->has_uuid ? info_give(size, value, size_ret, device->uuid, sizeof device->uuid)
                                : CL_INVALID_VALUE;
    case CL_DEVICE_PCI_BUS_INFO_KHR:
        return device->has_pci ? info_give(size, value, size_ret, device->pci, sizeof device->pci) : CL_INVALID_VALUE;
    default:
        return features_info(device, name, size, value, size_ret);
    }
}

cl_int clCreateSubDevices(cl_device_id device, const cl_device_partition_property *properties, cl_uint num_entries,
                          cl_device_id *devices, cl_uint *num_devices)
{
    ENTER(clCreateSubDevices);
    (void)properties, (void)num_entries, (void)devices, (void)num_devices;
    return object_is(device, KIND_DEVICE) ? CL_INVALID_VALUE : CL_INVALID_DEVICE;
}

/* Root devices are not counted. */
cl_int clRetainDevice(cl_device_id device)
{
    ENTER(clRetainDevice);
    return object_is(device, KIND_DEVICE) ? CL_SUCCESS : CL_INVALID_DEVICE;
}

cl_int clReleaseDevice(cl_device_id device)
{
    ENTER(clReleaseDevice);
    return object_is(device, KIND_DEVICE) ? CL_SUCCESS : CL_INVALID_DEVICE;
}

cl_int clUnloadCompiler(void)
{
    ENTER(clUnloadCompiler);
    return CL_SUCCESS;
}

cl_int clUnloadPlatformCompiler(cl_platform_id platform)
{
    ENTER(clUnloadPlatformCompiler);
    return object_is(platform, KIND_PLATFORM) ? CL_SUCCESS : CL_INVALID_PLATFORM;
}

cl_int clGetHostTimer(cl_device_id device, cl_ulong *host)
{
    ENTER(clGetHostTimer);
    if (!object_is(device, KIND_DEVICE))
        return CL_INVALID_DEVICE;
    if (!host)
        return CL_INVALID_VALUE;
    *host = clock_now();
    return CL_SUCCESS;
}

cl_int clGetDeviceAndHostTimer(cl_device_id device, cl_ulong *timer, cl_ulong *host)
{
    ENTER(clGetDeviceAndHostTimer);
    if (!object_is(device, KIND_DEVICE))
        return CL_INVALID_DEVICE;
    if (!timer || !host)
        return CL_INVALID_VALUE;
    *timer = *host = clock_now();
    return CL_SUCCESS;
}
