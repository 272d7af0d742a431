/* SPDX-License-Identifier: Apache-2.0 */
#define XXH_INLINE_ALL
#include <xxhash.h>

#include "base.h"

#include <stdio.h>

void hash_hex(const void *data, size_t size, char hex[HASH_HEX_SIZE])
{
    XXH128_hash_t hash = XXH3_128bits(data, size);
    snprintf(hex, HASH_HEX_SIZE, "%016llx%016llx", (unsigned long long)hash.high64, (unsigned long long)hash.low64);
}

/* Castagnoli's polynomial, reflected: 0x82f63b78. Four bits at a time: the table is computed at compile time. */
#define STEP(c) (((c) >> 1) ^ (0x82f63b78u & (0u - ((c) & 1u))))
#define ENTRY(n) STEP(STEP(STEP(STEP(n))))

uint32_t crc32c(uint32_t crc, const void *data, size_t size)
{
    static const uint32_t table[16] = {ENTRY(0u),  ENTRY(1u),  ENTRY(2u),  ENTRY(3u), ENTRY(4u),  ENTRY(5u),
                                       ENTRY(6u),  ENTRY(7u),  ENTRY(8u),  ENTRY(9u), ENTRY(10u), ENTRY(11u),
                                       ENTRY(12u), ENTRY(13u), ENTRY(14u), ENTRY(15u)};
    const unsigned char *bytes = data;
    crc = ~crc;
    for (size_t i = 0; i < size; i++) {
        crc ^= bytes[i];
        crc = (crc >> 4) ^ table[crc & 15];
        crc = (crc >> 4) ^ table[crc & 15];
    }
    return ~crc;
}
