/* SPDX-License-Identifier: Apache-2.0
 * Portfolios: what is known of several configurations on several shapes. */
#include "cache_fixture.h"

#include <jansson.h>
#include <math.h>

#include "portfolio.h"
#include "select.h"

#define DUMP_FLAGS (JSON_SORT_KEYS | JSON_INDENT(1)) /* of the checksum's text */

static struct kernel_config config_number(int32_t number)
{
    struct kernel_config config;
    int index = family_find("vector_tile");
    const struct family *family = family_at(index);
    family_default_config(index, &config);
    for (int32_t p = 0; p < family->num_params; p++) {
        const struct family_param *param = &family->params[p];
        config.values[p] = param->values[number % param->num_values];
        number /= param->num_values;
    }
    assert_int_equal(number, 0);
    return config;
}

static struct shape_bucket bucket_number(int32_t number)
{
    return (struct shape_bucket){number % 4, number / 4, 3};
}

static struct portfolio sample(void)
{
    struct portfolio p = {0};
    const struct kernel_config configs[] = {config_number(0), config_number(1), config_number(2)};
    const double first[] = {2, 1, 4}, second[] = {3, 0, 2};
    assert_true(portfolio_put(&p, bucket_number(0), configs, first, 3));
    assert_true(portfolio_put(&p, bucket_number(1), configs, second, 3));
    return p;
}

static void test_regret(void **state)
{
    (void)state;
    struct portfolio p = sample();
    assert_int_equal(p.num_rows, 2);
    assert_int_equal(p.num_configs, 3);
    int32_t c0, c1, c2;
    struct kernel_config configs[] = {config_number(0), config_number(1), config_number(2), config_number(3)};
    c0 = portfolio_config(&p, &configs[0]);
    c1 = portfolio_config(&p, &configs[1]);
    c2 = portfolio_config(&p, &configs[2]);
    assert_int_equal(portfolio_config(&p, &configs[3]), -1);
    const struct portfolio_row *row = portfolio_nearest(&p, bucket_number(0));
    assert_int_equal(portfolio_best(&p, row), c1);
    assert_true(portfolio_regret(&p, row, c0) == 1);
    assert_true(portfolio_regret(&p, row, c1) == 0);
    assert_true(portfolio_regret(&p, row, c2) == 3);
    row = portfolio_nearest(&p, bucket_number(1));
    assert_true(portfolio_regret(&p, row, c1) == -1); /* not measured */
    assert_true(portfolio_regret(&p, row, c0) == 0.5);
    /* The class of q_len is never crossed; in it, the nearest in log space. */
    assert_ptr_equal(portfolio_nearest(&p, bucket_number(4 * 9 + 1)), row);
    assert_null(portfolio_nearest(&p, bucket_number(2)));
    /* A bucket measured again forgets what it was before. */
    const double again[] = {5};
    assert_true(portfolio_put(&p, bucket_number(0), &configs[2], again, 1));
    row = portfolio_nearest(&p, bucket_number(0));
    assert_int_equal(portfolio_best(&p, row), c2);
    assert_true(portfolio_regret(&p, row, c0) == -1);
}

/* One new token is a class of its own: decode is answered by decode's nearest length and batch, never by a longer
 * q_len. */
static void test_decode_is_answered_by_its_nearest(void **state)
{
    (void)state;
    struct portfolio p = {0};
    const struct kernel_config configs[] = {config_number(0), config_number(1), config_number(2)};
    const double time = 1;
    assert_true(portfolio_put(&p, (struct shape_bucket){0, 9, 3}, &configs[0], &time, 1));
    assert_true(portfolio_put(&p, (struct shape_bucket){0, 15, 8}, &configs[1], &time, 1));
    assert_true(portfolio_put(&p, (struct shape_bucket){1, 12, 3}, &configs[2], &time, 1));
    static const struct {
        int32_t q_class, log2_kv, log2_heads, config;
    } cases[] = {{0, 12, 3, 0}, {0, 14, 8, 1}, {0, 15, 3, 1}, {0, -1, 0, 0}, {1, 15, 8, 2}};
    struct device_limits limits = {.max_work_group_size = 64, .work_group_multiple = 1, .local_bytes = 65536};
    struct kernel_facts facts = {.head_dim_qk = 64, .head_dim_vo = 64, .group_size = 1};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct cache_key key = {.operation = ATTUNE_DECODE,
                                .q_class = cases[i].q_class,
                                .log2_kv = cases[i].log2_kv,
                                .log2_heads = cases[i].log2_heads};
        struct selection selection;
        assert_int_equal(select_config(NULL, &key, &p, NULL, backend_find("cpu"), &limits, &facts, &selection), ATTUNE_OK);
        if (strcmp(selection.source, "nearest") != 0 ||
            !kernel_config_equal(&selection.config, &configs[cases[i].config]))
            fail_msg("case %zu is answered by %s: %s", i, selection.source, selection.why);
    }
}

/* Each bucket keeps its best, however many come. */
static void test_full(void **state)
{
    (void)state;
    struct portfolio p = {0};
    for (int32_t i = 0; i < 40; i++) {
        struct kernel_config configs[2] = {config_number(i), config_number(i + 40)};
        const double times[2] = {2, 1};
        bool put = portfolio_put(&p, bucket_number(i), configs, times, 2);
        assert_int_equal(put, i < PORTFOLIO_MAX_CONFIGS);
        for (int32_t k = 0; k <= i && k < PORTFOLIO_MAX_CONFIGS; k++) {
            struct kernel_config best = config_number(k + 40);
            const struct portfolio_row *row = portfolio_nearest(&p, bucket_number(k));
            if (!shape_bucket_equal(row->bucket, bucket_number(k)) ||
                portfolio_best(&p, row) != portfolio_config(&p, &best) || portfolio_config(&p, &best) < 0)
                fail_msg("after %d buckets, bucket %d lost its best", i + 1, k);
        }
    }
    const struct kernel_config one = config_number(40);
    const double time = 1, none = 0;
    assert_false(portfolio_put(&p, bucket_number(60), &one, &none, 1));
    for (int32_t i = PORTFOLIO_MAX_CONFIGS; i < PORTFOLIO_MAX_BUCKETS; i++)
        assert_true(portfolio_put(&p, bucket_number(i), &one, &time, 1));
    assert_false(portfolio_put(&p, bucket_number(PORTFOLIO_MAX_BUCKETS), &one, &time, 1));
    assert_int_equal(p.num_rows, PORTFOLIO_MAX_BUCKETS);
    /* The largest there can be fits a record. */
    struct cache *cache = open_user();
    struct cache_entry entry = sample_entry();
    assert_int_equal(portfolio_store(cache, &entry.key, &p), ATTUNE_OK);
    cache_close(&cache);
}

static void test_round_trip(void **state)
{
    (void)state;
    struct portfolio p = sample(), read;
    struct cache_entry entry = sample_entry();
    struct cache *cache = open_user();
    assert_false(portfolio_find(cache, &entry.key, &read));
    assert_int_equal(portfolio_store(cache, &entry.key, &p), ATTUNE_OK);
    cache_close(&cache);
    cache = open_user();
    entry.key.log2_kv++; /* the shape is no part of the key */
    assert_true(portfolio_find(cache, &entry.key, &read));
    assert_memory_equal(&p, &read, sizeof p);
    entry.key.group_size++;
    assert_false(portfolio_find(cache, &entry.key, &read));
    assert_int_equal(read.num_rows, 0);
    assert_int_equal(warnings, 0);
    cache_close(&cache);
}

/* The record's path: the only file of the folder. */
static void find_file(char *path, size_t size)
{
    char command[200];
    snprintf(command, sizeof command, "ls %s/records/*.json", user);
    FILE *listing = popen(command, "r");
    assert_non_null(fgets(path, (int)size, listing));
    path[strcspn(path, "\n")] = '\0';
    pclose(listing);
}

/* Applies a change and seals it anew. Takes the value. */
static void change_file(const char *path, const char *array, size_t index, const char *member, json_t *value)
{
    char content[16384];
    size_t size = load_file(path, content, sizeof content);
    json_t *root = json_loadb(content, size, 0, NULL);
    json_object_del(root, "checksum");
    json_t *at = json_object_get(root, "content");
    if (array)
        at = json_array_get(json_object_get(at, array), index);
    assert_int_equal(json_object_set_new(at, member, value), 0);
    char hex[HASH_HEX_SIZE], *text = json_dumps(root, DUMP_FLAGS);
    hash_hex(text, strlen(text), hex);
    free(text);
    json_object_set_new(root, "checksum", json_string(hex));
    text = json_dumps(root, DUMP_FLAGS);
    json_decref(root);
    save_file(path, text, strlen(text));
    free(text);
}

static void test_deceiving(void **state)
{
    (void)state;
    static const struct {
        const char *array;
        size_t index;
        const char *member, *value;
    } changes[] = {
        {NULL, 0, "more", "1"},
        {NULL, 0, "configs", "{}"},
        {NULL, 0, "configs", "[]"},
        {NULL, 0, "configs", "[1, 2, 3]"},
        {NULL, 0, "rows", "[7]"},
        {"rows", 0, "q_class", "4"},
        {"rows", 0, "q_class", "1"}, /* the other's bucket */
        {"rows", 0, "log2_kv", "63"},
        {"rows", 0, "time_ms", "[1.0, 2.0]"},
        {"rows", 0, "time_ms", "[1.0, 2.0, 3.0, 4.0]"},
        {"rows", 0, "time_ms", "[1.0, 2.0, -3.0]"},
        {"rows", 0, "time_ms", "[1.0, 2.0, 3]"},
        {"rows", 0, "time_ms", "[1.0, 2.0, \"3\"]"},
        {"rows", 0, "more", "1"},
        {"configs", 0, "family_hash", "1"},
        {"configs", 0, "more", "1"},
        {"configs", 0, "config", "{}"},
        {"configs", 0, "config", "{\"family\": 1}"},
        {"configs", 0, "config", "\"-D x\""},
    };
    for (size_t i = 0; i < sizeof changes / sizeof *changes; i++) {
        struct portfolio p = sample(), read;
        struct cache_entry entry = sample_entry();
        struct cache *cache = open_user();
        assert_int_equal(portfolio_store(cache, &entry.key, &p), ATTUNE_OK);
        cache_close(&cache);
        char path[256];
        find_file(path, sizeof path);
        change_file(path, changes[i].array, changes[i].index, changes[i].member,
                    json_loads(changes[i].value, JSON_DECODE_ANY, NULL));
        cache = open_user();
        warnings = 0;
        if (portfolio_find(cache, &entry.key, &read))
            fail_msg("change %zu (%s) was taken", i, changes[i].member);
        assert_int_equal(warnings, 1);
        assert_int_equal(read.num_rows, 0);
        cache_close(&cache);
    }
}

static void test_values_outside_the_space(void **state)
{
    (void)state;
    struct portfolio p = sample(), read;
    struct cache_entry entry = sample_entry();
    struct cache *cache = open_user();
    assert_int_equal(portfolio_store(cache, &entry.key, &p), ATTUNE_OK);
    cache_close(&cache);
    char path[256];
    find_file(path, sizeof path);
    const struct family *family = family_at(family_find("vector_tile"));
    json_t *config = json_pack("{s:s}", "family", family->name);
    for (int32_t i = 0; i < family->num_params; i++)
        json_object_set_new(config, family->params[i].name, json_integer(i ? family->params[i].values[0] : 12345));
    change_file(path, "configs", 1, "config", config);
    cache = open_user();
    assert_false(portfolio_find(cache, &entry.key, &read));
    assert_int_equal(warnings, 1);
    cache_close(&cache);
}

/* Columns of another version's kernels are left out; the others stay. */
static void test_stale(void **state)
{
    (void)state;
    struct portfolio p = sample(), read;
    struct cache_entry entry = sample_entry();
    struct cache *cache = open_user();
    assert_int_equal(portfolio_store(cache, &entry.key, &p), ATTUNE_OK);
    cache_close(&cache);
    char path[256];
    find_file(path, sizeof path);
    change_file(path, "configs", 0, "family_hash", json_string("00000000000000000000000000000000"));
    change_file(path, "configs", 1, "config", json_pack("{s:s}", "family", "of_another_version"));
    cache = open_user();
    assert_true(portfolio_find(cache, &entry.key, &read));
    assert_int_equal(read.num_configs, 1);
    assert_int_equal(read.num_rows, 2);
    assert_true(kernel_config_equal(&read.configs[0], &p.configs[2]));
    assert_true(read.rows[0].time_ms[0] == p.rows[0].time_ms[2] && read.rows[1].time_ms[0] == p.rows[1].time_ms[2]);
    assert_int_equal(warnings, 0);
    cache_close(&cache);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_regret),
        TEST(test_full),
        TEST(test_round_trip),
        TEST(test_deceiving),
        TEST(test_values_outside_the_space),
        TEST(test_stale),
        TEST(test_decode_is_answered_by_its_nearest),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
