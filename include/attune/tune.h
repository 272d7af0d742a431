/* SPDX-License-Identifier: Apache-2.0
 *
 * attune: the tuner, the search as an API, and the caches.
 *
 * Everything here runs candidate kernels in worker processes only; a candidate that crashes or hangs costs one test. The
 * calls block unless they say otherwise, and may be made from several threads on different objects.
 */
#ifndef ATTUNE_TUNE_H
#define ATTUNE_TUNE_H

#include <attune/attune.h>

#ifdef __cplusplus
extern "C" {
#endif

/* ----------------------------------------------------------------------------------------------- problems */

/* A workload: a descriptor with the layout of its KV cache and the lengths of a batch. Made from a text (attune_problem_parse,
 * attune_problem_grid), from an engine's objects (attune_problem_from), or from a plan (attune_plan_problem). Immutable, thread-safe.
 *
 * As text it is a suite's name ("E1"), a name with fields appended, which replace the suite's ("E2:q=fp32,kv=fp32,prec=strict"), or
 * OPERATION:FIELD=VALUE,FIELD=VALUE,... ("extend:hq=32,hkv=8,d=128,prefix=0/128,new=64/32") with OPERATION prefill, extend or decode:
 *
 *   field    default    member of the descriptor, or what it is
 *   hq       required   num_q_heads
 *   hkv      required   num_kv_heads
 *   d        required   head_dim_qk
 *   dv       0          head_dim_vo; 0 = d
 *   q        fp32       q_dtype: fp32, fp16, bf16
 *   kv       fp32       kv_dtype
 *   newkv    kv         new_kv_dtype; extend only. Not part of a cache key: the kernels are the same
 *   o        q          o_dtype
 *   prec     strict     precision: strict, fast
 *   causal   1          mask: 1 = CAUSAL, 0 = NONE
 *   align    br         causal_alignment: br = BOTTOM_RIGHT, tl = TOP_LEFT
 *   window   -1         window_left
 *   wright   -1         window_right
 *   cap      0          softcap
 *   scale    0          scale; 0 = 1 / sqrt(d), which its own value also stands for
 *   page     1          tokens a page of the KV cache; 1 = slots; 0 = no cache, contiguous K and V: the default of prefill
 *   order    nhd        of the cache: nhd, hnd
 *   kvpad    0          elements left free behind each token's heads (nhd), or behind each head's tokens of a page (hnd)
 *   table    0          page table: 0 = CSR, 1 = a 2-D block table. Not part of a cache key
 *   batch    the longest list's length   sequences
 *   new      1          q_len of each sequence, a/b/c; required but for decode
 *   prefix   0          extend only: cached keys of each sequence, a/b/c; kv_len is prefix + new
 *   kvlen    required   decode: kv_len of each sequence, a/b/c. prefill: the same, default new
 *
 * Lists shorter than the batch repeat. Known by name but not supported yet: kv=int8, and sinks, tree, bias, mla (0 1). */
typedef struct attune_problem attune_problem;

/* Parses text of at most 4,096 characters; the result's text is canonical and can always be parsed back. Destroy it with
 * attune_problem_destroy. Does not block.
 * Errors: NULL_ARGUMENT, SYNTAX (names the field), INVALID_SIZE (field, value and limit), OVERFLOW (lengths whose sum reaches
 * 2^31), OUT_OF_MEMORY, and the argument errors of the descriptor. */
ATTUNE_API attune_status attune_problem_parse(const char *text, attune_problem **out);

/* The problem that an engine has: desc, layout of its KV cache (NULL where attune_plan_create takes NULL) and a shape, or batch
 * lengths as attune_schedule_update takes them. `attune tune --workload` takes its text as it is, and what that finds is what
 * attune_plan_create with desc, layout and shapes in the same bucket (attune_shape) takes. All is copied; num_slots of the
 * layout does not count. Does not block. Destroy it with attune_problem_destroy.
 * Errors: NULL_ARGUMENT, the argument errors of the descriptor, MISMATCH (layout and desc), INVALID_SIZE (lengths; text longer than
 * 4,096 characters), OVERFLOW (lengths whose sum reaches 2^31), UNSUPPORTED (a layout of ATTUNE_KV_STRIDED that is not NHD or HND with
 * padding: problems cannot say it), OUT_OF_MEMORY. */
ATTUNE_API attune_status attune_problem_from(const attune_attention_desc *desc, const attune_kv_layout *layout,
                                             const attune_shape *shape, attune_problem **out);
ATTUNE_API attune_status attune_problem_from_lengths(const attune_attention_desc *desc, const attune_kv_layout *layout,
                                                     int32_t batch, const int32_t *q_len, const int32_t *kv_len,
                                                     attune_problem **out);

/* The problem of row i of a plan's decision table (attune_plan_num_buckets): its descriptor and layout, and the first of the options'
 * shapes in that bucket; where the plan was made without, of the usual ones. Tuning it is what makes the plan "tuned" there.
 * Does not block. Destroy it with attune_problem_destroy. Thread-safe. Errors: as attune_plan_bucket and attune_problem_from. */
ATTUNE_API attune_status attune_plan_problem(const attune_plan *plan, size_t i, attune_problem **out);

#define ATTUNE_GRID_MAX 1024

/* One problem for each bucket (attune_shape) that a range of lengths touches, so that all of them can be tuned. text is that of a
 * problem in which batch, new, prefix and kvlen are numbers and ranges LOW..HIGH, both inclusive, with / between them: alternatives here,
 * not lists over a batch. All sequences of a problem have equal lengths, from the middle of what its bucket and the ranges share.
 * "decode:hq=32,hkv=8,d=128,kv=fp16,page=16,batch=1..64,kvlen=512..32768" gives 49, for kvlen 768, 1536, ..., 24576, 32768 with
 * batch 1, 3, 6, ..., 48, 64. A field that is not given has its default, or the mean of a suite's workload.
 * max_kv_tokens: keys that the engine's cache holds, over all sequences; a bucket is left out where even its least lengths have
 * more. 0 = no limit.
 * Writes up to capacity problems (out may be NULL if it is 0), each to be destroyed, and the number there is to *count, at most
 * ATTUNE_GRID_MAX. attune_tune takes at most 64 at once. Does not block.
 * Errors: NULL_ARGUMENT, SYNTAX, INVALID_SIZE (max_kv_tokens; no bucket within it; more than 16 alternatives of a field; more than
 * ATTUNE_GRID_MAX buckets), OUT_OF_MEMORY, and those of attune_problem_parse. */
ATTUNE_API attune_status attune_problem_grid(const char *text, int64_t max_kv_tokens, attune_problem **out,
                                             size_t capacity, size_t *count);

ATTUNE_API void attune_problem_destroy(attune_problem **problem);

/* ---- what a problem says. problem must not be NULL; texts and arrays live as long as it. */

/* Canonical text. */
ATTUNE_API const char *attune_problem_text(const attune_problem *problem);
/* What it was made from: the suite's name with the fields appended to it ("E1", "E2:q=fp32,kv=fp32"; up to 63 characters), or
 * the canonical text. */
ATTUNE_API const char *attune_problem_name(const attune_problem *problem);
ATTUNE_API const attune_attention_desc *attune_problem_desc(const attune_problem *problem);
/* OK, or UNSUPPORTED with the feature that is missing as the error's text. */
ATTUNE_API attune_status attune_problem_supported(const attune_problem *problem);
ATTUNE_API int32_t attune_problem_batch(const attune_problem *problem);
/* Arrays of batch lengths, as attune_schedule_update takes them. */
ATTUNE_API const int32_t *attune_problem_q_len(const attune_problem *problem);
ATTUNE_API const int32_t *attune_problem_kv_len(const attune_problem *problem);
/* Work that the mask really needs: 2 * pairs * (head_dim_qk + head_dim_vo) floating-point operations; bytes of K and V read
 * once per KV head, of Q read and of O written once. */
ATTUNE_API double attune_problem_flops(const attune_problem *problem);
ATTUNE_API double attune_problem_bytes(const attune_problem *problem);
/* Built-in suites: names of suite's ("extend", "decode", "prefill") workloads, i = 0, 1, ...; NULL past the end. */
ATTUNE_API const char *attune_suite_workload(const char *suite, size_t i);

/* ------------------------------------------------------------------------------------------------- targets */

/* A device as the tuner reaches it: by name, since only workers open it. */
typedef struct attune_target_options {
    size_t size;
    const char *backend;   /* as in attune_context_options */
    const char *device;    /* as in attune_context_options */
    const char *cache_dir; /* as in attune_context_options */
    const char *worker;    /* as in attune_context_options */
    /* A worker whose resident memory grows beyond is stopped. 0 = 7/8 of what is free when it starts: of the host's available memory, or
     * of what the limits of its control groups (v1 and v2) leave where that is less; 256 MiB at least. */
    int64_t memory_limit_bytes;
    attune_log_callback log;
    void *log_priv;
    attune_log_level log_level;
    const char *site_cache_dir;    /* as in attune_context_options */
    const char *shipped_cache_dir; /* as in attune_context_options */
} attune_target_options;

#define ATTUNE_TARGET_OPTIONS_INIT                                                                                     \
    {sizeof(attune_target_options), NULL, NULL, NULL, NULL, 0, NULL, NULL, ATTUNE_LOG_WARNING, NULL, NULL}

typedef struct attune_target attune_target;

/* Starts a worker that finds the device. A cache that cannot be used is a warning in the log. A worker's private folder lies in $TMPDIR
 * (/tmp where that is not set) if files can be written and executed there and 32 MiB are free, else in $XDG_RUNTIME_DIR, /tmp,
 * /var/tmp or the cache's folder, with a warning. Not thread-safe.
 * Errors: WORKER (the program), ENVIRONMENT (names the cause: no such folder, too few descriptors or processes), NO_PLATFORM, NO_DEVICE,
 * ENUM, OUT_OF_MEMORY. */
ATTUNE_API attune_status attune_target_create(attune_target **out, const attune_target_options *options);
ATTUNE_API void attune_target_destroy(attune_target **target);
ATTUNE_API attune_status attune_target_info(const attune_target *target, attune_device_info *out);

/* All devices as all backends see them (several backends may list one device). Enumerated in a worker. Writes up to
 * capacity entries (out may be NULL if it is 0) and the number there is to *count. options->device is not used. */
ATTUNE_API attune_status attune_devices(const attune_target_options *options, attune_device_info *out, size_t capacity,
                                        size_t *count);

/* ---------------------------------------------------------------------------------------------- measuring */

typedef enum attune_outcome {
    ATTUNE_OUTCOME_OK = 0,
    ATTUNE_OUTCOME_INVALID = 1,       /* rejected before any build: constraints or device limits */
    ATTUNE_OUTCOME_BUILD_FAILED = 2,
    ATTUNE_OUTCOME_WRONG = 3,         /* outside the numerics contract */
    ATTUNE_OUTCOME_CRASHED = 4,       /* the worker died by a signal or exited */
    ATTUNE_OUTCOME_TIMEOUT = 5,       /* past a deadline; the worker was killed */
    ATTUNE_OUTCOME_OUT_OF_MEMORY = 6, /* device memory, or the worker grew past its limit */
    ATTUNE_OUTCOME_DEVICE_LOST = 7,
    ATTUNE_OUTCOME_FAILED = 8,        /* another OpenCL error */
    ATTUNE_OUTCOME_SLOW = 9,          /* right, but dropped after the first sample (over 1.5 x the best) */
    ATTUNE_OUTCOME_IMPOSSIBLE = 10,   /* faster than the device can be, by its peaks: quarantined, never promoted */
    ATTUNE_OUTCOME_ENVIRONMENT = 11   /* not the configuration's doing, and it was tried again in a fresh worker: the worker was killed
                                         from outside, its folder is full, ...; nothing is known of the configuration */
} attune_outcome;

/* "ok", "invalid", "build_failed", ...; static storage. */
ATTUNE_API const char *attune_outcome_name(attune_outcome outcome);

#define ATTUNE_CONFIG_TEXT_MAX 512

/* One configuration measured on one problem. Times are of one run of the whole workload. */
typedef struct attune_measurement {
    attune_outcome outcome;
    char config[ATTUNE_CONFIG_TEXT_MAX];
    char source[16];        /* "tuned", "shallow", "nearest", "default" or "forced", as in attune_plan_source */
    char reason[256];       /* why the outcome is not OK */
    int32_t num_samples;
    double time_ms;         /* median of the samples */
    double mad_ms;          /* median absolute deviation */
    double build_ms;
    double max_abs_err;     /* of O against the fp64 oracle; NaN where no output of the workload was compared, as the next two */
    double rel_err;         /* ||o - ref|| / ||ref|| */
    double lse_err;
    double fma_gflops;      /* device's fp32 multiply-add peak, measured beside the samples; 0 = not measured */
    double read_gbps;       /* read bandwidth at a footprint of the problem's bytes, measured beside the samples; 0 = not measured */
    double roofline_ms;     /* fastest time that peak_gflops and read_gbps permit; 0 = not known */
    double roofline_share;  /* of the roofline: median over the samples, each against the peaks before and after it; 0 = not known */
    double peak_gflops;     /* peak of the fastest instruction that the precision contract permits, measured beside the samples:
                               fp32 multiply-adds or, under FAST with bf16 K and V and where a probe showed them, bf16 dot products */
    char peak_reading[32];  /* which: "fma.fp32" or "dot.bf16" */
    int32_t disturbed;      /* 1: roofline_share is no figure: it is above what the device can do, or the samples' shares disagree. The
                               machine was busy with something else: measure again */
} attune_measurement;

typedef struct attune_measure_options {
    size_t size;
    int32_t rounds;         /* interleaved rounds; each takes one sample of every configuration (over 8 x the fastest: 3) */
    double min_sample_ms;   /* runs are batched until a sample is at least this long */
    double max_seconds;     /* stop starting rounds after this; 0 = no limit (slow baselines get at least one sample) */
    uint64_t seed;          /* of inputs and order */
    double limit_seconds;   /* for the call as a whole: what runs then is cut off, and what was not measured is TIMEOUT; 0 = no limit.
                               The host's reference is not cut off */
} attune_measure_options;

#define ATTUNE_MEASURE_OPTIONS_INIT {sizeof(attune_measure_options), 7, 20.0, 0.0, 1, 0.0}

/* Builds, verifies against the fp64 oracle and times num_configs configurations of one problem, interleaved in a random order
 * in each round, with the device's peaks measured beside them. A configuration is a string from attune_measurement.config,
 * "tuned" (what the caches answer; the untuned default where they have none), "default" (the untuned default) or a
 * family's name (that family's default values). out[num_configs].
 * ratio_low / ratio / ratio_high may be NULL or arrays of num_configs: the median of the paired ratios
 * time[i] / time[0] over the rounds, with its 95% bootstrap interval.
 * Errors: UNSUPPORTED (problem), SYNTAX (configuration), WORKER, NO_DEVICE; what a configuration does wrong is its outcome. */
ATTUNE_API attune_status attune_measure(attune_target *target, const attune_problem *problem, const char *const *configs,
                                        size_t num_configs, const attune_measure_options *options, attune_measurement *out,
                                        double *ratio_low, double *ratio, double *ratio_high);

/* --------------------------------------------------------------------------------------------------- probe */

/* In attune_probe_result.features: optional instructions that a probe showed to run, and to be right; and what it found faster. */
typedef enum attune_feature {
    ATTUNE_FEATURE_FP16 = 1,       /* cl_khr_fp16 arithmetic */
    ATTUNE_FEATURE_SUB_GROUPS = 2, /* cl_khr_subgroups with shuffles */
    ATTUNE_FEATURE_DOT8 = 4,       /* cl_khr_integer_dot_product, four products of 8 bits */
    ATTUNE_FEATURE_BF16_DOT = 8,   /* vdpbf16ps, 512 bits wide */
    ATTUNE_FEATURE_F16C = 16,      /* vcvtph2ps, 512 bits wide */
    ATTUNE_FEATURE_BF16_DOT_FAST = 32, /* BF16_DOT, and faster than fp32 multiply-adds */
    ATTUNE_FEATURE_OPAQUE_LOOPS = 64   /* in kernels with barriers, loops whose bounds look non-uniform are at least twice as fast */
} attune_feature;

/* One figure. Names: "fma.fp32x1" ... "fma.fp32x16" (by lanes of a vector), "fma.fp16", "dot.bf16" (GFLOP/s), "dot.int8"
 * (Gop/s), "half.integer", "half.vload", "half.f16c" (fp16 values widened, G/s), "sub_group.reduce" (G/s), "read.32KiB" ...
 * "read.256MiB" (GB/s, by the footprint of all reads together), "local.read" (GB/s), "barrier" (ns), "loop.opaque_gain" (ratio),
 * "launch", "enqueue" (us), "timer" (ns), "work_group.largest" (work-items), "private.fast" (bytes). More may come. */
typedef struct attune_probe_reading {
    char name[32];
    double value;  /* 0: not available, and note says why */
    char unit[16];
    char note[96]; /* "", a remark, or the reason */
} attune_probe_reading;

#define ATTUNE_PROBE_MAX_READINGS 64

/* What the device can do, measured. A figure whose trial failed is 0; its reading's note has the reason. */
typedef struct attune_probe_result {
    attune_device_info device;
    double fma_gflops[5];      /* fp32 multiply-add rate with vectors of 1, 2, 4, 8 and 16 lanes */
    double fma_peak_gflops;    /* the best of them */
    double fp16_gflops;        /* fp16 multiply-add rate */
    double bf16_dot_gflops;    /* of dot products of bf16 pairs, accumulated in fp32 */
    double int8_dot_gops;      /* of dot products of four int8, accumulated in int32 */
    double read_gbps;          /* read bandwidth at a footprint well past the caches */
    double local_gbps;         /* read bandwidth of local memory, all compute units together */
    double barrier_ns;         /* a work-group's barrier, with a word through local memory */
    double opaque_loop_gain;   /* speed of a loop between barriers whose bound the compiler takes for different among work-items,
                                  over that of the same loop with a uniform bound */
    double launch_us;          /* enqueue + finish of an empty kernel */
    double enqueue_us;         /* enqueue alone */
    double timer_ns;           /* smallest step of the device's event clock; 0 = no profiling */
    uint32_t features;         /* ATTUNE_FEATURE_* that hold here */
    char half_load[16];        /* fastest right way to widen fp16: "integer", "vload" or "f16c" */
    int64_t max_work_group_size; /* largest work-group that ran and was right, up to the backend's limit */
    int64_t private_fast_bytes;  /* most private memory of a work-item before an operation on it takes half as long again; 0 = no
                                    such step up to 4,096 bytes */
    int32_t num_readings;
    attune_probe_reading readings[ATTUNE_PROBE_MAX_READINGS]; /* all of the above by name, and those that have no member */
    char failures[512];        /* "" or "reading: reason; ...", of what every device should have */
} attune_probe_result;

/* Takes a few seconds. Each trial runs in a worker, so one that crashes or hangs costs its own figure; results of instructions
 * are compared with the host's. The outcome is kept in the user's cache, for the device, driver and backend: contexts and
 * targets made from then on compile kernels that use what was shown. Not thread-safe on one target.
 * Errors: NULL_ARGUMENT, WORKER, NO_DEVICE, IO (it could not be kept: at the start where that can be known, else out is
 * filled in), NOT_VERIFIED (not even multiply-adds and reads could be measured; out is filled in, and nothing is kept). */
ATTUNE_API attune_status attune_probe(attune_target *target, attune_probe_result *out);

/* ---------------------------------------------------------------------------------------------------- tune */

typedef enum attune_tune_end {
    ATTUNE_TUNE_DONE = 0,           /* an entry was written for every workload that has none better */
    ATTUNE_TUNE_NO_IMPROVEMENT = 1, /* nothing beat what was there; the incumbents stay */
    ATTUNE_TUNE_BUDGET = 2,         /* a budget ended the search; winners so far were confirmed and written */
    ATTUNE_TUNE_INTERRUPTED = 3,    /* the callback asked to stop; winners so far were written */
    ATTUNE_TUNE_HIT = 4,            /* every workload was answered by the cache; nothing was measured */
    ATTUNE_TUNE_ENVIRONMENT = 5,    /* nothing can be measured here now: tests in a row failed for causes outside of their kernels. The
                                       status is ENVIRONMENT, and the summary's reason names the cause */
    ATTUNE_TUNE_STORAGE = 6         /* the journal, the cache or the record cannot be written. The status is IO, and the summary's reason
                                       says which, and why; winners so far are in the results */
} attune_tune_end;

/* Progress of a tuning, passed after every test. Lives for the call. */
typedef struct attune_tune_progress {
    const char *phase;       /* "probe", "start", "search", "confirm", "compile" or "done" */
    int32_t tests;           /* so far, failed ones included */
    int32_t budget_tests;    /* 0 = no limit */
    double seconds;          /* since the start */
    double budget_seconds;   /* 0 = no limit */
    double eta_seconds;      /* estimate until the end */
    const char *workload;    /* of this test */
    const char *config;      /* of this test */
    attune_outcome outcome;  /* of this test */
    double time_ms;          /* of this test; 0 where it has none */
    double best_ms;          /* of this workload so far; 0 = none yet */
    double default_ms;       /* of this workload's untuned default; 0 = none yet */
    const char *reason;      /* why the outcome of this test is not OK; "" where it is */
} attune_tune_progress;

/* Return 0 to go on, anything else to stop in order. */
typedef int (*attune_tune_callback)(void *priv, const attune_tune_progress *progress);

typedef struct attune_tune_options {
    size_t size;
    attune_policy policy;      /* MEASURE: skip workloads whose verified entry fulfils the budget; EXHAUSTIVE: the whole space */
    const char *strategy;      /* a name from attune_search_strategy; NULL = "default" */
    int32_t budget_tests;      /* configurations built and measured, failures included, over all workloads; 0 = no limit */
    double budget_seconds;     /* wall clock; 0 = no limit */
    uint64_t seed;
    const char *journal;       /* path of the journal to write; NULL: a new file in the cache's journal folder */
    int32_t retune;            /* 1: search even where an entry answers; the entry is the incumbent */
    attune_tune_callback progress;
    void *progress_priv;
    /* Searches one kernel family, and of its parameters the values that are listed: "simt_tile" or
     * "simt_tile:BLOCK_Q=16/32,WG_SIZE=64". NULL = all families. */
    const char *family;
    /* File to record every test in, as a space that attune_space_open reads: with policy EXHAUSTIVE and one problem. Times are means of
     * 7 samples, of 3 where the first was over 1.5 x the best so far or they take over 2 s. Names: kernel = the problem's text; FAMILY,
     * and FAMILY_PARAM of each family, which means something for that family only. Written every 100 tests and at the end; a budget
     * that ends the search leaves a file that says so. NULL = none. */
    const char *record;
} attune_tune_options;

#define ATTUNE_TUNE_OPTIONS_INIT                                                                                       \
    {sizeof(attune_tune_options), ATTUNE_MEASURE, NULL, 432, 0.0, 1, NULL, 0, NULL, NULL, NULL, NULL}

/* Result for one workload. */
typedef struct attune_tune_result {
    int32_t hit;                          /* 1: answered by the cache, nothing was measured */
    int32_t promoted;                     /* 1: a new winner was written */
    char config[ATTUNE_CONFIG_TEXT_MAX];  /* the winner */
    double time_ms;                       /* median of fresh samples in the confirmation, never the search's minimum */
    double default_ms;                    /* of the untuned default, in the same rounds */
    double gain, gain_low, gain_high;     /* default's time / winner's time: median of pairs, 95% bootstrap interval */
    double fma_gflops, read_gbps;         /* measured in the same rounds */
    double roofline_ms, roofline_share, peak_gflops; /* as in attune_measurement */
    char peak_reading[32];
    double max_abs_err, rel_err;          /* of the winner; NaN where it was not compared in this call (as for a hit) */
    char entry_path[512];                 /* file of the entry; "" for a cache without a disk */
    /* Why there is no winner, or why nothing was written, or what else its comparison lacks; "" where there is nothing to say. config
     * is then what the caches answer, which this call did not confirm. */
    char reason[256];
    int32_t tests;                        /* of this workload in this call; 0: nothing was tried */
    int32_t exhausted;                    /* 1: every valid configuration of the workload was tried, in this call or, for a hit, before */
    int32_t entry_tests;                  /* that stand behind what the cache answers now, of this call or an earlier one; 0 = not known */
    int32_t disturbed;                    /* as in attune_measurement */
} attune_tune_result;

typedef struct attune_tune_summary {
    attune_tune_end end;
    int32_t tests;                      /* configurations tried */
    int32_t outcomes[16];               /* tests by attune_outcome */
    double seconds;
    char journal[512];
    char reason[256];                   /* ENVIRONMENT and STORAGE: the cause; else "" */
} attune_tune_summary;

/* Probes the device first where neither the cache nor the target has that (a few seconds).
 * Tunes num_problems workloads in one search and one budget, verifies, confirms against the incumbents in interleaved rounds,
 * and writes the winners to the user's cache, with the compiled kernels that plans of the workloads need (attune_warm).
 * results[num_problems]; summary may be NULL. Blocks for as long as the budget
 * allows. Whatever a candidate does (crash, hang, wrong answer) is a record in the journal and the search goes on.
 *
 * Nothing is written without its comparison: with the incumbent (the verified entry that is there) and with the untuned default, in the
 * same rounds, the winner again in a second run of them. Either may fail for a cause that is not its own (killed, no answer in time,
 * memory): it gets two fresh workers more; then nothing is written, and the result's reason says why. An incumbent that is wrong, does
 * not build or crashes each time is out. A default that does so is replaced by the backend's next default, down to plain_row, which
 * the gain is then over; the reason says so.
 *
 * Entries keep how much search stands behind them. With policy MEASURE an entry answers (a hit) if every valid configuration was tried, or if
 * an earlier call gave the workload at least as many tests, or seconds, as this one's budget divided by num_problems. Otherwise
 * the search goes on: the entry's configuration is the incumbent, and is tried early.
 *
 * A test whose worker was killed from outside or could not write to its folder is made again in a fresh worker; if that fails likewise, its
 * outcome is ENVIRONMENT and the search is not told. Three such tests in a row end the tuning.
 * Errors: UNSUPPORTED (a problem; no configuration of options.family is valid for any), ENUM (strategy), SYNTAX (family), MISMATCH
 * (record), WORKER, DEVICE_LOST (on every attempt), ENVIRONMENT (summary->end too; winners so far are in results), IO (journal, cache or record cannot be written: at the start where that can be
 * known, before anything is measured, else winners so far are in results. A cache_dir of "" says that nothing need be kept),
 * OUT_OF_MEMORY. */
ATTUNE_API attune_status attune_tune(attune_target *target, const attune_problem *const *problems, size_t num_problems,
                                     const attune_tune_options *options, attune_tune_result *results,
                                     attune_tune_summary *summary);

/* What attune_target_create and attune_tune would refuse of these arguments before they do anything, as far as that can be said
 * without a device and a worker. target and options may be NULL for the defaults. Does not block. Thread-safe.
 * Errors: those of the two, OK where they would begin. */
ATTUNE_API attune_status attune_tune_check(const attune_target_options *target, const attune_problem *const *problems,
                                           size_t num_problems, const attune_tune_options *options);

/* ------------------------------------------------------------------------------------------ compiled kernels */

/* Return 0 to go on, anything else to begin nothing more. done of total tasks. Called from the caller's thread. */
typedef int (*attune_warm_callback)(void *priv, size_t done, size_t total);

typedef struct attune_warm_options {
    size_t size;
    int32_t workers;    /* worker processes side by side; 0 = one for each processor of the host */
    double max_seconds; /* begin nothing after this, but for the first of each worker; 0 = no limit */
    attune_warm_callback progress; /* may be NULL */
    void *progress_priv;
} attune_warm_options;

#define ATTUNE_WARM_OPTIONS_INIT {sizeof(attune_warm_options), 0, 0.0, NULL, NULL}

typedef struct attune_warm_result {
    int32_t tasks;    /* what was to be made: the kernel of a configuration, or the utilities of a descriptor */
    int32_t compiled; /* programs that were compiled, and stored */
    int32_t found;    /* programs that were there */
    int32_t failed;   /* tasks that could not be done; reason says why the first could not */
    int32_t left_out; /* tasks that were not begun */
    int32_t workers;  /* that were used */
    double seconds;
    char reason[256];
    char reserved[64];
} attune_warm_result;

/* Compiles what plans of the problems need and keeps the binaries in the user's cache: the configurations that the caches answer for each
 * problem and for other shapes of its descriptor, the untuned default, and the utilities of a step (merging, checks of page tables,
 * work lists from device lengths, operations on the KV cache for rows of Q's type and of the cache's). From then on a plan of
 * these problems compiles nothing, whoever creates it with this cache or a copy of it, wherever that lies: binaries are found by
 * device, driver, kernel and options. attune_tune does the same at its end.
 * A driver may want a folder of its own to unpack binaries into: pocl $POCL_CACHE_DIR, else $XDG_CACHE_HOME/pocl/kcache, else
 * $HOME/.cache/pocl/kcache, which may be empty but must be writable.
 * In workers, several side by side. Blocks. Not thread-safe on one target.
 * Errors: NULL_ARGUMENT, STRUCT_SIZE, INVALID_SIZE, UNSUPPORTED (a problem), IO (no cache folder, or it cannot be written), WORKER,
 * NO_DEVICE, OUT_OF_MEMORY. What does not compile is counted, and no error. */
ATTUNE_API attune_status attune_warm(attune_target *target, const attune_problem *const *problems, size_t num_problems,
                                     const attune_warm_options *options, attune_warm_result *out);

/* --------------------------------------------------------------------------------------- choice of a KV layout */

#define ATTUNE_KV_CANDIDATES_MAX 16

/* One layout that was measured. */
typedef struct attune_kv_candidate {
    attune_kv_layout_options layout; /* ready for attune_kv_layout_create */
    char id[96];                     /* attune_kv_layout_id of it */
    char fields[64];                 /* how problem strings name it: "page=16,order=hnd" */
    attune_outcome outcome;
    char reason[256];                /* why the outcome is not OK */
    double time_ms;                  /* of the weighted set, appending included: median of the rounds */
    double append_ms;                /* the part of it that appending takes */
    double ratio_low, ratio, ratio_high; /* time / candidate 0's: median of pairs; bootstrap interval, all together 95% */
} attune_kv_candidate;

typedef struct attune_kv_choice {
    int32_t hit;            /* 1: answered by the cache, nothing was measured */
    int32_t chosen;         /* index of the layout to take */
    int32_t num_candidates;
    int32_t rounds;         /* that the figures are of */
    attune_kv_candidate candidates[ATTUNE_KV_CANDIDATES_MAX]; /* candidate 0 is NHD with the first page size */
    char entry_path[512];   /* file of the entry; "" for a cache without a disk, and for a hit */
} attune_kv_choice;

typedef struct attune_kv_choice_options {
    size_t size;
    const double *weights;     /* [num_problems], above 0: how often each problem runs; NULL = equally often */
    const int32_t *page_sizes; /* what the engine could use, 1 to 4 of them; NULL = the problems' own, which must be equal */
    size_t num_page_sizes;
    int64_t num_slots;         /* of the engine's cache: a multiple of every page size */
    int32_t rounds;            /* at most; each takes one sample of every candidate on every problem */
    double min_sample_ms;      /* runs are batched until a sample is at least this long */
    double max_seconds;        /* no round is started after its problem's share of this; 0 = no limit */
    uint64_t seed;             /* of inputs and order */
    int32_t again;             /* 1: measure even where the cache answers */
} attune_kv_choice_options;

#define ATTUNE_KV_CHOICE_OPTIONS_INIT {sizeof(attune_kv_choice_options), NULL, NULL, 0, 0, 9, 10.0, 0.0, 1, 0}

/* Chooses how the KV cache lies in memory, once for all that share it: problems are extends (a prefill is one with prefix 0) and
 * decodes with equal num_kv_heads, head dims and KV type, whose own layouts are ignored but for page_sizes NULL. Every
 * candidate (NHD and HND, plain and padded by a cache line, for each page size) is verified and timed on every problem, in
 * interleaved rounds in a worker, with what the caches answer for it (the better of that and what they answer for
 * candidate 0), together with appending the step's new rows. Good enough are those whose weighted time, by its interval over
 * the last two thirds of the rounds, is below 0.99 of candidate 0's; of them the fastest in the first third is chosen, and where
 * there are none, candidate 0. The choice is kept in the cache under the device, the kernels, the problems, the weights and the
 * page sizes, and answered from there; what is tuned later counts when it is made again.
 * Blocks. Errors: NULL_ARGUMENT, STRUCT_SIZE, INVALID_SIZE, MISMATCH (problems that cannot share a cache), UNSUPPORTED (a
 * problem), NOT_VERIFIED (candidate 0 could not be measured), WORKER, NO_DEVICE, DEVICE_LOST, OUT_OF_MEMORY, IO (the
 * entry cannot be written: at the start where that can be known, else out is filled in). */
ATTUNE_API attune_status attune_kv_layout_choose(attune_target *target, const attune_problem *const *problems,
                                                 size_t num_problems, const attune_kv_choice_options *options,
                                                 attune_kv_choice *out);

/* --------------------------------------------------------------------------------------------- in the background */

/* Tuning while an engine serves. A thread of the job's own drives worker processes, as attune_tune does; the engine goes on with the plan
 * that it has, and swaps in the new one when it is there. Nothing of the job runs on the engine's queues; but workers use
 * the same device, so serving and measuring slow each other, and on a host CPU most of all. */
typedef struct attune_tune_job attune_tune_job;

/* How far a job is. */
typedef struct attune_tune_state {
    int32_t finished;      /* 1: attune_tune_wait does not block */
    int32_t tests;         /* so far, failed ones included */
    int32_t budget_tests;  /* 0 = no limit */
    double seconds;        /* since the search's start, at the last step */
    double budget_seconds; /* 0 = no limit */
    double eta_seconds;    /* estimate until the end, at the last step */
    char phase[16];        /* "start", "search", "confirm", "compile" or "done" */
    char workload[64];     /* of the last test, cut to fit */
    char config[ATTUNE_CONFIG_TEXT_MAX]; /* of the last test */
    attune_outcome outcome;              /* of the last test */
    double time_ms, best_ms, default_ms; /* as in attune_tune_progress */
} attune_tune_state;

/* Starts to tune desc with layout at the shapes of plan_options, for a plan with its max_configs and validate; its policy, budgets and
 * seed are not used. tune_options says how; its callback is called from the job's thread, and may stop the job. Either may be
 * NULL. Everything given is copied, but for the context, which must outlive the job. Winners go to the context's cache as they are
 * confirmed. Does not block. Several jobs may run at once.
 * Errors, before anything is started: those of attune_plan_create's arguments, UNSUPPORTED (layout, as by MEASURE), MISMATCH
 * (force_config), STRUCT_SIZE, ENUM and INVALID_SIZE (tune_options), OUT_OF_MEMORY. */
ATTUNE_API attune_status attune_tune_start(attune_context *context, const attune_attention_desc *desc,
                                           const attune_kv_layout *layout, const attune_plan_options *plan_options,
                                           const attune_tune_options *tune_options, attune_tune_job **out);

/* How far the job is. Does not block. poll, wait and cancel may be called from any thread, several at once. */
ATTUNE_API attune_status attune_tune_poll(attune_tune_job *job, attune_tune_state *out);

/* Waits until the job is finished, for at most timeout_seconds (0: not at all; negative: as long as it takes), and returns what became
 * of it. BUSY: it is still at work. OK: *plan is the new plan, which the caller destroys; out of what was tuned and what the caches
 * held before. It is given once: MISMATCH after. plan may be NULL: the plan then stays for a later call. CANCELLED: by attune_tune_cancel
 * or the callback; the winners so far are in the context's cache, so that attune_plan_create finds them. summary may be NULL; it is
 * set when the job is finished. Other errors: those of attune_tune and attune_plan_create, INVALID_SIZE (timeout is NaN). */
ATTUNE_API attune_status attune_tune_wait(attune_tune_job *job, double timeout_seconds, attune_plan **plan,
                                          attune_tune_summary *summary);

/* Asks the job to end in order: the test that runs is finished, and what was found so far is confirmed and kept. Does not block; a
 * job that is finished, or has only its plan left to make, stays as it is. NULL is accepted. */
ATTUNE_API void attune_tune_cancel(attune_tune_job *job);

/* Cancels a job that is not finished and blocks until it is; then frees it, and the plan unless it was taken. No other call on the job
 * may be under way. */
ATTUNE_API void attune_tune_job_destroy(attune_tune_job **job);

/* --------------------------------------------------------------------------------------------- ask and tell */

/* The search engine without a device: drive it with your own objective. It is what attune_tune uses. One search may cover
 * several workloads, each with its own objective: a test is one (configuration, workload) pair, and what one workload tells informs
 * the others. Decisions depend on the arguments of create and on what was told, not on compiler, machine or clock.
 * A search is used from one thread at a time. Nothing here blocks, but for the time that a decision takes. */
typedef struct attune_search attune_search;

/* One integer parameter with the values it may take. */
typedef struct attune_search_param {
    const char *name;       /* no two alike */
    const int32_t *values;  /* no two alike; in an order in which neighbours are likely to perform alike */
    int32_t num_values;     /* 1 to 65,535 */
    /* Name of a parameter that stands before this one: it means something only while that one means something and has the value
     * parent_value. Otherwise it is not varied and has its first value. NULL = always. */
    const char *parent;
    int32_t parent_value;
} attune_search_param;

/* A number that a strategy lets its caller choose. */
typedef struct attune_search_setting {
    const char *name, *doc;    /* static storage */
    double initial, low, high; /* default and bounds, inclusive */
    int32_t whole;             /* 1: takes whole numbers only */
} attune_search_setting;

typedef struct attune_search_setting_value {
    const char *name;
    double value;
} attune_search_setting_value;

typedef struct attune_search_options {
    size_t size;
    const char *strategy;   /* NULL = "default" */
    const attune_search_setting_value *settings; /* [num_settings] of the strategy that are not at their default */
    size_t num_settings;
    int32_t budget_tests;   /* what the strategy plans for, over all workloads; 0 = 432 */
    uint64_t seed;          /* equal seeds and equal samples give equal decisions */
    /* May be NULL. values[num_params]: 0 = not a valid configuration of the workload. Called from create and ask; must be
     * deterministic. A space of up to 2^20 combinations is gone through whole at create, with a call for each and workload. */
    int (*feasible)(void *priv, int32_t workload, const int32_t *values);
    void *feasible_priv;
    int32_t num_workloads;  /* 1 to 64 */
    int32_t num_features;   /* 0 to 16 numbers that describe a workload, such as the logarithms of its lengths */
    const double *features; /* [num_workloads][num_features], finite */
    /* values[num_initial][num_params] to try first, in this order, on every workload: known good configurations. Those that are not
     * valid, and repetitions, are skipped. */
    const int32_t *initial;
    size_t num_initial;     /* up to 4,096 */
    /* 0, or 1 to 16: a portfolio of at most so many configurations is wanted. The last tests of the budget, a quarter of it or
     * num_workloads * (num_workloads - 1), then try the best of some workloads on those that such a portfolio serves worst. */
    int32_t portfolio;
} attune_search_options;

#define ATTUNE_SEARCH_OPTIONS_INIT                                                                                     \
    {sizeof(attune_search_options), NULL, NULL, 0, 0, 1, NULL, NULL, 1, 0, NULL, NULL, 0, 0}

/* Names of the strategies, i = 0, 1, ..., and what each does; NULL past the end. Static storage. */
ATTUNE_API const char *attune_search_strategy(size_t i);
ATTUNE_API const char *attune_search_strategy_doc(size_t i);
/* Writes setting i = 0, 1, ... of a strategy (NULL = "default") to *out and returns 1; returns 0 past the end, for an unknown
 * strategy and for out NULL. */
ATTUNE_API int32_t attune_search_strategy_setting(const char *strategy, size_t i, attune_search_setting *out);

/* num_params: 1 to 128. All is copied; feasible is called until destroy.
 * Errors: NULL_ARGUMENT, STRUCT_SIZE, INVALID_SIZE, ENUM (strategy, or a setting that it lacks), OUT_OF_MEMORY. */
ATTUNE_API attune_status attune_search_create(attune_search **out, const attune_search_param *params, size_t num_params,
                                              const attune_search_options *options);
ATTUNE_API void attune_search_destroy(attune_search **search);

/* The next test: a workload, and the configuration to measure on it in values[num_params]. Sets *done to 1, and leaves the others,
 * when every valid pair was told. Asking again without telling gives the same answer; no pair is given twice. workload may be NULL
 * where there is one. */
ATTUNE_API attune_status attune_search_ask(attune_search *search, int32_t *workload, int32_t *values, int32_t *done);

/* Reports the objective of the pair last asked for: outcome OK with a positive finite time (smaller is better), or
 * another outcome, whose time is not read. Errors: INVALID_SIZE (time), ENUM (outcome), MISMATCH (nothing was asked). */
ATTUNE_API attune_status attune_search_tell(attune_search *search, attune_outcome outcome, double time);

/* Why the pair last asked for was proposed. */
typedef struct attune_search_reason {
    const char *strategy, *reason; /* reason: "seed", "space-filling", "model", "neighbour", "random", "cross" (for a portfolio), ...; static storage */
    double predicted;       /* time that the strategy expects; 0 = it has no expectation */
    double factor;          /* uncertainty: one standard deviation is from predicted / factor to predicted * factor; 0 = not known */
    /* The nearest configuration that was told for the workload: the one with the fewest parameters of other values; of equals the
     * fastest, of failed ones the first. */
    int32_t changed_params; /* -1 = none was told, and what follows is 0 */
    int32_t neighbour_ok;   /* 0: it failed */
    double neighbour_time;
} attune_search_reason;

/* neighbour: values[num_params] of the nearest configuration, left where there is none; may be NULL. Errors: MISMATCH (no proposal
 * is pending). */
ATTUNE_API attune_status attune_search_why(const attune_search *search, attune_search_reason *out, int32_t *neighbour);

/* The k-th best configuration (0 = the best) of a workload so far: values[num_params] and its time.
 * Errors: INVALID_SIZE (workload), NOT_TUNED (not more than k were OK). */
ATTUNE_API attune_status attune_search_best(const attune_search *search, int32_t workload, int32_t k, int32_t *values,
                                            double *time);

/* The few configurations that serve all workloads with the least loss: at most max_configs (1 to 16) of those that were OK. As many
 * workloads as possible are served, each by a configuration that was measured on it; of such choices the one whose largest regret is
 * least, then whose sum is. Exact while there are up to 20,000 choices, above by growth and swaps.
 * values[max_configs][num_params]; *num_configs; for each workload assigned[num_workloads], an index of a configuration, and
 * regret[num_workloads], its time / the workload's best time - 1; both -1 where none that was chosen was measured on it.
 * Errors: INVALID_SIZE (max_configs), NOT_TUNED (nothing was OK), OUT_OF_MEMORY. */
ATTUNE_API attune_status attune_search_portfolio(const attune_search *search, int32_t max_configs, int32_t *values,
                                                 int32_t *num_configs, int32_t *assigned, double *regret);

/* What was told, as text that restore takes; of the arguments of create only their hash. A pending proposal will be made again. Free
 * *text with free(). Errors: INVALID_SIZE (over 64 MiB), OUT_OF_MEMORY. */
ATTUNE_API attune_status attune_search_save(const attune_search *search, char **text);

/* A search that goes on where the saved one was. The arguments before text are as in create, and equal to those. Every decision is
 * made again and compared with the saved one, so it takes as long as the saved search took to decide. text need not be trusted, nor be
 * terminated.
 * Errors: those of create; SYNTAX (damaged, or not a state), MISMATCH (made with other arguments, or by a version that
 * decides otherwise: names what differs), INVALID_SIZE (over 64 MiB). */
ATTUNE_API attune_status attune_search_restore(attune_search **out, const attune_search_param *params, size_t num_params,
                                               const attune_search_options *options, const char *text, size_t text_size);

/* ------------------------------------------------------------------------------------------ recorded spaces */

/* A space that was measured whole, in Kernel Tuner's cache format: JSON, plain or gzip. A search can be run over it without a device:
 * give its params and attune_space_contains to attune_search_create, and tell what attune_space_find says. Constraints are not in
 * such a file: a configuration that it lacks is not valid. Immutable; may be used from several threads. */
typedef struct attune_space attune_space;

typedef struct attune_space_info {
    const char *path, *device, *kernel;
    const char *simulated; /* what played the device, by attune's own files; NULL = hardware, or not known */
    int32_t partial;       /* 1: the file says that measuring ended before the whole space */
    size_t num_params;
    const attune_search_param *params; /* values that are not all whole numbers (or booleans, as 0 and 1) are numbered from 0 */
    size_t num_configs;                /* failed ones included */
    size_t num_failed;
    double optimum_ms, median_ms, slowest_ms; /* of the times of those that did not fail; the upper median; 0 = all failed */
} attune_space_info;

typedef struct attune_space_config {
    const int32_t *values;    /* [num_params] */
    attune_outcome outcome;   /* OK, INVALID, BUILD_FAILED or FAILED */
    double time_ms;           /* mean, as the file has it; 0 where the outcome is not OK */
    const double *samples_ms; /* [num_samples] */
    size_t num_samples;       /* may be 0 */
} attune_space_config;

/* Reads a file of at most 512 MiB of text and 16,777,216 JSON values, with at most 128 parameters of at most 65,535 values. Blocks. A
 * file that Kernel Tuner did not close is read if it ends behind a record. Nothing in it is trusted: the error says where the file
 * is wrong. Errors: NULL_ARGUMENT, IO (cannot be read, not a regular file), SYNTAX, MISMATCH (a configuration twice), INVALID_SIZE
 * (a limit), UNSUPPORTED (objective other than time), OUT_OF_MEMORY. */
ATTUNE_API attune_status attune_space_open(const char *path, attune_space **out);
ATTUNE_API void attune_space_close(attune_space **space);
/* Texts and arrays live as long as the space. */
ATTUNE_API void attune_space_describe(const attune_space *space, attune_space_info *out);
/* A value of params[param] as the file has it; NULL where it has none such. */
ATTUNE_API const char *attune_space_value_text(const attune_space *space, size_t param, int32_t value);
/* Configuration i, in the file's order. Errors: NULL_ARGUMENT, INVALID_SIZE. */
ATTUNE_API attune_status attune_space_at(const attune_space *space, size_t i, attune_space_config *out);
/* 1 if the space has the configuration values[num_params], which goes to *out (may be NULL). Takes constant time. */
ATTUNE_API int attune_space_find(const attune_space *space, const int32_t *values, attune_space_config *out);
/* The same as the feasible callback of a search; priv is the space, which it does not change. */
ATTUNE_API int attune_space_contains(void *priv, int32_t workload, const int32_t *values);
/* Writes the file that attune_space_open reads, gzip where path ends in ".gz". A file that was there is replaced at once, or left as it
 * was. Fields that attune does not know are not kept. Blocks. Errors: NULL_ARGUMENT, IO, INVALID_SIZE (longer than can
 * be read), OUT_OF_MEMORY. */
ATTUNE_API attune_status attune_space_save(const attune_space *space, const char *path);

/* Which configurations to try first on a device that nobody measured, by what other devices measured: at most max_seeds valid
 * configurations of space, the most promising first, to values[max_seeds][num_params] and *num_seeds. Of space only params and validity
 * are used, never a time. sources[num_sources], 1 to 64: the same kernel on other devices, with the same names of parameters
 * in any order. Depends on nothing else. Errors: NULL_ARGUMENT, INVALID_SIZE (num_sources; max_seeds, 1 to 4,096), MISMATCH (a
 * source is of space's own device, of another kernel, or has other parameters; one of them was simulated), OUT_OF_MEMORY. */
ATTUNE_API attune_status attune_space_seeds(const attune_space *space, const attune_space *const *sources,
                                            size_t num_sources, size_t max_seeds, int32_t *values, size_t *num_seeds);

/* --------------------------------------------------------------------------------------------------- caches */

/* One entry, as `attune cache list` shows it. Strings live for the callback's call. */
typedef struct attune_cache_entry_info {
    const char *key;       /* hex hash that names it */
    const char *level;     /* "user", "site" or "shipped" */
    const char *device;
    const char *backend;
    const char *simulated; /* "" for real hardware */
    const char *workload;  /* problem string it was tuned on */
    const char *config;
    const char *path;
    double time_ms, default_ms, gain;
    int32_t verified;      /* 1: has a receipt for its device and driver */
    int32_t tests;         /* of the workload, in the largest search behind the entry; 0 = not known */
    int32_t exhausted;     /* 1: every valid configuration was tried */
    int32_t tuned;         /* 1: enough search stands behind it for ATTUNE_CACHED_ONLY */
    const char *set_aside; /* "" or the compiler's words: it did not compile with this driver and source, and does not answer */
} attune_cache_entry_info;

/* Return 0 to go on. */
typedef int (*attune_cache_callback)(void *priv, const attune_cache_entry_info *entry);

/* Visits every readable entry; unreadable ones are logged once and counted in *unreadable (may be NULL).
 * cache_dir as in attune_context_options. Errors: NULL_ARGUMENT, STRUCT_SIZE, IO (the user's folder cannot be read). */
ATTUNE_API attune_status attune_cache_list(const attune_target_options *options, attune_cache_callback callback, void *priv,
                                           size_t *unreadable);

/* Text of one entry (JSON) by its key's hex hash or an unambiguous prefix of at least 4 digits. Free it with free(). */
ATTUNE_API attune_status attune_cache_show(const attune_target_options *options, const char *key, char **text);

/* Forgets an entry of the user's cache, given by its key's hex hash or an unambiguous prefix of at least 4 digits, and its row in the
 * portfolio of its descriptor; other entries stay. key NULL: all entries, portfolios, choices of a layout, and compiled kernels; what was probed
 * stays. *count (may be NULL): entries that were forgotten. A context that has an entry in memory keeps it. Files that cannot be read can be
 * forgotten as well. Errors: STRUCT_SIZE, SYNTAX (key), NOT_TUNED (no such entry, or several), IO, OUT_OF_MEMORY. */
ATTUNE_API attune_status attune_cache_forget(const attune_target_options *options, const char *key, size_t *count);

/* The same with the entry that was tuned for problem's shapes on target. Errors: those above, NULL_ARGUMENT, UNSUPPORTED, WORKER. */
ATTUNE_API attune_status attune_cache_forget_problem(attune_target *target, const attune_problem *problem);

/* Says how problem would be answered on target: the level that answers, the configuration, and why the levels before it
 * did not; then, where there is one, the portfolio of the problem's descriptor: the configurations that were measured on several
 * shapes, for each shape the fastest with its time, and what the others lose. Free *text with free(). */
ATTUNE_API attune_status attune_cache_explain(attune_target *target, const attune_problem *problem, char **text);

#ifdef __cplusplus
}
#endif

#endif /* ATTUNE_TUNE_H */
