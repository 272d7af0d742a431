/* SPDX-License-Identifier: Apache-2.0
 * The kernels of a probe (kernels/probe.cl, kernels/probe_instruction.cl): how much they do, and what they answer. */
#include "icd.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

static int32_t int_arg(const struct launch *launch, int index)
{
    int32_t value = 0;
    if (launch->args[index].kind == ARG_VALUE && launch->args[index].size == sizeof value)
        memcpy(&value, launch->args[index].value, sizeof value);
    return value;
}

/* Words of the buffer behind an argument, which for a probe is kept as bytes; NULL unless there are that many. */
static uint32_t *words_arg(const struct launch *launch, int index, size_t count)
{
    cl_mem mem = NULL;
    const struct kernel_arg *arg = &launch->args[index];
    if (arg->kind == ARG_VALUE && arg->size == sizeof mem)
        memcpy(&mem, arg->value, sizeof mem);
    if (!mem || !object_is(mem, KIND_MEM) || mem->size / sizeof(uint32_t) < count) {
        fprintf(stderr, "fake OpenCL driver: argument %d of %s is no buffer of %zu words\n", index,
                launch->kernel->name, count);
        return NULL;
    }
    return (uint32_t *)(void *)mem->data;
}

static long option_of(const struct launch *launch, const char *name)
{
    return option_value(launch->kernel->options, name, 0);
}

static size_t items_of(const struct launch *launch)
{
    return launch->groups * (size_t)option_of(launch, "WG_SIZE");
}

/* ---- work */

static double instruction_work(const struct launch *launch)
{
    static const double of_item[] = {0, 0, 0, 0, 4 * 16 * 12, 2 * 16 * 12, 8, 2 * 4 * 12};
    long instruction = option_of(launch, "INSTRUCTION");
    if (instruction <= 3)
        return 8192.0 * (double)launch->groups;
    return instruction <= 7 ? of_item[instruction] * (double)items_of(launch) : 0;
}

void probe_work(const struct launch *launch, struct work *work)
{
    const char *name = launch->kernel->name;
    double items = (double)items_of(launch), vec = (double)option_of(launch, "VEC");
    if (!strcmp(name, "probe_fma"))
        work->probed = 2 * 12 * vec * items;
    else if (!strcmp(name, "probe_private"))
        work->probed = 2 * (double)(option_of(launch, "PRIVATE_BYTES") / 4) * items;
    else if (!strncmp(name, "probe_loop_", 11))
        work->probed = 2 * 8 * 64 * vec * items;
    else if (!strcmp(name, "probe_local"))
        work->probed = 16384 * (double)launch->groups;
    else if (!strcmp(name, "probe_barrier"))
        work->probed = 2;
    else if (!strcmp(name, "probe_read")) {
        double chunk = int_arg(launch, 3) * 4.0 * vec;
        work->footprint = (uint64_t)(chunk * int_arg(launch, 4));
        work->probed = chunk * (double)launch->groups;
    }
    work->probed *= int_arg(launch, 1);
    if (!strcmp(name, "probe_instruction_rate"))
        work->probed = instruction_work(launch) * int_arg(launch, 2);
}

/* ---- answers */

static float float_of(uint32_t bits)
{
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

static uint32_t bits_of(float value)
{
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    return bits;
}

static double half_value(uint32_t half)
{
    double magnitude = half & 0x3ff, sign = half & 0x8000 ? -1 : 1;
    int exponent = half >> 10 & 31;
    if (exponent == 31)
        return half & 0x3ff ? (double)NAN : sign * (double)INFINITY;
    return sign * (exponent ? ldexp(1024 + magnitude, exponent - 25) : ldexp(magnitude, -24));
}

/* To nearest even. */
static uint32_t half_bits(double value)
{
    uint32_t sign = signbit(value) ? 0x8000 : 0;
    if (isnan(value))
        return 0x7e00;
    value = fabs(value);
    if (value >= 65520)
        return sign | 0x7c00;
    if (value < 0x1p-14)
        return sign | (uint32_t)rint(value * 0x1p24);
    int exponent = ilogb(value);
    return sign | (uint32_t)((exponent + 14) * 1024 + rint(ldexp(value, 10 - exponent)));
}

static void widen_halves(const uint32_t *in, uint32_t *out, size_t items)
{
    for (size_t i = 0; i < items * 16; i++)
        out[i] = bits_of((float)half_value(i % 2 ? in[i / 2] >> 16 : in[i / 2] & 0xffff));
}

static float no_subnormal(float value)
{
    return fabsf(value) < 0x1p-126f ? copysignf(0, value) : value;
}

static void dot_bf16(const uint32_t *in, uint32_t *out, size_t items)
{
    for (size_t i = 0; i < items * 16; i++) {
        const uint32_t *at = in + i / 16 * 48 + i % 16;
        float sum = no_subnormal(float_of(at[0]));
        for (int odd = 1; odd >= 0; odd--) {
            uint32_t a = odd ? at[16] & 0xffff0000u : at[16] << 16, b = odd ? at[32] & 0xffff0000u : at[32] << 16;
            sum = no_subnormal(fmaf(no_subnormal(float_of(a)), no_subnormal(float_of(b)), sum));
        }
        out[i] = bits_of(sum);
    }
}

static void fp16(const uint32_t *in, uint32_t *out, size_t items)
{
    memset(out, 0, items * 24 * sizeof *out);
    for (size_t i = 0; i < items * 16; i++) {
        size_t lane = i % 16, shift = lane % 2 * 16;
        const uint32_t *from = in + i / 16 * 24 + lane / 2;
        uint32_t *to = out + i / 16 * 24 + lane / 2;
        double a = half_value(from[0] >> shift & 0xffff), b = half_value(from[8] >> shift & 0xffff),
               c = half_value(from[16] >> shift & 0xffff);
        const double results[3] = {fma(a, b, c), a + c, a * b};
        for (int k = 0; k < 3; k++)
            to[8 * k] |= half_bits(results[k]) << shift;
    }
}

/* Sub-groups of the device's size, side by side. */
static void sub_groups(const uint32_t *in, uint32_t *out, size_t items, uint32_t size)
{
    for (size_t i = 0; i < items; i++) {
        size_t first = i / size * size;
        uint32_t *to = out + 5 * i, sum = 0;
        for (size_t j = first; j < first + size; j++)
            sum += in[j];
        to[0] = (uint32_t)(i % 64 / size);
        to[1] = (uint32_t)(i % size);
        to[2] = size;
        to[3] = sum;
        to[4] = in[first + (i % size ^ 1)];
    }
}

static void dot_int8(const uint32_t *in, uint32_t *out, size_t items)
{
    for (size_t i = 0; i < items; i++) {
        int64_t dot = 0, sum;
        for (int shift = 0; shift < 32; shift += 8)
            dot += (int8_t)(in[3 * i] >> shift) * (int8_t)(in[3 * i + 1] >> shift);
        sum = dot + (int32_t)in[3 * i + 2];
        out[2 * i] = (uint32_t)dot;
        out[2 * i + 1] = (uint32_t)(sum > INT32_MAX ? INT32_MAX : sum < INT32_MIN ? INT32_MIN : sum);
    }
}

/* Words of an item, by INSTRUCTION. */
static const size_t in_words[] = {0, 8, 8, 8, 48, 24, 1, 3}, out_words[] = {0, 16, 16, 16, 16, 24, 5, 2};

static cl_int answer_instruction(const struct launch *launch, uint32_t **out, size_t *count)
{
    size_t items = items_of(launch);
    long instruction = option_of(launch, "INSTRUCTION");
    if (instruction < 1 || instruction > 7)
        return CL_OUT_OF_RESOURCES;
    *count = items * out_words[instruction];
    const uint32_t *in = words_arg(launch, 0, items * in_words[instruction]);
    *out = words_arg(launch, 1, *count);
    if (!in || !*out)
        return CL_OUT_OF_RESOURCES;
    if (instruction <= 3)
        widen_halves(in, *out, items);
    else if (instruction == 4)
        dot_bf16(in, *out, items);
    else if (instruction == 5)
        fp16(in, *out, items);
    else if (instruction == 6)
        sub_groups(in, *out, items, launch->command.queue->device->sub_group_size);
    else
        dot_int8(in, *out, items);
    return CL_SUCCESS;
}

static cl_int answer_group(const struct launch *launch, uint32_t **out, size_t *count)
{
    size_t size = (size_t)option_of(launch, "WG_SIZE");
    *count = items_of(launch);
    *out = words_arg(launch, 0, *count);
    for (size_t i = 0; *out && i < *count; i++)
        (*out)[i] = (uint32_t)(3 * (i / size * size + size - 1 - i % size) + 1);
    return *out ? CL_SUCCESS : CL_OUT_OF_RESOURCES;
}

static bool struck(const struct launch *launch, enum fault_what what)
{
    for (size_t i = 0; i < launch->num_strikes; i++)
        if (launch->strikes[i]->what == what)
            return true;
    return false;
}

cl_int probe_compute(const struct launch *launch)
{
    bool group = !strcmp(launch->kernel->name, "probe_group");
    if ((!group && strcmp(launch->kernel->name, "probe_instruction") != 0) || struck(launch, FAULT_NO_OP))
        return CL_SUCCESS;
    uint32_t *out = NULL;
    size_t count = 0;
    cl_int code = group ? answer_group(launch, &out, &count) : answer_instruction(launch, &out, &count);
    if (!code && count && struck(launch, FAULT_WRONG))
        out[count / 2] ^= 1;
    for (size_t i = 0; !code && i < count && struck(launch, FAULT_NAN); i++)
        out[i] = 0x7fc00000;
    return code;
}
