/* SPDX-License-Identifier: Apache-2.0
 * Records: small checked files of some kind, beside the entries. */
#include "cache_fixture.h"

#include "cache/fields.h"
#include "cache/record.h"

#define DUMP_FLAGS (JSON_SORT_KEYS | JSON_INDENT(1)) /* of the checksum's text */

struct point {
    int32_t x;
    char name[16];
};

static const struct field point_fields[] = {{"x", FIELD_INT32, offsetof(struct point, x), 0, 0, 9},
                                            {"name", FIELD_STRING, offsetof(struct point, name), 16, 0, 0}};

static attune_status read_point(void *priv, const json_t *content)
{
    static const char *const no_others[] = {NULL};
    return fields_from_json(point_fields, 2, "content.", no_others, content, priv);
}

static json_t *key_of(int number)
{
    struct cache_entry entry = sample_entry();
    json_t *key = json_object();
    assert_int_equal(cache_key_part_to_json(&entry.key, KEY_DEVICE, key), ATTUNE_OK);
    json_object_set_new(key, "number", json_integer(number));
    return key;
}

static void store(struct cache *cache, int number, int x, char *path, size_t size)
{
    struct point point = {x, "here"};
    json_t *content = json_object(), *key = key_of(number);
    assert_int_equal(fields_to_json(point_fields, 2, "", &point, content), ATTUNE_OK);
    assert_int_equal(record_store(cache, "point", key, content, path, size), ATTUNE_OK);
    json_decref(content);
    json_decref(key);
}

/* x of what is found, or -1. */
static int find(struct cache *cache, const char *kind, int number, enum cache_level *level)
{
    struct point point = {0};
    json_t *key = key_of(number);
    bool found = record_find(cache, kind, key, read_point, &point, level);
    json_decref(key);
    return found ? point.x : -1;
}

static void test_round_trip(void **state)
{
    (void)state;
    char path[256];
    enum cache_level level;
    struct cache *cache = open_user();
    assert_int_equal(find(cache, "point", 1, &level), -1);
    store(cache, 1, 7, path, sizeof path);
    assert_non_null(strstr(path, "/records/point-"));
    assert_int_equal(find(cache, "point", 1, &level), 7);
    assert_int_equal(level, CACHE_MEMORY);
    store(cache, 1, 8, NULL, 0);
    assert_int_equal(find(cache, "point", 1, NULL), 8);
    cache_close(&cache);
    cache = open_user();
    assert_int_equal(find(cache, "point", 1, &level), 8);
    assert_int_equal(level, CACHE_USER);
    assert_int_equal(find(cache, "point", 2, NULL), -1);
    assert_int_equal(find(cache, "line", 1, NULL), -1);
    assert_int_equal(warnings, 0);
    cache_close(&cache);
}

static void test_levels(void **state)
{
    (void)state;
    enum cache_level level;
    struct cache *cache = open_levels(site, NULL, NULL);
    store(cache, 1, 3, NULL, 0);
    cache_close(&cache);
    cache = open_levels(NULL, site, NULL);
    assert_int_equal(find(cache, "point", 1, &level), 3);
    assert_int_equal(level, CACHE_SITE);
    store(cache, 1, 4, NULL, 0); /* memory only */
    assert_int_equal(find(cache, "point", 1, &level), 4);
    cache_close(&cache);
    /* A bad file of the user's hides nothing. */
    char path[256];
    cache = open_user();
    store(cache, 1, 5, path, sizeof path);
    cache_close(&cache);
    save_file(path, "{}", 2);
    cache = open_levels(user, site, NULL);
    assert_int_equal(find(cache, "point", 1, &level), 3);
    assert_int_equal(level, CACHE_SITE);
    assert_int_equal(warnings, 1);
    assert_int_equal(find(cache, "point", 1, &level), 3);
    assert_int_equal(warnings, 1);
    cache_close(&cache);
}

static int find_content(const char *path, const char *content, size_t size)
{
    save_file(path, content, size);
    struct cache *cache = open_user();
    int x = find(cache, "point", 1, NULL);
    cache_close(&cache);
    return x;
}

static void test_damaged(void **state)
{
    (void)state;
    char path[256], content[4096], damaged[4096];
    struct cache *cache = open_user();
    store(cache, 1, 7, path, sizeof path);
    cache_close(&cache);
    size_t size = load_file(path, content, sizeof content);
    assert_int_equal(find_content(path, content, size), 7);
    for (size_t i = 0; i < size; i++) {
        memcpy(damaged, content, size);
        damaged[i] ^= (char)(1 << (i % 7));
        if (find_content(path, damaged, size) != -1)
            fail_msg("byte %zu of %zu: bit %zu turned and yet taken", i, size, i % 7);
        if (find_content(path, content, i) != -1)
            fail_msg("taken after %zu of %zu bytes", i, size);
    }
}

/* Changes with a checksum that fits. */
static void test_deceiving(void **state)
{
    (void)state;
    static const struct {
        const char *object, *member, *value;
    } changes[] = {
        {"", "schema", "2"},
        {"", "schema", "1.0"},
        {"", "kind", "\"line\""},
        {"", "kind", "1"},
        {"", "more", "1"},
        {"", "content", "[]"},
        {"", "content", NULL},
        {"", "key", "{}"},
        {"key", "number", "2"},
        {"content", "x", "10"},
        {"content", "x", "-1"},
        {"content", "x", "1e0"},
        {"content", "x", NULL},
        {"content", "y", "1"},
        {"content", "name", "1"},
        {"content", "name", "\"far too long a name\""},
        {"content", "name", "\"a\\u0007\""},
    };
    char path[256], content[4096];
    struct cache *cache = open_user();
    store(cache, 1, 7, path, sizeof path);
    cache_close(&cache);
    size_t size = load_file(path, content, sizeof content);
    for (size_t i = 0; i < sizeof changes / sizeof *changes; i++) {
        json_t *root = json_loadb(content, size, 0, NULL);
        json_t *at = *changes[i].object ? json_object_get(root, changes[i].object) : root;
        json_object_del(root, "checksum");
        if (changes[i].value)
            json_object_set_new(at, changes[i].member, json_loads(changes[i].value, JSON_DECODE_ANY, NULL));
        else
            json_object_del(at, changes[i].member);
        char hex[HASH_HEX_SIZE], *text = json_dumps(root, DUMP_FLAGS);
        hash_hex(text, strlen(text), hex);
        free(text);
        json_object_set_new(root, "checksum", json_string(hex));
        text = json_dumps(root, DUMP_FLAGS);
        json_decref(root);
        if (find_content(path, text, strlen(text)) != -1)
            fail_msg("change %zu of %s.%s was taken", i, changes[i].object, changes[i].member);
        free(text);
    }
    assert_true(warnings > 0);
}

static void test_untrusted_files(void **state)
{
    (void)state;
    char path[256], other[300];
    struct cache *cache = open_user();
    store(cache, 1, 7, path, sizeof path);
    cache_close(&cache);
    cache = open_user();
    assert_int_equal(chmod(path, 0622), 0);
    assert_int_equal(find(cache, "point", 1, NULL), -1);
    assert_int_equal(chmod(path, 0600), 0);
    assert_int_equal(find(cache, "point", 1, NULL), 7);
    snprintf(other, sizeof other, "%s.there", path);
    assert_int_equal(rename(path, other), 0);
    assert_int_equal(symlink(other, path), 0);
    assert_int_equal(find(cache, "point", 1, NULL), -1);
    cache_close(&cache);
}

static void test_bad_kinds(void **state)
{
    (void)state;
    struct cache *cache = open_user();
    json_t *object = json_object();
    static const char *const kinds[] = {"", "../point", "Point", "a-b", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"};
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        assert_int_equal(record_store(cache, kinds[i], object, object, NULL, 0), ATTUNE_ERROR_SYNTAX);
        assert_int_equal(find(cache, kinds[i], 1, NULL), -1);
    }
    json_decref(object);
    cache_close(&cache);
}

int main(void)
{
    const struct CMUnitTest tests[] = {TEST(test_round_trip), TEST(test_levels),          TEST(test_damaged),
                                       TEST(test_deceiving),  TEST(test_untrusted_files), TEST(test_bad_kinds)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
