/* SPDX-License-Identifier: Apache-2.0 */
#include "family/family.h"
#include "base/base.h"
#include "family/table.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FAMILY(name, doc) &name##_family,
static const struct family *const families[] = {
#include "families.def"
};
#undef FAMILY

int family_count(void)
{
    return (int)(sizeof families / sizeof families[0]);
}

const struct family *family_at(int index)
{
    return index >= 0 && index < family_count() ? families[index] : NULL;
}

static int find_by_name(const char *name, size_t length)
{
    for (int i = 0; i < family_count(); i++)
        if (strlen(families[i]->name) == length && !memcmp(families[i]->name, name, length))
            return i;
    return -1;
}

int family_find(const char *name)
{
    return find_by_name(name, strlen(name));
}

void family_default_config(int family, struct kernel_config *out)
{
    memset(out, 0, sizeof *out);
    out->family = family;
    for (int32_t i = 0; i < families[family]->num_params; i++)
        out->values[i] = families[family]->params[i].default_value;
}

bool kernel_config_equal(const struct kernel_config *a, const struct kernel_config *b)
{
    return a->family == b->family &&
           !memcmp(a->values, b->values, (size_t)families[a->family]->num_params * sizeof a->values[0]);
}

/* snprintf at *used, which stays within size. False when the text was cut. */
static PRINTF_LIKE(4, 5) bool append(char *text, size_t size, size_t *used, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    int length = text_vprintf(text + *used, size - *used, format, args);
    va_end(args);
    if (length < 0 || (size_t)length >= size - *used)
        return false;
    *used += (size_t)length;
    return true;
}

void kernel_config_format(const struct kernel_config *config, char *text, size_t size)
{
    const struct family *family = families[config->family];
    size_t used = 0;
    bool fits = append(text, size, &used, "%s", family->name);
    for (int32_t i = 0; i < family->num_params && fits; i++)
        fits = append(text, size, &used, "%c%s=%d", i ? ',' : ':', family->params[i].name, config->values[i]);
}

static attune_status refuse_value(const struct family_param *param, const char *text, size_t length)
{
    struct strbuf permitted = {0};
    for (int32_t i = 0; i < param->num_values; i++)
        strbuf_printf(&permitted, "%s%d", i ? ", " : "", param->values[i]);
    attune_status status = set_error(ATTUNE_ERROR_SYNTAX, "%s is '%.*s': permitted are %s", param->name, (int)length,
                                     text, permitted.text ? permitted.text : "");
    strbuf_free(&permitted);
    return status;
}

/* "NAME=value", length characters. seen: bit per parameter. */
static attune_status parse_param(const struct family *family, const char *text, size_t length, int32_t *values,
                                 uint32_t *seen)
{
    const char *equals = memchr(text, '=', length);
    size_t name_length = equals ? (size_t)(equals - text) : length;
    for (int32_t i = 0; i < family->num_params; i++) {
        const struct family_param *param = &family->params[i];
        if (strlen(param->name) != name_length || memcmp(param->name, text, name_length))
            continue;
        if (*seen & 1u << i)
            return set_error(ATTUNE_ERROR_SYNTAX, "%s is given twice", param->name);
        *seen |= 1u << i;
        size_t value_length = equals ? length - name_length - 1 : 0;
        for (int32_t v = 0; v < param->num_values; v++) {
            char value[16];
            snprintf(value, sizeof value, "%d", param->values[v]);
            if (strlen(value) == value_length && !memcmp(value, equals + 1, value_length)) {
                values[i] = param->values[v];
                return ATTUNE_OK;
            }
        }
        return refuse_value(param, equals ? equals + 1 : "", value_length);
    }
    return set_error(ATTUNE_ERROR_SYNTAX, "family %s has no parameter '%.*s'", family->name, (int)name_length, text);
}

attune_status kernel_config_parse(const char *text, struct kernel_config *out)
{
    size_t name_length = strcspn(text, ":");
    int index = find_by_name(text, name_length);
    if (index < 0)
        return set_error(ATTUNE_ERROR_SYNTAX, "there is no kernel family '%.*s'",
                         (int)(name_length < 64 ? name_length : 64), text);
    struct kernel_config config;
    family_default_config(index, &config);
    uint32_t seen = 0;
    for (const char *at = text + name_length; *at;) {
        at++; /* ':' or ',' */
        size_t length = strcspn(at, ",");
        attune_status status = parse_param(families[index], at, length, config.values, &seen);
        if (status != ATTUNE_OK)
            return status;
        at += length;
    }
    *out = config;
    return ATTUNE_OK;
}

/* Kernels use fma() and explicit selects, so they need neither finite-math nor fast-relaxed-math, which would break the
 * rules on masks, NaN and infinity. */
#define MATH_OPTIONS "-cl-mad-enable -cl-no-signed-zeros"

bool kernel_options_format(const struct kernel_facts *facts, const struct kernel_config *config, char *text,
                           size_t size)
{
    const struct family *family = families[config->family];
    size_t used = 0;
    bool fits =
        append(text, size, &used,
               MATH_OPTIONS " -DHEAD_DIM_QK=%d -DHEAD_DIM_VO=%d -DGROUP_SIZE=%d -DCAUSAL=%d -DHAS_CACHE=%d"
                            " -DHAS_NEW=%d -DPAGED=%d -DQ_TYPE=%d -DKV_TYPE=%d -DO_TYPE=%d -DPRECISION=%d"
                            " -DSUB_GROUP_SIZE=%d -DHALF_LOAD=%d",
               facts->head_dim_qk, facts->head_dim_vo, facts->group_size, facts->causal, facts->has_cache,
               facts->has_new, facts->paged, facts->q_type, facts->kv_type, facts->o_type, facts->precision,
               facts->sub_group_size, facts->half_load);
    for (int32_t i = 0; i < family->num_params && fits; i++)
        fits = append(text, size, &used, " -D%s=%d", family->params[i].name, config->values[i]);
    return fits;
}
