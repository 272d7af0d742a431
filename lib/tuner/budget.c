/* SPDX-License-Identifier: Apache-2.0
 * How long a tuning may go on, what its parts get of the rest, and how long one test may take. */
#include <math.h>
#include <string.h>

#include "tuning.h"

/* Share of a time budget that confirmation and cross times may claim at most, and of what is left then that cross times
 * may. */
#define FINALS_SHARE 0.5
#define CROSS_SHARE 0.3
#define CROSS_MAX_TESTS 8.0
#define CROSS_ROUNDS 5
#define LEAST_SECONDS 0.1
/* Until they are measured: starting a worker with its inputs, the peaks beside a round. */
#define START_SECONDS 1.0
#define PEAKS_SECONDS 0.1
#define MIN_SAMPLE_SECONDS 0.02
/* Estimates are of what was met so far. */
#define CAUTION 1.2
/* Shares of a time budget that one request may take of which nothing is known yet, and the least that a busy machine
 * needs. */
#define BUILD_SHARE 0.25
#define FIRST_RUN_SHARE 0.25
#define RUN_SHARE 0.05
#define LEAST_BUILD_SECONDS 10.0
#define LEAST_RUN_SECONDS 2.0

static double smaller(double a, double b)
{
    return a < b ? a : b;
}

static double larger(double a, double b)
{
    return a > b ? a : b;
}

double tuning_seconds(const struct tuning *tuning)
{
    return (double)(clock_now_ns() - tuning->start_ns) * 1e-9;
}

double seconds_until(uint64_t end_ns)
{
    uint64_t now = clock_now_ns();
    if (!end_ns)
        return 0;
    return now < end_ns ? larger((double)(end_ns - now) * 1e-9, 0.001) : 0.001;
}

static double left_seconds(const struct tuning *tuning)
{
    return tuning->options->budget_seconds - tuning_seconds(tuning);
}

static double test_seconds(const struct tuning *tuning)
{
    return tuning->tests ? tuning->test_seconds / tuning->tests : 0;
}

/* Of a test whose kernel was right: what a finalist takes again. */
static double verify_seconds(const struct tuning *tuning)
{
    return tuning->right_tests ? tuning->right_seconds / tuning->right_tests : test_seconds(tuning);
}

static double sample_seconds(double time_ms)
{
    return larger(time_ms * 1e-3, MIN_SAMPLE_SECONDS);
}

/* ---- what is still to be done after the search */

/* Confirming a workload with so many configurations of the search. */
static double finals_seconds(const struct tuning *tuning, const struct tuned_workload *workload, double top)
{
    double others = 1 + workload->has_incumbent, best = sample_seconds(workload->best_ms);
    double untuned = workload->default_ms > 0 ? sample_seconds(workload->default_ms) : best;
    double first = (top + workload->has_incumbent) * best + untuned + PEAKS_SECONDS;
    double second = 2 * best + untuned + PEAKS_SECONDS;
    return CAUTION * (START_SECONDS + (top + others) * verify_seconds(tuning) + FINALS_ROUNDS * (first + second));
}

static double finals_need(const struct tuning *tuning)
{
    double need = 0;
    for (int32_t i = tuning->confirmed; i < tuning->num_active; i++) {
        const struct tuned_workload *w = &tuning->workloads[tuning->active[i]];
        if (w->best_ms > 0) /* nothing is confirmed of others */
            need += finals_seconds(tuning, w, smaller(FINALS_TOP, w->right_tests));
    }
    return need;
}

int32_t finals_affordable(const struct tuning *tuning, const struct tuned_workload *workload, double seconds)
{
    int32_t top = tuning->interrupted ? 1 : FINALS_TOP;
    while (seconds > 0 && top > 1 && finals_seconds(tuning, workload, top) > seconds)
        top--;
    return top;
}

static double cross_need(const struct tuning *tuning)
{
    if (tuning->num_active == 1)
        return 0; /* mostly there is nothing to cross it with */
    double tests = smaller(tuning->num_active, CROSS_MAX_TESTS), need = 0;
    for (int32_t i = tuning->crossed; i < tuning->num_active; i++) {
        const struct tuned_workload *w = &tuning->workloads[tuning->active[i]];
        if (w->best_ms > 0)
            need += START_SECONDS + tests * verify_seconds(tuning) +
                    CROSS_ROUNDS * (tests * sample_seconds(w->best_ms) + PEAKS_SECONDS);
    }
    return need;
}

/* Compiling a kernel and taking its binary is less than a test, which compiles too. */
static double keep_need(const struct tuning *tuning)
{
    return tuning->target->places.user[0] ? tuning->num_active * test_seconds(tuning) : 0;
}

double eta_seconds(const struct tuning *tuning)
{
    const attune_tune_options *o = tuning->options;
    double eta = 0;
    if (o->budget_tests && tuning->tests) {
        bool searching = !strcmp(tuning->phase, "search");
        eta = finals_need(tuning) + cross_need(tuning) + keep_need(tuning) +
              (searching ? test_seconds(tuning) * (o->budget_tests - tuning->tests) : 0);
    }
    if (o->budget_seconds > 0 && (eta == 0 || eta > left_seconds(tuning)))
        eta = left_seconds(tuning);
    return eta > 0 ? eta : 0;
}

/* What is left for the search. */
static double search_left(const struct tuning *tuning)
{
    double reserve = smaller(finals_need(tuning) + cross_need(tuning) + keep_need(tuning),
                             FINALS_SHARE * tuning->options->budget_seconds);
    return left_seconds(tuning) - reserve;
}

bool budget_spent(const struct tuning *tuning)
{
    const attune_tune_options *o = tuning->options;
    if (o->budget_tests && tuning->tests >= o->budget_tests)
        return true;
    return o->budget_seconds > 0 && search_left(tuning) <= 0;
}

bool budget_over(const struct tuning *tuning)
{
    return tuning->options->budget_seconds > 0 && left_seconds(tuning) <= 0;
}

static double share_seconds(double seconds, int32_t parts)
{
    seconds /= parts;
    return seconds > LEAST_SECONDS ? seconds : LEAST_SECONDS;
}

double confirm_seconds(const struct tuning *tuning)
{
    if (tuning->options->budget_seconds <= 0)
        return 0;
    double left = left_seconds(tuning);
    return share_seconds(left - smaller(cross_need(tuning) + keep_need(tuning), CROSS_SHARE * left),
                         tuning->num_active - tuning->confirmed);
}

double cross_seconds(const struct tuning *tuning)
{
    if (tuning->options->budget_seconds <= 0)
        return 0;
    double left = left_seconds(tuning);
    return share_seconds(left - smaller(keep_need(tuning), CROSS_SHARE * left), tuning->num_active - tuning->crossed);
}

double keep_seconds(const struct tuning *tuning)
{
    return tuning->options->budget_seconds <= 0 ? 0 : share_seconds(left_seconds(tuning), 1);
}

/* ---- how long a request may take */

void budget_deadlines(const struct tuning *tuning, struct session_deadlines *deadlines)
{
    double seconds = tuning->options->budget_seconds;
    if (seconds <= 0)
        return;
    deadlines->build = smaller(deadlines->build, larger(BUILD_SHARE * seconds, LEAST_BUILD_SECONDS));
    deadlines->first_run = smaller(deadlines->first_run, larger(FIRST_RUN_SHARE * seconds, LEAST_BUILD_SECONDS));
    deadlines->run_floor = smaller(deadlines->run_floor, larger(RUN_SHARE * seconds, LEAST_RUN_SECONDS));
}

/* All of it may go past its end by one test; so may the search, into what the confirmation has. */
void budget_limit_requests(struct tuning *tuning)
{
    struct session *session = &tuning->target->session;
    double seconds = tuning->options->budget_seconds;
    session->end_ns = 0;
    if (seconds <= 0)
        return;
    double one_test = larger(test_seconds(tuning), LEAST_RUN_SECONDS), end = seconds + one_test;
    if (!strcmp(tuning->phase, "search"))
        end = smaller(end, tuning_seconds(tuning) + larger(search_left(tuning), 0) + 2 * one_test);
    session->end_ns = tuning->start_ns + (uint64_t)(end * 1e9);
}

/* ---- how much search stands behind an entry */

static int32_t share_tests(int32_t tests, int32_t workloads)
{
    return (int32_t)(((int64_t)tests + workloads - 1) / workloads);
}

bool depth_fulfils(const struct tuning *tuning, const struct cache_depth *depth)
{
    const attune_tune_options *o = tuning->options;
    if (depth->exhausted)
        return true;
    if (o->budget_tests && share_tests(o->budget_tests, tuning->num_workloads) <= depth->budget_tests)
        return true;
    return o->budget_seconds > 0 && o->budget_seconds / tuning->num_workloads <= depth->budget_seconds;
}

struct cache_depth search_depth(const struct tuning *tuning, const struct tuned_workload *workload)
{
    const attune_tune_options *o = tuning->options;
    bool all = search_exhausted(tuning->search, workload->search_index);
    bool whole_tests = o->budget_tests && (all || tuning->tests >= o->budget_tests);
    bool whole_seconds = o->budget_seconds > 0 && tuning->out_of_time;
    struct cache_depth depth = {
        .known = 1,
        .tests = workload->result->tests,
        .exhausted = all && !o->family,
        .budget_tests = whole_tests ? share_tests(o->budget_tests, tuning->num_active) : workload->result->tests,
        .budget_seconds = (whole_seconds ? o->budget_seconds : tuning->search_seconds) / tuning->num_active};
    if (workload->has_incumbent) {
        const struct cache_depth *before = &workload->answer.entry.depth;
        depth.tests = depth.tests > before->tests ? depth.tests : before->tests;
        depth.exhausted |= before->exhausted;
        depth.budget_tests = depth.budget_tests > before->budget_tests ? depth.budget_tests : before->budget_tests;
        depth.budget_seconds = larger(depth.budget_seconds, before->budget_seconds);
    }
    return depth;
}
