/* SPDX-License-Identifier: Apache-2.0 */
#include <attune/tune.h>

const char *attune_outcome_name(attune_outcome outcome)
{
    static const char *const names[] = {"ok",      "invalid", "build_failed",  "wrong",
                                        "crashed", "timeout", "out_of_memory", "device_lost",
                                        "failed",  "slow",    "impossible",    "environment"};
    return (unsigned)outcome < sizeof names / sizeof names[0] ? names[outcome] : "unknown";
}
