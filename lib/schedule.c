/* SPDX-License-Identifier: Apache-2.0
 * The device's copy of a step's work list, and the staging memory that it is written in. */
#include "schedule.h"

#include <stdlib.h>
#include <string.h>

#include "cl/program.h"
#include "desc.h"

#define MAX_BATCH (1 << 20)

static attune_status allocate(struct attune_schedule *schedule)
{
    size_t bytes = (size_t)schedule->bounds.words * sizeof(int32_t);
    schedule->segment_of = malloc((size_t)schedule->rules.max_batch);
    for (int i = 0; i < 2; i++) {
        cl_int code;
        schedule->buffers[i].host = malloc(bytes);
        schedule->buffers[i].device = clCreateBuffer(schedule->context->cl, CL_MEM_READ_WRITE, bytes, NULL, &code);
        if (code != CL_SUCCESS)
            return cl_error(code, "clCreateBuffer for a schedule");
        if (!schedule->segment_of || !schedule->buffers[i].host)
            return set_error(ATTUNE_ERROR_OUT_OF_MEMORY, "out of memory for a schedule of %zu bytes", bytes);
    }
    return ATTUNE_OK;
}

static attune_status copy_table(struct attune_schedule *schedule, const attune_plan *plan)
{
    schedule->table.desc = plan->desc;
    schedule->table.num_configs = plan->num_configs;
    schedule->table.num_points = plan->num_points;
    size_t bytes = (size_t)plan->num_points * sizeof *plan->points;
    schedule->table.points = malloc(bytes);
    if (!schedule->table.points)
        return set_error(ATTUNE_ERROR_OUT_OF_MEMORY, "out of memory for a schedule");
    memcpy(schedule->table.points, plan->points, bytes);
    return ATTUNE_OK;
}

static attune_status check_options(const attune_schedule_options *o)
{
    attune_status status = struct_check(o, sizeof *o, "options");
    if (status != ATTUNE_OK)
        return status;
    if (o->max_batch < 1 || o->max_batch > MAX_BATCH)
        return set_error(ATTUNE_ERROR_INVALID_SIZE, "options.max_batch is %d; it must be 1 to %d", o->max_batch,
                         MAX_BATCH);
    if (o->max_q_tokens < 1 || o->max_q_tokens > INT32_MAX)
        return set_error(ATTUNE_ERROR_INVALID_SIZE, "options.max_q_tokens is %lld; it must be 1 to %d",
                         (long long)o->max_q_tokens, INT32_MAX);
    if (o->max_kv_len < 0)
        return set_error(ATTUNE_ERROR_INVALID_SIZE, "options.max_kv_len is %d; it must not be negative", o->max_kv_len);
    if (o->batch_invariant < 0 || o->batch_invariant % SPLIT_UNIT)
        return set_error(ATTUNE_ERROR_INVALID_SIZE, "options.batch_invariant is %d; it must be 0 or a multiple of %d",
                         o->batch_invariant, SPLIT_UNIT);
    if (o->batch_invariant && !o->max_kv_len)
        return set_error(ATTUNE_ERROR_INVALID_SIZE,
                         "options.max_kv_len is 0; with batch_invariant it bounds the number of splits");
    if (o->max_kv_tokens < 0 || o->max_kv_tokens > INT32_MAX)
        return set_error(ATTUNE_ERROR_INVALID_SIZE, "options.max_kv_tokens is %lld; it must be 0 to %d",
                         (long long)o->max_kv_tokens, INT32_MAX);
    if (o->device_lengths != 0 && o->device_lengths != 1)
        return set_error(ATTUNE_ERROR_INVALID_SIZE, "options.device_lengths is %d; it must be 0 or 1",
                         o->device_lengths);
    if (o->device_lengths && !o->max_kv_len)
        return set_error(ATTUNE_ERROR_INVALID_SIZE,
                         "options.max_kv_len is 0; with device_lengths it is all that the host knows of lengths");
    return ATTUNE_OK;
}

static int64_t most_kv_tokens(const attune_schedule_options *options)
{
    int64_t most = (int64_t)options->max_batch * (options->max_kv_len ? options->max_kv_len : INT32_MAX);
    if (options->max_kv_tokens && options->max_kv_tokens < most)
        return options->max_kv_tokens;
    return most < INT32_MAX ? most : INT32_MAX;
}

static void set_rules(struct attune_schedule *schedule, const attune_plan *plan, const attune_schedule_options *options)
{
    const attune_attention_desc *desc = &plan->desc;
    schedule->rules = (struct work_list_rules){
        .operation = desc->operation,
        .mask = {desc->mask == ATTUNE_MASK_CAUSAL, desc->causal_alignment == ATTUNE_TOP_LEFT},
        .cached = plan->has_layout,
        .num_q_heads = desc->num_q_heads,
        .num_segments = plan->num_configs,
        .max_batch = options->max_batch,
        .max_kv_len = options->max_kv_len ? options->max_kv_len : INT32_MAX,
        .max_q_tokens = options->max_q_tokens,
        .max_kv_tokens = schedule->max_kv_tokens < INT32_MAX ? schedule->max_kv_tokens : 0,
        .fixed_split = options->batch_invariant,
    };
    for (int32_t i = 0; i < plan->num_configs; i++) {
        const struct plan_config *config = &plan->configs[i];
        schedule->rules.segments[i] =
            (struct segment_shape){config->resources.tile_tokens, config->resources.tile_heads,
                                   config->resources.split_keys, config->num_groups};
    }
}

/* Sizes what the largest step needs, and refuses what cannot be had. */
static attune_status check_bounds(struct attune_schedule *schedule, const attune_plan *plan,
                                  const attune_schedule_options *o)
{
    if (!work_list_bounds(&schedule->rules, &schedule->bounds))
        return set_error(
            ATTUNE_ERROR_OVERFLOW,
            "a work list for options.max_q_tokens %lld, max_batch %d, max_kv_len %d and max_kv_tokens %lld "
            "exceeds 8 GiB, or 2^31 partial rows; lower max_kv_tokens or max_batch%s",
            (long long)o->max_q_tokens, o->max_batch, o->max_kv_len, (long long)o->max_kv_tokens,
            o->batch_invariant ? ", or raise batch_invariant" : "");
    int64_t most = plan->context->choice.device.max_alloc_bytes;
    int64_t workspace = schedule->bounds.partial_rows * (plan->desc.head_dim_vo + 1) * (int64_t)sizeof(float);
    if (!most || workspace <= most)
        return ATTUNE_OK;
    return set_error(
        ATTUNE_ERROR_INVALID_SIZE,
        "runs would need a workspace of %lld bytes; the device's largest buffer has %lld. options.max_kv_tokens "
        "(%lld), the keys of one step, bounds it with max_batch (%d) and max_q_tokens (%lld): lower one of "
        "them%s",
        (long long)workspace, (long long)most, (long long)o->max_kv_tokens, o->max_batch, (long long)o->max_q_tokens,
        o->batch_invariant ? ", or raise batch_invariant" : "");
}

attune_status attune_schedule_create(const attune_plan *plan, const attune_schedule_options *options,
                                     attune_schedule **out)
{
    if (!out)
        return set_error(ATTUNE_ERROR_NULL_ARGUMENT, "out is NULL");
    *out = NULL;
    if (!plan)
        return set_error(ATTUNE_ERROR_NULL_ARGUMENT, "plan is NULL");
    attune_status status = check_options(options);
    if (status != ATTUNE_OK)
        return status;
    struct attune_schedule *schedule = calloc(1, sizeof *schedule);
    if (!schedule)
        return set_error(ATTUNE_ERROR_OUT_OF_MEMORY, "out of memory for a schedule");
    schedule->context = plan->context;
    schedule->page_size = plan->has_layout ? plan->layout.page_size : 0;
    memcpy(schedule->signature, plan->signature, sizeof schedule->signature);
    schedule->current = -1;
    schedule->memo.log2_heads = -1;
    schedule->has_max_kv_len = options->max_kv_len > 0;
    schedule->max_kv_tokens = most_kv_tokens(options);
    set_rules(schedule, plan, options);
    if ((status = check_bounds(schedule, plan, options)) == ATTUNE_OK &&
        (status = copy_table(schedule, plan)) == ATTUNE_OK)
        status = allocate(schedule);
    if (status == ATTUNE_OK && options->device_lengths)
        status = schedule_device_create(schedule);
    if (status != ATTUNE_OK)
        attune_schedule_destroy(&schedule);
    *out = schedule;
    return status;
}

void attune_schedule_destroy(attune_schedule **address)
{
    if (!address || !*address)
        return;
    struct attune_schedule *schedule = *address;
    *address = NULL;
    for (int i = 0; i < 2; i++) {
        struct schedule_buffer *buffer = &schedule->buffers[i];
        if (buffer->written) {
            clWaitForEvents(1, &buffer->written); /* the copy reads the staging memory */
            clReleaseEvent(buffer->written);
        }
        if (buffer->device)
            clReleaseMemObject(buffer->device);
        free(buffer->host);
    }
    schedule_device_destroy(schedule);
    free(schedule->table.points);
    free(schedule->segment_of);
    free(schedule);
}

/* Sums of a step's lengths. */
struct totals {
    int64_t q_tokens, new_tokens, cached_tokens, cached_pages, widest_pages;
};

attune_status schedule_refuse_lengths(const struct attune_schedule *schedule, int32_t i, int32_t q, int32_t kv)
{
    if (q < 0 || kv < 0)
        return set_error(ATTUNE_ERROR_INVALID_SIZE, "%s[%d] is %d; it must not be negative", q < 0 ? "q_len" : "kv_len",
                         i, q < 0 ? q : kv);
    if (kv > schedule->rules.max_kv_len)
        return set_error(ATTUNE_ERROR_INVALID_SIZE, "kv_len[%d] is %d; the schedule's max_kv_len is %d", i, kv,
                         schedule->rules.max_kv_len);
    return set_error(ATTUNE_ERROR_INVALID_SIZE, "kv_len[%d] is %d; it counts the prefix and the %d new tokens", i, kv,
                     q);
}

static attune_status check_step(const struct attune_schedule *schedule, const struct step *step, struct totals *sum)
{
    const struct work_list_rules *rules = &schedule->rules;
    if (step->batch < 0 || step->batch > rules->max_batch)
        return set_error(ATTUNE_ERROR_INVALID_SIZE, "batch is %d; it must be 0 to the schedule's max_batch, %d",
                         step->batch, rules->max_batch);
    if (step->batch && (!step->q_len || !step->kv_len))
        return set_error(ATTUNE_ERROR_NULL_ARGUMENT, "%s is NULL", step->q_len ? "kv_len" : "q_len");
    for (int32_t i = 0; i < step->batch; i++) {
        int32_t q = step->q_len[i], kv = step->kv_len[i], fresh = work_list_new_keys(rules, q, kv);
        if (q < 0 || kv < 0 || kv > rules->max_kv_len || fresh > kv)
            return schedule_refuse_lengths(schedule, i, q, kv);
        sum->q_tokens += q;
        sum->new_tokens += fresh;
        sum->cached_tokens += kv - fresh;
        uint32_t cached = (uint32_t)(kv - fresh), page_size = (uint32_t)schedule->page_size;
        int64_t pages = page_size > 1 ? (cached + page_size - 1) / page_size : page_size ? cached : 0;
        sum->cached_pages += pages;
        sum->widest_pages = pages > sum->widest_pages ? pages : sum->widest_pages;
    }
    if (sum->q_tokens > rules->max_q_tokens)
        return set_error(ATTUNE_ERROR_INVALID_SIZE, "q_len sums to %lld; the schedule's max_q_tokens is %lld",
                         (long long)sum->q_tokens, (long long)rules->max_q_tokens);
    if (sum->new_tokens + sum->cached_tokens > schedule->max_kv_tokens && schedule->max_kv_tokens < INT32_MAX)
        return set_error(ATTUNE_ERROR_INVALID_SIZE, "kv_len sums to %lld; the schedule's max_kv_tokens is %lld",
                         (long long)(sum->new_tokens + sum->cached_tokens), (long long)schedule->max_kv_tokens);
    if (sum->new_tokens > INT32_MAX || sum->cached_tokens > INT32_MAX)
        return set_error(ATTUNE_ERROR_OVERFLOW, "kv_len sums to more than %d keys", INT32_MAX);
    return ATTUNE_OK;
}

uint8_t schedule_segment(struct attune_schedule *schedule, int32_t batch, int32_t q_len, int32_t kv_len)
{
    struct bucket_memo *memo = &schedule->memo;
    if (schedule->table.num_configs == 1)
        return 0;
    if (schedule->rules.fixed_split)
        batch = 1;
    struct shape_bucket bucket = shape_bucket_uniform(&schedule->table.desc, batch, q_len, kv_len);
    if (bucket.log2_heads != memo->log2_heads) {
        memset(memo->config, PLAN_MAX_CONFIGS, sizeof memo->config);
        memo->log2_heads = bucket.log2_heads;
    }
    uint8_t *config = &memo->config[bucket.q_class][bucket.log2_kv];
    if (*config == PLAN_MAX_CONFIGS)
        *config = (uint8_t)plan_config_for(&schedule->table, batch, q_len, kv_len);
    return *config;
}

static void choose_segments(struct attune_schedule *schedule, const struct step *step)
{
    for (int32_t i = 0; i < step->batch; i++)
        schedule->segment_of[i] = schedule_segment(schedule, step->batch, step->q_len[i], step->kv_len[i]);
}

int schedule_next_list(const struct attune_schedule *schedule)
{
    return schedule->recorded ? schedule->current : schedule->current == 0;
}

static attune_status take_staging(struct schedule_buffer *buffer)
{
    if (!buffer->written)
        return ATTUNE_OK;
    cl_int state = CL_QUEUED;
    cl_int code = clGetEventInfo(buffer->written, CL_EVENT_COMMAND_EXECUTION_STATUS, sizeof state, &state, NULL);
    if (code != CL_SUCCESS)
        return cl_error(code, "clGetEventInfo of a schedule's upload");
    if (state > CL_COMPLETE)
        return set_error(ATTUNE_ERROR_BUSY,
                         "schedule: the copy of the update before last has not finished; wait for its event");
    clReleaseEvent(buffer->written);
    buffer->written = NULL;
    return ATTUNE_OK;
}

/* What runs ask of the last update. */
static void remember(struct attune_schedule *schedule, int32_t batch, const struct work_list *list,
                     const struct totals *sum)
{
    schedule->from_device = false;
    schedule->batch = batch;
    schedule->list = *list;
    schedule->q_tokens = sum->q_tokens;
    schedule->new_tokens = sum->new_tokens;
    schedule->cached_tokens = sum->cached_tokens;
    schedule->cached_pages = sum->cached_pages;
    schedule->widest_pages = sum->widest_pages;
    if (schedule->update_recorded)
        schedule_assume_maxima(schedule, schedule->rules.max_batch);
}

attune_status attune_schedule_update(attune_schedule *schedule, cl_command_queue queue, int32_t batch,
                                     const int32_t *q_len, const int32_t *kv_len, cl_uint num_wait,
                                     const cl_event *wait, cl_event *event)
{
    if (!schedule || !queue)
        return set_error(ATTUNE_ERROR_NULL_ARGUMENT, "%s is NULL", schedule ? "queue" : "schedule");
    if (num_wait && !wait)
        return set_error(ATTUNE_ERROR_NULL_ARGUMENT, "wait is NULL with num_wait %u", num_wait);
    const struct step step = {batch, q_len, kv_len, schedule->segment_of};
    struct totals sum = {0};
    attune_status status = queue_check(schedule->context, queue);
    if (status != ATTUNE_OK || (status = check_step(schedule, &step, &sum)) != ATTUNE_OK)
        return status;
    int next = schedule_next_list(schedule);
    struct schedule_buffer *staging = &schedule->buffers[schedule->next_staging];
    if ((status = take_staging(staging)) != ATTUNE_OK)
        return status;
    struct work_list list;
    choose_segments(schedule, &step);
    work_list_write(&schedule->rules, &step, staging->host, &list);
    cl_int code = clEnqueueWriteBuffer(queue, schedule->buffers[next].device, CL_FALSE, 0, list.words * sizeof(int32_t),
                                       staging->host, num_wait, wait, &staging->written);
    if (code != CL_SUCCESS) {
        staging->written = NULL;
        return cl_error(code, "clEnqueueWriteBuffer of a schedule");
    }
    schedule->next_staging = !schedule->next_staging;
    schedule->current = next;
    remember(schedule, batch, &list, &sum);
    if (event) {
        clRetainEvent(staging->written);
        *event = staging->written;
    }
    return ATTUNE_OK;
}
