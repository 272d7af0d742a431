/* SPDX-License-Identifier: Apache-2.0 */
#include "workload_pages.h"

#include <stdlib.h>

#include "desc.h"

#define TABLE_SLACK 3 /* entries of a block table's row beside those of the longest sequence */

void workload_seed_stream(struct rng *rng, const struct workload_options *options, enum workload_stream stream)
{
    rng_seed(rng, options->seed * 16 + (uint64_t)stream);
}

static int64_t pages_of(const attune_problem *problem, const struct workload *workload, int32_t b)
{
    return ((int64_t)problem_cached_keys(problem, b) + workload->page_size - 1) / workload->page_size;
}

int64_t workload_cache_element(const struct workload *workload, const struct workload_tensor *cache, int32_t b,
                               int64_t position)
{
    int64_t page = workload->kv_indices[workload->kv_indptr[b] + position / workload->page_size];
    return cache->offset + page * cache->stride_page + position % workload->page_size * cache->stride_token;
}

/* Strides of [page, token, head, dim] or [page, head, token, dim]; of slots [slot, head, dim] or [head, slot, dim].
 * False on overflow. */
static bool set_geometry(const attune_problem *problem, const struct workload_options *options, int64_t dim,
                         const struct workload *workload, struct workload_tensor *cache)
{
    int64_t heads = problem->desc.num_kv_heads, page_size = workload->page_size, slots = workload->num_slots;
    int64_t pad = page_size == 1 ? options->pad : options->page_pad, elements;
    bool hnd = problem->kv_order == ATTUNE_KV_HND;
    cache->dtype = problem->desc.kv_dtype;
    cache->tokens = slots;
    cache->dim = dim;
    cache->offset = options->offset;
    cache->stride_token = (hnd ? dim : heads * dim + problem->kv_pad) + pad;
    cache->stride_head = dim;
    cache->stride_page = cache->stride_token;
    if (page_size > 1)
        cache->stride_page = page_size * cache->stride_token + pad;
    if (hnd) {
        cache->stride_head = (page_size == 1 ? slots : page_size) * cache->stride_token + problem->kv_pad + pad;
        if (page_size > 1)
            cache->stride_page = heads * cache->stride_head + pad;
    }
    int64_t count = hnd && page_size == 1 ? heads : slots / page_size;
    int64_t stride = hnd && page_size == 1 ? cache->stride_head : cache->stride_page, bytes;
    if (__builtin_mul_overflow(count, stride, &elements) ||
        __builtin_add_overflow(elements, cache->offset, &elements) ||
        __builtin_mul_overflow(elements, (int64_t)dtype_size(cache->dtype), &bytes))
        return false;
    cache->bytes = (size_t)bytes;
    return true;
}

attune_status workload_shape_cache(const attune_problem *problem, const struct workload_options *options,
                                   struct workload *out)
{
    int64_t widest = 0;
    out->page_size = problem->page_size ? problem->page_size : 1;
    for (int32_t b = 0; b < problem->batch; b++) {
        int64_t pages = pages_of(problem, out, b);
        out->num_indices += pages;
        widest = pages > widest ? pages : widest;
    }
    out->page_padded = out->page_size > 1 && options->page_pad;
    out->table_stride = problem->block_table ? widest + TABLE_SLACK : 0;
    int64_t pages = out->num_indices + options->slack_pages;
    out->num_slots = (pages ? pages : 1) * out->page_size;
    if (out->num_slots > INT32_MAX)
        return set_error(ATTUNE_ERROR_OVERFLOW, "%lld slots do not fit; the limit is %d", (long long)out->num_slots,
                         INT32_MAX);
    const attune_attention_desc *desc = &problem->desc;
    if (!set_geometry(problem, options, desc->head_dim_qk, out, &out->k_cache) ||
        !set_geometry(problem, options, desc_head_dim_vo(desc), out, &out->v_cache))
        return set_error(ATTUNE_ERROR_OVERFLOW, "a cache of %lld slots does not fit", (long long)out->num_slots);
    return ATTUNE_OK;
}

/* Fisher-Yates over all pages: the first `used` are a random choice in random order, the rest is the slack. */
static void draw_pages(const struct workload_options *options, int32_t *pages, int64_t count, int64_t used)
{
    struct rng rng;
    workload_seed_stream(&rng, options, STREAM_PAGES);
    for (int64_t i = 0; i < used; i++) {
        int64_t other = i + (int64_t)rng_below(&rng, (uint64_t)(count - i));
        int32_t page = pages[i];
        pages[i] = pages[other];
        pages[other] = page;
    }
}

static attune_status make_table(int32_t batch, struct workload *out)
{
    int64_t entries = batch * out->table_stride;
    out->block_table = malloc((size_t)entries * sizeof *out->block_table);
    if (!out->block_table)
        return set_error(ATTUNE_ERROR_OUT_OF_MEMORY, "out of memory for a block table of %lld entries",
                         (long long)entries);
    for (int64_t i = 0; i < entries; i++)
        out->block_table[i] = INT32_MAX;
    for (int32_t b = 0; b < batch; b++)
        for (int32_t i = out->kv_indptr[b]; i < out->kv_indptr[b + 1]; i++)
            out->block_table[b * out->table_stride + i - out->kv_indptr[b]] = out->kv_indices[i];
    return ATTUNE_OK;
}

attune_status workload_make_pages(const attune_problem *problem, const struct workload_options *options,
                                  struct workload *out)
{
    int64_t pages = out->num_slots / out->page_size;
    size_t batch = (size_t)problem->batch;
    out->kv_indptr = malloc((batch + 1) * sizeof(int32_t));
    out->last_page_len = malloc(batch * sizeof(int32_t));
    out->kv_indices = malloc((size_t)pages * sizeof(int32_t));
    if (!out->kv_indptr || !out->last_page_len || !out->kv_indices)
        return set_error(ATTUNE_ERROR_OUT_OF_MEMORY, "out of memory for a table of %lld pages", (long long)pages);
    out->kv_indptr[0] = 0;
    for (int32_t b = 0; b < problem->batch; b++) {
        int32_t keys = problem_cached_keys(problem, b);
        out->kv_indptr[b + 1] = out->kv_indptr[b] + (int32_t)pages_of(problem, out, b);
        out->last_page_len[b] = keys ? (keys - 1) % out->page_size + 1 : 0;
    }
    for (int64_t i = 0; i < pages; i++)
        out->kv_indices[i] = (int32_t)i;
    if (problem->page_size)
        draw_pages(options, out->kv_indices, pages, out->num_indices);
    return problem->block_table ? make_table(problem->batch, out) : ATTUNE_OK;
}
