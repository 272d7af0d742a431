/* SPDX-License-Identifier: Apache-2.0
 * The probe on scripted devices whose truth is known: figures, instructions that fail in every way, what it leaves
 * behind, and what the roofline makes of it. */
#include "fixture.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "context.h"
#include "tuner/target.h"

#define GIGA "000000000"

/* A device without a fault, but for those given. */
#define SCRIPT(faults) SCRIPT_WITH_DOTS("700", faults)
#define SCRIPT_WITH_DOTS(dots, faults)                                                                                 \
    "{\"devices\": [{\"name\": \"Fake GPU\", \"compute_units\": 4, \"max_alloc\": 33554432, \"instructions\": [1, 2, " \
    "3, 4, 5, 6, 7],"                                                                                                  \
    " \"time\": {\"default_ns\": 20000, \"rates\": ["                                                                  \
    " {\"match\": \"probe_fma VEC=1\", \"per_second\": 100" GIGA                                                       \
    "}, {\"match\": \"probe_fma VEC=2\", \"per_second\": 200" GIGA "},"                                                \
    " {\"match\": \"probe_fma VEC=4\", \"per_second\": 350" GIGA                                                       \
    "}, {\"match\": \"probe_fma VEC=8\", \"per_second\": 300" GIGA "},"                                                \
    " {\"match\": \"probe_fma VEC=16\", \"per_second\": 150" GIGA "},"                                                 \
    " {\"match\": \"probe_read\", \"up_to_bytes\": 65536, \"per_second\": 900" GIGA "},"                               \
    " {\"match\": \"probe_read\", \"up_to_bytes\": 4194304, \"per_second\": 500" GIGA "},"                             \
    " {\"match\": \"probe_read\", \"per_second\": 120" GIGA "}, {\"match\": \"probe_local\", \"per_second\": 800" GIGA \
    "},"                                                                                                               \
    " {\"match\": \"probe_barrier\", \"per_second\": 50000000},"                                                       \
    " {\"match\": \"probe_loop_uniform\", \"per_second\": 10" GIGA "},"                                                \
    " {\"match\": \"probe_loop_opaque\", \"per_second\": 70" GIGA "},"                                                 \
    " {\"match\": \"probe_private PRIVATE_BYTES=2048\", \"per_second\": 60" GIGA "},"                                  \
    " {\"match\": \"probe_private\", \"per_second\": 100" GIGA "},"                                                    \
    " {\"match\": \"probe_instruction_rate INSTRUCTION=1\", \"per_second\": 10" GIGA "},"                              \
    " {\"match\": \"probe_instruction_rate INSTRUCTION=2\", \"per_second\": 30" GIGA "},"                              \
    " {\"match\": \"probe_instruction_rate INSTRUCTION=3\", \"per_second\": 40" GIGA "},"                              \
    " {\"match\": \"probe_instruction_rate INSTRUCTION=4\", \"per_second\": " dots GIGA "},"                           \
    " {\"match\": \"probe_instruction_rate INSTRUCTION=5\", \"per_second\": 600" GIGA "},"                             \
    " {\"match\": \"probe_instruction_rate INSTRUCTION=6\", \"per_second\": 5" GIGA "},"                               \
    " {\"match\": \"probe_instruction_rate INSTRUCTION=7\", \"per_second\": 1400" GIGA "}]}}],"                        \
    " \"faults\": [" faults "]}"

/* The clock counts nanoseconds, and a trial lasts about ten million of them. */
#define check_figure(got, truth) assert_true(fabs((got) / (truth)-1) < 1e-6)

static const attune_probe_reading *reading(const attune_probe_result *probe, const char *name)
{
    for (int32_t i = 0; i < probe->num_readings; i++)
        if (!strcmp(probe->readings[i].name, name))
            return &probe->readings[i];
    fail_msg("there is no reading %s", name);
    return NULL;
}

static void check_reading(const attune_probe_result *probe, const char *name, double truth, const char *unit)
{
    const attune_probe_reading *r = reading(probe, name);
    if (!(fabs(r->value / truth - 1) < 1e-6) || strcmp(r->unit, unit) != 0)
        fail_msg("%s is %.12g %s (%s), not %.12g %s", name, r->value, r->unit, r->note, truth, unit);
}

static void check_missing(const attune_probe_result *probe, const char *name, const char *reason)
{
    const attune_probe_reading *r = reading(probe, name);
    if (r->value != 0 || !strstr(r->note, reason))
        fail_msg("%s is %g (%s), not missing with \"%s\"", name, r->value, r->note, reason);
}

static void figures_are_the_truth(void **state)
{
    (void)state;
    struct fixture f;
    attune_probe_result probe;
    fixture_init(&f);
    set_script(SCRIPT(""));
    open_target(&f, "gpu");
    check_ok(attune_probe(f.target, &probe));
    assert_string_equal(probe.failures, "");
    static const double fma[] = {100, 200, 350, 300, 150};
    for (int i = 0; i < 5; i++) {
        char name[32];
        snprintf(name, sizeof name, "fma.fp32x%d", 1 << i);
        check_figure(probe.fma_gflops[i], fma[i]);
        check_reading(&probe, name, fma[i], "GFLOP/s");
    }
    check_figure(probe.fma_peak_gflops, 350);
    check_reading(&probe, "half.integer", 10, "G/s");
    check_reading(&probe, "half.vload", 30, "G/s");
    check_reading(&probe, "half.f16c", 40, "G/s");
    assert_string_equal(probe.half_load, "f16c");
    check_figure(probe.bf16_dot_gflops, 700);
    check_figure(probe.fp16_gflops, 600);
    check_figure(probe.int8_dot_gops, 1400);
    check_reading(&probe, "sub_group.reduce", 5, "G/s");
    assert_int_equal(probe.features, 127);
    for (int64_t kib = 32; kib <= 16 << 10; kib *= 2) {
        char name[32];
        snprintf(name, sizeof name, kib < 1024 ? "read.%dKiB" : "read.%dMiB", (int)(kib < 1024 ? kib : kib >> 10));
        check_reading(&probe, name, kib <= 64 ? 900 : kib <= 4096 ? 500 : 120, "GB/s");
    }
    check_figure(probe.read_gbps, 120);
    check_figure(probe.local_gbps, 800);
    check_figure(probe.barrier_ns, 20);
    check_figure(probe.opaque_loop_gain, 7);
    check_figure(probe.launch_us, 20);
    check_figure(probe.enqueue_us, 20); /* this driver runs a launch while it is enqueued */
    assert_int_equal(probe.max_work_group_size, 1024);
    assert_int_equal(probe.private_fast_bytes, 1024);
    fixture_end(&f);
}

static void broken_instructions_are_not_available(void **state)
{
    (void)state;
    struct fixture f;
    attune_probe_result probe;
    fixture_init(&f);
    set_script(SCRIPT("{\"match\": \"probe_instruction INSTRUCTION=2\", \"what\": \"nan\"},"
                      "{\"match\": \"probe_instruction INSTRUCTION=3\", \"what\": \"wrong\"},"
                      "{\"match\": \"probe_instruction INSTRUCTION=4\", \"what\": \"illegal_instruction\"},"
                      "{\"match\": \"INSTRUCTION=5\", \"what\": \"build_failure\", \"log\": \"error: planted\"},"
                      "{\"match\": \"probe_instruction INSTRUCTION=6\", \"what\": \"hang\"},"
                      "{\"match\": \"probe_group WG_SIZE=1024\", \"what\": \"no_op\"},"
                      "{\"match\": \"probe_group WG_SIZE=512\", \"what\": \"crash\"},"
                      "{\"match\": \"probe_barrier\", \"what\": \"error\"}"));
    open_target(&f, "gpu");
    be_impatient(&f);
    check_ok(attune_probe(f.target, &probe));
    check_missing(&probe, "half.vload", "wrong result");
    check_missing(&probe, "half.f16c", "wrong result");
    check_missing(&probe, "dot.bf16", "signal 4");
    check_missing(&probe, "fma.fp16", "error: planted");
    check_missing(&probe, "sub_group.reduce", "no answer");
    check_figure(probe.int8_dot_gops, 1400);
    assert_int_equal(probe.features, ATTUNE_FEATURE_DOT8 | ATTUNE_FEATURE_OPAQUE_LOOPS);
    assert_string_equal(probe.half_load, "integer");
    assert_int_equal(probe.max_work_group_size, 256);
    assert_non_null(strstr(reading(&probe, "work_group.largest")->note, "512: worker killed by signal 11"));
    assert_true(probe.barrier_ns == 0);
    assert_non_null(strstr(probe.failures, "barrier: "));
    check_figure(probe.local_gbps, 800); /* what comes before and after is not touched */
    check_figure(probe.opaque_loop_gain, 7);
    assert_int_equal(probe.device.max_work_group_size, 256);
    fixture_end(&f);
}

static attune_context *open_context(const char *cache)
{
    attune_context_options options = ATTUNE_CONTEXT_OPTIONS_INIT;
    attune_context *context;
    options.backend = "gpu";
    options.cache_dir = cache;
    check_ok(attune_context_create(&context, &options));
    return context;
}

/* Of the target, its worker, a later target and a context; and of none of them without a file. */
static void facts_are_kept_for_the_device(void **state)
{
    (void)state;
    struct fixture f;
    attune_probe_result probe;
    fixture_init(&f);
    set_script(SCRIPT("{\"match\": \"probe_group WG_SIZE=1024\", \"what\": \"no_op\"}"));
    open_target(&f, "gpu");
    assert_int_equal(f.target->choice.limits.features, 0);
    check_ok(attune_probe(f.target, &probe));
    assert_int_equal(f.target->choice.limits.features, 127);
    close_target(&f);
    open_target(&f, "gpu");
    const struct device_limits *limits = &f.target->choice.limits;
    assert_true(f.target->probed);
    assert_int_equal(limits->features, 127);
    assert_int_equal(limits->half_load, HALF_LOAD_F16C);
    assert_int_equal(limits->max_work_group_size, 512);
    assert_true(f.target->best.dot_gflops > 699);
    attune_context *context = open_context(f.cache);
    assert_int_equal(context->choice.limits.features, 127);
    assert_int_equal(context->choice.limits.half_load, HALF_LOAD_F16C);
    assert_int_equal(context->choice.limits.max_work_group_size, 512);
    attune_context_destroy(&context);
    context = open_context("");
    assert_int_equal(context->choice.limits.features, 0);
    assert_int_equal(context->choice.limits.max_work_group_size, 1024);
    attune_context_destroy(&context);
    /* Another driver version: another file. */
    close_target(&f);
    set_script("{\"devices\": [{\"name\": \"Fake GPU\", \"compute_units\": 4, \"driver_version\": \"2.0\"}]}");
    open_target(&f, "gpu");
    assert_false(f.target->probed);
    fixture_end(&f);
}

/* The probe's and the roofline's view of a problem at a footprint whose reads take 900 GB/s. */
static void check_roofline(struct fixture *f, const char *text, bool dot)
{
    static const char *const name = "plain_row";
    attune_problem *problem;
    attune_measurement out;
    check_ok(attune_problem_parse(text, &problem));
    check_ok(attune_measure(f->target, problem, &name, 1, NULL, &out, NULL, NULL, NULL));
    assert_string_equal(out.peak_reading, dot ? "dot.bf16" : "fma.fp32");
    check_figure(out.peak_gflops, dot ? 700 : 350);
    check_figure(out.fma_gflops, 350);
    check_figure(out.read_gbps, 900);
    double compute = attune_problem_flops(problem) / out.peak_gflops, memory = attune_problem_bytes(problem) / 900;
    check_figure(out.roofline_ms, (compute > memory ? compute : memory) * 1e-6);
    check_figure(out.roofline_share, out.roofline_ms / out.time_ms);
    attune_problem_destroy(&problem);
}

/* fp32 multiply-adds unless the contract rounds to bf16, the instruction was shown, and it is faster. */
static void roofline_follows_the_contract(void **state)
{
    (void)state;
    static const char *const problems[] = {"extend:hq=2,hkv=1,d=64,q=bf16,kv=bf16,prec=strict,prefix=8,new=4",
                                           "extend:hq=2,hkv=1,d=64,q=bf16,kv=bf16,prec=fast,prefix=8,new=4",
                                           "extend:hq=2,hkv=1,d=64,q=fp16,kv=fp16,prec=fast,prefix=8,new=4"};
    struct fixture f;
    attune_probe_result probe;
    fixture_init(&f);
    set_script(SCRIPT(""));
    open_target(&f, "gpu");
    for (int pass = 0; pass < 2; pass++) {
        for (int i = 0; i < 3; i++)
            check_roofline(&f, problems[i], pass == 1 && i == 1);
        check_ok(attune_probe(f.target, &probe));
        assert_true(probe.features & ATTUNE_FEATURE_BF16_DOT_FAST);
    }
    close_target(&f);
    set_script(SCRIPT_WITH_DOTS("100", ""));
    open_target(&f, "gpu");
    check_ok(attune_probe(f.target, &probe));
    assert_int_equal(probe.features & (ATTUNE_FEATURE_BF16_DOT | ATTUNE_FEATURE_BF16_DOT_FAST),
                     ATTUNE_FEATURE_BF16_DOT);
    check_roofline(&f, problems[1], false);
    fixture_end(&f);
}

/* A value of a parameter whose kernels answer right, but in less time than their multiply-adds take. */
static void impossible_times_are_quarantined(void **state)
{
    (void)state;
    struct fixture f;
    fixture_init(&f);
    attune_problem_destroy(&f.problem);
    check_ok(attune_problem_parse("extend:hq=8,hkv=1,d=64,prefix=128,new=64", &f.problem));
    assert_true(attune_problem_flops(f.problem) > 20e6); /* more than 20 ms at the rate below */
    set_script("{\"devices\": [{\"name\": \"Fake GPU\", \"compute_units\": 1, \"max_alloc\": 33554432, \"time\": "
               "{\"default_ns\": 30000000,"
               " \"rates\": [{\"match\": \"probe_fma\", \"per_second\": 1" GIGA "}, {\"match\": \"probe_read\","
               " \"per_second\": 100" GIGA "}], \"by_option\": [{\"match\": \"BLOCK_Q=32\", \"factor\": 0.5},"
               " {\"match\": \"BLOCK_Q=16\", \"factor\": 0.9}]}}]}");
    open_target(&f, "gpu");
    attune_tune_options options = budget(24);
    attune_tune_result result;
    attune_tune_summary summary;
    tune(&f, &options, &result, &summary);
    int32_t impossible = summary.outcomes[ATTUNE_OUTCOME_IMPOSSIBLE];
    assert_true(impossible > 0);
    assert_int_equal(count_records(summary.journal, "fault", "label", "impossible"), impossible);
    assert_int_equal(count_reasons(summary.journal, "faster than the device can be"), impossible);
    assert_null(strstr(result.config, "BLOCK_Q=32,"));
    assert_non_null(strstr(result.config, "BLOCK_Q=16,"));
    const char *const configs[] = {result.config, "vector_tile:BLOCK_Q=32"};
    attune_measurement out[2];
    check_ok(attune_measure(f.target, f.problem, configs, 2, NULL, out, NULL, NULL, NULL));
    assert_int_equal(out[0].outcome, ATTUNE_OUTCOME_OK);
    assert_int_equal(out[1].outcome, ATTUNE_OUTCOME_IMPOSSIBLE);
    fixture_end(&f);
}

int main(void)
{
    use_virtual_clock();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(figures_are_the_truth),
        cmocka_unit_test(broken_instructions_are_not_available),
        cmocka_unit_test(facts_are_kept_for_the_device),
        cmocka_unit_test(roofline_follows_the_contract),
        cmocka_unit_test(impossible_times_are_quarantined),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
