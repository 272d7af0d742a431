/* SPDX-License-Identifier: Apache-2.0
 * Operations on a KV cache: check every tensor, then enqueue one kernel. */
#include <stdio.h>
#include <stdlib.h>

#include "build.h"
#include "cl/program.h"
#include "desc.h"
#include "kv_cache.clh"
#include "kv_cache.h"
#include "tensor.h"

extern const char kv_cache_source[];

enum operation { APPEND, COPY_PAGES, EXPORT, IMPORT, NUM_OPERATIONS };

static const char *const kernel_names[NUM_OPERATIONS] = {"kv_append", "kv_copy_pages", "kv_export", "kv_import"};

enum kernel_arg { ARG_K_FROM, ARG_V_FROM, ARG_K_TO, ARG_V_TO, ARG_INDEX, NUM_MEMORY, ARG_ARGS = NUM_MEMORY };

struct attune_kv_launcher {
    struct attune_kv_layout layout;
    attune_dtype source_dtype;
    cl_program program;
    cl_kernel kernels[NUM_OPERATIONS];
    size_t local, global; /* work-items */
};

/* One operation on its way. */
struct operation_run {
    struct attune_kv_launcher *launcher;
    const attune_tensor *memory[NUM_MEMORY];
    struct tensor_set set;
    int member[NUM_MEMORY]; /* of the set */
    struct kv_args args;
};

/* ---- making */

/* Neighbouring work-items share a row where the device runs them side by side. */
static void choose_grid(struct attune_kv_launcher *launcher, int32_t *vec, size_t *lanes)
{
    const struct attune_kv_layout *layout = &launcher->layout;
    const struct backend_choice *choice = &layout->context->choice;
    *vec = 16;
    while (layout->head_dim_qk % *vec || layout->head_dim_vo % *vec)
        *vec /= 2;
    bool alone = choice->limits.work_group_multiple <= 1 && (choice->device.type & CL_DEVICE_TYPE_CPU);
    size_t multiple = choice->limits.work_group_multiple > 1 ? (size_t)choice->limits.work_group_multiple : 64;
    launcher->local = alone ? 1 : multiple;
    *lanes = 1;
    while (!alone && *lanes < launcher->local && launcher->local % (2 * *lanes) == 0 &&
           (int64_t)(*lanes * (size_t)*vec) < layout->head_dim_qk)
        *lanes *= 2;
    launcher->global = launcher->local * (size_t)choice->device.compute_units * (alone ? 4 : 16);
}

static attune_status set_args(const struct operation_run *run, cl_kernel kernel)
{
    cl_int code = CL_SUCCESS;
    for (cl_uint i = 0; code == CL_SUCCESS && i < NUM_MEMORY; i++) {
        const attune_tensor *t = run->memory[i];
        if (t && t->type == ATTUNE_MEMORY_SVM)
            code = clSetKernelArgSVMPointer(kernel, i, t->svm);
        else
            code = clSetKernelArg(kernel, i, sizeof(cl_mem), t ? &t->cl : NULL);
    }
    if (code == CL_SUCCESS)
        code = clSetKernelArg(kernel, ARG_ARGS, sizeof run->args, &run->args);
    return code == CL_SUCCESS ? ATTUNE_OK : cl_error(code, "clSetKernelArg of an operation on a KV cache");
}

static attune_status enqueue(struct operation_run *run, enum operation operation, cl_command_queue queue,
                             cl_uint num_wait, const cl_event *wait, cl_event *event)
{
    struct attune_kv_launcher *launcher = run->launcher;
    cl_kernel kernel = launcher->kernels[operation];
    attune_status status = set_args(run, kernel);
    if (status != ATTUNE_OK)
        return status;
    cl_int code = clEnqueueNDRangeKernel(queue, kernel, 1, NULL, &launcher->global, &launcher->local, num_wait, wait, event);
    return code == CL_SUCCESS ? ATTUNE_OK : cl_error(code, "clEnqueueNDRangeKernel of an operation on a KV cache");
}

/* Each kernel once on nothing. */
static attune_status run_empty(void *priv, cl_program program)
{
    struct attune_kv_launcher warming = *(struct attune_kv_launcher *)priv;
    attune_context *context = warming.layout.context;
    attune_status status = ATTUNE_OK;
    cl_int code;
    cl_command_queue queue = clCreateCommandQueue(context->cl, context_device(context), 0, &code);
    if (code != CL_SUCCESS)
        return cl_error(code, "clCreateCommandQueue");
    for (int i = 0; status == ATTUNE_OK && i < NUM_OPERATIONS; i++) {
        struct operation_run run = {.launcher = &warming, .args = {.page_size = 1, .k_outer = 1, .v_outer = 1}};
        warming.kernels[i] = clCreateKernel(program, kernel_names[i], &code);
        if (code != CL_SUCCESS)
            status = cl_error(code, "clCreateKernel of an operation on a KV cache");
        else if ((status = enqueue(&run, (enum operation)i, queue, 0, NULL, NULL)) == ATTUNE_OK &&
                 (code = clFinish(queue)) != CL_SUCCESS)
            status = cl_error(code, "clFinish after an operation on nothing");
        if (warming.kernels[i])
            clReleaseKernel(warming.kernels[i]);
    }
    clReleaseCommandQueue(queue);
    return status;
}

static attune_status compile(struct attune_kv_launcher *launcher)
{
    const struct attune_kv_layout *layout = &launcher->layout;
    char options[256];
    int32_t vec;
    size_t lanes;
    choose_grid(launcher, &vec, &lanes);
    snprintf(options, sizeof options,
             "-cl-std=CL1.2 -DHEAD_DIM_QK=%d -DHEAD_DIM_VO=%d -DSRC_TYPE=%d -DKV_TYPE=%d -DVEC=%d -DWG_SIZE=%zu "
             "-DLANES=%zu",
             layout->head_dim_qk, layout->head_dim_vo, (int)launcher->source_dtype, (int)layout->dtype, vec,
             launcher->local, lanes);
    const struct program_source source = {"kv_cache", kv_cache_source, options, true};
    attune_status status = program_build(layout->context, &source, run_empty, launcher, &launcher->program);
    for (int i = 0; status == ATTUNE_OK && i < NUM_OPERATIONS; i++) {
        cl_int code;
        launcher->kernels[i] = clCreateKernel(launcher->program, kernel_names[i], &code);
        if (code != CL_SUCCESS)
            status = cl_error(code, "clCreateKernel of an operation on a KV cache");
    }
    return status;
}

attune_status attune_kv_launcher_create(const attune_kv_layout *layout, attune_dtype source_dtype,
                                        attune_kv_launcher **out)
{
    if (!out)
        return set_error(ATTUNE_ERROR_NULL_ARGUMENT, "out is NULL");
    *out = NULL;
    if (!layout)
        return set_error(ATTUNE_ERROR_NULL_ARGUMENT, "layout is NULL");
    if (!dtype_size(source_dtype))
        return set_error(ATTUNE_ERROR_DTYPE, "source_dtype is %d, not a known type", (int)source_dtype);
    struct attune_kv_launcher *launcher = calloc(1, sizeof *launcher);
    if (!launcher)
        return set_error(ATTUNE_ERROR_OUT_OF_MEMORY, "out of memory for the launcher of a layout");
    launcher->layout = *layout;
    launcher->source_dtype = source_dtype;
    attune_status status = compile(launcher);
    if (status != ATTUNE_OK)
        attune_kv_launcher_destroy(&launcher);
    *out = launcher;
    return status;
}

void attune_kv_launcher_destroy(attune_kv_launcher **address)
{
    if (!address || !*address)
        return;
    struct attune_kv_launcher *launcher = *address;
    *address = NULL;
    for (int i = 0; i < NUM_OPERATIONS; i++)
        if (launcher->kernels[i])
            clReleaseKernel(launcher->kernels[i]);
    if (launcher->program)
        clReleaseProgram(launcher->program);
    free(launcher);
}

/* ---- tensors */

/* Contiguous tokens of K or V. */
static attune_status bind_rows(struct operation_run *run, enum kernel_arg arg, const attune_tensor *t, const char *name,
                               attune_dtype dtype, int64_t tokens, int64_t dim, struct kv_place *place)
{
    const struct attune_kv_layout *layout = &run->launcher->layout;
    const struct expected e = {.name = name,
                               .dtype = dtype,
                               .tokens = tokens,
                               .heads = layout->num_kv_heads,
                               .dim = dim,
                               .packed_token = layout->num_kv_heads * dim,
                               .packed_head = dim,
                               .required = true,
                               .output = arg == ARG_K_TO || arg == ARG_V_TO};
    struct placed at = {0};
    run->member[arg] = run->set.count;
    attune_status status = check_tensor(&run->set, t, &e, &at);
    run->memory[arg] = t;
    *place = (struct kv_place){at.offset, 0, at.stride_token, at.stride_head};
    return status;
}

/* K or V of a cache. */
static attune_status bind_cache(struct operation_run *run, enum kernel_arg arg, const attune_tensor *t,
                                const char *name, struct kv_place *place)
{
    const struct attune_kv_layout *layout = &run->launcher->layout;
    bool k = arg == ARG_K_FROM || arg == ARG_K_TO;
    const struct expected e = {.name = name,
                               .dim = k ? layout->head_dim_qk : layout->head_dim_vo,
                               .required = true,
                               .output = arg == ARG_K_TO || arg == ARG_V_TO};
    struct kv_strides strides = k ? layout->k : layout->v;
    struct placed at = {0};
    run->member[arg] = run->set.count;
    attune_status status = check_cache_tensor(&run->set, layout, t, &e, &strides, &at);
    run->memory[arg] = t;
    *place = (struct kv_place){at.offset, strides.page, strides.token, strides.head};
    return status;
}

/* Slots, pages or pairs of pages. */
static attune_status bind_index(struct operation_run *run, const attune_tensor *t, const char *name, int64_t count,
                                int64_t width)
{
    const struct expected e = {.name = name,
                               .dtype = DTYPE_INT32,
                               .tokens = count,
                               .heads = width,
                               .dim = 1,
                               .packed_token = width,
                               .packed_head = 1,
                               .required = true};
    struct placed at = {0};
    attune_status status = check_tensor(&run->set, t, &e, &at);
    run->memory[ARG_INDEX] = t;
    run->args.index_offset = at.offset;
    run->args.index_stride = at.stride_token;
    run->args.index_second = at.stride_head;
    return status;
}

static bool same_rows(const struct operation_run *run, enum kernel_arg a, enum kernel_arg b)
{
    return footprints_same_rows(&run->set.of[run->member[a]].touched, &run->set.of[run->member[b]].touched);
}

/* Pages may be copied within a cache. V that is the first dims of K, on both sides, is written twice with the same
 * values. */
static attune_status check_all_apart(struct operation_run *run, enum operation operation)
{
    bool v_in_k = same_rows(run, ARG_K_FROM, ARG_V_FROM) && same_rows(run, ARG_K_TO, ARG_V_TO);
    for (int arg = ARG_K_FROM; arg <= ARG_V_TO; arg++) {
        int other = arg <= ARG_V_FROM ? arg - ARG_K_FROM + ARG_K_TO : arg - ARG_K_TO + ARG_K_FROM;
        if (operation == COPY_PAGES)
            run->set.of[run->member[arg]].shares = 1u << run->member[other];
        if (v_in_k)
            run->set.of[run->member[arg]].shares = UINT32_MAX;
    }
    return check_apart(&run->set);
}

/* ---- running */

static attune_status check_call(const struct attune_kv_launcher *launcher, const void *args, size_t size,
                                cl_command_queue queue, cl_uint num_wait, const cl_event *wait)
{
    if (!launcher || !queue)
        return set_error(ATTUNE_ERROR_NULL_ARGUMENT, "%s is NULL", !launcher ? "launcher" : "queue");
    if (num_wait && !wait)
        return set_error(ATTUNE_ERROR_NULL_ARGUMENT, "wait is NULL with num_wait %u", num_wait);
    attune_status status = struct_check(args, size, "args");
    return status == ATTUNE_OK ? queue_check(launcher->layout.context, queue) : status;
}

static attune_status check_count(const char *name, int64_t count, int64_t limit)
{
    return count >= 0 && count <= limit ? ATTUNE_OK
                                        : set_error(ATTUNE_ERROR_INVALID_SIZE, "args.%s is %lld; it must be 0 to %lld",
                                                    name, (long long)count, (long long)limit);
}

static void start(struct operation_run *run, struct attune_kv_launcher *launcher, int64_t count)
{
    *run = (struct operation_run){
        .launcher = launcher,
        .args = {.count = count, .num_heads = launcher->layout.num_kv_heads, .page_size = launcher->layout.page_size}};
    tensor_set_start(&run->set, launcher->layout.context);
}

/* With nothing to do, the caller's event follows the wait list. */
static attune_status skip(cl_command_queue queue, cl_uint num_wait, const cl_event *wait, cl_event *event)
{
    if (!num_wait && !event)
        return ATTUNE_OK;
    cl_int code = clEnqueueMarkerWithWaitList(queue, num_wait, wait, event);
    return code == CL_SUCCESS ? ATTUNE_OK : cl_error(code, "clEnqueueMarkerWithWaitList");
}

/* Checks an append of at least one token. */
static attune_status bind_append(struct attune_kv_launcher *launcher, const attune_kv_append_args *args,
                                 struct operation_run *run)
{
    const struct attune_kv_layout *layout = &launcher->layout;
    attune_status status;
    start(run, launcher, args->num_tokens);
    struct kv_args *a = &run->args;
    if ((status = bind_rows(run, ARG_K_FROM, &args->k, "k", launcher->source_dtype, a->count, layout->head_dim_qk,
                            &a->k_from)) ||
        (status = bind_rows(run, ARG_V_FROM, &args->v, "v", launcher->source_dtype, a->count, layout->head_dim_vo,
                            &a->v_from)) ||
        (status = bind_index(run, &args->slot_mapping, "slot_mapping", a->count, 1)) ||
        (status = bind_cache(run, ARG_K_TO, &args->k_cache, "k_cache", &a->k_to)) ||
        (status = bind_cache(run, ARG_V_TO, &args->v_cache, "v_cache", &a->v_to)))
        return status;
    return check_all_apart(run, APPEND);
}

attune_status attune_kv_append(attune_kv_launcher *launcher, const attune_kv_append_args *args, cl_command_queue queue,
                               cl_uint num_wait, const cl_event *wait, cl_event *event)
{
    attune_status status = check_call(launcher, args, sizeof *args, queue, num_wait, wait);
    if (status != ATTUNE_OK || (status = check_count("num_tokens", args->num_tokens, INT32_MAX)) != ATTUNE_OK)
        return status;
    if (!args->num_tokens)
        return skip(queue, num_wait, wait, event);
    struct operation_run run;
    status = bind_append(launcher, args, &run);
    return status == ATTUNE_OK ? enqueue(&run, APPEND, queue, num_wait, wait, event) : status;
}

static attune_status append_kernel(const struct attune_kv_launcher *launcher, struct kv_command *out)
{
    cl_int code;
    *out = (struct kv_command){NULL, launcher->global, launcher->local};
    out->kernel = clCreateKernel(launcher->program, kernel_names[APPEND], &code);
    if (code == CL_SUCCESS)
        return ATTUNE_OK;
    out->kernel = NULL;
    return cl_error(code, "clCreateKernel of an append");
}

attune_status kv_append_command(const attune_context *context, attune_kv_launcher *launcher,
                                const attune_kv_append_args *args, struct kv_command *out)
{
    *out = (struct kv_command){NULL, launcher->global, launcher->local};
    if (launcher->layout.context != context)
        return set_error(ATTUNE_ERROR_WRONG_CONTEXT, "options.kv_launcher was created in another context");
    attune_status status = struct_check(args, sizeof *args, "options.append");
    if (status != ATTUNE_OK || (status = check_count("num_tokens", args->num_tokens, INT32_MAX)) != ATTUNE_OK ||
        !args->num_tokens)
        return status;
    struct operation_run run;
    if ((status = bind_append(launcher, args, &run)) != ATTUNE_OK)
        return status;
    status = append_kernel(launcher, out);
    return status == ATTUNE_OK ? set_args(&run, out->kernel) : status; /* the caller releases the kernel */
}

/* ---- rows to rows */

attune_status kv_convert_create(attune_context *context, const attune_attention_desc *desc, attune_kv_launcher **out)
{
    attune_kv_layout_options rows = ATTUNE_KV_LAYOUT_OPTIONS_INIT;
    rows.dtype = desc->kv_dtype;
    rows.num_kv_heads = desc->num_kv_heads;
    rows.head_dim_qk = desc->head_dim_qk;
    rows.head_dim_vo = desc->head_dim_vo;
    rows.num_slots = 1; /* nothing asks how many there are */
    struct attune_kv_layout layout;
    attune_status status = kv_layout_init(context, &rows, &layout);
    return status == ATTUNE_OK ? attune_kv_launcher_create(&layout, desc->new_kv_dtype, out) : status;
}

attune_status kv_convert_kernel(const attune_kv_launcher *launcher, struct kv_command *out)
{
    return append_kernel(launcher, out);
}

attune_status kv_convert_set(const attune_kv_launcher *launcher, cl_kernel kernel, const struct kv_convert *c)
{
    const struct attune_kv_layout *layout = &launcher->layout;
    const struct operation_run run = {
        .memory = {[ARG_K_FROM] = c->k, [ARG_V_FROM] = c->v, [ARG_K_TO] = c->workspace, [ARG_V_TO] = c->workspace},
        .args = {.k_from = {c->k_at.offset, 0, c->k_at.stride_token, c->k_at.stride_head},
                 .v_from = {c->v_at.offset, 0, c->v_at.stride_token, c->v_at.stride_head},
                 .k_to = {c->k_to, layout->k.page, layout->k.token, layout->k.head},
                 .v_to = {c->v_to, layout->v.page, layout->v.token, layout->v.head},
                 .count = c->tokens,
                 .num_heads = layout->num_kv_heads,
                 .page_size = 1}};
    return set_args(&run, kernel);
}

/* Rows of a page in the order of memory, as kv_args says. */
static void order_rows(int32_t page_size, int32_t num_heads, struct kv_place *from, struct kv_place *to, abi_i32 *outer,
                       abi_i32 *inner)
{
    bool heads_outside = page_size > 1 && to->stride_head > to->stride_token;
    *outer = heads_outside ? num_heads : page_size;
    *inner = heads_outside ? page_size : num_heads;
    struct kv_place *places[2] = {from, to};
    for (int i = 0; heads_outside && i < 2; i++) {
        abi_i64 token = places[i]->stride_token;
        places[i]->stride_token = places[i]->stride_head;
        places[i]->stride_head = token;
    }
}

attune_status attune_kv_copy_pages(attune_kv_launcher *launcher, const attune_kv_copy_args *args,
                                   cl_command_queue queue, cl_uint num_wait, const cl_event *wait, cl_event *event)
{
    attune_status status = check_call(launcher, args, sizeof *args, queue, num_wait, wait);
    if (status != ATTUNE_OK)
        return status;
    const struct attune_kv_layout *layout = &launcher->layout;
    if ((status = check_count("num_pages", args->num_pages, layout->num_slots / layout->page_size)) != ATTUNE_OK)
        return status;
    if (!args->num_pages)
        return skip(queue, num_wait, wait, event);
    bool same = args->from_k_cache.type == ATTUNE_MEMORY_NONE && args->from_v_cache.type == ATTUNE_MEMORY_NONE;
    struct operation_run run;
    start(&run, launcher, args->num_pages);
    struct kv_args *a = &run.args;
    if ((status = bind_index(&run, &args->pages, "pages", a->count, 2)) ||
        (status = bind_cache(&run, ARG_K_TO, &args->k_cache, "k_cache", &a->k_to)) ||
        (status = bind_cache(&run, ARG_V_TO, &args->v_cache, "v_cache", &a->v_to)) ||
        (status =
             bind_cache(&run, ARG_K_FROM, same ? &args->k_cache : &args->from_k_cache, "from_k_cache", &a->k_from)) ||
        (status =
             bind_cache(&run, ARG_V_FROM, same ? &args->v_cache : &args->from_v_cache, "from_v_cache", &a->v_from)) ||
        (status = check_all_apart(&run, COPY_PAGES)))
        return status;
    order_rows(layout->page_size, layout->num_kv_heads, &a->k_from, &a->k_to, &a->k_outer, &a->k_inner);
    order_rows(layout->page_size, layout->num_kv_heads, &a->v_from, &a->v_to, &a->v_outer, &a->v_inner);
    return enqueue(&run, COPY_PAGES, queue, num_wait, wait, event);
}

static attune_status transfer(attune_kv_launcher *launcher, const attune_kv_transfer_args *args,
                              enum operation operation, cl_command_queue queue, cl_uint num_wait, const cl_event *wait,
                              cl_event *event)
{
    attune_status status = check_call(launcher, args, sizeof *args, queue, num_wait, wait);
    if (status != ATTUNE_OK || (status = check_count("num_tokens", args->num_tokens, INT32_MAX)) != ATTUNE_OK)
        return status;
    if (!args->num_tokens)
        return skip(queue, num_wait, wait, event);
    const struct attune_kv_layout *layout = &launcher->layout;
    bool out = operation == EXPORT;
    struct operation_run run;
    start(&run, launcher, args->num_tokens);
    struct kv_args *a = &run.args;
    int64_t pages = (a->count + layout->page_size - 1) / layout->page_size;
    if ((status = bind_index(&run, &args->pages, "pages", pages, 1)) ||
        (status = bind_rows(&run, out ? ARG_K_TO : ARG_K_FROM, &args->k, "k", layout->dtype, a->count,
                            layout->head_dim_qk, out ? &a->k_to : &a->k_from)) ||
        (status = bind_rows(&run, out ? ARG_V_TO : ARG_V_FROM, &args->v, "v", layout->dtype, a->count,
                            layout->head_dim_vo, out ? &a->v_to : &a->v_from)) ||
        (status =
             bind_cache(&run, out ? ARG_K_FROM : ARG_K_TO, &args->k_cache, "k_cache", out ? &a->k_from : &a->k_to)) ||
        (status =
             bind_cache(&run, out ? ARG_V_FROM : ARG_V_TO, &args->v_cache, "v_cache", out ? &a->v_from : &a->v_to)) ||
        (status = check_all_apart(&run, operation)))
        return status;
    return enqueue(&run, operation, queue, num_wait, wait, event);
}

attune_status attune_kv_export(attune_kv_launcher *launcher, const attune_kv_transfer_args *args,
                               cl_command_queue queue, cl_uint num_wait, const cl_event *wait, cl_event *event)
{
    return transfer(launcher, args, EXPORT, queue, num_wait, wait, event);
}

attune_status attune_kv_import(attune_kv_launcher *launcher, const attune_kv_transfer_args *args,
                               cl_command_queue queue, cl_uint num_wait, const cl_event *wait, cl_event *event)
{
    return transfer(launcher, args, IMPORT, queue, num_wait, wait, event);
}
