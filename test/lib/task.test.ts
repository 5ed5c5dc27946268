// The promise of a task: its state over its life, and all the ways in which a task is cancelled.
import { getEventListeners } from 'node:events';
import { HeddleError, kernels, runtime, sleep, spawn } from 'heddle';
import type { KernelOptions, Task } from 'heddle';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { kHourMs, outputOf, rejectionOf, runScript, thrownBy, until } from './support.js';

const kPlaces: [string, KernelOptions][] = [
  ['a compact fiber', { stack: 'compact' }],
  ['a standard fiber', { stack: 'standard' }],
  ['a fiber with a stack of 32 KiB', { stack: 32_768 }],
  ['a fiber locked to its thread', { lockToThread: true }],
  ['a thread', { on: 'thread' }],
];

/** Fewer where each of them takes a thread. */
function countFor(options: KernelOptions, count: number): number {
  return options.on === 'thread' || options.lockToThread === true ? 100 : count;
}

const listenersOn = (signal: AbortSignal): number => getEventListeners(signal, 'abort').length;

describe('a task is a promise', () => {
  test('of the built-in class, so that awaiting it needs no wrapper', async () => {
    const task = spawn(kernels.echo, 'value');
    expect(task).toBeInstanceOf(Promise);
    expect(task.constructor).toBe(Promise);
    expect(Promise.resolve(task)).toBe(task);
    expect(await task).toBe('value');
    expect(await task).toBe('value');
  });

  test('whose derived promises are plain ones', async () => {
    const task = spawn(kernels.echo, 1);
    const derived = [task.then(String), task.catch(() => 0), task.finally(() => 0)];
    for (const each of derived) expect(Object.keys(each)).toEqual([]);
    expect(await Promise.all(derived)).toEqual(['1', 1, 1]);
  });

  test('that takes part in all, race, any and allSettled', async () => {
    const never = spawn(kernels.sleep, Infinity);
    const one = (): Task<unknown> => spawn(kernels.echo, 1);
    const bad = (): Task<never> => spawn(kernels.fail, 'bad');
    expect(await Promise.all([one(), one()])).toEqual([1, 1]);
    expect(await Promise.race([never, one()])).toBe(1);
    expect(await Promise.any([never, bad(), one()])).toBe(1);
    expect(await rejectionOf(Promise.all([never, bad()]))).toBeInstanceOf(HeddleError);
    expect((await Promise.allSettled([one(), bad()])).map(({ status }) => status)).toEqual([
      'fulfilled',
      'rejected',
    ]);
    never.cancel();
  });

  test('with a number of its own and the name that it was given', async () => {
    const tasks = [
      spawn(kernels.noop),
      spawn({}, kernels.noop),
      spawn({ name: 'resize' }, kernels.noop),
      sleep(0),
      spawn({ name: 'on a thread', on: 'thread' }, kernels.noop),
    ];
    expect(tasks.map(({ name }) => name)).toEqual([
      'noop',
      'noop',
      'resize',
      'sleep',
      'on a thread',
    ]);
    const ids = tasks.map(({ id }) => id);
    expect(ids.toSorted((a, b) => a - b)).toEqual(ids);
    expect(new Set(ids).size).toBe(ids.length);
    await Promise.all(tasks);
  });
});

describe.each(kPlaces)('the state of a task on %s', (_, options) => {
  test('is waiting while it sleeps, and cancelled when it has been', async () => {
    const task = spawn(options, kernels.sleep, Infinity);
    // A thread is always running, for heddle: what it waits for is the system's affair.
    await until(() => task.state === (options.on === 'thread' ? 'running' : 'waiting'));
    task.cancel();
    expect(await rejectionOf(task)).toBeInstanceOf(DOMException);
    expect(task.state).toBe('cancelled');
  });

  test('is running while it computes', async () => {
    const task = spawn(options, kernels.spin, kHourMs, true);
    await until(() => task.state === 'running');
    task.cancel();
    await rejectionOf(task);
  });

  test('is done when it has given its value', async () => {
    const task = spawn(options, kernels.echo, 'value');
    await task;
    expect(task.state).toBe('done');
  });

  test('is failed when its kernel has thrown', async () => {
    const task = spawn(options, kernels.fail, 'words');
    expect(await rejectionOf(task)).toBeInstanceOf(HeddleError);
    expect(task.state).toBe('failed');
  });

  test('is done only once the promise has settled', async () => {
    const tasks = Array.from({ length: 50 }, () => spawn(options, kernels.spin, 0.2));
    let settled = 0;
    for (const task of tasks) void task.then(() => (settled += 1));
    await until(() => {
      expect(tasks.filter(({ state }) => state === 'done')).toHaveLength(settled);
      return settled === tasks.length;
    });
  });
});

describe.each(kPlaces)('cancelling a task on %s', (_, options) => {
  test('rejects a waiting one with the reason', async () => {
    for (const reason of [new Error('enough'), 'a string', 7, { an: 'object' }, Symbol('s')]) {
      const task = spawn(options, kernels.sleep, Infinity);
      if (options.on !== 'thread') await until(() => task.state === 'waiting');
      task.cancel(reason);
      expect(await rejectionOf(task)).toBe(reason);
    }
  });

  test('rejects with an AbortError that names the task when there is no reason', async () => {
    const task = spawn({ ...options, name: 'resize' }, kernels.sleep, Infinity);
    task.cancel();
    const error = (await rejectionOf(task)) as DOMException;
    expect(error).toBeInstanceOf(DOMException);
    expect(error).toMatchObject({ name: 'AbortError', code: DOMException.ABORT_ERR });
    expect(error.message).toContain('resize');
  });

  test('ends a computation at its next checkpoint', async () => {
    const task = spawn(options, kernels.spin, kHourMs, true);
    await until(() => task.state === 'running');
    task.cancel('enough');
    expect(await rejectionOf(task)).toBe('enough');
    expect(task.state).toBe('cancelled');
  });

  test('changes nothing for a computation without checkpoints, which gives its value', async () => {
    const task = spawn(options, kernels.spin, 20, false);
    await until(() => task.state !== 'runnable');
    task.cancel('enough');
    expect(await task).toBeGreaterThan(0);
    expect(task.state).toBe('done');
  });

  test('changes nothing after the end', async () => {
    const task = spawn(options, kernels.echo, 'value');
    await task;
    task.cancel('late');
    expect([await task, task.state]).toEqual(['value', 'done']);
    const failed = spawn(options, kernels.fail, 'words');
    const error = await rejectionOf(failed);
    failed.cancel('late');
    expect([await rejectionOf(failed), failed.state]).toEqual([error, 'failed']);
  });

  test('does not touch the task that has its slot afterwards', async () => {
    const first = spawn(options, kernels.noop);
    await first;
    const second = spawn(options, kernels.spin, 3, true);
    first.cancel('late');
    expect(await second).toBeGreaterThan(0);
  });

  test('keeps the first reason', async () => {
    const task = spawn(options, kernels.sleep, Infinity);
    for (const reason of ['first', 'second', undefined]) task.cancel(reason);
    expect(await rejectionOf(task)).toBe('first');
    task.cancel('third');
    expect(await rejectionOf(task)).toBe('first');
  });

  test('right after the spawn ends it, or it ends by itself, and nothing hangs', async () => {
    const count = countFor(options, 5_000);
    const tasks = Array.from({ length: count }, () => spawn(options, kernels.sleep, 0));
    tasks.forEach((task, i) => i % 2 === 0 && task.cancel('enough'));
    for (const [i, settled] of (await Promise.allSettled(tasks)).entries()) {
      if (settled.status === 'rejected') expect([settled.reason, i % 2]).toEqual(['enough', 0]);
    }
  });

  test('ends ten of many that wait, and these only', async () => {
    const count = countFor(options, 10_000);
    const tasks = Array.from({ length: count }, () => spawn(options, kernels.sleep, Infinity));
    const few = tasks.filter((_task, i) => i % (count / 10) === 3);
    for (const task of few) task.cancel(task.id);
    expect(await Promise.all(few.map(rejectionOf))).toEqual(few.map(({ id }) => id));
    expect(tasks.filter(({ state }) => state === 'cancelled')).toEqual(few);
    for (const task of tasks) task.cancel();
    await Promise.allSettled(tasks);
  });
});

describe('behind a queue on one processor', () => {
  let processors: number;
  beforeAll(() => {
    processors = runtime.processors;
    runtime.processors = 1;
  });
  afterAll(() => {
    runtime.processors = processors;
  });

  const queue = (): Promise<unknown> =>
    Promise.all(Array.from({ length: 100 }, () => spawn(kernels.spin, 1)));

  test('a task is runnable', async () => {
    const before = queue();
    const tasks = Array.from({ length: 10 }, () => spawn(kernels.noop));
    expect(tasks.map(({ state }) => state)).toContain('runnable');
    await Promise.all([before, ...tasks]);
  });

  test('a task that is cancelled does not begin', async () => {
    const before = queue();
    // If it began, nothing would end it within the hour.
    const task = spawn(kernels.spin, kHourMs, false);
    task.cancel('enough');
    expect(await rejectionOf(task)).toBe('enough');
    await before;
  });
});

describe.each(kPlaces)('a signal for a task on %s', (_, options) => {
  test('that has fired keeps it from beginning', async () => {
    const reason = new Error('before');
    const signal = AbortSignal.abort(reason);
    const before = runtime.stats();
    const task = spawn({ ...options, signal }, kernels.spin, kHourMs);
    expect(task.state).toBe('cancelled');
    expect(await rejectionOf(task)).toBe(reason);
    expect(runtime.stats().spawned).toBe(before.spawned);
    expect(runtime.stats().threads.started).toBe(before.threads.started);
    expect(listenersOn(signal)).toBe(0);
  });

  test('that fires while it waits ends it with the reason of the signal', async () => {
    const controller = new AbortController();
    const { signal } = controller;
    const task = spawn({ ...options, signal }, kernels.sleep, Infinity);
    expect(listenersOn(signal)).toBe(1);
    if (options.on !== 'thread') await until(() => task.state === 'waiting');
    controller.abort();
    expect(await rejectionOf(task)).toBe(signal.reason);
    expect(task.state).toBe('cancelled');
    expect(listenersOn(signal)).toBe(0);
  });

  test('that fires while it computes ends it at a checkpoint', async () => {
    const signal = AbortSignal.timeout(10);
    const task = spawn({ ...options, signal }, kernels.spin, kHourMs, true);
    expect(await rejectionOf(task)).toBe(signal.reason);
    expect((signal.reason as DOMException).name).toBe('TimeoutError');
  });

  test('that fires after its end changes nothing', async () => {
    const controller = new AbortController();
    const { signal } = controller;
    const task = spawn({ ...options, signal }, kernels.echo, 'value');
    await task;
    expect(listenersOn(signal)).toBe(0);
    controller.abort();
    expect([await task, task.state]).toEqual(['value', 'done']);
  });

  test('has no listener left when it fails, and none when the spawn is refused', async () => {
    const { signal } = new AbortController();
    await rejectionOf(spawn({ ...options, signal }, kernels.fail, 'words'));
    expect(listenersOn(signal)).toBe(0);
    thrownBy(() => spawn({ ...options, signal }, kernels.fib, -1));
    expect(listenersOn(signal)).toBe(0);
  });

  test('has no listener left when the task is cancelled otherwise', async () => {
    const controller = new AbortController();
    const task = spawn({ ...options, signal: controller.signal }, kernels.sleep, Infinity);
    task.cancel('first');
    controller.abort('second');
    expect(await rejectionOf(task)).toBe('first');
    expect(listenersOn(controller.signal)).toBe(0);
  });
});

test('one signal ends a thousand tasks with one listener, and has none left', async () => {
  const controller = new AbortController();
  const { signal } = controller;
  const tasks = Array.from({ length: 1_000 }, (_, i) =>
    i % 2 === 0 ? spawn({ signal }, kernels.sleep, Infinity) : sleep(Infinity, { signal }),
  );
  expect(listenersOn(signal)).toBe(1);
  controller.abort('all of you');
  const reasons = await Promise.all(tasks.map(rejectionOf));
  expect(new Set(reasons)).toEqual(new Set(['all of you']));
  expect(listenersOn(signal)).toBe(0);
});

test.each([null, 0, '', false])(
  'a reason may be %s, from a signal or without one',
  async (reason) => {
    const controller = new AbortController();
    const { signal } = controller;
    const followers = [spawn({ signal }, kernels.sleep, Infinity), sleep(Infinity, { signal })];
    controller.abort(reason);
    const task = sleep(Infinity);
    task.cancel(reason);
    const late = spawn({ signal }, kernels.noop);
    expect(await Promise.all([...followers, task, late].map(rejectionOf))).toEqual(
      new Array(4).fill(reason),
    );
  },
);

test('what a task keeps for itself cannot be reached', () => {
  const task = sleep(Infinity);
  expect(Object.keys(task).sort()).toEqual(['id', 'name']);
  task.cancel();
});

test('a signal of several sources gives the reason of the one that fired', async () => {
  const controllers = [new AbortController(), new AbortController()];
  const signal = AbortSignal.any(controllers.map((each) => each.signal));
  const task = spawn({ signal }, kernels.sleep, Infinity);
  controllers[1]!.abort('the second');
  expect(await rejectionOf(task)).toBe('the second');
});

describe('a failure that nobody awaits', () => {
  const heard = (body: string): Promise<string> =>
    outputOf(`
      import { kernels, sleep, spawn } from 'heddle';
      process.on('unhandledRejection', (error) => console.log('unhandled', error.code));
      process.on('warning', (warning) => console.log('warning', warning.message));
      ${body}
      await spawn(kernels.noop);
      await sleep(20);
      console.log('end');
    `);

  test.each(['', "{ on: 'thread' }, "])('is an unhandledRejection (%s)', async (options) => {
    const words = await heard(`spawn(${options}kernels.fail, 'words');`);
    expect(words).toBe('unhandled ERR_HEDDLE_KERNEL\nend');
  });

  test('is one also where the task derives another promise', async () => {
    const words = await heard(`spawn(kernels.readFile, '/nowhere').then(() => {});`);
    expect(words).toBe('unhandled ENOENT\nend');
  });

  const own: [string, string][] = [
    ['its cancel while it waits', 'spawn(kernels.sleep, Infinity).cancel();'],
    ['its cancel with a reason', "spawn(kernels.sleep, Infinity).cancel(new Error('mine'));"],
    ['its cancel on a thread', "spawn({ on: 'thread' }, kernels.sleep, 1e6).cancel();"],
    ['its cancel while it computes', 'spawn(kernels.spin, 3e6, true).cancel();'],
    ['the cancel of a sleep', 'sleep(1e6).cancel();'],
    ['a signal that has fired', 'spawn({ signal: AbortSignal.abort() }, kernels.noop);'],
    ['a signal that has fired for a sleep', 'sleep(5, { signal: AbortSignal.abort() });'],
    ['a signal', 'spawn({ signal: AbortSignal.timeout(5) }, kernels.sleep, 1e6);'],
  ];
  test.each(own)('is none if it was caused by %s', async (_, body) => {
    expect(await heard(body)).toBe('end');
  });

  test('ends a process that does not listen, with its stack on stderr', async () => {
    const script = `import { kernels, spawn } from 'heddle'; spawn(kernels.fail, 'the words');`;
    const { code, stderr } = await runScript(script);
    expect(code).toBe(1);
    expect(stderr).toContain('HeddleError: std::runtime_error: the words');
  });
});
