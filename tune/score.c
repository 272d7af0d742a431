/* SPDX-License-Identifier: Apache-2.0 */
#include "score.h"

#include <math.h>
#include <stdlib.h>

#define CUTOFF_SHARE 0.05
/* What is less likely than this does not show in an expectation. */
#define NEGLIGIBLE 1e-15

static int compare_times(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* Expected least of t of the ascending times[n], drawn without replacement; t <= n. */
static double expected_best(const double *times, size_t n, size_t t)
{
    double expected = 0, none_before = 1; /* probability that no draw is before times[k] */
    for (size_t k = 0; k + t <= n && none_before > NEGLIGIBLE; k++) {
        double is_best = none_before * (double)t / (double)(n - k);
        expected += is_best * times[k];
        none_before -= is_best;
    }
    return expected;
}

bool yardstick_init(struct yardstick *yardstick, const attune_space *space, int32_t budget)
{
    attune_space_info info;
    attune_space_describe(space, &info);
    double *times = malloc(info.num_configs * sizeof *times);
    if (!times)
        return false;
    for (size_t i = 0; i < info.num_configs; i++) {
        attune_space_config config;
        times[i] = info.slowest_ms;
        if (attune_space_at(space, i, &config) == ATTUNE_OK && config.outcome == ATTUNE_OUTCOME_OK)
            times[i] = config.time_ms;
    }
    qsort(times, info.num_configs, sizeof *times, compare_times);
    yardstick->optimum = info.optimum_ms;
    yardstick->slowest = info.slowest_ms;
    yardstick->cutoff = 0;
    double near = info.optimum_ms + CUTOFF_SHARE * (info.median_ms - info.optimum_ms);
    for (int32_t t = 1; t <= SCORE_MAX_TESTS && t <= budget && (size_t)t <= info.num_configs; t++) {
        yardstick->cutoff = t;
        yardstick->random[t] = expected_best(times, info.num_configs, (size_t)t);
        if (yardstick->random[t] <= near)
            break;
    }
    free(times);
    return true;
}

double score_of(const struct yardstick *yardstick, const double *best, int32_t num_tests)
{
    double sum = 0;
    int32_t counted = 0;
    for (int32_t t = 1; t <= yardstick->cutoff; t++) {
        double found = best[(t < num_tests ? t : num_tests) - 1];
        double span = yardstick->random[t] - yardstick->optimum;
        if (!(span > 0))
            continue;
        sum += (yardstick->random[t] - (found > 0 ? found : yardstick->slowest)) / span;
        counted++;
    }
    return counted ? sum / counted : NAN;
}

int32_t score_within5(const double *best, int32_t num_tests, double optimum)
{
    int32_t first = 0;
    for (int32_t t = num_tests; t > 0 && best[t - 1] > 0 && best[t - 1] <= SCORE_NEAR * optimum; t--)
        first = t;
    return first;
}
