/* SPDX-License-Identifier: Apache-2.0
 * Problem strings: OPERATION:FIELD=VALUE,... or WORKLOAD[:FIELD=VALUE,...]. */
#define _POSIX_C_SOURCE 200809L
#include "problem.h"

#include "base/base.h"
#include "desc.h"
#include "suite_rows.h"

#include <stdlib.h>
#include <string.h>

enum field {
    F_HQ,
    F_HKV,
    F_D,
    F_DV,
    F_Q,
    F_KV,
    F_NEWKV,
    F_O,
    F_PREC,
    F_CAUSAL,
    F_ALIGN,
    F_WINDOW,
    F_WRIGHT,
    F_CAP,
    F_SCALE,
    F_SINKS,
    F_TREE,
    F_BIAS,
    F_MLA,
    F_PAGE,
    F_ORDER,
    F_KVPAD,
    F_TABLE,
    F_BATCH,
    F_PREFIX,
    F_KVLEN,
    F_NEW,
    NUM_FIELDS
};

static const char *const field_names[NUM_FIELDS] = {"hq",    "hkv",   "d",      "dv",     "q",      "kv",     "newkv",
                                                    "o",     "prec",  "causal", "align",  "window", "wright", "cap",
                                                    "scale", "sinks", "tree",   "bias",   "mla",    "page",   "order",
                                                    "kvpad", "table", "batch",  "prefix", "kvlen",  "new"};

/* A field's value inside the text; text is NULL where the field was not given. */
struct value {
    const char *text;
    size_t length;
};

/* Precision and text of a value for an error: enough of it to be found. */
#define SHOWN(value) (int)((value)->length < 40 ? (value)->length : 40), (value)->text

static attune_status unknown_field(const char *name, size_t length)
{
    struct strbuf known = {0};
    for (int f = 0; f < NUM_FIELDS; f++)
        strbuf_printf(&known, "%s%s", f ? " " : "", field_names[f]);
    char *list = strbuf_take(&known);
    set_error(ATTUNE_ERROR_SYNTAX, "unknown field \"%.*s\"; fields: %s", (int)(length < 40 ? length : 40), name,
              list ? list : "?");
    free(list);
    return ATTUNE_ERROR_SYNTAX;
}

/* Splits "a=1,b=2" into values, over those that are there; the same field twice in one text is an error. */
static attune_status split_fields(const char *text, struct value values[NUM_FIELDS])
{
    bool seen[NUM_FIELDS] = {false};
    while (*text) {
        size_t length = strcspn(text, ","), name = strcspn(text, "=,");
        int f = 0;
        while (f < NUM_FIELDS && (strlen(field_names[f]) != name || strncmp(field_names[f], text, name)))
            f++;
        if (f == NUM_FIELDS)
            return unknown_field(text, name);
        if (name == length || name + 1 == length)
            return set_error(ATTUNE_ERROR_SYNTAX, "field \"%s\" has no value", field_names[f]);
        if (seen[f])
            return set_error(ATTUNE_ERROR_SYNTAX, "field \"%s\" is given twice", field_names[f]);
        seen[f] = true;
        values[f] = (struct value){text + name + 1, length - name - 1};
        text += length;
        if (*text == ',' && !*++text)
            return set_error(ATTUNE_ERROR_SYNTAX, "the text ends in a comma");
    }
    return ATTUNE_OK;
}

/* Reads one integer of a value or of a list's element; false unless it is one. Far too large values saturate. */
static bool read_integer(const struct value *value, int64_t *out)
{
    bool negative = value->length > 0 && value->text[0] == '-';
    int64_t magnitude = 0;
    if (value->length == (size_t)negative)
        return false;
    for (size_t i = negative; i < value->length; i++) {
        if (value->text[i] < '0' || value->text[i] > '9')
            return false;
        if (magnitude <= INT32_MAX)
            magnitude = magnitude * 10 + (value->text[i] - '0');
    }
    *out = negative ? -magnitude : magnitude;
    return true;
}

static attune_status integer_in(enum field f, const struct value *value, int32_t low, int32_t high,
                                attune_status status, int32_t *out)
{
    int64_t number;
    if (!read_integer(value, &number))
        return set_error(ATTUNE_ERROR_SYNTAX, "%s=%.*s is not an integer", field_names[f], SHOWN(value));
    if (number < low || number > high)
        return set_error(status, "%s is %.*s; it must be %d to %d", field_names[f], SHOWN(value), (int)low, (int)high);
    *out = (int32_t)number;
    return ATTUNE_OK;
}

/* Leaves *out where the field was not given. */
static attune_status read_int_field(const struct value *values, enum field f, int32_t low, int32_t high,
                                    attune_status status, int32_t *out)
{
    return values[f].text ? integer_in(f, &values[f], low, high, status, out) : ATTUNE_OK;
}

static attune_status float_in(const struct value *values, enum field f, float *out)
{
    const struct value *value = &values[f];
    if (!value->text)
        return ATTUNE_OK;
    char copy[48], *end = copy;
    if (value->length < sizeof copy && strspn(value->text, "0123456789.eE+-") >= value->length) {
        memcpy(copy, value->text, value->length);
        copy[value->length] = '\0';
        *out = read_float(copy, &end);
    }
    if (end == copy || *end)
        return set_error(ATTUNE_ERROR_SYNTAX, "%s=%.*s is not a number", field_names[f], SHOWN(value));
    if (*out == 0 && strcspn(copy, "123456789") < strcspn(copy, "eE")) /* 0 would mean the default */
        return set_error(ATTUNE_ERROR_SYNTAX, "%s=%.*s is too small for fp32", field_names[f], SHOWN(value));
    return ATTUNE_OK;
}

/* Index of the value among count words; leaves *out where the field was not given. */
static attune_status read_word(const struct value *values, enum field f, const char *const *words, int count, int *out)
{
    const struct value *value = &values[f];
    if (!value->text)
        return ATTUNE_OK;
    struct strbuf known = {0};
    for (int i = 0; i < count; i++) {
        if (strlen(words[i]) == value->length && !strncmp(words[i], value->text, value->length)) {
            strbuf_free(&known);
            *out = i;
            return ATTUNE_OK;
        }
        strbuf_printf(&known, "%s%s", i ? ", " : "", words[i]);
    }
    char *list = strbuf_take(&known);
    set_error(ATTUNE_ERROR_SYNTAX, "%s=%.*s is not known; it must be one of: %s", field_names[f], SHOWN(value),
              list ? list : "?");
    free(list);
    return ATTUNE_ERROR_SYNTAX;
}

static attune_status read_dtypes(const struct value *values, struct attune_problem *problem)
{
    static const char *const names[] = {"fp32", "fp16", "bf16", "int8"};
    static const attune_dtype dtypes[] = {ATTUNE_FP32, ATTUNE_FP16, ATTUNE_BF16, (attune_dtype)0};
    attune_attention_desc *desc = &problem->desc;
    int q = 0, kv = 0, fresh = -1, o = -1;
    attune_status status;
    if ((status = read_word(values, F_Q, names, 3, &q)) || (status = read_word(values, F_KV, names, 4, &kv)) ||
        (status = read_word(values, F_NEWKV, names, 3, &fresh)) || (status = read_word(values, F_O, names, 3, &o)))
        return status;
    desc->q_dtype = dtypes[q];
    desc->kv_dtype = dtypes[kv];
    desc->new_kv_dtype = fresh < 0 ? (attune_dtype)0 : dtypes[fresh];
    desc->o_dtype = dtypes[o < 0 ? q : o];
    if (kv == 3)
        problem->extras |= EXTRA_INT8_KV;
    return ATTUNE_OK;
}

static attune_status read_cache(const struct value *values, struct attune_problem *problem)
{
    static const char *const orders[] = {"nhd", "hnd"};
    int32_t table = 0;
    int order = 0;
    attune_status status;
    problem->page_size = problem->desc.operation != ATTUNE_PREFILL;
    if ((status =
             read_int_field(values, F_PAGE, 0, PROBLEM_PAGE_MAX, ATTUNE_ERROR_INVALID_SIZE, &problem->page_size)) ||
        (status = read_word(values, F_ORDER, orders, 2, &order)) ||
        (status = read_int_field(values, F_KVPAD, 0, PROBLEM_PAD_MAX, ATTUNE_ERROR_INVALID_SIZE, &problem->kv_pad)) ||
        (status = read_int_field(values, F_TABLE, 0, 1, ATTUNE_ERROR_INVALID_SIZE, &table)))
        return status;
    problem->kv_order = order ? ATTUNE_KV_HND : ATTUNE_KV_NHD;
    problem->block_table = table;
    return ATTUNE_OK;
}

static attune_status read_desc(const struct value *values, struct attune_problem *problem)
{
    static const char *const precisions[] = {"strict", "fast"}, *const alignments[] = {"br", "tl"};
    static const attune_status size_error = ATTUNE_ERROR_INVALID_SIZE;
    attune_attention_desc *desc = &problem->desc;
    int32_t causal = 1, extra[4] = {0};
    int precision = 0, alignment = 0;
    attune_status status;
    for (enum field f = F_HQ; f <= F_D; f++)
        if (!values[f].text)
            return set_error(ATTUNE_ERROR_SYNTAX, "field \"%s\" is missing", field_names[f]);
    if ((status = read_int_field(values, F_HQ, 1, MAX_HEADS, size_error, &desc->num_q_heads)) ||
        (status = read_int_field(values, F_HKV, 1, MAX_HEADS, size_error, &desc->num_kv_heads)) ||
        (status = read_int_field(values, F_D, 1, MAX_HEAD_DIM, size_error, &desc->head_dim_qk)) ||
        (status = read_int_field(values, F_DV, 0, MAX_HEAD_DIM, size_error, &desc->head_dim_vo)) ||
        (status = read_dtypes(values, problem)) || (status = read_word(values, F_PREC, precisions, 2, &precision)) ||
        (status = read_int_field(values, F_CAUSAL, 0, 1, size_error, &causal)) ||
        (status = read_word(values, F_ALIGN, alignments, 2, &alignment)) ||
        (status = read_int_field(values, F_WINDOW, -1, INT32_MAX, ATTUNE_ERROR_WINDOW, &desc->window_left)) ||
        (status = read_int_field(values, F_WRIGHT, -1, INT32_MAX, ATTUNE_ERROR_WINDOW, &desc->window_right)) ||
        (status = float_in(values, F_CAP, &desc->softcap)) || (status = float_in(values, F_SCALE, &desc->scale)) ||
        (status = read_int_field(values, F_SINKS, 0, 1, size_error, &extra[0])) ||
        (status = read_int_field(values, F_TREE, 0, 1, size_error, &extra[1])) ||
        (status = read_int_field(values, F_BIAS, 0, 1, size_error, &extra[2])) ||
        (status = read_int_field(values, F_MLA, 0, 1, size_error, &extra[3])))
        return status;
    desc->precision = precision ? ATTUNE_FAST : ATTUNE_STRICT;
    desc->mask = causal ? ATTUNE_MASK_CAUSAL : ATTUNE_MASK_NONE;
    desc->causal_alignment = alignment ? ATTUNE_TOP_LEFT : ATTUNE_BOTTOM_RIGHT;
    problem->extras |= (extra[0] ? EXTRA_SINKS : 0u) | (extra[1] ? EXTRA_TREE : 0u) | (extra[2] ? EXTRA_BIAS : 0u) |
                       (extra[3] ? EXTRA_MLA : 0u);
    return read_cache(values, problem);
}

/* Elements of "a/b/c" in *list (free it); a field that was not given gives {missing}. */
static attune_status read_list(const struct value *values, enum field f, int32_t missing, int32_t **list,
                               int32_t *count)
{
    const struct value *value = &values[f];
    size_t elements = 1;
    for (size_t i = 0; i < value->length; i++)
        elements += value->text[i] == '/';
    int32_t *numbers = malloc(elements * sizeof *numbers);
    if (!numbers)
        return set_error(ATTUNE_ERROR_OUT_OF_MEMORY, "out of memory for the list of %s", field_names[f]);
    *list = numbers;
    *count = (int32_t)elements;
    numbers[0] = missing;
    size_t begin = 0;
    for (size_t i = 0; value->text && i < elements; i++) {
        size_t end = begin;
        while (end < value->length && value->text[end] != '/')
            end++;
        struct value element = {value->text + begin, end - begin};
        attune_status status = integer_in(f, &element, 0, INT32_MAX, ATTUNE_ERROR_INVALID_SIZE, &numbers[i]);
        if (status)
            return status;
        begin = end + 1;
    }
    return ATTUNE_OK;
}

/* Fills q_len and kv_len by repeating the lists of new and of other (prefix or kvlen). */
static attune_status fill_lengths(struct attune_problem *problem, const int32_t *new_list, int32_t num_new,
                                  const int32_t *other_list, int32_t num_other)
{
    bool extend = problem->desc.operation == ATTUNE_EXTEND;
    problem->q_len = malloc((size_t)problem->batch * sizeof *problem->q_len);
    problem->kv_len = malloc((size_t)problem->batch * sizeof *problem->kv_len);
    if (!problem->q_len || !problem->kv_len)
        return set_error(ATTUNE_ERROR_OUT_OF_MEMORY, "out of memory for a batch of %d", (int)problem->batch);
    for (int32_t b = 0; b < problem->batch; b++) {
        int32_t q_len = new_list[b % num_new], other = other_list[b % num_other];
        if (extend && other > INT32_MAX - q_len)
            return set_error(ATTUNE_ERROR_OVERFLOW, "prefix + new is %d + %d in sequence %d; the limit is %d",
                             (int)other, (int)q_len, (int)b, INT32_MAX);
        problem->q_len[b] = q_len;
        problem->kv_len[b] = extend ? other + q_len : other;
    }
    return ATTUNE_OK;
}

static attune_status read_lengths(const struct value *values, struct attune_problem *problem)
{
    attune_operation operation = problem->desc.operation;
    bool extend = operation == ATTUNE_EXTEND, prefill = operation == ATTUNE_PREFILL;
    enum field other = extend ? F_PREFIX : F_KVLEN, foreign = extend ? F_KVLEN : F_PREFIX;
    enum field required = operation == ATTUNE_DECODE ? F_KVLEN : F_NEW;
    if (values[foreign].text)
        return set_error(ATTUNE_ERROR_SYNTAX, "field \"%s\" is not of this operation; give \"%s\"",
                         field_names[foreign], field_names[other]);
    if (!values[required].text)
        return set_error(ATTUNE_ERROR_SYNTAX, "field \"%s\" is missing", field_names[required]);
    int32_t *new_list = NULL, *other_list = NULL, num_new = 0, num_other = 0;
    attune_status status = read_list(values, F_NEW, 1, &new_list, &num_new);
    if (!status)
        status = read_list(values, other, 0, &other_list, &num_other);
    if (!status) {
        bool square = prefill && !values[F_KVLEN].text;
        problem->batch = num_new > num_other ? num_new : num_other;
        status = read_int_field(values, F_BATCH, 1, PROBLEM_BATCH_MAX, ATTUNE_ERROR_INVALID_SIZE, &problem->batch);
        int32_t longest = num_new > num_other ? num_new : num_other;
        if (!status && longest > problem->batch)
            status =
                set_error(ATTUNE_ERROR_INVALID_SIZE, "batch is %d; it must be at least the longest list's length (%d)",
                          (int)problem->batch, (int)longest);
        if (!status)
            status =
                fill_lengths(problem, new_list, num_new, square ? new_list : other_list, square ? num_new : num_other);
    }
    free(new_list);
    free(other_list);
    return status;
}

static attune_status unknown_workload(const char *text, size_t length)
{
    struct strbuf known = {0};
    for (size_t i = 0; i < num_suite_rows; i++)
        if (suite_rows[i].problem)
            strbuf_printf(&known, " %s", suite_rows[i].name);
    char *list = strbuf_take(&known);
    set_error(ATTUNE_ERROR_SYNTAX,
              "unknown workload \"%.*s\": it must start with prefill:, extend: or decode:, or with one of%s",
              (int)(length < 40 ? length : 40), text, list ? list : "?");
    free(list);
    return ATTUNE_ERROR_SYNTAX;
}

static bool operation_of(const char *text, size_t length, attune_operation *out)
{
    static const char *const names[] = {"prefill", "extend", "decode"};
    static const attune_operation operations[] = {ATTUNE_PREFILL, ATTUNE_EXTEND, ATTUNE_DECODE};
    for (int i = 0; i < 3; i++)
        if (strlen(names[i]) == length && !strncmp(names[i], text, length)) {
            *out = operations[i];
            return true;
        }
    return false;
}

static const struct suite_row *row_of(const char *text, size_t length)
{
    for (size_t i = 0; i < num_suite_rows; i++)
        if (suite_rows[i].problem && strlen(suite_rows[i].name) == length && !strncmp(suite_rows[i].name, text, length))
            return &suite_rows[i];
    return NULL;
}

static attune_status parse(const char *text, struct attune_problem *problem)
{
    struct value values[NUM_FIELDS] = {{NULL, 0}};
    attune_attention_desc_init(&problem->desc);
    size_t head = strcspn(text, ":");
    attune_status status;
    if (!operation_of(text, head, &problem->desc.operation)) {
        const struct suite_row *row = row_of(text, head);
        if (!row)
            return unknown_workload(text, head);
        const char *fields = strchr(row->problem, ':') + 1;
        operation_of(row->problem, (size_t)(fields - 1 - row->problem), &problem->desc.operation);
        if ((status = split_fields(fields, values)))
            return status;
        if (strlen(text) < sizeof problem->name)
            copy_string(problem->name, sizeof problem->name, text);
    }
    if ((text[head] && (status = split_fields(text + head + 1, values))) || (status = read_desc(values, problem)) ||
        (status = read_lengths(values, problem)))
        return status;
    return problem_finish(problem);
}

attune_status attune_problem_parse(const char *text, attune_problem **out)
{
    if (!out)
        return set_error(ATTUNE_ERROR_NULL_ARGUMENT, "out is NULL");
    *out = NULL;
    if (!text)
        return set_error(ATTUNE_ERROR_NULL_ARGUMENT, "text is NULL");
    if (strnlen(text, PROBLEM_TEXT_MAX + 1) > PROBLEM_TEXT_MAX)
        return set_error(ATTUNE_ERROR_SYNTAX, "the problem's text is longer than %d characters", PROBLEM_TEXT_MAX);
    struct attune_problem *problem = calloc(1, sizeof *problem);
    if (!problem)
        return set_error(ATTUNE_ERROR_OUT_OF_MEMORY, "out of memory for a problem");
    attune_status status = parse(text, problem);
    if (status)
        attune_problem_destroy(&problem);
    *out = problem;
    return status;
}

const char *attune_suite_workload(const char *suite, size_t i)
{
    for (size_t row = 0; suite && row < num_suite_rows; row++)
        if (!strcmp(suite_rows[row].suite, suite) && i-- == 0)
            return suite_rows[row].name;
    return NULL;
}
