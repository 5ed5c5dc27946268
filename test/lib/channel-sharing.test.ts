// A channel is local until it is given away. From then on it is the same one for everybody; those
// who wait for it, and what lies in it, notice nothing.
import { getEventListeners } from 'node:events';
import { adopt, after, background, Barrier, Channel, done, kernels, Mutex, Once } from 'heddle';
import { recv, RWMutex, select, Semaphore, send, share, spawn, WaitGroup } from 'heddle';
import type { Received } from 'heddle';
import { describe, expect, test } from 'vitest';
import { expectRefusal, expectRejection, reactions, rejectionOf, runScript } from './support.js';
import { outputOf, sharedChannel, stateOf, thrownBy, until } from './support.js';

const got = <T>(value: T): Received<T> => ({ ok: true, value });
const upTo = (count: number): number[] => Array.from({ length: count }, (_, i) => i);
const give = (channel: Channel<never>): number => channel.toHandle();

/** Through a kernel and back. */
const echo = <T>(value: T): Promise<T> => spawn(kernels.echo, value) as Promise<T>;

describe('the same object comes back', () => {
  const shareables = [
    new Channel<number>(3),
    new Mutex(),
    new RWMutex(),
    new Semaphore(2),
    new WaitGroup(),
    new Once(),
    new Barrier(2),
    background(),
    background().withCancel().ctx,
  ];
  const named = shareables.map((object) => [object.constructor.name, object] as const);

  test.each(named)('a %s through a kernel', async (_, object) => {
    expect(await echo(object)).toBe(object);
  });

  test.each(named)('a %s in plain objects, arrays, maps and sets', async (_, object) => {
    const value = { a: [{ object }], map: new Map([['k', object]]), set: new Set([object, 1]) };
    const copy = await echo(value);
    expect(copy).not.toBe(value);
    expect(copy.a[0]!.object).toBe(object);
    expect(copy.map.get('k')).toBe(object);
    expect([...copy.set]).toEqual([object, 1]);
  });

  test.each(named)('a %s through channels, and as a token', async (_, object) => {
    for (const channel of [new Channel<unknown>(2), sharedChannel<unknown>(2)]) {
      await channel.send(object);
      expect((await channel.recv()).value).toBe(object);
      const receive = channel.recv();
      await channel.sendMany([{ object }, object]);
      expect((await receive).value).toEqual({ object });
      expect(await channel.recvMany(3)).toEqual([object]);
    }
    expect(adopt(share(object))).toBe(object);
  });

  test('a channel with what is in it', async () => {
    const inner = new Channel<unknown>(4);
    await inner.sendMany([{ a: 1 }, 'text', { b: [2] }]);
    const outer = sharedChannel<unknown>(4);
    await outer.send({ before: 'x'.repeat(100), inner, after: [1, { inner }] });
    const { value } = (await outer.recv()) as { value: { inner: unknown; after: unknown[] } };
    expect(value.inner).toBe(inner);
    expect(value).toEqual({ before: 'x'.repeat(100), inner, after: [1, { inner }] });
    expect(await inner.recvMany(5)).toEqual([{ a: 1 }, 'text', { b: [2] }]);
  });

  test('a channel that holds itself, and two that hold each other', async () => {
    const [self, a, b] = upTo(3).map(() => new Channel<unknown>(2));
    self!.trySend({ self });
    self!.trySend(self);
    expect(await echo(self)).toBe(self);
    expect(await self!.recvMany(2)).toEqual([{ self }, self]);
    a!.trySend({ b });
    b!.trySend([a]);
    expect(await echo({ a })).toEqual({ a });
    expect([a!.tryRecv(), b!.tryRecv()]).toEqual([got({ b }), got([a])]);
  });

  test('ten thousand channels at once, each its own', async () => {
    const channels = upTo(10_000).map(() => new Channel<number>(1));
    const copies = await echo(channels);
    expect(copies.every((copy, i) => copy === channels[i])).toBe(true);
    copies.forEach((copy, i) => copy.trySend(i));
    expect(channels.every((channel, i) => channel.tryRecv()?.value === i)).toBe(true);
  });
});

describe('a channel that becomes shared', () => {
  test('keeps its values, in order, and those who wait to send behind them', async () => {
    const channel = new Channel<unknown>(3);
    const values = [1, { two: 2 }, 'three', 4n, { five: [5] }, new Uint8Array([6])];
    const sends = values.map((value) => channel.send(value));
    give(channel as never);
    expect(channel.length).toBe(3);
    expect(await stateOf(sends[3]!)).toBe('pending');
    const late = channel.send('late');
    expect(await channel.recvMany(10)).toEqual([...values, 'late']);
    await Promise.all([...sends, late]);
  });

  test('keeps those who wait to receive, in order', async () => {
    const channel = new Channel<number>();
    const receives = upTo(100).map(() => channel.recv());
    give(channel as never);
    receives.push(channel.recv());
    for (const value of upTo(101)) expect(channel.trySend(value)).toBe(true);
    expect(await Promise.all(receives)).toEqual(upTo(101).map(got));
  });

  test('keeps what is odd about it: a capacity, a name, that it is closed', async () => {
    const channel = new Channel<number>(5, { name: 'jobs' });
    await channel.sendMany([1, 2]);
    channel.close();
    give(channel as never);
    expect([channel.name, channel.capacity, channel.closed, channel.length]).toEqual([
      'jobs',
      5,
      true,
      2,
    ]);
    expectRefusal('ERR_HEDDLE_CLOSED', () => channel.close());
    expect(await channel.recvMany(5)).toEqual([1, 2]);
    expect(await channel.recv()).toEqual({ ok: false });
  });

  test('still lets signals end what waited before, and only that', async () => {
    const channel = new Channel<number>();
    const controller = new AbortController();
    const { signal } = controller;
    const cancelled = channel.recv({ signal });
    const other = channel.recv();
    give(channel as never);
    expect(getEventListeners(signal, 'abort')).toHaveLength(1);
    controller.abort('enough');
    expect(await rejectionOf(cancelled)).toBe('enough');
    channel.trySend(5);
    expect(await other).toEqual(got(5));
    expect(getEventListeners(signal, 'abort')).toEqual([]);
  });

  test('ends what waited before when it is closed', async () => {
    const channel = new Channel<number>(1);
    const sends = [channel.send(1), channel.send(2)];
    give(channel as never);
    channel.close();
    await sends[0];
    await expectRejection('ERR_HEDDLE_CLOSED', sends[1]!);
  });

  test('keeps a select that waits for it', async () => {
    const [a, b, never] = upTo(3).map(() => new Channel<number>()) as [
      Channel<number>,
      Channel<number>,
      Channel<number>,
    ];
    const { ctx } = background().withCancel();
    const cases = () => ({ a: recv(a), b: send(b, 7), never: recv(never), stop: done(ctx) });
    const selects = [select(cases()), select({ ...cases(), late: after(3_000_000) })];
    give(a as never);
    give(never as never);
    expect(a.trySend(5)).toBe(true);
    expect(await selects[0]).toEqual({ key: 'a', ok: true, value: 5 });
    expect(b.tryRecv()).toEqual(got(7));
    expect(await selects[1]).toEqual({ key: 'b', ok: true });
    give(b as never);
    expect([a.trySend(1), b.tryRecv(), never.trySend(1)]).toEqual([false, undefined, false]);
  });

  test('copies from then on what was a reference before', async () => {
    const channel = new Channel<object>(2);
    const [first, second] = [{ a: 1 }, { b: 2 }];
    await channel.sendMany([first, second]);
    expect((await channel.recv()).value).toBe(first);
    give(channel as never);
    const { value } = await channel.recv();
    expect(value).toEqual(second);
    expect(value).not.toBe(second);
  });

  test('while a for await loop and a stream go on', async () => {
    const channel = new Channel<number>();
    const loop = (async () => {
      const values: number[] = [];
      for await (const value of channel) values.push(value);
      return values;
    })();
    const reader = channel.readable().getReader();
    await reactions();
    await channel.sendMany(upTo(4));
    give(channel as never);
    const reads = [reader.read(), reader.read()];
    await channel.sendMany(upTo(4));
    channel.close();
    const streamed = (await Promise.all(reads)).map(({ value }) => value);
    const values = [...(await loop), ...streamed].filter((value) => value !== undefined);
    expect(values.toSorted((a, b) => a - b)).toEqual([0, 0, 1, 1, 2, 2, 3, 3]);
  });
});

describe('a channel with something that cannot be cloned', () => {
  const bad = { job: { run: () => 1 } };

  test.each([
    ['an object', bad, 'value.job.run'],
    ['a function', () => 1, 'value'],
    ['a symbol', Symbol('s'), 'value'],
  ])('in it, %s, is not shared, and nothing has changed', async (_, value, path) => {
    const channel = new Channel<unknown>(4);
    const first = { a: 1 };
    await channel.sendMany([first, value]);
    const words = `as ${path}, got `;
    for (const call of [
      () => give(channel as never),
      () => share(channel),
      () => spawn(kernels.consume, channel),
      () => spawn(kernels.echo, { channel }),
      () => sharedChannel<unknown>(1).trySend(channel),
    ]) {
      expectRefusal('ERR_HEDDLE_VALUE', call, words);
      expect(channel.length).toBe(2);
    }
    expect((await channel.recv()).value).toBe(first);
    expect((await channel.recv()).value).toBe(value);
    expect(typeof give(channel as never)).toBe('number');
  });

  test('in a channel that lies in it, is not shared, and nothing has changed', () => {
    const [inner, outer] = [new Channel<unknown>(2), new Channel<unknown>(2)];
    inner.trySend(bad);
    const first = { inner };
    outer.trySend(first);
    expectRefusal('ERR_HEDDLE_VALUE', () => give(outer as never), 'value.job.run');
    expect(outer.tryRecv()?.value).toBe(first);
    expect(inner.tryRecv()?.value).toBe(bad);
  });

  test('that somebody waits to send is shared, and that send fails', async () => {
    const channel = new Channel<unknown>();
    const { signal } = new AbortController();
    const failed = channel.send(bad, { signal });
    const sent = channel.send('good');
    const selected = select([send(channel, bad)], { signal });
    give(channel as never);
    await expectRejection('ERR_HEDDLE_VALUE', failed, 'value.job.run');
    await expectRejection('ERR_HEDDLE_VALUE', selected, 'value.job.run');
    expect(getEventListeners(signal, 'abort')).toEqual([]);
    expect(await channel.recv()).toEqual(got('good'));
    await sent;
    expect(channel.tryRecv()).toBe(undefined);
  });
});

describe('a token', () => {
  test('stands for the object once', () => {
    const token = share(new Channel<number>(1));
    expect(structuredClone(token)).toEqual(token);
    expect(adopt(structuredClone(token))).toBeInstanceOf(Channel);
    const words = 'expected a token of share(), got an instance of Object';
    expectRefusal('ERR_HEDDLE_TOKEN', () => adopt(token), words);
  });

  test('keeps what it stands for, and its values, when nobody else does', async () => {
    const tokens = upTo(10).map((i) => {
      const channel = new Channel<number>(1);
      channel.trySend(i);
      return share(channel);
    });
    await until(() => true);
    expect(tokens.map((token) => adopt(token).tryRecv())).toEqual(upTo(10).map(got));
  });

  const wrong: unknown[] = [undefined, null, 5, 'token', {}, { heddle: '5' }, { heddle: -1 }];
  wrong.push({ heddle: 0.5 }, { heddle: NaN }, { heddle: 2 ** 53 }, { heddle: 12_345 });
  test.each(wrong.map((value) => [value]))('is not %o', (value) => {
    const call = (): unknown => adopt(value as never);
    expectRefusal('ERR_HEDDLE_TOKEN', call, 'expected a token of share(), got');
  });

  test.each([[undefined], [null], [{}], [5], ['channel'], [new Map()]])(
    'cannot be had for %o',
    (value) => {
      const words = 'share: expected a channel, lock or context, got';
      expectRefusal('ERR_HEDDLE_OPTION', () => share(value as never), words);
    },
  );

  test('nor can objects be made of numbers', () => {
    type Make = new (...args: unknown[]) => { toHandle(): number };
    const [count] = [Number.MAX_SAFE_INTEGER];
    expect(thrownBy(() => new (background().constructor as Make)(count))).toMatchObject({
      code: 'ERR_HEDDLE_OPTION',
    });
    for (const type of [Mutex, RWMutex, WaitGroup, Once]) {
      expect(new (type as unknown as Make)(count).toHandle()).toBeLessThan(100_000);
    }
    expect(new (Semaphore as unknown as Make)(1, count).toHandle()).toBeLessThan(100_000);
    expect(new (Barrier as unknown as Make)(1, count).toHandle()).toBeLessThan(100_000);
  });
});

describe('waits on what only waiters still hold', () => {
  const run = async (body: string): Promise<string> => {
    const script = `
      import { Barrier, Channel, kernels, Mutex, Semaphore, share, spawn, WaitGroup } from 'heddle';
      const shared = (channel) => (channel.toHandle(), channel);
      const collecting = setInterval(gc, 1);
      setTimeout(() => process.exit(9), 20_000).unref();
      const codes = async (promises) =>
        (await Promise.allSettled(promises)).map(({ reason }) => reason?.code).join();
      ${body}
      clearInterval(collecting);`;
    const { code, stdout, stderr } = await runScript(script, '--expose-gc');
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    return stdout.trim();
  };
  const code = 'ERR_HEDDLE_ABANDONED';

  const channels: [string, string][] = [
    ['a local channel', 'const make = (n) => new Channel(n);'],
    ['a shared channel', 'const make = (n) => shared(new Channel(n));'],
  ];
  test.each(channels)('of %s reject', async (_, make) => {
    const output = await run(`${make}
      const receives = () => { const c = make(); return [c.recv(), c.recv()]; };
      const full = () => { const c = make(1); c.trySend(0); return c; };
      const sends = () => { const c = full(); return [c.send(1), c.send({ a: 1 })]; };
      console.log(await codes(receives()), await codes(sends()));`);
    expect(output).toBe(`${code},${code} ${code},${code}`);
  });

  test('of locks reject', async () => {
    const output = await run(`
      const waits = () => {
        const [mutex, semaphore, group] = [new Mutex(), new Semaphore(0), new WaitGroup()];
        group.add(1);
        mutex.tryLock();
        return [mutex.lock(), semaphore.acquire(), group.wait(), new Barrier(2).arrive()];
      };
      console.log(await codes(waits()));`);
    expect(output).toBe([code, code, code, code].join());
  });

  test('of a kernel fail it', async () => {
    const output = await run(`
      console.log(await codes([spawn(kernels.consume, new Channel())]));`);
    expect(output).toBe(code);
  });

  test('go on while a token, a kernel or a value in a channel could end them', async () => {
    const output = await run(`
      const held = [];
      const waiting = (keep) => { const c = new Channel(); keep(c); return c.recv(); };
      const box = new Channel(1);
      const waits = [
        waiting((c) => held.push(share(c))),
        waiting((c) => box.trySend({ c })),
        waiting((c) => spawn(kernels.sleep, 50).then(() => c.send('sent'))),
      ];
      let settled = '';
      waits.forEach((wait, i) => wait.then(() => (settled += i), () => (settled += i + 'x')));
      const last = await waits[2];
      await spawn(kernels.sleep, 50);
      console.log(settled, last.value, box.length);
      process.exit(0);`);
    expect(output).toBe('2 sent 1');
  });
});

test.each([
  ['f64', () => Channel.f64(1), 'a number'],
  ['i32', () => Channel.i32(1), 'an integer of 32 bits'],
  ['bytes', () => Channel.bytes(1), 'a Uint8Array'],
])('a channel of %s checks its elements in other isolates too', async (name, make, words) => {
  const output = await outputOf(`
    import { Worker } from 'node:worker_threads';
    import { adopt, Channel, share } from 'heddle';
    const code = \`
      import { parentPort, workerData } from 'node:worker_threads';
      import { adopt } from 'heddle';
      try {
        adopt(workerData).trySend('text');
      } catch (error) {
        parentPort.postMessage(error.message);
      }\`;
    const worker = new Worker(code, { eval: true, workerData: share(Channel.${name}(1)) });
    worker.on('message', console.log);`);
  expect(output).toContain(`expected ${words}, got "text"`);
  expect(() => make().trySend('text' as never)).toThrow(words);
});
