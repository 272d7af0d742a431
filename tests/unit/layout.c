/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "base/base.h"
#include "layout.h"

static struct attune_context context; /* a layout keeps its address only */

static attune_kv_layout *make(const attune_kv_layout_options *options)
{
    attune_kv_layout *layout;
    if (attune_kv_layout_create(&context, options, &layout))
        fail_msg("%s", attune_last_error());
    return layout;
}

static attune_kv_layout_options usual(attune_kv_order order, attune_dtype dtype, int32_t page_size)
{
    attune_kv_layout_options options = ATTUNE_KV_LAYOUT_OPTIONS_INIT;
    options.order = order;
    options.dtype = dtype;
    options.num_kv_heads = 3;
    options.head_dim_qk = 8;
    options.head_dim_vo = 6;
    options.page_size = page_size;
    options.num_slots = 10 * page_size;
    return options;
}

static void orders_have_their_strides(void **state)
{
    (void)state;
    static const struct {
        attune_kv_order order;
        attune_dtype dtype;
        int32_t page_size;
        const char *id;
        struct kv_strides k, v;
    } cases[] = {
        {ATTUNE_KV_NHD, ATTUNE_FP32, 1, "slots,nhd,fp32", {24, 24, 8}, {18, 18, 6}},
        {ATTUNE_KV_HND, ATTUNE_FP16, 1, "slots,hnd,fp16", {8, 8, 80}, {6, 6, 60}},
        {ATTUNE_KV_NHD, ATTUNE_FP32, 16, "pages16,nhd,fp32", {384, 24, 8}, {288, 18, 6}},
        {ATTUNE_KV_HND, ATTUNE_BF16, 48, "pages48,hnd,bf16", {1152, 8, 384}, {864, 6, 288}},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        attune_kv_layout_options options = usual(cases[i].order, cases[i].dtype, cases[i].page_size);
        attune_kv_layout *layout = make(&options);
        assert_string_equal(attune_kv_layout_id(layout), cases[i].id);
        assert_memory_equal(&layout->k, &cases[i].k, sizeof layout->k);
        assert_memory_equal(&layout->v, &cases[i].v, sizeof layout->v);
        size_t k, v, tokens = (size_t)options.num_slots * dtype_size(options.dtype) * 3;
        assert_int_equal(attune_kv_layout_bytes(layout, &k, &v), ATTUNE_OK);
        assert_int_equal(k, tokens * 8);
        assert_int_equal(v, tokens * 6);
        attune_kv_layout_destroy(&layout);
        assert_null(layout);
    }
}

static void strided_layouts_name_their_strides(void **state)
{
    (void)state;
    attune_kv_layout_options options = usual(ATTUNE_KV_STRIDED, ATTUNE_FP16, 4);
    options.k_stride_page = 500, options.k_stride_token = 30, options.k_stride_head = 10;
    options.v_stride_page = 500, options.v_stride_token = 6, options.v_stride_head = 24;
    attune_kv_layout *layout = make(&options);
    assert_string_equal(attune_kv_layout_id(layout), "pages4,strided:500:30:10,fp16");
    size_t k, v;
    assert_int_equal(attune_kv_layout_bytes(layout, &k, &v), ATTUNE_OK);
    assert_int_equal(k, 2 * (9 * 500 + 3 * 30 + 2 * 10 + 8));
    assert_int_equal(v, 2 * (9 * 500 + 3 * 6 + 2 * 24 + 6));
    attune_kv_layout_destroy(&layout);
    options.v_stride_token = 5; /* less than the row */
    assert_int_equal(attune_kv_layout_create(&context, &options, &layout), ATTUNE_ERROR_STRIDE);
    assert_non_null(strstr(attune_last_error(), "options.v strides"));
    options.v_stride_token = -6;
    assert_int_equal(attune_kv_layout_create(&context, &options, &layout), ATTUNE_ERROR_STRIDE);
    options.v_stride_token = 6;
    options.v_stride_page = INT64_MAX / 8;
    assert_int_equal(attune_kv_layout_create(&context, &options, &layout), ATTUNE_ERROR_STRIDE);
    assert_non_null(strstr(attune_last_error(), "overflow"));
    assert_null(layout);
}

#define MAX_ELEMENTS 512

static bool rows_share(const struct attune_kv_layout *layout, const struct kv_strides *s, int64_t dim)
{
    bool used[MAX_ELEMENTS] = {false}, shared = false;
    for (int64_t page = 0; page < layout->num_slots / layout->page_size; page++)
        for (int64_t token = 0; token < layout->page_size; token++)
            for (int64_t head = 0; head < layout->num_kv_heads; head++)
                for (int64_t d = 0; d < dim; d++) {
                    int64_t at = page * s->page + token * s->token + head * s->head + d;
                    assert_in_range(at, 0, MAX_ELEMENTS - 1);
                    shared |= used[at];
                    used[at] = true;
                }
    return shared;
}

/* What is accepted never overlaps; whatever nests its axes in one another is accepted. */
static void overlaps_are_found(void **state)
{
    (void)state;
    struct rng rng;
    rng_seed(&rng, 11);
    int accepted = 0;
    for (int round = 0; round < 100000; round++) {
        struct attune_kv_layout layout = {.page_size = 1 + (int32_t)rng_below(&rng, 4),
                                          .num_kv_heads = 1 + (int32_t)rng_below(&rng, 3)};
        layout.num_slots = layout.page_size * (1 + (int64_t)rng_below(&rng, 4));
        int64_t dim = 1 + (int64_t)rng_below(&rng, 3);
        struct kv_strides strides = {(int64_t)rng_below(&rng, 60), (int64_t)rng_below(&rng, 60),
                                     (int64_t)rng_below(&rng, 60)};
        bool apart = kv_rows_apart(&layout, &strides, dim);
        accepted += apart;
        if (apart && rows_share(&layout, &strides, dim))
            fail_msg("seed 11, round %d: %d pages of %d tokens, %d heads, dim %d, strides %d %d %d: accepted", round,
                     (int)(layout.num_slots / layout.page_size), layout.page_size, layout.num_kv_heads, (int)dim,
                     (int)strides.page, (int)strides.token, (int)strides.head);
    }
    assert_in_range(accepted, 10000, 90000);
    for (int round = 0; round < 10000; round++) {
        struct attune_kv_layout layout = {.page_size = 1 + (int32_t)rng_below(&rng, 4),
                                          .num_kv_heads = 1 + (int32_t)rng_below(&rng, 3)};
        layout.num_slots = layout.page_size * (1 + (int64_t)rng_below(&rng, 4));
        struct kv_strides strides;
        int64_t *axes[3] = {&strides.page, &strides.token, &strides.head}, dim = 1 + (int64_t)rng_below(&rng, 3);
        const int64_t sizes[3] = {layout.num_slots / layout.page_size, layout.page_size, layout.num_kv_heads};
        int64_t reach = dim;
        bool placed[3] = {false, false, false};
        for (int i = 0; i < 3; i++) {
            int axis = (int)rng_below(&rng, 3);
            while (placed[axis])
                axis = (axis + 1) % 3;
            placed[axis] = true;
            *axes[axis] = reach + (int64_t)rng_below(&rng, 3);
            reach = *axes[axis] * (sizes[axis] - 1) + reach;
        }
        if (!kv_rows_apart(&layout, &strides, dim))
            fail_msg("seed 11, nested round %d is refused", round);
    }
}

static void pages_are_divided_by_multiplication(void **state)
{
    (void)state;
    struct rng rng;
    rng_seed(&rng, 12);
    for (int32_t i = 2; i < 6000; i++) {
        int32_t page_size = i < 3000 ? i : 2 + (int32_t)rng_below(&rng, MAX_PAGE_SIZE - 1), shift;
        if (i == 5999)
            page_size = MAX_PAGE_SIZE;
        uint32_t magic;
        page_division(page_size, &magic, &shift);
        for (int k = 0; k < 64; k++) {
            int64_t page = (int64_t)rng_below(&rng, (uint64_t)INT32_MAX / (uint64_t)page_size);
            const int64_t positions[] = {0,
                                         page_size - 1,
                                         page * page_size,
                                         page * page_size + page_size - 1,
                                         INT32_MAX,
                                         INT32_MAX / page_size * page_size};
            for (size_t p = 0; p < sizeof positions / sizeof positions[0]; p++) {
                uint32_t position = (uint32_t)positions[p];
                uint32_t quotient = (uint32_t)((uint64_t)position * magic >> 32) >> shift;
                if (quotient != position / (uint32_t)page_size)
                    fail_msg("%u / %d gives %u", position, page_size, quotient);
            }
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(orders_have_their_strides),
        cmocka_unit_test(strided_layouts_name_their_strides),
        cmocka_unit_test(overlaps_are_found),
        cmocka_unit_test(pages_are_divided_by_multiplication),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
