/* SPDX-License-Identifier: Apache-2.0
 * Which device, driven by which backend. */
#define _GNU_SOURCE /* strcasestr */
#include "backend.h"

#include <stdio.h>
#include <string.h>

attune_status backend_drive(const struct backend *backend, const struct cl_device *device, bool forced,
                            struct backend_choice *out)
{
    memset(out, 0, sizeof *out);
    out->backend = backend;
    out->device = *device;
    if (!backend->match(device, out->simulated, sizeof out->simulated)) {
        if (!forced || strcmp(backend->name, "zw-m890"))
            return set_error(ATTUNE_ERROR_NO_DEVICE, "backend %s cannot drive device \"%s\" (%d:%d)", backend->name,
                             device->name, device->platform_index, device->device_index);
        /* Nothing public says how the chip names itself, so the user's word is taken, except for a host processor. */
        if (device->type & CL_DEVICE_TYPE_CPU)
            copy_string(out->simulated, sizeof out->simulated, device->platform_version);
    }
    backend->limits(device, &out->limits);
    return ATTUNE_OK;
}

static void selector_of(const struct cl_device *device, char *text, size_t size)
{
    snprintf(text, size, "%d:%d", device->platform_index, device->device_index);
}

static bool selected(const struct cl_device *device, const char *selector)
{
    char own[64];
    selector_of(device, own, sizeof own);
    return !selector || !strcmp(selector, own) || strcasestr(device->name, selector);
}

static void list_devices(const struct cl_device *devices, size_t count, struct strbuf *out)
{
    for (size_t i = 0; i < count; i++)
        strbuf_printf(out, "%s%d:%d \"%s\"", i ? ", " : "", devices[i].platform_index, devices[i].device_index,
                      devices[i].name);
}

attune_status backend_named(const char *name, const struct backend **out)
{
    const char *what = name ? "options.backend" : "ATTUNE_BACKEND";
    if (!name)
        name = env_get("ATTUNE_BACKEND");
    *out = backend_find(name ? name : "zw-m890");
    return *out ? ATTUNE_OK
                : set_error(ATTUNE_ERROR_ENUM, "%s is \"%.60s\"; it must be zw-m890, gpu or cpu", what, name);
}

attune_status backend_pick(const char *name, const char *selector, const struct cl_device *devices, size_t count,
                           struct backend_choice *out)
{
    const struct backend *backend;
    attune_status named = backend_named(name, &backend);
    if (named != ATTUNE_OK)
        return named;
    if (!selector)
        selector = env_get("ATTUNE_DEVICE");
    bool found = false;
    for (size_t i = 0; i < count; i++) {
        struct backend_choice candidate;
        if (!selected(&devices[i], selector) || backend_drive(backend, &devices[i], selector, &candidate) != ATTUNE_OK)
            continue;
        if (!found || (out->simulated[0] && !candidate.simulated[0]))
            *out = candidate;
        found = true;
    }
    if (found)
        return ATTUNE_OK;
    struct strbuf there = {0};
    list_devices(devices, count, &there);
    attune_status status =
        set_error(ATTUNE_ERROR_NO_DEVICE, "no device for backend %s%s%s; there are: %s", backend->name,
                  selector ? " named " : "", selector ? selector : "", there.text ? there.text : "none");
    strbuf_free(&there);
    return status;
}

int32_t backend_sub_group_size(const struct backend_choice *choice)
{
    return choice->limits.work_group_multiple > 1 ? choice->limits.work_group_multiple : choice->device.sub_group_size;
}

void backend_device_info(const struct backend_choice *choice, attune_device_info *out)
{
    const struct cl_device *device = &choice->device;
    memset(out, 0, sizeof *out);
    copy_string(out->backend, sizeof out->backend, choice->backend->name);
    selector_of(device, out->selector, sizeof out->selector);
    copy_string(out->name, sizeof out->name, device->name);
    copy_string(out->vendor, sizeof out->vendor, device->vendor);
    copy_string(out->version, sizeof out->version, device->version);
    copy_string(out->driver, sizeof out->driver, device->driver);
    copy_string(out->platform, sizeof out->platform, device->platform_name);
    copy_string(out->simulated, sizeof out->simulated, choice->simulated);
    out->compute_units = device->compute_units;
    out->sub_group_size = backend_sub_group_size(choice);
    out->max_work_group_size = choice->limits.max_work_group_size;
    out->local_mem_bytes = choice->limits.local_bytes;
    out->private_mem_bytes = choice->limits.private_bytes;
    out->global_mem_bytes = device->global_mem_bytes;
}
