// The worker pools from npm: how they are installed, and that the loops of `tasks` and `pool` get
// right answers from each of them.
import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { installPeers } from '../../bench/harness/npm.js';
import { findPeers } from '../../bench/harness/peers.js';
import { countPaid, downscale, fib } from '../../bench/harness/task-bodies.js';
import { kImageBytes, kImageWidth, kSmallBytes } from '../../bench/harness/task-bodies.js';
import { kNpmPeers } from '../../bench/harness/types.js';
import type { Machine, Output, Params, Peer } from '../../bench/harness/types.js';
import { root, runNode } from './support.js';

const peersFolder = join(root, 'bench/peers');
const machine: Machine = { cpu: 'A CPU', cores: 2, kernel: '6.1', node: '20.1.0', go: null };

interface Manifest {
  version: string;
  dependencies: Record<string, string>;
  packages: Record<string, { version: string }>;
}
const read = (...path: string[]): Manifest =>
  JSON.parse(readFileSync(join(...path), 'utf8')) as Manifest;

describe('peers from npm', () => {
  let folder = '';
  const putPiscina = (version: string): void => {
    const place = join(folder, 'node_modules/piscina');
    mkdirSync(place, { recursive: true });
    writeFileSync(join(place, 'package.json'), JSON.stringify({ version }));
  };
  const putNpm = (script: string): void => {
    const text = `#!/bin/sh\nPATH=/usr/bin:/bin\necho "$@" > arguments\n${script}\n`;
    writeFileSync(join(folder, 'npm'), text, { mode: 0o755 });
    vi.stubEnv('PATH', folder);
  };
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'heddle-peers-'));
    const manifest = { dependencies: { piscina: '5.3.2' } };
    writeFileSync(join(folder, 'package.json'), JSON.stringify(manifest));
    vi.stubEnv('PATH', '/nowhere');
  });
  afterEach(() => {
    vi.unstubAllEnvs();
    rmSync(folder, { recursive: true });
  });

  test('that are there in their pinned versions need no npm', async () => {
    putPiscina('5.3.2');
    expect(await installPeers(folder)).toBe(undefined);
  });

  test.each(['5.3.1', undefined])('of version %s are installed from the lock', async (version) => {
    if (version !== undefined) putPiscina(version);
    const manifest = 'node_modules/piscina/package.json';
    putNpm(`mkdir -p node_modules/piscina; echo '{"version":"5.3.2"}' > ${manifest}`);
    expect(await installPeers(folder)).toBe(undefined);
    const said = readFileSync(join(folder, 'arguments'), 'utf8');
    expect(said).toContain(`ci --prefix ${folder} --ignore-scripts`);
  });

  test('are skipped without npm', async () => {
    expect(await installPeers(folder)).toBe('no `npm` on PATH');
  });

  test('are skipped in the words of npm, if it fails', async () => {
    putNpm('echo "npm warn words" >&2; echo "npm error code ENOTFOUND" >&2; exit 1');
    const reason = 'its installation by npm ended with exit code 1: npm error code ENOTFOUND';
    expect(await installPeers(folder)).toBe(reason);
  });

  test('are skipped if another version came', async () => {
    putPiscina('5.3.1');
    putNpm('exit 0');
    const reason = 'npm installed another version than package.json names';
    expect(await installPeers(folder)).toBe(reason);
  });

  test('are looked for by name, and only if they are wanted', async () => {
    const looked: Peer[] = [];
    const taking = ['piscina', 'promise'] as const;
    const onLook = (peer: Peer): number => looked.push(peer);
    const found = await findPeers(taking, new Set(['promise']), machine, onLook);
    expect(looked).toEqual(taking);
    expect([...found]).toEqual([
      ['piscina', 'not in --peers'],
      ['promise', undefined],
    ]);
  });

  test('are pinned, each as its lock file says', () => {
    const { dependencies } = read(peersFolder, 'package.json');
    const { packages } = read(peersFolder, 'package-lock.json');
    expect(Object.keys(dependencies)).toEqual([...kNpmPeers]);
    for (const [name, version] of Object.entries(dependencies)) {
      expect(version).toMatch(/^\d+\.\d+\.\d+$/);
      expect(packages[`node_modules/${name}`]?.version).toBe(version);
    }
  });

  test('are not in the package, but what installs them is', () => {
    vi.unstubAllEnvs();
    const place = join(peersFolder, 'node_modules/.package-test');
    mkdirSync(place, { recursive: true });
    writeFileSync(join(place, 'index.js'), '');
    const args = ['pack', '--dry-run', '--json', '--ignore-scripts'];
    const listed = execFileSync('npm', args, { cwd: root, encoding: 'utf8', stdio: 'pipe' });
    rmSync(place, { recursive: true });
    const [{ files }] = JSON.parse(listed) as [{ files: { path: string }[] }];
    const paths = files.map(({ path }) => path);
    expect(paths).toEqual(
      expect.arrayContaining(['bench/peers/package.json', 'bench/peers/package-lock.json']),
    );
    expect(paths.filter((path) => path.includes('node_modules'))).toEqual([]);
  });
});

describe('the work of a task', () => {
  test('is the mean of each colour in a square of 4 × 4', () => {
    const image = new Uint8Array(kImageBytes);
    for (let at = 0; at < image.length; at += 4) {
      const x = (at / 4) % kImageWidth;
      const y = Math.floor(at / 4 / kImageWidth);
      image.set([x % 4, 16 * (y % 4), x < 4 && y < 4 ? 80 : 0, 255], at);
    }
    const small = downscale(image);
    expect(small.length).toBe(kSmallBytes);
    expect([...small.subarray(0, 8)]).toEqual([2, 24, 80, 255, 2, 24, 0, 255]);
    expect([...small.subarray(-4)]).toEqual([2, 24, 0, 255]);
  });

  test('is to count what is paid, and to compute a number', () => {
    const text = JSON.stringify([{ paid: true }, { paid: false }, { paid: true }]);
    expect(countPaid(new TextEncoder().encode(text))).toBe(2);
    expect([fib(1), fib(2), fib(18)]).toEqual([1, 1, 2_584]);
  });
});

const missing = await installPeers(peersFolder);

async function run(program: 'tasks' | 'burst', params: Params): Promise<Output> {
  const trial = JSON.stringify({ program, name: program, params });
  const { code, stdout, stderr } = await runNode(['dist/bench/harness/trial.js', trial]);
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
  return JSON.parse(stdout) as Output;
}

// The loops check each answer themselves; the process ends only if the pool has closed.
describe.skipIf(missing !== undefined)('answers right, and ends:', () => {
  test.each(kNpmPeers)('%s, to every kind of task', async (pool) => {
    const one = { pool, atomics: 'sync', each: 1 };
    const many = { ...one, each: 512 };
    const table: [Params, string][] = [
      [{ ...many, what: 'inFlight', task: 'empty', width: 4, leastMs: 10 }, 'perSecond'],
      [{ ...one, what: 'hot', task: 'empty', leastMs: 10 }, 'us'],
      [{ ...one, what: 'cold', task: 'empty', n: 3 }, 'us'],
      [{ ...one, what: 'bytes', task: 'length', n: 6, size: 65_536 }, 'us'],
      [{ ...many, what: 'job', task: 'countPaid' }, 'ms'],
      [{ ...many, what: 'job', task: 'downscale' }, 'ms'],
    ];
    for (const [params, key] of table) {
      expect((await run('tasks', params))[key]).toBeGreaterThan(0);
    }
  });

  test.each(kNpmPeers)('%s, to a burst of requests', async (pool) => {
    const params = { way: 'isolates', pool, atomics: 'sync', each: 16, n: 3_000 };
    expect(await run('burst', params)).toMatchObject({ units: 2 });
  });
});

test.each([
  ['fibers', {}, 3_000],
  ['fibers', { on: 'thread' }, 300],
  ['workers', {}, 3],
  ['promises', {}, 3_000],
])('a burst of requests makes a unit for each: %s %j', async (way, how: Params, n) => {
  const output = await run('burst', { way, ...how, n });
  expect(Object.keys(output)).toEqual(['us', 'work', 'beyondUs', 'growth', 'units']);
  expect(output['units']).toBe(n);
  const { us, work, growth } = output as Record<string, number>;
  expect(us).toBeGreaterThan(0);
  expect(work).toBeGreaterThan(1);
  expect(work).toBeLessThan(1_000);
  expect(growth).toBeGreaterThanOrEqual(0);
});
