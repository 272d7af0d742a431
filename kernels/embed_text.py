#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Embeds one kernel file, its includes flattened, as a C string. Usage: embed_text.py NAME INPUT OUTPUT.c DEPFILE"""
import os
import sys

from embed import c_string, flatten


def main():
    name, source, output, depfile = sys.argv[1:]
    folder, base = os.path.split(source)
    files = []
    text = c_string(flatten(folder, base, files, True))
    with open(output, 'w', encoding='utf-8') as file:
        file.write(f'extern const char {name}[];\nconst char {name}[] =\n{text};\n')
    with open(depfile, 'w', encoding='utf-8') as file:
        file.write(f'{output}: {" ".join(os.path.join(folder, f) for f in files)}\n')


main()
