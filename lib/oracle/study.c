/* SPDX-License-Identifier: Apache-2.0
 *
 * What the plain evaluations say. Where few rows make the largest error of a sequence, say one whose two best keys
 * compete, sixteen evaluations are sixteen draws of one rounding error, and one more, an honest kernel's, is over twice
 * their largest in 0.1% of cases; with one draw it is in 29%, with 128 in one of 700,000 (normal errors). So such rows
 * are evaluated in more orders. */
#include <math.h>

#include "base/base.h"
#include "reference.h"

/* Rows times evaluations that are enough. Rows may be alike, as where all queries are equal. */
#define DRAWS 512

/* Below these the contract's absolute terms are the bound: five times a draw, or more. */
#define SMALL_ERROR 1.25e-7
#define SMALL_LSE 2e-6

static void set_worst(struct study *study)
{
    for (int64_t row = 0; row < study->rows; row++) {
        struct row_error *worst = &study->worst[row];
        *worst = study->errors[row];
        for (int32_t e = 1; e < FIRST_ORDERS; e++) {
            const struct row_error *error = &study->errors[e * study->rows + row];
            worst->max_abs = fmaxf(worst->max_abs, error->max_abs);
            worst->norm = fmaxf(worst->norm, error->norm);
            worst->lse = fmaxf(worst->lse, error->lse);
        }
    }
}

static double pow_2(double x)
{
    return x * x;
}

enum figure { FIGURE_O, FIGURE_LSE };

static float figure_of(const struct study *study, int64_t row, enum figure figure)
{
    return figure == FIGURE_O ? study->worst[row].norm : study->worst[row].lse;
}

/* Whether the absolute terms bound the sequence's figure, given its largest. */
static bool is_small(const struct study *study, int32_t b, enum figure figure, double largest)
{
    if (figure == FIGURE_LSE)
        return largest < SMALL_LSE;
    const int64_t *first = study->reference->first_row;
    double max_abs = 0.0, ref_squares = 0.0;
    for (int64_t row = first[b]; row < first[b + 1]; row++) {
        max_abs = fmax(max_abs, (double)study->worst[row].max_abs);
        ref_squares += pow_2(study->ref_norm[row]);
    }
    return max_abs < SMALL_ERROR && largest <= SMALL_ERROR * sqrt(ref_squares);
}

/* The rows with the sequence's largest errors in one figure, in more orders the fewer there are. */
static void choose_worst(struct study *study, int32_t b, enum figure figure)
{
    const int64_t *first = study->reference->first_row;
    int64_t best[WORST_ROWS], count = 0, comparable = 0;
    for (int64_t row = first[b]; row < first[b + 1]; row++) {
        int64_t at = count < WORST_ROWS ? count : WORST_ROWS;
        float value = figure_of(study, row, figure);
        for (; at > 0 && value > figure_of(study, best[at - 1], figure); at--)
            if (at < WORST_ROWS)
                best[at] = best[at - 1];
        if (at < WORST_ROWS)
            best[at] = row;
        count += count < WORST_ROWS;
    }
    if (count == 0 || is_small(study, b, figure, (double)figure_of(study, best[0], figure)))
        return;
    for (int64_t row = first[b]; row < first[b + 1]; row++)
        comparable += figure_of(study, row, figure) >= 0.5f * figure_of(study, best[0], figure);
    int64_t orders = DRAWS / comparable < ORDERS ? DRAWS / comparable : ORDERS;
    for (int64_t i = 0; i < count && orders > FIRST_ORDERS; i++)
        if (orders > study->wanted[best[i]])
            study->wanted[best[i]] = (uint8_t)orders;
}

/* Multiply-adds of the second stage. */
static double cost_of_wanted(const struct study *study)
{
    const struct oracle_input *input = study->input;
    double cost = 0.0;
    for (int32_t b = 0; b < input->batch; b++)
        for (int64_t row = study->reference->first_row[b]; row < study->reference->first_row[b + 1]; row++)
            if (study->wanted[row])
                cost += (double)(study->wanted[row] - FIRST_ORDERS) * input->kv_len[b];
    return cost * (input->desc->head_dim_qk + study->reference->head_dim_vo);
}

bool study_choose_rows(struct study *study)
{
    set_worst(study);
    for (int32_t b = 0; b < study->input->batch; b++) {
        choose_worst(study, b, FIGURE_O);
        choose_worst(study, b, FIGURE_LSE);
    }
    double cost = cost_of_wanted(study);
    for (int64_t row = 0; row < study->rows && cost > WORST_COST; row++)
        if (study->wanted[row])
            study->wanted[row] = (uint8_t)(FIRST_ORDERS + (study->wanted[row] - FIRST_ORDERS) * WORST_COST / cost);
    return cost > 0.0;
}

/* ---- conclusion */

/* The largest norm of the errors of rows first .. end - 1 over the first orders, with any one of the rows in any of its
 * further orders. */
static double largest_norm(const struct study *study, int64_t first, int64_t end)
{
    double largest = 0.0;
    int32_t base = 0;
    for (int32_t e = 0; e < FIRST_ORDERS; e++) {
        double squares = 0.0;
        for (int64_t row = first; row < end; row++)
            squares += pow_2((double)study->errors[e * study->rows + row].norm);
        if (squares > largest) {
            largest = squares;
            base = e;
        }
    }
    double more = 0.0;
    for (int64_t row = first; row < end && isfinite(largest); row++)
        if (study->wanted[row]) {
            double norm = (double)study->errors[base * study->rows + row].norm;
            more = fmax(more, pow_2((double)study->worst[row].norm) - pow_2(norm));
        }
    return sqrt(largest + more);
}

static struct oracle_error plain_error(const struct study *study, int64_t first, int64_t end)
{
    struct oracle_error error = {0.0, 0.0, 0.0};
    double squares = 0.0;
    for (int64_t row = first; row < end; row++) {
        error.max_abs = fmax(error.max_abs, (double)study->worst[row].max_abs);
        error.lse = fmax(error.lse, (double)study->worst[row].lse);
        squares += pow_2(study->ref_norm[row]);
    }
    double norm = largest_norm(study, first, end);
    if (norm > 0.0)
        error.relative = norm / sqrt(squares);
    return error;
}

void study_conclude(struct study *study)
{
    struct oracle_reference *reference = study->reference;
    const int64_t *first = reference->first_row;
    for (int32_t b = 0; b < reference->batch; b++)
        reference->plain[b] = plain_error(study, first[b], first[b + 1]);
    reference->plain[reference->batch] = plain_error(study, 0, study->rows);
}
