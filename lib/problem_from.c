/* SPDX-License-Identifier: Apache-2.0 */
#include "problem_from.h"

#include <stdlib.h>

#include "desc.h"

/* The order and padding by which a problem names the layout's strides; false where none does. */
static bool name_strides(const struct attune_kv_layout *layout, struct attune_problem *like)
{
    int64_t token = layout->page_size == 1 ? layout->k.page : layout->k.token, dim = layout->head_dim_qk;
    const int64_t pads[] = {token - layout->num_kv_heads * dim, layout->k.head - layout->page_size * dim};
    const attune_kv_order orders[] = {ATTUNE_KV_NHD, ATTUNE_KV_HND};
    for (int i = 0; i < (layout->page_size == 1 ? 1 : 2); i++) {
        if (pads[i] < 1 || pads[i] > PROBLEM_PAD_MAX)
            continue;
        like->kv_order = orders[i];
        like->kv_pad = (int32_t)pads[i];
        attune_kv_layout_options o = problem_layout(like, layout->num_slots);
        const struct kv_strides k = {o.k_stride_page, o.k_stride_token, o.k_stride_head};
        const struct kv_strides v = {o.v_stride_page, o.v_stride_token, o.v_stride_head};
        if (kv_strides_equal(layout, &k, &layout->k) && kv_strides_equal(layout, &v, &layout->v))
            return true;
    }
    return false;
}

attune_status problem_like_layout(const struct attune_kv_layout *layout, struct attune_problem *like)
{
    *like = (struct attune_problem){.kv_order = ATTUNE_KV_NHD};
    if (!layout)
        return ATTUNE_OK;
    like->desc.num_kv_heads = layout->num_kv_heads;
    like->desc.head_dim_qk = layout->head_dim_qk;
    like->desc.head_dim_vo = layout->head_dim_vo;
    like->desc.kv_dtype = layout->dtype;
    like->page_size = layout->page_size;
    like->kv_order = layout->order;
    if (layout->order != ATTUNE_KV_STRIDED || name_strides(layout, like))
        return ATTUNE_OK;
    return set_error(ATTUNE_ERROR_UNSUPPORTED,
                     "not supported in this version: measuring on a layout of ATTUNE_KV_STRIDED whose strides are not "
                     "those of NHD or HND with padding; plan with ATTUNE_ESTIMATE");
}

static attune_status from_lengths(const attune_attention_desc *desc, const struct attune_kv_layout *layout,
                                  int32_t batch, const int32_t *q_len, const int32_t *kv_len, attune_problem **out)
{
    struct attune_problem like;
    attune_status status = problem_like_layout(layout, &like);
    return status != ATTUNE_OK ? status : problem_create_like(&like, desc, batch, q_len, kv_len, out);
}

attune_status problem_from_shape(const attune_attention_desc *desc, const struct attune_kv_layout *layout,
                                 const attune_shape *shape, attune_problem **out)
{
    size_t batch = (size_t)shape->batch;
    int32_t *lengths = malloc(2 * batch * sizeof *lengths);
    if (!lengths)
        return set_error(ATTUNE_ERROR_OUT_OF_MEMORY, "out of memory for a batch of %d", shape->batch);
    for (size_t i = 0; i < batch; i++) {
        lengths[i] = shape->q_len;
        lengths[batch + i] = shape->kv_len;
    }
    attune_status status = from_lengths(desc, layout, shape->batch, lengths, lengths + batch, out);
    free(lengths);
    return status;
}

/* What the problem must be able to be: a plan's. */
static attune_status check_given(const attune_attention_desc *desc, const attune_kv_layout *layout, int32_t batch,
                                 const char *name)
{
    attune_status status = desc_validate(desc);
    if (status == ATTUNE_OK)
        status = kv_layout_check_desc(layout, desc);
    if (status == ATTUNE_OK && (batch < 1 || batch > PROBLEM_BATCH_MAX))
        status = set_error(ATTUNE_ERROR_INVALID_SIZE, "%s is %d; it must be 1 to %d", name, batch, PROBLEM_BATCH_MAX);
    return status;
}

attune_status attune_problem_from(const attune_attention_desc *desc, const attune_kv_layout *layout,
                                  const attune_shape *shape, attune_problem **out)
{
    if (!out)
        return set_error(ATTUNE_ERROR_NULL_ARGUMENT, "out is NULL");
    *out = NULL;
    if (!shape)
        return set_error(ATTUNE_ERROR_NULL_ARGUMENT, "shape is NULL");
    attune_status status = check_given(desc, layout, shape->batch, "shape.batch");
    return status != ATTUNE_OK ? status : problem_from_shape(desc, layout, shape, out);
}

attune_status attune_problem_from_lengths(const attune_attention_desc *desc, const attune_kv_layout *layout,
                                          int32_t batch, const int32_t *q_len, const int32_t *kv_len,
                                          attune_problem **out)
{
    if (!out)
        return set_error(ATTUNE_ERROR_NULL_ARGUMENT, "out is NULL");
    *out = NULL;
    attune_status status = check_given(desc, layout, batch, "batch");
    return status != ATTUNE_OK ? status : from_lengths(desc, layout, batch, q_len, kv_len, out);
}
