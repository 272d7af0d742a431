/* SPDX-License-Identifier: Apache-2.0
 * What a candidate kernel may do to its worker: each fault gets its label, and the run goes on to a winner without it.
 */
#include "fixture.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Half of the space is faulty; the rest is healthy. The build's options carry the parameters. */
#define SCRIPT(fault) \
    "{\"devices\": [{\"name\": \"Fake GPU\", \"time\": {\"default_ns\": 20000000}}], \"faults\": [" fault "]}"

struct fault_case {
    const char *name, *script;
    attune_outcome outcome;
    const char *reason; /* a part of it */
    int32_t tests;
};

static const struct fault_case fault_cases[] = {
    {"crash", SCRIPT("{\"match\": \"BLOCK_Q=32\", \"what\": \"crash\"}"), ATTUNE_OUTCOME_CRASHED, "signal 11", 8},
    {"illegal instruction", SCRIPT("{\"match\": \"BLOCK_Q=32\", \"what\": \"illegal_instruction\"}"),
     ATTUNE_OUTCOME_CRASHED, "signal 4", 8},
    {"abort of the compiler", SCRIPT("{\"match\": \"BLOCK_Q=32\", \"what\": \"abort\", \"at\": \"build\"}"),
     ATTUNE_OUTCOME_BUILD_FAILED, "signal 6", 8},
    {"build failure",
     SCRIPT("{\"match\": \"BLOCK_Q=32\", \"what\": \"build_failure\", \"log\": \"warning: x\\nline 3: Error: "
            "planted\\nnote: y\\nerror: too\\nerror: third\"}"),
     ATTUNE_OUTCOME_BUILD_FAILED, "does not compile: line 3: Error: planted | error: too: CL_", 8},
    {"build failure without the word",
     SCRIPT("{\"match\": \"BLOCK_Q=32\", \"what\": \"build_failure\", \"log\": "
            "\"\\n  undeclared planted\\nmore\"}"),
     ATTUNE_OUTCOME_BUILD_FAILED, "does not compile: undeclared planted: CL_", 8},
    {"wrong by a little", SCRIPT("{\"match\": \"BLOCK_Q=32\", \"what\": \"wrong\", \"amount\": 0.001}"),
     ATTUNE_OUTCOME_WRONG, "error", 8},
    {"NaN", SCRIPT("{\"match\": \"BLOCK_Q=32\", \"what\": \"nan\"}"), ATTUNE_OUTCOME_WRONG, "error inf", 8},
    {"no operation", SCRIPT("{\"match\": \"BLOCK_Q=32\", \"what\": \"no_op\"}"), ATTUNE_OUTCOME_WRONG, "error", 8},
    {"overrun", SCRIPT("{\"match\": \"BLOCK_Q=32\", \"what\": \"overrun\"}"), ATTUNE_OUTCOME_WRONG,
     "outside its output", 8},
    {"inputs overwritten", SCRIPT("{\"match\": \"BLOCK_Q=32\", \"what\": \"write_input\"}"), ATTUNE_OUTCOME_WRONG,
     "inputs", 8},
    {"out of device memory", SCRIPT("{\"match\": \"BLOCK_Q=32\", \"what\": \"out_of_memory\"}"),
     ATTUNE_OUTCOME_OUT_OF_MEMORY, "CL_MEM_OBJECT_ALLOCATION_FAILURE", 8},
    {"device lost", SCRIPT("{\"match\": \"BLOCK_Q=32\", \"what\": \"device_lost\"}"), ATTUNE_OUTCOME_DEVICE_LOST,
     "CL_DEVICE_NOT_AVAILABLE", 8},
    {"another error", SCRIPT("{\"match\": \"BLOCK_Q=32\", \"what\": \"error\", \"error\": -59, \"async\": true}"),
     ATTUNE_OUTCOME_FAILED, "CL_", 8},
    {"hang", SCRIPT("{\"match\": \"BLOCK_Q=32\", \"what\": \"hang\"}"), ATTUNE_OUTCOME_TIMEOUT, "no answer", 4},
    {"honest in the check only", SCRIPT("{\"match\": \"BLOCK_Q=32\", \"what\": \"wrong\", \"nth\": 10, \"amount\": 1}"),
     ATTUNE_OUTCOME_WRONG, "error", 8},
};

struct watch {
    attune_outcome wanted;
    int seen, missed; /* faulty ones with the right label, and taken for good */
    char faulty[ATTUNE_CONFIG_TEXT_MAX];
    const char *reason;
    int with_reason;
};

static int watch_outcome(void *priv, const attune_tune_progress *progress)
{
    struct watch *watch = priv;
    if (!strcmp(progress->phase, "search") && progress->outcome == ATTUNE_OUTCOME_OK)
        watch->missed += strstr(progress->config, "BLOCK_Q=32,") != NULL;
    if (strcmp(progress->phase, "search") || progress->outcome != watch->wanted)
        return 0;
    watch->seen++;
    watch->with_reason += progress->reason && strstr(progress->reason, watch->reason) != NULL;
    strcpy(watch->faulty, progress->config);
    return 0;
}

static void run_case(void **state)
{
    const struct fault_case *c = *state;
    struct fixture f;
    fixture_init(&f);
    set_script(c->script);
    open_target(&f, "gpu");
    if (c->outcome == ATTUNE_OUTCOME_TIMEOUT)
        be_impatient(&f);
    struct watch watch = {c->outcome, 0, 0, "", c->reason, 0};
    attune_tune_options options = budget(c->tests);
    options.progress = watch_outcome;
    options.progress_priv = &watch;
    attune_tune_result result;
    attune_tune_summary summary;
    tune(&f, &options, &result, &summary);
    assert_int_equal(summary.tests, c->tests);
    assert_true(watch.seen > 0);
    assert_int_equal(watch.missed, 0);
    assert_int_equal(watch.with_reason, watch.seen);
    assert_int_equal(summary.outcomes[c->outcome], watch.seen);
    assert_non_null(strstr(watch.faulty, "BLOCK_Q=32,"));
    const char *label = attune_outcome_name(c->outcome);
    assert_int_equal(count_records(summary.journal, "fault", "label", label), watch.seen);
    assert_int_equal(count_reasons(summary.journal, c->reason), watch.seen);
    assert_int_equal(count_records(summary.journal, "verdict", NULL, NULL), c->tests);
    int may_not_be_its_own = c->outcome == ATTUNE_OUTCOME_TIMEOUT || c->outcome == ATTUNE_OUTCOME_OUT_OF_MEMORY ||
                             c->outcome == ATTUNE_OUTCOME_DEVICE_LOST;
    if (may_not_be_its_own) { /* the default is faulty, too: there is nothing to compare with */
        assert_non_null(strstr(result.reason, "untuned default could not be compared with"));
        assert_true(!result.entry_path[0] && !result.promoted);
    } else if (summary.outcomes[ATTUNE_OUTCOME_OK]) { /* compared with the next default */
        if (c->outcome != ATTUNE_OUTCOME_BUILD_FAILED) /* that is known since the search */
            assert_non_null(strstr(result.reason, ", the next default: simt_tile is"));
        assert_true(result.gain > 0);
        assert_null(strstr(result.config, "BLOCK_Q=32,"));
        assert_true(result.time_ms > 0);
        assert_true(result.entry_path[0]);
    }
    fixture_end(&f);
}

/* The whole family of the untuned default: what is compared and published stands on the next one that compiles. */
static void the_default_does_not_compile(void **state)
{
    (void)state;
    struct fixture f;
    fixture_init(&f);
    set_script(SCRIPT(
        "{\"source\": \"simt_tile.cl\", \"what\": \"build_failure\", \"at\": \"build\", \"log\": \"error: planted\"}"));
    open_target(&f, "gpu");
    attune_tune_options options = budget(12);
    attune_tune_result result;
    attune_tune_summary summary;
    tune(&f, &options, &result, &summary);
    assert_null(strstr(result.config, "simt_tile"));
    assert_true(result.time_ms > 0 && result.default_ms > 0 && result.gain > 0);
    char *text;
    check_ok(attune_cache_explain(f.target, f.problem, &text));
    assert_int_equal(strncmp(text, "tuned", 5), 0);
    free(text);
    attune_measurement measured;
    const char *untuned = "default";
    check_ok(attune_measure(f.target, f.problem, &untuned, 1, NULL, &measured, NULL, NULL, NULL));
    assert_null(strstr(measured.config, "simt_tile"));
    fixture_end(&f);
}

int main(void)
{
    use_virtual_clock();
    enum { COUNT = sizeof fault_cases / sizeof fault_cases[0] };
    struct CMUnitTest tests[COUNT + 1];
    tests[COUNT] = (struct CMUnitTest)cmocka_unit_test(the_default_does_not_compile);
    for (int i = 0; i < COUNT; i++)
        tests[i] = (struct CMUnitTest){fault_cases[i].name, run_case, NULL, NULL, (void *)&fault_cases[i]};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
