/* SPDX-License-Identifier: Apache-2.0
 *
 * What the supervisor knows of a problem and a worker must not: the fp64 oracle's output and the plain implementations'
 * errors, for the workload itself and for a small one of the same descriptor with lengths and values that bite.
 */
#ifndef ATTUNE_TUNER_REFERENCE_H
#define ATTUNE_TUNER_REFERENCE_H

#include "edges.h"
#include "session.h"

/* One set of input values with its reference. */
struct input_set {
    int id;           /* the worker's number for it */
    const char *what; /* "workload", .. */
    const attune_problem *problem;
    struct workload_options options;
    struct workload_tensor geometry; /* of O: no data */
    int32_t heads, dim;
    int64_t lse_stride_token;
    size_t num_values, num_rows; /* of O, of LSE */
    struct oracle_reference reference; /* empty until computed */
    uint32_t generation;        /* worker that has it loaded */
    char digest[HASH_HEX_SIZE]; /* of the inputs as loaded */
    uint64_t poison_seed;       /* what its outputs were last filled with */
};

#define NUM_INPUT_SETS (2 + NUM_EDGE_SETS)

struct reference {
    const attune_problem *problem; /* the caller's */
    attune_problem *edge_problem;  /* short ragged lengths */
    attune_problem *far_problem;   /* the end of the class of lengths */
    struct input_set real, edges[NUM_EDGE_SETS], far;
};

/* Prepares; computes nothing yet. number tells the problems of one session apart. */
attune_status reference_create(const attune_problem *problem, int number, uint64_t seed, struct reference *out);
void reference_destroy(struct reference *reference);
/* All sets, 0 to NUM_INPUT_SETS - 1. */
struct input_set *reference_set(struct reference *reference, int i);

/* Computes a set's oracle and plain error, unless it has them. */
attune_status input_set_compute(struct input_set *set);

/* Gives to what was computed for from: for the same workload on another layout of the KV cache, which moves keys about and changes
 * no value. Both were created with seeds that make their values equal. Errors: OUT_OF_MEMORY. */
attune_status reference_share(struct reference *from, struct reference *to);

/* Hash of a set's inputs in the worker now. */
attune_outcome input_set_digest(struct session *session, const struct input_set *set, char digest[HASH_HEX_SIZE]);

/* Loads a set into the session's worker, unless it is there. */
attune_outcome input_set_load(struct session *session, struct input_set *set);

#endif
