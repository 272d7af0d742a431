/* SPDX-License-Identifier: Apache-2.0
 * `attune devices` and `attune probe`. */
#include "commands.h"

#include <stdlib.h>

static json_t *device_json(const attune_device_info *info)
{
    return json_pack("{so so so so so so so so so si si sI sI sI sI}", "backend", json_text(info->backend), "selector",
                     json_text(info->selector), "index", json_text(info->index), "name", json_text(info->name), "vendor", json_text(info->vendor),
                     "version", json_text(info->version), "driver", json_text(info->driver), "platform",
                     json_text(info->platform), "simulated", json_text(info->simulated), "compute_units",
                     (int)info->compute_units, "sub_group_size", (int)info->sub_group_size, "max_work_group_size",
                     (json_int_t)info->max_work_group_size, "local_mem_bytes", (json_int_t)info->local_mem_bytes,
                     "private_mem_bytes", (json_int_t)info->private_mem_bytes, "global_mem_bytes",
                     (json_int_t)info->global_mem_bytes);
}

static void print_device(const attune_device_info *info)
{
    print_device_line(stdout, info);
    printf("    --device \"%s\"\n", info->selector);
    printf("    %s, driver %s\n", info->version, info->driver);
    printf("    %d compute units, work-groups to %lld", (int)info->compute_units, (long long)info->max_work_group_size);
    if (info->sub_group_size > 1)
        printf(" in multiples of %d", (int)info->sub_group_size);
    printf(", %lld KiB local", (long long)(info->local_mem_bytes >> 10));
    if (info->private_mem_bytes)
        printf(", %lld B private a work-item", (long long)info->private_mem_bytes);
    printf(", %.1f GiB global\n", (double)info->global_mem_bytes / (1 << 30));
}

enum exit_code command_devices(int argc, char **argv)
{
    bool json = false;
    const struct option options[] = {{"json", OPTION_FLAG, &json, 0, 0}, {NULL}};
    if (!cli_parse(argc, argv, options, NULL))
        return EXIT_USAGE;
    attune_target_options target = ATTUNE_TARGET_OPTIONS_INIT;
    target.log = cli_log;
    attune_device_info infos[64];
    size_t count = 0, capacity = sizeof infos / sizeof infos[0];
    attune_status status = attune_devices(&target, infos, capacity, &count);
    if (status)
        return cli_failed(status, NULL);
    for (size_t i = 0; i < count && i < capacity; i++) {
        if (json)
            json_line(device_json(&infos[i]));
        else
            print_device(&infos[i]);
    }
    if (count > capacity)
        cli_note("%zu more devices are not shown", count - capacity);
    if (count == 0)
        cli_error("no device: is an OpenCL driver installed?");
    return count ? EXIT_DONE : EXIT_NO_DEVICE;
}

static void print_reading(const attune_probe_reading *reading)
{
    if (reading->value > 0)
        printf("  %-20s %10.4g %-10s", reading->name, reading->value, reading->unit);
    else
        printf("  %-20s %10s %-10s", reading->name, "-", "");
    printf(reading->note[0] ? " %s\n" : "\n", reading->note);
}

/* Names of the features in the mask that are set, i from first on. */
static void print_features(const char *what, uint32_t features, int first, const char *const *names, int count)
{
    printf("%s: %s", what, features >> first & ((1u << count) - 1) ? "" : "none");
    const char *separator = "";
    for (int i = 0; i < count; i++)
        if (features >> first & 1u << i) {
            printf("%s%s", separator, names[i]);
            separator = ", ";
        }
    printf("\n");
}

static void print_probe(const attune_probe_result *probe)
{
    static const char *const instructions[] = {"fp16 arithmetic", "sub-groups", "int8 dot products",
                                               "bf16 dot products", "vcvtph2ps"};
    static const char *const fast[] = {"bf16 dot products, against multiply-adds",
                                       "loops whose bounds look non-uniform, against uniform ones"};
    print_device(&probe->device);
    for (int32_t i = 0; i < probe->num_readings; i++)
        print_reading(&probe->readings[i]);
    printf("fp16 is widened by %s\n", probe->half_load);
    print_features("optional instructions that run and are right", probe->features, 0, instructions, 5);
    print_features("faster here", probe->features, 5, fast, 2);
    if (probe->failures[0])
        printf("failed: %s\n", probe->failures);
}

static json_t *readings_json(const attune_probe_result *probe)
{
    json_t *list = json_array();
    for (int32_t i = 0; i < probe->num_readings; i++) {
        const attune_probe_reading *r = &probe->readings[i];
        json_array_append_new(list,
                              json_pack("{so so so so}", "name", json_text(r->name), "value", json_figure(r->value),
                                        "unit", json_text(r->unit), "note", json_text(r->note)));
    }
    return list;
}

static json_t *probe_json(const attune_probe_result *probe)
{
    json_t *json = device_json(&probe->device), *rates = json_array();
    for (int i = 0; i < 5; i++)
        json_array_append_new(rates, json_figure(probe->fma_gflops[i]));
    json_object_set_new(json, "fma_gflops", rates);
    json_object_set_new(json, "fma_peak_gflops", json_figure(probe->fma_peak_gflops));
    json_object_set_new(json, "fp16_gflops", json_figure(probe->fp16_gflops));
    json_object_set_new(json, "bf16_dot_gflops", json_figure(probe->bf16_dot_gflops));
    json_object_set_new(json, "int8_dot_gops", json_figure(probe->int8_dot_gops));
    json_object_set_new(json, "read_gbps", json_figure(probe->read_gbps));
    json_object_set_new(json, "local_gbps", json_figure(probe->local_gbps));
    json_object_set_new(json, "barrier_ns", json_figure(probe->barrier_ns));
    json_object_set_new(json, "opaque_loop_gain", json_figure(probe->opaque_loop_gain));
    json_object_set_new(json, "launch_us", json_figure(probe->launch_us));
    json_object_set_new(json, "enqueue_us", json_figure(probe->enqueue_us));
    json_object_set_new(json, "timer_ns", json_figure(probe->timer_ns));
    json_object_set_new(json, "features", json_integer(probe->features));
    json_object_set_new(json, "half_load", json_text(probe->half_load));
    json_object_set_new(json, "largest_work_group", json_integer(probe->max_work_group_size));
    json_object_set_new(json, "private_fast_bytes", json_integer(probe->private_fast_bytes));
    json_object_set_new(json, "readings", readings_json(probe));
    json_object_set_new(json, "failures", json_text(probe->failures));
    return json;
}

enum exit_code command_probe(int argc, char **argv)
{
    bool json = false, no_cache = false;
    attune_target_options target_options = ATTUNE_TARGET_OPTIONS_INIT;
    target_options.log = cli_log;
    const struct option options[] = {{"backend", OPTION_TEXT, &target_options.backend, 0, 0},
                                     {"device", OPTION_TEXT, &target_options.device, 0, 0},
                                     {"cache-dir", OPTION_TEXT, &target_options.cache_dir, 0, 0},
                                     {"no-cache", OPTION_FLAG, &no_cache, 0, 0},
                                     {"json", OPTION_FLAG, &json, 0, 0},
                                     {NULL}};
    if (!cli_parse(argc, argv, options, NULL) || !cli_no_cache(no_cache, &target_options))
        return EXIT_USAGE;
    attune_target *target;
    attune_status status = attune_target_create(&target, &target_options);
    if (status)
        return cli_failed(status, NULL);
    attune_probe_result probe = {.num_readings = 0};
    status = attune_probe(target, &probe);
    attune_target_destroy(&target);
    enum exit_code code = status ? cli_failed(status, "probe") : EXIT_DONE;
    /* When only storage failed the readings are there all the same. */
    if (status && !probe.num_readings)
        return code;
    if (json)
        json_line(probe_json(&probe));
    else
        print_probe(&probe);
    return code;
}
