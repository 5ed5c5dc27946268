// Many tasks in isolates: what they cost while they wait, and that nothing stays behind when the
// Worker that has spawned them is ended.
import { expect, test } from 'vitest';
import { outputOf, runScript } from '../lib/support.js';

const kFixtures = new URL('../lib/fixtures/', import.meta.url).href;

const terminate = (rounds: number): string => `
  import { once } from 'node:events';
  import { readdirSync } from 'node:fs';
  import { setTimeout as delay } from 'node:timers/promises';
  import { Worker } from 'node:worker_threads';
  import { runtime } from 'heddle';
  const count = () => ({
    threads: readdirSync('/proc/self/task').length - runtime.stats().machines,
    descriptors: readdirSync('/proc/self/fd').length,
    fibers: runtime.stats().spawned - runtime.stats().exited,
  });
  const kept = (now, before) => Object.keys(now).filter((key) => now[key] > before[key]);
  let before;
  for (let round = 0; round < ${rounds} + 3; round += 1) {
    if (round === 3) before = count();
    const worker = new Worker(new URL('data:text/javascript,import("${kFixtures}crowd.mjs")'));
    await once(worker, 'message');
    await delay(round % 4);
    await worker.terminate();
  }
  const limit = performance.now() + 10_000;
  while (kept(count(), before).length > 0 && performance.now() < limit) await delay(20);
  const after = count();
  console.log(kept(after, before).map((key) => [key, before[key], after[key]]).join());`;

test.each([
  ['whose tasks wait', '0'],
  ['one of whose tasks loops', '1'],
])('Workers that are ended %s leave nothing behind', { timeout: 120_000 }, async (_, loop) => {
  const environment = `process.env['HEDDLE_TEST_LOOP'] = '${loop}';`;
  const { code, signal, stdout, stderr } = await runScript(environment + terminate(12));
  expect({ code, signal, stdout, stderr }).toEqual({
    code: 0,
    signal: null,
    stdout: '\n',
    stderr: '',
  });
});

test(
  'a hundred thousand tasks wait in isolates for 2.5 KB each',
  { timeout: 120_000 },
  async () => {
    const script = `
    import { runtime, spawn } from 'heddle';
    import { tasks } from '${kFixtures}tasks.mjs';
    const kCount = 100_000;
    runtime.isolates = 1;
    const started = () => runtime.stats().isolates.reduce((sum, each) => sum + each.started, 0);
    const wave = async (count) => {
      const all = Array.from({ length: count }, () => spawn(tasks.holdAll));
      while (started() < count) await new Promise((resolve) => setTimeout(resolve, 5));
      const rss = process.memoryUsage.rss();
      await spawn(tasks.endAll);
      await Promise.all(all);
      return rss;
    };
    const before = await wave(1_000);
    console.log((await wave(kCount) - before) / kCount);`;
    expect(Number(await outputOf(script))).toBeLessThan(2_500);
  },
);
