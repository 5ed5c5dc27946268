// Contexts: trees of cancellations, deadlines and values.
import { getEventListeners } from 'node:events';
import { setImmediate } from 'node:timers/promises';
import fc from 'fast-check';
import { background, Channel, Context, done, kernels, select, sleep, spawn } from 'heddle';
import { describe, expect, test } from 'vitest';
import { expectRefusal, kHourMs, reactions, runScript, thrownBy, until } from './support.js';

const upTo = (count: number): number[] => Array.from({ length: count }, (_, i) => i);
const timeout = { name: 'TimeoutError' };
const abort = { name: 'AbortError' };

describe('a context', () => {
  test('of the background is never done', () => {
    const ctx = background();
    expect(ctx).toBeInstanceOf(Context);
    expect([ctx.done, ctx.err, ctx.signal.aborted]).toEqual([false, undefined, false]);
    expect(ctx.throwIfDone()).toBe(undefined);
    expect(background()).not.toBe(ctx);
  });

  test('is done once it is cancelled, with that reason', () => {
    const { ctx, cancel } = background().withCancel();
    expect([ctx.done, ctx.err]).toEqual([false, undefined]);
    const reason = new RangeError('enough');
    cancel(reason);
    expect([ctx.done, ctx.err]).toEqual([true, reason]);
    expect(ctx.err).toBe(reason);
    expect(thrownBy(() => ctx.throwIfDone())).toBe(reason);
  });

  test('without a reason is done with an AbortError', () => {
    const { ctx, cancel } = background().withCancel();
    cancel();
    expect(ctx.err).toBeInstanceOf(DOMException);
    expect(ctx.err).toMatchObject(abort);
    expect(ctx.err).toBe(ctx.err);
  });

  test('keeps its first reason', () => {
    const { ctx, cancel } = background().withCancel();
    const child = ctx.withCancel();
    child.cancel('child');
    cancel('first');
    cancel('second');
    child.cancel('third');
    expect([ctx.err, child.ctx.err]).toEqual(['first', 'child']);
  });

  const reasons: unknown[] = [null, 0, '', false, { code: 5 }, Symbol('s'), () => 1, new Map()];
  test.each(reasons.map((reason) => [reason]))('takes %o for a reason', (reason) => {
    const { ctx, cancel } = background().withCancel();
    const { ctx: child } = ctx.withCancel();
    cancel(reason);
    expect([ctx.err, child.err, ctx.signal.reason, child.signal.reason]).toEqual(
      new Array(4).fill(reason),
    );
    expect(child.err).toBe(reason);
    expect(thrownBy(() => child.throwIfDone())).toBe(reason);
  });

  test('ends all its descendants, and nobody above or beside', () => {
    const root = background().withCancel();
    const [left, right] = [root.ctx.withCancel(), root.ctx.withTimeout(kHourMs)];
    const leaves = upTo(20).map(() => left.ctx.withValue('k', 1).withDeadline(8.64e15).ctx);
    const reason = new Error('enough');
    left.cancel(reason);
    for (const ctx of [left.ctx, ...leaves]) expect([ctx.done, ctx.err]).toEqual([true, reason]);
    expect([root.ctx.done, right.ctx.done]).toEqual([false, false]);
    root.cancel('root');
    expect([root.ctx.err, right.ctx.err, left.ctx.err]).toEqual(['root', 'root', reason]);
    for (const ctx of leaves) expect(ctx.err).toBe(reason);
  });

  test('that is made under one that is done is done at once', () => {
    const { ctx, cancel } = background().withCancel();
    cancel('early');
    const children = [ctx.withCancel().ctx, ctx.withTimeout(kHourMs).ctx, ctx.withValue('a', 1)];
    for (const child of children) expect([child.done, child.err]).toEqual([true, 'early']);
  });

  test('in a tree of a hundred, cancelled in any order, ends with its nearest reason', () => {
    const orders = fc.shuffledSubarray(upTo(100), { minLength: 1 });
    const parents = fc.tuple(...upTo(100).map((i) => fc.nat({ max: Math.max(i - 1, 0) })));
    const property = fc.property(parents, orders, (parentOf, order) => {
      const nodes: ReturnType<Context['withCancel']>[] = [];
      for (const i of upTo(100)) {
        nodes.push((i === 0 ? background() : nodes[parentOf[i]!]!.ctx).withCancel());
      }
      const expected = new Array<unknown>(100).fill(undefined);
      for (const i of order) {
        nodes[i]!.cancel(`by ${i}`);
        if (expected[i] === undefined) expected[i] = `by ${i}`;
        for (const j of upTo(100).slice(1)) expected[j] ??= expected[parentOf[j]!];
      }
      expect(nodes.map(({ ctx }) => ctx.err)).toEqual(expected);
      expect(nodes.map(({ ctx }) => ctx.done)).toEqual(expected.map((e) => e !== undefined));
    });
    fc.assert(property, { numRuns: 40 });
  });

  test('is the same one when it comes back from a kernel', async () => {
    const { ctx } = background().withCancel();
    expect(await spawn(kernels.echo, { ctx })).toEqual({ ctx });
  });
});

describe('deadlines', () => {
  test('end a context, never early, with a TimeoutError', async () => {
    const early = async (ms: number): Promise<boolean> => {
      const begin = performance.now();
      const { ctx } = background().withTimeout(ms);
      await select([done(ctx)]);
      expect(ctx.err).toBeInstanceOf(DOMException);
      expect(ctx.err).toMatchObject(timeout);
      return performance.now() - begin < ms;
    };
    const lengths = upTo(200).map((i) => ((i * 7919) % 40) + i / 200);
    expect(await Promise.all(lengths.map(early))).not.toContain(true);
  });

  test.each([0, -0, -1, -Infinity])('of %d ms are over at once', (ms) => {
    const { ctx } = background().withTimeout(ms);
    expect(ctx.done).toBe(true);
    expect(ctx.err).toMatchObject(timeout);
    expect(ctx.signal.aborted).toBe(true);
  });

  test('in the past are over at once, as a date or as a time', () => {
    for (const date of [new Date(0), Date.now() - 1, -8.64e15]) {
      const { ctx } = background().withDeadline(date);
      expect(ctx.err).toMatchObject(timeout);
    }
  });

  test('in the future are those of the wall clock', async () => {
    const begin = performance.now();
    const contexts = [new Date(Date.now() + 30), Date.now() + 30].map(
      (date) => background().withDeadline(date).ctx,
    );
    expect(contexts.map((ctx) => ctx.done)).toEqual([false, false]);
    await Promise.all(contexts.map((ctx) => select([done(ctx)])));
    expect(performance.now() - begin).toBeGreaterThan(25);
  });

  test('far away never come', async () => {
    const far = [Infinity, Number.MAX_VALUE, 2 ** 53, 2 ** 32, 2 ** 31];
    const contexts = far.map((ms) => background().withTimeout(ms).ctx);
    contexts.push(background().withDeadline(8.64e15).ctx, background().withDeadline(Infinity).ctx);
    await sleep(3);
    expect(contexts.map((ctx) => ctx.done)).toEqual(contexts.map(() => false));
  });

  test('of a child neither move nor end those above', async () => {
    const parent = background().withTimeout(kHourMs);
    const child = parent.ctx.withTimeout(2);
    const late = background().withTimeout(2).ctx.withTimeout(kHourMs);
    await select([done(child.ctx)]);
    expect([parent.ctx.done, child.ctx.done]).toEqual([false, true]);
    await select([done(late.ctx)]);
    expect(late.ctx.err).toMatchObject(timeout);
    parent.cancel('parent');
    expect(child.ctx.err).toMatchObject(timeout);
  });

  test('that were cancelled before have that reason', async () => {
    const { ctx, cancel } = background().withTimeout(2);
    cancel('before');
    await sleep(5);
    expect(ctx.err).toBe('before');
  });

  test('are seen by a loop that never gives its turn', () => {
    const { ctx } = background().withTimeout(5);
    const child = ctx.withCancel().ctx;
    const limit = performance.now() + 20_000;
    let rounds = 0;
    while (!child.done && performance.now() < limit) rounds += 1;
    expect([child.done, ctx.done, rounds > 0]).toEqual([true, true, true]);
    expect(thrownBy(() => child.throwIfDone())).toMatchObject(timeout);
  });

  test('come in their order', async () => {
    const order: number[] = [];
    const lengths = [30, 5, 20, 10, 25, 15];
    const wait = async (ms: number): Promise<void> => {
      await select([done(background().withTimeout(ms).ctx)]);
      order.push(ms);
    };
    await Promise.all(lengths.map(wait));
    expect(order).toEqual([5, 10, 15, 20, 25, 30]);
  });
});

describe('values', () => {
  test('are those of the nearest context on the way to the root', () => {
    const key = Symbol('key');
    const root = background().withValue('user', 1).withValue(key, 'root');
    const child = root.withCancel().ctx.withValue('user', 2).withTimeout(kHourMs).ctx;
    expect([root.value('user'), child.value('user'), child.value(key)]).toEqual([1, 2, 'root']);
    expect([child.value('none'), background().value('user')]).toEqual([undefined, undefined]);
  });

  test('are any, references, and told apart by identity of their key', () => {
    const value = { a: () => 1 };
    const [one, two] = [{}, {}];
    const ctx = background().withValue(one, value).withValue(null, undefined).withValue(0, 'zero');
    expect(ctx.value(one)).toBe(value);
    expect([ctx.value(two), ctx.value(null), ctx.value(0)]).toEqual([undefined, undefined, 'zero']);
  });
});

describe('the signal of a context', () => {
  test('is one and the same, and fires with it, once', async () => {
    const { ctx, cancel } = background().withCancel();
    const { signal } = ctx;
    expect(ctx.signal).toBe(signal);
    let fired = 0;
    signal.addEventListener('abort', () => (fired += 1));
    const reason = new Error('enough');
    cancel(reason);
    cancel('again');
    await reactions();
    expect([signal.aborted, fired]).toEqual([true, 1]);
    expect(signal.reason).toBe(reason);
  });

  test('has fired when it is asked for too late', () => {
    const { ctx, cancel } = background().withCancel();
    cancel('enough');
    expect([ctx.signal.aborted, ctx.signal.reason]).toEqual([true, 'enough']);
  });

  test('fires for descendants, and with a deadline', async () => {
    const { ctx, cancel } = background().withTimeout(5);
    const signals = [ctx.withCancel().ctx, ctx.withValue('a', 1), ctx].map((each) => each.signal);
    await until(() => signals.every(({ aborted }) => aborted));
    for (const { reason } of signals) expect(reason).toMatchObject(timeout);
    cancel('late');
    expect(ctx.err).toMatchObject(timeout);
  });

  test('ends whatever waits with it', async () => {
    const { ctx, cancel } = background().withCancel();
    const { signal } = ctx;
    const waits = [
      new Channel().recv({ signal }),
      sleep(kHourMs, { signal }),
      spawn({ signal }, kernels.sleep, kHourMs),
      select([], { signal }),
    ];
    const settled = Promise.allSettled(waits);
    cancel('enough');
    for (const end of await settled) expect(end).toEqual({ status: 'rejected', reason: 'enough' });
    await setImmediate();
    expect(getEventListeners(signal, 'abort')).toEqual([]);
  });
});

describe('bad input is refused', () => {
  test.each([NaN, '5', undefined, null, 5n, {}])('%o for a time-out', (ms) => {
    const words = 'ms: expected a number of milliseconds, got';
    expectRefusal('ERR_HEDDLE_OPTION', () => background().withTimeout(ms as number), words);
  });

  test.each([NaN, '2030-01-01', undefined, null, new Date(NaN), {}])('%o for a date', (date) => {
    const words = 'date: expected a Date or milliseconds since 1970, got';
    expectRefusal('ERR_HEDDLE_OPTION', () => background().withDeadline(date as number), words);
  });

  test('undefined for a key', () => {
    const words = 'key: expected anything but undefined, got undefined';
    expectRefusal('ERR_HEDDLE_OPTION', () => background().value(undefined), words);
    expectRefusal('ERR_HEDDLE_OPTION', () => background().withValue(undefined, 1), words);
  });

  test('a context out of nothing', () => {
    const Make = Context as unknown as new (...args: unknown[]) => Context;
    for (const from of [undefined, 5, {}]) {
      expectRefusal('ERR_HEDDLE_OPTION', () => new Make(from), 'Context: expected background()');
    }
  });
});

test('children that have ended leave nothing with their parent', async () => {
  const script = `
    import { background } from 'heddle';
    const parent = background().withCancel().ctx;
    const run = (count) => {
      for (let i = 0; i < count; i += 1) {
        const { cancel } = parent.withTimeout(1e6);
        cancel();
        parent.withCancel();
      }
    };
    const settle = async () => {
      for (let i = 0; i < 5; i += 1) gc(), await new Promise(setImmediate);
      return process.memoryUsage();
    };
    for (let i = 0; i < 3; i += 1) run(8_000), await settle(); // the heap has its size then
    const before = await settle();
    for (let i = 0; i < 5; i += 1) run(8_000), await settle();
    const after = await settle();
    console.log(after.heapUsed - before.heapUsed < 1e6 && after.rss - before.rss < 3e7
      ? 'flat' : [after.heapUsed - before.heapUsed, after.rss - before.rss].join());`;
  const { stdout, stderr } = await runScript(script, '--expose-gc');
  expect([stdout.trim(), stderr]).toEqual(['flat', '']);
});
