// SPDX-License-Identifier: Apache-2.0
//
// Vector decode: one work-item takes a range of the keys of one or some KV heads for few queries, with explicit vectors along the head
// dim. Each row of K and V is read from memory once and serves all query heads of the group. Split-KV after Flash-Decoding
// (Dao, Haziza, Massa, Sizov, 2023): a sequence's ranges are items of their own and are merged afterwards.
//
// clang-format off
//   row r of a group   query r / GROUP_SIZE of the group's query head r % GROUP_SIZE
//   block              BLOCK_KV keys; a chunk of 16 of them gives one vector of scores a row
//   q_tile             [group][row][dim]                 o_tile  [group][row][dim]
//   p_tile             [row][key] scores, then weights, of a block
//
//   scores     STEP_KEYS keys x STEP_ROWS rows of products are summed up in registers, 16 partial sums each:
//
//                        key 0  key 4  key 8  key 12         joined in pairs, with half as many partial sums for each key
//                row 0  [  . .  . .  . .  . .  ]   ->        every time, until each of the 16 lanes of a vector is the sum
//                row 1  [  . .  . .  . .  . .  ]             of one key of the chunk: 15 joins for 16 sums
//
//   output     STEP_ROWS rows x STEP_VECTORS vectors of dims, over the block's keys
// clang-format on
//
// The groups of an item, at most HEAD_GROUPS, take each block by turns. Meanwhile the rows of the next block are asked for, key
// by key with all groups of each: where the heads of a key lie side by side in memory, it is read in the order of its addresses.
//
// A block's missing keys are its last key again, and masked.
#include "attention.clh"
#include "half.clh"

#if !defined(TILE_TOKENS) || !defined(HEAD_GROUPS) || !defined(BLOCK_KV) || !defined(ROWS_PER_STEP) || !defined(ACCUMULATORS) || !defined(PREFETCH)
#error "a parameter of decode_vector is missing: see decode_vector.def"
#endif

#define VEC 16
#include "vector.clh"
#include "join.clh"

#define KEY_VECTORS (HEAD_DIM_QK / VEC)
#define VALUE_VECTORS (HEAD_DIM_VO / VEC)
#define CHUNKS (BLOCK_KV / VEC)

// Rows in equal steps of at most ROWS_PER_STEP; those past the item's end are zeros.
#define ROW_STEPS ((TILE_TOKENS * GROUP_SIZE + ROWS_PER_STEP - 1) / ROWS_PER_STEP)
#define STEP_ROWS ((TILE_TOKENS * GROUP_SIZE + ROW_STEPS - 1) / ROW_STEPS)
#define ROWS (ROW_STEPS * STEP_ROWS)

// Powers of two, so that the accumulators of a step number at most ACCUMULATORS.
#define STEP_KEYS                                                                                                      \
    (STEP_ROWS * 16 <= ACCUMULATORS  ? 16                                                                              \
     : STEP_ROWS * 8 <= ACCUMULATORS ? 8                                                                               \
     : STEP_ROWS * 4 <= ACCUMULATORS ? 4                                                                               \
     : STEP_ROWS * 2 <= ACCUMULATORS ? 2                                                                               \
                                     : 1)
#define STEP_VECTORS                                                                                                   \
    (VALUE_VECTORS % 8 == 0 && STEP_ROWS * 8 <= ACCUMULATORS   ? 8                                                     \
     : VALUE_VECTORS % 4 == 0 && STEP_ROWS * 4 <= ACCUMULATORS ? 4                                                     \
     : VALUE_VECTORS % 2 == 0 && STEP_ROWS * 2 <= ACCUMULATORS ? 2                                                     \
                                                               : 1)

// It is made to hold the key that lane f is of.
#define CHUNK_KEY(f) JOINED_LANE(f)

// All joins of STEP_KEYS vectors into one, then all of the 16 / STEP_KEYS that a chunk has.
INLINE float16 join_step(float16 *sums)
{
    if (STEP_KEYS >= 2)
        JOIN(join_8, STEP_KEYS, sums);
    if (STEP_KEYS >= 4)
        JOIN(join_4, STEP_KEYS / 2, sums);
    if (STEP_KEYS >= 8)
        JOIN(join_2, STEP_KEYS / 4, sums);
    if (STEP_KEYS >= 16)
        JOIN(join_1, STEP_KEYS / 8, sums);
    return sums[0];
}

INLINE float16 join_chunk(float16 *sums)
{
    if (STEP_KEYS < 2)
        JOIN(join_8, 16, sums);
    if (STEP_KEYS < 4)
        JOIN(join_4, 8, sums);
    if (STEP_KEYS < 8)
        JOIN(join_2, 4, sums);
    if (STEP_KEYS < 16)
        JOIN(join_1, 2, sums);
    return sums[0];
}

// Asks for the line of 64 bytes at an element, for the cache at level PREFETCH. pocl's prefetch() is empty; its compiler's
// builtin takes no global pointer.
#if !PREFETCH
#define ASK_FOR(element)
#elif defined(__x86_64__) || defined(__aarch64__)
#define ASK_FOR(element) __builtin_prefetch((const void *)(ulong)(element), 0, 4 - PREFETCH)
#else
#define ASK_FOR(element) prefetch(element, 1)
#endif
// Vectors of a row that one such request covers, if rows are made of whole lines.
#define LINE_VECTORS(vectors) (sizeof(KV_T) == 2 && (vectors) % 2 == 0 ? 2 : 1)

// Scores of one step of rows for a chunk of keys: p_tile[row * CHUNKS]. ahead (a constant): ask for the rows of next.
INLINE void chunk_scores(const float16 *q_tile, global const KV_T *const *rows, global const KV_T *const *next, bool ahead,
                         float16 *p_tile)
{
    float16 part[STEP_ROWS][16 / STEP_KEYS];
    for (int f = 0; f < 16; f += STEP_KEYS) {
        global const KV_T *row[STEP_KEYS];
        float16 sum[STEP_ROWS][STEP_KEYS];
#pragma unroll
        for (int i = 0; i < STEP_KEYS; i++) {
            row[i] = rows[CHUNK_KEY(f + i)];
#pragma unroll
            for (int r = 0; r < STEP_ROWS; r++)
                sum[r][i] = 0.0f;
        }
        for (int x = 0; x < KEY_VECTORS; x += LINE_VECTORS(KEY_VECTORS)) {
#pragma unroll
            for (int i = 0; ahead && i < STEP_KEYS; i++)
                ASK_FOR(next[f + i] + x * VEC);
#pragma unroll
            for (int line_x = x; line_x < x + LINE_VECTORS(KEY_VECTORS); line_x++) {
                float16 key[STEP_KEYS];
#pragma unroll
                for (int i = 0; i < STEP_KEYS; i++)
                    key[i] = LOAD_KV16(row[i] + line_x * VEC);
#pragma unroll
                for (int r = 0; r < STEP_ROWS; r++) {
                    float16 query = q_tile[r * KEY_VECTORS + line_x];
#pragma unroll
                    for (int i = 0; i < STEP_KEYS; i++)
                        sum[r][i] = fma(key[i], query, sum[r][i]);
                }
            }
        }
#pragma unroll
        for (int r = 0; r < STEP_ROWS; r++)
            part[r][f / STEP_KEYS] = join_step(sum[r]);
    }
#pragma unroll
    for (int r = 0; r < STEP_ROWS; r++)
        p_tile[r * CHUNKS] = join_chunk(part[r]);
}

INLINE float total(float16 x)
{
    float8 a = x.lo + x.hi;
    float4 b = a.lo + a.hi;
    return b.x + b.y + (b.z + b.w);
}

// Turns a row's scores, before the scale, into weights relative to its running maximum. The scale is not Q's: products of 16-bit
// values are exact, those of scaled ones are rounded. Where that rises, which after the first blocks is rare,
// the row's sum and output are scaled. Products are rounded before the maximum is subtracted, or the largest key's weight would
// not be 1.
INLINE void row_weights(float16 *p, float scale, int block_limit, float *row_max, float16 *row_sum, float16 *o_row)
{
#pragma OPENCL FP_CONTRACT OFF
#pragma unroll
    for (int c = 0; c < CHUNKS; c++)
        p[c] *= scale;
    if (block_limit < BLOCK_KV - 1) {
#pragma unroll
        for (int c = 0; c < CHUNKS; c++) // selected: a key that the row may not see may be infinite or NaN
            p[c] = select(p[c], (float16)(MASKED_SCORE), (int16)(c * VEC) + LANES > block_limit);
    }
    float16 top = p[0];
#pragma unroll
    for (int c = 1; c < CHUNKS; c++)
        top = max(top, p[c]);
    float block_max = highest(top);
    if (block_max > *row_max) {
        float16 correction = vector_exp((float16)(*row_max - block_max));
        *row_max = block_max;
        *row_sum *= correction;
        for (int x = 0; x < VALUE_VECTORS; x++)
            o_row[x] *= correction;
    }
#pragma unroll
    for (int c = 0; c < CHUNKS; c++) {
        p[c] = vector_exp(p[c] - *row_max);
        *row_sum += p[c];
    }
}

// o_tile of one step of rows += weights times V.
INLINE void accumulate_output(const float *p_tile, global const KV_T *const *rows, global const KV_T *const *next,
                              bool ahead, int keys, float16 *o_tile)
{
    for (int x = 0; x < VALUE_VECTORS; x += STEP_VECTORS) {
        float16 acc[STEP_ROWS][STEP_VECTORS];
#pragma unroll
        for (int r = 0; r < STEP_ROWS; r++)
#pragma unroll
            for (int w = 0; w < STEP_VECTORS; w++)
                acc[r][w] = o_tile[r * VALUE_VECTORS + x + w];
        for (int n = 0; n < keys; n++) {
            float16 value[STEP_VECTORS];
#pragma unroll
            for (int w = 0; w < STEP_VECTORS; w++) {
                value[w] = LOAD_KV16(rows[n] + (x + w) * VEC);
                if (ahead && w % LINE_VECTORS(STEP_VECTORS) == 0)
                    ASK_FOR(next[n] + (x + w) * VEC);
            }
#pragma unroll
            for (int r = 0; r < STEP_ROWS; r++) {
                float16 p = p_tile[r * BLOCK_KV + n];
#pragma unroll
                for (int w = 0; w < STEP_VECTORS; w++)
                    acc[r][w] = fma(value[w], p, acc[r][w]);
            }
        }
#pragma unroll
        for (int r = 0; r < STEP_ROWS; r++)
#pragma unroll
            for (int w = 0; w < STEP_VECTORS; w++)
                o_tile[r * VALUE_VECTORS + x + w] = acc[r][w];
    }
}

// Where the rows of a block lie, from position begin on; its last key stands in for those from end on. Keys follow each other
// at a stride in a page and in contiguous rows.
INLINE void locate_rows(global const KV_T *k, global const KV_T *v, global const KV_T *k_cache, global const KV_T *v_cache,
                        const struct attention_args args, const struct attention_item item, global const int *pages,
                        int begin, int end, global const KV_T **k_rows, global const KV_T **v_rows)
{
    int keys = min(end - begin, BLOCK_KV), kv_head = item.head / GROUP_SIZE;
    for (int n = 0; n < keys;) {
        int position = begin + n, run = keys - n;
        global const KV_T *key = KV_ROW(k, item, pages, position, kv_head);
        global const KV_T *value = KV_ROW(v, item, pages, position, kv_head);
#if HAS_CACHE
        run = PAGED ? min(run, args.page_size - TOKEN_IN_PAGE(position)) : 1;
        abi_i64 k_stride = args.k_cache_stride_token, v_stride = args.v_cache_stride_token;
#else
        abi_i64 k_stride = args.k_stride_token, v_stride = args.v_stride_token;
#endif
        for (int i = 0; i < run; i++, n++) {
            k_rows[n] = key + i * k_stride;
            v_rows[n] = value + i * v_stride;
        }
    }
    for (int n = keys; n < BLOCK_KV; n++) {
        k_rows[n] = k_rows[keys - 1];
        v_rows[n] = v_rows[keys - 1];
    }
}

INLINE void load_queries(global const Q_T *query, abi_i64 stride_token, abi_i64 stride_head, int rows, float16 *q_tile)
{
    for (int r = 0; r < rows; r++)
        for (int x = 0; x < KEY_VECTORS; x++)
            q_tile[r * KEY_VECTORS + x] =
                LOAD_Q16(query + r / GROUP_SIZE * stride_token + r % GROUP_SIZE * stride_head + x * VEC);
    for (int i = rows * KEY_VECTORS; i < ROWS * KEY_VECTORS; i++)
        q_tile[i] = 0.0f;
}

// Of the block's rows of all groups, those that group asks for: as many as it computes, in the order of keys.
INLINE void rows_to_ask_for(global const KV_T *const *rows, abi_i64 stride_head, int group, int groups,
                            global const KV_T **out)
{
    for (int n = 0, key = group * BLOCK_KV / groups, head = group * BLOCK_KV % groups; n < BLOCK_KV; n++) {
        out[n] = rows[key] + head * stride_head;
        if (++head == groups) {
            head = 0;
            key++;
        }
    }
}

// Scores, weights and output of a block. *_rows of the block, next_* those to be asked for; tiles of the group.
INLINE void compute_block(const struct attention_item item, float scale, int block, int rows, global const KV_T *const *k_rows,
                          global const KV_T *const *next_k, global const KV_T *const *v_rows,
                          global const KV_T *const *next_v, const float16 *q_tile, float16 *p_tile, float *row_max,
                          float16 *row_sum, float16 *o_tile)
{
    const int steps = ROW_STEPS > 1 ? (rows + STEP_ROWS - 1) / STEP_ROWS : 1;
    const int keys = min(BLOCK_KV, item.kv_end - block);
    for (int c = 0; c < CHUNKS; c++)
        chunk_scores(q_tile, k_rows + c * VEC, next_k + c * VEC, true, p_tile + c);
    for (int step = 1; step < steps; step++)
        for (int c = 0; c < CHUNKS; c++)
            chunk_scores(q_tile + step * STEP_ROWS * KEY_VECTORS, k_rows + c * VEC, next_k + c * VEC, false,
                         p_tile + step * STEP_ROWS * CHUNKS + c);
    for (int r = 0; r < rows; r++) {
        int limit = item.kv_end - 1;
        if (CAUSAL)
            limit = min(limit, item.q_pos + r / GROUP_SIZE);
        row_weights(p_tile + r * CHUNKS, scale, limit - block, row_max + r, row_sum + r, o_tile + r * VALUE_VECTORS);
    }
    accumulate_output((const float *)p_tile, v_rows, next_v, true, keys, o_tile);
    for (int step = 1; step < steps; step++)
        accumulate_output((const float *)(p_tile + step * STEP_ROWS * CHUNKS), v_rows, next_v, false, keys,
                          o_tile + step * STEP_ROWS * VALUE_VECTORS);
}

kernel __attribute__((reqd_work_group_size(1, 1, 1))) void attention(ATTENTION_PARAMETERS)
{
    // Powers of two, so that these are the most groups that divide the KV heads.
    const int kv_heads = args.num_q_heads / GROUP_SIZE, groups = min(HEAD_GROUPS, kv_heads & -kv_heads);
    float16 q_tile[HEAD_GROUPS * ROWS * KEY_VECTORS], o_tile[HEAD_GROUPS * ROWS * VALUE_VECTORS], p_tile[ROWS * CHUNKS];
    float16 row_sum[HEAD_GROUPS * ROWS];
    float row_max[HEAD_GROUPS * ROWS];
    global const KV_T *k_rows[2][BLOCK_KV], *v_rows[2][BLOCK_KV]; // group 0's of this block and the next, by turns
    global const KV_T *group_k[BLOCK_KV], *group_v[BLOCK_KV], *next_k[BLOCK_KV], *next_v[BLOCK_KV];
    int end = schedule_end_item(schedule, args.segment);
    for (int index = schedule_first_item(schedule, args.segment) + (int)get_group_id(0); index < end;
         index += args.num_groups) {
        const struct attention_item item = load_item(schedule, index, args.num_q_heads);
        const int rows = item.q_count * GROUP_SIZE;
        global const int *pages = ITEM_PAGES(item);
        global const Q_T *query = q + args.q_offset + item.q_row * args.q_stride_token + item.head * args.q_stride_head;
        for (int g = 0; g < groups; g++)
            load_queries(query + g * GROUP_SIZE * args.q_stride_head, args.q_stride_token, args.q_stride_head, rows,
                         q_tile + g * ROWS * KEY_VECTORS);
        for (int i = 0; i < groups * ROWS * VALUE_VECTORS; i++)
            o_tile[i] = 0.0f;
        for (int r = 0; r < groups * ROWS; r++) {
            row_max[r] = INITIAL_MAX;
            row_sum[r] = 0.0f;
        }

        if (item.kv_begin < item.kv_end)
            locate_rows(k, v, k_cache, v_cache, args, item, pages, item.kv_begin, item.kv_end, k_rows[0], v_rows[0]);
        for (int block = item.kv_begin, now = 0; block < item.kv_end; block += BLOCK_KV, now = 1 - now) {
            const int next = block + BLOCK_KV < item.kv_end ? 1 - now : now;
            if (next != now)
                locate_rows(k, v, k_cache, v_cache, args, item, pages, block + BLOCK_KV, item.kv_end, k_rows[next],
                            v_rows[next]);
            for (int g = 0; g < groups; g++) {
                for (int n = 0; n < BLOCK_KV; n++) {
                    group_k[n] = k_rows[now][n] + g * K_STRIDE_HEAD;
                    group_v[n] = v_rows[now][n] + g * V_STRIDE_HEAD;
                }
                rows_to_ask_for(k_rows[next], K_STRIDE_HEAD, g, groups, next_k);
                rows_to_ask_for(v_rows[next], V_STRIDE_HEAD, g, groups, next_v);
                compute_block(item, args.scale, block, rows, group_k, next_k, group_v, next_v, q_tile + g * ROWS * KEY_VECTORS, p_tile,
                              row_max + g * ROWS, row_sum + g * ROWS, o_tile + g * ROWS * VALUE_VECTORS);
            }
        }

        for (int i = 0; i < groups * rows; i++) {
            const int g = i / rows, r = g * ROWS + i % rows;
            const int t = i % rows / GROUP_SIZE, head = item.head + g * GROUP_SIZE + i % GROUP_SIZE;
            const float sum = total(row_sum[r]);
            const bool has_keys = t >= first_with_keys(item);
            const float inverse = row_inverse(has_keys, sum);
            if (item.partial >= 0) {
                for (int x = 0; x < VALUE_VECTORS; x++)
                    vstore16(o_tile[r * VALUE_VECTORS + x] * inverse, x, PARTIAL_O(item, t, head));
                store_partial_sum(PARTIAL_SUM(item, t, head), has_keys, row_max[r], sum);
                continue;
            }
            global O_T *output =
                o + args.o_offset + (item.q_row + t) * args.o_stride_token + head * args.o_stride_head;
            for (int x = 0; x < VALUE_VECTORS; x++)
                STORE_O16(o_tile[r * VALUE_VECTORS + x] * inverse, output + x * VEC);
            if (lse)
                lse[args.lse_offset + (item.q_row + t) * args.lse_stride_token + head * args.lse_stride_head] =
                    row_lse(has_keys, row_max[r], sum);
        }
    }
}
