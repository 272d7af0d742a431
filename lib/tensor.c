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

/* ---- memory */

/* Where a buffer lies: in its parent, or at an address where it is memory of the host's. */
static cl_int find_space(cl_mem cl, struct set_member *m)
{
    void *host = NULL;
    cl_mem parent = NULL;
    m->touched.space = cl;
    m->origin = 0;
    cl_int code = clGetMemObjectInfo(cl, CL_MEM_HOST_PTR, sizeof host, &host, NULL);
    if (code == CL_SUCCESS && host) {
        m->touched.space = NULL;
        m->origin = (uint64_t)(uintptr_t)host;
        return CL_SUCCESS;
    }
    if (code == CL_SUCCESS)
        code = clGetMemObjectInfo(cl, CL_MEM_ASSOCIATED_MEMOBJECT, sizeof parent, &parent, NULL);
    if (code != CL_SUCCESS || !parent)
        return code;
    size_t origin = 0;
    code = clGetMemObjectInfo(cl, CL_MEM_OFFSET, sizeof origin, &origin, NULL);
    m->touched.space = parent;
    m->origin = origin;
    return code;
}

/* Fills what the buffer itself says, or takes it from a tensor of the set in the same buffer. */
static attune_status inspect(const struct tensor_set *set, const attune_tensor *t, const char *name,
                             struct set_member *m)
{
    for (int i = 0; i < set->count; i++)
        if (set->of[i].cl == t->cl) {
            m->size = set->of[i].size;
            m->origin = set->of[i].origin;
            m->touched.space = set->of[i].touched.space;
            return ATTUNE_OK;
        }
    cl_context owner = NULL;
    cl_mem_object_type type = CL_MEM_OBJECT_BUFFER;
    cl_int code = clGetMemObjectInfo(t->cl, CL_MEM_CONTEXT, sizeof owner, &owner, NULL);
    if (code == CL_SUCCESS)
        code = clGetMemObjectInfo(t->cl, CL_MEM_SIZE, sizeof m->size, &m->size, NULL);
    if (code == CL_SUCCESS)
        code = clGetMemObjectInfo(t->cl, CL_MEM_TYPE, sizeof type, &type, NULL);
    if (code == CL_SUCCESS && type == CL_MEM_OBJECT_BUFFER)
        code = find_space(t->cl, m);
    if (code != CL_SUCCESS)
        return set_opencl_error(ATTUNE_ERROR_WRONG_CONTEXT, code, "%s is not a valid OpenCL buffer", name);
    if (type != CL_MEM_OBJECT_BUFFER)
        return set_error(ATTUNE_ERROR_UNSUPPORTED, "%s.cl is an image or a pipe (type 0x%X); it must be a buffer", name,
                         (unsigned)type);
    if (owner != set->context->cl)
        return set_error(ATTUNE_ERROR_WRONG_CONTEXT, "%s belongs to another OpenCL context", name);
    return ATTUNE_OK;
}

static attune_status check_size(const struct set_member *m, const attune_tensor *t, const struct expected *e,
                                int64_t extent)
{
    if (t->byte_offset > m->size || (t->byte_offset == m->size && extent))
        return set_error(ATTUNE_ERROR_OFFSET, "%s.byte_offset is %zu; its buffer has %zu bytes", e->name,
                         t->byte_offset, m->size);
    if ((size_t)m->touched.bytes > m->size - t->byte_offset)
        return set_error(ATTUNE_ERROR_BUFFER_TOO_SMALL,
                         "%s needs %lld elements of %zu bytes from byte_offset %zu; its buffer has %zu bytes%s",
                         e->name, (long long)extent, dtype_size(e->dtype), t->byte_offset, m->size,
                         (size_t)m->touched.bytes == 2 * (m->size - t->byte_offset)
                             ? ", half of that: do they have the type that the descriptor says?"
                             : "");
    return ATTUNE_OK;
}

/* The tensor's bytes from its first element to one past its last, without their axes. */
static attune_status check_memory(struct tensor_set *set, const attune_tensor *t, const struct expected *e,
                                  int64_t extent, struct set_member *m)
{
    int64_t element = (int64_t)dtype_size(e->dtype);
    if (t->byte_offset % (size_t)element)
        return set_error(ATTUNE_ERROR_OFFSET, "%s.byte_offset is %zu; it must be a multiple of %lld", e->name,
                         t->byte_offset, (long long)element);
    if (__builtin_mul_overflow(extent, element, &m->touched.bytes))
        return set_error(ATTUNE_ERROR_OVERFLOW,
                         "%s has %lld elements from its first to its last; their bytes do not fit "
                         "64 bits",
                         e->name, (long long)extent);
    m->touched.row = e->dim * element;
    if (t->type == ATTUNE_MEMORY_SVM) {
        if (!set->context->choice.device.coarse_svm && !set->context->choice.device.fine_svm)
            return set_error(ATTUNE_ERROR_UNSUPPORTED, "%s is SVM memory; this device has none", e->name);
        m->origin = (uint64_t)(uintptr_t)t->svm;
        m->touched.space = NULL;
    } else {
        attune_status status = inspect(set, t, e->name, m);
        m->cl = t->cl;
        if (status != ATTUNE_OK || (status = check_size(m, t, e, extent)) != ATTUNE_OK)
            return status;
    }
    m->touched.begin = m->origin + t->byte_offset;
    return ATTUNE_OK;
}

/* ---- tensors */

/* Joins t to the set. *out is NULL where it is not given, which may be an error. */
static attune_status join(struct tensor_set *set, const attune_tensor *t, const struct expected *e,
                          struct set_member **out)
{
    struct set_member *m = &set->of[set->count++];
    *m = (struct set_member){.name = e->name, .shares = e->shares, .output = e->output};
    *out = NULL;
    if (t->type == ATTUNE_MEMORY_NONE)
        return e->required ? set_error(ATTUNE_ERROR_MISSING_TENSOR, "%s is missing; this run needs it", e->name)
                           : ATTUNE_OK;
    if (t->type != ATTUNE_MEMORY_CL && t->type != ATTUNE_MEMORY_SVM)
        return set_error(ATTUNE_ERROR_UNSUPPORTED, "%s.type is %d; memory must be a cl_mem (1) or SVM (2)", e->name,
                         (int)t->type);
    if (t->type == ATTUNE_MEMORY_CL ? !t->cl : !t->svm)
        return set_error(ATTUNE_ERROR_NULL_ARGUMENT, "%s.%s is NULL", e->name,
                         t->type == ATTUNE_MEMORY_CL ? "cl" : "svm");
    *out = m;
    return ATTUNE_OK;
}

static attune_status check_strides(const struct expected *e, int64_t token, int64_t head, bool fits, bool overlap)
{
    if (token < 0 || head < 0)
        return set_error(ATTUNE_ERROR_STRIDE, "%s has strides (%lld, %lld); they must not be negative", e->name,
                         (long long)token, (long long)head);
    if (!fits)
        return set_error(ATTUNE_ERROR_OVERFLOW, "%s with strides (%lld, %lld) does not fit 64 bits", e->name,
                         (long long)token, (long long)head);
    if (e->output && overlap)
        return set_error(ATTUNE_ERROR_STRIDE, "%s has strides (%lld, %lld); its rows of %lld elements overlap", e->name,
                         (long long)token, (long long)head, (long long)e->dim);
    return ATTUNE_OK;
}

attune_status check_tensor(struct tensor_set *set, const attune_tensor *t, const struct expected *e, struct placed *at)
{
    struct set_member *m;
    attune_status status = join(set, t, e, &m);
    if (!m)
        return status;
    int64_t extent, element = (int64_t)dtype_size(e->dtype);
    at->stride_token = t->stride_token ? t->stride_token : e->packed_token;
    at->stride_head = t->stride_head ? t->stride_head : e->packed_head;
    bool fits = tensor_extent(e->tokens, e->heads, e->dim, at->stride_token, at->stride_head, &extent);
    if ((status = check_strides(e, at->stride_token, at->stride_head, fits, e->output && rows_overlap(e, at))) ||
        (status = check_memory(set, t, e, extent, m)))
        return status;
    at->offset = (abi_i64)(t->byte_offset / (size_t)element);
    m->touched.axes[0] = (struct footprint_axis){e->tokens, at->stride_token * element};
    m->touched.axes[1] = (struct footprint_axis){e->heads, at->stride_head * element};
    return ATTUNE_OK;
}

attune_status check_cache_tensor(struct tensor_set *set, const struct attune_kv_layout *layout, const attune_tensor *t,
                                 const struct expected *e, struct kv_strides *strides, struct placed *at)
{
    struct expected cache = *e;
    int64_t *token = layout->page_size == 1 ? &strides->page : &strides->token, extent;
    int64_t element = (int64_t)dtype_size(layout->dtype);
    cache.dtype = layout->dtype;
    if (t->stride_token && layout->page_size == 1)
        *token = t->stride_token;
    if (t->stride_head && layout->page_size == 1)
        strides->head = t->stride_head;
    if ((t->stride_token && t->stride_token != *token) || (t->stride_head && t->stride_head != strides->head))
        return set_error(ATTUNE_ERROR_MISMATCH,
                         "%s has strides (%lld, %lld); the layout has (%lld, %lld), which 0 stands for", e->name,
                         (long long)t->stride_token, (long long)t->stride_head, (long long)*token,
                         (long long)strides->head);
    struct set_member *m;
    attune_status status = join(set, t, &cache, &m);
    if (!m)
        return status;
    bool fits = kv_cache_extent(layout, strides, e->dim, &extent);
    if ((status =
             check_strides(e, *token, strides->head, fits, e->output && !kv_rows_apart(layout, strides, e->dim))) ||
        (status = check_memory(set, t, &cache, extent, m)))
        return status;
    at->offset = (abi_i64)(t->byte_offset / (size_t)element);
    m->touched.axes[0] = (struct footprint_axis){layout->num_slots / layout->page_size, strides->page * element};
    m->touched.axes[1] = (struct footprint_axis){layout->page_size, strides->token * element};
    m->touched.axes[2] = (struct footprint_axis){layout->num_kv_heads, strides->head * element};
    return ATTUNE_OK;
}

attune_status check_apart(const struct tensor_set *set)
{
    for (int i = 1; i < set->count; i++)
        for (int k = 0; k < i; k++) {
            const struct set_member *a = &set->of[i], *b = &set->of[k];
            if ((!a->output && !b->output) || footprints_apart(&a->touched, &b->touched) ||
                ((a->shares >> k & 1) && footprints_same_rows(&a->touched, &b->touched)))
                continue;
            return set_error(ATTUNE_ERROR_OVERLAP,
                             "%s overlaps %s; what is written must share no byte with another tensor",
                             a->output ? a->name : b->name, a->output ? b->name : a->name);
        }
    return ATTUNE_OK;
}
