/* SPDX-License-Identifier: Apache-2.0
 * OpenCL devices: enumeration and what they report. */
#ifndef ATTUNE_CL_DEVICE_H
#define ATTUNE_CL_DEVICE_H

#include "base/base.h"

#define DEVICE_SELECTOR_SIZE 264

struct cl_device {
    cl_platform_id platform;
    cl_device_id id;
    int32_t platform_index, device_index;
    int32_t index;                       /* among the devices of all platforms */
    char selector[DEVICE_SELECTOR_SIZE]; /* that survives other drivers: see cl_device_enumerate */
    char pci[24], uuid[40];              /* "pci:0000:01:00.0", "uuid:00112233..."; "" where the device does not say */
    cl_device_type type;
    char name[128], vendor[128], version[128], driver[128], platform_name[128], platform_version[128];
    char extensions[4096];
    char cpu_model[128]; /* host's, for CPU devices; "" otherwise */
    int32_t compute_units;
    int32_t opencl_major, opencl_minor;
    int64_t max_work_group_size, local_mem_bytes, global_mem_bytes, max_alloc_bytes;
    int32_t sub_group_size; /* preferred multiple as far as the device tells; 1 for CPUs */
    bool fine_svm, coarse_svm;
};

/* Fills *devices (free() it) with every device of every platform. A device's selector is the first of these that no
 * other device has: "NAME@PLATFORM", its UUID, its PCI address; else "PLATFORM:INDEX" by number. NO_PLATFORM when there
 * is no platform (or no ICD loader entry), NO_DEVICE when platforms have no device. */
attune_status cl_device_enumerate(struct cl_device **devices, size_t *count);
/* Describes one device of the caller's. UNSUPPORTED for sub-devices. */
attune_status cl_device_describe(cl_device_id id, struct cl_device *out);
/* "PLATFORM:INDEX" by number. */
void cl_device_index_text(const struct cl_device *device, char *text, size_t size);
bool cl_device_is_pocl(const struct cl_device *device);
bool cl_device_has_extension(const struct cl_device *device, const char *name);

#endif
