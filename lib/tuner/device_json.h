/* SPDX-License-Identifier: Apache-2.0
 * A device as its worker describes it to the supervisor, which opens none. */
#ifndef ATTUNE_TUNER_DEVICE_JSON_H
#define ATTUNE_TUNER_DEVICE_JSON_H

#include <jansson.h>

#include "backend/backend.h"

/* Everything of choice but OpenCL handles; NULL when out of memory. */
json_t *device_to_json(const struct backend_choice *choice);
/* WORKER when a field is missing or out of range. Handles are NULL. */
attune_status device_from_json(const json_t *json, struct backend_choice *out);
/* {"devices": [...]} to attune_devices' arguments. */
attune_status device_list_from_json(const json_t *reply, attune_device_info *out, size_t capacity, size_t *count);

#endif
