// Groups: tasks that end together, for one reason.
import { getEventListeners } from 'node:events';
import { background, Channel, group, kernels } from 'heddle';
import { describe, expect, test } from 'vitest';
import { expectRefusal, expectRejection, kHourMs, outputOf } from './support.js';
import { rejectionOf, stateOf, thrownBy } from './support.js';

describe('a group', () => {
  test('gives all results in the order of the spawns', async () => {
    const g = group();
    void g.spawn(kernels.sleep, 20);
    void g.spawn(kernels.fib, 10);
    void g.spawn({ name: 'echo', on: 'thread' }, kernels.echo, 'text');
    void g.spawn({}, kernels.fib, 5);
    expect(await g.wait()).toEqual([undefined, 55, 'text', 5]);
  });

  test('without tasks gives none', async () => {
    expect(await group().wait()).toEqual([]);
  });

  test('gives tasks that are awaited, asked and cancelled as any other', async () => {
    const g = group();
    const task = g.spawn({ name: 'nap' }, kernels.sleep, kHourMs);
    expect([task.name, typeof task.id]).toEqual(['nap', 'number']);
    expect(await g.spawn(kernels.fib, 10)).toBe(55);
    task.cancel('mine');
    expect(await rejectionOf(task)).toBe('mine');
    expect(await rejectionOf(g.wait())).toBe('mine');
  });

  test('waits for tasks that come while it waits', async () => {
    const g = group<number>();
    const first = g.spawn(kernels.fib, 10);
    const waiting = g.wait();
    await first;
    const second = g.spawn(kernels.fib, 20);
    await second.then(() => void g.spawn(kernels.fib, 5));
    expect(await waiting).toEqual([55, 6765, 5]);
  });

  test('gives the same promise to all who wait', async () => {
    const g = group();
    void g.spawn(kernels.fib, 10);
    expect(g.wait()).toBe(g.wait());
    expect(await g.wait()).toEqual([55]);
    expect(await g.wait()).toEqual([55]);
  });

  test('of a hundred thousand tasks keeps them apart', async () => {
    const g = group<unknown>();
    for (let n = 0; n < 100_000; n += 1) void g.spawn(kernels.echo, n);
    const results = await g.wait();
    expect(results).toHaveLength(100_000);
    expect(results.every((result, n) => result === n)).toBe(true);
  });

  test('that has ended takes no more tasks', async () => {
    const g = group();
    await g.wait();
    expectRefusal('ERR_HEDDLE_GROUP_CLOSED', () => g.spawn(kernels.fib, 5), 'expected');
    const failed = group();
    void failed.spawn(kernels.fail, 'words');
    await rejectionOf(failed.wait());
    expectRefusal('ERR_HEDDLE_GROUP_CLOSED', () => failed.spawn(kernels.fib, 5));
  });
});

describe('the first failure', () => {
  test('cancels the others, for that reason, and is what the wait rejects with', async () => {
    const g = group();
    const others = [g.spawn(kernels.sleep, kHourMs), g.spawn(kernels.sleep, kHourMs)];
    void g.spawn(kernels.readFile, '/no/such/file');
    const error = await rejectionOf(g.wait());
    expect(error).toMatchObject({ code: 'ENOENT' });
    for (const task of others) {
      expect(task.state).toBe('cancelled');
      expect(await rejectionOf(task)).toBe(error);
    }
  });

  test('is known before those that it causes, and those that come after it', async () => {
    const g = group();
    const gate = new Channel();
    const first = g.spawn(kernels.fail, 'first');
    const second = g.spawn(kernels.consume, gate);
    await rejectionOf(first);
    gate.close();
    await second.catch(() => {});
    const third = g.spawn(kernels.fail, 'third');
    await expectRejection('ERR_HEDDLE_KERNEL', g.wait(), 'first');
    expect(third.state).toBe('cancelled');
  });

  test('is told only when all tasks have ended', async () => {
    const g = group();
    const deaf = g.spawn(kernels.spin, 100);
    void g.spawn(kernels.fail, 'words');
    await expectRejection('ERR_HEDDLE_KERNEL', g.wait(), 'words');
    expect(deaf.state).not.toBe('running');
    expect(deaf.state).not.toBe('runnable');
  });

  test('keeps later tasks from beginning', async () => {
    const g = group();
    const first = g.spawn(kernels.fail, 'first');
    const error = await rejectionOf(first);
    const late = g.spawn({ name: 'late' }, kernels.sleep, kHourMs);
    expect([late.state, late.name]).toEqual(['cancelled', 'late']);
    expect(await rejectionOf(late)).toBe(error);
    expect(await rejectionOf(g.wait())).toBe(error);
  });

  test('is the rejection of the wait alone, which is one if nobody awaits it', async () => {
    const script = (end: string) => `
      import { group, kernels } from 'heddle';
      process.on('unhandledRejection', (error) => console.log(error.message.split(';')[0]));
      const g = group();
      g.spawn(kernels.fail, 'words');
      g.spawn(kernels.sleep, 3_600_000);
      ${end}`;
    expect(await outputOf(script(''))).toBe('');
    expect(await outputOf(script('g.cancel();'))).toBe('');
    expect(await outputOf(script('void g.wait(); g.cancel();'))).toBe('');
    expect(await outputOf(script('void g.wait();'))).toContain('words');
  });
});

describe('a cancellation', () => {
  test('ends all tasks with its reason, the first one', async () => {
    const g = group();
    const tasks = [g.spawn(kernels.sleep, kHourMs), g.spawn(kernels.sleep, kHourMs)];
    g.cancel('enough');
    g.cancel('later');
    expect(await rejectionOf(g.wait())).toBe('enough');
    for (const task of tasks) expect(await rejectionOf(task)).toBe('enough');
  });

  test('without a reason has an AbortError, and none of a falsy one', async () => {
    const g = group();
    const task = g.spawn(kernels.sleep, kHourMs);
    g.cancel();
    expect(await rejectionOf(g.wait())).toMatchObject({ name: 'AbortError' });
    expect(await rejectionOf(task)).toMatchObject({ name: 'AbortError' });
    const other = group();
    other.cancel(0);
    expect(await rejectionOf(other.spawn(kernels.sleep, kHourMs))).toBe(0);
    expect(await rejectionOf(other.wait())).toBe(0);
  });

  test('after the end changes nothing', async () => {
    const g = group();
    void g.spawn(kernels.fib, 10);
    await g.wait();
    g.cancel('late');
    expect(await g.wait()).toEqual([55]);
  });

  test('by the signal of the group reaches all, and leaves no listener', async () => {
    const end = new AbortController();
    const g = group({ signal: end.signal });
    const own = new AbortController();
    const tasks = [
      g.spawn(kernels.sleep, kHourMs),
      g.spawn({ signal: own.signal }, kernels.sleep, kHourMs),
    ];
    const waiting = g.wait();
    expect(getEventListeners(end.signal, 'abort')).toHaveLength(1);
    end.abort('over');
    expect(await rejectionOf(waiting)).toBe('over');
    for (const task of tasks) expect(await rejectionOf(task)).toBe('over');
    for (const { signal } of [end, own]) {
      expect(getEventListeners(signal, 'abort')).toHaveLength(0);
    }
  });

  test('by a signal that has fired before keeps tasks from beginning', async () => {
    const g = group({ signal: AbortSignal.abort('before') });
    expect(await rejectionOf(g.spawn(kernels.fail, 'began'))).toBe('before');
    expect(await rejectionOf(g.wait())).toBe('before');
    expect(await rejectionOf(group({ signal: AbortSignal.abort('empty') }).wait())).toBe('empty');
  });

  test('by a context reaches all, also those that have a deadline of their own', async () => {
    const { ctx, cancel } = background().withCancel();
    const g = group({ context: ctx });
    void g.spawn(kernels.sleep, kHourMs);
    const task = g.spawn({ deadline: kHourMs }, kernels.sleep, kHourMs);
    cancel('over');
    expect(await rejectionOf(g.wait())).toBe('over');
    expect(task.state).toBe('cancelled');
    expect(getEventListeners(ctx.signal, 'abort')).toHaveLength(0);
  });

  test('by a deadline of a context or of a task ends the group', async () => {
    const g = group({ context: background().withTimeout(5).ctx });
    void g.spawn(kernels.sleep, kHourMs);
    expect(await rejectionOf(g.wait())).toMatchObject({ name: 'TimeoutError' });
    const other = group();
    const task = other.spawn(kernels.sleep, kHourMs);
    void other.spawn({ deadline: 5 }, kernels.sleep, kHourMs);
    expect(await rejectionOf(other.wait())).toMatchObject({ name: 'TimeoutError' });
    expect(task.state).toBe('cancelled');
  });
});

describe('a disposal', () => {
  test('without a wait cancels what runs, and waits for its end', async () => {
    const g = group();
    const tasks = [g.spawn(kernels.sleep, kHourMs), g.spawn(kernels.spin, 50)];
    await g[Symbol.asyncDispose]();
    expect(tasks[0]!.state).toBe('cancelled');
    expect(['done', 'cancelled']).toContain(tasks[1]!.state);
    expect(() => g.spawn(kernels.fib, 5)).toThrow('expected a live one');
  });

  test('after a failure does not reject', async () => {
    const g = group();
    await rejectionOf(g.spawn(kernels.fail, 'words'));
    await g[Symbol.asyncDispose]();
    await g[Symbol.asyncDispose]();
  });

  test('after the wait changes nothing', async () => {
    const g = group();
    void g.spawn(kernels.fib, 10);
    await g.wait();
    await g[Symbol.asyncDispose]();
    expect(await g.wait()).toEqual([55]);
  });

  test('during a wait ends that as well', async () => {
    const g = group();
    void g.spawn(kernels.sleep, kHourMs);
    const waiting = g.wait();
    expect(await stateOf(waiting)).toBe('pending');
    await g[Symbol.asyncDispose]();
    expect(await rejectionOf(waiting)).toMatchObject({ name: 'AbortError' });
  });
});

test('groups that are forgotten leave no listener', async () => {
  const { signal } = new AbortController();
  const tasks = Array.from({ length: 100 }, () => group({ signal }).spawn(kernels.fib, 5));
  expect(getEventListeners(signal, 'abort')).toHaveLength(1);
  await Promise.all(tasks);
  expect(getEventListeners(signal, 'abort')).toHaveLength(0);
});

test('what a group is given is checked', async () => {
  const refuse = (call: () => unknown, ...words: string[]): void =>
    expectRefusal('ERR_HEDDLE_OPTION', call, ...words);
  refuse(() => group(null as never), 'options: expected');
  refuse(() => group({ signal: {} as never }), 'signal: expected');
  refuse(() => group({ context: {} as never }), 'context: expected');
  const g = group();
  for (const target of [undefined, null, 5, 'fib']) {
    expectRefusal('ERR_HEDDLE_TARGET', () => g.spawn(target as never), 'got');
    expectRefusal('ERR_HEDDLE_TARGET', () => g.spawn({}, target as never), 'got');
  }
  refuse(() => g.spawn({ deadline: -1 }, kernels.fib, 5), 'deadline: expected');
  refuse(() => g.spawn({ signal: {} as never }, kernels.fib, 5), 'signal: expected');
  expect(thrownBy(() => g.spawn(kernels.fib, 'x' as never))).toMatchObject({
    code: 'ERR_HEDDLE_ARGUMENT',
  });
  // What was refused is none of its tasks.
  expect(await g.wait()).toEqual([]);
});
