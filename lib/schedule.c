/* SPDX-License-Identifier: Apache-2.0
 *
 * The work list of a step. A sequence's queries are cut into tiles of its configuration; one item is a tile times a
 * group of query heads. Items are sorted by falling cost (queries x keys) with a counting sort over half octaves, so
 * that the strided distribution of a fixed grid is balanced: the longest-processing-time rule of list scheduling
 * (Graham 1969). Within one class of cost, items of a head stand together, so that neighbours share K and V.
 */
#include "schedule.h"

#include <stdlib.h>
#include <string.h>

#include "cl/program.h"
#include "desc.h"

#define MAX_BATCH (1 << 20)
#define COST_CLASSES 128 /* two an octave of a 63-bit cost */

static int64_t head_groups(const struct attune_schedule *schedule, int32_t segment)
{
    return schedule->desc.num_q_heads / schedule->segments[segment].tile_heads;
}

/* Words for the worst case: every sequence ends in a partly filled tile. */
static bool worst_case_words(const struct attune_schedule *schedule, int64_t *words)
{
    int64_t worst = 0;
    for (int32_t s = 0; s < schedule->num_segments; s++) {
        int64_t tiles, items;
        if (__builtin_add_overflow(schedule->max_q_tokens / schedule->segments[s].tile_tokens, schedule->max_batch,
                                   &tiles) ||
            __builtin_mul_overflow(tiles, head_groups(schedule, s), &items))
            return false;
        worst = items > worst ? items : worst;
    }
    int64_t item_words, sequence_words = (int64_t)schedule->max_batch * SEQUENCE_WORDS;
    return !__builtin_mul_overflow(worst, (int64_t)ITEM_WORDS, &item_words) &&
           !__builtin_add_overflow(item_words, sequence_words + SCHEDULE_HEADER, words) && *words <= INT32_MAX;
}

static attune_status allocate(struct attune_schedule *schedule)
{
    size_t bytes = (size_t)schedule->capacity_words * sizeof(int32_t);
    schedule->segment_of = malloc((size_t)schedule->max_batch);
    for (int i = 0; i < 2; i++) {
        cl_int code;
        schedule->buffers[i].host = malloc(bytes);
        schedule->buffers[i].device = clCreateBuffer(schedule->context->cl, CL_MEM_READ_ONLY, bytes, NULL, &code);
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

attune_status attune_schedule_create(const attune_plan *plan, const attune_schedule_options *options,
                                     attune_schedule **out)
{
    if (!out)
        return set_error(ATTUNE_ERROR_NULL_ARGUMENT, "out is NULL");
    *out = NULL;
    if (!plan)
        return set_error(ATTUNE_ERROR_NULL_ARGUMENT, "plan is NULL");
    attune_status status = struct_check(options, sizeof *options, "options");
    if (status != ATTUNE_OK)
        return status;
    if (options->max_batch < 1 || options->max_batch > MAX_BATCH)
        return set_error(ATTUNE_ERROR_INVALID_SIZE, "options.max_batch is %d; it must be 1 to %d", options->max_batch,
                         MAX_BATCH);
    if (options->max_q_tokens < 1 || options->max_q_tokens > INT32_MAX)
        return set_error(ATTUNE_ERROR_INVALID_SIZE, "options.max_q_tokens is %lld; it must be 1 to %d",
                         (long long)options->max_q_tokens, INT32_MAX);
    struct attune_schedule *schedule = calloc(1, sizeof *schedule);
    if (!schedule)
        return set_error(ATTUNE_ERROR_OUT_OF_MEMORY, "out of memory for a schedule");
    schedule->context = plan->context;
    schedule->desc = plan->desc;
    schedule->page_size = plan->has_layout ? plan->layout.page_size : 0;
    memcpy(schedule->signature, plan->signature, sizeof schedule->signature);
    schedule->max_batch = options->max_batch;
    schedule->max_q_tokens = options->max_q_tokens;
    schedule->current = -1;
    schedule->num_segments = plan->num_configs;
    for (int32_t i = 0; i < plan->num_configs; i++)
        schedule->segments[i] =
            (struct segment_shape){plan->configs[i].resources.tile_tokens, plan->configs[i].resources.tile_heads};
    if (!worst_case_words(schedule, &schedule->capacity_words))
        status =
            set_error(ATTUNE_ERROR_OVERFLOW, "a work list for options.max_q_tokens %lld and max_batch %d exceeds 8 GiB",
                      (long long)options->max_q_tokens, options->max_batch);
    else if ((status = copy_table(schedule, plan)) == ATTUNE_OK)
        status = allocate(schedule);
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
    free(schedule->table.points);
    free(schedule->segment_of);
    free(schedule);
}

/* Sums and limits of a step's lengths. */
struct step {
    int32_t batch;
    const int32_t *q_len, *kv_len;
    int64_t q_tokens, new_tokens, cached_tokens, cached_pages, widest_pages;
};

static int32_t new_keys(const struct attune_schedule *schedule, int32_t q_len, int32_t kv_len)
{
    switch (schedule->desc.operation) {
    case ATTUNE_PREFILL:
        return kv_len;
    case ATTUNE_EXTEND:
        return q_len;
    default:
        return schedule->page_size ? 0 : kv_len;
    }
}

static attune_status check_step(const struct attune_schedule *schedule, struct step *step)
{
    if (step->batch < 0 || step->batch > schedule->max_batch)
        return set_error(ATTUNE_ERROR_INVALID_SIZE, "batch is %d; it must be 0 to the schedule's max_batch, %d",
                         step->batch, schedule->max_batch);
    if (step->batch && (!step->q_len || !step->kv_len))
        return set_error(ATTUNE_ERROR_NULL_ARGUMENT, "%s is NULL", step->q_len ? "kv_len" : "q_len");
    for (int32_t i = 0; i < step->batch; i++) {
        int32_t q = step->q_len[i], kv = step->kv_len[i], fresh = new_keys(schedule, q, kv);
        if (q < 0 || kv < 0)
            return set_error(ATTUNE_ERROR_INVALID_SIZE, "%s[%d] is %d; it must not be negative",
                             q < 0 ? "q_len" : "kv_len", i, q < 0 ? q : kv);
        if (fresh > kv)
            return set_error(ATTUNE_ERROR_INVALID_SIZE, "kv_len[%d] is %d; it counts the prefix and the %d new tokens",
                             i, kv, q);
        step->q_tokens += q;
        step->new_tokens += fresh;
        step->cached_tokens += kv - fresh;
        int64_t pages = schedule->page_size ? ((int64_t)kv - fresh + schedule->page_size - 1) / schedule->page_size : 0;
        step->cached_pages += pages;
        step->widest_pages = pages > step->widest_pages ? pages : step->widest_pages;
    }
    if (step->q_tokens > schedule->max_q_tokens)
        return set_error(ATTUNE_ERROR_INVALID_SIZE, "q_len sums to %lld; the schedule's max_q_tokens is %lld",
                         (long long)step->q_tokens, (long long)schedule->max_q_tokens);
    if (step->new_tokens > INT32_MAX || step->cached_tokens > INT32_MAX)
        return set_error(ATTUNE_ERROR_OVERFLOW, "kv_len sums to more than %d keys", INT32_MAX);
    return ATTUNE_OK;
}

static int32_t first_position(const attune_attention_desc *desc, int32_t q_len, int32_t kv_len)
{
    return desc->causal_alignment == ATTUNE_TOP_LEFT ? 0 : kv_len - q_len;
}

static void write_sequences(struct attune_schedule *schedule, const struct step *step, int32_t *words)
{
    int32_t q_start = 0, new_start = 0;
    for (int32_t i = 0; i < step->batch; i++) {
        int32_t q = step->q_len[i], kv = step->kv_len[i], fresh = new_keys(schedule, q, kv);
        int32_t *sequence = words + (size_t)i * SEQUENCE_WORDS;
        sequence[SEQ_Q_START] = q_start;
        sequence[SEQ_Q_LEN] = q;
        sequence[SEQ_CACHE_LEN] = kv - fresh;
        sequence[SEQ_NEW_START] = new_start;
        sequence[SEQ_NEW_LEN] = fresh;
        sequence[SEQ_Q_POS] = first_position(&schedule->desc, q, kv);
        sequence[SEQ_PARTIAL] = -1;
        sequence[SEQ_SPLIT_KEYS] = 0;
        q_start += q;
        new_start += fresh;
        schedule->segment_of[i] = (uint8_t)plan_config_for(&schedule->table, step->batch, q, kv);
    }
}

/* Tile t of sequence i: its queries, and the keys that any of them may see. */
struct tile {
    int32_t q_begin, q_count, kv_end;
};

static struct tile tile_of(const struct attune_schedule *schedule, const struct step *step, int32_t i, int32_t t)
{
    int32_t tokens = schedule->segments[schedule->segment_of[i]].tile_tokens;
    int32_t q = step->q_len[i], kv = step->kv_len[i];
    struct tile tile = {t * tokens, tokens, kv};
    if (tile.q_count > q - tile.q_begin)
        tile.q_count = q - tile.q_begin;
    if (schedule->desc.mask == ATTUNE_MASK_CAUSAL) {
        int64_t end = (int64_t)first_position(&schedule->desc, q, kv) + tile.q_begin + tile.q_count;
        tile.kv_end = end < 0 ? 0 : end < kv ? (int32_t)end : kv;
    }
    return tile;
}

static int32_t num_tiles(const struct attune_schedule *schedule, const struct step *step, int32_t i)
{
    int32_t tokens = schedule->segments[schedule->segment_of[i]].tile_tokens;
    return (int32_t)(((int64_t)step->q_len[i] + tokens - 1) / tokens);
}

/* 0 for the most costly. */
static int cost_class(const struct tile *tile)
{
    uint64_t cost = (uint64_t)tile->q_count * ((uint64_t)tile->kv_end + 1);
    int log = 63 - __builtin_clzll(cost);
    int half = log > 0 && (cost >> (log - 1) & 1);
    return COST_CLASSES - 1 - (2 * log + half);
}

struct placement {
    int32_t next[SCHEDULE_MAX_SEGMENTS][COST_CLASSES]; /* item index */
};

static void count_items(const struct attune_schedule *schedule, const struct step *step, struct placement *placement)
{
    memset(placement, 0, sizeof *placement);
    for (int32_t i = 0; i < step->batch; i++) {
        int32_t segment = schedule->segment_of[i], groups = (int32_t)head_groups(schedule, segment);
        for (int32_t t = 0, tiles = num_tiles(schedule, step, i); t < tiles; t++) {
            struct tile tile = tile_of(schedule, step, i, t);
            placement->next[segment][cost_class(&tile)] += groups;
        }
    }
}

/* Turns counts into first indices; writes the header's segments. */
static void place_segments(struct attune_schedule *schedule, struct placement *placement, int32_t *header)
{
    int32_t first = 0;
    for (int32_t s = 0; s < schedule->num_segments; s++) {
        header[4 + 2 * s] = first;
        for (int c = 0; c < COST_CLASSES; c++) {
            int32_t count = placement->next[s][c];
            placement->next[s][c] = first;
            first += count;
        }
        schedule->items[s] = header[5 + 2 * s] = first - header[4 + 2 * s];
    }
}

static void write_items(const struct attune_schedule *schedule, const struct step *step, struct placement *placement,
                        int32_t *words)
{
    for (int32_t head = 0; head < schedule->desc.num_q_heads; head++)
        for (int32_t i = 0; i < step->batch; i++) {
            int32_t segment = schedule->segment_of[i];
            if (head % schedule->segments[segment].tile_heads)
                continue;
            for (int32_t t = 0, tiles = num_tiles(schedule, step, i); t < tiles; t++) {
                struct tile tile = tile_of(schedule, step, i, t);
                int32_t *item = words + (size_t)placement->next[segment][cost_class(&tile)]++ * ITEM_WORDS;
                item[ITEM_SEQ] = i;
                item[ITEM_HEAD] = head;
                item[ITEM_Q_BEGIN] = tile.q_begin;
                item[ITEM_Q_COUNT] = tile.q_count;
                item[ITEM_KV_BEGIN] = 0;
                item[ITEM_KV_END] = tile.kv_end;
                item[ITEM_SPLIT] = item[ITEM_RESERVED] = 0;
            }
        }
}

/* Fills words and returns how many there are. */
static size_t write_list(struct attune_schedule *schedule, const struct step *step, int32_t *words)
{
    struct placement placement;
    int32_t first_item = SCHEDULE_HEADER + step->batch * SEQUENCE_WORDS;
    memset(words, 0, SCHEDULE_HEADER * sizeof *words);
    words[SCHEDULE_WORD_VERSION] = SCHEDULE_VERSION;
    words[SCHEDULE_SEQUENCES] = step->batch;
    words[SCHEDULE_SEQUENCES_AT] = SCHEDULE_HEADER;
    words[SCHEDULE_ITEMS_AT] = first_item;
    write_sequences(schedule, step, words + SCHEDULE_HEADER);
    count_items(schedule, step, &placement);
    place_segments(schedule, &placement, words);
    write_items(schedule, step, &placement, words + first_item);
    int32_t last = schedule->num_segments - 1;
    return (size_t)first_item + (size_t)(words[4 + 2 * last] + words[5 + 2 * last]) * ITEM_WORDS;
}

static attune_status take_buffer(struct schedule_buffer *buffer)
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

attune_status attune_schedule_update(attune_schedule *schedule, cl_command_queue queue, int32_t batch,
                                     const int32_t *q_len, const int32_t *kv_len, cl_uint num_wait,
                                     const cl_event *wait, cl_event *event)
{
    if (!schedule || !queue)
        return set_error(ATTUNE_ERROR_NULL_ARGUMENT, "%s is NULL", schedule ? "queue" : "schedule");
    if (num_wait && !wait)
        return set_error(ATTUNE_ERROR_NULL_ARGUMENT, "wait is NULL with num_wait %u", num_wait);
    struct step step = {.batch = batch, .q_len = q_len, .kv_len = kv_len};
    attune_status status = queue_check(schedule->context, queue);
    if (status != ATTUNE_OK || (status = check_step(schedule, &step)) != ATTUNE_OK)
        return status;
    int next = schedule->current == 0;
    struct schedule_buffer *buffer = &schedule->buffers[next];
    if ((status = take_buffer(buffer)) != ATTUNE_OK)
        return status;
    size_t words = write_list(schedule, &step, buffer->host);
    cl_int code = clEnqueueWriteBuffer(queue, buffer->device, CL_FALSE, 0, words * sizeof(int32_t), buffer->host,
                                       num_wait, wait, &buffer->written);
    if (code != CL_SUCCESS) {
        buffer->written = NULL;
        schedule->current = -1;
        return cl_error(code, "clEnqueueWriteBuffer of a schedule");
    }
    schedule->current = next;
    schedule->batch = batch;
    schedule->q_tokens = step.q_tokens;
    schedule->new_tokens = step.new_tokens;
    schedule->cached_tokens = step.cached_tokens;
    schedule->cached_pages = step.cached_pages;
    schedule->widest_pages = step.widest_pages;
    if (event) {
        clRetainEvent(buffer->written);
        *event = buffer->written;
    }
    return ATTUNE_OK;
}
