/* SPDX-License-Identifier: Apache-2.0
 *
 * What the supervisor and attune-worker say to each other: frames of a uint32 length in host order and that many bytes
 * of JSON, over a socket pair. A request has "op"; its reply has "ok": true, or "ok": false with "status"
 * (attune_status) and "error". Outputs travel in a shared mapping instead.
 *
 *   devices                                                      every device as every backend sees it
 *   open        backend device                                   opens the device: who it is, its limits
 *   limits      features half_load max_work_group_size           what a probe showed of the device
 *   layout      problem                                          id of the KV layout that the problem's plans take
 *   load        input problem seed pattern magnitude pad offset  draws a workload, makes its device buffers
 *   unload                                                       drops all inputs and slots
 *   build       slot input config                                a plan of that configuration for the input
 *   poison      input seed                                       fills O and LSE with random bytes
 *   time        slot input launches                              runs back to back, finish; "span_ns" by events
 *   fetch       input lse_at shared                              O and, from lse_at on, LSE into the mapping
 *   digest      input                                            hash of everything that a run only reads
 *   probe       trial vec iterations launches size shared        one trial of kernels/probe.cl: "work" done
 *   instruction trial iterations launches shared                 one of kernels/probe_instruction.cl: "work";
 *                                                                launches 0: its results into the mapping
 *   append      input launches                                   stores a step's new rows in a cache of the input's layout
 *   warm        problem config utilities user site shipped       makes the programs of a plan with these caches open: how many were
 *                                                                "built", "loaded" and "lost" (not stored, for "reason")
 */
#ifndef ATTUNE_TUNER_PROTOCOL_H
#define ATTUNE_TUNER_PROTOCOL_H

#include <jansson.h>

#include "base/base.h"

#define PROTOCOL_VERSION 1
#define PROTOCOL_FRAME_MAX (16u << 20)

/* Descriptors of the worker. */
enum { WORKER_SOCKET = 3, WORKER_SHARED = 4, WORKER_FIRST_UNUSED = 5 };

struct frame_reader {
    struct strbuf buffer;
};

/* Sends all of message, blocking. False when the peer is gone or memory ran out. */
bool frame_send(int socket, const json_t *message);

enum frame_result { FRAME_READY, FRAME_PARTIAL, FRAME_END, FRAME_BROKEN };

/* Reads what there is; blocks for it unless dont_wait. FRAME_READY: *message is the caller's. */
enum frame_result frame_receive(struct frame_reader *reader, int socket, bool dont_wait, json_t **message);
void frame_reader_reset(struct frame_reader *reader);

/* Bytes that fill outputs before a run, the same on both sides. */
void poison_fill(uint64_t seed, void *data, size_t size);

#endif
