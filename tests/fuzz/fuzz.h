/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ATTUNE_TESTS_FUZZ_H
#define ATTUNE_TESTS_FUZZ_H

#include <stddef.h>
#include <stdint.h>

/* A target's entry, by libFuzzer's name. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#endif
