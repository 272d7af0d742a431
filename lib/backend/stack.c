/* SPDX-License-Identifier: Apache-2.0
 * Private memory on CPU devices: the work-items of a group run one after another in a thread of the driver, and what
 * they keep lies on that thread's stack. */
#include "backend.h"

#include <pthread.h>

/* Measured on pocl 3.1 by the smallest stack with which kernels of every family ran: below 64 KiB for the driver's own
 * frames, and up to 1,000 bytes a work-item beside the arrays that a family declares, for what lives across barriers.
 */
#define RESERVE ((int64_t)64 << 10)
#define BYTES_BESIDE_ARRAYS 1536

int64_t stack_of_new_threads(void)
{
    pthread_attr_t attributes;
    size_t bytes = 0;
    /* Threads are made with the default attributes, which the C library takes from the limit that the process started
     * with: 2 MiB of glibc's own where that is unlimited. */
    if (pthread_attr_init(&attributes))
        return 0;
    if (pthread_attr_getstacksize(&attributes, &bytes))
        bytes = 0;
    pthread_attr_destroy(&attributes);
    return (int64_t)bytes;
}

int64_t stack_for_private(int64_t stack)
{
    int64_t usable = stack / 4 * 3 - RESERVE;
    return usable > 1 ? usable : 1;
}

int64_t stack_needed(int64_t private_bytes, int32_t wg_size)
{
    return wg_size * (private_bytes + (wg_size > 1 ? BYTES_BESIDE_ARRAYS : 0));
}
