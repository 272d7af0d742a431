/* SPDX-License-Identifier: Apache-2.0 */
#include "target.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/place.h"
#include "desc.h"
#include "device_json.h"
#include "select.h"

void target_worker_path(const char *given, char *path, size_t size)
{
    const char *program = given ? given : env_get("ATTUNE_WORKER");
    if (program)
        copy_string(path, size, program);
    else if (!place_find_built("tune/attune-worker", path, size))
        place_find(ATTUNE_WORKER_PLACE, true, path, size);
}

attune_status target_open_cache(const attune_target_options *options, struct cache_places *places, struct cache **out)
{
    cache_find_places(options ? options->cache_dir : NULL, options ? options->site_cache_dir : NULL,
                      options ? options->shipped_cache_dir : NULL, places);
    const struct cache_paths paths = {places->user, places->site, places->shipped};
    struct logger logger = {0};
    if (options)
        logger = (struct logger){options->log, options->log_priv, options->log_level};
    return cache_open(out, &paths, &logger);
}

attune_status target_check_options(const attune_target_options *options)
{
    const struct attune_target *target = NULL;
    attune_status status = struct_check(options, sizeof *options, "options");
    if (status != ATTUNE_OK)
        return status;
    const struct backend *backend;
    if ((status = backend_named(options->backend, &backend)) != ATTUNE_OK)
        return status;
    if (options->device && strlen(options->device) >= sizeof target->session.device)
        return set_error(ATTUNE_ERROR_INVALID_SIZE, "options.device has %zu characters; at most %zu",
                         strlen(options->device), sizeof target->session.device - 1);
    if (options->memory_limit_bytes < 0)
        return set_error(ATTUNE_ERROR_INVALID_SIZE, "options.memory_limit_bytes is %lld; it must not be negative",
                         (long long)options->memory_limit_bytes);
    return ATTUNE_OK;
}

attune_status target_check_worker(const attune_target_options *options)
{
    char path[1024];
    target_worker_path(options->worker, path, sizeof path);
    return access(path, X_OK)
               ? set_error(ATTUNE_ERROR_WORKER, "worker \"%s\" cannot be started: %s; ATTUNE_WORKER may name another",
                           path, strerror(errno))
               : ATTUNE_OK;
}

attune_status target_check_storage(const struct attune_target *target)
{
    return cache_check_user(target->without_disk ? "" : NULL, target->places.user, true);
}

static void set_options(struct attune_target *target, const attune_target_options *options)
{
    copy_string(target->session.backend, sizeof target->session.backend, options->backend ? options->backend : "");
    copy_string(target->session.device, sizeof target->session.device, options->device ? options->device : "");
    target->logger = (struct logger){options->log, options->log_priv, options->log_level};
    target->session.logger = target->logger;
    if (options->memory_limit_bytes)
        target->session.memory_limit = options->memory_limit_bytes;
}

attune_status attune_target_create(attune_target **out, const attune_target_options *options)
{
    static const attune_target_options defaults = ATTUNE_TARGET_OPTIONS_INIT;
    if (!out)
        return set_error(ATTUNE_ERROR_NULL_ARGUMENT, "out is NULL");
    *out = NULL;
    if (!options)
        options = &defaults;
    attune_status status = target_check_options(options);
    if (status != ATTUNE_OK)
        return status;
    struct attune_target *target = calloc(1, sizeof *target);
    if (!target)
        return set_error(ATTUNE_ERROR_OUT_OF_MEMORY, "out of memory for a target");
    target_worker_path(options->worker, target->worker, sizeof target->worker);
    status = session_init(&target->session, target->worker);
    if (status == ATTUNE_OK) {
        set_options(target, options);
        target->without_disk = options->cache_dir && !*options->cache_dir;
        status = target_open_cache(options, &target->places, &target->cache);
    }
    target->session.spare_folder = target->places.user;
    if (status == ATTUNE_OK)
        status = target_ensure(target);
    if (status != ATTUNE_OK) {
        attune_target_destroy(&target);
        return status;
    }
    if (cache_check_user(options->cache_dir, target->places.user, false) != ATTUNE_OK)
        log_message(&target->logger, ATTUNE_LOG_WARNING, "%s", attune_last_error());
    *out = target;
    return ATTUNE_OK;
}

void attune_target_destroy(attune_target **address)
{
    if (!address || !*address)
        return;
    struct attune_target *target = *address;
    *address = NULL;
    session_close(&target->session);
    if (target->cache)
        cache_close(&target->cache);
    free(target);
}

attune_status attune_target_info(const attune_target *target, attune_device_info *out)
{
    if (!target || !out)
        return set_error(ATTUNE_ERROR_NULL_ARGUMENT, "%s is NULL", target ? "out" : "target");
    *out = target->info;
    return ATTUNE_OK;
}

/* A worker's own caches know of no probe. */
static attune_status send_limits(const struct attune_target *target, struct session *session)
{
    const struct device_limits *limits = &target->choice.limits;
    json_t *request =
        json_pack("{s:s,s:I,s:i,s:I}", "op", "limits", "features", (json_int_t)limits->features, "half_load",
                  (int)limits->half_load, "max_work_group_size", (json_int_t)limits->max_work_group_size);
    attune_outcome outcome = session_request(session, request, session->deadlines.open, NULL);
    if (outcome == ATTUNE_OUTCOME_OK)
        return ATTUNE_OK;
    return set_error(session_failure(session, outcome), "%s", session->reason);
}

void target_copy_options(const struct attune_target *target, struct session *session)
{
    copy_string(session->backend, sizeof session->backend, target->session.backend);
    copy_string(session->device, sizeof session->device, target->session.device);
    session->memory_limit = target->session.memory_limit;
    session->deadlines = target->session.deadlines;
    session->logger = target->logger;
    session->spare_folder = target->session.spare_folder;
    session->end_ns = target->session.end_ns;
}

attune_status target_open_session(const struct attune_target *target, struct session *session)
{
    json_t *opened;
    attune_status status = session_ensure(session, &opened);
    if (status != ATTUNE_OK || !opened)
        return status;
    json_decref(opened);
    return send_limits(target, session);
}

static void take_readings(struct attune_target *target, const struct probe_record *record)
{
    target->probe = *record;
    for (int32_t i = 0; i < record->num_readings; i++) {
        const attune_probe_reading *reading = &record->readings[i];
        if (!strncmp(reading->name, "fma.fp32", 8) && reading->value > target->best.fma_gflops)
            target->best.fma_gflops = reading->value;
        if (!strcmp(reading->name, "dot.bf16") && reading->value > target->best.dot_gflops)
            target->best.dot_gflops = reading->value;
    }
}

attune_status target_apply_probe(struct attune_target *target, const struct probe_record *record)
{
    take_readings(target, record);
    return target_apply_facts(target, &record->facts);
}

attune_status target_apply_facts(struct attune_target *target, const struct probe_facts *facts)
{
    target->choice.limits = target->reported;
    select_apply_probe(facts, &target->choice.limits);
    backend_device_info(&target->choice, &target->info);
    target->probed = true;
    return target->session.alive ? send_limits(target, &target->session) : ATTUNE_OK;
}

attune_status target_ensure(struct attune_target *target)
{
    json_t *opened;
    attune_status status = session_ensure(&target->session, &opened);
    if (status != ATTUNE_OK || !opened)
        return status;
    struct backend_choice choice;
    status = device_from_json(opened, &choice);
    json_decref(opened);
    if (status != ATTUNE_OK) {
        session_stop(&target->session);
        return status;
    }
    if (target->choice.backend) {
        struct cache_key before = {0}, now = {0};
        select_device_key(&target->choice, &before);
        select_device_key(&choice, &now);
        if (!memcmp(&before, &now, sizeof now))
            return send_limits(target, &target->session);
        session_stop(&target->session);
        return set_error(ATTUNE_ERROR_NO_DEVICE, "device \"%s\" is not there any more; \"%s\" answers in its place",
                         target->choice.device.name, choice.device.name);
    }
    target->choice = choice;
    target->reported = choice.limits;
    target->probed = select_probe(target->cache, &target->choice, &target->probe);
    if (target->probed)
        take_readings(target, &target->probe);
    backend_device_info(&choice, &target->info);
    /* Later workers must reach the same device. */
    copy_string(target->session.backend, sizeof target->session.backend, target->info.backend);
    copy_string(target->session.device, sizeof target->session.device, target->info.selector);
    return send_limits(target, &target->session);
}

attune_status target_layout_id(struct attune_target *target, const attune_problem *problem, char *id, size_t size)
{
    id[0] = '\0';
    if (attune_problem_desc(problem)->operation == ATTUNE_PREFILL || !problem->page_size)
        return ATTUNE_OK;
    attune_status status = target_ensure(target);
    if (status != ATTUNE_OK)
        return status;
    json_t *reply;
    json_t *request = json_pack("{s:s,s:s}", "op", "layout", "problem", attune_problem_text(problem));
    attune_outcome outcome = session_request(&target->session, request, target->session.deadlines.open, &reply);
    if (outcome != ATTUNE_OUTCOME_OK)
        return set_error(session_failure(&target->session, outcome), "%s", target->session.reason);
    const char *text = json_string_value(json_object_get(reply, "id"));
    copy_string(id, size, text ? text : "");
    json_decref(reply);
    return text ? ATTUNE_OK : set_error(ATTUNE_ERROR_WORKER, "worker gave no layout id");
}

attune_status attune_devices(const attune_target_options *options, attune_device_info *out, size_t capacity,
                             size_t *count)
{
    if (!count || (!out && capacity))
        return set_error(ATTUNE_ERROR_NULL_ARGUMENT, "%s is NULL", count ? "out" : "count");
    *count = 0;
    attune_status status = options ? struct_check(options, sizeof *options, "options") : ATTUNE_OK;
    if (status != ATTUNE_OK)
        return status;
    char worker[1024];
    target_worker_path(options ? options->worker : NULL, worker, sizeof worker);
    char cache_dir[1024];
    cache_user_dir(options ? options->cache_dir : NULL, cache_dir, sizeof cache_dir);
    struct session session;
    status = session_init(&session, worker);
    session.spare_folder = cache_dir;
    if (options)
        session.logger = (struct logger){options->log, options->log_priv, options->log_level};
    if (status == ATTUNE_OK && (status = session_start(&session)) == ATTUNE_OK) {
        json_t *reply;
        attune_outcome outcome =
            session_request(&session, json_pack("{s:s}", "op", "devices"), session.deadlines.open, &reply);
        if (outcome == ATTUNE_OUTCOME_OK) {
            status = device_list_from_json(reply, out, capacity, count);
            json_decref(reply);
        } else {
            status = set_error(session_failure(&session, outcome), "%s", session.reason);
        }
    }
    session_close(&session);
    return status;
}
