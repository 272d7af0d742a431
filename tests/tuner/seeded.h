/* SPDX-License-Identifier: Apache-2.0
 * Bugs to be seeded into kernels, one at a time, and where the tuner's gate must catch each. */
#ifndef ATTUNE_TESTS_TUNER_SEEDED_H
#define ATTUNE_TESTS_TUNER_SEEDED_H

#include <stdbool.h>
#include <stddef.h>

/* What a kernel is run on. */
struct seeded_case {
    const char *config, *problem;
    bool needs_dot; /* an instruction that a probe must have shown */
};

/* Replaces text of a file of kernels/, which must occur exactly once there: short anchors live longer. */
struct seeded_edit {
    const char *file, *find, *replace;
};

struct seeded_bug {
    const char *name;
    const struct seeded_case *where;
    struct seeded_edit edits[2]; /* file NULL: none */
    bool always;                 /* runs in the default setup too */
    const char *gap; /* why the gate lets it pass; NULL: it must not. One that is caught after all is a failure too */
};

extern const struct seeded_bug seeded_bugs[];
extern const size_t num_seeded_bugs;

#endif
