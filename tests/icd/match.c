/* SPDX-License-Identifier: Apache-2.0
 * Build options, and which script entries a configuration meets. */
#include "icd.h"

#include <stdlib.h>
#include <string.h>

/* The next blank-separated word from *at, without a leading -D ("-D X=1" gives "X=1"). Returns its length, 0 at the
 * end. */
static size_t next_word(const char **at)
{
    for (;;) {
        *at += strspn(*at, " \t\n");
        if (strncmp(*at, "-D", 2) == 0)
            *at += 2;
        size_t length = strcspn(*at, " \t\n");
        if (length || !**at)
            return length;
    }
}

static bool has_word(const char *text, const char *word, size_t length)
{
    size_t found;
    for (const char *at = text; (found = next_word(&at)); at += found)
        if (found == length && strncmp(at, word, length) == 0)
            return true;
    return false;
}

long option_value(const char *options, const char *name, long absent)
{
    size_t found, length = strlen(name);
    long value = absent;
    for (const char *at = options; (found = next_word(&at)); at += found)
        if (found > length && at[length] == '=' && strncmp(at, name, length) == 0)
            value = strtol(at + length + 1, NULL, 0);
    return value;
}

bool match_holds(const struct match *match, const struct subject *subject)
{
    if (match->device && !strstr(subject->device->name, match->device))
        return false;
    if (match->source && !strstr(subject->source, match->source))
        return false;
    size_t length;
    for (const char *at = match->tokens ? match->tokens : ""; (length = next_word(&at)); at += length) {
        bool is_kernel = subject->kernel && strlen(subject->kernel) == length && !strncmp(subject->kernel, at, length);
        if (!is_kernel && !has_word(subject->options, at, length))
            return false;
    }
    return true;
}

const struct fault *fault_next(const struct fault *after, const struct subject *subject, bool at_build)
{
    const struct script *script = script_get();
    for (size_t i = after ? (size_t)(after - script->faults) + 1 : 0; i < script->num_faults; i++) {
        struct fault *fault = &script->faults[i];
        if (fault->call >= 0 || fault->at_build != at_build || !match_holds(&fault->match, subject))
            continue;
        uint64_t occurrence = atomic_fetch_add(&fault->seen, 1) + 1;
        if (occurrence >= fault->nth && (fault->times == 0 || occurrence - fault->nth < fault->times))
            return fault;
    }
    return NULL;
}
