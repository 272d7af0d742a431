/* SPDX-License-Identifier: Apache-2.0 */
#include "base.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

static const _Atomic uint64_t *virtual_ns;
static pthread_once_t once = PTHREAD_ONCE_INIT;

static void map_virtual_clock(void)
{
    const char *path = env_get("ATTUNE_TEST_CLOCK");
    if (!path)
        return;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return;
    void *page = mmap(NULL, sizeof(uint64_t), PROT_READ, MAP_SHARED, fd, 0);
    close(fd);
    if (page != MAP_FAILED)
        virtual_ns = page;
}

bool clock_is_virtual(void)
{
    pthread_once(&once, map_virtual_clock);
    return virtual_ns;
}

uint64_t clock_now_ns(void)
{
    if (clock_is_virtual())
        return atomic_load_explicit(virtual_ns, memory_order_acquire);
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}
