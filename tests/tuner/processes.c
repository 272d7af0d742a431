/* SPDX-License-Identifier: Apache-2.0
 * Workers as processes: who dies with whom, and what is left. */
#define _GNU_SOURCE
#include "fixture.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "tuner/target.h"

#define HEALTHY "{\"devices\": [{\"name\": \"Fake GPU\", \"time\": {\"default_ns\": 20000000}}]}"

static void wait_ms(int ms)
{
    const struct timespec pause = {ms / 1000, (ms % 1000) * 1000000l};
    nanosleep(&pause, NULL);
}

static void expect_no_workers(const struct fixture *f)
{
    for (int i = 0; i < 300 && count_workers(f); i++)
        wait_ms(10);
    assert_int_equal(count_workers(f), 0);
}

struct killing {
    struct fixture *f;
    int at_test;
    const char *next_script; /* of later workers, or NULL */
};

static int kill_worker(void *priv, const attune_tune_progress *progress)
{
    struct killing *k = priv;
    pid_t pid = k->f->target->session.process.pid;
    if (pid <= 0 || strcmp(progress->phase, "search") || progress->tests != k->at_test)
        return 0;
    if (k->next_script)
        set_script(k->next_script);
    kill(pid, SIGKILL);
    return 0;
}

/* As an operator or the kernel's memory killer might: the test is made again. */
static void killed_worker_costs_no_test(void **state)
{
    (void)state;
    struct fixture f;
    fixture_init(&f);
    set_script(HEALTHY);
    open_target(&f, "gpu");
    struct killing k = {&f, 3, NULL};
    attune_tune_options options = budget(8);
    options.progress = kill_worker;
    options.progress_priv = &k;
    attune_tune_result result;
    attune_tune_summary summary;
    tune(&f, &options, &result, &summary);
    assert_int_equal(summary.tests, 8);
    assert_int_equal(summary.outcomes[ATTUNE_OUTCOME_OK] + summary.outcomes[ATTUNE_OUTCOME_SLOW], 8);
    assert_int_equal(count_records(summary.journal, "retry", "label", "environment"), 1);
    assert_true(result.time_ms > 0);
    fixture_end(&f);
}

/* The device is gone for good: an error, in bounded time, with what was found before. */
static void lost_device_ends_the_run(void **state)
{
    (void)state;
    struct fixture f;
    fixture_init(&f);
    set_script(HEALTHY);
    open_target(&f, "gpu");
    struct killing k = {&f, 3,
                        "{\"devices\": [{\"name\": \"Fake GPU\"}], \"faults\": [{\"call\": \"clCreateContext\", "
                        "\"times\": 0, \"error\": -2}]}"};
    attune_tune_options options = budget(50);
    options.progress = kill_worker;
    options.progress_priv = &k;
    const attune_problem *problems[] = {f.problem};
    attune_tune_result result;
    attune_tune_summary summary;
    attune_status status = attune_tune(f.target, problems, 1, &options, &result, &summary);
    assert_int_equal(status, ATTUNE_ERROR_DEVICE_LOST);
    assert_true(summary.tests >= 3 && summary.tests < 10);
    assert_true(count_records(summary.journal, "fault", "label", "device_lost") >= 3);
    fixture_end(&f);
}

/* Another device in the old one's place must not be tuned under its name. */
static void replaced_device_is_refused(void **state)
{
    (void)state;
    struct fixture f;
    fixture_init(&f);
    set_script(HEALTHY);
    open_target(&f, "gpu");
    struct killing k = {&f, 2, "{\"devices\": [{\"name\": \"Another GPU\"}]}"};
    attune_tune_options options = budget(50);
    options.progress = kill_worker;
    options.progress_priv = &k;
    const attune_problem *problems[] = {f.problem};
    attune_tune_result result;
    attune_status status = attune_tune(f.target, problems, 1, &options, &result, NULL);
    assert_int_equal(status, ATTUNE_ERROR_DEVICE_LOST);
    fixture_end(&f);
}

static void growing_worker_is_stopped(void **state)
{
    (void)state;
    struct fixture f;
    fixture_init(&f);
    set_script("{\"devices\": [{\"name\": \"Fake GPU\", \"time\": {\"default_ns\": 20000000}}], \"faults\": ["
               "{\"match\": \"BLOCK_Q=32\", \"what\": \"swallow_memory\", \"bytes\": 600000000},"
               "{\"match\": \"BLOCK_Q=32\", \"what\": \"hang\"}]}");
    open_target(&f, "gpu");
    f.target->session.memory_limit = 500000000;
    f.target->session.deadlines.build = 20;
    attune_tune_options options = budget(3);
    attune_tune_result result;
    attune_tune_summary summary;
    tune(&f, &options, &result, &summary);
    assert_true(summary.outcomes[ATTUNE_OUTCOME_OUT_OF_MEMORY] > 0);
    assert_int_equal(summary.outcomes[ATTUNE_OUTCOME_TIMEOUT], 0);
    fixture_end(&f);
}

/* A supervisor that is killed takes its worker along, even one that hangs; the next one clears the folder away. */
static void worker_dies_with_its_supervisor(void **state)
{
    (void)state;
    struct fixture f;
    fixture_init(&f);
    set_script(
        "{\"devices\": [{\"name\": \"Fake GPU\"}], \"faults\": [{\"match\": \"attention\", \"what\": \"hang\"}]}");
    int ready[2];
    assert_int_equal(pipe2(ready, O_CLOEXEC), 0);
    pid_t supervisor = fork();
    if (supervisor == 0) {
        attune_target_options options = ATTUNE_TARGET_OPTIONS_INIT;
        options.backend = "gpu";
        options.cache_dir = "";
        attune_target *target;
        const char *const configs[] = {"default"};
        if (attune_target_create(&target, &options) == ATTUNE_OK && write(ready[1], "x", 1) == 1)
            attune_measure(target, f.problem, configs, 1, NULL, &(attune_measurement){0}, NULL, NULL, NULL);
        _exit(1);
    }
    char byte;
    close(ready[1]);
    assert_int_equal(read(ready[0], &byte, 1), 1);
    wait_ms(500); /* until the kernel hangs */
    assert_true(count_workers(&f) >= 1);
    kill(supervisor, SIGKILL);
    waitpid(supervisor, NULL, 0);
    expect_no_workers(&f);
    close(ready[0]);
    set_script(HEALTHY);
    open_target(&f, "gpu");
    fixture_end(&f); /* finds no folder */
}

/* While the tuner works, files may have 1 MiB only, too little for compilers: each worker from now on is refused by
 * name. */
static int limit_files(void *priv, const attune_tune_progress *progress)
{
    struct killing *k = priv;
    if (strcmp(progress->phase, "search") || progress->tests != k->at_test)
        return 0;
    setrlimit(RLIMIT_FSIZE, &(struct rlimit){1 << 20, RLIM_INFINITY});
    return kill_worker(k, progress);
}

static void environment_ends_the_run(void **state)
{
    (void)state;
    struct fixture f;
    fixture_init(&f);
    set_script(HEALTHY);
    open_target(&f, "gpu");
    struct killing k = {&f, 3, NULL};
    attune_tune_options options = budget(50);
    options.progress = limit_files;
    options.progress_priv = &k;
    const attune_problem *problems[] = {f.problem};
    attune_tune_result result;
    attune_tune_summary summary;
    attune_status status = attune_tune(f.target, problems, 1, &options, &result, &summary);
    setrlimit(RLIMIT_FSIZE, &(struct rlimit){RLIM_INFINITY, RLIM_INFINITY});
    assert_int_equal(status, ATTUNE_ERROR_ENVIRONMENT);
    assert_int_equal(summary.end, ATTUNE_TUNE_ENVIRONMENT);
    assert_non_null(strstr(summary.reason, "(ulimit -f)"));
    assert_string_equal(attune_last_error(), summary.reason);
    assert_int_equal(summary.tests, 3);
    assert_int_equal(summary.outcomes[ATTUNE_OUTCOME_CRASHED] + summary.outcomes[ATTUNE_OUTCOME_BUILD_FAILED], 0);
    fixture_end(&f);
}

static void note_warning(void *priv, attune_log_level level, const char *message)
{
    (void)level;
    snprintf(priv, 512, "%s", message);
}

/* A TMPDIR that cannot be used is named, and another folder taken; where none can be used, that is the error. */
static void unusable_folders_are_named(void **state)
{
    (void)state;
    struct fixture f;
    fixture_init(&f);
    set_script(HEALTHY);
    char warning[512], file[400], fallback[sizeof f.temp + 8];
    snprintf(file, sizeof file, "%s/file", f.root);
    snprintf(fallback, sizeof fallback, "use %s", f.temp);
    close(open(file, O_CREAT | O_WRONLY, 0600));
    attune_target_options options = ATTUNE_TARGET_OPTIONS_INIT;
    options.backend = "gpu";
    options.cache_dir = f.cache;
    options.log = note_warning;
    options.log_priv = warning;
    setenv("XDG_RUNTIME_DIR", f.temp, 1);
    static const char *const reasons[] = {"No such file or directory", "Not a directory"};
    for (int i = 0; i < 2; i++) {
        setenv("TMPDIR", i ? file : "/nonexistent", 1);
        warning[0] = '\0';
        check_ok(attune_target_create(&f.target, &options));
        if (!strstr(warning, i ? file : "TMPDIR /nonexistent") || !strstr(warning, reasons[i]) ||
            !strstr(warning, fallback))
            fail_msg("\"%s\"", warning);
        attune_target_destroy(&f.target);
    }
    setrlimit(RLIMIT_FSIZE, &(struct rlimit){1 << 20, RLIM_INFINITY});
    attune_status status = attune_target_create(&f.target, &options);
    setrlimit(RLIMIT_FSIZE, &(struct rlimit){RLIM_INFINITY, RLIM_INFINITY});
    assert_int_equal(status, ATTUNE_ERROR_ENVIRONMENT);
    assert_non_null(strstr(attune_last_error(), file));
    assert_non_null(strstr(attune_last_error(), "(ulimit -f)"));
    setenv("TMPDIR", f.temp, 1);
    unsetenv("XDG_RUNTIME_DIR");
    fixture_end(&f);
}

/* In a process of its own, whose limits and umask are its own. */
static void few_descriptors_are_named(void **state)
{
    (void)state;
    struct fixture f;
    fixture_init(&f);
    pid_t child = fork();
    if (child == 0) {
        attune_target_options options = ATTUNE_TARGET_OPTIONS_INIT;
        options.backend = "gpu";
        options.cache_dir = "";
        attune_target *target;
        setrlimit(RLIMIT_NOFILE, &(struct rlimit){16, 16});
        attune_status status = attune_target_create(&target, &options);
        _exit(status == ATTUNE_ERROR_ENVIRONMENT && strstr(attune_last_error(), "this process may have 16 (ulimit -n)")
                  ? 0
                  : 1);
    }
    int code;
    assert_int_equal(waitpid(child, &code, 0), child);
    assert_int_equal(code, 0);
    fixture_end(&f);
}

/* The worker's folder and what it writes are readable to the worker. */
static void umask_does_not_matter(void **state)
{
    (void)state;
    struct fixture f;
    fixture_init(&f);
    set_script(HEALTHY);
    mode_t before = umask(0777);
    open_target(&f, "gpu");
    char path[400];
    struct stat folder, kernels;
    snprintf(path, sizeof path, "%s/kernels", f.target->session.process.folder);
    assert_int_equal(stat(f.target->session.process.folder, &folder) | stat(path, &kernels), 0);
    umask(before);
    assert_int_equal(folder.st_mode & 07777, 0700);
    assert_int_equal(kernels.st_mode & 07777, 0700);
    fixture_end(&f);
}

static void missing_worker_is_named(void **state)
{
    (void)state;
    struct fixture f;
    fixture_init(&f);
    attune_target_options options = ATTUNE_TARGET_OPTIONS_INIT;
    options.worker = "/nonexistent/attune-worker";
    assert_int_equal(attune_target_create(&f.target, &options), ATTUNE_ERROR_WORKER);
    assert_null(f.target);
    assert_non_null(strstr(attune_last_error(), "/nonexistent/attune-worker"));
    options.worker = "/bin/true"; /* starts, and says nothing */
    assert_int_equal(attune_target_create(&f.target, &options), ATTUNE_ERROR_WORKER);
    fixture_end(&f);
}

static void devices_are_listed(void **state)
{
    (void)state;
    struct fixture f;
    fixture_init(&f);
    set_script(
        "{\"devices\": [{\"name\": \"GPU A\"}, {\"name\": \"CPU B\", \"type\": \"cpu\", \"sub_group_size\": 1}]}");
    size_t count;
    attune_device_info info[8];
    check_ok(attune_devices(NULL, info, 8, &count));
    assert_int_equal(count, 2);
    assert_string_equal(info[0].backend, "gpu");
    assert_string_equal(info[0].name, "GPU A");
    assert_string_equal(info[1].backend, "cpu");
    check_ok(attune_devices(NULL, NULL, 0, &count));
    assert_int_equal(count, 2);
    set_script("{\"devices\": []}");
    assert_int_equal(attune_devices(NULL, info, 8, &count), ATTUNE_ERROR_NO_DEVICE);
    assert_int_equal(count, 0);
    fixture_end(&f);
}

static void descriptors_do_not_leak(void **state)
{
    (void)state;
    struct fixture f;
    fixture_init(&f);
    set_script(HEALTHY);
    int before = dup(0);
    close(before);
    open_target(&f, "gpu");
    for (int i = 0; i < 5; i++) {
        session_stop(&f.target->session);
        check_ok(target_ensure(f.target));
    }
    close_target(&f);
    int after = dup(0);
    close(after);
    assert_int_equal(after, before);
    fixture_end(&f);
}

int main(int argc, char **argv)
{
    cmocka_set_test_filter(argc > 1 ? argv[1] : NULL);
    use_virtual_clock();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(killed_worker_costs_no_test),
        cmocka_unit_test(lost_device_ends_the_run),
        cmocka_unit_test(replaced_device_is_refused),
        cmocka_unit_test(growing_worker_is_stopped),
        cmocka_unit_test(worker_dies_with_its_supervisor),
        cmocka_unit_test(environment_ends_the_run),
        cmocka_unit_test(unusable_folders_are_named),
        cmocka_unit_test(few_descriptors_are_named),
        cmocka_unit_test(umask_does_not_matter),
        cmocka_unit_test(missing_worker_is_named),
        cmocka_unit_test(devices_are_listed),
        cmocka_unit_test(descriptors_do_not_leak),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
