/* SPDX-License-Identifier: Apache-2.0
 * A folder, a cache on it, and an entry, for the tests of the cache. */
#ifndef ATTUNE_TESTS_CACHE_FIXTURE_H
#define ATTUNE_TESTS_CACHE_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cache/cache.h"

static char folder[64], user[80], site[80], shipped[80];
static int warnings;
static char last_warning[1024];

static inline void count_warning(void *priv, attune_log_level level, const char *message)
{
    (void)priv;
    if (level > ATTUNE_LOG_WARNING)
        return;
    warnings++;
    copy_string(last_warning, sizeof last_warning, message);
}

static inline int make_folder(void **state)
{
    (void)state;
    snprintf(folder, sizeof folder, "/tmp/attune-cache-XXXXXX");
    if (!mkdtemp(folder))
        return -1;
    snprintf(user, sizeof user, "%s/user", folder);
    snprintf(site, sizeof site, "%s/site", folder);
    snprintf(shipped, sizeof shipped, "%s/shipped", folder);
    warnings = 0;
    last_warning[0] = '\0';
    return 0;
}

static inline int remove_folder(void **state)
{
    (void)state;
    char command[160];
    snprintf(command, sizeof command, "chmod -R u+rwx %s; rm -rf %s", folder, folder);
    return system(command);
}

static inline struct cache *open_levels(const char *user_folder, const char *site_folder, const char *shipped_folder)
{
    struct cache *cache;
    struct logger logger = {count_warning, NULL, ATTUNE_LOG_DEBUG};
    assert_int_equal(cache_open(&cache, &(struct cache_paths){user_folder, site_folder, shipped_folder}, &logger),
                     ATTUNE_OK);
    return cache;
}

static inline struct cache *open_user(void)
{
    return open_levels(user, NULL, NULL);
}

static inline struct cache_entry sample_entry(void)
{
    const struct family *family = family_at(0);
    struct cache_entry entry = {
        .key = {.device_name = "cpu \"wide\" \xc3\xa9",
                .device_vendor = "Vendor",
                .compute_units = 2,
                .local_mem_bytes = 524288,
                .cpu_model = "model 1",
                .driver = "3.1",
                .backend = "zw-m890",
                .operation = ATTUNE_EXTEND,
                .q_dtype = ATTUNE_FP32,
                .kv_dtype = ATTUNE_FP16,
                .o_dtype = ATTUNE_FP32,
                .precision = ATTUNE_STRICT,
                .head_dim_qk = 128,
                .head_dim_vo = 64,
                .group_size = 4,
                .mask = ATTUNE_MASK_CAUSAL,
                .layout = "slots,nhd,fp16",
                .q_class = 2,
                .log2_kv = 10,
                .log2_heads = 5},
        .workload = "extend q=100",
        .q_len = 100,
        .kv_len = 1100.5,
        .batch = 4,
        .time_ms = 0.1,
        .mad_ms = 1e-9,
        .samples = 15,
        .default_ms = 1.0 / 3,
        .gain = 3.3333333333333335,
        .gain_low = 3.25,
        .gain_high = 3.5,
        .tool_version = "0.1.0",
        .seed = UINT64_MAX,
        .journal = "run-1",
        .receipt = {.valid = 1, .device_name = "cpu \"wide\" \xc3\xa9", .driver = "3.1", .checks = "oracle,poison"},
    };
    family_default_config(0, &entry.config);
    copy_string(entry.family_hash, sizeof entry.family_hash, family->source_hash);
    copy_string(entry.space_hash, sizeof entry.space_hash, family->space_hash);
    copy_string(entry.receipt.family_hash, sizeof entry.receipt.family_hash, family->source_hash);
    return entry;
}

/* By their JSON, which holds all members, and by staleness. */
static inline bool same_entry(const struct cache_entry *a, const struct cache_entry *b)
{
    char *text_a = cache_entry_to_json(a), *text_b = cache_entry_to_json(b);
    bool same = text_a && text_b && !strcmp(text_a, text_b) && a->stale == b->stale;
    free(text_a);
    free(text_b);
    return same;
}

/* Writes the entry by a cache on that folder alone. */
static inline void store_in(const char *level_folder, const struct cache_entry *entry, char *path, size_t size)
{
    struct cache *cache = open_levels(level_folder, NULL, NULL);
    assert_int_equal(cache_store(cache, entry, path, size), ATTUNE_OK);
    cache_close(&cache);
}

static inline size_t load_file(const char *path, char *content, size_t max)
{
    FILE *file = fopen(path, "rb");
    assert_non_null(file);
    size_t size = fread(content, 1, max, file);
    fclose(file);
    return size;
}

static inline void save_file(const char *path, const char *content, size_t size)
{
    FILE *file = fopen(path, "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(content, 1, size, file), size);
    assert_int_equal(fclose(file), 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, make_folder, remove_folder)

#endif
