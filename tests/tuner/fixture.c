/* SPDX-License-Identifier: Apache-2.0 */
#define _GNU_SOURCE
#include "fixture.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "tuner/folder.h"
#include "tuner/journal.h"
#include "tuner/target.h"

static char clock_path[] = "/tmp/attune-test-clock-XXXXXX";

static void remove_clock(void)
{
    unlink(clock_path);
}

void use_virtual_clock(void)
{
    int fd = mkstemp(clock_path);
    uint64_t start = 1000000000;
    assert_true(fd >= 0 && write(fd, &start, sizeof start) == (ssize_t)sizeof start);
    close(fd);
    setenv("ATTUNE_TEST_CLOCK", clock_path, 1);
    atexit(remove_clock);
    assert_true(clock_is_virtual());
}

void fixture_init(struct fixture *f)
{
    memset(f, 0, sizeof *f);
    strcpy(f->root, "/tmp/attune-test-tuner-XXXXXX");
    assert_non_null(mkdtemp(f->root));
    snprintf(f->temp, sizeof f->temp, "%s/temp", f->root);
    snprintf(f->cache, sizeof f->cache, "%s/cache", f->root);
    assert_int_equal(mkdir(f->temp, 0700), 0);
    setenv("TMPDIR", f->temp, 1);
    unsetenv("ATTUNE_KERNEL_DIR");
    set_script("{}");
    check_ok(attune_problem_parse("extend:hq=2,hkv=1,d=64,prefix=8,new=4", &f->problem));
}

static int entries_of(const char *path)
{
    DIR *folder = opendir(path);
    int count = 0;
    for (struct dirent *e; folder && (e = readdir(folder));)
        count += e->d_name[0] != '.';
    if (folder)
        closedir(folder);
    return count;
}

/* A worker has our temp folder in its environment; so have compilers that it started. */
static bool belongs(const char *pid, const char *temp)
{
    char path[300], text[65536];
    snprintf(path, sizeof path, "/proc/%s/environ", pid);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t got = fd >= 0 ? read(fd, text, sizeof text) : -1;
    if (fd >= 0)
        close(fd);
    return got > 0 && memmem(text, (size_t)got, temp, strlen(temp)) && atoi(pid) != getpid();
}

int count_workers(const struct fixture *f)
{
    DIR *proc = opendir("/proc");
    int count = 0;
    for (struct dirent *e; proc && (e = readdir(proc));)
        count += e->d_name[0] >= '0' && e->d_name[0] <= '9' && belongs(e->d_name, f->temp);
    if (proc)
        closedir(proc);
    return count;
}

void close_target(struct fixture *f)
{
    attune_target_destroy(&f->target);
    assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
    assert_int_equal(errno, ECHILD); /* no zombie, no child */
    /* The rest of a killed group is reaped by init a moment later. */
    const struct timespec pause = {0, 10000000};
    for (int i = 0; i < 200 && count_workers(f); i++)
        nanosleep(&pause, NULL);
    assert_int_equal(count_workers(f), 0);
    assert_int_equal(entries_of(f->temp), 0);
}

void fixture_end(struct fixture *f)
{
    close_target(f);
    attune_problem_destroy(&f->problem);
    folder_remove(f->root);
}

void set_script(const char *script)
{
    setenv("ATTUNE_FAKE_ICD", script, 1);
}

void open_target(struct fixture *f, const char *backend)
{
    attune_target_options options = ATTUNE_TARGET_OPTIONS_INIT;
    options.backend = backend;
    options.cache_dir = f->cache;
    check_ok(attune_target_create(&f->target, &options));
    /* A busy machine is no reason to fail. */
    f->target->session.deadlines = (struct session_deadlines){60, 60, 60, 60, 20, 20};
}

void be_impatient(struct fixture *f)
{
    f->target->session.deadlines = (struct session_deadlines){20, 20, 5, 2, 20, 2};
}

attune_tune_options budget(int32_t tests)
{
    attune_tune_options options = ATTUNE_TUNE_OPTIONS_INIT;
    options.budget_tests = tests;
    return options;
}

void tune(struct fixture *f, const attune_tune_options *options, attune_tune_result *result,
          attune_tune_summary *summary)
{
    const attune_problem *problems[] = {f->problem};
    check_ok(attune_tune(f->target, problems, 1, options, result, summary));
}

struct counting {
    const char *type, *member, *text;
    bool part; /* text is a part of the member */
    int count;
};

static bool count_record(void *priv, uint64_t sequence, const json_t *record)
{
    struct counting *c = priv;
    (void)sequence;
    const char *type = json_string_value(json_object_get(record, "type"));
    const char *value = c->member ? json_string_value(json_object_get(record, c->member)) : NULL;
    if (type && !strcmp(type, c->type) &&
        (!c->member || (value && (c->part ? strstr(value, c->text) != NULL : !strcmp(value, c->text)))))
        c->count++;
    return true;
}

static int count(const char *journal, struct counting c)
{
    bool bad_tail = false;
    check_ok(journal_read(journal, count_record, &c, &bad_tail));
    assert_false(bad_tail);
    return c.count;
}

int count_records(const char *journal, const char *type, const char *member, const char *text)
{
    return count(journal, (struct counting){type, member, text, false, 0});
}

int count_reasons(const char *journal, const char *text)
{
    return count(journal, (struct counting){"fault", "reason", text, true, 0});
}
