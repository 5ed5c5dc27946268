// Fibers and promises on the same channels: produce, consume, relay, pingPong, mapBytes.
import { createHash } from 'node:crypto';
import { after, background, Channel, done, kernels, recv, select, send, spawn } from 'heddle';
import type { KernelOptions } from 'heddle';
import { describe, expect, test } from 'vitest';
import { expectRefusal, expectRejection, kHourMs, reactions, rejectionOf } from './support.js';
import { channelKinds, thrownBy, until } from './support.js';

const upTo = (count: number): number[] => Array.from({ length: count }, (_, i) => i);

async function all<T>(channel: Channel<T>): Promise<T[]> {
  const values: T[] = [];
  for await (const value of channel) values.push(value);
  return values;
}

const places: [string, KernelOptions][] = [
  ['a fiber', {}],
  ['a standard fiber', { stack: 'standard' }],
  ['a thread', { on: 'thread' }],
];

describe.each(places)('on %s', (_, options) => {
  test.each([0, 1, 7, 1_000])('produce sends in order, capacity %d', async (capacity) => {
    const channel = new Channel<number>(capacity);
    const task = spawn(options, kernels.produce, channel, 2_000, true);
    expect(await all(channel)).toEqual(upTo(2_000));
    expect(await task).toBe(2_000);
  });

  test('produce leaves its channel open unless it is told to close it', async () => {
    const channel = new Channel<number>(3);
    expect(await spawn(options, kernels.produce, channel, 3)).toBe(3);
    expect([channel.length, channel.closed]).toEqual([3, false]);
    await spawn(options, kernels.produce, channel, 0, true);
    expect(channel.closed).toBe(true);
    expect(await all(channel)).toEqual([0, 1, 2]);
  });

  test('consume counts what promises send', async () => {
    const channel = new Channel<unknown>(2);
    const counted = spawn(options, kernels.consume, channel);
    await channel.sendMany(upTo(1_000));
    for (const value of ['text', { a: 1 }, new Uint8Array(9), channel]) await channel.send(value);
    channel.close();
    expect(await counted).toBe(1_004);
  });

  test('relay passes on whatever comes, and gives channels as they are', async () => {
    const [from, to] = [new Channel<unknown>(1), new Channel<unknown>(1)];
    const task = spawn(options, kernels.relay, from, to, true);
    const values = [1, 'two', 3n, null, undefined, { four: [4] }, new Uint8Array([5]), from, [to]];
    void from.sendMany(values).then(() => from.close());
    const received = await all(to);
    expect(received).toEqual(values);
    expect([received[7], (received[8] as unknown[])[0]]).toEqual([from, to]);
    expect(received[7]).toBe(from);
    expect(await task).toBe(values.length);
  });

  test('relay leaves its channel open unless it is told to close it', async () => {
    const [from, to] = [new Channel<number>(3), new Channel<number>(3)];
    await from.sendMany([1, 2, 3]);
    from.close();
    expect(await spawn(options, kernels.relay, from, to)).toBe(3);
    expect([to.length, to.closed]).toEqual([3, false]);
  });

  test('pingPong answers each value', async () => {
    const [ping, pong] = [new Channel<number>(), new Channel<number>()];
    const task = spawn(options, kernels.pingPong, ping, pong);
    for (const value of upTo(500)) {
      await ping.send(value);
      expect(await pong.recv()).toEqual({ ok: true, value });
    }
    ping.close();
    expect(await task).toBe(500);
  });

  test('mapBytes sends a digest for each', async () => {
    const [from, to] = [Channel.bytes(4), Channel.bytes(4)];
    const task = spawn(options, kernels.mapBytes, from, to, true);
    const inputs = upTo(50).map((i) => new Uint8Array(i * 100).fill(i));
    void from.sendMany(inputs).then(() => from.close());
    const digests = (await all(to)).map((digest) => Buffer.from(digest).toString('hex'));
    const hash = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex');
    expect(digests).toEqual(inputs.map(hash));
    expect(await task).toBe(50);
  });

  test('mapBytes fails when something else comes', async () => {
    const [from, to] = [new Channel<Uint8Array>(1), new Channel<Uint8Array>(1)];
    const task = spawn(options, kernels.mapBytes, from, to);
    from.trySend('text' as unknown as Uint8Array);
    expect(await rejectionOf(task)).toHaveProperty('code');
  });

  test('a kernel fails when it sends to a channel that is closed', async () => {
    const channel = new Channel<number>();
    const task = spawn(options, kernels.produce, channel, 5);
    expect(await channel.recv()).toEqual({ ok: true, value: 0 });
    channel.close();
    await expectRejection('ERR_HEDDLE_CLOSED', task);
    await expectRejection('ERR_HEDDLE_CLOSED', spawn(options, kernels.produce, channel, 5));
  });

  test('a kernel that is cancelled while it waits leaves the channel to others', async () => {
    const channel = new Channel<number>(1);
    const controller = new AbortController();
    const { signal } = controller;
    const tasks = [
      spawn({ ...options, signal }, kernels.consume, channel),
      spawn({ ...options, signal }, kernels.relay, channel, new Channel<unknown>()),
    ];
    const settled = Promise.allSettled(tasks);
    await until(() => tasks.every(({ state }) => state !== 'runnable'));
    controller.abort('enough');
    for (const end of await settled) expect(end).toEqual({ status: 'rejected', reason: 'enough' });
    // Their fibers are gone, so nobody takes what comes now.
    await channel.send(1);
    expect(channel.tryRecv()).toEqual({ ok: true, value: 1 });
  });
});

describe('promises and fibers', () => {
  test('are served in the order of arrival', async () => {
    const channel = new Channel<number>();
    const out = new Channel<number>(100);
    for (let round = 0; round < 50; round += 1) {
      const first = channel.recv();
      const relay = spawn(kernels.relay, channel, out);
      await until(() => relay.state === 'waiting');
      const last = channel.recv();
      for (const value of [1, 2, 3]) expect(channel.trySend(value)).toBe(true);
      expect([await first, await out.recv(), await last].map(({ value }) => value)).toEqual([
        1, 2, 3,
      ]);
      relay.cancel();
      await rejectionOf(relay);
    }
  });

  test('share values out without loss: 23 consumers of 271,828', { timeout: 60_000 }, async () => {
    const kCount = 271_828;
    const channel = new Channel<number>(128);
    const fibers = upTo(11).map(() => spawn(kernels.consume, channel));
    const promises = upTo(12).map(async () => {
      const seen: number[] = [];
      for (;;) {
        const values = await channel.recvMany(50);
        if (values.length === 0) return seen;
        seen.push(...values);
      }
    });
    await spawn(kernels.produce, channel, kCount, true);
    const counts = await Promise.all(fibers);
    const seen = (await Promise.all(promises)).flat();
    expect(counts.reduce((sum, count) => sum + count) + seen.length).toBe(kCount);
    expect(new Set(seen).size).toBe(seen.length);
  });

  test('never miss a value because of a close', async () => {
    for (let i = 0; i < 3_000; i += 1) {
      const channel = new Channel<number>(i % 3);
      void spawn(kernels.produce, channel, 2, true);
      const values = [await channel.recv(), await channel.recv(), await channel.recv()];
      expect(values.map(({ value }) => value)).toEqual([0, 1, undefined]);
    }
  });

  test.each(channelKinds)('meet in selects of %s channels', async (_, make) => {
    const [numbers, other] = [make<number>(2), make<number>(2)];
    const { ctx, cancel } = background().withCancel();
    const task = spawn(kernels.produce, numbers, 3_000, true);
    const counted = spawn(kernels.consume, other);
    let [sum, sent] = [0, 0];
    for (let isOpen = true; isOpen;) {
      const chosen = await select({
        come: recv(numbers),
        go: send(other, 1),
        late: after(kHourMs),
        stop: done(ctx),
      });
      if (chosen.key === 'go') sent += 1;
      else if (chosen.key === 'come' && chosen.ok) sum += chosen.value;
      else isOpen = false;
    }
    expect([sum, await task]).toEqual([(3_000 * 2_999) / 2, 3_000]);
    other.close();
    expect(await counted).toBe(sent);
    cancel();
  });

  test('make a daisy chain of ten thousand', async () => {
    const first = new Channel<number>();
    let last = first;
    const links = upTo(10_000).map(() => {
      const [from, to] = [last, new Channel<number>()];
      last = to;
      return spawn(kernels.relay, from, to, true);
    });
    for (const value of [1, 2]) {
      await first.send(value);
      expect(await last.recv()).toEqual({ ok: true, value });
    }
    first.close();
    expect(await last.recv()).toEqual({ ok: false });
    expect(new Set(await Promise.all(links))).toEqual(new Set([2]));
  });
});

describe.each(channelKinds)('promises alone, on %s channels', (_, make) => {
  test('make a daisy chain of ten thousand', async () => {
    const first = make<number>();
    let last = first;
    const link = async (from: Channel<number>, to: Channel<number>): Promise<void> => {
      for await (const value of from) await to.send(value + 1);
      to.close();
    };
    const links = upTo(10_000).map(() => {
      const from = last;
      last = make<number>();
      return link(from, last);
    });
    void first.send(0).then(() => first.close());
    expect(await last.recv()).toEqual({ ok: true, value: 10_000 });
    expect(await last.recv()).toEqual({ ok: false });
    await Promise.all(links);
  });

  test('sieve primes, with a stage for each', async () => {
    const kPrimes = 150;
    const stop = new AbortController();
    const { signal } = stop;
    const count = async (to: Channel<number>): Promise<void> => {
      for (let i = 2; ; i += 1) await to.send(i, { signal });
    };
    const filter = async (from: Channel<number>, to: Channel<number>, prime: number) => {
      for (;;) {
        const { value } = await from.recv({ signal });
        if (value! % prime !== 0) await to.send(value!, { signal });
      }
    };
    let from = make<number>();
    const stages = [count(from)];
    const primes: number[] = [];
    while (primes.length < kPrimes) {
      const { value } = await from.recv();
      primes.push(value!);
      const to = make<number>();
      stages.push(filter(from, to, value!));
      from = to;
    }
    expect(primes.slice(0, 5)).toEqual([2, 3, 5, 7, 11]);
    expect(primes.at(-1)).toBe(863);
    stop.abort('enough');
    const ends = await Promise.allSettled(stages);
    expect(ends).toEqual(ends.map(() => ({ status: 'rejected', reason: 'enough' })));
  });
});

describe('bad arguments of channel kernels are refused', () => {
  const anySpawn = spawn as (...args: unknown[]) => unknown;
  const channel = new Channel<number>(1);
  const calls: [string, () => unknown][] = [
    ['no channel', () => anySpawn(kernels.produce)],
    ['no count', () => anySpawn(kernels.produce, channel)],
    ['half a count', () => anySpawn(kernels.produce, channel, 1.5)],
    ['less than none', () => anySpawn(kernels.produce, channel, -1)],
    ['more than can be counted', () => anySpawn(kernels.produce, channel, 2 ** 53)],
    ['NaN', () => anySpawn(kernels.produce, channel, NaN)],
    ['no boolean', () => anySpawn(kernels.produce, channel, 1, 'yes')],
    ['a number for a channel', () => anySpawn(kernels.consume, 5)],
    ['an object for a channel', () => anySpawn(kernels.consume, {})],
    ['a lock for a channel', () => anySpawn(kernels.consume, background())],
    ['one channel of two', () => anySpawn(kernels.relay, channel)],
    ['one too many', () => anySpawn(kernels.consume, channel, 1)],
  ];
  test.each(calls)('%s', async (_, call) => {
    expectRefusal('ERR_HEDDLE_ARGUMENT', call);
    expect(thrownBy(call)).toBeInstanceOf(Error);
    await reactions();
    expect([channel.length, channel.closed]).toEqual([0, false]);
  });
});
