/* SPDX-License-Identifier: Apache-2.0
 *
 * How often the contract refuses an honest kernel. Draws problems, values and kernels, which are played on the host
 * (honest.h), and judges each by the reference as the tuner does. More than one refusal in 10,000 checks is a failure;
 * each is printed with what makes it again. Kernels that do something wrong must be refused by the tuner's sets of
 * short lengths.
 *
 *   gate [--draws N] [--kernels N] [--seed S] [--only DRAW]
 *
 * It also tells what a bound of twice one plain evaluation of the whole batch would have refused, and how the bounds
 * compare. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/base.h"
#include "honest.h"
#include "tuner/edges.h"

struct draw {
    char problem[512];
    struct workload_options options;
};

static int between(struct rng *rng, int low, int high)
{
    return low + (int)rng_below(rng, (uint64_t)(high - low + 1));
}

static int pick(struct rng *rng, const int *list, int count)
{
    return list[rng_below(rng, (uint64_t)count)];
}
#define PICK(rng, ...) pick(rng, (const int[]){__VA_ARGS__}, (int)(sizeof((const int[]){__VA_ARGS__}) / sizeof(int)))

/* Lengths from one key up, so that the largest errors are those of few values as well as of many. */
static int draw_length(struct rng *rng, int most)
{
    int limit = PICK(rng, 1, 3, 8, 40, 300, 2000);
    return between(rng, 0, 15) ? between(rng, 1, limit < most ? limit : most) : 0;
}

static void draw_problem(struct rng *rng, struct draw *out)
{
    static const char *const types[] = {"fp32", "fp16", "bf16"};
    bool decode = rng_below(rng, 3) == 0;
    int batch = PICK(rng, 1, 1, 2, 3, 6, 12), hkv = PICK(rng, 1, 1, 2), group = PICK(rng, 1, 1, 2, 4, 7);
    int dim = PICK(rng, 1, 3, 8, 16, 32, 64, 64, 64, 72, 80, 96, 128, 128, 256);
    char *text = out->problem;
    size_t size = sizeof out->problem;
    int n =
        snprintf(text, size, "%s:hq=%d,hkv=%d,d=%d,q=%s,kv=%s,o=%s,prec=%s,causal=%d", decode ? "decode" : "prefill",
                 hkv * group, hkv, dim, types[rng_below(rng, 3)], types[rng_below(rng, 3)], types[rng_below(rng, 3)],
                 rng_below(rng, 2) ? "fast" : "strict", (int)rng_below(rng, 2));
    if (rng_below(rng, 4) == 0)
        n += snprintf(text + n, size - (size_t)n, ",align=tl");
    n += snprintf(text + n, size - (size_t)n, "%s", decode ? ",page=0" : "");
    int q[12], kv[12];
    double room = 3e6 / (hkv * group * dim * 2); /* rows times keys: about a millisecond of arithmetic */
    for (int i = 0; i < batch; i++) {
        q[i] = rng_below(rng, 2) ? 1 : between(rng, 1, decode ? 4 : 40);
        kv[i] = draw_length(rng, (int)fmin(4000, 1 + room / q[i] / batch));
    }
    for (int i = 0; i < batch; i++)
        n += snprintf(text + n, size - (size_t)n, "%s%d", i ? "/" : ",new=", q[i]);
    for (int i = 0; i < batch; i++)
        n += snprintf(text + n, size - (size_t)n, "%s%d", i ? "/" : ",kvlen=", kv[i]);
}

static void draw_values(struct rng *rng, struct workload_options *out)
{
    static const float normal[] = {1e-3f, 0.0625f, 1, 1, 2, 4, 8, 16, 30, 50}, dominant[] = {0.3f, 1, 3, 10, 100, 500};
    *out = (struct workload_options)WORKLOAD_OPTIONS_INIT;
    out->seed = rng_next(rng) >> 1;
    out->pattern = (enum workload_pattern)rng_below(rng, PATTERN_COUNT);
    out->magnitude = out->pattern == PATTERN_DOMINANT_KEY ? dominant[rng_below(rng, 6)] : normal[rng_below(rng, 10)];
    if (out->pattern == PATTERN_CANCELLATION)
        out->magnitude = fminf(out->magnitude, 4);
}

/* ---- what a bound of one draw says: twice the natural order's error, of the batch */

struct one_draw {
    double max_abs, relative, lse; /* errors */
};

static struct one_draw errors_of(const struct oracle_reference *r, const float *o, const float *lse)
{
    struct one_draw e = {0, 0, 0};
    double squares = 0, ref = 0;
    int64_t rows = r->first_row[r->batch];
    for (int64_t i = 0; i < rows * r->head_dim_vo; i++) {
        double d = fabs((double)o[i] - r->o[i]);
        e.max_abs = fmax(e.max_abs, d);
        squares += d * d;
        ref += r->o[i] * r->o[i];
    }
    e.relative = squares > 0 ? sqrt(squares / ref) : 0;
    for (int64_t i = 0; i < rows; i++)
        if ((double)lse[i] != r->lse[i])
            e.lse = fmax(e.lse, fabs((double)lse[i] - r->lse[i]) / fmax(1, fabs(r->lse[i])));
    return e;
}

static bool one_draw_refuses(const struct one_draw *e, const struct one_draw *plain)
{
    return !(e->max_abs <= 2 * plain->max_abs + 1e-6 && e->relative <= 2 * plain->relative + 1e-6 &&
             e->lse <= fmax(1e-5, 2 * plain->lse));
}

/* ---- one draw */

struct tally {
    long checks, refused, refused_by_one;
    double *ratio[3]; /* of the batch's bounds to those of one draw */
    long ratios;
};

static double check_ok(attune_status status, const char *what)
{
    if (status == ATTUNE_OK)
        return 0;
    fprintf(stderr, "%s: %s\n", what, attune_last_error());
    exit(1);
}

static void count_ratios(struct tally *tally, const struct oracle_reference *r, const struct one_draw *plain)
{
    const struct oracle_error *all = &r->plain[r->batch];
    tally->ratio[0][tally->ratios] = (2 * all->max_abs + 1e-6) / (2 * plain->max_abs + 1e-6);
    tally->ratio[1][tally->ratios] = (2 * all->relative + 1e-6) / (2 * plain->relative + 1e-6);
    tally->ratio[2][tally->ratios++] = fmax(1e-5, 2 * all->lse) / fmax(1e-5, 2 * plain->lse);
}

static void count_check(struct tally *tally, const struct draw *draw, const struct oracle_reference *reference,
                        const struct one_draw *plain, const float *o, const float *lse, const char *kernel, long number)
{
    struct one_draw error = errors_of(reference, o, lse);
    tally->checks++;
    tally->refused_by_one += one_draw_refuses(&error, plain);
    if (oracle_judge(reference, o, lse, NULL) == ATTUNE_OK)
        return;
    tally->refused++;
    printf("draw %ld: %s\n  problem %s\n  seed %llu, pattern %d, magnitude %g\n  kernel  %s\n", number,
           attune_last_error(), draw->problem, (unsigned long long)draw->options.seed, (int)draw->options.pattern,
           (double)draw->options.magnitude, kernel);
    fflush(stdout);
}

static void run_draw(struct tally *tally, uint64_t seed, long number, int kernels)
{
    struct rng rng;
    struct draw draw;
    rng_seed(&rng, seed + (uint64_t)number * UINT64_C(0x9e3779b97f4a7c15));
    draw_problem(&rng, &draw);
    draw_values(&rng, &draw.options);
    attune_problem *problem;
    struct workload workload;
    struct oracle_input input;
    struct oracle_reference reference;
    check_ok(attune_problem_parse(draw.problem, &problem), draw.problem);
    check_ok(workload_create(problem, &draw.options, &workload), draw.problem);
    workload_oracle_input(problem, &workload, &input);
    check_ok(oracle_reference_create(&input, &reference), draw.problem);
    size_t rows = (size_t)reference.first_row[reference.batch];
    float *o = calloc(rows * (size_t)reference.head_dim_vo + 1, sizeof *o), *lse = calloc(rows + 1, sizeof *lse);
    check_ok(oracle_attention_plain(&input, o, lse), draw.problem);
    struct one_draw plain = errors_of(&reference, o, lse);
    count_ratios(tally, &reference, &plain);
    for (int i = 0; i < kernels; i++) {
        struct honest kernel;
        char text[256];
        honest_draw(&rng, &problem->desc, &kernel);
        honest_text(&kernel, text);
        honest_run(&kernel, &input, o, lse);
        count_check(tally, &draw, &reference, &plain, o, lse, text, number);
    }
    free(o);
    free(lse);
    oracle_reference_free(&reference);
    workload_destroy(&workload);
    attune_problem_destroy(&problem);
}

/* ---- faults */

/* The edge set that refuses a kernel, or -1. */
static int refusing_set(const struct honest *kernel, const attune_problem *edge, uint64_t seed)
{
    int refusing = -1;
    for (int set = 0; set < NUM_EDGE_SETS && refusing < 0; set++) {
        struct workload_options options = edge_options(set);
        options.seed = seed + (uint64_t)set;
        struct workload workload;
        struct oracle_input input;
        struct oracle_reference reference;
        check_ok(workload_create(edge, &options, &workload), "edges");
        workload_oracle_input(edge, &workload, &input);
        check_ok(oracle_reference_create(&input, &reference), "edges");
        size_t rows = (size_t)reference.first_row[reference.batch];
        float *o = calloc(rows * (size_t)reference.head_dim_vo, sizeof *o), *lse = calloc(rows, sizeof *lse);
        honest_run(kernel, &input, o, lse);
        if (oracle_judge(&reference, o, lse, NULL) != ATTUNE_OK)
            refusing = set;
        free(o);
        free(lse);
        oracle_reference_free(&reference);
        workload_destroy(&workload);
    }
    return refusing;
}

/* The edge sets refuse each fault, and the same kernel without it in none. */
static int check_faults(uint64_t seed)
{
    static const struct {
        enum fault fault;
        const char *what, *problem;
    } cases[] = {
        {FAULT_SHIFTED, "shifted exponent", "prefill:hq=2,hkv=1,d=64,q=bf16,kv=bf16,o=fp32,prec=fast,new=40"},
        {FAULT_SHIFTED, "shifted exponent", "decode:hq=2,hkv=1,d=16,q=fp32,kv=bf16,o=fp32,prec=fast,page=0,kvlen=400"},
        {FAULT_NARROW, "weights of bf16", "prefill:hq=2,hkv=1,d=64,new=40"},
        {FAULT_NARROW, "weights of bf16", "decode:hq=2,hkv=1,d=72,q=fp16,kv=fp16,o=fp16,page=0,kvlen=400"},
        {FAULT_SCALE, "scale 1e-5 off", "prefill:hq=2,hkv=1,d=72,new=40"},
        {FAULT_LAST, "last key left out", "decode:hq=2,hkv=1,d=64,q=bf16,kv=bf16,prec=fast,page=0,kvlen=400"},
    };
    int failures = 0;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        attune_problem *problem, *edge;
        check_ok(attune_problem_parse(cases[i].problem, &problem), cases[i].problem);
        check_ok(edges_short(problem, &edge), cases[i].problem);
        struct honest kernel = {.dot_lanes = 8,
                                .dot_width = 1,
                                .dot_tree = true,
                                .fma = true,
                                .scale_at = 2,
                                .block = 64,
                                .lanes = 1,
                                .round_p = problem->desc.precision == ATTUNE_FAST,
                                .round_q = problem->desc.precision == ATTUNE_FAST};
        int honest = refusing_set(&kernel, edge, seed);
        kernel.fault = cases[i].fault;
        int faulty = refusing_set(&kernel, edge, seed);
        printf("%s: %s refused by edge set %d, without the fault %d\n", cases[i].problem, cases[i].what, faulty,
               honest);
        failures += faulty < 0 || honest >= 0;
        attune_problem_destroy(&edge);
        attune_problem_destroy(&problem);
    }
    return failures;
}

static int ascending(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

int main(int argc, char **argv)
{
    long draws = 10000, only = -1;
    uint64_t seed = 20264;
    int kernels = 2;
    for (int i = 1; i + 1 < argc; i += 2) {
        if (!strcmp(argv[i], "--draws"))
            draws = atol(argv[i + 1]);
        else if (!strcmp(argv[i], "--seed"))
            seed = strtoull(argv[i + 1], NULL, 10);
        else if (!strcmp(argv[i], "--only"))
            only = atol(argv[i + 1]);
        else if (!strcmp(argv[i], "--kernels"))
            kernels = atoi(argv[i + 1]);
    }
    int faults = check_faults(seed);
    struct tally tally = {0};
    for (int i = 0; i < 3; i++)
        tally.ratio[i] = calloc((size_t)draws + 1, sizeof(double));
    if (only >= 0)
        run_draw(&tally, seed, only, kernels);
    for (long i = 0; only < 0 && i < draws; i++)
        run_draw(&tally, seed, i, kernels);
    printf("seed %llu: %ld of %ld checks refused; by twice one plain evaluation of the batch %ld\n",
           (unsigned long long)seed, tally.refused, tally.checks, tally.refused_by_one);
    static const char *const names[] = {"max_abs", "relative", "lse"};
    for (int i = 0; i < 3; i++) {
        qsort(tally.ratio[i], (size_t)tally.ratios, sizeof(double), ascending);
        printf("bound of %s for the batch over that of one evaluation: median %.3g, 90%% %.3g, 99%% %.3g, most %.3g\n",
               names[i], tally.ratio[i][tally.ratios / 2], tally.ratio[i][tally.ratios * 9 / 10],
               tally.ratio[i][tally.ratios * 99 / 100], tally.ratio[i][tally.ratios - 1]);
    }
    return faults || tally.refused * 10000 > tally.checks;
}
