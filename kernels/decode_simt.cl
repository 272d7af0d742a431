// SPDX-License-Identifier: Apache-2.0
//
// SIMT decode: a work-group takes a range of the keys of one or some KV heads for few queries; its work-items share the keys of
// a block for the scores, and the dims and slices of the block for the output. Each row of K and V is read from memory once and
// serves all query heads of its group. Split-KV after Flash-Decoding (Dao, Haziza, Massa, Sizov, 2023).
//
// clang-format off
//   group              of the query heads that share a KV head; an item has one or some, which all take a block together
//   row r of a group   query r / GROUP_SIZE of the group's query head r % GROUP_SIZE; ROW_STEPS steps of STEP_ROWS rows
//   part               PART_VECTORS * 16 of the BLOCK_KV keys of a block: what a work-item takes of the softmax of a row
//
//   1 scores    work-item = (group, step of rows, KEYS_PER_ITEM keys, lane): dims lane * DIM_VEC .., every DIM_LANES vectors;
//               p_tile[group][lane][row][key]
//   2 maximum   work-item = (group, row, part): adds up the lanes, masks, part_max[group][row][part]
//   3 weights   work-item = (group, row, part): weights in p_tile[group][0][row][key], sums in part_sum[group][row][part]
//   4 output    work-item = (group, slice of the block's keys, step of rows, VECS_PER_ITEM vectors of dims):
//               o_tile[group][slice][row][dim]
// clang-format on
//
// Where the rows of the first head lie is found out once a block, one block ahead. Meanwhile the rows of the next block are
// asked for: those of K by the items of the same keys, those of V key by key with all groups of each and line by line. Where the
// heads of a key lie side by side in memory, both are read in the order of their addresses, K if work-items run in turn.
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
#define BLOCK_VECTORS (BLOCK_KV / VEC)
#define ROW_STEPS ((TILE_TOKENS * GROUP_SIZE + ROWS_PER_STEP - 1) / ROWS_PER_STEP)
#define STEP_ROWS ((TILE_TOKENS * GROUP_SIZE + ROW_STEPS - 1) / ROW_STEPS)
#define ROWS (ROW_STEPS * STEP_ROWS)
// For the scores, work-items with keys and a lane of their own; where there are more, they share the turns: groups and steps.
#define KEY_ITEMS (BLOCK_KV / KEYS_PER_ITEM * DIM_LANES)
#define TURNS_AT_ONCE (WG_SIZE > KEY_ITEMS ? WG_SIZE / KEY_ITEMS : 1)
#define OUT_BLOCKS (VALUE_VECTORS / VECS_PER_ITEM * ROW_STEPS)

// Slices of the keys of a block that some groups have, and at most have together: as many as there are work-items for.
#define SLICES_OF(groups) clamp(WG_SIZE / (OUT_BLOCKS * (groups)), 1, MOST_SLICES)
#define SLICES_THAT_FIT (WG_SIZE / OUT_BLOCKS)
#define O_TILES(groups)                                                                                                \
    (SLICES_THAT_FIT <= (groups) ? (groups) : SLICES_THAT_FIT < (groups)*MOST_SLICES ? SLICES_THAT_FIT : (groups)*MOST_SLICES)

// Bytes of the state of some groups, and how many of them may take GROUPS_BYTES: with the rest of a block within 48 KiB, which
// most GPUs have.
#define BYTES_OF(groups)                                                                                               \
    (4 * ROWS * ((groups) * (HEAD_DIM_QK + DIM_LANES * BLOCK_KV + 2 * BLOCK_VECTORS + 3) + O_TILES(groups) * HEAD_DIM_VO))
#define GROUPS_BYTES (44 << 10)
#define GROUPS_THAT_FIT                                                                                                \
    (BYTES_OF(8) <= GROUPS_BYTES ? 8 : BYTES_OF(4) <= GROUPS_BYTES ? 4 : BYTES_OF(2) <= GROUPS_BYTES ? 2 : 1)
#define MOST_GROUPS (HEAD_GROUPS < GROUPS_THAT_FIT ? HEAD_GROUPS : GROUPS_THAT_FIT)

// Parts of a row: as many as there are work-items for, if the item has all groups.
#define PARTS_THAT_FIT (WG_SIZE / (MOST_GROUPS * ROWS))
#define PARTS (PARTS_THAT_FIT >= BLOCK_VECTORS ? BLOCK_VECTORS : PARTS_THAT_FIT >= 4 ? 4 : PARTS_THAT_FIT >= 2 ? 2 : 1)
#define PART_VECTORS (BLOCK_VECTORS / PARTS)

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

// A work-item's scores: KEYS_PER_ITEM keys, the lane's dims, one step of rows. Asks for the same dims of the rows of next if ahead.
INLINE void item_scores(local const dim_vec *q_tile, const kv_row *key, const kv_row *next, bool ahead, int lane, int slack,
                        local float *p_tile)
{
    dim_vec acc[BLOCK_SUMS];
#pragma unroll
    for (int f = 0; f < BLOCK_SUMS; f++)
        acc[f] = 0.0f;
#pragma unroll 2 // so that a compiler knows which vector starts a line
    for (int i = 0; i < KEY_VECTORS / DIM_LANES + slack; i++) {
        const int x = i * DIM_LANES + lane;
        dim_vec element[KEYS_PER_ITEM];
#pragma unroll
        for (int n = 0; n < KEYS_PER_ITEM; n++)
            element[n] = LOAD_KV_VEC(key[n] + x * DIM_VEC);
        if (STARTS_LINE(x) && ahead) {
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

// Rows of V of the next block, asked for one after the other: all groups of a key, then the next key.
struct rows_ahead {
    local const kv_row *rows; // of the first head
    abi_i64 stride_head;
    int group_shift;
};

// Adds the weighted rows of V of a slice to some vectors of dims of one step of rows. Asks for lines of the next block from
// line on, as many as it reads, unless line is negative.
INLINE void item_output(local const float *p_tile, local const float *correction, local const kv_row *rows, abi_i64 head,
                        const struct rows_ahead next, int line, int keys, local dim_vec *o_tile, int x)
{
    dim_vec acc[STEP_ROWS][VECS_PER_ITEM];
#pragma unroll
    for (int r = 0; r < STEP_ROWS; r++)
#pragma unroll
        for (int w = 0; w < VECS_PER_ITEM; w++)
            acc[r][w] = o_tile[r * VALUE_VECTORS + w] * correction[r];
    kv_row ask = 0;
    for (int n = 0; n < keys; n++) {
        const kv_row row = rows[n] + head;
        dim_vec value[VECS_PER_ITEM];
#pragma unroll
        for (int w = 0; w < VECS_PER_ITEM; w++)
            value[w] = LOAD_KV_VEC(row + (x + w) * DIM_VEC);
        if (PREFETCH && line >= 0) {
#pragma unroll
            for (int i = 0; i < STEP_LINES; i++, line++) {
                if (line % VALUE_LINES == 0 || n + i == 0) {
                    const int r = line / VALUE_LINES;
                    ask = next.rows[r >> next.group_shift] + (r & (1 << next.group_shift) - 1) * next.stride_head +
                          line % VALUE_LINES * LINE_ELEMENTS;
                }
                ASK_FOR(ask);
                ask += LINE_ELEMENTS;
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
    local dim_vec q_tile[MOST_GROUPS * ROWS * KEY_VECTORS], o_tile[O_TILES(MOST_GROUPS) * ROWS * VALUE_VECTORS];
    local float16 p_tile[MOST_GROUPS * DIM_LANES * ROWS * BLOCK_VECTORS];
    local float part_max[MOST_GROUPS * ROWS * PARTS], part_sum[MOST_GROUPS * ROWS * PARTS];
    local float row_max[2][MOST_GROUPS * ROWS], correction[MOST_GROUPS * ROWS];
    local kv_row k_rows[2][BLOCK_KV], v_rows[2][BLOCK_KV];
    const int id = (int)get_local_id(0);
    // Powers of two, so that these are the most groups that divide the KV heads. A launch that only builds the kernel has none.
    const int kv_heads = args.num_q_heads / GROUP_SIZE, groups = clamp(kv_heads & -kv_heads, 1, MOST_GROUPS);
    const int group_shift = 31 - clz(groups);
    const int slices = SLICES_OF(groups), slice_keys = (BLOCK_KV + slices - 1) / slices;
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
                         args.q_stride_token, args.q_stride_head, rows, q_tile + g * ROWS * KEY_VECTORS);
        for (int i = id; i < groups * slices * ROWS * VALUE_VECTORS; i += WG_SIZE)
            o_tile[i] = 0.0f;
        for (int i = id; i < groups * ROWS; i += WG_SIZE)
            row_max[0][i] = INITIAL_MAX;
        for (int i = id; i < groups * ROWS * PARTS; i += WG_SIZE)
            part_sum[i] = 0.0f;
        if (item.kv_begin < item.kv_end)
            locate_rows(k, v, k_cache, v_cache, args, item, pages, item.kv_begin, k_rows[0], v_rows[0]);
        barrier(CLK_LOCAL_MEM_FENCE);

        int now = 0;
        for (int block = item.kv_begin; block < item.kv_end; block += BLOCK_KV, now = 1 - now) {
            const int keys = min(BLOCK_KV, item.kv_end - block);
            locate_rows(k, v, k_cache, v_cache, args, item, pages, block + BLOCK_KV, k_rows[1 - now],
                        v_rows[1 - now]);
            barrier(CLK_LOCAL_MEM_FENCE);
            // 1. A missing key is the item's last one again.
            for (int i = id % KEY_ITEMS; i < KEY_ITEMS + slack; i += WG_SIZE) {
                const int lane = i % DIM_LANES, first = i / DIM_LANES * KEYS_PER_ITEM;
                for (int turn = id / KEY_ITEMS; turn < groups * ROW_STEPS; turn += TURNS_AT_ONCE) {
                    const int step = turn % ROW_STEPS, g = turn / ROW_STEPS;
                    kv_row key[KEYS_PER_ITEM], next[KEYS_PER_ITEM];
#pragma unroll
                    for (int n = 0; n < KEYS_PER_ITEM; n++) {
                        key[n] = k_rows[now][first + n] + g * K_STRIDE_HEAD;
                        next[n] = k_rows[1 - now][first + n] + g * K_STRIDE_HEAD;
                    }
                    item_scores(q_tile + (g * ROWS + step * STEP_ROWS) * KEY_VECTORS, key, next, step == 0, lane, slack,
                                (local float *)p_tile + ((g * DIM_LANES + lane) * ROWS + step * STEP_ROWS) * BLOCK_KV + first);
                }
            }
            barrier(CLK_LOCAL_MEM_FENCE);
            // 2.
            for (int i = id; i < groups * ROWS * PARTS; i += WG_SIZE) {
                const int part = i % PARTS, row = i / PARTS % ROWS;
                local float16 *p = p_tile + (i / (PARTS * ROWS) * DIM_LANES * ROWS + row) * BLOCK_VECTORS + part * PART_VECTORS;
                int limit = item.kv_end - 1;
                if (CAUSAL)
                    limit = min(limit, item.q_pos + row / GROUP_SIZE);
                float16 top = MASKED_SCORE;
                for (int n = 0; n < PART_VECTORS; n++) {
                    float16 score = p[n];
#pragma unroll
                    for (int lane = 1; lane < DIM_LANES; lane++)
                        score += p[lane * ROWS * BLOCK_VECTORS + n];
                    score *= args.scale; // not Q: products of 16-bit values are exact, those of scaled ones are rounded
                    // Selected, not added: a key that the row may not see may be infinite or NaN.
                    score = select(score, (float16)(MASKED_SCORE),
                                   (int16)(block + (part * PART_VECTORS + n) * VEC) + LANES > limit);
                    p[n] = score;
                    top = max(top, score);
                }
                part_max[i] = highest(top);
            }
            barrier(CLK_LOCAL_MEM_FENCE);
            // 3. The row's running maximum, and what its rise scales older sums by; then the weights.
            for (int i = id; i < groups * ROWS * PARTS; i += WG_SIZE) {
                const int part = i % PARTS, row = i / PARTS; // of all groups
                local float16 *p = p_tile + (row / ROWS * DIM_LANES * ROWS + row % ROWS) * BLOCK_VECTORS + part * PART_VECTORS;
                float top = row_max[now][row];
#pragma unroll
                for (int n = 0; n < PARTS; n++)
                    top = max(top, part_max[row * PARTS + n]);
                const float rise = vector_exp((float16)(row_max[now][row] - top)).s0;
                float16 sum = 0.0f;
                for (int n = 0; n < PART_VECTORS; n++) {
                    p[n] = vector_exp(p[n] - top);
                    sum += p[n];
                }
                part_sum[i] = part_sum[i] * rise + sum_8(sum.lo + sum.hi);
                if (part == 0) {
                    row_max[1 - now][row] = top;
                    correction[row] = rise;
                }
            }
            barrier(CLK_LOCAL_MEM_FENCE);
            // 4.
            for (int i = id; i < groups * slices * OUT_BLOCKS; i += WG_SIZE) {
                const int x = i % (VALUE_VECTORS / VECS_PER_ITEM) * VECS_PER_ITEM;
                const int row = i / (VALUE_VECTORS / VECS_PER_ITEM) % ROW_STEPS * STEP_ROWS;
                const int slice = i / OUT_BLOCKS % slices, g = i / (OUT_BLOCKS * slices), first = slice * slice_keys;
                const struct rows_ahead next = {v_rows[1 - now], V_STRIDE_HEAD, group_shift};
                item_output((local const float *)p_tile + (g * DIM_LANES * ROWS + row) * BLOCK_KV + first,
                            correction + g * ROWS + row, v_rows[now] + first, g * V_STRIDE_HEAD, next,
                            row == 0 && STARTS_LINE(x) ? (g * BLOCK_KV + first) * VALUE_LINES +
                                                             LINE_OF(x) * min(slice_keys, BLOCK_KV - first)
                                                       : -1,
                            min(slice_keys, keys - first) + slack,
                            o_tile + ((g * slices + slice) * ROWS + row) * VALUE_VECTORS + x, x);
            }
            barrier(CLK_LOCAL_MEM_FENCE);
        }

        for (int i = id; i < groups * rows * VALUE_VECTORS; i += WG_SIZE) {
            const int x = i % VALUE_VECTORS, r = i / VALUE_VECTORS % rows, g = i / (VALUE_VECTORS * rows);
            const int t = r / GROUP_SIZE, head = item.head + g * GROUP_SIZE + r % GROUP_SIZE;
            float sum = 0.0f;
            for (int part = 0; part < PARTS; part++)
                sum += part_sum[(g * ROWS + r) * PARTS + part];
            dim_vec output = 0.0f;
            for (int s = 0; s < slices; s++)
                output += o_tile[((g * slices + s) * ROWS + r) * VALUE_VECTORS + x];
            const bool has_keys = t >= first_with_keys(item);
            output *= row_inverse(has_keys, sum);
            const float maximum = row_max[now][g * ROWS + r];
            if (item.partial >= 0) {
                STORE_VEC(output, PARTIAL_O(item, t, head) + x * DIM_VEC);
                if (x == 0)
                    store_partial_sum(PARTIAL_SUM(item, t, head), has_keys, maximum, sum);
            } else {
                STORE_O_VEC(output, o + args.o_offset + (item.q_row + t) * args.o_stride_token +
                                        head * args.o_stride_head + x * DIM_VEC);
                if (x == 0 && lse)
                    lse[args.lse_offset + (item.q_row + t) * args.lse_stride_token + head * args.lse_stride_head] =
                        row_lse(has_keys, maximum, sum);
            }
        }
        barrier(CLK_LOCAL_MEM_FENCE);
    }
}
