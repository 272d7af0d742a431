/* SPDX-License-Identifier: Apache-2.0
 * What a configuration is verified on beside its workload. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <math.h>
#include <string.h>

#include "desc.h"
#include "tuner/edges.h"

static attune_problem *parse(const char *text)
{
    attune_problem *problem;
    if (attune_problem_parse(text, &problem) != ATTUNE_OK)
        fail_msg("%s: %s", text, attune_last_error());
    return problem;
}

/* Longest sequence of the far problem: q_len x kv_len. */
static void expect_far(const char *text, int32_t q_len, int32_t kv_len)
{
    attune_problem *problem = parse(text), *far;
    if (edges_far(problem, &far) != ATTUNE_OK)
        fail_msg("%s: %s", text, attune_last_error());
    if (far->q_len[0] != q_len || far->kv_len[0] != kv_len)
        fail_msg("%s: %d x %d, not %d x %d", text, (int)far->q_len[0], (int)far->kv_len[0], (int)q_len, (int)kv_len);
    assert_true(far->batch > 64);
    assert_int_equal(far->page_size, problem->page_size);
    assert_int_equal(far->kv_order, problem->kv_order);
    attune_problem_destroy(&far);
    attune_problem_destroy(&problem);
}

static void class_is_verified_at_its_end(void **state)
{
    (void)state;
    expect_far("decode:hq=4,hkv=2,d=64,kvlen=600", 1, 1023);
    expect_far("decode:hq=4,hkv=2,d=64,page=16,new=3,kvlen=600", 16, 1023);
    expect_far("extend:hq=4,hkv=2,d=64,prefix=70/9,new=37/5,page=16", 63, 63);
    expect_far("extend:hq=4,hkv=2,d=64,prefix=400,new=20,order=hnd,page=16", 128, 511);
    expect_far("prefill:hq=4,hkv=4,d=64,new=600", 954, 1023);
    expect_far("decode:hq=32,hkv=8,d=128,q=fp16,kv=fp16,kvlen=32768", 1, 65535);
    expect_far("decode:hq=1,hkv=1,d=8,kvlen=0", 1, 1);
    /* As far as is affordable. */
    expect_far("decode:hq=32,hkv=8,d=128,kvlen=100000", 1, 68359);
    expect_far("prefill:hq=32,hkv=8,d=128,new=2048", 29, 4095);
}

static void short_lengths_have_rows_of_few_keys(void **state)
{
    (void)state;
    static const char *const texts[] = {"decode:hq=4,hkv=2,d=64,kvlen=600", "decode:hq=4,hkv=2,d=64,new=3,kvlen=600",
                                        "extend:hq=4,hkv=2,d=64,prefix=70,new=37", "prefill:hq=4,hkv=2,d=64,new=100"};
    for (int t = 0; t < 4; t++) {
        attune_problem *problem = parse(texts[t]), *edge;
        assert_int_equal(edges_short(problem, &edge), ATTUNE_OK);
        int of_one = 0, of_few = 0, of_none = 0, full_blocks = 0;
        for (int32_t b = 0; b < edge->batch; b++) {
            of_none += edge->kv_len[b] == 0;
            of_one += edge->q_len[b] == 1 && edge->kv_len[b] == 1;
            of_few += edge->q_len[b] <= 2 && edge->kv_len[b] > 1 && edge->kv_len[b] <= 5;
            full_blocks += edge->kv_len[b] > 0 && edge->kv_len[b] % 128 == 0;
        }
        if (of_one < 1 || of_few < 2 || full_blocks < 1 || (t == 0 && of_none < 1))
            fail_msg("%s", attune_problem_text(edge));
        attune_problem_destroy(&edge);
        attune_problem_destroy(&problem);
    }
}

/* Largest and smallest logit of all sets of a problem; values must be finite. */
static void logits_of_sets(const char *text, double *highest, double *lowest)
{
    attune_problem *problem = parse(text), *edge;
    assert_int_equal(edges_short(problem, &edge), ATTUNE_OK);
    *highest = -INFINITY;
    *lowest = INFINITY;
    for (int set = 0; set < NUM_EDGE_SETS; set++) {
        struct workload_options options = edge_options(set);
        struct workload workload;
        struct oracle_input input;
        assert_int_equal(workload_create(edge, &options, &workload), ATTUNE_OK);
        workload_oracle_input(edge, &workload, &input);
        double o[3000], lse[400];
        assert_int_equal(oracle_attention_fp64(&input, o, lse), ATTUNE_OK);
        for (int64_t row = 0; row < workload.q_tokens * edge->desc.num_q_heads; row++) {
            if (isnan(lse[row]) || lse[row] == INFINITY)
                fail_msg("%s, set %d: lse[%d] is %g", text, set, (int)row, lse[row]);
            *highest = fmax(*highest, lse[row]);
            if (isfinite(lse[row]))
                *lowest = fmin(*lowest, lse[row]);
        }
        workload_destroy(&workload);
    }
    attune_problem_destroy(&edge);
    attune_problem_destroy(&problem);
}

static void logits_reach_beyond_1e4(void **state)
{
    (void)state;
    double highest, lowest;
    logits_of_sets("decode:hq=4,hkv=2,d=64,dv=8,kvlen=600", &highest, &lowest);
    if (!(highest > 1e4 && lowest < -1e4))
        fail_msg("from %g to %g", lowest, highest);
    /* fp16 queries along a key stay finite, however few the dims and small the scale. */
    logits_of_sets("decode:hq=4,hkv=2,d=1,q=fp16,kv=fp16,kvlen=600", &highest, &lowest);
    logits_of_sets("decode:hq=4,hkv=2,d=2,dv=1,q=fp16,kv=bf16,scale=0.001,kvlen=600", &highest, &lowest);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(class_is_verified_at_its_end),
        cmocka_unit_test(short_lengths_have_rows_of_few_keys),
        cmocka_unit_test(logits_reach_beyond_1e4),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
