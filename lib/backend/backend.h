/* SPDX-License-Identifier: Apache-2.0
 *
 * Backends: which devices they match, which limits they enforce, which configuration is the untuned default. One file
 * per backend and one line in backends.c.
 */
#ifndef ATTUNE_BACKEND_H
#define ATTUNE_BACKEND_H

#include "cl/device.h"
#include "family/family.h"

/* Limits enforced jointly, before any build. */
struct device_limits {
    int64_t max_work_group_size;
    int32_t work_group_multiple; /* of the sub-group; 1 = any */
    int64_t local_bytes;         /* per work-group */
    int64_t private_bytes;       /* per work-item; 0 = no limit */
    int64_t private_bytes_group; /* work-group size x private; 0 = no limit */
    uint32_t features;           /* enum device_feature bits that a probe showed; 0 without a probe */
    int32_t half_load;           /* enum half_load */
    int64_t stack_bytes;         /* of a thread's stack, for a work-group's private memory; 0 = it does not lie there */
};

/* A candidate for the untuned default. */
struct backend_default {
    const char *config; /* a family, with the values that are not its own defaults */
    uint32_t features;  /* enum device_feature bits without which it is passed over, though it may run */
};

struct backend {
    const char *name;
    /* True if the backend can drive the device; *simulated[128] gets "" or what plays it. */
    bool (*match)(const struct cl_device *device, char *simulated, size_t size);
    void (*limits)(const struct cl_device *device, struct device_limits *out);
    /* In the order in which they are tried, ended by one without a config. The last one takes every problem. */
    const struct backend_default *defaults;
    /* SYNTAX where a variable of the environment that the backend reads is not what it must be. May be NULL. */
    attune_status (*check_environment)(void);
};

const struct backend *backend_find(const char *name);
const struct backend *backend_at(int index); /* NULL past the end */
/* What a device is driven by when nobody says: zw-m890 where the chip itself matches, else cpu or gpu by type. */
const struct backend *backend_for_device(const struct cl_device *device);

/* A device as a backend drives it. */
struct backend_choice {
    const struct backend *backend;
    struct cl_device device;
    char simulated[128]; /* "" for hardware */
    struct device_limits limits;
};

/* The backend of that name; NULL: of $ATTUNE_BACKEND, or "zw-m890". ENUM: there is none such. SYNTAX: its environment. */
attune_status backend_named(const char *name, const struct backend **out);
/* Picks among devices[count] by a selector as in attune_context_options. name as for backend_named; selector NULL:
 * $ATTUNE_DEVICE or the backend's first, hardware before simulation. A device that only the selector names is taken for
 * zw-m890 even where its strings do not match. ENUM: no such backend; NO_DEVICE: nothing fits, or more than one, with what
 * there is. */
attune_status backend_pick(const char *name, const char *selector, const struct cl_device *devices, size_t count,
                           struct backend_choice *out);

/* Drives a given device by a backend, matching or forced. NO_DEVICE where the backend cannot. */
attune_status backend_drive(const struct backend *backend, const struct cl_device *device, bool forced,
                            struct backend_choice *out);

/* Sub-group size that kernels are compiled for. */
int32_t backend_sub_group_size(const struct backend_choice *choice);

void backend_device_info(const struct backend_choice *choice, attune_device_info *out);

/* ---- stack.c: private memory of a work-group on a CPU device */

/* Bytes of the stacks that new threads of this process get; 0 = not known. */
int64_t stack_of_new_threads(void);
/* What of a stack a work-group's private memory may take: some is left for the driver and for what is not known. */
int64_t stack_for_private(int64_t stack);
/* Bytes of stack that a work-group takes whose work-items declare private_bytes each. */
int64_t stack_needed(int64_t private_bytes, int32_t wg_size);

/* Constraints of the family, then the limits. False with *why (static or in buffer[size]) otherwise. */
bool backend_config_valid(const struct device_limits *limits, const struct kernel_facts *facts,
                          const struct kernel_config *config, char *why, size_t size);

/* Configurations that must not be taken. */
struct config_filter {
    bool (*refuses)(const void *priv, const struct kernel_config *config);
    const void *priv;
};

/* The untuned default: the first of the backend's that is valid and wants no feature that the device lacks; where the filter
 * (NULL: none) refuses one of those, after the others the defaults of any family, the backend's last one at the end. False
 * if none is. */
bool backend_default_config(const struct backend *backend, const struct device_limits *limits,
                            const struct kernel_facts *facts, const struct config_filter *filter,
                            struct kernel_config *out);

#endif
