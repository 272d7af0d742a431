// SPDX-License-Identifier: Apache-2.0
//
// One optional instruction, tried: `probe_instruction` gives results that the supervisor compares with its own
// (lib/tuner/instruction.c has the inputs and the models), `probe_instruction_rate` is timed.
//
//   INSTRUCTION  which; a compiler that cannot have it must refuse the file
//   WG_SIZE      work-items of a group
//
// Work-item i reads IN_WORDS words and writes OUT_WORDS words, side by side in memory.
#if !defined(INSTRUCTION) || !defined(WG_SIZE)
#error "INSTRUCTION and WG_SIZE must be defined"
#endif

#define HALF_INTEGER 1 // fp16 -> fp32 by integer operations
#define HALF_VLOAD 2   // ... by vload_half
#define HALF_F16C 3    // ... by vcvtph2ps, 512 bits wide
#define BF16_DOT 4     // vdpbf16ps, 512 bits wide
#define FP16 5         // cl_khr_fp16: fma, sum and product
#define SUB_GROUPS 6   // cl_khr_subgroups: reduction, and cl_khr_subgroup_shuffle's exchange of neighbours
#define DOT8 7         // cl_khr_integer_dot_product: 4 products of 8 bits, plain and accumulating with saturation

#if INSTRUCTION == HALF_F16C || INSTRUCTION == BF16_DOT
#if !defined(__x86_64__) || !defined(__AVX512F__)
#error "not a compiler for x86-64 with AVX-512"
#endif
#endif

#if INSTRUCTION == FP16
#ifndef cl_khr_fp16
#error "no cl_khr_fp16"
#endif
#pragma OPENCL EXTENSION cl_khr_fp16 : enable
#endif
#if INSTRUCTION == SUB_GROUPS
#if !defined(cl_khr_subgroups) || !defined(cl_khr_subgroup_shuffle)
#error "no cl_khr_subgroups with cl_khr_subgroup_shuffle"
#endif
#pragma OPENCL EXTENSION cl_khr_subgroups : enable
#pragma OPENCL EXTENSION cl_khr_subgroup_shuffle : enable
#endif
#if INSTRUCTION == DOT8
#ifndef cl_khr_integer_dot_product
#error "no cl_khr_integer_dot_product"
#endif
#pragma OPENCL EXTENSION cl_khr_integer_dot_product : enable
#endif

#define KERNEL kernel __attribute__((reqd_work_group_size(WG_SIZE, 1, 1)))

#if INSTRUCTION <= HALF_F16C

// The very loads that the families use.
#define Q_TYPE 2
#define KV_TYPE 2
#define O_TYPE 2
#define HALF_LOAD (INSTRUCTION - HALF_INTEGER)
#include "half.clh"
#define widen(pointer) load_fp16_16(pointer)

KERNEL void probe_instruction(global const uint *in, global uint *out)
{
    size_t i = get_global_id(0);
    vstore16(as_uint16(widen((global const half *)in + 16 * i)), i, out);
}

// 8 chains over 16 KiB that each group reads again and again: HALVES * iterations conversions per group.
#define HALVES 8192
KERNEL void probe_instruction_rate(global const uint *in, global uint *out, int iterations)
{
    global const half *from = (global const half *)in + 16 * get_local_id(0);
    float16 s0 = 0.0f, s1 = 0.0f, s2 = 0.0f, s3 = 0.0f, s4 = 0.0f, s5 = 0.0f, s6 = 0.0f, s7 = 0.0f;
    for (int n = 0; n < iterations; n++) {
        for (int i = 0; i < HALVES; i += 128 * WG_SIZE) {
            s0 += widen(from + i), s1 += widen(from + i + 16 * WG_SIZE);
            s2 += widen(from + i + 32 * WG_SIZE), s3 += widen(from + i + 48 * WG_SIZE);
            s4 += widen(from + i + 64 * WG_SIZE), s5 += widen(from + i + 80 * WG_SIZE);
            s6 += widen(from + i + 96 * WG_SIZE), s7 += widen(from + i + 112 * WG_SIZE);
        }
    }
    float16 sum = ((s0 + s1) + (s2 + s3)) + ((s4 + s5) + (s6 + s7));
    vstore16(as_uint16(sum), get_global_id(0), out);
}

#elif INSTRUCTION == BF16_DOT

// Each of the 16 lanes adds two products of bf16 to its fp32 accumulator.
static float16 dot_bf16(float16 sum, uint16 a, uint16 b)
{
    __asm__("vdpbf16ps %2, %1, %0" : "+v"(sum) : "v"(a), "v"(b));
    return sum;
}

KERNEL void probe_instruction(global const uint *in, global uint *out)
{
    size_t i = 3 * get_global_id(0);
    float16 sum = as_float16(vload16(i, in));
    vstore16(as_uint16(dot_bf16(sum, vload16(i + 1, in), vload16(i + 2, in))), get_global_id(0), out);
}

// 12 chains. Operations: 2 * 2 * 16 * 12 * iterations per work-item. The bits of the sums may be anything; their time is not.
KERNEL void probe_instruction_rate(global const uint *in, global uint *out, int iterations)
{
    uint16 a = vload16(0, in) & 0x3fff3fff, b = vload16(1, in) & 0x3fff3fff;
    float16 x = (float)get_global_id(0);
    float16 c0 = x, c1 = x + 1, c2 = x + 2, c3 = x + 3, c4 = x + 4, c5 = x + 5;
    float16 c6 = x + 6, c7 = x + 7, c8 = x + 8, c9 = x + 9, c10 = x + 10, c11 = x + 11;
    for (int n = 0; n < iterations; n++) {
        c0 = dot_bf16(c0, a, b), c1 = dot_bf16(c1, a, b), c2 = dot_bf16(c2, a, b), c3 = dot_bf16(c3, a, b);
        c4 = dot_bf16(c4, a, b), c5 = dot_bf16(c5, a, b), c6 = dot_bf16(c6, a, b), c7 = dot_bf16(c7, a, b);
        c8 = dot_bf16(c8, a, b), c9 = dot_bf16(c9, a, b), c10 = dot_bf16(c10, a, b), c11 = dot_bf16(c11, a, b);
    }
    float16 sum = ((c0 + c1) + (c2 + c3)) + ((c4 + c5) + (c6 + c7)) + ((c8 + c9) + (c10 + c11));
    vstore16(as_uint16(sum), get_global_id(0), out);
}

#elif INSTRUCTION == FP16

// Three results of 16 lanes each.
KERNEL void probe_instruction(global const uint *in, global uint *out)
{
    size_t i = 3 * get_global_id(0);
    global const half *from = (global const half *)in;
    global half *to = (global half *)out;
    half16 a = vload16(i, from), b = vload16(i + 1, from), c = vload16(i + 2, from);
    vstore16(fma(a, b, c), i, to);
    vstore16(a + c, i + 1, to);
    vstore16(a * b, i + 2, to);
}

// 12 chains. Operations: 2 * 16 * 12 * iterations per work-item.
KERNEL void probe_instruction_rate(global const uint *in, global uint *out, int iterations)
{
    half16 f = (half16)(0.5h) + (half16)(as_half((ushort)(in[0] & 0xff))), a = 1.0h;
    half16 x = (half)get_local_id(0);
    half16 c0 = x, c1 = x + 1, c2 = x + 2, c3 = x + 3, c4 = x + 4, c5 = x + 5;
    half16 c6 = x + 6, c7 = x + 7, c8 = x + 8, c9 = x + 9, c10 = x + 10, c11 = x + 11;
    for (int n = 0; n < iterations; n++) {
        c0 = fma(c0, f, a), c1 = fma(c1, f, a), c2 = fma(c2, f, a), c3 = fma(c3, f, a);
        c4 = fma(c4, f, a), c5 = fma(c5, f, a), c6 = fma(c6, f, a), c7 = fma(c7, f, a);
        c8 = fma(c8, f, a), c9 = fma(c9, f, a), c10 = fma(c10, f, a), c11 = fma(c11, f, a);
    }
    half16 sum = ((c0 + c1) + (c2 + c3)) + ((c4 + c5) + (c6 + c7)) + ((c8 + c9) + (c10 + c11));
    vstore16(sum, get_global_id(0), (global half *)out);
}

#elif INSTRUCTION == SUB_GROUPS

// Which sub-group, which of its work-items and of how many; then the sum over it and the neighbour's value.
KERNEL void probe_instruction(global const uint *in, global uint *out)
{
    size_t i = get_global_id(0);
    uint value = in[i];
    out[5 * i] = get_sub_group_id();
    out[5 * i + 1] = get_sub_group_local_id();
    out[5 * i + 2] = get_sub_group_size();
    out[5 * i + 3] = sub_group_reduce_add(value);
    out[5 * i + 4] = sub_group_shuffle_xor(value, 1u);
}

// 8 reductions an iteration.
KERNEL void probe_instruction_rate(global const uint *in, global uint *out, int iterations)
{
    uint x = in[get_local_id(0)];
    for (int n = 0; n < iterations; n++)
        for (int k = 0; k < 8; k++)
            x = sub_group_reduce_add(x + k);
    out[get_global_id(0)] = x;
}

#elif INSTRUCTION == DOT8

KERNEL void probe_instruction(global const uint *in, global uint *out)
{
    size_t i = get_global_id(0);
    out[2 * i] = (uint)dot_4x8packed_ss_int(in[3 * i], in[3 * i + 1]);
    out[2 * i + 1] = (uint)dot_acc_sat_4x8packed_ss_int(in[3 * i], in[3 * i + 1], (int)in[3 * i + 2]);
}

// 12 chains. Operations: 2 * 4 * 12 * iterations per work-item.
KERNEL void probe_instruction_rate(global const uint *in, global uint *out, int iterations)
{
    uint a = in[0], b = in[1];
    int c0 = 0, c1 = 1, c2 = 2, c3 = 3, c4 = 4, c5 = 5, c6 = 6, c7 = 7, c8 = 8, c9 = 9, c10 = 10, c11 = 11;
#define STEP(c) c += dot_4x8packed_ss_int(a + (uint)c, b)
    for (int n = 0; n < iterations; n++) {
        STEP(c0), STEP(c1), STEP(c2), STEP(c3), STEP(c4), STEP(c5);
        STEP(c6), STEP(c7), STEP(c8), STEP(c9), STEP(c10), STEP(c11);
    }
    out[get_global_id(0)] = (uint)(((c0 + c1) + (c2 + c3)) + ((c4 + c5) + (c6 + c7)) + ((c8 + c9) + (c10 + c11)));
}

#else
#error "unknown INSTRUCTION"
#endif
