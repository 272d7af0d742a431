/* SPDX-License-Identifier: Apache-2.0 */
#include "layout.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "desc.h"

bool tensor_extent(int64_t tokens, int64_t heads, int64_t dim, int64_t stride_token, int64_t stride_head,
                   int64_t *extent)
{
    *extent = 0;
    if (stride_token < 0 || stride_head < 0)
        return false;
    if (tokens == 0 || heads == 0)
        return true;
    int64_t last_token, last_head, sum;
    return !__builtin_mul_overflow(tokens - 1, stride_token, &last_token) &&
           !__builtin_mul_overflow(heads - 1, stride_head, &last_head) &&
           !__builtin_add_overflow(last_token, last_head, &sum) && !__builtin_add_overflow(sum, dim, extent);
}

static attune_status check_dim(const char *name, int64_t value, int64_t low, int64_t high)
{
    if (value >= low && value <= high)
        return ATTUNE_OK;
    return set_error(ATTUNE_ERROR_INVALID_SIZE, "options.%s is %lld; it must be %lld to %lld", name, (long long)value,
                     (long long)low, (long long)high);
}

static attune_status check_sizes(const attune_kv_layout_options *o)
{
    attune_status status;
    if ((status = check_dim("num_kv_heads", o->num_kv_heads, 1, 1024)) != ATTUNE_OK ||
        (status = check_dim("head_dim_qk", o->head_dim_qk, 1, 576)) != ATTUNE_OK ||
        (status = check_dim("head_dim_vo", o->head_dim_vo, 0, 576)) != ATTUNE_OK ||
        (status = check_dim("page_size", o->page_size, 1, MAX_PAGE_SIZE)) != ATTUNE_OK ||
        (status = check_dim("num_slots", o->num_slots, 1, INT32_MAX)) != ATTUNE_OK)
        return status;
    if (!dtype_size(o->dtype))
        return set_error(ATTUNE_ERROR_DTYPE, "options.dtype is %d, not a known type", (int)o->dtype);
    if (o->num_slots % o->page_size)
        return set_error(ATTUNE_ERROR_INVALID_SIZE, "options.num_slots is %lld; it must be a multiple of page_size (%d)",
                         (long long)o->num_slots, o->page_size);
    return ATTUNE_OK;
}

bool kv_cache_extent(const struct attune_kv_layout *layout, const struct kv_strides *strides, int64_t dim,
                     int64_t *extent)
{
    int64_t page, pages;
    return tensor_extent(layout->page_size, layout->num_kv_heads, dim, strides->token, strides->head, &page) &&
           strides->page >= 0 &&
           !__builtin_mul_overflow(layout->num_slots / layout->page_size - 1, strides->page, &pages) &&
           !__builtin_add_overflow(pages, page, extent);
}

/* Each stride, from the smallest on, steps over all that the smaller ones reach. Sizes of 1 do not count. */
bool kv_rows_apart(const struct attune_kv_layout *layout, const struct kv_strides *strides, int64_t dim)
{
    struct {
        int64_t size, stride;
    } axes[3] = {{layout->num_slots / layout->page_size, strides->page},
                 {layout->page_size, strides->token},
                 {layout->num_kv_heads, strides->head}};
    int64_t reach = dim;
    for (bool used[3] = {false, false, false};;) {
        int next = -1;
        for (int i = 0; i < 3; i++)
            if (!used[i] && axes[i].size > 1 && (next < 0 || axes[i].stride < axes[next].stride))
                next = i;
        if (next < 0)
            return true;
        int64_t last;
        if (axes[next].stride < reach || __builtin_mul_overflow(axes[next].size - 1, axes[next].stride, &last) ||
            __builtin_add_overflow(reach, last, &reach))
            return false;
        used[next] = true;
    }
}

void page_division(int32_t page_size, uint32_t *magic, int32_t *shift)
{
    *magic = 0;
    *shift = 0;
    if (page_size < 2)
        return;
    int32_t log = 32 - __builtin_clz((uint32_t)page_size - 1); /* ceil(log2) */
    uint64_t power = (uint64_t)1 << (31 + log);
    *magic = (uint32_t)((power + (uint32_t)page_size - 1) / (uint32_t)page_size);
    *shift = log - 1;
}

/* Strides of one of the two tensors, where dim is its head_dim. */
static attune_status set_strides(const struct attune_kv_layout *layout, const char *tensor, attune_kv_order order,
                                 int64_t dim, const struct kv_strides *given, struct kv_strides *out)
{
    int64_t heads = layout->num_kv_heads, page_size = layout->page_size;
    switch (order) {
    case ATTUNE_KV_NHD:
        *out = (struct kv_strides){page_size * heads * dim, heads * dim, dim};
        return ATTUNE_OK;
    case ATTUNE_KV_HND:
        *out = page_size == 1 ? (struct kv_strides){dim, dim, layout->num_slots * dim}
                              : (struct kv_strides){page_size * heads * dim, dim, page_size * dim};
        return ATTUNE_OK;
    case ATTUNE_KV_STRIDED:
        break;
    default:
        return set_error(ATTUNE_ERROR_ENUM, "options.order is %d, not a known order", (int)order);
    }
    int64_t extent;
    if (given->page < 0 || given->token < 0 || given->head < 0 || !kv_cache_extent(layout, given, dim, &extent))
        return set_error(ATTUNE_ERROR_STRIDE, "options.%s strides (page %lld, token %lld, head %lld) are negative or overflow",
                         tensor, (long long)given->page, (long long)given->token, (long long)given->head);
    if (!kv_rows_apart(layout, given, dim))
        return set_error(ATTUNE_ERROR_STRIDE,
                         "options.%s strides (page %lld, token %lld, head %lld) make rows of %lld elements overlap or "
                         "interleave",
                         tensor,
                         (long long)given->page, (long long)given->token, (long long)given->head, (long long)dim);
    *out = *given;
    return ATTUNE_OK;
}

static attune_status cache_bytes(const struct attune_kv_layout *layout, const struct kv_strides *strides, int64_t dim,
                                 size_t *bytes)
{
    int64_t extent;
    if (!kv_cache_extent(layout, strides, dim, &extent) ||
        __builtin_mul_overflow((size_t)extent, dtype_size(layout->dtype), bytes))
        return set_error(ATTUNE_ERROR_OVERFLOW, "a cache of %lld slots does not fit the address space",
                         (long long)layout->num_slots);
    return ATTUNE_OK;
}

/* Strides that are NHD's or HND's make that layout, whatever words they were given in: cache keys hold the id. */
static void name_order(struct attune_kv_layout *layout)
{
    static const attune_kv_order orders[] = {ATTUNE_KV_NHD, ATTUNE_KV_HND};
    for (int i = 0; layout->order == ATTUNE_KV_STRIDED && i < 2; i++) {
        struct kv_strides k, v;
        set_strides(layout, "k", orders[i], layout->head_dim_qk, NULL, &k);
        set_strides(layout, "v", orders[i], layout->head_dim_vo, NULL, &v);
        if (kv_strides_equal(layout, &k, &layout->k) && kv_strides_equal(layout, &v, &layout->v))
            layout->order = orders[i];
    }
}

/* "slots,nhd,fp32", "pages16,hnd,bf16", "pages16,strided:PAGE:TOKEN:HEAD,fp16": the strides of K. */
static void write_id(struct attune_kv_layout *layout)
{
    attune_kv_order order = layout->order;
    char pages[32] = "slots", strides[72];
    if (layout->page_size > 1)
        snprintf(pages, sizeof pages, "pages%d", layout->page_size);
    if (order == ATTUNE_KV_STRIDED)
        snprintf(strides, sizeof strides, "strided:%lld:%lld:%lld", (long long)layout->k.page, (long long)layout->k.token,
                 (long long)layout->k.head);
    else
        snprintf(strides, sizeof strides, "%s", order == ATTUNE_KV_NHD ? "nhd" : "hnd");
    snprintf(layout->id, sizeof layout->id, "%s,%s,%s", pages, strides, dtype_name(layout->dtype));
}

attune_status kv_layout_init(attune_context *context, const attune_kv_layout_options *options,
                             struct attune_kv_layout *out)
{
    attune_status status = struct_check(options, sizeof *options, "options");
    if (status != ATTUNE_OK || (status = check_sizes(options)) != ATTUNE_OK)
        return status;
    struct attune_kv_layout layout = {
        .context = context,
        .order = options->order,
        .dtype = options->dtype,
        .num_kv_heads = options->num_kv_heads,
        .head_dim_qk = options->head_dim_qk,
        .head_dim_vo = options->head_dim_vo ? options->head_dim_vo : options->head_dim_qk,
        .page_size = options->page_size,
        .num_slots = options->num_slots,
    };
    size_t bytes;
    const struct kv_strides k = {options->k_stride_page, options->k_stride_token, options->k_stride_head};
    const struct kv_strides v = {options->v_stride_page, options->v_stride_token, options->v_stride_head};
    if ((status = set_strides(&layout, "k", options->order, layout.head_dim_qk, &k, &layout.k)) ||
        (status = set_strides(&layout, "v", options->order, layout.head_dim_vo, &v, &layout.v)) ||
        (status = cache_bytes(&layout, &layout.k, layout.head_dim_qk, &bytes)) ||
        (status = cache_bytes(&layout, &layout.v, layout.head_dim_vo, &bytes)))
        return status;
    name_order(&layout);
    write_id(&layout);
    *out = layout;
    return ATTUNE_OK;
}

attune_status kv_layout_check_desc(const struct attune_kv_layout *layout, const attune_attention_desc *desc)
{
    if (!layout)
        return desc->operation != ATTUNE_EXTEND
                   ? ATTUNE_OK
                   : set_error(ATTUNE_ERROR_NULL_ARGUMENT, "layout is NULL; extend reads a KV cache");
    int32_t dim_vo = desc_head_dim_vo(desc);
    if (desc->operation == ATTUNE_PREFILL)
        return set_error(ATTUNE_ERROR_MISMATCH, "layout is given; prefill reads no KV cache and takes NULL");
    if (layout->num_kv_heads != desc->num_kv_heads || layout->head_dim_qk != desc->head_dim_qk ||
        layout->head_dim_vo != dim_vo || layout->dtype != desc->kv_dtype)
        return set_error(ATTUNE_ERROR_MISMATCH,
                         "layout holds %d heads of %d and %d %s; desc has %d heads of %d and %d %s",
                         layout->num_kv_heads, layout->head_dim_qk, layout->head_dim_vo, dtype_name(layout->dtype),
                         desc->num_kv_heads, desc->head_dim_qk, dim_vo, dtype_name(desc->kv_dtype));
    return ATTUNE_OK;
}

attune_status attune_kv_layout_create(attune_context *context, const attune_kv_layout_options *options,
                                      attune_kv_layout **out)
{
    if (!out)
        return set_error(ATTUNE_ERROR_NULL_ARGUMENT, "out is NULL");
    *out = NULL;
    if (!context)
        return set_error(ATTUNE_ERROR_NULL_ARGUMENT, "context is NULL");
    struct attune_kv_layout layout;
    attune_status status = kv_layout_init(context, options, &layout);
    if (status != ATTUNE_OK)
        return status;
    *out = malloc(sizeof **out);
    if (!*out)
        return set_error(ATTUNE_ERROR_OUT_OF_MEMORY, "out of memory for a layout");
    **out = layout;
    return ATTUNE_OK;
}

void attune_kv_layout_destroy(attune_kv_layout **layout)
{
    if (!layout)
        return;
    free(*layout);
    *layout = NULL;
}

const char *attune_kv_layout_id(const attune_kv_layout *layout)
{
    return layout ? layout->id : NULL;
}

attune_status attune_kv_layout_bytes(const attune_kv_layout *layout, size_t *k_bytes, size_t *v_bytes)
{
    size_t k = 0, v = 0;
    attune_status status;
    if (!layout)
        return set_error(ATTUNE_ERROR_NULL_ARGUMENT, "layout is NULL");
    if ((status = cache_bytes(layout, &layout->k, layout->head_dim_qk, &k)) ||
        (status = cache_bytes(layout, &layout->v, layout->head_dim_vo, &v)))
        return status;
    if (k_bytes)
        *k_bytes = k;
    if (v_bytes)
        *v_bytes = v;
    return ATTUNE_OK;
}
