/* SPDX-License-Identifier: Apache-2.0
 * attune_kv_layout_choose: what is chosen between, and how. */
#include "kv_choice.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "desc.h"
#include "layout.h"
#include "search/stats.h"

#define PAD_BYTES 64 /* a cache line: strides of a power of two put many rows on one set of a cache */
#define RESAMPLES 2000
#define LEAST_GAIN \
    0.99 /* a layout must be this much faster, beyond doubt: several are compared, and engines have to follow */
#define KEY_TEXT_MAX 32768 /* of all problems together */

static attune_status check_problem(const struct kv_choosing *c, size_t i)
{
    const attune_problem *problem = c->problems[i];
    if (!problem)
        return set_error(ATTUNE_ERROR_NULL_ARGUMENT, "problems[%zu] is NULL", i);
    const attune_attention_desc *d = &problem->desc, *first = &c->problems[0]->desc;
    if (d->operation == ATTUNE_PREFILL || !problem->page_size)
        return set_error(
            ATTUNE_ERROR_MISMATCH,
            "problems[%zu] (%.200s) reads no KV cache: page=0; a prefill that fills one is an extend with prefix=0", i,
            problem->text);
    if (d->num_kv_heads != first->num_kv_heads || d->head_dim_qk != first->head_dim_qk ||
        d->head_dim_vo != first->head_dim_vo || d->kv_dtype != first->kv_dtype)
        return set_error(
            ATTUNE_ERROR_MISMATCH,
            "problems[%zu] has %d KV heads of %d and %d %s, problems[0] %d of %d and %d %s: they cannot share a cache",
            i, d->num_kv_heads, d->head_dim_qk, d->head_dim_vo, dtype_name(d->kv_dtype), first->num_kv_heads,
            first->head_dim_qk, first->head_dim_vo, dtype_name(first->kv_dtype));
    if (!c->options->page_sizes && problem->page_size != c->problems[0]->page_size)
        return set_error(ATTUNE_ERROR_MISMATCH,
                         "problems[%zu] has page=%d, problems[0] page=%d; give options.page_sizes", i,
                         problem->page_size, c->problems[0]->page_size);
    return attune_problem_supported(problem);
}

static attune_status check_page_size(const struct kv_choosing *c, int32_t page_size)
{
    if (page_size < 1 || page_size > PROBLEM_PAGE_MAX)
        return set_error(ATTUNE_ERROR_INVALID_SIZE, "a page size is %d; it must be 1 to %d", page_size,
                         PROBLEM_PAGE_MAX);
    int64_t slots = c->options->num_slots;
    return slots >= 1 && slots <= INT32_MAX && slots % page_size == 0
               ? ATTUNE_OK
               : set_error(ATTUNE_ERROR_INVALID_SIZE,
                           "options.num_slots is %lld; it must be a multiple of every page size (%d) below 2^31",
                           (long long)slots, page_size);
}

static attune_status check_options(const attune_kv_choice_options *o, size_t num_problems)
{
    attune_status status = struct_check(o, sizeof *o, "options");
    if (status != ATTUNE_OK)
        return status;
    if (o->rounds < 1 || o->rounds > KV_ROUNDS_MAX)
        return set_error(ATTUNE_ERROR_INVALID_SIZE, "options.rounds is %d; it must be 1 to %d", o->rounds,
                         KV_ROUNDS_MAX);
    if (!(o->min_sample_ms >= 0) || !(o->max_seconds >= 0))
        return set_error(ATTUNE_ERROR_INVALID_SIZE,
                         "options.min_sample_ms and options.max_seconds must not be negative");
    if (o->page_sizes ? o->num_page_sizes < 1 || o->num_page_sizes > 4 : o->num_page_sizes > 0)
        return set_error(ATTUNE_ERROR_INVALID_SIZE, "options.num_page_sizes is %zu; it must be 1 to 4, or 0 with NULL",
                         o->num_page_sizes);
    for (size_t i = 0; o->weights && i < num_problems; i++)
        if (!(o->weights[i] > 0) || !isfinite(o->weights[i]))
            return set_error(ATTUNE_ERROR_INVALID_SIZE, "options.weights[%zu] is %g; it must be above 0", i,
                             o->weights[i]);
    return ATTUNE_OK;
}

static attune_status check(struct kv_choosing *c)
{
    if (c->num_problems < 1 || c->num_problems > KV_PROBLEMS_MAX)
        return set_error(ATTUNE_ERROR_INVALID_SIZE, "num_problems is %zu; it must be 1 to %d", c->num_problems,
                         KV_PROBLEMS_MAX);
    attune_status status = check_options(c->options, c->num_problems);
    size_t length = 0;
    for (size_t i = 0; status == ATTUNE_OK && i < c->num_problems; i++) {
        status = check_problem(c, i);
        c->weights[i] = c->options->weights ? c->options->weights[i] : 1.0;
        length += status == ATTUNE_OK ? strlen(c->problems[i]->text) : 0;
    }
    if (status == ATTUNE_OK && length > KEY_TEXT_MAX)
        return set_error(ATTUNE_ERROR_INVALID_SIZE, "the problems' texts have %zu characters; at most %d", length,
                         KEY_TEXT_MAX);
    c->num_page_sizes = c->options->page_sizes ? c->options->num_page_sizes : 1;
    for (size_t i = 0; status == ATTUNE_OK && i < c->num_page_sizes; i++) {
        c->page_sizes[i] = c->options->page_sizes ? c->options->page_sizes[i] : c->problems[0]->page_size;
        status = check_page_size(c, c->page_sizes[i]);
    }
    return status;
}

static void list_layouts(struct kv_choosing *c)
{
    int32_t pad = PAD_BYTES / (int32_t)dtype_size(c->problems[0]->desc.kv_dtype);
    for (size_t i = 0; i < c->num_page_sizes; i++)
        for (int padded = 0; padded < 2; padded++)
            for (int hnd = 0; hnd < 2; hnd++) {
                if (padded && hnd && c->page_sizes[i] == 1) /* nothing to pad: a head's slots are one run */
                    continue;
                c->layouts[c->num_layouts++] = (struct attune_problem){.page_size = c->page_sizes[i],
                                                                       .kv_order = hnd ? ATTUNE_KV_HND : ATTUNE_KV_NHD,
                                                                       .kv_pad = padded ? pad : 0};
            }
}

static attune_status describe_layouts(const struct kv_choosing *c, attune_kv_choice *out)
{
    out->num_candidates = c->num_layouts;
    for (int32_t i = 0; i < c->num_layouts; i++) {
        attune_kv_candidate *candidate = &out->candidates[i];
        struct attune_problem like = c->layouts[i];
        like.desc = c->problems[0]->desc;
        candidate->layout = problem_layout(&like, c->options->num_slots);
        struct attune_kv_layout layout;
        attune_status status = kv_layout_init(NULL, &candidate->layout, &layout);
        if (status != ATTUNE_OK)
            return status;
        copy_string(candidate->id, sizeof candidate->id, layout.id);
        int length = snprintf(candidate->fields, sizeof candidate->fields, "page=%d,order=%s", like.page_size,
                              like.kv_order == ATTUNE_KV_HND ? "hnd" : "nhd");
        if (like.kv_pad)
            snprintf(candidate->fields + length, sizeof candidate->fields - (size_t)length, ",kvpad=%d", like.kv_pad);
    }
    return ATTUNE_OK;
}

/* ---- decision */

/* Median over rounds begin .. end-1 of the ratio to candidate 0, or its interval; scratch[end - begin]. */
static struct stats_interval ratio_of(const struct kv_times *times, int32_t i, int32_t begin, int32_t end,
                                      double confidence, uint64_t seed, double *scratch)
{
    for (int32_t r = begin; r < end; r++)
        scratch[r - begin] = times->total[r][i] / times->total[r][0];
    return stats_bootstrap_median(scratch, (size_t)(end - begin), confidence, RESAMPLES, seed);
}

static double median_of(const double (*rows)[ATTUNE_KV_CANDIDATES_MAX], int32_t i, int32_t begin, int32_t end,
                        double *scratch)
{
    for (int32_t r = begin; r < end; r++)
        scratch[r - begin] = rows[r][i];
    return stats_median(scratch, (size_t)(end - begin));
}

bool kv_may_choose(const attune_kv_candidate *candidate)
{
    return candidate->outcome == ATTUNE_OUTCOME_OK && candidate->ratio_high < LEAST_GAIN;
}

attune_status kv_decide(const struct kv_times *times, uint64_t seed, attune_kv_choice *out)
{
    const int32_t screen = times->rounds / 3, begin = screen, end = times->rounds;
    const double confidence = 1 - 0.05 / (out->num_candidates > 1 ? out->num_candidates - 1 : 1);
    double *scratch = calloc((size_t)end + 1, sizeof *scratch), best_ratio = INFINITY;
    if (!scratch)
        return set_error(ATTUNE_ERROR_OUT_OF_MEMORY, "out of memory for %d rounds", end);
    out->rounds = end - begin;
    out->chosen = 0;
    for (int32_t i = 0; i < out->num_candidates; i++) {
        attune_kv_candidate *candidate = &out->candidates[i];
        if (candidate->outcome != ATTUNE_OUTCOME_OK)
            continue;
        candidate->time_ms = median_of(times->total, i, begin, end, scratch);
        candidate->append_ms = median_of(times->append, i, begin, end, scratch);
        struct stats_interval interval = ratio_of(times, i, begin, end, confidence, seed, scratch);
        candidate->ratio_low = interval.low;
        candidate->ratio = interval.mid;
        candidate->ratio_high = interval.high;
        double ratio = screen ? ratio_of(times, i, 0, screen, confidence, seed, scratch).mid : interval.mid;
        if (kv_may_choose(candidate) && ratio < best_ratio) {
            out->chosen = i;
            best_ratio = ratio;
        }
    }
    free(scratch);
    return ATTUNE_OK;
}

static attune_status measure(const struct kv_choosing *c, attune_kv_choice *out)
{
    struct kv_times *times = calloc(1, sizeof *times);
    attune_status status =
        times ? ATTUNE_OK : set_error(ATTUNE_ERROR_OUT_OF_MEMORY, "out of memory for %d rounds", KV_ROUNDS_MAX);
    for (size_t i = 0; status == ATTUNE_OK && i < c->num_problems; i++) {
        status = kv_measure_problem(c, i, times, out);
        const attune_kv_candidate *base = &out->candidates[0];
        if (status == ATTUNE_OK && base->outcome != ATTUNE_OUTCOME_OK)
            status = set_error(ATTUNE_ERROR_NOT_VERIFIED, "problems[%zu] on %s: %s: %s", i, base->id,
                               attune_outcome_name(base->outcome), base->reason);
    }
    if (status == ATTUNE_OK)
        status = kv_decide(times, c->options->seed, out);
    free(times);
    return status;
}

attune_status attune_kv_layout_choose(attune_target *target, const attune_problem *const *problems, size_t num_problems,
                                      const attune_kv_choice_options *options, attune_kv_choice *out)
{
    if (!target || !problems || !options || !out)
        return set_error(ATTUNE_ERROR_NULL_ARGUMENT, "%s is NULL",
                         !target     ? "target"
                         : !problems ? "problems"
                         : !options  ? "options"
                                     : "out");
    struct kv_choosing c = {.target = target, .problems = problems, .num_problems = num_problems, .options = options};
    attune_status status = check(&c);
    if (status != ATTUNE_OK)
        return status;
    memset(out, 0, sizeof *out);
    list_layouts(&c);
    if ((status = describe_layouts(&c, out)) != ATTUNE_OK || (status = target_ensure(target)) != ATTUNE_OK)
        return status;
    if (!options->again && kv_record_find(&c, out)) {
        out->hit = 1;
        return ATTUNE_OK;
    }
    if ((status = target_check_storage(target)) == ATTUNE_OK)
        status = measure(&c, out);
    return status == ATTUNE_OK ? kv_record_store(&c, out) : status;
}
