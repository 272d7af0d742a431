/* SPDX-License-Identifier: Apache-2.0 */
#include "reference.h"

#include <stdlib.h>
#include <string.h>

/* Lengths around tiles and vectors, queries and cached prefixes. */
#define EDGE_BATCH 6
static const int32_t edge_q[EDGE_BATCH] = {1, 3, 17, 33, 65, 2};
static const int32_t edge_prefix[EDGE_BATCH] = {0, 5, 64, 129, 31, 257};
static const int32_t edge_decode_q[EDGE_BATCH] = {1, 1, 1, 1, 1, 1};

/* Values: magnitudes of Q and K, of which logits are the product. The largest gives logits of about +-1e3. */
static const struct {
    enum workload_pattern pattern;
    float magnitude;
} edge_values[NUM_EDGE_SETS] = {{PATTERN_NORMAL, 1.0f},
                                {PATTERN_NORMAL, 16.0f},
                                {PATTERN_CONSTANT, 0.0625f},
                                {PATTERN_DOMINANT_KEY, 1.0f},
                                {PATTERN_CANCELLATION, 1.0f}};

/* Few heads, for the oracle's sake: kernels depend on heads by the group size, and in decode by which powers of two up to
 * 8 divide the KV heads (HEAD_GROUPS of decode_vector.def). */
static int32_t edge_kv_heads(const attune_attention_desc *desc)
{
    int32_t heads = desc->num_kv_heads, power = heads & -heads;
    if (desc->operation == ATTUNE_DECODE && power > 1)
        return power < 8 ? power : 8;
    int32_t few = desc->operation == ATTUNE_DECODE ? 3 : 2;
    return heads < few ? heads : few;
}

static attune_status make_edge_problem(const attune_problem *problem, attune_problem **out)
{
    attune_attention_desc desc = problem->desc;
    int32_t group = desc.num_q_heads / desc.num_kv_heads;
    desc.num_kv_heads = edge_kv_heads(&desc);
    desc.num_q_heads = desc.num_kv_heads * group;
    bool one_query = desc.operation == ATTUNE_DECODE;
    for (int32_t b = 0; b < problem->batch; b++)
        one_query &= problem->q_len[b] <= 1;
    const int32_t *q_len = one_query ? edge_decode_q : edge_q;
    int32_t kv_len[EDGE_BATCH];
    for (int i = 0; i < EDGE_BATCH; i++)
        kv_len[i] = edge_prefix[i] + q_len[i];
    return problem_create_like(problem, &desc, EDGE_BATCH, q_len, kv_len, out);
}

static void set_init(struct input_set *set, const attune_problem *problem, int id)
{
    memset(set, 0, sizeof *set);
    set->id = id;
    set->problem = problem;
    set->options = (struct workload_options)WORKLOAD_OPTIONS_INIT;
    set->heads = problem->desc.num_q_heads;
    set->dim = problem->desc.head_dim_vo ? problem->desc.head_dim_vo : problem->desc.head_dim_qk;
}

attune_status reference_create(const attune_problem *problem, int number, uint64_t seed, struct reference *out)
{
    memset(out, 0, sizeof *out);
    out->problem = problem;
    attune_status status = make_edge_problem(problem, &out->edge_problem);
    if (status != ATTUNE_OK)
        return status;
    struct rng rng;
    rng_seed(&rng, seed + (uint64_t)number);
    int id = number * (1 + NUM_EDGE_SETS);
    set_init(&out->real, problem, id++);
    out->real.options.seed = rng_next(&rng) >> 1; /* JSON's integers are signed */
    for (int i = 0; i < NUM_EDGE_SETS; i++) {
        struct input_set *set = &out->edges[i];
        set_init(set, out->edge_problem, id++);
        set->options.seed = rng_next(&rng) >> 1;
        set->options.pattern = edge_values[i].pattern;
        set->options.magnitude = edge_values[i].magnitude;
        set->options.pad = i % 2 ? 8 : 0;
        set->options.offset = i % 2 ? 3 : 0;
    }
    return ATTUNE_OK;
}

void reference_destroy(struct reference *reference)
{
    oracle_reference_free(&reference->real.reference);
    for (int i = 0; i < NUM_EDGE_SETS; i++)
        oracle_reference_free(&reference->edges[i].reference);
    attune_problem_destroy(&reference->edge_problem);
}

/* ---- oracle */

attune_status input_set_compute(struct input_set *set)
{
    if (set->reference.o)
        return ATTUNE_OK;
    struct workload workload;
    attune_status status = workload_create(set->problem, &set->options, &workload);
    if (status != ATTUNE_OK)
        return status;
    struct oracle_input input;
    workload_oracle_input(set->problem, &workload, &input);
    set->geometry = workload.o;
    set->geometry.data = NULL;
    set->geometry.widened = NULL;
    set->lse_stride_token = workload.lse_stride_token;
    set->num_rows = (size_t)workload.q_tokens * (size_t)set->heads;
    set->num_values = set->num_rows * (size_t)set->dim;
    status = oracle_reference_create(&input, &set->reference);
    workload_destroy(&workload);
    return status == ATTUNE_OK
               ? ATTUNE_OK
               : set_error(status, "out of memory for the reference of %s", attune_problem_text(set->problem));
}

static attune_status share_set(const struct input_set *from, struct input_set *to)
{
    if (!from->reference.o || to->reference.o)
        return ATTUNE_OK;
    to->geometry = from->geometry;
    to->lse_stride_token = from->lse_stride_token;
    to->num_values = from->num_values;
    to->num_rows = from->num_rows;
    return oracle_reference_copy(&from->reference, &to->reference);
}

attune_status reference_share(const struct reference *from, struct reference *to)
{
    attune_status status = share_set(&from->real, &to->real);
    for (int i = 0; status == ATTUNE_OK && i < NUM_EDGE_SETS; i++)
        status = share_set(&from->edges[i], &to->edges[i]);
    return status;
}

/* ---- worker */

attune_outcome input_set_digest(struct session *session, const struct input_set *set, char digest[HASH_HEX_SIZE])
{
    json_t *reply, *request = json_pack("{s:s,s:i}", "op", "digest", "input", set->id);
    attune_outcome outcome = session_request(session, request, session->deadlines.load, &reply);
    if (outcome != ATTUNE_OUTCOME_OK)
        return outcome;
    const char *hash = json_string_value(json_object_get(reply, "hash"));
    copy_string(digest, HASH_HEX_SIZE, hash ? hash : "");
    json_decref(reply);
    return ATTUNE_OUTCOME_OK;
}

attune_outcome input_set_load(struct session *session, struct input_set *set)
{
    if (session->alive && set->generation == session->generation)
        return ATTUNE_OUTCOME_OK;
    json_t *request =
        json_pack("{s:s,s:i,s:s,s:I,s:i,s:f,s:i,s:i,s:i}", "op", "load", "input", set->id, "problem",
                  attune_problem_text(set->problem), "seed", (json_int_t)set->options.seed, "pattern",
                  (int)set->options.pattern, "magnitude", (double)set->options.magnitude, "slack",
                  (int)set->options.slack_pages, "pad", (int)set->options.pad, "offset", (int)set->options.offset);
    json_t *reply;
    attune_outcome outcome = session_request(session, request, session->deadlines.load, &reply);
    if (outcome != ATTUNE_OUTCOME_OK)
        return outcome;
    session->loaded_bytes += (size_t)json_integer_value(json_object_get(reply, "bytes"));
    set->generation = session->generation;
    json_decref(reply);
    return input_set_digest(session, set, set->digest);
}
