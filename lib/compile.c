/* SPDX-License-Identifier: Apache-2.0
 * From a configuration to a program that has run once. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cl/program.h"
#include "launch.h"
#include "plan.h"

#define OPTIONS_MAX 4096
#define SOURCE_MAX (1 << 20)

struct build_input {
    char *loaded; /* from ATTUNE_KERNEL_DIR: owned; else NULL */
    const char *source;
    char options[OPTIONS_MAX];
};

static attune_status read_source(const char *path, char **out)
{
    FILE *file = fopen(path, "re");
    char *text = file ? calloc(1, SOURCE_MAX) : NULL;
    if (!text) {
        if (file)
            fclose(file);
        return set_error(ATTUNE_ERROR_IO, "kernel source %s cannot be read", path);
    }
    size_t size = fread(text, 1, SOURCE_MAX, file);
    fclose(file);
    if (size == 0 || size == SOURCE_MAX) {
        free(text);
        return set_error(ATTUNE_ERROR_IO, "kernel source %s is empty or over %d bytes", path, SOURCE_MAX - 1);
    }
    *out = text;
    return ATTUNE_OK;
}

/* The embedded source, or the file of the same name in ATTUNE_KERNEL_DIR, for work on kernels. */
static attune_status prepare(const struct attune_plan *plan, const struct plan_config *config, struct build_input *in)
{
    const struct family *family = family_at(config->config.family);
    memset(in, 0, sizeof *in);
    in->source = family->source;
    const char *dir = env_get("ATTUNE_KERNEL_DIR");
    int used = dir ? snprintf(in->options, sizeof in->options, "-I %s ", dir) : 0;
    if (used < 0 || (size_t)used >= sizeof in->options ||
        !kernel_options_format(&plan->facts, &config->config, in->options + used, sizeof in->options - (size_t)used))
        return set_error(ATTUNE_ERROR_INVALID_SIZE, "the compiler's options exceed %d bytes", OPTIONS_MAX - 1);
    if (!dir)
        return ATTUNE_OK;
    char path[OPTIONS_MAX];
    snprintf(path, sizeof path, "%s/%s.cl", dir, family->name);
    attune_status status = read_source(path, &in->loaded);
    in->source = in->loaded;
    return status;
}

/* Everything that goes into a build. */
static void binary_key(const struct attune_plan *plan, const struct build_input *in, char hex[HASH_HEX_SIZE])
{
    const struct cl_device *device = &plan->context->choice.device;
    struct strbuf text = {0};
    strbuf_printf(&text, "%s|%s|%s|%s|%s|%s|%s|", device->name, device->vendor, device->version, device->driver,
                  device->platform_version, device->cpu_model, in->options);
    strbuf_append(&text, in->source, strlen(in->source));
    hash_hex(text.text ? text.text : "", text.length, hex);
    strbuf_free(&text);
}

/* One run on an empty list. It makes pocl compile the variant for this very grid, and shows that the kernel can be
 * launched. */
static attune_status run_empty(const struct attune_plan *plan, const struct plan_config *config)
{
    attune_context *context = plan->context;
    cl_int code;
    attune_status status = ATTUNE_OK;
    int32_t empty[SCHEDULE_HEADER] = {SCHEDULE_VERSION, 0, SCHEDULE_HEADER, SCHEDULE_HEADER};
    cl_mem schedule = clCreateBuffer(context->cl, CL_MEM_READ_ONLY | CL_MEM_COPY_HOST_PTR, sizeof empty, empty, &code);
    if (code != CL_SUCCESS)
        return cl_error(code, "clCreateBuffer for an empty work list");
    cl_command_queue queue = clCreateCommandQueue(context->cl, context_device(context), 0, &code);
    cl_kernel kernel = NULL;
    if (code != CL_SUCCESS)
        status = cl_error(code, "clCreateCommandQueue");
    else if ((kernel = clCreateKernel(config->program, "attention", &code), code) != CL_SUCCESS)
        status = cl_error(code, "clCreateKernel(attention)");
    struct attention_args args = {.num_groups = config->num_groups};
    struct launch_memory memory = {0};
    memory.arg[LAUNCH_SCHEDULE].cl = schedule;
    if (status == ATTUNE_OK)
        status = launch_kernel(kernel, config, &memory, &args, queue, 0, NULL, NULL);
    if (status == ATTUNE_OK && (code = clFinish(queue)) != CL_SUCCESS)
        status = cl_error(code, "clFinish after a run on an empty work list");
    if (kernel)
        clReleaseKernel(kernel);
    if (queue)
        clReleaseCommandQueue(queue);
    clReleaseMemObject(schedule);
    return status;
}

static attune_status try_binary(const struct attune_plan *plan, struct plan_config *config,
                                const struct build_input *in, const char *key)
{
    void *data;
    size_t size;
    if (!cache_binary_load(plan->context->cache, key, &data, &size))
        return ATTUNE_ERROR_NOT_TUNED;
    bool taken = cl_program_from_binary(plan->context->cl, context_device(plan->context), data, size, in->options,
                                        &config->program);
    free(data);
    if (!taken)
        return ATTUNE_ERROR_NOT_TUNED;
    attune_status status = run_empty(plan, config);
    if (status != ATTUNE_OK) {
        clReleaseProgram(config->program);
        config->program = NULL;
    }
    return status;
}

static attune_status build_source(const struct attune_plan *plan, struct plan_config *config,
                                  const struct build_input *in, const char *key)
{
    attune_status status = cl_program_from_source(plan->context->cl, context_device(plan->context), in->source,
                                                  in->options, &config->program);
    if (status != ATTUNE_OK || (status = run_empty(plan, config)) != ATTUNE_OK)
        return status;
    /* Not for forced configurations: those are candidates, and taking a binary costs a compile of its own. */
    void *data;
    size_t size;
    if (strcmp(config->source, "forced") && cl_program_binary(config->program, &data, &size)) {
        if (cache_binary_store(plan->context->cache, key, data, size) != ATTUNE_OK)
            log_message(&plan->context->logger, ATTUNE_LOG_WARNING, "a compiled kernel is not cached: %s",
                        attune_last_error());
        free(data);
    }
    return ATTUNE_OK;
}

attune_status plan_compile(const struct attune_plan *plan, struct plan_config *config)
{
    struct build_input in;
    char key[HASH_HEX_SIZE];
    config->num_groups = plan->context->choice.device.compute_units * config->resources.groups_per_unit;
    attune_status status = prepare(plan, config, &in);
    if (status == ATTUNE_OK) {
        binary_key(plan, &in, key);
        if (try_binary(plan, config, &in, key) != ATTUNE_OK)
            status = build_source(plan, config, &in, key);
    }
    free(in.loaded);
    return status;
}
