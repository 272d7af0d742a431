/* SPDX-License-Identifier: Apache-2.0
 * What a plan runs must compile here. Where something does not, it is set aside with a warning and the choice is made
 * again without it, down to the plainest kernel. */
#include <stdlib.h>
#include <string.h>

#include "aside.h"
#include "plan.h"

struct choosing {
    struct attune_plan *plan;
    struct cache_key key;
    struct aside aside;   /* for this plan */
    struct aside lasting; /* of the cache, and what it gets */
    int32_t failures;
    bool learnt; /* lasting has grown */
    attune_status first_status;
    char first[600], *first_log;
};

/* A broken machine does not compile anything better; what says so is no judgement on a kernel. */
static bool another_may_work(attune_status status)
{
    return status == ATTUNE_ERROR_BUILD || status == ATTUNE_ERROR_OPENCL || status == ATTUNE_ERROR_DEVICE_MEMORY;
}

/* The first line with an error of the compiler's log, or its first one, or the failure's text. */
static void failure_words(char *out, size_t size)
{
    const char *log = attune_last_build_log(), *best = NULL;
    for (const char *line = log; *line; line += strcspn(line, "\n"), line += *line == '\n') {
        size_t length = strcspn(line, "\n");
        const char *error = strstr(line, "error");
        if (length && (!best || (error && error < line + length)))
            best = line;
        if (error && error < line + length)
            break;
    }
    copy_string(out, size, best ? best : attune_last_error());
    out[strcspn(out, "\n")] = '\0';
}

static void set_aside(struct choosing *c, const struct plan_config *failed, attune_status status)
{
    char words[200];
    failure_words(words, sizeof words);
    if (!c->failures++) {
        c->first_status = status;
        copy_string(c->first, sizeof c->first, attune_last_error());
        c->first_log = strdup(attune_last_build_log());
    }
    aside_add(&c->aside, &failed->config, words);
    if (status != ATTUNE_ERROR_DEVICE_MEMORY) { /* which may be full today */
        aside_add(&c->lasting, &failed->config, words);
        c->learnt = true;
    }
    log_message(&c->plan->context->logger, ATTUNE_LOG_WARNING,
                "plan: %s (%s) does not compile here: %s; it is set aside", failed->text, failed->source, words);
}

/* Compiles what is not compiled yet. *failed: the configuration that did not, or -1. */
static attune_status compile_all(struct attune_plan *plan, int32_t *failed)
{
    attune_status status = ATTUNE_OK;
    *failed = -1;
    for (int32_t i = 0; status == ATTUNE_OK && i < plan->num_configs; i++)
        if (!plan->configs[i].program && (status = plan_compile(plan, &plan->configs[i])) != ATTUNE_OK)
            *failed = i;
    return status;
}

/* Chooses anew. Programs of configurations that stay are taken over. */
static attune_status choose_again(struct choosing *c, const struct shape_list *list, const attune_plan_options *options)
{
    struct attune_plan *plan = c->plan;
    struct plan_config before[PLAN_MAX_CONFIGS];
    int32_t count = plan->num_configs;
    memcpy(before, plan->configs, sizeof before);
    memset(plan->configs, 0, sizeof plan->configs);
    plan->num_configs = plan->num_points = 0;
    free(plan->points);
    plan->points = NULL;
    attune_status status = plan_choose(plan, list, options, &c->aside);
    for (int32_t i = 0; i < count; i++) {
        struct plan_config *same = NULL;
        for (int32_t k = 0; k < plan->num_configs; k++)
            if (kernel_config_equal(&plan->configs[k].config, &before[i].config))
                same = &plan->configs[k];
        if (same) {
            same->program = before[i].program;
            same->num_groups = before[i].num_groups;
        } else if (before[i].program)
            clReleaseProgram(before[i].program);
    }
    return status;
}

/* Once other configurations are known to compile, those that do not are to blame, and later plans leave them out. */
static void remember(struct choosing *c)
{
    struct attune_plan *plan = c->plan;
    if (c->learnt && plan->context->cache && aside_store(plan->context->cache, &c->key, &c->lasting) != ATTUNE_OK)
        log_message(&plan->context->logger, ATTUNE_LOG_WARNING, "plan: what is set aside is not remembered: %s",
                    attune_last_error());
    for (int32_t i = 0; i < plan->num_configs; i++)
        log_message(&plan->context->logger, ATTUNE_LOG_WARNING, "plan: in place of what does not compile: %s (%s)",
                    plan->configs[i].text, plan->configs[i].source);
}

attune_status plan_choose_working(struct attune_plan *plan, const struct shape_list *list,
                                  const attune_plan_options *options)
{
    struct choosing *c = calloc(1, sizeof *c);
    if (!c)
        return set_error(ATTUNE_ERROR_OUT_OF_MEMORY, "out of memory for a plan");
    c->plan = plan;
    select_device_key(&plan->context->choice, &c->key);
    select_problem_key(&plan->desc, plan->has_layout ? plan->layout.id : "", (struct shape_bucket){0}, &c->key);
    aside_find(plan->context->cache, &c->key, &c->lasting);
    c->aside = c->lasting;
    int32_t failed = -1;
    attune_status status = plan_choose(plan, list, options, &c->aside);
    while (status == ATTUNE_OK && (status = compile_all(plan, &failed)) != ATTUNE_OK && another_may_work(status) &&
           c->failures < ASIDE_MAX) {
        set_aside(c, &plan->configs[failed], status);
        status = choose_again(c, list, options);
    }
    if (status == ATTUNE_OK && c->failures)
        remember(c);
    if (c->failures && status == ATTUNE_ERROR_UNSUPPORTED) { /* nothing is left */
        status =
            set_error(c->first_status, "no configuration compiles here, of %d; the first: %s", c->failures, c->first);
        attach_build_log(c->first_log ? c->first_log : "");
    }
    free(c->first_log);
    free(c);
    return status;
}
