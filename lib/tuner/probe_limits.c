/* SPDX-License-Identifier: Apache-2.0
 * Limits that a device has in fact, whatever it reports. */
#include "probe.h"
#include "trial.h"

#include <stdio.h>
#include <string.h>

#define SMALLEST_PRIVATE 128
#define LARGEST_PRIVATE 4096
#define SLOW_PRIVATE 1.5
#define REPEATS 5
/* Hangs each cost a deadline. */
#define MAX_HANGS 2

/* Two groups of so many work-items, each passing a word on: NULL where they ran and are right. */
static const char *try_group(struct attune_target *target, int64_t size, char *text, size_t text_size)
{
    struct session *session = &target->session;
    size_t words = 2 * (size_t)size;
    if (target_ensure(target) != ATTUNE_OK || session_share(session, words * sizeof(uint32_t)) != ATTUNE_OK)
        return attune_last_error();
    json_t *request = json_pack("{s:s,s:s,s:i,s:i,s:I,s:I}", "op", "probe", "trial", "group", "vec", 1, "launches", 1,
                                "size", (json_int_t)size, "shared", (json_int_t)(words * sizeof(uint32_t)));
    if (session_request(session, request, session->deadlines.build, NULL) != ATTUNE_OUTCOME_OK)
        return session->reason;
    const uint32_t *out = (const uint32_t *)(const void *)session->shared;
    for (size_t i = 0; i < words; i++) {
        size_t group = i / (size_t)size, id = i % (size_t)size;
        uint32_t expected = 3 * (uint32_t)(group * (size_t)size + (size_t)size - 1 - id) + 1;
        if (out[i] == expected)
            continue;
        snprintf(text, text_size, "wrong result: work-item %zu has %u, not %u", i, (unsigned)out[i],
                 (unsigned)expected);
        return text;
    }
    return NULL;
}

/* From the reported limit down by halves: nearly every device keeps its word, and then this is one trial. */
static void probe_largest_group(struct probing *probing)
{
    struct attune_target *target = probing->target;
    char why[128] = "", note[128] = "";
    int hangs = 0;
    int64_t size = target->reported.max_work_group_size;
    for (; size >= 1 && hangs < MAX_HANGS; size /= 2) {
        const char *reason = try_group(target, size, why, sizeof why);
        if (!reason)
            break;
        hangs += !target->session.alive && strstr(reason, "no answer") != NULL;
        snprintf(note, sizeof note, "%lld: %.80s", (long long)size, reason);
    }
    probing->out->max_work_group_size = hangs < MAX_HANGS ? size : 0;
    if (probing->out->max_work_group_size)
        add_reading(probing, "work_group.largest", (double)size, "work-items", note);
    else
        add_expected(probing, "work_group.largest", 0, "work-items");
}

/* Accumulators that do not fit in registers are moved to memory and back at every operation. */
static void probe_private(struct probing *probing)
{
    struct attune_target *target = probing->target;
    bool host = target->choice.device.type & CL_DEVICE_TYPE_CPU;
    char note[96] = "no step up to 4096 bytes";
    double best = 0;
    int64_t fast = 0;
    for (int64_t size = SMALLEST_PRIVATE; size <= LARGEST_PRIVATE; size *= 2) {
        struct trial trial = {.op = "probe", .name = "private", .vec = host ? 16 : 4, .launches = 1, .size = size};
        double rate = trial_rate(target, &trial, REPEATS);
        if (rate <= 0 || rate * SLOW_PRIVATE < best) {
            fast = size / 2;
            snprintf(note, sizeof note, "%lld: %.70s", (long long)size,
                     rate > 0 ? "operations take half as long again or more" : target->session.reason);
            break;
        }
        best = rate > best ? rate : best;
    }
    probing->out->private_fast_bytes = fast;
    add_reading(probing, "private.fast", (double)fast, "bytes", note);
}

void probe_limits(struct probing *probing)
{
    probe_largest_group(probing);
    probe_private(probing);
}
