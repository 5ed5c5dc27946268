// What compiles, and what does not: listeners and connections.
import type { Duplex } from 'node:stream';
import { dial, listen } from 'heddle';
import type { Address, Conn, IoOptions, Listener, Task } from 'heddle';
import { expectTypeOf, test } from 'vitest';

const { signal } = new AbortController();
const bytes = new Uint8Array(8);

test('where to listen and to dial', () => {
  expectTypeOf(listen({ port: 0 })).toEqualTypeOf<Promise<Listener>>();
  expectTypeOf(listen({ path: '@name', backlog: 5 })).toEqualTypeOf<Promise<Listener>>();
  expectTypeOf(dial({ host: 'a', port: 1, signal, deadline: 5 })).toEqualTypeOf<Promise<Conn>>();
  // @ts-expect-error -- a port is a number
  void listen({ port: '80' });
  // @ts-expect-error -- somewhere
  void dial();
  // @ts-expect-error -- no such option
  void dial({ port: 80, timeout: 5 });
  // @ts-expect-error -- only listeners have one
  void dial({ port: 80, backlog: 5 });
});

test('a listener', async () => {
  const listener = await listen({ port: 0 });
  expectTypeOf(listener.accept({ signal })).toEqualTypeOf<Promise<Conn>>();
  expectTypeOf(listener.port).toEqualTypeOf<number | undefined>();
  expectTypeOf(listener.address).toEqualTypeOf<Address | undefined>();
  expectTypeOf(listener.echo()).toEqualTypeOf<Task<number>>();
  expectTypeOf(listener.proxy({ port: 80 })).toEqualTypeOf<Task<number>>();
  expectTypeOf(listener).toExtend<Disposable>();
  for await (const conn of listener) expectTypeOf(conn).toEqualTypeOf<Conn>();
  // @ts-expect-error -- to where
  void listener.proxy();
  // @ts-expect-error -- it is closed by `close`
  listener.closed = true;
});

test('a connection is a stream, and more', async () => {
  const conn = await dial({ port: 80 });
  expectTypeOf(conn).toExtend<Duplex>();
  expectTypeOf(conn.readInto(bytes, { deadline: 5 })).toEqualTypeOf<Promise<number>>();
  expectTypeOf(conn.writeAll([bytes, Buffer.from('b')])).toEqualTypeOf<Promise<void>>();
  expectTypeOf<IoOptions>().toEqualTypeOf<{ signal?: AbortSignal; deadline?: number }>();
  // @ts-expect-error -- text is not bytes
  void conn.writeAll('text');
  // @ts-expect-error -- it reads into something
  void conn.readInto(8);
  const { remoteAddress } = conn;
  if (remoteAddress !== undefined && 'port' in remoteAddress) {
    expectTypeOf(remoteAddress.port).toBeNumber();
  }
});
