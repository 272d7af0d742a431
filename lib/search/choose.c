/* SPDX-License-Identifier: Apache-2.0
 * A k-centre problem with ties broken by the k-median: small ones are solved by looking at every subset. */
#include "search/choose.h"

#include <math.h>
#include <stdbool.h>
#include <string.h>

#define MAX_SWAP_ROUNDS 8

struct problem {
    const double *cost;
    int32_t num_points, num_candidates;
};

struct loss {
    int32_t unserved;
    double worst, sum;
};

static bool is_less(struct loss a, struct loss b)
{
    if (a.unserved != b.unserved)
        return a.unserved < b.unserved;
    return a.worst != b.worst ? a.worst < b.worst : a.sum < b.sum;
}

static int32_t cheapest(const struct problem *problem, int32_t point, const int32_t *chosen, int32_t count)
{
    const double *row = problem->cost + (int64_t)point * problem->num_candidates;
    int32_t best = chosen[0];
    for (int32_t i = 1; i < count; i++)
        if (row[chosen[i]] < row[best])
            best = chosen[i];
    return best;
}

static struct loss loss_of(const struct problem *problem, const int32_t *chosen, int32_t count)
{
    struct loss loss = {0, 0, 0};
    for (int32_t p = 0; p < problem->num_points; p++) {
        double cost = problem->cost[(int64_t)p * problem->num_candidates + cheapest(problem, p, chosen, count)];
        if (cost == INFINITY) {
            loss.unserved++;
            continue;
        }
        loss.worst = cost > loss.worst ? cost : loss.worst;
        loss.sum += cost;
    }
    return loss;
}

/* Whether there are so few subsets of k that all may be looked at. */
static bool is_small(int32_t n, int32_t k)
{
    double subsets = 1;
    for (int32_t i = 0; i < k; i++)
        subsets = subsets * (n - i) / (i + 1);
    return subsets <= CHOOSE_MAX_SUBSETS;
}

/* The next subset in lexicographic order. False after the last. */
static bool next_subset(int32_t *subset, int32_t k, int32_t n)
{
    int32_t i = k - 1;
    while (i >= 0 && subset[i] == n - k + i)
        i--;
    if (i < 0)
        return false;
    subset[i]++;
    for (int32_t j = i + 1; j < k; j++)
        subset[j] = subset[j - 1] + 1;
    return true;
}

static void try_all(const struct problem *problem, int32_t k, int32_t *best)
{
    int32_t subset[CHOOSE_MAX];
    for (int32_t i = 0; i < k; i++)
        best[i] = subset[i] = i;
    struct loss least = loss_of(problem, best, k);
    while (next_subset(subset, k, problem->num_candidates)) {
        struct loss loss = loss_of(problem, subset, k);
        if (is_less(loss, least)) {
            least = loss;
            memcpy(best, subset, (size_t)k * sizeof *best);
        }
    }
}

/* The best candidate for place i of chosen[count]. True when it is another than before. */
static bool improve_place(const struct problem *problem, int32_t *chosen, int32_t count, int32_t i, struct loss *least)
{
    int32_t best = chosen[i], before = chosen[i];
    for (int32_t c = 0; c < problem->num_candidates; c++) {
        chosen[i] = c;
        struct loss loss = loss_of(problem, chosen, count);
        if (is_less(loss, *least)) {
            *least = loss;
            best = c;
        }
    }
    chosen[i] = best;
    return best != before;
}

static void grow_and_swap(const struct problem *problem, int32_t k, int32_t *chosen)
{
    struct loss least;
    for (int32_t count = 1; count <= k; count++) {
        chosen[count - 1] = 0;
        least = (struct loss){INT32_MAX, 0, 0};
        improve_place(problem, chosen, count, count - 1, &least);
    }
    bool changed = true;
    for (int32_t round = 0; changed && round < MAX_SWAP_ROUNDS; round++) {
        changed = false;
        for (int32_t i = 0; i < k; i++)
            changed |= improve_place(problem, chosen, k, i, &least);
    }
}

static void sort(int32_t *x, int32_t count)
{
    for (int32_t i = 1; i < count; i++)
        for (int32_t j = i; j > 0 && x[j] < x[j - 1]; j--) {
            int32_t swap = x[j];
            x[j] = x[j - 1];
            x[j - 1] = swap;
        }
}

int32_t choose_portfolio(const double *cost, int32_t num_points, int32_t num_candidates, int32_t k, int32_t *chosen,
                         int32_t *assigned)
{
    const struct problem problem = {cost, num_points, num_candidates};
    if (k > num_candidates)
        k = num_candidates;
    if (is_small(num_candidates, k))
        try_all(&problem, k, chosen);
    else
        grow_and_swap(&problem, k, chosen);
    sort(chosen, k);
    for (int32_t p = 0; p < num_points; p++) {
        int32_t c = cheapest(&problem, p, chosen, k);
        assigned[p] = cost[(int64_t)p * num_candidates + c] < INFINITY ? c : -1;
    }
    int32_t used = 0;
    for (int32_t i = 0; i < k; i++) {
        bool taken = false;
        for (int32_t p = 0; p < num_points && !taken; p++)
            taken = assigned[p] == chosen[i];
        /* Greedy growth may have chosen one twice. */
        if (taken && (!used || chosen[used - 1] != chosen[i]))
            chosen[used++] = chosen[i];
    }
    return used;
}
