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

/* ---- errors */

/* "attune: TEXT" on stderr, where attune is the program's name. */
void cli_error(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* The name that cli_error writes. Static storage; set once, first in main. */
void cli_set_program(const char *name);
const char *cli_program(void);
/* Reports the library's last failure and says which exit code belongs to it. what may be NULL. */
enum exit_code cli_failed(attune_status status, const char *what);
/* The word of a NULL-terminated list that is spelt most like `word`, or NULL if none is close. */
const char *cli_closest(const char *word, const char *const *list);
/* Log callback: warnings and errors on stderr. */
void cli_log(void *priv, attune_log_level level, const char *message);

/* ---- options: --name VALUE or --name=VALUE; "--" ends them */

enum option_kind {
    OPTION_FLAG,    /* bool */
    OPTION_TEXT,    /* const char * */
    OPTION_TEXTS,   /* struct text_list; may be given several times */
    OPTION_INTEGER, /* int64_t within low .. high */
    OPTION_REAL     /* double within low .. high */
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
};

/* Reads argv[1..argc-1]. Options end with a NULL name. Words that are no options go to words, which may be NULL where
 * none is expected. False, with the error printed, when something is wrong. Lists borrow argv's strings; free their
 * items. */
bool cli_parse(int argc, char **argv, const struct option *options, struct text_list *words);

/* True if --help or -h is among the arguments. */
bool cli_asks_for_help(int argc, char **argv);

/* ---- workloads */

struct problem_set {
    attune_problem **problems;
    size_t count;
};

/* Parses a suite's workloads (suite may be NULL) and then the list. EXIT_DONE, or EXIT_USAGE with the error printed. */
enum exit_code problem_set_create(struct problem_set *set, const char *suite, const struct text_list *workloads);
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
/* " (simulated on pocl 3.1 ...)", or "" for hardware; text[160]. */
const char *format_simulated(const char *simulated, char *text);
/* "name, vendor ..." of a device on one line, with what simulates it. */
void print_device_line(FILE *file, const attune_device_info *info);

#endif
