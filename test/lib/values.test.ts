// What crosses between JavaScript and a kernel: `echo` gives back an equal copy, and what cannot be
// copied is refused.
import { Buffer } from 'node:buffer';
import { kernels, spawn } from 'heddle';
import type { KernelOptions } from 'heddle';
import { describe, expect, test } from 'vitest';
import { expectRefusal } from './support.js';

const kPlaces: [string, KernelOptions][] = [
  ['a fiber', {}],
  ['a thread', { on: 'thread' }],
];

const primitives: unknown[] = [
  undefined,
  null,
  true,
  false,
  0,
  -0,
  1.5,
  NaN,
  Infinity,
  -Infinity,
  Number.MIN_VALUE,
  Number.MAX_SAFE_INTEGER,
  -Number.MAX_VALUE,
  0n,
  1n,
  -1n,
  2n ** 63n,
  -(2n ** 64n),
  2n ** 64n - 1n,
  -(2n ** 1000n) + 12_345n,
  '',
  'a',
  'a\0b',
  'ünïversal 🧵',
  'lone \ud83e surrogate \udddd',
];

const backing = Uint8Array.from({ length: 64 }, (_, i) => i * 5).buffer;
const views: [string, ArrayBufferView][] = [
  ['Uint8Array', new Uint8Array(backing, 1, 7)],
  ['Uint8ClampedArray', new Uint8ClampedArray(backing, 2, 3)],
  ['Int8Array', new Int8Array(backing, 3)],
  ['Uint16Array', new Uint16Array(backing, 4, 5)],
  ['Int16Array', new Int16Array(backing, 6, 5)],
  ['Uint32Array', new Uint32Array(backing, 8, 5)],
  ['Int32Array', new Int32Array(backing, 12, 2)],
  ['Float32Array', new Float32Array([1.5, -0, Infinity])],
  ['Float64Array', new Float64Array([Math.PI, -0, Number.MIN_VALUE])],
  ['BigInt64Array', new BigInt64Array([-(2n ** 63n), 1n])],
  ['BigUint64Array', new BigUint64Array([2n ** 64n - 1n])],
  ['DataView', new DataView(backing, 5, 9)],
];

const bytesIn = (view: ArrayBufferView): Buffer =>
  Buffer.from(view.buffer, view.byteOffset, view.byteLength);

describe.each(kPlaces)('echo on %s gives back', (_, options) => {
  test.each(primitives.map((value) => [value]))('%s', async (value) => {
    expect(Object.is(await spawn(options, kernels.echo, value), value)).toBe(true);
  });

  test('undefined for no argument', async () => {
    expect(await spawn(options, kernels.echo)).toBe(undefined);
  });

  test('a string of a million characters', async () => {
    const words = 'ünïversal 🧵'.repeat(100_000);
    expect((await spawn(options, kernels.echo, words)) === words).toBe(true);
  });

  test.each(views)('a %s with the same elements, as a copy of just these', async (name, view) => {
    const copy = (await spawn(options, kernels.echo, view)) as ArrayBufferView;
    expect(copy.constructor.name).toBe(name);
    expect(copy.buffer).not.toBe(view.buffer);
    expect(copy.buffer.byteLength).toBe(view.byteLength);
    expect(bytesIn(copy).equals(bytesIn(view))).toBe(true);
  });

  test.each(views)('an empty %s', async (name, view) => {
    const Constructor = view.constructor as new (buffer: ArrayBuffer) => ArrayBufferView;
    const empty = new Constructor(new ArrayBuffer(0));
    const copy = (await spawn(options, kernels.echo, empty)) as ArrayBufferView;
    expect([copy.constructor.name, copy.byteLength]).toEqual([name, 0]);
  });

  test('an ArrayBuffer', async () => {
    const copy = (await spawn(options, kernels.echo, backing)) as ArrayBuffer;
    expect(copy).toBeInstanceOf(ArrayBuffer);
    expect(Buffer.from(copy).equals(Buffer.from(backing))).toBe(true);
  });

  test('a Buffer as the Uint8Array that it is', async () => {
    const copy = (await spawn(options, kernels.echo, Buffer.from('pooled'))) as Uint8Array;
    expect(copy.constructor.name).toBe('Uint8Array');
    expect(Buffer.from(copy).toString()).toBe('pooled');
  });

  test('the bytes as they were at the spawn', async () => {
    const bytes = new Uint8Array(10_000).fill(1);
    const task = spawn(options, kernels.echo, bytes);
    bytes.fill(2);
    expect((await task) as Uint8Array).toEqual(new Uint8Array(10_000).fill(1));
  });

  test('many values, each to its own task', async () => {
    const values = Array.from({ length: 5_000 }, (_, i) => (i % 3 === 0 ? i : `value ${i}`));
    const some = options.on === 'thread' ? values.slice(0, 50) : values;
    expect(await Promise.all(some.map((value) => spawn(options, kernels.echo, value)))).toEqual(
      some,
    );
  });

  const unencodable: [string, unknown][] = [
    ['an instance of SharedArrayBuffer', new SharedArrayBuffer(8)],
    ['a typed array on a SharedArrayBuffer', new Uint8Array(new SharedArrayBuffer(8))],
    ['an object on a SharedArrayBuffer', new DataView(new SharedArrayBuffer(8))],
    ['an instance of Promise', Promise.resolve(1)],
    ['an instance of WeakMap', { a: new WeakMap() }],
    ['function', [() => 1]],
    ['a function', () => 1],
    ['a function', class {}],
    ['a symbol', Symbol('words')],
  ];
  test.each(unencodable)('nothing of %s, which is refused', (words, value) => {
    const call = (): unknown => spawn(options, kernels.echo, value);
    expectRefusal('ERR_HEDDLE_VALUE', call, 'echo: ', 'argument 1 (value)', `got ${words}`);
  });

  test.each(views)('nothing of a %s whose buffer was transferred away', (_name, view) => {
    const Constructor = view.constructor as new (buffer: ArrayBuffer) => ArrayBufferView;
    const buffer = new ArrayBuffer(64);
    const stale = new Constructor(buffer);
    structuredClone(buffer, { transfer: [buffer] });
    for (const value of [stale, buffer]) {
      const call = (): unknown => spawn(options, kernels.echo, value);
      expectRefusal('ERR_HEDDLE_VALUE', call, 'whose memory was transferred away');
    }
    if (stale instanceof DataView) return;
    const digest = (): unknown => spawn(options, kernels.sha256, stale);
    expectRefusal('ERR_HEDDLE_ARGUMENT', digest, 'whose memory was transferred away');
  });
});
