/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ATTUNE_PLAN_H
#define ATTUNE_PLAN_H

#include <attune/tune.h>

#include "abi.clh"
#include "layout.h"
#include "merge.h"
#include "select.h"

#define PLAN_MAX_CONFIGS SCHEDULE_MAX_SEGMENTS

struct plan_config {
    struct kernel_config config;
    struct kernel_resources resources;
    char text[ATTUNE_CONFIG_TEXT_MAX];
    const char *source; /* "tuned", "shallow", "nearest", "default" or "forced" */
    int32_t num_groups; /* of the fixed grid */
    cl_program program;
};

/* One row of the decision table. */
struct plan_point {
    struct shape_bucket bucket;
    attune_shape shape; /* of the options, that is in it */
    int32_t config;
    double time_ms;            /* of config here; 0 = not known */
    double regret;             /* time / best known time - 1; -1 = not known */
    const char *regret_source; /* "measured", "nearest" or "unknown" */
};

/* The shapes that a plan is made for. */
struct shape_list {
    const attune_shape *shapes;
    size_t count;
    bool named; /* by the caller; else the usual ones */
};

struct attune_plan {
    attune_context *context;
    attune_attention_desc desc; /* normalised: head_dim_vo and scale are set */
    bool has_layout;
    struct attune_kv_layout layout; /* a copy */
    struct kernel_facts facts;
    int32_t num_configs, num_points;
    struct plan_config configs[PLAN_MAX_CONFIGS];
    struct merge_program merge;
    struct plan_point *points;
    attune_kv_launcher *convert; /* new rows of another type than the cache's: their kernel; else NULL */
    cl_program check; /* debug mode: kernels/check_pages.cl; else NULL */
    char signature[HASH_HEX_SIZE]; /* equal for plans that one schedule serves */
};

/* Configuration for one sequence of a step of `batch` sequences: that of the nearest point of the decision table. Depends on
 * the lengths by their shape_bucket only: schedules remember the answers. */
int32_t plan_config_for(const struct attune_plan *plan, int32_t batch, int32_t q_len, int32_t kv_len);

struct shape_list plan_shapes(const attune_plan_options *options);

/* Checks what plan creation is given; options is not NULL. */
attune_status plan_check_arguments(const attune_context *context, const attune_attention_desc *desc,
                                   const attune_kv_layout *layout, const attune_plan_options *options);

/* lib/plan_table.c: fills points and configs, uncompiled, with nothing that is set aside. */
attune_status plan_choose(struct attune_plan *plan, const struct shape_list *list, const attune_plan_options *options,
                          const struct aside *aside);
/* lib/plan_working.c: the same, compiled, with nothing that does not compile: NOT_TUNED (CACHED_ONLY) or the first failure
 * where nothing else is left. */
attune_status plan_choose_working(struct attune_plan *plan, const struct shape_list *list,
                                  const attune_plan_options *options);
/* One configuration for every shape. SYNTAX, UNSUPPORTED. */
attune_status plan_force(struct attune_plan *plan, const struct shape_list *list, const char *text);

/* Compiles config (or takes its cached binary) and runs it once on an empty work list with the plan's grid, so that no
 * compiler runs later. Fills program and num_groups. */
attune_status plan_compile(const struct attune_plan *plan, struct plan_config *config);

/* Debug mode: compiles kernels/check_pages.cl into plan->check, and runs it once on nothing. */
attune_status plan_compile_check(struct attune_plan *plan);

#endif
