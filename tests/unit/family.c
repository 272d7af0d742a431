/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <attune/tune.h>

#include <string.h>

#include "base/base.h"
#include "family/family.h"

static const struct kernel_facts facts_128 = {128,         128,         4,           1,           1, 1, 0,
                                              ATTUNE_FP32, ATTUNE_FP32, ATTUNE_FP32, ATTUNE_STRICT, 1, 0, 0};

static bool has_value(const struct family_param *param, int32_t value)
{
    for (int32_t i = 0; i < param->num_values; i++)
        if (param->values[i] == value)
            return true;
    return false;
}

static void parameters_are_well_formed(void **state)
{
    (void)state;
    for (int f = 0; f < family_count(); f++) {
        const struct family *family = family_at(f);
        assert_int_equal(family_find(family->name), f);
        assert_in_range(family->num_params, 0, FAMILY_MAX_PARAMS);
        assert_int_equal(strlen(family->source_hash), 32);
        assert_int_equal(strlen(family->space_hash), 32);
        assert_non_null(strstr(family->source, "void attention(ATTENTION_PARAMETERS)"));
        assert_non_null(strstr(family->source, "struct attention_args"));
        assert_null(strstr(family->source, "#include \""));
        for (int32_t p = 0; p < family->num_params; p++) {
            const struct family_param *param = &family->params[p];
            assert_in_range(param->num_values, 1, FAMILY_MAX_VALUES);
            assert_true(has_value(param, param->default_value));
            for (int32_t v = 1; v < param->num_values; v++)
                assert_true(param->values[v - 1] < param->values[v]);
        }
    }
    assert_null(family_at(family_count()));
    assert_null(family_at(-1));
    assert_int_equal(family_find("no_such_family"), -1);
}

static void defaults_survive_a_round_trip(void **state)
{
    (void)state;
    for (int f = 0; f < family_count(); f++) {
        struct kernel_config config, parsed;
        char text[ATTUNE_CONFIG_TEXT_MAX];
        family_default_config(f, &config);
        kernel_config_format(&config, text, sizeof text);
        assert_int_equal(kernel_config_parse(text, &parsed), ATTUNE_OK);
        assert_true(kernel_config_equal(&config, &parsed));
        assert_int_equal(kernel_config_parse(family_at(f)->name, &parsed), ATTUNE_OK);
        assert_true(kernel_config_equal(&config, &parsed));
    }
}

static void parameters_may_be_left_out_and_come_in_any_order(void **state)
{
    (void)state;
    struct kernel_config config;
    char text[ATTUNE_CONFIG_TEXT_MAX];
    assert_int_equal(kernel_config_parse("plain_row:DIM_BLOCK=64,WG_SIZE=32", &config), ATTUNE_OK);
    kernel_config_format(&config, text, sizeof text);
    assert_string_equal(text, "plain_row:WG_SIZE=32,DIM_BLOCK=64");
    assert_int_equal(kernel_config_parse("plain_row:DIM_BLOCK=32", &config), ATTUNE_OK);
    kernel_config_format(&config, text, sizeof text);
    assert_string_equal(text, "plain_row:WG_SIZE=64,DIM_BLOCK=32");
}

static void malformed_configurations_are_refused_by_name(void **state)
{
    (void)state;
    static const struct {
        const char *text, *error;
    } cases[] = {
        {"", "there is no kernel family ''"},
        {"plain", "there is no kernel family 'plain'"},
        {"plain_rows", "there is no kernel family 'plain_rows'"},
        {"plain_row:", "family plain_row has no parameter ''"},
        {"plain_row:WG=64", "family plain_row has no parameter 'WG'"},
        {"plain_row:WG_SIZE=64,", "family plain_row has no parameter ''"},
        {"plain_row:WG_SIZE", "WG_SIZE is '': permitted are 32, 64, 128, 256"},
        {"plain_row:WG_SIZE=", "WG_SIZE is '': permitted are 32, 64, 128, 256"},
        {"plain_row:WG_SIZE=65", "WG_SIZE is '65': permitted are 32, 64, 128, 256"},
        {"plain_row:WG_SIZE=064", "WG_SIZE is '064': permitted are 32, 64, 128, 256"},
        {"plain_row:WG_SIZE=64 -DEVIL", "WG_SIZE is '64 -DEVIL': permitted are 32, 64, 128, 256"},
        {"plain_row:WG_SIZE=64,WG_SIZE=64", "WG_SIZE is given twice"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct kernel_config config = {-7, {0}};
        assert_int_equal(kernel_config_parse(cases[i].text, &config), ATTUNE_ERROR_SYNTAX);
        assert_string_equal(attune_last_error(), cases[i].error);
        assert_int_equal(config.family, -7);
    }
}

static void options_name_every_fact_and_parameter(void **state)
{
    (void)state;
    struct kernel_config config;
    char text[1024];
    assert_int_equal(kernel_config_parse("plain_row:WG_SIZE=32", &config), ATTUNE_OK);
    assert_true(kernel_options_format(&facts_128, &config, text, sizeof text));
    assert_string_equal(
        text, "-cl-mad-enable -cl-no-signed-zeros -DHEAD_DIM_QK=128 -DHEAD_DIM_VO=128 -DGROUP_SIZE=4 -DCAUSAL=1"
              " -DHAS_CACHE=1 -DHAS_NEW=1 -DPAGED=0 -DQ_TYPE=1 -DKV_TYPE=1 -DO_TYPE=1 -DPRECISION=1 -DSUB_GROUP_SIZE=1 -DHALF_LOAD=0"
              " -DWG_SIZE=32 -DDIM_BLOCK=128");
    size_t length = strlen(text);
    assert_true(kernel_options_format(&facts_128, &config, text, length + 1));
    assert_false(kernel_options_format(&facts_128, &config, text, length));
}

/* The fall-back fits the tightest limits, 1 KiB private, whatever the head dims. */
static void plain_row_takes_every_head_dim(void **state)
{
    (void)state;
    struct kernel_config config;
    family_default_config(family_find("plain_row"), &config);
    const struct family *family = family_at(config.family);
    for (int32_t dim = 1; dim <= 576; dim++) {
        struct kernel_facts facts = facts_128;
        struct kernel_resources resources;
        const char *why = NULL;
        facts.head_dim_qk = facts.head_dim_vo = dim;
        facts.q_type = facts.kv_type = facts.o_type = 1 + dim % 3;
        assert_true(family->valid(&facts, config.values, &why));
        family->resources(&facts, config.values, &resources);
        assert_true(resources.private_bytes <= 1024);
        assert_int_equal(resources.local_bytes, 0);
        assert_int_equal(resources.wg_size, 64);
        assert_int_equal(resources.tile_tokens, 64);
        assert_int_equal(resources.tile_heads, 1);
        assert_int_equal(resources.private_bytes, 4 * (dim < 128 ? dim : 128));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(parameters_are_well_formed),
        cmocka_unit_test(defaults_survive_a_round_trip),
        cmocka_unit_test(parameters_may_be_left_out_and_come_in_any_order),
        cmocka_unit_test(malformed_configurations_are_refused_by_name),
        cmocka_unit_test(options_name_every_fact_and_parameter),
        cmocka_unit_test(plain_row_takes_every_head_dim),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
