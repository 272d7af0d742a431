#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""attune search on a small made-up space: search.py ATTUNE."""
import gzip
import itertools
import json
import math
import subprocess
import sys
import tempfile
import xml.etree.ElementTree
from pathlib import Path

ATTUNE = sys.argv[1]
failures = 0


def fail(*what):
    global failures
    failures += 1
    print(*what)


def run(*arguments, code=0, says=()):
    done = subprocess.run([ATTUNE, 'search', *map(str, arguments)], capture_output=True, text=True, timeout=120,
                          stdin=subprocess.DEVNULL)
    wrong = [text for text in says if text not in done.stdout + done.stderr]
    if done.returncode != code or wrong or (code == 0) != (done.stderr == ''):
        fail('search', *arguments, f'exit {done.returncode}, expected {code}; lacks {wrong}:\n{done.stdout}{done.stderr}')
    return done.stdout


def lines(*arguments):
    return [json.loads(line) for line in run(*arguments, '--json').splitlines()]


XS, YS = list(range(8)), [1, 2, 4, 8]


def make_space(path, device, best_x, noise=False, **header):
    """32 configurations of two parameters, less two that are not valid and two that fail."""
    cache = {}
    for x, y in itertools.product(XS, YS):
        if (x, y) in ((0, 1), (7, 8)):
            continue
        record = {'x': x, 'y': y}
        if x == 6 and y < 4:
            record['time'] = 'RuntimeFailedConfig' if y == 1 else 'CompilationFailedConfig'
        else:
            time = 2 + abs(x - best_x) + 0.5 * abs(math.log2(y) - 1)
            record['time'] = time
            record['times'] = [time * (1.5 if noise else 1), time, time * (0.5 if noise else 1)]
        cache[f'{x},{y}'] = record
    text = json.dumps({'device_name': device, 'kernel_name': 'k', 'problem_size': [1], 'tune_params_keys': ['x', 'y'],
                       'tune_params': {'x': XS, 'y': YS}, 'objective': 'time', **header, 'cache': cache})
    path.write_bytes(gzip.compress(text.encode()) if path.suffix == '.gz' else text.encode())
    return {key: record['time'] for key, record in cache.items()}


def score(times, best, budget):
    """By counting subsets, not by the recurrence of the program."""
    valid = sorted(t for t in times.values() if not isinstance(t, str))
    everything = sorted(t if not isinstance(t, str) else valid[-1] for t in times.values())
    n, optimum, median = len(everything), valid[0], valid[len(valid) // 2]
    terms = []
    for t in range(1, min(budget, 220, n) + 1):
        random = sum(everything[k] * math.comb(n - 1 - k, t - 1) for k in range(n - t + 1)) / math.comb(n, t)
        found = best[min(t, len(best)) - 1]
        if random > optimum * (1 + 1e-12):
            terms.append((random - (found if found else valid[-1])) / (random - optimum))
        if random <= optimum + 0.05 * (median - optimum):
            break
    return sum(terms) / len(terms)


def check_runs(folder):
    times = make_space(folder / 'one.json.gz', 'one', 3)
    optimum = min(t for t in times.values() if not isinstance(t, str))
    strategies = [line['strategy'] for line in lines('--list')]
    rows = lines('--space', folder / 'one.json.gz', '--strategy', 'all', '--budget-tests', 25, '--seed', 7, '--repeat', 3)
    if [(row['strategy'], row['seed']) for row in rows] != [(s, k) for s in strategies for k in (7, 8, 9)]:
        fail('strategies and seeds:', [(row['strategy'], row['seed']) for row in rows])
    for row in rows:
        best = row['best']
        found = [b for b in best if b is not None]
        first = next((t for t, b in enumerate(best, 1) if b is not None and b <= 1.05 * optimum), None)
        if row['space'] != 'one' or row['optimum'] != optimum or len(best) != 25 or found != sorted(found, reverse=True):
            fail('row:', row)
        if row['within5_at'] != first or abs(row['score'] - score(times, best, 25)) > 1e-6:
            fail('figures:', row, first, score(times, best, 25))
        if None in best[len(best) - len(found):]:
            fail('null behind a time:', best)
    again = lines('--space', folder / 'one.json.gz', '--budget-tests', 25, '--seed', 8)
    if again != [row for row in rows if row['strategy'] == 'default' and row['seed'] == 8]:
        fail('a seed alone gives another run')
    whole = lines('--space', folder / 'one.json.gz', '--budget-tests', 60)[0]
    if whole['best'][-1] != optimum or len(whole['best']) != 60:
        fail('a budget beyond the space:', whole)
    run('--space', folder / 'one.json.gz', '--repeat', 2, says=['k on one: 30 configurations, 2 failed; optimum 2 ms',
                                                              'default', '2 runs'])


def check_noise(folder):
    make_space(folder / 'noisy.json', 'noisy', 3, noise=True)
    make_space(folder / 'calm.json', 'noisy', 3)
    arguments = ('--budget-tests', 30, '--repeat', 4)
    without = lines('--space', folder / 'calm.json', *arguments)
    for row, same in zip(without, lines('--space', folder / 'calm.json', '--noise', *arguments)):
        if row['best'] != same['best'] or same['label'] != 'default, noise' or not same['noise']:
            fail('samples that are all the mean change the run:', same)
    noisy = lines('--space', folder / 'noisy.json', '--noise', *arguments)
    if [row['best'] for row in noisy] == [row['best'] for row in without]:
        fail('noise has no effect')
    rises = any(b > a for row in noisy for a, b in zip(row['best'], row['best'][1:]) if a is not None)
    if not rises:
        fail('the best is not what the search believes:', noisy)
    if noisy != lines('--space', folder / 'noisy.json', '--noise', *arguments):
        fail('noise is not of the seed')


def check_seeds(folder):
    make_space(folder / 'target.json', 'target', 5)
    make_space(folder / 'near.json', 'near', 5)
    make_space(folder / 'same.json', 'target', 5)
    seeded = lines('--space', folder / 'target.json', '--seeds-from', folder / 'near.json', '--num-seeds', 3)[0]
    if seeded['best'][0] != seeded['optimum'] or seeded['num_seeds'] != 3 or seeded['label'] != 'default, 3 seeds':
        fail('seeds:', seeded)
    for other, says in (('same.json', 'seeds come from other devices'), ('target.json', 'seeds come from other devices'),
                        ('none.json', 'No such file')):
        run('--space', folder / 'target.json', '--seeds-from', folder / other, code=2 if says[0] == 's' else 8, says=[says])
    make_space(folder / 'simulated.json', 'other', 5, attune={'simulated': 'pocl'})
    run('--space', folder / 'target.json', '--seeds-from', folder / 'simulated.json', code=2, says=['simulated device'])


def check_compare(folder):
    (folder / 'a.jsonl').write_text(run('--space', folder / 'one.json.gz', '--strategy', 'all', '--repeat', 4, '--json'))
    (folder / 'b.jsonl').write_text(run('--space', folder / 'noisy.json', '--repeat', 3, '--json', '--budget-tests', 60))
    out = run('--compare', folder / 'a.jsonl', folder / 'b.jsonl', '--plot', folder / 'plot.svg',
              says=['one\n', 'noisy\n', 'mean over spaces', 'plot.svg'])
    rows = [json.loads(line) for line in (folder / 'a.jsonl').read_text().splitlines()]
    default = [row for row in rows if row['strategy'] == 'default']
    mean = sum(row['score'] for row in default) / 4
    share = 100 * sum(row['within5_at'] is not None and row['within5_at'] <= 50 for row in default) / 4
    first = next(line.split() for line in out.splitlines() if line.startswith('  default'))
    if first[1] != f'{mean:.3f}' or first[2] != f'{share:.0f}%':
        fail('table:', first, mean, share)
    short = [line.split() for line in out.splitlines() if line.startswith('  default')][1]
    if short[2].endswith('%') and (short[3:5] != ['-', '-'] or short[5:] != ['3', 'runs']):
        fail('runs of 60 tests at 100 and 200:', short)
    svg = xml.etree.ElementTree.parse(folder / 'plot.svg').getroot()
    space = '{http://www.w3.org/2000/svg}'
    drawn = [line for line in svg.iter(space + 'polyline') if line.get('points')]
    strategies = len({row['strategy'] for row in rows})
    if len(list(svg.iter(space + 'g'))) != 2 or len(drawn) != strategies + 1:
        fail('panels and lines:', len(list(svg.iter(space + 'g'))), len(drawn))
    run('--compare', folder / 'a.jsonl', '--plot', folder / 'no' / 'plot.svg', code=8, says=['cannot be written'])

    good = {'space': '<&">', 'strategy': 'S', 'seed': 1, 'best': [None, 2.0, 1.0], 'optimum': 1.0, 'within5_at': 3, 'score': 0.5}
    hostile = folder / 'hostile.jsonl'
    hostile.write_text(json.dumps(good) + '\n\n')
    run('--compare', hostile, '--plot', folder / 'plot.svg', says=['<&">', 'S'])
    if not any(text.text == '<&">' for text in xml.etree.ElementTree.parse(folder / 'plot.svg').getroot().iter(space + 'text')):
        fail('a name is not quoted')
    # What a command that was interrupted wrote after its runs is no run.
    hostile.write_text(json.dumps(good) + '\n' + json.dumps({'event': 'end', 'exit_code': 5}) + '\n')
    run('--compare', hostile, '--plot', folder / 'plot.svg', says=['1 runs'])
    for member, value, says in (
            ('space', None, 'space'), ('space', '', 'space'), ('space', 5, 'space'), ('space', 'x' * 201, 'space'),
            ('space', '\x1b[31m', 'control'), ('strategy', [], 'strategy'), ('label', 3, 'label'), ('seed', -1, 'seed'),
            ('seed', 1.5, 'seed'), ('best', [], 'best'), ('best', 3, 'best'), ('best', [1, None], 'null before'),
            ('best', [0, 1], 'positive'), ('best', ['1'], 'positive'), ('best', [0.5], 'below "optimum"'),
            ('optimum', 0, 'optimum'), ('optimum', 'x', 'optimum'), ('within5_at', 4, 'within5_at'),
            ('within5_at', 0, 'within5_at'), ('within5_at', True, 'within5_at'), ('score', 2, 'score'), ('score', 'x', 'score')):
        hostile.write_text(json.dumps(good) + '\n' + json.dumps({**good, member: value}) + '\n')
        run('--compare', hostile, code=2, says=['hostile.jsonl', 'line 2', says])
    for text, says in (('', 'no runs'), ('\n', 'no runs'), ('{}', 'space'), ('[]', 'not a JSON object'), ('{', 'line 1'),
                       ('[' * 100000, 'line 1'), ('{"space": "a", "space": "b"}', 'duplicate'), ('{"score": NaN}', 'line 1')):
        hostile.write_text(text)
        run('--compare', hostile, code=2, says=['hostile.jsonl', says])
    hostile.write_text(''.join(json.dumps({**good, 'space': f's{i}'}) + '\n' for i in range(65)))
    run('--compare', hostile, code=2, says=['65 spaces', 'at most 64'])
    run('--compare', folder, code=8, says=['regular file'])
    run('--compare', folder / 'none', code=8, says=['No such file'])


def check_arguments(folder):
    one = folder / 'one.json.gz'
    run(code=2, says=['give one of --space FILE, --compare FILE... and --list'])
    run('--space', one, '--list', code=2, says=['give only one'])
    run('--compare', code=2, says=['--compare needs files'])
    run('--space', one, 'more', code=2, says=['unexpected argument "more"'])
    run('--space', one, '--strategy', 'luck', code=2, says=['unknown strategy "luck"', 'default'])
    run('--space', one, '--budget-tests', 0, code=2, says=['--budget-tests is "0"'])
    run('--space', one, '--repeat', 0, code=2, says=['--repeat is "0"'])
    run('--space', one, '--num-seeds', 5000, code=2, says=['--num-seeds is "5000"'])
    run('--space', one, '--seed', -1, code=2, says=['--seed is "-1"'])
    run('--space', one, '--option', 'x', code=2, says=['--option is "x"', 'NAME=NUMBER'])
    run('--space', one, '--option', '=1', code=2, says=['--option is "=1"'])
    run('--space', one, '--option', 'x=1z', code=2, says=['--option is "x=1z"'])
    run('--space', one, '--option', 'no_such=1', code=2, says=['no_such'])
    run('--space', folder / 'none', code=8, says=['none', 'No such file'])
    (folder / 'failed.json').write_text(json.dumps({
        'device_name': 'd', 'kernel_name': 'k', 'tune_params_keys': ['x'], 'tune_params': {'x': [1]},
        'cache': {'1': {'x': 1, 'time': 'InvalidConfig'}}}))
    run('--space', folder / 'failed.json', code=2, says=['every configuration failed'])
    run('--list', says=['default', 'random'])


with tempfile.TemporaryDirectory() as name:
    for check in (check_runs, check_noise, check_seeds, check_compare, check_arguments):
        check(Path(name))
sys.exit(1 if failures else 0)
