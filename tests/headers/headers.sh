#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# headers.sh STANDARD LANGUAGE LIBRARY HEADERS_DIR BUILD_INCLUDE SOURCE COMPILER...
# Each public header compiles alone, without a warning, as LANGUAGE in STANDARD; SOURCE does too, links and runs.
set -eu
standard=$1 language=$2 library=$3 include=$4 generated=$5 source=$6
shift 6
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

compile() {
    "$@" "-std=$standard" -Wall -Wextra -Werror -pedantic -I"$include" -I"$generated" -x "$language" "$unit" $rest
}

count=0
for header in "$include"/attune/*.h "$generated"/attune/*.h; do
    unit=$work/alone.$language rest="-fsyntax-only"
    printf '#include <attune/%s>\nint no_unit_is_empty;\n' "$(basename "$header")" >"$unit"
    echo "$language $standard: $(basename "$header")"
    compile "$@"
    count=$((count + 1))
done
[ "$count" -ge 3 ] || { echo "found $count headers of at least 3"; exit 1; }

unit=$source rest="-x none $library -o $work/program"
compile "$@"
LD_LIBRARY_PATH=$(dirname "$library") "$work/program"
