/* SPDX-License-Identifier: Apache-2.0
 * Which device, driven by which backend. */
#define _GNU_SOURCE /* strcasestr */
#include "backend.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

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
    int64_t stack = device->type & CL_DEVICE_TYPE_CPU ? stack_of_new_threads() : 0;
    out->limits.stack_bytes = stack ? stack_for_private(stack) : 0;
    return ATTUNE_OK;
}

attune_status backend_named(const char *name, const struct backend **out)
{
    const char *what = name ? "options.backend" : "ATTUNE_BACKEND";
    if (!name)
        name = env_get("ATTUNE_BACKEND");
    *out = backend_find(name ? name : "zw-m890");
    if (!*out)
        return set_error(ATTUNE_ERROR_ENUM, "%s is \"%.60s\"; it must be zw-m890, gpu or cpu", what, name);
    return (*out)->check_environment ? (*out)->check_environment() : ATTUNE_OK;
}

/* ---- by a selector */

/* How well a selector fits a device. */
enum fit { FITS_NOT, FITS_IN_PART, FITS };

static bool all_digits(const char *text, size_t length)
{
    return length && strspn(text, "0123456789") >= length;
}

/* "3" and "0:1": places, never parts of names. */
static bool is_place(const char *selector)
{
    const char *colon = strchr(selector, ':');
    return colon ? all_digits(selector, (size_t)(colon - selector)) && all_digits(colon + 1, strlen(colon + 1))
                 : all_digits(selector, strlen(selector));
}

static bool is_at(const struct cl_device *device, const char *selector)
{
    char index[16], place[32];
    snprintf(index, sizeof index, "%d", device->index);
    cl_device_index_text(device, place, sizeof place);
    return !strcmp(selector, index) || !strcmp(selector, place);
}

/* "NAME@PLATFORM", parts of both; names may hold an @ themselves. */
static bool fits_name_and_platform(const struct cl_device *device, const char *selector)
{
    char name[DEVICE_SELECTOR_SIZE];
    copy_string(name, sizeof name, selector);
    char *at = strrchr(name, '@');
    if (!at)
        return false;
    *at = '\0';
    return strcasestr(device->name, name) && strcasestr(device->platform_name, at + 1);
}

static enum fit fit_of(const struct cl_device *device, const char *selector)
{
    if (is_place(selector))
        return is_at(device, selector) ? FITS : FITS_NOT;
    char whole[DEVICE_SELECTOR_SIZE];
    snprintf(whole, sizeof whole, "%s@%s", device->name, device->platform_name);
    if (!strcasecmp(selector, whole) || !strcasecmp(selector, device->name) || !strcasecmp(selector, device->uuid) ||
        !strcasecmp(selector, device->pci))
        return FITS;
    return strcasestr(device->name, selector) || fits_name_and_platform(device, selector) ? FITS_IN_PART : FITS_NOT;
}

/* How errors name a device: by its place and by what survives. */
static void list_device(const struct cl_device *device, struct strbuf *out)
{
    char place[32];
    cl_device_index_text(device, place, sizeof place);
    strbuf_printf(out, "%s%s \"%s\"", out->length ? ", " : "", place,
                  strcmp(place, device->selector) ? device->selector : device->name);
}

/* Devices that fit so well and that the backend drives. The last one is in out. */
static size_t count_fitting(const struct backend *backend, const char *selector, enum fit fit, bool forced,
                            const struct cl_device *devices, size_t count, struct backend_choice *out,
                            struct strbuf *names)
{
    size_t found = 0;
    struct backend_choice candidate;
    for (size_t i = 0; i < count; i++)
        if (fit_of(&devices[i], selector) == fit &&
            backend_drive(backend, &devices[i], forced, &candidate) == ATTUNE_OK) {
            *out = candidate;
            list_device(&devices[i], names);
            found++;
        }
    return found;
}

static attune_status not_found(const struct backend *backend, const char *selector, const struct cl_device *devices,
                               size_t count)
{
    struct strbuf there = {0};
    for (size_t i = 0; i < count; i++)
        list_device(&devices[i], &there);
    attune_status status =
        set_error(ATTUNE_ERROR_NO_DEVICE, "no device for backend %s%s%s; there are: %s", backend->name,
                  selector ? " named " : "", selector ? selector : "", there.text ? there.text : "none");
    strbuf_free(&there);
    return status;
}

/* A whole name before a part, and what the backend knows before what it is forced to. */
static attune_status pick_selected(const struct backend *backend, const char *selector, const struct cl_device *devices,
                                   size_t count, struct backend_choice *out)
{
    for (int i = 0; i < 4; i++) {
        struct strbuf names = {0};
        size_t found =
            count_fitting(backend, selector, i < 2 ? FITS : FITS_IN_PART, i % 2, devices, count, out, &names);
        attune_status status = ATTUNE_OK;
        if (found > 1)
            status =
                set_error(ATTUNE_ERROR_NO_DEVICE, "device \"%s\" may be any of %zu for backend %s: %s; name one whole",
                          selector, found, backend->name, names.text ? names.text : "");
        strbuf_free(&names);
        if (found)
            return status;
    }
    return not_found(backend, selector, devices, count);
}

/* The first, hardware before simulation. */
static attune_status pick_first(const struct backend *backend, const struct cl_device *devices, size_t count,
                                struct backend_choice *out)
{
    bool found = false;
    for (size_t i = 0; i < count; i++) {
        struct backend_choice candidate;
        if (backend_drive(backend, &devices[i], false, &candidate) != ATTUNE_OK)
            continue;
        if (!found || (out->simulated[0] && !candidate.simulated[0]))
            *out = candidate;
        found = true;
    }
    return found ? ATTUNE_OK : not_found(backend, NULL, devices, count);
}

attune_status backend_pick(const char *name, const char *selector, const struct cl_device *devices, size_t count,
                           struct backend_choice *out)
{
    const struct backend *backend;
    attune_status status = backend_named(name, &backend);
    if (status != ATTUNE_OK)
        return status;
    if (!selector)
        selector = env_get("ATTUNE_DEVICE");
    return selector ? pick_selected(backend, selector, devices, count, out) : pick_first(backend, devices, count, out);
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
    copy_string(out->selector, sizeof out->selector, device->selector);
    cl_device_index_text(device, out->index, sizeof out->index);
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
