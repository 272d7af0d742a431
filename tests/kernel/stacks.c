/* SPDX-License-Identifier: Apache-2.0
 * stacks PROBLEM [CONFIG]: runs a problem on the cpu backend as a program would, under whatever limit on stacks it was
 * started with (stacks.py). Prints the plan's configurations. 1: it failed by a status; a crash is a crash. */
#include <stdio.h>
#include <stdlib.h>

#include "check.h"

int main(int argc, char **argv)
{
    attune_context *context = check_context("cpu");
    struct workload_options options = WORKLOAD_OPTIONS_INIT;
    attune_plan_options plan = ATTUNE_PLAN_OPTIONS_INIT;
    struct check_run run;
    if (argc < 2)
        return 2;
    plan.force_config = argc > 2 ? argv[2] : NULL;
    attune_status status = check_run_create(context, argv[1], &plan, &options, &run);
    if (status == ATTUNE_OK && (status = check_run_enqueue(&run, 1)) == ATTUNE_OK)
        status = check_run_compare(&run, 1);
    if (status == ATTUNE_OK)
        printf("%s\n", attune_plan_config(run.plan, 0));
    else
        fprintf(stderr, "%s: %s\n", attune_status_name(status), attune_last_error());
    check_run_destroy(&run);
    attune_context_destroy(&context);
    return status != ATTUNE_OK;
}
