/* SPDX-License-Identifier: Apache-2.0
 *
 * Kernel families: what the .def beside each .cl declares, as data.
 *
 * A family's .def declares its parameters with their values, constraints, resources and features, once, in this X-macro form
 * (kernels/FAMILY.def; every expression may use all parameters' and facts' names as int32_t variables):
 *
 *   PARAM(NAME, default, "doc", v0, v1, ...)        one -D macro; values ascending; the default is one of them
 *   CONSTRAINT(expression, "text when it is false")
 *   WG_SIZE(expression)                             work-items per work-group (reqd_work_group_size)
 *   LOCAL_BYTES(expression)                         local memory per work-group
 *   PRIVATE_BYTES(expression)                       private memory per work-item: arrays that the kernel declares
 *   TILE_TOKENS(expression)                         most queries of one sequence that one item covers
 *   TILE_HEADS(expression)                          query heads that one item covers: 1, GROUP_SIZE or a
 *                                                   multiple of it; it divides num_q_heads
 *   SPLIT_KEYS(expression)                          least keys that the schedule makes a split of, at least 16 (fixed splits
 *                                                   may be shorter); 0: takes no items of split sequences
 *   GROUPS_PER_UNIT(expression)                     work-groups of the fixed grid per compute unit
 *   FEATURES(expression)                            enum device_feature bits that it needs
 *
 * Facts: HEAD_DIM_QK HEAD_DIM_VO GROUP_SIZE CAUSAL HAS_CACHE HAS_NEW PAGED Q_TYPE KV_TYPE O_TYPE PRECISION SUB_GROUP_SIZE
 * HALF_LOAD, and DECODE (the operation) and NUM_KV_HEADS, which kernels do not get.
 * A new family is NAME.cl, NAME.def and one line in kernels/families.def: FAMILY(name, "one-line doc").
 */
#ifndef ATTUNE_FAMILY_H
#define ATTUNE_FAMILY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <attune/attune.h>

#define FAMILY_MAX_PARAMS 16
#define FAMILY_MAX_VALUES 24

/* Optional device features, each shown to work, and to be right, by a probe. None is needed by a portable kernel. */
enum device_feature {
    FEATURE_FP16 = 1,      /* cl_khr_fp16 arithmetic */
    FEATURE_SUB_GROUPS = 2, /* cl_khr_subgroups with shuffles */
    FEATURE_DOT8 = 4,      /* cl_khr_integer_dot_product, 4 x 8 bit */
    FEATURE_BF16_DOT = 8,  /* vdpbf16ps on 512-bit vectors, by inline assembly */
    FEATURE_F16C = 16,     /* vcvtph2ps on 512-bit vectors, by inline assembly */
    FEATURE_BF16_DOT_FAST = 32, /* FEATURE_BF16_DOT, and faster than fp32 multiply-adds */
    FEATURE_OPAQUE_LOOPS = 64  /* loops whose bounds look non-uniform are at least twice as fast */
};

/* How kernels widen fp16; the best that a probe found right. Integer arithmetic works everywhere. */
enum half_load { HALF_LOAD_INTEGER = 0, HALF_LOAD_VLOAD = 1, HALF_LOAD_F16C = 2 };

/* Facts of a descriptor and device that kernels are compiled for. */
struct kernel_facts {
    int32_t head_dim_qk, head_dim_vo, group_size;
    int32_t causal, has_cache, has_new, paged;
    int32_t q_type, kv_type, o_type; /* attune_dtype */
    int32_t precision;               /* attune_precision */
    int32_t sub_group_size;
    int32_t half_load; /* enum half_load */
    int32_t decode, num_kv_heads; /* the operation and heads; only for constraints */
};

struct kernel_resources {
    int32_t wg_size;
    int64_t local_bytes;
    int64_t private_bytes;
    int32_t tile_tokens, tile_heads;
    int32_t split_keys; /* least keys of a split; 0 = cannot */
    int32_t groups_per_unit;
    uint32_t features;
};

struct family_param {
    const char *name, *doc;
    int32_t num_values;
    int32_t default_value;
    int32_t values[FAMILY_MAX_VALUES];
};

struct family {
    const char *name, *doc;
    const char *source;      /* flattened OpenCL C with #line directives, embedded */
    const char *source_hash; /* 32 hex digits: BLAKE2b-128 of the source without comments and #line */
    const char *space_hash;  /* 32 hex digits: BLAKE2b-128 of the .def's text without comments */
    int32_t num_params;
    const struct family_param *params;
    /* values[num_params]. False, and *why (static text), when a constraint does not hold. */
    bool (*valid)(const struct kernel_facts *facts, const int32_t *values, const char **why);
    void (*resources)(const struct kernel_facts *facts, const int32_t *values, struct kernel_resources *out);
};

int family_count(void);
const struct family *family_at(int index);
/* Index of a family by name, or -1. */
int family_find(const char *name);

/* A point of the space: a family and values of its parameters; unused values are 0. */
struct kernel_config {
    int32_t family;
    int32_t values[FAMILY_MAX_PARAMS];
};

/* The .def's defaults. */
void family_default_config(int family, struct kernel_config *out);

/* "vector_tile:BLOCK_Q=32,...", every parameter in the .def's order. text[ATTUNE_CONFIG_TEXT_MAX] of tune.h. */
void kernel_config_format(const struct kernel_config *config, char *text, size_t size);
/* Accepts a bare family name (its defaults), parameters in any order, and parameters left out (their defaults).
 * SYNTAX names what is wrong: the family, the parameter, or the value with the permitted ones. */
attune_status kernel_config_parse(const char *text, struct kernel_config *out);
bool kernel_config_equal(const struct kernel_config *a, const struct kernel_config *b);

/* The compiler's options: facts and parameters as -D, from the compiled-in names only. Returns false if size is too small. */
bool kernel_options_format(const struct kernel_facts *facts, const struct kernel_config *config, char *text, size_t size);

#endif
