/* SPDX-License-Identifier: Apache-2.0
 *
 * The supervisor's side of one worker at a time: requests with deadlines, what became of the worker, and a new one when
 * the last is gone. Whatever goes wrong with a request is an attune_outcome with a text; the session stays usable.
 */
#ifndef ATTUNE_TUNER_SESSION_H
#define ATTUNE_TUNER_SESSION_H

#include <attune/tune.h>

#include "protocol.h"
#include "cl/device.h"
#include "spawn.h"

/* Seconds, of the host's clock and of clock_now_ns() both. */
struct session_deadlines {
    double open, load, build, first_run;
    double slow_factor; /* a run may take this many times what it is expected to */
    double run_floor;   /* ... but always this long */
};

struct session {
    struct spawner *spawner;
    const char *program;          /* the owner's */
    char backend[16], device[DEVICE_SELECTOR_SIZE]; /* to open in each worker; "" = whatever the environment says */
    int64_t memory_limit;         /* 0: what memory_for_worker says when a worker starts */
    int64_t memory_now;           /* of this worker */
    struct session_deadlines deadlines;
    uint64_t end_ns; /* of clock_now_ns(), for all requests together; 0 = none */
    struct logger logger;
    const char *spare_folder; /* the owner's: where workers' folders may lie if no temporary folder can be used; NULL =
                                 nowhere */
    bool folder_told;         /* that TMPDIR is not used */

    struct worker_process process;
    struct frame_reader reader;
    bool alive;
    uint32_t generation; /* counts workers: what was loaded into an earlier one is gone */
    int builds;          /* in this worker */
    size_t loaded_bytes; /* in this worker */
    uint8_t *shared;     /* mapping of process.shared */
    size_t shared_size;

    char errors[4096]; /* the last of the worker's stderr */
    size_t errors_length;
    char reason[256];     /* why the last request failed */
    attune_status status; /* what the worker said of it, or ATTUNE_OK */
    uint64_t elapsed_ns;  /* of the last request, by clock_now_ns() */
};

/* Zeroes and fills; starts nothing. program must outlive the session. */
attune_status session_init(struct session *session, const char *program);
void session_close(struct session *session);

/* memory.c: bytes that a worker may grow to, by what is free now. */
int64_t memory_for_worker(void);

/* Starts a worker if there is none. Errors: WORKER. */
attune_status session_start(struct session *session);
/* Ends the worker, if there is one. */
void session_stop(struct session *session);
/* Ends a worker that has built its share; the next request's session_ensure starts another. */
void session_recycle(struct session *session);
/* A worker with the device open: starts one where there is none. *opened (may be NULL) gets the reply to `open`, or
 * NULL where the device was open already. Errors: WORKER, and what opening the device says. */
attune_status session_ensure(struct session *session, json_t **opened);

/* Sends request (stolen) and waits for its reply, which goes to *reply (may be NULL). Anything but OK leaves a reason;
 * CRASHED, TIMEOUT, OUT_OF_MEMORY of the host and a broken protocol have also ended the worker. ENVIRONMENT, too: the
 * worker was killed by a signal that no kernel raises, or its folder cannot be written to. */
attune_outcome session_request(struct session *session, json_t *request, double deadline_s, json_t **reply);

/* The status that belongs to a request's outcome, not OK, where it is not a candidate's: the device's or the worker's.
 */
attune_status session_failure(const struct session *session, attune_outcome outcome);

/* Maps at least size bytes of the worker's output memory at session->shared. */
attune_status session_share(struct session *session, size_t size);

/* Whether the session's end has come: every request is cut off. */
bool session_over(const struct session *session);

/* How long a run may take that is expected to take so many milliseconds (0: not known). */
double session_run_deadline(const struct session *session, double expected_ms);

#endif
