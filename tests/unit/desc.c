/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <math.h>
#include <string.h>

#include "base/base.h"
#include "desc.h"

static attune_attention_desc valid_desc(void)
{
    attune_attention_desc desc = ATTUNE_ATTENTION_DESC_INIT;
    desc.num_q_heads = 8;
    desc.num_kv_heads = 2;
    desc.head_dim_qk = 64;
    return desc;
}

static void sizes_of_structs(void **state)
{
    (void)state;
    struct {
        attune_attention_desc desc;
        unsigned char tail[64];
    } larger = {valid_desc(), {0}};
    assert_int_equal(desc_validate(&larger.desc), ATTUNE_OK);
    larger.desc.size = sizeof larger;
    assert_int_equal(desc_validate(&larger.desc), ATTUNE_OK);
    larger.tail[63] = 1;
    assert_int_equal(desc_validate(&larger.desc), ATTUNE_ERROR_STRUCT_SIZE);
    larger.desc.size = sizeof larger.desc - 1;
    assert_int_equal(desc_validate(&larger.desc), ATTUNE_ERROR_STRUCT_SIZE);
    larger.desc.size = SIZE_MAX;
    assert_int_equal(desc_validate(&larger.desc), ATTUNE_ERROR_STRUCT_SIZE);
    larger.desc.size = 0;
    assert_int_equal(desc_validate(&larger.desc), ATTUNE_ERROR_STRUCT_SIZE);
    assert_non_null(strstr(attune_last_error(), "ATTUNE_ATTENTION_DESC_INIT"));
    assert_int_equal(desc_validate(NULL), ATTUNE_ERROR_NULL_ARGUMENT);
}

#define REFUSED(status, text, ...)                                      \
    do {                                                                \
        attune_attention_desc desc = valid_desc();                      \
        __VA_ARGS__;                                                    \
        assert_int_equal(desc_validate(&desc), status);                 \
        if (!strstr(attune_last_error(), text))                         \
            fail_msg("\"%s\" lacks \"%s\"", attune_last_error(), text); \
    } while (0)

static void every_field_is_checked(void **state)
{
    (void)state;
    attune_attention_desc good = valid_desc();
    assert_int_equal(desc_validate(&good), ATTUNE_OK);
    REFUSED(ATTUNE_ERROR_ENUM, "operation is 4", desc.operation = (attune_operation)4);
    REFUSED(ATTUNE_ERROR_ENUM, "operation is 0", desc.operation = (attune_operation)0);
    REFUSED(ATTUNE_ERROR_ENUM, "precision is 3", desc.precision = (attune_precision)3);
    REFUSED(ATTUNE_ERROR_ENUM, "mask is 2", desc.mask = (attune_mask)2);
    REFUSED(ATTUNE_ERROR_ENUM, "causal_alignment is 2", desc.causal_alignment = (attune_causal_alignment)2);
    REFUSED(ATTUNE_ERROR_INVALID_SIZE, "num_q_heads is 0; it must be 1 to 1024", desc.num_q_heads = 0);
    REFUSED(ATTUNE_ERROR_INVALID_SIZE, "num_q_heads is 1025", desc.num_q_heads = 1025);
    REFUSED(ATTUNE_ERROR_INVALID_SIZE, "num_kv_heads is -1", desc.num_kv_heads = -1);
    REFUSED(ATTUNE_ERROR_INVALID_SIZE, "head_dim_qk is 577", desc.head_dim_qk = 577);
    REFUSED(ATTUNE_ERROR_INVALID_SIZE, "head_dim_vo is -1", desc.head_dim_vo = -1);
    REFUSED(ATTUNE_ERROR_HEAD_COUNT, "num_kv_heads (3)", desc.num_kv_heads = 3);
    REFUSED(ATTUNE_ERROR_DTYPE, "q_dtype is 0", desc.q_dtype = (attune_dtype)0);
    REFUSED(ATTUNE_ERROR_DTYPE, "kv_dtype is 4", desc.kv_dtype = (attune_dtype)4);
    REFUSED(ATTUNE_ERROR_DTYPE, "o_dtype is 9", desc.o_dtype = (attune_dtype)9);
    REFUSED(ATTUNE_ERROR_SOFTCAP, "softcap is -1", desc.softcap = -1);
    REFUSED(ATTUNE_ERROR_SOFTCAP, "softcap", desc.softcap = NAN);
    REFUSED(ATTUNE_ERROR_SCALE, "scale is inf", desc.scale = INFINITY);
    REFUSED(ATTUNE_ERROR_SCALE, "scale is nan", desc.scale = NAN);
    REFUSED(ATTUNE_ERROR_SCALE, "scale is -1", desc.scale = -1);
    REFUSED(ATTUNE_ERROR_SCALE, "it must be 1e-30 to 1e+30, or 0", desc.scale = 0.99e-30f);
    REFUSED(ATTUNE_ERROR_SCALE, "scale is 1.01e+30", desc.scale = 1.01e30f);
    good.scale = 1e-30f;
    assert_int_equal(desc_validate(&good), ATTUNE_OK);
    good.scale = 1e30f;
    assert_int_equal(desc_validate(&good), ATTUNE_OK);
    REFUSED(ATTUNE_ERROR_WINDOW, "window_left is -2", desc.window_left = -2);
    REFUSED(ATTUNE_ERROR_WINDOW, "window_right is -2", desc.window_right = -2);
}

static void missing_features_are_named(void **state)
{
    (void)state;
    attune_attention_desc desc = valid_desc();
    assert_int_equal(desc_supported(&desc), ATTUNE_OK);
    desc.softcap = 50;
    assert_int_equal(desc_supported(&desc), ATTUNE_ERROR_UNSUPPORTED);
    assert_non_null(strstr(attune_last_error(), "softcap"));
    desc.window_left = 0;
    assert_int_equal(desc_supported(&desc), ATTUNE_ERROR_UNSUPPORTED);
    assert_non_null(strstr(attune_last_error(), "window"));
}

static void assert_visible(const attune_attention_desc *desc, int64_t q_len, int64_t kv_len, int64_t i, int64_t begin,
                           int64_t end)
{
    int64_t got_begin, got_end;
    desc_visible_keys(desc, q_len, kv_len, i, &got_begin, &got_end);
    assert_int_equal(got_end - got_begin, end - begin);
    if (end > begin)
        assert_int_equal(got_begin, begin);
}

static void masks_by_hand(void **state)
{
    (void)state;
    attune_attention_desc desc = valid_desc();
    assert_visible(&desc, 3, 5, 0, 0, 3); /* bottom-right: position 2 */
    assert_visible(&desc, 3, 5, 2, 0, 5);
    assert_visible(&desc, 5, 3, 1, 0, 0); /* position -1 */
    assert_visible(&desc, 5, 3, 2, 0, 1);
    desc.causal_alignment = ATTUNE_TOP_LEFT;
    assert_visible(&desc, 3, 5, 0, 0, 1);
    assert_visible(&desc, 5, 3, 4, 0, 3);
    desc.window_left = 1; /* itself and one before */
    assert_visible(&desc, 5, 5, 3, 2, 4);
    assert_visible(&desc, 5, 3, 4, 0, 0);
    desc.mask = ATTUNE_MASK_NONE;
    assert_visible(&desc, 5, 5, 3, 2, 5);
    desc.window_right = 0;
    assert_visible(&desc, 5, 5, 3, 2, 4);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sizes_of_structs),
        cmocka_unit_test(every_field_is_checked),
        cmocka_unit_test(missing_features_are_named),
        cmocka_unit_test(masks_by_hand),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
