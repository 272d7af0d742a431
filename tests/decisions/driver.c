/* SPDX-License-Identifier: Apache-2.0
 * Prints a hash of all that every strategy decides on some made-up spaces, over SEEDS seeds. Compiled by decisions.sh
 * several ways; objectives are integers, so that they cannot differ. */
#include <stdio.h>
#include <string.h>

#include "search/search.h"

#define SEEDS 50
#define LARGE_SEEDS 10 /* of the space that is sampled */
#define BUDGET 30
#define TESTS 34 /* some beyond the budget */

struct problem {
    const char *name;
    int32_t num_params;
    const struct search_param *params;
    search_feasible feasible;
    int32_t num_workloads, num_features;
    const double *features;
    int32_t num_seeds;
    const int32_t *seeds;
    int64_t (*time)(int32_t workload, const int32_t *v); /* 0 = fails */
    uint64_t num_search_seeds;
};

static const int32_t small[] = {0, 1, 2, 3}, blocks[] = {8, 16, 32, 64, 128}, flags[] = {0, 1},
                     steps[] = {0, 1, 2, 3, 4, 5, 6, 7};

/* Families with parameters of their own; some configurations fail. */
static const struct search_param tree[] = {{"FAMILY", small, 3, -1, 0}, {"BLOCK", blocks, 5, -1, 0},
                                           {"A", small, 4, 0, 0},       {"B", steps, 8, 0, 1},
                                           {"C", flags, 2, 3, 5},       {"D", small, 4, 0, 2}};

static int64_t tree_time(int32_t workload, const int32_t *v)
{
    (void)workload;
    if (v[0] == 1 && v[1] == 128)
        return 0;
    int64_t off = v[1] - 40 + 6 * v[2] - 3 * v[3];
    return 500 + off * off + 90 * v[0] - 70 * v[4] + (v[5] - 2) * (v[5] - 2) * 25;
}

/* Several workloads, one of which cannot have everything, and known good configurations. */
static const struct search_param grid[] = {
    {"Q", blocks, 5, -1, 0}, {"K", blocks, 5, -1, 0}, {"VEC", steps, 8, -1, 0}, {"LOCAL", flags, 2, -1, 0}};
static const double grid_features[] = {0.5, 3, 7, 1, 0.5, 2};
static const int32_t grid_seeds[] = {16, 64, 2, 1, 8, 8, 0, 0};

static bool grid_feasible(void *priv, int32_t workload, const int32_t *v)
{
    (void)priv;
    return v[0] * v[1] <= (workload == 2 ? 1024 : 4096) && (v[3] || v[2] < 6);
}

static int64_t grid_time(int32_t workload, const int32_t *v)
{
    int64_t q = v[0] - 16 * (workload + 1), k = v[1] - 48, vec = v[2] - 3;
    return (workload + 1) * (700 + q * q + k * k / 2 + 60 * vec * vec - 100 * v[3]);
}

/* 2^24 combinations. */
static const struct search_param large[] = {{"A", steps, 8, -1, 0}, {"B", steps, 8, -1, 0}, {"C", steps, 8, -1, 0},
                                            {"D", steps, 8, -1, 0}, {"E", steps, 8, -1, 0}, {"F", steps, 8, -1, 0},
                                            {"G", steps, 8, -1, 0}, {"H", steps, 8, -1, 0}};

static bool large_feasible(void *priv, int32_t workload, const int32_t *v)
{
    (void)priv;
    (void)workload;
    return v[0] + v[7] < 8;
}

static int64_t large_time(int32_t workload, const int32_t *v)
{
    int64_t time = 300;
    (void)workload;
    for (int p = 0; p < 8; p++)
        time += (v[p] - p) * (v[p] - p) * (p + 3);
    return v[2] == v[3] ? 0 : time;
}

static const struct problem problems[] = {
    {"tree", 6, tree, NULL, 1, 0, NULL, 0, NULL, tree_time, SEEDS},
    {"grid", 4, grid, grid_feasible, 3, 2, grid_features, 2, grid_seeds, grid_time, SEEDS},
    {"large", 8, large, large_feasible, 1, 0, NULL, 0, NULL, large_time, LARGE_SEEDS},
};

static void mix(uint64_t *hash, const void *data, size_t size)
{
    for (size_t i = 0; i < size; i++)
        *hash = (*hash ^ ((const unsigned char *)data)[i]) * UINT64_C(0x100000001b3);
}

static void mix_result(uint64_t *hash, const struct search *search, const struct problem *p)
{
    int32_t values[3 * SEARCH_MAX_PARAMS], assigned[SEARCH_MAX_WORKLOADS];
    double regret[SEARCH_MAX_WORKLOADS];
    int32_t count = search_portfolio(search, 2, values, assigned, regret);
    mix(hash, &count, sizeof count);
    if (count <= 0)
        return;
    mix(hash, values, (size_t)(count * p->num_params) * sizeof *values);
    mix(hash, assigned, (size_t)p->num_workloads * sizeof *assigned);
    mix(hash, regret, (size_t)p->num_workloads * sizeof *regret);
}

static int run(const struct problem *p, const char *strategy, uint64_t seed, uint64_t *hash)
{
    const struct search_space space = {p->num_params, p->params, p->feasible, NULL};
    const struct search_options options = {.strategy = strategy,
                                           .budget_tests = BUDGET,
                                           .seed = seed,
                                           .num_workloads = p->num_workloads,
                                           .num_features = p->num_features,
                                           .features = p->features,
                                           .num_seeds = p->num_seeds,
                                           .seeds = p->seeds,
                                           .portfolio = 2};
    struct search *search = search_create(&space, &options);
    struct search_proposal proposal;
    if (!search)
        return 1;
    for (int t = 0; t < TESTS && search_ask(search, &proposal); t++) {
        mix(hash, &proposal.workload, sizeof proposal.workload);
        mix(hash, proposal.values, (size_t)p->num_params * sizeof *proposal.values);
        mix(hash, proposal.why, strlen(proposal.why));
        mix(hash, &proposal.predicted, sizeof proposal.predicted);
        mix(hash, &proposal.deviation, sizeof proposal.deviation);
        int64_t time = p->time(proposal.workload, proposal.values);
        search_tell(search, time ? SEARCH_OK : SEARCH_FAILED, (double)time / 7);
    }
    mix_result(hash, search, p);
    search_destroy(search);
    return 0;
}

int main(void)
{
    const char *strategy;
    for (int s = 0; (strategy = search_strategy_name(s)); s++)
        for (size_t i = 0; i < sizeof problems / sizeof *problems; i++) {
            uint64_t hash = UINT64_C(0xcbf29ce484222325);
            for (uint64_t seed = 1; seed <= problems[i].num_search_seeds; seed++)
                if (run(&problems[i], strategy, seed, &hash))
                    return 1;
            printf("%s %s %016llx\n", strategy, problems[i].name, (unsigned long long)hash);
        }
    return 0;
}
