/* SPDX-License-Identifier: Apache-2.0
 *
 * Starting and ending worker processes. The worker asks the kernel to kill it when its creating *thread* dies, so one
 * thread that lives as long as the spawner starts them all. Nothing here knows what a worker does.
 */
#ifndef ATTUNE_TUNER_SPAWN_H
#define ATTUNE_TUNER_SPAWN_H

#include <sys/types.h>

#include "base/base.h"

struct spawner;

struct worker_process {
    pid_t pid;        /* 0: none; also its process group */
    int socket;       /* our end */
    int stderr_pipe;  /* non-blocking */
    int shared;       /* memory file for outputs; sealed against shrinking */
    int folder_lock;  /* held while the folder lives */
    char folder[256]; /* private compile cache and temp folder */
};

struct worker_exit {
    bool known; /* false: somebody else reaped it */
    int code;   /* exit status, or -1 */
    int signal; /* 0, or the signal that ended it */
};

attune_status spawner_create(struct spawner **out);
/* Kills nothing: workers must have been ended. */
void spawner_destroy(struct spawner **spawner);

/* Starts program in a folder of its own: see folder_make_temporary, which spare and note are for. Errors: WORKER (the
 * program), ENVIRONMENT (folder, descriptors, processes), OUT_OF_MEMORY. */
attune_status spawner_start(struct spawner *spawner, const char *program, const char *spare, struct worker_process *out,
                            char *note, size_t note_size);

#define WORKER_PROCESS_NONE   \
    {                         \
        0, -1, -1, -1, -1, "" \
    }

/* Kills the worker's process group, reaps the worker, removes its folder, closes its descriptors. The worker may be
 * dead already: then its own exit is reported. */
struct worker_exit worker_process_end(struct worker_process *process);

/* Resident bytes; 0 where that is not known. */
int64_t worker_process_rss(const struct worker_process *process);

#endif
