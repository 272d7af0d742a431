/* SPDX-License-Identifier: Apache-2.0
 * Workers and supervisors that are killed at random while they tune, and eight tunings at once on one cache: no promotion without
 * its comparison, and no entry is lost. The seed is the first argument, or random; it is printed. */
#define _GNU_SOURCE
#include "fixture.h"

#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/base.h"

#define KILLS 30
#define TOGETHER 8
#define BUDGET 12
#define MAX_ENTRIES 16
#define SCRIPT                                                                                                     \
    "{\"devices\": [{\"name\": \"Fake GPU\", \"time\": {\"default_ns\": 20000000, \"noise\": 0.02, \"by_option\": " \
    "[{\"match\": \"BLOCK_Q=16\", \"factor\": 0.7}]}}]}"

static const char *const problems[] = {"extend:hq=2,hkv=1,d=64,prefix=8,new=4", "extend:hq=2,hkv=1,d=64,prefix=100,new=4",
                                       "extend:hq=2,hkv=1,d=64,prefix=8,new=40", "extend:hq=2,hkv=1,d=32,prefix=8,new=4"};
#define NUM_PROBLEMS ((int)(sizeof problems / sizeof *problems))

static struct rng rng;

static int below(int limit)
{
    return (int)rng_below(&rng, (uint64_t)limit);
}

static void wait_ms(int ms)
{
    const struct timespec pause = {ms / 1000, (ms % 1000) * 1000000l};
    nanosleep(&pause, NULL);
}

/* ---- one tuning in a process of its own, with a clock of its own. 0: done; 2: the environment ended it; else it failed. */

static int tune_in_child(const struct fixture *f, int problem, uint64_t seed)
{
    char clock[320];
    snprintf(clock, sizeof clock, "%s/clock-%ld", f->root, (long)getpid());
    int fd = open(clock, O_CREAT | O_WRONLY, 0600);
    uint64_t start = 1000000000;
    if (fd < 0 || write(fd, &start, sizeof start) != (ssize_t)sizeof start)
        return 3;
    close(fd);
    setenv("ATTUNE_TEST_CLOCK", clock, 1);
    attune_target_options options = ATTUNE_TARGET_OPTIONS_INIT;
    options.backend = "gpu";
    options.cache_dir = f->cache;
    attune_target *target;
    attune_problem *p;
    attune_status status = attune_problem_parse(problems[problem], &p);
    if (!status)
        status = attune_target_create(&target, &options);
    if (status)
        return status == ATTUNE_ERROR_ENVIRONMENT ? 2 : 4;
    attune_tune_options how = ATTUNE_TUNE_OPTIONS_INIT;
    how.budget_tests = BUDGET;
    how.seed = seed;
    how.retune = 1;
    attune_tune_result result;
    const attune_problem *const list[] = {p};
    status = attune_tune(target, list, 1, &how, &result, NULL);
    if (status == ATTUNE_OK && result.promoted && !(result.gain_low > 1 && result.default_ms > 0))
        status = ATTUNE_ERROR_INTERNAL;
    if (status && status != ATTUNE_ERROR_ENVIRONMENT)
        fprintf(stderr, "%s: %s\n", attune_status_name(status), attune_last_error());
    attune_target_destroy(&target);
    attune_problem_destroy(&p);
    unlink(clock);
    return !status ? 0 : status == ATTUNE_ERROR_ENVIRONMENT ? 2 : 5;
}

static pid_t start_tuning(const struct fixture *f)
{
    int problem = below(NUM_PROBLEMS);
    uint64_t seed = rng_next(&rng) >> 1;
    pid_t child = fork();
    if (child == 0)
        _exit(tune_in_child(f, problem, seed));
    assert_true(child > 0);
    return child;
}

/* ---- the cache: what was there stays, and all of it was compared */

struct seen {
    char keys[MAX_ENTRIES][40];
    int count, now;
};

static int check_entry(void *priv, const attune_cache_entry_info *entry)
{
    struct seen *seen = priv;
    int i = 0;
    seen->now++;
    if (!(entry->gain > 0 && entry->default_ms > 0 && entry->time_ms > 0 && entry->verified && entry->tests > 0))
        fail_msg("%s: gain %g, default %g ms, %g ms, %d tests", entry->workload, entry->gain, entry->default_ms, entry->time_ms,
                 entry->tests);
    /* The truth is 1, or 1 / 0.7: anything else would be a comparison of something else. */
    if (strstr(entry->config, "BLOCK_Q=16,") ? entry->gain < 1.3 || entry->gain > 1.56 : entry->gain > 1.1)
        fail_msg("%s: gain %g of %s", entry->workload, entry->gain, entry->config);
    while (i < seen->count && strcmp(seen->keys[i], entry->key))
        i++;
    if (i == seen->count && seen->count < MAX_ENTRIES)
        snprintf(seen->keys[seen->count++], sizeof seen->keys[0], "%s", entry->key);
    return 0;
}

static void check_cache(const struct fixture *f, struct seen *seen)
{
    attune_target_options options = ATTUNE_TARGET_OPTIONS_INIT;
    options.cache_dir = f->cache;
    size_t unreadable = 0;
    int before = seen->count;
    seen->now = 0;
    check_ok(attune_cache_list(&options, check_entry, seen, &unreadable));
    assert_int_equal(unreadable, 0);
    assert_true(seen->now >= before && seen->now == seen->count);
}

/* ---- killing */

/* A child of the process, or 0. */
static pid_t child_of(pid_t parent)
{
    DIR *proc = opendir("/proc");
    pid_t found = 0;
    for (struct dirent *e; proc && !found && (e = readdir(proc));) {
        char path[300], text[512];
        long of = 0;
        snprintf(path, sizeof path, "/proc/%s/stat", e->d_name);
        int fd = e->d_name[0] >= '1' && e->d_name[0] <= '9' ? open(path, O_RDONLY | O_CLOEXEC) : -1;
        ssize_t got = fd >= 0 ? read(fd, text, sizeof text - 1) : -1;
        if (fd >= 0)
            close(fd);
        text[got > 0 ? got : 0] = '\0';
        const char *end = got > 0 ? strrchr(text, ')') : NULL;
        if (end && sscanf(end + 1, " %*c %ld", &of) == 1 && of == (long)parent)
            found = (pid_t)atol(e->d_name);
    }
    if (proc)
        closedir(proc);
    return found;
}

static void workers_are_killed(void **state)
{
    struct fixture *f = *state;
    struct seen seen = {.count = 0};
    int kills = 0, tunings = 0, ended = 0;
    while (kills < KILLS) {
        pid_t tuning = start_tuning(f);
        int code = 0;
        tunings++;
        while (waitpid(tuning, &code, WNOHANG) == 0) {
            wait_ms(100 + below(1500));
            pid_t worker = child_of(tuning);
            if (worker > 0 && kills < KILLS && kill(worker, SIGKILL) == 0)
                kills++;
        }
        assert_true(WIFEXITED(code) && (WEXITSTATUS(code) == 0 || WEXITSTATUS(code) == 2));
        ended += WEXITSTATUS(code) == 2;
        check_cache(f, &seen);
    }
    printf("%d kills of workers in %d tunings, of which the environment ended %d; %d entries\n", kills, tunings, ended, seen.count);
    assert_true(seen.count > 0);
}

static void supervisors_are_killed(void **state)
{
    struct fixture *f = *state;
    struct seen seen = {.count = 0};
    int kills = 0, done = 0;
    check_cache(f, &seen);
    while (kills < KILLS) {
        pid_t tuning = start_tuning(f);
        int code = 0;
        wait_ms(50 + below(4000));
        if (waitpid(tuning, &code, WNOHANG) == 0) {
            kill(tuning, SIGKILL);
            waitpid(tuning, &code, 0);
            kills++;
        } else {
            assert_true(WIFEXITED(code) && WEXITSTATUS(code) == 0);
            done++;
        }
        check_cache(f, &seen);
    }
    printf("%d kills of supervisors, %d tunings that were quicker; %d entries\n", kills, done, seen.count);
    for (int i = 0; i < 500 && count_workers(f); i++)
        wait_ms(10);
    assert_int_equal(count_workers(f), 0);
}

static void many_tune_at_once(void **state)
{
    struct fixture *f = *state;
    struct seen seen = {.count = 0};
    pid_t tunings[TOGETHER];
    check_cache(f, &seen);
    for (int i = 0; i < TOGETHER; i++)
        tunings[i] = start_tuning(f);
    for (int i = 0; i < TOGETHER; i++) {
        int code;
        assert_int_equal(waitpid(tunings[i], &code, 0), tunings[i]);
        assert_int_equal(code, 0);
        check_cache(f, &seen);
    }
    printf("%d tunings at once; %d entries\n", TOGETHER, seen.count);
}

int main(int argc, char **argv)
{
    uint64_t seed = argc > 1 ? strtoull(argv[1], NULL, 10) : (uint64_t)time(NULL) ^ (uint64_t)getpid() << 32;
    printf("seed %llu\n", (unsigned long long)seed);
    fflush(stdout);
    rng_seed(&rng, seed);
    static struct fixture f;
    fixture_init(&f);
    set_script(SCRIPT);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_prestate(workers_are_killed, &f),
        cmocka_unit_test_prestate(supervisors_are_killed, &f),
        cmocka_unit_test_prestate(many_tune_at_once, &f),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    attune_problem_destroy(&f.problem);
    char command[400];
    snprintf(command, sizeof command, "rm -rf '%s'", f.root);
    return system(command) || failed;
}
