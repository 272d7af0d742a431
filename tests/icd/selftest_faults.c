/* SPDX-License-Identifier: Apache-2.0
 * Every fault that the script can name. */
#include "selftest.h"

#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static struct machine machine;

static struct outcome run(const char *extra)
{
    return attention_run(&machine, false, extra);
}

/* First: it counts calls from the start. */
static void test_nth_call(void **state)
{
    (void)state;
    for (int i = 1; i <= 4; i++) {
        cl_int code;
        cl_mem mem = clCreateBuffer(machine.context, CL_MEM_READ_WRITE, 64, NULL, &code);
        assert_int_equal(code, i == 3 ? CL_MEM_OBJECT_ALLOCATION_FAILURE : CL_SUCCESS);
        if (mem)
            clReleaseMemObject(mem);
    }
}

static void test_wrong_answers(void **state)
{
    (void)state;
    assert_true(run("-DVEC=16").error < 1e-6);
    struct outcome wrong = run("-DVEC=1");
    assert_true(wrong.error > 1e-6 && wrong.error < 1e-2);
    assert_true(isnan(run("-DVEC=2").error));
    struct outcome nothing = run("-DVEC=3");
    assert_true(nothing.no_values && nothing.event == CL_COMPLETE);
    assert_true(run("-DVEC=10").q_changed);
    assert_true(run("-DVEC=11").canary_changed);
    assert_false(run("-DVEC=16").q_changed || run("-DVEC=16").canary_changed);
}

static void test_codes(void **state)
{
    (void)state;
    assert_int_equal(run("-DVEC=4").enqueue, CL_MEM_OBJECT_ALLOCATION_FAILURE);
    struct outcome failed = run("-DVEC=5");
    assert_int_equal(failed.build, CL_BUILD_PROGRAM_FAILURE);
    assert_string_equal(failed.log, "scripted: too many registers");
    failed = run("-DVEC=6");
    assert_int_equal(failed.enqueue, CL_SUCCESS);
    assert_int_equal(failed.event, CL_OUT_OF_RESOURCES);
}

/* A launch that leaves a buffer fails instead of reading what lies behind. */
static void test_out_of_bounds(void **state)
{
    (void)state;
    struct outcome outcome = run("-DVEC=16 -DHEAD_DIM_QK=4000");
    assert_int_equal(outcome.enqueue, CL_SUCCESS);
    assert_int_equal(outcome.event, CL_OUT_OF_RESOURCES);
}

static size_t resident_pages(void)
{
    size_t total = 0, resident = 0;
    FILE *file = fopen("/proc/self/statm", "r");
    assert_non_null(file);
    assert_int_equal(fscanf(file, "%zu %zu", &total, &resident), 2);
    fclose(file);
    return resident;
}

static void test_memory(void **state)
{
    (void)state;
    size_t before = resident_pages();
    assert_int_equal(run("-DVEC=18").event, CL_COMPLETE);
    assert_true((resident_pages() - before) * (size_t)sysconf(_SC_PAGESIZE) > 30u << 20);
}

static void test_nth_launch(void **state)
{
    (void)state;
    assert_true(run("-DVEC=13").error < 1e-6);
    assert_true(run("-DVEC=13").error > 1e-4);
    assert_true(run("-DVEC=13").error < 1e-6); /* once only */
    assert_true(run("-DVEC=19").error < 1e-6);
    assert_true(run("-DVEC=19").error > 1e-4);
    assert_true(run("-DVEC=19").error > 1e-4);
}

/* The signal that ends a process which runs this configuration. */
static int fatal_signal(const char *extra)
{
    pid_t child = fork();
    if (child == 0) {
        run(extra);
        _exit(0);
    }
    int status = 0;
    assert_int_equal(waitpid(child, &status, 0), child);
    return WIFSIGNALED(status) ? WTERMSIG(status) : 0;
}

static void test_deaths(void **state)
{
    (void)state;
    assert_int_equal(fatal_signal("-DVEC=7"), SIGSEGV);
    assert_int_equal(fatal_signal("-DVEC=8"), SIGABRT);
    assert_int_equal(fatal_signal("-DVEC=14"), SIGSEGV);
    assert_int_equal(fatal_signal("-DVEC=17"), SIGILL);
    assert_int_equal(fatal_signal("-DVEC=16"), 0);
}

static void test_hang(void **state)
{
    (void)state;
    cl_ulong before, after;
    clGetHostTimer(machine.device, &before);
    pid_t child = fork();
    if (child == 0) {
        run("-DVEC=9"); /* waits for its event */
        _exit(0);
    }
    const struct timespec moment = {0, 200000000};
    nanosleep(&moment, NULL);
    int status;
    assert_int_equal(waitpid(child, &status, WNOHANG), 0);
    kill(child, SIGKILL);
    assert_int_equal(waitpid(child, &status, 0), child);
    clGetHostTimer(machine.device, &after);
    assert_true(after - before >= 60000000000u); /* for who sets deadlines by the virtual clock */
}

static void test_sleep(void **state)
{
    (void)state;
    cl_ulong before, after;
    clGetHostTimer(machine.device, &before);
    assert_int_equal(run("-DVEC=12").event, CL_COMPLETE);
    clGetHostTimer(machine.device, &after);
    assert_true(after - before >= 30000000);
}

/* By device: the first one goes on. */
static void test_device_lost(void **state)
{
    (void)state;
    struct machine second;
    machine_open(&second, 1, 0);
    assert_int_equal(run("-DVEC=15").event, CL_COMPLETE);
    assert_true(attention_run(&second, false, "").error < 1e-6);
    assert_int_equal(attention_run(&second, false, "-DVEC=15").enqueue, CL_DEVICE_NOT_AVAILABLE);
    assert_int_equal(clFinish(second.queue), CL_DEVICE_NOT_AVAILABLE);
    cl_bool available = CL_TRUE;
    clGetDeviceInfo(second.device, CL_DEVICE_AVAILABLE, sizeof available, &available, NULL);
    assert_false(available);
    assert_int_equal(run("-DVEC=15").event, CL_COMPLETE);
    machine_close(&second);
}

static int open_first(void **state)
{
    (void)state;
    machine_open(&machine, 0, 0);
    return 0;
}

static int close_first(void **state)
{
    (void)state;
    machine_close(&machine);
    return objects_alive(&machine) == 0 ? 0 : -1;
}

int run_fault_tests(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_nth_call),    cmocka_unit_test(test_wrong_answers), cmocka_unit_test(test_codes),
        cmocka_unit_test(test_nth_launch),  cmocka_unit_test(test_deaths),        cmocka_unit_test(test_hang),
        cmocka_unit_test(test_sleep),       cmocka_unit_test(test_out_of_bounds), cmocka_unit_test(test_memory),
        cmocka_unit_test(test_device_lost),
    };
    return cmocka_run_group_tests(tests, open_first, close_first);
}
