/* SPDX-License-Identifier: Apache-2.0
 * Options of the command-line tools. */
#include "cli.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

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

/* ---- what was given */

#define MAX_OPTIONS 64

/* Of the last cli_parse. The names are literals. */
static struct {
    const char *name;
    unsigned modes;
    bool given;
} known[MAX_OPTIONS];
static size_t num_known;

static void remember(const struct option *options)
{
    for (num_known = 0; num_known < MAX_OPTIONS && options[num_known].name; num_known++) {
        known[num_known].name = options[num_known].name;
        known[num_known].modes = options[num_known].modes;
        known[num_known].given = false;
    }
}

bool cli_given(const char *name)
{
    for (size_t i = 0; i < num_known; i++)
        if (!strcmp(known[i].name, name))
            return known[i].given;
    return false;
}

bool cli_goes_with(unsigned mode, const char *const *names)
{
    for (size_t i = 0; i < num_known; i++) {
        if (!known[i].given || !known[i].modes || known[i].modes & mode)
            continue;
        char list[200] = "";
        for (unsigned bit = 0, rest = known[i].modes; rest; bit++, rest >>= 1) {
            size_t used = strlen(list);
            if (rest & 1)
                snprintf(list + used, sizeof list - used, "%s%s", used ? " or " : "", names[bit]);
        }
        cli_error("--%s goes only with %s", known[i].name, list);
        return false;
    }
    return true;
}

/* Members of the library's options whose option has another name. */
static const char *option_of_member(const char *member, size_t length, char *name)
{
    static const char *const others[][2] = {
        {"num_slots", "slots"}, {"page_sizes", "pages"}, {"settings", "option"}, {"num_seeds", "num-seeds"}};
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++)
        if (strlen(others[i][0]) == length && !memcmp(others[i][0], member, length))
            return others[i][1];
    if (length > 39)
        return NULL;
    for (size_t i = 0; i < length; i++)
        name[i] = member[i] == '_' ? '-' : member[i];
    name[length] = '\0';
    return name;
}

bool cli_takes(const char *name)
{
    for (size_t i = 0; i < num_known; i++)
        if (!strcmp(known[i].name, name))
            return true;
    return false;
}

char *cli_words(const char *text)
{
    static const char prefix[] = "options.";
    const size_t skip = sizeof prefix - 1;
    char *out = malloc(2 * strlen(text) + 1), *at = out; /* no words are twice as long as what they stand for */
    while (out && *text) {
        char name[40];
        size_t length = strncmp(text, prefix, skip) ? 0 : strspn(text + skip, "abcdefghijklmnopqrstuvwxyz_");
        const char *option = length ? option_of_member(text + skip, length, name) : NULL;
        int number, end = 0;
        if (sscanf(text, "problems[%d]%n", &number, &end) == 1 && end) {
            at += sprintf(at, "workload %d", number + 1);
            text += end;
        } else if (!strncmp(text, "num_problems ", 13)) {
            at += sprintf(at, "number of workloads ");
            text += 13;
        } else if (option && cli_takes(option)) {
            at += sprintf(at, "--%s", option);
            text += skip + length;
        } else {
            *at++ = *text++;
        }
    }
    if (out)
        *at = '\0';
    return out;
}

/* ---- reading */

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

bool cli_number(const char *text, double *out)
{
    char *end;
    if (!*text ||
        text[strspn(text, "+-.0123456789eE")]) /* strtod takes hexadecimal, infinity, NaN and white space too */
        return false;
    *out = strtod(text, &end);
    return end != text && !*end && isfinite(*out);
}

static bool whole_number(const char *text, int64_t *out)
{
    char *end;
    errno = 0;
    *out = strtoll(text, &end, 10);
    return *text && !text[strspn(text, "+-0123456789")] && end != text && !*end && !errno;
}

static bool set_number(const struct option *option, const char *text)
{
    bool is_real = option->kind == OPTION_REAL;
    double real = 0;
    int64_t integer = 0;
    bool good = is_real ? cli_number(text, &real) && real >= (double)option->low && real <= (double)option->high
                        : whole_number(text, &integer) && integer >= option->low && integer <= option->high;
    if (!good) {
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

/* The option that argv[*i] names, with its value, if it takes one, from there or from the next. */
static bool read_option(const struct option *options, int argc, char **argv, int *i)
{
    const char *arg = argv[*i], *given = strchr(arg, '=');
    char name[40] = "";
    snprintf(name, sizeof name, "%.*s", (int)(given ? given - arg : (ptrdiff_t)strlen(arg)) - 2, arg + 2);
    const struct option *option = options;
    while (option->name && (arg[1] != '-' || strcmp(option->name, name)))
        option++;
    if (!option->name)
        return unknown_option(arg, arg[1] == '-' ? name : arg + 1, options);
    bool again = known[option - options].given;
    known[option - options].given = true;
    if (option->kind == OPTION_FLAG) {
        if (given)
            cli_error("--%s takes no value", name);
        else
            *(bool *)option->value = true;
        return !given;
    }
    if (again && option->kind != OPTION_TEXTS) {
        cli_error("--%s is given twice", name);
        return false;
    }
    if (!given && *i + 1 == argc) {
        cli_error("--%s needs a value", name);
        return false;
    }
    const char *value = given ? given + 1 : argv[++*i];
    if (!*value) {
        cli_error("--%s is empty", name);
        return false;
    }
    return set_value(option, value, argc);
}

bool cli_parse(int argc, char **argv, const struct option *options, struct text_list *words)
{
    bool only_words = false;
    remember(options);
    for (int i = 1; i < argc; i++) {
        const char *arg = argv[i];
        if (only_words || arg[0] != '-' || !arg[1]) {
            if (!words) {
                cli_error("unexpected argument \"%s\"; see --help", arg);
                return false;
            }
            if (!append(words, arg, argc))
                return false;
        } else if (!strcmp(arg, "--")) {
            only_words = true;
        } else if (!read_option(options, argc, argv, &i)) {
            return false;
        }
    }
    return true;
}

bool cli_check_strategy(const char *given, bool all)
{
    const char *name;
    if (!given || (all && !strcmp(given, "all")))
        return true;
    for (size_t i = 0; (name = attune_search_strategy(i)); i++)
        if (!strcmp(name, given))
            return true;
    char list[512] = "";
    for (size_t i = 0; (name = attune_search_strategy(i)); i++) {
        size_t used = strlen(list);
        snprintf(list + used, sizeof list - used, " %s", name);
    }
    cli_error("unknown strategy \"%s\"; strategies:%s%s", given, all ? " all" : "", list);
    return false;
}

bool cli_asks_for_help(int argc, char **argv)
{
    for (int i = 1; i < argc && strcmp(argv[i], "--"); i++)
        if (!strcmp(argv[i], "--help") || !strcmp(argv[i], "-h"))
            return true;
    return false;
}

bool cli_no_cache(bool given, attune_target_options *target)
{
    if (given && target->cache_dir)
        cli_error("give only one of --cache-dir and --no-cache");
    else if (given)
        target->cache_dir = "";
    return !given || !*target->cache_dir;
}
