/* SPDX-License-Identifier: Apache-2.0
 * The scripted driver through the ICD loader. The argument names the script of scripts/ that is in force, the second
 * one whether the clock is "virtual" or "real". */
#include "selftest.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <CL/cl_ext.h>

/* ---- plain */

static void assert_info(cl_device_id device, cl_device_info name, const char *expected)
{
    char text[256];
    assert_int_equal(clGetDeviceInfo(device, name, sizeof text, text, NULL), CL_SUCCESS);
    assert_string_equal(text, expected);
}

static void test_identity(void **state)
{
    (void)state;
    struct machine machine;
    machine_open(&machine, 0, 0);
    char text[256];
    assert_int_equal(clGetPlatformInfo(machine.platform, CL_PLATFORM_VERSION, sizeof text, text, NULL), CL_SUCCESS);
    assert_string_equal(text, "OpenCL 3.0 fake 7");
    assert_info(machine.device, CL_DEVICE_NAME, "Fake GPU A");
    assert_info(machine.device, CL_DEVICE_VENDOR, "Fake Devices");
    assert_info(machine.device, CL_DRIVER_VERSION, "7.1");
    cl_uint units;
    cl_ulong local;
    cl_uchar uuid[CL_UUID_SIZE_KHR];
    assert_int_equal(clGetDeviceInfo(machine.device, CL_DEVICE_MAX_COMPUTE_UNITS, sizeof units, &units, NULL), 0);
    assert_int_equal(clGetDeviceInfo(machine.device, CL_DEVICE_LOCAL_MEM_SIZE, sizeof local, &local, NULL), 0);
    assert_int_equal(clGetDeviceInfo(machine.device, CL_DEVICE_UUID_KHR, sizeof uuid, uuid, NULL), 0);
    assert_int_equal(units, 39);
    assert_int_equal(local, 262144);
    assert_int_equal(uuid[15], 15);
    cl_device_id cpu;
    cl_uint count;
    assert_int_equal(clGetDeviceIDs(machine.platform, CL_DEVICE_TYPE_CPU, 1, &cpu, &count), CL_SUCCESS);
    assert_int_equal(count, 1);
    assert_info(cpu, CL_DEVICE_NAME, "Fake CPU");
    assert_int_equal(clGetDeviceIDs(machine.platform, CL_DEVICE_TYPE_ACCELERATOR, 1, &cpu, &count),
                     CL_DEVICE_NOT_FOUND);
    machine_close(&machine);
}

static void test_attention(void **state)
{
    (void)state;
    struct machine machine;
    machine_open(&machine, 0, 0);
    for (int pack = 0; pack < 2; pack++) {
        struct outcome outcome = attention_run(&machine, pack, "");
        assert_int_equal(outcome.build, CL_SUCCESS);
        assert_int_equal(outcome.enqueue, CL_SUCCESS);
        assert_int_equal(outcome.event, CL_COMPLETE);
        assert_true(outcome.error < 1e-6);
        assert_false(outcome.q_changed);
        assert_false(outcome.canary_changed);
    }
    machine_close(&machine);
    assert_int_equal(objects_alive(&machine), 0);
}

static void test_time(void **state)
{
    (void)state;
    struct machine machine;
    machine_open(&machine, 0, 0);
    assert_int_equal(attention_run(&machine, false, "-DVEC=4").ns, 200000);
    assert_int_equal(attention_run(&machine, false, "-DBLOCK_Q=32 -DVEC=8").ns, 100000);
    assert_int_equal(attention_run(&machine, false, "-D VEC=4 -D BLOCK_Q=32").ns, 50000);
    assert_int_equal(attention_run(&machine, false, "-DBLOCK_Q=320").ns, 200000);
    machine_close(&machine);
}

static void test_work(void **state)
{
    (void)state;
    struct machine machine;
    machine_open(&machine, 2, 0);
    /* 12 items; 30 and 12 keys seen by the queries of the two sequences, times 4 heads. */
    assert_int_equal(attention_run(&machine, false, "").ns, 100000 + 7000 + 12 * 10 + (30 + 12) * 4);
    machine_close(&machine);
    machine_open(&machine, 3, 0);
    cl_ulong now;
    clGetHostTimer(machine.device, &now);
    double expected = 100e3 * (1.0 + 0.5 * (double)now * 1e-9);
    assert_true(fabs((double)attention_run(&machine, false, "").ns - expected) < 2.0);
    machine_close(&machine);
}

/* exp(0.05 z): the median of many is near the truth, and two draws differ. */
static void test_noise(void **state)
{
    (void)state;
    struct machine machine;
    machine_open(&machine, 1, 0);
    double sum = 0.0, squares = 0.0;
    enum { RUNS = 200 };
    for (int i = 0; i < RUNS; i++) {
        double deviation = log((double)attention_run(&machine, false, "").ns / 100e3);
        sum += deviation;
        squares += deviation * deviation;
    }
    assert_true(fabs(sum / RUNS) < 0.02);
    assert_true(fabs(sqrt(squares / RUNS) - 0.05) < 0.01);
    machine_close(&machine);
}

static void test_binary(void **state)
{
    (void)state;
    struct machine machine;
    machine_open(&machine, 0, 0);
    const char *source = SOURCE;
    cl_program program = clCreateProgramWithSource(machine.context, 1, &source, NULL, NULL);
    assert_int_equal(clBuildProgram(program, 1, &machine.device, "-DVEC=4", NULL, NULL), CL_SUCCESS);
    size_t size;
    unsigned char blob[1024], *blobs[] = {blob};
    assert_int_equal(clGetProgramInfo(program, CL_PROGRAM_BINARY_SIZES, sizeof size, &size, NULL), CL_SUCCESS);
    assert_true(size <= sizeof blob);
    assert_int_equal(clGetProgramInfo(program, CL_PROGRAM_BINARIES, sizeof blobs, blobs, NULL), CL_SUCCESS);
    clReleaseProgram(program);
    const unsigned char *const_blob = blob;
    cl_int status, code;
    program = clCreateProgramWithBinary(machine.context, 1, &machine.device, &size, &const_blob, &status, &code);
    assert_int_equal(code, CL_SUCCESS);
    assert_int_equal(clBuildProgram(program, 1, &machine.device, NULL, NULL, NULL), CL_SUCCESS);
    char options[64];
    clGetProgramBuildInfo(program, machine.device, CL_PROGRAM_BUILD_OPTIONS, sizeof options, options, NULL);
    assert_string_equal(options, "-DVEC=4");
    char names[64];
    clGetProgramInfo(program, CL_PROGRAM_KERNEL_NAMES, sizeof names, names, NULL);
    assert_string_equal(names, "attention;probe_copy");
    clReleaseProgram(program);
    blob[size / 2] ^= 1;
    program = clCreateProgramWithBinary(machine.context, 1, &machine.device, &size, &const_blob, &status, &code);
    assert_null(program);
    assert_int_equal(code, CL_INVALID_BINARY);
    machine_close(&machine);
}

static void test_handles(void **state)
{
    (void)state;
    struct machine machine;
    machine_open(&machine, 1, 0);
    cl_int code;
    cl_mem mem = clCreateBuffer(machine.context, CL_MEM_READ_WRITE, 1 << 20, NULL, &code);
    assert_int_equal(code, CL_SUCCESS);
    assert_null(clCreateBuffer(machine.context, CL_MEM_READ_WRITE, (1 << 20) + 1, NULL, &code));
    assert_int_equal(code, CL_INVALID_BUFFER_SIZE);
    assert_null(clCreateBuffer(machine.context, CL_MEM_READ_WRITE, 1, NULL, &code));
    assert_int_equal(code, CL_MEM_OBJECT_ALLOCATION_FAILURE); /* the scripted memory is full */
    assert_int_equal(clRetainMemObject(mem), CL_SUCCESS);
    assert_int_equal(clReleaseMemObject(mem), CL_SUCCESS);
    assert_int_equal(clReleaseMemObject(mem), CL_SUCCESS);
    assert_int_equal(clReleaseMemObject(mem), CL_INVALID_MEM_OBJECT);
    mem = clCreateBuffer(machine.context, CL_MEM_READ_WRITE, 1 << 20, NULL, &code);
    assert_int_equal(code, CL_SUCCESS); /* and free again */
    clReleaseMemObject(mem);
    assert_int_equal(clRetainContext((cl_context)machine.queue), CL_INVALID_CONTEXT);
    cl_image_format format = {CL_R, CL_FLOAT};
    cl_image_desc desc = {.image_type = CL_MEM_OBJECT_IMAGE3D, .image_width = 1, .image_height = 1};
    assert_null(clCreateImage(machine.context, 0, &format, &desc, NULL, &code));
    assert_int_equal(code, CL_INVALID_OPERATION);
    const char *source = "int no_kernel_here;";
    cl_program program = clCreateProgramWithSource(machine.context, 1, &source, NULL, NULL);
    assert_int_equal(clBuildProgram(program, 0, NULL, "", NULL, NULL), CL_BUILD_PROGRAM_FAILURE);
    clReleaseProgram(program);
    machine_close(&machine);
    assert_int_equal(objects_alive(&machine), 0);
}

static const struct CMUnitTest plain_tests[] = {
    cmocka_unit_test(test_identity), cmocka_unit_test(test_attention), cmocka_unit_test(test_time),
    cmocka_unit_test(test_work),     cmocka_unit_test(test_noise),     cmocka_unit_test(test_binary),
    cmocka_unit_test(test_handles),
};

/* ---- no platform, no device, an old device in real time */

static void test_no_platform(void **state)
{
    (void)state;
    cl_uint count = 1;
    assert_int_equal(clGetPlatformIDs(0, NULL, &count), CL_PLATFORM_NOT_FOUND_KHR);
    assert_int_equal(count, 0);
}

static void test_no_device(void **state)
{
    (void)state;
    cl_platform_id platform;
    cl_uint count;
    assert_int_equal(clGetPlatformIDs(1, &platform, NULL), CL_SUCCESS);
    assert_int_equal(clGetDeviceIDs(platform, CL_DEVICE_TYPE_ALL, 0, NULL, &count), CL_DEVICE_NOT_FOUND);
}

static void test_old_device(void **state)
{
    (void)state;
    struct machine machine;
    machine_open(&machine, 0, 0);
    assert_info(machine.device, CL_DEVICE_VERSION, "OpenCL 1.2 fake");
    cl_device_svm_capabilities svm;
    assert_int_equal(clGetDeviceInfo(machine.device, CL_DEVICE_SVM_CAPABILITIES, sizeof svm, &svm, NULL),
                     CL_INVALID_VALUE);
    assert_null(clSVMAlloc(machine.context, CL_MEM_READ_WRITE, 64, 0));
    struct outcome outcome = attention_run(&machine, true, "");
    assert_int_equal(outcome.event, CL_COMPLETE);
    assert_true(outcome.error < 1e-6);
    assert_true(outcome.ns > 0);
    machine_close(&machine);
}

static const struct CMUnitTest none_tests[] = {cmocka_unit_test(test_no_platform)};
static const struct CMUnitTest empty_tests[] = {cmocka_unit_test(test_no_device)};
static const struct CMUnitTest old_tests[] = {cmocka_unit_test(test_old_device)};

/* The driver and lib/base read the clock's name once, at their first use. */
static char clock_path[] = "/tmp/icd-clock-XXXXXX";

static void make_clock(void)
{
    int fd = mkstemp(clock_path);
    const uint64_t zero = 0;
    if (fd < 0 || write(fd, &zero, sizeof zero) != sizeof zero || close(fd) != 0)
        exit(99);
    setenv("ATTUNE_TEST_CLOCK", clock_path, 1);
}

int main(int argc, char **argv)
{
    const char *name = argc > 1 ? argv[1] : "";
    bool is_virtual = argc > 2 && strcmp(argv[2], "virtual") == 0;
    if (is_virtual)
        make_clock();
    int failed = 99;
    if (strcmp(name, "plain") == 0)
        failed = cmocka_run_group_tests(plain_tests, NULL, NULL) + run_queue_tests();
    else if (strcmp(name, "faults") == 0)
        failed = run_fault_tests();
    else if (strcmp(name, "none") == 0)
        failed = cmocka_run_group_tests(none_tests, NULL, NULL);
    else if (strcmp(name, "empty") == 0)
        failed = cmocka_run_group_tests(empty_tests, NULL, NULL);
    else if (strcmp(name, "old") == 0)
        failed = cmocka_run_group_tests(old_tests, NULL, NULL);
    if (is_virtual)
        unlink(clock_path);
    return failed;
}
