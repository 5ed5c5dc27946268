// Every kernel, on fibers of each class and on a thread: the same results and the same failures.
import { createHash } from 'node:crypto';
import { mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { crc32 } from 'node:zlib';
import { HeddleError, kernels, runtime, spawn } from 'heddle';
import type { KernelOptions } from 'heddle';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { rejectionOf } from './support.js';

const kPlaces: [string, KernelOptions][] = [
  ['a fiber of the default class', {}],
  ['a compact fiber', { stack: 'compact' }],
  ['a standard fiber', { stack: 'standard' }],
  ['a fiber with a stack of 256 KiB', { stack: 256 * 1024 }],
  ['a fiber locked to its thread', { stack: 'standard', lockToThread: true }],
  ['a thread', { on: 'thread' }],
];

function bytesOf(length: number): Uint8Array {
  const bytes = new Uint8Array(length);
  let state = length + 1;
  for (let i = 0; i < length; i += 1) {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    bytes[i] = state >>> 24;
  }
  return bytes;
}

const digestOf = (bytes: NodeJS.ArrayBufferView): string =>
  createHash('sha256').update(bytes).digest('hex');

// Around the algorithm's block (64), its padding (56) and the kernels' steps (128 and 256 KiB).
const kLengths = [
  0, 1, 55, 56, 57, 63, 64, 65, 1000, 131_071, 131_072, 131_073, 262_144, 262_145, 1_000_003,
];

const folder = mkdtempSync(join(tmpdir(), 'heddle-kernels-'));
const files = {
  empty: join(folder, 'empty'),
  large: join(folder, 'large with spaces and ünïcödé 🧵'),
  loop: join(folder, 'loop'),
  missing: join(folder, 'missing'),
};

beforeAll(() => {
  writeFileSync(files.empty, '');
  writeFileSync(files.large, bytesOf(5_000_001));
  symlinkSync(files.loop, files.loop);
});

afterAll(() => rmSync(folder, { recursive: true }));

describe.each(kPlaces)('on %s', (_, options) => {
  test('noop gives undefined', async () => {
    expect(await spawn(options, kernels.noop)).toBe(undefined);
  });

  test.each([-Infinity, -1, 0, 0.25, 3])('sleep of %d ms is never early', async (ms) => {
    const begin = performance.now();
    expect(await spawn(options, kernels.sleep, ms)).toBe(undefined);
    expect(performance.now() - begin).toBeGreaterThanOrEqual(ms);
  });

  test.each([[0], [0, true], [3], [3, false], [3, true], [3, undefined]])(
    'spin(%s, %s) computes for as long as it should and counts its turns',
    async (ms, checkpoints?: boolean) => {
      const begin = performance.now();
      const turns = await spawn(options, kernels.spin, ms, checkpoints);
      expect(performance.now() - begin).toBeGreaterThanOrEqual(ms);
      expect(turns).toBeGreaterThan(0);
      expect(Number.isInteger(turns)).toBe(true);
    },
  );

  test('fib computes the Fibonacci numbers', async () => {
    const numbers = await Promise.all(
      [0, 1, 2, 3, 10, 20, 21, 25].map((n) => spawn(options, kernels.fib, n)),
    );
    expect(numbers).toEqual([0, 1, 1, 2, 55, 6765, 10_946, 75_025]);
  });

  test.each(kLengths)('sha256 of %d bytes is what node:crypto computes', async (length) => {
    const bytes = bytesOf(length);
    const digest = await spawn(options, kernels.sha256, bytes);
    expect(digest).toBeInstanceOf(Uint8Array);
    expect(Buffer.from(digest).toString('hex')).toBe(digestOf(bytes));
  });

  test.each(kLengths)('crc32 of %d bytes is what node:zlib computes', async (length) => {
    const bytes = bytesOf(length);
    expect(await spawn(options, kernels.crc32, bytes)).toBe(crc32(bytes));
  });

  test('readFile gives what fs.readFile gives', async () => {
    for (const path of [files.empty, files.large, '/proc/version']) {
      const bytes = await spawn(options, kernels.readFile, path);
      expect(bytes).toBeInstanceOf(Uint8Array);
      expect(Buffer.compare(bytes, await readFile(path))).toBe(0);
    }
  });

  const failing: [string, string][] = [
    ['ENOENT', files.missing],
    ['ENOENT', ''],
    ['EISDIR', folder],
    ['ENOTDIR', join(files.empty, 'below')],
    ['ELOOP', files.loop],
    ['ENAMETOOLONG', join(folder, 'n'.repeat(300))],
  ];
  test.each(failing)('readFile fails with %s as fs.readFile does', async (code, path) => {
    const ours = (await rejectionOf(spawn(options, kernels.readFile, path))) as Error;
    const theirs = (await rejectionOf(readFile(path))) as NodeJS.ErrnoException;
    expect(ours).toBeInstanceOf(Error);
    expect(ours).not.toBeInstanceOf(HeddleError);
    const { errno, syscall, message } = theirs;
    expect(ours).toMatchObject({ code, errno, syscall, path });
    expect(ours.message.startsWith(message)).toBe(true);
  });

  test.skipIf(process.getuid?.() === 0)('readFile fails with EACCES', async () => {
    const path = join(folder, `private-${Math.random()}`);
    writeFileSync(path, 'secret', { mode: 0 });
    const error = await rejectionOf(spawn(options, kernels.readFile, path));
    expect(error).toMatchObject({ code: 'EACCES', syscall: 'open', path });
  });

  test('what a kernel throws rejects its task, and the next task is unharmed', async () => {
    const error = await rejectionOf(spawn(options, kernels.fail, 'the ünïversal 🧵 reason'));
    expect(error).toBeInstanceOf(HeddleError);
    expect(error).toMatchObject({ code: 'ERR_HEDDLE_KERNEL', name: 'HeddleError' });
    expect((error as Error).message).toContain('std::runtime_error: the ünïversal 🧵 reason');
    expect(await spawn(options, kernels.fib, 10)).toBe(55);
  });

  test('a thrown thing that is no exception rejects with words', async () => {
    const error = await rejectionOf(spawn(options, kernels.fail, 7));
    expect(error).toMatchObject({ code: 'ERR_HEDDLE_KERNEL' });
    expect((error as Error).message).toContain('something that is no std::exception');
  });
});

describe('checksums', () => {
  test('crc32 gives the check values of the literature', async () => {
    const known: [string, number][] = [
      ['', 0],
      ['a', 0xe8b7be43],
      ['abc', 0x352441c2],
      ['123456789', 0xcbf43926],
      ['The quick brown fox jumps over the lazy dog', 0x414fa339],
    ];
    for (const [words, sum] of known) {
      expect(await spawn(kernels.crc32, Buffer.from(words))).toBe(sum);
    }
  });

  const backing = bytesOf(1024).buffer as ArrayBuffer;
  const views: [string, ArrayBuffer | NodeJS.ArrayBufferView][] = [
    ['an ArrayBuffer', backing],
    ['a DataView into the middle', new DataView(backing, 3, 500)],
    ['a Uint8Array into the middle', new Uint8Array(backing, 5, 333)],
    ['a Float64Array into the middle', new Float64Array(backing, 64, 10)],
    ['an Int16Array', new Int16Array(backing, 2)],
    ['a pooled Buffer', Buffer.from('pooled')],
    ['an empty view at the end', new Uint8Array(backing, 1024)],
  ];
  test.each(views)('read exactly the bytes of %s', async (_, view) => {
    const bytes = view instanceof ArrayBuffer ? new Uint8Array(view) : view;
    const digest = await spawn(kernels.sha256, view);
    expect(Buffer.from(digest).toString('hex')).toBe(digestOf(bytes));
    expect(await spawn(kernels.crc32, view)).toBe(crc32(bytes));
  });

  test('work on the bytes as they were at the spawn', async () => {
    const bytes = bytesOf(100_000);
    const expected = digestOf(bytes);
    const task = spawn(kernels.sha256, bytes);
    bytes.fill(0);
    expect(Buffer.from(await task).toString('hex')).toBe(expected);
  });

  test('of many buffers are right, in order, and use every processor', async () => {
    const processors = runtime.processors;
    runtime.processors = 2;
    const buffers = Array.from({ length: 64 }, (_, i) => bytesOf(200_000 + i));
    const expected = buffers.map(digestOf);
    const before = runtime.stats().perProcessor.map((each) => each.started);
    const idle = (): boolean =>
      runtime.stats().perProcessor.some((each, i) => each.started === before[i]);
    do {
      const digests = await Promise.all(buffers.map((bytes) => spawn(kernels.sha256, bytes)));
      expect(digests.map((digest) => Buffer.from(digest).toString('hex'))).toEqual(expected);
    } while (idle());
    runtime.processors = processors;
  });
});
