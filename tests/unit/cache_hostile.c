/* SPDX-License-Identifier: Apache-2.0
 * Files that were damaged or made to deceive: none may give a value that was not stored. */
#include "cache_fixture.h"

#include <jansson.h>

#define DUMP_FLAGS (JSON_SORT_KEYS | JSON_INDENT(1)) /* of the checksum's text */

static char *sample_text(void)
{
    struct cache_entry entry = sample_entry();
    char *text = cache_entry_to_json(&entry);
    assert_non_null(text);
    return text;
}

/* The text of a changed entry with the checksum that fits it. Takes the reference. */
static char *sealed(json_t *root)
{
    char hex[HASH_HEX_SIZE];
    json_object_del(root, "checksum");
    char *text = json_dumps(root, DUMP_FLAGS);
    hash_hex(text, strlen(text), hex);
    free(text);
    json_object_set_new(root, "checksum", json_string(hex));
    text = json_dumps(root, DUMP_FLAGS);
    json_decref(root);
    return text;
}

static json_t *sample_json(void)
{
    char *text = sample_text();
    json_t *root = json_loads(text, 0, NULL);
    free(text);
    assert_non_null(root);
    return root;
}

static void expect_rejected(const char *text, const char *names)
{
    struct cache_entry entry, untouched;
    memset(&entry, 0x5a, sizeof entry);
    memcpy(&untouched, &entry, sizeof entry);
    attune_status status = cache_entry_from_json(text, strlen(text), &entry);
    if (status == ATTUNE_OK)
        fail_msg("accepted, though %s is wrong: %s", names, text);
    if (!strstr(attune_last_error(), names))
        fail_msg("\"%s\" does not name %s", attune_last_error(), names);
    for (const char *at = attune_last_error(); *at; at++)
        assert_in_range((unsigned char)*at, 0x20, 0x7e);
    assert_memory_equal(&entry, &untouched, sizeof entry);
}

/* object: "" for the root. value: JSON, or NULL to take the member out. PARAM: the first parameter of family 0. */
struct change {
    const char *object, *member, *value, *names;
};

static const struct change changes[] = {
    {"", "schema", "2", "depth"}, /* which the entry lacks */
    {"", "schema", "3", "schema"},
    {"", "schema", "1.0", "schema"},
    {"", "schema", NULL, "schema"},
    {"", "key", NULL, "key"},
    {"", "key", "[]", "key"},
    {"", "config", "\"row:WG_SIZE=64\"", "config"},
    {"", "receipt", "null", "receipt"},
    {"", "options", "\"-DWG_SIZE=64\"", "options"},
    {"", "stale", "false", "stale"},
    {"", "time_ms", NULL, "time_ms"},
    {"", "time_ms", "-0.5", "time_ms"},
    {"", "time_ms", "1", "time_ms"},
    {"", "time_ms", "\"NaN\"", "time_ms"},
    {"", "time_ms", "null", "time_ms"},
    {"", "gain", "true", "gain"},
    {"", "samples", "1.5", "samples"},
    {"", "samples", "-1", "samples"},
    {"", "samples", "2147483648", "samples"},
    {"", "samples", "9223372036854775807", "samples"},
    {"", "seed", "1", "seed"},
    {"", "seed", "\"18446744073709551616\"", "seed"},
    {"", "seed", "\"-1\"", "seed"},
    {"", "seed", "\"\"", "seed"},
    {"", "seed", "\"1x\"", "seed"},
    {"", "seed", "\"01\"", "form"},
    {"", "workload", "7", "workload"},
    {"", "workload", "\"a\\u001b[2J\"", "workload"},
    {"", "tool_version", "\"01234567890123456789012345678901\"", "tool_version"},
    {"", "journal", "[[[[[[]]]]]]", "journal"},
    {"key", "simulated", NULL, "key.simulated"},
    {"key", "backend", "\"0123456789abcdef\"", "key.backend"},
    {"key", "device", "\"x\"", "key.device"},
    {"key", "operation", "0", "key.operation"},
    {"key", "operation", "4", "key.operation"},
    {"key", "operation", "4294967297", "key.operation"},
    {"key", "q_dtype", "\"fp32\"", "key.q_dtype"},
    {"key", "head_dim_qk", "577", "key.head_dim_qk"},
    {"key", "group_size", "0", "key.group_size"},
    {"key", "q_class", "4", "key.q_class"},
    {"key", "log2_kv", "63", "key.log2_kv"},
    {"key", "local_mem_bytes", "-1", "key.local_mem_bytes"},
    {"receipt", "valid", "2", "receipt.valid"},
    {"receipt", "valid", "true", "receipt.valid"},
    {"receipt", "checks", NULL, "receipt.checks"},
    {"receipt", "note", "\"\"", "receipt.note"},
    {"config", "family", "\"no_such_family\"", "no_such_family"},
    {"config", "family", "0", "config.family"},
    {"config", "family", NULL, "config.family"},
    {"config", "PARAM", NULL, "config."},
    {"config", "PARAM", "7", "config."},
    {"config", "PARAM", "-64", "config."},
    {"config", "PARAM", "64.0", "config."},
    {"config", "PARAM", "\"64 -DX\"", "config."},
    {"config", "PARAM", "4294967360", "config."},
    {"config", "EXTRA", "1", "config"},
    {"config", "family", "\"\\u001b[2J\"", "config.family: ?[2J"},
    {"receipt", "\x1b[2J", "1", "receipt.?[2J"},
};

static void changed_members(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof changes / sizeof *changes; i++) {
        const struct change *change = &changes[i];
        json_t *root = sample_json();
        json_t *object = *change->object ? json_object_get(root, change->object) : root;
        const char *member = strcmp(change->member, "PARAM") ? change->member : family_at(0)->params[0].name;
        if (change->value)
            assert_int_equal(json_object_set_new(object, member, json_loads(change->value, JSON_DECODE_ANY, NULL)), 0);
        else
            assert_int_equal(json_object_del(object, member), 0);
        char *text = sealed(root);
        expect_rejected(text, change->names);
        free(text);
    }
    char *text = sealed(sample_json());
    struct cache_entry entry;
    assert_int_equal(cache_entry_from_json(text, strlen(text), &entry), ATTUNE_OK);
    free(text);
}

/* Each member of each object, taken out, doubled in kind, or put to another type: nothing is optional. */
static void every_member_is_needed(void **state)
{
    (void)state;
    const char *const objects[] = {"", "key", "config", "receipt"};
    for (size_t o = 0; o < sizeof objects / sizeof *objects; o++) {
        json_t *template = sample_json();
        const char *name;
        json_t *value;
        json_object_foreach(*objects[o] ? json_object_get(template, objects[o]) : template, name, value)
        {
            if (!strcmp(name, "checksum"))
                continue;
            for (int kind = 0; kind < 3; kind++) {
                json_t *root = json_deep_copy(template);
                json_t *object = *objects[o] ? json_object_get(root, objects[o]) : root;
                if (kind == 0)
                    json_object_del(object, name);
                else
                    json_object_set_new(object, name, kind == 1 ? json_null() : json_array());
                char *text = sealed(root);
                expect_rejected(text, name);
                free(text);
            }
        }
        json_decref(template);
    }
}

static void replace_text(char *text, const char *from, const char *to, char out[2 * CACHE_ENTRY_MAX])
{
    char *at = strstr(text, from);
    assert_non_null(at);
    snprintf(out, 2 * CACHE_ENTRY_MAX, "%.*s%s%s", (int)(at - text), text, to, at + strlen(from));
}

static void malformed_texts(void **state)
{
    (void)state;
    char *good = sample_text(), text[2 * CACHE_ENTRY_MAX];
    expect_rejected("", "line");
    expect_rejected("null", "line");
    expect_rejected("[]", "object");
    expect_rejected("{}", "schema");
    expect_rejected("{\"schema\":1}", "checksum");
    static const char *const replaced[][3] = {
        {"\"samples\": 15", "\"samples\": 15, \"samples\": 15", "duplicate"},
        {"\"samples\": 15", "\"samples\": 99999999999999999999", "integer"},
        {"\"samples\": 15", "\"samples\": NaN", "line"},
        {"\"time_ms\": ", "\"time_ms\": 1e999, \"x\": ", "real"},
        {"\"samples\": 15", "\"samples\": 16", "checksum"},
        {"\"samples\": 15", "\"samples\": 015", "line"},
        {"\"Vendor\"", "\"Vend\\u006fr\"", "form"},
        {"\"Vendor\"", "\"Vend\\u0000r\"", "line"},
        {"\"Vendor\"", "\"Vend\xffr\"", "line"},
        {"\"Vendor\"", "\"Vend\xc0\x80r\"", "line"},
        {"\"samples\": 15", "\"samples\":  15", "form"},
        {"{", "{ ", "form"},
    };
    for (size_t i = 0; i < sizeof replaced / sizeof *replaced; i++) {
        replace_text(good, replaced[i][0], replaced[i][1], text);
        expect_rejected(text, replaced[i][2]);
    }
    snprintf(text, sizeof text, "%s\n", good);
    expect_rejected(text, "form");
    snprintf(text, sizeof text, "%s{}", good);
    expect_rejected(text, "line");
    snprintf(text, sizeof text, "%s%*s", good, CACHE_ENTRY_MAX, "");
    expect_rejected(text, "4096");
    memset(text, '[', CACHE_ENTRY_MAX);
    text[CACHE_ENTRY_MAX] = '\0';
    expect_rejected(text, "line");
    for (size_t i = 0; i < CACHE_ENTRY_MAX - 5; i += 5)
        memcpy(text + i, "{\"a\":", 6);
    expect_rejected(text, "line");
    free(good);
}

static void versions(void **state)
{
    (void)state;
    json_t *root = sample_json();
    json_object_set_new(root, "space_hash", json_string("00000000000000000000000000000000"));
    char *text = sealed(json_deep_copy(root));
    struct cache_entry entry;
    assert_int_equal(cache_entry_from_json(text, strlen(text), &entry), ATTUNE_OK);
    assert_true(entry.stale);
    free(text);
    /* A parameter that this version's space no longer has the value of: not damage, but no use either. */
    json_object_set_new(json_object_get(root, "config"), family_at(0)->params[0].name, json_integer(7));
    text = sealed(root);
    assert_int_equal(cache_entry_from_json(text, strlen(text), &entry), ATTUNE_ERROR_UNSUPPORTED);
    char hash[HASH_HEX_SIZE], path[256];
    struct cache_entry sample = sample_entry();
    store_in(user, &sample, path, sizeof path);
    cache_key_hash(&sample.key, hash);
    save_file(path, text, strlen(text));
    free(text);
    struct cache *cache = open_user();
    enum cache_level level;
    assert_false(cache_find(cache, &sample.key, &entry, &level));
    assert_int_equal(warnings, 0);
    cache_close(&cache);
}

/* ---- damage: a look-up gives the entry that was stored, or none */

static void expect_same_or_miss(struct cache *cache, const struct cache_entry *stored, bool hit, size_t where)
{
    struct cache_entry found;
    enum cache_level level;
    bool got = cache_find(cache, &stored->key, &found, &level);
    if (got != hit || (got && !same_entry(&found, stored)))
        fail_msg("damage at %zu: %s", where, got ? "another value" : "a miss");
}

static void every_bit_flipped(void **state)
{
    (void)state;
    struct cache_entry entry = sample_entry();
    char path[256], content[CACHE_ENTRY_MAX];
    store_in(user, &entry, path, sizeof path);
    size_t size = load_file(path, content, sizeof content);
    for (size_t bit = 0; bit < 8 * size; bit++) {
        content[bit / 8] ^= (char)(1 << bit % 8);
        save_file(path, content, size);
        content[bit / 8] ^= (char)(1 << bit % 8);
        struct cache *cache = open_user();
        expect_same_or_miss(cache, &entry, false, bit);
        cache_close(&cache);
        assert_int_equal(warnings, (int)bit + 1);
    }
    save_file(path, content, size);
    struct cache *cache = open_user();
    expect_same_or_miss(cache, &entry, true, size);
    cache_close(&cache);
}

static void every_truncation(void **state)
{
    (void)state;
    struct cache_entry entry = sample_entry();
    char path[256], content[CACHE_ENTRY_MAX + 1];
    store_in(user, &entry, path, sizeof path);
    size_t size = load_file(path, content, CACHE_ENTRY_MAX);
    for (size_t cut = 0; cut <= size + 1; cut++) {
        content[size] = cut > size ? ' ' : '\0';
        save_file(path, content, cut);
        struct cache *cache = open_user();
        expect_same_or_miss(cache, &entry, cut == size, cut);
        cache_close(&cache);
    }
}

/* ---- files */

/* A miss in exact and nearest look-ups, one warning that holds the text. */
static void expect_warned_miss(const char *text)
{
    struct cache_entry entry = sample_entry(), found;
    enum cache_level level;
    warnings = 0;
    struct cache *cache = open_levels(user, site, NULL);
    for (int i = 0; i < 2; i++) {
        assert_false(cache_find(cache, &entry.key, &found, &level));
        assert_false(cache_find_nearest(cache, &entry.key, &found, &level));
    }
    cache_close(&cache);
    assert_int_equal(warnings, 1);
    if (!strstr(last_warning, text))
        fail_msg("\"%s\" does not say \"%s\"", last_warning, text);
}

static void hostile_files(void **state)
{
    (void)state;
    struct cache_entry entry = sample_entry(), found;
    char path[256], aside[300];
    store_in(user, &entry, path, sizeof path);
    snprintf(aside, sizeof aside, "%s/aside", user);
    assert_int_equal(chmod(path, 0620), 0);
    expect_warned_miss("620");
    assert_int_equal(chmod(path, 0602), 0);
    expect_warned_miss("602");
    assert_int_equal(chmod(path, 0644), 0);
    struct cache *cache = open_user();
    enum cache_level level;
    assert_true(cache_find(cache, &entry.key, &found, &level));
    cache_close(&cache);

    assert_int_equal(rename(path, aside), 0);
    assert_int_equal(symlink(aside, path), 0);
    expect_warned_miss("symbolic link");
    assert_int_equal(unlink(path), 0);
    assert_int_equal(symlink("/nowhere", path), 0);
    expect_warned_miss("symbolic link");
    assert_int_equal(unlink(path), 0);
    assert_int_equal(mkfifo(path, 0600), 0);
    expect_warned_miss("regular");
    assert_int_equal(unlink(path), 0);
    assert_int_equal(mkdir(path, 0700), 0);
    expect_warned_miss("regular");
    /* A store cannot replace a folder, and says so; the entry is kept all the same. */
    cache = open_user();
    assert_int_equal(cache_store(cache, &entry, NULL, 0), ATTUNE_ERROR_IO);
    assert_true(cache_find(cache, &entry.key, &found, &level));
    cache_close(&cache);
    assert_int_equal(rmdir(path), 0);

    save_file(path, "", 0);
    assert_int_equal(truncate(path, (off_t)1 << 40), 0);
    expect_warned_miss("1099511627776");
    assert_int_equal(truncate(path, CACHE_ENTRY_MAX), 0);
    expect_warned_miss("line 1");

    struct cache_entry other = entry;
    other.key.group_size++;
    char *text = cache_entry_to_json(&other);
    assert_non_null(text);
    save_file(path, text, strlen(text));
    free(text);
    expect_warned_miss("belongs");
    /* A store goes through all of that. */
    assert_int_equal(unlink(path), 0);
    assert_int_equal(symlink(aside, path), 0);
    store_in(user, &entry, NULL, 0);
    cache = open_user();
    assert_true(cache_find(cache, &entry.key, &found, &level));
    cache_close(&cache);
}

static void expect_found(enum cache_level expected)
{
    struct cache_entry entry = sample_entry(), found;
    enum cache_level level;
    char refused[640];
    struct cache *cache = open_levels(user, site, NULL);
    assert_true(cache_find(cache, &entry.key, &found, &level));
    assert_int_equal(level, expected);
    cache_refused(cache, refused, sizeof refused);
    assert_string_equal(refused, "");
    cache_close(&cache);
}

/* As ssh: root's files are anybody's, another user's nobody's. */
static void owners(void **state)
{
    (void)state;
    if (geteuid() != 0)
        skip();
    const uid_t other = 65533, own = 65534;
    struct cache_entry entry = sample_entry();
    char path[256], entries[128];
    assert_int_equal(chown(folder, own, own) || chmod(folder, 0755), 0);
    store_in(user, &entry, path, sizeof path);
    assert_int_equal(chmod(path, 0644) || chmod(user, 0755), 0);
    snprintf(entries, sizeof entries, "%s/entries", user);
    assert_int_equal(chmod(entries, 0755), 0);
    assert_int_equal(seteuid(own), 0);
    expect_found(CACHE_USER); /* tuned by root, served by another user */
    assert_int_equal(seteuid(0), 0);
    assert_int_equal(chown(path, own, own), 0);
    expect_warned_miss("owned by uid 65534, not by root");
    assert_int_equal(seteuid(own), 0);
    expect_found(CACHE_USER);
    assert_int_equal(seteuid(0) || seteuid(other), 0);
    expect_warned_miss("owned by uid 65534, not by uid 65533 or root");
    assert_int_equal(seteuid(0), 0);
    /* Whoever owns a folder or may write to it says what is in it. */
    assert_int_equal(chown(path, 0, 0) || chown(entries, own, own), 0);
    expect_warned_miss("its folder is owned by uid 65534");
    assert_int_equal(chown(entries, 0, 0) || chmod(entries, 0775), 0);
    expect_warned_miss("its folder is of mode 775");
    assert_int_equal(chmod(entries, 0755) || chown(user, own, own), 0);
    expect_warned_miss("the cache's folder is owned by uid 65534");
    assert_int_equal(chown(user, 0, 0) || chmod(user, 0777), 0);
    expect_warned_miss("the cache's folder is of mode 777");
    assert_int_equal(chmod(user, 01777), 0);
    expect_found(CACHE_USER);
    assert_int_equal(chmod(user, 0775), 0);
    expect_found(CACHE_USER);
    /* The other levels have no other rule. */
    assert_int_equal(rename(user, site), 0);
    expect_found(CACHE_SITE);
}

static bool go_on(void *priv, const struct cache_entry *entry, enum cache_level level, const char *hash,
                  const char *path);

static void refused_files_are_counted(void **state)
{
    (void)state;
    struct cache_entry entry = sample_entry(), found;
    char path[256], refused[640], expected[640];
    enum cache_level level;
    store_in(user, &entry, path, sizeof path);
    assert_int_equal(chmod(path, 0620), 0);
    struct cache *cache = open_user();
    cache_refused(cache, refused, sizeof refused);
    assert_string_equal(refused, "");
    assert_false(cache_find(cache, &entry.key, &found, &level));
    assert_false(cache_find_nearest(cache, &entry.key, &found, &level));
    snprintf(expected, sizeof expected, "1 file was refused: %s: of mode 620, which lets others write to it", path);
    cache_refused(cache, refused, sizeof refused);
    assert_string_equal(refused, expected);
    snprintf(path, sizeof path, "%s/entries/%032x.json", user, 1);
    save_file(path, "{}", 2);
    cache_visit(cache, go_on, NULL, NULL);
    cache_refused(cache, refused, sizeof refused);
    assert_non_null(strstr(refused, "2 files were refused: "));
    cache_close(&cache);
}

static void hostile_lock(void **state)
{
    (void)state;
    struct cache_entry entry = sample_entry(), found;
    char path[256], lock[128], aside[128];
    store_in(user, &entry, path, sizeof path);
    snprintf(lock, sizeof lock, "%s/entries/.lock", user);
    snprintf(aside, sizeof aside, "%s/aside", folder);
    assert_int_equal(unlink(lock), 0);
    assert_int_equal(symlink(aside, lock), 0);
    struct cache *cache = open_user();
    assert_int_equal(cache_store(cache, &entry, NULL, 0), ATTUNE_ERROR_IO);
    enum cache_level level;
    assert_true(cache_find(cache, &entry.key, &found, &level));
    cache_close(&cache);
    assert_int_not_equal(access(aside, F_OK), 0);
}

static bool go_on(void *priv, const struct cache_entry *entry, enum cache_level level, const char *hash,
                  const char *path)
{
    (void)priv;
    (void)level;
    return entry && hash && path;
}

static void warnings_are_bounded(void **state)
{
    (void)state;
    struct cache_entry entry = sample_entry();
    store_in(user, &entry, NULL, 0);
    char path[256];
    for (int i = 0; i < 300; i++) {
        snprintf(path, sizeof path, "%s/entries/%032x.json", user, i);
        save_file(path, "{}", 2);
    }
    struct cache *cache = open_user();
    size_t unreadable;
    struct cache_entry found;
    enum cache_level level;
    cache_visit(cache, go_on, NULL, &unreadable);
    assert_int_equal(unreadable, 300);
    assert_true(warnings >= 100 && warnings < 300);
    int before = warnings;
    assert_true(cache_find_nearest(cache, &entry.key, &found, &level));
    assert_int_equal(warnings, before);
    cache_close(&cache);
}

/* ---- binaries */

#define BINARY_SIZE 300
static const char binary_key[] = "0123456789abcdef0123456789abcdef";

static bool load_is(const char *key, const char *binary, size_t binary_size)
{
    struct cache *cache = open_user();
    void *data;
    size_t size;
    bool loaded = cache_binary_load(cache, key, &data, &size);
    if (loaded && (size != binary_size || memcmp(data, binary, size)))
        fail_msg("another binary");
    if (!loaded && (data || size))
        fail_msg("a binary with a miss");
    free(data);
    cache_close(&cache);
    return loaded;
}

static void store_binary(const char *binary)
{
    struct cache *cache = open_user();
    assert_int_equal(cache_binary_store(cache, binary_key, binary, BINARY_SIZE), ATTUNE_OK);
    cache_close(&cache);
}

static void binaries(void **state)
{
    (void)state;
    char binary[BINARY_SIZE], path[256], other[256], content[1024];
    for (int i = 0; i < BINARY_SIZE; i++)
        binary[i] = (char)(i * 7);
    assert_false(load_is(binary_key, binary, sizeof binary));
    assert_int_equal(warnings, 0);
    store_binary(binary);
    assert_true(load_is(binary_key, binary, sizeof binary));
    snprintf(path, sizeof path, "%s/binaries/%s.bin", user, binary_key);
    size_t size = load_file(path, content, sizeof content);
    for (size_t bit = 0; bit < 8 * size; bit++) {
        content[bit / 8] ^= (char)(1 << bit % 8);
        save_file(path, content, size);
        content[bit / 8] ^= (char)(1 << bit % 8);
        if (load_is(binary_key, binary, sizeof binary))
            fail_msg("bit %zu", bit);
    }
    assert_int_equal(warnings, 8 * size);
    for (size_t cut = 0; cut < size; cut++) {
        save_file(path, content, cut);
        assert_false(load_is(binary_key, binary, sizeof binary));
    }
    /* Renamed: the binary of another build. */
    store_binary(binary);
    snprintf(other, sizeof other, "%s/binaries/f%s.bin", user, binary_key + 1);
    assert_int_equal(rename(path, other), 0);
    assert_false(load_is("f123456789abcdef0123456789abcdef", binary, sizeof binary));
    store_binary(binary);
    assert_int_equal(chmod(path, 0606), 0);
    assert_false(load_is(binary_key, binary, sizeof binary));
    assert_int_equal(truncate(path, (off_t)1 << 40), 0);
    assert_int_equal(chmod(path, 0600), 0);
    assert_false(load_is(binary_key, binary, sizeof binary));
}

static void binary_arguments(void **state)
{
    (void)state;
    struct cache *cache = open_user();
    void *data;
    size_t size;
    static const char *const names[] = {"", "../../../../etc/passwd", "0123456789abcdef0123456789abcde",
                                        "0123456789abcdef0123456789abcdeF", "/123456789abcdef0123456789abcdef"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        assert_int_equal(cache_binary_store(cache, names[i], "x", 1), ATTUNE_ERROR_SYNTAX);
        assert_false(cache_binary_load(cache, names[i], &data, &size));
    }
    assert_int_equal(cache_binary_store(cache, binary_key, "x", 0), ATTUNE_ERROR_INVALID_SIZE);
    assert_int_equal(cache_binary_store(cache, binary_key, "x", ((size_t)64 << 20) + 1), ATTUNE_ERROR_INVALID_SIZE);
    cache_close(&cache);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(changed_members),           TEST(every_member_is_needed), TEST(malformed_texts),      TEST(versions),
        TEST(every_bit_flipped),         TEST(every_truncation),       TEST(hostile_files),        TEST(owners),
        TEST(refused_files_are_counted), TEST(hostile_lock),           TEST(warnings_are_bounded), TEST(binaries),
        TEST(binary_arguments),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
