// SPDX-License-Identifier: Apache-2.0
//
// Debug mode: can the page table of a step be followed?
//
// Work-group g looks at the sequences g, g + num_groups, ... and stops at its first bad one; inside a sequence the work-items
// share the entries and the lowest bad one counts. So each group's finding, and the lowest of them, which the host takes, do
// not depend on the order of execution.
//
//   WG_SIZE  work-items of a group
#include "check_pages.clh"

#ifndef WG_SIZE
#error "WG_SIZE must be defined"
#endif

struct row {
    int kind;         // enum finding_kind, of what was found without the entries
    int value, other; // as the kind says
    int pages;        // entries in use
};

static struct row check_row(global const int *kv_indptr, global const int *last_page_len, global const int *schedule, int seq,
                            const struct check_args *args)
{
    int keys = schedule[schedule[SCHEDULE_SEQUENCES_AT] + (long)seq * SEQUENCE_WORDS + SEQ_CACHE_LEN];
    struct row row = {FINDING_NONE, 0, 0, keys > 0 ? (keys - 1) / args->page_size + 1 : 0};
    if (!args->block_table_stride) {
        int start = kv_indptr[args->kv_indptr_offset + seq], end = kv_indptr[args->kv_indptr_offset + seq + 1];
        row.value = end;
        row.other = start;
        if (start < 0) {
            row.kind = FINDING_INDPTR_NEGATIVE;
            row.value = start;
        } else if (end < start) {
            row.kind = FINDING_INDPTR_FALLS;
        } else if (end - start < row.pages) {
            row.kind = FINDING_INDPTR_SHORT;
        } else if (row.pages && (long)start + row.pages > args->num_indices) {
            row.kind = FINDING_INDPTR_END;
            row.value = start;
        }
    }
    if (row.kind == FINDING_NONE && args->has_last_page_len && row.pages) {
        int last = last_page_len[args->last_page_len_offset + seq];
        int expected = keys - (row.pages - 1) * args->page_size;
        if (last != expected) {
            row.kind = FINDING_LAST_PAGE;
            row.value = last;
            row.other = expected;
        }
    }
    return row;
}

kernel __attribute__((reqd_work_group_size(WG_SIZE, 1, 1)))
void check_pages(global const int *kv_indptr, global const int *kv_indices, global const int *last_page_len,
                 global const int *schedule, global int *findings, const struct check_args args)
{
    local struct row row;
    local int first_bad; // entry of the row
    const int lid = (int)get_local_id(0), sequences = schedule[SCHEDULE_SEQUENCES];
    global int *finding = findings + (long)get_group_id(0) * FINDING_WORDS;
    int kind = FINDING_NONE;
    for (int seq = (int)get_group_id(0); seq < sequences && kind == FINDING_NONE; seq += args.num_groups) {
        if (lid == 0) {
            row = check_row(kv_indptr, last_page_len, schedule, seq, &args);
            first_bad = row.pages;
        }
        barrier(CLK_LOCAL_MEM_FENCE);
        long start = args.kv_indices_offset + (args.block_table_stride ? seq * args.block_table_stride : (long)row.other);
        if (row.kind == FINDING_NONE)
            for (int i = lid; i < row.pages; i += WG_SIZE) {
                int page = kv_indices[start + i];
                if (page < 0 || page >= args.num_pages) {
                    atomic_min(&first_bad, i);
                    break;
                }
            }
        barrier(CLK_LOCAL_MEM_FENCE);
        kind = row.kind != FINDING_NONE ? row.kind : first_bad < row.pages ? FINDING_PAGE : FINDING_NONE;
        if (lid == 0 && kind != FINDING_NONE) {
            finding[FINDING_SEQ] = seq;
            finding[FINDING_PAGE_INDEX] = first_bad;
            finding[FINDING_VALUE] = kind == FINDING_PAGE ? kv_indices[start + first_bad] : row.value;
            finding[FINDING_OTHER] = row.other;
        }
        barrier(CLK_LOCAL_MEM_FENCE);
    }
    if (lid == 0)
        finding[FINDING_KIND] = kind;
}
