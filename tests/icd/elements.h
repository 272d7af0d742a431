/* SPDX-License-Identifier: Apache-2.0
 * Elements of a launch's memory arguments, every access checked against its buffer. */
#ifndef FAKE_ELEMENTS_H
#define FAKE_ELEMENTS_H

#include "icd.h"

#include "abi.clh"

enum element_type { TYPE_FP32 = 1, TYPE_FP16 = 2, TYPE_BF16 = 3 };

struct view {
    unsigned char *data;
    size_t room; /* bytes */
    enum element_type type;
};

struct memory {
    struct view views[ATTENTION_ARGS]; /* by index of the argument */
    const char *const *names;
    bool out_of_bounds;
    const char *where; /* out of bounds */
};

size_t type_size(enum element_type type);

/* The memory behind an argument. */
void view_argument(struct memory *m, int which, const struct kernel_arg *arg, enum element_type type);

/* Where elements [first, first + count) lie, or NULL and a mark. */
unsigned char *locate(struct memory *m, int which, int64_t first, int64_t count);
void load_row(struct memory *m, int which, int64_t first, int count, float *out);
void store(struct memory *m, int which, int64_t index, float value);
int32_t load_int(struct memory *m, int which, int64_t index);

#endif
