/* SPDX-License-Identifier: Apache-2.0
 * Workloads on the device. */
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "cl/program.h"
#include "worker.h"

attune_status worker_layout(struct worker *worker, const json_t *request, json_t **reply)
{
    attune_problem *problem;
    attune_status status = attune_problem_parse(request_text(request, "problem"), &problem);
    if (status != ATTUNE_OK)
        return status;
    attune_kv_layout *layout = NULL;
    attune_kv_layout_options options = problem_layout(problem, problem->page_size); /* one page */
    if (problem->page_size)
        status = attune_kv_layout_create(worker->context, &options, &layout);
    if (status == ATTUNE_OK)
        *reply = json_pack("{s:s}", "id", layout ? attune_kv_layout_id(layout) : "");
    attune_kv_layout_destroy(&layout);
    attune_problem_destroy(&problem);
    return status;
}

void input_free(struct input *input)
{
    if (!input)
        return;
    append_free(&input->append);
    workload_device_destroy(&input->device);
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
    input->device.args = (attune_attention_args)ATTUNE_ATTENTION_ARGS_INIT;
    struct workload_options options = WORKLOAD_OPTIONS_INIT;
    options.seed = (uint64_t)request_integer(request, "seed");
    options.pattern = (enum workload_pattern)request_integer(request, "pattern");
    options.magnitude = (float)json_number_value(json_object_get(request, "magnitude"));
    options.slack_pages = (int32_t)request_integer(request, "slack");
    options.pad = (int32_t)request_integer(request, "pad");
    options.offset = (int32_t)request_integer(request, "offset");
    struct workload workload;
    status = attune_problem_parse(request_text(request, "problem"), &input->problem);
    if (status == ATTUNE_OK && (status = workload_create(input->problem, &options, &workload)) == ATTUNE_OK) {
        status = workload_device_create(worker->context, input->problem, &workload, &input->device);
        if (status == ATTUNE_OK)
            *reply = json_pack("{s:I}", "bytes",
                               (json_int_t)(workload.q.bytes + workload.k.bytes + workload.v.bytes +
                                            workload.k_cache.bytes + workload.v_cache.bytes + workload.o.bytes));
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
    return workload_device_poison(&input->device, worker->queue, (uint64_t)request_integer(request, "seed"));
}

attune_status worker_fetch(struct worker *worker, const json_t *request, json_t **reply)
{
    (void)reply;
    struct input *input;
    attune_status status = request_input(worker, request, &input);
    if (status != ATTUNE_OK)
        return status;
    const struct workload_device *device = &input->device;
    size_t shared = (size_t)request_integer(request, "shared"), lse_at = (size_t)request_integer(request, "lse_at");
    if (lse_at > shared || device->o_bytes > lse_at || device->lse_bytes > shared - lse_at)
        return set_error(ATTUNE_ERROR_MISMATCH, "outputs do not fit into %zu shared bytes", shared);
    uint8_t *mapping = mmap(NULL, shared, PROT_READ | PROT_WRITE, MAP_SHARED, WORKER_SHARED, 0);
    if (mapping == MAP_FAILED)
        return set_error(ATTUNE_ERROR_OUT_OF_MEMORY, "the shared memory cannot be mapped");
    cl_int code =
        clEnqueueReadBuffer(worker->queue, device->args.o.cl, CL_TRUE, 0, device->o_bytes, mapping, 0, NULL, NULL);
    if (code == CL_SUCCESS)
        code = clEnqueueReadBuffer(worker->queue, device->args.lse.cl, CL_TRUE, 0, device->lse_bytes, mapping + lse_at,
                                   0, NULL, NULL);
    munmap(mapping, shared);
    return code == CL_SUCCESS ? ATTUNE_OK : cl_error(code, "clEnqueueReadBuffer of outputs");
}

/* Appends the hash of a buffer's bytes. */
static attune_status hash_buffer(struct worker *worker, cl_mem buffer, struct strbuf *out)
{
    size_t bytes = 0;
    cl_int code = clGetMemObjectInfo(buffer, CL_MEM_SIZE, sizeof bytes, &bytes, NULL);
    void *data = malloc(bytes + 1);
    if (!data)
        return set_error(ATTUNE_ERROR_OUT_OF_MEMORY, "out of memory for %zu bytes of an input", bytes);
    if (code == CL_SUCCESS)
        code = clEnqueueReadBuffer(worker->queue, buffer, CL_TRUE, 0, bytes, data, 0, NULL, NULL);
    char hex[HASH_HEX_SIZE];
    hash_hex(data, bytes, hex);
    strbuf_printf(out, "%s", hex);
    free(data);
    return code == CL_SUCCESS ? ATTUNE_OK : cl_error(code, "clEnqueueReadBuffer of an input");
}

attune_status worker_digest(struct worker *worker, const json_t *request, json_t **reply)
{
    struct input *input;
    attune_status status = request_input(worker, request, &input);
    if (status != ATTUNE_OK)
        return status;
    const attune_attention_args *a = &input->device.args;
    const cl_mem buffers[] = {a->q.cl,         a->k.cl,          a->v.cl,           a->k_cache.cl,      a->v_cache.cl,
                              a->kv_indptr.cl, a->kv_indices.cl, a->block_table.cl, a->last_page_len.cl};
    struct strbuf hashes = {0};
    for (size_t i = 0; status == ATTUNE_OK && i < sizeof buffers / sizeof buffers[0]; i++)
        if (buffers[i])
            status = hash_buffer(worker, buffers[i], &hashes);
    char hex[HASH_HEX_SIZE];
    hash_hex(hashes.text ? hashes.text : "", hashes.length, hex);
    strbuf_free(&hashes);
    if (status == ATTUNE_OK)
        *reply = json_pack("{s:s}", "hash", hex);
    return status;
}
