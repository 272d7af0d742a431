/* SPDX-License-Identifier: Apache-2.0
 * What the search engine costs by itself. Each search runs in a process of its own, so that its peak of memory can be
 * read. Times are CPU time: other load does not count. */
#define _GNU_SOURCE
#include "search.h"

#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define NUM_PARAMS 8
#define MAX_VALUES 64
#define MAX_TESTS 1000

struct space {
    const char *name;
    int32_t sizes[NUM_PARAMS];
    bool half; /* a constraint rejects half of the combinations */
};

static const struct space spaces[] = {
    {"18,000 of 36,000", {10, 2, 2, 3, 3, 4, 5, 5}, true},
    {"1,000,000", {10, 4, 5, 5, 5, 4, 5, 10}, false},
    {"1,000,000 of 2,000,000", {10, 8, 5, 5, 5, 4, 5, 10}, true},
    {"10,000,000 of 20,000,000", {20, 8, 5, 5, 5, 4, 5, 50}, true},
};

struct figures {
    double create_ms, mean_ms, median_ms, p95_ms, max_ms; /* all but the first of ask + tell */
    double peak_mib;                                      /* above what the process had before create */
    int32_t tests;
};

static double cpu_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    return (double)now.tv_sec * 1e3 + (double)now.tv_nsec * 1e-6;
}

/* A line of /proc/self/status in MiB: "VmHWM:", the peak, or "VmRSS:". 0 where there is none. */
static double memory_mib(const char *key)
{
    char line[256];
    long long kib = 0;
    FILE *file = fopen("/proc/self/status", "r");
    while (file && fgets(line, sizeof line, file))
        if (strncmp(line, key, strlen(key)) == 0)
            kib = strtoll(line + strlen(key), NULL, 10);
    if (file)
        fclose(file);
    return (double)kib / 1024;
}

/* Values are 0, 1, ... The first and the last parameter's shares of their ranges add up to less than 1. */
static int is_feasible(void *priv, int32_t workload, const int32_t *values)
{
    const struct space *space = priv;
    (void)workload;
    int64_t first = space->sizes[0], last = space->sizes[NUM_PARAMS - 1];
    return (2 * values[0] + 1) * last + (2 * values[NUM_PARAMS - 1] + 1) * first <= 2 * first * last;
}

/* A valley with a slope across it. */
static double time_of(const struct space *space, const int32_t *values)
{
    double time = 1, before = 0.5;
    for (int p = 0; p < NUM_PARAMS; p++) {
        double x = (values[p] + 0.5) / space->sizes[p], off = x - 0.3 - 0.05 * p;
        time += off * off * (p + 1) + (x - before) * (x - before);
        before = x;
    }
    return time;
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static attune_status drive(attune_search *search, const struct space *space, int64_t tests, struct figures *out)
{
    double ms[MAX_TESTS];
    int32_t values[NUM_PARAMS], done = 0;
    for (out->tests = 0; out->tests < tests; out->tests++) {
        double start = cpu_ms();
        attune_status status = attune_search_ask(search, NULL, values, &done);
        double asked = cpu_ms();
        if (status || done)
            return status;
        double time = time_of(space, values);
        double telling = cpu_ms();
        status = attune_search_tell(search, out->tests % 10 == 9 ? ATTUNE_OUTCOME_FAILED : ATTUNE_OUTCOME_OK, time);
        if (status)
            return status;
        ms[out->tests] = asked - start + cpu_ms() - telling;
        out->mean_ms += ms[out->tests];
    }
    qsort(ms, (size_t)out->tests, sizeof *ms, by_value);
    out->mean_ms /= out->tests;
    out->median_ms = ms[out->tests / 2];
    out->p95_ms = ms[out->tests * 19 / 20];
    out->max_ms = ms[out->tests - 1];
    return ATTUNE_OK;
}

static attune_status measure(const struct space *space, const struct search_bench_options *o, const char *strategy,
                             struct figures *out)
{
    int32_t values[MAX_VALUES];
    static const char *const names[NUM_PARAMS] = {"A", "B", "C", "D", "E", "F", "G", "H"};
    attune_search_param params[NUM_PARAMS];
    for (int32_t v = 0; v < MAX_VALUES; v++)
        values[v] = v;
    for (int p = 0; p < NUM_PARAMS; p++)
        params[p] = (attune_search_param){names[p], values, space->sizes[p], NULL, 0};
    attune_search_options options = ATTUNE_SEARCH_OPTIONS_INIT;
    options.strategy = strategy;
    options.budget_tests = (int32_t)o->tests;
    options.seed = (uint64_t)o->seed;
    options.feasible = space->half ? is_feasible : NULL;
    options.feasible_priv = (void *)(uintptr_t)space;
    attune_search *search;
    double before = memory_mib("VmRSS:"), start = cpu_ms();
    attune_status status = attune_search_create(&search, params, NUM_PARAMS, &options);
    out->create_ms = cpu_ms() - start;
    if (status)
        return status;
    status = drive(search, space, o->tests, out);
    out->peak_mib = memory_mib("VmHWM:") - before;
    attune_search_destroy(&search);
    return status;
}

static void print_row(const struct space *space, const char *strategy, const struct figures *f, bool json)
{
    if (json)
        json_line(json_pack("{ss ss si sf sf sf sf sf sf}", "space", space->name, "strategy", strategy, "tests",
                            (int)f->tests, "create_ms", f->create_ms, "mean_ms", f->mean_ms, "median_ms", f->median_ms,
                            "p95_ms", f->p95_ms, "max_ms", f->max_ms, "peak_mib", f->peak_mib));
    else
        printf("%-26s %-12s %6d %12.2f %10.3f %10.3f %10.3f %10.3f %10.1f\n", space->name, strategy, (int)f->tests,
               f->create_ms, f->mean_ms, f->median_ms, f->p95_ms, f->max_ms, f->peak_mib);
}

/* In a child, which has nothing of earlier searches in its memory. */
static enum exit_code bench_one(const struct space *space, const char *strategy, const struct search_bench_options *o)
{
    fflush(stdout);
    pid_t child = fork();
    if (child == 0) {
        struct figures figures = {0};
        attune_status status = measure(space, o, strategy, &figures);
        if (status)
            cli_failed(status, strategy);
        else
            print_row(space, strategy, &figures, o->json);
        fflush(stdout);
        _exit(status || ferror(stdout) ? EXIT_OTHER : EXIT_DONE);
    }
    int wait_status = 0;
    if (child < 0 || waitpid(child, &wait_status, 0) != child) {
        cli_error("a process for %s could not be run", strategy);
        return EXIT_OTHER;
    }
    if (WIFEXITED(wait_status) && WEXITSTATUS(wait_status) == EXIT_DONE)
        return EXIT_DONE;
    cli_error("%s on %s failed", strategy, space->name);
    return EXIT_OTHER;
}

enum exit_code bench_search(const struct search_bench_options *options)
{
    enum exit_code code = EXIT_DONE;
    const char *strategy;
    if (!options->json)
        printf("%-26s %-12s %6s %12s %10s %10s %10s %10s %10s\n", "configurations", "strategy", "tests", "create, ms",
               "mean", "median", "95%", "most", "peak, MiB");
    for (size_t s = 0; s < sizeof spaces / sizeof *spaces; s++)
        for (size_t i = 0; (strategy = attune_search_strategy(i)) && code == EXIT_DONE; i++)
            if (!options->strategy || strcmp(options->strategy, strategy) == 0)
                code = bench_one(&spaces[s], strategy, options);
    return code;
}
