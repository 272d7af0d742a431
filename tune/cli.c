/* SPDX-License-Identifier: Apache-2.0 */
#include "cli.h"

#include "descriptors.h"

#include <math.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

static struct {
    const char *program;
    char *error; /* the first */
    bool json;   /* --json was given */
    bool ended;  /* the JSON stream has its end */
} cli = {.program = "attune"};

const char *exit_code_name(enum exit_code code)
{
    static const char *const names[] = {"done",        "error",     "usage",  "no_improvement", "budget",
                                        "interrupted", "no_device", "worker", "storage",        "device_lost", "environment"};
    return (size_t)code < sizeof names / sizeof names[0] ? names[code] : "error";
}

/* ---- start and end */

void cli_begin(const char *name, int argc, char **argv)
{
    open_standard_descriptors();
    cli.program = name;
    for (int i = 1; i < argc && strcmp(argv[i], "--"); i++)
        cli.json |= !strcmp(argv[i], "--json");
}

void cli_json_end(json_t *event, enum exit_code code, const char *error)
{
    json_object_set_new(event, "exit_code", json_integer(code));
    json_object_set_new(event, "status", json_string(exit_code_name(code)));
    json_object_set_new(event, "error", error ? json_text(error) : json_null());
    json_line(event);
    cli.ended = true;
}

enum exit_code cli_finish(enum exit_code code)
{
    if (cli.json && code != EXIT_DONE && !cli.ended)
        cli_json_end(json_pack("{ss}", "event", "end"), code, cli.error);
    if (fflush(stdout) || ferror(stdout)) {
        cli_error("cannot write to standard output");
        code = code == EXIT_DONE ? EXIT_STORAGE : code;
    }
    free(cli.error);
    cli.error = NULL;
    return code;
}

/* ---- errors */

static void print_text(const char *text)
{
    fprintf(stderr, "%s: %s\n", cli.program, text);
}

/* free() it; NULL when out of memory. */
static char *format_text(const char *format, va_list args)
{
    va_list again;
    va_copy(again, args);
    int length = vsnprintf(NULL, 0, format, args);
    char *text = length < 0 ? NULL : malloc((size_t)length + 1);
    if (text)
        vsnprintf(text, (size_t)length + 1, format, again);
    va_end(again);
    return text;
}

void cli_error(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    char *text = format_text(format, args);
    va_end(args);
    print_text(text ? text : "out of memory");
    if (cli.error)
        free(text);
    else
        cli.error = text;
}

void cli_note(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    char *text = format_text(format, args);
    va_end(args);
    print_text(text ? text : "out of memory");
    free(text);
}

const char *cli_first_error(void)
{
    return cli.error;
}

void cli_log(void *priv, attune_log_level level, const char *message)
{
    (void)priv;
    cli_note("%s: %s", level == ATTUNE_LOG_ERROR ? "error" : level == ATTUNE_LOG_WARNING ? "warning" : "note", message);
}

static enum exit_code exit_code_of(attune_status status)
{
    switch (status) {
    case ATTUNE_OK:
        return EXIT_DONE;
    case ATTUNE_ERROR_NO_PLATFORM:
    case ATTUNE_ERROR_NO_DEVICE:
        return EXIT_NO_DEVICE;
    case ATTUNE_ERROR_WORKER:
        return EXIT_WORKER;
    case ATTUNE_ERROR_ENVIRONMENT:
        return EXIT_ENVIRONMENT;
    case ATTUNE_ERROR_IO:
        return EXIT_STORAGE;
    case ATTUNE_ERROR_DEVICE_LOST:
        return EXIT_DEVICE_LOST;
    case ATTUNE_ERROR_CANCELLED:
        return EXIT_INTERRUPTED;
    case ATTUNE_ERROR_BUDGET:
        return EXIT_BUDGET;
    default: /* the argument errors are numbered 1 to 31 */
        return status < ATTUNE_ERROR_OUT_OF_MEMORY ? EXIT_USAGE : EXIT_OTHER;
    }
}

enum exit_code cli_failed(attune_status status, const char *what)
{
    const char *text = attune_last_error();
    char *words = cli_words(text[0] ? text : attune_status_name(status));
    bool cache = status == ATTUNE_ERROR_IO && !strncmp(text, "the cache ", 10) && cli_takes("no-cache");
    cli_error("%s%s%s%s", what ? what : "", what ? ": " : "", words ? words : text,
              cache ? "; --no-cache goes without it" : "");
    free(words);
    if (attune_last_build_log()[0])
        fprintf(stderr, "%s\n", attune_last_build_log());
    return exit_code_of(status);
}

/* ---- workloads */

/* Room for more problems. */
static bool grow(struct problem_set *set, size_t more)
{
    attune_problem **grown = realloc(set->problems, (set->count + more) * sizeof *grown);
    if (!grown) {
        cli_error("out of memory");
        return false;
    }
    set->problems = grown;
    return true;
}

static bool add_problem(struct problem_set *set, const char *text)
{
    if (!grow(set, 1))
        return false;
    attune_status status = attune_problem_parse(text, &set->problems[set->count]);
    if (status)
        cli_error("workload \"%.80s\": %s", text, attune_last_error());
    set->count += !status;
    return !status;
}

static bool add_grid(struct problem_set *set, const char *text, int64_t max_kv_tokens)
{
    size_t added = 0;
    if (!grow(set, ATTUNE_GRID_MAX))
        return false;
    attune_status status =
        attune_problem_grid(text, max_kv_tokens, set->problems + set->count, ATTUNE_GRID_MAX, &added);
    if (status)
        cli_error("grid \"%.80s\": %s", text, attune_last_error());
    set->count += added;
    return !status;
}

static bool add_suite(struct problem_set *set, const char *suite)
{
    if (!attune_suite_workload(suite, 0)) {
        cli_error("unknown suite \"%s\"; suites: extend, decode, prefill", suite);
        return false;
    }
    const char *name;
    for (size_t i = 0; (name = attune_suite_workload(suite, i)); i++)
        if (!add_problem(set, name))
            return false;
    return true;
}

enum exit_code problem_set_create_grids(struct problem_set *set, const struct text_list *suites,
                                        const struct text_list *workloads, const struct text_list *grids,
                                        int64_t max_kv_tokens)
{
    *set = (struct problem_set){NULL, 0, 0};
    bool good = true;
    for (size_t i = 0; good && suites && i < suites->count; i++)
        good = add_suite(set, suites->items[i]);
    set->from_suites = set->count;
    for (size_t i = 0; good && workloads && i < workloads->count; i++)
        good = add_problem(set, workloads->items[i]);
    for (size_t i = 0; good && grids && i < grids->count; i++)
        good = add_grid(set, grids->items[i], max_kv_tokens);
    if (good && set->count == 0) {
        cli_error(grids ? "nothing to do: give --workload, --suite or --grid"
                        : "nothing to do: give --workload or --suite");
        good = false;
    }
    if (!good)
        problem_set_destroy(set);
    return good ? EXIT_DONE : EXIT_USAGE;
}

enum exit_code problem_set_create(struct problem_set *set, const struct text_list *suites,
                                  const struct text_list *workloads)
{
    return problem_set_create_grids(set, suites, workloads, NULL, 0);
}

enum exit_code problem_set_keep_supported(struct problem_set *set, bool json, bool quiet)
{
    size_t kept = 0;
    enum exit_code code = EXIT_DONE;
    for (size_t i = 0; i < set->count; i++) {
        attune_problem *problem = set->problems[i];
        if (attune_problem_supported(problem) == ATTUNE_OK) {
            set->problems[kept++] = problem;
            continue;
        }
        if (i >= set->from_suites) {
            cli_error("workload \"%s\": %s", attune_problem_name(problem), attune_last_error());
            code = EXIT_USAGE;
        } else if (json) {
            json_line(json_pack("{ss so so}", "event", "skipped", "workload", json_text(attune_problem_name(problem)),
                                "unsupported", json_text(attune_last_error())));
        } else if (!quiet) {
            printf("%s: skipped: %s\n", attune_problem_name(problem), attune_last_error());
        }
        attune_problem_destroy(&problem);
    }
    set->count = kept;
    if (!code && kept == 0) {
        cli_error("none of the suites' workloads is supported in this version");
        code = EXIT_USAGE;
    }
    return code;
}

void problem_set_destroy(struct problem_set *set)
{
    for (size_t i = 0; i < set->count; i++)
        attune_problem_destroy(&set->problems[i]);
    free(set->problems);
    *set = (struct problem_set){NULL, 0, 0};
}

/* ---- output */

json_t *json_text(const char *text)
{
    json_t *json = json_string(text);
    char *copy = json ? NULL : strdup(text);
    for (char *c = copy; c && *c; c++)
        if ((unsigned char)*c >= 0x80)
            *c = '?';
    if (copy)
        json = json_string(copy);
    free(copy);
    return json;
}

json_t *json_number(double value)
{
    return isfinite(value) ? json_real(value) : json_null();
}

json_t *json_figure(double value)
{
    return json_number(value > 0 ? value : NAN);
}

void json_line(json_t *value)
{
    json_dumpf(value, stdout, JSON_COMPACT | JSON_REAL_PRECISION(9));
    fputc('\n', stdout);
    fflush(stdout);
    json_decref(value);
}

const char *format_ms(double ms, char *text)
{
    snprintf(text, 32, ms < 1 ? "%.4f ms" : ms < 1000 ? "%.4g ms" : "%.0f ms", ms);
    return text;
}

const char *format_disturbed(double share, char *text)
{
    snprintf(text, 160, "disturbed: %s; measure again",
             share > 1 ? "over what the device can do" : "the samples' shares disagree");
    return text;
}

const char *format_simulated(const char *simulated, char *text)
{
    text[0] = '\0';
    if (simulated[0])
        snprintf(text, 160, " (simulated on %s)", simulated);
    return text;
}

void print_device_line(FILE *file, const attune_device_info *info)
{
    char simulated[160];
    fprintf(file, "%s %s: %s%s\n", info->backend, info->index, info->name,
            format_simulated(info->simulated, simulated));
}
