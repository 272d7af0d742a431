/* SPDX-License-Identifier: Apache-2.0
 *
 * A sequence's queries are cut into tiles of its configuration, and its keys into splits where that pays; one item is a
 * tile times a split times a group of query heads. Items are sorted by falling cost (queries x keys) with a counting
 * sort over half octaves, so that the strided distribution of a fixed grid is balanced: the longest-processing-time
 * rule of list scheduling (Graham 1969). Within one class of cost, items of a head stand together, so that neighbours
 * share K and V.
 */
#include "work_list.h"

#include <string.h>

/* ---- bounds */

static int32_t head_groups(const struct work_list_rules *rules, int32_t segment)
{
    return rules->num_q_heads / rules->segments[segment].tile_heads;
}

static int64_t least(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

/* Items if nothing is split: every sequence ends in a partly filled tile. Counts stay below 2^31 x 2^10 each. */
static int64_t most_whole_items(const struct work_list_rules *rules)
{
    int64_t filled = 0, partly = 0;
    for (int32_t s = 0; s < rules->num_segments; s++) {
        int64_t groups = head_groups(rules, s);
        int64_t items = rules->max_q_tokens / rules->segments[s].tile_tokens * groups + groups;
        filled = items > filled ? items : filled;
        partly = groups > partly ? groups : partly;
    }
    return filled + rules->max_batch * partly;
}

/* What splits make of it. */
struct split_bounds {
    int64_t items, rows, merged;
};

/* By load: no segment has more than SPLIT_WAVES x num_groups split items. */
static struct split_bounds most_by_load(const struct work_list_rules *rules)
{
    struct split_bounds most = {0, 0, 0};
    int64_t shortest = INT32_MAX, rows;
    for (int32_t s = 0; s < rules->num_segments; s++) {
        const struct segment_shape *segment = &rules->segments[s];
        int64_t items = (int64_t)SPLIT_WAVES * segment->num_groups;
        if (!segment->split_keys)
            continue;
        most.items += items;
        most.rows += items * least(segment->tile_tokens, rules->max_q_tokens) * segment->tile_heads;
        shortest = least(shortest, segment->split_keys);
    }
    int64_t splits = rule_num_splits(rules->max_kv_len, (int32_t)shortest);
    if (!most.items || splits < 2)
        return (struct split_bounds){0, 0, 0};
    if (!__builtin_mul_overflow(rules->max_q_tokens * rules->num_q_heads, splits, &rows))
        most.rows = least(most.rows, rows);
    most.merged = least(rules->max_q_tokens, most.rows / rules->num_q_heads);
    return most;
}

/* By a fixed size: sequences of at most FIXED_SPLIT_QUERIES queries, in pieces of which all but the last are whole; so
 * over the step, pieces <= keys / size + sequences. */
static struct split_bounds most_by_size(const struct work_list_rules *rules)
{
    int64_t size = rules->fixed_split, splits = rule_num_splits(rules->max_kv_len, rules->fixed_split), items = 0;
    int64_t keys = (int64_t)rules->max_batch * rules->max_kv_len;
    if (rules->max_kv_tokens)
        keys = least(keys, rules->max_kv_tokens);
    int64_t sequences = least(least(rules->max_batch, rules->max_q_tokens), keys / (size + 1));
    int64_t queries = least(rules->max_q_tokens, sequences * FIXED_SPLIT_QUERIES);
    int64_t pieces = least(sequences * splits, keys / size + sequences);
    for (int32_t s = 0; s < rules->num_segments; s++) {
        int64_t tiles = (FIXED_SPLIT_QUERIES - 1) / rules->segments[s].tile_tokens + 1;
        if (rules->segments[s].split_keys && tiles * head_groups(rules, s) > items)
            items = tiles * head_groups(rules, s);
    }
    if (!items || splits < 2)
        return (struct split_bounds){0, 0, 0};
    int64_t rows = least(queries * splits, FIXED_SPLIT_QUERIES * (keys / size) + queries);
    return (struct split_bounds){items * pieces, rows * rules->num_q_heads, queries};
}

bool work_list_bounds(const struct work_list_rules *rules, struct work_list_bounds *out)
{
    struct split_bounds split = rules->fixed_split ? most_by_size(rules) : most_by_load(rules);
    int64_t items = most_whole_items(rules) + split.items;
    out->partial_rows = split.rows;
    out->words =
        items * ITEM_WORDS + SCHEDULE_HEADER + (int64_t)rules->max_batch * SEQUENCE_WORDS + split.merged * MERGE_WORDS;
    return out->words <= INT32_MAX && out->partial_rows <= INT32_MAX;
}

/* ---- sequences */

int32_t work_list_new_keys(const struct work_list_rules *rules, int32_t q_len, int32_t kv_len)
{
    switch (rules->operation) {
    case ATTUNE_PREFILL:
        return kv_len;
    case ATTUNE_EXTEND:
        return q_len;
    default:
        return rules->cached ? 0 : kv_len;
    }
}

static void write_sequences(const struct work_list_rules *rules, const struct step *step, int32_t *words)
{
    int32_t q_start = 0, new_start = 0;
    for (int32_t i = 0; i < step->batch; i++) {
        int32_t q = step->q_len[i], kv = step->kv_len[i], fresh = work_list_new_keys(rules, q, kv);
        int32_t *sequence = words + (size_t)i * SEQUENCE_WORDS;
        sequence[SEQ_Q_START] = q_start;
        sequence[SEQ_Q_LEN] = q;
        sequence[SEQ_CACHE_LEN] = kv - fresh;
        sequence[SEQ_NEW_START] = new_start;
        sequence[SEQ_NEW_LEN] = fresh;
        sequence[SEQ_Q_POS] = rule_q_pos(rules->mask, q, kv);
        sequence[SEQ_PARTIAL] = -1;
        sequence[SEQ_SPLIT_KEYS] = 0;
        q_start += q;
        new_start += fresh;
    }
}

/* Writes SEQ_PARTIAL and SEQ_SPLIT_KEYS of the sequences that are split. */
static void split_sequences(const struct work_list_rules *rules, const struct step *step, int32_t *words,
                            struct work_list *out)
{
    int64_t load[SCHEDULE_MAX_SEGMENTS] = {0};
    int32_t share[SCHEDULE_MAX_SEGMENTS];
    for (int32_t i = 0; i < step->batch; i++)
        load[step->segment_of[i]] +=
            rule_load(rules->mask, rules->segments[step->segment_of[i]].tile_tokens, step->q_len[i], step->kv_len[i]);
    for (int32_t s = 0; s < rules->num_segments; s++)
        share[s] = rule_fair_share(load[s], head_groups(rules, s), rules->segments[s].num_groups);
    for (int32_t i = 0; i < step->batch; i++) {
        int32_t segment = step->segment_of[i], q = step->q_len[i];
        int32_t seen = rule_seen_keys(rules->mask, q, q, step->kv_len[i]);
        int32_t keys =
            q ? rule_split_keys(q, seen, share[segment], rules->segments[segment].split_keys, rules->fixed_split) : 0;
        if (!keys)
            continue;
        int32_t *sequence = words + (size_t)i * SEQUENCE_WORDS;
        sequence[SEQ_PARTIAL] = (int32_t)out->partial_rows;
        sequence[SEQ_SPLIT_KEYS] = keys;
        out->partial_rows += (int64_t)rule_num_splits(seen, keys) * q * rules->num_q_heads;
        out->merge_rows += q;
    }
}

/* ---- items of one query head */

/* The items of a step for head 0, by turns: sequences, tiles, splits. */
struct cursor {
    const struct work_list_rules *rules;
    const struct step *step;
    const int32_t *sequences;
    int32_t seq, num_tiles, next_tile, split_keys;
    struct tile tile;
    int32_t kv_begin, kv_end, split; /* of the current item */
};

static struct cursor first_item(const struct work_list_rules *rules, const struct step *step, const int32_t *sequences)
{
    return (struct cursor){.rules = rules, .step = step, .sequences = sequences, .seq = -1};
}

static bool next_tile(struct cursor *at)
{
    while (at->next_tile == at->num_tiles) {
        if (++at->seq >= at->step->batch)
            return false;
        at->num_tiles =
            rule_num_tiles(at->rules->segments[at->step->segment_of[at->seq]].tile_tokens, at->step->q_len[at->seq]);
        at->next_tile = 0;
        at->split_keys = at->sequences[(size_t)at->seq * SEQUENCE_WORDS + SEQ_SPLIT_KEYS];
    }
    at->tile = rule_tile(at->rules->mask, at->rules->segments[at->step->segment_of[at->seq]].tile_tokens,
                         at->next_tile++, at->step->q_len[at->seq], at->step->kv_len[at->seq]);
    at->kv_end = 0;
    at->split = -1;
    return true;
}

/* False at the end. A split sequence's tile that sees no key has no item. */
static bool next_item(struct cursor *at)
{
    if (at->seq < 0 || !at->split_keys || at->kv_end == at->tile.kv_end)
        do
            if (!next_tile(at))
                return false;
        while (at->split_keys && !at->tile.kv_end);
    at->split++;
    at->kv_begin = at->kv_end;
    at->kv_end =
        at->split_keys ? at->kv_begin + rule_min(at->split_keys, at->tile.kv_end - at->kv_begin) : at->tile.kv_end;
    return true;
}

static int32_t class_of(const struct cursor *at)
{
    return rule_cost_class(at->tile.q_count, at->kv_end - at->kv_begin);
}

/* ---- the list */

struct placement {
    int32_t count[SCHEDULE_MAX_SEGMENTS][COST_CLASSES]; /* items of one head */
    int32_t next[SCHEDULE_MAX_SEGMENTS][COST_CLASSES];  /* index of head 0's next item */
};

static void place_segments(const struct work_list_rules *rules, struct placement *placement, int32_t *header,
                           struct work_list *out)
{
    int32_t first = 0;
    for (int32_t s = 0; s < rules->num_segments; s++) {
        header[4 + 2 * s] = first;
        for (int c = 0; c < COST_CLASSES; c++) {
            placement->next[s][c] = first;
            first += placement->count[s][c] * head_groups(rules, s);
        }
        out->items[s] = header[5 + 2 * s] = first - header[4 + 2 * s];
    }
}

static void write_first_heads(struct cursor at, struct placement *placement, int32_t *items)
{
    while (next_item(&at)) {
        int32_t *item = items + (size_t)placement->next[at.step->segment_of[at.seq]][class_of(&at)]++ * ITEM_WORDS;
        item[ITEM_SEQ] = at.seq;
        item[ITEM_HEAD] = 0;
        item[ITEM_Q_BEGIN] = at.tile.q_begin;
        item[ITEM_Q_COUNT] = at.tile.q_count;
        item[ITEM_KV_BEGIN] = at.kv_begin;
        item[ITEM_KV_END] = at.kv_end;
        item[ITEM_SPLIT] = at.split;
        item[ITEM_RESERVED] = 0;
    }
}

/* Each class's items of head 0, again for every other group of heads. */
static void write_other_heads(const struct work_list_rules *rules, const struct placement *placement, int32_t *items)
{
    for (int32_t s = 0; s < rules->num_segments; s++)
        for (int c = 0; c < COST_CLASSES; c++) {
            int32_t count = placement->count[s][c], tile_heads = rules->segments[s].tile_heads;
            int32_t *to = items + (size_t)placement->next[s][c] * ITEM_WORDS;
            const int32_t *of_head_0 = to - (size_t)count * ITEM_WORDS;
            for (int32_t head = tile_heads; count && head < rules->num_q_heads; head += tile_heads) {
                const int32_t *from = of_head_0;
                for (int32_t i = 0; i < count; i++, to += ITEM_WORDS, from += ITEM_WORDS) {
                    memcpy(to, from, ITEM_WORDS * sizeof *to);
                    to[ITEM_HEAD] = head;
                }
            }
        }
}

static void write_merges(const struct step *step, const int32_t *sequences, int32_t *merges)
{
    for (int32_t i = 0; i < step->batch; i++)
        if (sequences[(size_t)i * SEQUENCE_WORDS + SEQ_SPLIT_KEYS])
            for (int32_t t = 0; t < step->q_len[i]; t++, merges += MERGE_WORDS) {
                merges[MERGE_SEQ] = i;
                merges[MERGE_QUERY] = t;
            }
}

void work_list_write(const struct work_list_rules *rules, const struct step *step, int32_t *words,
                     struct work_list *out)
{
    struct placement placement;
    int32_t *sequences = words + SCHEDULE_HEADER, first = SCHEDULE_HEADER + step->batch * SEQUENCE_WORDS;
    memset(words, 0, SCHEDULE_HEADER * sizeof *words);
    memset(&placement, 0, sizeof placement);
    memset(out, 0, sizeof *out);
    write_sequences(rules, step, sequences);
    split_sequences(rules, step, sequences, out);
    struct cursor at = first_item(rules, step, sequences);
    for (struct cursor counted = at; next_item(&counted);)
        placement.count[step->segment_of[counted.seq]][class_of(&counted)]++;
    place_segments(rules, &placement, words, out);
    write_first_heads(at, &placement, words + first);
    write_other_heads(rules, &placement, words + first);
    int32_t items = 0;
    for (int32_t s = 0; s < rules->num_segments; s++)
        items += out->items[s];
    int32_t merges = first + items * ITEM_WORDS;
    if (out->merge_rows)
        write_merges(step, sequences, words + merges);
    words[SCHEDULE_WORD_VERSION] = SCHEDULE_VERSION;
    words[SCHEDULE_SEQUENCES] = step->batch;
    words[SCHEDULE_SEQUENCES_AT] = SCHEDULE_HEADER;
    words[SCHEDULE_ITEMS_AT] = first;
    words[SCHEDULE_MERGE_AT] = merges;
    words[SCHEDULE_MERGE_COUNT] = out->merge_rows;
    out->words = (size_t)merges + (size_t)out->merge_rows * MERGE_WORDS;
}
