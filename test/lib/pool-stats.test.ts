// What a pool measures, and what it makes of the memory that is left.
import { alloc, free, kernels, Pool } from 'heddle';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { kHourMs, until } from './support.js';

const kMiB = 2 ** 20;

describe('times', () => {
  test('are 0 before the first run', () => {
    const { wait, run, utilisation } = new Pool(kernels.noop).stats();
    const zero = { min: 0, mean: 0, max: 0, p50: 0, p99: 0 };
    expect({ wait, run, utilisation }).toEqual({ wait: zero, run: zero, utilisation: 0 });
  });

  test('of runs are in milliseconds, in order, and not shorter than the task', async () => {
    const pool = new Pool(kernels.sleep, { concurrency: 4 });
    await Promise.all([10, 20, 20, 30].map((ms) => pool.run(ms)));
    const { run } = pool.stats();
    expect(run.min).toBeGreaterThanOrEqual(9.8);
    expect(run.p50).toBeGreaterThanOrEqual(19.7);
    expect(run.max).toBeGreaterThanOrEqual(29.5);
    expect(run.mean).toBeGreaterThanOrEqual(19.7);
    expect(run.max).toBeLessThan(10_000);
    expect(run.p99).toBeLessThanOrEqual(run.max * 1.01);
  });

  test('of waiting are those in the queue', async () => {
    const pool = new Pool(kernels.sleep, { concurrency: 1 });
    await Promise.all([pool.run(20), pool.run(20), pool.run(0)]);
    const { wait } = pool.stats();
    expect(wait.min).toBeLessThan(5);
    expect(wait.p50).toBeGreaterThanOrEqual(19.5);
    expect(wait.max).toBeGreaterThanOrEqual(39);
  });

  test('tell how much of the places was in use, also by runs in progress', async () => {
    const pool = new Pool(kernels.sleep, { concurrency: 2 });
    const run = pool.run(kHourMs).catch(() => {});
    await pool.run(30);
    const busy = pool.stats().utilisation;
    expect(busy).toBeGreaterThan(0.6);
    expect(busy).toBeLessThanOrEqual(1);
    await pool.run(30);
    pool.concurrency = 2000;
    await pool.run(30);
    expect(pool.stats().utilisation).toBeLessThan(busy / 10);
    expect(pool.stats().utilisation).toBeLessThan(busy / 10);
    await pool.close({ deadline: 0 });
    await run;
  });
});

describe('memory', () => {
  // A heap that comes and goes is little beside it.
  let ballast: Uint8Array;
  beforeAll(() => {
    ballast = alloc(300 * kMiB).fill(1);
  });
  afterAll(() => free(ballast));

  const used = (): number => process.memoryUsage.rss();
  const pools: Pool<[ms: number], undefined>[] = [];
  const busyPool = (memory: number | true, min = 1): Pool<[ms: number], undefined> => {
    const pool = new Pool(kernels.sleep, { concurrency: 8, min, adapt: { memory } });
    pools.push(pool);
    for (let n = 0; n < 20; n += 1) pool.run(kHourMs).catch(() => {});
    return pool;
  };
  afterAll(() => Promise.all(pools.map((pool) => pool.close({ deadline: 0 }))));

  test.each([
    [0.5, 8],
    [0.85, 4],
    [1.2, 2],
  ])('that is used to %d of the limit leaves %i of 8 places', (level, places) => {
    const { concurrency, running } = busyPool(Math.round(used() / level)).stats();
    expect({ concurrency, running }).toEqual({ concurrency: places, running: places });
  });

  test('never takes more places than the least number allows', () => {
    expect(busyPool(kMiB, 5).stats().running).toBe(5);
    expect(busyPool(kMiB, 8).stats().running).toBe(8);
  });

  test('of the machine is the limit if no number is given', () => {
    expect(busyPool(true).stats().concurrency).toBe(8);
  });

  test('that is taken and given back takes places and gives them back', async () => {
    const limit = Math.round((used() + 250 * kMiB) / 0.97);
    const pool = new Pool(kernels.sleep, {
      concurrency: 8,
      queue: Infinity,
      adapt: { memory: limit },
    });
    pools.push(pool);
    const end = new AbortController();
    const refill = (): void => {
      while (pool.stats().queued < 100) {
        pool.runWith({ signal: end.signal }, 1).catch(() => {});
      }
    };
    const untilPlaces = (count: number): Promise<void> =>
      until(() => {
        refill();
        return pool.stats().concurrency === count && pool.stats().running === count;
      });
    await untilPlaces(8);
    const block = alloc(250 * kMiB).fill(1);
    await untilPlaces(2);
    free(block);
    await untilPlaces(8);
    end.abort();
  });
});
