/* SPDX-License-Identifier: Apache-2.0
 *
 * The worker's main loop: one request, one reply. It is started by lib/tuner/spawn.c and ends when its socket does,
 * when the thread that started it dies, or when it is killed.
 */
#define _GNU_SOURCE
#include "worker.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cl/program.h"
#include "context.h"
#include "descriptors.h"
#include "tuner/device_json.h"

int64_t request_integer(const json_t *request, const char *name)
{
    return json_integer_value(json_object_get(request, name));
}

const char *request_text(const json_t *request, const char *name)
{
    const char *text = json_string_value(json_object_get(request, name));
    return text ? text : "";
}

attune_status request_index(const json_t *request, const char *name, int limit, int *out)
{
    int64_t value = request_integer(request, name);
    if (value < 0 || value >= limit)
        return set_error(ATTUNE_ERROR_MISMATCH, "%s is %lld; it must be 0 to %d", name, (long long)value, limit - 1);
    *out = (int)value;
    return ATTUNE_OK;
}

attune_status request_input(struct worker *worker, const json_t *request, struct input **out)
{
    int index = 0;
    attune_status status = request_index(request, "input", MAX_INPUTS, &index);
    if (status == ATTUNE_OK && !(*out = worker->inputs[index]))
        return set_error(ATTUNE_ERROR_MISMATCH, "input %d is not loaded", index);
    return status;
}

static attune_status list_devices(struct worker *worker, const json_t *request, json_t **reply)
{
    (void)worker, (void)request;
    struct cl_device *devices;
    size_t count;
    attune_status status = cl_device_enumerate(&devices, &count);
    if (status != ATTUNE_OK)
        return status;
    json_t *list = json_array();
    const struct backend *backend;
    for (int b = 0; (backend = backend_at(b)); b++) {
        for (size_t i = 0; i < count; i++) {
            struct backend_choice choice;
            if (backend_drive(backend, &devices[i], false, &choice) == ATTUNE_OK)
                json_array_append_new(list, device_to_json(&choice));
        }
    }
    free(devices);
    *reply = json_pack("{s:o}", "devices", list);
    return ATTUNE_OK;
}

static attune_status open_device(struct worker *worker, const json_t *request, json_t **reply)
{
    if (worker->context)
        return set_error(ATTUNE_ERROR_MISMATCH, "the device is open already");
    attune_context_options options = ATTUNE_CONTEXT_OPTIONS_INIT;
    const char *backend = request_text(request, "backend"), *device = request_text(request, "device");
    options.backend = backend[0] ? backend : NULL;
    options.device = device[0] ? device : NULL;
    options.cache_dir = options.site_cache_dir = options.shipped_cache_dir = "";
    attune_status status = attune_context_create(&worker->context, &options);
    if (status != ATTUNE_OK)
        return status;
    cl_int code;
    worker->queue =
        clCreateCommandQueue(worker->context->cl, context_device(worker->context), CL_QUEUE_PROFILING_ENABLE, &code);
    if (code != CL_SUCCESS) {
        attune_context_destroy(&worker->context);
        return cl_error(code, "clCreateCommandQueue");
    }
    *reply = device_to_json(&worker->context->choice);
    return ATTUNE_OK;
}

/* What a probe showed, as the supervisor has it: the caches of a worker know nothing. */
attune_status worker_limits(struct worker *worker, const json_t *request, json_t **reply)
{
    struct device_limits *limits = &worker->context->choice.limits;
    (void)reply;
    limits->features = (uint32_t)request_integer(request, "features");
    limits->half_load = (int32_t)request_integer(request, "half_load");
    limits->max_work_group_size = request_integer(request, "max_work_group_size");
    return ATTUNE_OK;
}

static const struct {
    const char *name;
    worker_operation run;
    bool needs_device;
} operations[] = {
    {"devices", list_devices, false}, {"open", open_device, false},    {"layout", worker_layout, true},
    {"load", worker_load, true},      {"unload", worker_unload, true}, {"build", worker_build, true},
    {"poison", worker_poison, true},  {"time", worker_time, true},     {"fetch", worker_fetch, true},
    {"digest", worker_digest, true},  {"probe", worker_probe, true},   {"instruction", worker_instruction, true},
    {"limits", worker_limits, true},  {"append", worker_append, true}, {"warm", worker_warm, true},
};

static attune_status dispatch(struct worker *worker, const json_t *request, json_t **reply)
{
    const char *op = request_text(request, "op");
    for (size_t i = 0; i < sizeof operations / sizeof operations[0]; i++) {
        if (strcmp(operations[i].name, op))
            continue;
        if (operations[i].needs_device && !worker->context)
            return set_error(ATTUNE_ERROR_MISMATCH, "%s: no device is open", op);
        return operations[i].run(worker, request, reply);
    }
    return set_error(ATTUNE_ERROR_MISMATCH, "unknown operation \"%s\"", op);
}

/* UTF-8 or not, a compiler's output must reach the supervisor. */
static json_t *text_value(const char *text)
{
    json_t *value = json_string(text);
    if (value)
        return value;
    char plain[4096];
    copy_string(plain, sizeof plain, text);
    for (char *c = plain; *c; c++)
        *c = (unsigned char)*c < 128 ? *c : '?';
    return json_string(plain);
}

/* True for codes after which the device answers no more. */
static bool is_loss(int code)
{
    return code == CL_DEVICE_NOT_AVAILABLE || code == CL_INVALID_CONTEXT || code == CL_INVALID_COMMAND_QUEUE;
}

static json_t *failure(attune_status status)
{
    if (status == ATTUNE_ERROR_OPENCL && is_loss(attune_last_error_opencl()))
        status = ATTUNE_ERROR_DEVICE_LOST;
    return json_pack("{s:b,s:i,s:i,s:o}", "ok", 0, "status", (int)status, "opencl", attune_last_error_opencl(), "error",
                     text_value(attune_last_error()));
}

static bool answer(struct worker *worker, const json_t *request)
{
    json_t *reply = NULL;
    attune_status status = dispatch(worker, request, &reply);
    if (status != ATTUNE_OK) {
        json_decref(reply);
        reply = failure(status);
    } else if (!reply) {
        reply = json_object();
    }
    if (reply && status == ATTUNE_OK)
        json_object_set_new(reply, "ok", json_true());
    bool sent = reply && frame_send(WORKER_SOCKET, reply);
    json_decref(reply);
    return sent;
}

/* Where memory runs out, a candidate is to go, not the engine or the tuner. */
static void die_before_others(void)
{
    int fd = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);
    if (fd >= 0) {
        ssize_t ignored = write(fd, "1000", 4);
        (void)ignored;
        close(fd);
    }
}

int main(int argc, char **argv)
{
    /* First: a worker must not outlive its supervisor, not even one that hangs in a driver. */
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    open_standard_descriptors();
    if (argc != 2 || strtol(argv[1], NULL, 10) != (long)getppid() || fcntl(WORKER_SOCKET, F_SETFD, FD_CLOEXEC) ||
        fcntl(WORKER_SHARED, F_SETFD, FD_CLOEXEC)) {
        fputs("attune-worker is started by attune, not by hand\n", stderr);
        return 64;
    }
    umask(077); /* compilers must be able to read what they wrote, whatever the supervisor's umask is */
    die_before_others();
    static struct worker worker;
    struct frame_reader reader = {{0}};
    json_t *request;
    bool more = true;
    while (more && frame_receive(&reader, WORKER_SOCKET, false, &request) == FRAME_READY) {
        more = answer(&worker, request);
        json_decref(request);
    }
    /* The driver's own teardown may hang or crash after a bad kernel, and nothing here outlives the process. */
    _exit(0);
}
