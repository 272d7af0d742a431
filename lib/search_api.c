/* SPDX-License-Identifier: Apache-2.0
 * attune_search_*: asking, telling, and what came of it. */
#include "search_api.h"

#include <limits.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

const char *attune_search_strategy(size_t i)
{
    return i < INT_MAX ? search_strategy_name((int)i) : NULL;
}

const char *attune_search_strategy_doc(size_t i)
{
    return i < INT_MAX ? search_strategy_doc((int)i) : NULL;
}

int32_t attune_search_strategy_setting(const char *strategy, size_t i, attune_search_setting *out)
{
    const struct search_setting *s = i < INT_MAX ? search_strategy_setting(strategy, (int)i) : NULL;
    if (!s || !out)
        return 0;
    *out = (attune_search_setting){s->name, s->doc, s->initial, s->low, s->high, s->whole};
    return 1;
}

static bool call_feasible(void *priv, int32_t workload, const int32_t *values)
{
    const struct attune_search *search = priv;
    return search->feasible(search->feasible_priv, workload, values) != 0;
}

static struct search *create_search(attune_search *handle, const attune_search_param *params, const int32_t *parents,
                                    const attune_search_options *options)
{
    struct search_param internal[SEARCH_MAX_PARAMS];
    for (int32_t i = 0; i < handle->num_params; i++)
        internal[i] = (struct search_param){params[i].name, params[i].values, params[i].num_values, parents[i],
                                            params[i].parent_value};
    struct search_setting_value *settings = malloc((options->num_settings + 1) * sizeof *settings);
    if (!settings)
        return NULL;
    for (size_t i = 0; i < options->num_settings; i++)
        settings[i] = (struct search_setting_value){options->settings[i].name, options->settings[i].value};
    struct search_space space = {handle->num_params, internal, options->feasible ? call_feasible : NULL, handle};
    struct search_options search_options = {
        .strategy = options->strategy,
        .num_settings = (int32_t)options->num_settings,
        .settings = settings,
        .budget_tests = options->budget_tests,
        .seed = options->seed,
        .num_workloads = options->num_workloads,
        .num_features = options->num_features,
        .features = options->features,
        .num_seeds = (int32_t)options->num_initial,
        .seeds = options->initial,
        .portfolio = options->portfolio,
    };
    struct search *search = search_create(&space, &search_options);
    free(settings);
    return search;
}

attune_status attune_search_create(attune_search **out, const attune_search_param *params, size_t num_params,
                                   const attune_search_options *options)
{
    if (!out)
        return set_error(ATTUNE_ERROR_NULL_ARGUMENT, "out is NULL");
    *out = NULL;
    int32_t parents[SEARCH_MAX_PARAMS];
    attune_status status = search_check_arguments(params, num_params, options, parents);
    if (status != ATTUNE_OK)
        return status;
    attune_search *handle = calloc(1, sizeof *handle);
    if (handle) {
        handle->num_params = (int32_t)num_params;
        handle->num_workloads = options->num_workloads;
        handle->feasible = options->feasible;
        handle->feasible_priv = options->feasible_priv;
        handle->arguments = search_describe_arguments(params, num_params, options);
        handle->search = create_search(handle, params, parents, options);
    }
    if (!handle || !handle->arguments || !handle->search) {
        attune_search_destroy(&handle);
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
    free((*search)->arguments);
    free(*search);
    *search = NULL;
}

attune_status attune_search_ask(attune_search *search, int32_t *workload, int32_t *values, int32_t *done)
{
    if (!search || !values || !done)
        return set_error(ATTUNE_ERROR_NULL_ARGUMENT, "%s is NULL", !search ? "search" : !values ? "values" : "done");
    if (!workload && search->num_workloads > 1)
        return set_error(ATTUNE_ERROR_NULL_ARGUMENT, "workload is NULL; the search has %d", (int)search->num_workloads);
    struct search_proposal proposal;
    search->asked = search_ask(search->search, &proposal);
    *done = !search->asked;
    if (!search->asked)
        return ATTUNE_OK;
    memcpy(values, proposal.values, (size_t)search->num_params * sizeof *values);
    if (workload)
        *workload = proposal.workload;
    return ATTUNE_OK;
}

attune_status attune_search_tell(attune_search *search, attune_outcome outcome, double time)
{
    if (!search)
        return set_error(ATTUNE_ERROR_NULL_ARGUMENT, "search is NULL");
    if (!search->asked)
        return set_error(ATTUNE_ERROR_MISMATCH, "no configuration was asked for since the last one was told");
    if ((int)outcome < ATTUNE_OUTCOME_OK || outcome > ATTUNE_OUTCOME_ENVIRONMENT)
        return set_error(ATTUNE_ERROR_ENUM, "outcome is %d, not a known outcome", (int)outcome);
    if (outcome == ATTUNE_OUTCOME_OK && !(time > 0 && isfinite(time)))
        return set_error(ATTUNE_ERROR_INVALID_SIZE, "time is %g; it must be positive and finite", time);
    search->asked = false;
    search_tell(search->search, outcome == ATTUNE_OUTCOME_OK ? SEARCH_OK : SEARCH_FAILED, time);
    return ATTUNE_OK;
}

attune_status attune_search_why(const attune_search *search, attune_search_reason *out, int32_t *neighbour)
{
    if (!search || !out)
        return set_error(ATTUNE_ERROR_NULL_ARGUMENT, "%s is NULL", !search ? "search" : "out");
    struct search_explanation why;
    if (!search->asked || !search_explain(search->search, &why))
        return set_error(ATTUNE_ERROR_MISMATCH, "no proposal is pending: ask first");
    *out = (attune_search_reason){why.strategy,       why.proposal.why,       why.proposal.predicted, why.factor,
                                  why.changed_params, why.neighbour.time > 0, why.neighbour.time};
    if (neighbour && why.changed_params >= 0)
        memcpy(neighbour, why.neighbour.values, (size_t)search->num_params * sizeof *neighbour);
    return ATTUNE_OK;
}

attune_status attune_search_best(const attune_search *search, int32_t workload, int32_t k, int32_t *values,
                                 double *time)
{
    if (!search || !values || !time)
        return set_error(ATTUNE_ERROR_NULL_ARGUMENT, "%s is NULL", !search ? "search" : !values ? "values" : "time");
    if (workload < 0 || workload >= search->num_workloads)
        return set_error(ATTUNE_ERROR_INVALID_SIZE, "workload is %d; it must be 0 to %d", (int)workload,
                         (int)search->num_workloads - 1);
    if (!search_best(search->search, workload, k, values, time))
        return set_error(ATTUNE_ERROR_NOT_TUNED, "no more than %d configurations of workload %d have an OK time yet",
                         (int)k, (int)workload);
    return ATTUNE_OK;
}

attune_status attune_search_portfolio(const attune_search *search, int32_t max_configs, int32_t *values,
                                      int32_t *num_configs, int32_t *assigned, double *regret)
{
    if (!search || !values || !num_configs || !assigned || !regret)
        return set_error(ATTUNE_ERROR_NULL_ARGUMENT, "%s is NULL",
                         !search        ? "search"
                         : !values      ? "values"
                         : !num_configs ? "num_configs"
                         : !assigned    ? "assigned"
                                        : "regret");
    if (max_configs < 1 || max_configs > SEARCH_MAX_PORTFOLIO)
        return set_error(ATTUNE_ERROR_INVALID_SIZE, "max_configs is %d; it must be 1 to %d", (int)max_configs,
                         SEARCH_MAX_PORTFOLIO);
    int32_t count = search_portfolio(search->search, max_configs, values, assigned, regret);
    if (count < 0)
        return set_error(ATTUNE_ERROR_OUT_OF_MEMORY, "out of memory for a portfolio");
    if (count == 0)
        return set_error(ATTUNE_ERROR_NOT_TUNED, "no configuration has an OK time yet");
    *num_configs = count;
    return ATTUNE_OK;
}
