/* SPDX-License-Identifier: Apache-2.0
 *
 * Does the tuner's gate catch a wrong kernel? Each bug of seeded_bugs.c is put into a copy of the kernels, built and
 * verified in a worker on a real driver, and must come out as wrong with every seed; the same kernel without the bug
 * must pass.
 *
 *   seeded [--list] [--apply] [--always] [--seeds N] [TEXT]    TEXT: bugs whose name or configuration contains it
 *                                                                --apply: only looks whether they can be put into the
 * kernels
 */
#define _GNU_SOURCE
#include "seeded.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "tuner/folder.h"
#include "tuner/verify.h"

#define MAX_SEEDS 8
#define FIRST_SEED 1

static char root[] = "/tmp/attune-test-seeded-XXXXXX";
static char kernels[64], cache[2][64]; /* of targets without and with a probe */

static void remove_root(void)
{
    folder_remove(root);
}

static void fail(const char *what, const char *why)
{
    printf("FAILED: %s: %s\n", what, why);
    exit(1);
}

static void check(attune_status status, const char *what)
{
    if (status != ATTUNE_OK)
        fail(what, attune_last_error());
}

/* ---- kernels */

static char *read_text(const char *folder, const char *name)
{
    char path[600];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    FILE *file = fopen(path, "r");
    char *text = calloc(1, 1 << 20);
    if (!file || !text || fread(text, 1, (1 << 20) - 1, file) == 0)
        fail(path, "cannot be read");
    fclose(file);
    return text;
}

static void write_text(const char *name, const char *text)
{
    char path[600];
    snprintf(path, sizeof path, "%s/%s", kernels, name);
    FILE *file = fopen(path, "w");
    if (!file || fputs(text, file) < 0 || fclose(file))
        fail(path, "cannot be written");
}

static void copy_kernels(void)
{
    const char *from = getenv("ATTUNE_TEST_KERNELS");
    DIR *folder = from ? opendir(from) : NULL;
    if (!folder)
        fail("ATTUNE_TEST_KERNELS", "names no folder");
    for (struct dirent *e; (e = readdir(folder));) {
        const char *suffix = strrchr(e->d_name, '.');
        if (!suffix || (strcmp(suffix, ".cl") && strcmp(suffix, ".clh")))
            continue;
        char *text = read_text(from, e->d_name);
        write_text(e->d_name, text);
        free(text);
    }
    closedir(folder);
}

/* Puts the bug into the copy. False, and says so, where a text is not there exactly once. */
static bool apply(const struct seeded_bug *bug)
{
    bool applied = true;
    for (int i = 0; i < 2 && bug->edits[i].file; i++) {
        const struct seeded_edit *edit = &bug->edits[i];
        char *text = read_text(kernels, edit->file), *at = strstr(text, edit->find);
        char *edited = calloc(1, strlen(text) + strlen(edit->replace) + 1);
        if (!at || strstr(at + 1, edit->find)) {
            printf("NOT AS SAID: bug \"%s\": %s has this %s: %s\n", bug->name, edit->file,
                   at ? "more than once" : "nowhere", edit->find);
            applied = false;
        } else if (edited) {
            sprintf(edited, "%.*s%s%s", (int)(at - text), text, edit->replace, at + strlen(edit->find));
            write_text(edit->file, edited);
        }
        free(edited);
        free(text);
    }
    return applied;
}

/* ---- verdicts */

static struct attune_target *open_target(bool probed)
{
    struct attune_target *target;
    attune_target_options options = ATTUNE_TARGET_OPTIONS_INIT;
    attune_probe_result probe;
    options.backend = "cpu";
    options.cache_dir = cache[probed];
    check(attune_target_create(&target, &options), "target");
    /* A machine that does other things must not make a verdict. */
    target->session.deadlines.build = target->session.deadlines.load = target->session.deadlines.first_run = 600;
    if (probed)
        check(attune_probe(target, &probe), "probe");
    return target;
}

/* Runs the kernels as they are in the session's worker. */
static struct candidate verify(struct attune_target *target, const struct seeded_case *where,
                               struct reference *reference)
{
    struct kernel_config config;
    struct candidate candidate;
    struct rng rng;
    check(kernel_config_parse(where->config, &config), where->config);
    candidate_init(&candidate, 0, &config);
    rng_seed(&rng, FIRST_SEED);
    check(candidate_prepare(target, reference), where->problem);
    candidate_verify(target, reference, &candidate, 0, &rng);
    return candidate;
}

/* The bug must be caught with each seed. Returns whether what came out is what the table says. */
static bool run_bug(struct attune_target *target, const struct seeded_bug *bug, struct reference *references, int seeds)
{
    int caught = 0, passed = 0;
    char reason[300] = "";
    copy_kernels();
    if (!apply(bug))
        return false;
    session_stop(&target->session); /* a worker keeps what it has compiled */
    for (int i = 0; i < seeds; i++) {
        struct candidate c = verify(target, bug->where, &references[i]);
        caught += c.outcome == ATTUNE_OUTCOME_WRONG;
        passed += c.outcome == ATTUNE_OUTCOME_OK;
        if (c.outcome == ATTUNE_OUTCOME_OK)
            snprintf(reason, sizeof reason, "passed; errors of the workload: o %.3g, relative %.3g, lse %.3g",
                     c.error.max_abs, c.error.relative, c.error.lse);
        else
            snprintf(reason, sizeof reason, "%s: %s", attune_outcome_name(c.outcome), c.reason);
    }
    bool as_said = bug->gap ? passed == seeds : caught == seeds;
    printf("%s, caught %d of %d: %s [%.*s]: %s\n", as_said ? "ok" : "NOT AS SAID", caught, seeds, bug->name,
           (int)strcspn(bug->where->config, ":"), bug->where->config, reason);
    fflush(stdout);
    return as_said;
}

static bool run_control(struct attune_target *target, const struct seeded_case *where, struct reference *references,
                        int seeds)
{
    copy_kernels();
    session_stop(&target->session);
    for (int i = 0; i < seeds; i++) {
        struct candidate c = verify(target, where, &references[i]);
        if (c.outcome == ATTUNE_OUTCOME_OK)
            continue;
        printf("NOT AS SAID: without a bug, %s on %s: %s: %s\n", where->config, where->problem,
               attune_outcome_name(c.outcome), c.reason);
        return false;
    }
    return true;
}

/* ---- the whole */

struct selection_of_bugs {
    const char *text;
    bool always, list, apply;
    int seeds;
};

static bool selected(const struct selection_of_bugs *wanted, const struct seeded_bug *bug)
{
    return (!wanted->always || bug->always) &&
           (!wanted->text || strstr(bug->name, wanted->text) || strstr(bug->where->config, wanted->text));
}

/* Number of bugs of a case that did not come out as the table says; counts those that ran. */
static int run_case(struct attune_target *target, const struct seeded_case *where,
                    const struct selection_of_bugs *wanted, int *ran)
{
    struct attune_problem *problem;
    struct reference references[MAX_SEEDS];
    check(attune_problem_parse(where->problem, &problem), where->problem);
    for (int i = 0; i < wanted->seeds; i++)
        check(reference_create(problem, i, FIRST_SEED + (uint64_t)i, &references[i]), where->problem);
    int failures = !run_control(target, where, references, wanted->seeds);
    for (size_t i = 0; i < num_seeded_bugs; i++) {
        if (seeded_bugs[i].where != where || !selected(wanted, &seeded_bugs[i]))
            continue;
        failures += !run_bug(target, &seeded_bugs[i], references, wanted->seeds);
        ++*ran;
    }
    for (int i = 0; i < wanted->seeds; i++)
        reference_destroy(&references[i]);
    attune_problem_destroy(&problem);
    session_stop(&target->session); /* the next case's inputs have the same numbers */
    return failures;
}

static bool first_of_case(const struct selection_of_bugs *wanted, size_t i)
{
    for (size_t j = 0; j < i; j++)
        if (seeded_bugs[j].where == seeded_bugs[i].where && selected(wanted, &seeded_bugs[j]))
            return false;
    return selected(wanted, &seeded_bugs[i]);
}

/* Bugs that need the dot product, or the others. */
static int run_cases(const struct selection_of_bugs *wanted, bool needs_dot, int *ran)
{
    struct attune_target *target = NULL;
    int failures = 0;
    for (size_t i = 0; i < num_seeded_bugs; i++) {
        const struct seeded_case *where = seeded_bugs[i].where;
        if (where->needs_dot != needs_dot || !first_of_case(wanted, i))
            continue;
        if (!target)
            target = open_target(needs_dot);
        if (needs_dot && !(target->choice.limits.features & FEATURE_BF16_DOT)) {
            printf("skipped: %s: the device has no dot product of bf16\n", where->config);
            continue;
        }
        failures += run_case(target, where, wanted, ran);
    }
    if (target)
        attune_target_destroy(&target);
    return failures;
}

static struct selection_of_bugs read_arguments(int argc, char **argv)
{
    struct selection_of_bugs wanted = {.seeds = 2};
    for (int i = 1; i < argc; i++) {
        if (!strcmp(argv[i], "--list"))
            wanted.list = true;
        else if (!strcmp(argv[i], "--apply"))
            wanted.apply = true;
        else if (!strcmp(argv[i], "--always"))
            wanted.always = true;
        else if (!strcmp(argv[i], "--seeds") && i + 1 < argc)
            wanted.seeds = atoi(argv[++i]);
        else
            wanted.text = argv[i];
    }
    if (wanted.seeds < 1 || wanted.seeds > MAX_SEEDS)
        fail("--seeds", "must be 1 to 8");
    return wanted;
}

static void list_bugs(const struct selection_of_bugs *wanted)
{
    for (size_t i = 0; i < num_seeded_bugs; i++)
        if (selected(wanted, &seeded_bugs[i]))
            printf("%s | %s | %s\n", seeded_bugs[i].name, seeded_bugs[i].where->config, seeded_bugs[i].where->problem);
}

static int apply_bugs(const struct selection_of_bugs *wanted, int *ran)
{
    int failures = 0;
    for (size_t i = 0; i < num_seeded_bugs; i++) {
        if (!selected(wanted, &seeded_bugs[i]))
            continue;
        copy_kernels();
        failures += !apply(&seeded_bugs[i]);
        ++*ran;
    }
    return failures;
}

static void make_folders(void)
{
    if (!mkdtemp(root))
        fail(root, "cannot be made");
    atexit(remove_root);
    snprintf(kernels, sizeof kernels, "%s/kernels", root);
    snprintf(cache[0], sizeof cache[0], "%s/cache", root);
    snprintf(cache[1], sizeof cache[1], "%s/probed", root);
    mkdir(kernels, 0700);
    copy_kernels();
}

int main(int argc, char **argv)
{
    struct selection_of_bugs wanted = read_arguments(argc, argv);
    attune_device_info info;
    size_t count;
    int ran = 0, failures;
    if (wanted.list) {
        list_bugs(&wanted);
        return 0;
    }
    if (!wanted.apply && attune_devices(NULL, &info, 1, &count) != ATTUNE_OK)
        return 77; /* no OpenCL device on this machine */
    make_folders();
    setenv("ATTUNE_KERNEL_DIR", kernels, 1);
    if (wanted.apply)
        failures = apply_bugs(&wanted, &ran);
    else
        failures = run_cases(&wanted, false, &ran) + run_cases(&wanted, true, &ran);
    printf("%d bugs, seeds %d to %d: %d not as the table says\n", ran, FIRST_SEED, FIRST_SEED + wanted.seeds - 1,
           failures);
    return failures > 0 || ran == 0;
}
