/* SPDX-License-Identifier: Apache-2.0
 * A tuner on the scripted driver: own temp folder, own caches, virtual clock. */
#ifndef ATTUNE_TESTS_TUNER_FIXTURE_H
#define ATTUNE_TESTS_TUNER_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <attune/tune.h>

#define check_ok(call)                                                                       \
    do {                                                                                     \
        attune_status status_ = (call);                                                      \
        if (status_ != ATTUNE_OK)                                                            \
            fail_msg("%s: %s: %s", #call, attune_status_name(status_), attune_last_error()); \
    } while (0)

struct fixture {
    char root[256]; /* everything below goes away at the end */
    char temp[300]; /* TMPDIR: workers' folders */
    char cache[300];
    attune_problem *problem;
    attune_target *target;
};

/* Before anything reads a clock. */
void use_virtual_clock(void);
void fixture_init(struct fixture *f);
/* Ends the target; fails if a worker, a zombie or a folder is left. */
void fixture_end(struct fixture *f);

/* Sets the script of the workers that start from now on. */
void set_script(const char *script);
/* Opens the target on the scripted GPU with the fixture's caches. */
void open_target(struct fixture *f, const char *backend);
/* Hangs are real time that a test waits for: short deadlines. */
void be_impatient(struct fixture *f);
void close_target(struct fixture *f);

/* Workers alive or zombie of this fixture. */
int count_workers(const struct fixture *f);

/* Tunes the fixture's problem with a budget of tests, and checks nothing but the status. */
void tune(struct fixture *f, const attune_tune_options *options, attune_tune_result *result,
          attune_tune_summary *summary);
attune_tune_options budget(int32_t tests);

/* Number of records of a type in the journal whose member has the given text (member NULL: all). */
int count_records(const char *journal, const char *type, const char *member, const char *text);
/* Number of fault records whose reason contains text. */
int count_reasons(const char *journal, const char *text);

#endif
