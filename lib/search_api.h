/* SPDX-License-Identifier: Apache-2.0
 * attune_search: the search engine behind checks. */
#ifndef ATTUNE_SEARCH_API_H
#define ATTUNE_SEARCH_API_H

#include <attune/tune.h>

#include "base/base.h"
#include "search/search.h"

struct attune_search {
    struct search *search;
    int32_t num_params, num_workloads;
    bool asked; /* a proposal is out that was not told */
    int (*feasible)(void *priv, int32_t workload, const int32_t *values);
    void *feasible_priv;
    char *arguments; /* what a saved state says of the arguments of create: some lines */
};

/* Everything that may be wrong with the arguments of create. parents[num_params], of at least SEARCH_MAX_PARAMS: set to
 * the indices of the parameters' parents, -1 = none. */
attune_status search_check_arguments(const attune_search_param *params, size_t num_params,
                                     const attune_search_options *options, int32_t *parents);

/* The lines for attune_search.arguments; NULL when out of memory. The arguments are valid. */
char *search_describe_arguments(const attune_search_param *params, size_t num_params,
                                const attune_search_options *options);

#endif
