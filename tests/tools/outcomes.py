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
TUNE = [ATTUNE, 'tune', '--backend', 'gpu', '--workload', PROBLEM, '--budget-tests', '3', '--no-compare']
GPU = {'devices': [{'name': 'Fake GPU'}]}
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
    for shell in ('>&-', '<&- >&-', '<&- >&- 2>&-'):
        journal = folder / 'j.jsonl'
        check(run(folder, [*TUNE, '--retune', '--journal', str(journal)], shell=shell), 4)
        if (folder / 'j.jsonl.lock').stat().st_size or not journal.read_bytes()[:1].isdigit():
            fail(shell, 'is written into a file:', (folder / 'j.jsonl.lock').read_bytes()[:200], journal.read_bytes()[:200])
        for path in (folder / 'cache').rglob('*'):
            if path.is_file() and b'Fake GPU: ' in path.read_bytes():
                fail(shell, 'is written into', path)
        journal.unlink()
        check(run(folder, [BENCH, '--backend', 'gpu', '--workload', PROBLEM, '--rounds', '1'], shell=shell), 0)


for test in (closed_descriptors,):
    with tempfile.TemporaryDirectory() as name:
        test(Path(name))
sys.exit(1 if failures else 0)
