/* SPDX-License-Identifier: Apache-2.0
 * `attune search`: strategies on recorded spaces. */
#include "commands.h"
#include "interrupt.h"
#include "plot.h"
#include "replay.h"
#include "runs.h"
#include "score.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define MAX_SOURCES 64
#define MAX_SEEDS 4096
#define MAX_REPEATS 10000

enum mode { MODE_SPACE = 1, MODE_COMPARE = 2, MODE_LIST = 4 };

struct search_arguments {
    const char *space, *strategy, *plot;
    struct text_list options, seeds_from, files;
    attune_search_setting_value *settings; /* [options.count] */
    int64_t num_seeds, budget_tests, seed, repeat;
    bool noise, json, list, compare;
};

static bool read_arguments(struct search_arguments *a, int argc, char **argv)
{
    const struct option options[] = {
        {"space", OPTION_TEXT, &a->space, 0, 0},
        {"strategy", OPTION_TEXT, &a->strategy, 0, 0, MODE_SPACE},
        {"option", OPTION_TEXTS, &a->options, 0, 0, MODE_SPACE},
        {"seeds-from", OPTION_TEXTS, &a->seeds_from, 0, 0, MODE_SPACE},
        {"num-seeds", OPTION_INTEGER, &a->num_seeds, 1, MAX_SEEDS, MODE_SPACE},
        {"budget-tests", OPTION_INTEGER, &a->budget_tests, 1, RUN_MAX_TESTS, MODE_SPACE},
        {"seed", OPTION_INTEGER, &a->seed, 0, INT64_MAX - MAX_REPEATS, MODE_SPACE},
        {"repeat", OPTION_INTEGER, &a->repeat, 1, MAX_REPEATS, MODE_SPACE},
        {"noise", OPTION_FLAG, &a->noise, 0, 0, MODE_SPACE},
        {"json", OPTION_FLAG, &a->json, 0, 0, MODE_SPACE | MODE_LIST},
        {"list", OPTION_FLAG, &a->list, 0, 0},
        {"compare", OPTION_FLAG, &a->compare, 0, 0},
        {"plot", OPTION_TEXT, &a->plot, 0, 0, MODE_COMPARE},
        {NULL},
    };
    if (!cli_parse(argc, argv, options, &a->files))
        return false;
    static const char *const names[] = {"--space", "--compare", "--list"};
    int modes = (a->space != NULL) + a->list + a->compare;
    unsigned mode = a->list ? MODE_LIST : a->compare ? MODE_COMPARE : MODE_SPACE;
    if (modes != 1)
        cli_error("%s of --space FILE, --compare FILE... and --list", modes ? "give only one" : "give one");
    else if (a->compare && !a->files.count)
        cli_error("--compare needs files that attune search --json wrote");
    else if (!a->compare && a->files.count)
        cli_error("unexpected argument \"%s\"; see --help", a->files.items[0]);
    else if (a->seeds_from.count > MAX_SOURCES)
        cli_error("--seeds-from is given %zu times; at most %d are taken", a->seeds_from.count, MAX_SOURCES);
    else if (cli_given("num-seeds") && !a->seeds_from.count)
        cli_error("--num-seeds needs --seeds-from");
    else
        return cli_goes_with(mode, names);
    return false;
}

/* NAME=VALUE each. */
static bool read_settings(struct search_arguments *a)
{
    a->settings = calloc(a->options.count + 1, sizeof *a->settings);
    for (size_t i = 0; a->settings && i < a->options.count; i++) {
        const char *text = a->options.items[i], *equals = strchr(text, '=');
        double value;
        if (!equals || equals == text || !cli_number(equals + 1, &value)) {
            cli_error("--option is \"%s\"; it must be NAME=NUMBER", text);
            return false;
        }
        a->settings[i] = (attune_search_setting_value){strndup(text, (size_t)(equals - text)), value};
    }
    if (!a->settings)
        cli_error("out of memory");
    return a->settings != NULL;
}

/* ---- spaces and seeds */

struct task {
    attune_space *space;
    attune_space_info info;
    char name[RUN_NAME_MAX + 1];
    int32_t *seeds;
    size_t num_seeds;
    struct yardstick yardstick;
};

/* The file's name without its folder and endings. */
static void name_space(const char *path, char *name)
{
    const char *slash = strrchr(path, '/');
    snprintf(name, RUN_NAME_MAX + 1, "%s", slash ? slash + 1 : path);
    static const char *const endings[] = {".gz", ".json"};
    for (size_t i = 0; i < 2; i++) {
        size_t length = strlen(name), ending = strlen(endings[i]);
        if (length > ending && !strcmp(name + length - ending, endings[i]))
            name[length - ending] = '\0';
    }
}

static attune_status choose_seeds(const struct search_arguments *a, struct task *task, attune_space **sources)
{
    attune_status status = ATTUNE_OK;
    for (size_t i = 0; i < a->seeds_from.count && status == ATTUNE_OK; i++)
        status = attune_space_open(a->seeds_from.items[i], &sources[i]);
    if (status != ATTUNE_OK)
        return status;
    task->seeds = calloc((size_t)a->num_seeds * task->info.num_params, sizeof *task->seeds);
    return task->seeds ? attune_space_seeds(task->space, (const attune_space *const *)sources, a->seeds_from.count,
                                            (size_t)a->num_seeds, task->seeds, &task->num_seeds)
                       : ATTUNE_ERROR_OUT_OF_MEMORY;
}

static enum exit_code prepare(const struct search_arguments *a, struct task *task)
{
    attune_status status = attune_space_open(a->space, &task->space);
    if (status != ATTUNE_OK)
        return cli_failed(status, NULL);
    attune_space_describe(task->space, &task->info);
    name_space(a->space, task->name);
    if (!(task->info.optimum_ms > 0)) {
        cli_error("%s: every configuration failed, so that there is no optimum", a->space);
        return EXIT_USAGE;
    }
    if (a->seeds_from.count) {
        attune_space *sources[MAX_SOURCES] = {NULL};
        status = choose_seeds(a, task, sources);
        for (size_t i = 0; i < a->seeds_from.count; i++)
            attune_space_close(&sources[i]);
        if (status != ATTUNE_OK)
            return cli_failed(status, "--seeds-from");
    }
    if (yardstick_init(&task->yardstick, task->space, (int32_t)a->budget_tests))
        return EXIT_DONE;
    cli_error("out of memory");
    return EXIT_OTHER;
}

static void task_free(struct task *task)
{
    attune_space_close(&task->space);
    free(task->seeds);
}

/* ---- runs */

/* The strategy and what was asked of it. */
static char *label_of(const struct search_arguments *a, const struct task *task, const char *strategy)
{
    char label[RUN_NAME_MAX + 1], seeds[40] = "";
    if (task->num_seeds)
        snprintf(seeds, sizeof seeds, ", %zu seeds", task->num_seeds);
    int length = snprintf(label, sizeof label, "%s%s%s", strategy, seeds, a->noise ? ", noise" : "");
    for (size_t i = 0; i < a->options.count && length < RUN_NAME_MAX; i++)
        length += snprintf(label + length, sizeof label - (size_t)length, ", %s", a->options.items[i]);
    return strdup(label);
}

static void print_json_run(const struct search_arguments *a, const struct task *task, const char *strategy,
                           const struct run *run)
{
    json_t *best = json_array();
    for (int32_t t = 0; t < run->num_tests; t++)
        json_array_append_new(best, json_figure(run->best[t]));
    json_line(json_pack("{so so sI so so so so so si sb si}", "space", json_text(run->space), "strategy",
                        json_text(strategy), "seed", (json_int_t)run->seed, "best", best, "optimum",
                        json_figure(run->optimum), "within5_at",
                        run->within5_at ? json_integer(run->within5_at) : json_null(), "score", json_number(run->score),
                        "label", json_text(run->label), "num_seeds", (int)task->num_seeds, "noise", a->noise, "cutoff",
                        (int)task->yardstick.cutoff));
}

static enum exit_code run_once(const struct search_arguments *a, const struct task *task, const char *strategy,
                               uint64_t seed, struct runs *runs)
{
    int32_t budget = (int32_t)a->budget_tests;
    struct run run = {.space = strdup(task->name),
                      .label = label_of(a, task, strategy),
                      .seed = seed,
                      .num_tests = budget,
                      .best = calloc((size_t)budget, sizeof *run.best),
                      .optimum = task->info.optimum_ms};
    struct replay replay = {task->space, strategy, a->settings, a->options.count, budget,
                            seed,        a->noise, task->seeds, task->num_seeds};
    attune_status status =
        run.space && run.label && run.best ? replay_run(&replay, run.best) : ATTUNE_ERROR_OUT_OF_MEMORY;
    if (status != ATTUNE_OK) {
        run_free(&run);
        return cli_failed(status, strategy);
    }
    run.within5_at = score_within5(run.best, budget, run.optimum);
    run.score = score_of(&task->yardstick, run.best, budget);
    if (a->json)
        print_json_run(a, task, strategy, &run);
    if (runs_add(runs, &run))
        return EXIT_DONE;
    cli_error("out of memory");
    return EXIT_OTHER;
}

static enum exit_code run_strategies(const struct search_arguments *a, const struct task *task, struct runs *runs)
{
    enum exit_code code = EXIT_DONE;
    const char *name;
    for (size_t i = 0; (name = attune_search_strategy(i)); i++) {
        if (strcmp(a->strategy, "all") != 0 && strcmp(a->strategy, name) != 0)
            continue;
        for (int64_t r = 0; r < a->repeat && !code; r++)
            code = interrupt_requested() ? EXIT_INTERRUPTED : run_once(a, task, name, (uint64_t)(a->seed + r), runs);
    }
    return code;
}

static enum exit_code search_space(const struct search_arguments *a)
{
    struct task task = {NULL};
    struct runs runs = {NULL, 0, 0};
    interrupt_install();
    enum exit_code code = prepare(a, &task);
    if (!code)
        code = run_strategies(a, &task, &runs);
    if (!a->json && runs.count) {
        printf("%s on %s: %zu configurations, %zu failed; optimum %.6g ms, median %.6g ms; score over %d tests\n",
               task.info.kernel, task.info.device, task.info.num_configs, task.info.num_failed, task.info.optimum_ms,
               task.info.median_ms, (int)task.yardstick.cutoff);
        if (!runs_print(&runs) && !code)
            code = EXIT_OTHER;
    }
    runs_free(&runs);
    task_free(&task);
    return code;
}

/* ---- comparing */

#define MAX_NAMES 64 /* of spaces, of labels: what a table and a figure can show */

static bool few_names(const struct runs *runs, const char *(*name)(const struct run *), const char *what)
{
    struct text_list names;
    bool few = runs_names(runs, name, &names);
    if (few && names.count > MAX_NAMES) {
        cli_error("the files have %zu %s; at most %d can be compared", names.count, what, MAX_NAMES);
        few = false;
    }
    free(names.items);
    return few;
}

static enum exit_code compare(const struct search_arguments *a)
{
    struct runs runs = {NULL, 0, 0};
    enum exit_code code = EXIT_DONE;
    const char *plot = a->plot ? a->plot : "convergence.svg";
    for (size_t i = 0; i < a->files.count && !code; i++)
        code = runs_read(&runs, a->files.items[i]);
    if (!code && !(few_names(&runs, run_space, "spaces") && few_names(&runs, run_label, "strategies")))
        code = EXIT_USAGE;
    if (!code && !runs_print(&runs))
        code = EXIT_OTHER;
    if (!code)
        code = plot_write(&runs, plot);
    if (!code)
        printf("\nplot: %s\n", plot);
    runs_free(&runs);
    return code;
}

static void list_strategy(const char *name, const char *doc, bool as_json)
{
    json_t *settings = json_array();
    attune_search_setting setting;
    if (!as_json)
        printf("%s: %s\n", name, doc);
    for (size_t k = 0; attune_search_strategy_setting(name, k, &setting); k++)
        if (as_json)
            json_array_append_new(settings, json_pack("{ss ss sf sf sf sb}", "name", setting.name, "doc", setting.doc,
                                                      "default", setting.initial, "low", setting.low, "high",
                                                      setting.high, "whole", (int)setting.whole));
        else
            printf("    %s [%g]: %s, %s from %g to %g\n", setting.name, setting.initial, setting.doc,
                   setting.whole ? "whole" : "any", setting.low, setting.high);
    if (as_json)
        json_line(json_pack("{ss ss so}", "strategy", name, "doc", doc, "settings", settings));
    else
        json_decref(settings);
}

static enum exit_code list_strategies(const struct search_arguments *a)
{
    const char *name;
    for (size_t i = 0; (name = attune_search_strategy(i)); i++)
        list_strategy(name, attune_search_strategy_doc(i), a->json);
    return EXIT_DONE;
}

enum exit_code command_search(int argc, char **argv)
{
    struct search_arguments a = {
        .strategy = "default", .num_seeds = 20, .budget_tests = SCORE_MAX_TESTS, .seed = 1, .repeat = 1};
    enum exit_code code = EXIT_USAGE;
    if (read_arguments(&a, argc, argv) && cli_check_strategy(a.strategy, true) && read_settings(&a))
        code = a.list ? list_strategies(&a) : a.compare ? compare(&a) : search_space(&a);
    for (size_t i = 0; a.settings && i < a.options.count; i++)
        free((char *)a.settings[i].name);
    free(a.settings);
    free(a.options.items);
    free(a.seeds_from.items);
    free(a.files.items);
    return code;
}
