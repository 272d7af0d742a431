#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What the tools say to arguments, where no device is needed: arguments.py ATTUNE ATTUNE_BENCH."""
import json
import subprocess
import sys

ATTUNE, BENCH = sys.argv[1:]
failures = 0


def check(program, arguments, code, *texts):
    """Runs it; every text must be in what it prints, and errors must go to stderr alone."""
    global failures
    run = subprocess.run([program, *arguments], capture_output=True, text=True, timeout=60, stdin=subprocess.DEVNULL)
    said = run.stdout + run.stderr
    wrong = [text for text in texts if text not in said]
    if run.returncode != code or wrong or (code == 0) != (run.stderr == ''):
        failures += 1
        print(f'{program} {" ".join(arguments)}: exit {run.returncode}, expected {code}; lacks {wrong}:\n{said}')
    return run.stdout


COMMANDS = ['devices', 'probe', 'tune', 'layout', 'search', 'cache', 'version', 'help']

check(ATTUNE, [], 2, 'usage: attune COMMAND')
check(ATTUNE, ['help'], 0, 'Exit codes:', *COMMANDS)
check(ATTUNE, ['--help'], 0, 'usage: attune COMMAND')
check(ATTUNE, ['version'], 0, 'attune 0.')
check(ATTUNE, ['--version'], 0, 'attune 0.')
for command in COMMANDS:
    check(ATTUNE, ['help', command], 0, f'usage: attune {command}')
    check(ATTUNE, [command, '--help'], 0, f'usage: attune {command}')
check(ATTUNE, ['tnue'], 2, 'unknown command "tnue"', 'did you mean "tune"?')
check(ATTUNE, ['xyzzyxyzzy'], 2, 'unknown command', 'attune help')
check(ATTUNE, ['help', 'prob'], 2, 'did you mean "probe"?')
check(ATTUNE, ['version', 'now'], 2, 'unexpected argument "now"')

check(ATTUNE, ['tune'], 2, 'give --workload or --suite')
check(ATTUNE, ['tune', '--wrokload', 'E1'], 2, 'unknown option --wrokload', 'did you mean --workload?')
check(ATTUNE, ['tune', '-q'], 2, 'unknown option -q')
check(ATTUNE, ['tune', '--workload'], 2, '--workload needs a value')
check(ATTUNE, ['tune', '--json=1'], 2, '--json takes no value')
check(ATTUNE, ['tune', '--workload', 'E1', '--budget-tests', 'many'], 2, '--budget-tests is "many"', 'integer from 0 to')
check(ATTUNE, ['tune', '--workload', 'E1', '--budget-tests=-1'], 2, '--budget-tests is "-1"')
check(ATTUNE, ['tune', '--workload', 'E1', '--budget-tests=99999999999999999999'], 2, '--budget-tests is')
check(ATTUNE, ['tune', '--workload', 'E1', '--budget-seconds=nan'], 2, '--budget-seconds is "nan"')
check(ATTUNE, ['tune', '--workload', 'E1', '--budget-seconds=1s'], 2, '--budget-seconds is "1s"')
check(ATTUNE, ['tune', '--workload', 'E1', '--strategy', 'luck'], 2, 'unknown strategy "luck"', 'default')
check(ATTUNE, ['tune', '--suite', 'extent'], 2, 'unknown suite "extent"', 'extend')
check(ATTUNE, ['tune', '--workload', 'E99'], 2, 'unknown workload "E99"')
check(ATTUNE, ['tune', '--workload', 'E1:new=-5'], 2, 'E1:new=-5', 'new is -5; it must be 0 to')
check(ATTUNE, ['tune', '--workload', 'extend:hq=3,hkv=2,d=8,new=1'], 2, 'num_q_heads is 3', 'num_kv_heads (2)')
check(ATTUNE, ['tune', '--workload', 'E7'], 2, 'not supported in this version: tree mask')
check(ATTUNE, ['tune', '--workload', 'E1', '--dry-run'], 0, 'extend:hq=32', 'at most 432 configurations', 'not limited')
check(ATTUNE, ['tune', '--workload=E1', '--dry-run', '--budget-tests=0', '--budget-seconds', '2.5'], 0,
      'every valid configuration', 'at most 2.5 s')

check(ATTUNE, ['layout'], 2, 'give --workload\n')
check(ATTUNE, ['layout', '--workload', 'D1', '--weights', '1/x'], 2, '--weights is "1/x"')
check(ATTUNE, ['layout', '--workload', 'D1', '--weights', '1/2'], 2, '--weights has 2 numbers', '1 workload')
check(ATTUNE, ['layout', '--workload', 'D1', '--pages', '16/'], 2, '--pages is "16/"')
check(ATTUNE, ['layout', '--workload', 'D1', '--pages', '1/2/3/4/5'], 2, 'at most 4')
check(ATTUNE, ['layout', '--workload', 'D1', '--rounds', '0'], 2, '--rounds is "0"')
check(ATTUNE, ['layout', '--workload', 'D99'], 2, 'unknown workload "D99"')

check(ATTUNE, ['cache'], 2, 'list, show or explain')
check(ATTUNE, ['cache', 'lst'], 2, 'did you mean "cache list"?')
check(ATTUNE, ['cache', 'list', 'all'], 2, 'unexpected argument "all"')
check(ATTUNE, ['cache', 'show'], 2, 'needs one KEY')
check(ATTUNE, ['cache', 'explain'], 2, 'nothing to explain: give --workload\n')

check(BENCH, ['--help'], 0, 'usage: attune-bench', 'Exit codes:')
check(BENCH, [], 2, 'give --workload or --suite')
check(BENCH, ['--rounds', '0', '--workload', 'E1'], 2, '--rounds is "0"')
check(BENCH, ['--startup', '--workload', 'D8'], 2, '--startup has its own workload')
check(BENCH, ['--host', '--suite', 'decode'], 2, '--host has its own workload')
check(BENCH, ['E1'], 2, 'unexpected argument "E1"')
check(BENCH, ['--list'], 0, 'E8', 'D1', 'P1:q=bf16,kv=bf16,prec=fast')
check(BENCH, ['--host', '--backend', 'no-such-backend'], 2, 'no-such-backend')
check(BENCH, ['--workload', 'E7'], 0, 'E7', 'unsupported: not supported in this version: tree mask')

rows = [json.loads(line) for line in check(BENCH, ['--workload', 'E7', '--workload', 'E8', '--json'], 0).splitlines()]
if [row['workload'] for row in rows] != ['E7', 'E8'] or set(rows[0]) != {'workload', 'unsupported'}:
    failures += 1
    print('unsupported rows as JSON:', rows)
planned = [json.loads(line) for line in check(ATTUNE, ['tune', '--workload', 'P1', '--dry-run', '--json'], 0).splitlines()]
if [row['event'] for row in planned] != ['planned', 'budget'] or abs(planned[0]['flops'] / (4 * 8 * 1024 * 1024 * 128) - 1) > 1e-6:
    failures += 1
    print('dry run as JSON:', planned)
listed = [json.loads(line) for line in check(BENCH, ['--list', '--json'], 0).splitlines()]
if len(listed) < 31 or any(row['suite'] not in ('extend', 'decode', 'prefill') for row in listed):
    failures += 1
    print('--list --json:', listed)

sys.exit(1 if failures else 0)
