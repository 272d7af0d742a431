/* SPDX-License-Identifier: Apache-2.0
 * The commands of `attune`. A new one is its file, a line here and a line in attune.c's table. */
#ifndef ATTUNE_COMMANDS_H
#define ATTUNE_COMMANDS_H

#include "cli.h"

/* argv[0] is the command's name. */
enum exit_code command_devices(int argc, char **argv);
enum exit_code command_probe(int argc, char **argv);
enum exit_code command_tune(int argc, char **argv);
enum exit_code command_warm(int argc, char **argv);
enum exit_code command_layout(int argc, char **argv);
enum exit_code command_search(int argc, char **argv);
enum exit_code command_cache(int argc, char **argv);

#endif
