/* SPDX-License-Identifier: Apache-2.0 */
#include "verify.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "workload_device.h"

/* Launches of one sample, at most: a kernel that does nothing must not make an endless batch. */
#define LAUNCHES_MAX 10000

/* A first run is that much slower than the best time at most, or the candidate will not be the best. */
#define SLOW_RATIO 4

/* Workers that may fail one after another before an input is loaded. */
#define MAX_OPENINGS 3

/* A worker with more inputs than this is replaced before it gets another problem's. */
#define LOADED_BYTES_MAX ((size_t)2 << 30)

void candidate_init(struct candidate *candidate, int slot, const struct kernel_config *config)
{
    memset(candidate, 0, sizeof *candidate);
    candidate->slot = slot;
    candidate->config = *config;
    candidate->launches = 1;
    candidate->error = (struct oracle_error){NAN, NAN, NAN};
    kernel_config_format(config, candidate->text, sizeof candidate->text);
}

bool candidate_may_be_innocent(const struct candidate *candidate)
{
    attune_outcome o = candidate->outcome;
    return o != ATTUNE_OUTCOME_OK && o != ATTUNE_OUTCOME_WRONG && o != ATTUNE_OUTCOME_INVALID &&
           o != ATTUNE_OUTCOME_SLOW && o != ATTUNE_OUTCOME_IMPOSSIBLE;
}

bool candidate_is_at_fault(const struct candidate *candidate)
{
    attune_outcome o = candidate->outcome;
    return o == ATTUNE_OUTCOME_WRONG || o == ATTUNE_OUTCOME_INVALID || o == ATTUNE_OUTCOME_IMPOSSIBLE ||
           o == ATTUNE_OUTCOME_BUILD_FAILED || o == ATTUNE_OUTCOME_CRASHED || o == ATTUNE_OUTCOME_FAILED;
}

static attune_outcome conclude(struct candidate *candidate, attune_outcome outcome, const char *reason)
{
    candidate->outcome = outcome;
    if (outcome != ATTUNE_OUTCOME_OK)
        copy_string(candidate->reason, sizeof candidate->reason, reason);
    return outcome;
}

static attune_outcome ask(struct attune_target *target, struct candidate *candidate, json_t *request, double deadline_s,
                          json_t **reply)
{
    attune_outcome outcome = session_request(&target->session, request, deadline_s, reply);
    return conclude(candidate, outcome, target->session.reason);
}

attune_status candidate_prepare(struct attune_target *target, struct reference *reference)
{
    struct session *session = &target->session;
    if (reference->real.generation != session->generation && session->loaded_bytes > LOADED_BYTES_MAX)
        session_stop(session);
    for (int attempt = 0;; attempt++) {
        attune_status status = target_ensure(target);
        attune_outcome outcome = ATTUNE_OUTCOME_OK;
        for (int i = 0; status == ATTUNE_OK && outcome == ATTUNE_OUTCOME_OK && i < NUM_INPUT_SETS; i++) {
            struct input_set *set = reference_set(reference, i);
            status = input_set_compute(set);
            if (status == ATTUNE_OK)
                outcome = input_set_load(session, set);
        }
        bool killed = status == ATTUNE_ERROR_ENVIRONMENT && attempt < MAX_OPENINGS - 1;
        if ((status != ATTUNE_OK && !killed) || (status == ATTUNE_OK && outcome == ATTUNE_OUTCOME_OK))
            return status;
        if (attempt == MAX_OPENINGS - 1) {
            return set_error(session_failure(session, outcome), "%s", session->reason);
        }
        session_stop(session);
    }
}

/* ---- outputs */

static float widen(const uint8_t *at, attune_dtype dtype)
{
    uint16_t half;
    float value;
    if (dtype == ATTUNE_FP32) {
        memcpy(&value, at, sizeof value);
        return value;
    }
    memcpy(&half, at, sizeof half);
    return dtype == ATTUNE_FP16 ? half_to_float(half) : bf16_to_float(half);
}

/* Where an output's elements lie in its buffer, which begins and ends with a guard. */
struct output {
    const uint8_t *data;
    size_t bytes, byte_offset;
    uint64_t seed; /* of its poison */
    attune_dtype dtype;
    int64_t tokens, stride_token, stride_head;
    int32_t heads, dim;
};

/* Packs the elements. *clean is cleared if any other byte is not the poison any more. False when out of memory. */
static bool unpack(const struct output *out, float *packed, bool *clean)
{
    uint8_t *poison = malloc(out->bytes);
    if (!poison)
        return false;
    poison_fill(out->seed, poison, out->bytes);
    size_t element = dtype_size(out->dtype);
    for (int64_t token = 0; token < out->tokens; token++) {
        for (int32_t head = 0; head < out->heads; head++) {
            size_t at = out->byte_offset + (size_t)(token * out->stride_token + head * out->stride_head) * element;
            for (int32_t d = 0; d < out->dim; d++)
                *packed++ = widen(out->data + at + (size_t)d * element, out->dtype);
            memcpy(poison + at, out->data + at, (size_t)out->dim * element);
        }
    }
    *clean = *clean && !memcmp(poison, out->data, out->bytes);
    free(poison);
    return true;
}

static const char *pattern_name(enum workload_pattern pattern)
{
    static const char *const names[PATTERN_COUNT] = {"uniform", "constant", "dominant-key", "cancelling"};
    return (unsigned)pattern < PATTERN_COUNT ? names[pattern] : "other";
}

/* Figure, bound and input of what was refused. */
static void say_refused(struct candidate *candidate, const struct input_set *set)
{
    const struct oracle_judgement *judgement = &candidate->judgement;
    char whose[80] = "";
    if (judgement->sequence >= 0)
        text_printf(whose, sizeof whose, "sequence %d of q_len %d, kv_len %d; ", (int)judgement->sequence,
                    (int)set->problem->q_len[judgement->sequence], (int)set->problem->kv_len[judgement->sequence]);
    text_printf(candidate->reason, sizeof candidate->reason,
                "%s error %.3g is over its bound %.3g (%s%s, %s values of magnitude %g)", judgement->figure,
                judgement->value, judgement->bound, whose, set->what, pattern_name(set->options.pattern),
                (double)set->options.magnitude);
}

static attune_outcome judge(struct candidate *candidate, const struct input_set *set, const float *o, const float *lse)
{
    attune_status status = oracle_judge(&set->reference, o, lse, &candidate->judgement);
    const struct oracle_error *error = &candidate->judgement.error;
    if (set->id == candidate->error_set && !(error->max_abs < candidate->error.max_abs)) /* NaN: the first */
        candidate->error = *error;
    if (status != ATTUNE_OK) {
        conclude(candidate, ATTUNE_OUTCOME_WRONG, "");
        say_refused(candidate, set);
        return candidate->outcome;
    }
    candidate->checks++;
    return conclude(candidate, ATTUNE_OUTCOME_OK, "");
}

static size_t lse_bytes(const struct input_set *set)
{
    return (size_t)(set->geometry.tokens * set->lse_stride_token) * sizeof(float) + 2 * OUTPUT_GUARD;
}

/* Compares fetched outputs with the reference. */
static attune_outcome judge_outputs(struct candidate *candidate, const struct input_set *set, const uint8_t *shared,
                                    size_t lse_at)
{
    const struct workload_tensor *g = &set->geometry;
    const struct output o = {shared,
                             g->bytes + 2 * OUTPUT_GUARD,
                             OUTPUT_GUARD + (size_t)g->offset * dtype_size(g->dtype),
                             set->poison_seed,
                             g->dtype,
                             g->tokens,
                             g->stride_token,
                             g->stride_head,
                             set->heads,
                             set->dim};
    const struct output lse = {shared + lse_at,
                               lse_bytes(set),
                               OUTPUT_GUARD,
                               set->poison_seed + 1,
                               ATTUNE_FP32,
                               g->tokens,
                               set->lse_stride_token,
                               1,
                               set->heads,
                               1};
    float *o_values = calloc(set->num_values + 1, sizeof *o_values),
          *lse_values = calloc(set->num_rows + 1, sizeof *lse_values);
    bool clean = true;
    attune_outcome outcome;
    if (o_values && lse_values && unpack(&o, o_values, &clean) && unpack(&lse, lse_values, &clean))
        outcome = judge(candidate, set, o_values, lse_values);
    else
        outcome = conclude(candidate, ATTUNE_OUTCOME_OUT_OF_MEMORY, "out of memory for a comparison");
    if (outcome == ATTUNE_OUTCOME_OK && !clean)
        outcome = conclude(candidate, ATTUNE_OUTCOME_WRONG, "wrote outside its output");
    free(o_values);
    free(lse_values);
    return outcome;
}

static attune_outcome fetch_and_judge(struct attune_target *target, struct candidate *candidate, struct input_set *set)
{
    struct session *session = &target->session;
    size_t lse_at = (set->geometry.bytes + 2 * OUTPUT_GUARD + 63) & ~(size_t)63;
    size_t total = lse_at + lse_bytes(set);
    if (session_share(session, total) != ATTUNE_OK)
        return conclude(candidate, ATTUNE_OUTCOME_OUT_OF_MEMORY, attune_last_error());
    json_t *request = json_pack("{s:s,s:i,s:I,s:I}", "op", "fetch", "input", set->id, "lse_at", (json_int_t)lse_at,
                                "shared", (json_int_t)total);
    attune_outcome outcome = ask(target, candidate, request, session->deadlines.load, NULL);
    return outcome == ATTUNE_OUTCOME_OK ? judge_outputs(candidate, set, session->shared, lse_at) : outcome;
}

static attune_outcome poison(struct attune_target *target, struct candidate *candidate, struct input_set *set,
                             struct rng *rng)
{
    set->poison_seed = rng_next(rng) >> 1;
    json_t *request =
        json_pack("{s:s,s:i,s:I}", "op", "poison", "input", set->id, "seed", (json_int_t)set->poison_seed);
    return ask(target, candidate, request, target->session.deadlines.load, NULL);
}

static attune_outcome run_timed(struct attune_target *target, struct candidate *candidate, struct input_set *set,
                                int slot, int32_t launches, double deadline_s)
{
    json_t *request =
        json_pack("{s:s,s:i,s:i,s:i}", "op", "time", "slot", slot, "input", set->id, "launches", (int)launches);
    json_t *reply;
    attune_outcome outcome = ask(target, candidate, request, deadline_s, &reply);
    if (outcome != ATTUNE_OUTCOME_OK)
        return outcome;
    candidate->span_ms = (double)json_integer_value(json_object_get(reply, "span_ns")) * 1e-6;
    json_decref(reply);
    return outcome;
}

/* ---- one configuration */

static attune_outcome build_slot(struct attune_target *target, struct candidate *candidate, int slot,
                                 const struct input_set *set)
{
    json_t *request =
        json_pack("{s:s,s:i,s:i,s:s}", "op", "build", "slot", slot, "input", set->id, "config", candidate->text);
    attune_outcome outcome = ask(target, candidate, request, target->session.deadlines.build, NULL);
    candidate->build_ms += (double)target->session.elapsed_ns * 1e-6;
    return outcome;
}

attune_outcome candidate_build(struct attune_target *target, struct reference *reference, struct candidate *candidate)
{
    return build_slot(target, candidate, 2 * candidate->slot + 1, &reference->real);
}

/* A kernel that writes to its inputs spoils them for the others, so its worker goes with it. */
static attune_outcome check_inputs(struct attune_target *target, struct candidate *candidate,
                                   const struct input_set *set)
{
    char digest[HASH_HEX_SIZE];
    attune_outcome outcome = input_set_digest(&target->session, set, digest);
    conclude(candidate, outcome, target->session.reason);
    if (outcome == ATTUNE_OUTCOME_OK && strcmp(digest, set->digest)) {
        session_stop(&target->session);
        return conclude(candidate, ATTUNE_OUTCOME_WRONG, "wrote to its inputs");
    }
    return outcome;
}

static attune_outcome run_and_check(struct attune_target *target, struct candidate *candidate, struct input_set *set,
                                    int slot, double expected_ms, struct rng *rng)
{
    attune_outcome outcome = poison(target, candidate, set, rng);
    if (outcome == ATTUNE_OUTCOME_OK)
        outcome = run_timed(target, candidate, set, slot, 1, session_run_deadline(&target->session, expected_ms));
    candidate->first_ms = (double)target->session.elapsed_ns * 1e-6;
    if (outcome == ATTUNE_OUTCOME_OK)
        outcome = fetch_and_judge(target, candidate, set);
    return outcome == ATTUNE_OUTCOME_OK ? check_inputs(target, candidate, set) : outcome;
}

attune_outcome candidate_verify(struct attune_target *target, struct reference *reference, struct candidate *candidate,
                                double expected_ms, struct rng *rng)
{
    target->session.builds++;
    candidate->generation = target->session.generation;
    candidate->error_set = reference->real.id;
    attune_outcome outcome = build_slot(target, candidate, 2 * candidate->slot, &reference->edges[0]);
    for (int i = 0; outcome == ATTUNE_OUTCOME_OK && i < NUM_EDGE_SETS; i++)
        outcome = run_and_check(target, candidate, &reference->edges[i], 2 * candidate->slot, 0, rng);
    if (outcome == ATTUNE_OUTCOME_OK)
        outcome = candidate_build(target, reference, candidate);
    if (outcome == ATTUNE_OUTCOME_OK)
        outcome = run_and_check(target, candidate, &reference->real, 2 * candidate->slot + 1, expected_ms, rng);
    /* What would not be taken for its time needs no more. */
    bool slow = expected_ms > 0 && candidate->first_ms > SLOW_RATIO * expected_ms;
    if (outcome != ATTUNE_OUTCOME_OK || slow)
        return outcome;
    double first_ms = candidate->first_ms;
    outcome = build_slot(target, candidate, 2 * candidate->slot, &reference->far);
    if (outcome == ATTUNE_OUTCOME_OK)
        outcome = run_and_check(target, candidate, &reference->far, 2 * candidate->slot, 0, rng);
    candidate->first_ms = first_ms;
    return outcome;
}

attune_outcome candidate_sample(struct attune_target *target, struct reference *reference, struct candidate *candidate,
                                double *time_ms)
{
    double expected = candidate->first_ms * candidate->launches;
    attune_outcome outcome = run_timed(target, candidate, &reference->real, 2 * candidate->slot + 1,
                                       candidate->launches, session_run_deadline(&target->session, expected));
    *time_ms = (double)target->session.elapsed_ns * 1e-6 / candidate->launches;
    /* A clock that tests stop would give 0, which no search takes. */
    if (*time_ms < 1e-6)
        *time_ms = 1e-6;
    return outcome;
}

attune_outcome candidate_calibrate(struct attune_target *target, struct reference *reference,
                                   struct candidate *candidate, double min_sample_ms)
{
    double time_ms = candidate->first_ms;
    /* The first run is the coldest: aim, then correct once. */
    for (int i = 0; i < 2; i++) {
        double launches = time_ms > 0 ? min_sample_ms / time_ms + 0.999 : LAUNCHES_MAX;
        candidate->launches = launches < 1 ? 1 : launches > LAUNCHES_MAX ? LAUNCHES_MAX : (int32_t)launches;
        if (i == 1 || time_ms >= min_sample_ms)
            break;
        attune_outcome outcome = candidate_sample(target, reference, candidate, &time_ms);
        if (outcome != ATTUNE_OUTCOME_OK)
            return outcome;
    }
    return ATTUNE_OUTCOME_OK;
}

attune_outcome candidate_poison(struct attune_target *target, struct reference *reference, struct candidate *candidate,
                                struct rng *rng)
{
    return poison(target, candidate, &reference->real, rng);
}

attune_outcome candidate_check(struct attune_target *target, struct reference *reference, struct candidate *candidate)
{
    return fetch_and_judge(target, candidate, &reference->real);
}
