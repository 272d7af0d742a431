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

#if INSTRUCTION == HALF_F16C || INSTRUCTION == BF16_DOT
#if !defined(__x86_64__) || !defined(__AVX512F__)
#error "not a compiler for x86-64 with AVX-512"
#endif
#endif

#define KERNEL kernel __attribute__((reqd_work_group_size(WG_SIZE, 1, 1))) void

#if INSTRUCTION <= HALF_F16C

#if INSTRUCTION == HALF_INTEGER
static float16 widen(global const half *in)
{
    uint16 bits = convert_uint16(vload16(0, (global const ushort *)in));
    uint16 magnitude = bits & 0x7fff;
    // Scaling by 2^112 makes the exponent right for normals and subnormals alike; it is exact.
    uint16 finite = as_uint16(as_float16(magnitude << 13) * 0x1p112f);
    uint16 special = select((uint16)(0), (uint16)(0x7f800000), magnitude > (uint16)(0x7bff));
    return as_float16((bits & 0x8000) << 16 | finite | special);
}
#elif INSTRUCTION == HALF_VLOAD
#define widen(in) vload_half16(0, in)
#else
static float16 widen(global const half *in)
{
    float16 result;
    __asm__("vcvtph2ps %1, %0" : "=v"(result) : "m"(*(global const ushort16 *)in));
    return result;
}
#endif

KERNEL probe_instruction(global const uint *in, global uint *out)
{
    size_t i = get_global_id(0);
    vstore16(as_uint16(widen((global const half *)in + 16 * i)), i, out);
}

// 8 chains over 16 KiB that each group reads again and again: HALVES * iterations conversions per group.
#define HALVES 8192
KERNEL probe_instruction_rate(global const uint *in, global uint *out, int iterations)
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

KERNEL probe_instruction(global const uint *in, global uint *out)
{
    size_t i = 3 * get_global_id(0);
    float16 sum = as_float16(vload16(i, in));
    vstore16(as_uint16(dot_bf16(sum, vload16(i + 1, in), vload16(i + 2, in))), get_global_id(0), out);
}

// 12 chains. Operations: 2 * 2 * 16 * 12 * iterations per work-item. The bits of the sums may be anything; their time is not.
KERNEL probe_instruction_rate(global const uint *in, global uint *out, int iterations)
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

#else
#error "unknown INSTRUCTION"
#endif
