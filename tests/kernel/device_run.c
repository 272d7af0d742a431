/* SPDX-License-Identifier: Apache-2.0 */
#include "device_run.h"

#include <stdlib.h>
#include <string.h>

#include "base/base.h"
#include "cl/program.h"

#define OFFSET 8 /* bytes before each array of lengths */

attune_tensor upload_lengths(attune_context *context, const int32_t *values, int32_t count)
{
    attune_tensor out = ATTUNE_TENSOR_INIT;
    cl_int code;
    size_t bytes = (size_t)count * sizeof *values;
    char *data = calloc(1, OFFSET + bytes + 4);
    if (count)
        memcpy(data + OFFSET, values, bytes);
    out.type = ATTUNE_MEMORY_CL;
    out.byte_offset = OFFSET;
    out.cl = clCreateBuffer(attune_context_cl(context), CL_MEM_READ_WRITE | CL_MEM_COPY_HOST_PTR, OFFSET + bytes + 4,
                            data, &code);
    free(data);
    return out;
}

static attune_schedule_options exact_limits(const attune_problem *problem)
{
    attune_schedule_options limits = ATTUNE_SCHEDULE_OPTIONS_INIT;
    limits.max_batch = problem->batch;
    limits.device_lengths = 1;
    for (int32_t i = 0; i < problem->batch; i++) {
        limits.max_q_tokens += problem->q_len[i];
        limits.max_kv_tokens += problem->kv_len[i];
        if (problem->kv_len[i] > limits.max_kv_len)
            limits.max_kv_len = problem->kv_len[i];
    }
    return limits;
}

/* As far as the host knows, all keys may be cached ones. */
static attune_status make_room_for_pages(struct device_run *d)
{
    cl_int code;
    attune_tensor *indices = &d->run.device.args.kv_indices;
    size_t bytes = (size_t)d->limits.max_kv_tokens * sizeof(int32_t);
    cl_mem roomy = clCreateBuffer(attune_context_cl(d->run.context), CL_MEM_READ_WRITE, bytes, NULL, &code);
    if (code == CL_SUCCESS && d->run.workload.num_indices)
        code =
            clEnqueueWriteBuffer(d->run.queue, roomy, CL_TRUE, 0, (size_t)d->run.workload.num_indices * sizeof(int32_t),
                                 d->run.workload.kv_indices, 0, NULL, NULL);
    if (code != CL_SUCCESS)
        return cl_error(code, "a larger kv_indices");
    clReleaseMemObject(indices->cl);
    indices->cl = roomy;
    return ATTUNE_OK;
}

attune_status device_run_create(attune_context *context, struct device_run *out, const char *problem,
                                const char *config, int validate)
{
    struct workload_options options = WORKLOAD_OPTIONS_INIT;
    attune_plan_options plan_options = ATTUNE_PLAN_OPTIONS_INIT;
    plan_options.force_config = config;
    plan_options.validate = validate;
    memset(out, 0, sizeof *out);
    attune_status status = check_run_create(context, problem, &plan_options, &options, &out->run);
    if (status != ATTUNE_OK)
        return status;
    out->limits = exact_limits(out->run.problem);
    out->q_len = upload_lengths(context, out->run.problem->q_len, out->run.problem->batch);
    out->kv_len = upload_lengths(context, out->run.problem->kv_len, out->run.problem->batch);
    status = check_run_reschedule(&out->run, &out->limits);
    return status == ATTUNE_OK && out->run.workload.kv_indices ? make_room_for_pages(out) : status;
}

void device_run_destroy(struct device_run *d)
{
    check_run_destroy(&d->run);
    clReleaseMemObject(d->q_len.cl);
    clReleaseMemObject(d->kv_len.cl);
}

void device_run_write(struct device_run *d, const attune_tensor *lengths, int32_t seq, int32_t value)
{
    clEnqueueWriteBuffer(d->run.queue, lengths->cl, CL_TRUE, lengths->byte_offset + (size_t)seq * sizeof value,
                         sizeof value, &value, 0, NULL, NULL);
}
