/* SPDX-License-Identifier: Apache-2.0
 * One search over several recorded spaces of the same parameters, each a workload, against one search for each: tests
 * until every workload is within a regret of its optimum. Called with recorded spaces as arguments it prints the
 * figures for them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include <attune/tune.h>

#define MAX_SPACES 8
#define SEEDS 20   /* less by TEST_COUNT, for sanitizers: then nothing is claimed of the figures */
#define BUDGET 150 /* tests a workload */

static const double regrets[] = {0.10, 0.05, 0.02};
#define NUM_REGRETS (sizeof regrets / sizeof regrets[0])

struct spaces {
    attune_space *space[MAX_SPACES];
    attune_space_info info[MAX_SPACES];
    int32_t count;
};

static int feasible(void *priv, int32_t workload, const int32_t *values)
{
    const struct spaces *spaces = priv;
    return attune_space_find(spaces->space[workload], values, NULL);
}

static void open_spaces(struct spaces *spaces, const char *const *paths, int32_t count)
{
    *spaces = (struct spaces){.count = count};
    for (int32_t w = 0; w < count; w++) {
        if (attune_space_open(paths[w], &spaces->space[w]) != ATTUNE_OK)
            fail_msg("%s", attune_last_error());
        attune_space_describe(spaces->space[w], &spaces->info[w]);
        const attune_space_info *info = &spaces->info[w], *first = &spaces->info[0];
        assert_int_equal(info->num_params, first->num_params);
        for (size_t p = 0; p < info->num_params; p++) {
            assert_string_equal(info->params[p].name, first->params[p].name);
            assert_int_equal(info->params[p].num_values, first->params[p].num_values);
            assert_memory_equal(info->params[p].values, first->params[p].values,
                                (size_t)first->params[p].num_values * sizeof(int32_t));
        }
    }
}

static void close_spaces(struct spaces *spaces)
{
    for (int32_t w = 0; w < spaces->count; w++)
        attune_space_close(&spaces->space[w]);
}

/* Adds to regret[t], t < num_tests, the mean regret of the workloads after t + 1 tests for each of them on average. A
 * workload without a success yet has that of its median. */
static void run(const struct spaces *spaces, uint64_t seed, double *regret)
{
    attune_search_options options = ATTUNE_SEARCH_OPTIONS_INIT;
    attune_search *search;
    double best[MAX_SPACES];
    int32_t *values = calloc(spaces->info[0].num_params, sizeof *values), done = 0;
    options.budget_tests = BUDGET * spaces->count;
    options.seed = seed;
    options.num_workloads = spaces->count;
    options.feasible = feasible;
    options.feasible_priv = (void *)spaces;
    assert_int_equal(attune_search_create(&search, spaces->info[0].params, spaces->info[0].num_params, &options),
                     ATTUNE_OK);
    for (int32_t w = 0; w < spaces->count; w++)
        best[w] = spaces->info[w].median_ms;
    for (int32_t t = 0; t < BUDGET * spaces->count; t++) {
        attune_space_config config;
        int32_t w;
        if (!done)
            assert_int_equal(attune_search_ask(search, &w, values, &done), ATTUNE_OK);
        if (!done) {
            assert_true(attune_space_find(spaces->space[w], values, &config));
            assert_int_equal(attune_search_tell(search, config.outcome, config.time_ms), ATTUNE_OK);
            if (config.outcome == ATTUNE_OUTCOME_OK && config.time_ms < best[w])
                best[w] = config.time_ms;
        }
        if (t % spaces->count == spaces->count - 1)
            for (int32_t i = 0; i < spaces->count; i++)
                regret[t / spaces->count] += (best[i] / spaces->info[i].optimum_ms - 1) / spaces->count;
    }
    free(values);
    attune_search_destroy(&search);
}

/* Tests of all workloads together until the mean regret is below each of the regrets; all if it never is. */
static void find_tests(const struct spaces *spaces, const double *regret, double *tests)
{
    for (size_t r = 0; r < NUM_REGRETS; r++) {
        int32_t t = 0;
        while (t < BUDGET && regret[t] > regrets[r])
            t++;
        tests[r] = (double)(t + 1) * spaces->count;
    }
}

static int num_seeds(void)
{
    const char *count = getenv("TEST_COUNT");
    return count ? atoi(count) : SEEDS;
}

static void compare(const struct spaces *spaces, double *joint, double *apart)
{
    const int seeds = num_seeds();
    double regret_joint[BUDGET] = {0}, regret_apart[BUDGET] = {0};
    for (uint64_t seed = 1; seed <= (uint64_t)seeds; seed++) {
        run(spaces, seed, regret_joint);
        for (int32_t w = 0; w < spaces->count; w++) {
            struct spaces one = {.space = {spaces->space[w]}, .info = {spaces->info[w]}, .count = 1};
            run(&one, seed, regret_apart);
        }
    }
    for (int32_t t = 0; t < BUDGET; t++) {
        regret_joint[t] /= seeds;
        regret_apart[t] /= seeds * spaces->count;
    }
    find_tests(spaces, regret_joint, joint);
    find_tests(spaces, regret_apart, apart);
    for (size_t r = 0; r < NUM_REGRETS; r++)
        print_message("mean regret %2.0f%%: %.0f tests jointly, %.0f apart (seeds 1 to %d)\n", 100 * regrets[r],
                      joint[r], apart[r], seeds);
}

static void attention_spaces(void **state)
{
    (void)state;
    static const char *const paths[] = {DATA_FOLDER "/attention_zw-m890.json.gz", DATA_FOLDER "/attention_cpu.json.gz"};
    struct spaces spaces;
    double joint[NUM_REGRETS], apart[NUM_REGRETS];
    open_spaces(&spaces, paths, 2);
    compare(&spaces, joint, apart);
    close_spaces(&spaces);
    /* Two workloads have little to tell each other; what they have must not cost. Decisions are deterministic, so are
     * these. */
    double sum_joint = 0, sum_apart = 0;
    for (size_t r = 0; r < NUM_REGRETS; r++) {
        sum_joint += joint[r];
        sum_apart += apart[r];
    }
    if (num_seeds() >= SEEDS)
        assert_true(sum_joint <= 1.1 * sum_apart);
}

int main(int argc, char **argv)
{
    if (argc > 1 && argc <= MAX_SPACES + 1) {
        struct spaces spaces;
        double joint[NUM_REGRETS], apart[NUM_REGRETS];
        open_spaces(&spaces, (const char *const *)argv + 1, argc - 1);
        compare(&spaces, joint, apart);
        close_spaces(&spaces);
        return 0;
    }
    const struct CMUnitTest tests[] = {cmocka_unit_test(attention_spaces)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
