# SPDX-License-Identifier: Apache-2.0
"""Programs under small and unlimited stacks (ulimit -s): plans take kernels whose private memory fits the driver's threads, and
a configuration that does not fit is refused by name. Nothing crashes. usage: stacks.py STACKS"""
import resource
import subprocess
import sys

LARGE = "vector_tile:BLOCK_Q=256,BLOCK_KV=192"  # 2.1 MB private at head_dim 576
UNTUNED = "prefill:hq=1,hkv=1,d=576,causal=1,new=40"
hard = resource.getrlimit(resource.RLIMIT_STACK)[1]


def run(soft, *arguments):
    def limit():
        resource.setrlimit(resource.RLIMIT_STACK, (soft, hard))
    done = subprocess.run([sys.argv[1], *arguments], preexec_fn=limit, capture_output=True, text=True, timeout=300)
    return done.returncode, done.stdout + done.stderr


def expect(name, got, code, words):
    if got[0] != code or not any(word in got[1] for word in words):
        sys.exit(f"{name}: exit code {got[0]}, not {code} with one of {words}\n{got[1]}")
    print(f"{name}: {got[1].strip()[:140]}")


if hard != resource.RLIM_INFINITY and hard < 8 << 20:
    print("skipped: the hard limit on stacks is too low")
    sys.exit(77)
expect("1 MiB, untuned", run(1 << 20, UNTUNED), 0, ["plain_row", "vector_tile"])
expect("1 MiB, a large tile", run(1 << 20, UNTUNED, LARGE), 1, ["exceed the thread stacks'"])
expect("8 MiB, a large tile", run(8 << 20, UNTUNED, LARGE), 0, ["vector_tile"])
if hard == resource.RLIM_INFINITY:  # the C library then gives threads 2 MiB
    expect("unlimited, a large tile", run(resource.RLIM_INFINITY, UNTUNED, LARGE), 1, ["exceed the thread stacks'"])
