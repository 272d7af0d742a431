/* SPDX-License-Identifier: Apache-2.0 */
#include "measure_plan.h"

attune_status plan_measure(attune_context *context, const attune_attention_desc *desc, int32_t page_size,
                           const attune_shape *shapes, size_t count, const attune_plan_options *options)
{
    (void)context, (void)desc, (void)page_size, (void)shapes, (void)count, (void)options;
    return set_error(ATTUNE_ERROR_UNSUPPORTED, "options.policy: this version does not measure yet");
}
