/* SPDX-License-Identifier: Apache-2.0 */
#include "launch.h"

#include "cl/program.h"

cl_int launch_set_pointer(cl_kernel kernel, cl_uint index, const struct launch_pointer *pointer)
{
    if (pointer->svm)
        return clSetKernelArgSVMPointer(kernel, index, pointer->svm);
    return clSetKernelArg(kernel, index, sizeof(cl_mem), pointer->cl ? &pointer->cl : NULL);
}

attune_status launch_kernel(cl_kernel kernel, const struct plan_config *config, const struct launch_memory *memory,
                            const struct attention_args *args, cl_command_queue queue, cl_uint num_wait,
                            const cl_event *wait, cl_event *event)
{
    cl_int code;
    for (cl_uint i = 0; i < LAUNCH_NUM_MEMORY; i++) {
        if ((code = launch_set_pointer(kernel, i, &memory->arg[i])) != CL_SUCCESS)
            return cl_error(code, "clSetKernelArg");
    }
    if ((code = clSetKernelArg(kernel, LAUNCH_ARGS, sizeof *args, args)) != CL_SUCCESS)
        return cl_error(code, "clSetKernelArg(args)");
    size_t local = (size_t)config->resources.wg_size, global = (size_t)config->num_groups * local;
    code = clEnqueueNDRangeKernel(queue, kernel, 1, NULL, &global, &local, num_wait, wait, event);
    return code == CL_SUCCESS ? ATTUNE_OK : cl_error(code, "clEnqueueNDRangeKernel(attention)");
}
