// SPDX-License-Identifier: Apache-2.0
//
// Operations on a KV cache: append, copy pages, export, import. All move rows of head_dim elements, one per token and KV head:
//
//   append   k, v [token, head, dim] (SRC_TYPE)  ->  slot slot_mapping[token] of the cache (KV_TYPE); -1: nowhere. Without a
//                                                    slot_mapping: slot token, which converts rows to rows
//   copy     page pages[i][0]                    ->  page pages[i][1], of the same cache or another of its layout
//   export   the tokens of a list of pages       ->  k, v [token, head, dim] (KV_TYPE)
//   import   k, v [token, head, dim] (KV_TYPE)   ->  the tokens of a list of pages
//
// Slot s lies in page s / page_size at token s % page_size. Nothing but append changes a bit of what it moves.
//
// A work-group owns a run of consecutive tokens (copy: of rows of pages) and takes them one at a time. LANES work-items
// share a row, VEC elements each at a time, so that neighbours touch neighbouring memory; WG_SIZE / LANES heads go side by side. On
// devices that run one work-item at a time both are 1.
#include "kv_cache.clh"

#if !defined(HEAD_DIM_QK) || !defined(HEAD_DIM_VO) || !defined(SRC_TYPE) || !defined(KV_TYPE) || !defined(VEC) || \
    !defined(WG_SIZE) || !defined(LANES)
#error "HEAD_DIM_QK, HEAD_DIM_VO, SRC_TYPE, KV_TYPE, VEC, WG_SIZE and LANES must be defined"
#endif
#if HEAD_DIM_QK % VEC || HEAD_DIM_VO % VEC || WG_SIZE % LANES
#error "VEC must divide the head dims, LANES WG_SIZE"
#endif

#define JOIN_(a, b) a##b
#define JOIN(a, b) JOIN_(a, b)
#if VEC == 1
#define VECTOR(type) type
#define VLOAD(pointer) (*(pointer))
#define VSTORE(value, pointer) (*(pointer) = (value))
#define VLOAD_HALF(pointer) vload_half(0, pointer)
#define VSTORE_HALF(value, pointer) vstore_half_rte(value, 0, pointer)
#else
#define VECTOR(type) JOIN(type, VEC)
#define VLOAD(pointer) JOIN(vload, VEC)(0, pointer)
#define VSTORE(value, pointer) JOIN(vstore, VEC)(value, 0, pointer)
#define VLOAD_HALF(pointer) JOIN(vload_half, VEC)(0, pointer)
#define VSTORE_HALF(value, pointer) JOIN(JOIN(vstore_half, VEC), _rte)(value, 0, pointer)
#endif
#define VFLOAT VECTOR(float)
#define VUINT VECTOR(uint)
#define AS_VFLOAT JOIN(as_, VFLOAT)
#define AS_VUINT JOIN(as_, VUINT)
#define TO_VUINT JOIN(convert_, VUINT)
#define TO_VUSHORT JOIN(convert_, VECTOR(ushort))

// Elements as bits, which are moved as they are.
#if KV_TYPE == 1
typedef uint KV_BITS;
#else
typedef ushort KV_BITS;
#endif

#if SRC_TYPE == KV_TYPE
typedef KV_BITS SRC_T;
typedef KV_BITS DST_T;
#define CONVERT(from, to) VSTORE(VLOAD(from), to)
#else
#if SRC_TYPE == 1
typedef float SRC_T;
#define WIDEN(pointer) VLOAD(pointer)
#elif SRC_TYPE == 2
typedef half SRC_T;
#define WIDEN(pointer) VLOAD_HALF(pointer)
#elif SRC_TYPE == 3
typedef ushort SRC_T;
#define WIDEN(pointer) AS_VFLOAT(TO_VUINT(VLOAD(pointer)) << 16)
#else
#error "unknown SRC_TYPE"
#endif
#if KV_TYPE == 1
typedef float DST_T;
#define NARROW(value, pointer) VSTORE(value, pointer)
#elif KV_TYPE == 2
typedef half DST_T;
#define NARROW(value, pointer) VSTORE_HALF(value, pointer)
#elif KV_TYPE == 3
typedef ushort DST_T;
#define NARROW(value, pointer) VSTORE(to_bf16(value), pointer)
// To nearest even; a NaN stays one.
static VECTOR(ushort) to_bf16(VFLOAT value)
{
    VUINT bits = AS_VUINT(value);
    VUINT rounded = bits + 0x7fff + (bits >> 16 & 1);
    return TO_VUSHORT(((bits & 0x7fffffff) > 0x7f800000 ? bits | 0x400000 : rounded) >> 16);
}
#else
#error "unknown KV_TYPE"
#endif
#define CONVERT(from, to) NARROW(WIDEN(from), to)
#endif

#define ATTRIBUTES __attribute__((reqd_work_group_size(WG_SIZE, 1, 1)))

// For each row of rows that this work-item has a part in, and each of its parts.
#define FOR_PARTS(row, rows, part, dim)                                                  \
    for (int row = (int)get_local_id(0) / LANES; row < (rows); row += WG_SIZE / LANES)   \
        for (int part = (int)get_local_id(0) % LANES * VEC; part < (dim); part += LANES * VEC)

static void convert_rows(global const SRC_T *from, long from_stride, global DST_T *to, long to_stride, int rows, int dim)
{
    FOR_PARTS(row, rows, part, dim)
        CONVERT(from + row * from_stride + part, to + row * to_stride + part);
}

static void move_rows(global const KV_BITS *from, long from_stride, global KV_BITS *to, long to_stride, int rows, int dim)
{
    FOR_PARTS(row, rows, part, dim)
        VSTORE(VLOAD(from + row * from_stride + part), to + row * to_stride + part);
}

// The work-group's share [begin, end) of count.
static long share_begin(long count)
{
    return count * (long)get_group_id(0) / (long)get_num_groups(0);
}

static long share_end(long count)
{
    return count * ((long)get_group_id(0) + 1) / (long)get_num_groups(0);
}

static long slot_at(struct kv_place place, int page, int token)
{
    return place.offset + page * place.stride_page + token * place.stride_token;
}

static long token_at(struct kv_place place, long token)
{
    return place.offset + token * place.stride_token;
}

kernel ATTRIBUTES void kv_append(global const SRC_T *k_from, global const SRC_T *v_from, global DST_T *k_to,
                                 global DST_T *v_to, global const int *slot_mapping, struct kv_args args)
{
    for (long t = share_begin(args.count); t < share_end(args.count); t++) {
        int slot = slot_mapping ? slot_mapping[args.index_offset + t * args.index_stride] : (int)t;
        if (slot < 0)
            continue;
        int page = slot / args.page_size, token = slot - page * args.page_size;
        convert_rows(k_from + token_at(args.k_from, t), args.k_from.stride_head, k_to + slot_at(args.k_to, page, token),
                     args.k_to.stride_head, args.num_heads, HEAD_DIM_QK);
        convert_rows(v_from + token_at(args.v_from, t), args.v_from.stride_head, v_to + slot_at(args.v_to, page, token),
                     args.v_to.stride_head, args.num_heads, HEAD_DIM_VO);
    }
}

static void copy_pages(global const KV_BITS *from, struct kv_place from_place, global KV_BITS *to, struct kv_place to_place,
                       global const int *pages, struct kv_args args, int outer, int inner, int dim)
{
    long items = args.count * outer;
    for (long i = share_begin(items); i < share_end(items); i++) {
        long pair = i / outer;
        int row = (int)(i - pair * outer);
        global const int *ids = pages + args.index_offset + pair * args.index_stride;
        move_rows(from + slot_at(from_place, ids[0], row), from_place.stride_head,
                  to + slot_at(to_place, ids[args.index_second], row), to_place.stride_head, inner, dim);
    }
}

kernel ATTRIBUTES void kv_copy_pages(global const KV_BITS *k_from, global const KV_BITS *v_from, global KV_BITS *k_to,
                                     global KV_BITS *v_to, global const int *pages, struct kv_args args)
{
    copy_pages(k_from, args.k_from, k_to, args.k_to, pages, args, args.k_outer, args.k_inner, HEAD_DIM_QK);
    copy_pages(v_from, args.v_from, v_to, args.v_to, pages, args, args.v_outer, args.v_inner, HEAD_DIM_VO);
}

kernel ATTRIBUTES void kv_export(global const KV_BITS *k_from, global const KV_BITS *v_from, global KV_BITS *k_to,
                                 global KV_BITS *v_to, global const int *pages, struct kv_args args)
{
    for (long t = share_begin(args.count); t < share_end(args.count); t++) {
        int at = (int)t / args.page_size, token = (int)t - at * args.page_size;
        int page = pages[args.index_offset + at * args.index_stride];
        move_rows(k_from + slot_at(args.k_from, page, token), args.k_from.stride_head, k_to + token_at(args.k_to, t),
                  args.k_to.stride_head, args.num_heads, HEAD_DIM_QK);
        move_rows(v_from + slot_at(args.v_from, page, token), args.v_from.stride_head, v_to + token_at(args.v_to, t),
                  args.v_to.stride_head, args.num_heads, HEAD_DIM_VO);
    }
}

kernel ATTRIBUTES void kv_import(global const KV_BITS *k_from, global const KV_BITS *v_from, global KV_BITS *k_to,
                                 global KV_BITS *v_to, global const int *pages, struct kv_args args)
{
    for (long t = share_begin(args.count); t < share_end(args.count); t++) {
        int at = (int)t / args.page_size, token = (int)t - at * args.page_size;
        int page = pages[args.index_offset + at * args.index_stride];
        move_rows(k_from + token_at(args.k_from, t), args.k_from.stride_head, k_to + slot_at(args.k_to, page, token),
                  args.k_to.stride_head, args.num_heads, HEAD_DIM_QK);
        move_rows(v_from + token_at(args.v_from, t), args.v_from.stride_head, v_to + slot_at(args.v_to, page, token),
                  args.v_to.stride_head, args.num_heads, HEAD_DIM_VO);
    }
}
