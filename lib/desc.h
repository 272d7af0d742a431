/* SPDX-License-Identifier: Apache-2.0
 * Checks of the structs that callers fill: sizes for all of them, values for the attention descriptor. */
#ifndef ATTUNE_DESC_H
#define ATTUNE_DESC_H

#include "base/base.h"

#define MAX_HEADS 1024
#define MAX_HEAD_DIM 576

/* given starts with `size_t size`; what is the struct's name without "struct" ("attune_tune_options"). OK if size is
 * known_size, or larger with a tail of zeros. NULL_ARGUMENT, STRUCT_SIZE otherwise. */
attune_status struct_check(const void *given, size_t known_size, const char *what);

/* Everything about a descriptor that is wrong whatever the library's version supports. */
attune_status desc_validate(const attune_attention_desc *desc);
/* OK, or UNSUPPORTED with the feature that is missing. desc must be valid. */
attune_status desc_supported(const attune_attention_desc *desc);

/* head_dim_vo with its default resolved. */
int32_t desc_head_dim_vo(const attune_attention_desc *desc);
/* new_kv_dtype with its default resolved. */
attune_dtype desc_new_kv_dtype(const attune_attention_desc *desc);
/* scale with its default resolved. */
float desc_scale(const attune_attention_desc *desc);

/* Keys [*begin, *end) that the mask lets query i of a sequence see; begin == end where there is none. */
void desc_visible_keys(const attune_attention_desc *desc, int64_t q_len, int64_t kv_len, int64_t i, int64_t *begin,
                       int64_t *end);

#endif
