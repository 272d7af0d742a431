/* SPDX-License-Identifier: Apache-2.0 */
#include "plan.h"

#include <stdlib.h>
#include <string.h>

#include "desc.h"
#include "kv_cache.h"
#include "measure_plan.h"

#define MAX_SHAPES 1024

static const attune_plan_options default_options = ATTUNE_PLAN_OPTIONS_INIT;

struct shape_list plan_shapes(const attune_plan_options *options)
{
    /* Each class of q_len, short and long. */
    static const attune_shape usual[] = {{1, 512, 512}, {1, 512, 4096}, {1, 64, 512}, {1, 64, 4096},
                                         {1, 8, 512},   {1, 8, 4096},   {8, 1, 512},  {8, 1, 4096}};
    if (options->num_shapes)
        return (struct shape_list){options->shapes, options->num_shapes, true};
    return (struct shape_list){usual, sizeof usual / sizeof usual[0], false};
}

static attune_status check_shape(const attune_attention_desc *desc, const attune_shape *shape, size_t i)
{
    if (shape->batch < 1 || shape->batch > 1 << 20)
        return set_error(ATTUNE_ERROR_INVALID_SIZE, "options.shapes[%zu].batch is %d; it must be 1 to 1048576", i,
                         shape->batch);
    if (shape->q_len < 1)
        return set_error(ATTUNE_ERROR_INVALID_SIZE, "options.shapes[%zu].q_len is %d; it must be at least 1", i,
                         shape->q_len);
    if (shape->kv_len < 0)
        return set_error(ATTUNE_ERROR_INVALID_SIZE, "options.shapes[%zu].kv_len is %d; it must be at least 0", i,
                         shape->kv_len);
    if (desc->operation == ATTUNE_EXTEND && shape->kv_len < shape->q_len)
        return set_error(ATTUNE_ERROR_INVALID_SIZE,
                         "options.shapes[%zu].kv_len is %d; it must be at least its q_len (%d), which it includes", i,
                         shape->kv_len, shape->q_len);
    return ATTUNE_OK;
}

static attune_status check_options(const attune_attention_desc *desc, const attune_plan_options *o)
{
    attune_status status = struct_check(o, sizeof *o, "options");
    if (status != ATTUNE_OK)
        return status;
    if (o->policy < ATTUNE_CACHED_ONLY || o->policy > ATTUNE_EXHAUSTIVE)
        return set_error(ATTUNE_ERROR_ENUM, "options.policy is %d; it must be CACHED_ONLY (1) to EXHAUSTIVE (4)",
                         (int)o->policy);
    if (o->max_configs < 1 || o->max_configs > PLAN_MAX_CONFIGS)
        return set_error(ATTUNE_ERROR_INVALID_SIZE, "options.max_configs is %d; it must be 1 to %d", o->max_configs,
                         PLAN_MAX_CONFIGS);
    if (o->num_shapes > MAX_SHAPES)
        return set_error(ATTUNE_ERROR_INVALID_SIZE, "options.num_shapes is %zu; it must be at most %d", o->num_shapes,
                         MAX_SHAPES);
    if (o->num_shapes && !o->shapes)
        return set_error(ATTUNE_ERROR_NULL_ARGUMENT, "options.shapes is NULL with options.num_shapes %zu",
                         o->num_shapes);
    if (o->budget_tests < 0 || !(o->budget_seconds >= 0))
        return set_error(ATTUNE_ERROR_INVALID_SIZE,
                         "options.budget_tests and options.budget_seconds must not be negative");
    if (o->validate != 0 && o->validate != 1)
        return set_error(ATTUNE_ERROR_INVALID_SIZE, "options.validate is %d; it must be 0 or 1", o->validate);
    for (size_t i = 0; status == ATTUNE_OK && i < o->num_shapes; i++)
        status = check_shape(desc, &o->shapes[i], i);
    return status;
}

static void sign(struct attune_plan *plan)
{
    const attune_attention_desc *d = &plan->desc;
    struct strbuf text = {0};
    strbuf_printf(&text, "%p %d %d %d %d %d %d", (void *)plan->context, d->operation, d->num_q_heads, d->num_kv_heads,
                  d->mask, d->causal_alignment, plan->has_layout ? plan->layout.page_size : 0);
    for (int32_t i = 0; i < plan->num_configs; i++) {
        const struct plan_config *c = &plan->configs[i];
        /* What items cover may depend on head dims, too: the fixed tiles' does. */
        strbuf_printf(&text, "|%s %d %d %d %d", c->text, c->resources.tile_tokens, c->resources.tile_heads,
                      c->resources.split_keys, c->num_groups);
    }
    for (int32_t i = 0; i < plan->num_points; i++)
        strbuf_printf(&text, "|%d %d %d %d", plan->points[i].bucket.q_class, plan->points[i].bucket.log2_kv,
                      plan->points[i].bucket.log2_heads, plan->points[i].config);
    hash_hex(text.text ? text.text : "", text.length, plan->signature);
    strbuf_free(&text);
}

static attune_status fill(struct attune_plan *plan, const attune_plan_options *options)
{
    struct shape_list list = plan_shapes(options);
    attune_status status = ATTUNE_OK;
    if (options->force_config) {
        if ((status = plan_force(plan, &list, options->force_config)) == ATTUNE_OK)
            status = plan_compile(plan, &plan->configs[0]);
    } else {
        if (options->policy >= ATTUNE_MEASURE)
            status = plan_measure(plan->context, &plan->desc, plan->has_layout ? &plan->layout : NULL, &list, options);
        if (status == ATTUNE_OK)
            status = plan_choose_working(plan, &list, options);
    }
    if (status == ATTUNE_OK && plan->desc.new_kv_dtype)
        status = kv_convert_create(plan->context, &plan->desc, &plan->convert);
    if (status == ATTUNE_OK && options->validate)
        status = plan_compile_check(plan);
    const struct kernel_facts *facts = &plan->facts;
    const struct merge_facts merge = {facts->head_dim_vo, facts->o_type, facts->causal, facts->half_load,
                                      facts->sub_group_size};
    if (status == ATTUNE_OK)
        status = merge_program_create(plan->context, &merge, &plan->merge);
    if (status == ATTUNE_OK)
        sign(plan);
    return status;
}

attune_status plan_check_arguments(const attune_context *context, const attune_attention_desc *desc,
                                   const attune_kv_layout *layout, const attune_plan_options *options)
{
    if (!context)
        return set_error(ATTUNE_ERROR_NULL_ARGUMENT, "context is NULL");
    attune_status status;
    if ((status = desc_validate(desc)) != ATTUNE_OK || (status = check_options(desc, options)) != ATTUNE_OK)
        return status;
    if (layout && layout->context != context)
        return set_error(ATTUNE_ERROR_WRONG_CONTEXT, "layout was created from another context");
    if ((status = kv_layout_check_desc(layout, desc)) != ATTUNE_OK)
        return status;
    return desc_supported(desc);
}

attune_status attune_plan_create(attune_context *context, const attune_attention_desc *desc,
                                 const attune_kv_layout *layout, const attune_plan_options *options, attune_plan **out)
{
    if (!out)
        return set_error(ATTUNE_ERROR_NULL_ARGUMENT, "out is NULL");
    *out = NULL;
    if (!options)
        options = &default_options;
    attune_status status = plan_check_arguments(context, desc, layout, options);
    if (status != ATTUNE_OK)
        return status;
    struct attune_plan *plan = calloc(1, sizeof *plan);
    if (!plan)
        return set_error(ATTUNE_ERROR_OUT_OF_MEMORY, "out of memory for a plan");
    plan->context = context;
    plan->desc = *desc;
    plan->desc.size = sizeof plan->desc;
    if (!plan->desc.head_dim_vo)
        plan->desc.head_dim_vo = desc->head_dim_qk;
    plan->desc.scale = desc_scale(desc);
    if (desc_new_kv_dtype(desc) == desc->kv_dtype)
        plan->desc.new_kv_dtype = (attune_dtype)0;
    if (layout) {
        plan->has_layout = true;
        plan->layout = *layout;
    }
    plan->facts = problem_facts(&plan->desc, plan->has_layout ? plan->layout.page_size : 0, &context->choice);
    status = fill(plan, options);
    if (status != ATTUNE_OK)
        attune_plan_destroy(&plan);
    *out = plan;
    return status;
}

void attune_plan_destroy(attune_plan **address)
{
    if (!address || !*address)
        return;
    struct attune_plan *plan = *address;
    *address = NULL;
    for (int32_t i = 0; i < plan->num_configs; i++)
        if (plan->configs[i].program)
            clReleaseProgram(plan->configs[i].program);
    attune_kv_launcher_destroy(&plan->convert);
    if (plan->check)
        clReleaseProgram(plan->check);
    if (plan->merge.program)
        clReleaseProgram(plan->merge.program);
    free(plan->points);
    free(plan);
}

size_t attune_plan_num_configs(const attune_plan *plan)
{
    return plan ? (size_t)plan->num_configs : 0;
}

const char *attune_plan_config(const attune_plan *plan, size_t i)
{
    return plan && i < (size_t)plan->num_configs ? plan->configs[i].text : NULL;
}

const char *attune_plan_source(const attune_plan *plan, size_t i)
{
    return plan && i < (size_t)plan->num_configs ? plan->configs[i].source : NULL;
}
