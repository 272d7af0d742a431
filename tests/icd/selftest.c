/* SPDX-License-Identifier: Apache-2.0
 * The scripted driver through the ICD loader. The argument names the script of scripts/ that is in force. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
int main(void) { return 77; }
