/* SPDX-License-Identifier: Apache-2.0 */
#include "runs.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define MAX_FILE_BYTES (256 << 20)
/* Figures have nine digits. */
#define ROUNDING (1 + 1e-8)

void run_free(struct run *run)
{
    free(run->space);
    free(run->label);
    free(run->best);
}

bool runs_add(struct runs *runs, struct run *run)
{
    if (runs->count == runs->capacity) {
        size_t capacity = runs->capacity ? 2 * runs->capacity : 64;
        struct run *items = realloc(runs->items, capacity * sizeof *items);
        if (!items) {
            run_free(run);
            return false;
        }
        runs->items = items;
        runs->capacity = capacity;
    }
    runs->items[runs->count++] = *run;
    return true;
}

void runs_free(struct runs *runs)
{
    for (size_t i = 0; i < runs->count; i++)
        run_free(&runs->items[i]);
    free(runs->items);
    *runs = (struct runs){NULL, 0, 0};
}

/* ---- one line; a NULL is what is right, else a text says what is wrong */

/* A name of printable characters. */
static const char *take_name(const json_t *object, const char *member, char **out)
{
    const char *text = json_string_value(json_object_get(object, member));
    size_t length = text ? strlen(text) : 0;
    if (length < 1 || length > RUN_NAME_MAX)
        return "must have 1 to 200 bytes of text";
    for (size_t i = 0; i < length; i++)
        if ((unsigned char)text[i] < 0x20 || text[i] == 0x7f)
            return "has a control character";
    *out = strdup(text);
    return *out ? NULL : "is more than memory can hold";
}

static const char *take_best(const json_t *array, struct run *run)
{
    size_t count = json_array_size(array);
    if (count < 1 || count > RUN_MAX_TESTS)
        return "must be an array of 1 to 100000 times";
    run->best = calloc(count, sizeof *run->best);
    if (!run->best)
        return "is more than memory can hold";
    run->num_tests = (int32_t)count;
    for (size_t i = 0; i < count; i++) {
        const json_t *item = json_array_get(array, i);
        double best = json_number_value(item);
        bool none = json_is_null(item) && (i == 0 || run->best[i - 1] == 0);
        if (!none && !(best > 0))
            return "must hold positive numbers, and null before the first only";
        if (!none && best * ROUNDING < run->optimum)
            return "goes below \"optimum\"";
        run->best[i] = best;
    }
    return NULL;
}

static const char *take_figures(const json_t *object, struct run *run, const char **member)
{
    *member = "seed";
    const json_t *seed = json_object_get(object, "seed");
    if (!json_is_integer(seed) || json_integer_value(seed) < 0)
        return "must be an integer of at least 0";
    run->seed = (uint64_t)json_integer_value(seed);
    *member = "optimum";
    run->optimum = json_number_value(json_object_get(object, "optimum"));
    if (!(run->optimum > 0))
        return "must be a positive number";
    *member = "best";
    const char *wrong = take_best(json_object_get(object, "best"), run);
    if (wrong)
        return wrong;
    *member = "within5_at";
    const json_t *within = json_object_get(object, "within5_at");
    if (!json_is_null(within) &&
        (!json_is_integer(within) || json_integer_value(within) < 1 || json_integer_value(within) > run->num_tests))
        return "must be null or the number of a test";
    run->within5_at = (int32_t)json_integer_value(within);
    *member = "score";
    const json_t *score = json_object_get(object, "score");
    if (!json_is_null(score) && !(json_is_number(score) && json_number_value(score) <= 1 + 1e-6))
        return "must be null or a number of at most 1";
    run->score = json_is_null(score) ? NAN : json_number_value(score);
    return NULL;
}

/* "label" where there is one: files of others have only "strategy". */
static const char *take_run(const json_t *object, struct run *run, const char **member)
{
    *member = "space";
    const char *wrong = take_name(object, "space", &run->space);
    if (wrong)
        return wrong;
    *member = json_object_get(object, "label") ? "label" : "strategy";
    wrong = take_name(object, *member, &run->label);
    return wrong ? wrong : take_figures(object, run, member);
}

static bool read_line(struct runs *runs, const char *path, int number, const char *line, size_t length)
{
    json_error_t error;
    json_t *object = json_loadb(line, length, JSON_REJECT_DUPLICATES, &error);
    if (!json_is_object(object)) {
        cli_error("%s: line %d is not a JSON object%s%s", path, number, object ? "" : ": ", object ? "" : error.text);
        json_decref(object);
        return false;
    }
    const char *event = json_string_value(json_object_get(object, "event"));
    if (event && !strcmp(event, "end")) { /* of a command that failed, or was interrupted, after the runs before */
        json_decref(object);
        return true;
    }
    struct run run = {NULL};
    const char *member, *wrong = take_run(object, &run, &member);
    json_decref(object);
    if (wrong) {
        cli_error("%s: line %d: \"%s\" %s", path, number, member, wrong);
        run_free(&run);
        return false;
    }
    if (runs_add(runs, &run))
        return true;
    cli_error("out of memory");
    return false;
}

/* ---- a file */

/* free() it. NULL with the error printed. */
static char *read_file(const char *path, size_t *size)
{
    int fd = open(path, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
    struct stat info;
    if (fd < 0 || fstat(fd, &info)) {
        cli_error("%s: %s", path, strerror(errno));
    } else if (!S_ISREG(info.st_mode) || info.st_size > MAX_FILE_BYTES) {
        cli_error("%s: must be a regular file of at most %d bytes", path, MAX_FILE_BYTES);
    } else {
        FILE *file = fdopen(fd, "r");
        char *text = file ? malloc((size_t)info.st_size + 1) : NULL;
        *size = text ? fread(text, 1, (size_t)info.st_size, file) : 0;
        if (!text || ferror(file))
            cli_error("%s: cannot be read", path);
        if (file)
            fclose(file);
        else
            close(fd);
        return text;
    }
    if (fd >= 0)
        close(fd);
    return NULL;
}

enum exit_code runs_read(struct runs *runs, const char *path)
{
    size_t size;
    char *text = read_file(path, &size);
    if (!text)
        return EXIT_STORAGE;
    bool good = true;
    int number = 0;
    size_t before = runs->count;
    for (size_t at = 0; good && at < size; number++) {
        const char *end = memchr(text + at, '\n', size - at);
        size_t length = end ? (size_t)(end - text) - at : size - at;
        if (length)
            good = read_line(runs, path, number + 1, text + at, length);
        at += length + 1;
    }
    free(text);
    if (good && runs->count == before) {
        cli_error("%s: no runs in it", path);
        good = false;
    }
    return good ? EXIT_DONE : EXIT_USAGE;
}

/* ---- names */

/* Lists end here: more than can be shown, and quadratic in time. */
#define MANY_NAMES 1000

const char *run_space(const struct run *run)
{
    return run->space;
}

const char *run_label(const struct run *run)
{
    return run->label;
}

bool runs_names(const struct runs *runs, const char *(*name)(const struct run *), struct text_list *out)
{
    *out = (struct text_list){malloc((runs->count + 1) * sizeof *out->items), 0};
    for (size_t i = 0; out->items && i < runs->count && out->count < MANY_NAMES; i++) {
        size_t k = 0;
        while (k < out->count && strcmp(out->items[k], name(&runs->items[i])) != 0)
            k++;
        if (k == out->count)
            out->items[out->count++] = name(&runs->items[i]);
    }
    return out->items != NULL;
}
