/* SPDX-License-Identifier: Apache-2.0
 * attune_merge_states. */
#include "desc.h"
#include "run.h"
#include "tensor.h"

/* One tensor with where it goes. */
struct state_tensor {
    const char *name;
    const attune_tensor *tensor;
    bool is_lse, output;
    uint32_t shares;
    abi_i64 *offset, *token, *head;
};

static attune_status bind_tensor(struct tensor_set *set, const struct attune_plan *plan, const struct state_tensor *s,
                                 int64_t tokens, struct merge_memory *memory, int index)
{
    int64_t heads = plan->desc.num_q_heads, dim = s->is_lse ? 1 : plan->desc.head_dim_vo;
    const struct expected e = {.name = s->name,
                               .dtype = s->is_lse ? ATTUNE_FP32 : plan->desc.o_dtype,
                               .tokens = tokens,
                               .heads = heads,
                               .dim = dim,
                               .packed_token = heads * dim,
                               .packed_head = dim,
                               .required = tokens > 0 && !(s->is_lse && s->output),
                               .output = s->output,
                               .shares = s->shares};
    struct placed at = {0};
    attune_status status = check_tensor(set, s->tensor, &e, &at);
    memory->arg[index].cl = s->tensor->type == ATTUNE_MEMORY_CL ? s->tensor->cl : NULL;
    memory->arg[index].svm = s->tensor->type == ATTUNE_MEMORY_SVM ? s->tensor->svm : NULL;
    *s->offset = at.offset;
    *s->token = at.stride_token;
    *s->head = at.stride_head;
    return status;
}

attune_status attune_merge_states(attune_launcher *launcher, const attune_merge_states_args *in, cl_command_queue queue,
                                  cl_uint num_wait, const cl_event *wait, cl_event *event)
{
    if (!launcher || !queue)
        return set_error(ATTUNE_ERROR_NULL_ARGUMENT, "%s is NULL", launcher ? "queue" : "launcher");
    if (num_wait && !wait)
        return set_error(ATTUNE_ERROR_NULL_ARGUMENT, "wait is NULL with num_wait %u", num_wait);
    const struct attune_plan *plan = launcher->plan;
    attune_status status = struct_check(in, sizeof *in, "args");
    if (status != ATTUNE_OK || (status = queue_check(plan->context, queue)) != ATTUNE_OK)
        return status;
    if (in->num_tokens < 0 || in->num_tokens > INT32_MAX)
        return set_error(ATTUNE_ERROR_INVALID_SIZE, "args.num_tokens is %lld; it must be 0 to %d",
                         (long long)in->num_tokens, INT32_MAX);
    struct merge_states_args args = {.num_rows = in->num_tokens * plan->desc.num_q_heads,
                                     .num_q_heads = plan->desc.num_q_heads,
                                     .num_groups = plan->merge.num_groups};
    const struct state_tensor tensors[MERGE_STATES_NUM_MEMORY] = {
        {"o_a", &in->o_a, false, false, 0, &args.o_a_offset, &args.o_a_stride_token, &args.o_a_stride_head},
        {"lse_a", &in->lse_a, true, false, 0, &args.lse_a_offset, &args.lse_a_stride_token, &args.lse_a_stride_head},
        {"o_b", &in->o_b, false, false, 0, &args.o_b_offset, &args.o_b_stride_token, &args.o_b_stride_head},
        {"lse_b", &in->lse_b, true, false, 0, &args.lse_b_offset, &args.lse_b_stride_token, &args.lse_b_stride_head},
        {"o", &in->o, false, true, 1 << 0 | 1 << 2, &args.o_offset, &args.o_stride_token, &args.o_stride_head},
        {"lse", &in->lse, true, true, 1 << 1 | 1 << 3, &args.lse_offset, &args.lse_stride_token, &args.lse_stride_head},
    };
    struct merge_memory memory = {0};
    struct tensor_set set;
    tensor_set_start(&set, plan->context);
    for (int i = 0; status == ATTUNE_OK && i < MERGE_STATES_NUM_MEMORY; i++)
        status = bind_tensor(&set, plan, &tensors[i], in->num_tokens, &memory, i);
    if (status != ATTUNE_OK || (status = check_apart(&set)) != ATTUNE_OK)
        return status;
    return merge_launch(launcher->merge_states, &plan->merge, &memory, MERGE_STATES_NUM_MEMORY, &args, sizeof args,
                        queue, num_wait, wait, event);
}
