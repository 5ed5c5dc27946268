// Objects on their way to another isolate, as bytes: a structured clone of our own, several times
// as fast as node:v8 for the small plain objects that messages are, and with handles by reference.
//
// What it keeps: plain objects and arrays (holes become undefined), strings, numbers, booleans,
// bigints, null, undefined, Map, Set, Date, RegExp, bytes of every kind, errors with class name,
// code, cause, stack and own properties, references to the same object, cycles, and everything that
// can be shared. Other objects arrive as plain ones with their own enumerable properties, as with
// structuredClone; what that refuses is refused here, with the path to it.
import { describe, HeddleError } from './errors.js';
import { Shareable, handleOf } from './handle.js';
import { leave, Moved } from './move.js';
import { scratch } from './scratch.js';

const Tag = {
  undefined: 0,
  null: 1,
  true: 2,
  false: 3,
  int32: 4,
  double: 5,
  latin1: 6,
  utf16: 7,
  array: 8,
  object: 9,
  bigint: 10,
  bytes: 11,
  handle: 12,
  same: 13,
  map: 14,
  set: 15,
  date: 16,
  regExp: 17,
  error: 18,
} as const;

const kViews = [
  ArrayBuffer,
  DataView,
  Uint8Array,
  Uint8ClampedArray,
  Int8Array,
  Uint16Array,
  Int16Array,
  Uint32Array,
  Int32Array,
  Float32Array,
  Float64Array,
  BigInt64Array,
  BigUint64Array,
] as const;

const kErrors: Record<string, ErrorConstructor> = {
  EvalError,
  RangeError,
  ReferenceError,
  SyntaxError,
  TypeError,
  URIError,
};

const doubleValue = new Float64Array(1);
const doubleBytes = new Uint8Array(doubleValue.buffer);

// --- writing ---

let out: Buffer = scratch;
let end = 0;
let handles: Shareable[] = [];
let seen: object[] = [];
let seenMap: Map<object, number> | undefined;
let root = 'value';
const path: (string | number)[] = [];

function reserve(bytes: number): void {
  if (end + bytes <= out.length) return;
  const larger = Buffer.from(new ArrayBuffer(Math.max(2 * out.length, end + bytes)));
  larger.set(out.subarray(0, end));
  out = larger;
}

function word(value: number): void {
  out[end] = value;
  out[end + 1] = value >>> 8;
  out[end + 2] = value >>> 16;
  out[end + 3] = value >>> 24;
  end += 4;
}

function writeNumber(value: number): void {
  reserve(9);
  if ((value | 0) === value && !Object.is(value, -0)) {
    out[end++] = Tag.int32;
    word(value);
    return;
  }
  out[end++] = Tag.double;
  doubleValue[0] = value;
  for (let i = 0; i < 8; i += 1) out[end + i] = doubleBytes[i]!;
  end += 8;
}

const kShort = 32;

/** Tag, length in units, units; short Latin-1 strings in a loop, which costs less than a call. */
function writeString(text: string): void {
  const { length } = text;
  reserve(5 + 2 * length);
  if (length <= kShort) {
    const begin = end;
    let at = end + 5;
    for (let i = 0; i < length; i += 1) {
      const unit = text.charCodeAt(i);
      if (unit > 255) {
        at = -1;
        break;
      }
      out[at++] = unit;
    }
    if (at >= 0) {
      out[begin] = Tag.latin1;
      end = begin + 1;
      word(length);
      end = at;
      return;
    }
  }

  const isLatin1 = length > kShort && /^[\0-\xff]*$/.test(text);
  out[end++] = isLatin1 ? Tag.latin1 : Tag.utf16;
  word(length);
  end += out.write(text, end, isLatin1 ? 'latin1' : 'utf16le');
}

function refuse(value: unknown, state = ''): never {
  const where = path.map((key) => (typeof key === 'number' ? `[${key}]` : `.${key}`)).join('');
  throw new HeddleError(
    'ERR_HEDDLE_VALUE',
    `expected a value that can be cloned as ${root}${where}, got ${describe(value)}${state}`,
  );
}

const kFewSeen = 8;

/** True if the object has been written before, and a reference to it now. */
function isWrittenAgain(object: object): boolean {
  const at = seenMap === undefined ? seen.indexOf(object) : (seenMap.get(object) ?? -1);
  if (at >= 0) {
    reserve(5);
    out[end++] = Tag.same;
    word(at);
    return true;
  }
  if (seenMap !== undefined) {
    seenMap.set(object, seenMap.size);
    return false;
  }
  seen.push(object);
  if (seen.length > kFewSeen) seenMap = new Map(seen.map((each, index) => [each, index]));
  return false;
}

function writeProperties(object: object): void {
  const keys = Object.keys(object);
  reserve(4);
  word(keys.length);
  for (const key of keys) {
    path.push(key);
    writeString(key);
    write((object as Record<string, unknown>)[key]);
    path.pop();
  }
}

function writeBytes(value: ArrayBuffer | ArrayBufferView): void {
  const shape = kViews.findIndex((view) => value instanceof view);
  if (shape < 0) refuse(value);
  let bytes: Uint8Array;
  try {
    bytes =
      value instanceof ArrayBuffer
        ? new Uint8Array(value)
        : new Uint8Array(value.buffer, value.byteOffset, value.byteLength);
  } catch {
    refuse(value, ' whose memory was transferred away');
  }
  reserve(6 + bytes.length);
  out[end++] = Tag.bytes;
  out[end++] = shape;
  word(bytes.length);
  out.set(bytes, end);
  end += bytes.length;
}

function writeError(error: Error): void {
  reserve(1);
  out[end++] = Tag.error;
  const isDomException = error instanceof DOMException;
  writeString(isDomException ? 'DOMException' : error.name);
  writeString(error.message);
  writeString(isDomException ? error.name : String(error.stack ?? ''));
  const own: Record<string, unknown> = {};
  for (const key of Object.keys(error)) own[key] = (error as never)[key];
  if ('cause' in error) own['cause'] = error.cause;
  writeProperties(own);
}

function writeObject(value: object): void {
  if (isWrittenAgain(value)) return;
  reserve(9);
  if (Array.isArray(value)) {
    out[end++] = Tag.array;
    word(value.length);
    for (let i = 0; i < value.length; i += 1) {
      path.push(i);
      write(value[i]);
      path.pop();
    }
    return;
  }
  const prototype = Object.getPrototypeOf(value) as unknown;
  if (prototype === Object.prototype || prototype === null) {
    out[end++] = Tag.object;
    writeProperties(value);
  } else if (value instanceof Shareable) {
    out[end++] = Tag.handle;
    word(handles.length);
    handles.push(value);
  } else if (ArrayBuffer.isView(value) || value instanceof ArrayBuffer) {
    writeBytes(value);
  } else if (value instanceof Moved) {
    const bytes = (value as Moved<ArrayBuffer | ArrayBufferView>).bytes;
    writeBytes(bytes);
    leave(bytes, true);
  } else if (value instanceof Error) {
    writeError(value);
  } else if (value instanceof Map) {
    out[end++] = Tag.map;
    word(value.size);
    let i = 0;
    for (const [key, each] of value) {
      path.push(typeof key === 'string' ? key : i);
      write(key);
      write(each);
      path.pop();
      i += 1;
    }
  } else if (value instanceof Set) {
    out[end++] = Tag.set;
    word(value.size);
    let i = 0;
    for (const each of value) {
      path.push(i);
      write(each);
      path.pop();
      i += 1;
    }
  } else if (value instanceof Date) {
    out[end++] = Tag.date;
    writeNumber(value.getTime());
  } else if (value instanceof RegExp) {
    out[end++] = Tag.regExp;
    writeString(value.source);
    writeString(value.flags);
  } else if (
    value instanceof Promise ||
    value instanceof WeakMap ||
    value instanceof WeakSet ||
    value instanceof WeakRef ||
    value instanceof SharedArrayBuffer
  ) {
    refuse(value);
  } else {
    out[end++] = Tag.object;
    writeProperties(value);
  }
}

function write(value: unknown): void {
  switch (typeof value) {
    case 'number':
      writeNumber(value);
      break;
    case 'string':
      writeString(value);
      break;
    case 'object':
      if (value !== null) {
        writeObject(value);
        break;
      }
      reserve(1);
      out[end++] = Tag.null;
      break;
    case 'boolean':
      reserve(1);
      out[end++] = value ? Tag.true : Tag.false;
      break;
    case 'undefined':
      reserve(1);
      out[end++] = Tag.undefined;
      break;
    case 'bigint':
      reserve(1);
      out[end++] = Tag.bigint;
      writeString(value.toString(16));
      break;
    default:
      refuse(value);
  }
}

/** A message as native code takes it: in the scratch if `bytes` is undefined. */
export interface Message {
  readonly bytes: Uint8Array | undefined;
  readonly length: number;
}

/** Writes the value, without handles, into `out`; what is to be shared with it. */
function writeAll(value: unknown, name: string): Shareable[] {
  root = name;
  out = scratch;
  end = 0;
  path.length = 0;
  try {
    write(value);
    return handles;
  } finally {
    if (handles.length > 0) handles = [];
    if (seen.length > 0) seen = [];
    seenMap = undefined;
  }
}

// To share one may encode what lies in it, over what has been written so far.
function addHandles(found: readonly Shareable[]): Message {
  const length = end;
  const bytes = new Uint8Array(length + 4 * (found.length + 1));
  bytes.set(out.subarray(0, length));
  const words = new DataView(bytes.buffer, length);
  for (const [i, handle] of found.entries()) words.setUint32(4 * i, handle.toHandle(), true);
  words.setUint32(4 * found.length, found.length, true);
  return { bytes, length: bytes.length };
}

/**
 * Throws a HeddleError that names the path to what cannot be cloned, from `name` on. `apart`: not
 * in the scratch.
 */
export function encodeMessage(value: unknown, apart = false, name = 'value'): Message {
  const found = writeAll(value, name);
  if (found.length > 0) return addHandles(found);
  reserve(4);
  word(0);
  const isInScratch = out === scratch;
  if (isInScratch && !apart) return { bytes: undefined, length: end };
  return { bytes: isInScratch ? copyOf(out, end) : out.subarray(0, end), length: end };
}

function copyOf(bytes: Uint8Array, length: number): Uint8Array {
  return Uint8Array.prototype.slice.call(bytes, 0, length);
}

/** What would be shared with the value. Throws as {@link encodeMessage}, but shares nothing. */
export function shareablesIn(value: unknown): readonly Shareable[] {
  return writeAll(value, 'value');
}

// --- reading ---

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

function readError(): Error {
  const place = objects.length;
  objects.push(Object.prototype);
  const name = readString();
  const message = readString();
  const stack = readString();
  const isDomException = name === 'DOMException';
  const constructor = kErrors[name] ?? Error;
  const error = isDomException ? new DOMException(message, stack) : new constructor(message);
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
    const enumerable = key !== 'cause';
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
