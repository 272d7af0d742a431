/* SPDX-License-Identifier: Apache-2.0 */
#include "oracle.h"

#include <math.h>

#include "base/base.h"

/* 0 where both are the same infinity or both NaN; infinity where one of them is not finite and the other differs. */
static double difference(double value, double ref)
{
    if (value == ref || (isnan(value) && isnan(ref)))
        return 0.0;
    double error = fabs(value - ref);
    return isnan(error) ? INFINITY : error;
}

struct oracle_error oracle_compare(const float *o, const double *ref, size_t count, const float *lse,
                                   const double *lse_ref, size_t lse_count)
{
    struct oracle_error error = {0};
    double error_squares = 0.0, ref_squares = 0.0;
    for (size_t i = 0; i < count; i++) {
        double abs_error = difference((double)o[i], ref[i]);
        error.max_abs = fmax(error.max_abs, abs_error);
        error_squares += abs_error * abs_error;
        ref_squares += isfinite(ref[i]) ? ref[i] * ref[i] : 0.0;
    }
    if (error_squares > 0.0)
        error.relative = sqrt(error_squares) / sqrt(ref_squares);
    if (!lse || !lse_ref)
        return error;
    for (size_t i = 0; i < lse_count; i++) {
        double abs_error = difference((double)lse[i], lse_ref[i]);
        if (isfinite(abs_error))
            abs_error /= fmax(1.0, fabs(lse_ref[i]));
        error.lse = fmax(error.lse, abs_error);
    }
    return error;
}

/* An infinite error is never within its bound: the plain implementation's may be infinite as well. */
static bool within(double figure, double bound)
{
    return isfinite(figure) && figure <= bound;
}

attune_status oracle_verdict(const struct oracle_error *error, const struct oracle_error *plain)
{
    double bound = 2.0 * plain->max_abs + 1e-6;
    if (!within(error->max_abs, bound))
        return set_error(ATTUNE_ERROR_NOT_VERIFIED,
                         "max_abs error %.3g is over its bound %.3g (2 x the plain implementation's + 1e-6)",
                         error->max_abs, bound);
    bound = 2.0 * plain->relative + 1e-6;
    if (!within(error->relative, bound))
        return set_error(ATTUNE_ERROR_NOT_VERIFIED,
                         "relative error %.3g is over its bound %.3g (2 x the plain implementation's + 1e-6)",
                         error->relative, bound);
    bound = fmax(1e-5, 2.0 * plain->lse);
    if (!within(error->lse, bound))
        return set_error(ATTUNE_ERROR_NOT_VERIFIED, "lse error %.3g is over its bound %.3g", error->lse, bound);
    return ATTUNE_OK;
}
