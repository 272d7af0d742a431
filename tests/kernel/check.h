/* SPDX-License-Identifier: Apache-2.0
 * One kernel configuration against the oracle on one problem, through the public path: plan, schedule, launcher, run.
 */
#ifndef ATTUNE_TESTS_CHECK_H
#define ATTUNE_TESTS_CHECK_H

#include "base/base.h"
#include "workload_device.h"

/* Everything that one problem needs, from host tensors to reference. */
struct check_run {
    attune_context *context;
    attune_problem *problem;
    struct workload workload;
    struct workload_device device;
    attune_plan *plan;
    attune_schedule *schedule;
    attune_launcher *launcher;
    cl_command_queue queue; /* in order */
    float *o, *lse;         /* packed result of check_run_read */
    struct oracle_reference reference;
};

/* The four steps of a check; failures are in attune_last_error(). destroy also after a failed create. */
attune_status check_run_create(attune_context *context, const char *problem, const attune_plan_options *plan_options,
                               const struct workload_options *options, struct check_run *out);
/* Replaces the schedule by one with other options, and the workspace by one for it. */
attune_status check_run_reschedule(struct check_run *run, const attune_schedule_options *options);
/* After a change of the workload's tensors on the host: uploads them and computes the references anew. Blocks. */
attune_status check_run_renew(struct check_run *run);
/* Other values of the same lengths, with their reference. */
attune_status check_run_redraw(struct check_run *run, const struct workload_options *options);
/* Poisons, updates the schedule and runs. */
attune_status check_run_enqueue(struct check_run *run, uint64_t poison);
attune_status check_run_compare(struct check_run *run, uint64_t poison);
void check_run_destroy(struct check_run *run);

/* Options of a schedule that the problem fits into, split by load. */
attune_schedule_options check_limits(const attune_problem *problem);

/* Puts a verified entry into the context's cache: config answers for the problem's descriptor on a layout and a bucket.
 */
attune_status check_store_entry(attune_context *where, const attune_problem *problem, struct shape_bucket bucket,
                                const char *layout, const char *config);

/* Runs problem with config on context and compares with the oracle under the descriptor's contract. Returns NULL, or
 * what is wrong (static buffer), the problem's text, seed and configuration included. */
const char *check_problem(attune_context *context, const char *problem, const char *config,
                          const struct workload_options *options);

/* True if config can run the problem on context: constraints and limits. */
bool check_valid(attune_context *context, const char *problem, const struct kernel_config *config);
/* A configuration drawn from the family's space that is valid for the problem; false if none was found. */
bool check_draw_config(attune_context *context, struct rng *rng, int family, const char *problem,
                       struct kernel_config *out);

/* A context for the tests' backend: the first OpenCL device that can play it. Exits with 77 (skip) if there is none. */
attune_context *check_context(const char *backend);

#endif
