/* SPDX-License-Identifier: Apache-2.0
 * A small attention problem that the driver's own tests run, and a plain loop to compare with. */
#ifndef ICD_SELFTEST_H
#define ICD_SELFTEST_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <CL/cl.h>

#define SOURCE "kernel void attention(global const float *q) {}\nkernel void probe_copy(global float *a, int n) {}\n"

struct machine {
    cl_platform_id platform;
    cl_device_id device;
    cl_context context;
    cl_command_queue queue;
};

void machine_open(struct machine *machine, cl_uint device, cl_command_queue_properties properties);
void machine_close(struct machine *machine);

/* What one launch did. A step that failed ends it, and the later codes are 1. */
struct outcome {
    cl_int build, enqueue, event;
    char log[128];
    double error;   /* largest |o - naive| and |lse - naive|; NaN if any value is */
    bool no_values; /* the output still has its poison */
    bool q_changed, canary_changed;
    uint64_t ns; /* by the event's profile */
};

/* Two sequences with cached prefixes, 4 query heads over 2 KV heads, item tiles of 3 queries. With pack, an item covers
 * the two heads of a KV head. extra: more build options, "-DVEC=4". */
struct outcome attention_run(const struct machine *machine, bool pack, const char *extra);

/* The driver's extension functions. */
size_t objects_alive(const struct machine *machine);
uint64_t calls_made(const struct machine *machine, const char *name);

/* Each runs its group and returns how many failed. */
int run_queue_tests(void);
int run_fault_tests(void);

#endif
