/* SPDX-License-Identifier: Apache-2.0
 * `attune tune`. */
#include "commands.h"
#include "compare.h"
#include "interrupt.h"
#include "progress.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define MAX_WORKLOADS 64

struct tune_arguments {
    struct text_list workloads, suites, grids;
    int64_t slots;
    attune_target_options target;
    attune_tune_options tune;
    int64_t budget_tests, seed;
    bool no_cache, retune, exhaustive, no_compare, json, quiet, dry_run;
};

static bool read_arguments(struct tune_arguments *a, int argc, char **argv)
{
    const int64_t not_given = -1;
    a->budget_tests = not_given;
    a->seed = (int64_t)a->tune.seed;
    const struct option options[] = {
        {"workload", OPTION_TEXTS, &a->workloads, 0, 0},
        {"suite", OPTION_TEXTS, &a->suites, 0, 0},
        {"grid", OPTION_TEXTS, &a->grids, 0, 0},
        {"slots", OPTION_INTEGER, &a->slots, 1, INT32_MAX},
        {"backend", OPTION_TEXT, &a->target.backend, 0, 0},
        {"device", OPTION_TEXT, &a->target.device, 0, 0},
        {"cache-dir", OPTION_TEXT, &a->target.cache_dir, 0, 0},
        {"no-cache", OPTION_FLAG, &a->no_cache, 0, 0, 0},
        {"budget-tests", OPTION_INTEGER, &a->budget_tests, 0, INT32_MAX},
        {"budget-seconds", OPTION_REAL, &a->tune.budget_seconds, 0, 100000000},
        {"strategy", OPTION_TEXT, &a->tune.strategy, 0, 0},
        {"seed", OPTION_INTEGER, &a->seed, 0, INT64_MAX},
        {"journal", OPTION_TEXT, &a->tune.journal, 0, 0},
        {"retune", OPTION_FLAG, &a->retune, 0, 0},
        {"family", OPTION_TEXT, &a->tune.family, 0, 0},
        {"record", OPTION_TEXT, &a->tune.record, 0, 0},
        {"exhaustive", OPTION_FLAG, &a->exhaustive, 0, 0},
        {"no-compare", OPTION_FLAG, &a->no_compare, 0, 0},
        {"worker-memory", OPTION_INTEGER, &a->target.memory_limit_bytes, 0, INT64_MAX},
        {"json", OPTION_FLAG, &a->json, 0, 0},
        {"quiet", OPTION_FLAG, &a->quiet, 0, 0},
        {"dry-run", OPTION_FLAG, &a->dry_run, 0, 0},
        {NULL},
    };
    if (!cli_parse(argc, argv, options, NULL) || !cli_no_cache(a->no_cache, &a->target))
        return false;
    if (a->budget_tests != not_given)
        a->tune.budget_tests = (int32_t)a->budget_tests;
    else if (a->exhaustive)
        a->tune.budget_tests = 0;
    a->tune.seed = (uint64_t)a->seed;
    a->tune.retune = a->retune;
    a->tune.policy = a->exhaustive ? ATTUNE_EXHAUSTIVE : ATTUNE_MEASURE;
    if (a->slots && !a->grids.count) {
        cli_error("--slots needs --grid");
        return false;
    }
    if (a->tune.record && !a->exhaustive) {
        cli_error("--record needs --exhaustive");
        return false;
    }
    return true;
}

static void print_json_dry_run(const struct tune_arguments *a, const struct problem_set *set)
{
    for (size_t i = 0; i < set->count; i++)
        json_line(json_pack("{ss so so so so}", "event", "planned", "workload",
                            json_text(attune_problem_name(set->problems[i])), "problem",
                            json_text(attune_problem_text(set->problems[i])), "flops",
                            json_figure(attune_problem_flops(set->problems[i])), "bytes",
                            json_figure(attune_problem_bytes(set->problems[i]))));
    json_line(json_pack("{ss si so}", "event", "budget", "budget_tests", (int)a->tune.budget_tests, "budget_seconds",
                        json_figure(a->tune.budget_seconds)));
}

static void print_dry_run(const struct tune_arguments *a, const struct problem_set *set)
{
    for (size_t i = 0; i < set->count; i++)
        printf("%s: %s\n    %.3g GFLOP and %.3g MB a run\n", attune_problem_name(set->problems[i]),
               attune_problem_text(set->problems[i]), attune_problem_flops(set->problems[i]) * 1e-9,
               attune_problem_bytes(set->problems[i]) * 1e-6);
    if (a->tune.budget_tests)
        printf("at most %d configurations built, verified and measured over all %zu workloads",
               (int)a->tune.budget_tests, set->count);
    else
        printf("every valid configuration of %zu workloads", set->count);
    if (a->tune.budget_seconds > 0)
        printf(", in at most %.6g s and one test", a->tune.budget_seconds);
    printf(";\nthen 15 or more confirmation rounds a workload%s\n",
           a->no_compare ? "" : ", and 3 rounds against the plain row and fixed-tile kernels");
    if (a->tune.budget_seconds <= 0)
        printf("wall time is not limited: give --budget-seconds\n");
}

/* ---- the result, quoted in the order: roofline, untuned default, plain row kernel, fixed tiles */

static void print_ratio(const char *label, const struct comparison *comparison, enum baseline baseline)
{
    if (comparison->ratio[baseline] > 0)
        printf("    %-11s %.3gx as fast as %s\n", label, comparison->ratio[baseline], baseline_name(baseline));
    else if (comparison->reason[baseline][0])
        printf("    %-11s not measured: %s\n", label, comparison->reason[baseline]);
}

static const char *what_became_of(const attune_tune_result *result)
{
    bool on_disk = result->entry_path[0];
    if (result->hit)
        return "answered by the cache";
    if (!result->tests)
        return "not tried";
    if (!(result->time_ms > 0))
        return "none: nothing was confirmed";
    if (result->promoted)
        return on_disk ? "written" : "not on disk";
    /* Where there was no entry the default gets one, so that the next call need not search. */
    return on_disk ? "written: nothing beat the untuned default" : "nothing beat what answered before";
}

static void print_result(const attune_problem *problem, const attune_tune_result *result,
                         const struct comparison *comparison, const char *simulated)
{
    char ms[32], text[160];
    printf("%s%s\n", attune_problem_name(problem), format_simulated(simulated, text));
    if (!result->config[0]) {
        printf("    no result\n");
        return;
    }
    printf("    %-11s %s\n", "config", result->config);
    if (result->disturbed)
        printf("    %-11s %s (%s)\n", "roofline", format_disturbed(result->roofline_share, text),
               format_ms(result->time_ms, ms));
    else if (result->roofline_share > 0)
        printf("    %-11s %.1f%% of the roofline (%s; %s %.4g GFLOP/s, read %.4g GB/s)\n", "roofline",
               100 * result->roofline_share, format_ms(result->time_ms, ms), result->peak_reading, result->peak_gflops,
               result->read_gbps);
    if (result->gain > 0)
        printf("    %-11s %.3gx as fast as the untuned default (95%% interval %.3g to %.3g)\n", "untuned", result->gain,
               result->gain_low, result->gain_high);
    print_ratio("plain row", comparison, BASELINE_PLAIN);
    print_ratio("fixed tile", comparison, BASELINE_FIXED_TILE);
    if (!isnan(result->max_abs_err))
        printf("    %-11s %.3g at most, %.3g relative\n", "error", result->max_abs_err, result->rel_err);
    if (result->reason[0])
        printf("    %-11s %s\n", "reason", result->reason);
    printf("    %-11s %s%s%s\n", "entry", what_became_of(result), result->entry_path[0] ? ": " : "",
           result->entry_path);
}

static void print_json_result(const attune_problem *problem, const attune_tune_result *result,
                              const struct comparison *comparison, const attune_device_info *info)
{
    json_t *json = json_pack(
        "{ss so so so so sb sb so so so so so so so so}", "event", "result", "workload",
        json_text(attune_problem_name(problem)), "problem", json_text(attune_problem_text(problem)), "backend",
        json_text(info->backend), "simulated", json_text(info->simulated), "hit", result->hit, "promoted",
        result->promoted, "roofline_share", json_figure(result->disturbed ? 0 : result->roofline_share), "vs_untuned",
        json_figure(result->gain), "vs_untuned_low", json_figure(result->gain_low), "vs_untuned_high",
        json_figure(result->gain_high), "vs_plain", json_figure(comparison->ratio[BASELINE_PLAIN]), "vs_fixed_tile",
        json_figure(comparison->ratio[BASELINE_FIXED_TILE]), "time_ms", json_figure(result->time_ms), "default_ms",
        json_figure(result->default_ms));
    json_object_set_new(json, "disturbed", json_boolean(result->disturbed));
    json_object_set_new(json, "fma_gflops", json_figure(result->fma_gflops));
    json_object_set_new(json, "read_gbps", json_figure(result->read_gbps));
    json_object_set_new(json, "peak_gflops", json_figure(result->peak_gflops));
    json_object_set_new(json, "peak_reading", json_text(result->peak_reading));
    json_object_set_new(json, "max_abs_err", json_number(result->max_abs_err));
    json_object_set_new(json, "rel_err", json_number(result->rel_err));
    json_object_set_new(json, "reason", result->reason[0] ? json_text(result->reason) : json_null());
    json_object_set_new(json, "tests", json_integer(result->tests));
    json_object_set_new(json, "entry_tests", json_integer(result->entry_tests));
    json_object_set_new(json, "exhausted", json_boolean(result->exhausted));
    json_object_set_new(json, "config", json_text(result->config));
    json_object_set_new(json, "entry", json_text(result->entry_path));
    json_line(json);
}

struct geomeans {
    double log_share, log_gain;
    size_t shares, gains;
};

static void add_to_geomeans(struct geomeans *means, const attune_tune_result *result)
{
    if (result->roofline_share > 0 && !result->disturbed) {
        means->log_share += log(result->roofline_share);
        means->shares++;
    }
    if (result->gain > 0) {
        means->log_gain += log(result->gain);
        means->gains++;
    }
}

/* Of a time budget, what is kept for comparing the winners with the baselines. */
#define COMPARE_SHARE 0.15
#define COMPARE_SECONDS 60.0

static double now_seconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

static double seconds_for_comparisons(const struct tune_arguments *a, size_t workloads)
{
    double most = COMPARE_SECONDS * (double)workloads, share = COMPARE_SHARE * a->tune.budget_seconds;
    return a->no_compare ? 0 : share < most ? share : most;
}

/* end: of the time budget, by now_seconds(); 0 = none. */
static void compare(const struct tune_arguments *a, attune_target *target, const attune_problem *problem,
                    const char *config, double end, size_t workloads_left, struct comparison *out)
{
    double left = end - now_seconds();
    if (end > 0 && left <= 0) {
        for (int b = 0; b < NUM_BASELINES; b++)
            snprintf(out->reason[b], sizeof out->reason[b], "no time was left for it");
        return;
    }
    double seconds = end > 0 ? left / (double)workloads_left : 0;
    attune_status status = compare_with_baselines(target, problem, config, a->tune.seed, seconds, out);
    if (status)
        cli_failed(status, attune_problem_name(problem));
}

static void print_results(const struct tune_arguments *a, attune_target *target, const attune_device_info *info,
                          const struct problem_set *set, const attune_tune_result *results, bool comparing, double end)
{
    struct geomeans means = {0};
    for (size_t i = 0; i < set->count; i++) {
        const attune_problem *problem = set->problems[i];
        struct comparison comparison = {{0}};
        /* A hit measured nothing, so it stays quick. */
        if (comparing && !a->no_compare && !results[i].hit && results[i].time_ms > 0 && !interrupt_requested())
            compare(a, target, problem, results[i].config, end, set->count - i, &comparison);
        add_to_geomeans(&means, &results[i]);
        if (a->json)
            print_json_result(problem, &results[i], &comparison, info);
        else
            print_result(problem, &results[i], &comparison, info->simulated);
        fflush(stdout);
    }
    if (!a->json && set->count > 1 && means.shares && means.gains)
        printf("geometric means: %.1f%% of the roofline, %.3gx as fast as the untuned default\n",
               100 * exp(means.log_share / (double)means.shares), exp(means.log_gain / (double)means.gains));
}

/* An error is the end, whatever the search had come to. */
static const char *end_in_words(attune_tune_end end, enum exit_code code)
{
    static const char *const ends[] = {"done",          "no improvement",        "budget spent",
                                       "interrupted",   "answered by the cache", "stopped by the environment",
                                       "storage failed"};
    bool failed = code != EXIT_DONE && code != EXIT_NO_IMPROVEMENT && code != EXIT_BUDGET && code != EXIT_INTERRUPTED;
    if (failed && end != ATTUNE_TUNE_ENVIRONMENT && end != ATTUNE_TUNE_STORAGE)
        return code == EXIT_DEVICE_LOST ? "device lost" : code == EXIT_WORKER ? "worker failed" : "failed";
    return (size_t)end < sizeof ends / sizeof ends[0] ? ends[end] : "?";
}

static void print_summary(const struct tune_arguments *a, const attune_tune_summary *summary,
                          const attune_device_info *info, enum exit_code code)
{
    const char *end = end_in_words(summary->end, code);
    json_t *outcomes = json_object();
    char text[160];
    if (!a->json)
        printf("%s after %d tests in %.1f s", end, (int)summary->tests, summary->seconds);
    for (int i = 0; i <= ATTUNE_OUTCOME_ENVIRONMENT; i++) {
        const char *name = attune_outcome_name((attune_outcome)i);
        json_object_set_new(outcomes, name, json_integer(summary->outcomes[i]));
        if (!a->json && summary->outcomes[i])
            printf(", %s %d", name, (int)summary->outcomes[i]);
    }
    if (a->json) {
        cli_json_end(json_pack("{ss so sb so so si so so so}", "event", "end", "end", json_text(end), "interrupted",
                               interrupt_requested(), "backend", json_text(info->backend), "simulated",
                               json_text(info->simulated), "tests", (int)summary->tests, "seconds",
                               json_figure(summary->seconds), "journal", json_text(summary->journal), "outcomes",
                               outcomes),
                     code, summary->reason[0] ? summary->reason : cli_first_error());
        return;
    }
    json_decref(outcomes);
    printf("%s\n", format_simulated(info->simulated, text));
    if (summary->journal[0])
        printf("journal: %s\n", summary->journal);
}

static enum exit_code code_of_end(attune_tune_end end)
{
    return end == ATTUNE_TUNE_NO_IMPROVEMENT ? EXIT_NO_IMPROVEMENT
           : end == ATTUNE_TUNE_BUDGET       ? EXIT_BUDGET
           : end == ATTUNE_TUNE_INTERRUPTED  ? EXIT_INTERRUPTED
                                             : EXIT_DONE;
}

static enum exit_code tune_on(struct tune_arguments *a, attune_target *target, const struct problem_set *set,
                              attune_tune_result *results, double *best_ms)
{
    attune_device_info info;
    attune_status status = attune_target_info(target, &info);
    if (status)
        return cli_failed(status, NULL);
    struct progress progress = {a->json, a->quiet, isatty(STDOUT_FILENO), info.simulated, set, best_ms, false};
    if (!a->json && !a->quiet)
        print_device_line(stdout, &info);
    a->tune.progress = progress_step;
    a->tune.progress_priv = &progress;
    attune_tune_summary summary = {0};
    double end = a->tune.budget_seconds > 0 ? now_seconds() + a->tune.budget_seconds : 0;
    a->tune.budget_seconds -= seconds_for_comparisons(a, set->count);
    status = attune_tune(target, (const attune_problem *const *)set->problems, set->count, &a->tune, results, &summary);
    progress_end(&progress);
    enum exit_code code = status ? cli_failed(status, NULL) : code_of_end(summary.end);
    /* When the run failed the winners so far are still in the results. */
    if (!status || summary.tests)
        print_results(a, target, &info, set, results, !status, end);
    if (!status || summary.tests || a->json)
        print_summary(a, &summary, &info, code);
    return code;
}

/* What a real run would refuse at its start, in the command's words. */
static enum exit_code check(const struct tune_arguments *a, const struct problem_set *set)
{
    if (a->tune.record && set->count > 1) {
        cli_error("--record takes one workload; there are %zu", set->count);
        return EXIT_USAGE;
    }
    if (set->count > MAX_WORKLOADS) {
        cli_error("%zu workloads; at most %d are tuned at once: give narrower ranges, or several runs", set->count,
                  MAX_WORKLOADS);
        return EXIT_USAGE;
    }
    attune_status status =
        attune_tune_check(&a->target, (const attune_problem *const *)set->problems, set->count, &a->tune);
    return status ? cli_failed(status, NULL) : EXIT_DONE;
}

static enum exit_code tune_all(struct tune_arguments *a, struct problem_set *set)
{
    enum exit_code code = problem_set_keep_supported(set, a->json, a->quiet);
    if (!code)
        code = check(a, set);
    if (code)
        return code;
    if (a->dry_run) {
        (a->json ? print_json_dry_run : print_dry_run)(a, set);
        return EXIT_DONE;
    }
    attune_tune_result *results = calloc(set->count, sizeof *results);
    double *best_ms = calloc(set->count, sizeof *best_ms);
    attune_target *target = NULL;
    interrupt_install();
    if (!results || !best_ms) {
        cli_error("out of memory");
        code = EXIT_OTHER;
    } else {
        attune_status status = attune_target_create(&target, &a->target);
        code = status ? cli_failed(status, NULL) : tune_on(a, target, set, results, best_ms);
    }
    attune_target_destroy(&target);
    free(results);
    free(best_ms);
    return code;
}

enum exit_code command_tune(int argc, char **argv)
{
    struct tune_arguments a = {.target = ATTUNE_TARGET_OPTIONS_INIT, .tune = ATTUNE_TUNE_OPTIONS_INIT};
    a.target.log = cli_log;
    struct problem_set set = {NULL, 0, 0};
    enum exit_code code = EXIT_USAGE;
    if (read_arguments(&a, argc, argv) && cli_check_strategy(a.tune.strategy, false))
        code = problem_set_create_grids(&set, &a.suites, &a.workloads, &a.grids, a.slots);
    if (!code)
        code = tune_all(&a, &set);
    problem_set_destroy(&set);
    free(a.workloads.items);
    free(a.grids.items);
    free(a.suites.items);
    return code;
}
