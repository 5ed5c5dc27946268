// How tasks of JavaScript are cancelled: by hand, by signals, contexts and deadlines, wherever they
// are at that moment.
import { getEventListeners } from 'node:events';
import { background, Channel, done, runtime, select, spawn } from 'heddle';
import type { Context, Task, TaskOptions, TaskRef } from 'heddle';
import { describe, expect, test } from 'vitest';
import { tasks } from './fixtures/tasks.mjs';
import { kHourMs, rejectionOf, until } from './support.js';

const newStarted = (): Channel<string> => new Channel<string>(64);

/** Resolves when the task has begun, as it tells itself; in an array, so as not to wait for it. */
async function begun(
  options: TaskOptions,
  target: TaskRef<[Channel<string>, Channel<unknown>], unknown>,
  go = new Channel<unknown>(),
): Promise<[Task<unknown>]> {
  const started = newStarted();
  const task = spawn(options, target, started, go);
  await started.recv();
  return [task];
}

async function manyBegun(
  count: number,
  make: (i: number) => Promise<[Task<unknown>]>,
): Promise<Task<unknown>[]> {
  return (await Promise.all(Array.from({ length: count }, (_, i) => make(i)))).flat();
}

/** Keeps all isolates busy while the body runs. */
async function whileBlocked(body: () => Promise<void>): Promise<void> {
  const [started, go] = [new Channel<number>(runtime.isolates), new Channel<unknown>()];
  const blocked = Array.from({ length: runtime.isolates }, () => spawn(tasks.block, started, go));
  for (let i = 0; i < blocked.length; i += 1) await started.recv();
  try {
    await body();
  } finally {
    go.close();
    await Promise.all(blocked);
  }
}

describe('a task that waits for an isolate', () => {
  test('leaves the queue at once when it is cancelled', async () => {
    await whileBlocked(async () => {
      const queued = Array.from({ length: 10 }, (_, i) => spawn(tasks.one, i));
      const pinned = spawn({ pin: 0 }, tasks.one, 'pinned');
      expect(queued.map(({ state }) => state)).toEqual(new Array(10).fill('runnable'));
      expect(runtime.stats().queuedTasks).toBe(11);
      for (const [i, task] of queued.entries()) if (i % 3 === 0) task.cancel(`reason ${i}`);
      expect(runtime.stats().queuedTasks).toBe(7);
      pinned.cancel('pinned');
      expect(runtime.stats().queuedTasks).toBe(6);
      expect(queued[3]!.state).toBe('cancelled');
      expect(await rejectionOf(queued[3]!)).toBe('reason 3');
      expect(await rejectionOf(pinned)).toBe('pinned');
      for (const task of queued) task.cancel();
      expect(runtime.stats().queuedTasks).toBe(0);
    });
  });

  test('and was not cancelled runs in its turn', async () => {
    let rest: Task<unknown>[] = [];
    await whileBlocked(async () => {
      const queued = Array.from({ length: 9 }, (_, i) => spawn({ priority: i % 3 }, tasks.one, i));
      for (const [i, task] of queued.entries()) if (i % 2 === 0) task.cancel();
      rest = queued.filter((_, i) => i % 2 !== 0);
      await Promise.resolve();
    });
    expect(await Promise.all(rest)).toEqual([1, 3, 5, 7]);
  });

  test('does not begin when its deadline comes first', async () => {
    await whileBlocked(async () => {
      const task = spawn({ deadline: 5 }, tasks.fail);
      expect(await rejectionOf(task)).toMatchObject({ name: 'TimeoutError' });
      expect(runtime.stats().queuedTasks).toBe(0);
    });
  });

  test('does not begin when its signal or its context comes first', async () => {
    await whileBlocked(async () => {
      const controller = new AbortController();
      const { ctx, cancel } = background().withCancel();
      const followers = [
        spawn({ signal: controller.signal }, tasks.fail),
        spawn({ context: ctx }, tasks.fail),
      ];
      controller.abort('signal');
      cancel('context');
      expect(await Promise.all(followers.map(rejectionOf))).toEqual(['signal', 'context']);
    });
  });
});

describe('a running task learns of its cancellation', () => {
  test('in a synchronous loop that asks ctx.done', async () => {
    const [task] = await begun({}, tasks.loop);
    expect(task.state).toBe('running');
    task.cancel('enough');
    expect(task.state).toBe('running');
    // It gives a value all the same, so it has one.
    expect(await task).toBe('noticed');
    expect(task.state).toBe('done');
  });

  test('in a synchronous loop that asks ctx.throwIfDone, with the reason', async () => {
    const [task] = await begun({}, tasks.loopAndThrow);
    const reason = { any: ['thing'] };
    task.cancel(reason);
    expect(await rejectionOf(task)).toBe(reason);
    expect(task.state).toBe('cancelled');
  });

  test('by ctx.signal', async () => {
    const [task] = await begun({}, tasks.waitOnSignal);
    task.cancel();
    const error = (await rejectionOf(task)) as DOMException;
    expect(error).toMatchObject({ name: 'AbortError', code: DOMException.ABORT_ERR });
    expect(error.message).toContain('waitOnSignal');
    expect(task.state).toBe('cancelled');
  });

  test.each([
    ['a string', 'enough'],
    ['an object', { code: 5, list: [1] }],
    ['nothing of value', null],
    ['zero', 0],
    ['an error', new RangeError('too much')],
    ['bytes', new Uint8Array([1, 2])],
  ])('and of its reason, if it is %s', async (_, reason) => {
    const [task] = await begun({}, tasks.errOf);
    task.cancel(reason);
    expect(await task).toEqual([true, reason, true]);
  });

  test('and that there was a reason that cannot travel', async () => {
    const [task] = await begun({}, tasks.errOf);
    task.cancel(() => {});
    expect(await task).toEqual([true, 'function (anonymous)', true]);
  });

  test('from the first of several', async () => {
    const [task] = await begun({}, tasks.errOf);
    for (const reason of ['first', 'second']) task.cancel(reason);
    expect(await task).toEqual([true, 'first', true]);
  });
});

describe('a task that was cancelled', () => {
  test('and ignores it gives its value', async () => {
    const go = new Channel<unknown>(1);
    const [task] = await begun({}, tasks.ignore, go);
    task.cancel('enough');
    await go.send('go');
    expect(await task).toBe('done all the same');
    expect(task.state).toBe('done');
  });

  test('and fails otherwise has that failure', async () => {
    const [task] = await begun({}, tasks.failOtherwise);
    task.cancel('enough');
    expect(await rejectionOf(task)).toMatchObject({ name: 'SizeError', code: 'E_SIZE' });
    expect(task.state).toBe('failed');
  });

  test('leaves its isolate and the other tasks alive', async () => {
    const go = new Channel<unknown>(64);
    const others = await manyBegun(8, () => begun({}, tasks.ignore, go));
    const before = runtime.stats().isolates.map(({ place }) => place);
    const cancelled = await manyBegun(8, () => begun({}, tasks.waitOnSignal));
    for (const task of cancelled) task.cancel('enough');
    expect(await Promise.all(cancelled.map(rejectionOf))).toEqual(new Array(8).fill('enough'));
    go.close();
    expect(await Promise.all(others)).toEqual(new Array(8).fill('done all the same'));
    expect(runtime.stats().isolates.map(({ place }) => place)).toEqual(before);
  });

  test('takes the tasks that it has spawned under its context with it', async () => {
    const [task] = await begun({}, tasks.under);
    task.cancel('all of you');
    expect(await rejectionOf(task)).toBe('all of you');
  });
});

describe('a context', () => {
  test('ends tasks in all isolates, with its reason', async () => {
    const { ctx, cancel } = background().withCancel();
    const followers = await manyBegun(10, (i) =>
      begun({ context: ctx }, i % 2 === 0 ? tasks.waitOnSignal : tasks.errOf),
    );
    cancel({ code: 'E_ALL' });
    for (const [i, task] of followers.entries()) {
      if (i % 2 === 0) expect(await rejectionOf(task)).toEqual({ code: 'E_ALL' });
      else expect(await task).toEqual([true, { code: 'E_ALL' }, true]);
    }
  });

  test('ends a task in a synchronous loop while this isolate does nothing for it', async () => {
    const { ctx } = background().withTimeout(30);
    const [task] = await begun({ context: ctx }, tasks.loop);
    expect(await task).toBe('noticed');
  });

  test('that is a child of the task ends by its own time', async () => {
    const task = spawn(tasks.withChild);
    expect(await rejectionOf(task)).toMatchObject({ name: 'TimeoutError' });
    expect(task.state).toBe('failed');
  });

  test('that is a child of the task ends with the task', async () => {
    const children = new Channel<Context>(1);
    await spawn(tasks.abandon, children);
    const { value: child } = (await children.recv()) as { value: Context };
    await select({ done: done(child) }, { signal: AbortSignal.timeout(kHourMs) });
    expect(child.done).toBe(true);
  });

  test('has no listener left when its tasks have ended', async () => {
    const { ctx } = background().withCancel();
    const { signal } = new AbortController();
    await Promise.all(
      Array.from({ length: 20 }, () =>
        spawn({ context: ctx, signal, deadline: kHourMs }, tasks.one, 1),
      ),
    );
    expect(getEventListeners(ctx.signal, 'abort')).toHaveLength(0);
    expect(getEventListeners(signal, 'abort')).toHaveLength(0);
  });
});

describe('a deadline', () => {
  test('ends a task that waits', async () => {
    const task = spawn({ deadline: 20 }, tasks.waitOnSignal, newStarted());
    expect(await rejectionOf(task)).toMatchObject({ name: 'TimeoutError' });
    expect(task.state).toBe('cancelled');
  });

  test('ends a task in a synchronous loop', async () => {
    expect(await spawn({ deadline: 20 }, tasks.loop, newStarted())).toBe('noticed');
    const thrown = spawn({ deadline: 20 }, tasks.loopAndThrow, newStarted());
    expect(await rejectionOf(thrown)).toMatchObject({ name: 'TimeoutError' });
    expect(thrown.state).toBe('cancelled');
  });
});

describe('a signal', () => {
  test('that has fired keeps a task from being queued', async () => {
    const signal = AbortSignal.abort('before');
    const before = runtime.stats().isolates.reduce((sum, { tasksRun }) => sum + tasksRun, 0);
    const task = spawn({ signal, timeout: 1, kill: true }, tasks.fail);
    expect(task.state).toBe('cancelled');
    expect(await rejectionOf(task)).toBe('before');
    const after = runtime.stats().isolates.reduce((sum, { tasksRun }) => sum + tasksRun, 0);
    expect(after).toBe(before);
  });

  test('ends a thousand tasks with one listener', async () => {
    const controller = new AbortController();
    const started = new Channel<string>(1_000);
    const { signal } = controller;
    const followers = Array.from({ length: 1_000 }, () =>
      spawn({ signal }, tasks.waitOnSignal, started),
    );
    expect(getEventListeners(signal, 'abort')).toHaveLength(1);
    for (let i = 0; i < 500; i += 1) await started.recv();
    controller.abort('all of you');
    const reasons = await Promise.all(followers.map(rejectionOf));
    expect(new Set(reasons)).toEqual(new Set(['all of you']));
    expect(getEventListeners(signal, 'abort')).toHaveLength(0);
  });
});

describe('a cancellation that races with the end', () => {
  const turns = async (count: number): Promise<void> => {
    for (let i = 0; i < count; i += 1) await new Promise(setImmediate);
  };

  test('has one outcome, in thousands of rounds', async () => {
    let cancelled = 0;
    for (let round = 0; round < 300; round += 1) {
      const batch = Array.from({ length: 20 }, (_, i) =>
        spawn(i % 2 === 0 ? tasks.one : tasks.later, i),
      );
      if (round % 3 !== 0) await turns(round % 3);
      for (const task of batch) task.cancel('enough');
      for (const [i, settled] of (await Promise.allSettled(batch)).entries()) {
        if (settled.status === 'rejected') expect(settled.reason).toBe('enough');
        else expect(settled.value).toBe(i);
        expect(batch[i]!.state).toBe(settled.status === 'rejected' ? 'cancelled' : 'done');
        if (settled.status === 'rejected') cancelled += 1;
      }
    }
    expect(cancelled).toBeGreaterThan(0);
    await until(() => runtime.stats().isolates.every(({ started }) => started === 0));
    expect(runtime.stats().queuedTasks).toBe(0);
  });

  test('of tasks that wait for their signal always ends them', async () => {
    for (let round = 0; round < 200; round += 1) {
      const started = newStarted();
      const batch = Array.from({ length: 10 }, () => spawn(tasks.waitOnSignal, started));
      if (round % 2 === 0) await started.recv();
      for (const task of batch) task.cancel(round);
      expect(await Promise.all(batch.map(rejectionOf))).toEqual(new Array(10).fill(round));
    }
  });

  test('by a context, from several sides, always ends them', async () => {
    for (let round = 0; round < 200; round += 1) {
      const { ctx, cancel } = background().withTimeout(round % 5);
      const controller = new AbortController();
      const options = { context: ctx, signal: controller.signal };
      const batch = Array.from({ length: 6 }, () =>
        spawn(options, tasks.loopAndThrow, newStarted()),
      );
      await turns(round % 4);
      controller.abort('signal');
      cancel('context');
      for (const reason of await Promise.all(batch.map(rejectionOf))) {
        expect(['signal', 'context', 'TimeoutError']).toContain((reason as Error).name ?? reason);
      }
    }
  });
});
