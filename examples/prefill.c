/* SPDX-License-Identifier: Apache-2.0
 * Prefill on device buffers, as an engine would: `prefill` takes the best kernel known, `prefill measure` tunes for
 * this shape first (half a minute, once), `prefill cached` insists on a tuned kernel.
 *
 *     cc -std=c11 prefill.c -o prefill $(pkg-config --cflags --libs attune) */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <attune/attune.h>

static void check(int failed)
{
    if (failed) {
        fprintf(stderr, "%s\n", attune_last_error());
        exit(1);
    }
}

static attune_tensor tensor(attune_context *context, size_t elements)
{
    attune_tensor t = ATTUNE_TENSOR_INIT;
    float *zeros = calloc(elements, sizeof *zeros);
    t.type = ATTUNE_MEMORY_CL;
    t.cl = clCreateBuffer(attune_context_cl(context), CL_MEM_COPY_HOST_PTR, elements * sizeof *zeros, zeros, NULL);
    free(zeros);
    return t;
}

int main(int argc, char **argv)
{
    attune_context *context;
    check(attune_context_create(&context, NULL));
    attune_attention_desc desc = ATTUNE_ATTENTION_DESC_INIT; /* causal prefill in fp32 */
    desc.num_q_heads = 8, desc.num_kv_heads = 2, desc.head_dim_qk = 64;
    int32_t tokens = 256;
    attune_shape shape = {1, tokens, tokens};
    attune_plan_options options = ATTUNE_PLAN_OPTIONS_INIT;
    const char *policy = argc > 1 ? argv[1] : "estimate";
    options.policy = !strcmp(policy, "measure")  ? ATTUNE_MEASURE
                     : !strcmp(policy, "cached") ? ATTUNE_CACHED_ONLY
                                                 : ATTUNE_ESTIMATE;
    options.shapes = &shape, options.num_shapes = 1;
    options.budget_tests = 40, options.budget_seconds = 30;
    attune_plan *plan;
    check(attune_plan_create(context, &desc, NULL, &options, &plan));
    printf("%s: %s\n", attune_plan_source(plan, 0), attune_plan_config(plan, 0));

    attune_schedule_options most = ATTUNE_SCHEDULE_OPTIONS_INIT;
    most.max_batch = 1, most.max_q_tokens = tokens;
    attune_schedule *schedule;
    attune_launcher *launcher;
    check(attune_schedule_create(plan, &most, &schedule));
    check(attune_launcher_create(plan, &launcher));
    attune_attention_args args = ATTUNE_ATTENTION_ARGS_INIT;
    args.q = tensor(context, (size_t)tokens * 8 * 64), args.o = tensor(context, (size_t)tokens * 8 * 64);
    args.k = tensor(context, (size_t)tokens * 2 * 64), args.v = tensor(context, (size_t)tokens * 2 * 64);
    size_t workspace;
    check(attune_plan_workspace_size(plan, schedule, &workspace));
    if (workspace)
        args.workspace = tensor(context, workspace / sizeof(float));

    cl_command_queue queue =
        clCreateCommandQueueWithProperties(attune_context_cl(context), attune_context_device(context), NULL, NULL);
    check(attune_schedule_update(schedule, queue, 1, &tokens, &tokens, 0, NULL, NULL));
    check(attune_attention_run(launcher, schedule, &args, queue, 0, NULL, NULL)); /* once a layer */
    check(clFinish(queue));

    clReleaseCommandQueue(queue);
    cl_mem buffers[] = {args.q.cl, args.k.cl, args.v.cl, args.o.cl, args.workspace.cl};
    for (int i = 0; i < 5; i++)
        if (buffers[i])
            clReleaseMemObject(buffers[i]);
    attune_launcher_destroy(&launcher);
    attune_schedule_destroy(&schedule);
    attune_plan_destroy(&plan);
    attune_context_destroy(&context);
    return 0;
}
