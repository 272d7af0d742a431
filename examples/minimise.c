/* SPDX-License-Identifier: Apache-2.0
 * The search engine on a function of one's own: ask for a configuration, measure it, tell the time.
 *
 *     cc -std=c11 minimise.c -o minimise $(pkg-config --cflags --libs attune) */
#include <stdio.h>
#include <attune/tune.h>

/* Stands for a measurement: a tile of tile values by unroll. */
static double measure(int32_t tile, int32_t unroll)
{
    return 3 + (tile - 48) * (tile - 48) / 512.0 + (unroll - 4) * (unroll - 4) / 8.0;
}

int main(void)
{
    const int32_t tiles[] = {8, 16, 24, 32, 40, 48, 56, 64, 96, 128, 192, 256}, unrolls[] = {1, 2, 3, 4, 6, 8, 12, 16};
    const attune_search_param params[] = {{"TILE", tiles, 12, NULL, 0}, {"UNROLL", unrolls, 8, NULL, 0}};
    attune_search_options options = ATTUNE_SEARCH_OPTIONS_INIT;
    options.budget_tests = 40; /* of 96 */
    attune_search *search;
    int32_t values[2], done = 0;
    double best = 0;
    int failed = attune_search_create(&search, params, 2, &options);
    for (int test = 0; !failed && test < options.budget_tests; test++) {
        failed = attune_search_ask(search, NULL, values, &done);
        if (failed || done)
            break;
        failed = attune_search_tell(search, ATTUNE_OUTCOME_OK, measure(values[0], values[1]));
    }
    if (failed || attune_search_best(search, 0, 0, values, &best))
        return fprintf(stderr, "%s\n", attune_last_error()), 1;
    printf("TILE=%d UNROLL=%d: %g\n", (int)values[0], (int)values[1], best);
    attune_search_destroy(&search);
    return 0;
}
