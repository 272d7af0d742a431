/* SPDX-License-Identifier: Apache-2.0
 * Parameters of any JSON type as the int32 values of a search. */
#include "recorded.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static bool is_int32(const json_t *value, int32_t *out)
{
    if (json_is_boolean(value)) {
        *out = json_is_true(value);
        return true;
    }
    double number = json_is_number(value) ? json_number_value(value) : 0.5;
    if (!(number >= INT32_MIN && number <= INT32_MAX) || number != floor(number))
        return false;
    *out = (int32_t)number;
    return true;
}

bool recorded_value_name(const json_t *value, struct strbuf *name)
{
    int32_t whole;
    char text[32];
    if (is_int32(value, &whole))
        strbuf_printf(name, "%d", (int)whole);
    else if (json_is_integer(value))
        strbuf_printf(name, "%" JSON_INTEGER_FORMAT, json_integer_value(value));
    else if (json_is_real(value)) {
        format_double(json_real_value(value), text);
        strbuf_printf(name, "%s", text);
    } else if (json_is_string(value))
        strbuf_printf(name, "\"%s", json_string_value(value));
    else
        return false;
    return true;
}

void recorded_value_text(const json_t *value, struct strbuf *text)
{
    char number[32];
    if (json_is_string(value))
        strbuf_printf(text, "%s", json_string_value(value));
    else if (json_is_boolean(value))
        strbuf_printf(text, "%s", json_is_true(value) ? "True" : "False"); /* Python's */
    else if (json_is_integer(value))
        strbuf_printf(text, "%" JSON_INTEGER_FORMAT, json_integer_value(value));
    else {
        format_double(json_real_value(value), number);
        strbuf_printf(text, "%s%s", number, strpbrk(number, ".e") ? "" : ".0");
    }
}

static attune_status out_of_memory(void)
{
    return set_error(ATTUNE_ERROR_OUT_OF_MEMORY, "out of memory for a recorded space");
}

/* Notes value v of the parameter, which must be new. */
static attune_status add_value(struct recorded_param *param, int32_t v, const json_t *value)
{
    struct strbuf name = {0}, text = {0};
    if (!recorded_value_name(value, &name))
        return set_error(ATTUNE_ERROR_SYNTAX, "tune_params: \"%s\" has a value that is no number, string or boolean",
                         param->name);
    recorded_value_text(value, &text);
    char *key = strbuf_take(&name);
    param->texts[v] = strbuf_take(&text);
    attune_status status = ATTUNE_OK;
    if (!key || !param->texts[v])
        status = out_of_memory();
    else if (json_object_get(param->index, key))
        status =
            set_error(ATTUNE_ERROR_SYNTAX, "tune_params: \"%s\" has the value %s twice", param->name, param->texts[v]);
    else if (json_object_set_new(param->index, key, json_integer(v)))
        status = out_of_memory();
    free(key);
    return status;
}

static attune_status fill(struct recorded_param *param)
{
    bool whole = true;
    for (int32_t v = 0; v < param->num_values; v++)
        whole = whole && is_int32(json_array_get(param->values, (size_t)v), &param->ints[v]);
    for (int32_t v = 0; v < param->num_values; v++) {
        if (!whole)
            param->ints[v] = v;
        attune_status status = add_value(param, v, json_array_get(param->values, (size_t)v));
        if (status != ATTUNE_OK)
            return status;
    }
    return ATTUNE_OK;
}

attune_status recorded_param_init(struct recorded_param *param, const char *name, const json_t *values)
{
    size_t count = json_array_size(values); /* 0 where it is no array */
    if (count < 1 || count > RECORDED_MAX_VALUES)
        return set_error(ATTUNE_ERROR_SYNTAX, "tune_params: \"%s\" must be an array of 1 to %d values", name,
                         RECORDED_MAX_VALUES);
    param->parent = -1;
    param->num_values = (int32_t)count;
    param->name = strdup(name);
    param->values = json_deep_copy(values);
    param->index = json_object();
    param->ints = calloc(count, sizeof *param->ints);
    param->texts = calloc(count, sizeof *param->texts);
    if (!param->name || !param->values || !param->index || !param->ints || !param->texts)
        return out_of_memory();
    return fill(param);
}

void recorded_param_free(struct recorded_param *param)
{
    for (int32_t v = 0; param->texts && v < param->num_values; v++)
        free(param->texts[v]);
    free(param->texts);
    free(param->ints);
    free(param->name);
    json_decref(param->values);
    json_decref(param->index);
}

int32_t recorded_param_find(const struct recorded_param *param, const json_t *value)
{
    struct strbuf name = {0};
    const json_t *found =
        recorded_value_name(value, &name) && !name.failed ? json_object_get(param->index, name.text) : NULL;
    strbuf_free(&name);
    return found ? (int32_t)json_integer_value(found) : -1;
}

int32_t recorded_param_find_int(const struct recorded_param *param, int32_t value)
{
    for (int32_t v = 0; v < param->num_values; v++)
        if (param->ints[v] == value)
            return v;
    return -1;
}
