/* SPDX-License-Identifier: Apache-2.0
 *
 * Random numbers: splitmix64 to seed, xoshiro256** to draw (Blackman and Vigna). Apart from base.h because lib/search,
 * which sees no OpenCL header, draws too. */
#ifndef ATTUNE_BASE_RNG_H
#define ATTUNE_BASE_RNG_H

#include <stdint.h>

struct rng {
    uint64_t s[4];
};

void rng_seed(struct rng *rng, uint64_t seed);
uint64_t rng_next(struct rng *rng);
/* Uniform in 0 .. bound-1 without bias (Lemire); bound >= 1. */
uint64_t rng_below(struct rng *rng, uint64_t bound);
/* Uniform in [0, 1) with 53 bits. */
double rng_double(struct rng *rng);

#endif
