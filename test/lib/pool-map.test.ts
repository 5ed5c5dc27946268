// Maps of a pool: what they pull, in which order they give, and how they end.
import { getEventListeners } from 'node:events';
import { Channel, kernels, Pool } from 'heddle';
import { describe, expect, test } from 'vitest';
import { expectRefusal, expectRejection, kHourMs, reactions } from './support.js';
import { rejectionOf, runScript, stateOf, until } from './support.js';

/** Counts what is pulled of 0, 1, 2 …, without an end, and whether it was closed. */
class Numbers {
  pulled = 0;
  closed = 0;
  *[Symbol.iterator](): Generator<number> {
    try {
      for (;;) yield this.pulled++;
    } finally {
      this.closed += 1;
    }
  }
}

class LateNumbers extends Numbers {
  async *later(): AsyncGenerator<number> {
    for (const each of this) {
      await Promise.resolve();
      yield each;
    }
  }
}

async function take<T>(from: AsyncIterable<T>, count: number): Promise<T[]> {
  const taken: T[] = [];
  for await (const each of from) {
    taken.push(each);
    if (taken.length === count) break;
  }
  return taken;
}

async function rest<T>(from: AsyncIterable<T>): Promise<T[]> {
  return take(from, Infinity);
}

const echo = (concurrency: number) => new Pool(kernels.echo, { concurrency });
const upTo = (count: number): number[] => Array.from({ length: count }, (_, n) => n);

describe('results', () => {
  test.each([1, 2, 7, 100])('come in the order of the inputs, at concurrency %i', async (most) => {
    const pool = new Pool(kernels.sleep, { concurrency: most });
    const durations = upTo(60).map((n) => (n * 7) % 5);
    expect(await rest(pool.map(durations))).toHaveLength(60);
    expect(await rest(echo(most).map(upTo(500)))).toEqual(upTo(500));
    expect(await rest(echo(most).map(upTo(500), { buffer: 9 }))).toEqual(upTo(500));
  });

  test('come all, each once, in the order of their ends', async () => {
    const found = await rest(echo(5).map(upTo(500), { ordered: false }));
    expect(found.sort((a, b) => (a as number) - (b as number))).toEqual(upTo(500));
  });

  test('that are done pass those that are not, unless they are ordered', async () => {
    const pool = new Pool(kernels.consume, { concurrency: 2 });
    for (const ordered of [false, true]) {
      const [slow, quick] = [new Channel(1), new Channel()];
      slow.trySend('one');
      quick.close();
      const results = pool.map([slow, quick], { ordered });
      const first = results.next();
      await until(() => pool.stats().running === 1);
      await reactions();
      expect(await stateOf(first)).toBe(ordered ? 'pending' : 'settled');
      slow.close();
      const both = [(await first).value, (await results.next()).value];
      expect(both).toEqual(ordered ? [1, 0] : [0, 1]);
      expect(await results.next()).toEqual({ value: undefined, done: true });
    }
  });

  test('are none for no inputs', async () => {
    expect(await rest(echo(2).map([]))).toEqual([]);
    expect(await rest(echo(2).map(new Set()))).toEqual([]);
  });

  test('are given to all who ask at once, then the end is', async () => {
    const results = echo(2).map(upTo(3));
    const asked = await Promise.all(upTo(5).map(() => results.next()));
    expect(asked.map(({ value }) => value)).toEqual([0, 1, 2, undefined, undefined]);
    expect(asked.map(({ done }) => done)).toEqual([false, false, false, true, true]);
  });

  test('of asynchronous inputs come in order as well', async () => {
    async function* inputs() {
      for (const n of upTo(100)) {
        if (n % 3 === 0) await new Promise(setImmediate);
        yield n;
      }
    }
    expect(await rest(echo(4).map(inputs()))).toEqual(upTo(100));
    const channel = new Channel<number>(2);
    void channel.sendMany(upTo(100)).then(() => channel.close());
    expect(await rest(echo(4).map(channel))).toEqual(upTo(100));
  });

  test('of two maps and of runs come side by side, none more than there are places', async () => {
    const pool = echo(3);
    const [first, second, runs] = await Promise.all([
      rest(pool.map(upTo(300))),
      rest(pool.map(upTo(200), { ordered: false })),
      Promise.all(upTo(100).map((n) => pool.run(n))),
    ]);
    expect([first, second.length, runs]).toEqual([upTo(300), 200, upTo(100)]);
    expect(pool.stats()).toMatchObject({ completed: 600, rejected: 0, running: 0 });
  });
});

describe('inputs', () => {
  test.each([
    [1, 0],
    [3, 0],
    [3, 5],
    [64, 200],
  ])('are pulled at most %i + %i ahead of the consumer', async (concurrency, buffer) => {
    const numbers = new Numbers();
    const pool = echo(concurrency);
    const results = pool.map(numbers, { buffer });
    expect(numbers.pulled).toBe(0);
    for (let taken = 1; taken <= 300; taken += 1) {
      await results.next();
      expect(numbers.pulled).toBeLessThanOrEqual(taken + concurrency + buffer);
    }
    await until(() => pool.stats().running === 0);
    await reactions();
    expect(numbers.pulled).toBeLessThanOrEqual(300 + concurrency + buffer);
    expect(numbers.pulled).toBeGreaterThanOrEqual(300 + (concurrency + buffer) / 2);
    await results.return!();
  });

  test('that come asynchronously are pulled no further', async () => {
    const numbers = new LateNumbers();
    const pool = new Pool(kernels.sleep, { concurrency: 2 });
    const ms = (async function* () {
      for await (const each of numbers.later()) yield kHourMs + each;
    })();
    const results = pool.map(ms, { buffer: 3 });
    const next = results.next();
    await until(() => numbers.pulled === 5);
    for (let turn = 0; turn < 20; turn += 1) await new Promise(setImmediate);
    expect(numbers.pulled).toBe(5);
    expect(pool.stats()).toMatchObject({ running: 2, queued: 0 });
    await Promise.all([results.return!(), next]);
    expect(numbers.closed).toBe(1);
  });

  test('are never queued, and take turns with what is', async () => {
    const pool = new Pool(kernels.consume, { concurrency: 1, queue: 20 });
    const gate = new Channel();
    const open = new Channel();
    open.close();
    const held = pool.run(gate);
    const runs = Array.from({ length: 20 }, () => pool.run(open));
    const mapped = rest(pool.map(new Array<Channel<unknown>>(3).fill(open)));
    expect(pool.stats()).toMatchObject({ queued: 20, running: 1, rejected: 0 });
    gate.close();
    await held;
    expect(await mapped).toEqual([0, 0, 0]);
    expect(pool.stats().queued).toBeGreaterThan(5);
    await Promise.all(runs);
  });

  test('may come from code that uses the same pool', async () => {
    const pool = echo(2);
    const runs: Promise<unknown>[] = [];
    function* inputs() {
      for (const n of upTo(50)) {
        runs.push(pool.run(n));
        yield n;
      }
    }
    expect(await rest(pool.map(inputs()))).toEqual(upTo(50));
    expect(await Promise.all(runs)).toEqual(upTo(50));
  });
});

describe('a map ends', () => {
  test('with the first failure: the rest is cancelled and the inputs are closed', async () => {
    const pool = new Pool(kernels.sleep, { concurrency: 3 });
    let closed = 0;
    function* inputs() {
      try {
        yield* [kHourMs, kHourMs, 'x' as unknown as number, kHourMs];
      } finally {
        closed += 1;
      }
    }
    await expectRejection('ERR_HEDDLE_ARGUMENT', rest(pool.map(inputs())));
    expect(closed).toBe(1);
    expect(pool.stats()).toMatchObject({ running: 0, cancelled: 2, completed: 0 });
  });

  test('with the failure of a task as it is, then there is nothing more', async () => {
    const pool = new Pool(kernels.readFile, { concurrency: 1 });
    const results = pool.map(['/dev/null', '/no/such/file', '/dev/null']);
    await results.next();
    const error = await rejectionOf(results.next());
    expect(error).toMatchObject({ code: 'ENOENT', path: '/no/such/file' });
    expect(await results.next()).toEqual({ value: undefined, done: true });
    expect(pool.stats()).toMatchObject({ running: 0, failed: 1 });
  });

  test.each([true, false])('with a break: tasks and inputs end, ordered: %s', async (ordered) => {
    const numbers = new Numbers();
    const pool = echo(4);
    expect(await take(pool.map(numbers, { ordered }), 10)).toHaveLength(10);
    expect(numbers.closed).toBe(1);
    expect(pool.stats()).toMatchObject({ running: 0, queued: 0, failed: 0 });
  });

  test('with a break that waits until its tasks have ended', async () => {
    const pool = new Pool(kernels.sleep, { concurrency: 3 });
    const durations = [0, ...new Array<number>(10).fill(kHourMs)];
    expect(await take(pool.map(durations), 1)).toEqual([undefined]);
    expect(pool.stats()).toMatchObject({ running: 0, completed: 1 });
    expect(pool.stats().cancelled).toBeGreaterThanOrEqual(2);
  });

  test('with its signal, also one that has fired before', async () => {
    const pool = new Pool(kernels.sleep, { concurrency: 2 });
    const end = new AbortController();
    const numbers = new Numbers();
    const results = pool.map([kHourMs, kHourMs, kHourMs], { signal: end.signal });
    const next = results.next();
    end.abort('enough');
    expect(await rejectionOf(next)).toBe('enough');
    expect(await results.next()).toEqual({ value: undefined, done: true });
    expect(await rejectionOf(pool.map(numbers, { signal: end.signal }).next())).toBe('enough');
    expect(numbers.pulled).toBe(0);
    expect(getEventListeners(end.signal, 'abort')).toHaveLength(0);
    expect(pool.stats()).toMatchObject({ running: 0, cancelled: 2 });
  });

  test('and leaves no listener at its signal when it is done', async () => {
    const { signal } = new AbortController();
    await rest(echo(2).map(upTo(10), { signal }));
    await take(echo(2).map(upTo(10), { signal }), 3);
    expect(getEventListeners(signal, 'abort')).toHaveLength(0);
  });

  test('with a failure of its inputs, which then are not closed', async () => {
    const pool = echo(2);
    let returned = 0;
    const failing = (error: unknown, isAsync: boolean) => ({
      [isAsync ? Symbol.asyncIterator : Symbol.iterator]: () => ({
        next: () => {
          throw error;
        },
        return: () => ({ done: true, value: void (returned += 1) }),
      }),
    });
    for (const isAsync of [false, true]) {
      const results = pool.map(failing('no input', isAsync) as never);
      expect(await rejectionOf(results.next())).toBe('no input');
      expect((await results.next()).done).toBe(true);
    }
    async function* inputs() {
      yield* upTo(5);
      await Promise.reject(new Error('dried up'));
    }
    expect(await rejectionOf(rest(pool.map(inputs())))).toMatchObject({ message: 'dried up' });
    const unopened = { [Symbol.iterator]: () => failing('', false) as never };
    expect(await rejectionOf(pool.map(unopened).next())).toBeInstanceOf(TypeError);
    expect(returned).toBe(0);
  });

  test('with a break that waits for its inputs to close, and fails with them', async () => {
    let isClosed = false;
    async function* inputs() {
      try {
        yield* upTo(100);
      } finally {
        await new Promise(setImmediate);
        isClosed = true;
        await Promise.reject(new Error('not closed well'));
      }
    }
    const pool = echo(1);
    const results = pool.map(inputs());
    await results.next();
    await until(() => pool.stats().completed === 2); // so that it pulls nothing now
    const [ended] = await Promise.allSettled([results.return!()]);
    expect(isClosed).toBe(true);
    expect(ended).toMatchObject({ reason: { message: 'not closed well' } });
  });

  test('with a break although its next input never comes', async () => {
    async function* inputs() {
      yield 5;
      await new Promise(() => {});
    }
    expect(await take(echo(2).map(inputs()), 1)).toEqual([5]);
  });

  test('with a break before it began', async () => {
    const numbers = new Numbers();
    const results = echo(2).map(numbers);
    expect(await results.return!()).toEqual({ value: undefined, done: true });
    expect(await results.next()).toEqual({ value: undefined, done: true });
    expect(numbers.pulled).toBe(0);
  });

  test('with the pool, if it has inputs left', async () => {
    const pool = new Pool(kernels.sleep, { concurrency: 2 });
    const [unfinished, finished] = [pool.map([kHourMs, kHourMs, 0]), pool.map([1])];
    const asked = [unfinished.next(), finished.next()].map(rejectionOf);
    await pool.close({ deadline: 1 });
    for (const each of asked) {
      expect(await each).toMatchObject({ code: 'ERR_HEDDLE_POOL_CLOSED' });
    }
    await expectRejection('ERR_HEDDLE_POOL_CLOSED', pool.map([1]).next());
    expect(pool.stats()).toMatchObject({ running: 0, cancelled: 2 });
  });

  test('as it should, if the pool closes when all of its inputs run', async () => {
    for (const concurrency of [2, 3]) {
      const pool = new Pool(kernels.sleep, { concurrency });
      const all = rest(pool.map([5, 5]));
      await until(() => pool.stats().running === 2);
      await pool.close();
      expect(await all).toEqual([undefined, undefined]);
    }
  });
});

test('a map holds little of what it has passed', async () => {
  // All at once, the promises and results alone would need several times that heap.
  const script = `
    import { kernels, Pool } from 'heddle';
    const pool = new Pool(kernels.echo, { concurrency: 100 });
    function* numbers() { for (let n = 0; n < 500_000; n += 1) yield n; }
    let sum = 0;
    for await (const n of pool.map(numbers())) sum += n;
    console.log(sum);`;
  const { stdout, stderr } = await runScript(script, '--max-old-space-size=24');
  expect(stderr).toBe('');
  expect(stdout.trim()).toBe(String((500_000 * 499_999) / 2));
}, 60_000);

test('what a map is given is checked', () => {
  const pool = echo(2);
  for (const inputs of [undefined, null, 5, {}]) {
    expectRefusal('ERR_HEDDLE_ARGUMENT', () => pool.map(inputs as never), 'can be iterated');
  }
  const refuse = (options: object | null, words: string): void =>
    expectRefusal('ERR_HEDDLE_OPTION', () => pool.map([], options as never), words);
  for (const buffer of [-1, 0.5, NaN, Infinity, '1']) refuse({ buffer }, 'buffer: expected');
  refuse({ ordered: 1 }, 'ordered: expected');
  refuse({ signal: {} }, 'signal: expected');
  refuse(null, 'options: expected');
});
