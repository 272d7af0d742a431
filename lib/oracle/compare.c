/* SPDX-License-Identifier: Apache-2.0 */
#include "compare.h"

#include <math.h>
#include <stdio.h>

#include "base/base.h"
#include "oracle.h"

double difference(double value, double ref)
{
    if (value == ref || (isnan(value) && isnan(ref)))
        return 0.0;
    double error = fabs(value - ref);
    return isnan(error) ? INFINITY : error;
}

struct distance distance_of(const float *values, const double *ref, size_t count)
{
    struct distance distance = {0.0, 0.0};
    double squares = 0.0;
    for (size_t i = 0; i < count; i++) {
        double error = difference((double)values[i], ref[i]);
        distance.max_abs = fmax(distance.max_abs, error);
        squares += error * error;
    }
    distance.norm = sqrt(squares);
    return distance;
}

double norm_of(const double *values, size_t count)
{
    double squares = 0.0;
    for (size_t i = 0; i < count; i++)
        squares += isfinite(values[i]) ? values[i] * values[i] : 0.0;
    return sqrt(squares);
}

/* Of the rows first .. end - 1. */
static struct oracle_error error_of_rows(const struct oracle_reference *reference, int64_t first, int64_t end,
                                         const float *o, const float *lse)
{
    int64_t dim = reference->head_dim_vo;
    size_t count = (size_t)((end - first) * dim);
    struct distance distance = distance_of(o + first * dim, reference->o + first * dim, count);
    struct oracle_error error = {.max_abs = distance.max_abs};
    if (distance.norm > 0.0)
        error.relative = distance.norm / norm_of(reference->o + first * dim, count);
    for (int64_t row = first; row < end; row++)
        error.lse = fmax(error.lse, difference((double)lse[row], reference->lse[row]) / reference->lse_unit[row]);
    return error;
}

/* Keeps what is furthest over its bound. An infinite error is over any: the plain implementations' may be infinite too.
 */
static void consider(struct oracle_judgement *worst, int32_t sequence, const char *figure, double value, double bound)
{
    double share = isfinite(value) ? value / bound : INFINITY;
    double most = isfinite(worst->value) ? worst->value / worst->bound : INFINITY;
    if (!(share > most))
        return;
    worst->sequence = sequence;
    worst->figure = figure;
    worst->value = value;
    worst->bound = bound;
}

static void judge(struct oracle_judgement *worst, int32_t sequence, const struct oracle_error *error,
                  const struct oracle_error *plain)
{
    consider(worst, sequence, "max_abs", error->max_abs, 2.0 * plain->max_abs + 1e-6);
    consider(worst, sequence, "relative", error->relative, 2.0 * plain->relative + 1e-6);
    consider(worst, sequence, "lse", error->lse, fmax(1e-5, 2.0 * plain->lse));
}

attune_status oracle_judge(const struct oracle_reference *reference, const float *o, const float *lse,
                           struct oracle_judgement *judgement)
{
    const int64_t *first = reference->first_row;
    int32_t batch = reference->batch;
    struct oracle_judgement worst = {.sequence = -1, .figure = "max_abs", .value = 0.0, .bound = 1.0};
    worst.error = error_of_rows(reference, 0, first[batch], o, lse);
    for (int32_t b = 0; b < batch; b++) {
        struct oracle_error error = error_of_rows(reference, first[b], first[b + 1], o, lse);
        judge(&worst, b, &error, &reference->plain[b]);
    }
    judge(&worst, -1, &worst.error, &reference->plain[batch]);
    if (judgement)
        *judgement = worst;
    if (isfinite(worst.value) && worst.value <= worst.bound)
        return ATTUNE_OK;
    char whose[48] = "the batch";
    if (worst.sequence >= 0)
        snprintf(whose, sizeof whose, "sequence %d", (int)worst.sequence);
    return set_error(ATTUNE_ERROR_NOT_VERIFIED, "%s error %.3g of %s is over its bound %.3g", worst.figure, worst.value,
                     whose, worst.bound);
}
