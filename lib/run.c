/* SPDX-License-Identifier: Apache-2.0
 * Launchers and runs: check every tensor, then enqueue each configuration that has items. */
#include <stdlib.h>
#include <string.h>

#include "cl/program.h"
#include "desc.h"
#include "launch.h"
#include "run.h"
#include "schedule.h"
#include "tensor.h"
#include "validate.h"

static attune_status create_kernel(cl_program program, const char *name, cl_kernel *out)
{
    cl_int code;
    *out = clCreateKernel(program, name, &code);
    if (code == CL_SUCCESS)
        return ATTUNE_OK;
    *out = NULL;
    return cl_error(code, name);
}

attune_status attune_launcher_create(const attune_plan *plan, attune_launcher **out)
{
    if (!out)
        return set_error(ATTUNE_ERROR_NULL_ARGUMENT, "out is NULL");
    *out = NULL;
    if (!plan)
        return set_error(ATTUNE_ERROR_NULL_ARGUMENT, "plan is NULL");
    struct attune_launcher *launcher = calloc(1, sizeof *launcher);
    if (!launcher)
        return set_error(ATTUNE_ERROR_OUT_OF_MEMORY, "out of memory for a launcher");
    launcher->plan = plan;
    attune_status status;
    if ((status = create_kernel(plan->merge.program, "merge", &launcher->merge)) == ATTUNE_OK)
        status = create_kernel(plan->merge.program, "merge_states", &launcher->merge_states);
    for (int32_t i = 0; status == ATTUNE_OK && i < plan->num_configs; i++)
        status = create_kernel(plan->configs[i].program, "attention", &launcher->kernels[i]);
    if (status == ATTUNE_OK && plan->convert)
        status = kv_convert_kernel(plan->convert, &launcher->convert);
    if (status == ATTUNE_OK)
        status = validator_create(plan, &launcher->validator);
    if (status != ATTUNE_OK)
        attune_launcher_destroy(&launcher);
    *out = launcher;
    return status;
}

void attune_launcher_destroy(attune_launcher **address)
{
    if (!address || !*address)
        return;
    struct attune_launcher *launcher = *address;
    *address = NULL;
    for (int32_t i = 0; i < PLAN_MAX_CONFIGS; i++)
        if (launcher->kernels[i])
            clReleaseKernel(launcher->kernels[i]);
    if (launcher->merge)
        clReleaseKernel(launcher->merge);
    if (launcher->merge_states)
        clReleaseKernel(launcher->merge_states);
    if (launcher->convert.kernel)
        clReleaseKernel(launcher->convert.kernel);
    validator_destroy(&launcher->validator);
    free(launcher);
}

/* Partial outputs, then two numbers for the sum of each (kernels/abi.clh); then the new rows of K and of V where they are converted. In bytes, of which the
 * rows start at multiples of 64. */
struct workspace_shape {
    int64_t k, v, end;
};

static struct workspace_shape workspace_of(const attune_plan *plan, const attune_schedule *schedule)
{
    const attune_attention_desc *d = &plan->desc;
    int64_t partial = schedule->bounds.partial_rows * (d->head_dim_vo + 2) * (int64_t)sizeof(float);
    if (!plan->convert)
        return (struct workspace_shape){.end = partial};
    int64_t heads = schedule->rules.max_q_tokens * d->num_kv_heads, element = (int64_t)dtype_size(d->kv_dtype);
    struct workspace_shape shape = {.k = (partial + 63) / 64 * 64};
    shape.v = shape.k + (heads * d->head_dim_qk * element + 63) / 64 * 64;
    shape.end = shape.v + (heads * d->head_dim_vo * element + 63) / 64 * 64;
    return shape;
}

attune_status run_check_pair(const struct attune_plan *plan, const struct attune_schedule *schedule)
{
    if (memcmp(plan->signature, schedule->signature, sizeof plan->signature) == 0)
        return ATTUNE_OK;
    return set_error(ATTUNE_ERROR_MISMATCH, "schedule was made for a plan with another descriptor or configurations");
}

attune_status attune_plan_workspace_size(const attune_plan *plan, const attune_schedule *schedule, size_t *bytes)
{
    if (!plan || !schedule || !bytes)
        return set_error(ATTUNE_ERROR_NULL_ARGUMENT, "%s is NULL", !plan ? "plan" : !schedule ? "schedule" : "bytes");
    attune_status status = run_check_pair(plan, schedule);
    if (status == ATTUNE_OK)
        *bytes = (size_t)workspace_of(plan, schedule).end;
    return status;
}

/* One tensor of the table below: where it goes. */
static attune_status bind(struct tensor_set *set, const attune_tensor *t, const struct expected *e, enum launch_arg arg,
                          struct launch_memory *memory, abi_i64 *offset, abi_i64 *token, abi_i64 *head)
{
    struct placed at = {0};
    attune_status status = check_tensor(set, t, e, &at);
    if (status != ATTUNE_OK)
        return status;
    memory->arg[arg].cl = t->type == ATTUNE_MEMORY_CL ? t->cl : NULL;
    memory->arg[arg].svm = t->type == ATTUNE_MEMORY_SVM ? t->svm : NULL;
    *offset = at.offset;
    if (token)
        *token = at.stride_token;
    if (head)
        *head = at.stride_head;
    return ATTUNE_OK;
}

static attune_status bind_contiguous(struct tensor_set *set, const struct attune_plan *plan,
                                     const struct attune_schedule *schedule, const attune_attention_args *in,
                                     struct launch_memory *memory, struct attention_args *out)
{
    const attune_attention_desc *d = &plan->desc;
    int64_t rows = schedule->q_tokens, keys = schedule->new_tokens;
    bool work = rows > 0, fresh = work && keys > 0;
    const struct expected q = {"q",
                               d->q_dtype,
                               rows,
                               d->num_q_heads,
                               d->head_dim_qk,
                               (int64_t)d->num_q_heads * d->head_dim_qk,
                               d->head_dim_qk,
                               work,
                               false};
    const struct expected o = {"o",
                               d->o_dtype,
                               rows,
                               d->num_q_heads,
                               d->head_dim_vo,
                               (int64_t)d->num_q_heads * d->head_dim_vo,
                               d->head_dim_vo,
                               work,
                               true};
    const struct expected k = {"k",
                               desc_new_kv_dtype(d),
                               keys,
                               d->num_kv_heads,
                               d->head_dim_qk,
                               (int64_t)d->num_kv_heads * d->head_dim_qk,
                               d->head_dim_qk,
                               fresh,
                               false};
    const struct expected v = {"v",
                               desc_new_kv_dtype(d),
                               keys,
                               d->num_kv_heads,
                               d->head_dim_vo,
                               (int64_t)d->num_kv_heads * d->head_dim_vo,
                               d->head_dim_vo,
                               fresh,
                               false};
    const struct expected lse = {"lse", ATTUNE_FP32, rows, d->num_q_heads, 1, d->num_q_heads, 1, false, true};
    attune_status status;
    if ((status = bind(set, &in->q, &q, LAUNCH_Q, memory, &out->q_offset, &out->q_stride_token, &out->q_stride_head)) ||
        (status = bind(set, &in->k, &k, LAUNCH_K, memory, &out->k_offset, &out->k_stride_token, &out->k_stride_head)) ||
        (status = bind(set, &in->v, &v, LAUNCH_V, memory, &out->v_offset, &out->v_stride_token, &out->v_stride_head)) ||
        (status = bind(set, &in->o, &o, LAUNCH_O, memory, &out->o_offset, &out->o_stride_token, &out->o_stride_head)))
        return status;
    return bind(set, &in->lse, &lse, LAUNCH_LSE, memory, &out->lse_offset, &out->lse_stride_token,
                &out->lse_stride_head);
}

static attune_status bind_cache_tensor(struct tensor_set *set, const struct attune_plan *plan, const attune_tensor *t,
                                       const char *name, int64_t dim, bool required, struct kv_strides strides,
                                       enum launch_arg arg, struct launch_memory *memory, abi_i64 *offset,
                                       struct kv_strides *out)
{
    const struct expected e = {.name = name, .dim = dim, .required = required};
    struct placed at = {0};
    attune_status status = check_cache_tensor(set, &plan->layout, t, &e, &strides, &at);
    if (status != ATTUNE_OK || t->type == ATTUNE_MEMORY_NONE)
        return status;
    memory->arg[arg].cl = t->type == ATTUNE_MEMORY_CL ? t->cl : NULL;
    memory->arg[arg].svm = t->type == ATTUNE_MEMORY_SVM ? t->svm : NULL;
    *offset = at.offset;
    *out = strides;
    return ATTUNE_OK;
}

/* int32 in a row, one after the other. */
static attune_status bind_indices(struct tensor_set *set, const attune_tensor *t, const char *name, int64_t count,
                                  bool required, enum launch_arg arg, struct launch_memory *memory, abi_i64 *offset)
{
    const struct expected e = {name, DTYPE_INT32, count, 1, 1, 1, 1, required, false};
    if (t->stride_token != 0 && t->stride_token != 1)
        return set_error(ATTUNE_ERROR_STRIDE, "%s.stride_token is %lld; its int32 must follow each other (0 or 1)",
                         name, (long long)t->stride_token);
    return bind(set, t, &e, arg, memory, offset, NULL, NULL);
}

/* The page table as CSR or as a 2-D block table. */
static attune_status bind_pages(struct tensor_set *set, const struct attune_plan *plan,
                                const struct attune_schedule *schedule, const attune_attention_args *in,
                                struct launch_memory *memory, struct attention_args *out)
{
    const struct attune_kv_layout *layout = &plan->layout;
    bool cached = schedule->cached_tokens > 0;
    if (schedule->widest_pages > layout->num_slots / layout->page_size)
        return set_error(
            ATTUNE_ERROR_INVALID_SIZE,
            "a sequence of the schedule has %lld pages of cached keys; the plan's layout has %lld (num_slots "
            "%lld, page_size %d)",
            (long long)schedule->widest_pages, (long long)(layout->num_slots / layout->page_size),
            (long long)layout->num_slots, layout->page_size);
    if (in->block_table.type != ATTUNE_MEMORY_NONE) {
        if (in->kv_indptr.type != ATTUNE_MEMORY_NONE || in->kv_indices.type != ATTUNE_MEMORY_NONE)
            return set_error(ATTUNE_ERROR_MISMATCH,
                             "block_table is given beside kv_indptr or kv_indices; a page table is one or the other");
        if (in->block_table.stride_token < schedule->widest_pages || in->block_table.stride_token < 1)
            return set_error(ATTUNE_ERROR_STRIDE, "block_table.stride_token is %lld; a sequence has up to %lld pages",
                             (long long)in->block_table.stride_token, (long long)schedule->widest_pages);
        const struct expected table = {.name = "block_table",
                                       .dtype = DTYPE_INT32,
                                       .tokens = schedule->batch,
                                       .heads = 1,
                                       .dim = schedule->widest_pages,
                                       .required = cached};
        return bind(set, &in->block_table, &table, LAUNCH_KV_INDICES, memory, &out->kv_indices_offset,
                    &out->block_table_stride, NULL);
    }
    attune_status status;
    if ((status = bind_indices(set, &in->kv_indptr, "kv_indptr", (int64_t)schedule->batch + 1, cached, LAUNCH_KV_INDPTR,
                               memory, &out->kv_indptr_offset)) ||
        (status = bind_indices(set, &in->kv_indices, "kv_indices", schedule->cached_pages, cached, LAUNCH_KV_INDICES,
                               memory, &out->kv_indices_offset)))
        return status;
    if (!cached) { /* kernels may read an entry of kv_indptr, whose value is not used */
        memory->arg[LAUNCH_KV_INDPTR].cl = schedule->buffers[schedule->current].device;
        memory->arg[LAUNCH_KV_INDPTR].svm = NULL;
        out->kv_indptr_offset = 0;
    }
    return ATTUNE_OK;
}

static attune_status bind_cache(struct tensor_set *set, const struct attune_plan *plan,
                                const struct attune_schedule *schedule, const attune_attention_args *in,
                                struct launch_memory *memory, struct attention_args *out)
{
    const struct attune_kv_layout *layout = &plan->layout;
    bool cached = schedule->cached_tokens > 0;
    struct kv_strides k = {0}, v = {0};
    attune_status status;
    if ((status = bind_cache_tensor(set, plan, &in->k_cache, "k_cache", plan->desc.head_dim_qk, cached, layout->k,
                                    LAUNCH_K_CACHE, memory, &out->k_cache_offset, &k)) ||
        (status = bind_cache_tensor(set, plan, &in->v_cache, "v_cache", plan->desc.head_dim_vo, cached, layout->v,
                                    LAUNCH_V_CACHE, memory, &out->v_cache_offset, &v)))
        return status;
    out->k_cache_stride_page = k.page, out->k_cache_stride_token = k.token, out->k_cache_stride_head = k.head;
    out->v_cache_stride_page = v.page, out->v_cache_stride_token = v.token, out->v_cache_stride_head = v.head;
    out->page_size = layout->page_size;
    page_division(layout->page_size, &out->page_magic, &out->page_shift);
    return bind_pages(set, plan, schedule, in, memory, out);
}

static bool converts(const struct attune_plan *plan, const struct attune_schedule *schedule)
{
    return plan->convert && schedule->q_tokens && schedule->new_tokens;
}

/* The kernels read the new rows where they are converted to. */
static void redirect_new_rows(const struct attune_plan *plan, const struct attune_schedule *schedule,
                              const attune_attention_args *in, struct launch_memory *memory, struct attention_args *out,
                              struct kv_convert *convert)
{
    const attune_attention_desc *d = &plan->desc;
    struct workspace_shape shape = workspace_of(plan, schedule);
    int64_t begin = (int64_t)in->workspace.byte_offset, element = (int64_t)dtype_size(d->kv_dtype);
    *convert = (struct kv_convert){.tokens = schedule->new_tokens,
                                   .k = &in->k,
                                   .v = &in->v,
                                   .k_at = {out->k_offset, out->k_stride_token, out->k_stride_head},
                                   .v_at = {out->v_offset, out->v_stride_token, out->v_stride_head},
                                   .workspace = &in->workspace,
                                   .k_to = (begin + shape.k) / element,
                                   .v_to = (begin + shape.v) / element};
    memory->arg[LAUNCH_K] = memory->arg[LAUNCH_V] = memory->arg[LAUNCH_WORKSPACE];
    out->k_offset = convert->k_to, out->v_offset = convert->v_to;
    out->k_stride_token = (int64_t)d->num_kv_heads * d->head_dim_qk, out->k_stride_head = d->head_dim_qk;
    out->v_stride_token = (int64_t)d->num_kv_heads * d->head_dim_vo, out->v_stride_head = d->head_dim_vo;
}

/* Where this step's split items leave their partial results, and where its new rows are converted to. */
static attune_status bind_workspace(struct tensor_set *set, const struct attune_plan *plan,
                                    const struct attune_schedule *schedule, const attune_attention_args *in,
                                    struct launch_memory *memory, struct attention_args *out)
{
    if (!schedule->list.merge_rows && !converts(plan, schedule))
        return ATTUNE_OK;
    const struct expected workspace = {.name = "workspace",
                                       .dtype = ATTUNE_FP32,
                                       .tokens = 1,
                                       .heads = 1,
                                       .dim = workspace_of(plan, schedule).end / (int64_t)sizeof(float),
                                       .required = true,
                                       .output = true};
    attune_status status =
        bind(set, &in->workspace, &workspace, LAUNCH_WORKSPACE, memory, &out->workspace_o_offset, NULL, NULL);
    out->workspace_sum_offset = out->workspace_o_offset + schedule->bounds.partial_rows * plan->desc.head_dim_vo;
    return status;
}

/* Debug mode. */
static attune_status validate(struct attune_launcher *launcher, const struct attune_schedule *schedule,
                              const attune_attention_args *in, const struct launch_memory *memory,
                              const struct attention_args *args, cl_command_queue queue, cl_uint num_wait,
                              const cl_event *wait)
{
    const struct attune_plan *plan = launcher->plan;
    const attune_tensor *indices = &in->kv_indices, *last = &in->last_page_len;
    struct validate_tables tables = {.memory = memory, .args = args, .num_indices = INT64_MAX};
    struct launch_memory given = {0};
    size_t bytes = 0;
    attune_status status = ATTUNE_OK;
    if (schedule->from_device)
        status = validate_lengths(schedule, queue, num_wait, wait);
    if (status != ATTUNE_OK || !plan->has_layout || !schedule->cached_tokens)
        return status;
    struct tensor_set set;
    tensor_set_start(&set, plan->context);
    status = bind_indices(&set, last, "last_page_len", schedule->batch, false, 0, &given, &tables.last_page_len_offset);
    if (status != ATTUNE_OK)
        return status;
    tables.last_page_len = given.arg[0];
    if (indices->type == ATTUNE_MEMORY_CL &&
        clGetMemObjectInfo(indices->cl, CL_MEM_SIZE, sizeof bytes, &bytes, NULL) == CL_SUCCESS)
        tables.num_indices = (int64_t)((bytes - indices->byte_offset) / sizeof(int32_t));
    return validate_step(&launcher->validator, plan, &tables, queue, num_wait, wait);
}

attune_status run_is_out_of_order(cl_command_queue queue, bool *out)
{
    cl_command_queue_properties properties = 0;
    cl_int code = clGetCommandQueueInfo(queue, CL_QUEUE_PROPERTIES, sizeof properties, &properties, NULL);
    *out = properties & CL_QUEUE_OUT_OF_ORDER_EXEC_MODE_ENABLE;
    return code == CL_SUCCESS ? ATTUNE_OK : cl_error(code, "clGetCommandQueueInfo");
}

/* The commands of a run. */
struct launched {
    cl_event events[PLAN_MAX_CONFIGS]; /* of the configurations, where `keep` */
    cl_uint count;
    bool keep;
};

/* Launches the configurations that have items. */
static attune_status enqueue_configs(struct attune_launcher *launcher, const struct attune_schedule *schedule,
                                     const struct launch_memory *memory, struct attention_args *args,
                                     cl_command_queue queue, cl_uint num_wait, const cl_event *wait,
                                     struct launched *launched)
{
    const struct attune_plan *plan = launcher->plan;
    attune_status status = ATTUNE_OK;
    for (int32_t i = 0; status == ATTUNE_OK && i < plan->num_configs; i++) {
        if (!schedule->list.items[i])
            continue;
        args->segment = i;
        args->num_groups = plan->configs[i].num_groups;
        status = launch_kernel(launcher->kernels[i], &plan->configs[i], memory, args, queue, num_wait, wait,
                               launched->keep ? &launched->events[launched->count] : NULL);
        launched->count += status == ATTUNE_OK;
    }
    return status;
}

const enum launch_arg run_merge_order[MERGE_NUM_MEMORY] = {LAUNCH_SCHEDULE, LAUNCH_WORKSPACE, LAUNCH_O, LAUNCH_LSE};

static attune_status enqueue_merge(struct attune_launcher *launcher, const struct launch_memory *memory,
                                   struct attention_args *args, cl_command_queue queue, const struct launched *launched,
                                   cl_event *event)
{
    const struct attune_plan *plan = launcher->plan;
    struct merge_memory merge = {0};
    for (int i = 0; i < MERGE_NUM_MEMORY; i++) {
        merge.arg[i].cl = memory->arg[run_merge_order[i]].cl;
        merge.arg[i].svm = memory->arg[run_merge_order[i]].svm;
    }
    args->num_groups = plan->merge.num_groups;
    return merge_launch(launcher->merge, &plan->merge, &merge, MERGE_NUM_MEMORY, args, sizeof *args, queue,
                        launched->keep ? launched->count : 0, launched->keep ? launched->events : NULL, event);
}

/* The configurations, then the merge of their partial results. The caller's event is that of the only or last command,
 * or of a marker behind several. */
static attune_status enqueue(struct attune_launcher *launcher, const struct attune_schedule *schedule,
                             const struct launch_memory *memory, struct attention_args *args, cl_command_queue queue,
                             cl_uint num_wait, const cl_event *wait, cl_event *event)
{
    struct launched launched = {.keep = event != NULL};
    bool merged = schedule->list.merge_rows > 0;
    attune_status status = merged ? run_is_out_of_order(queue, &launched.keep) : ATTUNE_OK;
    if (status == ATTUNE_OK)
        status = enqueue_configs(launcher, schedule, memory, args, queue, num_wait, wait, &launched);
    if (status == ATTUNE_OK && merged)
        status = enqueue_merge(launcher, memory, args, queue, &launched, event);
    else if (status == ATTUNE_OK && event && launched.count == 1) {
        *event = launched.events[0];
        return ATTUNE_OK;
    } else if (status == ATTUNE_OK && (event || (!launched.count && num_wait))) {
        cl_int code = launched.count ? clEnqueueMarkerWithWaitList(queue, launched.count, launched.events, event)
                                     : clEnqueueMarkerWithWaitList(queue, num_wait, wait, event);
        if (code != CL_SUCCESS)
            status = cl_error(code, "clEnqueueMarkerWithWaitList");
    }
    for (cl_uint i = 0; launched.keep && i < launched.count; i++)
        clReleaseEvent(launched.events[i]);
    return status;
}

/* The same behind the conversion of the new rows. */
static attune_status enqueue_converted(struct attune_launcher *launcher, const struct attune_schedule *schedule,
                                       const struct launch_memory *memory, struct attention_args *args,
                                       const struct kv_convert *convert, cl_command_queue queue, cl_uint num_wait,
                                       const cl_event *wait, cl_event *event)
{
    const struct kv_command *command = &launcher->convert;
    cl_event converted = NULL;
    bool out_of_order;
    attune_status status = run_is_out_of_order(queue, &out_of_order);
    if (status != ATTUNE_OK ||
        (status = kv_convert_set(launcher->plan->convert, command->kernel, convert)) != ATTUNE_OK)
        return status;
    cl_int code = clEnqueueNDRangeKernel(queue, command->kernel, 1, NULL, &command->global, &command->local, num_wait,
                                         wait, out_of_order ? &converted : NULL);
    if (code != CL_SUCCESS)
        return cl_error(code, "clEnqueueNDRangeKernel(conversion of new rows)");
    status = enqueue(launcher, schedule, memory, args, queue, out_of_order, out_of_order ? &converted : NULL, event);
    if (converted)
        clReleaseEvent(converted);
    return status;
}

attune_status run_bind(struct tensor_set *set, const struct attune_plan *plan, const struct attune_schedule *schedule,
                       const attune_attention_args *in, struct launch_memory *memory, struct attention_args *out,
                       struct kv_convert *convert)
{
    attune_status status;
    convert->tokens = 0;
    *out = (struct attention_args){.scale = plan->desc.scale, .num_q_heads = plan->desc.num_q_heads};
    if ((status = bind_contiguous(set, plan, schedule, in, memory, out)) != ATTUNE_OK)
        return status;
    if (plan->has_layout && (status = bind_cache(set, plan, schedule, in, memory, out)) != ATTUNE_OK)
        return status;
    memory->arg[LAUNCH_SCHEDULE].cl = schedule->buffers[schedule->current].device;
    if ((status = bind_workspace(set, plan, schedule, in, memory, out)) != ATTUNE_OK ||
        (status = check_apart(set)) != ATTUNE_OK)
        return status;
    if (converts(plan, schedule))
        redirect_new_rows(plan, schedule, in, memory, out, convert);
    return ATTUNE_OK;
}

attune_status attune_attention_run(attune_launcher *launcher, const attune_schedule *schedule,
                                   const attune_attention_args *in, cl_command_queue queue, cl_uint num_wait,
                                   const cl_event *wait, cl_event *event)
{
    if (!launcher || !schedule || !queue)
        return set_error(ATTUNE_ERROR_NULL_ARGUMENT, "%s is NULL",
                         !launcher   ? "launcher"
                         : !schedule ? "schedule"
                                     : "queue");
    if (num_wait && !wait)
        return set_error(ATTUNE_ERROR_NULL_ARGUMENT, "wait is NULL with num_wait %u", num_wait);
    const struct attune_plan *plan = launcher->plan;
    attune_status status = struct_check(in, sizeof *in, "args");
    if (status != ATTUNE_OK || (status = queue_check(plan->context, queue)) != ATTUNE_OK)
        return status;
    if ((status = run_check_pair(plan, schedule)) != ATTUNE_OK)
        return status;
    if (schedule->current < 0)
        return set_error(ATTUNE_ERROR_MISMATCH, "schedule has no work list; call attune_schedule_update first");
    struct launch_memory memory = {0};
    struct attention_args args;
    struct tensor_set set;
    tensor_set_start(&set, plan->context);
    struct kv_convert convert;
    if ((status = run_bind(&set, plan, schedule, in, &memory, &args, &convert)) != ATTUNE_OK)
        return status;
    if (plan->check && (status = validate(launcher, schedule, in, &memory, &args, queue, num_wait, wait)) != ATTUNE_OK)
        return status;
    return convert.tokens
               ? enqueue_converted(launcher, schedule, &memory, &args, &convert, queue, num_wait, wait, event)
               : enqueue(launcher, schedule, &memory, &args, queue, num_wait, wait, event);
}
