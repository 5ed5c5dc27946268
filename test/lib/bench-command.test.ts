// `heddle bench` as a command: what it prints and where, its mistakes and its exit codes.
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { availableParallelism, release, tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test, vi } from 'vitest';
import { kNpmPeers } from '../../bench/harness/types.js';
import type { MeasuredRow, Report, Result } from '../../bench/harness/types.js';
import { root, runNode } from './support.js';

const heddle = (...args: string[]) => runNode(['dist/lib/cli/main.js', ...args]);
const folder = mkdtempSync(join(tmpdir(), 'heddle-bench-'));
const defaultReport = join(root, 'heddle-bench.html');

afterAll(() => rmSync(folder, { recursive: true }));

describe('bench --json', () => {
  const rowKeys = ['impl', 'median', 'min', 'max', 'runs'];

  test('prints one object in the shape of the contract, and nothing else', async () => {
    const hadReport = existsSync(defaultReport);
    const args = ['spawn', '--runs', '1', '--n', '1000', '--json'];
    const { code, stdout, stderr } = await heddle('bench', ...args, '--peers', 'threads,promise');
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    const report = JSON.parse(stdout) as Report;
    expect(Object.keys(report)).toEqual(['machine', 'results']);
    expect(Object.keys(report.machine)).toEqual(['cpu', 'cores', 'kernel', 'node', 'go']);
    expect(report.machine).toMatchObject({
      cores: availableParallelism(),
      kernel: release(),
      node: process.versions.node,
    });
    const { go } = report.machine;
    expect(go === null || /^\d+\.\d+/.test(go)).toBe(true);
    expect(report.results.map(({ metric }) => metric)).toEqual(
      expect.arrayContaining([
        'ns per spawn+run+exit',
        'ns per spawn+park+exit',
        'ns per spawn from JavaScript',
      ]),
    );
    for (const result of report.results) {
      expect(Object.keys(result)).toEqual(['scenario', 'metric', 'better', 'n', 'rows', 'skipped']);
      expect(result).toMatchObject({ scenario: 'spawn', better: 'lower', n: 1_000 });
      for (const row of result.rows as readonly MeasuredRow[]) {
        expect(Object.keys(row)).toEqual(rowKeys);
        expect(row.runs).toBe(1);
        expect(row.median).toBeGreaterThan(0);
        expect([row.min, row.max]).toEqual([row.median, row.median]);
      }
      for (const skip of result.skipped) expect(Object.keys(skip)).toEqual(['impl', 'reason']);
    }
    const [first] = report.results;
    const impls = first!.rows.map(({ impl }) => impl);
    expect(impls).toEqual(['heddle fiber', 'pthread', 'js promise']);
    expect(first!.skipped).toContainEqual({ impl: 'go goroutine', reason: 'not in --peers' });
    expect(existsSync(defaultReport)).toBe(hadReport);
  });
});

describe('bench', () => {
  test('prints tables and writes the page where --out says', async () => {
    const out = join(folder, 'report.html');
    const args = ['spawn', '--runs', '1', '--n', '500', '--peers', 'none', '--out', out];
    const { code, stdout, stderr } = await heddle('bench', ...args);
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    expect(stdout).toContain('heddle bench: spawn; 1 run of each, one process per run');
    expect(stdout).toContain('spawn: ns per spawn+run+exit (lower is better)');
    expect(stdout).toContain('skipped pthread: not in --peers');
    expect(stdout).toContain(`Report: ${out}`);
    expect(stdout).not.toContain('\u001b');
    const page = readFileSync(out, 'utf8');
    expect(page).toMatch(/<svg[\s>]/);
    expect(page).not.toMatch(/<script/i);
    expect(page).toContain('npx heddle bench spawn --runs 1 --n 500 --peers none');
  });
});

async function reportOf(...args: string[]): Promise<Report> {
  const { code, stdout, stderr } = await heddle('bench', ...args, '--runs', '1', '--json');
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
  return JSON.parse(stdout) as Report;
}

describe('every peer measures, or a reason is given, in', () => {
  const processors = ['P=1', 'P=2'];
  const perItem = (ratio: string) => processors.map((count) => `ns per item ${ratio}, ${count}`);
  const onItsWay = processors.flatMap((count) =>
    ['median', 'p99'].map((what) => `ns on its way 1:1, ${count}, ${what}`),
  );
  const table: [string, string[], string[]][] = [
    [
      'pingpong',
      ['ns per round trip'],
      ['heddle fiber', 'pthread', 'go goroutine', 'js promise', 'node worker'],
    ],
    [
      'channel',
      ['1:1', '4:1', '4:4'].flatMap(perItem),
      [
        ...['heddle fiber', 'heddle queue', 'pthread', 'pthread queue', 'moodycamel queue'],
        ...['go goroutine', 'js promise', 'node worker'],
      ],
    ],
    [
      'select',
      ['ns per select of 2', 'ns per select of 8', 'ns per select of 2, contended, P=2'],
      ['heddle fiber', 'pthread', 'go goroutine', 'js promise', 'node worker'],
    ],
    [
      'capacity',
      [
        ...perItem('1:1'),
        ...onItsWay,
        'bytes kept, full of numbers',
        'bytes kept, full of 1 KiB messages',
      ],
      ['heddle fiber', 'go goroutine', 'pthread', 'js promise'],
    ],
  ];
  test.each(table)('%s', { timeout: 120_000 }, async (scenario, metrics, impls) => {
    const size = scenario === 'capacity' ? ['--quick'] : ['--n', '400'];
    const { results } = await reportOf(scenario, ...size);
    expect(new Set(results.map(({ metric }) => metric))).toEqual(new Set(metrics));
    for (const { rows, skipped } of results) {
      const named = [...rows, ...skipped].map(({ impl }) => impl);
      expect(named.toSorted()).toEqual(impls.toSorted());
      for (const row of rows) expect((row as MeasuredRow).median, row.impl).toBeGreaterThan(0);
    }
  });
});

test('echo measures every server', { timeout: 120_000 }, async () => {
  const { results } = await reportOf('echo', '--n', '50');
  const metrics = ['CPU us per round trip', 'round trips per second', 'bytes per connection'];
  expect(results.map(({ metric }) => metric)).toEqual(metrics);
  const [us, perSecond] = results as [Result, Result];
  expect(namedIn(us).toSorted()).toEqual(['epoll c', 'go', 'heddle', 'node:net']);
  for (const { rows } of [us, perSecond]) {
    for (const row of rows) expect((row as MeasuredRow).median, row.impl).toBeGreaterThan(0);
  }
});

function namedIn({ rows, skipped }: Result): string[] {
  return [...rows, ...skipped].map(({ impl }) => impl);
}

describe('worker pools from npm are beside heddle in', () => {
  test('tasks', { timeout: 180_000 }, async () => {
    const { results } = await reportOf('tasks', '--quick');
    const metrics = results.map(({ metric, n }) =>
      / n$/.test(metric) ? `${metric}: ${n}` : metric,
    );
    expect(metrics).toEqual([
      ...[1, 10, 100, 1_000].map((n) => `tasks per second in flight n: ${n}`),
      'us per task alone hot',
      'us per task alone cold',
      'us per task with 1 KiB of bytes',
      'us per task with 1 MiB of bytes',
      'ms for a real job: JSON parsed',
      'ms for a real job: images made smaller',
    ]);
    for (const result of results) {
      expect(namedIn(result)).toEqual(expect.arrayContaining(['heddle', ...kNpmPeers]));
      for (const row of result.rows) expect((row as MeasuredRow).median).toBeGreaterThan(0);
    }
  });

  test('pool, with the units that each makes', { timeout: 120_000 }, async () => {
    const { results } = await reportOf('pool', '--n', '400');
    expect(results.map(({ metric }) => metric)).toEqual([
      'us per request',
      'CPU us per request beyond its work',
      'MiB RSS growth',
      'units created',
    ]);
    const ours = ['heddle fiber', 'heddle fiber, Pool', 'heddle, Pool of 2 isolates'];
    const others = ['pthread', ...kNpmPeers, 'node worker', 'js promise'];
    expect(namedIn(results[0]!).toSorted()).toEqual([...ours, ...others].toSorted());
    const units = new Map(results[3]!.rows.map((row) => [row.impl, (row as MeasuredRow).median]));
    expect(units.get('heddle fiber')).toBe(400);
    expect(units.get('heddle, Pool of 2 isolates')).toBe(2);
    expect(units.get('pthread')).toBe(400);
    expect(units.get('node worker')).toBe(20);
  });
});

describe('a peer that has to be compiled is skipped', () => {
  const skippedOn = async (path: string): Promise<string | undefined> => {
    vi.stubEnv('PATH', path);
    const report = await reportOf('channel', '--n', '4', '--peers', 'moodycamel');
    vi.unstubAllEnvs();
    const { skipped } = report.results[0]!;
    return skipped.find(({ impl }) => impl === 'moodycamel queue')?.reason;
  };

  test('without a compiler', async () => {
    expect(await skippedOn('/nowhere')).toBe('no `c++` on PATH');
  });

  test('without its header, which is named', async () => {
    const complaint = '#error "no concurrentqueue.h (Debian: libconcurrentqueue-dev)"';
    const script = `#!/bin/sh\nprintf '%s\\n' '${complaint}' >&2\nexit 1\n`;
    writeFileSync(join(folder, 'c++'), script, { mode: 0o755 });
    const reason = 'no concurrentqueue.h (Debian: libconcurrentqueue-dev)';
    expect(await skippedOn(folder)).toBe(reason);
  });

  test('with the words of its compiler, if it is something else', async () => {
    writeFileSync(join(folder, 'c++'), '#!/bin/sh\necho broken >&2\nexit 3\n', { mode: 0o755 });
    expect(await skippedOn(folder)).toBe('its build ended with exit code 3: broken');
  });
});

describe('a mistake is told in words, with exit code 2, before anything is measured', () => {
  const table: [string, string[], string[]][] = [
    ['a scenario', ['spwn'], ["got 'spwn'", 'did you mean spawn?', 'timer, preempt']],
    ['a scenario nobody knows', ['zzz'], ["got 'zzz'", 'see `heddle bench --help`']],
    ['no runs', ['spawn', '--runs', '0'], ['from 1 to 1,000', "got '0'"]],
    ['negative runs', ['spawn', '--runs', '-3'], ['from 1 to 1,000', "got '-3'"]],
    ['runs in words', ['spawn', '--runs', 'many'], ["got 'many'", 'plain digits']],
    ['runs in other digits', ['spawn', '--runs', '1e2'], ["got '1e2'"]],
    ['too many runs', ['spawn', '--runs', '1001'], ["got '1001'"]],
    ['half a unit', ['spawn', '--n', '0.5'], ["got '0.5'", 'from 1 to 10,000,000']],
    ['too many units', ['spawn', '--n', '10000001'], ["got '10000001'"]],
    ['units for a sweep', ['stack', '--n', '5'], ['got stack', 'leave --n out']],
    ['a peer', ['spawn', '--peers', 'go,rust'], ["got 'rust'", 'go, threads, promise, worker']],
    ['no peer', ['spawn', '--peers', ''], ["got ''"]],
    ['a place', ['spawn', '--out', '/nowhere/at/all.html'], ['--out', 'ENOENT']],
    ['an option', ['spawn', '--rums', '1'], ["unknown option '--rums'", 'Did you mean --runs?']],
  ];
  test.each(table)('%s', async (_, args, words) => {
    const { code, stdout, stderr } = await heddle('bench', ...args);
    expect({ code, stdout }).toEqual({ code: 2, stdout: '' });
    for (const word of words) expect(stderr).toContain(word);
    expect(stderr).not.toMatch(/^ +at /m);
  });

  test('an unknown command', async () => {
    const { code, stdout, stderr } = await heddle('bnech');
    expect({ code, stdout }).toEqual({ code: 2, stdout: '' });
    expect(stderr).toContain('Did you mean bench?');
  });
});

describe('help', () => {
  test('of heddle names the commands', async () => {
    const { code, stdout, stderr } = await heddle('--help');
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    expect(stdout).toContain('Usage: heddle [options] [command]');
    expect(stdout).toContain('bench [options] [scenario...]');
  });

  test('of bench names options, scenarios, peers and exit codes', async () => {
    const { code, stdout, stderr } = await heddle('bench', '--help');
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    const options = ['--json', '--quick', '--runs', '--n', '--peers', '--out', '--help'];
    const names = ['create', 'spawn', 'memory', 'switch', 'stack', 'steal', 'timer', 'preempt'];
    names.push('pingpong', 'channel', 'capacity', 'select', 'messages', 'tasks', 'pool', 'echo');
    for (const word of [...options, ...names.map((name) => `\n  ${name} `)]) {
      expect(stdout).toContain(word);
    }
    const peers = ['go', 'threads', 'promise', 'worker', 'python', 'moodycamel'];
    peers.push('node:net', 'epoll', ...kNpmPeers);
    expect(stdout.replaceAll(/\s+/g, ' ')).toContain(`Peers: ${peers.join(', ')}.`);
    expect(stdout).toContain('Exit code: 0 measured; 1 a heddle row failed');
  });

  test('--version is that of the package', async () => {
    const manifest = readFileSync(join(root, 'package.json'), 'utf8');
    const { version } = JSON.parse(manifest) as { version: string };
    expect(await heddle('--version')).toMatchObject({ code: 0, stdout: `${version}\n` });
  });
});
