/* SPDX-License-Identifier: Apache-2.0
 * What the parts of the cache know about an entry. */
#ifndef ATTUNE_CACHE_ENTRY_H
#define ATTUNE_CACHE_ENTRY_H

#include "cache/cache.h"

bool cache_key_equal(const struct cache_key *a, const struct cache_key *b);
/* Whether the entry was tuned on another version of its family's source or space than the compiled-in one. */
bool cache_entry_stale(const struct cache_entry *entry);

#endif
