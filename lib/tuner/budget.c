/* SPDX-License-Identifier: Apache-2.0
 * How long a tuning may go on, and what its parts get of the rest. */
#include <string.h>

#include "tuning.h"

/* Share of a time budget that confirmation and cross times may claim, and of what is left then that cross times may. */
#define FINALS_SHARE 0.5
#define CROSS_SHARE 0.3
/* A confirmation verifies so many configurations again and samples them for so long; cross times likewise. */
#define FINALS_TESTS 7.0
#define FINALS_SECONDS 4.0
#define CROSS_MAX_TESTS 8.0
#define CROSS_SECONDS 2.0
#define LEAST_SECONDS 0.1

static double smaller(double a, double b)
{
    return a < b ? a : b;
}

double tuning_seconds(const struct tuning *tuning)
{
    return (double)(clock_now_ns() - tuning->start_ns) * 1e-9;
}

static double left_seconds(const struct tuning *tuning)
{
    return tuning->options->budget_seconds - tuning_seconds(tuning);
}

static double test_seconds(const struct tuning *tuning)
{
    return tuning->tests ? tuning->test_seconds / tuning->tests : 0;
}

/* What is still to be done after the search, as long as it likes. */
static double finals_need(const struct tuning *tuning)
{
    return (tuning->num_active - tuning->confirmed) * (FINALS_TESTS * test_seconds(tuning) + FINALS_SECONDS);
}

static double cross_need(const struct tuning *tuning)
{
    if (tuning->num_active == 1)
        return 0; /* mostly there is nothing to cross it with */
    double tests = smaller(tuning->num_active, CROSS_MAX_TESTS);
    return (tuning->num_active - tuning->crossed) * (tests * test_seconds(tuning) + CROSS_SECONDS);
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

bool budget_spent(const struct tuning *tuning)
{
    const attune_tune_options *o = tuning->options;
    if (o->budget_tests && tuning->tests >= o->budget_tests)
        return true;
    return o->budget_seconds > 0 &&
           left_seconds(tuning) <=
               smaller(finals_need(tuning) + cross_need(tuning) + keep_need(tuning), FINALS_SHARE * o->budget_seconds);
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
