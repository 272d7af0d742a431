/* SPDX-License-Identifier: Apache-2.0
 * Tuning on behalf of plan creation. */
#ifndef ATTUNE_MEASURE_PLAN_H
#define ATTUNE_MEASURE_PLAN_H

#include <attune/tune.h>

#include "context.h"

struct shape_list;

/* Tunes desc at the shapes of list on the context's device, in workers, within the options' budgets; shapes that a
 * verified entry answers are left alone under ATTUNE_MEASURE. The winners end up in the context's cache. UNSUPPORTED for a
 * layout of ATTUNE_KV_STRIDED that is not NHD or HND with padding: problem strings cannot say it. */
attune_status plan_measure(attune_context *context, const attune_attention_desc *desc, const attune_kv_layout *layout,
                           const struct shape_list *list, const attune_plan_options *options);

/* That UNSUPPORTED, before anything is done. */
attune_status plan_check_measurable(const attune_kv_layout *layout);

/* plan_measure with all of the tuner's options. summary may be NULL. */
attune_status plan_tune(attune_context *context, const attune_attention_desc *desc, const attune_kv_layout *layout,
                        const struct shape_list *list, const attune_tune_options *options,
                        attune_tune_summary *summary);

#endif
