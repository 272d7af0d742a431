/* SPDX-License-Identifier: Apache-2.0
 * What the command-line tools share: options, errors, exit codes, workloads, JSON. */
#ifndef ATTUNE_CLI_H
#define ATTUNE_CLI_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <jansson.h>

#include <attune/tune.h>

enum exit_code {
    EXIT_DONE = 0,
    EXIT_OTHER = 1,
    EXIT_USAGE = 2,
    EXIT_NO_IMPROVEMENT = 3,
    EXIT_BUDGET = 4,
    EXIT_INTERRUPTED = 5,
    EXIT_NO_DEVICE = 6,
    EXIT_WORKER = 7,
    EXIT_STORAGE = 8,
    EXIT_DEVICE_LOST = 9,
    EXIT_ENVIRONMENT = 10 /* workers cannot work here: TMPDIR, descriptors, killed from outside */
};

/* "usage", "storage", ...: what the code is called in JSON. */
const char *exit_code_name(enum exit_code code);

/* ---- a program's start and end */

/* First in main: opens descriptors 0 to 2 where they are closed, so that no file of ours gets one of them; keeps name
 * (static storage) for errors, and whether --json is among the arguments. */
void cli_begin(const char *name, int argc, char **argv);
/* Last in main: ends a JSON stream of a command that failed with {"event": "end", "exit_code", "status", "error"},
 * unless its end was written; says so when standard output cannot be written. */
enum exit_code cli_finish(enum exit_code code);
/* Adds those members to an "end" event and writes it: the stream has its end. error may be NULL. Takes event. */
void cli_json_end(json_t *event, enum exit_code code, const char *error);

/* ---- errors */

/* "attune: TEXT" on stderr, where attune is the program's name. The first is the one that ends a JSON stream. */
void cli_error(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* The same for what is no reason to fail. */
void cli_note(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* The first cli_error's text; NULL: there was none. */
const char *cli_first_error(void);
/* Reports the library's last failure and says which exit code belongs to it. what may be NULL. */
enum exit_code cli_failed(attune_status status, const char *what);
/* "options.budget_tests" in a text of the library's becomes "--budget-tests", where that is an option of the command, and
 * "problems[0]" "workload 1".
 * free() it; NULL when out of memory. */
char *cli_words(const char *text);
/* The word of a NULL-terminated list that is spelt most like `word`, or NULL if none is close. */
const char *cli_closest(const char *word, const char *const *list);
/* Log callback: warnings and errors on stderr. */
void cli_log(void *priv, attune_log_level level, const char *message);

/* ---- options: --name VALUE or --name=VALUE; "--" ends them. One that takes a value takes it once, and none is empty.
 */

enum option_kind {
    OPTION_FLAG,    /* bool */
    OPTION_TEXT,    /* const char * */
    OPTION_TEXTS,   /* struct text_list; may be given several times */
    OPTION_INTEGER, /* int64_t within low .. high */
    OPTION_REAL     /* double within low .. high, in decimal digits */
};

struct text_list {
    const char **items; /* argc of them fit */
    size_t count;
};

struct option {
    const char *name;
    enum option_kind kind;
    void *value;
    int64_t low, high;
    unsigned modes; /* bits: the command's modes in which it means something; 0 = all */
};

/* Reads argv[1..argc-1]. Options end with a NULL name. Words that are no options go to words, which may be NULL where
 * none is expected. False, with the error printed, when something is wrong. Lists borrow argv's strings; free their
 * items. */
bool cli_parse(int argc, char **argv, const struct option *options, struct text_list *words);

/* Whether the command has the option. */
bool cli_takes(const char *name);
/* Whether the option was among the arguments that cli_parse read last. */
bool cli_given(const char *name);
/* Whether all options that were given mean something in mode, a bit; names[] says what the modes' bits are called, from
 * bit 0 on. False, with the error printed, where one does not. */
bool cli_goes_with(unsigned mode, const char *const *names);
/* Whether the library has the strategy; `all`: or it is "all". False with the error printed. */
bool cli_check_strategy(const char *given, bool all);
/* A number in decimal digits, with a point and an exponent or not, finite; nothing before or behind it. */
bool cli_number(const char *text, double *out);

/* True if --help or -h is among the arguments. */
bool cli_asks_for_help(int argc, char **argv);

/* --no-cache: nothing is read from or kept in a user's cache. False, with the error printed, beside --cache-dir. */
bool cli_no_cache(bool given, attune_target_options *target);

/* ---- workloads */

struct problem_set {
    attune_problem **problems;
    size_t count;
    size_t from_suites; /* the first so many were not asked for one by one */
};

/* Parses the suites' workloads and then the list; either may be NULL. EXIT_DONE, or EXIT_USAGE with the error printed.
 */
enum exit_code problem_set_create(struct problem_set *set, const struct text_list *suites,
                                  const struct text_list *workloads);
/* The same, and then the problems of grids. max_kv_tokens as for attune_problem_grid. */
enum exit_code problem_set_create_grids(struct problem_set *set, const struct text_list *suites,
                                        const struct text_list *workloads, const struct text_list *grids,
                                        int64_t max_kv_tokens);
/* A suite's rows that this version lacks are left out with a line each (an event in JSON); a workload asked for by name
 * is an error. */
enum exit_code problem_set_keep_supported(struct problem_set *set, bool json, bool quiet);
void problem_set_destroy(struct problem_set *set);

/* ---- output */

/* json_string, with '?' for the bytes of a text that is not UTF-8 (paths and drivers' names may be anything). */
json_t *json_text(const char *text);
/* json_real, or null for a value that is not finite or (as all our figures) not positive. */
json_t *json_figure(double value);
/* json_real, or null for a value that is not finite. */
json_t *json_number(double value);
/* Writes one line on stdout and releases the value. */
void json_line(json_t *value);
/* "12.3 ms", "1.23 s"; text[32]. */
const char *format_ms(double ms, char *text);
/* Why a share of the roofline is no figure; text[160]. */
const char *format_disturbed(double share, char *text);
/* " (simulated on pocl 3.1 ...)", or "" for hardware; text[160]. */
const char *format_simulated(const char *simulated, char *text);
/* "name, vendor ..." of a device on one line, with what simulates it. */
void print_device_line(FILE *file, const attune_device_info *info);

#endif
