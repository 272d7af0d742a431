/* SPDX-License-Identifier: Apache-2.0
 *
 * What a strategy sees of a search, and what it provides. A new strategy is a file that defines one struct strategy,
 * its declaration here, and its line in the table of search.c. Seeds, duplicates and exhaustion are the engine's
 * business. */
#ifndef ATTUNE_SEARCH_STRATEGY_H
#define ATTUNE_SEARCH_STRATEGY_H

#include "pool.h"
#include "search.h"

/* log2 of times as integers: 16 bits after the point. */
#define LOG_ONE 65536
#define MAX_DEVIATION 1024 /* log2 of the largest factor between two times */

/* Most settings of one strategy. */
#define STRATEGY_MAX_SETTINGS 16

struct sample {
    int32_t config, workload;
    bool failed;
    double time;      /* 0 where failed */
    int32_t log_time; /* fixed point */
};

struct pick {
    int32_t config, workload;
    const char *why;
    double predicted; /* time; 0 = none */
    double deviation; /* of the prediction: log2 units, one standard deviation; 0 = none */
};

struct search {
    struct pool pool;
    struct rng rng;
    int32_t budget, num_workloads, num_features; /* the budget is the strategy's: without num_cross */
    int32_t portfolio, num_cross;                /* configurations wanted, and tests for their sake after the budget */
    uint16_t features[SEARCH_MAX_WORKLOADS][SEARCH_MAX_FEATURES]; /* ranks among the workloads */

    int32_t *seeds; /* configurations */
    int32_t num_seeds;
    int64_t next_seed; /* seed next_seed / num_workloads of workload next_seed % num_workloads */

    struct sample *samples; /* in the order told */
    int32_t num_samples, capacity;
    int32_t num_tests[SEARCH_MAX_WORKLOADS];
    int32_t num_seed_tests[SEARCH_MAX_WORKLOADS];
    int32_t best[SEARCH_MAX_WORKLOADS]; /* sample; -1 = none */

    bool skipped[SEARCH_MAX_WORKLOADS]; /* a pair of it was set aside */

    bool pending;
    struct pick pick;
    int32_t num_refused; /* picks of pairs that were not open: an error of the strategy */

    const struct strategy *strategy;
    double settings[STRATEGY_MAX_SETTINGS]; /* of strategy->settings */
    void *state;
};

struct strategy {
    const char *name;
    const char *doc; /* one line: what it does and after whom */
    /* What a caller may set, each with its default and bounds. */
    const struct search_setting *settings;
    int32_t num_settings;
    /* State of its own for a new search; NULL = out of memory. Both functions are NULL for a strategy without state. */
    void *(*create)(const struct search *search);
    void (*destroy)(void *state);
    /* Picks an open pair; there is one. It may draw from search->rng and let the pool grow. */
    void (*propose)(struct search *search, struct pick *pick);
    /* Called after each outcome was recorded as the last of search->samples; may be NULL. */
    void (*told)(struct search *search);
};

extern const struct strategy strategy_default, strategy_exhaustive, strategy_random, strategy_genetic,
    strategy_annealing, strategy_local_search, strategy_forest, strategy_neighbourhood;

/* A random open pair, of one workload or (-1) of any. There must be one. */
void propose_random(struct search *search, int32_t workload, struct pick *pick);

/* Sample of the k-th best configuration of workload; -1 if there are fewer. */
int32_t ranked_sample(const struct search *search, int32_t workload, int32_t k);

/* Failed ones are slower than all that succeeded, and alike. */
bool is_faster_sample(const struct sample *a, const struct sample *b);

/* The pair that may improve a portfolio most; false where there is none. */
bool propose_cross(const struct search *search, struct pick *pick);

/* The pending pick as a proposal. */
void fill_proposal(const struct search *search, struct search_proposal *out);

/* Fixed-point logarithm of a positive finite number, and about its inverse, without libm. */
int32_t log2_fixed(double x);
double exp2_fixed(int32_t y);

/* What is left of a positive integer without its factors 2. */
int32_t odd_part(int32_t value);

void sort_ints(int32_t *x, int32_t count);

#endif
