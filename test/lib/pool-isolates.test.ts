// Pools of tasks of JavaScript: how many run at once, wherever they wait.
import { Channel, Pool, runtime, spawn } from 'heddle';
import { afterEach, expect, test } from 'vitest';

const before = runtime.isolates;
afterEach(() => {
  runtime.isolates = before;
});

/** Tells that it has begun, and goes on when it is let. */
const hold = async (_ctx: unknown, begun: Channel<number>, go: Channel<number>): Promise<void> => {
  await begun.send(1);
  await go.recv();
};

/** How many of so many runs begin while none ends. */
async function begunOf(pool: Pool<[Channel<number>, Channel<number>], void>, runs: number) {
  const [begun, go] = [new Channel<number>(100), new Channel<number>()];
  const all = Array.from({ length: runs }, () => pool.run(begun, go));
  const expected = pool.stats().running;
  for (let i = 0; i < expected; i += 1) await begun.recv();
  // Whatever could begin besides would do so before a task that was spawned later ends.
  await Promise.all([0, 1, 2, 3].map((pin) => spawn({ pin: pin % runtime.isolates }, () => 1)));
  const more = begun.length;
  go.close();
  await Promise.all(all);
  return expected + more;
}

test('no more runs begin than its concurrency, though more isolates are free', async () => {
  runtime.isolates = 4;
  const pool = new Pool(hold, { concurrency: 2 });
  await pool.warm();
  await Promise.all([0, 1, 2, 3].map((pin) => spawn({ pin }, () => 1)));
  expect(await begunOf(pool, 12)).toBe(2);
  await pool.close();
});

test('an isolate begins as many runs as perIsolate says', async () => {
  runtime.isolates = 2;
  const pool = new Pool(hold, { concurrency: 100, perIsolate: 3 });
  expect(await begunOf(pool, 20)).toBe(6);
  await pool.close();
});

test('it follows the number of isolates, and a change of its own concurrency', async () => {
  runtime.isolates = 1;
  const pool = new Pool(hold, { concurrency: 3 });
  expect(await begunOf(pool, 10)).toBe(1);
  runtime.isolates = 3;
  expect(await begunOf(pool, 10)).toBe(3);
  pool.concurrency = 2;
  expect(await begunOf(pool, 10)).toBe(2);
  await pool.close();
  const own = new Pool(hold, { concurrency: 1, execArgv: [] });
  expect(await begunOf(own, 10)).toBe(1);
  own.concurrency = 2;
  expect(await begunOf(own, 10)).toBe(2);
  await own.close();
});

test('a pool that a run makes does not count with the one that it is in', async () => {
  runtime.isolates = 1;
  const outer = new Pool(
    async (_ctx, heddle: string) => {
      const { Pool } = (await import(heddle)) as { Pool: new (fn: unknown) => Pool<[], number> };
      const inner = new Pool(() => 7);
      const result = await inner.run();
      await inner.close();
      return result;
    },
    { concurrency: 1 },
  );
  const heddle = new URL('../../dist/lib/index.js', import.meta.url).href;
  expect(await outer.run(heddle)).toBe(7);
  await outer.close();
});

test('a function may have any name', async () => {
  const named = Object.defineProperty(() => 1, 'name', { value: 'two\nlines' });
  expect(await spawn(named)).toBe(1);
});
