// sleep: a timer of the native runtime behind a promise.
import { getEventListeners } from 'node:events';
import { runtime, sleep } from 'heddle';
import { describe, expect, test } from 'vitest';
import { expectRefusal, kHourMs, rejectionOf } from './support.js';

describe('sleep', () => {
  test('is never early, among a thousand of all lengths', async () => {
    const early = async (ms: number): Promise<boolean> => {
      const begin = performance.now();
      await sleep(ms);
      return performance.now() - begin < ms;
    };
    const lengths = Array.from({ length: 1_000 }, (_, i) => ((i * 7919) % 60) + i / 1_000);
    expect(await Promise.all(lengths.map(early))).not.toContain(true);
  });

  test('is never early when the thread is busy, nor lost', async () => {
    const begin = performance.now();
    const task = sleep(20);
    while (performance.now() - begin < 60);
    expect(task.state).toBe('waiting');
    await task;
  });

  test.each([0, -0, -1, -0.001, -Number.MAX_VALUE, -Infinity])(
    'of %d ms ends at once',
    async (ms) => {
      expect(await sleep(ms)).toBe(undefined);
    },
  );

  test.each([Infinity, Number.MAX_VALUE, Number.MAX_SAFE_INTEGER, 9.3e12, 2 ** 31, 2 ** 32])(
    'of %d ms is still waiting after all that was started later',
    async (ms) => {
      const long = sleep(ms);
      await sleep(2);
      expect(long.state).toBe('waiting');
      long.cancel('enough');
      expect(await rejectionOf(long)).toBe('enough');
    },
  );

  test('is a task with a name, a number and a state', async () => {
    const task = sleep(1);
    expect(task).toBeInstanceOf(Promise);
    expect([task.name, task.state]).toEqual(['sleep', 'waiting']);
    await task;
    expect(task.state).toBe('done');
  });

  test('takes no fiber', async () => {
    const before = runtime.stats();
    await Promise.all(Array.from({ length: 1_000 }, () => sleep(1)));
    const after = runtime.stats();
    expect(after.spawned).toBe(before.spawned);
    expect(after.timersFired - before.timersFired).toBe(1_000);
  });

  test('settles 50,000 times at once', async () => {
    const tasks = Array.from({ length: 50_000 }, (_, i) => sleep(i % 5));
    await Promise.all(tasks);
    expect(new Set(tasks.map(({ state }) => state))).toEqual(new Set(['done']));
  });
});

describe('cancelling a sleep', () => {
  test('rejects it at once with the reason, and its slot is free again', async () => {
    for (let i = 0; i < 1_000; i += 1) {
      const task = sleep(kHourMs);
      task.cancel(i + 1);
      expect(task.state).toBe('cancelled');
      expect(await rejectionOf(task)).toBe(i + 1);
    }
  });

  test('without a reason rejects with an AbortError', async () => {
    const task = sleep(Infinity);
    task.cancel();
    expect(await rejectionOf(task)).toMatchObject({ name: 'AbortError' });
  });

  test('changes nothing after its end', async () => {
    const task = sleep(0);
    await task;
    task.cancel('late');
    expect([await task, task.state]).toEqual([undefined, 'done']);
  });

  test('races with its end, and every sleep settles one way', async () => {
    const tasks = Array.from({ length: 5_000 }, (_, i) => sleep((i % 10) / 10));
    const busyUntil = performance.now() + 0.5;
    while (performance.now() < busyUntil);
    for (const task of tasks) task.cancel('enough');
    for (const settled of await Promise.allSettled(tasks)) {
      if (settled.status === 'rejected') expect(settled.reason).toBe('enough');
    }
  });

  test('half of many leaves the others alone', async () => {
    const tasks = Array.from({ length: 1_000 }, () => sleep(300));
    tasks.forEach((task, i) => i % 2 === 0 && task.cancel('enough'));
    const settled = await Promise.allSettled(tasks);
    expect(settled.map(({ status }) => status)).toEqual(
      tasks.map((_, i) => (i % 2 === 0 ? 'rejected' : 'fulfilled')),
    );
  });
});

describe('a signal for a sleep', () => {
  test('that has fired ends it at once', async () => {
    const reason = new Error('before');
    const task = sleep(kHourMs, { signal: AbortSignal.abort(reason) });
    expect(task.state).toBe('cancelled');
    expect(await rejectionOf(task)).toBe(reason);
  });

  test('that fires meanwhile ends it with its reason', async () => {
    const controller = new AbortController();
    const task = sleep(kHourMs, { signal: controller.signal });
    expect(getEventListeners(controller.signal, 'abort')).toHaveLength(1);
    controller.abort();
    expect(await rejectionOf(task)).toBe(controller.signal.reason);
    expect(getEventListeners(controller.signal, 'abort')).toEqual([]);
  });

  test('that fires afterwards changes nothing', async () => {
    const controller = new AbortController();
    const task = sleep(1, { signal: controller.signal });
    await task;
    expect(getEventListeners(controller.signal, 'abort')).toEqual([]);
    controller.abort();
    expect([await task, task.state]).toEqual([undefined, 'done']);
  });

  test('may be undefined', async () => {
    expect(await sleep(0, {})).toBe(undefined);
    expect(await sleep(0, undefined)).toBe(undefined);
  });
});

describe('what is no duration or no signal is refused', () => {
  const anySleep = sleep as (...args: unknown[]) => unknown;
  const durations: [string, unknown][] = [
    ['NaN', NaN],
    ['"5"', '5'],
    ['undefined', undefined],
    ['null', null],
    ['true', true],
    ['an instance of Date', new Date(5)],
    ['an instance of Object', { ms: 5 }],
  ];
  test.each(durations)('%s for a duration', (got, ms) => {
    const words = `sleep: expected a number of milliseconds, got ${got};`;
    expectRefusal('ERR_HEDDLE_ARGUMENT', () => anySleep(ms), words);
  });

  test.each([[{}], [5], ['signal'], [null], [new AbortController()]])(
    '%o for a signal',
    (signal) => {
      const words = 'signal: expected an AbortSignal, got ';
      expectRefusal('ERR_HEDDLE_OPTION', () => anySleep(1, { signal }), words);
    },
  );
});
