/* SPDX-License-Identifier: Apache-2.0
 * A search as text. Decisions follow from the arguments and from what was told: the text holds the latter, restoring
 * decides again, and each line must be what the new search would have written itself. Times are the bits of a double.
 */
#include "search_api.h"

#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MAX_BYTES ((size_t)64 << 20)
#define CHECK_SIZE 16 /* "crc32c 01234567\n" */
#define TIME_DIGITS 16
#define EXCERPT 96 /* characters of a line that an error shows */

/* The hash of what was appended, and frees it. */
static void append_hash(struct strbuf *out, const char *name, struct strbuf *data)
{
    char hex[HASH_HEX_SIZE];
    hash_hex(data->text ? data->text : "", data->length, hex);
    strbuf_printf(out, "%s %s\n", name, hex);
    out->failed |= data->failed;
    strbuf_free(data);
}

static void append_bits(struct strbuf *out, double value)
{
    uint64_t bits;
    memcpy(&bits, &value, sizeof bits);
    strbuf_printf(out, "%016llx", (unsigned long long)bits);
}

static void append_text(struct strbuf *out, const char *text)
{
    strbuf_printf(out, "%zu:%s ", strlen(text), text);
}

char *search_describe_arguments(const attune_search_param *params, size_t num_params,
                                const attune_search_options *options)
{
    struct strbuf out = {0}, space = {0}, settings = {0}, features = {0}, initial = {0};
    for (size_t i = 0; i < num_params; i++) {
        append_text(&space, params[i].name);
        append_text(&space, params[i].parent ? params[i].parent : "");
        strbuf_printf(&space, "%d %d", params[i].parent ? (int)params[i].parent_value : 0, (int)params[i].num_values);
        for (int32_t v = 0; v < params[i].num_values; v++)
            strbuf_printf(&space, " %d", (int)params[i].values[v]);
        strbuf_append(&space, "\n", 1);
    }
    for (size_t i = 0; i < options->num_settings; i++) {
        append_text(&settings, options->settings[i].name);
        append_bits(&settings, options->settings[i].value);
    }
    strbuf_printf(&features, "%d:", (int)options->num_features);
    for (int32_t i = 0; i < options->num_workloads * options->num_features; i++)
        append_bits(&features, options->features[i]);
    for (size_t i = 0; i < options->num_initial * num_params; i++)
        strbuf_printf(&initial, "%d ", (int)options->initial[i]);
    strbuf_printf(&out, "attune-search 1\nstrategy %s\nbudget %d\nseed %llu\nworkloads %d\nportfolio %d\n",
                  options->strategy ? options->strategy : search_strategy_name(0), (int)options->budget_tests,
                  (unsigned long long)options->seed, (int)options->num_workloads, (int)options->portfolio);
    append_hash(&out, "space", &space);
    append_hash(&out, "settings", &settings);
    append_hash(&out, "features", &features);
    append_hash(&out, "initial", &initial);
    return strbuf_take(&out);
}

/* "WORKLOAD VALUE VALUE ... ": a line but for the outcome. */
static void append_pair(struct strbuf *out, const attune_search *search, int32_t workload, const int32_t *values)
{
    strbuf_printf(out, "%d ", (int)workload);
    for (int32_t i = 0; i < search->num_params; i++)
        strbuf_printf(out, "%d ", (int)values[i]);
}

attune_status attune_search_save(const attune_search *search, char **text)
{
    if (!search || !text)
        return set_error(ATTUNE_ERROR_NULL_ARGUMENT, "%s is NULL", search ? "text" : "search");
    struct strbuf out = {0};
    struct search_test test;
    *text = NULL;
    strbuf_append(&out, search->arguments, strlen(search->arguments));
    for (int32_t i = 0; search_told(search->search, i, &test) && !out.failed && out.length < MAX_BYTES; i++) {
        append_pair(&out, search, test.workload, test.values);
        if (test.time > 0)
            append_bits(&out, test.time);
        else
            strbuf_append(&out, "failed", 6);
        strbuf_append(&out, "\n", 1);
    }
    if (out.length > MAX_BYTES - CHECK_SIZE) {
        strbuf_free(&out);
        return set_error(ATTUNE_ERROR_INVALID_SIZE, "the search has more than %zu bytes of tests", MAX_BYTES);
    }
    if (out.text)
        strbuf_printf(&out, "crc32c %08x\n", (unsigned)crc32c(0, out.text, out.length));
    *text = strbuf_take(&out);
    return *text ? ATTUNE_OK : set_error(ATTUNE_ERROR_OUT_OF_MEMORY, "out of memory for a saved search");
}

struct line {
    const char *text;
    size_t length; /* without its end */
};

/* The text before the check is whole lines: each ends with '\n'. */
static struct line take_line(const char **at, const char *end)
{
    const char *newline = memchr(*at, '\n', (size_t)(end - *at));
    struct line line = {*at, (size_t)((newline ? newline : end) - *at)};
    *at = newline ? newline + 1 : end;
    return line;
}

static bool is_equal(struct line a, struct line b)
{
    return a.length == b.length && memcmp(a.text, b.text, a.length) == 0;
}

/* The start of a line in printable characters. */
static const char *excerpt(struct line line, char shown[EXCERPT + 4])
{
    size_t length = line.length < EXCERPT ? line.length : EXCERPT;
    for (size_t i = 0; i < length; i++)
        shown[i] = (char)(line.text[i] >= ' ' && line.text[i] <= '~' ? line.text[i] : '?');
    copy_string(shown + length, 4, length < line.length ? "..." : "");
    return shown;
}

static attune_status check_seal(const char *text, size_t size)
{
    static const char magic[] = "attune-search ";
    if (size > MAX_BYTES)
        return set_error(ATTUNE_ERROR_INVALID_SIZE, "text_size is %zu; it must be at most %zu", size, MAX_BYTES);
    if (size < sizeof magic + CHECK_SIZE || memcmp(text, magic, sizeof magic - 1) != 0)
        return set_error(ATTUNE_ERROR_SYNTAX, "text is not a saved search");
    char seal[CHECK_SIZE + 1];
    snprintf(seal, sizeof seal, "crc32c %08x\n", (unsigned)crc32c(0, text, size - CHECK_SIZE));
    if (memcmp(text + size - CHECK_SIZE, seal, CHECK_SIZE) != 0 || text[size - CHECK_SIZE - 1] != '\n')
        return set_error(ATTUNE_ERROR_SYNTAX, "text is damaged: its checksum is not right");
    return ATTUNE_OK;
}

static attune_status check_description(const attune_search *search, const char **at, const char *end)
{
    const char *expected = search->arguments, *expected_end = expected + strlen(expected);
    char shown[2][EXCERPT + 4];
    while (expected < expected_end) {
        struct line ours = take_line(&expected, expected_end), theirs = take_line(at, end);
        if (!is_equal(ours, theirs))
            return set_error(ATTUNE_ERROR_MISMATCH, "the search was saved with \"%s\"; the arguments are \"%s\"",
                             excerpt(theirs, shown[0]), excerpt(ours, shown[1]));
    }
    return ATTUNE_OK;
}

/* The outcome at the end of a line: 0 = failed; negative: neither that nor a time. */
static double read_outcome(struct line outcome)
{
    uint64_t bits = 0;
    double time;
    if (is_equal(outcome, (struct line){"failed", 6}))
        return 0;
    if (outcome.length != TIME_DIGITS)
        return -1;
    for (size_t i = 0; i < TIME_DIGITS; i++) {
        static const char digits[] = "0123456789abcdef";
        const char *digit = memchr(digits, outcome.text[i], sizeof digits - 1);
        if (!digit)
            return -1;
        bits = bits << 4 | (uint64_t)(digit - digits);
    }
    memcpy(&time, &bits, sizeof time);
    return time > 0 && isfinite(time) ? time : -1;
}

static attune_status replay_line(attune_search *search, struct line line, int32_t number)
{
    struct search_proposal proposal;
    struct strbuf pair = {0};
    char shown[2][EXCERPT + 4];
    bool proposed = search_ask(search->search, &proposal);
    if (proposed)
        append_pair(&pair, search, proposal.workload, proposal.values);
    if (pair.failed || (proposed && !pair.text))
        return set_error(ATTUNE_ERROR_OUT_OF_MEMORY, "out of memory for a saved search");
    attune_status status = ATTUNE_OK;
    struct line expected = {pair.text, pair.length};
    if (!proposed)
        status = set_error(ATTUNE_ERROR_MISMATCH, "test %d of the saved search is \"%s\"; this one is done before it",
                           (int)number, excerpt(line, shown[0]));
    else if (line.length < pair.length || memcmp(line.text, pair.text, pair.length) != 0)
        status = set_error(ATTUNE_ERROR_MISMATCH, "test %d of the saved search is \"%s\"; this one proposes \"%s\"",
                           (int)number, excerpt(line, shown[0]), excerpt(expected, shown[1]));
    if (status == ATTUNE_OK) {
        double time = read_outcome((struct line){line.text + pair.length, line.length - pair.length});
        if (time < 0)
            status =
                set_error(ATTUNE_ERROR_SYNTAX, "test %d has no outcome: \"%s\"", (int)number, excerpt(line, shown[0]));
        else
            search_tell(search->search, time > 0 ? SEARCH_OK : SEARCH_FAILED, time);
    }
    strbuf_free(&pair);
    return status;
}

attune_status attune_search_restore(attune_search **out, const attune_search_param *params, size_t num_params,
                                    const attune_search_options *options, const char *text, size_t text_size)
{
    if (!out)
        return set_error(ATTUNE_ERROR_NULL_ARGUMENT, "out is NULL");
    *out = NULL;
    if (!text)
        return set_error(ATTUNE_ERROR_NULL_ARGUMENT, "text is NULL");
    attune_search *search = NULL;
    attune_status status = check_seal(text, text_size);
    if (status == ATTUNE_OK)
        status = attune_search_create(&search, params, num_params, options);
    if (status != ATTUNE_OK)
        return status;
    const char *at = text, *end = text + text_size - CHECK_SIZE;
    status = check_description(search, &at, end);
    for (int32_t number = 1; status == ATTUNE_OK && at < end; number++)
        status = replay_line(search, take_line(&at, end), number);
    if (status != ATTUNE_OK)
        attune_search_destroy(&search);
    *out = search;
    return status;
}
