/* SPDX-License-Identifier: Apache-2.0
 * Counts the allocations that libattune makes, not those of the OpenCL driver: the C library's functions are replaced,
 * and the object that a call returns to is looked up. Needs glibc. ALLOCATIONS_OFF: not in this build. */
#define _GNU_SOURCE
#include "host.h"

#include <dlfcn.h>
#include <stdatomic.h>

#if defined(__GLIBC__) && !defined(ALLOCATIONS_OFF)

static atomic_bool counting;
static atomic_llong counted;

static void count(void *caller)
{
    Dl_info from, library;
    if (!atomic_load_explicit(&counting, memory_order_relaxed))
        return;
    if (dladdr(caller, &from) && dladdr((void *)(uintptr_t)attune_last_error, &library) &&
        from.dli_fbase == library.dli_fbase)
        atomic_fetch_add(&counted, 1);
}

void *__libc_malloc(size_t size);
void *__libc_calloc(size_t count, size_t size);
void *__libc_realloc(void *old, size_t size);

void *malloc(size_t size)
{
    count(__builtin_return_address(0));
    return __libc_malloc(size);
}

void *calloc(size_t number, size_t size)
{
    count(__builtin_return_address(0));
    return __libc_calloc(number, size);
}

void *realloc(void *old, size_t size)
{
    count(__builtin_return_address(0));
    return __libc_realloc(old, size);
}

void allocations_start(void)
{
    atomic_store(&counted, 0);
    atomic_store(&counting, true);
}

int64_t allocations_stop(void)
{
    atomic_store(&counting, false);
    return atomic_load(&counted);
}

#else

void allocations_start(void)
{
}

int64_t allocations_stop(void)
{
    return -1;
}

#endif
