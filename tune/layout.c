/* SPDX-License-Identifier: Apache-2.0
 * `attune layout`. */
#include "commands.h"

#include <stdlib.h>
#include <string.h>

#define MAX_PAGE_SIZES 4

struct layout_arguments {
    struct text_list workloads;
    const char *weights_text, *pages_text;
    attune_target_options target;
    attune_kv_choice_options choice;
    int64_t slots, rounds, seed;
    double *weights; /* owned */
    int32_t page_sizes[MAX_PAGE_SIZES];
    bool no_cache, again, json;
};

static bool read_arguments(struct layout_arguments *a, int argc, char **argv)
{
    a->slots = 1 << 20;
    a->rounds = a->choice.rounds;
    a->seed = (int64_t)a->choice.seed;
    const struct option options[] = {
        {"workload", OPTION_TEXTS, &a->workloads, 0, 0},
        {"weights", OPTION_TEXT, &a->weights_text, 0, 0},
        {"pages", OPTION_TEXT, &a->pages_text, 0, 0},
        {"slots", OPTION_INTEGER, &a->slots, 1, INT32_MAX},
        {"backend", OPTION_TEXT, &a->target.backend, 0, 0},
        {"device", OPTION_TEXT, &a->target.device, 0, 0},
        {"cache-dir", OPTION_TEXT, &a->target.cache_dir, 0, 0},
        {"no-cache", OPTION_FLAG, &a->no_cache, 0, 0},
        {"rounds", OPTION_INTEGER, &a->rounds, 1, 1000},
        {"max-seconds", OPTION_REAL, &a->choice.max_seconds, 0, 100000000},
        {"seed", OPTION_INTEGER, &a->seed, 0, INT64_MAX},
        {"again", OPTION_FLAG, &a->again, 0, 0},
        {"json", OPTION_FLAG, &a->json, 0, 0},
        {NULL},
    };
    if (!cli_parse(argc, argv, options, NULL) || !cli_no_cache(a->no_cache, &a->target))
        return false;
    if (!a->workloads.count) {
        cli_error("nothing to do: give --workload");
        return false;
    }
    a->choice.num_slots = a->slots;
    a->choice.rounds = (int32_t)a->rounds;
    a->choice.seed = (uint64_t)a->seed;
    a->choice.again = a->again;
    return true;
}

/* Numbers of "A/B/C" that are above 0; 0 with the error printed. */
static size_t read_list(const char *option, const char *text, double *out, size_t capacity)
{
    size_t count = 0;
    for (const char *at = text;;) {
        char number[32];
        size_t length = strcspn(at, "/");
        snprintf(number, sizeof number, "%.*s", length < sizeof number ? (int)length : 0, at);
        if (count == capacity) {
            cli_error("--%s has more than %zu numbers; at most %zu fit here", option, capacity, capacity);
            return 0;
        }
        if (!cli_number(number, &out[count]) || !(out[count] > 0 && out[count] < 1e18)) {
            cli_error("--%s is \"%s\"; it must be numbers above 0 with / between them", option, text);
            return 0;
        }
        count++;
        at += length;
        if (!*at++)
            return count;
    }
}

static bool read_weights(struct layout_arguments *a, size_t num_problems)
{
    if (!a->weights_text)
        return true;
    size_t capacity = strlen(a->weights_text) + 1;
    if (!(a->weights = calloc(capacity, sizeof *a->weights))) {
        cli_error("out of memory");
        return false;
    }
    size_t count = read_list("weights", a->weights_text, a->weights, capacity);
    if (count && count != num_problems)
        cli_error("--weights has %zu numbers for %zu workload%s", count, num_problems, num_problems == 1 ? "" : "s");
    a->choice.weights = a->weights;
    return count == num_problems;
}

static bool read_pages(struct layout_arguments *a)
{
    double pages[MAX_PAGE_SIZES];
    if (!a->pages_text)
        return true;
    size_t count = read_list("pages", a->pages_text, pages, MAX_PAGE_SIZES);
    for (size_t i = 0; i < count; i++) {
        a->page_sizes[i] = pages[i] < INT32_MAX ? (int32_t)pages[i] : INT32_MAX;
        if (a->page_sizes[i] != pages[i]) {
            cli_error("--pages is \"%s\"; page sizes are whole numbers", a->pages_text);
            return false;
        }
    }
    a->choice.page_sizes = a->page_sizes;
    a->choice.num_page_sizes = count;
    return count > 0;
}

static void print_candidate(const attune_kv_choice *choice, int32_t i)
{
    const attune_kv_candidate *c = &choice->candidates[i];
    if (c->outcome != ATTUNE_OUTCOME_OK) {
        printf("  %-28s  %s: %s\n", c->fields, attune_outcome_name(c->outcome), c->reason);
        return;
    }
    printf("%c %-28s  %.3fx the time of %s (%.3f to %.3f), %.1f%% of it appending\n", i == choice->chosen ? '*' : ' ',
           c->fields, c->ratio, i ? "the first" : "itself", c->ratio_low, c->ratio_high,
           100 * c->append_ms / c->time_ms);
}

static void print_choice(const struct problem_set *set, const struct layout_arguments *a,
                         const attune_device_info *info, const attune_kv_choice *choice)
{
    const attune_kv_candidate *chosen = &choice->candidates[choice->chosen];
    print_device_line(stdout, info);
    for (size_t i = 0; i < set->count; i++)
        printf("%g x %s\n", a->choice.weights ? a->choice.weights[i] : 1.0, attune_problem_name(set->problems[i]));
    for (int32_t i = 0; i < choice->num_candidates; i++)
        print_candidate(choice, i);
    printf("chosen: %s (%s)", chosen->id, chosen->fields);
    if (choice->chosen)
        printf(", %.3gx as fast as %s (%.3g to %.3g)", 1 / chosen->ratio, choice->candidates[0].fields,
               1 / chosen->ratio_high, 1 / chosen->ratio_low);
    else
        printf("; nothing was faster beyond doubt");
    printf(choice->hit ? "; answered by the cache\n" : "; %d rounds\n", (int)choice->rounds);
    if (choice->entry_path[0])
        printf("entry: %s\n", choice->entry_path);
}

static json_t *candidate_json(const attune_kv_candidate *c)
{
    const attune_kv_layout_options *l = &c->layout;
    return json_pack("{so so so so si s[III] s[III] so so so so so}", "layout", json_text(c->id), "fields",
                     json_text(c->fields), "outcome", json_text(attune_outcome_name(c->outcome)), "reason",
                     json_text(c->reason), "page_size", (int)l->page_size, "k_strides", (json_int_t)l->k_stride_page,
                     (json_int_t)l->k_stride_token, (json_int_t)l->k_stride_head, "v_strides",
                     (json_int_t)l->v_stride_page, (json_int_t)l->v_stride_token, (json_int_t)l->v_stride_head,
                     "time_ms", json_figure(c->time_ms), "append_ms", json_figure(c->append_ms), "ratio",
                     json_figure(c->ratio), "ratio_low", json_figure(c->ratio_low), "ratio_high",
                     json_figure(c->ratio_high));
}

static void print_json(const struct problem_set *set, const attune_device_info *info, const attune_kv_choice *choice)
{
    json_t *workloads = json_array(), *candidates = json_array();
    for (size_t i = 0; i < set->count; i++)
        json_array_append_new(workloads, json_text(attune_problem_text(set->problems[i])));
    for (int32_t i = 0; i < choice->num_candidates; i++)
        json_array_append_new(candidates, candidate_json(&choice->candidates[i]));
    json_line(json_pack("{so so so sb si si so so}", "backend", json_text(info->backend), "simulated",
                        json_text(info->simulated), "workloads", workloads, "hit", choice->hit != 0, "rounds",
                        (int)choice->rounds, "chosen", (int)choice->chosen, "candidates", candidates, "entry",
                        json_text(choice->entry_path)));
}

static enum exit_code choose(struct layout_arguments *a, const struct problem_set *set)
{
    attune_target *target;
    attune_status status = attune_target_create(&target, &a->target);
    if (status)
        return cli_failed(status, NULL);
    attune_device_info info = {0};
    static attune_kv_choice choice;
    attune_target_info(target, &info);
    status =
        attune_kv_layout_choose(target, (const attune_problem *const *)set->problems, set->count, &a->choice, &choice);
    enum exit_code code = status ? cli_failed(status, NULL) : EXIT_DONE;
    /* When storage failed after measuring, the choice is there all the same. */
    bool chosen = !status || (status == ATTUNE_ERROR_IO && choice.rounds > 0);
    if (chosen && a->json)
        print_json(set, &info, &choice);
    else if (chosen)
        print_choice(set, a, &info, &choice);
    attune_target_destroy(&target);
    return code;
}

enum exit_code command_layout(int argc, char **argv)
{
    struct layout_arguments a = {.target = ATTUNE_TARGET_OPTIONS_INIT, .choice = ATTUNE_KV_CHOICE_OPTIONS_INIT};
    a.target.log = cli_log;
    struct problem_set set = {NULL, 0, 0};
    enum exit_code code = EXIT_USAGE;
    if (read_arguments(&a, argc, argv))
        code = problem_set_create(&set, NULL, &a.workloads);
    if (!code && (!read_weights(&a, set.count) || !read_pages(&a)))
        code = EXIT_USAGE;
    if (!code)
        code = choose(&a, &set);
    problem_set_destroy(&set);
    free(a.workloads.items);
    free(a.weights);
    return code;
}
