/* SPDX-License-Identifier: Apache-2.0
 *
 * The reference of a batch: fp64 results, and the errors of plain evaluations in many orders. Two stages, each shared
 * by two threads: every row in the first orders, or, of a large batch, a sample of rows in those behind the natural
 * one; then the rows that were found worst in the other orders. */
#include "reference.h"

#include <math.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/base.h"
#include "compare.h"
#include "evaluate.h"

#define THREADS 2

/* A thread's share of a stage. */
struct task {
    struct study *study;
    struct oracle_share share;
    oracle_row_function function;
    double *logits;
    struct plain_room room;
    float *o;
    attune_status status;
};

/* A sample of rows that no stride of heads or queries falls in with: Knuth's multiplicative hash. */
static bool sampled(const struct study *study, const struct oracle_row *row)
{
    uint32_t n = (uint32_t)(row->index - study->reference->first_row[row->sequence]);
    return (n * UINT32_C(2654435761) >> 8) % (uint64_t)study->stride[row->sequence] == 0;
}

static struct row_error evaluate(struct task *task, const struct oracle_row *row, int32_t order)
{
    const struct oracle_reference *reference = task->study->reference;
    float lse = row_plain(row, &task->study->orders.order[order], &task->room, task->o);
    struct distance distance =
        distance_of(task->o, reference->o + row->index * row->head_dim_vo, (size_t)row->head_dim_vo);
    double lse_error = difference((double)lse, reference->lse[row->index]) / reference->lse_unit[row->index];
    return (struct row_error){(float)distance.max_abs, (float)distance.norm, (float)lse_error};
}

/* At the end of fp32's range one order overflows where the natural one does not: that says nothing of a kernel. */
static bool is_finite(const struct row_error *error)
{
    return isfinite(error->max_abs) && isfinite(error->norm) && isfinite(error->lse);
}

static void first_stage(const struct oracle_row *row, void *priv)
{
    struct task *task = priv;
    struct study *study = task->study;
    struct oracle_reference *reference = study->reference;
    double *o = reference->o + row->index * row->head_dim_vo;
    struct row_result result = row_fp64(row, task->logits, o);
    double unit = fmax(1.0, fmax(fabs(result.lse), result.largest_logit / 100));
    reference->lse[row->index] = result.lse;
    reference->lse_unit[row->index] = isfinite(unit) ? unit : 1.0;
    study->ref_norm[row->index] = norm_of(o, (size_t)row->head_dim_vo);
    struct row_error natural = evaluate(task, row, 0);
    bool all = sampled(study, row);
    for (int32_t e = 0; e < FIRST_ORDERS; e++) {
        struct row_error error = all && e > 0 ? evaluate(task, row, e) : natural;
        study->errors[e * study->rows + row->index] = is_finite(&error) ? error : natural;
    }
}

static void second_stage(const struct oracle_row *row, void *priv)
{
    struct task *task = priv;
    struct study *study = task->study;
    struct row_error *worst = &study->worst[row->index];
    for (int32_t e = FIRST_ORDERS; e < study->wanted[row->index]; e++) {
        struct row_error error = evaluate(task, row, e);
        if (!is_finite(&error))
            continue;
        worst->max_abs = fmaxf(worst->max_abs, error.max_abs);
        worst->norm = fmaxf(worst->norm, error.norm);
        worst->lse = fmaxf(worst->lse, error.lse);
    }
}

/* ---- threads */

static void *run_task(void *priv)
{
    struct task *task = priv;
    const struct oracle_input *input = task->study->input;
    size_t longest = (size_t)oracle_max_kv_len(input);
    task->logits = calloc(longest + 1, sizeof *task->logits);
    task->o = calloc((size_t)task->study->reference->head_dim_vo, sizeof *task->o);
    task->status = task->logits && task->o ? plain_room_create(input, &task->room) : ATTUNE_ERROR_OUT_OF_MEMORY;
    if (task->status == ATTUNE_OK)
        task->status = oracle_for_each_row(input, &task->share, task->function, task);
    plain_room_free(&task->room);
    free(task->logits);
    free(task->o);
    return NULL;
}

static attune_status run_stage(struct study *study, oracle_row_function function, const uint8_t *wanted)
{
    struct task tasks[THREADS];
    pthread_t threads[THREADS];
    bool threaded[THREADS];
    attune_status status = ATTUNE_OK;
    for (int32_t i = 0; i < THREADS; i++) {
        tasks[i] = (struct task){.study = study, .share = {i, THREADS, wanted}, .function = function};
        threaded[i] = i < THREADS - 1 && !pthread_create(&threads[i], NULL, run_task, &tasks[i]);
        if (!threaded[i])
            run_task(&tasks[i]);
    }
    for (int32_t i = 0; i < THREADS; i++) {
        if (threaded[i])
            pthread_join(threads[i], NULL);
        if (tasks[i].status != ATTUNE_OK)
            status = tasks[i].status;
    }
    return status == ATTUNE_OK ? status : set_error(status, "oracle: no memory for an evaluation");
}

/* ---- the whole */

/* Multiply-adds of one evaluation: of sequence b, as if all its rows saw all its keys. */
static double sequence_cost(const struct oracle_input *input, int32_t b)
{
    const attune_attention_desc *desc = input->desc;
    return (double)input->q_len[b] * input->kv_len[b] * desc->num_q_heads *
           (desc->head_dim_qk + oracle_head_dim_vo(desc));
}

static void choose_sample(struct study *study)
{
    const struct oracle_reference *reference = study->reference;
    double cost = 0.0;
    for (int32_t b = 0; b < reference->batch; b++)
        cost += sequence_cost(study->input, b);
    int64_t stride = (int64_t)fmin(cost / FULL_COST + 1.0, SAMPLE_STRIDE);
    for (int32_t b = 0; b < reference->batch; b++) {
        int64_t most = (reference->first_row[b + 1] - reference->first_row[b]) / SAMPLE_ROWS;
        study->stride[b] = stride < most ? stride : most > 1 ? most : 1;
    }
}

static attune_status allocate(const struct oracle_input *input, struct oracle_reference *reference)
{
    int32_t heads = input->desc->num_q_heads;
    reference->batch = input->batch;
    reference->head_dim_vo = oracle_head_dim_vo(input->desc);
    size_t batch = (size_t)input->batch;
    reference->first_row = calloc(batch + 1, sizeof *reference->first_row);
    reference->plain = calloc(batch + 1, sizeof *reference->plain);
    if (!reference->first_row || !reference->plain)
        return ATTUNE_ERROR_OUT_OF_MEMORY;
    for (int32_t b = 0; b < input->batch; b++)
        reference->first_row[b + 1] = reference->first_row[b] + (int64_t)input->q_len[b] * heads;
    size_t rows = (size_t)reference->first_row[batch];
    reference->o = calloc(rows * (size_t)reference->head_dim_vo + 1, sizeof *reference->o);
    reference->lse = calloc(rows + 1, sizeof *reference->lse);
    reference->lse_unit = calloc(rows + 1, sizeof *reference->lse_unit);
    return reference->o && reference->lse && reference->lse_unit ? ATTUNE_OK : ATTUNE_ERROR_OUT_OF_MEMORY;
}

static attune_status run_study(struct study *study)
{
    size_t rows = (size_t)study->rows, batch = (size_t)study->input->batch;
    study->stride = calloc(batch + 1, sizeof *study->stride);
    study->errors = calloc(FIRST_ORDERS * rows + 1, sizeof *study->errors);
    study->worst = calloc(rows + 1, sizeof *study->worst);
    study->ref_norm = calloc(rows + 1, sizeof *study->ref_norm);
    study->wanted = calloc(rows + 1, sizeof *study->wanted);
    if (!study->stride || !study->errors || !study->worst || !study->ref_norm || !study->wanted)
        return ATTUNE_ERROR_OUT_OF_MEMORY;
    attune_status status = orders_create(ORDERS, study->input->desc->head_dim_qk, &study->orders);
    if (status != ATTUNE_OK)
        return status;
    choose_sample(study);
    if ((status = run_stage(study, first_stage, NULL)) != ATTUNE_OK)
        return status;
    if (study_choose_rows(study) && (status = run_stage(study, second_stage, study->wanted)) != ATTUNE_OK)
        return status;
    study_conclude(study);
    return ATTUNE_OK;
}

attune_status oracle_reference_create(const struct oracle_input *input, struct oracle_reference *out)
{
    *out = (struct oracle_reference){0};
    struct study study = {.input = input, .reference = out};
    attune_status status = allocate(input, out);
    if (status == ATTUNE_OK) {
        study.rows = out->first_row[out->batch];
        status = run_study(&study);
    }
    free(study.stride);
    free(study.errors);
    free(study.worst);
    free(study.ref_norm);
    free(study.wanted);
    orders_free(&study.orders);
    if (status == ATTUNE_OK)
        return ATTUNE_OK;
    oracle_reference_free(out);
    return set_error(status, "out of memory for a reference of %d sequences", (int)input->batch);
}

static void *copy_of(const void *data, size_t bytes)
{
    void *copy = malloc(bytes);
    return copy ? memcpy(copy, data, bytes) : NULL;
}

attune_status oracle_reference_copy(const struct oracle_reference *from, struct oracle_reference *out)
{
    size_t batch = (size_t)from->batch, rows = (size_t)from->first_row[batch];
    *out = *from;
    out->first_row = copy_of(from->first_row, (batch + 1) * sizeof *out->first_row);
    out->plain = copy_of(from->plain, (batch + 1) * sizeof *out->plain);
    out->o = copy_of(from->o, (rows * (size_t)from->head_dim_vo + 1) * sizeof *out->o);
    out->lse = copy_of(from->lse, (rows + 1) * sizeof *out->lse);
    out->lse_unit = copy_of(from->lse_unit, (rows + 1) * sizeof *out->lse_unit);
    if (out->first_row && out->plain && out->o && out->lse && out->lse_unit)
        return ATTUNE_OK;
    oracle_reference_free(out);
    return set_error(ATTUNE_ERROR_OUT_OF_MEMORY, "out of memory for a reference");
}

void oracle_reference_free(struct oracle_reference *reference)
{
    free(reference->first_row);
    free(reference->plain);
    free(reference->o);
    free(reference->lse);
    free(reference->lse_unit);
    *reference = (struct oracle_reference){0};
}
