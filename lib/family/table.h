/* SPDX-License-Identifier: Apache-2.0
 * The families' structs, made by instantiate.h. */
#ifndef ATTUNE_FAMILY_TABLE_H
#define ATTUNE_FAMILY_TABLE_H

#include "family/family.h"

#define FAMILY(name, doc) extern const struct family name##_family;
#include "families.def"
#undef FAMILY

#endif
