/* SPDX-License-Identifier: Apache-2.0
 * The work list: every (query, key, head) that the mask allows is in exactly one item, in the order that the rules say,
 * within the bounds. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "base/base.h"
#include "base/rng.h"
#include "work_list.h"

#define MAX_BATCH 40

struct random_step {
    struct work_list_rules rules;
    int32_t q_len[MAX_BATCH], kv_len[MAX_BATCH];
    uint8_t segment_of[MAX_BATCH];
    struct step step;
    struct work_list_bounds bounds;
    int32_t *words;
    struct work_list list;
};

static int32_t draw(struct rng *rng, int32_t low, int32_t high)
{
    return low + (int32_t)rng_below(rng, (uint64_t)(high - low + 1));
}

/* Longer ones rarely. */
static int32_t draw_length(struct rng *rng, int32_t most)
{
    return draw(rng, 0, draw(rng, 0, draw(rng, 0, most)));
}

static void draw_step(struct rng *rng, struct random_step *r)
{
    static const attune_operation operations[] = {ATTUNE_PREFILL, ATTUNE_EXTEND, ATTUNE_DECODE};
    int32_t group = 1 << draw(rng, 0, 2);
    memset(r, 0, sizeof *r);
    r->rules = (struct work_list_rules){
        .operation = operations[draw(rng, 0, 2)],
        .mask = {draw(rng, 0, 1), draw(rng, 0, 1)},
        .cached = draw(rng, 0, 1),
        .num_q_heads = group * draw(rng, 1, 3),
        .num_segments = draw(rng, 1, 3),
        .max_batch = MAX_BATCH,
        .max_kv_len = 3000,
        .fixed_split = draw(rng, 0, 2) ? 0 : 16 * draw(rng, 1, 20),
    };
    for (int32_t s = 0; s < r->rules.num_segments; s++)
        r->rules.segments[s] = (struct segment_shape){1 << draw(rng, 0, 6), draw(rng, 0, 1) ? group : 1,
                                                      draw(rng, 0, 3) ? 16 * draw(rng, 1, 10) : 0, draw(rng, 1, 100)};
    r->step = (struct step){draw(rng, 0, MAX_BATCH), r->q_len, r->kv_len, r->segment_of};
    int32_t longest = draw(rng, 0, 1) ? 200 : 1;
    for (int32_t i = 0; i < r->step.batch; i++) {
        r->q_len[i] = draw_length(rng, longest);
        r->kv_len[i] = draw_length(rng, r->rules.max_kv_len);
        if (r->rules.operation == ATTUNE_EXTEND && r->kv_len[i] < r->q_len[i])
            r->kv_len[i] = r->q_len[i];
        r->segment_of[i] = (uint8_t)draw(rng, 0, r->rules.num_segments - 1);
        r->rules.max_q_tokens += r->q_len[i];
        r->rules.max_kv_tokens += r->kv_len[i];
    }
    if (draw(rng, 0, 1))
        r->rules.max_kv_tokens = 0; /* not known */
    if (!r->rules.max_q_tokens)
        r->rules.max_q_tokens = 1;
    assert_true(work_list_bounds(&r->rules, &r->bounds));
    r->words = malloc((size_t)r->bounds.words * sizeof *r->words); /* no more: sanitizers see writes behind it */
    assert_non_null(r->words);
    work_list_write(&r->rules, &r->step, r->words, &r->list);
}

/* Keys of the sequence's queries and heads that items so far visit: [head][query], the next position each. */
struct coverage {
    int32_t *next[MAX_BATCH];
};

static void cover(const struct random_step *r, struct coverage *c, const int32_t *item)
{
    const int32_t *sequence = r->words + r->words[SCHEDULE_SEQUENCES_AT] + item[ITEM_SEQ] * SEQUENCE_WORDS;
    const struct segment_shape *segment = &r->rules.segments[r->segment_of[item[ITEM_SEQ]]];
    int32_t q = r->q_len[item[ITEM_SEQ]], keys = sequence[SEQ_SPLIT_KEYS];
    assert_true(item[ITEM_Q_COUNT] >= 1 && item[ITEM_Q_COUNT] <= segment->tile_tokens);
    assert_int_equal(item[ITEM_HEAD] % segment->tile_heads, 0);
    assert_int_equal(item[ITEM_KV_BEGIN], item[ITEM_SPLIT] * keys);
    assert_true(!keys || (item[ITEM_KV_END] > item[ITEM_KV_BEGIN] && item[ITEM_KV_END] - item[ITEM_KV_BEGIN] <= keys));
    for (int32_t h = item[ITEM_HEAD]; h < item[ITEM_HEAD] + segment->tile_heads; h++)
        for (int32_t t = item[ITEM_Q_BEGIN]; t < item[ITEM_Q_BEGIN] + item[ITEM_Q_COUNT]; t++)
            c->next[item[ITEM_SEQ]][h * q + t] += item[ITEM_KV_END] - item[ITEM_KV_BEGIN];
}

/* Together the items of a tile visit its keys: once each, as splits begin where the index says. */
static void check_coverage(const struct random_step *r, const struct coverage *c)
{
    for (int32_t i = 0; i < r->step.batch; i++)
        for (int32_t h = 0; h < r->rules.num_q_heads; h++)
            for (int32_t t = 0; t < r->q_len[i]; t++) {
                int32_t tokens = r->rules.segments[r->segment_of[i]].tile_tokens;
                struct tile tile = rule_tile(r->rules.mask, tokens, t / tokens, r->q_len[i], r->kv_len[i]);
                assert_int_equal(c->next[i][h * r->q_len[i] + t], tile.kv_end);
            }
}

/* The rank of an item among its segment's: class, head, sequence, tile, split. */
static int order(const int32_t *a, const int32_t *b)
{
    const int32_t keys[][2] = {
        {rule_cost_class(a[ITEM_Q_COUNT], a[ITEM_KV_END] - a[ITEM_KV_BEGIN]),
         rule_cost_class(b[ITEM_Q_COUNT], b[ITEM_KV_END] - b[ITEM_KV_BEGIN])},
        {a[ITEM_HEAD], b[ITEM_HEAD]},
        {a[ITEM_SEQ], b[ITEM_SEQ]},
        {a[ITEM_Q_BEGIN], b[ITEM_Q_BEGIN]},
        {a[ITEM_SPLIT], b[ITEM_SPLIT]},
    };
    for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++)
        if (keys[i][0] != keys[i][1])
            return keys[i][0] < keys[i][1] ? -1 : 1;
    return 0;
}

static void check_items(const struct random_step *r)
{
    struct coverage coverage;
    for (int32_t i = 0; i < r->step.batch; i++)
        assert_non_null(coverage.next[i] = calloc((size_t)(r->rules.num_q_heads * r->q_len[i] + 1), sizeof(int32_t)));
    for (int32_t s = 0; s < r->rules.num_segments; s++)
        for (int32_t i = 0, first = r->words[4 + 2 * s]; i < r->words[5 + 2 * s]; i++) {
            const int32_t *item = r->words + r->words[SCHEDULE_ITEMS_AT] + (first + i) * ITEM_WORDS;
            assert_int_equal(r->segment_of[item[ITEM_SEQ]], s);
            assert_true(i == 0 || order(item - ITEM_WORDS, item) < 0);
            cover(r, &coverage, item);
        }
    check_coverage(r, &coverage);
    for (int32_t i = 0; i < r->step.batch; i++)
        free(coverage.next[i]);
}

/* Partial rows follow each other, and each query of a split sequence is merged once, in order. */
static void check_merges(const struct random_step *r)
{
    const int32_t *merge = r->words + r->words[SCHEDULE_MERGE_AT];
    int64_t rows = 0;
    int32_t merged = 0;
    for (int32_t i = 0; i < r->step.batch; i++) {
        const int32_t *sequence = r->words + r->words[SCHEDULE_SEQUENCES_AT] + i * SEQUENCE_WORDS;
        int32_t keys = sequence[SEQ_SPLIT_KEYS],
                seen = rule_seen_keys(r->rules.mask, r->q_len[i], r->q_len[i], r->kv_len[i]);
        assert_int_equal(sequence[SEQ_PARTIAL], keys ? rows : -1);
        assert_int_equal(keys % SPLIT_UNIT, 0);
        assert_true(!keys || seen > keys);
        assert_true(!keys || r->rules.segments[r->segment_of[i]].split_keys);
        assert_true(!keys || !r->rules.fixed_split || keys == r->rules.fixed_split);
        if (!keys)
            continue;
        rows += (int64_t)rule_num_splits(seen, keys) * r->q_len[i] * r->rules.num_q_heads;
        for (int32_t t = 0; t < r->q_len[i]; t++, merged++, merge += MERGE_WORDS) {
            assert_int_equal(merge[MERGE_SEQ], i);
            assert_int_equal(merge[MERGE_QUERY], t);
        }
    }
    assert_int_equal(r->words[SCHEDULE_MERGE_COUNT], merged);
    assert_int_equal(r->list.merge_rows, merged);
    assert_int_equal(r->list.partial_rows, rows);
    assert_int_equal(r->list.words, merge - r->words);
    assert_true(rows <= r->bounds.partial_rows);
    assert_true((int64_t)r->list.words <= r->bounds.words);
}

static void random_steps(void **state)
{
    (void)state;
    const char *text = getenv("TEST_SEED");
    uint64_t seed = text ? strtoull(text, NULL, 10) : 20262;
    print_message("seed %llu (TEST_SEED)\n", (unsigned long long)seed);
    struct rng rng;
    rng_seed(&rng, seed);
    int split = 0;
    for (int i = 0; i < 3000; i++) {
        struct random_step r;
        draw_step(&rng, &r);
        check_items(&r);
        check_merges(&r);
        split += r.list.merge_rows > 0;
        free(r.words);
    }
    print_message("%d of 3000 steps have splits\n", split);
    assert_true(split > 300);
}

/* Bounds for lengths near 2^31 neither overflow nor come out small. */
static void the_longest_lengths(void **state)
{
    (void)state;
    struct work_list_rules rules = {.operation = ATTUNE_DECODE,
                                    .cached = true,
                                    .num_q_heads = 1024,
                                    .num_segments = 1,
                                    .segments = {{1, 1, 128, 64}},
                                    .max_batch = 1,
                                    .max_kv_len = INT32_MAX,
                                    .max_q_tokens = 1};
    struct work_list_bounds bounds;
    int32_t q_len = 1, kv_len = INT32_MAX;
    uint8_t segment = 0;
    const struct step step = {1, &q_len, &kv_len, &segment};
    struct work_list list;
    rules.num_q_heads = 1;
    assert_true(work_list_bounds(&rules, &bounds));
    int32_t *words = malloc((size_t)bounds.words * sizeof *words);
    assert_non_null(words);
    work_list_write(&rules, &step, words, &list);
    assert_true(list.partial_rows > 64 && list.partial_rows <= bounds.partial_rows && list.partial_rows <= 128);
    const int32_t *last = words + words[SCHEDULE_MERGE_AT] - ITEM_WORDS;
    assert_int_equal(last[ITEM_KV_END], INT32_MAX);
    free(words);
    rules.max_q_tokens = INT32_MAX;
    rules.num_q_heads = 1024;
    assert_false(work_list_bounds(&rules, &bounds));
    rules.max_q_tokens = 1;
    rules.fixed_split = 16; /* 2^27 splits of 1,024 rows */
    assert_false(work_list_bounds(&rules, &bounds));
}

/* Sizes of an engine: what is split by a fixed size is bounded by the keys of a step, not by its queries. */
static void a_fixed_split_asks_for_what_a_step_can_hold(void **state)
{
    (void)state;
    struct work_list_rules rules = {.mask = {1, 0},
                                    .operation = ATTUNE_EXTEND,
                                    .cached = true,
                                    .num_q_heads = 32,
                                    .num_segments = 1,
                                    .segments = {{64, 4, 256, 64}},
                                    .max_batch = 64,
                                    .max_kv_len = 131072,
                                    .max_q_tokens = 8192,
                                    .max_kv_tokens = 262144,
                                    .fixed_split = 512};
    struct work_list_bounds bounds;
    const int64_t a_row = (128 + 1) * sizeof(float);
    assert_true(work_list_bounds(&rules, &bounds));
    assert_true(bounds.partial_rows * a_row < (int64_t)160 << 20); /* 34.6 GB as queries x splits */
    rules.max_kv_tokens = 0;
    assert_true(work_list_bounds(&rules, &bounds));
    assert_true(bounds.partial_rows * a_row < (int64_t)5 << 30);
    rules.fixed_split = 0;
    assert_true(work_list_bounds(&rules, &bounds));
    assert_true(bounds.partial_rows * a_row < (int64_t)20 << 20);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(random_steps),
        cmocka_unit_test(the_longest_lengths),
        cmocka_unit_test(a_fixed_split_asks_for_what_a_step_can_hold),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
