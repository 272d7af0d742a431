/* SPDX-License-Identifier: Apache-2.0
 * The arguments of attune_search_create. */
#include "search_api.h"

#include "desc.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define MAX_VALUES 65535
#define MAX_INITIAL 4096

static int compare_values(const void *a, const void *b)
{
    int32_t x = *(const int32_t *)a, y = *(const int32_t *)b;
    return (x > y) - (x < y);
}

static attune_status check_values(const attune_search_param *param, size_t i)
{
    if (!param->name || !param->values)
        return set_error(ATTUNE_ERROR_NULL_ARGUMENT, "params[%zu].%s is NULL", i, param->name ? "values" : "name");
    if (param->num_values < 1 || param->num_values > MAX_VALUES)
        return set_error(ATTUNE_ERROR_INVALID_SIZE, "params[%zu].num_values is %d; it must be 1 to %d", i,
                         (int)param->num_values, MAX_VALUES);
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

static bool has_value(const attune_search_param *param, int32_t value)
{
    for (int32_t v = 0; v < param->num_values; v++)
        if (param->values[v] == value)
            return true;
    return false;
}

/* Index of the first of params[count] with the name, -1 without one. */
static int32_t find_param(const attune_search_param *params, size_t count, const char *name)
{
    for (size_t i = 0; i < count; i++)
        if (strcmp(params[i].name, name) == 0)
            return (int32_t)i;
    return -1;
}

static attune_status check_params(const attune_search_param *params, size_t num_params, int32_t *parents)
{
    if (!params)
        return set_error(ATTUNE_ERROR_NULL_ARGUMENT, "params is NULL");
    if (num_params < 1 || num_params > SEARCH_MAX_PARAMS)
        return set_error(ATTUNE_ERROR_INVALID_SIZE, "num_params is %zu; it must be 1 to %d", num_params,
                         SEARCH_MAX_PARAMS);
    for (size_t i = 0; i < num_params; i++) {
        const attune_search_param *p = &params[i];
        attune_status status = check_values(p, i);
        if (status != ATTUNE_OK)
            return status;
        if (find_param(params, i, p->name) >= 0)
            return set_error(ATTUNE_ERROR_MISMATCH, "params[%zu].name is \"%s\", as params[%d].name is", i, p->name,
                             (int)find_param(params, i, p->name));
        parents[i] = p->parent ? find_param(params, i, p->parent) : -1;
        if (p->parent && parents[i] < 0)
            return set_error(ATTUNE_ERROR_MISMATCH, "params[%zu].parent is \"%s\", which no parameter before it is", i,
                             p->parent);
        if (p->parent && !has_value(&params[parents[i]], p->parent_value))
            return set_error(ATTUNE_ERROR_MISMATCH, "params[%zu].parent_value is %d, which is not a value of \"%s\"", i,
                             (int)p->parent_value, p->parent);
    }
    return ATTUNE_OK;
}

static const struct search_setting *find_setting(const char *strategy, const char *name)
{
    const struct search_setting *setting;
    for (int k = 0; (setting = search_strategy_setting(strategy, k)); k++)
        if (strcmp(setting->name, name) == 0)
            break;
    return setting;
}

static attune_status check_setting(const attune_search_options *options, size_t i)
{
    const attune_search_setting_value *given = &options->settings[i];
    if (!given->name)
        return set_error(ATTUNE_ERROR_NULL_ARGUMENT, "options.settings[%zu].name is NULL", i);
    const struct search_setting *setting = find_setting(options->strategy, given->name);
    if (!setting)
        return set_error(ATTUNE_ERROR_ENUM, "options.settings[%zu].name is \"%s\", which is no setting of \"%s\"", i,
                         given->name, options->strategy ? options->strategy : search_strategy_name(0));
    if (!search_setting_valid(setting, given->value))
        return set_error(ATTUNE_ERROR_INVALID_SIZE,
                         "options.settings[%zu].value is %g; \"%s\" must be %s number from %g to %g", i, given->value,
                         setting->name, setting->whole ? "a whole" : "a", setting->low, setting->high);
    for (size_t k = 0; k < i; k++)
        if (strcmp(options->settings[k].name, given->name) == 0)
            return set_error(ATTUNE_ERROR_MISMATCH, "options.settings has \"%s\" twice", given->name);
    return ATTUNE_OK;
}

static attune_status check_strategy(const attune_search_options *options)
{
    if (options->strategy && !search_strategy_find(options->strategy))
        return set_error(ATTUNE_ERROR_ENUM, "options.strategy is \"%s\"; attune_search_strategy lists the known ones",
                         options->strategy);
    if (options->num_settings && !options->settings)
        return set_error(ATTUNE_ERROR_NULL_ARGUMENT, "options.settings is NULL, options.num_settings is %zu",
                         options->num_settings);
    attune_status status = ATTUNE_OK;
    for (size_t i = 0; i < options->num_settings && status == ATTUNE_OK; i++)
        status = check_setting(options, i);
    return status;
}

static attune_status check_workloads(const attune_search_options *options)
{
    if (options->num_workloads < 1 || options->num_workloads > SEARCH_MAX_WORKLOADS)
        return set_error(ATTUNE_ERROR_INVALID_SIZE, "options.num_workloads is %d; it must be 1 to %d",
                         (int)options->num_workloads, SEARCH_MAX_WORKLOADS);
    if (options->num_features < 0 || options->num_features > SEARCH_MAX_FEATURES)
        return set_error(ATTUNE_ERROR_INVALID_SIZE, "options.num_features is %d; it must be 0 to %d",
                         (int)options->num_features, SEARCH_MAX_FEATURES);
    if (options->portfolio < 0 || options->portfolio > SEARCH_MAX_PORTFOLIO)
        return set_error(ATTUNE_ERROR_INVALID_SIZE, "options.portfolio is %d; it must be 0 to %d",
                         (int)options->portfolio, SEARCH_MAX_PORTFOLIO);
    if (options->num_features && !options->features)
        return set_error(ATTUNE_ERROR_NULL_ARGUMENT, "options.features is NULL, options.num_features is %d",
                         (int)options->num_features);
    for (int32_t i = 0; i < options->num_workloads * options->num_features; i++)
        if (!isfinite(options->features[i]))
            return set_error(ATTUNE_ERROR_INVALID_SIZE, "options.features[%d] is %g; it must be finite", (int)i,
                             options->features[i]);
    return ATTUNE_OK;
}

/* A parameter that means nothing may have any value. */
static attune_status check_initial(const attune_search_options *options, const attune_search_param *params,
                                   size_t num_params, const int32_t *parents)
{
    if (options->num_initial > MAX_INITIAL)
        return set_error(ATTUNE_ERROR_INVALID_SIZE, "options.num_initial is %zu; it must be 0 to %d",
                         options->num_initial, MAX_INITIAL);
    if (options->num_initial && !options->initial)
        return set_error(ATTUNE_ERROR_NULL_ARGUMENT, "options.initial is NULL, options.num_initial is %zu",
                         options->num_initial);
    for (size_t k = 0; k < options->num_initial; k++) {
        const int32_t *values = options->initial + k * num_params;
        bool active[SEARCH_MAX_PARAMS];
        for (size_t i = 0; i < num_params; i++) {
            int32_t parent = parents[i];
            active[i] = parent < 0 || (active[parent] && values[parent] == params[i].parent_value);
            if (active[i] && !has_value(&params[i], values[i]))
                return set_error(ATTUNE_ERROR_INVALID_SIZE,
                                 "options.initial[%zu] is %d, which is not a value of \"%s\"", k * num_params + i,
                                 (int)values[i], params[i].name);
        }
    }
    return ATTUNE_OK;
}

attune_status search_check_arguments(const attune_search_param *params, size_t num_params,
                                     const attune_search_options *options, int32_t *parents)
{
    attune_status status = struct_check(options, sizeof *options, "attune_search_options");
    if (status != ATTUNE_OK || (status = check_params(params, num_params, parents)) != ATTUNE_OK ||
        (status = check_strategy(options)) != ATTUNE_OK || (status = check_workloads(options)) != ATTUNE_OK)
        return status;
    if (options->budget_tests < 0)
        return set_error(ATTUNE_ERROR_INVALID_SIZE, "options.budget_tests is %d; it must be at least 0",
                         (int)options->budget_tests);
    return check_initial(options, params, num_params, parents);
}
