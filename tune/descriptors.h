/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ATTUNE_DESCRIPTORS_H
#define ATTUNE_DESCRIPTORS_H

#include <fcntl.h>
#include <unistd.h>

/* First in main. A program may be started with descriptors 0 to 2 closed (`>&-`); the next file that it opens, a
 * journal's lock say, would get that number, and what is printed would be written there. */
static inline void open_standard_descriptors(void)
{
    for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++)
        if (fcntl(fd, F_GETFD) < 0)
            (void)!open("/dev/null", fd == STDIN_FILENO ? O_RDONLY : O_WRONLY);
}

#endif
