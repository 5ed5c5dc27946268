// The way back: values from the bytes that lib/encode.ts has written. Properties are defined on new
// objects only, so that a message cannot reach a prototype.
import { reviveError } from './errors.js';
import { handleOf } from './handle.js';
import type { Shareable } from './handle.js';
import { doubleBytes, doubleValue, kShort, kViews, Tag } from './message.js';
import { scratch } from './scratch.js';

const kErrors: Record<string, ErrorConstructor> = {
  EvalError,
  RangeError,
  ReferenceError,
  SyntaxError,
  TypeError,
  URIError,
};

let input: Uint8Array = scratch;
let at = 0;
let handleBase = 0;
let objects: object[] = [];

function readWord(): number {
  const value =
    (input[at]! | (input[at + 1]! << 8) | (input[at + 2]! << 16) | (input[at + 3]! << 24)) >>> 0;
  at += 4;
  return value;
}

function readDouble(): number {
  for (let i = 0; i < 8; i += 1) doubleBytes[i] = input[at + i]!;
  at += 8;
  return doubleValue[0]!;
}

// Keys repeat from message to message: a string that was read before need not be made again.
const kCached = 512;
const cache: (string | undefined)[] = new Array<string | undefined>(kCached).fill(undefined);

function readLatin1(length: number): string {
  const begin = at;
  at += length;
  if (length > kShort) return asBuffer(input).toString('latin1', begin, at);
  let hash = length;
  for (let i = begin; i < at; i += 1) hash = (Math.imul(hash, 31) + input[i]!) | 0;
  const place = (hash ^ (hash >>> 9)) & (kCached - 1);
  const known = cache[place];
  if (known?.length === length) {
    let i = 0;
    while (i < length && known.charCodeAt(i) === input[begin + i]) i += 1;
    if (i === length) return known;
  }
  const text = asBuffer(input).toString('latin1', begin, at);
  cache[place] = text;
  return text;
}

function asBuffer(bytes: Uint8Array): Buffer {
  return Buffer.isBuffer(bytes)
    ? bytes
    : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

function readString(): string {
  const tag = input[at++];
  const length = readWord();
  if (tag === Tag.latin1) return readLatin1(length);
  const begin = at;
  at += 2 * length;
  return asBuffer(input).toString('utf16le', begin, at);
}

function define(object: object, key: string, value: unknown): void {
  Object.defineProperty(object, key, {
    value,
    configurable: true,
    enumerable: true,
    writable: true,
  });
}

function readProperties(object: Record<string, unknown>): void {
  const count = readWord();
  for (let i = 0; i < count; i += 1) {
    const key = readString();
    if (key === '__proto__') define(object, key, read());
    else object[key] = read();
  }
}

function readBytes(): object {
  const view = kViews[input[at++]!]!;
  const length = readWord();
  const buffer = new ArrayBuffer(length);
  new Uint8Array(buffer).set(input.subarray(at, at + length));
  at += length;
  const object = view === ArrayBuffer ? buffer : new (view as Uint8ArrayConstructor)(buffer);
  objects.push(object);
  return object;
}

function makeError(name: string, message: string): Error {
  if (name === 'HeddleError') return reviveError('ERR_HEDDLE_VALUE', message); // its code follows
  if (name === 'AggregateError') return new AggregateError([], message); // so do its errors
  return new (kErrors[name] ?? Error)(message);
}

function readError(): Error {
  const place = objects.length;
  objects.push(Object.prototype);
  const name = readString();
  const message = readString();
  const stack = readString();
  const isDomException = name === 'DOMException';
  const error = isDomException ? new DOMException(message, stack) : makeError(name, message);
  objects[place] = error;
  if (!isDomException) {
    Object.defineProperty(error, 'stack', { value: stack, configurable: true, writable: true });
    if (error.name !== name) {
      Object.defineProperty(error, 'name', { value: name, configurable: true, writable: true });
    }
  }
  const own: Record<string, unknown> = {};
  readProperties(own);
  for (const key of Object.keys(own)) {
    const enumerable = key !== 'cause' && !(key === 'errors' && error instanceof AggregateError);
    const value = own[key];
    Object.defineProperty(error, key, { value, enumerable, configurable: true, writable: true });
  }
  return error;
}

function handleAt(index: number): Shareable {
  const begin = handleBase + 4 * index;
  const low = (input[begin]! | (input[begin + 1]! << 8) | (input[begin + 2]! << 16)) >>> 0;
  return handleOf(low + input[begin + 3]! * 2 ** 24);
}

function readCollection(tag: number): object {
  const count = readWord();
  if (tag === Tag.set) {
    const set = new Set<unknown>();
    objects.push(set);
    for (let i = 0; i < count; i += 1) set.add(read());
    return set;
  }
  const map = new Map<unknown, unknown>();
  objects.push(map);
  for (let i = 0; i < count; i += 1) {
    const key = read();
    map.set(key, read());
  }
  return map;
}

function keep<T extends object>(object: T): T {
  objects.push(object);
  return object;
}

function read(): unknown {
  const tag = input[at++]!;
  switch (tag) {
    case Tag.undefined:
      return undefined;
    case Tag.null:
      return null;
    case Tag.true:
      return true;
    case Tag.false:
      return false;
    case Tag.int32:
      return readWord() | 0;
    case Tag.double:
      return readDouble();
    case Tag.latin1:
    case Tag.utf16:
      at -= 1;
      return readString();
    case Tag.object: {
      const object: Record<string, unknown> = {};
      objects.push(object);
      readProperties(object);
      return object;
    }
    case Tag.array: {
      const length = readWord();
      const array: unknown[] = [];
      objects.push(array);
      for (let i = 0; i < length; i += 1) array.push(read());
      return array;
    }
    case Tag.bigint: {
      const text = readString();
      return text.startsWith('-') ? -BigInt(`0x${text.slice(1)}`) : BigInt(`0x${text}`);
    }
    case Tag.bytes:
      return readBytes();
    case Tag.handle:
      return keep(handleAt(readWord()));
    case Tag.same:
      return objects[readWord()];
    case Tag.map:
    case Tag.set:
      return readCollection(tag);
    case Tag.date:
      return keep(new Date(read() as number));
    case Tag.regExp:
      return keep(new RegExp(readString(), readString()));
    default:
      return readError();
  }
}

/** The message that begins at `offset`, as native code writes it: handles, then bytes. */
export function decodeMessage(bytes: Uint8Array, offset: number): unknown {
  input = bytes;
  at = offset;
  const count = readWord();
  handleBase = at;
  at += 4 * count;
  const value = read();
  if (objects.length > 0) objects = [];
  input = scratch;
  return value;
}
