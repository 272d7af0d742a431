/* SPDX-License-Identifier: Apache-2.0
 * Conversions of kernels/types.clh against the host's: every fp16 and bf16 value widened one by one and in vectors, and
 * floats rounded, for each HALF_LOAD that runs here. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/base.h"
#include "check.h"
#include "context.h"
#include "host_features.h"

#define NUM_HALVES 65536
#define NUM_FLOATS (1 << 18)

static attune_context *context;

/* Sixteen elements a work-item, one element past alignment. */
static const char source[] =
    "#include \"types.clh\"\n"
    "kernel void widen(global const KV_T *in, global float *one, global float *eight, global float *sixteen)\n"
    "{\n"
    "    size_t at = get_global_id(0) * 16;\n"
    "    in += at + 1;\n"
    "    for (int i = 0; i < 16; i++)\n"
    "        one[at + i] = LOAD_KV(in + i);\n"
    "    vstore8(LOAD_KV8(in), 0, eight + at);\n"
    "    vstore8(LOAD_KV8(in + 8), 0, eight + at + 8);\n"
    "    vstore16(LOAD_KV16(in), 0, sixteen + at);\n"
    "}\n"
    "kernel void narrow(global const float *in, global O_T *one, global O_T *eight)\n"
    "{\n"
    "    size_t at = get_global_id(0) * 16;\n"
    "    one++, eight++;\n"
    "    for (int i = 0; i < 16; i++)\n"
    "        STORE_O(in[at + i], one + at + i);\n"
    "    STORE_O8(vload8(0, in + at), eight + at);\n"
    "    STORE_O8(vload8(0, in + at + 8), eight + at + 8);\n"
    "}\n";

static int open_context(void **state)
{
    (void)state;
    context = check_context("cpu");
    return 0;
}

static int close_context(void **state)
{
    (void)state;
    attune_context_destroy(&context);
    return 0;
}

static cl_kernel build(attune_dtype dtype, int half_load, const char *name)
{
    const char *text = source;
    char options[512];
    snprintf(options, sizeof options, "-I %s -DQ_TYPE=%d -DKV_TYPE=%d -DO_TYPE=%d -DHALF_LOAD=%d", KERNEL_FOLDER,
             (int)dtype, (int)dtype, (int)dtype, half_load);
    cl_device_id device = attune_context_device(context);
    cl_program program = clCreateProgramWithSource(attune_context_cl(context), 1, &text, NULL, NULL);
    if (clBuildProgram(program, 1, &device, options, NULL, NULL) != CL_SUCCESS) {
        char log[2048] = "";
        clGetProgramBuildInfo(program, device, CL_PROGRAM_BUILD_LOG, sizeof log, log, NULL);
        fail_msg("%s\n%s", options, log);
    }
    cl_kernel kernel = clCreateKernel(program, name, NULL);
    clReleaseProgram(program);
    assert_non_null(kernel);
    return kernel;
}

/* Runs kernel on count elements: argument 0 reads in, each further one writes out[i]. */
static void convert(cl_kernel kernel, size_t count, const void *in, size_t in_bytes, void *const *out, int num_out,
                    size_t out_bytes)
{
    cl_mem memory[4];
    size_t global = count / 16;
    cl_command_queue queue = clCreateCommandQueue(attune_context_cl(context), attune_context_device(context), 0, NULL);
    memory[0] = clCreateBuffer(attune_context_cl(context), CL_MEM_COPY_HOST_PTR, in_bytes, (void *)(uintptr_t)in, NULL);
    for (int i = 0; i < num_out; i++)
        memory[i + 1] = clCreateBuffer(attune_context_cl(context), 0, out_bytes, NULL, NULL);
    for (int i = 0; i <= num_out; i++)
        assert_int_equal(clSetKernelArg(kernel, (cl_uint)i, sizeof memory[i], &memory[i]), CL_SUCCESS);
    assert_int_equal(clEnqueueNDRangeKernel(queue, kernel, 1, NULL, &global, NULL, 0, NULL, NULL), CL_SUCCESS);
    for (int i = 0; i < num_out; i++)
        assert_int_equal(clEnqueueReadBuffer(queue, memory[i + 1], CL_TRUE, 0, out_bytes, out[i], 0, NULL, NULL),
                         CL_SUCCESS);
    for (int i = 0; i <= num_out; i++)
        clReleaseMemObject(memory[i]);
    clReleaseCommandQueue(queue);
    clReleaseKernel(kernel);
}

static bool same_float(float a, float b)
{
    return (isnan(a) && isnan(b)) || !memcmp(&a, &b, sizeof a);
}

static void check_widening(attune_dtype dtype, int half_load)
{
    static uint16_t in[NUM_HALVES + 1];
    static float out[3][NUM_HALVES];
    void *const arrays[3] = {out[0], out[1], out[2]};
    for (int i = 0; i < NUM_HALVES; i++)
        in[i + 1] = (uint16_t)i;
    convert(build(dtype, half_load, "widen"), NUM_HALVES, in, sizeof in, arrays, 3, sizeof out[0]);
    for (int i = 0; i < NUM_HALVES; i++) {
        float expected = dtype == ATTUNE_FP16 ? half_to_float((uint16_t)i) : bf16_to_float((uint16_t)i);
        for (int width = 0; width < 3; width++)
            if (!same_float(out[width][i], expected))
                fail_msg("HALF_LOAD %d: %s 0x%04x widened to %g, not %g, by %d", half_load, dtype_name(dtype),
                         (unsigned)i, (double)out[width][i], (double)expected, 1 << (width ? width + 2 : 0));
    }
}

/* Floats of all kinds: every fp16 value, the middle to the next one and its neighbours, and random bits. */
static void fill_floats(float *out)
{
    struct rng rng;
    rng_seed(&rng, 20262);
    for (size_t i = 0; i < NUM_FLOATS; i++) {
        uint32_t bits = (uint32_t)rng_below(&rng, UINT64_C(1) << 32);
        if (i < NUM_HALVES * 3) {
            float value = half_to_float((uint16_t)(i / 3));
            memcpy(&bits, &value, sizeof bits);
            bits += (uint32_t)(0x1000 + (int)(i % 3) - 1) * (i & 64 ? 1 : 0);
        }
        memcpy(&out[i], &bits, sizeof bits);
    }
}

static bool is_nan16(attune_dtype dtype, uint16_t bits)
{
    return isnan(dtype == ATTUNE_FP16 ? half_to_float(bits) : bf16_to_float(bits));
}

static void check_rounding(attune_dtype dtype, int half_load)
{
    static float in[NUM_FLOATS];
    static uint16_t out[2][NUM_FLOATS + 1];
    void *const arrays[2] = {out[0], out[1]};
    fill_floats(in);
    convert(build(dtype, half_load, "narrow"), NUM_FLOATS, in, sizeof in, arrays, 2, sizeof out[0]);
    for (int i = 0; i < NUM_FLOATS; i++) {
        uint16_t expected = dtype == ATTUNE_FP16 ? float_to_half(in[i]) : float_to_bf16(in[i]);
        for (int width = 0; width < 2; width++) {
            uint16_t bits = out[width][i + 1];
            if (bits != expected && !(is_nan16(dtype, bits) && is_nan16(dtype, expected)))
                fail_msg("HALF_LOAD %d: %a rounded to %s 0x%04x, not 0x%04x, by %d", half_load, (double)in[i],
                         dtype_name(dtype), bits, expected, width ? 8 : 1);
        }
    }
}

static void conversions(void **state)
{
    (void)state;
    for (int half_load = HALF_LOAD_INTEGER; half_load <= HALF_LOAD_F16C; half_load++) {
        if (half_load == HALF_LOAD_F16C && !(host_features(context) & FEATURE_F16C))
            continue;
        for (attune_dtype dtype = ATTUNE_FP16; dtype <= ATTUNE_BF16; dtype++) {
            check_widening(dtype, half_load);
            check_rounding(dtype, half_load);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(conversions)};
    return cmocka_run_group_tests(tests, open_context, close_context);
}
