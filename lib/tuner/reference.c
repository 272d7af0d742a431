/* SPDX-License-Identifier: Apache-2.0 */
#include "reference.h"

#include <stdlib.h>
#include <string.h>

static void set_init(struct input_set *set, const attune_problem *problem, int id, struct workload_options options,
                     const char *what)
{
    memset(set, 0, sizeof *set);
    set->id = id;
    set->what = what;
    set->problem = problem;
    set->options = options;
    set->heads = problem->desc.num_q_heads;
    set->dim = problem->desc.head_dim_vo ? problem->desc.head_dim_vo : problem->desc.head_dim_qk;
}

attune_status reference_create(const attune_problem *problem, int number, uint64_t seed, struct reference *out)
{
    memset(out, 0, sizeof *out);
    out->problem = problem;
    attune_status status = edges_short(problem, &out->edge_problem);
    if (status == ATTUNE_OK)
        status = edges_far(problem, &out->far_problem);
    if (status != ATTUNE_OK) {
        reference_destroy(out);
        return status;
    }
    struct rng rng;
    rng_seed(&rng, seed + (uint64_t)number);
    int id = number * NUM_INPUT_SETS;
    set_init(&out->real, problem, id++, (struct workload_options)WORKLOAD_OPTIONS_INIT, "workload");
    for (int i = 0; i < NUM_EDGE_SETS; i++)
        set_init(&out->edges[i], out->edge_problem, id++, edge_options(i), "short lengths");
    set_init(&out->far, out->far_problem, id++, far_options(), "end of its class of lengths");
    for (int i = 0; i < NUM_INPUT_SETS; i++)
        reference_set(out, i)->options.seed = rng_next(&rng) >> 1; /* JSON's integers are signed */
    return ATTUNE_OK;
}

struct input_set *reference_set(struct reference *reference, int i)
{
    return i == 0 ? &reference->real : i <= NUM_EDGE_SETS ? &reference->edges[i - 1] : &reference->far;
}

void reference_destroy(struct reference *reference)
{
    for (int i = 0; i < NUM_INPUT_SETS; i++)
        oracle_reference_free(&reference_set(reference, i)->reference);
    attune_problem_destroy(&reference->edge_problem);
    attune_problem_destroy(&reference->far_problem);
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

attune_status reference_share(struct reference *from, struct reference *to)
{
    attune_status status = ATTUNE_OK;
    for (int i = 0; status == ATTUNE_OK && i < NUM_INPUT_SETS; i++)
        status = share_set(reference_set(from, i), reference_set(to, i));
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
