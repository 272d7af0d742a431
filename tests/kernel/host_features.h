/* SPDX-License-Identifier: Apache-2.0
 * Optional device features for tests, which run without a probe. */
#ifndef ATTUNE_TESTS_HOST_FEATURES_H
#define ATTUNE_TESTS_HOST_FEATURES_H

#include "context.h"

/* enum device_feature bits that the processor has, where the device is pocl on this very processor; else 0. */
static inline uint32_t host_features(const struct attune_context *context)
{
    uint32_t features = 0;
#if defined(__x86_64__)
    if (!cl_device_is_pocl(&context->choice.device) || !(context->choice.device.type & CL_DEVICE_TYPE_CPU))
        return 0;
    __builtin_cpu_init();
    if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512vl"))
        features |= FEATURE_F16C;
    if (__builtin_cpu_supports("avx512bf16"))
        features |= FEATURE_BF16_DOT;
#else
    (void)context;
#endif
    return features;
}

#endif
