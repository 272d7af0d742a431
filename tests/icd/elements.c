/* SPDX-License-Identifier: Apache-2.0 */
#include "elements.h"

#include <math.h>
#include <string.h>

size_t type_size(enum element_type type)
{
    return type == TYPE_FP32 ? 4 : 2;
}

static float from_bits(uint32_t bits)
{
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

static float half_value(uint16_t half)
{
    int exponent = half >> 10 & 31, mantissa = half & 1023;
    float magnitude = exponent == 31  ? (mantissa ? NAN : INFINITY)
                      : exponent == 0 ? ldexpf((float)mantissa, -24)
                                      : ldexpf((float)(mantissa | 1024), exponent - 25);
    return half & 0x8000 ? -magnitude : magnitude;
}

/* To nearest even, by scaling so that the type's last bit is 1. */
static uint16_t to_half(float value)
{
    uint16_t sign = signbit(value) ? 0x8000 : 0;
    float magnitude = fabsf(value);
    if (isnan(value))
        return sign | 0x7e00;
    if (magnitude >= 65520.0f)
        return sign | 0x7c00;
    if (magnitude == 0.0f) /* frexpf gives it exponent 0 */
        return sign;
    int exponent = 0;
    frexpf(magnitude, &exponent);
    if (exponent < -13)
        exponent = -13;
    float units = nearbyintf(ldexpf(magnitude, 11 - exponent)); /* 1024 .. 2048, less when subnormal */
    return (uint16_t)(sign | (uint16_t)(units + (float)((exponent + 13) * 1024)));
}

static uint16_t to_bf16(float value)
{
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    if (isnan(value))
        return (uint16_t)(bits >> 16 | 64);
    return (uint16_t)((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
}

unsigned char *locate(struct memory *m, int which, int64_t first, int64_t count)
{
    const struct view *view = &m->views[which];
    int64_t elements = (int64_t)(view->room / type_size(view->type));
    if (view->data && first >= 0 && count >= 0 && first <= elements - count)
        return view->data + (size_t)first * type_size(view->type);
    m->out_of_bounds = true;
    m->where = m->names[which];
    return NULL;
}

void load_row(struct memory *m, int which, int64_t first, int count, float *out)
{
    const unsigned char *at = locate(m, which, first, count);
    enum element_type type = m->views[which].type;
    if (!at)
        memset(out, 0, (size_t)count * sizeof *out);
    else if (type == TYPE_FP32)
        memcpy(out, at, (size_t)count * sizeof *out);
    for (int i = 0; at && type != TYPE_FP32 && i < count; i++) {
        uint16_t stored;
        memcpy(&stored, at + 2 * i, sizeof stored);
        out[i] = type == TYPE_FP16 ? half_value(stored) : from_bits((uint32_t)stored << 16);
    }
}

void store(struct memory *m, int which, int64_t index, float value)
{
    unsigned char *at = locate(m, which, index, 1);
    enum element_type type = m->views[which].type;
    if (!at)
        return;
    uint16_t narrow = type == TYPE_FP16 ? to_half(value) : to_bf16(value);
    if (type == TYPE_FP32)
        memcpy(at, &value, sizeof value);
    else
        memcpy(at, &narrow, sizeof narrow);
}

int32_t load_int(struct memory *m, int which, int64_t index)
{
    int32_t value = 0;
    const unsigned char *at = locate(m, which, index, 1);
    if (at)
        memcpy(&value, at, sizeof value);
    return value;
}

void view_argument(struct memory *m, int which, const struct kernel_arg *arg, enum element_type type)
{
    m->views[which].data = arg_memory(arg, &m->views[which].room);
    m->views[which].type = type;
}
