// Channels as promises of one isolate see them: the same for those that are local and for those
// that others know.
import { Channel, kernels, recv, select, send, spawn } from 'heddle';
import type { Received } from 'heddle';
import { describe, expect, test } from 'vitest';
import { channelKinds, expectRefusal, expectRejection, sharedChannel } from './support.js';
import { reactions, stateOf, thrownBy } from './support.js';

const ended = { ok: false };
const got = <T>(value: T): Received<T> => ({ ok: true, value });
const upTo = (count: number): number[] => Array.from({ length: count }, (_, i) => i);

async function all<T>(channel: Channel<T>): Promise<T[]> {
  const values: T[] = [];
  for await (const value of channel) values.push(value);
  return values;
}

describe.each(channelKinds)('a %s channel', (_, make) => {
  test.each([0, 1, 2, 7, 64])(
    'of capacity %d keeps the order of what is sent',
    async (capacity) => {
      const channel = make<number>(capacity);
      const received = all(channel);
      for (const value of upTo(500)) await channel.send(value);
      channel.close();
      expect(await received).toEqual(upTo(500));
    },
  );

  test('keeps the order of senders that all wait, and of receivers that all wait', async () => {
    const channel = make<number>();
    const sends = upTo(100).map((value) => channel.send(value));
    for (const value of upTo(100)) expect(await channel.recv()).toEqual(got(value));
    await Promise.all(sends);
    const receives = upTo(100).map(() => channel.recv());
    for (const value of upTo(100)) await channel.send(value);
    expect(await Promise.all(receives)).toEqual(upTo(100).map(got));
  });

  test('lets an empty receive and a full send wait, at every capacity', async () => {
    for (let capacity = 0; capacity < 200; capacity += 1) {
      const channel = make<number>(capacity);
      expect(channel.tryRecv()).toBe(undefined);
      const receive = channel.recv();
      expect(await stateOf(receive)).toBe('pending');
      expect(channel.trySend(-1)).toBe(true);
      expect(await receive).toEqual(got(-1));
      for (const value of upTo(capacity)) expect(channel.trySend(value)).toBe(true);
      expect([channel.length, channel.trySend(-2)]).toEqual([capacity, false]);
      const sent = channel.send(capacity);
      expect(await stateOf(sent)).toBe('pending');
      for (const value of upTo(capacity + 1)) expect(channel.tryRecv()).toEqual(got(value));
      await sent;
      expect(channel.tryRecv()).toBe(undefined);
    }
  });

  test('without capacity lets a send end with its receive', async () => {
    const channel = make<string>();
    const sent = channel.send('value');
    expect(await stateOf(sent)).toBe('pending');
    expect(channel.length).toBe(0);
    expect(await channel.recv()).toEqual(got('value'));
    expect(await sent).toBe(undefined);
  });

  test('moves the value of a waiting sender into the room that a receive makes', async () => {
    const channel = make<number>(2);
    const sends = upTo(4).map((value) => channel.send(value));
    expect(channel.tryRecv()).toEqual(got(0));
    await sends[2];
    expect(channel.length).toBe(2);
    expect(await stateOf(sends[3]!)).toBe('pending');
    expect(await channel.recvMany(10)).toEqual([1, 2, 3]);
    await sends[3];
  });

  test('answers try-operations as its waiting peers allow', async () => {
    const channel = make<number>();
    expect([channel.trySend(1), channel.tryRecv()]).toEqual([false, undefined]);
    const receive = channel.recv();
    expect([channel.trySend(2), channel.trySend(3)]).toEqual([true, false]);
    expect(await receive).toEqual(got(2));
    const sent = channel.send(4);
    expect([channel.tryRecv(), channel.tryRecv()]).toEqual([got(4), undefined]);
    await sent;
  });

  test('says how it was made and what is in it', () => {
    const channel = make<number>(3);
    expect([channel.name, channel.capacity, channel.length, channel.closed]).toEqual([
      'channel',
      3,
      0,
      false,
    ]);
    channel.trySend(1);
    expect(channel.length).toBe(1);
    channel.close();
    expect([channel.length, channel.closed]).toEqual([1, true]);
  });

  const values: unknown[] = [
    undefined,
    null,
    0,
    -0,
    NaN,
    '',
    'ünï',
    false,
    2n ** 70n,
    [],
    { a: {} },
  ];
  test.each(values.map((value) => [value]))('passes %o on', async (value) => {
    const channel = make<unknown>(1);
    await channel.send(value);
    expect(channel.tryRecv()).toEqual(got(value));
    const receive = channel.recv();
    channel.trySend(value);
    expect(await receive).toEqual(got(value));
    const sent = channel.sendMany([1, value]);
    expect(await channel.recvMany(1)).toEqual([1]);
    expect(await channel.recvMany(9)).toEqual([value]);
    await sent;
  });
});

describe.each(channelKinds)('closing a %s channel', (_, make) => {
  test('ends receives, at once and for good', async () => {
    const channel = make<number>(2);
    channel.close();
    for (let i = 0; i < 3; i += 1) {
      expect(await channel.recv()).toEqual(ended);
      expect(channel.tryRecv()).toEqual(ended);
      expect(await channel.recvMany(5)).toEqual([]);
      expect(await all(channel)).toEqual([]);
      expect(await select({ end: recv(channel) })).toEqual({ key: 'end', ok: false });
    }
  });

  test('leaves what is in it to receivers', async () => {
    const channel = make<number>(3);
    await channel.sendMany([1, 2, 3]);
    channel.close();
    expect(await channel.recv()).toEqual(got(1));
    expect(channel.tryRecv()).toEqual(got(2));
    expect(await channel.recvMany(9)).toEqual([3]);
    expect(await channel.recv()).toEqual(ended);
  });

  test('ends all receivers that wait', async () => {
    const channel = make<number>();
    const receives = upTo(50).map(() => channel.recv());
    const many = channel.recvMany(3);
    const selected = select({ end: recv(channel) });
    channel.close();
    expect(await Promise.all(receives)).toEqual(upTo(50).map(() => ended));
    expect(await many).toEqual([]);
    expect(await selected).toEqual({ key: 'end', ok: false });
  });

  test('refuses what senders are waiting to send', async () => {
    const channel = make<number>(1);
    await channel.send(1);
    const sends = upTo(5).map((value) => channel.send(value));
    const many = channel.sendMany([7, 8]);
    const selected = select({ full: send(channel, 9) });
    channel.close();
    for (const sent of [...sends, many]) await expectRejection('ERR_HEDDLE_CLOSED', sent);
    expect(await selected).toEqual({ key: 'full', ok: false });
    expect(await all(channel)).toEqual([1]);
  });

  test('makes every later send fail, and nothing is in it', async () => {
    const channel = make<number>(8);
    channel.close();
    const words = 'expected it to be open, got closed';
    await expectRejection('ERR_HEDDLE_CLOSED', channel.send(1), 'send', words);
    await expectRejection('ERR_HEDDLE_CLOSED', channel.sendMany([1, 2]), words);
    expectRefusal('ERR_HEDDLE_CLOSED', () => channel.trySend(1), 'trySend', words);
    expect(await select({ late: send(channel, 1) })).toEqual({ key: 'late', ok: false });
    expect(select.now([send(channel, 1)])).toEqual({ key: 0, ok: false });
    expect(channel.length).toBe(0);
  });

  test('twice fails', () => {
    const channel = make();
    channel.close();
    expectRefusal('ERR_HEDDLE_CLOSED', () => channel.close(), 'close');
    expect(channel.closed).toBe(true);
  });
});

describe.each(channelKinds)('for await over a %s channel', (_, make) => {
  test('gets every value until it is closed', async () => {
    const channel = make<number>();
    const received = all(channel);
    await channel.sendMany(upTo(2_000));
    channel.close();
    expect(await received).toEqual(upTo(2_000));
  });

  test('loses nothing when it is left, and does not close', async () => {
    const channel = make<number>(10);
    await channel.sendMany(upTo(6));
    for await (const value of channel) if (value === 2) break;
    expect([channel.closed, channel.length]).toEqual([false, 3]);
    await expect(
      (async () => {
        for await (const value of channel) throw new Error(`thrown at ${value}`);
      })(),
    ).rejects.toThrow('thrown at 3');
    channel.close();
    expect(await all(channel)).toEqual([4, 5]);
  });

  test('is shared out among several loops', async () => {
    const channel = make<number>();
    const loops = upTo(10).map(() => all(channel));
    await channel.sendMany(upTo(1_000));
    channel.close();
    const parts = await Promise.all(loops);
    for (const part of parts) expect(part).toEqual(part.toSorted((a, b) => a - b));
    expect(parts.flat().toSorted((a, b) => a - b)).toEqual(upTo(1_000));
  });

  test('can be done by hand', async () => {
    const channel = make<string>(1);
    const iterator = channel[Symbol.asyncIterator]();
    await channel.send('a');
    expect(await iterator.next()).toEqual({ done: false, value: 'a' });
    const next = iterator.next();
    channel.close();
    expect(await next).toEqual({ done: true, value: undefined });
    expect(await iterator.return?.()).toEqual({ done: true, value: undefined });
  });
});

describe.each(channelKinds)('many values at once through a %s channel', (_, make) => {
  test('arrive in order, whatever they are', async () => {
    const channel = make<unknown>(100);
    const values = upTo(5_000).map((i) => (i % 7 === 0 ? `text ${i}` : i % 11 === 0 ? { i } : i));
    const sent = channel.sendMany(values).then(() => channel.close());
    const received: unknown[] = [];
    for (let part = [null] as unknown[]; part.length > 0;) {
      part = await channel.recvMany(77);
      expect(part.length).toBeLessThanOrEqual(77);
      received.push(...part);
    }
    await sent;
    expect(received).toEqual(values);
  });

  test('wait while it is full, and for the first one only', async () => {
    const channel = make<number>(3);
    const sent = channel.sendMany(upTo(5));
    expect(await stateOf(sent)).toBe('pending');
    expect(await channel.recvMany(2)).toEqual([0, 1]);
    await sent;
    expect(await channel.recvMany(100)).toEqual([2, 3, 4]);
    const received = channel.recvMany(2);
    expect(await stateOf(received)).toBe('pending');
    await channel.send(5);
    expect(await received).toEqual([5]);
  });

  test('are taken in one call when there are thousands', async () => {
    const channel = make<number>(10_000);
    await channel.sendMany(new Set(upTo(10_000)));
    expect(await channel.recvMany(2 ** 32 - 1)).toEqual(upTo(10_000));
  });

  test('may be none', async () => {
    const channel = make<number>();
    await channel.sendMany([]);
    expect(channel.length).toBe(0);
  });

  test('come from an iterator that is only asked as far as they go', async () => {
    const channel = make<number>(2_000);
    function* numbers(): Generator<number> {
      yield* upTo(1_500);
      throw new Error('no more');
    }
    await expect(channel.sendMany(numbers())).rejects.toThrow('no more');
    expect(channel.length).toBeLessThanOrEqual(1_500);
  });

  test('say when it is closed on the way', async () => {
    const channel = make<number>(2);
    const sent = channel.sendMany(upTo(5));
    await channel.recv();
    await reactions();
    channel.close();
    await expectRejection('ERR_HEDDLE_CLOSED', sent);
    expect(await all(channel)).toEqual([1, 2]);
  });
});

const fixed: [string, () => Channel<never>, unknown[], unknown[]][] = [
  [
    'f64',
    () => Channel.f64(4) as Channel<never>,
    [0, -0, 1.5, NaN, -Infinity, 2 ** 53],
    ['1', 1n, null, undefined, true, [1], new Number(1)],
  ],
  [
    'i32',
    () => Channel.i32(4) as Channel<never>,
    [0, 1, -1, 2 ** 31 - 1, -(2 ** 31)],
    [0.5, 2 ** 31, -(2 ** 31) - 1, NaN, '1', undefined],
  ],
  [
    'bytes',
    () => Channel.bytes(4) as Channel<never>,
    [new Uint8Array([1, 2]), new Uint8Array()],
    [new ArrayBuffer(2), new Uint16Array(2), [1, 2], 'ab', undefined],
  ],
];
describe.each(fixed)('a channel of %s', (_, make, right, wrong) => {
  test.each(channelKinds)('that is %s passes its elements on', async (kind) => {
    const channel = make() as Channel<unknown>;
    if (kind === 'shared') channel.toHandle();
    for (const value of right) {
      expect(channel.trySend(value)).toBe(true);
      expect(channel.tryRecv()).toEqual(got(value));
      const sent = select([send(channel, value)]);
      expect(await channel.recv()).toEqual(got(value));
      expect(await sent).toEqual({ key: 0, ok: true });
    }
    const sent = channel.sendMany(right);
    const received: unknown[] = [];
    while (received.length < right.length) received.push(...(await channel.recvMany(9)));
    await sent;
    expect(received).toEqual(right);
  });

  test.each(channelKinds)('that is %s refuses anything else', async (kind) => {
    const channel = make() as Channel<unknown>;
    if (kind === 'shared') channel.toHandle();
    for (const value of wrong) {
      expectRefusal('ERR_HEDDLE_VALUE', () => channel.trySend(value));
      expectRefusal('ERR_HEDDLE_VALUE', () => channel.send(value));
      expectRefusal('ERR_HEDDLE_VALUE', () => send(channel, value));
      await expectRejection('ERR_HEDDLE_VALUE', channel.sendMany([value]));
    }
    expect([channel.length, channel.capacity]).toEqual([0, 4]);
  });
});

describe('bad input is refused', () => {
  const AnyChannel = Channel as unknown as new (...args: unknown[]) => Channel<unknown>;
  const capacities: [string, unknown][] = [
    ['-1', -1],
    ['1.5', 1.5],
    ['NaN', NaN],
    ['Infinity', Infinity],
    [`${2 ** 26 + 1}`, 2 ** 26 + 1],
    [`${2 ** 53}`, 2 ** 53],
    ['"5"', '5'],
    ['null', null],
    ['5n', 5n],
    ['an instance of Object', {}],
  ];
  test.each(capacities)('%s for a capacity', (words, capacity) => {
    const expected = `capacity: expected an integer from 0 to 67108864, got ${words};`;
    expectRefusal('ERR_HEDDLE_OPTION', () => new AnyChannel(capacity), expected);
    const { f64, i32, bytes } = Channel as unknown as Record<string, (c: unknown) => unknown>;
    for (const make of [f64!, i32!, bytes!]) {
      expectRefusal('ERR_HEDDLE_OPTION', () => make.call(Channel, capacity), expected);
    }
  });

  test('for options', () => {
    for (const options of [null, 5, 'name']) {
      expectRefusal('ERR_HEDDLE_OPTION', () => new AnyChannel(1, options), 'options');
    }
    expectRefusal('ERR_HEDDLE_OPTION', () => new AnyChannel(1, { name: 5 }), 'name', 'got 5');
    expect(new Channel(1, { name: 'jobs' }).name).toBe('jobs');
    expect(Channel.f64(1, { name: 'sums' }).name).toBe('sums');
  });

  const signals: [unknown][] = [[{}], [5], ['signal'], [null], [new AbortController()]];
  test.each(signals)('%o for a signal', async (signal) => {
    for (const [, make] of channelKinds) {
      const channel = make<number>(4);
      channel.trySend(1);
      const options = { signal } as { signal: AbortSignal };
      const words = 'signal: expected an AbortSignal, got ';
      expectRefusal('ERR_HEDDLE_OPTION', () => channel.send(1, options), words);
      expectRefusal('ERR_HEDDLE_OPTION', () => channel.recv(options), words);
      await expectRejection('ERR_HEDDLE_OPTION', channel.sendMany([1], options), words);
      await expectRejection('ERR_HEDDLE_OPTION', channel.recvMany(1, options), words);
      expect(channel.length).toBe(1);
    }
  });

  test.each([0, -1, 1.5, NaN, Infinity, 2 ** 32, '5', null])('%o for a most', async (max) => {
    const channel = new Channel<number>(1);
    channel.trySend(1);
    await expectRejection('ERR_HEDDLE_OPTION', channel.recvMany(max as number), 'max: expected');
    expect(channel.length).toBe(1);
  });

  test('a value that cannot be cloned, by a shared channel, with the path to it', async () => {
    const channel = sharedChannel<unknown>(4);
    const value = { a: [{ b: 1 }, { jobs: new Map([['k', () => 1]]) }] };
    const words = 'expected a value that can be cloned as value.a[1].jobs.k, got function';
    expectRefusal('ERR_HEDDLE_VALUE', () => channel.trySend(value), words);
    expectRefusal('ERR_HEDDLE_VALUE', () => channel.send(value), words);
    expectRefusal('ERR_HEDDLE_VALUE', () => select({ a: send(channel, value) }), words);
    await expectRejection('ERR_HEDDLE_VALUE', channel.sendMany([value]), words);
    for (const one of [Symbol('s'), () => 1, Promise.resolve(), new WeakMap(), new WeakSet()]) {
      expectRefusal('ERR_HEDDLE_VALUE', () => channel.trySend(one), 'can be cloned as value, got');
    }
    expect([channel.length, channel.trySend({ a: 1 }), channel.tryRecv()]).toEqual([
      0,
      true,
      got({ a: 1 }),
    ]);
  });

  test('a synchronous wait on the main thread', () => {
    // Tests run in a process of their own, on its main thread.
    const channel = new Channel<number>(1);
    const words = 'expected to be in a Worker, got the main thread';
    expectRefusal('ERR_HEDDLE_MAIN_THREAD', () => channel.sendSync(1), 'sendSync', words);
    expectRefusal('ERR_HEDDLE_MAIN_THREAD', () => channel.recvSync(), 'recvSync', words);
    expect(channel.length).toBe(0);
  });

  test('what is no channel, by a kernel', () => {
    for (const value of [{}, null, 5, 'channel']) {
      const call = (): unknown => spawn(kernels.consume, value as Channel<unknown>);
      expect(thrownBy(call)).toMatchObject({ code: 'ERR_HEDDLE_ARGUMENT' });
    }
  });
});
