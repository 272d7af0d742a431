/* SPDX-License-Identifier: Apache-2.0
 *
 * Stores whose system calls fail, are cut short or interrupted, and writers killed at each of them. This program's own
 * definitions of the calls stand before the C library's.
 */
#define _GNU_SOURCE /* syscall, SYS_* */
#include "cache_fixture.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "cache/files.h"
#include "tuner/journal.h"

enum fault { FAULT_NONE, FAULT_ERROR, FAULT_INTERRUPT, FAULT_SHORT, FAULT_KILL_BEFORE, FAULT_KILL_AFTER };

static enum fault fault;
static int fault_errno;
static int calls_left = -1; /* the call that finds 0 is the one with the fault */
static int calls;           /* seen since begin_faults */
static const char *only;    /* name of the calls that are counted; NULL: all */

static void begin_faults(enum fault kind, int code, int at, const char *name)
{
    fault = kind;
    fault_errno = code;
    calls_left = at;
    only = name;
    calls = 0;
}

static void end_faults(void)
{
    begin_faults(FAULT_NONE, 0, -1, NULL);
}

/* What this call suffers. */
static enum fault next_fault(const char *name)
{
    if (fault == FAULT_NONE || (only && strcmp(only, name)))
        return FAULT_NONE;
    calls++;
    return calls_left-- == 0 ? fault : FAULT_NONE;
}

static long run_call(const char *name, long number, long a, long b, long c, long d)
{
    enum fault suffers = next_fault(name);
    if (suffers == FAULT_KILL_BEFORE)
        kill(getpid(), SIGKILL);
    if (suffers == FAULT_ERROR || suffers == FAULT_INTERRUPT) {
        errno = suffers == FAULT_ERROR ? fault_errno : EINTR;
        return -1;
    }
    if (suffers == FAULT_SHORT && (number == SYS_write || number == SYS_read) && c > 1)
        c /= 2;
    long result = syscall(number, a, b, c, d);
    if (suffers == FAULT_KILL_AFTER)
        kill(getpid(), SIGKILL);
    return result;
}

ssize_t write(int fd, const void *data, size_t size)
{
    return run_call("write", SYS_write, fd, (long)data, (long)size, 0);
}

ssize_t read(int fd, void *data, size_t size)
{
    return run_call("read", SYS_read, fd, (long)data, (long)size, 0);
}

int fsync(int fd)
{
    return (int)run_call("fsync", SYS_fsync, fd, 0, 0, 0);
}

int fdatasync(int fd)
{
    return (int)run_call("fdatasync", SYS_fdatasync, fd, 0, 0, 0);
}

int renameat(int from, const char *old, int to, const char *new)
{
    return (int)run_call("renameat", SYS_renameat, from, (long)old, to, (long)new);
}

int flock(int fd, int operation)
{
    return (int)run_call("flock", SYS_flock, fd, operation, 0, 0);
}

int mkdir(const char *path, mode_t mode)
{
    return (int)run_call("mkdir", SYS_mkdir, (long)path, mode, 0, 0);
}

int openat(int folder_fd, const char *path, int flags, ...)
{
    va_list args;
    va_start(args, flags);
    int mode = flags & O_CREAT ? va_arg(args, int) : 0;
    va_end(args);
    return (int)run_call("openat", SYS_openat, folder_fd, (long)path, flags, mode);
}

int open(const char *path, int flags, ...)
{
    va_list args;
    va_start(args, flags);
    int mode = flags & O_CREAT ? va_arg(args, int) : 0;
    va_end(args);
    return (int)run_call("open", SYS_openat, AT_FDCWD, (long)path, flags, mode);
}

static struct cache_entry numbered(int samples)
{
    struct cache_entry entry = sample_entry();
    entry.samples = samples;
    return entry;
}

/* What a new process finds on disk: the number of the entry, or -1. */
static int on_disk(void)
{
    struct cache_entry entry = sample_entry(), found;
    enum cache_level level;
    struct cache *cache = open_user();
    bool hit = cache_find(cache, &entry.key, &found, &level);
    cache_close(&cache);
    return hit && level == CACHE_USER ? found.samples : -1;
}

static attune_status store_number(int number)
{
    struct cache_entry entry = numbered(number);
    struct cache *cache = open_user();
    attune_status status = cache_store(cache, &entry, NULL, 0);
    cache_close(&cache);
    return status;
}

/* Each call of a store fails once, in turn, with each of the codes. */
static void every_call_fails(void **state)
{
    (void)state;
    static const int codes[] = {EIO, ENOSPC, EACCES, EROFS, EDQUOT, EMFILE};
    assert_int_equal(store_number(0), ATTUNE_OK);
    begin_faults(FAULT_ERROR, 0, -1, NULL);
    assert_int_equal(store_number(0), ATTUNE_OK);
    int total = calls, old = 0, number = 0, failures = 0;
    end_faults();
    for (size_t code = 0; code < sizeof codes / sizeof *codes; code++) {
        for (int at = 0; at < total; at++) {
            number++;
            begin_faults(FAULT_ERROR, codes[code], at, NULL);
            attune_status status = store_number(number);
            end_faults();
            int now = on_disk();
            failures += status != ATTUNE_OK;
            /* Only the last call, the folder's fsync, may fail with the new entry in place. */
            if (now != (status == ATTUNE_OK || at == total - 1 ? number : old))
                fail_msg("call %d, errno %d: status %d, entry %d, after %d", at, codes[code], status, now, old);
            old = now;
        }
    }
    /* open and flock of the lock; open of the folder and the temporary file, write, fsync, rename, fsync */
    assert_int_equal(failures, 8 * sizeof codes / sizeof *codes);
    assert_int_equal(warnings, 0);
}

static void failed_fsync_is_not_retried(void **state)
{
    (void)state;
    assert_int_equal(store_number(0), ATTUNE_OK);
    begin_faults(FAULT_ERROR, EIO, 0, "fsync");
    assert_int_equal(store_number(1), ATTUNE_ERROR_IO);
    assert_int_equal(calls, 1);
    end_faults();
    assert_int_equal(on_disk(), 0);
}

static void interrupted_and_short(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        enum fault fault;
    } faults[] = {{"write", FAULT_INTERRUPT},
                  {"write", FAULT_SHORT},
                  {"flock", FAULT_INTERRUPT},
                  {"read", FAULT_INTERRUPT},
                  {"read", FAULT_SHORT}};
    for (int i = 0; i < 5; i++) {
        bool reads = !strcmp(faults[i].name, "read");
        begin_faults(faults[i].fault, 0, reads ? -1 : 0, faults[i].name);
        assert_int_equal(store_number(i), ATTUNE_OK);
        if (reads)
            begin_faults(faults[i].fault, 0, 0, faults[i].name);
        assert_int_equal(on_disk(), i);
        assert_true(calls > 1);
        end_faults();
    }
}

static void without_locks(void **state)
{
    (void)state;
    begin_faults(FAULT_ERROR, ENOLCK, 0, "flock");
    assert_int_equal(store_number(1), ATTUNE_OK);
    assert_int_equal(calls, 1);
    char path[128];
    int fd;
    snprintf(path, sizeof path, "%s/lock", folder);
    begin_faults(FAULT_ERROR, ENOLCK, 0, "flock");
    assert_int_equal(file_lock(path, true, &fd), ATTUNE_OK);
    assert_int_equal(fd, -1);
    end_faults();
    assert_int_equal(on_disk(), 1);
}

static void failed_read_is_a_miss(void **state)
{
    (void)state;
    assert_int_equal(store_number(1), ATTUNE_OK);
    begin_faults(FAULT_ERROR, EIO, 0, "read");
    assert_int_equal(on_disk(), -1);
    end_faults();
    assert_int_equal(warnings, 1);
    assert_int_equal(on_disk(), 1);
}

/* Killed before and after every call: the old entry or the new one, and what was acknowledged is the new one. */
static void killed_at_every_call(void **state)
{
    (void)state;
    assert_int_equal(store_number(0), ATTUNE_OK);
    int old = 0, number = 0;
    for (int kind = FAULT_KILL_BEFORE; kind <= FAULT_KILL_AFTER; kind++) {
        bool killed = true;
        for (int at = 0; killed; at++) {
            number++;
            pid_t child = fork();
            if (child == 0) {
                begin_faults((enum fault)kind, 0, at, NULL);
                _exit(store_number(number) == ATTUNE_OK ? 0 : 1);
            }
            int status;
            assert_int_equal(waitpid(child, &status, 0), child);
            killed = WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL;
            assert_true(killed || status == 0);
            int now = on_disk();
            if (now != number && (!killed || now != old))
                fail_msg("killed at call %d: entry %d, after %d", at, now, old);
            old = now;
        }
    }
    assert_int_equal(warnings, 0);
    assert_true(number > 14);
}

/* ---- the journal */

static bool count_tests(void *priv, uint64_t sequence, const json_t *record)
{
    int *count = priv;
    assert_int_equal(sequence, *count);
    if (sequence)
        assert_int_equal(json_integer_value(json_object_get(record, "number")), *count);
    ++*count;
    return true;
}

/* Records read; the file ends with a whole one. */
static int records_in(const char *path)
{
    int count = 0;
    bool bad_tail;
    assert_int_equal(journal_read(path, count_tests, &count, &bad_tail), ATTUNE_OK);
    assert_false(bad_tail);
    return count;
}

static void journal_writes_fail(void **state)
{
    (void)state;
    char path[128];
    snprintf(path, sizeof path, "%s/run.journal", folder);
    for (int at = 0; at < 4; at++) {
        struct journal *journal;
        assert_int_equal(journal_create(&journal, path), ATTUNE_OK);
        begin_faults(FAULT_ERROR, ENOSPC, at, "write");
        int kept = 0;
        for (int i = 0; i < 6; i++)
            kept += journal_append(journal, i ? "test" : "header", json_pack("{s:i}", "number", i)) == ATTUNE_OK;
        assert_int_equal(calls, at + 1);
        end_faults();
        assert_int_equal(kept, at);
        assert_int_equal(journal_flush(journal), ATTUNE_ERROR_IO);
        journal_close(&journal);
        assert_int_equal(records_in(path), at);
        assert_int_equal(unlink(path), 0);
    }
}

static void journal_interrupted_and_not_flushed(void **state)
{
    (void)state;
    char path[128];
    snprintf(path, sizeof path, "%s/run.journal", folder);
    struct journal *journal;
    assert_int_equal(journal_create(&journal, path), ATTUNE_OK);
    begin_faults(FAULT_SHORT, 0, 0, "write");
    assert_int_equal(journal_append(journal, "header", json_object()), ATTUNE_OK);
    begin_faults(FAULT_INTERRUPT, 0, 0, "write");
    assert_int_equal(journal_append(journal, "test", json_pack("{s:i}", "number", 1)), ATTUNE_OK);
    begin_faults(FAULT_ERROR, EIO, 0, "fdatasync");
    assert_int_equal(journal_flush(journal), ATTUNE_ERROR_IO);
    assert_int_equal(journal_flush(journal), ATTUNE_ERROR_IO);
    assert_int_equal(calls, 1);
    assert_int_equal(journal_append(journal, "test", json_pack("{s:i}", "number", 2)), ATTUNE_ERROR_IO);
    end_faults();
    journal_close(&journal);
    assert_int_equal(records_in(path), 2);
}

static void journal_create_fails(void **state)
{
    (void)state;
    char path[128];
    snprintf(path, sizeof path, "%s/run.journal", folder);
    for (int at = 0, seen = 1; at < seen; at++) {
        struct journal *journal;
        begin_faults(FAULT_ERROR, EACCES, at, NULL);
        attune_status status = journal_create(&journal, path);
        seen = calls;
        end_faults();
        assert_true(status == ATTUNE_OK || (status == ATTUNE_ERROR_IO && !journal));
        journal_close(&journal);
        unlink(path);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(every_call_fails),      TEST(failed_fsync_is_not_retried),
        TEST(interrupted_and_short), TEST(without_locks),
        TEST(failed_read_is_a_miss), TEST(killed_at_every_call),
        TEST(journal_writes_fail),   TEST(journal_interrupted_and_not_flushed),
        TEST(journal_create_fails),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
