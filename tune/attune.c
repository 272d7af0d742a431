/* SPDX-License-Identifier: Apache-2.0
 * The `attune` command: looks at devices, tunes ahead of deployment, inspects the caches. */
#include "commands.h"

#include <stdlib.h>
#include <string.h>

static enum exit_code command_version(int argc, char **argv);
static enum exit_code command_help(int argc, char **argv);

static const struct command {
    const char *name, *summary;
    enum exit_code (*run)(int argc, char **argv);
    const char *help;
} commands[] = {
    {"devices", "list the devices that the backends see", command_devices,
     "usage: attune devices [--json]\n"
     "\n"
     "Lists every device as every backend sees it, with the limits that the backend enforces and what names it.\n"
     "--device and ATTUNE_DEVICE take\n"
     "  NAME@PLATFORM, uuid:..., pci:...  as listed: the same device after other drivers were installed\n"
     "  part of NAME, PART@PART           an error where several devices of the backend fit\n"
     "  PLATFORM:INDEX, N (of all)        numbers in the order of now, never a part of a name\n"
     "\n"
     "  --json   one JSON object a line\n"},
    {"probe", "measure what a device can do", command_probe,
     "usage: attune probe [--backend B] [--device D] [--cache-dir D] [--json]\n"
     "\n"
     "Measures rates by vector width and type, bandwidth by footprint, costs of launches and barriers, and limits "
     "that\n"
     "hold in fact; tries optional instructions and compares them with the host. Each trial runs in a worker process.\n"
     "The cache keeps the outcome: kernels then use what was shown to run and to be right. Takes seconds; attune tune "
     "does\n"
     "it by itself where the cache has none.\n"
     "  --backend B   zw-m890, gpu or cpu            [$ATTUNE_BACKEND or zw-m890]\n"
     "  --device D    NAME@PLATFORM, or as `attune help devices` says  [$ATTUNE_DEVICE or the first]\n"
     "  --cache-dir D folder of the cache            [$ATTUNE_CACHE_DIR]\n"
     "  --no-cache    keep nothing. Without it a cache that cannot be written is an error, at the start\n"
     "  --json        one JSON object\n"},
    {"tune", "search for the best kernels of workloads and remember them", command_tune,
     "usage: attune tune --workload W... | --suite S | --grid G... [options]\n"
     "\n"
     "Searches, verifies the winners against fp64, confirms them against what was there in interleaved rounds, and\n"
     "writes them to the cache. The result is quoted as ratios of one run, never as a bare time.\n"
     "  --workload W        a suite's name (E1), one with fields appended (E2:q=fp32,kv=fp32) or a problem\n"
     "                      string (extend:hq=32,hkv=8,d=128,prefix=0/128,new=64); may be repeated\n"
     "  --suite S           extend, decode or prefill; may be repeated; workloads this version lacks are skipped\n"
     "  --grid G            one workload for each bucket of a range of lengths; may be repeated:\n"
     "                      decode:hq=32,hkv=8,d=128,page=16,batch=1..64,kvlen=512..32768 or extend:...,new=1..16/512\n"
     "  --slots N           leave out of a grid what has more keys than the engine's cache holds\n"
     "  --backend B         zw-m890, gpu or cpu                 [$ATTUNE_BACKEND or zw-m890]\n"
     "  --device D          NAME@PLATFORM, or as `attune help devices` says  [$ATTUNE_DEVICE or the first]\n"
     "  --budget-tests N    configurations tried over all workloads, 0 = no limit  [432]\n"
     "  --budget-seconds S  wall clock, 0 = no limit            [0]\n"
     "  --strategy S        of the search                       [default]\n"
     "  --seed N            of the search and of the inputs     [1]\n"
     "  --journal FILE      where to write the journal          [the cache's journal folder]\n"
     "  --retune            search even where the cache answers; the entry is then the incumbent\n"
     "  --exhaustive        measure the whole space, unless a budget ends it; without --budget-tests there is none\n"
     "  --family F          search one kernel family, and of its parameters the values listed:\n"
     "                      simt_tile:BLOCK_Q=16/32,WG_SIZE=64\n"
     "  --record FILE       with --exhaustive and one workload: write every test as a recorded space (Kernel Tuner's "
     "cache\n"
     "                      JSON; gzip where FILE ends in .gz), which attune search --space replays\n"
     "  --cache-dir D       folder of the cache                 [$ATTUNE_CACHE_DIR]\n"
     "  --no-cache          keep nothing. Without it a cache that cannot be written is an error, at the start\n"
     "  --worker-memory N   bytes that a worker may grow to, 0 = by what is free  [0]\n"
     "  --no-compare        do not measure the plain row and fixed-tile kernels at the end\n"
     "  --json              JSON lines: every test, every result, the end (also of a run that failed, with the reason)\n"
     "  --quiet             no progress\n"
     "  --dry-run           check all that can be checked without a device, say what would be done and what it costs at\n"
     "                      worst\n"
     "\n"
     "The first SIGINT or SIGTERM stops in order (winners so far are kept), the second at once.\n"},
    {"warm", "compile what plans of workloads need", command_warm,
     "usage: attune warm --workload W... | --suite S... | --grid G... [options]\n"
     "\n"
     "Compiles the kernels that plans of the workloads may choose (what the caches answer, winners of other shapes, the\n"
     "untuned default) and the utilities of a step, in worker processes side by side, and keeps the binaries in the\n"
     "user's cache. A plan of these workloads then compiles nothing, with this cache or a copy of it. attune tune does\n"
     "the same at its end.\n"
     "  --workload W      as in attune tune; may be repeated\n"
     "  --suite S         extend, decode or prefill; may be repeated\n"
     "  --grid G          as in attune tune; may be repeated\n"
     "  --slots N         of --grid, as in attune tune\n"
     "  --backend B       zw-m890, gpu or cpu                 [$ATTUNE_BACKEND or zw-m890]\n"
     "  --device D        as in attune tune                   [$ATTUNE_DEVICE or the first]\n"
     "  --workers N       processes side by side, 0 = one for each processor  [0]\n"
     "  --max-seconds S   begin nothing after this, 0 = no limit  [0]\n"
     "  --cache-dir D     folder of the cache                 [$ATTUNE_CACHE_DIR]\n"
     "  --json            one JSON object\n"
     "  --quiet           no progress\n"
     "\n"
     "Ends with 0 when everything is there, 1 when a kernel did not compile, 4 when --max-seconds left some out, 5 when a\n"
     "signal did, 8 when the cache cannot be written.\n"},
    {"layout", "choose how the KV cache lies in memory", command_layout,
     "usage: attune layout --workload W... [options]\n"
     "\n"
     "Measures the layouts that a KV cache could have on all workloads that share it (extends and decodes of one "
     "model),\n"
     "appending included, and names the fastest. A layout wins over NHD only if it is 1% faster beyond doubt.\n"
     "The choice is remembered. Tune the workloads before: each layout runs with what the cache answers for it.\n"
     "  --workload W      as in attune tune; may be repeated. Their own layouts do not matter\n"
     "  --weights A/B...  how often each workload runs       [equally often]\n"
     "  --pages P/Q...    page sizes that the engine could use, at most 4  [the workloads' own]\n"
     "  --slots N         tokens that the cache holds         [1048576]\n"
     "  --backend B       zw-m890, gpu or cpu                 [$ATTUNE_BACKEND or zw-m890]\n"
     "  --device D        NAME@PLATFORM, or as `attune help devices` says  [$ATTUNE_DEVICE or the first]\n"
     "  --rounds N        samples of each layout and workload [9]\n"
     "  --max-seconds S   start no round after this, 0 = no limit  [0]\n"
     "  --seed N          of inputs and order                 [1]\n"
     "  --again           measure even where the cache answers\n"
     "  --cache-dir D     folder of the cache                 [$ATTUNE_CACHE_DIR]\n"
     "  --no-cache        keep nothing. Without it a cache that cannot be written is an error\n"
     "  --json            one JSON object\n"},
    {"search", "run search strategies on recorded spaces", command_search,
     "usage: attune search --space FILE [options]\n"
     "       attune search --compare FILE... [--plot FILE]\n"
     "       attune search --list [--json]\n"
     "\n"
     "Runs a strategy on a space that was measured whole and recorded in Kernel Tuner's cache format (JSON, plain or\n"
     "gzip): the file answers each test. No device is needed. --compare prints the table of runs that --json wrote and\n"
     "draws their convergence. --list names the strategies with their settings.\n"
     "  --space FILE         the recorded space\n"
     "  --strategy S         one of --list, or all                  [default]\n"
     "  --option NAME=VALUE  a setting of the strategy; may be repeated\n"
     "  --budget-tests N     tests of a run, failed ones included   [220]\n"
     "  --repeat R           runs; run r has seed K + r             [1]\n"
     "  --seed K             of the first run                       [1]\n"
     "  --seeds-from FILE    the same kernel recorded on another device: what was fast there is tried first; may be\n"
     "                       repeated. The space's own device is refused\n"
     "  --num-seeds N        configurations taken from those files  [20]\n"
     "  --noise              the search is told one of a configuration's recorded samples, drawn at random, not the "
     "mean.\n"
     "                       The best so far is then the mean of the configuration that the search believes best\n"
     "  --json               one JSON object a run: space, strategy, seed, best (best so far after each test in ms; "
     "null\n"
     "                       before the first success), optimum, within5_at (first test from which on the best so far "
     "is\n"
     "                       within 5% of the optimum, or null), score\n"
     "  --plot FILE          of --compare                           [convergence.svg]\n"
     "\n"
     "score: mean over t of (random(t) - best(t)) / (random(t) - optimum), from 0 = random to 1 = the optimum at once.\n"
     "random(t) is the expected best of t configurations drawn without replacement from all that are recorded; failed\n"
     "ones count as the slowest valid time, and so does a run before its first success. t ends where random(t) has come\n"
     "to the optimum + 5% of (median - optimum), at most at 220 and at the budget.\n"},
    {"cache", "list, show, explain and forget remembered kernels", command_cache,
     "usage: attune cache list [--cache-dir D] [--json]\n"
     "       attune cache show KEY [--cache-dir D]\n"
     "       attune cache explain --workload W [--backend B] [--device D] [--cache-dir D] [--json]\n"
     "       attune cache rm KEY... | --workload W... | --all [--backend B] [--device D] [--cache-dir D] [--json]\n"
     "\n"
     "KEY is an entry's hash, or at least its first 4 digits. explain says which level of the caches would answer a\n"
     "workload, with which configuration, and why the levels before it do not; then the portfolio: the winners of all\n"
     "shapes of the workload's descriptor, with what each shape loses by each. rm forgets entries of the user's cache, with\n"
     "their shapes' rows in the portfolios; --all forgets all, and choices of a layout and compiled kernels, but not what\n"
     "was probed.\n"},
    {"version", "print the version", command_version, "usage: attune version\n"},
    {"help", "explain a command", command_help, "usage: attune help [command]\n"},
};

#define NUM_COMMANDS (sizeof commands / sizeof commands[0])

static enum exit_code command_version(int argc, char **argv)
{
    static const struct option options[] = {{NULL}};
    if (!cli_parse(argc, argv, options, NULL))
        return EXIT_USAGE;
    int major, minor, patch;
    attune_version(&major, &minor, &patch);
    printf("attune %s (library %d.%d.%d)\n", ATTUNE_VERSION_STRING, major, minor, patch);
    return EXIT_DONE;
}

static void print_overview(FILE *file)
{
    fputs("usage: attune COMMAND [options]\n\nAttention kernels in OpenCL C that tune themselves.\n\n", file);
    for (size_t i = 0; i < NUM_COMMANDS; i++)
        fprintf(file, "  %-8s  %s\n", commands[i].name, commands[i].summary);
    fputs("\n`attune help COMMAND` lists a command's options.\n"
          "With --json a command that fails ends its output with {\"event\": \"end\", \"exit_code\", \"status\", \"error\"}.\n"
          "\n"
          "Exit codes: 0 done (or answered by the cache), 1 another error, 2 usage or bad input, 3 done without an\n"
          "improvement, 4 budget spent (winners so far are written), 5 interrupted, 6 no device or OpenCL platform,\n"
          "7 attune-worker missing or unusable, 8 storage failed, 9 device lost, 10 the environment does not let workers\n"
          "work (no folder to write to and execute from, too few descriptors, killed from outside).\n"
          "\n"
          "Environment: ATTUNE_BACKEND, ATTUNE_DEVICE, ATTUNE_CACHE_DIR and ATTUNE_WORKER give defaults.\n",
          file);
}

static const struct command *find_command(const char *name)
{
    const char *names[NUM_COMMANDS + 1] = {NULL};
    for (size_t i = 0; i < NUM_COMMANDS; i++) {
        if (!strcmp(commands[i].name, name))
            return &commands[i];
        names[i] = commands[i].name;
    }
    const char *closest = cli_closest(name, names);
    if (closest)
        cli_error("unknown command \"%s\"; did you mean \"%s\"?", name, closest);
    else
        cli_error("unknown command \"%s\"; see \"attune help\"", name);
    return NULL;
}

static enum exit_code command_help(int argc, char **argv)
{
    struct text_list words = {NULL, 0};
    static const struct option options[] = {{NULL}};
    const char *name = cli_parse(argc, argv, options, &words) && words.count ? words.items[0] : NULL;
    size_t count = words.count;
    free(words.items);
    if (cli_first_error())
        return EXIT_USAGE;
    if (!name) {
        print_overview(stdout);
        return EXIT_DONE;
    }
    if (count > 1) {
        cli_error("help takes one command");
        return EXIT_USAGE;
    }
    const struct command *command = find_command(name);
    if (!command)
        return EXIT_USAGE;
    fputs(command->help, stdout);
    return EXIT_DONE;
}

int main(int argc, char **argv)
{
    cli_begin("attune", argc, argv);
    if (argc < 2) {
        print_overview(stderr);
        return EXIT_USAGE;
    }
    const char *name = argv[1];
    if (!strcmp(name, "--help") || !strcmp(name, "-h"))
        name = "help";
    else if (!strcmp(name, "--version"))
        name = "version";
    const struct command *command = find_command(name);
    enum exit_code code = EXIT_DONE;
    if (!command)
        code = EXIT_USAGE;
    else if (cli_asks_for_help(argc - 1, argv + 1))
        fputs(command->help, stdout);
    else
        code = command->run(argc - 1, argv + 1);
    return cli_finish(code);
}
