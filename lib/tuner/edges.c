/* SPDX-License-Identifier: Apache-2.0 */
#include "edges.h"

#include "desc.h"
#include "portfolio.h"

#define SHORT_BATCH 12
static const int32_t short_q[SHORT_BATCH] = {1, 3, 17, 33, 65, 2, 1, 1, 2, 1, 4, 5},
                     short_kv[SHORT_BATCH] = {1, 8, 81, 162, 96, 259, 2, 3, 2, 5, 7, 128};
/* With one query each. 0: no keys. */
static const int32_t decode_kv[SHORT_BATCH] = {1, 6, 65, 130, 32, 258, 2, 3, 0, 31, 128, 256};

#define FAR_BATCH 70  /* beyond a page table of 64 sequences */
#define FAR_SLACK 300 /* unused pages: ids beyond 8 bits */

/* What the longest sequence may cost: multiply-adds of one query against all keys, of all queries, and elements of K
 * and V. The oracle takes a second for these, a slow kernel about as long. */
#define FAR_ROW_COST 6e8
#define FAR_COST 2.5e8
#define FAR_ELEMENTS 1.4e8

/* Few heads, for the oracle's sake: kernels depend on heads by the group size, and in decode by which powers of two up
 * to 8 divide the KV heads (HEAD_GROUPS of decode_vector.def). */
static int32_t edge_kv_heads(const attune_attention_desc *desc)
{
    int32_t heads = desc->num_kv_heads, power = heads & -heads;
    if (desc->operation == ATTUNE_DECODE && power > 1)
        return power < 8 ? power : 8;
    int32_t few = desc->operation == ATTUNE_DECODE ? 3 : 2;
    return heads < few ? heads : few;
}

static attune_attention_desc edge_desc(const attune_problem *problem)
{
    attune_attention_desc desc = problem->desc;
    int32_t group = desc.num_q_heads / desc.num_kv_heads;
    desc.num_kv_heads = edge_kv_heads(&desc);
    desc.num_q_heads = desc.num_kv_heads * group;
    return desc;
}

/* Decode of one token a sequence, as far as the problem says. */
static bool one_query(const attune_problem *problem)
{
    bool one = problem->desc.operation == ATTUNE_DECODE;
    for (int32_t b = 0; b < problem->batch; b++)
        one &= problem->q_len[b] <= 1;
    return one;
}

attune_status edges_short(const attune_problem *problem, attune_problem **out)
{
    static const int32_t one[SHORT_BATCH] = {1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1};
    attune_attention_desc desc = edge_desc(problem);
    bool decode = one_query(problem);
    return problem_create_like(problem, &desc, SHORT_BATCH, decode ? one : short_q, decode ? decode_kv : short_kv, out);
}

struct workload_options edge_options(int set)
{
    static const struct {
        enum workload_pattern pattern;
        float magnitude;
    } values[NUM_EDGE_SETS] = {{PATTERN_NORMAL, 1.0f},        {PATTERN_NORMAL, 16.0f},
                               {PATTERN_CONSTANT, 0.0625f},   {PATTERN_DOMINANT_KEY, 1.0f},
                               {PATTERN_CANCELLATION, 1.0f},  {PATTERN_NORMAL, 128.0f},
                               {PATTERN_DOMINANT_KEY, 10.0f}, {PATTERN_DOMINANT_KEY, 500.0f}};
    struct workload_options options = WORKLOAD_OPTIONS_INIT;
    options.pattern = values[set].pattern;
    options.magnitude = values[set].magnitude;
    options.pad = set % 2 ? 8 : 0;
    options.offset = set % 2 ? 3 : 0;
    return options;
}

/* ---- the class's end */

static int64_t least(int64_t a, double b)
{
    return (double)a < b ? a : (int64_t)b;
}

/* Queries and keys of the longest sequence. */
static void far_lengths(const attune_problem *problem, const attune_attention_desc *desc, int32_t *q_len,
                        int32_t *kv_len)
{
    struct shape_bucket bucket = shape_bucket_of(&problem->desc, problem->batch, problem->q_len, problem->kv_len);
    struct shape_ranges ranges = shape_bucket_ranges(bucket);
    double dims = desc->head_dim_qk + desc_head_dim_vo(desc);
    int64_t kv = least(ranges.kv_len[1], FAR_ROW_COST / (desc->num_q_heads * dims));
    kv = least(kv, FAR_ELEMENTS / (desc->num_kv_heads * dims));
    kv = kv < 1 ? 1 : kv;
    int64_t q = least(ranges.q_len[1], FAR_COST / ((double)kv * desc->num_q_heads * dims));
    *kv_len = (int32_t)kv;
    *q_len = (int32_t)(q < 1 ? 1 : least(q, (double)kv));
}

attune_status edges_far(const attune_problem *problem, attune_problem **out)
{
    attune_attention_desc desc = edge_desc(problem);
    int32_t q_len[FAR_BATCH], kv_len[FAR_BATCH];
    far_lengths(problem, &desc, &q_len[0], &kv_len[0]);
    for (int32_t b = 1; b < FAR_BATCH; b++) {
        q_len[b] = 1;
        kv_len[b] = 1 + b % 3;
    }
    return problem_create_like(problem, &desc, FAR_BATCH, q_len, kv_len, out);
}

struct workload_options far_options(void)
{
    struct workload_options options = WORKLOAD_OPTIONS_INIT;
    options.slack_pages = FAR_SLACK;
    return options;
}
