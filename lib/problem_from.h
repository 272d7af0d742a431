/* SPDX-License-Identifier: Apache-2.0
 * Problems from an engine's objects: a descriptor, the layout of its KV cache, and lengths. */
#ifndef ATTUNE_PROBLEM_FROM_H
#define ATTUNE_PROBLEM_FROM_H

#include "layout.h"
#include "problem.h"

/* The cache of layout (NULL: none) in a problem's words, without lengths. UNSUPPORTED for strides that problem strings cannot
 * say. */
attune_status problem_like_layout(const struct attune_kv_layout *layout, struct attune_problem *like);

/* attune_problem_from for a valid descriptor that fits the layout. */
attune_status problem_from_shape(const attune_attention_desc *desc, const struct attune_kv_layout *layout,
                                 const attune_shape *shape, attune_problem **out);

#endif
