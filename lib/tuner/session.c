/* SPDX-License-Identifier: Apache-2.0 */
#define _GNU_SOURCE
#include "session.h"

#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "folder.h"

/* Workers are replaced after so many builds: drivers and compilers leak. */
#define BUILDS_PER_WORKER 32

static const struct session_deadlines default_deadlines = {
    .open = 60, .load = 120, .build = 60, .first_run = 120, .slow_factor = 20, .run_floor = 10};

attune_status session_init(struct session *session, const char *program)
{
    memset(session, 0, sizeof *session);
    session->program = program;
    session->deadlines = default_deadlines;
    session->process = (struct worker_process)WORKER_PROCESS_NONE;
    return spawner_create(&session->spawner);
}

void session_close(struct session *session)
{
    session_stop(session);
    spawner_destroy(&session->spawner);
}

attune_status session_start(struct session *session)
{
    if (session->alive)
        return ATTUNE_OK;
    char note[256];
    attune_status status =
        spawner_start(session->spawner, session->program, session->spare_folder, &session->process, note, sizeof note);
    if (status != ATTUNE_OK)
        return status;
    if (note[0] && !session->folder_told)
        log_message(&session->logger, ATTUNE_LOG_WARNING, "%s", note);
    session->folder_told |= note[0] != '\0';
    session->alive = true;
    session->memory_now = memory_for_worker();
    session->generation++;
    session->builds = 0;
    session->loaded_bytes = 0;
    session->errors_length = 0;
    session->errors[0] = '\0';
    return ATTUNE_OK;
}

static struct worker_exit end_worker(struct session *session)
{
    struct worker_exit result = {0};
    if (session->shared)
        munmap(session->shared, session->shared_size);
    session->shared = NULL;
    session->shared_size = 0;
    frame_reader_reset(&session->reader);
    if (session->alive)
        result = worker_process_end(&session->process);
    session->alive = false;
    return result;
}

void session_stop(struct session *session)
{
    end_worker(session);
}

attune_status session_share(struct session *session, size_t size)
{
    if (size <= session->shared_size)
        return ATTUNE_OK;
    if (session->shared)
        munmap(session->shared, session->shared_size);
    session->shared = NULL;
    session->shared_size = 0;
    void *mapping = MAP_FAILED;
    if (!ftruncate(session->process.shared, (off_t)size))
        mapping = mmap(NULL, size, PROT_READ, MAP_SHARED, session->process.shared, 0);
    if (mapping == MAP_FAILED)
        return set_error(ATTUNE_ERROR_OUT_OF_MEMORY, "no shared memory of %zu bytes for outputs", size);
    session->shared = mapping;
    session->shared_size = size;
    return ATTUNE_OK;
}

/* ---- waiting */

/* Real time, whatever clock tests have put in place: a worker that hangs moves no virtual clock. */
static double real_seconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

/* Keeps the last half of what the worker wrote when the buffer is full. */
static void drain_errors(struct session *session)
{
    char chunk[1024];
    ssize_t got;
    while ((got = read(session->process.stderr_pipe, chunk, sizeof chunk)) > 0) {
        size_t capacity = sizeof session->errors - 1;
        if (session->errors_length + (size_t)got > capacity) {
            size_t kept = session->errors_length < capacity / 2 ? session->errors_length : capacity / 2;
            memmove(session->errors, session->errors + session->errors_length - kept, kept);
            session->errors_length = kept;
        }
        memcpy(session->errors + session->errors_length, chunk, (size_t)got);
        session->errors_length += (size_t)got;
        session->errors[session->errors_length] = '\0';
    }
}

/* The last line that the worker wrote, without its newline. */
static const char *last_words(struct session *session)
{
    char *text = session->errors;
    size_t length = strlen(text);
    while (length && text[length - 1] == '\n')
        text[--length] = '\0';
    const char *line = strrchr(text, '\n');
    return line ? line + 1 : text;
}

enum wait_end { WAIT_REPLY, WAIT_DIED, WAIT_TIMEOUT, WAIT_OVER, WAIT_MEMORY, WAIT_BROKEN };

static int64_t memory_limit(const struct session *session)
{
    return session->memory_limit ? session->memory_limit : session->memory_now;
}

bool session_over(const struct session *session)
{
    return session->end_ns && clock_now_ns() >= session->end_ns;
}

static enum wait_end wait_reply(struct session *session, double deadline_s, json_t **reply)
{
    const int patient_ms = clock_is_virtual() ? 5 : 20;
    int tick_ms = 5;
    int64_t seen_rss = INT64_MAX / 2;
    double start = real_seconds();
    uint64_t start_ns = clock_now_ns();
    double left = session->end_ns > start_ns ? (double)(session->end_ns - start_ns) * 1e-9 : 0;
    for (;;) {
        struct pollfd fds[2] = {{session->process.socket, POLLIN, 0}, {session->process.stderr_pipe, POLLIN, 0}};
        poll(fds, fds[1].fd >= 0 ? 2 : 1, tick_ms);
        enum frame_result frame = frame_receive(&session->reader, session->process.socket, true, reply);
        if (fds[1].revents || frame == FRAME_END)
            drain_errors(session);
        if (frame == FRAME_READY)
            return WAIT_REPLY;
        if (frame != FRAME_PARTIAL)
            return frame == FRAME_END ? WAIT_DIED : WAIT_BROKEN;
        int64_t rss = worker_process_rss(&session->process), limit = memory_limit(session);
        if (rss > limit)
            return WAIT_MEMORY;
        /* Looks so often that what grows on as it did is met at the limit. */
        bool hurries = rss > limit / 4 || rss - seen_rss > limit / 64;
        tick_ms = hurries ? 5 : patient_ms;
        seen_rss = rss;
        if (real_seconds() - start > deadline_s || (double)(clock_now_ns() - start_ns) * 1e-9 > deadline_s)
            return WAIT_TIMEOUT;
        /* By the real clock as well: a hang moves no virtual one. */
        if (session_over(session) || (session->end_ns && real_seconds() - start > left))
            return WAIT_OVER;
        if (fds[1].revents & POLLHUP) { /* stderr closed but alive: do not spin on it */
            struct timespec pause = {0, 1000000};
            nanosleep(&pause, NULL);
        }
    }
}

/* What a program does to itself; others come from outside: an operator, the kernel's memory killer, a limit of the
 * shell's. */
static bool is_own_signal(int number)
{
    return number == SIGSEGV || number == SIGBUS || number == SIGILL || number == SIGFPE || number == SIGABRT ||
           number == SIGSYS || number == SIGTRAP;
}

/* Compilers that cannot write end in many ways; all of them look like the kernel's fault. */
static bool folder_failed(struct session *session)
{
    char why[160];
    if (folder_usable(session->process.folder, why, sizeof why))
        return false;
    snprintf(session->reason, sizeof session->reason, "the worker's folder %.80s: %.150s", session->process.folder,
             why);
    return true;
}

static attune_outcome reason_of_death(struct session *session, const char *operation)
{
    if (session->alive && folder_failed(session)) {
        end_worker(session);
        return ATTUNE_OUTCOME_ENVIRONMENT;
    }
    struct worker_exit death = end_worker(session);
    const char *words = last_words(session);
    const char *colon = words[0] ? ": " : "";
    if (!death.known)
        snprintf(session->reason, sizeof session->reason, "worker died during %s%s%.160s", operation, colon, words);
    else if (death.signal)
        snprintf(session->reason, sizeof session->reason, "worker killed by signal %d (%s) during %s%s%.160s",
                 death.signal, strsignal(death.signal), operation, colon, words);
    else
        snprintf(session->reason, sizeof session->reason, "worker exited with status %d during %s%s%.160s", death.code,
                 operation, colon, words);
    if (death.known && death.signal && !is_own_signal(death.signal))
        return ATTUNE_OUTCOME_ENVIRONMENT;
    /* pocl compiles and links when a kernel first runs, and aborts when that fails. */
    return death.signal == 6 && !strcmp(operation, "build") ? ATTUNE_OUTCOME_BUILD_FAILED : ATTUNE_OUTCOME_CRASHED;
}

static attune_outcome outcome_of_status(attune_status status)
{
    switch (status) {
    case ATTUNE_OK:
        return ATTUNE_OUTCOME_OK;
    case ATTUNE_ERROR_BUILD:
        return ATTUNE_OUTCOME_BUILD_FAILED;
    case ATTUNE_ERROR_OUT_OF_MEMORY:
    case ATTUNE_ERROR_DEVICE_MEMORY:
        return ATTUNE_OUTCOME_OUT_OF_MEMORY;
    case ATTUNE_ERROR_DEVICE_LOST:
        return ATTUNE_OUTCOME_DEVICE_LOST;
    default:
        return ATTUNE_OUTCOME_FAILED;
    }
}

static attune_outcome read_reply(struct session *session, json_t *reply)
{
    if (json_is_true(json_object_get(reply, "ok")))
        return ATTUNE_OUTCOME_OK;
    session->status = (attune_status)json_integer_value(json_object_get(reply, "status"));
    const char *error = json_string_value(json_object_get(reply, "error"));
    copy_string(session->reason, sizeof session->reason, error ? error : "no reason given");
    attune_outcome outcome = outcome_of_status(session->status);
    if (outcome == ATTUNE_OUTCOME_OK || session->status == ATTUNE_ERROR_INTERNAL)
        outcome = ATTUNE_OUTCOME_FAILED;
    if (folder_failed(session))
        outcome = ATTUNE_OUTCOME_ENVIRONMENT;
    if (outcome == ATTUNE_OUTCOME_DEVICE_LOST || outcome == ATTUNE_OUTCOME_ENVIRONMENT)
        end_worker(session); /* its context is of no use any more */
    return outcome;
}

static attune_outcome fail(struct session *session, attune_outcome outcome, const char *format, ...) PRINTF_LIKE(3, 4);
static attune_outcome fail(struct session *session, attune_outcome outcome, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    text_vprintf(session->reason, sizeof session->reason, format, args);
    va_end(args);
    end_worker(session);
    return outcome;
}

attune_outcome session_request(struct session *session, json_t *request, double deadline_s, json_t **out)
{
    char operation[32];
    const char *op = json_string_value(json_object_get(request, "op"));
    copy_string(operation, sizeof operation, op ? op : "?");
    session->reason[0] = '\0';
    session->status = ATTUNE_OK;
    if (out)
        *out = NULL;
    if (!session->alive || !op) {
        json_decref(request);
        return fail(session, ATTUNE_OUTCOME_FAILED, "no worker for %s", operation);
    }
    json_t *reply = NULL;
    uint64_t start = clock_now_ns();
    bool sent = frame_send(session->process.socket, request);
    json_decref(request);
    enum wait_end end = sent ? wait_reply(session, deadline_s, &reply) : WAIT_DIED;
    session->elapsed_ns = clock_now_ns() - start;
    switch (end) {
    case WAIT_REPLY:
        break;
    case WAIT_DIED:
        drain_errors(session);
        return reason_of_death(session, operation);
    case WAIT_TIMEOUT:
        return fail(session, ATTUNE_OUTCOME_TIMEOUT, "no answer to %s within %g s", operation, deadline_s);
    case WAIT_OVER:
        session->end_ns = clock_now_ns(); /* by whichever clock it came */
        return fail(session, ATTUNE_OUTCOME_TIMEOUT, "the time budget ended during %s", operation);
    case WAIT_MEMORY:
        return fail(session, ATTUNE_OUTCOME_OUT_OF_MEMORY, "worker grew past %lld bytes during %s",
                    (long long)memory_limit(session), operation);
    case WAIT_BROKEN:
        return fail(session, ATTUNE_OUTCOME_CRASHED, "worker sent no valid answer to %s", operation);
    }
    attune_outcome outcome = read_reply(session, reply);
    if (out && outcome == ATTUNE_OUTCOME_OK)
        *out = reply;
    else
        json_decref(reply);
    return outcome;
}

attune_status session_failure(const struct session *session, attune_outcome outcome)
{
    if (outcome == ATTUNE_OUTCOME_ENVIRONMENT)
        return ATTUNE_ERROR_ENVIRONMENT;
    if (outcome == ATTUNE_OUTCOME_DEVICE_LOST)
        return ATTUNE_ERROR_DEVICE_LOST;
    return session->status ? session->status : ATTUNE_ERROR_WORKER;
}

/* ---- device */

static attune_status open_device(struct session *session, json_t **opened)
{
    attune_status status = session_start(session);
    if (status != ATTUNE_OK)
        return status;
    json_t *request = json_pack("{s:s,s:s,s:s}", "op", "open", "backend", session->backend, "device", session->device);
    json_t *reply = NULL;
    attune_outcome outcome = session_request(session, request, session->deadlines.open, &reply);
    if (outcome == ATTUNE_OUTCOME_OK) {
        if (opened)
            *opened = reply;
        else
            json_decref(reply);
        return ATTUNE_OK;
    }
    session_stop(session);
    return set_error(session_failure(session, outcome), "%s", session->reason);
}

attune_status session_ensure(struct session *session, json_t **opened)
{
    if (opened)
        *opened = NULL;
    return session->alive ? ATTUNE_OK : open_device(session, opened);
}

void session_recycle(struct session *session)
{
    if (session->builds >= BUILDS_PER_WORKER)
        session_stop(session);
}

double session_run_deadline(const struct session *session, double expected_ms)
{
    double expected_s = expected_ms * 1e-3 * session->deadlines.slow_factor;
    if (expected_ms <= 0)
        return session->deadlines.first_run;
    return expected_s > session->deadlines.run_floor ? expected_s : session->deadlines.run_floor;
}
