/* SPDX-License-Identifier: Apache-2.0
 * A scripted OpenCL driver for tests: objects, script, clock. The script's format is in README.md. */
#ifndef ICD_H
#define ICD_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <CL/cl.h>
#include <CL/cl_ext.h>
#include <CL/cl_icd.h>

/* ---- objects: the ICD loader reads the first word of each */

enum kind {
    KIND_PLATFORM = 0x1cd0,
    KIND_DEVICE,
    KIND_CONTEXT,
    KIND_QUEUE,
    KIND_MEM,
    KIND_PROGRAM,
    KIND_KERNEL,
    KIND_EVENT,
};

struct object {
    const cl_icd_dispatch *dispatch;
    enum kind kind;
    atomic_uint refs; /* the host's; 0: the handle is dead, and every call refuses it */
    atomic_uint uses; /* the driver's, plus one while refs > 0; 0: destroyed */
    void (*destroy)(struct object *object);
};

/* Zeroed object with one reference. size covers the object that the header begins. */
void *object_create(size_t size, enum kind kind, void (*destroy)(struct object *));
bool object_is(const void *handle, enum kind kind);
cl_int object_retain(void *handle, enum kind kind, cl_int invalid);
cl_int object_release(void *handle, enum kind kind, cl_int invalid);
void object_use(void *object);
void object_drop(void *object);
/* Objects that the host created and has not released. */
size_t objects_alive(void);

/* ---- script */

enum fault_what {
    FAULT_ERROR, /* returns fault.error */
    FAULT_BUILD_FAILURE,
    FAULT_CRASH,
    FAULT_ILLEGAL,
    FAULT_ABORT,
    FAULT_HANG,
    FAULT_MEMORY,
    FAULT_DEVICE_LOST,
    FAULT_SLEEP,
    FAULT_WRONG,
    FAULT_NAN,
    FAULT_NO_OP,
    FAULT_WRITE_INPUT,
    FAULT_OVERRUN,
};

/* Which configurations a fault or a factor is for: all given texts must hold. */
struct match {
    char *tokens; /* space-separated; each equals a -D of the build options, or the kernel's name */
    char *source; /* occurs in the program's source */
    char *device; /* occurs in the device's name */
};

struct fault {
    int call; /* index of an API call, or -1: by configuration */
    struct match match;
    enum fault_what what;
    bool at_build, async;
    cl_int error;
    uint64_t nth, times; /* from the nth occurrence on, that many; times 0: all */
    double amount;
    uint64_t bytes, sleep_ms;
    char *log;
    atomic_ullong seen;
};

struct factor {
    struct match match;
    double factor;
};

/* Work that a probe's launch does in a second. */
struct rate {
    struct match match;
    double up_to_bytes; /* of the footprint of a read; 0: any */
    double per_second;
};

struct timing {
    double default_ns, item_ns, pair_ns, first_ns, transfer_ns, byte_ns, build_ns;
    double noise, drift;
    uint64_t seed;
    struct factor *factors;
    size_t num_factors;
    struct rate *rates;
    size_t num_rates;
};

struct _cl_platform_id {
    struct object object;
    char *name, *vendor, *version, *extensions;
    cl_uint num_devices;
    struct _cl_device_id *devices;
};

struct _cl_device_id {
    struct object object;
    cl_platform_id platform;
    char *name, *vendor, *version, *c_version, *driver, *extensions;
    int major, minor;
    cl_device_type type;
    cl_uint vendor_id, compute_units, clock_mhz, sub_group_size;
    size_t max_work_group_size;
    cl_ulong local_mem, global_mem, max_alloc;
    cl_device_svm_capabilities svm;
    unsigned instructions; /* bit per INSTRUCTION of kernels/probe_instruction.cl that the compiler takes */
    bool has_uuid, has_pci;
    cl_uchar uuid[CL_UUID_SIZE_KHR];
    cl_uint pci[4]; /* domain, bus, device, function */
    struct timing timing;
    atomic_ullong allocated, launches;
    atomic_int lost; /* the code that every call on it returns from then on; 0: alive */
};

struct script {
    cl_uint num_platforms;
    struct _cl_platform_id *platforms;
    size_t num_faults;
    struct fault *faults;
};

/* Loaded once. A script that does not parse is reported on stderr and gives no platform. */
const struct script *script_get(void);

/* ---- what a configuration is, for matching */

struct subject {
    cl_device_id device;
    const char *options, *source, *kernel; /* kernel: NULL at build */
};

bool match_holds(const struct match *match, const struct subject *subject);
/* Value of the last -D name=value or -Dname=value; absent if there is none. */
long option_value(const char *options, const char *name, long absent);

/* ---- calls and faults */

enum call {
#define CALL(name) CALL_##name,
#include "calls.def"
#undef CALL
    CALL_COUNT
};

/* Index of a call by name, or -1. */
int call_find(const char *name);
/* Counts a call; the scripted error of this occurrence, or CL_SUCCESS. */
cl_int call_enter(enum call call);
uint64_t call_count(const char *name);

#define ENTER(name)                                \
    do {                                           \
        cl_int scripted = call_enter(CALL_##name); \
        if (scripted)                              \
            return scripted;                       \
    } while (0)
#define ENTER_CREATE(name, error_out)                  \
    do {                                               \
        cl_int scripted = call_enter(CALL_##name);     \
        if (scripted)                                  \
            return create_failed(error_out, scripted); \
    } while (0)

/* NULL, with the code where the host wants it. */
void *create_failed(cl_int *error_out, cl_int code);
void *create_done(cl_int *error_out, void *object);

/* The next fault scripted for a subject, and so on from it: NULL to start. NULL at the end. */
const struct fault *fault_next(const struct fault *after, const struct subject *subject, bool at_build);
/* Does what a process-level fault says (crash, abort, sleep, memory); returns its error code, if any. */
cl_int fault_strike(const struct fault *fault, cl_device_id device);
/* Real sleep, or as much virtual time. */
void fault_sleep(const struct fault *fault);

/* ---- clock and time model */

uint64_t clock_now(void);
/* True while ATTUNE_TEST_CLOCK is in force. */
bool clock_virtual(void);
/* Moves the virtual clock on; returns where it was. In real time: now. */
uint64_t clock_advance(uint64_t ns);
struct work {
    uint64_t items, pairs; /* pairs of a query row and a key that it sees, over all heads */
    double probed;         /* what a probe does: operations or bytes; 0 otherwise */
    uint64_t footprint;    /* of a probe's reads */
};

/* Duration of one launch of the subject. first: of its kernel object. */
uint64_t launch_time(const struct subject *subject, bool first, const struct work *work);
uint64_t transfer_time(cl_device_id device, size_t bytes);

/* ---- objects of the API */

struct destructor {
    struct destructor *next;
    void(CL_CALLBACK *mem)(cl_mem, void *);
    void(CL_CALLBACK *context)(cl_context, void *);
    void *data;
};

struct _cl_context {
    struct object object;
    cl_uint num_devices;
    cl_device_id *devices;
    cl_context_properties *properties;
    size_t num_properties;
    struct destructor *destructors;
};

struct _cl_mem {
    struct object object;
    cl_context context;
    cl_mem parent;
    cl_mem_object_type type;
    cl_mem_flags flags;
    size_t size, origin;
    unsigned char *data;
    void *host_ptr;
    bool owned;
    atomic_uint maps;
    struct destructor *destructors;
};

struct _cl_program {
    struct object object;
    cl_context context;
    char *source, *options, *log;
    bool from_binary;
    cl_build_status status;
    atomic_uint kernels;
    pthread_mutex_t lock; /* source to status */
};

#define MAX_ARGS 32
#define MAX_ARG_SIZE 512

struct kernel_arg {
    enum { ARG_UNSET, ARG_VALUE, ARG_MEM, ARG_SVM, ARG_LOCAL } kind;
    size_t size;
    cl_mem mem;
    void *svm;
    unsigned char value[MAX_ARG_SIZE];
};

/* As in any driver, one kernel object may not be used from several threads at once. */
struct _cl_kernel {
    struct object object;
    cl_program program;
    char *name, *options;
    const struct known_kernel *known; /* NULL: a probe, of any signature */
    atomic_bool launched;
    cl_uint num_args; /* 0: any number (a probe) */
    struct kernel_arg args[MAX_ARGS];
};

struct _cl_command_queue {
    struct object object;
    cl_context context;
    cl_device_id device;
    cl_command_queue_properties properties;
    cl_queue_properties list[8];
    size_t num_list;
};

struct callback {
    struct callback *next;
    cl_int when;
    void(CL_CALLBACK *function)(cl_event, cl_int, void *);
    void *data;
};

struct _cl_event {
    struct object object;
    cl_context context;
    cl_command_queue queue; /* NULL: a user event */
    cl_command_type type;
    atomic_int status;
    cl_ulong queued, submitted, started, ended;
    struct callback *callbacks;
};

/* ---- commands */

struct command {
    struct command *next;
    cl_command_queue queue;
    cl_event event;
    cl_uint num_waits;
    cl_event *waits;
    bool running, barrier;
    /* Does the work and returns its duration in *ns; a negative code fails the event, COMMAND_HANGS never ends it. */
    cl_int (*run)(struct command *command, uint64_t *ns);
    void (*release)(struct command *command); /* frees what the command holds; may be NULL */
};

#define COMMAND_HANGS 1

/* Zeroed command of the given size for a valid queue, with a checked wait list; or NULL with a code. */
void *command_create(size_t size, cl_command_queue queue, cl_command_type type, cl_uint num_waits,
                     const cl_event *waits, cl_int *error);
/* Enqueues and runs what is ready. Takes the command. Blocks until it is done if so wanted. */
cl_int command_submit(struct command *command, bool blocking, cl_event *event_out);
/* Frees a command that was not submitted. */
void command_free(struct command *command);
cl_int event_wait(cl_event event);
void queue_wait(cl_command_queue queue);

/* ---- memory */

/* True with the extent behind a pointer if it lies in an SVM allocation. */
bool svm_find(const void *pointer, size_t *room);
/* Start and extent of what an argument points at. */
unsigned char *arg_memory(const struct kernel_arg *arg, size_t *room);

/* ---- programs and kernels */

/* True if source declares the function. */
bool source_has_kernel(const char *source, const char *name);

#define ATTENTION_ARGS 12
#define MAX_STRIKES 8

struct launch;
struct work;

/* A kernel that the driver computes: its memory arguments come first, one struct last. */
struct known_kernel {
    const char *name;
    cl_uint num_memory;
    size_t struct_size;
    /* Computes in plain C what the kernel would. Fails, with a line on stderr, if the schedule makes no sense or an access
     * would leave a buffer. */
    cl_int (*compute)(const struct launch *launch, struct work *work);
};

/* By the first `length` characters of a name; NULL for others. */
const struct known_kernel *known_kernel(const char *name, size_t length);

/* One launch of a kernel with its own copy of the arguments, safe from later clSetKernelArg. */
struct launch {
    struct command command;
    cl_kernel kernel;
    size_t groups;
    const struct fault *strikes[MAX_STRIKES];
    size_t num_strikes;
    struct kernel_arg args[MAX_ARGS];
};

/* `attention`, as the launch's strikes bend it; `merge` and `merge_states`. */
cl_int attention_compute(const struct launch *launch, struct work *work);
cl_int merge_compute(const struct launch *launch, struct work *work);
cl_int merge_states_compute(const struct launch *launch, struct work *work);
cl_int check_pages_compute(const struct launch *launch, struct work *work);
cl_int write_schedule_compute(const struct launch *launch, struct work *work);

/* Adds what a launch of a probe's kernel does, and gives the answers of those that have some. */
void probe_work(const struct launch *launch, struct work *work);
cl_int probe_compute(const struct launch *launch);

/* ---- info queries */

cl_int info_give(size_t size, void *value, size_t *size_ret, const void *data, size_t data_size);
cl_int info_text(size_t size, void *value, size_t *size_ret, const char *text);
#define INFO_VALUE(type, ...)                                        \
    do {                                                             \
        type info = (__VA_ARGS__);                                   \
        return info_give(size, value, size_ret, &info, sizeof info); \
    } while (0)

/* Fills the dispatch table once. */
const cl_icd_dispatch *dispatch_get(void);
void dispatch_fill_unsupported(cl_icd_dispatch *table);

#endif
