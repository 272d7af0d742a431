/* SPDX-License-Identifier: Apache-2.0 */
#include "tuning_space.h"

#include <string.h>

/* Yardsticks: measured when asked for, not searched. */
static bool is_baseline(const struct family *family)
{
    return !strcmp(family->name, "plain_row") || !strcmp(family->name, "extend_fixed_tile");
}

/* Steps through a family's values like an odometer. False after the last. */
static bool next_values(const struct family *family, int32_t *index, int32_t *values)
{
    for (int32_t p = 0; p < family->num_params; p++) {
        if (++index[p] < family->params[p].num_values) {
            values[p] = family->params[p].values[index[p]];
            return true;
        }
        index[p] = 0;
        values[p] = family->params[p].values[0];
    }
    return false;
}

static bool has_valid(int family_index, const struct device_limits *limits, const struct kernel_facts *facts)
{
    const struct family *family = family_at(family_index);
    struct kernel_config config;
    char why[128];
    family_default_config(family_index, &config);
    if (backend_config_valid(limits, facts, &config, why, sizeof why))
        return true;
    int32_t index[FAMILY_MAX_PARAMS] = {0};
    for (int32_t p = 0; p < family->num_params; p++)
        config.values[p] = family->params[p].values[0];
    do {
        if (backend_config_valid(limits, facts, &config, why, sizeof why))
            return true;
    } while (next_values(family, index, config.values));
    return false;
}

static bool feasible(void *priv, int32_t workload, const int32_t *values)
{
    const struct tuning_space *space = priv;
    struct kernel_config config;
    char why[128];
    tuning_space_config(space, values, &config);
    return backend_config_valid(&space->limits, &space->facts[workload], &config, why, sizeof why);
}

static void add_family(struct tuning_space *out, int family_index)
{
    const struct family *family = family_at(family_index);
    int32_t first = out->space.num_params;
    if (out->num_families == MAX_FAMILIES || first + family->num_params > SEARCH_MAX_PARAMS)
        return;
    for (int32_t p = 0; p < family->num_params; p++)
        out->params[first + p] = (struct search_param){family->params[p].name, family->params[p].values,
                                                       family->params[p].num_values, 0, family_index};
    out->first_param[out->num_families] = first;
    out->families[out->num_families++] = family_index;
    out->space.num_params += family->num_params;
}

void tuning_space_init(struct tuning_space *out, const struct device_limits *limits, const struct kernel_facts *facts,
                       int32_t num_workloads)
{
    memset(out, 0, sizeof *out);
    out->limits = *limits;
    out->facts = facts;
    out->num_workloads = num_workloads;
    out->space = (struct search_space){1, out->params, feasible, out};
    bool needs_baseline = false;
    for (int32_t w = 0; w < num_workloads; w++) {
        bool served = false;
        for (int f = 0; f < family_count() && !served; f++)
            served = !is_baseline(family_at(f)) && has_valid(f, limits, &facts[w]);
        needs_baseline |= !served;
    }
    for (int f = 0; f < family_count(); f++)
        if (needs_baseline || !is_baseline(family_at(f)))
            add_family(out, f);
    out->params[0] = (struct search_param){"FAMILY", out->families, out->num_families, -1, 0};
}

static int32_t position_of(const struct tuning_space *space, int32_t family)
{
    for (int32_t i = 0; i < space->num_families; i++)
        if (space->families[i] == family)
            return i;
    return -1;
}

void tuning_space_config(const struct tuning_space *space, const int32_t *values, struct kernel_config *out)
{
    memset(out, 0, sizeof *out);
    out->family = values[0];
    int32_t position = position_of(space, values[0]);
    memcpy(out->values, values + space->first_param[position],
           (size_t)family_at(values[0])->num_params * sizeof *values);
}

bool tuning_space_values(const struct tuning_space *space, const struct kernel_config *config, int32_t *values)
{
    int32_t position = position_of(space, config->family);
    if (position < 0)
        return false;
    for (int32_t p = 1; p < space->space.num_params; p++)
        values[p] = space->params[p].values[0];
    values[0] = config->family;
    memcpy(values + space->first_param[position], config->values,
           (size_t)family_at(config->family)->num_params * sizeof *values);
    return true;
}
