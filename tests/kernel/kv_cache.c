/* SPDX-License-Identifier: Apache-2.0
 * Operations on a KV cache against a plain model of them: whole buffers are compared bit for bit, so that a stray write
 * anywhere shows. Caches are filled with random bits, many of which are NaN. */
#define _GNU_SOURCE
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "check.h"
#include "context.h"
#include "layout.h"

#define SEED 20250611
#define LEAD 24 /* elements before a tensor in its buffer; also the elements after it */

static attune_context *context;
static cl_command_queue queue;
static struct rng rng;

struct shape {
    const char *name;
    attune_dtype source, dtype;
    int heads, dim_qk, dim_vo, page_size, pages;
    attune_kv_order order;
    int pad; /* ATTUNE_KV_STRIDED: elements after each token's row; -1: K in the order NHD, V in the order HND */
};

/* A device buffer and what it should hold. */
struct buffer {
    cl_mem cl;
    uint8_t *data;
    size_t bytes;
};

static uint64_t get_bits(const uint8_t *at, size_t size)
{
    uint32_t wide;
    uint16_t narrow;
    memcpy(size == 4 ? (void *)&wide : (void *)&narrow, at, size);
    return size == 4 ? wide : narrow;
}

static struct buffer make(size_t bytes)
{
    struct buffer b = {NULL, malloc(bytes), bytes};
    assert_non_null(b.data);
    for (size_t i = 0; i < bytes; i++)
        b.data[i] = (uint8_t)rng_next(&rng);
    return b;
}

static void upload(struct buffer *b)
{
    cl_int code;
    b->cl =
        clCreateBuffer(attune_context_cl(context), CL_MEM_READ_WRITE | CL_MEM_COPY_HOST_PTR, b->bytes, b->data, &code);
    assert_int_equal(code, CL_SUCCESS);
}

static void drop(struct buffer *b)
{
    clReleaseMemObject(b->cl);
    free(b->data);
}

static attune_tensor tensor(const struct buffer *b, size_t byte_offset)
{
    attune_tensor t = ATTUNE_TENSOR_INIT;
    t.type = ATTUNE_MEMORY_CL;
    t.cl = b->cl;
    t.byte_offset = byte_offset;
    return t;
}

static bool is_nan(uint64_t bits, attune_dtype dtype)
{
    return dtype == ATTUNE_FP32   ? (bits & 0x7fffffff) > 0x7f800000
           : dtype == ATTUNE_FP16 ? (bits & 0x7fff) > 0x7c00
                                  : (bits & 0x7fff) > 0x7f80;
}

/* The device's bytes are the model's. Rounding may change which NaN it is: any will do where nans says so. */
static void compare(const struct shape *s, const char *what, const struct buffer *b, attune_dtype dtype, bool nans)
{
    uint8_t *got = malloc(b->bytes);
    assert_non_null(got);
    assert_int_equal(clEnqueueReadBuffer(queue, b->cl, CL_TRUE, 0, b->bytes, got, 0, NULL, NULL), CL_SUCCESS);
    size_t size = dtype_size(dtype);
    for (size_t i = 0; i + size <= b->bytes; i += size) {
        uint64_t x = get_bits(got + i, size), y = get_bits(b->data + i, size);
        if (x != y && !(nans && is_nan(x, dtype) && is_nan(y, dtype)))
            fail_msg("%s: %s: element %zu is %llx, not %llx (seed %d)", s->name, what, i / size, (unsigned long long)x,
                     (unsigned long long)y, SEED);
    }
    memcpy(b->data, got, b->bytes);
    free(got);
}

/* ---- the model */

static size_t cache_at(const attune_kv_layout *layout, bool v, int64_t slot, int head)
{
    const struct kv_strides *s = v ? &layout->v : &layout->k;
    return (size_t)(LEAD + slot / layout->page_size * s->page + slot % layout->page_size * s->token + head * s->head);
}

static float widen(uint64_t bits, attune_dtype dtype)
{
    uint32_t word = (uint32_t)bits;
    float value;
    memcpy(&value, &word, sizeof value);
    return dtype == ATTUNE_FP32   ? value
           : dtype == ATTUNE_FP16 ? half_to_float((uint16_t)bits)
                                  : bf16_to_float((uint16_t)bits);
}

static void convert(const uint8_t *from, attune_dtype source, uint8_t *to, attune_dtype dtype)
{
    if (source == dtype) {
        memcpy(to, from, dtype_size(dtype));
        return;
    }
    float value = widen(get_bits(from, dtype_size(source)), source);
    uint16_t half = dtype == ATTUNE_FP16 ? float_to_half(value) : float_to_bf16(value);
    if (dtype == ATTUNE_FP32)
        memcpy(to, &value, sizeof value);
    else
        memcpy(to, &half, sizeof half);
}

/* ---- a cache and rows, on both sides */

struct cache {
    attune_kv_layout *layout;
    struct buffer k, v;
    attune_tensor k_tensor, v_tensor;
};

static void set_strides(const struct shape *s, attune_kv_layout_options *o)
{
    int64_t k_row = (int64_t)s->heads * s->dim_qk, v_row = (int64_t)s->heads * s->dim_vo;
    if (s->pad >= 0) {
        o->k_stride_head = s->dim_qk, o->v_stride_head = s->dim_vo;
        o->k_stride_token = k_row + s->pad, o->v_stride_token = v_row + s->pad;
        o->k_stride_page = s->page_size * o->k_stride_token, o->v_stride_page = s->page_size * o->v_stride_token;
        return;
    }
    o->k_stride_head = s->dim_qk, o->k_stride_token = k_row, o->k_stride_page = s->page_size * k_row;
    o->v_stride_head = s->page_size * s->dim_vo, o->v_stride_token = s->dim_vo;
    o->v_stride_page = s->page_size * v_row + 5;
}

static struct cache make_cache(const struct shape *s)
{
    attune_kv_layout_options o = ATTUNE_KV_LAYOUT_OPTIONS_INIT;
    o.order = s->order;
    o.dtype = s->dtype;
    o.num_kv_heads = s->heads;
    o.head_dim_qk = s->dim_qk;
    o.head_dim_vo = s->dim_vo;
    o.page_size = s->page_size;
    o.num_slots = (int64_t)s->pages * s->page_size;
    set_strides(s, &o);
    struct cache c = {NULL};
    if (attune_kv_layout_create(context, &o, &c.layout) != ATTUNE_OK)
        fail_msg("%s: %s", s->name, attune_last_error());
    size_t k_bytes, v_bytes, size = dtype_size(s->dtype);
    assert_int_equal(attune_kv_layout_bytes(c.layout, &k_bytes, &v_bytes), ATTUNE_OK);
    c.k = make(k_bytes + 2 * LEAD * size);
    c.v = make(v_bytes + 2 * LEAD * size);
    upload(&c.k);
    upload(&c.v);
    c.k_tensor = tensor(&c.k, LEAD * size);
    c.v_tensor = tensor(&c.v, LEAD * size);
    return c;
}

static void drop_cache(struct cache *c)
{
    attune_kv_layout_destroy(&c->layout);
    drop(&c->k);
    drop(&c->v);
}

/* Rows [tokens, heads, dim] of K or V, each token's followed by gap elements. */
struct rows {
    struct buffer buffer;
    attune_tensor tensor;
    attune_dtype dtype;
    int heads, dim, gap;
};

/* Values that rounding has to get right come first: ties, overflow, subnormals, infinities. */
static const uint32_t biting[] = {0x3f808000, 0x3f818000, 0x3f801000, 0x3f803000, 0x477fefff, 0x477ff000, 0x7f7fffff,
                                  0x33000000, 0x33000001, 0x387fe000, 0x00000001, 0x80000000, 0x7f800000, 0xff800000};

static struct rows make_rows(const struct shape *s, attune_dtype dtype, int tokens, int dim, int gap)
{
    struct rows r = {.dtype = dtype, .heads = s->heads, .dim = dim, .gap = gap};
    size_t size = dtype_size(dtype), count = (size_t)tokens * (size_t)(s->heads * dim + gap);
    r.buffer = make((count + 2 * LEAD) * size);
    for (size_t i = 0; dtype == ATTUNE_FP32 && i < sizeof biting / sizeof biting[0] && i < count; i++)
        memcpy(r.buffer.data + (LEAD + i) * size, &biting[i], size);
    upload(&r.buffer);
    r.tensor = tensor(&r.buffer, LEAD * size);
    r.tensor.stride_token = gap ? s->heads * dim + gap : 0;
    return r;
}

static uint8_t *row_at(const struct rows *r, int64_t token, int head)
{
    size_t at = (size_t)(LEAD + token * (r->heads * r->dim + r->gap) + head * r->dim);
    return r->buffer.data + at * dtype_size(r->dtype);
}

/* The model moves one token between rows and a slot. */
static void move_token(const struct cache *c, bool v, const struct rows *r, int64_t token, int64_t slot, bool to_cache)
{
    const struct buffer *b = v ? &c->v : &c->k;
    size_t size = dtype_size(c->layout->dtype), row_size = dtype_size(r->dtype);
    for (int h = 0; h < r->heads; h++)
        for (int d = 0; d < r->dim; d++) {
            uint8_t *at = b->data + (cache_at(c->layout, v, slot, h) + (size_t)d) * size;
            uint8_t *row = row_at(r, token, h) + (size_t)d * row_size;
            if (to_cache)
                convert(row, r->dtype, at, c->layout->dtype);
            else
                memcpy(row, at, size);
        }
}

static void compare_cache(const struct shape *s, const char *what, const struct cache *c, bool nans)
{
    char text[64];
    snprintf(text, sizeof text, "%s, K", what);
    compare(s, text, &c->k, s->dtype, nans);
    snprintf(text, sizeof text, "%s, V", what);
    compare(s, text, &c->v, s->dtype, nans);
}

/* int32 indices behind one that must not be read as one. */
static struct buffer make_indices(const int32_t *values, size_t count)
{
    struct buffer b = make((count + 1) * sizeof(int32_t));
    memcpy(b.data + sizeof(int32_t), values, count * sizeof(int32_t));
    upload(&b);
    return b;
}

/* The numbers 0 .. count - 1 in a random order; the caller frees them. */
static int32_t *permutation(int32_t count)
{
    int32_t *order = calloc((size_t)count + 1, sizeof *order);
    assert_non_null(order);
    for (int32_t i = 0; i < count; i++)
        order[i] = i;
    for (int32_t i = count - 1; i > 0; i--) {
        int32_t j = (int32_t)rng_below(&rng, (uint64_t)i + 1), swap = order[i];
        order[i] = order[j];
        order[j] = swap;
    }
    return order;
}

#define DONE(s, call)                                                                            \
    do {                                                                                         \
        attune_status status_ = (call);                                                          \
        if (status_ != ATTUNE_OK)                                                                \
            fail_msg("%s: %s: %s", (s)->name, attune_status_name(status_), attune_last_error()); \
    } while (0)

/* ---- one operation each */

static void check_append(const struct shape *s, attune_kv_launcher *launcher, const struct cache *c)
{
    int32_t slots = (int32_t)c->layout->num_slots, count = slots < 7 ? slots : slots * 2 / 3;
    int32_t *slot = permutation(slots);
    for (int32_t i = 1; i < count; i += 5)
        slot[i] = -1;
    struct rows k = make_rows(s, s->source, count, s->dim_qk, 3), v = make_rows(s, s->source, count, s->dim_vo, 0);
    struct buffer mapping = make_indices(slot, (size_t)count);
    attune_kv_append_args args = ATTUNE_KV_APPEND_ARGS_INIT;
    args.num_tokens = count;
    args.k = k.tensor, args.v = v.tensor;
    args.slot_mapping = tensor(&mapping, sizeof(int32_t));
    args.k_cache = c->k_tensor, args.v_cache = c->v_tensor;
    DONE(s, attune_kv_append(launcher, &args, queue, 0, NULL, NULL));
    for (int32_t i = 0; i < count; i++)
        if (slot[i] >= 0) {
            move_token(c, false, &k, i, slot[i], true);
            move_token(c, true, &v, i, slot[i], true);
        }
    compare_cache(s, "append", c, s->source != s->dtype);
    compare(s, "append's K", &k.buffer, s->source, false);
    drop(&k.buffer), drop(&v.buffer), drop(&mapping);
    free(slot);
}

static void check_copy(const struct shape *s, attune_kv_launcher *launcher, const struct cache *from,
                       const struct cache *to)
{
    int32_t pairs = from == to ? s->pages / 2 : s->pages - 1;
    int32_t *source = permutation(s->pages), *dest = permutation(s->pages), *pages = calloc((size_t)pairs * 2 + 1, 4);
    assert_non_null(pages);
    for (int32_t i = 0; i < pairs; i++) { /* within one cache, the first half of a permutation goes to the second */
        pages[2 * i] = source[i];
        pages[2 * i + 1] = from == to ? source[s->pages - 1 - i] : dest[i];
    }
    struct buffer ids = make_indices(pages, (size_t)pairs * 2);
    attune_kv_copy_args args = ATTUNE_KV_COPY_ARGS_INIT;
    args.num_pages = pairs;
    args.pages = tensor(&ids, sizeof(int32_t));
    args.k_cache = to->k_tensor, args.v_cache = to->v_tensor;
    if (from != to)
        args.from_k_cache = from->k_tensor, args.from_v_cache = from->v_tensor;
    DONE(s, attune_kv_copy_pages(launcher, &args, queue, 0, NULL, NULL));
    size_t size = dtype_size(s->dtype);
    for (int32_t i = 0; i < pairs; i++)
        for (int t = 0; t < s->page_size; t++)
            for (int h = 0; h < s->heads; h++) {
                int64_t a = (int64_t)pages[2 * i] * s->page_size + t, b = (int64_t)pages[2 * i + 1] * s->page_size + t;
                memcpy(to->k.data + cache_at(to->layout, false, b, h) * size,
                       from->k.data + cache_at(from->layout, false, a, h) * size, (size_t)s->dim_qk * size);
                memcpy(to->v.data + cache_at(to->layout, true, b, h) * size,
                       from->v.data + cache_at(from->layout, true, a, h) * size, (size_t)s->dim_vo * size);
            }
    compare_cache(s, "copy", to, false);
    compare_cache(s, "copy's source", from, false);
    drop(&ids);
    free(source), free(dest), free(pages);
}

/* Exports a sequence from one cache and imports it, by other pages, into another of any layout. */
static void check_transfer(const struct shape *s, attune_kv_launcher *launcher, const struct cache *from,
                           const struct shape *other, attune_kv_launcher *into, const struct cache *to)
{
    int32_t tokens = (s->pages - 1) * s->page_size - s->page_size / 2, limit = (other->pages - 1) * other->page_size;
    tokens = tokens < limit ? tokens : limit;
    tokens = tokens > 0 ? tokens : 1;
    int32_t *pages = permutation(s->pages), *other_pages = permutation(other->pages);
    struct buffer ids = make_indices(pages, (size_t)s->pages),
                  other_ids = make_indices(other_pages, (size_t)other->pages);
    struct rows k = make_rows(s, s->dtype, tokens, s->dim_qk, 0), v = make_rows(s, s->dtype, tokens, s->dim_vo, 7);
    attune_kv_transfer_args args = ATTUNE_KV_TRANSFER_ARGS_INIT;
    args.num_tokens = tokens;
    args.pages = tensor(&ids, sizeof(int32_t));
    args.k = k.tensor, args.v = v.tensor;
    args.k_cache = from->k_tensor, args.v_cache = from->v_tensor;
    DONE(s, attune_kv_export(launcher, &args, queue, 0, NULL, NULL));
    for (int32_t i = 0; i < tokens; i++) {
        int64_t slot = (int64_t)pages[i / s->page_size] * s->page_size + i % s->page_size;
        move_token(from, false, &k, i, slot, false);
        move_token(from, true, &v, i, slot, false);
    }
    compare(s, "export's K", &k.buffer, s->dtype, false);
    compare(s, "export's V", &v.buffer, s->dtype, false);
    args.pages = tensor(&other_ids, sizeof(int32_t));
    args.k_cache = to->k_tensor, args.v_cache = to->v_tensor;
    DONE(other, attune_kv_import(into, &args, queue, 0, NULL, NULL));
    for (int32_t i = 0; i < tokens; i++) {
        int64_t slot = (int64_t)other_pages[i / other->page_size] * other->page_size + i % other->page_size;
        move_token(to, false, &k, i, slot, true);
        move_token(to, true, &v, i, slot, true);
    }
    compare_cache(other, "import", to, false);
    compare_cache(s, "export's cache", from, false);
    drop(&k.buffer), drop(&v.buffer), drop(&ids), drop(&other_ids);
    free(pages), free(other_pages);
}

/* ---- all of them */

static const struct shape shapes[] = {
    {"slots, NHD, fp32", ATTUNE_FP32, ATTUNE_FP32, 2, 80, 96, 1, 41, ATTUNE_KV_NHD, 0},
    {"slots, HND, fp32 to fp16", ATTUNE_FP32, ATTUNE_FP16, 3, 80, 96, 1, 37, ATTUNE_KV_HND, 0},
    {"slots, padded, fp32 to bf16", ATTUNE_FP32, ATTUNE_BF16, 2, 80, 96, 1, 33, ATTUNE_KV_STRIDED, 16},
    {"pages of 16, NHD, fp16", ATTUNE_FP16, ATTUNE_FP16, 8, 128, 128, 16, 9, ATTUNE_KV_NHD, 0},
    {"pages of 16, HND, fp16 to bf16", ATTUNE_FP16, ATTUNE_BF16, 2, 128, 128, 16, 7, ATTUNE_KV_HND, 0},
    {"pages of 64, HND, fp16 to fp32", ATTUNE_FP16, ATTUNE_FP32, 2, 64, 128, 64, 5, ATTUNE_KV_HND, 0},
    {"pages of 3, padded, bf16", ATTUNE_BF16, ATTUNE_BF16, 2, 3, 3, 3, 11, ATTUNE_KV_STRIDED, 5},
    {"pages of 16, K NHD and V HND, bf16 to fp16", ATTUNE_BF16, ATTUNE_FP16, 3, 36, 100, 16, 7, ATTUNE_KV_STRIDED, -1},
    {"pages of 64, padded, bf16 to fp32", ATTUNE_BF16, ATTUNE_FP32, 1, 576, 512, 64, 3, ATTUNE_KV_STRIDED, 32},
    {"pages of 3, HND, fp32 to fp16, odd dims", ATTUNE_FP32, ATTUNE_FP16, 5, 3, 7, 3, 9, ATTUNE_KV_HND, 0},
};

/* The same cache in another layout, with other pages. */
static struct shape elsewhere(const struct shape *s)
{
    struct shape other = *s;
    other.name = "another layout";
    other.order = s->order == ATTUNE_KV_HND ? ATTUNE_KV_STRIDED : ATTUNE_KV_HND;
    other.pad = 8;
    other.page_size = s->page_size == 16 ? 3 : 16;
    other.pages = s->pages * s->page_size / other.page_size + 2;
    return other;
}

static void operations(void **state)
{
    const struct shape *s = *state;
    struct shape other = elsewhere(s);
    struct cache a = make_cache(s), b = make_cache(s), c = make_cache(&other);
    attune_kv_launcher *launcher, *into;
    DONE(s, attune_kv_launcher_create(a.layout, s->source, &launcher));
    DONE(s, attune_kv_launcher_create(c.layout, s->source, &into));
    check_append(s, launcher, &a);
    check_copy(s, launcher, &a, &a);
    check_copy(s, launcher, &a, &b);
    check_transfer(s, launcher, &a, &other, into, &c);
    check_transfer(&other, into, &c, s, launcher, &b);
    attune_kv_launcher_destroy(&launcher);
    attune_kv_launcher_destroy(&into);
    drop_cache(&a), drop_cache(&b), drop_cache(&c);
}

/* ---- pages beyond 2^31 elements, in memory of which the system gives what is touched */

#define FAR_PAGE (((int64_t)1 << 31) + 16) /* elements */

static attune_tensor svm_tensor(void *svm)
{
    attune_tensor t = ATTUNE_TENSOR_INIT;
    t.type = ATTUNE_MEMORY_SVM;
    t.svm = svm;
    return t;
}

/* Shared with a device that is the host: the buffers of other devices end before elements are that far. */
static uint16_t *reserve(size_t bytes)
{
    void *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    return memory == MAP_FAILED ? NULL : memory;
}

static void check_far_row(const uint16_t *k, int64_t element, const struct rows *rows, int token)
{
    assert_int_equal(clFinish(queue), CL_SUCCESS);
    assert_memory_equal(k + element, row_at(rows, token, 0), 16);
}

static void far_pages(void **state)
{
    (void)state;
    const struct shape s = {"far pages", ATTUNE_BF16, ATTUNE_BF16, 1, 8, 8, 2, 2, ATTUNE_KV_STRIDED, 0};
    size_t bytes = (size_t)(FAR_PAGE + 16) * 2;
    uint16_t *k = cl_device_is_pocl(&context->choice.device) ? reserve(bytes) : NULL, v[32];
    if (!k)
        skip();
    attune_kv_layout_options o = {sizeof o, ATTUNE_KV_STRIDED, ATTUNE_BF16, 1, 8, 8, 2, 4, FAR_PAGE, 8, 8, 16, 8, 8};
    attune_kv_layout *layout;
    attune_kv_launcher *launcher;
    DONE(&s, attune_kv_layout_create(context, &o, &layout));
    DONE(&s, attune_kv_launcher_create(layout, ATTUNE_BF16, &launcher));
    struct rows rows = make_rows(&s, ATTUNE_BF16, 4, 8, 0), out = make_rows(&s, ATTUNE_BF16, 4, 8, 0);
    struct rows out_v = make_rows(&s, ATTUNE_BF16, 4, 8, 0);
    const int32_t slots[] = {2, 3, 0, -1}, pages[] = {1, 0, 1}; /* as pair: 1 to 0; as lists: 1, 0 and 0, 1 */
    struct buffer mapping = make_indices(slots, 4), ids = make_indices(pages, 3);
    attune_kv_append_args append = {sizeof append, 4, rows.tensor, rows.tensor, tensor(&mapping, 4), svm_tensor(k),
                                    svm_tensor(v)};
    DONE(&s, attune_kv_append(launcher, &append, queue, 0, NULL, NULL));
    check_far_row(k, FAR_PAGE, &rows, 0);
    check_far_row(k, FAR_PAGE + 8, &rows, 1);
    check_far_row(k, 0, &rows, 2);
    attune_kv_copy_args copy = ATTUNE_KV_COPY_ARGS_INIT;
    copy.num_pages = 1;
    copy.pages = tensor(&ids, 4);
    copy.k_cache = svm_tensor(k), copy.v_cache = svm_tensor(v);
    DONE(&s, attune_kv_copy_pages(launcher, &copy, queue, 0, NULL, NULL));
    check_far_row(k, 8, &rows, 1);
    attune_kv_transfer_args transfer = {sizeof transfer, 4, tensor(&ids, 4), out.tensor, out_v.tensor, svm_tensor(k),
                                        svm_tensor(v)};
    DONE(&s, attune_kv_export(launcher, &transfer, queue, 0, NULL, NULL));
    for (int i = 0; i < 4; i++)
        memcpy(row_at(&out, i, 0), row_at(&rows, i % 2, 0), 16);
    compare(&s, "export", &out.buffer, ATTUNE_BF16, false);
    transfer.k = transfer.v = rows.tensor;
    transfer.pages = tensor(&ids, 8);
    DONE(&s, attune_kv_import(launcher, &transfer, queue, 0, NULL, NULL));
    check_far_row(k, 0, &rows, 0);
    check_far_row(k, FAR_PAGE + 8, &rows, 3);
    munmap(k, bytes);
    drop(&rows.buffer), drop(&out.buffer), drop(&out_v.buffer), drop(&mapping), drop(&ids);
    attune_kv_launcher_destroy(&launcher);
    attune_kv_layout_destroy(&layout);
}

/* ---- bad input and edges */

static struct {
    struct shape shape;
    struct cache cache;
    attune_kv_launcher *launcher;
    struct rows k, v;
    struct buffer index;
} bad = {.shape = {"bad input", ATTUNE_FP32, ATTUNE_FP32, 2, 8, 8, 4, 4, ATTUNE_KV_NHD, 0}};

static int setup_bad(void **state)
{
    (void)state;
    bad.cache = make_cache(&bad.shape);
    bad.k = make_rows(&bad.shape, ATTUNE_FP32, 4, 8, 0);
    bad.v = make_rows(&bad.shape, ATTUNE_FP32, 4, 8, 0);
    const int32_t index[] = {0, 1, 2, 3};
    bad.index = make_indices(index, 4);
    return attune_kv_launcher_create(bad.cache.layout, ATTUNE_FP32, &bad.launcher) != ATTUNE_OK;
}

static int teardown_bad(void **state)
{
    (void)state;
    attune_kv_launcher_destroy(&bad.launcher);
    drop(&bad.k.buffer), drop(&bad.v.buffer), drop(&bad.index);
    drop_cache(&bad.cache);
    return 0;
}

static attune_kv_append_args good_append(void)
{
    attune_kv_append_args args = ATTUNE_KV_APPEND_ARGS_INIT;
    args.num_tokens = 4;
    args.k = bad.k.tensor, args.v = bad.v.tensor;
    args.slot_mapping = tensor(&bad.index, sizeof(int32_t));
    args.k_cache = bad.cache.k_tensor, args.v_cache = bad.cache.v_tensor;
    return args;
}

static attune_kv_copy_args good_copy(void)
{
    attune_kv_copy_args args = ATTUNE_KV_COPY_ARGS_INIT;
    args.num_pages = 2;
    args.pages = tensor(&bad.index, sizeof(int32_t));
    args.k_cache = bad.cache.k_tensor, args.v_cache = bad.cache.v_tensor;
    return args;
}

static attune_kv_transfer_args good_transfer(void)
{
    attune_kv_transfer_args args = ATTUNE_KV_TRANSFER_ARGS_INIT;
    args.num_tokens = 4;
    args.pages = tensor(&bad.index, sizeof(int32_t));
    args.k = bad.k.tensor, args.v = bad.v.tensor;
    args.k_cache = bad.cache.k_tensor, args.v_cache = bad.cache.v_tensor;
    return args;
}

#define REFUSED(call, status, word)                                                                             \
    do {                                                                                                        \
        attune_status got_ = (call);                                                                            \
        if (got_ != (status) || !strstr(attune_last_error(), word))                                             \
            fail_msg("%s: %s (%s), not %s naming \"%s\"", #call, attune_status_name(got_), attune_last_error(), \
                     attune_status_name(status), word);                                                         \
    } while (0)

#define APPEND_REFUSED(change, status, word)                                                \
    do {                                                                                    \
        attune_kv_append_args args = good_append();                                         \
        change;                                                                             \
        REFUSED(attune_kv_append(bad.launcher, &args, queue, 0, NULL, NULL), status, word); \
    } while (0)

#define COPY_REFUSED(change, status, word)                                                      \
    do {                                                                                        \
        attune_kv_copy_args args = good_copy();                                                 \
        change;                                                                                 \
        REFUSED(attune_kv_copy_pages(bad.launcher, &args, queue, 0, NULL, NULL), status, word); \
    } while (0)

#define TRANSFER_REFUSED(change, status, word)                                              \
    do {                                                                                    \
        attune_kv_transfer_args args = good_transfer();                                     \
        change;                                                                             \
        REFUSED(attune_kv_export(bad.launcher, &args, queue, 0, NULL, NULL), status, word); \
        REFUSED(attune_kv_import(bad.launcher, &args, queue, 0, NULL, NULL), status, word); \
    } while (0)

static void bad_input(void **state)
{
    (void)state;
    attune_kv_launcher *none = (attune_kv_launcher *)(uintptr_t)1;
    REFUSED(attune_kv_launcher_create(NULL, ATTUNE_FP32, &none), ATTUNE_ERROR_NULL_ARGUMENT, "layout");
    assert_null(none);
    REFUSED(attune_kv_launcher_create(bad.cache.layout, (attune_dtype)99, &none), ATTUNE_ERROR_DTYPE, "source_dtype");
    REFUSED(attune_kv_launcher_create(bad.cache.layout, ATTUNE_FP32, NULL), ATTUNE_ERROR_NULL_ARGUMENT, "out");
    attune_kv_append_args append = good_append();
    REFUSED(attune_kv_append(NULL, &append, queue, 0, NULL, NULL), ATTUNE_ERROR_NULL_ARGUMENT, "launcher");
    REFUSED(attune_kv_append(bad.launcher, NULL, queue, 0, NULL, NULL), ATTUNE_ERROR_NULL_ARGUMENT, "args");
    REFUSED(attune_kv_append(bad.launcher, &append, NULL, 0, NULL, NULL), ATTUNE_ERROR_NULL_ARGUMENT, "queue");
    REFUSED(attune_kv_append(bad.launcher, &append, queue, 1, NULL, NULL), ATTUNE_ERROR_NULL_ARGUMENT, "wait");
    APPEND_REFUSED(args.size = 0, ATTUNE_ERROR_STRUCT_SIZE, "size");
    APPEND_REFUSED(args.num_tokens = -1, ATTUNE_ERROR_INVALID_SIZE, "num_tokens");
    APPEND_REFUSED(args.num_tokens = (int64_t)1 << 31, ATTUNE_ERROR_INVALID_SIZE, "num_tokens");
    APPEND_REFUSED(args.num_tokens = 5, ATTUNE_ERROR_BUFFER_TOO_SMALL, "slot_mapping");
    APPEND_REFUSED(args.k.type = ATTUNE_MEMORY_NONE, ATTUNE_ERROR_MISSING_TENSOR, "k is missing");
    APPEND_REFUSED(args.v.cl = NULL, ATTUNE_ERROR_NULL_ARGUMENT, "v.cl");
    APPEND_REFUSED(args.k.byte_offset = 2, ATTUNE_ERROR_OFFSET, "k.byte_offset");
    APPEND_REFUSED(args.k.byte_offset = 1 << 20, ATTUNE_ERROR_OFFSET, "k.byte_offset");
    APPEND_REFUSED(args.v.stride_token = -16, ATTUNE_ERROR_STRIDE, "v has strides");
    APPEND_REFUSED(args.v.stride_token = 1 << 20, ATTUNE_ERROR_BUFFER_TOO_SMALL, "v needs");
    APPEND_REFUSED(args.v.stride_token = INT64_MAX, ATTUNE_ERROR_OVERFLOW, "v with strides");
    APPEND_REFUSED(args.k_cache.byte_offset += 4 * (LEAD + 1), ATTUNE_ERROR_BUFFER_TOO_SMALL, "k_cache");
    APPEND_REFUSED(args.v_cache.type = ATTUNE_MEMORY_NONE, ATTUNE_ERROR_MISSING_TENSOR, "v_cache");
    APPEND_REFUSED(args.v_cache.type = (attune_memory_type)7, ATTUNE_ERROR_UNSUPPORTED, "v_cache.type");
    APPEND_REFUSED(args.k_cache.stride_token = 24, ATTUNE_ERROR_MISMATCH, "k_cache has strides");
    COPY_REFUSED(args.num_pages = 5, ATTUNE_ERROR_INVALID_SIZE, "num_pages");
    COPY_REFUSED(args.num_pages = 3, ATTUNE_ERROR_BUFFER_TOO_SMALL, "pages");
    COPY_REFUSED(args.from_k_cache = args.k_cache, ATTUNE_ERROR_MISSING_TENSOR, "from_v_cache");
    TRANSFER_REFUSED(args.num_tokens = 17, ATTUNE_ERROR_BUFFER_TOO_SMALL, "pages");
    TRANSFER_REFUSED(args.num_tokens = 6, ATTUNE_ERROR_BUFFER_TOO_SMALL, "k needs");
    TRANSFER_REFUSED(args.v.type = ATTUNE_MEMORY_NONE, ATTUNE_ERROR_MISSING_TENSOR, "v is missing");
    APPEND_REFUSED(args.k_cache = args.v_cache, ATTUNE_ERROR_OVERLAP, "v_cache overlaps k_cache");
    APPEND_REFUSED(args.k = args.k_cache, ATTUNE_ERROR_OVERLAP, "k_cache overlaps k");
    APPEND_REFUSED(args.slot_mapping = args.v_cache, ATTUNE_ERROR_OVERLAP, "v_cache overlaps slot_mapping");
    COPY_REFUSED(args.pages = args.k_cache, ATTUNE_ERROR_OVERLAP, "k_cache overlaps pages");
    COPY_REFUSED((args.from_k_cache = args.v_cache, args.from_v_cache = args.k_cache), ATTUNE_ERROR_OVERLAP,
                 "v_cache overlaps from_k_cache");
    TRANSFER_REFUSED(args.k = args.v_cache, ATTUNE_ERROR_OVERLAP, "overlaps");
    attune_kv_transfer_args transfer = good_transfer();
    transfer.k.stride_token = 8;
    REFUSED(attune_kv_export(bad.launcher, &transfer, queue, 0, NULL, NULL), ATTUNE_ERROR_STRIDE, "overlap");
    assert_int_equal(clFinish(queue), CL_SUCCESS);
    compare_cache(&bad.shape, "refused calls", &bad.cache, false);
}

/* With nothing to move, tensors may be missing, and the event still follows the wait list. */
static void nothing(void **state)
{
    (void)state;
    attune_kv_append_args append = ATTUNE_KV_APPEND_ARGS_INIT;
    attune_kv_copy_args copy = ATTUNE_KV_COPY_ARGS_INIT;
    attune_kv_transfer_args transfer = ATTUNE_KV_TRANSFER_ARGS_INIT;
    cl_int code;
    cl_event first = clCreateUserEvent(attune_context_cl(context), &code), last[4];
    assert_int_equal(attune_kv_append(bad.launcher, &append, queue, 1, &first, &last[0]), ATTUNE_OK);
    assert_int_equal(attune_kv_copy_pages(bad.launcher, &copy, queue, 1, &first, &last[1]), ATTUNE_OK);
    assert_int_equal(attune_kv_export(bad.launcher, &transfer, queue, 1, &first, &last[2]), ATTUNE_OK);
    assert_int_equal(attune_kv_import(bad.launcher, &transfer, queue, 0, NULL, &last[3]), ATTUNE_OK);
    assert_int_equal(attune_kv_import(bad.launcher, &transfer, queue, 0, NULL, NULL), ATTUNE_OK);
    assert_int_equal(clSetUserEventStatus(first, CL_COMPLETE), CL_SUCCESS);
    assert_int_equal(clWaitForEvents(4, last), CL_SUCCESS);
    for (int i = 0; i < 4; i++)
        clReleaseEvent(last[i]);
    clReleaseEvent(first);
    attune_kv_launcher_destroy(NULL);
}

/* An operation waits for its wait list and completes its event. */
static void order(void **state)
{
    (void)state;
    cl_int code;
    cl_event gate = clCreateUserEvent(attune_context_cl(context), &code), done;
    attune_kv_append_args args = good_append();
    assert_int_equal(attune_kv_append(bad.launcher, &args, queue, 1, &gate, &done), ATTUNE_OK);
    assert_int_equal(clFlush(queue), CL_SUCCESS);
    cl_int execution;
    clGetEventInfo(done, CL_EVENT_COMMAND_EXECUTION_STATUS, sizeof execution, &execution, NULL);
    assert_true(execution > CL_COMPLETE);
    assert_int_equal(clSetUserEventStatus(gate, CL_COMPLETE), CL_SUCCESS);
    assert_int_equal(clWaitForEvents(1, &done), CL_SUCCESS);
    for (int i = 0; i < 4; i++) {
        move_token(&bad.cache, false, &bad.k, i, i, true);
        move_token(&bad.cache, true, &bad.v, i, i, true);
    }
    compare_cache(&bad.shape, "append behind an event", &bad.cache, false);
    clReleaseEvent(gate);
    clReleaseEvent(done);
}

#define NUM_SHAPES (sizeof shapes / sizeof shapes[0])

/* V that is K's first dims on both sides, and copies within a cache that is named twice. Leaves the cache changed. */
static void what_may_be_shared(void **state)
{
    (void)state;
    attune_kv_append_args append = good_append();
    append.v = append.k;
    append.v_cache = append.k_cache;
    assert_int_equal(attune_kv_append(bad.launcher, &append, queue, 0, NULL, NULL), ATTUNE_OK);
    attune_kv_copy_args copy = good_copy();
    copy.from_k_cache = copy.k_cache, copy.from_v_cache = copy.v_cache;
    assert_int_equal(attune_kv_copy_pages(bad.launcher, &copy, queue, 0, NULL, NULL), ATTUNE_OK);
    copy.v_cache = copy.from_v_cache = copy.k_cache;
    assert_int_equal(attune_kv_copy_pages(bad.launcher, &copy, queue, 0, NULL, NULL), ATTUNE_OK);
    assert_int_equal(clFinish(queue), CL_SUCCESS);
}

int main(void)
{
    const char *backend = getenv("TEST_BACKEND");
    context = check_context(backend ? backend : "cpu");
    rng_seed(&rng, SEED);
    cl_int code;
    queue = clCreateCommandQueue(attune_context_cl(context), attune_context_device(context), 0, &code);
    if (code != CL_SUCCESS)
        return 1;
    struct CMUnitTest tests[NUM_SHAPES];
    for (size_t i = 0; i < NUM_SHAPES; i++)
        tests[i] = (struct CMUnitTest){shapes[i].name, operations, NULL, NULL, (void *)(uintptr_t)&shapes[i]};
    const struct CMUnitTest edges[] = {cmocka_unit_test(far_pages), cmocka_unit_test(bad_input),
                                       cmocka_unit_test(nothing), cmocka_unit_test(order),
                                       cmocka_unit_test(what_may_be_shared)};
    int failures = cmocka_run_group_tests_name("operations", tests, NULL, NULL);
    failures += cmocka_run_group_tests_name("edges", edges, setup_bad, teardown_bad);
    clReleaseCommandQueue(queue);
    attune_context_destroy(&context);
    return failures;
}
