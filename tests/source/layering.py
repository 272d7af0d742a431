#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The layering of the sources, read from their #include lines and calls."""
import re
import sys
from pathlib import Path

# A module is a folder of lib/, or the files of lib/ itself that share a stem. It may include modules of lines above its own,
# and itself.
LAYERS = [
    'base',
    'cl family oracle search',
    'backend cache',
    'aside desc overlap recorded',
    'problem',
    'portfolio',
    'select workload',
    'context workload_device',
    'build layout measure_plan work_list',
    'merge problem_from tensor',
    'kv_cache',
    'plan',
    'launch',
    'schedule',
    'validate',
    'compile host run',
    'merge_states recording',
    'tuner',
    'api search_api',
]
RANK = {module: rank for rank, line in enumerate(LAYERS) for module in line.split()}
ALIASES = {'build_source.c': 'build', 'plan_table.c': 'plan', 'plan_working.c': 'plan',
           'problem_grid.c': 'problem', 'problem_parse.c': 'problem',
           'schedule_device.c': 'schedule',
           'search_check.c': 'search_api', 'search_state.c': 'search_api',
           'workload_pages.c': 'workload', 'workload_pages.h': 'workload',
           # MEASURE: declared for the plan, done by the tuner. The one call upwards.
           'measure_plan.c': 'tuner'}
# Where OpenCL is called. What decides, remembers, checks or supervises does not.
CALLS_OPENCL = set('cl context workload_device plan launch merge schedule tensor build compile host kv_cache run recording '
                   'validate'.split())
# search runs on recorded timings as well as on a device's: no OpenCL, no input or output, no clock.
SEARCH_SYSTEM = {'assert.h', 'float.h', 'limits.h', 'math.h', 'stdbool.h', 'stddef.h', 'stdint.h', 'stdlib.h', 'string.h'}
SEARCH_INTERNAL = {'base/rng.h'}
FORBIDDEN_CALLS = re.compile(r'\b(printf|fprintf|vprintf|vfprintf|puts|fputs|putchar|perror|exit|_exit|_Exit|quick_exit|'
                             r'abort|assert|system|fork|popen|signal|sigaction)\s*\(')
# These go by the locale that the program has set. lib/base has text_printf, read_double, json_write and json_read in their place.
LOCALE_CALLS = re.compile(r'\b(strtod|strtof|strtold|atof|vsnprintf|vsprintf|json_dump\w+|json_load\w+|setlocale|strcoll|alphasort)\b')
FLOAT_FORMAT = re.compile(r'\bsn?printf\s*\([^;]*%[-+ #0]*[*\d.]*L?[aefgAEFG]')
INCLUDE = re.compile(r'^\s*#\s*include\s*([<"])([^>"]+)[>"]', re.M)
OPENCL_CALL = re.compile(r'\bcl[A-Z]\w*\s*\(')
COMMENT = re.compile(r'/\*.*?\*/', re.S)
CODE = re.compile(r'/\*.*?\*/|//[^\n]*|"(?:\\.|[^"\\\n])*"', re.S)

errors = []


def error(path, text):
    errors.append(f'{path}: {text}')


def without_comments_and_strings(text):
    return CODE.sub(' ', text)


def includes(path):
    text = re.sub(r'/\*.*?\*/', ' ', path.read_text(), flags=re.S)
    return INCLUDE.findall(text)


def module_of(lib, path):
    relative = path.relative_to(lib)
    return relative.parts[0] if len(relative.parts) > 1 else ALIASES.get(path.name, relative.stem)


def check_library_include(root, path, module, bracket, name):
    lib = root / 'lib'
    if bracket == '<':
        if module == 'search' and name not in SEARCH_SYSTEM:
            error(path, f'search includes <{name}>')
        return
    target = path.parent / name if (path.parent / name).exists() else lib / name
    if not target.exists():
        # Kernel headers and generated tables.
        if not (root / 'kernels' / name).exists() and name != 'suite_rows.h':
            error(path, f'"{name}" is neither in lib/ nor in kernels/')
        elif module == 'search':
            error(path, f'search includes "{name}"')
        return
    other = module_of(lib, target)
    if other == 'suite_rows' or other == module or target.stem == path.stem:
        return
    if module == 'search' and name not in SEARCH_INTERNAL:
        error(path, f'search includes "{name}"')
    elif other not in RANK:
        error(path, f'includes {other}, which has no layer')
    elif RANK[other] >= RANK[module]:
        error(path, f'{module} includes {other}, which is not below it')


def check_library(root):
    lib = root / 'lib'
    files = sorted(p for p in lib.rglob('*') if p.suffix in ('.c', '.h') and p.name != 'suite_rows.h')
    for path in files:
        module = module_of(lib, path)
        if module not in RANK:
            error(path, f'{module} has no layer')
            continue
        for bracket, name in includes(path):
            check_library_include(root, path, module, bracket, name)
        code = without_comments_and_strings(path.read_text())
        for call in sorted(set(FORBIDDEN_CALLS.findall(code))):
            error(path, f'the library must not call {call}')
        for call in sorted(set(LOCALE_CALLS.findall(code))) if module != 'base' else ():
            error(path, f'the library must not call {call}, which goes by the locale')
        if module != 'base' and FLOAT_FORMAT.search(COMMENT.sub(' ', path.read_text())):
            error(path, 'snprintf of a floating-point number goes by the locale: text_printf')
        if module not in CALLS_OPENCL and OPENCL_CALL.search(code):
            error(path, f'{module} calls OpenCL: {OPENCL_CALL.search(code).group()}')
    return len(files)


def check_programs(root):
    """tune/ and bench/ use the public headers and their own; examples/ the public ones alone. The worker is part of the
    library's inside."""
    own = {p.name for folder in ('tune', 'bench') for p in (root / folder).glob('*.h')}
    own -= {name for name in own if name.startswith('worker')}
    files = [p for folder in ('tune', 'bench', 'examples') for p in sorted((root / folder).glob('*.[ch]'))
             if not (folder == 'tune' and p.name.startswith('worker'))]
    for path in files:
        allowed = own if path.parent.name != 'examples' else set()
        for bracket, name in includes(path):
            if bracket == '"' and name not in allowed:
                error(path, f'includes "{name}": programs use <attune/...>')
            if bracket == '<' and name.startswith('attune/') and not (root / 'include' / name).exists():
                error(path, f'<{name}> is not a public header')
    for path in sorted((root / 'include').rglob('*.h')):
        for bracket, name in includes(path):
            if bracket == '"':
                error(path, f'a public header includes "{name}"')
    return len(files)


def main(root):
    root = Path(root)
    checked = check_library(root) + check_programs(root)
    print('\n'.join(errors) or f'{checked} files, no finding')
    return bool(errors) or checked < 40


if __name__ == '__main__':
    sys.exit(main(sys.argv[1]))
