#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What the tools say to arguments, where no device is needed: arguments.py ATTUNE ATTUNE_BENCH ATTUNE_WORKER."""
import json
import os
import subprocess
import sys
import tempfile

ATTUNE, BENCH, WORKER = sys.argv[1:]
failures = 0
CACHE = tempfile.TemporaryDirectory()
ENV = {**os.environ, 'ATTUNE_WORKER': WORKER, 'ATTUNE_CACHE_DIR': CACHE.name}


def check(program, arguments, code, *texts, **env):
    """Runs it; every text must be in what it prints, and errors must go to stderr alone."""
    global failures
    run = subprocess.run([program, *arguments], capture_output=True, text=True, timeout=60, stdin=subprocess.DEVNULL,
                         env={**ENV, **env})
    said = run.stdout + run.stderr
    wrong = [text for text in texts if text not in said]
    if run.returncode != code or wrong or (code == 0) != (run.stderr == ''):
        failures += 1
        print(f'{program} {" ".join(a[:80] for a in arguments)}: exit {run.returncode}, expected {code}; lacks {wrong}:\n{said}')
    return run.stdout


COMMANDS = ['devices', 'probe', 'tune', 'warm', 'layout', 'search', 'cache', 'version', 'help']

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

check(ATTUNE, ['tune'], 2, 'give --workload, --suite or --grid')
check(ATTUNE, ['warm'], 2, 'give --workload, --suite or --grid')
check(ATTUNE, ['warm', '--workload', 'E1', '--workers', '65'], 2, '--workers is "65"', 'integer from 0 to 64')
check(ATTUNE, ['warm', '--workload', 'E1', '--slots', '9'], 2, '--slots needs --grid')
GRID = 'decode:hq=32,hkv=8,d=128,page=16,batch=1..64,kvlen=512..'
check(ATTUNE, ['tune', '--grid', GRID + '32768', '--dry-run'], 0, 'over all 49 workloads', 'batch=48,kvlen=24576,new=1')
check(ATTUNE, ['tune', '--grid', GRID + '32768', '--slots', '131072', '--dry-run'], 0, 'over all 39 workloads')
check(ATTUNE, ['tune', '--grid', GRID + '2000', '--grid', 'D2:batch=3', '--workload', 'E1', '--dry-run'], 0,
      'over all 16 workloads', 'E1: extend', 'D2:batch=3')
check(ATTUNE, ['tune', '--grid', GRID + '1000000', '--dry-run'], 2, '77 workloads; at most 64 are tuned at once')
check(ATTUNE, ['tune', '--grid', GRID + '5', '--dry-run'], 2, f'grid "{GRID}5"', 'kvlen=512..5 is no range')
check(ATTUNE, ['tune', '--workload', 'E1', '--slots', '9', '--dry-run'], 2, '--slots needs --grid')
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

check(ATTUNE, ['cache'], 2, 'list, show, explain or rm')
check(ATTUNE, ['cache', 'lst'], 2, 'did you mean "cache list"?')
check(ATTUNE, ['cache', 'list', 'all'], 2, 'unexpected argument "all"')
check(ATTUNE, ['cache', 'show'], 2, 'needs one KEY')
check(ATTUNE, ['cache', 'rm'], 2, 'needs KEY, --workload or --all, one of them')
check(ATTUNE, ['cache', 'rm', 'abcd', '--all'], 2, 'one of them')
check(ATTUNE, ['cache', 'rm', 'xyz'], 2, 'must be 4 to 32 hex digits')
check(ATTUNE, ['cache', 'rm', 'abcd'], 1, "no entry of the user's cache has the key abcd")
check(ATTUNE, ['cache', 'rm', '--all'], 0, '0 entries forgotten')
check(ATTUNE, ['cache', 'list', '--all'], 2, '--all goes only with cache rm')
check(ATTUNE, ['cache', 'explain'], 2, 'nothing to explain: give --workload\n')

check(BENCH, ['--help'], 0, 'usage: attune-bench', 'Exit codes:')
check(BENCH, [], 2, 'give --workload or --suite')
check(BENCH, ['--rounds', '0', '--workload', 'E1'], 2, '--rounds is "0"')
check(BENCH, ['--startup', '--workload', 'D8'], 2, '--workload goes only with')
check(BENCH, ['--host', '--suite', 'decode'], 2, '--suite goes only with')
check(BENCH, ['E1'], 2, 'unexpected argument "E1"')
check(BENCH, ['--list'], 0, 'E8', 'D1', 'P1:q=bf16,kv=bf16,prec=fast')
check(BENCH, ['--host', '--backend', 'no-such-backend'], 2, 'no-such-backend')
check(BENCH, ['--workload', 'E7'], 0, 'E7', 'unsupported: not supported in this version: tree mask')

# Every option of every command: its kind, and a command line that is right but for it. Modes: what it does not go with.
TUNE = ['tune', '--workload', 'E1', '--dry-run']
LAYOUT = ['layout', '--workload', 'D1']
SPACE = ['search', '--space', '/no/such/space']
EXPLAIN = ['cache', 'explain', '--workload', 'D1']
WHOLE, REAL, NAME, FLAG = 'whole', 'real', 'name', 'flag'
OPTIONS = [
    (ATTUNE, ['devices'], {'json': FLAG}),
    (ATTUNE, ['probe'], {'backend': NAME, 'device': NAME, 'cache-dir': NAME, 'json': FLAG}),
    (ATTUNE, TUNE, {'backend': NAME, 'device': NAME, 'budget-tests': WHOLE, 'budget-seconds': REAL, 'strategy': NAME,
                    'seed': WHOLE, 'journal': NAME, 'family': NAME, 'record': NAME, 'cache-dir': NAME, 'retune': FLAG,
                    'exhaustive': FLAG, 'no-compare': FLAG, 'json': FLAG, 'quiet': FLAG, 'dry-run': FLAG}),
    (ATTUNE, LAYOUT, {'weights': NAME, 'pages': NAME, 'slots': WHOLE, 'backend': NAME, 'device': NAME, 'rounds': WHOLE,
                      'max-seconds': REAL, 'seed': WHOLE, 'cache-dir': NAME, 'again': FLAG, 'json': FLAG}),
    (ATTUNE, SPACE, {'strategy': NAME, 'budget-tests': WHOLE, 'repeat': WHOLE, 'seed': WHOLE, 'num-seeds': WHOLE,
                     'plot': NAME, 'noise': FLAG, 'json': FLAG, 'list': FLAG, 'compare': FLAG}),
    (ATTUNE, EXPLAIN, {'backend': NAME, 'device': NAME, 'cache-dir': NAME, 'json': FLAG}),
    (BENCH, ['--workload', 'E7'], {'backend': NAME, 'device': NAME, 'cache-dir': NAME, 'config': NAME, 'rounds': WHOLE,
                                   'seed': WHOLE, 'host': FLAG, 'json': FLAG, 'list': FLAG, 'startup': FLAG,
                                   'search': FLAG, 'page-size': WHOLE, 'max-configs': WHOLE, 'strategy': NAME,
                                   'tests': WHOLE}),
]
NO_NUMBERS = ['many', '-1', '99999999999999999999', 'nan', 'inf', '-inf', '0x10', ' 1', '1 ', '1s', '--1', '1e400', '1,5']
for program, right, options in OPTIONS:
    for option, kind in options.items():
        name = f'--{option}'
        if kind is FLAG:
            check(program, [*right, f'{name}=1'], 2, f'{name} takes no value')
            continue
        check(program, [*right, name], 2, f'{name} needs a value')
        check(program, [*right, name, ''], 2, f'{name} is empty')
        check(program, [*right, f'{name}='], 2, f'{name} is empty')
        value = '4' if option == 'max-configs' else '20'
        check(program, [*right, name, value, name, value], 2, f'{name} is given twice')
        for wrong in (NO_NUMBERS + (['1.5', '1e1'] if kind is WHOLE else []) if kind is not NAME else []):
            check(program, [*right, f'{name}={wrong}'], 2, f'{name} is "{wrong}"; it must be a')
for arguments in (['tune', '--workload', ''], ['tune', '--suite', ''], ['layout', '--workload', '']):
    check(ATTUNE, arguments, 2, f'{arguments[1]} is empty')
check(ATTUNE, ['tune', '--workload', 'x' * 5000], 2, 'longer than 4096')

# A dry run refuses what the run would, and in the command's words; nothing is opened.
for arguments, says in ((['--backend', 'opencl'], '--backend is "opencl"; it must be zw-m890, gpu or cpu'),
                        (['--device', 'x' * 300], '--device has 300 characters'),
                        (['--family', 'simt'], '--family: "simt" is not a kernel family'),
                        (['--family', 'simt_tile:BLOCK_Q=3'], '--family: "3" is not a value of BLOCK_Q'),
                        (['--family', 'simt_tile:'], '--family: "" is not NAME=VALUE'),
                        (['--record', 'space.json'], '--record needs --exhaustive'),
                        (['--record', 'space.json', '--exhaustive', '--workload', 'E2'], '--record takes one workload'),
                        (['--workload=D1'] * 64, '65 workloads; at most 64')):
    for way in ([], ['--json'], ['--no-compare']):
        check(ATTUNE, [*TUNE, *arguments, *way], 2, says)
check(ATTUNE, TUNE, 2, 'ATTUNE_BACKEND is "opencl"; it must be', ATTUNE_BACKEND='opencl')
for limits in ('loca=1', 'local', 'local=', 'local=0', 'local=-1', 'local=0x10', 'local=1k', 'work_group=64,private=nan', '9' * 600):
    check(ATTUNE, TUNE, 2, 'ATTUNE_ZW_M890_LIMITS has', ATTUNE_ZW_M890_LIMITS=limits)
check(ATTUNE, TUNE, 0, ATTUNE_ZW_M890_LIMITS='local=65536,work_group=256')
check(ATTUNE, [*TUNE, '--backend', 'cpu'], 0, ATTUNE_ZW_M890_LIMITS='loca=1')
check(ATTUNE, TUNE, 7, 'no/worker" cannot be started: No such file', ATTUNE_WORKER='/no/worker')
check(ATTUNE, ['tune', '--suite', 'decode', '--suite', 'prefill', '--dry-run'], 0, 'D1: ', 'P1: ')

# Modes: each option goes with those in which it means something.
check(BENCH, ['--list', '--suite', 'bogus'], 2, 'unknown suite "bogus"')
listed = check(BENCH, ['--list', '--suite', 'decode', '--suite', 'prefill'], 0, 'D1', 'P1')
if 'E1' in listed:
    check(BENCH, ['--list', '--suite', 'decode'], 0, 'no extends')
for modes in (['--list', '--host'], ['--startup', '--search'], ['--list', '--startup', '--json']):
    check(BENCH, modes, 2, 'give only one of --list, --host, --startup and --search')
for arguments, says in ((['--list', '--rounds', '5'], '--rounds goes only with --workload and --suite'),
                        (['--list', '--workload', 'E1'], '--workload goes only with --workload and --suite'),
                        (['--list', '--backend', 'cpu'], '--backend goes only with'),
                        (['--host', '--seed', '5'], '--seed goes only with --workload and --suite or --search'),
                        (['--startup', '--config', 'plain_row'], '--config goes only with'),
                        (['--search', '--suite', 'decode'], '--suite goes only with'),
                        (['--search', '--device', '0:0'], '--device goes only with'),
                        (['--workload', 'E1', '--tests', '50'], '--tests goes only with --search'),
                        (['--workload', 'E1', '--page-size', '4'], '--page-size goes only with --startup'),
                        (['--startup', '--page-size', '3'], '--page-size is "3"; it must be a power of two'),
                        (['--search', '--strategy', 'luck'], 'unknown strategy "luck"; strategies: default')):
    check(BENCH, arguments, 2, says)
for arguments, says in ((['search', '--list', '--seed', '1'], '--seed goes only with --space'),
                        (['search', '--compare', 'x', '--json'], '--json goes only with --space or --list'),
                        (['search', '--compare', 'x', '--strategy', 'random'], '--strategy goes only with --space'),
                        (['search', '--space', 'x', '--plot', 'y'], '--plot goes only with --compare'),
                        (['search', '--space', 'x', '--num-seeds', '3'], '--num-seeds needs --seeds-from'),
                        (['cache', 'list', '--workload', 'E1'], '--workload goes only with cache explain'),
                        (['cache', 'list', '--backend', 'cpu'], '--backend goes only with cache explain'),
                        (['cache', 'show', 'abcd', '--device', 'x'], '--device goes only with cache explain'),
                        (['cache', 'explain', 'more'], 'unexpected argument "more"'),
                        (['help', 'tune', 'more'], 'help takes one command')):
    check(ATTUNE, arguments, 2, says)
for value in ('nan', 'inf', '0x10', ' 1', '1e999', ''):
    check(ATTUNE, ['search', '--space', 'x', '--option', f'a={value}'], 2, f'--option is "a={value}"')
    check(ATTUNE, [*LAYOUT, '--weights', f'{value or "1/"}'], 2, '--weights is "')

# With --json an error ends the stream, wherever --json stands.
for program, arguments in ((ATTUNE, ['tune', '--wrokload', 'E1', '--json']), (ATTUNE, ['tune', '--json']),
                           (ATTUNE, ['tune', '--json', '--workload', 'E1', '--strategy', 'luck']),
                           (ATTUNE, [*TUNE, '--json', '--family', 'simt']), (ATTUNE, [*LAYOUT, '--json', '--pages', '0']),
                           (ATTUNE, ['cache', 'lst', '--json']), (ATTUNE, ['devices', '--json', 'x']),
                           (ATTUNE, ['search', '--list', '--json', '--seed=x']), (BENCH, ['--json']),
                           (BENCH, ['--json', '--list', '--suite', 'bogus'])):
    end = [json.loads(line) for line in check(program, arguments, 2).splitlines()]
    if [(e['event'], e['exit_code'], e['status']) for e in end] != [('end', 2, 'usage')] or not end[0]['error']:
        failures += 1
        print('end of', arguments, end)


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
