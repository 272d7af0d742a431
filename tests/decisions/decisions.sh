#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# decisions.sh SOURCE_ROOT
# Every strategy decides alike whether gcc or clang compiled it, without optimisation or with all of it (and with this machine's
# fused multiply-adds, which -ffp-contract=off keeps the compiler from using).
set -eu
root=$1
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
for compiler in gcc clang; do
    command -v "$compiler" >/dev/null || { echo "skipped: there is no $compiler to compare with"; exit 77; }
done

perturb=1
for compiler in gcc clang; do
    for level in "-O0" "-O3 -march=native"; do
        name=$compiler$(echo "$level" | tr -d ' =')
        "$compiler" -std=c11 $level -ffp-contract=off -I"$root/lib" "$root"/lib/search/*.c "$root/lib/base/rng.c" \
            "$root/tests/decisions/driver.c" -o "$work/driver" -lm
        # What is read before it is written shows too.
        MALLOC_PERTURB_=$perturb "$work/driver" >"$work/$name"
        perturb=$((perturb + 60))
        [ -s "$work/$name" ] || { echo "$compiler $level: no decisions"; exit 1; }
        [ -e "$work/first" ] || cp "$work/$name" "$work/first"
        if ! diff "$work/first" "$work/$name" >"$work/diff"; then
            echo "gcc -O0 (<) and $compiler $level (>) decide differently (seeds 1 to 50):"
            cat "$work/diff"
            exit 1
        fi
        echo "$compiler $level: as the first"
    done
done
cat "$work/first"
