/* SPDX-License-Identifier: Apache-2.0
 * Commands. The thread that makes a command ready runs it: the enqueueing one, or the one that completes what it waits
 * for. A callback for CL_SUBMITTED or CL_RUNNING comes with the completion. */
#include "icd.h"

#include <stdlib.h>
#include <string.h>

static struct {
    pthread_mutex_t lock;
    pthread_cond_t changed;       /* an event has its final status, or a command has left the list */
    struct command *first, **end; /* of all queues, in the order of enqueueing, until done */
} commands = {.lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER, .end = &commands.first};

/* ---- making */

static void event_destroy(struct object *object)
{
    cl_event event = (cl_event)object;
    for (struct callback *next, *at = event->callbacks; at; at = next) {
        next = at->next;
        free(at);
    }
    if (event->queue)
        object_drop(event->queue);
    object_drop(event->context);
}

static cl_event create_event(cl_context context, cl_command_queue queue, cl_command_type type, cl_int status)
{
    cl_event event = object_create(sizeof *event, KIND_EVENT, event_destroy);
    if (!event)
        return NULL;
    object_use(context);
    if (queue)
        object_use(queue);
    event->context = context;
    event->queue = queue;
    event->type = type;
    atomic_init(&event->status, status);
    event->queued = event->submitted = clock_now();
    return event;
}

static cl_int check_waits(cl_context context, cl_uint num_waits, const cl_event *waits)
{
    if (!waits != (num_waits == 0))
        return CL_INVALID_EVENT_WAIT_LIST;
    for (cl_uint i = 0; i < num_waits; i++) {
        if (!object_is(waits[i], KIND_EVENT))
            return CL_INVALID_EVENT_WAIT_LIST;
        if (waits[i]->context != context)
            return CL_INVALID_CONTEXT;
    }
    return CL_SUCCESS;
}

void *command_create(size_t size, cl_command_queue queue, cl_command_type type, cl_uint num_waits,
                     const cl_event *waits, cl_int *error)
{
    *error = !object_is(queue, KIND_QUEUE) ? CL_INVALID_COMMAND_QUEUE : check_waits(queue->context, num_waits, waits);
    if (!*error)
        *error = atomic_load(&queue->device->lost);
    if (*error)
        return NULL;
    struct command *command = calloc(1, size);
    cl_event *kept = calloc(num_waits + 1u, sizeof *kept);
    cl_event event = command && kept ? create_event(queue->context, queue, type, CL_QUEUED) : NULL;
    if (!event) {
        free(command);
        free(kept);
        *error = CL_OUT_OF_HOST_MEMORY;
        return NULL;
    }
    object_use(queue);
    command->queue = queue;
    command->event = event;
    command->waits = kept;
    command->num_waits = num_waits;
    for (cl_uint i = 0; i < num_waits; i++) {
        object_use(waits[i]);
        kept[i] = waits[i];
    }
    return command;
}

void command_free(struct command *command)
{
    if (command->release)
        command->release(command);
    for (cl_uint i = 0; i < command->num_waits; i++)
        object_drop(command->waits[i]);
    free(command->waits);
    if (command->event)
        object_release(command->event, KIND_EVENT, 0);
    object_drop(command->queue);
    free(command);
}

/* ---- running */

static bool is_ready(const struct command *command)
{
    for (cl_uint i = 0; i < command->num_waits; i++)
        if (atomic_load(&command->waits[i]->status) > CL_COMPLETE)
            return false;
    bool in_order = !(command->queue->properties & CL_QUEUE_OUT_OF_ORDER_EXEC_MODE_ENABLE);
    for (const struct command *earlier = commands.first; earlier != command; earlier = earlier->next)
        if (earlier->queue == command->queue && (in_order || command->barrier || earlier->barrier))
            return false;
    return true;
}

static cl_int execute(struct command *command)
{
    cl_event event = command->event;
    for (cl_uint i = 0; i < command->num_waits; i++)
        if (atomic_load(&command->waits[i]->status) < 0)
            return CL_EXEC_STATUS_ERROR_FOR_EVENTS_IN_WAIT_LIST;
    atomic_store(&event->status, CL_RUNNING);
    uint64_t ns = 0, begin = clock_now();
    cl_int code = command->run ? command->run(command, &ns) : CL_SUCCESS;
    event->started = clock_virtual() ? clock_advance(ns) : begin;
    event->ended = clock_virtual() ? event->started + ns : clock_now();
    return code;
}

static void remove_command(struct command *command)
{
    struct command **at = &commands.first;
    while (*at != command)
        at = &(*at)->next;
    *at = command->next;
    if (commands.end == &command->next)
        commands.end = at;
}

/* Called and returns with the lock held; lets go of it to call back. */
static void finish_locked(cl_event event, cl_int status)
{
    struct callback *list = event->callbacks;
    event->callbacks = NULL;
    atomic_store(&event->status, status);
    pthread_cond_broadcast(&commands.changed);
    pthread_mutex_unlock(&commands.lock);
    for (struct callback *next; list; list = next) {
        next = list->next;
        list->function(event, status < 0 ? status : list->when, list->data);
        free(list);
    }
    pthread_mutex_lock(&commands.lock);
}

/* Runs whatever is ready, until nothing is. Called with the lock held. */
static void pump_locked(void)
{
    struct command *command = commands.first;
    while (command) {
        if (command->running || !is_ready(command)) {
            command = command->next;
            continue;
        }
        command->running = true;
        pthread_mutex_unlock(&commands.lock);
        cl_int code = execute(command);
        pthread_mutex_lock(&commands.lock);
        if (code != COMMAND_HANGS) {
            remove_command(command);
            finish_locked(command->event, code);
            pthread_mutex_unlock(&commands.lock);
            command_free(command);
            pthread_mutex_lock(&commands.lock);
        }
        command = commands.first;
    }
}

cl_int command_submit(struct command *command, bool blocking, cl_event *event_out)
{
    cl_event event = command->event;
    if (event_out) {
        object_retain(event, KIND_EVENT, 0);
        *event_out = event;
    }
    object_use(event);
    pthread_mutex_lock(&commands.lock);
    *commands.end = command;
    commands.end = &command->next;
    pump_locked();
    pthread_mutex_unlock(&commands.lock);
    cl_int code = blocking ? event_wait(event) : CL_SUCCESS;
    object_drop(event);
    return code;
}

cl_int event_wait(cl_event event)
{
    pthread_mutex_lock(&commands.lock);
    while (atomic_load(&event->status) > CL_COMPLETE)
        pthread_cond_wait(&commands.changed, &commands.lock);
    pthread_mutex_unlock(&commands.lock);
    return atomic_load(&event->status) < 0 ? CL_EXEC_STATUS_ERROR_FOR_EVENTS_IN_WAIT_LIST : CL_SUCCESS;
}

static bool is_busy(cl_command_queue queue)
{
    for (const struct command *command = commands.first; command; command = command->next)
        if (command->queue == queue)
            return true;
    return false;
}

void queue_wait(cl_command_queue queue)
{
    pthread_mutex_lock(&commands.lock);
    while (is_busy(queue))
        pthread_cond_wait(&commands.changed, &commands.lock);
    pthread_mutex_unlock(&commands.lock);
}

/* ---- user events and callbacks, which share the lock */

cl_event clCreateUserEvent(cl_context context, cl_int *error_out)
{
    ENTER_CREATE(clCreateUserEvent, error_out);
    if (!object_is(context, KIND_CONTEXT))
        return create_failed(error_out, CL_INVALID_CONTEXT);
    return create_done(error_out, create_event(context, NULL, CL_COMMAND_USER, CL_SUBMITTED));
}

cl_int clSetUserEventStatus(cl_event event, cl_int status)
{
    ENTER(clSetUserEventStatus);
    if (!object_is(event, KIND_EVENT) || event->queue)
        return CL_INVALID_EVENT;
    if (status > CL_COMPLETE)
        return CL_INVALID_VALUE;
    pthread_mutex_lock(&commands.lock);
    bool open = atomic_load(&event->status) > CL_COMPLETE;
    if (open) {
        object_use(event);
        finish_locked(event, status);
        pump_locked();
        object_drop(event);
    }
    pthread_mutex_unlock(&commands.lock);
    return open ? CL_SUCCESS : CL_INVALID_OPERATION;
}

cl_int clSetEventCallback(cl_event event, cl_int when, void(CL_CALLBACK *function)(cl_event, cl_int, void *),
                          void *data)
{
    ENTER(clSetEventCallback);
    if (!object_is(event, KIND_EVENT))
        return CL_INVALID_EVENT;
    if (!function || when < CL_COMPLETE || when > CL_SUBMITTED)
        return CL_INVALID_VALUE;
    struct callback *callback = malloc(sizeof *callback);
    if (!callback)
        return CL_OUT_OF_HOST_MEMORY;
    pthread_mutex_lock(&commands.lock);
    cl_int status = atomic_load(&event->status);
    if (status > when) {
        *callback = (struct callback){event->callbacks, when, function, data};
        event->callbacks = callback;
    }
    pthread_mutex_unlock(&commands.lock);
    if (status > when)
        return CL_SUCCESS;
    free(callback);
    function(event, status < 0 ? status : when, data);
    return CL_SUCCESS;
}
