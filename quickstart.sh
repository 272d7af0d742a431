#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# ./quickstart.sh        on a fresh Debian 12: installs what is missing, builds, tunes two workloads, shows the speed-up
# ./quickstart.sh test   the same set-up, then every test: gcc, clang, ASan + UBSan, TSan
#
# Installing needs root or sudo; the rest does not. Builds are in build/, build-clang/, build-asan/ and build-tsan/.
set -eu
cd "$(dirname "$0")"
# Debian's tools before others of their name: its meson then runs on Debian's Python.
PATH=/usr/sbin:/usr/bin:/sbin:/bin:$PATH
export PATH

packages='gcc libc6-dev pkg-config meson ninja-build python3 pocl-opencl-icd ocl-icd-opencl-dev opencl-headers
    opencl-c-headers clinfo libjansson-dev libxxhash-dev zlib1g-dev libsodium-dev libcmocka-dev oclgrind'
test_packages='g++ clang libclang-rt-14-dev llvm strace' # llvm: names in the sanitizers' reports

now_ms() {
    date +%s%3N
}

fail() {
    echo "quickstart.sh: $*" >&2
    exit 1
}

# step NAME COMMAND...: runs it with its output in a log, says how long it took, shows the log if it fails.
step() {
    name=$1
    shift
    printf '%s ... ' "$name"
    begin=$(now_ms)
    if "$@" >"$log" 2>&1; then
        seconds=$((($(now_ms) - begin) / 1000))
        echo "$seconds s"
    else
        code=$?
        echo "failed ($code)"
        cat "$log"
        return "$code"
    fi
}

missing_packages() {
    for package in "$@"; do
        [ "$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null)" = installed ] || printf '%s ' "$package"
    done
}

install_packages() {
    command -v dpkg-query >/dev/null || fail "this is not Debian: install the equivalents of $*"
    missing=$(missing_packages "$@")
    [ -n "$missing" ] || return 0
    if [ "$(id -u)" = 0 ]; then
        root=
    elif command -v sudo >/dev/null && { sudo -n true 2>/dev/null || { [ -t 0 ] && sudo true; }; }; then
        root=sudo
    else
        fail "neither root nor sudo; as root, run: apt-get install $missing"
    fi
    echo "Installing: $missing"
    # Package lists that cannot be refreshed may still do.
    step 'apt-get update' $root apt-get update -q || true
    step 'apt-get install' $root env DEBIAN_FRONTEND=noninteractive \
        apt-get install -q -y --no-install-recommends $missing ||
        fail 'packages could not be installed'
}

# configure DIR OPTION...
configure() {
    dir=$1
    shift
    if [ -f "$dir/build.ninja" ]; then
        meson setup --reconfigure "$dir" "$@" || meson setup --wipe "$dir" "$@"
    else
        meson setup "$dir" "$@"
    fi
}

configure_and_build() {
    configure "$@" && ninja --quiet -C "$dir"
}

# ------------------------------------------------------------------------------------------------------- demonstration

workloads='--workload E1 --workload E2:q=fp32,kv=fp32,o=fp32,prec=strict'

# attune_command ARGUMENT...: the built command; codes 3 (nothing better was found) and 4 (budget spent) are results.
attune_command() {
    code=0
    build/tune/attune "$@" || code=$?
    case $code in
    0 | 3 | 4) ;;
    *) fail "attune $1 ended with exit code $code" ;;
    esac
}

demonstrate() {
    step 'Building' configure_and_build build -Dbuildtype=release -Dwerror=true
    # Building and tuning together stay within three minutes.
    budget=$((130 - seconds))
    [ "$budget" -ge 60 ] || budget=60
    echo
    attune_command devices
    echo
    echo "Tuning two workloads: a prompt of 512 tokens (E1), and 256 tokens after 1024 cached ones (E2), at most $budget s of search"
    attune_command tune $workloads --budget-seconds "$budget"
    echo
    echo 'Asking again:'
    begin=$(now_ms)
    attune_command tune $workloads --no-compare
    echo "answered in $(($(now_ms) - begin)) ms"
}

# --------------------------------------------------------------------------------------------------------------- tests

passed=0 failed=0 skipped=0

results() {
    grep -cE "\"result\": \"($1)\"" "$2" || true
}

# run_tests NAME DIR OPTION...: adds the outcome of `meson test` to the sums.
run_tests() {
    title=$1 dir=$2
    shift 2
    json=$dir/meson-logs/quickstart.json
    rm -f "$json"
    step "$title: tests" meson test -C "$dir" --print-errorlogs --logbase quickstart "$@" || true
    if [ ! -f "$json" ]; then
        failed=$((failed + 1))
        return
    fi
    ok=$(results 'OK|EXPECTEDFAIL' "$json") skip=$(results SKIP "$json") all=$(results '[A-Z]*' "$json")
    echo "    $ok passed, $((all - ok - skip)) failed, $skip skipped"
    passed=$((passed + ok)) skipped=$((skipped + skip)) failed=$((failed + all - ok - skip))
}

# build_and_test NAME DIR C_COMPILER C++_COMPILER "BUILD OPTIONS" TEST_OPTION...
build_and_test() {
    title=$1 directory=$2 options=$5
    export CC="$3" CXX="$4"
    shift 5
    if step "$title: build" configure_and_build "$directory" -Dwerror=true $options; then
        run_tests "$title" "$directory" "$@"
    else
        failed=$((failed + 1))
    fi
}

# Threads of the library and of the scripted driver; a real driver's races are not ours to find.
test_threads() {
    if ! { echo 'int main(void) { return 0; }' | clang -fsanitize=thread -x c - -o "$log.tsan" && "$log.tsan"; } 2>/dev/null
    then
        echo 'TSan: does not run on this machine, left out'
        skipped=$((skipped + 1))
    elif step 'TSan: set-up' configure build-tsan -Db_sanitize=thread -Db_lundef=false; then
        run_tests TSan build-tsan -t 4 --suite icd
    else
        failed=$((failed + 1))
    fi
}

test_all() {
    begin_all=$(now_ms)
    build_and_test gcc build gcc g++ -Dbuildtype=release
    build_and_test clang build-clang clang clang++ -Dbuildtype=release --suite unit --suite headers
    export UBSAN_OPTIONS=halt_on_error=1:print_stacktrace=1
    export LSAN_OPTIONS="suppressions=$PWD/tests/leaks.supp:print_suppressions=0"
    # Host code is what the sanitizers see: fewer kernels, and those on one backend.
    export TEST_STEP=32 TEST_COUNT=1
    build_and_test 'ASan + UBSan' build-asan clang clang++ '-Db_sanitize=address,undefined -Db_lundef=false' -t 4 \
        --no-suite kernel-zw-m890
    test_threads
    echo "All tests took $((($(now_ms) - begin_all) / 1000)) s"
    echo "$passed passed, $failed failed, $skipped skipped"
    [ "$failed" = 0 ]
}

log=$(mktemp)
trap 'rm -f "$log" "$log.tsan"' EXIT
case ${1-} in
'')
    install_packages $packages
    demonstrate
    ;;
test)
    install_packages $packages $test_packages
    test_all
    ;;
*)
    echo "usage: ./quickstart.sh [test]" >&2
    exit 2
    ;;
esac
