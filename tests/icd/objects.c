/* SPDX-License-Identifier: Apache-2.0
 * Reference counts. Dead objects stay readable for a while, so that a handle used after its release is refused with the
 * right code instead of taking the ICD loader down. */
#include "icd.h"

#include <stdlib.h>
#include <string.h>

#define GRAVES 1024

static struct {
    pthread_mutex_t lock;
    void *objects[GRAVES];
    size_t next;
} graveyard = {.lock = PTHREAD_MUTEX_INITIALIZER};

static atomic_size_t alive;

void *object_create(size_t size, enum kind kind, void (*destroy)(struct object *))
{
    struct object *object = calloc(1, size);
    if (!object)
        return NULL;
    object->dispatch = dispatch_get();
    object->kind = kind;
    object->destroy = destroy;
    atomic_init(&object->refs, 1);
    atomic_init(&object->uses, 1);
    atomic_fetch_add(&alive, 1);
    return object;
}

bool object_is(const void *handle, enum kind kind)
{
    const struct object *object = handle;
    return object && object->kind == kind && atomic_load(&object->refs) > 0;
}

void object_use(void *handle)
{
    atomic_fetch_add(&((struct object *)handle)->uses, 1);
}

void object_drop(void *handle)
{
    struct object *object = handle;
    if (!object || atomic_fetch_sub(&object->uses, 1) != 1)
        return;
    if (object->destroy)
        object->destroy(object);
    pthread_mutex_lock(&graveyard.lock);
    void *forgotten = graveyard.objects[graveyard.next];
    graveyard.objects[graveyard.next] = object;
    graveyard.next = (graveyard.next + 1) % GRAVES;
    pthread_mutex_unlock(&graveyard.lock);
    free(forgotten);
}

cl_int object_retain(void *handle, enum kind kind, cl_int invalid)
{
    struct object *object = handle;
    if (!object_is(object, kind))
        return invalid;
    unsigned refs = atomic_load(&object->refs);
    do {
        if (refs == 0)
            return invalid;
    } while (!atomic_compare_exchange_weak(&object->refs, &refs, refs + 1));
    return CL_SUCCESS;
}

cl_int object_release(void *handle, enum kind kind, cl_int invalid)
{
    struct object *object = handle;
    if (!object_is(object, kind))
        return invalid;
    unsigned refs = atomic_load(&object->refs);
    do {
        if (refs == 0)
            return invalid;
    } while (!atomic_compare_exchange_weak(&object->refs, &refs, refs - 1));
    if (refs == 1) {
        atomic_fetch_sub(&alive, 1);
        object_drop(object);
    }
    return CL_SUCCESS;
}

size_t objects_alive(void)
{
    return atomic_load(&alive);
}

void *create_failed(cl_int *error_out, cl_int code)
{
    if (error_out)
        *error_out = code;
    return NULL;
}

void *create_done(cl_int *error_out, void *object)
{
    if (error_out)
        *error_out = object ? CL_SUCCESS : CL_OUT_OF_HOST_MEMORY;
    return object;
}

cl_int info_give(size_t size, void *value, size_t *size_ret, const void *data, size_t data_size)
{
    if (value && size < data_size)
        return CL_INVALID_VALUE;
    if (value && data_size)
        memcpy(value, data, data_size);
    if (size_ret)
        *size_ret = data_size;
    return CL_SUCCESS;
}

cl_int info_text(size_t size, void *value, size_t *size_ret, const char *text)
{
    return info_give(size, value, size_ret, text, strlen(text) + 1);
}
