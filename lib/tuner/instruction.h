/* SPDX-License-Identifier: Apache-2.0
 *
 * Optional instructions that a probe tries: what goes in, and whether what came out is right. The worker draws the
 * inputs and runs kernels/probe_instruction.cl; the supervisor draws the same inputs and judges. */
#ifndef ATTUNE_TUNER_INSTRUCTION_H
#define ATTUNE_TUNER_INSTRUCTION_H

#include "base/base.h"
#include "family/family.h"

struct instruction {
    const char *name;             /* of its reading, too */
    int number;                   /* INSTRUCTION of the kernel */
    uint32_t feature;             /* that it shows; 0 = none */
    int32_t half_load;            /* that it shows; -1 = none */
    size_t items;                 /* work-items of the check: a multiple of 64 */
    size_t in_words, out_words;   /* uint32 a work-item */
    double group_work, item_work; /* operations of the timed kernel, an iteration: per work-group and per work-item */
    void (*draw)(const struct instruction *instruction, uint32_t *in);
    /* Index of the first of the results in out that is wrong, or -1. */
    int64_t (*wrong)(const struct instruction *instruction, const uint32_t *in, const uint32_t *out);
};

/* NULL past the end. */
const struct instruction *instruction_at(size_t index);
/* NULL if there is none of that name. */
const struct instruction *instruction_find(const char *name);

/* Bytes of the check's input and output. */
size_t instruction_in_bytes(const struct instruction *instruction);
size_t instruction_out_bytes(const struct instruction *instruction);

/* The check's results for the input words: NULL where they are right, else text[size] with the first that is not. */
const char *instruction_judge(const struct instruction *instruction, const uint32_t *out, char *text, size_t size);

#endif
