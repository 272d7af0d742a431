#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Writes the workload files given as a C table: embed.py OUTPUT SUITE.txt..."""
import json
import pathlib
import sys

output, *suites = map(pathlib.Path, sys.argv[1:])
rows = []
for suite in suites:
    for line in suite.read_text().splitlines():
        if line.strip() and not line.startswith('#'):
            name, _, problem = line.strip().partition(' ')
            text = json.dumps(problem.strip()) if problem else 'NULL'
            rows.append(f'    {{{json.dumps(suite.stem)}, {json.dumps(name)}, {text}}},\n')
output.write_text('#include "suite_rows.h"\n\nconst struct suite_row suite_rows[] = {\n' + ''.join(rows) +
                  '};\nconst size_t num_suite_rows = sizeof suite_rows / sizeof suite_rows[0];\n')
