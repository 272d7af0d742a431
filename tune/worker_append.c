/* SPDX-License-Identifier: Apache-2.0
 * What a step costs besides attention: its new rows of K and V are stored in a cache of the problem's layout. The cache
 * is the worker's own, so that the workload's stays as it is, and each step goes to other pages of it, as in serving.
 */
#include <stdlib.h>

#include "cl/program.h"
#include "context.h"
#include "worker.h"

#define CACHE_BYTES ((int64_t)32 << 20) /* of K: past most caches */
#define MAX_STEPS 4096
#define MAX_INDICES (1 << 24)

struct append {
    attune_kv_layout *layout;
    attune_kv_launcher *launcher;
    attune_kv_append_args args;
    int64_t steps, next; /* steps whose slots are in slot_mapping; the next one */
};

void append_free(struct append **address)
{
    struct append *append = *address;
    if (!append)
        return;
    *address = NULL;
    attune_tensor *tensors[] = {&append->args.k, &append->args.v, &append->args.slot_mapping, &append->args.k_cache,
                                &append->args.v_cache};
    for (size_t i = 0; i < sizeof tensors / sizeof tensors[0]; i++)
        if (tensors[i]->cl)
            clReleaseMemObject(tensors[i]->cl);
    attune_kv_launcher_destroy(&append->launcher);
    attune_kv_layout_destroy(&append->layout);
    free(append);
}

/* A buffer that has been written to, so that the system has given it memory. */
static attune_status make_zeroed(struct worker *worker, size_t bytes, attune_tensor *out)
{
    static const cl_uchar zero = 0;
    cl_int code;
    out->type = ATTUNE_MEMORY_CL;
    out->cl = clCreateBuffer(worker->context->cl, CL_MEM_READ_WRITE, bytes, NULL, &code);
    if (code == CL_SUCCESS)
        code = clEnqueueFillBuffer(worker->queue, out->cl, &zero, sizeof zero, 0, bytes, 0, NULL, NULL);
    return code == CL_SUCCESS ? ATTUNE_OK : cl_error(code, "a buffer for appending");
}

struct step {
    int64_t tokens, pages; /* that its new tokens take */
};

static struct step step_of(const attune_problem *problem)
{
    struct step step = {0, 0};
    for (int32_t b = 0; b < problem->batch; b++) {
        step.tokens += problem->q_len[b];
        step.pages += (problem->q_len[b] + problem->page_size - 1) / problem->page_size;
    }
    return step;
}

static attune_status make_cache(struct worker *worker, const attune_problem *problem, const struct step *step,
                                struct append *out)
{
    const attune_attention_desc *desc = &problem->desc;
    int64_t page_bytes =
        (int64_t)desc->num_kv_heads * desc->head_dim_qk * problem->page_size * (int64_t)dtype_size(desc->kv_dtype);
    out->steps = CACHE_BYTES / page_bytes / step->pages;
    out->steps = out->steps > MAX_STEPS ? MAX_STEPS : out->steps;
    out->steps = out->steps > MAX_INDICES / step->tokens ? MAX_INDICES / step->tokens : out->steps;
    out->steps = out->steps < 1 ? 1 : out->steps;
    int64_t slots = out->steps * step->pages * problem->page_size;
    attune_kv_layout_options options = problem_layout(problem, slots);
    size_t k_bytes, v_bytes;
    attune_status status;
    if ((status = attune_kv_layout_create(worker->context, &options, &out->layout)) ||
        (status = attune_kv_layout_bytes(out->layout, &k_bytes, &v_bytes)) ||
        (status = make_zeroed(worker, k_bytes, &out->args.k_cache)) ||
        (status = make_zeroed(worker, v_bytes, &out->args.v_cache)))
        return status;
    return attune_kv_launcher_create(out->layout, desc->q_dtype, &out->launcher);
}

/* Slots of all steps: pages in random order; a lone token of a sequence lies anywhere in its page. */
static attune_status make_mapping(struct worker *worker, const attune_problem *problem, const struct step *step,
                                  struct append *out)
{
    int64_t pages = out->steps * step->pages, count = out->steps * step->tokens, next_page = 0, at = 0;
    int32_t page_size = problem->page_size, *order = malloc((size_t)pages * sizeof *order),
            *slots = malloc((size_t)count * sizeof *slots);
    struct rng rng;
    rng_seed(&rng, 1);
    for (int64_t i = 0; order && i < pages; i++) {
        int64_t other = (int64_t)rng_below(&rng, (uint64_t)i + 1);
        order[i] = order[other];
        order[other] = (int32_t)i;
    }
    for (int64_t s = 0; order && slots && s < out->steps; s++)
        for (int32_t b = 0; b < problem->batch; b++) {
            int32_t q_len = problem->q_len[b];
            int32_t first = q_len == 1 ? (int32_t)rng_below(&rng, (uint64_t)page_size) : 0;
            for (int32_t t = 0; t < q_len; t++)
                slots[at++] = order[next_page + t / page_size] * page_size + (first + t) % page_size;
            next_page += (q_len + page_size - 1) / page_size;
        }
    attune_status status = order && slots ? ATTUNE_OK : ATTUNE_ERROR_OUT_OF_MEMORY;
    cl_int code = CL_SUCCESS;
    attune_tensor *mapping = &out->args.slot_mapping;
    mapping->type = ATTUNE_MEMORY_CL;
    if (status == ATTUNE_OK)
        mapping->cl = clCreateBuffer(worker->context->cl, CL_MEM_READ_ONLY | CL_MEM_COPY_HOST_PTR,
                                     (size_t)count * sizeof *slots, slots, &code);
    free(order);
    free(slots);
    if (status != ATTUNE_OK)
        return set_error(status, "out of memory for %lld slots", (long long)count);
    return code == CL_SUCCESS ? ATTUNE_OK : cl_error(code, "clCreateBuffer for slots");
}

static attune_status make_append(struct worker *worker, struct input *input)
{
    const attune_problem *problem = input->problem;
    const attune_attention_desc *desc = &problem->desc;
    struct step step = step_of(problem);
    struct append *append = input->append = calloc(1, sizeof *append);
    if (!append)
        return set_error(ATTUNE_ERROR_OUT_OF_MEMORY, "out of memory for appending");
    append->args = (attune_kv_append_args)ATTUNE_KV_APPEND_ARGS_INIT;
    append->args.num_tokens = step.tokens;
    if (!step.tokens)
        return ATTUNE_OK;
    size_t row = (size_t)(step.tokens * desc->num_kv_heads) * dtype_size(desc->q_dtype);
    attune_status status;
    if ((status = make_cache(worker, problem, &step, append)) ||
        (status = make_zeroed(worker, row * (size_t)desc->head_dim_qk, &append->args.k)) ||
        (status = make_zeroed(worker, row * (size_t)desc->head_dim_vo, &append->args.v)) ||
        (status = make_mapping(worker, problem, &step, append))) {
        append_free(&input->append);
        return status;
    }
    clFinish(worker->queue);
    return ATTUNE_OK;
}

attune_status worker_append(struct worker *worker, const json_t *request, json_t **reply)
{
    (void)reply;
    struct input *input;
    attune_status status = request_input(worker, request, &input);
    if (status == ATTUNE_OK && !input->problem->page_size)
        return set_error(ATTUNE_ERROR_MISMATCH, "input has no KV cache");
    if (status == ATTUNE_OK && !input->append)
        status = make_append(worker, input);
    int64_t launches = request_integer(request, "launches");
    for (int64_t i = 0; status == ATTUNE_OK && input->append->launcher && i < launches; i++) {
        struct append *append = input->append;
        append->args.slot_mapping.byte_offset = (size_t)(append->next * append->args.num_tokens) * sizeof(int32_t);
        append->next = (append->next + 1) % append->steps;
        status = attune_kv_append(append->launcher, &append->args, worker->queue, 0, NULL, NULL);
    }
    cl_int code = clFinish(worker->queue);
    return status != ATTUNE_OK || code == CL_SUCCESS ? status : cl_error(code, "clFinish after appending");
}
