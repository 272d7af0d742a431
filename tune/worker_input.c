/* SPDX-License-Identifier: Apache-2.0
 * Workloads on the device. */
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "context.h"
#include "worker.h"

attune_status make_layout(struct worker *worker, const attune_problem *problem, int64_t num_slots, attune_kv_layout **out)
{
    *out = NULL;
    const attune_attention_desc *desc = &problem->desc;
    if (desc->operation == ATTUNE_PREFILL)
        return ATTUNE_OK;
    attune_kv_layout_options options = ATTUNE_KV_LAYOUT_OPTIONS_INIT;
    options.dtype = desc->kv_dtype;
    options.num_kv_heads = desc->num_kv_heads;
    options.head_dim_qk = desc->head_dim_qk;
    options.head_dim_vo = desc->head_dim_vo;
    options.page_size = 1;
    options.num_slots = num_slots;
    return attune_kv_layout_create(worker->context, &options, out);
}

attune_status worker_layout(struct worker *worker, const json_t *request, json_t **reply)
{
    attune_problem *problem;
    attune_status status = attune_problem_parse(request_text(request, "problem"), &problem);
    if (status != ATTUNE_OK)
        return status;
    attune_kv_layout *layout;
    status = make_layout(worker, problem, 1, &layout);
    if (status == ATTUNE_OK)
        *reply = json_pack("{s:s}", "id", layout ? attune_kv_layout_id(layout) : "");
    attune_kv_layout_destroy(&layout);
    attune_problem_destroy(&problem);
    return status;
}

/* ---- buffers */

static attune_status make_buffer(struct worker *worker, const void *data, size_t bytes, attune_tensor *out)
{
    cl_int code;
    cl_mem_flags flags = data ? CL_MEM_READ_WRITE | CL_MEM_COPY_HOST_PTR : CL_MEM_READ_WRITE;
    cl_mem buffer = clCreateBuffer(worker->context->cl, flags, bytes ? bytes : 1, bytes ? (void *)data : NULL, &code);
    if (code != CL_SUCCESS)
        return set_opencl_error(code == CL_MEM_OBJECT_ALLOCATION_FAILURE || code == CL_OUT_OF_RESOURCES ||
                                        code == CL_INVALID_BUFFER_SIZE
                                    ? ATTUNE_ERROR_DEVICE_MEMORY
                                    : ATTUNE_ERROR_OPENCL,
                                code, "no buffer of %zu bytes", bytes);
    out->type = ATTUNE_MEMORY_CL;
    out->cl = buffer;
    return ATTUNE_OK;
}

static attune_status make_tensor(struct worker *worker, const struct workload_tensor *from, attune_tensor *out)
{
    if (!from->data)
        return ATTUNE_OK;
    out->byte_offset = (size_t)from->offset * dtype_size(from->dtype);
    out->stride_token = from->stride_token;
    out->stride_head = from->stride_head;
    return make_buffer(worker, from->data, from->bytes, out);
}

static attune_status make_buffers(struct worker *worker, const struct workload *w, struct input *input)
{
    attune_attention_args *args = &input->args;
    const struct {
        const struct workload_tensor *from;
        attune_tensor *to;
    } tensors[] = {{&w->q, &args->q}, {&w->k, &args->k}, {&w->v, &args->v}, {&w->k_cache, &args->k_cache},
                   {&w->v_cache, &args->v_cache}};
    attune_status status = ATTUNE_OK;
    for (size_t i = 0; status == ATTUNE_OK && i < sizeof tensors / sizeof tensors[0]; i++)
        status = make_tensor(worker, tensors[i].from, tensors[i].to);
    if (status == ATTUNE_OK && w->kv_indptr)
        status = make_buffer(worker, w->kv_indptr, ((size_t)input->problem->batch + 1) * sizeof(int32_t), &args->kv_indptr);
    if (status == ATTUNE_OK && w->kv_indptr)
        status = make_buffer(worker, w->num_indices ? w->kv_indices : NULL, (size_t)w->num_indices * sizeof(int32_t),
                             &args->kv_indices);
    input->o_bytes = w->o.bytes;
    input->lse_bytes = (size_t)w->q_tokens * (size_t)input->problem->desc.num_q_heads * sizeof(float);
    args->o.byte_offset = (size_t)w->o.offset * dtype_size(w->o.dtype);
    args->o.stride_token = w->o.stride_token;
    args->o.stride_head = w->o.stride_head;
    if (status == ATTUNE_OK)
        status = make_buffer(worker, NULL, input->o_bytes, &args->o);
    if (status == ATTUNE_OK)
        status = make_buffer(worker, NULL, input->lse_bytes, &args->lse);
    return status;
}

void input_free(struct input *input)
{
    if (!input)
        return;
    attune_attention_args *args = &input->args;
    attune_tensor *tensors[] = {&args->q,       &args->k,       &args->v,         &args->o,         &args->lse,
                                &args->k_cache, &args->v_cache, &args->kv_indptr, &args->kv_indices};
    for (size_t i = 0; i < sizeof tensors / sizeof tensors[0]; i++)
        if (tensors[i]->cl)
            clReleaseMemObject(tensors[i]->cl);
    attune_problem_destroy(&input->problem);
    free(input);
}

attune_status worker_load(struct worker *worker, const json_t *request, json_t **reply)
{
    int index;
    attune_status status = request_index(request, "input", MAX_INPUTS, &index);
    if (status != ATTUNE_OK)
        return status;
    input_free(worker->inputs[index]);
    worker->inputs[index] = NULL;
    struct input *input = calloc(1, sizeof *input);
    if (!input)
        return set_error(ATTUNE_ERROR_OUT_OF_MEMORY, "out of memory for an input");
    input->args = (attune_attention_args)ATTUNE_ATTENTION_ARGS_INIT;
    struct workload_options options = WORKLOAD_OPTIONS_INIT;
    options.seed = (uint64_t)request_integer(request, "seed");
    options.pattern = (enum workload_pattern)request_integer(request, "pattern");
    options.magnitude = (float)json_number_value(json_object_get(request, "magnitude"));
    options.slack_slots = (int32_t)request_integer(request, "slack");
    options.pad = (int32_t)request_integer(request, "pad");
    options.offset = (int32_t)request_integer(request, "offset");
    struct workload workload;
    status = attune_problem_parse(request_text(request, "problem"), &input->problem);
    if (status == ATTUNE_OK && (status = workload_create(input->problem, &options, &workload)) == ATTUNE_OK) {
        input->num_slots = workload.num_slots;
        status = make_buffers(worker, &workload, input);
        if (status == ATTUNE_OK)
            *reply = json_pack("{s:I}", "bytes", (json_int_t)(workload.q.bytes + workload.k.bytes + workload.v.bytes +
                                                              workload.k_cache.bytes + workload.v_cache.bytes +
                                                              workload.o.bytes));
        workload_destroy(&workload);
    }
    if (status == ATTUNE_OK)
        worker->inputs[index] = input;
    else
        input_free(input);
    return status;
}

attune_status worker_unload(struct worker *worker, const json_t *request, json_t **reply)
{
    (void)request, (void)reply;
    for (int i = 0; i < MAX_SLOTS; i++)
        slot_clear(&worker->slots[i]);
    for (int i = 0; i < MAX_INPUTS; i++) {
        input_free(worker->inputs[i]);
        worker->inputs[i] = NULL;
    }
    for (int i = 0; i < NUM_PROBES; i++)
        probe_clear(&worker->probes[i]);
    return ATTUNE_OK;
}

/* ---- outputs */

attune_status worker_poison(struct worker *worker, const json_t *request, json_t **reply)
{
    (void)reply;
    struct input *input;
    attune_status status = request_input(worker, request, &input);
    if (status != ATTUNE_OK)
        return status;
    uint64_t seed = (uint64_t)request_integer(request, "seed");
    size_t largest = input->o_bytes > input->lse_bytes ? input->o_bytes : input->lse_bytes;
    void *bytes = malloc(largest + 1);
    if (!bytes)
        return set_error(ATTUNE_ERROR_OUT_OF_MEMORY, "out of memory for %zu random bytes", largest);
    cl_int code = CL_SUCCESS;
    poison_fill(seed, bytes, input->o_bytes);
    if (input->o_bytes)
        code = clEnqueueWriteBuffer(worker->queue, input->args.o.cl, CL_TRUE, 0, input->o_bytes, bytes, 0, NULL, NULL);
    poison_fill(seed + 1, bytes, input->lse_bytes);
    if (code == CL_SUCCESS && input->lse_bytes)
        code = clEnqueueWriteBuffer(worker->queue, input->args.lse.cl, CL_TRUE, 0, input->lse_bytes, bytes, 0, NULL, NULL);
    free(bytes);
    return code == CL_SUCCESS ? ATTUNE_OK : set_opencl_error(ATTUNE_ERROR_OPENCL, code, "clEnqueueWriteBuffer");
}

attune_status worker_fetch(struct worker *worker, const json_t *request, json_t **reply)
{
    (void)reply;
    struct input *input;
    attune_status status = request_input(worker, request, &input);
    if (status != ATTUNE_OK)
        return status;
    size_t shared = (size_t)request_integer(request, "shared"), lse_at = (size_t)request_integer(request, "lse_at");
    if (lse_at > shared || input->o_bytes > lse_at || input->lse_bytes > shared - lse_at)
        return set_error(ATTUNE_ERROR_MISMATCH, "outputs do not fit into %zu shared bytes", shared);
    uint8_t *mapping = mmap(NULL, shared, PROT_READ | PROT_WRITE, MAP_SHARED, WORKER_SHARED, 0);
    if (mapping == MAP_FAILED)
        return set_error(ATTUNE_ERROR_OUT_OF_MEMORY, "the shared memory cannot be mapped");
    cl_int code = CL_SUCCESS;
    if (input->o_bytes)
        code = clEnqueueReadBuffer(worker->queue, input->args.o.cl, CL_TRUE, 0, input->o_bytes, mapping, 0, NULL, NULL);
    if (code == CL_SUCCESS && input->lse_bytes)
        code = clEnqueueReadBuffer(worker->queue, input->args.lse.cl, CL_TRUE, 0, input->lse_bytes, mapping + lse_at, 0, NULL,
                                   NULL);
    munmap(mapping, shared);
    return code == CL_SUCCESS ? ATTUNE_OK : set_opencl_error(ATTUNE_ERROR_OPENCL, code, "clEnqueueReadBuffer");
}
