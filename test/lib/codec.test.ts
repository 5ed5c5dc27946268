// Objects on their way through a shared channel arrive as equal ones.
import assert from 'node:assert/strict';
import fc from 'fast-check';
import { Channel, kernels, spawn } from 'heddle';
import { describe, expect, test } from 'vitest';
import { expectRefusal, sharedChannel } from './support.js';

const channel = sharedChannel<unknown>(4);

/** Through the channel, in a message. */
function pass<T>(value: T): T {
  channel.trySend({ value });
  return (channel.tryRecv() as { value: { value: T } }).value.value;
}
const echo = <T>(value: T): Promise<T> =>
  spawn(kernels.echo, { value }).then((copy) => (copy as { value: T }).value);

/** What an object without a prototype arrives as. */
function plain(value: unknown, seen = new Map<unknown, unknown>()): unknown {
  if (typeof value !== 'object' || value === null || ArrayBuffer.isView(value)) return value;
  if (seen.has(value)) return seen.get(value);
  if (value instanceof Date || value instanceof ArrayBuffer || value instanceof RegExp)
    return value;
  if (Array.isArray(value)) {
    const copy: unknown[] = [];
    seen.set(value, copy);
    for (const each of value) copy.push(plain(each, seen));
    return copy;
  }
  if (value instanceof Map || value instanceof Set) {
    const copy = value instanceof Map ? new Map<unknown, unknown>() : new Set<unknown>();
    seen.set(value, copy);
    for (const [key, each] of value.entries()) {
      if (copy instanceof Map) copy.set(plain(key, seen), plain(each, seen));
      else copy.add(plain(key, seen));
    }
    return copy;
  }
  const copy = {};
  seen.set(value, copy);
  for (const [key, each] of Object.entries(value)) {
    const entry = {
      value: plain(each, seen),
      configurable: true,
      enumerable: true,
      writable: true,
    };
    Object.defineProperty(copy, key, entry);
  }
  return copy;
}

const text = fc.oneof(
  fc.string({ unit: 'binary' }),
  fc.string({ unit: 'grapheme', maxLength: 80 }),
  // Lone surrogates as well.
  fc
    .array(fc.integer({ min: 0, max: 0xffff }), { maxLength: 50 })
    .map((units) => String.fromCharCode(...units)),
);
const key = fc.oneof(text, fc.constantFrom('__proto__', 'constructor', 'then', 'toJSON', '0', ''));
const views = [
  fc.int8Array(),
  fc.uint8Array(),
  fc.uint8ClampedArray(),
  fc.int16Array(),
  fc.uint16Array(),
  fc.int32Array(),
  fc.uint32Array(),
  fc.float32Array(),
  fc.float64Array(),
  fc.bigInt64Array(),
  fc.bigUint64Array(),
] as fc.Arbitrary<ArrayBufferView>[];

const anything = fc.letrec((tie) => {
  const depth = { depthSize: 'small', withCrossShrink: true } as const;
  const deep = tie('value');
  return {
    value: fc.oneof(
      depth,
      fc.oneof(
        text,
        fc.double(),
        fc.integer(),
        fc.constantFrom<unknown>(undefined, null, true, false, 0, -0, NaN, 2 ** 31, -(2 ** 31) - 1),
        fc.bigInt(),
        fc.bigInt({ min: -(2n ** 300n), max: 2n ** 300n }),
        fc.date({ noInvalidDate: false }),
        ...views,
        fc.uint8Array().map((bytes) => bytes.buffer),
        fc.uint8Array().map((bytes) => new DataView(bytes.buffer)),
        fc.constantFrom(/a/g, /[ü\n/]+/iu),
      ),
      fc.array(deep),
      fc.dictionary(key, deep, { noNullPrototype: false }),
      fc.array(fc.tuple(key, deep)).map((entries) => {
        const object = {};
        for (const [name, value] of entries) {
          Object.defineProperty(object, name, {
            value,
            enumerable: true,
            configurable: true,
            writable: true,
          });
        }
        return object;
      }),
      fc.array(fc.tuple(deep, deep)).map((entries) => new Map(entries)),
      fc.array(deep).map((values) => new Set(values)),
      // The same object in several places.
      deep.map((value) => [value, { value }, value]),
    ),
  };
}).value;

describe('arbitrary data', () => {
  test('arrives equal through a shared channel', () => {
    const property = fc.property(anything, (value) => {
      assert.deepStrictEqual(pass(value), plain(value));
    });
    fc.assert(property, { numRuns: 500 });
  });

  test('arrives equal as the message itself', () => {
    const property = fc.property(anything, (value) => {
      channel.trySend(value);
      assert.deepStrictEqual(channel.tryRecv(), { ok: true, value: plain(value) });
    });
    fc.assert(property, { numRuns: 200 });
  });

  test('arrives equal when many messages wait', async () => {
    const many = fc.array(anything, { minLength: 1, maxLength: 60 });
    const property = fc.asyncProperty(many, async (values) => {
      const wide = sharedChannel<unknown>(values.length);
      await wide.sendMany(values);
      assert.deepStrictEqual(
        await wide.recvMany(values.length),
        values.map((each) => plain(each)),
      );
    });
    await fc.assert(property, { numRuns: 25 });
  });

  test('arrives equal through a kernel', async () => {
    const property = fc.asyncProperty(anything, async (value) => {
      assert.deepStrictEqual(await echo(value), plain(value));
    });
    await fc.assert(property, { numRuns: 100 });
  });

  test('arrives equal to those who wait', async () => {
    const property = fc.asyncProperty(fc.array(anything, { maxLength: 8 }), async (values) => {
      const waiting = values.map(() => channel.recv());
      for (const value of values) channel.trySend({ value });
      const received = (await Promise.all(waiting)).map((each) => each.value);
      assert.deepStrictEqual(
        received,
        values.map((value) => plain({ value })),
      );
    });
    await fc.assert(property, { numRuns: 50 });
  });
});

describe('the shape of data', () => {
  test('with cycles is kept', () => {
    const object: Record<string, unknown> = { name: 'self' };
    const array: unknown[] = [object];
    const map = new Map<unknown, unknown>([[object, array]]);
    const set = new Set<unknown>([map]);
    Object.assign(object, { self: object, array, map, set });
    array.push(array);
    map.set('map', map);
    set.add(set);
    const copy = pass(object);
    expect(copy['self']).toBe(copy);
    const copied = copy as { array: unknown[]; map: Map<unknown, unknown>; set: Set<unknown> };
    expect([copied.array[0], copied.array[1]]).toEqual([copy, copied.array]);
    expect(copied.array[1]).toBe(copied.array);
    expect(copied.map.get(copy)).toBe(copied.array);
    expect(copied.map.get('map')).toBe(copied.map);
    expect([...copied.set]).toEqual([copied.map, copied.set]);
  });

  test('keeps what is the same the same, of every kind', () => {
    const kinds: object[] = [{}, [], new Map(), new Set(), new Date(5), /a/, new Error('e')];
    kinds.push(new Uint8Array(2), new ArrayBuffer(3), new DOMException('d'), new Channel());
    const copy = pass({ first: kinds, second: kinds.toReversed() });
    expect(copy.first).toHaveLength(kinds.length);
    copy.first.forEach((each, i) => expect(copy.second.at(-1 - i)).toBe(each));
    expect(new Set(copy.first).size).toBe(kinds.length);
  });

  test('with many objects that are the same is kept', () => {
    const objects = Array.from({ length: 2_000 }, (_, i) => ({ i }));
    const [first, second] = pass([objects, objects.toReversed()]) as [object[], object[]];
    expect(first).toEqual(objects);
    expect(first.every((each, i) => second.at(-1 - i) === each)).toBe(true);
  });

  test('a thousand levels deep is kept', () => {
    type Level = { level?: Level | [Level] };
    let value: Level = {};
    for (let i = 0; i < 1_000; i += 1) value = { level: i % 2 === 0 ? value : [value] };
    assert.deepStrictEqual(pass(value), value);
  });

  test('deeper than any stack is refused, and the next one arrives', () => {
    let value: unknown[] = [];
    for (let i = 0; i < 200_000; i += 1) value = [value];
    expect(() => pass(value)).toThrow();
    expect(pass({ a: 1 })).toEqual({ a: 1 });
  });

  test('with holes has undefined there', () => {
    // eslint-disable-next-line no-sparse-arrays -- what it is about
    expect(pass([1, , 3])).toStrictEqual([1, undefined, 3]);
  });

  test('of a class is that of its own properties', () => {
    class Point {
      constructor(
        readonly x: number,
        readonly y: number,
      ) {}
      get sum(): number {
        return this.x + this.y;
      }
    }
    const copy = pass(new Point(1, 2));
    expect(Object.getPrototypeOf(copy)).toBe(Object.prototype);
    expect(copy).toStrictEqual({ x: 1, y: 2 });
  });

  test('with a key __proto__ is data, and no prototype', () => {
    const value = JSON.parse('{"__proto__": {"polluted": true}, "a": 1}') as object;
    const copy = pass(value);
    expect(Object.getPrototypeOf(copy)).toBe(Object.prototype);
    expect(Object.keys(copy)).toEqual(['__proto__', 'a']);
    expect('polluted' in copy).toBe(false);
  });

  test.each([1_000, 65_530, 65_536, 70_000, 1_000_000])('of %d characters is kept', (length) => {
    for (const unit of ['a', 'ÿ', 'ж', '🧵']) {
      const value = { [unit.repeat(100)]: unit.repeat(length / unit.length), tail: [unit] };
      expect(pass(value)).toEqual(value);
    }
  });

  test.each([65_400, 65_536, 65_537, 3_000_000])('of %d bytes is kept', (length) => {
    const bytes = Uint8Array.from({ length }, (_, i) => i % 251);
    const copy = pass({ before: 'x', bytes, after: [bytes.subarray(5, 9)] });
    expect(copy.before).toBe('x');
    expect(Buffer.from(copy.bytes).equals(bytes)).toBe(true);
    expect(copy.after[0]).toEqual(bytes.slice(5, 9));
    expect(copy.bytes.buffer.byteLength).toBe(length);
  });

  test('is as it was when it was sent', () => {
    const value = { list: [1, 2], bytes: new Uint8Array([1]) };
    channel.trySend(value);
    value.list.push(3);
    value.bytes[0] = 9;
    expect(channel.tryRecv()?.value).toEqual({ list: [1, 2], bytes: new Uint8Array([1]) });
  });
});

describe('errors', () => {
  test('of several kinds in one keep each', () => {
    const several = new AggregateError([new TypeError('one'), { two: 2 }], 'several');
    const arrived = pass(several);
    expect(arrived).toBeInstanceOf(AggregateError);
    expect(arrived.errors[0]).toBeInstanceOf(TypeError);
    expect(arrived.errors).toEqual([new TypeError('one'), { two: 2 }]);
    expect(Object.keys(arrived)).toEqual([]);
  });

  const kErrors = [
    new Error('plain'),
    new TypeError('type'),
    new RangeError('range', { cause: 'why' }),
    new SyntaxError(''),
    new EvalError('eval'),
    new ReferenceError('reference'),
    new URIError('uri'),
  ];
  test.each(kErrors.map((error) => [error.name, error] as const))('a %s', (_, error) => {
    const copy = pass(error);
    expect(copy).toBeInstanceOf(error.constructor);
    expect(Object.getPrototypeOf(copy)).toBe(Object.getPrototypeOf(error));
    expect([copy.name, copy.message, copy.stack]).toEqual([error.name, error.message, error.stack]);
    expect(copy.cause).toEqual(error.cause);
    expect('cause' in copy).toBe('cause' in error);
    expect(Object.keys(copy)).toEqual(Object.keys(error));
  });

  test('keep code, cause, own properties and the name of their class', () => {
    class LimitError extends RangeError {
      override readonly name = 'LimitError';
      readonly code = 'E_LIMIT';
      readonly details = { limit: 5, list: [1n] };
    }
    const cause = Object.assign(new TypeError('inner'), { errno: -2 });
    const copy = pass(new LimitError('outer', { cause }));
    expect(copy).toBeInstanceOf(Error);
    expect(copy).toMatchObject({
      name: 'LimitError',
      message: 'outer',
      code: 'E_LIMIT',
      details: { limit: 5, list: [1n] },
    });
    expect(copy.cause).toBeInstanceOf(TypeError);
    expect(copy.cause).toMatchObject({ message: 'inner', errno: -2 });
  });

  test('may be their own cause, and of what surrounds them', () => {
    const error = new Error('outer');
    error.cause = error;
    const copy = pass({ error, list: [error] });
    expect(copy.error.cause).toBe(copy.error);
    expect(copy.list[0]).toBe(copy.error);
  });

  test('of heddle keep their code', () => {
    const closed = new Channel();
    closed.close();
    let error: unknown;
    try {
      closed.trySend(1);
    } catch (caught) {
      error = caught;
    }
    expect(pass(error)).toMatchObject({ name: 'HeddleError', code: 'ERR_HEDDLE_CLOSED' });
  });

  test('of the DOM keep name and code', () => {
    const copy = pass(new DOMException('words', 'TimeoutError'));
    expect(copy).toBeInstanceOf(DOMException);
    expect([copy.name, copy.message, copy.code]).toEqual(['TimeoutError', 'words', 23]);
  });

  test('are no danger when they have lost their stack', () => {
    const error = new Error('words');
    delete error.stack;
    expect(pass(error).message).toBe('words');
    expect(pass(Object.assign(new Error('x'), { stack: 5 })).message).toBe('x');
  });
});

describe('what cannot be cloned is refused with the path to it', () => {
  const f = (): number => 1;
  const detached = new ArrayBuffer(8);
  const stale = new Uint8Array(detached);
  const staleView = new DataView(detached);
  structuredClone(detached, { transfer: [detached] });
  const table: [path: string, value: unknown][] = [
    ['value, got function f', f],
    ['value, got Symbol(s)', Symbol('s')],
    ['value.a.b[2].c, got function f', { a: { b: [1, 2, { c: f }] } }],
    ['value[0][1], got Symbol(s)', [[1, Symbol('s')]]],
    ['value.then, got function f', { then: f }],
    ['value.name, got function f', new Map([['name', f]])],
    ['value[1], got function f', new Set<unknown>([1, f])],
    ['value.cause.run, got function f', new Error('e', { cause: { run: f } })],
    ['value.p, got an instance of Promise', { p: Promise.resolve() }],
    ['value.w, got an instance of WeakMap', { w: new WeakMap() }],
    ['value.w, got an instance of WeakSet', { w: new WeakSet() }],
    ['value.w, got an instance of WeakRef', { w: new WeakRef({}) }],
    ['value.s, got an instance of SharedArrayBuffer', { s: new SharedArrayBuffer(8) }],
    [
      'value.s, got an instance of Uint8Array on a SharedArrayBuffer',
      { s: new Uint8Array(new SharedArrayBuffer(8)) },
    ],
    ['value.p, got an instance of MessagePort', { p: new MessageChannel().port1 }],
    ['value.s, got an instance of AbortSignal', { s: new AbortController().signal }],
    ['value.d, got an instance of ArrayBuffer whose memory was transferred', { d: detached }],
    ['value.d, got an instance of Uint8Array whose memory was transferred', { d: stale }],
    ['value.d, got an instance of DataView whose memory was transferred', { d: staleView }],
  ];
  test.each(table)('%s', (words, value) => {
    expectRefusal('ERR_HEDDLE_VALUE', () => channel.trySend(value), `can be cloned as ${words}`);
    expect([channel.length, pass({ after: 1 })]).toEqual([0, { after: 1 }]);
  });

  test('and what a getter throws is thrown', () => {
    const value = {
      get a(): number {
        throw new Error('from the getter');
      },
    };
    expect(() => channel.trySend(value)).toThrow('from the getter');
    expect([channel.length, pass({ after: 1 })]).toEqual([0, { after: 1 }]);
  });
});

test('a getter that sends while its object is being written disturbs neither message', () => {
  const channel = new Channel<unknown>(4);
  channel.toHandle();
  const value = {
    a: 1,
    get b() {
      channel.trySend({ inner: 'words' });
      return 2;
    },
    z: [3],
  };
  channel.trySend(value);
  expect(channel.tryRecv()).toEqual({ ok: true, value: { inner: 'words' } });
  expect(channel.tryRecv()).toEqual({ ok: true, value: { a: 1, b: 2, z: [3] } });
});

test('a value that is nested too deeply is refused, and the next one is not', () => {
  const channel = new Channel<unknown>(1);
  channel.toHandle();
  let deep: unknown[] = [];
  for (let i = 0; i < 20_000; i += 1) deep = [deep];
  expectRefusal('ERR_HEDDLE_VALUE', () => channel.trySend(deep), 'nested too deeply');
  expect(channel.trySend([1])).toBe(true);
});
