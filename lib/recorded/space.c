/* SPDX-License-Identifier: Apache-2.0
 * attune_space_*: a recorded space in memory. */
#include "recorded.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cache/files.h"
#include "cache/sealed.h"

/* ---- table */

static uint64_t hash_values(const int32_t *values, int32_t count)
{
    uint64_t h = 0;
    for (int32_t i = 0; i < count; i++) { /* steps of splitmix64 */
        h = (h ^ (uint32_t)values[i]) + 0x9e3779b97f4a7c15u;
        h = (h ^ (h >> 30)) * 0xbf58476d1ce4e5b9u;
        h ^= h >> 27;
    }
    return h;
}

static const int32_t *values_of(const attune_space *space, int32_t config)
{
    return space->values + (size_t)config * (size_t)space->num_params;
}

/* The configuration's place in the table, or the free one where it would go. */
static size_t place_of(const attune_space *space, const int32_t *values)
{
    size_t mask = space->table_size - 1, at = (size_t)hash_values(values, space->num_params) & mask;
    size_t bytes = (size_t)space->num_params * sizeof *values;
    while (space->table[at] && memcmp(values_of(space, space->table[at] - 1), values, bytes) != 0)
        at = (at + 1) & mask;
    return at;
}

int32_t recorded_find(const attune_space *space, const int32_t *values)
{
    return space->table_size ? space->table[place_of(space, values)] - 1 : -1;
}

static bool resize(void **array, size_t count, size_t element)
{
    void *grown = realloc(*array, count * element);
    if (grown)
        *array = grown;
    return grown != NULL;
}

static bool grow(attune_space *space)
{
    if (space->count < space->capacity)
        return true;
    size_t capacity = space->capacity ? (size_t)space->capacity * 2 : 1024;
    int32_t *table = calloc(2 * capacity, sizeof *table);
    bool grown = table && capacity <= INT32_MAX / 2 &&
                 resize((void **)&space->values, capacity * (size_t)space->num_params, sizeof *space->values) &&
                 resize((void **)&space->outcome, capacity, sizeof *space->outcome) &&
                 resize((void **)&space->time_ms, capacity, sizeof *space->time_ms) &&
                 resize((void **)&space->costs, capacity, sizeof *space->costs) &&
                 resize((void **)&space->first_sample, capacity + 1, sizeof *space->first_sample);
    if (!grown) {
        free(table);
        return false;
    }
    free(space->table);
    space->table = table;
    space->table_size = 2 * capacity;
    space->capacity = (int32_t)capacity;
    for (int32_t i = 0; i < space->count; i++)
        table[place_of(space, values_of(space, i))] = i + 1;
    return true;
}

static bool keep_samples(attune_space *space, const double *samples, size_t count)
{
    if (space->num_samples + count > space->samples_capacity) {
        size_t capacity = 2 * (space->num_samples + count);
        if (!resize((void **)&space->samples, capacity, sizeof *space->samples))
            return false;
        space->samples_capacity = capacity;
    }
    if (count)
        memcpy(space->samples + space->num_samples, samples, count * sizeof *samples);
    space->num_samples += count;
    return true;
}

attune_status recorded_add(attune_space *space, const struct recorded_config *config)
{
    if (!grow(space) || !keep_samples(space, config->samples, config->num_samples))
        return set_error(ATTUNE_ERROR_OUT_OF_MEMORY, "out of memory for a recorded space");
    size_t at = place_of(space, config->values);
    if (space->table[at])
        return set_error(ATTUNE_ERROR_MISMATCH, "the same configuration twice");
    int32_t i = space->count++;
    memcpy(space->values + (size_t)i * (size_t)space->num_params, config->values,
           (size_t)space->num_params * sizeof *config->values);
    space->outcome[i] = (uint8_t)config->outcome;
    space->time_ms[i] = config->outcome == ATTUNE_OUTCOME_OK ? config->time_ms : 0;
    memcpy(space->costs[i], config->costs, sizeof config->costs);
    space->first_sample[i] = space->num_samples - config->num_samples;
    space->first_sample[i + 1] = space->num_samples;
    space->table[at] = i + 1;
    return ATTUNE_OK;
}

static int compare_times(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

attune_status recorded_finish(attune_space *space)
{
    double *sorted = malloc(((size_t)space->count + 1) * sizeof *sorted);
    space->search_params = calloc((size_t)space->num_params, sizeof *space->search_params);
    if (!sorted || !space->search_params) {
        free(sorted);
        return set_error(ATTUNE_ERROR_OUT_OF_MEMORY, "out of memory for a recorded space");
    }
    size_t valid = 0;
    for (int32_t i = 0; i < space->count; i++)
        if (space->outcome[i] == ATTUNE_OUTCOME_OK)
            sorted[valid++] = space->time_ms[i];
    space->num_failed = space->count - (int32_t)valid;
    if (valid) {
        qsort(sorted, valid, sizeof *sorted, compare_times);
        space->optimum_ms = sorted[0];
        space->median_ms = sorted[valid / 2];
        space->slowest_ms = sorted[valid - 1];
    }
    free(sorted);
    for (int32_t p = 0; p < space->num_params; p++) {
        const struct recorded_param *param = &space->params[p];
        space->search_params[p] =
            (attune_search_param){param->name, param->ints, param->num_values,
                                  param->parent < 0 ? NULL : space->params[param->parent].name, param->parent_value};
    }
    return ATTUNE_OK;
}

bool recorded_active(const attune_space *space, const int32_t *values, int32_t param)
{
    for (; space->params[param].parent >= 0; param = space->params[param].parent)
        if (values[space->params[param].parent] != space->params[param].parent_value)
            return false;
    return true;
}

/* ---- public */

static attune_status read_open_file(int fd, const char *path, attune_space **out)
{
    struct stat info;
    if (fstat(fd, &info))
        return set_error(ATTUNE_ERROR_IO, "%s: fstat: %s", path, strerror(errno));
    if (!S_ISREG(info.st_mode))
        return set_error(ATTUNE_ERROR_IO, "%s: not a regular file", path);
    if (info.st_size > RECORDED_MAX_BYTES)
        return set_error(ATTUNE_ERROR_INVALID_SIZE, "%s: %jd bytes long; the limit is %u", path, (intmax_t)info.st_size,
                         RECORDED_MAX_BYTES);
    size_t size = (size_t)info.st_size;
    char *data = malloc(size + 1);
    if (!data)
        return set_error(ATTUNE_ERROR_OUT_OF_MEMORY, "%s: out of memory for %zu bytes", path, size);
    attune_status status = file_read_all(fd, data, &size)
                               ? recorded_parse(path, data, size, out)
                               : set_error(ATTUNE_ERROR_IO, "%s: read: %s", path, strerror(errno));
    free(data);
    return status;
}

attune_status attune_space_open(const char *path, attune_space **out)
{
    if (!path || !out)
        return set_error(ATTUNE_ERROR_NULL_ARGUMENT, "%s is NULL", !path ? "path" : "out");
    *out = NULL;
    /* O_NONBLOCK: opening a FIFO must not wait for its writer. */
    int fd = open(path, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
    if (fd < 0)
        return set_error(ATTUNE_ERROR_IO, "%s: %s", path, strerror(errno));
    attune_status status = read_open_file(fd, path, out);
    close(fd);
    return status == ATTUNE_OK ? status : sealed_quote_safely(status);
}

void attune_space_close(attune_space **handle)
{
    if (!handle || !*handle)
        return;
    attune_space *space = *handle;
    for (int32_t p = 0; space->params && p < space->num_params; p++)
        recorded_param_free(&space->params[p]);
    free(space->params);
    free(space->search_params);
    free(space->path);
    free(space->device);
    free(space->kernel);
    free(space->simulated);
    json_decref(space->problem_size);
    free(space->values);
    free(space->outcome);
    free(space->time_ms);
    free(space->costs);
    free(space->first_sample);
    free(space->samples);
    free(space->table);
    free(space);
    *handle = NULL;
}

void attune_space_describe(const attune_space *space, attune_space_info *out)
{
    *out = (attune_space_info){.path = space->path,
                               .device = space->device,
                               .kernel = space->kernel,
                               .simulated = space->simulated,
                               .partial = space->partial,
                               .num_params = (size_t)space->num_params,
                               .params = space->search_params,
                               .num_configs = (size_t)space->count,
                               .num_failed = (size_t)space->num_failed,
                               .optimum_ms = space->optimum_ms,
                               .median_ms = space->median_ms,
                               .slowest_ms = space->slowest_ms};
}

const char *attune_space_value_text(const attune_space *space, size_t param, int32_t value)
{
    if (!space || param >= (size_t)space->num_params)
        return NULL;
    int32_t v = recorded_param_find_int(&space->params[param], value);
    return v < 0 ? NULL : space->params[param].texts[v];
}

static void fill_record(const attune_space *space, int32_t i, attune_space_config *out)
{
    size_t first = space->first_sample[i], count = space->first_sample[i + 1] - first;
    *out = (attune_space_config){.values = values_of(space, i),
                                 .outcome = (attune_outcome)space->outcome[i],
                                 .time_ms = space->time_ms[i],
                                 .samples_ms = count ? space->samples + first : NULL,
                                 .num_samples = count};
}

attune_status attune_space_at(const attune_space *space, size_t i, attune_space_config *out)
{
    if (!space || !out)
        return set_error(ATTUNE_ERROR_NULL_ARGUMENT, "%s is NULL", !space ? "space" : "out");
    if (i >= (size_t)space->count)
        return set_error(ATTUNE_ERROR_INVALID_SIZE, "i is %zu; it must be below %d", i, (int)space->count);
    fill_record(space, (int32_t)i, out);
    return ATTUNE_OK;
}

int attune_space_find(const attune_space *space, const int32_t *values, attune_space_config *out)
{
    int32_t i = space && values ? recorded_find(space, values) : -1;
    if (i >= 0 && out)
        fill_record(space, i, out);
    return i >= 0;
}

int attune_space_contains(void *space, int32_t workload, const int32_t *values)
{
    (void)workload;
    return attune_space_find(space, values, NULL);
}
