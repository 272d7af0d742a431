/* SPDX-License-Identifier: Apache-2.0
 * Tensors that share bytes: never overlooked, and rows that only interleave are let through. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include "base/rng.h"
#include "overlap.h"

#define SPACE 4096

static struct footprint rows(uint64_t begin, int64_t row, const struct footprint_axis axes[3])
{
    struct footprint f = {.begin = begin, .row = row, .bytes = row};
    for (int i = 0; i < 3; i++) {
        f.axes[i] = axes[i];
        f.bytes += (axes[i].count - 1) * axes[i].stride;
    }
    return f;
}

static void mark(const struct footprint *f, unsigned char *bytes)
{
    memset(bytes, 0, SPACE);
    for (int64_t i = 0; i < f->axes[0].count; i++)
        for (int64_t j = 0; j < f->axes[1].count; j++)
            for (int64_t k = 0; k < f->axes[2].count; k++)
                memset(bytes + f->begin + i * f->axes[0].stride + j * f->axes[1].stride + k * f->axes[2].stride, 1,
                       (size_t)f->row);
}

static bool share(const struct footprint *a, const struct footprint *b)
{
    static unsigned char of_a[SPACE], of_b[SPACE];
    mark(a, of_a);
    mark(b, of_b);
    for (int i = 0; i < SPACE; i++)
        if (of_a[i] && of_b[i])
            return true;
    return false;
}

static struct footprint draw(struct rng *rng)
{
    struct footprint_axis axes[3];
    for (int i = 0; i < 3; i++)
        axes[i] = (struct footprint_axis){1 + (int64_t)rng_below(rng, 4), 8 * (int64_t)rng_below(rng, 32)};
    return rows(8 * rng_below(rng, 64), 8 * (1 + (int64_t)rng_below(rng, 8)), axes);
}

static void what_shares_a_byte_is_never_called_apart(void **state)
{
    (void)state;
    const uint64_t seed = 20261201;
    struct rng rng;
    rng_seed(&rng, seed);
    int apart = 0, shared = 0;
    for (int i = 0; i < 20000; i++) {
        struct footprint a = draw(&rng), b = draw(&rng);
        bool really = share(&a, &b);
        if (footprints_apart(&a, &b) != footprints_apart(&b, &a) || (really && footprints_apart(&a, &b)))
            fail_msg("seed %llu, draw %d", (unsigned long long)seed, i);
        apart += footprints_apart(&a, &b);
        shared += really;
    }
    print_message("seed %llu: %d of 20000 pairs share bytes, %d were called apart\n", (unsigned long long)seed, shared,
                  apart);
    assert_true(shared > 1000 && apart > 1000);
}

/* As engines lay them out; sizes in bytes. */
static void rows_that_interleave_are_apart(void **state)
{
    (void)state;
    const struct {
        const char *what;
        struct footprint a, b;
    } cases[] = {
        {"Q and O side by side in each token", rows(0, 64, (struct footprint_axis[3]){{5, 512}, {4, 64}, {1, 0}}),
         rows(256, 64, (struct footprint_axis[3]){{5, 512}, {4, 64}, {1, 0}})},
        {"K and V of each page", rows(0, 32, (struct footprint_axis[3]){{3, 1024}, {4, 128}, {4, 32}}),
         rows(512, 32, (struct footprint_axis[3]){{3, 1024}, {4, 128}, {4, 32}})},
        {"heads in turn", rows(0, 64, (struct footprint_axis[3]){{5, 512}, {4, 128}, {1, 0}}),
         rows(64, 64, (struct footprint_axis[3]){{5, 512}, {4, 128}, {1, 0}})},
        {"a block between two rows", rows(0, 64, (struct footprint_axis[3]){{5, 512}, {1, 0}, {1, 0}}),
         rows(600, 300, (struct footprint_axis[3]){{1, 0}, {1, 0}, {1, 0}})},
        {"one behind the other", rows(0, 64, (struct footprint_axis[3]){{4, 64}, {1, 0}, {1, 0}}),
         rows(256, 64, (struct footprint_axis[3]){{4, 64}, {1, 0}, {1, 0}})},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct footprint closer = cases[i].b;
        assert_false(share(&cases[i].a, &cases[i].b));
        if (!footprints_apart(&cases[i].a, &cases[i].b))
            fail_msg("%s: called overlapping", cases[i].what);
        closer.begin -= 8;
        if (share(&cases[i].a, &closer) && footprints_apart(&cases[i].a, &closer))
            fail_msg("%s, 8 bytes closer: called apart", cases[i].what);
        closer = cases[i].b;
        closer.space = &cases[i];
        closer.begin = cases[i].a.begin;
        assert_true(footprints_apart(&cases[i].a, &closer)); /* in another buffer */
    }
}

static void the_same_rows(void **state)
{
    (void)state;
    struct footprint a = rows(64, 64, (struct footprint_axis[3]){{5, 512}, {4, 64}, {1, 0}}), b = a;
    b.row = 32;
    b.axes[2].stride = 8; /* of an axis that does not matter */
    assert_true(footprints_same_rows(&a, &b));
    b.axes[1].stride = 32;
    assert_false(footprints_same_rows(&a, &b));
    b = a;
    b.begin = 0;
    assert_false(footprints_same_rows(&a, &b));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_shares_a_byte_is_never_called_apart),
        cmocka_unit_test(rows_that_interleave_are_apart),
        cmocka_unit_test(the_same_rows),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
