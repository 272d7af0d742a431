// SPDX-License-Identifier: Apache-2.0
//
// Vector dot: the vector tile kernel (vector_tile.cl) on the processor's dot products of bf16 pairs, for bf16 K and V
// under the fast contract: one instruction, vdpbf16ps, adds two products of bf16 numbers to each of 16 fp32 sums.
//
// clang-format off
//   row r of an item   as in vector_tile; strips of STRIP_ROWS = 16 * VECTORS rows
//   q_tile             [strip][pair of dims][row] Q transposed, rounded to bf16: a word holds dims 2x (low) and 2x + 1
//   K                  rows as they lie: a word is a pair of dims already
//   p_tile             [key][row] scores of one strip, then [pair of keys][row] weights rounded to bf16
//   v_tile             [dims of a step][pair of keys][dim of the step]: a word holds a dim of keys 2n (low) and 2n + 1
//   o_tile             [strip][dim][row] output, fp32
// clang-format on
//
// Scores are those of unscaled queries, so that Q in bf16 is taken as it is; the scale multiplies differences to the
// maximum. Row sums are of weights before rounding, for a denominator is no input of a product.
#include "attention.clh"

#if !defined(VECTORS) || !defined(BLOCK_Q) || !defined(BLOCK_KV) || !defined(KEYS_PER_STEP) || \
    !defined(DIMS_PER_STEP) || !defined(PACK_K) || !defined(PREFETCH) || !defined(PACK_GQA)
#error "a parameter of vector_dot is missing: see vector_dot.def"
#endif

#define VEC 16
#define Q_WORDS (HEAD_DIM_QK / 2)
#define Q_WORD(row, x) as_float(query_pairs((row) + 2 * (x)).s0)
#define Q_WORDS8(row, x) as_float8(query_pairs((row) + 2 * (x)))
#include "vector.clh"

// Sixteen dims of a row of Q, rounded to bf16.
#if Q_TYPE == 3
INLINE uint8 query_pairs(global const Q_T *row)
{
    return as_uint8(vload16(0, row));
}
#else
DEFINE_ROUND_BF16(float_to_bf16_16, float16, uint16, as_uint16, convert_ushort16, ushort16)
INLINE uint8 query_pairs(global const Q_T *row)
{
    return as_uint8(float_to_bf16_16(LOAD_Q16(row)));
}
#endif

#include "strip.clh"

// A row of K: pairs of dims, where it lies aligned like one element.
#if PACK_K
typedef uint key_row[HEAD_DIM_QK / 2];
#else
typedef uint unaligned_uint __attribute__((aligned(2)));
typedef global const unaligned_uint *key_row;
#endif

// sum + a.low * b.low + a.high * b.high of each of 16 words.
INLINE vfloat dot_pairs(vfloat sum, uint16 a, vfloat b)
{
    __asm__("vdpbf16ps %2, %1, %0" : "+v"(sum) : "v"(a), "v"(b));
    return sum;
}

// 2^x for x <= 0, exactly 1 for 0, NaN for NaN, within 3.4e-6 of its value, which is a thousandth of what rounding to
// bf16 costs, and 0 from -150 down. 2^f of the fraction f in [0, 1] by a minimax polynomial of degree 4 that is exact
// at both ends: weights just below 1, as of rows that attend all keys alike, become 1 in bf16 and must not be summed up
// as something else.
INLINE vfloat exp2_pairs(vfloat x)
{
    vfloat f, result;
    __asm__("vreduceps $9, %1, %0" : "=v"(f) : "v"(x)); // x - floor(x)
    vfloat p = fma(f, (vfloat)(1.35557475e-2f), (vfloat)(5.20323701e-2f));
    p = fma(p, f, (vfloat)(2.41379768e-1f));
    p = fma(p, f, (vfloat)(6.93032146e-1f));
    p = fma(p, f, (vfloat)(1.0f));
    __asm__("vscalefps %2, %1, %0" : "=v"(result) : "v"(p), "v"(x)); // p * 2^floor(x)
    return result;
}

// The tile's scores, as in vector_tile.
INLINE void compute_scores(const vfloat *q_tile, const key_row *rows, int tile_begin, int tile_keys, const vint *limit,
                           int lowest_limit, vfloat *p_tile, vfloat *row_max)
{
    for (int n = 0; n < tile_keys; n += KEYS_PER_STEP) {
        vfloat score[KEYS_PER_STEP * VECTORS];
#pragma unroll
        for (int i = 0; i < KEYS_PER_STEP * VECTORS; i++)
            score[i] = 0.0f;
        for (int x = 0; x < HEAD_DIM_QK / 2; x++) {
#pragma unroll
            for (int i = 0; i < KEYS_PER_STEP; i++) {
                uint16 key = (uint16)(rows[n + i][x]);
#pragma unroll
                for (int w = 0; w < VECTORS; w++)
                    score[i * VECTORS + w] = dot_pairs(score[i * VECTORS + w], key, q_tile[x * VECTORS + w]);
            }
        }
        keep_scores(score, tile_begin + n, limit, lowest_limit, p_tile + n * VECTORS, row_max);
    }
}

// Pairs of weights from the scores, in their place: pair n / 2 is written when scores n and n + 1 have been read. A
// last pair may hold a masked key, whose weight is 0. Adds the weights to row_sum. The maximum is subtracted before the
// scale: a product with either would be rounded, and the largest key's weight not be 1, which bf16 holds exactly.
// Rounding: to nearest, ties away from 0.
INLINE void compute_weights(int tile_keys, float log2_scale, const vfloat *row_max, vfloat *p_tile, vfloat *row_sum)
{
    for (int n = 0; n < tile_keys; n += 2) {
#pragma unroll
        for (int w = 0; w < VECTORS; w++) {
            vfloat a = exp2_pairs((p_tile[n * VECTORS + w] - row_max[w]) * log2_scale);
            vfloat b = exp2_pairs((p_tile[(n + 1) * VECTORS + w] - row_max[w]) * log2_scale);
            row_sum[w] += a + b;
            p_tile[n / 2 * VECTORS + w] =
                as_float16((as_uint16(a) + 0x8000u) >> 16 | ((as_uint16(b) + 0x8000u) & 0xffff0000u));
        }
    }
}

// o_tile = o_tile * correction + V^T P^T.
INLINE void accumulate_output(const vfloat *p_tile, const uint *v_tile, int tile_keys, const vfloat *correction,
                              vfloat *o_tile)
{
    for (int x = 0; x < HEAD_DIM_VO; x += DIMS_PER_STEP, v_tile += BLOCK_KV / 2 * DIMS_PER_STEP) {
        vfloat acc[DIMS_PER_STEP * VECTORS];
#pragma unroll
        for (int i = 0; i < DIMS_PER_STEP * VECTORS; i++)
            acc[i] = o_tile[x * VECTORS + i] * correction[i % VECTORS];
        for (int n = 0; n < (tile_keys + 1) / 2; n++) {
#pragma unroll
            for (int i = 0; i < DIMS_PER_STEP; i++) {
                uint16 value = (uint16)(v_tile[n * DIMS_PER_STEP + i]);
#pragma unroll
                for (int w = 0; w < VECTORS; w++)
                    acc[i * VECTORS + w] = dot_pairs(acc[i * VECTORS + w], value, p_tile[n * VECTORS + w]);
            }
        }
#pragma unroll
        for (int i = 0; i < DIMS_PER_STEP * VECTORS; i++)
            o_tile[x * VECTORS + i] = acc[i];
    }
}

// Two rows of V as pair n of v_tile.
INLINE void interleave_values(global const ushort *even, global const ushort *odd, int n, uint *v_tile)
{
    for (int x = 0; x < HEAD_DIM_VO; x += DIMS_PER_STEP) {
        uint *to = v_tile + (x / DIMS_PER_STEP * (BLOCK_KV / 2) + n) * DIMS_PER_STEP;
#if DIMS_PER_STEP == 4
        vstore4(convert_uint4(vload4(0, even + x)) | convert_uint4(vload4(0, odd + x)) << 16, 0, to);
#elif DIMS_PER_STEP == 8
        vstore8(convert_uint8(vload8(0, even + x)) | convert_uint8(vload8(0, odd + x)) << 16, 0, to);
#else
        vstore16(convert_uint16(vload16(0, even + x)) | convert_uint16(vload16(0, odd + x)) << 16, 0, to);
#endif
    }
}

kernel __attribute__((reqd_work_group_size(1, 1, 1))) void attention(ATTENTION_PARAMETERS)
{
    vfloat q_tile[STRIPS * Q_WORDS * VECTORS], o_tile[STRIPS * HEAD_DIM_VO * VECTORS], p_tile[BLOCK_KV * VECTORS];
    vfloat item_max[STRIPS * VECTORS], item_sum[STRIPS * VECTORS];
    key_row k_rows[BLOCK_KV];
    uint v_tile[BLOCK_KV / 2 * HEAD_DIM_VO];
    const float log2_scale = args.scale * LOG2_E;
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
                       (float *)(q_tile + strip * Q_WORDS * VECTORS));
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
                global const KV_T *key = KV_ROW(k, item, pages, tile + min(n, tile_keys - 1), kv_head);
#if PACK_K
                for (int x = 0; x < HEAD_DIM_QK / 2; x += 8)
                    vstore8(as_uint8(vload16(0, key + 2 * x)), 0, k_rows[n] + x);
#else
                k_rows[n] = (key_row)key;
#endif
            }
            for (int n = 0; n < tile_keys; n += 2)
                interleave_values(KV_ROW(v, item, pages, tile + n, kv_head),
                                  KV_ROW(v, item, pages, tile + min(n + 1, tile_keys - 1), kv_head), n / 2, v_tile);
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
                compute_scores(q_tile + strip * Q_WORDS * VECTORS, k_rows, tile, strip_keys, limit, lowest, p_tile,
                               row_max);
#pragma unroll
                for (int w = 0; w < VECTORS; w++) {
                    correction[w] = exp2_pairs((correction[w] - row_max[w]) * log2_scale);
                    row_sum[w] = item_sum[strip * VECTORS + w] * correction[w];
                }
                compute_weights(strip_keys, log2_scale, row_max, p_tile, row_sum);
#pragma unroll
                for (int w = 0; w < VECTORS; w++) {
                    item_max[strip * VECTORS + w] = row_max[w];
                    item_sum[strip * VECTORS + w] = row_sum[w];
                }
                accumulate_output(p_tile, v_tile, strip_keys, correction, o_tile + strip * HEAD_DIM_VO * VECTORS);
            }
        }
        store_item(o_tile, item_sum, item_max, args.scale, item, args, o, lse, workspace);
    }
}
