// Pools: places, the queue before them, and how both end. Maps and numbers have files of their own.
import { createHook } from 'node:async_hooks';
import { getEventListeners } from 'node:events';
import { background, Channel, HeddleError, kernels, move, Pool } from 'heddle';
import type { PoolOptions } from 'heddle';
import { afterEach, describe, expect, test } from 'vitest';
import { expectRefusal, expectRejection, kHourMs, outputOf } from './support.js';
import { reactions, rejectionOf, stateOf, until } from './support.js';

const closers: (() => Promise<void>)[] = [];
afterEach(async () => {
  await Promise.all(closers.splice(0).map((close) => close()));
});

type Gates = Pool<[Channel<unknown>, ...unknown[]], number>;

/** A pool whose runs end when their channel is closed. */
function gatePool(options: PoolOptions = {}): Gates {
  const pool = new Pool(kernels.consume, { concurrency: 1, ...options });
  closers.push(() => pool.close({ deadline: 0 }));
  return pool as unknown as Gates;
}

function sleepPool(options: PoolOptions = {}): Pool<[ms: number], undefined> {
  const pool = new Pool(kernels.sleep, { concurrency: 1, ...options });
  closers.push(() => pool.close({ deadline: 0 }));
  return pool;
}

/** Notes the labels of promises in the order in which they settle. */
function noteEnds(promises: Record<string, Promise<unknown>>): string[] {
  const order: string[] = [];
  for (const [label, promise] of Object.entries(promises)) {
    const note = (): void => void order.push(label);
    promise.then(note, note);
  }
  return order;
}

const counts = (pool: Pool<never[], unknown> | Gates) => {
  const { queued, running, completed, failed, cancelled, dropped, rejected } = pool.stats();
  return { queued, running, completed, failed, cancelled, dropped, rejected };
};
const none = { queued: 0, running: 0, completed: 0, failed: 0, cancelled: 0, dropped: 0 };

describe('a run', () => {
  test('gives what the task gives', async () => {
    const pool = new Pool(kernels.fib, { concurrency: 2 });
    expect(await Promise.all([10, 20, 5, 1].map((n) => pool.run(n)))).toEqual([55, 6765, 5, 1]);
    expect(pool.stats()).toMatchObject({ ...none, completed: 4, rejected: 0 });
  });

  test('rejects with the failure of its task as it is', async () => {
    const pool = new Pool(kernels.readFile);
    const error = await rejectionOf(pool.run('/no/such/file'));
    expect(error).toMatchObject({ code: 'ENOENT', syscall: 'open', path: '/no/such/file' });
    expect(error).not.toBeInstanceOf(HeddleError);
    expect(pool.stats()).toMatchObject({ ...none, failed: 1 });
  });

  test('rejects if the target does not take its arguments, in the queue as well', async () => {
    const pool = new Pool(kernels.fib, { concurrency: 1 });
    const run = pool.run.bind(pool) as (...args: unknown[]) => Promise<number>;
    const runs = [run('x'), run(), run(10), run({})];
    const [first, second, third, fourth] = await Promise.allSettled(runs);
    for (const each of [first, second, fourth]) {
      expect(each).toMatchObject({ reason: { code: 'ERR_HEDDLE_ARGUMENT' } });
    }
    expect(third).toMatchObject({ value: 55 });
    expect(pool.stats()).toMatchObject({ ...none, failed: 3, completed: 1 });
  });

  test('takes bytes that are moved when it starts, not before', async () => {
    const pool = new Pool(kernels.sha256, { concurrency: 1 });
    const [first, second] = [new Uint8Array(64), new Uint8Array(64)];
    const runs = [pool.run(move(first)), pool.run(move(second))];
    expect([first.length, second.length]).toEqual([0, 64]);
    await Promise.all(runs);
    expect(second.length).toBe(0);
  });

  test('has the name of its pool', async () => {
    const pool = new Pool(kernels.sleep, { name: 'naps', concurrency: 1 });
    expect(pool.name).toBe('naps');
    const run = pool.run(kHourMs);
    await pool.close({ deadline: 0 });
    await expectRejection('ERR_HEDDLE_POOL_CLOSED', run, 'pool naps');
    expect(new Pool(kernels.sleep).name).toBe('sleep');
  });

  test('whose failure nobody awaits is an unhandled rejection', async () => {
    const script = `
      import { kernels, Pool } from 'heddle';
      process.on('unhandledRejection', (error) => console.log(error.message.split(';')[0]));
      void new Pool(kernels.fail).run('words');`;
    expect(await outputOf(script)).toContain('words');
  });

  test('that was cancelled need not be awaited', async () => {
    const script = `
      import { kernels, Pool } from 'heddle';
      const pool = new Pool(kernels.sleep, { concurrency: 1 });
      const end = new AbortController();
      void pool.runWith({ signal: end.signal }, 3_600_000);
      void pool.runWith({ signal: end.signal }, 3_600_000);
      void pool.runWith({ deadline: 1 }, 3_600_000);
      end.abort();
      await pool.drain();
      console.log(pool.stats().cancelled);`;
    expect(await outputOf(script)).toBe('3');
  });
});

describe('places', () => {
  test('are never more than the concurrency', async () => {
    const gates = Array.from({ length: 7 }, () => new Channel());
    const pool = gatePool({ concurrency: 3 });
    const runs = gates.map((gate) => pool.run(gate));
    for (const [at, gate] of gates.entries()) {
      expect(counts(pool)).toMatchObject({
        running: Math.min(3, 7 - at),
        queued: Math.max(4 - at, 0),
      });
      gate.close();
      await runs[at];
    }
    expect(counts(pool)).toEqual({ ...none, completed: 7, rejected: 0 });
  });

  test('follow a change of the concurrency at once', async () => {
    const pool = sleepPool({ concurrency: 2 });
    const end = new AbortController();
    const { signal } = end;
    const runs = Array.from({ length: 10 }, () => rejectionOf(pool.runWith({ signal }, kHourMs)));
    pool.concurrency = 5;
    expect(counts(pool as never)).toMatchObject({ running: 5, queued: 5 });
    pool.concurrency = 1;
    expect(counts(pool as never)).toMatchObject({ running: 5, queued: 5 });
    expect(pool.concurrency).toBe(1);
    end.abort();
    await Promise.all(runs);
    const [first, second] = [pool.run(0), pool.run(0)];
    expect(counts(pool as never)).toMatchObject({ running: 1, queued: 1 });
    await Promise.all([first, second]);
  });

  test('that are in effect follow the work, from the least to the most', async () => {
    const pool = gatePool({ min: 2, concurrency: 5 });
    const effective = (): number => pool.stats().concurrency;
    expect(effective()).toBe(2);
    const gates = Array.from({ length: 9 }, () => new Channel());
    const runs: Promise<number>[] = [];
    const seen = gates.map((gate) => {
      runs.push(pool.run(gate));
      return effective();
    });
    expect(seen).toEqual([2, 2, 3, 4, 5, 5, 5, 5, 5]);
    for (const gate of gates) gate.close();
    await Promise.all(runs);
    expect(effective()).toBe(2);
  });
});

describe('the queue', () => {
  test.each([0, 1, 7])('of %i is full with exactly as many', async (queue) => {
    const pool = gatePool({ concurrency: 2, queue });
    const gates = Array.from({ length: queue + 2 }, () => new Channel());
    const runs = gates.map((gate) => pool.run(gate));
    for (let extra = 1; extra <= 3; extra += 1) {
      const run = pool.run(new Channel());
      await expectRejection('ERR_HEDDLE_QUEUE_FULL', run, `queue of ${queue}`, 'pool consume');
      expect(counts(pool)).toEqual({ ...none, queued: queue, running: 2, rejected: extra });
    }
    gates[0]!.close();
    await runs[0];
    const late = new Channel();
    const lateRun = pool.run(late); // the place or the room that was freed
    expect(await stateOf(lateRun)).toBe('pending');
    for (const gate of [...gates.slice(1), late]) gate.close();
    await Promise.all([...runs, lateRun]);
  });

  test('drops its oldest for a newer one, if asked to', async () => {
    const pool = gatePool({ queue: 2, overflow: 'dropOldest' });
    const gates = Array.from({ length: 5 }, () => new Channel());
    const runs = gates.map((gate) => pool.run(gate));
    await expectRejection('ERR_HEDDLE_DROPPED', runs[1]!, 'queue of 2');
    await expectRejection('ERR_HEDDLE_DROPPED', runs[2]!);
    expect(counts(pool)).toEqual({ ...none, queued: 2, running: 1, dropped: 2, rejected: 0 });
    for (const gate of gates) gate.close();
    expect(await Promise.all([runs[0], runs[3], runs[4]])).toEqual([0, 0, 0]);
  });

  test('drops what has the lowest priority, the newest included', async () => {
    const pool = gatePool({ queue: 2, overflow: 'dropOldest' });
    const open = new Channel();
    open.close();
    const held = pool.run(new Channel());
    held.catch(() => {});
    const [low, high] = [-1, 1].map((priority) => pool.runWith({ priority }, open));
    const lower = pool.runWith({ priority: -2 }, open);
    await expectRejection('ERR_HEDDLE_DROPPED', lower);
    const middle = pool.run(open);
    await expectRejection('ERR_HEDDLE_DROPPED', low!);
    expect(await stateOf(high!)).toBe('pending');
    middle.catch(() => {});
    high!.catch(() => {});
  });

  test('serves higher priorities first, and equal ones as they came', async () => {
    const pool = sleepPool();
    const order = noteEnds({
      first: pool.run(1),
      a: pool.run(0),
      low: pool.runWith({ priority: -3 }, 0),
      b: pool.run(0),
      high: pool.runWith({ priority: 100 }, 0),
      c: pool.run(0),
      high2: pool.runWith({ priority: 100 }, 0),
    });
    await pool.drain();
    await reactions();
    expect(order).toEqual(['first', 'high', 'high2', 'a', 'b', 'c', 'low']);
  });

  test('is left at once by a run whose signal fires, which makes room', async () => {
    const pool = gatePool({ queue: 3 });
    const gate = new Channel();
    const first = pool.run(gate);
    const ends = Array.from({ length: 3 }, () => new AbortController());
    const runs = ends.map(({ signal }) => pool.runWith({ signal }, gate));
    ends[1]!.abort('out');
    expect(counts(pool)).toMatchObject({ queued: 2, running: 1, cancelled: 1 });
    expect(await rejectionOf(runs[1]!)).toBe('out');
    const last = pool.run(gate);
    expect(counts(pool)).toMatchObject({ queued: 3, rejected: 0 });
    gate.close();
    await Promise.all([first, runs[0], runs[2], last]);
    for (const { signal } of ends) expect(getEventListeners(signal, 'abort')).toHaveLength(0);
  });
});

describe('cancelling', () => {
  test('a run in progress ends its task, for the reason of the signal', async () => {
    const pool = sleepPool();
    const end = new AbortController();
    const run = pool.runWith({ signal: end.signal }, kHourMs);
    const next = pool.run(0);
    end.abort('enough');
    expect(await rejectionOf(run)).toBe('enough');
    await next;
    expect(counts(pool as never)).toMatchObject({ ...none, cancelled: 1, completed: 1 });
    expect(getEventListeners(end.signal, 'abort')).toHaveLength(0);
  });

  test('by a signal or context that is done keeps it from starting', async () => {
    const pool = new Pool(kernels.fail);
    const { ctx, cancel } = background().withCancel();
    cancel('done');
    expect(await rejectionOf(pool.runWith({ context: ctx }, 'ran'))).toBe('done');
    const signal = AbortSignal.abort('fired');
    expect(await rejectionOf(pool.runWith({ signal }, 'ran'))).toBe('fired');
    expect(pool.stats()).toMatchObject({ ...none, cancelled: 2 });
  });

  test('by a context reaches runs in the queue and in progress', async () => {
    const pool = sleepPool();
    const { ctx, cancel } = background().withCancel();
    const runs = [0, 1, 2].map(() => rejectionOf(pool.runWith({ context: ctx }, kHourMs)));
    cancel('over');
    expect(await Promise.all(runs)).toEqual(['over', 'over', 'over']);
    expect(counts(pool as never)).toEqual({ ...none, cancelled: 3, rejected: 0 });
  });

  test('by a deadline counts from the call, so time in the queue is part of it', async () => {
    const pool = sleepPool({ deadline: 20 });
    const long = pool.runWith({ deadline: kHourMs }, kHourMs);
    const begin = performance.now();
    const timeout = await rejectionOf(pool.run(0));
    expect(timeout).toMatchObject({ name: 'TimeoutError' });
    expect(performance.now() - begin).toBeGreaterThanOrEqual(19);
    expect(counts(pool as never)).toMatchObject({ running: 1, queued: 0, cancelled: 1 });
    expect(await stateOf(long)).toBe('pending');
  });

  test('by a deadline ends a run in progress', async () => {
    const pool = sleepPool({ deadline: 5 });
    expect(await rejectionOf(pool.run(kHourMs))).toMatchObject({ name: 'TimeoutError' });
  });
});

describe('ready', () => {
  test('settles at once while there is room, then as soon as there is again', async () => {
    const pool = gatePool({ queue: 1 });
    const gates = [new Channel(), new Channel()];
    const runs = [];
    for (const gate of gates) {
      expect(await stateOf(pool.ready())).toBe('settled');
      runs.push(pool.run(gate));
    }
    const ready = pool.ready();
    expect(await stateOf(ready)).toBe('pending');
    gates[0]!.close();
    await ready;
    expect(counts(pool)).toMatchObject({ running: 1, queued: 0, rejected: 0 });
    gates[1]!.close();
    await Promise.all(runs);
  });

  test('keeps a thousand producers at once from ever being refused', async () => {
    const pool = new Pool(kernels.sleep, { concurrency: 2, queue: 3 });
    let most = 0;
    const producers = Array.from({ length: 1000 }, async () => {
      await pool.ready();
      const run = pool.run(0);
      most = Math.max(most, pool.stats().queued);
      await run;
    });
    await Promise.all(producers);
    expect(pool.stats()).toMatchObject({ ...none, completed: 1000, rejected: 0 });
    expect(most).toBe(3);
  });

  test('settles when a queued run is cancelled', async () => {
    const pool = gatePool({ queue: 1 });
    const end = new AbortController();
    const gate = new Channel();
    const run = pool.run(gate);
    const queued = rejectionOf(pool.runWith({ signal: end.signal }, gate));
    const ready = pool.ready();
    expect(await stateOf(ready)).toBe('pending');
    end.abort();
    expect(await stateOf(ready)).toBe('settled');
    gate.close();
    await Promise.all([run, queued]);
  });

  test('lets others go on if one does not use its room', async () => {
    const pool = gatePool({ queue: 0 });
    const waits = Array.from({ length: 5 }, () => pool.ready());
    expect(await stateOf(waits[0]!)).toBe('settled');
    expect(await stateOf(waits[1]!)).toBe('pending');
    await Promise.all(waits);
  });

  test('ends with its signal, and with the pool', async () => {
    const pool = gatePool({ queue: 0 });
    const gate = new Channel();
    const run = pool.run(gate);
    const end = new AbortController();
    const [first, second] = [pool.ready({ signal: end.signal }), pool.ready()];
    end.abort('enough');
    expect(await rejectionOf(first)).toBe('enough');
    expect(getEventListeners(end.signal, 'abort')).toHaveLength(0);
    const closed = pool.close();
    await expectRejection('ERR_HEDDLE_POOL_CLOSED', second);
    await expectRejection('ERR_HEDDLE_POOL_CLOSED', pool.ready());
    gate.close();
    await Promise.all([run, closed]);
  });
});

describe('draining', () => {
  test('waits for what is queued and what runs, also if it comes later', async () => {
    const pool = gatePool();
    await pool.drain();
    const gates = [new Channel(), new Channel(), new Channel()];
    const runs = gates.slice(0, 2).map((gate) => pool.run(gate));
    const drained = pool.drain();
    gates[0]!.close();
    await runs[0];
    runs.push(pool.run(gates[2]!));
    gates[1]!.close();
    await runs[1];
    expect(await stateOf(drained)).toBe('pending');
    gates[2]!.close();
    await drained;
    expect(counts(pool)).toEqual({ ...none, completed: 3, rejected: 0 });
    expect(await stateOf(runs[2]!)).toBe('settled');
  });

  test('ends with its signal', async () => {
    const pool = gatePool();
    const gate = new Channel();
    const run = pool.run(gate);
    expect(await rejectionOf(pool.drain({ signal: AbortSignal.abort('no') }))).toBe('no');
    const end = new AbortController();
    const drained = pool.drain({ signal: end.signal });
    end.abort('enough');
    expect(await rejectionOf(drained)).toBe('enough');
    gate.close();
    await run;
  });
});

describe('closing', () => {
  test('rejects what is queued and lets what runs end', async () => {
    const pool = gatePool();
    const gate = new Channel();
    const running = pool.run(gate);
    const queued = [pool.run(gate), pool.run(gate)];
    const closed = pool.close();
    expect(pool.closed).toBe(true);
    for (const each of [...queued, pool.run(gate)]) {
      await expectRejection('ERR_HEDDLE_POOL_CLOSED', each, 'pool consume');
    }
    expect(await stateOf(closed)).toBe('pending');
    gate.close();
    expect(await running).toBe(0);
    await closed;
    expect(counts(pool)).toEqual({ ...none, completed: 1, rejected: 3 });
  });

  test('cancels what runs at its deadline', async () => {
    const pool = sleepPool({ concurrency: 3 });
    const runs = [1, 2, 3].map(() => pool.run(kHourMs));
    await pool.close({ deadline: 5 });
    for (const each of runs) await expectRejection('ERR_HEDDLE_POOL_CLOSED', each, 'got 3');
    expect(counts(pool as never)).toEqual({ ...none, cancelled: 3, rejected: 0 });
  });

  test('returns at its deadline also if a task does not listen', async () => {
    const pool = new Pool(kernels.spin, { concurrency: 1 });
    const run = pool.run(300);
    await until(() => pool.stats().running === 1);
    const begin = performance.now();
    await pool.close({ deadline: 1 });
    expect(performance.now() - begin).toBeLessThan(250);
    expect(pool.stats().running).toBe(1);
    await run.catch(() => {});
  });

  test('again may have an earlier deadline, never a later one', async () => {
    const pool = sleepPool();
    const run = pool.run(kHourMs);
    const patient = pool.close({ deadline: Infinity });
    expect(await stateOf(patient)).toBe('pending');
    await Promise.all([pool.close({ deadline: 1 }), patient, pool.close({ deadline: kHourMs })]);
    await expectRejection('ERR_HEDDLE_POOL_CLOSED', run);
    await pool.close();
  });

  test('while others run settles each of them one way or the other', async () => {
    const outcomes = { done: 0, closed: 0 };
    for (let round = 0; round < 200; round += 1) {
      const pool = new Pool(kernels.sleep, { concurrency: 1 + (round % 3), queue: Infinity });
      const runs: Promise<unknown>[] = [];
      const producer = (async () => {
        for (let n = 0; n < 20; n += 1) {
          await pool.ready().catch(() => {});
          runs.push(pool.run(0));
          if (n === round % 20) runs.push(pool.close());
        }
      })();
      await producer;
      for (const { status } of await Promise.allSettled(runs)) {
        outcomes[status === 'fulfilled' ? 'done' : 'closed'] += 1;
      }
      expect(counts(pool as never)).toMatchObject({ queued: 0, running: 0 });
    }
    expect(outcomes.done + outcomes.closed).toBe(200 * 21);
    expect(outcomes.done).toBeGreaterThan(200);
    expect(outcomes.closed).toBeGreaterThan(200);
  });

  test('rejects a million queued runs in a moment', async () => {
    const pool = gatePool({ queue: Infinity });
    const gate = new Channel();
    const runs = [pool.run(gate)];
    let closedCount = 0;
    const note = (): void => void (closedCount += 1);
    for (let n = 0; n < 1_000_000; n += 1) pool.run(gate).catch(note);
    expect(pool.stats().queued).toBe(1_000_000);
    const begin = performance.now();
    const closed = pool.close();
    expect(performance.now() - begin).toBeLessThan(5000);
    gate.close();
    await Promise.all([...runs, closed]);
    await until(() => closedCount === 1_000_000);
    expect(counts(pool)).toEqual({ ...none, completed: 1, rejected: 1_000_000 });
  }, 60_000);

  test('by disposal waits for the runs first', async () => {
    const pool = new Pool(kernels.sleep, { concurrency: 1 });
    const runs = [pool.run(5), pool.run(0), pool.run(0)];
    await pool[Symbol.asyncDispose]();
    expect(pool.closed).toBe(true);
    await Promise.all(runs);
    await pool[Symbol.asyncDispose]();
  });

  test('by disposal cancels what is not done by its deadline', async () => {
    const pool = new Pool(kernels.sleep, { concurrency: 1, closeDeadline: 5 });
    const runs = [pool.run(kHourMs), pool.run(0)];
    await Promise.all([
      pool[Symbol.asyncDispose](),
      ...runs.map((run) => expectRejection('ERR_HEDDLE_POOL_CLOSED', run)),
    ]);
  });
});

describe('nothing is left', () => {
  test('of thousands of pools that were opened, used and closed', async () => {
    const timers = new Set<number>();
    const hook = createHook({
      init: (id, type) => void (type === 'Timeout' && timers.add(id)),
      destroy: (id) => void timers.delete(id),
    }).enable();
    const end = new AbortController();
    for (let n = 0; n < 3000; n += 1) {
      const pool = new Pool(kernels.fib, { deadline: kHourMs, adapt: { memory: true } });
      await pool.ready({ signal: end.signal });
      const run = pool.runWith({ signal: end.signal }, 5);
      await Promise.all([run, pool.close({ deadline: kHourMs })]);
    }
    expect(getEventListeners(end.signal, 'abort')).toHaveLength(0);
    // Node tells in the next turn of timers that are gone: before any of them could have fired.
    for (let turn = 0; turn < 3; turn += 1) await new Promise(setImmediate);
    hook.disable();
    expect(timers.size).toBe(0);
  });

  test.each(['', '{ adapt: { memory: true } }', '{ deadline: 3_600_000 }'])(
    'that keeps the process alive: an idle pool with %s',
    async (options) => {
      const script = `
        import { kernels, Pool } from 'heddle';
        const pool = new Pool(kernels.fib, ${options || '{}'});
        console.log(await pool.run(10));
        void pool.map([1, 2, 3]);`;
      const begin = performance.now();
      expect(await outputOf(script)).toBe('55');
      expect(performance.now() - begin).toBeLessThan(10_000);
    },
  );
});

describe('what a pool is given is checked', () => {
  test('targets', () => {
    for (const target of [undefined, null, 5, {}, 'fib']) {
      expectRefusal('ERR_HEDDLE_TARGET', () => new Pool(target as never), 'expected a kernel');
    }
  });

  const wrong: [option: string, values: unknown[]][] = [
    ['concurrency', [0, -1, 1.5, NaN, Infinity, 2 ** 31, '4', null]],
    ['min', [-1, 1.5, 5, '1']],
    ['queue', [-1, 1.5, NaN, 2 ** 31, '9']],
    ['overflow', ['drop', 1, null]],
    ['deadline', [-1, 0.5, NaN, Infinity, 2 ** 31, '1']],
    ['closeDeadline', [-1, NaN, 2 ** 31, '1']],
    ['name', [5, null]],
    ['adapt', [5, null, 'memory']],
  ];
  test.each(wrong)('%s', (option, values) => {
    for (const value of values) {
      const make = (): unknown => new Pool(kernels.fib, { concurrency: 4, [option]: value });
      expectRefusal('ERR_HEDDLE_OPTION', make, `${option}: expected`);
    }
  });

  test('options of options', () => {
    for (const memory of [0, -1, 1.5, '1', false]) {
      const adapt = { memory: memory as number };
      expectRefusal('ERR_HEDDLE_OPTION', () => new Pool(kernels.fib, { adapt }), 'adapt.memory');
    }
    expectRefusal(
      'ERR_HEDDLE_OPTION',
      () => new Pool(kernels.fib, { queue: 0, overflow: 'dropOldest' }),
      'queue: expected an integer from 1',
    );
    expectRefusal('ERR_HEDDLE_OPTION', () => new Pool(kernels.fib, 5 as never), 'options');
  });

  test('runs, waits and the concurrency', () => {
    const pool = new Pool(kernels.fib, { min: 2, concurrency: 4 });
    const refuse = (call: () => unknown, ...words: string[]): void =>
      expectRefusal('ERR_HEDDLE_OPTION', call, ...words);
    for (const options of [null, 5, 'x']) refuse(() => pool.runWith(options as never, 5));
    for (const priority of [101, -101, 0.5, NaN, '1']) {
      refuse(() => pool.runWith({ priority: priority as number }, 5), 'priority: expected');
    }
    refuse(() => pool.runWith({ signal: {} as never }, 5), 'signal: expected');
    refuse(() => pool.runWith({ context: {} as never }, 5), 'context: expected');
    refuse(() => pool.runWith({ deadline: -1 }, 5), 'deadline: expected');
    for (const wait of ['ready', 'drain'] as const) {
      refuse(() => pool[wait]({ signal: {} as never }), 'signal: expected');
    }
    for (const deadline of [-1, NaN, '5']) {
      refuse(() => pool.close({ deadline: deadline as number }), 'deadline: expected');
    }
    for (const count of [1, 0, Infinity, '3']) {
      refuse(() => (pool.concurrency = count as number), 'concurrency: expected');
    }
    expect(pool.closed).toBe(false);
    expect(pool.concurrency).toBe(4);
  });
});
