/* SPDX-License-Identifier: Apache-2.0
 * Commands that move bytes. */
#include "icd.h"

#include <stdlib.h>
#include <string.h>

#define MAX_PATTERN 128

struct transfer {
    struct command command;
    cl_mem from_mem, to_mem; /* held until done */
    const unsigned char *from;
    unsigned char *to;
    size_t size;
    size_t pattern_size; /* of a fill; 0: a copy */
    unsigned char pattern[MAX_PATTERN];
};

/* What is filled already, a power of two of patterns, is copied behind itself: few calls, however short the pattern. */
static void fill(const struct transfer *transfer)
{
    size_t filled = transfer->pattern_size < transfer->size ? transfer->pattern_size : transfer->size;
    if (filled)
        memcpy(transfer->to, transfer->pattern, filled);
    while (filled < transfer->size) {
        size_t more = filled < transfer->size - filled ? filled : transfer->size - filled;
        memcpy(transfer->to + filled, transfer->to, more);
        filled += more;
    }
}

static cl_int run_transfer(struct command *command, uint64_t *ns)
{
    struct transfer *transfer = (struct transfer *)command;
    if (transfer->pattern_size)
        fill(transfer);
    else if (transfer->size && transfer->from != transfer->to)
        memmove(transfer->to, transfer->from, transfer->size);
    *ns = transfer_time(command->queue->device, transfer->size);
    return CL_SUCCESS;
}

static void release_transfer(struct command *command)
{
    struct transfer *transfer = (struct transfer *)command;
    if (transfer->from_mem)
        object_drop(transfer->from_mem);
    if (transfer->to_mem)
        object_drop(transfer->to_mem);
}

static struct transfer *create(cl_command_queue queue, cl_command_type type, cl_uint num_waits, const cl_event *waits,
                               cl_int *code)
{
    struct transfer *transfer = command_create(sizeof *transfer, queue, type, num_waits, waits, code);
    if (transfer) {
        transfer->command.run = run_transfer;
        transfer->command.release = release_transfer;
    }
    return transfer;
}

static cl_int check_range(cl_command_queue queue, cl_mem mem, size_t offset, size_t size)
{
    if (!object_is(queue, KIND_QUEUE))
        return CL_INVALID_COMMAND_QUEUE;
    if (!object_is(mem, KIND_MEM))
        return CL_INVALID_MEM_OBJECT;
    if (mem->context != queue->context)
        return CL_INVALID_CONTEXT;
    return size == 0 || offset > mem->size || size > mem->size - offset ? CL_INVALID_VALUE : CL_SUCCESS;
}

static cl_mem hold(cl_mem mem)
{
    object_use(mem);
    return mem;
}

cl_int clEnqueueReadBuffer(cl_command_queue queue, cl_mem mem, cl_bool blocking, size_t offset, size_t size,
                           void *pointer, cl_uint num_waits, const cl_event *waits, cl_event *event)
{
    ENTER(clEnqueueReadBuffer);
    cl_int code = check_range(queue, mem, offset, size);
    if (!code && !pointer)
        code = CL_INVALID_VALUE;
    struct transfer *transfer = code ? NULL : create(queue, CL_COMMAND_READ_BUFFER, num_waits, waits, &code);
    if (!transfer)
        return code;
    transfer->from_mem = hold(mem);
    transfer->from = mem->data + offset;
    transfer->to = pointer;
    transfer->size = size;
    return command_submit(&transfer->command, blocking, event);
}

cl_int clEnqueueWriteBuffer(cl_command_queue queue, cl_mem mem, cl_bool blocking, size_t offset, size_t size,
                            const void *pointer, cl_uint num_waits, const cl_event *waits, cl_event *event)
{
    ENTER(clEnqueueWriteBuffer);
    cl_int code = check_range(queue, mem, offset, size);
    if (!code && !pointer)
        code = CL_INVALID_VALUE;
    struct transfer *transfer = code ? NULL : create(queue, CL_COMMAND_WRITE_BUFFER, num_waits, waits, &code);
    if (!transfer)
        return code;
    transfer->to_mem = hold(mem);
    transfer->from = pointer;
    transfer->to = mem->data + offset;
    transfer->size = size;
    return command_submit(&transfer->command, blocking, event);
}

cl_int clEnqueueCopyBuffer(cl_command_queue queue, cl_mem from, cl_mem to, size_t from_offset, size_t to_offset,
                           size_t size, cl_uint num_waits, const cl_event *waits, cl_event *event)
{
    ENTER(clEnqueueCopyBuffer);
    cl_int code = check_range(queue, from, from_offset, size);
    if (!code)
        code = check_range(queue, to, to_offset, size);
    if (!code && from == to && from_offset < to_offset + size && to_offset < from_offset + size)
        code = CL_MEM_COPY_OVERLAP;
    struct transfer *transfer = code ? NULL : create(queue, CL_COMMAND_COPY_BUFFER, num_waits, waits, &code);
    if (!transfer)
        return code;
    transfer->from_mem = hold(from);
    transfer->to_mem = hold(to);
    transfer->from = from->data + from_offset;
    transfer->to = to->data + to_offset;
    transfer->size = size;
    return command_submit(&transfer->command, false, event);
}

static cl_int check_pattern(const void *pattern, size_t pattern_size, size_t offset, size_t size)
{
    bool power = pattern_size && !(pattern_size & (pattern_size - 1)) && pattern_size <= MAX_PATTERN;
    return pattern && power && offset % pattern_size == 0 && size % pattern_size == 0 ? CL_SUCCESS : CL_INVALID_VALUE;
}

cl_int clEnqueueFillBuffer(cl_command_queue queue, cl_mem mem, const void *pattern, size_t pattern_size, size_t offset,
                           size_t size, cl_uint num_waits, const cl_event *waits, cl_event *event)
{
    ENTER(clEnqueueFillBuffer);
    cl_int code = check_range(queue, mem, offset, size);
    if (!code)
        code = check_pattern(pattern, pattern_size, offset, size);
    struct transfer *transfer = code ? NULL : create(queue, CL_COMMAND_FILL_BUFFER, num_waits, waits, &code);
    if (!transfer)
        return code;
    transfer->to_mem = hold(mem);
    transfer->to = mem->data + offset;
    transfer->size = size;
    transfer->pattern_size = pattern_size;
    memcpy(transfer->pattern, pattern, pattern_size);
    return command_submit(&transfer->command, false, event);
}

/* ---- mapping: the memory is the host's already */

void *clEnqueueMapBuffer(cl_command_queue queue, cl_mem mem, cl_bool blocking, cl_map_flags flags, size_t offset,
                         size_t size, cl_uint num_waits, const cl_event *waits, cl_event *event, cl_int *error_out)
{
    ENTER_CREATE(clEnqueueMapBuffer, error_out);
    cl_int code = check_range(queue, mem, offset, size);
    if (!code && (flags & ~(cl_map_flags)(CL_MAP_READ | CL_MAP_WRITE | CL_MAP_WRITE_INVALIDATE_REGION)))
        code = CL_INVALID_VALUE;
    struct transfer *transfer = code ? NULL : create(queue, CL_COMMAND_MAP_BUFFER, num_waits, waits, &code);
    if (!transfer)
        return create_failed(error_out, code);
    void *pointer = mem->data + offset;
    atomic_fetch_add(&mem->maps, 1);
    transfer->from_mem = hold(mem);
    code = command_submit(&transfer->command, blocking, event);
    return code ? create_failed(error_out, code) : create_done(error_out, pointer);
}

cl_int clEnqueueUnmapMemObject(cl_command_queue queue, cl_mem mem, void *pointer, cl_uint num_waits,
                               const cl_event *waits, cl_event *event)
{
    ENTER(clEnqueueUnmapMemObject);
    cl_int code = check_range(queue, mem, 0, 1);
    unsigned char *at = pointer;
    if (!code && (at < mem->data || at >= mem->data + mem->size || atomic_load(&mem->maps) == 0))
        code = CL_INVALID_VALUE;
    struct transfer *transfer = code ? NULL : create(queue, CL_COMMAND_UNMAP_MEM_OBJECT, num_waits, waits, &code);
    if (!transfer)
        return code;
    atomic_fetch_sub(&mem->maps, 1);
    transfer->from_mem = hold(mem);
    return command_submit(&transfer->command, false, event);
}

cl_int clEnqueueMigrateMemObjects(cl_command_queue queue, cl_uint num_mems, const cl_mem *mems,
                                  cl_mem_migration_flags flags, cl_uint num_waits, const cl_event *waits,
                                  cl_event *event)
{
    ENTER(clEnqueueMigrateMemObjects);
    (void)flags;
    if (num_mems == 0 || !mems)
        return CL_INVALID_VALUE;
    cl_int code = CL_SUCCESS;
    for (cl_uint i = 0; i < num_mems && !code; i++)
        code = check_range(queue, mems[i], 0, 1);
    struct transfer *transfer = code ? NULL : create(queue, CL_COMMAND_MIGRATE_MEM_OBJECTS, num_waits, waits, &code);
    return transfer ? command_submit(&transfer->command, false, event) : code;
}

/* ---- shared virtual memory */

/* A range of host memory, or of an SVM allocation that must hold all of it. */
static bool range_sound(const void *pointer, size_t size)
{
    size_t room;
    return pointer && (!svm_find(pointer, &room) || size <= room);
}

static cl_int submit_svm(cl_command_queue queue, cl_command_type type, cl_bool blocking, void *to, const void *from,
                         size_t size, cl_uint num_waits, const cl_event *waits, cl_event *event)
{
    cl_int code;
    struct transfer *transfer = create(queue, type, num_waits, waits, &code);
    if (!transfer)
        return code;
    if (!queue->device->svm || !range_sound(to, size) || (from && !range_sound(from, size))) {
        command_free(&transfer->command);
        return queue->device->svm ? CL_INVALID_VALUE : CL_INVALID_OPERATION;
    }
    transfer->from = from;
    transfer->to = to;
    transfer->size = from ? size : 0;
    return command_submit(&transfer->command, blocking, event);
}

cl_int clEnqueueSVMMemcpy(cl_command_queue queue, cl_bool blocking, void *to, const void *from, size_t size,
                          cl_uint num_waits, const cl_event *waits, cl_event *event)
{
    ENTER(clEnqueueSVMMemcpy);
    if (!from)
        return CL_INVALID_VALUE;
    return submit_svm(queue, CL_COMMAND_SVM_MEMCPY, blocking, to, from, size, num_waits, waits, event);
}

cl_int clEnqueueSVMMemFill(cl_command_queue queue, void *to, const void *pattern, size_t pattern_size, size_t size,
                           cl_uint num_waits, const cl_event *waits, cl_event *event)
{
    ENTER(clEnqueueSVMMemFill);
    cl_int code = check_pattern(pattern, pattern_size, 0, size);
    if (!code && !range_sound(to, size))
        code = CL_INVALID_VALUE;
    struct transfer *transfer = code ? NULL : create(queue, CL_COMMAND_SVM_MEMFILL, num_waits, waits, &code);
    if (!transfer)
        return code;
    transfer->to = to;
    transfer->size = size;
    transfer->pattern_size = pattern_size;
    memcpy(transfer->pattern, pattern, pattern_size);
    return command_submit(&transfer->command, false, event);
}

cl_int clEnqueueSVMMap(cl_command_queue queue, cl_bool blocking, cl_map_flags flags, void *pointer, size_t size,
                       cl_uint num_waits, const cl_event *waits, cl_event *event)
{
    ENTER(clEnqueueSVMMap);
    (void)flags;
    return submit_svm(queue, CL_COMMAND_SVM_MAP, blocking, pointer, NULL, size, num_waits, waits, event);
}

cl_int clEnqueueSVMUnmap(cl_command_queue queue, void *pointer, cl_uint num_waits, const cl_event *waits,
                         cl_event *event)
{
    ENTER(clEnqueueSVMUnmap);
    return submit_svm(queue, CL_COMMAND_SVM_UNMAP, CL_FALSE, pointer, NULL, 1, num_waits, waits, event);
}

struct svm_free {
    struct command command;
    void(CL_CALLBACK *function)(cl_command_queue, cl_uint, void **, void *);
    void *data;
    cl_uint count;
    void **pointers;
};

static cl_int run_svm_free(struct command *command, uint64_t *ns)
{
    struct svm_free *svm_free = (struct svm_free *)command;
    (void)ns;
    if (svm_free->function)
        svm_free->function(command->queue, svm_free->count, svm_free->pointers, svm_free->data);
    for (cl_uint i = 0; !svm_free->function && i < svm_free->count; i++)
        clSVMFree(command->queue->context, svm_free->pointers[i]);
    return CL_SUCCESS;
}

static void release_svm_free(struct command *command)
{
    free(((struct svm_free *)command)->pointers);
}

cl_int clEnqueueSVMFree(cl_command_queue queue, cl_uint count, void *pointers[],
                        void(CL_CALLBACK *function)(cl_command_queue, cl_uint, void **, void *), void *data,
                        cl_uint num_waits, const cl_event *waits, cl_event *event)
{
    ENTER(clEnqueueSVMFree);
    if (count == 0 || !pointers)
        return CL_INVALID_VALUE;
    cl_int code;
    struct svm_free *command = command_create(sizeof *command, queue, CL_COMMAND_SVM_FREE, num_waits, waits, &code);
    if (!command)
        return code;
    command->pointers = malloc(count * sizeof *pointers);
    if (!command->pointers) {
        command_free(&command->command);
        return CL_OUT_OF_HOST_MEMORY;
    }
    memcpy(command->pointers, pointers, count * sizeof *pointers);
    command->command.run = run_svm_free;
    command->command.release = release_svm_free;
    command->function = function;
    command->data = data;
    command->count = count;
    return command_submit(&command->command, false, event);
}
