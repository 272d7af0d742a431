// SPDX-License-Identifier: Apache-2.0
//
// Extend attention with fixed tiles, in two stages: stage 1 walks the cached prefix, gathered through its slots; stage 2 walks
// the new keys, which are contiguous, and stops at the diagonal. Both update one online softmax.
//
//   work-group  256 work-items as 16 x 16; BLOCK_Q queries of one head
//   work-item   BLOCK_Q / 16 rows x BLOCK_KV / 16 keys of the scores, the same rows x HEAD_DIM_VO / 16 dims of the output
//
//   local memory, row-major:
//     q_tile [BLOCK_Q][HEAD_DIM_QK]   k_tile [BLOCK_KV][HEAD_DIM_QK + 1]   v_tile [BLOCK_KV][HEAD_DIM_VO]
//     p_tile [BLOCK_Q][BLOCK_KV]      row_max, row_sum, row_correction [BLOCK_Q]
//
// The yardstick for tuned kernels: a first version with the tiles that engines ship, and frozen. Do not tune it. Changed once since,
// where a row is stored: the mask says which row has no key, not a sum of 0 (a row whose scores are all -infinity is NaN).
#include "attention.clh"

#if HEAD_DIM_QK > 128 || HEAD_DIM_VO > 128
#define BLOCK_Q 32
#define BLOCK_KV 32
#else
#define BLOCK_Q 64
#define BLOCK_KV 64
#endif
#define WG_SIZE 256
#define ROWS (BLOCK_Q / 16)
#define KEYS (BLOCK_KV / 16)
#define DIMS ((HEAD_DIM_VO + 15) / 16)
#define K_PITCH (HEAD_DIM_QK + 1) // odd, so that 16 keys lie in 16 banks
#define MASKED (-FLT_MAX)

// Scores, softmax and output of one tile of keys: its first at position tile_begin, tile_keys of them. Row 0 of the tile
// stands at position q_pos. Begins and ends with the key and value tiles in use. Inlined by force: pocl 3.1
// leaves a function with barriers that is called twice out of line, and its results are wrong.
static __attribute__((always_inline)) void attend_tile(local const float *q_tile, local const float *k_tile,
                                                       local const float *v_tile, local float *p_tile,
                                                       local float *row_max, local float *row_sum,
                                                       local float *row_correction, float acc[ROWS][DIMS],
                                                       int tile_begin, int tile_keys, int q_pos, float scale)
{
    int t = (int)get_local_id(0), tx = t % 16, ty = t / 16;
    float score[ROWS][KEYS];
    for (int i = 0; i < ROWS; i++)
        for (int j = 0; j < KEYS; j++)
            score[i][j] = 0.0f;
    for (int x = 0; x < HEAD_DIM_QK; x++) {
        float q_value[ROWS], k_value[KEYS];
        for (int i = 0; i < ROWS; i++)
            q_value[i] = q_tile[(ty * ROWS + i) * HEAD_DIM_QK + x];
        for (int j = 0; j < KEYS; j++)
            k_value[j] = k_tile[(tx + 16 * j) * K_PITCH + x];
        for (int i = 0; i < ROWS; i++)
            for (int j = 0; j < KEYS; j++)
                score[i][j] += q_value[i] * k_value[j];
    }
    for (int i = 0; i < ROWS; i++) {
        for (int j = 0; j < KEYS; j++) {
            int row = ty * ROWS + i, key = tx + 16 * j;
            bool allowed = key < tile_keys;
#if CAUSAL
            allowed = allowed && tile_begin + key <= q_pos + row;
#endif
            p_tile[row * BLOCK_KV + key] = allowed ? score[i][j] * scale : MASKED;
        }
    }
    barrier(CLK_LOCAL_MEM_FENCE);

    if (t < BLOCK_Q) {
        float new_max = row_max[t];
        for (int j = 0; j < BLOCK_KV; j++)
            new_max = fmax(new_max, p_tile[t * BLOCK_KV + j]);
        float sum = 0.0f;
        for (int j = 0; j < BLOCK_KV; j++) {
            float s = p_tile[t * BLOCK_KV + j];
            float p = s == MASKED ? 0.0f : exp(s - new_max);
            p_tile[t * BLOCK_KV + j] = p;
            sum += p;
        }
        float correction = exp(row_max[t] - new_max);
        row_correction[t] = correction;
        row_sum[t] = row_sum[t] * correction + sum;
        row_max[t] = new_max;
    }
    barrier(CLK_LOCAL_MEM_FENCE);

    for (int i = 0; i < ROWS; i++)
        for (int j = 0; j < DIMS; j++)
            acc[i][j] *= row_correction[ty * ROWS + i];
    for (int n = 0; n < BLOCK_KV; n++) {
        float p_value[ROWS], v_value[DIMS];
        for (int i = 0; i < ROWS; i++)
            p_value[i] = p_tile[(ty * ROWS + i) * BLOCK_KV + n];
        for (int j = 0; j < DIMS; j++)
            v_value[j] = tx + 16 * j < HEAD_DIM_VO ? v_tile[n * HEAD_DIM_VO + tx + 16 * j] : 0.0f;
        for (int i = 0; i < ROWS; i++)
            for (int j = 0; j < DIMS; j++)
                acc[i][j] += p_value[i] * v_value[j];
    }
    barrier(CLK_LOCAL_MEM_FENCE);
}

// One row of a tile per step; rows past tile_keys are zeros, for keys that no query may attend may hold anything.
#define LOAD_TILE(tile, pitch, dim, row_pointer)                                                                       \
    for (int i = (int)get_local_id(0); i < BLOCK_KV * (dim); i += WG_SIZE) {                                           \
        int key = i / (dim), x = i % (dim);                                                                            \
        (tile)[key * (pitch) + x] = key < tile_keys ? LOAD_KV((row_pointer) + x) : 0.0f;                               \
    }

kernel __attribute__((reqd_work_group_size(WG_SIZE, 1, 1))) void attention(ATTENTION_PARAMETERS)
{
    local float q_tile[BLOCK_Q * HEAD_DIM_QK], k_tile[BLOCK_KV * K_PITCH], v_tile[BLOCK_KV * HEAD_DIM_VO];
    local float p_tile[BLOCK_Q * BLOCK_KV], row_max[BLOCK_Q], row_sum[BLOCK_Q], row_correction[BLOCK_Q];
    int t = (int)get_local_id(0), tx = t % 16, ty = t / 16;
    int end = schedule_end_item(schedule, args.segment);
    for (int index = schedule_first_item(schedule, args.segment) + (int)get_group_id(0); index < end;
         index += args.num_groups) {
        struct attention_item item = load_item(schedule, index, args.num_q_heads);
        int kv_head = item.head / GROUP_SIZE;
        for (int i = t; i < BLOCK_Q * HEAD_DIM_QK; i += WG_SIZE) {
            int row = i / HEAD_DIM_QK, x = i % HEAD_DIM_QK;
            global const Q_T *query =
                q + args.q_offset + (item.q_row + row) * args.q_stride_token + item.head * args.q_stride_head;
            q_tile[i] = row < item.q_count ? LOAD_Q(query + x) : 0.0f;
        }
        if (t < BLOCK_Q) {
            row_max[t] = MASKED;
            row_sum[t] = 0.0f;
        }
        float acc[ROWS][DIMS];
        for (int i = 0; i < ROWS; i++)
            for (int j = 0; j < DIMS; j++)
                acc[i][j] = 0.0f;

        int stage_1_end = HAS_CACHE ? min(item.kv_end, item.cache_len) : 0;
        int stage_2_begin = HAS_CACHE ? max(item.kv_begin, item.cache_len) : item.kv_begin;
#if HAS_CACHE
        global const int *slots = ITEM_PAGES(item);
        for (int tile = item.kv_begin; tile < stage_1_end; tile += BLOCK_KV) {
            int tile_keys = min(BLOCK_KV, stage_1_end - tile);
            LOAD_TILE(k_tile, K_PITCH, HEAD_DIM_QK, CACHE_ROW(k, slots, tile + key, kv_head))
            LOAD_TILE(v_tile, HEAD_DIM_VO, HEAD_DIM_VO, CACHE_ROW(v, slots, tile + key, kv_head))
            barrier(CLK_LOCAL_MEM_FENCE);
            attend_tile(q_tile, k_tile, v_tile, p_tile, row_max, row_sum, row_correction, acc, tile, tile_keys, item.q_pos,
                        args.scale);
        }
#endif
#if HAS_NEW
        for (int tile = stage_2_begin; tile < item.kv_end; tile += BLOCK_KV) {
            int tile_keys = min(BLOCK_KV, item.kv_end - tile);
            LOAD_TILE(k_tile, K_PITCH, HEAD_DIM_QK, NEW_ROW(k, item, tile + key, kv_head))
            LOAD_TILE(v_tile, HEAD_DIM_VO, HEAD_DIM_VO, NEW_ROW(v, item, tile + key, kv_head))
            barrier(CLK_LOCAL_MEM_FENCE);
            attend_tile(q_tile, k_tile, v_tile, p_tile, row_max, row_sum, row_correction, acc, tile, tile_keys, item.q_pos,
                        args.scale);
        }
#endif

        barrier(CLK_LOCAL_MEM_FENCE); // row_sum of an item without keys
        for (int i = 0; i < ROWS; i++) {
            int row = ty * ROWS + i;
            if (row >= item.q_count)
                continue;
            float sum = row_sum[row];
            const bool has_keys = row >= first_with_keys(item);
            global O_T *output =
                o + args.o_offset + (item.q_row + row) * args.o_stride_token + item.head * args.o_stride_head;
            for (int j = 0; j < DIMS; j++)
                if (tx + 16 * j < HEAD_DIM_VO)
                    STORE_O(has_keys ? acc[i][j] / sum : 0.0f, output + tx + 16 * j);
            if (tx == 0 && lse)
                lse[args.lse_offset + (item.q_row + row) * args.lse_stride_token + item.head * args.lse_stride_head] =
                    row_lse(has_keys, row_max[row], sum);
        }
        barrier(CLK_LOCAL_MEM_FENCE); // before the next item overwrites the tiles
    }
}
