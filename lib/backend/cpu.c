/* SPDX-License-Identifier: Apache-2.0
 * Any OpenCL CPU device, pocl above all. */
#include "backend.h"

static bool match(const struct cl_device *device, char *simulated, size_t size)
{
    copy_string(simulated, size, "");
    return device->type & CL_DEVICE_TYPE_CPU;
}

static void limits(const struct cl_device *device, struct device_limits *out)
{
    *out = (struct device_limits){.max_work_group_size = device->max_work_group_size,
                                  .work_group_multiple = 1,
                                  .local_bytes = device->local_mem_bytes};
}

static const struct backend_default defaults[] = {
    {"decode_vector", 0}, {"vector_dot", FEATURE_BF16_DOT_FAST}, {"vector_tile", 0}, {"plain_row", 0}, {NULL, 0}};

const struct backend backend_cpu = {"cpu", match, limits, defaults};
