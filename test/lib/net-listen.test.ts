// Where to listen and to dial: ports, names, files; and what the system or we say no to.
import { closeSync, existsSync, mkdtempSync, openSync, readFileSync, rmSync } from 'node:fs';
import { connect as connectNode, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join, relative } from 'node:path';
import { once } from 'node:events';
import { dial, listen } from 'heddle';
import type { Conn, DialOptions, Listener, ListenOptions } from 'heddle';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { countsNow, expectRoundTrip, kHost, localListener } from './net-support.js';
import { openDescriptors, readText, untilBackTo, withPair } from './net-support.js';
import { expectRejection, expectRefusal, rejectionOf, runScript } from './support.js';

const folder = mkdtempSync(join(tmpdir(), 'heddle-net-'));
afterAll(() => rmSync(folder, { recursive: true }));
// What the runtime opens for itself is there before anything is counted.
beforeAll(() => withPair((client, server) => expectRoundTrip(client, server, 'warm')));
let files = 0;
const newPath = (): string => join(folder, `${(files += 1)}.sock`);

async function expectService(listener: Listener, to: DialOptions): Promise<[Conn, Conn]> {
  const [client, server] = await Promise.all([dial(to), listener.accept()]);
  await expectRoundTrip(client, server, 'hello');
  for (const conn of [client, server]) conn.destroy();
  return [client, server];
}

const hasIpv6 =
  existsSync('/proc/net/if_inet6') && readFileSync('/proc/net/if_inet6', 'utf8').includes(' lo\n');

describe('a port', () => {
  test('without a host is reached over both protocols and by name', async () => {
    const listener = await listen({ port: 0 });
    const { port } = listener as { port: number };
    expect(listener.address).toEqual({ host: hasIpv6 ? '::' : '0.0.0.0', port });
    for (const host of [undefined, '', kHost, hasIpv6 ? '::1' : kHost, 'localhost']) {
      await expectService(listener, host === undefined ? { port } : { port, host });
    }
    listener.close();
  });

  test.skipIf(!hasIpv6)('of IPv6 is not one of IPv4', async () => {
    const listener = await listen({ port: 0, host: '::1' });
    const { port } = listener as { port: number };
    expect(listener.address).toEqual({ host: '::1', port });
    await expectService(listener, { port, host: '::1' });
    const error = await rejectionOf(dial({ port, host: kHost }));
    expect(error).toMatchObject({ code: 'ECONNREFUSED' });
    listener.close();
  });

  test('a name leads to the address that answers', async () => {
    const listener = await localListener(); // not on ::1, which localhost may be first
    await expectService(listener, { port: listener.port!, host: 'localhost' });
    listener.close();
  });

  test('is shared by two listeners with reusePort, and every client reaches one', async () => {
    const first = await listen({ port: 0, host: kHost, reusePort: true });
    const to = { port: first.port!, host: kHost };
    const second = await listen({ ...to, reusePort: true });
    const counts = [first.echo(), second.echo()];
    const clients = await Promise.all(Array.from({ length: 64 }, () => dial(to)));
    for (const [i, client] of clients.entries()) {
      await client.writeAll(Buffer.from(`${i}`.padStart(4)));
      expect(await readText(client, 4)).toBe(`${i}`.padStart(4));
      client.destroy();
    }
    first.close();
    second.close();
    const [a, b] = await Promise.all(counts);
    expect(a! + b!).toBe(64);
    expect(Math.min(a!, b!)).toBeGreaterThan(0); // 2⁻⁶³ that it is not
  });

  test('can be had again after close', async () => {
    const listener = await localListener();
    const to = { port: listener.port!, host: kHost };
    await expectService(listener, to);
    listener.close();
    const again = await listen(to);
    await expectService(again, to);
    again.close();
  });

  test('leaves those who wait for it in the backlog', async () => {
    const listener = await localListener();
    const clients = await Promise.all(
      Array.from({ length: 20 }, () => dial({ port: listener.port!, host: kHost })),
    );
    const ports = new Set<number>();
    while (ports.size < clients.length) {
      const conn = await listener.accept();
      ports.add((conn.remoteAddress as { port: number }).port);
      conn.destroy();
    }
    for (const client of clients) client.destroy();
    listener.close();
  });
});

describe('a Unix socket', () => {
  test('has a file while it listens', async () => {
    const path = newPath();
    const listener = await listen({ path });
    expect(listener.address).toEqual({ path });
    expect(listener.port).toBeUndefined();
    expect(existsSync(path)).toBe(true);
    const [client, server] = await expectService(listener, { path });
    expect(client.remoteAddress).toEqual({ path });
    expect(server.localAddress).toEqual({ path });
    expect(server.remoteAddress).toBeUndefined();
    listener.close();
    expect(existsSync(path)).toBe(false);
    const again = await listen({ path });
    // What is there by now is another one's.
    listener.close();
    await expectService(again, { path });
    again.close();
  });

  test('may be given as a relative path', async () => {
    const path = newPath();
    const near = relative(process.cwd(), path);
    const listener = await listen({ path: near });
    await expectService(listener, { path });
    await expectService(listener, { path: near });
    listener.close();
    expect(existsSync(path)).toBe(false);
  });

  test('has a name without a file', async () => {
    const path = `@heddle-test-${process.pid}`;
    const listener = await listen({ path });
    expect(listener.address).toEqual({ path });
    const [client] = await expectService(listener, { path });
    expect(client.remoteAddress).toEqual({ path });
    expect(existsSync(path)).toBe(false);
    expect(await rejectionOf(listen({ path }))).toMatchObject({ code: 'EADDRINUSE' });
    listener.close();
    expect(await rejectionOf(dial({ path }))).toMatchObject({ code: 'ECONNREFUSED' });
  });

  test('of node:net that was bound to a relative path has an address that is a path', async () => {
    const script = `
      import { mkdtempSync } from 'node:fs';
      import { once } from 'node:events';
      import { createServer } from 'node:net';
      import { dial } from 'heddle';
      process.chdir(${JSON.stringify(folder)});
      const server = createServer((socket) => socket.end()).listen('plain.sock');
      await once(server, 'listening');
      const conn = await dial({ path: 'plain.sock' });
      console.log(JSON.stringify(conn.remoteAddress));
      conn.destroy();
      server.close();`;
    const { stdout, stderr } = await runScript(script);
    expect({ stdout, stderr }).toEqual({ stdout: '{"path":"./plain.sock"}\n', stderr: '' });
  });

  test('serves clients of node:net, and dials its servers', async () => {
    const path = newPath();
    const listener = await listen({ path });
    const node = connectNode(path);
    const conn = await listener.accept();
    node.end('from node');
    expect(await readText(conn)).toBe('from node');
    conn.destroy();
    listener.close();
    const server = createServer((socket) => socket.end('node says so')).listen(path);
    await once(server, 'listening');
    const client = await dial({ path });
    expect(await readText(client)).toBe('node says so');
    client.destroy();
    server.close();
  });
});

describe('what the system refuses is an error of the kind that Node has', () => {
  const file = openSync('package.json', 'r');
  afterAll(() => closeSync(file));
  const longPath = `/tmp/${'x'.repeat(110)}`;
  const table: [string, () => Promise<unknown>, object][] = [
    [
      'an unknown host',
      () => dial({ host: 'no..host', port: 1 }),
      { code: 'ENOTFOUND', errno: -3008, syscall: 'getaddrinfo' },
    ],
    [
      'an unknown host to listen on',
      () => listen({ host: 'no..host', port: 0 }),
      { code: 'ENOTFOUND', syscall: 'getaddrinfo' },
    ],
    [
      'a long path',
      () => listen({ path: longPath }),
      { code: 'ENAMETOOLONG', errno: -36, syscall: 'listen' },
    ],
    ['a long path to dial', () => dial({ path: longPath }), { code: 'ENAMETOOLONG' }],
    [
      'a missing file',
      () => dial({ path: '/tmp/no-such.sock' }),
      { code: 'ENOENT', errno: -2, syscall: 'connect', path: '/tmp/no-such.sock' },
    ],
    ['a missing folder', () => listen({ path: '/no/such/folder' }), { code: 'ENOENT' }],
    [
      'an address of others',
      () => listen({ host: '192.0.2.1', port: 0 }),
      { code: 'EADDRNOTAVAIL' },
    ],
    ['no descriptor', () => listen({ fd: 9999 }), { code: 'EBADF', errno: -9, syscall: 'listen' }],
    ['a descriptor of a file', () => listen({ fd: file }), { code: 'ENOTSOCK' }],
  ];
  test.each(table)('%s', async (_, call, shape) => {
    const before = countsNow();
    const error = await rejectionOf(call());
    expect(error).toBeInstanceOf(Error);
    expect(error).toMatchObject(shape);
    const { code, syscall, message } = error as NodeJS.ErrnoException;
    expect(message).toMatch(new RegExp(`^${code}: .+, ${syscall}\\b`));
    await untilBackTo(before);
  });

  test('a port in use, whoever uses it', async () => {
    const listener = await localListener();
    const { port } = listener as { port: number };
    const shape = { code: 'EADDRINUSE', errno: -98, syscall: 'listen' };
    expect(await rejectionOf(listen({ port, host: kHost }))).toMatchObject(shape);
    const node = createServer().listen(port, kHost);
    expect((await once(node, 'error'))[0]).toMatchObject(shape);
    listener.close();
    const other = createServer().listen(0, kHost);
    await once(other, 'listening');
    const taken = (other.address() as { port: number }).port;
    expect(await rejectionOf(listen({ port: taken, host: kHost }))).toMatchObject(shape);
    other.close();
  });

  test('a port where nobody listens', async () => {
    const listener = await localListener();
    const { port } = listener as { port: number };
    listener.close();
    expect(await rejectionOf(dial({ port, host: kHost }))).toMatchObject({
      code: 'ECONNREFUSED',
      errno: -111,
      syscall: 'connect',
      message: `ECONNREFUSED: connection refused, connect '${kHost}:${port}'`,
    });
  });

  test('a descriptor of a connection, which stays its owner’s', async () => {
    const server = createServer((socket) => socket.end('whole')).listen(0, kHost);
    await once(server, 'listening');
    const node = connectNode((server.address() as { port: number }).port, kHost);
    await once(node, 'connect');
    const { fd } = (node as unknown as { _handle: { fd: number } })._handle;
    expect(await rejectionOf(listen({ fd }))).toMatchObject({ code: 'EINVAL', syscall: 'listen' });
    expect(String(await node.toArray())).toBe('whole');
    server.close();
  });
});

describe('what cannot be meant is refused before anything is opened', () => {
  const both: [string, unknown][] = [
    ['no options', undefined],
    ['null', null],
    ['a number', 8080],
    ['neither port nor path', {}],
    ['a host alone', { host: kHost }],
    ['a port that is a string', { port: '80' }],
    ['a negative port', { port: -1 }],
    ['a port above all', { port: 65_536 }],
    ['half a port', { port: 0.5 }],
    ['no number', { port: NaN }],
    ['a host that is a number', { port: 80, host: 1 }],
    ['a host that would be a path', { port: 80, host: '/run/x' }],
    ['a host that would be an abstract name', { port: 80, host: '@x' }],
    ['a host with a null character', { port: 80, host: `${kHost}\0.example` }],
    ['an empty path', { path: '' }],
    ['a path that is a number', { path: 5 }],
    ['a path with a null character', { path: '/tmp/a\0b' }],
    ['an abstract name in the words of Node', { path: '\0x' }],
    ['a path and a port', { path: '/tmp/x', port: 80 }],
    ['a path and a host', { path: '/tmp/x', host: kHost }],
  ];
  const forListen: [string, unknown][] = [
    ['no backlog', { port: 0, backlog: 0 }],
    ['a backlog above all', { port: 0, backlog: 65_536 }],
    ['a backlog that is a string', { port: 0, backlog: '5' }],
    ['a reusePort that is a number', { port: 0, reusePort: 1 }],
    ['a negative descriptor', { fd: -1 }],
    ['a descriptor that is a string', { fd: '3' }],
    ['a descriptor and a port', { fd: 3, port: 0 }],
    ['a descriptor and a path', { fd: 3, path: '/tmp/x' }],
  ];
  const forDial: [string, unknown][] = [
    ['a negative deadline', { port: 80, deadline: -1 }],
    ['a deadline that is a string', { port: 80, deadline: '5' }],
    ['a signal that is none', { port: 80, signal: {} }],
  ];
  const refused = async (call: Promise<unknown>): Promise<void> => {
    const before = openDescriptors();
    await expectRejection('ERR_HEDDLE_OPTION', call, 'expected', 'got');
    expect(openDescriptors()).toBe(before);
  };
  test.each([...both, ...forListen])('by listen: %s', (_, options) =>
    refused(listen(options as ListenOptions)),
  );
  test.each([...both, ...forDial])('by dial: %s', (_, options) =>
    refused(dial(options as DialOptions)),
  );
  test('by a listener', async () => {
    const listener = await localListener();
    for (const [, options] of [...both, ...forDial]) {
      expectRefusal('ERR_HEDDLE_OPTION', () => listener.proxy(options as DialOptions));
    }
    for (const options of [{ deadline: -1 }, { signal: {} }]) {
      expectRefusal('ERR_HEDDLE_OPTION', () => listener.echo(options as never));
      await refused(listener.accept(options as never));
    }
    listener.close();
  });
});
