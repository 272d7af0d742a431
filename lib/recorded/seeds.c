/* SPDX-License-Identifier: Apache-2.0
 * attune_space_seeds: other devices' records in the terms of one space. */
#include "recorded.h"

#include <stdlib.h>
#include <string.h>

#include "search/portable.h"
#include "search/strategy.h"

#define MAX_SOURCES 64
#define MAX_SEEDS 4096

/* One source's parameters and values by the space's. */
struct translation {
    const attune_space *source;
    int32_t param[RECORDED_MAX_PARAMS];   /* [space's parameter] */
    int32_t *values[RECORDED_MAX_PARAMS]; /* [space's parameter][number of its value]: source's value */
    bool *known[RECORDED_MAX_PARAMS];     /* the source has it */
};

static attune_status out_of_memory(void)
{
    return set_error(ATTUNE_ERROR_OUT_OF_MEMORY, "out of memory for seeds");
}

static void translation_free(struct translation *t)
{
    for (int32_t p = 0; p < RECORDED_MAX_PARAMS; p++) {
        free(t->values[p]);
        free(t->known[p]);
    }
}

static attune_status translate_param(struct translation *t, const struct recorded_param *param, int32_t p)
{
    const attune_space *source = t->source;
    int32_t q = 0;
    while (q < source->num_params && strcmp(source->params[q].name, param->name) != 0)
        q++;
    if (q == source->num_params)
        return set_error(ATTUNE_ERROR_MISMATCH, "%s has no parameter \"%s\"", source->path, param->name);
    t->param[p] = q;
    t->values[p] = calloc((size_t)param->num_values, sizeof *t->values[p]);
    t->known[p] = calloc((size_t)param->num_values, sizeof *t->known[p]);
    if (!t->values[p] || !t->known[p])
        return out_of_memory();
    for (int32_t v = 0; v < param->num_values; v++) {
        int32_t w = recorded_param_find(&source->params[q], json_array_get(param->values, (size_t)v));
        t->known[p][v] = w >= 0;
        t->values[p][v] = w >= 0 ? source->params[q].ints[w] : 0;
    }
    return ATTUNE_OK;
}

static attune_status check_source(const attune_space *space, const attune_space *source)
{
    if (strcmp(space->kernel, source->kernel) != 0)
        return set_error(ATTUNE_ERROR_MISMATCH, "%s is of kernel \"%s\"; %s is of \"%s\"", source->path, source->kernel,
                         space->path, space->kernel);
    if (!strcmp(space->device, source->device))
        return set_error(ATTUNE_ERROR_MISMATCH,
                         "%s is of the same kernel and device (\"%s\") as %s: seeds come from other devices",
                         source->path, source->device, space->path);
    if (space->simulated || source->simulated)
        return set_error(ATTUNE_ERROR_MISMATCH,
                         "%s was measured on a simulated device: it may be the other file's device by another name",
                         space->simulated ? space->path : source->path);
    if (source->num_params != space->num_params)
        return set_error(ATTUNE_ERROR_MISMATCH, "%s has %d parameters; %s has %d", source->path,
                         (int)source->num_params, space->path, (int)space->num_params);
    if (source->num_failed == source->count)
        return set_error(ATTUNE_ERROR_MISMATCH, "%s: every configuration failed", source->path);
    return ATTUNE_OK;
}

/* Numbers of the values of a configuration. */
static void number_values(const attune_space *space, int32_t config, uint16_t *row)
{
    const int32_t *values = space->values + (size_t)config * (size_t)space->num_params;
    for (int32_t p = 0; p < space->num_params; p++)
        row[p] = (uint16_t)recorded_param_find_int(&space->params[p], values[p]);
}

/* What failed or is missing there counts as the slowest that did not. */
static int32_t cost_of(const struct translation *t, const uint16_t *row, bool *measured)
{
    int32_t values[RECORDED_MAX_PARAMS];
    const attune_space *source = t->source;
    bool known = true;
    for (int32_t p = 0; p < source->num_params; p++) {
        known = known && t->known[p][row[p]];
        values[t->param[p]] = t->values[p][row[p]];
    }
    int32_t config = known ? recorded_find(source, values) : -1;
    bool valid = config >= 0 && source->outcome[config] == ATTUNE_OUTCOME_OK;
    *measured = *measured || valid;
    return log2_fixed(valid ? source->time_ms[config] : source->slowest_ms) - log2_fixed(source->optimum_ms);
}

struct candidates {
    int32_t count;
    int32_t *configs; /* [space->count] */
    uint16_t *rows;   /* [space->count][num_params] */
    int32_t *cost;    /* [num_sources][count] after the last */
};

/* Those that did not fail on every source. */
static void find_candidates(const attune_space *space, const struct translation *sources, size_t num_sources,
                            struct candidates *out)
{
    size_t n = (size_t)space->count;
    for (int32_t i = 0; i < space->count; i++) {
        uint16_t *row = out->rows + (size_t)out->count * (size_t)space->num_params;
        bool measured = false;
        number_values(space, i, row);
        for (size_t s = 0; s < num_sources; s++)
            out->cost[s * n + (size_t)out->count] = cost_of(&sources[s], row, &measured);
        if (measured)
            out->configs[out->count++] = i;
    }
    for (size_t s = 1; s < num_sources; s++)
        memmove(out->cost + s * (size_t)out->count, out->cost + s * n, (size_t)out->count * sizeof *out->cost);
}

static attune_status choose(const attune_space *space, const struct translation *sources, size_t num_sources,
                            size_t max_seeds, int32_t *values, size_t *num_seeds)
{
    size_t n = (size_t)space->count, num_params = (size_t)space->num_params;
    struct candidates candidates = {.configs = malloc(n * sizeof *candidates.configs),
                                    .rows = malloc(n * num_params * sizeof *candidates.rows),
                                    .cost = malloc(num_sources * n * sizeof *candidates.cost)};
    int32_t chosen[MAX_SEEDS];
    bool enough = candidates.configs && candidates.rows && candidates.cost;
    if (enough) {
        find_candidates(space, sources, num_sources, &candidates);
        *num_seeds = (size_t)portable_choose(candidates.cost, (int32_t)num_sources, candidates.count, candidates.rows,
                                             space->num_params, (int32_t)max_seeds, chosen);
        for (size_t i = 0; i < *num_seeds; i++)
            memcpy(values + i * num_params, space->values + (size_t)candidates.configs[chosen[i]] * num_params,
                   num_params * sizeof *values);
    }
    free(candidates.configs);
    free(candidates.rows);
    free(candidates.cost);
    return enough ? ATTUNE_OK : out_of_memory();
}

attune_status attune_space_seeds(const attune_space *space, const attune_space *const *sources, size_t num_sources,
                                 size_t max_seeds, int32_t *values, size_t *num_seeds)
{
    if (!space || !sources || !values || !num_seeds)
        return set_error(ATTUNE_ERROR_NULL_ARGUMENT, "%s is NULL",
                         !space     ? "space"
                         : !sources ? "sources"
                         : !values  ? "values"
                                    : "num_seeds");
    *num_seeds = 0;
    if (num_sources < 1 || num_sources > MAX_SOURCES || max_seeds < 1 || max_seeds > MAX_SEEDS)
        return set_error(ATTUNE_ERROR_INVALID_SIZE,
                         "num_sources is %zu and max_seeds %zu; they must be 1 to %d and 1 to %d", num_sources,
                         max_seeds, MAX_SOURCES, MAX_SEEDS);
    struct translation *translations = calloc(num_sources, sizeof *translations);
    if (!translations)
        return out_of_memory();
    attune_status status = ATTUNE_OK;
    for (size_t s = 0; s < num_sources && status == ATTUNE_OK; s++) {
        translations[s].source = sources[s];
        status = sources[s] ? check_source(space, sources[s])
                            : set_error(ATTUNE_ERROR_NULL_ARGUMENT, "sources[%zu] is NULL", s);
        for (int32_t p = 0; p < space->num_params && status == ATTUNE_OK; p++)
            status = translate_param(&translations[s], &space->params[p], p);
    }
    if (status == ATTUNE_OK)
        status = choose(space, translations, num_sources, max_seeds, values, num_seeds);
    for (size_t s = 0; s < num_sources; s++)
        translation_free(&translations[s]);
    free(translations);
    return status;
}
