/* SPDX-License-Identifier: Apache-2.0
 * Any OpenCL CPU device, pocl above all. */
#include "backend.h"

/* Work-items of a group share a thread of the driver and its stack, which their private memory must not overflow. */
#define PRIVATE_BYTES_GROUP ((int64_t)4 << 20)

static bool match(const struct cl_device *device, char *simulated, size_t size)
{
    copy_string(simulated, size, "");
    return device->type & CL_DEVICE_TYPE_CPU;
}

static void limits(const struct cl_device *device, struct device_limits *out)
{
    *out = (struct device_limits){.max_work_group_size = device->max_work_group_size,
                                  .work_group_multiple = 1,
                                  .local_bytes = device->local_mem_bytes,
                                  .private_bytes_group = PRIVATE_BYTES_GROUP};
}

static const struct backend_default defaults[] = {
    {"decode_vector", 0}, {"vector_dot", FEATURE_BF16_DOT_FAST}, {"vector_tile", 0}, {"plain_row", 0}, {NULL, 0}};

const struct backend backend_cpu = {"cpu", match, limits, defaults};
