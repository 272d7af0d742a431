/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "base/base.h"
#include "desc.h"
#include "problem_from.h"

static attune_problem *parse(const char *text)
{
    attune_problem *problem = NULL;
    if (attune_problem_parse(text, &problem))
        fail_msg("\"%s\": %s", text, attune_last_error());
    return problem;
}

static void assert_text(const char *text, const char *canonical)
{
    attune_problem *problem = parse(text);
    assert_string_equal(attune_problem_text(problem), canonical);
    attune_problem *again = parse(canonical);
    assert_string_equal(attune_problem_text(again), canonical);
    assert_int_equal(again->extras, problem->extras);
    assert_int_equal(again->page_size, problem->page_size);
    assert_int_equal(again->kv_order, problem->kv_order);
    assert_int_equal(again->block_table, problem->block_table);
    assert_int_equal(again->batch, problem->batch);
    assert_memory_equal(again->q_len, problem->q_len, (size_t)problem->batch * sizeof(int32_t));
    assert_memory_equal(again->kv_len, problem->kv_len, (size_t)problem->batch * sizeof(int32_t));
    assert_memory_equal(&again->desc, &problem->desc, sizeof problem->desc);
    attune_problem_destroy(&again);
    attune_problem_destroy(&problem);
}

static void texts_are_canonical(void **state)
{
    (void)state;
    assert_text("extend:hq=4,hkv=2,d=8,new=3",
                "extend:hq=4,hkv=2,d=8,q=fp32,kv=fp32,prec=strict,causal=1,page=1,prefix=0,new=3");
    assert_text("prefill:new=3/4,d=8,dv=8,hkv=2,hq=4,q=bf16,o=bf16,prec=fast,batch=2",
                "prefill:hq=4,hkv=2,d=8,q=bf16,kv=fp32,prec=fast,causal=1,page=0,kvlen=3/4,new=3/4");
    assert_text(
        "decode:hq=4,hkv=2,d=8,dv=4,kvlen=7/7/7,scale=0.1,cap=50.0,window=0,wright=-1,align=tl,kv=int8,page=16",
        "decode:hq=4,hkv=2,d=8,dv=4,q=fp32,kv=int8,prec=strict,causal=1,align=tl,window=0,cap=50,scale=0.1,page=16,"
        "batch=3,kvlen=7,new=1");
    assert_text(
        "extend:hq=1,hkv=1,d=1,prefix=1/2/1/2,new=5/6/7,sinks=1,tree=1,bias=1,mla=1,o=fp16,causal=0",
        "extend:hq=1,hkv=1,d=1,q=fp32,kv=fp32,o=fp16,prec=strict,causal=0,sinks=1,tree=1,bias=1,mla=1,page=1,batch=4,"
        "prefix=1/2,new=5/6/7");
    assert_text(
        "extend:hq=4,hkv=2,d=8,table=1,new=3,order=hnd,page=48,prefix=0/100",
        "extend:hq=4,hkv=2,d=8,q=fp32,kv=fp32,prec=strict,causal=1,page=48,order=hnd,table=1,prefix=0/100,new=3");
    assert_text(
        "extend:hq=4,hkv=2,d=8,kvpad=32,new=3,order=hnd,page=48,prefix=100",
        "extend:hq=4,hkv=2,d=8,q=fp32,kv=fp32,prec=strict,causal=1,page=48,order=hnd,kvpad=32,prefix=100,new=3");
    assert_text("extend:newkv=fp32,hq=4,hkv=2,d=8,kv=fp16,new=3",
                "extend:hq=4,hkv=2,d=8,q=fp32,kv=fp16,newkv=fp32,prec=strict,causal=1,page=1,prefix=0,new=3");
    assert_text("extend:newkv=fp16,hq=4,hkv=2,d=8,kv=fp16,new=3",
                "extend:hq=4,hkv=2,d=8,q=fp32,kv=fp16,prec=strict,causal=1,page=1,prefix=0,new=3");
    assert_text("decode:hq=4,hkv=2,d=8,table=0,order=nhd,kvlen=0/3,new=1/0",
                "decode:hq=4,hkv=2,d=8,q=fp32,kv=fp32,prec=strict,causal=1,page=1,kvlen=0/3,new=1/0");
}

static void lists_repeat(void **state)
{
    (void)state;
    attune_problem *problem = parse("extend:hq=1,hkv=1,d=1,prefix=10/20,new=1/2/3,batch=5");
    const int32_t q_len[] = {1, 2, 3, 1, 2}, kv_len[] = {11, 22, 13, 21, 12};
    assert_int_equal(attune_problem_batch(problem), 5);
    assert_memory_equal(attune_problem_q_len(problem), q_len, sizeof q_len);
    assert_memory_equal(attune_problem_kv_len(problem), kv_len, sizeof kv_len);
    attune_problem_destroy(&problem);
}

static void suites_parse(void **state)
{
    (void)state;
    static const struct {
        const char *suite;
        size_t rows;
        const char *supported; /* names of the rows that this version can run */
    } suites[] = {{"extend", 8, "E1 E2 E3 E4 "},
                  {"decode", 8, "D1 D2 D3 D4 D7 D8 "},
                  {"prefill", 15,
                   "P1 P2 P3 P1:q=fp16,kv=fp16,o=fp16 P2:q=fp16,kv=fp16,o=fp16 P3:q=fp16,kv=fp16,o=fp16 "
                   "P1:q=bf16,kv=bf16,prec=fast P2:q=bf16,kv=bf16,prec=fast P3:q=bf16,kv=bf16,prec=fast "}};
    for (size_t s = 0; s < 3; s++) {
        size_t rows = 0;
        char supported[512] = "";
        for (const char *name; (name = attune_suite_workload(suites[s].suite, rows)); rows++) {
            attune_problem *problem = parse(name);
            assert_string_equal(attune_problem_name(problem), name);
            assert_text(name, attune_problem_text(problem));
            if (!attune_problem_supported(problem))
                snprintf(supported + strlen(supported), sizeof supported - strlen(supported), "%s ", name);
            attune_problem_destroy(&problem);
        }
        assert_int_equal(rows, suites[s].rows);
        assert_string_equal(supported, suites[s].supported);
    }
    assert_null(attune_suite_workload("nothing", 0));
    assert_null(attune_suite_workload(NULL, 0));
}

static void appended_fields_replace(void **state)
{
    (void)state;
    assert_text("E2:q=fp32,kv=fp32,prec=strict",
                "extend:hq=32,hkv=8,d=128,q=fp32,kv=fp32,prec=strict,causal=1,page=1,prefix=1024,new=256");
    assert_text("E1:new=7,prefix=1/2",
                "extend:hq=32,hkv=8,d=128,q=fp32,kv=fp32,prec=strict,causal=1,page=1,prefix=1/2,new=7");
    attune_problem *problem = parse("E2:q=fp32,kv=fp32");
    assert_int_equal(problem->desc.o_dtype, ATTUNE_FP32);
    assert_int_equal(problem->desc.precision, ATTUNE_FAST);
    assert_string_equal(attune_problem_name(problem), "E2:q=fp32,kv=fp32");
    assert_int_equal(attune_problem_supported(problem), ATTUNE_OK);
    attune_problem_destroy(&problem);
}

static void missing_features_are_named(void **state)
{
    (void)state;
    static const char *const cases[][2] = {
        {"D6", "int8 KV cache"}, {"E6", "sinks"}, {"E7", "tree mask"},       {"E8", "MLA"},
        {"P4", "softcap"},       {"P5", "bias"},  {"E1:window=5", "window"}, {"E1:page=0", "page=0"},
        {"P1:page=1", "page=1"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        attune_problem *problem = parse(cases[i][0]);
        assert_int_equal(attune_problem_supported(problem), ATTUNE_ERROR_UNSUPPORTED);
        if (!strstr(attune_last_error(), cases[i][1]))
            fail_msg("%s: \"%s\" lacks \"%s\"", cases[i][0], attune_last_error(), cases[i][1]);
        attune_problem_destroy(&problem);
    }
}

static void bad_texts_are_refused(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        attune_status status;
        const char *says;
    } cases[] = {
        {"", ATTUNE_ERROR_SYNTAX, "unknown workload"},
        {"E99", ATTUNE_ERROR_SYNTAX, "\"E99\""},
        {"extend", ATTUNE_ERROR_SYNTAX, "\"hq\" is missing"},
        {"extend:hq=1,hkv=1,d=1", ATTUNE_ERROR_SYNTAX, "\"new\" is missing"},
        {"decode:hq=1,hkv=1,d=1,new=1", ATTUNE_ERROR_SYNTAX, "\"kvlen\" is missing"},
        {"E1:", ATTUNE_OK, ""},
        {"E1:new", ATTUNE_ERROR_SYNTAX, "\"new\" has no value"},
        {"E1:new=", ATTUNE_ERROR_SYNTAX, "\"new\" has no value"},
        {"E1:new=1,", ATTUNE_ERROR_SYNTAX, "comma"},
        {"E1:,new=1", ATTUNE_ERROR_SYNTAX, "unknown field"},
        {"E1:hqq=1", ATTUNE_ERROR_SYNTAX, "\"hqq\""},
        {"E1:d=1,d=2", ATTUNE_ERROR_SYNTAX, "\"d\" is given twice"},
        {"E1:new=1//2", ATTUNE_ERROR_SYNTAX, "new"},
        {"E1:new=1/", ATTUNE_ERROR_SYNTAX, "new"},
        {"E1:new=-1", ATTUNE_ERROR_INVALID_SIZE, "new is -1; it must be 0 to 2147483647"},
        {"E1:new=2147483648", ATTUNE_ERROR_INVALID_SIZE, "new is 2147483648"},
        {"E1:new=99999999999999999999999999", ATTUNE_ERROR_INVALID_SIZE, "new is 9999"},
        {"E1:new=2147483647,prefix=1", ATTUNE_ERROR_OVERFLOW, "prefix + new"},
        {"E1:new=1073741824/1073741824", ATTUNE_ERROR_OVERFLOW, "2147483648"},
        {"P1:new=1,kvlen=1073741824/1073741824", ATTUNE_ERROR_OVERFLOW, "kvlen"},
        {"P1:kvlen=1,new=1073741824/1073741824", ATTUNE_ERROR_OVERFLOW, "new (q_len) adds up to 2147483648"},
        {"E1:kvlen=1", ATTUNE_ERROR_SYNTAX, "\"kvlen\""},
        {"P1:prefix=1", ATTUNE_ERROR_SYNTAX, "\"prefix\""},
        {"E1:batch=0", ATTUNE_ERROR_INVALID_SIZE, "batch is 0; it must be 1 to 1048576"},
        {"E1:batch=1048577", ATTUNE_ERROR_INVALID_SIZE, "1048576"},
        {"E1:batch=2,new=1/2/3", ATTUNE_ERROR_INVALID_SIZE, "batch is 2"},
        {"E1:hq=0", ATTUNE_ERROR_INVALID_SIZE, "hq is 0; it must be 1 to 1024"},
        {"E1:hkv=5", ATTUNE_ERROR_HEAD_COUNT, "num_kv_heads (5)"},
        {"E1:d=577", ATTUNE_ERROR_INVALID_SIZE, "576"},
        {"E1:d=1x", ATTUNE_ERROR_SYNTAX, "d=1x"},
        {"E1:d= 1", ATTUNE_ERROR_SYNTAX, "d= 1"},
        {"E1:d=-", ATTUNE_ERROR_SYNTAX, "d=-"},
        {"E1:q=fp8", ATTUNE_ERROR_SYNTAX, "fp32, fp16, bf16"},
        {"E1:q=int8", ATTUNE_ERROR_SYNTAX, "q=int8"},
        {"E1:newkv=fp8", ATTUNE_ERROR_SYNTAX, "newkv=fp8"},
        {"D1:newkv=fp32", ATTUNE_ERROR_DTYPE, "only extend"},
        {"P1:newkv=fp16", ATTUNE_ERROR_DTYPE, "only extend"},
        {"E1:prec=exact", ATTUNE_ERROR_SYNTAX, "strict, fast"},
        {"E1:window=-2", ATTUNE_ERROR_WINDOW, "window is -2"},
        {"E1:cap=-1", ATTUNE_ERROR_SOFTCAP, "softcap"},
        {"E1:cap=1e99", ATTUNE_ERROR_SOFTCAP, "softcap"},
        {"E1:cap=nan", ATTUNE_ERROR_SYNTAX, "cap=nan"},
        {"E1:cap=1e", ATTUNE_ERROR_SYNTAX, "cap=1e"},
        {"E1:scale=-1", ATTUNE_ERROR_SCALE, "scale is -1; it must be 1e-30 to 1e+30"},
        {"E1:scale=1e-42", ATTUNE_ERROR_SCALE, "scale is 1.00053e-42"},
        {"E1:scale=3e38", ATTUNE_ERROR_SCALE, "scale is 3e+38"},
        {"E1:scale=1e99", ATTUNE_ERROR_SCALE, "scale is inf"},
        {"E1:scale=1e-50", ATTUNE_ERROR_SYNTAX, "scale=1e-50"},
        {"E1:scale=-0.1e-50", ATTUNE_ERROR_SYNTAX, "scale=-0.1e-50"},
        {"E1:page=1048577", ATTUNE_ERROR_INVALID_SIZE, "1048576"},
        {"E1:order=dhn", ATTUNE_ERROR_SYNTAX, "nhd, hnd"},
        {"E1:kvpad=65537", ATTUNE_ERROR_INVALID_SIZE, "65536"},
        {"E1:order=hnd,kvpad=8", ATTUNE_ERROR_SYNTAX, "kvpad=8"},
        {"P1:kvpad=8", ATTUNE_ERROR_SYNTAX, "kvpad=8"},
        {"E1:table=2", ATTUNE_ERROR_INVALID_SIZE, "table is 2"},
        {"P1:table=1", ATTUNE_ERROR_SYNTAX, "table=1"},
        {"P1:page=16,table=1", ATTUNE_ERROR_SYNTAX, "table=1"},
        {"P1:order=hnd", ATTUNE_ERROR_SYNTAX, "order=hnd"},
        {"D1:page=0,table=1", ATTUNE_ERROR_SYNTAX, "page=0"},
        {"D1:order=hnd", ATTUNE_ERROR_SYNTAX, "page=0"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        attune_problem *problem = (attune_problem *)&problem;
        attune_status status = attune_problem_parse(cases[i].text, &problem);
        if (status != cases[i].status || (status && (problem || !strstr(attune_last_error(), cases[i].says))))
            fail_msg("\"%s\": %s: %s", cases[i].text, attune_status_name(status), attune_last_error());
        attune_problem_destroy(&problem);
    }
}

static void long_texts_are_refused(void **state)
{
    (void)state;
    char text[4200] = "E1:new=1";
    for (size_t i = strlen(text); i < 4096; i++)
        text[i] = i % 2 ? '1' : '/';
    text[4095] = '2';
    attune_problem *problem;
    text[4094] = '/';
    assert_int_equal(attune_problem_parse(text, &problem),
                     ATTUNE_ERROR_INVALID_SIZE); /* its canonical text is longer */
    assert_null(problem);
    text[4000] = '\0';
    text[3999] = '2';
    problem = parse(text);
    attune_problem_destroy(&problem);
    memset(text, '1', 4097);
    assert_int_equal(attune_problem_parse(text, &problem), ATTUNE_ERROR_SYNTAX);
    assert_non_null(strstr(attune_last_error(), "4096"));
    assert_int_equal(attune_problem_parse(NULL, &problem), ATTUNE_ERROR_NULL_ARGUMENT);
    assert_int_equal(attune_problem_parse("E1", NULL), ATTUNE_ERROR_NULL_ARGUMENT);
}

/* Random bytes and mutated good texts: refused, or stable under a second round. */
static void any_text_is_safe(void **state)
{
    (void)state;
    static const char letters[] = "E1PD:,=/0123456789-.hqkvdprecnwbatfx";
    struct rng rng;
    rng_seed(&rng, 20240701);
    for (int round = 0; round < 20000; round++) {
        char text[160];
        copy_string(text, sizeof text,
                    "extend:hq=4,hkv=2,d=8,q=fp16,kv=int8,cap=1.5,scale=.1,prefix=1/2/3,new=4/5,batch=7");
        for (uint64_t edits = 1 + rng_below(&rng, 3); edits > 0; edits--)
            text[rng_below(&rng, strlen(text))] = letters[rng_below(&rng, sizeof letters - 1)];
        attune_problem *problem;
        if (attune_problem_parse(text, &problem))
            continue;
        attune_problem *again;
        if (attune_problem_parse(problem->text, &again) || strcmp(again->text, problem->text))
            fail_msg("seed 20240701, round %d: \"%s\" gives \"%s\"", round, text, problem->text);
        attune_problem_destroy(&again);
        attune_problem_destroy(&problem);
    }
}

/* The strides that a padded problem names, of K and of V. */
static void padding_gives_strides(void **state)
{
    (void)state;
    static const struct {
        const char *fields;
        int64_t k[3], v[3]; /* page, token, head */
    } cases[] = {{"page=1,kvpad=5", {21, 21, 8}, {17, 17, 6}},
                 {"page=16,kvpad=5", {16 * 21, 21, 8}, {16 * 17, 17, 6}},
                 {"page=16,order=hnd,kvpad=5", {2 * 133, 8, 133}, {2 * 101, 6, 101}}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char text[160];
        snprintf(text, sizeof text, "decode:hq=4,hkv=2,d=8,dv=6,kvlen=9,%s", cases[i].fields);
        attune_problem *problem = parse(text);
        attune_kv_layout_options o = problem_layout(problem, 64);
        const int64_t k[] = {o.k_stride_page, o.k_stride_token, o.k_stride_head};
        const int64_t v[] = {o.v_stride_page, o.v_stride_token, o.v_stride_head};
        assert_int_equal(o.order, ATTUNE_KV_STRIDED);
        assert_memory_equal(k, cases[i].k, sizeof k);
        assert_memory_equal(v, cases[i].v, sizeof v);
        attune_problem_destroy(&problem);
    }
}

static void created_problems_have_texts(void **state)
{
    (void)state;
    attune_problem *parsed = parse("E3:q=fp32,kv=fp32"), *problem;
    assert_int_equal(problem_create(&parsed->desc, 1, parsed->batch, parsed->q_len, parsed->kv_len, &problem),
                     ATTUNE_OK);
    assert_string_equal(attune_problem_text(problem), attune_problem_text(parsed));
    assert_string_equal(attune_problem_name(problem), attune_problem_text(parsed));
    attune_problem_destroy(&problem);
    assert_int_equal(problem_create(&parsed->desc, 1, 0, parsed->q_len, parsed->kv_len, &problem),
                     ATTUNE_ERROR_INVALID_SIZE);
    assert_int_equal(problem_create(&parsed->desc, 1, 1, parsed->kv_len + 1, parsed->q_len, &problem),
                     ATTUNE_ERROR_INVALID_SIZE); /* fewer keys than new tokens */
    assert_null(problem);
    attune_problem_destroy(&parsed);
}

/* Work against a count of every pair. */
static void work_is_counted(void **state)
{
    (void)state;
    attune_problem *problem = parse("P1");
    assert_true(attune_problem_flops(problem) == 4.0 * 8 * 1024 * 1024 * 128);
    assert_true(attune_problem_bytes(problem) == 4.0 * 8 * 1024 * 128 * 4);
    attune_problem_destroy(&problem);
    problem = parse("D6");
    assert_true(attune_problem_bytes(problem) == 32768.0 * 8 * (256 + 8) + 32 * 256 * 2);
    attune_problem_destroy(&problem);
    struct rng rng;
    rng_seed(&rng, 7);
    for (int round = 0; round < 2000; round++) {
        char text[200];
        snprintf(text, sizeof text,
                 "prefill:hq=4,hkv=2,d=3,dv=5,new=%d/%d,kvlen=%d,causal=%d,align=%s,window=%d,wright=%d",
                 (int)rng_below(&rng, 9), (int)rng_below(&rng, 9), (int)rng_below(&rng, 9), (int)rng_below(&rng, 2),
                 rng_below(&rng, 2) ? "br" : "tl", (int)rng_below(&rng, 6) - 1, (int)rng_below(&rng, 6) - 1);
        problem = parse(text);
        double pairs = 0;
        for (int b = 0; b < problem->batch; b++)
            for (int i = 0; i < problem->q_len[b]; i++) {
                int64_t begin, end;
                desc_visible_keys(&problem->desc, problem->q_len[b], problem->kv_len[b], i, &begin, &end);
                pairs += (double)(end - begin);
            }
        if (attune_problem_flops(problem) != 2 * pairs * 4 * (3 + 5))
            fail_msg("seed 7, %s: %g FLOPs for %g pairs", text, attune_problem_flops(problem), pairs);
        attune_problem_destroy(&problem);
    }
}

static void buckets(void **state)
{
    (void)state;
    attune_problem *problem = parse("extend:hq=4,hkv=2,d=8,prefix=100/200,new=16/17,batch=4");
    struct shape_bucket bucket = shape_bucket_of(&problem->desc, problem->batch, problem->q_len, problem->kv_len);
    assert_int_equal(bucket.q_class, 2);    /* mean 16.5 */
    assert_int_equal(bucket.log2_kv, 7);    /* mean 166.5 */
    assert_int_equal(bucket.log2_heads, 3); /* 4 x 2 */
    const struct backend_choice choice = {.limits.work_group_multiple = 32};
    struct kernel_facts facts = problem_facts(&problem->desc, problem->page_size, &choice);
    assert_true(facts.has_cache && facts.has_new && facts.causal && facts.group_size == 2 && facts.head_dim_vo == 8);
    assert_false(facts.decode);
    attune_problem_destroy(&problem);
    const int32_t zero = 0, one = 1;
    attune_attention_desc desc = ATTUNE_ATTENTION_DESC_INIT;
    desc.num_kv_heads = 1;
    bucket = shape_bucket_of(&desc, 1, &one, &zero);
    assert_true(bucket.q_class == 0 && bucket.log2_kv == 0 && bucket.log2_heads == 0);
}

/* The text that an engine's layout gives names that very layout, and its lengths. */
static void problems_come_from_layouts(void **state)
{
    (void)state;
    attune_attention_desc desc = ATTUNE_ATTENTION_DESC_INIT;
    desc.operation = ATTUNE_EXTEND;
    desc.num_q_heads = 6, desc.num_kv_heads = 3, desc.head_dim_qk = 8, desc.head_dim_vo = 6;
    desc.q_dtype = desc.o_dtype = ATTUNE_BF16, desc.kv_dtype = ATTUNE_FP16;
    static const struct {
        attune_kv_layout_options layout; /* size is filled in */
        const char *fields;              /* NULL: cannot be said */
    } cases[] = {
        {{0, ATTUNE_KV_NHD, ATTUNE_FP16, 3, 8, 6, 16, 64}, "page=16"},
        {{0, ATTUNE_KV_HND, ATTUNE_FP16, 3, 8, 6, 16, 64}, "page=16,order=hnd"},
        {{0, ATTUNE_KV_NHD, ATTUNE_FP16, 3, 8, 0, 1, 64}, NULL}, /* dims of V: of another descriptor */
        {{0, ATTUNE_KV_HND, ATTUNE_FP16, 3, 8, 6, 1, 64}, "page=1,order=hnd"},
        {{0, ATTUNE_KV_NHD, ATTUNE_FP16, 3, 8, 6, 1 << 20, 1 << 20}, "page=1048576"},
        {{0, ATTUNE_KV_STRIDED, ATTUNE_FP16, 3, 8, 6, 16, 64, 384, 24, 8, 288, 18, 6}, "page=16"},
        {{0, ATTUNE_KV_STRIDED, ATTUNE_FP16, 3, 8, 6, 16, 64, 384, 8, 128, 288, 6, 96}, "page=16,order=hnd"},
        {{0, ATTUNE_KV_STRIDED, ATTUNE_FP16, 3, 8, 6, 1, 64, 8, 0, 512, 6, 0, 384}, "page=1,order=hnd"},
        {{0, ATTUNE_KV_STRIDED, ATTUNE_FP16, 3, 8, 6, 16, 64, 464, 29, 8, 368, 23, 6}, "page=16,kvpad=5"},
        {{0, ATTUNE_KV_STRIDED, ATTUNE_FP16, 3, 8, 6, 16, 64, 399, 8, 133, 303, 6, 101}, "page=16,order=hnd,kvpad=5"},
        {{0, ATTUNE_KV_STRIDED, ATTUNE_FP16, 3, 8, 6, 16, 64, 768, 24, 8, 288, 18, 6}, NULL},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        attune_kv_layout_options options = cases[i].layout;
        options.size = sizeof options;
        struct attune_kv_layout layout, named;
        assert_int_equal(kv_layout_init(NULL, &options, &layout), ATTUNE_OK);
        const attune_shape shape = {2, 5, 70};
        const int32_t q_len[] = {5, 5}, kv_len[] = {70, 70}, other[] = {70, 71};
        attune_problem *problem, *again;
        attune_status status = attune_problem_from(&desc, &layout, &shape, &problem);
        if (!cases[i].fields) {
            assert_int_equal(status, i == 2 ? ATTUNE_ERROR_MISMATCH : ATTUNE_ERROR_UNSUPPORTED);
            assert_null(problem);
            continue;
        }
        if (status)
            fail_msg("%s: %s", cases[i].fields, attune_last_error());
        char text[256];
        snprintf(text, sizeof text,
                 "extend:hq=6,hkv=3,d=8,dv=6,q=bf16,kv=fp16,prec=strict,causal=1,%s,batch=2,prefix=65,new=5",
                 cases[i].fields);
        assert_string_equal(attune_problem_text(problem), text);
        assert_text(text, text);
        assert_int_equal(attune_problem_from_lengths(&desc, &layout, 2, q_len, kv_len, &again), ATTUNE_OK);
        assert_string_equal(attune_problem_text(again), text);
        attune_problem_destroy(&again);
        assert_int_equal(attune_problem_from_lengths(&desc, &layout, 2, q_len, other, &again), ATTUNE_OK);
        assert_non_null(strstr(attune_problem_text(again), "prefix=65/66,new=5"));
        attune_problem_destroy(&again);
        attune_kv_layout_options back = problem_layout(problem, layout.num_slots);
        assert_int_equal(kv_layout_init(NULL, &back, &named), ATTUNE_OK);
        assert_string_equal(named.id, layout.id);
        attune_problem_destroy(&problem);
    }
}

static void problems_refuse_what_plans_refuse(void **state)
{
    (void)state;
    attune_attention_desc desc = ATTUNE_ATTENTION_DESC_INIT;
    desc.num_q_heads = desc.num_kv_heads = 2, desc.head_dim_qk = 64;
    attune_shape shape = {1, 8, 8};
    attune_problem *problem = (attune_problem *)&desc;
    assert_int_equal(attune_problem_from(&desc, NULL, &shape, &problem), ATTUNE_OK);
    assert_string_equal(attune_problem_text(problem),
                        "prefill:hq=2,hkv=2,d=64,q=fp32,kv=fp32,prec=strict,causal=1,page=0,kvlen=8,new=8");
    attune_problem_destroy(&problem);
    desc.scale = 0.125f; /* the default's value is the default */
    assert_int_equal(attune_problem_from(&desc, NULL, &shape, &problem), ATTUNE_OK);
    assert_null(strstr(attune_problem_text(problem), "scale"));
    attune_problem_destroy(&problem);
    desc.scale = 0;
    assert_int_equal(attune_problem_from(&desc, NULL, NULL, &problem), ATTUNE_ERROR_NULL_ARGUMENT);
    assert_int_equal(attune_problem_from(NULL, NULL, &shape, &problem), ATTUNE_ERROR_NULL_ARGUMENT);
    assert_int_equal(attune_problem_from(&desc, NULL, &shape, NULL), ATTUNE_ERROR_NULL_ARGUMENT);
    assert_int_equal(attune_problem_from_lengths(&desc, NULL, 1, NULL, NULL, &problem), ATTUNE_ERROR_NULL_ARGUMENT);
    shape.batch = 0;
    assert_int_equal(attune_problem_from(&desc, NULL, &shape, &problem), ATTUNE_ERROR_INVALID_SIZE);
    assert_non_null(strstr(attune_last_error(), "shape.batch is 0"));
    shape = (attune_shape){1 << 20, 1 << 20, 1 << 20};
    assert_int_equal(attune_problem_from(&desc, NULL, &shape, &problem), ATTUNE_ERROR_OVERFLOW);
    desc.operation = ATTUNE_EXTEND;
    shape = (attune_shape){1, 8, 8};
    assert_int_equal(attune_problem_from(&desc, NULL, &shape, &problem), ATTUNE_ERROR_NULL_ARGUMENT);
    assert_non_null(strstr(attune_last_error(), "layout is NULL"));
    assert_null(problem);
}

/* Every bucket of the range has its problem, which is in the range; no bucket has two. */
static void check_grid(const char *text, int32_t low[2], int32_t high[2])
{
    static attune_problem *problems[ATTUNE_GRID_MAX];
    size_t count = 0;
    if (attune_problem_grid(text, 0, problems, ATTUNE_GRID_MAX, &count))
        fail_msg("%s: %s", text, attune_last_error());
    struct shape_bucket buckets[ATTUNE_GRID_MAX];
    for (size_t i = 0; i < count; i++) {
        const struct attune_problem *p = problems[i];
        buckets[i] = shape_bucket_of(&p->desc, p->batch, p->q_len, p->kv_len);
        if (p->batch < low[0] || p->batch > high[0] || p->kv_len[0] < low[1] || p->kv_len[0] > high[1])
            fail_msg("%s gives %s", text, p->text);
        for (size_t k = 0; k < i; k++)
            if (shape_bucket_equal(buckets[i], buckets[k]))
                fail_msg("%s gives %s and %s", text, problems[k]->text, p->text);
    }
    for (int32_t batch = low[0]; batch <= high[0]; batch++)
        for (int32_t keys = low[1]; keys <= high[1]; keys++) {
            struct shape_bucket bucket = shape_bucket_uniform(&problems[0]->desc, batch, 1, keys);
            size_t i = 0;
            while (i < count && !shape_bucket_equal(buckets[i], bucket))
                i++;
            if (i == count)
                fail_msg("%s has nothing for batch %d with %d keys", text, batch, keys);
        }
    for (size_t i = 0; i < count; i++)
        attune_problem_destroy(&problems[i]);
}

static void grids_cover_their_ranges(void **state)
{
    (void)state;
    struct rng rng;
    rng_seed(&rng, 77);
    for (int round = 0; round < 300; round++) {
        int32_t heads = 1 + (int32_t)rng_below(&rng, 12), low[2], high[2];
        for (int i = 0; i < 2; i++) {
            low[i] = 1 + (int32_t)rng_below(&rng, 40);
            high[i] = low[i] + (int32_t)rng_below(&rng, i ? 600 : 70);
        }
        char text[160];
        snprintf(text, sizeof text, "decode:hq=%d,hkv=%d,d=8,kvlen=%d..%d,batch=%d..%d", (int)heads, (int)heads,
                 (int)low[1], (int)high[1], (int)low[0], (int)high[0]);
        check_grid(text, low, high);
    }
}

static void grids(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int64_t limit;
        size_t count;
        const char *first, *last; /* ends of their texts */
    } cases[] = {
        {"decode:hq=32,hkv=8,d=128,page=16,batch=1..64,kvlen=512..32768", 0, 49, "page=16,kvlen=768,new=1",
         "batch=64,kvlen=32768,new=1"},
        {"decode:hq=32,hkv=8,d=128,page=16,batch=1..64,kvlen=512..32768", 131072, 39, ",kvlen=768,new=1",
         "batch=64,kvlen=2048,new=1"},
        {"extend:hq=8,hkv=8,d=64,new=1..16/300..4000,prefix=1000", 0, 3, "prefix=1000,new=1", "prefix=1000,new=512"},
        {"prefill:hq=8,hkv=8,d=64,new=128..300", 0, 3, "kvlen=128,new=128", "kvlen=278,new=278"},
        {"prefill:hq=8,hkv=8,d=64,new=100,kvlen=100..300/290", 0, 3, "kvlen=114,new=100", "kvlen=278,new=100"},
        {"D1", 0, 1, "page=0,kvlen=32768,new=1", "new=1"},
        {"E3:new=8", 0, 1, "batch=4,prefix=672,new=8", "new=8"},
    };
    static attune_problem *problems[ATTUNE_GRID_MAX];
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        size_t count = 0;
        if (attune_problem_grid(cases[i].text, cases[i].limit, problems, ATTUNE_GRID_MAX, &count))
            fail_msg("%s: %s", cases[i].text, attune_last_error());
        const char *first = problems[0]->text, *last = problems[count - 1]->text;
        if (count != cases[i].count || !strstr(first, cases[i].first) || !strstr(last, cases[i].last))
            fail_msg("%s: %zu from %s to %s", cases[i].text, count, first, last);
        for (size_t k = 0; k < count; k++)
            attune_problem_destroy(&problems[k]);
        assert_int_equal(attune_problem_grid(cases[i].text, cases[i].limit, NULL, 0, &count), ATTUNE_OK);
        assert_int_equal(count, cases[i].count);
    }
}

static void bad_grids_are_refused(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int64_t limit;
        attune_status status;
        const char *says;
    } cases[] = {
        {"decode:hq=1,hkv=1,d=1,kvlen=5..4", 0, ATTUNE_ERROR_SYNTAX, "kvlen=5..4"},
        {"decode:hq=1,hkv=1,d=1,kvlen=5..", 0, ATTUNE_ERROR_SYNTAX, "kvlen=5.."},
        {"decode:hq=1,hkv=1,d=1,kvlen=..5", 0, ATTUNE_ERROR_SYNTAX, "kvlen=..5"},
        {"decode:hq=1,hkv=1,d=1,kvlen=", 0, ATTUNE_ERROR_SYNTAX, "kvlen"},
        {"decode:hq=1,hkv=1,d=1,kvlen", 0, ATTUNE_ERROR_SYNTAX, "kvlen"},
        {"decode:hq=1,hkv=1,d=1,kvlen=1/", 0, ATTUNE_ERROR_SYNTAX, "kvlen=1/"},
        {"decode:hq=1,hkv=1,d=1,kvlen=1,kvlen=2", 0, ATTUNE_ERROR_SYNTAX, "given twice"},
        {"decode:hq=1,hkv=1,d=1,kvlen=1,", 0, ATTUNE_ERROR_SYNTAX, "comma"},
        {"decode:hq=1,hkv=1,d=1,kvlen=2147483648", 0, ATTUNE_ERROR_SYNTAX, "2147483647"},
        {"decode:hq=1,hkv=1,d=1,kvlen=1/2/3/4/5/6/7/8/9/10/11/12/13/14/15/16/17", 0, ATTUNE_ERROR_INVALID_SIZE, "16"},
        {"decode:hq=1,hkv=1,d=1", 0, ATTUNE_ERROR_SYNTAX, "\"kvlen\" is missing"},
        {"decode:hq=1,hkv=1,d=1,kvlen=1,prefix=2", 0, ATTUNE_ERROR_SYNTAX, "\"prefix\""},
        {"decode:hq=1..4,hkv=1,d=1,kvlen=1", 0, ATTUNE_ERROR_SYNTAX, "hq=1..4"},
        {"decode:hq=1,hkv=1,d=1,kvlen=9,batch=0..4", 0, ATTUNE_ERROR_INVALID_SIZE, "batch is 0"},
        {"decode:hq=1,hkv=1,d=1,kvlen=8..9", 7, ATTUNE_ERROR_INVALID_SIZE, "more than 7 keys"},
        {"decode:hq=1,hkv=1,d=1,kvlen=8..9", -1, ATTUNE_ERROR_INVALID_SIZE, "max_kv_tokens is -1"},
        {"nonsense", 0, ATTUNE_ERROR_SYNTAX, "unknown workload"},
        {"", 0, ATTUNE_ERROR_SYNTAX, "unknown workload"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        attune_problem *problem = NULL;
        size_t count = 99;
        attune_status status = attune_problem_grid(cases[i].text, cases[i].limit, &problem, 1, &count);
        if (status != cases[i].status || count != 99 || problem || !strstr(attune_last_error(), cases[i].says))
            fail_msg("\"%s\": %s: %s", cases[i].text, attune_status_name(status), attune_last_error());
    }
    assert_int_equal(attune_problem_grid("D1", 0, NULL, 0, NULL), ATTUNE_ERROR_NULL_ARGUMENT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(texts_are_canonical),
        cmocka_unit_test(lists_repeat),
        cmocka_unit_test(suites_parse),
        cmocka_unit_test(appended_fields_replace),
        cmocka_unit_test(missing_features_are_named),
        cmocka_unit_test(bad_texts_are_refused),
        cmocka_unit_test(long_texts_are_refused),
        cmocka_unit_test(any_text_is_safe),
        cmocka_unit_test(created_problems_have_texts),
        cmocka_unit_test(padding_gives_strides),
        cmocka_unit_test(problems_come_from_layouts),
        cmocka_unit_test(problems_refuse_what_plans_refuse),
        cmocka_unit_test(grids_cover_their_ranges),
        cmocka_unit_test(grids),
        cmocka_unit_test(bad_grids_are_refused),
        cmocka_unit_test(work_is_counted),
        cmocka_unit_test(buckets),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
