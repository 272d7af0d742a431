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
        (status = check_dim("page_size", o->page_size, 1, 1024)) != ATTUNE_OK ||
        (status = check_dim("num_slots", o->num_slots, 1, INT32_MAX)) != ATTUNE_OK)
        return status;
    if (!dtype_size(o->dtype))
        return set_error(ATTUNE_ERROR_DTYPE, "options.dtype is %d, not a known type", (int)o->dtype);
    if (o->page_size != 1)
        return set_error(ATTUNE_ERROR_UNSUPPORTED, "options.page_size is %d; this version supports 1 (slots)",
                         o->page_size);
    return ATTUNE_OK;
}

/* Strides of one of the two tensors, where dim is its head_dim. */
static attune_status set_strides(const attune_kv_layout_options *o, const char *tensor, int64_t dim, int64_t token,
                                 int64_t head, struct kv_strides *out)
{
    switch (o->order) {
    case ATTUNE_KV_NHD:
        *out = (struct kv_strides){o->num_kv_heads * dim, dim};
        return ATTUNE_OK;
    case ATTUNE_KV_HND:
        *out = (struct kv_strides){dim, o->num_slots * dim};
        return ATTUNE_OK;
    case ATTUNE_KV_STRIDED:
        break;
    default:
        return set_error(ATTUNE_ERROR_ENUM, "options.order is %d, not a known order", (int)o->order);
    }
    int64_t heads_extent, tokens_extent;
    if (!tensor_extent(1, o->num_kv_heads, dim, token, head, &heads_extent) ||
        !tensor_extent(o->num_slots, 1, dim, token, head, &tokens_extent))
        return set_error(ATTUNE_ERROR_STRIDE, "options.%s strides (%lld, %lld) are negative or overflow", tensor,
                         (long long)token, (long long)head);
    if (token < dim || (o->num_kv_heads > 1 && head < dim) || (token < heads_extent && head < tokens_extent))
        return set_error(ATTUNE_ERROR_STRIDE, "options.%s strides (%lld, %lld) make rows of %lld elements overlap",
                         tensor, (long long)token, (long long)head, (long long)dim);
    *out = (struct kv_strides){token, head};
    return ATTUNE_OK;
}

static attune_status cache_bytes(const struct attune_kv_layout *layout, const struct kv_strides *strides, int64_t dim,
                                 size_t *bytes)
{
    int64_t extent;
    if (!tensor_extent(layout->num_slots, layout->num_kv_heads, dim, strides->token, strides->head, &extent) ||
        __builtin_mul_overflow((size_t)extent, dtype_size(layout->dtype), bytes))
        return set_error(ATTUNE_ERROR_OVERFLOW, "a cache of %lld slots does not fit the address space",
                         (long long)layout->num_slots);
    return ATTUNE_OK;
}

static void write_id(const attune_kv_layout_options *o, struct attune_kv_layout *layout)
{
    if (o->order == ATTUNE_KV_STRIDED)
        snprintf(layout->id, sizeof layout->id, "slots,strided:%lld:%lld,%s", (long long)layout->k.token,
                 (long long)layout->k.head, dtype_name(o->dtype));
    else
        snprintf(layout->id, sizeof layout->id, "slots,%s,%s", o->order == ATTUNE_KV_NHD ? "nhd" : "hnd",
                 dtype_name(o->dtype));
}

attune_status attune_kv_layout_create(attune_context *context, const attune_kv_layout_options *options,
                                      attune_kv_layout **out)
{
    if (!out)
        return set_error(ATTUNE_ERROR_NULL_ARGUMENT, "out is NULL");
    *out = NULL;
    if (!context)
        return set_error(ATTUNE_ERROR_NULL_ARGUMENT, "context is NULL");
    attune_status status = struct_check(options, sizeof *options, "options");
    if (status != ATTUNE_OK || (status = check_sizes(options)) != ATTUNE_OK)
        return status;
    struct attune_kv_layout layout = {
        .context = context,
        .dtype = options->dtype,
        .num_kv_heads = options->num_kv_heads,
        .head_dim_qk = options->head_dim_qk,
        .head_dim_vo = options->head_dim_vo ? options->head_dim_vo : options->head_dim_qk,
        .page_size = options->page_size,
        .num_slots = options->num_slots,
    };
    size_t bytes;
    if ((status = set_strides(options, "k", layout.head_dim_qk, options->k_stride_token, options->k_stride_head,
                              &layout.k)) ||
        (status = set_strides(options, "v", layout.head_dim_vo, options->v_stride_token, options->v_stride_head,
                              &layout.v)) ||
        (status = cache_bytes(&layout, &layout.k, layout.head_dim_qk, &bytes)) ||
        (status = cache_bytes(&layout, &layout.v, layout.head_dim_vo, &bytes)))
        return status;
    write_id(options, &layout);
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
