/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ATTUNE_TUNER_TARGET_H
#define ATTUNE_TUNER_TARGET_H

#include "backend/backend.h"
#include "cache/cache.h"
#include "cache/probes.h"
#include "session.h"

struct attune_target {
    struct session session;
    struct backend_choice choice;  /* as the worker described it: no OpenCL handles; limits as a probe showed them */
    struct device_limits reported; /* choice.limits without a probe */
    bool probed;                   /* a probe's facts are in choice.limits */
    struct probe_record probe;     /* its readings; none without */
    struct {
        double fma_gflops, dot_gflops;
    } best; /* the highest rates ever measured here; 0 = none. Of reads: in probe.readings */
    attune_device_info info;
    struct cache *cache;
    struct cache_places places;
    bool without_disk; /* asked for: cache_dir "" */
    char worker[1024];
    struct logger logger;
    int32_t fma_vec; /* lanes whose multiply-add rate is highest; 0 = not measured yet */
};

/* The program that workers run: given, else $ATTUNE_WORKER, else the one that belongs to this library, in its build
 * folder or its installation. */
void target_worker_path(const char *given, char *path, size_t size);
/* What can be said of options without a device. */
attune_status target_check_options(const attune_target_options *options);
/* Whether the worker program is there and may be run. WORKER. */
attune_status target_check_worker(const attune_target_options *options);
/* Whether what is found can be kept in the user's cache, or need not be. IO: says why not. */
attune_status target_check_storage(const struct attune_target *target);
/* Opens the caches of the options, without a device. */
attune_status target_open_cache(const attune_target_options *options, struct cache_places *places, struct cache **out);
/* Reads the reply to `open`. WORKER when it is not as it must be. */
attune_status target_read_device(const json_t *reply, struct backend_choice *choice);

/* As session_ensure; NO_DEVICE when the device is not the one that the target was made for. */
attune_status target_ensure(struct attune_target *target);

/* Makes what a probe showed the target's, and its worker's. Errors: WORKER. */
attune_status target_apply_probe(struct attune_target *target, const struct probe_record *record);
/* The same with what a context knows: the facts alone. */
attune_status target_apply_facts(struct attune_target *target, const struct probe_facts *facts);

/* For a session beside the target's own: what is the same in both, and its device open with the target's limits.
 * session_init comes before. Errors: WORKER, and what opening the device says. The target is only read: several threads
 * may do this. */
void target_copy_options(const struct attune_target *target, struct session *session);
attune_status target_open_session(const struct attune_target *target, struct session *session);

/* Id of the KV layout that problem's plans take; "" without a cache. */
attune_status target_layout_id(struct attune_target *target, const attune_problem *problem, char *id, size_t size);

/* attune_tune with another cache than the target's own: a context's, which may have no disk. */
attune_status target_tune_into(attune_target *target, struct cache *cache, const attune_problem *const *problems,
                               size_t num_problems, const attune_tune_options *options, attune_tune_result *results,
                               attune_tune_summary *summary);

#endif
