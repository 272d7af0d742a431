#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The library's dynamic symbols: what it exports is the checked-in list, which is what the headers declare; what it
imports can neither print, end the process, nor change the state of the whole process."""
import re
import subprocess
import sys
from pathlib import Path

PRINT = """printf fprintf dprintf vprintf vfprintf puts putchar fputs fputc putc perror psignal stdout stderr stdin
    __printf_chk __fprintf_chk __vprintf_chk __vfprintf_chk __dprintf_chk syslog warn err""".split()
END = 'exit _exit _Exit quick_exit abort atexit __assert_fail raise longjmp _longjmp siglongjmp'.split()
# Spawned programs go through posix_spawn: fork is not safe beside a driver's threads.
PROCESS = 'fork vfork system popen execve execv execvp execl clone daemon chdir fchdir umask setrlimit alarm'.split()
# pthread_sigmask is one thread's own affair, these are not.
SIGNALS = 'signal sigaction sigprocmask bsd_signal sysv_signal sigsetmask __sysv_signal'.split()
# Not thread-safe, or not safe in setuid programs (secure_getenv is).
SHARED = 'getenv setenv unsetenv putenv setlocale strtok rand srand random srandom drand48 gmtime localtime ctime'.split()
FORBIDDEN = {*PRINT, *END, *PROCESS, *SIGNALS, *SHARED}


def symbols(nm, library, kind):
    lines = subprocess.run([nm, '-D', '--format=posix', kind, library], check=True, capture_output=True,
                           text=True).stdout.splitlines()
    return {line.split()[0].split('@')[0] for line in lines if line.strip()}


def declared(headers):
    names = set()
    for header in headers:
        text = re.sub(r'/\*.*?\*/', '', Path(header).read_text(), flags=re.S)
        names |= set(re.findall(r'^ATTUNE_API\b[^;(]*?\b(attune_\w+)\s*\(', text, flags=re.M))
    return names


def compare(what, found, listed, listing):
    for name in sorted(found - listed):
        print(f'{what} but not in {listing}: {name}')
    for name in sorted(listed - found):
        print(f'in {listing} but not {what}: {name}')
    return found == listed


def main(nm, library, listing, *headers):
    lines = Path(listing).read_text().splitlines()
    listed = set(lines)
    ok = lines == sorted(listed)
    if not ok:
        print(f'{listing} is not sorted, or repeats a name')
    ok &= compare('declared by the headers', declared(headers), listed, listing)
    ok &= compare('exported', symbols(nm, library, '--defined-only'), listed, listing)
    imported = symbols(nm, library, '--undefined-only')
    if not imported & {'malloc', 'clCreateContext'}:
        ok = False
        print(f'{nm} shows no imports of {library}: this check checks nothing')
    for name in sorted(imported & FORBIDDEN):
        ok = False
        print(f'the library must not use {name}')
    return not ok


if __name__ == '__main__':
    sys.exit(main(*sys.argv[1:]))
