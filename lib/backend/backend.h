/* SPDX-License-Identifier: Apache-2.0
 *
 * Backends: which devices they match, which limits they enforce, which configuration is the untuned default. One file per
 * backend and one line in backends.c.
 */
#ifndef ATTUNE_BACKEND_H
#define ATTUNE_BACKEND_H

#include "cl/device.h"
#include "family/family.h"

/* Limits enforced jointly, before any build. */
struct device_limits {
    int64_t max_work_group_size;
    int32_t work_group_multiple;       /* of the sub-group; 1 = any */
    int64_t local_bytes;               /* per work-group */
    int64_t private_bytes;             /* per work-item; 0 = no limit */
    int64_t private_bytes_group;       /* work-group size x private; 0 = no limit */
};

struct backend {
    const char *name;
    /* True if the backend can drive the device; *simulated[128] gets "" or what plays it. */
    bool (*match)(const struct cl_device *device, char *simulated, size_t size);
    void (*limits)(const struct cl_device *device, struct device_limits *out);
    /* Families in the order in which their defaults are tried; NULL-terminated. The last one takes every problem. */
    const char *const *default_families;
};

const struct backend *backend_find(const char *name);
const struct backend *backend_at(int index); /* NULL past the end */
/* What a device is driven by when nobody says: zw-m890 where the chip itself matches, else cpu or gpu by type. */
const struct backend *backend_for_device(const struct cl_device *device);

/* Constraints of the family, then the limits. False with *why (static or in buffer[size]) otherwise. */
bool backend_config_valid(const struct device_limits *limits, const struct kernel_facts *facts,
                          const struct kernel_config *config, char *why, size_t size);

/* The untuned default: the first of the backend's families whose default values are valid. False if none is. */
bool backend_default_config(const struct backend *backend, const struct device_limits *limits,
                            const struct kernel_facts *facts, struct kernel_config *out);

#endif
