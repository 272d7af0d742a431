/* SPDX-License-Identifier: Apache-2.0
 * The clock, virtual or real, and how long things take. */
#include "icd.h"

#include <fcntl.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

static _Atomic uint64_t *virtual_ns;
static pthread_once_t once = PTHREAD_ONCE_INIT;

static void map_clock(void)
{
    const char *path = getenv("ATTUNE_TEST_CLOCK");
    if (!path || !*path)
        return;
    int fd = open(path, O_RDWR | O_CLOEXEC);
    void *page = fd < 0 ? MAP_FAILED : mmap(NULL, sizeof *virtual_ns, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (fd >= 0)
        close(fd);
    if (page != MAP_FAILED)
        virtual_ns = page;
    else
        fprintf(stderr, "fake OpenCL driver: cannot map the clock %s\n", path);
}

bool clock_virtual(void)
{
    pthread_once(&once, map_clock);
    return virtual_ns;
}

uint64_t clock_now(void)
{
    if (clock_virtual())
        return atomic_load(virtual_ns);
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

uint64_t clock_advance(uint64_t ns)
{
    return clock_virtual() ? atomic_fetch_add(virtual_ns, ns) : clock_now();
}

/* splitmix64 (Steele, Lea and Flood 2014), as a hash of its state. */
static uint64_t scramble(uint64_t x)
{
    x += 0x9e3779b97f4a7c15u;
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
    x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
    return x ^ (x >> 31);
}

/* Standard normal (Box and Muller) from two hashes of the state. */
static double normal(uint64_t state)
{
    double u = ((double)(scramble(state) >> 11) + 1.0) * 0x1p-53;
    double v = (double)(scramble(~state) >> 11) * 0x1p-53;
    return sqrt(-2.0 * log(u)) * cos(6.283185307179586 * v);
}

/* A launch for which a rate is scripted takes what its work takes, and nothing else. */
static const struct rate *rate_of(const struct subject *subject, const struct work *work)
{
    const struct timing *timing = &subject->device->timing;
    for (size_t i = 0; work->probed > 0 && i < timing->num_rates; i++) {
        const struct rate *rate = &timing->rates[i];
        if (match_holds(&rate->match, subject) &&
            (rate->up_to_bytes == 0 || (double)work->footprint <= rate->up_to_bytes))
            return rate;
    }
    return NULL;
}

uint64_t launch_time(const struct subject *subject, bool first, const struct work *work)
{
    const struct timing *timing = &subject->device->timing;
    const struct rate *rate = rate_of(subject, work);
    double ns = timing->default_ns + timing->item_ns * (double)work->items + timing->pair_ns * (double)work->pairs;
    if (rate)
        ns = work->probed / rate->per_second * 1e9;
    for (size_t i = 0; i < timing->num_factors; i++)
        if (match_holds(&timing->factors[i].match, subject))
            ns *= timing->factors[i].factor;
    /* Worker processes each count their launches from 0; the shared clock keeps their noise apart. */
    uint64_t now = clock_virtual() ? clock_now() : 0;
    uint64_t launch = atomic_fetch_add(&subject->device->launches, 1);
    if (timing->noise > 0.0)
        ns *= exp(timing->noise * normal(scramble(timing->seed) ^ scramble(launch + 1) ^ scramble(~now)));
    ns *= 1.0 + timing->drift * (double)now * 1e-9;
    if (first)
        ns += timing->first_ns;
    return ns > 1.0 ? (uint64_t)ns : 1;
}

uint64_t transfer_time(cl_device_id device, size_t bytes)
{
    return (uint64_t)(device->timing.transfer_ns + device->timing.byte_ns * (double)bytes);
}
