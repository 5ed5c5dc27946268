// Services without JavaScript: echo and proxy, with clients and servers of node:net.
import { once } from 'node:events';
import { connect as connectNode, createServer } from 'node:net';
import type { AddressInfo, Server, Socket } from 'node:net';
import { buffer as bufferOf, text as textOf } from 'node:stream/consumers';
import { dial } from 'heddle';
import type { Listener } from 'heddle';
import { beforeAll, describe, expect, test } from 'vitest';
import { countsNow, expectRoundTrip, kHost, kTooMuch, localListener } from './net-support.js';
import { patterned, readAll, readText, untilBackTo, withPair } from './net-support.js';
import { expectRejection, rejectionOf, thrownBy } from './support.js';

const kClients = 200;

// What the runtime opens for itself is there before anything is counted.
beforeAll(() => withPair((client, server) => expectRoundTrip(client, server, 'warm')));

const clientsOf = async (port: number, count = kClients): Promise<Socket[]> => {
  const clients = Array.from({ length: count }, () =>
    connectNode(port, kHost).on('error', () => {}),
  );
  await Promise.all(clients.map((client) => once(client, 'connect')));
  return clients;
};

async function upperCaseServer(): Promise<[Server, number]> {
  const server = createServer({ allowHalfOpen: true }, (socket) => {
    socket.on('data', (chunk) => socket.write(String(chunk).toUpperCase()));
    socket.on('end', () => socket.end());
    socket.on('error', () => {});
  }).listen(0, kHost);
  await once(server, 'listening');
  return [server, (server.address() as AddressInfo).port];
}

const answerOf = async (client: Socket, text: string): Promise<string> => {
  client.write(text);
  return String((await once(client, 'data'))[0]);
};

/** All of them hear of its end, by an error or without one. */
const allClosed = (clients: Socket[]): Promise<unknown> =>
  Promise.all(
    clients.map(async (client) => {
      client.resume();
      if (!client.closed) await new Promise((resolve) => client.once('close', resolve));
    }),
  );

describe('echo', () => {
  test('answers 200 clients, and counts them', async () => {
    const before = countsNow();
    const listener = await localListener();
    const serving = listener.echo();
    const clients = await clientsOf(listener.port!);
    for (let turn = 0; turn < 3; turn += 1) {
      await Promise.all(
        clients.map(async (client, i) => {
          expect(await answerOf(client, `turn ${turn} of ${i}`)).toBe(`turn ${turn} of ${i}`);
        }),
      );
    }
    for (const client of clients) client.end();
    await allClosed(clients);
    listener.close();
    expect(await serving).toBe(kClients);
    await untilBackTo(before);
  });

  test('gives back 8 MiB, and the end', async () => {
    const listener = await localListener();
    const serving = listener.echo();
    const bytes = patterned(8 << 20);
    const node = connectNode(listener.port!, kHost);
    node.end(bytes);
    expect((await bufferOf(node)).equals(bytes)).toBe(true);
    const conn = await dial({ port: listener.port!, host: kHost });
    conn.end(bytes);
    expect((await readAll(conn)).equals(bytes)).toBe(true);
    listener.close();
    expect(await serving).toBe(2);
  });

  test('its cancel closes its connections, and the listener is free for another', async () => {
    const before = countsNow();
    const listener = await localListener();
    const serving = listener.echo();
    const clients = await clientsOf(listener.port!);
    await Promise.all(clients.map((client) => answerOf(client, 'here')));
    serving.cancel();
    expect(await rejectionOf(serving)).toMatchObject({ name: 'AbortError' });
    await allClosed(clients);
    const again = listener.echo();
    const [client] = await clientsOf(listener.port!, 1);
    expect(await answerOf(client!, 'again')).toBe('again');
    listener.close();
    expect(await again).toBe(1);
    await allClosed([client!]);
    await untilBackTo(before);
  });

  test('a signal ends it, also while a client does not read', async () => {
    const before = countsNow();
    const listener = await localListener();
    const controller = new AbortController();
    const serving = listener.echo({ signal: controller.signal });
    const stuck = await dial({ port: listener.port!, host: kHost });
    const writing = rejectionOf(stuck.writeAll(kTooMuch));
    const [client] = await clientsOf(listener.port!, 1);
    expect(await answerOf(client!, 'not stuck')).toBe('not stuck');
    controller.abort('for the night');
    expect(await rejectionOf(serving)).toBe('for the night');
    await allClosed([client!]);
    expect(['ECONNRESET', 'EPIPE']).toContain(((await writing) as { code: string }).code);
    stuck.destroy();
    listener.close();
    await untilBackTo(before);
  });

  test('a reset of one client is its own affair', async () => {
    const listener = await localListener();
    const serving = listener.echo();
    const [bad, ...good] = await clientsOf(listener.port!, 20);
    await answerOf(bad!, 'x');
    bad!.resetAndDestroy();
    for (const client of good) expect(await answerOf(client, 'y')).toBe('y');
    for (const client of good) client.destroy();
    listener.close();
    expect(await serving).toBe(20);
  });
});

describe('proxy', () => {
  test('connects 200 clients with the server, and counts them', async () => {
    const [server, port] = await upperCaseServer();
    const before = countsNow();
    const listener = await localListener();
    const serving = listener.proxy({ port, host: kHost });
    const clients = await clientsOf(listener.port!);
    for (let turn = 0; turn < 3; turn += 1) {
      await Promise.all(
        clients.map(async (client, i) => {
          expect(await answerOf(client, `turn ${turn} of ${i}`)).toBe(`TURN ${turn} OF ${i}`);
        }),
      );
    }
    for (const client of clients) client.end();
    await allClosed(clients);
    listener.close();
    expect(await serving).toBe(kClients);
    await untilBackTo(before);
    server.close();
  });

  test('its cancel closes both sides of each', async () => {
    const [server, port] = await upperCaseServer();
    const before = countsNow();
    const listener = await localListener();
    const serving = listener.proxy({ port, host: kHost });
    const clients = await clientsOf(listener.port!, 50);
    await Promise.all(clients.map((client) => answerOf(client, 'here')));
    serving.cancel('that will do');
    expect(await rejectionOf(serving)).toBe('that will do');
    await allClosed(clients);
    listener.close();
    await untilBackTo(before);
    server.close();
    await once(server, 'close'); // which waits for all its connections
  });

  test('passes 8 MiB and both half-closes on', async () => {
    const behind = await localListener();
    const listener = await localListener();
    const serving = listener.proxy({ port: behind.port!, host: kHost });
    const client = await dial({ port: listener.port!, host: kHost });
    const server = await behind.accept();
    const bytes = patterned(8 << 20);
    client.end(bytes);
    expect((await readAll(server)).equals(bytes)).toBe(true);
    server.end('received');
    expect(await readText(client)).toBe('received');
    listener.close();
    behind.close();
    expect(await serving).toBe(1);
  });

  test('passes a reset on, either way', async () => {
    const behind = await localListener();
    const listener = await localListener();
    const serving = listener.proxy({ port: behind.port!, host: kHost });
    for (const which of [0, 1]) {
      const ends = [await dial({ port: listener.port!, host: kHost }), await behind.accept()];
      const reading = rejectionOf(ends[1 - which]!.readInto(new Uint8Array(4)));
      ends[which]!.reset();
      expect(await reading).toMatchObject({ code: 'ECONNRESET' });
      ends[1 - which]!.destroy();
    }
    listener.close();
    behind.close();
    expect(await serving).toBe(2);
  });

  test('closes clients while nobody listens behind it, and goes on', async () => {
    const behind = await localListener();
    const to = { port: behind.port!, host: kHost };
    behind.close();
    const listener = await localListener();
    const serving = listener.proxy(to);
    const [client] = await clientsOf(listener.port!, 1);
    expect(await textOf(client!)).toBe('');
    listener.close();
    expect(await serving).toBe(1);
  });
});

describe('one service at a time', () => {
  const begin: [string, (listener: Listener) => Promise<unknown>][] = [
    ['echo', (listener) => listener.echo()],
    ['proxy', (listener) => listener.proxy({ port: 1 })],
    ['accept', (listener) => listener.accept()],
  ];
  test.each(begin)('%s is refused beside another one', async (_, second) => {
    const listener = await localListener();
    const serving = listener.echo();
    const [client] = await clientsOf(listener.port!, 1);
    await answerOf(client!, 'it serves');
    await expectRejection('ERR_HEDDLE_BUSY', second(listener));
    expect(await answerOf(client!, 'it still does')).toBe('it still does');
    listener.close();
    expect(await serving).toBe(1);
    await allClosed([client!]);
  });

  test('none begins after close', async () => {
    const listener = await localListener();
    listener.close();
    const late = [() => listener.echo(), () => listener.proxy({ port: 1 })];
    for (const call of late) expect(thrownBy(call)).toMatchObject({ code: 'ERR_HEDDLE_CLOSED' });
  });
});
