/* SPDX-License-Identifier: Apache-2.0
 *
 * The configurations of a space that are feasible for at least one workload, each once, as rows of value indices in
 * canonical form (inactive parameters at index 0). Spaces of up to POOL_ENUMERATE_MAX combinations are listed whole if
 * they fit POOL_MAX_BYTES; of larger ones the pool holds a random sample, and grows as neighbours are looked at (until
 * it has that size) or the sample is used up. */
#ifndef ATTUNE_SEARCH_POOL_H
#define ATTUNE_SEARCH_POOL_H

#include <stddef.h>

#include "base/rng.h"
#include "space.h"

#define POOL_ENUMERATE_MAX (1 << 20)
#define POOL_SAMPLE 16384
#define POOL_MAX_BYTES (44 << 20)
#define POOL_BLOCK 1024 /* configurations whose open pairs are counted together */

struct pool {
    int32_t num_params, num_workloads;
    struct search_param *params; /* own copies; names are not kept */
    int32_t *values;
    double *combinations; /* canonical combinations of a parameter and all below it, while it is active; saturates */
    bool *has_children;
    search_feasible feasible_fn;
    void *priv;

    int32_t count, capacity, limit; /* capacity and limit are multiples of POOL_BLOCK */
    uint16_t *rows;        /* [count][num_params] */
    uint64_t *feasible;    /* [count] a bit per workload */
    uint64_t *told;        /* [count] a bit per workload */
    uint16_t *open_in_block; /* [capacity / POOL_BLOCK][num_workloads]: feasible and not told */
    int64_t remaining[64];   /* per workload: feasible and not told */

    int32_t *table; /* open addressing: row's number + 1, 0 = free */
    size_t table_size;

    bool complete;                      /* every feasible configuration is in */
    uint16_t cursor[SEARCH_MAX_PARAMS]; /* next combination of the systematic pass over a large space */
};

/* False when out of memory; pool_destroy is due in any case. */
bool pool_create(struct pool *pool, const struct search_space *space, int32_t num_workloads, struct rng *rng);
void pool_destroy(struct pool *pool);

const uint16_t *pool_row(const struct pool *pool, int32_t config);
/* Whether params[param] means something in the row. */
bool pool_active(const struct pool *pool, const uint16_t *row, int32_t param);
void pool_values(const struct pool *pool, int32_t config, int32_t *values);

/* Number of the configuration with these values, brought into canonical form and added if need be; -1 when it is not
 * feasible for any workload, has a value that the space lacks, or memory ran out. */
int32_t pool_find_values(struct pool *pool, const int32_t *values);
/* The same for a canonical row. */
int32_t pool_find(struct pool *pool, const uint16_t *row);

/* Parameters in which two configurations differ. */
int32_t pool_differing(const struct pool *pool, int32_t a, int32_t b);

/* Whether the pair is feasible and not told. */
bool pool_open(const struct pool *pool, int32_t config, int32_t workload);
void pool_mark_told(struct pool *pool, int32_t config, int32_t workload);
/* The pair is taken for infeasible from now on. */
void pool_set_aside(struct pool *pool, int32_t config, int32_t workload);
/* Adds configurations to a pool of which nothing remains. False when there are no more (or no memory). */
bool pool_extend(struct pool *pool, struct rng *rng);

/* Open pairs of workload that differ from config in one active parameter (by at most POOL_NEIGHBOUR_STEPS values): up
 * to max of their numbers, in a fixed order. */
#define POOL_NEIGHBOUR_STEPS 16
int32_t pool_neighbours(struct pool *pool, int32_t config, int32_t workload, int32_t *out, int32_t max);

/* Brings the row into canonical form; the number of its configuration, as pool_find. */
int32_t pool_find_row(struct pool *pool, uint16_t *row);

/* The k-th open configuration of workload, k < remaining[workload]. */
int32_t pool_nth_open(const struct pool *pool, int32_t workload, int64_t k);

#endif
