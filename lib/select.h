/* SPDX-License-Identifier: Apache-2.0
 * Problem + device -> configuration: the look-up order. Needs no OpenCL, so the supervisor uses it too. */
#ifndef ATTUNE_SELECT_H
#define ATTUNE_SELECT_H

#include "aside.h"
#include "backend/backend.h"
#include "cache/cache.h"
#include "cache/probes.h"
#include "portfolio.h"
#include "problem.h"

/* The device half of a key. */
void select_device_key(const struct backend_choice *choice, struct cache_key *key);
/* Narrows and widens what the device reports by what a probe of it showed. */
void select_apply_probe(const struct probe_facts *facts, struct device_limits *limits);
/* The same with the probe file that the cache has. False, and nothing changed, where it has none. */
bool select_probe(struct cache *cache, struct backend_choice *choice, struct probe_record *out);
/* The half that the descriptor, layout and shape determine; layout_id is "" without a cache. */
void select_problem_key(const attune_attention_desc *desc, const char *layout_id, struct shape_bucket bucket,
                        struct cache_key *key);

struct selection {
    struct kernel_config config;
    const char *source; /* "tuned", "shallow" (an entry that is not cache_entry_is_tuned), "nearest" or "default" */
    struct cache_entry entry; /* that answered; not for "default", nor for a portfolio's row */
    enum cache_level level;   /* of entry */
    char why[512];            /* what answered, and why the levels before it did not */
};

/* Looks key up: exact entry with a valid receipt -> nearest shape of the same class, in the portfolio of the key's descriptor,
 * then among the entries -> the untuned default. What is set aside does not answer. cache, portfolio and aside may be NULL;
 * what is in portfolio is valid here. UNSUPPORTED when not even a default is valid. Never measures. */
attune_status select_config(struct cache *cache, const struct cache_key *key, const struct portfolio *portfolio,
                            const struct aside *aside, const struct backend *backend,
                            const struct device_limits *limits, const struct kernel_facts *facts,
                            struct selection *out);

/* The backend's untuned default that is not set aside (NULL: nothing is), or another family's. False if there is none. */
bool select_default(const struct aside *aside, const struct backend *backend, const struct device_limits *limits,
                    const struct kernel_facts *facts, struct kernel_config *out);
/* Whether that may give it. */
bool select_is_default(const struct backend *backend, const struct kernel_config *config);

#endif
