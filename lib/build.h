/* SPDX-License-Identifier: Apache-2.0
 * Programs of a context: from the embedded source or the cache of binaries. */
#ifndef ATTUNE_BUILD_H
#define ATTUNE_BUILD_H

#include "context.h"

struct program_source {
    const char *name;   /* of the .cl file, for ATTUNE_KERNEL_DIR */
    const char *source; /* embedded */
    const char *options;
    bool keep; /* store the binary; taking one costs a compile of its own */
};

/* Runs each kernel of the program once, on nothing, with the work-group sizes and grids that it will run with: pocl compiles
 * when a command first executes, and a binary is complete only after that. */
typedef attune_status (*program_warm)(void *priv, cl_program program);

/* Takes the program from the cache or builds it, and warms it. Blocks. Errors: BUILD, OPENCL, IO (ATTUNE_KERNEL_DIR). */
attune_status program_build(attune_context *context, const struct program_source *source, program_warm warm, void *priv,
                            cl_program *out);

/* The same, once per context: programs that many plans use. The caller releases *out. */
attune_status program_build_shared(attune_context *context, const struct program_source *source, program_warm warm,
                                   void *priv, cl_program *out);

/* lib/build_source.c: dir's NAME.cl with the files of dir that it includes in their places, as embedded sources are: a folder's
 * name is then none of the compiler's options, which drivers split in their own ways. free(*out). IO. */
attune_status kernel_source_read(const char *dir, const char *name, char **out);

/* For warming: runs kernel once on a queue of its own and waits. Its arguments are set. */
attune_status program_run_once(attune_context *context, cl_kernel kernel, size_t global, size_t local);

/* The largest permitted work-group size that is at most wanted: for kernels that take any. */
int32_t program_group_size(const attune_context *context, int32_t wanted);

#endif
