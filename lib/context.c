/* SPDX-License-Identifier: Apache-2.0 */
#include "context.h"

#include <stdlib.h>
#include <string.h>

#include "cl/program.h"
#include "desc.h"
#include "select.h"

static const attune_context_options default_options = ATTUNE_CONTEXT_OPTIONS_INIT;

/* The part that create and adopt share: everything but the OpenCL context. */
static attune_status context_new(const attune_context_options *options, const struct backend_choice *choice,
                                 attune_context **out)
{
    struct attune_context *context = calloc(1, sizeof *context);
    if (!context)
        return set_error(ATTUNE_ERROR_OUT_OF_MEMORY, "out of memory for a context");
    context->choice = *choice;
    context->logger = (struct logger){options->log, options->log_priv, options->log_level};
    if (options->worker && !(context->worker = strdup(options->worker))) {
        free(context);
        return set_error(ATTUNE_ERROR_OUT_OF_MEMORY, "out of memory for a context");
    }
    struct cache_places *places = &context->places;
    cache_find_places(options->cache_dir, options->site_cache_dir, options->shipped_cache_dir, places);
    struct cache_paths paths = {places->user, places->site, places->shipped};
    attune_status status = cache_open(&context->cache, &paths, &context->logger);
    if (status != ATTUNE_OK) {
        free(context->worker);
        free(context);
        return status;
    }
    pthread_mutex_init(&context->programs_lock, NULL);
    if (cache_check_user(options->cache_dir, places->user, false) != ATTUNE_OK)
        log_message(&context->logger, ATTUNE_LOG_WARNING, "%s; nothing is kept on disk", attune_last_error());
    struct probe_record probe;
    select_probe(context->cache, &context->choice, &probe);
    *out = context;
    return ATTUNE_OK;
}

static attune_status check_options(attune_context **out, const attune_context_options **options)
{
    if (!out)
        return set_error(ATTUNE_ERROR_NULL_ARGUMENT, "out is NULL");
    *out = NULL;
    if (!*options)
        *options = &default_options;
    return struct_check(*options, sizeof **options, "options");
}

attune_status attune_context_create(attune_context **out, const attune_context_options *options)
{
    attune_status status = check_options(out, &options);
    if (status != ATTUNE_OK)
        return status;
    struct cl_device *devices;
    size_t count;
    status = cl_device_enumerate(&devices, &count);
    if (status != ATTUNE_OK)
        return status;
    struct backend_choice choice;
    status = backend_pick(options->backend, options->device, devices, count, &choice);
    free(devices);
    attune_context *context;
    if (status != ATTUNE_OK || (status = context_new(options, &choice, &context)) != ATTUNE_OK)
        return status;
    cl_int code;
    const cl_context_properties properties[] = {CL_CONTEXT_PLATFORM, (cl_context_properties)choice.device.platform, 0};
    context->cl = clCreateContext(properties, 1, &choice.device.id, NULL, NULL, &code);
    if (code != CL_SUCCESS) {
        attune_context_destroy(&context);
        return cl_error(code, "clCreateContext");
    }
    *out = context;
    return ATTUNE_OK;
}

static attune_status check_device_of(cl_context cl, cl_device_id device)
{
    cl_device_id ids[64];
    size_t bytes = 0;
    cl_int code = clGetContextInfo(cl, CL_CONTEXT_DEVICES, sizeof ids, ids, &bytes);
    if (code != CL_SUCCESS)
        return set_opencl_error(ATTUNE_ERROR_WRONG_CONTEXT, code,
                                "cl is not a valid OpenCL context (of at most 64 devices)");
    for (size_t i = 0; i < bytes / sizeof ids[0]; i++)
        if (ids[i] == device)
            return ATTUNE_OK;
    return set_error(ATTUNE_ERROR_WRONG_CONTEXT, "device is not one of cl's %zu devices", bytes / sizeof ids[0]);
}

attune_status attune_context_adopt(attune_context **out, cl_context cl, cl_device_id device,
                                   const attune_context_options *options)
{
    attune_status status = check_options(out, &options);
    if (status != ATTUNE_OK)
        return status;
    if (!cl || !device)
        return set_error(ATTUNE_ERROR_NULL_ARGUMENT, "%s is NULL", cl ? "device" : "cl");
    if (options->device)
        return set_error(ATTUNE_ERROR_MISMATCH, "options.device is \"%s\"; it must be NULL: the device is the argument",
                         options->device);
    struct cl_device described;
    if ((status = cl_device_describe(device, &described)) != ATTUNE_OK ||
        (status = check_device_of(cl, device)) != ATTUNE_OK)
        return status;
    const struct backend *backend = options->backend ? backend_find(options->backend) : backend_for_device(&described);
    if (!backend)
        return set_error(ATTUNE_ERROR_ENUM, "options.backend is \"%s\"; it must be zw-m890, gpu or cpu",
                         options->backend);
    struct backend_choice choice;
    attune_context *context;
    if ((status = backend_drive(backend, &described, options->backend, &choice)) != ATTUNE_OK ||
        (status = context_new(options, &choice, &context)) != ATTUNE_OK)
        return status;
    cl_int code = clRetainContext(cl);
    if (code != CL_SUCCESS) {
        attune_context_destroy(&context);
        return cl_error(code, "clRetainContext");
    }
    context->cl = cl;
    *out = context;
    return ATTUNE_OK;
}

void attune_context_destroy(attune_context **address)
{
    if (!address || !*address)
        return;
    struct attune_context *context = *address;
    *address = NULL;
    for (struct shared_program *next, *shared = context->programs; shared; shared = next) {
        next = shared->next;
        clReleaseProgram(shared->program);
        free(shared);
    }
    pthread_mutex_destroy(&context->programs_lock);
    if (context->cl)
        clReleaseContext(context->cl);
    cache_close(&context->cache);
    free(context->worker);
    free(context);
}

cl_context attune_context_cl(const attune_context *context)
{
    return context ? context->cl : NULL;
}

cl_device_id attune_context_device(const attune_context *context)
{
    return context ? context_device(context) : NULL;
}

attune_status attune_context_info(const attune_context *context, attune_device_info *out)
{
    if (!context || !out)
        return set_error(ATTUNE_ERROR_NULL_ARGUMENT, "%s is NULL", context ? "out" : "context");
    backend_device_info(&context->choice, out);
    return ATTUNE_OK;
}

attune_status queue_check(const struct attune_context *context, cl_command_queue queue)
{
    cl_context cl = NULL;
    cl_device_id device = NULL;
    cl_int code = clGetCommandQueueInfo(queue, CL_QUEUE_CONTEXT, sizeof cl, &cl, NULL);
    if (code == CL_SUCCESS)
        code = clGetCommandQueueInfo(queue, CL_QUEUE_DEVICE, sizeof device, &device, NULL);
    if (code != CL_SUCCESS)
        return set_opencl_error(ATTUNE_ERROR_WRONG_CONTEXT, code, "queue is not a valid command queue");
    if (cl == context->cl && device == context_device(context))
        return ATTUNE_OK;
    return set_error(ATTUNE_ERROR_WRONG_CONTEXT, "queue belongs to another OpenCL context or device");
}
