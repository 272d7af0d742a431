/* SPDX-License-Identifier: Apache-2.0
 * Conversions by integer arithmetic: the host compiler need not know _Float16. */
#include "base.h"

#include <string.h>

static const struct {
    const char *name;
    attune_dtype dtype;
    size_t size;
} dtypes[] = {{"fp32", ATTUNE_FP32, 4}, {"fp16", ATTUNE_FP16, 2}, {"bf16", ATTUNE_BF16, 2}};

#define NUM_DTYPES (sizeof dtypes / sizeof dtypes[0])

size_t dtype_size(attune_dtype dtype)
{
    for (size_t i = 0; i < NUM_DTYPES; i++)
        if (dtypes[i].dtype == dtype)
            return dtypes[i].size;
    return 0;
}

const char *dtype_name(attune_dtype dtype)
{
    for (size_t i = 0; i < NUM_DTYPES; i++)
        if (dtypes[i].dtype == dtype)
            return dtypes[i].name;
    return "?";
}

bool dtype_from_name(const char *name, attune_dtype *out)
{
    for (size_t i = 0; i < NUM_DTYPES; i++)
        if (!strcmp(dtypes[i].name, name)) {
            *out = dtypes[i].dtype;
            return true;
        }
    return false;
}

static uint32_t bits_of(float value)
{
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    return bits;
}

static float float_of(uint32_t bits)
{
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

uint16_t float_to_half(float value)
{
    uint32_t bits = bits_of(value), sign = bits >> 16 & 0x8000u, magnitude = bits & 0x7fffffffu;
    if (magnitude > 0x7f800000u) /* NaN stays a quiet one */
        return (uint16_t)(sign | 0x7e00u | (magnitude >> 13 & 0x1ffu));
    if (magnitude >= 0x477ff000u) /* rounds past the largest half, 65504 */
        return (uint16_t)(sign | 0x7c00u);
    if (magnitude >= 0x38800000u) { /* normal: rebias by 112, round to nearest even */
        uint32_t rounded = magnitude + 0xfffu + (magnitude >> 13 & 1u);
        return (uint16_t)(sign | ((rounded - 0x38000000u) >> 13));
    }
    if (magnitude < 0x33000000u) /* below half of the smallest subnormal; the tie itself goes to zero below */
        return (uint16_t)sign;
    uint32_t shift = 126u - (magnitude >> 23), mantissa = (magnitude & 0x7fffffu) | 0x800000u;
    uint32_t kept = mantissa >> shift, rest = mantissa & ((1u << shift) - 1u), half = 1u << (shift - 1u);
    kept += rest > half || (rest == half && (kept & 1u));
    return (uint16_t)(sign | kept);
}

float half_to_float(uint16_t half)
{
    uint32_t sign = (uint32_t)(half & 0x8000u) << 16, magnitude = half & 0x7fffu;
    if (magnitude >= 0x7c00u)
        return float_of(sign | 0x7f800000u | (magnitude & 0x3ffu) << 13);
    /* Scaling by 2^112 makes the exponent right for normals and subnormals alike; it is exact. */
    return float_of(sign | bits_of(float_of(magnitude << 13) * 0x1p112f));
}

uint16_t float_to_bf16(float value)
{
    uint32_t bits = bits_of(value);
    if ((bits & 0x7fffffffu) > 0x7f800000u)
        return (uint16_t)(bits >> 16 | 0x40u);
    return (uint16_t)((bits + 0x7fffu + (bits >> 16 & 1u)) >> 16);
}

float bf16_to_float(uint16_t bf16)
{
    return float_of((uint32_t)bf16 << 16);
}
