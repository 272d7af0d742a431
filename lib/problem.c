/* SPDX-License-Identifier: Apache-2.0 */
#include "problem.h"

#include "base/base.h"
#include "desc.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct {
    enum problem_extra bit;
    const char *field; /* NULL: a value of another field */
    const char *feature;
} extras[] = {
    {EXTRA_INT8_KV, NULL, "int8 KV cache"},
    {EXTRA_SINKS, "sinks", "attention sinks"},
    {EXTRA_TREE, "tree", "tree mask"},
    {EXTRA_BIAS, "bias", "additive bias"},
    {EXTRA_MLA, "mla", "MLA (V as a view of K)"},
};

#define NUM_EXTRAS (sizeof extras / sizeof extras[0])

static const char *operation_name(attune_operation operation)
{
    return operation == ATTUNE_PREFILL ? "prefill" : operation == ATTUNE_EXTEND ? "extend" : "decode";
}

static void append_float(struct strbuf *text, const char *field, float value)
{
    char digits[32];
    format_float(value, digits);
    strbuf_printf(text, ",%s=%s", field, digits);
}

/* Length of the shortest list whose repetition gives values (from the longest border, as in Knuth, Morris and Pratt); 0
 * when out of memory. */
static int32_t list_period(const int32_t *values, int32_t count)
{
    int32_t *border = malloc((size_t)count * sizeof *border);
    if (!border)
        return 0;
    border[0] = 0;
    for (int32_t i = 1, k = 0; i < count; i++) {
        while (k > 0 && values[i] != values[k])
            k = border[k - 1];
        k += values[i] == values[k];
        border[i] = k;
    }
    int32_t period = count - border[count - 1];
    free(border);
    return period;
}

static void append_list(struct strbuf *text, const char *field, const int32_t *values, int32_t count)
{
    for (int32_t i = 0; i < count; i++)
        if (i == 0)
            strbuf_printf(text, ",%s=%d", field, (int)values[i]);
        else
            strbuf_printf(text, "/%d", (int)values[i]);
}

/* The batch and its lengths: "new" is q_len, the other list is the prefix (EXTEND) or kvlen. */
static attune_status append_lengths(struct strbuf *text, const struct attune_problem *problem)
{
    int32_t batch = problem->batch, *other = malloc((size_t)batch * sizeof *other);
    if (!other)
        return set_error(ATTUNE_ERROR_OUT_OF_MEMORY, "out of memory for a batch of %d", (int)batch);
    bool extend = problem->desc.operation == ATTUNE_EXTEND;
    for (int32_t b = 0; b < batch; b++)
        other[b] = problem->kv_len[b] - (extend ? problem->q_len[b] : 0);
    int32_t new_period = list_period(problem->q_len, batch), other_period = list_period(other, batch);
    if (new_period == 0 || other_period == 0) {
        free(other);
        return set_error(ATTUNE_ERROR_OUT_OF_MEMORY, "out of memory for a batch of %d", (int)batch);
    }
    if (batch != (new_period > other_period ? new_period : other_period))
        strbuf_printf(text, ",batch=%d", (int)batch);
    append_list(text, extend ? "prefix" : "kvlen", other, other_period);
    append_list(text, "new", problem->q_len, new_period);
    free(other);
    return ATTUNE_OK;
}

static attune_status make_text(struct attune_problem *problem)
{
    const attune_attention_desc *desc = &problem->desc;
    struct strbuf text = {0};
    strbuf_printf(&text, "%s:hq=%d,hkv=%d,d=%d", operation_name(desc->operation), (int)desc->num_q_heads,
                  (int)desc->num_kv_heads, (int)desc->head_dim_qk);
    if (desc_head_dim_vo(desc) != desc->head_dim_qk)
        strbuf_printf(&text, ",dv=%d", (int)desc->head_dim_vo);
    strbuf_printf(&text, ",q=%s,kv=%s", dtype_name(desc->q_dtype),
                  problem->extras & EXTRA_INT8_KV ? "int8" : dtype_name(desc->kv_dtype));
    if (desc->new_kv_dtype)
        strbuf_printf(&text, ",newkv=%s", dtype_name(desc->new_kv_dtype));
    if (desc->o_dtype != desc->q_dtype)
        strbuf_printf(&text, ",o=%s", dtype_name(desc->o_dtype));
    strbuf_printf(&text, ",prec=%s,causal=%d", desc->precision == ATTUNE_FAST ? "fast" : "strict",
                  desc->mask == ATTUNE_MASK_CAUSAL);
    if (desc->causal_alignment == ATTUNE_TOP_LEFT)
        strbuf_printf(&text, ",align=tl");
    if (desc->window_left >= 0)
        strbuf_printf(&text, ",window=%d", (int)desc->window_left);
    if (desc->window_right >= 0)
        strbuf_printf(&text, ",wright=%d", (int)desc->window_right);
    if (desc->softcap > 0)
        append_float(&text, "cap", desc->softcap);
    if (desc->scale > 0)
        append_float(&text, "scale", desc->scale);
    for (size_t i = 0; i < NUM_EXTRAS; i++)
        if (extras[i].field && problem->extras & extras[i].bit)
            strbuf_printf(&text, ",%s=1", extras[i].field);
    strbuf_printf(&text, ",page=%d", (int)problem->page_size);
    if (problem->kv_order == ATTUNE_KV_HND)
        strbuf_printf(&text, ",order=hnd");
    if (problem->kv_pad)
        strbuf_printf(&text, ",kvpad=%d", (int)problem->kv_pad);
    if (problem->block_table)
        strbuf_printf(&text, ",table=1");
    attune_status status = append_lengths(&text, problem);
    size_t length = text.length;
    problem->text = strbuf_take(&text);
    if (status)
        return status;
    if (!problem->text)
        return set_error(ATTUNE_ERROR_OUT_OF_MEMORY, "out of memory for a problem's text");
    if (length > PROBLEM_TEXT_MAX)
        return set_error(ATTUNE_ERROR_INVALID_SIZE, "the problem's text has %zu characters; the limit is %d", length,
                         PROBLEM_TEXT_MAX);
    return ATTUNE_OK;
}

static attune_status check_lengths(const struct attune_problem *problem)
{
    bool extend = problem->desc.operation == ATTUNE_EXTEND;
    int64_t q_sum = 0, kv_sum = 0;
    for (int32_t b = 0; b < problem->batch; b++) {
        int32_t q_len = problem->q_len[b], kv_len = problem->kv_len[b];
        if (q_len < 0 || kv_len < 0)
            return set_error(ATTUNE_ERROR_INVALID_SIZE,
                             "sequence %d has q_len %d and kv_len %d; both must be at least 0", (int)b, (int)q_len,
                             (int)kv_len);
        if (extend && kv_len < q_len)
            return set_error(ATTUNE_ERROR_INVALID_SIZE,
                             "sequence %d has kv_len %d; it must be at least its q_len (%d), "
                             "which it includes",
                             (int)b, (int)kv_len, (int)q_len);
        q_sum += q_len;
        kv_sum += kv_len;
    }
    if (q_sum > INT32_MAX)
        return set_error(ATTUNE_ERROR_OVERFLOW, "new (q_len) adds up to %lld; the limit is %d", (long long)q_sum,
                         INT32_MAX);
    if (kv_sum > INT32_MAX)
        return set_error(ATTUNE_ERROR_OVERFLOW, "%s (kv_len) adds up to %lld; the limit is %d",
                         extend ? "prefix + new" : "kvlen", (long long)kv_sum, INT32_MAX);
    return ATTUNE_OK;
}

static attune_status check_cache(const struct attune_problem *problem)
{
    bool no_cache = problem->page_size == 0 || problem->desc.operation == ATTUNE_PREFILL;
    if (problem->block_table && no_cache)
        return set_error(ATTUNE_ERROR_SYNTAX, "table=1 is given; without a KV cache (prefill, or page=0) there is no "
                                              "page table");
    if (problem->kv_order != ATTUNE_KV_NHD && no_cache)
        return set_error(ATTUNE_ERROR_SYNTAX, "order=hnd is given; without a KV cache (prefill, or page=0) K and V "
                                              "are rows of tokens");
    if (problem->kv_pad && no_cache)
        return set_error(ATTUNE_ERROR_SYNTAX,
                         "kvpad=%d is given; without a KV cache (prefill, or page=0) there is "
                         "nothing to pad",
                         (int)problem->kv_pad);
    if (problem->kv_pad && problem->kv_order == ATTUNE_KV_HND && problem->page_size == 1)
        return set_error(ATTUNE_ERROR_SYNTAX,
                         "kvpad=%d is given; with order=hnd it pads pages, of which page=1 has none",
                         (int)problem->kv_pad);
    return ATTUNE_OK;
}

attune_status problem_finish(struct attune_problem *problem)
{
    attune_attention_desc desc = problem->desc;
    if (problem->extras & EXTRA_INT8_KV)
        desc.kv_dtype = desc.q_dtype;
    attune_status status;
    if ((status = desc_validate(&desc)) || (status = check_cache(problem)) || (status = check_lengths(problem)))
        return status;
    problem->desc.head_dim_vo = desc_head_dim_vo(&desc);
    if (desc_new_kv_dtype(&desc) == desc.kv_dtype)
        problem->desc.new_kv_dtype = (attune_dtype)0;
    problem->desc.scale = 0;
    if (desc_scale(&problem->desc) != desc_scale(&desc)) /* one text for each problem: the default has no field */
        problem->desc.scale = desc.scale;
    return make_text(problem);
}

attune_status problem_create(const attune_attention_desc *desc, int32_t page_size, int32_t batch, const int32_t *q_len,
                             const int32_t *kv_len, attune_problem **out)
{
    const struct attune_problem like = {.page_size = page_size, .kv_order = ATTUNE_KV_NHD};
    return problem_create_like(&like, desc, batch, q_len, kv_len, out);
}

attune_status problem_create_like(const struct attune_problem *like, const attune_attention_desc *desc, int32_t batch,
                                  const int32_t *q_len, const int32_t *kv_len, attune_problem **out)
{
    if (!out)
        return set_error(ATTUNE_ERROR_NULL_ARGUMENT, "out is NULL");
    *out = NULL;
    if (!q_len || !kv_len)
        return set_error(ATTUNE_ERROR_NULL_ARGUMENT, "%s is NULL", q_len ? "kv_len" : "q_len");
    attune_status status = desc_validate(desc);
    if (status)
        return status;
    if (batch < 1 || batch > PROBLEM_BATCH_MAX)
        return set_error(ATTUNE_ERROR_INVALID_SIZE, "batch is %d; it must be 1 to %d", (int)batch, PROBLEM_BATCH_MAX);
    if (like->page_size < 0 || like->page_size > PROBLEM_PAGE_MAX)
        return set_error(ATTUNE_ERROR_INVALID_SIZE, "page is %d; it must be 0 to %d", (int)like->page_size,
                         PROBLEM_PAGE_MAX);
    struct attune_problem *problem = calloc(1, sizeof *problem);
    size_t bytes = (size_t)batch * sizeof *q_len;
    if (!problem || !(problem->q_len = malloc(bytes)) || !(problem->kv_len = malloc(bytes))) {
        attune_problem_destroy(&problem);
        return set_error(ATTUNE_ERROR_OUT_OF_MEMORY, "out of memory for a batch of %d", (int)batch);
    }
    problem->desc = *desc;
    problem->desc.size = sizeof problem->desc;
    problem->page_size = like->page_size;
    problem->kv_order = like->kv_order;
    problem->kv_pad = like->kv_pad;
    problem->block_table = like->block_table;
    problem->batch = batch;
    memcpy(problem->q_len, q_len, bytes);
    memcpy(problem->kv_len, kv_len, bytes);
    status = problem_finish(problem);
    if (status)
        attune_problem_destroy(&problem);
    *out = problem;
    return status;
}

void attune_problem_destroy(attune_problem **problem)
{
    if (!problem || !*problem)
        return;
    free((*problem)->q_len);
    free((*problem)->kv_len);
    free((*problem)->text);
    free(*problem);
    *problem = NULL;
}

const char *attune_problem_text(const attune_problem *problem)
{
    return problem->text;
}

const char *attune_problem_name(const attune_problem *problem)
{
    return problem->name[0] ? problem->name : problem->text;
}

const attune_attention_desc *attune_problem_desc(const attune_problem *problem)
{
    return &problem->desc;
}

int32_t attune_problem_batch(const attune_problem *problem)
{
    return problem->batch;
}

const int32_t *attune_problem_q_len(const attune_problem *problem)
{
    return problem->q_len;
}

const int32_t *attune_problem_kv_len(const attune_problem *problem)
{
    return problem->kv_len;
}

attune_status attune_problem_supported(const attune_problem *problem)
{
    static const char text[] = "not supported in this version";
    for (size_t i = 0; i < NUM_EXTRAS; i++)
        if (problem->extras & extras[i].bit)
            return set_error(ATTUNE_ERROR_UNSUPPORTED, "%s: %s", text, extras[i].feature);
    attune_status status = desc_supported(&problem->desc);
    if (status)
        return status;
    bool prefill = problem->desc.operation == ATTUNE_PREFILL;
    if (prefill && problem->page_size != 0)
        return set_error(ATTUNE_ERROR_UNSUPPORTED, "%s: prefill from a KV cache (page=%d)", text,
                         (int)problem->page_size);
    if (problem->desc.operation == ATTUNE_EXTEND && problem->page_size == 0)
        return set_error(ATTUNE_ERROR_UNSUPPORTED, "%s: contiguous KV cache (page=0)", text);
    return ATTUNE_OK;
}

/* Strides of K or V where rows are padded. */
static void set_padded_strides(const struct attune_problem *problem, int64_t dim, int64_t *page, int64_t *token,
                               int64_t *head)
{
    int64_t heads = problem->desc.num_kv_heads, page_size = problem->page_size;
    bool nhd = problem->kv_order == ATTUNE_KV_NHD;
    *token = nhd ? heads * dim + problem->kv_pad : dim;
    *head = nhd ? dim : page_size * dim + problem->kv_pad;
    *page = nhd ? page_size * *token : heads * *head;
}

attune_kv_layout_options problem_layout(const struct attune_problem *problem, int64_t num_slots)
{
    attune_kv_layout_options options = ATTUNE_KV_LAYOUT_OPTIONS_INIT;
    options.order = problem->kv_order;
    options.dtype = problem->desc.kv_dtype;
    options.num_kv_heads = problem->desc.num_kv_heads;
    options.head_dim_qk = problem->desc.head_dim_qk;
    options.head_dim_vo = desc_head_dim_vo(&problem->desc);
    options.page_size = problem->page_size;
    options.num_slots = num_slots;
    if (problem->kv_pad) {
        options.order = ATTUNE_KV_STRIDED;
        set_padded_strides(problem, options.head_dim_qk, &options.k_stride_page, &options.k_stride_token,
                           &options.k_stride_head);
        set_padded_strides(problem, options.head_dim_vo, &options.v_stride_page, &options.v_stride_token,
                           &options.v_stride_head);
    }
    return options;
}

int32_t problem_cached_keys(const struct attune_problem *problem, int32_t b)
{
    attune_operation operation = problem->desc.operation;
    if (operation == ATTUNE_EXTEND)
        return problem->kv_len[b] - problem->q_len[b];
    return operation == ATTUNE_DECODE && problem->page_size ? problem->kv_len[b] : 0;
}

/* Sum of clamp(i + start, 0, high) over i = 0 .. count-1. */
static double clamped_sum(int64_t count, int64_t start, int64_t high)
{
    int64_t first = start < 0 ? -start : 0;             /* i of the first term above 0, or a 0 before it */
    int64_t full = high - start < 0 ? 0 : high - start; /* i of the first term that is high */
    first = first > count ? count : first;
    full = full > count ? count : full;
    double rising =
        full > first ? (double)(full - first) * ((double)(first + start) + (double)(full - 1 + start)) / 2 : 0;
    return rising + (double)(count - full) * (double)high;
}

/* Pairs of one sequence and head: desc_visible_keys summed over the queries, in constant time. A tree mask counts as
 * causal. */
static double visible_pairs(const attune_attention_desc *desc, int64_t q_len, int64_t kv_len)
{
    int64_t position = desc->causal_alignment == ATTUNE_TOP_LEFT ? 0 : kv_len - q_len;
    bool causal = desc->mask == ATTUNE_MASK_CAUSAL;
    double end = (double)q_len * (double)kv_len, begin = 0;
    if (causal || desc->window_right >= 0)
        end = clamped_sum(q_len, position + 1 + (causal ? 0 : desc->window_right), kv_len);
    if (desc->window_left >= 0)
        begin = clamped_sum(q_len, position - desc->window_left, kv_len);
    return end - begin;
}

double attune_problem_flops(const attune_problem *problem)
{
    const attune_attention_desc *desc = &problem->desc;
    double pairs = 0;
    for (int32_t b = 0; b < problem->batch; b++)
        pairs += visible_pairs(desc, problem->q_len[b], problem->kv_len[b]);
    return 2 * pairs * desc->num_q_heads * (desc->head_dim_qk + desc_head_dim_vo(desc));
}

double attune_problem_bytes(const attune_problem *problem)
{
    const attune_attention_desc *desc = &problem->desc;
    double queries = 0, keys = 0;
    int32_t dim_qk = desc->head_dim_qk, dim_vo = desc_head_dim_vo(desc);
    for (int32_t b = 0; b < problem->batch; b++) {
        int64_t q_len = problem->q_len[b], kv_len = problem->kv_len[b], begin, end, ignored;
        if (q_len == 0)
            continue;
        desc_visible_keys(desc, q_len, kv_len, 0, &begin, &ignored);
        desc_visible_keys(desc, q_len, kv_len, q_len - 1, &ignored, &end);
        queries += (double)q_len;
        keys += (double)(end - begin);
    }
    double kv_dims = problem->extras & EXTRA_MLA ? dim_qk : dim_qk + dim_vo;
    double kv_row =
        problem->extras & EXTRA_INT8_KV ? kv_dims + 2 * sizeof(float) : kv_dims * (double)dtype_size(desc->kv_dtype);
    double q_row = dim_qk * (double)dtype_size(desc->q_dtype) + dim_vo * (double)dtype_size(desc->o_dtype);
    if (desc->new_kv_dtype) /* of the keys, so many are read as they are given */
        keys += queries * ((double)dtype_size(desc->new_kv_dtype) / (double)dtype_size(desc->kv_dtype) - 1);
    return keys * desc->num_kv_heads * kv_row + queries * desc->num_q_heads * q_row;
}

struct kernel_facts problem_facts(const attune_attention_desc *desc, int32_t page_size,
                                  const struct backend_choice *choice)
{
    return (struct kernel_facts){
        .head_dim_qk = desc->head_dim_qk,
        .head_dim_vo = desc_head_dim_vo(desc),
        .group_size = desc->num_q_heads / desc->num_kv_heads,
        .causal = desc->mask == ATTUNE_MASK_CAUSAL,
        .has_cache = page_size > 0,
        .has_new = desc->operation != ATTUNE_DECODE || page_size == 0,
        .paged = page_size > 1,
        .q_type = (int32_t)desc->q_dtype,
        .kv_type = (int32_t)desc->kv_dtype,
        .o_type = (int32_t)desc->o_dtype,
        .precision = (int32_t)desc->precision,
        .sub_group_size = backend_sub_group_size(choice),
        .half_load = choice->limits.half_load,
        .decode = desc->operation == ATTUNE_DECODE,
        .num_kv_heads = desc->num_kv_heads,
    };
}

static int32_t floor_log2(int64_t value)
{
    int32_t log = 0;
    while (value >>= 1)
        log++;
    return log;
}

static struct shape_bucket bucket(const attune_attention_desc *desc, int64_t batch, int64_t q_sum, int64_t kv_sum)
{
    return (struct shape_bucket){
        .q_class = q_sum <= batch         ? 0
                   : q_sum <= 16 * batch  ? 1
                   : q_sum <= 128 * batch ? 2
                                          : 3,
        .log2_kv = batch ? floor_log2(kv_sum / batch) : 0,
        .log2_heads = floor_log2(batch * desc->num_kv_heads),
    };
}

struct shape_bucket shape_bucket_of(const attune_attention_desc *desc, int32_t batch, const int32_t *q_len,
                                    const int32_t *kv_len)
{
    int64_t q_sum = 0, kv_sum = 0;
    for (int32_t b = 0; b < batch; b++) {
        q_sum += q_len[b];
        kv_sum += kv_len[b];
    }
    return bucket(desc, batch, q_sum, kv_sum);
}

struct shape_bucket shape_bucket_uniform(const attune_attention_desc *desc, int32_t batch, int32_t q_len,
                                         int32_t kv_len)
{
    return bucket(desc, batch, (int64_t)batch * q_len, (int64_t)batch * kv_len);
}

bool shape_bucket_equal(struct shape_bucket a, struct shape_bucket b)
{
    return a.q_class == b.q_class && a.log2_kv == b.log2_kv && a.log2_heads == b.log2_heads;
}
