/* SPDX-License-Identifier: Apache-2.0 */
#define _GNU_SOURCE /* strcasestr */
#include "backend.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

/* A backend is its own file and one line here. */
#define BACKENDS(X) \
    X(zw_m890)      \
    X(gpu)          \
    X(cpu)

#define DECLARE_BACKEND(name) extern const struct backend backend_##name;
BACKENDS(DECLARE_BACKEND)

#define LIST_BACKEND(name) &backend_##name,
static const struct backend *const backends[] = {BACKENDS(LIST_BACKEND)};

#define NUM_BACKENDS ((int)(sizeof backends / sizeof backends[0]))

const struct backend *backend_at(int index)
{
    return index >= 0 && index < NUM_BACKENDS ? backends[index] : NULL;
}

const struct backend *backend_find(const char *name)
{
    for (int i = 0; i < NUM_BACKENDS; i++)
        if (!strcmp(backends[i]->name, name))
            return backends[i];
    return NULL;
}

const struct backend *backend_for_device(const struct cl_device *device)
{
    char simulated[128];
    for (int i = 0; i < NUM_BACKENDS; i++)
        if (backends[i]->match(device, simulated, sizeof simulated) && !simulated[0])
            return backends[i];
    return &backend_gpu;
}

static bool within_limits(const struct device_limits *limits, const struct kernel_resources *needs, char *why,
                          size_t size)
{
    if (needs->wg_size < 1 || needs->wg_size > limits->max_work_group_size)
        snprintf(why, size, "work-group of %d exceeds the device's %lld", needs->wg_size,
                 (long long)limits->max_work_group_size);
    else if (needs->wg_size % limits->work_group_multiple)
        snprintf(why, size, "work-group of %d is not a multiple of the sub-group %d", needs->wg_size,
                 limits->work_group_multiple);
    else if (needs->local_bytes > limits->local_bytes)
        snprintf(why, size, "%lld bytes of local memory exceed the device's %lld", (long long)needs->local_bytes,
                 (long long)limits->local_bytes);
    else if (limits->private_bytes && needs->private_bytes > limits->private_bytes)
        snprintf(why, size, "%lld bytes of private memory exceed the device's %lld", (long long)needs->private_bytes,
                 (long long)limits->private_bytes);
    else if (limits->private_bytes_group && needs->private_bytes * needs->wg_size > limits->private_bytes_group)
        snprintf(why, size, "%lld bytes of private memory in a work-group exceed the device's %lld",
                 (long long)needs->private_bytes * needs->wg_size, (long long)limits->private_bytes_group);
    else if (limits->stack_bytes && stack_needed(needs->private_bytes, needs->wg_size) > limits->stack_bytes)
        snprintf(why, size, "%lld bytes of private memory exceed the thread stacks' %lld",
                 (long long)stack_needed(needs->private_bytes, needs->wg_size), (long long)limits->stack_bytes);
    else
        return true;
    return false;
}

bool backend_config_valid(const struct device_limits *limits, const struct kernel_facts *facts,
                          const struct kernel_config *config, char *why, size_t size)
{
    const struct family *family = family_at(config->family);
    const char *reason = "unknown family";
    if (!family || !family->valid(facts, config->values, &reason)) {
        copy_string(why, size, reason);
        return false;
    }
    struct kernel_resources needs;
    family->resources(facts, config->values, &needs);
    if (needs.features & ~limits->features) {
        copy_string(why, size, "needs a device feature that no probe has shown");
        return false;
    }
    return within_limits(limits, &needs, why, size);
}

static bool refused(const struct config_filter *filter, const struct kernel_config *config)
{
    return filter && filter->refuses(filter->priv, config);
}

/* Any family with its own defaults. The list of families begins with the plainest. */
static bool any_family(const struct device_limits *limits, const struct kernel_facts *facts,
                       const struct config_filter *filter, struct kernel_config *out)
{
    char why[128];
    for (int family = family_count() - 1; family >= 0; family--) {
        family_default_config(family, out);
        if (backend_config_valid(limits, facts, out, why, sizeof why) && !refused(filter, out))
            return true;
    }
    return false;
}

bool backend_default_config(const struct backend *backend, const struct device_limits *limits,
                            const struct kernel_facts *facts, const struct config_filter *filter,
                            struct kernel_config *out)
{
    char why[128];
    bool passed_over = false;
    for (const struct backend_default *d = backend->defaults; d->config; d++) {
        if ((d->features & ~limits->features) || kernel_config_parse(d->config, out) != ATTUNE_OK ||
            !backend_config_valid(limits, facts, out, why, sizeof why))
            continue;
        bool last = !d[1].config;
        if (!refused(filter, out) && !(passed_over && last))
            return true;
        passed_over = true;
    }
    return passed_over && any_family(limits, facts, filter, out);
}
