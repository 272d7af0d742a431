/* SPDX-License-Identifier: Apache-2.0
 *
 * Winners on disk: one JSON file of at most 4 KiB per entry, named by the hash of its key. Files are hostile until checked: a
 * regular file, owned by the effective user or by root, not writable by others (files.h), of bounded size, exact schema, every value in
 * range, checksum over everything. Whatever is wrong is one warning, a miss, and counted.
 *
 * A cache has up to three levels (user, site, shipped); only the user's is written. Thread-safe.
 */
#ifndef ATTUNE_CACHE_H
#define ATTUNE_CACHE_H

#include "base/base.h"
#include "family/family.h"

#define CACHE_SCHEMA 1       /* of keys, and of entries without a depth */
#define CACHE_SCHEMA_DEPTH 2 /* of entries with one */
#define CACHE_ENTRY_MAX 4096

/* Everything that a winner's validity depends on, embedded whole in the entry. Unused tails of strings are zero. */
struct cache_key {
    /* device identity, normalised: not the ordinal */
    char device_name[128], device_vendor[128];
    int32_t compute_units;
    int64_t local_mem_bytes;
    char cpu_model[128];   /* host devices; "" otherwise */
    char driver[256];      /* driver and compiler version */
    char backend[16];
    char simulated[128];   /* "" for hardware */
    /* what is computed */
    int32_t operation, q_dtype, kv_dtype, o_dtype, precision;
    int32_t head_dim_qk, head_dim_vo, group_size;
    int32_t mask;
    char layout[96];       /* attune_kv_layout_id, "" without a cache */
    int32_t q_class, log2_kv, log2_heads; /* shape bucket */
};

struct cache_receipt {
    int32_t valid;         /* 1: the checks below passed on this very device, driver and family source */
    char device_name[128];
    char driver[256];
    char family_hash[33];
    char checks[128];      /* names of the checks passed, comma-separated */
};

/* How much search stands behind an entry: the larger of what there was in one call. */
struct cache_depth {
    int32_t known;        /* 0: the entry was written before there was this; the rest is 0 */
    int32_t tests;        /* of its workload */
    int32_t exhausted;    /* 1: every valid configuration was tried */
    int32_t budget_tests; /* budgets for one workload that it fulfils */
    double budget_seconds;
};

/* Tests that make an entry tuned although it has found nothing faster than the default. */
#define CACHE_TUNED_TESTS 8

struct cache_entry {
    struct cache_key key;
    struct kernel_config config;      /* stored by family name and parameter names */
    char family_hash[33], space_hash[33];
    char workload[512];               /* canonical problem string it was tuned on */
    double q_len, kv_len, batch;      /* the workload's mean lengths, for nearest-shape look-ups */
    double time_ms, mad_ms;           /* of the confirmation */
    int32_t samples;
    double default_ms;
    double gain, gain_low, gain_high; /* default / winner: median of pairs and its 95% interval */
    char tool_version[32];
    uint64_t seed;
    char journal[64]; /* journal's id */
    struct cache_depth depth;
    struct cache_receipt receipt;
    bool stale;                       /* not stored: set by look-ups when family_hash or space_hash is not the current one */
};

/* Whether an entry is what was asked for by "tuned": it beat the untuned default beyond doubt, or that has withstood
 * CACHE_TUNED_TESTS tests or all there are. */
bool cache_entry_is_tuned(const struct cache_entry *entry);

struct cache;

struct cache_paths {
    const char *user;    /* NULL: none */
    const char *site;    /* NULL: none */
    const char *shipped; /* NULL: none */
};

enum cache_level { CACHE_MEMORY, CACHE_USER, CACHE_SITE, CACHE_SHIPPED, CACHE_LEVELS };
const char *cache_level_name(enum cache_level level);

/* Resolves the user's folder: dir if given ("" = none), else ATTUNE_CACHE_DIR, XDG_CACHE_HOME/attune, HOME/.cache/attune.
 * Writes "" when there is none, and while ATTUNE_KERNEL_DIR replaces the embedded kernels. The folder is not made. */
void cache_user_dir(const char *dir, char *path, size_t size);

/* Whether the user's folder, as resolved in path from dir, can be read and, with write, be written. OK also where none is
 * wanted: dir is "", or ATTUNE_KERNEL_DIR is set. IO: says why not. */
attune_status cache_check_user(const char *dir, const char *path, bool write);

struct cache_places {
    char user[1024], site[1024], shipped[1024]; /* "" = none */
};
/* The folders of all levels. NULL for the default: the user's as above; site: $ATTUNE_SITE_CACHE_DIR, else etc/attune; shipped:
 * $ATTUNE_SHIPPED_CACHE_DIR, else share/attune, both of the installation (base/place.h). "" for none. */
void cache_find_places(const char *user, const char *site, const char *shipped, struct cache_places *out);

/* Opens without reading. Missing folders are empty levels. logger is copied. */
attune_status cache_open(struct cache **out, const struct cache_paths *paths, const struct logger *logger);
void cache_close(struct cache **cache);

/* Exact look-up: memory, user, site, shipped. False on a miss. Entries whose family or space changed come back stale, if no
 * level has a current one. */
bool cache_find(struct cache *cache, const struct cache_key *key, struct cache_entry *out, enum cache_level *level);

/* The nearest entry whose key differs in the shape bucket only (same q_class; distance in log2 of kv_len and of batch x
 * heads), not stale, with a valid receipt. */
bool cache_find_nearest(struct cache *cache, const struct cache_key *key, struct cache_entry *out, enum cache_level *level);

/* Whether the entry's checks were passed on its key's device and driver and on the family's compiled-in source. */
bool cache_receipt_holds(const struct cache_entry *entry);

/* Keeps the entry in memory and, where there is a user folder, writes it: O_EXCL | O_NOFOLLOW temp file, mode 0600, fsync,
 * rename, fsync of the folder, under a lock on a separate file. path (may be NULL, [path_size]) gets the file's name or "".
 * IO when the file cannot be written: the entry is kept in memory all the same, and the file that was there is intact. */
attune_status cache_store(struct cache *cache, const struct cache_entry *entry, char *path, size_t path_size);

/* Visits entries of user, site and shipped by name; return false to stop. Counts unreadable files (may be NULL). */
typedef bool (*cache_visitor)(void *priv, const struct cache_entry *entry, enum cache_level level, const char *hash,
                              const char *path);
void cache_visit(struct cache *cache, cache_visitor visitor, void *priv, size_t *unreadable);

/* Logs the last error, of a write: the first of a cache as a warning, as every write may fail as that one does. */
void cache_log_unwritten(struct cache *cache, const char *what);
/* ---- what is forgotten (lib/cache/forget.c): at the user's level and in memory only */

/* Hashes of the user's files that begin with prefix, readable or not, in *hashes (free() it) and *count. */
attune_status cache_own_hashes(struct cache *cache, const char *prefix, char (**hashes)[HASH_HEX_SIZE], size_t *count);
/* The entry in the user's file of that hash; false where it cannot be read. */
bool cache_read_own(struct cache *cache, const char *hash, struct cache_entry *out);
/* OK where there is none; IO. */
attune_status cache_remove(struct cache *cache, const char *hash);
/* All entries, records but for what was probed, and binaries. *count: entries. */
attune_status cache_remove_all(struct cache *cache, size_t *count);

/* Removes what killed processes left in the user's folder (temporary files, locks of journals), journals beyond the newest 64 that no entry
 * names, and binaries beyond the 1,024 or 512 MiB used last. Touches the effective user's own files only, and none that another
 * process is writing. Whatever cannot be removed stays. (lib/cache/sweep.c) */
void cache_sweep(struct cache *cache);

/* Files, up to 256, that were there and were not taken since the cache was opened: "3 files were refused: PATH: owned by uid 1000, not by
 * uid 33 or root" (the first one's reason); "" where there were none. */
void cache_refused(struct cache *cache, char *text, size_t size);

/* JSON text of an entry (free() it), and back: every fault gives a text in the last error. */
char *cache_entry_to_json(const struct cache_entry *entry);
attune_status cache_entry_from_json(const char *text, size_t size, struct cache_entry *out);

/* Hash that names key's file. */
void cache_key_hash(const struct cache_key *key, char hex[HASH_HEX_SIZE]);

/* ---- compiled binaries (lib/cache/binaries.c): files in each level's "binaries", keyed by a hash of everything that goes into a
 * build, paths of caches not being part of it; checked for owner, mode, size and checksum when read. */
bool cache_binary_load(struct cache *cache, const char *key_hash, void **data, size_t *size); /* free(*data) */
attune_status cache_binary_store(struct cache *cache, const char *key_hash, const void *data, size_t size);

#endif
