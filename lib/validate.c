/* SPDX-License-Identifier: Apache-2.0 */
#include "validate.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "build.h"
#include "check_pages.clh"
#include "cl/program.h"

#define GROUP_SIZE 64
#define GROUPS_PER_UNIT 4

extern const char check_pages_source[];

enum check_arg { CHECK_KV_INDPTR, CHECK_KV_INDICES, CHECK_LAST_PAGE_LEN, CHECK_SCHEDULE, CHECK_FINDINGS, CHECK_ARGS };

static int32_t num_groups(const struct attune_plan *plan)
{
    return plan->context->choice.device.compute_units * GROUPS_PER_UNIT;
}

static cl_int set_args(cl_kernel kernel, const struct launch_pointer pointers[CHECK_ARGS],
                       const struct check_args *args)
{
    cl_int code = CL_SUCCESS;
    for (cl_uint i = 0; code == CL_SUCCESS && i < CHECK_ARGS; i++)
        code = launch_set_pointer(kernel, i, &pointers[i]);
    return code != CL_SUCCESS ? code : clSetKernelArg(kernel, CHECK_ARGS, sizeof *args, args);
}

/* Finds nothing where the kernel writes nothing. */
static cl_mem findings_buffer(const struct attune_plan *plan, int32_t *host, cl_int *code)
{
    size_t bytes = (size_t)num_groups(plan) * FINDING_WORDS * sizeof *host;
    return clCreateBuffer(plan->context->cl, CL_MEM_READ_WRITE | CL_MEM_COPY_HOST_PTR, bytes, host, code);
}

attune_status validator_create(const struct attune_plan *plan, struct validator *out)
{
    cl_int code;
    *out = (struct validator){0};
    if (!plan->check)
        return ATTUNE_OK;
    out->host = calloc((size_t)num_groups(plan) * FINDING_WORDS, sizeof *out->host);
    if (!out->host)
        return set_error(ATTUNE_ERROR_OUT_OF_MEMORY, "out of memory for a launcher");
    out->findings = findings_buffer(plan, out->host, &code);
    if (code != CL_SUCCESS)
        return cl_error(code, "clCreateBuffer for a launcher");
    out->kernel = clCreateKernel(plan->check, "check_pages", &code);
    return code == CL_SUCCESS ? ATTUNE_OK : cl_error(code, "clCreateKernel(check_pages)");
}

void validator_destroy(struct validator *validator)
{
    if (validator->kernel)
        clReleaseKernel(validator->kernel);
    if (validator->findings)
        clReleaseMemObject(validator->findings);
    free(validator->host);
    *validator = (struct validator){0};
}

/* One run on a work list without sequences. */
static attune_status run_empty(void *priv, cl_program program)
{
    struct attune_plan *plan = priv;
    struct validator validator;
    int32_t empty[SCHEDULE_HEADER] = {SCHEDULE_VERSION, 0, SCHEDULE_HEADER, SCHEDULE_HEADER};
    struct check_args args = {.page_size = 1, .num_groups = num_groups(plan)};
    size_t local = (size_t)program_group_size(plan->context, GROUP_SIZE);
    struct launch_pointer pointers[CHECK_ARGS] = {0};
    cl_int code;
    plan->check = program;
    attune_status status = validator_create(plan, &validator);
    plan->check = NULL;
    if (status == ATTUNE_OK) {
        pointers[CHECK_FINDINGS].cl = validator.findings;
        pointers[CHECK_SCHEDULE].cl =
            clCreateBuffer(plan->context->cl, CL_MEM_READ_ONLY | CL_MEM_COPY_HOST_PTR, sizeof empty, empty, &code);
        if (code != CL_SUCCESS || (code = set_args(validator.kernel, pointers, &args)) != CL_SUCCESS)
            status = cl_error(code, "a first run of check_pages");
        else
            status = program_run_once(plan->context, validator.kernel, local * (size_t)args.num_groups, local);
        if (pointers[CHECK_SCHEDULE].cl)
            clReleaseMemObject(pointers[CHECK_SCHEDULE].cl);
    }
    validator_destroy(&validator);
    return status;
}

attune_status plan_compile_check(struct attune_plan *plan)
{
    char options[32];
    snprintf(options, sizeof options, "-DWG_SIZE=%d", program_group_size(plan->context, GROUP_SIZE));
    const struct program_source source = {"check_pages", check_pages_source, options, true};
    cl_program program;
    attune_status status = program_build(plan->context, &source, run_empty, plan, &program);
    plan->check = program;
    return status;
}

static attune_status describe_indptr(const int32_t *finding, const struct check_args *args)
{
    int32_t seq = finding[FINDING_SEQ], value = finding[FINDING_VALUE], other = finding[FINDING_OTHER];
    int32_t pages = finding[FINDING_PAGE_INDEX];
    const char *unit = args->page_size > 1 ? "pages" : "slots";
    switch (finding[FINDING_KIND]) {
    case FINDING_INDPTR_NEGATIVE:
        return set_error(ATTUNE_ERROR_PAGE_TABLE, "kv_indptr[%d] is %d; it must not be negative", seq, value);
    case FINDING_INDPTR_FALLS:
        return set_error(ATTUNE_ERROR_PAGE_TABLE, "kv_indptr[%lld] is %d, less than kv_indptr[%d] (%d)",
                         (long long)seq + 1, value, seq, other);
    case FINDING_INDPTR_SHORT:
        return set_error(ATTUNE_ERROR_PAGE_TABLE,
                         "kv_indptr[%lld] is %d, %d more than kv_indptr[%d]; sequence %d has %d %s", (long long)seq + 1,
                         value, value - other, seq, seq, pages, unit);
    default:
        return set_error(ATTUNE_ERROR_PAGE_TABLE,
                         "kv_indptr[%d] is %d; kv_indices has %lld entries, too few for the %d %s of sequence %d", seq,
                         value, (long long)args->num_indices, pages, unit, seq);
    }
}

static attune_status describe(const int32_t *finding, const struct check_args *args)
{
    int32_t seq = finding[FINDING_SEQ], page = finding[FINDING_PAGE_INDEX], value = finding[FINDING_VALUE];
    const char *unit = args->page_size > 1 ? "page" : "slot";
    switch (finding[FINDING_KIND]) {
    case FINDING_NONE:
        return ATTUNE_OK;
    case FINDING_LAST_PAGE:
        if (value < 1 || value > args->page_size)
            return set_error(ATTUNE_ERROR_PAGE_TABLE, "last_page_len[%d] is %d; it must be 1 to %d", seq, value,
                             args->page_size);
        return set_error(ATTUNE_ERROR_PAGE_TABLE,
                         "last_page_len[%d] is %d; the schedule's length leaves %d keys in the last page", seq, value,
                         finding[FINDING_OTHER]);
    case FINDING_PAGE:
        if (args->block_table_stride)
            return set_error(ATTUNE_ERROR_PAGE_TABLE, "block_table[%d][%d] is %d; the cache has %d %ss", seq, page,
                             value, args->num_pages, unit);
        return set_error(ATTUNE_ERROR_PAGE_TABLE, "kv_indices[%lld] is %d (sequence %d, %s %d); the cache has %d %ss",
                         (long long)finding[FINDING_OTHER] + page, value, seq, unit, page, args->num_pages, unit);
    default:
        return describe_indptr(finding, args);
    }
}

/* The finding of the lowest sequence; one work-group looks at the whole of a sequence. */
static const int32_t *first_finding(const struct validator *validator, int32_t groups)
{
    const int32_t *first = validator->host;
    for (int32_t i = 1; i < groups; i++) {
        const int32_t *finding = validator->host + (size_t)i * FINDING_WORDS;
        if (finding[FINDING_KIND] != FINDING_NONE &&
            (first[FINDING_KIND] == FINDING_NONE || finding[FINDING_SEQ] < first[FINDING_SEQ]))
            first = finding;
    }
    return first;
}

attune_status validate_step(struct validator *validator, const struct attune_plan *plan,
                            const struct validate_tables *tables, cl_command_queue queue, cl_uint num_wait,
                            const cl_event *wait)
{
    const struct attention_args *a = tables->args;
    const struct launch_pointer *memory = tables->memory->arg, last = tables->last_page_len;
    const struct launch_pointer pointers[CHECK_ARGS] = {memory[LAUNCH_KV_INDPTR],
                                                        memory[LAUNCH_KV_INDICES],
                                                        last,
                                                        memory[LAUNCH_SCHEDULE],
                                                        {validator->findings, NULL}};
    const struct check_args args = {.kv_indptr_offset = a->kv_indptr_offset,
                                    .kv_indices_offset = a->kv_indices_offset,
                                    .last_page_len_offset = tables->last_page_len_offset,
                                    .block_table_stride = a->block_table_stride,
                                    .num_indices = tables->num_indices,
                                    .page_size = plan->layout.page_size,
                                    .num_pages = (int32_t)(plan->layout.num_slots / plan->layout.page_size),
                                    .num_groups = num_groups(plan),
                                    .has_last_page_len = last.cl || last.svm};
    size_t local = (size_t)program_group_size(plan->context, GROUP_SIZE), global = local * (size_t)args.num_groups;
    cl_event checked;
    cl_int code = set_args(validator->kernel, pointers, &args);
    if (code == CL_SUCCESS)
        code = clEnqueueNDRangeKernel(queue, validator->kernel, 1, NULL, &global, &local, num_wait, wait, &checked);
    if (code != CL_SUCCESS)
        return cl_error(code, "the check of the page table");
    code = clEnqueueReadBuffer(queue, validator->findings, CL_TRUE, 0,
                               (size_t)args.num_groups * FINDING_WORDS * sizeof(int32_t), validator->host, 1, &checked,
                               NULL);
    clReleaseEvent(checked);
    if (code != CL_SUCCESS)
        return cl_error(code, "clEnqueueReadBuffer of the page table's check");
    return describe(first_finding(validator, args.num_groups), &args);
}

attune_status validate_lengths(const struct attune_schedule *schedule, cl_command_queue queue, cl_uint num_wait,
                               const cl_event *wait)
{
    int32_t header[SCHEDULE_HEADER];
    cl_int code = clEnqueueReadBuffer(queue, schedule->buffers[schedule->current].device, CL_TRUE, 0, sizeof header,
                                      header, num_wait, wait, NULL);
    return code == CL_SUCCESS ? schedule_device_error(schedule, header)
                              : cl_error(code, "clEnqueueReadBuffer of a schedule's header");
}
