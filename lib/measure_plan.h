/* SPDX-License-Identifier: Apache-2.0
 * Tuning on behalf of plan creation. */
#ifndef ATTUNE_MEASURE_PLAN_H
#define ATTUNE_MEASURE_PLAN_H

#include "context.h"

/* Tunes desc on a cache of layout (NULL: none) at shapes[count] on the context's device, in workers, within the options'
 * budgets; shapes that a verified entry answers are left alone under ATTUNE_MEASURE. The winners end up in the context's
 * cache. UNSUPPORTED for a layout that is neither NHD nor HND: problem strings cannot say it. */
attune_status plan_measure(attune_context *context, const attune_attention_desc *desc,
                           const attune_kv_layout *layout, const attune_shape *shapes, size_t count,
                           const attune_plan_options *options);

#endif
