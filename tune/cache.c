/* SPDX-License-Identifier: Apache-2.0
 * `attune cache`. */
#include "commands.h"

#include <stdlib.h>
#include <string.h>

enum mode { MODE_LIST = 1, MODE_SHOW = 2, MODE_EXPLAIN = 4, MODE_RM = 8 };

struct cache_arguments {
    attune_target_options target;
    struct text_list words, workloads;
    bool all, json;
};

static json_t *entry_json(const attune_cache_entry_info *entry)
{
    return json_pack("{so so so so so so so so so so so sb si sb sb so}", "key", json_text(entry->key), "level",
                     json_text(entry->level), "device", json_text(entry->device), "backend", json_text(entry->backend),
                     "simulated", json_text(entry->simulated), "workload", json_text(entry->workload), "config",
                     json_text(entry->config), "path", json_text(entry->path), "time_ms", json_figure(entry->time_ms),
                     "default_ms", json_figure(entry->default_ms), "gain", json_figure(entry->gain), "verified",
                     entry->verified != 0, "tests", (int)entry->tests, "exhausted", entry->exhausted != 0, "tuned",
                     entry->tuned != 0, "set_aside", json_text(entry->set_aside));
}

struct listing {
    bool json;
    size_t count;
};

static int print_entry(void *priv, const attune_cache_entry_info *entry)
{
    struct listing *listing = priv;
    listing->count++;
    if (listing->json) {
        json_line(entry_json(entry));
        return 0;
    }
    char ms[32], simulated[160];
    printf("%.12s  %-7s  %.3gx the untuned default (%s)  %s\n", entry->key, entry->level, entry->gain,
           format_ms(entry->time_ms, ms), entry->verified ? "verified" : "not verified here");
    printf("    %s\n    %s\n    %s on %s%s\n", entry->workload, entry->config, entry->backend, entry->device,
           format_simulated(entry->simulated, simulated));
    printf("    %s", entry->tuned ? "tuned" : "hardly searched: CACHED_ONLY does not take it");
    if (entry->exhausted)
        printf(", every configuration tried\n");
    else if (entry->tests)
        printf(", %d tests\n", (int)entry->tests);
    else
        printf(", tests not known\n");
    if (entry->set_aside[0])
        printf("    set aside, it did not compile here: %s\n", entry->set_aside);
    return 0;
}

static enum exit_code cache_list(const struct cache_arguments *arguments)
{
    struct listing listing = {arguments->json, 0};
    size_t unreadable = 0;
    attune_status status = attune_cache_list(&arguments->target, print_entry, &listing, &unreadable);
    if (status)
        return cli_failed(status, NULL);
    if (unreadable)
        cli_note("warning: %zu entries cannot be read", unreadable);
    if (!listing.count && !listing.json)
        printf("no entries\n");
    return EXIT_DONE;
}

static enum exit_code cache_show(const struct cache_arguments *arguments)
{
    if (arguments->words.count != 2) {
        cli_error("cache show needs one KEY");
        return EXIT_USAGE;
    }
    char *text;
    attune_status status = attune_cache_show(&arguments->target, arguments->words.items[1], &text);
    if (status)
        return cli_failed(status, NULL);
    printf("%s\n", text);
    free(text);
    return EXIT_DONE;
}

static enum exit_code explain_all(const struct cache_arguments *arguments, const struct problem_set *set)
{
    attune_target *target;
    attune_status status = attune_target_create(&target, &arguments->target);
    if (status)
        return cli_failed(status, NULL);
    attune_device_info info;
    status = attune_target_info(target, &info);
    if (!status && !arguments->json)
        print_device_line(stdout, &info);
    for (size_t i = 0; !status && i < set->count; i++) {
        const attune_problem *problem = set->problems[i];
        char *text;
        status = attune_cache_explain(target, problem, &text);
        if (status)
            break;
        if (arguments->json)
            json_line(json_pack("{so so so so}", "workload", json_text(attune_problem_text(problem)), "backend",
                                json_text(info.backend), "simulated", json_text(info.simulated), "explanation",
                                json_text(text)));
        else
            printf("%s\n%s\n", attune_problem_text(problem), text);
        free(text);
    }
    attune_target_destroy(&target);
    return status ? cli_failed(status, NULL) : EXIT_DONE;
}

static enum exit_code cache_explain(const struct cache_arguments *arguments)
{
    struct problem_set set;
    if (!arguments->workloads.count) {
        cli_error("nothing to explain: give --workload");
        return EXIT_USAGE;
    }
    enum exit_code code = problem_set_create(&set, NULL, &arguments->workloads);
    if (code)
        return code;
    code = explain_all(arguments, &set);
    problem_set_destroy(&set);
    return code;
}

/* ---- rm */

static enum exit_code forget_workloads(const struct cache_arguments *arguments, size_t *count)
{
    struct problem_set set;
    enum exit_code code = problem_set_create(&set, NULL, &arguments->workloads);
    if (code)
        return code;
    attune_target *target;
    attune_status status = attune_target_create(&target, &arguments->target);
    for (size_t i = 0; !status && i < set.count; i++) {
        status = attune_cache_forget_problem(target, set.problems[i]);
        *count += !status;
    }
    code = status ? cli_failed(status, NULL) : EXIT_DONE;
    attune_target_destroy(&target);
    problem_set_destroy(&set);
    return code;
}

static enum exit_code forget_keys(const struct cache_arguments *arguments, size_t *count)
{
    attune_status status = ATTUNE_OK;
    if (arguments->all)
        status = attune_cache_forget(&arguments->target, NULL, count);
    for (size_t i = 1; !status && i < arguments->words.count; i++) {
        status = attune_cache_forget(&arguments->target, arguments->words.items[i], NULL);
        *count += !status;
    }
    return status ? cli_failed(status, NULL) : EXIT_DONE;
}

static enum exit_code cache_rm(const struct cache_arguments *arguments)
{
    size_t count = 0;
    if ((arguments->words.count > 1) + (arguments->workloads.count > 0) + arguments->all != 1) {
        cli_error("cache rm needs KEY, --workload or --all, one of them");
        return EXIT_USAGE;
    }
    enum exit_code code =
        arguments->workloads.count ? forget_workloads(arguments, &count) : forget_keys(arguments, &count);
    if (arguments->json && !code)
        json_line(json_pack("{si}", "forgotten", (int)count));
    else if (!arguments->json)
        printf("%zu %s forgotten\n", count, count == 1 ? "entry" : "entries");
    return code;
}

static enum exit_code run_action(const struct cache_arguments *arguments)
{
    static const char *const actions[] = {"list", "show", "explain", "rm", NULL};
    static const char *const modes[] = {"cache list", "cache show", "cache explain", "cache rm"};
    static enum exit_code (*const run[])(const struct cache_arguments *) = {cache_list, cache_show, cache_explain,
                                                                            cache_rm};
    const char *action = arguments->words.count ? arguments->words.items[0] : "";
    size_t i = 0;
    while (actions[i] && strcmp(actions[i], action))
        i++;
    if (!actions[i]) {
        const char *closest = cli_closest(action, actions);
        cli_error(closest ? "unknown action \"%s\"; did you mean \"cache %s\"?"
                          : "cache needs an action: list, show, explain or rm",
                  action, closest);
    } else if (1u << i != MODE_SHOW && 1u << i != MODE_RM && arguments->words.count > 1) {
        cli_error("unexpected argument \"%s\"; see \"attune help cache\"", arguments->words.items[1]);
    } else if (cli_goes_with(1u << i, modes)) {
        return run[i](arguments);
    }
    return EXIT_USAGE;
}

enum exit_code command_cache(int argc, char **argv)
{
    struct cache_arguments arguments = {ATTUNE_TARGET_OPTIONS_INIT, {NULL, 0}, {NULL, 0}, false, false};
    arguments.target.log = cli_log;
    const struct option options[] = {{"workload", OPTION_TEXTS, &arguments.workloads, 0, 0, MODE_EXPLAIN | MODE_RM},
                                     {"backend", OPTION_TEXT, &arguments.target.backend, 0, 0, MODE_EXPLAIN | MODE_RM},
                                     {"device", OPTION_TEXT, &arguments.target.device, 0, 0, MODE_EXPLAIN | MODE_RM},
                                     {"cache-dir", OPTION_TEXT, &arguments.target.cache_dir, 0, 0},
                                     {"all", OPTION_FLAG, &arguments.all, 0, 0, MODE_RM},
                                     {"json", OPTION_FLAG, &arguments.json, 0, 0},
                                     {NULL}};
    enum exit_code code = cli_parse(argc, argv, options, &arguments.words) ? run_action(&arguments) : EXIT_USAGE;
    free(arguments.words.items);
    free(arguments.workloads.items);
    return code;
}
