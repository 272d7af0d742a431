// SPDX-License-Identifier: Apache-2.0
//
// What a device can do at best: fp32 multiply-adds, and reads of memory. Timed by the supervisor, see tune/worker_probe.c.
//
//   VEC      lanes of a vector: 1, 2, 4, 8 or 16
//   WG_SIZE  work-items of a group
//
// Inputs are chosen so that no value overflows or becomes denormal, and are arguments, so that nothing can be folded.
#if !defined(VEC) || !defined(WG_SIZE)
#error "VEC and WG_SIZE must be defined"
#endif

#if VEC == 1
typedef float lanes;
#elif VEC == 2
typedef float2 lanes;
#elif VEC == 4
typedef float4 lanes;
#elif VEC == 8
typedef float8 lanes;
#else
typedef float16 lanes;
#endif

// Something of every lane, so that none can be left out.
float fold(lanes x)
{
    float sum = 0.0f;
    union {
        lanes v;
        float s[VEC];
    } u;
    u.v = x;
    for (int i = 0; i < VEC; i++)
        sum += u.s[i];
    return sum;
}

// 12 independent chains hide the latency of two pipes of up to six cycles and fit 16 vector registers.
// Operations: 2 * 12 * VEC * iterations per work-item.
kernel __attribute__((reqd_work_group_size(WG_SIZE, 1, 1)))
void probe_fma(global float *out, int iterations, float factor, float addend)
{
    lanes f = factor, a = addend, x = (float)get_global_id(0);
    lanes c0 = x, c1 = x + 1, c2 = x + 2, c3 = x + 3, c4 = x + 4, c5 = x + 5;
    lanes c6 = x + 6, c7 = x + 7, c8 = x + 8, c9 = x + 9, c10 = x + 10, c11 = x + 11;
    for (int i = 0; i < iterations; i++) {
        c0 = fma(c0, f, a), c1 = fma(c1, f, a), c2 = fma(c2, f, a), c3 = fma(c3, f, a);
        c4 = fma(c4, f, a), c5 = fma(c5, f, a), c6 = fma(c6, f, a), c7 = fma(c7, f, a);
        c8 = fma(c8, f, a), c9 = fma(c9, f, a), c10 = fma(c10, f, a), c11 = fma(c11, f, a);
    }
    out[get_global_id(0)] = fold(((c0 + c1) + (c2 + c3)) + ((c4 + c5) + (c6 + c7)) + ((c8 + c9) + (c10 + c11)));
}

// Each group reads its own contiguous chunk of `chunk` vectors (a multiple of 4 * WG_SIZE), its work-items side by side.
kernel __attribute__((reqd_work_group_size(WG_SIZE, 1, 1)))
void probe_read(global float *out, global const lanes *in, int chunk)
{
    global const lanes *from = in + (size_t)get_group_id(0) * (size_t)chunk + get_local_id(0);
    lanes s0 = 0.0f, s1 = 0.0f, s2 = 0.0f, s3 = 0.0f;
    for (int i = 0; i < chunk; i += 4 * WG_SIZE) {
        s0 += from[i];
        s1 += from[i + WG_SIZE];
        s2 += from[i + 2 * WG_SIZE];
        s3 += from[i + 3 * WG_SIZE];
    }
    out[get_global_id(0)] = fold((s0 + s1) + (s2 + s3));
}

kernel __attribute__((reqd_work_group_size(WG_SIZE, 1, 1)))
void probe_empty(global float *out)
{
    (void)out;
}
