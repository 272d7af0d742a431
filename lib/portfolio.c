/* SPDX-License-Identifier: Apache-2.0 */
#include "portfolio.h"

#include <string.h>

#include "cache/fields.h"
#include "cache/record.h"

#define KIND "portfolio"

/* ---- buckets and rows */

double shape_bucket_distance(struct shape_bucket a, struct shape_bucket b)
{
    double q = a.q_class - b.q_class, kv = a.log2_kv - b.log2_kv, heads = a.log2_heads - b.log2_heads;
    return q * q * SHAPE_CLASS_DISTANCE + kv * kv + heads * heads;
}

/* The numbers whose floor(log2) it is; 0 for -1. */
static void range_of_log2(int32_t log2, int64_t limit, int64_t range[2])
{
    range[0] = log2 < 0 ? 0 : (int64_t)1 << log2;
    range[1] = log2 < 0 ? 0 : 2 * (range[0] - 1) + 1;
    if (range[1] > limit)
        range[1] = limit;
}

struct shape_ranges shape_bucket_ranges(struct shape_bucket bucket)
{
    static const int64_t q_high[] = {1, 16, 128, INT32_MAX};
    struct shape_ranges ranges;
    ranges.q_len[0] = bucket.q_class ? q_high[bucket.q_class - 1] + 1 : 1;
    ranges.q_len[1] = q_high[bucket.q_class];
    range_of_log2(bucket.log2_kv, INT32_MAX, ranges.kv_len);
    range_of_log2(bucket.log2_heads, INT64_MAX, ranges.heads);
    return ranges;
}

int32_t portfolio_config(const struct portfolio *portfolio, const struct kernel_config *config)
{
    for (int32_t i = 0; i < portfolio->num_configs; i++)
        if (kernel_config_equal(&portfolio->configs[i], config))
            return i;
    return -1;
}

int32_t portfolio_best(const struct portfolio *portfolio, const struct portfolio_row *row)
{
    int32_t best = -1;
    for (int32_t i = 0; i < portfolio->num_configs; i++)
        if (row->time_ms[i] > 0 && (best < 0 || row->time_ms[i] < row->time_ms[best]))
            best = i;
    return best;
}

double portfolio_regret(const struct portfolio *portfolio, const struct portfolio_row *row, int32_t config)
{
    int32_t best = portfolio_best(portfolio, row);
    return config >= 0 && row->time_ms[config] > 0 ? row->time_ms[config] / row->time_ms[best] - 1 : -1;
}

const struct portfolio_row *portfolio_nearest(const struct portfolio *portfolio, struct shape_bucket bucket)
{
    const struct portfolio_row *nearest = NULL;
    double least = SHAPE_CLASS_DISTANCE;
    for (int32_t i = 0; i < portfolio->num_rows; i++) {
        double away = shape_bucket_distance(portfolio->rows[i].bucket, bucket);
        if (away < least && portfolio_best(portfolio, &portfolio->rows[i]) >= 0) {
            least = away;
            nearest = &portfolio->rows[i];
        }
    }
    return nearest;
}

void portfolio_drop(struct portfolio *portfolio, int32_t i)
{
    int32_t after = --portfolio->num_configs - i;
    memmove(&portfolio->configs[i], &portfolio->configs[i + 1], (size_t)after * sizeof portfolio->configs[0]);
    for (int32_t r = 0; r < portfolio->num_rows; r++) {
        double *times = portfolio->rows[r].time_ms;
        memmove(&times[i], &times[i + 1], (size_t)after * sizeof times[0]);
        times[portfolio->num_configs] = 0;
    }
}

/* Makes room among the configurations and joins one. Its index, or -1. */
static int32_t join(struct portfolio *portfolio, const struct kernel_config *config)
{
    for (int32_t i = 0; portfolio->num_configs == PORTFOLIO_MAX_CONFIGS && i < PORTFOLIO_MAX_CONFIGS; i++) {
        bool needed = false;
        for (int32_t r = 0; r < portfolio->num_rows && !needed; r++)
            needed = portfolio_best(portfolio, &portfolio->rows[r]) == i;
        if (!needed)
            portfolio_drop(portfolio, i);
    }
    if (portfolio->num_configs == PORTFOLIO_MAX_CONFIGS)
        return -1;
    portfolio->configs[portfolio->num_configs] = *config;
    return portfolio->num_configs++;
}

static struct portfolio_row *row_for(struct portfolio *portfolio, struct shape_bucket bucket)
{
    for (int32_t i = 0; i < portfolio->num_rows; i++)
        if (shape_bucket_equal(portfolio->rows[i].bucket, bucket))
            return &portfolio->rows[i];
    if (portfolio->num_rows == PORTFOLIO_MAX_BUCKETS)
        return NULL;
    return &portfolio->rows[portfolio->num_rows++];
}

bool portfolio_put(struct portfolio *portfolio, struct shape_bucket bucket, const struct kernel_config *configs,
                   const double *time_ms, int32_t count)
{
    struct portfolio changed = *portfolio;
    struct portfolio_row *row = row_for(&changed, bucket);
    if (!row)
        return false;
    *row = (struct portfolio_row){.bucket = bucket};
    int32_t best = -1;
    for (int32_t i = 0; i < count; i++)
        if (time_ms[i] > 0 && (best < 0 || time_ms[i] < time_ms[best]))
            best = i;
    /* The best first: once it is the row's, making room for the others leaves it. */
    for (int32_t k = 0; k < count; k++) {
        int32_t i = k == 0 ? best : k <= best ? k - 1 : k;
        if (i < 0 || time_ms[i] <= 0)
            continue;
        int32_t at = portfolio_config(&changed, &configs[i]);
        if (at < 0)
            at = join(&changed, &configs[i]);
        if (at < 0 && i == best)
            return false;
        if (at >= 0)
            row->time_ms[at] = time_ms[i];
    }
    if (best >= 0)
        *portfolio = changed;
    return best >= 0;
}

/* ---- as a record
 *
 * {"configs": [{"family_hash", "space_hash", "config": {...}}, ...],
 *  "rows": [{"q_class", "log2_kv", "log2_heads", "time_ms": [one of each configuration; 0.0 = not measured]}, ...]} */

static const struct field bucket_fields[] = {
    {"q_class", FIELD_INT32, offsetof(struct shape_bucket, q_class), 0, 0, 3},
    {"log2_kv", FIELD_INT32, offsetof(struct shape_bucket, log2_kv), 0, -1, 62},
    {"log2_heads", FIELD_INT32, offsetof(struct shape_bucket, log2_heads), 0, -1, 62},
};

#define COUNT(x) (sizeof(x) / sizeof *(x))

static attune_status config_to_json(const struct kernel_config *config, json_t *array)
{
    json_t *object = json_object();
    return json_array_append_new(array, object) ? set_error(ATTUNE_ERROR_OUT_OF_MEMORY, "portfolio")
                                                : cache_current_config_to_json(config, object);
}

static attune_status row_to_json(const struct portfolio_row *row, int32_t num_configs, json_t *array)
{
    json_t *object = json_object(), *times = json_array();
    bool set = !json_array_append_new(array, object);
    set = !json_object_set_new(object, "time_ms", times) && set;
    for (int32_t i = 0; set && i < num_configs; i++)
        set = !json_array_append_new(times, json_real(row->time_ms[i]));
    return set ? fields_to_json(bucket_fields, COUNT(bucket_fields), "", &row->bucket, object)
               : set_error(ATTUNE_ERROR_OUT_OF_MEMORY, "portfolio");
}

static attune_status to_json(const struct portfolio *portfolio, json_t *content)
{
    json_t *configs = json_array(), *rows = json_array();
    bool set = !json_object_set_new(content, "configs", configs);
    set = !json_object_set_new(content, "rows", rows) && set;
    attune_status status = set ? ATTUNE_OK : set_error(ATTUNE_ERROR_OUT_OF_MEMORY, "portfolio");
    for (int32_t i = 0; !status && i < portfolio->num_configs; i++)
        status = config_to_json(&portfolio->configs[i], configs);
    for (int32_t i = 0; !status && i < portfolio->num_rows; i++)
        status = row_to_json(&portfolio->rows[i], portfolio->num_configs, rows);
    return status;
}

/* position[i]: of the record's configuration i here, or -1. */
static attune_status row_from_json(const json_t *object, const int32_t *position, size_t num_configs,
                                   struct portfolio *out)
{
    static const char *const others[] = {"time_ms", NULL};
    struct shape_bucket bucket;
    attune_status status = fields_from_json(bucket_fields, COUNT(bucket_fields), "rows.", others, object, &bucket);
    if (status)
        return status;
    int32_t before = out->num_rows;
    struct portfolio_row *row = row_for(out, bucket);
    if (!row || out->num_rows == before)
        return field_error("rows", "", "has a shape twice");
    row->bucket = bucket;
    const json_t *times = json_object_get(object, "time_ms");
    if (!json_is_array(times) || json_array_size(times) != num_configs)
        return field_error("rows.", "time_ms", "is not an array with one time of each configuration");
    for (size_t i = 0; i < num_configs; i++) {
        const json_t *time = json_array_get(times, i);
        if (!json_is_real(time) || !(json_real_value(time) >= 0))
            return field_error("rows.", "time_ms", "holds what is not a time");
        if (position[i] >= 0)
            row->time_ms[position[i]] = json_real_value(time);
    }
    return ATTUNE_OK;
}

static attune_status from_json(void *priv, const json_t *content)
{
    static const char *const others[] = {"config", NULL};
    struct portfolio *out = priv;
    const json_t *configs = json_object_get(content, "configs"), *rows = json_object_get(content, "rows");
    int32_t position[PORTFOLIO_MAX_CONFIGS];
    memset(out, 0, sizeof *out);
    if (!json_is_array(configs) || !json_is_array(rows) || json_object_size(content) != 2)
        return field_error("content", "", "is not configs and rows");
    if (json_array_size(configs) > PORTFOLIO_MAX_CONFIGS || json_array_size(rows) > PORTFOLIO_MAX_BUCKETS)
        return field_error("configs or rows", "", "has too many members");
    attune_status status = ATTUNE_OK;
    for (size_t i = 0; !status && i < json_array_size(configs); i++) {
        struct kernel_config config;
        bool current;
        status = cache_current_config_from_json(json_array_get(configs, i), others, &config, &current);
        position[i] = -1;
        if (status || !current)
            continue;
        if (portfolio_config(out, &config) >= 0)
            return field_error("configs", "", "has a configuration twice");
        position[i] = out->num_configs;
        out->configs[out->num_configs++] = config;
    }
    for (size_t i = 0; !status && i < json_array_size(rows); i++)
        status = row_from_json(json_array_get(rows, i), position, json_array_size(configs), out);
    return status;
}

bool portfolio_find(struct cache *cache, const struct cache_key *key, struct portfolio *out)
{
    json_t *object = cache_class_key_json(key);
    bool found = object && record_find(cache, KIND, object, from_json, out, NULL);
    json_decref(object);
    if (!found)
        memset(out, 0, sizeof *out);
    return found;
}

bool portfolio_find_valid(struct cache *cache, const struct cache_key *key, const struct device_limits *limits,
                          const struct kernel_facts *facts, const struct aside *aside, struct portfolio *out)
{
    char why[160];
    bool found = portfolio_find(cache, key, out);
    for (int32_t i = out->num_configs - 1; i >= 0; i--)
        if (aside_why(aside, &out->configs[i]) ||
            !backend_config_valid(limits, facts, &out->configs[i], why, sizeof why))
            portfolio_drop(out, i);
    return found;
}

attune_status portfolio_store(struct cache *cache, const struct cache_key *key, const struct portfolio *portfolio)
{
    json_t *object = cache_class_key_json(key), *content = json_object();
    attune_status status =
        object && content ? to_json(portfolio, content) : set_error(ATTUNE_ERROR_OUT_OF_MEMORY, "portfolio's key");
    if (!status)
        status = record_store(cache, KIND, object, content, NULL, 0);
    json_decref(object);
    json_decref(content);
    return status;
}

/* Takes out a shape's row; false where there is none. */
static bool drop_row(struct portfolio *portfolio, struct shape_bucket bucket)
{
    int32_t r = 0;
    while (r < portfolio->num_rows && !shape_bucket_equal(portfolio->rows[r].bucket, bucket))
        r++;
    if (r == portfolio->num_rows)
        return false;
    portfolio->num_rows--;
    memmove(&portfolio->rows[r], &portfolio->rows[r + 1],
            (size_t)(portfolio->num_rows - r) * sizeof portfolio->rows[0]);
    for (int32_t i = portfolio->num_configs - 1; i >= 0; i--) {
        bool measured = false;
        for (r = 0; r < portfolio->num_rows && !measured; r++)
            measured = portfolio->rows[r].time_ms[i] > 0;
        if (!measured)
            portfolio_drop(portfolio, i);
    }
    return true;
}

attune_status portfolio_forget(struct cache *cache, const struct cache_key *key)
{
    struct portfolio portfolio;
    enum cache_level level;
    json_t *object = cache_class_key_json(key);
    if (!object)
        return set_error(ATTUNE_ERROR_OUT_OF_MEMORY, "portfolio's key");
    attune_status status = ATTUNE_OK;
    bool found = record_find(cache, KIND, object, from_json, &portfolio, &level) && level <= CACHE_USER;
    if (found && drop_row(&portfolio, (struct shape_bucket){key->q_class, key->log2_kv, key->log2_heads}))
        status = portfolio.num_rows ? portfolio_store(cache, key, &portfolio) : record_remove(cache, KIND, object);
    json_decref(object);
    return status;
}
