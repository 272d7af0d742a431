// SPDX-License-Identifier: Apache-2.0
//
// Plain row kernel: each work-item computes one row of the output, for one query and one query head, and walks the keys that
// its query may see one by one with an online softmax (Milakov and Gimelshein, 2018, arXiv:1805.02867).
//
//   work-group  WG_SIZE consecutive queries of one head
//   work-item   one query: the output row, DIM_BLOCK dims at a time; each further block computes the scores again, so that
//               private memory stays bounded whatever the head dim
//
// The simplest kernel that is right for every problem: the yardstick for others, and the default where nothing else fits.
#include "attention.clh"

#if !defined(WG_SIZE) || !defined(DIM_BLOCK)
#error "a parameter of plain_row is missing: see plain_row.def"
#endif

// A score is rounded before the maximum is subtracted, or the largest key's weight would not be 1. Sums of products are fma() here.
#pragma OPENCL FP_CONTRACT OFF

#define QK_VECTORS (HEAD_DIM_QK / 8 * 8) // dims that are walked 8 at a time
#define NUM_ACCUMULATORS (HEAD_DIM_VO < DIM_BLOCK ? HEAD_DIM_VO : DIM_BLOCK)

kernel __attribute__((reqd_work_group_size(WG_SIZE, 1, 1))) void attention(ATTENTION_PARAMETERS)
{
    int end = schedule_end_item(schedule, args.segment);
    for (int i = schedule_first_item(schedule, args.segment) + (int)get_group_id(0); i < end; i += args.num_groups) {
        struct attention_item item = load_item(schedule, i, args.num_q_heads);
        int t = (int)get_local_id(0);
        if (t >= item.q_count)
            continue;
        int kv_head = item.head / GROUP_SIZE;
        global const int *pages = ITEM_PAGES(item);
        global const Q_T *query = q + args.q_offset + (item.q_row + t) * args.q_stride_token + item.head * args.q_stride_head;
        global O_T *output = o + args.o_offset + (item.q_row + t) * args.o_stride_token + item.head * args.o_stride_head;
        const bool has_keys = t >= first_with_keys(item);
        int kv_end = item.kv_end;
#if CAUSAL
        kv_end = min(kv_end, item.q_pos + t + 1);
#endif
        for (int block = 0; block < HEAD_DIM_VO; block += DIM_BLOCK) {
            int dims = min(NUM_ACCUMULATORS, HEAD_DIM_VO - block);
            float acc[NUM_ACCUMULATORS];
            for (int x = 0; x < dims; x++)
                acc[x] = 0.0f;
            float running_max = INITIAL_MAX, sum = 0.0f;
            for (int j = item.kv_begin; j < kv_end; j++) {
                global const KV_T *key = KV_ROW(k, item, pages, j, kv_head);
                global const KV_T *value = KV_ROW(v, item, pages, j, kv_head) + block;
                float8 partial = 0.0f; // one running sum would wait for itself
                for (int x = 0; x < QK_VECTORS; x += 8)
                    partial = fma(LOAD_Q8(query + x), LOAD_KV8(key + x), partial);
                float4 halves = partial.lo + partial.hi;
                float score = halves.x + halves.y + (halves.z + halves.w);
                for (int x = QK_VECTORS; x < HEAD_DIM_QK; x++)
                    score = fma(LOAD_Q(query + x), LOAD_KV(key + x), score);
                score *= args.scale;
                if (score > running_max) {
                    float correction = exp(running_max - score);
                    running_max = score;
                    sum *= correction;
                    for (int x = 0; x < dims; x++)
                        acc[x] *= correction;
                }
                float p = exp(score - running_max);
                sum += p;
                for (int x = 0; x < dims; x++)
                    acc[x] = fma(p, LOAD_KV(value + x), acc[x]);
            }
            float inverse = row_inverse(has_keys, sum);
            if (item.partial >= 0) {
                for (int x = 0; x < dims; x++)
                    PARTIAL_O(item, t, item.head)[block + x] = acc[x] * inverse;
                store_partial_sum(PARTIAL_SUM(item, t, item.head), has_keys, running_max, sum);
                continue;
            }
            for (int x = 0; x < dims; x++)
                STORE_O(acc[x] * inverse, output + block + x);
            if (block == 0 && lse)
                lse[args.lse_offset + (item.q_row + t) * args.lse_stride_token + item.head * args.lse_stride_head] =
                    row_lse(has_keys, running_max, sum);
        }
    }
}
