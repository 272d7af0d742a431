# SPDX-License-Identifier: Apache-2.0
"""Declared private bytes against what the compiler allocates, by clang's IR of each kernel.

Optimised, the allocas that are left must fit in what the .def declares: what lies in registers costs none. Before any
optimisation every variable is an alloca, so the declaration, which counts the arrays, must fit in those.
Skipped (77) without a clang that compiles OpenCL C.
"""
import re
import shutil
import subprocess
import sys
import tempfile

SIZES = {"i1": 1, "i8": 1, "i16": 2, "i32": 4, "i64": 8, "float": 4, "double": 8, "half": 2, "ptr": 8}
PASS_BY_VALUE = "attention_args"  # the argument's copy is no variable of the kernel


def split_types(text):
    """The comma-separated types of a struct's body, without splitting inside nested ones."""
    parts, depth = [""], 0
    for char in text:
        depth += (char in "[<{(") - (char in "]>})")
        if char == "," and depth == 0:
            parts.append("")
        else:
            parts[-1] += char
    return parts


def size_of(kind, structs):
    kind = kind.strip()
    if kind in SIZES:
        return SIZES[kind]
    if kind.endswith("*"):
        return 8
    compound = re.fullmatch(r"[\[<](\d+) x (.*)[\]>]", kind)
    if compound:
        return int(compound.group(1)) * size_of(compound.group(2), structs)
    if kind.startswith("{"):  # a small struct in registers
        return sum(size_of(part, structs) for part in split_types(kind[1:-1]))
    if PASS_BY_VALUE in kind:
        return 0
    if kind in structs:
        return sum(size_of(part, structs) for part in split_types(structs[kind]))
    raise ValueError("unknown type in the IR: " + kind)


def allocas(clang, source, options, level):
    command = [clang, "-x", "cl", "-Xclang", "-finclude-default-header", "-target", "x86_64-unknown-linux-gnu",
               "-march=skylake-avx512", "-S", "-emit-llvm", "-o", "-", "-w", "-fno-discard-value-names"]
    command += level + [o for o in options.split() if not o.startswith("-cl-no-signed")] + [source]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        sys.exit("clang failed on %s\n%s\n%s" % (source, options, done.stderr[:2000]))
    structs = dict(re.findall(r"^(%\S+) = type \{ (.*) \}$", done.stdout, re.M))
    total = 0
    for line in done.stdout.splitlines():
        match = re.match(r"\s+%\S+ = alloca (.*?)(, align.*)?$", line)
        if match:
            total += size_of(match.group(1), structs)
    return total


def main():
    lister = sys.argv[1]
    clang = shutil.which("clang") or shutil.which("clang-15") or shutil.which("clang-14")
    if not clang:
        print("skipped: no clang")
        return 77
    with tempfile.TemporaryDirectory() as folder:
        rows = subprocess.run([lister, folder], check=True, capture_output=True, text=True).stdout.splitlines()
        bad = 0
        for row in rows:
            declared, source, options = row.split("\t")
            least = allocas(clang, source, options, ["-O3"])
            most = allocas(clang, source, options, ["-O1", "-Xclang", "-disable-llvm-passes"])
            if not least <= int(declared) <= most:
                bad += 1
                print("%s: declared %s private bytes, compiled %d to %d\n  %s" %
                      (source.rsplit("/", 1)[1], declared, least, most, options))
        print("%d configurations, %d wrong" % (len(rows), bad))
        return 1 if bad or not rows else 0


sys.exit(main())
