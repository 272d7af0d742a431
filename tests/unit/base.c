/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/base.h"
#include "base/place.h"

static void error_text_is_kept_and_may_refer_to_itself(void **state)
{
    (void)state;
    assert_int_equal(set_error(ATTUNE_ERROR_OFFSET, "q is %d", 3), ATTUNE_ERROR_OFFSET);
    assert_string_equal(attune_last_error(), "q is 3");
    set_error(ATTUNE_ERROR_OFFSET, "outer: %s", attune_last_error());
    assert_string_equal(attune_last_error(), "outer: q is 3");
    set_opencl_error(ATTUNE_ERROR_OPENCL, CL_INVALID_VALUE, "clFinish");
    assert_string_equal(attune_last_error(), "clFinish: CL_INVALID_VALUE (-30)");
    assert_int_equal(attune_last_error_opencl(), -30);
    attach_build_log("log");
    assert_string_equal(attune_last_build_log(), "log");
    set_error(ATTUNE_ERROR_OFFSET, "next");
    assert_string_equal(attune_last_build_log(), "");
    assert_int_equal(attune_last_error_opencl(), 0);
}

static void compilers_words_are_found(void **state)
{
    (void)state;
    static const struct {
        const char *log, *words;
    } cases[] = {
        {"", ""},
        {"\n \n", ""},
        {"a.cl:3: error: no", "a.cl:3: error: no"},
        {"warning: w\r\n  x.cl(4): ERROR C1: a\r\n\tb\nerror: c\nerror: d\n", "x.cl(4): ERROR C1: a | error: c"},
        {"\n  says only this\nand that", "says only this"}};
    char text[64];
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        first_build_errors(cases[i].log, text, sizeof text);
        assert_string_equal(text, cases[i].words);
    }
    char longest[40000];
    memset(longest, 'e', sizeof longest - 1);
    longest[sizeof longest - 1] = '\0';
    first_build_errors(longest, text, sizeof text);
    assert_int_equal(strlen(text), sizeof text - 1);
    set_error(ATTUNE_ERROR_BUILD, "x");
    attach_build_log(longest);
    assert_non_null(strstr(attune_last_build_log(), "\n... and "));
}

static void status_names(void **state)
{
    (void)state;
    assert_string_equal(attune_status_name(ATTUNE_OK), "ATTUNE_OK");
    assert_string_equal(attune_status_name(ATTUNE_ERROR_INTERNAL), "ATTUNE_ERROR_INTERNAL");
    assert_string_equal(attune_status_name((attune_status)12345), "ATTUNE_ERROR_UNKNOWN");
}

static void strbuf_grows(void **state)
{
    (void)state;
    struct strbuf buf = {0};
    for (int i = 0; i < 1000; i++)
        strbuf_printf(&buf, "%d,", i);
    assert_true(buf.length == 3890);
    char *text = strbuf_take(&buf);
    assert_true(!strncmp(text, "0,1,2,", 6) && !strcmp(text + 3886, "999,"));
    free(text);
    text = strbuf_take(&buf);
    assert_string_equal(text, "");
    free(text);
}

/* The check value of CRC-32C for "123456789" in the catalogue of parametrised CRC algorithms. */
static void crc32c_check_value(void **state)
{
    (void)state;
    assert_int_equal(crc32c(0, "123456789", 9), 0xe3069283);
    assert_int_equal(crc32c(crc32c(0, "1234", 4), "56789", 5), 0xe3069283);
}

static void doubles_read_back(void **state)
{
    (void)state;
    char text[32];
    format_double(0.1, text);
    assert_string_equal(text, "0.1");
    struct rng rng;
    rng_seed(&rng, 1);
    for (int i = 0; i < 1000; i++) {
        double value = rng_double(&rng) * 1e6;
        format_double(value, text);
        assert_true(strtod(text, NULL) == value);
    }
}

static void bounded_draws_cover_their_range(void **state)
{
    (void)state;
    struct rng rng;
    rng_seed(&rng, 42);
    int seen[7] = {0};
    for (int i = 0; i < 7000; i++)
        seen[rng_below(&rng, 7)]++;
    for (int i = 0; i < 7; i++)
        assert_in_range(seen[i], 800, 1200);
}

static void every_half_survives_a_round_trip(void **state)
{
    (void)state;
    for (uint32_t h = 0; h < 65536; h++) {
        float f = half_to_float((uint16_t)h);
        if (isnan(f))
            assert_true(isnan(half_to_float(float_to_half(f))));
        else
            assert_int_equal(float_to_half(f), h);
        float b = bf16_to_float((uint16_t)h);
        if (!isnan(b))
            assert_int_equal(float_to_bf16(b), h);
    }
}

static void rounding_is_to_nearest_even(void **state)
{
    (void)state;
    assert_int_equal(float_to_half(65519.0f), 0x7bff);
    assert_int_equal(float_to_half(65520.0f), 0x7c00);
    assert_int_equal(float_to_half(0x1p-25f), 0); /* tie with zero */
    assert_int_equal(float_to_half(0x1.000002p-25f), 1);
    assert_int_equal(float_to_half(0x1.004p0f), 0x3c01);
    assert_int_equal(float_to_half(0x1.002p0f), 0x3c00); /* tie: even below */
    assert_int_equal(float_to_half(0x1.006p0f), 0x3c02); /* tie: even above */
    assert_int_equal(float_to_bf16(0x1.01p0f), 0x3f80);
    assert_int_equal(float_to_bf16(0x1.03p0f), 0x3f82);
    assert_true(isnan(bf16_to_float(float_to_bf16(NAN))));
}

static void prefixes_of_installations(void **state)
{
    (void)state;
    char prefix[16];
    assert_true(place_prefix("/opt/x/lib/libattune.so", "lib", prefix, sizeof prefix));
    assert_string_equal(prefix, "/opt/x");
    assert_true(place_prefix("/x/lib/x86_64-linux-gnu/libattune.so.0", "lib/x86_64-linux-gnu", prefix, sizeof prefix));
    assert_string_equal(prefix, "/x");
    assert_false(place_prefix("/opt/x/mylib/libattune.so", "lib", prefix, sizeof prefix));
    assert_false(place_prefix("/opt/x/lib/deeper/libattune.so", "lib", prefix, sizeof prefix));
    assert_false(place_prefix("/lib/libattune.so", "lib", prefix, sizeof prefix));
    assert_false(place_prefix("lib/libattune.so", "lib", prefix, sizeof prefix));
    assert_false(place_prefix("libattune.so", "lib", prefix, sizeof prefix));
    assert_false(place_prefix("/0123456789012345/lib/libattune.so", "lib", prefix, sizeof prefix));
}

/* This test is no part of an installation or a build folder's tools: what was compiled in holds, and never the current
 * folder. */
static void places_without_an_installation(void **state)
{
    (void)state;
    char path[64];
    place_find("/etc/attune", false, path, sizeof path);
    assert_string_equal(path, "/etc/attune");
    place_find("libexec/attune/no-such-program", true, path, sizeof path);
    assert_true(path[0] == '/' && strstr(path, "/libexec/attune/no-such-program"));
    place_find("/0123456789012345678901234567890123456789012345678901234567890123456789", true, path, sizeof path);
    assert_string_equal(path, "");
    assert_false(place_find_built("tune/attune-worker", path, sizeof path));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(error_text_is_kept_and_may_refer_to_itself),
        cmocka_unit_test(compilers_words_are_found),
        cmocka_unit_test(status_names),
        cmocka_unit_test(strbuf_grows),
        cmocka_unit_test(crc32c_check_value),
        cmocka_unit_test(doubles_read_back),
        cmocka_unit_test(bounded_draws_cover_their_range),
        cmocka_unit_test(every_half_survives_a_round_trip),
        cmocka_unit_test(rounding_is_to_nearest_even),
        cmocka_unit_test(prefixes_of_installations),
        cmocka_unit_test(places_without_an_installation),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
