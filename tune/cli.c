/* SPDX-License-Identifier: Apache-2.0 */
#include "cli.h"

#include <errno.h>
#include <math.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

static const char *program = "attune";

void cli_set_program(const char *name)
{
    program = name;
}

const char *cli_program(void)
{
    return program;
}

void cli_error(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    fprintf(stderr, "%s: ", program);
    vfprintf(stderr, format, args);
    fputc('\n', stderr);
    va_end(args);
}

void cli_log(void *priv, attune_log_level level, const char *message)
{
    (void)priv;
    cli_error("%s: %s",
              level == ATTUNE_LOG_ERROR     ? "error"
              : level == ATTUNE_LOG_WARNING ? "warning"
                                            : "note",
              message);
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
    cli_error("%s%s%s", what ? what : "", what ? ": " : "", text[0] ? text : attune_status_name(status));
    if (attune_last_build_log()[0])
        fprintf(stderr, "%s\n", attune_last_build_log());
    return exit_code_of(status);
}

/* Levenshtein's distance, for words below 32 characters. */
static int distance(const char *a, const char *b)
{
    size_t a_length = strlen(a), b_length = strlen(b);
    int row[33];
    if (a_length > 32 || b_length > 32)
        return 99;
    for (size_t j = 0; j <= b_length; j++)
        row[j] = (int)j;
    for (size_t i = 1; i <= a_length; i++) {
        int diagonal = row[0];
        row[0] = (int)i;
        for (size_t j = 1; j <= b_length; j++) {
            int best = diagonal + (a[i - 1] != b[j - 1]);
            diagonal = row[j];
            best = row[j] + 1 < best ? row[j] + 1 : best;
            row[j] = row[j - 1] + 1 < best ? row[j - 1] + 1 : best;
        }
    }
    return row[b_length];
}

const char *cli_closest(const char *word, const char *const *list)
{
    const char *closest = NULL;
    int least = (int)strlen(word) / 2 + 1;
    for (; *list; list++) {
        int d = distance(word, *list);
        if (d < least) {
            least = d;
            closest = *list;
        }
    }
    return closest;
}

/* ---- options */

static bool unknown_option(const char *arg, const char *name, const struct option *options)
{
    const char *names[64];
    size_t count = 0;
    for (; count < 62 && options[count].name; count++)
        names[count] = options[count].name;
    names[count++] = "help";
    names[count] = NULL;
    const char *closest = cli_closest(name, names);
    if (closest)
        cli_error("unknown option %s; did you mean --%s?", arg, closest);
    else
        cli_error("unknown option %s; see --help", arg);
    return false;
}

static bool append(struct text_list *list, const char *text, int capacity)
{
    if (!list->items)
        list->items = malloc((size_t)capacity * sizeof *list->items);
    if (!list->items) {
        cli_error("out of memory");
        return false;
    }
    list->items[list->count++] = text;
    return true;
}

static bool set_number(const struct option *option, const char *text)
{
    char *end;
    errno = 0;
    bool is_real = option->kind == OPTION_REAL;
    double real = is_real ? strtod(text, &end) : 0;
    long long integer = is_real ? 0 : strtoll(text, &end, 10);
    bool in_range = is_real ? real >= (double)option->low && real <= (double)option->high
                            : integer >= option->low && integer <= option->high;
    if (end == text || *end || errno || !in_range) {
        cli_error("--%s is \"%s\"; it must be a%s from %lld to %lld", option->name, text,
                  is_real ? " number" : "n integer", (long long)option->low, (long long)option->high);
        return false;
    }
    if (is_real)
        *(double *)option->value = real;
    else
        *(int64_t *)option->value = integer;
    return true;
}

static bool set_value(const struct option *option, const char *text, int capacity)
{
    if (option->kind == OPTION_TEXTS)
        return append(option->value, text, capacity);
    if (option->kind != OPTION_TEXT)
        return set_number(option, text);
    *(const char **)option->value = text;
    return true;
}

bool cli_parse(int argc, char **argv, const struct option *options, struct text_list *words)
{
    bool only_words = false;
    for (int i = 1; i < argc; i++) {
        const char *arg = argv[i];
        if (only_words || arg[0] != '-' || !arg[1]) {
            if (!words) {
                cli_error("unexpected argument \"%s\"; see --help", arg);
                return false;
            }
            if (!append(words, arg, argc))
                return false;
            continue;
        }
        if (!strcmp(arg, "--")) {
            only_words = true;
            continue;
        }
        char name[40] = "";
        const char *given = strchr(arg, '=');
        snprintf(name, sizeof name, "%.*s", (int)(given ? given - arg : (ptrdiff_t)strlen(arg)) - 2, arg + 2);
        const struct option *option = options;
        while (option->name && (arg[1] != '-' || strcmp(option->name, name)))
            option++;
        if (!option->name)
            return unknown_option(arg, arg[1] == '-' ? name : arg + 1, options);
        if (option->kind == OPTION_FLAG) {
            if (given) {
                cli_error("--%s takes no value", name);
                return false;
            }
            *(bool *)option->value = true;
            continue;
        }
        if (!given && i + 1 == argc) {
            cli_error("--%s needs a value", name);
            return false;
        }
        if (!set_value(option, given ? given + 1 : argv[++i], argc))
            return false;
    }
    return true;
}

bool cli_asks_for_help(int argc, char **argv)
{
    for (int i = 1; i < argc && strcmp(argv[i], "--"); i++)
        if (!strcmp(argv[i], "--help") || !strcmp(argv[i], "-h"))
            return true;
    return false;
}

/* ---- workloads */

static bool add_problem(struct problem_set *set, const char *text)
{
    attune_problem *problem;
    attune_status status = attune_problem_parse(text, &problem);
    if (status) {
        cli_error("workload \"%.80s\": %s", text, attune_last_error());
        return false;
    }
    attune_problem **grown = realloc(set->problems, (set->count + 1) * sizeof *grown);
    if (!grown) {
        cli_error("out of memory");
        attune_problem_destroy(&problem);
        return false;
    }
    set->problems = grown;
    grown[set->count++] = problem;
    return true;
}

enum exit_code problem_set_create(struct problem_set *set, const char *suite, const struct text_list *workloads)
{
    *set = (struct problem_set){NULL, 0};
    bool good = true;
    if (suite && !attune_suite_workload(suite, 0)) {
        cli_error("unknown suite \"%s\"; suites: extend, decode, prefill", suite);
        good = false;
    }
    const char *name;
    for (size_t i = 0; good && suite && (name = attune_suite_workload(suite, i)); i++)
        good = add_problem(set, name);
    for (size_t i = 0; good && i < workloads->count; i++)
        good = add_problem(set, workloads->items[i]);
    if (good && set->count == 0) {
        cli_error("nothing to do: give --workload or --suite");
        good = false;
    }
    if (!good)
        problem_set_destroy(set);
    return good ? EXIT_DONE : EXIT_USAGE;
}

void problem_set_destroy(struct problem_set *set)
{
    for (size_t i = 0; i < set->count; i++)
        attune_problem_destroy(&set->problems[i]);
    free(set->problems);
    *set = (struct problem_set){NULL, 0};
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
    fprintf(file, "%s %s: %s%s\n", info->backend, info->selector, info->name,
            format_simulated(info->simulated, simulated));
}
