/* SPDX-License-Identifier: Apache-2.0
 *
 * Template: one family's struct from its .def. Included once per family by the file that kernels/embed.py writes, which
 * defines FAMILY_ID, FAMILY_DOC, FAMILY_DEF, FAMILY_SOURCE, FAMILY_SOURCE_HASH and FAMILY_SPACE_HASH. No include guard.
 *
 * PARAM lines stand before the expressions that use them: each becomes a variable. A parameter may have the name of an
 * expression's macro (WG_SIZE): those take an argument list, variables have none.
 */
#include "family/family.h"
#include "family/table.h"

#ifndef FAMILY_TEMPLATE_HELPERS
#define FAMILY_TEMPLATE_HELPERS

#define FAMILY_PASTE2(a, b) a##b
#define FAMILY_PASTE(a, b) FAMILY_PASTE2(a, b)
#define FAMILY_TEXT2(a) #a
#define FAMILY_TEXT(a) FAMILY_TEXT2(a)

#define FAMILY_FACT(name, field)       \
    const int32_t name = facts->field; \
    (void)name;
#define FAMILY_FACTS                      \
    FAMILY_FACT(HEAD_DIM_QK, head_dim_qk) \
    FAMILY_FACT(HEAD_DIM_VO, head_dim_vo) \
    FAMILY_FACT(GROUP_SIZE, group_size)   \
    FAMILY_FACT(CAUSAL, causal)           \
    FAMILY_FACT(HAS_CACHE, has_cache)     \
    FAMILY_FACT(HAS_NEW, has_new)         \
    FAMILY_FACT(PAGED, paged)             \
    FAMILY_FACT(Q_TYPE, q_type)           \
    FAMILY_FACT(KV_TYPE, kv_type)         \
    FAMILY_FACT(O_TYPE, o_type)           \
    FAMILY_FACT(PRECISION, precision)     \
    FAMILY_FACT(SUB_GROUP_SIZE, sub_group_size) \
    FAMILY_FACT(HALF_LOAD, half_load)     \
    FAMILY_FACT(DECODE, decode)           \
    FAMILY_FACT(NUM_KV_HEADS, num_kv_heads)

#define FAMILY_VARIABLE(name)     \
    const int32_t name = *next++; \
    (void)name;

static inline int64_t family_min(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

static inline int64_t family_max(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

#endif

/* For expressions in a .def. */
#define MIN(a, b) family_min(a, b)
#define MAX(a, b) family_max(a, b)

#define CONSTRAINT(expression, text)
#define WG_SIZE(expression)
#define LOCAL_BYTES(expression)
#define PRIVATE_BYTES(expression)
#define TILE_TOKENS(expression)
#define TILE_HEADS(expression)
#define SPLIT_KEYS(expression)
#define GROUPS_PER_UNIT(expression)
#define FEATURES(expression)
#define PARAM(name, default, doc, ...) \
    {#name, doc, sizeof((int32_t[]){__VA_ARGS__}) / sizeof(int32_t), default, {__VA_ARGS__}},
/* The empty last element: a family may have no parameter, and C has no empty array. */
static const struct family_param FAMILY_PASTE(FAMILY_ID, _params)[] = {
#include FAMILY_DEF
    {0}};
#undef PARAM
#undef CONSTRAINT

#define PARAM(name, default, doc, ...) FAMILY_VARIABLE(name)
#define CONSTRAINT(expression, text) \
    if (!(expression)) {             \
        *why = text;                 \
        return false;                \
    }
static bool FAMILY_PASTE(FAMILY_ID, _valid)(const struct kernel_facts *facts, const int32_t *next, const char **why)
{
    FAMILY_FACTS
#include FAMILY_DEF
        (void)
        next;
    (void)why;
    return true;
}
#undef CONSTRAINT
#undef WG_SIZE
#undef LOCAL_BYTES
#undef PRIVATE_BYTES
#undef TILE_TOKENS
#undef TILE_HEADS
#undef SPLIT_KEYS
#undef GROUPS_PER_UNIT
#undef FEATURES

#define CONSTRAINT(expression, text)
#define WG_SIZE(expression) out->wg_size = (int32_t)(expression);
#define LOCAL_BYTES(expression) out->local_bytes = (expression);
#define PRIVATE_BYTES(expression) out->private_bytes = (expression);
#define TILE_TOKENS(expression) out->tile_tokens = (int32_t)(expression);
#define TILE_HEADS(expression) out->tile_heads = (int32_t)(expression);
#define SPLIT_KEYS(expression) out->split_keys = (int32_t)(expression);
#define GROUPS_PER_UNIT(expression) out->groups_per_unit = (int32_t)(expression);
#define FEATURES(expression) out->features = (expression);
static void FAMILY_PASTE(FAMILY_ID, _resources)(const struct kernel_facts *facts, const int32_t *next,
                                                struct kernel_resources *out)
{
    FAMILY_FACTS
#include FAMILY_DEF
        (void)
        next;
}

const struct family FAMILY_PASTE(FAMILY_ID, _family) = {
    .name = FAMILY_TEXT(FAMILY_ID),
    .doc = FAMILY_DOC,
    .source = FAMILY_SOURCE,
    .source_hash = FAMILY_SOURCE_HASH,
    .space_hash = FAMILY_SPACE_HASH,
    .num_params = sizeof FAMILY_PASTE(FAMILY_ID, _params) / sizeof(struct family_param) - 1,
    .params = FAMILY_PASTE(FAMILY_ID, _params),
    .valid = FAMILY_PASTE(FAMILY_ID, _valid),
    .resources = FAMILY_PASTE(FAMILY_ID, _resources),
};

#undef PARAM
#undef CONSTRAINT
#undef WG_SIZE
#undef LOCAL_BYTES
#undef PRIVATE_BYTES
#undef TILE_TOKENS
#undef TILE_HEADS
#undef SPLIT_KEYS
#undef GROUPS_PER_UNIT
#undef FEATURES
#undef MIN
#undef MAX
#undef FAMILY_ID
#undef FAMILY_DOC
#undef FAMILY_DEF
#undef FAMILY_SOURCE
#undef FAMILY_SOURCE_HASH
#undef FAMILY_SPACE_HASH
