#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What the tools say of what they did and could not do, and with which exit code, on the scripted driver:
outcomes.py ATTUNE ATTUNE_BENCH ATTUNE_WORKER ICD_FOLDER."""
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

ATTUNE, BENCH, WORKER, ICD = sys.argv[1:]
PROBLEM = 'prefill:hq=2,hkv=1,d=16,new=8'
BARE = [ATTUNE, 'tune', '--backend', 'gpu', '--workload', PROBLEM, '--no-compare']
TUNE = [*BARE, '--budget-tests', '3']
GPU = {'devices': [{'name': 'Fake GPU'}]}
# Runs a command, and asks it to stop after its first test.
INTERRUPT = '''
import signal, subprocess, sys
with subprocess.Popen(sys.argv[1:], stdout=subprocess.PIPE, text=True) as command:
    for line in command.stdout:
        print(line, end='', flush=True)
        if '"phase":"search"' in line and '"tests":1,' in line:
            command.send_signal(signal.SIGINT)
sys.exit(command.returncode)
'''
failures = 0


def fail(*what):
    global failures
    failures += 1
    print(*what)


def run(folder, command, script=GPU, shell='', **env):
    """Runs it with a clock and folders of its own, by a shell with redirections where those are given."""
    clock = folder / 'clock'
    clock.write_bytes(bytes(8))
    whole = {**os.environ, 'ATTUNE_WORKER': WORKER, 'OCL_ICD_VENDORS': ICD, 'ATTUNE_TEST_CLOCK': str(clock),
             'ATTUNE_FAKE_ICD': json.dumps(script), 'ATTUNE_CACHE_DIR': str(folder / 'cache'), **env}
    whole = {name: value for name, value in whole.items() if value is not None}
    if shell:
        command = ['sh', '-c', f'exec "$@" {shell}', 'sh', *command]
    return subprocess.run(command, env=whole, capture_output=True, text=True, timeout=120, stdin=subprocess.DEVNULL)


def check(done, code, *says, lacks=()):
    said = done.stdout + done.stderr
    wrong = [text for text in says if text not in said] + [f'not {text}' for text in lacks if text in said]
    if done.returncode != code or wrong:
        fail(' '.join(done.args)[:300], f': exit {done.returncode}, expected {code}; lacks {wrong}:\n{said[-3000:]}')
    return done


def events(done, event=None):
    found = [json.loads(line) for line in done.stdout.splitlines()]
    return [e for e in found if e.get('event') == event] if event else found


def closed_descriptors(folder):
    """No file of ours may get the number of a standard stream: what is printed would be written into it."""
    for shell in ('>&-', '<&- >&- 2>&-'):
        journal = folder / 'j.jsonl'
        check(run(folder, [*TUNE, '--retune', '--journal', str(journal)], shell=shell), 4)
        lock = folder / 'j.jsonl.lock'  # goes when the journal is closed
        if (lock.exists() and lock.stat().st_size) or not journal.read_bytes()[:1].isdigit():
            fail(shell, 'is written into a file:', journal.read_bytes()[:200])
        for path in (folder / 'cache').rglob('*'):
            if path.is_file() and b'Fake GPU: ' in path.read_bytes():
                fail(shell, 'is written into', path)
        journal.unlink()
        check(run(folder, [ATTUNE, 'help'], shell=shell), 0)
        check(run(folder, [BENCH, '--backend', 'gpu', '--workload', PROBLEM, '--rounds', '1'], shell=shell), 0)


def full_output(folder):
    for command in ([ATTUNE, 'help'], [ATTUNE, 'search', '--list', '--json'], [BENCH, '--help'], [BENCH, '--list']):
        check(run(folder, command, shell='>/dev/full'), 8, 'cannot write to standard output')


def storage(folder):
    """What cannot be kept is said at the start, and is the end's name where storage fails under way."""
    unset = {'HOME': None, 'XDG_CACHE_HOME': None, 'ATTUNE_CACHE_DIR': None}
    says = 'none of ATTUNE_CACHE_DIR, XDG_CACHE_HOME and HOME is set'
    layout = [ATTUNE, 'layout', '--backend', 'gpu', '--workload', 'decode:hq=2,hkv=1,d=16,page=16,kvlen=64', '--rounds', '3']
    for command in (TUNE, [*TUNE, '--dry-run'], [ATTUNE, 'probe', '--backend', 'gpu'], layout):
        check(run(folder, command, **unset), 8, says, '--no-cache goes without it', lacks=('test 1', 'x the time', 'GFLOP'))
        done = run(folder, [*command, '--json'], **unset)
        if [(e['exit_code'], e['status'], says in e['error']) for e in events(done)] != [(8, 'storage', True)]:
            fail('no folder:', done.stdout, done.stderr)
    check(run(folder, [ATTUNE, 'cache', 'list'], **unset), 8, says)
    check(run(folder, [*TUNE, '--no-cache'], **unset), 4, 'budget spent', lacks=('warning', 'journal', 'written'))
    check(run(folder, [ATTUNE, 'probe', '--backend', 'gpu', '--no-cache'], **unset), 0, lacks=('warning',))
    check(run(folder, [*TUNE, '--no-cache', '--cache-dir', 'x']), 2, 'give only one of --cache-dir and --no-cache')
    (folder / 'file').write_text('')
    check(run(folder, TUNE, ATTUNE_CACHE_DIR=str(folder / 'file')), 8, 'Not a directory', lacks=('test 1',))
    check(run(folder, [*TUNE, '--journal', str(folder / 'file' / 'j')]), 8, '--journal is "', lacks=('test 1',))
    check(run(folder, [*TUNE, '--journal', str(folder / 'file')]), 8, 'is there already', lacks=('test 1', 'answered'))
    check(run(folder, [*TUNE, '--exhaustive', '--record', str(folder / 'file' / 'r')]), 8, '--record is "', lacks=('test 1',))


def ends(folder):
    """Every exit code, and what an "end" event says of it."""
    lost = {**GPU, 'faults': [{'call': 'clCreateContext', 'nth': 1, 'times': 0, 'error': -2}]}
    slower = [*BARE, '--retune', '--family', 'plain_row', '--budget-tests', '0']
    for code, status, end, command, script, env in (
            (4, 'budget', 'budget spent', TUNE, GPU, {}),
            (0, 'done', 'answered by the cache', TUNE, GPU, {}),
            (3, 'no_improvement', 'no improvement', slower, GPU, {}),
            (2, 'usage', None, [*TUNE, '--backend', 'gpu'], GPU, {}),
            (6, 'no_device', None, TUNE, {'devices': []}, {}),
            (6, 'no_device', None, [*TUNE, '--device', 'no such'], GPU, {}),
            (7, 'worker', None, TUNE, GPU, {'ATTUNE_WORKER': '/no/such/worker'}),
            (9, 'device_lost', None, TUNE, lost, {})):
        done = run(folder, [*command, '--json', '--quiet'], script, **env)
        last = events(done)[-1] if done.stdout else {}
        if (done.returncode, last.get('event'), last.get('exit_code'), last.get('status'), last.get('end')) != (
                code, 'end', code, status, end) or (code not in (0, 3, 4)) != bool(last.get('error')):
            fail('expected', code, status, end, ': exit', done.returncode, done.stdout[-600:], done.stderr[-600:])
    # 5: a signal after the first test; what was found is kept, and the next run is a hit on it.
    with_clock = [*BARE, '--retune', '--json', '--budget-tests', '400', '--journal', str(folder / 'interrupted.jsonl')]
    stopped = run(folder, [sys.executable, '-c', INTERRUPT, *with_clock])
    last = events(stopped)[-1]
    if (stopped.returncode, last['end'], last['status'], last['interrupted']) != (5, 'interrupted', 'interrupted', True):
        fail('interrupted:', stopped.returncode, last, stopped.stderr)
    readme = (Path(__file__).parents[2] / 'README.md').read_text()
    overview = run(folder, [ATTUNE, 'help']).stdout
    for code in range(11):
        if f'\n| {code} | ' not in readme or f'{code} ' not in overview.split('Exit codes:')[1]:
            fail('exit code', code, 'is not in the README or in attune help')


def other_ends(folder):
    """What ended as success, or spoke of the API's arguments."""
    none = {**GPU, 'faults': [{'match': 'probe_fma', 'what': 'error', 'error': -5}]}
    check(run(folder, [ATTUNE, 'probe', '--backend', 'gpu'], none), 1, 'could not be measured, and nothing is kept', 'CL_OUT_OF_RESOURCES')
    layout = [ATTUNE, 'layout', '--backend', 'gpu', '--workload', 'decode:hq=2,hkv=1,d=16,page=16,kvlen=64', '--workload']
    check(run(folder, [*layout, 'decode:hq=2,hkv=1,d=16,page=4,kvlen=64']), 2, 'workload 2 has page=4, workload 1 page=16; give --pages')
    check(run(folder, [*layout, PROBLEM]), 2, 'workload 2 (prefill:', 'reads no KV cache')
    check(run(folder, [*layout, 'decode:hq=2,hkv=1,d=16,page=16,kvlen=99', '--slots', '33']), 2, '--slots is 33; it must be a multiple')
    check(run(folder, TUNE), 4)
    entry, = (folder / 'cache' / 'entries').glob('*.json')
    check(run(folder, [ATTUNE, 'cache', 'list']), 0, 'hardly searched: CACHED_ONLY does not take it, 3 tests')
    check(run(folder, [ATTUNE, 'cache', 'list', '--json']), 0, '"tests":3,"exhausted":false,"tuned":false')
    # A time budget holds the comparison too: what is left for it is too little to start a worker.
    hurried = [word for word in TUNE if word != '--no-compare'] + ['--retune', '--budget-seconds', '0.01']
    check(run(folder, hurried), 4, 'budget spent')
    entry.chmod(0o666)
    for command, code in (([ATTUNE, 'cache', 'show', entry.stem], 2), ([ATTUNE, 'cache', 'list'], 0),
                          ([ATTUNE, 'cache', 'explain', '--backend', 'gpu', '--workload', PROBLEM], 0)):
        done = run(folder, command)
        if done.returncode == 0 and command[2] == 'show' or 'which lets others write to it' not in done.stdout + done.stderr:
            fail(command, done.returncode, done.stdout, done.stderr)


def failures_have_words(folder):
    """What failed or was never measured has no error of 0 and no time, but an outcome and a reason."""
    bench = [BENCH, '--backend', 'gpu', '--workload', PROBLEM, '--rounds', '1']
    for what, outcome, reason in (
            ({'what': 'build_failure', 'log': 'note: a\nx.cl:3: error: planted here\n'}, 'build_failed', 'x.cl:3: error: planted here'),
            ({'what': 'crash'}, 'crashed', 'signal 11'),
            ({'what': 'wrong', 'amount': 0.5}, 'wrong', 'over its bound')):
        script = {**GPU, 'faults': [{'match': 'attention', 'times': 0, **what}]}
        if outcome == 'build_failed':
            script['faults'][0] = {'match': 'BLOCK_Q=32', **what}
        done = check(run(folder, [*bench, '--json'], script), 1)
        row, end = events(done)
        if (row['outcome'], row['ok'], row['time_ms'], row['roofline_share']) != (outcome, False, None, None) or reason not in row['reason']:
            fail('row of', what, row)
        if row['max_abs_err'] == 0 or (end['exit_code'], end['status']) != (1, 'error') or reason not in end['error']:
            fail('row and end of', what, row, end)
        check(run(folder, bench, script), 1, outcome, reason, lacks=('error 0 ', '-D'))
        # A search over that configuration alone: nothing is confirmed.
        only = [*BARE, '--budget-tests', '1', '--retune', '--no-cache', '--json']
        done = run(folder, only, script)
        test, = [e for e in events(done, 'test') if e['phase'] == 'search'][:1]
        result, = events(done, 'result')
        if test['outcome'] != outcome or reason not in test['reason'] or result['time_ms'] is not None:
            fail('test and result of', what, test, result)
        if result['max_abs_err'] is not None or reason not in result['reason']:
            fail('result of', what, result)
        check(run(folder, only[:-1], script), 4, reason, 'entry', 'none: nothing was confirmed',
              lacks=('    error ', 'x as fast', 'written'))
    good, = events(check(run(folder, [*bench, '--json']), 0))
    if (good['outcome'], good['ok'], good['reason'], good['disturbed']) != ('ok', True, None, False) or not good['max_abs_err']:
        fail('a good row:', good)


def shares(folder):
    """Of a busy moment: peaks far below those that the probe saw."""
    device = {'name': 'Fake GPU', 'time': {'default_ns': 20000000}}
    calm, busy = ({'devices': [{**device, 'time': {**device['time'], 'rates': [
        {'match': 'probe_fma', 'per_second': fma}, {'match': 'probe_read', 'per_second': 1e12}]}}]} for fma in (1e9, 1e8))
    problem = 'prefill:hq=2,hkv=1,d=64,new=256'
    bench = [BENCH, '--backend', 'gpu', '--workload', problem, '--rounds', '3']
    tune = [ATTUNE, 'tune', '--backend', 'gpu', '--workload', problem, '--no-compare', '--budget-tests', '1']
    check(run(folder, [ATTUNE, 'probe', '--backend', 'gpu'], calm), 0)
    row, = events(check(run(folder, [*bench, '--json'], calm), 0))
    if row['disturbed'] or not 0.5 < row['roofline_share'] < 1.1:
        fail('calm:', row)
    row, = events(check(run(folder, [*bench, '--json'], busy), 0))
    if not row['disturbed'] or row['roofline_share'] is not None or not row['time_ms']:
        fail('busy:', row)
    check(run(folder, bench, busy), 0, 'disturbed: over what the device can do; measure again', lacks=('%',))
    result, = events(run(folder, [*tune, '--json'], busy), 'result')
    if not result['disturbed'] or result['roofline_share'] is not None or not result['time_ms']:
        fail('busy result:', result)
    check(run(folder, [*tune, '--retune'], busy), 4, 'disturbed: over what the device can do; measure again', lacks=('% of the',))


for test in (closed_descriptors, full_output, storage, ends, other_ends, failures_have_words, shares):
    with tempfile.TemporaryDirectory() as name:
        test(Path(name))
sys.exit(1 if failures else 0)
