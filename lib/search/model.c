/* SPDX-License-Identifier: Apache-2.0 */
#include "model.h"

#include "joint.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

struct model *model_create(const struct search *search, enum model_kind kind)
{
    struct model *model = calloc(1, sizeof *model);
    if (!model)
        return NULL;
    model->ranked = kind == MODEL_DERIVED;
    bool ok = tree_inputs_create(&model->inputs, search, kind == MODEL_DERIVED);
    ok = forest_create(&model->forest, MODEL_TREES) && ok;
    if (!ok) {
        model_destroy(model);
        return NULL;
    }
    return model;
}

void model_destroy(struct model *model)
{
    forest_destroy(&model->forest);
    tree_inputs_destroy(&model->inputs);
    free(model->relative);
    free(model->sorted);
    free(model);
}

static bool reserve(struct model *model, int32_t num_samples)
{
    if (num_samples <= model->capacity)
        return true;
    int32_t capacity = 2 * num_samples;
    free(model->relative);
    free(model->sorted);
    model->relative = malloc((size_t)capacity * sizeof *model->relative);
    model->sorted = malloc((size_t)capacity * sizeof *model->sorted);
    model->capacity = model->relative && model->sorted ? capacity : 0;
    return model->capacity > 0;
}

static void find_relative_times(struct model *model, const struct search *search)
{
    int32_t slowest = INT32_MIN, n = search->num_samples;
    for (int32_t i = 0; i < n; i++) {
        const struct sample *s = &search->samples[i];
        model->relative[i] = s->log_time - model->reference[s->workload];
        if (!s->failed && model->relative[i] > slowest)
            slowest = model->relative[i];
    }
    for (int32_t i = 0; i < n; i++)
        if (search->samples[i].failed)
            model->relative[i] = slowest;
    memcpy(model->sorted, model->relative, (size_t)n * sizeof *model->sorted);
    sort_ints(model->sorted, n);
    model->num_sorted = n;
}

/* Number of sorted times below x. */
static int32_t rank_of(const struct model *model, int32_t x)
{
    int32_t low = 0, high = model->num_sorted;
    while (low < high) {
        int32_t middle = low + (high - low) / 2;
        if (model->sorted[middle] < x)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

int32_t model_target(const struct model *model, int32_t sample)
{
    int32_t relative = sample < 0 ? model->sorted[model->num_sorted - 1] : model->relative[sample];
    return model->ranked ? log2_fixed(rank_of(model, relative) + 1) : relative;
}

static bool grow(struct model *model, struct search *search, int32_t num_refit)
{
    size_t n = (size_t)search->num_samples, num_inputs = (size_t)model->inputs.count;
    uint16_t *columns = malloc(n * num_inputs * sizeof *columns);
    int32_t *target = malloc(n * sizeof *target);
    bool ok = columns && target;
    for (size_t i = 0; ok && i < n; i++) {
        uint16_t input[TREE_INPUTS_MAX];
        tree_inputs_fill(&model->inputs, search, search->samples[i].config, search->samples[i].workload, input);
        for (size_t k = 0; k < num_inputs; k++)
            columns[k * n + i] = input[k];
        target[i] = model_target(model, (int32_t)i);
    }
    struct forest_samples samples = {(int32_t)n, (int32_t)num_inputs, columns, target};
    ok = ok && forest_fit(&model->forest, &samples, num_refit, &search->rng);
    free(columns);
    free(target);
    return ok;
}

bool model_fit(struct model *model, struct search *search, int32_t num_refit)
{
    bool any = false;
    for (int32_t w = 0; w < search->num_workloads; w++)
        any |= search->best[w] >= 0;
    if (!any || !reserve(model, search->num_samples))
        return false;
    joint_references(search, model->reference);
    find_relative_times(model, search);
    return grow(model, search, num_refit);
}

struct model_estimate model_predict(const struct model *model, const struct search *search, int32_t config,
                                    int32_t workload, int32_t first, int32_t last)
{
    uint16_t input[TREE_INPUTS_MAX];
    int64_t sum, squares;
    tree_inputs_fill(&model->inputs, search, config, workload, input);
    forest_sums(&model->forest, input, first, last, &sum, &squares);
    double mean = (double)sum / (last - first), variance = (double)squares / (last - first) - mean * mean;
    return (struct model_estimate){mean, sqrt(variance > 0 ? variance : 0)};
}

double model_log_time(const struct model *model, int32_t workload, double target)
{
    double relative = target;
    if (model->ranked) {
        double rank = exp2_fixed((int32_t)target) - 1, last = model->num_sorted - 1;
        rank = rank < 0 ? 0 : rank > last ? last : rank;
        int32_t below = (int32_t)rank, above = below + 1 < model->num_sorted ? below + 1 : below;
        relative = model->sorted[below] + (rank - below) * ((double)model->sorted[above] - model->sorted[below]);
    }
    return relative + model->reference[workload];
}
