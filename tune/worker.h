/* SPDX-License-Identifier: Apache-2.0
 * attune-worker: the process that opens the device and runs candidate kernels. See lib/tuner/protocol.h. */
#ifndef ATTUNE_WORKER_H
#define ATTUNE_WORKER_H

#include <attune/tune.h>

#include "tuner/instruction.h"
#include "tuner/protocol.h"
#include "workload_device.h"

#define MAX_INPUTS 1024
#define MAX_SLOTS 64
#define NUM_PROBES 9

/* One drawn workload on the device. */
struct input {
    attune_problem *problem;
    struct workload_device device;
    struct append *append; /* made by the first `append` */
};

/* One built configuration. */
struct slot {
    attune_plan *plan;
    attune_schedule *schedule;
    attune_launcher *launcher;
};

struct probe {
    cl_program program;
    cl_kernel kernel;
    cl_mem buffer;
    char options[96]; /* that it was built with */
};

/* The instruction tried last. */
struct instruction_trial {
    const struct instruction *instruction;
    const char *name; /* of the kernel */
    cl_program program;
    cl_kernel kernel;
    cl_mem in, out;
    size_t wg_size, items; /* work-items */
};

/* Grid of a timed trial: host processors run a work-item at a time, others want many side by side. */
struct probe_grid {
    size_t wg_size, groups;
};

struct worker {
    attune_context *context;
    attune_context *caches; /* the same device with the user's caches: made by the first `warm` */
    cl_command_queue queue; /* in order, profiling */
    struct input *inputs[MAX_INPUTS];
    struct slot slots[MAX_SLOTS];
    struct probe probes[NUM_PROBES]; /* by trial */
    struct instruction_trial instruction;
};

/* Each answers a request: fields for the reply in *reply (may stay NULL), or an error. */
typedef attune_status (*worker_operation)(struct worker *worker, const json_t *request, json_t **reply);

attune_status worker_layout(struct worker *worker, const json_t *request, json_t **reply);
attune_status worker_load(struct worker *worker, const json_t *request, json_t **reply);
attune_status worker_unload(struct worker *worker, const json_t *request, json_t **reply);
attune_status worker_build(struct worker *worker, const json_t *request, json_t **reply);
attune_status worker_poison(struct worker *worker, const json_t *request, json_t **reply);
attune_status worker_time(struct worker *worker, const json_t *request, json_t **reply);
attune_status worker_append(struct worker *worker, const json_t *request, json_t **reply);
attune_status worker_digest(struct worker *worker, const json_t *request, json_t **reply);
attune_status worker_fetch(struct worker *worker, const json_t *request, json_t **reply);
attune_status worker_probe(struct worker *worker, const json_t *request, json_t **reply);
attune_status worker_instruction(struct worker *worker, const json_t *request, json_t **reply);
attune_status worker_warm(struct worker *worker, const json_t *request, json_t **reply);
attune_status worker_limits(struct worker *worker, const json_t *request, json_t **reply);

/* The request's fields; MISMATCH for a number out of 0 .. limit-1, or an input that is not loaded. */
attune_status request_index(const json_t *request, const char *name, int limit, int *out);
attune_status request_input(struct worker *worker, const json_t *request, struct input **out);
int64_t request_integer(const json_t *request, const char *name);
const char *request_text(const json_t *request, const char *name);

void slot_clear(struct slot *slot);
void input_free(struct input *input);
/* Reads a buffer's first bytes into the mapping that the supervisor sees, of which `shared` bytes are there. */
attune_status share_buffer(struct worker *worker, cl_mem buffer, size_t bytes, size_t shared);
void append_free(struct append **append);
void probe_clear(struct probe *probe);
void instruction_clear(struct instruction_trial *trial);
struct probe_grid probe_grid_of(const struct worker *worker);

#endif
