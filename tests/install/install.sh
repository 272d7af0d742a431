#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# install.sh SOURCE_ROOT COMPILER...
# Installs a build of the library into a fresh prefix and uses it from there: the examples and the README's program by
# pkg-config, the CMake config where CMake is present. Then from another place, to which the prefix is moved.
set -eu
root=$1
shift
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
prefix=$work/prefix
meson setup --prefix "$prefix" --libdir lib -Dtests=false -Dbuildtype=release "$work/build" "$root" >"$work/log" 2>&1 &&
    meson install -C "$work/build" >>"$work/log" 2>&1 || { cat "$work/log"; exit 1; }

export PKG_CONFIG_PATH="$prefix/lib/pkgconfig" LD_LIBRARY_PATH="$prefix/lib"
export ATTUNE_CACHE_DIR="$work/cache"
unset ATTUNE_WORKER
flags="-std=c11 -Wall -Wextra -Werror $(pkg-config --cflags --libs attune) -lm"

# The first C block of the README.
awk '/^```c$/ && !done { inside = 1; next } /^```$/ && inside { inside = 0; done = 1 } inside' "$root/README.md" \
    >"$work/readme.c"
[ "$(wc -l <"$work/readme.c")" -ge 10 ] || { echo "README.md holds no program"; exit 1; }

for source in "$root"/examples/*.c "$work/readme.c"; do
    program=$work/$(basename "$source" .c)
    "$@" "$source" -o "$program" $flags
    said=$("$program") || { echo "$(basename "$source") failed: $said"; exit 1; }
    echo "$(basename "$source"): $said"
done

# 40 of 96 configurations are enough for a smooth function.
found=$("$work/minimise")
[ "$found" = "TILE=48 UNROLL=4: 3" ] || { echo "minimise found $found, not the minimum"; exit 1; }

# Nothing is tuned here: the policy that insists on it fails, and says so.
if output=$("$work/prefill" cached 2>&1); then
    echo "prefill cached succeeded without a cache: $output"
    exit 1
fi
echo "prefill cached: $output"

# A cache that was warmed serves another user from a read-only copy under another path, with an empty cache of the driver's own and
# without a worker: no compiler runs, which is a linker's process with pocl.
ATTUNE_CACHE_DIR=$work/warm "$prefix/bin/attune" warm --backend cpu --quiet \
    --workload decode:hq=8,hkv=2,d=64,q=fp16,kv=fp16,page=16,batch=4,kvlen=128
cp -r "$work/warm" "$work/shipped"
rm -rf "$work/warm"
chmod -R a+rX,a-w "$work/shipped"
chmod a+rx "$work"
mkdir "$work/home"
run_as=
if [ "$(id -u)" = 0 ] && command -v setpriv >/dev/null; then
    run_as='setpriv --reuid=65534 --regid=65534 --clear-groups'
    chown 65534:65534 "$work/home"
fi
serve="$run_as env -u POCL_CACHE_DIR -u XDG_CACHE_HOME HOME=$work/home ATTUNE_CACHE_DIR=$work/shipped ATTUNE_BACKEND=cpu"
serve="$serve ATTUNE_WORKER=/nonexistent $work/decode"
if command -v strace >/dev/null && strace -o /dev/null true 2>/dev/null; then
    strace -f -e trace=execve -o "$work/trace" $serve
    if grep -E 'execve\("[^"]*/(ld|clang|cc|gcc)[^/"]*"' "$work/trace"; then
        echo 'a plan of a warmed cache compiled'
        exit 1
    fi
else
    $serve
fi

for program in attune attune-bench; do
    "$prefix/bin/$program" --help >/dev/null
done
# Finds the installed worker without being told.
"$prefix/bin/attune" devices

# Moved as a whole: the worker, the caches of the system and pkg-config's paths are those of the new place. Nothing is left at the old
# one, and the current folder has no say.
moved=$work/elsewhere/attune
mkdir "$work/elsewhere"
mv "$prefix" "$moved"
export PKG_CONFIG_PATH="$moved/lib/pkgconfig" LD_LIBRARY_PATH="$moved/lib"
(cd / && "$moved/bin/attune" devices)
"$@" "$work/readme.c" -o "$work/moved" -std=c11 $(pkg-config --cflags --libs attune)
"$work/moved"
entry=entries/00000000000000000000000000000000.json
for folder in etc share; do
    mkdir -p "$moved/$folder/attune/entries"
    echo '{}' >"$moved/$folder/attune/$entry"
    output=$("$moved/bin/attune" cache list 2>&1)
    case $output in
    *"$moved/$folder/attune/$entry"*) ;;
    *) echo "$folder/attune of a moved prefix is not looked at: $output"; exit 1 ;;
    esac
done
# What stands beside the library and could be another user's is not started.
chmod o+w "$moved/libexec/attune/attune-worker"
if output=$("$moved/bin/attune" devices 2>&1); then
    echo "a worker that anybody may write to was started: $output"
    exit 1
fi
chmod o-w "$moved/libexec/attune/attune-worker"
mv "$moved" "$prefix"
export PKG_CONFIG_PATH="$prefix/lib/pkgconfig" LD_LIBRARY_PATH="$prefix/lib"

if command -v cmake >/dev/null; then
    mkdir "$work/cmake"
    cat >"$work/cmake/CMakeLists.txt" <<EOF
cmake_minimum_required(VERSION 3.18)
project(example C)
find_package(attune 0.2 REQUIRED)
add_executable(prefill "$root/examples/prefill.c")
target_link_libraries(prefill attune::attune)
EOF
    cmake -S "$work/cmake" -B "$work/cmake/build" -DCMAKE_PREFIX_PATH="$prefix" >"$work/log" 2>&1 &&
        cmake --build "$work/cmake/build" >>"$work/log" 2>&1 || { cat "$work/log"; exit 1; }
    echo "CMake: $("$work/cmake/build/prefill")"
fi

# The static library alone. A program may use every name that does not begin with attune_: this one takes all that the library's own
# files use among themselves.
meson configure "$work/build" -Ddefault_library=static -Dtools=false >"$work/log" 2>&1 &&
    meson install -C "$work/build" --destdir "$work/static" >>"$work/log" 2>&1 || { cat "$work/log"; exit 1; }
static=$work/static$prefix
[ -e "$static/lib/libattune.a" ] && [ ! -e "$static/lib/libattune.so" ] || { echo 'not a static installation'; exit 1; }
if nm -g --defined-only "$static/lib/libattune.a" | awk 'NF == 3 && $3 !~ /^attune_/ { print; found = 1 } END { exit !found }'; then
    echo 'the static library defines names of its own'
    exit 1
fi
{
    nm -g --defined-only "$work/build/lib/libattune-internal.a" |
        awk 'NF == 3 && $3 !~ /^attune_/ && !seen[$3]++ { print "int " $3 "(void);\nint " $3 "(void) { return 1; }" }'
    cat <<'EOF'
#include <attune/attune.h>
#include <stdio.h>
int main(void)
{
    attune_context *context;
    attune_context_options options = ATTUNE_CONTEXT_OPTIONS_INIT;
    options.backend = "cpu";
    attune_status status = attune_context_create(&context, &options);
    printf("%s %s\n", attune_status_name(status), attune_last_error());
    attune_context_destroy(&context);
    return status != ATTUNE_OK;
}
EOF
} >"$work/names.c"
grep -q 'int set_error(void)' "$work/names.c" && grep -q 'int log_message(void)' "$work/names.c"
export PKG_CONFIG_PATH="$static/lib/pkgconfig"
unset LD_LIBRARY_PATH
"$@" -w -fno-builtin "$work/names.c" -o "$work/names" $(pkg-config --cflags --static --libs attune)
"$@" "$work/readme.c" -o "$work/plain_static" -std=c11 $(pkg-config --cflags --libs attune)
echo "static, with $(grep -c 'return 1' "$work/names.c") names taken: $("$work/names")"
"$work/plain_static"
if command -v cmake >/dev/null; then
    sed "s|$root/examples/prefill.c|$work/names.c|" "$work/cmake/CMakeLists.txt" >"$work/cmake/new"
    mkdir "$work/cmake_static"
    mv "$work/cmake/new" "$work/cmake_static/CMakeLists.txt"
    cmake -S "$work/cmake_static" -B "$work/cmake_static/build" -DCMAKE_PREFIX_PATH="$static" -DCMAKE_C_FLAGS='-w -fno-builtin' \
        >"$work/log" 2>&1 && cmake --build "$work/cmake_static/build" >>"$work/log" 2>&1 || { cat "$work/log"; exit 1; }
    echo "CMake, static: $("$work/cmake_static/build/prefill")"
fi
