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

/* ---- */

static const struct instruction instructions[] = {
    {"half_integer", 1, 0, HALF_LOAD_INTEGER, ALL_HALVES / 16, 8, 16, HALVES_TIMED, 0, draw_halves, wrong_half},
    {"half_vload", 2, 0, HALF_LOAD_VLOAD, ALL_HALVES / 16, 8, 16, HALVES_TIMED, 0, draw_halves, wrong_half},
    {"half_f16c", 3, FEATURE_F16C, HALF_LOAD_F16C, ALL_HALVES / 16, 8, 16, HALVES_TIMED, 0, draw_halves, wrong_half},
    {"bf16_dot", 4, FEATURE_BF16_DOT, -1, DOTS / 16, 48, 16, 0, 4.0 * 16 * 12, draw_dots, wrong_dot},
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
