// SPDX-License-Identifier: Apache-2.0
//
// SIMT tile: a work-group shares a tile of queries in local memory, its work-items compute register blocks of the two
// matrix products. Online softmax over blocks of keys (Milakov and Gimelshein, 2018, arXiv:1805.02867), blocked as in
// FlashAttention-2 (Dao, 2023, arXiv:2307.08691), with vectors across queries: a vector holds VEC rows of the tile, so
// that softmax needs no reduction within a vector, K and V are read as scalars in their natural layout, and VEC = 1 is
// plain SIMT.
//
//   tile         BLOCK_Q rows. Row r is query r of one head or, under PACK_GQA, query r / GROUP_SIZE of head r %
//   GROUP_SIZE:
//                all query heads of a KV head share the tile, and few queries still fill it
//   work-group   one item of the schedule at a time: its rows against all its keys, BLOCK_KV at a time
//   work-item    (row_item, lane): ROW_VECS vectors of rows, and, of a block of keys, KEYS_PER_ITEM keys in S = Q K^T
//   and
//                COLS_PER_ITEM columns in O += P V, in as many passes as the lanes need
//
//                      rows ->  row_item 0     row_item 1
//              keys  lane 0    [ ROW_VECS x ][            ]       The tiles of S and P, of Q^T (dims for keys) and of
//              O^T
//               |    lane 1    [  KEYS_..   ][            ]       (columns for keys) all lie in local memory like this:
//               v    ...       [            ][            ]       element (i, vector) at i * ROW_VECTORS + vector.
//
// A block of keys takes four steps, with a barrier after each: scores and their maximum per lane; the rows' maximum;
// exponentials; the product with V. Masks select scores after the dot product, so that K of masked keys may be
// anything; keys outside the item's range and, under CAUSAL, after its last query are never read.
//
// UNIFORM = 0 hides from the compiler that loop bounds are uniform (a zero argument is added that depends on the local
// id) and lets lanes without keys skip. A compiler that runs a work-group's work-items one after another (pocl) keeps
// the register blocks in registers only then: told that an inner loop is uniform, it runs work-items innermost and the
// blocks live in memory.
#include "attention.clh"

#if !defined(WG_SIZE) || !defined(VEC) || !defined(BLOCK_Q) || !defined(BLOCK_KV) || !defined(ROW_VECS) || \
    !defined(KEYS_PER_ITEM) || !defined(COLS_PER_ITEM) || !defined(K_IN_LOCAL) || !defined(V_IN_LOCAL) ||  \
    !defined(O_IN_LOCAL) || !defined(INTERLEAVE) || !defined(PACK_GQA) || !defined(UNIFORM) || !defined(UNROLL)
#error "a parameter of simt_tile is missing: see simt_tile.def"
#endif

#define PASTE2(a, b) a##b
#define PASTE(a, b) PASTE2(a, b)
#if VEC == 1
typedef float float_vec;
typedef int int_vec;
#define AS_FLOAT_VEC as_float
#define AS_INT_VEC as_int
#define CONVERT_FLOAT_VEC convert_float
#else
typedef PASTE(float, VEC) float_vec;
typedef PASTE(int, VEC) int_vec;
#define AS_FLOAT_VEC PASTE(as_float, VEC)
#define AS_INT_VEC PASTE(as_int, VEC)
#define CONVERT_FLOAT_VEC PASTE(convert_float, VEC)
#endif

#define ROW_VECTORS (BLOCK_Q / VEC)
#define ROW_ITEMS (ROW_VECTORS / ROW_VECS)
#define LANES (WG_SIZE / ROW_ITEMS)
#define KEY_GROUPS (BLOCK_KV / KEYS_PER_ITEM)
#define KEY_LANES (LANES < KEY_GROUPS ? LANES : KEY_GROUPS)
#define KEY_PASSES ((KEY_GROUPS + LANES - 1) / LANES)
#define COL_GROUPS (HEAD_DIM_VO / COLS_PER_ITEM)
#define COL_PASSES ((COL_GROUPS + LANES - 1) / LANES)
// Keys (columns) of a register block: neighbours, or LANES apart so that lanes touch neighbours.
#define BLOCK_STEP (INTERLEAVE ? LANES : 1)
#define KEY_OF(pass, lane) \
    (INTERLEAVE ? (pass)*LANES * KEYS_PER_ITEM + (lane) : ((pass)*LANES + (lane)) * KEYS_PER_ITEM)
#define COL_OF(pass, lane) \
    (INTERLEAVE ? (pass)*LANES * COLS_PER_ITEM + (lane) : ((pass)*LANES + (lane)) * COLS_PER_ITEM)

// Rows of a staged tile of K or V are a word longer than they need be: lanes that walk down a column meet different
// banks.
#define K_PITCH (HEAD_DIM_QK + 1)
#define V_PITCH (HEAD_DIM_VO + 1)
#define STAGED_WORDS                                                                \
    (BLOCK_KV * (K_IN_LOCAL && V_IN_LOCAL ? (K_PITCH > V_PITCH ? K_PITCH : V_PITCH) \
                                          : K_IN_LOCAL * K_PITCH + V_IN_LOCAL * V_PITCH))
// With O in private memory its tile is needed only at the end, when that of Q is free.
#define Q_TILE_DIMS (O_IN_LOCAL || HEAD_DIM_QK > HEAD_DIM_VO ? HEAD_DIM_QK : HEAD_DIM_VO)

#define ROWS_PER_QUERY (PACK_GQA ? GROUP_SIZE : 1)
#define SKIP_LANE(first_key, keys) (!UNIFORM && (first_key) >= (keys))
typedef global const KV_T *KV_ROW_T;
typedef local const KV_ROW_T *KV_ROWS_T;

// The row of a key and of its value, staged or not.
#if K_IN_LOCAL
typedef local const float *KEY_PTR;
#define KEY_ROW(rows, staged, key) ((staged) + (key)*K_PITCH)
#define LOAD_KEY(pointer) (*(pointer))
#else
typedef KV_ROW_T KEY_PTR;
#define KEY_ROW(rows, staged, key) ((rows)[key])
#define LOAD_KEY(pointer) LOAD_KV(pointer)
#endif
#if V_IN_LOCAL
typedef local const float *VALUE_PTR;
#define VALUE_ROW(rows, staged, key) ((staged) + (key)*V_PITCH)
#define LOAD_VALUE(pointer) (*(pointer))
#else
typedef KV_ROW_T VALUE_PTR;
#define VALUE_ROW(rows, staged, key) ((rows)[key])
#define LOAD_VALUE(pointer) LOAD_KV(pointer)
#endif

// An element of a work-item's part of O.
#if O_IN_LOCAL
#define O_BLOCK(o_tile, o_private, pass, column, c, w) ((o_tile)[((column) + (c)*BLOCK_STEP) * ROW_VECTORS + (w)])
#else
#define O_BLOCK(o_tile, o_private, pass, column, c, w) ((o_private)[((pass)*COLS_PER_ITEM + (c)) * ROW_VECS + (w)])
#endif

// 2^x for x <= 0 within 1.2e-7 of its value; exactly 0 from -127 down; NaN for NaN.
static inline float_vec exp2_vec(float_vec x)
{
    x = x < (float_vec)(-127.0f) ? (float_vec)(-127.0f) : x; // not max(), whose result for NaN is undefined
    // rint(x) + 127 in the low bits of x + 1.5 * 2^23 + 127: rint itself is a long sequence on some devices. With the
    // bias of exponents it is 2^rint(x), which is a factor: integer arithmetic on the polynomial would make numbers of
    // some NaN.
    int_vec n = AS_INT_VEC(x + (float_vec)(12583039.0f));
    float_vec f = x - CONVERT_FLOAT_VEC(n - AS_INT_VEC((float_vec)(12583039.0f)));
    float_vec p = fma(f, (float_vec)(1.5453163e-4f), (float_vec)(1.3390863e-3f));
    p = fma(p, f, (float_vec)(9.6180830e-3f));
    p = fma(p, f, (float_vec)(5.5503570e-2f));
    p = fma(p, f, (float_vec)(2.4022651e-1f));
    p = fma(p, f, (float_vec)(6.9314718e-1f));
    p = fma(p, f, (float_vec)(1.0f));
    return p * AS_FLOAT_VEC(n << 23);
}

// Row of the tile in q, o (tensor) or lse.
#define ROW_OFFSET(tensor, row)                                                                  \
    (args.tensor##_offset + (item.q_row + (row) / ROWS_PER_QUERY) * args.tensor##_stride_token + \
     (item.head + (row) % ROWS_PER_QUERY) * args.tensor##_stride_head)

// Q^T of the item's rows, with copies of the last in the rows below, and the position of each row. Four rows by eight
// dims at a time: rows are read and the tile is written in vectors.
static inline void load_queries(global const Q_T *q, const struct attention_item item, const struct attention_args args,
                                local float *q_tile, local int *row_pos)
{
    const int last = item.q_count * ROWS_PER_QUERY - 1;
    for (int i = (int)get_local_id(0); i < BLOCK_Q / 4 * (HEAD_DIM_QK / 8); i += WG_SIZE) {
        int row = i / (HEAD_DIM_QK / 8) * 4, x = i % (HEAD_DIM_QK / 8) * 8;
        float8 a = LOAD_Q8(q + ROW_OFFSET(q, min(row, last)) + x);
        float8 b = LOAD_Q8(q + ROW_OFFSET(q, min(row + 1, last)) + x);
        float8 c = LOAD_Q8(q + ROW_OFFSET(q, min(row + 2, last)) + x);
        float8 d = LOAD_Q8(q + ROW_OFFSET(q, min(row + 3, last)) + x);
        local float *out = q_tile + x * BLOCK_Q + row;
        vstore4((float4)(a.s0, b.s0, c.s0, d.s0), 0, out);
        vstore4((float4)(a.s1, b.s1, c.s1, d.s1), 0, out + BLOCK_Q);
        vstore4((float4)(a.s2, b.s2, c.s2, d.s2), 0, out + 2 * BLOCK_Q);
        vstore4((float4)(a.s3, b.s3, c.s3, d.s3), 0, out + 3 * BLOCK_Q);
        vstore4((float4)(a.s4, b.s4, c.s4, d.s4), 0, out + 4 * BLOCK_Q);
        vstore4((float4)(a.s5, b.s5, c.s5, d.s5), 0, out + 5 * BLOCK_Q);
        vstore4((float4)(a.s6, b.s6, c.s6, d.s6), 0, out + 6 * BLOCK_Q);
        vstore4((float4)(a.s7, b.s7, c.s7, d.s7), 0, out + 7 * BLOCK_Q);
    }
    for (int row = (int)get_local_id(0); row < BLOCK_Q; row += WG_SIZE)
        row_pos[row] = item.q_pos + row / ROWS_PER_QUERY;
}

// Copies the rows of a block of keys, widened.
static inline void stage_rows(local float *staged, int pitch, int dims, KV_ROWS_T rows, int keys)
{
#if HEAD_DIM_QK % 16 == 0 && HEAD_DIM_VO % 16 == 0
    for (int i = (int)get_local_id(0); i < keys * (dims / 16); i += WG_SIZE) {
        int key = i / (dims / 16), x = i % (dims / 16) * 16;
        vstore16(LOAD_KV16(rows[key] + x), 0, staged + key * pitch + x);
    }
#else
    for (int i = (int)get_local_id(0); i < keys * (dims / 8); i += WG_SIZE) {
        int key = i / (dims / 8), x = i % (dims / 8) * 8;
        vstore8(LOAD_KV8(rows[key] + x), 0, staged + key * pitch + x);
    }
#endif
}

// Scores of a register block, before the scale: acc[key * ROW_VECS + vector].
static inline void block_scores(local const float_vec *q_tile, KEY_PTR *key, float_vec *acc, int slack)
{
#pragma unroll
    for (int i = 0; i < KEYS_PER_ITEM * ROW_VECS; i++)
        acc[i] = (float_vec)(0.0f);
    for (int x = 0; x < HEAD_DIM_QK + slack; x += UNROLL) {
#pragma unroll
        for (int u = 0; u < UNROLL; u++) {
            float_vec query[ROW_VECS];
#pragma unroll
            for (int w = 0; w < ROW_VECS; w++)
                query[w] = q_tile[(x + u) * ROW_VECTORS + w];
#pragma unroll
            for (int i = 0; i < KEYS_PER_ITEM; i++) {
                float_vec element = (float_vec)(LOAD_KEY(key[i] + x + u));
#pragma unroll
                for (int w = 0; w < ROW_VECS; w++)
                    acc[i * ROW_VECS + w] = fma(element, query[w], acc[i * ROW_VECS + w]);
            }
        }
    }
}

// Step 1: masked scores of the lane's keys, and their maximum.
static inline void scores_step(local const float_vec *q_tile, local const int_vec *row_pos, KV_ROWS_T k_rows,
                               local const float *staged, local float_vec *p_tile, local float_vec *lane_max, int lane,
                               int block, int keys, int first_pos, int slack)
{
    float_vec top[ROW_VECS];
#pragma unroll
    for (int w = 0; w < ROW_VECS; w++)
        top[w] = (float_vec)(INITIAL_MAX);
    for (int pass = 0; pass < KEY_PASSES; pass++) {
        int first = KEY_OF(pass, lane);
        if (SKIP_LANE(first, keys))
            break;
        KEY_PTR key[KEYS_PER_ITEM];
#pragma unroll
        for (int i = 0; i < KEYS_PER_ITEM; i++)
            key[i] = KEY_ROW(k_rows, staged, min(first + i * BLOCK_STEP, keys - 1));
        float_vec acc[KEYS_PER_ITEM * ROW_VECS];
        block_scores(q_tile, key, acc, slack);
#pragma unroll
        for (int i = 0; i < KEYS_PER_ITEM; i++) {
            int j = first + i * BLOCK_STEP;
#pragma unroll
            for (int w = 0; w < ROW_VECS; w++) {
                float_vec score = acc[i * ROW_VECS + w];
                if (j >= keys)
                    score = (float_vec)(MASKED_SCORE);
                else if (CAUSAL && block + j > first_pos)
                    score = row_pos[w] >= (int_vec)(block + j) ? score : (float_vec)(MASKED_SCORE);
                top[w] = max(top[w], score);
                p_tile[j * ROW_VECTORS + w] = score;
            }
        }
    }
    if (lane < KEY_LANES) {
#pragma unroll
        for (int w = 0; w < ROW_VECS; w++)
            lane_max[lane * ROW_VECTORS + w] = top[w];
    }
}

// Step 2: the rows' running maximum, and what its rise scales older sums by.
static inline void max_step(local const float_vec *lane_max, local float_vec *row_max, local float_vec *row_scale,
                            float log2_scale)
{
    for (int i = (int)get_local_id(0); i < ROW_VECTORS; i += WG_SIZE) {
        float_vec top = row_max[i];
        for (int lane = 0; lane < KEY_LANES; lane++)
            top = max(top, lane_max[lane * ROW_VECTORS + i]);
        row_scale[i] = exp2_vec((row_max[i] - top) * log2_scale);
        row_max[i] = top;
    }
}

// Step 3: exponentials in place of the lane's scores, and the lane's running sum of them.
static inline void exp_step(local float_vec *p_tile, local const float_vec *row_max, local const float_vec *row_scale,
                            local float_vec *lane_sum, int lane, int keys, float log2_scale)
{
    if (lane >= KEY_LANES)
        return;
    float_vec sum[ROW_VECS], top[ROW_VECS];
#pragma unroll
    for (int w = 0; w < ROW_VECS; w++) {
        sum[w] = lane_sum[lane * ROW_VECTORS + w] * row_scale[w];
        top[w] = row_max[w];
    }
    for (int pass = 0; pass < KEY_PASSES; pass++) {
        int first = KEY_OF(pass, lane);
        if (SKIP_LANE(first, keys))
            break;
#pragma unroll
        for (int i = 0; i < KEYS_PER_ITEM; i++) {
#pragma unroll
            for (int w = 0; w < ROW_VECS; w++) {
                int at = (first + i * BLOCK_STEP) * ROW_VECTORS + w;
                float_vec p = exp2_vec((p_tile[at] - top[w]) * log2_scale);
                sum[w] += p;
                p_tile[at] = p;
            }
        }
    }
#pragma unroll
    for (int w = 0; w < ROW_VECS; w++)
        lane_sum[lane * ROW_VECTORS + w] = sum[w];
}

// Step 4: adds P V of the block to a register block of O: acc[column * ROW_VECS + vector].
static inline void block_product(local const float_vec *p_tile, KV_ROWS_T v_rows, local const float *staged, int column,
                                 float_vec *acc, int keys)
{
    for (int j = 0; j < keys; j++) {
        VALUE_PTR value = VALUE_ROW(v_rows, staged, j) + column;
        float_vec p[ROW_VECS];
#pragma unroll
        for (int w = 0; w < ROW_VECS; w++)
            p[w] = p_tile[j * ROW_VECTORS + w];
#pragma unroll
        for (int c = 0; c < COLS_PER_ITEM; c++) {
            float_vec element = (float_vec)(LOAD_VALUE(value + c * BLOCK_STEP));
#pragma unroll
            for (int w = 0; w < ROW_VECS; w++)
                acc[c * ROW_VECS + w] = fma(element, p[w], acc[c * ROW_VECS + w]);
        }
    }
}

// Step 4 for all register blocks of the work-item. O lies in o_tile or in o_private.
static inline void product_step(local const float_vec *p_tile, KV_ROWS_T v_rows, local const float *staged,
                                local const float_vec *row_scale, local float_vec *o_tile, float_vec *o_private,
                                int lane, int keys)
{
#if !O_IN_LOCAL // indices of private O must be constants
#pragma unroll
#endif
    for (int pass = 0; pass < COL_PASSES; pass++) {
        int column = COL_OF(pass, lane);
        if (column >= HEAD_DIM_VO)
            continue;
        float_vec acc[COLS_PER_ITEM * ROW_VECS];
#pragma unroll
        for (int c = 0; c < COLS_PER_ITEM; c++) {
#pragma unroll
            for (int w = 0; w < ROW_VECS; w++)
                acc[c * ROW_VECS + w] = O_BLOCK(o_tile, o_private, pass, column, c, w) * row_scale[w];
        }
        block_product(p_tile, v_rows, staged, column, acc, keys);
#pragma unroll
        for (int c = 0; c < COLS_PER_ITEM; c++) {
#pragma unroll
            for (int w = 0; w < ROW_VECS; w++)
                O_BLOCK(o_tile, o_private, pass, column, c, w) = acc[c * ROW_VECS + w];
        }
    }
}

// The rows' sums over all lanes, and what their output is multiplied by.
static inline void sum_rows(const struct attention_item item, local const float_vec *lane_sum, local float *row_sum,
                            local float *inverse)
{
    for (int i = (int)get_local_id(0); i < ROW_VECTORS; i += WG_SIZE) {
        float_vec sum = (float_vec)(0.0f);
        for (int lane = 0; lane < KEY_LANES; lane++)
            sum += lane_sum[lane * ROW_VECTORS + i];
        ((local float_vec *)row_sum)[i] = sum;
#pragma unroll
        for (int row = i * VEC; row < i * VEC + VEC; row++)
            inverse[row] = row_inverse(row / ROWS_PER_QUERY >= first_with_keys(item), row_sum[row]);
    }
}

// Stores eight columns of a row of the tile: to o, or to the workspace where the item is one of a split sequence.
#define STORE_COLUMNS(value, row)                                                                               \
    do {                                                                                                        \
        if (item.partial >= 0)                                                                                  \
            vstore8(value, 0, PARTIAL_O(item, (row) / ROWS_PER_QUERY, item.head + (row) % ROWS_PER_QUERY) + x); \
        else                                                                                                    \
            STORE_O8(value, o + ROW_OFFSET(o, row) + x);                                                        \
    } while (0)

// O of the item's rows, four rows by eight columns at a time as in load_queries.
static inline void store_rows(global O_T *o, global float *workspace, const struct attention_item item,
                              const struct attention_args args, local const float *o_tile, local const float *inverse)
{
    const int rows = item.q_count * ROWS_PER_QUERY;
    for (int i = (int)get_local_id(0); i < (rows + 3) / 4 * (HEAD_DIM_VO / 8); i += WG_SIZE) {
        int row = i / (HEAD_DIM_VO / 8) * 4, x = i % (HEAD_DIM_VO / 8) * 8;
        float4 scale = vload4(0, inverse + row);
        local const float *in = o_tile + x * BLOCK_Q + row;
        float4 a = vload4(0, in) * scale, b = vload4(0, in + BLOCK_Q) * scale;
        float4 c = vload4(0, in + 2 * BLOCK_Q) * scale, d = vload4(0, in + 3 * BLOCK_Q) * scale;
        float4 e = vload4(0, in + 4 * BLOCK_Q) * scale, f = vload4(0, in + 5 * BLOCK_Q) * scale;
        float4 g = vload4(0, in + 6 * BLOCK_Q) * scale, h = vload4(0, in + 7 * BLOCK_Q) * scale;
        STORE_COLUMNS((float8)(a.x, b.x, c.x, d.x, e.x, f.x, g.x, h.x), row);
        if (row + 1 < rows)
            STORE_COLUMNS((float8)(a.y, b.y, c.y, d.y, e.y, f.y, g.y, h.y), row + 1);
        if (row + 2 < rows)
            STORE_COLUMNS((float8)(a.z, b.z, c.z, d.z, e.z, f.z, g.z, h.z), row + 2);
        if (row + 3 < rows)
            STORE_COLUMNS((float8)(a.w, b.w, c.w, d.w, e.w, f.w, g.w, h.w), row + 3);
    }
}

static inline void store_lse(global float *lse, global float *workspace, const struct attention_item item,
                             const struct attention_args args, local const float *row_max, local const float *row_sum)
{
    for (int row = (int)get_local_id(0); row < item.q_count * ROWS_PER_QUERY; row += WG_SIZE) {
        const bool has_keys = row / ROWS_PER_QUERY >= first_with_keys(item);
        const float maximum = row_max[row] * args.scale;
        if (item.partial >= 0)
            store_partial_sum(PARTIAL_SUM(item, row / ROWS_PER_QUERY, item.head + row % ROWS_PER_QUERY), has_keys,
                              maximum, row_sum[row]);
        else
            lse[ROW_OFFSET(lse, row)] = row_lse(has_keys, maximum, row_sum[row]);
    }
}

kernel __attribute__((reqd_work_group_size(WG_SIZE, 1, 1))) void attention(ATTENTION_PARAMETERS)
{
    local float_vec q_tile[Q_TILE_DIMS * ROW_VECTORS];
    local float_vec p_tile[BLOCK_KV * ROW_VECTORS];
    local float_vec lane_max[KEY_LANES * ROW_VECTORS], lane_sum[KEY_LANES * ROW_VECTORS];
    local float_vec row_max[ROW_VECTORS], row_sum[ROW_VECTORS], row_scale[ROW_VECTORS];
    local int_vec row_pos[ROW_VECTORS];
    local KV_ROW_T k_rows[BLOCK_KV], v_rows[BLOCK_KV];
#if K_IN_LOCAL || V_IN_LOCAL
    local float staged[STAGED_WORDS];
#else
    local float *staged = 0;
#endif
#if O_IN_LOCAL
    local float_vec o_tile[HEAD_DIM_VO * ROW_VECTORS];
    float_vec *o_private = 0;
#else
    local float_vec *o_tile = q_tile;
    float_vec o_private[COL_PASSES * COLS_PER_ITEM * ROW_VECS];
#endif
    const int id = (int)get_local_id(0);
    const int lane = id % LANES, row_vec = id / LANES * ROW_VECS;
    const int slack = UNIFORM ? 0 : id & args.opaque_zero;
    const float log2_scale = args.scale * M_LOG2E_F; // above 0, so that scores can be compared before it

    const int end = schedule_end_item(schedule, args.segment);
    for (int i = schedule_first_item(schedule, args.segment) + (int)get_group_id(0); i < end; i += args.num_groups) {
        const struct attention_item item = load_item(schedule, i, args.num_q_heads);
        const int kv_head = item.head / GROUP_SIZE;
        const int kv_end = CAUSAL ? min(item.kv_end, item.q_pos + item.q_count) : item.kv_end;
        global const int *slots = ITEM_PAGES(item);

        load_queries(q, item, args, (local float *)q_tile, (local int *)row_pos);
        for (int x = id; x < ROW_VECTORS; x += WG_SIZE)
            row_max[x] = (float_vec)(INITIAL_MAX);
        for (int x = id; x < KEY_LANES * ROW_VECTORS; x += WG_SIZE)
            lane_sum[x] = (float_vec)(0.0f);
#if O_IN_LOCAL
        for (int x = id; x < HEAD_DIM_VO * ROW_VECTORS; x += WG_SIZE)
            o_tile[x] = (float_vec)(0.0f);
#else
        for (int x = 0; x < COL_PASSES * COLS_PER_ITEM * ROW_VECS; x++)
            o_private[x] = (float_vec)(0.0f);
#endif
        barrier(CLK_LOCAL_MEM_FENCE);
        for (int block = item.kv_begin; block < kv_end; block += BLOCK_KV) {
            const int keys = min(BLOCK_KV, kv_end - block);
            for (int j = id; j < keys; j += WG_SIZE) {
                k_rows[j] = KV_ROW(k, item, slots, block + j, kv_head);
                v_rows[j] = KV_ROW(v, item, slots, block + j, kv_head);
            }
            barrier(CLK_LOCAL_MEM_FENCE);
#if K_IN_LOCAL
            stage_rows(staged, K_PITCH, HEAD_DIM_QK, k_rows, keys);
            barrier(CLK_LOCAL_MEM_FENCE);
#endif
            scores_step(q_tile + row_vec, row_pos + row_vec, k_rows, staged, p_tile + row_vec, lane_max + row_vec, lane,
                        block, keys, item.q_pos, slack);
            barrier(CLK_LOCAL_MEM_FENCE);
#if V_IN_LOCAL
            stage_rows(staged, V_PITCH, HEAD_DIM_VO, v_rows, keys);
            barrier(CLK_LOCAL_MEM_FENCE);
#endif
            max_step(lane_max, row_max, row_scale, log2_scale);
            barrier(CLK_LOCAL_MEM_FENCE);
            exp_step(p_tile + row_vec, row_max + row_vec, row_scale + row_vec, lane_sum + row_vec, lane, keys,
                     log2_scale);
            barrier(CLK_LOCAL_MEM_FENCE);
            product_step(p_tile + row_vec, v_rows, staged, row_scale + row_vec, o_tile + row_vec, o_private, lane,
                         keys + slack);
            barrier(CLK_LOCAL_MEM_FENCE);
        }
#if !O_IN_LOCAL
#pragma unroll
        for (int pass = 0; pass < COL_PASSES; pass++) {
            if (COL_OF(pass, lane) < HEAD_DIM_VO) {
#pragma unroll
                for (int c = 0; c < COLS_PER_ITEM; c++) {
#pragma unroll
                    for (int w = 0; w < ROW_VECS; w++)
                        q_tile[(COL_OF(pass, lane) + c * BLOCK_STEP) * ROW_VECTORS + row_vec + w] =
                            o_private[(pass * COLS_PER_ITEM + c) * ROW_VECS + w];
                }
            }
        }
#endif
        barrier(CLK_LOCAL_MEM_FENCE);
        sum_rows(item, lane_sum, (local float *)row_sum, (local float *)row_scale);
        barrier(CLK_LOCAL_MEM_FENCE);
        store_rows(o, workspace, item, args, (local const float *)o_tile, (local const float *)row_scale);
        if (lse || item.partial >= 0)
            store_lse(lse, workspace, item, args, (local const float *)row_max, (local const float *)row_sum);
        barrier(CLK_LOCAL_MEM_FENCE);
    }
}
