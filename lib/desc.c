/* SPDX-License-Identifier: Apache-2.0 */
#include "desc.h"

#include <ctype.h>
#include <math.h>
#include <string.h>

/* A size beyond this is memory that was never initialised, whose tail must not be read. */
#define MAX_STRUCT_TAIL 4096

/* Beyond them the logits of usual queries and keys, or kernels' multiples of the scale, are no normal fp32 numbers. */
#define MIN_SCALE 1e-30f
#define MAX_SCALE 1e30f

void attune_attention_desc_init(attune_attention_desc *desc)
{
    *desc = (attune_attention_desc)ATTUNE_ATTENTION_DESC_INIT;
}

attune_status struct_check(const void *given, size_t known_size, const char *what)
{
    if (!given)
        return set_error(ATTUNE_ERROR_NULL_ARGUMENT, "%s is NULL", what);
    size_t size;
    memcpy(&size, given, sizeof size);
    if (size == 0) {
        char macro[80];
        copy_string(macro, sizeof macro, what);
        for (char *c = macro; *c; c++)
            *c = (char)toupper((unsigned char)*c);
        return set_error(ATTUNE_ERROR_STRUCT_SIZE, "%s.size is 0: initialise the struct with %s_INIT", what, macro);
    }
    if (size < known_size)
        return set_error(ATTUNE_ERROR_STRUCT_SIZE, "%s.size is %zu; it must be at least %zu", what, size, known_size);
    if (size - known_size > MAX_STRUCT_TAIL)
        return set_error(ATTUNE_ERROR_STRUCT_SIZE, "%s.size is %zu; it must be at most %zu", what, size,
                         known_size + MAX_STRUCT_TAIL);
    for (size_t i = known_size; i < size; i++)
        if (((const unsigned char *)given)[i])
            return set_error(
                ATTUNE_ERROR_STRUCT_SIZE,
                "%s.size is %zu, and byte %zu is not 0: it sets a field that this version (%zu bytes) lacks", what,
                size, i, known_size);
    return ATTUNE_OK;
}

static attune_status check_range(const char *name, int32_t value, int32_t low, int32_t high)
{
    if (value >= low && value <= high)
        return ATTUNE_OK;
    return set_error(ATTUNE_ERROR_INVALID_SIZE, "%s is %d; it must be %d to %d", name, (int)value, (int)low, (int)high);
}

static attune_status check_enums(const attune_attention_desc *desc)
{
    const struct {
        const char *name;
        int value, low, high;
    } enums[] = {
        {"operation", (int)desc->operation, ATTUNE_PREFILL, ATTUNE_DECODE},
        {"precision", (int)desc->precision, ATTUNE_STRICT, ATTUNE_FAST},
        {"mask", (int)desc->mask, ATTUNE_MASK_NONE, ATTUNE_MASK_CAUSAL},
        {"causal_alignment", (int)desc->causal_alignment, ATTUNE_BOTTOM_RIGHT, ATTUNE_TOP_LEFT},
    };
    for (size_t i = 0; i < sizeof enums / sizeof enums[0]; i++)
        if (enums[i].value < enums[i].low || enums[i].value > enums[i].high)
            return set_error(ATTUNE_ERROR_ENUM, "%s is %d; it must be %d to %d", enums[i].name, enums[i].value,
                             enums[i].low, enums[i].high);
    return ATTUNE_OK;
}

static attune_status check_sizes(const attune_attention_desc *desc)
{
    attune_status status;
    if ((status = check_range("num_q_heads", desc->num_q_heads, 1, MAX_HEADS)) ||
        (status = check_range("num_kv_heads", desc->num_kv_heads, 1, MAX_HEADS)) ||
        (status = check_range("head_dim_qk", desc->head_dim_qk, 1, MAX_HEAD_DIM)) ||
        (status = check_range("head_dim_vo", desc->head_dim_vo, 0, MAX_HEAD_DIM)))
        return status;
    if (desc->num_q_heads % desc->num_kv_heads)
        return set_error(ATTUNE_ERROR_HEAD_COUNT, "num_q_heads is %d; it must be a multiple of num_kv_heads (%d)",
                         (int)desc->num_q_heads, (int)desc->num_kv_heads);
    return ATTUNE_OK;
}

static attune_status check_dtypes(const attune_attention_desc *desc)
{
    const struct {
        const char *name;
        attune_dtype dtype;
    } dtypes[] = {{"q_dtype", desc->q_dtype},
                  {"kv_dtype", desc->kv_dtype},
                  {"o_dtype", desc->o_dtype},
                  {"new_kv_dtype", desc_new_kv_dtype(desc)}};
    for (size_t i = 0; i < 4; i++)
        if (!dtype_size(dtypes[i].dtype))
            return set_error(ATTUNE_ERROR_DTYPE, "%s is %d; it must be 1 (fp32), 2 (fp16) or 3 (bf16)", dtypes[i].name,
                             (int)dtypes[i].dtype);
    if (desc->operation != ATTUNE_EXTEND && desc_new_kv_dtype(desc) != desc->kv_dtype)
        return set_error(ATTUNE_ERROR_DTYPE,
                         "new_kv_dtype is %d (%s) beside kv_dtype %d (%s); only extend has new K and V beside a cache, "
                         "others take 0 or kv_dtype",
                         (int)desc->new_kv_dtype, dtype_name(desc->new_kv_dtype), (int)desc->kv_dtype,
                         dtype_name(desc->kv_dtype));
    return ATTUNE_OK;
}

attune_status desc_validate(const attune_attention_desc *desc)
{
    attune_status status;
    if ((status = struct_check(desc, sizeof *desc, "attune_attention_desc")) || (status = check_enums(desc)) ||
        (status = check_sizes(desc)) || (status = check_dtypes(desc)))
        return status;
    if (!isfinite(desc->softcap) || desc->softcap < 0)
        return set_error(ATTUNE_ERROR_SOFTCAP, "softcap is %g; it must be finite and at least 0",
                         (double)desc->softcap);
    if (desc->scale != 0 && !(desc->scale >= MIN_SCALE && desc->scale <= MAX_SCALE))
        return set_error(ATTUNE_ERROR_SCALE, "scale is %g; it must be %g to %g, or 0 for 1 / sqrt(head_dim_qk)",
                         (double)desc->scale, (double)MIN_SCALE, (double)MAX_SCALE);
    if (desc->window_left < -1)
        return set_error(ATTUNE_ERROR_WINDOW, "window_left is %d; it must be at least -1", (int)desc->window_left);
    if (desc->window_right < -1)
        return set_error(ATTUNE_ERROR_WINDOW, "window_right is %d; it must be at least -1", (int)desc->window_right);
    return ATTUNE_OK;
}

attune_status desc_supported(const attune_attention_desc *desc)
{
    static const char text[] = "not supported in this version";
    if (desc->window_left >= 0 || desc->window_right >= 0)
        return set_error(ATTUNE_ERROR_UNSUPPORTED, "%s: sliding window (window_left %d, window_right %d)", text,
                         (int)desc->window_left, (int)desc->window_right);
    if (desc->softcap != 0)
        return set_error(ATTUNE_ERROR_UNSUPPORTED, "%s: softcap (%g)", text, (double)desc->softcap);
    return ATTUNE_OK;
}

int32_t desc_head_dim_vo(const attune_attention_desc *desc)
{
    return desc->head_dim_vo ? desc->head_dim_vo : desc->head_dim_qk;
}

attune_dtype desc_new_kv_dtype(const attune_attention_desc *desc)
{
    return desc->new_kv_dtype ? desc->new_kv_dtype : desc->kv_dtype;
}

float desc_scale(const attune_attention_desc *desc)
{
    return desc->scale != 0 ? desc->scale : (float)(1 / sqrt(desc->head_dim_qk));
}

static int64_t clamp(int64_t value, int64_t high)
{
    return value < 0 ? 0 : value > high ? high : value;
}

void desc_visible_keys(const attune_attention_desc *desc, int64_t q_len, int64_t kv_len, int64_t i, int64_t *begin,
                       int64_t *end)
{
    int64_t position = desc->causal_alignment == ATTUNE_TOP_LEFT ? i : kv_len - q_len + i;
    int64_t last = desc->window_right >= 0 ? position + desc->window_right : kv_len - 1;
    if (desc->mask == ATTUNE_MASK_CAUSAL && position < last)
        last = position;
    *begin = desc->window_left >= 0 ? clamp(position - desc->window_left, kv_len) : 0;
    *end = clamp(last + 1, kv_len);
    if (*begin > *end)
        *begin = *end;
}
