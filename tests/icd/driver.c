/* SPDX-License-Identifier: Apache-2.0
 * What the ICD loader sees: the dispatch table, extension functions, the count of calls and their scripted errors. */
#include "icd.h"

#include <string.h>

static const char *const call_names[CALL_COUNT] = {
#define CALL(name) #name,
#include "calls.def"
#undef CALL
};

static atomic_ullong call_counts[CALL_COUNT];

int call_find(const char *name)
{
    for (int i = 0; i < CALL_COUNT; i++)
        if (strcmp(call_names[i], name) == 0)
            return i;
    return -1;
}

uint64_t call_count(const char *name)
{
    int call = call_find(name);
    return call < 0 ? 0 : atomic_load(&call_counts[call]);
}

cl_int call_enter(enum call call)
{
    uint64_t occurrence = atomic_fetch_add(&call_counts[call], 1) + 1;
    const struct script *script = script_get();
    cl_int result = CL_SUCCESS;
    for (size_t i = 0; i < script->num_faults && !result; i++) {
        struct fault *fault = &script->faults[i];
        if (fault->call == (int)call && occurrence >= fault->nth &&
            (fault->times == 0 || occurrence - fault->nth < fault->times))
            result = fault_strike(fault, NULL);
    }
    return result;
}

/* ---- dispatch table */

static cl_icd_dispatch table;
static pthread_once_t table_once = PTHREAD_ONCE_INIT;

static void fill_table(void)
{
    dispatch_fill_unsupported(&table);
#define CALL(name) table.name = name;
#include "calls.def"
#undef CALL
    table.clGetExtensionFunctionAddress = clGetExtensionFunctionAddress;
    table.clGetExtensionFunctionAddressForPlatform = clGetExtensionFunctionAddressForPlatform;
}

const cl_icd_dispatch *dispatch_get(void)
{
    pthread_once(&table_once, fill_table);
    return &table;
}

/* ---- entry points */

#define EXPORT __attribute__((visibility("default")))

EXPORT CL_API_ENTRY cl_int CL_API_CALL clIcdGetPlatformIDsKHR(cl_uint num_entries, cl_platform_id *platforms,
                                                              cl_uint *num_platforms);

EXPORT CL_API_ENTRY cl_int CL_API_CALL clIcdGetPlatformIDsKHR(cl_uint num_entries, cl_platform_id *platforms,
                                                              cl_uint *num_platforms)
{
    const struct script *script = script_get();
    if ((num_entries == 0 && platforms) || (!platforms && !num_platforms))
        return CL_INVALID_VALUE;
    if (num_platforms)
        *num_platforms = script->num_platforms;
    for (cl_uint i = 0; platforms && i < num_entries && i < script->num_platforms; i++)
        platforms[i] = &script->platforms[i];
    return script->num_platforms ? CL_SUCCESS : CL_PLATFORM_NOT_FOUND_KHR;
}

cl_int clGetPlatformIDs(cl_uint num_entries, cl_platform_id *platforms, cl_uint *num_platforms)
{
    return clIcdGetPlatformIDsKHR(num_entries, platforms, num_platforms);
}

EXPORT CL_API_ENTRY void *CL_API_CALL clGetExtensionFunctionAddress(const char *name)
{
    static const struct {
        const char *name;
        void *function;
    } extensions[] = {
        {"clIcdGetPlatformIDsKHR", (void *)clIcdGetPlatformIDsKHR},
        {"clGetPlatformInfo", (void *)clGetPlatformInfo},
        {"clGetKernelSubGroupInfoKHR", (void *)clGetKernelSubGroupInfo},
        {"clFakeObjectsAlive", (void *)objects_alive},
        {"clFakeCallCount", (void *)call_count},
    };
    for (size_t i = 0; i < sizeof extensions / sizeof extensions[0]; i++)
        if (strcmp(name, extensions[i].name) == 0)
            return extensions[i].function;
    return NULL;
}

void *clGetExtensionFunctionAddressForPlatform(cl_platform_id platform, const char *name)
{
    return object_is(platform, KIND_PLATFORM) ? clGetExtensionFunctionAddress(name) : NULL;
}
