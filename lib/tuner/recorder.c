/* SPDX-License-Identifier: Apache-2.0 */
#include "recorder.h"

#include <stdlib.h>
#include <string.h>

#include "family/family.h"
#include "problem.h"
#include "recorded/recorded.h"

/* Tests between two writings of the file: what a crash can lose. */
#define WRITE_EVERY 100

struct recorder {
    attune_space *space;
    const struct tuning_space *tuning_space;
    int32_t since_written;
};

static attune_status out_of_memory(void)
{
    return set_error(ATTUNE_ERROR_OUT_OF_MEMORY, "out of memory for a record");
}

static char *format(const char *pattern, const char *a, const char *b)
{
    struct strbuf text = {0};
    strbuf_printf(&text, pattern, a, b);
    return strbuf_take(&text);
}

/* Takes values. */
static attune_status add_param(attune_space *space, const char *name, json_t *values)
{
    attune_status status =
        name && values ? recorded_param_init(&space->params[space->num_params++], name, values) : out_of_memory();
    json_decref(values);
    return status;
}

static json_t *values_of_param(const struct search_param *param)
{
    json_t *values = json_array();
    for (int32_t v = 0; v < param->num_values; v++)
        json_array_append_new(values, json_integer(param->values[v]));
    return values;
}

static attune_status add_families(attune_space *space, const struct tuning_space *from)
{
    json_t *names = json_array();
    for (int32_t f = 0; f < from->num_families; f++)
        json_array_append_new(names, json_string(family_at(from->families[f])->name));
    attune_status status = add_param(space, "FAMILY", names);
    for (int32_t f = 0; f < from->num_families; f++) {
        const struct family *family = family_at(from->families[f]);
        for (int32_t p = 0; p < family->num_params && status == ATTUNE_OK; p++) {
            const struct search_param *param = &from->params[from->first_param[f] + p];
            char *name = format("%s_%s", family->name, param->name);
            status = add_param(space, name, values_of_param(param));
            free(name);
            space->params[space->num_params - 1].parent = 0;
            space->params[space->num_params - 1].parent_value = f; /* texts are numbered */
        }
    }
    return status;
}

/* New rows, heads and the head dim stand for Kernel Tuner's problem size. */
static json_t *size_of(const attune_problem *problem)
{
    json_int_t tokens = 0;
    for (int32_t i = 0; i < problem->batch; i++)
        tokens += problem->q_len[i];
    return json_pack("[I,i,i]", tokens, (int)problem->desc.num_q_heads, (int)problem->desc.head_dim_qk);
}

static attune_status fill_header(attune_space *space, const char *path, const attune_device_info *info,
                                 const attune_problem *problem)
{
    space->path = strdup(path);
    space->kernel = strdup(attune_problem_text(problem));
    space->device =
        info->simulated[0] ? format("%s, simulated on %s", info->backend, info->simulated) : strdup(info->name);
    space->simulated = info->simulated[0] ? strdup(info->simulated) : NULL;
    space->problem_size = size_of(problem);
    bool enough = space->path && space->kernel && space->device && space->problem_size;
    return enough && (space->simulated || !info->simulated[0]) ? ATTUNE_OK : out_of_memory();
}

attune_status recorder_create(const char *path, const struct attune_target *target, const attune_problem *problem,
                              const struct tuning_space *space, struct recorder **out)
{
    struct recorder *recorder = calloc(1, sizeof *recorder);
    attune_space *recorded = calloc(1, sizeof *recorded);
    *out = NULL;
    if (recorder && recorded)
        recorded->params = calloc((size_t)space->space.num_params, sizeof *recorded->params);
    if (!recorder || !recorded || !recorded->params) {
        free(recorder);
        free(recorded);
        return out_of_memory();
    }
    recorder->space = recorded;
    recorder->tuning_space = space;
    attune_status status = fill_header(recorded, path, &target->info, problem);
    if (status == ATTUNE_OK)
        status = add_families(recorded, space);
    if (status == ATTUNE_OK)
        *out = recorder;
    else
        recorder_destroy(recorder);
    return status;
}

void recorder_destroy(struct recorder *recorder)
{
    if (!recorder)
        return;
    attune_space_close(&recorder->space);
    free(recorder);
}

static attune_outcome outcome_in_file(attune_outcome outcome)
{
    return outcome == ATTUNE_OUTCOME_OK || outcome == ATTUNE_OUTCOME_INVALID || outcome == ATTUNE_OUTCOME_BUILD_FAILED
               ? outcome
               : ATTUNE_OUTCOME_FAILED;
}

static double mean_of(const double *samples, int32_t count)
{
    double sum = 0;
    for (int32_t i = 0; i < count; i++)
        sum += samples[i];
    return sum / count;
}

attune_status recorder_add(struct recorder *recorder, const struct recorded_test *test)
{
    const struct tuning_space *from = recorder->tuning_space;
    int32_t values[SEARCH_MAX_PARAMS], family = 0;
    bool ok = test->outcome == ATTUNE_OUTCOME_OK;
    while (from->families[family] != test->values[0])
        family++;
    memcpy(values, test->values, (size_t)from->space.num_params * sizeof *values);
    values[0] = family;
    struct recorded_config config = {.values = values,
                                     .outcome = outcome_in_file(test->outcome),
                                     .time_ms = ok ? mean_of(test->samples, test->num_samples) : 0,
                                     .samples = test->samples,
                                     .num_samples = ok ? (size_t)test->num_samples : 0,
                                     .costs = {test->build_ms, test->verify_ms, test->sample_ms}};
    attune_status status = recorded_add(recorder->space, &config);
    if (status == ATTUNE_OK && ++recorder->since_written == WRITE_EVERY)
        status = recorder_write(recorder, true);
    return status;
}

attune_status recorder_write(struct recorder *recorder, bool partial)
{
    recorder->since_written = 0;
    recorder->space->partial = partial;
    return recorder->space->count ? attune_space_save(recorder->space, recorder->space->path) : ATTUNE_OK;
}
