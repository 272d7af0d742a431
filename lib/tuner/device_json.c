/* SPDX-License-Identifier: Apache-2.0 */
#include "device_json.h"

#include <string.h>

/* Fields by kind, so that writing and reading cannot disagree: X(object's member, bytes or lowest value). */
#define TEXTS(X)               \
    X(device.name)             \
    X(device.vendor)           \
    X(device.version)          \
    X(device.driver)           \
    X(device.platform_name)    \
    X(device.platform_version) \
    X(device.extensions)       \
    X(device.cpu_model)        \
    X(device.selector)         \
    X(simulated)

#define NUMBERS(X)                   \
    X(device.platform_index, 0)      \
    X(device.device_index, 0)        \
    X(device.index, 0)               \
    X(device.type, 0)                \
    X(device.compute_units, 1)       \
    X(device.opencl_major, 1)        \
    X(device.opencl_minor, 0)        \
    X(device.max_work_group_size, 1) \
    X(device.local_mem_bytes, 0)     \
    X(device.global_mem_bytes, 0)    \
    X(device.max_alloc_bytes, 0)     \
    X(device.sub_group_size, 1)      \
    X(device.fine_svm, 0)            \
    X(device.coarse_svm, 0)          \
    X(limits.max_work_group_size, 1) \
    X(limits.work_group_multiple, 1) \
    X(limits.local_bytes, 0)         \
    X(limits.private_bytes, 0)       \
    X(limits.private_bytes_group, 0) \
    X(limits.stack_bytes, 0)

/* Drivers may name devices in any encoding; JSON takes UTF-8. */
static json_t *safe_string(const char *text)
{
    json_t *string = json_string(text);
    if (string)
        return string;
    char plain[4096];
    copy_string(plain, sizeof plain, text);
    for (char *c = plain; *c; c++)
        *c = (unsigned char)*c < 128 ? *c : '?';
    return json_string(plain);
}

json_t *device_to_json(const struct backend_choice *choice)
{
    json_t *json = json_pack("{s:b,s:s}", "ok", 1, "backend", choice->backend->name);
    int failed = !json;
#define WRITE_TEXT(member) failed |= json_object_set_new(json, #member, safe_string(choice->member));
#define WRITE_NUMBER(member, lowest) \
    failed |= json_object_set_new(json, #member, json_integer((json_int_t)choice->member));
    TEXTS(WRITE_TEXT)
    NUMBERS(WRITE_NUMBER)
    if (failed) {
        json_decref(json);
        return NULL;
    }
    return json;
}

static bool read_text(const json_t *json, const char *name, char *out, size_t size)
{
    const char *text = json_string_value(json_object_get(json, name));
    copy_string(out, size, text ? text : "");
    return text;
}

static bool read_number(const json_t *json, const char *name, long long lowest, long long *out)
{
    const json_t *value = json_object_get(json, name);
    *out = json_integer_value(value);
    return json_is_integer(value) && *out >= lowest;
}

attune_status device_from_json(const json_t *json, struct backend_choice *out)
{
    memset(out, 0, sizeof *out);
    const char *backend = json_string_value(json_object_get(json, "backend"));
    out->backend = backend ? backend_find(backend) : NULL;
    bool ok = out->backend;
    long long number;
#define READ_TEXT(member) ok &= read_text(json, #member, out->member, sizeof out->member);
#define READ_NUMBER(part, lowest)                    \
    ok &= read_number(json, #part, lowest, &number); \
    out->part = number;
    TEXTS(READ_TEXT)
    NUMBERS(READ_NUMBER)
    return ok ? ATTUNE_OK : set_error(ATTUNE_ERROR_WORKER, "worker's description of the device is not valid");
}

attune_status device_list_from_json(const json_t *reply, attune_device_info *out, size_t capacity, size_t *count)
{
    size_t i;
    json_t *item;
    const json_t *devices = json_object_get(reply, "devices");
    *count = 0;
    json_array_foreach(devices, i, item)
    {
        struct backend_choice choice;
        attune_status status = device_from_json(item, &choice);
        if (status != ATTUNE_OK)
            return status;
        if (i < capacity)
            backend_device_info(&choice, &out[i]);
        ++*count;
    }
    return ATTUNE_OK;
}
