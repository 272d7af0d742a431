/* SPDX-License-Identifier: Apache-2.0
 * Binary logarithms in integers: the same bits with every compiler and libm; odd parts. */
#include "strategy.h"

#include <string.h>

#define MANTISSA_BITS 52
#define EXPONENT_BIAS 1023

int32_t log2_fixed(double x)
{
    int32_t whole = 0;
    if (x < 0x1p-1022) { /* subnormal */
        x *= 0x1p64;
        whole = -64;
    }
    uint64_t bits;
    memcpy(&bits, &x, sizeof bits);
    whole += (int32_t)(bits >> MANTISSA_BITS) - EXPONENT_BIAS;
    /* Mantissa in [1, 2) with 31 bits after the point; squaring it yields the logarithm's bits one by one. */
    uint64_t m =
        ((bits & ((UINT64_C(1) << MANTISSA_BITS) - 1)) | (UINT64_C(1) << MANTISSA_BITS)) >> (MANTISSA_BITS - 31);
    int32_t fraction = 0;
    for (int bit = 0; bit < 16; bit++) {
        m = (m * m) >> 31;
        fraction = fraction << 1 | (int32_t)(m >> 32);
        m >>= m >> 32;
    }
    return whole * LOG_ONE + fraction;
}

double exp2_fixed(int32_t y)
{
    /* 2^(1/2), 2^(1/4), ..., by square roots, which IEEE 754 rounds correctly. */
    static const double roots[16] = {
        0x1.6a09e667f3bcdp+0, 0x1.306fe0a31b715p+0, 0x1.172b83c7d517bp+0, 0x1.0b5586cf9890fp+0,
        0x1.059b0d3158574p+0, 0x1.02c9a3e778061p+0, 0x1.0163da9fb3335p+0, 0x1.00b1afa5abcbfp+0,
        0x1.0058c86da1c0ap+0, 0x1.002c605e2e8cfp+0, 0x1.00162f3904052p+0, 0x1.000b175effdc7p+0,
        0x1.00058ba01fb9fp+0, 0x1.0002c5cc37da9p+0, 0x1.000162e525eep+0,  0x1.0000b17255776p+0};
    double result = 1;
    int32_t fraction = y & (LOG_ONE - 1), whole = (y - fraction) / LOG_ONE;
    for (int bit = 0; bit < 16; bit++)
        if (fraction & (LOG_ONE >> 1 >> bit))
            result *= roots[bit];
    for (; whole > 0; whole--)
        result *= 2;
    for (; whole < 0; whole++)
        result /= 2;
    return result;
}

int32_t odd_part(int32_t value)
{
    while (value % 2 == 0)
        value /= 2;
    return value;
}
