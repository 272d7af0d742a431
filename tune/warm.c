/* SPDX-License-Identifier: Apache-2.0
 * `attune warm`. */
#include "commands.h"
#include "interrupt.h"

#include <stdlib.h>
#include <unistd.h>

struct warm_arguments {
    struct text_list workloads, suites, grids;
    int64_t slots, workers;
    attune_target_options target;
    attune_warm_options warm;
    bool json, quiet, line_open;
};

static bool read_arguments(struct warm_arguments *a, int argc, char **argv)
{
    const struct option options[] = {
        {"workload", OPTION_TEXTS, &a->workloads, 0, 0},
        {"suite", OPTION_TEXTS, &a->suites, 0, 0},
        {"grid", OPTION_TEXTS, &a->grids, 0, 0},
        {"slots", OPTION_INTEGER, &a->slots, 1, INT32_MAX},
        {"backend", OPTION_TEXT, &a->target.backend, 0, 0},
        {"device", OPTION_TEXT, &a->target.device, 0, 0},
        {"cache-dir", OPTION_TEXT, &a->target.cache_dir, 0, 0},
        {"workers", OPTION_INTEGER, &a->workers, 0, 64},
        {"max-seconds", OPTION_REAL, &a->warm.max_seconds, 0, 100000000},
        {"json", OPTION_FLAG, &a->json, 0, 0},
        {"quiet", OPTION_FLAG, &a->quiet, 0, 0},
        {NULL},
    };
    if (!cli_parse(argc, argv, options, NULL))
        return false;
    a->warm.workers = (int32_t)a->workers;
    if (a->slots && !a->grids.count) {
        cli_error("--slots needs --grid");
        return false;
    }
    return true;
}

static int step(void *priv, size_t done, size_t total)
{
    struct warm_arguments *a = priv;
    if (!a->quiet && !a->json && isatty(STDOUT_FILENO)) {
        printf("\r\033[K%zu of %zu", done, total);
        fflush(stdout);
        a->line_open = true;
    }
    return interrupt_requested();
}

static enum exit_code code_of(const attune_warm_result *result)
{
    return result->left_out ? interrupt_requested() ? EXIT_INTERRUPTED : EXIT_BUDGET
           : result->failed ? EXIT_OTHER
                            : EXIT_DONE;
}

static void print_result(const struct warm_arguments *a, const attune_device_info *info,
                         const attune_warm_result *result, enum exit_code code)
{
    if (a->json) {
        cli_json_end(json_pack("{so so so si si si si si si so so}", "backend", json_text(info->backend), "device",
                               json_text(info->name), "simulated", json_text(info->simulated), "tasks",
                               (int)result->tasks, "compiled", (int)result->compiled, "found", (int)result->found,
                               "failed", (int)result->failed, "left_out", (int)result->left_out, "workers",
                               (int)result->workers, "seconds", json_figure(result->seconds), "reason",
                               json_text(result->reason)),
                     code, code == EXIT_OTHER ? result->reason : NULL);
        return;
    }
    printf("%d programs compiled and stored, %d were there; %.1f s by %d worker%s\n", (int)result->compiled,
           (int)result->found, result->seconds, (int)result->workers, result->workers == 1 ? "" : "s");
    if (result->left_out)
        printf("%d of %d tasks were not begun\n", (int)result->left_out, (int)result->tasks);
    if (result->failed)
        cli_error("%d kernels did not compile; %s", (int)result->failed, result->reason);
}

static enum exit_code warm_on(struct warm_arguments *a, attune_target *target, const struct problem_set *set)
{
    attune_device_info info;
    attune_warm_result result;
    attune_status status = attune_target_info(target, &info);
    if (status)
        return cli_failed(status, NULL);
    if (!a->json && !a->quiet)
        print_device_line(stdout, &info);
    a->warm.progress = step;
    a->warm.progress_priv = a;
    interrupt_install();
    status = attune_warm(target, (const attune_problem *const *)set->problems, set->count, &a->warm, &result);
    if (a->line_open)
        printf("\r\033[K");
    if (status)
        return cli_failed(status, NULL);
    enum exit_code code = code_of(&result);
    print_result(a, &info, &result, code);
    return code;
}

static enum exit_code warm_all(struct warm_arguments *a, struct problem_set *set)
{
    attune_target *target;
    enum exit_code code = problem_set_keep_supported(set, a->json, a->quiet);
    if (code)
        return code;
    attune_status status = attune_target_create(&target, &a->target);
    if (status)
        return cli_failed(status, NULL);
    code = warm_on(a, target, set);
    attune_target_destroy(&target);
    return code;
}

enum exit_code command_warm(int argc, char **argv)
{
    struct warm_arguments a = {.target = ATTUNE_TARGET_OPTIONS_INIT, .warm = ATTUNE_WARM_OPTIONS_INIT};
    struct problem_set set = {NULL, 0, 0};
    enum exit_code code = EXIT_USAGE;
    a.target.log = cli_log;
    if (read_arguments(&a, argc, argv))
        code = problem_set_create_grids(&set, &a.suites, &a.workloads, &a.grids, a.slots);
    if (!code)
        code = warm_all(&a, &set);
    problem_set_destroy(&set);
    free(a.workloads.items);
    free(a.grids.items);
    free(a.suites.items);
    return code;
}
