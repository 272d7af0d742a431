/* SPDX-License-Identifier: Apache-2.0
 * One problem on every candidate layout: the same values in another order in memory, the same kernels, interleaved. */
#include <stdlib.h>
#include <string.h>

#include "answer.h"
#include "kv_choice.h"
#include "rounds.h"
#include "search/stats.h"

#define MAX_CONFIGS 2 /* a layout: what the caches answer for candidate 0, and for itself */
#define APPENDS_MAX 10000

/* Appending on one layout. */
struct appending {
    int32_t launches;
    uint32_t generation; /* worker in which it has run */
};

struct layout_case {
    attune_problem *problem; /* the problem on this layout */
    struct reference reference;
    struct candidate candidates[MAX_CONFIGS];
    int32_t num_configs;
    struct appending appending;
    attune_outcome outcome;
    char reason[256];
};

struct kv_job {
    const struct kv_choosing *choosing;
    struct layout_case cases[ATTUNE_KV_CANDIDATES_MAX];
    int32_t count, rounds;
    double *attention; /* [round][case][config] ms; 0 = no sample */
    double *append;    /* [round][case] ms */
    struct rng rng;
};

static double *attention_at(const struct kv_job *job, int32_t round, int32_t i, int32_t config)
{
    return &job->attention[((size_t)round * (size_t)job->count + (size_t)i) * MAX_CONFIGS + (size_t)config];
}

static double *append_at(const struct kv_job *job, int32_t round, int32_t i)
{
    return &job->append[(size_t)round * (size_t)job->count + (size_t)i];
}

/* ---- appending */

static attune_outcome append(struct kv_job *job, struct layout_case *c, int32_t launches, double *time_ms)
{
    struct session *session = &job->choosing->target->session;
    json_t *request =
        json_pack("{s:s,s:i,s:i}", "op", "append", "input", c->reference.real.id, "launches", (int)launches);
    attune_outcome outcome = session_request(session, request, session->deadlines.build, NULL);
    *time_ms = launches ? (double)session->elapsed_ns * 1e-6 / launches : 0;
    if (outcome != ATTUNE_OUTCOME_OK) {
        c->outcome = outcome;
        copy_string(c->reason, sizeof c->reason, session->reason);
    }
    return outcome;
}

/* Compiles in a new worker, and finds how many appends make a sample. */
static attune_outcome prepare_append(struct kv_job *job, struct layout_case *c)
{
    const struct session *session = &job->choosing->target->session;
    double time_ms;
    if (c->appending.generation == session->generation && c->appending.launches)
        return ATTUNE_OUTCOME_OK;
    attune_outcome outcome = append(job, c, 1, &time_ms);
    if (outcome == ATTUNE_OUTCOME_OK)
        outcome = append(job, c, 4, &time_ms);
    c->appending.generation = session->generation;
    double launches = time_ms > 0 ? job->choosing->options->min_sample_ms / time_ms + 1 : APPENDS_MAX;
    c->appending.launches = launches > APPENDS_MAX ? APPENDS_MAX : (int32_t)launches;
    return outcome;
}

/* ---- candidates */

static bool has_config(const struct layout_case *c, const struct kernel_config *config)
{
    for (int32_t i = 0; i < c->num_configs; i++)
        if (kernel_config_equal(&c->candidates[i].config, config))
            return true;
    return false;
}

static void add_config(struct layout_case *c, int32_t index, const struct kernel_config *config)
{
    if (!has_config(c, config)) {
        candidate_init(&c->candidates[c->num_configs], index * MAX_CONFIGS + c->num_configs, config);
        c->num_configs++;
    }
}

static attune_status create_case(struct kv_job *job, const attune_problem *problem, int32_t index)
{
    const struct kv_choosing *choosing = job->choosing;
    struct layout_case *c = &job->cases[index];
    struct cache_key key;
    struct selection answer;
    /* The seed of a reference is offset by its number: equal seeds give every layout the same values. */
    uint64_t seed = choosing->options->seed - (uint64_t)index;
    attune_status status;
    if ((status = problem_create_like(&choosing->layouts[index], &problem->desc, problem->batch, problem->q_len,
                                      problem->kv_len, &c->problem)) ||
        (status = target_answer(choosing->target, c->problem, &key, &answer)) ||
        (status = reference_create(c->problem, index, seed, &c->reference)))
        return status;
    if (index > 0) {
        struct kernel_facts facts = target_facts(choosing->target, c->problem);
        const struct kernel_config *first = &job->cases[0].candidates[0].config;
        char why[160];
        if (backend_config_valid(&choosing->target->choice.limits, &facts, first, why, sizeof why))
            add_config(c, index, first);
    }
    add_config(c, index, &answer.config);
    return ATTUNE_OK;
}

static void destroy_case(struct layout_case *c)
{
    reference_destroy(&c->reference);
    attune_problem_destroy(&c->problem);
}

static attune_status verify_case(struct kv_job *job, struct layout_case *c)
{
    struct attune_target *target = job->choosing->target;
    int32_t passed = 0;
    for (int32_t i = 0; i < c->num_configs; i++) {
        struct candidate *candidate = &c->candidates[i];
        attune_status status = candidate_prepare(target, &c->reference);
        if (status != ATTUNE_OK)
            return status;
        if (candidate_verify(target, &c->reference, candidate, 0, &job->rng) == ATTUNE_OUTCOME_OK &&
            candidate_calibrate(target, &c->reference, candidate, job->choosing->options->min_sample_ms) ==
                ATTUNE_OUTCOME_OK)
            passed++;
    }
    if (!passed) {
        c->outcome = c->candidates[0].outcome;
        copy_string(c->reason, sizeof c->reason, c->candidates[0].reason);
    }
    return ATTUNE_OK;
}

/* ---- rounds */

/* One sample of a layout: with configuration config, or of appending where that is MAX_CONFIGS. */
static attune_status take_sample(struct kv_job *job, int32_t round, int32_t index, int32_t config, bool check)
{
    struct attune_target *target = job->choosing->target;
    struct layout_case *c = &job->cases[index];
    struct candidate *candidate = config < MAX_CONFIGS ? &c->candidates[config] : NULL;
    if (c->outcome != ATTUNE_OUTCOME_OK ||
        (candidate && (config >= c->num_configs || candidate->outcome != ATTUNE_OUTCOME_OK)))
        return ATTUNE_OK;
    attune_status status = candidate_prepare(target, &c->reference);
    if (status != ATTUNE_OK)
        return status;
    double time_ms = 0;
    if (candidate) {
        candidate->outcome = rounds_sample(target, &c->reference, candidate, check, &job->rng, &time_ms);
        *attention_at(job, round, index, config) = candidate->outcome == ATTUNE_OUTCOME_OK ? time_ms : 0;
    } else if (prepare_append(job, c) == ATTUNE_OUTCOME_OK &&
               append(job, c, c->appending.launches, &time_ms) == ATTUNE_OUTCOME_OK) {
        *append_at(job, round, index) = time_ms;
    }
    return ATTUNE_OK;
}

static attune_status run_rounds(struct kv_job *job, double seconds)
{
    int32_t order[ATTUNE_KV_CANDIDATES_MAX * (MAX_CONFIGS + 1)], count = job->count * (MAX_CONFIGS + 1);
    uint64_t start = clock_now_ns();
    int32_t rounds = job->choosing->options->rounds;
    attune_status status = ATTUNE_OK;
    for (int32_t r = 0; status == ATTUNE_OK && r < rounds; r++) {
        if (r && seconds > 0 && (double)(clock_now_ns() - start) * 1e-9 >= seconds)
            break;
        rounds_shuffle(order, count, &job->rng);
        for (int32_t k = 0; status == ATTUNE_OK && k < count; k++)
            status = take_sample(job, r, order[k] / (MAX_CONFIGS + 1), order[k] % (MAX_CONFIGS + 1),
                                 r == 0 || r == rounds - 1);
        job->rounds = r + 1;
    }
    return status;
}

/* The configuration that is fastest on a layout; -1 where none has a time in every round. */
static int32_t best_config(const struct kv_job *job, int32_t index)
{
    const struct layout_case *c = &job->cases[index];
    double *x = calloc((size_t)job->rounds + 1, sizeof *x), best_time = 0;
    int32_t best = -1;
    for (int32_t config = 0; x && config < c->num_configs; config++) {
        if (c->candidates[config].outcome != ATTUNE_OUTCOME_OK)
            continue;
        for (int32_t r = 0; r < job->rounds; r++)
            x[r] = *attention_at(job, r, index, config);
        double time = stats_median(x, (size_t)job->rounds);
        if (best < 0 || time < best_time) {
            best = config;
            best_time = time;
        }
    }
    free(x);
    return best;
}

/* Why a layout is out. On one line and in ASCII, since it may be a compiler's output. */
static void drop_layout(const struct layout_case *c, attune_kv_candidate *candidate)
{
    bool own = c->outcome != ATTUNE_OUTCOME_OK;
    candidate->outcome = own ? c->outcome : c->candidates[0].outcome;
    copy_string(candidate->reason, sizeof candidate->reason, own ? c->reason : c->candidates[0].reason);
    for (char *at = candidate->reason; *at; at++)
        *at = *at < 0x20 || *at > 0x7e ? ' ' : *at;
}

/* Adds what was measured; the rounds are those that all problems have. */
static void add_times(const struct kv_job *job, double weight, bool first, struct kv_times *times,
                      attune_kv_choice *out)
{
    times->rounds = first || job->rounds < times->rounds ? job->rounds : times->rounds;
    for (int32_t i = 0; i < job->count; i++) {
        const struct layout_case *c = &job->cases[i];
        attune_kv_candidate *candidate = &out->candidates[i];
        int32_t config = c->outcome == ATTUNE_OUTCOME_OK ? best_config(job, i) : -1;
        if (candidate->outcome != ATTUNE_OUTCOME_OK)
            continue;
        if (config < 0) {
            drop_layout(c, candidate);
            continue;
        }
        for (int32_t r = 0; r < times->rounds; r++) {
            double append_ms = weight * *append_at(job, r, i);
            times->append[r][i] += append_ms;
            times->total[r][i] += append_ms + weight * *attention_at(job, r, i, config);
        }
    }
}

static attune_status measure(struct kv_job *job, const attune_problem *problem)
{
    attune_status status = ATTUNE_OK;
    for (int32_t i = 0; status == ATTUNE_OK && i < job->count; i++)
        status = create_case(job, problem, i);
    for (int32_t i = 0; status == ATTUNE_OK && i < job->count; i++) {
        if (i > 0)
            status = reference_share(&job->cases[0].reference, &job->cases[i].reference);
        if (status == ATTUNE_OK)
            status = verify_case(job, &job->cases[i]);
    }
    double share = job->choosing->options->max_seconds / (double)job->choosing->num_problems;
    return status == ATTUNE_OK ? run_rounds(job, share) : status;
}

attune_status kv_measure_problem(const struct kv_choosing *choosing, size_t index, struct kv_times *times,
                                 attune_kv_choice *out)
{
    struct kv_job *job = calloc(1, sizeof *job);
    size_t samples = (size_t)choosing->options->rounds * (size_t)choosing->num_layouts;
    attune_status status = ATTUNE_ERROR_OUT_OF_MEMORY;
    if (job) {
        job->choosing = choosing;
        job->count = choosing->num_layouts;
        job->attention = calloc(samples * MAX_CONFIGS, sizeof *job->attention);
        job->append = calloc(samples, sizeof *job->append);
        rng_seed(&job->rng, choosing->options->seed);
    }
    if (job && job->attention && job->append)
        status = measure(job, choosing->problems[index]);
    else
        set_error(status, "out of memory for %zu samples", samples);
    if (status == ATTUNE_OK)
        add_times(job, choosing->weights[index], index == 0, times, out);
    for (int32_t i = 0; job && i < job->count; i++)
        destroy_case(&job->cases[i]);
    if (job) {
        free(job->attention);
        free(job->append);
    }
    free(job);
    /* The next problem's inputs have the same numbers. */
    session_stop(&choosing->target->session);
    return status;
}
