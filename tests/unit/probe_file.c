/* SPDX-License-Identifier: Apache-2.0
 * Files of what a probe showed: kept, found again for their device alone, and hostile until checked. */
#include "cache_fixture.h"

#include <jansson.h>
#include <math.h>

#include "cache/probes.h"
#include "cache/record.h"
#include "cache/sealed.h"

static struct probe_record sample_record(void)
{
    return (struct probe_record){
        .facts = {FEATURE_F16C | FEATURE_BF16_DOT, HALF_LOAD_F16C, 1024},
        .num_readings = 2,
        .readings = {{"fma.fp32x16", 228.5, "GFLOP/s", ""}, {"dot.int8", 0, "Gop/s", "does not compile: \"no\""}}};
}

static struct cache_key sample_key(void)
{
    return sample_entry().key;
}

/* The only file of the folder, which the user's level has. */
static void path_of(char *path, size_t size)
{
    char command[200];
    snprintf(command, sizeof command, "ls %s/records/probe-*.json", user);
    FILE *pipe = popen(command, "r");
    assert_non_null(pipe);
    assert_non_null(fgets(path, (int)size, pipe));
    path[strcspn(path, "\n")] = '\0';
    assert_null(fgets(command, sizeof command, pipe));
    pclose(pipe);
}

static void store(char *path, size_t size)
{
    struct cache *cache = open_user();
    struct cache_key key = sample_key();
    struct probe_record record = sample_record();
    assert_int_equal(cache_probe_store(cache, &key, &record), ATTUNE_OK);
    cache_close(&cache);
    path_of(path, size);
}

static bool find(const struct cache_key *key, struct probe_record *out)
{
    struct cache *cache = open_user();
    bool found = cache_probe_find(cache, key, out);
    cache_close(&cache);
    return found;
}

static void expect_bad(const char *what)
{
    struct cache_key key = sample_key();
    struct probe_record record;
    warnings = 0;
    if (find(&key, &record) || warnings != 1)
        fail_msg("%s: not a miss with one warning, of which there are %d", what, warnings);
}

static void kept_for_one_device(void **state)
{
    (void)state;
    char path[256];
    struct probe_record expected = sample_record(), record;
    struct cache_key key = sample_key();
    assert_false(find(&key, &record));
    store(path, sizeof path);
    struct stat info;
    assert_int_equal(stat(path, &info), 0);
    assert_int_equal(info.st_mode & 0777, 0600);
    assert_true(find(&key, &record));
    assert_memory_equal(&record, &expected, sizeof record);
    assert_true(probe_reading(&record, "fma.fp32x16") == 228.5 && probe_reading(&record, "nothing") == 0);
    /* The shape is no part of it, the device, the driver and who plays it are. */
    key.operation = ATTUNE_PREFILL;
    key.log2_kv = 3;
    assert_true(find(&key, &record));
    copy_string(key.simulated, sizeof key.simulated, "pocl");
    assert_false(find(&key, &record));
    key = sample_key();
    copy_string(key.driver, sizeof key.driver, "3.2");
    assert_false(find(&key, &record));
    assert_int_equal(warnings, 0);
}

static void levels(void **state)
{
    (void)state;
    char path[256];
    struct cache_key key = sample_key();
    struct probe_record record = sample_record(), found;
    store(path, sizeof path);
    struct cache *cache = open_levels(site, user, NULL);
    assert_true(cache_probe_find(cache, &key, &found)); /* the site's */
    record.facts.features = 0;
    assert_int_equal(cache_probe_store(cache, &key, &record), ATTUNE_OK);
    assert_true(cache_probe_find(cache, &key, &found)); /* the user's goes first */
    assert_int_equal(found.facts.features, 0);
    cache_close(&cache);
    cache = open_levels(NULL, NULL, user); /* shipped ones are of other machines */
    assert_false(cache_probe_find(cache, &key, &found));
    cache_close(&cache);
    cache = open_levels(NULL, NULL, NULL);
    assert_int_equal(cache_probe_store(cache, &key, &record), ATTUNE_OK);
    cache_close(&cache);
}

static void out_of_range_is_not_written(void **state)
{
    (void)state;
    struct cache *cache = open_user();
    struct cache_key key = sample_key();
    struct probe_record record = sample_record();
    record.facts.features = 128;
    assert_int_equal(cache_probe_store(cache, &key, &record), ATTUNE_ERROR_SYNTAX);
    record = sample_record();
    record.readings[0].value = NAN;
    assert_int_equal(cache_probe_store(cache, &key, &record), ATTUNE_ERROR_SYNTAX);
    record = sample_record();
    copy_string(record.readings[1].note, sizeof record.readings[1].note, "\033[2J");
    assert_int_equal(cache_probe_store(cache, &key, &record), ATTUNE_ERROR_SYNTAX);
    cache_close(&cache);
}

static void every_bit_and_length(void **state)
{
    (void)state;
    char path[256], text[4096], what[64];
    store(path, sizeof path);
    size_t size = load_file(path, text, sizeof text);
    for (size_t bit = 0; bit < 8 * size; bit++) {
        text[bit / 8] ^= (char)(1 << bit % 8);
        save_file(path, text, size);
        snprintf(what, sizeof what, "bit %zu", bit);
        expect_bad(what);
        text[bit / 8] ^= (char)(1 << bit % 8);
    }
    for (size_t length = 0; length < size; length++) {
        save_file(path, text, length);
        snprintf(what, sizeof what, "length %zu", length);
        expect_bad(what);
    }
}

/* Changes that whoever can compute the checksum might make. */
static void resealed(void **state)
{
    (void)state;
    static const char *const changes[] = {
        "{\"facts\": {\"features\": 128, \"half_load\": 2, \"max_work_group_size\": 1024}}",
        "{\"facts\": {\"features\": -1, \"half_load\": 2, \"max_work_group_size\": 1024}}",
        "{\"facts\": {\"features\": 24, \"half_load\": 3, \"max_work_group_size\": 1024}}",
        "{\"facts\": {\"features\": 24, \"half_load\": 2, \"max_work_group_size\": -1}}",
        "{\"facts\": {\"features\": 24, \"half_load\": 2}}",
        "{\"facts\": {\"features\": 24.0, \"half_load\": 2, \"max_work_group_size\": 1024}}",
        "{\"facts\": []}",
        "{\"readings\": {}}",
        "{\"readings\": [1]}",
        "{\"readings\": [{\"name\": \"x\", \"value\": -1.0, \"unit\": \"\", \"note\": \"\"}]}",
        "{\"readings\": [{\"name\": \"x\", \"value\": 1.0, \"unit\": \"\"}]}",
        "{\"readings\": [{\"name\": \"x\", \"value\": 1.0, \"unit\": \"0123456789abcdef\", \"note\": \"\"}]}",
        "{\"more\": 1}",
    };
    char path[256], text[4096];
    store(path, sizeof path);
    size_t size = load_file(path, text, sizeof text);
    for (size_t i = 0; i < sizeof changes / sizeof changes[0]; i++) {
        json_t *root = json_loadb(text, size, 0, NULL), *change = json_loads(changes[i], 0, NULL);
        char *sealed;
        assert_true(root && change);
        json_object_update(json_object_get(root, "content"), change);
        json_object_del(root, "checksum");
        assert_int_equal(sealed_format(root, RECORD_MAX, &sealed), ATTUNE_OK);
        save_file(path, sealed, strlen(sealed));
        expect_bad(changes[i]);
        free(sealed);
        json_decref(root);
        json_decref(change);
    }
}

static void hostile_files(void **state)
{
    (void)state;
    char path[256], text[4096], other[300];
    static char large[RECORD_MAX + 16];
    store(path, sizeof path);
    size_t size = load_file(path, text, sizeof text);
    assert_int_equal(chmod(path, 0622), 0);
    expect_bad("writable by others");
    snprintf(other, sizeof other, "%s.real", path);
    assert_int_equal(chmod(path, 0600) | rename(path, other) | symlink(other, path), 0);
    expect_bad("a symbolic link");
    assert_int_equal(unlink(path) | mkfifo(path, 0600), 0);
    expect_bad("a FIFO");
    assert_int_equal(unlink(path) | mkdir(path, 0700), 0);
    expect_bad("a folder");
    assert_int_equal(rmdir(path), 0);
    memset(large, ' ', sizeof large);
    memcpy(large, text, size);
    save_file(path, large, sizeof large);
    expect_bad("too long");
    /* Another device's file under this name. */
    struct cache *cache = open_user();
    struct cache_key key = sample_key();
    struct probe_record record = sample_record();
    assert_int_equal(unlink(path), 0);
    copy_string(key.driver, sizeof key.driver, "3.2");
    assert_int_equal(cache_probe_store(cache, &key, &record), ATTUNE_OK);
    cache_close(&cache);
    path_of(other, sizeof other);
    assert_int_equal(rename(other, path), 0);
    expect_bad("another device's");
}

int main(void)
{
    const struct CMUnitTest tests[] = {TEST(kept_for_one_device),  TEST(levels),   TEST(out_of_range_is_not_written),
                                       TEST(every_bit_and_length), TEST(resealed), TEST(hostile_files)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
