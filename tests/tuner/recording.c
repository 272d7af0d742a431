/* SPDX-License-Identifier: Apache-2.0
 * A whole space measured and recorded, on scripted timings. */
#include "fixture.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define FIXED                                                                                             \
    "WG_SIZE=64,VEC=4,ROW_VECS=1,KEYS_PER_ITEM=4,COLS_PER_ITEM=4,K_IN_LOCAL=1,V_IN_LOCAL=1,O_IN_LOCAL=0," \
    "INTERLEAVE=0,PACK_GQA=0,UNIFORM=1,UNROLL=1"
#define FAMILY "simt_tile:" FIXED ",BLOCK_Q=16/32/64,BLOCK_KV=32/64,GROUPS_PER_UNIT=1/4"
#define SCRIPT(faults)                                                                                          \
    "{\"devices\": [{\"name\": \"Fake GPU\", \"time\": {\"default_ns\": 20000000, \"by_option\": [{\"match\": " \
    "\"BLOCK_Q=32\", \"factor\": 0.25}, {\"match\": \"BLOCK_KV=64\", \"factor\": 1.25}]}}], \"faults\": [" faults "]}"

static attune_tune_options recording(const struct fixture *f, char *path, const char *name)
{
    attune_tune_options options = budget(0);
    snprintf(path, 320, "%s/%s", f->root, name);
    options.policy = ATTUNE_EXHAUSTIVE;
    options.family = FAMILY;
    options.record = path;
    return options;
}

static int32_t index_of(const attune_space_info *info, const char *name)
{
    for (size_t p = 0; p < info->num_params; p++)
        if (!strcmp(info->params[p].name, name))
            return (int32_t)p;
    fail_msg("no parameter %s", name);
    return -1;
}

static void the_whole_space_is_recorded(void **state)
{
    (void)state;
    struct fixture f;
    char path[320];
    fixture_init(&f);
    set_script(SCRIPT("{\"match\": \"BLOCK_Q=16 BLOCK_KV=64\", \"what\": \"build_failure\"}, {\"match\": \"BLOCK_Q=64 "
                      "BLOCK_KV=64\", \"what\": \"wrong\", \"amount\": 1}"));
    open_target(&f, "gpu");
    attune_tune_options options = recording(&f, path, "space.json.gz");
    attune_tune_result result;
    attune_tune_summary summary;
    tune(&f, &options, &result, &summary);
    assert_true(summary.end == ATTUNE_TUNE_DONE || summary.end == ATTUNE_TUNE_NO_IMPROVEMENT);

    attune_space *space;
    check_ok(attune_space_open(path, &space));
    attune_space_info info;
    attune_space_describe(space, &info);
    assert_string_equal(info.device, "Fake GPU");
    assert_string_equal(info.kernel, attune_problem_text(f.problem));
    assert_null(info.simulated);
    assert_int_equal(info.partial, 0);
    assert_int_equal(info.num_configs, summary.tests);
    assert_int_equal(info.num_configs, 10); /* of 12: BLOCK_Q=16 does not go with BLOCK_KV=32 */
    assert_string_equal(info.params[0].name, "FAMILY");
    assert_string_equal(attune_space_value_text(space, 0, 0), "simt_tile");
    int32_t block_q = index_of(&info, "simt_tile_BLOCK_Q"), block_kv = index_of(&info, "simt_tile_BLOCK_KV");
    assert_int_equal(info.params[block_q].num_values, 3);
    assert_string_equal(info.params[block_q].parent, "FAMILY");
    for (size_t i = 0; i < info.num_configs; i++) {
        attune_space_config config;
        check_ok(attune_space_at(space, i, &config));
        int32_t q = config.values[block_q], kv = config.values[block_kv];
        attune_outcome expected = q == 16 && kv == 64   ? ATTUNE_OUTCOME_BUILD_FAILED
                                  : q == 64 && kv == 64 ? ATTUNE_OUTCOME_FAILED
                                                        : ATTUNE_OUTCOME_OK;
        double time = 20 * (q == 32 ? 0.25 : 1) * (kv == 64 ? 1.25 : 1);
        assert_int_equal(config.outcome, expected);
        if (expected)
            continue;
        if (fabs(config.time_ms - time) > 0.05 * time)
            fail_msg("BLOCK_Q=%d, BLOCK_KV=%d: %g ms of %g", (int)q, (int)kv, config.time_ms, time);
        /* Slow ones have fewer samples, but are measured all the same. */
        assert_true(config.num_samples == 7 || (q != 32 && config.num_samples == 3));
        double sum = 0;
        for (size_t s = 0; s < config.num_samples; s++)
            sum += config.samples_ms[s];
        assert_true(fabs(config.time_ms - sum / (double)config.num_samples) < 1e-12 * time);
    }
    attune_space_close(&space);
    unlink(path);
    fixture_end(&f);
}

static void a_budget_leaves_a_part(void **state)
{
    (void)state;
    struct fixture f;
    char path[320];
    fixture_init(&f);
    set_script(SCRIPT(""));
    open_target(&f, "gpu");
    attune_tune_options options = recording(&f, path, "part.json");
    options.budget_tests = 5;
    attune_tune_result result;
    attune_tune_summary summary;
    tune(&f, &options, &result, &summary);
    assert_int_equal(summary.end, ATTUNE_TUNE_BUDGET);
    attune_space *space;
    check_ok(attune_space_open(path, &space));
    attune_space_info info;
    attune_space_describe(space, &info);
    assert_int_equal(info.partial, 1);
    assert_int_equal(info.num_configs, 5);
    attune_space_close(&space);
    fixture_end(&f);
}

static void wrong_options_are_refused(void **state)
{
    (void)state;
    struct fixture f;
    char path[320];
    fixture_init(&f);
    set_script(SCRIPT(""));
    open_target(&f, "gpu");
    attune_tune_result results[2];
    const attune_problem *problems[] = {f.problem, f.problem};
    attune_tune_options options = recording(&f, path, "none.json");
    assert_int_equal(attune_tune(f.target, problems, 2, &options, results, NULL), ATTUNE_ERROR_MISMATCH);
    options.policy = ATTUNE_MEASURE;
    assert_int_equal(attune_tune(f.target, problems, 1, &options, results, NULL), ATTUNE_ERROR_MISMATCH);
    options.policy = ATTUNE_EXHAUSTIVE;
    static const char *const families[] = {"",
                                           "simt",
                                           "simt_tile:",
                                           "simt_tile:BLOCK_Q",
                                           "simt_tile:BLOCK_Q=",
                                           "simt_tile,",
                                           "simt_tile:NO=1",
                                           "simt_tile:BLOCK_Q=17",
                                           "simt_tile:BLOCK_Q=16/16",
                                           "simt_tile:BLOCK_Q=16/",
                                           "simt_tile:BLOCK_Q=16,BLOCK_Q=32",
                                           "simt_tile:BLOCK_Q=16;",
                                           "simt_tile:BLOCK_Q=16,"};
    for (size_t i = 0; i < sizeof families / sizeof *families; i++) {
        options.family = families[i];
        if (attune_tune(f.target, problems, 1, &options, results, NULL) != ATTUNE_ERROR_SYNTAX)
            fail_msg("\"%s\" is taken", families[i]);
    }
    options.family = "decode_simt"; /* for another operation */
    assert_int_equal(attune_tune(f.target, problems, 1, &options, results, NULL), ATTUNE_ERROR_UNSUPPORTED);
    assert_int_equal(access(path, F_OK), -1);
    options.family = FAMILY;
    snprintf(path, sizeof path, "%s/no/such/folder.json", f.root);
    assert_int_equal(attune_tune(f.target, problems, 1, &options, results, NULL), ATTUNE_ERROR_IO);
    assert_true(results[0].time_ms > 0); /* the winner is kept all the same */
    fixture_end(&f);
}

int main(void)
{
    use_virtual_clock();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_whole_space_is_recorded),
        cmocka_unit_test(a_budget_leaves_a_part),
        cmocka_unit_test(wrong_options_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
