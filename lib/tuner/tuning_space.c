/* SPDX-License-Identifier: Apache-2.0 */
#include "tuning_space.h"

#include <stdlib.h>
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

static void restrict_family(struct tuning_space *out, const struct restriction *restriction)
{
    memcpy(out->kept, restriction->kept, sizeof out->kept);
    for (int32_t p = 0; p < family_at(restriction->family)->num_params; p++)
        if (restriction->num_kept[p]) {
            out->params[1 + p].values = out->kept[p];
            out->params[1 + p].num_values = restriction->num_kept[p];
        }
}

void tuning_space_init(struct tuning_space *out, const struct device_limits *limits, const struct kernel_facts *facts,
                       int32_t num_workloads, const struct restriction *restriction)
{
    memset(out, 0, sizeof *out);
    out->limits = *limits;
    out->facts = facts;
    out->num_workloads = num_workloads;
    out->space = (struct search_space){1, out->params, feasible, out};
    if (restriction->family >= 0) {
        add_family(out, restriction->family);
        restrict_family(out, restriction);
        out->params[0] = (struct search_param){"FAMILY", out->families, 1, -1, 0};
        return;
    }
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

/* ---- restriction */

/* Appends the value that text starts with to parameter p's; *end is behind it. False where it is none of the
 * parameter's, or was there before. */
static bool keep_value(const struct family_param *param, const char *text, int32_t *kept, int32_t *num_kept, char **end)
{
    long value = strtol(text, end, 10);
    bool known = false;
    for (int32_t v = 0; v < param->num_values; v++)
        known = known || param->values[v] == value;
    for (int32_t v = 0; v < *num_kept; v++)
        known = known && kept[v] != value;
    if (*end == text || !known)
        return false;
    kept[(*num_kept)++] = (int32_t)value;
    return true;
}

/* "NAME=V/V..." from *text on; *text is then behind it. */
static attune_status keep_values(const char **text, struct restriction *out)
{
    const struct family *family = family_at(out->family);
    size_t length = strcspn(*text, "=");
    int32_t p = 0;
    while (p < family->num_params &&
           (strlen(family->params[p].name) != length || strncmp(family->params[p].name, *text, length) != 0))
        p++;
    if (p == family->num_params || (*text)[length] != '=' || out->num_kept[p])
        return set_error(ATTUNE_ERROR_SYNTAX,
                         "options.family: \"%.*s\" is not NAME=VALUE/VALUE... of a parameter of %s, once",
                         (int)strcspn(*text, ","), *text, family->name);
    char *end = (char *)*text + length;
    do {
        const char *value = end + 1;
        if (!keep_value(&family->params[p], value, out->kept[p], &out->num_kept[p], &end))
            return set_error(ATTUNE_ERROR_SYNTAX, "options.family: \"%.*s\" is not a value of %s, given once",
                             (int)strcspn(value, "/,"), value, family->params[p].name);
    } while (*end == '/');
    *text = end;
    return ATTUNE_OK;
}

attune_status restriction_parse(const char *text, struct restriction *out)
{
    memset(out, 0, sizeof *out);
    out->family = -1;
    if (!text)
        return ATTUNE_OK;
    char name[64];
    size_t length = strcspn(text, ":");
    copy_string(name, sizeof name, text);
    if (length < sizeof name)
        name[length] = '\0';
    out->family = family_find(name);
    if (out->family < 0)
        return set_error(ATTUNE_ERROR_SYNTAX, "options.family: \"%s\" is not a kernel family", name);
    text += length;
    attune_status status = ATTUNE_OK;
    for (char before = ':'; status == ATTUNE_OK && *text; before = ',') {
        if (*text != before)
            return set_error(ATTUNE_ERROR_SYNTAX, "options.family: \"%.20s\" where '%c' or the end is expected", text,
                             before);
        text++;
        status = keep_values(&text, out);
    }
    return status;
}
