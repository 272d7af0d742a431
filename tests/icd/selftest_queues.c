/* SPDX-License-Identifier: Apache-2.0
 * Queues, events, transfers, shared virtual memory, threads. */
#include "selftest.h"

#include <pthread.h>
#include <string.h>

static cl_int status_of(cl_event event)
{
    cl_int status = 99;
    clGetEventInfo(event, CL_EVENT_COMMAND_EXECUTION_STATUS, sizeof status, &status, NULL);
    return status;
}

static void test_transfers(void **state)
{
    (void)state;
    struct machine machine;
    machine_open(&machine, 0, 0);
    cl_int code;
    cl_mem mem = clCreateBuffer(machine.context, CL_MEM_READ_WRITE, 1024, NULL, &code);
    const int pattern = 7, nine = 9;
    assert_int_equal(clEnqueueFillBuffer(machine.queue, mem, &pattern, 4, 0, 1024, 0, NULL, NULL), CL_SUCCESS);
    assert_int_equal(clEnqueueWriteBuffer(machine.queue, mem, CL_TRUE, 4, 4, &nine, 0, NULL, NULL), CL_SUCCESS);
    assert_int_equal(clEnqueueCopyBuffer(machine.queue, mem, mem, 0, 512, 16, 0, NULL, NULL), CL_SUCCESS);
    assert_int_equal(clEnqueueCopyBuffer(machine.queue, mem, mem, 0, 8, 16, 0, NULL, NULL), CL_MEM_COPY_OVERLAP);
    int back[4];
    cl_buffer_region region = {512, 64};
    cl_mem part = clCreateSubBuffer(mem, 0, CL_BUFFER_CREATE_TYPE_REGION, &region, &code);
    assert_int_equal(code, CL_SUCCESS);
    assert_int_equal(clEnqueueReadBuffer(machine.queue, part, CL_TRUE, 0, 16, back, 0, NULL, NULL), CL_SUCCESS);
    assert_int_equal(back[0], 7);
    assert_int_equal(back[1], 9);
    assert_int_equal(clEnqueueReadBuffer(machine.queue, part, CL_TRUE, 56, 16, back, 0, NULL, NULL), CL_INVALID_VALUE);
    int *mapped = clEnqueueMapBuffer(machine.queue, mem, CL_TRUE, CL_MAP_WRITE, 512, 16, 0, NULL, NULL, &code);
    assert_int_equal(code, CL_SUCCESS);
    mapped[0] = 11;
    assert_int_equal(clEnqueueUnmapMemObject(machine.queue, mem, mapped, 0, NULL, NULL), CL_SUCCESS);
    assert_int_equal(clEnqueueUnmapMemObject(machine.queue, mem, mapped, 0, NULL, NULL), CL_INVALID_VALUE);
    clEnqueueReadBuffer(machine.queue, part, CL_TRUE, 0, 16, back, 0, NULL, NULL);
    assert_int_equal(back[0], 11);
    region.origin = 4;
    assert_null(clCreateSubBuffer(mem, 0, CL_BUFFER_CREATE_TYPE_REGION, &region, &code));
    assert_int_equal(code, CL_MISALIGNED_SUB_BUFFER_OFFSET);
    clReleaseMemObject(mem); /* before its part */
    clReleaseMemObject(part);
    machine_close(&machine);
    assert_int_equal(objects_alive(&machine), 0);
}

static void test_svm(void **state)
{
    (void)state;
    struct machine machine;
    machine_open(&machine, 0, 0);
    unsigned char *memory = clSVMAlloc(machine.context, CL_MEM_READ_WRITE, 256, 0), back[8];
    assert_non_null(memory);
    const short pattern = 0x0505;
    assert_int_equal(clEnqueueSVMMemFill(machine.queue, memory, &pattern, 2, 256, 0, NULL, NULL), CL_SUCCESS);
    assert_int_equal(clEnqueueSVMMemcpy(machine.queue, CL_TRUE, back, memory + 248, 8, 0, NULL, NULL), CL_SUCCESS);
    assert_int_equal(back[7], 5);
    assert_int_equal(clEnqueueSVMMemcpy(machine.queue, CL_TRUE, back, memory + 252, 8, 0, NULL, NULL),
                     CL_INVALID_VALUE);
    const char *source = SOURCE;
    cl_program program = clCreateProgramWithSource(machine.context, 1, &source, NULL, NULL);
    clBuildProgram(program, 0, NULL, "", NULL, NULL);
    cl_kernel kernel = clCreateKernel(program, "attention", NULL);
    assert_int_equal(clSetKernelArgSVMPointer(kernel, 0, memory + 4), CL_SUCCESS);
    assert_int_equal(clSetKernelArgSVMPointer(kernel, 0, back), CL_INVALID_ARG_VALUE);
    clReleaseKernel(kernel);
    clReleaseProgram(program);
    clSVMFree(machine.context, memory);
    machine_close(&machine);
}

/* A command behind a user event waits without blocking the host; what follows it in order waits too. */
static void test_deferred(void **state)
{
    (void)state;
    struct machine machine;
    machine_open(&machine, 0, 0);
    int value = 1, seen = 0;
    cl_event gate = clCreateUserEvent(machine.context, NULL), written, read;
    cl_mem mem = clCreateBuffer(machine.context, CL_MEM_COPY_HOST_PTR, 4, &value, NULL);
    value = 2;
    clEnqueueWriteBuffer(machine.queue, mem, CL_FALSE, 0, 4, &value, 1, &gate, &written);
    clEnqueueReadBuffer(machine.queue, mem, CL_FALSE, 0, 4, &seen, 0, NULL, &read);
    clReleaseMemObject(mem); /* the commands hold it */
    assert_int_equal(status_of(written), CL_QUEUED);
    assert_int_equal(status_of(read), CL_QUEUED);
    assert_int_equal(seen, 0);
    assert_int_equal(clSetUserEventStatus(gate, CL_COMPLETE), CL_SUCCESS);
    assert_int_equal(clSetUserEventStatus(gate, CL_COMPLETE), CL_INVALID_OPERATION);
    assert_int_equal(clFinish(machine.queue), CL_SUCCESS);
    assert_int_equal(status_of(read), CL_COMPLETE);
    assert_int_equal(seen, 2);
    clReleaseEvent(gate);
    clReleaseEvent(written);
    clReleaseEvent(read);
    machine_close(&machine);
    assert_int_equal(objects_alive(&machine), 0);
}

static void CL_CALLBACK count_call(cl_event event, cl_int status, void *data)
{
    (void)event;
    *(cl_int *)data += 1 + status;
}

/* Out of order: a later command overtakes, a barrier does not; a failed event fails what waits for it. */
static void test_out_of_order(void **state)
{
    (void)state;
    struct machine machine;
    machine_open(&machine, 0, CL_QUEUE_OUT_OF_ORDER_EXEC_MODE_ENABLE);
    cl_event gate = clCreateUserEvent(machine.context, NULL), first, second, barrier;
    cl_int called = 0;
    clEnqueueMarkerWithWaitList(machine.queue, 1, &gate, &first);
    clEnqueueMarkerWithWaitList(machine.queue, 0, NULL, &barrier);
    cl_event none = clCreateUserEvent(machine.context, NULL);
    clSetUserEventStatus(none, CL_COMPLETE);
    clSetEventCallback(first, CL_COMPLETE, count_call, &called);
    assert_int_equal(status_of(barrier), CL_QUEUED);
    clEnqueueMarkerWithWaitList(machine.queue, 1, &none, &second);
    assert_int_equal(clSetUserEventStatus(gate, -7), CL_SUCCESS);
    clFinish(machine.queue);
    assert_int_equal(status_of(first), CL_EXEC_STATUS_ERROR_FOR_EVENTS_IN_WAIT_LIST);
    assert_int_equal(clWaitForEvents(1, &first), CL_EXEC_STATUS_ERROR_FOR_EVENTS_IN_WAIT_LIST);
    assert_int_equal(status_of(barrier), CL_COMPLETE);
    assert_int_equal(status_of(second), CL_COMPLETE);
    assert_int_equal(called, 1 + CL_EXEC_STATUS_ERROR_FOR_EVENTS_IN_WAIT_LIST);
    clReleaseEvent(gate);
    clReleaseEvent(none);
    clReleaseEvent(first);
    clReleaseEvent(second);
    clReleaseEvent(barrier);
    machine_close(&machine);
    assert_int_equal(objects_alive(&machine), 0);
}

static void test_overtaking(void **state)
{
    (void)state;
    struct machine machine;
    machine_open(&machine, 0, CL_QUEUE_OUT_OF_ORDER_EXEC_MODE_ENABLE);
    int value = 5, seen = 0;
    cl_mem mem = clCreateBuffer(machine.context, CL_MEM_COPY_HOST_PTR, 4, &value, NULL);
    cl_event gate = clCreateUserEvent(machine.context, NULL), held;
    clEnqueueMarkerWithWaitList(machine.queue, 1, &gate, &held);
    assert_int_equal(clEnqueueReadBuffer(machine.queue, mem, CL_TRUE, 0, 4, &seen, 0, NULL, NULL), CL_SUCCESS);
    assert_int_equal(seen, 5);
    assert_int_equal(status_of(held), CL_QUEUED);
    clSetUserEventStatus(gate, CL_COMPLETE);
    assert_int_equal(status_of(held), CL_COMPLETE);
    clReleaseEvent(gate);
    clReleaseEvent(held);
    clReleaseMemObject(mem);
    machine_close(&machine);
}

#define THREADS 8

struct worker {
    struct machine machine;
    pthread_t thread;
    int wrong;
};

/* Not an assertion inside: cmocka's jump out of a thread is undefined. */
static void *work(void *data)
{
    struct worker *worker = data;
    for (int i = 0; i < 25; i++) {
        struct outcome outcome = attention_run(&worker->machine, i % 2, "-DVEC=8");
        worker->wrong += !(outcome.event == CL_COMPLETE && outcome.error < 1e-6 && outcome.ns == 200000);
    }
    return NULL;
}

/* Half of the threads share one in-order queue, the others have their own. */
static void test_threads(void **state)
{
    (void)state;
    struct machine machine;
    struct worker workers[THREADS];
    machine_open(&machine, 0, 0);
    for (int i = 0; i < THREADS; i++) {
        workers[i] = (struct worker){.machine = machine};
        if (i % 2)
            workers[i].machine.queue = clCreateCommandQueueWithProperties(
                machine.context, machine.device,
                (cl_queue_properties[]){CL_QUEUE_PROPERTIES, CL_QUEUE_PROFILING_ENABLE, 0}, NULL);
    }
    uint64_t before = calls_made(&machine, "clEnqueueNDRangeKernel");
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&workers[i].thread, NULL, work, &workers[i]), 0);
    for (int i = 0; i < THREADS; i++) {
        pthread_join(workers[i].thread, NULL);
        assert_int_equal(workers[i].wrong, 0);
        if (i % 2)
            clReleaseCommandQueue(workers[i].machine.queue);
    }
    assert_int_equal(calls_made(&machine, "clEnqueueNDRangeKernel") - before, THREADS * 25);
    machine_close(&machine);
    assert_int_equal(objects_alive(&machine), 0);
}

int run_queue_tests(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_transfers),    cmocka_unit_test(test_svm),        cmocka_unit_test(test_deferred),
        cmocka_unit_test(test_out_of_order), cmocka_unit_test(test_overtaking), cmocka_unit_test(test_threads),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
