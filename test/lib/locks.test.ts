// Locks and meeting points between promises of one isolate.
import { getEventListeners } from 'node:events';
import { Barrier, Mutex, Once, RWMutex, Semaphore, WaitGroup } from 'heddle';
import type { Held, WaitOptions } from 'heddle';
import { describe, expect, test } from 'vitest';
import { expectRefusal, expectRejection, reactions, rejectionOf, stateOf } from './support.js';

const upTo = (count: number): number[] => Array.from({ length: count }, (_, i) => i);
const unlocked = 'expected a lock that is held, got';

interface Lock {
  take(options?: WaitOptions): Promise<Held>;
  tryTake(): Held | undefined;
  within<R>(body: () => R | Promise<R>, options?: WaitOptions): Promise<R>;
}
const exclusive: [string, () => Lock][] = [
  [
    'a mutex',
    () => {
      const mutex = new Mutex();
      return {
        take: (options) => mutex.lock(options),
        tryTake: () => mutex.tryLock(),
        within: (body, options) => mutex.withLock(body, options),
      };
    },
  ],
  [
    'a readers-writer mutex that is written',
    () => {
      const mutex = new RWMutex();
      return {
        take: (options) => mutex.lock(options),
        tryTake: () => mutex.tryLock(),
        within: (body, options) => mutex.withLock(body, options),
      };
    },
  ],
  [
    'a semaphore of one permit',
    () => {
      const semaphore = new Semaphore(1);
      return {
        take: (options) => semaphore.acquire(1, options),
        tryTake: () => semaphore.tryAcquire(),
        within: (body, options) => semaphore.withPermit(body, options),
      };
    },
  ],
];

describe.each(exclusive)('%s', (_, make) => {
  test('has one holder at a time, first come, first served', async () => {
    const lock = make();
    const order: number[] = [];
    let inside = 0;
    const one = async (i: number): Promise<void> => {
      const held = await lock.take();
      expect([++inside, held.poisoned]).toEqual([1, false]);
      order.push(i);
      await reactions();
      inside -= 1;
      held.release();
    };
    await Promise.all(upTo(200).map(one));
    expect(order).toEqual(upTo(200));
  });

  test('is handed to one who waits, not to one who tries', async () => {
    const lock = make();
    const first = await lock.take();
    const second = lock.take();
    expect(lock.tryTake()).toBe(undefined);
    first.release();
    expect(lock.tryTake()).toBe(undefined);
    (await second).release();
    const third = lock.tryTake();
    expect(third).toBeDefined();
    third!.release();
  });

  test('gives a waiter its turn beside a hog', async () => {
    const lock = make();
    let isOver = false;
    const hog = (async () => {
      while (!isOver) {
        const held = await lock.take();
        await reactions();
        held.release();
      }
    })();
    for (let i = 0; i < 10; i += 1) (await lock.take()).release();
    isOver = true;
    await hog;
  });

  test('is released whatever comes of what ran within', async () => {
    const lock = make();
    expect(await lock.within(() => 5)).toBe(5);
    expect(await lock.within(() => Promise.resolve('later'))).toBe('later');
    await expect(lock.within(() => Promise.reject(new Error('late')))).rejects.toThrow('late');
    const thrower = (): never => {
      throw new Error('at once');
    };
    await expect(lock.within(thrower)).rejects.toThrow('at once');
    const inside = lock.within(() => lock.tryTake());
    expect(await inside).toBe(undefined);
    lock.tryTake()!.release();
  });

  test('is released once', async () => {
    const lock = make();
    const first = await lock.take();
    first.release();
    const words = `${unlocked} a lock that was released before`;
    expectRefusal('ERR_HEDDLE_UNLOCKED', () => first.release(), words);
    const second = await lock.take();
    expectRefusal('ERR_HEDDLE_UNLOCKED', () => first.release(), words);
    expect(lock.tryTake()).toBe(undefined);
    second.release();
  });

  test('is released at the end of its scope, if that has not been done', async () => {
    const lock = make();
    const held = await lock.take();
    held[Symbol.dispose]();
    held[Symbol.dispose]();
    const next = lock.tryTake()!;
    next.release();
    next[Symbol.dispose]();
    lock.tryTake()!.release();
  });

  test('does not take a waiter whose signal has fired', async () => {
    const lock = make();
    const held = await lock.take();
    const controller = new AbortController();
    const { signal } = controller;
    const [cancelled, other] = [lock.take({ signal }), lock.take()];
    const within = lock.within(() => expect.unreachable(), { signal });
    expect(getEventListeners(signal, 'abort')).toHaveLength(1);
    controller.abort('enough');
    expect([await rejectionOf(cancelled), await rejectionOf(within)]).toEqual(['enough', 'enough']);
    expect(getEventListeners(signal, 'abort')).toEqual([]);
    held.release();
    (await other).release();
    expect(await rejectionOf(lock.take({ signal }))).toBe('enough');
    lock.tryTake()!.release();
  });

  test('is held by a waiter that had it before its signal fired', async () => {
    const lock = make();
    const held = await lock.take();
    const controller = new AbortController();
    const next = lock.take({ signal: controller.signal });
    held.release();
    controller.abort('too late');
    expect(lock.tryTake()).toBe(undefined);
    (await next).release();
  });

  test('serves ten thousand', async () => {
    const lock = make();
    let count = 0;
    await Promise.all(upTo(10_000).map(() => lock.within(() => (count += 1))));
    expect(count).toBe(10_000);
  });

  test.each([[{}], [5], [null]])('refuses %o for a signal', (signal) => {
    const lock = make();
    const call = (): unknown => lock.take({ signal } as unknown as WaitOptions);
    expectRefusal('ERR_HEDDLE_OPTION', call, 'signal: expected an AbortSignal, got');
    lock.tryTake()!.release();
  });
});

test('a mutex says whether it is held', async () => {
  const mutex = new Mutex();
  expect(mutex.locked).toBe(false);
  const held = await mutex.lock();
  expect(mutex.locked).toBe(true);
  held.release();
  expect(mutex.locked).toBe(false);
});

describe('a readers-writer mutex', () => {
  test('has many readers, or one writer', async () => {
    const mutex = new RWMutex();
    const readers = await Promise.all(upTo(50).map(() => mutex.readLock()));
    const writer = mutex.lock();
    expect([await stateOf(writer), mutex.tryLock()]).toEqual(['pending', undefined]);
    readers.forEach((reader) => reader.release());
    const written = await writer;
    expect([mutex.tryReadLock(), mutex.tryLock()]).toEqual([undefined, undefined]);
    written.release();
    const [one, two] = [mutex.tryReadLock(), mutex.tryReadLock()];
    expect([one, two]).not.toContain(undefined);
    one!.release();
    two!.release();
  });

  test('lets a writer pass readers that come after it, and they read together', async () => {
    const mutex = new RWMutex();
    const order: string[] = [];
    const first = await mutex.readLock();
    const writer = mutex.lock();
    expect(mutex.tryReadLock()).toBe(undefined);
    const later = upTo(3).map((i) => mutex.readLock().then((held) => (order.push(`r${i}`), held)));
    const last = mutex.withLock(() => order.push('last'));
    first.release();
    const written = await writer;
    order.push('writer');
    await reactions();
    expect(order).toEqual(['writer']);
    written.release();
    const readers = await Promise.all(later);
    expect(order).toEqual(['writer', 'r0', 'r1', 'r2']);
    readers.forEach((reader) => reader.release());
    await last;
    expect(order.at(-1)).toBe('last');
  });

  test('lets readers go on when a writer before them gives up', async () => {
    const mutex = new RWMutex();
    const first = await mutex.readLock();
    const controller = new AbortController();
    const writer = mutex.lock({ signal: controller.signal });
    const second = mutex.readLock();
    expect(await stateOf(second)).toBe('pending');
    controller.abort('enough');
    expect(await rejectionOf(writer)).toBe('enough');
    (await second).release();
    first.release();
    mutex.tryLock()!.release();
  });

  test('starves no writer among readers that overlap', async () => {
    const mutex = new RWMutex();
    let isOver = false;
    const reader = async (): Promise<void> => {
      while (!isOver) await mutex.withReadLock(reactions);
    };
    const readers = upTo(5).map(reader);
    for (let i = 0; i < 10; i += 1) await mutex.withLock(reactions);
    isOver = true;
    await Promise.all(readers);
  });

  test('gives what ran within a read lock, and refuses a second release', async () => {
    const mutex = new RWMutex();
    expect(await mutex.withReadLock(() => 'read')).toBe('read');
    const held = await mutex.readLock();
    held.release();
    expectRefusal('ERR_HEDDLE_UNLOCKED', () => held.release(), unlocked);
    mutex.tryLock()!.release();
  });
});

describe('a semaphore', () => {
  test('counts its permits', async () => {
    const semaphore = new Semaphore(3);
    const held = await semaphore.acquire(2);
    expect(semaphore.available).toBe(1);
    expect(semaphore.tryAcquire(2)).toBe(undefined);
    const one = semaphore.tryAcquire()!;
    expect(semaphore.available).toBe(0);
    held.release();
    one.release();
    expect(semaphore.available).toBe(3);
    semaphore.release(4);
    expect(semaphore.available).toBe(7);
  });

  test('serves in the order of arrival, few and many', async () => {
    const semaphore = new Semaphore(2);
    const held = await semaphore.acquire(2);
    const order: number[] = [];
    const wants = [2, 1, 1, 2];
    const waits = wants.map(async (count, i) => {
      const permits = await semaphore.acquire(count);
      order.push(i);
      await reactions();
      permits.release();
    });
    held.release();
    await Promise.all(waits);
    expect(order).toEqual([0, 1, 2, 3]);
    expect(semaphore.available).toBe(2);
  });

  test('lets the next one go when the first gives up', async () => {
    const semaphore = new Semaphore(1);
    const controller = new AbortController();
    const many = semaphore.acquire(5, { signal: controller.signal });
    const few = semaphore.acquire();
    expect(await stateOf(few)).toBe('pending');
    controller.abort('enough');
    expect(await rejectionOf(many)).toBe('enough');
    (await few).release();
    expect(semaphore.available).toBe(1);
  });

  test('may begin with none, and bounds how many run at once', async () => {
    const semaphore = new Semaphore(0);
    let [running, most] = [0, 0];
    const tasks = upTo(100).map(() =>
      semaphore.withPermit(async () => {
        most = Math.max(most, ++running);
        await reactions();
        running -= 1;
      }),
    );
    await reactions();
    expect(most).toBe(0);
    semaphore.release(7);
    await Promise.all(tasks);
    expect([most, semaphore.available]).toEqual([7, 7]);
  });

  const counts: [unknown][] = [[-1], [1.5], [NaN], [2 ** 31], [Infinity], ['1'], [null], [1n]];
  test.each(counts)('refuses %o for a count', (count) => {
    const semaphore = new Semaphore(3);
    const value = count as number;
    expectRefusal('ERR_HEDDLE_OPTION', () => new Semaphore(value), 'permits: expected an integer');
    for (const call of [
      () => semaphore.acquire(value),
      () => semaphore.tryAcquire(value),
      () => semaphore.release(value),
    ]) {
      expectRefusal('ERR_HEDDLE_OPTION', call, 'count: expected an integer from 1');
    }
    expectRefusal('ERR_HEDDLE_OPTION', () => semaphore.acquire(0), 'count');
    expect(semaphore.available).toBe(3);
  });
});

describe('a wait group', () => {
  test('lets all go when its count has come to zero', async () => {
    const group = new WaitGroup();
    await group.wait();
    group.add(2);
    const waits = upTo(10).map(() => group.wait());
    group.done();
    expect([group.count, await stateOf(waits[0]!)]).toEqual([1, 'pending']);
    group.done();
    expect(await Promise.all(waits)).toEqual(upTo(10).map(() => undefined));
    group.add();
    expect(await stateOf(group.wait())).toBe('pending');
    group.add(-1);
  });

  test('never counts below zero, nor too far', () => {
    const group = new WaitGroup();
    const words = 'expected a count from 0 to 2147483647, got';
    expectRefusal('ERR_HEDDLE_COUNT', () => group.done(), words, '0 and a change of -1');
    group.add(3);
    expectRefusal('ERR_HEDDLE_COUNT', () => group.add(-4), words, '3 and a change of -4');
    expectRefusal('ERR_HEDDLE_COUNT', () => group.add(2 ** 31 - 1), words);
    expect(group.count).toBe(3);
    for (const delta of [NaN, 0.5, 2 ** 31, '1'] as number[]) {
      expectRefusal('ERR_HEDDLE_OPTION', () => group.add(delta), 'delta: expected an integer');
    }
    expect(group.count).toBe(3);
  });

  test('is not waited for when the signal fires first', async () => {
    const group = new WaitGroup();
    group.add(1);
    const signal = AbortSignal.timeout(5);
    expect(await rejectionOf(group.wait({ signal }))).toMatchObject({ name: 'TimeoutError' });
    group.done();
    await group.wait();
  });
});

describe('a once', () => {
  test('runs the first, and the others wait for its end', async () => {
    const once = new Once();
    let runs = 0;
    let end = (): void => {};
    const run = (): Promise<boolean> =>
      once.run(() => {
        runs += 1;
        return new Promise<void>((resolve) => (end = resolve));
      });
    const calls = upTo(10).map(run);
    expect([await stateOf(calls[5]!), once.hasRun, runs]).toEqual(['pending', false, 1]);
    end();
    expect(await Promise.all(calls)).toEqual(upTo(10).map((i) => i === 0));
    expect([once.hasRun, runs, await run()]).toEqual([true, 1, false]);
  });

  test('counts a call that fails, and the others do not fail', async () => {
    const once = new Once();
    const failing = once.run(() => Promise.reject(new Error('words')));
    const other = once.run(() => expect.unreachable());
    await expect(failing).rejects.toThrow('words');
    expect([await other, once.hasRun]).toEqual([false, true]);
  });

  test('is not waited for when the signal fires first', async () => {
    const once = new Once();
    let end = (): void => {};
    const first = once.run(() => new Promise<void>((resolve) => (end = resolve)));
    const controller = new AbortController();
    const second = once.run(() => expect.unreachable(), { signal: controller.signal });
    await reactions();
    controller.abort('enough');
    expect(await rejectionOf(second)).toBe('enough');
    end();
    expect(await first).toBe(true);
  });
});

describe('a barrier', () => {
  test('lets all go when the last has come, again and again', async () => {
    const barrier = new Barrier(3);
    expect(barrier.parties).toBe(3);
    for (let round = 0; round < 100; round += 1) {
      const early = [barrier.arrive(), barrier.arrive()];
      expect(await stateOf(early[0]!)).toBe('pending');
      expect(await barrier.arrive()).toBe(true);
      expect(await Promise.all(early)).toEqual([false, false]);
    }
  });

  test('of one never waits', async () => {
    expect(await new Barrier(1).arrive()).toBe(true);
  });

  test('does not count one whose signal has fired', async () => {
    const barrier = new Barrier(2);
    const controller = new AbortController();
    const gone = barrier.arrive({ signal: controller.signal });
    controller.abort('enough');
    expect(await rejectionOf(gone)).toBe('enough');
    const first = barrier.arrive();
    expect(await stateOf(first)).toBe('pending');
    expect([await barrier.arrive(), await first]).toEqual([true, false]);
  });

  test('counts one that had met the others before its signal fired', async () => {
    const barrier = new Barrier(2);
    const controller = new AbortController();
    const first = barrier.arrive({ signal: controller.signal });
    const second = barrier.arrive();
    controller.abort('too late');
    expect([await first, await second]).toEqual([false, true]);
  });

  test.each([0, -1, 1.5, NaN, 2 ** 31, '2', null])('refuses %o parties', (parties) => {
    const words = 'parties: expected an integer from 1';
    expectRefusal('ERR_HEDDLE_OPTION', () => new Barrier(parties as number), words);
  });
});

test('a body that is no function fails, and the lock is free again', async () => {
  const mutex = new Mutex();
  await expect(mutex.withLock(5 as never)).rejects.toThrow(TypeError);
  mutex.tryLock()!.release();
  await expectRejection(
    'ERR_HEDDLE_OPTION',
    new Once().run(() => {}, { signal: 5 } as never),
  );
});

test('a semaphore refuses more permits than 2³¹−1', () => {
  const semaphore = new Semaphore(5);
  expectRefusal('ERR_HEDDLE_COUNT', () => semaphore.release(2 ** 31 - 1), 'got 5');
  expect(semaphore.available).toBe(5);
});

test('permits are never poisoned, however many are left', async () => {
  const semaphore = new Semaphore(5);
  const held = await semaphore.acquire(2);
  expect(held.poisoned).toBe(false);
  expect(semaphore.tryAcquire()?.poisoned).toBe(false);
});
