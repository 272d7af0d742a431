/* SPDX-License-Identifier: Apache-2.0 */
#include "cache_fixture.h"

#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>

/* Runs as an ordinary user where the test is root's: root may write to read-only folders. */
static void drop_root(void)
{
    if (geteuid() == 0 && (chown(folder, 65534, 65534) || setegid(65534) || seteuid(65534)))
        _exit(77);
}

static int exit_of(pid_t child)
{
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

/* ---- entries */

static void json_round_trip(void **state)
{
    (void)state;
    struct cache_entry entry = sample_entry(), back;
    char *text = cache_entry_to_json(&entry);
    assert_non_null(text);
    assert_null(strstr(text, "-D"));
    assert_int_equal(cache_entry_from_json(text, strlen(text), &back), ATTUNE_OK);
    free(text);
    assert_true(same_entry(&entry, &back));
    /* Members by themselves, lest both directions leave one out. */
    assert_string_equal(back.key.device_name, entry.key.device_name);
    assert_string_equal(back.key.layout, "slots,nhd,fp16");
    assert_int_equal(back.key.head_dim_vo, 64);
    assert_true(kernel_config_equal(&back.config, &entry.config));
    assert_true(back.default_ms == 1.0 / 3 && back.mad_ms == 1e-9 && back.kv_len == 1100.5 && back.gain_low == 3.25);
    assert_true(back.seed == UINT64_MAX);
    assert_string_equal(back.receipt.checks, "oracle,poison");
    assert_false(back.stale);
}

static void every_value_of_every_parameter(void **state)
{
    (void)state;
    for (int f = 0; f < family_count(); f++) {
        const struct family *family = family_at(f);
        struct cache_entry entry = sample_entry(), back;
        for (int32_t p = 0; p < family->num_params; p++) {
            family_default_config(f, &entry.config);
            for (int32_t v = 0; v < family->params[p].num_values; v++) {
                entry.config.values[p] = family->params[p].values[v];
                char *text = cache_entry_to_json(&entry);
                assert_non_null(text);
                assert_int_equal(cache_entry_from_json(text, strlen(text), &back), ATTUNE_OK);
                free(text);
                assert_true(kernel_config_equal(&back.config, &entry.config));
            }
        }
    }
}

static void keys_that_differ_hash_apart(void **state)
{
    (void)state;
    struct cache_key key = sample_entry().key, other = key;
    char hash[HASH_HEX_SIZE], other_hash[HASH_HEX_SIZE];
    cache_key_hash(&key, hash);
    assert_int_equal(strlen(hash), 32);
#define DIFFERS(change)                            \
    do {                                           \
        other = key;                               \
        change;                                    \
        cache_key_hash(&other, other_hash);        \
        assert_string_not_equal(hash, other_hash); \
    } while (0)
    DIFFERS(copy_string(other.simulated, sizeof other.simulated, "pocl"));
    DIFFERS(copy_string(other.driver, sizeof other.driver, "3.2"));
    DIFFERS((copy_string(other.device_name, sizeof other.device_name, key.device_vendor),
             copy_string(other.device_vendor, sizeof other.device_vendor, key.device_name)));
    DIFFERS(other.local_mem_bytes += (int64_t)1 << 32);
    DIFFERS(other.compute_units++);
    DIFFERS(other.precision = ATTUNE_FAST);
    DIFFERS(other.log2_heads++);
    DIFFERS((other.q_dtype = ATTUNE_FP16, other.kv_dtype = ATTUNE_FP32));
    memset(&other, 0, sizeof other);
    cache_key_hash(&other, other_hash);
    memset(other.device_name, 'x', sizeof other.device_name);
    cache_key_hash(&other, hash);
    assert_string_not_equal(hash, other_hash);
}

static void refused_entries(void **state)
{
    (void)state;
    struct cache *cache = open_user();
    char path[256] = "x";
#define REFUSED(status, text, change)                                            \
    do {                                                                         \
        struct cache_entry entry = sample_entry();                               \
        change;                                                                  \
        assert_int_equal(cache_store(cache, &entry, path, sizeof path), status); \
        assert_non_null(strstr(attune_last_error(), text));                      \
        assert_string_equal(path, "");                                           \
        enum cache_level level;                                                  \
        assert_false(cache_find(cache, &entry.key, &entry, &level));             \
    } while (0)
    REFUSED(ATTUNE_ERROR_SYNTAX, "time_ms", entry.time_ms = -1);
    REFUSED(ATTUNE_ERROR_SYNTAX, "gain_low", entry.gain_low = 0.0 / 0.0);
    REFUSED(ATTUNE_ERROR_SYNTAX, "key.head_dim_qk", entry.key.head_dim_qk = 0);
    REFUSED(ATTUNE_ERROR_SYNTAX, "key.device_name", memset(entry.key.device_name, 'x', sizeof entry.key.device_name));
    REFUSED(ATTUNE_ERROR_SYNTAX, "workload", copy_string(entry.workload, sizeof entry.workload, "a\x1b[2J"));
    REFUSED(ATTUNE_ERROR_SYNTAX, "journal", copy_string(entry.journal, sizeof entry.journal, "\xff"));
    REFUSED(ATTUNE_ERROR_SYNTAX, "config.family", entry.config.family = family_count());
    REFUSED(ATTUNE_ERROR_SYNTAX, "config.", entry.config.values[0] = -7);
    /* Everything full, of characters that JSON escapes. */
    REFUSED(ATTUNE_ERROR_INVALID_SIZE, "4096", {
        memset(entry.workload, '"', sizeof entry.workload - 1);
        memset(entry.key.driver, '"', sizeof entry.key.driver - 1);
        memset(entry.receipt.driver, '"', sizeof entry.receipt.driver - 1);
        memset(entry.key.device_name, '"', sizeof entry.key.device_name - 1);
        memset(entry.receipt.device_name, '"', sizeof entry.receipt.device_name - 1);
        memset(entry.key.cpu_model, '"', sizeof entry.key.cpu_model - 1);
        memset(entry.receipt.checks, '"', sizeof entry.receipt.checks - 1);
    });
    cache_close(&cache);
}

/* ---- levels */

static void store_and_find(void **state)
{
    (void)state;
    struct cache_entry entry = sample_entry(), found;
    enum cache_level level;
    struct cache *cache = open_user();
    assert_false(cache_find(cache, &entry.key, &found, &level));
    char path[256];
    assert_int_equal(cache_store(cache, &entry, path, sizeof path), ATTUNE_OK);
    struct stat info;
    assert_int_equal(stat(path, &info), 0);
    assert_int_equal(info.st_mode & 0777, 0600);
    assert_int_equal(stat(user, &info), 0);
    assert_int_equal(info.st_mode & 0777, 0700);
    assert_true(cache_find(cache, &entry.key, &found, &level));
    assert_int_equal(level, CACHE_MEMORY);
    cache_close(&cache);
    assert_null(cache);
    cache_close(&cache);

    cache = open_user();
    assert_true(cache_find(cache, &entry.key, &found, &level));
    assert_int_equal(level, CACHE_USER);
    assert_true(same_entry(&entry, &found));
    assert_int_equal(unlink(path), 0);
    assert_true(cache_find(cache, &entry.key, &found, &level));
    assert_int_equal(level, CACHE_MEMORY);
    struct cache_key other = entry.key;
    other.group_size++;
    assert_false(cache_find(cache, &other, &found, &level));
    cache_close(&cache);
    assert_int_equal(warnings, 0);
}

static void levels_in_order(void **state)
{
    (void)state;
    struct cache_entry entry = sample_entry(), found;
    entry.samples = 3;
    store_in(shipped, &entry, NULL, 0);
    enum cache_level level;
    struct cache *cache = open_levels(user, site, shipped);
    assert_true(cache_find(cache, &entry.key, &found, &level));
    assert_int_equal(level, CACHE_SHIPPED);
    cache_close(&cache);
    entry.samples = 2;
    char site_path[256];
    store_in(site, &entry, site_path, sizeof site_path);
    assert_int_equal(chmod(site_path, 0644), 0);
    cache = open_levels(user, site, shipped);
    assert_true(cache_find(cache, &entry.key, &found, &level));
    assert_int_equal(level, CACHE_SITE);
    assert_int_equal(found.samples, 2);
    entry.samples = 1;
    assert_int_equal(cache_store(cache, &entry, NULL, 0), ATTUNE_OK);
    cache_close(&cache);
    cache = open_levels(user, site, shipped);
    assert_true(cache_find(cache, &entry.key, &found, &level));
    assert_int_equal(level, CACHE_USER);
    assert_int_equal(found.samples, 1);
    cache_close(&cache);
    assert_string_equal(cache_level_name(CACHE_MEMORY), "memory");
    assert_string_equal(cache_level_name(CACHE_SHIPPED), "shipped");
}

static void stale_answers_last(void **state)
{
    (void)state;
    struct cache_entry entry = sample_entry(), found;
    entry.family_hash[0] ^= 1;
    entry.samples = 1;
    store_in(user, &entry, NULL, 0);
    enum cache_level level;
    struct cache *cache = open_levels(user, site, shipped);
    assert_true(cache_find(cache, &entry.key, &found, &level));
    assert_true(found.stale);
    assert_int_equal(level, CACHE_USER);
    assert_false(cache_find_nearest(cache, &entry.key, &found, &level));
    entry.samples = 2;
    store_in(site, &entry, NULL, 0);
    assert_true(cache_find(cache, &entry.key, &found, &level));
    assert_int_equal(level, CACHE_USER);
    assert_int_equal(found.samples, 1);
    struct cache_entry current = sample_entry();
    store_in(shipped, &current, NULL, 0);
    assert_true(cache_find(cache, &entry.key, &found, &level));
    assert_false(found.stale);
    assert_int_equal(level, CACHE_SHIPPED);
    cache_close(&cache);
}

static void receipts(void **state)
{
    (void)state;
    struct cache_entry entry = sample_entry(), found;
    assert_true(cache_receipt_holds(&entry));
    entry.receipt.driver[0] ^= 1;
    assert_false(cache_receipt_holds(&entry));
    entry = sample_entry();
    entry.receipt.family_hash[0] ^= 1;
    assert_false(cache_receipt_holds(&entry));
    entry = sample_entry();
    entry.receipt.valid = 0;
    assert_false(cache_receipt_holds(&entry));
    /* An exact look-up gives it all the same, and sees the receipt that another process writes later. */
    store_in(user, &entry, NULL, 0);
    struct cache *cache = open_user();
    enum cache_level level;
    assert_true(cache_find(cache, &entry.key, &found, &level));
    assert_false(cache_receipt_holds(&found));
    assert_false(cache_find_nearest(cache, &entry.key, &found, &level));
    entry.receipt.valid = 1;
    store_in(user, &entry, NULL, 0);
    assert_true(cache_find(cache, &entry.key, &found, &level));
    assert_true(cache_receipt_holds(&found));
    cache_close(&cache);
}

static void store_bucket(struct cache *cache, int32_t log2_kv, int32_t log2_heads)
{
    struct cache_entry entry = sample_entry();
    entry.key.log2_kv = log2_kv;
    entry.key.log2_heads = log2_heads;
    assert_int_equal(cache_store(cache, &entry, NULL, 0), ATTUNE_OK);
}

static void expect_nearest(struct cache *cache, int32_t log2_kv, int32_t log2_heads, int32_t want_kv,
                           int32_t want_heads)
{
    struct cache_entry found, wanted = sample_entry();
    enum cache_level level;
    wanted.key.log2_kv = log2_kv;
    wanted.key.log2_heads = log2_heads;
    assert_true(cache_find_nearest(cache, &wanted.key, &found, &level));
    assert_int_equal(found.key.log2_kv, want_kv);
    assert_int_equal(found.key.log2_heads, want_heads);
}

static void nearest_shape(void **state)
{
    (void)state;
    struct cache *writer = open_user();
    store_bucket(writer, 10, 5);
    store_bucket(writer, 14, 5);
    store_bucket(writer, 10, 8);
    struct cache *reader = open_user();
    struct cache *const caches[] = {writer, reader};
    for (int i = 0; i < 2; i++) {
        expect_nearest(caches[i], 10, 5, 10, 5);
        expect_nearest(caches[i], 13, 5, 14, 5);
        expect_nearest(caches[i], 62, 0, 14, 5);
        expect_nearest(caches[i], 12, 5, 10, 5); /* a tie: the shorter */
        expect_nearest(caches[i], 10, 7, 10, 8);
        expect_nearest(caches[i], 0, 0, 10, 5);
        struct cache_key other = sample_entry().key;
        struct cache_entry found;
        enum cache_level level;
        other.q_class = 1;
        assert_false(cache_find_nearest(caches[i], &other, &found, &level));
        other = sample_entry().key;
        other.precision = ATTUNE_FAST;
        assert_false(cache_find_nearest(caches[i], &other, &found, &level));
    }
    /* A tie of equal lengths is decided alike whatever the order of the stores. */
    struct cache *forth = open_levels(site, NULL, NULL), *back = open_levels(shipped, NULL, NULL);
    store_bucket(forth, 10, 4);
    store_bucket(forth, 10, 6);
    store_bucket(back, 10, 6);
    store_bucket(back, 10, 4);
    struct cache_entry one, two;
    enum cache_level level;
    assert_true(cache_find_nearest(forth, &(struct cache_key){0}, &one, &level) == false);
    struct cache_key middle = sample_entry().key;
    assert_true(cache_find_nearest(forth, &middle, &one, &level));
    assert_true(cache_find_nearest(back, &middle, &two, &level));
    assert_int_equal(one.key.log2_heads, two.key.log2_heads);
    cache_close(&forth);
    cache_close(&back);
    cache_close(&writer);
    cache_close(&reader);
}

static void simulated_never_answers_for_hardware(void **state)
{
    (void)state;
    struct cache_entry entry = sample_entry(), found;
    struct cache_key hardware = entry.key;
    copy_string(entry.key.simulated, sizeof entry.key.simulated, "pocl 3.1");
    struct cache *writer = open_levels(user, NULL, NULL);
    assert_int_equal(cache_store(writer, &entry, NULL, 0), ATTUNE_OK);
    struct cache *reader = open_levels(user, user, user);
    struct cache *const caches[] = {writer, reader};
    enum cache_level level;
    for (int i = 0; i < 2; i++) {
        assert_false(cache_find(caches[i], &hardware, &found, &level));
        assert_false(cache_find_nearest(caches[i], &hardware, &found, &level));
        assert_true(cache_find_nearest(caches[i], &entry.key, &found, &level));
        cache_close((struct cache **)&(struct cache *){caches[i]});
    }
}

struct visits {
    int count, stop_after;
    char hashes[8][HASH_HEX_SIZE];
};

static bool visit(void *priv, const struct cache_entry *entry, enum cache_level level, const char *hash,
                  const char *path)
{
    struct visits *visits = priv;
    char own[HASH_HEX_SIZE];
    cache_key_hash(&entry->key, own);
    assert_string_equal(own, hash);
    assert_non_null(strstr(path, hash));
    assert_int_equal(level, CACHE_USER);
    copy_string(visits->hashes[visits->count], HASH_HEX_SIZE, hash);
    return ++visits->count != visits->stop_after;
}

static void visiting(void **state)
{
    (void)state;
    struct cache *cache = open_levels(user, site, NULL);
    size_t unreadable = 1;
    struct visits visits = {0};
    cache_visit(cache, visit, &visits, &unreadable);
    assert_int_equal(visits.count + (int)unreadable, 0);
    for (int i = 0; i < 5; i++)
        store_bucket(cache, i, i);
    char path[160];
    snprintf(path, sizeof path, "%s/entries/00000000000000000000000000000000.json", user);
    save_file(path, "{}", 2);
    snprintf(path, sizeof path, "%s/entries/README", user);
    save_file(path, "{}", 2);
    cache_visit(cache, visit, &visits, &unreadable);
    assert_int_equal(visits.count, 5);
    assert_int_equal(unreadable, 1);
    for (int i = 1; i < 5; i++)
        assert_true(strcmp(visits.hashes[i - 1], visits.hashes[i]) < 0);
    visits = (struct visits){.stop_after = 2};
    cache_visit(cache, visit, &visits, NULL);
    assert_int_equal(visits.count, 2);
    assert_int_equal(warnings, 1);
    cache_close(&cache);
}

/* ---- folders */

static void user_folder(void **state)
{
    (void)state;
    char path[64];
    setenv("ATTUNE_CACHE_DIR", "/a", 1);
    setenv("XDG_CACHE_HOME", "/x", 1);
    setenv("HOME", "/h", 1);
#define RESOLVES(dir, expected) (cache_user_dir(dir, path, sizeof path), assert_string_equal(path, expected))
    RESOLVES("/given", "/given");
    RESOLVES("", "");
    RESOLVES(NULL, "/a");
    unsetenv("ATTUNE_CACHE_DIR");
    RESOLVES(NULL, "/x/attune");
    setenv("XDG_CACHE_HOME", "relative", 1);
    RESOLVES(NULL, "/h/.cache/attune");
    unsetenv("XDG_CACHE_HOME");
    unsetenv("HOME");
    RESOLVES(NULL, "");
    RESOLVES("/a-path-that-is-longer-than-its-buffer-by-two-bytes-0123456789abcd", "");
}

/* Options, then the environment, then the installation; none while ATTUNE_KERNEL_DIR replaces what they speak of. */
static void read_only_folders(void **state)
{
    (void)state;
    struct cache_places places;
    unsetenv("ATTUNE_SITE_CACHE_DIR");
    unsetenv("ATTUNE_SHIPPED_CACHE_DIR");
    cache_find_places("", NULL, NULL, &places);
    assert_string_equal(places.user, "");
    assert_non_null(strstr(places.site, "/attune"));
    assert_non_null(strstr(places.shipped, "/attune"));
    setenv("ATTUNE_SITE_CACHE_DIR", "/site", 1);
    setenv("ATTUNE_SHIPPED_CACHE_DIR", "/shipped", 1);
    cache_find_places("/user", NULL, NULL, &places);
    assert_string_equal(places.user, "/user");
    assert_string_equal(places.site, "/site");
    assert_string_equal(places.shipped, "/shipped");
    cache_find_places(NULL, "", "/given", &places);
    assert_string_equal(places.site, "");
    assert_string_equal(places.shipped, "/given");
    setenv("ATTUNE_KERNEL_DIR", "/kernels", 1);
    cache_find_places("/user", "/site", "/given", &places);
    assert_true(!places.user[0] && !places.site[0] && !places.shipped[0]);
    unsetenv("ATTUNE_KERNEL_DIR");
    unsetenv("ATTUNE_SITE_CACHE_DIR");
    unsetenv("ATTUNE_SHIPPED_CACHE_DIR");
}

static void without_a_disk(void **state)
{
    (void)state;
    struct cache *cache = open_levels(NULL, "", NULL);
    struct cache_entry entry = sample_entry(), found;
    enum cache_level level;
    char path[8] = "x";
    assert_int_equal(cache_store(cache, &entry, path, sizeof path), ATTUNE_OK);
    assert_string_equal(path, "");
    assert_true(cache_find(cache, &entry.key, &found, &level));
    assert_int_equal(level, CACHE_MEMORY);
    void *data;
    size_t size;
    char hash[HASH_HEX_SIZE];
    cache_key_hash(&entry.key, hash);
    assert_int_equal(cache_binary_store(cache, hash, "x", 1), ATTUNE_OK);
    assert_false(cache_binary_load(cache, hash, &data, &size));
    cache_close(&cache);
}

/* IO, and kept in memory. */
static bool stores_in_memory_only(struct cache *cache)
{
    struct cache_entry entry = sample_entry(), found;
    enum cache_level level;
    char path[256];
    entry.samples = 77;
    return cache_store(cache, &entry, path, sizeof path) == ATTUNE_ERROR_IO && !path[0] &&
           cache_find(cache, &entry.key, &found, &level) && level == CACHE_MEMORY && found.samples == 77;
}

static void read_only_and_closed_folders(void **state)
{
    (void)state;
    pid_t child = fork();
    if (child == 0) {
        drop_root();
        struct cache_entry entry = sample_entry(), found;
        store_in(user, &entry, NULL, 0);
        char entries[96], lock[128];
        snprintf(entries, sizeof entries, "%s/entries", user);
        snprintf(lock, sizeof lock, "%s/.lock", entries);
        bool right = !unlink(lock) && !chmod(entries, 0500);
        struct cache *cache = open_user();
        enum cache_level level;
        right = right && cache_find(cache, &entry.key, &found, &level) && level == CACHE_USER && !warnings &&
                stores_in_memory_only(cache);
        cache_close(&cache);
        chmod(entries, 0);
        cache = open_user();
        right = right && !cache_find(cache, &entry.key, &found, &level) && warnings == 1 &&
                !cache_find_nearest(cache, &entry.key, &found, &level) && stores_in_memory_only(cache);
        cache_close(&cache);
        chmod(entries, 0700);
        cache = open_levels("/proc/attune", "/proc/none", "/dev/null");
        right = right && stores_in_memory_only(cache);
        cache_close(&cache);
        _exit(right ? 0 : 1);
    }
    int code = exit_of(child);
    if (code == 77)
        skip();
    assert_int_equal(code, 0);
}

static void long_path(void **state)
{
    (void)state;
    char path[9000];
    memset(path, 'x', sizeof path);
    for (size_t i = 0; i < sizeof path; i += 100)
        path[i] = '/';
    path[sizeof path - 1] = '\0';
    struct cache *cache = open_levels(path, path, path);
    assert_true(stores_in_memory_only(cache));
    cache_close(&cache);
    struct cache_entry entry = sample_entry();
    cache = open_user();
    char name[10] = "x";
    assert_int_equal(cache_store(cache, &entry, name, sizeof name), ATTUNE_OK);
    assert_string_equal(name, "");
    cache_close(&cache);
}

/* A full disk, played by the limit of a file's size, at each size that the file may reach. */
static void full_disk(void **state)
{
    (void)state;
    struct cache_entry entry = sample_entry(), found;
    char path[256], content[CACHE_ENTRY_MAX];
    store_in(user, &entry, path, sizeof path);
    size_t size = load_file(path, content, sizeof content);
    pid_t child = fork();
    if (child == 0) {
        signal(SIGXFSZ, SIG_IGN);
        for (size_t room = 0; room < size; room += 97) {
            if (setrlimit(RLIMIT_FSIZE, &(struct rlimit){room, RLIM_INFINITY}))
                _exit(2);
            struct cache *cache = open_user();
            if (!stores_in_memory_only(cache))
                _exit(3);
            cache_close(&cache);
        }
        _exit(0);
    }
    assert_int_equal(exit_of(child), 0);
    enum cache_level level;
    struct cache *cache = open_user();
    assert_true(cache_find(cache, &entry.key, &found, &level));
    assert_true(same_entry(&entry, &found));
    cache_close(&cache);
    char command[160];
    snprintf(command, sizeof command, "test -z \"$(ls %s/entries/*.tmp 2>/dev/null)\"", user);
    assert_int_equal(system(command), 0);
}

static void leftovers_of_a_killed_writer(void **state)
{
    (void)state;
    struct cache_entry entry = sample_entry();
    char path[256], left[300];
    store_in(user, &entry, path, sizeof path);
    snprintf(left, sizeof left, "%s.%ld-0.tmp", path, (long)getpid());
    save_file(left, "half", 4);
    entry.samples = 9;
    store_in(user, &entry, path, sizeof path);
    struct cache *cache = open_user();
    struct cache_entry found;
    enum cache_level level;
    assert_true(cache_find(cache, &entry.key, &found, &level));
    assert_int_equal(found.samples, 9);
    cache_close(&cache);
    assert_int_equal(warnings, 0);
}

/* ---- at the same time */

#define WRITERS 8
#define PROCESSES 4
#define STORES 40
#define KEYS 3

/* Stores entries whose members all follow from one number, and reads those of the others: whole ones only. */
static bool store_and_check(struct cache *cache, int writer)
{
    for (int i = 0; i < STORES; i++) {
        struct cache_entry entry = sample_entry(), found;
        enum cache_level level;
        entry.key.log2_kv = i % KEYS;
        entry.samples = writer * STORES + i;
        entry.time_ms = entry.default_ms = entry.gain = entry.samples;
        if (cache_store(cache, &entry, NULL, 0) || !cache_find(cache, &entry.key, &found, &level) ||
            found.time_ms != found.samples || found.default_ms != found.samples || found.gain != found.samples)
            return false;
        struct cache *fresh;
        if (cache_open(&fresh, &(struct cache_paths){.user = user}, &(struct logger){0}))
            return false;
        bool right = cache_find(fresh, &entry.key, &found, &level) && level == CACHE_USER &&
                     found.time_ms == found.samples && found.gain == found.samples;
        cache_close(&fresh);
        if (!right)
            return false;
    }
    return true;
}

struct writer {
    struct cache *cache;
    int number;
    bool right;
};

static void *write_entries(void *priv)
{
    struct writer *writer = priv;
    writer->right = store_and_check(writer->cache, writer->number);
    return NULL;
}

static bool threads_store(void)
{
    struct cache *cache = open_user();
    pthread_t threads[WRITERS];
    struct writer writers[WRITERS];
    for (int i = 0; i < WRITERS; i++) {
        writers[i] = (struct writer){cache, i, false};
        if (pthread_create(&threads[i], NULL, write_entries, &writers[i]))
            return false;
    }
    bool right = true;
    for (int i = 0; i < WRITERS; i++) {
        pthread_join(threads[i], NULL);
        right = right && writers[i].right;
    }
    cache_close(&cache);
    return right && !warnings;
}

static void concurrent_threads(void **state)
{
    (void)state;
    assert_true(threads_store());
}

static void concurrent_processes(void **state)
{
    (void)state;
    pid_t children[PROCESSES];
    for (int i = 0; i < PROCESSES; i++) {
        children[i] = fork();
        if (children[i] == 0) {
            struct cache *cache = open_user();
            bool right = store_and_check(cache, i);
            cache_close(&cache);
            _exit(right ? 0 : 1);
        }
    }
    for (int i = 0; i < PROCESSES; i++)
        assert_int_equal(exit_of(children[i]), 0);
    struct cache *cache = open_user();
    struct visits visits = {0};
    size_t unreadable;
    cache_visit(cache, visit, &visits, &unreadable);
    assert_int_equal(visits.count, KEYS);
    assert_int_equal(unreadable, 0);
    cache_close(&cache);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(json_round_trip),
        TEST(every_value_of_every_parameter),
        TEST(keys_that_differ_hash_apart),
        TEST(refused_entries),
        TEST(store_and_find),
        TEST(levels_in_order),
        TEST(stale_answers_last),
        TEST(receipts),
        TEST(nearest_shape),
        TEST(simulated_never_answers_for_hardware),
        TEST(visiting),
        TEST(user_folder),
        TEST(read_only_folders),
        TEST(without_a_disk),
        TEST(read_only_and_closed_folders),
        TEST(long_path),
        TEST(full_disk),
        TEST(leftovers_of_a_killed_writer),
        TEST(concurrent_threads),
        TEST(concurrent_processes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
