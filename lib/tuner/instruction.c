/* SPDX-License-Identifier: Apache-2.0 */
#include "instruction.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ALL_HALVES 65536
#define DOTS 65536
#define HALVES_TIMED 8192 /* HALVES of the kernel */

static float float_of(uint32_t bits)
{
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

/* Equal bits, or a NaN for a NaN: which one is the device's choice. */
static bool same(uint32_t got, float expected)
{
    float value = float_of(got);
    return isnan(expected) ? isnan(value) : !memcmp(&got, &expected, sizeof got);
}

/* ---- fp16 -> fp32: every fp16 there is */

static void draw_halves(const struct instruction *instruction, uint32_t *in)
{
    (void)instruction;
    for (uint32_t i = 0; i < ALL_HALVES / 2; i++)
        in[i] = 2 * i | (2 * i + 1) << 16;
}

static int64_t wrong_half(const struct instruction *instruction, const uint32_t *in, const uint32_t *out)
{
    (void)instruction, (void)in;
    for (uint32_t i = 0; i < ALL_HALVES; i++)
        if (!same(out[i], half_to_float((uint16_t)i)))
            return i;
    return -1;
}

/* ---- bf16 pairs: subnormals count as zero, each accumulation is rounded to nearest even, the odd product first */

#define PAIR(index, word) (((index) / 16 * 3 + (word)) * 16 + (index) % 16)

/* fp32 with its exponent in low .. low + range - 1, as biased. */
static uint32_t with_exponent(uint32_t bits, uint32_t low, uint64_t range, struct rng *rng)
{
    return (bits & 0x807fffffu) | (low + (uint32_t)rng_below(rng, range)) << 23;
}

static uint32_t pair_with_exponents(uint32_t bits, uint32_t low, uint64_t range, struct rng *rng)
{
    uint32_t high = with_exponent(bits, low, range, rng);
    return (high & 0xffff0000u) | with_exponent(bits << 16, low, range, rng) >> 16;
}

/* Regimes in turn: any bits at all, sums that round, results near the smallest normal, results near the largest. */
static void draw_dots(const struct instruction *instruction, uint32_t *in)
{
    static const struct {
        uint32_t sum, factor; /* lowest exponents */
        uint64_t sum_range, factor_range;
    } regimes[] = {{0, 0, 256, 256}, {120, 120, 16, 16}, {0, 62, 4, 4}, {250, 186, 5, 8}};
    struct rng rng;
    (void)instruction;
    rng_seed(&rng, 1);
    for (size_t i = 0; i < DOTS; i++) {
        size_t regime = i / 16 % 4;
        in[PAIR(i, 0)] = with_exponent((uint32_t)rng_next(&rng), regimes[regime].sum, regimes[regime].sum_range, &rng);
        for (size_t word = 1; word <= 2; word++)
            in[PAIR(i, word)] = pair_with_exponents((uint32_t)rng_next(&rng), regimes[regime].factor,
                                                    regimes[regime].factor_range, &rng);
    }
}

static float flush(float value)
{
    return fabsf(value) < 0x1p-126f ? copysignf(0, value) : value;
}

static float add_product(float sum, uint32_t a, uint32_t b)
{
    return flush(fmaf(flush(float_of(a)), flush(float_of(b)), flush(sum)));
}

static int64_t wrong_dot(const struct instruction *instruction, const uint32_t *in, const uint32_t *out)
{
    (void)instruction;
    for (size_t i = 0; i < DOTS; i++) {
        uint32_t a = in[PAIR(i, 1)], b = in[PAIR(i, 2)];
        float odd = add_product(float_of(in[PAIR(i, 0)]), a & 0xffff0000u, b & 0xffff0000u);
        if (!same(out[i], add_product(odd, a << 16, b << 16)))
            return (int64_t)i;
    }
    return -1;
}

/* ---- fp16 arithmetic: fma, sum and product of 16 lanes in turn; subnormals may count as zero */

#define FP16_ITEMS 4096
#define FP16_WORDS 24 /* of an item, in and out: three vectors of 16 */

static uint16_t half_at(const uint32_t *words, size_t item, size_t vector, size_t lane)
{
    uint32_t word = words[item * FP16_WORDS + vector * 8 + lane / 2];
    return (uint16_t)(lane % 2 ? word >> 16 : word);
}

/* Any bits at all in every other item, else exponents whose sums and products neither overflow nor vanish. */
static void draw_fp16(const struct instruction *instruction, uint32_t *in)
{
    struct rng rng;
    (void)instruction;
    rng_seed(&rng, 2);
    for (size_t i = 0; i < FP16_ITEMS * FP16_WORDS; i++) {
        uint32_t word = (uint32_t)rng_next(&rng);
        if (i / FP16_WORDS % 2)
            word = (word & 0x83ff83ffu) | (uint32_t)(7 + rng_below(&rng, 16)) << 10 |
                   (uint32_t)(7 + rng_below(&rng, 16)) << 26;
        in[i] = word;
    }
}

/* The nearest fp16, ties to even, as a double; value is exact. */
static double round_to_half(double value)
{
    if (!isfinite(value) || value == 0)
        return value;
    int exponent = ilogb(value);
    double unit = ldexp(1, (exponent < -14 ? -14 : exponent) - 10), rounded = rint(value / unit) * unit;
    return fabs(rounded) > 65504 ? copysign(INFINITY, value) : rounded;
}

static bool is_subnormal(double value)
{
    return value != 0 && fabs(value) < 0x1p-14;
}

static bool same_half(uint16_t got, double exact)
{
    double value = half_to_float(got), expected = round_to_half(exact);
    return isnan(expected) ? isnan(value) : value == expected || (is_subnormal(expected) && value == 0);
}

/* Of the given operation: 0 fma, 1 sum, 2 product. A sum that a double cannot hold is not judged. */
static bool right_fp16(uint16_t got, int operation, double a, double b, double c)
{
    if (operation == 2)
        return same_half(got, a * b);
    double x = operation == 0 ? a * b : a, sum = x + c, back = sum - x;
    bool exact = !isfinite(sum) || (x - (sum - back)) + (c - back) == 0;
    return !exact || same_half(got, sum);
}

static double flush_half(double value)
{
    return is_subnormal(value) ? copysign(0, value) : value;
}

static int64_t wrong_fp16(const struct instruction *instruction, const uint32_t *in, const uint32_t *out)
{
    (void)instruction;
    for (size_t i = 0; i < FP16_ITEMS * 48; i++) {
        size_t item = i / 48, operation = i / 16 % 3, lane = i % 16;
        double a = half_to_float(half_at(in, item, 0, lane)), b = half_to_float(half_at(in, item, 1, lane)),
               c = half_to_float(half_at(in, item, 2, lane));
        uint16_t got = half_at(out, item, operation, lane);
        if (!right_fp16(got, (int)operation, a, b, c) &&
            !right_fp16(got, (int)operation, flush_half(a), flush_half(b), flush_half(c)))
            return (int64_t)(i / 2);
    }
    return -1;
}

/* ---- sub-groups: any partition of a work-group of 64 will do, if sums and exchanges keep to it */

#define SUB_GROUP_ITEMS 4096
#define GROUP 64

static void draw_words(const struct instruction *instruction, uint32_t *in)
{
    struct rng rng;
    rng_seed(&rng, 3);
    for (size_t i = 0; i < instruction->items * instruction->in_words; i++)
        in[i] = (uint32_t)rng_next(&rng);
}

static bool right_sub_group(const uint32_t *in, const uint32_t *out, size_t i)
{
    size_t group = i / GROUP * GROUP;
    uint32_t members = 0, sum = 0;
    bool exchanged = true;
    for (size_t j = group; j < group + GROUP; j++) {
        if (out[5 * j] != out[5 * i])
            continue;
        members++;
        sum += in[j];
        if (out[5 * j + 1] == out[5 * i + 1] && j != i)
            return false; /* two work-items in one place */
        if (out[5 * j + 1] == (out[5 * i + 1] ^ 1))
            exchanged = out[5 * i + 4] == in[j];
    }
    return exchanged && out[5 * i + 2] == members && out[5 * i + 1] < members && out[5 * i + 3] == sum;
}

static int64_t wrong_sub_group(const struct instruction *instruction, const uint32_t *in, const uint32_t *out)
{
    (void)instruction;
    for (size_t i = 0; i < SUB_GROUP_ITEMS; i++)
        if (!right_sub_group(in, out, i))
            return (int64_t)(5 * i + 3);
    return -1;
}

/* ---- dot products of four signed bytes */

#define DOT8_ITEMS 65536

/* Every other accumulator next to where it saturates. */
static void draw_dot8(const struct instruction *instruction, uint32_t *in)
{
    draw_words(instruction, in);
    for (size_t i = 0; i < DOT8_ITEMS; i += 2)
        in[3 * i + 2] = (i % 4 ? 0x7fffffffu : 0x80000000u) ^ (in[3 * i + 2] & 0x7fffu);
}

static int64_t dot_bytes(uint32_t a, uint32_t b)
{
    int64_t sum = 0;
    for (int i = 0; i < 32; i += 8)
        sum += (int64_t)(int8_t)(a >> i) * (int8_t)(b >> i);
    return sum;
}

static int64_t wrong_dot8(const struct instruction *instruction, const uint32_t *in, const uint32_t *out)
{
    (void)instruction;
    for (size_t i = 0; i < DOT8_ITEMS; i++) {
        int64_t dot = dot_bytes(in[3 * i], in[3 * i + 1]), sum = dot + (int32_t)in[3 * i + 2];
        int64_t clamped = sum > INT32_MAX ? INT32_MAX : sum < INT32_MIN ? INT32_MIN : sum;
        if (out[2 * i] != (uint32_t)dot)
            return (int64_t)(2 * i);
        if (out[2 * i + 1] != (uint32_t)clamped)
            return (int64_t)(2 * i + 1);
    }
    return -1;
}

/* ---- */

static const struct instruction instructions[] = {
    {"half.integer", 1, 0, HALF_LOAD_INTEGER, ALL_HALVES / 16, 8, 16, HALVES_TIMED, 0, draw_halves, wrong_half},
    {"half.vload", 2, 0, HALF_LOAD_VLOAD, ALL_HALVES / 16, 8, 16, HALVES_TIMED, 0, draw_halves, wrong_half},
    {"half.f16c", 3, FEATURE_F16C, HALF_LOAD_F16C, ALL_HALVES / 16, 8, 16, HALVES_TIMED, 0, draw_halves, wrong_half},
    {"dot.bf16", 4, FEATURE_BF16_DOT, -1, DOTS / 16, 48, 16, 0, 4.0 * 16 * 12, draw_dots, wrong_dot},
    {"fma.fp16", 5, FEATURE_FP16, -1, FP16_ITEMS, FP16_WORDS, FP16_WORDS, 0, 2.0 * 16 * 12, draw_fp16, wrong_fp16},
    {"sub_group.reduce", 6, FEATURE_SUB_GROUPS, -1, SUB_GROUP_ITEMS, 1, 5, 0, 8, draw_words, wrong_sub_group},
    {"dot.int8", 7, FEATURE_DOT8, -1, DOT8_ITEMS, 3, 2, 0, 2.0 * 4 * 12, draw_dot8, wrong_dot8},
};

#define NUM_INSTRUCTIONS (sizeof instructions / sizeof instructions[0])

const struct instruction *instruction_at(size_t index)
{
    return index < NUM_INSTRUCTIONS ? &instructions[index] : NULL;
}

const struct instruction *instruction_find(const char *name)
{
    for (size_t i = 0; i < NUM_INSTRUCTIONS; i++)
        if (!strcmp(instructions[i].name, name))
            return &instructions[i];
    return NULL;
}

size_t instruction_in_bytes(const struct instruction *instruction)
{
    return instruction->items * instruction->in_words * sizeof(uint32_t);
}

size_t instruction_out_bytes(const struct instruction *instruction)
{
    return instruction->items * instruction->out_words * sizeof(uint32_t);
}

const char *instruction_judge(const struct instruction *instruction, const uint32_t *out, char *text, size_t size)
{
    uint32_t *in = malloc(instruction_in_bytes(instruction));
    if (!in) {
        copy_string(text, size, "out of memory");
        return text;
    }
    instruction->draw(instruction, in);
    int64_t wrong = instruction->wrong(instruction, in, out);
    free(in);
    if (wrong < 0)
        return NULL;
    snprintf(text, size, "wrong result: number %lld is %08x", (long long)wrong, (unsigned)out[wrong]);
    return text;
}
