/* SPDX-License-Identifier: Apache-2.0
 * Any OpenCL GPU or accelerator: the limits are what the device reports. */
#include "backend.h"

static bool match(const struct cl_device *device, char *simulated, size_t size)
{
    copy_string(simulated, size, "");
    return device->type & (CL_DEVICE_TYPE_GPU | CL_DEVICE_TYPE_ACCELERATOR);
}

static void limits(const struct cl_device *device, struct device_limits *out)
{
    *out = (struct device_limits){.max_work_group_size = device->max_work_group_size,
                                  .work_group_multiple = 1,
                                  .local_bytes = device->local_mem_bytes};
}

static const struct backend_default defaults[] = {{"decode_simt", 0}, {"simt_tile", 0}, {"plain_row", 0}, {NULL, 0}};

const struct backend backend_gpu = {"gpu", match, limits, defaults};
