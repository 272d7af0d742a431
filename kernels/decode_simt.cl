// SPDX-License-Identifier: Apache-2.0
//
// SIMT decode: a work-group takes a range of the keys of one or some KV heads for few queries; its work-items share the keys of
// a block for the scores, and the dims and slices of the block for the output. Each row of K and V is read from memory once and
// serves all query heads of its group. Split-KV after Flash-Decoding (Dao, Haziza, Massa, Sizov, 2023).
//
// clang-format off
//   row r of a group   query r / GROUP_SIZE of the group's query head r % GROUP_SIZE; ROW_STEPS steps of STEP_ROWS rows
//   part               16 of the BLOCK_KV keys of a block: what a work-item takes of the softmax of a row
//
//   1 scores    work-item = (key, step of rows, lane): dims lane * DIM_VEC .., every DIM_LANES vectors; p_tile[lane][row][key]
//   2 maximum   work-item = (row, part): adds up the lanes, masks, part_max[row][part]
//   3 weights   work-item = (row, part): weights in p_tile[0][row][key], sums in part_sum[row][part]
//   4 output    work-item = (slice of the block's keys, step of rows, VECS_PER_ITEM vectors of dims):
//               o_tile[group][slice][row][dim]
// clang-format on
//
// Where the rows of the first head lie is found out once a block, one block ahead; the groups of an item, at most HEAD_GROUPS,
// take each block by turns. Meanwhile the rows of the next block are asked for, key by key with all groups of each and line by
// line: where the heads of a key lie side by side in memory, it is read in the order of its addresses.
//
// A barrier stands after each step. All state lives in local memory, so that work-items need few registers and a compiler that
// runs them one after another (pocl) keeps what it has in registers. UNIFORM = 0 hides from the compiler that inner loops'
// bounds are uniform, as in simt_tile.
#include "attention.clh"
#include "half.clh"

#if !defined(WG_SIZE) || !defined(TILE_TOKENS) || !defined(HEAD_GROUPS) || !defined(DIM_VEC) || !defined(BLOCK_KV) ||       \
    !defined(ROWS_PER_STEP) || !defined(VECS_PER_ITEM) || !defined(MOST_SLICES) || !defined(KEYS_PER_ITEM) ||          \
    !defined(DIM_LANES) || !defined(PREFETCH) || !defined(UNIFORM)
#error "a parameter of decode_simt is missing: see decode_simt.def"
#endif

#define VEC 16 // of the softmax
#include "vector.clh"
#include "join.clh"

#if DIM_VEC == 8
typedef float8 dim_vec;
#define LOAD_KV_VEC LOAD_KV8
#define LOAD_Q_VEC LOAD_Q8
#define STORE_VEC(value, pointer) vstore8(value, 0, pointer)
#define STORE_O_VEC store_o8
#elif DIM_VEC == 16
typedef float16 dim_vec;
#define LOAD_KV_VEC LOAD_KV16
#define LOAD_Q_VEC LOAD_Q16
#define STORE_VEC(value, pointer) vstore16(value, 0, pointer)
#define STORE_O_VEC STORE_O16
#else
#error "DIM_VEC must be 8 or 16"
#endif

typedef global const KV_T *kv_row;

#define KEY_VECTORS (HEAD_DIM_QK / DIM_VEC)
#define VALUE_VECTORS (HEAD_DIM_VO / DIM_VEC)
#define PARTS (BLOCK_KV / VEC)
#define ROW_STEPS ((TILE_TOKENS * GROUP_SIZE + ROWS_PER_STEP - 1) / ROWS_PER_STEP)
#define STEP_ROWS ((TILE_TOKENS * GROUP_SIZE + ROW_STEPS - 1) / ROW_STEPS)
#define ROWS (ROW_STEPS * STEP_ROWS)
// Blocks of the output, and slices of a block of keys: at most as many as there are work-items for all blocks.
#define OUT_BLOCKS (VALUE_VECTORS / VECS_PER_ITEM * ROW_STEPS)
#define SLICES_THAT_FIT (OUT_BLOCKS < WG_SIZE ? WG_SIZE / OUT_BLOCKS : 1)
#define SLICES (MOST_SLICES < SLICES_THAT_FIT ? MOST_SLICES : SLICES_THAT_FIT)
#define SLICE_KEYS ((BLOCK_KV + SLICES - 1) / SLICES)

// Bytes of the state of a group, and how many of them may take GROUPS_BYTES: with the rest of a block within 48 KiB, which most
// GPUs have.
#define GROUP_BYTES (4 * ROWS * (HEAD_DIM_QK + SLICES * HEAD_DIM_VO + PARTS + 1))
#define GROUPS_BYTES (42 << 10)
#define GROUPS_THAT_FIT                                                                                                \
    (8 * GROUP_BYTES <= GROUPS_BYTES   ? 8                                                                             \
     : 4 * GROUP_BYTES <= GROUPS_BYTES ? 4                                                                             \
     : 2 * GROUP_BYTES <= GROUPS_BYTES ? 2                                                                             \
                                       : 1)
#define MOST_GROUPS (HEAD_GROUPS < GROUPS_THAT_FIT ? HEAD_GROUPS : GROUPS_THAT_FIT)

#if DIM_VEC == 8
INLINE void store_o8(float8 value, global O_T *pointer)
{
    const float *element = (const float *)&value;
    for (int i = 0; i < 8; i++)
        STORE_O(element[i], pointer + i);
}
#endif

INLINE float sum_8(float8 x)
{
    float4 a = x.lo + x.hi;
    return a.x + a.y + (a.z + a.w);
}

// Asks for the line of 64 bytes at an element. pocl's prefetch() is empty; its compiler's builtin takes no global pointer.
#if !PREFETCH
#define ASK_FOR(element)
#elif defined(__x86_64__) || defined(__aarch64__)
#define ASK_FOR(element) __builtin_prefetch((const void *)(ulong)(element), 0, 4 - PREFETCH)
#else
#define ASK_FOR(element) prefetch(element, 1)
#endif
#define LINE_ELEMENTS (64 / (int)sizeof(KV_T))
// Whether vector x of a row starts a line, if rows do.
#define STARTS_LINE(x) ((x) * DIM_VEC % LINE_ELEMENTS == 0)
#define LINE_OF(x) ((x) * DIM_VEC / LINE_ELEMENTS)
#define VALUE_LINES ((HEAD_DIM_VO + LINE_ELEMENTS - 1) / LINE_ELEMENTS)
#define STEP_LINES (LINE_OF(VECS_PER_ITEM) > 0 ? LINE_OF(VECS_PER_ITEM) : 1) // that an item of the output asks for with a key

// Where the rows of a block lie, from position begin on; the item's last key stands in for those past its end.
INLINE void locate_rows(global const KV_T *k, global const KV_T *v, global const KV_T *k_cache, global const KV_T *v_cache,
                        const struct attention_args args, const struct attention_item item, global const int *pages,
                        int begin, local kv_row *k_rows, local kv_row *v_rows)
{
    for (int i = (int)get_local_id(0); i < BLOCK_KV; i += WG_SIZE) {
        const int position = min(begin + i, item.kv_end - 1);
        k_rows[i] = KV_ROW(k, item, pages, position, item.head / GROUP_SIZE);
        v_rows[i] = KV_ROW(v, item, pages, position, item.head / GROUP_SIZE);
    }
}

// Q; rows past the item's end are zeros.
INLINE void load_queries(global const Q_T *query, abi_i64 stride_token, abi_i64 stride_head, int rows, local dim_vec *q_tile)
{
    for (int i = (int)get_local_id(0); i < ROWS * KEY_VECTORS; i += WG_SIZE) {
        int r = i / KEY_VECTORS, x = i % KEY_VECTORS;
        dim_vec value = 0.0f;
        if (r < rows)
            value = LOAD_Q_VEC(query + r / GROUP_SIZE * stride_token + r % GROUP_SIZE * stride_head + x * DIM_VEC);
        q_tile[i] = value;
    }
}

// Sums of a register block, [key][row]: STEP_ROWS * KEYS_PER_ITEM of them.
#define BLOCK_SUMS (STEP_ROWS * KEYS_PER_ITEM)
#if DIM_VEC == 16
#define HALVED BLOCK_SUMS
#else
#define HALVED ((BLOCK_SUMS + 1) / 2) // two of 8 partial sums are one vector
#endif

INLINE void store_sums(const dim_vec *acc, local float *p_tile)
{
    float16 sums[HALVED];
#if DIM_VEC == 16
#pragma unroll
    for (int f = 0; f < BLOCK_SUMS; f++)
        sums[f] = acc[f];
    JOIN(join_8, BLOCK_SUMS, sums);
#else
#pragma unroll
    for (int pair = 0; pair < HALVED; pair++)
        sums[pair] = (float16)(acc[2 * pair], acc[2 * pair + 1 < BLOCK_SUMS ? 2 * pair + 1 : 2 * pair]);
#endif
    JOIN(join_4, (BLOCK_SUMS + 1) / 2, sums);
    JOIN(join_2, (BLOCK_SUMS + 3) / 4, sums);
    JOIN(join_1, (BLOCK_SUMS + 7) / 8, sums);
#pragma unroll
    for (int f = 0; f < BLOCK_SUMS; f++)
        p_tile[f % STEP_ROWS * BLOCK_KV + f / STEP_ROWS] = ((const float *)&sums[f / 16])[JOINED_LANE(f)];
}

// A work-item's scores: KEYS_PER_ITEM keys, the lane's dims, one step of rows. Asks for the same dims of the rows of next.
INLINE void item_scores(local const dim_vec *q_tile, const kv_row *key, const kv_row *next, int lane, int slack,
                        local float *p_tile)
{
    dim_vec acc[BLOCK_SUMS];
#pragma unroll
    for (int f = 0; f < BLOCK_SUMS; f++)
        acc[f] = 0.0f;
    for (int x = lane; x < KEY_VECTORS + slack; x += DIM_LANES) {
        dim_vec element[KEYS_PER_ITEM];
#pragma unroll
        for (int n = 0; n < KEYS_PER_ITEM; n++)
            element[n] = LOAD_KV_VEC(key[n] + x * DIM_VEC);
        if (STARTS_LINE(x)) {
#pragma unroll
            for (int n = 0; n < KEYS_PER_ITEM; n++)
                ASK_FOR(next[n] + x * DIM_VEC);
        }
#pragma unroll
        for (int r = 0; r < STEP_ROWS; r++)
#pragma unroll
            for (int n = 0; n < KEYS_PER_ITEM; n++)
                acc[n * STEP_ROWS + r] = fma(element[n], q_tile[r * KEY_VECTORS + x], acc[n * STEP_ROWS + r]);
    }
    store_sums(acc, p_tile);
}

// Adds the weighted rows of V of a slice to some vectors of dims of one step of rows. The items of a slice ask for its rows of
// next, each for as many lines as it has dims.
INLINE void item_output(local const float *p_tile, local const float *correction, local const kv_row *rows,
                        local const kv_row *next, int keys, local dim_vec *o_tile, int x)
{
    dim_vec acc[STEP_ROWS][VECS_PER_ITEM];
#pragma unroll
    for (int r = 0; r < STEP_ROWS; r++)
#pragma unroll
        for (int w = 0; w < VECS_PER_ITEM; w++)
            acc[r][w] = o_tile[r * VALUE_VECTORS + w] * correction[r];
    for (int n = 0; n < keys; n++) {
        dim_vec value[VECS_PER_ITEM];
#pragma unroll
        for (int w = 0; w < VECS_PER_ITEM; w++) {
            value[w] = LOAD_KV_VEC(rows[n] + (x + w) * DIM_VEC);
            if (STARTS_LINE(x + w)) {
                const int line = LINE_OF(x) * keys + n * STEP_LINES + LINE_OF(w); // of the slice's rows
                ASK_FOR(next[line / VALUE_LINES] + line % VALUE_LINES * LINE_ELEMENTS);
            }
        }
#pragma unroll
        for (int r = 0; r < STEP_ROWS; r++) {
            dim_vec p = p_tile[r * BLOCK_KV + n];
#pragma unroll
            for (int w = 0; w < VECS_PER_ITEM; w++)
                acc[r][w] = fma(value[w], p, acc[r][w]);
        }
    }
#pragma unroll
    for (int r = 0; r < STEP_ROWS; r++)
#pragma unroll
        for (int w = 0; w < VECS_PER_ITEM; w++)
            o_tile[r * VALUE_VECTORS + w] = acc[r][w];
}

kernel __attribute__((reqd_work_group_size(WG_SIZE, 1, 1))) void attention(ATTENTION_PARAMETERS)
{
    local dim_vec q_tiles[MOST_GROUPS * ROWS * KEY_VECTORS], o_tiles[MOST_GROUPS * SLICES * ROWS * VALUE_VECTORS];
    local float16 p_tile[DIM_LANES * ROWS * PARTS];
    local float part_max[ROWS * PARTS], part_sums[MOST_GROUPS * ROWS * PARTS], row_maxima[MOST_GROUPS * ROWS];
    local float correction[ROWS];
    local kv_row k_rows[2][BLOCK_KV], v_rows[2][BLOCK_KV], group_v[BLOCK_KV], next_v[BLOCK_KV];
    const int id = (int)get_local_id(0);
    // Powers of two, so that these are the most groups that divide the KV heads.
    const int kv_heads = args.num_q_heads / GROUP_SIZE, groups = min(MOST_GROUPS, kv_heads & -kv_heads);
    const int group_shift = 31 - clz(groups);
    const int slack = UNIFORM ? 0 : id & args.opaque_zero;

    const int end = schedule_end_item(schedule, args.segment);
    for (int index = schedule_first_item(schedule, args.segment) + (int)get_group_id(0); index < end;
         index += args.num_groups) {
        const struct attention_item item = load_item(schedule, index, args.num_q_heads);
        const int rows = item.q_count * GROUP_SIZE;
        global const int *pages = ITEM_PAGES(item);

        for (int g = 0; g < groups; g++)
            load_queries(q + args.q_offset + item.q_row * args.q_stride_token +
                             (item.head + g * GROUP_SIZE) * args.q_stride_head,
                         args.q_stride_token, args.q_stride_head, rows, q_tiles + g * ROWS * KEY_VECTORS);
        for (int i = id; i < groups * SLICES * ROWS * VALUE_VECTORS; i += WG_SIZE)
            o_tiles[i] = 0.0f;
        for (int i = id; i < groups * ROWS; i += WG_SIZE)
            row_maxima[i] = INITIAL_MAX;
        for (int i = id; i < groups * ROWS * PARTS; i += WG_SIZE)
            part_sums[i] = 0.0f;
        if (item.kv_begin < item.kv_end)
            locate_rows(k, v, k_cache, v_cache, args, item, pages, item.kv_begin, k_rows[0], v_rows[0]);
        barrier(CLK_LOCAL_MEM_FENCE);

        for (int block = item.kv_begin, now = 0; block < item.kv_end; block += BLOCK_KV, now = 1 - now) {
            locate_rows(k, v, k_cache, v_cache, args, item, pages, block + BLOCK_KV, k_rows[1 - now],
                        v_rows[1 - now]);
            barrier(CLK_LOCAL_MEM_FENCE);
            for (int g = 0; g < groups; g++) {
                const int keys = min(BLOCK_KV, item.kv_end - block);
                local dim_vec *q_tile = q_tiles + g * ROWS * KEY_VECTORS, *o_tile = o_tiles + g * SLICES * ROWS * VALUE_VECTORS;
                local float *row_max = row_maxima + g * ROWS, *part_sum = part_sums + g * ROWS * PARTS;
                // 1. A missing key is the item's last one again.
                for (int i = id; i < BLOCK_KV / KEYS_PER_ITEM * DIM_LANES * ROW_STEPS + slack; i += WG_SIZE) {
                    int lane = i % DIM_LANES, first = i / DIM_LANES % (BLOCK_KV / KEYS_PER_ITEM) * KEYS_PER_ITEM;
                    int step = i / (DIM_LANES * (BLOCK_KV / KEYS_PER_ITEM));
                    kv_row key[KEYS_PER_ITEM], next[KEYS_PER_ITEM];
#pragma unroll
                    for (int n = 0; n < KEYS_PER_ITEM; n++) {
                        int row = g * BLOCK_KV + first + n; // of all groups' rows of the next block
                        int ahead = row >> group_shift, head = row & (groups - 1);
                        key[n] = k_rows[now][first + n] + g * K_STRIDE_HEAD;
                        next[n] = PREFETCH ? k_rows[1 - now][ahead] + head * K_STRIDE_HEAD : key[n];
                        if (lane == 0 && step == 0) {
                            group_v[first + n] = v_rows[now][first + n] + g * V_STRIDE_HEAD;
                            next_v[first + n] = PREFETCH ? v_rows[1 - now][ahead] + head * V_STRIDE_HEAD : group_v[first + n];
                        }
                    }
                    item_scores(q_tile + step * STEP_ROWS * KEY_VECTORS, key, next, lane, slack,
                                (local float *)p_tile + (lane * ROWS + step * STEP_ROWS) * BLOCK_KV + first);
                }
                barrier(CLK_LOCAL_MEM_FENCE);
                // 2.
                for (int i = id; i < ROWS * PARTS; i += WG_SIZE) {
                    float16 score = p_tile[i];
#pragma unroll
                    for (int lane = 1; lane < DIM_LANES; lane++)
                        score += p_tile[lane * ROWS * PARTS + i];
                    score *= args.scale; // not Q: products of 16-bit values are exact, those of scaled ones are rounded
                    int limit = item.kv_end - 1;
                    if (CAUSAL)
                        limit = min(limit, item.q_pos + i / PARTS / GROUP_SIZE);
                    // Selected, not added: a key that the row may not see may be infinite or NaN.
                    score = select(score, (float16)(MASKED_SCORE), (int16)(block + i % PARTS * VEC) + LANES > limit);
                    p_tile[i] = score;
                    part_max[i] = highest(score);
                }
                barrier(CLK_LOCAL_MEM_FENCE);
                // 3. The rows' running maximum, and what its rise scales older sums by; then the weights.
                for (int i = id; i < ROWS; i += WG_SIZE) {
                    float top = row_max[i];
                    for (int part = 0; part < PARTS; part++)
                        top = max(top, part_max[i * PARTS + part]);
                    correction[i] = vector_exp((float16)(row_max[i] - top)).s0;
                    row_max[i] = top;
                }
                barrier(CLK_LOCAL_MEM_FENCE);
                for (int i = id; i < ROWS * PARTS; i += WG_SIZE) {
                    float16 weight = vector_exp(p_tile[i] - row_max[i / PARTS]);
                    p_tile[i] = weight;
                    part_sum[i] = part_sum[i] * correction[i / PARTS] + sum_8(weight.lo + weight.hi);
                }
                barrier(CLK_LOCAL_MEM_FENCE);
                // 4.
                for (int i = id; i < SLICES * OUT_BLOCKS; i += WG_SIZE) {
                    const int x = i % (VALUE_VECTORS / VECS_PER_ITEM) * VECS_PER_ITEM;
                    const int row = i / (VALUE_VECTORS / VECS_PER_ITEM) % ROW_STEPS * STEP_ROWS;
                    const int slice = i / OUT_BLOCKS, first = slice * SLICE_KEYS;
                    item_output((local const float *)p_tile + row * BLOCK_KV + first, correction + row, group_v + first,
                                next_v + first, min(SLICE_KEYS, keys - first) + slack,
                                o_tile + (slice * ROWS + row) * VALUE_VECTORS + x, x);
                }
                barrier(CLK_LOCAL_MEM_FENCE);
            }
        }

        for (int i = id; i < groups * rows * VALUE_VECTORS; i += WG_SIZE) {
            const int x = i % VALUE_VECTORS, r = i / VALUE_VECTORS % rows, g = i / (VALUE_VECTORS * rows);
            const int t = r / GROUP_SIZE, head = item.head + g * GROUP_SIZE + r % GROUP_SIZE;
            float sum = 0.0f;
            for (int part = 0; part < PARTS; part++)
                sum += part_sums[(g * ROWS + r) * PARTS + part];
            dim_vec output = 0.0f;
            for (int s = 0; s < SLICES; s++)
                output += o_tiles[((g * SLICES + s) * ROWS + r) * VALUE_VECTORS + x];
            output *= sum == 0.0f ? 0.0f : 1.0f / sum; // no key: a row of zeros
            const float row_lse = sum == 0.0f ? -INFINITY : row_maxima[g * ROWS + r] + log(sum);
            if (item.partial >= 0) {
                STORE_VEC(output, PARTIAL_O(item, t, head) + x * DIM_VEC);
                if (x == 0)
                    *PARTIAL_LSE(item, t, head) = row_lse;
            } else {
                STORE_O_VEC(output, o + args.o_offset + (item.q_row + t) * args.o_stride_token +
                                        head * args.o_stride_head + x * DIM_VEC);
                if (x == 0 && lse)
                    lse[args.lse_offset + (item.q_row + t) * args.lse_stride_token + head * args.lse_stride_head] = row_lse;
            }
        }
        barrier(CLK_LOCAL_MEM_FENCE);
    }
}
