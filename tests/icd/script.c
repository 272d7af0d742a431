/* SPDX-License-Identifier: Apache-2.0
 * Reads the script: README.md describes it. */
#include "icd.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct script script;
static pthread_once_t once = PTHREAD_ONCE_INIT;

static void *checked(void *memory)
{
    if (!memory) {
        fputs("fake OpenCL driver: out of memory while reading the script\n", stderr);
        abort();
    }
    return memory;
}

static char *text_of(const json_t *object, const char *key, const char *absent)
{
    const char *text = json_string_value(json_object_get(object, key));
    return text || absent ? checked(strdup(text ? text : absent)) : NULL;
}

static double number_of(const json_t *object, const char *key, double absent)
{
    const json_t *value = json_object_get(object, key);
    return json_is_number(value) ? json_number_value(value) : absent;
}

static struct match match_of(const json_t *object)
{
    return (struct match){text_of(object, "match", NULL), text_of(object, "source", NULL),
                          text_of(object, "device", NULL)};
}

/* Every key of an object must be one of a known list, so that a typing error in a test does not pass for "no fault". */
static bool keys_known(json_t *object, const char *known, const char *where)
{
    const char *key;
    json_t *value;
    json_object_foreach(object, key, value)
    {
        char padded[64];
        snprintf(padded, sizeof padded, " %s ", key);
        if (!strstr(known, padded)) {
            fprintf(stderr, "fake OpenCL driver: unknown key \"%s\" in %s\n", key, where);
            return false;
        }
    }
    return true;
}

static bool read_timing(json_t *object, struct timing *out)
{
    if (!keys_known(object,
                    " default_ns item_ns pair_ns first_ns transfer_ns byte_ns build_ns noise drift seed by_option"
                    " rates ",
                    "\"time\""))
        return false;
    *out = (struct timing){
        .default_ns = number_of(object, "default_ns", 100e3),
        .item_ns = number_of(object, "item_ns", 0),
        .pair_ns = number_of(object, "pair_ns", 0),
        .first_ns = number_of(object, "first_ns", 0),
        .transfer_ns = number_of(object, "transfer_ns", 1e3),
        .byte_ns = number_of(object, "byte_ns", 0),
        .build_ns = number_of(object, "build_ns", 1e6),
        .noise = number_of(object, "noise", 0),
        .drift = number_of(object, "drift", 0),
        .seed = (uint64_t)number_of(object, "seed", 1),
    };
    json_t *list = json_object_get(object, "by_option"), *entry;
    out->factors = checked(calloc(json_array_size(list) + 1, sizeof *out->factors));
    size_t i;
    json_array_foreach(list, i, entry)
    {
        if (!keys_known(entry, " match source device factor ", "\"by_option\""))
            return false;
        out->factors[out->num_factors++] = (struct factor){match_of(entry), number_of(entry, "factor", 1)};
    }
    list = json_object_get(object, "rates");
    out->rates = checked(calloc(json_array_size(list) + 1, sizeof *out->rates));
    json_array_foreach(list, i, entry)
    {
        if (!keys_known(entry, " match source device up_to_bytes per_second ", "\"rates\""))
            return false;
        out->rates[out->num_rates++] =
            (struct rate){match_of(entry), number_of(entry, "up_to_bytes", 0), number_of(entry, "per_second", 1e9)};
    }
    return true;
}

static cl_device_type device_type(const char *name)
{
    return strcmp(name, "cpu") == 0           ? CL_DEVICE_TYPE_CPU
           : strcmp(name, "accelerator") == 0 ? CL_DEVICE_TYPE_ACCELERATOR
                                              : CL_DEVICE_TYPE_GPU;
}

static cl_device_svm_capabilities svm_of(const json_t *object, int major)
{
    const char *name = json_string_value(json_object_get(object, "svm"));
    if (!name)
        name = major >= 2 ? "fine" : "none";
    return strcmp(name, "fine") == 0     ? CL_DEVICE_SVM_COARSE_GRAIN_BUFFER | CL_DEVICE_SVM_FINE_GRAIN_BUFFER
           : strcmp(name, "coarse") == 0 ? CL_DEVICE_SVM_COARSE_GRAIN_BUFFER
                                         : 0;
}

static void read_identity(const json_t *object, cl_device_id device)
{
    const char *hex = json_string_value(json_object_get(object, "uuid"));
    device->has_uuid = hex && strlen(hex) == 2 * CL_UUID_SIZE_KHR;
    for (size_t i = 0; device->has_uuid && i < CL_UUID_SIZE_KHR; i++) {
        char byte[3] = {hex[2 * i], hex[2 * i + 1], 0};
        device->uuid[i] = (cl_uchar)strtoul(byte, NULL, 16);
    }
    const json_t *pci = json_object_get(object, "pci");
    device->has_pci = json_array_size(pci) == 4;
    for (size_t i = 0; device->has_pci && i < 4; i++)
        device->pci[i] = (cl_uint)json_integer_value(json_array_get(pci, i));
    char *extensions = text_of(object, "extensions", "cl_khr_fp16 cl_khr_byte_addressable_store");
    size_t size = strlen(extensions) + 64;
    device->extensions = checked(malloc(size));
    snprintf(device->extensions, size, "%s%s%s", extensions, device->has_uuid ? " cl_khr_device_uuid" : "",
             device->has_pci ? " cl_khr_pci_bus_info" : "");
    free(extensions);
}

static bool read_device(json_t *object, cl_platform_id platform, cl_device_id device)
{
    if (!keys_known(object,
                    " name vendor vendor_id version opencl_c_version driver_version type compute_units clock_mhz"
                    " max_work_group_size local_mem global_mem max_alloc extensions sub_group_size svm uuid pci time"
                    " instructions ",
                    "a device"))
        return false;
    device->object = (struct object){.dispatch = dispatch_get(), .kind = KIND_DEVICE, .refs = 1, .uses = 1};
    device->platform = platform;
    device->name = text_of(object, "name", "Fake GPU");
    device->vendor = text_of(object, "vendor", "Fake Devices");
    device->version = text_of(object, "version", "OpenCL 3.0 fake");
    device->driver = text_of(object, "driver_version", "1.0");
    device->c_version = text_of(object, "opencl_c_version", "OpenCL C 1.2");
    if (sscanf(device->version, "OpenCL %d.%d", &device->major, &device->minor) != 2) {
        fprintf(stderr, "fake OpenCL driver: version \"%s\" is not \"OpenCL <major>.<minor>...\"\n", device->version);
        return false;
    }
    const char *type = json_string_value(json_object_get(object, "type"));
    device->type = device_type(type ? type : "gpu");
    device->vendor_id = (cl_uint)number_of(object, "vendor_id", 0xfa4e);
    device->compute_units = (cl_uint)number_of(object, "compute_units", 16);
    device->clock_mhz = (cl_uint)number_of(object, "clock_mhz", 1000);
    device->sub_group_size = (cl_uint)number_of(object, "sub_group_size", 32);
    device->max_work_group_size = (size_t)number_of(object, "max_work_group_size", 1024);
    device->local_mem = (cl_ulong)number_of(object, "local_mem", 65536);
    device->global_mem = (cl_ulong)number_of(object, "global_mem", 8.0 * (1u << 30));
    device->max_alloc = (cl_ulong)number_of(object, "max_alloc", (double)(device->global_mem / 4));
    device->svm = svm_of(object, device->major);
    json_t *instructions = json_object_get(object, "instructions"), *number;
    size_t i;
    device->instructions = instructions ? 0 : 1u << 1 | 1u << 2;
    json_array_foreach(instructions, i, number) device->instructions |= 1u << (json_integer_value(number) & 31);
    read_identity(object, device);
    json_t *none = json_object(), *timing = json_object_get(object, "time");
    bool good = read_timing(timing ? timing : none, &device->timing);
    json_decref(none);
    return good;
}

static bool read_platform(const json_t *identity, json_t *devices, cl_platform_id platform)
{
    platform->object = (struct object){.dispatch = dispatch_get(), .kind = KIND_PLATFORM, .refs = 1, .uses = 1};
    platform->name = text_of(identity, "name", "Fake OpenCL");
    platform->vendor = text_of(identity, "vendor", "Fake Devices");
    platform->version = text_of(identity, "version", "OpenCL 3.0 fake");
    platform->extensions = text_of(identity, "extensions", "cl_khr_icd");
    json_t *fallback = json_object();
    platform->num_devices = devices ? (cl_uint)json_array_size(devices) : 1;
    platform->devices = checked(calloc(platform->num_devices + 1u, sizeof *platform->devices));
    bool good = true;
    for (cl_uint i = 0; i < platform->num_devices && good; i++)
        good = read_device(devices ? json_array_get(devices, i) : fallback, platform, &platform->devices[i]);
    json_decref(fallback);
    return good;
}

static const struct {
    const char *name;
    enum fault_what what;
    cl_int error;
} fault_kinds[] = {
    {"error", FAULT_ERROR, CL_OUT_OF_RESOURCES},
    {"build_failure", FAULT_BUILD_FAILURE, CL_BUILD_PROGRAM_FAILURE},
    {"crash", FAULT_CRASH, 0},
    {"illegal_instruction", FAULT_ILLEGAL, 0},
    {"abort", FAULT_ABORT, 0},
    {"hang", FAULT_HANG, 0},
    {"swallow_memory", FAULT_MEMORY, 0},
    {"out_of_memory", FAULT_ERROR, CL_MEM_OBJECT_ALLOCATION_FAILURE},
    {"device_lost", FAULT_DEVICE_LOST, CL_DEVICE_NOT_AVAILABLE},
    {"sleep", FAULT_SLEEP, 0},
    {"wrong", FAULT_WRONG, 0},
    {"nan", FAULT_NAN, 0},
    {"no_op", FAULT_NO_OP, 0},
    {"write_input", FAULT_WRITE_INPUT, 0},
    {"overrun", FAULT_OVERRUN, 0},
};

static bool read_fault(json_t *object, struct fault *out)
{
    if (!keys_known(object, " call match source device what at async error nth times amount bytes sleep_ms log ",
                    "a fault"))
        return false;
    const char *call = json_string_value(json_object_get(object, "call"));
    const char *what = json_string_value(json_object_get(object, "what"));
    const char *at = json_string_value(json_object_get(object, "at"));
    if (!what)
        what = json_object_get(object, "sleep_ms") ? "sleep" : "error";
    if (!call && !json_object_get(object, "match") && !json_object_get(object, "source") &&
        !json_object_get(object, "device")) {
        fprintf(stderr, "fake OpenCL driver: fault \"%s\" has no call, match, source or device\n", what);
        return false;
    }
    size_t kind = 0, kinds = sizeof fault_kinds / sizeof fault_kinds[0];
    while (kind < kinds && strcmp(fault_kinds[kind].name, what) != 0)
        kind++;
    if (kind == kinds || (call && call_find(call) < 0)) {
        fprintf(stderr, "fake OpenCL driver: unknown fault \"%s\" or call \"%s\"\n", what, call ? call : "");
        return false;
    }
    *out = (struct fault){
        .call = call ? call_find(call) : -1,
        .match = match_of(object),
        .what = fault_kinds[kind].what,
        .at_build = fault_kinds[kind].what == FAULT_BUILD_FAILURE || (at && strcmp(at, "build") == 0),
        .async = json_is_true(json_object_get(object, "async")),
        .error = (cl_int)number_of(object, "error", fault_kinds[kind].error),
        .nth = (uint64_t)number_of(object, "nth", 1),
        .times = (uint64_t)number_of(object, "times", call ? 1 : 0),
        .amount = number_of(object, "amount", 0.01),
        .bytes = (uint64_t)number_of(object, "bytes", 1u << 30),
        .sleep_ms = (uint64_t)number_of(object, "sleep_ms", 0),
        .log = text_of(object, "log", "fake driver: scripted build failure"),
    };
    return true;
}

static bool read_script(json_t *root)
{
    if (!keys_known(root, " platform platforms devices faults ", "the script"))
        return false;
    json_t *platforms = json_object_get(root, "platforms"), *faults = json_object_get(root, "faults");
    size_t count = platforms ? json_array_size(platforms) : 1;
    script.platforms = checked(calloc(count + 1, sizeof *script.platforms));
    for (size_t i = 0; i < count; i++) {
        json_t *own = platforms ? json_array_get(platforms, i) : NULL;
        if (own && !keys_known(own, " name vendor version extensions devices ", "a platform"))
            return false;
        if (!read_platform(own ? own : json_object_get(root, "platform"), json_object_get(own ? own : root, "devices"),
                           &script.platforms[i]))
            return false;
    }
    script.faults = checked(calloc(json_array_size(faults) + 1, sizeof *script.faults));
    for (size_t i = 0; i < json_array_size(faults); i++)
        if (!read_fault(json_array_get(faults, i), &script.faults[script.num_faults++]))
            return false;
    script.num_platforms = (cl_uint)count;
    return true;
}

static void load(void)
{
    const char *path = getenv("ATTUNE_FAKE_ICD");
    json_error_t error;
    json_t *root = !path || !*path ? json_object()
                   : *path == '{'  ? json_loads(path, JSON_REJECT_DUPLICATES, &error)
                                   : json_load_file(path, JSON_REJECT_DUPLICATES, &error);
    if (!root)
        fprintf(stderr, "fake OpenCL driver: script %s: line %d: %s\n", path, error.line, error.text);
    else if (!read_script(root))
        script.num_faults = 0;
    json_decref(root);
}

const struct script *script_get(void)
{
    pthread_once(&once, load);
    return &script;
}
