/* SPDX-License-Identifier: Apache-2.0
 * Compiled kernels for the user's cache: programs are made as an engine makes them, which stores them. */
#include <stdlib.h>
#include <string.h>

#include "context.h"
#include "worker.h"

/* A context with the caches, where the worker's own has none. What a probe showed is the supervisor's to say. */
static attune_status open_caches(struct worker *worker, const json_t *request)
{
    attune_device_info device;
    attune_context_options options = ATTUNE_CONTEXT_OPTIONS_INIT;
    attune_status status = attune_context_info(worker->context, &device);
    if (status != ATTUNE_OK || worker->caches)
        return status;
    options.backend = device.backend;
    options.device = device.selector;
    options.cache_dir = request_text(request, "user");
    options.site_cache_dir = request_text(request, "site");
    options.shipped_cache_dir = request_text(request, "shipped");
    if ((status = attune_context_create(&worker->caches, &options)) != ATTUNE_OK)
        return status;
    worker->caches->choice.limits = worker->context->choice.limits;
    worker->caches->keep_forced = true;
    return ATTUNE_OK;
}

/* Operations on the cache. New rows come as the projections leave them: as Q, or as the cache has them. */
static attune_status make_operations(const attune_attention_desc *desc, const attune_kv_layout *layout)
{
    const attune_dtype sources[] = {desc->q_dtype, desc->kv_dtype};
    attune_status status = ATTUNE_OK;
    for (int i = 0; status == ATTUNE_OK && i < (sources[0] == sources[1] ? 1 : 2); i++) {
        attune_kv_launcher *launcher;
        status = attune_kv_launcher_create(layout, sources[i], &launcher);
        if (status == ATTUNE_OK)
            attune_kv_launcher_destroy(&launcher);
    }
    return status;
}

/* Work lists from lengths on the device. */
static attune_status make_schedule(const attune_plan *plan)
{
    attune_schedule_options options = ATTUNE_SCHEDULE_OPTIONS_INIT;
    options.max_batch = 1;
    options.max_q_tokens = 1;
    options.max_kv_len = 1;
    options.device_lengths = 1;
    attune_schedule *schedule;
    attune_status status = attune_schedule_create(plan, &options, &schedule);
    if (status == ATTUNE_OK)
        attune_schedule_destroy(&schedule);
    return status;
}

/* utilities: what the steps of a plan may need beside it, first of all what needs no plan: the plan's kernel is another
 * worker's task, and may be there by then. */
static attune_status make_programs(attune_context *context, const attune_problem *problem, const char *config,
                                   bool utilities)
{
    const attune_attention_desc *desc = attune_problem_desc(problem);
    attune_kv_layout *layout = NULL;
    attune_plan *plan = NULL;
    attune_kv_layout_options cache = problem_layout(problem, problem->page_size); /* one page */
    attune_plan_options options = ATTUNE_PLAN_OPTIONS_INIT;
    options.force_config = config;
    options.validate = utilities && problem->page_size;
    attune_status status = problem->page_size ? attune_kv_layout_create(context, &cache, &layout) : ATTUNE_OK;
    if (status == ATTUNE_OK && utilities && layout)
        status = make_operations(desc, layout);
    if (status == ATTUNE_OK)
        status = attune_plan_create(context, desc, desc->operation == ATTUNE_PREFILL ? NULL : layout, &options, &plan);
    if (status == ATTUNE_OK && utilities)
        status = make_schedule(plan);
    attune_plan_destroy(&plan);
    attune_kv_layout_destroy(&layout);
    return status;
}

attune_status worker_warm(struct worker *worker, const json_t *request, json_t **reply)
{
    attune_problem *problem;
    attune_status status = open_caches(worker, request);
    if (status == ATTUNE_OK)
        status = attune_problem_parse(request_text(request, "problem"), &problem);
    if (status != ATTUNE_OK)
        return status;
    struct attune_context *context = worker->caches;
    int32_t built = context->programs_built, loaded = context->programs_loaded, lost = context->programs_lost;
    status = make_programs(context, problem, request_text(request, "config"),
                           json_is_true(json_object_get(request, "utilities")));
    attune_problem_destroy(&problem);
    if (status == ATTUNE_OK)
        *reply = json_pack("{s:i,s:i,s:i,s:s}", "built", context->programs_built - built, "loaded",
                           context->programs_loaded - loaded, "lost", context->programs_lost - lost, "reason",
                           context->programs_lost > lost ? attune_last_error() : "");
    return status;
}
