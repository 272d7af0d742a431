/* SPDX-License-Identifier: Apache-2.0
 *
 * A constrained, discrete search space: named integer parameters with value lists, conditional parameters, and a
 * feasibility test. Pure: no OpenCL, no I/O, no clock.
 */
#ifndef ATTUNE_SEARCH_SPACE_H
#define ATTUNE_SEARCH_SPACE_H

#include <stdbool.h>
#include <stdint.h>

#define SEARCH_MAX_PARAMS 128

struct search_param {
    const char *name;
    const int32_t *values;
    int32_t num_values;
    /* The parameter only means something while params[parent] has the value parent_value; otherwise it stays at index 0 and
     * is not varied. -1 = always. The parent stands before it. */
    int32_t parent;
    int32_t parent_value;
};

/* values[num_params]; workload is an index, see search.h. Must be deterministic. */
typedef bool (*search_feasible)(void *priv, int32_t workload, const int32_t *values);

struct search_space {
    int32_t num_params;
    const struct search_param *params;
    search_feasible feasible; /* NULL: everything is */
    void *priv;
};

#endif
