/* SPDX-License-Identifier: Apache-2.0
 * Kernel Tuner's cache files, in the variants that its versions wrote. */
#include "recorded.h"

#include "base/json.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* What Kernel Tuner told its strategies for a failed configuration before it had words for it. */
#define OLD_ERROR_TIME 1e20

static attune_status out_of_memory(void)
{
    return set_error(ATTUNE_ERROR_OUT_OF_MEMORY, "out of memory for a recorded space");
}

/* ---- header */

/* *out is NULL where the member is missing or null. */
static attune_status take_string(const json_t *object, const char *name, char **out)
{
    const json_t *value = json_object_get(object, name);
    if (!value || json_is_null(value))
        return ATTUNE_OK;
    if (!json_is_string(value))
        return set_error(ATTUNE_ERROR_SYNTAX, "\"%s\" is not a string", name);
    *out = strdup(json_string_value(value));
    return *out ? ATTUNE_OK : out_of_memory();
}

static attune_status read_params(attune_space *space, const json_t *root)
{
    const json_t *keys = json_object_get(root, "tune_params_keys"), *lists = json_object_get(root, "tune_params");
    size_t count = json_array_size(keys);
    if (count < 1 || count > RECORDED_MAX_PARAMS)
        return set_error(ATTUNE_ERROR_SYNTAX, "\"tune_params_keys\" must be an array of 1 to %d names",
                         RECORDED_MAX_PARAMS);
    if (json_object_size(lists) != count)
        return set_error(ATTUNE_ERROR_SYNTAX, "\"tune_params\" must be an object of the %zu parameters", count);
    space->params = calloc(count, sizeof *space->params);
    if (!space->params)
        return out_of_memory();
    space->num_params = (int32_t)count;
    for (size_t p = 0; p < count; p++) {
        const char *name = json_string_value(json_array_get(keys, p));
        for (size_t q = 0; name && q < p; q++)
            if (!strcmp(name, space->params[q].name))
                return set_error(ATTUNE_ERROR_SYNTAX, "tune_params_keys: \"%s\" is there twice", name);
        if (!name)
            return set_error(ATTUNE_ERROR_SYNTAX, "tune_params_keys[%zu] is not a string", p);
        attune_status status = recorded_param_init(&space->params[p], name, json_object_get(lists, name));
        if (status != ATTUNE_OK)
            return status;
    }
    return ATTUNE_OK;
}

static int32_t param_named(const attune_space *space, const char *name)
{
    for (int32_t p = 0; p < space->num_params; p++)
        if (!strcmp(space->params[p].name, name))
            return p;
    return -1;
}

/* "conditions": {PARAM: [PARENT, VALUE]} */
static attune_status read_conditions(attune_space *space, json_t *conditions)
{
    const char *name;
    json_t *condition;
    json_object_foreach(conditions, name, condition)
    {
        int32_t p = param_named(space, name);
        const char *parent = json_string_value(json_array_get(condition, 0));
        int32_t above = parent ? param_named(space, parent) : -1;
        const json_t *value = json_array_get(condition, 1);
        int32_t v = above >= 0 && value ? recorded_param_find(&space->params[above], value) : -1;
        if (p < 0 || above < 0 || above >= p || v < 0)
            return set_error(ATTUNE_ERROR_SYNTAX,
                             "attune.conditions: \"%s\" must be a parameter, and have the name and a value of a "
                             "parameter before it",
                             name);
        space->params[p].parent = above;
        space->params[p].parent_value = space->params[above].ints[v];
    }
    return ATTUNE_OK;
}

/* What attune adds to its own files. */
static attune_status read_own_header(attune_space *space, const json_t *own)
{
    if (!own)
        return ATTUNE_OK;
    json_t *partial = json_object_get(own, "partial"), *conditions = json_object_get(own, "conditions");
    if (!json_is_object(own) || (partial && !json_is_boolean(partial)) || (conditions && !json_is_object(conditions)))
        return set_error(ATTUNE_ERROR_SYNTAX, "\"attune\" is not an object with \"partial\" (boolean) and "
                                              "\"conditions\" (object)");
    space->partial = json_is_true(partial);
    attune_status status = take_string(own, "simulated", &space->simulated);
    return status == ATTUNE_OK ? read_conditions(space, conditions) : status;
}

static attune_status read_header(attune_space *space, const json_t *root)
{
    attune_status status = take_string(root, "device_name", &space->device);
    if (status == ATTUNE_OK)
        status = take_string(root, "kernel_name", &space->kernel);
    if (status != ATTUNE_OK)
        return status;
    if (!space->device || !space->kernel)
        return set_error(ATTUNE_ERROR_SYNTAX, "\"%s\" is missing", space->device ? "kernel_name" : "device_name");
    const json_t *objective = json_object_get(root, "objective");
    if (objective && (!json_is_string(objective) || strcmp(json_string_value(objective), "time") != 0))
        return set_error(ATTUNE_ERROR_UNSUPPORTED, "\"objective\" is not \"time\"");
    space->problem_size = json_incref(json_object_get(root, "problem_size"));
    status = read_params(space, root);
    return status == ATTUNE_OK ? read_own_header(space, json_object_get(root, "attune")) : status;
}

/* ---- records */

/* Whether key is the values' texts, joined by commas. A number may be written in another way. */
static bool key_fits(const attune_space *space, const char *key, const int32_t *numbers)
{
    for (int32_t p = 0; p < space->num_params; p++) {
        const struct recorded_param *param = &space->params[p];
        const char *text = param->texts[numbers[p]];
        size_t length = strlen(text);
        if (strncmp(key, text, length) != 0 || (key[length] && key[length] != ',')) {
            const json_t *value = json_array_get(param->values, (size_t)numbers[p]);
            char *end;
            double number = read_double(key, &end);
            bool is_bool = json_is_boolean(value);
            if (end == key || (!is_bool && !json_is_number(value)) ||
                number != (is_bool ? (double)json_is_true(value) : json_number_value(value)))
                return false;
            length = (size_t)(end - key);
        }
        key += length;
        if (*key != (p + 1 < space->num_params ? ',' : '\0'))
            return false;
        key += *key == ',';
    }
    return true;
}

static attune_status read_values(const attune_space *space, const char *key, const json_t *record, int32_t *values)
{
    int32_t numbers[RECORDED_MAX_PARAMS];
    for (int32_t p = 0; p < space->num_params; p++) {
        const struct recorded_param *param = &space->params[p];
        const json_t *value = json_object_get(record, param->name);
        if (!value)
            return set_error(ATTUNE_ERROR_SYNTAX, "\"%s\" is missing", param->name);
        numbers[p] = recorded_param_find(param, value);
        if (numbers[p] < 0)
            return set_error(ATTUNE_ERROR_SYNTAX, "\"%s\" has a value that tune_params lacks", param->name);
        values[p] = param->ints[numbers[p]];
    }
    if (!key_fits(space, key, numbers))
        return set_error(ATTUNE_ERROR_SYNTAX, "the key is not the record's values");
    for (int32_t p = 0; p < space->num_params; p++)
        if (numbers[p] && !recorded_active(space, values, p))
            return set_error(ATTUNE_ERROR_SYNTAX, "\"%s\" means nothing here and must have its first value",
                             space->params[p].name);
    return ATTUNE_OK;
}

static bool is_time(const json_t *value)
{
    return json_is_number(value) && json_number_value(value) > 0 && isfinite(json_number_value(value));
}

static const struct {
    const char *text;
    attune_outcome outcome;
} outcomes[] = {{"InvalidConfig", ATTUNE_OUTCOME_INVALID},
                {"CompilationFailedConfig", ATTUNE_OUTCOME_BUILD_FAILED},
                {"RuntimeFailedConfig", ATTUNE_OUTCOME_FAILED},
                {"ErrorConfig", ATTUNE_OUTCOME_FAILED}};
#define NUM_OUTCOMES (sizeof outcomes / sizeof *outcomes)

static bool outcome_of_text(const json_t *value, attune_outcome *out)
{
    for (size_t i = 0; json_is_string(value) && i < NUM_OUTCOMES; i++)
        if (!strcmp(json_string_value(value), outcomes[i].text)) {
            *out = outcomes[i].outcome;
            return true;
        }
    return false;
}

/* "time" is a number or the failure's name; later versions have the name in "__error__", beside a time or without. */
static attune_status read_time(const json_t *record, struct recorded_config *config)
{
    const json_t *time = json_object_get(record, "time"), *error = json_object_get(record, "__error__");
    config->outcome = ATTUNE_OUTCOME_OK;
    if (outcome_of_text(error ? error : time, &config->outcome))
        return ATTUNE_OK;
    if (error)
        return set_error(ATTUNE_ERROR_SYNTAX, "\"__error__\" is no known failure");
    if (!is_time(time))
        return set_error(ATTUNE_ERROR_SYNTAX,
                         "\"time\" must be a positive number (ms), CompilationFailedConfig, RuntimeFailedConfig or "
                         "InvalidConfig");
    config->time_ms = json_number_value(time);
    if (config->time_ms >= OLD_ERROR_TIME)
        config->outcome = ATTUNE_OUTCOME_FAILED;
    return ATTUNE_OK;
}

/* *samples grows as needed. */
static attune_status read_samples(const json_t *record, double **samples, size_t *capacity, struct recorded_config *out)
{
    const json_t *times = json_object_get(record, "times");
    if (!times || json_is_null(times) || out->outcome != ATTUNE_OUTCOME_OK)
        return ATTUNE_OK;
    size_t count = json_array_size(times);
    if (!json_is_array(times))
        return set_error(ATTUNE_ERROR_SYNTAX, "\"times\" is not an array");
    if (count > *capacity) {
        double *grown = realloc(*samples, count * sizeof *grown);
        if (!grown)
            return out_of_memory();
        *samples = grown;
        *capacity = count;
    }
    for (size_t i = 0; i < count; i++) {
        if (!is_time(json_array_get(times, i)))
            return set_error(ATTUNE_ERROR_SYNTAX, "times[%zu] is not a positive number (ms)", i);
        (*samples)[i] = json_number_value(json_array_get(times, i));
    }
    out->samples = *samples;
    out->num_samples = count;
    return ATTUNE_OK;
}

static void read_costs(const json_t *record, struct recorded_config *config)
{
    static const char *const names[RECORDED_NUM_COSTS] = {"compile_time", "verification_time", "benchmark_time"};
    for (int i = 0; i < RECORDED_NUM_COSTS; i++) {
        const json_t *cost = json_object_get(record, names[i]);
        bool known = json_is_number(cost) && json_number_value(cost) >= 0;
        config->costs[i] = known ? json_number_value(cost) : -1;
    }
}

static attune_status read_record(attune_space *space, const char *key, const json_t *record, double **samples,
                                 size_t *capacity)
{
    int32_t values[RECORDED_MAX_PARAMS];
    struct recorded_config config = {.values = values};
    if (!json_is_object(record))
        return set_error(ATTUNE_ERROR_SYNTAX, "not an object");
    attune_status status = read_values(space, key, record, values);
    if (status == ATTUNE_OK)
        status = read_time(record, &config);
    if (status == ATTUNE_OK)
        status = read_samples(record, samples, capacity, &config);
    if (status != ATTUNE_OK)
        return status;
    read_costs(record, &config);
    return recorded_add(space, &config);
}

static attune_status read_records(attune_space *space, json_t *cache)
{
    if (!json_object_size(cache))
        return set_error(ATTUNE_ERROR_SYNTAX, "\"cache\" must be an object with at least one configuration");
    double *samples = NULL;
    size_t capacity = 0;
    attune_status status = ATTUNE_OK;
    const char *key;
    json_t *record;
    json_object_foreach(cache, key, record)
    {
        status = read_record(space, key, record, &samples, &capacity);
        if (status != ATTUNE_OK) {
            set_error(status, "cache[\"%.200s\"]: %s", key, attune_last_error());
            break;
        }
    }
    free(samples);
    return status;
}

/* ---- document */

/* Kernel Tuner appends records, each with a comma, and closes the file at the end of its run: what a run that was
 * killed leaves ends behind a record's comma. */
static void close_unfinished(struct strbuf *text)
{
    size_t end = text->length;
    while (end && strchr(" \t\r\n", text->text[end - 1]))
        end--;
    if (end < 2 || text->text[end - 1] != ',' || text->text[end - 2] != '}')
        return;
    text->length = end - 1;
    strbuf_append(text, "}}", 2);
}

static attune_status parse_text(struct strbuf *text, json_t **root)
{
    close_unfinished(text);
    json_error_t error;
    *root = json_read(text->text ? text->text : "", text->length, JSON_REJECT_DUPLICATES, &error);
    if (!*root && json_error_code(&error) == json_error_out_of_memory)
        return out_of_memory();
    if (!*root && json_error_code(&error) == json_error_stack_overflow)
        return set_error(ATTUNE_ERROR_INVALID_SIZE, "line %d, column %d: nested deeper than %d levels, the limit",
                         error.line, error.column, JSON_PARSER_MAX_DEPTH);
    if (!*root)
        return set_error(ATTUNE_ERROR_SYNTAX, "line %d, column %d: %s", error.line, error.column, error.text);
    return json_is_object(*root) ? ATTUNE_OK : set_error(ATTUNE_ERROR_SYNTAX, "not a JSON object");
}

static attune_status build(const char *path, const json_t *root, attune_space **out)
{
    attune_space *space = calloc(1, sizeof *space);
    if (!space || !(space->path = strdup(path))) {
        free(space);
        return out_of_memory();
    }
    attune_status status = read_header(space, root);
    if (status == ATTUNE_OK)
        status = read_records(space, json_object_get(root, "cache"));
    if (status == ATTUNE_OK)
        status = recorded_finish(space);
    if (status == ATTUNE_OK)
        *out = space;
    else
        attune_space_close(&space);
    return status;
}

attune_status recorded_parse(const char *path, const void *data, size_t size, attune_space **out)
{
    struct strbuf text = {0};
    json_t *root = NULL;
    attune_status status = recorded_unpack(data, size, &text);
    if (status == ATTUNE_OK)
        status = parse_text(&text, &root);
    strbuf_free(&text);
    if (status == ATTUNE_OK)
        status = build(path, root, out);
    json_decref(root);
    return status == ATTUNE_OK ? status : set_error(status, "%s: %s", path, attune_last_error());
}
