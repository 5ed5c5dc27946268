// Objects on their way to another isolate, as bytes: a structured clone of our own, several times
// as fast as node:v8 for the small plain objects that messages are, and with handles by reference.
//
// What it keeps: plain objects and arrays (holes become undefined), strings, numbers, booleans,
// bigints, null, undefined, Map, Set, Date, RegExp, bytes of every kind, errors with class name,
// code, cause, stack and own properties, references to the same object, cycles, and everything that
// can be shared. Other objects arrive as plain ones with their own enumerable properties, as with
// structuredClone; what that refuses is refused here, with the path to it.
import { describe, HeddleError } from './errors.js';
import { Shareable } from './handle.js';
import { doubleBytes, doubleValue, kShort, kViews, Tag } from './message.js';
import { leave, Moved } from './move.js';
import { outbox } from './scratch.js';

const kAsideBytes = 4096;
// Of a message that is not to be in the outbox, where one waits to be taken.
const aside = Buffer.from(new ArrayBuffer(kAsideBytes));

let out: Buffer = outbox;
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
  // Who gives memory that is shared expects it to be shared.
  if (ArrayBuffer.isView(value) && value.buffer instanceof SharedArrayBuffer) {
    refuse(value, ' on a SharedArrayBuffer');
  }
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
  writeString(isDomException ? 'DOMException' : String(error.name));
  writeString(String(error.message));
  writeString(isDomException ? error.name : String(error.stack ?? ''));
  const own: Record<string, unknown> = {};
  for (const key of Object.keys(error)) own[key] = (error as never)[key];
  if ('cause' in error) own['cause'] = error.cause;
  if (error instanceof AggregateError) own['errors'] = error.errors;
  writeProperties(own);
}

/** What structuredClone refuses as well, or would arrive without what it is. */
function isUncloneable(value: object): boolean {
  // Not before it is asked for: Node takes 3 ms to load what MessagePort is.
  uncloneable ??= [Promise, WeakMap, WeakSet, WeakRef, SharedArrayBuffer, MessagePort, AbortSignal];
  return uncloneable.some((each) => value instanceof each);
}
let uncloneable: (abstract new (...args: never) => object)[] | undefined;

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
  } else if (isUncloneable(value)) {
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

/** A message as native code takes it: in the outbox if `bytes` is undefined. */
export interface Message {
  readonly bytes: Uint8Array | undefined;
  readonly length: number;
}

/** Writes the value, without handles, into `out`; what is to be shared with it. */
function writeAll(value: unknown, name: string): Shareable[] {
  root = name;
  end = 0;
  path.length = 0;
  try {
    write(value);
    return handles;
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
    throw new HeddleError(
      'ERR_HEDDLE_VALUE',
      `expected a value that can be cloned as ${root}, got one nested too deeply`,
      { cause: error },
    );
  } finally {
    if (handles.length > 0) handles = [];
    if (seen.length > 0) seen = [];
    seenMap = undefined;
  }
}

let isWriting = false;

// A getter may send something itself while its object is being written: that goes elsewhere.
function writeApart<R>(body: () => R): R {
  const outer = [root, out, end, handles, seen, seenMap] as const;
  const outerPath = [...path];
  out = Buffer.from(new ArrayBuffer(1024));
  handles = [];
  seen = [];
  seenMap = undefined;
  try {
    return body();
  } finally {
    [root, out, end, handles, seen, seenMap] = outer;
    path.splice(0, path.length, ...outerPath);
  }
}

function writeFirst<R>(body: () => R, to: Buffer): R {
  isWriting = true;
  out = to;
  try {
    return body();
  } finally {
    isWriting = false;
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
 * in the outbox.
 */
export function encodeMessage(value: unknown, apart = false, name = 'value'): Message {
  const encode = (): Message => encodeNow(value, name);
  return isWriting ? writeApart(encode) : writeFirst(encode, apart ? aside : outbox);
}

function encodeNow(value: unknown, name: string): Message {
  const found = writeAll(value, name);
  if (found.length > 0) return addHandles(found);
  reserve(4);
  word(0);
  if (out === outbox) return { bytes: undefined, length: end };
  return { bytes: out === aside ? copyOf(out, end) : out.subarray(0, end), length: end };
}

function copyOf(bytes: Uint8Array, length: number): Uint8Array {
  return Uint8Array.prototype.slice.call(bytes, 0, length);
}

/** What would be shared with the value. Throws as {@link encodeMessage}, but shares nothing. */
export function shareablesIn(value: unknown): readonly Shareable[] {
  const look = (): Shareable[] => writeAll(value, 'value');
  return isWriting ? writeApart(look) : writeFirst(look, aside);
}
