/* SPDX-License-Identifier: Apache-2.0 */
#define _GNU_SOURCE /* strcasestr */
#include "device.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* Drivers pad and repeat blanks in their strings; identities must not depend on that. */
static void normalise(char *text)
{
    char *to = text;
    for (const char *from = text; *from; from++)
        if (!isspace((unsigned char)*from))
            *to++ = *from;
        else if (to != text && to[-1] != ' ')
            *to++ = ' ';
    while (to != text && to[-1] == ' ')
        to--;
    *to = '\0';
}

static void copy_normalised(char *dst, size_t size, const char *src)
{
    copy_string(dst, size, src);
    normalise(dst);
}

/* Any information that a driver refuses to give reads as "". */
static void device_string(cl_device_id id, cl_device_info what, char *out, size_t size)
{
    size_t needed = 0;
    out[0] = '\0';
    if (clGetDeviceInfo(id, what, 0, NULL, &needed) != CL_SUCCESS || needed == 0 || needed > 1 << 20)
        return;
    char *text = calloc(1, needed + 1);
    if (text && clGetDeviceInfo(id, what, needed, text, NULL) == CL_SUCCESS)
        copy_normalised(out, size, text);
    free(text);
}

static void platform_string(cl_platform_id id, cl_platform_info what, char *out, size_t size)
{
    char text[1024] = "";
    if (clGetPlatformInfo(id, what, sizeof text - 1, text, NULL) != CL_SUCCESS)
        text[0] = '\0';
    copy_normalised(out, size, text);
}

static cl_ulong device_ulong(cl_device_id id, cl_device_info what)
{
    cl_ulong value = 0;
    return clGetDeviceInfo(id, what, sizeof value, &value, NULL) == CL_SUCCESS ? value : 0;
}

static cl_uint device_uint(cl_device_id id, cl_device_info what)
{
    cl_uint value = 0;
    return clGetDeviceInfo(id, what, sizeof value, &value, NULL) == CL_SUCCESS ? value : 0;
}

static void read_cpu_model(char *out, size_t size)
{
    out[0] = '\0';
    FILE *file = fopen("/proc/cpuinfo", "re");
    if (!file)
        return;
    char line[512];
    while (fgets(line, sizeof line, file)) {
        char *value = strchr(line, ':');
        if (!strncmp(line, "model name", 10) && value) {
            copy_normalised(out, size, value + 1);
            break;
        }
    }
    fclose(file);
}

bool cl_device_has_extension(const struct cl_device *device, const char *name)
{
    size_t length = strlen(name);
    for (const char *at = device->extensions; (at = strstr(at, name)); at += length)
        if ((at == device->extensions || at[-1] == ' ') && (at[length] == ' ' || !at[length]))
            return true;
    return false;
}

bool cl_device_is_pocl(const struct cl_device *device)
{
    return strcasestr(device->platform_name, "portable computing language") ||
           strcasestr(device->platform_version, "pocl");
}

/* Lanes that run together, as far as the device tells. OpenCL 1.2 has no query without a kernel; vendors' extensions
 * do. */
static int32_t sub_group_size(const struct cl_device *device)
{
    enum { WARP_SIZE_NV = 0x4003, WAVEFRONT_WIDTH_AMD = 0x4043, SUB_GROUP_SIZES_INTEL = 0x4108 };
    if (device->type & CL_DEVICE_TYPE_CPU)
        return 1;
    cl_uint value = 0;
    if (cl_device_has_extension(device, "cl_nv_device_attribute_query"))
        value = device_uint(device->id, WARP_SIZE_NV);
    else if (cl_device_has_extension(device, "cl_amd_device_attribute_query"))
        value = device_uint(device->id, WAVEFRONT_WIDTH_AMD);
    else if (cl_device_has_extension(device, "cl_intel_required_subgroup_size")) {
        size_t sizes[8] = {0}, bytes = 0;
        if (clGetDeviceInfo(device->id, SUB_GROUP_SIZES_INTEL, sizeof sizes, sizes, &bytes) == CL_SUCCESS &&
            bytes >= sizeof sizes[0])
            value = (cl_uint)sizes[bytes / sizeof sizes[0] - 1];
    }
    return value >= 1 && value <= 1024 ? (int32_t)value : 1;
}

/* ---- what selects a device */

/* cl_khr_pci_bus_info and cl_khr_device_uuid. */
static void read_addresses(struct cl_device *device)
{
    enum { PCI_BUS_INFO = 0x410F, UUID = 0x106A };
    cl_uint pci[4]; /* domain, bus, device, function */
    unsigned char uuid[16], any = 0;
    if (cl_device_has_extension(device, "cl_khr_pci_bus_info") &&
        clGetDeviceInfo(device->id, PCI_BUS_INFO, sizeof pci, pci, NULL) == CL_SUCCESS)
        snprintf(device->pci, sizeof device->pci, "pci:%04x:%02x:%02x.%x", pci[0] & 0xffff, pci[1] & 0xff,
                 pci[2] & 0xff, pci[3] & 0xf);
    if (!cl_device_has_extension(device, "cl_khr_device_uuid") ||
        clGetDeviceInfo(device->id, UUID, sizeof uuid, uuid, NULL) != CL_SUCCESS)
        return;
    for (size_t i = 0; i < sizeof uuid; i++)
        any |= uuid[i];
    int length = any ? snprintf(device->uuid, sizeof device->uuid, "uuid:") : 0;
    for (size_t i = 0; any && i < sizeof uuid; i++)
        length += snprintf(device->uuid + length, sizeof device->uuid - (size_t)length, "%02x", uuid[i]);
}

void cl_device_index_text(const struct cl_device *device, char *text, size_t size)
{
    snprintf(text, size, "%d:%d", device->platform_index, device->device_index);
}

/* Way number `way` of naming a device, or "". */
static void name_by(const struct cl_device *device, int way, char *text, size_t size)
{
    text[0] = '\0';
    if (way == 0 && device->name[0] && device->platform_name[0])
        snprintf(text, size, "%s@%s", device->name, device->platform_name);
    for (const char *c = text; *c; c++)
        if (*c < ' ' || *c > '~') /* not for command lines, nor for JSON */
            text[0] = '\0';
    if (way == 1)
        copy_string(text, size, device->uuid);
    else if (way == 2)
        copy_string(text, size, device->pci);
    else if (way == 3)
        cl_device_index_text(device, text, size);
}

static void choose_selector(struct cl_device *devices, size_t count, struct cl_device *device)
{
    char other[DEVICE_SELECTOR_SIZE];
    bool alone = false;
    for (int way = 0; !alone && way <= 3; way++) {
        name_by(device, way, device->selector, sizeof device->selector);
        alone = device->selector[0];
        for (size_t i = 0; alone && i < count; i++) {
            name_by(&devices[i], way, other, sizeof other);
            alone = &devices[i] == device || strcasecmp(other, device->selector) != 0;
        }
    }
}

static void read_version(struct cl_device *device)
{
    if (sscanf(device->version, "OpenCL %d.%d", &device->opencl_major, &device->opencl_minor) != 2)
        device->opencl_major = 1, device->opencl_minor = 0;
}

static void describe(cl_platform_id platform, cl_device_id id, struct cl_device *out)
{
    memset(out, 0, sizeof *out);
    out->platform = platform;
    out->id = id;
    cl_device_type type = 0;
    clGetDeviceInfo(id, CL_DEVICE_TYPE, sizeof type, &type, NULL);
    out->type = type;
    device_string(id, CL_DEVICE_NAME, out->name, sizeof out->name);
    device_string(id, CL_DEVICE_VENDOR, out->vendor, sizeof out->vendor);
    device_string(id, CL_DEVICE_VERSION, out->version, sizeof out->version);
    device_string(id, CL_DRIVER_VERSION, out->driver, sizeof out->driver);
    device_string(id, CL_DEVICE_EXTENSIONS, out->extensions, sizeof out->extensions);
    platform_string(platform, CL_PLATFORM_NAME, out->platform_name, sizeof out->platform_name);
    platform_string(platform, CL_PLATFORM_VERSION, out->platform_version, sizeof out->platform_version);
    read_version(out);
    read_addresses(out);
    out->compute_units = (int32_t)device_uint(id, CL_DEVICE_MAX_COMPUTE_UNITS);
    if (out->compute_units < 1)
        out->compute_units = 1;
    size_t group = 0;
    clGetDeviceInfo(id, CL_DEVICE_MAX_WORK_GROUP_SIZE, sizeof group, &group, NULL);
    out->max_work_group_size = (int64_t)group;
    out->local_mem_bytes = (int64_t)device_ulong(id, CL_DEVICE_LOCAL_MEM_SIZE);
    out->global_mem_bytes = (int64_t)device_ulong(id, CL_DEVICE_GLOBAL_MEM_SIZE);
    out->max_alloc_bytes = (int64_t)device_ulong(id, CL_DEVICE_MAX_MEM_ALLOC_SIZE);
    out->sub_group_size = sub_group_size(out);
    if (type & CL_DEVICE_TYPE_CPU)
        read_cpu_model(out->cpu_model, sizeof out->cpu_model);
    if (out->opencl_major >= 2) {
        cl_ulong svm = device_ulong(id, CL_DEVICE_SVM_CAPABILITIES);
        out->coarse_svm = svm & CL_DEVICE_SVM_COARSE_GRAIN_BUFFER;
        out->fine_svm = svm & CL_DEVICE_SVM_FINE_GRAIN_BUFFER;
    }
}

static attune_status list_platforms(cl_platform_id **platforms, cl_uint *count)
{
    *platforms = NULL;
    cl_int code = clGetPlatformIDs(0, NULL, count);
    if (code != CL_SUCCESS || *count == 0)
        return set_opencl_error(ATTUNE_ERROR_NO_PLATFORM, code,
                                "no OpenCL platform is installed (on Debian, pocl-opencl-icd provides one for CPUs)");
    *platforms = calloc(*count, sizeof **platforms);
    if (!*platforms)
        return set_error(ATTUNE_ERROR_OUT_OF_MEMORY, "out of memory while listing %u OpenCL platforms", *count);
    code = clGetPlatformIDs(*count, *platforms, NULL);
    if (code == CL_SUCCESS)
        return ATTUNE_OK;
    free(*platforms);
    *platforms = NULL;
    return set_opencl_error(ATTUNE_ERROR_NO_PLATFORM, code, "OpenCL platforms cannot be listed");
}

/* Appends the platform's devices. A platform that cannot list its own is passed over: others may work. */
static attune_status append_devices(cl_platform_id platform, int32_t platform_index, struct cl_device **devices,
                                    size_t *count)
{
    cl_uint found = 0;
    if (clGetDeviceIDs(platform, CL_DEVICE_TYPE_ALL, 0, NULL, &found) != CL_SUCCESS || found == 0)
        return ATTUNE_OK;
    cl_device_id *ids = calloc(found, sizeof *ids);
    struct cl_device *grown = realloc(*devices, (*count + found) * sizeof **devices);
    if (grown)
        *devices = grown;
    if (!ids || !grown) {
        free(ids);
        return set_error(ATTUNE_ERROR_OUT_OF_MEMORY, "out of memory while listing %u OpenCL devices", found);
    }
    if (clGetDeviceIDs(platform, CL_DEVICE_TYPE_ALL, found, ids, NULL) == CL_SUCCESS)
        for (cl_uint i = 0; i < found; i++) {
            struct cl_device *device = &(*devices)[(*count)++];
            describe(platform, ids[i], device);
            device->platform_index = platform_index;
            device->device_index = (int32_t)i;
            device->index = (int32_t)*count - 1;
        }
    free(ids);
    return ATTUNE_OK;
}

attune_status cl_device_enumerate(struct cl_device **devices, size_t *count)
{
    *devices = NULL;
    *count = 0;
    cl_platform_id *platforms;
    cl_uint num_platforms;
    attune_status status = list_platforms(&platforms, &num_platforms);
    for (cl_uint p = 0; status == ATTUNE_OK && p < num_platforms; p++)
        status = append_devices(platforms[p], (int32_t)p, devices, count);
    free(platforms);
    for (size_t i = 0; status == ATTUNE_OK && i < *count; i++)
        choose_selector(*devices, *count, &(*devices)[i]);
    if (status == ATTUNE_OK && *count == 0)
        status = set_error(ATTUNE_ERROR_NO_DEVICE,
                           "none of the %u OpenCL platforms has a device; pocl has none where it cannot write to its "
                           "cache folder (POCL_CACHE_DIR)",
                           num_platforms);
    if (status != ATTUNE_OK) {
        free(*devices);
        *devices = NULL;
        *count = 0;
    }
    return status;
}

attune_status cl_device_describe(cl_device_id id, struct cl_device *out)
{
    cl_device_id parent = NULL;
    clGetDeviceInfo(id, CL_DEVICE_PARENT_DEVICE, sizeof parent, &parent, NULL);
    if (parent)
        return set_error(ATTUNE_ERROR_UNSUPPORTED, "device is a sub-device; pass its root device");
    struct cl_device *devices;
    size_t count;
    attune_status status = cl_device_enumerate(&devices, &count);
    if (status != ATTUNE_OK)
        return status;
    status = set_error(ATTUNE_ERROR_NO_DEVICE, "device is not among the %zu devices of the OpenCL platforms", count);
    for (size_t i = 0; i < count; i++)
        if (devices[i].id == id) {
            *out = devices[i];
            status = ATTUNE_OK;
        }
    free(devices);
    return status;
}
