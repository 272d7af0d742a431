/* SPDX-License-Identifier: Apache-2.0 */
#include "interrupt.h"

#include "cli.h"

#include <signal.h>
#include <unistd.h>

static volatile sig_atomic_t requested;

static void on_signal(int number)
{
    static const char text[] = "\nstopping in order after this test; again to stop at once\n";
    (void)number;
    if (requested)
        _exit(EXIT_INTERRUPTED);
    requested = 1;
    ssize_t ignored = write(STDERR_FILENO, text, sizeof text - 1);
    (void)ignored;
}

void interrupt_install(void)
{
    struct sigaction action = {.sa_handler = on_signal, .sa_flags = SA_RESTART};
    sigemptyset(&action.sa_mask);
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
}

bool interrupt_requested(void)
{
    return requested != 0;
}
