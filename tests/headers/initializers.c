/* SPDX-License-Identifier: Apache-2.0
 * The INIT macros in C and in C++: every member has a value (-Wextra), and the size comes first. Calls the library, so
 * that its names link from both languages. */
#include <string.h>

#include <attune/attune.h>
#include <attune/tune.h>

#define CHECK_SIZE(type, macro)                   \
    do {                                          \
        type options = macro;                     \
        failures += options.size != sizeof(type); \
    } while (0)

int main(void)
{
    int failures = 0, major = -1, minor = -1, patch = -1;
    CHECK_SIZE(attune_context_options, ATTUNE_CONTEXT_OPTIONS_INIT);
    CHECK_SIZE(attune_kv_layout_options, ATTUNE_KV_LAYOUT_OPTIONS_INIT);
    CHECK_SIZE(attune_plan_options, ATTUNE_PLAN_OPTIONS_INIT);
    CHECK_SIZE(attune_schedule_options, ATTUNE_SCHEDULE_OPTIONS_INIT);
    CHECK_SIZE(attune_attention_args, ATTUNE_ATTENTION_ARGS_INIT);
    CHECK_SIZE(attune_recording_options, ATTUNE_RECORDING_OPTIONS_INIT);
    CHECK_SIZE(attune_kv_append_args, ATTUNE_KV_APPEND_ARGS_INIT);
    CHECK_SIZE(attune_kv_copy_args, ATTUNE_KV_COPY_ARGS_INIT);
    CHECK_SIZE(attune_kv_transfer_args, ATTUNE_KV_TRANSFER_ARGS_INIT);
    CHECK_SIZE(attune_merge_states_args, ATTUNE_MERGE_STATES_ARGS_INIT);
    CHECK_SIZE(attune_target_options, ATTUNE_TARGET_OPTIONS_INIT);
    CHECK_SIZE(attune_measure_options, ATTUNE_MEASURE_OPTIONS_INIT);
    CHECK_SIZE(attune_kv_choice_options, ATTUNE_KV_CHOICE_OPTIONS_INIT);
    CHECK_SIZE(attune_tune_options, ATTUNE_TUNE_OPTIONS_INIT);
    CHECK_SIZE(attune_warm_options, ATTUNE_WARM_OPTIONS_INIT);
    CHECK_SIZE(attune_search_options, ATTUNE_SEARCH_OPTIONS_INIT);

    attune_attention_desc desc = ATTUNE_ATTENTION_DESC_INIT, from_function;
    memset(&from_function, 0, sizeof from_function);
    attune_attention_desc_init(&from_function);
    failures += from_function.size != desc.size || from_function.window_left != desc.window_left;

    attune_version(&major, &minor, &patch);
    failures += major != ATTUNE_VERSION_MAJOR || minor != ATTUNE_VERSION_MINOR || patch != ATTUNE_VERSION_PATCH;
    return failures;
}
