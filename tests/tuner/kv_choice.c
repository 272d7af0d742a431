/* SPDX-License-Identifier: Apache-2.0
 * The choice of a KV layout on scripted timings whose truth is known, and what becomes of bad entries. */
#include "fixture.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "cache/record.h"
#include "tuner/kv_choice.h"
#include "tuner/target.h"

/* Attention takes 20 ms a launch, appending 1 ms. */
#define DEVICE(factors)                                                                              \
    "{\"devices\": [{\"name\": \"Fake GPU\", \"time\": {\"default_ns\": 20000000, \"noise\": 0.02, " \
    "\"by_option\": [{\"match\": \"kv_append\", \"factor\": 0.05}" factors "]}}]}"

static const int32_t both_pages[] = {1, 16};

static attune_kv_choice_options choice_options(void)
{
    attune_kv_choice_options options = ATTUNE_KV_CHOICE_OPTIONS_INIT;
    options.page_sizes = both_pages;
    options.num_page_sizes = 2;
    options.num_slots = 1 << 16;
    options.rounds = 9;
    return options;
}

static void choose(struct fixture *f, const attune_kv_choice_options *options, attune_kv_choice *out)
{
    const attune_problem *problems[] = {f->problem};
    check_ok(attune_kv_layout_choose(f->target, problems, 1, options, out));
}

static void faster_pages_are_chosen(void **state)
{
    (void)state;
    struct fixture f;
    fixture_init(&f);
    set_script(DEVICE(", {\"match\": \"PAGED=1\", \"factor\": 0.7}"));
    open_target(&f, "gpu");
    attune_kv_choice_options options = choice_options();
    attune_kv_choice choice, again;
    choose(&f, &options, &choice);
    static const char *const fields[] = {"page=1,order=nhd",          "page=1,order=hnd",  "page=1,order=nhd,kvpad=16",
                                         "page=16,order=nhd",         "page=16,order=hnd", "page=16,order=nhd,kvpad=16",
                                         "page=16,order=hnd,kvpad=16"};
    assert_int_equal(choice.num_candidates, 7);
    for (int i = 0; i < 7; i++) {
        const attune_kv_candidate *c = &choice.candidates[i];
        double expected = i < 3 ? 1 : (0.7 * 20 + 1) / 21;
        assert_string_equal(c->fields, fields[i]);
        if (c->outcome != ATTUNE_OUTCOME_OK || fabs(c->ratio - expected) > 0.05)
            fail_msg("%s: %s, ratio %g, not %g", c->id, attune_outcome_name(c->outcome), c->ratio, expected);
        assert_true(fabs(c->append_ms - 1) < 0.1);
        assert_true(c->ratio_low <= c->ratio && c->ratio <= c->ratio_high);
        assert_int_equal(c->layout.num_slots, 1 << 16);
        assert_int_equal(c->layout.order, i == 2 || i >= 5   ? ATTUNE_KV_STRIDED
                                          : i == 1 || i == 4 ? ATTUNE_KV_HND
                                                             : ATTUNE_KV_NHD);
    }
    assert_true(choice.chosen >= 3);
    assert_string_equal(choice.candidates[2].id, "slots,strided:80:80:64,fp32");
    assert_int_equal(choice.hit, 0);
    close_target(&f);
    open_target(&f, "gpu"); /* a new process would see the same */
    options.num_slots = 1 << 15;
    choose(&f, &options, &again);
    assert_int_equal(again.hit, 1);
    assert_int_equal(again.chosen, choice.chosen);
    assert_int_equal(again.candidates[again.chosen].layout.num_slots, 1 << 15);
    assert_true(again.candidates[3].ratio == choice.candidates[3].ratio);
    const double weight = 2;
    options.weights = &weight;
    choose(&f, &options, &again);
    assert_int_equal(again.hit, 0);
    fixture_end(&f);
}

static void equal_layouts_leave_nhd(void **state)
{
    (void)state;
    struct fixture f;
    fixture_init(&f);
    set_script(DEVICE(""));
    open_target(&f, "gpu");
    attune_kv_choice_options options = choice_options();
    attune_kv_choice choice;
    options.again = 1;
    for (options.seed = 1; options.seed <= 4; options.seed++) {
        choose(&f, &options, &choice);
        if (choice.chosen)
            fail_msg("seed %llu: %s was chosen with ratio %g (to %g)", (unsigned long long)options.seed,
                     choice.candidates[choice.chosen].id, choice.candidates[choice.chosen].ratio,
                     choice.candidates[choice.chosen].ratio_high);
    }
    fixture_end(&f);
}

/* Pages are good for decodes and bad for extends: which of them runs more often decides. */
static void weights_decide(void **state)
{
    (void)state;
    struct fixture f;
    fixture_init(&f);
    set_script(DEVICE(", {\"match\": \"PAGED=1 HAS_NEW=0\", \"factor\": 0.5}, "
                      "{\"match\": \"PAGED=1 HAS_NEW=1\", \"factor\": 1.5}"));
    open_target(&f, "gpu");
    attune_problem *decode;
    check_ok(attune_problem_parse("decode:hq=2,hkv=1,d=64,kvlen=12", &decode));
    const attune_problem *problems[] = {f.problem, decode};
    static const double weights[2][2] = {{1, 8}, {8, 1}};
    for (int i = 0; i < 2; i++) {
        attune_kv_choice_options options = choice_options();
        options.weights = weights[i];
        attune_kv_choice choice;
        check_ok(attune_kv_layout_choose(f.target, problems, 2, &options, &choice));
        double expected = (weights[i][0] * 31 + weights[i][1] * 11) / (9 * 21);
        assert_true(fabs(choice.candidates[3].ratio - expected) < 0.05);
        assert_true(fabs(choice.candidates[0].time_ms - 9 * 21) < 8);
        assert_int_equal(choice.candidates[choice.chosen].layout.page_size, i == 0 ? 16 : 1);
    }
    attune_problem_destroy(&decode);
    fixture_end(&f);
}

/* A layout on which the kernels are wrong is out; where that is candidate 0, nothing can be said. */
static void wrong_layouts_are_out(void **state)
{
    (void)state;
    struct fixture f;
    fixture_init(&f);
    set_script("{\"devices\": [{\"name\": \"Fake GPU\"}], \"faults\": "
               "[{\"match\": \"PAGED=1\", \"what\": \"wrong\", \"times\": 0}]}");
    open_target(&f, "gpu");
    attune_kv_choice_options options = choice_options();
    options.rounds = 2;
    attune_kv_choice choice, again;
    choose(&f, &options, &choice);
    for (int i = 0; i < 7; i++)
        assert_int_equal(choice.candidates[i].outcome, i < 3 ? ATTUNE_OUTCOME_OK : ATTUNE_OUTCOME_WRONG);
    assert_string_not_equal(choice.candidates[3].reason, "");
    assert_true(choice.chosen < 3);
    choose(&f, &options, &again);
    assert_int_equal(again.hit, 1);
    assert_string_equal(again.candidates[3].reason, choice.candidates[3].reason);
    const attune_problem *problems[] = {f.problem};
    options.page_sizes = both_pages + 1;
    options.num_page_sizes = 1;
    assert_int_equal(attune_kv_layout_choose(f.target, problems, 1, &options, &choice), ATTUNE_ERROR_NOT_VERIFIED);
    fixture_end(&f);
}

/* An engine that takes a padded layout can tune on it; strides that no problem names are refused. */
static void padded_layouts_can_be_tuned(void **state)
{
    (void)state;
    struct fixture f;
    fixture_init(&f);
    set_script(DEVICE(""));
    open_target(&f, "gpu");
    attune_kv_choice_options options = choice_options();
    options.rounds = 1;
    attune_kv_choice choice;
    choose(&f, &options, &choice);
    attune_context_options where = ATTUNE_CONTEXT_OPTIONS_INIT;
    where.backend = "gpu";
    where.cache_dir = f.cache;
    attune_context *context;
    check_ok(attune_context_create(&context, &where));
    const attune_shape shape = {1, 4, 12};
    attune_plan_options how = ATTUNE_PLAN_OPTIONS_INIT;
    how.shapes = &shape;
    how.num_shapes = 1;
    how.budget_tests = 8;
    static const int padded[] = {2, 5, 6};
    for (int i = 0; i < 4; i++) {
        attune_kv_layout_options strides = choice.candidates[padded[i % 3]].layout;
        strides.v_stride_page += i == 3;
        attune_kv_layout *layout;
        attune_plan *plan;
        check_ok(attune_kv_layout_create(context, &strides, &layout));
        how.policy = ATTUNE_MEASURE;
        attune_status status = attune_plan_create(context, attune_problem_desc(f.problem), layout, &how, &plan);
        if (status != (i < 3 ? ATTUNE_OK : ATTUNE_ERROR_UNSUPPORTED))
            fail_msg("%s: %s (%s)", attune_kv_layout_id(layout), attune_status_name(status), attune_last_error());
        attune_plan_destroy(&plan);
        how.policy = ATTUNE_CACHED_ONLY;
        if (i < 3)
            check_ok(attune_plan_create(context, attune_problem_desc(f.problem), layout, &how, &plan));
        attune_plan_destroy(&plan);
        attune_kv_layout_destroy(&layout);
    }
    attune_context_destroy(&context);
    fixture_end(&f);
}

/* The fastest of the first rounds may be too uncertain to be taken: then the next fastest that is certain is. */
static void uncertain_layouts_are_passed_over(void **state)
{
    (void)state;
    enum { ROUNDS = 21 };
    struct kv_times *times = calloc(1, sizeof *times);
    assert_non_null(times);
    times->rounds = ROUNDS;
    for (int r = 0; r < ROUNDS; r++) {
        double speed = 1 + r % 3; /* the machine's, of the round */
        const double factors[] = {1, r < ROUNDS / 3 || r % 2 ? 0.8 : 1.1, 0.95 + 0.01 * (r % 2), 0.97};
        for (int i = 0; i < 4; i++)
            times->total[r][i] = speed * factors[i], times->append[r][i] = 0.1 * speed;
    }
    attune_kv_choice choice = {.num_candidates = 4}; /* outcomes: OK */
    check_ok(kv_decide(times, 1, &choice));
    assert_int_equal(choice.chosen, 2);
    assert_true(choice.candidates[1].ratio_high > 1);
    assert_int_equal(choice.rounds, ROUNDS * 2 / 3);
    choice.candidates[2].outcome = choice.candidates[3].outcome = ATTUNE_OUTCOME_WRONG;
    check_ok(kv_decide(times, 1, &choice));
    assert_int_equal(choice.chosen, 0);
    free(times);
}

/* ---- entries */

/* What a forger who knows the format changes in the content of an entry. */
static void forge(json_t *content, int which)
{
    json_t *candidates = json_object_get(content, "candidates"), *first = json_array_get(candidates, 0),
           *last = json_array_get(candidates, json_array_size(candidates) - 1);
    switch (which) {
    case 0:
        json_object_set_new(last, "layout", json_string("page=16,order=hnd,kvpad=17"));
        break;
    case 1:
        json_array_append(candidates, last);
        break;
    case 2:
        json_array_remove(candidates, json_array_size(candidates) - 1);
        break;
    case 3:
        json_object_set_new(first, "outcome", json_integer(ATTUNE_OUTCOME_WRONG));
        break;
    case 4:
        json_object_set_new(last, "outcome", json_integer(10));
        break;
    case 5:
        json_object_set_new(last, "ratio_high", json_real(1e-9));
        break;
    case 6:
        json_object_set_new(last, "time_ms", json_real(0));
        break;
    case 7:
        json_object_set_new(last, "ratio", json_string("0.1"));
        break;
    case 8:
        json_object_set_new(content, "rounds", json_integer(0));
        break;
    case 9:
        json_object_set_new(content, "chosen", json_integer(3));
        break;
    case 10:
        json_object_set_new(content, "candidates", json_object());
        break;
    case 11:
        json_object_set_new(last, "reason", json_string("a\nb"));
        break;
    default:
        json_object_set_new(last, "append_ms", json_real(1e9));
    }
}
#define NUM_FORGERIES 13

static int warnings;

static void count_warning(void *priv, attune_log_level level, const char *message)
{
    (void)priv, (void)message;
    warnings += level <= ATTUNE_LOG_WARNING;
}

static void forged_entries_are_misses(void **state)
{
    (void)state;
    struct fixture f;
    fixture_init(&f);
    set_script(DEVICE(""));
    open_target(&f, "gpu");
    attune_kv_choice_options options = choice_options();
    options.rounds = 1;
    options.page_sizes = both_pages + 1;
    options.num_page_sizes = 1;
    attune_kv_choice first, choice;
    choose(&f, &options, &first);
    json_t *entry = json_load_file(first.entry_path, 0, NULL);
    assert_non_null(entry);
    for (int i = 0; i < NUM_FORGERIES; i++) {
        json_t *content = json_deep_copy(json_object_get(entry, "content"));
        forge(content, i);
        check_ok(record_store(f.target->cache, "layout", json_object_get(entry, "key"), content, NULL, 0));
        json_decref(content);
        choose(&f, &options, &choice);
        if (choice.hit)
            fail_msg("forgery %d was taken", i);
        choose(&f, &options, &choice);
        assert_int_equal(choice.hit, 1);
    }
    json_decref(entry);
    fixture_end(&f);
}

/* Any changed byte of the file is a warning and a miss. */
static void damaged_entries_are_misses(void **state)
{
    (void)state;
    struct fixture f;
    fixture_init(&f);
    set_script(DEVICE(""));
    open_target(&f, "gpu");
    attune_kv_choice_options options = choice_options();
    options.rounds = 1;
    options.page_sizes = both_pages;
    options.num_page_sizes = 1;
    attune_kv_choice choice;
    for (int i = 0; i < 12; i++) {
        options.again = 1;
        choose(&f, &options, &choice);
        options.again = 0;
        FILE *file = fopen(choice.entry_path, "r+");
        assert_non_null(file);
        fseek(file, 0, SEEK_END);
        long at = ftell(file) * i / 12;
        fseek(file, at, SEEK_SET);
        int old = fgetc(file);
        fseek(file, at, SEEK_SET);
        fputc(old ^ 1, file);
        fclose(file);
        close_target(&f);
        attune_target_options target = ATTUNE_TARGET_OPTIONS_INIT;
        target.backend = "gpu";
        target.cache_dir = f.cache;
        target.log = count_warning;
        check_ok(attune_target_create(&f.target, &target));
        warnings = 0;
        choose(&f, &options, &choice);
        if (choice.hit || warnings != 1)
            fail_msg("byte %ld changed: hit %d, %d warnings", at, choice.hit, warnings);
    }
    fixture_end(&f);
}

/* ---- bad input */

#define REFUSED(call, status, word)                                                                             \
    do {                                                                                                        \
        attune_status got_ = (call);                                                                            \
        if (got_ != (status) || !strstr(attune_last_error(), word))                                             \
            fail_msg("%s: %s (%s), not %s naming \"%s\"", #call, attune_status_name(got_), attune_last_error(), \
                     attune_status_name(status), word);                                                         \
    } while (0)

#define OPTION_REFUSED(change, status, word)                                                   \
    do {                                                                                       \
        attune_kv_choice_options options = choice_options();                                   \
        change;                                                                                \
        REFUSED(attune_kv_layout_choose(f.target, problems, 1, &options, &out), status, word); \
    } while (0)

static void bad_input(void **state)
{
    (void)state;
    struct fixture f;
    fixture_init(&f);
    open_target(&f, "gpu");
    attune_kv_choice out;
    attune_kv_choice_options good = choice_options();
    attune_problem *prefill, *wide, *half, *contiguous, *paged;
    check_ok(attune_problem_parse("prefill:hq=2,hkv=1,d=64,new=4", &prefill));
    check_ok(attune_problem_parse("decode:hq=2,hkv=2,d=64,kvlen=4", &wide));
    check_ok(attune_problem_parse("decode:hq=2,hkv=1,d=64,kv=fp16,kvlen=4", &half));
    check_ok(attune_problem_parse("decode:hq=2,hkv=1,d=64,kvlen=4,page=0", &contiguous));
    check_ok(attune_problem_parse("decode:hq=2,hkv=1,d=64,kvlen=4,page=8", &paged));
    const attune_problem *problems[] = {f.problem}, *others[] = {prefill, wide, half, contiguous};
    REFUSED(attune_kv_layout_choose(NULL, problems, 1, &good, &out), ATTUNE_ERROR_NULL_ARGUMENT, "target");
    REFUSED(attune_kv_layout_choose(f.target, NULL, 1, &good, &out), ATTUNE_ERROR_NULL_ARGUMENT, "problems");
    REFUSED(attune_kv_layout_choose(f.target, problems, 1, NULL, &out), ATTUNE_ERROR_NULL_ARGUMENT, "options");
    REFUSED(attune_kv_layout_choose(f.target, problems, 1, &good, NULL), ATTUNE_ERROR_NULL_ARGUMENT, "out");
    REFUSED(attune_kv_layout_choose(f.target, problems, 0, &good, &out), ATTUNE_ERROR_INVALID_SIZE, "num_problems");
    for (int i = 0; i < 4; i++) {
        const attune_problem *pair[] = {f.problem, others[i]};
        REFUSED(attune_kv_layout_choose(f.target, pair, 2, &good, &out), ATTUNE_ERROR_MISMATCH, "problems[1]");
    }
    const attune_problem *pages[] = {f.problem, paged}, *none[] = {f.problem, NULL};
    REFUSED(attune_kv_layout_choose(f.target, none, 2, &good, &out), ATTUNE_ERROR_NULL_ARGUMENT, "problems[1]");
    good.page_sizes = NULL;
    good.num_page_sizes = 0;
    REFUSED(attune_kv_layout_choose(f.target, pages, 2, &good, &out), ATTUNE_ERROR_MISMATCH, "page=8");
    static const int32_t bad_pages[] = {0, 3};
    static const double bad_weights[] = {0, NAN};
    OPTION_REFUSED(options.size = 0, ATTUNE_ERROR_STRUCT_SIZE, "size");
    OPTION_REFUSED(options.num_slots = 0, ATTUNE_ERROR_INVALID_SIZE, "num_slots");
    OPTION_REFUSED(options.num_slots = (int64_t)1 << 31, ATTUNE_ERROR_INVALID_SIZE, "num_slots");
    OPTION_REFUSED(options.num_slots = 17, ATTUNE_ERROR_INVALID_SIZE, "num_slots");
    OPTION_REFUSED(options.page_sizes = bad_pages, ATTUNE_ERROR_INVALID_SIZE, "page size is 0");
    OPTION_REFUSED(options.page_sizes = bad_pages + 1; options.num_page_sizes = 1, ATTUNE_ERROR_INVALID_SIZE, "(3)");
    OPTION_REFUSED(options.num_page_sizes = 5, ATTUNE_ERROR_INVALID_SIZE, "num_page_sizes");
    OPTION_REFUSED(options.page_sizes = NULL, ATTUNE_ERROR_INVALID_SIZE, "num_page_sizes");
    OPTION_REFUSED(options.weights = bad_weights, ATTUNE_ERROR_INVALID_SIZE, "weights[0]");
    OPTION_REFUSED(options.weights = bad_weights + 1, ATTUNE_ERROR_INVALID_SIZE, "weights[0]");
    OPTION_REFUSED(options.rounds = 0, ATTUNE_ERROR_INVALID_SIZE, "rounds");
    OPTION_REFUSED(options.rounds = 1001, ATTUNE_ERROR_INVALID_SIZE, "rounds");
    OPTION_REFUSED(options.max_seconds = -1, ATTUNE_ERROR_INVALID_SIZE, "max_seconds");
    attune_problem *const all[] = {prefill, wide, half, contiguous, paged};
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) {
        attune_problem *problem = all[i];
        attune_problem_destroy(&problem);
    }
    fixture_end(&f);
}

int main(void)
{
    use_virtual_clock();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(faster_pages_are_chosen),
        cmocka_unit_test(equal_layouts_leave_nhd),
        cmocka_unit_test(weights_decide),
        cmocka_unit_test(wrong_layouts_are_out),
        cmocka_unit_test(forged_entries_are_misses),
        cmocka_unit_test(damaged_entries_are_misses),
        cmocka_unit_test(bad_input),
        cmocka_unit_test(padded_layouts_can_be_tuned),
        cmocka_unit_test(uncertain_layouts_are_passed_over),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
