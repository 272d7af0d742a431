/* SPDX-License-Identifier: Apache-2.0
 * What is forgotten on request, and what is swept: leftovers of killed processes, journals and binaries that nobody
 * needs. */
#include "cache_fixture.h"

#include <fcntl.h>
#include <sys/file.h>
#include <time.h>

#include "portfolio.h"
#include "tuner/journal.h"

static void path_of(const char *name, char path[256])
{
    snprintf(path, 256, "%s/%s", user, name);
}

/* Changed so many seconds ago. */
static void make_file(const char *name, long age)
{
    char path[256];
    path_of(name, path);
    save_file(path, "x", 1);
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    const struct timespec times[] = {{now.tv_sec - age, 0}, {now.tv_sec - age, 0}};
    assert_int_equal(utimensat(AT_FDCWD, path, times, 0), 0);
}

static bool there(const char *name)
{
    char path[256];
    path_of(name, path);
    return !access(path, F_OK);
}

static void make_folders(void)
{
    char path[256];
    static const char *const names[] = {"", "entries", "records", "binaries", "journal"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        path_of(names[i], path);
        assert_int_equal(mkdir(path, 0700), 0);
    }
}

static void sweep(void)
{
    struct cache *cache = open_user();
    cache_sweep(cache);
    cache_close(&cache);
}

static void temporary_files_go(void **state)
{
    (void)state;
    char path[256];
    make_folders();
    make_file("entries/00.json.123-0.tmp", 0);
    make_file("records/probe-00.json.123-0.tmp", 0);
    make_file("binaries/00.bin.123-7.tmp", 0);
    make_file("entries/README", 1000000);
    /* One writer is at work in a folder: nothing of it is touched. */
    path_of("records/.lock", path);
    int lock = open(path, O_RDWR | O_CREAT, 0600);
    assert_true(lock >= 0 && !flock(lock, LOCK_EX));
    sweep();
    assert_false(there("entries/00.json.123-0.tmp"));
    assert_true(there("records/probe-00.json.123-0.tmp"));
    assert_false(there("binaries/00.bin.123-7.tmp"));
    assert_true(there("entries/README"));
    close(lock);
    sweep();
    assert_false(there("records/probe-00.json.123-0.tmp"));
    assert_int_equal(warnings, 0);
}

static void journals_are_kept_that_are_new_or_named(void **state)
{
    (void)state;
    char path[256], name[64];
    struct cache_entry entry = sample_entry();
    make_folders();
    copy_string(entry.journal, sizeof entry.journal, "run-70");
    store_in(user, &entry, NULL, 0);
    for (int i = 1; i <= 72; i++) {
        snprintf(name, sizeof name, "journal/run-%d.jsonl", i);
        make_file(name, 1000 * i);
    }
    make_file("journal/run-1.jsonl.lock", 1000);  /* of a writer that was killed */
    make_file("journal/run-2.jsonl.lock", 1);     /* may be about to be taken */
    make_file("journal/run-71.jsonl.lock", 1000); /* being written */
    path_of("journal/run-71.jsonl.lock", path);
    int lock = open(path, O_RDWR);
    assert_true(lock >= 0 && !flock(lock, LOCK_EX));
    sweep();
    assert_false(there("journal/run-1.jsonl.lock"));
    assert_true(there("journal/run-2.jsonl.lock") && there("journal/run-71.jsonl.lock"));
    for (int i = 1; i <= 72; i++) {
        snprintf(name, sizeof name, "journal/run-%d.jsonl", i);
        if (there(name) != (i <= 64 || i == 70 || i == 71))
            fail_msg("%s is %s", name, there(name) ? "kept" : "gone");
    }
    close(lock);
}

static void a_journals_lock_ends_with_it(void **state)
{
    (void)state;
    char path[256];
    struct journal *journal;
    path_of("journal/a.jsonl", path);
    assert_int_equal(journal_create(&journal, path), ATTUNE_OK);
    assert_true(there("journal/a.jsonl.lock"));
    journal_close(&journal);
    assert_true(there("journal/a.jsonl"));
    assert_false(there("journal/a.jsonl.lock"));
}

static void binaries_are_kept_that_were_used_last(void **state)
{
    (void)state;
    char name[160], key[HASH_HEX_SIZE];
    void *data;
    size_t size;
    make_folders();
    struct cache *cache = open_user();
    snprintf(key, sizeof key, "%032x", 0xabc);
    assert_int_equal(cache_binary_store(cache, key, "binary", 6), ATTUNE_OK);
    snprintf(name, sizeof name, "%s/binaries/%s.bin", user, key);
    const struct timespec old[] = {{1, 0}, {1, 0}};
    assert_int_equal(utimensat(AT_FDCWD, name, old, 0), 0);
    for (int i = 0; i < 1026; i++) {
        snprintf(name, sizeof name, "binaries/%032x.bin", i);
        make_file(name, 10 + i);
    }
    assert_true(cache_binary_load(cache, key, &data, &size)); /* used, so the newest */
    free(data);
    cache_sweep(cache);
    assert_true(cache_binary_load(cache, key, &data, &size));
    free(data);
    cache_close(&cache);
    snprintf(name, sizeof name, "binaries/%032x.bin", 1022);
    assert_true(there(name));
    for (int i = 1023; i < 1026; i++) {
        snprintf(name, sizeof name, "binaries/%032x.bin", i);
        assert_false(there(name));
    }
}

static void files_of_others_stay(void **state)
{
    (void)state;
    char path[256];
    if (geteuid() != 0)
        skip();
    make_folders();
    make_file("entries/00.json.123-0.tmp", 0);
    path_of("entries/00.json.123-0.tmp", path);
    assert_int_equal(chown(path, 65534, 65534), 0);
    sweep();
    assert_true(there("entries/00.json.123-0.tmp"));
}

/* ---- forgetting */

static size_t count_entries(void)
{
    char(*hashes)[HASH_HEX_SIZE];
    size_t count;
    struct cache *cache = open_user();
    assert_int_equal(cache_own_hashes(cache, "", &hashes, &count), ATTUNE_OK);
    free(hashes);
    cache_close(&cache);
    return count;
}

/* Two shapes of a descriptor, each with its row; one of another descriptor. */
static void entries_go_with_their_rows(void **state)
{
    (void)state;
    struct cache_entry entries[3] = {sample_entry(), sample_entry(), sample_entry()}, found;
    enum cache_level level;
    char hash[HASH_HEX_SIZE];
    entries[1].key.log2_kv++;
    entries[2].key.group_size++;
    struct cache *cache = open_user();
    struct portfolio portfolio = {0};
    for (int i = 0; i < 3; i++) {
        struct kernel_config config = entries[i].config;
        const struct shape_bucket bucket = {entries[i].key.q_class, entries[i].key.log2_kv, entries[i].key.log2_heads};
        double time = 1;
        config.values[0] = family_at(0)->params[0].values[i];
        if (i == 2)
            portfolio = (struct portfolio){0};
        assert_true(portfolio_put(&portfolio, bucket, &config, &time, 1));
        assert_int_equal(portfolio_store(cache, &entries[i].key, &portfolio), ATTUNE_OK);
        assert_int_equal(cache_store(cache, &entries[i], NULL, 0), ATTUNE_OK);
    }
    cache_close(&cache);
    attune_target_options options = ATTUNE_TARGET_OPTIONS_INIT;
    options.cache_dir = user;
    options.site_cache_dir = options.shipped_cache_dir = "";
    cache_key_hash(&entries[0].key, hash);
    assert_int_equal(attune_cache_forget(&options, hash, NULL), ATTUNE_OK);
    assert_int_equal(count_entries(), 2);
    cache = open_user();
    assert_false(cache_find(cache, &entries[0].key, &found, &level));
    assert_true(cache_find(cache, &entries[1].key, &found, &level));
    assert_true(portfolio_find(cache, &entries[0].key, &portfolio));
    assert_int_equal(portfolio.num_rows, 1);
    assert_int_equal(portfolio.num_configs, 1);
    assert_int_equal(portfolio.rows[0].bucket.log2_kv, entries[1].key.log2_kv);
    cache_close(&cache);
    assert_int_equal(attune_cache_forget(&options, hash, NULL), ATTUNE_ERROR_NOT_TUNED);
    assert_int_equal(attune_cache_forget(&options, "0g00", NULL), ATTUNE_ERROR_SYNTAX);
    /* The last row takes the portfolio with it; the other descriptor's stays. */
    cache_key_hash(&entries[1].key, hash);
    assert_int_equal(attune_cache_forget(&options, hash, NULL), ATTUNE_OK);
    cache = open_user();
    assert_false(portfolio_find(cache, &entries[1].key, &portfolio));
    assert_true(portfolio_find(cache, &entries[2].key, &portfolio));
    assert_true(cache_find(cache, &entries[2].key, &found, &level));
    cache_close(&cache);
    assert_int_equal(warnings, 0);
}

static void what_cannot_be_read_can_be_forgotten(void **state)
{
    (void)state;
    make_folders();
    make_file("entries/abcdef00000000000000000000000000.json", 0);
    make_file("entries/abcd0000000000000000000000000000.json", 0);
    make_file("records/probe-00.json", 0);
    make_file("records/portfolio-00.json", 0);
    make_file("binaries/00.bin", 0);
    attune_target_options options = ATTUNE_TARGET_OPTIONS_INIT;
    size_t count;
    options.cache_dir = user;
    assert_int_equal(attune_cache_forget(&options, "abcd", NULL), ATTUNE_ERROR_NOT_TUNED);
    assert_non_null(strstr(attune_last_error(), "2 entries begin with abcd"));
    assert_int_equal(attune_cache_forget(&options, "abcde", NULL), ATTUNE_OK);
    assert_int_equal(count_entries(), 1);
    assert_int_equal(attune_cache_forget(&options, NULL, &count), ATTUNE_OK);
    assert_int_equal(count, 1);
    assert_int_equal(count_entries(), 0);
    assert_true(there("records/probe-00.json"));
    assert_false(there("records/portfolio-00.json") || there("binaries/00.bin"));
}

static void others_caches_are_only_read(void **state)
{
    (void)state;
    struct cache_entry entry = sample_entry();
    char hash[HASH_HEX_SIZE];
    store_in(site, &entry, NULL, 0);
    attune_target_options options = ATTUNE_TARGET_OPTIONS_INIT;
    options.cache_dir = user;
    options.site_cache_dir = site;
    cache_key_hash(&entry.key, hash);
    assert_int_equal(attune_cache_forget(&options, hash, NULL), ATTUNE_ERROR_NOT_TUNED);
    assert_non_null(strstr(attune_last_error(), "site and shipped caches are only read"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(temporary_files_go),
        TEST(journals_are_kept_that_are_new_or_named),
        TEST(a_journals_lock_ends_with_it),
        TEST(binaries_are_kept_that_were_used_last),
        TEST(files_of_others_stay),
        TEST(entries_go_with_their_rows),
        TEST(what_cannot_be_read_can_be_forgotten),
        TEST(others_caches_are_only_read),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
