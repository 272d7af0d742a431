/* SPDX-License-Identifier: Apache-2.0
 * The kernels `merge` and `merge_states` of kernels/merge.cl in plain C, in double precision. */
#include "elements.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

/* Partial results of one row, weighted by exp(maximum - most) x sum; 0 of them: a row without keys. */
struct state {
    int count;
    double most, sum;
    double acc[1024];
    int dim;
};

static void state_start(struct state *state, int dim)
{
    *state = (struct state){.most = -INFINITY, .dim = dim < 1024 ? dim : 1024};
}

/* A partial result without keys has the sum 0. A NaN makes a NaN of the row. */
static void state_add(struct state *state, struct memory *m, int which, int64_t first, double maximum, double sum)
{
    float row[1024];
    if (sum == 0.0)
        return;
    double scale = maximum > state->most ? exp(state->most - maximum) : 1.0;
    state->count++;
    state->most = fmax(state->most, maximum);
    double weight = exp(maximum - state->most) * sum;
    load_row(m, which, first, state->dim, row);
    state->sum = state->sum * scale + weight;
    for (int d = 0; d < state->dim; d++)
        state->acc[d] = state->acc[d] * scale + weight * (double)row[d];
}

static void state_store(const struct state *state, struct memory *m, int o, int64_t o_first, int lse, int64_t lse_at)
{
    for (int d = 0; d < state->dim; d++)
        store(m, o, o_first + d, state->count ? (float)(state->acc[d] / state->sum) : 0.0f);
    if (m->views[lse].data)
        store(m, lse, lse_at, (float)(state->count ? state->most + log(state->sum) : -INFINITY));
}

static cl_int verdict(const struct memory *m, const char *kernel)
{
    if (m->out_of_bounds)
        fprintf(stderr, "fake OpenCL driver: %s leaves %s\n", kernel, m->where);
    return m->out_of_bounds ? CL_OUT_OF_RESOURCES : CL_SUCCESS;
}

enum { SCHEDULE, WORKSPACE, OUT, LSE };

static void merge_row(struct memory *m, const struct attention_args *args, int64_t merge_at, int head, bool causal,
                      struct state *state)
{
    int32_t t = load_int(m, SCHEDULE, merge_at + MERGE_QUERY);
    int64_t at = load_int(m, SCHEDULE, SCHEDULE_SEQUENCES_AT) +
                 (int64_t)load_int(m, SCHEDULE, merge_at + MERGE_SEQ) * SEQUENCE_WORDS;
    const int32_t *sequence = (const int32_t *)(void *)locate(m, SCHEDULE, at, SEQUENCE_WORDS);
    if (!sequence)
        return;
    int64_t seen = (int64_t)sequence[SEQ_CACHE_LEN] + sequence[SEQ_NEW_LEN],
            last = (int64_t)sequence[SEQ_Q_POS] + t + 1;
    if (causal && last < seen)
        seen = last;
    for (int64_t begin = 0, s = 0; begin < seen && !m->out_of_bounds; begin += sequence[SEQ_SPLIT_KEYS], s++) {
        int64_t row = sequence[SEQ_PARTIAL] + (s * sequence[SEQ_Q_LEN] + t) * args->num_q_heads + head;
        float partial[2] = {0};
        load_row(m, WORKSPACE, args->workspace_sum_offset + 2 * row, 2, partial);
        state_add(state, m, WORKSPACE, args->workspace_o_offset + row * state->dim, (double)partial[0],
                  (double)partial[1]);
    }
    int64_t query = (int64_t)sequence[SEQ_Q_START] + t;
    state_store(state, m, OUT, args->o_offset + query * args->o_stride_token + head * args->o_stride_head, LSE,
                args->lse_offset + query * args->lse_stride_token + head * args->lse_stride_head);
}

cl_int merge_compute(const struct launch *launch, struct work *work)
{
    static const char *const names[] = {"schedule", "workspace", "o", "lse"};
    const char *options = launch->kernel->options;
    struct attention_args args;
    struct memory m = {.names = names};
    struct state state;
    memcpy(&args, launch->args[4].value, sizeof args);
    for (int i = 0; i < 4; i++)
        view_argument(&m, i, &launch->args[i],
                      i == OUT ? (enum element_type)option_value(options, "O_TYPE", TYPE_FP32) : TYPE_FP32);
    int64_t merges = load_int(&m, SCHEDULE, SCHEDULE_MERGE_AT), count = load_int(&m, SCHEDULE, SCHEDULE_MERGE_COUNT);
    for (int64_t row = 0; row < count * args.num_q_heads && !m.out_of_bounds; row++, work->items++) {
        state_start(&state, (int)option_value(options, "HEAD_DIM_VO", 0));
        merge_row(&m, &args, merges + row / args.num_q_heads * MERGE_WORDS, (int)(row % args.num_q_heads),
                  option_value(options, "CAUSAL", 0), &state);
    }
    return verdict(&m, "merge");
}

cl_int merge_states_compute(const struct launch *launch, struct work *work)
{
    static const char *const names[] = {"o_a", "lse_a", "o_b", "lse_b", "o", "lse"};
    const char *options = launch->kernel->options;
    struct merge_states_args args;
    struct memory m = {.names = names};
    struct state state;
    memcpy(&args, launch->args[6].value, sizeof args);
    for (int i = 0; i < 6; i++)
        view_argument(&m, i, &launch->args[i],
                      i % 2 ? TYPE_FP32 : (enum element_type)option_value(options, "O_TYPE", TYPE_FP32));
    for (int64_t row = 0; row < args.num_rows && !m.out_of_bounds; row++, work->items++) {
        int64_t token = row / args.num_q_heads, head = row % args.num_q_heads;
        float lse[2] = {0};
        load_row(&m, 1, args.lse_a_offset + token * args.lse_a_stride_token + head * args.lse_a_stride_head, 1,
                 &lse[0]);
        load_row(&m, 3, args.lse_b_offset + token * args.lse_b_stride_token + head * args.lse_b_stride_head, 1,
                 &lse[1]);
        state_start(&state, (int)option_value(options, "HEAD_DIM_VO", 0));
        state_add(&state, &m, 0, args.o_a_offset + token * args.o_a_stride_token + head * args.o_a_stride_head,
                  (double)lse[0], lse[0] != -INFINITY);
        state_add(&state, &m, 2, args.o_b_offset + token * args.o_b_stride_token + head * args.o_b_stride_head,
                  (double)lse[1], lse[1] != -INFINITY);
        state_store(&state, &m, 4, args.o_offset + token * args.o_stride_token + head * args.o_stride_head, 5,
                    args.lse_offset + token * args.lse_stride_token + head * args.lse_stride_head);
    }
    return verdict(&m, "merge_states");
}
