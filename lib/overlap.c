/* SPDX-License-Identifier: Apache-2.0 */
#include "overlap.h"

#define MAX_AXES 3

/* The same bytes as runs of run[l] bytes whose places differ by multiples of period[l]: the l largest strides are
 * outside of a run, the others within it. */
struct runs {
    int levels;
    int64_t run[MAX_AXES + 1], period[MAX_AXES + 1];
};

static int64_t common_divisor(int64_t a, int64_t b)
{
    while (b) {
        int64_t rest = a % b;
        a = b;
        b = rest;
    }
    return a;
}

static struct runs runs_of(const struct footprint *f)
{
    struct runs runs = {0};
    struct footprint_axis axes[MAX_AXES];
    int count = 0;
    for (int i = 0; i < MAX_AXES; i++) {
        int at = count;
        if (f->axes[i].count <= 1)
            continue;
        for (; at > 0 && axes[at - 1].stride < f->axes[i].stride; at--)
            axes[at] = axes[at - 1];
        axes[at] = f->axes[i];
        count++;
    }
    runs.levels = count + 1;
    runs.run[count] = f->row;
    for (int i = count; i > 0; i--)
        runs.run[i - 1] = runs.run[i] + (axes[i - 1].count - 1) * axes[i - 1].stride;
    for (int i = 0; i < count; i++)
        runs.period[i + 1] = common_divisor(axes[i].stride, runs.period[i]);
    return runs;
}

/* Two intervals that repeat with the period, the second one `away` bytes behind the first. */
static bool apart_with_period(int64_t a, int64_t b, int64_t period, int64_t away)
{
    int64_t behind = away % period;
    if (behind < 0)
        behind += period;
    return behind >= a && period - behind >= b;
}

bool footprints_apart(const struct footprint *a, const struct footprint *b)
{
    if (a->space != b->space || !a->bytes || !b->bytes || a->begin + (uint64_t)a->bytes <= b->begin ||
        b->begin + (uint64_t)b->bytes <= a->begin)
        return true;
    struct runs of_a = runs_of(a), of_b = runs_of(b);
    int64_t away = (int64_t)(b->begin - a->begin);
    for (int i = 0; i < of_a.levels; i++)
        for (int k = 0; k < of_b.levels; k++) {
            int64_t period = common_divisor(of_a.period[i], of_b.period[k]);
            if (period && apart_with_period(of_a.run[i], of_b.run[k], period, away))
                return true;
        }
    return false;
}

bool footprints_same_rows(const struct footprint *a, const struct footprint *b)
{
    bool same = a->space == b->space && a->begin == b->begin;
    for (int i = 0; same && i < MAX_AXES; i++)
        same =
            a->axes[i].count == b->axes[i].count && (a->axes[i].count <= 1 || a->axes[i].stride == b->axes[i].stride);
    return same;
}
