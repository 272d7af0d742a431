// SPDX-License-Identifier: Apache-2.0
//
// Vector tile: one work-item computes BLOCK_Q rows of the output with explicit vectors across rows, so that the softmax
// needs no horizontal reduction and K and V are read in their natural layout, one element broadcast to all lanes.
// Online softmax after Dao et al., FlashAttention (2022, arXiv:2205.14135).
//
// clang-format off
//   row r of an item   query r of head ITEM_HEAD; with PACK_GQA query r / GROUP_SIZE of head ITEM_HEAD + r % GROUP_SIZE
//   strip              STRIP_ROWS = VEC * VECTORS rows, computed together; an item's strips share its tiles of keys
//   q_tile             [strip][dim][row] Q transposed, times scale
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

#include "vector.clh"

#define STRIP_ROWS (VEC * VECTORS)
#define STRIPS (BLOCK_Q / STRIP_ROWS)
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
// row_max.
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
                    score[i * VECTORS + w] =
                        select(score[i * VECTORS + w], (vfloat)MASKED_SCORE, (vint)(tile_begin + n + i) > limit[w]);
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

#if HEAD_DIM_QK % 8 == 0
#define Q_BLOCK_DIMS 8
#else
#define Q_BLOCK_DIMS 1
#endif

// q_tile of the rows first_row .. first_row + STRIP_ROWS - 1, the item's last row again in place of those past its end:
// their results are not stored. Four rows by eight dims at a time, so that rows are read and the tile is written in
// vectors.
INLINE void load_strip(global const Q_T *query, abi_i64 stride_token, abi_i64 stride_head, float factor, int first_row,
                       int rows, vfloat *q_tile)
{
    for (int r = 0; r < STRIP_ROWS; r += 4) {
        global const Q_T *row[4];
#pragma unroll
        for (int i = 0; i < 4; i++) {
            int at = min(first_row + r + i, rows - 1);
            row[i] = query + ROW_QUERY(at) * stride_token + ROW_HEAD(at) * stride_head;
        }
        float *to = (float *)q_tile + r;
        for (int x = 0; x < HEAD_DIM_QK; x += Q_BLOCK_DIMS) {
#if Q_BLOCK_DIMS == 8
            float8 a = LOAD_Q8(row[0] + x) * factor, b = LOAD_Q8(row[1] + x) * factor;
            float8 c = LOAD_Q8(row[2] + x) * factor, d = LOAD_Q8(row[3] + x) * factor;
            vstore4((float4)(a.s0, b.s0, c.s0, d.s0), 0, to + x * STRIP_ROWS);
            vstore4((float4)(a.s1, b.s1, c.s1, d.s1), 0, to + (x + 1) * STRIP_ROWS);
            vstore4((float4)(a.s2, b.s2, c.s2, d.s2), 0, to + (x + 2) * STRIP_ROWS);
            vstore4((float4)(a.s3, b.s3, c.s3, d.s3), 0, to + (x + 3) * STRIP_ROWS);
            vstore4((float4)(a.s4, b.s4, c.s4, d.s4), 0, to + (x + 4) * STRIP_ROWS);
            vstore4((float4)(a.s5, b.s5, c.s5, d.s5), 0, to + (x + 5) * STRIP_ROWS);
            vstore4((float4)(a.s6, b.s6, c.s6, d.s6), 0, to + (x + 6) * STRIP_ROWS);
            vstore4((float4)(a.s7, b.s7, c.s7, d.s7), 0, to + (x + 7) * STRIP_ROWS);
#else
            vstore4((float4)(LOAD_Q(row[0] + x), LOAD_Q(row[1] + x), LOAD_Q(row[2] + x), LOAD_Q(row[3] + x)) * factor,
                    0, to + x * STRIP_ROWS);
#endif
        }
    }
}

// Where the rows of an item go: o, or the workspace where the item is one of a split sequence.
struct row_target {
    global O_T *o;
    global float *partial; // NULL: rows go to o
    abi_i64 stride_token, stride_head;
};

INLINE void store_8(float8 value, const struct row_target *target, abi_i64 at)
{
    if (target->partial)
        vstore8(value, 0, target->partial + at);
    else
        STORE_O8(value, target->o + at);
}

INLINE void store_1(float value, const struct row_target *target, abi_i64 at)
{
    if (target->partial)
        target->partial[at] = value;
    else
        STORE_O(value, target->o + at);
}

// Rows of a strip over their sums, four rows by eight dims at a time.
INLINE void store_strip(const vfloat *o_tile, const vfloat *row_sum, int first_row, int rows, struct row_target target)
{
    for (int r = 0; r < STRIP_ROWS && first_row + r < rows; r += 4) {
        float4 sum = vload4(0, (const float *)row_sum + r);
        float4 inverse = select(1.0f / sum, (float4)(0.0f), sum == 0.0f); // no key: a row of zeros
        abi_i64 row[4];
#pragma unroll
        for (int i = 0; i < 4; i++) {
            int at = min(first_row + r + i, rows - 1);
            row[i] = ROW_QUERY(at) * target.stride_token + ROW_HEAD(at) * target.stride_head;
        }
        int count = min(rows - first_row - r, 4);
        const float *from = (const float *)o_tile + r;
        int x = 0;
        for (; x + 8 <= HEAD_DIM_VO; x += 8) {
            float4 t[8];
#pragma unroll
            for (int i = 0; i < 8; i++)
                t[i] = vload4(0, from + (x + i) * STRIP_ROWS) * inverse;
            store_8((float8)(t[0].x, t[1].x, t[2].x, t[3].x, t[4].x, t[5].x, t[6].x, t[7].x), &target, row[0] + x);
            if (count > 1)
                store_8((float8)(t[0].y, t[1].y, t[2].y, t[3].y, t[4].y, t[5].y, t[6].y, t[7].y), &target, row[1] + x);
            if (count > 2)
                store_8((float8)(t[0].z, t[1].z, t[2].z, t[3].z, t[4].z, t[5].z, t[6].z, t[7].z), &target, row[2] + x);
            if (count > 3)
                store_8((float8)(t[0].w, t[1].w, t[2].w, t[3].w, t[4].w, t[5].w, t[6].w, t[7].w), &target, row[3] + x);
        }
        for (; x < HEAD_DIM_VO; x++)
            for (int i = 0; i < count; i++)
                store_1(from[x * STRIP_ROWS + i] * ((const float *)&inverse)[i], &target, row[i] + x);
    }
}

// Asks for the cache lines of a row. pocl's prefetch() is empty; its compiler's builtin takes no global pointer.
#if defined(__x86_64__) || defined(__aarch64__)
#define PREFETCH_LINE(pointer) __builtin_prefetch((const void *)(ulong)(pointer), 0, 2)
#else
#define PREFETCH_LINE(pointer) prefetch(pointer, 1)
#endif
#define PREFETCH_ROW(row, dim)                                             \
    for (int line_x = 0; line_x < (dim); line_x += 64 / (int)sizeof(KV_T)) \
    PREFETCH_LINE((row) + line_x)

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
        global const int *slots = ITEM_PAGES(item);
        global const Q_T *query = q + args.q_offset + item.q_row * args.q_stride_token + item.head * args.q_stride_head;
        struct row_target target = {o + args.o_offset + item.q_row * args.o_stride_token +
                                        item.head * args.o_stride_head,
                                    0, args.o_stride_token, args.o_stride_head};
        if (item.partial >= 0)
            target = (struct row_target){o, PARTIAL_O(item, 0, item.head), (abi_i64)args.num_q_heads * HEAD_DIM_VO,
                                         HEAD_DIM_VO};

        for (int strip = 0; strip < strips; strip++)
            load_strip(query, args.q_stride_token, args.q_stride_head, args.scale, strip * STRIP_ROWS, rows,
                       q_tile + strip * HEAD_DIM_QK * VECTORS);
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
                global const KV_T *key = KV_ROW(k, item, slots, position, kv_head);
                global const KV_T *value = KV_ROW(v, item, slots, position, kv_head);
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
                // The next tile's rows, each strip a share: they are pages apart, which hardware does not foresee.
                int share_end = min(tile + BLOCK_KV + (strip + 1) * BLOCK_KV / strips, item.kv_end);
                for (int position = tile + BLOCK_KV + strip * BLOCK_KV / strips; position < share_end; position++) {
                    PREFETCH_ROW(KV_ROW(k, item, slots, position, kv_head), HEAD_DIM_QK);
                    PREFETCH_ROW(KV_ROW(v, item, slots, position, kv_head), HEAD_DIM_VO);
                }
#endif
                // Last position that a row may see, and the lowest and highest of these in the strip.
                vint limit[VECTORS];
                int first_query = ROW_QUERY(strip * STRIP_ROWS),
                    last_query = ROW_QUERY(min((strip + 1) * STRIP_ROWS, rows) - 1);
                int lowest = CAUSAL ? min(item.q_pos + first_query, item.kv_end - 1) : item.kv_end - 1;
                int highest = CAUSAL ? min(item.q_pos + last_query, item.kv_end - 1) : item.kv_end - 1;
                int strip_keys = min(tile_keys, highest + 1 - tile);
                if (strip_keys <= 0)
                    continue;
                vfloat row_max[VECTORS], row_sum[VECTORS], correction[VECTORS];
#pragma unroll
                for (int w = 0; w < VECTORS; w++) {
                    limit[w] = (vint)(item.kv_end - 1);
                    if (CAUSAL)
                        limit[w] = min(limit[w], item.q_pos + ROW_QUERY(strip * STRIP_ROWS + w * VEC + LANES));
                    correction[w] = row_max[w] = item_max[strip * VECTORS + w];
                }
                compute_scores(q_tile + strip * HEAD_DIM_QK * VECTORS, k_rows, tile, strip_keys, limit, lowest, p_tile,
                               row_max);
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

        for (int strip = 0; strip < strips; strip++)
            store_strip(o_tile + strip * HEAD_DIM_VO * VECTORS, item_sum + strip * VECTORS, strip * STRIP_ROWS, rows,
                        target);
        if (lse || item.partial >= 0) {
            const float *sum = (const float *)item_sum, *maximum = (const float *)item_max;
            for (int r = 0; r < rows; r++) {
                float value = sum[r] == 0.0f ? -INFINITY : maximum[r] + log(sum[r]);
                if (item.partial >= 0)
                    *PARTIAL_LSE(item, ROW_QUERY(r), item.head + ROW_HEAD(r)) = value;
                else
                    lse[args.lse_offset + (item.q_row + ROW_QUERY(r)) * args.lse_stride_token +
                        (item.head + ROW_HEAD(r)) * args.lse_stride_head] = value;
            }
        }
    }
}
