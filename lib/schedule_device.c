/* SPDX-License-Identifier: Apache-2.0
 * Work lists from lengths in device memory: kernels/schedule.cl. */
#include <stdio.h>
#include <string.h>

#include "build.h"
#include "cl/program.h"
#include "launch.h"
#include "schedule.h"
#include "tensor.h"

/* Of the one work-group. A CPU runs its work-items one after another, so that few, with long runs of items, are best.
 */
#define GROUP_SIZE 256
#define GROUP_SIZE_CPU 16

extern const char schedule_source[];

enum schedule_kernel_arg { ARG_Q_LEN, ARG_KV_LEN, ARG_SCHEDULE, ARG_SCRATCH, ARG_ARGS };

int32_t schedule_device_group_size(const struct attune_schedule *schedule)
{
    const struct backend_choice *choice = &schedule->context->choice;
    bool serial = choice->device.type & CL_DEVICE_TYPE_CPU && choice->limits.work_group_multiple == 1;
    return program_group_size(schedule->context, serial ? GROUP_SIZE_CPU : GROUP_SIZE);
}

static cl_int set_args(cl_kernel kernel, const struct launch_pointer pointers[ARG_ARGS],
                       const struct schedule_args *args)
{
    cl_int code = CL_SUCCESS;
    for (cl_uint i = 0; code == CL_SUCCESS && i < ARG_ARGS; i++)
        code = launch_set_pointer(kernel, i, &pointers[i]);
    return code != CL_SUCCESS ? code : clSetKernelArg(kernel, ARG_ARGS, sizeof *args, args);
}

static struct schedule_args constant_args(const struct attune_schedule *schedule)
{
    const struct work_list_rules *rules = &schedule->rules;
    struct schedule_args args = {.max_q_tokens = rules->max_q_tokens,
                                 .max_kv_tokens = schedule->max_kv_tokens,
                                 .mask = rules->mask,
                                 .num_segments = rules->num_segments,
                                 .num_q_heads = rules->num_q_heads,
                                 .fixed_split = rules->fixed_split,
                                 .max_kv_len = rules->max_kv_len};
    for (int32_t i = 0; i < rules->num_segments; i++) {
        args.segments[i].tile_tokens = rules->segments[i].tile_tokens;
        args.segments[i].tile_heads = rules->segments[i].tile_heads;
        args.segments[i].split_keys = rules->segments[i].split_keys;
        args.segments[i].num_groups = rules->segments[i].num_groups;
    }
    args.new_keys = rules->operation == ATTUNE_PREFILL  ? NEW_KEYS_ALL
                    : rules->operation == ATTUNE_EXTEND ? NEW_KEYS_QUERIES
                    : rules->cached                     ? NEW_KEYS_NONE
                                                        : NEW_KEYS_ALL;
    return args;
}

static attune_status enqueue(const struct attune_schedule *schedule, cl_kernel kernel, cl_command_queue queue,
                             cl_uint num_wait, const cl_event *wait, cl_event *event)
{
    size_t size = (size_t)schedule_device_group_size(schedule);
    cl_int code = clEnqueueNDRangeKernel(queue, kernel, 1, NULL, &size, &size, num_wait, wait, event);
    return code == CL_SUCCESS ? ATTUNE_OK : cl_error(code, "clEnqueueNDRangeKernel(write_schedule)");
}

/* ---- creation */

/* One run on a step without sequences. */
static attune_status run_empty(void *priv, cl_program program)
{
    const struct attune_schedule *schedule = priv;
    cl_context cl = schedule->context->cl;
    struct schedule_args args = {.num_segments = 1, .num_q_heads = 1};
    args.segments[0].tile_tokens = args.segments[0].tile_heads = args.segments[0].num_groups = 1;
    size_t size = (size_t)schedule_device_group_size(schedule),
           scratch = (size_t)SCHEDULE_SCRATCH_WORDS(0, 1, size) * sizeof(int32_t);
    struct launch_pointer pointers[ARG_ARGS] = {0};
    cl_int code;
    attune_status status;
    cl_kernel kernel = clCreateKernel(program, "write_schedule", &code);
    if (code != CL_SUCCESS)
        return cl_error(code, "clCreateKernel(write_schedule)");
    pointers[ARG_SCHEDULE].cl = clCreateBuffer(cl, CL_MEM_READ_WRITE, SCHEDULE_HEADER * sizeof(int32_t), NULL, &code);
    if (code == CL_SUCCESS)
        pointers[ARG_SCRATCH].cl = clCreateBuffer(cl, CL_MEM_READ_WRITE, scratch, NULL, &code);
    if (code != CL_SUCCESS || (code = set_args(kernel, pointers, &args)) != CL_SUCCESS)
        status = cl_error(code, "a first run of write_schedule");
    else
        status = program_run_once(schedule->context, kernel, size, size);
    for (int i = ARG_SCHEDULE; i <= ARG_SCRATCH; i++)
        if (pointers[i].cl)
            clReleaseMemObject(pointers[i].cl);
    clReleaseKernel(kernel);
    return status;
}

attune_status schedule_device_create(struct attune_schedule *schedule)
{
    char options[32];
    snprintf(options, sizeof options, "-DWG_SIZE=%d", schedule_device_group_size(schedule));
    const struct program_source source = {"schedule", schedule_source, options, true};
    attune_status status =
        program_build_shared(schedule->context, &source, run_empty, schedule, &schedule->device.program);
    if (status != ATTUNE_OK || (status = schedule_device_kernel(schedule, &schedule->device.kernel)) != ATTUNE_OK)
        return status;
    size_t words = (size_t)SCHEDULE_SCRATCH_WORDS(schedule->rules.max_batch, schedule->rules.num_segments,
                                                  schedule_device_group_size(schedule));
    for (int i = 0; i < 2; i++) {
        cl_int code;
        schedule->device.scratch[i] =
            clCreateBuffer(schedule->context->cl, CL_MEM_READ_WRITE, words * sizeof(int32_t), NULL, &code);
        if (code != CL_SUCCESS)
            return cl_error(code, "clCreateBuffer for a schedule from device lengths");
    }
    return ATTUNE_OK;
}

void schedule_device_destroy(struct attune_schedule *schedule)
{
    struct schedule_device *device = &schedule->device;
    for (int i = 0; i < 2; i++)
        if (device->scratch[i])
            clReleaseMemObject(device->scratch[i]);
    if (device->kernel)
        clReleaseKernel(device->kernel);
    if (device->program)
        clReleaseProgram(device->program);
}

static attune_status check_option(const struct attune_schedule *schedule)
{
    return schedule->device.program
               ? ATTUNE_OK
               : set_error(ATTUNE_ERROR_MISMATCH, "schedule was created without options.device_lengths");
}

attune_status schedule_device_kernel(const struct attune_schedule *schedule, cl_kernel *out)
{
    cl_int code;
    *out = NULL;
    attune_status status = check_option(schedule);
    if (status != ATTUNE_OK)
        return status;
    *out = clCreateKernel(schedule->device.program, "write_schedule", &code);
    return code == CL_SUCCESS ? ATTUNE_OK : cl_error(code, "clCreateKernel(write_schedule)");
}

/* ---- an update */

static attune_status bind_lengths(struct tensor_set *set, const char *name, int32_t batch, const attune_tensor *tensor,
                                  struct launch_pointer *pointer, abi_i64 *offset)
{
    attune_tensor packed = *tensor;
    packed.stride_token = packed.stride_head = 0;
    const struct expected e = {name, DTYPE_INT32, batch, 1, 1, 1, 1, batch > 0, false};
    struct placed at = {0};
    attune_status status = check_tensor(set, &packed, &e, &at);
    if (status != ATTUNE_OK)
        return status;
    pointer->cl = tensor->type == ATTUNE_MEMORY_CL ? tensor->cl : NULL;
    pointer->svm = tensor->type == ATTUNE_MEMORY_SVM ? tensor->svm : NULL;
    *offset = at.offset;
    return ATTUNE_OK;
}

static void fill_segments(struct attune_schedule *schedule, int32_t batch, struct schedule_args *args)
{
    static const int32_t q_len[BUCKET_Q_CLASSES] = {1, 2, 17, 129};
    for (int q = 0; q < BUCKET_Q_CLASSES; q++)
        for (int log = 0; log < BUCKET_KV_CLASSES - 1; log++) /* int32_t lengths reach 2^30 */
            args->segment_of[q][log] = schedule_segment(schedule, batch, q_len[q], (int32_t)1 << log);
}

attune_status schedule_device_bind(struct tensor_set *set, struct attune_schedule *schedule, cl_kernel kernel, int list,
                                   const struct device_lengths *lengths)
{
    attune_status status = check_option(schedule);
    if (status != ATTUNE_OK)
        return status;
    if (!lengths->q_len || !lengths->kv_len)
        return set_error(ATTUNE_ERROR_NULL_ARGUMENT, "%s is NULL", lengths->q_len ? "kv_len" : "q_len");
    if (lengths->batch < 0 || lengths->batch > schedule->rules.max_batch)
        return set_error(ATTUNE_ERROR_INVALID_SIZE, "batch is %d; it must be 0 to the schedule's max_batch, %d",
                         lengths->batch, schedule->rules.max_batch);
    struct schedule_args args = constant_args(schedule);
    struct launch_pointer pointers[ARG_ARGS] = {[ARG_SCHEDULE] = {schedule->buffers[list].device, NULL},
                                                [ARG_SCRATCH] = {schedule->device.scratch[list], NULL}};
    if ((status =
             bind_lengths(set, "q_len", lengths->batch, lengths->q_len, &pointers[ARG_Q_LEN], &args.q_len_offset)) ||
        (status =
             bind_lengths(set, "kv_len", lengths->batch, lengths->kv_len, &pointers[ARG_KV_LEN], &args.kv_len_offset)))
        return status;
    args.batch = lengths->batch;
    fill_segments(schedule, lengths->batch, &args);
    cl_int code = set_args(kernel, pointers, &args);
    return code == CL_SUCCESS ? ATTUNE_OK : cl_error(code, "clSetKernelArg(write_schedule)");
}

static int64_t least(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

void schedule_assume_maxima(struct attune_schedule *schedule, int32_t batch)
{
    const struct work_list_rules *rules = &schedule->rules;
    int64_t keys = least(schedule->max_kv_tokens, (int64_t)batch * rules->max_kv_len), page = schedule->page_size;
    bool any = batch > 0;
    schedule->from_device = true;
    schedule->batch = batch;
    schedule->list = (struct work_list){.merge_rows = any && schedule->bounds.partial_rows > 0};
    for (int32_t i = 0; i < rules->num_segments; i++)
        schedule->list.items[i] = any;
    schedule->q_tokens = any ? rules->max_q_tokens : 0;
    schedule->new_tokens = rules->operation == ATTUNE_EXTEND ? schedule->q_tokens : rules->cached ? 0 : keys;
    schedule->cached_tokens = rules->cached ? keys : 0;
    schedule->widest_pages = rules->cached && any ? (rules->max_kv_len + page - 1) / page : 0;
    /* Each sequence's last page may hold one token. */
    schedule->cached_pages =
        rules->cached ? least(batch * schedule->widest_pages, (keys + batch * (page - 1)) / page) : 0;
}

attune_status attune_schedule_update_device(attune_schedule *schedule, cl_command_queue queue, int32_t batch,
                                            const attune_tensor *q_len, const attune_tensor *kv_len, cl_uint num_wait,
                                            const cl_event *wait, cl_event *event)
{
    if (!schedule || !queue)
        return set_error(ATTUNE_ERROR_NULL_ARGUMENT, "%s is NULL", schedule ? "queue" : "schedule");
    if (num_wait && !wait)
        return set_error(ATTUNE_ERROR_NULL_ARGUMENT, "wait is NULL with num_wait %u", num_wait);
    const struct device_lengths lengths = {batch, q_len, kv_len};
    struct tensor_set set;
    tensor_set_start(&set, schedule->context);
    int list = schedule_next_list(schedule);
    attune_status status = queue_check(schedule->context, queue);
    if (status != ATTUNE_OK ||
        (status = schedule_device_bind(&set, schedule, schedule->device.kernel, list, &lengths)) != ATTUNE_OK ||
        (status = enqueue(schedule, schedule->device.kernel, queue, num_wait, wait, event)) != ATTUNE_OK)
        return status;
    schedule->current = list;
    schedule_assume_maxima(schedule, schedule->update_recorded ? schedule->rules.max_batch : batch);
    return ATTUNE_OK;
}

/* ---- what a device list's header says */

attune_status schedule_device_error(const struct attune_schedule *schedule, const int32_t *header)
{
    const struct work_list_rules *rules = &schedule->rules;
    int32_t seq = header[SCHEDULE_ERROR_SEQ];
    switch (header[SCHEDULE_ERROR]) {
    case SCHEDULE_ERROR_NONE:
        return ATTUNE_OK;
    case SCHEDULE_ERROR_Q_TOKENS:
        return set_error(ATTUNE_ERROR_INVALID_SIZE,
                         "q_len on the device sums to more than the schedule's max_q_tokens, %lld",
                         (long long)rules->max_q_tokens);
    case SCHEDULE_ERROR_KV_TOKENS:
        return set_error(ATTUNE_ERROR_INVALID_SIZE,
                         "kv_len on the device sums to more than the schedule's max_kv_tokens, %lld",
                         (long long)schedule->max_kv_tokens);
    default:
        return schedule_refuse_lengths(schedule, seq, header[SCHEDULE_ERROR_Q_LEN], header[SCHEDULE_ERROR_KV_LEN]);
    }
}
