// Tasks that are generators: their values in order, as many as there is credit for, and their end.
import { Channel, runtime, spawn } from 'heddle';
import type { Context } from 'heddle';
import { expect, test } from 'vitest';
import { tasks } from './fixtures/tasks.mjs';
import { expectRejection, rejectionOf, thrownBy, until } from './support.js';

const kCredit = 16;

async function listOf<T>(values: AsyncIterable<T>): Promise<T[]> {
  const list: T[] = [];
  for await (const value of values) list.push(value);
  return list;
}

const upTo = (count: number): number[] => Array.from({ length: count }, (_, i) => i);

test('what a generator yields can be iterated, and its task is its end', async () => {
  const task = spawn(tasks.yieldAll, 1_000);
  expect(await listOf(task)).toEqual(upTo(1_000));
  expect(await task).toBeUndefined();
  expect(task.state).toBe('done');
});

test.each([0, 1, kCredit - 1, kCredit, kCredit + 1])('%i values come, no more', async (count) => {
  expect(await listOf(spawn(tasks.yieldAll, count))).toEqual(upTo(count));
});

test('a synchronous generator streams as well', async () => {
  expect(await listOf(spawn(tasks.yieldSync, 100))).toEqual(upTo(100).map((i) => ({ i })));
});

test('an inline generator streams as well, with options or without', async () => {
  const squares = async function* (_ctx: Context, count: number): AsyncGenerator<number> {
    for (let i = 0; i < count; i += 1) yield await Promise.resolve(i * i);
  };
  expect(await listOf(spawn(squares, 4))).toEqual([0, 1, 4, 9]);
  expect(await listOf(spawn({ name: 'squares' }, squares, 4))).toEqual([0, 1, 4, 9]);
  expect(await listOf(spawn({ on: 'thread' }, squares, 4))).toEqual([0, 1, 4, 9]);
});

test('bytes are moved through it', async () => {
  const list = await listOf(spawn(tasks.yieldBytes, 50));
  expect(list).toEqual(upTo(50).map((i) => new Uint8Array(8).fill(i)));
});

test('many streams go on at once', async () => {
  const lists = await Promise.all(upTo(50).map((i) => listOf(spawn(tasks.yieldAll, 10 * i))));
  expect(lists).toEqual(upTo(50).map((i) => upTo(10 * i)));
});

test('the producer stops when the credit is used up, and goes on value by value', async () => {
  const seen = new Channel<unknown>(1_000);
  const task = spawn(tasks.yieldAll, 1_000, seen);
  const iterator = task[Symbol.asyncIterator]();
  // So many are in the stream, and one waits to be sent.
  for (let taken = 1; taken <= 5; taken += 1) {
    expect(await iterator.next()).toEqual({ done: false, value: taken - 1 });
    await until(() => seen.length === kCredit + 1 + taken);
    // A task that begins later shows that the isolates have had their turns meanwhile.
    await Promise.all(upTo(20).map(() => spawn(tasks.later, 1)));
    expect(seen.length).toBe(kCredit + 1 + taken);
  }
  await iterator.return?.();
  expect(await task).toBeUndefined();
});

test('a break ends the producer, which tidies up', async () => {
  const seen = new Channel<unknown>(1_000);
  const task = spawn(tasks.yieldAll, 1_000, seen);
  for await (const value of task) if (value === 3) break;
  const values: unknown[] = [];
  for await (const value of seen) {
    values.push(value);
    if (value === 'end') break;
  }
  expect(values.length).toBeLessThan(kCredit + 10);
  expect(await task).toBeUndefined();
  await until(() => runtime.stats().isolates.every(({ started }) => started === 0));
});

test('a break ends a producer that waits for something else', async () => {
  const seen = new Channel<unknown>(4);
  const task = spawn(tasks.yieldAndWait, seen);
  for await (const value of task) {
    expect(value).toBe('first');
    break;
  }
  expect(await seen.recv()).toEqual({ ok: true, value: 'end' });
  expect(await task).toBeUndefined();
});

test('a break in hundreds of streams at once ends all of them', async () => {
  const first = async (i: number): Promise<void> => {
    for await (const value of spawn(tasks.yieldAll, 100)) if (value === i % 20) break;
  };
  for (let round = 0; round < 20; round += 1) await Promise.all(upTo(20).map(first));
  await until(() => runtime.stats().isolates.every(({ started }) => started === 0));
});

test('a failure comes after the values before it', async () => {
  const seen = new Channel<unknown>(100);
  const values: number[] = [];
  const all = (async () => {
    for await (const value of spawn(tasks.yieldAll, 100, seen, 30)) values.push(value);
  })();
  expect(await rejectionOf(all)).toMatchObject({ name: 'SizeError', message: 'at 30' });
  expect(values).toEqual(upTo(30));
});

test('a failure waits for a slow consumer, and is not unhandled meanwhile', async () => {
  const task = spawn(tasks.yieldAll, 100, undefined, 10);
  const values: number[] = [];
  const all = (async () => {
    for await (const value of task) {
      if (value === 0) await until(() => task.state === 'failed');
      await new Promise(setImmediate);
      values.push(value);
    }
  })();
  expect(await rejectionOf(all)).toMatchObject({ name: 'SizeError', message: 'at 10' });
  expect(values).toEqual(upTo(10));
});

test('a failure that comes before a break is nobody’s any more', async () => {
  const task = spawn(tasks.yieldAll, 100, undefined, 10);
  for await (const value of task) {
    expect(value).toBe(0);
    await until(() => task.state === 'failed');
    break;
  }
  await new Promise(setImmediate);
  expect(task.state).toBe('failed');
});

test('a value that cannot be cloned fails the task with the path to it', async () => {
  const values: unknown[] = [];
  const all = (async () => {
    for await (const value of spawn(tasks.yieldFunction)) values.push(value);
  })();
  await expectRejection('ERR_HEDDLE_VALUE', all, 'got function');
  expect(values).toEqual([1]);
});

test('a cancellation reaches whoever iterates', async () => {
  const seen = new Channel<unknown>(4);
  const task = spawn(tasks.yieldAndWait, seen);
  const all = listOf(task);
  await until(() => task.state === 'running');
  task.cancel('enough');
  expect(await rejectionOf(all)).toBe('enough');
  expect(await rejectionOf(task)).toBe('enough');
});

test('a signal ends the stream, before it begins as well', async () => {
  const seen = new Channel<unknown>(4);
  const signal = AbortSignal.abort('before');
  expect(await rejectionOf(listOf(spawn({ signal }, tasks.yieldAndWait, seen)))).toBe('before');
  const deadline = spawn({ deadline: 20 }, tasks.yieldAndWait, seen);
  expect(await rejectionOf(listOf(deadline))).toMatchObject({ name: 'TimeoutError' });
});

test('the death of the isolate fails whoever iterates, after the values before it', async () => {
  const values: unknown[] = [];
  const all = (async () => {
    for await (const value of spawn(tasks.yieldAndDie)) values.push(value);
  })();
  await expectRejection('ERR_HEDDLE_ISOLATE_EXIT', all, 'exit code 4');
  expect(values).toEqual(['last words']);
});

test('the death of an isolate settles all that waits for its streams', async () => {
  const wait = { on: 'thread' } as const;
  const streams = upTo(4).map(() => spawn(wait, tasks.yieldAndDie));
  const waits = streams.flatMap((stream) => {
    const iterators = [stream[Symbol.asyncIterator](), stream[Symbol.asyncIterator]()];
    return iterators.map(async (iterator) => {
      while (!(await iterator.next()).done);
    });
  });
  for (const settled of await Promise.allSettled([...waits, ...streams])) {
    expect(settled.status).toBe('rejected');
  }
  expect(await Promise.all(upTo(100).map((i) => spawn(tasks.one, i)))).toEqual(upTo(100));
});

test('streams end among thousands of results that arrive with them', async () => {
  // All that arrives while this isolate is busy is one batch, or a few.
  const streams = upTo(20).map(() => spawn(tasks.yieldAll, 3));
  const waits = streams.map((stream) => {
    const iterators = [stream[Symbol.asyncIterator](), stream[Symbol.asyncIterator]()];
    return Promise.all(iterators.map((each) => listOf({ [Symbol.asyncIterator]: () => each })));
  });
  const many = upTo(5_000).map((i) => spawn(tasks.one, { i }));
  const begin = performance.now();
  while (performance.now() - begin < 100);
  expect(await Promise.all(many)).toEqual(upTo(5_000).map((i) => ({ i })));
  for (const [first, second] of await Promise.all(waits)) {
    expect([...first!, ...second!].sort()).toEqual([0, 1, 2]);
  }
});

test('a stream that nobody iterates waits with its credit, and can be cancelled', async () => {
  const seen = new Channel<unknown>(1_000);
  const task = spawn(tasks.yieldAll, 1_000, seen);
  await until(() => seen.length === kCredit + 1);
  task.cancel('enough');
  expect(await rejectionOf(task)).toBe('enough');
  expect(seen.length).toBe(kCredit + 2); // the end
});

test('a refused spawn of a generator leaves nothing', () => {
  const error = thrownBy(() => spawn(tasks.yieldAll, (() => {}) as never));
  expect(error).toMatchObject({ code: 'ERR_HEDDLE_VALUE' });
});
