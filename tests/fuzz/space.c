/* SPDX-License-Identifier: Apache-2.0
 * The reader of recorded spaces. What it accepts is written, read again and must be the same space. */
#include "fuzz.h"

#include <stdlib.h>
#include <string.h>

#include "recorded/recorded.h"

static void require(bool holds)
{
    if (!holds)
        abort();
}

static void check_equal(const attune_space *a, const attune_space *b)
{
    attune_space_info x, y;
    attune_space_describe(a, &x);
    attune_space_describe(b, &y);
    require(x.num_params == y.num_params && x.num_configs == y.num_configs && x.num_failed == y.num_failed);
    require(!strcmp(x.device, y.device) && !strcmp(x.kernel, y.kernel) && x.partial == y.partial);
    require(x.optimum_ms == y.optimum_ms && x.median_ms == y.median_ms && x.slowest_ms == y.slowest_ms);
    for (size_t i = 0; i < x.num_configs; i++) {
        attune_space_config p, q, found;
        require(attune_space_at(a, i, &p) == ATTUNE_OK && attune_space_at(b, i, &q) == ATTUNE_OK);
        require(!memcmp(p.values, q.values, x.num_params * sizeof *p.values));
        require(p.outcome == q.outcome && p.time_ms == q.time_ms && p.num_samples == q.num_samples);
        for (size_t s = 0; s < p.num_samples; s++)
            require(p.samples_ms[s] == q.samples_ms[s]);
        require(attune_space_find(a, p.values, &found) && found.values == p.values);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    attune_space *space = NULL, *again = NULL;
    struct strbuf text = {0};
    if (recorded_parse("input", data, size, &space) == ATTUNE_OK) {
        require(recorded_format(space, size & 1, &text) == ATTUNE_OK);
        require(recorded_parse("again", text.text, text.length, &again) == ATTUNE_OK);
        check_equal(space, again);
    } else {
        require(!space && attune_last_error()[0]);
    }
    strbuf_free(&text);
    attune_space_close(&space);
    attune_space_close(&again);
    return 0;
}
