/* SPDX-License-Identifier: Apache-2.0
 * Grids: problem strings whose lengths are ranges, taken apart into one problem for each bucket. */
#include "problem.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/base.h"

#define MAX_ITEMS 16

enum axis { BATCH, NEW, PREFIX, KVLEN, NUM_AXES };

static const char *const axis_names[NUM_AXES] = {"batch", "new", "prefix", "kvlen"};

struct range {
    int64_t low, high;
};

struct grid {
    struct strbuf base; /* the text without the axes, open for a field */
    struct range items[NUM_AXES][MAX_ITEMS];
    int32_t count[NUM_AXES]; /* 0: not given */
    int64_t max_keys;        /* of a problem */
    /* Of the operation: */
    bool extend, square; /* square: prefill whose keys are its new tokens */
    int32_t kv_heads, new_tokens;
    /* What came out. */
    attune_problem *problems[ATTUNE_GRID_MAX];
    struct shape_bucket buckets[ATTUNE_GRID_MAX];
    size_t num_problems;
};

/* ---- the text */

/* A number of at most 2^31 - 1 in *at, which moves behind it; -1 where there is none. */
static int64_t read_number(const char **at, const char *end)
{
    const char *start = *at;
    int64_t value = 0;
    for (; *at < end && **at >= '0' && **at <= '9'; ++*at)
        if (value <= INT32_MAX)
            value = value * 10 + (**at - '0');
    return *at == start || value > INT32_MAX ? -1 : value;
}

/* "A", "A..B" with / between them. */
static attune_status read_axis(struct grid *grid, enum axis axis, const char *text, size_t length)
{
    const char *end = text + length;
    for (const char *at = text;; at++) {
        struct range item;
        item.low = item.high = read_number(&at, end);
        if (end - at > 2 && at[0] == '.' && at[1] == '.') {
            at += 2;
            item.high = read_number(&at, end);
        }
        if (item.low < 0 || item.high < item.low || (at < end && *at != '/'))
            return set_error(ATTUNE_ERROR_SYNTAX,
                             "%s=%.*s is no range: numbers up to 2147483647 and LOW..HIGH with / between them",
                             axis_names[axis], (int)(length < 60 ? length : 60), text);
        if (grid->count[axis] == MAX_ITEMS)
            return set_error(ATTUNE_ERROR_INVALID_SIZE, "%s has more than %d numbers and ranges", axis_names[axis],
                             MAX_ITEMS);
        grid->items[axis][grid->count[axis]++] = item;
        if (at == end)
            return ATTUNE_OK;
    }
}

/* Splits the axes off. What else is wrong with the text, the parser says. */
static attune_status read_grid(struct grid *grid, const char *text)
{
    size_t head = strcspn(text, ":");
    strbuf_append(&grid->base, text, head);
    const char *separator = ":";
    for (const char *at = text + head + (text[head] == ':'); *at;) {
        size_t length = strcspn(at, ","), name = strcspn(at, "=,");
        int axis = 0;
        while (axis < NUM_AXES && (strlen(axis_names[axis]) != name || strncmp(axis_names[axis], at, name)))
            axis++;
        if (axis == NUM_AXES || name == length) {
            strbuf_printf(&grid->base, "%s%.*s", separator, (int)length, at);
            separator = ",";
        } else if (grid->count[axis]) {
            return set_error(ATTUNE_ERROR_SYNTAX, "field \"%s\" is given twice", axis_names[axis]);
        } else {
            attune_status status = read_axis(grid, (enum axis)axis, at + name + 1, length - name - 1);
            if (status != ATTUNE_OK)
                return status;
        }
        at += length;
        if (*at == ',' && !*++at)
            return set_error(ATTUNE_ERROR_SYNTAX, "the text ends in a comma");
    }
    strbuf_append(&grid->base, separator, 1);
    return grid->base.failed ? set_error(ATTUNE_ERROR_OUT_OF_MEMORY, "out of memory for a grid") : ATTUNE_OK;
}

/* The problem of one value of each axis that is given. */
static attune_status make_problem(const struct grid *grid, const int64_t values[NUM_AXES], attune_problem **out)
{
    struct strbuf text = {0};
    strbuf_append(&text, grid->base.text, grid->base.length);
    const char *separator = "";
    for (int axis = 0; axis < NUM_AXES; axis++)
        if (grid->count[axis]) {
            strbuf_printf(&text, "%s%s=%" PRId64, separator, axis_names[axis], values[axis]);
            separator = ",";
        }
    if (!separator[0] && text.length)
        text.text[text.length - 1] = '\0';
    char *whole = strbuf_take(&text);
    if (!whole)
        return set_error(ATTUNE_ERROR_OUT_OF_MEMORY, "out of memory for a grid");
    attune_status status = attune_problem_parse(whole, out);
    free(whole);
    return status;
}

/* ---- cells: what of a range lies in one bucket */

static int64_t next_octave(int64_t value)
{
    int64_t power = 2;
    while (power <= value)
        power *= 2;
    return power;
}

/* The first value behind `value` that is in another bucket, all else equal. */
static int64_t next_bucket(const struct grid *grid, enum axis axis, int64_t value)
{
    if (axis == BATCH) {
        int64_t octave = next_octave(value * grid->kv_heads);
        return (octave + grid->kv_heads - 1) / grid->kv_heads;
    }
    if (axis != NEW)
        return next_octave(value);
    int64_t next = value < 2 ? 2 : value < 17 ? 17 : value < 129 ? 129 : INT64_MAX;
    return grid->square && next_octave(value) < next ? next_octave(value) : next;
}

struct cell {
    int64_t low, middle, next;
};

static struct cell cell_at(const struct grid *grid, enum axis axis, int64_t low, int64_t high)
{
    struct cell cell = {.low = low, .next = next_bucket(grid, axis, low)};
    int64_t last = cell.next <= high ? cell.next - 1 : high;
    cell.middle = low + (last - low + 1) / 2;
    if (axis == NEW && !grid->square) { /* classes are wide: a usual length of each */
        int64_t usual = low < 2 ? 1 : low < 17 ? 8 : low < 129 ? 64 : 512;
        cell.middle = usual < low ? low : usual > last ? last : usual;
    }
    return cell;
}

/* ---- the product */

/* Joins a problem, unless one of its bucket is there. */
static attune_status add_problem(struct grid *grid, const int64_t values[NUM_AXES])
{
    attune_problem *problem;
    attune_status status = make_problem(grid, values, &problem);
    if (status != ATTUNE_OK)
        return status;
    struct shape_bucket bucket = shape_bucket_of(&problem->desc, problem->batch, problem->q_len, problem->kv_len);
    for (size_t i = 0; i < grid->num_problems; i++)
        if (shape_bucket_equal(grid->buckets[i], bucket)) {
            attune_problem_destroy(&problem);
            return ATTUNE_OK;
        }
    if (grid->num_problems == ATTUNE_GRID_MAX) {
        attune_problem_destroy(&problem);
        return set_error(ATTUNE_ERROR_INVALID_SIZE, "the grid has more than %d buckets; give narrower ranges",
                         ATTUNE_GRID_MAX);
    }
    grid->problems[grid->num_problems] = problem;
    grid->buckets[grid->num_problems++] = bucket;
    return ATTUNE_OK;
}

/* From the middle of both cells to their low ends: the first that is within the limit. */
static attune_status add_cells(struct grid *grid, int64_t new_tokens, const struct cell *batch, const struct cell *keys)
{
    const int64_t tries[][2] = {{batch->middle, keys->middle}, {batch->middle, keys->low}, {batch->low, keys->low}};
    for (int i = 0; i < 3; i++) {
        int64_t sequences = tries[i][0], kv_len = tries[i][1], other = grid->extend ? kv_len - new_tokens : kv_len;
        if (sequences * kv_len > grid->max_keys)
            continue;
        const int64_t values[NUM_AXES] = {[BATCH] = sequences, [NEW] = new_tokens, [PREFIX] = other, [KVLEN] = other};
        return add_problem(grid, values);
    }
    return ATTUNE_OK;
}

/* All batches and numbers of keys for one number of new tokens. keys: of the axis of keys, in keys of a sequence. */
static attune_status add_keys(struct grid *grid, int64_t new_tokens, struct range keys)
{
    attune_status status = ATTUNE_OK;
    for (int32_t i = 0; i < grid->count[BATCH]; i++)
        for (int64_t b = grid->items[BATCH][i].low; b <= grid->items[BATCH][i].high;) {
            struct cell batch = cell_at(grid, BATCH, b, grid->items[BATCH][i].high);
            for (int64_t k = keys.low; k <= keys.high;) {
                struct cell cell = cell_at(grid, KVLEN, k, keys.high);
                if ((status = add_cells(grid, new_tokens, &batch, &cell)) != ATTUNE_OK)
                    return status;
                k = cell.next;
            }
            b = batch.next;
        }
    return status;
}

static attune_status add_new(struct grid *grid, int64_t new_tokens)
{
    enum axis axis = grid->extend ? PREFIX : KVLEN;
    if (grid->square)
        return add_keys(grid, new_tokens, (struct range){new_tokens, new_tokens});
    for (int32_t i = 0; i < grid->count[axis]; i++) {
        struct range keys = grid->items[axis][i];
        keys.low += grid->extend ? new_tokens : 0;
        keys.high += grid->extend ? new_tokens : 0;
        attune_status status = add_keys(grid, new_tokens, keys);
        if (status != ATTUNE_OK)
            return status;
    }
    return ATTUNE_OK;
}

static attune_status add_all(struct grid *grid)
{
    for (int32_t i = 0; i < grid->count[NEW]; i++)
        for (int64_t n = grid->items[NEW][i].low; n <= grid->items[NEW][i].high;) {
            struct cell cell = cell_at(grid, NEW, n, grid->items[NEW][i].high);
            attune_status status = add_new(grid, cell.middle);
            if (status != ATTUNE_OK)
                return status;
            n = cell.next;
        }
    return grid->num_problems
               ? ATTUNE_OK
               : set_error(ATTUNE_ERROR_INVALID_SIZE,
                           "every bucket of the grid has more than %" PRId64 " keys in all sequences", grid->max_keys);
}

static int64_t mean_length(const int32_t *lengths, int32_t batch)
{
    int64_t sum = 0;
    for (int32_t b = 0; b < batch; b++)
        sum += lengths[b];
    return sum / batch;
}

/* Checks the text at the ranges' low ends, and takes from there what it does not give. */
static attune_status complete(struct grid *grid)
{
    int64_t low[NUM_AXES];
    for (int axis = 0; axis < NUM_AXES; axis++)
        low[axis] = grid->items[axis][0].low;
    attune_problem *problem;
    attune_status status = make_problem(grid, low, &problem);
    if (status != ATTUNE_OK)
        return status;
    grid->extend = problem->desc.operation == ATTUNE_EXTEND;
    grid->square = problem->desc.operation == ATTUNE_PREFILL && !grid->count[KVLEN];
    grid->kv_heads = problem->desc.num_kv_heads;
    int64_t new_tokens = mean_length(problem->q_len, problem->batch),
            keys = mean_length(problem->kv_len, problem->batch);
    const int64_t given[NUM_AXES] = {problem->batch, new_tokens, keys - new_tokens, keys};
    for (int axis = 0; axis < NUM_AXES; axis++) {
        bool foreign = axis == PREFIX ? !grid->extend : axis == KVLEN && (grid->extend || grid->square);
        if (grid->count[axis] || foreign)
            continue;
        grid->items[axis][0] = (struct range){given[axis], given[axis]};
        grid->count[axis] = 1;
    }
    attune_problem_destroy(&problem);
    return ATTUNE_OK;
}

attune_status attune_problem_grid(const char *text, int64_t max_kv_tokens, attune_problem **out, size_t capacity,
                                  size_t *count)
{
    if (!text || !count || (capacity && !out))
        return set_error(ATTUNE_ERROR_NULL_ARGUMENT, "%s is NULL", !text ? "text" : !count ? "count" : "out");
    if (max_kv_tokens < 0)
        return set_error(ATTUNE_ERROR_INVALID_SIZE, "max_kv_tokens is %" PRId64 "; it must be at least 0",
                         max_kv_tokens);
    if (strnlen(text, PROBLEM_TEXT_MAX + 1) > PROBLEM_TEXT_MAX)
        return set_error(ATTUNE_ERROR_SYNTAX, "the grid's text is longer than %d characters", PROBLEM_TEXT_MAX);
    struct grid *grid = calloc(1, sizeof *grid);
    if (!grid)
        return set_error(ATTUNE_ERROR_OUT_OF_MEMORY, "out of memory for a grid");
    grid->max_keys = max_kv_tokens && max_kv_tokens < INT32_MAX ? max_kv_tokens : INT32_MAX;
    attune_status status;
    if ((status = read_grid(grid, text)) == ATTUNE_OK && (status = complete(grid)) == ATTUNE_OK)
        status = add_all(grid);
    size_t taken = 0;
    if (status == ATTUNE_OK) {
        *count = grid->num_problems;
        for (; taken < grid->num_problems && taken < capacity; taken++)
            out[taken] = grid->problems[taken];
    }
    for (; taken < grid->num_problems; taken++)
        attune_problem_destroy(&grid->problems[taken]);
    strbuf_free(&grid->base);
    free(grid);
    return status;
}
