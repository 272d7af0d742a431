/* SPDX-License-Identifier: Apache-2.0
 * Numbers in texts, of an engine that has set a locale with another decimal point: a comma, and one of two bytes. */
#include "cache_fixture.h"
#include "comma_locale.h"

#include <attune/tune.h>

#include "base/json.h"
#include "tuner/journal.h"

/* What was written before any locale was set. */
static char *entry_text, *space_text;

static const char space_json[] =
    "{\"device_name\": \"d\", \"kernel_name\": \"k\", \"objective\": \"time\", \"tune_params_keys\": [\"x\", \"y\"],"
    "\"tune_params\": {\"x\": [1, 2], \"y\": [0.5, 2.5]}, \"cache\": {"
    "\"1.0,0.5\": {\"x\": 1, \"y\": 0.5, \"time\": 1.25}, \"2,2.50\": {\"x\": 2, \"y\": 2.5, \"time\": 0.125}}}";

static char *save_space(void)
{
    char in[160], out[160], *text = calloc(1, 4096);
    snprintf(in, sizeof in, "%s/in.json", folder);
    snprintf(out, sizeof out, "%s/out.json", folder);
    FILE *file = fopen(in, "w");
    assert_true(file && fputs(space_json, file) > 0);
    fclose(file);
    attune_space *space;
    if (attune_space_open(in, &space))
        fail_msg("%s", attune_last_error());
    attune_space_config config;
    assert_int_equal(attune_space_at(space, 0, &config), ATTUNE_OK);
    assert_true(config.time_ms == 1.25);
    assert_int_equal(attune_space_save(space, out), ATTUNE_OK);
    attune_space_close(&space);
    load_file(out, text, 4095);
    return text;
}

static void texts_have_a_point(void **state)
{
    (void)state;
    char text[64];
    struct strbuf buf = {0};
    strbuf_printf(&buf, "%.4f ms", 0.2255);
    assert_string_equal(buf.text, "0.2255 ms");
    strbuf_free(&buf);
    text_printf(text, sizeof text, "%g", 1.5);
    assert_string_equal(text, "1.5");
    format_double(0.1, text);
    assert_string_equal(text, "0.1");
    format_float(0.1f, text);
    assert_string_equal(text, "0.1");
    assert_true(read_double("1.5", NULL) == 1.5 && read_float("1.5", NULL) == 1.5f);
    set_error(ATTUNE_ERROR_SCALE, "scale is %g", 1.5);
    assert_string_equal(attune_last_error(), "scale is 1.5");
    const struct logger logger = {count_warning, NULL, ATTUNE_LOG_DEBUG};
    log_message(&logger, ATTUNE_LOG_WARNING, "%.2f", 0.25);
    assert_string_equal(last_warning, "0.25");
    /* The program's own locale is untouched. */
    snprintf(text, sizeof text, "%g", 1.5);
    assert_string_not_equal(text, "1.5");
}

static void problems_read_back(void **state)
{
    (void)state;
    attune_problem *problem, *again;
    assert_int_equal(attune_problem_parse("extend:hq=4,hkv=2,d=64,prefix=64,new=8,scale=0.25", &problem), ATTUNE_OK);
    assert_non_null(strstr(attune_problem_text(problem), "scale=0.25"));
    assert_true(attune_problem_desc(problem)->scale == 0.25f);
    assert_int_equal(attune_problem_parse(attune_problem_text(problem), &again), ATTUNE_OK);
    assert_string_equal(attune_problem_text(again), attune_problem_text(problem));
    attune_problem_destroy(&again);
    attune_problem_destroy(&problem);
    assert_int_not_equal(attune_problem_parse("extend:hq=4,hkv=2,d=64,new=8,scale=-0.5", &problem), ATTUNE_OK);
    assert_non_null(strstr(attune_last_error(), "-0.5"));
}

static void cache_entries_are_the_same(void **state)
{
    (void)state;
    struct cache_entry entry = sample_entry(), back;
    char *text = cache_entry_to_json(&entry);
    assert_string_equal(text, entry_text);
    assert_int_equal(cache_entry_from_json(text, strlen(text), &back), ATTUNE_OK);
    assert_true(same_entry(&entry, &back));
    free(text);
}

static bool take_half(void *priv, uint64_t sequence, const json_t *record)
{
    if (sequence == 1)
        *(double *)priv = json_real_value(json_object_get(record, "half"));
    return true;
}

static void journals_read_back(void **state)
{
    (void)state;
    char path[160], content[4096] = "";
    double half = 0;
    struct journal *journal;
    snprintf(path, sizeof path, "%s/j.jsonl", folder);
    assert_int_equal(journal_create(&journal, path), ATTUNE_OK);
    assert_int_equal(journal_append(journal, "header", json_pack("{s:i}", "version", 1)), ATTUNE_OK);
    assert_int_equal(journal_append(journal, "test", json_pack("{s:f}", "half", 0.5)), ATTUNE_OK);
    journal_close(&journal);
    load_file(path, content, sizeof content - 1);
    assert_non_null(strstr(content, "\"half\":0.5"));
    assert_int_equal(journal_read(path, take_half, &half, NULL), ATTUNE_OK);
    assert_true(half == 0.5);
}

static void recorded_spaces_are_the_same(void **state)
{
    (void)state;
    char *text = save_space();
    assert_string_equal(text, space_text);
    free(text);
}

static int run_all(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(texts_have_a_point),
        cmocka_unit_test(problems_read_back),
        cmocka_unit_test_setup_teardown(cache_entries_are_the_same, make_folder, remove_folder),
        cmocka_unit_test_setup_teardown(journals_read_back, make_folder, remove_folder),
        cmocka_unit_test_setup_teardown(recorded_spaces_are_the_same, make_folder, remove_folder),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

int main(void)
{
    char locales[] = "/tmp/attune-locales-XXXXXX", command[64];
    static const char *const points[][3] = {{"de_DE", "ISO-8859-1", ","}, {"ps_AF", "UTF-8", "\xd9\xab"}};
    int failed = 0, made = 0;
    struct cache_entry entry = sample_entry();
    entry_text = cache_entry_to_json(&entry);
    if (!mkdtemp(locales) || make_folder(NULL))
        return 1;
    space_text = save_space();
    failed += remove_folder(NULL);
    for (int i = 0; i < 2; i++)
        if (set_comma_locale(locales, points[i][0], points[i][1], points[i][2])) {
            made++;
            failed += run_all();
        }
    snprintf(command, sizeof command, "rm -rf %s", locales);
    failed += system(command) != 0;
    free(entry_text);
    free(space_text);
    return failed ? 1 : made ? 0 : 77;
}
