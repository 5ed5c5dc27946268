// Waits that a signal ends, and streams over channels: whatever is cancelled, no value is lost.
import { getEventListeners } from 'node:events';
import { setImmediate } from 'node:timers/promises';
import { kernels, spawn } from 'heddle';
import type { Channel, Received } from 'heddle';
import { describe, expect, test } from 'vitest';
import { channelKinds, expectRejection, reactions, rejectionOf, stateOf } from './support.js';

const got = <T>(value: T): Received<T> => ({ ok: true, value });
const upTo = (count: number): number[] => Array.from({ length: count }, (_, i) => i);
const listeners = (signal: AbortSignal): number => getEventListeners(signal, 'abort').length;

const waits: [string, (channel: Channel<number>, signal: AbortSignal) => Promise<unknown>][] = [
  ['recv', (channel, signal) => channel.recv({ signal })],
  ['recvMany', (channel, signal) => channel.recvMany(3, { signal })],
  ['send', (channel, signal) => channel.send(1, { signal })],
  ['sendMany', (channel, signal) => channel.sendMany([1, 2, 3], { signal })],
];

describe.each(channelKinds)('on a %s channel', (_, make) => {
  describe.each(waits)('a %s', (_name, wait) => {
    test('with a signal that has fired rejects with its reason, and does nothing', async () => {
      const channel = make<number>(3);
      channel.trySend(7);
      const reason = new Error('before');
      expect(await rejectionOf(wait(channel, AbortSignal.abort(reason)))).toBe(reason);
      expect([channel.length, channel.tryRecv()]).toEqual([1, got(7)]);
    });

    test('rejects with the reason of a signal that fires while it waits', async () => {
      const channel = make<number>();
      const { signal, ...controller } = withAbort();
      const waiting = wait(channel, signal);
      expect(await stateOf(waiting)).toBe('pending');
      expect(listeners(signal)).toBe(1);
      const reason = { words: 'enough' };
      controller.abort(reason);
      expect(await rejectionOf(waiting)).toBe(reason);
      expect(listeners(signal)).toBe(0);
      expect([channel.trySend(5), channel.tryRecv()]).toEqual([false, undefined]);
    });

    test('leaves no listener when it ends otherwise', async () => {
      const channel = make<number>();
      const { signal, abort } = withAbort();
      const waiting = wait(channel, signal);
      channel.close();
      await waiting.catch(() => {});
      expect(listeners(signal)).toBe(0);
      abort('late');
    });
  });

  test('a receive that was served before the signal fired has its value', async () => {
    const channel = make<number>();
    const { signal, abort } = withAbort();
    const receive = channel.recv({ signal });
    channel.trySend(5);
    abort('too late');
    expect(await receive).toEqual(got(5));
    expect(listeners(signal)).toBe(0);
  });

  test('a send that was served before the signal fired has been sent', async () => {
    const channel = make<number>();
    const { signal, abort } = withAbort();
    const sent = channel.send(5, { signal });
    expect(channel.tryRecv()).toEqual(got(5));
    abort('too late');
    expect(await sent).toBe(undefined);
  });

  test('cancelled receivers take nothing, and the others keep their order', async () => {
    const channel = make<number>();
    const { signal, abort } = withAbort();
    const receives = upTo(100).map((i) => channel.recv(i % 3 === 0 ? { signal } : undefined));
    const settled = Promise.allSettled(receives);
    expect(listeners(signal)).toBe(1);
    abort('enough');
    for (const value of upTo(66)) expect(channel.trySend(value)).toBe(true);
    expect(channel.trySend(-1)).toBe(false);
    const values = (await settled).map((end) =>
      end.status === 'fulfilled' ? end.value.value : (end.reason as unknown),
    );
    let next = 0;
    expect(values).toEqual(upTo(100).map((i) => (i % 3 === 0 ? 'enough' : next++)));
    expect(listeners(signal)).toBe(0);
  });

  test('what cancelled senders wanted to send never comes', async () => {
    const channel = make<number>(10);
    const { signal, abort } = withAbort();
    const sends = upTo(100).map((i) => channel.send(i, i % 2 === 0 ? { signal } : undefined));
    const settled = Promise.allSettled(sends);
    abort('enough');
    const received: number[] = [];
    for (let end = channel.tryRecv(); end?.ok === true; end = channel.tryRecv()) {
      received.push(end.value);
    }
    expect(received).toEqual(upTo(100).filter((i) => i < 10 || i % 2 === 1));
    const ends = (await settled).map(({ status }) => status === 'fulfilled');
    expect(ends).toEqual(upTo(100).map((i) => i < 10 || i % 2 === 1));
  });

  test('one signal ends waits on many channels, and new ones may follow at once', async () => {
    const channels = upTo(50).map(() => make<number>());
    for (let round = 0; round < 3; round += 1) {
      const { signal, abort } = withAbort();
      const ends = Promise.allSettled(channels.map((channel) => channel.recv({ signal })));
      abort(round);
      for (const end of await ends) expect(end).toEqual({ status: 'rejected', reason: round });
      expect(listeners(signal)).toBe(0);
    }
    const receives = channels.map((channel) => channel.recv());
    channels.forEach((channel, i) => expect(channel.trySend(i)).toBe(true));
    expect(await Promise.all(receives)).toEqual(upTo(50).map(got));
  });

  test('a time-out ends a receive, and the channel is as before', async () => {
    const channel = make<number>(1);
    const reason = await rejectionOf(channel.recv({ signal: AbortSignal.timeout(5) }));
    expect(reason).toMatchObject({ name: 'TimeoutError' });
    await channel.send(1);
    expect(await channel.recv()).toEqual(got(1));
  });

  test('a sendMany that is cancelled has sent a beginning', async () => {
    const channel = make<number>(2);
    const { signal, abort } = withAbort();
    const sent = channel.sendMany(upTo(10), { signal });
    expect([await channel.recv(), await channel.recv()]).toEqual([got(0), got(1)]);
    await reactions();
    abort('enough');
    expect(await rejectionOf(sent)).toBe('enough');
    expect(await channel.recvMany(10)).toEqual([2, 3]);
  });

  test('values and cancellations that race lose nothing', async () => {
    const channel = make<number>();
    const kCount = 3_000;
    void spawn(kernels.produce, channel, kCount, true);
    const received: number[] = [];
    for (let isOpen = true; isOpen;) {
      const { signal, abort } = withAbort();
      const receive = channel.recv({ signal });
      if (received.length % 3 !== 0) await setImmediate();
      abort('enough');
      const end = await receive.catch((reason: unknown) => reason);
      if (end === 'enough') continue;
      const { ok, value } = end as Received<number>;
      isOpen = ok;
      if (ok) received.push(value);
    }
    expect(received).toEqual(upTo(kCount));
  });
});

function withAbort(): { signal: AbortSignal; abort: (reason?: unknown) => void } {
  const controller = new AbortController();
  return { signal: controller.signal, abort: (reason) => controller.abort(reason) };
}

describe.each(channelKinds)('a readable stream of a %s channel', (_, make) => {
  test('gives its values and ends with it', async () => {
    const channel = make<number>(5);
    void channel.sendMany(upTo(500)).then(() => channel.close());
    const values: number[] = [];
    for await (const value of channel.readable()) values.push(value);
    expect(values).toEqual(upTo(500));
    expect(await channel.readable().getReader().read()).toEqual({ done: true, value: undefined });
  });

  test('takes nothing that nobody has asked for', async () => {
    const channel = make<number>(5);
    await channel.sendMany([1, 2, 3]);
    const reader = channel.readable().getReader();
    await setImmediate();
    expect(channel.length).toBe(3);
    expect(await reader.read()).toEqual({ done: false, value: 1 });
    await setImmediate();
    expect(channel.length).toBe(2);
    await reader.cancel();
    expect([channel.length, channel.closed]).toEqual([2, false]);
  });

  test('that is cancelled while it waits takes nothing any more', async () => {
    const channel = make<number>(1);
    const reader = channel.readable().getReader();
    const read = reader.read();
    await reactions();
    await reader.cancel('enough');
    expect(await read).toEqual({ done: true, value: undefined });
    await channel.send(1);
    expect(channel.tryRecv()).toEqual(got(1));
    expect(channel.closed).toBe(false);
  });

  test('that is cancelled right after a value came still gives it', async () => {
    const channel = make<number>();
    const reader = channel.readable().getReader();
    const read = reader.read();
    await reactions();
    expect(channel.trySend(5)).toBe(true);
    void reader.cancel('too late');
    expect(await read).toEqual({ done: false, value: 5 });
  });

  test('can be left and taken up by another one', async () => {
    const channel = make<number>(10);
    await channel.sendMany(upTo(10));
    channel.close();
    const values: number[] = [];
    for (let i = 0; i < 4; i += 1) {
      let count = 0;
      for await (const value of channel.readable()) {
        values.push(value);
        if (++count === 3) break;
      }
    }
    expect(values).toEqual(upTo(10));
  });
});

describe.each(channelKinds)('a writable stream of a %s channel', (_, make) => {
  test('sends what is written and closes with it', async () => {
    const channel = make<number>();
    const writer = channel.writable().getWriter();
    for (const value of upTo(20)) void writer.write(value);
    const closed = writer.close();
    const values: number[] = [];
    for await (const value of channel) values.push(value);
    await closed;
    expect(values).toEqual(upTo(20));
  });

  test('is not ready while what was written has not been sent', async () => {
    const channel = make<number>();
    const writer = channel.writable().getWriter();
    await writer.ready;
    const written = writer.write(1);
    const { ready } = writer;
    expect([await stateOf(written), await stateOf(ready)]).toEqual(['pending', 'pending']);
    expect(await channel.recv()).toEqual(got(1));
    await written;
    await ready;
  });

  test('that is aborted takes back what waits, and does not close', async () => {
    const channel = make<number>();
    const writer = channel.writable().getWriter();
    const written = writer.write(1);
    await reactions();
    void writer.abort('enough');
    expect(await rejectionOf(written)).toBe('enough');
    expect([channel.tryRecv(), channel.closed]).toEqual([undefined, false]);
  });

  test('fails when the channel is closed by others', async () => {
    const channel = make<number>(1);
    const writer = channel.writable().getWriter();
    channel.close();
    await expectRejection('ERR_HEDDLE_CLOSED', writer.write(1));
    await expectRejection('ERR_HEDDLE_CLOSED', writer.closed);
  });

  test('ends a pipe that begins in another channel', async () => {
    const [from, to] = [make<number>(3), make<string>(2)];
    const digits = new TransformStream<number, string>({
      transform: (value, controller) => controller.enqueue(`<${value}>`),
    });
    const piped = from.readable().pipeThrough(digits).pipeTo(to.writable());
    void from.sendMany(upTo(300)).then(() => from.close());
    const values: string[] = [];
    for await (const value of to) values.push(value);
    await piped;
    expect(values).toEqual(upTo(300).map((value) => `<${value}>`));
  });

  test('holds back a pipe whose receiver is slow', async () => {
    const [from, to] = [make<number>(100), make<number>()];
    await from.sendMany(upTo(100));
    const piped = from.readable().pipeTo(to.writable());
    await setImmediate();
    await setImmediate();
    expect(from.length).toBeGreaterThan(95);
    from.close();
    const values: number[] = [];
    for await (const value of to) values.push(value);
    await piped;
    expect(values).toEqual(upTo(100));
  });
});
