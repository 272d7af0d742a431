/* SPDX-License-Identifier: Apache-2.0
 * Which backend drives which device and how it is named, on the scripted driver: pocl, then a chip, then another GPU,
 * then several of one name (tests/kernel/matching.json). */
#define _GNU_SOURCE /* pthread_setattr_default_np */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "context.h"
#include "plan.h"

#define CHIP "0:1"
#define OTHER_GPU "0:2"
#define POCL "0:0"

static attune_status open_device(const char *backend, const char *device, const char *cache_dir, attune_context **out)
{
    attune_context_options options = ATTUNE_CONTEXT_OPTIONS_INIT;
    options.backend = backend;
    options.device = device;
    options.cache_dir = cache_dir;
    return attune_context_create(out, &options);
}

static attune_device_info info_of(const char *backend, const char *device)
{
    attune_context *context;
    attune_device_info info;
    if (open_device(backend, device, "", &context) != ATTUNE_OK)
        fail_msg("%s on %s: %s", backend, device ? device : "its first device", attune_last_error());
    assert_int_equal(attune_context_info(context, &info), ATTUNE_OK);
    attune_context_destroy(&context);
    return info;
}

static void the_chip_comes_before_its_simulation(void **state)
{
    (void)state;
    attune_device_info info = info_of("zw-m890", NULL);
    assert_string_equal(info.index, CHIP);
    assert_string_equal(info.simulated, "");
    assert_int_equal(info.local_mem_bytes, 256 << 10); /* the chip's limit, though the driver reports more */
    assert_int_equal(info.max_work_group_size, 1024);
    assert_int_equal(info.private_mem_bytes, 1024);
    assert_int_equal(info.sub_group_size, 32);
}

static void pocl_simulates_and_says_so(void **state)
{
    (void)state;
    attune_device_info info = info_of("zw-m890", POCL);
    assert_string_equal(info.simulated, "pocl 3.1+scripted");
    assert_int_equal(info.local_mem_bytes, 256 << 10);
    assert_int_equal(info.private_mem_bytes, 1024);
    info = info_of("cpu", NULL);
    assert_string_equal(info.index, POCL);
    assert_string_equal(info.simulated, "");
    assert_int_equal(info.private_mem_bytes, 0);
}

static void devices_are_found_by_name_and_by_force(void **state)
{
    (void)state;
    assert_string_equal(info_of("gpu", "other").index, OTHER_GPU);
    /* The user's word makes any device the chip; its limits then hold. */
    attune_device_info forced = info_of("zw-m890", OTHER_GPU);
    assert_string_equal(forced.simulated, "");
    assert_int_equal(forced.private_mem_bytes, 1024);
    attune_context *context;
    assert_int_equal(open_device("gpu", POCL, "", &context), ATTUNE_ERROR_NO_DEVICE);
    assert_null(context);
    assert_int_equal(open_device("cpu", "other", "", &context), ATTUNE_ERROR_NO_DEVICE);
    assert_non_null(strstr(attune_last_error(), "other"));
}

static void expect_device(const char *backend, const char *selector, const char *index)
{
    attune_device_info info = info_of(backend, selector);
    if (strcmp(info.index, index) != 0)
        fail_msg("%s on \"%s\" is %s, not %s", backend, selector, info.index, index);
}

static void expect_none(const char *backend, const char *selector, const char *word)
{
    attune_context *context;
    attune_status status = open_device(backend, selector, "", &context);
    if (status != ATTUNE_ERROR_NO_DEVICE || !strstr(attune_last_error(), word))
        fail_msg("%s on \"%s\": %s (%s), not NO_DEVICE with \"%s\"", backend, selector, attune_status_name(status),
                 attune_last_error(), word);
    assert_null(context);
}

/* Numbers are places: "1" is no part of "avx512", nor of "GPU 1". */
static void numbers_are_places(void **state)
{
    (void)state;
    expect_device("gpu", "2", OTHER_GPU);
    expect_device("gpu", "4", "0:4");
    expect_device("cpu", "0", POCL);
    expect_none("cpu", "1", "no device for backend cpu named 1");
    expect_none("cpu", "512", "named 512");
    expect_none("gpu", "9", "0:3 \"uuid:00112233445566778899aabbccddeeff\"");
    expect_none("gpu", "3:0", "1:0 \"Graphics X2@Portable 2\"");
    setenv("ATTUNE_DEVICE", "1", 1);
    expect_none("cpu", NULL, "named 1");
    unsetenv("ATTUNE_DEVICE");
}

static void what_fits_several_is_refused_with_their_list(void **state)
{
    (void)state;
    expect_none("gpu", "graphics", "any of 5 for backend gpu: 0:3 \"uuid:");
    expect_none("gpu", "Graphics X", "any of 3 for backend gpu"); /* the whole name, not that of X2 */
    expect_none("gpu", "Graphics X@Portable Computing Language", "any of 3 for backend gpu");
    expect_none("gpu", "Graphics X2",
                "0:6 \"Graphics X2@Portable Computing Language\", 1:0 \"Graphics X2@Portable 2\"");
    expect_device("gpu", "X2@portable 2", "1:0");
    expect_device("gpu", "graphics x2@portable 2", "1:0");
    expect_device("gpu", "some other@portable", OTHER_GPU);
    expect_device("cpu", "e", POCL);                              /* the only one that the backend drives */
    expect_none("zw-m890", "X2", "any of 2 for backend zw-m890"); /* by force, too */
}

/* Each device says what reaches it again: by name where no other has that, else by what it is told apart by. */
static void selectors_reach_their_device(void **state)
{
    (void)state;
    const char *const expected[][2] = {{"0:2", "Some other GPU@Portable Computing Language"},
                                       {"0:3", "uuid:00112233445566778899aabbccddeeff"},
                                       {"0:4", "pci:0000:41:00.0"},
                                       {"0:5", "0:5"},
                                       {"0:6", "Graphics X2@Portable Computing Language"},
                                       {"1:0", "Graphics X2@Portable 2"}};
    for (size_t i = 0; i < sizeof expected / sizeof expected[0]; i++) {
        assert_string_equal(info_of("gpu", expected[i][0]).selector, expected[i][1]);
        expect_device("gpu", expected[i][1], expected[i][0]);
    }
    assert_string_equal(info_of("zw-m890", NULL).selector, "ZW-M890 OAM@Portable Computing Language");
    expect_device("gpu", "pci:0000:01:00.0", "0:3");
}

static void patterns_and_limits_are_the_users(void **state)
{
    (void)state;
    setenv("ATTUNE_ZW_M890_MATCH", "nothing like it,OTHER", 1);
    setenv("ATTUNE_ZW_M890_LIMITS", "local=49152,private=512", 1);
    attune_device_info info = info_of("zw-m890", NULL);
    unsetenv("ATTUNE_ZW_M890_MATCH");
    unsetenv("ATTUNE_ZW_M890_LIMITS");
    assert_string_equal(info.index, OTHER_GPU);
    assert_int_equal(info.local_mem_bytes, 48 << 10);
    assert_int_equal(info.private_mem_bytes, 512);
}

static void limits_hold_jointly(void **state)
{
    (void)state;
    struct device_limits limits = {1024, 32, 256 << 10, 1024, 256 << 10};
    struct kernel_facts facts = {.head_dim_qk = 128,
                                 .head_dim_vo = 128,
                                 .group_size = 4,
                                 .causal = 1,
                                 .has_cache = 1,
                                 .has_new = 1,
                                 .q_type = 1,
                                 .kv_type = 1,
                                 .o_type = 1,
                                 .precision = 1,
                                 .sub_group_size = 32};
    struct kernel_config config;
    char why[160];
    assert_int_equal(kernel_config_parse("vector_tile", &config), ATTUNE_OK); /* one work-item, kilobytes private */
    assert_false(backend_config_valid(&limits, &facts, &config, why, sizeof why));
    assert_non_null(strstr(why, "multiple of the sub-group"));
    limits.work_group_multiple = 1;
    assert_false(backend_config_valid(&limits, &facts, &config, why, sizeof why));
    assert_non_null(strstr(why, "private memory"));
    assert_int_equal(kernel_config_parse("simt_tile", &config), ATTUNE_OK);
    assert_true(backend_config_valid(&limits, &facts, &config, why, sizeof why));
    limits.private_bytes_group = 1024;
    assert_false(backend_config_valid(&limits, &facts, &config, why, sizeof why));
    assert_non_null(strstr(why, "in a work-group"));
    limits.private_bytes_group = 0;
    limits.local_bytes = 1024;
    assert_false(backend_config_valid(&limits, &facts, &config, why, sizeof why));
    assert_non_null(strstr(why, "local memory"));
    limits.local_bytes = 256 << 10;
    limits.max_work_group_size = 32;
    assert_false(backend_config_valid(&limits, &facts, &config, why, sizeof why));
    assert_non_null(strstr(why, "work-group of 64"));
}

/* What a work-group keeps on a thread's stack: a service with small stacks refuses what was tuned where they were
 * large. */
static void stacks_are_those_of_this_process(void **state)
{
    (void)state;
    pthread_attr_t before, small;
    attune_context *contexts[2];
    char why[2][160];
    struct kernel_facts facts = {.head_dim_qk = 576,
                                 .head_dim_vo = 576,
                                 .group_size = 1,
                                 .causal = 1,
                                 .has_new = 1,
                                 .q_type = 1,
                                 .kv_type = 1,
                                 .o_type = 1,
                                 .precision = 1,
                                 .sub_group_size = 1};
    struct kernel_config config;
    assert_int_equal(kernel_config_parse("vector_tile", &config), ATTUNE_OK);
    assert_int_equal(pthread_getattr_default_np(&before), 0);
    pthread_attr_init(&small);
    for (int i = 0; i < 2; i++) {
        pthread_attr_setstacksize(&small, (i ? 1 : 8) << 20);
        assert_int_equal(pthread_setattr_default_np(&small), 0);
        assert_int_equal(open_device("cpu", POCL, "", &contexts[i]), ATTUNE_OK);
        backend_config_valid(&contexts[i]->choice.limits, &facts, &config, why[i], sizeof why[i]);
    }
    pthread_setattr_default_np(&before);
    assert_true(contexts[1]->choice.limits.stack_bytes < 1 << 20);
    assert_true(contexts[0]->choice.limits.stack_bytes < 8 << 20);
    assert_true(backend_config_valid(&contexts[0]->choice.limits, &facts, &config, why[0], sizeof why[0]));
    assert_false(backend_config_valid(&contexts[1]->choice.limits, &facts, &config, why[1], sizeof why[1]));
    assert_non_null(strstr(why[1], "bytes of private memory exceed the thread stacks'"));
    for (int i = 0; i < 2; i++)
        attune_context_destroy(&contexts[i]);
    attune_context *gpu, *simulated;
    assert_int_equal(open_device("gpu", OTHER_GPU, "", &gpu), ATTUNE_OK);
    assert_int_equal(open_device("zw-m890", POCL, "", &simulated), ATTUNE_OK);
    assert_int_equal(gpu->choice.limits.stack_bytes, 0); /* its private memory is its own */
    assert_true(simulated->choice.limits.stack_bytes > 0);
    attune_context_destroy(&gpu);
    attune_context_destroy(&simulated);
    /* Beside its arrays each work-item of a group keeps what lives across barriers. */
    assert_int_equal(stack_needed(1000, 1), 1000);
    assert_true(stack_needed(0, 256) >= 256 * 1000);
}

static const attune_shape shape = {1, 64, 64};

static attune_attention_desc small_desc(void)
{
    attune_attention_desc desc = ATTUNE_ATTENTION_DESC_INIT;
    desc.num_q_heads = desc.num_kv_heads = 1;
    desc.head_dim_qk = 64;
    return desc;
}

/* Stores a verified winner for the context's device in its cache. */
static void store_winner(attune_context *context)
{
    attune_attention_desc desc = small_desc();
    struct cache_entry entry;
    memset(&entry, 0, sizeof entry);
    select_device_key(&context->choice, &entry.key);
    select_problem_key(&desc, "", shape_bucket_uniform(&desc, shape.batch, shape.q_len, shape.kv_len), &entry.key);
    assert_int_equal(kernel_config_parse("plain_row:WG_SIZE=32", &entry.config), ATTUNE_OK);
    const struct family *family = family_at(entry.config.family);
    snprintf(entry.family_hash, sizeof entry.family_hash, "%s", family->source_hash);
    snprintf(entry.space_hash, sizeof entry.space_hash, "%s", family->space_hash);
    snprintf(entry.workload, sizeof entry.workload, "prefill");
    entry.q_len = entry.kv_len = 64;
    entry.batch = entry.time_ms = entry.default_ms = entry.gain = entry.gain_low = entry.gain_high = 1;
    entry.samples = 1;
    entry.depth = (struct cache_depth){.known = 1, .exhausted = 1};
    snprintf(entry.tool_version, sizeof entry.tool_version, "0");
    entry.receipt.valid = 1;
    memcpy(entry.receipt.device_name, entry.key.device_name, sizeof entry.receipt.device_name);
    memcpy(entry.receipt.driver, entry.key.driver, sizeof entry.receipt.driver);
    memcpy(entry.receipt.family_hash, entry.family_hash, sizeof entry.receipt.family_hash);
    snprintf(entry.receipt.checks, sizeof entry.receipt.checks, "test");
    if (cache_store(context->cache, &entry, NULL, 0) != ATTUNE_OK)
        fail_msg("%s", attune_last_error());
}

static attune_status cached_plan(const char *backend, const char *device, const char *cache_dir)
{
    attune_context *context;
    attune_plan *plan;
    attune_attention_desc desc = small_desc();
    attune_plan_options options = ATTUNE_PLAN_OPTIONS_INIT;
    options.policy = ATTUNE_CACHED_ONLY;
    options.shapes = &shape;
    options.num_shapes = 1;
    assert_int_equal(open_device(backend, device, cache_dir, &context), ATTUNE_OK);
    attune_status status = attune_plan_create(context, &desc, NULL, &options, &plan);
    attune_plan_destroy(&plan);
    attune_context_destroy(&context);
    return status;
}

static int calls_of(const char *function)
{
    cl_platform_id platform;
    assert_int_equal(clGetPlatformIDs(1, &platform, NULL), CL_SUCCESS);
    uint64_t (*count)(const char *) =
        (uint64_t(*)(const char *))(uintptr_t)clGetExtensionFunctionAddressForPlatform(platform, "clFakeCallCount");
    assert_non_null(count);
    return (int)count(function);
}

/* An entry of the simulation is one more miss on the chip and on the cpu backend, and the other way round; and what
 * answers from the cache a second time is built from its binary. */
static void a_simulated_entry_never_answers_for_the_chip(void **state)
{
    (void)state;
    char folder[] = "/tmp/attune-test-matching-XXXXXX", command[64];
    assert_non_null(mkdtemp(folder));
    attune_context *simulated;
    assert_int_equal(open_device("zw-m890", POCL, folder, &simulated), ATTUNE_OK);
    store_winner(simulated);
    attune_context_destroy(&simulated);
    assert_int_equal(cached_plan("zw-m890", CHIP, folder), ATTUNE_ERROR_NOT_TUNED);
    assert_int_equal(cached_plan("cpu", POCL, folder), ATTUNE_ERROR_NOT_TUNED);
    assert_int_equal(cached_plan("zw-m890", POCL, folder), ATTUNE_OK);
    int sources = calls_of("clCreateProgramWithSource");
    assert_true(sources > 0);
    assert_int_equal(cached_plan("zw-m890", POCL, folder), ATTUNE_OK);
    assert_int_equal(calls_of("clCreateProgramWithSource"), sources);
    /* What is there and is not trusted is told apart from what is not there. */
    snprintf(command, sizeof command, "chmod 666 %s/*/*.json", folder);
    assert_int_equal(system(command), 0);
    assert_int_equal(cached_plan("zw-m890", POCL, folder), ATTUNE_ERROR_NOT_TUNED);
    assert_non_null(strstr(attune_last_error(), "refused: "));
    assert_non_null(strstr(attune_last_error(), ".json: of mode 666, which lets others write to it"));
    snprintf(command, sizeof command, "rm -rf %s", folder);
    assert_int_equal(system(command), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_chip_comes_before_its_simulation),
        cmocka_unit_test(pocl_simulates_and_says_so),
        cmocka_unit_test(devices_are_found_by_name_and_by_force),
        cmocka_unit_test(numbers_are_places),
        cmocka_unit_test(what_fits_several_is_refused_with_their_list),
        cmocka_unit_test(selectors_reach_their_device),
        cmocka_unit_test(patterns_and_limits_are_the_users),
        cmocka_unit_test(limits_hold_jointly),
        cmocka_unit_test(stacks_are_those_of_this_process),
        cmocka_unit_test(a_simulated_entry_never_answers_for_the_chip),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
