/* SPDX-License-Identifier: Apache-2.0
 * Faults that hit the process. */
#include "icd.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

void fault_sleep(const struct fault *fault)
{
    uint64_t ms = fault->sleep_ms;
    if (clock_virtual()) {
        clock_advance(ms * 1000000u);
        return;
    }
    struct timespec left = {(time_t)(ms / 1000), (long)(ms % 1000) * 1000000};
    while (nanosleep(&left, &left))
        ;
}

/* The default action even where the host or a sanitizer installed a handler. */
static void die(int signal_number)
{
    signal(signal_number, SIG_DFL);
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, signal_number);
    pthread_sigmask(SIG_UNBLOCK, &set, NULL);
    raise(signal_number);
}

static cl_int swallow_memory(uint64_t bytes)
{
    static void *volatile kept; /* the compiler must not drop an allocation that nobody reads */
    kept = malloc(bytes);
    if (!kept)
        return CL_OUT_OF_HOST_MEMORY;
    memset(kept, 1, bytes);
    return CL_SUCCESS;
}

cl_int fault_strike(const struct fault *fault, cl_device_id device)
{
    switch (fault->what) {
    case FAULT_ERROR:
    case FAULT_BUILD_FAILURE:
        return fault->error;
    case FAULT_CRASH:
        die(SIGSEGV);
        break;
    case FAULT_ILLEGAL:
        die(SIGILL);
        break;
    case FAULT_ABORT:
        die(SIGABRT);
        break;
    case FAULT_HANG: /* of a call or a build; a launch's is COMMAND_HANGS */
        fault_sleep(fault);
        for (;;)
            pause();
    case FAULT_MEMORY:
        return swallow_memory(fault->bytes);
    case FAULT_DEVICE_LOST:
        if (device)
            atomic_store(&device->lost, fault->error);
        return fault->error;
    case FAULT_SLEEP:
        fault_sleep(fault);
        break;
    case FAULT_WRONG:
    case FAULT_NAN:
    case FAULT_NO_OP:
    case FAULT_WRITE_INPUT:
    case FAULT_OVERRUN:
        break;
    }
    return CL_SUCCESS;
}
