/* SPDX-License-Identifier: Apache-2.0
 * Which optional instructions run and are right. */
#include "instruction.h"
#include "probe.h"

#include <string.h>

#define REPEATS 8
/* Ways to widen fp16 are listed from the plainest to the most special; noise must not decide between equals. */
#define ABOUT_AS_FAST 0.75

_Static_assert((int)ATTUNE_FEATURE_FP16 == FEATURE_FP16 && (int)ATTUNE_FEATURE_SUB_GROUPS == FEATURE_SUB_GROUPS &&
                   (int)ATTUNE_FEATURE_DOT8 == FEATURE_DOT8 && (int)ATTUNE_FEATURE_BF16_DOT == FEATURE_BF16_DOT &&
                   (int)ATTUNE_FEATURE_F16C == FEATURE_F16C &&
                   (int)ATTUNE_FEATURE_BF16_DOT_FAST == FEATURE_BF16_DOT_FAST &&
                   (int)ATTUNE_FEATURE_OPAQUE_LOOPS == FEATURE_OPAQUE_LOOPS,
               "the public features are the families' own");

/* NULL where the instruction ran and is right, else why not. */
static const char *check(struct attune_target *target, const struct instruction *instruction, char *text, size_t size)
{
    struct session *session = &target->session;
    size_t bytes = instruction_out_bytes(instruction);
    if (target_ensure(target) != ATTUNE_OK || session_share(session, bytes) != ATTUNE_OK)
        return attune_last_error();
    json_t *request = json_pack("{s:s,s:s,s:i,s:I}", "op", "instruction", "trial", instruction->name, "launches", 0,
                                "shared", (json_int_t)bytes);
    if (session_request(session, request, session->deadlines.build, NULL) != ATTUNE_OUTCOME_OK)
        return session->reason;
    return instruction_judge(instruction, (const uint32_t *)(const void *)session->shared, text, size);
}

/* The reading's unit says what is counted. */
static const char *unit_of(const struct instruction *instruction)
{
    if (!strcmp(instruction->name, "dot.int8"))
        return "Gop/s";
    return strchr("df", instruction->name[0]) ? "GFLOP/s" : "G/s";
}

static void take(struct probing *probing, const struct instruction *instruction, double rate, double *best_half)
{
    static const char *const half_loads[] = {"integer", "vload", "f16c"};
    attune_probe_result *out = probing->out;
    out->features |= instruction->feature;
    if (instruction->feature == FEATURE_FP16)
        out->fp16_gflops = rate;
    else if (instruction->feature == FEATURE_BF16_DOT)
        out->bf16_dot_gflops = rate;
    else if (instruction->feature == FEATURE_DOT8)
        out->int8_dot_gops = rate;
    if (instruction->half_load < 0 || rate <= ABOUT_AS_FAST * *best_half)
        return;
    *best_half = rate > *best_half ? rate : *best_half;
    probing->half_load = instruction->half_load;
    copy_string(out->half_load, sizeof out->half_load, half_loads[instruction->half_load]);
}

void probe_instructions(struct probing *probing)
{
    const struct instruction *instruction;
    double best_half = 0;
    copy_string(probing->out->half_load, sizeof probing->out->half_load, "integer");
    for (size_t i = 0; (instruction = instruction_at(i)); i++) {
        char text[128];
        const char *why = check(probing->target, instruction, text, sizeof text), *unit = unit_of(instruction);
        double rate = why ? 0 : instruction_rate(probing->target, instruction->name, REPEATS) * 1e-9;
        if (rate > 0)
            take(probing, instruction, rate, &best_half);
        else if (!why)
            why = probing->target->session.reason[0] ? probing->target->session.reason : "took no time";
        add_reading(probing, instruction->name, rate, unit, why ? why : "");
    }
}
