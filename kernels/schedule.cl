// SPDX-License-Identifier: Apache-2.0
//
// The work list of a step from lengths in device memory: the words that lib/work_list.c would write, by the rules of
// schedule_rules.clh, without the host having to know the lengths.
//
// One work-group does it all, so that its phases can be ordered by barriers:
//
//   1  each work-item sums a run of neighbouring sequences; prefix sums over the work-items place rows, items and merges
//   2  each work-item counts the classes of a run of neighbouring items of query head 0 (a split prefill of one sequence
//      is shared as evenly as the decode of thousands)
//   3  sums over the work-items, class by class, say where each work-item's items of each class go: a stable counting sort
//   4  each work-item writes its items, for all heads, and its part of the queries to merge
//
// A step that exceeds a maximum becomes an empty list with SCHEDULE_ERROR set.
//
//   WG_SIZE  work-items of the group
#include "schedule_items.clh"

#ifndef WG_SIZE
#error "WG_SIZE must be defined"
#endif

#define ALL_MEMORY (CLK_LOCAL_MEM_FENCE | CLK_GLOBAL_MEM_FENCE)

// Sum of value over the work-items before this one, and over all.
static long prefix_sum(local long *sums, long value, long *total)
{
    const int lid = (int)get_local_id(0);
    sums[lid] = value;
    barrier(CLK_LOCAL_MEM_FENCE);
    for (int distance = 1; distance < WG_SIZE; distance *= 2) {
        long before = lid >= distance ? sums[lid - distance] : 0;
        barrier(CLK_LOCAL_MEM_FENCE);
        sums[lid] += before;
        barrier(CLK_LOCAL_MEM_FENCE);
    }
    long sum = sums[lid] - value;
    *total = sums[WG_SIZE - 1];
    barrier(CLK_LOCAL_MEM_FENCE);
    return sum;
}

// One work-item's view of the work. Pointers lead to what all share.
struct writer {
    const struct schedule_args *args;
    global const int *q_len, *kv_len;
    global int *schedule, *sequences;
    global int *items_before, *merges_before; // [batch + 1]
    global int *counters;                     // [WG_SIZE, columns]
    local long *sums;                         // [WG_SIZE]
    local int *share;                         // [SCHEDULE_MAX_SEGMENTS]
    local int *column_first, *column_count;   // [columns]
    local int *shared;                        // one value that all are told
    int lid, columns;
    int batch;              // 0 after an error
    int seq_begin, seq_end; // sequences of this work-item
    long q_start, new_start;
    int item_total, merge_total;
};

// Part number lid of count things, in runs of neighbours.
static int part_begin(int count, int lid)
{
    int each = count / WG_SIZE + (count % WG_SIZE != 0);
    return rule_min((long)each * lid, count);
}

static void report(const struct writer *w, int error, int seq)
{
    struct lengths l = {0, 0, 0};
    if (seq < w->args->batch)
        l = lengths_of(w->q_len, w->kv_len, w->args, seq);
    w->schedule[SCHEDULE_ERROR] = error;
    w->schedule[SCHEDULE_ERROR_SEQ] = seq;
    w->schedule[SCHEDULE_ERROR_Q_LEN] = l.q;
    w->schedule[SCHEDULE_ERROR_KV_LEN] = l.kv;
}

// Checks and sums lengths: w->batch, first rows, and each segment's fair share.
static void sum_lengths(struct writer *w)
{
    const struct schedule_args *args = w->args;
    long load[SCHEDULE_MAX_SEGMENTS], q_tokens = 0, new_tokens = 0, kv_tokens = 0;
    long q_total, new_total, kv_total, load_total;
    for (int s = 0; s < SCHEDULE_MAX_SEGMENTS; s++)
        load[s] = 0;
    for (int i = w->seq_begin; i < w->seq_end; i++) {
        struct lengths l = lengths_of(w->q_len, w->kv_len, args, i);
        if (error_of(l, args) != SCHEDULE_ERROR_NONE) {
            atomic_min(w->shared, i);
            break;
        }
        int segment = segment_of(args, l.q, l.kv);
        q_tokens += l.q;
        new_tokens += l.fresh;
        kv_tokens += l.kv;
        load[segment] += rule_load(args->mask, args->segments[segment].tile_tokens, l.q, l.kv);
    }
    w->q_start = prefix_sum(w->sums, q_tokens, &q_total);
    w->new_start = prefix_sum(w->sums, new_tokens, &new_total);
    prefix_sum(w->sums, kv_tokens, &kv_total);
    for (int s = 0; s < args->num_segments; s++) {
        int heads = args->num_q_heads / args->segments[s].tile_heads;
        prefix_sum(w->sums, load[s], &load_total);
        if (w->lid == 0)
            w->share[s] = rule_fair_share(load_total, heads, args->segments[s].num_groups);
    }
    int bad = *w->shared, error = SCHEDULE_ERROR_NONE;
    if (bad < w->batch)
        error = error_of(lengths_of(w->q_len, w->kv_len, args, bad), args);
    else if (q_total > args->max_q_tokens)
        error = SCHEDULE_ERROR_Q_TOKENS;
    else if (kv_total > args->max_kv_tokens)
        error = SCHEDULE_ERROR_KV_TOKENS;
    barrier(ALL_MEMORY);
    if (error == SCHEDULE_ERROR_NONE)
        return;
    if (w->lid == 0)
        report(w, error, bad);
    w->batch = w->seq_begin = w->seq_end = 0;
}

// Sequences, with SEQ_PARTIAL and what is before each counted from this work-item's first one on; then from the step's.
static void write_sequences(struct writer *w)
{
    const struct schedule_args *args = w->args;
    long num_items = 0, num_merges = 0, num_partials = 0, item_total, merge_total, partial_total;
    for (int i = w->seq_begin; i < w->seq_end; i++) {
        struct lengths l = lengths_of(w->q_len, w->kv_len, args, i);
        int segment = segment_of(args, l.q, l.kv), seen = rule_seen_keys(args->mask, l.q, l.q, l.kv);
        int least = args->segments[segment].split_keys;
        int split_keys = l.q ? rule_split_keys(l.q, seen, w->share[segment], least, args->fixed_split) : 0;
        global int *sequence = w->sequences + (long)i * SEQUENCE_WORDS;
        sequence[SEQ_Q_START] = (int)w->q_start;
        sequence[SEQ_Q_LEN] = l.q;
        sequence[SEQ_CACHE_LEN] = l.kv - l.fresh;
        sequence[SEQ_NEW_START] = (int)w->new_start;
        sequence[SEQ_NEW_LEN] = l.fresh;
        sequence[SEQ_Q_POS] = rule_q_pos(args->mask, l.q, l.kv);
        sequence[SEQ_PARTIAL] = split_keys ? (int)num_partials : -1;
        sequence[SEQ_SPLIT_KEYS] = split_keys;
        w->items_before[i] = (int)num_items;
        w->merges_before[i] = (int)num_merges;
        struct cursor at;
        enter_sequence(&at, w->sequences, args, i);
        num_items += count_items(&at, args);
        num_merges += split_keys ? l.q : 0;
        num_partials += split_keys ? (long)rule_num_splits(seen, split_keys) * l.q * args->num_q_heads : 0;
        w->q_start += l.q;
        w->new_start += l.fresh;
    }
    int items = (int)prefix_sum(w->sums, num_items, &item_total);
    int merges = (int)prefix_sum(w->sums, num_merges, &merge_total);
    int partials = (int)prefix_sum(w->sums, num_partials, &partial_total);
    for (int i = w->seq_begin; i < w->seq_end; i++) {
        global int *sequence = w->sequences + (long)i * SEQUENCE_WORDS;
        if (sequence[SEQ_SPLIT_KEYS])
            sequence[SEQ_PARTIAL] += partials;
        w->items_before[i] += items;
        w->merges_before[i] += merges;
    }
    w->item_total = (int)item_total;
    w->merge_total = (int)merge_total;
    if (w->lid == 0) {
        w->items_before[w->batch] = w->item_total;
        w->merges_before[w->batch] = w->merge_total;
    }
}

// Counts the classes of this work-item's items; then the counters say how many items of the class come before them.
static void count_classes(const struct writer *w)
{
    const int begin = part_begin(w->item_total, w->lid), end = part_begin(w->item_total, w->lid + 1);
    struct cursor at;
    if (begin < end)
        at = item_at(w->items_before, w->sequences, w->args, w->batch, begin);
    for (int i = begin; i < end; i++) {
        w->counters[(long)w->lid * w->columns + column_of(&at)]++;
        if (i + 1 < end)
            next_item(&at, w->sequences, w->args);
    }
    barrier(ALL_MEMORY);
    for (int c = w->lid; c < w->columns; c += WG_SIZE) {
        int count = 0;
        for (int other = 0; other < WG_SIZE; other++) {
            int more = w->counters[(long)other * w->columns + c];
            w->counters[(long)other * w->columns + c] = count;
            count += more;
        }
        w->column_count[c] = count;
    }
}

// By one work-item: the header, and where each class starts. Returns the number of items.
static int place_classes(const struct writer *w)
{
    global int *schedule = w->schedule;
    int first = 0;
    for (int s = 0; s < w->args->num_segments; s++) {
        int heads = w->args->num_q_heads / w->args->segments[s].tile_heads, segment_first = first;
        for (int c = s * COST_CLASSES; c < (s + 1) * COST_CLASSES; c++) {
            w->column_first[c] = first;
            first += w->column_count[c] * heads;
        }
        schedule[SCHEDULE_SEGMENTS + 2 * s] = segment_first;
        schedule[SCHEDULE_SEGMENTS + 2 * s + 1] = first - segment_first;
    }
    schedule[SCHEDULE_WORD_VERSION] = SCHEDULE_VERSION;
    schedule[SCHEDULE_SEQUENCES] = w->batch;
    schedule[SCHEDULE_SEQUENCES_AT] = SCHEDULE_HEADER;
    schedule[SCHEDULE_ITEMS_AT] = SCHEDULE_HEADER + w->batch * SEQUENCE_WORDS;
    schedule[SCHEDULE_MERGE_AT] = SCHEDULE_HEADER + w->batch * SEQUENCE_WORDS + first * ITEM_WORDS;
    schedule[SCHEDULE_MERGE_COUNT] = w->merge_total;
    return first;
}

static void write_items(const struct writer *w, global int *items)
{
    const int begin = part_begin(w->item_total, w->lid), end = part_begin(w->item_total, w->lid + 1);
    struct cursor at;
    if (begin < end)
        at = item_at(w->items_before, w->sequences, w->args, w->batch, begin);
    for (int i = begin; i < end; i++) {
        int column = column_of(&at), rank = w->counters[(long)w->lid * w->columns + column]++;
        write_item(&at, items, w->args, (long)w->column_first[column] + rank, w->column_count[column]);
        if (i + 1 < end)
            next_item(&at, w->sequences, w->args);
    }
}

static void write_merges(const struct writer *w, global int *merges)
{
    const int begin = part_begin(w->merge_total, w->lid), end = part_begin(w->merge_total, w->lid + 1);
    int seq = begin < end ? find_sequence(w->merges_before, w->batch, begin) : 0;
    for (int i = begin; i < end; i++) {
        while (w->merges_before[seq + 1] <= i)
            seq++;
        merges[(long)i * MERGE_WORDS + MERGE_SEQ] = seq;
        merges[(long)i * MERGE_WORDS + MERGE_QUERY] = i - w->merges_before[seq];
    }
}

// Fills schedule; scratch has SCHEDULE_SCRATCH_WORDS.
kernel __attribute__((reqd_work_group_size(WG_SIZE, 1, 1)))
void write_schedule(global const int *q_len, global const int *kv_len, global int *schedule, global int *scratch,
                    const struct schedule_args args)
{
    local long sums[WG_SIZE];
    local int share[SCHEDULE_MAX_SEGMENTS], shared;
    local int column_first[SCHEDULE_MAX_SEGMENTS * COST_CLASSES], column_count[SCHEDULE_MAX_SEGMENTS * COST_CLASSES];
    const int lid = (int)get_local_id(0);
    struct writer w;
    w.args = &args;
    w.q_len = q_len;
    w.kv_len = kv_len;
    w.schedule = schedule;
    w.sequences = schedule + SCHEDULE_HEADER;
    w.items_before = scratch;
    w.merges_before = scratch + args.batch + 1;
    w.counters = scratch + 2 * ((long)args.batch + 1);
    w.sums = sums;
    w.share = share;
    w.column_first = column_first;
    w.column_count = column_count;
    w.shared = &shared;
    w.lid = lid;
    w.columns = args.num_segments * COST_CLASSES;
    w.batch = args.batch;
    w.seq_begin = part_begin(args.batch, lid);
    w.seq_end = part_begin(args.batch, lid + 1);
    for (int i = lid; i < SCHEDULE_HEADER; i += WG_SIZE)
        schedule[i] = 0;
    for (int i = lid; i < WG_SIZE * w.columns; i += WG_SIZE)
        w.counters[i] = 0;
    if (lid == 0)
        shared = args.batch;
    barrier(ALL_MEMORY);
    sum_lengths(&w);
    write_sequences(&w);
    barrier(ALL_MEMORY);
    count_classes(&w);
    barrier(ALL_MEMORY);
    if (lid == 0)
        shared = place_classes(&w);
    barrier(ALL_MEMORY);
    global int *items = w.sequences + (long)w.batch * SEQUENCE_WORDS;
    write_items(&w, items);
    write_merges(&w, items + (long)shared * ITEM_WORDS);
}
