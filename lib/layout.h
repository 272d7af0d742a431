/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ATTUNE_LAYOUT_H
#define ATTUNE_LAYOUT_H

#include "context.h"

#define MAX_PAGE_SIZE (1 << 20)

/* Strides in elements of a cache [page, token in page, head, dim]. With pages of one token, token is not used. */
struct kv_strides {
    int64_t page, token, head;
};

struct attune_kv_layout {
    attune_context *context;
    attune_kv_order order;
    attune_dtype dtype;
    int32_t num_kv_heads, head_dim_qk, head_dim_vo, page_size;
    int64_t num_slots; /* a multiple of page_size */
    struct kv_strides k, v;
    char id[96];
};

/* Everything of attune_kv_layout_create but the allocation. context may be NULL for a layout that is only asked for its id and
 * strides. */
attune_status kv_layout_init(attune_context *context, const attune_kv_layout_options *options,
                             struct attune_kv_layout *out);

/* That desc, which is valid, can read its keys from layout (NULL: contiguous keys). Errors: NULL_ARGUMENT, MISMATCH. */
attune_status kv_layout_check_desc(const struct attune_kv_layout *layout, const attune_attention_desc *desc);

/* Elements from the first to one past the last of a tensor [tokens, heads, dim]; false on overflow or negative strides.
 * 0 for an empty tensor. */
bool tensor_extent(int64_t tokens, int64_t heads, int64_t dim, int64_t stride_token, int64_t stride_head,
                   int64_t *extent);

/* The same of a cache in layout, with its own strides or others. */
bool kv_cache_extent(const struct attune_kv_layout *layout, const struct kv_strides *strides, int64_t dim,
                     int64_t *extent);

/* True where the strides that count are equal. */
static inline bool kv_strides_equal(const struct attune_kv_layout *layout, const struct kv_strides *a,
                                    const struct kv_strides *b)
{
    return a->page == b->page && a->head == b->head && (layout->page_size == 1 || a->token == b->token);
}

/* True where no two of its rows of dim elements share one. */
bool kv_rows_apart(const struct attune_kv_layout *layout, const struct kv_strides *strides, int64_t dim);

/* Magic numbers with which mul_hi(position, magic) >> shift is position / page_size, for positions below 2^31 (Granlund
 * and Montgomery, Division by Invariant Integers using Multiplication, 1994). Zeros for slots: nothing divides by 1. */
void page_division(int32_t page_size, uint32_t *magic, int32_t *shift);

#endif
