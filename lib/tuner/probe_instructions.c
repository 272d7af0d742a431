/* SPDX-License-Identifier: Apache-2.0
 * Which optional instructions run and are right. */
#include "instruction.h"
#include "probe.h"
#include "trial.h"

#include <stdio.h>

#define RATE_REPEATS 3

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

void probe_instructions(struct attune_target *target, struct probe_facts *facts)
{
    const struct instruction *instruction;
    double best_half = 0;
    for (size_t i = 0; (instruction = instruction_at(i)); i++) {
        char text[128];
        const char *why = check(target, instruction, text, sizeof text);
        if (why) {
            log_message(&target->logger, ATTUNE_LOG_INFO, "%s: %s", instruction->name, why);
            continue;
        }
        facts->features |= (int32_t)instruction->feature;
        struct trial trial = {.op = "instruction", .name = instruction->name, .launches = 1};
        double rate = trial_rate(target, &trial, RATE_REPEATS);
        if (instruction->half_load < 0 || rate <= best_half)
            continue;
        best_half = rate;
        facts->half_load = instruction->half_load;
    }
}
