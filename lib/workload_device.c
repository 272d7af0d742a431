/* SPDX-License-Identifier: Apache-2.0 */
#include "workload_device.h"

#include <stdlib.h>
#include <string.h>

#include "base/base.h"
#include "cl/program.h"

static attune_status make_buffer(attune_context *context, const char *name, size_t bytes, const void *data,
                                 attune_tensor *out)
{
    cl_int code;
    out->type = ATTUNE_MEMORY_CL;
    out->cl = clCreateBuffer(attune_context_cl(context), CL_MEM_READ_WRITE | (data && bytes ? CL_MEM_COPY_HOST_PTR : 0),
                             bytes ? bytes : 1, bytes ? (void *)data : NULL, &code);
    if (code == CL_SUCCESS)
        return ATTUNE_OK;
    out->cl = NULL;
    return cl_error(code, name);
}

static attune_status upload(attune_context *context, const char *name, const struct workload_tensor *tensor,
                            attune_tensor *out)
{
    if (!tensor->data)
        return ATTUNE_OK;
    out->byte_offset = (size_t)tensor->offset * dtype_size(tensor->dtype);
    out->stride_token = tensor->stride_token;
    out->stride_head = tensor->stride_head;
    return make_buffer(context, name, tensor->bytes, tensor->data, out);
}

/* K and V of the cache, whose strides are the layout's where it has pages. */
static attune_status upload_cache(attune_context *context, const char *name, const struct workload *workload,
                                  const struct workload_tensor *tensor, attune_tensor *out)
{
    attune_status status = upload(context, name, tensor, out);
    if (workload->page_size > 1)
        out->stride_token = out->stride_head = 0;
    return status;
}

static attune_status make_layout(attune_context *context, const attune_problem *problem,
                                 const struct workload *workload, attune_kv_layout **out)
{
    attune_kv_layout_options options = problem_layout(problem, workload->num_slots);
    if (workload->page_padded) {
        options.order = ATTUNE_KV_STRIDED;
        options.k_stride_page = workload->k_cache.stride_page;
        options.k_stride_token = workload->k_cache.stride_token;
        options.k_stride_head = workload->k_cache.stride_head;
        options.v_stride_page = workload->v_cache.stride_page;
        options.v_stride_token = workload->v_cache.stride_token;
        options.v_stride_head = workload->v_cache.stride_head;
    }
    return attune_kv_layout_create(context, &options, out);
}

/* A table of integers, behind as many 0 as other tensors have elements before their first. */
static attune_status make_table(attune_context *context, const char *name, size_t count, const int32_t *data,
                                const struct workload *workload, attune_tensor *out)
{
    size_t skipped = (size_t)workload->k_cache.offset;
    int32_t *table = calloc(skipped + count + 1, sizeof *table);
    if (!table)
        return set_error(ATTUNE_ERROR_OUT_OF_MEMORY, "out of memory for a table of %zu integers", count);
    memcpy(table + skipped, data, count * sizeof *table);
    out->byte_offset = skipped * sizeof *table;
    attune_status status = make_buffer(context, name, (skipped + count) * sizeof *table, table, out);
    free(table);
    return status;
}

static attune_status make_pages(attune_context *context, int32_t batch, const struct workload *workload,
                                attune_attention_args *args)
{
    size_t sequences = (size_t)batch;
    if (workload->block_table) {
        args->block_table.stride_token = workload->table_stride;
        return make_table(context, "block_table", (size_t)workload->table_stride * sequences, workload->block_table,
                          workload, &args->block_table);
    }
    attune_status status;
    if ((status =
             make_table(context, "kv_indptr", sequences + 1, workload->kv_indptr, workload, &args->kv_indptr)) ||
        (status = make_table(context, "kv_indices", (size_t)workload->num_indices, workload->kv_indices, workload,
                             &args->kv_indices)))
        return status;
    return make_buffer(context, "last_page_len", sequences * sizeof(int32_t), workload->last_page_len, &args->last_page_len);
}

static attune_status make_all(attune_context *context, const attune_problem *problem, const struct workload *workload,
                              struct workload_device *out)
{
    attune_attention_args *args = &out->args;
    attune_status status;
    if ((status = upload(context, "q", &workload->q, &args->q)) ||
        (status = upload(context, "k", &workload->k, &args->k)) ||
        (status = upload(context, "v", &workload->v, &args->v)) ||
        (status = upload_cache(context, "k_cache", workload, &workload->k_cache, &args->k_cache)) ||
        (status = upload_cache(context, "v_cache", workload, &workload->v_cache, &args->v_cache)))
        return status;
    size_t element = dtype_size(workload->o.dtype);
    out->o_bytes = workload->o.bytes + 2 * OUTPUT_GUARD;
    out->lse_bytes = (size_t)(workload->q_tokens * workload->lse_stride_token) * sizeof(float) + 2 * OUTPUT_GUARD;
    args->o.byte_offset = OUTPUT_GUARD + (size_t)workload->o.offset * element;
    args->o.stride_token = workload->o.stride_token;
    args->o.stride_head = workload->o.stride_head;
    args->lse.byte_offset = OUTPUT_GUARD;
    args->lse.stride_token = workload->lse_stride_token;
    if ((status = make_buffer(context, "o", out->o_bytes, NULL, &args->o)) ||
        (status = make_buffer(context, "lse", out->lse_bytes, NULL, &args->lse)) || !workload->kv_indptr)
        return status;
    status = make_layout(context, problem, workload, &out->layout);
    return status != ATTUNE_OK ? status : make_pages(context, problem->batch, workload, args);
}

attune_status workload_device_create(attune_context *context, const attune_problem *problem,
                                     const struct workload *workload, struct workload_device *out)
{
    *out = (struct workload_device){.args = ATTUNE_ATTENTION_ARGS_INIT};
    attune_status status = make_all(context, problem, workload, out);
    if (status != ATTUNE_OK)
        workload_device_destroy(out);
    return status;
}

void workload_device_destroy(struct workload_device *device)
{
    attune_attention_args *a = &device->args;
    attune_tensor *tensors[] = {
        &a->q,       &a->k,         &a->v,          &a->o,           &a->lse,           &a->k_cache,
        &a->v_cache, &a->kv_indptr, &a->kv_indices, &a->block_table, &a->last_page_len, &a->workspace};
    for (size_t i = 0; i < sizeof tensors / sizeof tensors[0]; i++)
        if (tensors[i]->cl)
            clReleaseMemObject(tensors[i]->cl);
    attune_kv_layout_destroy(&device->layout);
    *device = (struct workload_device){.args = ATTUNE_ATTENTION_ARGS_INIT};
}

/* Poison of an output: the bytes that a seed gives. */
static unsigned char *poison_bytes(size_t bytes, uint64_t seed)
{
    size_t words = bytes / sizeof(uint64_t) + 1;
    uint64_t *out = malloc(words * sizeof *out);
    struct rng rng;
    rng_seed(&rng, seed);
    for (size_t i = 0; out && i < words; i++)
        out[i] = rng_next(&rng);
    return (unsigned char *)out;
}

static attune_status write_poison(cl_command_queue queue, cl_mem buffer, size_t bytes, uint64_t seed)
{
    unsigned char *poison = poison_bytes(bytes, seed);
    if (!poison)
        return set_error(ATTUNE_ERROR_OUT_OF_MEMORY, "out of memory for %zu bytes of poison", bytes);
    cl_int code = clEnqueueWriteBuffer(queue, buffer, CL_TRUE, 0, bytes, poison, 0, NULL, NULL);
    free(poison);
    return code == CL_SUCCESS ? ATTUNE_OK : cl_error(code, "clEnqueueWriteBuffer of an output's poison");
}

/* A NaN that no kernel would write. */
static const uint32_t workspace_poison = 0x7fc5a5a5;

static attune_status poison_workspace(const struct workload_device *device, cl_command_queue queue)
{
    if (!device->workspace_room)
        return ATTUNE_OK;
    cl_int code = clEnqueueFillBuffer(queue, device->args.workspace.cl, &workspace_poison, sizeof workspace_poison, 0,
                                      device->workspace_room + 2 * OUTPUT_GUARD, 0, NULL, NULL);
    if (code == CL_SUCCESS)
        code = clFinish(queue);
    return code == CL_SUCCESS ? ATTUNE_OK : cl_error(code, "clEnqueueFillBuffer of a workspace");
}

attune_status workload_device_workspace(attune_context *context, const attune_plan *plan,
                                        const attune_schedule *schedule, cl_command_queue queue,
                                        struct workload_device *device)
{
    attune_tensor *workspace = &device->args.workspace;
    size_t bytes;
    attune_status status = attune_plan_workspace_size(plan, schedule, &bytes);
    if (status != ATTUNE_OK)
        return status;
    device->workspace_bytes = bytes = (bytes + 3) / 4 * 4;
    if (bytes <= device->workspace_room)
        return ATTUNE_OK;
    if (workspace->cl) /* what is in flight keeps it */
        clReleaseMemObject(workspace->cl);
    device->workspace_room = device->workspace_bytes = 0;
    workspace->byte_offset = OUTPUT_GUARD;
    if ((status = make_buffer(context, "workspace", bytes + 2 * OUTPUT_GUARD, NULL, workspace)) != ATTUNE_OK)
        return status;
    device->workspace_room = device->workspace_bytes = bytes;
    return poison_workspace(device, queue);
}

/* Clears *intact if the guard at byte_offset is not the poison any more. */
static attune_status check_guard(const struct workload_device *device, cl_command_queue queue, size_t byte_offset,
                                 bool *intact)
{
    uint32_t guard[OUTPUT_GUARD / sizeof(uint32_t)];
    cl_int code =
        clEnqueueReadBuffer(queue, device->args.workspace.cl, CL_TRUE, byte_offset, sizeof guard, guard, 0, NULL, NULL);
    for (size_t i = 0; code == CL_SUCCESS && i < sizeof guard / sizeof guard[0]; i++)
        *intact = *intact && guard[i] == workspace_poison;
    return code == CL_SUCCESS ? ATTUNE_OK : cl_error(code, "clEnqueueReadBuffer of a workspace's guard");
}

attune_status workload_device_poison(struct workload_device *device, cl_command_queue queue, uint64_t seed)
{
    attune_status status;
    if ((status = write_poison(queue, device->args.o.cl, device->o_bytes, seed)) ||
        (status = write_poison(queue, device->args.lse.cl, device->lse_bytes, seed + 1)))
        return status;
    return poison_workspace(device, queue);
}

static float widen(const unsigned char *at, attune_dtype dtype)
{
    uint16_t half;
    float value;
    if (dtype == ATTUNE_FP32) {
        memcpy(&value, at, sizeof value);
        return value;
    }
    memcpy(&half, at, sizeof half);
    return dtype == ATTUNE_FP16 ? half_to_float(half) : bf16_to_float(half);
}

/* Geometry of an output in its buffer. */
struct output {
    cl_mem buffer;
    attune_dtype dtype;
    size_t bytes, byte_offset;
    int64_t tokens, heads, dim, stride_token, stride_head;
};

/* Takes the elements out, writes the poison back in their place, and compares the whole with the poison. */
static attune_status read_output(cl_command_queue queue, const struct output *out, uint64_t seed, float *packed,
                                 bool *intact)
{
    unsigned char *poison = poison_bytes(out->bytes, seed), *data = malloc(out->bytes);
    attune_status status = ATTUNE_OK;
    cl_int code = CL_SUCCESS;
    if (!poison || !data)
        status = set_error(ATTUNE_ERROR_OUT_OF_MEMORY, "out of memory for %zu bytes of output", out->bytes);
    else if ((code = clEnqueueReadBuffer(queue, out->buffer, CL_TRUE, 0, out->bytes, data, 0, NULL, NULL)) !=
             CL_SUCCESS)
        status = cl_error(code, "clEnqueueReadBuffer of an output");
    size_t element = dtype_size(out->dtype);
    for (int64_t t = 0; status == ATTUNE_OK && t < out->tokens; t++)
        for (int64_t h = 0; h < out->heads; h++) {
            size_t at = out->byte_offset + (size_t)(t * out->stride_token + h * out->stride_head) * element;
            for (int64_t d = 0; d < out->dim; d++)
                *packed++ = widen(data + at + (size_t)d * element, out->dtype);
            memcpy(data + at, poison + at, (size_t)out->dim * element);
        }
    if (status == ATTUNE_OK)
        *intact = *intact && !memcmp(data, poison, out->bytes);
    free(poison);
    free(data);
    return status;
}

attune_status workload_device_read(const struct workload_device *device, const attune_problem *problem,
                                   const struct workload *workload, cl_command_queue queue, uint64_t seed, float *o,
                                   float *lse, bool *intact)
{
    const attune_attention_desc *desc = &problem->desc;
    const struct output rows = {device->args.o.cl,
                                desc->o_dtype,
                                device->o_bytes,
                                device->args.o.byte_offset,
                                workload->q_tokens,
                                desc->num_q_heads,
                                desc->head_dim_vo ? desc->head_dim_vo : desc->head_dim_qk,
                                workload->o.stride_token,
                                workload->o.stride_head};
    const struct output sums = {device->args.lse.cl,
                                ATTUNE_FP32,
                                device->lse_bytes,
                                OUTPUT_GUARD,
                                workload->q_tokens,
                                desc->num_q_heads,
                                1,
                                workload->lse_stride_token,
                                1};
    *intact = true;
    attune_status status;
    if ((status = read_output(queue, &rows, seed, o, intact)) ||
        (status = read_output(queue, &sums, seed + 1, lse, intact)) || !device->workspace_bytes ||
        (status = check_guard(device, queue, 0, intact)))
        return status;
    return check_guard(device, queue, OUTPUT_GUARD + device->workspace_bytes, intact);
}
