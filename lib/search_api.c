/* SPDX-License-Identifier: Apache-2.0
 * attune_search_*: the search engine with one workload, behind checks. */
#include <attune/tune.h>

#include "base/base.h"
#include "desc.h"
#include "search/search.h"

#include <limits.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define MAX_VALUES 65535

struct attune_search {
    struct search *search;
    int32_t num_params;
    bool asked; /* a proposal is out that was not told */
    int (*feasible)(void *priv, const int32_t *values);
    void *feasible_priv;
};

const char *attune_search_strategy(size_t i)
{
    return i < INT_MAX ? search_strategy_name((int)i) : NULL;
}

static bool call_feasible(void *priv, int32_t workload, const int32_t *values)
{
    const struct attune_search *search = priv;
    (void)workload;
    return search->feasible(search->feasible_priv, values) != 0;
}

static int compare_values(const void *a, const void *b)
{
    int32_t x = *(const int32_t *)a, y = *(const int32_t *)b;
    return (x > y) - (x < y);
}

static attune_status check_values(const attune_search_param *param, size_t i)
{
    size_t n = (size_t)param->num_values;
    int32_t *sorted = malloc(n * sizeof *sorted);
    if (!sorted)
        return set_error(ATTUNE_ERROR_OUT_OF_MEMORY, "out of memory for a search");
    memcpy(sorted, param->values, n * sizeof *sorted);
    qsort(sorted, n, sizeof *sorted, compare_values);
    attune_status status = ATTUNE_OK;
    for (size_t v = 1; v < n && status == ATTUNE_OK; v++)
        if (sorted[v] == sorted[v - 1])
            status = set_error(ATTUNE_ERROR_INVALID_SIZE, "params[%zu].values has %d twice", i, (int)sorted[v]);
    free(sorted);
    return status;
}

static attune_status check_params(const attune_search_param *params, size_t num_params)
{
    if (!params)
        return set_error(ATTUNE_ERROR_NULL_ARGUMENT, "params is NULL");
    if (num_params < 1 || num_params > SEARCH_MAX_PARAMS)
        return set_error(ATTUNE_ERROR_INVALID_SIZE, "num_params is %zu; it must be 1 to %d", num_params,
                         SEARCH_MAX_PARAMS);
    for (size_t i = 0; i < num_params; i++) {
        if (!params[i].name || !params[i].values)
            return set_error(ATTUNE_ERROR_NULL_ARGUMENT, "params[%zu].%s is NULL", i,
                             params[i].name ? "values" : "name");
        if (params[i].num_values < 1 || params[i].num_values > MAX_VALUES)
            return set_error(ATTUNE_ERROR_INVALID_SIZE, "params[%zu].num_values is %d; it must be 1 to %d", i,
                             (int)params[i].num_values, MAX_VALUES);
        attune_status status = check_values(&params[i], i);
        if (status != ATTUNE_OK)
            return status;
    }
    return ATTUNE_OK;
}

static attune_status check_options(const attune_search_options *options, const attune_search_param *params,
                                   size_t num_params)
{
    if (options->strategy && !search_strategy_find(options->strategy))
        return set_error(ATTUNE_ERROR_ENUM, "options.strategy is \"%s\"; attune_search_strategy lists the known ones",
                         options->strategy);
    if (options->budget_tests < 0)
        return set_error(ATTUNE_ERROR_INVALID_SIZE, "options.budget_tests is %d; it must be at least 0",
                         (int)options->budget_tests);
    for (size_t i = 0; options->initial && i < num_params; i++) {
        int32_t v = 0;
        while (v < params[i].num_values && params[i].values[v] != options->initial[i])
            v++;
        if (v == params[i].num_values)
            return set_error(ATTUNE_ERROR_INVALID_SIZE, "options.initial[%zu] is %d, which is not a value of \"%s\"", i,
                             (int)options->initial[i], params[i].name);
    }
    return ATTUNE_OK;
}

static struct search *create_search(attune_search *handle, const attune_search_param *params,
                                    const attune_search_options *options)
{
    struct search_param internal[SEARCH_MAX_PARAMS];
    for (int32_t i = 0; i < handle->num_params; i++)
        internal[i] = (struct search_param){params[i].name, params[i].values, params[i].num_values, -1, 0};
    struct search_space space = {handle->num_params, internal, options->feasible ? call_feasible : NULL, handle};
    struct search_options search_options = {
        .strategy = options->strategy,
        .budget_tests = options->budget_tests,
        .seed = options->seed,
        .num_workloads = 1,
        .num_seeds = options->initial ? 1 : 0,
        .seeds = options->initial,
    };
    return search_create(&space, &search_options);
}

attune_status attune_search_create(attune_search **out, const attune_search_param *params, size_t num_params,
                                   const attune_search_options *options)
{
    if (!out)
        return set_error(ATTUNE_ERROR_NULL_ARGUMENT, "out is NULL");
    *out = NULL;
    attune_status status = struct_check(options, sizeof *options, "attune_search_options");
    if (status != ATTUNE_OK || (status = check_params(params, num_params)) != ATTUNE_OK ||
        (status = check_options(options, params, num_params)) != ATTUNE_OK)
        return status;
    attune_search *handle = calloc(1, sizeof *handle);
    if (handle) {
        handle->num_params = (int32_t)num_params;
        handle->feasible = options->feasible;
        handle->feasible_priv = options->feasible_priv;
        handle->search = create_search(handle, params, options);
    }
    if (!handle || !handle->search) {
        free(handle);
        return set_error(ATTUNE_ERROR_OUT_OF_MEMORY, "out of memory for a search");
    }
    *out = handle;
    return ATTUNE_OK;
}

void attune_search_destroy(attune_search **search)
{
    if (!search || !*search)
        return;
    search_destroy((*search)->search);
    free(*search);
    *search = NULL;
}

attune_status attune_search_ask(attune_search *search, int32_t *values, int32_t *done)
{
    if (!search || !values || !done)
        return set_error(ATTUNE_ERROR_NULL_ARGUMENT, "%s is NULL", !search ? "search" : !values ? "values" : "done");
    struct search_proposal proposal;
    search->asked = search_ask(search->search, &proposal);
    *done = !search->asked;
    if (search->asked)
        memcpy(values, proposal.values, (size_t)search->num_params * sizeof *values);
    return ATTUNE_OK;
}

attune_status attune_search_tell(attune_search *search, attune_outcome outcome, double time)
{
    if (!search)
        return set_error(ATTUNE_ERROR_NULL_ARGUMENT, "search is NULL");
    if (!search->asked)
        return set_error(ATTUNE_ERROR_MISMATCH, "no configuration was asked for since the last one was told");
    if ((int)outcome < ATTUNE_OUTCOME_OK || outcome > ATTUNE_OUTCOME_SLOW)
        return set_error(ATTUNE_ERROR_ENUM, "outcome is %d, not a known outcome", (int)outcome);
    if (outcome == ATTUNE_OUTCOME_OK && !(time > 0 && isfinite(time)))
        return set_error(ATTUNE_ERROR_INVALID_SIZE, "time is %g; it must be positive and finite", time);
    search->asked = false;
    search_tell(search->search, outcome == ATTUNE_OUTCOME_OK ? SEARCH_OK : SEARCH_FAILED, time);
    return ATTUNE_OK;
}

attune_status attune_search_best(const attune_search *search, int32_t *values, double *time)
{
    if (!search || !values || !time)
        return set_error(ATTUNE_ERROR_NULL_ARGUMENT, "%s is NULL", !search ? "search" : !values ? "values" : "time");
    if (!search_best(search->search, 0, 0, values, time))
        return set_error(ATTUNE_ERROR_NOT_TUNED, "no configuration has an OK time yet");
    return ATTUNE_OK;
}
