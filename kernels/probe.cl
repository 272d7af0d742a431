// SPDX-License-Identifier: Apache-2.0
//
// What a device can do at best, and what things cost there. Timed by the supervisor, see tune/worker_probe.c.
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

// Reads `chunk` vectors (a multiple of 8 * WG_SIZE) `iterations` times, the work-items of a group side by side. There are
// `chunks` of them; groups beyond as many read one again.
kernel __attribute__((reqd_work_group_size(WG_SIZE, 1, 1)))
void probe_read(global float *out, int iterations, global const lanes *in, int chunk, int chunks)
{
    global const lanes *from = in + (size_t)(get_group_id(0) % chunks) * (size_t)chunk + get_local_id(0);
    lanes s0 = 0.0f, s1 = 0.0f, s2 = 0.0f, s3 = 0.0f, s4 = 0.0f, s5 = 0.0f, s6 = 0.0f, s7 = 0.0f;
    for (int n = 0; n < iterations; n++) {
        for (int i = 0; i < chunk; i += 8 * WG_SIZE) {
            s0 += from[i], s1 += from[i + WG_SIZE], s2 += from[i + 2 * WG_SIZE], s3 += from[i + 3 * WG_SIZE];
            s4 += from[i + 4 * WG_SIZE], s5 += from[i + 5 * WG_SIZE];
            s6 += from[i + 6 * WG_SIZE], s7 += from[i + 7 * WG_SIZE];
        }
    }
    out[get_global_id(0)] = fold(((s0 + s1) + (s2 + s3)) + ((s4 + s5) + (s6 + s7)));
}

kernel __attribute__((reqd_work_group_size(WG_SIZE, 1, 1)))
void probe_empty(global float *out)
{
    (void)out;
}

// The same from 16 KiB of local memory: LOCAL_VECTORS * iterations vectors a group.
#define LOCAL_VECTORS (16384 / 4 / VEC)
kernel __attribute__((reqd_work_group_size(WG_SIZE, 1, 1)))
void probe_local(global float *out, int iterations)
{
    local lanes data[LOCAL_VECTORS];
    for (int i = get_local_id(0); i < LOCAL_VECTORS; i += WG_SIZE)
        data[i] = (float)i;
    barrier(CLK_LOCAL_MEM_FENCE);
    local const lanes *from = data + get_local_id(0);
    lanes s0 = 0.0f, s1 = 0.0f, s2 = 0.0f, s3 = 0.0f;
    for (int n = 0; n < iterations; n++) {
        for (int i = 0; i < LOCAL_VECTORS; i += 4 * WG_SIZE) {
            s0 += from[i], s1 += from[i + WG_SIZE];
            s2 += from[i + 2 * WG_SIZE], s3 += from[i + 3 * WG_SIZE];
        }
    }
    out[get_global_id(0)] = fold((s0 + s1) + (s2 + s3));
}

// Two barriers an iteration, with a word through local memory to the next work-item.
kernel __attribute__((reqd_work_group_size(WG_SIZE, 1, 1)))
void probe_barrier(global float *out, int iterations)
{
    local float data[WG_SIZE];
    int id = get_local_id(0);
    float x = id;
    for (int n = 0; n < iterations; n++) {
        data[id] = x;
        barrier(CLK_LOCAL_MEM_FENCE);
        x = data[(id + 1) % WG_SIZE];
        barrier(CLK_LOCAL_MEM_FENCE);
    }
    out[get_global_id(0)] = x;
}

// Accumulators that live across barriers, in an inner loop whose bound is the same for all work-items: as far as the
// compiler can tell (probe_loop_uniform), or only in fact (probe_loop_opaque, opaque_max being no less than WG_SIZE).
// Operations: 2 * 8 * VEC * LOOP_LENGTH * iterations per work-item.
#define LOOP_LENGTH 64
#define LOOP_BODY(bound)                                                                                               \
    local float data[LOOP_LENGTH + 1];                                                                                 \
    int id = get_local_id(0);                                                                                          \
    lanes a = 0.5f, x = id;                                                                                            \
    lanes c0 = x, c1 = x + 1, c2 = x + 2, c3 = x + 3, c4 = x + 4, c5 = x + 5, c6 = x + 6, c7 = x + 7;                  \
    for (int n = 0; n < iterations; n++) {                                                                             \
        for (int i = id; i <= LOOP_LENGTH; i += WG_SIZE)                                                               \
            data[i] = 0.5f + 0.001f * i;                                                                               \
        barrier(CLK_LOCAL_MEM_FENCE);                                                                                  \
        for (int i = 0; i < (bound); i++) {                                                                            \
            lanes f = data[i];                                                                                         \
            c0 = fma(c0, f, a), c1 = fma(c1, f, a), c2 = fma(c2, f, a), c3 = fma(c3, f, a);                            \
            c4 = fma(c4, f, a), c5 = fma(c5, f, a), c6 = fma(c6, f, a), c7 = fma(c7, f, a);                            \
        }                                                                                                              \
        barrier(CLK_LOCAL_MEM_FENCE);                                                                                  \
    }                                                                                                                  \
    out[get_global_id(0)] = fold(((c0 + c1) + (c2 + c3)) + ((c4 + c5) + (c6 + c7)));

kernel __attribute__((reqd_work_group_size(WG_SIZE, 1, 1)))
void probe_loop_uniform(global float *out, int iterations, int opaque_max)
{
    LOOP_BODY(LOOP_LENGTH)
}

kernel __attribute__((reqd_work_group_size(WG_SIZE, 1, 1)))
void probe_loop_opaque(global float *out, int iterations, int opaque_max)
{
    LOOP_BODY(LOOP_LENGTH + (id > opaque_max))
}

// Does a group of this size run at all: each work-item passes a word on through local memory.
kernel __attribute__((reqd_work_group_size(WG_SIZE, 1, 1)))
void probe_group(global uint *out)
{
    local uint data[WG_SIZE];
    int id = get_local_id(0);
    data[id] = 3 * (uint)get_global_id(0) + 1;
    barrier(CLK_LOCAL_MEM_FENCE);
    out[get_global_id(0)] = data[WG_SIZE - 1 - id];
}

// So many bytes of accumulators in each work-item, all of them live: 2 * PRIVATE_BYTES / 4 * iterations operations.
#ifdef PRIVATE_BYTES
#define ACCUMULATORS (PRIVATE_BYTES / 4 / VEC)
kernel __attribute__((reqd_work_group_size(WG_SIZE, 1, 1)))
void probe_private(global float *out, int iterations, float factor, float addend)
{
    lanes c[ACCUMULATORS], f = factor, a = addend;
#pragma unroll
    for (int i = 0; i < ACCUMULATORS; i++)
        c[i] = (float)get_global_id(0) + i;
    for (int n = 0; n < iterations; n++) {
#pragma unroll
        for (int i = 0; i < ACCUMULATORS; i++)
            c[i] = fma(c[i], f, a);
    }
    lanes sum = 0.0f;
#pragma unroll
    for (int i = 0; i < ACCUMULATORS; i++)
        sum += c[i];
    out[get_global_id(0)] = fold(sum);
}
#endif
