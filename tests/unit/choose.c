/* SPDX-License-Identifier: Apache-2.0
 * The choice of a few configurations for many shapes, against every subset. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <math.h>
#include <stdbool.h>
#include <stdlib.h>

#include "base/rng.h"
#include "search/choose.h"

static double loss(const double *cost, int32_t points, int32_t candidates, uint32_t subset, double *sum)
{
    double worst = 0;
    *sum = 0;
    for (int32_t p = 0; p < points; p++) {
        double least = 1e300;
        for (int32_t c = 0; c < candidates; c++)
            if (subset >> c & 1 && cost[p * candidates + c] < least)
                least = cost[p * candidates + c];
        worst = least > worst ? least : worst;
        *sum += least;
    }
    return worst;
}

static int ones(uint32_t x)
{
    int count = 0;
    for (; x; x &= x - 1)
        count++;
    return count;
}

/* The least (worst, sum) of all subsets of at most k. */
static double brute_force(const double *cost, int32_t points, int32_t candidates, int32_t k, double *sum)
{
    double best = 1e300, best_sum = 1e300;
    for (uint32_t subset = 1; subset < 1u << candidates; subset++) {
        double s, worst = loss(cost, points, candidates, subset, &s);
        if (ones(subset) <= k && (worst < best || (worst == best && s < best_sum))) {
            best = worst;
            best_sum = s;
        }
    }
    *sum = best_sum;
    return best;
}

static void check_consistent(uint64_t seed, const double *cost, int32_t points, int32_t candidates,
                             const int32_t *chosen, int32_t count, const int32_t *assigned)
{
    for (int32_t i = 0; i < count; i++) {
        int32_t takers = 0;
        for (int32_t p = 0; p < points; p++)
            takers += assigned[p] == chosen[i];
        if (!takers || (i && chosen[i] <= chosen[i - 1]) || chosen[i] < 0 || chosen[i] >= candidates)
            fail_msg("seed %llu: choice %d is candidate %d with %d points", (unsigned long long)seed, i, chosen[i],
                     takers);
    }
    for (int32_t p = 0; p < points; p++)
        for (int32_t i = 0; i < count; i++)
            if (cost[p * candidates + chosen[i]] < cost[p * candidates + assigned[p]])
                fail_msg("seed %llu: point %d is not served by its cheapest", (unsigned long long)seed, p);
}

static void small_problems_are_solved_exactly(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 400; seed++) {
        struct rng rng;
        rng_seed(&rng, seed);
        int32_t points = 1 + (int32_t)rng_below(&rng, 10), candidates = 1 + (int32_t)rng_below(&rng, 10);
        int32_t k = 1 + (int32_t)rng_below(&rng, CHOOSE_MAX);
        double cost[100];
        for (int32_t i = 0; i < points * candidates; i++) /* few values: many ties */
            cost[i] = (double)rng_below(&rng, 12) / 8;
        int32_t chosen[CHOOSE_MAX], assigned[10];
        int32_t count = choose_portfolio(cost, points, candidates, k, chosen, assigned);
        assert_in_range(count, 1, k);
        check_consistent(seed, cost, points, candidates, chosen, count, assigned);
        uint32_t subset = 0;
        for (int32_t i = 0; i < count; i++)
            subset |= 1u << chosen[i];
        double sum, best_sum, worst = loss(cost, points, candidates, subset, &sum);
        double best = brute_force(cost, points, candidates, k, &best_sum);
        if (worst != best || sum > best_sum + 1e-12)
            fail_msg("seed %llu: %d points, %d candidates, k %d: loss (%g, %g), the least is (%g, %g)",
                     (unsigned long long)seed, points, candidates, k, worst, sum, best, best_sum);
    }
}

/* The points that a choice does not serve, and its loss on the others. */
static int32_t loss_served(const double *cost, int32_t points, int32_t candidates, uint32_t subset, double *worst,
                           double *sum)
{
    int32_t unserved = 0;
    *worst = *sum = 0;
    for (int32_t p = 0; p < points; p++) {
        double least = INFINITY;
        for (int32_t c = 0; c < candidates; c++)
            if (subset >> c & 1)
                least = fmin(least, cost[p * candidates + c]);
        unserved += isinf(least);
        *worst = isinf(least) ? *worst : fmax(*worst, least);
        *sum += isinf(least) ? 0 : least;
    }
    return unserved;
}

/* Half of the costs are not known: first as many points as possible are served, then at the least loss. */
static void what_is_not_known_serves_nobody(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 400; seed++) {
        struct rng rng;
        rng_seed(&rng, seed);
        int32_t points = 1 + (int32_t)rng_below(&rng, 8), candidates = 1 + (int32_t)rng_below(&rng, 8);
        int32_t k = 1 + (int32_t)rng_below(&rng, 4), chosen[CHOOSE_MAX], assigned[8];
        double cost[64], worst, sum, w, s;
        for (int32_t i = 0; i < points * candidates; i++)
            cost[i] = rng_below(&rng, 2) ? (double)rng_below(&rng, 12) / 8 : INFINITY;
        int32_t count = choose_portfolio(cost, points, candidates, k, chosen, assigned);
        assert_in_range(count, 0, k);
        uint32_t subset = 0;
        for (int32_t i = 0; i < count; i++)
            subset |= 1u << chosen[i];
        int32_t unserved = loss_served(cost, points, candidates, subset, &worst, &sum);
        for (int32_t p = 0; p < points; p++) {
            unserved -= assigned[p] == -1;
            assert_true(assigned[p] == -1 || !isinf(cost[p * candidates + assigned[p]]));
        }
        assert_int_equal(unserved, 0);
        unserved = loss_served(cost, points, candidates, subset, &worst, &sum);
        for (uint32_t other = 1; other < 1u << candidates; other++) {
            int32_t u = loss_served(cost, points, candidates, other, &w, &s);
            bool better = u != unserved ? u < unserved : w != worst ? w < worst : s < sum - 1e-12;
            if (better && ones(other) <= k)
                fail_msg("seed %llu: %d points not served, loss (%g, %g); possible are %d, (%g, %g)",
                         (unsigned long long)seed, unserved, worst, sum, u, w, s);
        }
    }
}

/* Too many subsets to look at: each point has one candidate of its own; eight groups of points also share one. */
static void large_problems_find_what_is_shared(void **state)
{
    (void)state;
    enum { POINTS = 64, CANDIDATES = 72 };
    static double cost[POINTS * CANDIDATES];
    for (int32_t p = 0; p < POINTS; p++)
        for (int32_t c = 0; c < CANDIDATES; c++)
            cost[p * CANDIDATES + c] = c == p ? 0 : c == POINTS + p / 8 ? 0.03 : 1 + (p - c) * (p - c);
    int32_t chosen[CHOOSE_MAX], assigned[POINTS];
    assert_int_equal(choose_portfolio(cost, POINTS, CANDIDATES, 8, chosen, assigned), 8);
    for (int32_t i = 0; i < 8; i++)
        assert_int_equal(chosen[i], POINTS + i);
    for (int32_t p = 0; p < POINTS; p++)
        assert_int_equal(assigned[p], POINTS + p / 8);
}

/* A configuration that is second everywhere beats two that are best somewhere and bad elsewhere. */
static void the_worst_point_decides(void **state)
{
    (void)state;
    const double cost[] = {0, 3, 0.1, 3, 0, 0.1, 2, 2, 0.05};
    int32_t chosen[1], assigned[3];
    assert_int_equal(choose_portfolio(cost, 3, 3, 1, chosen, assigned), 1);
    assert_int_equal(chosen[0], 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(small_problems_are_solved_exactly),
        cmocka_unit_test(what_is_not_known_serves_nobody),
        cmocka_unit_test(large_problems_find_what_is_shared),
        cmocka_unit_test(the_worst_point_decides),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
