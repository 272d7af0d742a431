// SPDX-License-Identifier: Apache-2.0
//
// Vector tile: one work-item computes BLOCK_Q rows of the output with explicit vectors across rows, so that the softmax
// needs no horizontal reduction and K and V are read in their natural layout, one element broadcast to all lanes.
// Online softmax after Dao et al., FlashAttention (2022, arXiv:2205.14135).
//
// clang-format off
//   row r of an item   query r of head ITEM_HEAD; with PACK_GQA query r / GROUP_SIZE of head ITEM_HEAD + r % GROUP_SIZE
//   strip              STRIP_ROWS = VEC * VECTORS rows, computed together; an item's strips share its tiles of keys
//   q_tile             [strip][dim][row] Q transposed
//   p_tile             [key][row] of one strip: scores, then weights, of BLOCK_KV keys, KEYS_PER_STEP of them
//                      accumulated in registers at a time
//   o_tile             [strip][dim][row] output: DIMS_PER_STEP dims of a strip accumulated in registers over the keys
// clang-format on
//
// A tile's keys may lie partly in the cache and partly in the new part: rows are found through pointers, or copied
// (PACK_K, PACK_V) where their stride would have them share the sets of a cache, or where they are widened: once for
// all of the item's rows.
#include "attention.clh"

#if !defined(VEC) || !defined(VECTORS) || !defined(BLOCK_Q) || !defined(BLOCK_KV) || !defined(KEYS_PER_STEP) || \
    !defined(DIMS_PER_STEP) || !defined(PACK_K) || !defined(PREFETCH) || !defined(PACK_V) || !defined(PACK_GQA)
#error "a parameter of vector_tile is missing: see vector_tile.def"
#endif

#define Q_WORDS HEAD_DIM_QK
#define Q_WORD(row, x) LOAD_Q((row) + (x))
#define Q_WORDS8(row, x) LOAD_Q8((row) + (x))
#include "vector.clh"
#include "strip.clh"

// Row n of a tile is rows[n], whether copied or where it lies.
#if PACK_K
typedef float key_row[HEAD_DIM_QK];
#define LOAD_KEY(pointer) (*(pointer))
#else
typedef global const KV_T *key_row;
#define LOAD_KEY(pointer) LOAD_KV(pointer)
#endif
#if PACK_V
typedef float value_row[HEAD_DIM_VO];
#define LOAD_VALUE(pointer) (*(pointer))
#else
typedef global const KV_T *value_row;
#define LOAD_VALUE(pointer) LOAD_KV(pointer)
#endif

// Copies a row of K or V, widened.
INLINE void copy_row(global const KV_T *from, int dims, float *to)
{
    int x = 0;
    for (; x + 16 <= dims; x += 16)
        vstore16(LOAD_KV16(from + x), 0, to + x);
    for (; x < dims; x++)
        to[x] = LOAD_KV(from + x);
}

// p_tile = scores of tile_keys keys, the first at position tile_begin; a row's keys after its limit are masked. Raises
// row_max. Scores are scaled, not Q: products of 16-bit values are exact, those of scaled ones are rounded.
INLINE void compute_scores(const vfloat *q_tile, const key_row *rows, float scale, int tile_begin, int tile_keys,
                           const vint *limit, int lowest_limit, vfloat *p_tile, vfloat *row_max)
{
    for (int n = 0; n < tile_keys; n += KEYS_PER_STEP) {
        vfloat score[KEYS_PER_STEP * VECTORS];
#pragma unroll
        for (int i = 0; i < KEYS_PER_STEP * VECTORS; i++)
            score[i] = 0.0f;
        for (int x = 0; x < HEAD_DIM_QK; x++) {
#pragma unroll
            for (int i = 0; i < KEYS_PER_STEP; i++) {
                vfloat key = (vfloat)LOAD_KEY(rows[n + i] + x);
#pragma unroll
                for (int w = 0; w < VECTORS; w++)
                    score[i * VECTORS + w] = fma(key, q_tile[x * VECTORS + w], score[i * VECTORS + w]);
            }
        }
#pragma unroll
        for (int i = 0; i < KEYS_PER_STEP * VECTORS; i++)
            score[i] *= scale;
        keep_scores(score, tile_begin + n, limit, lowest_limit, p_tile + n * VECTORS, row_max);
    }
}

// p_tile = weights relative to row_max; adds them to row_sum.
INLINE void compute_weights(int tile_keys, const vfloat *row_max, vfloat *p_tile, vfloat *row_sum)
{
    for (int n = 0; n < tile_keys; n++) {
#pragma unroll
        for (int w = 0; w < VECTORS; w++) {
            vfloat p = vector_exp(p_tile[n * VECTORS + w] - row_max[w]);
            p_tile[n * VECTORS + w] = p;
            row_sum[w] += p;
        }
    }
}

// o_tile = o_tile * correction + V^T P^T.
INLINE void accumulate_output(const vfloat *p_tile, const value_row *rows, int tile_keys, const vfloat *correction,
                              vfloat *o_tile)
{
    for (int x = 0; x < HEAD_DIM_VO; x += DIMS_PER_STEP) {
        vfloat acc[DIMS_PER_STEP * VECTORS];
#pragma unroll
        for (int i = 0; i < DIMS_PER_STEP * VECTORS; i++)
            acc[i] = o_tile[x * VECTORS + i] * correction[i % VECTORS];
        for (int n = 0; n < tile_keys; n++) {
#pragma unroll
            for (int i = 0; i < DIMS_PER_STEP; i++) {
                vfloat value = (vfloat)LOAD_VALUE(rows[n] + x + i);
#pragma unroll
                for (int w = 0; w < VECTORS; w++)
                    acc[i * VECTORS + w] = fma(value, p_tile[n * VECTORS + w], acc[i * VECTORS + w]);
            }
        }
#pragma unroll
        for (int i = 0; i < DIMS_PER_STEP * VECTORS; i++)
            o_tile[x * VECTORS + i] = acc[i];
    }
}

kernel __attribute__((reqd_work_group_size(1, 1, 1))) void attention(ATTENTION_PARAMETERS)
{
    vfloat q_tile[STRIPS * HEAD_DIM_QK * VECTORS], o_tile[STRIPS * HEAD_DIM_VO * VECTORS], p_tile[BLOCK_KV * VECTORS];
    vfloat item_max[STRIPS * VECTORS], item_sum[STRIPS * VECTORS];
    key_row k_rows[BLOCK_KV];
    value_row v_rows[BLOCK_KV];
    int end = schedule_end_item(schedule, args.segment);
    for (int index = schedule_first_item(schedule, args.segment) + (int)get_group_id(0); index < end;
         index += args.num_groups) {
        struct attention_item item = load_item(schedule, index, args.num_q_heads);
        int kv_head = item.head / GROUP_SIZE, rows = ITEM_ROWS(item);
        int strips = (rows + STRIP_ROWS - 1) / STRIP_ROWS;
        global const int *pages = ITEM_PAGES(item);
        global const Q_T *query = q + args.q_offset + item.q_row * args.q_stride_token + item.head * args.q_stride_head;

        for (int strip = 0; strip < strips; strip++)
            load_strip(query, args.q_stride_token, args.q_stride_head, strip * STRIP_ROWS, rows,
                       (float *)(q_tile + strip * HEAD_DIM_QK * VECTORS));
        for (int i = 0; i < strips * HEAD_DIM_VO * VECTORS; i++)
            o_tile[i] = 0.0f;
        for (int i = 0; i < strips * VECTORS; i++) {
            item_max[i] = INITIAL_MAX;
            item_sum[i] = 0.0f;
        }

        for (int tile = item.kv_begin; tile < item.kv_end; tile += BLOCK_KV) {
            int tile_keys = min(BLOCK_KV, item.kv_end - tile);
            // The last step's missing keys are its last key again, and masked.
            int step_keys = (tile_keys + KEYS_PER_STEP - 1) / KEYS_PER_STEP * KEYS_PER_STEP;
            for (int n = 0; n < step_keys; n++) {
                int position = tile + min(n, tile_keys - 1);
                global const KV_T *key = KV_ROW(k, item, pages, position, kv_head);
                global const KV_T *value = KV_ROW(v, item, pages, position, kv_head);
#if PACK_K
                copy_row(key, HEAD_DIM_QK, k_rows[n]);
#else
                k_rows[n] = key;
#endif
#if PACK_V
                copy_row(value, HEAD_DIM_VO, v_rows[n]);
#else
                v_rows[n] = value;
#endif
            }
            for (int strip = 0; strip < strips; strip++) {
#if PREFETCH
                PREFETCH_SHARE(tile, strip, strips, item, pages, kv_head);
#endif
                vint limit[VECTORS];
                int lowest, highest;
                strip_limits(&item, strip, rows, limit, &lowest, &highest);
                int strip_keys = min(tile_keys, highest + 1 - tile);
                if (strip_keys <= 0)
                    continue;
                vfloat row_max[VECTORS], row_sum[VECTORS], correction[VECTORS];
#pragma unroll
                for (int w = 0; w < VECTORS; w++)
                    correction[w] = row_max[w] = item_max[strip * VECTORS + w];
                compute_scores(q_tile + strip * HEAD_DIM_QK * VECTORS, k_rows, args.scale, tile, strip_keys, limit,
                               lowest, p_tile, row_max);
#pragma unroll
                for (int w = 0; w < VECTORS; w++) {
                    correction[w] = vector_exp(correction[w] - row_max[w]);
                    row_sum[w] = item_sum[strip * VECTORS + w] * correction[w];
                }
                compute_weights(strip_keys, row_max, p_tile, row_sum);
#pragma unroll
                for (int w = 0; w < VECTORS; w++) {
                    item_max[strip * VECTORS + w] = row_max[w];
                    item_sum[strip * VECTORS + w] = row_sum[w];
                }
                accumulate_output(p_tile, v_rows, strip_keys, correction, o_tile + strip * HEAD_DIM_VO * VECTORS);
            }
        }

        store_item(o_tile, item_sum, item_max, 1.0f, item, args, o, lse, workspace);
    }
}
