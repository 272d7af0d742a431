/* SPDX-License-Identifier: Apache-2.0
 * The convenience call on host memory. */
#include <string.h>

#include "cl/program.h"
#include "context.h"
#include "desc.h"

struct host_run {
    attune_plan *plan;
    attune_schedule *schedule;
    attune_launcher *launcher;
    cl_command_queue queue;
    attune_attention_args args;
};

/* OpenCL has no empty buffers. */
static attune_status upload(attune_context *context, const char *name, size_t bytes, const void *data,
                            attune_tensor *out)
{
    cl_int code;
    out->type = ATTUNE_MEMORY_CL;
    out->cl = clCreateBuffer(attune_context_cl(context), CL_MEM_READ_WRITE | (data && bytes ? CL_MEM_COPY_HOST_PTR : 0),
                             bytes ? bytes : 1, bytes ? (void *)data : NULL, &code);
    return code == CL_SUCCESS ? ATTUNE_OK : cl_error(code, name);
}

static attune_status sum_lengths(const char *name, const int32_t *len, int32_t batch, int64_t *sum)
{
    if (batch && !len)
        return set_error(ATTUNE_ERROR_NULL_ARGUMENT, "%s is NULL", name);
    *sum = 0;
    for (int32_t i = 0; i < batch; i++) {
        if (len[i] < 0)
            return set_error(ATTUNE_ERROR_INVALID_SIZE, "%s[%d] is %d; it must not be negative", name, i, len[i]);
        *sum += len[i];
    }
    return *sum <= INT32_MAX ? ATTUNE_OK : set_error(ATTUNE_ERROR_OVERFLOW, "%s sums to more than %d", name, INT32_MAX);
}

static void release(struct host_run *run)
{
    attune_tensor *tensors[] = {&run->args.q, &run->args.k,   &run->args.v,
                                &run->args.o, &run->args.lse, &run->args.workspace};
    if (run->queue)
        clReleaseCommandQueue(run->queue);
    for (size_t i = 0; i < sizeof tensors / sizeof tensors[0]; i++)
        if (tensors[i]->cl)
            clReleaseMemObject(tensors[i]->cl);
    attune_launcher_destroy(&run->launcher);
    attune_schedule_destroy(&run->schedule);
    attune_plan_destroy(&run->plan);
}

static attune_status prepare(attune_context *context, const attune_attention_desc *desc, int32_t batch,
                             const int32_t *q_len, const int32_t *kv_len, int64_t rows, struct host_run *run)
{
    attune_shape shape = {batch > 0 ? batch : 1, 1, 0};
    int64_t keys = 0;
    for (int32_t i = 0; i < batch; i++)
        keys += kv_len[i];
    shape.q_len = (int32_t)(rows / shape.batch) > 0 ? (int32_t)(rows / shape.batch) : 1;
    shape.kv_len = (int32_t)(keys / shape.batch);
    attune_plan_options options = ATTUNE_PLAN_OPTIONS_INIT;
    options.shapes = &shape;
    options.num_shapes = 1;
    attune_schedule_options limits = ATTUNE_SCHEDULE_OPTIONS_INIT;
    limits.max_batch = shape.batch;
    limits.max_q_tokens = rows > 0 ? rows : 1;
    attune_status status;
    if ((status = attune_plan_create(context, desc, NULL, &options, &run->plan)) ||
        (status = attune_schedule_create(run->plan, &limits, &run->schedule)) ||
        (status = attune_launcher_create(run->plan, &run->launcher)))
        return status;
    cl_int code;
    run->queue = clCreateCommandQueue(attune_context_cl(context), attune_context_device(context), 0, &code);
    if (code != CL_SUCCESS)
        return cl_error(code, "clCreateCommandQueue");
    return attune_schedule_update(run->schedule, run->queue, batch, q_len, kv_len, 0, NULL, NULL);
}

static attune_status make_workspace(attune_context *context, struct host_run *run)
{
    size_t bytes;
    attune_status status = attune_plan_workspace_size(run->plan, run->schedule, &bytes);
    if (status != ATTUNE_OK || !bytes)
        return status;
    return upload(context, "clCreateBuffer for a workspace", bytes, NULL, &run->args.workspace);
}

static attune_status download(struct host_run *run, const attune_tensor *tensor, float *data, size_t bytes)
{
    if (!bytes)
        return ATTUNE_OK;
    cl_int code = clEnqueueReadBuffer(run->queue, tensor->cl, CL_TRUE, 0, bytes, data, 0, NULL, NULL);
    return code == CL_SUCCESS ? ATTUNE_OK : cl_error(code, "clEnqueueReadBuffer");
}

attune_status attune_attention_host(attune_context *context, const attune_attention_desc *desc, int32_t batch,
                                    const int32_t *q_len, const int32_t *kv_len, const float *q, const float *k,
                                    const float *v, float *o, float *lse)
{
    if (!context)
        return set_error(ATTUNE_ERROR_NULL_ARGUMENT, "context is NULL");
    attune_status status = desc_validate(desc);
    if (status != ATTUNE_OK)
        return status;
    if (desc->operation != ATTUNE_PREFILL || desc->q_dtype != ATTUNE_FP32 || desc->kv_dtype != ATTUNE_FP32 ||
        desc->o_dtype != ATTUNE_FP32)
        return set_error(ATTUNE_ERROR_UNSUPPORTED, "attune_attention_host takes ATTUNE_PREFILL on fp32 tensors only");
    int64_t rows, keys;
    if (batch < 0 || batch > 1 << 20)
        return set_error(ATTUNE_ERROR_INVALID_SIZE, "batch is %d; it must be 0 to %d", batch, 1 << 20);
    if ((status = sum_lengths("q_len", q_len, batch, &rows)) || (status = sum_lengths("kv_len", kv_len, batch, &keys)))
        return status;
    if (rows && (!q || !o || (keys && (!k || !v))))
        return set_error(ATTUNE_ERROR_MISSING_TENSOR, "%s is NULL", !q ? "q" : !o ? "o" : !k ? "k" : "v");
    if (!rows)
        return ATTUNE_OK;
    int64_t dim_vo = desc->head_dim_vo ? desc->head_dim_vo : desc->head_dim_qk;
    size_t q_bytes = (size_t)(rows * desc->num_q_heads * desc->head_dim_qk) * sizeof(float);
    size_t o_bytes = (size_t)(rows * desc->num_q_heads * dim_vo) * sizeof(float);
    size_t k_bytes = (size_t)(keys * desc->num_kv_heads * desc->head_dim_qk) * sizeof(float);
    size_t v_bytes = (size_t)(keys * desc->num_kv_heads * dim_vo) * sizeof(float);
    size_t lse_bytes = (size_t)(rows * desc->num_q_heads) * sizeof(float);
    struct host_run run = {.args = ATTUNE_ATTENTION_ARGS_INIT};
    if (!(status = prepare(context, desc, batch, q_len, kv_len, rows, &run)) &&
        !(status = make_workspace(context, &run)) &&
        !(status = upload(context, "clCreateBuffer for q", q_bytes, q, &run.args.q)) &&
        !(status = upload(context, "clCreateBuffer for k", k_bytes, k, &run.args.k)) &&
        !(status = upload(context, "clCreateBuffer for v", v_bytes, v, &run.args.v)) &&
        !(status = upload(context, "clCreateBuffer for o", o_bytes, NULL, &run.args.o)) &&
        (!lse || !(status = upload(context, "clCreateBuffer for lse", lse_bytes, NULL, &run.args.lse))) &&
        !(status = attune_attention_run(run.launcher, run.schedule, &run.args, run.queue, 0, NULL, NULL)) &&
        !(status = download(&run, &run.args.o, o, o_bytes)) && lse)
        status = download(&run, &run.args.lse, lse, lse_bytes);
    release(&run);
    return status;
}
