// select: of local channels, of shared ones, and of both beside timers and contexts.
import { getEventListeners } from 'node:events';
import { after, background, Channel, done, recv, select, send } from 'heddle';
import type { Case } from 'heddle';
import { describe, expect, test } from 'vitest';
import { expectRefusal, kHourMs, reactions, rejectionOf } from './support.js';
import { outputOf, runScript, sharedChannel, stateOf } from './support.js';
import type { MakeChannel } from './support.js';

const upTo = (count: number): number[] => Array.from({ length: count }, (_, i) => i);
const local: MakeChannel = (capacity) => new Channel(capacity);
const listeners = (signal: AbortSignal): number => getEventListeners(signal, 'abort').length;

let isNextLocal = false;
const mixed: MakeChannel = (capacity) => {
  isNextLocal = !isNextLocal;
  return isNextLocal ? local(capacity) : sharedChannel(capacity);
};
const kinds: [kind: string, make: MakeChannel][] = [
  ['local', local],
  ['shared', sharedChannel],
  ['mixed', mixed],
];
/** Each a different one, in the order of the kind. */
const make2 = (make: MakeChannel, capacity = 0): [Channel<number>, Channel<number>] => {
  isNextLocal = false;
  return [make<number>(capacity), make<number>(capacity)];
};

describe.each(kinds)('a select of %s channels', (_, make) => {
  test('gives what is ready, with its key', async () => {
    const [a, b] = make2(make, 1);
    await a.send(5);
    expect(await select({ a: recv(a), b: recv(b) })).toEqual({ key: 'a', ok: true, value: 5 });
    expect(await select([recv(a), send(b, 6)])).toEqual({ key: 1, ok: true });
    expect(select.now([recv(a), recv(b)])).toEqual({ key: 1, ok: true, value: 6 });
    expect(select.now({ a: recv(a), b: recv(b) })).toBe(undefined);
  });

  test('waits for the first, and serves whoever comes', async () => {
    const [a, b] = make2(make);
    for (const channel of [a, b]) {
      const selected = select({ 0: recv(a), 1: recv(b) });
      expect(await stateOf(selected)).toBe('pending');
      expect(channel.trySend(7)).toBe(true);
      expect([a.trySend(8), b.trySend(8)]).toEqual([false, false]);
      expect(await selected).toEqual({ key: channel === a ? '0' : '1', ok: true, value: 7 });
    }
    const selected = select([send(a, 1), send(b, 2)]);
    expect(await b.recv()).toEqual({ ok: true, value: 2 });
    expect([a.tryRecv(), b.tryRecv()]).toEqual([undefined, undefined]);
    expect(await selected).toEqual({ key: 1, ok: true });
  });

  test('never chooses a case that is absent', async () => {
    const [a, b] = make2(make, 1);
    await a.send(1);
    const cases = { no: undefined, a: recv(a), never: undefined as Case<never> | undefined };
    expect(await select(cases)).toEqual({ key: 'a', ok: true, value: 1 });
    expect(select.now([undefined, send(b, 1), undefined])).toEqual({ key: 1, ok: true });
  });

  test('chooses among those that are ready with equal chances', async () => {
    const kTrials = 10_000;
    const [a, b] = make2(make, 1);
    await a.send(0);
    await b.send(0);
    let count = 0;
    for (let i = 0; i < kTrials; i += 1) {
      const isAsync = i % 2 === 0;
      const chosen = isAsync ? await select([recv(a), recv(b)]) : select.now([recv(a), recv(b)]);
      (chosen!.key === 0 ? a : b).trySend(0);
      count += chosen!.key;
    }
    expect(Math.abs(count / kTrials - 0.5)).toBeLessThanOrEqual(0.025);
  });

  test('gives each of many more than half of its share', async () => {
    const kCount = 10;
    const channels = upTo(kCount).map(() => make<number>(1));
    for (const channel of channels) await channel.send(0);
    const chosen = new Array<number>(kCount).fill(0);
    for (let i = 0; i < 5_000; i += 1) {
      const { key } = await select(channels.map((channel) => recv(channel)));
      chosen[key]! += 1;
      channels[key]!.trySend(0);
    }
    expect(Math.min(...chosen)).toBeGreaterThan(5_000 / kCount / 2);
  });

  test('does not match itself when it sends and receives on one channel', async () => {
    const [a, b] = make2(make);
    for (const channel of [a, b]) {
      const cases = () => ({ in: recv(channel), out: send(channel, 1) });
      expect(select.now(cases())).toBe(undefined);
      const first = select(cases());
      expect(await stateOf(first)).toBe('pending');
      const second = await select(cases());
      expect([second.key, (await first).key].sort()).toEqual(['in', 'out']);
      expect([channel.tryRecv(), channel.trySend(1)]).toEqual([undefined, false]);
    }
  });

  test('may name a channel many times', async () => {
    const [a, b] = make2(make);
    for (const channel of [a, b]) {
      const selected = select(upTo(20).map(() => recv(channel)));
      const other = channel.recv();
      expect([channel.trySend(1), channel.trySend(2), channel.trySend(3)]).toEqual([
        true,
        true,
        false,
      ]);
      expect(await selected).toMatchObject({ ok: true, value: 1 });
      expect(await other).toEqual({ ok: true, value: 2 });
    }
  });

  test('commits exactly one case', async () => {
    isNextLocal = false;
    const channels = upTo(4).map(() => make<number>());
    const kCount = 2_500;
    const receivers = channels.map(async (channel) => {
      let sum = 0;
      for await (const value of channel) sum += value;
      return sum;
    });
    for (let i = 0; i < 4 * kCount; i += 1) await select(channels.map((c) => send(c, 1)));
    channels.forEach((channel) => channel.close());
    const sums = await Promise.all(receivers);
    expect(sums.reduce((sum, each) => sum + each)).toBe(4 * kCount);
  });

  test('that is lost leaves others who wait their turn', async () => {
    const [a, b] = make2(make);
    const first = select([recv(a), recv(b)]);
    const second = a.recv();
    const third = b.recv();
    b.trySend(1);
    expect(await first).toEqual({ key: 1, ok: true, value: 1 });
    expect([a.trySend(2), b.trySend(3), a.trySend(4)]).toEqual([true, true, false]);
    expect([await second, await third]).toEqual([
      { ok: true, value: 2 },
      { ok: true, value: 3 },
    ]);
  });

  test('is served in the order of arrival', async () => {
    const [a, b] = make2(make);
    const waits: Promise<{ readonly value?: number | undefined }>[] = [];
    for (let i = 0; i < 10; i += 1) {
      waits.push(i % 2 === 0 ? select([recv(a), recv(b)]) : a.recv());
    }
    for (const value of upTo(10)) expect(a.trySend(value)).toBe(true);
    expect((await Promise.all(waits)).map(({ value }) => value)).toEqual(upTo(10));
  });

  test('sees a channel that is closed, then or later', async () => {
    const [a, b] = make2(make);
    const [receiving, sending] = [select({ a: recv(a), b: recv(b) }), select([send(b, 1)])];
    // The one who sends has met the one who receives.
    expect(await receiving).toEqual({ key: 'b', ok: true, value: 1 });
    expect(await sending).toEqual({ key: 0, ok: true });
    const waiting = select({ a: recv(a), b: send(b, 1) });
    b.close();
    expect(await waiting).toEqual({ key: 'b', ok: false });
    a.close();
    expect(await select({ a: recv(a) })).toEqual({ key: 'a', ok: false });
    expect(await select({ a: send(a, 1) })).toEqual({ key: 'a', ok: false });
  });

  test('among ten parties loses nothing', async () => {
    const kParties = 10;
    const kValues = 50;
    isNextLocal = false;
    const channels = upTo(kParties).map(() => make<number>());
    const sums = new Array<number>(kParties).fill(0);
    const party = async (): Promise<void> => {
      const left = channels.map(() => kValues);
      const come = channels.map(() => kValues);
      while (left.some(Boolean) || come.some(Boolean)) {
        const chosen = await select([
          ...channels.map((channel, i) => (left[i]! > 0 ? send(channel, left[i]!) : undefined)),
          ...channels.map((channel, i) => (come[i]! > 0 ? recv(channel) : undefined)),
        ]);
        if (chosen.key < kParties) {
          left[chosen.key]! -= 1;
        } else {
          come[chosen.key - kParties]! -= 1;
          sums[chosen.key - kParties]! += (chosen as { value: number }).value;
        }
      }
    };
    await Promise.all(upTo(kParties).map(party));
    const each = (kParties * kValues * (kValues + 1)) / 2;
    expect(sums).toEqual(new Array<number>(kParties).fill(each));
  });

  test('sends objects, each its own', async () => {
    isNextLocal = false;
    const [a, b] = [make<object>(), make<object>()];
    for (const channel of [a, b, a, b]) {
      const values = [{ x: 'first' }, { y: ['second', 2] }] as const;
      const selected = select({ a: send(a, values[0]), b: send(b, values[1]) });
      expect(await channel.recv()).toEqual({ ok: true, value: values[channel === a ? 0 : 1] });
      await selected;
      await a.recv({ signal: AbortSignal.abort() }).catch(() => {});
      const [c, d] = make2(make, 1) as unknown as [Channel<object>, Channel<object>];
      const { key } = await select([send(c, values[0]), send(d, values[1])]);
      expect([c, d][key]!.tryRecv()).toEqual({ ok: true, value: values[key] });
    }
  });
});

test('a local and a shared channel have equal chances beside idle ones', async () => {
  const ready = make2(mixed, 1);
  const idle = upTo(6).map(() => mixed<number>());
  for (const channel of ready) await channel.send(0);
  const cases = [...ready, ...idle].map((channel) => recv(channel));
  let count = 0;
  for (let i = 0; i < 10_000; i += 1) {
    const { key } = select.now(cases)!;
    ready[key]!.trySend(0);
    count += key;
  }
  expect(Math.abs(count / 10_000 - 0.5)).toBeLessThanOrEqual(0.025);
});

describe.each(kinds)('a signal for a select of %s channels', (_, make) => {
  test('that has fired lets no case happen', async () => {
    const [a, b] = make2(make, 1);
    await a.send(1);
    const signal = AbortSignal.abort('before');
    expect(await rejectionOf(select([recv(a), send(b, 2)], { signal }))).toBe('before');
    expect([a.length, b.length, listeners(signal)]).toEqual([1, 0, 0]);
  });

  test('that fires meanwhile ends it, and nothing is left behind', async () => {
    const [a, b] = make2(make);
    const controller = new AbortController();
    const { signal } = controller;
    const { ctx } = background().withCancel();
    const cases = { a: recv(a), b: send(b, 1), late: after(kHourMs), stop: done(ctx) };
    const selected = select(cases, { signal });
    expect(listeners(signal)).toBe(1);
    controller.abort('enough');
    expect(await rejectionOf(selected)).toBe('enough');
    expect([a.trySend(1), b.tryRecv(), listeners(signal)]).toEqual([false, undefined, 0]);
  });

  test('that fires after a case has happened changes nothing', async () => {
    const [a, b] = make2(make);
    const controller = new AbortController();
    for (const channel of [a, b]) {
      const { signal } = controller;
      const selected = select([recv(a), recv(b)], { signal });
      expect(channel.trySend(3)).toBe(true);
      if (channel === b) controller.abort('too late');
      expect(await selected).toMatchObject({ ok: true, value: 3 });
      expect(listeners(signal)).toBe(0);
    }
  });
});

describe('time and contexts in a select', () => {
  test('after is never early', async () => {
    const channel = new Channel<number>();
    const elapsed = async (ms: number): Promise<number> => {
      const begin = performance.now();
      const { key } = await select({ never: recv(channel), late: after(ms) });
      expect(key).toBe('late');
      return performance.now() - begin - ms;
    };
    const lengths = upTo(300).map((i) => ((i * 7919) % 40) + i / 300);
    expect(Math.min(...(await Promise.all(lengths.map(elapsed))))).toBeGreaterThanOrEqual(0);
  });

  test('the shorter of two comes first, whichever stands first', async () => {
    expect(await select({ long: after(kHourMs), short: after(2) })).toEqual({
      key: 'short',
      ok: true,
    });
    expect(await select([after(2), after(kHourMs), after(Infinity)])).toEqual({ key: 0, ok: true });
  });

  test.each([0, -0, -1, -Infinity])('after(%d) is chosen if nothing else is ready', async (ms) => {
    const channel = new Channel<number>(1);
    expect(await select({ in: recv(channel), late: after(ms) })).toEqual({ key: 'late', ok: true });
    expect(select.now({ in: recv(channel), late: after(ms) })).toEqual({ key: 'late', ok: true });
    await channel.send(1);
    expect((await select({ in: recv(channel), late: after(ms) })).key).toBe('in');
  });

  test('after(Infinity) and after what is far away never come', async () => {
    const far = [Infinity, Number.MAX_VALUE, Number.MAX_SAFE_INTEGER, 2 ** 32, 2 ** 31];
    const controller = new AbortController();
    const waiting = far.map((ms) => select([after(ms)], { signal: controller.signal }));
    expect((await select([...far.map(after), after(3)])).key).toBe(far.length);
    const states = await Promise.all(waiting.map(stateOf));
    expect(new Set(states)).toEqual(new Set(['pending']));
    expect(select.now(far.map(after))).toBe(undefined);
    controller.abort('enough');
    for (const each of waiting) expect(await rejectionOf(each)).toBe('enough');
  });

  test('a value that comes in time wins, and the timer is gone', async () => {
    for (const make of [local, sharedChannel]) {
      const channel = make<number>();
      const selected = select({ in: recv(channel), late: after(kHourMs) });
      channel.trySend(1);
      expect(await selected).toEqual({ key: 'in', ok: true, value: 1 });
    }
  });

  test('done is ready when its context is, with the reason', async () => {
    const { ctx, cancel } = background().withCancel();
    const [a, b] = make2(mixed);
    const selected = select({ a: recv(a), b: recv(b), stop: done(ctx), late: after(kHourMs) });
    expect(select.now([done(ctx)])).toBe(undefined);
    const reason = new Error('enough');
    cancel(reason);
    expect(await selected).toEqual({ key: 'stop', ok: true, reason });
    expect(await select([recv(a), done(ctx)])).toEqual({ key: 1, ok: true, reason });
    expect(select.now([recv(a), done(ctx)])).toEqual({ key: 1, ok: true, reason });
  });

  test('done comes with a deadline', async () => {
    const { ctx } = background().withTimeout(5);
    const chosen = await select({ never: recv(new Channel()), stop: done(ctx) });
    expect(chosen).toMatchObject({ key: 'stop', ok: true, reason: { name: 'TimeoutError' } });
  });

  test('nothing at all is waited for without end', async () => {
    const controller = new AbortController();
    const { signal } = controller;
    const cases = [{}, [], { a: undefined }, [undefined, undefined], [after(Infinity)]];
    const waiting = cases.map((each) => select(each as Record<string, undefined>, { signal }));
    for (const each of waiting) expect(await stateOf(each)).toBe('pending');
    for (const each of cases) expect(select.now(each as [])).toBe(undefined);
    controller.abort('enough');
    for (const each of waiting) expect(await rejectionOf(each)).toBe('enough');
  });
});

describe('channels that travel in a select', () => {
  test('may be among those that are waited for', async () => {
    for (let i = 0; i < 20; i += 1) {
      const answers = new Channel<number>(1);
      const requests = sharedChannel<{ answers: Channel<number> }>();
      const cases = () => ({ answer: recv(answers), asked: send(requests, { answers }) });
      if (i % 2 === 0) {
        await answers.send(i);
        expect(await select(cases())).toEqual({ key: 'answer', ok: true, value: i });
      } else {
        const selected = select(cases());
        await reactions();
        expect(answers.trySend(i)).toBe(true);
        expect(await selected).toEqual({ key: 'answer', ok: true, value: i });
        expect(requests.tryRecv()).toBe(undefined);
      }
    }
  });

  test('arrive as the channels that they are', async () => {
    const [inner, outer] = [new Channel<number>(1), sharedChannel<Channel<number>>()];
    const sent = select([send(outer, inner)]);
    expect((await outer.recv()).value).toBe(inner);
    expect(await sent).toEqual({ key: 0, ok: true });
  });
});

describe('bad input of a select is refused', () => {
  test.each([[null], [5], ['a'], [undefined], [() => 1]])('%o for the cases', (cases) => {
    const words = 'cases: expected an object or an array of cases, got';
    expectRefusal('ERR_HEDDLE_OPTION', () => select(cases as never), words);
    expectRefusal('ERR_HEDDLE_OPTION', () => select.now(cases as never), words);
  });

  test.each([[null], [5], [{}], [new Channel()], [Promise.resolve()]])('%o for a case', (each) => {
    const words = 'case stop: expected recv(…), send(…), after(…), done(…) or undefined, got';
    expectRefusal('ERR_HEDDLE_OPTION', () => select({ stop: each } as never), words);
    expectRefusal('ERR_HEDDLE_OPTION', () => select.now([each] as never), 'case 0: expected');
  });

  test('what cannot be received from, sent to, or waited for', () => {
    for (const wrong of [undefined, null, {}, 5, recv(new Channel())]) {
      const value = wrong as never;
      expectRefusal('ERR_HEDDLE_OPTION', () => recv(value), 'recv: expected a Channel, got');
      expectRefusal('ERR_HEDDLE_OPTION', () => send(value, 1), 'send: expected a Channel, got');
      expectRefusal('ERR_HEDDLE_OPTION', () => done(value), 'done: expected a Context, got');
    }
    for (const ms of [NaN, '5', undefined, null, 5n] as never[]) {
      expectRefusal('ERR_HEDDLE_OPTION', () => after(ms), 'after: expected a number of ');
    }
  });

  test('what is no signal, before anything has happened', () => {
    const channel = new Channel<number>(1);
    for (const signal of [{}, 5, null] as never[]) {
      const call = (): unknown => select([send(channel, 1)], { signal });
      expectRefusal('ERR_HEDDLE_OPTION', call, 'signal: expected an AbortSignal');
    }
    expect(channel.length).toBe(0);
  });

  test('a value that cannot be cloned, before anything has happened', () => {
    const [a, b] = [sharedChannel<unknown>(1), sharedChannel<unknown>(1)];
    const call = (): unknown => select({ a: send(a, 1), b: send(b, { f: () => 1 }) });
    expectRefusal('ERR_HEDDLE_VALUE', call, 'value.f');
    expect([a.length, b.length]).toEqual([0, 0]);
  });

  test('more cases than there is room for', async () => {
    for (const make of [local, sharedChannel]) {
      const channels = upTo(1_024).map(() => make<number>());
      const selected = select(channels.map((channel) => recv(channel)));
      channels[1_000]!.trySend(7);
      expect(await selected).toEqual({ key: 1_000, ok: true, value: 7 });
      const cases = [...channels, make<number>()].map((channel) => recv(channel));
      const words = 'cases: expected at most 1024';
      expectRefusal('ERR_HEDDLE_OPTION', () => select(cases), words);
    }
  });
});

describe('selects that are lost', () => {
  test.each(['local', 'shared', 'mixed'])(
    'a hundred thousand of them on %s channels leave nothing',
    {
      timeout: 60_000,
    },
    async (kind) => {
      const script = `
      import { after, Channel, recv, select } from 'heddle';
      const [never, often] = [new Channel(), new Channel()];
      if ('${kind}' !== 'local') never.toHandle();
      if ('${kind}' === 'shared') often.toHandle();
      const signal = new AbortController().signal;
      const run = async (count) => {
        for (let i = 0; i < count; i += 1) {
          const selected = select({ a: recv(never), b: recv(often), c: after(1e6) }, { signal });
          often.trySend(i);
          await selected;
        }
      };
      const heap = async () => {
        for (let i = 0; i < 3; i += 1) gc(), await new Promise(setImmediate);
        return process.memoryUsage().heapUsed;
      };
      await run(20_000);
      // The heap of an engine that optimizes as it goes breathes; what leaks does so every time.
      let least = Infinity;
      for (let round = 0; round < 4; round += 1) {
        const before = await heap();
        await run(25_000);
        least = Math.min(least, (await heap()) - before);
      }
      console.log(least <= 110_000 ? 'flat' : least);`;
      const { stdout, stderr } = await runScript(script, '--expose-gc');
      expect([stdout.trim(), stderr]).toEqual(['flat', '']);
    },
  );

  test('do not keep the process', async () => {
    expect(
      await outputOf(`
        import { after, Channel, recv, select } from 'heddle';
        const [a, b] = [new Channel(), new Channel(1)];
        b.toHandle();
        await b.send(1);
        console.log((await select({ a: recv(a), b: recv(b), late: after(3e6) })).key);
        const ending = new AbortController();
        const waiting = select({ a: recv(a), late: after(3e6) }, { signal: ending.signal });
        ending.abort();
        await waiting.catch(({ name }) => console.log(name));`),
    ).toBe('b\nAbortError');
  });
});
