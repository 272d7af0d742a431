/* SPDX-License-Identifier: Apache-2.0 */
#include "progress.h"

#include "interrupt.h"

#include <string.h>

/* Index of a workload given by its text or its name; set->count where it is neither. */
static size_t problem_index(const struct problem_set *set, const char *workload)
{
    size_t i = 0;
    while (i < set->count && strcmp(attune_problem_text(set->problems[i]), workload) &&
           strcmp(attune_problem_name(set->problems[i]), workload))
        i++;
    return i;
}

static void print_json_step(const struct progress *progress, const attune_tune_progress *step, const char *workload)
{
    json_line(json_pack(
        "{ss so so so si si so so so so so so so so so}", "event", "test", "simulated", json_text(progress->simulated),
        "phase", json_text(step->phase ? step->phase : ""), "workload", json_text(workload), "tests", (int)step->tests,
        "budget_tests", (int)step->budget_tests, "seconds", json_figure(step->seconds), "budget_seconds",
        json_figure(step->budget_seconds), "eta_seconds", json_figure(step->eta_seconds), "config",
        json_text(step->config ? step->config : ""), "outcome", json_text(attune_outcome_name(step->outcome)), "reason",
        step->reason && step->reason[0] ? json_text(step->reason) : json_null(), "time_ms", json_figure(step->time_ms),
        "best_ms", json_figure(step->best_ms), "default_ms", json_figure(step->default_ms)));
}

/* "best 1.23 ms, 1.6x the untuned default", or what is known of it. */
static void format_best(const attune_tune_progress *step, char *text, size_t size)
{
    char ms[32];
    if (step->best_ms <= 0)
        snprintf(text, size, "nothing measured yet");
    else if (step->default_ms > 0)
        snprintf(text, size, "best %s, %.2fx the untuned default", format_ms(step->best_ms, ms),
                 step->default_ms / step->best_ms);
    else
        snprintf(text, size, "best %s", format_ms(step->best_ms, ms));
}

static void print_terminal_step(struct progress *progress, const attune_tune_progress *step, const char *workload)
{
    char best[80], budget[24] = "", eta[32] = "";
    format_best(step, best, sizeof best);
    if (step->budget_tests > 0)
        snprintf(budget, sizeof budget, "/%d", (int)step->budget_tests);
    if (step->eta_seconds > 0 && step->eta_seconds < 1e7)
        snprintf(eta, sizeof eta, "  eta %d:%02d", (int)step->eta_seconds / 60, (int)step->eta_seconds % 60);
    printf("\r\033[K%s %d%s  %.16s  %s%s%s", step->phase ? step->phase : "", (int)step->tests, budget, workload, best,
           eta, progress->simulated[0] ? "  (simulated)" : "");
    progress->line_open = true;
}

int progress_step(void *priv, const attune_tune_progress *step)
{
    struct progress *progress = priv;
    const char *workload = step->workload ? step->workload : "";
    size_t i = problem_index(progress->set, workload);
    bool known = i < progress->set->count;
    if (known)
        workload = attune_problem_name(progress->set->problems[i]);
    bool better = known && step->best_ms > 0 && (progress->best_ms[i] <= 0 || step->best_ms < progress->best_ms[i]);
    if (better)
        progress->best_ms[i] = step->best_ms;
    if (progress->json) {
        if (!progress->quiet)
            print_json_step(progress, step, workload);
    } else if (!progress->quiet && progress->terminal) {
        print_terminal_step(progress, step, workload);
    } else if (!progress->quiet && better) {
        char best[80];
        format_best(step, best, sizeof best);
        printf("%s: test %d: %s%s: %s\n", workload, (int)step->tests, best,
               progress->simulated[0] ? " (simulated)" : "", step->config ? step->config : "");
    }
    fflush(stdout);
    return interrupt_requested();
}

void progress_end(struct progress *progress)
{
    if (progress->line_open)
        printf("\r\033[K");
    progress->line_open = false;
    fflush(stdout);
}
