/* SPDX-License-Identifier: Apache-2.0
 * The kernels `check_pages` (kernels/check_pages.cl) and `write_schedule` (kernels/schedule.cl) in plain C. The second
 * is the library's own producer of work lists on the host, whose words the kernel must equal. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "check_pages.clh"
#include "elements.h"
#include "schedule.clh"
#include "work_list.h"

static cl_int verdict(const struct memory *m, const char *kernel)
{
    if (m->out_of_bounds)
        fprintf(stderr, "fake OpenCL driver: %s leaves %s\n", kernel, m->where);
    return m->out_of_bounds ? CL_OUT_OF_RESOURCES : CL_SUCCESS;
}

static void view_all(struct memory *m, const struct launch *launch, int count)
{
    for (int i = 0; i < count; i++)
        view_argument(m, i, &launch->args[i], TYPE_FP32); /* or int */
}

/* ---- check_pages */

enum { KV_INDPTR, KV_INDICES, LAST_PAGE_LEN, CHECKED_SCHEDULE, FINDINGS, CHECK_ARGUMENTS };

struct finding {
    int32_t words[FINDING_WORDS];
};

static struct finding check_sequence(struct memory *m, const struct check_args *args, int32_t seq)
{
    int64_t at = load_int(m, CHECKED_SCHEDULE, SCHEDULE_SEQUENCES_AT) + (int64_t)seq * SEQUENCE_WORDS;
    int32_t keys = load_int(m, CHECKED_SCHEDULE, at + SEQ_CACHE_LEN),
            pages = (keys + args->page_size - 1) / args->page_size;
    int32_t start = 0, end = 0, left = keys - (pages - 1) * args->page_size;
    int64_t row = seq * args->block_table_stride;
    if (!args->block_table_stride) {
        row = start = load_int(m, KV_INDPTR, args->kv_indptr_offset + seq);
        end = load_int(m, KV_INDPTR, args->kv_indptr_offset + seq + 1);
        if (start < 0)
            return (struct finding){{FINDING_INDPTR_NEGATIVE, seq, pages, start, start}};
        if (end < start || end - start < pages)
            return (struct finding){
                {end < start ? FINDING_INDPTR_FALLS : FINDING_INDPTR_SHORT, seq, pages, end, start}};
        if (pages && (int64_t)start + pages > args->num_indices)
            return (struct finding){{FINDING_INDPTR_END, seq, pages, start, start}};
    }
    int32_t last =
        args->has_last_page_len && pages ? load_int(m, LAST_PAGE_LEN, args->last_page_len_offset + seq) : left;
    if (last != left)
        return (struct finding){{FINDING_LAST_PAGE, seq, pages, last, left}};
    for (int32_t i = 0; i < pages; i++) {
        int32_t page = load_int(m, KV_INDICES, args->kv_indices_offset + row + i);
        if (page < 0 || page >= args->num_pages)
            return (struct finding){{FINDING_PAGE, seq, i, page, start}};
    }
    return (struct finding){{FINDING_NONE}};
}

cl_int check_pages_compute(const struct launch *launch, struct work *work)
{
    static const char *const names[] = {"kv_indptr", "kv_indices", "last_page_len", "schedule", "findings"};
    struct memory m = {.names = names};
    struct check_args args;
    memcpy(&args, launch->args[CHECK_ARGUMENTS].value, sizeof args);
    view_all(&m, launch, CHECK_ARGUMENTS);
    int32_t sequences = load_int(&m, CHECKED_SCHEDULE, SCHEDULE_SEQUENCES);
    work->items = (uint64_t)sequences;
    for (int32_t g = 0; g < args.num_groups; g++) {
        struct finding finding = {{FINDING_NONE}};
        for (int32_t seq = g; seq < sequences && finding.words[FINDING_KIND] == FINDING_NONE; seq += args.num_groups)
            finding = check_sequence(&m, &args, seq);
        unsigned char *to = locate(&m, FINDINGS, (int64_t)g * FINDING_WORDS, FINDING_WORDS);
        if (to)
            memcpy(to, &finding, sizeof finding);
    }
    return verdict(&m, "check_pages");
}

/* ---- write_schedule */

enum { Q_LEN, KV_LEN, WRITTEN_SCHEDULE, SCRATCH, SCHEDULE_ARGUMENTS };

static struct work_list_rules rules_of(const struct schedule_args *args)
{
    struct work_list_rules rules = {.operation = args->new_keys == NEW_KEYS_QUERIES ? ATTUNE_EXTEND : ATTUNE_DECODE,
                                    .mask = args->mask,
                                    .cached = args->new_keys == NEW_KEYS_NONE,
                                    .num_q_heads = args->num_q_heads,
                                    .num_segments = args->num_segments,
                                    .fixed_split = args->fixed_split};
    for (int32_t s = 0; s < args->num_segments; s++)
        rules.segments[s] = (struct segment_shape){args->segments[s].tile_tokens, args->segments[s].tile_heads,
                                                   args->segments[s].split_keys, args->segments[s].num_groups};
    return rules;
}

/* First sequence that is wrong in itself; batch where there is none. */
static int32_t first_error(const struct schedule_args *args, const struct work_list_rules *rules, const int32_t *q,
                           const int32_t *kv, int32_t header[SCHEDULE_HEADER])
{
    int64_t q_tokens = 0, kv_tokens = 0;
    for (int32_t i = 0; i < args->batch; i++) {
        int error = q[i] < 0                                         ? SCHEDULE_ERROR_Q_NEGATIVE
                    : kv[i] < 0                                      ? SCHEDULE_ERROR_KV_NEGATIVE
                    : kv[i] > args->max_kv_len                       ? SCHEDULE_ERROR_KV_LONG
                    : work_list_new_keys(rules, q[i], kv[i]) > kv[i] ? SCHEDULE_ERROR_KV_SHORT
                                                                     : SCHEDULE_ERROR_NONE;
        if (error != SCHEDULE_ERROR_NONE) {
            header[SCHEDULE_ERROR] = error;
            header[SCHEDULE_ERROR_Q_LEN] = q[i];
            header[SCHEDULE_ERROR_KV_LEN] = kv[i];
            return i;
        }
        q_tokens += q[i];
        kv_tokens += kv[i];
    }
    header[SCHEDULE_ERROR] = q_tokens > args->max_q_tokens     ? SCHEDULE_ERROR_Q_TOKENS
                             : kv_tokens > args->max_kv_tokens ? SCHEDULE_ERROR_KV_TOKENS
                                                               : SCHEDULE_ERROR_NONE;
    return args->batch;
}

static int bucket(int32_t value)
{
    int log = 0;
    while (value >>= 1)
        log++;
    return log;
}

static void write_list(const struct schedule_args *args, const int32_t *q, const int32_t *kv, int32_t *words)
{
    struct work_list_rules rules = rules_of(args);
    struct work_list list;
    int32_t header[SCHEDULE_HEADER] = {0};
    struct step step = {.batch = args->batch, .q_len = q, .kv_len = kv};
    uint8_t *segment_of = calloc((size_t)args->batch + 1, 1);
    header[SCHEDULE_ERROR_SEQ] = first_error(args, &rules, q, kv, header);
    if (header[SCHEDULE_ERROR] != SCHEDULE_ERROR_NONE)
        step.batch = 0;
    for (int32_t i = 0; segment_of && i < step.batch; i++)
        segment_of[i] = args->segment_of[q[i] <= 1 ? 0 : q[i] <= 16 ? 1 : q[i] <= 128 ? 2 : 3][bucket(kv[i])];
    step.segment_of = segment_of;
    if (segment_of)
        work_list_write(&rules, &step, words, &list);
    if (header[SCHEDULE_ERROR] != SCHEDULE_ERROR_NONE)
        memcpy(words + SCHEDULE_ERROR, header + SCHEDULE_ERROR, (SCHEDULE_HEADER - SCHEDULE_ERROR) * sizeof *words);
    free(segment_of);
}

cl_int write_schedule_compute(const struct launch *launch, struct work *work)
{
    static const char *const names[] = {"q_len", "kv_len", "schedule", "scratch"};
    struct memory m = {.names = names};
    struct schedule_args args;
    memcpy(&args, launch->args[SCHEDULE_ARGUMENTS].value, sizeof args);
    view_all(&m, launch, SCHEDULE_ARGUMENTS);
    work->items = (uint64_t)args.batch;
    int32_t none = 0;
    const void *q = args.batch ? (void *)locate(&m, Q_LEN, args.q_len_offset, args.batch) : &none;
    const void *kv = args.batch ? (void *)locate(&m, KV_LEN, args.kv_len_offset, args.batch) : &none;
    int32_t *words = (int32_t *)(void *)locate(&m, WRITTEN_SCHEDULE, 0, SCHEDULE_HEADER);
    if (!m.out_of_bounds)
        write_list(&args, q, kv, words);
    return verdict(&m, "write_schedule");
}
