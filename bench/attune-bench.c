/* SPDX-License-Identifier: Apache-2.0
 * `attune-bench`: verifies and times what attune would run, against its baselines, as ratios of one run. */
#include "cli.h"
#include "compare.h"
#include "host.h"
#include "interrupt.h"
#include "search.h"
#include "startup.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static const char help[] =
    "usage: attune-bench --suite S... | --workload W... [options]\n"
    "       attune-bench --startup [--page-size N] [--max-configs N]\n"
    "       attune-bench --search [--strategy S] [--tests N]\n"
    "       attune-bench --list [--suite S...]\n"
    "       attune-bench --host\n"
    "\n"
    "Verifies each workload's result against fp64 and times it beside the untuned default, the plain row kernel and\n"
    "extend_fixed_tile. Ratios are medians of pairs from interleaved rounds; above 1 the measured configuration is "
    "faster.\n"
    "  --suite S      extend, decode or prefill; repeatable\n"
    "  --workload W   a suite's name (E1), one with fields appended (E2:q=fp32,kv=fp32) or a problem string; "
    "repeatable\n"
    "  --backend B    zw-m890, gpu or cpu                 [$ATTUNE_BACKEND or zw-m890]\n"
    "  --device D     NAME@PLATFORM, or as `attune help devices` says  [$ATTUNE_DEVICE or the first]\n"
    "  --cache-dir D  folder of the cache                 [$ATTUNE_CACHE_DIR]\n"
    "  --no-cache     read no user's cache, and keep nothing\n"
    "  --config C     measure this configuration instead of the tuned one\n"
    "  --rounds N     interleaved rounds, 1 to 1000       [7]\n"
    "  --seed N       of the inputs and the order         [1]\n"
    "  --host         time the host's work instead: schedule updates and runs, beside a raw enqueue (in this process)\n"
    "  --json         one JSON object a workload and line\n"
    "  --list         list the suites' workloads\n"
    "  --startup      time each step from nothing to a model's first result; the second call in a cache folder is "
    "warm\n"
    "  --page-size N  of the model's KV cache: 1, 2, 4, 8, 16 or 32 [16]\n"
    "  --max-configs N  programs for each of the model's two plans, 1 to 8 [3]\n"
    "  --search       time the search engine's own decisions: CPU time of a proposal (ms) and memory, on made-up "
    "spaces\n"
    "  --strategy S   only this one                       [all]\n"
    "  --tests N      budget of each search, 20 to 1000   [200]\n"
    "\n"
    "Exit codes: 0 done (also where workloads are unsupported), 1 a wrong result or another error, 2 usage or bad "
    "input,\n"
    "5 interrupted, 6 no device or OpenCL platform, 7 attune-worker missing or unusable, 8 storage failed, 9 device "
    "lost,\n"
    "10 workers cannot work here.\n"
    "With --json a run that fails ends with {\"event\": \"end\", \"exit_code\", \"status\", \"error\"}.\n";

enum mode { MODE_MEASURE = 1, MODE_LIST = 2, MODE_HOST = 4, MODE_STARTUP = 8, MODE_SEARCH = 16 };

struct bench_arguments {
    struct text_list workloads, suites;
    const char *config, *strategy;
    attune_target_options target;
    int64_t rounds, seed, page_size, max_configs, tests;
    bool no_cache, json, list, startup, host, search;
};

/* One workload's figures. */
struct row {
    attune_measurement subject, untuned;
    double vs_untuned;
    struct comparison comparison;
    char wrong[512]; /* why the subject was not measured, or what gave a wrong result; "" = neither */
};

static void note_wrong(struct row *row, const char *what, attune_outcome outcome, const char *reason)
{
    if (!row->wrong[0])
        snprintf(row->wrong, sizeof row->wrong, "%s%s: %.400s", what, attune_outcome_name(outcome), reason);
}

static attune_status measure_row(const struct bench_arguments *a, attune_target *target, const attune_problem *problem,
                                 struct row *row)
{
    memset(row, 0, sizeof *row);
    const char *configs[2] = {a->config ? a->config : "tuned", "default"};
    attune_measurement measured[2];
    double ratios[2] = {0};
    attune_measure_options options = ATTUNE_MEASURE_OPTIONS_INIT;
    options.rounds = (int32_t)a->rounds;
    options.seed = (uint64_t)a->seed;
    attune_status status = attune_measure(target, problem, configs, 2, &options, measured, NULL, ratios, NULL);
    if (status)
        return status;
    row->subject = measured[0];
    row->untuned = measured[1];
    if (row->subject.outcome != ATTUNE_OUTCOME_OK) {
        note_wrong(row, "", row->subject.outcome, row->subject.reason);
        return ATTUNE_OK;
    }
    if (row->untuned.outcome == ATTUNE_OUTCOME_WRONG)
        note_wrong(row, "the untuned default is ", ATTUNE_OUTCOME_WRONG, row->untuned.reason);
    row->vs_untuned = row->untuned.outcome == ATTUNE_OUTCOME_OK ? ratios[1] : 0;
    status = compare_with_baselines(target, problem, row->subject.config, (uint64_t)a->seed, 0, &row->comparison);
    for (int b = 0; b < NUM_BASELINES; b++)
        if (row->comparison.outcome[b] == ATTUNE_OUTCOME_WRONG && !row->wrong[0])
            snprintf(row->wrong, sizeof row->wrong, "%s is %.400s", baseline_name(b), row->comparison.reason[b]);
    return status;
}

static void print_json_row(const attune_problem *problem, const attune_device_info *info, const struct row *row)
{
    const attune_measurement *m = &row->subject;
    bool timed = m->outcome == ATTUNE_OUTCOME_OK && m->time_ms > 0;
    double rate = timed ? 1e-6 / m->time_ms : 0; /* 1 / ms to 1e9 / s */
    json_t *json = json_pack(
        "{so so so so so so so so so so so so so so so so so}", "workload", json_text(attune_problem_name(problem)),
        "backend", json_text(info->backend), "simulated", json_text(info->simulated), "config", json_text(m->config),
        "source", json_text(m->source), "time_ms", json_figure(timed ? m->time_ms : 0), "gflops",
        json_figure(attune_problem_flops(problem) * rate), "gbps", json_figure(attune_problem_bytes(problem) * rate),
        "roofline_share", json_figure(m->disturbed ? 0 : m->roofline_share), "peak_gflops", json_figure(m->peak_gflops),
        "peak_reading", json_text(m->peak_reading), "read_gbps", json_figure(m->read_gbps), "vs_untuned",
        json_figure(row->vs_untuned), "vs_plain", json_figure(row->comparison.ratio[BASELINE_PLAIN]), "vs_fixed_tile",
        json_figure(row->comparison.ratio[BASELINE_FIXED_TILE]), "max_abs_err", json_number(m->max_abs_err), "rel_err",
        json_number(m->rel_err));
    json_object_set_new(json, "outcome", json_text(attune_outcome_name(m->outcome)));
    json_object_set_new(json, "disturbed", json_boolean(m->disturbed));
    json_object_set_new(json, "ok", json_boolean(row->wrong[0] == '\0'));
    json_object_set_new(json, "reason", row->wrong[0] ? json_text(row->wrong) : json_null());
    json_line(json);
}

/* A figure in a column of 9, or a dash. */
static const char *cell(double value, const char *format, char *text)
{
    if (isfinite(value) && value > 0)
        snprintf(text, 32, format, value);
    else
        snprintf(text, 32, "-");
    return text;
}

static void print_header(void)
{
    printf("%-20s %9s %9s %9s %9s %12s %9s %9s %8s\n", "workload", "roofline", "untuned", "plain", "fixed", "time",
           "GFLOP/s", "GB/s", "source");
}

static void print_row(const attune_problem *problem, const struct row *row)
{
    const attune_measurement *m = &row->subject;
    if (m->outcome != ATTUNE_OUTCOME_OK) {
        printf("%-20s %s: %s\n    %s\n", attune_problem_name(problem), attune_outcome_name(m->outcome), m->reason,
               m->config);
        return;
    }
    char share[32] = "disturbed", untuned[32], plain[32], fixed[32], ms[32], text[160];
    double rate = 1e-6 / m->time_ms;
    printf("%-20s %9s %9s %9s %9s %12s %9.4g %9.4g %8s\n", attune_problem_name(problem),
           m->disturbed ? share : cell(100 * m->roofline_share, "%.1f%%", share),
           cell(row->vs_untuned, "%.2fx", untuned), cell(row->comparison.ratio[BASELINE_PLAIN], "%.3gx", plain),
           cell(row->comparison.ratio[BASELINE_FIXED_TILE], "%.3gx", fixed), format_ms(m->time_ms, ms),
           attune_problem_flops(problem) * rate, attune_problem_bytes(problem) * rate, m->source);
    printf("    %s\n    error %.3g at most, %.3g relative\n", m->config, m->max_abs_err, m->rel_err);
    if (m->disturbed)
        printf("    roofline: %s\n", format_disturbed(m->roofline_share, text));
    if (row->untuned.outcome != ATTUNE_OUTCOME_OK)
        printf("    untuned default: %s: %s\n", attune_outcome_name(row->untuned.outcome), row->untuned.reason);
    for (int b = 0; b < NUM_BASELINES; b++)
        if (row->comparison.reason[b][0])
            printf("    %s: %s\n", baseline_name(b), row->comparison.reason[b]);
}

static void print_unsupported(const struct bench_arguments *a, const attune_problem *problem)
{
    const char *name = attune_problem_name(problem), *reason = attune_last_error();
    if (a->json)
        json_line(json_pack("{so so}", "workload", json_text(name), "unsupported", json_text(reason)));
    else
        printf("%-20s unsupported: %s\n", name, reason);
}

static enum exit_code bench_on(const struct bench_arguments *a, attune_target *target, const struct problem_set *set)
{
    attune_device_info info;
    attune_status status = attune_target_info(target, &info);
    if (status)
        return cli_failed(status, NULL);
    if (!a->json) {
        print_device_line(stdout, &info);
        print_header();
    }
    enum exit_code code = EXIT_DONE;
    for (size_t i = 0; i < set->count; i++) {
        const attune_problem *problem = set->problems[i];
        if (interrupt_requested())
            return EXIT_INTERRUPTED;
        if (attune_problem_supported(problem)) {
            print_unsupported(a, problem);
            continue;
        }
        struct row row;
        status = measure_row(a, target, problem, &row);
        if (status)
            return cli_failed(status, attune_problem_name(problem));
        if (a->json)
            print_json_row(problem, &info, &row);
        else
            print_row(problem, &row);
        fflush(stdout);
        if (row.wrong[0]) {
            cli_error("%s: %s", attune_problem_name(problem), row.wrong);
            code = EXIT_OTHER;
        }
    }
    return code;
}

static bool any_supported(const struct problem_set *set)
{
    for (size_t i = 0; i < set->count; i++)
        if (attune_problem_supported(set->problems[i]) == ATTUNE_OK)
            return true;
    return false;
}

static enum exit_code bench_all(const struct bench_arguments *a)
{
    struct problem_set set;
    enum exit_code code = problem_set_create(&set, &a->suites, &a->workloads);
    if (code)
        return code;
    if (!any_supported(&set)) { /* no device is needed to say so */
        for (size_t i = 0; i < set.count; i++)
            if (attune_problem_supported(set.problems[i]))
                print_unsupported(a, set.problems[i]);
    } else {
        attune_target *target;
        interrupt_install();
        attune_status status = attune_target_create(&target, &a->target);
        code = status ? cli_failed(status, NULL) : bench_on(a, target, &set);
        attune_target_destroy(&target);
    }
    problem_set_destroy(&set);
    return code;
}

static enum exit_code list_suite(const struct bench_arguments *a, const char *suite)
{
    struct problem_set set;
    enum exit_code code = problem_set_create(&set, &(struct text_list){&suite, 1}, NULL);
    for (size_t i = 0; !code && i < set.count; i++) {
        const attune_problem *problem = set.problems[i];
        const char *reason = attune_problem_supported(problem) ? attune_last_error() : NULL;
        if (a->json)
            json_line(json_pack(
                "{so so so so*}", "suite", json_text(suite), "workload", json_text(attune_problem_name(problem)),
                "problem", json_text(attune_problem_text(problem)), "unsupported", reason ? json_text(reason) : NULL));
        else
            printf("%-8s %-28s %s%s%s\n", suite, attune_problem_name(problem), attune_problem_text(problem),
                   reason ? "\n    " : "", reason ? reason : "");
    }
    problem_set_destroy(&set);
    return code;
}

static enum exit_code list_suites(const struct bench_arguments *a)
{
    static const char *all[] = {"extend", "decode", "prefill"};
    const struct text_list suites = a->suites.count ? a->suites : (struct text_list){all, 3};
    enum exit_code code = EXIT_DONE;
    for (size_t i = 0; i < suites.count && !code; i++)
        code = list_suite(a, suites.items[i]);
    return code;
}

static enum exit_code start_up(const struct bench_arguments *a)
{
    struct startup_options options = {.context = ATTUNE_CONTEXT_OPTIONS_INIT,
                                      .page_size = a->page_size,
                                      .max_configs = a->max_configs,
                                      .json = a->json};
    options.context.backend = a->target.backend;
    options.context.device = a->target.device;
    options.context.cache_dir = a->target.cache_dir;
    options.context.log = cli_log;
    if (a->page_size & (a->page_size - 1)) {
        cli_error("--page-size is \"%d\"; it must be a power of two", (int)a->page_size);
        return EXIT_USAGE;
    }
    return startup_run(&options);
}

/* The mode, of which one at most may be named; false with the error printed. */
static bool choose_mode(const struct bench_arguments *a, unsigned *mode)
{
    static const char *const names[] = {"--workload and --suite", "--list", "--host", "--startup", "--search"};
    *mode = (a->list ? MODE_LIST : 0u) | (a->host ? MODE_HOST : 0u) | (a->startup ? MODE_STARTUP : 0u) |
            (a->search ? MODE_SEARCH : 0u);
    if (*mode & (*mode - 1)) {
        cli_error("give only one of --list, --host, --startup and --search");
        return false;
    }
    if (!*mode)
        *mode = MODE_MEASURE;
    return cli_goes_with(*mode, names);
}

static bool read_arguments(struct bench_arguments *a, unsigned *mode, int argc, char **argv)
{
    const unsigned on_device = MODE_MEASURE | MODE_HOST | MODE_STARTUP;
    const struct option options[] = {
        {"suite", OPTION_TEXTS, &a->suites, 0, 0, MODE_MEASURE | MODE_LIST},
        {"workload", OPTION_TEXTS, &a->workloads, 0, 0, MODE_MEASURE},
        {"backend", OPTION_TEXT, &a->target.backend, 0, 0, on_device},
        {"device", OPTION_TEXT, &a->target.device, 0, 0, on_device},
        {"cache-dir", OPTION_TEXT, &a->target.cache_dir, 0, 0, on_device},
        {"no-cache", OPTION_FLAG, &a->no_cache, 0, 0, on_device},
        {"config", OPTION_TEXT, &a->config, 0, 0, MODE_MEASURE | MODE_HOST},
        {"rounds", OPTION_INTEGER, &a->rounds, 1, 1000, MODE_MEASURE},
        {"seed", OPTION_INTEGER, &a->seed, 0, INT64_MAX, MODE_MEASURE | MODE_SEARCH},
        {"host", OPTION_FLAG, &a->host, 0, 0, 0},
        {"json", OPTION_FLAG, &a->json, 0, 0, 0},
        {"list", OPTION_FLAG, &a->list, 0, 0, 0},
        {"startup", OPTION_FLAG, &a->startup, 0, 0, 0},
        {"page-size", OPTION_INTEGER, &a->page_size, 1, 32, MODE_STARTUP},
        {"max-configs", OPTION_INTEGER, &a->max_configs, 1, 8, MODE_STARTUP},
        {"search", OPTION_FLAG, &a->search, 0, 0, 0},
        {"strategy", OPTION_TEXT, &a->strategy, 0, 0, MODE_SEARCH},
        {"tests", OPTION_INTEGER, &a->tests, 20, 1000, MODE_SEARCH},
        {NULL},
    };
    return cli_parse(argc, argv, options, NULL) && cli_no_cache(a->no_cache, &a->target) && choose_mode(a, mode) &&
           cli_check_strategy(a->strategy, false);
}

static enum exit_code run_mode(const struct bench_arguments *a, unsigned mode)
{
    const struct host_options host = {a->target.backend, a->target.device, a->target.cache_dir, a->config, a->json};
    const struct search_bench_options search = {a->strategy, a->tests, a->seed, a->json};
    switch (mode) {
    case MODE_LIST:
        return list_suites(a);
    case MODE_HOST:
        return bench_host(&host);
    case MODE_STARTUP:
        return start_up(a);
    case MODE_SEARCH:
        return bench_search(&search);
    default:
        return bench_all(a);
    }
}

int main(int argc, char **argv)
{
    cli_begin("attune-bench", argc, argv);
    struct bench_arguments a = {
        .target = ATTUNE_TARGET_OPTIONS_INIT, .rounds = 7, .seed = 1, .page_size = 16, .max_configs = 3, .tests = 200};
    a.target.log = cli_log;
    unsigned mode;
    enum exit_code code = EXIT_USAGE;
    if (cli_asks_for_help(argc, argv)) {
        fputs(help, stdout);
        code = EXIT_DONE;
    } else if (read_arguments(&a, &mode, argc, argv)) {
        code = run_mode(&a, mode);
    }
    free(a.workloads.items);
    free(a.suites.items);
    return cli_finish(code);
}
