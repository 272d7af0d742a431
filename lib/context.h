/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ATTUNE_CONTEXT_H
#define ATTUNE_CONTEXT_H

#include <pthread.h>
#include <stdatomic.h>

#include "backend/backend.h"
#include "cache/cache.h"

struct attune_context {
    cl_context cl; /* retained */
    struct backend_choice choice;
    struct logger logger;
    struct cache *cache;
    struct cache_places places;
    char *worker; /* as given, or NULL */
    pthread_mutex_t programs_lock;
    struct shared_program *programs; /* that plans share: program_build_shared() */
    bool keep_forced;                /* binaries of forced configurations are stored as well */
    /* Programs so far: from source, from binaries, and those whose binary could not be stored. */
    atomic_int programs_built, programs_loaded, programs_lost;
};

/* A program that the context keeps. */
struct shared_program {
    struct shared_program *next;
    cl_program program;
    char key[HASH_HEX_SIZE]; /* of source and options */
};

/* What a run needs of objects of one context: compared before handles are used together. */
static inline cl_device_id context_device(const struct attune_context *context)
{
    return context->choice.device.id;
}

/* WRONG_CONTEXT unless queue is one of the context and its device. */
attune_status queue_check(const struct attune_context *context, cl_command_queue queue);

#endif
