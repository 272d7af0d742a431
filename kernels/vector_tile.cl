// SPDX-License-Identifier: Apache-2.0
//
// Vector tile: one work-item computes BLOCK_Q rows of the output with explicit vectors across rows, so that the softmax needs no
// horizontal reduction and K and V are read in their natural layout, one element broadcast to all lanes. Online softmax after
// Dao et al., FlashAttention (2022, arXiv:2205.14135).
//
//   row r of a tile    query r of head ITEM_HEAD; with PACK_GQA query r / GROUP_SIZE of head ITEM_HEAD + r % GROUP_SIZE
//   q_tile [dim][row]  Q transposed, times scale * log2(e)
//   p_tile [key][row]  scores, then weights, of BLOCK_KV keys: KEYS_PER_STEP keys x BLOCK_Q rows are accumulated in registers
//   o_tile [dim][row]  output: DIMS_PER_STEP dims x BLOCK_Q rows are accumulated in registers over the tile's keys
//
// A tile's keys may lie partly in the cache and partly in the new part: rows are found through pointers, or copied
// (PACK_K, PACK_V) where their stride would have them share the sets of a cache.
#include "attention.clh"

#if !defined(VEC) || !defined(BLOCK_Q) || !defined(BLOCK_KV) || !defined(KEYS_PER_STEP) || !defined(DIMS_PER_STEP) ||      \
    !defined(PACK_K) || !defined(PACK_V) || !defined(PACK_GQA)
#error "a parameter of vector_tile is missing: see vector_tile.def"
#endif

#include "vector.clh"

#define VECTORS (BLOCK_Q / VEC)
#if PACK_GQA
#define ROW_QUERY(r) ((r) / GROUP_SIZE)
#define ROW_HEAD(r) ((r) % GROUP_SIZE)
#define ITEM_ROWS(item) ((item).q_count * GROUP_SIZE)
#else
#define ROW_QUERY(r) (r)
#define ROW_HEAD(r) 0
#define ITEM_ROWS(item) ((item).q_count)
#endif

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

// p_tile = scores of tile_keys keys, the first at position tile_begin; a row's keys after its limit are masked. Raises row_max.
INLINE void compute_scores(const vfloat *q_tile, const key_row *rows, int tile_begin, int tile_keys, const vint *limit,
                           int lowest_limit, vfloat *p_tile, vfloat *row_max)
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
        // Selected, not added: a key that a row may not see may be infinite or NaN.
        if (tile_begin + n + KEYS_PER_STEP - 1 > lowest_limit) {
#pragma unroll
            for (int i = 0; i < KEYS_PER_STEP; i++)
#pragma unroll
                for (int w = 0; w < VECTORS; w++)
                    score[i * VECTORS + w] = select(score[i * VECTORS + w], (vfloat)MASKED_SCORE,
                                                    (vint)(tile_begin + n + i) > limit[w]);
        }
#pragma unroll
        for (int i = 0; i < KEYS_PER_STEP * VECTORS; i++) {
            row_max[i % VECTORS] = max(row_max[i % VECTORS], score[i]);
            p_tile[n * VECTORS + i] = score[i];
        }
    }
}

// p_tile = weights relative to row_max; adds them to row_sum.
INLINE void compute_weights(int tile_keys, const vfloat *row_max, vfloat *p_tile, vfloat *row_sum)
{
    for (int n = 0; n < tile_keys; n++) {
#pragma unroll
        for (int w = 0; w < VECTORS; w++) {
            vfloat p = vector_exp2(p_tile[n * VECTORS + w] - row_max[w]);
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
    vfloat q_tile[HEAD_DIM_QK * VECTORS], p_tile[BLOCK_KV * VECTORS], o_tile[HEAD_DIM_VO * VECTORS];
    key_row k_rows[BLOCK_KV];
    value_row v_rows[BLOCK_KV];
    int end = schedule_end_item(schedule, args.segment);
    for (int index = schedule_first_item(schedule, args.segment) + (int)get_group_id(0); index < end;
         index += args.num_groups) {
        struct attention_item item = load_item(schedule, index);
        int kv_head = item.head / GROUP_SIZE, rows = ITEM_ROWS(item);
        global const int *slots = ITEM_SLOTS(item);

        float *q_scalar = (float *)q_tile;
        for (int r = 0; r < BLOCK_Q; r++) {
            global const Q_T *query = q + args.q_offset + (item.q_row + ROW_QUERY(r)) * args.q_stride_token +
                                      (item.head + ROW_HEAD(r)) * args.q_stride_head;
            for (int x = 0; x < HEAD_DIM_QK; x++)
                q_scalar[x * BLOCK_Q + r] = r < rows ? LOAD_Q(query + x) * (args.scale * LOG2_E) : 0.0f;
        }
        for (int i = 0; i < HEAD_DIM_VO * VECTORS; i++)
            o_tile[i] = 0.0f;

        // Last position that a row may see.
        vint limit[VECTORS];
        vfloat row_max[VECTORS], row_sum[VECTORS];
        int lowest_limit = CAUSAL ? min(item.q_pos, item.kv_end - 1) : item.kv_end - 1;
#pragma unroll
        for (int w = 0; w < VECTORS; w++) {
            limit[w] = (vint)(item.kv_end - 1);
            if (CAUSAL)
                limit[w] = min(limit[w], item.q_pos + ROW_QUERY(w * VEC + LANES));
            row_max[w] = INITIAL_MAX;
            row_sum[w] = 0.0f;
        }

        for (int tile = item.kv_begin; tile < item.kv_end; tile += BLOCK_KV) {
            int tile_keys = min(BLOCK_KV, item.kv_end - tile);
            // The last step's missing keys are its last key again, and masked.
            int step_keys = (tile_keys + KEYS_PER_STEP - 1) / KEYS_PER_STEP * KEYS_PER_STEP;
            for (int n = 0; n < step_keys; n++) {
                int position = tile + min(n, tile_keys - 1);
                global const KV_T *key = KV_ROW(k, item, slots, position, kv_head);
                global const KV_T *value = KV_ROW(v, item, slots, position, kv_head);
#if PACK_K
                for (int x = 0; x < HEAD_DIM_QK; x++)
                    k_rows[n][x] = LOAD_KV(key + x);
#else
                k_rows[n] = key;
#endif
#if PACK_V
                for (int x = 0; x < HEAD_DIM_VO; x++)
                    v_rows[n][x] = LOAD_KV(value + x);
#else
                v_rows[n] = value;
#endif
            }
            vfloat correction[VECTORS];
#pragma unroll
            for (int w = 0; w < VECTORS; w++)
                correction[w] = row_max[w];
            compute_scores(q_tile, k_rows, tile, tile_keys, limit, lowest_limit, p_tile, row_max);
#pragma unroll
            for (int w = 0; w < VECTORS; w++) {
                correction[w] = vector_exp2(correction[w] - row_max[w]);
                row_sum[w] *= correction[w];
            }
            compute_weights(tile_keys, row_max, p_tile, row_sum);
            accumulate_output(p_tile, v_rows, tile_keys, correction, o_tile);
        }

        float *sums = (float *)row_sum, *maxima = (float *)row_max, *o_scalar = (float *)o_tile;
        for (int r = 0; r < rows; r++) {
            long row = item.q_row + ROW_QUERY(r), head = item.head + ROW_HEAD(r);
            float inverse = sums[r] == 0.0f ? 0.0f : 1.0f / sums[r]; // no key: a row of zeros
            global O_T *output = o + args.o_offset + row * args.o_stride_token + head * args.o_stride_head;
            for (int x = 0; x < HEAD_DIM_VO; x++)
                STORE_O(o_scalar[x * BLOCK_Q + r] * inverse, output + x);
            if (lse)
                lse[args.lse_offset + row * args.lse_stride_token + head * args.lse_stride_head] =
                    sums[r] == 0.0f ? -INFINITY : LN_2 * (maxima[r] + log2(sums[r]));
        }
    }
}
