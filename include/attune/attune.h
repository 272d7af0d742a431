/* SPDX-License-Identifier: Apache-2.0
 *
 * attune: attention kernels in OpenCL C that tune themselves.
 *
 * This header is all that an inference engine needs:
 *
 *   context   one OpenCL device                          attune_context_*
 *   desc      what is computed: heads, dims, mask        attune_attention_desc
 *   layout    how the KV cache lies in memory            attune_kv_layout_*
 *   plan      desc + layout -> compiled kernels          attune_plan_*
 *   schedule  the work of one step: lengths -> work list attune_schedule_*
 *   launcher  one thread's kernel objects                attune_launcher_*
 *   run       enqueue on your queue                      attune_attention_run
 *   KV cache  append, copy pages, export, import         attune_kv_append and others
 *
 * tune.h holds the tuner, the search as an API and the caches.
 *
 * Conventions
 *   - Every function that can fail returns an attune_status; 0 is success. The text of a thread's last
 *     failure is attune_last_error(). A failed call enqueues nothing and leaves its outputs as they were,
 *     except that create functions set *out to NULL.
 *   - Every options struct starts with `size_t size`. Initialise it with the _INIT macro beside it. A size of
 *     0 (a zeroed struct) is an error. A larger struct than this library knows is accepted if its unknown tail
 *     is zero.
 *   - Strides and offsets of tensors: strides in elements (int64), offsets in bytes.
 *   - destroy functions take the handle's address, accept NULL and handles that are NULL, and null the handle.
 *   - The library never prints, exits, aborts or installs a signal handler.
 *   - Thread-safety is stated per object. Functions on different objects may run in parallel.
 */
#ifndef ATTUNE_ATTUNE_H
#define ATTUNE_ATTUNE_H

#include <stddef.h>
#include <stdint.h>

#ifndef CL_TARGET_OPENCL_VERSION
#define CL_TARGET_OPENCL_VERSION 300
#endif
#include <CL/cl.h>

#include <attune/version.h>

#ifdef __cplusplus
extern "C" {
#endif

#if defined(__GNUC__)
#define ATTUNE_API __attribute__((visibility("default")))
#else
#define ATTUNE_API
#endif

/* ------------------------------------------------------------------------------------------------ status */

/* Values are pinned: they never change meaning between versions. */
typedef enum attune_status {
    ATTUNE_OK = 0,
    /* Arguments. The text names the argument and the limit. */
    ATTUNE_ERROR_NULL_ARGUMENT = 1,     /* a required pointer or handle is NULL */
    ATTUNE_ERROR_STRUCT_SIZE = 2,       /* `size` of a struct is 0, too small, or its unknown tail is not zero */
    ATTUNE_ERROR_INVALID_SIZE = 3,      /* a count, length or dimension is zero, negative or out of range */
    ATTUNE_ERROR_OVERFLOW = 4,          /* sizes whose product does not fit */
    ATTUNE_ERROR_HEAD_COUNT = 5,        /* num_q_heads is not a multiple of num_kv_heads */
    ATTUNE_ERROR_DTYPE = 6,             /* unknown data type */
    ATTUNE_ERROR_MISSING_TENSOR = 7,    /* a tensor that this run needs was not given */
    ATTUNE_ERROR_BUFFER_TOO_SMALL = 8,  /* a buffer is smaller than its shape and strides imply */
    ATTUNE_ERROR_OFFSET = 9,            /* an offset is past the end of its buffer, or not aligned to its type */
    ATTUNE_ERROR_WRONG_CONTEXT = 10,    /* an object or memory of another context or device */
    ATTUNE_ERROR_SOFTCAP = 11,          /* softcap is negative, NaN or infinite */
    ATTUNE_ERROR_SCALE = 12,            /* scale is neither 0 nor 1e-30 to 1e30 */
    ATTUNE_ERROR_WINDOW = 13,           /* a window below -1 */
    ATTUNE_ERROR_ENUM = 14,             /* an enumerator this library does not know */
    ATTUNE_ERROR_STRIDE = 15,           /* a stride that is not possible (negative, or rows that overlap) */
    ATTUNE_ERROR_MISMATCH = 16,         /* objects that do not belong together (plan and schedule, say) */
    ATTUNE_ERROR_SYNTAX = 17,           /* a problem string or a configuration that cannot be parsed */
    ATTUNE_ERROR_UNSUPPORTED = 18,      /* valid, but not in this version or not on this device */
    ATTUNE_ERROR_BUSY = 19,             /* a schedule whose staging memory is still being copied, or a job still at work */
    ATTUNE_ERROR_PAGE_TABLE = 20,       /* debug mode: a page id, indptr or last_page_len that cannot be */
    ATTUNE_ERROR_OVERLAP = 21,          /* a tensor that is written shares bytes with another one of the call */
    /* Environment. */
    ATTUNE_ERROR_OUT_OF_MEMORY = 32,    /* host memory */
    ATTUNE_ERROR_DEVICE_MEMORY = 33,    /* device memory */
    ATTUNE_ERROR_NO_PLATFORM = 34,      /* no OpenCL platform is installed */
    ATTUNE_ERROR_NO_DEVICE = 35,        /* no device matches the backend and device asked for */
    ATTUNE_ERROR_OPENCL = 36,           /* an OpenCL call failed: see attune_last_error_opencl() */
    ATTUNE_ERROR_BUILD = 37,            /* a kernel did not compile: see attune_last_build_log() */
    ATTUNE_ERROR_DEVICE_LOST = 38,      /* the device stopped answering */
    ATTUNE_ERROR_IO = 39,               /* a file could not be read or written */
    ATTUNE_ERROR_WORKER = 40,           /* the worker program is missing or cannot be started */
    ATTUNE_ERROR_ENVIRONMENT = 41,      /* the program is there, but its surroundings do not let workers work: no folder that they can
                                         * write to and execute from (TMPDIR), too few descriptors, killed from outside */
    /* Outcomes. */
    ATTUNE_ERROR_NOT_TUNED = 64,        /* CACHED_ONLY, and no verified entry answers */
    ATTUNE_ERROR_NOT_VERIFIED = 65,     /* a kernel's result was outside the numerics contract */
    ATTUNE_ERROR_CANCELLED = 66,        /* stopped by a callback or a signal of the caller's */
    ATTUNE_ERROR_BUDGET = 67,           /* the budget ran out before anything could be decided */
    ATTUNE_ERROR_INTERNAL = 127         /* a bug in attune */
} attune_status;

/* The enumerator's name, "ATTUNE_ERROR_OFFSET" say; "ATTUNE_ERROR_UNKNOWN" for other values. Static storage. */
ATTUNE_API const char *attune_status_name(attune_status status);

/* Text of the calling thread's last failure: names the argument, its value and the limit. Never NULL; "" before the
 * first failure. Valid until the thread's next failing call. */
ATTUNE_API const char *attune_last_error(void);

/* OpenCL code of the calling thread's last failure, CL_SUCCESS (0) if it did not come from OpenCL. */
ATTUNE_API int attune_last_error_opencl(void);

/* The build options and, from the second line on, the compiler's output of the calling thread's last ATTUNE_ERROR_BUILD, whose text has the
 * first errors; "" after another failure. Cut at 16 KiB. Valid like attune_last_error(). */
ATTUNE_API const char *attune_last_build_log(void);

/* Version of the library that runs, ATTUNE_VERSION_* being that of the headers compiled against. Any may be NULL. */
ATTUNE_API void attune_version(int *major, int *minor, int *patch);

/* --------------------------------------------------------------------------------------------------- log */

typedef enum attune_log_level {
    ATTUNE_LOG_ERROR = 0,
    ATTUNE_LOG_WARNING = 1,
    ATTUNE_LOG_INFO = 2,
    ATTUNE_LOG_DEBUG = 3
} attune_log_level;

/* Called with one line without its newline; message lives for the call only. May be called from any thread, several
 * at once; must not call back into the object that logs. */
typedef void (*attune_log_callback)(void *priv, attune_log_level level, const char *message);

/* ----------------------------------------------------------------------------------------------- devices */

/* One device as a backend sees it. Strings are NUL-terminated and cut to fit. */
typedef struct attune_device_info {
    char backend[16];       /* "zw-m890", "gpu" or "cpu" */
    char selector[264];     /* pass as `device` to reach it again, also after other drivers were installed: "NAME@PLATFORM", or
                             * "uuid:..." or "pci:..." where several devices are named so; index where those do not tell either */
    char name[128];         /* CL_DEVICE_NAME */
    char vendor[128];       /* CL_DEVICE_VENDOR */
    char version[128];      /* CL_DEVICE_VERSION */
    char driver[128];       /* CL_DRIVER_VERSION */
    char platform[128];     /* CL_PLATFORM_NAME */
    char simulated[128];    /* "" for the hardware itself; else what plays it, "pocl 3.1 ..." */
    int32_t compute_units;
    int32_t sub_group_size;         /* lanes a work-group size must be a multiple of; 1 where unknown */
    int64_t max_work_group_size;
    int64_t local_mem_bytes;        /* per work-group */
    int64_t private_mem_bytes;      /* per work-item; 0 = not limited */
    int64_t global_mem_bytes;
    char index[16];         /* "PLATFORM:INDEX" by number, as "0:0", in the order in which OpenCL lists them now */
} attune_device_info;

/* ----------------------------------------------------------------------------------------------- context */

/* On a CPU device the driver's threads and the engine's share the cores: OpenMP's, which spin when they have nothing to do, take half of them
 * while a run is under way. Set OMP_WAIT_POLICY=passive (GOMP_SPINCOUNT=0 is the same for libgomp) before the process starts. */
typedef struct attune_context attune_context;

/* Options of attune_context_create and attune_context_adopt. Strings are copied. */
typedef struct attune_context_options {
    size_t size;
    /* "zw-m890" (the chip, or its simulation on pocl where there is none), "gpu", "cpu"; NULL: for create, $ATTUNE_BACKEND
     * or "zw-m890"; for adopt, the backend that matches the device. */
    const char *backend;
    /* A selector of attune_device_info; or "NAME@PLATFORM" with parts of both, or a part of the name, ignoring case; or a number:
     * "PLATFORM:INDEX" or "N", which counts the devices of all platforms from 0, in the order in which OpenCL lists them. What
     * fits several devices of the backend is refused with their list; a whole name goes before parts. NULL: $ATTUNE_DEVICE
     * or the backend's first device. Must be NULL for adopt. */
    const char *device;
    /* Folder of the user's cache. NULL: $ATTUNE_CACHE_DIR, else $XDG_CACHE_HOME/attune, else $HOME/.cache/attune.
     * "" for no cache on disk. The environment is ignored in setuid programs. A folder that cannot be used is a warning in the log; the
     * context then keeps what it learns in memory. */
    const char *cache_dir;
    /* The attune-worker program, for ATTUNE_MEASURE and ATTUNE_EXHAUSTIVE. NULL: $ATTUNE_WORKER, else the one that belongs to the library:
     * of the build folder or the installation that it was loaded from, wherever that was moved to. */
    const char *worker;
    attune_log_callback log;    /* NULL: silent */
    void *log_priv;
    attune_log_level log_level; /* least important level that is passed on */
    /* Folders of the caches that are only read, in this order after the user's: what an administrator, and what a product ships. Copies of
     * a user's. NULL: $ATTUNE_SITE_CACHE_DIR, else SYSCONFDIR/attune of the installation; $ATTUNE_SHIPPED_CACHE_DIR, else
     * DATADIR/attune. "" for none. In all three a file is used if it belongs to root or to the effective user, and nobody else may
     * write to it or to its folder; refused files are counted in the text of NOT_TUNED. */
    const char *site_cache_dir;
    const char *shipped_cache_dir;
} attune_context_options;

#define ATTUNE_CONTEXT_OPTIONS_INIT                                                                                    \
    {sizeof(attune_context_options), NULL, NULL, NULL, NULL, NULL, NULL, ATTUNE_LOG_WARNING, NULL, NULL}

/* Opens a device of a backend. options may be NULL for the defaults. Blocks for device enumeration. The context is
 * thread-safe; it must outlive every object made from it.
 * Errors: NO_PLATFORM, NO_DEVICE, OPENCL, OUT_OF_MEMORY, STRUCT_SIZE, ENUM (unknown backend), SYNTAX (ATTUNE_ZW_M890_LIMITS). */
ATTUNE_API attune_status attune_context_create(attune_context **out, const attune_context_options *options);

/* Uses the caller's OpenCL context and one of its devices, which are retained until destroy. Sub-devices are refused
 * with UNSUPPORTED. zw-m890's limits apply where the device matches or options->backend forces it.
 * Errors: as create, and WRONG_CONTEXT when device is not of cl. */
ATTUNE_API attune_status attune_context_adopt(attune_context **out, cl_context cl, cl_device_id device,
                                              const attune_context_options *options);

/* Releases the context. Every plan, layout, schedule and launcher made from it must be destroyed before. */
ATTUNE_API void attune_context_destroy(attune_context **context);

/* The OpenCL objects in use; borrowed, valid while the context lives. Make queues and buffers with them. */
ATTUNE_API cl_context attune_context_cl(const attune_context *context);
ATTUNE_API cl_device_id attune_context_device(const attune_context *context);

/* Describes the context's device and the limits that its backend enforces. */
ATTUNE_API attune_status attune_context_info(const attune_context *context, attune_device_info *out);

/* --------------------------------------------------------------------------------------------- descriptor */

typedef enum attune_dtype {
    ATTUNE_FP32 = 1,
    ATTUNE_FP16 = 2, /* IEEE binary16 */
    ATTUNE_BF16 = 3  /* upper half of binary32 */
} attune_dtype;

typedef enum attune_operation {
    /* K and V are contiguous ragged tensors: sequence b owns the rows from sum(kv_len[0..b)) on. */
    ATTUNE_PREFILL = 1,
    /* New tokens attend to a cached prefix (slots of a KV cache) and to themselves: query m of a sequence sits at
     * prefix + m. The new K and V are contiguous ragged tensors beside Q. (SGLang's extend attention.) Appending them to the
     * cache, for the steps after, is a call of its own, before or behind the run. */
    ATTUNE_EXTEND = 2,
    /* All keys, the newest included, lie in the KV cache: the step's rows are appended before the run. (Without a layout: in contiguous
     * ragged tensors.) */
    ATTUNE_DECODE = 3
} attune_operation;

/* Which for what: one new token a sequence, or a few that were drafted: DECODE, whose kernels split the keys. Chunks of a prompt
 * (chunked prefill, a prefix that is shared): EXTEND; or DECODE with q_len above 1, right as well, but the kernels that are made for
 * decode take few queries at a time, and the untuned default is one of those. A step that mixes chunks and decodes is fastest as
 * two runs, EXTEND over the sequences with chunks and DECODE over the others: order the batch so that each kind's rows of Q and O, and rows of
 * the block table, lie together, and give the second run their byte_offset (examples/mixed.c). One EXTEND run over all, where a decode is
 * an extend by one token, is simplest; with shapes of both kinds in the plan's options each sequence gets a kernel for its lengths. */

/* The numerics contract, part of every key. Accumulation is fp32 in both. */
typedef enum attune_precision {
    /* Error against fp64 at most twice that of a plain kernel with fp32 products. */
    ATTUNE_STRICT = 1,
    /* At most twice that of a plain kernel that rounds the products' inputs (Q, and P before P.V) to the KV type. */
    ATTUNE_FAST = 2
} attune_precision;

typedef enum attune_mask {
    ATTUNE_MASK_NONE = 0,
    ATTUNE_MASK_CAUSAL = 1
} attune_mask;

/* Which key the first query may see last, under a causal mask. */
typedef enum attune_causal_alignment {
    ATTUNE_BOTTOM_RIGHT = 0, /* query i sees keys j <= kv_len - q_len + i (FlashAttention >= 2.1, SGLang, vLLM) */
    ATTUNE_TOP_LEFT = 1      /* query i sees keys j <= i (PyTorch's is_causal, ONNX opset 23) */
} attune_causal_alignment;

/* What is computed. For query i of a sequence at position p(i), over the keys j that the mask allows:
 *
 *     s_j = scale * dot(q_i, k_j);  o_i = sum_j softmax(s)_j v_j;  lse_i = ln(sum_j exp(s_j))   (natural logarithm)
 *
 * A row gives 0 and lse = -infinity where its mask allows no key, and only there. Keys that no query of their sequence may
 * attend, and unused slots, may hold NaN or Inf in K and V. Of keys masked for some rows only, a non-finite K never leaks into the
 * masked rows; a non-finite V there is undefined.
 * NaN is never hidden: in a row's query or an allowed key it makes NaN of the row's o and lse, in an allowed value of that dim of
 * its o (lse does not depend on V). An infinity in them gives NaN or the limit.
 * The contract holds for logits up to 1e30 in magnitude, the dot products before the scale included. Beyond, what still fits fp32 is
 * right as far as fp32 sums are; what overflows gives NaN or the limit. Numbers of K, V and Q below 2^-126 may be taken as 0:
 * fp32's and bf16's subnormal ones, as the processor's dot products of bf16 do; fp16's are taken exactly.
 * Query head h reads KV head h / (num_q_heads / num_kv_heads). */
typedef struct attune_attention_desc {
    size_t size;
    attune_operation operation;
    int32_t num_q_heads;  /* 1 to 1024, a multiple of num_kv_heads */
    int32_t num_kv_heads; /* 1 to 1024 */
    int32_t head_dim_qk;  /* 1 to 576; tuned: 64 and 128 */
    int32_t head_dim_vo;  /* 1 to 576; 0 = head_dim_qk */
    attune_dtype q_dtype;
    attune_dtype kv_dtype;
    attune_dtype o_dtype;
    attune_precision precision;
    attune_mask mask;
    attune_causal_alignment causal_alignment;
    int32_t window_left;  /* keys before self that are kept; -1 = off. This version: -1 only */
    int32_t window_right; /* keys after self that are kept; -1 = off. This version: -1 only */
    float softcap;        /* s = softcap * tanh(s / softcap); 0 = off. This version: 0 only */
    float scale;          /* 1e-30 to 1e30; 0 = 1 / sqrt(head_dim_qk) */
    /* EXTEND: type of the new k and v beside Q, as activations have it; 0 = kv_dtype. Rows of another type are rounded to nearest even to
     * kv_dtype first, as by attune_kv_append, so that a key counts the same now and when it is read from the cache. Each run does it,
     * in its workspace. */
    attune_dtype new_kv_dtype;
} attune_attention_desc;

#define ATTUNE_ATTENTION_DESC_INIT                                                                                     \
    {sizeof(attune_attention_desc), ATTUNE_PREFILL, 0, 0, 0, 0, ATTUNE_FP32, ATTUNE_FP32, ATTUNE_FP32, ATTUNE_STRICT,  \
     ATTUNE_MASK_CAUSAL, ATTUNE_BOTTOM_RIGHT, -1, -1, 0.0f, 0.0f, (attune_dtype)0}

/* The same as the macro, for callers that cannot use it. desc must not be NULL. */
ATTUNE_API void attune_attention_desc_init(attune_attention_desc *desc);

/* ---------------------------------------------------------------------------------------------- KV layout */

typedef struct attune_kv_layout attune_kv_layout;

typedef enum attune_kv_order {
    ATTUNE_KV_NHD = 1,    /* [page, token in page, kv_head, dim]: token stride num_kv_heads * dim */
    ATTUNE_KV_HND = 2,    /* [page, kv_head, token in page, dim]; with page_size 1 the whole cache is [kv_head, slot, dim] */
    ATTUNE_KV_STRIDED = 3 /* the strides below */
} attune_kv_order;

/* How the KV cache lies in memory; K and V are two tensors of the same layout (but for their dims). */
typedef struct attune_kv_layout_options {
    size_t size;
    attune_kv_order order;
    attune_dtype dtype;
    int32_t num_kv_heads;
    int32_t head_dim_qk;
    int32_t head_dim_vo; /* 0 = head_dim_qk */
    int32_t page_size;   /* tokens a page, 1 to 1,048,576; 1 = page tables hold slots. A padded batch [batch, max_len, ...] is a
                          * cache of pages of max_len tokens */
    int64_t num_slots;   /* tokens the cache holds: a multiple of page_size, at least one page, at most 2^31 - 1 */
    /* ATTUNE_KV_STRIDED only, in elements; the dim's stride is 1. With page_size 1 only the page stride counts. */
    int64_t k_stride_page, k_stride_token, k_stride_head;
    int64_t v_stride_page, v_stride_token, v_stride_head;
} attune_kv_layout_options;

#define ATTUNE_KV_LAYOUT_OPTIONS_INIT                                                                                  \
    {sizeof(attune_kv_layout_options), ATTUNE_KV_NHD, ATTUNE_FP32, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0}

/* Fixes a layout that the engine chose. Immutable, thread-safe.
 * Errors: NULL_ARGUMENT, STRUCT_SIZE, INVALID_SIZE, OVERFLOW, DTYPE, ENUM, STRIDE, UNSUPPORTED. */
ATTUNE_API attune_status attune_kv_layout_create(attune_context *context, const attune_kv_layout_options *options,
                                                 attune_kv_layout **out);
ATTUNE_API void attune_kv_layout_destroy(attune_kv_layout **layout);

/* The serialisable id that cache keys hold, "slots,nhd,fp32" or "pages16,hnd,bf16" say: everything about the layout that a kernel's choice may
 * depend on. Valid while the layout lives. */
ATTUNE_API const char *attune_kv_layout_id(const attune_kv_layout *layout);

/* Bytes that K and V of the cache take. Either pointer may be NULL. */
ATTUNE_API attune_status attune_kv_layout_bytes(const attune_kv_layout *layout, size_t *k_bytes, size_t *v_bytes);

/* --------------------------------------------------------------------------------------------------- plan */

typedef struct attune_plan attune_plan;

/* How far plan creation goes to find kernels (after FFTW's planner flags). */
typedef enum attune_policy {
    /* A verified entry of a cache that is tuned, or NOT_TUNED: each of options.shapes must be answered by such an entry of its own bucket.
     * With shapes NULL one of the usual shapes must be answered, by an entry of its bucket or, as "nearest", another of its class; what
     * no entry answers is then served as the nearest that one does. Tuned is what beat the untuned default beyond doubt (the lower end of
     * the gain's interval is above 1), and a default that has withstood 8 tests of its workload or every valid configuration. What a
     * shorter search left of the default is not. */
    ATTUNE_CACHED_ONLY = 1,
    ATTUNE_ESTIMATE = 2,    /* the best known, or the untuned default; never measures */
    ATTUNE_MEASURE = 3,     /* as ESTIMATE where an entry fulfils the budget, else a bounded search now, in a worker process: as
                             * attune_tune, which says what fulfils it */
    ATTUNE_EXHAUSTIVE = 4   /* measures the whole space unless the budget ends it; replaces the entry if it finds better */
} attune_policy;

/* A shape the plan should be good at: batch sequences with these lengths.
 *
 * Kernels are chosen, tuned and remembered by buckets of shapes. Two steps of one descriptor and layout are in one bucket when
 * they agree in
 *   the class of new tokens a sequence   1; 2 to 16; 17 to 128; more
 *   the octave of keys a sequence        floor(log2(kv_len)); 0 is with 1
 *   the octave of heads                  floor(log2(sequences * num_kv_heads))
 * So one tuned shape answers for its whole bucket. In a step each sequence is served by its own lengths and the step's number of
 * sequences; a problem whose sequences differ (tune.h) is in the bucket of their means. Of the descriptor, entries of a cache hold the operation, the types, precision, head dims, query heads a KV head, and mask; of the layout its
 * attune_kv_layout_id. attune_problem_grid (tune.h), `attune tune --grid`, gives one problem for each bucket of a range. */
typedef struct attune_shape {
    int32_t batch;  /* sequences, at least 1 */
    int32_t q_len;  /* new tokens a sequence, at least 1 */
    int32_t kv_len; /* keys a sequence: the prefix and the new tokens; at least 0 */
} attune_shape;

typedef struct attune_plan_options {
    size_t size;
    attune_policy policy;
    /* [num_shapes] to choose kernels for, read during the call; up to 1,024. NULL: usual ones, (batch, q_len, kv_len) = (1, 512, 512),
     * (1, 512, 4096), (1, 64, 512), (1, 64, 4096), (1, 8, 512), (1, 8, 4096), (8, 1, 512) and (8, 1, 4096): name your own */
    const attune_shape *shapes;
    size_t num_shapes;
    int32_t max_configs;        /* compiled kernels the plan may hold, 1 to 8 */
    /* MEASURE and EXHAUSTIVE: what ends the search, 0 = no limit of that kind. */
    int32_t budget_tests;
    double budget_seconds;
    uint64_t seed;              /* of the search */
    const char *force_config;   /* a configuration string to use whatever the caches say; NULL = none */
    /* 1: debug mode. Runs check the page table on the device first, wait for the verdict (so they block, on the wait list
     * too), and refuse a bad one with PAGE_TABLE and the name of the first bad value, that of the lowest sequence:
     *   kv_indptr      starts at 0 or above, does not fall, and has room for each sequence's cached keys
     *   last_page_len  where given and the sequence has cached keys: 1 to page_size, and what the schedule's length leaves
     *   kv_indices, block_table  the entries in use: 0 to the cache's pages - 1
     * Nothing else is enqueued then. 0: none of it. */
    int32_t validate;
} attune_plan_options;

#define ATTUNE_PLAN_OPTIONS_INIT {sizeof(attune_plan_options), ATTUNE_ESTIMATE, NULL, 0, 6, 432, 0.0, 1, NULL, 0}

/* Chooses and compiles everything the plan may run, and runs each kernel once on an empty work list, so that no compiler
 * runs afterwards. A configuration that does not compile here, or cannot be launched, is set aside with a warning in the log and the
 * next best that works answers, down to the plainest kernel; the cache remembers it for this driver and kernel source
 * (attune_cache_explain says so), so that later plans do not try it again. A forced configuration fails with BUILD, CACHED_ONLY with
 * NOT_TUNED, and where nothing compiles it is BUILD, with nothing remembered. Blocks: milliseconds with warm caches, seconds to compile, minutes to measure. layout describes the KV
 * cache; NULL where all keys are contiguous rows of k and v: ATTUNE_PREFILL always, ATTUNE_DECODE if so wanted.
 * options may be NULL. The plan is immutable and may be shared
 * between threads; it keeps no reference to desc, layout or options, but context must outlive it.
 * Errors: every argument error of the descriptor, MISMATCH (layout and desc), WRONG_CONTEXT (layout), NOT_TUNED, BUILD,
 * UNSUPPORTED (also MEASURE and EXHAUSTIVE on a layout of ATTUNE_KV_STRIDED that is not NHD or HND with padding), WORKER,
 * OPENCL, DEVICE_MEMORY, OUT_OF_MEMORY. */
ATTUNE_API attune_status attune_plan_create(attune_context *context, const attune_attention_desc *desc,
                                            const attune_kv_layout *layout, const attune_plan_options *options,
                                            attune_plan **out);
ATTUNE_API void attune_plan_destroy(attune_plan **plan);

/* Number of compiled configurations, 1 to max_configs; 0 for NULL. */
ATTUNE_API size_t attune_plan_num_configs(const attune_plan *plan);

/* Configuration i as text ("vector_tile:BLOCK_Q=32,..."), and where it came from: "tuned", "shallow" (an entry
 * behind which too little search stands for CACHED_ONLY), "nearest", "default" or "forced". NULL out of range. Valid while the plan lives. */
ATTUNE_API const char *attune_plan_config(const attune_plan *plan, size_t i);
ATTUNE_API const char *attune_plan_source(const attune_plan *plan, size_t i);

/* One row of the plan's decision table: a bucket of shapes, by mean lengths of a step's sequences, and what serves it. A step that lies in
 * no bucket is served as the nearest one: same class of q_len first, then distance in the logarithms of the others. */
typedef struct attune_plan_bucket_info {
    int64_t q_len_min, q_len_max;   /* new tokens a sequence, both inclusive */
    int64_t kv_len_min, kv_len_max; /* keys a sequence */
    int64_t heads_min, heads_max;   /* sequences of the step x KV heads */
    size_t config;                  /* index for attune_plan_config */
    double time_ms;                 /* measured for the bucket with this configuration; 0 = not known */
    double regret;                  /* time / time of the fastest configuration known for the bucket - 1; -1 = not known */
    const char *regret_source;      /* "measured" on this bucket, "nearest": on the nearest bucket of the class, or "unknown". Static
                                     * storage */
} attune_plan_bucket_info;

/* Number of rows; 0 for NULL. At most one for each of the options' shapes: fewer where shapes share a bucket. */
ATTUNE_API size_t attune_plan_num_buckets(const attune_plan *plan);
/* Row i. Errors: NULL_ARGUMENT, INVALID_SIZE (i). Thread-safe. */
ATTUNE_API attune_status attune_plan_bucket(const attune_plan *plan, size_t i, attune_plan_bucket_info *out);

/* -------------------------------------------------------------------------------------------------- tensors */

typedef enum attune_memory_type {
    ATTUNE_MEMORY_NONE = 0,
    ATTUNE_MEMORY_CL = 1, /* a cl_mem buffer; images are refused. Its size is checked against shape, strides and type */
    ATTUNE_MEMORY_SVM = 2 /* a pointer into shared virtual memory; its size is not checked */
} attune_memory_type;

/* A tensor of shape [token, head, dim] in device memory; the dim's stride is 1.
 * What a call writes must share no byte with another tensor of the call, or OVERLAP names the two: of a cache, all slots count.
 * Looked at are buffers, sub-buffers of one buffer, SVM pointers and buffers on memory of the host's (CL_MEM_USE_HOST_PTR).
 * Rows may interleave (Q and O side by side in each token, K and V of each page) where the tensors' strides have a common
 * period in which they stay apart. */
typedef struct attune_tensor {
    attune_memory_type type;
    cl_mem cl;             /* ATTUNE_MEMORY_CL; retained by OpenCL while a run is queued */
    void *svm;             /* ATTUNE_MEMORY_SVM */
    size_t byte_offset;    /* a multiple of the element size */
    int64_t stride_token;  /* elements; 0 = packed [token, head, dim]. For KV caches: 0 = the plan's layout */
    int64_t stride_head;   /* elements; 0 = packed. For KV caches: 0 = the plan's layout */
} attune_tensor;

#define ATTUNE_TENSOR_INIT {ATTUNE_MEMORY_NONE, NULL, NULL, 0, 0, 0}

/* ----------------------------------------------------------------------------------------------- schedule */

typedef struct attune_schedule attune_schedule;

typedef struct attune_schedule_options {
    size_t size;
    int32_t max_batch;    /* sequences a step, 1 to 1,048,576 */
    int64_t max_q_tokens; /* new tokens a step, over all sequences, at least 1 */
    int32_t max_kv_len;   /* keys of the longest sequence; 0 = 2^31 - 1. Needed for bounds that depend on it: batch_invariant
                           * and attune_schedule_update_device */
    /* Keys of long sequences are split over work-groups (split-KV) as the batch, the lengths and the device's compute units ask
     * for; so a sequence's result may differ in its last bits with what else is in the batch. batch_invariant = tokens of a
     * split, a multiple of 16 from 16 on, fixes them: a result then depends on its own sequence only, bit for bit.
     * Only sequences of at most 16 queries are split so; others are whole. The workspace then holds 16 * (keys of a step /
     * batch_invariant) partial rows a head, and one for each such query: give max_kv_tokens. 0 = by load. */
    int32_t batch_invariant;
    int64_t max_kv_tokens;  /* keys a step, over all sequences; 0 = not known: max_batch * max_kv_len. At most 2^31 - 1 */
    int32_t device_lengths; /* 1: attune_schedule_update_device will be called: its kernel is made ready. Needs max_kv_len */
} attune_schedule_options;

#define ATTUNE_SCHEDULE_OPTIONS_INIT {sizeof(attune_schedule_options), 0, 0, 0, 0, 0, 0}

/* Device and staging memory for the work list of one step. One schedule serves every plan that was created from an equal
 * descriptor and chose equal configurations (all layers of a model with equal masks). Not thread-safe. With device_lengths
 * the first call of a context compiles a small kernel.
 * plan is used during the call only. Errors: NULL_ARGUMENT, STRUCT_SIZE, INVALID_SIZE (also where no buffer of the device could
 * hold the workspace of the largest step), OVERFLOW, DEVICE_MEMORY,
 * OUT_OF_MEMORY; with device_lengths also BUILD, OPENCL. */
ATTUNE_API attune_status attune_schedule_create(const attune_plan *plan, const attune_schedule_options *options,
                                                attune_schedule **out);
ATTUNE_API void attune_schedule_destroy(attune_schedule **schedule);

/* Computes the work list of a step and enqueues its upload on queue, without blocking.
 *   q_len[batch]   new tokens of each sequence, >= 0 (rows of Q, O; for EXTEND also of the new K and V)
 *   kv_len[batch]  keys of each sequence, >= 0: for PREFILL its rows of K and V; for EXTEND prefix + q_len; for DECODE all
 * Sequences follow each other without gaps in the ragged tensors. One batch may mix lengths freely. A sequence without new tokens
 * (q_len 0: idle, or padding of a batch of fixed size) costs nothing and writes nothing; its kv_len may be 0, or what it has: then its
 * rows or pages must be there as for others, for what follows starts behind them, and they count for max_kv_tokens.
 * The arrays are read during the call only. event may be NULL, is released by the caller, and completes with the upload, not with runs.
 * The schedule holds two buffers and fills them in turn: runs enqueued before this call keep reading the other one. So
 * one update may be made while the previous step is in flight; the one after it must be ordered behind that step's runs
 * (same in-order queue, or the wait list). BUSY is returned when the copy of the update before last has not finished.
 * Errors: NULL_ARGUMENT, INVALID_SIZE (negative or over a maximum of the options), OVERFLOW, WRONG_CONTEXT, BUSY, OPENCL. */
ATTUNE_API attune_status attune_schedule_update(attune_schedule *schedule, cl_command_queue queue, int32_t batch,
                                                const int32_t *q_len, const int32_t *kv_len, cl_uint num_wait,
                                                const cl_event *wait, cl_event *event);

/* The same from lengths in device memory, which the host need not know: a kernel on queue writes the list, equal word for word
 * to what attune_schedule_update makes of equal lengths, and nothing is read back. For schedules with
 * options.device_lengths.
 *   q_len, kv_len  int32 [batch], read when the kernel runs; strides do not count. A padded batch has q_len 0 at its end
 * The host knows the options' maxima only. So attune_attention_run takes q and o for max_q_tokens rows, k and v for
 * max_q_tokens (EXTEND) or max_kv_tokens rows, and a page table and cache for sequences of max_kv_len and max_kv_tokens keys;
 * and it launches every configuration of the plan, and the merge of split keys, whether or not they have work.
 * Lengths on the device that attune_schedule_update would refuse (negative ones, or over a maximum) make an empty list:
 * runs then leave their outputs as they are. A run of a plan with validate set names the first such length (INVALID_SIZE).
 * Two buffers are filled in turn as by attune_schedule_update, with which it may be mixed: one call may be made while the
 * previous step is in flight, the one after it must be ordered behind that step's runs. Does not block.
 * Errors: NULL_ARGUMENT, INVALID_SIZE (batch), MISMATCH (no device_lengths), WRONG_CONTEXT, MISSING_TENSOR, OFFSET,
 * BUFFER_TOO_SMALL, UNSUPPORTED (memory of another type), OPENCL. */
ATTUNE_API attune_status attune_schedule_update_device(attune_schedule *schedule, cl_command_queue queue, int32_t batch,
                                                       const attune_tensor *q_len, const attune_tensor *kv_len,
                                                       cl_uint num_wait, const cl_event *wait, cl_event *event);

/* ---------------------------------------------------------------------------------------------------- run */

/* Tensors of one run. Which are needed depends on the descriptor's operation; others stay ATTUNE_MEMORY_NONE. Nq = sum of
 * q_len, Nkv = rows of the contiguous K and V: sum of kv_len (PREFILL, DECODE without a layout) or Nq (EXTEND).
 * The page table comes as CSR (kv_indptr and kv_indices) or as a 2-D block table, whichever is given; each sequence has
 * ceil(cached keys / page_size) entries, in order of position. Cached keys are all kv_len of DECODE, and the prefix of EXTEND, kv_len -
 * q_len: kv_indptr then counts the pages of the prefix, not of kv_len, while a row of a block table may go on behind what is read. Indices are int32, one after the other; tables of int64 cannot be
 * said and must be converted. Their values are not looked at, but by a plan with validate set. */
typedef struct attune_attention_args {
    size_t size;
    attune_tensor q;          /* [Nq, num_q_heads, head_dim_qk] q_dtype */
    attune_tensor k;          /* [Nkv, num_kv_heads, head_dim_qk] kv_dtype: all keys; or the new ones (EXTEND), new_kv_dtype */
    attune_tensor v;          /* [Nkv, num_kv_heads, head_dim_vo], as k */
    attune_tensor o;          /* out, [Nq, num_q_heads, head_dim_vo] o_dtype */
    attune_tensor lse;        /* out, optional, [Nq, num_q_heads] fp32 (stride_head 0 = 1, stride_token 0 = num_q_heads) */
    attune_tensor k_cache;    /* plans with a layout: [slots, num_kv_heads, head_dim_qk] in the plan's layout */
    attune_tensor v_cache;    /* plans with a layout: [slots, num_kv_heads, head_dim_vo] in the plan's layout */
    attune_tensor kv_indptr;  /* CSR: int32 [batch + 1], where each sequence's pages (slots) start in kv_indices */
    attune_tensor kv_indices; /* CSR: int32 pages (slots) of the cached keys */
    attune_tensor block_table; /* instead of both: int32 [batch, stride_token], pages (slots) of each sequence from its start;
                                * stride_token is required */
    attune_tensor last_page_len; /* optional, CSR: int32 [batch], keys in each sequence's last page, 1 to page_size; any value where
                                  * it has no page. Lengths come from the schedule: a plan with validate set compares the two,
                                  * others ignore it */
    attune_tensor workspace;  /* attune_plan_workspace_size bytes, where that is not 0 */
} attune_attention_args;

#define ATTUNE_ATTENTION_ARGS_INIT                                                                                     \
    {sizeof(attune_attention_args), ATTUNE_TENSOR_INIT, ATTUNE_TENSOR_INIT, ATTUNE_TENSOR_INIT, ATTUNE_TENSOR_INIT,    \
     ATTUNE_TENSOR_INIT, ATTUNE_TENSOR_INIT, ATTUNE_TENSOR_INIT, ATTUNE_TENSOR_INIT, ATTUNE_TENSOR_INIT,               \
     ATTUNE_TENSOR_INIT, ATTUNE_TENSOR_INIT, ATTUNE_TENSOR_INIT}

/* Workspace of a run with this schedule: partial outputs and sums of split keys, and the new rows of K and V where the
 * descriptor's new_kv_dtype has them converted. The size is the most that any step within the schedule's options can need,
 * O(queries x splits) and O(max_q_tokens), and stays the same from step to step; 0 where no kernel of the plan splits keys and
 * nothing is converted. A step without split sequences and without new rows to convert needs none. The buffer's contents do not
 * matter before a run, nor
 * after it. It must not be used by another run until this one has finished; on an out-of-order queue that means until its
 * event is complete. */
ATTUNE_API attune_status attune_plan_workspace_size(const attune_plan *plan, const attune_schedule *schedule, size_t *bytes);

/* The kernel objects of one plan for one thread (clSetKernelArg is not thread-safe): make one per thread and plan, ahead of
 * serving. Not thread-safe; the plan must outlive it. */
typedef struct attune_launcher attune_launcher;
ATTUNE_API attune_status attune_launcher_create(const attune_plan *plan, attune_launcher **out);
ATTUNE_API void attune_launcher_destroy(attune_launcher **launcher);

/* Enqueues the attention of one step on queue behind the wait list; event (may be NULL, released by the caller) completes
 * with all of it. A run may be several commands: its event is that of the last, or of a marker behind them, and on a queue with
 * profiling START and END are those of that one alone. To time a run, take the END of a marker enqueued before it and the END of its
 * event, on an in-order queue. schedule must have been updated before. Does not block, allocate, compile or take a contended lock.
 * Every argument is checked before anything is enqueued.
 * Errors: NULL_ARGUMENT, STRUCT_SIZE, MISMATCH (plan and schedule; schedule never updated; two page tables; strides of a cache
 * that are not its layout's), INVALID_SIZE (a sequence with more cached keys than the layout has slots), MISSING_TENSOR,
 * BUFFER_TOO_SMALL, OFFSET, STRIDE, OVERFLOW, OVERLAP, WRONG_CONTEXT, UNSUPPORTED (memory of another type, images), OPENCL,
 * DEVICE_LOST; of a plan with validate set, which blocks, PAGE_TABLE. */
ATTUNE_API attune_status attune_attention_run(attune_launcher *launcher, const attune_schedule *schedule,
                                              const attune_attention_args *args, cl_command_queue queue,
                                              cl_uint num_wait, const cl_event *wait, cl_event *event);

/* Tensors of attune_merge_states. N tokens of num_q_heads and head_dim_vo of the plan's descriptor. */
typedef struct attune_merge_states_args {
    size_t size;
    int64_t num_tokens;  /* N, at least 0 */
    attune_tensor o_a;   /* [N, num_q_heads, head_dim_vo] o_dtype */
    attune_tensor lse_a; /* [N, num_q_heads] fp32 (stride_head 0 = 1, stride_token 0 = num_q_heads) */
    attune_tensor o_b;   /* as o_a */
    attune_tensor lse_b; /* as lse_a */
    attune_tensor o;     /* out, as o_a; may be o_a or o_b itself (same buffer, offset and strides) */
    attune_tensor lse;   /* out, optional, as lse_a; may be lse_a or lse_b itself */
} attune_merge_states_args;

#define ATTUNE_MERGE_STATES_ARGS_INIT                                                                                  \
    {sizeof(attune_merge_states_args), 0, ATTUNE_TENSOR_INIT, ATTUNE_TENSOR_INIT, ATTUNE_TENSOR_INIT,                  \
     ATTUNE_TENSOR_INIT, ATTUNE_TENSOR_INIT, ATTUNE_TENSOR_INIT}

/* Joins two partial results of the same queries over disjoint sets of keys (a shared prefix and the rest, say) by their
 * log-sum-exp: with weights exp(lse_a) and exp(lse_b) over their sum, lse = ln(exp(lse_a) + exp(lse_b)). Equals attention
 * over all keys, to rounding, that of lse included: of a large lse it is an error of the weights (at 1,000 up to 3e-5). A side
 * whose lse is -infinity does not count, and its o may hold anything; with both, o = 0 and lse = -infinity. NaN in the lse or o
 * of a side that counts is NaN in the result. An lse of +infinity is an error of the caller's, which is not looked for: the row is
 * NaN. Any launcher of a plan with the wanted num_q_heads, head_dim_vo and o_dtype will do. Enqueued behind
 * the wait list; event (may be NULL, released by the caller) completes with it. Does not block, allocate or compile.
 * Errors: NULL_ARGUMENT, STRUCT_SIZE, INVALID_SIZE (num_tokens), MISSING_TENSOR, BUFFER_TOO_SMALL, OFFSET, STRIDE, OVERFLOW,
 * OVERLAP, WRONG_CONTEXT, UNSUPPORTED (memory of another type, images), OPENCL, DEVICE_LOST. */
ATTUNE_API attune_status attune_merge_states(attune_launcher *launcher, const attune_merge_states_args *args,
                                             cl_command_queue queue, cl_uint num_wait, const cl_event *wait,
                                             cl_event *event);

/* One step's commands, recorded to be enqueued again and again with little work for the host: a run, and before it, if so wanted,
 * the update of its schedule from lengths on the device and the append of its new rows to the KV cache. Devices that list cl_khr_command_buffer get a command buffer; on others
 * kernels with their arguments set are enqueued one by one. Results are those of attune_attention_run, bit for bit.
 *
 * Between replays the contents of every buffer may change: queries, keys, page tables, lengths, and the schedule's work list.
 * Fixed are the buffers themselves (or SVM pointers), offsets and strides, which the recording does not retain: they must live as
 * long as it. So all tensors must be large enough for the schedule's maxima (attune_schedule_update_device says how), and every
 * configuration of the plan runs every time.
 * A schedule that has been recorded no longer fills two buffers in turn: its updates, recorded ones too, write the list
 * that the recordings read. So each must be ordered behind the runs and replays of the step before: by an in-order queue, or
 * by wait lists. All layers' recordings can share one schedule; one of them then records the update.
 * Not thread-safe; several recordings may be replayed in parallel where they do not share a workspace, o or an update. plan and
 * schedule may be destroyed before the recording, the context may not. */
typedef struct attune_recording attune_recording;

/* Below, with the KV cache. */
typedef struct attune_kv_launcher attune_kv_launcher;
struct attune_kv_append_args;

typedef struct attune_recording_options {
    size_t size;
    /* Lengths that replays read, as for attune_schedule_update_device. NULL, both: replays take the list as it is, from
     * calls of attune_schedule_update or attune_schedule_update_device between them. */
    const attune_tensor *q_len, *kv_len;
    int32_t batch; /* sequences of q_len and kv_len; 0 without */
    /* An append, as by attune_kv_append, that each replay does before the attention: the step's new rows of K and V go to the slots
     * that slot_mapping holds when it is replayed. num_tokens is the most that any step has; slots of the tokens that a step lacks
     * are negative. NULL, both: none. kv_launcher may be destroyed before the recording. */
    attune_kv_launcher *kv_launcher;
    const struct attune_kv_append_args *append;
} attune_recording_options;

#define ATTUNE_RECORDING_OPTIONS_INIT {sizeof(attune_recording_options), NULL, NULL, 0, NULL, NULL}

/* Checks everything and records it for queue; enqueues nothing. options may be NULL. args and options are read during the
 * call only. schedule needs options.max_kv_len, a recorded update also options.device_lengths; without a recorded update it must
 * have been updated once.
 * Errors: those of attune_attention_run, attune_schedule_update_device and attune_kv_append; NULL_ARGUMENT (append without kv_launcher, or the
 * reverse), INVALID_SIZE (schedule without max_kv_len), UNSUPPORTED (plan with validate set). */
ATTUNE_API attune_status attune_recording_create(const attune_plan *plan, attune_schedule *schedule,
                                                 const attune_attention_args *args, cl_command_queue queue,
                                                 const attune_recording_options *options, attune_recording **out);
/* Its replays must have finished. */
ATTUNE_API void attune_recording_destroy(attune_recording **recording);

/* Enqueues the recorded commands behind the wait list; event (may be NULL, released by the caller) completes with all of them, as that
 * of attune_attention_run; of a command buffer its START and END span the whole. queue:
 * best the recording's own; on another one of the same context and device, commands are enqueued one by one. Replays may
 * follow each other without waiting; those in flight together on an out-of-order queue must be ordered by the caller, as
 * they share their buffers. Does not block or compile.
 * Errors: NULL_ARGUMENT, WRONG_CONTEXT, OPENCL, DEVICE_LOST. */
ATTUNE_API attune_status attune_recording_run(attune_recording *recording, cl_command_queue queue, cl_uint num_wait,
                                              const cl_event *wait, cl_event *event);

/* Attention on host memory in one blocking call, for trying attune out: plans with ESTIMATE, copies in, runs, copies out.
 * PREFILL only; packed fp32 tensors: q[sum q_len, num_q_heads, head_dim_qk], k[sum kv_len, num_kv_heads, head_dim_qk],
 * v[sum kv_len, num_kv_heads, head_dim_vo], o[sum q_len, num_q_heads, head_dim_vo], lse[sum q_len, num_q_heads] or NULL.
 * Errors: those of every call above. */
ATTUNE_API attune_status attune_attention_host(attune_context *context, const attune_attention_desc *desc, int32_t batch,
                                               const int32_t *q_len, const int32_t *kv_len, const float *q, const float *k,
                                               const float *v, float *o, float *lse);

/* --------------------------------------------------------------------------------------------- KV cache */

/* Operations on a cache that lies in a layout: append new rows, copy pages, export to and import from packed rows. None blocks,
 * allocates or compiles; each checks every tensor before it enqueues one kernel on queue behind the wait list, and event (may
 * be NULL, released by the caller) completes with it. Ids and slots are on the device, where they are not checked: one
 * beyond the cache is undefined, and so are two writes to one slot. Element offsets are 64-bit.
 * Errors of them all: NULL_ARGUMENT, STRUCT_SIZE, INVALID_SIZE, MISSING_TENSOR, BUFFER_TOO_SMALL, OFFSET, STRIDE, OVERFLOW,
 * OVERLAP (but V may be the first dims of K, on both sides of a call), MISMATCH (strides of a cache that are not the layout's),
 * WRONG_CONTEXT, UNSUPPORTED (memory of another type, images), OPENCL, DEVICE_LOST. */

/* attune_kv_launcher: the kernel objects of one layout for one thread. Not thread-safe; the context must outlive it, the layout need
 * not. Compiles the operations for caches in layout; source_dtype is the type of the rows that attune_kv_append takes. Blocks:
 * milliseconds with warm caches, else seconds. Errors: NULL_ARGUMENT, DTYPE, BUILD, OPENCL, DEVICE_MEMORY, OUT_OF_MEMORY. */
ATTUNE_API attune_status attune_kv_launcher_create(const attune_kv_layout *layout, attune_dtype source_dtype,
                                                   attune_kv_launcher **out);
ATTUNE_API void attune_kv_launcher_destroy(attune_kv_launcher **launcher);

typedef struct attune_kv_append_args {
    size_t size;
    int64_t num_tokens;         /* new tokens, 0 to 2^31 - 1 */
    attune_tensor k;            /* [num_tokens, num_kv_heads, head_dim_qk] source_dtype */
    attune_tensor v;            /* [num_tokens, num_kv_heads, head_dim_vo] source_dtype */
    attune_tensor slot_mapping; /* int32 [num_tokens]: page * page_size + token in page; negative = the token is skipped */
    attune_tensor k_cache;      /* written, in the launcher's layout */
    attune_tensor v_cache;      /* written, in the launcher's layout */
} attune_kv_append_args;

#define ATTUNE_KV_APPEND_ARGS_INIT                                                                                     \
    {sizeof(attune_kv_append_args), 0, ATTUNE_TENSOR_INIT, ATTUNE_TENSOR_INIT, ATTUNE_TENSOR_INIT, ATTUNE_TENSOR_INIT, \
     ATTUNE_TENSOR_INIT}

/* Stores new rows of K and V in the cache's slots. Rows of another type than the cache's are rounded to nearest even; rows of
 * its own type are stored bit for bit. */
ATTUNE_API attune_status attune_kv_append(attune_kv_launcher *launcher, const attune_kv_append_args *args,
                                          cl_command_queue queue, cl_uint num_wait, const cl_event *wait, cl_event *event);

typedef struct attune_kv_copy_args {
    size_t size;
    int64_t num_pages;          /* pairs, 0 to the number of the layout's pages */
    attune_tensor pages;        /* int32 [num_pages, 2]: source page, destination page */
    attune_tensor k_cache;      /* written, in the launcher's layout */
    attune_tensor v_cache;      /* written, in the launcher's layout */
    attune_tensor from_k_cache; /* where source pages lie, in the launcher's layout; neither of the two = in the same cache */
    attune_tensor from_v_cache;
} attune_kv_copy_args;

#define ATTUNE_KV_COPY_ARGS_INIT                                                                                       \
    {sizeof(attune_kv_copy_args), 0, ATTUNE_TENSOR_INIT, ATTUNE_TENSOR_INIT, ATTUNE_TENSOR_INIT, ATTUNE_TENSOR_INIT,   \
     ATTUNE_TENSOR_INIT}

/* Copies whole pages, bit for bit, within one cache or between two (prefix sharing, copy on write). No page may be the
 * destination of one pair and the source or destination of another. */
ATTUNE_API attune_status attune_kv_copy_pages(attune_kv_launcher *launcher, const attune_kv_copy_args *args,
                                              cl_command_queue queue, cl_uint num_wait, const cl_event *wait,
                                              cl_event *event);

typedef struct attune_kv_transfer_args {
    size_t size;
    int64_t num_tokens;    /* of the sequence, 0 to 2^31 - 1 */
    attune_tensor pages;   /* int32 [ceil(num_tokens / page_size)]: the sequence's pages in order of position */
    attune_tensor k;       /* [num_tokens, num_kv_heads, head_dim_qk] in the cache's type */
    attune_tensor v;       /* [num_tokens, num_kv_heads, head_dim_vo] in the cache's type */
    attune_tensor k_cache; /* in the launcher's layout */
    attune_tensor v_cache; /* in the launcher's layout */
} attune_kv_transfer_args;

#define ATTUNE_KV_TRANSFER_ARGS_INIT                                                                                   \
    {sizeof(attune_kv_transfer_args), 0, ATTUNE_TENSOR_INIT, ATTUNE_TENSOR_INIT, ATTUNE_TENSOR_INIT,                   \
     ATTUNE_TENSOR_INIT, ATTUNE_TENSOR_INIT}

/* Gathers a sequence's tokens from its pages into k and v, bit for bit: canonical rows, whatever the layout, to offload them or
 * to move them to another machine or layout. */
ATTUNE_API attune_status attune_kv_export(attune_kv_launcher *launcher, const attune_kv_transfer_args *args,
                                          cl_command_queue queue, cl_uint num_wait, const cl_event *wait, cl_event *event);

/* The way back: stores k and v in the sequence's pages. The rest of the last page stays as it is. */
ATTUNE_API attune_status attune_kv_import(attune_kv_launcher *launcher, const attune_kv_transfer_args *args,
                                          cl_command_queue queue, cl_uint num_wait, const cl_event *wait, cl_event *event);

#ifdef __cplusplus
}
#endif

#endif /* ATTUNE_ATTUNE_H */
