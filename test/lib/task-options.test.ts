// What can be asked of a task of JavaScript: its turn, its place, its time, an isolate of its own.
import { Channel, HeddleError, runtime, spawn } from 'heddle';
import type { Task } from 'heddle';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { tasks } from './fixtures/tasks.mjs';
import { expectRefusal, expectRejection, rejectionOf, until } from './support.js';

const upTo = (count: number): number[] => Array.from({ length: count }, (_, i) => i);

/** Resolves with the number of the thread that it keeps busy until `go` is closed. */
async function block(go: Channel<unknown>, options = {}): Promise<[Task<number>, thread: number]> {
  const started = new Channel<number>(1);
  const task = spawn(options, tasks.block, started, go);
  const { value } = (await started.recv()) as { value: number };
  return [task, value];
}

describe('with one isolate', () => {
  let isolates: number;
  beforeAll(() => {
    isolates = runtime.isolates;
    runtime.isolates = 1;
  });
  afterAll(() => {
    runtime.isolates = isolates;
  });

  test('tasks of a higher priority start first, equal ones in their order', async () => {
    const [go, order] = [new Channel<unknown>(), new Channel<string>(100)];
    const [blocker] = await block(go);
    const priorities = [0, -100, 5, 0, 100, 5, -1, undefined];
    const queued = priorities.map((priority, i) =>
      spawn(priority === undefined ? {} : { priority }, tasks.note, order, `${priority} ${i}`),
    );
    go.close();
    await Promise.all([blocker, ...queued]);
    const words = await order.recvMany(100);
    expect(words).toEqual(['100 4', '5 2', '5 5', '0 0', '0 3', 'undefined 7', '-1 6', '-100 1']);
  });

  test('no more than one is started', async () => {
    const threads = await Promise.all(upTo(200).map(() => spawn(tasks.where)));
    expect(new Set(threads).size).toBe(1);
    expect(runtime.stats().isolates).toHaveLength(1);
  });
});

describe('the number of isolates', () => {
  afterAll(() => {
    runtime.isolates = 2;
  });

  test('holds, however many tasks wait, also after it was changed', async () => {
    for (const most of [3, 1, 4, 2]) {
      runtime.isolates = most;
      const [go, started] = [new Channel<unknown>(), new Channel<number>(16)];
      await until(() => runtime.stats().isolates.length <= most);
      const blocked = upTo(6).map(() => spawn(tasks.block, started, go));
      await until(() => started.length === most);
      expect(runtime.stats().isolates).toHaveLength(most);
      expect(runtime.stats().queuedTasks).toBe(6 - most);
      go.close();
      const threads = await Promise.all(blocked);
      expect(new Set(threads).size).toBe(most);
      for (let i = 0; i < 6; i += 1) await started.recv();
    }
  });

  test('tasks in isolates that are too many come to their end', async () => {
    runtime.isolates = 3;
    const [go, started] = [new Channel<unknown>(), new Channel<number>(16)];
    const blocked = upTo(3).map(() => spawn(tasks.block, started, go));
    await until(() => started.length === 3);
    runtime.isolates = 1;
    go.close();
    expect(new Set(await Promise.all(blocked)).size).toBe(3);
    await until(() => runtime.stats().isolates.length === 1);
    expect(await spawn(tasks.one, 'next')).toBe('next');
  });

  test('grows for what waits for an isolate that was woken and does something else', async () => {
    runtime.isolates = 1;
    await until(() => runtime.stats().isolates.length <= 1);
    const [begun, go] = [new Channel<number>(1), new Channel<unknown>()];
    const resumed = spawn(
      async (ctx, begun, go) => {
        await begun.send(1);
        await go.recv();
        await begun.send(2);
        while (!ctx.done);
      },
      begun,
      go,
    );
    await begun.recv();
    await until(() => runtime.stats().isolates[0]!.idle);
    runtime.isolates = 2;
    await go.send(0);
    await begun.recv();
    expect(await spawn(tasks.one, 'meanwhile')).toBe('meanwhile');
    expect(resumed.state).toBe('running');
    resumed.cancel();
    await resumed;
  });

  test('may not be nonsense', () => {
    for (const count of [0, -1, 1.5, 257, Number.NaN, '2' as never]) {
      expectRefusal('ERR_HEDDLE_OPTION', () => (runtime.isolates = count), 'isolates: expected');
    }
  });
});

describe('pin', () => {
  beforeAll(() => {
    runtime.isolates = 2;
  });

  test('keeps tasks in one isolate, and their state with them', async () => {
    const counts = await Promise.all(upTo(50).map((i) => spawn({ pin: i % 2 }, tasks.count)));
    for (const pin of [0, 1]) {
      const own = counts.filter((_, i) => i % 2 === pin);
      expect(new Set(own.map(([thread]) => thread)).size).toBe(1);
      const first = own[0]![1];
      expect(own.map(([, count]) => count)).toEqual(own.map((_, i) => first + i));
    }
    expect(counts[0]![0]).not.toBe(counts[1]![0]);
  });

  test('waits for its isolate though another one is free', async () => {
    const go = new Channel<unknown>();
    const [blocker, thread] = await block(go, { pin: 0 });
    const pinned = spawn({ pin: 0 }, tasks.where);
    expect(await spawn(tasks.where)).not.toBe(thread);
    expect(pinned.state).toBe('runnable');
    expect(runtime.stats().queuedTasks).toBe(1);
    go.close();
    expect(await Promise.all([blocker, pinned])).toEqual([thread, thread]);
  });

  test('beyond the number of isolates is refused, and nothing is queued', () => {
    expectRefusal(
      'ERR_HEDDLE_OPTION',
      () => spawn({ pin: 2 }, tasks.one),
      'pin: expected',
      'got 2',
    );
    expect(runtime.stats().queuedTasks).toBe(0);
  });
});

describe('timeout', () => {
  test('ends a task that listens, with a TimeoutError that names it', async () => {
    const task = spawn({ timeout: 20 }, tasks.waitOnSignal, new Channel<string>(1));
    const error = (await rejectionOf(task)) as DOMException;
    expect(error.name).toBe('TimeoutError');
    expect(error.message).toContain('waitOnSignal has run for longer than 20 ms');
    expect(task.state).toBe('cancelled');
  });

  test('counts from the start, not while the task waits for an isolate', async () => {
    const go = new Channel<unknown>();
    const blockers = await Promise.all(upTo(2).map(() => block(go)));
    const task = spawn({ timeout: 50 }, tasks.one, 'value');
    const begin = performance.now();
    while (performance.now() - begin < 120) await new Promise(setImmediate);
    expect(task.state).toBe('runnable');
    go.close();
    expect(await task).toBe('value');
    await Promise.all(blockers.map(([each]) => each));
  });

  test('that has not passed changes nothing', async () => {
    expect(await spawn({ timeout: 60_000, kill: true }, tasks.later, 1)).toBe(1);
  });
});

describe('kill', () => {
  test('ends the isolate of a task without end, fails what runs there, and no other', async () => {
    const go = new Channel<unknown>();
    const started = new Channel<number>(2);
    const beside = spawn({ pin: 0 }, tasks.hold, started, go);
    const elsewhere = spawn({ pin: 1 }, tasks.hold, started, go);
    for (let i = 0; i < 2; i += 1) await started.recv();
    const forever = { pin: 0, timeout: 50, kill: true, name: 'endless' };
    const task = spawn(forever, tasks.forever, new Channel<string>(1));
    const error = (await rejectionOf(task)) as DOMException;
    expect(error.name).toBe('TimeoutError');
    expect(error.message).toContain('endless');
    expect(task.state).toBe('cancelled');
    await expectRejection('ERR_HEDDLE_ISOLATE_EXIT', beside, 'the kill of another task');
    expect(elsewhere.state).toBe('running');
    go.close();
    await elsewhere;
    // Another one is there in its place.
    expect(typeof (await spawn({ pin: 0 }, tasks.where))).toBe('number');
  });

  test('happens to one isolate of two that hang, each for its own task', async () => {
    const hang = (): Task<never> =>
      spawn({ timeout: 30, kill: true }, tasks.forever, new Channel<string>(1));
    for (let round = 0; round < 3; round += 1) {
      const reasons = await Promise.all([hang(), hang(), hang()].map(rejectionOf));
      expect(reasons.map((reason) => (reason as Error).name)).toEqual(
        new Array(3).fill('TimeoutError'),
      );
    }
    expect(await Promise.all(upTo(50).map((i) => spawn(tasks.one, i)))).toEqual(upTo(50));
  });

  test('of a task that had never begun touches nobody else', async () => {
    const go = new Channel<unknown>();
    const [task] = await block(go);
    const signal = AbortSignal.abort('before');
    for (let i = 0; i < 50; i += 1) {
      const never = spawn({ signal, timeout: 1, kill: true }, tasks.one);
      expect(await rejectionOf(never)).toBe('before');
    }
    const begin = performance.now();
    while (performance.now() - begin < 60) await new Promise(setImmediate);
    expect(task.state).toBe('running');
    go.close();
    await task;
  });
});

describe("on: 'thread'", () => {
  test('runs a task in an isolate of its own, that ends with it', async () => {
    const shared = await spawn(tasks.where);
    const threads = await Promise.all(upTo(3).map(() => spawn({ on: 'thread' }, tasks.where)));
    expect(new Set([shared, ...threads]).size).toBe(4);
    const [first, second] = [await spawn({ on: 'thread' }, tasks.count), await spawn(tasks.count)];
    expect(first[1]).toBe(1);
    expect(second[0]).not.toBe(first[0]);
  });

  test('fails and is cancelled like another one', async () => {
    const options = { on: 'thread' } as const;
    expect(await rejectionOf(spawn(options, tasks.fail))).toMatchObject({ name: 'SizeError' });
    const task = spawn(options, tasks.waitOnSignal, new Channel<string>(1));
    await until(() => task.state === 'running');
    task.cancel('enough');
    expect(await rejectionOf(task)).toBe('enough');
    spawn(options, tasks.one).cancel();
    const hang = { ...options, timeout: 30, kill: true };
    const killed = spawn(hang, tasks.forever, new Channel<string>(1));
    expect(await rejectionOf(killed)).toMatchObject({ name: 'TimeoutError' });
    const exit = spawn(options, tasks.exit, 3);
    await expectRejection('ERR_HEDDLE_ISOLATE_EXIT', exit, 'exit code 3');
  });
});

describe('options out of their range', () => {
  const table: [option: string, values: unknown[]][] = [
    ['priority', [101, -101, 0.5, Number.NaN, '1', null]],
    ['pin', [-1, 256, 0.5, Number.NaN, '1', null]],
    ['timeout', [-1, 0.5, 2 ** 31, Infinity, Number.NaN, '1', null]],
    ['deadline', [-1, 0.5, 2 ** 32, Infinity, Number.NaN, '1', null]],
    ['kill', ['yes', 1, null]],
    ['name', [5, null]],
    ['on', ['fiber', true, null]],
    ['signal', [{}, null]],
    ['context', [{}, null]],
  ];
  test.each(table)('%s', (option, values) => {
    for (const value of values) {
      const options = { timeout: 1, [option]: value };
      expectRefusal('ERR_HEDDLE_OPTION', () => spawn(options, tasks.one), `${option}: expected`);
    }
  });

  test('kill without a timeout', () => {
    expectRefusal('ERR_HEDDLE_OPTION', () => spawn({ kill: true }, tasks.one), 'kill: expected');
  });

  test('are refused before anything is queued or started', () => {
    const { isolates, queuedTasks } = runtime.stats();
    expect(() => spawn({ on: 'thread', priority: 1_000 }, tasks.one)).toThrow(HeddleError);
    expect(runtime.stats().isolates).toHaveLength(isolates.length);
    expect(runtime.stats().queuedTasks).toBe(queuedTasks);
  });
});
