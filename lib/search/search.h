/* SPDX-License-Identifier: Apache-2.0
 *
 * The search engine: ask for a (configuration, workload) pair, measure it, tell the outcome. One search covers several
 * workloads jointly; features of a workload (log lengths, heads, ...) are inputs of the model beside the parameters.
 * Decisions depend on the space, the options and the samples told, and on nothing else: equal inputs give equal decisions
 * with any compiler (built with -ffp-contract=off, no libm transcendental in a decision).
 */
#ifndef ATTUNE_SEARCH_SEARCH_H
#define ATTUNE_SEARCH_SEARCH_H

#include "space.h"

#define SEARCH_MAX_WORKLOADS 64
#define SEARCH_MAX_FEATURES 16
#define SEARCH_MAX_PORTFOLIO 16

enum search_outcome {
    SEARCH_OK,
    SEARCH_FAILED /* did not build, was wrong, crashed, ...: not feasible for this workload */
};

/* A number that a strategy lets its caller choose. */
struct search_setting {
    const char *name, *doc;
    double initial, low, high; /* default and bounds, inclusive */
    bool whole;                /* takes whole numbers only */
};

struct search_setting_value {
    const char *name;
    double value;
};

struct search_options {
    const char *strategy;  /* NULL = "default" */
    int32_t num_settings;  /* of the strategy that are not at their default; each must pass search_setting_valid */
    const struct search_setting_value *settings;
    int32_t budget_tests;  /* what the strategy plans for, over all workloads */
    uint64_t seed;
    int32_t num_workloads; /* at least 1 */
    int32_t num_features;
    const double *features; /* [num_workloads][num_features], finite; may be NULL where num_features is 0 */
    /* Tried first, in this order, for each workload: the library's default, incumbents, seeds. values[num_seeds][num_params].
     * Duplicates and infeasible ones are skipped. */
    int32_t num_seeds;
    const int32_t *seeds;
    /* 0, or 1 to SEARCH_MAX_PORTFOLIO: so many configurations are to serve all workloads. The last tests of the budget, a
     * quarter or num_workloads * (num_workloads - 1), try the best of a workload on others. */
    int32_t portfolio;
};

struct search_proposal {
    int32_t workload;
    int32_t values[SEARCH_MAX_PARAMS]; /* values, not indices; inactive parameters have their first value */
    const char *why;      /* "seed", "space-filling", "model", "random", "neighbour", "cross", ...; static */
    double predicted;     /* time the strategy expects; 0 = none */
    double deviation;     /* of log2 of the predicted time, one standard deviation; 0 = none */
};

struct search;

/* Copies what it needs of the options and of the space's arrays; space->feasible and priv must stay callable.
 * NULL when out of memory, or when the strategy or a setting is not known or not valid. */
struct search *search_create(const struct search_space *space, const struct search_options *options);
void search_destroy(struct search *search);

/* Next pair to measure; false when every feasible pair was told. Asking again without telling gives the same answer. No pair
 * is proposed twice. */
bool search_ask(struct search *search, struct search_proposal *out);
/* Outcome of the last proposal; time is read for SEARCH_OK and must be positive and finite. */
void search_tell(struct search *search, enum search_outcome outcome, double time);

/* The last proposal cannot be measured here, for no fault of its own: it is set aside, and counts neither as a sample
 * nor as a failure. */
void search_skip(struct search *search);

/* True when no pair of the workload is left to propose, and none was skipped: all were told. */
bool search_exhausted(const struct search *search, int32_t workload);

/* The k-th best configuration told for a workload (k = 0: the best), with its time; false if there are fewer. */
bool search_best(const struct search *search, int32_t workload, int32_t k, int32_t *values, double *time);

/* A pair that was told. */
struct search_test {
    int32_t workload;
    int32_t values[SEARCH_MAX_PARAMS];
    double time; /* 0 = failed */
};

/* Test i = 0, 1, ... in the order told; false past the end. */
bool search_told(const struct search *search, int32_t i, struct search_test *out);

/* Why the pending proposal was made. */
struct search_explanation {
    const char *strategy;
    struct search_proposal proposal;
    double factor;               /* 2^deviation; 0 = none */
    int32_t changed_params;      /* between the proposal and its neighbour; -1 = no neighbour */
    struct search_test neighbour; /* the nearest configuration told for the workload: fewest changed, then fastest */
};

/* False when no proposal is pending. */
bool search_explain(const struct search *search, struct search_explanation *out);

/* At most max_configs (1 to SEARCH_MAX_PORTFOLIO) of the configurations told that serve most workloads, with the smallest
 * largest regret (time / best time - 1), then the smallest sum. A pair that was not told OK serves nobody.
 * values[max_configs][num_params]; assigned[num_workloads], a number of a configuration, and regret[num_workloads]: -1 where
 * none serves. Returns how many were chosen; 0 when nothing was OK, -1 when out of memory. */
int32_t search_portfolio(const struct search *search, int32_t max_configs, int32_t *values, int32_t *assigned,
                         double *regret);

/* Names of strategies, i = 0, 1, ...; NULL past the end. "default" is first. */
const char *search_strategy_name(int i);
/* What strategy i is; NULL past the end. */
const char *search_strategy_doc(int i);
/* Settings of a strategy (NULL = "default"), k = 0, 1, ...; NULL past the end and for an unknown strategy. */
const struct search_setting *search_strategy_setting(const char *strategy, int k);
/* True where the setting takes the value. */
bool search_setting_valid(const struct search_setting *setting, double value);
/* True if name is a strategy. */
bool search_strategy_find(const char *name);

#endif
