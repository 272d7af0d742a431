/* SPDX-License-Identifier: Apache-2.0
 * Tensors in shared virtual memory: the host writes Q, K and V where the device reads them, and reads O where it was
 * written. Ends well without a result on a device that has none.
 *
 *     cc -std=c11 svm.c -o svm $(pkg-config --cflags --libs attune) -lm */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <attune/attune.h>

enum { TOKENS = 48, Q_HEADS = 4, KV_HEADS = 2, DIM = 64 };

static void check(int failed)
{
    if (failed) {
        fprintf(stderr, "%s\n", attune_last_error());
        exit(1);
    }
}

static attune_tensor tensor(attune_context *context, size_t bytes)
{
    attune_tensor t = ATTUNE_TENSOR_INIT;
    t.type = ATTUNE_MEMORY_SVM;
    t.svm = clSVMAlloc(attune_context_cl(context), CL_MEM_READ_WRITE, bytes, 0);
    if (!t.svm)
        exit(1);
    return t;
}

/* Causal attention of a sequence without a cache, one value of it. */
static double reference(const float *q, const float *k, const float *v, int i, int head, int dim)
{
    double sum = 0, out = 0;
    int group = head * KV_HEADS / Q_HEADS;
    for (int j = 0; j <= i; j++) {
        double s = 0;
        for (int d = 0; d < DIM; d++)
            s += (double)q[(i * Q_HEADS + head) * DIM + d] * (double)k[(j * KV_HEADS + group) * DIM + d];
        double weight = exp(s / sqrt(DIM));
        sum += weight;
        out += weight * (double)v[(j * KV_HEADS + group) * DIM + dim];
    }
    return out / sum;
}

int main(void)
{
    attune_context *context;
    check(attune_context_create(&context, NULL));
    cl_device_svm_capabilities svm = 0;
    clGetDeviceInfo(attune_context_device(context), CL_DEVICE_SVM_CAPABILITIES, sizeof svm, &svm, NULL);
    if (!(svm & CL_DEVICE_SVM_COARSE_GRAIN_BUFFER)) {
        printf("this device has no shared virtual memory\n");
        attune_context_destroy(&context);
        return 0;
    }
    cl_command_queue queue =
        clCreateCommandQueueWithProperties(attune_context_cl(context), attune_context_device(context), NULL, NULL);
    attune_attention_desc desc = ATTUNE_ATTENTION_DESC_INIT; /* causal prefill, fp32 */
    desc.num_q_heads = Q_HEADS, desc.num_kv_heads = KV_HEADS, desc.head_dim_qk = DIM;
    attune_plan *plan;
    attune_schedule *schedule;
    attune_launcher *launcher;
    check(attune_plan_create(context, &desc, NULL, NULL, &plan));
    attune_schedule_options most = ATTUNE_SCHEDULE_OPTIONS_INIT;
    most.max_batch = 1, most.max_q_tokens = TOKENS, most.max_kv_len = TOKENS;
    check(attune_schedule_create(plan, &most, &schedule));
    check(attune_launcher_create(plan, &launcher));
    size_t q_bytes = sizeof(float) * TOKENS * Q_HEADS * DIM, kv_bytes = sizeof(float) * TOKENS * KV_HEADS * DIM;
    size_t workspace;
    attune_attention_args args = ATTUNE_ATTENTION_ARGS_INIT;
    args.q = tensor(context, q_bytes), args.o = tensor(context, q_bytes);
    args.k = tensor(context, kv_bytes), args.v = tensor(context, kv_bytes);
    check(attune_plan_workspace_size(plan, schedule, &workspace));
    if (workspace)
        args.workspace = tensor(context, workspace);

    /* Coarse-grained memory is the host's between map and unmap; fine-grained memory needs neither. Its size is not
     * checked by a run: it must be as large as the shapes say. */
    attune_tensor *inputs[] = {&args.q, &args.k, &args.v};
    for (int i = 0; i < 3; i++) {
        float *values = inputs[i]->svm;
        size_t bytes = i ? kv_bytes : q_bytes;
        check(clEnqueueSVMMap(queue, CL_TRUE, CL_MAP_WRITE, values, bytes, 0, NULL, NULL));
        for (size_t n = 0; n < bytes / sizeof(float); n++)
            values[n] = 2.0f * (float)rand() / (float)RAND_MAX - 1.0f;
        check(clEnqueueSVMUnmap(queue, values, 0, NULL, NULL));
    }
    int32_t tokens = TOKENS;
    check(attune_schedule_update(schedule, queue, 1, &tokens, &tokens, 0, NULL, NULL));
    check(attune_attention_run(launcher, schedule, &args, queue, 0, NULL, NULL));
    check(clEnqueueSVMMap(queue, CL_TRUE, CL_MAP_READ, args.q.svm, q_bytes, 0, NULL, NULL));
    check(clEnqueueSVMMap(queue, CL_TRUE, CL_MAP_READ, args.k.svm, kv_bytes, 0, NULL, NULL));
    check(clEnqueueSVMMap(queue, CL_TRUE, CL_MAP_READ, args.v.svm, kv_bytes, 0, NULL, NULL));
    check(clEnqueueSVMMap(queue, CL_TRUE, CL_MAP_READ, args.o.svm, q_bytes, 0, NULL, NULL));
    const float *o = args.o.svm;
    double worst = 0;
    for (int i = 0; i < TOKENS; i++)
        for (int h = 0; h < Q_HEADS; h++)
            worst = fmax(worst, fabs((double)o[(i * Q_HEADS + h) * DIM + 5] -
                                     reference(args.q.svm, args.k.svm, args.v.svm, i, h, 5)));
    printf("%s: largest error %.1e\n", attune_plan_config(plan, 0), worst);

    attune_tensor *all[] = {&args.q, &args.k, &args.v, &args.o, &args.workspace};
    for (int i = 0; i < 4; i++)
        check(clEnqueueSVMUnmap(queue, all[i]->svm, 0, NULL, NULL));
    check(clFinish(queue)); /* nothing retains SVM while a run is queued */
    for (int i = 0; i < 5; i++)
        if (all[i]->svm)
            clSVMFree(attune_context_cl(context), all[i]->svm);
    clReleaseCommandQueue(queue);
    attune_launcher_destroy(&launcher);
    attune_schedule_destroy(&schedule);
    attune_plan_destroy(&plan);
    attune_context_destroy(&context);
    return !(worst < 1e-5);
}
