// How operations and connections end: deadlines, signals, close, reset; and that nobody else is
// concerned.
import { once } from 'node:events';
import { connect as connectNode } from 'node:net';
import { text as textOf } from 'node:stream/consumers';
import { pipeline } from 'node:stream/promises';
import { dial, listen } from 'heddle';
import type { Conn } from 'heddle';
import { beforeAll, describe, expect, test } from 'vitest';
import { countsNow, expectRoundTrip, kHost, kTooMuch, liveFibers } from './net-support.js';
import { localListener, pair, readAll, readText, untilBackTo } from './net-support.js';
import { untilWaiting, withPair } from './net-support.js';
import { expectRejection, kHourMs, rejectionOf } from './support.js';

// What the runtime opens for itself is there before anything is counted.
beforeAll(() => withPair((client, server) => expectRoundTrip(client, server, 'warm')));

const ignore = (): void => {};
const bytes = (): Uint8Array => new Uint8Array(64);

/** Until everything that was begun waits: `begun` fibers more than before. */
async function waiting<T>(begun: number, begin: () => T): Promise<T> {
  const before = liveFibers();
  const result = begin();
  await untilWaiting(before + begun);
  return result;
}

describe('a deadline', () => {
  test('ends a read on time, and later data is not lost', () =>
    withPair(async (client, server) => {
      const start = performance.now();
      const error = await rejectionOf(server.readInto(bytes(), { deadline: 30 }));
      const took = performance.now() - start;
      expect(error).toMatchObject({ name: 'TimeoutError' });
      expect(took).toBeGreaterThanOrEqual(29);
      expect(took).toBeLessThan(1000);
      await client.writeAll(Buffer.from('late'));
      expect(await readText(server, 4)).toBe('late');
    }));

  test('that passes while data comes loses none', () =>
    withPair(async (client, server) => {
      const kCount = 300;
      const sending = (async () => {
        for (let i = 0; i < kCount; i += 1) {
          await client.writeAll(Uint8Array.of(i & 255));
          await new Promise(setImmediate);
        }
        client.end();
      })();
      const received: number[] = [];
      const buffer = bytes();
      for (let isOpen = true, i = 0; isOpen; i += 1) {
        const controller = new AbortController();
        const reading = server.readInto(buffer, { signal: controller.signal });
        if (i % 3 === 0) setImmediate(() => controller.abort());
        if (i % 3 === 1) controller.abort();
        const count = await reading.catch(() => -1);
        if (count > 0) received.push(...buffer.subarray(0, count));
        isOpen = count !== 0;
      }
      await sending;
      expect(received).toEqual(Array.from({ length: kCount }, (_, i) => i & 255));
    }));

  test('of 0 ends a read that would wait', () =>
    withPair(async (client, server) => {
      const error = await rejectionOf(server.readInto(bytes(), { deadline: 0 }));
      expect(error).toMatchObject({ name: 'TimeoutError' });
      await expectRoundTrip(client, server, 'goes on');
    }));

  test('ends a write, and accept, and what was not reached is not', async () => {
    const listener = await localListener();
    const error = await rejectionOf(listener.accept({ deadline: 10 }));
    expect(error).toMatchObject({ name: 'TimeoutError' });
    const client = await dial({ host: kHost, port: listener.port!, deadline: kHourMs });
    const server = await listener.accept({ deadline: kHourMs });
    const late = await rejectionOf(client.writeAll(kTooMuch, { deadline: 20 }));
    expect(late).toMatchObject({ name: 'TimeoutError' });
    client.destroy();
    server.destroy();
    listener.close();
  });
});

describe('a signal', () => {
  test('cancels a read, which rejects with its reason', () =>
    withPair(async (client, server) => {
      const controller = new AbortController();
      const reading = await waiting(1, () => [
        rejectionOf(server.readInto(bytes(), { signal: controller.signal })),
      ]);
      controller.abort('enough');
      expect(await reading[0]).toBe('enough');
      await expectRoundTrip(client, server, 'still there');
    }));

  test('that has fired keeps a read from beginning', () =>
    withPair(async (client, server) => {
      await client.writeAll(Buffer.from('kept'));
      const signal = AbortSignal.abort('before');
      expect(await rejectionOf(server.readInto(bytes(), { signal }))).toBe('before');
      expect(await readText(server, 4)).toBe('kept');
    }));

  test('cancels a write, of which a part has gone; the way back works', () =>
    withPair(async (client, server) => {
      const controller = new AbortController();
      const [writing] = await waiting(1, () => [
        rejectionOf(client.writeAll(kTooMuch, { signal: controller.signal })),
      ]);
      controller.abort('too long');
      expect(await writing).toBe('too long');
      await server.writeAll(Buffer.from('back'));
      expect(await readText(client, 4)).toBe('back');
      client.end(Buffer.from([1]));
      const all = await readAll(server);
      expect(all.length).toBeGreaterThan(1);
      expect(all.length).toBeLessThan(kTooMuch.length);
      expect(all.at(-1)).toBe(1);
    }));

  test('cancels accept, and the next one gets who comes', async () => {
    const listener = await localListener();
    const controller = new AbortController();
    const [accepting] = await waiting(1, () => [
      rejectionOf(listener.accept({ signal: controller.signal })),
    ]);
    controller.abort('closing time');
    expect(await accepting).toBe('closing time');
    const [client, server] = await Promise.all([
      dial({ host: kHost, port: listener.port! }),
      listener.accept(),
    ]);
    await expectRoundTrip(client, server, 'in after all');
    for (const each of [client, server]) each.destroy();
    listener.close();
  });

  test('cancels dial while nobody answers, and leaves nothing open', async () => {
    // Two wait to be accepted; the system ignores the next one until there is room.
    const listener = await listen({ port: 0, host: kHost, backlog: 1 });
    const to = { host: kHost, port: listener.port! };
    const inside = [await dial(to), await dial(to)];
    const before = countsNow();
    const controller = new AbortController();
    const dialling = rejectionOf(dial({ ...to, signal: controller.signal }));
    await untilWaiting(before.fibers + 1);
    controller.abort('nobody there');
    expect(await dialling).toBe('nobody there');
    await untilBackTo(before);
    const late = await rejectionOf(dial({ ...to, deadline: 20 }));
    expect(late).toMatchObject({ name: 'TimeoutError' });
    await untilBackTo(before);
    for (const conn of inside) conn.destroy();
    listener.close();
  });

  test('that fires after the end of an operation changes nothing', () =>
    withPair(async (client, server) => {
      const controller = new AbortController();
      const { signal } = controller;
      await client.writeAll(Buffer.from('abc'), { signal });
      expect(await server.readInto(bytes(), { signal })).toBe(3);
      controller.abort();
      await expectRoundTrip(client, server, 'as before');
    }));
});

describe('close', () => {
  test('ends a read that waits', () =>
    withPair(async (client, server) => {
      const [reading] = await waiting(1, () => [server.readInto(bytes())]);
      server.destroy();
      await expectRejection('ERR_HEDDLE_CLOSED', reading);
      expect(await readAll(client)).toHaveLength(0);
    }));

  test('ends a write that waits for a slow reader', () =>
    withPair(async (client) => {
      const [writing] = await waiting(1, () => [client.writeAll(kTooMuch)]);
      client.destroy();
      await expectRejection('ERR_HEDDLE_CLOSED', writing);
    }));

  test('ends both at once', () =>
    withPair(async (client) => {
      const [writing, reading] = await waiting(2, () => [
        client.writeAll(kTooMuch),
        client.readInto(bytes()),
      ]);
      client.destroy();
      const ends = [writing, reading].map((each) => expectRejection('ERR_HEDDLE_CLOSED', each));
      await Promise.all(ends);
    }));

  test('ends a stream in the midst of reading and writing', () =>
    withPair(async (client) => {
      await waiting(2, () => {
        client.resume();
        client.write(kTooMuch);
      });
      const closed = once(client, 'close');
      client.destroy();
      await closed;
      expect(client.errored).toBeNull();
    }));

  test('of a listener ends accept, and its loop ends without a failure', async () => {
    const listener = await localListener();
    const [accepting] = await waiting(1, () => [listener.accept()]);
    listener.close();
    await expectRejection('ERR_HEDDLE_CLOSED', accepting);
    const other = await localListener();
    const loop = (async () => {
      for await (const conn of other) conn.destroy();
      return 'ended';
    })();
    const client = await dial({ host: kHost, port: other.port! });
    expect(await readAll(client)).toHaveLength(0);
    client.destroy();
    other.close();
    expect(await loop).toBe('ended');
  });

  test('that nobody hears of is no unhandled rejection', async () => {
    const unhandled: unknown[] = [];
    const note = (reason: unknown): void => void unhandled.push(reason);
    process.on('unhandledRejection', note);
    const before = countsNow();
    const [client, server] = await pair();
    const listener = await localListener();
    void listener.accept().catch(ignore);
    server.resume();
    client.write(kTooMuch);
    for (const each of [client, server]) each.destroy();
    listener.close();
    await untilBackTo(before);
    await new Promise(setImmediate);
    process.off('unhandledRejection', note);
    expect(unhandled).toEqual([]);
  });

  test('is told by every later use', async () => {
    const [client, server] = await pair();
    await server.writeAll(Buffer.from('unread'));
    await once(client, 'readable');
    client.destroy();
    client.destroy();
    await expectRejection('ERR_HEDDLE_CLOSED', client.readInto(bytes()), 'dial');
    await expectRejection('ERR_HEDDLE_CLOSED', client.writeAll(bytes()), 'dial');
    client.reset();
    server.destroy();
    const listener = await localListener();
    listener.close();
    listener.close();
    expect(listener.closed).toBe(true);
    await expectRejection('ERR_HEDDLE_CLOSED', listener.accept());
    for await (const conn of listener) expect(conn).toBe('none');
  });
});

describe('reset', () => {
  test('reaches only its own connection', async () => {
    const pairs = await Promise.all(Array.from({ length: 10 }, pair));
    const [bad, ...good] = pairs as [[Conn, Conn], ...[Conn, Conn][]];
    const reading = rejectionOf(bad[1].readInto(bytes()));
    bad[0].reset();
    expect(await reading).toMatchObject({ code: 'ECONNRESET', errno: -104, syscall: 'read' });
    await Promise.all(good.map(([client, server], i) => expectRoundTrip(client, server, `n${i}`)));
    for (const conn of pairs.flat()) conn.destroy();
  });

  test('ends a write that waits', () =>
    withPair(async (client, server) => {
      const [writing] = await waiting(1, () => [rejectionOf(client.writeAll(kTooMuch))]);
      server.reset();
      expect(['ECONNRESET', 'EPIPE']).toContain(((await writing) as { code: string }).code);
    }));

  test('is an error of the stream', () =>
    withPair(async (client, server) => {
      const failing = rejectionOf(textOf(server));
      client.reset();
      expect(await failing).toMatchObject({ code: 'ECONNRESET' });
      expect(server.destroyed).toBe(true);
    }));

  test('that came before the end of this side is no error of that end', () =>
    withPair(async (client, server) => {
      const reading = rejectionOf(server.readInto(bytes()));
      client.reset();
      await reading;
      server.end();
      await once(server, 'finish');
    }));

  test('comes from a client of node:net as well', async () => {
    const listener = await localListener();
    const node = connectNode(listener.port!, kHost);
    const conn = await listener.accept();
    node.resetAndDestroy();
    expect(await rejectionOf(conn.readInto(bytes()))).toMatchObject({ code: 'ECONNRESET' });
    conn.destroy();
    listener.close();
  });

  test('follows a failure of a pipeline into it', () =>
    withPair(async (client, server) => {
      const reading = rejectionOf(readAll(server));
      const failing = function* (): Generator<Buffer> {
        yield Buffer.from('half of it');
        throw new Error('the other half is lost');
      };
      await expect(pipeline(failing(), client)).rejects.toThrow('the other half is lost');
      expect(await reading).toMatchObject({ code: 'ECONNRESET' });
    }));
});

test('a slow reader blocks only its writer', async () => {
  const [slow, ...others] = await Promise.all(Array.from({ length: 51 }, pair));
  const [client, server] = slow!;
  let isDone = false;
  const [writing] = await waiting(1, () => [
    client.writeAll(kTooMuch).then(() => void (isDone = true)),
  ]);
  for (let turn = 0; turn < 10; turn += 1) {
    await Promise.all(others.map(([a, b], i) => expectRoundTrip(a, b, `turn ${turn} of ${i}`)));
  }
  expect(isDone).toBe(false);
  expect(await readAll(server, kTooMuch.length)).toHaveLength(kTooMuch.length);
  await writing;
  for (const conn of [...others.flat(), client, server]) conn.destroy();
});

describe('nothing is left behind', () => {
  const portOf = (address: Conn['remoteAddress']): unknown => (address as { port: number }).port;
  const ends: ((client: Conn, server: Conn) => unknown)[] = [
    // By the ends of both sides.
    async (client, server) => {
      client.end('bye');
      server.end('bye');
      await Promise.all([readAll(client), readAll(server)]);
    },
    (client, server) => [client.destroy(), server.destroy()],
    async (client, server) => {
      const reading = rejectionOf(server.readInto(bytes()));
      client.reset();
      await reading;
      server.destroy();
    },
    // While they read and write.
    (client, server) => {
      void client.readInto(bytes()).catch(ignore);
      void client.writeAll(new Uint8Array(8 << 20)).catch(ignore);
      client.destroy();
      server.destroy();
    },
    async (client, server) => {
      server.on('error', ignore).destroy(new Error('on purpose'));
      await rejectionOf(readAll(client));
      client.destroy();
    },
  ];
  test('of 500 connections of every kind of end', async () => {
    const before = countsNow();
    const listener = await localListener();
    const to = { host: kHost, port: listener.port! };
    const kAtOnce = 25;
    for (let round = 0; round < 500 / kAtOnce; round += 1) {
      const clients = await Promise.all(Array.from({ length: kAtOnce }, () => dial(to)));
      // They are accepted in any order.
      const servers = new Map<unknown, Conn>();
      while (servers.size < kAtOnce) {
        const conn = await listener.accept();
        servers.set(portOf(conn.remoteAddress), conn);
      }
      await Promise.all(
        clients.map((client, i) =>
          ends[i % ends.length]!(client, servers.get(portOf(client.localAddress))!),
        ),
      );
    }
    listener.close();
    await untilBackTo(before);
  });

  test('of those that failed to begin', async () => {
    const listener = await localListener();
    const to = { host: kHost, port: listener.port! };
    const before = countsNow();
    const failures = Array.from({ length: 50 }, () => rejectionOf(listen(to)));
    for (const error of await Promise.all(failures)) {
      expect(error).toMatchObject({ code: 'EADDRINUSE' });
    }
    listener.close();
    const refused = Array.from({ length: 50 }, () => rejectionOf(dial(to)));
    for (const error of await Promise.all(refused)) {
      expect(error).toMatchObject({ code: 'ECONNREFUSED' });
    }
    await untilBackTo(before);
  });
});
