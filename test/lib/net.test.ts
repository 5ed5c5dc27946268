// A connection carries bytes both ways, as a stream of Node's and with promises.
import { once } from 'node:events';
import { connect as connectNode } from 'node:net';
import { Duplex, PassThrough, Readable, Writable } from 'node:stream';
import { buffer as bufferOf, text as textOf } from 'node:stream/consumers';
import { pipeline } from 'node:stream/promises';
import { dial } from 'heddle';
import type { Conn } from 'heddle';
import { describe, expect, test } from 'vitest';
import { expectRoundTrip, kHost, localListener, pair, patterned } from './net-support.js';
import { readAll, readText, withPair } from './net-support.js';
import { expectRejection, reactions, rejectionOf } from './support.js';

const kMiB = 1 << 20;

describe('bytes', () => {
  test('go there and back', () =>
    withPair(async (client, server) => {
      for (const text of ['a', 'warp and weft', 'ü'.repeat(1000)]) {
        await expectRoundTrip(client, server, text);
      }
    }));

  test('arrive whole when they were written in pieces', () =>
    withPair(async (client, server) => {
      const pieces = ['wa', '', 'rp', ' and ', 'weft'].map((piece) => Buffer.from(piece));
      const received = readText(server, 13);
      await client.writeAll(pieces);
      expect(await received).toBe('warp and weft');
      await client.writeAll([]);
      await client.writeAll(new Uint8Array());
      for (const piece of pieces) await client.writeAll(piece);
      expect(await readText(server, 13)).toBe('warp and weft');
    }));

  test('are split as the reader likes', () =>
    withPair(async (client, server) => {
      await client.writeAll(Buffer.from('shuttle'));
      const letter = new Uint8Array(1);
      let text = '';
      while (text.length < 7) {
        expect(await server.readInto(letter)).toBe(1);
        text += String.fromCharCode(letter[0]!);
      }
      expect(text).toBe('shuttle');
    }));

  test('8 MiB go both ways at once', () =>
    withPair(async (client, server) => {
      const bytes = patterned(8 * kMiB);
      const echoing = pipeline(server, server);
      const [back] = await Promise.all([readAll(client, bytes.length), client.writeAll(bytes)]);
      expect(back.equals(bytes)).toBe(true);
      client.end();
      await echoing;
    }));

  test('a part of a buffer is all that is written and read', () =>
    withPair(async (client, server) => {
      const letters = Buffer.from('abcdefgh');
      await client.writeAll(letters.subarray(2, 5));
      const into = Buffer.alloc(8, '.');
      expect(await server.readInto(into.subarray(3, 6))).toBe(3);
      expect(into.toString()).toBe('...cde..');
    }));
});

describe('as a stream', () => {
  test('for await reads to the end', () =>
    withPair(async (client, server) => {
      client.write('one ');
      client.end('two');
      let text = '';
      for await (const chunk of server) text += String(chunk);
      expect(text).toBe('one two');
    }));

  test('pipeline carries 8 MiB through both ends, and slows its source', () =>
    withPair(async (client, server) => {
      const bytes = patterned(8 * kMiB);
      let pulled = 0;
      const source = new Readable({
        read() {
          const piece = bytes.subarray(pulled, pulled + 65_536);
          pulled += piece.length;
          this.push(piece.length === 0 ? null : piece);
        },
      });
      const echoing = pipeline(server, server);
      const sending = pipeline(source, client, { end: true });
      const [back] = await Promise.all([bufferOf(client), sending]);
      expect(back.equals(bytes)).toBe(true);
      await echoing;
    }));

  test('write says when to wait, and drain when to go on', () =>
    withPair(async (client, server) => {
      const bytes = patterned(8 * kMiB);
      expect(client.write(bytes)).toBe(false);
      const drained = once(client, 'drain');
      expect((await readAll(server, bytes.length)).equals(bytes)).toBe(true);
      await drained;
      expect(client.writableLength).toBe(0);
    }));

  test('small writes of one turn are one', () =>
    withPair(async (client, server) => {
      for (let i = 0; i < 100; i += 1) client.write(`${i},`);
      client.end();
      const numbers = (await textOf(server)).split(',');
      expect(numbers).toEqual([...Array.from({ length: 100 }, (_, i) => String(i)), '']);
    }));

  test('strings are written in their encoding', () =>
    withPair(async (client, server) => {
      client.write('c3bc', 'hex');
      client.end('ß', 'latin1');
      expect([...(await bufferOf(server))]).toEqual([0xc3, 0xbc, 0xdf]);
    }));

  test('toWeb gives streams of the web', () =>
    withPair(async (client, server) => {
      const { readable, writable } = Duplex.toWeb(client);
      const echoing = pipeline(server, new PassThrough(), server);
      const writer = writable.getWriter();
      await writer.write(Buffer.from('over the web'));
      await writer.close();
      let text = '';
      for await (const chunk of readable) text += Buffer.from(chunk as Uint8Array).toString();
      expect(text).toBe('over the web');
      await echoing;
    }));

  test('pipe to a slow writer loses nothing', () =>
    withPair(async (client, server) => {
      const bytes = patterned(kMiB);
      client.end(bytes);
      const pieces: Buffer[] = [];
      const slow = new Writable({
        highWaterMark: 1024,
        write(chunk: Buffer, _encoding, done) {
          pieces.push(chunk);
          setImmediate(done);
        },
      });
      await pipeline(server, slow);
      expect(Buffer.concat(pieces).equals(bytes)).toBe(true);
    }));

  test('what it has read ahead comes first in readInto', () =>
    withPair(async (client, server) => {
      await client.writeAll(Buffer.from('head body'));
      await once(server, 'readable');
      expect(String(server.read(5))).toBe('head ');
      expect(await readText(server, 4)).toBe('body');
    }));
});

describe('half-close', () => {
  test('the end of one side leaves the other one open', () =>
    withPair(async (client, server) => {
      client.end('question');
      expect(await readText(server)).toBe('question');
      server.end('answer');
      expect(await readText(client)).toBe('answer');
    }));

  test('from the other side, by the stream', () =>
    withPair(async (client, server) => {
      server.end('first');
      client.setEncoding('utf8');
      const [text] = (await once(client, 'data')) as [string];
      expect(text).toBe('first');
      await once(client, 'end');
      client.end('second');
      expect(await textOf(server)).toBe('second');
    }));

  test('what was written in a loop over all that comes is not lost by its end', () =>
    withPair(async (client, server) => {
      const written = (async () => {
        for await (const chunk of server) await server.writeAll(chunk as Uint8Array);
      })();
      client.end('echo');
      await written; // Node has destroyed it by now, as it does after every such loop
      expect(server.destroyed).toBe(true);
      expect(await readText(client)).toBe('echo');
    }));

  test('8 MiB are read after the end was sent the other way', () =>
    withPair(async (client, server) => {
      const bytes = patterned(8 * kMiB);
      client.end();
      expect(await readAll(server)).toHaveLength(0);
      const writing = server.writeAll(bytes).then(() => server.end());
      expect((await readAll(client)).equals(bytes)).toBe(true);
      await writing;
    }));

  test('the end is read again and again', () =>
    withPair(async (client, server) => {
      client.end();
      const buffer = new Uint8Array(4);
      for (let i = 0; i < 3; i += 1) expect(await server.readInto(buffer)).toBe(0);
    }));

  test('a connection whose both sides have ended closes by itself', async () => {
    const [client, server] = await pair();
    const closed = Promise.all([once(client, 'close'), once(server, 'close')]);
    client.end();
    expect(await readAll(server)).toHaveLength(0);
    server.end();
    expect(await readAll(client)).toHaveLength(0);
    await closed;
    expect([client.destroyed, server.destroyed]).toEqual([true, true]);
  });

  test('an end behind a writeAll comes after all of it', () =>
    withPair(async (client, server) => {
      const bytes = patterned(8 * kMiB);
      const writing = client.writeAll(bytes);
      client.end();
      expect((await readAll(server)).equals(bytes)).toBe(true);
      await writing;
    }));

  test('a write after the end fails', () =>
    withPair(async (client, server) => {
      client.end();
      expect(await readAll(server)).toHaveLength(0);
      await expect(client.writeAll(Buffer.from('late'))).rejects.toMatchObject({ code: 'EPIPE' });
    }));
});

describe('two operations of one direction', () => {
  test('a second readInto is refused, and the first one goes on', () =>
    withPair(async (client, server) => {
      const first = readText(server, 5);
      await expectRejection('ERR_HEDDLE_BUSY', server.readInto(new Uint8Array(4)), 'read');
      await client.writeAll(Buffer.from('first'));
      expect(await first).toBe('first');
    }));

  test('readInto beside a stream that reads is refused', () =>
    withPair(async (client, server) => {
      const text = textOf(server);
      await reactions(); // by then it reads
      await expectRejection('ERR_HEDDLE_BUSY', server.readInto(new Uint8Array(4)), 'read');
      client.end('to the stream');
      expect(await text).toBe('to the stream');
    }));

  test('a stream that reads beside readInto ends the connection, and says so', () =>
    withPair(async (client, server) => {
      const reading = rejectionOf(server.readInto(new Uint8Array(4)));
      await expectRejection('ERR_HEDDLE_BUSY', textOf(server), 'read');
      expect(await reading).toMatchObject({ code: 'ERR_HEDDLE_CLOSED' });
      client.on('error', () => {});
    }));

  test('a second writeAll is refused, and the first one goes on', () =>
    withPair(async (client, server) => {
      const bytes = patterned(16 * kMiB);
      const writing = client.writeAll(bytes);
      await expectRejection('ERR_HEDDLE_BUSY', client.writeAll(bytes), 'write');
      expect((await readAll(server, bytes.length)).equals(bytes)).toBe(true);
      await writing;
    }));

  test('writeAll beside a stream that writes is refused', () =>
    withPair(async (client, server) => {
      const bytes = patterned(16 * kMiB);
      client.write(bytes);
      await expectRejection('ERR_HEDDLE_BUSY', client.writeAll(bytes), 'write');
      expect((await readAll(server, bytes.length)).equals(bytes)).toBe(true);
    }));

  test('a read and a write at once are none', () =>
    withPair(async (client, server) => {
      const read = readText(client, 2);
      await client.writeAll(Buffer.from('ok'));
      expect(await readText(server, 2)).toBe('ok');
      await server.writeAll(Buffer.from('ko'));
      expect(await read).toBe('ko');
    }));
});

describe('arguments', () => {
  const bad: [string, (conn: Conn) => Promise<unknown>][] = [
    ['an empty buffer', (conn) => conn.readInto(new Uint8Array())],
    ['no buffer', (conn) => conn.readInto('text' as never)],
    ['another view', (conn) => conn.readInto(new Float64Array(4) as never)],
    ['a negative deadline', (conn) => conn.readInto(Buffer.alloc(1), { deadline: -1 })],
    ['a deadline that is no number', (conn) => conn.readInto(Buffer.alloc(1), { deadline: NaN })],
    [
      'a controller for a signal',
      (conn) => conn.readInto(Buffer.alloc(1), { signal: new AbortController() as never }),
    ],
    ['a string', (conn) => conn.writeAll('text' as never)],
    ['a list of strings', (conn) => conn.writeAll(['text'] as never)],
    ['a number', (conn) => conn.writeAll(5 as never)],
    ['nothing', (conn) => conn.writeAll(undefined as never)],
  ];
  test.each(bad)('%s is refused, and nothing has begun', (_, call) =>
    withPair(async (client, server) => {
      await expectRejection('ERR_HEDDLE_OPTION', call(client));
      await expectRoundTrip(client, server, 'on it goes');
    }),
  );
});

test('addresses are those of both ends', async () => {
  const listener = await localListener();
  const node = connectNode(listener.port!, kHost);
  const conn = await listener.accept();
  expect(listener.address).toEqual({ host: kHost, port: listener.port });
  expect(conn.localAddress).toEqual({ host: kHost, port: listener.port });
  expect(conn.remoteAddress).toEqual({ host: kHost, port: node.localPort });
  node.destroy();
  conn.destroy();
  const client = await dial({ host: kHost, port: listener.port! });
  expect(client.remoteAddress).toEqual(listener.address);
  client.destroy();
  listener.close();
});

test('small messages are not held back', () =>
  withPair(async (client, server) => {
    const start = performance.now();
    for (let i = 0; i < 100; i += 1) await expectRoundTrip(client, server, 'ping');
    // With Nagle's algorithm and a delayed acknowledgement each would take 40 ms.
    expect(performance.now() - start).toBeLessThan(2000);
  }));
