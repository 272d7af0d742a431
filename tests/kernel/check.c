/* SPDX-License-Identifier: Apache-2.0 */
#include "check.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cl/program.h"
#include "context.h"
#include "select.h"

attune_context *check_context(const char *backend)
{
    attune_context_options options = ATTUNE_CONTEXT_OPTIONS_INIT;
    options.backend = backend;
    options.cache_dir = "";
    attune_context *context;
    if (attune_context_create(&context, &options) == ATTUNE_OK)
        return context;
    fprintf(stderr, "skipped: %s\n", attune_last_error());
    exit(77);
}

bool check_valid(attune_context *context, const char *problem_text, const struct kernel_config *config)
{
    attune_problem *problem;
    char why[160];
    if (attune_problem_parse(problem_text, &problem) != ATTUNE_OK)
        return false;
    struct kernel_facts facts = problem_facts(&problem->desc, problem->page_size, &context->choice);
    bool valid = backend_config_valid(&context->choice.limits, &facts, config, why, sizeof why);
    attune_problem_destroy(&problem);
    return valid;
}

bool check_draw_config(attune_context *context, struct rng *rng, int family, const char *problem,
                       struct kernel_config *out)
{
    const struct family *f = family_at(family);
    for (int attempt = 0; attempt < 2000; attempt++) {
        memset(out, 0, sizeof *out);
        out->family = family;
        for (int p = 0; p < f->num_params; p++)
            out->values[p] = f->params[p].values[rng_below(rng, (uint64_t)f->params[p].num_values)];
        if (check_valid(context, problem, out))
            return true;
    }
    return false;
}

attune_status check_store_entry(attune_context *where, const attune_problem *problem, struct shape_bucket bucket,
                                const char *layout, const char *config)
{
    struct cache_entry entry;
    memset(&entry, 0, sizeof entry);
    select_device_key(&where->choice, &entry.key);
    select_problem_key(&problem->desc, layout, bucket, &entry.key);
    attune_status status = kernel_config_parse(config, &entry.config);
    if (status != ATTUNE_OK)
        return status;
    const struct family *family = family_at(entry.config.family);
    snprintf(entry.family_hash, sizeof entry.family_hash, "%s", family->source_hash);
    snprintf(entry.space_hash, sizeof entry.space_hash, "%s", family->space_hash);
    snprintf(entry.workload, sizeof entry.workload, "%s", problem->text);
    entry.q_len = entry.kv_len = entry.batch = 1;
    entry.time_ms = entry.default_ms = entry.gain = entry.gain_low = entry.gain_high = 1;
    entry.samples = 1;
    entry.depth = (struct cache_depth){.known = 1, .exhausted = 1};
    snprintf(entry.tool_version, sizeof entry.tool_version, "0");
    entry.receipt.valid = 1;
    memcpy(entry.receipt.device_name, entry.key.device_name, sizeof entry.receipt.device_name);
    memcpy(entry.receipt.driver, entry.key.driver, sizeof entry.receipt.driver);
    memcpy(entry.receipt.family_hash, entry.family_hash, sizeof entry.receipt.family_hash);
    snprintf(entry.receipt.checks, sizeof entry.receipt.checks, "test");
    return cache_store(where->cache, &entry, NULL, 0);
}

attune_schedule_options check_limits(const attune_problem *problem)
{
    attune_schedule_options limits = ATTUNE_SCHEDULE_OPTIONS_INIT;
    limits.max_batch = problem->batch;
    limits.max_q_tokens = 1;
    for (int32_t i = 0; i < problem->batch; i++)
        limits.max_q_tokens += problem->q_len[i];
    return limits;
}

attune_status check_run_reschedule(struct check_run *run, const attune_schedule_options *options)
{
    attune_schedule_destroy(&run->schedule);
    attune_status status = attune_schedule_create(run->plan, options, &run->schedule);
    if (status != ATTUNE_OK)
        return status;
    return workload_device_workspace(run->context, run->plan, run->schedule, run->queue, &run->device);
}

static attune_status make_objects(struct check_run *run, const attune_plan_options *plan_options,
                                  const struct workload_options *options)
{
    const attune_problem *problem = run->problem;
    const attune_schedule_options limits = check_limits(problem);
    cl_int code;
    run->queue = clCreateCommandQueue(attune_context_cl(run->context), attune_context_device(run->context), 0, &code);
    attune_status status;
    if ((status = workload_create(problem, options, &run->workload)) ||
        (status = workload_device_create(run->context, problem, &run->workload, &run->device)) ||
        (status = attune_plan_create(run->context, &problem->desc, run->device.layout, plan_options, &run->plan)) ||
        (status = check_run_reschedule(run, &limits)))
        return status;
    return attune_launcher_create(run->plan, &run->launcher);
}

static size_t result_rows(const struct check_run *run)
{
    return (size_t)run->workload.q_tokens * (size_t)run->problem->desc.num_q_heads;
}

static size_t result_size(const struct check_run *run)
{
    const attune_attention_desc *desc = &run->problem->desc;
    return result_rows(run) * (size_t)(desc->head_dim_vo ? desc->head_dim_vo : desc->head_dim_qk);
}

static attune_status compute_reference(struct check_run *run)
{
    struct oracle_input input;
    workload_oracle_input(run->problem, &run->workload, &input);
    oracle_reference_free(&run->reference);
    return oracle_reference_create(&input, &run->reference);
}

static attune_status make_results(struct check_run *run)
{
    size_t rows = result_rows(run) + 1, count = result_size(run) + 1; /* no allocation of 0 bytes */
    run->o = malloc(count * sizeof *run->o);
    run->lse = malloc(rows * sizeof *run->lse);
    if (!run->o || !run->lse)
        return set_error(ATTUNE_ERROR_OUT_OF_MEMORY, "out of memory");
    return compute_reference(run);
}

attune_status check_run_create(attune_context *context, const char *problem, const attune_plan_options *plan_options,
                               const struct workload_options *options, struct check_run *out)
{
    *out = (struct check_run){.context = context, .device = {.args = ATTUNE_ATTENTION_ARGS_INIT}};
    attune_status status;
    if ((status = attune_problem_parse(problem, &out->problem)) || (status = make_objects(out, plan_options, options)))
        return status;
    return make_results(out);
}

attune_status check_run_renew(struct check_run *run)
{
    const attune_attention_args *args = &run->device.args;
    const struct {
        const struct workload_tensor *from;
        const attune_tensor *to;
    } inputs[] = {{&run->workload.q, &args->q},
                  {&run->workload.k, &args->k},
                  {&run->workload.v, &args->v},
                  {&run->workload.k_cache, &args->k_cache},
                  {&run->workload.v_cache, &args->v_cache}};
    cl_int code = CL_SUCCESS;
    for (size_t i = 0; i < sizeof inputs / sizeof inputs[0] && code == CL_SUCCESS; i++)
        if (inputs[i].from->bytes)
            code = clEnqueueWriteBuffer(run->queue, inputs[i].to->cl, CL_TRUE, 0, inputs[i].from->bytes,
                                        inputs[i].from->data, 0, NULL, NULL);
    return code == CL_SUCCESS ? compute_reference(run) : cl_error(code, "new inputs");
}

attune_status check_run_redraw(struct check_run *run, const struct workload_options *options)
{
    workload_device_destroy(&run->device);
    workload_destroy(&run->workload);
    oracle_reference_free(&run->reference);
    free(run->o);
    free(run->lse);
    run->o = run->lse = NULL;
    attune_status status;
    if ((status = workload_create(run->problem, options, &run->workload)) ||
        (status = workload_device_create(run->context, run->problem, &run->workload, &run->device)) ||
        (status = workload_device_workspace(run->context, run->plan, run->schedule, run->queue, &run->device)))
        return status;
    return make_results(run);
}

attune_status check_run_enqueue(struct check_run *run, uint64_t poison)
{
    const attune_problem *problem = run->problem;
    attune_status status;
    if ((status = workload_device_poison(&run->device, run->queue, poison)) ||
        (status = attune_schedule_update(run->schedule, run->queue, problem->batch, problem->q_len, problem->kv_len, 0,
                                         NULL, NULL)))
        return status;
    return attune_attention_run(run->launcher, run->schedule, &run->device.args, run->queue, 0, NULL, NULL);
}

attune_status check_run_compare(struct check_run *run, uint64_t poison)
{
    bool intact;
    attune_status status =
        workload_device_read(&run->device, run->problem, &run->workload, run->queue, poison, run->o, run->lse, &intact);
    if (status != ATTUNE_OK)
        return status;
    if (!intact)
        return set_error(ATTUNE_ERROR_NOT_VERIFIED, "bytes outside o, lse and the workspace were written");
    return oracle_judge(&run->reference, run->o, run->lse, NULL);
}

void check_run_destroy(struct check_run *run)
{
    attune_launcher_destroy(&run->launcher);
    attune_schedule_destroy(&run->schedule);
    attune_plan_destroy(&run->plan);
    workload_device_destroy(&run->device);
    workload_destroy(&run->workload);
    attune_problem_destroy(&run->problem);
    if (run->queue)
        clReleaseCommandQueue(run->queue);
    free(run->o);
    free(run->lse);
    oracle_reference_free(&run->reference);
}

const char *check_problem(attune_context *context, const char *problem, const char *config,
                          const struct workload_options *options)
{
    static char text[4096];
    struct check_run run;
    attune_plan_options plan_options = ATTUNE_PLAN_OPTIONS_INIT;
    plan_options.force_config = config;
    attune_status status = check_run_create(context, problem, &plan_options, options, &run);
    if (status == ATTUNE_OK)
        status = check_run_enqueue(&run, options->seed);
    if (status == ATTUNE_OK)
        status = check_run_compare(&run, options->seed);
    if (status != ATTUNE_OK)
        snprintf(text, sizeof text,
                 "%s: %s\n  problem %s\n  config  %s\n  seed %llu, pattern %d, magnitude %g, pad %d, page_pad %d, "
                 "offset %d\n%.1000s",
                 attune_status_name(status), attune_last_error(), problem, config, (unsigned long long)options->seed,
                 (int)options->pattern, (double)options->magnitude, options->pad, options->page_pad, options->offset,
                 attune_last_build_log());
    check_run_destroy(&run);
    return status == ATTUNE_OK ? NULL : text;
}
