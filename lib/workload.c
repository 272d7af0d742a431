/* SPDX-License-Identifier: Apache-2.0 */
#include "workload.h"

#include "base/base.h"
#include "desc.h"
#include "workload_pages.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define UNIT_VARIANCE 1.7320508f /* a uniform variable in +-sqrt(3) has variance 1 */
#define DOMINANT_LOGIT 20.0f
#define CANCELLATION_VALUE 100.0f
#define FP16_QUERY 3e4f /* fp16 ends at 65504 */

struct source {
    const attune_problem *problem;
    const struct workload_options *options;
};

static void seed_stream(struct rng *rng, const struct source *from, enum workload_stream stream)
{
    workload_seed_stream(rng, from->options, stream);
}

/* Uniform in +-1 with 24 bits. */
static float draw(struct rng *rng)
{
    return (float)((int32_t)(rng_next(rng) >> 39) - (1 << 24)) * 0x1p-24f;
}

/* ---- geometry and storage */

static attune_status shape(struct workload_tensor *tensor, const char *name, attune_dtype dtype, int64_t tokens,
                           int64_t heads, int64_t dim, const struct workload_options *options)
{
    tensor->dtype = dtype;
    tensor->tokens = tokens;
    tensor->dim = dim;
    tensor->stride_head = dim + options->pad;
    tensor->stride_token = heads * tensor->stride_head + options->pad;
    tensor->offset = options->offset;
    int64_t elements, bytes;
    if (__builtin_mul_overflow(tokens, tensor->stride_token, &elements) ||
        __builtin_add_overflow(elements, tensor->offset, &elements) ||
        __builtin_mul_overflow(elements ? elements : 1, (int64_t)dtype_size(dtype), &bytes))
        return set_error(ATTUNE_ERROR_OVERFLOW, "%s of %lld tokens and %lld elements a token does not fit", name,
                         (long long)tokens, (long long)tensor->stride_token);
    tensor->bytes = (size_t)bytes;
    return ATTUNE_OK;
}

static size_t tensor_elements(const struct workload_tensor *tensor)
{
    return tensor->bytes / dtype_size(tensor->dtype);
}

static float rounded(float value, attune_dtype dtype)
{
    return dtype == ATTUNE_FP16   ? half_to_float(float_to_half(value))
           : dtype == ATTUNE_BF16 ? bf16_to_float(float_to_bf16(value))
                                  : value;
}

static void store(struct workload_tensor *tensor, size_t index, float value)
{
    if (tensor->dtype == ATTUNE_FP32)
        ((float *)tensor->data)[index] = value;
    else
        ((uint16_t *)tensor->data)[index] = tensor->dtype == ATTUNE_FP16 ? float_to_half(value) : float_to_bf16(value);
    value = rounded(value, tensor->dtype);
    tensor->widened[index] = tensor->attended ? rounded(value, tensor->attended) : value;
}

/* The values of an fp32 tensor that count as they are need no second copy. */
static bool is_its_own(const struct workload_tensor *tensor)
{
    return tensor->dtype == ATTUNE_FP32 && !tensor->attended;
}

static attune_status allocate(struct workload_tensor *tensor)
{
    size_t elements = tensor_elements(tensor);
    tensor->data = malloc(tensor->bytes);
    tensor->widened = is_its_own(tensor) ? tensor->data : malloc(elements * sizeof(float));
    if (!tensor->data || !tensor->widened)
        return set_error(ATTUNE_ERROR_OUT_OF_MEMORY, "out of memory for a tensor of %zu bytes", tensor->bytes);
    for (size_t i = 0; i < elements; i++)
        store(tensor, i, NAN);
    return ATTUNE_OK;
}

static attune_status allocate_all(struct workload *workload)
{
    struct workload_tensor *const tensors[] = {&workload->q, &workload->k, &workload->v, &workload->k_cache,
                                               &workload->v_cache};
    /* Overcommitting systems grant anything and stop the process later. */
    double memory = (double)sysconf(_SC_PHYS_PAGES) * (double)sysconf(_SC_PAGESIZE), needed = 0;
    for (int i = 0; i < 5; i++)
        if (tensors[i]->bytes)
            needed += (double)tensors[i]->bytes +
                      (is_its_own(tensors[i]) ? 0 : (double)tensor_elements(tensors[i]) * sizeof(float));
    if (needed > memory)
        return set_error(ATTUNE_ERROR_OUT_OF_MEMORY, "the workload's tensors take %.0f bytes; the host has %.0f",
                         needed, memory);
    for (int i = 0; i < 5; i++)
        if (tensors[i]->bytes) {
            attune_status status = allocate(tensors[i]);
            if (status)
                return status;
        }
    return ATTUNE_OK;
}

/* ---- values */

/* Where a row of a tensor lies, and how it is drawn. */
struct row {
    struct workload_tensor *tensor;
    int64_t element;  /* first of head 0 */
    int64_t position; /* of the key in its sequence */
};

static int64_t element_of(const struct workload_tensor *tensor, int64_t token)
{
    return tensor->offset + token * tensor->stride_token;
}

static void fill_row(const struct source *from, const struct row *row, int64_t heads, bool is_value, struct rng *rng)
{
    struct workload_tensor *tensor = row->tensor;
    enum workload_pattern pattern = from->options->pattern;
    float scale = is_value ? 1 : from->options->magnitude * UNIT_VARIANCE, shift = 0;
    if (pattern == PATTERN_DOMINANT_KEY && !is_value)
        scale = UNIT_VARIANCE;
    if (pattern == PATTERN_CANCELLATION) {
        scale *= 0.01f;
        shift = is_value ? (row->position % 2 ? -CANCELLATION_VALUE : CANCELLATION_VALUE) : 0;
    }
    for (int64_t h = 0; h < heads; h++) {
        size_t at = (size_t)(row->element + h * tensor->stride_head);
        for (int64_t d = 0; d < tensor->dim; d++)
            store(tensor, at + (size_t)d, shift + scale * draw(rng));
    }
}

/* K or V: rows of the contiguous tensor and of the cache, in order of sequence and position. */
static void fill_keys(const struct source *from, struct workload *workload, bool is_value)
{
    const attune_problem *problem = from->problem;
    struct rng rng, cache_rng;
    seed_stream(&rng, from, is_value ? STREAM_V : STREAM_K);
    seed_stream(&cache_rng, from, is_value ? STREAM_V_CACHE : STREAM_K_CACHE);
    int64_t token = 0;
    for (int32_t b = 0; b < problem->batch; b++) {
        int32_t cached = problem_cached_keys(problem, b);
        for (int32_t position = 0; position < problem->kv_len[b]; position++) {
            bool in_cache = position < cached;
            struct row row = {is_value ? &workload->v : &workload->k, 0, position};
            if (in_cache)
                row.tensor = is_value ? &workload->v_cache : &workload->k_cache;
            row.element =
                in_cache ? workload_cache_element(workload, row.tensor, b, position) : element_of(row.tensor, token++);
            if (from->options->pattern == PATTERN_CONSTANT) /* every row starts the stream anew */
                seed_stream(&rng, from, is_value ? STREAM_V : STREAM_K);
            fill_row(from, &row, problem->desc.num_kv_heads, is_value,
                     in_cache && from->options->pattern != PATTERN_CONSTANT ? &cache_rng : &rng);
        }
    }
}

/* The stored row of K at a position of sequence b. */
static const float *key_row(const attune_problem *problem, const struct workload *workload, int32_t b,
                            int64_t new_start, int64_t position, int64_t head)
{
    int32_t cached = problem_cached_keys(problem, b);
    const struct workload_tensor *k = position < cached ? &workload->k_cache : &workload->k;
    int64_t element = position < cached ? workload_cache_element(workload, k, b, position)
                                        : element_of(k, new_start + position - cached);
    return k->widened + element + head * k->stride_head;
}

/* Points a query along one key: the logit of that key is then about DOMINANT_LOGIT * magnitude. */
static void aim_query(const struct source *from, struct workload *workload, size_t at, const float *key)
{
    const attune_attention_desc *desc = &from->problem->desc;
    float norm = 0, largest = 0;
    for (int32_t d = 0; d < desc->head_dim_qk; d++) {
        norm += key[d] * key[d];
        largest = fmaxf(largest, fabsf(key[d]));
    }
    /* A short key, likely for tiny dims only, must not make the query overflow. */
    norm = fmaxf(norm, 0.1f * (float)desc->head_dim_qk);
    float length = DOMINANT_LOGIT * from->options->magnitude / (desc_scale(desc) * norm);
    if (desc->q_dtype == ATTUNE_FP16 && fabsf(length) * largest > FP16_QUERY) /* tiny dims, small scales */
        length = copysignf(FP16_QUERY / largest, length);
    for (int32_t d = 0; d < desc->head_dim_qk; d++)
        store(&workload->q, at + (size_t)d, length * key[d]);
}

static void fill_queries(const struct source *from, struct workload *workload)
{
    const attune_problem *problem = from->problem;
    const attune_attention_desc *desc = &problem->desc;
    int64_t group = desc->num_q_heads / desc->num_kv_heads, token = 0, new_start = 0;
    struct rng rng, key_rng;
    seed_stream(&rng, from, STREAM_Q);
    seed_stream(&key_rng, from, STREAM_KEYS);
    for (int32_t b = 0; b < problem->batch; b++) {
        int64_t q_len = problem->q_len[b], kv_len = problem->kv_len[b];
        for (int64_t i = 0; i < q_len; i++, token++) {
            struct row row = {&workload->q, element_of(&workload->q, token), 0};
            if (from->options->pattern == PATTERN_CONSTANT)
                seed_stream(&rng, from, STREAM_Q);
            fill_row(from, &row, desc->num_q_heads, false, &rng);
            int64_t begin, end;
            desc_visible_keys(desc, q_len, kv_len, i, &begin, &end);
            if (from->options->pattern != PATTERN_DOMINANT_KEY || begin == end)
                continue;
            for (int64_t h = 0; h < desc->num_q_heads; h++) {
                int64_t position = begin + (int64_t)rng_below(&key_rng, (uint64_t)(end - begin));
                aim_query(from, workload, (size_t)(element_of(&workload->q, token) + h * workload->q.stride_head),
                          key_row(problem, workload, b, new_start, position, h / group));
            }
        }
        new_start += kv_len - problem_cached_keys(problem, b);
    }
}

/* ---- the whole */

static attune_status check_options(const struct workload_options *options)
{
    if ((int)options->pattern < 0 || options->pattern >= PATTERN_COUNT)
        return set_error(ATTUNE_ERROR_ENUM, "pattern is %d; it must be 0 to %d", (int)options->pattern,
                         PATTERN_COUNT - 1);
    if (!isfinite(options->magnitude) || options->magnitude <= 0)
        return set_error(ATTUNE_ERROR_INVALID_SIZE, "magnitude is %g; it must be finite and above 0",
                         (double)options->magnitude);
    if (options->slack_pages < 0 || options->pad < 0 || options->page_pad < 0 || options->offset < 0)
        return set_error(ATTUNE_ERROR_INVALID_SIZE,
                         "slack_pages, pad, page_pad and offset are %d, %d, %d and %d; they must be at least 0",
                         (int)options->slack_pages, (int)options->pad, (int)options->page_pad, (int)options->offset);
    return ATTUNE_OK;
}

static attune_status plan_shapes(const struct source *from, struct workload *out)
{
    const attune_problem *problem = from->problem;
    const attune_attention_desc *desc = &problem->desc;
    bool has_cache = desc->operation == ATTUNE_EXTEND || (desc->operation == ATTUNE_DECODE && problem->page_size);
    bool has_new = desc->operation != ATTUNE_DECODE || !problem->page_size;
    int64_t new_tokens = 0;
    for (int32_t b = 0; b < problem->batch; b++) {
        out->q_tokens += problem->q_len[b];
        new_tokens += problem->kv_len[b] - problem_cached_keys(problem, b);
    }
    const struct workload_options *options = from->options;
    out->lse_stride_token = desc->num_q_heads + options->pad;
    int32_t dim_qk = desc->head_dim_qk, dim_vo = desc_head_dim_vo(desc), heads = desc->num_kv_heads;
    attune_status status;
    if ((status = shape(&out->q, "q", desc->q_dtype, out->q_tokens, desc->num_q_heads, dim_qk, options)) ||
        (status = shape(&out->o, "o", desc->o_dtype, out->q_tokens, desc->num_q_heads, dim_vo, options)) ||
        (has_new && (status = shape(&out->k, "k", desc_new_kv_dtype(desc), new_tokens, heads, dim_qk, options))) ||
        (has_new && (status = shape(&out->v, "v", desc_new_kv_dtype(desc), new_tokens, heads, dim_vo, options))))
        return status;
    if (desc_new_kv_dtype(desc) != desc->kv_dtype)
        out->k.attended = out->v.attended = desc->kv_dtype;
    return has_cache ? workload_shape_cache(problem, options, out) : ATTUNE_OK;
}

attune_status workload_create(const attune_problem *problem, const struct workload_options *options,
                              struct workload *out)
{
    memset(out, 0, sizeof *out);
    if (problem->extras)
        return set_error(ATTUNE_ERROR_UNSUPPORTED, "not supported in this version: tensors of \"%.200s\"",
                         problem->text);
    struct source from = {problem, options};
    attune_status status;
    if ((status = check_options(options)) || (status = plan_shapes(&from, out)) || (status = allocate_all(out)) ||
        (out->k_cache.data && (status = workload_make_pages(problem, options, out)))) {
        workload_destroy(out);
        return status;
    }
    fill_keys(&from, out, false);
    fill_keys(&from, out, true);
    fill_queries(&from, out);
    return ATTUNE_OK;
}

void workload_destroy(struct workload *workload)
{
    struct workload_tensor *const tensors[] = {&workload->q, &workload->k, &workload->v, &workload->k_cache,
                                               &workload->v_cache};
    for (int i = 0; i < 5; i++) {
        if (tensors[i]->widened != tensors[i]->data)
            free(tensors[i]->widened);
        free(tensors[i]->data);
    }
    free(workload->kv_indptr);
    free(workload->kv_indices);
    free(workload->block_table);
    free(workload->last_page_len);
    memset(workload, 0, sizeof *workload);
}

static const float *first_value(const struct workload_tensor *tensor)
{
    return tensor->widened ? tensor->widened + tensor->offset : NULL;
}

void workload_oracle_input(const attune_problem *problem, const struct workload *workload, struct oracle_input *out)
{
    *out = (struct oracle_input){
        .desc = &problem->desc,
        .batch = problem->batch,
        .q_len = problem->q_len,
        .kv_len = problem->kv_len,
        .q = first_value(&workload->q),
        .q_stride_token = workload->q.stride_token,
        .q_stride_head = workload->q.stride_head,
        .k = first_value(&workload->k),
        .v = first_value(&workload->v),
        .k_stride_token = workload->k.stride_token,
        .k_stride_head = workload->k.stride_head,
        .v_stride_token = workload->v.stride_token,
        .v_stride_head = workload->v.stride_head,
        .k_cache = first_value(&workload->k_cache),
        .v_cache = first_value(&workload->v_cache),
        .page_size = workload->page_size,
        .k_cache_stride_page = workload->k_cache.stride_page,
        .k_cache_stride_token = workload->k_cache.stride_token,
        .k_cache_stride_head = workload->k_cache.stride_head,
        .v_cache_stride_page = workload->v_cache.stride_page,
        .v_cache_stride_token = workload->v_cache.stride_token,
        .v_cache_stride_head = workload->v_cache.stride_head,
        .kv_indptr = workload->kv_indptr,
        .kv_indices = workload->kv_indices,
    };
}
