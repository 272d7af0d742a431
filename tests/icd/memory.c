/* SPDX-License-Identifier: Apache-2.0
 * Buffers and shared virtual memory, all of it host memory. */
#include "icd.h"

#include <stdlib.h>
#include <string.h>

#define ALIGNMENT 128
/* Fresh memory up to this size is filled with NaNs, so that reading what nobody wrote shows. */
#define POISON_LIMIT ((size_t)16 << 20)

static void *device_alloc(size_t size)
{
    void *data = aligned_alloc(ALIGNMENT, (size + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT);
    if (data && size <= POISON_LIMIT)
        memset(data, 0xff, size);
    return data;
}

/* The first device of a context stands for its memory. */
static bool account(cl_context context, size_t size)
{
    cl_device_id device = context->devices[0];
    if (atomic_fetch_add(&device->allocated, size) + size <= device->global_mem)
        return true;
    atomic_fetch_sub(&device->allocated, size);
    return false;
}

static void mem_destroy(struct object *object)
{
    cl_mem mem = (cl_mem)object;
    for (struct destructor *next, *at = mem->destructors; at; at = next) {
        next = at->next;
        at->mem(mem, at->data);
        free(at);
    }
    if (mem->owned)
        free(mem->data);
    if (mem->parent)
        object_drop(mem->parent);
    else
        atomic_fetch_sub(&mem->context->devices[0]->allocated, mem->size);
    object_drop(mem->context);
}

static bool flags_valid(cl_mem_flags flags)
{
    cl_mem_flags access = flags & (CL_MEM_READ_WRITE | CL_MEM_READ_ONLY | CL_MEM_WRITE_ONLY);
    bool use = flags & CL_MEM_USE_HOST_PTR, other = flags & (CL_MEM_ALLOC_HOST_PTR | CL_MEM_COPY_HOST_PTR);
    return !(access & (access - 1)) && !(use && other);
}

static cl_mem create_buffer(cl_context context, cl_mem_flags flags, size_t size, void *host_ptr, cl_int *error_out)
{
    if (!object_is(context, KIND_CONTEXT))
        return create_failed(error_out, CL_INVALID_CONTEXT);
    cl_device_id device = context->devices[0];
    if (atomic_load(&device->lost))
        return create_failed(error_out, atomic_load(&device->lost));
    if (!flags_valid(flags))
        return create_failed(error_out, CL_INVALID_VALUE);
    if (size == 0 || size > device->max_alloc)
        return create_failed(error_out, CL_INVALID_BUFFER_SIZE);
    if (!(flags & (CL_MEM_USE_HOST_PTR | CL_MEM_COPY_HOST_PTR)) != !host_ptr)
        return create_failed(error_out, CL_INVALID_HOST_PTR);
    if (!account(context, size))
        return create_failed(error_out, CL_MEM_OBJECT_ALLOCATION_FAILURE);
    bool owned = !(flags & CL_MEM_USE_HOST_PTR);
    void *data = owned ? device_alloc(size) : host_ptr;
    cl_mem mem = data ? object_create(sizeof *mem, KIND_MEM, mem_destroy) : NULL;
    if (!mem) {
        if (owned)
            free(data);
        atomic_fetch_sub(&device->allocated, size);
        return create_failed(error_out, CL_OUT_OF_HOST_MEMORY);
    }
    object_use(context);
    mem->context = context;
    mem->type = CL_MEM_OBJECT_BUFFER;
    mem->flags = flags & (CL_MEM_READ_ONLY | CL_MEM_WRITE_ONLY | CL_MEM_READ_WRITE) ? flags : flags | CL_MEM_READ_WRITE;
    mem->size = size;
    mem->data = data;
    mem->host_ptr = owned ? NULL : host_ptr;
    mem->owned = owned;
    if (flags & CL_MEM_COPY_HOST_PTR)
        memcpy(data, host_ptr, size);
    return create_done(error_out, mem);
}

cl_mem clCreateBuffer(cl_context context, cl_mem_flags flags, size_t size, void *host_ptr, cl_int *error_out)
{
    ENTER_CREATE(clCreateBuffer, error_out);
    return create_buffer(context, flags, size, host_ptr, error_out);
}

cl_mem clCreateBufferWithProperties(cl_context context, const cl_mem_properties *properties, cl_mem_flags flags,
                                    size_t size, void *host_ptr, cl_int *error_out)
{
    ENTER_CREATE(clCreateBufferWithProperties, error_out);
    if (properties && *properties)
        return create_failed(error_out, CL_INVALID_PROPERTY);
    return create_buffer(context, flags, size, host_ptr, error_out);
}

/* A handle that is not a buffer's: nothing reads or writes images. */
cl_mem clCreateImage(cl_context context, cl_mem_flags flags, const cl_image_format *format, const cl_image_desc *desc,
                     void *host_ptr, cl_int *error_out)
{
    ENTER_CREATE(clCreateImage, error_out);
    if (!format || !desc || desc->image_type != CL_MEM_OBJECT_IMAGE2D || host_ptr)
        return create_failed(error_out, CL_INVALID_OPERATION);
    cl_mem mem = create_buffer(context, flags, desc->image_width * desc->image_height * 16, NULL, error_out);
    if (mem)
        mem->type = CL_MEM_OBJECT_IMAGE2D;
    return mem;
}

cl_mem clCreateSubBuffer(cl_mem parent, cl_mem_flags flags, cl_buffer_create_type type, const void *info,
                         cl_int *error_out)
{
    ENTER_CREATE(clCreateSubBuffer, error_out);
    if (!object_is(parent, KIND_MEM) || parent->parent)
        return create_failed(error_out, CL_INVALID_MEM_OBJECT);
    const cl_buffer_region *region = info;
    if (!region || type != CL_BUFFER_CREATE_TYPE_REGION || !flags_valid(flags) || region->origin > parent->size ||
        region->size > parent->size - region->origin)
        return create_failed(error_out, CL_INVALID_VALUE);
    if (region->size == 0)
        return create_failed(error_out, CL_INVALID_BUFFER_SIZE);
    if (region->origin % ALIGNMENT)
        return create_failed(error_out, CL_MISALIGNED_SUB_BUFFER_OFFSET);
    cl_mem mem = object_create(sizeof *mem, KIND_MEM, mem_destroy);
    if (!mem)
        return create_failed(error_out, CL_OUT_OF_HOST_MEMORY);
    object_use(parent);
    object_use(parent->context);
    mem->context = parent->context;
    mem->parent = parent;
    mem->type = CL_MEM_OBJECT_BUFFER;
    mem->flags = flags ? flags : parent->flags;
    mem->size = region->size;
    mem->origin = region->origin;
    mem->data = parent->data + region->origin;
    mem->host_ptr = parent->host_ptr ? mem->data : NULL;
    return create_done(error_out, mem);
}

cl_int clRetainMemObject(cl_mem mem)
{
    ENTER(clRetainMemObject);
    return object_retain(mem, KIND_MEM, CL_INVALID_MEM_OBJECT);
}

cl_int clReleaseMemObject(cl_mem mem)
{
    ENTER(clReleaseMemObject);
    return object_release(mem, KIND_MEM, CL_INVALID_MEM_OBJECT);
}

cl_int clGetMemObjectInfo(cl_mem mem, cl_mem_info name, size_t size, void *value, size_t *size_ret)
{
    ENTER(clGetMemObjectInfo);
    if (!object_is(mem, KIND_MEM))
        return CL_INVALID_MEM_OBJECT;
    switch (name) {
    case CL_MEM_TYPE:
        INFO_VALUE(cl_mem_object_type, mem->type);
    case CL_MEM_FLAGS:
        INFO_VALUE(cl_mem_flags, mem->flags);
    case CL_MEM_SIZE:
        INFO_VALUE(size_t, mem->size);
    case CL_MEM_HOST_PTR:
        INFO_VALUE(void *, mem->host_ptr);
    case CL_MEM_MAP_COUNT:
        INFO_VALUE(cl_uint, atomic_load(&mem->maps));
    case CL_MEM_REFERENCE_COUNT:
        INFO_VALUE(cl_uint, atomic_load(&mem->object.refs));
    case CL_MEM_CONTEXT:
        INFO_VALUE(cl_context, mem->context);
    case CL_MEM_ASSOCIATED_MEMOBJECT:
        INFO_VALUE(cl_mem, mem->parent);
    case CL_MEM_OFFSET:
        INFO_VALUE(size_t, mem->origin);
    case CL_MEM_USES_SVM_POINTER:
        INFO_VALUE(cl_bool, mem->host_ptr && svm_find(mem->host_ptr, NULL));
    default:
        return CL_INVALID_VALUE;
    }
}

cl_int clSetMemObjectDestructorCallback(cl_mem mem, void(CL_CALLBACK *function)(cl_mem, void *), void *data)
{
    ENTER(clSetMemObjectDestructorCallback);
    if (!object_is(mem, KIND_MEM))
        return CL_INVALID_MEM_OBJECT;
    struct destructor *destructor = calloc(1, sizeof *destructor);
    if (!function || !destructor) {
        free(destructor);
        return function ? CL_OUT_OF_HOST_MEMORY : CL_INVALID_VALUE;
    }
    *destructor = (struct destructor){.next = mem->destructors, .mem = function, .data = data};
    mem->destructors = destructor;
    return CL_SUCCESS;
}

cl_int clGetSupportedImageFormats(cl_context context, cl_mem_flags flags, cl_mem_object_type type, cl_uint num_entries,
                                  cl_image_format *formats, cl_uint *num_formats)
{
    ENTER(clGetSupportedImageFormats);
    (void)flags, (void)type, (void)num_entries, (void)formats;
    if (num_formats)
        *num_formats = 0;
    return object_is(context, KIND_CONTEXT) ? CL_SUCCESS : CL_INVALID_CONTEXT;
}

/* ---- shared virtual memory */

struct svm_block {
    struct svm_block *next;
    cl_context context;
    unsigned char *data;
    size_t size;
};

static struct svm_block *svm_blocks;
static pthread_mutex_t svm_lock = PTHREAD_MUTEX_INITIALIZER;

bool svm_find(const void *pointer, size_t *room)
{
    const unsigned char *wanted = pointer;
    bool found = false;
    pthread_mutex_lock(&svm_lock);
    for (const struct svm_block *block = svm_blocks; block && !found; block = block->next) {
        if (wanted < block->data || wanted >= block->data + block->size)
            continue;
        found = true;
        if (room)
            *room = block->size - (size_t)(wanted - block->data);
    }
    pthread_mutex_unlock(&svm_lock);
    return found;
}

void *clSVMAlloc(cl_context context, cl_svm_mem_flags flags, size_t size, cl_uint alignment)
{
    if (call_enter(CALL_clSVMAlloc) || !object_is(context, KIND_CONTEXT))
        return NULL;
    cl_device_id device = context->devices[0];
    bool fine = flags & CL_MEM_SVM_FINE_GRAIN_BUFFER;
    if (!device->svm || (fine && !(device->svm & CL_DEVICE_SVM_FINE_GRAIN_BUFFER)) || size == 0 ||
        size > device->max_alloc || (alignment & (alignment - 1)) || alignment > ALIGNMENT || !account(context, size))
        return NULL;
    struct svm_block *block = malloc(sizeof *block);
    void *data = block ? device_alloc(size) : NULL;
    if (!data) {
        free(block);
        atomic_fetch_sub(&device->allocated, size);
        return NULL;
    }
    object_use(context);
    *block = (struct svm_block){NULL, context, data, size};
    pthread_mutex_lock(&svm_lock);
    block->next = svm_blocks;
    svm_blocks = block;
    pthread_mutex_unlock(&svm_lock);
    return data;
}

void clSVMFree(cl_context context, void *pointer)
{
    if (call_enter(CALL_clSVMFree) || !object_is(context, KIND_CONTEXT) || !pointer)
        return;
    pthread_mutex_lock(&svm_lock);
    struct svm_block **at = &svm_blocks;
    while (*at && (*at)->data != pointer)
        at = &(*at)->next;
    struct svm_block *block = *at;
    if (block)
        *at = block->next;
    pthread_mutex_unlock(&svm_lock);
    if (!block)
        return;
    atomic_fetch_sub(&block->context->devices[0]->allocated, block->size);
    object_drop(block->context);
    free(block->data);
    free(block);
}

unsigned char *arg_memory(const struct kernel_arg *arg, size_t *room)
{
    *room = 0;
    if (arg->kind == ARG_MEM && arg->mem) {
        *room = arg->mem->size;
        return arg->mem->data;
    }
    if (arg->kind == ARG_SVM && arg->svm && svm_find(arg->svm, room))
        return arg->svm;
    return NULL;
}
