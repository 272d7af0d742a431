/* SPDX-License-Identifier: Apache-2.0 */
#include "build.h"

#include <stdlib.h>
#include <string.h>

#include "cl/program.h"

struct input {
    char *loaded; /* from ATTUNE_KERNEL_DIR: owned; else NULL */
    const char *source;
    char *options; /* owned */
};

/* The embedded source, or the file of the same name in ATTUNE_KERNEL_DIR, for work on kernels. */
static attune_status prepare(const struct program_source *source, struct input *in)
{
    const char *dir = env_get("ATTUNE_KERNEL_DIR");
    *in = (struct input){NULL, source->source, strdup(source->options)};
    if (!in->options)
        return set_error(ATTUNE_ERROR_OUT_OF_MEMORY, "out of memory for the compiler's options");
    attune_status status = dir ? kernel_source_read(dir, source->name, &in->loaded) : ATTUNE_OK;
    if (in->loaded)
        in->source = in->loaded;
    return status;
}

/* Everything that goes into a build. */
static void binary_key(const attune_context *context, const struct input *in, char hex[HASH_HEX_SIZE])
{
    const struct cl_device *device = &context->choice.device;
    struct strbuf text = {0};
    strbuf_printf(&text, "%s|%s|%s|%s|%s|%s|%s|", device->name, device->vendor, device->version, device->driver,
                  device->platform_version, device->cpu_model, in->options);
    strbuf_append(&text, in->source, strlen(in->source));
    hash_hex(text.text ? text.text : "", text.length, hex);
    strbuf_free(&text);
}

static bool from_cache(attune_context *context, const struct input *in, const char *key, cl_program *out)
{
    void *data;
    size_t size;
    if (!cache_binary_load(context->cache, key, &data, &size))
        return false;
    bool taken = cl_program_from_binary(context->cl, context_device(context), data, size, in->options, out);
    free(data);
    return taken;
}

static void to_cache(attune_context *context, const char *key, cl_program program)
{
    void *data;
    size_t size;
    if (!cl_program_binary(program, &data, &size))
        return;
    if (cache_binary_store(context->cache, key, data, size) != ATTUNE_OK) {
        context->programs_lost++;
        cache_log_unwritten(context->cache, "a compiled kernel");
    }
    free(data);
}

attune_status program_build(attune_context *context, const struct program_source *source, program_warm warm, void *priv,
                            cl_program *out)
{
    struct input in;
    char key[HASH_HEX_SIZE];
    *out = NULL;
    attune_status status = prepare(source, &in);
    if (status == ATTUNE_OK) {
        binary_key(context, &in, key);
        if (from_cache(context, &in, key, out) && warm(priv, *out) != ATTUNE_OK) {
            clReleaseProgram(*out);
            *out = NULL;
        }
        ++*(*out ? &context->programs_loaded : &context->programs_built);
        if (!*out) {
            status = cl_program_from_source(context->cl, context_device(context), in.source, in.options, out);
            if (status == ATTUNE_OK && (status = warm(priv, *out)) == ATTUNE_OK && source->keep)
                to_cache(context, key, *out);
        }
    }
    if (status != ATTUNE_OK && *out) {
        clReleaseProgram(*out);
        *out = NULL;
    }
    free(in.loaded);
    free(in.options);
    return status;
}

static struct shared_program *find_shared(const attune_context *context, const char *key)
{
    struct shared_program *shared = context->programs;
    while (shared && strcmp(shared->key, key))
        shared = shared->next;
    return shared;
}

attune_status program_build_shared(attune_context *context, const struct program_source *source, program_warm warm,
                                   void *priv, cl_program *out)
{
    const struct input in = {NULL, source->source, (char *)source->options};
    attune_status status = ATTUNE_OK;
    char key[HASH_HEX_SIZE];
    binary_key(context, &in, key);
    pthread_mutex_lock(&context->programs_lock);
    struct shared_program *shared = find_shared(context, key);
    if (!shared) {
        shared = calloc(1, sizeof *shared);
        status = shared ? program_build(context, source, warm, priv, &shared->program)
                        : set_error(ATTUNE_ERROR_OUT_OF_MEMORY, "out of memory for a program");
        if (status == ATTUNE_OK) {
            memcpy(shared->key, key, sizeof key);
            shared->next = context->programs;
            context->programs = shared;
        } else {
            free(shared);
        }
    }
    if (status == ATTUNE_OK) {
        *out = shared->program;
        clRetainProgram(*out);
    }
    pthread_mutex_unlock(&context->programs_lock);
    return status;
}

attune_status program_run_once(attune_context *context, cl_kernel kernel, size_t global, size_t local)
{
    cl_int code;
    cl_command_queue queue = clCreateCommandQueue(context->cl, context_device(context), 0, &code);
    if (code != CL_SUCCESS)
        return cl_error(code, "clCreateCommandQueue");
    if ((code = clEnqueueNDRangeKernel(queue, kernel, 1, NULL, &global, &local, 0, NULL, NULL)) == CL_SUCCESS)
        code = clFinish(queue);
    clReleaseCommandQueue(queue);
    return code == CL_SUCCESS ? ATTUNE_OK : cl_error(code, "a kernel's first run, on nothing");
}

int32_t program_group_size(const attune_context *context, int32_t wanted)
{
    const struct device_limits *limits = &context->choice.limits;
    int64_t size = wanted < limits->max_work_group_size ? wanted : limits->max_work_group_size;
    while (limits->stack_bytes && size > 1 && stack_needed(0, (int32_t)size) > limits->stack_bytes)
        size /= 2;
    int64_t multiple = limits->work_group_multiple > 1 ? limits->work_group_multiple : 1;
    return (int32_t)(size >= multiple ? size / multiple * multiple : size);
}
