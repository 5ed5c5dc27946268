// Bytes that are given away: they arrive, and here they are gone.
import { alloc, Channel, free, kernels, move, select, send, spawn } from 'heddle';
import { describe, expect, test } from 'vitest';
import { expectRefusal, outputOf, rejectionOf } from './support.js';

const kMiB = 2 ** 20;

function filled(bytes: Uint8Array): Uint8Array {
  for (let i = 0; i < bytes.length; i += 1) bytes[i] = (i * 7 + 1) & 255;
  return bytes;
}

async function through<T>(channel: Channel<T>, value: T): Promise<T> {
  await channel.send(value);
  const received = await channel.recv();
  if (!received.ok) throw new Error('expected a value, got the end');
  return received.value;
}

function sharedChannel<T>(capacity = 1): Channel<T> {
  const channel = new Channel<T>(capacity);
  channel.toHandle();
  return channel;
}

const channels: [string, () => Channel<Uint8Array>][] = [
  ['local', () => new Channel(1)],
  ['shared', () => sharedChannel()],
];
const memories: [string, (length: number) => Uint8Array][] = [
  ['heddle’s own memory', (length) => alloc(length)],
  ['other memory', (length) => new Uint8Array(length)],
];

describe.each(channels)('through a channel that is %s', (_name, make) => {
  describe.each(memories)('%s', (_kind, allocate) => {
    test.each([0, 1, 100, 65_536, kMiB, 3 * kMiB + 5])('of %d bytes arrives', async (length) => {
      const bytes = filled(allocate(length));
      const arrived = await through(make(), move(bytes));
      expect(bytes.length).toBe(0);
      expect(arrived.length).toBe(length);
      expect(Buffer.compare(arrived, filled(new Uint8Array(length)))).toBe(0);
    });

    test('goes to and fro many times', async () => {
      const channel = make();
      let bytes = filled(allocate(kMiB));
      for (let i = 0; i < 100; i += 1) bytes = await through(channel, move(bytes));
      expect(Buffer.compare(bytes, filled(new Uint8Array(kMiB)))).toBe(0);
    });

    test('stays when it cannot be sent', async () => {
      const channel = make();
      channel.trySend(new Uint8Array(1));
      const bytes = filled(allocate(8));
      expect(channel.trySend(move(bytes))).toBe(false);
      channel.close();
      await rejectionOf(channel.send(move(bytes)));
      expect(bytes).toEqual(filled(new Uint8Array(8)));
    });
  });

  test('a part of a buffer is copied, and the buffer stays', async () => {
    const whole = filled(new Uint8Array(100));
    const part = whole.subarray(10, 20);
    expect(await through(make(), move(part))).toEqual(part);
    expect(whole.length).toBe(100);
  });

  test('bytes inside an object arrive, and are gone here', async () => {
    const channel = make() as unknown as Channel<{ image: Uint8Array }>;
    const bytes = filled(new Uint8Array(100));
    const { image } = await through(channel, { image: move(bytes) });
    expect(image).toEqual(filled(new Uint8Array(100)));
    expect(bytes.length).toBe(0);
  });
});

test('other kinds of bytes arrive as what they were', async () => {
  const channel = sharedChannel<ArrayBufferView | ArrayBuffer>();
  expect(await through(channel, move(new Float64Array([1.5, 2])))).toEqual(
    new Float64Array([1.5, 2]),
  );
  expect(await through(channel, move(new ArrayBuffer(8)))).toEqual(new ArrayBuffer(8));
  const view = await through(channel, move(new DataView(new ArrayBuffer(4))));
  expect(view).toBeInstanceOf(DataView);
});

test('kernels take bytes that are given away, and give them back', async () => {
  const bytes = filled(alloc(kMiB));
  const digest = await spawn(kernels.sha256, bytes);
  expect(await spawn(kernels.sha256, move(bytes))).toEqual(digest);
  expect(bytes.length).toBe(0);
  const echoed = (await spawn(kernels.echo, move(filled(alloc(10))))) as Uint8Array;
  expect(echoed).toEqual(filled(new Uint8Array(10)));
});

test('a kernel that refuses an argument leaves the others where they are', () => {
  const bytes = filled(alloc(10));
  const call = (): unknown => spawn(kernels.crc32 as never, move(bytes) as never, 1 as never);
  expectRefusal('ERR_HEDDLE_ARGUMENT', call);
  expect(bytes.length).toBe(10);
});

test('what select sends is copied, since it may not be chosen', async () => {
  const channel = sharedChannel<Uint8Array>();
  const bytes = filled(new Uint8Array(5));
  await select([send(channel, move(bytes))]);
  expect(channel.tryRecv()).toEqual({ ok: true, value: filled(new Uint8Array(5)) });
  expect(bytes.length).toBe(5);
});

test('memory that is allocated again is zeroed', async () => {
  const channel = sharedChannel<Uint8Array>();
  for (let i = 0; i < 200; i += 1) {
    const bytes = alloc(kMiB);
    expect(bytes[0]! + bytes[kMiB / 2]! + bytes[kMiB - 1]!).toBe(0);
    await through(channel, move(bytes.fill(255)));
    if (i % 20 === 0) await new Promise(setImmediate);
  }
});

test('what is collected gives its memory back', async () => {
  const output = await outputOf(`
    import { alloc, Channel, move } from 'heddle';
    const channel = new Channel(1);
    channel.toHandle();
    let most = 0;
    for (let i = 0; i < 2_000; i += 1) {
      await channel.send(move(alloc(1 << 20).fill(1)));
      await channel.recv();
      if (i % 16 !== 0) continue;
      await new Promise(setImmediate);
      most = Math.max(most, process.memoryUsage().rss);
    }
    console.log(most < 1e9);`);
  expect(output).toBe('true');
});

test('wrong lengths, and what is no bytes, are refused', async () => {
  for (const length of [-1, 0.5, Number.NaN, Infinity, 2 ** 33]) {
    expectRefusal('ERR_HEDDLE_OPTION', () => alloc(length), 'byteLength: expected an integer');
  }
  expectRefusal('ERR_HEDDLE_VALUE', () => move('text' as never), 'expected bytes, got "text"');
  const shared = new Uint8Array(new SharedArrayBuffer(8));
  expectRefusal('ERR_HEDDLE_VALUE', () => move(shared), 'Uint8Array on a SharedArrayBuffer');
  const bytes = new Uint8Array(4);
  const channel = sharedChannel<Uint8Array>(2);
  await channel.send(move(bytes));
  const again = (): unknown => channel.trySend(move(bytes));
  expectRefusal('ERR_HEDDLE_VALUE', again, 'transferred away');
});

test('bytes that could not be given are forgotten: what is sent next takes nothing with it', () => {
  const channel = sharedChannel<unknown>(4);
  const gone = new Uint8Array(4);
  channel.trySend(move(gone));
  expectRefusal('ERR_HEDDLE_VALUE', () => channel.trySend(move(gone)));
  const bytes = new Uint8Array(4);
  channel.trySend(1);
  channel.trySend(bytes);
  expect(bytes.length).toBe(4);
});

describe('free', () => {
  test('gives heddle’s own memory back at once, and the next one who asks sees zeros', () => {
    for (let i = 0; i < 20; i += 1) {
      const bytes = alloc(kMiB);
      expect(bytes.every((byte) => byte === 0)).toBe(true);
      bytes.fill(255);
      free(bytes);
      expect(bytes.length).toBe(0);
      expect(bytes.buffer.byteLength).toBe(0);
    }
  });

  test('takes what was received, and a buffer as well as a view', async () => {
    const channel = sharedChannel<Uint8Array>();
    const arrived = await through(channel, move(filled(new Uint8Array(kMiB))));
    free(arrived);
    expect(arrived.length).toBe(0);
    const { buffer } = alloc(100);
    free(buffer as ArrayBuffer);
    expect(buffer.byteLength).toBe(0);
  });

  test('does not grow the process, however many there are', () => {
    for (let i = 0; i < 50; i += 1) free(alloc(4 * kMiB).fill(1));
    const before = process.memoryUsage.rss();
    for (let i = 0; i < 2000; i += 1) free(alloc(4 * kMiB).fill(1));
    expect(process.memoryUsage.rss() - before).toBeLessThan(64 * kMiB);
  });

  test('leaves other memory, and a part of a block, to the collector', () => {
    const other = filled(new Uint8Array(100));
    free(other);
    expect(other).toEqual(filled(new Uint8Array(100)));
    const block = alloc(100).fill(3);
    free(block.subarray(0, 50));
    expect(block).toEqual(new Uint8Array(100).fill(3));
  });

  test('refuses what is gone already, and what is no bytes', () => {
    const bytes = alloc(100);
    free(bytes);
    expectRefusal('ERR_HEDDLE_VALUE', () => free(bytes), 'transferred away');
    expectRefusal('ERR_HEDDLE_VALUE', () => free('bytes' as never), 'free: expected bytes');
  });
});
