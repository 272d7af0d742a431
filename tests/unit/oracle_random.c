/* SPDX-License-Identifier: Apache-2.0
 * The oracle on random problems: against the formula written out key by key, and under permutations of the keys. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <math.h>
#include <stdlib.h>

#include "base/base.h"
#include "oracle/evaluate.h"
#include "oracle/oracle.h"

#define MAX_BATCH 3
#define MAX_LEN 150 /* over two blocks of keys */
#define MAX_PAGE 7
#define MAX_TOKENS (MAX_BATCH * (MAX_LEN + MAX_PAGE))
#define MAX_HEADS 6
#define MAX_DIM 9
#define MAX_ORDERS 48
#define MAX_STRIDE (MAX_HEADS * (MAX_DIM + 2))

/* Tensors are [token, head, dim] with random strides, and NaN wherever no attended value lies. */
struct tensor {
    float data[MAX_TOKENS * MAX_STRIDE];
    int64_t stride_token, stride_head;
};

struct problem {
    attune_attention_desc desc;
    struct oracle_input input;
    int32_t q_len[MAX_BATCH], kv_len[MAX_BATCH], indptr[MAX_BATCH + 1], indices[MAX_TOKENS];
    struct tensor q, k, v, k_cache, v_cache;
    size_t rows, count; /* of lse and o */
    int page_size;
};

static int draw(struct rng *rng, int low, int high)
{
    return low + (int)rng_below(rng, (uint64_t)(high - low + 1));
}

static void draw_desc(struct rng *rng, attune_attention_desc *desc)
{
    *desc = (attune_attention_desc)ATTUNE_ATTENTION_DESC_INIT;
    desc->operation = (attune_operation)draw(rng, ATTUNE_PREFILL, ATTUNE_DECODE);
    desc->num_kv_heads = draw(rng, 1, 2);
    desc->num_q_heads = desc->num_kv_heads * draw(rng, 1, 3);
    desc->head_dim_qk = draw(rng, 1, MAX_DIM);
    desc->head_dim_vo = draw(rng, 0, MAX_DIM);
    desc->mask = (attune_mask)draw(rng, 0, 1);
    desc->causal_alignment = (attune_causal_alignment)draw(rng, 0, 1);
    desc->window_left = draw(rng, 0, 1) ? draw(rng, 0, 80) : -1;
    desc->window_right = draw(rng, 0, 2) ? -1 : draw(rng, 0, 80);
    desc->softcap = draw(rng, 0, 2) ? 0.0f : 1.5f;
    desc->scale = draw(rng, 0, 1) ? 0.0f : 0.7f;
}

static void make_tensor(struct rng *rng, struct tensor *tensor, int heads, int dim)
{
    int64_t row = dim + draw(rng, 0, 2);
    tensor->stride_head = row;
    tensor->stride_token = row * heads;
    if (draw(rng, 0, 1)) { /* head-major */
        tensor->stride_head = row * MAX_TOKENS;
        tensor->stride_token = row;
    }
    for (size_t i = 0; i < sizeof tensor->data / sizeof tensor->data[0]; i++)
        tensor->data[i] = NAN;
}

static float *row_of(const struct tensor *tensor, int64_t token, int head)
{
    return (float *)tensor->data + token * tensor->stride_token + head * tensor->stride_head;
}

static void fill(struct rng *rng, struct tensor *tensor, int64_t token, int heads, int dim)
{
    for (int head = 0; head < heads; head++)
        for (int d = 0; d < dim; d++)
            row_of(tensor, token, head)[d] = (float)(4 * rng_double(rng) - 2);
}

static int dim_vo(const attune_attention_desc *desc)
{
    return desc->head_dim_vo ? desc->head_dim_vo : desc->head_dim_qk;
}

/* The mask as semantics state it, key by key. */
static bool allowed(const struct problem *problem, int b, int64_t i, int64_t j)
{
    const attune_attention_desc *desc = &problem->desc;
    int64_t p = desc->causal_alignment == ATTUNE_TOP_LEFT ? i : problem->kv_len[b] - problem->q_len[b] + i;
    if (desc->mask == ATTUNE_MASK_CAUSAL && j > p)
        return false;
    if (desc->window_left != -1 && j < p - desc->window_left)
        return false;
    return desc->window_right == -1 || j <= p + desc->window_right;
}

static bool ever_allowed(const struct problem *problem, int b, int64_t j)
{
    for (int64_t i = 0; i < problem->q_len[b]; i++)
        if (allowed(problem, b, i, j))
            return true;
    return false;
}

/* Where key j of sequence b is stored. */
static int64_t locate(const struct problem *problem, int b, int64_t j, bool *cached)
{
    int64_t start = 0, prefix = 0;
    for (int a = 0; a <= b; a++) {
        int64_t fresh = problem->desc.operation == ATTUNE_PREFILL  ? problem->kv_len[a]
                        : problem->desc.operation == ATTUNE_EXTEND ? problem->q_len[a]
                                                                   : 0;
        prefix = problem->kv_len[a] - fresh;
        start += a < b ? fresh : 0;
    }
    *cached = j < prefix;
    int page_size = problem->page_size;
    return *cached ? problem->indices[problem->indptr[b] + j / page_size] * page_size + j % page_size
                   : start + j - prefix;
}

static void draw_lengths(struct rng *rng, struct problem *problem)
{
    problem->input.batch = draw(rng, 1, MAX_BATCH);
    for (int b = 0; b < problem->input.batch; b++) {
        problem->q_len[b] = draw(rng, 0, 12);
        problem->kv_len[b] = draw(rng, 0, 1) ? draw(rng, 0, 12) : draw(rng, 0, MAX_LEN);
        if (problem->desc.operation == ATTUNE_EXTEND && problem->kv_len[b] < problem->q_len[b])
            problem->kv_len[b] = problem->q_len[b];
        problem->indptr[b + 1] =
            problem->indptr[b] + (problem->kv_len[b] + problem->page_size - 1) / problem->page_size;
        problem->rows += (size_t)problem->q_len[b] * (size_t)problem->desc.num_q_heads;
    }
    problem->count = problem->rows * (size_t)dim_vo(&problem->desc);
    for (int i = 0; i < MAX_TOKENS / problem->page_size; i++) {
        int other = draw(rng, 0, i);
        problem->indices[i] = problem->indices[other];
        problem->indices[other] = i;
    }
}

static void draw_values(struct rng *rng, struct problem *problem)
{
    const attune_attention_desc *desc = &problem->desc;
    make_tensor(rng, &problem->q, desc->num_q_heads, desc->head_dim_qk);
    make_tensor(rng, &problem->k, desc->num_kv_heads, desc->head_dim_qk);
    make_tensor(rng, &problem->v, desc->num_kv_heads, dim_vo(desc));
    make_tensor(rng, &problem->k_cache, desc->num_kv_heads, desc->head_dim_qk);
    make_tensor(rng, &problem->v_cache, desc->num_kv_heads, dim_vo(desc));
    for (size_t token = 0; token < problem->rows / (size_t)desc->num_q_heads; token++)
        fill(rng, &problem->q, (int64_t)token, desc->num_q_heads, desc->head_dim_qk);
    for (int b = 0; b < problem->input.batch; b++)
        for (int64_t j = 0; j < problem->kv_len[b]; j++)
            if (ever_allowed(problem, b, j)) {
                bool cached;
                int64_t token = locate(problem, b, j, &cached);
                fill(rng, cached ? &problem->k_cache : &problem->k, token, desc->num_kv_heads, desc->head_dim_qk);
                fill(rng, cached ? &problem->v_cache : &problem->v, token, desc->num_kv_heads, dim_vo(desc));
            }
}

static struct problem *draw_problem(struct rng *rng, const attune_attention_desc *desc, int page_size)
{
    struct problem *p = calloc(1, sizeof *p);
    assert_non_null(p);
    p->desc = *desc;
    p->page_size = page_size;
    draw_lengths(rng, p);
    draw_values(rng, p);
    struct oracle_input *input = &p->input;
    input->desc = &p->desc;
    input->q_len = p->q_len;
    input->kv_len = p->kv_len;
    input->kv_indptr = p->indptr;
    input->kv_indices = p->indices;
#define VIEW(name)                                     \
    input->name = p->name.data;                        \
    input->name##_stride_token = p->name.stride_token; \
    input->name##_stride_head = p->name.stride_head
    VIEW(q);
    VIEW(k);
    VIEW(v);
    VIEW(k_cache);
    VIEW(v_cache);
    input->page_size = p->page_size;
    input->k_cache_stride_page = p->page_size * p->k_cache.stride_token;
    input->v_cache_stride_page = p->page_size * p->v_cache.stride_token;
    return p;
}

static double logit(const struct problem *problem, const float *q, const float *k)
{
    const attune_attention_desc *desc = &problem->desc;
    double dot = 0.0;
    for (int d = 0; d < desc->head_dim_qk; d++)
        dot += (double)q[d] * (double)k[d];
    double s = dot * (desc->scale > 0 ? (double)desc->scale : pow(desc->head_dim_qk, -0.5));
    return desc->softcap > 0 ? (double)desc->softcap * tanh(s / (double)desc->softcap) : s;
}

/* o = sum exp(s) v / sum exp(s), logits being small enough here to leave out the maximum. */
static void formula_row(const struct problem *problem, int b, int64_t i, int64_t token, int head, double *o,
                        double *lse)
{
    const attune_attention_desc *desc = &problem->desc;
    int kv_head = head / (desc->num_q_heads / desc->num_kv_heads);
    double sum = 0.0, sums[MAX_DIM] = {0};
    for (int64_t j = 0; j < problem->kv_len[b]; j++) {
        if (!allowed(problem, b, i, j))
            continue;
        bool cached;
        int64_t at = locate(problem, b, j, &cached);
        const float *v = row_of(cached ? &problem->v_cache : &problem->v, at, kv_head);
        double weight = exp(logit(problem, row_of(&problem->q, token, head),
                                  row_of(cached ? &problem->k_cache : &problem->k, at, kv_head)));
        sum += weight;
        for (int d = 0; d < dim_vo(desc); d++)
            sums[d] += weight * (double)v[d];
    }
    for (int d = 0; d < dim_vo(desc); d++)
        o[d] = sum > 0 ? sums[d] / sum : 0.0;
    *lse = log(sum);
}

static void formula(const struct problem *problem, double *o, double *lse)
{
    int64_t token = 0;
    for (int b = 0; b < problem->input.batch; b++)
        for (int64_t i = 0; i < problem->q_len[b]; i++, token++)
            for (int head = 0; head < problem->desc.num_q_heads; head++) {
                int64_t row = token * problem->desc.num_q_heads + head;
                formula_row(problem, b, i, token, head, o + row * dim_vo(&problem->desc), lse + row);
            }
}

struct results {
    double o[MAX_TOKENS * MAX_HEADS * MAX_DIM], lse[MAX_TOKENS * MAX_HEADS];
    float plain_o[MAX_TOKENS * MAX_HEADS * MAX_DIM], plain_lse[MAX_TOKENS * MAX_HEADS];
    double formula_o[MAX_TOKENS * MAX_HEADS * MAX_DIM], formula_lse[MAX_TOKENS * MAX_HEADS];
};

static void expect_close(const double *values, const double *expected, size_t count, const char *what, int seed)
{
    for (size_t i = 0; i < count; i++)
        if (values[i] != expected[i] && !(fabs(values[i] - expected[i]) < 1e-11 * fmax(1, fabs(expected[i]))))
            fail_msg("seed %d: %s[%zu] is %.17g, the formula gives %.17g", seed, what, i, values[i], expected[i]);
}

/* One evaluation of all rows in a given order. */
struct evaluation {
    const struct order *order;
    struct plain_room room;
    struct results *results;
};

static void evaluate_row(const struct oracle_row *row, void *priv)
{
    struct evaluation *e = priv;
    e->results->plain_lse[row->index] =
        row_plain(row, e->order, &e->room, e->results->plain_o + row->index * row->head_dim_vo);
}

/* Errors that rounding Q and P costs with values up to 2 and logits of a few units; more would be a mistake. */
static void expect_plain(const struct problem *problem, struct results *r, const struct orders *orders, int order,
                         attune_precision precision, attune_dtype kv_dtype, double bound, int seed)
{
    attune_attention_desc desc = problem->desc;
    desc.precision = precision;
    desc.kv_dtype = kv_dtype;
    struct oracle_input input = problem->input;
    input.desc = &desc;
    struct evaluation e = {&orders->order[order], {0}, r};
    assert_int_equal(plain_room_create(&input, &e.room), ATTUNE_OK);
    assert_int_equal(oracle_for_each_row(&input, NULL, evaluate_row, &e), ATTUNE_OK);
    plain_room_free(&e.room);
    for (size_t i = 0; i < problem->count; i++)
        if (!(fabs((double)r->plain_o[i] - r->o[i]) <= bound))
            fail_msg("seed %d, order %d: plain o[%zu] is %g, not %g", seed, order, i, (double)r->plain_o[i], r->o[i]);
    for (size_t i = 0; i < problem->rows; i++)
        if ((double)r->plain_lse[i] != r->lse[i] && !(fabs((double)r->plain_lse[i] - r->lse[i]) <= bound * 4))
            fail_msg("seed %d, order %d: plain lse[%zu] is %g, not %g", seed, order, i, (double)r->plain_lse[i],
                     r->lse[i]);
}

static void random_problems_agree_with_the_formula(void **state)
{
    (void)state;
    struct results *r = calloc(1, sizeof *r);
    assert_non_null(r);
    for (int seed = 1; seed <= 300; seed++) {
        struct rng rng;
        rng_seed(&rng, (uint64_t)seed);
        attune_attention_desc desc;
        draw_desc(&rng, &desc);
        struct problem *problem = draw_problem(&rng, &desc, seed % 2 ? 1 : draw(&rng, 2, MAX_PAGE));
        assert_int_equal(oracle_attention_fp64(&problem->input, r->o, r->lse), ATTUNE_OK);
        formula(problem, r->formula_o, r->formula_lse);
        expect_close(r->o, r->formula_o, problem->count, "o", seed);
        expect_close(r->lse, r->formula_lse, problem->rows, "lse", seed);
        struct orders orders;
        assert_int_equal(orders_create(MAX_ORDERS, desc.head_dim_qk, &orders), ATTUNE_OK);
        for (int order = seed % 4; order < MAX_ORDERS; order += 4) {
            expect_plain(problem, r, &orders, order, ATTUNE_STRICT, ATTUNE_BF16, 5e-6, seed);
            expect_plain(problem, r, &orders, order, ATTUNE_FAST, ATTUNE_FP16, 1e-2, seed);
            expect_plain(problem, r, &orders, order, ATTUNE_FAST, ATTUNE_BF16, 8e-2, seed);
        }
        orders_free(&orders);
        free(problem);
    }
    free(r);
}

/* Without a mask the order of a sequence's keys does not matter: rotate the cache's indices. */
static void order_of_keys_does_not_matter_without_a_mask(void **state)
{
    (void)state;
    struct results *r = calloc(1, sizeof *r);
    assert_non_null(r);
    for (int seed = 1; seed <= 20; seed++) {
        struct rng rng;
        rng_seed(&rng, (uint64_t)seed);
        attune_attention_desc desc;
        draw_desc(&rng, &desc);
        desc.operation = ATTUNE_DECODE;
        desc.mask = ATTUNE_MASK_NONE;
        desc.window_left = desc.window_right = -1;
        struct problem *problem = draw_problem(&rng, &desc, 1);
        assert_int_equal(oracle_attention_fp64(&problem->input, r->o, r->lse), ATTUNE_OK);
        for (int b = 0; b < problem->input.batch; b++)
            for (int32_t j = problem->indptr[b] + 1; j < problem->indptr[b + 1]; j++) {
                int32_t slot = problem->indices[j];
                problem->indices[j] = problem->indices[j - 1];
                problem->indices[j - 1] = slot;
            }
        assert_int_equal(oracle_attention_fp64(&problem->input, r->formula_o, r->formula_lse), ATTUNE_OK);
        expect_close(r->formula_o, r->o, problem->count, "permuted o", seed);
        expect_close(r->formula_lse, r->lse, problem->rows, "permuted lse", seed);
        free(problem);
    }
    free(r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(random_problems_agree_with_the_formula),
        cmocka_unit_test(order_of_keys_does_not_matter_without_a_mask),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
