/* SPDX-License-Identifier: Apache-2.0 */
#include "tensor.h"

static bool rows_overlap(const struct expected *e, const struct placed *at)
{
    int64_t heads, tokens;
    return (e->heads > 1 && at->stride_head < e->dim) || (e->tokens > 1 && at->stride_token < e->dim) ||
           !tensor_extent(1, e->heads, e->dim, at->stride_token, at->stride_head, &heads) ||
           !tensor_extent(e->tokens, 1, e->dim, at->stride_token, at->stride_head, &tokens) ||
           (e->tokens > 1 && e->heads > 1 && at->stride_token < heads && at->stride_head < tokens);
}

static attune_status check_memory(const struct attune_context *context, const attune_tensor *t,
                                  const struct expected *e, int64_t extent)
{
    size_t element = dtype_size(e->dtype), size = 0, end;
    cl_context owner = NULL;
    if (t->byte_offset % element)
        return set_error(ATTUNE_ERROR_OFFSET, "%s.byte_offset is %zu; it must be a multiple of %zu", e->name,
                         t->byte_offset, element);
    if (t->type == ATTUNE_MEMORY_SVM)
        return context->choice.device.coarse_svm || context->choice.device.fine_svm
                   ? ATTUNE_OK
                   : set_error(ATTUNE_ERROR_UNSUPPORTED, "%s is SVM memory; this device has none", e->name);
    cl_int code = clGetMemObjectInfo(t->cl, CL_MEM_CONTEXT, sizeof owner, &owner, NULL);
    if (code == CL_SUCCESS)
        code = clGetMemObjectInfo(t->cl, CL_MEM_SIZE, sizeof size, &size, NULL);
    if (code != CL_SUCCESS)
        return set_opencl_error(ATTUNE_ERROR_WRONG_CONTEXT, code, "%s is not a valid OpenCL buffer", e->name);
    if (owner != context->cl)
        return set_error(ATTUNE_ERROR_WRONG_CONTEXT, "%s belongs to another OpenCL context", e->name);
    if (t->byte_offset > size || (t->byte_offset == size && extent))
        return set_error(ATTUNE_ERROR_OFFSET, "%s.byte_offset is %zu; its buffer has %zu bytes", e->name,
                         t->byte_offset, size);
    if (__builtin_mul_overflow((size_t)extent, element, &end) || end > size - t->byte_offset)
        return set_error(ATTUNE_ERROR_BUFFER_TOO_SMALL,
                         "%s needs %lld elements of %zu bytes from byte_offset %zu; its buffer has %zu bytes", e->name,
                         (long long)extent, element, t->byte_offset, size);
    return ATTUNE_OK;
}

attune_status check_tensor(const struct attune_context *context, const attune_tensor *t, const struct expected *e,
                           struct placed *at)
{
    if (t->type == ATTUNE_MEMORY_NONE)
        return e->required ? set_error(ATTUNE_ERROR_MISSING_TENSOR, "%s is missing; this run needs it", e->name)
                           : ATTUNE_OK;
    if (t->type != ATTUNE_MEMORY_CL && t->type != ATTUNE_MEMORY_SVM)
        return set_error(ATTUNE_ERROR_UNSUPPORTED, "%s.type is %d; memory must be a cl_mem (1) or SVM (2)", e->name,
                         (int)t->type);
    if (t->type == ATTUNE_MEMORY_CL ? !t->cl : !t->svm)
        return set_error(ATTUNE_ERROR_NULL_ARGUMENT, "%s.%s is NULL", e->name,
                         t->type == ATTUNE_MEMORY_CL ? "cl" : "svm");
    int64_t extent;
    at->stride_token = t->stride_token ? t->stride_token : e->packed_token;
    at->stride_head = t->stride_head ? t->stride_head : e->packed_head;
    if (at->stride_token < 0 || at->stride_head < 0)
        return set_error(ATTUNE_ERROR_STRIDE, "%s has strides (%lld, %lld); they must not be negative", e->name,
                         (long long)at->stride_token, (long long)at->stride_head);
    if (!tensor_extent(e->tokens, e->heads, e->dim, at->stride_token, at->stride_head, &extent))
        return set_error(ATTUNE_ERROR_OVERFLOW, "%s with strides (%lld, %lld) does not fit 64 bits", e->name,
                         (long long)at->stride_token, (long long)at->stride_head);
    if (e->output && rows_overlap(e, at))
        return set_error(ATTUNE_ERROR_STRIDE, "%s has strides (%lld, %lld); its rows of %lld elements overlap", e->name,
                         (long long)at->stride_token, (long long)at->stride_head, (long long)e->dim);
    at->offset = (abi_i64)(t->byte_offset / dtype_size(e->dtype));
    return check_memory(context, t, e, extent);
}

attune_status check_cache_tensor(const struct attune_kv_layout *layout, const attune_tensor *t,
                                 const struct expected *e, struct kv_strides *strides, struct placed *at)
{
    const struct expected start = {.name = e->name, .dtype = layout->dtype, .required = e->required};
    int64_t *token = layout->page_size == 1 ? &strides->page : &strides->token, extent;
    if (t->stride_token && layout->page_size == 1)
        *token = t->stride_token;
    if (t->stride_head && layout->page_size == 1)
        strides->head = t->stride_head;
    if ((t->stride_token && t->stride_token != *token) || (t->stride_head && t->stride_head != strides->head))
        return set_error(ATTUNE_ERROR_MISMATCH,
                         "%s has strides (%lld, %lld); the layout has (%lld, %lld), which 0 stands for", e->name,
                         (long long)t->stride_token, (long long)t->stride_head, (long long)*token,
                         (long long)strides->head);
    attune_status status = check_tensor(layout->context, t, &start, at);
    if (status != ATTUNE_OK || t->type == ATTUNE_MEMORY_NONE)
        return status;
    if (!kv_cache_extent(layout, strides, e->dim, &extent))
        return set_error(ATTUNE_ERROR_OVERFLOW, "%s with strides (%lld, %lld) does not fit 64 bits", e->name,
                         (long long)*token, (long long)strides->head);
    if (e->output && !kv_rows_apart(layout, strides, e->dim))
        return set_error(ATTUNE_ERROR_STRIDE, "%s has strides (%lld, %lld); its rows of %lld elements overlap", e->name,
                         (long long)*token, (long long)strides->head, (long long)e->dim);
    return check_memory(layout->context, t, &start, extent);
}
