// What tests of sockets need: pairs of connections, bytes that tell where they belong, and what is
// open or waits.
import { readdirSync } from 'node:fs';
import { dial, listen, runtime } from 'heddle';
import type { Conn, Listener } from 'heddle';
import { until } from './support.js';

export const kHost = '127.0.0.1';

/** More than the system keeps for a connection whose other end does not read. */
export const kTooMuch = new Uint8Array(48 << 20);

export const localListener = (): Promise<Listener> => listen({ port: 0, host: kHost });

/** A connection from both ends; its listener is closed by then. */
export async function pair(): Promise<[client: Conn, server: Conn]> {
  const listener = await localListener();
  try {
    return await Promise.all([dial({ host: kHost, port: listener.port! }), listener.accept()]);
  } finally {
    listener.close();
  }
}

/** A pair for as long as the body lasts. */
export async function withPair(
  body: (client: Conn, server: Conn) => Promise<unknown>,
): Promise<void> {
  const [client, server] = await pair();
  try {
    await body(client, server);
  } finally {
    client.destroy();
    server.destroy();
  }
}

/** No two stretches of it are the same, so that a lost or doubled one is seen. */
export function patterned(length: number): Uint8Array {
  const words = new Uint32Array(Math.ceil(length / 4));
  for (let i = 0; i < words.length; i += 1) words[i] = i * 2_654_435_761;
  return new Uint8Array(words.buffer, 0, length);
}

/** What comes until the end, or so many bytes. */
export async function readAll(conn: Conn, most = Infinity): Promise<Buffer> {
  const pieces: Buffer[] = [];
  const buffer = new Uint8Array(65_536);
  for (let length = 0; length < most;) {
    const room = buffer.subarray(0, Math.min(buffer.length, most - length));
    const count = await conn.readInto(room);
    if (count === 0) break;
    length += count;
    pieces.push(Buffer.from(room.slice(0, count)));
  }
  return Buffer.concat(pieces);
}

export async function readText(conn: Conn, length = Infinity): Promise<string> {
  return (await readAll(conn, length)).toString();
}

/** There and back again: both directions work. */
export async function expectRoundTrip(client: Conn, server: Conn, text: string): Promise<void> {
  const length = Buffer.byteLength(text);
  const [there] = await Promise.all([readText(server, length), client.writeAll(Buffer.from(text))]);
  const [back] = await Promise.all([
    readText(client, length),
    server.writeAll(Buffer.from(there.toUpperCase())),
  ]);
  if (back !== text.toUpperCase()) throw new Error(`expected ${text.toUpperCase()}, got ${back}`);
}

export const openDescriptors = (): number => readdirSync('/proc/self/fd').length;

export function liveFibers(): number {
  const { spawned, exited } = runtime.stats();
  return spawned - exited;
}

/** Until all fibers wait, and there are so many. */
export function untilWaiting(fibers: number): Promise<void> {
  return until(() => {
    const { idleProcessors, processors, globalQueue } = runtime.stats();
    return liveFibers() === fibers && idleProcessors === processors && globalQueue === 0;
  });
}

interface Counts {
  descriptors: number;
  fibers: number;
}

export const countsNow = (): Counts => ({ descriptors: openDescriptors(), fibers: liveFibers() });

/** Nothing is left but what there was. */
export function untilBackTo({ descriptors, fibers }: Counts): Promise<void> {
  return until(() => openDescriptors() <= descriptors && liveFibers() <= fibers);
}
