/* SPDX-License-Identifier: Apache-2.0
 * cl_khr_command_buffer: commands recorded once and enqueued many times. Declared here, since headers may leave out
 * provisional extensions; only what has not changed since version 0.9.0 is used. */
#ifndef ATTUNE_CL_COMMAND_BUFFER_H
#define ATTUNE_CL_COMMAND_BUFFER_H

#include "device.h"

typedef struct _cl_command_buffer_khr *cl_recorded; /* cl_command_buffer_khr */
typedef cl_uint cl_recorded_point;                  /* cl_sync_point_khr */

struct cl_command_buffer_api {
    cl_recorded(CL_API_CALL *create)(cl_uint num_queues, const cl_command_queue *queues, const cl_ulong *properties,
                                     cl_int *code);
    cl_int(CL_API_CALL *finalize)(cl_recorded buffer);
    cl_int(CL_API_CALL *release)(cl_recorded buffer);
    cl_int(CL_API_CALL *enqueue)(cl_uint num_queues, cl_command_queue *queues, cl_recorded buffer, cl_uint num_wait,
                                 const cl_event *wait, cl_event *event);
    cl_int(CL_API_CALL *kernel)(cl_recorded buffer, cl_command_queue queue, const cl_ulong *properties,
                                cl_kernel kernel, cl_uint dims, const size_t *offset, const size_t *global,
                                const size_t *local, cl_uint num_wait, const cl_recorded_point *wait,
                                cl_recorded_point *point, void *handle);
};

/* False where the device does not list the extension, or cannot take a buffer on this queue while an earlier enqueue of
 * it is in flight. */
bool cl_command_buffer_load(const struct cl_device *device, cl_command_queue queue, struct cl_command_buffer_api *out);

/* A buffer for queue that may be enqueued while in flight; NULL with a code on failure. */
cl_recorded cl_command_buffer_create(const struct cl_command_buffer_api *api, cl_command_queue queue, cl_int *code);

#endif
