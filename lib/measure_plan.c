/* SPDX-License-Identifier: Apache-2.0 */
#include "measure_plan.h"

#include <stdlib.h>

#include "plan.h"
#include "portfolio.h"
#include "problem_from.h"
#include "tuner/target.h"

static attune_status tune(attune_context *context, const attune_problem *const *problems, size_t count,
                          const attune_tune_options *options, attune_tune_summary *summary)
{
    attune_target_options where = ATTUNE_TARGET_OPTIONS_INIT;
    attune_device_info device;
    backend_device_info(&context->choice, &device);
    where.backend = device.backend;
    where.device = device.selector;
    where.cache_dir = context->places.user;
    where.site_cache_dir = context->places.site;
    where.shipped_cache_dir = context->places.shipped;
    where.worker = context->worker;
    where.log = context->logger.callback;
    where.log_priv = context->logger.priv;
    where.log_level = context->logger.level;
    attune_target *target;
    attune_status status = attune_target_create(&target, &where);
    if (status != ATTUNE_OK)
        return status;
    /* The plan will run in this context, so nothing may be chosen that its kernels cannot use. */
    const struct device_limits *limits = &context->choice.limits;
    if (limits->stack_bytes && limits->stack_bytes < target->reported.stack_bytes)
        target->reported.stack_bytes = limits->stack_bytes;
    const struct probe_facts facts = {(int32_t)limits->features, limits->half_load, limits->max_work_group_size};
    if ((status = target_apply_facts(target, &facts)) != ATTUNE_OK) {
        attune_target_destroy(&target);
        return status;
    }
    attune_tune_result *results = calloc(count, sizeof *results);
    if (results)
        status = target_tune_into(target, context->cache, problems, count, options, results, summary);
    else
        status = set_error(ATTUNE_ERROR_OUT_OF_MEMORY, "out of memory for %zu results", count);
    free(results);
    attune_target_destroy(&target);
    return status;
}

/* One problem for each shape's bucket: the second of a bucket would overwrite the first one's entry. */
static bool is_first(const attune_attention_desc *desc, const attune_shape *shapes, size_t i)
{
    struct shape_bucket own = shape_bucket_uniform(desc, shapes[i].batch, shapes[i].q_len, shapes[i].kv_len);
    for (size_t k = 0; k < i; k++)
        if (shape_bucket_equal(own, shape_bucket_uniform(desc, shapes[k].batch, shapes[k].q_len, shapes[k].kv_len)))
            return false;
    return true;
}

attune_status plan_check_measurable(const attune_kv_layout *layout)
{
    struct attune_problem like;
    return problem_like_layout(layout, &like);
}

attune_status plan_tune(attune_context *context, const attune_attention_desc *desc, const attune_kv_layout *layout,
                        const struct shape_list *list, const attune_tune_options *options, attune_tune_summary *summary)
{
    attune_status status = ATTUNE_OK;
    attune_problem **problems = calloc(list->count, sizeof(attune_problem *));
    if (!problems)
        return set_error(ATTUNE_ERROR_OUT_OF_MEMORY, "out of memory for %zu problems", list->count);
    size_t count = 0;
    for (size_t i = 0; status == ATTUNE_OK && i < list->count; i++)
        if (is_first(desc, list->shapes, i) &&
            (status = problem_from_shape(desc, layout, &list->shapes[i], &problems[count])) == ATTUNE_OK)
            count++;
    if (status == ATTUNE_OK)
        status = tune(context, (const attune_problem *const *)problems, count, options, summary);
    for (size_t i = 0; i < count; i++)
        attune_problem_destroy(&problems[i]);
    free(problems);
    return status;
}

attune_status plan_measure(attune_context *context, const attune_attention_desc *desc, const attune_kv_layout *layout,
                           const struct shape_list *list, const attune_plan_options *options)
{
    attune_tune_options how = ATTUNE_TUNE_OPTIONS_INIT;
    how.policy = options->policy;
    how.budget_tests = options->budget_tests;
    how.budget_seconds = options->budget_seconds;
    how.seed = options->seed;
    return plan_tune(context, desc, layout, list, &how, NULL);
}
