#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Embeds one file as a C string. Usage: embed_text.py NAME INPUT OUTPUT.c"""
import sys


def main():
    name, source, output = sys.argv[1:]
    with open(source, encoding='utf-8') as file:
        lines = file.read().splitlines()
    escaped = (line.replace('\\', '\\\\').replace('"', '\\"').replace('?', '\\?') for line in lines)
    text = '\n'.join(f'    "{line}\\n"' for line in escaped)
    with open(output, 'w', encoding='utf-8') as file:
        file.write(f'extern const char {name}[];\nconst char {name}[] =\n{text};\n')


main()
