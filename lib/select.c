/* SPDX-License-Identifier: Apache-2.0 */
#include "select.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

void select_device_key(const struct backend_choice *choice, struct cache_key *key)
{
    const struct cl_device *device = &choice->device;
    copy_string(key->device_name, sizeof key->device_name, device->name);
    copy_string(key->device_vendor, sizeof key->device_vendor, device->vendor);
    copy_string(key->cpu_model, sizeof key->cpu_model, device->cpu_model);
    snprintf(key->driver, sizeof key->driver, "%.100s; %.100s", device->version, device->driver);
    copy_string(key->backend, sizeof key->backend, choice->backend->name);
    copy_string(key->simulated, sizeof key->simulated, choice->simulated);
    key->compute_units = device->compute_units;
    key->local_mem_bytes = choice->limits.local_bytes;
}

void select_apply_probe(const struct probe_facts *facts, struct device_limits *limits)
{
    limits->features = (uint32_t)facts->features;
    limits->half_load = facts->half_load;
    if (facts->max_work_group_size && facts->max_work_group_size < limits->max_work_group_size)
        limits->max_work_group_size = facts->max_work_group_size;
}

/* Files wander between machines of one name, on shared home folders say, and an instruction that a host processor lacks
 * ends the process. */
static void keep_to_host(struct device_limits *limits)
{
#if defined(__x86_64__)
    if (!__builtin_cpu_supports("avx512f"))
        limits->features &= ~(uint32_t)(FEATURE_F16C | FEATURE_BF16_DOT);
    if (!__builtin_cpu_supports("avx512bf16"))
        limits->features &= ~(uint32_t)(FEATURE_BF16_DOT | FEATURE_BF16_DOT_FAST);
#endif
    if (limits->half_load == HALF_LOAD_F16C && !(limits->features & FEATURE_F16C))
        limits->half_load = HALF_LOAD_INTEGER;
}

bool select_probe(struct cache *cache, struct backend_choice *choice, struct probe_record *out)
{
    struct cache_key key = {0};
    select_device_key(choice, &key);
    if (!cache_probe_find(cache, &key, out))
        return false;
    select_apply_probe(&out->facts, &choice->limits);
    if (choice->device.type & CL_DEVICE_TYPE_CPU)
        keep_to_host(&choice->limits);
    return true;
}

void select_problem_key(const attune_attention_desc *desc, const char *layout_id, struct shape_bucket bucket,
                        struct cache_key *key)
{
    key->operation = desc->operation;
    key->q_dtype = desc->q_dtype;
    key->kv_dtype = desc->kv_dtype;
    key->o_dtype = desc->o_dtype;
    key->precision = desc->precision;
    key->head_dim_qk = desc->head_dim_qk;
    key->head_dim_vo = desc->head_dim_vo ? desc->head_dim_vo : desc->head_dim_qk;
    key->group_size = desc->num_q_heads / desc->num_kv_heads;
    key->mask = desc->mask;
    copy_string(key->layout, sizeof key->layout, layout_id);
    key->q_class = bucket.q_class;
    key->log2_kv = bucket.log2_kv;
    key->log2_heads = bucket.log2_heads;
}

/* Why the entry cannot be used here, or "". */
static void reject(const struct cache_entry *entry, const struct aside *aside, const struct device_limits *limits,
                   const struct kernel_facts *facts, char *why, size_t size)
{
    const char *failure = aside_why(aside, &entry->config);
    copy_string(why, size, "");
    if (entry->stale)
        copy_string(why, size, "stale: the family's source or parameters changed since");
    else if (!cache_receipt_holds(entry))
        copy_string(why, size, "without a verification receipt for this device and driver");
    else if (failure)
        snprintf(why, size, "set aside, it did not compile here: %s", failure);
    else
        backend_config_valid(limits, facts, &entry->config, why, size);
}

static bool accept(struct selection *out, const struct cache_entry *entry, const struct aside *aside,
                   const struct device_limits *limits, const struct kernel_facts *facts, const char *source)
{
    char why[240];
    reject(entry, aside, limits, facts, why, sizeof why);
    size_t used = strlen(out->why);
    if (why[0]) {
        snprintf(out->why + used, sizeof out->why - used, "%s entry in the %s cache is not used (%s); ", source,
                 cache_level_name(out->level), why);
        return false;
    }
    snprintf(out->why + used, sizeof out->why - used, "%s entry in the %s cache answers, measured on %.200s", source,
             cache_level_name(out->level), entry->workload);
    out->config = entry->config;
    out->source = source;
    return true;
}

/* Starts out->why. */
static bool select_tuned(struct cache *cache, const struct cache_key *key, const struct aside *aside,
                         const struct device_limits *limits, const struct kernel_facts *facts, struct selection *out)
{
    memset(out, 0, sizeof *out);
    if (cache && cache_find(cache, key, &out->entry, &out->level)) {
        bool tuned = cache_entry_is_tuned(&out->entry);
        if (!accept(out, &out->entry, aside, limits, facts, tuned ? "tuned" : "shallow"))
            return false;
        size_t used = strlen(out->why);
        if (!tuned)
            snprintf(out->why + used, sizeof out->why - used,
                     "; it is the default, kept after %d of the %d tests that make it tuned", out->entry.depth.tests,
                     CACHE_TUNED_TESTS);
        return true;
    }
    copy_string(out->why, sizeof out->why, "no entry for this shape; ");
    return false;
}

/* The nearest row of the portfolio. Every entry that was written since there are portfolios has its row there, so that
 * the folder of entries need not be read. */
static bool select_row(const struct portfolio *portfolio, struct shape_bucket bucket, struct selection *out)
{
    const struct portfolio_row *row = portfolio ? portfolio_nearest(portfolio, bucket) : NULL;
    if (!row)
        return false;
    struct shape_ranges at = shape_bucket_ranges(row->bucket);
    size_t used = strlen(out->why);
    snprintf(out->why + used, sizeof out->why - used,
             "nearest shape of the portfolio answers (q_len from %" PRId64 ", kv_len from %" PRId64
             ", sequences x KV heads from %" PRId64 ")",
             at.q_len[0], at.kv_len[0], at.heads[0]);
    out->config = portfolio->configs[portfolio_best(portfolio, row)];
    out->source = "nearest";
    return true;
}

static bool is_aside(const void *aside, const struct kernel_config *config)
{
    return aside_why(aside, config);
}

bool select_default(const struct aside *aside, const struct backend *backend, const struct device_limits *limits,
                    const struct kernel_facts *facts, struct kernel_config *out)
{
    const struct config_filter filter = {is_aside, aside};
    return backend_default_config(backend, limits, facts, &filter, out);
}

bool select_is_default(const struct backend *backend, const struct kernel_config *config)
{
    struct kernel_config own;
    family_default_config(config->family, &own);
    bool is = kernel_config_equal(&own, config);
    for (const struct backend_default *d = backend->defaults; !is && d->config; d++)
        is = kernel_config_parse(d->config, &own) == ATTUNE_OK && kernel_config_equal(&own, config);
    return is;
}

/* The rest of out->why where a default answers. */
static void explain_default(const struct aside *aside, const struct backend *backend,
                            const struct device_limits *limits, const struct kernel_facts *facts, struct selection *out)
{
    struct kernel_config first;
    size_t used = strlen(out->why), size = sizeof out->why - used;
    char text[ATTUNE_CONFIG_TEXT_MAX];
    const char *failure = NULL;
    if (select_default(NULL, backend, limits, facts, &first))
        failure = aside_why(aside, &first);
    kernel_config_format(&first, text, sizeof text);
    if (failure)
        snprintf(out->why + used, size,
                 "the untuned default of backend %s, %.100s, is set aside (it did not compile here: %s); "
                 "the next that is valid answers",
                 backend->name, text, failure);
    else
        snprintf(out->why + used, size, "the untuned default of backend %s answers", backend->name);
}

attune_status select_config(struct cache *cache, const struct cache_key *key, const struct portfolio *portfolio,
                            const struct aside *aside, const struct backend *backend,
                            const struct device_limits *limits, const struct kernel_facts *facts, struct selection *out)
{
    const struct shape_bucket bucket = {key->q_class, key->log2_kv, key->log2_heads};
    if (select_tuned(cache, key, aside, limits, facts, out) || select_row(portfolio, bucket, out))
        return ATTUNE_OK;
    if (cache && cache_find_nearest(cache, key, &out->entry, &out->level) &&
        accept(out, &out->entry, aside, limits, facts, "nearest"))
        return ATTUNE_OK;
    if (!select_default(aside, backend, limits, facts, &out->config))
        return set_error(ATTUNE_ERROR_UNSUPPORTED,
                         "no kernel family of backend %s takes this descriptor within the device's limits",
                         backend->name);
    out->source = "default";
    explain_default(aside, backend, limits, facts, out);
    return ATTUNE_OK;
}
