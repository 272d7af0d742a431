/* SPDX-License-Identifier: Apache-2.0 */
#include "forest.h"

#include <stdlib.h>

#define MIN_SPLIT 3 /* a node of fewer samples is a leaf */

struct grower {
    const struct forest_samples *samples;
    int32_t *order; /* sample numbers; each node owns a range */
    struct forest_node *nodes;
    int32_t num_nodes, depth;
    struct rng *rng;
};

struct range {
    int32_t node, begin, end, depth;
};

bool forest_create(struct forest *forest, int32_t num_trees)
{
    *forest = (struct forest){.num_trees = num_trees};
    forest->depth = calloc((size_t)num_trees, sizeof *forest->depth);
    return forest->depth != NULL;
}

void forest_destroy(struct forest *forest)
{
    free(forest->nodes);
    free(forest->depth);
}

/* Reduction of the squared error, but for a constant, by splitting the range at a threshold. */
static double split_gain(const struct grower *g, const uint16_t *x, const struct range *r, uint16_t threshold)
{
    int64_t left = 0, total = 0;
    int32_t count = 0;
    for (int32_t i = r->begin; i < r->end; i++) {
        int32_t s = g->order[i], y = g->samples->target[s];
        bool is_left = x[s] <= threshold;
        total += y;
        left += is_left ? y : 0;
        count += is_left;
    }
    double right = (double)(total - left);
    return (double)left * (double)left / count + right * right / (r->end - r->begin - count);
}

/* Tries one random threshold for each of a random half of the inputs that vary (at least one); false if none does. The
 * other half makes trees differ, where many inputs tell the same. */
static bool choose_split(struct grower *g, const struct range *r, struct forest_node *node)
{
    double best = -1;
    for (int32_t j = 0; j < g->samples->num_inputs; j++) {
        const uint16_t *x = g->samples->inputs + (size_t)j * (size_t)g->samples->num_samples;
        uint16_t low = UINT16_MAX, high = 0;
        for (int32_t i = r->begin; i < r->end; i++) {
            uint16_t value = x[g->order[i]];
            low = value < low ? value : low;
            high = value > high ? value : high;
        }
        if (low == high || (best >= 0 && rng_below(g->rng, 2)))
            continue;
        uint16_t threshold = (uint16_t)(low + rng_below(g->rng, (uint64_t)(high - low)));
        double gain = split_gain(g, x, r, threshold);
        if (gain > best) {
            best = gain;
            node->input = (uint16_t)j;
            node->threshold = threshold;
        }
    }
    return best >= 0;
}

static int32_t partition(struct grower *g, const struct range *r, const struct forest_node *node)
{
    const uint16_t *x = g->samples->inputs + (size_t)node->input * (size_t)g->samples->num_samples;
    int32_t middle = r->begin;
    for (int32_t i = r->begin; i < r->end; i++) {
        int32_t s = g->order[i];
        if (x[s] <= node->threshold) {
            g->order[i] = g->order[middle];
            g->order[middle++] = s;
        }
    }
    return middle;
}

static void make_leaf(struct grower *g, const struct range *r)
{
    int64_t sum = 0;
    for (int32_t i = r->begin; i < r->end; i++)
        sum += g->samples->target[g->order[i]];
    g->nodes[r->node] = (struct forest_node){r->node, 0, UINT16_MAX, (int32_t)(sum / (r->end - r->begin))};
}

static bool all_equal(const struct grower *g, const struct range *r)
{
    for (int32_t i = r->begin + 1; i < r->end; i++)
        if (g->samples->target[g->order[i]] != g->samples->target[g->order[r->begin]])
            return false;
    return true;
}

/* pending[num_samples]: ranges yet to be split; open ranges are disjoint, so there are never more. */
static void grow_tree(struct grower *g, struct range *pending)
{
    int32_t n = g->samples->num_samples, num_pending = 1;
    for (int32_t i = 0; i < n; i++)
        g->order[i] = i;
    g->num_nodes = 1;
    g->depth = 0;
    pending[0] = (struct range){0, 0, n, 0};
    while (num_pending) {
        struct range r = pending[--num_pending];
        struct forest_node *node = &g->nodes[r.node];
        g->depth = r.depth > g->depth ? r.depth : g->depth;
        make_leaf(g, &r);
        if (r.end - r.begin < MIN_SPLIT || all_equal(g, &r) || !choose_split(g, &r, node))
            continue;
        int32_t middle = partition(g, &r, node);
        node->child = g->num_nodes;
        g->num_nodes += 2;
        pending[num_pending++] = (struct range){node->child, r.begin, middle, r.depth + 1};
        pending[num_pending++] = (struct range){node->child + 1, middle, r.end, r.depth + 1};
    }
}

static bool reserve_nodes(struct forest *forest, int32_t num_samples)
{
    if (2 * num_samples <= forest->max_nodes)
        return true;
    int32_t max_nodes = 4 * num_samples;
    struct forest_node *nodes = malloc((size_t)forest->num_trees * (size_t)max_nodes * sizeof *nodes);
    if (!nodes)
        return false;
    for (int32_t t = 0; t < forest->num_fitted; t++)
        for (int32_t i = 0; i < forest->max_nodes; i++)
            nodes[(size_t)t * (size_t)max_nodes + (size_t)i] =
                forest->nodes[(size_t)t * (size_t)forest->max_nodes + (size_t)i];
    free(forest->nodes);
    forest->nodes = nodes;
    forest->max_nodes = max_nodes;
    return true;
}

bool forest_fit(struct forest *forest, const struct forest_samples *samples, int32_t num_refit, struct rng *rng)
{
    size_t n = (size_t)samples->num_samples;
    int32_t *order = malloc(n * sizeof *order);
    struct range *pending = malloc(n * sizeof *pending);
    bool ok = order && pending && reserve_nodes(forest, samples->num_samples);
    if (forest->num_fitted < forest->num_trees)
        num_refit = forest->num_trees;
    for (int32_t i = 0; ok && i < num_refit; i++) {
        int32_t t = forest->next_tree;
        struct grower g = {samples, order, forest->nodes + (size_t)t * (size_t)forest->max_nodes, 0, 0, rng};
        grow_tree(&g, pending);
        forest->depth[t] = g.depth;
        forest->next_tree = (t + 1) % forest->num_trees;
    }
    if (ok)
        forest->num_fitted = forest->num_trees;
    free(order);
    free(pending);
    return ok;
}

void forest_sums(const struct forest *forest, const uint16_t *input, int32_t first, int32_t last, int64_t *sum,
                 int64_t *squares)
{
    *sum = *squares = 0;
    for (int32_t t = first; t < last; t += FOREST_LANES) {
        /* Several trees at once hide each other's latency; a fixed number of levels leaves nothing to mispredict. */
        const struct forest_node *nodes[FOREST_LANES];
        int32_t at[FOREST_LANES] = {0}, levels = 0;
        for (int32_t lane = 0; lane < FOREST_LANES; lane++) {
            nodes[lane] = forest->nodes + (size_t)(t + lane) * (size_t)forest->max_nodes;
            levels = forest->depth[t + lane] > levels ? forest->depth[t + lane] : levels;
        }
        for (; levels > 0; levels--)
            for (int32_t lane = 0; lane < FOREST_LANES; lane++) {
                const struct forest_node *node = &nodes[lane][at[lane]];
                at[lane] = node->child + (input[node->input] > node->threshold);
            }
        for (int32_t lane = 0; lane < FOREST_LANES; lane++) {
            int64_t value = nodes[lane][at[lane]].value;
            *sum += value;
            *squares += value * value;
        }
    }
}
