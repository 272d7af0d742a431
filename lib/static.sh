#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# static.sh INPUT.a OUTPUT.a OBJCOPY AR COMPILER...
# One object whose hidden symbols are local: a program that links the archive may use every name that is not public.
set -eu
input=$1 output=$2 objcopy=$3 ar=$4
shift 4
"$@" -r -nostdlib -Wl,--whole-archive "$input" -Wl,--no-whole-archive -o "$output.o"
"$objcopy" --localize-hidden "$output.o"
rm -f "$output"
"$ar" rcs "$output" "$output.o"
rm -f "$output.o"
