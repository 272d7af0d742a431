/* SPDX-License-Identifier: Apache-2.0 */
#include "check.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "context.h"
#include "base/base.h"
#include "cl/program.h"

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

attune_schedule_options check_limits(const attune_problem *problem)
{
    attune_schedule_options limits = ATTUNE_SCHEDULE_OPTIONS_INIT;
    limits.max_batch = problem->batch;
    limits.max_q_tokens = 1;
    for (int32_t i = 0; i < problem->batch; i++)
        limits.max_q_tokens += problem->q_len[i];
    return limits;
}

/* The whole buffer, guards included, becomes NaNs that no kernel would write. */
static attune_status poison_workspace(struct check_run *run)
{
    static const uint32_t nan = 0x7fc5a5a5;
    if (!run->workspace_bytes)
        return ATTUNE_OK;
    cl_int code = clEnqueueFillBuffer(run->queue, run->device.args.workspace.cl, &nan, sizeof nan, 0,
                                      run->workspace_bytes + 2 * OUTPUT_GUARD, 0, NULL, NULL);
    return code == CL_SUCCESS ? ATTUNE_OK : cl_error(code, "clEnqueueFillBuffer");
}

static attune_status check_guards(struct check_run *run)
{
    uint32_t guards[2][OUTPUT_GUARD / sizeof(uint32_t)];
    for (size_t i = 0; run->workspace_bytes && i < 2; i++) {
        cl_int code =
            clEnqueueReadBuffer(run->queue, run->device.args.workspace.cl, CL_TRUE,
                                i * (OUTPUT_GUARD + run->workspace_bytes), OUTPUT_GUARD, guards[i], 0, NULL, NULL);
        if (code != CL_SUCCESS)
            return cl_error(code, "clEnqueueReadBuffer of a workspace's guard");
        for (size_t w = 0; w < OUTPUT_GUARD / sizeof(uint32_t); w++)
            if (guards[i][w] != 0x7fc5a5a5)
                return set_error(ATTUNE_ERROR_NOT_VERIFIED, "bytes %s the workspace were written",
                                 i ? "behind" : "before");
    }
    return ATTUNE_OK;
}

static void drop_workspace(struct check_run *run)
{
    if (run->device.args.workspace.cl)
        clReleaseMemObject(run->device.args.workspace.cl);
    run->device.args.workspace = (attune_tensor)ATTUNE_TENSOR_INIT;
}

attune_status check_run_reschedule(struct check_run *run, const attune_schedule_options *options)
{
    attune_tensor *workspace = &run->device.args.workspace;
    attune_schedule_destroy(&run->schedule);
    drop_workspace(run);
    attune_status status = attune_schedule_create(run->plan, options, &run->schedule);
    if (status != ATTUNE_OK ||
        (status = attune_plan_workspace_size(run->plan, run->schedule, &run->workspace_bytes)) != ATTUNE_OK ||
        !run->workspace_bytes)
        return status;
    cl_int code;
    workspace->type = ATTUNE_MEMORY_CL;
    workspace->byte_offset = OUTPUT_GUARD;
    workspace->cl = clCreateBuffer(attune_context_cl(run->context), CL_MEM_READ_WRITE,
                                   run->workspace_bytes + 2 * OUTPUT_GUARD, NULL, &code);
    return code == CL_SUCCESS ? ATTUNE_OK : cl_error(code, "clCreateBuffer for a workspace");
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

static attune_status make_results(struct check_run *run)
{
    size_t rows = result_rows(run) + 1, count = result_size(run) + 1; /* no allocation of 0 bytes */
    run->o = malloc(count * sizeof *run->o);
    run->lse = malloc(rows * sizeof *run->lse);
    run->plain_o = malloc(count * sizeof *run->plain_o);
    run->plain_lse = malloc(rows * sizeof *run->plain_lse);
    run->ref_o = malloc(count * sizeof *run->ref_o);
    run->ref_lse = malloc(rows * sizeof *run->ref_lse);
    if (!run->o || !run->lse || !run->plain_o || !run->plain_lse || !run->ref_o || !run->ref_lse)
        return set_error(ATTUNE_ERROR_OUT_OF_MEMORY, "out of memory");
    struct oracle_input input;
    workload_oracle_input(run->problem, &run->workload, &input);
    attune_status status = oracle_attention_fp64(&input, run->ref_o, run->ref_lse);
    return status != ATTUNE_OK ? status : oracle_attention_plain(&input, run->plain_o, run->plain_lse);
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

attune_status check_run_enqueue(struct check_run *run, uint64_t poison)
{
    const attune_problem *problem = run->problem;
    attune_status status;
    if ((status = workload_device_poison(&run->device, run->queue, poison)) || (status = poison_workspace(run)) ||
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
    if (status != ATTUNE_OK || (status = check_guards(run)) != ATTUNE_OK)
        return status;
    size_t rows = result_rows(run), count = result_size(run);
    struct oracle_error error = oracle_compare(run->o, run->ref_o, count, run->lse, run->ref_lse, rows);
    struct oracle_error plain = oracle_compare(run->plain_o, run->ref_o, count, run->plain_lse, run->ref_lse, rows);
    if (!intact)
        return set_error(ATTUNE_ERROR_NOT_VERIFIED, "bytes outside o or lse were written");
    return oracle_verdict(&error, &plain);
}

void check_run_destroy(struct check_run *run)
{
    attune_launcher_destroy(&run->launcher);
    attune_schedule_destroy(&run->schedule);
    attune_plan_destroy(&run->plan);
    drop_workspace(run);
    workload_device_destroy(&run->device);
    workload_destroy(&run->workload);
    attune_problem_destroy(&run->problem);
    if (run->queue)
        clReleaseCommandQueue(run->queue);
    free(run->o);
    free(run->lse);
    free(run->plain_o);
    free(run->plain_lse);
    free(run->ref_o);
    free(run->ref_lse);
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
