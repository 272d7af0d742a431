// SPDX-License-Identifier: Apache-2.0
//
// Joins partial results. Partial s of a row has output o_s, normalised over its own keys, and of those the largest score m_s and the
// sum l_s of exp(score - m_s); with m = max m_s and w_s = exp(m_s - m) l_s
//
//   o = sum_s w_s o_s / sum_s w_s,  lse = m + ln(sum_s w_s)
//
// and from outside comes lse_s = m_s + ln(l_s) in place of the two: m_s = lse_s, l_s = 1.
// (Milakov and Gimelshein, 2018, arXiv:1805.02867; the order of s is fixed, so results repeat bit for bit).
//
//   work-group  a row (query, query head) at a time: rows g, g + num_groups, ...
//   work-item   the dims local_id, local_id + WG_SIZE, ... of the row; each computes the weights for itself
//
// Compiled without relaxed maths. Partials without any key, of l_s = 0 or lse_s = -infinity, do not count. Any other counts, a NaN too,
// of which fmax() takes no notice: its weight is NaN, and so is all of the row then. Q_TYPE is the type of O here.
#include "abi.clh"
#include "types.clh"

#if !defined(HEAD_DIM_VO) || !defined(CAUSAL) || !defined(WG_SIZE)
#error "a fact of merge is missing: see lib/merge.c"
#endif

#define DIMS_PER_ITEM ((HEAD_DIM_VO + WG_SIZE - 1) / WG_SIZE)
#define FOR_EACH_DIM(x, d)                                                                                             \
    for (int x = 0, d = (int)get_local_id(0); x < DIMS_PER_ITEM; x++, d += WG_SIZE)                                    \
        if (HEAD_DIM_VO % WG_SIZE == 0 || d < HEAD_DIM_VO)

// Compensated summation (Kahan, 1965): hundreds of splits of a row still merge within 1e-6 of the whole.
static void add(float term, float *sum, float *lost)
{
    float rest = term - *lost, total = *sum + rest;
    *lost = (total - *sum) - rest;
    *sum = total;
}

// The splits of a sequence's queries, as the schedule's merge list names them, into o and lse (which may be NULL).
kernel __attribute__((reqd_work_group_size(WG_SIZE, 1, 1))) void merge(global const int *restrict schedule,
                                                                       global const float *restrict workspace,
                                                                       global O_T *restrict o, global float *restrict lse,
                                                                       const struct attention_args args)
{
    global const float *partial_sum = workspace + args.workspace_sum_offset;
    long rows = (long)schedule[SCHEDULE_MERGE_COUNT] * args.num_q_heads;
    for (long row = get_group_id(0); row < rows; row += args.num_groups) {
        int head = (int)(row % args.num_q_heads);
        global const int *words = schedule + schedule[SCHEDULE_MERGE_AT] + row / args.num_q_heads * MERGE_WORDS;
        int t = words[MERGE_QUERY];
        global const int *sequence = schedule + schedule[SCHEDULE_SEQUENCES_AT] + (long)words[MERGE_SEQ] * SEQUENCE_WORDS;
        int seen = sequence[SEQ_CACHE_LEN] + sequence[SEQ_NEW_LEN];
#if CAUSAL
        seen = (int)clamp((long)sequence[SEQ_Q_POS] + t + 1, 0L, (long)seen);
#endif
        long first = sequence[SEQ_PARTIAL] + (long)t * args.num_q_heads + head;
        long step = (long)sequence[SEQ_Q_LEN] * args.num_q_heads;
        long end = first + ((long)seen + sequence[SEQ_SPLIT_KEYS] - 1) / sequence[SEQ_SPLIT_KEYS] * step;
        float most = -INFINITY, sum = 0.0f, acc[DIMS_PER_ITEM], lost[DIMS_PER_ITEM], sum_lost = 0.0f;
        bool has_keys = false;
        for (long p = first; p < end; p += step)
            if (partial_sum[2 * p + 1] != 0.0f) {
                most = fmax(most, partial_sum[2 * p]);
                has_keys = true;
            }
        for (int x = 0; x < DIMS_PER_ITEM; x++)
            acc[x] = lost[x] = 0.0f;
        for (long p = first; p < end; p += step) {
            if (partial_sum[2 * p + 1] == 0.0f)
                continue;
            float weight = exp(partial_sum[2 * p] - most) * partial_sum[2 * p + 1];
            global const float *partial = workspace + args.workspace_o_offset + p * HEAD_DIM_VO;
            add(weight, &sum, &sum_lost);
            FOR_EACH_DIM(x, d)
                add(weight * partial[d], &acc[x], &lost[x]);
        }
        float inverse = has_keys ? 1.0f / sum : 0.0f;
        long query = sequence[SEQ_Q_START] + t;
        global O_T *output = o + args.o_offset + query * args.o_stride_token + head * args.o_stride_head;
        FOR_EACH_DIM(x, d)
            STORE_O(acc[x] * inverse, output + d);
        if (lse && get_local_id(0) == 0)
            lse[args.lse_offset + query * args.lse_stride_token + head * args.lse_stride_head] =
                has_keys ? most + log(sum) : -INFINITY;
    }
}

// a and b into out, which may be a or b: a row is read before it is written. A side whose lse is -infinity does not count,
// whatever its o holds.
kernel __attribute__((reqd_work_group_size(WG_SIZE, 1, 1))) void merge_states(global const O_T *o_a,
                                                                              global const float *lse_a,
                                                                              global const O_T *o_b,
                                                                              global const float *lse_b, global O_T *o,
                                                                              global float *lse,
                                                                              const struct merge_states_args args)
{
    for (long row = get_group_id(0); row < args.num_rows; row += args.num_groups) {
        long token = row / args.num_q_heads, head = row % args.num_q_heads;
        float a = lse_a[args.lse_a_offset + token * args.lse_a_stride_token + head * args.lse_a_stride_head];
        float b = lse_b[args.lse_b_offset + token * args.lse_b_stride_token + head * args.lse_b_stride_head];
        float most = fmax(a, b);
        bool a_counts = a != -INFINITY, b_counts = b != -INFINITY;
        float weight_a = a_counts ? exp(a - most) : 0.0f, weight_b = b_counts ? exp(b - most) : 0.0f;
        float sum = weight_a + weight_b, inverse = a_counts || b_counts ? 1.0f / sum : 0.0f;
        global const O_T *from_a = o_a + args.o_a_offset + token * args.o_a_stride_token + head * args.o_a_stride_head;
        global const O_T *from_b = o_b + args.o_b_offset + token * args.o_b_stride_token + head * args.o_b_stride_head;
        global O_T *output = o + args.o_offset + token * args.o_stride_token + head * args.o_stride_head;
        FOR_EACH_DIM(x, d) {
            float of_a = a_counts ? weight_a * LOAD_Q(from_a + d) : 0.0f;
            float of_b = b_counts ? weight_b * LOAD_Q(from_b + d) : 0.0f;
            STORE_O((of_a + of_b) * inverse, output + d);
        }
        barrier(CLK_GLOBAL_MEM_FENCE); // all have read lse_a and lse_b, which may be lse
        if (lse && get_local_id(0) == 0)
            lse[args.lse_offset + token * args.lse_stride_token + head * args.lse_stride_head] =
                a_counts || b_counts ? most + log(sum) : -INFINITY;
    }
}
